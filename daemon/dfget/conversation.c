/*
 * The talk with the daemon. The rpc thread only notes what has come; the main thread waits for it,
 * draws the progress and watches for signals.
 */
#include "daemon/dfget/conversation.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "dfdaemon_v2.pb-c.h"
#include "proto/rpc.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define RANK_TALK   50
#define PARENTS_MAX 64
#define TICK_MS	    50
/* Bytes that may wait to be written: the daemon is stopped above the one, goes on below the other.
 */
#define WAITING_MAX (32u << 20)
#define WAITING_LOW (16u << 20)

/* A piece's bytes that wait to be written in order. */
struct chunk {
	struct list link;
	uint64_t off;
	size_t len;
	uint8_t *data;
};

struct talk {
	const struct options *options;
	int out_fd;
	struct lock lock;
	struct cond changed;
	/* under lock */
	struct result *result;
	struct list chunks; /* by off */
	uint64_t waiting;   /* bytes of chunks */
	uint64_t written;   /* out_fd: bytes written so far, in order */
	char *parents[PARENTS_MAX];
	bool started, closed;
};

/* ---- the request ---- */

static void set_headers(Common__V2__Download *d, const struct config_strings *headers)
{
	d->request_header = mem_array(headers->count, sizeof(*d->request_header));
	for (size_t i = 0; i < headers->count; i++) {
		Common__V2__Download__RequestHeaderEntry *entry = mem_alloc(sizeof(*entry));
		const char *text = headers->items[i];
		size_t name_len = strcspn(text, ":");

		common__v2__download__request_header_entry__init(entry);
		entry->key = mem_strndup(text, name_len);
		entry->value = mem_strdup(text + name_len + 1 + strspn(text + name_len + 1, " \t"));
		d->request_header[d->n_request_header++] = entry;
	}
}

#define SET(msg, field, UPPER, value)                                                              \
	do {                                                                                       \
		if (value) {                                                                       \
			(msg)->field##__case = COMMON__V2__DOWNLOAD__##UPPER;                      \
			(msg)->field = mem_strdup(value);                                          \
		}                                                                                  \
	} while (0)

/* A blob known by its digest only is asked for by an URL that cannot be fetched: the daemon goes by
 * the digest (its own place, the cluster, the registries it knows). */
static char *url_of(const struct options *o)
{
	if (o->url)
		return mem_strdup(o->url);
	return mem_printf("https://digest.invalid/v2/-/blobs/sha256:%s", o->digest_hex);
}

static Dfdaemon__V2__DownloadTaskRequest *request_new(const struct options *o, bool content)
{
	Dfdaemon__V2__DownloadTaskRequest *rq = mem_alloc(sizeof(*rq));
	Common__V2__Download *d = mem_alloc(sizeof(*d));

	dfdaemon__v2__download_task_request__init(rq);
	common__v2__download__init(d);
	rq->download = d;
	d->url = url_of(o);
	d->enable_task_id_based_blob_digest = true;
	d->priority = (Common__V2__Priority)o->priority;
	d->disable_back_to_source = o->disable_back_to_source;
	d->overwrite = o->overwrite;
	d->force_hard_link = o->force_hard_link;
	d->need_piece_content = content;
	SET(d, digest, DIGEST__DIGEST, o->digest);
	SET(d, tag, TAG__TAG, o->tag);
	SET(d, application, APPLICATION__APPLICATION, o->application);
	if (!content)
		SET(d, output_path, OUTPUT_PATH__OUTPUT_PATH, o->output_path);
	if (o->piece_length) {
		d->piece_length__case = COMMON__V2__DOWNLOAD__PIECE_LENGTH__PIECE_LENGTH;
		d->piece_length = o->piece_length;
	}
	d->timeout = mem_alloc(sizeof(*d->timeout));
	google__protobuf__duration__init(d->timeout);
	d->timeout->seconds = o->timeout_ms / 1000;
	d->timeout->nanos = (int32_t)(o->timeout_ms % 1000) * 1000000;
	set_headers(d, &o->headers);
	d->filtered_query_params =
		mem_array(o->filtered_params.count, sizeof(*d->filtered_query_params));
	for (size_t i = 0; i < o->filtered_params.count; i++)
		d->filtered_query_params[d->n_filtered_query_params++] =
			mem_strdup(o->filtered_params.items[i]);
	return rq;
}

/* ---- what the daemon says ---- */

static void note_parent(struct talk *t, const char *id)
{
	struct tally *tally = &t->result->tally;

	for (unsigned i = 0; i < tally->parents; i++)
		if (strcmp(t->parents[i], id) == 0)
			return;
	if (tally->parents < PARENTS_MAX)
		t->parents[tally->parents++] = mem_strdup(id);
}

static void note_piece(struct talk *t, const Common__V2__Piece *piece)
{
	struct tally *tally = &t->result->tally;
	bool has_parent = piece->parent_id__case && *piece->parent_id;

	switch (piece->traffic_type__case ? (int)piece->traffic_type : -1) {
	case COMMON__V2__TRAFFIC_TYPE__BACK_TO_SOURCE:
		tally->from_origin += piece->length;
		break;
	case COMMON__V2__TRAFFIC_TYPE__REMOTE_PEER:
		tally->from_peers += piece->length;
		if (has_parent)
			note_parent(t, piece->parent_id);
		break;
	default:
		tally->local += piece->length;
	}
}

static void keep_content(struct talk *t, const Common__V2__Piece *piece)
{
	struct chunk *c;
	struct list *at = &t->chunks;

	if (!piece->content__case || !piece->content.len)
		return;
	c = mem_new(struct chunk);
	c->off = piece->offset;
	c->len = piece->content.len;
	c->data = mem_dup(piece->content.data, c->len);
	while (at->prev != &t->chunks && list_entry(at->prev, struct chunk, link)->off > c->off)
		at = at->prev;
	list_insert_before(at, &c->link);
	t->waiting += c->len;
}

static void on_message(struct rpc_stream *s, const ProtobufCMessage *msg, void *arg)
{
	const Dfdaemon__V2__DownloadTaskResponse *m = (const void *)msg;
	struct talk *t = arg;

	lock_take(&t->lock);
	snprintf(t->result->task_id, sizeof(t->result->task_id), "%s", m->task_id);
	if (m->response_case ==
	    DFDAEMON__V2__DOWNLOAD_TASK_RESPONSE__RESPONSE_DOWNLOAD_TASK_STARTED_RESPONSE) {
		t->started = true;
		t->result->tally.total = m->download_task_started_response->content_length;
	} else if (
		m->response_case ==
			DFDAEMON__V2__DOWNLOAD_TASK_RESPONSE__RESPONSE_DOWNLOAD_PIECE_FINISHED_RESPONSE &&
		m->download_piece_finished_response->piece) {
		note_piece(t, m->download_piece_finished_response->piece);
		if (t->out_fd >= 0)
			keep_content(t, m->download_piece_finished_response->piece);
	}
	/* Pieces come in order, so what the writer waits for is never held back. */
	if (t->waiting > WAITING_MAX)
		rpc_stream_hold(s);
	cond_wake_all(&t->changed);
	lock_drop(&t->lock);
}

static enum cli_exit exit_of_status(unsigned status)
{
	switch (status) {
	case 404:
	case 410:
		return EXIT_NOT_FOUND;
	case 401:
	case 403:
	case 407:
		return EXIT_NOT_ALLOWED;
	case 429:
		return EXIT_BUSY;
	default:
		return EXIT_NETWORK;
	}
}

static enum cli_exit exit_of_code(enum rpc_code code)
{
	switch (code) {
	case RPC_OK:
		return EXIT_DONE;
	case RPC_INVALID_ARGUMENT:
		return EXIT_USAGE;
	case RPC_NOT_FOUND:
		return EXIT_NOT_FOUND;
	case RPC_PERMISSION_DENIED:
	case RPC_UNAUTHENTICATED:
		return EXIT_NOT_ALLOWED;
	case RPC_DEADLINE_EXCEEDED:
		return EXIT_TIMED_OUT;
	case RPC_ALREADY_EXISTS:
	case RPC_FAILED_PRECONDITION:
		return EXIT_OUTPUT;
	case RPC_OUT_OF_RANGE:
	case RPC_ABORTED:
		return EXIT_MISMATCH;
	case RPC_RESOURCE_EXHAUSTED:
		return EXIT_NO_SPACE;
	case RPC_UNAVAILABLE:
		return EXIT_NETWORK;
	default:
		return EXIT_OTHER;
	}
}

static void on_closed(struct rpc_stream *s, enum rpc_code code, const char *text,
		      const void *details, size_t details_len, void *arg)
{
	struct talk *t = arg;
	json_t *json cleanup(json_decref_at) = NULL;
	struct result *r = t->result;

	(void)s;
	lock_take(&t->lock);
	t->closed = true;
	r->exit = exit_of_code(code);
	/* The daemon itself never says so: an origin's failure comes as RPC_INTERNAL. */
	if (code == RPC_UNAVAILABLE) {
		r->no_daemon = !t->started;
		r->exit = EXIT_NO_DAEMON;
	}
	/* An origin's own status comes as JSON beside the code. */
	if (code == RPC_INTERNAL && details_len &&
	    json_parse(details, details_len, 64 << 10, &json, NULL) == 0 &&
	    json_u64(json, "status_code", 0))
		r->exit = exit_of_status((unsigned)json_u64(json, "status_code", 0));
	if (r->exit == EXIT_NETWORK && t->options->disable_back_to_source)
		r->exit = EXIT_NO_P2P;
	if (r->exit != EXIT_DONE)
		err_set(&r->err, EPROTO, "%s", text && *text ? text : "the daemon gave no reason");
	cond_wake_all(&t->changed);
	lock_drop(&t->lock);
}

static const struct rpc_stream_ops ops = {
	.response = &dfdaemon__v2__download_task_response__descriptor,
	.message = on_message,
	.closed = on_closed,
};

/* ---- the main thread's side ---- */

static int write_all(int fd, const uint8_t *data, size_t len, struct err *e)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, errno, "write output");
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Writes the chunks that are next in order, without the lock while it writes. */
static int write_ready(struct talk *t, struct rpc_stream *s, struct err *e)
{
	int r = 0;

	while (r == 0 && !list_empty(&t->chunks)) {
		struct chunk *c = list_entry(t->chunks.next, struct chunk, link);

		if (c->off != t->written)
			break;
		list_remove(&c->link);
		lock_drop(&t->lock);
		r = write_all(t->out_fd, c->data, c->len, e);
		lock_take(&t->lock);
		t->written += c->len;
		t->waiting -= c->len;
		if (t->waiting < WAITING_LOW)
			rpc_stream_resume(s);
		free(c->data);
		free(c);
	}
	return r;
}

/* A pending SIGINT or SIGTERM, or 0. */
static int signal_came(void)
{
	const struct timespec none = {0};
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sig = sigtimedwait(&set, NULL, &none);
	return sig > 0 ? sig : 0;
}

static void wait_for_end(struct talk *t, struct rpc_stream *s, struct progress *p)
{
	struct result *r = t->result;
	int sig = 0;

	lock_take(&t->lock);
	for (;;) {
		struct tally now;

		if (write_ready(t, s, &r->err) < 0) {
			r->exit = r->err.code == ENOSPC || r->err.code == EDQUOT ? EXIT_NO_SPACE
										 : EXIT_OUTPUT;
			break;
		}
		if (t->closed)
			break;
		cond_wait_until(&t->changed, &t->lock, clock_ms() + TICK_MS);
		now = r->tally;
		lock_drop(&t->lock);
		progress_show(p, &now);
		sig = signal_came();
		lock_take(&t->lock);
		if (sig)
			break;
	}
	lock_drop(&t->lock);
	if (sig) {
		r->exit = (enum cli_exit)(128 + sig);
		err_set(&r->err, ECANCELED, "interrupted; asked again it goes on where it stopped");
	}
}

void conversation_run(const struct options *o, int out_fd, struct progress *p, struct result *out)
{
	struct talk t = {.options = o, .out_fd = out_fd, .result = out};
	struct result kept;
	char target[4096 + 8];
	struct rpc_channel *ch;
	struct rpc_stream *s;
	Dfdaemon__V2__DownloadTaskRequest *rq = request_new(o, out_fd >= 0);

	*out = (struct result){0};
	lock_init(&t.lock, RANK_TALK);
	cond_init(&t.changed);
	list_init(&t.chunks);
	snprintf(target, sizeof(target), "unix:%s", o->endpoint);
	ch = rpc_channel_new(target, NULL);
	s = rpc_stream_new(ch, "/dfdaemon.v2.DfdaemonDownload/DownloadTask", &ops, &t,
			   o->timeout_ms);
	rpc_stream_send(s, &rq->base);
	rpc_stream_half_close(s);
	protobuf_c_message_free_unpacked(&rq->base, NULL);
	wait_for_end(&t, s, p);
	kept = *out;
	rpc_stream_free(s); /* a cancelled stream's closed() must not speak over what we know */
	*out = kept;
	rpc_channel_free(ch);
	list_each_safe (it, &t.chunks) {
		struct chunk *c = list_entry(it, struct chunk, link);

		free(c->data);
		free(c);
	}
	for (unsigned i = 0; i < out->tally.parents; i++)
		free(t.parents[i]);
	cond_release(&t.changed);
	lock_release(&t.lock);
}
