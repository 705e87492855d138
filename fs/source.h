/*
 * What the file system is handed: a tree of blobs to show and to read. The daemon implements it
 * (daemon/blobs.c), tests use a fake. Calls come on FUSE threads and must not block: every
 * answer goes through a callback, at once or later, on any thread, without locks held.
 */
#ifndef FS_SOURCE_H
#define FS_SOURCE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum fs_kind { FS_DIR, FS_FILE, FS_LINK };

/* The source's object behind a file; reference-counted by the source. The kernel keeps names for
 * long, so a blob that nobody has open should hold no descriptor. */
struct fs_blob;

/* What a name is. Texts are valid during the callback only. */
struct fs_entry {
	enum fs_kind kind;
	uint64_t size;
	int64_t mtime_ms;     /* wall */
	uint64_t version;     /* another one: a blob's content is another one */
	const char *link;     /* FS_LINK: target */
	const void *data;     /* FS_FILE: small whole content (manifest.json), instead of a blob */
	struct fs_blob *blob; /* FS_FILE: a new reference, NULL with data */
	bool lasting;	      /* never changes: cache for a day; otherwise not at all */
};

/* Embedded in the file system's request. */
struct fs_lookup {
	/* e: ENOENT, EACCES, EIO, ETIMEDOUT, ... Exactly one of entry and e is set. */
	void (*done)(struct fs_lookup *l, const struct fs_entry *entry, const struct err *e);
	void *arg;
	void *private_; /* the source's */
};

/* An open that waits; as lookup. e NULL: it is open. */
struct fs_open {
	void (*done)(struct fs_open *o, const struct err *e);
	void *arg;
	void *private_;
};

/* Verified bytes: reply with (fd, off). Valid during done() only. */
struct fs_extent {
	int fd;
	uint64_t off;
	uint32_t len;
};

/* A read that waits; as lookup. */
struct fs_read {
	void (*done)(struct fs_read *r, const struct fs_extent *extents, unsigned count,
		     const struct err *e);
	void *arg;
	void *private_;
};

typedef void (*fs_list_fn)(void *arg, const char *name, enum fs_kind kind);

/*
 * The three cancel calls: true: taken back, done() will not come; false: done() has been or is
 * being called. At most one per request; it may meet done() on another thread, and come after
 * done() has returned: the request's memory is still there then. They must not wait for done().
 */
struct fs_source_ops {
	/* path: relative to the mount, no leading '/', e.g. "sha256/<hex>", "oci/reg:5000/a/b/v1".
	 * The parents have been looked up before. */
	void (*lookup)(void *src, const char *path, struct fs_lookup *l);
	bool (*lookup_cancel)(void *src, struct fs_lookup *l);
	/* Names in a directory: what is local, no network, may take a lock but not block on I/O. */
	void (*list)(void *src, const char *path, fs_list_fn fn, void *arg);
	/* Before read, complete_fd and attr; a blob may be open several times. */
	void (*open)(void *src, struct fs_blob *b, struct fs_open *o);
	bool (*open_cancel)(void *src, struct fs_open *o);
	void (*close)(void *src, struct fs_blob *b);
	/* [off, off+len) is inside the blob; extents are in order and cover it. */
	void (*read)(void *src, struct fs_blob *b, uint64_t off, uint32_t len, struct fs_read *r);
	bool (*read_cancel)(void *src, struct fs_read *r);
	/* Descriptor of a complete, verified blob for passthrough, -1 if it is not. Borrowed while
	 * b is open. */
	int (*complete_fd)(void *src, struct fs_blob *b);
	void (*ref)(void *src, struct fs_blob *b); /* only counts: called under a lock */
	void (*unref)(void *src, struct fs_blob *b);
	/* Extended attributes of a blob, without the prefix "user.d7y.": task_id, digest, url,
	 * pieces, bytes_local, source, error. -1: no such attribute; otherwise the length, text cut
	 * to size. */
	int (*attr)(void *src, struct fs_blob *b, const char *name, char *text, size_t size);
};

#endif
