/* Making and unmaking the modules in order. Must not know: what they do with each other. */
#include "daemon/daemon.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/timer.h"
#include "daemon/admin.h"
#include "daemon/blobs.h"
#include "daemon/manager_client.h"
#include "daemon/peer_server.h"
#include "daemon/piece_server.h"
#include "daemon/proxy.h"
#include "daemon/relay.h"
#include "daemon/tasks.h"
#include "fs/session.h"

#include <errno.h>
#include <string.h>

struct daemon {
	const struct daemon_config *config;
	struct host *host;
	struct store *store;
	struct origin *origin;
	struct relay *relay;
	struct piece_client *piece_client;
	struct scheduler_client *scheduler_client;
	struct manager_client *manager_client;
	struct tasks *tasks;
	struct piece_server *piece_server;
	struct peer_server *peer_server;
	struct proxy *proxy;
	struct blobs *blobs;
	struct fs_session *mount;
	struct admin *admin;
	struct pool *gc_pool;
	struct timer gc_timer;
	struct tasks_source *sources;
	size_t source_count;
};
