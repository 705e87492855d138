/* daemon/witness: one member after the other, until one has the same. */
#include "daemon/witness.h"

#include "test/unit/rpc_group.h"
#include "test/unit/unit.h"

#include "base/mem.h"
#include "daemon/channels.h"

#include "skimmer_v1.pb-c.h"

#include <errno.h>
#include <string.h>

#define TASK  "0000000000000000000000000000000000000000000000000000000000000000"
#define RIGHT "1111111111111111111111111111111111111111111111111111111111111111"
#define WRONG "2222222222222222222222222222222222222222222222222222222222222222"

/* arg: what it says, NULL = that it does not have it. */
static void tell(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Skimmer__V1__TellDigestRequest *rq = (const void *)req;
	Skimmer__V1__TellDigestResponse m = SKIMMER__V1__TELL_DIGEST_RESPONSE__INIT;

	if (!arg || strcmp(rq->task_id, TASK) != 0) {
		rpc_call_finish(call, RPC_NOT_FOUND, "not here");
		return;
	}
	m.sha256 = arg;
	rpc_call_reply(call, &m.base);
}

static const struct rpc_method methods[] = {
	{.path = "/skimmer.v1.Feeding/TellDigest",
	 .request = &skimmer__v1__tell_digest_request__descriptor,
	 .message = tell},
	{.path = NULL},
};

enum member { SAYS_RIGHT, SAYS_WRONG, HAS_NOT, IS_GONE, MEMBERS };

static struct rpc_server *servers[MEMBERS];
static struct witness members[MEMBERS];

static int setup(void **state)
{
	static const char *const says[MEMBERS] = {RIGHT, WRONG, NULL, RIGHT};

	(void)state;
	for (unsigned i = 0; i < MEMBERS; i++) {
		const char *const listen[] = {"127.0.0.1:0", NULL};
		const struct rpc_method *const services[] = {methods, NULL};
		void *const args[] = {(void *)says[i]};
		const struct rpc_server_config c = {
			.listen = listen, .services = services, .service_args = args};

		if (rpc_server_new(&c, &servers[i], NULL) < 0)
			return -1;
		members[i] =
			(struct witness){.ip = "127.0.0.1", .port = rpc_server_port(servers[i])};
	}
	rpc_server_free(servers[IS_GONE], 0);
	servers[IS_GONE] = NULL;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	channels_close_idle();
	for (unsigned i = 0; i < MEMBERS; i++)
		rpc_server_free(servers[i], 0);
	return 0;
}

static int ask(const enum member *who, unsigned count, struct err *e)
{
	const bool never = false;
	struct witness list[MEMBERS];

	for (unsigned i = 0; i < count; i++)
		list[i] = members[who[i]];
	*e = (struct err){0};
	return witness_ask(TASK, RIGHT, list, count, &never, e);
}

static void one_that_has_the_same_is_enough(void **state)
{
	const enum member who[] = {IS_GONE, HAS_NOT, SAYS_WRONG, SAYS_RIGHT};
	struct err e;

	(void)state;
	assert_int_equal(ask(who, 4, &e), 0);
	assert_int_equal(ask(who + 3, 1, &e), 0);
}

static void one_that_has_another_is_told(void **state)
{
	const enum member who[] = {HAS_NOT, SAYS_WRONG, IS_GONE};
	cleanup(free_at) char *addr = mem_printf("127.0.0.1:%u", members[SAYS_WRONG].port);
	struct err e;

	(void)state;
	assert_int_equal(ask(who, 3, &e), -EBADMSG);
	assert_non_null(strstr(e.text, addr));
	assert_non_null(strstr(e.text, RIGHT));
}

static void who_has_it_not_cannot_tell(void **state)
{
	const enum member who[] = {HAS_NOT, IS_GONE};
	struct err e;

	(void)state;
	assert_int_equal(ask(who, 2, &e), -EHOSTUNREACH);
	assert_int_equal(ask(who, 1, &e), -EHOSTUNREACH);
	assert_non_null(strstr(e.text, "not here"));
	assert_int_equal(ask(who, 0, &e), -EHOSTUNREACH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_that_has_the_same_is_enough, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_has_another_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(who_has_it_not_cannot_tell, setup, teardown),
	};

	return cmocka_run_group_tests(tests, rpc_group_setup, rpc_group_teardown);
}
