/*
 * dfdaemon's configuration file: Dragonfly's key names, ours where Dragonfly has none. The table in
 * config.c is the truth; docs/reference/dfdaemon.md is printed from it.
 */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include "base/config.h"
#include "proto/rpc_tls.h"
#include "proto/trace_export.h"

#define DAEMON_CONFIG_FILE "/etc/dragonfly/dfdaemon.yaml"

struct config_rule {
	char *regex;
	bool use_tls;
	char *redirect;
	struct config_strings filtered_params;
};

struct config_registry {
	char *addr; /* "https://registry.example:5000" */
	struct config_strings repositories;
};

struct daemon_config {
	struct {
		char *idc, *location, *hostname, *ip;
		uint64_t scheduler_cluster_id;
	} host;
	struct {
		char *cache_dir;
	} server;
	struct {
		char *socket_path;
		uint64_t bandwidth, back_to_source_bandwidth;
		int64_t collected_piece_timeout_ms;
		uint64_t concurrent_piece_count;
		uint64_t back_to_source_concurrent_per_host;
	} download;
	struct {
		char *ip;
		uint16_t port;
		struct rpc_tls server_tls, client_tls;
		bool disable_shared;
		uint64_t bandwidth;
	} upload;
	struct {
		char *addr;
		struct rpc_tls tls;
	} manager;
	struct {
		struct config_strings addrs;
		struct rpc_tls tls;
		int64_t announce_interval_ms, answer_timeout_ms;
		uint64_t max_schedule_count;
	} scheduler;
	struct {
		bool enable;
		uint64_t cluster_id; /* 0 = host.scheduler_cluster_id */
		int64_t keep_alive_ms;
	} seed_peer;
	int64_t refresh_interval_ms; /* dynconfig.refreshInterval */
	struct {
		char *ip;
		uint16_t tcp_port;
		char *dir;
		bool keep;
		uint64_t quota;
		int64_t write_piece_timeout_ms;
	} storage;
	struct {
		struct config_pairs request_header;
		uint64_t max_retries;
		char *ca_cert;
		bool insecure_skip_verify;
		char *docker_config;
		struct config_strings plain_http;
		struct config_list registries; /* struct config_registry */
	} backend;
	struct {
		int64_t interval_ms, task_ttl_ms, unfinished_ttl_ms;
		uint64_t high_percent, low_percent;
	} gc;
	struct {
		bool enable;
		char *ip;
		uint16_t port;
		uint64_t request_rate_limit;
		char *ca_cert, *ca_key;
		char *username, *password;
		struct config_list rules; /* struct config_rule */
		struct config_strings intercept;
		char *mirror_addr, *mirror_cert;
		char *output_dir;
		bool blob_digest_id;
		bool disable_back_to_source, prefetch;
	} proxy;
	struct {
		bool enable;
		char *path;
		bool passthrough, allow_other, prefetch;
		uint64_t read_ahead;
		int64_t read_timeout_ms, hold_ms;
		struct config_strings allow_hosts;
	} mount;
	struct {
		bool enable;
		char *dir, *mount_path, *trees, *trees_path;
		uint64_t least_len, span_len_max, prefetch_max;
		int64_t quiet_ms, record_ms;
		struct config_strings tables_from;
	} lazy;
	struct {
		char *ip;
		uint16_t port;
	} health, metrics, stats;
	struct trace_config tracing;
	bool ipv6, verbose;
};

extern const struct config_key daemon_config_keys[];

/* What no single key can tell (low < high percent, caCert with caKey, ...). config is a struct
 * daemon_config. EINVAL. */
must_check int daemon_config_check(const void *config, struct err *e);

#endif
