/* A call made within a trace is seen on both sides, as parent and child; others are not touched. */
#include "rpc_fixture.h"

#define PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static const char *traceparent_of(struct fixture *f)
{
	return rpc_call_metadata(probe_get(&f->served, call), "traceparent");
}

static void a_unary_call_hands_its_context_on(void **state)
{
	struct fixture *f = *state;
	struct trace_context c, sent;
	struct buf out = {0};

	assert_true(trace_context_parse(PARENT, &c));
	trace_start(1000000);
	{
		trace_within(&c);
		assert_int_equal(call_unary(f->channel, "/test.Test/Echo", 42, UNARY_MS, NULL), 42);
	}
	assert_true(trace_context_parse(traceparent_of(f), &sent));
	assert_memory_equal(sent.trace_id, c.trace_id, sizeof(c.trace_id));
	assert_memory_not_equal(sent.span_id, c.span_id, sizeof(c.span_id));
	assert_memory_equal(rpc_call_trace(probe_get(&f->served, call))->trace_id, c.trace_id, 16);
	/* The client's span and the server's. */
	probe_wait(&f->served, &f->served.closed, 1);
	for (unsigned taken = 0; taken < 2;) {
		unsigned n = trace_take(1, WAIT_MS, &out);

		assert_true(n > 0);
		taken += n;
	}
	buf_release(&out);
	trace_stop();
}

static void a_stream_hands_its_context_on(void **state)
{
	struct fixture *f = *state;
	struct trace_context c, sent;
	struct rpc_stream *s;

	assert_true(trace_context_parse(PARENT, &c));
	trace_start(1000000);
	{
		trace_within(&c);
		s = rpc_stream_new(f->channel, "/test.Test/Hold", &test_stream_ops, &f->seen, 0);
	}
	assert_true(stream_send(s, 1, 1));
	probe_wait(&f->served, &f->served.messages, 1);
	assert_true(trace_context_parse(traceparent_of(f), &sent));
	assert_memory_equal(sent.trace_id, c.trace_id, sizeof(c.trace_id));
	rpc_stream_free(s);
	probe_wait(&f->served, &f->served.closed, 1);
	trace_stop();
}

static void a_call_outside_of_a_trace_carries_nothing(void **state)
{
	struct fixture *f = *state;

	trace_start(1000000);
	assert_int_equal(call_unary(f->channel, "/test.Test/Echo", 42, UNARY_MS, NULL), 42);
	assert_null(traceparent_of(f));
	/* Its server begins a trace of its own. */
	assert_true(trace_context_is_set(rpc_call_trace(probe_get(&f->served, call))));
	probe_wait(&f->served, &f->served.closed, 1);
	trace_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rpc_test(a_unary_call_hands_its_context_on),
		rpc_test(a_stream_hands_its_context_on),
		rpc_test(a_call_outside_of_a_trace_carries_nothing),
	};

	return cmocka_run_group_tests(tests, rpc_group_setup, rpc_group_teardown);
}
