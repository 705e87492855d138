/*
 * Which schedulers are this host's (manager_client.h). A round is: ListSchedulers; then, cluster by
 * cluster, health checks of its schedulers until one serves. No thread: a timer begins a round, the
 * answers carry it on.
 */
#include "daemon/manager_client.h"

#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/net.h"
#include "base/timer.h"
#include "daemon/ask.h"
#include "daemon/channels.h"
#include "daemon/ring.h"

#include "health_v1.pb-c.h"
#include "manager_v2.pb-c.h"

#include <stdatomic.h>
#include <string.h>

#define MANAGER_LOCK_RANK 50
#define LIST_TIMEOUT_MS	  10000
#define CHECK_TIMEOUT_MS  3000
#define BACKOFF_FIRST_MS  500
#define BACKOFF_MAX_MS	  15000
#define SCHEDULERS_MAX	  1024
#define LIST_PATH	  "/manager.v2.Manager/ListSchedulers"
#define HEALTH_PATH	  "/grpc.health.v1.Health/Check"

struct manager_client {
	int64_t refresh_interval_ms;
	struct host *host;
	struct scheduler_client *sc;
	char *addr;		     /* for people */
	struct rpc_channel *channel; /* NULL = no manager */
	struct timer timer;
	struct lock lock;
	struct cond changed;
	/* all below: lock */
	bool stopping;
	bool running;  /* a round */
	bool told;     /* the scheduler client has got addresses */
	bool answered; /* the last question was */
	bool heard_of; /* a question was answered or failed before */
	int64_t backoff_ms;
};

struct candidate {
	uint64_t cluster;
	char addr[300];
};

/* One cluster's turn of a round. */
struct round {
	struct manager_client *mc;
	struct candidate *candidates;
	size_t count, at; /* at: the first of the cluster whose turn it is */
	atomic_size_t waiting;
	atomic_bool healthy;
};

static void round_free(struct round *r)
{
	free(r->candidates);
	free(r);
}

/* Under the lock. */
static int64_t next_delay(struct manager_client *mc, bool ok)
{
	if (ok) {
		mc->backoff_ms = BACKOFF_FIRST_MS;
		return mc->refresh_interval_ms;
	}
	if (mc->backoff_ms < BACKOFF_MAX_MS)
		mc->backoff_ms *= 2;
	return mc->backoff_ms < mc->refresh_interval_ms ? mc->backoff_ms : mc->refresh_interval_ms;
}

/* ok: the scheduler client has been told. */
static void end_round(struct manager_client *mc, bool ok)
{
	lock_guard(&mc->lock);
	mc->told = mc->told || ok;
	mc->running = false;
	/* With schedulers at hand there is no hurry. */
	if (!mc->stopping)
		timer_arm(&mc->timer, next_delay(mc, ok || mc->told));
	cond_wake_all(&mc->changed);
}

static size_t cluster_end(const struct round *r, size_t from)
{
	size_t to = from;

	while (to < r->count && r->candidates[to].cluster == r->candidates[from].cluster)
		to++;
	return to;
}

/* Hands the cluster that starts at from to the scheduler client and ends the round. */
static void choose(struct round *r, size_t from)
{
	const char *addrs[RING_MAX];
	size_t count = 0;

	for (size_t i = from; i < cluster_end(r, from) && count < RING_MAX; i++)
		addrs[count++] = r->candidates[i].addr;
	scheduler_client_set(r->mc->sc, addrs, count);
	end_round(r->mc, true);
	round_free(r);
}

static void check_cluster(struct round *r);

/* Every scheduler of a cluster has answered, or has not. */
static void cluster_checked(struct round *r)
{
	bool told;

	if (atomic_load(&r->healthy)) {
		choose(r, r->at);
		return;
	}
	r->at = cluster_end(r, r->at);
	if (r->at < r->count) {
		check_cluster(r);
		return;
	}
	lock_take(&r->mc->lock);
	told = r->mc->told;
	lock_drop(&r->mc->lock);
	if (!told) {
		/* None serves yet: the first cluster's are tried until they do. */
		choose(r, 0);
		return;
	}
	end_round(r->mc, false);
	round_free(r);
}

static void checked(const ProtobufCMessage *msg, enum rpc_code code, const char *text, void *arg)
{
	const Grpc__Health__V1__HealthCheckResponse *answer = (const void *)msg;
	struct round *r = arg;

	(void)text;
	if (code == RPC_UNIMPLEMENTED ||
	    (answer &&
	     answer->status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING))
		atomic_store(&r->healthy, true);
	if (atomic_fetch_sub(&r->waiting, 1) == 1)
		cluster_checked(r);
}

/* Asks all schedulers of the cluster at r->at whether they serve. */
static void check_cluster(struct round *r)
{
	Grpc__Health__V1__HealthCheckRequest rq = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
	size_t end = cluster_end(r, r->at), from = r->at;

	/* One more: the answers must not go on with the round while this loop runs. */
	atomic_store(&r->waiting, end - from + 1);
	for (size_t i = from; i < end; i++) {
		struct rpc_channel *ch = channels_take(r->candidates[i].addr);

		ask(ch, HEALTH_PATH, &rq.base, &grpc__health__v1__health_check_response__descriptor,
		    CHECK_TIMEOUT_MS, checked, r);
		channels_give(ch);
	}
	if (atomic_fetch_sub(&r->waiting, 1) == 1)
		cluster_checked(r);
}

/* False if it is no address. */
static bool candidate_init(struct candidate *c, const Manager__V2__Scheduler *s)
{
	const char *host = s->ip[0] ? s->ip : s->hostname;

	if (!host[0] || strlen(host) > 255 || s->port <= 0 || s->port > UINT16_MAX)
		return false;
	c->cluster = s->scheduler_cluster_id;
	net_join(host, s->port, c->addr, sizeof(c->addr));
	return true;
}

/* Groups by cluster, clusters in the order in which they are named first. */
static struct round *round_new(struct manager_client *mc,
			       const Manager__V2__ListSchedulersResponse *answer)
{
	size_t n = answer->n_schedulers < SCHEDULERS_MAX ? answer->n_schedulers : SCHEDULERS_MAX;
	struct round *r = mem_new(struct round);

	r->mc = mc;
	r->candidates = mem_array(n ? n : 1, sizeof(*r->candidates));
	for (size_t i = 0; i < n; i++) {
		struct candidate c;
		size_t at = r->count;

		if (!candidate_init(&c, answer->schedulers[i]))
			continue;
		for (size_t k = 0; k < r->count; k++)
			if (r->candidates[k].cluster == c.cluster)
				at = k + 1;
		memmove(&r->candidates[at + 1], &r->candidates[at], (r->count - at) * sizeof(c));
		r->candidates[at] = c;
		r->count++;
	}
	return r;
}

/* Tells a change once. */
static void note_answer(struct manager_client *mc, bool answered, const char *why)
{
	bool changed;

	lock_take(&mc->lock);
	changed = !mc->heard_of || mc->answered != answered;
	mc->heard_of = true;
	mc->answered = answered;
	lock_drop(&mc->lock);
	if (changed && answered)
		log_info("manager answers", "addr=%s", mc->addr);
	else if (changed)
		log_warn("manager does not answer, going on with what is known",
			 "addr=%s why=\"%s\"", mc->addr, why);
}

static void listed(const ProtobufCMessage *msg, enum rpc_code code, const char *text, void *arg)
{
	const Manager__V2__ListSchedulersResponse *answer = (const void *)msg;
	struct manager_client *mc = arg;
	struct round *r;

	/* "None" is an answer too. */
	note_answer(mc, code == RPC_OK || code == RPC_NOT_FOUND, text);
	if (code != RPC_OK) {
		end_round(mc, false);
		return;
	}
	r = round_new(mc, answer);
	if (r->count == 0) {
		log_debug("manager knows no scheduler", "addr=%s", mc->addr);
		end_round(mc, false);
		round_free(r);
	} else if (cluster_end(r, 0) == r->count) {
		choose(r, 0);
	} else {
		check_cluster(r);
	}
}

static void begin_round(struct timer *t)
{
	Manager__V2__ListSchedulersRequest rq = MANAGER__V2__LIST_SCHEDULERS_REQUEST__INIT;
	struct manager_client *mc = t->arg;
	const struct host_config *c = host_config(mc->host);

	rq.source_type = c->is_seed ? MANAGER__V2__SOURCE_TYPE__SEED_PEER_SOURCE
				    : MANAGER__V2__SOURCE_TYPE__PEER_SOURCE;
	rq.hostname = (char *)c->hostname;
	rq.ip = (char *)c->ip;
	if (c->idc) {
		rq.idc__case = MANAGER__V2__LIST_SCHEDULERS_REQUEST__IDC__IDC;
		rq.idc = (char *)c->idc;
	}
	if (c->location) {
		rq.location__case = MANAGER__V2__LIST_SCHEDULERS_REQUEST__LOCATION__LOCATION;
		rq.location = (char *)c->location;
	}
	rq.version = (char *)SKIMMER_VERSION;
	rq.scheduler_cluster_id = c->scheduler_cluster_id;
	lock_guard(&mc->lock);
	if (mc->stopping || mc->running)
		return;
	mc->running = true;
	ask(mc->channel, LIST_PATH, &rq.base, &manager__v2__list_schedulers_response__descriptor,
	    LIST_TIMEOUT_MS, listed, mc);
}

struct manager_client *manager_client_new(const struct manager_client_config *c, struct host *host,
					  struct scheduler_client *sc)
{
	struct manager_client *mc = mem_new(struct manager_client);
	const char *addr = c->addr;

	mc->refresh_interval_ms = c->refresh_interval_ms;
	mc->host = host;
	mc->sc = sc;
	mc->backoff_ms = BACKOFF_FIRST_MS;
	mc->timer = (struct timer){.fire = begin_round, .arg = mc};
	lock_init(&mc->lock, MANAGER_LOCK_RANK);
	cond_init(&mc->changed);
	if (!addr || !addr[0]) {
		scheduler_client_set(sc, c->scheduler_addrs, c->scheduler_count);
		return mc;
	}
	if (strncmp(addr, "http://", 7) == 0)
		addr += 7;
	mc->addr = mem_strdup(addr);
	mc->channel = rpc_channel_new(addr, c->tls);
	timer_arm(&mc->timer, 0);
	return mc;
}

bool manager_client_is_answered(struct manager_client *mc)
{
	lock_guard(&mc->lock);
	return mc->answered;
}

void manager_client_free(struct manager_client *mc)
{
	if (!mc)
		return;
	lock_take(&mc->lock);
	mc->stopping = true;
	lock_drop(&mc->lock);
	timer_cancel(&mc->timer);
	rpc_channel_free(mc->channel); /* ends a question */
	lock_take(&mc->lock);
	while (mc->running)
		cond_wait(&mc->changed, &mc->lock);
	lock_drop(&mc->lock);
	cond_release(&mc->changed);
	lock_release(&mc->lock);
	free(mc->addr);
	free(mc);
}
