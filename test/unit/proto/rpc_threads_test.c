/* A server of several threads, and messages queued under somebody's lock. */
#include "rpc_fixture.h"

#define CHANNELS 16

/* ---- several threads */

struct meeting {
	struct lock lock;
	struct cond changed;
	unsigned inside, most;
};

/* Waits until another call is in here as well: nothing a callback may do but in this test. */
static void on_meet(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	int64_t deadline = clock_ms() + WAIT_MS;
	struct meeting *m = arg;
	bool in_time = true;

	lock_take(&m->lock);
	if (++m->inside > m->most)
		m->most = m->inside;
	cond_wake_all(&m->changed);
	while (m->most < 2 && in_time)
		in_time = cond_wait_until(&m->changed, &m->lock, deadline);
	m->inside--;
	lock_drop(&m->lock);
	rpc_call_reply(call, req);
}

static const struct rpc_method meet_methods[] = {
	{"/test.Test/Meet", RANGE_DESC, false, on_meet, NULL, NULL},
	{0},
};

static void calls_of_several_connections_are_served_at_the_same_time(void **state)
{
	const struct rpc_method *const services[] = {meet_methods, NULL};
	const char *const listen[] = {"0.0.0.0:0", NULL};
	struct meeting m = {.inside = 0};
	void *args[] = {&m};
	const struct rpc_server_config c = {
		.listen = listen, .services = services, .service_args = args, .threads = 4};
	struct rpc_channel *channels[CHANNELS];
	struct rpc_stream *streams[CHANNELS];
	struct rpc_server *server;
	struct probe seen;
	struct err e;

	(void)state;
	lock_init(&m.lock, 5);
	cond_init(&m.changed);
	probe_init(&seen);
	assert_int_equal(rpc_server_new(&c, &server, &e), 0);
	for (unsigned i = 0; i < CHANNELS; i++) {
		char target[32];

		/* Connections of their own, which are dealt out to the threads. */
		snprintf(target, sizeof(target), "127.0.0.%u:%u", i + 1, rpc_server_port(server));
		channels[i] = rpc_channel_new(target, NULL);
		streams[i] =
			rpc_stream_new(channels[i], "/test.Test/Meet", &test_stream_ops, &seen, 0);
		stream_send(streams[i], i, 1);
		rpc_stream_half_close(streams[i]);
	}
	probe_wait(&seen, &seen.closed, CHANNELS);
	assert_int_equal(probe_get(&seen, messages), CHANNELS);
	for (unsigned i = 0; i < CHANNELS; i++) {
		rpc_stream_free(streams[i]);
		rpc_channel_free(channels[i]);
	}
	rpc_server_free(server, 0);
	assert_true(m.most >= 2);
	probe_release(&seen);
	cond_release(&m.changed);
	lock_release(&m.lock);
}

/* ---- queued, then flushed */

static bool call_queue(struct rpc_call *call, uint64_t start)
{
	Common__V2__Range r = range(start, 1);

	return rpc_call_queue(call, &r.base);
}

/* A stream that the server holds open; its call is f->served.call. */
static struct rpc_stream *held_stream(struct fixture *f)
{
	struct rpc_stream *s =
		rpc_stream_new(f->channel, "/test.Test/Hold", &test_stream_ops, &f->seen, 0);

	assert_true(stream_send(s, 1, 1));
	probe_wait(&f->served, &f->served.messages, 1);
	return s;
}

static void what_is_queued_goes_out_when_it_is_flushed(void **state)
{
	struct fixture *f = *state;
	struct rpc_stream *s = held_stream(f);

	assert_true(call_queue(f->served.call, 7));
	assert_true(call_queue(f->served.call, 8));
	rpc_call_flush(f->served.call);
	probe_wait(&f->seen, &f->seen.messages, 2);
	assert_int_equal(probe_get(&f->seen, last), 8);
	rpc_stream_free(s);
}

static void what_is_queued_and_what_is_sent_keep_their_order(void **state)
{
	struct fixture *f = *state;
	struct rpc_stream *s = held_stream(f);

	assert_true(call_queue(f->served.call, 7));
	assert_true(call_send(f->served.call, 9));
	rpc_call_finish(f->served.call, RPC_OK, NULL);
	probe_wait(&f->seen, &f->seen.closed, 1);
	assert_int_equal(f->seen.messages, 2);
	assert_int_equal(f->seen.last, 9);
	assert_int_equal(f->seen.code, RPC_OK);
	rpc_stream_free(s);
}

static void nothing_is_queued_for_a_call_that_ends(void **state)
{
	struct fixture *f = *state;
	struct rpc_stream *s = held_stream(f);

	rpc_call_finish(f->served.call, RPC_OK, NULL);
	assert_false(call_queue(f->served.call, 7));
	rpc_call_flush(f->served.call);
	probe_wait(&f->seen, &f->seen.closed, 1);
	assert_int_equal(f->seen.messages, 0);
	rpc_stream_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_of_several_connections_are_served_at_the_same_time),
		rpc_test(what_is_queued_goes_out_when_it_is_flushed),
		rpc_test(what_is_queued_and_what_is_sent_keep_their_order),
		rpc_test(nothing_is_queued_for_a_call_that_ends),
	};

	return cmocka_run_group_tests(tests, rpc_group_setup, rpc_group_teardown);
}
