/*
 * HTTP/1.1 messages, parsed strictly (RFC 9112). Everything that request smuggling uses is refused:
 * bare LF, obs-fold, blanks before the colon, both Content-Length and Transfer-Encoding, differing
 * or malformed Content-Length, any Transfer-Encoding but exactly "chunked", NUL and control
 * characters, HTTP/1.0 with chunked, an absent or doubled Host in HTTP/1.1.
 */
#ifndef BASE_HTTP_H
#define BASE_HTTP_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define HTTP_HEAD_MAX	 (64u << 10) /* bytes of a request or status line and its headers */
#define HTTP_HEADERS_MAX 128

struct http_header {
	const char *name;  /* as sent */
	const char *value; /* outer blanks cut */
};

/* One parsed head. Texts point into the copy it owns. */
struct http_head {
	bool is_request;
	char *text;		     /* owned copy of the head, chopped into strings */
	const char *method, *target; /* requests */
	int status;		     /* responses */
	const char *reason;
	int minor; /* HTTP/1.<minor>, 0 or 1 */
	struct http_header headers[HTTP_HEADERS_MAX];
	unsigned header_count;
	int64_t content_length; /* -1 = not given */
	bool chunked;
	bool keep_alive; /* by version and Connection */
	bool expect_continue;
};

enum http_kind { HTTP_REQUEST, HTTP_RESPONSE };

/*
 * Looks for a whole head at the front of data. Returns its length in bytes (> 0) with *out filled
 * (release it), 0 if more bytes are needed, or -errno: EPROTO malformed, EMSGSIZE larger than
 * HTTP_HEAD_MAX or more than HTTP_HEADERS_MAX headers, ENOTSUP a version or transfer coding we do
 * not speak. e->text is safe to show to the peer.
 */
must_check int http_head_parse(enum http_kind kind, const char *data, size_t len,
			       struct http_head *out, struct err *e);
void http_head_release(struct http_head *h);
/* The first value, or NULL. Case-insensitive. */
const char *http_header_get(const struct http_head *h, const char *name);
bool http_header_has_token(const struct http_head *h, const char *name, const char *token);

/* A chunked body, decoded incrementally. */
struct http_chunked {
	int state;
	uint64_t left;
	unsigned line_len;
	bool done;
};
void http_chunked_init(struct http_chunked *c);
/* Consumes from data, appends payload to out (which bounds it; a full out is EMSGSIZE). Returns the
 * number of bytes consumed (stops after the last chunk, then c->done), or -EPROTO. */
must_check ssize_t http_chunked_feed(struct http_chunked *c, const char *data, size_t len,
				     struct buf *out, struct err *e);

struct http_range {
	bool present;
	uint64_t off, len; /* within the content, len > 0 */
};
/* "bytes=a-b", "a-", "-n" against a content length. value NULL: present=false. A range that
 * cannot be met is ERANGE (answer 416); more than one range or another unit is ignored (whole
 * content, present=false), as RFC 9110 allows. */
must_check int http_range_parse(const char *value, uint64_t content_length, struct http_range *out,
				struct err *e);
/* "bytes a-b/total" (total may be "*": *total_out = -1). */
bool http_content_range_parse(const char *value, uint64_t *first_out, uint64_t *last_out,
			      int64_t *total_out);

const char *http_reason(int status);
/* "Sun, 06 Nov 1994 08:49:37 GMT" of now. */
void http_date(char text[32]);

#endif
