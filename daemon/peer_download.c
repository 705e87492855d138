/*
 * DownloadTask: a task fetched for somebody who follows it: a tool of this host, or a scheduler
 *that wants this seed to have it.
 *
 *	stage		what it does				what moves it on
 *	BEGIN		makes the output file, opens the task	at once
 *	OPENING		waits for the task			the open's done()
 *	READING		reads the pieces, a few at a time:	all are told
 *			for content, output, ranges
 *	FOLLOWING	tells pieces as they become READY:	all are told, and the whole is
 *			for seeds, hard links			verified
 *	OVER		the call has its status
 *
 * The actor runs one stage after the other on a worker; whatever comes from other threads (the
 *open, reads, the feed, the end of the call) is noted and wakes it. Its references: the call's
 *until it is closed, the open's, each read's.
 *
 * A digest that the store has not compared is compared here before the output gets its name.
 */
#include "base/bits.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/downloads.h"
#include "daemon/output.h"
#include "daemon/peer_server_private.h"
#include "daemon/piece_feed.h"
#include "daemon/piece_message.h"
#include "daemon/task_message.h"
#include "proto/message.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define PARTS	       8 /* reads that are out at a time */
#define LULL_MS	       30000
#define HASH_LEN       (256u << 10)
#define VERIFY_LOOK_MS 1000
/* Content over the socket: so much in a message, so many messages that wait. */
#define CONTENT_LEN	 (1u << 20)
#define CONTENT_BACKLOG	 4
#define CONTENT_RETRY_MS 5

enum stage { BEGIN, OPENING, READING, FOLLOWING, OVER };
enum part_state { PART_FREE, PART_ASKED, PART_READY, PART_FAILED };

struct download;

struct part {
	struct download *download;
	uint32_t number; /* the piece */
	struct waiter waiter;
	struct extent extent; /* set before state, like err */
	struct err err;
	atomic_int state; /* enum part_state */
};

struct download {
	struct actor actor;
	struct peer_server *server;
	struct rpc_call *call; /* a reference */
	bool is_local;	       /* came by the socket: may name an output, may have content */
	bool content;	       /* wants it in the messages */
	Dfdaemon__V2__DownloadTaskRequest *request;
	char *peer_id;
	struct task_open open;
	struct timer retry, deadline;
	atomic_bool opened, closed, too_late;
	/* set before opened: */
	struct task *task;
	struct err open_e;
	/* the actor's alone */
	enum stage stage;
	struct output *output;
	struct sha256 *hash;  /* NULL: nothing to compare */
	char want_digest[80]; /* of hash */
	uint64_t *local;      /* bits: was here when the download began */
	uint32_t first, end;  /* pieces */
	uint32_t asked, told; /* READING: how many were asked for, and told, in that order */
	uint32_t content_at;  /* of the piece to be told: bytes of it that were sent */
	uint64_t *taken;      /* READING: bits: was asked for */
	int64_t lull_ms;      /* since when nothing is there to read; 0 = something is */
	struct part parts[PARTS];
	struct piece_feed feed;
	bool feeding, volatile_, counted;
};

static struct download *download_of(struct actor *a)
{
	return container_of(a, struct download, actor);
}

static const Common__V2__Download *asked_of(const struct download *d)
{
	return d->request->download;
}

static void count(const struct download *d, enum downloads_figure f)
{
	const Common__V2__Download *asked = asked_of(d);

	downloads_count(f, message_text(asked, tag), message_text(asked, application),
			(int)asked->priority);
}

static void download_free(struct actor *a)
{
	struct download *d = download_of(a);
	struct peer_server *server = d->server;

	if (d->counted)
		count(d, DOWNLOADS_ENDED);
	rpc_call_unref(d->call);
	protobuf_c_message_free_unpacked(&d->request->base, NULL);
	free(d->peer_id);
	free(d);
	peer_server_leave(server);
}

static void download_wake(void *arg)
{
	struct download *d = arg;

	actor_wake(&d->actor);
}

/* ---- the end */

/* What the origin said, for Dragonfly's clients: JSON of errordetails.v2.Backend. */
static char *backend_details(const struct err *e)
{
	const char *at = strstr(e->text, "HTTP ");
	int status = at ? atoi(at + strlen("HTTP ")) : 0;
	cleanup(json_decref_at) json_t *j = NULL;

	/* One that gave no status is what a gateway says of it. */
	if (status < 100 || status > 599)
		status = e->code == ENOENT ? 404 : e->code == EACCES ? 403 : 502;
	j = json_pack("{s:s,s:{},s:i}", "message", e->text, "header", "status_code", status);
	return json_print(j);
}

static bool is_origins(const struct download *d, int code)
{
	const char *hex;

	if (code == EHOSTUNREACH || code == EIO || code == EPROTO)
		return true;
	if (asked_of(d)->disable_back_to_source || task_message_is_digest(asked_of(d)->url, &hex))
		return false;
	return code == ENOENT || code == EACCES || code == EBUSY || code == ELOOP;
}

/* The stage is over; a file that has no name yet is gone before the client hears of it. */
static void end(struct download *d)
{
	d->stage = OVER;
	output_free(take_ptr(&d->output));
}

static void fail(struct download *d, const struct err *e)
{
	cleanup(free_at) char *details = NULL;

	end(d);
	count(d, DOWNLOADS_FAILED);
	log_debug("download failed", "task=%s why=\"%s\"", d->task ? task_meta(d->task)->id : "-",
		  e->text);
	if (e->code == EBADMSG) {
		rpc_call_finish(d->call, RPC_ABORTED, e->text);
		return;
	}
	if (!is_origins(d, e->code)) {
		peer_fail(d->call, e);
		return;
	}
	details = backend_details(e);
	rpc_call_finish_details(d->call, RPC_INTERNAL, e->text, details, strlen(details));
}

static void fail_output(struct download *d, const struct err *e)
{
	end(d);
	count(d, DOWNLOADS_FAILED);
	if (e->code == EEXIST)
		rpc_call_finish(d->call, RPC_ALREADY_EXISTS, e->text);
	else if (e->code == ENOSPC || e->code == EDQUOT)
		rpc_call_finish(d->call, RPC_RESOURCE_EXHAUSTED, e->text);
	else if (e->code == EINVAL)
		rpc_call_finish(d->call, RPC_INVALID_ARGUMENT, e->text);
	else
		rpc_call_finish(d->call, RPC_FAILED_PRECONDITION, e->text);
}

/* All bytes are there: compares, names the output, says so. */
static void succeed(struct download *d)
{
	char hex[DIGEST_HEX_LEN + 1];
	struct err e;

	if (d->hash) {
		sha256_final(d->hash, hex);
		if (strcmp(hex, d->want_digest + strlen("sha256:")) != 0) {
			log_warn("download is not what its digest says",
				 "task=%s want=%s got=sha256:%s", task_meta(d->task)->id,
				 d->want_digest, hex);
			end(d);
			count(d, DOWNLOADS_FAILED);
			rpc_call_finish(d->call, RPC_ABORTED,
					"content is not what its digest says");
			return;
		}
	}
	if (d->output && output_publish(d->output, &e) < 0) {
		fail_output(d, &e);
		return;
	}
	log_info("download served", "task=%s pieces=%" PRIu32 " output=%d", task_meta(d->task)->id,
		 d->end - d->first, d->output != NULL);
	end(d);
	rpc_call_finish(d->call, RPC_OK, NULL);
}

/* ---- messages */

static void send_started(struct download *d)
{
	const struct store_meta *m = task_meta(d->task);
	Dfdaemon__V2__DownloadTaskResponse out = DFDAEMON__V2__DOWNLOAD_TASK_RESPONSE__INIT;
	Dfdaemon__V2__DownloadTaskStartedResponse *started =
		task_message_started(m, d->first, d->end);
	struct task_progress progress;

	task_progress(d->task, &progress);
	started->is_finished = progress.complete;
	started->range = asked_of(d)->range;
	out.host_id = (char *)host_id(d->server->parts.host);
	out.task_id = (char *)m->id;
	out.peer_id = d->peer_id;
	out.response_case =
		DFDAEMON__V2__DOWNLOAD_TASK_RESPONSE__RESPONSE_DOWNLOAD_TASK_STARTED_RESPONSE;
	out.download_task_started_response = started;
	(void)rpc_call_send(d->call, &out.base);
	started->range = NULL; /* the request's */
	protobuf_c_message_free_unpacked(&started->base, NULL);
}

/* A piece, or len bytes of it from at on with their content: a long one goes in several messages,
 * each with its own offset and length and without the digest of the whole. */
static void send_part(struct download *d, uint32_t number, uint32_t at, uint32_t len,
		      const void *content)
{
	const struct geometry *g = &task_meta(d->task)->geometry;
	struct store_piece info = {0};
	Dfdaemon__V2__DownloadTaskResponse out = DFDAEMON__V2__DOWNLOAD_TASK_RESPONSE__INIT;
	Dfdaemon__V2__DownloadPieceFinishedResponse finished =
		DFDAEMON__V2__DOWNLOAD_PIECE_FINISHED_RESPONSE__INIT;
	ProtobufCBinaryData data = {.len = len, .data = (uint8_t *)content};
	bool known = task_piece_info(d->task, number, &info);
	struct piece_message m;

	piece_message_fill(&m, number, geometry_offset(g, number) + at, &info, NULL);
	m.piece.length = len;
	/* One that lives in memory only was compared, but its digest is not kept. */
	if (!known || len != geometry_length(g, number))
		m.piece.digest = (char *)"";
	if (bit_get(d->local, number))
		m.piece.traffic_type = COMMON__V2__TRAFFIC_TYPE__LOCAL_PEER;
	if (content)
		message_set(&m.piece, content, COMMON__V2__PIECE__CONTENT__CONTENT, data);
	finished.piece = &m.piece;
	out.host_id = (char *)host_id(d->server->parts.host);
	out.task_id = (char *)task_meta(d->task)->id;
	out.peer_id = d->peer_id;
	out.response_case =
		DFDAEMON__V2__DOWNLOAD_TASK_RESPONSE__RESPONSE_DOWNLOAD_PIECE_FINISHED_RESPONSE;
	out.download_piece_finished_response = &finished;
	(void)rpc_call_send(d->call, &out.base);
}

static void send_piece(struct download *d, uint32_t number)
{
	send_part(d, number, 0, geometry_length(&task_meta(d->task)->geometry, number), NULL);
}

/* ---- reading */

static void part_done(struct waiter *w, const struct extent *x, const struct err *e)
{
	struct part *part = w->arg;
	struct download *d = part->download;

	if (x)
		part->extent = extent_keep(x);
	else
		part->err = *e;
	atomic_store(&part->state, x ? PART_READY : PART_FAILED);
	actor_wake(&d->actor);
	actor_unref(&d->actor);
}

/*
 * The next piece to ask for. Content and ranges are read in order and waited for. A file takes the
 * pieces as they come, in order only when they are hashed: a crowd in which all wait for the same
 * piece has nothing to give each other.
 */
static bool next_piece(struct download *d, uint32_t *number)
{
	*number = d->first + d->asked;
	if (*number == d->end)
		return false;
	if (!d->feeding)
		return true;
	if (d->hash)
		return task_piece_ready(d->task, *number);
	while (piece_feed_next(&d->feed, number))
		if (!bit_get(d->taken, *number))
			return true;
	return false;
}

/* The task failed, or nothing came for long: the first that is missing is waited for as by a
 * reader, who gets it also where the store has no room, or the reason why not. Not sooner: where
 * links are slow a crowd's first pieces take their time, and all would wait for the same one. */
static bool missing_piece(struct download *d, uint32_t *number)
{
	struct err e;

	*number = d->first;
	while (*number < d->end && bit_get(d->taken, *number))
		(*number)++;
	if (*number == d->end || d->asked != d->told)
		return false;
	if (d->lull_ms == 0)
		d->lull_ms = clock_ms();
	if (clock_ms() - d->lull_ms >= LULL_MS || piece_feed_failed(&d->feed, &e))
		return true;
	timer_arm(&d->retry, LULL_MS);
	return false;
}

static void ask(struct download *d, uint32_t number)
{
	const struct geometry *g = &task_meta(d->task)->geometry;
	struct part *part = &d->parts[d->asked++ % PARTS];

	d->lull_ms = 0;
	bit_set(d->taken, number);
	part->download = d;
	part->number = number;
	part->waiter = (struct waiter){.done = part_done, .arg = part};
	atomic_store(&part->state, PART_ASKED);
	actor_ref(&d->actor);
	task_read(d->task, geometry_offset(g, number), geometry_length(g, number), &part->waiter,
		  0);
}

static void ask_ahead(struct download *d)
{
	uint32_t number;

	while (d->asked - d->told < PARTS && next_piece(d, &number))
		ask(d, number);
	if (d->feeding && missing_piece(d, &number))
		ask(d, number);
}

static int hash_extent(struct sha256 *hash, const struct extent *x, struct err *e)
{
	cleanup(free_at) char *buffer = mem_alloc(HASH_LEN);

	for (uint64_t done = 0; done < x->len;) {
		uint64_t left = x->len - done;
		ssize_t n = pread(x->fd, buffer, left < HASH_LEN ? (size_t)left : HASH_LEN,
				  (off_t)(x->off + done));

		if (n < 0)
			return err_set(e, errno, "read a piece");
		if (n == 0)
			return err_set(e, EIO, "a piece is shorter than it should be");
		sha256_update(hash, buffer, (size_t)n);
		done += (uint64_t)n;
	}
	return 0;
}

/* Sends the next bytes of the piece that is to be told. */
static int send_content(struct download *d, const struct part *part, struct err *e)
{
	const struct extent *x = &part->extent;
	uint32_t left = x->len - d->content_at, len = left < CONTENT_LEN ? left : CONTENT_LEN;
	cleanup(free_at) char *buffer = mem_alloc(len);

	for (uint32_t done = 0; done < len;) {
		ssize_t n = pread(x->fd, buffer + done, len - done,
				  (off_t)(x->off + d->content_at + done));

		if (n <= 0)
			return err_set(e, n < 0 ? errno : EIO, "read a piece");
		done += (uint32_t)n;
	}
	send_part(d, part->number, d->content_at, len, buffer);
	d->content_at += len;
	return 0;
}

/* Which part of a piece goes to the output: all, or what the range asks for. */
static int write_part(struct download *d, uint32_t number, const struct extent *x, struct err *e)
{
	const Common__V2__Range *range = asked_of(d)->range;
	uint64_t from = geometry_offset(&task_meta(d->task)->geometry, number), to = from + x->len;
	uint64_t start = range ? range->start : 0, stop = to;

	if (range && range->length < UINT64_MAX - start && stop > start + range->length)
		stop = start + range->length;
	if (start < from)
		start = from;
	return output_write(d->output, x->fd, x->off + (start - from), stop - start,
			    start - (range ? range->start : 0), e);
}

/* Delivers the piece that is to be told, or the next of its content. False: that was not the last
 * of it, or the download is over. */
static bool deliver(struct download *d, const struct part *part)
{
	const struct extent *x = &part->extent;
	struct err e;

	if (d->content_at == 0 && d->hash && hash_extent(d->hash, x, &e) < 0) {
		fail(d, &e);
		return false;
	}
	if (d->content_at == 0 && d->output && write_part(d, part->number, x, &e) < 0) {
		fail_output(d, &e);
		return false;
	}
	if (!d->content) {
		send_piece(d, part->number);
		return true;
	}
	if (send_content(d, part, &e) < 0) {
		fail(d, &e);
		return false;
	}
	return d->content_at == x->len;
}

/* A client that does not read gets no more for now; it is looked at again later. */
static bool is_behind(struct download *d)
{
	if (rpc_call_backlog(d->call) < (d->content ? CONTENT_BACKLOG : PEER_BACKLOG_MAX))
		return false;
	timer_arm(&d->retry, d->content ? CONTENT_RETRY_MS : PEER_RETRY_MS);
	return true;
}

static void run_reading(struct download *d)
{
	ask_ahead(d);
	while (d->stage == READING && d->first + d->told < d->end) {
		struct part *part = &d->parts[d->told % PARTS];
		int state = atomic_load(&part->state);

		if (d->told == d->asked || state == PART_ASKED)
			return;
		if (state == PART_FAILED) {
			fail(d, &part->err);
			return;
		}
		if (is_behind(d))
			return;
		if (!deliver(d, part))
			continue;
		extent_release(&part->extent);
		atomic_store(&part->state, PART_FREE);
		d->content_at = 0;
		d->told++;
		ask_ahead(d);
	}
	if (d->stage == READING)
		succeed(d);
}

/* ---- following */

/* All pieces are told. Not before the task is verified, unless it cannot be because a piece is in
 * memory only. */
static void end_following(struct download *d)
{
	const Common__V2__Download *asked = asked_of(d);
	struct task_progress progress;
	struct err e;

	task_progress(d->task, &progress);
	if (!progress.complete && !d->volatile_ && progress.ready_count == progress.piece_count) {
		timer_arm(&d->retry, VERIFY_LOOK_MS);
		return;
	}
	if (d->output && asked->force_hard_link) {
		int fd = task_complete_fd(d->task);

		if (fd < 0 || output_link(d->output, fd, &e) < 0) {
			if (fd < 0)
				(void)err_set(&e, EIO, "nothing to link to: the store is full");
			fail_output(d, &e);
			return;
		}
	}
	succeed(d);
}

static void run_following(struct download *d)
{
	struct store_piece info;
	uint32_t number;
	struct err e;

	do {
		if (is_behind(d))
			return;
		if (!piece_feed_next(&d->feed, &number))
			break;
		d->volatile_ = d->volatile_ || !task_piece_info(d->task, number, &info);
		send_piece(d, number);
	} while (true);
	if (piece_feed_failed(&d->feed, &e))
		fail(d, &e);
	else if (piece_feed_left(&d->feed) == 0)
		end_following(d);
}

/* ---- beginning */

static void download_opened(struct task_open *o, struct task *t, const struct err *e)
{
	struct download *d = o->arg;

	d->task = t;
	if (e)
		d->open_e = *e;
	atomic_store(&d->opened, true);
	actor_wake(&d->actor);
	actor_unref(&d->actor);
}

/* From another host, a name that the daemons believe in. */
static bool is_forbidden(const struct download *d)
{
	const char *name = message_text(asked_of(d), content_for_calculating_task_id);

	return !d->is_local && name && task_is_own_name(name);
}

static void run_begin(struct download *d)
{
	const Common__V2__Download *asked = asked_of(d);
	const char *path = message_text(asked, output_path);
	cleanup(task_message_release) struct task_message_request m = {0};
	struct err e;

	count(d, DOWNLOADS_BEGUN);
	d->counted = true;
	if (d->is_local && path && path[0] &&
	    output_new(path, asked->overwrite, &d->output, &e) < 0) {
		fail_output(d, &e);
		return;
	}
	if (is_forbidden(d)) {
		err_set(&e, EINVAL, "tasks named " TASK_OWN_NAMES "... are made by daemons only");
		fail(d, &e);
		return;
	}
	if (task_message_read(asked, &m, &e) < 0) {
		fail(d, &e);
		return;
	}
	if (m.rq.timeout_ms > 0)
		timer_arm(&d->deadline, m.rq.timeout_ms);
	/* It is the whole download's, not that of finding out what the task is. */
	m.rq.timeout_ms = 0;
	d->stage = OPENING;
	actor_ref(&d->actor);
	task_open(d->server->parts.tasks, &m.rq, &d->open);
}

/* What must be compared here, because the store does not: a digest of the caller's own, and the
 * task's when it is not verified yet. Only the whole has a digest. */
static void prepare_hash(struct download *d)
{
	const char *own = message_text(asked_of(d), digest), *tasks = task_meta(d->task)->digest;
	const char *want = own && own[0] ? own : tasks, *hex;
	struct task_progress progress;

	task_progress(d->task, &progress);
	if (!want || !digest_is_sha256(want, &hex) || asked_of(d)->range)
		return;
	if (progress.complete && tasks && strcmp(want, tasks) == 0)
		return;
	snprintf(d->want_digest, sizeof(d->want_digest), "%s", want);
	d->hash = sha256_new();
}

static void note_local(struct download *d)
{
	uint32_t count = task_meta(d->task)->geometry.piece_count;

	d->local = mem_array(count / 64 + 1, sizeof(uint64_t));
	for (uint32_t i = d->first; i < d->end; i++)
		if (task_piece_kept(d->task, i))
			bit_set(d->local, i);
}

static void run_opening(struct download *d)
{
	const Common__V2__Download *asked = asked_of(d);
	bool links = d->output && asked->force_hard_link && !asked->range;
	bool reads = !links && (d->output || asked->range || d->content);

	if (d->open_e.code != 0) {
		fail(d, &d->open_e);
		return;
	}
	if (!task_message_pieces(&task_meta(d->task)->geometry, asked->range, &d->first, &d->end)) {
		end(d);
		rpc_call_finish(d->call, RPC_INVALID_ARGUMENT, "the range is beyond the content");
		return;
	}
	note_local(d);
	send_started(d);
	if (reads) {
		prepare_hash(d);
		d->taken = mem_array(d->end / 64 + 1, sizeof(uint64_t));
	}
	d->stage = reads ? READING : FOLLOWING;
	if (!d->content && !asked->range) {
		piece_feed_open(&d->feed, d->task, NULL, 0, d->first, d->end, download_wake, d);
		d->feeding = true;
	}
	if (!asked->range)
		task_want_all(d->task, asked->is_prefetch ? TASK_REST : TASK_NEAR);
}

/* ---- the actor */

static void drop_parts(struct download *d)
{
	for (unsigned i = 0; i < PARTS; i++) {
		struct part *part = &d->parts[i];

		if (atomic_load(&part->state) == PART_ASKED && task_read_cancel(&part->waiter)) {
			atomic_store(&part->state, PART_FREE);
			actor_unref(&d->actor); /* never the last: the run's own is there */
		}
		/* One that is being answered now wakes us once more. */
		if (atomic_load(&part->state) == PART_READY) {
			extent_release(&part->extent);
			atomic_store(&part->state, PART_FREE);
		}
	}
}

static bool is_reading(struct download *d)
{
	for (unsigned i = 0; i < PARTS; i++)
		if (atomic_load(&d->parts[i].state) == PART_ASKED)
			return true;
	return false;
}

/* Lets go of everything but the call; more than once. */
static void let_go(struct download *d)
{
	drop_parts(d);
	if (d->feeding)
		piece_feed_close(&d->feed);
	d->feeding = false;
	output_free(take_ptr(&d->output));
	sha256_free(take_ptr(&d->hash));
	free(take_ptr(&d->local));
	free(take_ptr(&d->taken));
	if (d->stage == OPENING && !atomic_load(&d->opened) && task_open_cancel(&d->open)) {
		atomic_store(&d->opened, true);
		actor_unref(&d->actor);
	}
	if (atomic_load(&d->opened) && d->task && !is_reading(d))
		task_unref(take_ptr(&d->task));
}

static void download_run(struct actor *a)
{
	struct download *d = download_of(a);
	struct err e;

	trace_within(rpc_call_trace(d->call));
	if (atomic_load(&d->closed)) {
		timer_cancel(&d->retry);
		timer_cancel(&d->deadline);
		let_go(d);
		return;
	}
	if (atomic_load(&d->too_late) && d->stage != OVER) {
		(void)err_set(&e, ETIMEDOUT, "the download took too long");
		fail(d, &e);
	}
	if (d->stage == BEGIN)
		run_begin(d);
	if (d->stage == OPENING && atomic_load(&d->opened))
		run_opening(d);
	if (d->stage == READING)
		run_reading(d);
	if (d->stage == FOLLOWING)
		run_following(d);
	if (d->stage == OVER)
		let_go(d);
}

static void download_retry(struct timer *t)
{
	download_wake(t->arg);
}

static void download_expired(struct timer *t)
{
	struct download *d = t->arg;

	atomic_store(&d->too_late, true);
	actor_wake(&d->actor);
}

/* A deep copy, by the wire's form. */
static Dfdaemon__V2__DownloadTaskRequest *copy_of(const ProtobufCMessage *m)
{
	size_t len = protobuf_c_message_get_packed_size(m);
	cleanup(free_at) uint8_t *bytes = mem_alloc(len + 1);

	protobuf_c_message_pack(m, bytes);
	return dfdaemon__v2__download_task_request__unpack(NULL, len, bytes);
}

static void download_new(struct rpc_call *call, const ProtobufCMessage *req,
			 struct peer_server *server, bool is_local)
{
	const Dfdaemon__V2__DownloadTaskRequest *rq = (const void *)req;
	struct download *d;

	if (!rq->download) {
		rpc_call_finish(call, RPC_INVALID_ARGUMENT, "a request without download");
		return;
	}
	if (!peer_server_enter(server)) {
		rpc_call_finish(call, RPC_RESOURCE_EXHAUSTED, "too many downloads");
		return;
	}
	d = mem_new(struct download);
	d->server = server;
	d->call = call;
	rpc_call_ref(call);
	d->is_local = is_local;
	d->content = is_local && rq->download->need_piece_content;
	d->request = copy_of(req);
	d->peer_id = host_new_peer_id(server->parts.host);
	d->actor =
		(struct actor){.pool = server->workers, .run = download_run, .free = download_free};
	actor_init(&d->actor);
	d->retry = (struct timer){.fire = download_retry, .arg = d};
	d->deadline = (struct timer){.fire = download_expired, .arg = d};
	d->open = (struct task_open){.done = download_opened, .arg = d};
	rpc_call_set_user(call, d);
	actor_wake(&d->actor);
}

void peer_download_remote(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	download_new(call, req, arg, false);
}

void peer_download_local(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	download_new(call, req, arg, true);
}

void peer_download_closed(struct rpc_call *call, void *arg)
{
	struct download *d = rpc_call_user(call);

	(void)arg;
	if (!d)
		return;
	atomic_store(&d->closed, true);
	actor_wake(&d->actor);
	actor_unref(&d->actor);
}
