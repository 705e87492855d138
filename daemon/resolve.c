/*
 * Finding out what a task is. The cluster is asked before the origin: the second node never touches
 * the registry for a blob that the cluster knows. What the cluster says counts only if its number
 * of pieces agrees with ours.
 */
#include "daemon/resolve.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/measure.h"
#include "daemon/origin.h"
#include "daemon/scheduler_client.h"
#include "daemon/tasks_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define PIECES_MAX	(4u << 20)
#define STAT_TIMEOUT_MS 30000

static int geometry_of(const struct request *rq, uint64_t len, struct geometry *out, struct err *e)
{
	uint32_t piece_length = rq->piece_length ? rq->piece_length : geometry_piece_length(len);

	if (!geometry_init(out, len, piece_length) || out->piece_count > PIECES_MAX)
		return err_set(e, EFBIG, "%" PRIu64 " bytes in pieces of %u", len, piece_length);
	return 0;
}

/* The digest that the task is known by. One that is not its id is an asker's word, and the asker's
 * to compare: kept with the task it would fail the next one too. */
static char *digest_of_id(const struct request *rq)
{
	const char *hex;

	if (rq->digest && digest_is_sha256(rq->digest, &hex) && strcmp(hex, rq->id) == 0)
		return rq->digest;
	return NULL;
}

int resolve_create(struct tasks *ts, const struct request *rq, uint64_t len, const char *headers,
		   struct store_task **out, struct err *e)
{
	struct store_meta m = {.url = rq->origin,
			       .digest = digest_of_id(rq),
			       .tag = rq->tag,
			       .application = rq->application,
			       .headers = (char *)headers,
			       .created_ms = clock_wall_ms(),
			       .accessed_ms = clock_wall_ms()};
	int r = geometry_of(rq, len, &m.geometry, e);

	if (r < 0)
		return r;
	memcpy(m.id, rq->id, sizeof(m.id));
	r = store_create(ts->store, &m, out, e);
	if (r < 0 || len > 0 || store_task_is_verified(*out))
		return r;
	/* There is nothing to fetch of an empty file: it is here, or it is not what it should be.
	 */
	r = store_task_verify_whole(*out, e);
	if (r < 0) {
		store_task_remove(*out);
		store_task_unref(*out);
	}
	return r;
}

int resolve_local(struct tasks *ts, const struct request *rq, struct store_task **out,
		  struct err *e)
{
	return store_find(ts->store, rq->id, out, e);
}

/* ENOENT: the cluster does not know it. */
static int from_cluster(struct tasks *ts, const struct request *rq, struct store_task **out,
			struct err *e)
{
	struct geometry g;
	uint32_t count = 0;
	uint64_t len = 0;
	int r;

	if (!ts->scheduler)
		return err_set(e, ENOENT, "there is no scheduler");
	r = scheduler_client_stat_task(ts->scheduler, rq->id, &len, &count, e);
	if (r < 0)
		return err_set(e, ENOENT, "the scheduler does not know task %s", rq->id);
	/* Length 0 is also what it says while it does not know. */
	if (len == 0 || len > INT64_MAX || geometry_of(rq, len, &g, e) < 0 ||
	    g.piece_count != count)
		return err_set(e, ENOENT, "the scheduler knows task %s otherwise", rq->id);
	return resolve_create(ts, rq, len, NULL, out, e);
}

static int ask(struct tasks *ts, const struct request *rq, struct source *s,
	       struct store_task **out, struct err *e)
{
	cleanup(origin_info_release) struct origin_info info = {0};
	struct origin_request orq = {.url = s->url,
				     .headers = &s->headers,
				     .deadline_ms = clock_ms() + STAT_TIMEOUT_MS,
				     .cancelled = &ts->stopping};
	int r = origin_stat(ts->origin, &orq, &info, e);

	if (r < 0)
		return r;
	__atomic_store_n(&s->ranges, info.ranges ? 1 : -1, __ATOMIC_RELAXED);
	if (info.content_length < 0)
		return measure(ts, rq, s, info.headers, out, e);
	return resolve_create(ts, rq, (uint64_t)info.content_length, info.headers, out, e);
}

static int code_for_openers(int code)
{
	switch (code) {
	case EBUSY:
		return EHOSTUNREACH;
	case ELOOP:
		return EPROTO;
	default:
		return code;
	}
}

static int from_origin(struct tasks *ts, const struct request *rq, struct store_task **out,
		       struct err *e)
{
	struct source *sources[SOURCES_OF_DIGEST_MAX];
	struct err first = {0};
	size_t count = 0;
	const char *hex;
	int r = -ENOENT;

	if (rq->source)
		sources[count++] = source_ref(rq->source);
	else if (rq->digest && digest_is_sha256(rq->digest, &hex))
		count = sources_find(ts->sources, hex, sources);
	for (size_t i = 0; i < count; i++) {
		struct err one = {0};

		if (r < 0)
			r = ask(ts, rq, sources[i], out, &one);
		/* Refused or broken says more than "not here". */
		if (one.code && (first.code == 0 || first.code == ENOENT))
			first = one;
		source_unref(sources[i]);
	}
	if (r == 0)
		return 0;
	if (count == 0)
		return err_set(e, ENOENT, "no origin is known for task %s", rq->id);
	first.code = code_for_openers(first.code);
	return err_copy(e, &first);
}

/* One worker at a time looks for an id: the others then find what it made. */
static void making_begin(struct tasks *ts, const char *id)
{
	lock_guard(&ts->lock);
	while (map_get(ts->making, id))
		cond_wait(&ts->made, &ts->lock);
	map_put(ts->making, id, ts);
}

static void making_end(struct tasks *ts, const char *id)
{
	lock_guard(&ts->lock);
	map_remove(ts->making, id);
	cond_wake_all(&ts->made);
}

static int look_for(struct tasks *ts, const struct request *rq, struct store_task **out,
		    struct err *e)
{
	struct err cluster = {0};
	int r = from_cluster(ts, rq, out, &cluster);

	if (r == 0)
		return 0;
	if (r != -ENOENT)
		return err_copy(e, &cluster);
	if (rq->disable_back_to_source)
		return err_set(e, EHOSTUNREACH, "no peer has it and the origin is not allowed");
	return from_origin(ts, rq, out, e);
}

int resolve_remote(struct tasks *ts, const struct request *rq, struct store_task **out,
		   struct err *e)
{
	int r;

	making_begin(ts, rq->id);
	r = store_find(ts->store, rq->id, out, e);
	if (r == -ENOENT)
		r = look_for(ts, rq, out, e);
	making_end(ts, rq->id);
	return r;
}
