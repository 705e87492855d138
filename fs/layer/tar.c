/*
 * The tar parser's stream: blocks are gathered, headers read, data skipped.
 *
 *   HEADER  a block of a header is being gathered        -> TEXT, MAP_OLD, MAP, SKIP, ZERO
 *   TEXT    the bytes of a pax header or long name are    -> HEADER
 *   MAP_OLD further blocks of an old GNU sparse map are   -> SKIP
 *   MAP     a pax 1.0 sparse map before the data is       -> SKIP
 *   SKIP    data or padding passes by                     -> HEADER
 *   ZERO    one block of zeros has been seen              -> DONE
 *   DONE    whatever comes is not the archive's
 *
 * Must not know: trees, paths' meaning, compression.
 */
#include "fs/layer/tar.h"

#include "base/mem.h"
#include "fs/layer/tar_number.h"
#include "fs/layer/tar_pax.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum state { HEADER, TEXT, MAP_OLD, MAP, SKIP, ZERO, DONE };

struct tar_parser {
	tar_entry_fn *entry;
	void *arg;
	enum state state;
	uint64_t pos;	 /* bytes taken */
	uint64_t header; /* where the header of the entry began, for errors */
	uint64_t skip;	 /* SKIP, TEXT: bytes still to come, padding included */
	unsigned char block[TAR_BLOCK];
	size_t have;	 /* of block */
	char text_type;	 /* TEXT: which kind, */
	size_t text_len; /* and its bytes without padding */
	struct buf long_path, long_link, ignored;
	bool has_long_path, has_long_link;
	struct tar_pax pax;
	/* the entry while its sparse map is still coming */
	struct tar_entry now;
	char path[257], link[101]; /* from the header itself */
	uint64_t stored;	   /* bytes of data in the archive */
	struct tar_segment *segments;
	uint32_t segment_count;
	struct buf map;
	uint64_t map_want; /* numbers in a pax 1.0 map; 0 = not known yet */
};

struct tar_parser *tar_parser_new(tar_entry_fn *entry, void *arg)
{
	struct tar_parser *p = mem_new(struct tar_parser);

	p->entry = entry;
	p->arg = arg;
	return p;
}

void tar_parser_free(struct tar_parser *p)
{
	if (!p)
		return;
	tar_pax_release(&p->pax);
	buf_release(&p->long_path);
	buf_release(&p->long_link);
	buf_release(&p->ignored);
	buf_release(&p->map);
	free(p->segments);
	free(p);
}

static uint64_t padded(uint64_t len)
{
	return (len + TAR_BLOCK - 1) & ~(uint64_t)(TAR_BLOCK - 1);
}

static void field_text(char *out, const unsigned char *field, size_t len)
{
	size_t n = strnlen((const char *)field, len);

	memcpy(out, field, n);
	out[n] = 0;
}

/* ustar's prefix goes before the name; star's is shorter, GNU's header has other things there. */
static void header_path(const unsigned char *b, char out[257])
{
	size_t prefix_max = 0, n = 0;

	if (memcmp(b + 257, "ustar\0", 6) == 0)
		prefix_max = memcmp(b + 508, "tar\0", 4) == 0 ? 131 : 155;
	if (prefix_max)
		n = strnlen((const char *)b + 345, prefix_max);
	memcpy(out, b + 345, n);
	if (n)
		out[n++] = '/';
	field_text(out + n, b, 100);
}

static int number_in(const struct tar_parser *p, size_t at, size_t len, const char *what,
		     uint64_t max, uint64_t *out, struct err *e)
{
	int64_t v;

	if (!tar_number_field(p->block + at, len, &v))
		return err_set(e, EBADMSG, "%s is not a number", what);
	if (v < 0 || (uint64_t)v > max)
		return err_set(e, ENOTSUP, "%s is %" PRId64, what, v);
	*out = (uint64_t)v;
	return 0;
}

static int type_of(const struct tar_parser *p, enum tar_type *out, struct err *e)
{
	unsigned char c = p->block[156];
	const char *path = p->now.path;

	*out = TAR_FILE;
	switch (c) {
	case 0: /* before POSIX a slash made the directory */
		if (path[0] && path[strlen(path) - 1] == '/')
			*out = TAR_DIR;
		return 0;
	case '0':
	case '7':
	case 'S':
		return 0;
	case '1':
		*out = TAR_HARD_LINK;
		return 0;
	case '2':
		*out = TAR_SYMLINK;
		return 0;
	case '3':
		*out = TAR_CHAR;
		return 0;
	case '4':
		*out = TAR_BLOCK_DEVICE;
		return 0;
	case '5':
		*out = TAR_DIR;
		return 0;
	case '6':
		*out = TAR_FIFO;
		return 0;
	default:
		return err_set(e, ENOTSUP, "%.80s is of type %c (0x%02x)", path,
			       c >= ' ' && c < 127 ? c : '?', c);
	}
}

static int entry_names(struct tar_parser *p, struct err *e)
{
	struct tar_entry *t = &p->now;

	header_path(p->block, p->path);
	field_text(p->link, p->block + 157, 100);
	t->path = p->pax.path ? p->pax.path : p->path;
	t->link = p->pax.link ? p->pax.link : p->link;
	if (p->has_long_path)
		t->path = p->long_path.data;
	if (p->has_long_link)
		t->link = p->long_link.data;
	if (p->pax.sparse_path && (p->pax.sparse_in_data || p->pax.sparse_in_header))
		t->path = p->pax.sparse_path;
	if (!t->path[0])
		return err_set(e, EBADMSG, "an entry without a name");
	if (strlen(t->path) > TAR_PATH_MAX || strlen(t->link) > TAR_PATH_MAX)
		return err_set(e, E2BIG, "%.60s: a name of more than %d bytes", t->path,
			       TAR_PATH_MAX);
	return 0;
}

static int entry_owner(struct tar_parser *p, struct err *e)
{
	const struct tar_pax *x = &p->pax;
	struct tar_entry *t = &p->now;
	uint64_t uid = x->uid, gid = x->gid;
	int r = 0;

	if (!x->has_uid)
		r = number_in(p, 108, 8, "uid", UINT32_MAX, &uid, e);
	if (r == 0 && !x->has_gid)
		r = number_in(p, 116, 8, "gid", UINT32_MAX, &gid, e);
	if (r < 0)
		return r;
	if (uid > UINT32_MAX || gid > UINT32_MAX)
		return err_set(e, ENOTSUP, "an owner beyond 32 bits");
	t->uid = (uint32_t)uid;
	t->gid = (uint32_t)gid;
	if (x->has_mtime) {
		t->mtime_s = x->mtime_s;
		t->mtime_ns = x->mtime_ns;
	} else if (!tar_number_field(p->block + 136, 12, &t->mtime_s)) {
		return err_set(e, EBADMSG, "mtime is not a number");
	}
	return 0;
}

static int entry_numbers(struct tar_parser *p, struct err *e)
{
	struct tar_entry *t = &p->now;
	uint64_t mode, size, major = 0, minor = 0;
	int r = number_in(p, 100, 8, "mode", INT64_MAX, &mode, e);

	if (r == 0)
		r = entry_owner(p, e);
	if (r == 0)
		r = number_in(p, 124, 12, "size", INT64_MAX - TAR_BLOCK, &size, e);
	if (r == 0 && (t->type == TAR_CHAR || t->type == TAR_BLOCK_DEVICE)) {
		r = number_in(p, 329, 8, "major number", 4095, &major, e);
		if (r == 0)
			r = number_in(p, 337, 8, "minor number", 1048575, &minor, e);
	}
	if (r < 0)
		return r;
	t->mode = mode & 07777;
	t->major = (uint32_t)major;
	t->minor = (uint32_t)minor;
	if (p->pax.has_size)
		size = p->pax.size;
	if (size > INT64_MAX - 2 * TAR_BLOCK - p->pos)
		return err_set(e, EBADMSG, "a size beyond 63 bits");
	p->stored = t->type == TAR_FILE ? size : 0;
	t->size = p->stored;
	t->pos = p->pos;
	t->xattrs = p->pax.xattrs;
	t->xattr_count = p->pax.xattr_count;
	return 0;
}

static void take_segments(struct tar_parser *p, struct tar_segment **list, uint32_t *count)
{
	free(p->segments);
	p->segments = *list;
	p->segment_count = *count;
	*list = NULL;
	*count = 0;
}

/* Segments get their places; what does not fit together is refused. */
static int place_segments(struct tar_parser *p, struct err *e)
{
	struct tar_entry *t = &p->now;
	uint64_t pos = t->pos, left = p->stored, end = 0;

	for (uint32_t i = 0; i < p->segment_count; i++) {
		struct tar_segment *s = &p->segments[i];

		if (s->offset < end || s->len > left || s->offset > t->size ||
		    s->len > t->size - s->offset)
			return err_set(e, EBADMSG, "%.80s: a sparse map that does not fit",
				       t->path);
		s->pos = pos;
		pos += s->len;
		left -= s->len;
		end = s->offset + s->len;
	}
	if (left)
		return err_set(e, EBADMSG, "%.80s: a sparse map shorter than its data", t->path);
	t->segments = p->segments;
	t->segment_count = p->segment_count;
	return 0;
}

/* All is known: tells the entry and goes on behind its data. */
static int entry_done(struct tar_parser *p, struct err *e)
{
	int r = p->now.sparse ? place_segments(p, e) : 0;

	if (r == 0)
		r = p->entry(p->arg, &p->now, e);
	p->skip = padded(p->stored);
	p->state = SKIP;
	p->has_long_path = p->has_long_link = false;
	tar_pax_clear(&p->pax);
	return r;
}

/* One block's or header's places of an old GNU sparse map. */
static int old_segments(struct tar_parser *p, size_t at, int count, struct err *e)
{
	for (int i = 0; i < count; i++, at += 24) {
		uint64_t offset, len;
		int r;

		if (p->block[at] == 0) /* Go and GNU end the list here */
			return 0;
		r = number_in(p, at, 12, "a sparse offset", INT64_MAX, &offset, e);
		if (r == 0)
			r = number_in(p, at + 12, 12, "a sparse length", INT64_MAX, &len, e);
		if (r == 0)
			r = tar_segment_add(&p->segments, &p->segment_count, offset, len, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int old_sparse(struct tar_parser *p, struct err *e)
{
	int r = number_in(p, 483, 12, "a sparse file's size", INT64_MAX, &p->now.size, e);

	p->now.sparse = true;
	p->segment_count = 0;
	if (r == 0)
		r = old_segments(p, 386, 4, e);
	if (r < 0)
		return r;
	if (p->block[482]) {
		p->state = MAP_OLD;
		return 0;
	}
	return entry_done(p, e);
}

static int map_old_block(struct tar_parser *p, struct err *e)
{
	int r = old_segments(p, 0, 21, e);

	p->now.pos = p->pos;
	if (r == 0 && !p->block[504])
		r = entry_done(p, e);
	return r;
}

static int pax_sparse(struct tar_parser *p, struct err *e)
{
	if (p->pax.has_real_size)
		p->now.size = p->pax.real_size;
	p->now.sparse = true;
	p->segment_count = 0;
	if (p->pax.sparse_in_data) {
		p->state = MAP;
		p->map_want = 0;
		buf_clear(&p->map);
		return 0;
	}
	take_segments(p, &p->pax.segments, &p->pax.segment_count);
	return entry_done(p, e);
}

/* Reads the numbers, each on a line, that are there: first their count (of pairs). done_out says
 * whether the map is whole. */
static int map_numbers(struct tar_parser *p, bool *done_out, struct err *e)
{
	const char *at = p->map.data, *end = at + p->map.len, *stop;
	uint64_t v, offset = 0, n = 0;

	*done_out = false;
	p->segment_count = 0;
	for (; (stop = memchr(at, '\n', (size_t)(end - at))); at = stop + 1, n++) {
		int r = 0;

		if (!tar_number_decimal(at, (size_t)(stop - at), &v))
			return err_set(e, EBADMSG, "a sparse map that is not of numbers");
		if (n == 0 && v > TAR_SEGMENT_COUNT_MAX)
			return err_set(e, E2BIG, "a sparse file of %" PRIu64 " pieces", v);
		if (n == 0)
			p->map_want = 2 * v + 1;
		else if (n % 2 == 0)
			r = tar_segment_add(&p->segments, &p->segment_count, offset, v, e);
		else
			offset = v;
		if (r < 0)
			return r;
		if (n + 1 == p->map_want) {
			*done_out = true;
			return 0;
		}
	}
	return 0;
}

static int map_block(struct tar_parser *p, struct err *e)
{
	size_t lines = 0;
	bool done;
	int r;

	if (p->stored < TAR_BLOCK || p->map.len >= TAR_HEADER_MAX)
		return err_set(e, EBADMSG, "a sparse map that does not end");
	p->stored -= TAR_BLOCK;
	buf_append(&p->map, p->block, TAR_BLOCK);
	/* Reading it again for every block would be quadratic: only once all lines are there. */
	if (p->map_want) {
		for (size_t i = 0; i < p->map.len; i++)
			lines += p->map.data[i] == '\n';
		if (lines < p->map_want)
			return 0;
	}
	r = map_numbers(p, &done, e);
	if (r < 0 || !done)
		return r;
	p->now.pos = p->pos;
	return entry_done(p, e);
}

/* A header whose bytes are told in its data: gathered, then read. */
static int begin_text(struct tar_parser *p, char type, struct err *e)
{
	uint64_t size;
	int r = number_in(p, 124, 12, "size", INT64_MAX - TAR_BLOCK, &size, e);

	if (r < 0)
		return r;
	if (size > TAR_HEADER_MAX)
		return err_set(e, E2BIG, "a header of %" PRIu64 " bytes", size);
	p->text_type = type;
	p->text_len = size;
	p->skip = padded(size);
	p->state = TEXT;
	if (type == 'x')
		tar_pax_clear(&p->pax);
	else if (type == 'g')
		buf_clear(&p->ignored);
	else
		buf_clear(type == 'L' ? &p->long_path : &p->long_link);
	return 0;
}

static struct buf *text_of(struct tar_parser *p)
{
	switch (p->text_type) {
	case 'x':
		return &p->pax.text;
	case 'L':
		return &p->long_path;
	case 'K':
		return &p->long_link;
	default:
		return &p->ignored;
	}
}

static int end_text(struct tar_parser *p, struct err *e)
{
	struct buf *text = text_of(p);

	p->state = HEADER;
	buf_append(text, "", 0);
	if (p->text_type == 'x')
		return tar_pax_parse(&p->pax, e);
	if (p->text_type == 'L')
		p->has_long_path = text->len > 0 && text->data[0];
	if (p->text_type == 'K')
		p->has_long_link = text->len > 0 && text->data[0];
	return 0;
}

static int header_block(struct tar_parser *p, struct err *e)
{
	static const unsigned char zeros[TAR_BLOCK];
	char type = (char)p->block[156];
	int r;

	p->header = p->pos - TAR_BLOCK;
	if (memcmp(p->block, zeros, TAR_BLOCK) == 0) {
		p->state = p->state == ZERO ? DONE : ZERO;
		return 0;
	}
	if (p->state == ZERO)
		return err_set(e, EBADMSG, "one block of zeros and then something else");
	if (!tar_checksum_right(p->block))
		return err_set(e, EBADMSG, "not a tar header (its checksum is wrong)");
	if (type == 'x' || type == 'g' || type == 'L' || type == 'K')
		return begin_text(p, type, e);
	p->now = (struct tar_entry){0};
	r = entry_names(p, e);
	if (r == 0)
		r = type_of(p, &p->now.type, e);
	if (r == 0)
		r = entry_numbers(p, e);
	if (r < 0)
		return r;
	if (type == 'S')
		return old_sparse(p, e);
	if (p->now.type == TAR_FILE && (p->pax.sparse_in_data || p->pax.sparse_in_header))
		return pax_sparse(p, e);
	return entry_done(p, e);
}

static int whole_block(struct tar_parser *p, struct err *e)
{
	p->have = 0;
	if (p->state == MAP_OLD)
		return map_old_block(p, e);
	if (p->state == MAP)
		return map_block(p, e);
	return header_block(p, e);
}

/* Takes what the state can use of the bytes; returns how many in *used. */
static int step(struct tar_parser *p, const unsigned char *data, size_t len, size_t *used,
		struct err *e)
{
	size_t n = len;

	if (p->state == DONE) {
		*used = len;
		return 0;
	}
	if (p->state == SKIP || p->state == TEXT) {
		if (n > p->skip)
			n = (size_t)p->skip;
		if (p->state == TEXT) {
			struct buf *text = text_of(p);
			size_t left = p->text_len - text->len;

			buf_append(text, data, n < left ? n : left);
		}
		p->skip -= n;
		p->pos += n;
		*used = n;
		if (p->skip)
			return 0;
		if (p->state == TEXT)
			return end_text(p, e);
		p->state = HEADER;
		return 0;
	}
	if (n > TAR_BLOCK - p->have)
		n = TAR_BLOCK - p->have;
	memcpy(p->block + p->have, data, n);
	p->have += n;
	p->pos += n;
	*used = n;
	return p->have == TAR_BLOCK ? whole_block(p, e) : 0;
}

int tar_parser_feed(struct tar_parser *p, const void *data, size_t len, struct err *e)
{
	const unsigned char *at = data;
	struct err why;

	while (len) {
		size_t used = 0;

		if (step(p, at, len, &used, &why) < 0) {
			err_wrap(&why, "tar entry at %" PRIu64, p->header);
			return err_copy(e, &why);
		}
		at += used;
		len -= used;
	}
	return 0;
}

int tar_parser_end(struct tar_parser *p, struct err *e)
{
	/* umoci leaves out what pads the last file; Go's reader does not miss it. */
	bool between = p->state == HEADER ||
		       (p->state == SKIP && p->skip <= padded(p->stored) - p->stored);
	bool pending = p->has_long_path || p->has_long_link || p->pax.text.len;

	if (p->state == DONE || p->state == ZERO || (between && p->have == 0 && !pending))
		return 0;
	return err_set(e, EBADMSG, "the tar ends in the middle of the entry at %" PRIu64,
		       p->header);
}
