/*
 * A preheat that runs is a table of counts; each download that is out points to it. When one ends
 * the next may start, on the rpc thread. The lock (rank 50) guards all of it.
 */
#include "control/scheduler/preheat.h"

#include "base/list.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "proto/rpc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define RANK_PREHEATS 50
#define WORKERS	      4

/* Of one task of a running preheat. */
struct progress {
	size_t next, running; /* targets: to be asked next; asked */
};

struct running {
	struct list link; /* preheats.runs */
	struct preheat *preheat;
	struct progress *tasks;
	size_t out; /* downloads under way */
	uint64_t well, failed;
};

/* A download that is under way. */
struct order {
	struct preheats *preheats;
	struct running *running;
	size_t task;
	const char *target;
	struct list link; /* preheats.orders */
	struct rpc_channel *channel;
	struct rpc_stream *stream;
};

/* One that ended badly, until the task is asked for again. */
struct failed {
	struct list link; /* preheats.failures */
	char task_id[DIGEST_HEX_LEN + 1];
	struct preheat_failure how;
};

struct preheats {
	const struct rpc_tls *seed_tls, *peer_tls;
	struct pool *workers;
	struct lock lock;
	bool stopping;
	struct list orders, runs, failures; /* the oldest failure first */
	size_t failure_count;
	uint64_t well, failed;
};

struct preheats *preheats_new(const struct rpc_tls *seed_tls, const struct rpc_tls *peer_tls)
{
	struct preheats *s = mem_new(struct preheats);

	s->seed_tls = seed_tls;
	s->peer_tls = peer_tls;
	lock_init(&s->lock, RANK_PREHEATS);
	list_init(&s->orders);
	list_init(&s->runs);
	list_init(&s->failures);
	s->workers = pool_new("preheat", WORKERS, PREHEATS_MAX);
	return s;
}

void preheat_free(struct preheat *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->task_count; i++) {
		struct preheat_task *t = &p->tasks[i];

		if (t->download)
			protobuf_c_message_free_unpacked(&t->download->base, NULL);
		for (size_t k = 0; k < t->target_count; k++)
			free(t->targets[k].addr);
		free(t->targets);
	}
	free(p->tasks);
	free(p->name);
	free(p);
}

static void running_free(struct running *r)
{
	list_remove(&r->link);
	preheat_free(r->preheat);
	free(r->tasks);
	free(r);
}

/* ---- failures, under the lock */

static void forget(struct preheats *s, struct failed *f)
{
	list_remove(&f->link);
	s->failure_count--;
	free(f);
}

static void forget_task(struct preheats *s, const char *task_id)
{
	list_each_safe (it, &s->failures) {
		struct failed *f = list_entry(it, struct failed, link);

		if (strcmp(f->task_id, task_id) == 0)
			forget(s, f);
	}
}

static void remember(struct preheats *s, const struct order *o, enum rpc_code code,
		     const char *text)
{
	struct failed *f = mem_new(struct failed);

	snprintf(f->task_id, sizeof(f->task_id), "%s", o->running->preheat->tasks[o->task].id);
	snprintf(f->how.host, sizeof(f->how.host), "%s", o->target);
	snprintf(f->how.why, sizeof(f->how.why), "%s", text ? text : "");
	f->how.code = (int)code;
	list_push_back(&s->failures, &f->link);
	if (s->failure_count++ == PREHEAT_FAILURES_MAX)
		forget(s, list_entry(s->failures.next, struct failed, link));
}

static size_t pending(const struct preheats *s, const char *task_id)
{
	size_t count = 0;

	list_each (it, &s->runs) {
		const struct running *r = list_entry(it, struct running, link);

		for (size_t i = 0; i < r->preheat->task_count; i++)
			if (strcmp(r->preheat->tasks[i].id, task_id) == 0)
				count += r->tasks[i].running + r->preheat->tasks[i].target_count -
					 r->tasks[i].next;
	}
	return count;
}

size_t preheats_failures(struct preheats *s, const char *task_id, struct preheat_failure *out,
			 size_t max, size_t *pending_out)
{
	size_t count = 0;

	lock_guard(&s->lock);
	*pending_out = pending(s, task_id);
	list_each (it, &s->failures) {
		const struct failed *f = list_entry(it, struct failed, link);

		if (count < max && strcmp(f->task_id, task_id) == 0)
			out[count++] = f->how;
	}
	return count;
}

static void order_free(struct order *o)
{
	rpc_channel_free(o->channel);
	free(o);
}

void preheats_free(struct preheats *s)
{
	struct list *link;

	if (!s)
		return;
	lock_take(&s->lock);
	s->stopping = true;
	lock_drop(&s->lock);
	pool_free(s->workers);
	for (;;) {
		struct order *o;

		lock_take(&s->lock);
		link = list_pop_front(&s->orders);
		lock_drop(&s->lock);
		if (!link)
			break;
		o = list_entry(link, struct order, link);
		rpc_stream_free(o->stream);
		if (--o->running->out == 0)
			running_free(o->running);
		order_free(o);
	}
	while (!list_empty(&s->failures))
		forget(s, list_entry(s->failures.next, struct failed, link));
	lock_release(&s->lock);
	free(s);
}

bool preheats_run(struct preheats *s, void (*job)(void *arg), void *arg)
{
	return pool_run(s->workers, job, arg);
}

static void start_next(struct preheats *s, struct running *r);

static void on_closed(struct rpc_stream *stream, enum rpc_code code, const char *text,
		      const void *details, size_t details_len, void *arg)
{
	struct order *o = arg;
	struct preheats *s = o->preheats;
	struct running *r = o->running;
	bool over;

	(void)details, (void)details_len;
	if (code != RPC_OK)
		log_warn("preheat of one task on one host failed",
			 "preheat=\"%s\" host=%s code=%d why=\"%s\"", r->preheat->name, o->target,
			 code, text ? text : "");
	lock_take(&s->lock);
	if (s->stopping) {
		/* preheats_free() has it. */
		lock_drop(&s->lock);
		return;
	}
	list_remove(&o->link);
	r->tasks[o->task].running--;
	r->out--;
	*(code == RPC_OK ? &r->well : &r->failed) += 1;
	*(code == RPC_OK ? &s->well : &s->failed) += 1;
	if (code != RPC_OK)
		remember(s, o, code, text);
	start_next(s, r);
	over = r->out == 0;
	if (over)
		list_remove(&r->link);
	lock_drop(&s->lock);
	if (over) {
		log_info("preheat ended",
			 "preheat=\"%s\" tasks=%zu well=%" PRIu64 " failed=%" PRIu64,
			 r->preheat->name, r->preheat->task_count, r->well, r->failed);
		running_free(r);
	}
	rpc_stream_drop(stream);
	order_free(o);
}

/* Which pieces are there is nobody's business here. */
static void on_message(struct rpc_stream *stream, const ProtobufCMessage *msg, void *arg)
{
	(void)stream, (void)msg, (void)arg;
}

static const struct rpc_stream_ops ops = {
	.response = &dfdaemon__v2__download_task_response__descriptor,
	.message = on_message,
	.closed = on_closed,
};

/* Under the lock. */
static void start_one(struct preheats *s, struct running *r, size_t task)
{
	Dfdaemon__V2__DownloadTaskRequest rq = DFDAEMON__V2__DOWNLOAD_TASK_REQUEST__INIT;
	const struct preheat_task *t = &r->preheat->tasks[task];
	const struct preheat_target *target;
	struct order *o = mem_new(struct order);

	o->preheats = s;
	o->running = r;
	o->task = task;
	target = &t->targets[r->tasks[task].next++];
	o->target = target->addr;
	o->channel = rpc_channel_new(o->target, target->is_seed ? s->seed_tls : s->peer_tls);
	r->tasks[task].running++;
	r->out++;
	list_push_back(&s->orders, &o->link);
	o->stream = rpc_stream_new(o->channel, "/dfdaemon.v2.DfdaemonUpload/DownloadTask", &ops, o,
				   r->preheat->timeout_ms);
	rq.download = t->download;
	rpc_stream_send(o->stream, &rq.base);
	rpc_stream_half_close(o->stream);
}

/* Under the lock: all that the two limits allow. */
static void start_next(struct preheats *s, struct running *r)
{
	const struct preheat *p = r->preheat;
	unsigned open = 0;

	for (size_t i = 0; i < p->task_count && open < p->tasks_at_once; i++) {
		struct progress *g = &r->tasks[i];

		while (g->next < p->tasks[i].target_count && g->running < p->targets_at_once)
			start_one(s, r, i);
		open += g->running > 0;
	}
}

void preheats_start(struct preheats *s, struct preheat *p)
{
	struct running *r = mem_new(struct running);
	bool idle;

	r->preheat = p;
	r->tasks = mem_array(p->task_count + 1, sizeof(*r->tasks));
	list_init(&r->link);
	lock_take(&s->lock);
	for (size_t i = 0; i < p->task_count; i++)
		forget_task(s, p->tasks[i].id);
	if (!s->stopping)
		start_next(s, r);
	idle = r->out == 0;
	if (!idle)
		list_push_back(&s->runs, &r->link);
	lock_drop(&s->lock);
	if (idle)
		running_free(r);
}

void preheats_count(struct preheats *s, uint64_t *well_out, uint64_t *failed_out)
{
	lock_guard(&s->lock);
	*well_out = s->well;
	*failed_out = s->failed;
}
