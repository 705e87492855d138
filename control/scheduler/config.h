/* The scheduler's configuration file: Dragonfly's key names; the table in config.c is the truth. */
#ifndef CONTROL_SCHEDULER_CONFIG_H
#define CONTROL_SCHEDULER_CONFIG_H

#include "base/config.h"
#include "proto/rpc_tls.h"
#include "proto/trace_export.h"

#define SCHEDULER_CONFIG_FILE "/etc/dragonfly/scheduler.yaml"

struct scheduler_config {
	char *advertise_ip, *listen_ip, *hostname, *idc, *location;
	uint16_t port;
	char *manager_addr, *algorithm;
	struct rpc_tls server_tls, manager_tls, seed_tls, peer_tls;
	uint64_t cluster_id;
	int64_t keep_alive_ms, refresh_ms;
	uint64_t candidate_parent_limit, filter_parent_limit, back_to_source_count;
	uint64_t retry_back_to_source_limit, retry_limit;
	int64_t retry_interval_ms, seed_wait_ms, seed_failed_ms;
	int64_t piece_timeout_ms, peer_ttl_ms, host_ttl_ms;
	bool ipv6, verbose;
	struct trace_config tracing;
	char *pprof_port;
	bool metrics_enable, metrics_hosts;
	char *metrics_addr;
};

extern const struct config_key scheduler_config_keys[];

/* What no single key can tell; for struct program. */
int scheduler_config_check(const void *config, struct err *e);

#endif
