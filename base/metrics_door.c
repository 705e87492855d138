/* What every program shows of itself, by one loop that prints between requests. */
#include "base/metrics_door.h"

#include "base/metrics.h"
#include "base/net.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define METRICS_MAX	(16u << 20)
#define CONNECTIONS_MAX 256
#define DEFAULT_PORT	8000

static bool path_is(const struct http_head *head, const char *path)
{
	size_t n = strlen(path);

	return strncmp(head->target, path, n) == 0 && (!head->target[n] || head->target[n] == '?');
}

static unsigned count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	if (!dir)
		return 0;
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 3; /* itself, . and .. */
}

/* Under the names of Prometheus's own client libraries. */
static void show_process(void)
{
	static const struct metric_family resident = {METRIC_GAUGE, "process_resident_memory_bytes",
						      "Memory in use.", NULL};
	static const struct metric_family cpu = {METRIC_COUNTER, "process_cpu_seconds_total",
						 "Time of processors, in whole seconds.", NULL};
	static const struct metric_family open_fds = {METRIC_GAUGE, "process_open_fds",
						      "Open descriptors.", NULL};
	static const struct metric_family max_fds = {METRIC_GAUGE, "process_max_fds",
						     "Descriptors that may be open.", NULL};
	cleanup(fclose_at) FILE *f = fopen("/proc/self/statm", "re");
	struct timespec used = {0};
	struct rlimit limit = {0};
	long pages = 0;

	if (f && fscanf(f, "%*d %ld", &pages) == 1)
		metric_set(metric_get(&resident), pages * sysconf(_SC_PAGESIZE));
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	metric_set(metric_get(&cpu), used.tv_sec);
	metric_set(metric_get(&open_fds), count_descriptors());
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		metric_set(metric_get(&max_fds), (int64_t)limit.rlim_cur);
}

static void show(struct door_conn *c)
{
	cleanup(buf_release) struct buf text = BUF_INIT(METRICS_MAX);

	show_process();
	metrics_print(&text);
	door_respond(c, 200, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n",
		     (int64_t)text.len);
	door_send(c, text.data, text.len);
	door_end(c);
}

static void request(struct door_conn *c, void *arg)
{
	const struct http_head *head = door_head(c);

	(void)arg;
	if (!path_is(head, "/metrics")) {
		door_reply(c, 404, "", "there is /metrics");
	} else if (strcmp(head->method, "GET") == 0 || strcmp(head->method, "HEAD") == 0) {
		show(c);
	} else if (strcmp(head->method, "DELETE") == 0) {
		metrics_reset();
		door_reply(c, 200, "", "");
	} else {
		door_reply(c, 405, "Allow: GET, HEAD, DELETE\r\n", "only GET");
	}
}

int metrics_door_new(const char *ip, uint16_t port, struct door **out, struct err *e)
{
	const struct door_config config = {
		.name = "metrics",
		.ip = ip,
		.port = port,
		.connections_max = CONNECTIONS_MAX,
		.request = request,
	};

	return door_new(&config, out, e);
}

int metrics_door_new_at(const char *addr, struct door **out, struct err *e)
{
	char host[64] = "";
	uint16_t port;
	const char *text = addr;
	char any[80];

	if (addr[0] == ':') {
		snprintf(any, sizeof(any), "[::]%s", addr);
		text = any;
	}
	if (!net_split(text, host, sizeof(host), DEFAULT_PORT, &port))
		return err_set(e, EINVAL, "%s is not ip:port", addr);
	return metrics_door_new(addr[0] == ':' ? NULL : host, port, out, e);
}
