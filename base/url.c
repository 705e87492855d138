/* URLs (RFC 3986), strict where laxness lets two readers see two hosts. Error texts never quote the
 * URL: its query may be a credential. */
#include "base/url.h"

#include "base/buf.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#define URL_LEN_MAX (16u << 10)

static const char letters_and_digits[] =
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

static bool is_v6(const char *host)
{
	struct in6_addr v6;

	return inet_pton(AF_INET6, host, &v6) == 1;
}

/* Resolvers read "127.1", "0x7f000001" and "2130706433" as addresses too: what ends in a number
 * must be a plain IPv4 address. */
static bool is_odd_number(const char *host)
{
	const char *last = strrchr(host, '.');
	struct in_addr v4;

	last = last ? last + 1 : host;
	if (!isdigit((unsigned char)*last))
		return false;
	if (last[strspn(last, "0123456789")] && strncasecmp(last, "0x", 2) != 0)
		return false;
	return inet_pton(AF_INET, host, &v4) != 1;
}

static int take_host(const char *text, size_t len, bool bracketed, struct url *out, struct err *e)
{
	if (len == 0)
		return err_set(e, EINVAL, "the URL names no host");
	if (len >= sizeof(out->host))
		return err_set(e, EINVAL, "the URL's host is longer than %zu bytes",
			       sizeof(out->host) - 1);
	for (size_t i = 0; i < len; i++)
		out->host[i] = (char)tolower((unsigned char)text[i]);
	out->host[len] = 0;
	if (bracketed)
		return is_v6(out->host) ? 0
					: err_set(e, EINVAL, "the URL's [host] is no IPv6 address");
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr("-._", text[i]))
			return err_set(e, EINVAL, "the URL's host holds an odd character");
	if (is_odd_number(out->host))
		return err_set(e, EINVAL, "the URL's host is no plain IPv4 address");
	return 0;
}

static int take_port(const char *text, size_t len, struct url *out, struct err *e)
{
	unsigned port = 0;

	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)text[i]) || i >= 5)
			return err_set(e, EINVAL, "the URL's port is no number from 1 to 65535");
		port = port * 10 + (unsigned)(text[i] - '0');
	}
	if (port == 0 || port > UINT16_MAX)
		return err_set(e, EINVAL, "the URL's port is no number from 1 to 65535");
	out->port_default = port == out->port;
	out->port = (uint16_t)port;
	return 0;
}

/* What stands between "//" and the path. */
static int take_authority(const char *text, size_t len, struct url *out, struct err *e)
{
	const char *end = text + len, *host_end, *host = text;
	bool bracketed = len > 0 && *text == '[';
	int r;

	if (memchr(text, '@', len))
		return err_set(e, EINVAL, "the URL holds a user or password before the host");
	if (bracketed) {
		host++;
		host_end = memchr(text, ']', len);
		if (!host_end || (host_end + 1 < end && host_end[1] != ':'))
			return err_set(e, EINVAL, "the URL's [host] is no IPv6 address");
	} else {
		host_end = memchr(text, ':', len);
		host_end = host_end ? host_end : end;
	}
	r = take_host(host, (size_t)(host_end - host), bracketed, out, e);
	if (r < 0)
		return r;
	if (bracketed)
		host_end++;
	if (host_end == end)
		return 0;
	return take_port(host_end + 1, (size_t)(end - host_end - 1), out, e);
}

static int check_characters(const char *text, struct err *e)
{
	size_t len = strnlen(text, URL_LEN_MAX + 1);

	if (len > URL_LEN_MAX)
		return err_set(e, EINVAL, "the URL is longer than %u bytes", URL_LEN_MAX);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
			return err_set(e, EINVAL,
				       "the URL holds a blank or control character at byte %zu", i);
	return 0;
}

int url_parse(const char *text, struct url *out, struct err *e)
{
	size_t scheme_len, len;
	int r;

	*out = (struct url){.port_default = true};
	r = check_characters(text, e);
	if (r < 0)
		return r;
	if (strncasecmp(text, "https://", 8) == 0) {
		scheme_len = 5;
		out->port = 443;
	} else if (strncasecmp(text, "http://", 7) == 0) {
		scheme_len = 4;
		out->port = 80;
	} else {
		return err_set(e, EINVAL, "the URL does not start with http:// or https://");
	}
	memcpy(out->scheme, "https", scheme_len);
	text += scheme_len + 3;
	len = strcspn(text, "/?#");
	r = take_authority(text, len, out, e);
	if (r < 0)
		return r;
	text += len;
	len = strcspn(text, "?#");
	out->path = *text == '/' ? mem_strndup(text, len) : mem_strdup("/");
	if (text[len] == '?')
		out->query = mem_strndup(text + len + 1, strcspn(text + len + 1, "#"));
	return 0;
}

void url_release(struct url *u)
{
	free(u->path);
	free(u->query);
	u->path = u->query = NULL;
}

void url_authority(const struct url *u, char *text, size_t size)
{
	bool v6 = is_v6(u->host);
	char port[8] = "";

	if (!u->port_default)
		snprintf(port, sizeof(port), ":%u", u->port);
	snprintf(text, size, "%s%s%s%s", v6 ? "[" : "", u->host, v6 ? "]" : "", port);
}

char *url_print(const struct url *u)
{
	char authority[sizeof(u->host) + 16];

	url_authority(u, authority, sizeof(authority));
	return mem_printf("%s://%s%s%s%s", u->scheme, authority, u->path, u->query ? "?" : "",
			  u->query ? u->query : "");
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool url_decode(char *text)
{
	char *to = text;

	for (const char *p = text; *p; p++) {
		int high, low;

		if (*p != '%') {
			*to++ = *p;
			continue;
		}
		high = hex_value(p[1]);
		low = high < 0 ? -1 : hex_value(p[2]);
		if (low < 0 || high + low == 0)
			return false;
		*to++ = (char)(high * 16 + low);
		p += 2;
	}
	*to = 0;
	return true;
}

char *url_encode(const char *text)
{
	static const char digits[] = "0123456789ABCDEF";
	char *out = mem_array(strlen(text) + 1, 3);
	char *to = out;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (strchr(letters_and_digits, c) || strchr("-._~", c)) {
			*to++ = (char)c;
			continue;
		}
		*to++ = '%';
		*to++ = digits[c >> 4];
		*to++ = digits[c & 15];
	}
	*to = 0;
	return out;
}

/* Does the parameter (len bytes, "name=value" or "name") bear this name, decoded? */
static bool has_name(const char *param, size_t len, const char *name)
{
	const char *equals = memchr(param, '=', len);
	cleanup(free_at) char *own = mem_strndup(param, equals ? (size_t)(equals - param) : len);

	return url_decode(own) && strcmp(own, name) == 0;
}

char *url_query_get(const char *query, const char *name)
{
	while (query && *query) {
		size_t len = strcspn(query, "&");

		if (has_name(query, len, name)) {
			const char *equals = memchr(query, '=', len);
			char *value =
				equals ? mem_strndup(equals + 1, len - (size_t)(equals + 1 - query))
				       : mem_strdup("");

			if (url_decode(value))
				return value;
			free(value);
			return NULL;
		}
		query += len + (query[len] == '&');
	}
	return NULL;
}

char *url_query_without(const char *query, const char *const *names, size_t count)
{
	struct buf kept = BUF_INIT(0);

	while (query && *query) {
		size_t len = strcspn(query, "&");
		bool drop = len == 0;

		for (size_t i = 0; i < count && !drop; i++)
			drop = has_name(query, len, names[i]);
		if (!drop) {
			if (kept.len)
				buf_puts(&kept, "&");
			buf_append(&kept, query, len);
		}
		query += len + (query[len] == '&');
	}
	return kept.len ? buf_take(&kept) : NULL;
}

static bool has_scheme(const char *ref)
{
	size_t len = strcspn(ref, ":/?#");

	return ref[len] == ':' && len > 0 && isalpha((unsigned char)*ref);
}

/* RFC 3986 section 5.2.4, in place; path starts with '/'. */
static void remove_dot_segments(char *path)
{
	size_t len = 0; /* of what is done, at the front of path */
	const char *p = path;

	while (*p) {
		size_t n = 1 + strcspn(p + 1, "/");
		bool last = p[n] == 0;
		bool one = n == 2 && p[1] == '.';
		bool two = n == 3 && p[1] == '.' && p[2] == '.';

		if (two)
			while (len > 0 && path[--len] != '/')
				;
		if (!one && !two) {
			memmove(path + len, p, n);
			len += n;
		} else if (last) {
			path[len++] = '/';
		}
		p += n;
	}
	path[len] = 0;
}

/* The path of a relative reference, merged with the base's. */
static char *merge_paths(const struct url *base, const char *ref, size_t len)
{
	size_t dir_len = *ref == '/' ? 0 : (size_t)(strrchr(base->path, '/') - base->path) + 1;
	char *path = mem_printf("%.*s%.*s", (int)dir_len, base->path, (int)len, ref);

	remove_dot_segments(path);
	return path;
}

int url_join(const struct url *base, const char *ref, struct url *out, struct err *e)
{
	size_t len = strcspn(ref, "?#");
	char authority[sizeof(base->host) + 16];
	cleanup(free_at) char *path = NULL, *text = NULL;
	int r;

	*out = (struct url){0};
	r = check_characters(ref, e);
	if (r < 0)
		return r;
	if (has_scheme(ref))
		return url_parse(ref, out, e);
	if (strncmp(ref, "//", 2) == 0) {
		text = mem_printf("%s:%s", base->scheme, ref);
		return url_parse(text, out, e);
	}
	url_authority(base, authority, sizeof(authority));
	path = len ? merge_paths(base, ref, len) : mem_strdup(base->path);
	if (len == 0 && *ref != '?' && base->query)
		text = mem_printf("%s://%s%s?%s", base->scheme, authority, path, base->query);
	else
		text = mem_printf("%s://%s%s%s", base->scheme, authority, path, ref + len);
	return url_parse(text, out, e);
}

bool url_same_origin(const struct url *a, const struct url *b)
{
	return a->port == b->port && strcmp(a->scheme, b->scheme) == 0 &&
	       strcmp(a->host, b->host) == 0;
}
