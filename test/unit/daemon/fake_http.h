/*
 * A web server on loopback for tests: plain or TLS, a thread per connection, every request answered
 * by the test's function with whatever bytes it likes. All requests are kept for the test to look
 * at.
 */
#ifndef TEST_FAKE_HTTP_H
#define TEST_FAKE_HTTP_H

#include "base/buf.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/net.h"
#include "base/pool.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FAKE_CONNS_MAX	  8192
#define FAKE_REQUESTS_MAX 4096

struct fake_http;

struct fake_conn {
	struct fake_http *server;
	int fd;
	SSL *ssl; /* NULL = plain */
	pthread_t thread;
	struct buf in;	  /* received, not used yet */
	const char *head; /* of the request being answered */
	char target[512];
	unsigned number; /* of the request, from 0, over all connections */
	bool over;	 /* its thread touches nothing any more; the server's lock */
};

/* Answers one request; false: close the connection. Runs on the connection's thread. */
typedef bool (*fake_answer)(struct fake_conn *c, void *arg);

struct fake_http {
	fake_answer answer;
	void *arg;
	SSL_CTX *tls;
	int fd;
	uint16_t port;
	pthread_t thread;
	struct lock lock; /* rank 1 */
	struct cond changed;
	bool stopping;
	struct fake_conn *conns[FAKE_CONNS_MAX];
	unsigned conn_count, request_count, open_count, open_peak;
	char *requests[FAKE_REQUESTS_MAX]; /* heads as received */
	char url[64];			   /* "http://127.0.0.1:port" */
};

static inline ssize_t fake_read(struct fake_conn *c, void *data, size_t size)
{
	if (c->ssl)
		return SSL_read(c->ssl, data, (int)size);
	return read(c->fd, data, size);
}

/* False: the other end has gone. */
static inline bool fake_send(struct fake_conn *c, const void *data, size_t len)
{
	const char *at = data;

	while (len > 0) {
		ssize_t n = c->ssl ? SSL_write(c->ssl, at, (int)len)
				   : send(c->fd, at, len, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

static inline bool fake_puts(struct fake_conn *c, const char *text)
{
	return fake_send(c, text, strlen(text));
}

printf_like(2, 3) static inline bool fake_printf(struct fake_conn *c, const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return fake_puts(c, text);
}

/* A whole answer with a body of text. headers: lines with their ends, or "". */
static inline bool fake_reply(struct fake_conn *c, const char *status, const char *headers,
			      const char *body)
{
	return fake_printf(c, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n%s", status,
			   strlen(body), headers, body);
}

/* The value of a header of a request's head; NULL if absent. The caller frees. */
static inline char *fake_header(const char *head, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = strstr(head, "\r\n"); at; at = strstr(at, "\r\n")) {
		at += 2;
		if (strncasecmp(at, name, len) == 0 && at[len] == ':') {
			at += len + 1;
			at += strspn(at, " ");
			return mem_strndup(at, strcspn(at, "\r"));
		}
	}
	return NULL;
}

/* Takes n bytes of the request's body; false if the other end closes before. */
static inline bool fake_take(struct fake_conn *c, void *out, size_t n)
{
	char *at = out;

	while (n > 0) {
		size_t take = c->in.len < n ? c->in.len : n;
		char chunk[16384];
		ssize_t got;

		memcpy(at, c->in.data ? c->in.data : "", take);
		buf_consume(&c->in, take);
		at += take;
		n -= take;
		if (n == 0)
			break;
		got = fake_read(c, chunk, sizeof(chunk));
		if (got <= 0)
			return false;
		buf_append(&c->in, chunk, (size_t)got);
	}
	return true;
}

/* Blocks until the other end closes (a stall that the test ends). */
static inline void fake_hang(struct fake_conn *c)
{
	struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};

	while (poll(&p, 1, 60000) == 1 && !(p.revents & (POLLRDHUP | POLLHUP | POLLERR)))
		continue;
}

/* Reads a head into c->head; false at the end of the connection. The caller frees c->head. */
static inline bool fake_read_head(struct fake_conn *c)
{
	char chunk[4096], *end;
	ssize_t n;

	while (!c->in.data || !(end = strstr(c->in.data, "\r\n\r\n"))) {
		n = fake_read(c, chunk, sizeof(chunk));
		if (n <= 0)
			return false;
		buf_append(&c->in, chunk, (size_t)n);
	}
	c->head = mem_strndup(c->in.data, (size_t)(end - c->in.data) + 2);
	buf_consume(&c->in, (size_t)(end - c->in.data) + 4);
	sscanf(c->head, "%*s %511s", c->target);
	return true;
}

static inline void fake_note(struct fake_conn *c)
{
	struct fake_http *f = c->server;

	lock_guard(&f->lock);
	c->number = f->request_count;
	if (f->request_count < FAKE_REQUESTS_MAX)
		f->requests[f->request_count++] = mem_strdup(c->head);
	if (++f->open_count > f->open_peak)
		f->open_peak = f->open_count;
	cond_wake_all(&f->changed);
}

static inline void *fake_conn_run(void *arg)
{
	struct fake_conn *c = arg;
	bool more = true;

	if (c->ssl && SSL_accept(c->ssl) != 1)
		more = false;
	while (more && fake_read_head(c)) {
		fake_note(c);
		more = c->server->answer(c, c->server->arg);
		free((char *)c->head);
		lock_take(&c->server->lock);
		c->server->open_count--;
		lock_drop(&c->server->lock);
	}
	if (c->ssl)
		SSL_shutdown(c->ssl);
	shutdown(c->fd, SHUT_RDWR);
	lock_guard(&c->server->lock);
	c->over = true;
	return NULL;
}

static inline void fake_conn_free(struct fake_conn *c)
{
	pthread_join(c->thread, NULL);
	SSL_free(c->ssl);
	close(c->fd);
	buf_release(&c->in);
	free(c);
}

/* Makes room by forgetting connections that are over. Called with the lock held. */
static inline void fake_sweep(struct fake_http *f)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < f->conn_count; i++) {
		if (f->conns[i]->over)
			fake_conn_free(f->conns[i]);
		else
			f->conns[kept++] = f->conns[i];
	}
	f->conn_count = kept;
}

static inline void *fake_accept_run(void *arg)
{
	struct fake_http *f = arg;

	for (;;) {
		struct pollfd p = {.fd = f->fd, .events = POLLIN};
		struct fake_conn *c;
		int fd;

		poll(&p, 1, 60000);
		fd = accept4(f->fd, NULL, NULL, SOCK_CLOEXEC);
		lock_guard(&f->lock);
		if (f->conn_count == FAKE_CONNS_MAX)
			fake_sweep(f);
		if (f->conn_count == FAKE_CONNS_MAX)
			abort();
		if (f->stopping) {
			if (fd >= 0)
				close(fd);
			return NULL;
		}
		if (fd < 0)
			continue;
		c = mem_new(struct fake_conn);
		c->server = f;
		c->fd = fd;
		if (f->tls) {
			c->ssl = SSL_new(f->tls);
			SSL_set_fd(c->ssl, fd);
		}
		f->conns[f->conn_count++] = c;
		thread_start(&c->thread, "fake_conn", fake_conn_run, c);
	}
}

/* tls NULL = plain. */
static inline struct fake_http *fake_start(fake_answer answer, void *arg, SSL_CTX *tls)
{
	struct fake_http *f = mem_new(struct fake_http);
	struct err e;

	f->answer = answer;
	f->arg = arg;
	f->tls = tls;
	lock_init(&f->lock, 1);
	cond_init(&f->changed);
	if (net_listen("127.0.0.1", 0, 1024, &f->fd, &f->port, &e) < 0)
		abort();
	snprintf(f->url, sizeof(f->url), "%s://127.0.0.1:%u", tls ? "https" : "http", f->port);
	thread_start(&f->thread, "fake_http", fake_accept_run, f);
	return f;
}

static inline void fake_stop(struct fake_http *f)
{
	if (!f)
		return;
	lock_take(&f->lock);
	f->stopping = true;
	lock_drop(&f->lock);
	shutdown(f->fd, SHUT_RDWR);
	pthread_join(f->thread, NULL);
	close(f->fd);
	for (unsigned i = 0; i < f->conn_count; i++) {
		shutdown(f->conns[i]->fd, SHUT_RDWR);
		fake_conn_free(f->conns[i]);
	}
	for (unsigned i = 0; i < f->request_count; i++)
		free(f->requests[i]);
	cond_release(&f->changed);
	lock_release(&f->lock);
	free(f);
}

/* "http://127.0.0.1:port/path"; the caller frees. */
static inline char *fake_at(const struct fake_http *f, const char *path)
{
	return mem_printf("%s%s", f->url, path);
}

/* Whether any request so far had this text in its head. */
static inline bool fake_saw(struct fake_http *f, const char *text)
{
	lock_guard(&f->lock);

	for (unsigned i = 0; i < f->request_count; i++) {
		if (strcasestr(f->requests[i], text))
			return true;
	}
	return false;
}

static inline unsigned fake_count(struct fake_http *f)
{
	lock_guard(&f->lock);

	return f->request_count;
}

/* Content that is different at every offset. */
static inline unsigned char fake_byte(uint64_t off)
{
	return (unsigned char)(off ^ (off >> 8) * 31 ^ (off >> 16) * 7);
}

static inline bool fake_send_content(struct fake_conn *c, uint64_t off, uint64_t len)
{
	unsigned char chunk[16384];

	while (len > 0) {
		size_t n = len < sizeof(chunk) ? (size_t)len : sizeof(chunk);

		for (size_t i = 0; i < n; i++)
			chunk[i] = fake_byte(off + i);
		if (!fake_send(c, chunk, n))
			return false;
		off += n;
		len -= n;
	}
	return true;
}

/* The Range of the request being answered, clipped to size; false if there is none. */
static inline bool fake_range(const struct fake_conn *c, uint64_t size, uint64_t *first,
			      uint64_t *last)
{
	cleanup(free_at) char *text = fake_header(c->head, "Range");
	unsigned long long a, b;
	int n;

	if (!text)
		return false;
	n = sscanf(text, "bytes=%llu-%llu", &a, &b);
	if (n < 1)
		return false;
	*first = a;
	*last = n == 2 && b < size ? b : size - 1;
	return true;
}

/* A good file server's answer: ranges, 416, an ETag. */
static inline bool fake_file(struct fake_conn *c, uint64_t size, const char *headers)
{
	uint64_t first = 0, last = size - 1;

	if (!fake_range(c, size, &first, &last))
		return fake_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n%s\r\n",
				   (unsigned long long)size, headers) &&
		       fake_send_content(c, 0, size);
	if (size == 0 || first >= size)
		return fake_printf(c,
				   "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n"
				   "Content-Range: bytes */%llu\r\n%s\r\n",
				   (unsigned long long)size, headers);
	return fake_printf(c,
			   "HTTP/1.1 206 Partial Content\r\nContent-Length: %llu\r\n"
			   "Content-Range: bytes %llu-%llu/%llu\r\n%s\r\n",
			   (unsigned long long)(last - first + 1), (unsigned long long)first,
			   (unsigned long long)last, (unsigned long long)size, headers) &&
	       fake_send_content(c, first, last - first + 1);
}

#endif
