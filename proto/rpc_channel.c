/*
 * A channel: one connection to one target, which gRPC core makes and mends, and the blocking unary
 * call. A unary call has a completion queue of its own, so its caller serves itself: no hand-over
 * between threads.
 */
#include "proto/rpc_channel.h"

#include "base/lock.h"
#include "base/mem.h"
#include "proto/rpc_args.h"
#include "proto/rpc_credentials.h"
#include "proto/rpc_pack.h"
#include "proto/rpc_stream.h"

#include <assert.h>
#include <errno.h>
#include <grpc/slice.h>
#include <health_v1.pb-c.h>
#include <inttypes.h>
#include <string.h>

#define CONNECT_MS	     3000
#define BACKOFF_FIRST_MS     200
#define BACKOFF_MAX_MS	     5000
#define KEEPALIVE_MS	     300000 /* Go servers refuse shorter ones */
#define KEEPALIVE_TIMEOUT_MS 20000
#define MESSAGE_LEN_MAX	     (16 << 20)
#define METADATA_MAX	     (64 << 10)

struct rpc_channel {
	grpc_channel *channel;
	char *target;
	bool by_tls, has_cert; /* how it is secured */
	atomic_int refs;       /* the owner's and each stream's */
	struct lock lock;
	struct list streams; /* lock */
	struct rpc_tag settled_tag;
};

static gpr_timespec deadline_in(int64_t ms)
{
	return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(ms, GPR_TIMESPAN));
}

/* server_name: NULL = the target's. */
static grpc_channel *create_channel(const char *target, grpc_channel_credentials *credentials,
				    const char *server_name)
{
	grpc_arg args[] = {
		rpc_arg_text(GRPC_ARG_PRIMARY_USER_AGENT_STRING, "skimmer/" SKIMMER_VERSION),
		RPC_ARGS_NO_COMPRESSION,
		RPC_ARGS_WINDOW,
		rpc_arg_quota(rpc_client_quota()),
		/* users point http_proxy at us */
		rpc_arg_int(GRPC_ARG_ENABLE_HTTP_PROXY, 0),
		/* no TXT records asked for */
		rpc_arg_int(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1),
		/* a channel's connection and its back-off are its own */
		rpc_arg_int(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1),
		/* also the longest time to connect */
		rpc_arg_int(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, CONNECT_MS),
		rpc_arg_int(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, BACKOFF_FIRST_MS),
		rpc_arg_int(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, BACKOFF_MAX_MS),
		rpc_arg_int(GRPC_ARG_KEEPALIVE_TIME_MS, KEEPALIVE_MS),
		rpc_arg_int(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_TIMEOUT_MS),
		rpc_arg_int(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
		rpc_arg_int(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, MESSAGE_LEN_MAX),
		rpc_arg_int(GRPC_ARG_MAX_METADATA_SIZE, METADATA_MAX),
		rpc_arg_int(GRPC_ARG_ENABLE_CHANNELZ, 0),
		/* the last, left out without a name */
		rpc_arg_text(GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, server_name),
	};
	grpc_channel_args list = {.num_args = array_len(args) - !server_name, .args = args};

	return grpc_channel_create(target, credentials, &list);
}

static void channel_unref(struct rpc_channel *ch)
{
	if (atomic_fetch_sub(&ch->refs, 1) != 1)
		return;
	lock_release(&ch->lock);
	free(ch->target);
	free(ch);
}

/* Core leaks a connection whose making ends after its channel's end: a channel that is connecting
 * is destroyed when it is connected or has failed. */
static void destroy_channel(struct rpc_tag *tag, bool ok)
{
	struct rpc_channel *ch = container_of(tag, struct rpc_channel, settled_tag);

	(void)ok;
	grpc_channel_destroy(ch->channel);
	channel_unref(ch);
	rpc_client_leave();
}

struct rpc_channel *rpc_channel_new(const char *target, const struct rpc_tls *tls)
{
	struct rpc_channel *ch = mem_new(struct rpc_channel);
	grpc_channel_credentials *credentials = NULL;
	struct err e = {0};

	ch->target = mem_strdup(target);
	ch->by_tls = !rpc_tls_is_off(tls);
	ch->has_cert = ch->by_tls && tls->cert;
	atomic_init(&ch->refs, 1);
	lock_init(&ch->lock, 70);
	list_init(&ch->streams);
	ch->settled_tag.done = destroy_channel;
	if (rpc_credentials_client(tls, &credentials, &e) < 0) {
		/* every call on it tells why */
		ch->channel = grpc_lame_client_channel_create(
			target, (grpc_status_code)rpc_code_of_errno(e.code), e.text);
		return ch;
	}
	ch->channel = create_channel(target, credentials, tls ? tls->server_name : NULL);
	grpc_channel_credentials_release(credentials);
	return ch;
}

/* By what core 1.51 and OpenSSL 3 say; with others people read their words. */
const char *rpc_channel_words(const struct rpc_channel *ch, const char *text)
{
	if (!strstr(text, "failed to connect"))
		return text;
	if (strstr(text, "wrong version number"))
		return "that port does not speak TLS";
	if (strstr(text, "certificate verify failed"))
		return "its certificate is not of the CA that we were told, or has expired";
	if (strstr(text, "Hostname Verification Check"))
		return "its certificate is not made out for the address (serverName says for what "
		       "else it may be)";
	if (!strstr(text, "Socket closed") && !strstr(text, "Connection reset"))
		return text;
	if (!ch->by_tls)
		return "it ended the connection before a word: that port may want TLS";
	return ch->has_cert ? "it ended the connection: it does not take our certificate"
			    : "it ended the connection: it may want a certificate of ours";
}

void rpc_channel_join(struct rpc_channel *ch, struct rpc_stream *s)
{
	atomic_fetch_add(&ch->refs, 1);
	lock_guard(&ch->lock);
	list_push_back(&ch->streams, &s->link);
}

void rpc_channel_leave(struct rpc_channel *ch, struct rpc_stream *s)
{
	lock_take(&ch->lock);
	list_remove(&s->link);
	lock_drop(&ch->lock);
	channel_unref(ch);
}

/* The next stream with a reference, out of the list; NULL at the end. */
static struct rpc_stream *pop_stream(struct rpc_channel *ch)
{
	struct rpc_stream *s;
	struct list *link;

	lock_guard(&ch->lock);
	link = list_pop_front(&ch->streams);
	if (!link)
		return NULL;
	s = list_entry(link, struct rpc_stream, link);
	pipe_ref(&s->pipe);
	return s;
}

void rpc_channel_free(struct rpc_channel *ch)
{
	struct rpc_stream *s;

	if (!ch)
		return;
	while ((s = pop_stream(ch))) {
		pipe_cancel(&s->pipe);
		pipe_unref(&s->pipe);
	}
	rpc_client_enter();
	if (grpc_channel_check_connectivity_state(ch->channel, 0) != GRPC_CHANNEL_CONNECTING) {
		destroy_channel(&ch->settled_tag, true);
		return;
	}
	rpc_tag_start(&ch->settled_tag);
	grpc_channel_watch_connectivity_state(ch->channel, GRPC_CHANNEL_CONNECTING,
					      deadline_in(CONNECT_MS + 1000), rpc_client_queue(),
					      &ch->settled_tag);
}

const char *rpc_channel_target(const struct rpc_channel *ch)
{
	return ch->target;
}

grpc_call *rpc_channel_call(struct rpc_channel *ch, const char *path, grpc_completion_queue *cq,
			    int64_t timeout_ms)
{
	gpr_timespec deadline = gpr_inf_future(GPR_CLOCK_MONOTONIC);
	grpc_slice method = grpc_slice_from_copied_string(path);
	grpc_call *call;

	if (timeout_ms != 0)
		deadline = deadline_in(timeout_ms);
	call = grpc_channel_create_call(ch->channel, NULL, GRPC_PROPAGATE_DEFAULTS, cq, method,
					NULL, deadline, NULL);
	grpc_slice_unref(method);
	return call;
}

/* What a unary call receives. */
struct answer {
	grpc_metadata_array head, trailer;
	grpc_byte_buffer *bytes;
	grpc_status_code code;
	grpc_slice text;
};

static void answer_release(struct answer *a)
{
	grpc_metadata_array_destroy(&a->head);
	grpc_metadata_array_destroy(&a->trailer);
	grpc_byte_buffer_destroy(a->bytes);
	grpc_slice_unref(a->text);
}

/* Everything of a unary call is one batch; blocks until it has ended. */
static void exchange(grpc_call *call, grpc_completion_queue *cq, const ProtobufCMessage *req,
		     const struct trace_context *trace, struct answer *a)
{
	char traceparent[TRACE_PARENT_LEN + 1];
	grpc_metadata metadata = {.key = grpc_slice_from_static_string("traceparent")};
	grpc_byte_buffer *out = rpc_pack(req);
	grpc_call_error r;
	grpc_op ops[6] = {
		{.op = GRPC_OP_SEND_INITIAL_METADATA},
		{.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = out},
		{.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
		{.op = GRPC_OP_RECV_INITIAL_METADATA,
		 .data.recv_initial_metadata.recv_initial_metadata = &a->head},
		{.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &a->bytes},
		{.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
		 .data.recv_status_on_client = {.trailing_metadata = &a->trailer,
						.status = &a->code,
						.status_details = &a->text}},
	};

	if (trace_context_is_set(trace)) {
		trace_context_print(trace, traceparent);
		metadata.value = grpc_slice_from_copied_string(traceparent);
		ops[0].data.send_initial_metadata.metadata = &metadata;
		ops[0].data.send_initial_metadata.count = 1;
	}
	r = grpc_call_start_batch(call, ops, array_len(ops), a, NULL);
	assert(r == GRPC_CALL_OK);
	(void)r;
	grpc_completion_queue_pluck(cq, a, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
	grpc_byte_buffer_destroy(out);
	if (trace_context_is_set(trace))
		grpc_slice_unref(metadata.value);
}

static void end_span(struct span *span, const struct answer *a, const struct err *e)
{
	span_number(span, "rpc.grpc.status_code", (int64_t)a->code);
	if (a->code != GRPC_STATUS_OK)
		span_fail(span, e ? e->text : "");
	span_end(span);
}

/* Turns the status into *e; 0 if it is OK. */
static int judge(const struct rpc_channel *ch, const char *path, const struct answer *a,
		 struct err *e)
{
	cleanup(free_at) char *text = NULL;
	int code = rpc_code_to_errno((int)a->code);

	if (a->code == GRPC_STATUS_OK)
		return 0;
	text = grpc_slice_to_c_string(a->text);
	/* The text says it all: set as EPROTO it gets no strerror() behind it. */
	err_set(e, EPROTO, "%s of %s: %s", path, ch->target, rpc_channel_words(ch, text));
	if (e)
		e->code = code;
	return -code;
}

int rpc_unary(struct rpc_channel *ch, const char *path, const ProtobufCMessage *req,
	      const ProtobufCMessageDescriptor *resp_desc, int64_t timeout_ms,
	      ProtobufCMessage **resp_out, int *code_out, struct err *e)
{
	grpc_completion_queue *cq = grpc_completion_queue_create_for_pluck(NULL);
	grpc_call *call = rpc_channel_call(ch, path, cq, timeout_ms > 0 ? timeout_ms : 1);
	struct answer a = {.text = grpc_empty_slice()};
	struct span span = {0};
	int r;

	if (trace_is_on() && trace_context_is_set(&trace_here))
		span_begin(&span, path + 1, SPAN_CLIENT, &trace_here);
	span_text(&span, "rpc.system", "grpc");
	span_text(&span, "net.peer.name", ch->target);
	exchange(call, cq, req, &span.context, &a);
	r = judge(ch, path, &a, e);
	if (r == 0) {
		*resp_out = a.bytes ? rpc_unpack(resp_desc, take_ptr(&a.bytes)) : NULL;
		if (!*resp_out) {
			a.code = GRPC_STATUS_INTERNAL;
			r = err_set(e, EPROTO, "%s of %s: malformed answer", path, ch->target);
		}
	}
	if (code_out)
		*code_out = (int)a.code;
	end_span(&span, &a, e);
	answer_release(&a);
	grpc_call_unref(call);
	grpc_completion_queue_shutdown(cq);
	grpc_completion_queue_destroy(cq);
	return r;
}

int rpc_check_health(struct rpc_channel *ch, int64_t timeout_ms, struct err *e)
{
	Grpc__Health__V1__HealthCheckRequest req = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
	ProtobufCMessage *resp;
	bool serving;
	int r;

	r = rpc_unary(ch, "/grpc.health.v1.Health/Check", &req.base,
		      &grpc__health__v1__health_check_response__descriptor, timeout_ms, &resp, NULL,
		      e);
	if (r < 0)
		return r;
	serving = ((Grpc__Health__V1__HealthCheckResponse *)resp)->status ==
		  GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
	protobuf_c_message_free_unpacked(resp, NULL);
	return serving ? 0 : err_set(e, EHOSTUNREACH, "%s is not serving", ch->target);
}
