/*
 * A server: its addresses, its table of methods, and for each of its queues one request always
 * armed, because gRPC core leaves calls hanging that nobody asked for. A call stays with the queue
 * it arrived on, so its callbacks come one at a time. Every call arrives the same way; an unknown
 * method is answered UNIMPLEMENTED by us.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/net.h"
#include "proto/rpc_accept.h"
#include "proto/rpc_args.h"
#include "proto/rpc_call.h"
#include "proto/rpc_credentials.h"
#include "proto/rpc_health.h"

#include <assert.h>
#include <errno.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <string.h>

#define CALLS_MAX	     65536
#define METADATA_MAX	     (16 << 10)
#define MESSAGE_LEN_MAX	     (16 << 20)
#define MEMORY_MAX	     (256 << 20)
#define STREAMS_MAX	     1000
#define KEEPALIVE_MS	     60000
#define KEEPALIVE_TIMEOUT_MS 20000
#define IDLE_MS		     600000
#define HANDSHAKE_MS	     10000

struct entry {
	const struct rpc_method *method;
	void *arg;
};

struct rpc_server {
	struct rpc_queue *queues;
	unsigned queue_count;
	grpc_server *server;
	struct entry *entries;
	size_t entry_count;
	struct rpc_health health;
	struct rpc_accept *accept;
	uint16_t port;
	struct rpc_tag stopped_tag;

	struct lock lock; /* everything below */
	struct cond changed;
	bool stopped;
	unsigned calls;
};

static const struct entry *find_entry(const struct rpc_server *s, grpc_slice path)
{
	size_t len = GRPC_SLICE_LENGTH(path);

	for (size_t i = 0; i < s->entry_count; i++) {
		const char *p = s->entries[i].method->path;

		if (strlen(p) == len && memcmp(p, GRPC_SLICE_START_PTR(path), len) == 0)
			return &s->entries[i];
	}
	return NULL;
}

/* rpc_health_knows: "" is the server as a whole. */
static bool has_service(const void *server, const char *service)
{
	const struct rpc_server *s = server;
	size_t len = strlen(service);

	if (len == 0)
		return true;
	for (size_t i = 0; i < s->entry_count; i++) {
		const char *path = s->entries[i].method->path + 1;

		if (strncmp(path, service, len) == 0 && path[len] == '/')
			return true;
	}
	return false;
}

void rpc_server_call_over(struct rpc_server *s)
{
	lock_guard(&s->lock);
	s->calls--;
	cond_wake_all(&s->changed);
}

/* Core's own limit begins when the client has acknowledged it. */
static bool has_long_header(const grpc_metadata_array *a)
{
	size_t len = 0;

	for (size_t i = 0; i < a->count; i++)
		len += GRPC_SLICE_LENGTH(a->metadata[i].key) +
		       GRPC_SLICE_LENGTH(a->metadata[i].value) + 32;
	return len > METADATA_MAX;
}

static void arm(struct rpc_server *s, struct rpc_queue *q);

static void call_arrived(struct rpc_tag *tag, bool ok)
{
	struct rpc_call *call = container_of(tag, struct rpc_call, new_tag);
	struct rpc_server *s = call->server;
	const struct entry *entry;
	bool full;

	if (!ok) { /* the server stops */
		rpc_call_unref(call);
		return;
	}
	arm(s, call->queue);
	lock_take(&s->lock);
	full = s->calls++ >= CALLS_MAX;
	lock_drop(&s->lock);
	call->peer = rpc_accept_peer(s->accept, call->pipe.call);
	entry = find_entry(s, call->details.method);
	if (full)
		rpc_call_refuse(call, RPC_RESOURCE_EXHAUSTED, "too many calls");
	else if (has_long_header(&call->pipe.head))
		rpc_call_refuse(call, RPC_RESOURCE_EXHAUSTED, "too much metadata");
	else if (!entry)
		rpc_call_refuse(call, RPC_UNIMPLEMENTED, "unknown method");
	else
		rpc_call_begin(call, entry->method, entry->arg);
}

static void arm(struct rpc_server *s, struct rpc_queue *q)
{
	struct rpc_call *call = rpc_call_new(s);
	grpc_call_error r;

	call->queue = q;
	call->new_tag.done = call_arrived;
	rpc_tag_start(&call->new_tag);
	r = grpc_server_request_call(s->server, &call->pipe.call, &call->details, &call->pipe.head,
				     q->cq, q->cq, &call->new_tag);
	assert(r == GRPC_CALL_OK);
	(void)r;
}

static void server_stopped(struct rpc_tag *tag, bool ok)
{
	struct rpc_server *s = container_of(tag, struct rpc_server, stopped_tag);

	(void)ok;
	lock_guard(&s->lock);
	s->stopped = true;
	cond_wake_all(&s->changed);
}

static void build_entries(struct rpc_server *s, const struct rpc_server_config *c)
{
	size_t count = 2, at = 0;

	for (size_t i = 0; c->services && c->services[i]; i++)
		for (size_t j = 0; c->services[i][j].path; j++)
			count++;
	s->entries = mem_array(count, sizeof(*s->entries));
	for (size_t i = 0; c->services && c->services[i]; i++)
		for (size_t j = 0; c->services[i][j].path; j++) {
			s->entries[at].method = &c->services[i][j];
			s->entries[at++].arg = c->service_args ? c->service_args[i] : NULL;
		}
	for (size_t j = 0; rpc_health_methods[j].path; j++) {
		s->entries[at].method = &rpc_health_methods[j];
		s->entries[at++].arg = &s->health;
	}
	s->entry_count = at;
}

static void create_server(struct rpc_server *s, const struct rpc_server_config *c)
{
	int len_max = c->message_len_max ? (int)c->message_len_max : MESSAGE_LEN_MAX;
	int streams_max = c->streams_max ? (int)c->streams_max : STREAMS_MAX;
	uint64_t memory_max = c->memory_max ? c->memory_max : MEMORY_MAX;
	grpc_resource_quota *quota = grpc_resource_quota_create("rpc-server");
	grpc_arg args[] = {
		RPC_ARGS_NO_COMPRESSION,
		RPC_ARGS_WINDOW,
		rpc_arg_quota(quota),
		rpc_arg_int(GRPC_ARG_ALLOW_REUSEPORT, 0),
		rpc_arg_int(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, len_max),
		rpc_arg_int(GRPC_ARG_MAX_CONCURRENT_STREAMS, streams_max),
		rpc_arg_int(GRPC_ARG_MAX_METADATA_SIZE, METADATA_MAX),
		rpc_arg_int(GRPC_ARG_KEEPALIVE_TIME_MS, KEEPALIVE_MS),
		rpc_arg_int(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_TIMEOUT_MS),
		rpc_arg_int(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
		rpc_arg_int(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
		/* never punish a client for its pings */
		rpc_arg_int(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0),
		rpc_arg_int(GRPC_ARG_MAX_CONNECTION_IDLE_MS, IDLE_MS),
		rpc_arg_int(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, HANDSHAKE_MS),
		rpc_arg_int(GRPC_ARG_ENABLE_CHANNELZ, 0),
		/* Dragonfly's client sends grpc-timeout with streams too, 10 s, and means the time
		 * until the header, as its own servers do: the deadline is the client's to keep. */
		rpc_arg_int(GRPC_ARG_ENABLE_DEADLINE_CHECKS, 0),
	};
	grpc_channel_args list = {.num_args = array_len(args), .args = args};

	grpc_resource_quota_resize(quota, memory_max);
	s->server = grpc_server_create(&list, NULL);
	grpc_resource_quota_unref(quota);
	s->accept = rpc_accept_new(s->server);
	for (unsigned i = 0; i < s->queue_count; i++)
		grpc_server_register_completion_queue(s->server, s->queues[i].cq, NULL);
}

/* TLS addresses are core's to listen on; it is tried before, as core only logs why it cannot. */
static int listen_tls(struct rpc_server *s, const char *address, grpc_server_credentials *tls,
		      uint16_t *port_out, struct err *e)
{
	cleanup(close_at) int fd = -1;
	struct net_addr a;
	char text[128];
	uint16_t port;
	int r;

	if (!net_split(address, text, sizeof(text), 0, &port) ||
	    !net_addr_parse(*text ? text : "::", port, &a))
		return err_set(e, EINVAL, "\"%s\" is no address to listen on: ip:port", address);
	r = net_listen(text, port, 1, &fd, NULL, e);
	if (r < 0)
		return r;
	close_at(&fd);
	net_addr_print(&a, text, sizeof(text));
	r = grpc_server_add_http2_port(s->server, text, tls);
	if (r == 0)
		return err_blame(e, "SK130", err_set(e, EIO, "gRPC cannot listen on %s", text));
	*port_out = (uint16_t)r;
	return 0;
}

static int add_addresses(struct rpc_server *s, const struct rpc_server_config *c, struct err *e)
{
	grpc_server_credentials *tls = NULL;
	int r = 0;

	if (!rpc_tls_is_off(c->tls))
		r = rpc_credentials_server(c->tls, &tls, e);
	for (size_t i = 0; r == 0 && c->listen[i]; i++) {
		bool is_unix = strncmp(c->listen[i], "unix:", 5) == 0;
		uint16_t port;

		if (tls && !is_unix)
			r = listen_tls(s, c->listen[i], tls, &port, e);
		else
			r = rpc_accept_listen(s->accept, c->listen[i], &port, e);
		if (r == 0 && !is_unix && s->port == 0)
			s->port = port;
	}
	if (tls)
		grpc_server_credentials_release(tls);
	return r;
}

int rpc_server_new(const struct rpc_server_config *c, struct rpc_server **out, struct err *e)
{
	struct rpc_server *s = mem_new(struct rpc_server);
	int r;

	lock_init(&s->lock, 70);
	cond_init(&s->changed);
	rpc_health_init(&s->health, has_service, s);
	s->stopped_tag.done = server_stopped;
	build_entries(s, c);
	s->queue_count = c->threads ? c->threads : 1;
	s->queues = mem_array(s->queue_count, sizeof(*s->queues));
	for (unsigned i = 0; i < s->queue_count; i++)
		rpc_queue_start(&s->queues[i], "rpc-server");
	create_server(s, c);
	r = add_addresses(s, c, e);
	if (r < 0) {
		rpc_server_free(s, 0);
		return r;
	}
	grpc_server_start(s->server);
	rpc_accept_start(s->accept);
	for (unsigned i = 0; i < s->queue_count; i++)
		arm(s, &s->queues[i]);
	*out = s;
	return 0;
}

uint16_t rpc_server_port(const struct rpc_server *s)
{
	return s->port;
}

void rpc_server_set_serving(struct rpc_server *s, bool serving)
{
	rpc_health_set(&s->health, serving);
}

/* Until no call is left or the deadline. */
static void wait_calls(struct rpc_server *s, int64_t deadline_ms)
{
	bool in_time = true;

	lock_guard(&s->lock);
	while (s->calls > 0 && in_time)
		in_time = cond_wait_until(&s->changed, &s->lock, deadline_ms);
}

/* Until no call and no connection is left. */
static void wait_stopped(struct rpc_server *s)
{
	lock_guard(&s->lock);
	while (!s->stopped || s->calls > 0)
		cond_wait(&s->changed, &s->lock);
}

void rpc_server_free(struct rpc_server *s, int64_t grace_ms)
{
	if (!s)
		return;
	rpc_accept_stop(s->accept);
	rpc_health_stop(&s->health);
	rpc_tag_start(&s->stopped_tag);
	grpc_server_shutdown_and_notify(s->server, s->queues[0].cq, &s->stopped_tag);
	if (grace_ms > 0)
		wait_calls(s, clock_ms() + grace_ms);
	grpc_server_cancel_all_calls(s->server);
	wait_stopped(s);
	grpc_server_destroy(s->server);
	for (unsigned i = 0; i < s->queue_count; i++)
		rpc_queue_stop(&s->queues[i]);
	rpc_accept_free(s->accept);
	rpc_health_release(&s->health);
	lock_release(&s->lock);
	cond_release(&s->changed);
	free(s->entries);
	free(s->queues);
	free(s);
}
