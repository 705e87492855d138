/*
 * One conversation with a scheduler: one peer of one task (scheduler_client.h).
 *
 *	state		what it means				what moves it on
 *	OPENING		registering; maybe with a second	an answer -> TALKING,
 *schedule_finished() scheduler when the first refused	or _failed() -> ENDED, failure -> SILENT
 *	TALKING		the scheduler has answered		_finished(), _failed() -> ENDED,
 *								the stream breaks -> SILENT
 *	ENDED		all is said, the server shall close	schedule_drop() -> SILENT
 *	SILENT		no callback comes any more		the stream is over -> freed
 *
 * References: the owner's until schedule_drop(), the stream's until it is over. A callback runs on
 * one thread at a time, without the lock; schedule_drop() waits for one that runs elsewhere.
 */
#include "daemon/scheduler_client_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/timer.h"
#include "daemon/piece_message.h"
#include "daemon/schedule_message.h"
#include "proto/message.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#define SCHEDULE_LOCK_RANK 48
#define LINGER_MS	   5000 /* how long a dropped stream may still send */
#define ATTEMPTS_MAX	   3
#define ANNOUNCE_PEER_PATH "/scheduler.v2.Scheduler/AnnouncePeer"

/* The generated names of which member a oneof holds. */
#define REQUEST(of)	 SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__REQUEST_##of##_REQUEST
#define DESCRIPTION(of)	 SCHEDULER__V2__##of##_REQUEST__DESCRIPTION__DESCRIPTION
#define PIECE_NUMBER(of) SCHEDULER__V2__##of##_REQUEST__PIECE_NUMBER__PIECE_NUMBER
#define SOURCE_FAILED_UNKNOWN                                                                      \
	SCHEDULER__V2__DOWNLOAD_PIECE_BACK_TO_SOURCE_FAILED_REQUEST__RESPONSE_UNKNOWN

enum schedule_state { OPENING, TALKING, ENDED, SILENT };

struct schedule {
	struct scheduler_client *sc;
	struct schedule_ops ops;
	void *arg;
	char *peer_id;
	Scheduler__V2__AnnouncePeerRequest *registration;
	atomic_int refs;
	atomic_bool hurry;  /* do not linger */
	struct timer timer; /* the answer's deadline, a verdict to tell, the end of lingering */
	struct list link;   /* the client's lock */
	struct lock lock;
	struct cond quiet; /* no callback is running */
	/* all below: lock */
	enum schedule_state state;
	struct scheduler *scheduler; /* whose stream it is, or was; a reference */
	struct rpc_stream *stream;
	unsigned attempts;
	bool started, in_source; /* what was told */
	int64_t due_ms;		 /* 0 = nothing is waited for */
	struct err verdict;	 /* to be told by the timer; code 0 = none */
	bool calling;
	pthread_t caller;
};

static const struct rpc_stream_ops stream_ops;

static bool ref_unless_gone(struct schedule *s)
{
	int refs = atomic_load(&s->refs);

	while (refs > 0)
		if (atomic_compare_exchange_weak(&s->refs, &refs, refs + 1))
			return true;
	return false;
}

static void schedule_unref(struct schedule *s)
{
	struct scheduler_client *sc = s->sc;

	if (atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	/* Hidden first: nobody may arm the timer any more. */
	scheduler_client_hide(sc, &s->link);
	timer_cancel(&s->timer);
	scheduler_unref(s->scheduler);
	protobuf_c_message_free_unpacked(&s->registration->base, NULL);
	cond_release(&s->quiet);
	lock_release(&s->lock);
	free(s->peer_id);
	free(s);
	scheduler_client_forget(sc);
}

/* ---- callbacks */

/* Waits for its turn. False: nothing may be told any more. */
static bool callback_begin(struct schedule *s, bool last)
{
	lock_guard(&s->lock);
	while (s->calling && s->state < ENDED)
		cond_wait(&s->quiet, &s->lock);
	if (s->state >= ENDED)
		return false;
	if (last)
		s->state = SILENT;
	s->calling = true;
	s->caller = pthread_self();
	return true;
}

static void callback_end(struct schedule *s)
{
	lock_guard(&s->lock);
	s->calling = false;
	cond_wake_all(&s->quiet);
}

/* The caller holds a reference: the owner may drop it in there. */
static void tell_closed(struct schedule *s, const struct err *e)
{
	if (!callback_begin(s, true))
		return;
	s->ops.closed(s, e, s->arg);
	callback_end(s);
}

/* What the timer has to tell; code 0 = nothing now. Under the lock. */
static struct err what_is_due(struct schedule *s)
{
	struct err e = s->verdict;

	s->verdict.code = 0;
	if (e.code != 0 || s->due_ms == 0)
		return e;
	if (clock_ms() < s->due_ms && !atomic_load(&s->hurry)) {
		timer_arm(&s->timer, s->due_ms - clock_ms());
		return e;
	}
	s->due_ms = 0;
	(void)err_set(&e, ETIMEDOUT, "scheduler %s does not answer",
		      s->scheduler ? scheduler_addr(s->scheduler) : "-");
	return e;
}

static void schedule_fire(struct timer *t)
{
	struct schedule *s = t->arg;
	struct err e;

	if (!ref_unless_gone(s))
		return;
	lock_take(&s->lock);
	e = what_is_due(s);
	lock_drop(&s->lock);
	if (e.code != 0) {
		/* First: the end of the stream would be told otherwise. */
		tell_closed(s, &e);
		lock_take(&s->lock);
		if (s->stream)
			rpc_stream_cancel(s->stream);
		lock_drop(&s->lock);
	}
	schedule_unref(s);
}

/* Under the lock. */
static void await_within(struct schedule *s, int64_t ms)
{
	if (s->verdict.code != 0)
		return;
	s->due_ms = clock_ms() + ms;
	timer_arm(&s->timer, ms);
}

/* Under the lock: the timer's thread tells it. */
static void give_verdict(struct schedule *s, int code, const char *text)
{
	(void)err_set(&s->verdict, code, "%s", text);
	s->due_ms = 0;
	timer_arm(&s->timer, 0);
}

/* ---- opening */

/* Under the lock. Registers with the scheduler whose turn the task is. */
static void open_stream(struct schedule *s)
{
	s->attempts++;
	s->stream = rpc_stream_new(scheduler_channel(s->scheduler), ANNOUNCE_PEER_PATH, &stream_ops,
				   s, 0);
	atomic_fetch_add(&s->refs, 1);
	(void)rpc_stream_send(s->stream, &s->registration->base);
}

/* Under the lock. Without a scheduler the timer's thread says so. The scheduler that was there
 * before stays the caller's to let go. */
static void open_at_next(struct schedule *s)
{
	s->scheduler = schedulers_pick(s->sc->schedulers, s->registration->task_id);
	if (s->scheduler)
		open_stream(s);
	else
		give_verdict(s, EHOSTUNREACH, "no scheduler answers");
}

struct schedule *schedule_new(struct scheduler_client *sc, const struct schedule_register *reg,
			      const struct schedule_ops *ops, void *arg)
{
	struct schedule *s = mem_new(struct schedule);

	s->sc = sc;
	s->ops = *ops;
	s->arg = arg;
	s->peer_id = host_new_peer_id(sc->host);
	s->registration = schedule_message_register(host_id(sc->host), s->peer_id, reg);
	s->timer = (struct timer){.fire = schedule_fire, .arg = s};
	atomic_init(&s->refs, 1);
	lock_init(&s->lock, SCHEDULE_LOCK_RANK);
	cond_init(&s->quiet);
	list_init(&s->link);
	scheduler_client_remember(sc, &s->link);
	lock_guard(&s->lock);
	await_within(s, sc->config.answer_timeout_ms);
	open_at_next(s);
	return s;
}

void schedule_scheduler(struct schedule *s, char *text, size_t size)
{
	lock_guard(&s->lock);
	snprintf(text, size, "%s", s->scheduler ? scheduler_addr(s->scheduler) : "");
}

const char *schedule_peer_id(const struct schedule *s)
{
	return s->peer_id;
}

/* ---- what the scheduler says */

static void tell_parents(struct schedule *s, const Scheduler__V2__NormalTaskResponse *answer)
{
	cleanup(free_at) struct parent_info *parents =
		mem_array(SCHEDULE_PARENTS_MAX, sizeof(*parents));
	size_t count = schedule_message_parents(answer, host_id(s->sc->host), parents,
						SCHEDULE_PARENTS_MAX);

	s->ops.parents(s, parents, count, s->arg);
}

static void tell_answer(struct schedule *s, const Scheduler__V2__AnnouncePeerResponse *answer)
{
	const char *why;

	switch (answer->response_case) {
	case SCHEDULER__V2__ANNOUNCE_PEER_RESPONSE__RESPONSE_NORMAL_TASK_RESPONSE:
		tell_parents(s, answer->normal_task_response);
		break;
	case SCHEDULER__V2__ANNOUNCE_PEER_RESPONSE__RESPONSE_NEED_BACK_TO_SOURCE_RESPONSE:
		why = message_text(answer->need_back_to_source_response, description);
		s->ops.back_to_source(s, why ? why : "", s->arg);
		break;
	case SCHEDULER__V2__ANNOUNCE_PEER_RESPONSE__RESPONSE_EMPTY_TASK_RESPONSE:
	case SCHEDULER__V2__ANNOUNCE_PEER_RESPONSE__RESPONSE_METADATA_ONLY_RESPONSE:
		s->ops.ready(s, s->arg);
		break;
	default:
		break; /* of a later version: the answer's deadline decides */
	}
}

static void stream_message(struct rpc_stream *stream, const ProtobufCMessage *msg, void *arg)
{
	const Scheduler__V2__AnnouncePeerResponse *answer = (const void *)msg;
	struct schedule *s = arg;

	(void)stream;
	if (answer->response_case == SCHEDULER__V2__ANNOUNCE_PEER_RESPONSE__RESPONSE__NOT_SET)
		return;
	lock_take(&s->lock);
	if (s->state == OPENING)
		s->state = TALKING;
	s->due_ms = 0;
	lock_drop(&s->lock);
	if (!callback_begin(s, false))
		return;
	tell_answer(s, answer);
	callback_end(s);
}

/* This host was announced again to a scheduler that had forgotten it. */
static void announced_again(bool ok, void *arg)
{
	struct schedule *s = arg;

	lock_take(&s->lock);
	if (s->state == OPENING && ok)
		open_stream(s);
	else if (s->state == OPENING)
		give_verdict(s, EHOSTUNREACH, "the scheduler does not know this host");
	lock_drop(&s->lock);
	schedule_unref(s);
}

enum next_step { GIVE_UP, OPENED_NEXT, ANNOUNCE };

/* What is to be done about a stream that is over. Under the lock. */
static enum next_step after_closed(struct schedule *s, enum rpc_code code, const char *text)
{
	if (s->state != OPENING || s->attempts >= ATTEMPTS_MAX || s->verdict.code != 0)
		return GIVE_UP;
	if (code == RPC_UNAVAILABLE) {
		open_at_next(s);
		return OPENED_NEXT;
	}
	/* "host ... not found": it was restarted since this host was announced. */
	if (code != RPC_NOT_FOUND || !strstr(text, "host"))
		return GIVE_UP;
	atomic_fetch_add(&s->refs, 1);
	return ANNOUNCE;
}

static int closed_code(enum rpc_code code, const char *text)
{
	if (code == RPC_OK)
		return EPIPE;
	/* A priority that must not be served is told like a task that cannot be scheduled. */
	if (code == RPC_FAILED_PRECONDITION && strstr(text, "forbidden"))
		return EACCES;
	return rpc_code_to_errno((int)code);
}

static void stream_closed(struct rpc_stream *stream, enum rpc_code code, const char *text,
			  const void *details, size_t details_len, void *arg)
{
	struct schedule *s = arg;
	struct scheduler *scheduler = s->scheduler; /* replaced here only, while this is open */
	enum next_step next;
	struct err e;

	(void)details;
	(void)details_len;
	text = text ? text : "";
	if (code == RPC_UNAVAILABLE)
		scheduler_failed(scheduler, text);
	lock_take(&s->lock);
	s->stream = NULL;
	next = after_closed(s, code, text);
	lock_drop(&s->lock);
	if (next == ANNOUNCE) {
		scheduler_announce(scheduler, announced_again, s);
	} else if (next == OPENED_NEXT) {
		scheduler_unref(scheduler);
	} else {
		(void)err_set(&e, closed_code(code, text), "scheduler %s: %s",
			      scheduler_addr(scheduler), text[0] ? text : "ended the conversation");
		tell_closed(s, &e);
	}
	rpc_stream_drop(stream);
	schedule_unref(s);
}

static const struct rpc_stream_ops stream_ops = {
	.response = &scheduler__v2__announce_peer_response__descriptor,
	.message = stream_message,
	.closed = stream_closed,
};

/* ---- what is told to the scheduler */

/* Under the lock. */
static void say(struct schedule *s, Scheduler__V2__AnnouncePeerRequest *m)
{
	if (!s->stream || s->state > TALKING)
		return;
	m->host_id = s->registration->host_id;
	m->task_id = s->registration->task_id;
	m->peer_id = s->peer_id;
	if (!rpc_stream_send(s->stream, &m->base))
		log_debug("scheduler does not listen", "task=%s", m->task_id);
}

/* Under the lock. */
static void say_started(struct schedule *s)
{
	Scheduler__V2__AnnouncePeerRequest m = SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__INIT;
	Scheduler__V2__DownloadPeerStartedRequest started =
		SCHEDULER__V2__DOWNLOAD_PEER_STARTED_REQUEST__INIT;

	if (s->started)
		return;
	s->started = true;
	m.request_case = REQUEST(DOWNLOAD_PEER_STARTED);
	m.download_peer_started_request = &started;
	say(s, &m);
}

void schedule_started(struct schedule *s)
{
	lock_guard(&s->lock);
	say_started(s);
}

void schedule_back_to_source_started(struct schedule *s, const char *why)
{
	Scheduler__V2__AnnouncePeerRequest m = SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__INIT;
	Scheduler__V2__DownloadPeerBackToSourceStartedRequest started =
		SCHEDULER__V2__DOWNLOAD_PEER_BACK_TO_SOURCE_STARTED_REQUEST__INIT;

	if (why)
		message_set(&started, description,
			    DESCRIPTION(DOWNLOAD_PEER_BACK_TO_SOURCE_STARTED), (char *)why);
	m.request_case = REQUEST(DOWNLOAD_PEER_BACK_TO_SOURCE_STARTED);
	m.download_peer_back_to_source_started_request = &started;
	lock_guard(&s->lock);
	s->in_source = true;
	say(s, &m);
}

void schedule_piece_finished(struct schedule *s, uint32_t number, uint64_t offset,
			     const struct store_piece *piece, const char *parent_id)
{
	Scheduler__V2__AnnouncePeerRequest m = SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__INIT;
	Scheduler__V2__DownloadPieceFinishedRequest peer =
		SCHEDULER__V2__DOWNLOAD_PIECE_FINISHED_REQUEST__INIT;
	Scheduler__V2__DownloadPieceBackToSourceFinishedRequest source =
		SCHEDULER__V2__DOWNLOAD_PIECE_BACK_TO_SOURCE_FINISHED_REQUEST__INIT;
	struct store_piece told = *piece;
	struct piece_message p;

	told.source = parent_id ? STORE_FROM_PEER : STORE_FROM_ORIGIN;
	piece_message_fill(&p, number, offset, &told, parent_id);
	peer.piece = source.piece = &p.piece;
	if (parent_id) {
		m.request_case = REQUEST(DOWNLOAD_PIECE_FINISHED);
		m.download_piece_finished_request = &peer;
	} else {
		m.request_case = REQUEST(DOWNLOAD_PIECE_BACK_TO_SOURCE_FINISHED);
		m.download_piece_back_to_source_finished_request = &source;
	}
	lock_guard(&s->lock);
	say(s, &m);
}

void schedule_piece_failed(struct schedule *s, uint32_t number, const char *parent_id,
			   bool temporary)
{
	Scheduler__V2__AnnouncePeerRequest m = SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__INIT;
	Scheduler__V2__DownloadPieceFailedRequest peer =
		SCHEDULER__V2__DOWNLOAD_PIECE_FAILED_REQUEST__INIT;
	Scheduler__V2__DownloadPieceBackToSourceFailedRequest source =
		SCHEDULER__V2__DOWNLOAD_PIECE_BACK_TO_SOURCE_FAILED_REQUEST__INIT;
	Errordetails__V2__Unknown unknown = ERRORDETAILS__V2__UNKNOWN__INIT;

	if (parent_id) {
		message_set(&peer, piece_number, PIECE_NUMBER(DOWNLOAD_PIECE_FAILED), number);
		peer.parent_id = (char *)parent_id;
		peer.temporary = temporary;
		m.request_case = REQUEST(DOWNLOAD_PIECE_FAILED);
		m.download_piece_failed_request = &peer;
	} else {
		message_set(&source, piece_number,
			    PIECE_NUMBER(DOWNLOAD_PIECE_BACK_TO_SOURCE_FAILED), number);
		source.response_case = SOURCE_FAILED_UNKNOWN;
		source.unknown = &unknown;
		m.request_case = REQUEST(DOWNLOAD_PIECE_BACK_TO_SOURCE_FAILED);
		m.download_piece_back_to_source_failed_request = &source;
	}
	lock_guard(&s->lock);
	say(s, &m);
}

void schedule_reschedule(struct schedule *s, const struct parent_info *tried, size_t count,
			 const char *why)
{
	Scheduler__V2__AnnouncePeerRequest m = SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__INIT;
	cleanup(free_at) struct schedule_message_tried *t = mem_new(struct schedule_message_tried);

	schedule_message_tried_fill(t, s->registration->task_id,
				    s->registration->register_peer_request->download->url, tried,
				    count, why);
	m.request_case = REQUEST(RESCHEDULE_PEER);
	m.reschedule_peer_request = &t->request;
	lock_guard(&s->lock);
	say(s, &m);
	if (s->state <= TALKING)
		await_within(s, s->sc->config.answer_timeout_ms);
}

/* Under the lock: all is said, the server may take a while to hear it. */
static void end(struct schedule *s, enum schedule_state state)
{
	s->state = state;
	s->due_ms = 0;
	s->verdict.code = 0;
	if (!s->stream)
		return;
	rpc_stream_half_close(s->stream);
	await_within(s, LINGER_MS);
}

void schedule_finished(struct schedule *s)
{
	Scheduler__V2__AnnouncePeerRequest m = SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__INIT;
	Scheduler__V2__DownloadPeerFinishedRequest peer =
		SCHEDULER__V2__DOWNLOAD_PEER_FINISHED_REQUEST__INIT;
	Scheduler__V2__DownloadPeerBackToSourceFinishedRequest source =
		SCHEDULER__V2__DOWNLOAD_PEER_BACK_TO_SOURCE_FINISHED_REQUEST__INIT;

	lock_guard(&s->lock);
	if (s->state >= ENDED)
		return;
	if (s->in_source) {
		m.request_case = REQUEST(DOWNLOAD_PEER_BACK_TO_SOURCE_FINISHED);
		m.download_peer_back_to_source_finished_request = &source;
	} else {
		say_started(s);
		m.request_case = REQUEST(DOWNLOAD_PEER_FINISHED);
		m.download_peer_finished_request = &peer;
	}
	say(s, &m);
	end(s, ENDED);
}

void schedule_failed(struct schedule *s, const char *why)
{
	Scheduler__V2__AnnouncePeerRequest m = SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__INIT;
	Scheduler__V2__DownloadPeerFailedRequest peer =
		SCHEDULER__V2__DOWNLOAD_PEER_FAILED_REQUEST__INIT;
	Scheduler__V2__DownloadPeerBackToSourceFailedRequest source =
		SCHEDULER__V2__DOWNLOAD_PEER_BACK_TO_SOURCE_FAILED_REQUEST__INIT;

	lock_guard(&s->lock);
	if (s->state >= ENDED)
		return;
	if (s->in_source) {
		message_set(&source, description, DESCRIPTION(DOWNLOAD_PEER_BACK_TO_SOURCE_FAILED),
			    (char *)why);
		m.request_case = REQUEST(DOWNLOAD_PEER_BACK_TO_SOURCE_FAILED);
		m.download_peer_back_to_source_failed_request = &source;
	} else {
		message_set(&peer, description, DESCRIPTION(DOWNLOAD_PEER_FAILED), (char *)why);
		m.request_case = REQUEST(DOWNLOAD_PEER_FAILED);
		m.download_peer_failed_request = &peer;
	}
	say(s, &m);
	end(s, ENDED);
}

void schedule_drop(struct schedule *s)
{
	lock_take(&s->lock);
	end(s, SILENT);
	cond_wake_all(&s->quiet);
	while (s->calling && !pthread_equal(s->caller, pthread_self()))
		cond_wait(&s->quiet, &s->lock);
	lock_drop(&s->lock);
	schedule_unref(s);
}

void schedule_hurry(struct list *schedule)
{
	struct schedule *s = list_entry(schedule, struct schedule, link);

	atomic_store(&s->hurry, true);
	timer_arm(&s->timer, 0);
}
