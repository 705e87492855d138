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

#define RANK_PREHEATS 50
#define WORKERS	      4

/* Of one task of a running preheat. */
struct progress {
	size_t next, running; /* targets: to be asked next; asked */
};

struct running {
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

struct preheats {
	struct pool *workers;
	struct lock lock;
	bool stopping;
	struct list orders;
	uint64_t well, failed;
};

struct preheats *preheats_new(void)
{
	struct preheats *s = mem_new(struct preheats);

	lock_init(&s->lock, RANK_PREHEATS);
	list_init(&s->orders);
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
			free(t->targets[k]);
		free(t->targets);
	}
	free(p->tasks);
	free(p->name);
	free(p);
}

static void running_free(struct running *r)
{
	preheat_free(r->preheat);
	free(r->tasks);
	free(r);
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
	start_next(s, r);
	over = r->out == 0;
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
	struct order *o = mem_new(struct order);

	o->preheats = s;
	o->running = r;
	o->task = task;
	o->target = t->targets[r->tasks[task].next++];
	o->channel = rpc_channel_new(o->target, NULL, NULL, NULL);
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
	lock_take(&s->lock);
	if (!s->stopping)
		start_next(s, r);
	idle = r->out == 0;
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
