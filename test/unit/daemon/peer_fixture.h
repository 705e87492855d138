/* The gRPC doors over a real store and real tasks, with a fake origin and scheduler behind them,
 * and a client that keeps what it hears. */
#ifndef TEST_UNIT_DAEMON_PEER_FIXTURE_H
#define TEST_UNIT_DAEMON_PEER_FIXTURE_H

#include "test/unit/daemon/task_fixture.h"

#include "daemon/peer_server.h"
#include "proto/message.h"
#include "test/unit/rpc_group.h"

#include "dfdaemon_v2.pb-c.h"

#define LENGTH	     (5 * PIECE - 100)
#define UPLOAD(m)    "/dfdaemon.v2.DfdaemonUpload/" m
#define DOWNLOAD(m)  "/dfdaemon.v2.DfdaemonDownload/" m
#define TIMEOUT_MS   30000
#define RANK_HEARING 88

/* ---- what fake_cluster.h leaves out of the scheduler */

static unsigned hosts_deleted;

int scheduler_client_find_task(struct scheduler_client *sc, const char *task_id,
			       ProtobufCMessage **out, struct err *e)
{
	Common__V2__Task *task;

	(void)sc;
	if (!fake_get(has_task))
		return err_set(e, ENOENT, "task %s", task_id);
	task = mem_new(Common__V2__Task);
	common__v2__task__init(task);
	task->id = mem_strdup(task_id);
	task->content_length = fake_get(task_length);
	task->peer_count = 7;
	*out = &task->base;
	return 0;
}

void scheduler_client_delete_host(struct scheduler_client *sc)
{
	(void)sc;
	__atomic_add_fetch(&hosts_deleted, 1, __ATOMIC_SEQ_CST);
}

/* ---- the setting */

struct door {
	struct setting *s;
	struct peer_server *server;
	struct rpc_channel *tcp, *local;
	char socket[128];
};

/* tls: of the port for peers, and of the client; NULL = plaintext. */
static inline void door_open_by(struct door *d, void **state, const struct rpc_tls *tls)
{
	struct peer_server_parts parts;
	struct peer_server_config c = {.ip = "127.0.0.1", .piece_port = 4005, .tls = tls};
	char target[160];

	d->s = *state;
	snprintf(d->socket, sizeof(d->socket), "%s/dfdaemon.sock", d->s->f->dir);
	c.socket_path = d->socket;
	parts = (struct peer_server_parts){.tasks = d->s->ts,
					   .store = d->s->f->store,
					   .host = d->s->host,
					   .scheduler = d->s->config.scheduler};
	assert_ok(peer_server_new(&c, &parts, &d->server, &d->s->e));
	snprintf(target, sizeof(target), "127.0.0.1:%u", peer_server_port(d->server));
	d->tcp = rpc_channel_new(target, tls);
	snprintf(target, sizeof(target), "unix:%s", d->socket);
	d->local = rpc_channel_new(target, NULL);
}

static inline void door_open(struct door *d, void **state)
{
	door_open_by(d, state, NULL);
}

static inline void door_close(struct door *d)
{
	rpc_channel_free(d->tcp);
	rpc_channel_free(d->local);
	peer_server_free(d->server);
}

/* A stream's messages, kept. */
struct hearing {
	struct lock lock;
	struct cond changed;
	struct rpc_stream *stream;
	/* all below: lock */
	ProtobufCMessage **messages;
	unsigned count;
	bool closed, stuck; /* stuck: does not read */
	enum rpc_code code;
	char text[256], details[1024];
};

static inline void hear_message(struct rpc_stream *stream, const ProtobufCMessage *msg, void *arg)
{
	struct hearing *h = arg;
	size_t len = protobuf_c_message_get_packed_size(msg);
	cleanup(free_at) uint8_t *bytes = mem_alloc(len + 1);

	(void)stream;
	protobuf_c_message_pack(msg, bytes);
	lock_guard(&h->lock);
	while (h->stuck)
		cond_wait(&h->changed, &h->lock);
	h->messages = mem_realloc(h->messages, (h->count + 1) * sizeof(*h->messages));
	h->messages[h->count++] = message_unpack(msg->descriptor, bytes, len);
	cond_wake_all(&h->changed);
}

static inline void hear_closed(struct rpc_stream *stream, enum rpc_code code, const char *text,
			       const void *details, size_t details_len, void *arg)
{
	struct hearing *h = arg;

	(void)stream;
	lock_guard(&h->lock);
	h->closed = true;
	h->code = code;
	snprintf(h->text, sizeof(h->text), "%s", text ? text : "");
	snprintf(h->details, sizeof(h->details), "%.*s", (int)details_len,
		 details ? (const char *)details : "");
	cond_wake_all(&h->changed);
}

static const struct rpc_stream_ops sync_ops
	__attribute__((unused)) = {.response = &dfdaemon__v2__sync_pieces_response__descriptor,
				   .message = hear_message,
				   .closed = hear_closed};
static const struct rpc_stream_ops host_ops __attribute__((unused)) = {
	.response = &common__v2__host__descriptor, .message = hear_message, .closed = hear_closed};
static const struct rpc_stream_ops download_ops
	__attribute__((unused)) = {.response = &dfdaemon__v2__download_task_response__descriptor,
				   .message = hear_message,
				   .closed = hear_closed};

static inline void hear(struct hearing *h, struct rpc_channel *ch, const char *path,
			const struct rpc_stream_ops *ops, const ProtobufCMessage *rq)
{
	memset(h, 0, sizeof(*h));
	lock_init(&h->lock, RANK_HEARING);
	cond_init(&h->changed);
	h->stream = rpc_stream_new(ch, path, ops, h, 0);
	assert_true(rpc_stream_send(h->stream, rq));
	rpc_stream_half_close(h->stream);
}

static inline void hearing_free(struct hearing *h)
{
	rpc_stream_free(h->stream);
	for (unsigned i = 0; i < h->count; i++)
		protobuf_c_message_free_unpacked(h->messages[i], NULL);
	free(h->messages);
	cond_release(&h->changed);
	lock_release(&h->lock);
}

static inline unsigned heard(struct hearing *h)
{
	lock_guard(&h->lock);
	return h->count;
}

/* Lives as long as h. There must be more than i. */
static inline const ProtobufCMessage *message_heard(struct hearing *h, unsigned i)
{
	lock_guard(&h->lock);
	return h->messages[i];
}

static inline bool is_over(struct hearing *h)
{
	lock_guard(&h->lock);
	return h->closed;
}

static inline enum rpc_code await_end(struct hearing *h)
{
	await(is_over(h));
	lock_guard(&h->lock);
	return h->code;
}

static inline int setup(void **state)
{
	return setup_with(state, LENGTH, false);
}

#define peer_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static inline int run(const struct CMUnitTest *tests, size_t count)
{
	return _cmocka_run_group_tests("peer", tests, count, rpc_group_setup, rpc_group_teardown);
}

#endif
