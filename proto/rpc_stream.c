/* A client's stream: messages and the end are told on the process's one client thread. */
#include "proto/rpc_stream.h"

#include "base/mem.h"
#include "base/trace.h"
#include "proto/rpc_channel.h"
#include "proto/rpc_pack.h"

#include <grpc/slice.h>
#include <string.h>

static struct rpc_stream *stream_of(struct rpc_pipe *p)
{
	return container_of(p, struct rpc_stream, pipe);
}

static void stream_read(struct rpc_pipe *p, grpc_byte_buffer *bytes)
{
	struct rpc_stream *s = stream_of(p);
	ProtobufCMessage *msg;

	if (!bytes)
		return; /* the status follows */
	if (atomic_load(&s->dropped) || s->malformed) {
		grpc_byte_buffer_destroy(bytes);
		return;
	}
	msg = rpc_unpack(s->ops->response, bytes);
	if (!msg) {
		s->malformed = true;
		pipe_cancel(p);
		return;
	}
	if (s->ops->message)
		s->ops->message(s, msg, s->arg);
	protobuf_c_message_free_unpacked(msg, NULL);
	pipe_read(p);
}

static const void *find_details(const grpc_metadata_array *a, size_t *len_out)
{
	for (size_t i = 0; i < a->count; i++) {
		const grpc_metadata *m = &a->metadata[i];

		if (grpc_slice_str_cmp(m->key, "grpc-status-details-bin") != 0)
			continue;
		*len_out = GRPC_SLICE_LENGTH(m->value);
		return GRPC_SLICE_START_PTR(m->value);
	}
	*len_out = 0;
	return NULL;
}

static void begin_span(struct rpc_stream *s, const char *path)
{
	if (!trace_is_on() || !trace_context_is_set(&trace_here))
		return;
	span_begin(&s->span, path + 1, SPAN_CLIENT, &trace_here);
	span_text(&s->span, "rpc.system", "grpc");
	span_text(&s->span, "net.peer.name", rpc_channel_target(s->channel));
	pipe_set_trace(&s->pipe, &s->span.context);
}

static void end_span(struct rpc_stream *s, int code, const char *text)
{
	span_number(&s->span, "rpc.grpc.status_code", code);
	if (code != RPC_OK && code != RPC_CANCELLED)
		span_fail(&s->span, text);
	span_end(&s->span);
}

static void stream_over(struct rpc_pipe *p)
{
	struct rpc_stream *s = stream_of(p);
	cleanup(free_at) char *said = grpc_slice_to_c_string(p->status_text);
	const char *text = rpc_channel_words(s->channel, said);
	size_t len;
	const void *details = find_details(&p->trailer, &len);

	end_span(s, (int)p->status, text);
	rpc_channel_leave(s->channel, s);
	if (!atomic_load(&s->dropped)) {
		if (s->malformed)
			s->ops->closed(s, RPC_INTERNAL, "malformed message", NULL, 0, s->arg);
		else
			s->ops->closed(s, (enum rpc_code)p->status, text, details, len, s->arg);
	}
	rpc_client_leave();
}

static void stream_free(struct rpc_pipe *p)
{
	pipe_release(p);
	free(stream_of(p));
}

static const struct pipe_owner stream_owner = {
	.read = stream_read,
	.over = stream_over,
	.free = stream_free,
};

struct rpc_stream *rpc_stream_new(struct rpc_channel *ch, const char *path,
				  const struct rpc_stream_ops *ops, void *arg, int64_t timeout_ms)
{
	struct rpc_stream *s = mem_new(struct rpc_stream);

	pipe_init(&s->pipe, &stream_owner, false);
	list_init(&s->link);
	s->channel = ch;
	s->ops = ops;
	s->arg = arg;
	begin_span(s, path);
	s->pipe.call = rpc_channel_call(ch, path, rpc_client_queue(), timeout_ms);
	rpc_client_enter();
	rpc_channel_join(ch, s);
	pipe_start(&s->pipe, true);
	pipe_send_header(&s->pipe);
	return s;
}

bool rpc_stream_send(struct rpc_stream *s, const ProtobufCMessage *msg)
{
	return pipe_send(&s->pipe, msg, false);
}

void rpc_stream_half_close(struct rpc_stream *s)
{
	pipe_end(&s->pipe, RPC_OK, NULL, NULL, 0);
}

void rpc_stream_hold(struct rpc_stream *s)
{
	pipe_hold(&s->pipe);
}

void rpc_stream_resume(struct rpc_stream *s)
{
	pipe_resume(&s->pipe);
}

void rpc_stream_cancel(struct rpc_stream *s)
{
	pipe_cancel(&s->pipe);
}

void rpc_stream_free(struct rpc_stream *s)
{
	if (!s)
		return;
	pipe_cancel(&s->pipe);
	pipe_wait_over(&s->pipe);
	pipe_unref(&s->pipe);
}

void rpc_stream_drop(struct rpc_stream *s)
{
	if (!s)
		return;
	atomic_store(&s->dropped, true);
	pipe_cancel(&s->pipe);
	pipe_unref(&s->pipe);
}
