/* The schedulers of this host's cluster (schedulers.h). */
#include "daemon/schedulers.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/net.h"
#include "base/timer.h"
#include "daemon/ask.h"
#include "daemon/host_message.h"
#include "daemon/ring.h"
#include "proto/message.h"

#include "health_v1.pb-c.h"
#include "scheduler_v2.pb-c.h"

#include <google/protobuf/empty.pb-c.h>
#include <stdatomic.h>
#include <string.h>

#define SCHEDULERS_LOCK_RANK 50
#define CHECK_TIMEOUT_MS     3000
#define ANNOUNCE_TIMEOUT_MS  5000
#define GOODBYE_TIMEOUT_MS   2000
#define BACKOFF_FIRST_MS     500
#define BACKOFF_MAX_MS	     30000
#define ANNOUNCE_PATH	     "/scheduler.v2.Scheduler/AnnounceHost"
#define DELETE_PATH	     "/scheduler.v2.Scheduler/DeleteHost"
#define HEALTH_PATH	     "/grpc.health.v1.Health/Check"

enum scheduler_state { SCHEDULER_NEW, SCHEDULER_UP, SCHEDULER_DOWN };

struct scheduler {
	struct schedulers *set;
	atomic_int refs; /* the set's, a check's, and those of schedulers_pick() */
	char *addr;
	struct net_addr net_addr;
	bool is_ip;
	struct rpc_channel *channel; /* NULL only once the set is being freed */
	struct timer timer;	     /* the next check */
	/* all below: the set's lock */
	struct list link;
	enum scheduler_state state;
	bool checking;
	bool met;  /* has been UP */
	bool gone; /* no longer in the set */
	int64_t backoff_ms;
};

struct schedulers {
	struct host *host;
	const struct rpc_tls *tls;
	int64_t interval_ms;
	struct lock lock;
	struct cond changed;
	/* all below: lock */
	struct list all;   /* of struct scheduler */
	unsigned existing; /* structs, those that are gone among them */
	struct ring ring;  /* of the UP ones */
	unsigned met;	   /* addresses that have been UP, those that are gone among them */
	bool left;
};

struct schedulers *schedulers_new(struct host *host, const struct rpc_tls *tls,
				  int64_t announce_interval_ms)
{
	struct schedulers *ss = mem_new(struct schedulers);

	ss->host = host;
	ss->tls = tls;
	ss->interval_ms = announce_interval_ms;
	lock_init(&ss->lock, SCHEDULERS_LOCK_RANK);
	cond_init(&ss->changed);
	list_init(&ss->all);
	return ss;
}

/* Under the lock. */
static void rebuild_ring(struct schedulers *ss)
{
	ss->ring.count = 0;
	list_each (link, &ss->all) {
		struct scheduler *s = list_entry(link, struct scheduler, link);

		if (s->state == SCHEDULER_UP)
			ring_add(&ss->ring, s->is_ip ? &s->net_addr : NULL, s->addr, s);
	}
}

void scheduler_unref(struct scheduler *s)
{
	struct schedulers *ss;

	if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	ss = s->set;
	rpc_channel_free(s->channel);
	free(s->addr);
	free(s);
	lock_guard(&ss->lock);
	ss->existing--;
	cond_wake_all(&ss->changed);
}

static struct scheduler *scheduler_ref(struct scheduler *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

/* ---- checks */

/* Daemons that were started together shall not announce together. */
static int64_t with_jitter(int64_t ms)
{
	return ms - (ms >= 10 ? clock_us() % (ms / 10) : 0);
}

/* Under the lock. True if the state has changed. */
static bool settle(struct scheduler *s, bool ok)
{
	enum scheduler_state before = s->state;

	s->state = ok ? SCHEDULER_UP : SCHEDULER_DOWN;
	if (before != s->state)
		rebuild_ring(s->set);
	if (ok && !s->met) {
		s->met = true;
		s->set->met++;
	}
	if (ok || s->backoff_ms == 0)
		s->backoff_ms = BACKOFF_FIRST_MS;
	else if (s->backoff_ms < BACKOFF_MAX_MS)
		s->backoff_ms *= 2;
	if (!s->set->left)
		timer_arm(&s->timer, with_jitter(ok ? s->set->interval_ms : s->backoff_ms));
	return before != s->state;
}

static void said_goodbye(const ProtobufCMessage *msg, enum rpc_code code, const char *text,
			 void *arg)
{
	struct scheduler *s = arg;

	(void)msg;
	if (code != RPC_OK)
		log_debug("scheduler was not told that this host moves", "addr=%s why=\"%s\"",
			  s->addr, text);
	scheduler_unref(s);
}

/* It is gone and has been told of this host: otherwise it would give it to its cluster's peers as a
 * parent for as long as it remembers it. Under the lock. */
static void say_goodbye(struct scheduler *s)
{
	Scheduler__V2__DeleteHostRequest rq = SCHEDULER__V2__DELETE_HOST_REQUEST__INIT;

	if (!s->channel || s->set->left)
		return;
	rq.host_id = (char *)host_id(s->set->host);
	ask(scheduler_ref(s)->channel, DELETE_PATH, &rq.base, &google__protobuf__empty__descriptor,
	    GOODBYE_TIMEOUT_MS, said_goodbye, s);
}

/* Ends a check. */
static void check_over(struct scheduler *s, bool ok, const char *why)
{
	bool changed = false;

	lock_take(&s->set->lock);
	s->checking = false;
	if (!s->gone)
		changed = settle(s, ok);
	else if (ok)
		say_goodbye(s);
	lock_drop(&s->set->lock);
	if (changed && ok)
		log_info("scheduler answers", "addr=%s", s->addr);
	else if (changed)
		log_warn("scheduler does not answer", "addr=%s why=\"%s\"", s->addr, why);
	scheduler_unref(s);
}

static void check_announced(bool ok, void *arg)
{
	check_over(arg, ok, "it refuses the announcement");
}

static void check_healthy(const ProtobufCMessage *msg, enum rpc_code code, const char *text,
			  void *arg)
{
	const Grpc__Health__V1__HealthCheckResponse *answer = (const void *)msg;
	struct scheduler *s = arg;

	if (code != RPC_OK && code != RPC_UNIMPLEMENTED) {
		check_over(s, false, text);
		return;
	}
	if (answer &&
	    answer->status != GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING) {
		check_over(s, false, "it does not serve now");
		return;
	}
	scheduler_announce(s, check_announced, s);
}

static void check(struct timer *t)
{
	Grpc__Health__V1__HealthCheckRequest rq = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
	struct scheduler *s = t->arg;

	lock_guard(&s->set->lock);
	if (s->gone || s->checking || s->set->left)
		return;
	s->checking = true;
	ask(scheduler_ref(s)->channel, HEALTH_PATH, &rq.base,
	    &grpc__health__v1__health_check_response__descriptor, CHECK_TIMEOUT_MS, check_healthy,
	    s);
}

struct announcement {
	struct scheduler *scheduler;
	void (*done)(bool ok, void *arg);
	void *arg;
};

static void announced(const ProtobufCMessage *msg, enum rpc_code code, const char *text, void *arg)
{
	struct announcement *a = arg;

	(void)msg;
	if (code != RPC_OK)
		log_debug("host not announced", "addr=%s why=\"%s\"", a->scheduler->addr, text);
	a->done(code == RPC_OK, a->arg);
	scheduler_unref(a->scheduler);
	free(a);
}

void scheduler_announce(struct scheduler *s, void (*done)(bool ok, void *arg), void *arg)
{
	Scheduler__V2__AnnounceHostRequest rq = SCHEDULER__V2__ANNOUNCE_HOST_REQUEST__INIT;
	struct announcement *a = mem_new(struct announcement);
	Google__Protobuf__Duration interval;
	struct host_message m;

	host_message_fill(&m, s->set->host);
	message_duration(&interval, s->set->interval_ms);
	rq.host = &m.host;
	rq.interval = &interval;
	a->scheduler = scheduler_ref(s);
	a->done = done;
	a->arg = arg;
	lock_take(&s->set->lock);
	if (s->channel) {
		ask(s->channel, ANNOUNCE_PATH, &rq.base, &google__protobuf__empty__descriptor,
		    ANNOUNCE_TIMEOUT_MS, announced, a);
		lock_drop(&s->set->lock);
		return;
	}
	lock_drop(&s->set->lock);
	announced(NULL, RPC_CANCELLED, "leaving", a);
}

void scheduler_failed(struct scheduler *s, const char *why)
{
	bool changed = false;

	lock_take(&s->set->lock);
	if (!s->gone && s->state == SCHEDULER_UP) {
		s->backoff_ms = 0;
		changed = settle(s, false);
	}
	lock_drop(&s->set->lock);
	if (changed)
		log_warn("scheduler does not answer", "addr=%s why=\"%s\"", s->addr, why);
}

/* ---- the set */

static struct scheduler *scheduler_new(struct schedulers *ss, const char *addr)
{
	struct scheduler *s = mem_new(struct scheduler);
	char host[256];
	uint16_t port;

	s->set = ss;
	atomic_init(&s->refs, 1);
	s->addr = mem_strdup(addr);
	s->is_ip = net_split(addr, host, sizeof(host), 0, &port) &&
		   net_addr_parse(host, port, &s->net_addr);
	s->channel = rpc_channel_new(addr, ss->tls);
	s->timer = (struct timer){.fire = check, .arg = s};
	return s;
}

static bool is_among(const char *addr, const char *const *addrs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(addr, addrs[i]) == 0)
			return true;
	return false;
}

/* Under the lock. */
static bool is_known(struct schedulers *ss, const char *addr)
{
	list_each (link, &ss->all)
		if (strcmp(list_entry(link, struct scheduler, link)->addr, addr) == 0)
			return true;
	return false;
}

/* Takes out all but addrs, and returns them in *out, each with the set's reference. */
static void take_out(struct schedulers *ss, const char *const *addrs, size_t count,
		     struct list *out)
{
	lock_guard(&ss->lock);
	list_each_safe (link, &ss->all) {
		struct scheduler *s = list_entry(link, struct scheduler, link);

		if (is_among(s->addr, addrs, count))
			continue;
		s->gone = true;
		list_remove(link);
		list_push_back(out, link);
	}
	rebuild_ring(ss);
}

void schedulers_set(struct schedulers *ss, const char *const *addrs, size_t count)
{
	struct list removed;
	struct list *link;

	if (count > RING_MAX)
		count = RING_MAX;
	list_init(&removed);
	take_out(ss, addrs, count, &removed);
	while ((link = list_pop_front(&removed)) != NULL) {
		struct scheduler *s = list_entry(link, struct scheduler, link);

		log_info("scheduler is gone from the cluster", "addr=%s", s->addr);
		timer_cancel(&s->timer);
		lock_take(&ss->lock);
		/* A check that is running may still announce: its end says goodbye. */
		if (s->met && !s->checking)
			say_goodbye(s);
		lock_drop(&ss->lock);
		scheduler_unref(s);
	}
	for (size_t i = 0; i < count; i++) {
		struct scheduler *s = scheduler_new(ss, addrs[i]);
		bool known;

		lock_take(&ss->lock);
		ss->existing++;
		known = is_known(ss, addrs[i]) || ss->left;
		if (!known) {
			list_push_back(&ss->all, &s->link);
			timer_arm(&s->timer, 0);
		}
		lock_drop(&ss->lock);
		if (known)
			scheduler_unref(s);
	}
}

unsigned schedulers_up(struct schedulers *ss)
{
	lock_guard(&ss->lock);
	return ss->ring.count;
}

unsigned schedulers_met(struct schedulers *ss)
{
	lock_guard(&ss->lock);
	return ss->met;
}

struct scheduler *schedulers_pick(struct schedulers *ss, const char *task_id)
{
	struct scheduler *s;

	lock_guard(&ss->lock);
	s = ring_find(&ss->ring, task_id);
	return s ? scheduler_ref(s) : NULL;
}

struct rpc_channel *scheduler_channel(const struct scheduler *s)
{
	return s->channel;
}

const char *scheduler_addr(const struct scheduler *s)
{
	return s->addr;
}

struct leaving {
	struct schedulers *set;
	unsigned waiting; /* the set's lock */
};

static void left_one(const ProtobufCMessage *msg, enum rpc_code code, const char *text, void *arg)
{
	struct leaving *l = arg;

	(void)msg;
	if (code != RPC_OK)
		log_debug("scheduler was not told that this host leaves", "why=\"%s\"", text);
	lock_guard(&l->set->lock);
	l->waiting--;
	cond_wake_all(&l->set->changed);
}

void schedulers_leave(struct schedulers *ss, bool for_good, int64_t timeout_ms)
{
	Scheduler__V2__DeleteHostRequest rq = SCHEDULER__V2__DELETE_HOST_REQUEST__INIT;
	struct leaving l = {.set = ss};

	rq.host_id = (char *)host_id(ss->host);
	lock_guard(&ss->lock);
	ss->left = ss->left || for_good;
	for (unsigned i = 0; i < ss->ring.count; i++) {
		const struct scheduler *s = ss->ring.points[i].value;

		l.waiting++;
		ask(s->channel, DELETE_PATH, &rq.base, &google__protobuf__empty__descriptor,
		    timeout_ms, left_one, &l);
	}
	/* Each call has its deadline. */
	while (l.waiting > 0)
		cond_wait(&ss->changed, &ss->lock);
}

void schedulers_free(struct schedulers *ss)
{
	struct list removed;
	struct list *link;

	if (!ss)
		return;
	lock_take(&ss->lock);
	ss->left = true; /* no goodbyes from here on */
	lock_drop(&ss->lock);
	list_init(&removed);
	take_out(ss, NULL, 0, &removed);
	while ((link = list_pop_front(&removed)) != NULL) {
		struct scheduler *s = list_entry(link, struct scheduler, link);
		struct rpc_channel *channel;

		timer_cancel(&s->timer);
		lock_take(&ss->lock);
		channel = take_ptr(&s->channel);
		lock_drop(&ss->lock);
		rpc_channel_free(channel); /* ends a check that is running */
		scheduler_unref(s);
	}
	lock_take(&ss->lock);
	while (ss->existing > 0)
		cond_wait(&ss->changed, &ss->lock);
	lock_drop(&ss->lock);
	cond_release(&ss->changed);
	lock_release(&ss->lock);
	free(ss);
}
