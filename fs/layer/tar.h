/*
 * A streaming tar parser: bytes go in, entries come out; the data of files is skipped, only where
 * it lies is told. Knows ustar, pax (POSIX.1-2001, "pax Interchange Format"), GNU's long names,
 * sparse files (old format, pax 0.0, 0.1, 1.0), base-256 numbers, star's and GNU's checksums. Where
 * readers differ it does as Go's archive/tar does, because containerd unpacks with that: global pax
 * headers change nothing, an archive may end without its two blocks of zeros, and whatever follows
 * them is ignored.
 */
#ifndef FS_LAYER_TAR_H
#define FS_LAYER_TAR_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define TAR_BLOCK	      512
#define TAR_PATH_MAX	      4095
#define TAR_HEADER_MAX	      (1024 * 1024) /* bytes of one pax header or sparse map */
#define TAR_SEGMENT_COUNT_MAX 65536

enum tar_type {
	TAR_FILE,
	TAR_HARD_LINK,
	TAR_SYMLINK,
	TAR_CHAR,
	TAR_BLOCK_DEVICE,
	TAR_DIR,
	TAR_FIFO,
};

struct tar_xattr {
	const char *name; /* without NUL; "user.mime_type" */
	const void *value;
	uint32_t name_len, value_len;
};

/* Bytes [offset, offset + len) of a sparse file are at pos of the archive; between them are holes.
 */
struct tar_segment {
	uint64_t offset, len, pos;
};

struct tar_entry {
	enum tar_type type;
	const char *path; /* as the archive has it, never "" */
	const char *link; /* of links, else "" */
	uint32_t mode;	  /* the 12 bits */
	uint32_t uid, gid, major, minor;
	int64_t mtime_s;
	uint32_t mtime_ns;
	uint64_t size; /* of a file, holes included; else 0 */
	uint64_t pos;  /* where its data begins in the archive */
	bool sparse;
	const struct tar_segment *segments; /* of sparse files, in order, not overlapping */
	uint32_t segment_count;
	const struct tar_xattr *xattrs;
	uint32_t xattr_count;
};

/* Everything of the entry is valid during the call only. A negative result stops the parser. */
typedef int tar_entry_fn(void *arg, const struct tar_entry *entry, struct err *e);

struct tar_parser;

struct tar_parser *tar_parser_new(tar_entry_fn *entry, void *arg);
void tar_parser_free(struct tar_parser *p);
/* EBADMSG: not a tar, with the offset; ENOTSUP: a kind of entry that cannot be told; E2BIG: a
 * bound. After an error only tar_parser_free() may be called. */
must_check int tar_parser_feed(struct tar_parser *p, const void *data, size_t len, struct err *e);
/* No more bytes: EBADMSG in the middle of an entry. */
must_check int tar_parser_end(struct tar_parser *p, struct err *e);

#endif
