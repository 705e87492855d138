/* Names and labels are those of Dragonfly's client: type is the number of the task's, 0. */
#include "daemon/downloads.h"

#include "base/cleanup.h"
#include "base/metrics.h"
#include "proto/figure.h"

#include <stdio.h>

void downloads_count(enum downloads_figure f, const char *tag, const char *application,
		     int priority)
{
	static const struct metric_family families[DOWNLOADS_COUNTERS] = {
		[DOWNLOADS_BEGUN] = {METRIC_COUNTER, "dragonfly_client_download_task_total",
				     "Downloads that were asked for.", "type,tag,app,priority"},
		[DOWNLOADS_FAILED] = {METRIC_COUNTER,
				      "dragonfly_client_download_task_failure_total",
				      "Downloads asked for that failed.", "type,tag,app,priority"},
		[DOWNLOADS_PREFETCHED] = {METRIC_COUNTER, "dragonfly_client_prefetch_task_total",
					  "Tasks fetched whole because a part was asked for.",
					  "type,tag,app,priority"},
	};
	static const struct metric_family running = {
		METRIC_GAUGE, "dragonfly_client_concurrent_download_task_total",
		"Downloads that are under way.", "type,tag,app,priority"};
	const int64_t change = f == DOWNLOADS_BEGUN ? 1 : f == DOWNLOADS_ENDED ? -1 : 0;
	char text[16];

	snprintf(text, sizeof(text), "%d", priority);
	/* All are there from the first download on: what has not failed yet is 0, not unknown. */
	for (unsigned i = 0; i < DOWNLOADS_COUNTERS; i++)
		metric_add(metric_get(&families[i], "0", tag, application, text), i == f);
	metric_add(metric_get(&running, "0", tag, application, text), change);
}

void downloads_took(uint64_t content_length, int64_t ms)
{
	static const struct metric_family duration = {
		METRIC_MILLISECONDS, "dragonfly_client_download_task_duration_milliseconds",
		"From the first want to the whole, by size.", "task_type,task_size_level"};
	char level[8];

	snprintf(level, sizeof(level), "%u", figure_size_level(content_length));
	metric_observe(metric_get(&duration, "0", level), (uint64_t)(ms > 0 ? ms : 0));
}

void downloads_backend(const char *scheme, const char *method, int64_t ms, int failed)
{
	static const struct metric_family total = {METRIC_COUNTER,
						   "dragonfly_client_backend_request_total",
						   "Requests to origins.", "scheme,method"};
	static const struct metric_family failure = {
		METRIC_COUNTER, "dragonfly_client_backend_request_failure_total",
		"Requests to origins that failed.", "scheme,method"};
	static const struct metric_family duration = {
		METRIC_MILLISECONDS, "dragonfly_client_backend_request_duration_milliseconds",
		"From a request to the end of its answer.", "scheme,method"};

	metric_add(metric_get(&total, scheme, method), 1);
	metric_add(metric_get(&failure, scheme, method), failed ? 1 : 0);
	metric_observe(metric_get(&duration, scheme, method), (uint64_t)(ms > 0 ? ms : 0));
}
