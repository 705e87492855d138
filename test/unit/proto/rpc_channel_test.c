/* Unary calls: answers, errors, deadlines, and what a channel must not do. */
#include "rpc_fixture.h"

#include <errno.h>
#include <pthread.h>

static void unary_answers(void **state)
{
	struct fixture *f = *state;
	int code = -1;

	assert_int_equal(call_unary(f->channel, "/test.Test/Echo", 42, UNARY_MS, &code), 42);
	assert_int_equal(code, RPC_OK);
	probe_wait(&f->served, &f->served.closed, 1);
	assert_string_equal(rpc_channel_target(f->channel), f->target);
}

static void unary_error_has_code_and_text(void **state)
{
	struct fixture *f = *state;
	Common__V2__Range req = range(1, 1);
	ProtobufCMessage *resp;
	struct err e = {0};
	int code = -1;

	assert_int_equal(rpc_unary(f->channel, "/test.Test/Refuse", &req.base, RANGE_DESC, UNARY_MS,
				   &resp, &code, &e),
			 -EPERM);
	assert_int_equal(code, RPC_FAILED_PRECONDITION);
	assert_int_equal(e.code, EPERM);
	assert_non_null(strstr(e.text, "not like \"this\" \xe2\x82\xac"));
	assert_non_null(strstr(e.text, "/test.Test/Refuse"));
}

static void unknown_method_is_unimplemented_at_once(void **state)
{
	struct fixture *f = *state;
	int64_t start_ms = clock_ms();
	int code = -1;

	assert_int_equal(call_unary(f->channel, "/test.Test/None", 1, UNARY_MS, &code), -1);
	assert_int_equal(code, RPC_UNIMPLEMENTED);
	assert_int_equal(call_unary(f->channel, "/test.Test/Ech", 1, UNARY_MS, &code), -1);
	assert_int_equal(code, RPC_UNIMPLEMENTED);
	assert_int_equal(call_unary(f->channel, "/", 1, UNARY_MS, &code), -1);
	assert_int_equal(code, RPC_UNIMPLEMENTED);
	assert_true(clock_ms() - start_ms < UNARY_MS / 2);
}

static void deadline_ends_both_sides(void **state)
{
	struct fixture *f = *state;
	int code = -1;

	/* connected, so that the next one surely arrives before its deadline */
	assert_int_equal(call_unary(f->channel, "/test.Test/Echo", 1, UNARY_MS, &code), 1);
	assert_int_equal(call_unary(f->channel, "/test.Test/Later", 1, 500, &code), -1);
	assert_int_equal(code, RPC_DEADLINE_EXCEEDED);
	probe_wait(&f->served, &f->served.closed, 2);
	/* the late answer goes nowhere */
	assert_true(rpc_call_is_closed(f->served.call));
	assert_false(call_send(f->served.call, 1));
	rpc_call_finish(f->served.call, RPC_OK, NULL);
}

static void passed_deadline_ends_a_unary_call_at_once(void **state)
{
	struct fixture *f = *state;
	int code = -1;

	assert_int_equal(call_unary(f->channel, "/test.Test/Later", 1, 0, &code), -1);
	assert_int_equal(code, RPC_DEADLINE_EXCEEDED);
	assert_int_equal(call_unary(f->channel, "/test.Test/Later", 1, -5, &code), -1);
	assert_int_equal(code, RPC_DEADLINE_EXCEEDED);
}

static void *answer_later(void *arg)
{
	struct fixture *f = arg;
	Common__V2__Range r = range(77, 1);

	probe_wait(&f->served, &f->served.messages, 1);
	rpc_call_reply(f->served.call, &r.base);
	return NULL;
}

static void unary_is_answered_from_another_thread(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;
	int code = -1;

	assert_int_equal(pthread_create(&thread, NULL, answer_later, f), 0);
	assert_int_equal(call_unary(f->channel, "/test.Test/Later", 1, UNARY_MS, &code), 77);
	pthread_join(thread, NULL);
}

static void refused_connection_fails_at_once(void **state)
{
	struct fixture *f = *state;
	struct rpc_channel *ch;
	char target[64];
	int64_t start_ms = clock_ms();
	int code = -1;

	/* the port of a server that is gone */
	snprintf(target, sizeof(target), "%s", f->target);
	rpc_server_free(f->server, 0);
	f->server = NULL;
	ch = rpc_channel_new(target, NULL);
	assert_int_equal(call_unary(ch, "/test.Test/Echo", 1, UNARY_MS, &code), -1);
	assert_int_equal(code, RPC_UNAVAILABLE);
	assert_true(clock_ms() - start_ms < UNARY_MS / 2);
	rpc_channel_free(ch);
}

static void channel_reconnects_to_a_new_server(void **state)
{
	struct fixture *f = *state;
	int64_t deadline_ms = clock_ms() + WAIT_MS;
	int code = -1;

	assert_int_equal(call_unary(f->channel, "/test.Test/Echo", 1, UNARY_MS, &code), 1);
	rpc_server_free(f->server, 0);
	assert_int_equal(call_unary(f->channel, "/test.Test/Echo", 1, UNARY_MS, &code), -1);
	assert_int_equal(code, RPC_UNAVAILABLE);
	f->server = serve(f->target, &f->served, (struct rpc_server_config){0});
	while (call_unary(f->channel, "/test.Test/Echo", 2, UNARY_MS, &code) < 0) {
		assert_int_equal(code, RPC_UNAVAILABLE);
		assert_true(clock_ms() < deadline_ms);
		usleep(20000);
	}
}

static void proxy_variables_are_ignored(void **state)
{
	struct fixture *f = *state;
	struct rpc_channel *ch;
	int code = -1;

	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("grpc_proxy", "http://127.0.0.1:1", 1);
	setenv("https_proxy", "http://127.0.0.1:1", 1);
	ch = rpc_channel_new(f->target, NULL);
	assert_int_equal(call_unary(ch, "/test.Test/Echo", 5, UNARY_MS, &code), 5);
	rpc_channel_free(ch);
	unsetenv("http_proxy");
	unsetenv("grpc_proxy");
	unsetenv("https_proxy");
}

static void missing_certificate_fails_each_call_and_says_why(void **state)
{
	struct rpc_channel *ch =
		rpc_channel_new("127.0.0.1:1", &(struct rpc_tls){.ca = (char *)"/no/such/ca.pem"});
	Common__V2__Range req = range(1, 1);
	ProtobufCMessage *resp;
	struct err e = {0};

	(void)state;
	assert_int_equal(
		rpc_unary(ch, "/test.Test/Echo", &req.base, RANGE_DESC, UNARY_MS, &resp, NULL, &e),
		-ENOENT);
	assert_non_null(strstr(e.text, "/no/such/ca.pem"));
	rpc_channel_free(ch);
}

/* A string that the server cannot take for a Range: field 1 of Range is a varint. */
static void malformed_request_is_refused(void **state)
{
	struct fixture *f = *state;
	Common__V2__HDFS req = COMMON__V2__HDFS__INIT;
	ProtobufCMessage *resp;
	struct err e = {0};
	int code = -1;

	req.delegation_token__case = COMMON__V2__HDFS__DELEGATION_TOKEN__DELEGATION_TOKEN;
	req.delegation_token = (char *)"token";
	assert_int_equal(rpc_unary(f->channel, "/test.Test/Echo", &req.base, RANGE_DESC, UNARY_MS,
				   &resp, &code, &e),
			 -EINVAL);
	assert_int_equal(code, RPC_INVALID_ARGUMENT);
	assert_non_null(strstr(e.text, "malformed request"));
	assert_int_equal(probe_get(&f->served, messages), 0);
}

static void malformed_answer_is_an_error(void **state)
{
	struct fixture *f = *state;
	Common__V2__Range req = range(1, 1);
	ProtobufCMessage *resp = NULL;
	struct err e = {0};
	int code = -1;

	assert_int_equal(rpc_unary(f->channel, "/test.Test/Echo", &req.base,
				   &common__v2__hdfs__descriptor, UNARY_MS, &resp, &code, &e),
			 -EPROTO);
	assert_int_equal(code, RPC_INTERNAL);
	assert_null(resp);
}

static void codes_and_errnos_agree(void **state)
{
	static const int codes[] = {
		RPC_CANCELLED,		RPC_INVALID_ARGUMENT,	 RPC_DEADLINE_EXCEEDED,
		RPC_NOT_FOUND,		RPC_ALREADY_EXISTS,	 RPC_PERMISSION_DENIED,
		RPC_RESOURCE_EXHAUSTED, RPC_FAILED_PRECONDITION, RPC_UNIMPLEMENTED,
		RPC_UNAVAILABLE,
	};

	(void)state;
	for (size_t i = 0; i < array_len(codes); i++)
		assert_int_equal(rpc_code_of_errno(rpc_code_to_errno(codes[i])), codes[i]);
	assert_int_equal(rpc_code_to_errno(RPC_UNAVAILABLE), EHOSTUNREACH);
	assert_int_equal(rpc_code_to_errno(99), EPROTO);
	assert_int_equal(rpc_code_of_errno(EIO), RPC_INTERNAL);
	assert_int_equal(rpc_code_of_errno(0), RPC_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rpc_test(unary_answers),
		rpc_test(unary_error_has_code_and_text),
		rpc_test(unknown_method_is_unimplemented_at_once),
		rpc_test(deadline_ends_both_sides),
		rpc_test(passed_deadline_ends_a_unary_call_at_once),
		rpc_test(unary_is_answered_from_another_thread),
		rpc_test(refused_connection_fails_at_once),
		rpc_test(channel_reconnects_to_a_new_server),
		rpc_test(proxy_variables_are_ignored),
		cmocka_unit_test(missing_certificate_fails_each_call_and_says_why),
		rpc_test(malformed_request_is_refused),
		rpc_test(malformed_answer_is_an_error),
		cmocka_unit_test(codes_and_errnos_agree),
	};

	return cmocka_run_group_tests(tests, rpc_group_setup, rpc_group_teardown);
}
