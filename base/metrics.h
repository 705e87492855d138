/*
 * Figures for Prometheus: counters, gauges and times by name and labels, in its text format 0.0.4.
 *One registry for the process. A family is a constant of the file that counts it:
 *
 *	static const struct metric_family traffic = {
 *		METRIC_COUNTER, "dragonfly_client_download_traffic", "Bytes downloaded.", "type"};
 *	metric_add(metric_get(&traffic, "REMOTE_PEER"), n);
 *
 * Thread-safe. metric_add() and metric_set() are one atomic; keep what metric_get() gave where it
 *is counted often.
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include "base/buf.h"

#include <stdint.h>

#define METRIC_SERIES_MAX 1000 /* of a family; further label values are counted as "other" */

enum metric_kind {
	METRIC_COUNTER,
	METRIC_GAUGE,
	METRIC_MILLISECONDS, /* histogram, 24 buckets from 1 ms, each twice the one before */
	METRIC_SECONDS,	     /* the same from 64 us, observed in us, shown in s */
	METRIC_SUMMARY,	     /* sum and count alone */
};

struct metric_family {
	enum metric_kind kind;
	const char *name, *help;
	const char *labels; /* "type,tag"; NULL = none */
};

struct metric; /* one series; lives as long as the process */

/* As many texts (const char *, NULL = "") as f has labels. Same name, same series. */
struct metric *metric_get(const struct metric_family *f, ...);
void metric_add(struct metric *m, int64_t n);
void metric_set(struct metric *m, int64_t n);
/* One more of a histogram or summary, in the unit of its kind. */
void metric_observe(struct metric *m, uint64_t n);
int64_t metric_value(const struct metric *m);

/* fn is called before each print, without locks, to set gauges that nobody counts (disk space). */
void metrics_on_print(void (*fn)(void *arg), void *arg);
void metrics_on_print_remove(void (*fn)(void *arg), void *arg);
void metrics_print(struct buf *out);
/* Every counter, histogram and summary starts at 0 again. */
void metrics_reset(void);

#endif
