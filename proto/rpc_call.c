/* A server's call: from the request's arrival to closed(). */
#include "proto/rpc_call.h"

#include "base/mem.h"
#include "proto/rpc_count.h"
#include "proto/rpc_pack.h"

#include <grpc/slice.h>
#include <stdio.h>
#include <string.h>

static struct rpc_call *call_of(struct rpc_pipe *p)
{
	return container_of(p, struct rpc_call, pipe);
}

/* A message has come, or (NULL) the client has said that none will. */
static void call_read(struct rpc_pipe *p, grpc_byte_buffer *bytes)
{
	struct rpc_call *call = call_of(p);
	const struct rpc_method *m = call->method;
	ProtobufCMessage *req;

	trace_within(&call->span.context);
	if (pipe_is_ending(p)) {
		grpc_byte_buffer_destroy(bytes);
		return;
	}
	if (!bytes) {
		if (!call->told)
			pipe_end(p, RPC_INVALID_ARGUMENT, "no request was sent", NULL, 0);
		else if (m->half_closed)
			m->half_closed(call, call->arg);
		return;
	}
	req = rpc_unpack(m->request, bytes);
	if (!req) {
		pipe_end(p, RPC_INVALID_ARGUMENT, "malformed request", NULL, 0);
		return;
	}
	call->told = true;
	m->message(call, req, call->arg);
	protobuf_c_message_free_unpacked(req, NULL);
	/* Clients wait for the header before they look for messages. */
	pipe_send_header(p);
	if (m->client_streams)
		pipe_read(p);
}

static void begin_span(struct rpc_call *call)
{
	struct trace_context parent;

	/* Probes would be most of what is seen. */
	if (!trace_is_on() || strncmp(call->method->path, "/grpc.health.", 13) == 0)
		return;
	trace_context_parse(rpc_call_metadata(call, "traceparent"), &parent);
	span_begin(&call->span, call->method->path + 1, SPAN_SERVER, &parent);
	span_text(&call->span, "rpc.system", "grpc");
	span_text(&call->span, "net.peer.name", call->peer);
}

static void count_end(struct rpc_call *call)
{
	struct rpc_pipe *p = &call->pipe;
	char why[PIPE_TEXT_MAX + 1] = "";
	enum rpc_code code;

	lock_take(&p->lock);
	code = p->ending ? p->code : RPC_CANCELLED;
	if (p->ending && p->text && call->span.recording)
		snprintf(why, sizeof(why), "%s", p->text);
	lock_drop(&p->lock);
	rpc_count_handled(call->method, code);
	span_number(&call->span, "rpc.grpc.status_code", code);
	if (code != RPC_OK && code != RPC_CANCELLED)
		span_fail(&call->span, why);
	span_end(&call->span);
}

static void call_over(struct rpc_pipe *p)
{
	struct rpc_call *call = call_of(p);

	trace_within(&call->span.context);
	if (call->told && call->method->closed)
		call->method->closed(call, call->arg);
	count_end(call);
	rpc_server_call_over(call->server);
}

static void call_free(struct rpc_pipe *p)
{
	struct rpc_call *call = call_of(p);

	pipe_release(p);
	grpc_call_details_destroy(&call->details);
	free(call->peer);
	free(call->metadata);
	free(call);
}

static const struct pipe_owner call_owner = {
	.read = call_read,
	.over = call_over,
	.free = call_free,
};

struct rpc_call *rpc_call_new(struct rpc_server *server)
{
	struct rpc_call *call = mem_new(struct rpc_call);

	pipe_init(&call->pipe, &call_owner, true);
	grpc_call_details_init(&call->details);
	call->server = server;
	return call;
}

static char *append_slice(char *at, grpc_slice slice)
{
	size_t len = GRPC_SLICE_LENGTH(slice);

	memcpy(at, GRPC_SLICE_START_PTR(slice), len);
	at[len] = '\0';
	return at + len + 1;
}

/* gRPC's own copy goes with the grpc_call, ours lives as long as the rpc_call. Its size is bounded
 * by the server's limit of metadata. */
static char *copy_metadata(const grpc_metadata_array *a)
{
	size_t len = 1;
	char *text, *at;

	for (size_t i = 0; i < a->count; i++)
		len += GRPC_SLICE_LENGTH(a->metadata[i].key) +
		       GRPC_SLICE_LENGTH(a->metadata[i].value) + 2;
	text = at = mem_alloc(len);
	for (size_t i = 0; i < a->count; i++) {
		if (grpc_is_binary_header(a->metadata[i].key))
			continue;
		at = append_slice(at, a->metadata[i].key);
		at = append_slice(at, a->metadata[i].value);
	}
	*at = '\0';
	return text;
}

void rpc_call_begin(struct rpc_call *call, const struct rpc_method *method, void *arg)
{
	call->method = method;
	call->arg = arg;
	call->metadata = copy_metadata(&call->pipe.head);
	rpc_count_started(method);
	begin_span(call);
	pipe_start(&call->pipe, true);
	pipe_unref(&call->pipe);
}

void rpc_call_refuse(struct rpc_call *call, enum rpc_code code, const char *text)
{
	pipe_start(&call->pipe, false);
	pipe_end(&call->pipe, code, text, NULL, 0);
	pipe_unref(&call->pipe);
}

void rpc_call_ref(struct rpc_call *call)
{
	pipe_ref(&call->pipe);
}

void rpc_call_unref(struct rpc_call *call)
{
	pipe_unref(&call->pipe);
}

void rpc_call_set_user(struct rpc_call *call, void *user)
{
	call->user = user;
}

void *rpc_call_user(const struct rpc_call *call)
{
	return call->user;
}

const char *rpc_call_peer(const struct rpc_call *call)
{
	return call->peer;
}

const char *rpc_call_metadata(const struct rpc_call *call, const char *key)
{
	const char *at = call->metadata;

	while (*at) {
		const char *value = at + strlen(at) + 1;

		if (strcmp(at, key) == 0)
			return value;
		at = value + strlen(value) + 1;
	}
	return NULL;
}

const struct trace_context *rpc_call_trace(const struct rpc_call *call)
{
	return &call->span.context;
}

/* The lock is not const, the call as its user sees it is. */
bool rpc_call_is_closed(const struct rpc_call *call)
{
	return pipe_is_dead((struct rpc_pipe *)&call->pipe);
}

unsigned rpc_call_backlog(const struct rpc_call *call)
{
	return pipe_backlog((struct rpc_pipe *)&call->pipe);
}

bool rpc_call_send(struct rpc_call *call, const ProtobufCMessage *msg)
{
	return pipe_send(&call->pipe, msg, false);
}

bool rpc_call_queue(struct rpc_call *call, const ProtobufCMessage *msg)
{
	return pipe_queue(&call->pipe, msg);
}

void rpc_call_flush(struct rpc_call *call)
{
	pipe_flush(&call->pipe);
}

void rpc_call_finish(struct rpc_call *call, enum rpc_code code, const char *text)
{
	pipe_end(&call->pipe, code, text, NULL, 0);
}

void rpc_call_finish_details(struct rpc_call *call, enum rpc_code code, const char *text,
			     const void *details, size_t len)
{
	pipe_end(&call->pipe, code, text, details, len);
}

void rpc_call_reply(struct rpc_call *call, const ProtobufCMessage *msg)
{
	if (!pipe_send(&call->pipe, msg, true))
		pipe_end(&call->pipe, RPC_RESOURCE_EXHAUSTED, "the client does not read", NULL, 0);
}
