/*
 * Bytes of the store's files as the answer to a READ. Large ones are spliced: from the page cache
 * through a pipe into the request's pages, one copy instead of two (measured: docs/adr/0001). When
 * something stands in the way of that they are copied. Never short: a file that ends early is EIO.
 */
#ifndef FS_ANSWER_H
#define FS_ANSWER_H

#include "fs/state.h"

/* Replies: with the bytes, or with EIO when the result is negative. */
must_check int answer_extents(struct fs_session *s, fuse_req_t req, const struct fs_extent *extents,
			      unsigned count, uint32_t len, struct err *e);

/* For the session's write hook: what libfuse wants to write is an answer of ours. Writes it. */
bool answer_is_ours(void);
ssize_t answer_write(int fuse_fd, const struct iovec *iov);

/* The idle pipes; at the session's end. */
void answer_pipes_release(struct fs_session *s);

#endif
