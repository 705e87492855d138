/* The two rings. An attempt that leaves the ring while it is open lives on until its end. */
#include "daemon/history.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"

#include <string.h>

#define RANK_HISTORY 94
#define ATTEMPTS_MAX 128
#define REQUESTS_MAX 256
#define GIVERS_MAX   32
#define LIMIT	     16
#define TEXT_MAX     512 /* bytes kept of a URL */

struct giver {
	char host_id[256], ip[64];
	bool seed, offered;
	uint64_t bytes, tx_max;
	uint32_t pieces, failures, corrupt;
	struct piece_times times;
	int64_t slowest, lost;
	char last_failure[160];
};

struct attempt {
	struct history *h;
	unsigned refs; /* the ring's and the owner's */
	char id[STORE_ID_LEN + 1];
	char *url, *digest;
	int64_t began_wall_ms, began_us, ended_us; /* ended 0 = active */
	struct geometry geometry;
	uint32_t here;
	bool is_done, to_origin, disk_full, over;
	char failure[232], why[160], scheduler[80];
	int64_t scheduled_us, first_us, idle_us, idle_since_us, verify_us;
	unsigned reschedules, busy;
	struct giver *givers;
	unsigned giver_count;
};

struct request {
	int64_t at_ms;
	char *method, *url, *way, *rule, *task_id, *why;
	int status;
	uint64_t bytes;
	int64_t total_ms;
};

struct history {
	unsigned attempts_max, requests_max; /* constant */
	struct lock lock;		     /* for all below */
	struct attempt **attempts;	     /* rings; NULL = free */
	struct request *requests;
	uint64_t attempt_count, request_count; /* ever */
};

struct history *history_new(unsigned attempts_max, unsigned requests_max)
{
	struct history *h = mem_new(struct history);

	h->attempts_max = attempts_max ? attempts_max : ATTEMPTS_MAX;
	h->requests_max = requests_max ? requests_max : REQUESTS_MAX;
	h->attempts = mem_array(h->attempts_max, sizeof(*h->attempts));
	h->requests = mem_array(h->requests_max, sizeof(*h->requests));
	lock_init(&h->lock, RANK_HISTORY);
	return h;
}

static void attempt_unref(struct attempt *a)
{
	if (!a || --a->refs > 0)
		return;
	free(a->url);
	free(a->digest);
	free(a->givers);
	free(a);
}

static void request_clear(struct request *r)
{
	free(r->method);
	free(r->url);
	free(r->way);
	free(r->rule);
	free(r->task_id);
	free(r->why);
}

void history_free(struct history *h)
{
	if (!h)
		return;
	for (unsigned i = 0; i < h->attempts_max; i++)
		attempt_unref(h->attempts[i]);
	for (unsigned i = 0; i < h->requests_max; i++)
		request_clear(&h->requests[i]);
	free(h->attempts);
	free(h->requests);
	lock_release(&h->lock);
	free(h);
}

/* Without query and fragment, which may be credentials. */
static char *plain_url(const char *url)
{
	size_t len = url ? strcspn(url, "?#") : 0;

	return mem_strndup(url ? url : "", len < TEXT_MAX ? len : TEXT_MAX);
}

/* ---- downloads */

struct attempt *attempt_begin(struct history *h, const struct store_meta *m, uint32_t here,
			      unsigned busy)
{
	struct attempt *a, **place;

	if (!h)
		return NULL;
	a = mem_new(struct attempt);
	*a = (struct attempt){.h = h,
			      .refs = 2,
			      .url = plain_url(m->url),
			      .digest = mem_strdup(m->digest ? m->digest : ""),
			      .began_wall_ms = clock_wall_ms(),
			      .began_us = clock_us(),
			      .geometry = m->geometry,
			      .here = here,
			      .busy = busy};
	memcpy(a->id, m->id, sizeof(a->id));
	lock_guard(&h->lock);
	place = &h->attempts[h->attempt_count++ % h->attempts_max];
	attempt_unref(*place);
	*place = a;
	return a;
}

void attempt_scheduled(struct attempt *a, const char *addr)
{
	if (!a)
		return;
	lock_guard(&a->h->lock);
	snprintf(a->scheduler, sizeof(a->scheduler), "%s", addr);
	if (a->scheduled_us)
		return;
	a->scheduled_us = clock_us() - a->began_us;
	if (a->busy == 0)
		a->idle_since_us = clock_us();
}

/* With the lock; NULL: there are too many. from NULL: the origin. */
static struct giver *giver_of(struct attempt *a, const struct parent_info *from)
{
	const char *host_id = from ? from->host_id : "";
	struct giver *g;

	for (unsigned i = 0; i < a->giver_count; i++)
		if (strcmp(a->givers[i].host_id, host_id) == 0)
			return &a->givers[i];
	if (a->giver_count == GIVERS_MAX)
		return NULL;
	a->givers = mem_realloc(a->givers, (a->giver_count + 1) * sizeof(*a->givers));
	g = &a->givers[a->giver_count++];
	*g = (struct giver){.seed = from && from->is_seed};
	snprintf(g->host_id, sizeof(g->host_id), "%s", host_id);
	snprintf(g->ip, sizeof(g->ip), "%s", from ? from->ip : "");
	return g;
}

void attempt_offered(struct attempt *a, const struct parent_info *parents, size_t count)
{
	if (!a)
		return;
	lock_guard(&a->h->lock);
	for (size_t i = 0; i < count; i++) {
		struct giver *g = giver_of(a, &parents[i]);

		if (g)
			g->offered = true;
	}
}

void attempt_rescheduled(struct attempt *a)
{
	if (!a)
		return;
	lock_guard(&a->h->lock);
	a->reschedules++;
}

void attempt_to_origin(struct attempt *a, const char *why)
{
	if (!a)
		return;
	lock_guard(&a->h->lock);
	/* The first reason is the cause. */
	if (!a->to_origin)
		snprintf(a->why, sizeof(a->why), "%s", why);
	a->to_origin = true;
	if (a->busy == 0 && !a->idle_since_us)
		a->idle_since_us = clock_us();
}

void attempt_busy(struct attempt *a, int change)
{
	int64_t now = clock_us();

	if (!a)
		return;
	lock_guard(&a->h->lock);
	if (a->busy == 0 && change > 0 && a->idle_since_us) {
		a->idle_us += now - a->idle_since_us;
		a->idle_since_us = 0;
	}
	a->busy += (unsigned)change;
	if (a->busy == 0 && !a->ended_us)
		a->idle_since_us = now;
}

void attempt_piece(struct attempt *a, const struct parent_info *from, uint64_t tx_max,
		   uint32_t length, const struct piece_times *t)
{
	int64_t all = t->wait + t->transfer + t->verify;
	struct giver *g;

	if (!a)
		return;
	lock_guard(&a->h->lock);
	if (!a->first_us)
		a->first_us = clock_us() - a->began_us;
	g = giver_of(a, from);
	if (!g)
		return;
	g->bytes += length;
	g->pieces++;
	g->times.wait += t->wait;
	g->times.transfer += t->transfer;
	g->times.write += t->write;
	g->times.held += t->held;
	g->times.verify += t->verify;
	g->slowest = all > g->slowest ? all : g->slowest;
	g->tx_max = tx_max;
}

void attempt_lost(struct attempt *a, const struct parent_info *from, bool corrupt, int64_t us,
		  const char *why)
{
	struct giver *g;

	if (!a)
		return;
	lock_guard(&a->h->lock);
	g = giver_of(a, from);
	if (!g)
		return;
	g->failures++;
	g->corrupt += corrupt;
	g->lost += us;
	snprintf(g->last_failure, sizeof(g->last_failure), "%s", why);
}

void attempt_probed(struct attempt *a, int64_t us)
{
	struct giver *g;

	if (!a)
		return;
	lock_guard(&a->h->lock);
	g = giver_of(a, NULL);
	if (g)
		g->times.wait += us;
}

void attempt_disk_full(struct attempt *a)
{
	if (!a)
		return;
	lock_guard(&a->h->lock);
	a->disk_full = true;
}

void attempt_verified(struct attempt *a, int64_t us)
{
	if (!a)
		return;
	lock_guard(&a->h->lock);
	a->verify_us += us;
}

/* With the lock. */
static void stop_clock(struct attempt *a)
{
	if (a->ended_us)
		return;
	a->ended_us = clock_us();
	if (a->busy == 0 && a->idle_since_us)
		a->idle_us += a->ended_us - a->idle_since_us;
	a->idle_since_us = 0;
}

void attempt_done(struct attempt *a)
{
	if (!a)
		return;
	lock_guard(&a->h->lock);
	a->is_done = true;
	stop_clock(a);
}

void attempt_end(struct attempt **at, const char *failure)
{
	struct attempt *a = take_ptr(at);

	if (!a)
		return;
	lock_guard(&a->h->lock);
	stop_clock(a);
	a->over = true;
	if (failure && !a->is_done)
		snprintf(a->failure, sizeof(a->failure), "%s", failure);
	attempt_unref(a);
}

/* ---- requests */

void history_request(struct history *h, const struct history_request *rq)
{
	struct request r = {.at_ms = clock_wall_ms(),
			    .status = rq->status,
			    .bytes = rq->bytes,
			    .total_ms = rq->total_ms};
	struct request *place;

	if (!h)
		return;
	r.method = mem_strdup(rq->method ? rq->method : "");
	r.url = plain_url(rq->url);
	r.way = mem_strdup(rq->way ? rq->way : "");
	r.rule = mem_strdup(rq->rule ? rq->rule : "");
	r.task_id = mem_strdup(rq->task_id ? rq->task_id : "");
	r.why = mem_strdup(rq->why ? rq->why : "");
	lock_guard(&h->lock);
	place = &h->requests[h->request_count++ % h->requests_max];
	request_clear(place);
	*place = r;
}

/* ---- answers; with the lock */

static uint64_t natural(int64_t n)
{
	return n > 0 ? (uint64_t)n : 0;
}

static Skimmer__V1__Giver *print_giver(const struct giver *g)
{
	Skimmer__V1__Giver *m = mem_alloc(sizeof(*m));

	skimmer__v1__giver__init(m);
	m->host_id = mem_strdup(g->host_id);
	m->ip = mem_strdup(g->ip);
	m->seed = g->seed;
	m->offered = g->offered;
	m->bytes = g->bytes;
	m->pieces = g->pieces;
	m->wait_us = natural(g->times.wait);
	m->transfer_us = natural(g->times.transfer);
	m->write_us = natural(g->times.write);
	m->held_us = natural(g->times.held);
	m->verify_us = natural(g->times.verify);
	m->slowest_us = natural(g->slowest);
	m->failures = g->failures;
	m->corrupt = g->corrupt;
	m->lost_us = natural(g->lost);
	m->last_failure = mem_strdup(g->last_failure);
	m->tx_max = g->tx_max;
	return m;
}

static void print_times(const struct attempt *a, Skimmer__V1__Attempt *m)
{
	int64_t now = clock_us(), idle = a->idle_us;

	if (!a->ended_us && a->busy == 0 && a->idle_since_us)
		idle += now - a->idle_since_us;
	m->began_ms = a->began_wall_ms;
	m->total_us = natural((a->ended_us ? a->ended_us : now) - a->began_us);
	m->scheduled_us = natural(a->scheduled_us);
	m->first_us = natural(a->first_us);
	m->idle_us = natural(idle);
	m->verify_us = natural(a->verify_us);
}

static Skimmer__V1__Attempt *print_attempt(const struct attempt *a)
{
	Skimmer__V1__Attempt *m = mem_alloc(sizeof(*m));

	skimmer__v1__attempt__init(m);
	print_times(a, m);
	m->task_id = mem_strdup(a->id);
	m->url = mem_strdup(a->url);
	m->digest = mem_strdup(a->digest);
	m->length = a->geometry.content_length;
	m->piece_length = a->geometry.piece_length;
	m->piece_count = a->geometry.piece_count;
	m->here = a->here;
	m->active = !a->ended_us;
	m->outcome = mem_strdup(a->is_done	? "done"
				: !a->over	? ""
				: a->failure[0] ? "failed"
						: "left");
	m->failure = mem_strdup(a->failure);
	m->scheduler = mem_strdup(a->scheduler);
	m->reschedules = a->reschedules;
	m->to_origin = a->to_origin;
	m->to_origin_why = mem_strdup(a->why);
	m->disk_full = a->disk_full;
	m->givers = mem_array(a->giver_count, sizeof(*m->givers));
	for (unsigned i = 0; i < a->giver_count; i++)
		m->givers[m->n_givers++] = print_giver(&a->givers[i]);
	return m;
}

static Skimmer__V1__Request *print_request(const struct request *r)
{
	Skimmer__V1__Request *m = mem_alloc(sizeof(*m));

	skimmer__v1__request__init(m);
	m->at_ms = r->at_ms;
	m->method = mem_strdup(r->method);
	m->url = mem_strdup(r->url);
	m->way = mem_strdup(r->way);
	m->rule = mem_strdup(r->rule);
	m->task_id = mem_strdup(r->task_id);
	m->status = (uint32_t)r->status;
	m->bytes = r->bytes;
	m->total_us = natural(r->total_ms) * 1000;
	m->why = mem_strdup(r->why);
	return m;
}

/* what: as ExplainRequest has it, without query. */
static bool fits(const char *what, const char *id, const char *digest, const char *url)
{
	const char *hex = strncmp(what, "sha256:", 7) == 0 ? what + 7 : NULL;

	if (!*what || strcmp(what, id) == 0 || strcmp(what, url) == 0)
		return true;
	/* A blob's URL ends with its digest. */
	return hex && (strcmp(what, digest) == 0 || strcmp(hex, id) == 0 || strstr(url, what));
}

void history_find(struct history *h, const Skimmer__V1__ExplainRequest *rq,
		  Skimmer__V1__ExplainResponse *r)
{
	char *what cleanup(free_at) = plain_url(rq->what);
	size_t limit = rq->limit ? rq->limit : LIMIT;

	r->attempts = mem_array(h->attempts_max, sizeof(*r->attempts));
	r->requests = mem_array(h->requests_max, sizeof(*r->requests));
	lock_guard(&h->lock);
	for (unsigned i = 1; i <= h->attempts_max && r->n_attempts < limit; i++) {
		const struct attempt *a = h->attempts[(h->attempt_count - i) % h->attempts_max];

		if (i <= h->attempt_count && a && fits(what, a->id, a->digest, a->url) &&
		    (!rq->active_only || !a->ended_us))
			r->attempts[r->n_attempts++] = print_attempt(a);
	}
	for (unsigned i = 1; i <= h->requests_max && r->n_requests < limit; i++) {
		const struct request *q = &h->requests[(h->request_count - i) % h->requests_max];

		if (i <= h->request_count && q->url && !rq->active_only &&
		    fits(what, q->task_id, "", q->url))
			r->requests[r->n_requests++] = print_request(q);
	}
}

void history_release(Skimmer__V1__ExplainResponse *r)
{
	for (size_t i = 0; i < r->n_attempts; i++)
		skimmer__v1__attempt__free_unpacked(r->attempts[i], NULL);
	for (size_t i = 0; i < r->n_requests; i++)
		skimmer__v1__request__free_unpacked(r->requests[i], NULL);
	free(r->attempts);
	free(r->requests);
	r->n_attempts = r->n_requests = 0;
}
