/*
 * Exchanges by curl. Each pooled handle is an easy handle in a multi of its own: the loop around
 * curl_multi_poll() sees cancellation, deadline and stall within POLL_MS, and the connections of
 * the handle stay with it. Callbacks run on the caller's thread and may block: that is the
 * back-pressure.
 */
#include "daemon/exchange.h"

#include "base/bucket.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"
#include "daemon/downloads.h"
#include "daemon/transport.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define POLL_MS		100
#define IDLE_HANDLES	64
#define RECEIVE_BUFFER	(128L << 10)
#define BANDWIDTH_BURST (256u << 10)

/* An easy handle and its connections. */
struct handle {
	struct list link; /* pool->idle */
	CURL *easy;
	CURLM *multi;
	char host[300]; /* scheme://authority it spoke to last */
	bool refused;
	char detail[CURL_ERROR_SIZE];
};

/* A host that is being spoken to. */
struct seat {
	unsigned taken, waiting;
};

struct exchange_pool {
	struct transport *transport;
	struct bucket bandwidth;
	unsigned per_host;
	int64_t stall_ms;
	struct lock lock; /* rank 50; guards all below */
	struct cond seat_free;
	struct map *seats; /* by host; struct seat */
	struct list idle;  /* last used first */
	unsigned idle_count;
};

/* What the callbacks of one running exchange need. */
struct running {
	struct exchange_pool *pool;
	struct exchange *x;
	struct handle *h;
	struct err err; /* why a callback ended the exchange; code 0 = it did not */
	bool retryable;
	int64_t heard_ms; /* last byte */
};

int exchange_pool_new(const struct origin_config *c, struct exchange_pool **out, struct err *e)
{
	struct transport *t;
	struct exchange_pool *p;
	int r = transport_new(c, &t, e);

	if (r < 0)
		return r;
	p = mem_new(struct exchange_pool);
	p->transport = t;
	p->per_host = c->concurrent_per_host ? c->concurrent_per_host : 32;
	p->stall_ms = c->stall_timeout_ms ? c->stall_timeout_ms : 30000;
	bucket_init(&p->bandwidth, c->bandwidth_per_s, BANDWIDTH_BURST);
	lock_init(&p->lock, 50);
	cond_init(&p->seat_free);
	p->seats = map_new();
	list_init(&p->idle);
	*out = p;
	return 0;
}

static void handle_free(struct handle *h)
{
	curl_easy_cleanup(h->easy);
	curl_multi_cleanup(h->multi);
	free(h);
}

void exchange_pool_free(struct exchange_pool *p)
{
	if (!p)
		return;
	list_each_safe (it, &p->idle)
		handle_free(list_entry(it, struct handle, link));
	map_free(p->seats);
	cond_release(&p->seat_free);
	lock_release(&p->lock);
	bucket_release(&p->bandwidth);
	transport_free(p->transport);
	free(p);
}

static bool is_cancelled(const bool *cancelled)
{
	return cancelled && __atomic_load_n(cancelled, __ATOMIC_ACQUIRE);
}

static int check(int64_t deadline_ms, const bool *cancelled, struct err *e)
{
	if (is_cancelled(cancelled))
		return err_set(e, ECANCELED, "cancelled");
	if (deadline_ms && clock_ms() >= deadline_ms)
		return err_set(e, ETIMEDOUT, "the origin's answer took too long");
	return 0;
}

int exchange_wait(int64_t ms, int64_t deadline_ms, const bool *cancelled, struct err *e)
{
	int64_t until = clock_ms() + ms;

	if (deadline_ms && until > deadline_ms)
		return err_set(e, ETIMEDOUT, "no time left to try again");
	for (;;) {
		int64_t left = until - clock_ms();
		struct timespec ts;
		int r = check(deadline_ms, cancelled, e);

		if (r < 0)
			return r;
		if (left <= 0)
			return 0;
		ts.tv_sec = 0;
		ts.tv_nsec = (left < POLL_MS ? left : POLL_MS) * 1000000;
		nanosleep(&ts, NULL);
	}
}

void exchange_print(const struct exchange *x, char *text, size_t size)
{
	char authority[280];

	/* Room for the reason must be left in struct err. */
	url_authority(x->url, authority, sizeof(authority));
	snprintf(text, size, "%s %s://%.80s%.90s", x->method, x->url->scheme, authority,
		 x->url->path);
}

/* ---- seats: how many may speak to a host */

static int take_seat(struct exchange_pool *p, const char *host, const struct exchange *x,
		     struct err *e)
{
	lock_guard(&p->lock);
	struct seat *s = map_get(p->seats, host);
	int r = 0;

	if (!s) {
		s = mem_new(struct seat);
		map_put(p->seats, host, s);
	}
	s->waiting++;
	while (s->taken >= p->per_host && r == 0) {
		int64_t until = clock_ms() + POLL_MS;

		if (x->deadline_ms && x->deadline_ms < until)
			until = x->deadline_ms;
		cond_wait_until(&p->seat_free, &p->lock, until);
		r = check(x->deadline_ms, x->cancelled, e);
	}
	s->waiting--;
	if (r == 0)
		s->taken++;
	else if (s->taken == 0 && s->waiting == 0)
		free(map_remove(p->seats, host));
	return r;
}

static void give_seat_back(struct exchange_pool *p, const char *host)
{
	lock_guard(&p->lock);
	struct seat *s = map_get(p->seats, host);

	if (--s->taken == 0 && s->waiting == 0)
		free(map_remove(p->seats, host));
	else
		cond_wake_all(&p->seat_free);
}

/* ---- handles */

static struct handle *handle_new(const char *host)
{
	struct handle *h = mem_new(struct handle);

	h->easy = curl_easy_init();
	h->multi = curl_multi_init();
	if (!h->easy || !h->multi)
		abort();
	curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, 4L);
	list_init(&h->link);
	snprintf(h->host, sizeof(h->host), "%s", host);
	return h;
}

/* One that has a connection to host if there is, else a new one. */
static struct handle *take_handle(struct exchange_pool *p, const char *host)
{
	lock_guard(&p->lock);

	list_each (it, &p->idle) {
		struct handle *h = list_entry(it, struct handle, link);

		if (strcmp(h->host, host) == 0) {
			list_remove(&h->link);
			p->idle_count--;
			return h;
		}
	}
	return NULL;
}

static void give_handle_back(struct exchange_pool *p, struct handle *h)
{
	struct handle *surplus = NULL;

	lock_take(&p->lock);
	list_push_front(&p->idle, &h->link);
	if (++p->idle_count > IDLE_HANDLES) {
		surplus = list_entry(p->idle.prev, struct handle, link);
		list_remove(&surplus->link);
		p->idle_count--;
	}
	lock_drop(&p->lock);
	if (surplus)
		handle_free(surplus);
}

/* ---- curl's callbacks */

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
	struct running *run = arg;
	struct exchange *x = run->x;
	size_t len = size * count;
	bool no_body = strcmp(x->method, "HEAD") == 0;
	int r = answer_feed(&x->answer, run->h->easy, no_body, data, len, &run->err);

	run->heard_ms = clock_ms();
	if (r > 0)
		r = x->on_head(x, &run->err);
	return r < 0 || x->enough ? CURL_WRITEFUNC_ERROR : len;
}

static int wait_for_turn(struct exchange *x, int64_t ms, struct err *e)
{
	int64_t since_us = clock_us();
	int r = exchange_wait(ms, x->deadline_ms, x->cancelled, e);

	if (x->held_us)
		*x->held_us += clock_us() - since_us;
	return r;
}

static size_t on_write(char *data, size_t size, size_t count, void *arg)
{
	struct running *run = arg;
	struct exchange *x = run->x;
	size_t len = size * count;
	int64_t wait = bucket_take(&run->pool->bandwidth, len);
	int r = 0;

	if (!x->answer.whole)
		r = err_set(&run->err, EPROTO, "a body without a head");
	if (r == 0 && wait > 0)
		r = wait_for_turn(x, wait, &run->err);
	if (r == 0)
		r = x->on_body(x, data, len, &run->err);
	run->heard_ms = clock_ms();
	return r < 0 || x->enough ? CURL_WRITEFUNC_ERROR : len;
}

/* ---- running one */

static void prepare(struct exchange_pool *p, struct running *run, const char *url)
{
	CURL *easy = run->h->easy;
	const struct exchange *x = run->x;

	curl_easy_reset(easy);
	transport_apply(p->transport, easy, &run->h->refused);
	run->h->detail[0] = '\0';
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, run->h->detail);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER);
	curl_easy_setopt(easy, CURLOPT_URL, url);
	if (strcmp(x->method, "HEAD") == 0)
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	if (x->form)
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, x->form);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, x->headers);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, run);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_write);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, run);
}

/* How long the next poll may last; negative with *e set when the exchange must end. */
static int poll_ms(const struct running *run, struct err *e)
{
	const struct exchange *x = run->x;
	int left = clock_left_ms(x->deadline_ms);
	int r = check(x->deadline_ms, x->cancelled, e);

	if (r < 0)
		return r;
	if (clock_ms() - run->heard_ms > run->pool->stall_ms)
		return err_set(e, ETIMEDOUT, "the origin sends nothing");
	return left >= 0 && left < POLL_MS ? left + 1 : POLL_MS;
}

/* Drives curl until the transfer has ended; its result, or negative with *e set. */
static int drive(struct running *run, CURLcode *code_out, struct err *e)
{
	CURLM *multi = run->h->multi;
	int running = 1, left, ms;
	CURLMsg *m;

	for (;;) {
		if (curl_multi_perform(multi, &running) != CURLM_OK)
			abort();
		if (!running)
			break;
		ms = poll_ms(run, e);
		if (ms < 0) {
			run->retryable = !is_cancelled(run->x->cancelled) &&
					 clock_left_ms(run->x->deadline_ms) != 0;
			return ms;
		}
		curl_multi_poll(multi, NULL, 0, ms, NULL);
	}
	*code_out = CURLE_OK;
	while ((m = curl_multi_info_read(multi, &left)) != NULL) {
		if (m->msg == CURLMSG_DONE)
			*code_out = m->data.result;
	}
	return 0;
}

static int run_on_handle(struct exchange_pool *p, struct exchange *x, struct handle *h,
			 struct err *e)
{
	struct running run = {.pool = p, .x = x, .h = h, .heard_ms = clock_ms()};
	cleanup(free_at) char *url = url_print(x->url);
	CURLcode code = CURLE_OK;
	char what[200];
	int r;

	prepare(p, &run, url);
	if (curl_multi_add_handle(h->multi, h->easy) != CURLM_OK)
		abort();
	r = drive(&run, &code, e);
	curl_multi_remove_handle(h->multi, h->easy);
	exchange_print(x, what, sizeof(what));
	if (run.err.code) {
		err_copy(e, &run.err);
		return err_wrap(e, "%s", what);
	}
	if (r < 0) {
		x->retryable = run.retryable;
		return err_wrap(e, "%s", what);
	}
	if (x->enough || (code == CURLE_OK && x->answer.whole))
		return 0;
	if (code == CURLE_OK)
		code = CURLE_GOT_NOTHING;
	return transport_error(code, h->refused, h->detail, what, &x->retryable, e);
}

int exchange_run(struct exchange_pool *p, struct exchange *x, struct err *e)
{
	char authority[280], host[300];
	struct handle *h;
	int64_t began_ms;
	int r;

	x->retryable = false;
	x->enough = false;
	answer_init(&x->answer);
	url_authority(x->url, authority, sizeof(authority));
	snprintf(host, sizeof(host), "%s://%s", x->url->scheme, authority);
	r = take_seat(p, host, x, e);
	if (r < 0)
		return r;
	began_ms = clock_ms();
	h = take_handle(p, host);
	if (!h)
		h = handle_new(host);
	r = run_on_handle(p, x, h, e);
	give_handle_back(p, h);
	give_seat_back(p, host);
	downloads_backend(x->url->scheme, x->method, clock_ms() - began_ms, r < 0);
	return r;
}

void exchange_release(struct exchange *x)
{
	answer_release(&x->answer);
}
