/* One thread: registers, keeps the stream of keep-alives open, refreshes the limits. */
#include "control/scheduler/manager_link.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "manager_v2.pb-c.h"

#include <string.h>

#define RANK_LINK	20
#define CALL_TIMEOUT_MS 3000
#define RETRY_FIRST_MS	200
#define RETRY_LAST_MS	5000

struct manager_link {
	const struct scheduler_config *config;
	char *ip, *hostname;
	struct service *service;
	struct rpc_channel *channel;
	pthread_t thread;
	struct lock lock;
	struct cond changed;
	bool stopping, stream_closed; /* under lock */
	struct rpc_stream *stream;    /* the thread's own */
	int64_t refresh_at_ms;
	bool told_away; /* "manager is away" has been logged */
	uint64_t rules; /* hash of what the rules were made of; the thread's own */
};

static void use_limits(struct manager_link *l, const Manager__V2__Scheduler *row)
{
	json_t *json cleanup(json_decref_at) = NULL;
	const ProtobufCBinaryData *c;

	if (!row->scheduler_cluster)
		return;
	c = &row->scheduler_cluster->config;
	if (json_parse((const char *)c->data, c->len, 1 << 20, &json, NULL) < 0)
		return;
	service_set_limits(l->service, (unsigned)json_u64(json, "candidate_parent_limit", 0),
			   (unsigned)json_u64(json, "filter_parent_limit", 0));
}

static uint64_t hash_of(const ProtobufCMessage *list, const Manager__V2__SchedulerCluster *c)
{
	size_t len = list ? protobuf_c_message_get_packed_size(list) : 0;
	cleanup(free_at) uint8_t *bytes = mem_alloc(len + 1);
	struct xxh3 x;

	if (list)
		protobuf_c_message_pack(list, bytes);
	xxh3_init(&x);
	xxh3_update(&x, bytes, len);
	if (c) {
		xxh3_update(&x, c->client_config.data, c->client_config.len);
		xxh3_update(&x, c->seed_client_config.data, c->seed_client_config.len);
	}
	return xxh3_final(&x);
}

/* Applications and block lists. A manager that cannot tell its applications changes nothing. */
static void use_rules(struct manager_link *l, const Manager__V2__Scheduler *row)
{
	Manager__V2__ListApplicationsRequest rq = MANAGER__V2__LIST_APPLICATIONS_REQUEST__INIT;
	const Manager__V2__SchedulerCluster *c = row->scheduler_cluster;
	ProtobufCMessage *list = NULL;
	uint64_t hash;
	struct err e;
	int code;

	rq.source_type = MANAGER__V2__SOURCE_TYPE__SCHEDULER_SOURCE;
	rq.hostname = l->hostname;
	rq.ip = l->ip;
	if (rpc_unary(l->channel, "/manager.v2.Manager/ListApplications", &rq.base,
		      &manager__v2__list_applications_response__descriptor, CALL_TIMEOUT_MS, &list,
		      &code, &e) < 0 &&
	    code != RPC_NOT_FOUND) { /* Dragonfly's manager means: there are none */
		log_warn("applications and block lists not refreshed", "why=\"%s\"", e.text);
		return;
	}
	hash = hash_of(list, c);
	/* What is wrong with a rule is told when it changes, not each minute. */
	if (hash != l->rules)
		service_set_rules(l->service,
				  rules_new((const void *)list, c ? &c->client_config : NULL,
					    c ? &c->seed_client_config : NULL));
	l->rules = hash;
	if (list)
		protobuf_c_message_free_unpacked(list, NULL);
}

/* Dragonfly's manager leaves the cluster out of what it answers to UpdateScheduler. */
static int read_cluster(struct manager_link *l, struct err *e)
{
	Manager__V2__GetSchedulerRequest rq = MANAGER__V2__GET_SCHEDULER_REQUEST__INIT;
	ProtobufCMessage *row = NULL;
	int r;

	rq.source_type = MANAGER__V2__SOURCE_TYPE__SCHEDULER_SOURCE;
	rq.hostname = l->hostname;
	rq.ip = l->ip;
	rq.scheduler_cluster_id = l->config->cluster_id;
	r = rpc_unary(l->channel, "/manager.v2.Manager/GetScheduler", &rq.base,
		      &manager__v2__scheduler__descriptor, CALL_TIMEOUT_MS, &row, NULL, e);
	if (r < 0)
		return r;
	use_limits(l, (const void *)row);
	use_rules(l, (const void *)row);
	protobuf_c_message_free_unpacked(row, NULL);
	return 0;
}

static int update(struct manager_link *l, struct err *e)
{
	Manager__V2__UpdateSchedulerRequest rq = MANAGER__V2__UPDATE_SCHEDULER_REQUEST__INIT;
	char *features[] = {(char *)"schedule", (char *)"preheat"};
	ProtobufCMessage *row = NULL;
	int r;

	rq.source_type = MANAGER__V2__SOURCE_TYPE__SCHEDULER_SOURCE;
	rq.hostname = l->hostname;
	rq.ip = l->ip;
	rq.port = l->config->port;
	rq.scheduler_cluster_id = l->config->cluster_id;
	rq.features = features;
	rq.n_features = array_len(features);
	if (l->config->idc) {
		rq.idc__case = MANAGER__V2__UPDATE_SCHEDULER_REQUEST__IDC__IDC;
		rq.idc = l->config->idc;
	}
	if (l->config->location) {
		rq.location__case = MANAGER__V2__UPDATE_SCHEDULER_REQUEST__LOCATION__LOCATION;
		rq.location = l->config->location;
	}
	r = rpc_unary(l->channel, "/manager.v2.Manager/UpdateScheduler", &rq.base,
		      &manager__v2__scheduler__descriptor, CALL_TIMEOUT_MS, &row, NULL, e);
	if (r < 0)
		return r;
	protobuf_c_message_free_unpacked(row, NULL);
	return read_cluster(l, e);
}

static void on_closed(struct rpc_stream *s, enum rpc_code code, const char *text,
		      const void *details, size_t len, void *arg)
{
	struct manager_link *l = arg;

	(void)s, (void)code, (void)text, (void)details, (void)len;
	lock_guard(&l->lock);
	l->stream_closed = true;
	cond_wake_all(&l->changed);
}

static const struct rpc_stream_ops ops = {
	.response = &google__protobuf__empty__descriptor,
	.closed = on_closed,
};

static void say_alive(struct manager_link *l)
{
	Manager__V2__KeepAliveRequest rq = MANAGER__V2__KEEP_ALIVE_REQUEST__INIT;

	rq.source_type = MANAGER__V2__SOURCE_TYPE__SCHEDULER_SOURCE;
	rq.hostname = l->hostname;
	rq.ip = l->ip;
	rq.cluster_id = l->config->cluster_id;
	if (!l->stream)
		l->stream = rpc_stream_new(l->channel, "/manager.v2.Manager/KeepAlive", &ops, l, 0);
	rpc_stream_send(l->stream, &rq.base);
}

static void drop_stream(struct manager_link *l)
{
	if (l->stream)
		rpc_stream_free(l->stream);
	l->stream = NULL;
	lock_guard(&l->lock);
	l->stream_closed = false;
}

/* True when time_ms has passed, false when the stream closed or the link stops. */
static bool pause_for(struct manager_link *l, int64_t time_ms)
{
	int64_t until = clock_ms() + time_ms;

	lock_guard(&l->lock);
	while (!l->stopping && !l->stream_closed)
		if (!cond_wait_until(&l->changed, &l->lock, until))
			return true;
	return false;
}

static bool is_stopping(struct manager_link *l)
{
	lock_guard(&l->lock);
	return l->stopping;
}

/* Registered and alive, until the stream breaks. */
static void stay_alive(struct manager_link *l)
{
	struct err e;

	do {
		say_alive(l);
		if (clock_ms() < l->refresh_at_ms)
			continue;
		if (update(l, &e) < 0)
			log_warn("cluster's limits not refreshed", "why=\"%s\"", e.text);
		l->refresh_at_ms = clock_ms() + l->config->refresh_ms;
	} while (pause_for(l, l->config->keep_alive_ms));
	drop_stream(l);
}

static void *link_main(void *arg)
{
	struct manager_link *l = arg;
	int64_t retry_ms = RETRY_FIRST_MS;
	struct err e;

	while (!is_stopping(l)) {
		if (update(l, &e) == 0) {
			log_info("registered at the manager", "manager=%s cluster=%llu",
				 l->config->manager_addr,
				 (unsigned long long)l->config->cluster_id);
			l->told_away = false;
			retry_ms = RETRY_FIRST_MS;
			l->refresh_at_ms = clock_ms() + l->config->refresh_ms;
			stay_alive(l);
			continue;
		}
		if (!l->told_away)
			log_warn("manager is away: scheduling goes on", "manager=%s why=\"%s\"",
				 l->config->manager_addr, e.text);
		l->told_away = true;
		pause_for(l, retry_ms);
		retry_ms = retry_ms * 2 < RETRY_LAST_MS ? retry_ms * 2 : RETRY_LAST_MS;
	}
	return NULL;
}

struct manager_link *manager_link_new(const struct scheduler_config *c, const char *ip,
				      const char *hostname, struct service *service)
{
	struct manager_link *l = mem_new(struct manager_link);
	const char *addr = c->manager_addr;

	if (strncmp(addr, "http://", 7) == 0)
		addr += 7;
	l->config = c;
	l->ip = mem_strdup(ip);
	l->hostname = mem_strdup(hostname);
	l->service = service;
	l->channel = rpc_channel_new(addr, &c->manager_tls);
	lock_init(&l->lock, RANK_LINK);
	cond_init(&l->changed);
	thread_start(&l->thread, "manager-link", link_main, l);
	return l;
}

void manager_link_free(struct manager_link *l)
{
	if (!l)
		return;
	lock_take(&l->lock);
	l->stopping = true;
	cond_wake_all(&l->changed);
	lock_drop(&l->lock);
	pthread_join(l->thread, NULL);
	drop_stream(l);
	rpc_channel_free(l->channel);
	cond_release(&l->changed);
	lock_release(&l->lock);
	free(l->ip);
	free(l->hostname);
	free(l);
}
