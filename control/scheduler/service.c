/*
 * scheduler.v2.Scheduler: translates between the wire and the state. One lock (rank 10) is held
 * while the state is asked; several threads of the server read, unpack and write messages outside
 * of it: answers only take their place in their call's queue under it, and who drops it writes
 * them. A ticker of 50 ms moves those that wait.
 */
#include "control/scheduler/service_private.h"

#include "base/clock.h"
#include "base/geometry.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/net.h"
#include "base/trace.h"
#include "control/scheduler/figures.h"
#include "control/scheduler/message.h"
#include "proto/message.h"

#include <string.h>

#define RANK_SERVICE 10
#define TICK_MS	     50
#define GC_MS	     10000
#define BACKLOG_MAX  16 /* messages of a call that wait to be written */

/* ---- answers */

/* What is to be done with a call once the lock is dropped. */
struct errand {
	struct list link;
	struct rpc_call *call; /* a reference */
	bool ends;	       /* with code and text; else what is queued is written */
	enum rpc_code code;
	char *text; /* may be NULL */
};

static void post(struct service *s, struct rpc_call *call, bool ends, enum rpc_code code,
		 const char *text)
{
	struct errand *e = mem_new(struct errand);

	rpc_call_ref(call);
	*e = (struct errand){.call = call, .ends = ends, .code = code};
	if (text)
		e->text = mem_strdup(text);
	list_push_back(&s->errands, &e->link);
}

static void finish(struct service *s, struct rpc_call *call, enum rpc_code code, const char *text)
{
	post(s, call, true, code, text);
}

/* Drops the lock and does what was put off under it. */
static void service_unlock(struct service *s)
{
	struct list errands = LIST_INIT(errands);

	list_splice(&errands, &s->errands);
	lock_drop(&s->lock);
	while (!list_empty(&errands)) {
		struct errand *e = list_entry(list_pop_front(&errands), struct errand, link);

		if (e->ends)
			rpc_call_finish(e->call, e->code, e->text);
		else
			rpc_call_flush(e->call);
		rpc_call_unref(e->call);
		free(e->text);
		free(e);
	}
}

/* From the question (or what was told since) to the answer. */
static void trace_answer(const struct peer *p, enum answer a, struct peer *const *parents,
			 unsigned count, const char *why)
{
	static const char *const words[] = {[ANSWER_PARENTS] = "parents",
					    [ANSWER_BACK_TO_SOURCE] = "back to source",
					    [ANSWER_REFUSED] = "refused",
					    [ANSWER_NOT_FOUND] = "not found"};
	cleanup(buf_release) struct buf list = {0};
	struct span span = {0};

	if (!trace_is_on() || !trace_context_is_set(rpc_call_trace(p->stream)))
		return;
	span_begin(&span, p->asked_ms ? "schedule" : "introduce", SPAN_INTERNAL,
		   rpc_call_trace(p->stream));
	if (p->asked_ms)
		span_backdate(&span, (clock_ms() - p->asked_ms) * 1000);
	span_text(&span, "d7y.task.id", p->task->id);
	span_text(&span, "d7y.peer.id", p->id);
	span_text(&span, "d7y.peer.host", p->host->id);
	span_text(&span, "d7y.answer", words[a]);
	span_text(&span, "d7y.why", why);
	for (unsigned i = 0; i < count; i++)
		buf_printf(&list, "%s%s", i ? "," : "", parents[i]->host->id);
	span_number(&span, "d7y.parents.count", count);
	span_text(&span, "d7y.parents", list.data);
	span_end(&span);
}

static void send_answer(struct peer *p, enum answer a, struct peer *const *parents, unsigned count,
			const char *why, void *arg)
{
	Scheduler__V2__AnnouncePeerResponse *m;
	struct service *s = arg;

	if (!p->stream)
		return;
	trace_answer(p, a, parents, count, why);
	if (p->asked_ms)
		figures_scheduled(clock_ms() - p->asked_ms);
	if (a == ANSWER_REFUSED || a == ANSWER_NOT_FOUND) {
		finish(s, p->stream, a == ANSWER_REFUSED ? RPC_FAILED_PRECONDITION : RPC_NOT_FOUND,
		       why);
		return;
	}
	/* Who does not read what it was told needs no introductions besides. */
	if (a == ANSWER_PARENTS && !p->asked_ms && rpc_call_backlog(p->stream) >= BACKLOG_MAX)
		return;
	m = message_answer(a, parents, count, why);
	rpc_call_queue(p->stream, &m->base);
	protobuf_c_message_free_unpacked(&m->base, NULL);
	post(s, p->stream, false, RPC_OK, NULL);
}

static bool ask_seed(struct task *t, const struct peer *for_peer, void *arg)
{
	struct service *s = arg;
	struct host *seed = seeds_choose(&s->state, t->id);
	Common__V2__Download *d = map_get(s->downloads, t->id);
	bool asked;

	(void)for_peer;
	if (!seed || !d)
		return false;
	asked = seeds_ask(s->seeds, seed, t->id, d);
	log_debug("seed asked", "task=%s seed=%s new=%d", t->id, seed->id, asked);
	return true;
}

static void peer_removed(struct peer *p, void *arg)
{
	(void)arg;
	if (p->stream)
		rpc_call_set_user(p->stream, NULL);
}

static void seed_ended(const char *task_id, const char *host_id, bool well, bool reachable,
		       void *arg)
{
	struct service *s = arg;

	if (!well)
		log_warn("seed peer did not fetch the task", "task=%s seed=%s reachable=%d",
			 task_id, host_id, reachable);
	lock_take(&s->lock);
	struct host *h = state_host(&s->state, host_id);
	/* It is well again when it announces itself next. */
	if (h && !reachable)
		h->unhealthy = true;
	if (reachable)
		state_seed_ended(&s->state, task_id, well, clock_ms());
	else
		state_seed_unreachable(&s->state, task_id, clock_ms());
	service_unlock(s);
}

/* ---- the ticker */

static void drop_old_downloads(struct service *s)
{
	const char *id;
	void *value;
	size_t at = 0;

	while (map_next(s->downloads, &at, &id, &value)) {
		if (state_task(&s->state, id))
			continue;
		map_remove(s->downloads, id);
		protobuf_c_message_free_unpacked(value, NULL);
	}
}

static void on_tick(struct timer *t)
{
	struct service *s = t->arg;
	int64_t now = clock_ms();
	unsigned gone = 0;

	lock_take(&s->lock);
	state_tick(&s->state, now);
	if (now >= s->gc_at_ms) {
		gone = state_gc(&s->state, now);
		drop_old_downloads(s);
		traffic_gc(&s->traffic, now);
		s->gc_at_ms = now + GC_MS;
	}
	service_unlock(s);
	if (gone)
		log_info("old peers and hosts forgotten", "count=%u", gone);
	timer_arm(t, TICK_MS);
}

static void show_state(void *arg)
{
	struct service *s = arg;
	uint64_t waiting = 0;

	lock_take(&s->lock);
	list_each (t, &s->state.waiting_tasks) {
		list_each (p, &list_entry(t, struct task, waiting_link)->waiting)
			waiting++;
	}
	figures_state(waiting, map_count(s->state.hosts), map_count(s->state.peers),
		      map_count(s->state.tasks));
	lock_drop(&s->lock);
}

struct service *service_new(const struct state_config *c, const struct rpc_tls *seed_tls,
			    const struct rpc_tls *peer_tls)
{
	struct service *s = mem_new(struct service);
	const struct state_ops ops = {
		.answer = send_answer, .ask_seed = ask_seed, .removed = peer_removed, .arg = s};

	lock_init(&s->lock, RANK_SERVICE);
	list_init(&s->errands);
	state_init(&s->state, c, &ops);
	s->seeds = seeds_new(seed_tls, seed_ended, s);
	s->preheats = preheats_new(seed_tls, peer_tls);
	s->downloads = map_new();
	traffic_init(&s->traffic);
	s->started_ms = clock_wall_ms();
	s->gc_at_ms = clock_ms() + GC_MS;
	s->tick = (struct timer){.fire = on_tick, .arg = s};
	timer_arm(&s->tick, TICK_MS);
	metrics_on_print(show_state, s);
	return s;
}

void service_free(struct service *s)
{
	const char *id;
	void *value;
	size_t at = 0;

	metrics_on_print_remove(show_state, s);
	timer_cancel(&s->tick);
	preheats_free(s->preheats);
	seeds_free(s->seeds);
	while (map_next(s->downloads, &at, &id, &value))
		protobuf_c_message_free_unpacked(value, NULL);
	map_free(s->downloads);
	traffic_release(&s->traffic);
	state_release(&s->state);
	rules_free(s->rules);
	lock_release(&s->lock);
	free(s);
}

void service_set_rules(struct service *s, struct rules *rules)
{
	struct rules *before;

	lock_take(&s->lock);
	before = s->rules;
	s->rules = rules;
	lock_drop(&s->lock);
	rules_free(before);
}

void service_set_limits(struct service *s, unsigned candidate_parent_limit,
			unsigned filter_parent_limit)
{
	lock_guard(&s->lock);
	if (candidate_parent_limit)
		s->state.config.candidate_parent_limit = candidate_parent_limit;
	if (filter_parent_limit)
		s->state.config.filter_parent_limit = filter_parent_limit;
}

/* ---- register */

static bool valid_ids(struct rpc_call *call, const Scheduler__V2__AnnouncePeerRequest *rq)
{
	size_t task = strlen(rq->task_id), peer = strlen(rq->peer_id), host = strlen(rq->host_id);

	if (task && task <= ID_MAX && peer && peer <= ID_MAX && host && host <= ID_MAX)
		return true;
	rpc_call_finish(call, RPC_INVALID_ARGUMENT, "host_id, task_id and peer_id are needed");
	return false;
}

/* What a seed is asked for: the first peer's request, without what is that peer's own. */
static void remember_download(struct service *s, const char *task_id, const Common__V2__Download *d)
{
	Common__V2__Download *copy;
	size_t len;
	uint8_t *bytes;

	if (map_get(s->downloads, task_id))
		return;
	len = protobuf_c_message_get_packed_size(&d->base);
	bytes = mem_alloc(len);
	protobuf_c_message_pack(&d->base, bytes);
	copy = (Common__V2__Download *)protobuf_c_message_unpack(d->base.descriptor, NULL, len,
								 bytes);
	free(bytes);
	if (!copy)
		return;
	if (copy->output_path__case) {
		free(copy->output_path);
		copy->output_path__case = COMMON__V2__DOWNLOAD__OUTPUT_PATH___NOT_SET;
	}
	if (copy->range) {
		common__v2__range__free_unpacked(copy->range, NULL);
		copy->range = NULL;
	}
	copy->need_back_to_source = true;
	copy->need_piece_content = false;
	copy->force_hard_link = false;
	map_put(s->downloads, task_id, copy);
}

static struct task *task_of(struct service *s, const char *id, const Common__V2__Download *d)
{
	struct task *t = state_task(&s->state, id);
	uint64_t length = message_number(d, actual_content_length, 0);
	uint64_t piece = message_number(d, actual_piece_length, 0);

	if (!t) {
		if (piece == 0 || piece > UINT32_MAX || length / piece > UINT32_MAX)
			piece = geometry_piece_length(length);
		t = state_task_make(&s->state, id, length, (uint32_t)piece, clock_ms());
		t->url = mem_strdup(d->url);
		t->digest = mem_strdup(message_text(d, digest));
		t->tag = mem_strdup(message_text(d, tag));
		t->application = mem_strdup(message_text(d, application));
	}
	remember_download(s, id, d);
	return t;
}

static void answer_ready(struct service *s, struct rpc_call *call, bool empty)
{
	Scheduler__V2__AnnouncePeerResponse m = SCHEDULER__V2__ANNOUNCE_PEER_RESPONSE__INIT;
	Scheduler__V2__EmptyTaskResponse none = SCHEDULER__V2__EMPTY_TASK_RESPONSE__INIT;
	Scheduler__V2__MetadataOnlyResponse only = SCHEDULER__V2__METADATA_ONLY_RESPONSE__INIT;

	if (empty) {
		m.response_case =
			SCHEDULER__V2__ANNOUNCE_PEER_RESPONSE__RESPONSE_EMPTY_TASK_RESPONSE;
		m.empty_task_response = &none;
	} else {
		m.response_case =
			SCHEDULER__V2__ANNOUNCE_PEER_RESPONSE__RESPONSE_METADATA_ONLY_RESPONSE;
		m.metadata_only_response = &only;
	}
	rpc_call_queue(call, &m.base);
	post(s, call, false, RPC_OK, NULL);
}

static void register_peer(struct service *s, struct rpc_call *call,
			  const Scheduler__V2__AnnouncePeerRequest *rq)
{
	const Common__V2__Download *d = rq->register_peer_request->download;
	struct host *h = state_host(&s->state, rq->host_id);
	int64_t now = clock_ms();
	const char *blocked;
	struct peer *p;

	if (!h || !d) {
		finish(s, call, h ? RPC_INVALID_ARGUMENT : RPC_NOT_FOUND,
		       h ? "download is needed" : "host is not announced");
		return;
	}
	blocked = rules_blocked(s->rules, d, h->type != 0);
	if (blocked) {
		cleanup(free_at) char *why =
			mem_printf("the cluster's block list has its %s", blocked);

		figures_peer(FIGURE_REGISTER_FAILED, (int)d->priority, h);
		finish(s, call, RPC_PERMISSION_DENIED, why);
		return;
	}
	p = state_peer_make(&s->state, rq->peer_id, h, task_of(s, rq->task_id, d), now);
	if (!p || (p->stream && p->stream != call)) {
		figures_peer(FIGURE_REGISTER_FAILED, (int)d->priority, h);
		finish(s, call, RPC_ALREADY_EXISTS, "another peer has that id");
		return;
	}
	p->stream = call;
	rpc_call_set_user(call, p);
	p->priority = rules_priority(s->rules, d);
	p->concurrent_pieces = message_number(d, concurrent_piece_count, 8);
	figures_peer(FIGURE_REGISTER, p->priority, h);
	p->need_back_to_source = d->need_back_to_source;
	p->may_back_to_source = !d->disable_back_to_source;
	state_peer_event(&s->state, p, PEER_EVENT_REGISTER, now);
	if (p->task->content_length != 0 && !d->metadata_only) {
		state_peer_supersede(&s->state, p, now);
		state_schedule(&s->state, p, now);
		return;
	}
	/* It has all of it: a parent from now on, whatever it goes on to say. */
	state_peer_event(&s->state, p, PEER_EVENT_FINISHED, now);
	state_peer_supersede(&s->state, p, now);
	answer_ready(s, call, p->task->content_length == 0);
}

/* ---- what a registered peer says */

static void reschedule(struct service *s, struct peer *p,
		       const Scheduler__V2__ReschedulePeerRequest *rq)
{
	for (size_t i = 0; i < rq->n_candidate_parents; i++)
		state_peer_block(p, rq->candidate_parents[i]->id);
	state_peer_event(&s->state, p, PEER_EVENT_REGISTER, clock_ms());
	state_schedule(&s->state, p, clock_ms());
}

/* from_peer: of a parent, which may be gone by now. */
static void piece_finished(struct service *s, struct peer *p, const Common__V2__Piece *piece,
			   bool from_peer)
{
	const char *parent_id = piece && from_peer ? message_text(piece, parent_id) : NULL;
	const struct peer *parent = parent_id ? state_peer(&s->state, parent_id) : NULL;
	int64_t now = clock_ms();
	uint64_t len;

	if (!piece)
		return;
	/* A peer may say any length: no piece is longer than the task's. */
	len = piece->length < p->task->piece_length ? piece->length : p->task->piece_length;
	if (parent || !from_peer) {
		traffic_piece(&s->traffic, p->host, parent ? parent->host : NULL, len, now);
		figures_piece(p->host, parent ? parent->host : NULL, len);
	}
	state_peer_piece(&s->state, p, piece->number, (uint32_t)message_duration_ms(piece->cost),
			 now);
}

static void ended(struct service *s, struct rpc_call *call, struct peer *p, enum peer_event event)
{
	state_peer_event(&s->state, p, event, clock_ms());
	finish(s, call, RPC_OK, NULL);
}

static void peer_says(struct service *s, struct rpc_call *call, struct peer *p,
		      const Scheduler__V2__AnnouncePeerRequest *rq)
{
	int64_t now = clock_ms();

#define SAYS(what) SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__REQUEST_##what##_REQUEST
	switch (rq->request_case) {
	case SAYS(DOWNLOAD_PEER_STARTED):
		state_peer_event(&s->state, p, PEER_EVENT_STARTED, now);
		figures_peer(FIGURE_STARTED, p->priority, p->host);
		break;
	case SAYS(DOWNLOAD_PEER_BACK_TO_SOURCE_STARTED):
		state_peer_event(&s->state, p, PEER_EVENT_BACK_TO_SOURCE, now);
		figures_peer(FIGURE_SOURCE_STARTED, p->priority, p->host);
		break;
	case SAYS(RESCHEDULE_PEER):
		reschedule(s, p, rq->reschedule_peer_request);
		break;
	case SAYS(DOWNLOAD_PEER_FINISHED):
	case SAYS(DOWNLOAD_PEER_BACK_TO_SOURCE_FINISHED):
		figures_finished(p, now);
		ended(s, call, p, PEER_EVENT_FINISHED);
		break;
	case SAYS(DOWNLOAD_PEER_FAILED):
		figures_peer(FIGURE_FAILED, p->priority, p->host);
		ended(s, call, p, PEER_EVENT_FAILED);
		break;
	case SAYS(DOWNLOAD_PEER_BACK_TO_SOURCE_FAILED):
		figures_peer(FIGURE_SOURCE_FAILED, p->priority, p->host);
		ended(s, call, p, PEER_EVENT_FAILED);
		break;
	case SAYS(DOWNLOAD_PIECE_FINISHED):
		piece_finished(s, p, rq->download_piece_finished_request->piece, true);
		break;
	case SAYS(DOWNLOAD_PIECE_BACK_TO_SOURCE_FINISHED):
		piece_finished(s, p, rq->download_piece_back_to_source_finished_request->piece,
			       false);
		break;
	case SAYS(DOWNLOAD_PIECE_FAILED):
		state_peer_block(p, rq->download_piece_failed_request->parent_id);
		figures_piece_failed(p->host, false);
		break;
	case SAYS(DOWNLOAD_PIECE_BACK_TO_SOURCE_FAILED):
		figures_piece_failed(p->host, true);
		break; /* the peer tells when it gives up */
	default:
		finish(s, call, RPC_INVALID_ARGUMENT, "unknown request");
	}
#undef SAYS
}

static void announced(struct service *s, struct rpc_call *call,
		      const Scheduler__V2__AnnouncePeerRequest *rq)
{
	struct peer *p = rpc_call_user(call);

	if (rq->request_case ==
	    SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__REQUEST_REGISTER_PEER_REQUEST) {
		register_peer(s, call, rq);
		return;
	}
	if (!p)
		p = state_peer(&s->state, rq->peer_id);
	if (!p) {
		finish(s, call, RPC_NOT_FOUND, "peer is not registered");
		return;
	}
	p->stream = call;
	rpc_call_set_user(call, p);
	peer_says(s, call, p, rq);
}

static void announce_peer(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Scheduler__V2__AnnouncePeerRequest *rq = (const void *)req;
	struct service *s = arg;

	if (!valid_ids(call, rq))
		return;
	lock_take(&s->lock);
	announced(s, call, rq);
	service_unlock(s);
}

/* The client has said all: so do we. */
static void announce_peer_half_closed(struct rpc_call *call, void *arg)
{
	(void)arg;
	rpc_call_finish(call, RPC_OK, NULL);
}

/* A stream that ends before its download has ended means that the peer is gone. */
static void announce_peer_closed(struct rpc_call *call, void *arg)
{
	struct service *s = arg;
	struct peer *p;

	lock_take(&s->lock);
	p = rpc_call_user(call);
	if (p && p->stream == call) {
		p->stream = NULL;
		if (p->state != PEER_SUCCEEDED)
			state_peer_event(&s->state, p, PEER_EVENT_FAILED, clock_ms());
	}
	service_unlock(s);
}

/* ---- unary calls */

static void reply_empty(struct rpc_call *call)
{
	Google__Protobuf__Empty empty = GOOGLE__PROTOBUF__EMPTY__INIT;

	rpc_call_reply(call, &empty.base);
}

static void reply_free(struct rpc_call *call, ProtobufCMessage *m)
{
	rpc_call_reply(call, m);
	protobuf_c_message_free_unpacked(m, NULL);
}

static void fill_host(struct host *h, const Common__V2__Host *m)
{
	host_set_text(&h->hostname, m->hostname);
	host_set_text(&h->ip, m->ip);
	host_set_text(&h->os, m->os);
	host_set_text(&h->version, m->build ? m->build->git_version : "");
	host_move(h, m->network && m->network->idc__case ? m->network->idc : "",
		  m->network && m->network->location__case ? m->network->location : "");
	h->type = m->type;
	h->port = m->port;
	h->download_port = m->download_port;
	h->disable_shared = m->disable_shared;
	h->tx_max = m->network ? m->network->max_tx_bandwidth / 8 : 0; /* bits on the wire */
	h->unhealthy = false;
	/* Dragonfly's clients count every answer as one of few tries. */
	h->takes_more = strncmp(h->version, "skimmer-", 8) == 0;
}

static void announce_host(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Scheduler__V2__AnnounceHostRequest *rq = (const void *)req;
	const Common__V2__Host *m = rq->host;
	struct service *s = arg;
	struct net_addr addr;

	if (!m || !*m->id || strlen(m->id) > ID_MAX || !*m->hostname || m->type > 3 ||
	    !net_addr_parse(m->ip, 1, &addr) || m->port < 1 || m->port > 65535) {
		rpc_call_finish(call, RPC_INVALID_ARGUMENT,
				"host needs id, hostname, a literal ip and a port");
		return;
	}
	lock_take(&s->lock);
	bool is_new = !state_host(&s->state, m->id);
	struct host *h = state_host_announce(&s->state, m->id, clock_ms());
	fill_host(h, m);
	h->interval_ms = message_duration_ms(rq->interval);
	lock_drop(&s->lock);
	if (is_new)
		log_info("host announced", "host=%s seed=%d", m->id, m->type != 0);
	reply_empty(call);
}

static void delete_host(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Scheduler__V2__DeleteHostRequest *rq = (const void *)req;
	struct service *s = arg;
	struct host *h;

	lock_take(&s->lock);
	h = state_host(&s->state, rq->host_id);
	if (h)
		state_host_remove(&s->state, h, clock_ms());
	service_unlock(s);
	if (h)
		reply_empty(call);
	else
		rpc_call_finish(call, RPC_NOT_FOUND, "no such host");
}

static void list_hosts(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Scheduler__V2__ListHostsRequest *rq = (const void *)req;
	Scheduler__V2__ListHostsResponse *m = mem_new(Scheduler__V2__ListHostsResponse);
	struct service *s = arg;
	const char *id;
	void *value;
	size_t at = 0;

	scheduler__v2__list_hosts_response__init(m);
	lock_take(&s->lock);
	m->hosts = mem_array(map_count(s->state.hosts), sizeof(*m->hosts));
	while (map_next(s->state.hosts, &at, &id, &value)) {
		const struct host *h = value;

		if (!rq->type__case || rq->type == h->type)
			m->hosts[m->n_hosts++] = message_host(h);
	}
	lock_drop(&s->lock);
	reply_free(call, &m->base);
}

static void stat_peer(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Scheduler__V2__StatPeerRequest *rq = (const void *)req;
	Common__V2__Peer *m = NULL;
	struct service *s = arg;
	struct peer *p;

	lock_take(&s->lock);
	p = state_peer(&s->state, rq->peer_id);
	if (p)
		m = message_peer(p);
	lock_drop(&s->lock);
	if (m)
		reply_free(call, &m->base);
	else
		rpc_call_finish(call, RPC_NOT_FOUND, "no such peer");
}

static void delete_peer(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Scheduler__V2__DeletePeerRequest *rq = (const void *)req;
	struct service *s = arg;
	struct peer *p;

	lock_take(&s->lock);
	p = state_peer(&s->state, rq->peer_id);
	if (p)
		state_peer_remove(&s->state, p, clock_ms());
	service_unlock(s);
	if (p)
		reply_empty(call);
	else
		rpc_call_finish(call, RPC_NOT_FOUND, "no such peer");
}

static void stat_task(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Scheduler__V2__StatTaskRequest *rq = (const void *)req;
	Common__V2__Task *m = NULL;
	struct service *s = arg;
	struct task *t;

	lock_take(&s->lock);
	t = state_task(&s->state, rq->task_id);
	if (t)
		m = message_task(t);
	lock_drop(&s->lock);
	if (m)
		reply_free(call, &m->base);
	else
		rpc_call_finish(call, RPC_NOT_FOUND, "no such task");
}

/* The host that asks has it no more; the task itself lives on with the others. */
static void delete_task(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Scheduler__V2__DeleteTaskRequest *rq = (const void *)req;
	struct service *s = arg;
	struct host *h;

	lock_take(&s->lock);
	h = state_host(&s->state, rq->host_id);
	if (h) {
		list_each_safe (it, &h->peers) {
			struct peer *p = list_entry(it, struct peer, host_link);

			if (strcmp(p->task->id, rq->task_id) == 0)
				state_peer_remove(&s->state, p, clock_ms());
		}
	}
	service_unlock(s);
	if (h)
		reply_empty(call);
	else
		rpc_call_finish(call, RPC_NOT_FOUND, "no such host");
}

#define UNARY(name, type, fn)                                                                      \
	{                                                                                          \
		.path = "/scheduler.v2.Scheduler/" name,                                           \
		.request = &scheduler__v2__##type##_request__descriptor, .message = fn,            \
	}

const struct rpc_method service_methods[] = {
	{
		.path = "/scheduler.v2.Scheduler/AnnouncePeer",
		.request = &scheduler__v2__announce_peer_request__descriptor,
		.client_streams = true,
		.message = announce_peer,
		.half_closed = announce_peer_half_closed,
		.closed = announce_peer_closed,
	},
	UNARY("AnnounceHost", announce_host, announce_host),
	UNARY("DeleteHost", delete_host, delete_host),
	UNARY("ListHosts", list_hosts, list_hosts),
	UNARY("StatPeer", stat_peer, stat_peer),
	UNARY("DeletePeer", delete_peer, delete_peer),
	UNARY("StatTask", stat_task, stat_task),
	UNARY("DeleteTask", delete_task, delete_task),
	UNARY("PreheatImage", preheat_image, service_preheat_image),
	UNARY("StatImage", stat_image, service_stat_image),
	UNARY("PreheatFile", preheat_file, service_preheat_file),
	UNARY("StatFile", stat_file, service_stat_file),
	{.path = NULL},
};
