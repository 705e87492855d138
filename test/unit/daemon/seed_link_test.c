/* daemon/seed_link: against a fake manager over loopback */
#include "daemon/seed_link.h"

#include "test/unit/await.h"
#include "test/unit/rpc_group.h"

#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "proto/message.h"

#include "manager_v2.pb-c.h"

#include <google/protobuf/empty.pb-c.h>
#include <string.h>

#define CLUSTER 7

struct fake_manager {
	struct rpc_server *server;
	uint16_t port;
	struct lock lock;
	/* all below: lock */
	enum rpc_code code; /* of UpdateSeedPeer */
	unsigned updates, beats, alive, deletes;
	bool right; /* every request said what it had to */
};

static bool names_the_seed(const char *hostname, const char *ip, uint64_t cluster)
{
	return strcmp(hostname, "seed") == 0 && strcmp(ip, "10.0.0.1") == 0 && cluster == CLUSTER;
}

static void update(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Manager__V2__UpdateSeedPeerRequest *rq = (const void *)req;
	Manager__V2__SeedPeer answer = MANAGER__V2__SEED_PEER__INIT;
	struct fake_manager *f = arg;
	enum rpc_code code;

	lock_take(&f->lock);
	f->updates++;
	f->right = f->right && names_the_seed(rq->hostname, rq->ip, rq->seed_peer_cluster_id) &&
		   rq->port == 4000 && rq->download_port == 4000 &&
		   strcmp(rq->type, "super") == 0 && message_text(rq, idc) &&
		   strcmp(rq->idc, "fra") == 0 && !message_text(rq, location);
	code = f->code;
	lock_drop(&f->lock);
	if (code == RPC_OK)
		rpc_call_reply(call, &answer.base);
	else
		rpc_call_finish(call, code, "no such cluster");
}

static void beat(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Manager__V2__KeepAliveRequest *rq = (const void *)req;
	struct fake_manager *f = arg;

	lock_guard(&f->lock);
	f->beats++;
	f->alive += rpc_call_user(call) == NULL;
	rpc_call_set_user(call, f);
	f->right = f->right && names_the_seed(rq->hostname, rq->ip, rq->cluster_id) &&
		   rq->source_type == MANAGER__V2__SOURCE_TYPE__SEED_PEER_SOURCE;
}

static void silent(struct rpc_call *call, void *arg)
{
	struct fake_manager *f = arg;

	(void)call;
	lock_guard(&f->lock);
	f->alive--;
}

static void delete (struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Manager__V2__DeleteSeedPeerRequest *rq = (const void *)req;
	Google__Protobuf__Empty empty = GOOGLE__PROTOBUF__EMPTY__INIT;
	struct fake_manager *f = arg;

	lock_take(&f->lock);
	f->deletes++;
	f->right = f->right && names_the_seed(rq->hostname, rq->ip, rq->seed_peer_cluster_id);
	lock_drop(&f->lock);
	rpc_call_reply(call, &empty.base);
}

/* port 0: the system picks one. */
static void manager_serve(struct fake_manager *f, uint16_t port)
{
	static const struct rpc_method methods[] = {
		{.path = "/manager.v2.Manager/UpdateSeedPeer",
		 .request = &manager__v2__update_seed_peer_request__descriptor,
		 .message = update},
		{.path = "/manager.v2.Manager/DeleteSeedPeer",
		 .request = &manager__v2__delete_seed_peer_request__descriptor,
		 .message = delete},
		{.path = "/manager.v2.Manager/KeepAlive",
		 .request = &manager__v2__keep_alive_request__descriptor,
		 .client_streams = true,
		 .message = beat,
		 .closed = silent},
		{.path = NULL},
	};
	static const struct rpc_method *const services[] = {methods, NULL};
	cleanup(free_at) char *at = mem_printf("127.0.0.1:%u", port);
	const char *listen[] = {at, NULL};
	void *args[] = {f};
	struct rpc_server_config c = {.listen = listen, .services = services, .service_args = args};
	struct err e;

	assert_int_equal(rpc_server_new(&c, &f->server, &e), 0);
	f->port = rpc_server_port(f->server);
}

struct setting {
	struct host *host;
	struct seed_link *link;
	struct fake_manager manager;
};

static void setting_open(struct setting *s, int64_t keep_alive_ms, enum rpc_code code)
{
	const struct host_config h = {.hostname = "seed",
				      .ip = "10.0.0.1",
				      .idc = "fra",
				      .port = 4000,
				      .download_port = 4000};

	memset(s, 0, sizeof(*s));
	log_set_level(LOG_ERROR);
	s->host = host_new(&h);
	lock_init(&s->manager.lock, 10);
	s->manager.right = true;
	s->manager.code = code;
	manager_serve(&s->manager, 0);
	cleanup(free_at) char *addr = mem_printf("http://127.0.0.1:%u", s->manager.port);
	const struct seed_link_config c = {
		.addr = addr, .cluster_id = CLUSTER, .keep_alive_ms = keep_alive_ms};
	s->link = seed_link_new(&c, s->host);
}

static void setting_close(struct setting *s)
{
	seed_link_free(s->link);
	host_free(s->host);
	if (s->manager.server)
		rpc_server_free(s->manager.server, 0);
	assert_true(s->manager.right);
	lock_release(&s->manager.lock);
}

static unsigned told(struct setting *s, const unsigned *what)
{
	lock_guard(&s->manager.lock);
	return *what;
}

static void a_seed_is_listed_and_says_that_it_lives(void **state)
{
	struct setting s;

	(void)state;
	setting_open(&s, 20, RPC_OK);
	await_that(told(&s, &s.manager.beats) >= 3);
	assert_int_equal(told(&s, &s.manager.updates), 1);
	assert_int_equal(told(&s, &s.manager.alive), 1);
	setting_close(&s);
}

static void a_seed_that_stops_is_taken_out_of_the_list(void **state)
{
	struct setting s;

	(void)state;
	setting_open(&s, 60000, RPC_OK);
	await_that(told(&s, &s.manager.beats) == 1);
	seed_link_free(s.link);
	s.link = NULL;
	assert_int_equal(told(&s, &s.manager.deletes), 1);
	await_that(told(&s, &s.manager.alive) == 0);
	setting_close(&s);
}

static void a_seed_that_was_never_listed_takes_nothing_away(void **state)
{
	struct setting s;

	(void)state;
	setting_open(&s, 60000, RPC_NOT_FOUND);
	await_that(told(&s, &s.manager.updates) >= 2); /* it is asked again */
	seed_link_free(s.link);
	s.link = NULL;
	assert_int_equal(told(&s, &s.manager.deletes), 0);
	assert_int_equal(told(&s, &s.manager.beats), 0);
	setting_close(&s);
}

static void a_manager_that_comes_back_is_told_again(void **state)
{
	struct setting s;

	(void)state;
	setting_open(&s, 60000, RPC_OK);
	await_that(told(&s, &s.manager.alive) == 1);
	rpc_server_free(s.manager.server, 0);
	assert_int_equal(told(&s, &s.manager.alive), 0);
	manager_serve(&s.manager, s.manager.port);
	await_that(told(&s, &s.manager.alive) == 1);
	assert_true(told(&s, &s.manager.updates) >= 2);
	setting_close(&s);
}

static void a_seed_stops_while_its_manager_is_away(void **state)
{
	struct setting s;

	(void)state;
	setting_open(&s, 60000, RPC_OK);
	await_that(told(&s, &s.manager.alive) == 1);
	rpc_server_free(s.manager.server, 0);
	s.manager.server = NULL;
	seed_link_free(s.link);
	s.link = NULL;
	assert_int_equal(told(&s, &s.manager.deletes), 0);
	setting_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_seed_is_listed_and_says_that_it_lives),
		cmocka_unit_test(a_seed_that_stops_is_taken_out_of_the_list),
		cmocka_unit_test(a_seed_that_was_never_listed_takes_nothing_away),
		cmocka_unit_test(a_manager_that_comes_back_is_told_again),
		cmocka_unit_test(a_seed_stops_while_its_manager_is_away),
	};

	return cmocka_run_group_tests(tests, rpc_group_setup, rpc_group_teardown);
}
