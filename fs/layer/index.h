/*
 * The layer index: what makes a stock layer (tar, tar.gz, tar.zst) readable at random. One file
 * that holds checkpoints into the compressed stream, what every block of the uncompressed tar
 * is known by, and the tree as an EROFS image whose files' data are extents of the uncompressed tar
 * (device 1).
 *
 * The file's format is in index_format.h. Errors by name, for builder and reader:
 *   EBADMSG  the layer's bytes, or the index's, are not what they must be: broken or of another
 * layer ENOTSUP  a good layer that cannot be lazy (the text says what stands in the way): unpack it
 *   E2BIG    a bound was passed (entries, names, bytes of the tree)
 *   others   the disk's own
 */
#ifndef FS_LAYER_INDEX_H
#define FS_LAYER_INDEX_H

#include "base/err.h"
#include "fs/layer/info.h"

#include <sys/types.h>

struct index_options {
	const char *dir;	/* where temporary files may be; NULL = /var/tmp */
	const char *digest;	/* 64 hex that the blob must have, or NULL */
	bool digest_is_checked; /* by the caller, who believes no index before: not hashed here */
	const char *diff_id;	/* 64 hex that the tar must have, or NULL */
	uint64_t span_len;	/* uncompressed bytes between checkpoints; 0 = 2 MiB */
	bool user_xattrs;	/* opaque directories get user.overlay.opaque, too */
	/* Uncompressed bytes as they pass by, in order, unverified; may be NULL. A negative result
	 * stops the build with that error. */
	int (*pass)(void *arg, uint64_t offset, const void *data, size_t len, struct err *e);
	void *arg;
};

struct index_build;

/* Options may be NULL; their strings are copied. Used by one thread at a time. */
must_check int index_build_new(const struct index_options *options, struct index_build **out,
			       struct err *e);
/* The next bytes of the compressed blob, any number of them. After an error only
 * index_build_free() may be called. Reads and writes only local temporary files. */
must_check int index_build_feed(struct index_build *b, const void *data, size_t len, struct err *e);
/* The blob is complete: checks the digests and writes the index to fd, an empty regular file open
 * for reading and writing. Neither syncs nor renames. info_out may be NULL. */
must_check int index_build_end(struct index_build *b, int fd, struct layer_info *info_out,
			       struct err *e);
void index_build_free(struct index_build *b);

struct layer_index;

/* Reads and checks the head and the tables; keeps a duplicate of fd and reads the rest when it is
 * needed, checking it then. The object does not change: any number of threads may use it. */
must_check int index_open(int fd, struct layer_index **out, struct err *e);
void index_free(struct layer_index *ix);

static inline void index_free_at(struct layer_index **ix)
{
	index_free(*ix);
	*ix = NULL;
}

const struct layer_info *index_info(const struct layer_index *ix);

/* Reads all that index_open() left to be checked when it is needed. EBADMSG. */
must_check int index_check_rest(const struct layer_index *ix, struct err *e);

/* Unpacks the EROFS image to fd, an empty regular file. To mount it: mount(2) of type erofs, read
 * only, source = that file, option device=<file with the uncompressed tar's bytes>. */
must_check int index_erofs_write(const struct layer_index *ix, int fd, struct err *e);

/* What a layer that is laid out by its own table goes by (its id): who says the same three means
 * the same files. 64 hex each. */
void index_toc_id(const char *digest, const char *toc_digest, const char *diff_id,
		  char out[DIGEST_HEX_LEN + 1]);

/* Of a layer that is laid out by its own table of contents: that has no checkpoints. NULL if it is
 * laid out as its tar. */
struct chunks;
const struct chunks *index_chunks(const struct layer_index *ix);

/* A place where inflating can begin. */
struct index_checkpoint {
	uint32_t no;	   /* checkpoints are numbered from 0 */
	uint8_t bit_count; /* gzip: bits of the byte before in_offset that belong to what follows */
	bool fresh;	   /* at the start of a gzip member or zstd frame, or plain: no window */
	uint64_t in_offset;  /* in the compressed blob */
	uint64_t out_offset; /* in the uncompressed tar */
};

/* The last checkpoint with out_offset <= offset. There always is one. */
void index_checkpoint_before(const struct layer_index *ix, uint64_t offset,
			     struct index_checkpoint *out);
/* The first checkpoint with out_offset >= offset; false if there is none. */
bool index_checkpoint_after(const struct layer_index *ix, uint64_t offset,
			    struct index_checkpoint *out);
/* The window (the 32 KiB before out_offset) of a checkpoint that is not fresh. */
#define INDEX_WINDOW_LEN 32768
must_check int index_window_read(const struct layer_index *ix, const struct index_checkpoint *cp,
				 unsigned char window[INDEX_WINDOW_LEN], size_t *len_out,
				 struct err *e);

/* Blocks are what is verified at once, one behind the other from 0 to the layer's length. */
uint64_t index_block_count(const struct layer_index *ix);
/* The one that has this byte; offset < the layer's length. */
uint64_t index_block_at(const struct layer_index *ix, uint64_t offset);
void index_block_extent(const struct layer_index *ix, uint64_t no, uint64_t *offset_out,
			uint64_t *len_out);
/* Whether these are the bytes of block no: EBADMSG if not. */
must_check int index_block_check(const struct layer_index *ix, uint64_t no, const void *data,
				 size_t len, struct err *e);

#endif
