/* The JSON of a table of contents, one entry at a time. Must not know blobs nor trees. */
#include "fs/layer/toc_table.h"

#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "fs/layer/index_format.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define XATTR_COUNT_MAX 1024
#define NUMBER_MAX	INT64_MAX

static int bad(struct err *e, const char *what)
{
	return err_set(e, EBADMSG, "the table of contents is damaged or none: %s", what);
}

/* ---- members of an entry */

/* 0 if it is absent. */
static int number(const json_t *obj, const char *key, uint64_t max, uint64_t *out, struct err *e)
{
	const json_t *v = json_object_get(obj, key);

	*out = 0;
	if (!v || json_is_null(v))
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
	    (uint64_t)json_integer_value(v) > max)
		return bad(e, key);
	*out = (uint64_t)json_integer_value(v);
	return 0;
}

static int number32(const json_t *obj, const char *key, uint32_t *out, struct err *e)
{
	uint64_t v;
	int r = number(obj, key, UINT32_MAX, &v, e);

	*out = (uint32_t)v;
	return r;
}

/* "" if it is absent. */
static int path(const json_t *obj, const char *key, const char **out, struct err *e)
{
	const json_t *v = json_object_get(obj, key);

	*out = "";
	if (!v || json_is_null(v))
		return 0;
	if (!json_is_string(v) || json_string_length(v) > TAR_PATH_MAX)
		return bad(e, key);
	*out = json_string_value(v);
	return 0;
}

static uint32_t nanoseconds(const char **at)
{
	uint32_t ns = 0, unit = 100000000;

	if (**at != '.')
		return 0;
	for ((*at)++; **at >= '0' && **at <= '9'; (*at)++, unit /= 10)
		ns += (uint32_t)(**at - '0') * unit;
	return ns;
}

/* RFC 3339; no time = 1970. */
static int modtime(const json_t *obj, struct tar_entry *t, struct err *e)
{
	const char *text = json_str(obj, "modtime");
	struct tm tm = {.tm_isdst = 0};
	int n = 0, hours = 0, minutes = 0;
	char sign;

	if (!text || !*text)
		return 0;
	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &n) != 6 ||
	    !n || tm.tm_mon < 1 || tm.tm_mon > 12)
		return bad(e, "modtime");
	text += n;
	t->mtime_ns = nanoseconds(&text);
	n = 0;
	if (strcmp(text, "Z") != 0 &&
	    (sscanf(text, "%c%2d:%2d%n", &sign, &hours, &minutes, &n) != 3 || text[n] || !n ||
	     (sign != '+' && sign != '-')))
		return bad(e, "modtime");
	tm.tm_year -= 1900;
	tm.tm_mon--;
	t->mtime_s = timegm(&tm);
	if (n)
		t->mtime_s += (sign == '+' ? -60 : 60) * (60 * hours + minutes);
	return 0;
}

/* *has_out: it is there. */
static int digest(const json_t *obj, const char *key, uint8_t out[32], bool *has_out, struct err *e)
{
	const char *text = json_str(obj, key), *hex;

	*has_out = false;
	if (!text || !*text)
		return 0;
	if (!digest_is_sha256(text, &hex))
		return bad(e, key);
	index_hex_pack(hex, out);
	*has_out = true;
	return 0;
}

/* ---- extended attributes */

static int base64_value(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* RFC 4648, section 4. The caller frees; NULL: it is none. */
static unsigned char *base64_decode(const char *text, size_t *len_out)
{
	size_t len = strlen(text), n = 0;
	unsigned char *out;
	uint32_t bits = 0;

	if (len % 4 != 0)
		return NULL;
	while (len && text[len - 1] == '=' && n++ < 2)
		len--;
	out = mem_alloc(len + 1);
	*len_out = 0;
	for (size_t i = 0; i < len; i++) {
		int v = base64_value(text[i]);

		if (v < 0) {
			free(out);
			return NULL;
		}
		bits = bits << 6 | (uint32_t)v;
		if (i % 4)
			out[(*len_out)++] = (unsigned char)(bits >> (6 - i % 4 * 2));
	}
	return out;
}

struct xattrs {
	struct tar_xattr *items;
	uint32_t count;
};

static void xattrs_release(struct xattrs *x)
{
	for (uint32_t i = 0; i < x->count; i++)
		free((void *)(uintptr_t)x->items[i].value);
	free(x->items);
}

static int xattrs(const json_t *obj, struct xattrs *out, struct err *e)
{
	json_t *all = json_object_get(obj, "xattrs"), *value;
	const char *name;

	if (json_object_size(all) > XATTR_COUNT_MAX)
		return bad(e, "xattrs");
	out->items = mem_array(json_object_size(all) + 1, sizeof(*out->items));
	json_object_foreach(all, name, value)
	{
		struct tar_xattr *x = &out->items[out->count];
		size_t len;

		if (!json_is_string(value) || strlen(name) > TAR_PATH_MAX)
			return bad(e, "xattrs");
		x->value = base64_decode(json_string_value(value), &len);
		if (!x->value)
			return bad(e, "xattrs");
		x->name = name;
		x->name_len = (uint32_t)strlen(name);
		x->value_len = (uint32_t)len;
		out->count++;
	}
	return 0;
}

/* ---- entries */

static int type(const json_t *obj, struct toc_entry *t, struct err *e)
{
	static const struct {
		const char *name;
		enum tar_type type;
	} types[] = {
		{"reg", TAR_FILE},	  {"chunk", TAR_FILE}, {"hardlink", TAR_HARD_LINK},
		{"dir", TAR_DIR},	  {"char", TAR_CHAR},  {"block", TAR_BLOCK_DEVICE},
		{"symlink", TAR_SYMLINK}, {"fifo", TAR_FIFO},
	};
	const char *name = json_str(obj, "type");

	for (size_t i = 0; name && i < array_len(types); i++) {
		if (strcmp(name, types[i].name) != 0)
			continue;
		t->tar.type = types[i].type;
		t->more = strcmp(name, "chunk") == 0;
		return 0;
	}
	return bad(e, "type");
}

static int chunk(const json_t *obj, const struct toc_entry *t, struct toc_chunk *c, struct err *e)
{
	const char *kind = json_str(obj, "chunkType");
	int r = number(obj, "chunkOffset", NUMBER_MAX, &c->file_offset, e);

	if (r == 0)
		r = number(obj, "chunkSize", NUMBER_MAX, &c->len, e);
	if (r == 0)
		r = number(obj, "offset", NUMBER_MAX, &c->offset, e);
	if (r == 0)
		r = number(obj, "innerOffset", NUMBER_MAX, &c->inner, e);
	if (r == 0)
		r = digest(obj, "chunkDigest", c->sha256, &c->has_digest, e);
	/* The only one of its file may leave its digest to the file. */
	if (r == 0 && !c->has_digest && !t->more && (!c->len || c->len == t->tar.size))
		r = digest(obj, "digest", c->sha256, &c->has_digest, e);
	if (r == 0 && kind && *kind) {
		c->zeros = strcmp(kind, "zeros") == 0;
		r = c->zeros ? 0 : bad(e, "chunkType");
	}
	return r;
}

static int attributes(const json_t *obj, struct tar_entry *t, struct err *e)
{
	uint64_t mode;
	int r = number(obj, "mode", NUMBER_MAX, &mode, e);

	t->mode = mode & 07777;
	if (r == 0)
		r = number32(obj, "uid", &t->uid, e);
	if (r == 0)
		r = number32(obj, "gid", &t->gid, e);
	if (r == 0)
		r = number32(obj, "devMajor", &t->major, e);
	if (r == 0)
		r = number32(obj, "devMinor", &t->minor, e);
	if (r == 0)
		r = path(obj, "linkName", &t->link, e);
	return r == 0 ? modtime(obj, t, e) : r;
}

static int entry(const json_t *obj, toc_entry_fn *fn, void *arg, struct err *e)
{
	struct xattrs x cleanup(xattrs_release) = {NULL, 0};
	struct toc_entry t = {.more = false};
	int r = json_is_object(obj) ? type(obj, &t, e) : bad(e, "an entry");

	if (r == 0)
		r = path(obj, "name", &t.tar.path, e);
	if (r == 0 && !*t.tar.path)
		r = bad(e, "name");
	if (r == 0)
		r = attributes(obj, &t.tar, e);
	if (r == 0 && t.tar.type == TAR_FILE && !t.more)
		r = number(obj, "size", NUMBER_MAX, &t.tar.size, e);
	if (r == 0 && t.tar.type == TAR_FILE)
		r = chunk(obj, &t, &t.chunk, e);
	if (r == 0)
		r = xattrs(obj, &x, e);
	if (r < 0)
		return r;
	t.tar.xattrs = x.items;
	t.tar.xattr_count = x.count;
	return fn(arg, &t, e);
}

/* ---- what is around them */

struct scan {
	const char *at, *end;
};

static char next(struct scan *s)
{
	while (s->at < s->end &&
	       (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
		s->at++;
	return s->at < s->end ? *s->at : 0;
}

static bool take(struct scan *s, char c)
{
	bool there = next(s) == c;

	s->at += there;
	return there;
}

static int value(struct scan *s, json_t **out, struct err *e)
{
	json_error_t why;

	*out = json_loadb(s->at, (size_t)(s->end - s->at),
			  JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &why);
	if (!*out)
		return bad(e, "its JSON");
	s->at += why.position;
	return 0;
}

static int entries(struct scan *s, toc_entry_fn *fn, void *arg, struct err *e)
{
	int r = take(s, '[') ? 0 : bad(e, "entries");

	if (r < 0 || take(s, ']'))
		return r;
	do {
		json_t *obj cleanup(json_decref_at) = NULL;

		r = value(s, &obj, e);
		if (r == 0)
			r = entry(obj, fn, arg, e);
	} while (r == 0 && take(s, ','));
	if (r < 0)
		return r;
	return take(s, ']') ? 0 : bad(e, "its JSON");
}

static int member(struct scan *s, bool *found, toc_entry_fn *fn, void *arg, struct err *e)
{
	json_t *key cleanup(json_decref_at) = NULL;
	json_t *ignored cleanup(json_decref_at) = NULL;
	int r = value(s, &key, e);

	if (r == 0 && (!json_is_string(key) || !take(s, ':')))
		r = bad(e, "its JSON");
	if (r < 0)
		return r;
	if (strcmp(json_string_value(key), "entries") != 0)
		return value(s, &ignored, e);
	if (*found)
		return bad(e, "entries, twice");
	*found = true;
	return entries(s, fn, arg, e);
}

int toc_table_parse(const char *json, size_t len, toc_entry_fn *fn, void *arg, struct err *e)
{
	struct scan s = {json, json + len};
	bool found = false;
	int r = json_is_shallow(json, len) && take(&s, '{') ? 0 : bad(e, "its JSON");

	while (r == 0) {
		r = member(&s, &found, fn, arg, e);
		if (r == 0 && !take(&s, ','))
			break;
	}
	if (r == 0 && (!take(&s, '}') || next(&s) || s.at != s.end))
		r = bad(e, "its JSON");
	if (r == 0 && !found)
		r = bad(e, "it has no entries");
	return r;
}
