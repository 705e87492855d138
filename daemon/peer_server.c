/* The daemon's gRPC doors: two servers and their tables of methods (peer_server.h). */
#include "base/mem.h"
#include "base/metrics.h"
#include "base/net.h"
#include "daemon/peer_server_private.h"
#include "proto/rpc_count.h"

#include "dfdaemon_v2.pb-c.h"
#include "skimmer_v1.pb-c.h"

#include <errno.h>
#include <google/protobuf/empty.pb-c.h>
#include <string.h>

#define WORKERS	       8
#define TELLERS	       2
#define CALLS_MAX      16384
#define STREAMS_MAX    4096 /* of one connection */
#define GRACE_MS       500
#define UPLOAD(name)   "/dfdaemon.v2.DfdaemonUpload/" name
#define DOWNLOAD(name) "/dfdaemon.v2.DfdaemonDownload/" name

static const struct rpc_method upload_methods[] = {
	{.path = UPLOAD("DownloadTask"),
	 .request = &dfdaemon__v2__download_task_request__descriptor,
	 .message = peer_download_remote,
	 .closed = peer_download_closed},
	{.path = UPLOAD("StatTask"),
	 .request = &dfdaemon__v2__stat_task_request__descriptor,
	 .message = peer_stat_task},
	{.path = UPLOAD("StatLocalTask"),
	 .request = &dfdaemon__v2__stat_local_task_request__descriptor,
	 .message = peer_stat_local_task},
	{.path = UPLOAD("DeleteTask"),
	 .request = &dfdaemon__v2__delete_task_request__descriptor,
	 .message = peer_delete_task},
	{.path = UPLOAD("SyncPieces"),
	 .request = &dfdaemon__v2__sync_pieces_request__descriptor,
	 .message = sync_pieces,
	 .closed = sync_pieces_closed},
	{.path = UPLOAD("SyncHost"),
	 .request = &dfdaemon__v2__sync_host_request__descriptor,
	 .message = sync_host,
	 .closed = sync_host_closed},
	{.path = "/skimmer.v1.Feeding/TellRoom",
	 .request = &skimmer__v1__tell_room_request__descriptor,
	 .client_streams = true,
	 .message = tell_room,
	 .half_closed = tell_room_ended},
	{.path = "/skimmer.v1.Feeding/TellDigest",
	 .request = &skimmer__v1__tell_digest_request__descriptor,
	 .message = peer_tell_digest},
	{.path = NULL},
};

static const struct rpc_method download_methods[] = {
	{.path = DOWNLOAD("DownloadTask"),
	 .request = &dfdaemon__v2__download_task_request__descriptor,
	 .message = peer_download_local,
	 .closed = peer_download_closed},
	{.path = DOWNLOAD("StatTask"),
	 .request = &dfdaemon__v2__stat_task_request__descriptor,
	 .message = peer_stat_task},
	{.path = DOWNLOAD("StatLocalTask"),
	 .request = &dfdaemon__v2__stat_local_task_request__descriptor,
	 .message = peer_stat_local_task},
	{.path = DOWNLOAD("ListLocalTasks"),
	 .request = &dfdaemon__v2__list_local_tasks_request__descriptor,
	 .message = peer_list_local_tasks},
	{.path = DOWNLOAD("DeleteTask"),
	 .request = &dfdaemon__v2__delete_task_request__descriptor,
	 .message = peer_delete_task},
	{.path = DOWNLOAD("DeleteLocalTask"),
	 .request = &dfdaemon__v2__delete_local_task_request__descriptor,
	 .message = peer_delete_local_task},
	{.path = DOWNLOAD("DeleteHost"),
	 .request = &google__protobuf__empty__descriptor,
	 .message = peer_delete_host},
	{.path = NULL},
};

/* ---- figures */

/* Questions with one answer, by the end of their method's path, under the names that dashboards
 * know; type is Dragonfly's number of a kind of task. Both services count together. */
static const struct {
	const char *method;
	bool of_task;
	struct metric_family total, failure;
} questions[] = {
#define QUESTION(method, of_task, label, name, failed, help)                                       \
	{                                                                                          \
		"/" method, of_task, {METRIC_COUNTER, "dragonfly_client_" name, help, label},      \
			{METRIC_COUNTER, "dragonfly_client_" failed, help " Those that failed.",   \
			 label},                                                                   \
	}
#define OF_TASK(method, name, help)                                                                \
	QUESTION(method, true, "type", name "_total", name "_failure_total", help)
	OF_TASK("StatTask", "stat_task", "Questions for a task."),
	OF_TASK("StatLocalTask", "stat_local_task", "Questions for a task of this host."),
	OF_TASK("DeleteTask", "delete_task", "Tasks to delete."),
	OF_TASK("DeleteLocalTask", "delete_local_task", "Tasks of this host to delete."),
	/* Dragonfly's own name of the second is odd. */
	QUESTION("ListLocalTasks", true, "type", "list_local_tasks_total",
		 "list_tasks_failure_total", "Questions for the tasks of this host."),
	QUESTION("DeleteHost", false, NULL, "delete_host_total", "delete_host_failure_total",
		 "Requests to leave the cluster."),
#undef OF_TASK
#undef QUESTION
};

static void add_tallies(const struct rpc_method *methods, const char *name, struct rpc_tally *sum)
{
	for (const struct rpc_method *m = methods; m->path; m++) {
		struct rpc_tally t;

		if (strcmp(strrchr(m->path, '/'), name) != 0)
			continue;
		t = rpc_tally(m);
		sum->started += t.started;
		sum->failed += t.failed;
	}
}

void peer_server_show_figures(void)
{
	for (size_t i = 0; i < array_len(questions); i++) {
		const char *type = questions[i].of_task ? "0" : NULL;
		struct rpc_tally sum = {0};

		add_tallies(upload_methods, questions[i].method, &sum);
		add_tallies(download_methods, questions[i].method, &sum);
		metric_set(metric_get(&questions[i].total, type), (int64_t)sum.started);
		metric_set(metric_get(&questions[i].failure, type), (int64_t)sum.failed);
	}
}

/* ---- calls */

bool peer_server_enter(struct peer_server *s)
{
	lock_guard(&s->lock);
	if (s->stopping || s->calls == s->config.calls_max)
		return false;
	s->calls++;
	return true;
}

void peer_server_leave(struct peer_server *s)
{
	lock_guard(&s->lock);
	s->calls--;
	cond_wake_all(&s->changed);
}

void peer_fail(struct rpc_call *call, const struct err *e)
{
	rpc_call_finish(call, rpc_code_of_errno(e->code), e->text);
}

/* others: the socket's other services. */
static int listen_on(struct peer_server *s, const char *address, const struct rpc_method *methods,
		     bool others, struct rpc_server **out, struct err *e)
{
	const struct rpc_method *services[PEER_SOCKET_SERVICES + 2] = {methods};
	const char *const addresses[] = {address, NULL};
	void *args[PEER_SOCKET_SERVICES + 1] = {s};
	size_t count = 1;

	for (size_t i = 0; others && i < PEER_SOCKET_SERVICES; i++) {
		if (!s->config.socket_methods[i])
			continue;
		services[count] = s->config.socket_methods[i];
		args[count++] = s->config.socket_args[i];
	}
	const struct rpc_server_config c = {.listen = addresses,
					    .tls = s->config.tls,
					    .services = services,
					    .service_args = args,
					    .streams_max = STREAMS_MAX};

	return rpc_server_new(&c, out, e);
}

static int listen_tcp(struct peer_server *s, const char *ip, struct err *e)
{
	char address[80];

	net_join(ip, s->config.port, address, sizeof(address));
	return listen_on(s, address, upload_methods, false, &s->upload, e);
}

static int start_servers(struct peer_server *s, struct err *e)
{
	bool any = !s->config.ip || !s->config.ip[0];
	cleanup(free_at) char *socket = NULL;
	int r = listen_tcp(s, any ? "::" : s->config.ip, e);

	/* A host may have no IPv6. */
	if (r < 0 && r != -EADDRINUSE && any)
		r = listen_tcp(s, "0.0.0.0", e);
	if (r < 0 || !s->config.socket_path)
		return r;
	socket = mem_printf("unix:%s", s->config.socket_path);
	return listen_on(s, socket, download_methods, true, &s->download, e);
}

int peer_server_new(const struct peer_server_config *c, const struct peer_server_parts *parts,
		    struct peer_server **out, struct err *e)
{
	struct peer_server *s = mem_new(struct peer_server);

	s->config = *c;
	s->parts = *parts;
	if (s->config.workers == 0)
		s->config.workers = WORKERS;
	if (s->config.calls_max == 0)
		s->config.calls_max = CALLS_MAX;
	lock_init(&s->lock, PEER_SERVER_LOCK_RANK);
	cond_init(&s->changed);
	list_init(&s->hosts);
	s->host_timer = (struct timer){.fire = sync_host_fire, .arg = s};
	/* Every actor can be queued at once, and finds room besides the questions. */
	s->workers = pool_new("peer-worker", s->config.workers,
			      s->config.calls_max + PEER_QUESTIONS_MAX);
	s->tellers = pool_new("peer-teller", TELLERS, s->config.calls_max + 2);
	s->herald = herald_new(parts->host, s->tellers, 0);
	if (start_servers(s, e) < 0) {
		peer_server_free(s);
		return -e->code;
	}
	*out = s;
	return 0;
}

void peer_server_free(struct peer_server *s)
{
	if (!s)
		return;
	lock_take(&s->lock);
	s->stopping = true;
	lock_drop(&s->lock);
	timer_cancel(&s->host_timer);
	if (s->download)
		rpc_server_free(s->download, GRACE_MS);
	if (s->upload)
		rpc_server_free(s->upload, GRACE_MS);
	lock_take(&s->lock);
	while (s->calls > 0)
		cond_wait(&s->changed, &s->lock);
	lock_drop(&s->lock);
	herald_free(s->herald);
	pool_free(s->workers);
	pool_free(s->tellers);
	timer_cancel(&s->host_timer);
	cond_release(&s->changed);
	lock_release(&s->lock);
	free(s);
}

uint16_t peer_server_port(const struct peer_server *s)
{
	return rpc_server_port(s->upload);
}
