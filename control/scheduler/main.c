/* The scheduler: keeps who has what in memory, answers each peer with its best parents. */
#include "base/log.h"
#include "base/metrics_door.h"
#include "base/net.h"
#include "base/notify.h"
#include "base/profile_door.h"
#include "base/program.h"
#include "base/timer.h"
#include "control/scheduler/config.h"
#include "control/scheduler/figures.h"
#include "control/scheduler/manager_link.h"
#include "control/scheduler/service.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

static struct state_config state_config_of(const struct scheduler_config *c)
{
	uint64_t refused_later = c->retry_limit > c->retry_back_to_source_limit
					 ? c->retry_limit - c->retry_back_to_source_limit
					 : 0;

	return (struct state_config){
		.algorithm = strcmp(c->algorithm, "default") == 0 ? PICK_DEFAULT : PICK_SKIMMER,
		.candidate_parent_limit = (unsigned)c->candidate_parent_limit,
		.filter_parent_limit = (unsigned)c->filter_parent_limit,
		.back_to_source_count = (unsigned)c->back_to_source_count,
		.wait_ms = c->retry_interval_ms * (int64_t)c->retry_back_to_source_limit,
		.refuse_ms = c->retry_interval_ms * (int64_t)refused_later,
		.seed_wait_ms = c->seed_wait_ms,
		.seed_failed_ms = c->seed_failed_ms,
		.peer_ttl_ms = c->peer_ttl_ms,
		.host_ttl_ms = c->host_ttl_ms,
		.piece_timeout_ms = c->piece_timeout_ms,
		.random_seed = (uint64_t)time(NULL),
	};
}

#define THREADS_MAX 8 /* more would only wait for the state's lock */

static unsigned thread_count(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return cores < 1 ? 1 : cores > THREADS_MAX ? THREADS_MAX : (unsigned)cores;
}

static int start_metrics(const struct scheduler_config *c, struct door **out, struct err *e)
{
	int r;

	figures_start(service_methods, c->metrics_hosts);
	if (!c->metrics_enable)
		return 0;
	r = metrics_door_new_at(c->metrics_addr, out, e);
	return r < 0 ? err_wrap(e, "metrics.addr") : 0;
}

/* Serves until SIGINT or SIGTERM, which every thread has blocked. */
static int serve(const struct scheduler_config *c, const sigset_t *ends, struct err *e)
{
	const struct state_config sc = state_config_of(c);
	struct service *service = service_new(&sc, &c->seed_tls, &c->peer_tls);
	char listen[80], own_ip[64], name[256] = "localhost";
	const char *const addresses[] = {listen, NULL};
	const struct rpc_method *const services[] = {service_methods, service_swarm_methods, NULL};
	void *const args[] = {service, service};
	const struct rpc_server_config rc = {.listen = addresses,
					     .services = services,
					     .service_args = args,
					     .threads = thread_count(),
					     .tls = &c->server_tls};
	const char *ip = c->listen_ip ? c->listen_ip : "::";
	struct manager_link *link = NULL;
	struct rpc_server *server = NULL;
	struct door *metrics = NULL, *profiles = NULL;
	int sig, r;

	gethostname(name, sizeof(name) - 1);
	net_own_ip(own_ip, sizeof(own_ip), c->ipv6);
	net_join(ip, c->port, listen, sizeof(listen));
	r = start_metrics(c, &metrics, e);
	if (r == 0)
		r = profile_door_new_at(c->pprof_port, &profiles, e);
	if (r == 0)
		r = rpc_server_new(&rc, &server, e);
	if (r == 0) {
		if (c->manager_addr)
			link = manager_link_new(c, c->advertise_ip ? c->advertise_ip : own_ip,
						c->hostname ? c->hostname : name, service);
		log_info("scheduler serves", "grpc=%s manager=%s", listen,
			 c->manager_addr ? c->manager_addr : "none");
		notify_ready();
		sigwait(ends, &sig);
		notify_stopping();
		log_info("scheduler stops", "signal=%d", sig);
		manager_link_free(link);
		rpc_server_free(server, 200);
	}
	door_free(profiles);
	door_free(metrics);
	figures_stop();
	service_free(service);
	return r;
}

static void start_tracing(const struct scheduler_config *c)
{
	char own_ip[64], name[256] = "localhost";
	const char *const attributes[] = {"host.name",
					  c->hostname ? c->hostname : name,
					  "host.ip",
					  c->advertise_ip ? c->advertise_ip : own_ip,
					  "host.idc",
					  c->idc,
					  "host.location",
					  c->location,
					  NULL};

	gethostname(name, sizeof(name) - 1);
	net_own_ip(own_ip, sizeof(own_ip), c->ipv6);
	trace_export_start(&c->tracing, "dragonfly-scheduler", attributes);
}

static int run(const void *config, const sigset_t *ends, struct err *e)
{
	int r;

	timer_start();
	rpc_init();
	start_tracing(config);
	r = serve(config, ends, e);
	trace_export_stop();
	rpc_shutdown();
	timer_stop();
	return r;
}

int main(int argc, char **argv)
{
	static const struct program scheduler = {
		.name = "scheduler",
		.summary = "answers each peer of a cluster with its best parents",
		.description =
			"Serves scheduler.v2.Scheduler over gRPC on port 8002. What it knows is in "
			"memory: after a restart the peers tell it again.",
		.examples = "scheduler  # without a manager\n"
			    "scheduler --config scheduler.yaml --check-config  # look for mistakes",
		.keys = scheduler_config_keys,
		.config_file = SCHEDULER_CONFIG_FILE,
		.config_size = sizeof(struct scheduler_config),
		.verbose = offsetof(struct scheduler_config, verbose),
		.check = scheduler_config_check,
		.run = run,
	};

	return program_main(&scheduler, argc, argv);
}
