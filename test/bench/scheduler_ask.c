/*
 * Register -> parents over gRPC, as a daemon sees it: the real service in a process of its own, on
 * a unix socket and on TCP. Registers come one at a time, each on a new stream of one connection,
 * while other streams are open; the time is from opening the stream to its first answer. After each
 * one its task's length is asked for (StatTask), as a daemon does that does not know it yet.
 *
 * With --rush instead: several processes, a connection each, whose streams of one task (or of
 * --tasks) ask again as soon as they are answered; answers per second, and what CPU each took of
 * the service.
 */
#include "base/cli.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/timer.h"
#include "control/scheduler/service.h"
#include "proto/message.h"
#include "scheduler_v2.pb-c.h"
#include "test/state_config.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MS    10000
#define HOLD_TELL_MS 60000
#define TASK	     "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3" /* and a number */
#define PIECE	     (4u << 20)
#define PIECES	     256

struct options {
	uint64_t hosts, streams, count, threads, clients, tasks;
	int64_t hold_ms, rush_ms;
};

static const struct cli_option option_table[] = {
	{"hosts", 0, CLI_U64, offsetof(struct options, hosts), "N", NULL,
	 "Hosts announced (default 3000)."},
	{"streams", 0, CLI_U64, offsetof(struct options, streams), "N", NULL,
	 "Streams held open meanwhile (default 100)."},
	{"count", 0, CLI_U64, offsetof(struct options, count), "N", NULL,
	 "Registers measured (default 2000)."},
	{"hold", 0, CLI_DURATION, offsetof(struct options, hold_ms), "TIME", NULL,
	 "Keeps hosts and streams for so long, all of them asking, and tells the memory."},
	{"threads", 0, CLI_U64, offsetof(struct options, threads), "N", NULL,
	 "Of the service's server (default 1)."},
	{"rush", 0, CLI_DURATION, offsetof(struct options, rush_ms), "TIME", NULL,
	 "All streams ask again at once when they are answered, for so long."},
	{"clients", 0, CLI_U64, offsetof(struct options, clients), "N", NULL,
	 "Processes that rush (default 4)."},
	{"tasks", 0, CLI_U64, offsetof(struct options, tasks), "N", NULL,
	 "That they rush for, each process for all (default 1)."},
	{0},
};

static const struct cli program = {
	.program = "scheduler_ask",
	.summary = "measures the scheduler's answers over gRPC",
	.usage = "scheduler_ask [options]",
	.description = "A line for the unix socket and one for TCP.",
	.examples = "scheduler_ask --hosts 10000 --streams 1000 --hold 10m  # does it grow?",
	.options = option_table,
};

/* ---- the service */

static void serve(const char *unix_address, unsigned threads, int ready_fd)
{
	const struct state_config c = state_config_usual();
	const char *const addresses[] = {"127.0.0.1:0", unix_address, NULL};
	const struct rpc_method *const services[] = {service_methods, NULL};
	struct rpc_server *server;
	struct err e = {0};
	void *args[1];
	uint16_t port;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	log_set_level(LOG_WARN);
	timer_start();
	rpc_init();
	args[0] = service_new(&c, NULL, NULL);
	const struct rpc_server_config rc = {.listen = addresses,
					     .services = services,
					     .service_args = args,
					     .threads = threads,
					     .streams_max = 20000};
	if (rpc_server_new(&rc, &server, &e) < 0) {
		fprintf(stderr, "scheduler_ask: %s\n", e.text);
		_exit(1);
	}
	port = rpc_server_port(server);
	if (write(ready_fd, &port, sizeof(port)) != sizeof(port))
		_exit(1);
	for (;;)
		pause();
}

/* Resident KiB. */
static long memory_of(pid_t pid)
{
	char path[64];
	long all = 0, resident = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	f = fopen(path, "r");
	if (f && fscanf(f, "%ld %ld", &all, &resident) != 2)
		resident = 0;
	if (f)
		fclose(f);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* CPU seconds, all threads. */
static double cpu_of(pid_t pid)
{
	char path[64];
	unsigned long user = 0, kernel = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (f && fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
			&user, &kernel) != 2)
		user = kernel = 0;
	if (f)
		fclose(f);
	return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

/* ---- one peer */

struct ask {
	struct rpc_stream *stream;
	struct lock lock;
	struct cond cond;
	unsigned answers; /* lock */
	bool closed;	  /* lock */
	bool rushes;	  /* lock */
	char host[64], peer[64], task[65];
};

static void ask_again(struct ask *a);

static void on_message(struct rpc_stream *s, const ProtobufCMessage *msg, void *arg)
{
	struct ask *a = arg;
	bool again;

	(void)s, (void)msg;
	lock_take(&a->lock);
	a->answers++;
	again = a->rushes;
	cond_wake_all(&a->cond);
	lock_drop(&a->lock);
	if (again)
		ask_again(a);
}

static void on_closed(struct rpc_stream *s, enum rpc_code code, const char *text,
		      const void *details, size_t details_len, void *arg)
{
	struct ask *a = arg;

	(void)s, (void)code, (void)text, (void)details, (void)details_len;
	lock_guard(&a->lock);
	a->closed = true;
	cond_wake_all(&a->cond);
}

static void ask_say(struct ask *a, Scheduler__V2__AnnouncePeerRequest *rq)
{
	rq->host_id = a->host;
	rq->task_id = a->task;
	rq->peer_id = a->peer;
	rpc_stream_send(a->stream, &rq->base);
}

#define SAYS(what) SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__REQUEST_##what##_REQUEST

static void ask_for(struct ask *a, unsigned task)
{
	snprintf(a->task, sizeof(a->task), TASK "%04x", task & 0xffff);
}

static void ask_register(struct ask *a, struct rpc_channel *ch, const char *run, unsigned no,
			 unsigned host, bool source)
{
	static const struct rpc_stream_ops ops = {
		.response = &scheduler__v2__announce_peer_response__descriptor,
		.message = on_message,
		.closed = on_closed};
	Scheduler__V2__AnnouncePeerRequest rq = SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__INIT;
	Scheduler__V2__RegisterPeerRequest reg = SCHEDULER__V2__REGISTER_PEER_REQUEST__INIT;
	Common__V2__Download d = COMMON__V2__DOWNLOAD__INIT;

	lock_init(&a->lock, 1);
	cond_init(&a->cond);
	if (!*a->task)
		ask_for(a, 0);
	snprintf(a->host, sizeof(a->host), "10.0.%u.%u-host", host / 250, host % 250 + 1);
	snprintf(a->peer, sizeof(a->peer), "%s-6b1f8f3e-%s-%012u", "peer", run, no);
	d.url = (char *)"https://registry.example/v2/a/blobs/sha256:5f70bf18";
	d.need_back_to_source = source;
	message_set(&d, actual_content_length,
		    COMMON__V2__DOWNLOAD__ACTUAL_CONTENT_LENGTH__ACTUAL_CONTENT_LENGTH,
		    (uint64_t)PIECE * PIECES);
	message_set(&d, actual_piece_length,
		    COMMON__V2__DOWNLOAD__ACTUAL_PIECE_LENGTH__ACTUAL_PIECE_LENGTH, PIECE);
	reg.download = &d;
	rq.request_case = SAYS(REGISTER_PEER);
	rq.register_peer_request = &reg;
	a->stream = rpc_stream_new(ch, "/scheduler.v2.Scheduler/AnnouncePeer", &ops, a, 0);
	ask_say(a, &rq);
}

static bool ask_wait(struct ask *a, unsigned answers)
{
	int64_t deadline = clock_ms() + ANSWER_MS;
	bool in_time = true;

	lock_guard(&a->lock);
	while (a->answers < answers && !a->closed && in_time)
		in_time = cond_wait_until(&a->cond, &a->lock, deadline);
	return a->answers >= answers;
}

static void ask_started(struct ask *a, bool source)
{
	Scheduler__V2__AnnouncePeerRequest rq = SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__INIT;
	Scheduler__V2__DownloadPeerStartedRequest started =
		SCHEDULER__V2__DOWNLOAD_PEER_STARTED_REQUEST__INIT;
	Scheduler__V2__DownloadPeerBackToSourceStartedRequest from_source =
		SCHEDULER__V2__DOWNLOAD_PEER_BACK_TO_SOURCE_STARTED_REQUEST__INIT;

	if (source) {
		rq.request_case = SAYS(DOWNLOAD_PEER_BACK_TO_SOURCE_STARTED);
		rq.download_peer_back_to_source_started_request = &from_source;
	} else {
		rq.request_case = SAYS(DOWNLOAD_PEER_STARTED);
		rq.download_peer_started_request = &started;
	}
	ask_say(a, &rq);
}

static void ask_again(struct ask *a)
{
	Scheduler__V2__AnnouncePeerRequest rq = SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__INIT;
	Scheduler__V2__ReschedulePeerRequest again = SCHEDULER__V2__RESCHEDULE_PEER_REQUEST__INIT;

	rq.request_case = SAYS(RESCHEDULE_PEER);
	rq.reschedule_peer_request = &again;
	ask_say(a, &rq);
}

static void ask_release(struct ask *a)
{
	rpc_stream_free(a->stream);
	cond_release(&a->cond);
	lock_release(&a->lock);
}

/* ---- the measurement */

/* version: only hosts of ours are introduced to each other. */
static bool announce_hosts(struct rpc_channel *ch, uint64_t from, uint64_t hosts,
			   const char *version)
{
	for (unsigned i = (unsigned)from; i < from + hosts; i++) {
		Scheduler__V2__AnnounceHostRequest rq = SCHEDULER__V2__ANNOUNCE_HOST_REQUEST__INIT;
		Common__V2__Host h = COMMON__V2__HOST__INIT;
		Common__V2__Build build = COMMON__V2__BUILD__INIT;
		ProtobufCMessage *reply = NULL;
		struct err e = {0};
		char id[64], ip[32];

		snprintf(ip, sizeof(ip), "10.0.%u.%u", i / 250, i % 250 + 1);
		snprintf(id, sizeof(id), "%s-host", ip);
		build.git_version = (char *)version;
		h.id = id;
		h.hostname = (char *)"host";
		h.ip = ip;
		h.port = 4000;
		h.download_port = 4001;
		h.build = &build;
		rq.host = &h;
		if (rpc_unary(ch, "/scheduler.v2.Scheduler/AnnounceHost", &rq.base,
			      &google__protobuf__empty__descriptor, ANSWER_MS, &reply, NULL,
			      &e) < 0) {
			fprintf(stderr, "scheduler_ask: %s\n", e.text);
			return false;
		}
		protobuf_c_message_free_unpacked(reply, NULL);
	}
	return true;
}

static int by_value(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static bool ask_length(struct rpc_channel *ch, struct ask *a)
{
	Scheduler__V2__StatTaskRequest rq = SCHEDULER__V2__STAT_TASK_REQUEST__INIT;
	ProtobufCMessage *task = NULL;
	struct err e = {0};
	bool well;

	rq.host_id = a->host;
	rq.task_id = a->task;
	if (rpc_unary(ch, "/scheduler.v2.Scheduler/StatTask", &rq.base,
		      &common__v2__task__descriptor, ANSWER_MS, &task, NULL, &e) < 0) {
		fprintf(stderr, "scheduler_ask: %s\n", e.text);
		return false;
	}
	well = ((const Common__V2__Task *)task)->content_length == (uint64_t)PIECE * PIECES;
	protobuf_c_message_free_unpacked(task, NULL);
	return well;
}

/* The so many hundredths of sorted times, in ms. */
static double share_of(const int64_t *us, uint64_t count, unsigned hundredths)
{
	return (double)us[count * hundredths / 100] / 1e3;
}

static bool measure(struct rpc_channel *ch, const char *run, const struct options *o)
{
	int64_t *us = mem_array(o->count, sizeof(*us)), *stat_us = mem_array(o->count, sizeof(*us));
	bool well = true;

	for (unsigned i = 0; i < o->count && well; i++) {
		struct ask a = {0};
		int64_t began = clock_us();

		ask_register(&a, ch, run, 1000000 + i, (unsigned)((o->streams + 1 + i) % o->hosts),
			     false);
		well = ask_wait(&a, 1);
		us[i] = clock_us() - began;
		began = clock_us();
		well = well && ask_length(ch, &a);
		stat_us[i] = clock_us() - began;
		ask_release(&a);
	}
	qsort(us, o->count, sizeof(*us), by_value);
	qsort(stat_us, o->count, sizeof(*us), by_value);
	if (well)
		printf("ask over=%s streams=%lu p50_ms=%.3f p99_ms=%.3f stat_p50_ms=%.3f "
		       "stat_p99_ms=%.3f\n",
		       run, o->streams, share_of(us, o->count, 50), share_of(us, o->count, 99),
		       share_of(stat_us, o->count, 50), share_of(stat_us, o->count, 99));
	free(us);
	free(stat_us);
	return well;
}

static bool hold(struct ask *asks, const struct options *o, pid_t service)
{
	int64_t began = clock_ms(), told = began;
	long first = 0, now = 0;

	for (unsigned round = 2; clock_ms() < began + o->hold_ms; round++) {
		for (unsigned i = 1; i <= o->streams; i++)
			ask_again(&asks[i]);
		if (!ask_wait(&asks[o->streams], round))
			return false;
		usleep(1000000);
		now = memory_of(service);
		if (round == 12)
			first = now;
		if (clock_ms() < told + HOLD_TELL_MS)
			continue;
		told = clock_ms();
		printf("held seconds=%ld rss_kib=%ld\n", (long)((told - began) / 1000), now);
		fflush(stdout);
	}
	printf("hold hosts=%lu streams=%lu seconds=%ld rss_kib_first=%ld rss_kib_last=%ld\n",
	       o->hosts, o->streams, (long)(o->hold_ms / 1000), first, now);
	return true;
}

/* One run against one address. */
static bool run(const char *target, const char *name, const struct options *o, pid_t service)
{
	struct rpc_channel *ch = rpc_channel_new(target, NULL);
	struct ask *asks = mem_array(o->streams + 1, sizeof(*asks));
	bool well = announce_hosts(ch, 0, o->hosts, "skimmer-bench");
	unsigned open = 0;

	for (; open <= o->streams && well; open++) {
		ask_register(&asks[open], ch, name, open, open, open == 0);
		well = ask_wait(&asks[open], 1);
		ask_started(&asks[open], open == 0);
	}
	well = well && measure(ch, name, o);
	if (well && o->hold_ms)
		well = hold(asks, o, service);
	while (open > 0)
		ask_release(&asks[--open]);
	rpc_channel_free(ch);
	free(asks);
	return well;
}

/* ---- the rush */

/* One process of it: registers its streams, rushes, writes how many answers came. */
static void rush(unsigned no, const struct options *o, const char *target, int out_fd)
{
	unsigned first = no * (unsigned)o->streams;
	struct ask *asks = mem_array(o->streams, sizeof(*asks));
	struct rpc_channel *ch;
	uint64_t answers = 0;
	char name[16];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	rpc_init();
	snprintf(name, sizeof(name), "rush%u", no);
	ch = rpc_channel_new(target, NULL);
	if (!announce_hosts(ch, first, o->streams, "bench"))
		_exit(1);
	for (unsigned i = 0; i < o->streams; i++) {
		ask_for(&asks[i], i % (unsigned)o->tasks);
		ask_register(&asks[i], ch, name, i, first + i, i < o->tasks);
		if (!ask_wait(&asks[i], 1))
			_exit(1);
		ask_started(&asks[i], i < o->tasks);
	}
	for (unsigned i = (unsigned)o->tasks; i < o->streams; i++) {
		lock_take(&asks[i].lock);
		asks[i].rushes = true;
		lock_drop(&asks[i].lock);
		ask_again(&asks[i]);
	}
	usleep((useconds_t)(o->rush_ms * 1000));
	for (unsigned i = (unsigned)o->tasks; i < o->streams; i++) {
		lock_guard(&asks[i].lock);
		answers += asks[i].answers - 1;
	}
	if (write(out_fd, &answers, sizeof(answers)) != sizeof(answers))
		_exit(1);
	_exit(0);
}

static bool rush_all(const struct options *o, const char *target, pid_t service)
{
	uint64_t answers = 0;
	bool well = true;
	double cpu;
	int out[2];

	if (pipe(out) < 0)
		return false;
	fflush(stdout);
	for (unsigned i = 0; i < o->clients; i++)
		if (fork() == 0)
			rush(i, o, target, out[1]);
	close(out[1]); /* so that the end of all of them is an end */
	for (unsigned i = 0; i < o->clients && well; i++) {
		uint64_t n = 0;

		well = read(out[0], &n, sizeof(n)) == sizeof(n);
		answers += n;
	}
	cpu = cpu_of(service);
	if (well && answers)
		printf("rush threads=%lu tasks=%lu clients=%lu streams=%lu answers_per_s=%.0f "
		       "service_cores=%.2f cpu_us_per_answer=%.1f\n",
		       o->threads, o->tasks, o->clients, o->streams,
		       (double)answers * 1e3 / (double)o->rush_ms, cpu * 1e3 / (double)o->rush_ms,
		       cpu * 1e6 / (double)answers);
	return well && answers;
}

static bool run_both(const char *unix_address, const char *tcp, const struct options *o,
		     pid_t service)
{
	struct options second = *o;
	bool well;

	second.hold_ms = 0;
	rpc_init();
	well = run(unix_address, "unix", o, service) && run(tcp, "tcp", &second, service);
	rpc_shutdown();
	return well;
}

int main(int argc, char **argv)
{
	struct options o = {.hosts = 3000,
			    .streams = 100,
			    .count = 2000,
			    .threads = 1,
			    .clients = 4,
			    .tasks = 1};
	const char *rest[65];
	char folder[] = "/tmp/skimmer-ask-XXXXXX", unix_address[64], tcp[64];
	uint16_t port = 0;
	pid_t service;
	int ready[2];
	bool well;

	if (argc > 64 || cli_parse(&program, argc, argv, &o, rest) > 0 || o.streams >= o.hosts ||
	    o.hosts > 60000 || o.count < 1 || o.threads > 64 || o.clients > 64 || o.tasks < 1 ||
	    o.tasks >= o.streams)
		cli_usage_error(
			&program,
			"more hosts than streams, and more of these than tasks, are needed");
	if (!mkdtemp(folder) || pipe(ready) < 0)
		return EXIT_OTHER;
	snprintf(unix_address, sizeof(unix_address), "unix:%s/s", folder);
	service = fork();
	if (service == 0)
		serve(unix_address, (unsigned)o.threads, ready[1]);
	close(ready[1]);
	well = read(ready[0], &port, sizeof(port)) == sizeof(port);
	snprintf(tcp, sizeof(tcp), "127.0.0.1:%u", port);
	if (o.rush_ms)
		well = well && rush_all(&o, tcp, service);
	else
		well = well && run_both(unix_address, tcp, &o, service);
	kill(service, SIGKILL);
	waitpid(service, NULL, 0);
	unlink(unix_address + 5);
	rmdir(folder);
	if (!well)
		fprintf(stderr, "scheduler_ask: an answer did not come\n");
	return well ? EXIT_DONE : EXIT_OTHER;
}
