/* containerd-skimmer: containerd's snapshotter. */
#include "base/dir.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/notify.h"
#include "base/program.h"
#include "base/timer.h"
#include "contrib/containerd/config.h"
#include "contrib/containerd/lazy.h"
#include "contrib/containerd/service.h"

#define GRACE_MS 5000

/* Serves until SIGINT or SIGTERM, which every thread has blocked. */
static int serve(const struct snapshotter_config *c, struct service *sv, const sigset_t *ends,
		 struct err *e)
{
	char *address cleanup(free_at) = mem_printf("unix:%s", c->socket_path);
	const char *const addresses[] = {address, NULL};
	const struct rpc_method *const services[] = {service_methods, NULL};
	void *const args[] = {sv};
	const struct rpc_server_config rc = {
		.listen = addresses, .services = services, .service_args = args};
	struct rpc_server *server = NULL;
	int sig, r = dir_make_parent(c->socket_path, 0711, e);

	if (r == 0)
		r = rpc_server_new(&rc, &server, e);
	if (r < 0)
		return err_wrap(e, "socketPath");
	log_info("containerd-skimmer serves", "socket=%s root=%s", c->socket_path, c->root);
	notify_ready();
	sigwait(ends, &sig);
	notify_stopping();
	log_info("containerd-skimmer stops", "signal=%d", sig);
	rpc_server_free(server, GRACE_MS);
	return 0;
}

static int serve_from(const struct snapshotter_config *c, struct lazy *z, const sigset_t *ends,
		      struct err *e)
{
	struct snapshots *s = NULL;
	struct service *sv;
	int r = snapshots_open(c->root, z, &s, e);

	if (r < 0)
		return r;
	sv = service_new(s);
	r = serve(c, sv, ends, e);
	service_free(sv);
	snapshots_close(s);
	return r;
}

static int run(const void *config, const sigset_t *ends, struct err *e)
{
	const struct snapshotter_config *c = config;
	struct lazy *z;
	int r;

	timer_start();
	rpc_init();
	z = lazy_new(c->daemon_socket, c->daemon_timeout_ms);
	r = serve_from(c, z, ends, e);
	lazy_free(z);
	rpc_shutdown();
	timer_stop();
	return r;
}

int main(int argc, char **argv)
{
	static const struct program snapshotter = {
		.name = "containerd-skimmer",
		.summary = "starts images before they are there",
		.description = "Serves containerd's snapshots API on a unix socket, for a proxy "
			       "plugin. A layer of which the node's dfdaemon knows the index is "
			       "mounted and read when it is used; every other is unpacked by "
			       "containerd, for overlayfs.",
		.examples =
			"containerd-skimmer  # with the defaults\n"
			"ctr images pull --snapshotter skimmer docker.io/library/redis:7  # use "
			"it\n",
		.keys = snapshotter_config_keys,
		.config_file = SNAPSHOTTER_CONFIG_FILE,
		.config_size = sizeof(struct snapshotter_config),
		.verbose = offsetof(struct snapshotter_config, verbose),
		.run = run,
	};

	return program_main(&snapshotter, argc, argv);
}
