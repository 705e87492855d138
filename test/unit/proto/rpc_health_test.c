/* grpc.health.v1.Health of every server. */
#include "rpc_fixture.h"

#include <errno.h>
#include <health_v1.pb-c.h>

#define SERVING		GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
#define NOT_SERVING	GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
#define SERVICE_UNKNOWN GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN

/* The status of a service, or -1 with the code. */
static int check(struct fixture *f, const char *service, int *code_out)
{
	Grpc__Health__V1__HealthCheckRequest req = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
	ProtobufCMessage *resp = NULL;
	int status;

	req.service = (char *)service;
	if (rpc_unary(f->channel, "/grpc.health.v1.Health/Check", &req.base,
		      &grpc__health__v1__health_check_response__descriptor, UNARY_MS, &resp,
		      code_out, NULL) < 0)
		return -1;
	status = (int)((Grpc__Health__V1__HealthCheckResponse *)resp)->status;
	protobuf_c_message_free_unpacked(resp, NULL);
	return status;
}

static void check_knows_the_servers_services(void **state)
{
	struct fixture *f = *state;
	int code;

	assert_int_equal(check(f, "", &code), SERVING);
	assert_int_equal(check(f, "test.Test", &code), SERVING);
	assert_int_equal(check(f, "grpc.health.v1.Health", &code), SERVING);
	assert_int_equal(check(f, "test.Tes", &code), -1);
	assert_int_equal(code, RPC_NOT_FOUND);
	assert_int_equal(check(f, "test.Test/Echo", &code), -1);
	assert_int_equal(code, RPC_NOT_FOUND);
}

static void check_follows_set_serving(void **state)
{
	struct fixture *f = *state;
	struct err e = {0};
	int code;

	assert_int_equal(rpc_check_health(f->channel, UNARY_MS, &e), 0);
	rpc_server_set_serving(f->server, false);
	assert_int_equal(check(f, "", &code), NOT_SERVING);
	assert_int_equal(check(f, "test.Test", &code), NOT_SERVING);
	assert_int_equal(rpc_check_health(f->channel, UNARY_MS, &e), -EHOSTUNREACH);
	rpc_server_set_serving(f->server, true);
	assert_int_equal(rpc_check_health(f->channel, UNARY_MS, &e), 0);
}

static void on_status(struct rpc_stream *s, const ProtobufCMessage *msg, void *arg)
{
	struct probe *p = arg;

	(void)s;
	lock_guard(&p->lock);
	p->messages++;
	p->last = (uint64_t)((const Grpc__Health__V1__HealthCheckResponse *)msg)->status;
	cond_wake_all(&p->changed);
}

static struct rpc_stream *watch(struct fixture *f, const char *service)
{
	static const struct rpc_stream_ops ops = {
		.response = &grpc__health__v1__health_check_response__descriptor,
		.message = on_status,
		.closed = on_stream_closed,
	};
	Grpc__Health__V1__HealthCheckRequest req = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
	struct rpc_stream *s =
		rpc_stream_new(f->channel, "/grpc.health.v1.Health/Watch", &ops, &f->seen, 0);

	req.service = (char *)service;
	assert_true(rpc_stream_send(s, &req.base));
	rpc_stream_half_close(s);
	return s;
}

/* Waits for the status; one may be told twice. */
static void wait_status(struct fixture *f, uint64_t want)
{
	for (int n = 1; n == 1 || probe_get(&f->seen, last) != want; n++)
		probe_wait(&f->seen, &f->seen.messages, n);
}

static void watch_tells_now_and_at_each_change(void **state)
{
	struct fixture *f = *state;
	struct rpc_stream *s = watch(f, "test.Test");

	wait_status(f, SERVING);
	rpc_server_set_serving(f->server, false);
	wait_status(f, NOT_SERVING);
	rpc_server_set_serving(f->server, true);
	wait_status(f, SERVING);
	assert_int_equal(probe_get(&f->seen, closed), 0);
	rpc_stream_free(s);
	/* nobody watches any more */
	rpc_server_set_serving(f->server, false);
}

static void watch_of_an_unknown_service_says_so_and_stays(void **state)
{
	struct fixture *f = *state;
	struct rpc_stream *s = watch(f, "no.Such");

	probe_wait(&f->seen, &f->seen.messages, 1);
	assert_int_equal(probe_get(&f->seen, last), SERVICE_UNKNOWN);
	rpc_server_set_serving(f->server, false);
	assert_int_equal(rpc_check_health(f->channel, UNARY_MS, NULL), -EHOSTUNREACH);
	assert_int_equal(probe_get(&f->seen, messages), 1);
	assert_int_equal(probe_get(&f->seen, closed), 0);
	rpc_stream_free(s);
}

static void watch_ends_with_its_server_and_takes_no_grace(void **state)
{
	struct fixture *f = *state;
	struct rpc_stream *s = watch(f, "");
	int64_t start_ms = clock_ms();

	probe_wait(&f->seen, &f->seen.messages, 1);
	rpc_server_free(f->server, WAIT_MS);
	f->server = NULL;
	assert_true(clock_ms() - start_ms < WAIT_MS / 2);
	probe_wait(&f->seen, &f->seen.closed, 1);
	assert_int_equal(probe_get(&f->seen, last), NOT_SERVING);
	assert_int_equal(probe_get(&f->seen, code), RPC_UNAVAILABLE);
	rpc_stream_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rpc_test(check_knows_the_servers_services),
		rpc_test(check_follows_set_serving),
		rpc_test(watch_tells_now_and_at_each_change),
		rpc_test(watch_of_an_unknown_service_says_so_and_stays),
		rpc_test(watch_ends_with_its_server_and_takes_no_grace),
	};

	return cmocka_run_group_tests(tests, rpc_group_setup, rpc_group_teardown);
}
