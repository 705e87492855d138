/*
 * What the files of a session share: the session itself. Only fs/ includes it.
 *
 *	session.c	life: mount, threads, end
 *	request.c	answers that come later: interrupts, deadlines
 *	lookup.c open.c read.c attr.c dir.c	the operations
 *	answer.c	bytes of files to the kernel
 *	tree.c mount.c passthrough.c		know nothing of sessions
 */
#ifndef FS_STATE_H
#define FS_STATE_H

#define FUSE_USE_VERSION 312

#include "base/list.h"
#include "base/lock.h"
#include "base/pool.h"
#include "base/timer.h"
#include "fs/mount.h"
#include "fs/passthrough.h"
#include "fs/session.h"
#include "fs/tree.h"

#include <fuse_lowlevel.h>
#include <stdatomic.h>

#define RANK_OPENS    1
#define RANK_REQUESTS 2 /* the tree's is 3 */
#define RANK_PIPES    4

#define LASTING_TIMEOUT_S 86400.0

struct fs_session {
	const struct fs_source_ops *ops;
	void *src;
	int64_t read_timeout_ms, started_ms;
	struct mount_point mount;
	struct fuse_session *fuse;
	struct tree *tree;
	struct pool *prune_pool;
	struct passthrough passthrough;
	pthread_t *threads;
	unsigned thread_count;
	int fuse_fd; /* the session's, closed with it */

	atomic_bool stopping;	   /* new requests are refused */
	atomic_bool leaving;	   /* threads are to end */
	atomic_bool ended;	   /* unmounted from outside */
	atomic_bool pruning;	   /* the job runs or is queued */
	atomic_bool pipes_refused; /* large enough ones are not to be had */

	bool passthrough_refused; /* opens_lock */
	bool sweeping;		  /* requests_lock: the timer is armed */

	struct lock opens_lock; /* and every node's struct tree_opens */
	struct list handles, dirs;

	struct lock requests_lock; /* requests' flags */
	struct cond requests_cond;
	struct list pending; /* submitted, not answered, oldest first */
	struct timer sweep;
	unsigned request_count;

	unsigned pipe_count; /* pipes_lock */
	struct pipe *pipes;  /* idle ones, for answer.c; pipes_lock */
	struct lock pipes_lock;

	atomic_uint_fast64_t error_told_id; /* the node whose failing reads were logged last */
	struct {
		atomic_uint_fast64_t reads, bytes, waits, passthrough_opens, interrupted, errors;
	} stat;
};

static inline struct fs_session *session_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* What a caller of read(2) or open(2) sees of an error. */
int session_errno(const struct err *e);

#endif
