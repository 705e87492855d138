/* Limits, time and giving up: through the origin's own functions, over real sockets. */
#include "test/unit/unit.h"

#include "base/clock.h"
#include "daemon/origin.h"
#include "test/unit/daemon/fake_http.h"

#define SIZE	 600000u
#define CROWD	 64
#define HOSTS	 70 /* more than handles are kept */
#define PER_HOST 4
#define WAIT_MS	 60000

static struct fake_http *server;

/* Keeps this request open until `open` of them have been at a time. */
static void hold_until(struct fake_conn *c, unsigned open)
{
	struct fake_http *f = c->server;
	int64_t deadline = clock_ms() + WAIT_MS;

	lock_guard(&f->lock);
	while (f->open_peak < open && !f->stopping) {
		if (!cond_wait_until(&f->changed, &f->lock, deadline))
			return;
	}
}

static bool answer(struct fake_conn *c, void *arg)
{
	(void)arg;
	if (strcmp(c->target, "/held") == 0)
		hold_until(c, PER_HOST);
	if (strcmp(c->target, "/silent") == 0) {
		fake_hang(c);
		return false;
	}
	if (strcmp(c->target, "/stall") == 0) {
		fake_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", SIZE);
		fake_send_content(c, 0, 1000);
		fake_hang(c);
		return false;
	}
	return fake_file(c, SIZE, "");
}

static int set_up(void **state)
{
	(void)state;
	server = fake_start(answer, NULL, NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fake_stop(server);
	return 0;
}

static struct origin *origin_with(const struct origin_config *config)
{
	struct origin *o;
	struct err e;

	assert_int_equal(origin_new(config, &o, &e), 0);
	return o;
}

/* One reader, with its own thread if run by thread_start(). */
struct reader {
	struct origin *origin;
	const char *path;
	uint64_t off, len, at;
	int64_t deadline_ms;
	bool *cancelled; /* set by the sink once bytes have come, if cancel_in_sink */
	bool cancel_in_sink, wrong;
	int result;
	struct err err;
	pthread_t thread;
};

static int take(void *arg, const void *data, size_t len, struct err *e)
{
	struct reader *r = arg;
	const unsigned char *bytes = data;

	(void)e;
	for (size_t i = 0; i < len; i++)
		r->wrong |= bytes[i] != fake_byte(r->at + i);
	r->at += len;
	if (r->cancel_in_sink)
		__atomic_store_n(r->cancelled, true, __ATOMIC_RELEASE);
	return 0;
}

static void *read_run(void *arg)
{
	struct reader *r = arg;
	cleanup(free_at) char *url = fake_at(server, r->path);
	struct origin_request rq = {.url = url,
				    .off = r->off,
				    .len = r->len,
				    .deadline_ms = r->deadline_ms,
				    .cancelled = r->cancelled};

	r->at = r->off;
	r->result = origin_get(r->origin, &rq, take, r, &r->err);
	return NULL;
}

/* ---- limits */

static void requests_per_host_are_limited(void **state)
{
	struct origin_config config = {.concurrent_per_host = PER_HOST};
	struct origin *o = origin_with(&config);
	struct reader readers[4 * PER_HOST] = {0};

	(void)state;
	for (unsigned i = 0; i < array_len(readers); i++) {
		readers[i] = (struct reader){.origin = o, .path = "/held", .len = 10};
		thread_start(&readers[i].thread, "reader", read_run, &readers[i]);
	}
	for (unsigned i = 0; i < array_len(readers); i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].result, 0);
	}
	assert_int_equal(server->open_peak, PER_HOST);
	origin_free(o);
}

static void wait_for_a_seat_ends_with_deadline_or_cancel(void **state)
{
	struct origin_config config = {.concurrent_per_host = 1};
	struct origin *o = origin_with(&config);
	bool stop = false, cancelled = true;
	struct reader holder = {.origin = o, .path = "/silent", .cancelled = &stop};
	struct reader late = {.origin = o, .path = "/x", .deadline_ms = clock_ms() + 200};
	struct reader given_up = {.origin = o, .path = "/x", .cancelled = &cancelled};

	(void)state;
	thread_start(&holder.thread, "reader", read_run, &holder);
	lock_take(&server->lock);
	while (server->request_count == 0)
		cond_wait(&server->changed, &server->lock);
	lock_drop(&server->lock);
	read_run(&late);
	assert_int_equal(late.result, -ETIMEDOUT);
	read_run(&given_up);
	assert_int_equal(given_up.result, -ECANCELED);
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	pthread_join(holder.thread, NULL);
	assert_int_equal(holder.result, -ECANCELED);
	assert_int_equal(fake_count(server), 1);
	origin_free(o);
}

static void bandwidth_is_limited(void **state)
{
	struct origin_config config = {.bandwidth_per_s = 1000000};
	struct origin *o = origin_with(&config);
	struct reader r = {.origin = o, .path = "/x"};
	int64_t start = clock_ms();

	(void)state;
	read_run(&r);
	assert_int_equal(r.result, 0);
	assert_false(r.wrong);
	/* 600,000 bytes less the burst of 256 KiB. */
	assert_true(clock_ms() - start >= 300);
	origin_free(o);
}

static void wait_for_bandwidth_ends_with_the_deadline(void **state)
{
	struct origin_config config = {.bandwidth_per_s = 1000};
	struct origin *o = origin_with(&config);
	struct reader r = {.origin = o, .path = "/x", .deadline_ms = clock_ms() + 500};

	(void)state;
	read_run(&r);
	assert_int_equal(r.result, -ETIMEDOUT);
	assert_false(r.wrong);
	assert_true(clock_ms() < r.deadline_ms + WAIT_MS);
	origin_free(o);
}

/* ---- time and giving up */

static void stall_is_an_error(void **state)
{
	struct origin_config config = {.stall_timeout_ms = 200};
	struct origin *o = origin_with(&config);
	static const char *const paths[] = {"/stall", "/silent"};

	(void)state;
	for (size_t i = 0; i < array_len(paths); i++) {
		struct reader r = {.origin = o, .path = paths[i]};

		read_run(&r);
		assert_int_equal(r.result, -ETIMEDOUT);
		assert_non_null(strstr(r.err.text, "sends nothing"));
		assert_int_equal(r.at, i ? 0 : 1000);
	}
	origin_free(o);
}

static void deadline_ends_a_transfer(void **state)
{
	struct origin_config config = {.retries_max = 5};
	struct origin *o = origin_with(&config);
	struct reader r = {.origin = o, .path = "/stall", .deadline_ms = clock_ms() + 200};

	(void)state;
	read_run(&r);
	assert_int_equal(r.result, -ETIMEDOUT);
	assert_true(clock_ms() < r.deadline_ms + WAIT_MS);
	origin_free(o);
}

static void cancel_ends_a_transfer(void **state)
{
	struct origin_config config = {.retries_max = 5};
	struct origin *o = origin_with(&config);
	bool cancelled = false;
	struct reader r = {
		.origin = o, .path = "/stall", .cancelled = &cancelled, .cancel_in_sink = true};
	int64_t start = clock_ms();

	(void)state;
	read_run(&r);
	assert_int_equal(r.result, -ECANCELED);
	assert_true(clock_ms() - start < WAIT_MS);
	origin_free(o);
}

/* ---- connections */

static void connections_are_kept(void **state)
{
	struct origin_config config = {0};
	struct origin *o = origin_with(&config);

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		struct reader r = {.origin = o, .path = "/x", .off = i * 1000, .len = 1000};

		read_run(&r);
		assert_int_equal(r.result, 0);
		assert_false(r.wrong);
	}
	assert_int_equal(server->conn_count, 1);
	assert_int_equal(fake_count(server), 10);
	origin_free(o);
}

static void many_hosts_do_not_pile_up_handles(void **state)
{
	struct origin_config config = {0};
	struct origin *o = origin_with(&config);
	struct fake_http *hosts[HOSTS], *first = server;

	(void)state;
	for (unsigned i = 0; i < HOSTS; i++) {
		struct reader r = {.origin = o, .path = "/x", .len = 10};

		hosts[i] = fake_start(answer, NULL, NULL);
		server = hosts[i];
		read_run(&r);
		assert_int_equal(r.result, 0);
	}
	server = first;
	for (unsigned i = 0; i < HOSTS; i++)
		fake_stop(hosts[i]);
	origin_free(o);
}

static void crowd_gets_right_bytes(void **state)
{
	struct origin_config config = {0};
	struct origin *o = origin_with(&config);
	struct reader readers[CROWD];

	(void)state;
	for (unsigned i = 0; i < CROWD; i++) {
		readers[i] = (struct reader){
			.origin = o, .path = "/x", .off = i * 3, .len = SIZE - i * 1000};
		thread_start(&readers[i].thread, "reader", read_run, &readers[i]);
	}
	for (unsigned i = 0; i < CROWD; i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].result, 0);
		assert_false(readers[i].wrong);
		assert_int_equal(readers[i].at, readers[i].off + readers[i].len);
	}
	assert_true(server->open_peak <= 32);
	origin_free(o);
}

#define with_server(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_server(requests_per_host_are_limited),
		with_server(wait_for_a_seat_ends_with_deadline_or_cancel),
		with_server(bandwidth_is_limited),
		with_server(wait_for_bandwidth_ends_with_the_deadline),
		with_server(stall_is_an_error),
		with_server(deadline_ends_a_transfer),
		with_server(cancel_ends_a_transfer),
		with_server(connections_are_kept),
		with_server(many_hosts_do_not_pile_up_handles),
		with_server(crowd_gets_right_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
