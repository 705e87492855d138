/* dfdaemon: the node. */
#include "base/log.h"
#include "base/net.h"
#include "base/notify.h"
#include "base/program.h"
#include "base/timer.h"
#include "daemon/daemon.h"
#include "daemon/holder_process.h"
#include "proto/rpc.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Waits for a signal, and tells when the mount is taken away from outside. */
static void wait_for_end(struct daemon *d, const sigset_t *ends)
{
	const struct timespec tick = {.tv_nsec = 500 * 1000 * 1000};
	bool told = false;
	int sig;

	while ((sig = sigtimedwait(ends, NULL, &tick)) <= 0) {
		daemon_tend(d);
		if (!told && daemon_mount_ended(d)) {
			log_warn("the mount was taken away: everything else goes on", NULL);
			told = true;
		}
	}
	log_info("dfdaemon stops", "signal=%d", sig);
}

static void start_tracing(const struct daemon_config *c)
{
	char own_ip[64], name[256] = "localhost", service[80];
	const char *ip = c->host.ip ? c->host.ip : own_ip;
	const char *const attributes[] = {"host.name",
					  c->host.hostname ? c->host.hostname : name,
					  "host.ip",
					  ip,
					  "host.idc",
					  c->host.idc,
					  "host.location",
					  c->host.location,
					  "host.seed_peer",
					  c->seed_peer.enable ? "true" : "false",
					  NULL};

	gethostname(name, sizeof(name) - 1);
	net_own_ip(own_ip, sizeof(own_ip), c->ipv6);
	snprintf(service, sizeof(service), "dfdaemon-%s", ip);
	trace_export_start(&c->tracing, service, attributes);
}

static int run(const void *config, const sigset_t *ends, struct err *e)
{
	struct daemon *d = NULL;
	int r;

	timer_start();
	rpc_init();
	start_tracing(config);
	r = daemon_start(config, &d, e);
	if (r == 0) {
		notify_ready();
		wait_for_end(d, ends);
		notify_stopping();
	}
	daemon_stop(d);
	trace_export_stop();
	rpc_shutdown();
	timer_stop();
	return r;
}

int main(int argc, char **argv)
{
	static const struct program dfdaemon = {
		.name = "dfdaemon",
		.summary = "serves blobs and files of a cluster from the nearest peers",
		.description = "Mounts the blobs at /var/lib/d7y/blobs, serves the registry "
			       "mirror and proxy on port 4001, pieces for other peers on 4005 and "
			       "gRPC on 4000. Needs root for the mount.",
		.examples = "dfdaemon  # with the defaults\n"
			    "dfdaemon --config dfdaemon.yaml --check-config  # look for mistakes",
		.keys = daemon_config_keys,
		.config_file = DAEMON_CONFIG_FILE,
		.config_size = sizeof(struct daemon_config),
		.verbose = offsetof(struct daemon_config, verbose),
		.check = daemon_config_check,
		.run = run,
	};

	/* Not for people: dfdaemon starts itself so (daemon/holder.c). */
	if (argc == 2 && strcmp(argv[1], "--hold") == 0)
		return holder_process_main();
	return program_main(&dfdaemon, argc, argv);
}
