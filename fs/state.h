/*
 * What the files of a session share: the session itself. Only fs/ includes it.
 *
 *	session.c	life: mount, threads, end
 *	request.c	answers that come later: interrupts, deadlines
 *	lookup.c open.c read.c attr.c dir.c	the operations
 *	answer.c	bytes of files to the kernel
 *	inherit.c	files that an earlier process opened
 *	forest_look.c forest_read.c	the same of a forest, whose files forest.c has
 *	tree.c forest.c ledger.c mount.c passthrough.c	know nothing of sessions
 */
#ifndef FS_STATE_H
#define FS_STATE_H

#define FUSE_USE_VERSION 312

#include "base/list.h"
#include "base/lock.h"
#include "base/pool.h"
#include "base/timer.h"
#include "fs/forest.h"
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
	struct tree *tree; /* NULL: it is a forest */
	const struct fs_forest_ops *forest_ops;
	struct forest *forest;
	struct ledger *ledger; /* of the one or the other */
	struct pool *prune_pool;
	struct passthrough passthrough;
	pthread_t *threads;
	unsigned thread_count;
	int fuse_fd; /* the session's, closed with it */

	uint16_t generation; /* of the process, see handle_number() */

	atomic_bool stopping;	   /* new requests are refused */
	atomic_bool detaching;	   /* by ourselves, see fs_session_leave() */
	atomic_bool left_to_next;  /* and not answered: the next process will be asked */
	bool replaying;		   /* INIT, of an earlier process; starting only */
	atomic_bool leaving;	   /* threads are to end */
	atomic_bool ended;	   /* unmounted from outside */
	atomic_bool pruning;	   /* the job runs or is queued */
	atomic_bool pipes_refused; /* large enough ones are not to be had */

	bool passthrough_refused; /* opens_lock */
	bool sweeping;		  /* requests_lock: the timer is armed */

	struct lock opens_lock; /* and every node's struct tree_opens */
	struct list handles, dirs, adopted;

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

/*
 * The number by which the kernel calls an open file: our pointer, and above it which process gave
 * it (pointers of user space have 48 bits on what we run on). Bit 0 is free for the caller. NULL:
 * it was an earlier process.
 */
static inline uint64_t handle_number(const struct fs_session *s, const void *handle)
{
	return (uint64_t)(uintptr_t)handle | (uint64_t)s->generation << 48;
}

static inline void *handle_pointer(const struct fs_session *s, uint64_t number)
{
	if (number >> 48 != s->generation)
		return NULL;
	number &= (UINT64_C(1) << 48) - 2;
	return (void *)(uintptr_t)number; /* NOLINT(performance-no-int-to-ptr) */
}

/* What a caller of read(2) or open(2) sees of an error. */
int session_errno(const struct err *e);

#endif
