/*
 * The poller. Its lock guards the texts and who wants what; the schedulers it asks without it.
 * live_task() asks by itself, on the asker's worker, as its question is about one task.
 */
#include "control/manager/live.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/net.h"
#include "base/pool.h"
#include "control/manager/links.h"
#include "control/manager/live_view.h"
#include "control/manager/member.h"

#include <errno.h>
#include <string.h>

#define RANK_LIVE      43
#define POLL_MS	       1000
#define LINGER_MS      5000 /* asked for in the last so many: wanted */
#define FRESH_MS       2000
#define WAIT_MS	       8000
#define ANSWER_MS      1000
#define ROUND_MS       4000  /* for all schedulers of one round */
#define PEACE_MS       10000 /* after no answer */
#define SCHEDULERS_MAX 64
#define SWARM	       "/skimmer.v1.Swarm/"

struct topic {
	struct web_feed *feed;
	char *json;
	int64_t made_ms, asked_ms;
};

/* A scheduler that was asked; kept from round to round. */
struct link {
	struct rpc_channel *channel;
	int64_t peace_until_ms;
	char why[256];
	bool seen; /* in this round */
};

struct live {
	struct db *db;
	struct lock lock;
	struct cond cond;
	struct topic topics[LIVE_TOPICS];
	bool stops;
	pthread_t thread;
	/* the thread's */
	struct map *links; /* by target */
};

static void link_free(struct link *k)
{
	rpc_channel_free(k->channel);
	free(k);
}

/* ---- asking */

static struct link *link_of(struct live *l, const char *target)
{
	struct link *k = map_get(l->links, target);

	if (!k) {
		k = mem_new(struct link);
		k->channel = links_scheduler(target);
		map_put(l->links, target, k);
	}
	k->seen = true;
	return k;
}

/* Links to schedulers that are no more. */
static void drop_links(struct live *l)
{
	const char *target;
	void *value;
	size_t at = 0;

	while (map_next(l->links, &at, &target, &value)) {
		struct link *k = value;

		if (!k->seen) {
			map_remove(l->links, target);
			link_free(k);
			continue;
		}
		k->seen = false;
	}
}

static Skimmer__V1__StatSwarmResponse *ask(struct link *k, const bool *wanted, int64_t until_ms)
{
	Skimmer__V1__StatSwarmRequest rq = SKIMMER__V1__STAT_SWARM_REQUEST__INIT;
	int64_t now = clock_ms(), left = until_ms - now;
	ProtobufCMessage *m = NULL;
	struct err e = {0};

	if (now < k->peace_until_ms)
		return NULL;
	rq.hosts_max = wanted[LIVE_TOPOLOGY] ? LIVE_HOSTS_MAX : 0;
	rq.flows_max = wanted[LIVE_TOPOLOGY] ? LIVE_FLOWS_MAX : 0;
	rq.tasks_max = wanted[LIVE_TASKS] ? LIVE_TASKS_MAX : 0;
	if (rpc_unary(k->channel, SWARM "StatSwarm", &rq.base,
		      &skimmer__v1__stat_swarm_response__descriptor,
		      left < ANSWER_MS ? left : ANSWER_MS, &m, NULL, &e) == 0)
		return (Skimmer__V1__StatSwarmResponse *)m;
	/* Dragonfly's schedulers do not know the question. */
	snprintf(k->why, sizeof(k->why), "%s",
		 e.code == ENOSYS ? "not a Skimmer scheduler" : e.text);
	k->peace_until_ms = now + PEACE_MS;
	return NULL;
}

struct round {
	struct member *members;
	size_t count;
	struct live_answer answers[SCHEDULERS_MAX];
	char *names[SCHEDULERS_MAX];
	size_t answer_count;
};

static void round_release(struct round *r)
{
	for (size_t i = 0; i < r->answer_count; i++) {
		if (r->answers[i].m)
			protobuf_c_message_free_unpacked(&r->answers[i].m->base, NULL);
		free(r->names[i]);
	}
	member_list_free(r->members, r->count);
}

static int ask_all(struct live *l, const bool *wanted, struct round *r, struct err *e)
{
	int64_t until = clock_ms() + ROUND_MS;
	int failed = member_list(l->db, MEMBER_SCHEDULER, 0, true, &r->members, &r->count, e);

	if (failed)
		return failed;
	for (size_t i = 0; i < r->count && i < SCHEDULERS_MAX; i++) {
		const struct member *m = &r->members[i];
		struct live_answer *a = &r->answers[r->answer_count];
		struct link *k;
		char target[300];

		net_join(m->ip, m->port, target, sizeof(target));
		k = link_of(l, target);
		r->names[r->answer_count++] = mem_printf("%s (%s)", m->hostname, target);
		*a = (struct live_answer){.cluster = (int64_t)m->cluster_id,
					  .scheduler = r->names[i],
					  .why = k->why,
					  .m = ask(k, wanted, until)};
	}
	drop_links(l);
	return 0;
}

/* ---- telling */

static int view(struct live *l, enum live_topic topic, const struct round *r, json_t **out,
		struct err *e)
{
	if (topic == LIVE_OVERVIEW)
		return live_view_overview(l->db, r->answers, r->answer_count, out, e);
	*out = topic == LIVE_TOPOLOGY ? live_view_topology(r->answers, r->answer_count)
				      : live_view_tasks(r->answers, r->answer_count);
	return 0;
}

static int tell(struct live *l, enum live_topic topic, const struct round *r, struct err *e)
{
	json_t *json cleanup(json_decref_at) = NULL;
	char *text;

	if (view(l, topic, r, &json, e) < 0)
		return -e->code;
	text = json_print(json);
	web_feed_push(l->topics[topic].feed, text);
	lock_take(&l->lock);
	free(l->topics[topic].json);
	l->topics[topic].json = text;
	l->topics[topic].made_ms = clock_ms();
	cond_wake_all(&l->cond);
	lock_drop(&l->lock);
	return 0;
}

static void go_round(struct live *l, const bool *wanted)
{
	struct round r cleanup(round_release) = {0};
	struct err e = {0};
	int failed = ask_all(l, wanted, &r, &e);

	for (enum live_topic t = 0; t < LIVE_TOPICS && !failed; t++)
		if (wanted[t])
			failed = tell(l, t, &r, &e);
	if (failed)
		log_warn("live data cannot be had", "why=\"%s\"", e.text);
}

/* Under the lock. */
static bool is_wanted(struct live *l, bool *wanted)
{
	int64_t now = clock_ms();
	bool any = false;

	for (enum live_topic t = 0; t < LIVE_TOPICS; t++) {
		const struct topic *topic = &l->topics[t];

		wanted[t] = (topic->asked_ms && now - topic->asked_ms < LINGER_MS) ||
			    web_feed_followers(topic->feed) > 0;
		any |= wanted[t];
	}
	return any;
}

static void *poll_main(void *arg)
{
	struct live *l = arg;
	bool wanted[LIVE_TOPICS];

	lock_take(&l->lock);
	while (!l->stops) {
		int64_t next;

		if (!is_wanted(l, wanted)) {
			cond_wait(&l->cond, &l->lock);
			continue;
		}
		next = clock_ms() + POLL_MS;
		lock_drop(&l->lock);
		go_round(l, wanted);
		lock_take(&l->lock);
		while (!l->stops && clock_ms() < next)
			cond_wait_until(&l->cond, &l->lock, next);
	}
	lock_drop(&l->lock);
	return NULL;
}

/* ---- for others */

struct live *live_new(struct db *db)
{
	struct live *l = mem_new(struct live);

	l->db = db;
	lock_init(&l->lock, RANK_LIVE);
	cond_init(&l->cond);
	l->links = map_new();
	for (enum live_topic t = 0; t < LIVE_TOPICS; t++)
		l->topics[t].feed = web_feed_new();
	thread_start(&l->thread, "live", poll_main, l);
	return l;
}

void live_stop(struct live *l)
{
	lock_take(&l->lock);
	l->stops = true;
	cond_wake_all(&l->cond);
	lock_drop(&l->lock);
	pthread_join(l->thread, NULL);
}

void live_free(struct live *l)
{
	const char *target;
	void *value;
	size_t at = 0;

	if (!l)
		return;
	while (map_next(l->links, &at, &target, &value))
		link_free(value);
	map_free(l->links);
	for (enum live_topic t = 0; t < LIVE_TOPICS; t++) {
		web_feed_free(l->topics[t].feed);
		free(l->topics[t].json);
	}
	cond_release(&l->cond);
	lock_release(&l->lock);
	free(l);
}

struct web_feed *live_feed(struct live *l, enum live_topic topic)
{
	return l->topics[topic].feed;
}

void live_wake(struct live *l, enum live_topic topic)
{
	lock_guard(&l->lock);
	l->topics[topic].asked_ms = clock_ms();
	cond_wake_all(&l->cond);
}

int live_now(struct live *l, enum live_topic topic, char **json_out, struct err *e)
{
	struct topic *t = &l->topics[topic];
	int64_t until = clock_ms() + WAIT_MS;

	lock_guard(&l->lock);
	t->asked_ms = clock_ms();
	cond_wake_all(&l->cond);
	while (!t->json || clock_ms() - t->made_ms > FRESH_MS) {
		if (l->stops || clock_ms() >= until)
			return err_set(e, ETIMEDOUT, "nothing is known of the clusters yet");
		cond_wait_until(&l->cond, &l->lock, until);
	}
	*json_out = mem_strdup(t->json);
	return 0;
}

/* ---- one task */

/* NULL: the scheduler does not know it, or does not answer. */
static json_t *ask_task(const struct member *m, const char *id)
{
	Skimmer__V1__StatPiecesRequest rq = SKIMMER__V1__STAT_PIECES_REQUEST__INIT;
	struct rpc_channel *ch;
	ProtobufCMessage *answer = NULL;
	json_t *view = NULL;
	char target[300];

	net_join(m->ip, m->port, target, sizeof(target));
	ch = links_scheduler(target);
	rq.task_id = (char *)id;
	rq.peers_max = LIVE_PEERS_MAX;
	if (rpc_unary(ch, SWARM "StatPieces", &rq.base,
		      &skimmer__v1__stat_pieces_response__descriptor, ANSWER_MS, &answer, NULL,
		      NULL) == 0) {
		view = live_view_task((int64_t)m->cluster_id, (const void *)answer);
		protobuf_c_message_free_unpacked(answer, NULL);
	}
	rpc_channel_free(ch);
	return view;
}

int live_task(struct live *l, const char *id, json_t **out, struct err *e)
{
	struct member *members = NULL;
	int64_t until = clock_ms() + ROUND_MS;
	size_t count = 0;
	int r = member_list(l->db, MEMBER_SCHEDULER, 0, true, &members, &count, e);

	*out = NULL;
	for (size_t i = 0; r == 0 && !*out && i < count && clock_ms() < until; i++)
		*out = ask_task(&members[i], id);
	member_list_free(members, count);
	if (r < 0)
		return r;
	return *out ? 0 : err_set(e, ENOENT, "no scheduler knows this task");
}
