/*
 * What a worker does for a fetch: proves a piece, fetches one from a parent, a run from the origin,
 * or all of it in one stream, asks an origin what it is, verifies the whole. Chosen under the lock,
 * done without.
 */
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "daemon/fetch_private.h"
#include "daemon/origin.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#define RUN_PIECES_MAX	 4
#define RUN_BYTES_MAX	 (32u << 20)
#define RUN_CORE_RATE	 (400u << 10) /* bytes per ms: faster, and a core is busy, not the link */
#define RUN_CORES	 4
#define DISK_PAUSE_MS	 200
#define VERIFY_PAUSE_MS	 60000
#define WITNESS_PAUSE_MS 200 /* somebody who is asked may be waiting likewise */
#define PROBE_TIMEOUT_MS 30000

const size_t fetch_work_size = sizeof(struct work);

/* ---- choosing; with the lock */

/* What nobody waits for: a parent first, by idle bandwidth, then the rarest of what it has. One of
 * several gets no more than its share of the hands, or they would all end up with the slowest. */
static struct feeder *choose_rare(struct fetch *f, enum piece_rank least, struct piece_job *job)
{
	struct feeder *feeders[SWARM_FEEDERS_MAX];
	unsigned count = swarm_draw(f->swarm, feeders);
	unsigned share = count > 2 ? 1 + f->all->c.piece_workers / 4 : UINT_MAX;

	for (unsigned i = 0; i < count; i++) {
		struct piece_offer offer = swarm_offer(f->swarm, feeders[i]);

		if (feeders[i]->in_flight >= share)
			continue;
		if (count == 1 ? !piece_take(f->pieces, least, offer.have, job)
			       : !piece_take_rare(f->pieces, least, &offer, job))
			continue;
		swarm_take(feeders[i]);
		return feeders[i];
	}
	return NULL;
}

static bool choose_parent(struct fetch *f, enum piece_rank least, struct work *w)
{
	const uint64_t *have = swarm_have(f->swarm);
	struct feeder *feeder;

	if (!have)
		return false;
	if (piece_take_near(f->pieces, least, have, &w->job)) {
		feeder = swarm_choose(f->swarm, w->job.index);
		assert(feeder); /* somebody has what is in have */
	} else {
		feeder = choose_rare(f, least, &w->job);
	}
	if (!feeder)
		return false;
	w->kind = FROM_PARENT;
	flight_begin(f, w, feeder);
	return true;
}

/* A run that somebody waits for is short, so that readers of a stream get its pieces in order; the
 * others are shared out among the workers. */
static uint32_t run_length(struct fetch *f, const struct piece_job *job)
{
	uint32_t missing = f->meta->geometry.piece_count - pieces_ready_count(f->pieces);
	uint32_t share = missing / f->all->c.piece_workers;

	if (job->rank != PIECE_REST || share < 1)
		return 1;
	return share < RUN_PIECES_MAX ? share : RUN_PIECES_MAX;
}

/* Asks the origin what it can, or lets it send all in one stream. With the lock. */
static bool choose_probe_or_stream(struct fetch *f, enum piece_rank least, struct source *s,
				   struct work *w)
{
	struct pieces_need need;

	pieces_need(f->pieces, NULL, &need);
	if (!need.fetch || (least < PIECE_REST && !need.urgent))
		return false;
	w->job.rank = need.urgent ? PIECE_URGENT : PIECE_REST;
	if (s && __atomic_load_n(&s->ranges, __ATOMIC_RELAXED)) {
		f->streaming = true;
		w->kind = STREAM;
		w->source = source_ref(s);
	} else {
		f->probing = true;
		w->kind = PROBE;
	}
	return true;
}

static struct source *current_source(const struct fetch *f)
{
	return f->candidate < f->candidate_count ? f->candidates[f->candidate] : NULL;
}

static bool has_ranges(const struct source *s)
{
	return s && __atomic_load_n(&s->ranges, __ATOMIC_RELAXED) > 0;
}

/* The first run has the link to itself, so that the first bytes are here soon; each piece that came
 * lets one more run begin, but not more than bring something: of those that share a link the pieces
 * come at the same time, and later than they could, to us and to all who wait for them. */
static bool may_run(struct fetch *f)
{
	uint64_t came = f->from_origin - f->began_from_origin;
	int64_t now_ms = clock_ms();
	bool is_core_busy = came / RUN_CORE_RATE >= (uint64_t)(now_ms - f->began_ms);
	unsigned may;

	slots_sample(&f->slots, now_ms, __atomic_load_n(&f->origin_bytes, __ATOMIC_RELAXED),
		     f->runs + 1);
	may = f->slots.count;
	if (is_core_busy && may < RUN_CORES)
		may = RUN_CORES;
	return f->runs < may && f->runs <= came / f->meta->geometry.piece_length;
}

static bool choose_origin(struct fetch *f, enum piece_rank least, struct work *w)
{
	struct source *s = current_source(f);

	if (f->probing || f->streaming)
		return false;
	if (!has_ranges(s))
		return choose_probe_or_stream(f, least, s, w);
	if (!piece_take(f->pieces, may_run(f) ? least : PIECE_URGENT, NULL, &w->job))
		return false;
	f->runs++;
	w->count = 1 + piece_reserve(f->pieces, w->job.index, least, run_length(f, &w->job) - 1,
				     RUN_BYTES_MAX);
	w->kind = FROM_ORIGIN;
	w->source = source_ref(s);
	return true;
}

/* A reader waits for a piece that the parents may only get to much later (a seed goes from the
 * start to the end): that one comes from the origin. */
static bool choose_overdue(struct fetch *f, struct work *w)
{
	int64_t before_ms = clock_ms() - fetch_patience_ms(f);
	const uint64_t *have = swarm_have(f->swarm);
	struct source *s = current_source(f);
	struct pieces_need need;

	if (f->mode != PARENTS || f->options.disable_back_to_source || f->probing ||
	    f->origin_failed)
		return false;
	if (has_ranges(s)) {
		if (!piece_take_overdue(f->pieces, have, before_ms, &w->job))
			return false;
		f->runs++;
		w->count = 1;
		w->kind = FROM_ORIGIN;
		w->source = source_ref(s);
		return true;
	}
	pieces_need(f->pieces, have, &need);
	if (need.stuck_since_ms == 0 || need.stuck_since_ms > before_ms || s)
		return false;
	f->probing = true;
	w->job.rank = PIECE_URGENT;
	w->kind = PROBE;
	return true;
}

/* The prefix follows the pieces while they are in the page cache, so that little is left to do in
 * the end. */
static bool choose_hash(struct fetch *f, enum piece_rank least, struct work *w)
{
	if (!f->prefix || f->verified || f->verifying || f->hashing || least < PIECE_REST ||
	    !piece_is_ready(f->pieces, prefix_next(f->prefix)))
		return false;
	f->hashing = true;
	w->kind = HASH;
	w->job.rank = PIECE_REST;
	return true;
}

static bool choose_verify(struct fetch *f, enum piece_rank least, struct work *w)
{
	/* Not while somebody still has to tell of a piece that he published. */
	if (f->verified || f->verifying || f->verify_after_ms || f->transfers || f->hashing ||
	    least < PIECE_REST || pieces_ready_count(f->pieces) < f->meta->geometry.piece_count)
		return false;
	f->verifying = true;
	w->kind = VERIFY;
	w->job.rank = PIECE_REST;
	return true;
}

static bool choose_transfer(struct fetch *f, enum piece_rank least, struct work *w)
{
	if (piece_take_proof(f->pieces, least, &w->job))
		return true; /* PROVE */
	if (f->disk_after_ms || f->failing.code)
		return false;
	if ((f->mode == PARENTS || f->mode == ORIGIN) && choose_parent(f, least, w))
		return true;
	return choose_overdue(f, w) || (f->mode == ORIGIN && choose_origin(f, least, w)) ||
	       fetch_choose_second(f, least, w);
}

enum piece_rank fetch_choose(struct gang *g, enum piece_rank least, void *work)
{
	struct fetch *f = container_of(g, struct fetch, gang);
	struct work *w = work;
	bool found;

	*w = (struct work){0};
	lock_guard(&f->lock);
	if (__atomic_load_n(&f->cancelled, __ATOMIC_RELAXED))
		return PIECE_NONE;
	w->attempt = f->attempt;
	found = choose_transfer(f, PIECE_URGENT, w) || choose_hash(f, least, w) ||
		choose_transfer(f, least, w) || choose_verify(f, least, w);
	if (found && w->kind < HASH) {
		f->transfers++;
		attempt_busy(f->record, 1);
	}
	return found ? w->job.rank : PIECE_NONE;
}

/* ---- what becomes of pieces */

static void count_giver(struct fetch *f, const struct feeder *feeder)
{
	for (unsigned i = 0; i < f->giver_count; i++)
		if (strcmp(f->givers[i].host_id, feeder->info.host_id) == 0) {
			f->givers[i].pieces++;
			return;
		}
	if (f->giver_count == GIVERS_MAX)
		return;
	struct giver *one = &f->givers[f->giver_count++];
	memcpy(one->host_id, feeder->info.host_id, sizeof(one->host_id));
	memcpy(one->witness.ip, feeder->info.ip, sizeof(one->witness.ip));
	one->witness.port = feeder->info.port;
	one->pieces = 1;
}

static void arrived(void *arg, uint32_t index, const struct store_piece *piece,
		    const struct piece_times *times)
{
	struct delivery *d = arg;
	struct fetch *f = d->f;
	struct fetch_tally *tally = &f->all->tally;

	__atomic_add_fetch(d->feeder ? &tally->from_peers : &tally->from_origin, piece->length,
			   __ATOMIC_RELAXED);
	__atomic_add_fetch(&tally->pieces_fetched, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&f->progress_ms, clock_ms(), __ATOMIC_RELAXED);
	lock_take(&f->lock);
	f->disk_full = false;
	attempt_piece(f->record, d->feeder ? &d->feeder->info : NULL,
		      d->feeder ? d->feeder->tx_max : 0, piece->length, times);
	if (d->feeder) {
		f->from_peers += piece->length;
		count_giver(f, d->feeder);
	} else {
		f->from_origin += piece->length;
	}
	if (f->talk)
		talk_piece_finished(f->talk, index, geometry_offset(&f->meta->geometry, index),
				    piece, d->feeder ? d->feeder->info.peer_id : NULL);
	lock_drop(&f->lock);
	f->ops->ready(f->arg, index);
	if (!d->feeder)
		fetch_kick(f, false); /* another run may begin */
}

static void coming(void *arg, uint32_t index, bool comes)
{
	const struct delivery *d = arg;

	d->f->ops->coming(d->f->arg, index, comes);
}

/* Readers get their bytes, but there is no room for what nobody waits for. */
static void went_volatile(void *arg)
{
	struct delivery *d = arg;
	struct fetch *f = d->f;
	struct err e = {0};
	bool first;

	lock_take(&f->lock);
	first = !f->disk_full;
	f->disk_full = true;
	attempt_disk_full(f->record);
	lock_drop(&f->lock);
	pieces_want_none(f->pieces);
	if (!first)
		return;
	err_set(&e, ENOSPC, "the store is full, pieces go to readers only");
	f->ops->failed(f->arg, &e);
}

struct transfer fetch_transfer(struct fetch *f, struct delivery *d)
{
	struct transfer t = f->transfer;

	t.arrived = arrived;
	t.coming = coming;
	t.went_volatile = went_volatile;
	t.arg = d;
	if (d->flight) {
		t.meter = &d->flight->meter;
		t.cancelled = &d->flight->cancelled;
	}
	return t;
}

static void count_failure(struct fetch *f, enum transfer_fault fault)
{
	__atomic_add_fetch(&f->all->tally.pieces_failed, 1, __ATOMIC_RELAXED);
	if (fault == TRANSFER_CORRUPT)
		__atomic_add_fetch(&f->all->tally.digest_failures, 1, __ATOMIC_RELAXED);
}

void fetch_store_failed(struct fetch *f, const struct err *e)
{
	lock_take(&f->lock);
	if (e->code == EBUSY)
		f->disk_after_ms = clock_ms() + DISK_PAUSE_MS;
	else
		fetch_fail(f, e);
	lock_drop(&f->lock);
	if (e->code == EBUSY)
		pieces_drop_volatile(f->pieces, DISK_PAUSE_MS);
}

/* ---- doing */

static void prove(struct fetch *f, const struct work *w)
{
	struct err e = {0};

	if (store_piece_prove(f->st, w->job.index, &e) == 0) {
		piece_publish(f->pieces, w->job.index, -1);
		f->ops->ready(f->arg, w->job.index);
		return;
	}
	log_warn("piece on disk is not what it was", "task=%s piece=%u why=\"%s\"", f->meta->id,
		 w->job.index, e.text);
	__atomic_add_fetch(&f->all->tally.digest_failures, 1, __ATOMIC_RELAXED);
	piece_give_back(f->pieces, w->job.index);
}

void fetch_parent_failed(struct fetch *f, struct feeder *feeder, uint32_t index,
			 enum transfer_fault fault, int64_t lost_us, const struct err *e)
{
	bool dropped = false;

	count_failure(f, fault);
	lock_take(&f->lock);
	attempt_lost(f->record, &feeder->info, fault == TRANSFER_CORRUPT, lost_us, e->text);
	if (fault == TRANSFER_LOST)
		dropped = swarm_lost(f->swarm, feeder, index);
	else if (fault == TRANSFER_LACKS)
		swarm_missed(f->swarm, feeder, index);
	else
		dropped = swarm_drop(f->swarm, feeder, fault == TRANSFER_CORRUPT);
	if (f->talk && fault != TRANSFER_LOST)
		talk_piece_failed(f->talk, index, feeder->info.peer_id);
	lock_drop(&f->lock);
	if (dropped)
		log_warn("parent dropped", "task=%s piece=%u host=%s why=\"%s\"", f->meta->id,
			 index, feeder->info.host_id, e->text);
}

static void from_parent(struct fetch *f, struct work *w)
{
	struct delivery d = {f, w->flight.feeder, &w->flight};
	struct transfer t = fetch_transfer(f, &d);
	struct err e = {0};
	bool urgent = w->job.rank == PIECE_URGENT;
	struct span span = {0};
	int64_t since_us = clock_us();
	enum transfer_fault fault;

	t.beaten = flight_settle;
	t.by_blocks = w->by_blocks;
	fetch_trace_transfer(f, &t, "download_from_parent", &span);
	span_number(&span, "d7y.piece", w->job.index);
	span_text(&span, "d7y.parent.host", w->flight.feeder->info.host_id);
	span_text(&span, "net.peer.name", w->flight.feeder->info.ip);
	fault = transfer_from_parent(&t, &w->addr, w->job.index, urgent, &e);
	fetch_trace_transferred(&span, fault, &e);
	if (fault == TRANSFER_BEATEN)
		fetch_beaten(f, &w->flight);
	else if (fault == TRANSFER_STORE)
		fetch_store_failed(f, &e);
	else if (fault != TRANSFER_NO_FAULT && fault != TRANSFER_CANCELLED)
		fetch_parent_failed(f, w->flight.feeder, w->job.index, fault, clock_us() - since_us,
				    &e);
	lock_guard(&f->lock);
	if (fault == TRANSFER_NO_FAULT)
		swarm_delivered(w->flight.feeder, clock_ms() - w->flight.began_ms);
	flight_end(f, &w->flight);
}

/* With the lock. Parents may still bring what is missing. */
static void no_candidate_left(struct fetch *f, const struct err *e)
{
	f->origin_failed = true;
	if (f->mode == ORIGIN)
		fetch_fail(f, e);
}

/* The next candidate is tried; with none left the attempt fails. */
static void source_failed(struct fetch *f, unsigned attempt, const struct source *s,
			  const struct err *e)
{
	struct err told = *e;

	count_failure(f, TRANSFER_SENDER);
	if (told.code == EHOSTUNREACH)
		told.code = EIO;
	lock_guard(&f->lock);
	attempt_lost(f->record, NULL, false, 0, told.text);
	if (f->attempt != attempt || f->candidate >= f->candidate_count ||
	    f->candidates[f->candidate] != s)
		return;
	if (++f->candidate == f->candidate_count)
		no_candidate_left(f, &told);
}

static void after_origin(struct fetch *f, struct work *w, enum transfer_fault fault,
			 const struct err *e)
{
	if (fault == TRANSFER_STORE)
		fetch_store_failed(f, e);
	else if (fault == TRANSFER_SENDER)
		source_failed(f, w->attempt, w->source, e);
	source_unref(w->source);
}

static void from_origin(struct fetch *f, struct work *w)
{
	struct delivery d = {f, NULL, NULL};
	struct transfer t = fetch_transfer(f, &d);
	struct err e = {0};
	struct span span = {0};
	enum transfer_fault fault;

	fetch_trace_transfer(f, &t, "download_from_source", &span);
	span_number(&span, "d7y.piece", w->job.index);
	span_number(&span, "d7y.piece.count", w->count);
	fault = transfer_from_origin(&t, w->source, w->job.index, w->count, &e);
	fetch_trace_transferred(&span, fault, &e);
	lock_take(&f->lock);
	f->runs--;
	lock_drop(&f->lock);
	after_origin(f, w, fault, &e);
}

static void stream(struct fetch *f, struct work *w)
{
	struct delivery d = {f, NULL, NULL};
	struct transfer t = fetch_transfer(f, &d);
	struct err e = {0};
	struct span span = {0};
	enum transfer_fault fault;

	fetch_trace_transfer(f, &t, "download_from_source", &span);
	fault = transfer_stream(&t, w->source, &e);
	fetch_trace_transferred(&span, fault, &e);
	lock_take(&f->lock);
	f->streaming = false;
	lock_drop(&f->lock);
	after_origin(f, w, fault, &e);
}

/* Asks one candidate. */
static int ask_source(struct fetch *f, struct source *s, struct err *e)
{
	cleanup(origin_info_release) struct origin_info info = {0};
	uint64_t want = f->meta->geometry.content_length;
	struct origin_request rq = {.url = s->url,
				    .headers = &s->headers,
				    .deadline_ms = clock_ms() + PROBE_TIMEOUT_MS,
				    .cancelled = &f->cancelled,
				    .same_as = f->transfer.same_as};
	int r = origin_stat(f->all->c.origin, &rq, &info, e);

	if (r == 0 && info.content_length >= 0 && (uint64_t)info.content_length != want)
		r = err_set(e, EPROTO, "the origin has %" PRId64 " bytes now, not %" PRIu64,
			    info.content_length, want);
	/* What has a digest stays what it is, whatever one origin says. */
	if (r == -EPROTO && !f->meta->digest)
		f->ops->stale(f->arg);
	if (r < 0)
		return r;
	__atomic_store_n(&s->ranges, info.ranges ? 1 : -1, __ATOMIC_RELAXED);
	return 0;
}

static void list_candidates(struct fetch *f)
{
	struct source *found[SOURCES_OF_DIGEST_MAX];
	size_t count = f->ops->sources(f->arg, found);
	struct err e = {0};

	lock_guard(&f->lock);
	memcpy(f->candidates, found, count * sizeof(found[0]));
	f->candidate_count = count;
	f->candidate = 0;
	if (count > 0)
		return;
	err_set(&e, EIO, "no origin is known for it");
	no_candidate_left(f, &e);
}

/* The candidate to be asked; NULL when there is none, or one that has answered. */
static struct source *next_to_ask(struct fetch *f, unsigned attempt)
{
	struct source *s;

	lock_guard(&f->lock);
	s = f->candidate < f->candidate_count ? f->candidates[f->candidate] : NULL;
	if (s && f->attempt == attempt && __atomic_load_n(&s->ranges, __ATOMIC_RELAXED) == 0)
		return s;
	f->probing = false;
	return NULL;
}

/* Finds the first candidate that answers and what it can. While probing is set nobody else changes
 * the candidates. */
static void probe(struct fetch *f, struct work *w)
{
	struct source *s;

	if (f->candidate_count == 0)
		list_candidates(f);
	while ((s = next_to_ask(f, w->attempt))) {
		struct err e = {0};
		int64_t since_us = clock_us();
		int r = ask_source(f, s, &e);

		lock_take(&f->lock);
		attempt_probed(f->record, clock_us() - since_us);
		lock_drop(&f->lock);
		if (r < 0)
			source_failed(f, w->attempt, s, &e);
	}
}

/* The bytes of the whole are wrong, though each piece was as announced: somebody lied, and nobody
 * knows who. All is fetched anew, from the origin only, once. */
static void whole_is_wrong(struct fetch *f, const struct err *e)
{
	char hosts[300] = "";
	size_t len = 0;
	/* What daemons made has no origin. */
	bool elsewhere = !__atomic_load_n(&f->needs_witness, __ATOMIC_RELAXED);

	__atomic_add_fetch(&f->all->tally.digest_failures, 1, __ATOMIC_RELAXED);
	lock_take(&f->lock);
	/* From here on no parent is asked any more, so none of their pieces outlives this. */
	f->failing_softly = f->mismatches++ % 2 == 0 && elsewhere;
	f->failing = *e;
	f->origin_only = elsewhere;
	f->told_complete = false;
	for (unsigned i = 0; i < f->giver_count && len < sizeof(hosts); i++)
		len += (size_t)snprintf(hosts + len, sizeof(hosts) - len, "%s%s", i ? "," : "",
					f->givers[i].host_id);
	uint64_t from_origin = f->from_origin - f->began_from_origin;
	uint64_t from_peers = f->from_peers - f->began_from_peers;
	lock_drop(&f->lock);
	pieces_forget_all(f->pieces);
	log_error("SK243", "task has wrong bytes, all of it is dropped",
		  "task=%s from_origin=%" PRIu64 " from_peers=%" PRIu64 " hosts=%s why=\"%s\"",
		  f->meta->id, from_origin, from_peers, hosts, e->text);
}

static void hash(struct fetch *f)
{
	struct err e = {0};
	int r = 0;

	while (r == 0 && piece_is_ready(f->pieces, prefix_next(f->prefix)) &&
	       !__atomic_load_n(&f->cancelled, __ATOMIC_RELAXED))
		r = prefix_add(f->prefix, &e);
	if (r < 0)
		log_warn("piece cannot be read back", "task=%s why=\"%s\"", f->meta->id, e.text);
	lock_guard(&f->lock);
	f->hashing = false;
	/* The store's own verification will tell what is wrong. */
	if (r < 0)
		prefix_give_up(f->prefix);
}

static void verify(struct fetch *f)
{
	char hex[DIGEST_HEX_LEN + 1];
	bool hashed = f->prefix && prefix_finish(f->prefix, hex);
	struct err e = {0};
	int64_t since_us = clock_us();
	int r = fetch_witnessed(f, hashed ? hex : NULL, &e);

	if (r == 0)
		r = store_task_verify_as(f->st, hashed ? hex : NULL, &e);
	if (r == -EBADMSG)
		whole_is_wrong(f, &e);
	else if (r < 0 && r != -EHOSTUNREACH)
		log_error(err_fault(&e), "task cannot be verified", "task=%s why=\"%s\"",
			  f->meta->id, e.text);
	lock_guard(&f->lock);
	attempt_verified(f->record, clock_us() - since_us);
	f->verifying = false;
	f->verified = r == 0;
	if (r < 0 && r != -EBADMSG)
		f->verify_after_ms =
			clock_ms() + (r == -EHOSTUNREACH ? WITNESS_PAUSE_MS : VERIFY_PAUSE_MS);
}

void fetch_perform(struct gang *g, void *work)
{
	struct fetch *f = container_of(g, struct fetch, gang);
	struct trace_context of = fetch_trace(f);
	struct work *w = work;

	trace_within(&of);
	switch (w->kind) {
	case PROVE:
		prove(f, w);
		break;
	case FROM_PARENT:
		from_parent(f, w);
		break;
	case SECOND:
		fetch_second(f, w);
		break;
	case FROM_ORIGIN:
		from_origin(f, w);
		break;
	case STREAM:
		stream(f, w);
		break;
	case PROBE:
		probe(f, w);
		break;
	case HASH:
		hash(f);
		return;
	case VERIFY:
		verify(f);
		return;
	}
	lock_guard(&f->lock);
	f->transfers--;
	attempt_busy(f->record, -1);
}
