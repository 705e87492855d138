/* Hosts, tasks and peers as common.v2 messages. */
#include "control/scheduler/message.h"

#include "base/clock.h"
#include "base/mem.h"
#include "proto/message.h"

#include <string.h>

/* The state's times are monotonic; the wire's are wall times. */
static Google__Protobuf__Timestamp *timestamp(int64_t at_ms)
{
	Google__Protobuf__Timestamp *t = mem_new(Google__Protobuf__Timestamp);

	message_timestamp(t, clock_wall_ms() - (clock_ms() - at_ms));
	return t;
}

Common__V2__Host *message_host(const struct host *h)
{
	Common__V2__Host *m = mem_new(Common__V2__Host);

	common__v2__host__init(m);
	m->id = mem_strdup(h->id);
	m->type = h->type;
	m->hostname = mem_strdup(h->hostname);
	m->name = mem_strdup(h->hostname);
	m->ip = mem_strdup(h->ip);
	m->port = h->port;
	m->download_port = h->download_port;
	m->os = mem_strdup(h->os);
	m->disable_shared = h->disable_shared;
	m->build = mem_new(Common__V2__Build);
	common__v2__build__init(m->build);
	m->build->git_version = mem_strdup(h->version);
	m->network = mem_new(Common__V2__Network);
	common__v2__network__init(m->network);
	m->network->max_tx_bandwidth = h->tx_max * 8;
	message_set(m->network, idc, COMMON__V2__NETWORK__IDC__IDC, mem_strdup(h->idc));
	message_set(m->network, location, COMMON__V2__NETWORK__LOCATION__LOCATION,
		    mem_strdup(h->location));
	return m;
}

Common__V2__Task *message_task(const struct task *t)
{
	Common__V2__Task *m = mem_new(Common__V2__Task);

	common__v2__task__init(m);
	m->id = mem_strdup(t->id);
	m->url = mem_strdup(t->url ? t->url : "");
	if (t->digest)
		message_set(m, digest, COMMON__V2__TASK__DIGEST__DIGEST, mem_strdup(t->digest));
	if (t->tag)
		message_set(m, tag, COMMON__V2__TASK__TAG__TAG, mem_strdup(t->tag));
	if (t->application)
		message_set(m, application, COMMON__V2__TASK__APPLICATION__APPLICATION,
			    mem_strdup(t->application));
	m->content_length = t->content_length;
	m->piece_count = t->piece_count;
	m->size_scope =
		t->content_length ? COMMON__V2__SIZE_SCOPE__NORMAL : COMMON__V2__SIZE_SCOPE__EMPTY;
	m->state = mem_strdup(task_state_name(t));
	m->peer_count = t->peer_count;
	m->has_available_peer = task_has_available_peer(t);
	m->created_at = timestamp(t->created_ms);
	m->updated_at = timestamp(t->updated_ms);
	return m;
}

Common__V2__Peer *message_peer(const struct peer *p)
{
	Common__V2__Peer *m = mem_new(Common__V2__Peer);

	common__v2__peer__init(m);
	m->id = mem_strdup(p->id);
	m->priority = (Common__V2__Priority)p->priority;
	m->cost = mem_new(Google__Protobuf__Duration);
	message_duration(m->cost, p->updated_ms - p->created_ms);
	m->state = mem_strdup(peer_state_name(p->state));
	m->task = message_task(p->task);
	m->host = message_host(p->host);
	m->need_back_to_source = p->need_back_to_source;
	m->created_at = timestamp(p->created_ms);
	m->updated_at = timestamp(p->updated_ms);
	message_set(m, concurrent_piece_count,
		    COMMON__V2__PEER__CONCURRENT_PIECE_COUNT__CONCURRENT_PIECE_COUNT,
		    p->concurrent_pieces);
	return m;
}

static void fill_parents(Scheduler__V2__AnnouncePeerResponse *m, struct peer *const *parents,
			 unsigned count)
{
	Scheduler__V2__NormalTaskResponse *n = mem_new(Scheduler__V2__NormalTaskResponse);

	scheduler__v2__normal_task_response__init(n);
	n->candidate_parents = mem_array(count, sizeof(*n->candidate_parents));
	for (unsigned i = 0; i < count; i++)
		n->candidate_parents[n->n_candidate_parents++] = message_peer(parents[i]);
	m->response_case = SCHEDULER__V2__ANNOUNCE_PEER_RESPONSE__RESPONSE_NORMAL_TASK_RESPONSE;
	m->normal_task_response = n;
}

static void fill_source(Scheduler__V2__AnnouncePeerResponse *m, const char *why)
{
	Scheduler__V2__NeedBackToSourceResponse *n =
		mem_new(Scheduler__V2__NeedBackToSourceResponse);

	scheduler__v2__need_back_to_source_response__init(n);
	if (why)
		message_set(n, description,
			    SCHEDULER__V2__NEED_BACK_TO_SOURCE_RESPONSE__DESCRIPTION__DESCRIPTION,
			    mem_strdup(why));
	m->response_case =
		SCHEDULER__V2__ANNOUNCE_PEER_RESPONSE__RESPONSE_NEED_BACK_TO_SOURCE_RESPONSE;
	m->need_back_to_source_response = n;
}

Scheduler__V2__AnnouncePeerResponse *message_answer(enum answer a, struct peer *const *parents,
						    unsigned count, const char *why)
{
	Scheduler__V2__AnnouncePeerResponse *m = mem_new(Scheduler__V2__AnnouncePeerResponse);

	scheduler__v2__announce_peer_response__init(m);
	if (a == ANSWER_PARENTS)
		fill_parents(m, parents, count);
	else
		fill_source(m, why);
	return m;
}
