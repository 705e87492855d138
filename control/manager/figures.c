/* Names and labels are Dragonfly's. */
#include "control/manager/figures.h"

#include "base/buf.h"
#include "base/metrics.h"
#include "proto/figure.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define PREFIX	       "dragonfly_manager_"
#define PATH_PARTS_MAX 6

void figures_start(void)
{
	static const struct metric_family version = FIGURE_VERSION(PREFIX);

	figure_version(&version);
}

void figures_search(const char *version, const char *commit, bool found)
{
	static const struct metric_family total = {
		METRIC_COUNTER, PREFIX "search_scheduler_cluster_total",
		"Peers that asked which schedulers are their own.", "version,commit"};
	static const struct metric_family failure = {
		METRIC_COUNTER, PREFIX "search_scheduler_cluster_failure_total",
		"Peers that asked and got none.", "version,commit"};

	metric_add(metric_get(&total, version, commit), 1);
	metric_add(metric_get(&failure, version, commit), found ? 0 : 1);
}

void figures_job(const char *type, bool made)
{
	static const struct metric_family total = {METRIC_COUNTER, PREFIX "create_job_total",
						   "Jobs that were asked for.", "name"};
	static const struct metric_family success = {
		METRIC_COUNTER, PREFIX "create_job_success_total", "Jobs that were taken.", "name"};

	metric_add(metric_get(&total, type), 1);
	metric_add(metric_get(&success, type), made ? 1 : 0);
}

/* The API's path with ":id" for its numbers: few series, whoever asks. All else is "other". */
static void put_route(struct buf *out, const char *path)
{
	unsigned parts = 0;

	if (strncmp(path, "/api/", 5) != 0) {
		buf_puts(out, strcmp(path, "/") == 0 ? "/" : "other");
		return;
	}
	while (*path == '/' && parts++ < PATH_PARTS_MAX) {
		size_t n = strcspn(++path, "/");

		if (isdigit((unsigned char)path[0]))
			buf_puts(out, "/:id");
		else
			buf_printf(out, "/%.*s", (int)n, path);
		path += n;
	}
}

void figures_request(const char *method, const char *path, int status, int64_t us)
{
	static const struct metric_family total = {METRIC_COUNTER, PREFIX "requests_total",
						   "Answers over REST.",
						   "code,method,handler,host,url"};
	static const struct metric_family duration = {
		METRIC_SECONDS, PREFIX "request_duration_seconds",
		"From a request's end to its answer's beginning.", "code,method,url"};
	cleanup(buf_release) struct buf route = {0};
	char code[8];

	/* No stranger's words make a series. */
	if (status == 401 || status == 403 || status == 404 || status == 405)
		buf_puts(&route, "other");
	else
		put_route(&route, path);
	if (strcmp(method, "GET") != 0 && strcmp(method, "POST") != 0 &&
	    strcmp(method, "PATCH") != 0 && strcmp(method, "DELETE") != 0 &&
	    strcmp(method, "PUT") != 0 && strcmp(method, "HEAD") != 0)
		method = "other";
	snprintf(code, sizeof(code), "%d", status);
	metric_add(metric_get(&total, code, method, "", "", route.data), 1);
	metric_observe(metric_get(&duration, code, method, route.data), (uint64_t)us);
}
