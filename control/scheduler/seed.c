/* Downloads asked of seed peers. */
#include "control/scheduler/seed.h"

#include "base/digest.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/net.h"
#include "proto/rpc.h"

#include <stdio.h>
#include <string.h>

#define RANK_SEEDS 50
#define TIMEOUT_MS (10 * 3600 * 1000LL)
#define POINTS	   64 /* of each seed on the ring */

struct asked {
	struct seeds *seeds;
	char *task_id, *host_id;
	struct rpc_channel *channel;
	struct rpc_stream *stream;
	bool answered; /* the seed said something: it is reachable */
};

struct seeds {
	const struct rpc_tls *tls;
	struct lock lock;
	struct map *running; /* "<task id>" -> struct asked */
	void (*ended)(const char *, const char *, bool, bool, void *);
	void *arg;
};

struct seeds *seeds_new(const struct rpc_tls *tls,
			void (*ended)(const char *, const char *, bool, bool, void *), void *arg)
{
	struct seeds *s = mem_new(struct seeds);

	lock_init(&s->lock, RANK_SEEDS);
	s->running = map_new();
	s->tls = tls;
	s->ended = ended;
	s->arg = arg;
	return s;
}

static void asked_free(struct asked *a)
{
	rpc_channel_free(a->channel);
	free(a->task_id);
	free(a->host_id);
	free(a);
}

/* One running download, taken out; NULL when there is none. */
static struct asked *take_any(struct seeds *s)
{
	const char *id;
	void *value = NULL;
	size_t at = 0;

	lock_guard(&s->lock);
	if (!map_next(s->running, &at, &id, &value))
		return NULL;
	return map_remove(s->running, id);
}

void seeds_free(struct seeds *s)
{
	struct asked *a;

	if (!s)
		return;
	while ((a = take_any(s))) {
		rpc_stream_free(a->stream);
		asked_free(a);
	}
	map_free(s->running);
	lock_release(&s->lock);
	free(s);
}

static uint64_t point(const char *a, unsigned number)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "%s#%u", a, number);

	return xxh3_of(text, n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

/* The seed whose nearest point comes first behind the task's place on the ring. Seeds are few: the
 * ring is not kept, it is looked through. */
struct host *seeds_choose(const struct state *state, const char *task_id)
{
	uint64_t place = point(task_id, 0), best = UINT64_MAX;
	struct host *chosen = NULL;
	const char *id;
	void *value;
	size_t at = 0;

	while (map_next(state->hosts, &at, &id, &value)) {
		struct host *h = value;

		if (h->type == 0 || h->unhealthy || h->disable_shared)
			continue;
		for (unsigned i = 0; i < POINTS; i++) {
			uint64_t distance = point(id, i) - place;

			if (!chosen || distance < best) {
				best = distance;
				chosen = h;
			}
		}
	}
	return chosen;
}

static void on_message(struct rpc_stream *stream, const ProtobufCMessage *msg, void *arg)
{
	struct asked *a = arg;

	(void)stream, (void)msg;
	a->answered = true;
}

static void on_closed(struct rpc_stream *stream, enum rpc_code code, const char *text,
		      const void *details, size_t details_len, void *arg)
{
	struct asked *a = arg;
	struct seeds *s = a->seeds;
	bool mine;

	(void)text, (void)details, (void)details_len;
	lock_take(&s->lock);
	mine = map_get(s->running, a->task_id) == a;
	if (mine)
		map_remove(s->running, a->task_id);
	lock_drop(&s->lock);
	if (!mine)
		return; /* seeds_free() has it */
	s->ended(a->task_id, a->host_id, code == RPC_OK, a->answered || code != RPC_UNAVAILABLE,
		 s->arg);
	rpc_stream_drop(stream);
	asked_free(a);
}

static const struct rpc_stream_ops ops = {
	.response = &dfdaemon__v2__download_task_response__descriptor,
	.message = on_message,
	.closed = on_closed,
};

bool seeds_ask(struct seeds *s, const struct host *h, const char *task_id,
	       Common__V2__Download *download)
{
	Dfdaemon__V2__DownloadTaskRequest rq = DFDAEMON__V2__DOWNLOAD_TASK_REQUEST__INIT;
	struct asked *a;
	char target[96];

	lock_guard(&s->lock);
	if (map_get(s->running, task_id))
		return false;
	a = mem_new(struct asked);
	a->seeds = s;
	a->task_id = mem_strdup(task_id);
	a->host_id = mem_strdup(h->id);
	net_join(h->ip, h->port, target, sizeof(target));
	a->channel = rpc_channel_new(target, s->tls);
	map_put(s->running, task_id, a);
	a->stream = rpc_stream_new(a->channel, "/dfdaemon.v2.DfdaemonUpload/DownloadTask", &ops, a,
				   TIMEOUT_MS);
	rq.download = download;
	rpc_stream_send(a->stream, &rq.base);
	rpc_stream_half_close(a->stream);
	return true;
}
