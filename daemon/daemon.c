/* Making and unmaking the modules in order. Must not know: what they do with each other. */
#include "daemon/daemon.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/pool.h"
#include "base/profile_door.h"
#include "base/timer.h"
#include "daemon/admin.h"
#include "daemon/announcer.h"
#include "daemon/blobs.h"
#include "daemon/channels.h"
#include "daemon/diffs.h"
#include "daemon/holder.h"
#include "daemon/inspect.h"
#include "daemon/layer_build.h"
#include "daemon/layer_service.h"
#include "daemon/layer_trees.h"
#include "daemon/manager_client.h"
#include "daemon/peer_server.h"
#include "daemon/piece_client.h"
#include "daemon/piece_server.h"
#include "daemon/proxy.h"
#include "daemon/relay.h"
#include "daemon/scheduler_client.h"
#include "daemon/seed_link.h"
#include "daemon/tasks.h"
#include "daemon/vouch.h"
#include "fs/forest_prune.h"
#include "fs/layer/erofs_probe.h"
#include "fs/session.h"

#include <string.h>

#define DIFFS_READ_AHEAD_KB 1024 /* a span and a little: more would be read for nothing */

struct daemon {
	const struct daemon_config *config;
	struct holder *holder; /* NULL = mounts end with the process */
	struct host *host;
	struct store *store;
	struct origin *origin;
	struct relay *relay;
	struct piece_client *piece_client;
	struct scheduler_client *scheduler_client;
	struct manager_client *manager_client;
	struct seed_link *seed_link; /* NULL = no seed, or no manager */
	struct tasks *tasks;
	struct history *history;
	struct inspect inspect;
	struct announcer *announcer;
	struct piece_server *piece_server;
	struct peer_server *peer_server;
	struct proxy *proxy;
	struct blobs *blobs;
	struct fs_session *mount;
	struct layers *layers; /* NULL = no lazy layers */
	struct vouch *vouch;
	struct starts *starts;
	struct layer_build *layer_build;
	struct layer_service *layer_service;
	struct layer_reads *layer_reads;
	struct diffs *diffs;
	struct fs_session *diffs_mount;
	struct layer_trees *layer_trees;
	struct fs_session *trees_mount; /* NULL = EROFS shows them */
	struct admin *admin;
	struct door *profiles; /* NULL = none */
	struct pool *gc_pool;
	struct timer gc_timer;
};

/* ---- the store and its cleaning */

static void clean_store(void *arg)
{
	struct daemon *d = arg;
	unsigned gone;

	if (d->trees_mount)
		fs_forest_prune(d->trees_mount);
	/* Lazy layers first: each can be made again of a task. */
	if (d->layers) {
		store_set_others(d->store, layers_bytes(d->layers));
		layers_gc(d->layers, store_excess(d->store));
		store_set_others(d->store, layers_bytes(d->layers));
	}
	gone = store_gc(d->store);
	if (gone)
		log_info("old tasks removed from the store", "count=%u", gone);
}

static void on_gc_timer(struct timer *t)
{
	struct daemon *d = t->arg;

	if (!pool_run(d->gc_pool, clean_store, d))
		log_debug("store is being cleaned still", NULL);
	timer_arm(t, d->config->gc.interval_ms);
}

static int start_store(struct daemon *d, struct err *e)
{
	const struct daemon_config *c = d->config;
	const struct store_config sc = {
		.dir = c->storage.dir,
		.keep = c->storage.keep,
		.quota = c->storage.quota,
		.high_percent = (unsigned)c->gc.high_percent,
		.low_percent = (unsigned)c->gc.low_percent,
		.task_ttl_ms = c->gc.task_ttl_ms,
		.unfinished_ttl_ms = c->gc.unfinished_ttl_ms,
	};
	int r = store_open(&sc, &d->store, e);

	if (r < 0)
		return err_wrap(e, "storage.dir");
	return 0;
}

static void start_gc(struct daemon *d)
{
	d->gc_pool = pool_new("store-gc", 1, 1);
	d->gc_timer = (struct timer){.fire = on_gc_timer, .arg = d};
	timer_arm(&d->gc_timer, d->config->gc.interval_ms);
}

static void stop_gc(struct daemon *d)
{
	if (!d->gc_pool)
		return;
	timer_cancel(&d->gc_timer);
	pool_free(d->gc_pool);
}

/* ---- the network's clients */

static void start_host(struct daemon *d)
{
	const struct daemon_config *c = d->config;
	const struct host_config hc = {
		.hostname = c->host.hostname,
		.ip = c->host.ip,
		.idc = c->host.idc,
		.location = c->host.location,
		.scheduler_cluster_id = c->host.scheduler_cluster_id,
		.is_seed = c->seed_peer.enable,
		.disable_shared = c->upload.disable_shared,
		.ipv6 = c->ipv6,
		.port = c->upload.port,
		.download_port = c->upload.port,
		.proxy_port = c->proxy.port,
		.piece_port = c->storage.tcp_port,
		.storage_dir = c->storage.dir,
		.upload_bandwidth = c->upload.bandwidth,
	};

	d->host = host_new(&hc);
}

static int start_origin(struct daemon *d, struct err *e)
{
	const struct daemon_config *c = d->config;
	const struct origin_config oc = {
		.ca_file = c->backend.ca_cert ? c->backend.ca_cert : c->proxy.mirror_cert,
		.insecure_skip_verify = c->backend.insecure_skip_verify,
		.retries_max = (unsigned)c->backend.max_retries,
		.bandwidth_per_s = c->download.back_to_source_bandwidth,
		.concurrent_per_host = (unsigned)c->download.back_to_source_concurrent_per_host,
		.extra_headers = &c->backend.request_header,
		.docker_config = c->backend.docker_config,
	};
	int r = origin_new(&oc, &d->origin, e);

	return r < 0 ? r : relay_new(&oc, &d->relay, e);
}

static void start_swarm(struct daemon *d)
{
	const struct daemon_config *c = d->config;
	const struct scheduler_client_config sc = {
		.tls = &c->scheduler.tls,
		.announce_interval_ms = c->scheduler.announce_interval_ms,
		.answer_timeout_ms = c->scheduler.answer_timeout_ms,
	};
	const struct manager_client_config mc = {
		.addr = c->manager.addr,
		.tls = &c->manager.tls,
		.refresh_interval_ms = c->refresh_interval_ms,
		.scheduler_addrs = (const char *const *)c->scheduler.addrs.items,
		.scheduler_count = c->scheduler.addrs.count,
	};

	channels_secure(&c->upload.client_tls);
	d->piece_client = piece_client_new();
	d->scheduler_client = scheduler_client_new(&sc, d->host);
	d->manager_client = manager_client_new(&mc, d->host, d->scheduler_client);
}

static void start_seed_link(struct daemon *d)
{
	const struct daemon_config *c = d->config;
	uint64_t scheduler_cluster =
		c->host.scheduler_cluster_id ? c->host.scheduler_cluster_id : 1;
	const struct seed_link_config lc = {
		.addr = c->manager.addr,
		.tls = &c->manager.tls,
		.cluster_id = c->seed_peer.cluster_id ? c->seed_peer.cluster_id : scheduler_cluster,
		.keep_alive_ms = c->seed_peer.keep_alive_ms,
	};

	if (c->seed_peer.enable && c->manager.addr)
		d->seed_link = seed_link_new(&lc, d->host);
}

/* ---- tasks */

/* The configured registries, one source a repository. The array's texts stay the configuration's.
 */
static struct tasks_source *sources_of(const struct daemon_config *c, size_t *count_out)
{
	const struct config_registry *registries = c->backend.registries.items;
	struct tasks_source *list = NULL;
	size_t count = 0;

	for (size_t i = 0; i < c->backend.registries.count; i++) {
		const struct config_strings *names = &registries[i].repositories;

		list = mem_realloc(list, (count + names->count) * sizeof(*list));
		for (size_t j = 0; j < names->count; j++)
			list[count++] = (struct tasks_source){.base = registries[i].addr,
							      .repository = names->items[j]};
	}
	*count_out = count;
	return list;
}

static void start_tasks(struct daemon *d)
{
	const struct daemon_config *c = d->config;
	size_t source_count;
	struct tasks_source *sources cleanup(free_at) = sources_of(c, &source_count);
	const struct tasks_config tc = {
		.store = d->store,
		.origin = d->origin,
		.scheduler = d->scheduler_client,
		.piece_client = d->piece_client,
		.host = d->host,
		.sources = sources,
		.source_count = source_count,
		.tmp_dir = c->storage.dir,
		.piece_workers = (unsigned)c->download.concurrent_piece_count,
		.bandwidth_per_s = c->download.bandwidth,
		.reschedules_max = (unsigned)c->scheduler.max_schedule_count,
		.read_timeout_ms = c->mount.read_timeout_ms,
		.patience_ms = c->download.collected_piece_timeout_ms,
		.history = d->history,
	};

	d->tasks = tasks_new(&tc);
}

/* ---- doors */

static int start_peer_doors(struct daemon *d, struct err *e)
{
	const struct daemon_config *c = d->config;
	const struct piece_server_config pc = {
		.ip = c->storage.ip,
		.port = c->storage.tcp_port,
		.bandwidth = c->upload.bandwidth,
		.write_timeout_ms = c->storage.write_piece_timeout_ms,
	};
	const struct peer_server_config rc = {
		.ip = c->upload.ip,
		.port = c->upload.port,
		.tls = &c->upload.server_tls,
		.socket_path = c->download.socket_path,
		.socket_methods = {inspect_methods,
				   d->layer_service ? layer_service_methods : NULL},
		.socket_args = {&d->inspect, d->layer_service},
	};
	const struct peer_server_parts parts = {
		.tasks = d->tasks,
		.store = d->store,
		.host = d->host,
		.scheduler = d->scheduler_client,
	};
	int r;

	d->inspect = (struct inspect){.history = d->history,
				      .scheduler = d->scheduler_client,
				      .host_id = host_id(d->host),
				      .download_limit = c->download.bandwidth,
				      .origin_limit = c->download.back_to_source_bandwidth,
				      .upload_limit = c->upload.bandwidth};
	r = piece_server_new(&pc, d->store, d->host, &d->piece_server, e);

	if (r < 0)
		return err_wrap(e, "storage.server");
	r = peer_server_new(&rc, &parts, &d->peer_server, e);
	return r < 0 ? err_wrap(e, "upload.server or download.server.socketPath") : 0;
}

static int start_proxy(struct daemon *d, struct err *e)
{
	const struct daemon_config *c = d->config;
	const struct proxy_config pc = {
		.ip = c->proxy.ip,
		.port = c->proxy.port,
		.own_ip = host_config(d->host)->ip,
		.hostname = host_config(d->host)->hostname,
		.mirror_addr = c->proxy.mirror_addr,
		.plain_http = &c->backend.plain_http,
		.blob_digest_id = c->proxy.blob_digest_id,
		.rules = c->proxy.rules.items,
		.rule_count = c->proxy.rules.count,
		.username = c->proxy.username,
		.password = c->proxy.password,
		.requests_per_s = c->proxy.request_rate_limit,
		.prefetch = c->proxy.prefetch,
		.disable_back_to_source = c->proxy.disable_back_to_source,
		.output_dir = c->proxy.output_dir,
		.intercept = &c->proxy.intercept,
		.ca_cert = c->proxy.ca_cert,
		.ca_key = c->proxy.ca_key,
		.cache_dir = c->server.cache_dir,
		.history = d->history,
	};
	int r;

	if (!c->proxy.enable)
		return 0;
	r = proxy_new(&pc, d->tasks, d->relay, &d->proxy, e);
	return r < 0 ? err_wrap(e, "proxy") : 0;
}

static int start_holder(struct daemon *d, struct err *e)
{
	const struct daemon_config *c = d->config;
	char *path cleanup(free_at) = mem_printf("%s.hold", c->download.socket_path);
	const struct holder_config hc = {.socket_path = path, .hold_ms = c->mount.hold_ms};
	int r;

	if (c->mount.hold_ms == 0 || (!c->mount.enable && !c->lazy.enable))
		return 0;
	r = holder_new(&hc, &d->holder, e);
	return r < 0 ? err_wrap(e, "mount.holdFor") : 0;
}

/* A mount of ours: a tree of blobs, or a forest. */
struct serving {
	const char *name; /* HOLDER_* */
	struct fs_config fs;
	const struct fs_source_ops *ops;	/* the one */
	const struct fs_forest_ops *forest_ops; /* or the other */
	void *src;
};

static int session_resume(const struct serving *sv, const struct fs_held *held,
			  struct fs_session **out, struct err *e)
{
	if (sv->ops)
		return fs_session_resume(&sv->fs, held, sv->ops, sv->src, out, e);
	return fs_forest_resume(&sv->fs, held, sv->forest_ops, sv->src, out, e);
}

static int session_new(const struct serving *sv, struct fs_session **out, struct err *e)
{
	if (sv->ops)
		return fs_session_new(&sv->fs, sv->ops, sv->src, out, e);
	return fs_forest_new(&sv->fs, sv->forest_ops, sv->src, out, e);
}

static bool take_over(struct daemon *d, const struct serving *sv, struct fs_session **out)
{
	struct fs_held held;
	struct err e;

	if (!d->holder || !holder_take(d->holder, sv->name, &held))
		return false;
	if (session_resume(sv, &held, out, &e) == 0)
		return true;
	log_warn("earlier mount is not taken over", "path=%s why=\"%s\"", sv->fs.path, e.text);
	holder_forget(d->holder, sv->name);
	return false;
}

static void keep_mount(struct daemon *d, const char *name, const struct fs_session *s)
{
	struct fs_held held;
	struct err e;

	if (!d->holder)
		return;
	if (!fs_session_held(s, &held))
		log_info("mount ends with the process: the kernel is older than 6.9", "mount=%s",
			 name);
	else if (holder_keep(d->holder, name, &held, &e) < 0)
		log_warn("mount ends with the process", "mount=%s why=\"%s\"", name, e.text);
}

/* The mount of an earlier process, or a new one if it is wanted. */
static int start_session(struct daemon *d, const struct serving *sv, bool wanted,
			 struct fs_session **out, struct err *e)
{
	int r = 0;

	if (!take_over(d, sv, out) && wanted)
		r = session_new(sv, out, e);
	if (r == 0 && *out)
		keep_mount(d, sv->name, *out);
	return r;
}

static void stop_session(struct daemon *d, const char *name, struct fs_session *s)
{
	bool kept = d->holder && holder_keeps(d->holder, name);

	if (s && kept && fs_session_leave(s)) {
		log_info("mount is in use and waits for the next dfdaemon",
			 "mount=%s at_most_s=%lld", name,
			 (long long)(d->config->mount.hold_ms / 1000));
		return;
	}
	if (!s || !kept)
		fs_session_free(s);
	if (s && kept)
		holder_forget(d->holder, name);
}

static int start_mount(struct daemon *d, struct err *e)
{
	const struct daemon_config *c = d->config;
	const struct blobs_config bc = {
		.tasks = d->tasks,
		.origin = d->origin,
		.allow_hosts = &c->mount.allow_hosts,
		.plain_http = &c->backend.plain_http,
		.prefetch = c->mount.prefetch,
	};
	struct serving sv = {.name = HOLDER_BLOBS,
			     .fs = {.path = c->mount.path,
				    .read_ahead_kb = (unsigned)(c->mount.read_ahead >> 10),
				    .passthrough = c->mount.passthrough,
				    .allow_other = c->mount.allow_other,
				    .read_timeout_ms = c->mount.read_timeout_ms},
			     .ops = &blobs_ops};
	int r;

	if (!c->mount.enable)
		return 0;
	sv.src = d->blobs = blobs_new(&bc);
	r = start_session(d, &sv, true, &d->mount, e);
	return r < 0 ? err_wrap(e, "mount.path") : 0;
}

/* ---- lazy layers */

/* No passthrough: the kernel would refuse EROFS above it. */
static struct fs_config layers_config_of(const struct daemon_config *c, const char *path)
{
	return (struct fs_config){.path = path,
				  .read_ahead_kb = DIFFS_READ_AHEAD_KB,
				  .allow_other = true,
				  .read_timeout_ms = c->mount.read_timeout_ms};
}

static int start_diffs(struct daemon *d, struct err *e)
{
	const char *path = d->config->lazy.mount_path;
	struct serving sv = {
		.name = HOLDER_LAYERS, .fs = layers_config_of(d->config, path), .ops = &diffs_ops};
	int r;

	sv.src = d->diffs = diffs_new(d->layers, d->layer_reads);
	r = start_session(d, &sv, true, &d->diffs_mount, e);
	return r < 0 ? err_wrap(e, "lazy.mountPath") : 0;
}

/* Whether we have to, and why. */
static bool shows_trees(const struct daemon_config *c)
{
	struct err e = {.text = "lazy.trees"};
	bool ours = strcmp(c->lazy.trees, "fuse") == 0;

	if (strcmp(c->lazy.trees, "auto") == 0)
		ours = erofs_probe(c->lazy.dir, &e) < 0;
	log_info(ours ? "trees of lazy layers are shown by FUSE"
		      : "trees of lazy layers are shown by EROFS",
		 "lazy.trees=%s why=\"%s\"", c->lazy.trees, ours ? e.text : "");
	return ours;
}

/* Those that an earlier process showed go on, whoever shows the next ones. */
static int start_trees(struct daemon *d, bool ours, struct err *e)
{
	const char *path = d->config->lazy.trees_path;
	struct serving sv = {.name = HOLDER_TREES,
			     .fs = layers_config_of(d->config, path),
			     .forest_ops = &layer_trees_ops};
	int r;

	sv.src = d->layer_trees = layer_trees_new(d->layers, d->layer_reads);
	r = start_session(d, &sv, ours, &d->trees_mount, e);
	return r < 0 ? err_wrap(e, "lazy.treesPath") : 0;
}

static int vouch_for(void *arg, const struct layer_wish *w, struct vouched *out, struct err *e)
{
	struct daemon *d = arg;

	return vouch_find(d->vouch, w->manifest, w->image, w->digest, out, e);
}

static int start_layers(struct daemon *d, struct err *e)
{
	const struct daemon_config *c = d->config;
	const struct layers_config lc = {
		.tasks = d->tasks,
		.dir = c->lazy.dir,
		.plain_http = &c->backend.plain_http,
		.span_len_max = c->lazy.span_len_max,
		.quiet_ms = c->lazy.quiet_ms,
		.spare_ms = c->gc.interval_ms,
		.ttl_ms = c->gc.task_ttl_ms,
		.vouch = vouch_for,
		.arg = d,
		.store = d->store,
	};
	const struct vouch_config vc = {
		.origin = d->origin,
		.tasks = d->tasks,
		.plain_http = &c->backend.plain_http,
		.images = &c->lazy.tables_from,
	};
	const struct layer_build_config bc = {
		.tasks = d->tasks, .dir = c->lazy.dir, .least_len = c->lazy.least_len};
	bool ours;
	int r;

	if (!c->lazy.enable)
		return 0;
	d->vouch = vouch_new(&vc);
	r = layers_new(&lc, &d->layers, e);
	if (r < 0)
		return err_wrap(e, "lazy.dir");
	const struct starts_config sc = {.layers = d->layers,
					 .tasks = d->tasks,
					 .dir = c->lazy.dir,
					 .record_ms = c->lazy.record_ms,
					 .prefetch_max = c->lazy.prefetch_max};
	d->layer_build = layer_build_new(&bc);
	d->starts = starts_new(&sc);
	d->layer_reads = layer_reads_new(d->starts);
	ours = shows_trees(c);
	d->layer_service = layer_service_new(d->layers, d->starts, c->lazy.mount_path,
					     ours ? c->lazy.trees_path : NULL);
	r = start_trees(d, ours, e);
	return r < 0 ? r : start_diffs(d, e);
}

static void stop_layers(struct daemon *d)
{
	stop_session(d, HOLDER_TREES, d->trees_mount);
	stop_session(d, HOLDER_LAYERS, d->diffs_mount);
	layer_build_free(d->layer_build);
	layers_stop(d->layers);
	vouch_stop(d->vouch);
	starts_stop(d->starts);
	layer_service_free(d->layer_service);
	layer_trees_free(d->layer_trees);
	diffs_free(d->diffs);
	layer_reads_free(d->layer_reads);
	starts_free(d->starts);
	layers_free(d->layers);
	vouch_free(d->vouch);
}

/* ---- what operators see */

static void show_figures(void *arg)
{
	static const struct metric_family schedulers = {METRIC_GAUGE, "skimmer_schedulers_alive",
							"Schedulers that answer.", NULL};
	static const struct metric_family passthrough = {
		METRIC_GAUGE, "skimmer_mount_passthrough",
		"1: the kernel reads complete blobs of the mount itself.", NULL};
	static const struct metric_family trees = {
		METRIC_GAUGE, "skimmer_lazy_trees_by_fuse",
		"1: dfdaemon itself shows trees of lazy layers, not the kernel's EROFS.", NULL};
	static const struct metric_family opens = {
		METRIC_COUNTER, "skimmer_mount_passthrough_opens_total",
		"Opens of complete blobs that the kernel then read itself.", NULL};
	static const struct metric_family reads = {METRIC_COUNTER, "skimmer_mount_read_bytes_total",
						   "Bytes that reads of the mount were given.",
						   NULL};
	static const struct metric_family uploads = {
		METRIC_GAUGE, "dragonfly_client_concurrent_upload_piece_total",
		"Pieces that are being sent to peers.", NULL};
	const struct daemon *d = arg;
	struct host_sending sending;
	struct fs_stat mount = {0};

	if (d->mount)
		fs_session_stat(d->mount, &mount);
	host_sending(d->host, &sending);
	metric_set(metric_get(&uploads), sending.running);
	peer_server_show_figures();
	metric_set(metric_get(&opens), (int64_t)mount.passthrough_opens);
	metric_set(metric_get(&reads), (int64_t)mount.bytes);
	metric_set(metric_get(&trees), d->trees_mount != NULL);
	metric_set(metric_get(&schedulers), scheduler_client_alive(d->scheduler_client));
	metric_set(metric_get(&passthrough), d->mount && fs_session_passthrough(d->mount));
}

static bool is_ready(void *arg)
{
	const struct daemon *d = arg;

	return !d->mount || !fs_session_ended(d->mount);
}

static int start_admin(struct daemon *d, struct err *e)
{
	const struct daemon_config *c = d->config;
	const struct admin_config ac = {
		.health_ip = c->health.ip,
		.metrics_ip = c->metrics.ip,
		.health_port = c->health.port,
		.metrics_port = c->metrics.port,
		.ready = is_ready,
		.arg = d,
		.tasks = d->tasks,
		.store = d->store,
		.piece_server = d->piece_server,
		.storage_dir = c->storage.dir,
	};
	int r;

	metrics_on_print(show_figures, d);
	r = admin_new(&ac, &d->admin, e);
	if (r < 0)
		return err_wrap(e, "health.server or metrics.server");
	if (c->stats.port)
		r = profile_door_new(c->stats.ip, c->stats.port, &d->profiles, e);
	return r < 0 ? err_wrap(e, "stats.server") : 0;
}

/* ---- all of it */

static int start_all(struct daemon *d, struct err *e)
{
	int r;

	start_host(d);
	/* Also the proof that an earlier process has ended. */
	r = start_holder(d, e);
	if (r == 0)
		r = start_store(d, e);
	if (r == 0)
		r = start_origin(d, e);
	if (r < 0)
		return r;
	start_swarm(d);
	d->history = history_new(0, 0);
	start_tasks(d);
	r = start_layers(d, e);
	if (r == 0)
		r = start_peer_doors(d, e);
	if (r == 0)
		r = start_proxy(d, e);
	if (r == 0)
		r = start_mount(d, e);
	if (r < 0)
		return r;
	if (d->holder)
		holder_settle(d->holder);
	/* Only now: who hears of our tasks may come for their pieces. */
	d->announcer = announcer_new(d->store, d->scheduler_client,
				     d->config->scheduler.announce_interval_ms);
	start_gc(d);
	start_seed_link(d);
	return start_admin(d, e);
}

int daemon_start(const struct daemon_config *c, struct daemon **out, struct err *e)
{
	struct daemon *d = mem_new(struct daemon);
	int r;

	d->config = c;
	*out = d;
	r = start_all(d, e);
	if (r == 0)
		log_info("dfdaemon serves", "host=%s seed=%d mount=%s proxy=%u pieces=%u grpc=%u",
			 host_id(d->host), c->seed_peer.enable, d->mount ? c->mount.path : "off",
			 c->proxy.port, c->storage.tcp_port, c->upload.port);
	return r;
}

void daemon_stop(struct daemon *d)
{
	if (!d)
		return;
	metrics_on_print_remove(show_figures, d);
	stop_gc(d);
	door_free(d->profiles);
	admin_free(d->admin);
	announcer_free(d->announcer);
	stop_session(d, HOLDER_BLOBS, d->mount);
	blobs_free(d->blobs);
	proxy_free(d->proxy);
	/* Before the doors close: nobody is sent here any more. */
	if (d->scheduler_client)
		scheduler_client_leave(d->scheduler_client);
	seed_link_free(d->seed_link);
	peer_server_free(d->peer_server);
	piece_server_free(d->piece_server);
	stop_layers(d);
	tasks_free(d->tasks);
	history_free(d->history);
	manager_client_free(d->manager_client);
	scheduler_client_free(d->scheduler_client);
	piece_client_free(d->piece_client);
	channels_close_idle();
	relay_free(d->relay);
	origin_free(d->origin);
	if (d->store)
		store_close(d->store);
	host_free(d->host);
	holder_free(d->holder);
	free(d);
}

void daemon_tend(struct daemon *d)
{
	if (d->holder)
		holder_tend(d->holder);
}

bool daemon_mount_ended(const struct daemon *d)
{
	return d->mount && fs_session_ended(d->mount);
}
