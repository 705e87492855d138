/* This host as it announces itself: ids, addresses, ports, and live figures (CPU, memory, disk,
 * link). Thread-safe. */
#ifndef DAEMON_HOST_H
#define DAEMON_HOST_H

#include "base/err.h"
#include "daemon/figures.h"

#include <stdbool.h>
#include <stdint.h>

struct host;

struct host_config {
	const char *hostname, *ip; /* NULL = the system's */
	const char *idc, *location;
	uint64_t scheduler_cluster_id; /* 0 = matched by the manager */
	bool is_seed, disable_shared, ipv6;
	uint16_t port, download_port, proxy_port; /* gRPC, gRPC, proxy */
	uint16_t piece_port;			  /* TCP piece server */
	const char *storage_dir;		  /* for disk figures */
	uint64_t upload_bandwidth; /* announced as tx max when the link tells nothing */
};

struct host *host_new(const struct host_config *c);
void host_free(struct host *h);
const struct host_config *host_config(const struct host *h); /* hostname and ip filled in */
const char *host_id(const struct host *h); /* "<ip>-<hostname>", seeds "...-seed" */
/* "<ip>-<hostname>-<uuid>", seeds "...-seed". The caller frees. */
char *host_new_peer_id(const struct host *h);
/* Counted by the piece server and the fetchers: what the announced rates are made from. */
void host_count_tx(struct host *h, uint64_t bytes);
void host_count_rx(struct host *h, uint64_t bytes);
/* Bytes per second over the last seconds. */
uint64_t host_tx_rate(const struct host *h);
uint64_t host_rx_rate(const struct host *h);
/* A child's connection to the piece server came (+1) or went (-1). */
void host_count_upload(struct host *h, int change);

/* This piece of some task is being sent, one is not any more. */
void host_sending_begun(struct host *h, uint32_t number);
void host_sending_ended(struct host *h);
/* Called then, by any thread, and must not block; NULL ends it: it is not running any more. */
void host_on_sending_ended(struct host *h, void (*ended)(void *arg), void *arg);

#define HOST_BEGUN_MAX 32
struct host_sending {
	unsigned running; /* pieces being sent now */
	uint64_t begun;	  /* pieces ever begun */
	uint32_t
		last[HOST_BEGUN_MAX]; /* the nth that was begun, from 0, is at n % HOST_BEGUN_MAX */
};
void host_sending(struct host *h, struct host_sending *out);
/* Bytes that the host's link has sent, whoever's; where it does not tell, pieces only. Reads a
 * file. */
uint64_t host_link_sent(struct host *h);

/* What is announced beside the names. Bytes, and bytes per second; 0 = unknown. */
struct host_figures {
	struct figures system; /* read at most once a second */
	uint64_t tx_rate, rx_rate, tx_max, rx_max;
	uint32_t upload_connections;
};
void host_figures(struct host *h, struct host_figures *out);
const struct figures_platform *host_platform(const struct host *h);

#endif
