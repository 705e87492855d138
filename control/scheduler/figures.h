/*
 * The scheduler's figures for Prometheus, under Dragonfly's names. Peers and pieces are counted
 * where they are heard of, with the service's lock; calls that are one question and one answer are
 * read off their methods' tallies when figures are printed.
 */
#ifndef CONTROL_SCHEDULER_FIGURES_H
#define CONTROL_SCHEDULER_FIGURES_H

#include "control/scheduler/state.h"
#include "proto/rpc.h"

enum figure {
	FIGURE_REGISTER,
	FIGURE_REGISTER_FAILED,
	FIGURE_STARTED,
	FIGURE_SOURCE_STARTED,
	FIGURE_FINISHED,
	FIGURE_FAILED,
	FIGURE_SOURCE_FAILED,
	FIGURES_OF_PEERS,
};

/* methods: the service's, in Dragonfly's names; host_labels: host_traffic with a label per host. */
void figures_start(const struct rpc_method *methods, bool host_labels);
void figures_stop(void);

/* priority and host's type are labels. */
void figures_peer(enum figure f, int priority, const struct host *h);
/* A download has ended well. */
void figures_finished(const struct peer *p, int64_t now_ms);
/* parent NULL: from the origin. */
void figures_piece(const struct host *child, const struct host *parent, uint64_t len);
void figures_piece_failed(const struct host *child, bool from_source);
void figures_scheduled(int64_t ms);
/* Peers that wait for an answer, hosts and tasks known. */
void figures_state(uint64_t waiting, uint64_t hosts, uint64_t peers, uint64_t tasks);

#endif
