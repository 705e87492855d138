/*
 * A server with one method of each kind, a channel to it, and probes that count what the callbacks
 * saw and can be waited for. Messages are common.v2.Range: { start, length }.
 *
 *	/test.Test/Echo		unary; answers the request, keeps probe.call
 *	/test.Test/Later	unary; the test answers by probe.call
 *	/test.Test/Count	server stream; length messages from start on, then OK
 *	/test.Test/Sum		client stream; answers { sum of starts, messages } at half-close
 *	/test.Test/Chat		both; each message back, OK at half-close
 *	/test.Test/Hold		both; says nothing, the test ends it by probe.call
 *	/test.Test/Refuse	unary; FAILED_PRECONDITION with text and details
 */
#ifndef TEST_RPC_FIXTURE_H
#define TEST_RPC_FIXTURE_H

#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"
#include "test/unit/rpc_group.h"

#include <assert.h>
#include <common_v2.pb-c.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
/* after the others, as cmocka demands */
#include <cmocka.h>

#define WAIT_MS	   40000
#define UNARY_MS   60000
#define RANGE_DESC (&common__v2__range__descriptor)

struct probe {
	struct lock lock; /* everything below */
	struct cond changed;
	int messages, half_closed, closed;
	uint64_t sum;	       /* of starts */
	uint64_t last;	       /* start */
	struct rpc_call *call; /* the newest, a reference */
	/* of a stream's end */
	enum rpc_code code;
	char text[1024];
	char details[64];
	size_t details_len;
};

static inline void probe_init(struct probe *p)
{
	memset(p, 0, sizeof(*p));
	lock_init(&p->lock, 5);
	cond_init(&p->changed);
}

static inline void probe_release(struct probe *p)
{
	if (p->call)
		rpc_call_unref(p->call);
	lock_release(&p->lock);
	cond_release(&p->changed);
}

/* Waits until *count, one of the probe's, is at least want. */
static inline void probe_wait(struct probe *p, const int *count, int want)
{
	int64_t deadline = clock_ms() + WAIT_MS;
	bool in_time = true;

	lock_take(&p->lock);
	while (*count < want && in_time)
		in_time = cond_wait_until(&p->changed, &p->lock, deadline);
	lock_drop(&p->lock);
	assert_true(in_time);
}

/* A field of the probe while callbacks may still come. */
#define probe_get(p, field)                                                                        \
	({                                                                                         \
		lock_take(&(p)->lock);                                                             \
		__typeof__((p)->field) value = (p)->field;                                         \
		lock_drop(&(p)->lock);                                                             \
		value;                                                                             \
	})

static inline void probe_count(struct probe *p, int *count)
{
	lock_guard(&p->lock);
	(*count)++;
	cond_wake_all(&p->changed);
}

static inline uint64_t probe_message(struct probe *p, const ProtobufCMessage *msg)
{
	lock_guard(&p->lock);
	p->messages++;
	p->last = ((const Common__V2__Range *)msg)->start;
	p->sum += p->last;
	cond_wake_all(&p->changed);
	return p->last;
}

static inline void probe_keep(struct probe *p, struct rpc_call *call)
{
	struct rpc_call *old;

	rpc_call_ref(call);
	lock_take(&p->lock);
	old = p->call;
	p->call = call;
	lock_drop(&p->lock);
	if (old)
		rpc_call_unref(old);
}

static inline Common__V2__Range range(uint64_t start, uint64_t length)
{
	Common__V2__Range r = COMMON__V2__RANGE__INIT;

	r.start = start;
	r.length = length;
	return r;
}

/* ---- the methods; arg is the server's probe ---- */

static void on_echo(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	probe_keep(arg, call);
	probe_message(arg, req);
	rpc_call_reply(call, req);
}

static void on_hold(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	probe_keep(arg, call);
	probe_message(arg, req);
}

static void on_count(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Common__V2__Range *want = (const Common__V2__Range *)req;

	probe_message(arg, req);
	for (uint64_t i = 0; i < want->length; i++) {
		Common__V2__Range r = range(want->start + i, 1);

		if (!rpc_call_send(call, &r.base)) {
			rpc_call_finish(call, RPC_RESOURCE_EXHAUSTED, "slow reader");
			return;
		}
	}
	rpc_call_finish(call, RPC_OK, NULL);
}

struct sum {
	uint64_t total, messages;
};

static void on_sum(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	struct sum *sum = rpc_call_user(call);

	if (!sum) {
		sum = mem_new(struct sum);
		rpc_call_set_user(call, sum);
	}
	sum->total += probe_message(arg, req);
	sum->messages++;
}

static void on_sum_end(struct rpc_call *call, void *arg)
{
	struct probe *p = arg;
	struct sum *sum = rpc_call_user(call);
	Common__V2__Range r = range(sum->total, sum->messages);

	probe_count(p, &p->half_closed);
	rpc_call_reply(call, &r.base);
}

static void on_sum_closed(struct rpc_call *call, void *arg)
{
	struct probe *p = arg;

	free(rpc_call_user(call));
	probe_count(p, &p->closed);
}

static void on_chat(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	rpc_call_send(call, req);
	probe_message(arg, req);
}

static void on_half_closed(struct rpc_call *call, void *arg)
{
	struct probe *p = arg;

	rpc_call_finish(call, RPC_OK, NULL);
	probe_count(p, &p->half_closed);
}

static void on_hold_half_closed(struct rpc_call *call, void *arg)
{
	struct probe *p = arg;

	(void)call;
	probe_count(p, &p->half_closed);
}

static void on_refuse(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	probe_message(arg, req);
	rpc_call_finish_details(call, RPC_FAILED_PRECONDITION, "not like \"this\" \xe2\x82\xac",
				"{\"a\":\0001}", 8);
}

static void on_closed(struct rpc_call *call, void *arg)
{
	struct probe *p = arg;

	assert(rpc_call_is_closed(call)); /* not cmocka's: this is another thread */
	probe_count(p, &p->closed);
}

static const struct rpc_method test_methods[] = {
	{"/test.Test/Echo", RANGE_DESC, false, on_echo, NULL, on_closed},
	{"/test.Test/Later", RANGE_DESC, false, on_hold, NULL, on_closed},
	{"/test.Test/Count", RANGE_DESC, false, on_count, NULL, on_closed},
	{"/test.Test/Sum", RANGE_DESC, true, on_sum, on_sum_end, on_sum_closed},
	{"/test.Test/Chat", RANGE_DESC, true, on_chat, on_half_closed, on_closed},
	{"/test.Test/Hold", RANGE_DESC, true, on_hold, on_hold_half_closed, on_closed},
	{"/test.Test/Refuse", RANGE_DESC, false, on_refuse, NULL, on_closed},
	{0},
};
static const struct rpc_method *const test_services[] = {test_methods, NULL};

/* ---- the client's side: ops whose arg is a probe ---- */

static void on_stream_message(struct rpc_stream *s, const ProtobufCMessage *msg, void *arg)
{
	(void)s;
	probe_message(arg, msg);
}

static void on_stream_closed(struct rpc_stream *s, enum rpc_code code, const char *text,
			     const void *details, size_t details_len, void *arg)
{
	struct probe *p = arg;

	(void)s;
	lock_guard(&p->lock);
	p->code = code;
	snprintf(p->text, sizeof(p->text), "%s", text);
	p->details_len = details_len;
	if (details)
		memcpy(p->details, details, details_len < 64 ? details_len : 64);
	p->closed++;
	cond_wake_all(&p->changed);
}

static const struct rpc_stream_ops test_stream_ops = {
	.response = RANGE_DESC,
	.message = on_stream_message,
	.closed = on_stream_closed,
};

/* ---- both together ---- */

struct fixture {
	struct probe served;
	struct probe seen; /* by the client's stream */
	struct rpc_server *server;
	struct rpc_channel *channel;
	char target[64];
};

static inline struct rpc_server *serve(const char *address, struct probe *p,
				       struct rpc_server_config c)
{
	const char *const listen[] = {address, NULL};
	void *const args[] = {p};
	struct rpc_server *server = NULL;
	struct err e = {0};

	c.listen = listen;
	c.services = test_services;
	c.service_args = args;
	if (rpc_server_new(&c, &server, &e) < 0)
		print_error("%s\n", e.text);
	assert_non_null(server);
	return server;
}

static inline void fixture_open(struct fixture *f, struct rpc_server_config c)
{
	probe_init(&f->served);
	probe_init(&f->seen);
	f->server = serve("127.0.0.1:0", &f->served, c);
	snprintf(f->target, sizeof(f->target), "127.0.0.1:%u", rpc_server_port(f->server));
	f->channel = rpc_channel_new(f->target, NULL);
}

static inline int fixture_setup(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	fixture_open(f, (struct rpc_server_config){0});
	*state = f;
	return 0;
}

static inline int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	rpc_channel_free(f->channel);
	rpc_server_free(f->server, 0);
	probe_release(&f->served);
	probe_release(&f->seen);
	free(f);
	return 0;
}

/* A unary call with { start, length }; the answer's start, or -1 with *code_out. */
static inline int64_t call_unary(struct rpc_channel *ch, const char *path, uint64_t start,
				 int64_t timeout_ms, int *code_out)
{
	Common__V2__Range req = range(start, 1);
	ProtobufCMessage *resp = NULL;
	struct err e = {0};
	int64_t got;

	if (rpc_unary(ch, path, &req.base, RANGE_DESC, timeout_ms, &resp, code_out, &e) < 0)
		return -1;
	got = (int64_t)((Common__V2__Range *)resp)->start;
	protobuf_c_message_free_unpacked(resp, NULL);
	return got;
}

static inline bool stream_send(struct rpc_stream *s, uint64_t start, uint64_t length)
{
	Common__V2__Range r = range(start, length);

	return rpc_stream_send(s, &r.base);
}

static inline bool call_send(struct rpc_call *call, uint64_t start)
{
	Common__V2__Range r = range(start, 1);

	return rpc_call_send(call, &r.base);
}

#define rpc_test(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

#endif
