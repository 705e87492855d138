/* Health: Check answers once, Watch now and at each change. A service that the server does not have
 * is NOT_FOUND for Check and SERVICE_UNKNOWN for Watch, as the protocol says. */
#include "proto/rpc_health.h"

#include "base/mem.h"

#include <health_v1.pb-c.h>

#define SERVING		GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
#define NOT_SERVING	GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
#define SERVICE_UNKNOWN GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN

/* A Watch in progress; the call's user data. */
struct watcher {
	struct list link;
	struct rpc_call *call; /* a reference */
};

static bool is_serving(struct rpc_health *h)
{
	lock_guard(&h->lock);
	return h->serving;
}

static bool knows(const struct rpc_health *h, const ProtobufCMessage *req)
{
	return h->knows(h->server, ((const Grpc__Health__V1__HealthCheckRequest *)req)->service);
}

static void on_check(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	Grpc__Health__V1__HealthCheckResponse resp = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
	struct rpc_health *h = arg;

	if (!knows(h, req)) {
		rpc_call_finish(call, RPC_NOT_FOUND, "unknown service");
		return;
	}
	resp.status = is_serving(h) ? SERVING : NOT_SERVING;
	rpc_call_reply(call, &resp.base);
}

/* Sends the state, again if it has changed meanwhile: whatever the threads' order, the last one
 * sent is the true one. */
static void tell(struct rpc_health *h, struct rpc_call *call)
{
	Grpc__Health__V1__HealthCheckResponse resp = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
	bool serving;

	do {
		serving = is_serving(h);
		resp.status = serving ? SERVING : NOT_SERVING;
		if (!rpc_call_send(call, &resp.base))
			return;
	} while (is_serving(h) != serving);
}

static void on_watch(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	Grpc__Health__V1__HealthCheckResponse resp = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
	struct rpc_health *h = arg;
	struct watcher *w;
	bool stopping;

	if (!knows(h, req)) {
		resp.status = SERVICE_UNKNOWN;
		rpc_call_send(call, &resp.base);
		return;
	}
	w = mem_new(struct watcher);
	w->call = call;
	rpc_call_ref(call);
	rpc_call_set_user(call, w);
	lock_take(&h->lock);
	list_push_back(&h->watchers, &w->link);
	stopping = h->stopping;
	lock_drop(&h->lock);
	tell(h, call);
	if (stopping)
		rpc_call_finish(call, RPC_UNAVAILABLE, "the server stops");
}

static void on_watch_closed(struct rpc_call *call, void *arg)
{
	struct watcher *w = rpc_call_user(call);
	struct rpc_health *h = arg;

	if (!w)
		return;
	lock_take(&h->lock);
	list_remove(&w->link);
	lock_drop(&h->lock);
	rpc_call_unref(call);
	free(w);
}

const struct rpc_method rpc_health_methods[] = {
	{
		.path = "/grpc.health.v1.Health/Check",
		.request = &grpc__health__v1__health_check_request__descriptor,
		.message = on_check,
	},
	{
		.path = "/grpc.health.v1.Health/Watch",
		.request = &grpc__health__v1__health_check_request__descriptor,
		.message = on_watch,
		.closed = on_watch_closed,
	},
	{0},
};

void rpc_health_init(struct rpc_health *h, rpc_health_knows *knows_service, const void *server)
{
	h->knows = knows_service;
	h->server = server;
	h->serving = true;
	lock_init(&h->lock, 70);
	list_init(&h->watchers);
}

void rpc_health_release(struct rpc_health *h)
{
	lock_release(&h->lock);
}

/* References to all watching calls, ended by NULL. */
static struct rpc_call **ref_watchers(struct rpc_health *h)
{
	struct rpc_call **calls;
	size_t count = 0;

	lock_guard(&h->lock);
	list_each (link, &h->watchers)
		count++;
	calls = mem_array(count + 1, sizeof(*calls));
	count = 0;
	list_each (link, &h->watchers) {
		calls[count] = list_entry(link, struct watcher, link)->call;
		rpc_call_ref(calls[count++]);
	}
	return calls;
}

void rpc_health_set(struct rpc_health *h, bool serving)
{
	cleanup(free_at) struct rpc_call **calls = NULL;

	lock_take(&h->lock);
	h->serving = serving;
	lock_drop(&h->lock);
	calls = ref_watchers(h);
	for (size_t i = 0; calls[i]; i++) {
		tell(h, calls[i]);
		rpc_call_unref(calls[i]);
	}
}

void rpc_health_stop(struct rpc_health *h)
{
	cleanup(free_at) struct rpc_call **calls = NULL;

	lock_take(&h->lock);
	h->stopping = true;
	lock_drop(&h->lock);
	rpc_health_set(h, false);
	calls = ref_watchers(h);
	for (size_t i = 0; calls[i]; i++) {
		rpc_call_finish(calls[i], RPC_UNAVAILABLE, "the server stops");
		rpc_call_unref(calls[i]);
	}
}
