/*
 * The mount: libfuse's low-level session and its threads. Knows struct fs_source and nothing of the
 * daemon. A FUSE thread never waits for the network.
 */
#ifndef FS_SESSION_H
#define FS_SESSION_H

#include "fs/forest_source.h"
#include "fs/source.h"

#include <sys/types.h>

struct fs_session;

struct fs_config {
	const char *path;	 /* mount point; made if absent */
	unsigned threads;	 /* 0 = 4 */
	unsigned read_ahead_kb;	 /* 0 = 4096; set in /sys/class/bdi */
	bool passthrough;	 /* use it where kernel and rights allow */
	bool allow_other;	 /* other users may read */
	int64_t read_timeout_ms; /* a lookup, open or read unanswered for so long: ETIMEDOUT */
	unsigned names_kb;	 /* memory for names the kernel holds; 0 = 32 MiB */
};

/* What of a session outlives its process, when somebody keeps the descriptors (daemon/holder.h):
 * the connection to the kernel, and the ledger of what the kernel has been told on it. */
struct fs_held {
	int fuse_fd, ledger_fd;
};

/* Mounts and starts the threads. A stale mount of a dead daemon at path is detached first (ENOTCONN
 * tells it); a live one is EBUSY. EACCES/ENOENT say what is missing (/dev/fuse, CAP_SYS_ADMIN). */
must_check int fs_session_new(const struct fs_config *c, const struct fs_source_ops *ops, void *src,
			      struct fs_session **out, struct err *e);
/* Takes over what an earlier process left: open files stay open, and what it was asked and did not
 * answer is asked again. Owns the descriptors, also when it fails. ENOTCONN: nothing is mounted
 * with it any more; EBUSY: another file system is at path; EBADMSG: the ledger is damaged or
 * another version's. */
must_check int fs_session_resume(const struct fs_config *c, const struct fs_held *held,
				 const struct fs_source_ops *ops, void *src,
				 struct fs_session **out, struct err *e);
/* The same two for a forest (forest_source.h). Only root may enter what it shows. passthrough and
 * names_kb have no meaning. */
must_check int fs_forest_new(const struct fs_config *c, const struct fs_forest_ops *ops, void *src,
			     struct fs_session **out, struct err *e);
must_check int fs_forest_resume(const struct fs_config *c, const struct fs_held *held,
				const struct fs_forest_ops *ops, void *src, struct fs_session **out,
				struct err *e);
/* Whether a successor could go on: false where the kernel does not send requests again (before
 * Linux 6.9). *out is borrowed. */
bool fs_session_held(const struct fs_session *s, struct fs_held *out);
/* Instead of fs_session_free(), when somebody keeps the descriptors: unmounts only what nobody
 * uses. True: somebody does, and waits for the successor from now on. */
bool fs_session_leave(struct fs_session *s);
/* Unmounts (lazily if it is busy), fails what waits with EIO... and joins. */
void fs_session_free(struct fs_session *s);
/* True once somebody unmounted it from outside: the session has ended. */
bool fs_session_ended(const struct fs_session *s);
bool fs_session_passthrough(const struct fs_session *s); /* negotiated */

struct fs_stat {
	uint64_t reads, bytes, waits, passthrough_opens, interrupted, errors;
};
void fs_session_stat(const struct fs_session *s, struct fs_stat *out);

#endif
