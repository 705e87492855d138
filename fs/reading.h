/*
 * A READ that the source answers later: what becomes of the answer, for files of the tree and of
 * the layers' trees alike.
 */
#ifndef FS_READING_H
#define FS_READING_H

#include "fs/request.h"

struct reading {
	struct request rq;
	struct fs_read ask;
	uint64_t id, off; /* id: of the file, to tell of it once in a row */
	uint32_t len;
	/* Logs that it failed, after the reply. */
	void (*tell)(const struct reading *r, const struct err *e);
};

/* Before request_begin(); the rest is 0. */
void reading_init(struct reading *r, uint64_t id, uint64_t off, uint32_t len,
		  void (*tell)(const struct reading *r, const struct err *e));

#endif
