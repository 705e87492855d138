/*
 * Steering a fetch (modes in fetch.h). Whoever comes first steers until nothing is left to decide;
 * who comes meanwhile only asks for another round. So all talk with the scheduler and with parents'
 * streams is straight-line code, though the words come from many threads.
 */
#include "daemon/fetch.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/downloads.h"
#include "daemon/fetch_private.h"
#include "daemon/host.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define RANK_FETCH	25
#define UNREAD_PATIENCE 4   /* as long as a reader's when nobody waits: its turn among many comes */
#define RUNS_FIRST	1   /* of the origin side by side */
#define TELL_ROOM_MS	50  /* between words to parents about that */
#define RETELL_MS	500 /* between tries to find another scheduler */

/* ---- what all share */

struct fetchers *fetchers_new(const struct fetchers_config *c)
{
	struct fetchers *all = mem_new(struct fetchers);

	all->c = *c;
	bucket_init(&all->bandwidth, c->bandwidth_per_s, PIECE_LENGTH_MIN);
	all->crew = crew_new(c->threads, fetch_work_size);
	return all;
}

void fetchers_free(struct fetchers *all)
{
	if (!all)
		return;
	crew_free(all->crew);
	bucket_release(&all->bandwidth);
	free(all);
}

const struct fetch_tally *fetchers_tally(const struct fetchers *all)
{
	return &all->tally;
}

/* ---- small steps; with the lock */

void fetch_fail(struct fetch *f, const struct err *e)
{
	if (f->failing.code == 0 && f->mode != IDLE)
		f->failing = *e;
}

static void set_mode(struct fetch *f, enum fetch_mode mode)
{
	if ((f->mode == IDLE) != (mode == IDLE))
		__atomic_add_fetch(&f->all->tally.active, mode == IDLE ? UINT32_MAX : 1u,
				   __ATOMIC_RELAXED);
	f->mode = mode;
	__atomic_store_n(&f->progress_ms, clock_ms(), __ATOMIC_RELAXED);
}

/* While probing is set only the probe changes the candidates. */
static void forget_candidates(struct fetch *f)
{
	if (f->probing)
		return;
	for (size_t i = 0; i < f->candidate_count; i++)
		source_unref(f->candidates[i]);
	f->candidate_count = f->candidate = 0;
	f->origin_failed = false;
}

static void go_to_origin(struct fetch *f, const char *why)
{
	struct err e = {0};

	if (f->options.disable_back_to_source) {
		err_set(&e, EHOSTUNREACH, "no peer has it and the origin is not allowed (%s)", why);
		fetch_fail(f, &e);
		return;
	}
	set_mode(f, ORIGIN);
	attempt_to_origin(f->record, why);
	if (f->origin_failed)
		forget_candidates(f);
	if (f->talk)
		talk_to_origin(f->talk, why);
}

static void due_at(struct fetch *f, int64_t at_ms)
{
	if (f->due_ms == 0 || at_ms < f->due_ms)
		f->due_ms = at_ms;
}

/* ---- steps that drop the lock and take it again */

static void open_talk(struct fetch *f, bool metadata_only)
{
	struct source *sources[SOURCES_OF_DIGEST_MAX];
	size_t count;
	struct schedule_register reg = {.piece_length = f->options.piece_length,
					.content_for_id = f->options.content_for_id,
					.meta = f->meta,
					.filtered_params = f->options.filtered_params,
					.filtered_param_count = f->options.filtered_param_count,
					.priority = f->options.priority,
					.concurrent_piece_count = f->all->c.piece_workers,
					.need_back_to_source = f->mode == ORIGIN,
					.disable_back_to_source = f->options.disable_back_to_source,
					.blob_digest_id = f->options.blob_digest_id,
					.metadata_only = metadata_only};

	trace_within(&f->span.context);
	lock_drop(&f->lock);
	count = f->ops->sources(f->arg, sources);
	if (count > 0) {
		reg.url = sources[0]->url;
		reg.headers = &sources[0]->headers;
	}
	talk_open(f->talk, &reg);
	for (size_t i = 0; i < count; i++)
		source_unref(sources[i]);
	lock_take(&f->lock);
}

/* Ends the conversation; parents go. */
static void end(struct fetch *f, enum talk_end how, const char *why)
{
	fetch_trace_end(f, how == TALK_FAILED ? why : NULL);
	set_mode(f, IDLE);
	f->idle_since_ms = 0;
	attempt_end(&f->record, how == TALK_FAILED ? why : NULL);
	lock_drop(&f->lock);
	if (f->talk)
		talk_close(f->talk, how, why);
	swarm_clear(f->swarm);
	lock_take(&f->lock);
}

static void begin(struct fetch *f)
{
	set_mode(f, SCHEDULING);
	f->attempt++;
	attempt_end(&f->record, NULL);
	f->record = attempt_begin(f->all->c.history, f->meta, pieces_ready_count(f->pieces),
				  f->transfers);
	f->reschedules = f->sooner_count = 0;
	f->helped_ms = 0;
	f->asked = f->reopened = f->untold = f->rejoined = false;
	f->failed = (struct err){0};
	f->began_ms = clock_ms();
	slots_init(&f->slots, RUNS_FIRST, true, f->began_ms,
		   __atomic_load_n(&f->origin_bytes, __ATOMIC_RELAXED));
	f->began_from_origin = f->from_origin;
	f->began_from_peers = f->from_peers;
	f->giver_count = 0;
	f->unwitnessed_since_ms = 0;
	f->wasted = 0;
	forget_candidates(f);
	fetch_trace_begin(f);
	if (f->talk && (f->need_origin || f->origin_only)) {
		go_to_origin(f, "told to");
		if (f->mode == ORIGIN)
			open_talk(f, false);
	} else if (f->talk) {
		open_talk(f, false);
	} else {
		go_to_origin(f, "no scheduler");
	}
}

static void tell_failure(struct fetch *f, const struct err *e)
{
	lock_drop(&f->lock);
	pieces_fail(f->pieces, e);
	f->ops->failed(f->arg, e);
	lock_take(&f->lock);
}

/* What readers are told: the cause if it is theirs to act upon. */
static int code_for_readers(int code)
{
	switch (code) {
	case EACCES:
	case ENOENT:
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case EBADMSG:
	case ENOSPC:
	case ECANCELED:
		return code;
	default:
		return EIO;
	}
}

static void fail(struct fetch *f)
{
	struct err e = f->failing;
	bool softly = f->failing_softly;
	int64_t pause = e.code == EBADMSG ? f->all->c.mismatch_retry_ms : f->all->c.retry_ms;

	e.code = code_for_readers(e.code);
	f->failing = (struct err){0};
	f->failing_softly = false;
	f->failed = e;
	f->retry_ms = softly ? 0 : clock_ms() + pause;
	end(f, TALK_FAILED, e.text);
	tell_failure(f, &e);
	lock_drop(&f->lock);
	log_warn("task failed", "task=%s code=%d why=\"%s\"", f->meta->id, e.code, e.text);
	lock_take(&f->lock);
	if (softly)
		pieces_want_all(f->pieces, PIECE_REST);
}

/* With the lock; the line is written without it. */
static void log_done(struct fetch *f)
{
	uint64_t from_origin = f->from_origin - f->began_from_origin;
	uint64_t from_peers = f->from_peers - f->began_from_peers;
	unsigned parents = f->giver_count;
	int64_t ms = clock_ms() - f->began_ms;

	lock_drop(&f->lock);
	downloads_took(f->meta->geometry.content_length, ms);
	log_info("task done",
		 "task=%s bytes=%" PRIu64 " from_origin=%" PRIu64 " from_peers=%" PRIu64
		 " ms=%" PRId64 " parents=%u",
		 f->meta->id, f->meta->geometry.content_length, from_origin, from_peers, ms,
		 parents);
	lock_take(&f->lock);
}

/* All here and verified. False: the scheduler has yet to say that it knows of us. */
static bool finish(struct fetch *f)
{
	if (!f->told_complete) {
		f->told_complete = true;
		fetch_trace_end(f, NULL);
		attempt_done(f->record);
		if (f->mode != IDLE)
			log_done(f);
		lock_drop(&f->lock);
		f->ops->complete(f->arg);
		lock_take(&f->lock);
		return true;
	}
	if (f->mode == IDLE || (f->talk && talk_is_waiting(f->talk)))
		return false;
	end(f, TALK_FINISHED, NULL);
	return true;
}

/* ---- what the scheduler said; drops the lock and takes it again */

static void take_parents(struct fetch *f, const struct talk_news *news)
{
	uint32_t *missing;
	size_t count;
	char own_peer_id[256];
	bool origin_only = f->origin_only;

	if (f->mode == SCHEDULING)
		set_mode(f, PARENTS);
	if (f->mode == ORIGIN)
		talk_to_origin(f->talk, "told to");
	else
		talk_started(f->talk);
	f->asked = f->rejoined = false;
	attempt_offered(f->record, news->parents, news->parent_count);
	__atomic_store_n(&f->progress_ms, clock_ms(), __ATOMIC_RELAXED);
	snprintf(own_peer_id, sizeof(own_peer_id), "%s", talk_peer_id(f->talk));
	lock_drop(&f->lock);
	missing = pieces_missing(f->pieces, &count);
	if (count > 0 && !origin_only)
		swarm_add(f->swarm, news->parents, news->parent_count, own_peer_id, missing, count);
	free(missing);
	lock_take(&f->lock);
}

/* A scheduler that has just begun knows nobody and would send a whole crowd to the origin, one
 * after the other. Should the parents not have it, it is asked again. */
static void stay_with_parents(struct fetch *f)
{
	f->rejoined = f->asked = false;
	talk_started(f->talk);
}

static void note_answer(struct fetch *f)
{
	char addr[80];

	talk_scheduler(f->talk, addr, sizeof(addr));
	attempt_scheduled(f->record, addr);
}

static void hear(struct fetch *f, const struct talk_news *news)
{
	if (f->announcing) {
		f->announcing = false;
		talk_started(f->talk);
		lock_drop(&f->lock);
		talk_close(f->talk, news->closed ? TALK_DROPPED : TALK_FINISHED, NULL);
		lock_take(&f->lock);
		return;
	}
	if (news->answered || news->to_origin || news->ready || news->closed)
		fetch_trace_answer(f, news);
	if (news->answered || news->to_origin || news->ready)
		note_answer(f);
	if (news->answered && f->mode != IDLE)
		take_parents(f, news);
	if (news->to_origin && f->mode == ORIGIN)
		talk_to_origin(f->talk, news->why);
	else if (news->to_origin && f->rejoined && swarm_is_live(f->swarm))
		stay_with_parents(f);
	else if (news->to_origin && f->mode != IDLE)
		go_to_origin(f, news->why);
	else if (news->ready && f->mode == SCHEDULING)
		go_to_origin(f, "the scheduler takes the task for empty");
	if (!news->closed)
		return;
	f->asked = false;
	f->untold = news->closed_e.code == EHOSTUNREACH;
	if (f->mode == SCHEDULING && news->closed_e.code == EACCES)
		fetch_fail(f, &news->closed_e);
	else if (f->mode == SCHEDULING)
		go_to_origin(f, news->closed_e.code ? news->closed_e.text : "no scheduler");
}

/* ---- deciding; these drop the lock and take it again where they act */

static void ask_for_others(struct fetch *f)
{
	struct parent_info tried[SWARM_FEEDERS_MAX];
	size_t count = swarm_tried(f->swarm, tried, SWARM_FEEDERS_MAX);

	f->reschedules++;
	attempt_rescheduled(f->record);
	f->asked = true;
	set_mode(f, PARENTS);
	talk_reschedule(f->talk, tried, count, "no parent has what is missing");
}

static void talk_anew(struct fetch *f)
{
	f->reopened = true;
	lock_drop(&f->lock);
	talk_close(f->talk, TALK_DROPPED, NULL);
	swarm_clear(f->swarm);
	lock_take(&f->lock);
	set_mode(f, SCHEDULING);
	open_talk(f, false);
}

/* Who has lost its scheduler tells the next one. Who reads the origin, so that whoever asks there
 * waits for this one and does not read the origin as well; who has parents, because they may be few
 * (in a crowd that began just now there is only the seed) and others can be fed. */
static bool tell_next_scheduler(struct fetch *f)
{
	int64_t now = clock_ms();

	if ((f->mode != ORIGIN && f->mode != PARENTS) || !f->untold)
		return false;
	if (now < f->retell_ms || scheduler_client_alive(f->all->c.scheduler) == 0) {
		due_at(f, now < f->retell_ms ? f->retell_ms : now + RETELL_MS);
		return false;
	}
	f->untold = false;
	f->rejoined = f->asked = f->mode == PARENTS;
	f->retell_ms = now + RETELL_MS;
	lock_drop(&f->lock);
	talk_close(f->talk, TALK_DROPPED, NULL);
	lock_take(&f->lock);
	open_talk(f, false);
	return true;
}

/* Something is missing that no parent has announced, and nothing is on its way. */
static bool despair(struct fetch *f, bool is_read)
{
	int64_t since = __atomic_load_n(&f->progress_ms, __ATOMIC_RELAXED);
	int64_t until = since + fetch_patience_ms(f) * (is_read ? 1 : UNREAD_PATIENCE);

	if (f->asked)
		return false;
	/* Given up too early the scheduler would only say "the origin", and there would be two
	 * copies of what a slow seed is fetching. */
	if (swarm_is_live(f->swarm) && clock_ms() < until) {
		due_at(f, until);
		return false;
	}
	if (talk_is_open(f->talk) && f->reschedules < f->all->c.reschedules_max)
		ask_for_others(f);
	else if (!talk_is_open(f->talk) && !f->reopened &&
		 scheduler_client_alive(f->all->c.scheduler) > 0)
		talk_anew(f);
	else
		go_to_origin(f, "no parent has what is missing");
	return true;
}

/* Parents have what is missing, offer none of it, and nothing is on its way: a parent that hangs
 * must not keep a download for ever. */
static bool take_unoffered(struct fetch *f)
{
	int64_t until = __atomic_load_n(&f->progress_ms, __ATOMIC_RELAXED) + fetch_patience_ms(f);

	if (clock_ms() >= until)
		return swarm_offer_all(f->swarm);
	due_at(f, until);
	return false;
}

/* Nothing is wanted: after a while nobody need be kept. */
static void linger(struct fetch *f)
{
	int64_t now = clock_ms();

	if (f->idle_since_ms == 0) {
		f->idle_since_ms = now;
		fetch_trace_end(f, NULL);
	}
	if (now - f->idle_since_ms >= f->all->c.linger_ms)
		end(f, TALK_DROPPED, NULL);
	else
		due_at(f, f->idle_since_ms + f->all->c.linger_ms);
}

/* When to look again for what cannot be done now. */
static void wait_for(struct fetch *f, int64_t *after_ms)
{
	if (*after_ms && clock_ms() >= *after_ms)
		*after_ms = 0;
	if (*after_ms)
		due_at(f, *after_ms);
}

static void begin_or_refuse(struct fetch *f)
{
	struct err e = f->failed;

	if (clock_ms() < f->retry_ms)
		tell_failure(f, &e);
	else
		begin(f);
}

static bool ask_sooner(struct fetch *f, const struct pieces_need *need)
{
	uint32_t pieces[SOONER_MAX];
	unsigned count;
	int64_t due;
	bool ask = fetch_ask_sooner(f, need, &due);

	if (due)
		due_at(f, due);
	if (!ask)
		return false;
	count = f->sooner_count;
	memcpy(pieces, f->sooner, count * sizeof(pieces[0]));
	lock_drop(&f->lock);
	swarm_ask_sooner(f->swarm, pieces, count);
	lock_take(&f->lock);
	return true;
}

/* Half of what may be under way fills the link: what else parents announce is better announced to
 * others. */
static bool tell_room(struct fetch *f)
{
	bool full = 2 * f->transfers >= f->all->c.piece_workers;

	if (f->mode != PARENTS || full == f->full)
		return false;
	if (clock_ms() < f->full_ms + TELL_ROOM_MS) {
		due_at(f, f->full_ms + TELL_ROOM_MS);
		return false;
	}
	f->full = full;
	f->full_ms = clock_ms();
	lock_drop(&f->lock);
	swarm_tell_room(f->swarm, full);
	lock_take(&f->lock);
	return true;
}

/* A piece that is on its way does not come: somebody else may have it. */
static bool ask_for_second(struct fetch *f)
{
	uint32_t index;

	if (!fetch_second_unknown(f, &index))
		return false;
	lock_drop(&f->lock);
	swarm_ask_sooner(f->swarm, &index, 1);
	lock_take(&f->lock);
	return true;
}

static bool leave_silent(struct fetch *f)
{
	uint32_t index;
	struct feeder *feeder = fetch_find_silent(f, &index);

	if (!feeder)
		return false;
	lock_drop(&f->lock);
	fetch_leave(f, index, feeder);
	lock_take(&f->lock);
	return true;
}

static bool decide(struct fetch *f)
{
	const uint64_t *have = swarm_have(f->swarm);
	struct pieces_need need;
	int64_t second_ms;

	pieces_need(f->pieces, have, &need);
	wait_for(f, &f->verify_after_ms);
	wait_for(f, &f->disk_after_ms);
	if (need.complete)
		return f->verified && finish(f);
	second_ms = fetch_second_due_ms(f);
	if (second_ms)
		due_at(f, second_ms);
	if (!need.fetch && !need.fetching && !need.waiters) {
		if (f->mode != IDLE)
			linger(f);
		return false;
	}
	if (f->idle_since_ms)
		__atomic_store_n(&f->progress_ms, clock_ms(), __ATOMIC_RELAXED);
	f->idle_since_ms = 0;
	if (f->mode == IDLE && need.fetch) {
		begin_or_refuse(f);
		return true;
	}
	if (tell_next_scheduler(f))
		return true;
	if (tell_room(f) || ask_sooner(f, &need) || ask_for_second(f) || leave_silent(f))
		return true;
	if (f->mode == PARENTS && need.stuck_since_ms + fetch_patience_ms(f) > clock_ms())
		due_at(f, need.stuck_since_ms + fetch_patience_ms(f));
	if (f->mode != PARENTS || !need.fetch || need.fetching)
		return false;
	return have && need.possible ? take_unoffered(f) : despair(f, need.waiters > 0);
}

static void give_up(struct fetch *f)
{
	struct err e = {0};

	err_set(&e, ECANCELED, "the daemon stops");
	lock_drop(&f->lock);
	pieces_fail(f->pieces, &e);
	lock_take(&f->lock);
}

/* True: something changed, look again. */
static bool steer_once(struct fetch *f)
{
	struct talk_news news;

	trace_within(&f->span.context);
	if (__atomic_load_n(&f->cancelled, __ATOMIC_RELAXED)) {
		give_up(f);
		return false;
	}
	if (swarm_has_dropped(f->swarm)) {
		lock_drop(&f->lock);
		swarm_reap(f->swarm);
		lock_take(&f->lock);
		return true;
	}
	if (f->talk && talk_take_news(f->talk, &news)) {
		hear(f, &news);
		return true;
	}
	if (f->failing.code) {
		fail(f);
		return true;
	}
	if (f->announce && f->talk && f->mode == IDLE && !f->announcing && f->verified) {
		f->announce = false;
		f->announcing = true;
		open_talk(f, true);
		return true;
	}
	return decide(f);
}

static void steer(struct gang *g)
{
	struct fetch *f = container_of(g, struct fetch, gang);

	lock_guard(&f->lock);
	f->steer_again = true;
	if (f->steering)
		return;
	f->steering = true;
	while (f->steer_again) {
		f->steer_again = false;
		do
			f->due_ms = 0;
		while (steer_once(f));
	}
	f->steering = false;
	if (f->due_ms) {
		int64_t wait = f->due_ms - clock_ms();

		timer_arm(&f->timer, wait > 1 ? wait : 1);
	}
}

/* ---- from outside */

static void on_timer(struct timer *t)
{
	fetch_kick(t->arg, true);
}

static void on_told(void *arg)
{
	fetch_kick(arg, true);
}

static void on_swarm_changed(void *arg)
{
	struct fetch *f = arg;

	__atomic_store_n(&f->progress_ms, clock_ms(), __ATOMIC_RELAXED);
	fetch_kick(f, true);
}

static void copy_options(struct fetch *f, const struct fetch_options *o)
{
	f->options = *o;
	f->filtered_params = mem_array(o->filtered_param_count, sizeof(char *));
	for (size_t i = 0; i < o->filtered_param_count; i++)
		f->filtered_params[i] = mem_strdup(o->filtered_params[i]);
	f->options.filtered_params = (const char *const *)f->filtered_params;
	f->options.content_for_id = f->content_for_id = mem_strdup(o->content_for_id);
	f->need_origin = o->need_back_to_source;
	f->needs_witness = o->needs_witness;
}

struct fetch *fetch_new(struct fetchers *all, struct store_task *st, struct pieces *p,
			const struct fetch_options *o, const struct fetch_ops *ops, void *arg)
{
	struct fetch *f = mem_new(struct fetch);

	f->all = all;
	f->st = st;
	f->pieces = p;
	f->meta = store_task_meta(st);
	copy_options(f, o);
	f->ops = ops;
	f->arg = arg;
	f->transfer = (struct transfer){.st = st,
					.pieces = p,
					.piece_client = all->c.piece_client,
					.origin = all->c.origin,
					.host = all->c.host,
					.bandwidth = &all->bandwidth,
					.cancelled = &f->cancelled,
					.origin_bytes = &f->origin_bytes,
					.stall_ms = all->c.stall_ms};
	/* Content that has a digest is compared with that, wherever it comes from. */
	if (!f->meta->digest)
		f->transfer.same_as = f->meta->headers;
	f->gang = (struct gang){.look = steer,
				.choose = fetch_choose,
				.perform = fetch_perform,
				/* The crew keeps a quarter for readers. */
				.hands_max = (4 * all->c.piece_workers + 2) / 3};
	f->timer = (struct timer){.fire = on_timer, .arg = f};
	lock_init(&f->lock, RANK_FETCH);
	list_init(&f->flights);
	f->swarm = swarm_new(&(struct swarm_config){.task_id = f->meta->id,
						    .own_host_id = host_id(all->c.host),
						    .geometry = f->meta->geometry,
						    .lock = &f->lock,
						    .changed = on_swarm_changed,
						    .arg = f});
	if (all->c.scheduler)
		f->talk = talk_new(all->c.scheduler, &f->lock, on_told, f);
	f->verified = f->told_complete = store_task_is_verified(st);
	if ((f->meta->digest || f->needs_witness) && !f->verified)
		f->prefix = prefix_new(store_task_fd(st), &f->meta->geometry);
	return f;
}

static void cancel_transfers(struct fetch *f)
{
	lock_guard(&f->lock);
	__atomic_store_n(&f->cancelled, true, __ATOMIC_RELAXED);
	flights_cancel(f, NULL, NULL);
}

void fetch_free(struct fetch *f)
{
	if (!f)
		return;
	/* Callbacks kick, kicks steer, steering arms the timer: so in this order. */
	cancel_transfers(f);
	crew_leave(f->all->crew, &f->gang);
	timer_cancel(&f->timer);
	talk_free(f->talk);
	swarm_free(f->swarm);
	prefix_free(f->prefix);
	lock_take(&f->lock);
	fetch_trace_end(f, NULL);
	set_mode(f, IDLE);
	attempt_end(&f->record, NULL);
	forget_candidates(f);
	lock_drop(&f->lock);
	for (size_t i = 0; i < f->options.filtered_param_count; i++)
		free(f->filtered_params[i]);
	free(f->filtered_params);
	free(f->content_for_id);
	lock_release(&f->lock);
	free(f);
}

void fetch_kick(struct fetch *f, bool urgent)
{
	crew_kick(f->all->crew, &f->gang, urgent);
}

void fetch_cancel(struct fetch *f)
{
	cancel_transfers(f);
	fetch_kick(f, true);
}

void fetch_need_origin(struct fetch *f)
{
	lock_take(&f->lock);
	f->need_origin = true;
	if (f->mode == SCHEDULING || f->mode == PARENTS)
		go_to_origin(f, "told to");
	lock_drop(&f->lock);
	fetch_kick(f, true);
}

void fetch_need_witness(struct fetch *f)
{
	__atomic_store_n(&f->needs_witness, true, __ATOMIC_RELAXED);
}

void fetch_announce(struct fetch *f)
{
	lock_take(&f->lock);
	f->announce = f->talk != NULL;
	lock_drop(&f->lock);
	fetch_kick(f, false);
}

bool fetch_is_active(struct fetch *f)
{
	lock_guard(&f->lock);
	return f->mode != IDLE || f->announcing || f->steering ||
	       crew_is_busy(f->all->crew, &f->gang);
}

void fetch_progress(struct fetch *f, struct fetch_progress *out)
{
	lock_guard(&f->lock);
	*out = (struct fetch_progress){.from_origin = f->from_origin,
				       .from_peers = f->from_peers,
				       .parents = swarm_count(f->swarm),
				       .complete = f->verified,
				       .failed = f->failed.code != 0,
				       .last = f->failed};
}

bool fetch_reads_origin(struct fetch *f)
{
	lock_guard(&f->lock);
	return f->mode == ORIGIN && f->from_origin >= f->from_peers;
}
