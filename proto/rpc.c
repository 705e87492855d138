/* What the process does once for gRPC core, and the codes at its edge. */
#include "proto/rpc.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/pool.h"
#include "proto/rpc_credentials.h"
#include "proto/rpc_queue.h"

#include <errno.h>
#include <grpc/support/log.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHUTDOWN_S	  1
#define LOG_GAP_MS	  1000
#define CLIENT_MEMORY_MAX (256 << 20)

static struct {
	struct rpc_queue queue;
	grpc_resource_quota *quota;
	struct lock lock;
	struct cond left;
	unsigned users; /* lock; streams and channels */
} client;

int rpc_code_to_errno(int code)
{
	switch (code) {
	case RPC_CANCELLED:
		return ECANCELED;
	case RPC_INVALID_ARGUMENT:
	case RPC_OUT_OF_RANGE:
		return EINVAL;
	case RPC_DEADLINE_EXCEEDED:
		return ETIMEDOUT;
	case RPC_NOT_FOUND:
		return ENOENT;
	case RPC_ALREADY_EXISTS:
		return EEXIST;
	case RPC_PERMISSION_DENIED:
	case RPC_UNAUTHENTICATED:
		return EACCES;
	case RPC_RESOURCE_EXHAUSTED:
		return EBUSY;
	case RPC_FAILED_PRECONDITION:
		return EPERM;
	case RPC_UNIMPLEMENTED:
		return ENOSYS;
	case RPC_UNAVAILABLE:
		return EHOSTUNREACH;
	default:
		return EPROTO;
	}
}

enum rpc_code rpc_code_of_errno(int err_no)
{
	switch (err_no) {
	case 0:
		return RPC_OK;
	case ECANCELED:
		return RPC_CANCELLED;
	case EINVAL:
	case ENAMETOOLONG:
		return RPC_INVALID_ARGUMENT;
	case ETIMEDOUT:
		return RPC_DEADLINE_EXCEEDED;
	case ENOENT:
		return RPC_NOT_FOUND;
	case EEXIST:
		return RPC_ALREADY_EXISTS;
	case EACCES:
		return RPC_PERMISSION_DENIED;
	case EBUSY:
	case ENOSPC:
	case EDQUOT:
	case EMFILE:
		return RPC_RESOURCE_EXHAUSTED;
	case EPERM:
		return RPC_FAILED_PRECONDITION;
	case ENOSYS:
		return RPC_UNIMPLEMENTED;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ECONNREFUSED:
	case ECONNRESET:
	case ENOTCONN:
	case EDEADLK:
		return RPC_UNAVAILABLE;
	default:
		return RPC_INTERNAL;
	}
}

/* gRPC core's log. It writes errors for whatever a stranger sends, so at most one line a second is
 * shown above debug level. */
static void core_log(gpr_log_func_args *args)
{
	static _Atomic int64_t shown_ms;
	const char *file = strrchr(args->file, '/');
	int64_t now = clock_ms(), last = atomic_load(&shown_ms);

	file = file ? file + 1 : args->file;
	if (args->severity == GPR_LOG_SEVERITY_ERROR && strstr(args->message, "Failed accept"))
		log_error("SK199", "a port with TLS takes no more connections until a restart",
			  "why=\"%s\"", args->message);
	if (args->severity == GPR_LOG_SEVERITY_ERROR && (last == 0 || now - last >= LOG_GAP_MS)) {
		atomic_store(&shown_ms, now);
		log_warn("grpc", "at=%s:%d why=\"%s\"", file, args->line, args->message);
	} else {
		log_debug("grpc", "at=%s:%d why=\"%s\"", file, args->line, args->message);
	}
}

void rpc_init(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigaction(SIGPIPE, &ignore, NULL);
	setenv("GRPC_ENABLE_FORK_SUPPORT", "0", 1);
	/* Core's other resolver, c-ares, closes its sockets itself, and core shuts them down once
	 * more: by then their number may be that of a port of ours, which never answers again. */
	setenv("GRPC_DNS_RESOLVER", "native", 0);
	gpr_set_log_function(core_log);
	grpc_init();
	lock_init(&client.lock, 70);
	cond_init(&client.left);
	client.quota = grpc_resource_quota_create("rpc-client");
	grpc_resource_quota_resize(client.quota, CLIENT_MEMORY_MAX);
	rpc_credentials_start();
	rpc_queue_start(&client.queue, "rpc-client");
}

/* Core closes its last connections on threads of its own, and offers nothing to wait on. */
static void *shut_core(void *arg)
{
	(void)arg;
	grpc_shutdown();
	while (grpc_is_initialized())
		usleep(1000);
	return NULL;
}

/* Threads of core are still there: what is static in it must not be taken from under them. */
static void end_at_once(int code, void *arg)
{
	(void)arg;
	fflush(NULL);
	_exit(code);
}

/* A write that did not go at once leaves a thread of core's in a poll of up to ten seconds, and
 * core joins it. Nothing of ours is left by then, so the process need not wait for that. */
static void leave_core(void)
{
	struct timespec until;
	pthread_t thread;

	thread_start(&thread, "rpc-shutdown", shut_core, NULL);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += SHUTDOWN_S;
	if (pthread_timedjoin_np(thread, NULL, &until) == 0)
		return;
	pthread_detach(thread);
	on_exit(end_at_once, NULL);
}

void rpc_shutdown(void)
{
	lock_take(&client.lock);
	while (client.users > 0) /* dropped and freed ones may be ending still */
		cond_wait(&client.left, &client.lock);
	lock_drop(&client.lock);
	rpc_queue_stop(&client.queue);
	grpc_resource_quota_unref(client.quota);
	rpc_credentials_stop();
	lock_release(&client.lock);
	cond_release(&client.left);
	leave_core();
}

grpc_completion_queue *rpc_client_queue(void)
{
	return client.queue.cq;
}

grpc_resource_quota *rpc_client_quota(void)
{
	return client.quota;
}

void rpc_client_enter(void)
{
	lock_guard(&client.lock);
	client.users++;
}

void rpc_client_leave(void)
{
	lock_guard(&client.lock);
	client.users--;
	cond_wake_all(&client.left);
}
