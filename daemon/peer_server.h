/*
 * The daemon's gRPC doors: DfdaemonUpload for peers and schedulers (TCP, port 4000) and
 * DfdaemonDownload for this host's own tools (unix socket). Two servers, because what the one may
 * ask (write a file) the other must not.
 *
 * Served: DownloadTask, StatTask, StatLocalTask, DeleteTask, SyncPieces, SyncHost; on the socket
 * also ListLocalTasks, DeleteLocalTask, DeleteHost, and not the two Sync ones. All other methods
 * are UNIMPLEMENTED.
 */
#ifndef DAEMON_PEER_SERVER_H
#define DAEMON_PEER_SERVER_H

#include "daemon/scheduler_client.h"
#include "daemon/task.h"
#include "proto/rpc.h"

struct peer_server;

#define PEER_SOCKET_SERVICES 2

struct peer_server_config {
	const char *ip;		   /* NULL = any */
	uint16_t port;		   /* 0 = the system picks */
	const struct rpc_tls *tls; /* of that port; NULL = plaintext */
	const char *socket_path;   /* NULL = none */
	uint16_t piece_port;	   /* where children are sent for pieces; 0 = the host's */
	unsigned workers;	   /* threads that may wait for the disk; 0 = 8 */
	unsigned calls_max;	   /* downloads and followed tasks at a time; 0 = 16,384 */
	/* Other services on the socket, NULL = none, and the arg of each one's methods. */
	const struct rpc_method *socket_methods[PEER_SOCKET_SERVICES];
	void *socket_args[PEER_SOCKET_SERVICES];
};

/* What it serves from; all borrowed for its life. */
struct peer_server_parts {
	struct tasks *tasks;
	struct store *store;
	struct host *host;
	struct scheduler_client *scheduler; /* NULL = none */
};

/* EADDRINUSE: another process serves the port or the socket. */
must_check int peer_server_new(const struct peer_server_config *c,
			       const struct peer_server_parts *parts, struct peer_server **out,
			       struct err *e);
/* Ends all calls and joins. Before the tasks are freed. NULL is fine. */
void peer_server_free(struct peer_server *s);
uint16_t peer_server_port(const struct peer_server *s);

/* Sets the figures of questions that were asked of all servers of this process. */
void peer_server_show_figures(void);

#endif
