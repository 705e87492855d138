/*
 * Task ids. A URL is brought into the form that Dragonfly's scheduler and its newest client hash:
 * no filtered parameters, the others sorted by name (stable), Go's query escapes, scheme and host
 * in lower case, no default port, dot segments resolved, no "/" as the whole path. With no
 * parameter to filter the URL is hashed as it is. (Clients up to 1.5.1 keep the order of
 * parameters: their ids differ for URLs of two or more unsorted ones, as they always did from the
 * scheduler's own.)
 */
#include "proto/task_id.h"

#include "base/buf.h"
#include "base/digest.h"
#include "base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define URL_LEN_MAX    (16u << 10)
#define PARAMS_MAX     512
#define TASK_TYPE_NAME "STANDARD"

const char *const task_id_default_filter[] = {
	/* S3 */
	"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders",
	"X-Amz-Signature", "X-Amz-Security-Token", "X-Amz-User-Agent",
	/* Google */
	"X-Goog-Algorithm", "X-Goog-Credential", "X-Goog-Date", "X-Goog-Expires",
	"X-Goog-SignedHeaders", "X-Goog-Signature",
	/* Alibaba, Huawei */
	"OSSAccessKeyId", "Expires", "Signature", "SecurityToken", "AccessKeyId", "X-Obs-Date",
	"X-Obs-Security-Token",
	/* Tencent */
	"q-sign-algorithm", "q-ak", "q-sign-time", "q-key-time", "q-header-list",
	"q-url-param-list", "q-signature", "x-cos-security-token",
	/* containerd */
	"ns"};
const size_t task_id_default_filter_count = array_len(task_id_default_filter);

/* A URL cut into its parts; each points into the text and has its own length. */
struct parts {
	const char *scheme, *authority, *path, *query, *fragment; /* query, fragment: NULL = none */
	size_t scheme_len, authority_len, path_len, query_len, fragment_len;
};

static bool scheme_is_ok(const char *s, size_t len)
{
	if (len == 0 || !isalpha((unsigned char)s[0]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr("+-.", s[i]))
			return false;
	return true;
}

static int split(const char *url, struct parts *out, struct err *e)
{
	const char *at = strstr(url, "://");

	if (strlen(url) > URL_LEN_MAX)
		return err_set(e, EINVAL, "a URL of more than %u bytes", URL_LEN_MAX);
	for (const char *c = url; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return err_set(e, EINVAL, "a URL with control characters");
	if (!at || !scheme_is_ok(url, (size_t)(at - url)))
		return err_set(e, EINVAL, "not an absolute URL");
	*out = (struct parts){.scheme = url, .scheme_len = (size_t)(at - url)};
	out->authority = at + 3;
	out->authority_len = strcspn(out->authority, "/?#\\");
	if (out->authority_len == 0)
		return err_set(e, EINVAL, "a URL without a host");
	out->path = out->authority + out->authority_len;
	out->path_len = strcspn(out->path, "?#");
	at = out->path + out->path_len;
	if (*at == '?') {
		out->query = at + 1;
		out->query_len = strcspn(out->query, "#");
		at = out->query + out->query_len;
	}
	if (*at == '#') {
		out->fragment = at + 1;
		out->fragment_len = strlen(out->fragment);
	}
	return 0;
}

static void put_lower(struct buf *b, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = (char)tolower((unsigned char)text[i]);

		buf_append(b, &c, 1);
	}
}

static bool scheme_is(const struct parts *p, const char *name)
{
	return p->scheme_len == strlen(name) && strncasecmp(p->scheme, name, p->scheme_len) == 0;
}

/* User information as it is, the host in lower case, no port where it is the scheme's own. */
static void put_authority(struct buf *b, const struct parts *p)
{
	const char *host = p->authority;
	const char *user_end = memrchr(p->authority, '@', p->authority_len);
	size_t len = p->authority_len;

	if (user_end) {
		size_t user_len = (size_t)(user_end - p->authority) + 1;

		buf_append(b, p->authority, user_len);
		host += user_len;
		len -= user_len;
	}
	if (len > 3 && scheme_is(p, "http") && memcmp(host + len - 3, ":80", 3) == 0)
		len -= 3;
	else if (len > 4 && scheme_is(p, "https") && memcmp(host + len - 4, ":443", 4) == 0)
		len -= 4;
	put_lower(b, host, len);
}

static void put_escaped_if(struct buf *b, unsigned char c, bool escape)
{
	if (escape)
		buf_printf(b, "%%%02X", c);
	else
		buf_append(b, &c, 1);
}

static bool segment_is_dot(const char *s, size_t len)
{
	return (len == 1 && s[0] == '.') || (len == 3 && strncasecmp(s, "%2e", 3) == 0);
}

static bool segment_is_dotdot(const char *s, size_t len)
{
	if (len == 2)
		return memcmp(s, "..", 2) == 0;
	if (len == 4)
		return strncasecmp(s, ".%2e", 4) == 0 || strncasecmp(s, "%2e.", 4) == 0;
	return len == 6 && strncasecmp(s, "%2e%2e", 6) == 0;
}

/* As WHATWG URLs have it: "\" is "/", dot segments are resolved, some characters escaped. */
static void put_path(struct buf *b, const struct parts *p)
{
	const char *at = p->path, *end = p->path + p->path_len;
	size_t start = b->len;

	if (at == end)
		buf_puts(b, "/");
	while (at < end) {
		const char *segment = at + 1;
		size_t len = 0;
		bool last;

		while (segment + len < end && segment[len] != '/' && segment[len] != '\\')
			len++;
		at = segment + len;
		last = at >= end;
		if (segment_is_dotdot(segment, len)) {
			while (b->len > start && b->data[--b->len] != '/')
				;
			b->data[b->len] = 0;
		}
		if (segment_is_dotdot(segment, len) || segment_is_dot(segment, len)) {
			if (last)
				buf_puts(b, "/");
			continue;
		}
		buf_puts(b, "/");
		for (size_t i = 0; i < len; i++)
			put_escaped_if(b, (unsigned char)segment[i],
				       (unsigned char)segment[i] >= 0x7f ||
					       strchr(" \"<>`{}", segment[i]));
	}
}

/* One parameter, decoded: "+" is a blank, a bad escape stays as it is. */
struct param {
	char *name, *value;
	size_t name_len, value_len;
};

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char *decode(const char *text, size_t len, size_t *len_out)
{
	char *out = mem_alloc(len + 1);
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '%' && i + 2 < len && hex_value(text[i + 1]) >= 0 &&
		    hex_value(text[i + 2]) >= 0) {
			out[n++] = (char)(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
			i += 2;
		} else {
			out[n++] = text[i] == '+' ? ' ' : text[i];
		}
	}
	*len_out = n;
	return out;
}

static bool is_filtered(const struct task_id_input *in, const struct param *p)
{
	for (size_t i = 0; i < in->filtered_param_count; i++)
		if (strlen(in->filtered_params[i]) == p->name_len &&
		    memcmp(in->filtered_params[i], p->name, p->name_len) == 0)
			return true;
	return false;
}

static void param_release(struct param *p)
{
	free(p->name);
	free(p->value);
}

/* Go drops a parameter that contains ";". */
static bool param_parse(const char *text, size_t len, struct param *out)
{
	const char *equals = memchr(text, '=', len);
	size_t name_len = equals ? (size_t)(equals - text) : len;

	if (len == 0 || memchr(text, ';', len))
		return false;
	out->name = decode(text, name_len, &out->name_len);
	out->value = equals ? decode(equals + 1, len - name_len - 1, &out->value_len)
			    : decode("", 0, &out->value_len);
	return true;
}

static int param_order(const struct param *a, const struct param *b)
{
	size_t len = a->name_len < b->name_len ? a->name_len : b->name_len;
	int order = memcmp(a->name, b->name, len);

	return order ? order : (a->name_len > b->name_len) - (a->name_len < b->name_len);
}

/* Keeps the parameters sorted by name, those of one name in the order in which they stood. */
static void param_insert(struct param *params, size_t *count, const struct param *p)
{
	size_t at = *count;

	while (at > 0 && param_order(&params[at - 1], p) > 0) {
		params[at] = params[at - 1];
		at--;
	}
	params[at] = *p;
	(*count)++;
}

static void put_query_escaped(struct buf *b, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == ' ')
			buf_puts(b, "+");
		else
			put_escaped_if(b, c, !isascii(c) || (!isalnum(c) && !strchr("-._~", c)));
	}
}

static int put_query(struct buf *b, const struct task_id_input *in, const struct parts *p,
		     struct err *e)
{
	cleanup(free_at) struct param *params = mem_array(PARAMS_MAX, sizeof(struct param));
	const char *at = p->query, *end = p->query + p->query_len;
	size_t count = 0;
	int r = 0;

	while (at < end && r == 0) {
		const char *amp = memchr(at, '&', (size_t)(end - at));
		struct param one;

		if (!amp)
			amp = end;
		if (param_parse(at, (size_t)(amp - at), &one)) {
			if (is_filtered(in, &one))
				param_release(&one);
			else if (count < PARAMS_MAX)
				param_insert(params, &count, &one);
			else
				r = err_set(e, EINVAL, "a URL of more than %d parameters",
					    PARAMS_MAX);
			if (r < 0)
				param_release(&one);
		}
		at = amp + 1;
	}
	for (size_t i = 0; i < count; i++) {
		buf_puts(b, i == 0 ? "?" : "&");
		put_query_escaped(b, params[i].name, params[i].name_len);
		buf_puts(b, "=");
		put_query_escaped(b, params[i].value, params[i].value_len);
		param_release(&params[i]);
	}
	return r;
}

/* The URL as it is hashed. */
static int put_url(struct buf *b, const struct task_id_input *in, struct err *e)
{
	struct parts p = {0};
	int r = split(in->url, &p, e);

	if (r < 0)
		return r;
	if (in->filtered_param_count == 0) {
		buf_puts(b, in->url);
		return 0;
	}
	put_lower(b, p.scheme, p.scheme_len);
	buf_puts(b, "://");
	put_authority(b, &p);
	size_t path_at = b->len;
	put_path(b, &p);
	bool root = b->len == path_at + 1;
	if (p.query) {
		r = put_query(b, in, &p, e);
		if (r < 0)
			return r;
	}
	if (p.fragment) {
		buf_puts(b, "#");
		buf_append(b, p.fragment, p.fragment_len);
	}
	while (root && b->data[b->len - 1] == '/')
		b->data[--b->len] = 0;
	return 0;
}

bool task_id_blob_url(const char *url, const char **hex_out)
{
	const char *query = strchrnul(url, '?');
	const char *v2 = strstr(url, "/v2/");
	const char *hex = query - DIGEST_HEX_LEN;
	size_t tail_len = strlen("/blobs/sha256:");
	char name[DIGEST_HEX_LEN + 1] = "";

	if (!v2 || v2 > query || !strstr(url, "://") || strstr(url, "://") > v2)
		return false;
	if (hex - v2 <= (ptrdiff_t)(strlen("/v2/") + tail_len) ||
	    memcmp(hex - tail_len, "/blobs/sha256:", tail_len) != 0)
		return false;
	memcpy(name, hex, DIGEST_HEX_LEN);
	if (!digest_is_hex64(name))
		return false;
	*hex_out = hex;
	return true;
}

int task_id_make(const struct task_id_input *in, char id_out[65], struct err *e)
{
	cleanup(buf_release) struct buf text = BUF_INIT(1u << 20);
	const char *hex;
	int r;

	if (in->content_for_id) {
		sha256_hex(in->content_for_id, strlen(in->content_for_id), id_out);
		return 0;
	}
	if (!in->url)
		return err_set(e, EINVAL, "a task needs a URL");
	if (in->blob_digest_id && task_id_blob_url(in->url, &hex)) {
		memcpy(id_out, hex, DIGEST_HEX_LEN);
		id_out[DIGEST_HEX_LEN] = 0;
		return 0;
	}
	r = put_url(&text, in, e);
	if (r < 0)
		return r;
	buf_puts(&text, in->tag ? in->tag : "");
	buf_puts(&text, in->application ? in->application : "");
	buf_puts(&text, in->revision ? in->revision : "");
	if (in->piece_length)
		buf_printf(&text, "%" PRIu64, in->piece_length);
	buf_puts(&text, TASK_TYPE_NAME);
	if (text.overflow)
		return err_set(e, EINVAL, "a tag or application of more than 1 MiB");
	sha256_hex(text.data, text.len, id_out);
	return 0;
}
