/*
 * The one place that starts batches of a call. One write is under way at a time: whoever finds
 * nothing being written decides under the lock what goes next and starts it outside; the write's
 * end starts the following one. A batch is counted from the decision on, so a call is never over,
 * and its queue never stopped, while somebody is about to start one.
 */
#include "proto/rpc_pipe.h"

#include "base/mem.h"
#include "proto/rpc_pack.h"

#include <assert.h>
#include <grpc/slice.h>
#include <string.h>

struct packed {
	struct list link;
	grpc_byte_buffer *bytes;
};

static void batch_ended(struct rpc_pipe *p)
{
	grpc_call *call;

	lock_take(&p->lock);
	p->batches--;
	call = p->dead && p->batches == 0 ? p->call : NULL;
	lock_drop(&p->lock);
	if (!call)
		return;
	p->owner->over(p);
	lock_take(&p->lock);
	p->call = NULL;
	p->told = true;
	cond_wake_all(&p->over_cond);
	lock_drop(&p->lock);
	grpc_call_unref(call);
	pipe_unref(p);
}

static void drop_queue(struct rpc_pipe *p)
{
	struct list *link;

	while ((link = list_pop_front(&p->queue))) {
		struct packed *packed = list_entry(link, struct packed, link);

		grpc_byte_buffer_destroy(packed->bytes);
		free(packed);
	}
	p->queued = 0;
}

static void start_batch(struct rpc_pipe *p, const grpc_op *ops, size_t count, struct rpc_tag *tag)
{
	grpc_call *call = p->call;
	grpc_call_error r;

	rpc_tag_start(tag);
	r = grpc_call_start_batch(call, ops, count, tag, NULL);
	assert(r == GRPC_CALL_OK);
	(void)r;
}

/* The server's end: the status with its text and details, as slices that the caller lets go. */
struct status {
	grpc_slice text;
	grpc_metadata details;
};

static void fill_status(const struct rpc_pipe *p, struct status *status, grpc_op *op)
{
	struct grpc_op_send_status_from_server *out = &op->data.send_status_from_server;

	op->op = GRPC_OP_SEND_STATUS_FROM_SERVER;
	out->status = (grpc_status_code)p->code;
	if (p->text) {
		status->text = grpc_slice_from_copied_string(p->text);
		out->status_details = &status->text;
	}
	if (p->details) {
		status->details.key = grpc_slice_from_static_string("grpc-status-details-bin");
		status->details.value = grpc_slice_from_copied_buffer(p->details, p->details_len);
		out->trailing_metadata = &status->details;
		out->trailing_metadata_count = 1;
	}
}

/* Starts the write that was decided upon: header, p->out if any, end. */
static void start_write(struct rpc_pipe *p, bool header, bool end)
{
	struct status status = {.text = grpc_empty_slice(), .details.value = grpc_empty_slice()};
	grpc_op ops[3] = {{0}};
	size_t n = 0;

	if (header) {
		ops[n].data.send_initial_metadata.metadata = &p->traceparent;
		ops[n].data.send_initial_metadata.count = p->has_trace ? 1 : 0;
		ops[n++].op = GRPC_OP_SEND_INITIAL_METADATA;
	}
	if (p->out) {
		ops[n].data.send_message.send_message = p->out;
		ops[n++].op = GRPC_OP_SEND_MESSAGE;
	}
	if (end && p->is_server)
		fill_status(p, &status, &ops[n++]);
	else if (end)
		ops[n++].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
	start_batch(p, ops, n, &p->write_tag);
	grpc_slice_unref(status.text);
	grpc_slice_unref(status.details.value);
}

/* Writes what is next, if nothing is being written. */
static void pump(struct rpc_pipe *p, bool want_header)
{
	bool header, end;
	struct list *link;

	lock_take(&p->lock);
	header = !p->header_sent;
	end = p->ending && !p->end_sent && p->queued <= 1;
	if (p->writing || p->dead || p->write_failed ||
	    (p->queued == 0 && !end && !(want_header && header))) {
		lock_drop(&p->lock);
		return;
	}
	link = list_pop_front(&p->queue);
	if (link) {
		struct packed *packed = list_entry(link, struct packed, link);

		p->out = packed->bytes;
		p->queued--;
		free(packed);
	}
	p->header_sent = true;
	p->end_sent |= end;
	p->writing = true;
	p->batches++;
	lock_drop(&p->lock);
	start_write(p, header, end);
}

static void write_done(struct rpc_tag *tag, bool ok)
{
	struct rpc_pipe *p = container_of(tag, struct rpc_pipe, write_tag);

	lock_take(&p->lock);
	grpc_byte_buffer_destroy(p->out);
	p->out = NULL;
	p->writing = false;
	if (!ok) {
		p->write_failed = true;
		drop_queue(p);
	}
	lock_drop(&p->lock);
	pump(p, false);
	batch_ended(p);
}

static void read_done(struct rpc_tag *tag, bool ok)
{
	struct rpc_pipe *p = container_of(tag, struct rpc_pipe, read_tag);
	grpc_byte_buffer *bytes;

	lock_take(&p->lock);
	bytes = take_ptr(&p->in);
	lock_drop(&p->lock);
	if (bytes || (ok && !grpc_call_failed_before_recv_message(p->call)))
		p->owner->read(p, bytes);
	batch_ended(p);
}

static void end_done(struct rpc_tag *tag, bool ok)
{
	struct rpc_pipe *p = container_of(tag, struct rpc_pipe, end_tag);

	(void)ok; /* by gRPC's contract */
	lock_take(&p->lock);
	p->dead = true;
	drop_queue(p);
	lock_drop(&p->lock);
	batch_ended(p);
}

void pipe_init(struct rpc_pipe *p, const struct pipe_owner *owner, bool is_server)
{
	p->owner = owner;
	p->is_server = is_server;
	atomic_init(&p->refs, 1);
	lock_init(&p->lock, 70);
	cond_init(&p->over_cond);
	list_init(&p->queue);
	grpc_metadata_array_init(&p->head);
	grpc_metadata_array_init(&p->trailer);
	p->status_text = grpc_empty_slice();
	p->write_tag.done = write_done;
	p->read_tag.done = read_done;
	p->end_tag.done = end_done;
}

void pipe_release(struct rpc_pipe *p)
{
	lock_release(&p->lock);
	cond_release(&p->over_cond);
	grpc_metadata_array_destroy(&p->head);
	grpc_metadata_array_destroy(&p->trailer);
	grpc_slice_unref(p->status_text);
	if (p->has_trace)
		grpc_slice_unref(p->traceparent.value);
	free(p->text);
	free(p->details);
}

void pipe_set_trace(struct rpc_pipe *p, const struct trace_context *c)
{
	char text[TRACE_PARENT_LEN + 1];

	trace_context_print(c, text);
	p->traceparent.key = grpc_slice_from_static_string("traceparent");
	p->traceparent.value = grpc_slice_from_copied_string(text);
	p->has_trace = true;
}

void pipe_ref(struct rpc_pipe *p)
{
	atomic_fetch_add(&p->refs, 1);
}

void pipe_unref(struct rpc_pipe *p)
{
	if (atomic_fetch_sub(&p->refs, 1) == 1)
		p->owner->free(p);
}

static void start_end(struct rpc_pipe *p)
{
	grpc_op op = {0};

	if (p->is_server) {
		op.op = GRPC_OP_RECV_CLOSE_ON_SERVER;
		op.data.recv_close_on_server.cancelled = &p->cancelled;
	} else {
		op.op = GRPC_OP_RECV_STATUS_ON_CLIENT;
		op.data.recv_status_on_client.trailing_metadata = &p->trailer;
		op.data.recv_status_on_client.status = &p->status;
		op.data.recv_status_on_client.status_details = &p->status_text;
	}
	start_batch(p, &op, 1, &p->end_tag);
}

static void start_read(struct rpc_pipe *p, bool head)
{
	grpc_op ops[2] = {{0}};

	ops[0].op = GRPC_OP_RECV_MESSAGE;
	ops[0].data.recv_message.recv_message = &p->in;
	ops[1].op = GRPC_OP_RECV_INITIAL_METADATA;
	ops[1].data.recv_initial_metadata.recv_initial_metadata = &p->head;
	start_batch(p, ops, head ? 2 : 1, &p->read_tag);
}

void pipe_start(struct rpc_pipe *p, bool reading)
{
	pipe_ref(p); /* until over */
	lock_take(&p->lock);
	p->batches = reading ? 2 : 1;
	lock_drop(&p->lock);
	start_end(p);
	if (reading)
		start_read(p, !p->is_server);
}

void pipe_read(struct rpc_pipe *p)
{
	bool parked;

	lock_take(&p->lock);
	p->batches++;
	parked = p->parked = p->held;
	lock_drop(&p->lock);
	if (!parked)
		start_read(p, false);
}

void pipe_hold(struct rpc_pipe *p)
{
	lock_guard(&p->lock);
	p->held = !p->cancelling;
}

void pipe_resume(struct rpc_pipe *p)
{
	bool parked;

	lock_take(&p->lock);
	parked = p->parked;
	p->held = p->parked = false;
	lock_drop(&p->lock);
	if (parked)
		start_read(p, false);
}

void pipe_send_header(struct rpc_pipe *p)
{
	pump(p, true);
}

static bool queue(struct rpc_pipe *p, const ProtobufCMessage *msg, bool end)
{
	struct packed *packed;
	bool queued;

	if (pipe_is_dead(p)) /* spares the packing */
		return false;
	packed = mem_new(struct packed);
	packed->bytes = rpc_pack(msg);
	lock_take(&p->lock);
	queued = !p->dead && !p->write_failed && !p->ending && p->queued < PIPE_QUEUE_MAX;
	if (queued) {
		list_push_back(&p->queue, &packed->link);
		p->queued++;
		p->ending = end;
	}
	lock_drop(&p->lock);
	if (!queued) {
		grpc_byte_buffer_destroy(packed->bytes);
		free(packed);
	}
	return queued;
}

bool pipe_send(struct rpc_pipe *p, const ProtobufCMessage *msg, bool end)
{
	bool queued = queue(p, msg, end);

	if (queued)
		pump(p, false);
	return queued;
}

bool pipe_queue(struct rpc_pipe *p, const ProtobufCMessage *msg)
{
	return queue(p, msg, false);
}

void pipe_flush(struct rpc_pipe *p)
{
	pump(p, false);
}

void pipe_end(struct rpc_pipe *p, enum rpc_code code, const char *text, const void *details,
	      size_t details_len)
{
	char *text_copy = text ? mem_strndup(text, strnlen(text, PIPE_TEXT_MAX)) : NULL;
	void *details_copy =
		details && details_len <= PIPE_DETAILS_MAX ? mem_dup(details, details_len) : NULL;

	lock_take(&p->lock);
	if (!p->ending) {
		p->ending = true;
		p->code = code;
		p->text = take_ptr(&text_copy);
		p->details = take_ptr(&details_copy);
		p->details_len = details_len;
	}
	lock_drop(&p->lock);
	free(text_copy);
	free(details_copy);
	pump(p, false);
}

void pipe_cancel(struct rpc_pipe *p)
{
	grpc_call *call;

	lock_take(&p->lock);
	call = p->call;
	if (call)
		grpc_call_ref(call);
	p->cancelling = true;
	lock_drop(&p->lock);
	if (!call)
		return;
	grpc_call_cancel(call, NULL);
	pipe_resume(p); /* so that it can be over */
	grpc_call_unref(call);
}

unsigned pipe_backlog(struct rpc_pipe *p)
{
	lock_guard(&p->lock);
	return p->queued + (p->out ? 1 : 0);
}

bool pipe_is_dead(struct rpc_pipe *p)
{
	lock_guard(&p->lock);
	return p->dead;
}

bool pipe_is_ending(struct rpc_pipe *p)
{
	lock_guard(&p->lock);
	return p->ending;
}

void pipe_wait_over(struct rpc_pipe *p)
{
	lock_guard(&p->lock);
	while (!p->told)
		cond_wait(&p->over_cond, &p->lock);
}
