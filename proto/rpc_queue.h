/* A completion queue of gRPC core and the one thread that serves it. */
#ifndef PROTO_RPC_QUEUE_H
#define PROTO_RPC_QUEUE_H

#include <grpc/grpc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* What a batch is started with. done() runs on the queue's thread when the batch has ended. */
struct rpc_tag {
	void (*done)(struct rpc_tag *tag, bool ok);
	atomic_uint starts;
};

/* To be called right before the tag is given to gRPC core: done() sees what was written before it.
 * (Core orders that too, but where neither the C standard nor TSan can see it.) */
static inline void rpc_tag_start(struct rpc_tag *tag)
{
	atomic_fetch_add_explicit(&tag->starts, 1, memory_order_release);
}

struct rpc_queue {
	grpc_completion_queue *cq;
	pthread_t thread;
};

void rpc_queue_start(struct rpc_queue *q, const char *thread_name);
/* Every batch must have ended and no other may be started. Joins. */
void rpc_queue_stop(struct rpc_queue *q);

/* The process's queue of all client streams and the memory that its channels share; rpc_init() made
 * them. rpc_shutdown() waits until every stream and channel that entered has left. */
grpc_completion_queue *rpc_client_queue(void);
grpc_resource_quota *rpc_client_quota(void);
void rpc_client_enter(void);
void rpc_client_leave(void);

#endif
