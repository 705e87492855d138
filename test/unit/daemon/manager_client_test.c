/* daemon/manager_client: against a fake manager and fake schedulers over loopback */
#include "daemon/manager_client.h"

#include "test/unit/daemon/fake_scheduler.h"
#include "test/unit/rpc_group.h"

#include "base/log.h"
#include "daemon/channels.h"

#include "manager_v2.pb-c.h"

struct entry {
	uint64_t cluster;
	const char *ip;
	int32_t port;
};

struct fake_manager {
	struct rpc_server *server;
	char addr[64];
	struct lock lock;
	/* all below: lock */
	struct entry entries[8];
	size_t count;
	enum rpc_code code;
	unsigned asked;
	int source_type;
	uint64_t cluster_id;
	char hostname[64], ip[64], idc[64];
};

static void list_schedulers(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Manager__V2__ListSchedulersRequest *rq = (const void *)req;
	Manager__V2__ListSchedulersResponse answer = MANAGER__V2__LIST_SCHEDULERS_RESPONSE__INIT;
	Manager__V2__Scheduler schedulers[8], *list[8];
	struct fake_manager *f = arg;

	lock_guard(&f->lock);
	f->asked++;
	f->source_type = (int)rq->source_type;
	f->cluster_id = rq->scheduler_cluster_id;
	snprintf(f->hostname, sizeof(f->hostname), "%s", rq->hostname);
	snprintf(f->ip, sizeof(f->ip), "%s", rq->ip);
	snprintf(f->idc, sizeof(f->idc), "%s", message_text(rq, idc) ? rq->idc : "-");
	for (size_t i = 0; i < f->count; i++) {
		manager__v2__scheduler__init(&schedulers[i]);
		schedulers[i].scheduler_cluster_id = f->entries[i].cluster;
		schedulers[i].ip = (char *)f->entries[i].ip;
		schedulers[i].port = f->entries[i].port;
		list[i] = &schedulers[i];
	}
	answer.schedulers = list;
	answer.n_schedulers = f->count;
	if (f->code == RPC_OK)
		rpc_call_reply(call, &answer.base);
	else
		rpc_call_finish(call, f->code, "no");
}

static void manager_start(struct fake_manager *f, const char *addr)
{
	static const struct rpc_method methods[] = {
		{.path = "/manager.v2.Manager/ListSchedulers",
		 .request = &manager__v2__list_schedulers_request__descriptor,
		 .message = list_schedulers},
		{.path = NULL},
	};
	static const struct rpc_method *const services[] = {methods, NULL};
	cleanup(free_at) char *at = mem_strdup(addr ? addr : "127.0.0.1:0");
	const char *listen[] = {at, NULL};
	void *args[] = {f};
	struct rpc_server_config c = {.listen = listen, .services = services, .service_args = args};
	struct err e;

	memset(f, 0, sizeof(*f));
	lock_init(&f->lock, 10);
	assert_int_equal(rpc_server_new(&c, &f->server, &e), 0);
	snprintf(f->addr, sizeof(f->addr), "127.0.0.1:%u", rpc_server_port(f->server));
}

static void manager_add(struct fake_manager *f, uint64_t cluster, struct fake_scheduler *s)
{
	lock_guard(&f->lock);
	f->entries[f->count++] = (struct entry){cluster, "127.0.0.1", rpc_server_port(s->server)};
}

struct setting {
	struct host *host;
	struct scheduler_client *sc;
	struct manager_client *mc;
	struct fake_manager manager;
};

static void setting_prepare(struct setting *s)
{
	struct scheduler_client_config c = {.announce_interval_ms = 60000,
					    .answer_timeout_ms = 30000};
	struct host_config h = {.hostname = "child",
				.ip = "10.0.0.1",
				.idc = "fra",
				.scheduler_cluster_id = 7,
				.port = 4000,
				.download_port = 4000};

	log_set_level(LOG_ERROR);
	s->host = host_new(&h);
	s->sc = scheduler_client_new(&c, s->host);
	manager_start(&s->manager, NULL);
}

static void setting_go(struct setting *s, int64_t refresh_interval_ms)
{
	cleanup(free_at) char *addr = mem_printf("http://%s", s->manager.addr);
	struct manager_client_config c = {.addr = addr, .refresh_interval_ms = refresh_interval_ms};

	s->mc = manager_client_new(&c, s->host, s->sc);
}

static void setting_close(struct setting *s)
{
	manager_client_free(s->mc);
	scheduler_client_free(s->sc);
	host_free(s->host);
	if (s->manager.server)
		rpc_server_free(s->manager.server, 0);
	channels_close_idle();
}

static unsigned asked(struct setting *s)
{
	lock_guard(&s->manager.lock);
	return s->manager.asked;
}

static void schedulers_of_the_only_cluster_are_used(void **state)
{
	struct fake_scheduler a, b;
	struct setting s;

	(void)state;
	setting_prepare(&s);
	fake_start(&a, NULL, FAKE_NORMAL);
	fake_start(&b, NULL, FAKE_NORMAL);
	manager_add(&s.manager, 1, &a);
	manager_add(&s.manager, 1, &b);
	setting_go(&s, 60000);
	await_that(scheduler_client_alive(s.sc) == 2);
	assert_true(manager_client_is_answered(s.mc));
	lock_take(&s.manager.lock);
	assert_int_equal(s.manager.asked, 1);
	assert_string_equal(s.manager.hostname, "child");
	assert_string_equal(s.manager.ip, "10.0.0.1");
	assert_string_equal(s.manager.idc, "fra");
	assert_int_equal(s.manager.cluster_id, 7);
	assert_int_equal(s.manager.source_type, MANAGER__V2__SOURCE_TYPE__PEER_SOURCE);
	lock_drop(&s.manager.lock);
	setting_close(&s);
	fake_release(&a);
	fake_release(&b);
}

static void first_cluster_that_serves_is_taken(void **state)
{
	struct fake_scheduler dead, refuses, good, later;
	struct setting s;

	(void)state;
	setting_prepare(&s);
	fake_start(&dead, NULL, FAKE_NORMAL);
	fake_start(&refuses, NULL, FAKE_NORMAL);
	fake_start(&good, NULL, FAKE_NORMAL);
	fake_start(&later, NULL, FAKE_NORMAL);
	rpc_server_set_serving(refuses.server, false);
	manager_add(&s.manager, 1, &dead);
	manager_add(&s.manager, 2, &good);
	manager_add(&s.manager, 1, &refuses);
	manager_add(&s.manager, 3, &later);
	fake_stop(&dead);
	setting_go(&s, 60000);
	await_that(scheduler_client_alive(s.sc) == 1);
	assert_int_equal(fake_count(&good, &good.announced), 1);
	assert_int_equal(fake_count(&later, &later.announced), 0);
	assert_int_equal(fake_count(&refuses, &refuses.announced), 0);
	setting_close(&s);
	fake_release(&dead);
	fake_release(&refuses);
	fake_release(&good);
	fake_release(&later);
}

static void if_none_serves_the_first_is_waited_for(void **state)
{
	struct fake_scheduler a, b;
	struct setting s;

	(void)state;
	setting_prepare(&s);
	fake_start(&a, NULL, FAKE_NORMAL);
	fake_start(&b, NULL, FAKE_NORMAL);
	rpc_server_set_serving(a.server, false);
	rpc_server_set_serving(b.server, false);
	manager_add(&s.manager, 1, &a);
	manager_add(&s.manager, 2, &b);
	setting_go(&s, 60000);
	await_that(manager_client_is_answered(s.mc));
	rpc_server_set_serving(a.server, true);
	await_that(scheduler_client_alive(s.sc) == 1);
	assert_int_equal(fake_count(&b, &b.announced), 0);
	setting_close(&s);
	fake_release(&a);
	fake_release(&b);
}

static void odd_entries_are_left_out(void **state)
{
	struct fake_scheduler a;
	struct setting s;

	(void)state;
	setting_prepare(&s);
	fake_start(&a, NULL, FAKE_NORMAL);
	s.manager.entries[0] = (struct entry){1, "", 8002};
	s.manager.entries[1] = (struct entry){1, "10.0.0.1", 0};
	s.manager.entries[2] = (struct entry){1, "10.0.0.1", 700000};
	s.manager.count = 3;
	manager_add(&s.manager, 2, &a);
	setting_go(&s, 60000);
	await_that(scheduler_client_alive(s.sc) == 1);
	setting_close(&s);
	fake_release(&a);
}

static void changes_come_with_the_refresh(void **state)
{
	struct fake_scheduler a, b;
	struct setting s;
	unsigned before;

	(void)state;
	setting_prepare(&s);
	fake_start(&a, NULL, FAKE_NORMAL);
	fake_start(&b, NULL, FAKE_NORMAL);
	manager_add(&s.manager, 1, &a);
	setting_go(&s, 40);
	await_that(scheduler_client_alive(s.sc) == 1);
	manager_add(&s.manager, 1, &b);
	await_that(scheduler_client_alive(s.sc) == 2);
	lock_take(&s.manager.lock);
	s.manager.entries[0] = s.manager.entries[1];
	s.manager.count = 1;
	lock_drop(&s.manager.lock);
	await_that(scheduler_client_alive(s.sc) == 1);
	/* Neither an empty answer nor an error nor death changes anything. */
	lock_take(&s.manager.lock);
	s.manager.count = 0;
	lock_drop(&s.manager.lock);
	before = asked(&s);
	await_that(asked(&s) >= before + 2);
	lock_take(&s.manager.lock);
	s.manager.code = RPC_NOT_FOUND;
	lock_drop(&s.manager.lock);
	before = asked(&s);
	await_that(asked(&s) >= before + 2);
	assert_true(manager_client_is_answered(s.mc));
	rpc_server_free(s.manager.server, 0);
	s.manager.server = NULL;
	await_that(!manager_client_is_answered(s.mc));
	assert_int_equal(scheduler_client_alive(s.sc), 1);
	setting_close(&s);
	fake_release(&a);
	fake_release(&b);
}

static void a_manager_that_comes_late_is_found_soon(void **state)
{
	struct fake_scheduler a;
	struct setting s;
	char addr[64];

	(void)state;
	setting_prepare(&s);
	fake_start(&a, NULL, FAKE_NORMAL);
	rpc_server_free(s.manager.server, 0);
	setting_go(&s, 600000);
	snprintf(addr, sizeof(addr), "%s", s.manager.addr);
	await_that(!manager_client_is_answered(s.mc));
	manager_start(&s.manager, addr);
	manager_add(&s.manager, 1, &a);
	await_that(scheduler_client_alive(s.sc) == 1);
	setting_close(&s);
	fake_release(&a);
}

static void without_a_manager_the_configured_are_used(void **state)
{
	struct manager_client_config c = {.refresh_interval_ms = 1000};
	struct fake_scheduler a;
	const char *addrs[1];
	struct setting s;

	(void)state;
	setting_prepare(&s);
	fake_start(&a, NULL, FAKE_NORMAL);
	addrs[0] = a.addr;
	c.scheduler_addrs = addrs;
	c.scheduler_count = 1;
	s.mc = manager_client_new(&c, s.host, s.sc);
	await_that(scheduler_client_alive(s.sc) == 1);
	setting_close(&s);
	fake_release(&a);
	manager_client_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(schedulers_of_the_only_cluster_are_used),
		cmocka_unit_test(first_cluster_that_serves_is_taken),
		cmocka_unit_test(if_none_serves_the_first_is_waited_for),
		cmocka_unit_test(odd_entries_are_left_out),
		cmocka_unit_test(changes_come_with_the_refresh),
		cmocka_unit_test(a_manager_that_comes_late_is_found_soon),
		cmocka_unit_test(without_a_manager_the_configured_are_used),
	};

	return cmocka_run_group_tests(tests, rpc_group_setup, rpc_group_teardown);
}
