/* The manager: clusters and who serves them, over gRPC. */
#include "base/cli.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/manager/config.h"
#include "control/manager/member.h"
#include "control/manager/service.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

struct options {
	const char *config, *log_level;
	bool check_config, print_reference;
};

static const struct cli_option option_table[] = {
	{"config", 'c', CLI_TEXT, offsetof(struct options, config), "FILE", "MANAGER_CONFIG",
	 "Configuration file (default " MANAGER_CONFIG_FILE ", which may be absent)."},
	{"check-config", 0, CLI_FLAG, offsetof(struct options, check_config), NULL, NULL,
	 "Check the configuration file and exit."},
	{"print-config-reference", 0, CLI_FLAG, offsetof(struct options, print_reference), NULL,
	 NULL, "Print every key, its type, default and meaning as Markdown and exit."},
	{"log-level", 'l', CLI_TEXT, offsetof(struct options, log_level), "LEVEL", "MANAGER_LOG",
	 "error, warn, info (default) or debug."},
	{0},
};

static const struct cli program = {
	.program = "manager",
	.summary = "keeps the clusters and tells each peer which scheduler is its own",
	.usage = "manager [options]",
	.description =
		"Serves manager.v2.Manager over gRPC on port 65003, on an embedded database.",
	.examples = "manager  # default cluster, database in /var/lib/dragonfly\n"
		    "manager --config manager.yaml --check-config  # look for mistakes",
	.exit_codes = "0 stopped by SIGTERM or SIGINT\n"
		      "1 could not start or had to stop\n"
		      "2 wrong usage\n"
		      "3 the configuration is wrong\n",
	.options = option_table,
};

static int load(const struct options *o, struct manager_config *c, struct err *e)
{
	int r = config_load(manager_config_keys, o->config ? o->config : MANAGER_CONFIG_FILE, c, e);

	if (r == -ENOENT && !o->config) {
		config_defaults(manager_config_keys, c);
		r = 0;
	}
	return r;
}

/* Serves until SIGINT or SIGTERM, which every thread has blocked. */
static int serve(const struct manager_config *c, struct db *db, const sigset_t *ends, struct err *e)
{
	char listen[80];
	const char *const addresses[] = {listen, NULL};
	const struct rpc_method *const services[] = {service_methods, NULL};
	void *const args[] = {db};
	const struct rpc_server_config rc = {
		.listen = addresses, .services = services, .service_args = args};
	const char *ip = c->grpc_ip ? c->grpc_ip : "::";
	struct rpc_server *server = NULL;
	int sig, r;

	snprintf(listen, sizeof(listen), strchr(ip, ':') ? "[%s]:%u" : "%s:%u", ip, c->grpc_port);
	r = rpc_server_new(&rc, &server, e);
	if (r < 0)
		return r;
	log_info("manager serves", "grpc=%s database=%s", listen, c->database_path);
	sigwait(ends, &sig);
	log_info("manager stops", "signal=%d", sig);
	rpc_server_free(server, 1000);
	return 0;
}

static int run(const struct manager_config *c, struct err *e)
{
	struct db *db = NULL;
	sigset_t ends;
	int r;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	r = db_open(c->database_path, &db, e);
	if (r == 0)
		r = member_reset_all(db, e);
	if (r == 0) {
		rpc_init();
		r = serve(c, db, &ends, e);
		rpc_shutdown();
	}
	db_close(db);
	return r;
}

int main(int argc, char **argv)
{
	struct options o = {0};
	const char **rest = mem_array((size_t)argc, sizeof(*rest));
	struct manager_config c = {0};
	struct err e = {0};
	enum log_level level = LOG_INFO;
	int r;

	log_open_stderr("manager", LOG_AUTO);
	if (cli_parse(&program, argc, argv, &o, rest) > 0)
		cli_usage_error(&program, "no such argument: %s", rest[0]);
	free(rest);
	if (o.log_level && !log_level_parse(o.log_level, &level))
		cli_usage_error(&program, "no such log level: %s", o.log_level);
	if (o.print_reference) {
		config_print_reference(manager_config_keys, stdout);
		return EXIT_DONE;
	}
	log_set_level(level);
	r = load(&o, &c, &e);
	if (r < 0 || o.check_config) {
		if (r < 0)
			fprintf(stderr, "manager: %s\n", e.text);
		config_release(manager_config_keys, &c);
		return r < 0 ? EXIT_CONFIG : EXIT_DONE;
	}
	r = run(&c, &e);
	if (r < 0)
		log_error("manager ends", "why=\"%s\"", e.text);
	config_release(manager_config_keys, &c);
	return r < 0 ? EXIT_OTHER : EXIT_DONE;
}
