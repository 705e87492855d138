/* Writes an index's file section by section. Between the builders; the file is index_format.h's. */
#ifndef FS_LAYER_INDEX_WRITE_H
#define FS_LAYER_INDEX_WRITE_H

#include "fs/layer/index_format.h"
#include "fs/layer/tree.h"

#include <zstd.h>

struct index_writer {
	int fd;
	uint64_t at;
	struct index_head head;
	struct index_section *section; /* that is being written */
	struct xxh3 sum;
	ZSTD_CCtx *zstd;
};

/* fd: an empty regular file, borrowed. */
void index_writer_init(struct index_writer *w, int fd);
void index_writer_release(struct index_writer *w);

/* Sections come in the order of their numbers, each once; a section is what is put between its
 * begin and its end. raw_len: what it is before it was compressed. */
void index_writer_begin(struct index_writer *w, int no);
must_check int index_writer_put(struct index_writer *w, const void *data, size_t len,
				struct err *e);
/* One zstd frame of it. */
must_check int index_writer_put_frame(struct index_writer *w, const void *data, size_t len,
				      struct err *e);
void index_writer_end(struct index_writer *w, uint64_t raw_len);

/* The last section, and info's erofs_len and inode_count: an image of the tree, which has been
 * ended. dir: for a temporary file. */
must_check int index_writer_put_tree(struct index_writer *w, struct tree *t, const char *dir,
				     struct layer_info *info, struct err *e);
/* The head. */
must_check int index_writer_finish(struct index_writer *w, const struct layer_info *info,
				   struct err *e);

/* A file without a name in dir; -errno. */
must_check int index_temporary(const char *dir, struct err *e);

#endif
