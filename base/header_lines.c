/* Header lines. RFC 9110 §5.1 (names), §5.5 (values); obsolete line folding is refused. */
#include "base/header_lines.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

bool header_name_is_valid(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = name[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
			return false;
	}
	return len > 0;
}

bool header_value_is_valid(const char *value, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)value[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

int header_lines_add(struct buf *lines, const char *raw, size_t len, struct err *e)
{
	const char *colon = memchr(raw, ':', len), *value;

	if (len > 0 && raw[len - 1] == '\n')
		len--;
	if (len > 0 && raw[len - 1] == '\r')
		len--;
	if (!colon || !header_name_is_valid(raw, (size_t)(colon - raw)))
		return err_set(e, EPROTO, "malformed header in the answer");
	value = colon + 1;
	len -= (size_t)(value - raw);
	while (len > 0 && is_blank(*value)) {
		value++;
		len--;
	}
	while (len > 0 && is_blank(value[len - 1]))
		len--;
	if (!header_value_is_valid(value, len))
		return err_set(e, EPROTO, "control character in a header of the answer");
	buf_append(lines, raw, (size_t)(colon - raw));
	buf_puts(lines, ": ");
	buf_append(lines, value, len);
	buf_puts(lines, "\n");
	if (lines->overflow)
		return err_set(e, EPROTO, "headers of the answer are too long");
	return 0;
}

/* The next line at or after *at that has this name; *at moves behind it. */
static const char *find(const char **at, const char *name, size_t *len_out)
{
	size_t name_len = strlen(name);

	while (**at) {
		const char *line = *at, *end = strchrnul(line, '\n');

		*at = *end ? end + 1 : end;
		if ((size_t)(end - line) < name_len + 2 || line[name_len] != ':' ||
		    strncasecmp(line, name, name_len) != 0)
			continue;
		*len_out = (size_t)(end - line) - name_len - 2;
		return line + name_len + 2;
	}
	return NULL;
}

char *header_lines_get(const char *lines, const char *name, unsigned nth)
{
	const char *at = lines ? lines : "", *value;
	size_t len;

	while ((value = find(&at, name, &len)) != NULL) {
		if (nth-- == 0)
			return mem_strndup(value, len);
	}
	return NULL;
}

void header_lines_pick(struct buf *out, const char *lines, const char *const *names)
{
	for (; *names; names++) {
		const char *at = lines ? lines : "", *value;
		size_t len;

		while ((value = find(&at, *names, &len)) != NULL) {
			buf_printf(out, "%s: ", *names);
			buf_append(out, value, len);
			buf_puts(out, "\n");
		}
	}
}

static bool is_hop_by_hop(const char *line, size_t name_len)
{
	static const char *const names[] = {"Connection", "Keep-Alive", "TE",
					    "Trailer",	  "Upgrade",	"Transfer-Encoding"};

	for (size_t i = 0; i < array_len(names); i++) {
		if (strlen(names[i]) == name_len && strncasecmp(line, names[i], name_len) == 0)
			return true;
	}
	return name_len >= 6 && strncasecmp(line, "Proxy-", 6) == 0;
}

/* A comma-separated list has this token. */
static bool has_token(const char *list, const char *token, size_t len)
{
	while (*list) {
		const char *end;

		list += strspn(list, " \t,");
		end = list + strcspn(list, " \t,");
		if ((size_t)(end - list) == len && strncasecmp(list, token, len) == 0)
			return true;
		list = end;
	}
	return false;
}

/* All values of Connection, with commas between. */
static void collect_connection(struct buf *out, const char *lines)
{
	const char *at = lines, *value;
	size_t len;

	while ((value = find(&at, "Connection", &len)) != NULL) {
		buf_append(out, value, len);
		buf_puts(out, ",");
	}
}

void header_lines_end_to_end(struct buf *out, const char *lines)
{
	cleanup(buf_release) struct buf named = {0};
	const char *line = lines ? lines : "";

	collect_connection(&named, line);
	while (*line) {
		const char *end = strchrnul(line, '\n'), *next = *end ? end + 1 : end;
		size_t name_len = strcspn(line, ":");

		if (!is_hop_by_hop(line, name_len) &&
		    !(named.len && has_token(named.data, line, name_len)))
			buf_append(out, line, (size_t)(next - line));
		line = next;
	}
}
