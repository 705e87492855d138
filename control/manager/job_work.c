/*
 * The work of jobs. A preheat is asked of one active scheduler of each cluster and is done when
 * that scheduler sees every layer whole on as many hosts as were wanted: what it reports as done, a
 * later pull finds. Asking again for what is there costs nothing, so a preheat that was cut off is
 * simply begun anew.
 */
#include "control/manager/job_work.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/net.h"
#include "common_v2.pb-c.h"
#include "control/manager/job_ask.h"
#include "control/manager/job_fields.h"
#include "control/manager/links.h"
#include "control/manager/member.h"
#include "dfdaemon_v2.pb-c.h"

#include <errno.h>
#include <google/protobuf/empty.pb-c.h>
#include <string.h>

#define NS_PER_MS	1000000
#define TIMEOUT_MS	3600000
#define POLL_MS		1000
#define SCHEDULER_MS	20000
#define FAILED_LOOKS	5 /* looks at a failed or forgotten task before it is believed */
#define LAYERS_MAX	1024
#define AGAIN_MAX	15 /* times POLL_MS before a preheat is asked for again */
#define HOST_TIMEOUT_MS 10000

/* ---- schedulers of clusters */

/* A channel to an active scheduler; `turn` tells which of several. */
static int open_scheduler(struct db *db, int64_t cluster, unsigned turn, struct rpc_channel **out,
			  struct err *e)
{
	struct member *list = NULL;
	size_t count = 0;
	char target[300];
	int r = member_list(db, MEMBER_SCHEDULER, (uint64_t)cluster, true, &list, &count, e);

	if (r < 0)
		return r;
	if (count) {
		const struct member *m = &list[turn % count];

		net_join(m->ip, m->port, target, sizeof(target));
		*out = links_scheduler(target);
	}
	member_list_free(list, count);
	return count ? 0
		     : err_set(e, EHOSTUNREACH, "cluster %lld has no active scheduler",
			       (long long)cluster);
}

int job_active_clusters(struct db *db, int64_t **out, size_t *count_out, struct err *e)
{
	struct query q;

	*out = NULL;
	*count_out = 0;
	query_start(db, &q, e,
		    "SELECT DISTINCT scheduler_cluster_id FROM schedulers WHERE state = 'active'"
		    " ORDER BY scheduler_cluster_id",
		    "");
	while (query_next(&q)) {
		*out = mem_realloc(*out, (*count_out + 1) * sizeof(**out));
		(*out)[(*count_out)++] = query_int(&q, 0);
	}
	return query_end(&q);
}

/* ---- preheat: how far is it */

static bool has_ip(const json_t *ips, const char *ip)
{
	json_t *item;
	size_t i;

	json_array_foreach(ips, i, item)
	{
		if (strcmp(json_string_value(item), ip) == 0)
			return true;
	}
	return json_array_size(ips) == 0;
}

static bool is_wanted(const json_t *args, const struct ask_host *h)
{
	const char *scope = json_str(args, "scope");

	return (strcmp(scope, "all_peers") == 0 || h->is_seed) &&
	       has_ip(json_object_get(args, "ips"), h->ip);
}

static bool is_wanted_share(const json_t *args, const struct ask_hosts *hosts,
			    const struct ask_share *s)
{
	for (size_t i = 0; i < hosts->count; i++)
		if (strcmp(hosts->items[i].ip, s->ip) == 0 &&
		    strcmp(hosts->items[i].hostname, s->hostname) == 0 &&
		    is_wanted(args, &hosts->items[i]))
			return true;
	return false;
}

/* On how many hosts each layer has to be; as the scheduler counts them. */
static size_t needed_hosts(const json_t *args, const struct ask_hosts *hosts)
{
	size_t there = 0, count = (size_t)json_u64(args, "count", 0),
	       percentage = (size_t)json_u64(args, "percentage", 0), needed;

	for (size_t i = 0; i < hosts->count; i++)
		there += is_wanted(args, &hosts->items[i]);
	needed = there;
	if (strcmp(json_str(args, "scope"), "single_seed_peer") == 0)
		needed = 1;
	else if (json_array_size(json_object_get(args, "ips")))
		needed = there;
	else if (count)
		needed = count < there ? count : there;
	else if (percentage)
		needed = (there * percentage + 99) / 100;
	return needed ? needed : 1;
}

static void add_success(json_t *state, const struct ask *a, const char *layer,
			const struct ask_share *h)
{
	struct ask blob = {.args = a->args, .url = layer};
	char id[65] = "";

	if (ask_task_id(&blob, id, NULL) < 0)
		id[0] = 0;
	json_array_append_new(json_object_get(json_array_get(json_object_get(state, "results"), 0),
					      "success_tasks"),
			      json_pack("{s:o, s:s, s:s, s:s}", "url", job_url_public(layer),
					"hostname", h->hostname, "ip", h->ip, "task_id", id));
}

static void add_missing(struct ask_downloads *missing, const struct ask *a, const char *layer)
{
	struct ask blob = {.args = a->args, .url = layer};
	struct ask_download *d = &missing->items[missing->count];

	*d = (struct ask_download){.url = layer};
	if (missing->count < LAYERS_MAX && ask_task_id(&blob, d->task_id, NULL) == 0)
		missing->count++;
}

/* Fills in who has what; true if that is all that was wanted, else *missing is what is not. */
static bool look(const struct ask *a, const struct ask_shares *shares,
		 const struct ask_hosts *hosts, json_t *state, struct ask_downloads *missing)
{
	size_t needed = needed_hosts(a->args, hosts);
	bool all = shares->layer_count > 0;

	missing->items = mem_array(LAYERS_MAX + 1, sizeof(*missing->items));
	for (size_t i = 0; i < shares->layer_count; i++) {
		size_t have = 0;

		for (size_t k = 0; k < shares->host_count; k++) {
			const struct ask_share *h = &shares->hosts[k];

			if (!h->finished[i] || !is_wanted_share(a->args, hosts, h))
				continue;
			add_success(state, a, shares->layers[i], h);
			have++;
		}
		if (have >= needed)
			continue;
		all = false;
		add_missing(missing, a, shares->layers[i]);
	}
	return all;
}

/* ---- preheat: one URL in one cluster */

struct preheat {
	struct jobs *jobs;
	const struct job *job;
	json_t *states;
	json_t *state; /* of the cluster, in states */
	int64_t cluster, deadline_ms;
	/* Until when a cluster may be without a scheduler: after a start each has to say first that
	 * it is there. */
	int64_t scheduler_deadline_ms;
	bool told; /* how hosts failed is in the results */
};

static json_t *results_of(const struct preheat *p)
{
	return json_array_get(json_object_get(p->state, "results"), 0);
}

static void add_failure(struct preheat *p, const char *url, const char *hostname, const char *ip,
			const char *why)
{
	char *text cleanup(free_at) = job_text_public(why);

	json_array_append_new(json_object_get(results_of(p), "failure_tasks"),
			      json_pack("{s:o, s:s, s:s, s:s}", "url", job_url_public(url),
					"hostname", hostname, "ip", ip, "description", text));
	json_object_set_new(p->state, "error", json_string(text));
}

/* An error that asking again does not mend. */
static bool is_final(const struct err *e)
{
	switch (e->code) {
	case EHOSTUNREACH:
	case ETIMEDOUT:
	case ECANCELED:
	case ECONNREFUSED:
	case EPROTO:
		return false;
	default:
		return true;
	}
}

/* A row for each host that failed, by the name it has at the scheduler. */
static void add_failures(struct preheat *p, const struct ask_download *d,
			 const struct ask_hosts *hosts)
{
	for (size_t i = 0; i < d->failure_count; i++) {
		const struct ask_failure *f = &d->failures[i];
		const char *hostname = "", *ip = "";

		for (size_t k = 0; k < hosts->count; k++) {
			char target[300];

			net_join(hosts->items[k].ip, hosts->items[k].port, target, sizeof(target));
			if (strcmp(target, f->host) != 0)
				continue;
			hostname = hosts->items[k].hostname;
			ip = hosts->items[k].ip;
		}
		add_failure(p, d->url, hostname, ip, f->why);
		p->told = true;
	}
}

enum layers_state { LAYERS_WHOLE, LAYERS_MISSING, LAYERS_FAILED, LAYERS_FORGOTTEN };

/* What the scheduler says of what is not there. FAILED: in a way that asking again does not mend;
 * FORGOTTEN: nobody downloads a layer any more. Both with *e. */
static enum layers_state judge(struct preheat *p, struct rpc_channel *ch,
			       const struct ask_hosts *hosts, struct ask_downloads *missing,
			       struct err *e)
{
	enum layers_state state = LAYERS_MISSING;

	if (ask_downloads(ch, missing, e) < 0) {
		for (size_t i = 0; i < missing->count; i++)
			if (ask_has_failed(ch, missing->items[i].task_id))
				state = LAYERS_FORGOTTEN;
		err_set(e, EBADMSG, "the download has failed: see the seed peers' logs");
		return state;
	}
	for (size_t i = 0; i < missing->count; i++) {
		const struct ask_download *d = &missing->items[i];

		if (d->pending)
			continue;
		state = LAYERS_FORGOTTEN;
		err_set(e, EPROTO, "%s",
			d->failure_count ? d->failures[0].why
					 : "the download has ended before it was whole");
		for (size_t k = 0; k < d->failure_count; k++) {
			if (!d->failures[k].is_final)
				continue;
			err_set(e, EBADMSG, "%s", d->failures[k].why);
			add_failures(p, d, hosts);
			return LAYERS_FAILED;
		}
	}
	return state;
}

/* One look; forgets what an earlier look at this URL added. Negative: ask another time. */
static int look_once(struct preheat *p, struct rpc_channel *ch, const struct ask *a, size_t before,
		     enum layers_state *state, struct err *e)
{
	struct ask_shares shares cleanup(ask_shares_release) = {0};
	struct ask_hosts hosts cleanup(ask_hosts_release) = {0};
	struct ask_downloads missing cleanup(ask_downloads_release) = {0};
	json_t *list = json_object_get(results_of(p), "success_tasks");
	int r = ask_list_hosts(ch, &hosts, e);

	if (r == 0)
		r = ask_stat(ch, a, &shares, e);
	if (r < 0)
		return r;
	while (json_array_size(list) > before)
		json_array_remove(list, before);
	*state = LAYERS_WHOLE;
	if (!look(a, &shares, &hosts, p->state, &missing))
		*state = judge(p, ch, &hosts, &missing, e);
	jobs_progress(p->jobs, p->job, "STARTED", p->states);
	return 0;
}

static enum job_end wait_for_layers(struct preheat *p, struct rpc_channel *ch, const struct ask *a,
				    struct err *e)
{
	size_t before = json_array_size(json_object_get(results_of(p), "success_tasks"));
	enum layers_state state = LAYERS_MISSING;
	unsigned forgotten_looks = 0;

	while (clock_ms() < p->deadline_ms) {
		if (look_once(p, ch, a, before, &state, e) < 0 || state == LAYERS_FAILED)
			return JOB_FAILED;
		if (state == LAYERS_WHOLE)
			return JOB_DONE;
		forgotten_looks = state == LAYERS_FORGOTTEN ? forgotten_looks + 1 : 0;
		if (forgotten_looks >= FAILED_LOOKS)
			return JOB_FAILED;
		if (!jobs_wait(p->jobs, POLL_MS))
			return JOB_STOPPED;
	}
	err_set(e, EBADMSG, "the time is over");
	return JOB_FAILED;
}

static enum job_end preheat_url(struct preheat *p, const struct ask *a)
{
	struct err e = {0};

	p->told = false;
	for (unsigned turn = 0;; turn++) {
		struct rpc_channel *ch cleanup(rpc_channel_free_at) = NULL;
		enum job_end end;

		if (open_scheduler(jobs_db(p->jobs), p->cluster, turn, &ch, &e) == 0 &&
		    ask_preheat(ch, a, &e) == 0) {
			end = wait_for_layers(p, ch, a, &e);
			if (end != JOB_FAILED)
				return end;
		}
		if (clock_ms() >= (ch ? p->deadline_ms : p->scheduler_deadline_ms) ||
		    (ch && is_final(&e)))
			break;
		log_warn("preheat is asked for again", "job=%lld cluster=%lld why=\"%s\"",
			 (long long)p->job->id, (long long)p->cluster, e.text);
		if (!jobs_wait(p->jobs, POLL_MS * (turn < AGAIN_MAX ? turn + 1 : AGAIN_MAX)))
			return JOB_STOPPED;
	}
	if (!p->told)
		add_failure(p, a->url, "", "", e.text);
	return JOB_FAILED;
}

static json_t *add_state(json_t *states, const char *task, int64_t cluster)
{
	char now[32];
	json_t *state;

	field_print_time(clock_wall_ms(), now);
	state = json_pack("{s:s, s:s, s:s, s:s, s:s, s:[{s:[], s:[], s:I}]}", "task_name", task,
			  "state", "STARTED", "error", "", "created_at", now, "task_uuid", "",
			  "results", "success_tasks", "failure_tasks", "scheduler_cluster_id",
			  (json_int_t)cluster);
	json_array_append_new(states, state);
	return state;
}

static enum job_end preheat_cluster(struct preheat *p)
{
	const json_t *args = p->job->args;
	json_t *urls = json_object_get(args, "urls"), *item;
	bool is_image = strcmp(json_str(args, "type"), "image") == 0;
	enum job_end end = JOB_DONE, one;
	const char *url = json_str(args, "url");
	size_t i;

	if (url && *url)
		end = preheat_url(p, &(struct ask){args, url, is_image});
	json_array_foreach(urls, i, item)
	{
		if (end == JOB_STOPPED)
			return end;
		one = preheat_url(p, &(struct ask){args, json_string_value(item), is_image});
		end = one == JOB_DONE ? end : one;
	}
	return end;
}

static enum job_end preheat(struct jobs *j, const struct job *job, json_t *states)
{
	int64_t timeout_ms =
		(int64_t)json_u64(job->args, "timeout", (uint64_t)TIMEOUT_MS * NS_PER_MS) /
		NS_PER_MS;
	struct preheat p = {.jobs = j, .job = job, .states = states};
	enum job_end end = JOB_DONE, one;

	p.deadline_ms = clock_ms() + timeout_ms;
	p.scheduler_deadline_ms = clock_ms() + SCHEDULER_MS;
	for (size_t i = 0; i < job->cluster_count; i++) {
		p.cluster = job->clusters[i];
		p.state = add_state(states, "preheat", p.cluster);
		one = preheat_cluster(&p);
		if (one == JOB_STOPPED)
			return one;
		json_object_set_new(p.state, "state",
				    json_string(one == JOB_DONE ? "SUCCESS" : "FAILURE"));
		end = one == JOB_DONE ? end : one;
	}
	return end;
}

/* ---- tasks on hosts */

struct sweep {
	const char *task_id;
	bool remove;
	json_t *found, *failed;
};

/* Asks one daemon whether it has the task, or to remove it. */
static void ask_daemon(const struct sweep *s, const struct ask_host *h)
{
	struct rpc_channel *ch cleanup(rpc_channel_free_at) = NULL;
	Dfdaemon__V2__StatLocalTaskRequest stat = DFDAEMON__V2__STAT_LOCAL_TASK_REQUEST__INIT;
	Dfdaemon__V2__DeleteTaskRequest del = DFDAEMON__V2__DELETE_TASK_REQUEST__INIT;
	ProtobufCMessage *answer = NULL;
	struct err e = {0};
	char target[300];
	int r;

	net_join(h->ip, h->port, target, sizeof(target));
	ch = links_peer(target);
	stat.task_id = del.task_id = (char *)s->task_id;
	r = rpc_unary(ch, "/dfdaemon.v2.DfdaemonUpload/StatLocalTask", &stat.base,
		      &dfdaemon__v2__stat_local_task_response__descriptor, HOST_TIMEOUT_MS, &answer,
		      NULL, &e);
	if (answer)
		protobuf_c_message_free_unpacked(answer, NULL);
	answer = NULL;
	if (r == 0 && s->remove)
		r = rpc_unary(ch, "/dfdaemon.v2.DfdaemonUpload/DeleteTask", &del.base,
			      &google__protobuf__empty__descriptor, HOST_TIMEOUT_MS, &answer, NULL,
			      &e);
	if (answer)
		protobuf_c_message_free_unpacked(answer, NULL);
	if (r == 0)
		json_array_append_new(s->found, json_pack("{s:s, s:s, s:s, s:s}", "hostname",
							  h->hostname, "ip", h->ip, "host_type",
							  h->is_seed ? "super" : "normal",
							  "task_id", s->task_id));
	else if (e.code != ENOENT)
		json_array_append_new(s->failed,
				      json_pack("{s:s, s:s, s:s}", "hostname", h->hostname, "ip",
						h->ip, "description", e.text));
}

static enum job_end sweep_cluster(struct jobs *j, const struct job *job, int64_t cluster,
				  const char *task_id, json_t *state, struct err *e)
{
	struct rpc_channel *ch cleanup(rpc_channel_free_at) = NULL;
	struct ask_hosts hosts cleanup(ask_hosts_release) = {0};
	json_t *results = json_array_get(json_object_get(state, "results"), 0);
	struct sweep s = {.task_id = task_id,
			  .remove = strcmp(job->type, "delete_task") == 0,
			  .found = json_object_get(results, "success_tasks"),
			  .failed = json_object_get(results, "failure_tasks")};

	if (open_scheduler(jobs_db(j), cluster, 0, &ch, e) < 0 || ask_list_hosts(ch, &hosts, e) < 0)
		return JOB_FAILED;
	for (size_t i = 0; i < hosts.count; i++) {
		if (!jobs_wait(j, 0))
			return JOB_STOPPED;
		ask_daemon(&s, &hosts.items[i]);
	}
	/* Who looks gets the same under the name that Dragonfly's console reads. */
	if (!s.remove)
		json_object_set(results, "peers", s.found);
	return json_array_size(s.failed) ? JOB_FAILED : JOB_DONE;
}

static enum job_end sweep(struct jobs *j, const struct job *job, json_t *states)
{
	const char *given = json_str(job->args, "task_id");
	const struct ask a = {.args = job->args, .url = json_str(job->args, "url")};
	enum job_end end = JOB_DONE, one;
	struct err e = {0};
	char id[129];

	snprintf(id, sizeof(id), "%s", given ? given : "");
	if (!id[0] && ask_task_id(&a, id, &e) < 0) {
		json_array_append_new(states,
				      json_pack("{s:s, s:s}", "state", "FAILURE", "error", e.text));
		return JOB_FAILED;
	}
	for (size_t i = 0; i < job->cluster_count; i++) {
		json_t *state = add_state(states, job->type, job->clusters[i]);

		e = (struct err){0};
		one = sweep_cluster(j, job, job->clusters[i], id, state, &e);
		if (one == JOB_STOPPED)
			return one;
		json_object_set_new(state, "error", json_string(e.text));
		json_object_set_new(state, "state",
				    json_string(one == JOB_DONE ? "SUCCESS" : "FAILURE"));
		end = one == JOB_DONE ? end : one;
	}
	return end;
}

enum job_end job_work(struct jobs *j, const struct job *job, json_t *states)
{
	if (!job->cluster_count) {
		json_array_append_new(states, json_pack("{s:s, s:s}", "state", "FAILURE", "error",
							"no cluster has an active scheduler"));
		return JOB_FAILED;
	}
	return strcmp(job->type, "preheat") == 0 ? preheat(j, job, states) : sweep(j, job, states);
}

/* ---- what is answered at once */

static int update_peer(struct db *db, int64_t cluster, const struct ask_host *h, struct err *e)
{
	const Common__V2__Host *m = h->message;
	const Common__V2__Build *b = m->build;
	const Common__V2__Network *n = m->network;

	return db_run(db, NULL, e,
		      "UPDATE peers SET type = ?, idc = ?, location = ?, port = ?,"
		      " download_port = ?, proxy_port = ?, state = 'active', os = ?, platform = ?,"
		      " platform_family = ?, platform_version = ?, kernel_version = ?,"
		      " git_version = ?, git_commit = ?, build_platform = ?, updated_ms = ?"
		      " WHERE scheduler_cluster_id = ? AND host_name = ? AND ip = ?",
		      "sssiiissssssssiiss", h->is_seed ? "super" : "normal",
		      n && n->idc__case ? n->idc : "", n && n->location__case ? n->location : "",
		      (int64_t)m->port, (int64_t)m->download_port, (int64_t)m->proxy_port, m->os,
		      m->platform, m->platform_family, m->platform_version, m->kernel_version,
		      b ? b->git_version : "", b && b->git_commit__case ? b->git_commit : "",
		      b && b->platform__case ? b->platform : "", clock_wall_ms(), cluster,
		      h->hostname, h->ip);
}

static int add_peer(struct db *db, int64_t cluster, const struct ask_host *h, struct err *e)
{
	int64_t now = clock_wall_ms();

	return db_run(db, NULL, e,
		      "INSERT INTO peers (host_name, ip, scheduler_cluster_id, type, port,"
		      " created_ms, updated_ms) SELECT ?, ?, ?, 'normal', ?, ?, ? WHERE NOT EXISTS"
		      " (SELECT 1 FROM peers WHERE scheduler_cluster_id = ? AND host_name = ?"
		      " AND ip = ?)",
		      "ssiiiiiss", h->hostname, h->ip, cluster, (int64_t)h->port, now, now, cluster,
		      h->hostname, h->ip);
}

static int write_peers(struct db *db, int64_t cluster, const struct ask_hosts *hosts, struct err *e)
{
	int r = db_run(db, NULL, e,
		       "UPDATE peers SET state = 'inactive' WHERE scheduler_cluster_id = ?", "i",
		       cluster);

	for (size_t i = 0; r == 0 && i < hosts->count; i++) {
		r = add_peer(db, cluster, &hosts->items[i], e);
		if (r == 0)
			r = update_peer(db, cluster, &hosts->items[i], e);
	}
	return r;
}

int job_sync_peers(struct db *db, int64_t cluster, struct err *e)
{
	struct rpc_channel *ch cleanup(rpc_channel_free_at) = NULL;
	struct ask_hosts hosts cleanup(ask_hosts_release) = {0};
	int r = open_scheduler(db, cluster, 0, &ch, e);

	if (r == 0)
		r = ask_list_hosts(ch, &hosts, e);
	if (r == 0)
		r = db_begin(db, e);
	return r < 0 ? r : db_finish(db, write_peers(db, cluster, &hosts, e), e);
}

static json_t *layers_json(const struct ask_shares *s, const bool *only)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->layer_count; i++)
		if (!only || only[i])
			json_array_append_new(
				list, json_pack("{s:o}", "url", job_url_public(s->layers[i])));
	return list;
}

int job_image_distribution(struct db *db, const json_t *args, const int64_t *clusters, size_t count,
			   json_t **out, struct err *e)
{
	const struct ask a = {.args = args, .url = json_str(args, "url"), .is_image = true};
	json_t *peers cleanup(json_decref_at) = json_array();
	json_t *layers cleanup(json_decref_at) = json_array();

	for (size_t i = 0; i < count; i++) {
		struct rpc_channel *ch cleanup(rpc_channel_free_at) = NULL;
		struct ask_shares shares cleanup(ask_shares_release) = {0};

		if (open_scheduler(db, clusters[i], 0, &ch, e) < 0 ||
		    ask_stat(ch, &a, &shares, e) < 0)
			return -e->code;
		json_decref(layers);
		layers = layers_json(&shares, NULL);
		for (size_t k = 0; k < shares.host_count; k++)
			json_array_append_new(
				peers,
				json_pack("{s:s, s:s, s:o, s:I}", "ip", shares.hosts[k].ip,
					  "hostname", shares.hosts[k].hostname, "cached_layers",
					  layers_json(&shares, shares.hosts[k].finished),
					  "scheduler_cluster_id", (json_int_t)clusters[i]));
	}
	*out = json_pack("{s:{s:O}, s:O}", "image", "layers", layers, "peers", peers);
	return 0;
}
