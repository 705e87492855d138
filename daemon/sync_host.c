/*
 * SyncHost: tells children every second how busy this host's link is. One message is made for all
 * of them, on a teller; nothing runs while nobody listens.
 */
#include "base/mem.h"
#include "daemon/host_message.h"
#include "daemon/peer_server_private.h"

#include <errno.h>

#define INTERVAL_MS 1000
#define BACKLOG_MAX 4 /* who does not read is skipped */

struct host_call {
	struct rpc_call *call;
	struct list link; /* the server's lock */
};

/* The next call of *calls, which becomes one of told. With a reference. */
static struct rpc_call *next_call(struct peer_server *s, struct list *calls, struct list *told)
{
	struct list *link;

	lock_guard(&s->lock);
	link = list_pop_front(calls);
	if (!link)
		return NULL;
	list_push_back(told, link);
	rpc_call_ref(list_entry(link, struct host_call, link)->call);
	return list_entry(link, struct host_call, link)->call;
}

static void tell_all(void *arg)
{
	struct peer_server *s = arg;
	struct list calls = LIST_INIT(calls), told = LIST_INIT(told);
	struct host_message m;
	struct rpc_call *call;

	host_message_fill(&m, s->parts.host);
	lock_take(&s->lock);
	list_splice(&calls, &s->hosts);
	lock_drop(&s->lock);
	while ((call = next_call(s, &calls, &told)) != NULL) {
		if (rpc_call_backlog(call) < BACKLOG_MAX)
			(void)rpc_call_send(call, &m.host.base);
		rpc_call_unref(call);
	}
	lock_guard(&s->lock);
	list_splice(&s->hosts, &told);
	s->host_due = !list_empty(&s->hosts) && !s->stopping;
	if (s->host_due)
		timer_arm(&s->host_timer, INTERVAL_MS);
	cond_wake_all(&s->changed);
}

void sync_host_fire(struct timer *t)
{
	struct peer_server *s = t->arg;

	if (pool_run(s->tellers, tell_all, s))
		return;
	timer_arm(t, INTERVAL_MS);
}

void sync_host(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	struct peer_server *s = arg;
	struct host_call *h = mem_new(struct host_call);
	struct host_message m;

	(void)req;
	host_message_fill(&m, s->parts.host);
	(void)rpc_call_send(call, &m.host.base);
	h->call = call;
	rpc_call_set_user(call, h);
	lock_guard(&s->lock);
	list_push_back(&s->hosts, &h->link);
	if (!s->host_due && !s->stopping)
		timer_arm(&s->host_timer, INTERVAL_MS);
	s->host_due = true;
}

void sync_host_closed(struct rpc_call *call, void *arg)
{
	struct host_call *h = rpc_call_user(call);
	struct peer_server *s = arg;

	if (!h)
		return;
	lock_take(&s->lock);
	list_remove(&h->link);
	lock_drop(&s->lock);
	free(h);
}
