/* Parses pax headers: records "<length> <key>=<value>\n". Must not know blocks or the stream. */
#include "fs/layer/tar_pax.h"

#include "base/mem.h"
#include "fs/layer/tar_number.h"

#include <errno.h>
#include <string.h>

#define XATTR_COUNT_MAX 1024

struct record {
	const char *key, *value; /* both end in NUL; the value may hold more of them */
	size_t key_len, value_len;
};

int tar_segment_add(struct tar_segment **list, uint32_t *count, uint64_t offset, uint64_t len,
		    struct err *e)
{
	uint32_t n = *count;

	if (n >= TAR_SEGMENT_COUNT_MAX)
		return err_set(e, E2BIG, "a sparse file of more than %d pieces",
			       TAR_SEGMENT_COUNT_MAX);
	/* Grows at powers of two. */
	if ((n & (n - 1)) == 0)
		*list = mem_realloc(*list, (n ? 2 * (size_t)n : 1) * sizeof(**list));
	(*list)[n] = (struct tar_segment){.offset = offset, .len = len};
	*count = n + 1;
	return 0;
}

/* Cuts the next record off the text. */
static int next_record(char *text, size_t len, size_t *at, struct record *out, struct err *e)
{
	char *start = text + *at, *blank = memchr(start, ' ', len - *at), *equals, *end;
	uint64_t n;

	if (!blank || !tar_number_decimal(start, (size_t)(blank - start), &n) || n > len - *at ||
	    n < (uint64_t)(blank - start) + 4)
		return err_set(e, EBADMSG, "a pax record without a proper length");
	end = start + n - 1;
	equals = memchr(blank, '=', (size_t)(end - blank));
	if (*end != '\n' || !equals || equals == blank + 1)
		return err_set(e, EBADMSG, "a pax record that is not key=value");
	*equals = 0;
	*end = 0;
	*out = (struct record){blank + 1, equals + 1, (size_t)(equals - blank - 1),
			       (size_t)(end - equals - 1)};
	if (strlen(out->key) != out->key_len)
		return err_set(e, EBADMSG, "a pax key with a NUL in it");
	*at += n;
	return 0;
}

static int set_text(const char **to, const struct record *r, struct err *e)
{
	if (strlen(r->value) != r->value_len)
		return err_set(e, EBADMSG, "pax %s with a NUL in it", r->key);
	*to = r->value_len ? r->value : NULL; /* an empty value takes the record back */
	return 0;
}

static int set_number(uint64_t *to, bool *has, const struct record *r, struct err *e)
{
	if (has)
		*has = r->value_len > 0;
	if (r->value_len && !tar_number_decimal(r->value, r->value_len, to))
		return err_set(e, EBADMSG, "pax %s=%.40s is not a number", r->key, r->value);
	return 0;
}

static int set_mtime(struct tar_pax *p, const struct record *r, struct err *e)
{
	p->has_mtime = r->value_len > 0;
	if (p->has_mtime && !tar_number_time(r->value, r->value_len, &p->mtime_s, &p->mtime_ns))
		return err_set(e, EBADMSG, "pax mtime=%.40s is not a time", r->value);
	return 0;
}

static int add_xattr(struct tar_pax *p, const char *name, const struct record *r, struct err *e)
{
	size_t name_len = strlen(name);
	uint32_t n = p->xattr_count;

	if (name_len == 0 || name_len > 255)
		return err_set(e, EBADMSG, "an extended attribute's name of %zu bytes", name_len);
	if (r->value_len > 65535 || n >= XATTR_COUNT_MAX)
		return err_set(e, E2BIG, "extended attribute %.60s beyond 64 KiB or number %d",
			       name, XATTR_COUNT_MAX);
	if ((n & (n - 1)) == 0)
		p->xattrs = mem_realloc(p->xattrs, (n ? 2 * (size_t)n : 1) * sizeof(*p->xattrs));
	p->xattrs[p->xattr_count++] =
		(struct tar_xattr){name, r->value, (uint32_t)name_len, (uint32_t)r->value_len};
	return 0;
}

/* GNU.sparse.map of 0.1: "offset,length,offset,length…" */
static int set_map(struct tar_pax *p, const struct record *r, struct err *e)
{
	const char *at = r->value, *end = at + r->value_len;
	uint64_t pair[2] = {0, 0};
	int have = 0, err;

	p->segment_count = 0;
	p->sparse_in_header = true;
	while (at < end) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		const char *stop = comma ? comma : end;

		if (!tar_number_decimal(at, (size_t)(stop - at), &pair[have]))
			return err_set(e, EBADMSG, "a sparse map that is not of numbers");
		have = !have;
		if (!have) {
			err = tar_segment_add(&p->segments, &p->segment_count, pair[0], pair[1], e);
			if (err < 0)
				return err;
		}
		at = comma ? comma + 1 : end;
	}
	return have ? err_set(e, EBADMSG, "a sparse map of an odd count") : 0;
}

/* GNU.sparse.offset and .numbytes of 0.0 come in turn, once for every segment. */
static int add_half(struct tar_pax *p, const struct record *r, bool is_offset, struct err *e)
{
	uint64_t v;

	if (!tar_number_decimal(r->value, r->value_len, &v) || is_offset == p->has_half)
		return err_set(e, EBADMSG, "a sparse map whose offsets and lengths do not pair");
	p->sparse_in_header = true;
	p->has_half = is_offset;
	if (is_offset)
		return tar_segment_add(&p->segments, &p->segment_count, v, 0, e);
	p->segments[p->segment_count - 1].len = v;
	return 0;
}

static int apply_sparse(struct tar_pax *p, const char *key, const struct record *r, struct err *e)
{
	if (strcmp(key, "major") == 0)
		return set_number(&p->sparse_major, NULL, r, e);
	if (strcmp(key, "minor") == 0)
		return set_number(&p->sparse_minor, NULL, r, e);
	if (strcmp(key, "name") == 0)
		return set_text(&p->sparse_path, r, e);
	if (strcmp(key, "size") == 0 || strcmp(key, "realsize") == 0)
		return set_number(&p->real_size, &p->has_real_size, r, e);
	if (strcmp(key, "map") == 0)
		return set_map(p, r, e);
	if (strcmp(key, "offset") == 0)
		return add_half(p, r, true, e);
	if (strcmp(key, "numbytes") == 0)
		return add_half(p, r, false, e);
	return 0;
}

static int apply(struct tar_pax *p, const struct record *r, struct err *e)
{
	static const char xattr[] = "SCHILY.xattr.", sparse[] = "GNU.sparse.";

	if (strcmp(r->key, "path") == 0)
		return set_text(&p->path, r, e);
	if (strcmp(r->key, "linkpath") == 0)
		return set_text(&p->link, r, e);
	if (strcmp(r->key, "size") == 0)
		return set_number(&p->size, &p->has_size, r, e);
	if (strcmp(r->key, "uid") == 0)
		return set_number(&p->uid, &p->has_uid, r, e);
	if (strcmp(r->key, "gid") == 0)
		return set_number(&p->gid, &p->has_gid, r, e);
	if (strcmp(r->key, "mtime") == 0)
		return set_mtime(p, r, e);
	if (strncmp(r->key, xattr, sizeof(xattr) - 1) == 0)
		return add_xattr(p, r->key + sizeof(xattr) - 1, r, e);
	if (strncmp(r->key, sparse, sizeof(sparse) - 1) == 0)
		return apply_sparse(p, r->key + sizeof(sparse) - 1, r, e);
	return 0; /* comments, names of owners, other programs' keys */
}

int tar_pax_parse(struct tar_pax *p, struct err *e)
{
	size_t at = 0;
	int r = 0;

	while (r == 0 && at < p->text.len) {
		struct record rec;

		r = next_record(p->text.data, p->text.len, &at, &rec, e);
		if (r == 0)
			r = apply(p, &rec, e);
	}
	if (r < 0)
		return r;
	if (p->has_half)
		return err_set(e, EBADMSG, "a sparse map whose last segment has no length");
	if (p->sparse_major == 1 && p->sparse_minor == 0) {
		p->sparse_in_data = true;
		p->sparse_in_header = false;
		p->segment_count = 0;
	} else if (p->sparse_major > 0 || p->sparse_minor > 1) {
		return err_set(e, ENOTSUP, "a sparse file of version %llu.%llu",
			       (unsigned long long)p->sparse_major,
			       (unsigned long long)p->sparse_minor);
	}
	return 0;
}

void tar_pax_clear(struct tar_pax *p)
{
	struct buf text = p->text;

	free(p->xattrs);
	free(p->segments);
	buf_clear(&text);
	*p = (struct tar_pax){.text = text};
}

void tar_pax_release(struct tar_pax *p)
{
	tar_pax_clear(p);
	buf_release(&p->text);
}
