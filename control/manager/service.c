/*
 * manager.v2.Manager. ListSchedulers tells each peer which scheduler cluster is its own; KeepAlive
 * streams tell who is alive: the first message makes a member active, the end of the stream
 * inactive; the messages between are written down so that other managers know.
 */
#include "control/manager/service.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/net.h"
#include "control/manager/figures.h"
#include "control/manager/message.h"
#include "control/manager/search.h"

#include <errno.h>
#include <string.h>

static void reply_free(struct rpc_call *call, ProtobufCMessage *msg)
{
	rpc_call_reply(call, msg);
	protobuf_c_message_free_unpacked(msg, NULL);
}

static void refuse(struct rpc_call *call, const struct err *e)
{
	if (e->code != ENOENT)
		log_warn("request refused", "peer=%s why=\"%s\"", rpc_call_peer(call), e->text);
	rpc_call_finish(call, rpc_code_of_errno(e->code), e->text);
}

static void reply_empty(struct rpc_call *call)
{
	Google__Protobuf__Empty empty = GOOGLE__PROTOBUF__EMPTY__INIT;

	rpc_call_reply(call, &empty.base);
}

static bool valid_member(struct rpc_call *call, const char *hostname, const char *ip,
			 bool ip_required, uint64_t cluster_id)
{
	struct net_addr addr;

	if (*hostname && strlen(hostname) <= 253 && cluster_id &&
	    (net_addr_parse(ip, 1, &addr) || (!ip_required && !*ip)))
		return true;
	rpc_call_finish(call, RPC_INVALID_ARGUMENT,
			"hostname, a literal ip and a cluster id of at least 1 are needed");
	return false;
}

/* ---- schedulers ---- */

static int scheduler_message(struct db *db, const struct member *m, Manager__V2__Scheduler **out,
			     struct err *e)
{
	struct cluster c cleanup(cluster_release) = {0};
	struct member *seeds = NULL;
	size_t seed_count = 0;
	int r = cluster_get(db, m->cluster_id, &c, e);

	if (r == 0)
		r = member_list_seeds(db, m->cluster_id, &seeds, &seed_count, e);
	if (r == 0)
		*out = message_scheduler(m, &c, seeds, seed_count);
	member_list_free(seeds, seed_count);
	return r;
}

static void reply_scheduler(struct rpc_call *call, struct db *db, const struct member *m)
{
	Manager__V2__Scheduler *msg = NULL;
	struct err e = {0};

	if (scheduler_message(db, m, &msg, &e) < 0)
		refuse(call, &e);
	else
		reply_free(call, &msg->base);
}

static void get_scheduler(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Manager__V2__GetSchedulerRequest *rq = (const void *)req;
	struct member m cleanup(member_release) = {0};
	struct err e = {0};

	if (member_get(arg, MEMBER_SCHEDULER, rq->hostname, rq->ip, rq->scheduler_cluster_id, &m,
		       &e) < 0)
		refuse(call, &e);
	else
		reply_scheduler(call, arg, &m);
}

static char *features_json(char *const *features, size_t count)
{
	json_t *list cleanup(json_decref_at) = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_string(features[i]));
	if (!count) { /* what every scheduler can do */
		json_array_append_new(list, json_string("schedule"));
		json_array_append_new(list, json_string("preheat"));
	}
	return json_print(list);
}

static void update_scheduler(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Manager__V2__UpdateSchedulerRequest *rq = (const void *)req;
	struct member row cleanup(member_release) = {0};
	char *features cleanup(free_at) = features_json(rq->features, rq->n_features);
	const struct member m = {
		.hostname = rq->hostname,
		.ip = rq->ip,
		.cluster_id = rq->scheduler_cluster_id,
		.port = rq->port,
		.idc = rq->idc__case ? rq->idc : (char *)"",
		.location = rq->location__case ? rq->location : (char *)"",
		.features = features,
		.type = (char *)"",
	};
	struct err e = {0};

	if (!valid_member(call, rq->hostname, rq->ip, true, rq->scheduler_cluster_id))
		return;
	if (member_update(arg, MEMBER_SCHEDULER, &m, &row, &e) < 0)
		refuse(call, &e);
	else
		reply_scheduler(call, arg, &row);
}

/* ---- which schedulers are a peer's own ---- */

struct candidates {
	struct cluster *clusters;
	size_t count;
	struct member *schedulers; /* active, of all clusters */
	size_t scheduler_count;
};

static void candidates_release(struct candidates *c)
{
	for (size_t i = 0; i < c->count; i++)
		cluster_release(&c->clusters[i]);
	free(c->clusters);
	member_list_free(c->schedulers, c->scheduler_count);
}

/* A cluster is a peer's by its scopes whether or not its schedulers are up: with none up the peer
 * gets an empty list (and reads the origin), never another cluster's schedulers. */
static int choose_cluster(const struct candidates *c, const struct search_peer *peer)
{
	struct search_cluster *list = mem_array(c->count, sizeof(*list));
	int chosen;

	for (size_t i = 0; i < c->count; i++)
		list[i] = (struct search_cluster){
			.scopes = search_scopes_new(c->clusters[i].scopes),
			.is_default = c->clusters[i].is_default,
		};
	chosen = search_choose(list, c->count, peer);
	search_clusters_free(list, c->count);
	return chosen;
}

static int choose(const struct candidates *c, const Manager__V2__ListSchedulersRequest *rq)
{
	const struct search_peer peer = {
		.ip = rq->ip,
		.hostname = rq->hostname,
		.idc = rq->idc__case ? rq->idc : "",
		.location = rq->location__case ? rq->location : "",
	};

	if (rq->scheduler_cluster_id == 0)
		return choose_cluster(c, &peer);
	for (size_t i = 0; i < c->count; i++)
		if (c->clusters[i].id == rq->scheduler_cluster_id)
			return (int)i;
	return -1;
}

static int list_of_cluster(struct db *db, const struct candidates *c, int chosen,
			   Manager__V2__ListSchedulersResponse *out, struct err *e)
{
	struct member *seeds = NULL;
	size_t seed_count = 0;
	int r;

	if (chosen < 0)
		return 0;
	r = member_list_seeds(db, c->clusters[chosen].id, &seeds, &seed_count, e);
	if (r < 0)
		return r;
	out->schedulers = mem_array(c->scheduler_count, sizeof(*out->schedulers));
	for (size_t i = 0; i < c->scheduler_count; i++)
		if (c->schedulers[i].cluster_id == c->clusters[chosen].id)
			out->schedulers[out->n_schedulers++] = message_scheduler(
				&c->schedulers[i], &c->clusters[chosen], seeds, seed_count);
	member_list_free(seeds, seed_count);
	return 0;
}

static void list_schedulers(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Manager__V2__ListSchedulersRequest *rq = (const void *)req;
	struct candidates c cleanup(candidates_release) = {0};
	Manager__V2__ListSchedulersResponse *out;
	struct err e = {0};

	if (cluster_list(arg, &c.clusters, &c.count, &e) < 0 ||
	    member_list(arg, MEMBER_SCHEDULER, 0, true, &c.schedulers, &c.scheduler_count, &e) <
		    0) {
		refuse(call, &e);
		return;
	}
	out = mem_alloc(sizeof(*out));
	manager__v2__list_schedulers_response__init(out);
	if (list_of_cluster(arg, &c, choose(&c, rq), out, &e) < 0) {
		protobuf_c_message_free_unpacked(&out->base, NULL);
		refuse(call, &e);
		return;
	}
	figures_search(rq->version, rq->commit, out->n_schedulers > 0);
	reply_free(call, &out->base);
}

/* ---- seed peers ---- */

static void get_seed_peer(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Manager__V2__GetSeedPeerRequest *rq = (const void *)req;
	struct member m cleanup(member_release) = {0};
	struct err e = {0};

	if (member_get(arg, MEMBER_SEED_PEER, rq->hostname, rq->ip, rq->seed_peer_cluster_id, &m,
		       &e) < 0)
		refuse(call, &e);
	else
		reply_free(call, &message_seed_peer(&m)->base);
}

static void list_seed_peers(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	Manager__V2__ListSeedPeersResponse *out;
	struct member *list = NULL;
	size_t count = 0;
	struct err e = {0};

	(void)req;
	if (member_list(arg, MEMBER_SEED_PEER, 0, true, &list, &count, &e) < 0) {
		refuse(call, &e);
		return;
	}
	out = mem_alloc(sizeof(*out));
	manager__v2__list_seed_peers_response__init(out);
	out->seed_peers = mem_array(count, sizeof(*out->seed_peers));
	for (size_t i = 0; i < count; i++)
		out->seed_peers[out->n_seed_peers++] = message_seed_peer(&list[i]);
	member_list_free(list, count);
	reply_free(call, &out->base);
}

static void update_seed_peer(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Manager__V2__UpdateSeedPeerRequest *rq = (const void *)req;
	struct member row cleanup(member_release) = {0};
	const struct member m = {
		.hostname = rq->hostname,
		.ip = rq->ip,
		.cluster_id = rq->seed_peer_cluster_id,
		.port = rq->port,
		.download_port = rq->download_port,
		.type = rq->type,
		.idc = rq->idc__case ? rq->idc : (char *)"",
		.location = rq->location__case ? rq->location : (char *)"",
		.features = (char *)"[]",
	};
	struct err e = {0};

	if (!valid_member(call, rq->hostname, rq->ip, true, rq->seed_peer_cluster_id))
		return;
	if (member_update(arg, MEMBER_SEED_PEER, &m, &row, &e) < 0)
		refuse(call, &e);
	else
		reply_free(call, &message_seed_peer(&row)->base);
}

static void delete_seed_peer(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Manager__V2__DeleteSeedPeerRequest *rq = (const void *)req;
	struct err e = {0};

	if (member_delete(arg, MEMBER_SEED_PEER, rq->hostname, rq->ip, rq->seed_peer_cluster_id,
			  &e) < 0)
		refuse(call, &e);
	else
		reply_empty(call);
}

/* ---- applications ---- */

static Manager__V2__ApplicationPriority *priority_message(const char *text)
{
	Manager__V2__ApplicationPriority *p = mem_alloc(sizeof(*p));
	json_t *json cleanup(json_decref_at) = NULL;
	size_t i;
	json_t *item, *urls;

	manager__v2__application_priority__init(p);
	if (json_parse(text, strlen(text), 1 << 20, &json, NULL) < 0)
		return p;
	p->value = (Common__V2__Priority)json_u64(json, "value", 0);
	urls = json_object_get(json, "urls");
	p->urls = mem_array(json_array_size(urls), sizeof(*p->urls));
	json_array_foreach(urls, i, item)
	{
		const char *regex = json_str(item, "regex");
		Manager__V2__URLPriority *u = mem_alloc(sizeof(*u));

		manager__v2__urlpriority__init(u);
		u->regex = mem_strdup(regex ? regex : "");
		u->value = (Common__V2__Priority)json_u64(item, "value", 0);
		p->urls[p->n_urls++] = u;
	}
	return p;
}

static void list_applications(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	Manager__V2__ListApplicationsResponse *out = mem_alloc(sizeof(*out));
	struct err e = {0};
	struct query q;

	(void)req;
	manager__v2__list_applications_response__init(out);
	query_start(arg, &q, &e, "SELECT id, name, url, bio, priority FROM applications", "");
	while (query_next(&q)) {
		Manager__V2__Application *a = mem_alloc(sizeof(*a));

		manager__v2__application__init(a);
		a->id = (uint64_t)query_int(&q, 0);
		a->name = mem_strdup(query_text(&q, 1));
		a->url = mem_strdup(query_text(&q, 2));
		a->bio = mem_strdup(query_text(&q, 3));
		a->priority = priority_message(query_text(&q, 4));
		out->applications = mem_realloc(
			out->applications, (out->n_applications + 1) * sizeof(*out->applications));
		out->applications[out->n_applications++] = a;
	}
	if (query_end(&q) < 0) {
		protobuf_c_message_free_unpacked(&out->base, NULL);
		refuse(call, &e);
		return;
	}
	reply_free(call, &out->base);
}

/* ---- liveness ---- */

struct alive {
	enum member_kind kind;
	uint64_t cluster_id;
	char *hostname, *ip;
	int64_t beat_ms; /* when the database was told last */
};

static void tell(struct db *db, struct alive *a, bool active, bool first)
{
	struct err e = {0};

	if (active)
		a->beat_ms = clock_wall_ms();
	if (member_set_state(db, a->kind, a->hostname, a->ip, a->cluster_id, active, a->beat_ms,
			     &e) < 0)
		log_warn("keep-alive not recorded", "hostname=%s ip=%s why=\"%s\"", a->hostname,
			 a->ip, e.text);
	else if (first || !active)
		log_info(active ? "member is alive" : "member is gone",
			 "hostname=%s ip=%s cluster=%llu", a->hostname, a->ip,
			 (unsigned long long)a->cluster_id);
}

static void keep_alive(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Manager__V2__KeepAliveRequest *rq = (const void *)req;
	struct alive *a = rpc_call_user(call);

	if (a) {
		if (clock_wall_ms() - a->beat_ms >= MEMBER_BEAT_MS)
			tell(arg, a, true, false);
		return;
	}
	if (!valid_member(call, rq->hostname, rq->ip, false, rq->cluster_id))
		return;
	a = mem_new(struct alive);
	a->kind = rq->source_type == MANAGER__V2__SOURCE_TYPE__SEED_PEER_SOURCE ? MEMBER_SEED_PEER
										: MEMBER_SCHEDULER;
	a->cluster_id = rq->cluster_id;
	a->hostname = mem_strdup(rq->hostname);
	a->ip = mem_strdup(rq->ip);
	rpc_call_set_user(call, a);
	tell(arg, a, true, true);
}

static void keep_alive_ended(struct rpc_call *call, void *arg)
{
	(void)arg;
	reply_empty(call);
}

static void keep_alive_closed(struct rpc_call *call, void *arg)
{
	struct alive *a = rpc_call_user(call);

	if (!a)
		return;
	tell(arg, a, false, false);
	free(a->hostname);
	free(a->ip);
	free(a);
}

#define UNARY(name, type, fn)                                                                      \
	{                                                                                          \
		.path = "/manager.v2.Manager/" name,                                               \
		.request = &manager__v2__##type##_request__descriptor, .message = fn,              \
	}

const struct rpc_method service_methods[] = {
	UNARY("GetSeedPeer", get_seed_peer, get_seed_peer),
	UNARY("ListSeedPeers", list_seed_peers, list_seed_peers),
	UNARY("UpdateSeedPeer", update_seed_peer, update_seed_peer),
	UNARY("DeleteSeedPeer", delete_seed_peer, delete_seed_peer),
	UNARY("GetScheduler", get_scheduler, get_scheduler),
	UNARY("UpdateScheduler", update_scheduler, update_scheduler),
	UNARY("ListSchedulers", list_schedulers, list_schedulers),
	UNARY("ListApplications", list_applications, list_applications),
	{
		.path = "/manager.v2.Manager/KeepAlive",
		.request = &manager__v2__keep_alive_request__descriptor,
		.client_streams = true,
		.message = keep_alive,
		.half_closed = keep_alive_ended,
		.closed = keep_alive_closed,
	},
	{.path = NULL},
};
