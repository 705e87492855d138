/* A blocking HTTP client for tests of doors: sends texts, reads answers, each within a bound. */
#ifndef TEST_CLIENT_H
#define TEST_CLIENT_H

#include "base/clock.h"
#include "base/http.h"
#include "base/mem.h"
#include "base/net.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define CLIENT_MS 30000

struct answer {
	struct http_head head;
	char *body;
	size_t len;
};

struct client {
	int fd;
	struct buf in;
};

static inline struct client client_connect(uint16_t port)
{
	struct client c = {.fd = -1};
	struct net_addr addr;
	struct err e;

	assert_true(net_addr_parse("127.0.0.1", port, &addr));
	assert_int_equal(net_connect(&addr, clock_ms() + CLIENT_MS, &c.fd, &e), 0);
	return c;
}

static inline void client_close(struct client *c)
{
	close_at(&c->fd);
	buf_release(&c->in);
}

static inline void client_send(struct client *c, const char *text)
{
	struct err e;

	assert_int_equal(net_write_full(c->fd, text, strlen(text), clock_ms() + CLIENT_MS, &e), 0);
}

/* False at the end of the stream, orderly or not. */
static inline bool client_fill(struct client *c)
{
	char data[65536];
	struct err e;
	size_t n;
	int r = net_read_some(c->fd, data, sizeof(data), clock_ms() + CLIENT_MS, &n, &e);

	if (r == -ETIMEDOUT)
		fail_msg("no answer within the bound");
	if (r < 0 || n == 0)
		return false;
	buf_append(&c->in, data, n);
	return true;
}

/* True when the other end closes without a further byte. */
static inline bool client_is_closed(struct client *c)
{
	return !c->in.len && !client_fill(c);
}

static inline void client_take_body(struct client *c, struct answer *a, bool no_body)
{
	struct buf out = {.len_max = 256u << 20};
	struct http_chunked chunked;
	struct err e;

	http_chunked_init(&chunked);
	while (a->head.chunked && !no_body && !chunked.done) {
		ssize_t n = http_chunked_feed(&chunked, c->in.data ? c->in.data : "", c->in.len,
					      &out, &e);

		assert_true(n >= 0);
		buf_consume(&c->in, (size_t)n);
		if (!chunked.done && !client_fill(c))
			fail_msg("the connection ended in a chunked body");
	}
	if (!a->head.chunked && !no_body) {
		size_t want =
			a->head.content_length < 0 ? SIZE_MAX : (size_t)a->head.content_length;

		while (c->in.len < want && client_fill(c))
			;
		if (want == SIZE_MAX)
			want = c->in.len;
		assert_true(c->in.len >= want);
		buf_append(&out, c->in.data ? c->in.data : "", want);
		buf_consume(&c->in, want);
	}
	a->len = out.len;
	a->body = buf_take(&out);
}

/* One answer; release it. no_body: to a HEAD. */
static inline struct answer client_answer(struct client *c, bool no_body)
{
	struct answer a = {0};
	struct err e = {0};
	int n = 0;

	for (;;) {
		n = http_head_parse(HTTP_RESPONSE, c->in.data ? c->in.data : "", c->in.len, &a.head,
				    &e);
		if (n != 0)
			break;
		if (!client_fill(c))
			fail_msg("the connection ended before an answer");
	}
	if (n < 0)
		fail_msg("malformed answer: %s", e.text);
	buf_consume(&c->in, (size_t)n);
	client_take_body(c, &a,
			 no_body || a.head.status == 304 || a.head.status == 204 ||
				 a.head.status < 200);
	return a;
}

static inline void answer_release(struct answer *a)
{
	http_head_release(&a->head);
	free(a->body);
	a->body = NULL;
}

/* Sends, reads one answer. */
static inline struct answer client_ask(struct client *c, const char *request)
{
	client_send(c, request);
	return client_answer(c, strncmp(request, "HEAD", 4) == 0);
}

#endif
