/*
 * The two small doors for operators: health (4003: GET /healthy, /readyz) and metrics (4002:
 * GET /metrics in Prometheus' text format, DELETE /metrics starts the counters anew).
 */
#ifndef DAEMON_ADMIN_H
#define DAEMON_ADMIN_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct admin;
struct piece_server;
struct store;
struct tasks;

/* Everything is borrowed for its life. */
struct admin_config {
	const char *health_ip, *metrics_ip; /* NULL = any */
	uint16_t health_port, metrics_port; /* 0: the system picks */
	/* /readyz: 503 while it says false; NULL: as /healthy. A loop's thread; must not block. */
	bool (*ready)(void *arg);
	void *arg;
	/* Where figures are read from when they are asked for; NULL = none */
	struct tasks *tasks;
	struct store *store;
	struct piece_server *piece_server;
	const char *storage_dir; /* whose disk is shown */
};

/* EADDRINUSE, ... */
must_check int admin_new(const struct admin_config *config, struct admin **out, struct err *e);
uint16_t admin_health_port(const struct admin *a);
uint16_t admin_metrics_port(const struct admin *a);
/* Before what the configuration names. NULL is fine. */
void admin_free(struct admin *a);

#endif
