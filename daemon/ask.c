/* Unary calls as streams of one message each way (ask.h). */
#include "daemon/ask.h"

#include "base/mem.h"

#include <stdatomic.h>

struct asking {
	struct rpc_stream_ops ops;
	atomic_int users; /* ask() and closed(); the last lets it go */
	ask_done done;
	void *arg;
	bool told;
};

static void asking_unref(struct asking *a, struct rpc_stream *stream)
{
	if (atomic_fetch_sub(&a->users, 1) != 1)
		return;
	rpc_stream_drop(stream);
	free(a);
}

static void asking_message(struct rpc_stream *stream, const ProtobufCMessage *msg, void *arg)
{
	struct asking *a = arg;

	(void)stream;
	if (a->told)
		return; /* a second answer to a unary call */
	a->told = true;
	a->done(msg, RPC_OK, NULL, a->arg);
}

static void asking_closed(struct rpc_stream *stream, enum rpc_code code, const char *text,
			  const void *details, size_t details_len, void *arg)
{
	struct asking *a = arg;

	(void)details;
	(void)details_len;
	if (!a->told && code == RPC_OK)
		a->done(NULL, RPC_INTERNAL, "no answer came", a->arg);
	else if (!a->told)
		a->done(NULL, code, text, a->arg);
	asking_unref(a, stream);
}

void ask(struct rpc_channel *ch, const char *path, const ProtobufCMessage *request,
	 const ProtobufCMessageDescriptor *answer, int64_t timeout_ms, ask_done done, void *arg)
{
	struct asking *a = mem_new(struct asking);
	struct rpc_stream *stream;

	a->ops = (struct rpc_stream_ops){
		.response = answer, .message = asking_message, .closed = asking_closed};
	atomic_init(&a->users, 2);
	a->done = done;
	a->arg = arg;
	stream = rpc_stream_new(ch, path, &a->ops, a, timeout_ms);
	(void)rpc_stream_send(stream, request);
	rpc_stream_half_close(stream);
	asking_unref(a, stream);
}
