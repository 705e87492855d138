/* Must not know: the network, the mount. */
#include "daemon/mount_path.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/url.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define URL_LEN_MAX  (16u << 10)
#define PATH_LEN_MAX (64u << 10)

static bool is_slash_escape(const char *at)
{
	return at[0] == '%' && at[1] == '2' && (at[2] == 'F' || at[2] == 'f');
}

/* What may stand in a path or query as it is; '?' is told apart by the caller. */
static bool is_plain(unsigned char c)
{
	return isalnum(c) || (c && strchr("-._~!$&'()*+,;=:@/", c));
}

static void append_char(struct buf *url, const char **at)
{
	const char *p = *at;

	if (is_slash_escape(p)) {
		buf_puts(url, "/");
		*at += 3;
	} else if (p[0] == '%' && isxdigit((unsigned char)p[1]) && isxdigit((unsigned char)p[2])) {
		buf_append(url, p, 3);
		*at += 3;
	} else {
		if (is_plain((unsigned char)*p))
			buf_append(url, p, 1);
		else
			buf_printf(url, "%%%02X", (unsigned)(unsigned char)*p);
		*at += 1;
	}
}

/* Appends the names after the host. */
static int append_names(const char *names, struct buf *url, bool *only_file, struct err *e)
{
	bool query = false;

	for (const char *at = names; *at;) {
		if (query && *at == '/')
			return err_set(e, ENOENT, "nothing is below a query");
		if (!query && *at == '?') {
			query = *only_file = true;
			buf_puts(url, "?");
			at++;
		} else if (query && *at == '?') {
			buf_puts(url, "?");
			at++;
		} else {
			/* Only the last name counts. */
			if (*at == '/')
				*only_file = false;
			else if (is_slash_escape(at))
				*only_file = true;
			append_char(url, &at);
		}
	}
	return 0;
}

static int parse_host(const char *scheme, const char *host, size_t len, struct mount_path *out,
		      struct err *e)
{
	cleanup(url_release) struct url u = {0};
	cleanup(free_at) char *text = NULL;

	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)host[i]) && !strchr(".-_:[]", host[i]))
			return err_set(e, ENOENT, "%.*s is no host", (int)len, host);
	text = mem_printf("%s://%.*s/", scheme, (int)len, host);
	if (len == 0 || url_parse(text, &u, NULL) < 0)
		return err_set(e, ENOENT, "%.*s is no host", (int)len, host);
	snprintf(out->host, sizeof(out->host), "%s", u.host);
	out->port = u.port;
	return 0;
}

int mount_path_parse(const char *path, struct mount_path *out, struct err *e)
{
	cleanup(buf_release) struct buf url = BUF_INIT(URL_LEN_MAX);
	const char *scheme = strncmp(path, "https/", 6) == 0 ? "https" : "http";
	const char *host = path + strlen(scheme) + 1;
	size_t len;
	int r;

	*out = (struct mount_path){0};
	if (strncmp(path, "https/", 6) != 0 && strncmp(path, "http/", 5) != 0)
		return err_set(e, ENOENT, "%s", path);
	len = strcspn(host, "/");
	r = parse_host(scheme, host, len, out, e);
	if (r < 0 || !host[len])
		return r;
	buf_printf(&url, "%s://%.*s", scheme, (int)len, host);
	r = append_names(host + len, &url, &out->only_file, e);
	if (r < 0)
		return r;
	if (url.overflow)
		return err_set(e, ENAMETOOLONG, "a URL of more than %u bytes", URL_LEN_MAX);
	out->url = buf_take(&url);
	return 0;
}

void mount_path_release(struct mount_path *p)
{
	free(p->url);
	p->url = NULL;
}

/* Segments that a name cannot be: they go into one name with their neighbours. */
static bool is_odd_segment(const char *at, size_t len)
{
	return len == 0 || (len == 1 && at[0] == '.') || (len == 2 && at[0] == '.' && at[1] == '.');
}

static bool has_odd_segment(const char *path)
{
	for (const char *at = path + 1;; at++) {
		size_t len = strcspn(at, "/");

		if (is_odd_segment(at, len))
			return true;
		at += len;
		if (!*at)
			return false;
	}
}

char *mount_path_of_url(const char *url)
{
	cleanup(url_release) struct url u = {0};
	struct buf path = BUF_INIT(PATH_LEN_MAX);
	char authority[300];
	bool one_name;

	if (url_parse(url, &u, NULL) < 0)
		return NULL;
	url_authority(&u, authority, sizeof(authority));
	buf_printf(&path, "%s/%s/", u.scheme, authority);
	one_name = has_odd_segment(u.path);
	for (const char *at = u.path + 1; *at; at++) {
		if (*at == '/' && one_name)
			buf_puts(&path, "%2F");
		else
			buf_append(&path, at, 1);
	}
	if (u.query)
		buf_puts(&path, "?");
	for (const char *at = u.query; at && *at; at++) {
		if (*at == '/')
			buf_puts(&path, "%2F");
		else
			buf_append(&path, at, 1);
	}
	return buf_take(&path);
}

size_t mount_path_below(const char *dir, const char *path, const char **name_out)
{
	size_t len = strlen(dir);

	if (len > 0) {
		if (strncmp(path, dir, len) != 0 || path[len] != '/')
			return 0;
		path += len + 1;
	}
	*name_out = path;
	return strcspn(path, "/");
}
