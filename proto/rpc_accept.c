/* Accepts connections, and knows whose they are: core calls each "fd:<number>". */
#include "proto/rpc_accept.h"

#include "base/clock.h"
#include "base/dir.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/net.h"

#include <assert.h>
#include <errno.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#define BACKLOG	 1024
#define PAUSE_MS 100
#define LOG_MS	 10000

struct listener {
	int fd, lock_fd;
	char *unix_path; /* NULL for TCP */
};

struct peer {
	char text[64];
};

struct rpc_accept {
	grpc_server *server;
	grpc_server_credentials *plain;
	struct listener *listeners;
	size_t count;
	int stop_fd;
	bool running;
	pthread_t thread;
	int64_t logged_ms; /* the thread */

	struct lock lock;
	struct peer *peers; /* lock; by descriptor */
	size_t peer_count;  /* lock */
};

struct rpc_accept *rpc_accept_new(grpc_server *server)
{
	struct rpc_accept *a = mem_new(struct rpc_accept);

	a->server = server;
	a->plain = grpc_insecure_server_credentials_create();
	a->stop_fd = -1;
	lock_init(&a->lock, 70);
	return a;
}

int rpc_accept_listen(struct rpc_accept *a, const char *address, uint16_t *port_out, struct err *e)
{
	struct listener l = {.fd = -1, .lock_fd = -1};
	char host[64];
	uint16_t port;
	int r;

	*port_out = 0;
	if (strncmp(address, "unix:", 5) == 0) {
		r = dir_make_parent(address + 5, 0755, e);
		if (r == 0)
			r = net_listen_unix(address + 5, &l.fd, &l.lock_fd, e);
		if (r < 0)
			return r;
		l.unix_path = mem_strdup(address + 5);
	} else {
		if (!net_split(address, host, sizeof(host), 0, &port))
			return err_set(e, EINVAL, "\"%s\" is no address to listen on: ip:port",
				       address);
		r = net_listen(host, port, BACKLOG, &l.fd, port_out, e);
		if (r < 0)
			return r;
	}
	a->listeners = mem_realloc(a->listeners, (a->count + 1) * sizeof(l));
	a->listeners[a->count++] = l;
	return 0;
}

/* Strangers must not take the descriptors that the store and the others need: an eighth of what the
 * process may have is left to them. */
static int fd_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT32_MAX)
		return INT32_MAX;
	return (int)(limit.rlim_cur - limit.rlim_cur / 8);
}

static void tell_full(struct rpc_accept *a, const char *why)
{
	static const struct metric_family refused = {
		METRIC_COUNTER, "skimmer_grpc_refused_total",
		"Times that a gRPC connection found no free descriptor.", NULL};

	metric_add(metric_get(&refused), 1);
	if (a->logged_ms && clock_ms() - a->logged_ms < LOG_MS)
		return;
	a->logged_ms = clock_ms();
	log_warn("gRPC connection refused", "why=\"%s\"", why);
}

static void note_peer(struct rpc_accept *a, int fd, const struct net_addr *addr)
{
	struct peer peer = {"unix"};

	if (addr->sa.ss_family != AF_UNIX)
		net_addr_print(addr, peer.text, sizeof(peer.text));
	lock_guard(&a->lock);
	if ((size_t)fd >= a->peer_count) {
		a->peer_count = (size_t)fd * 2 + 64;
		a->peers = mem_realloc(a->peers, a->peer_count * sizeof(peer));
	}
	a->peers[fd] = peer;
}

static void accept_one(struct rpc_accept *a, const struct listener *l, struct pollfd *stop)
{
	struct net_addr addr = {.len = sizeof(addr.sa)};
	int fd = accept4(l->fd, (struct sockaddr *)&addr.sa, &addr.len,
			 SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= fd_max()) {
		close(fd);
		tell_full(a, "too many descriptors are open");
	} else if (fd >= 0) {
		note_peer(a, fd, &addr);
		grpc_server_add_channel_from_fd(a->server, fd, a->plain);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
		/* it waits in the backlog, and we for better times */
		tell_full(a, strerrordesc_np(errno));
		poll(stop, 1, PAUSE_MS);
	}
	/* any other errno is of a connection that is gone already */
}

static void *accept_main(void *arg)
{
	struct rpc_accept *a = arg;
	cleanup(free_at) struct pollfd *polls = mem_array(a->count + 1, sizeof(*polls));

	polls[0] = (struct pollfd){.fd = a->stop_fd, .events = POLLIN};
	for (size_t i = 0; i < a->count; i++)
		polls[i + 1] = (struct pollfd){.fd = a->listeners[i].fd, .events = POLLIN};
	for (;;) {
		if (poll(polls, a->count + 1, -1) < 0)
			continue; /* EINTR */
		if (polls[0].revents)
			return NULL;
		for (size_t i = 0; i < a->count; i++)
			if (polls[i + 1].revents)
				accept_one(a, &a->listeners[i], polls);
	}
}

void rpc_accept_start(struct rpc_accept *a)
{
	int r;

	if (a->count == 0)
		return;
	a->stop_fd = eventfd(0, EFD_CLOEXEC);
	assert(a->stop_fd >= 0);
	r = pthread_create(&a->thread, NULL, accept_main, a);
	assert(r == 0);
	(void)r;
	(void)pthread_setname_np(a->thread, "rpc-accept");
	a->running = true;
}

void rpc_accept_stop(struct rpc_accept *a)
{
	if (a->running) {
		eventfd_write(a->stop_fd, 1);
		pthread_join(a->thread, NULL);
		close_at(&a->stop_fd);
	}
	for (size_t i = 0; i < a->count; i++) {
		struct listener *l = &a->listeners[i];

		close_at(&l->fd);
		if (l->unix_path)
			unlink(l->unix_path); /* ours as long as we hold the lock */
		close_at(&l->lock_fd);
		free(l->unix_path);
	}
	a->count = 0;
}

void rpc_accept_free(struct rpc_accept *a)
{
	grpc_server_credentials_release(a->plain);
	lock_release(&a->lock);
	free(a->listeners);
	free(a->peers);
	free(a);
}

/* "ipv4:1.2.3.4:5" and "ipv6:%5B::1%5D:5" of a TLS connection. */
static char *uri_text(const char *uri)
{
	const char *colon = strchr(uri, ':');
	char *text = mem_strdup(colon ? colon + 1 : uri);
	char *out = text;

	for (const char *in = text; *in; in++) {
		if (strncmp(in, "%5B", 3) == 0 || strncmp(in, "%5D", 3) == 0) {
			*out++ = in[2] == 'B' ? '[' : ']';
			in += 2;
		} else {
			*out++ = *in;
		}
	}
	*out = '\0';
	return text;
}

char *rpc_accept_peer(struct rpc_accept *a, grpc_call *call)
{
	char *uri = grpc_call_get_peer(call);
	char *text = NULL;
	unsigned fd;

	if (sscanf(uri, "fd:%u", &fd) == 1) {
		lock_guard(&a->lock);
		text = mem_strdup(fd < a->peer_count ? a->peers[fd].text : "");
	} else {
		text = uri_text(uri);
	}
	gpr_free(uri);
	return text;
}
