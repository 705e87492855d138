/* The thread that hands each ended batch to whoever started it. */
#include "proto/rpc_queue.h"

#include <assert.h>

static void *queue_main(void *arg)
{
	struct rpc_queue *q = arg;

	for (;;) {
		grpc_event ev =
			grpc_completion_queue_next(q->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
		struct rpc_tag *tag = ev.tag;

		if (ev.type == GRPC_QUEUE_SHUTDOWN)
			return NULL;
		if (ev.type == GRPC_OP_COMPLETE) {
			atomic_load_explicit(&tag->starts, memory_order_acquire);
			tag->done(tag, ev.success != 0);
		}
	}
}

void rpc_queue_start(struct rpc_queue *q, const char *thread_name)
{
	int r;

	q->cq = grpc_completion_queue_create_for_next(NULL);
	r = pthread_create(&q->thread, NULL, queue_main, q);
	assert(r == 0);
	(void)pthread_setname_np(q->thread, thread_name);
}

void rpc_queue_stop(struct rpc_queue *q)
{
	grpc_completion_queue_shutdown(q->cq);
	pthread_join(q->thread, NULL);
	grpc_completion_queue_destroy(q->cq);
}
