/* Health and metrics: two doors of one loop each, and the figures that are read at each scrape. */
#include "daemon/admin.h"

#include "base/door.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/metrics_door.h"
#include "daemon/piece_server.h"
#include "daemon/store.h"
#include "daemon/tasks.h"

#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

#define CONNECTIONS_MAX 256

struct admin {
	struct admin_config config;
	struct door *health, *metrics;
};

/* ---- figures */

/* What others keep count of, under the names that dashboards know. */
enum figure {
	FROM_ORIGIN,
	FROM_PEERS,
	UPLOADED,
	DISK_TOTAL,
	DISK_USED,
	TASKS,
	TASKS_ACTIVE,
	READS_WAITING,
	READS_HIT,
	READS_MISSED,
	DIGEST_FAILURES,
	SECONDS,
	SECONDS_USED,
	WASTED,
	PIECES_SERVED,
	SERVED_BY_BLOCKS,
	PASSED_ON,
	PIECE_CONNECTIONS,
	STORE_BYTES,
	STORE_QUOTA,
	STORE_EVICTED,
	FIGURES,
};

#define TRAFFIC "dragonfly_client_download_traffic"

static const struct {
	struct metric_family family;
	const char *label;
} figures[FIGURES] = {
	[FROM_ORIGIN] = {{METRIC_COUNTER, TRAFFIC, "Bytes fetched, by where from.", "type"},
			 "BACK_TO_SOURCE"},
	[FROM_PEERS] = {{METRIC_COUNTER, TRAFFIC, "Bytes fetched, by where from.", "type"},
			"REMOTE_PEER"},
	[UPLOADED] = {{METRIC_COUNTER, "dragonfly_client_upload_traffic",
		       "Bytes of pieces served to peers.", NULL},
		      NULL},
	[DISK_TOTAL] = {{METRIC_GAUGE, "dragonfly_client_disk_space_total",
			 "Bytes of the disk that holds the store.", NULL},
			NULL},
	[DISK_USED] = {{METRIC_GAUGE, "dragonfly_client_disk_usage_space_total",
			"Bytes of it in use, by whomever.", NULL},
		       NULL},
	[TASKS] = {{METRIC_GAUGE, "skimmer_tasks", "Tasks that are open.", NULL}, NULL},
	[TASKS_ACTIVE] = {{METRIC_GAUGE, "skimmer_tasks_active", "Tasks being fetched.", NULL},
			  NULL},
	[READS_WAITING] = {{METRIC_GAUGE, "skimmer_reads_waiting", "Reads that wait for a piece.",
			    NULL},
			   NULL},
	[READS_HIT] = {{METRIC_COUNTER, "skimmer_reads_hit_total", "Reads whose bytes were here.",
			NULL},
		       NULL},
	[READS_MISSED] = {{METRIC_COUNTER, "skimmer_reads_missed_total",
			   "Reads whose bytes had to come first.", NULL},
			  NULL},
	[DIGEST_FAILURES] = {{METRIC_COUNTER, "skimmer_digest_failures_total",
			      "Pieces or wholes that were not what they should be.", NULL},
			     NULL},
	[SECONDS] = {{METRIC_COUNTER, "skimmer_pieces_asked_twice_total",
		      "Pieces that were asked of a second parent while the first was late.", NULL},
		     NULL},
	[SECONDS_USED] = {{METRIC_COUNTER, "skimmer_pieces_second_first_total",
			   "Those of them that came from the second parent first.", NULL},
			  NULL},
	[WASTED] = {{METRIC_COUNTER, "skimmer_bytes_twice_total",
		     "Bytes that came twice because of it.", NULL},
		    NULL},
	[PIECES_SERVED] = {{METRIC_COUNTER, "skimmer_pieces_served_total",
			    "Pieces sent whole to peers.", NULL},
			   NULL},
	[SERVED_BY_BLOCKS] = {{METRIC_COUNTER, "skimmer_pieces_served_by_blocks_total",
			       "Pieces sent to peers block by block, which they can pass on.",
			       NULL},
			      NULL},
	[PASSED_ON] = {{METRIC_COUNTER, "skimmer_pieces_passed_on_total",
			"Those of them of which not all was here yet.", NULL},
		       NULL},
	[PIECE_CONNECTIONS] = {{METRIC_GAUGE, "skimmer_piece_connections",
				"Open connections of the piece server.", NULL},
			       NULL},
	[STORE_BYTES] = {{METRIC_GAUGE, "skimmer_store_bytes", "Bytes that the store holds.", NULL},
			 NULL},
	[STORE_QUOTA] = {{METRIC_GAUGE, "skimmer_store_quota_bytes",
			  "Bytes that the store may hold.", NULL},
			 NULL},
	[STORE_EVICTED] = {{METRIC_COUNTER, "skimmer_store_evicted_total",
			    "Tasks removed to make room.", NULL},
			   NULL},
};

static void show(enum figure f, uint64_t n)
{
	metric_set(metric_get(&figures[f].family, figures[f].label), (int64_t)n);
}

static void show_disk(const char *dir)
{
	struct statvfs disk;

	if (statvfs(dir, &disk) < 0)
		return;
	show(DISK_TOTAL, (uint64_t)disk.f_blocks * disk.f_frsize);
	show(DISK_USED, (uint64_t)(disk.f_blocks - disk.f_bfree) * disk.f_frsize);
}

static void show_tasks(struct tasks *ts)
{
	struct tasks_stat s;

	tasks_stat(ts, &s);
	show(FROM_ORIGIN, s.from_origin);
	show(FROM_PEERS, s.from_peers);
	show(TASKS, s.tasks);
	show(TASKS_ACTIVE, s.active);
	show(READS_WAITING, s.waiters);
	show(READS_HIT, s.hits);
	show(READS_MISSED, s.misses);
	show(DIGEST_FAILURES, s.digest_failures);
	show(SECONDS, s.seconds);
	show(SECONDS_USED, s.seconds_used);
	show(WASTED, s.wasted);
}

static void show_pieces(const struct piece_server *server)
{
	struct piece_server_stat s;

	piece_server_stat(server, &s);
	show(UPLOADED, s.bytes);
	show(PIECES_SERVED, s.pieces);
	show(SERVED_BY_BLOCKS, s.by_blocks);
	show(PASSED_ON, s.passed_on);
	show(PIECE_CONNECTIONS, s.open);
}

static void show_store(struct store *store)
{
	struct store_stat s;

	store_stat(store, &s);
	show(STORE_BYTES, s.bytes);
	show(STORE_QUOTA, s.quota);
	show(STORE_EVICTED, s.evicted);
}

static void refresh(void *arg)
{
	const struct admin_config *c = arg;

	if (c->storage_dir)
		show_disk(c->storage_dir);
	if (c->tasks)
		show_tasks(c->tasks);
	if (c->piece_server)
		show_pieces(c->piece_server);
	if (c->store)
		show_store(c->store);
}

static void show_version(void)
{
	static const struct metric_family version = {METRIC_GAUGE, "dragonfly_client_version",
						     "Version of the service.",
						     "git_version,git_commit,platform,build_time"};
	struct utsname uts = {0};

	uname(&uts);
	metric_set(metric_get(&version, "v" SKIMMER_VERSION, "", uts.machine, ""), 1);
}

/* ---- doors */

static bool is_read(const struct http_head *head)
{
	return strcmp(head->method, "GET") == 0 || strcmp(head->method, "HEAD") == 0;
}

static bool path_is(const struct http_head *head, const char *path)
{
	size_t n = strlen(path);

	return strncmp(head->target, path, n) == 0 && (!head->target[n] || head->target[n] == '?');
}

static void health_request(struct door_conn *c, void *arg)
{
	const struct admin *a = arg;
	const struct http_head *head = door_head(c);

	if (!is_read(head))
		door_reply(c, 405, "Allow: GET, HEAD\r\n", "only GET");
	else if (path_is(head, "/healthy"))
		door_reply(c, 200, "", "ok");
	else if (!path_is(head, "/readyz"))
		door_reply(c, 404, "", "there is /healthy and /readyz");
	else if (a->config.ready && !a->config.ready(a->config.arg))
		door_reply(c, 503, "", "not ready");
	else
		door_reply(c, 200, "", "ready");
}

int admin_new(const struct admin_config *config, struct admin **out, struct err *e)
{
	struct admin *a = mem_new(struct admin);
	struct door_config health = {
		.name = "health",
		.ip = config->health_ip,
		.port = config->health_port,
		.connections_max = CONNECTIONS_MAX,
		.request = health_request,
		.arg = a,
	};
	int r;

	a->config = *config;
	show_version();
	metrics_on_print(refresh, &a->config);
	r = door_new(&health, &a->health, e);
	if (r == 0)
		r = metrics_door_new(config->metrics_ip, config->metrics_port, &a->metrics, e);
	if (r < 0) {
		admin_free(a);
		return r;
	}
	*out = a;
	return 0;
}

uint16_t admin_health_port(const struct admin *a)
{
	return door_port(a->health);
}

uint16_t admin_metrics_port(const struct admin *a)
{
	return door_port(a->metrics);
}

void admin_free(struct admin *a)
{
	if (!a)
		return;
	door_free(a->health);
	door_free(a->metrics);
	metrics_on_print_remove(refresh, &a->config);
	free(a);
}
