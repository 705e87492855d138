/*
 * Passthrough of complete blobs to their file in the store (Linux 6.9), spoken directly:
 * libfuse 3.14 of Debian 12 does not know it, 3.17 of Debian 13 does, and one way is simpler than
 * two (docs/adr/0001-passthrough-and-libfuse.md). Source: linux/fuse.h, protocol 7.40.
 */
#ifndef FS_PASSTHROUGH_H
#define FS_PASSTHROUGH_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define PASSTHROUGH_INIT_MAX 128 /* bytes of the longest INIT answer */

/* INIT, as it goes by. */
struct passthrough {
	bool wanted;
	bool offered;	      /* by the kernel */
	bool negotiated;      /* the kernel has been told yes */
	bool resends;	      /* the kernel has FUSE_NOTIFY_RESEND (Linux 6.9) */
	uint64_t init_unique; /* 0 = no INIT is waiting for its answer */
};

/* Looks at a request that was read from the device. */
void passthrough_see_request(struct passthrough *p, const void *data, size_t len);
/* An answer that is about to be written: if it is the one to INIT, a changed copy is put into copy
 * and its length is returned; else 0. */
size_t passthrough_patch_answer(struct passthrough *p, const struct iovec *iov, int count,
				char copy[PASSTHROUGH_INIT_MAX]);

/* Makes file_fd known to the connection. EPERM, EOPNOTSUPP, ELOOP (the store stands on a stacked
 * file system). */
must_check int passthrough_backing_open(int fuse_fd, int file_fd, int *id_out, struct err *e);
void passthrough_backing_close(int fuse_fd, int id);

/* The answer to OPEN that turns it on for this file. */
struct passthrough_open_out {
	uint64_t fh;
	uint32_t open_flags;
	int32_t backing_id;
};
struct passthrough_open_out passthrough_open_answer(uint64_t fh, int backing_id);

#endif
