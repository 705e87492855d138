/*
 * The daemon's talk with its cluster's schedulers: host announcements and one conversation
 * (AnnouncePeer) per task. Which scheduler: a consistent-hash ring over the addresses that
 * answer, by the first five characters of the task id (as Dragonfly's client does). An address
 * that refuses is dropped at once and tried again later. No scheduler at all is normal.
 */
#ifndef DAEMON_SCHEDULER_CLIENT_H
#define DAEMON_SCHEDULER_CLIENT_H

#include "base/config.h"
#include "daemon/host.h"
#include "daemon/parent.h"
#include "daemon/store.h"
#include "proto/rpc_tls.h"

#include <protobuf-c/protobuf-c.h>

struct scheduler_client;
struct schedule; /* one conversation: one peer (download) of one task */

struct scheduler_client_config {
	const struct rpc_tls *tls; /* kept; NULL = plaintext */
	int64_t announce_interval_ms;
	int64_t answer_timeout_ms; /* a register or reschedule unanswered for so long: closed() */
};

/* host: borrowed for its life, its figures are refreshed for each announcement. */
struct scheduler_client *scheduler_client_new(const struct scheduler_client_config *c,
					      struct host *host);
/* The addresses now in force ("ip:port"), from the manager or the configuration. Any thread. */
void scheduler_client_set(struct scheduler_client *sc, const char *const *addrs, size_t count);
/* Says DeleteHost to all, waits at most 2 s; nothing is announced afterwards. */
void scheduler_client_leave(struct scheduler_client *sc);
/* The same, but the next announcement comes at its time. */
void scheduler_client_delete_host(struct scheduler_client *sc);
void scheduler_client_free(struct scheduler_client *sc);
unsigned scheduler_client_alive(const struct scheduler_client *sc); /* addresses that answer */
/* Addresses that have ever answered: grows when this host comes to another cluster. */
unsigned scheduler_client_met(const struct scheduler_client *sc);

/* Blocking: what the cluster knows of a task. ENOENT: nothing (or no scheduler). */
must_check int scheduler_client_stat_task(struct scheduler_client *sc, const char *task_id,
					  uint64_t *length_out, uint32_t *piece_count_out,
					  struct err *e);
/* Blocking: the same as a common.v2.Task, to be freed with protobuf_c_message_free_unpacked(). */
must_check int scheduler_client_find_task(struct scheduler_client *sc, const char *task_id,
					  ProtobufCMessage **out, struct err *e);
/* Blocking: does the scheduler of the task know this peer? ENOENT: no (or no scheduler). */
must_check int scheduler_client_stat_peer(struct scheduler_client *sc, const char *task_id,
					  const char *peer_id, struct err *e);
/* Blocking, best effort. */
void scheduler_client_delete_task(struct scheduler_client *sc, const char *task_id);

struct schedule_register {
	const struct store_meta *meta; /* id, geometry, url, digest, tag, application */
	/* What a seed that fetches for us must know besides: where it is, with what is not kept
	 * in meta (a signature), the request's own headers (Authorization), and what went into the
	 * id. */
	const char *url;		    /* NULL = meta's */
	const struct config_pairs *headers; /* NULL = none */
	uint32_t piece_length;		    /* as the request set it, 0 = it did not */
	const char *content_for_id;	    /* NULL = none */
	const char *const *filtered_params;
	size_t filtered_param_count;
	int priority;
	uint32_t concurrent_piece_count;
	bool need_back_to_source;
	bool disable_back_to_source;
	bool blob_digest_id;
	bool metadata_only; /* all pieces are here: only tell the scheduler */
};

struct schedule_ops {
	void (*parents)(struct schedule *s, const struct parent_info *parents, size_t count,
			void *arg);
	void (*back_to_source)(struct schedule *s, const char *why, void *arg);
	void (*ready)(struct schedule *s,
		      void *arg); /* empty task or metadata only: nothing to do */
	/* Once, last: no scheduler, no answer in time, refused (EACCES, ENOENT), or the stream
	 * broke. Not after schedule_finished() or _failed(). */
	void (*closed)(struct schedule *s, const struct err *e, void *arg);
};

/* Never blocks. Callbacks come on the rpc or the timer thread, without locks; must not block. */
struct schedule *schedule_new(struct scheduler_client *sc, const struct schedule_register *reg,
			      const struct schedule_ops *ops, void *arg);
const char *schedule_peer_id(const struct schedule *s);
/* The address of the scheduler that is talked to; "" = none yet. */
void schedule_scheduler(struct schedule *s, char *text, size_t size);
void schedule_started(struct schedule *s); /* got parents, begins */
void schedule_back_to_source_started(struct schedule *s, const char *why);
/* parent_id NULL: from the origin. */
void schedule_piece_finished(struct schedule *s, uint32_t number, uint64_t offset,
			     const struct store_piece *piece, const char *parent_id);
void schedule_piece_failed(struct schedule *s, uint32_t number, const char *parent_id,
			   bool temporary);
/* Asks for other parents; tried: those that are no good. */
void schedule_reschedule(struct schedule *s, const struct parent_info *tried, size_t count,
			 const char *why);
void schedule_finished(struct schedule *s);
void schedule_failed(struct schedule *s, const char *why);
/* Ends it without waiting for the network: what was said is still sent. Once it has returned no
 * callback is running or will come (but the one that called it), so arg may be freed: it waits for
 * a callback that runs on another thread, and must not be called under a lock that callbacks take.
 */
void schedule_drop(struct schedule *s);

#endif
