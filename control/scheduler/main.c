/* The scheduler: keeps who has what in memory, answers each peer with its best parents. */
#include "base/cli.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/net.h"
#include "base/timer.h"
#include "control/scheduler/config.h"
#include "control/scheduler/manager_link.h"
#include "control/scheduler/service.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

struct options {
	const char *config, *log_level;
	bool check_config, print_reference;
};

static const struct cli_option option_table[] = {
	{"config", 'c', CLI_TEXT, offsetof(struct options, config), "FILE", "SCHEDULER_CONFIG",
	 "Configuration file (default " SCHEDULER_CONFIG_FILE ", which may be absent)."},
	{"check-config", 0, CLI_FLAG, offsetof(struct options, check_config), NULL, NULL,
	 "Check the configuration file and exit."},
	{"print-config-reference", 0, CLI_FLAG, offsetof(struct options, print_reference), NULL,
	 NULL, "Print every key, its type, default and meaning as Markdown and exit."},
	{"log-level", 'l', CLI_TEXT, offsetof(struct options, log_level), "LEVEL", "SCHEDULER_LOG",
	 "error, warn, info (default) or debug."},
	{0},
};

static const struct cli program = {
	.program = "scheduler",
	.summary = "answers each peer of a cluster with its best parents",
	.usage = "scheduler [options]",
	.description = "Serves scheduler.v2.Scheduler over gRPC on port 8002. What it knows is in "
		       "memory: after a restart the peers tell it again.",
	.examples = "scheduler  # without a manager\n"
		    "scheduler --config scheduler.yaml --check-config  # look for mistakes",
	.exit_codes = "0 stopped by SIGTERM or SIGINT\n"
		      "1 could not start or had to stop\n"
		      "2 wrong usage\n"
		      "3 the configuration is wrong\n",
	.options = option_table,
};

static int load(const struct options *o, struct scheduler_config *c, struct err *e)
{
	int r = config_load(scheduler_config_keys, o->config ? o->config : SCHEDULER_CONFIG_FILE, c,
			    e);

	if (r == -ENOENT && !o->config) {
		config_defaults(scheduler_config_keys, c);
		r = 0;
	}
	return r;
}

static struct state_config state_config_of(const struct scheduler_config *c)
{
	return (struct state_config){
		.algorithm = strcmp(c->algorithm, "default") == 0 ? PICK_DEFAULT : PICK_SKIMMER,
		.candidate_parent_limit = (unsigned)c->candidate_parent_limit,
		.filter_parent_limit = (unsigned)c->filter_parent_limit,
		.back_to_source_count = (unsigned)c->back_to_source_count,
		.wait_ms = c->retry_interval_ms * (int64_t)c->retry_back_to_source_limit,
		.seed_wait_ms = c->seed_wait_ms,
		.seed_failed_ms = c->seed_failed_ms,
		.peer_ttl_ms = c->peer_ttl_ms,
		.host_ttl_ms = c->host_ttl_ms,
		.piece_timeout_ms = c->piece_timeout_ms,
		.random_seed = (uint64_t)time(NULL),
	};
}

/* Serves until SIGINT or SIGTERM, which every thread has blocked. */
static int serve(const struct scheduler_config *c, const sigset_t *ends, struct err *e)
{
	const struct state_config sc = state_config_of(c);
	struct service *service = service_new(&sc);
	char listen[80], own_ip[64], name[256] = "localhost";
	const char *const addresses[] = {listen, NULL};
	const struct rpc_method *const services[] = {service_methods, NULL};
	void *const args[] = {service};
	const struct rpc_server_config rc = {
		.listen = addresses, .services = services, .service_args = args};
	const char *ip = c->listen_ip ? c->listen_ip : "::";
	struct manager_link *link = NULL;
	struct rpc_server *server = NULL;
	int sig, r;

	gethostname(name, sizeof(name) - 1);
	net_own_ip(own_ip, sizeof(own_ip), c->ipv6);
	snprintf(listen, sizeof(listen), strchr(ip, ':') ? "[%s]:%u" : "%s:%u", ip, c->port);
	r = rpc_server_new(&rc, &server, e);
	if (r == 0) {
		if (c->manager_addr)
			link = manager_link_new(c, c->advertise_ip ? c->advertise_ip : own_ip,
						c->hostname ? c->hostname : name, service);
		log_info("scheduler serves", "grpc=%s manager=%s", listen,
			 c->manager_addr ? c->manager_addr : "none");
		sigwait(ends, &sig);
		log_info("scheduler stops", "signal=%d", sig);
		manager_link_free(link);
		rpc_server_free(server, 200);
	}
	service_free(service);
	return r;
}

static int run(const struct scheduler_config *c, struct err *e)
{
	sigset_t ends;
	int r;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	timer_start();
	rpc_init();
	r = serve(c, &ends, e);
	rpc_shutdown();
	timer_stop();
	return r;
}

int main(int argc, char **argv)
{
	struct options o = {0};
	const char **rest = mem_array((size_t)argc, sizeof(*rest));
	struct scheduler_config c = {0};
	struct err e = {0};
	enum log_level level = LOG_INFO;
	int r;

	log_open_stderr("scheduler", LOG_AUTO);
	if (cli_parse(&program, argc, argv, &o, rest) > 0)
		cli_usage_error(&program, "no such argument: %s", rest[0]);
	free(rest);
	if (o.log_level && !log_level_parse(o.log_level, &level))
		cli_usage_error(&program, "no such log level: %s", o.log_level);
	if (o.print_reference) {
		config_print_reference(scheduler_config_keys, stdout);
		return EXIT_DONE;
	}
	log_set_level(level);
	r = load(&o, &c, &e);
	if (r < 0 || o.check_config) {
		if (r < 0)
			fprintf(stderr, "scheduler: %s\n", e.text);
		config_release(scheduler_config_keys, &c);
		return r < 0 ? EXIT_CONFIG : EXIT_DONE;
	}
	r = run(&c, &e);
	if (r < 0)
		log_error("scheduler ends", "why=\"%s\"", e.text);
	config_release(scheduler_config_keys, &c);
	return r < 0 ? EXIT_OTHER : EXIT_DONE;
}
