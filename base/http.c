/*
 * HTTP/1.1 heads, chunked bodies and ranges, strictly. What two readers of one connection could
 * read differently is refused, never repaired: that is all that request smuggling lives on.
 *
 * Source: RFC 9110 (semantics), RFC 9112 (HTTP/1.1). Must not know: sockets.
 */
#include "base/http.h"

#include "base/clock.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define METHOD_LEN_MAX 32

/* ---- characters */

static bool is_token_char(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(const char *text)
{
	if (!*text)
		return false;
	for (; *text; text++)
		if (!is_token_char((unsigned char)*text))
			return false;
	return true;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Decimal digits up to stop, at most 18 of them (so below 2^63). Moves *at behind them. */
static bool take_number(const char **at, uint64_t *out)
{
	const char *p = *at;
	uint64_t n = 0;

	for (; is_digit(*p); p++) {
		if (p - *at >= 18)
			return false;
		n = n * 10 + (uint64_t)(*p - '0');
	}
	if (p == *at)
		return false;
	*at = p;
	*out = n;
	return true;
}

/* ---- head */

/* Length of the head with its empty line, 0 if it is not whole yet. Refuses at the first byte that
 * can be in no head, so garbage is not waited on. */
static ssize_t head_length(const char *data, size_t len, struct err *e)
{
	size_t scan = len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX;

	for (size_t i = 0; i < scan; i++) {
		unsigned char c = (unsigned char)data[i];

		if (c == '\r') {
			if (i + 1 < len && data[i + 1] != '\n')
				return err_set(e, EPROTO, "a CR without LF in the head");
		} else if (c == '\n') {
			if (i == 0 || data[i - 1] != '\r')
				return err_set(e, EPROTO, "a LF without CR in the head");
			if (i >= 3 && data[i - 2] == '\n')
				return (ssize_t)i + 1;
		} else if ((c < 0x20 && c != '\t') || c == 0x7f) {
			return err_set(e, EPROTO, "a control character in the head");
		}
	}
	if (len >= HTTP_HEAD_MAX)
		return err_set(e, EMSGSIZE, "the head is larger than %u bytes", HTTP_HEAD_MAX);
	return 0;
}

/* Cuts the line at *at off the text: ends it with a NUL and moves *at to the next one. */
static char *take_line(char **at)
{
	char *line = *at, *end = strstr(line, "\r\n");

	assert(end); /* head_length() has seen the empty line */
	*end = 0;
	*at = end + 2;
	return line;
}

static int parse_version(const char *text, struct http_head *out, struct err *e)
{
	if (strncmp(text, "HTTP/", 5) != 0 || !is_digit(text[5]) || text[6] != '.' ||
	    !is_digit(text[7]) || text[8])
		return err_set(e, EPROTO, "no HTTP version in the first line");
	if (text[5] != '1' || text[7] > '1')
		return err_set(e, ENOTSUP, "only HTTP/1.0 and HTTP/1.1 are spoken here");
	out->minor = text[7] - '0';
	return 0;
}

static bool target_is_absolute(const char *target)
{
	const char *colon = strstr(target, "://");

	if (!colon || colon == target || !colon[3])
		return false;
	for (const char *p = target; p < colon; p++)
		if (!is_token_char((unsigned char)*p))
			return false;
	return true;
}

/* The four forms of RFC 9112, section 3.2. */
static bool target_fits_method(const char *method, const char *target)
{
	if (strcmp(method, "CONNECT") == 0)
		return target[0] != '/' && !strchr(target, '/') && strchr(target, ':');
	if (strcmp(target, "*") == 0)
		return strcmp(method, "OPTIONS") == 0;
	return target[0] == '/' || target_is_absolute(target);
}

static int parse_request_line(char *line, struct http_head *out, struct err *e)
{
	char *target = strchr(line, ' ');
	char *version = target ? strchr(target + 1, ' ') : NULL;

	if (!version)
		return err_set(e, EPROTO, "the request line is not: method target version");
	*target++ = 0;
	*version++ = 0;
	if (parse_version(version, out, e) < 0)
		return -e->code;
	if (!is_token(line) || strlen(line) > METHOD_LEN_MAX)
		return err_set(e, EPROTO, "the method is not a token");
	for (const char *p = target; *p; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f || *p == '#')
			return err_set(e, EPROTO, "the request target has a forbidden character");
	if (!target_fits_method(line, target))
		return err_set(e, EPROTO, "the request target does not fit the method");
	out->method = line;
	out->target = target;
	return 0;
}

static int parse_status_line(char *line, struct http_head *out, struct err *e)
{
	char *code = strchr(line, ' ');

	if (!code)
		return err_set(e, EPROTO, "the status line is not: version status reason");
	*code++ = 0;
	if (parse_version(line, out, e) < 0)
		return -e->code;
	if (!(code[0] >= '1' && code[0] <= '9') || !is_digit(code[1]) || !is_digit(code[2]) ||
	    (code[3] && code[3] != ' '))
		return err_set(e, EPROTO, "the status is not three digits");
	out->status = (code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0');
	out->reason = code[3] ? code + 4 : "";
	return 0;
}

static int parse_header_line(char *line, struct http_head *out, struct err *e)
{
	char *colon = strchr(line, ':'), *value, *end;

	if (is_blank(line[0]))
		return err_set(e, EPROTO, "a folded header line");
	if (!colon)
		return err_set(e, EPROTO, "a header line without a colon");
	*colon = 0;
	if (!is_token(line))
		return err_set(e, EPROTO, "a header name is not a token");
	if (out->header_count == HTTP_HEADERS_MAX)
		return err_set(e, EMSGSIZE, "more than %u headers", HTTP_HEADERS_MAX);
	for (value = colon + 1; is_blank(*value);)
		value++;
	for (end = value + strlen(value); end > value && is_blank(end[-1]);)
		*--end = 0;
	out->headers[out->header_count].name = line;
	out->headers[out->header_count].value = value;
	out->header_count++;
	return 0;
}

/* ---- what the headers mean for the framing */

static unsigned header_count_of(const struct http_head *h, const char *name)
{
	unsigned n = 0;

	for (unsigned i = 0; i < h->header_count; i++)
		n += strcasecmp(h->headers[i].name, name) == 0;
	return n;
}

static int check_host(const struct http_head *h, struct err *e)
{
	unsigned n = header_count_of(h, "Host");

	if (!h->is_request)
		return 0;
	if (n > 1)
		return err_set(e, EPROTO, "more than one Host header");
	if (n == 0)
		return h->minor == 0 ? 0 : err_set(e, EPROTO, "HTTP/1.1 without a Host header");
	for (const char *p = http_header_get(h, "Host"); *p; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f ||
		    strchr("/\\@?#,<>\"", *p))
			return err_set(e, EPROTO, "the Host header is not a host");
	return 0;
}

static int check_length(struct http_head *h, struct err *e)
{
	const char *te = http_header_get(h, "Transfer-Encoding");
	const char *cl = http_header_get(h, "Content-Length");
	uint64_t n;

	h->content_length = -1;
	if (te && cl)
		return err_set(e, EPROTO, "both Content-Length and Transfer-Encoding");
	if (te) {
		if (h->minor == 0)
			return err_set(e, EPROTO, "Transfer-Encoding in HTTP/1.0");
		if (header_count_of(h, "Transfer-Encoding") > 1)
			return err_set(e, EPROTO, "more than one Transfer-Encoding header");
		if (strcasecmp(te, "chunked") != 0)
			return err_set(e, ENOTSUP, "a transfer coding other than chunked");
		h->chunked = true;
	}
	if (cl) {
		if (header_count_of(h, "Content-Length") > 1)
			return err_set(e, EPROTO, "more than one Content-Length header");
		if (!take_number(&cl, &n) || *cl)
			return err_set(e, EPROTO, "the Content-Length is not a number");
		h->content_length = (int64_t)n;
	}
	return 0;
}

static int check_framing(struct http_head *h, struct err *e)
{
	const char *expect = http_header_get(h, "Expect");

	if (check_host(h, e) < 0 || check_length(h, e) < 0)
		return -e->code;
	if (h->is_request && expect) {
		if (strcasecmp(expect, "100-continue") != 0)
			return err_set(e, ENOTSUP, "an expectation other than 100-continue");
		h->expect_continue = h->minor >= 1;
	}
	if (http_header_has_token(h, "Connection", "close"))
		h->keep_alive = false;
	else
		h->keep_alive =
			h->minor >= 1 || http_header_has_token(h, "Connection", "keep-alive");
	return 0;
}

int http_head_parse(enum http_kind kind, const char *data, size_t len, struct http_head *out,
		    struct err *e)
{
	cleanup(http_head_release) struct http_head h = {.is_request = kind == HTTP_REQUEST};
	ssize_t head_len = head_length(data, len, e);
	char *at;
	int r;

	*out = (struct http_head){0};
	if (head_len <= 0)
		return (int)head_len;
	at = h.text = mem_strndup(data, (size_t)head_len);
	r = h.is_request ? parse_request_line(take_line(&at), &h, e)
			 : parse_status_line(take_line(&at), &h, e);
	if (r < 0)
		return r;
	while (at[0] != '\r')
		if (parse_header_line(take_line(&at), &h, e) < 0)
			return -e->code;
	if (check_framing(&h, e) < 0)
		return -e->code;
	*out = h;
	h.text = NULL;
	return (int)head_len;
}

void http_head_release(struct http_head *h)
{
	free(h->text);
	h->text = NULL;
	h->header_count = 0;
}

const char *http_header_get(const struct http_head *h, const char *name)
{
	for (unsigned i = 0; i < h->header_count; i++)
		if (strcasecmp(h->headers[i].name, name) == 0)
			return h->headers[i].value;
	return NULL;
}

static bool list_has_token(const char *list, const char *token)
{
	size_t want = strlen(token);

	while (*list) {
		size_t n;

		list += strspn(list, ", \t");
		n = strcspn(list, ",");
		for (; n && is_blank(list[n - 1]); n--)
			;
		if (n == want && strncasecmp(list, token, n) == 0)
			return true;
		list += strcspn(list, ",");
	}
	return false;
}

bool http_header_has_token(const struct http_head *h, const char *name, const char *token)
{
	for (unsigned i = 0; i < h->header_count; i++)
		if (strcasecmp(h->headers[i].name, name) == 0 &&
		    list_has_token(h->headers[i].value, token))
			return true;
	return false;
}

/* ---- chunked bodies */

/*
 *	state		expects				next
 *	CHUNK_SIZE	hex digits			CHUNK_EXT at ';', CHUNK_SIZE_LF at CR
 *	CHUNK_EXT	anything visible, ignored	CHUNK_SIZE_LF at CR
 *	CHUNK_SIZE_LF	LF				CHUNK_DATA, or TRAILER after the last chunk
 *	CHUNK_DATA	`left` bytes of payload		CHUNK_DATA_CR
 *	CHUNK_DATA_CR	CR				CHUNK_DATA_LF
 *	CHUNK_DATA_LF	LF				CHUNK_SIZE
 *	TRAILER_START	a trailer line, or the empty	TRAILER, TRAILER_END at CR
 *	TRAILER		its rest, ignored		TRAILER_LF at CR
 *	TRAILER_LF	LF				TRAILER_START
 *	TRAILER_END	LF				done
 */
enum {
	CHUNK_SIZE,
	CHUNK_EXT,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	TRAILER_START,
	TRAILER,
	TRAILER_LF,
	TRAILER_END,
};

#define CHUNK_DIGITS_MAX 15   /* below 2^60 */
#define CHUNK_LINE_MAX	 1024 /* size and extensions of one chunk */
#define TRAILER_MAX	 8192 /* all trailers together */

void http_chunked_init(struct http_chunked *c)
{
	*c = (struct http_chunked){.state = CHUNK_SIZE};
}

static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int feed_size(struct http_chunked *c, char byte, struct err *e)
{
	int digit = hex_value(byte);

	if (digit >= 0) {
		if (++c->line_len > CHUNK_DIGITS_MAX)
			return err_set(e, EPROTO, "a chunk size with too many digits");
		c->left = c->left * 16 + (uint64_t)digit;
		return 0;
	}
	if (c->line_len == 0)
		return err_set(e, EPROTO, "a chunk without a size");
	if (byte != ';' && byte != '\r')
		return err_set(e, EPROTO, "a chunk size that is not hexadecimal");
	c->state = byte == ';' ? CHUNK_EXT : CHUNK_SIZE_LF;
	return 0;
}

/* A byte of a chunk extension or a trailer, which we read past. */
static int feed_ignored(struct http_chunked *c, char byte, unsigned len_max, int next,
			struct err *e)
{
	if (byte == '\r') {
		c->state = next;
		return 0;
	}
	if (((unsigned char)byte < 0x20 && byte != '\t') || byte == 0x7f)
		return err_set(e, EPROTO, "a control character in a chunk extension or trailer");
	if (++c->line_len > len_max)
		return err_set(e, EPROTO, "chunk extensions or trailers without end");
	return 0;
}

static int feed_expected(struct http_chunked *c, char byte, char want, int next, struct err *e)
{
	if (byte != want)
		return err_set(e, EPROTO, "a chunk that is not ended by CR LF");
	c->state = next;
	return 0;
}

/* One byte that is not payload. */
static int feed_byte(struct http_chunked *c, char byte, struct err *e)
{
	switch (c->state) {
	case CHUNK_SIZE:
		return feed_size(c, byte, e);
	case CHUNK_EXT:
		return feed_ignored(c, byte, CHUNK_LINE_MAX, CHUNK_SIZE_LF, e);
	case CHUNK_SIZE_LF:
		c->line_len = 0;
		return feed_expected(c, byte, '\n', c->left ? CHUNK_DATA : TRAILER_START, e);
	case CHUNK_DATA_CR:
		return feed_expected(c, byte, '\r', CHUNK_DATA_LF, e);
	case CHUNK_DATA_LF:
		return feed_expected(c, byte, '\n', CHUNK_SIZE, e);
	case TRAILER_START:
		c->state = TRAILER;
		return feed_ignored(c, byte, TRAILER_MAX, TRAILER_END, e);
	case TRAILER:
		return feed_ignored(c, byte, TRAILER_MAX, TRAILER_LF, e);
	case TRAILER_LF:
		return feed_expected(c, byte, '\n', TRAILER_START, e);
	default:
		assert(c->state == TRAILER_END);
		c->done = byte == '\n';
		return feed_expected(c, byte, '\n', TRAILER_END, e);
	}
}

ssize_t http_chunked_feed(struct http_chunked *c, const char *data, size_t len, struct buf *out,
			  struct err *e)
{
	size_t at = 0;

	while (at < len && !c->done) {
		if (c->state == CHUNK_DATA) {
			size_t n = len - at < c->left ? len - at : (size_t)c->left;

			buf_append(out, data + at, n);
			if (out->overflow)
				return err_set(e, EMSGSIZE, "the body is too large");
			at += n;
			c->left -= n;
			if (!c->left)
				c->state = CHUNK_DATA_CR;
		} else if (feed_byte(c, data[at++], e) < 0) {
			return -e->code;
		}
	}
	return (ssize_t)at;
}

/* ---- ranges */

/* "a-b", "a-" or "-n"; false if it is none of them. *last is UINT64_MAX when open. */
static bool parse_range_spec(const char *at, bool *suffix, uint64_t *first, uint64_t *last)
{
	*suffix = *at == '-';
	*last = UINT64_MAX;
	if (!*suffix && !take_number(&at, first))
		return false;
	if (*at++ != '-')
		return false;
	if ((*suffix || *at) && !take_number(&at, last))
		return false;
	while (is_blank(*at))
		at++;
	return !*at && (*suffix || *first <= *last);
}

int http_range_parse(const char *value, uint64_t content_length, struct http_range *out,
		     struct err *e)
{
	uint64_t first = 0, last;
	bool suffix;

	*out = (struct http_range){0};
	if (!value || strncasecmp(value, "bytes=", 6) != 0)
		return 0;
	value += 6;
	while (is_blank(*value))
		value++;
	if (!parse_range_spec(value, &suffix, &first, &last))
		return 0; /* several ranges, or nonsense: the whole content */
	if (suffix ? last == 0 || content_length == 0 : first >= content_length)
		return err_set(e, ERANGE, "the range is outside of the content");
	if (suffix) {
		first = last < content_length ? content_length - last : 0;
		last = content_length - 1;
	}
	if (last >= content_length)
		last = content_length - 1;
	*out = (struct http_range){.present = true, .off = first, .len = last - first + 1};
	return 0;
}

bool http_content_range_parse(const char *value, uint64_t *first_out, uint64_t *last_out,
			      int64_t *total_out)
{
	uint64_t total;

	if (strncasecmp(value, "bytes ", 6) != 0)
		return false;
	value += 6;
	if (!take_number(&value, first_out) || *value++ != '-' || !take_number(&value, last_out) ||
	    *value++ != '/' || *last_out < *first_out)
		return false;
	*total_out = -1;
	if (strcmp(value, "*") == 0)
		return true;
	if (!take_number(&value, &total) || *value || *last_out >= total)
		return false;
	*total_out = (int64_t)total;
	return true;
}

/* ---- answers */

const char *http_reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = {
		{100, "Continue"},
		{200, "OK"},
		{201, "Created"},
		{202, "Accepted"},
		{204, "No Content"},
		{206, "Partial Content"},
		{301, "Moved Permanently"},
		{302, "Found"},
		{303, "See Other"},
		{304, "Not Modified"},
		{307, "Temporary Redirect"},
		{308, "Permanent Redirect"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{407, "Proxy Authentication Required"},
		{408, "Request Timeout"},
		{409, "Conflict"},
		{411, "Length Required"},
		{412, "Precondition Failed"},
		{413, "Content Too Large"},
		{414, "URI Too Long"},
		{416, "Range Not Satisfiable"},
		{417, "Expectation Failed"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
		{505, "HTTP Version Not Supported"},
		{508, "Loop Detected"},
	};

	for (size_t i = 0; i < array_len(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Unknown";
}

void http_date(char text[32])
{
	static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t now = (time_t)(clock_wall_ms() / 1000);
	struct tm tm;

	gmtime_r(&now, &tm);
	/* Not strftime(): its names follow the locale. */
	snprintf(text, 32, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday],
		 tm.tm_mday % 100, months[tm.tm_mon], (tm.tm_year + 1900) % 10000, tm.tm_hour % 100,
		 tm.tm_min % 100, tm.tm_sec % 100);
}
