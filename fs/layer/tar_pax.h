/* What a pax header says of the entry that follows it. */
#ifndef FS_LAYER_TAR_PAX_H
#define FS_LAYER_TAR_PAX_H

#include "base/buf.h"
#include "fs/layer/tar.h"

struct tar_pax {
	struct buf text;	 /* the header's bytes; the rest points into it */
	const char *path, *link; /* NULL = not said */
	bool has_size, has_uid, has_gid, has_mtime;
	uint64_t size, uid, gid;
	int64_t mtime_s;
	uint32_t mtime_ns;
	struct tar_xattr *xattrs;
	uint32_t xattr_count;
	/* GNU.sparse.*: a map in the header itself (0.0, 0.1) or before the data (1.0) */
	bool sparse_in_header, sparse_in_data, has_real_size;
	uint64_t sparse_major, sparse_minor, real_size;
	const char *sparse_path;
	struct tar_segment *segments; /* pos is not set */
	uint32_t segment_count;
	bool has_half; /* an offset whose numbytes has not come */
};

/* Reads p->text, which it changes. EBADMSG, E2BIG. */
must_check int tar_pax_parse(struct tar_pax *p, struct err *e);
/* Forgets everything, the text included. */
void tar_pax_clear(struct tar_pax *p);
void tar_pax_release(struct tar_pax *p);

/* Adds a segment to a growing list; E2BIG beyond TAR_SEGMENT_COUNT_MAX. */
must_check int tar_segment_add(struct tar_segment **list, uint32_t *count, uint64_t offset,
			       uint64_t len, struct err *e);

#endif
