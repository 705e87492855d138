/* Names and labels are Dragonfly's (its scheduler's metrics), so that dashboards know them. */
#include "control/scheduler/figures.h"

#include "base/metrics.h"
#include "proto/figure.h"
#include "proto/rpc_count.h"

#include <stdio.h>
#include <string.h>

#define PREFIX	   "dragonfly_scheduler_"
#define PRIORITIES 7
#define TYPES	   2 /* of hosts: normal, and seeds of whatever strength */

static bool with_hosts; /* constant while figures are counted */
static const struct rpc_method *methods;

/* ---- of peers */

#define OF_PEERS(name, help)                                                                       \
	{                                                                                          \
		METRIC_COUNTER, PREFIX name, help, "priority,task_type,host_type"                  \
	}

static const struct metric_family peer_families[FIGURES_OF_PEERS] = {
	[FIGURE_REGISTER] = OF_PEERS("register_peer_total", "Peers that registered."),
	[FIGURE_REGISTER_FAILED] =
		OF_PEERS("register_peer_failure_total", "Peers whose registration was refused."),
	[FIGURE_STARTED] =
		OF_PEERS("download_peer_started_total", "Downloads from peers that began."),
	[FIGURE_SOURCE_STARTED] = OF_PEERS("download_peer_back_to_source_started_total",
					   "Downloads from the origin that began."),
	[FIGURE_FINISHED] = OF_PEERS("download_peer_finished_total", "Downloads that ended well."),
	[FIGURE_FAILED] = OF_PEERS("download_peer_finished_failure_total",
				   "Downloads from peers that failed."),
	[FIGURE_SOURCE_FAILED] = OF_PEERS("download_peer_back_to_source_finished_failure_total",
					  "Downloads from the origin that failed."),
};

static const char *const priorities[PRIORITIES] = {"LEVEL0", "LEVEL1", "LEVEL2", "LEVEL3",
						   "LEVEL4", "LEVEL5", "LEVEL6"};

static const char *type_name(const struct host *h)
{
	static const char *const names[] = {"normal", "super", "strong", "weak"};

	return h->type < array_len(names) ? names[h->type] : "other";
}

/* With the service's lock: what metric_get() gave is kept. */
void figures_peer(enum figure f, int priority, const struct host *h)
{
	static struct metric *kept[FIGURES_OF_PEERS][PRIORITIES][TYPES];
	int level = priority >= 0 && priority < PRIORITIES ? priority : 0;
	struct metric **m = &kept[f][level][h->type ? 1 : 0];

	if (!*m)
		*m = metric_get(&peer_families[f], priorities[level], "STANDARD", type_name(h));
	metric_add(*m, 1);
}

void figures_finished(const struct peer *p, int64_t now_ms)
{
	static const struct metric_family duration = {
		METRIC_SUMMARY, PREFIX "download_peer_duration_milliseconds",
		"From a peer's registration to its end, by size of the task.", "task_size_level"};
	char level[8];

	figures_peer(FIGURE_FINISHED, p->priority, p->host);
	snprintf(level, sizeof(level), "%u", figure_size_level(p->task->content_length));
	metric_observe(metric_get(&duration, level), (uint64_t)(now_ms - p->created_ms));
}

/* ---- of pieces */

static void count_host(const struct host *h, const char *type, uint64_t len)
{
	static const struct metric_family host_traffic = {
		METRIC_COUNTER, PREFIX "host_traffic",
		"Bytes that a host downloaded or uploaded (metrics.enableHost).",
		"type,task_type,host_type,host_id,host_ip,host_name"};

	metric_add(metric_get(&host_traffic, type, "STANDARD", type_name(h), h->id, h->ip,
			      h->hostname),
		   (int64_t)len);
}

void figures_piece(const struct host *child, const struct host *parent, uint64_t len)
{
	static const struct metric_family finished = {
		METRIC_COUNTER, PREFIX "download_piece_finished_total", "Pieces that arrived.",
		"traffic_type,task_type,host_type"};
	static const struct metric_family bytes = {METRIC_COUNTER, PREFIX "traffic",
						   "Bytes of pieces, by where from.",
						   "type,task_type,host_type"};
	static struct metric *kept[2][2][TYPES];
	const char *from = parent ? "REMOTE_PEER" : "BACK_TO_SOURCE";
	unsigned type = child->type ? 1 : 0;
	struct metric **count = &kept[0][parent ? 1 : 0][type];
	struct metric **sum = &kept[1][parent ? 1 : 0][type];

	if (!*count)
		*count = metric_get(&finished, from, "STANDARD", type_name(child));
	if (!*sum)
		*sum = metric_get(&bytes, from, "STANDARD", type_name(child));
	metric_add(*count, 1);
	metric_add(*sum, (int64_t)len);
	if (with_hosts)
		count_host(child, "download", len);
	if (with_hosts && parent)
		count_host(parent, "upload", len);
}

void figures_piece_failed(const struct host *child, bool from_source)
{
	static const struct metric_family of_peers = {
		METRIC_COUNTER, PREFIX "download_piece_finished_failure_total",
		"Pieces that a parent did not give.", "traffic_type,task_type,host_type"};
	static const struct metric_family of_source = {
		METRIC_COUNTER, PREFIX "download_piece_back_to_source_finished_failure_total",
		"Pieces that the origin did not give.", "traffic_type,task_type,host_type"};

	metric_add(metric_get(from_source ? &of_source : &of_peers,
			      from_source ? "BACK_TO_SOURCE" : "REMOTE_PEER", "STANDARD",
			      type_name(child)),
		   1);
}

/* ---- of the scheduler itself */

void figures_scheduled(int64_t ms)
{
	static const struct metric_family duration = {
		METRIC_SUMMARY, PREFIX "schedule_duration_milliseconds",
		"From a peer's question to the answer.", NULL};
	static struct metric *kept;

	if (!kept)
		kept = metric_get(&duration);
	metric_observe(kept, (uint64_t)ms);
}

void figures_state(uint64_t waiting, uint64_t hosts, uint64_t peers, uint64_t tasks)
{
	static const struct metric_family concurrent = {METRIC_GAUGE,
							PREFIX "concurrent_schedule_total",
							"Peers that wait for an answer.", NULL};
	static const struct metric_family known = {METRIC_GAUGE, "skimmer_scheduler_known",
						   "Hosts, peers and tasks in memory.", "what"};

	metric_set(metric_get(&concurrent), (int64_t)waiting);
	metric_set(metric_get(&known, "hosts"), (int64_t)hosts);
	metric_set(metric_get(&known, "peers"), (int64_t)peers);
	metric_set(metric_get(&known, "tasks"), (int64_t)tasks);
}

/* Questions with one answer, by the end of their method's path. */
static const struct {
	const char *method;
	struct metric_family total, failure;
} calls[] = {
#define CALL(method, name, help)                                                                   \
	{                                                                                          \
		"/" method, {METRIC_COUNTER, PREFIX name "_total", help, NULL},                    \
			{METRIC_COUNTER, PREFIX name "_failure_total", help " Those that failed.", \
			 NULL},                                                                    \
	}
	CALL("AnnouncePeer", "announce_peer", "Conversations with peers."),
	CALL("AnnounceHost", "announce_host", "Announcements of hosts."),
	CALL("DeleteHost", "leave_host", "Hosts that left."),
	CALL("ListHosts", "list_hosts", "Questions for hosts."),
	CALL("StatPeer", "stat_peer", "Questions for a peer."),
	CALL("DeletePeer", "leave_peer", "Peers that left."),
	CALL("StatTask", "stat_task", "Questions for a task."),
	CALL("DeleteTask", "leave_task", "Tasks deleted at a host."),
	CALL("PreheatImage", "preheat_image", "Preheats of images."),
	CALL("StatImage", "stat_image", "Questions for images."),
	CALL("PreheatFile", "preheat_file", "Preheats of files."),
	CALL("StatFile", "stat_file", "Questions for files."),
#undef CALL
};

static void show_calls(void *arg)
{
	(void)arg;
	for (const struct rpc_method *m = methods; m->path; m++) {
		const char *name = strrchr(m->path, '/');
		struct rpc_tally t = rpc_tally(m);

		for (size_t i = 0; i < array_len(calls); i++) {
			if (strcmp(calls[i].method, name) != 0)
				continue;
			metric_set(metric_get(&calls[i].total), (int64_t)t.started);
			metric_set(metric_get(&calls[i].failure), (int64_t)t.failed);
		}
	}
}

/* What has not happened yet is 0, not unknown. */
static void begin_at_zero(void)
{
	const struct host normal = {.type = 0};

	for (enum figure f = 0; f < FIGURES_OF_PEERS; f++)
		metric_add(metric_get(&peer_families[f], priorities[0], "STANDARD",
				      type_name(&normal)),
			   0);
}

void figures_start(const struct rpc_method *service_methods, bool host_labels)
{
	static const struct metric_family version = FIGURE_VERSION(PREFIX);

	figure_version(&version);
	begin_at_zero();
	with_hosts = host_labels;
	methods = service_methods;
	metrics_on_print(show_calls, NULL);
}

void figures_stop(void)
{
	metrics_on_print_remove(show_calls, NULL);
}
