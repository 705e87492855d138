/* Places in the image are computed from numbers of 32 bits or less, so that their sums fit. */
#include "fs/layer/erofs_tree.h"

#include "base/mem.h"
#include "fs/layer/erofs_plan.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENTRY_LEN      ((uint32_t)sizeof(struct erofs_dirent))
#define ENTRIES_MAX    (EROFS_BLOCK / ENTRY_LEN)
#define AT_BITS	       6 /* of a place in a directory: the entry; above it the block */
#define CHUNKS_AT_ONCE 64

_Static_assert(ENTRIES_MAX < 1 << AT_BITS, "an entry's number fits");

struct erofs_tree {
	int fd;
	uint64_t len, root, inode_count, tar_len, xattr_offset;
};

static int bad(struct err *e, const char *what, uint64_t nid)
{
	return err_set(e, EBADMSG, "the layer's tree is damaged: %s of inode %" PRIu64, what, nid);
}

/* All of it or an error. */
static int get(const struct erofs_tree *t, uint64_t at, void *data, size_t len, struct err *e)
{
	char *to = data;

	if (at > t->len || len > t->len - at)
		return err_set(e, EBADMSG, "the layer's tree is damaged: %zu bytes at %" PRIu64,
			       len, at);
	while (len > 0) {
		ssize_t n = pread(t->fd, to, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, n < 0 ? errno : EBADMSG, "read the layer's tree");
		to += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* ---- opening */

static int take_super(struct erofs_tree *t, struct err *e)
{
	struct erofs_super s;
	struct erofs_device d;
	uint32_t features = EROFS_INCOMPAT_CHUNKED_FILE | EROFS_INCOMPAT_DEVICE_TABLE;
	int r = get(t, EROFS_SUPER_OFFSET, &s, sizeof(s), e);

	if (r == 0)
		r = get(t, (uint64_t)le16toh(s.device_slot) * sizeof(d), &d, sizeof(d), e);
	if (r < 0)
		return r;
	if (le32toh(s.magic) != EROFS_MAGIC || s.block_bits != EROFS_BLOCK_BITS ||
	    le32toh(s.feature_incompat) != features || le16toh(s.extra_devices) != 1 ||
	    le32toh(s.meta_block) != 0 || s.dir_block_bits != 0)
		return err_set(e, EBADMSG, "not the tree of a layer");
	t->root = le16toh(s.root_nid);
	t->inode_count = le64toh(s.inode_count);
	t->xattr_offset = (uint64_t)le32toh(s.xattr_block) * EROFS_BLOCK;
	t->tar_len = (uint64_t)le32toh(d.block_count) * EROFS_BLOCK;
	return 0;
}

int erofs_tree_open(int fd, struct erofs_tree **out, struct err *e)
{
	struct erofs_tree *t = mem_new(struct erofs_tree);
	struct erofs_attr root;
	struct stat st = {0};
	int r = 0;

	t->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (t->fd < 0 || fstat(t->fd, &st) < 0)
		r = err_set(e, errno, "keep the layer's tree open");
	t->len = (uint64_t)st.st_size;
	if (r == 0)
		r = take_super(t, e);
	if (r == 0)
		r = erofs_tree_attr(t, t->root, &root, e);
	if (r == 0 && !S_ISDIR(root.mode))
		r = bad(e, "kind", t->root);
	if (r < 0) {
		erofs_tree_free(t);
		return r;
	}
	*out = t;
	return 0;
}

void erofs_tree_free(struct erofs_tree *t)
{
	if (!t)
		return;
	close_at(&t->fd);
	free(t);
}

uint64_t erofs_tree_root(const struct erofs_tree *t)
{
	return t->root;
}

uint64_t erofs_tree_inode_count(const struct erofs_tree *t)
{
	return t->inode_count;
}

uint64_t erofs_tree_tar_len(const struct erofs_tree *t)
{
	return t->tar_len;
}

/* ---- inodes */

int erofs_tree_attr(const struct erofs_tree *t, uint64_t nid, struct erofs_attr *out, struct err *e)
{
	uint16_t format, slots;
	struct erofs_inode i;
	int r;

	if (nid > EROFS_NID_MAX)
		return bad(e, "place", nid);
	r = get(t, nid * EROFS_SLOT, &i, sizeof(i), e);
	if (r < 0)
		return r;
	format = le16toh(i.format);
	slots = le16toh(i.xattr_slots);
	*out = (struct erofs_attr){
		.nid = nid,
		.mode = le16toh(i.mode),
		.uid = le32toh(i.uid),
		.gid = le32toh(i.gid),
		.nlink = le32toh(i.nlink),
		.size = le64toh(i.size),
		.mtime_s = (int64_t)le64toh(i.mtime_s),
		.mtime_ns = le32toh(i.mtime_ns),
		.data = le32toh(i.data),
		.layout = (uint8_t)(format >> 1 & 7),
	};
	if (slots)
		out->xattr_len = (uint32_t)sizeof(struct erofs_xattr_head) + 4u * (slots - 1);
	if (S_ISCHR(out->mode) || S_ISBLK(out->mode))
		out->rdev = out->data;
	/* A directory's or target's data are in the image; places in it must not overflow. */
	if (!(format & 1) || out->mtime_ns >= 1000000000 || out->size > INT64_MAX)
		return bad(e, "format", nid);
	if ((S_ISDIR(out->mode) || S_ISLNK(out->mode)) &&
	    (out->size > t->len ||
	     (out->layout != EROFS_FLAT_PLAIN && out->layout != EROFS_FLAT_INLINE)))
		return bad(e, "length", nid);
	return 0;
}

/* What follows the inode and its attributes. */
static uint64_t behind(const struct erofs_attr *a)
{
	return a->nid * EROFS_SLOT + sizeof(struct erofs_inode) + a->xattr_len;
}

/* Data of a directory or a symbolic link: blocks, and the tail behind the inode if it is inline.
 * One block at most, whole. */
static int get_block(const struct erofs_tree *t, const struct erofs_attr *a, uint64_t no,
		     unsigned char data[EROFS_BLOCK], uint32_t *len_out, struct err *e)
{
	uint64_t off = no * EROFS_BLOCK, left = a->size - off, at;
	bool tail = a->layout == EROFS_FLAT_INLINE && left < EROFS_BLOCK;

	*len_out = left < EROFS_BLOCK ? (uint32_t)left : EROFS_BLOCK;
	at = tail ? behind(a) : (uint64_t)a->data * EROFS_BLOCK + off;
	return get(t, at, data, *len_out, e);
}

int erofs_tree_target(const struct erofs_tree *t, const struct erofs_attr *link,
		      char text[EROFS_TARGET_MAX + 1], struct err *e)
{
	unsigned char block[EROFS_BLOCK];
	uint32_t len;

	if (!S_ISLNK(link->mode))
		return err_set(e, EINVAL, "inode %" PRIu64 " is no symbolic link", link->nid);
	if (link->size > EROFS_TARGET_MAX)
		return bad(e, "target", link->nid);
	for (uint64_t no = 0; no * EROFS_BLOCK < link->size; no++) {
		int r = get_block(t, link, no, block, &len, e);

		if (r < 0)
			return r;
		memcpy(text + no * EROFS_BLOCK, block, len);
	}
	text[link->size] = '\0';
	return strlen(text) == link->size ? 0 : bad(e, "target", link->nid);
}

/* ---- directories */

struct dir_block {
	unsigned char bytes[EROFS_BLOCK];
	uint32_t len, count;
};

static struct erofs_dirent entry_of(const struct dir_block *b, uint32_t i)
{
	struct erofs_dirent d;

	memcpy(&d, b->bytes + i * ENTRY_LEN, sizeof(d));
	return d;
}

/* The first name's place tells how many entries there are. */
static int get_dir_block(const struct erofs_tree *t, const struct erofs_attr *dir, uint64_t no,
			 struct dir_block *b, struct err *e)
{
	uint32_t first;
	int r = get_block(t, dir, no, b->bytes, &b->len, e);

	if (r < 0)
		return r;
	if (b->len < ENTRY_LEN)
		return bad(e, "entries", dir->nid);
	first = le16toh(entry_of(b, 0).name_offset);
	b->count = first / ENTRY_LEN;
	if (first % ENTRY_LEN || b->count == 0 || first > b->len)
		return bad(e, "entries", dir->nid);
	return 0;
}

/* The name of entry i: up to the next one's, of the last to the first NUL or the block's end. */
static int name_at(const struct erofs_attr *dir, const struct dir_block *b, uint32_t i,
		   const char **name_out, uint32_t *len_out, struct err *e)
{
	uint32_t from = le16toh(entry_of(b, i).name_offset), to = b->len;

	if (i + 1 < b->count)
		to = le16toh(entry_of(b, i + 1).name_offset);
	if (from < b->count * ENTRY_LEN || to > b->len || from >= to)
		return bad(e, "names", dir->nid);
	*name_out = (const char *)b->bytes + from;
	*len_out = i + 1 < b->count ? to - from : (uint32_t)strnlen(*name_out, to - from);
	if (*len_out == 0 || *len_out > 255 || memchr(*name_out, '\0', *len_out) ||
	    memchr(*name_out, '/', *len_out))
		return bad(e, "names", dir->nid);
	return 0;
}

static int name_order(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int c = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return c ? c : (a_len > b_len) - (a_len < b_len);
}

static uint64_t block_count(const struct erofs_attr *dir)
{
	return (dir->size + EROFS_BLOCK - 1) / EROFS_BLOCK;
}

/* The last block whose first name is not behind this one; names are sorted. */
static int find_block(const struct erofs_tree *t, const struct erofs_attr *dir, const char *name,
		      size_t len, struct dir_block *b, struct err *e)
{
	uint64_t low = 0, high = block_count(dir), loaded = UINT64_MAX;
	const char *first;
	uint32_t first_len;
	int r;

	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;

		r = get_dir_block(t, dir, middle, b, e);
		if (r == 0)
			r = name_at(dir, b, 0, &first, &first_len, e);
		if (r < 0)
			return r;
		loaded = middle;
		if (name_order(first, first_len, name, len) <= 0)
			low = middle;
		else
			high = middle;
	}
	return loaded == low ? 0 : get_dir_block(t, dir, low, b, e);
}

int erofs_tree_lookup(const struct erofs_tree *t, const struct erofs_attr *dir, const char *name,
		      uint64_t *nid_out, struct err *e)
{
	size_t len = strlen(name);
	struct dir_block b;
	int r;

	if (!S_ISDIR(dir->mode))
		return err_set(e, ENOTDIR, "inode %" PRIu64, dir->nid);
	if (dir->size == 0)
		return err_set(e, ENOENT, "%.200s", name);
	r = find_block(t, dir, name, len, &b, e);
	for (uint32_t i = 0; r == 0 && i < b.count; i++) {
		const char *text;
		uint32_t text_len;

		r = name_at(dir, &b, i, &text, &text_len, e);
		if (r == 0 && text_len == len && memcmp(text, name, len) == 0) {
			*nid_out = le64toh(entry_of(&b, i).nid);
			return 0;
		}
	}
	return r < 0 ? r : err_set(e, ENOENT, "%.200s", name);
}

int erofs_tree_next(const struct erofs_tree *t, const struct erofs_attr *dir, uint64_t at,
		    struct erofs_name *out, bool *found_out, struct err *e)
{
	uint64_t no = at >> AT_BITS;
	uint32_t i = (uint32_t)(at & ((1u << AT_BITS) - 1)), len;
	struct dir_block b;
	const char *text;
	int r;

	*found_out = false;
	if (!S_ISDIR(dir->mode))
		return err_set(e, ENOTDIR, "inode %" PRIu64, dir->nid);
	if (no >= block_count(dir))
		return 0;
	r = get_dir_block(t, dir, no, &b, e);
	if (r < 0)
		return r;
	if (i >= b.count)
		return err_set(e, EINVAL, "no name of inode %" PRIu64 " is there", dir->nid);
	r = name_at(dir, &b, i, &text, &len, e);
	if (r < 0)
		return r;
	memcpy(out->text, text, len);
	out->text[len] = '\0';
	out->nid = le64toh(entry_of(&b, i).nid);
	out->next = i + 1 < b.count ? no << AT_BITS | (i + 1) : (no + 1) << AT_BITS;
	*found_out = true;
	return 0;
}

/* ---- contents of files */

/* Joins it to the one before if it goes on there. */
static bool add_extent(struct erofs_extent *out, unsigned count_max, unsigned *count,
		       const struct erofs_extent *x)
{
	struct erofs_extent *last = *count ? &out[*count - 1] : NULL;

	if (last && last->hole == x->hole && (x->hole || last->pos + last->len == x->pos)) {
		last->len += x->len;
		return true;
	}
	if (*count == count_max)
		return false;
	out[(*count)++] = *x;
	return true;
}

static int chunk_extent(const struct erofs_tree *t, const struct erofs_chunk *c, uint64_t inside,
			uint32_t len, struct erofs_extent *out)
{
	uint64_t block = le32toh(c->block);

	*out = (struct erofs_extent){.len = len, .hole = block == EROFS_NULL_BLOCK};
	if (out->hole)
		return 0;
	out->pos = block * EROFS_BLOCK + inside;
	return le16toh(c->device) == 1 && out->pos <= t->tar_len && len <= t->tar_len - out->pos
		       ? 0
		       : -1;
}

int erofs_tree_extents(const struct erofs_tree *t, const struct erofs_attr *file, uint64_t off,
		       uint32_t len, struct erofs_extent *out, unsigned count_max,
		       unsigned *count_out, struct err *e)
{
	unsigned bits = EROFS_BLOCK_BITS + (file->data & EROFS_CHUNK_BITS);
	struct erofs_chunk chunks[CHUNKS_AT_ONCE];
	uint64_t have = UINT64_MAX, table = (behind(file) + 7) / 8 * 8;

	*count_out = 0;
	if (!S_ISREG(file->mode) || off > file->size || len > file->size - off)
		return err_set(e, EINVAL, "inode %" PRIu64 " has no such bytes", file->nid);
	if (len > 0 && (file->layout != EROFS_CHUNK_BASED || !(file->data & EROFS_CHUNK_INDEXES)))
		return bad(e, "contents", file->nid);
	while (len > 0) {
		uint64_t no = off >> bits, inside = off & ((UINT64_C(1) << bits) - 1);
		uint64_t left = (UINT64_C(1) << bits) - inside;
		uint64_t last = (file->size - 1) >> bits, base = no - no % CHUNKS_AT_ONCE;
		uint64_t some = last - base + 1 < CHUNKS_AT_ONCE ? last - base + 1 : CHUNKS_AT_ONCE;
		uint32_t n = left < len ? (uint32_t)left : len;
		struct erofs_extent x;
		int r;

		if (no > UINT32_MAX)
			return bad(e, "contents", file->nid);
		if (have != base) {
			r = get(t, table + base * sizeof(chunks[0]), chunks,
				(size_t)some * sizeof(chunks[0]), e);
			if (r < 0)
				return r;
			have = base;
		}
		if (chunk_extent(t, &chunks[no - base], inside, n, &x) < 0)
			return bad(e, "contents", file->nid);
		if (!add_extent(out, count_max, count_out, &x))
			return err_set(e, E2BIG, "inode %" PRIu64 " is in too many pieces",
				       file->nid);
		off += n;
		len -= n;
	}
	return 0;
}

/* ---- extended attributes */

struct attribute {
	char name[32 + 256];
	uint64_t value_at, end;
	uint32_t value_len;
};

static int get_attribute(const struct erofs_tree *t, uint64_t at, struct attribute *out,
			 struct err *e)
{
	struct erofs_xattr head;
	const char *prefix;
	size_t prefix_len;
	int r = get(t, at, &head, sizeof(head), e);

	if (r < 0)
		return r;
	prefix = erofs_xattr_prefix_text(head.prefix);
	if (!prefix)
		return err_set(e, EBADMSG, "the layer's tree is damaged: an attribute at %" PRIu64,
			       at);
	prefix_len = strlen(prefix);
	memcpy(out->name, prefix, prefix_len);
	at += sizeof(head);
	r = get(t, at, out->name + prefix_len, head.name_len, e);
	out->name[prefix_len + head.name_len] = '\0';
	out->value_at = at + head.name_len;
	out->value_len = le16toh(head.value_len);
	out->end = (out->value_at + out->value_len + 3) / 4 * 4;
	return r;
}

/* An inode's attributes, one after another: first those that it shares, then its own. */
struct attribute_walk {
	uint64_t shared_at, at, end;
	uint32_t shared_left;
};

static int walk_begin(const struct erofs_tree *t, const struct erofs_attr *a,
		      struct attribute_walk *w, struct err *e)
{
	uint64_t head_at = behind(a) - a->xattr_len;
	struct erofs_xattr_head head;
	int r;

	*w = (struct attribute_walk){0};
	if (a->xattr_len == 0)
		return 0;
	r = get(t, head_at, &head, sizeof(head), e);
	if (r < 0)
		return r;
	w->shared_at = head_at + sizeof(head);
	w->shared_left = head.shared_count;
	w->at = w->shared_at + 4u * head.shared_count;
	w->end = behind(a);
	return w->at <= w->end ? 0 : bad(e, "attributes", a->nid);
}

static int walk_next(const struct erofs_tree *t, struct attribute_walk *w, struct attribute *out,
		     bool *found_out, struct err *e)
{
	uint32_t word;
	int r;

	*found_out = w->shared_left > 0 || w->at < w->end;
	if (!*found_out)
		return 0;
	if (w->shared_left > 0) {
		r = get(t, w->shared_at, &word, sizeof(word), e);
		w->shared_at += sizeof(word);
		w->shared_left--;
		return r < 0 ? r
			     : get_attribute(t, t->xattr_offset + (uint64_t)le32toh(word) * 4, out,
					     e);
	}
	r = get_attribute(t, w->at, out, e);
	w->at = out->end;
	return r;
}

int erofs_tree_xattr(const struct erofs_tree *t, const struct erofs_attr *a, const char *name,
		     void *value, size_t size, size_t *len_out, struct err *e)
{
	struct attribute_walk w;
	struct attribute one;
	bool found = true;
	int r = walk_begin(t, a, &w, e);

	while (r == 0 && found) {
		r = walk_next(t, &w, &one, &found, e);
		if (r < 0 || !found || strcmp(one.name, name) != 0)
			continue;
		*len_out = one.value_len;
		if (size == 0)
			return 0;
		if (size < one.value_len)
			return err_set(e, ERANGE, "%.200s", name);
		return get(t, one.value_at, value, one.value_len, e);
	}
	return r < 0 ? r : err_set(e, ENODATA, "%.200s", name);
}

int erofs_tree_xattrs(const struct erofs_tree *t, const struct erofs_attr *a,
		      void (*fn)(void *arg, const char *name), void *arg, struct err *e)
{
	struct attribute_walk w;
	struct attribute one;
	bool found = true;
	int r = walk_begin(t, a, &w, e);

	while (r == 0 && found) {
		r = walk_next(t, &w, &one, &found, e);
		if (r == 0 && found)
			fn(arg, one.name);
	}
	return r;
}
