/* The manager: clusters, who serves them, people and jobs, over gRPC and REST. */
#include "base/log.h"
#include "base/metrics_door.h"
#include "base/net.h"
#include "base/notify.h"
#include "base/profile_door.h"
#include "base/program.h"
#include "base/timer.h"
#include "control/manager/backup.h"
#include "control/manager/config.h"
#include "control/manager/figures.h"
#include "control/manager/links.h"
#include "control/manager/member.h"
#include "control/manager/rest_server.h"
#include "control/manager/service.h"

#include <curl/curl.h>
#include <string.h>
#include <unistd.h>

static int start_metrics(const struct manager_config *c, struct door **out, struct err *e)
{
	int r;

	if (!c->metrics_enable)
		return 0;
	r = metrics_door_new_at(c->metrics_addr, out, e);
	return r < 0 ? err_wrap(e, "metrics.addr") : 0;
}

/* Serves until SIGINT or SIGTERM, which every thread has blocked. */
static int serve(const struct manager_config *c, struct db *db, const sigset_t *ends, struct err *e)
{
	char listen[80];
	const char *const addresses[] = {listen, NULL};
	const struct rpc_method *const services[] = {service_methods, NULL};
	void *const args[] = {db};
	const struct rpc_server_config rc = {.listen = addresses,
					     .services = services,
					     .service_args = args,
					     .tls = &c->grpc_tls};
	const char *ip = c->grpc_ip ? c->grpc_ip : "::";
	struct rest_server *rest = NULL;
	struct rpc_server *server = NULL;
	struct door *metrics = NULL, *profiles = NULL;
	int sig, r;

	net_join(ip, c->grpc_port, listen, sizeof(listen));
	links_secure(&c->scheduler_tls, &c->peer_tls);
	figures_start();
	r = start_metrics(c, &metrics, e);
	if (r == 0)
		r = profile_door_new_at(c->pprof_port, &profiles, e);
	if (r == 0)
		r = rest_server_new(c, db, &rest, e);
	if (r == 0)
		r = rpc_server_new(&rc, &server, e);
	if (r < 0) {
		door_free(profiles);
		door_free(metrics);
		rest_server_free(rest);
		return r;
	}
	log_info("manager serves", "grpc=%s database=%s", listen, c->database_type);
	notify_ready();
	sigwait(ends, &sig);
	notify_stopping();
	log_info("manager stops", "signal=%d", sig);
	door_free(profiles);
	door_free(metrics);
	rest_server_free(rest);
	rpc_server_free(server, 1000);
	return 0;
}

static void start_tracing(const struct manager_config *c)
{
	char own_ip[64], name[256] = "localhost";
	const char *const attributes[] = {"host.name", name, "host.ip", own_ip, NULL};

	gethostname(name, sizeof(name) - 1);
	net_own_ip(own_ip, sizeof(own_ip), false);
	trace_export_start(&c->tracing, "dragonfly-manager", attributes);
}

static int run(const void *config, const sigset_t *ends, struct err *e)
{
	const struct manager_config *c = config;
	struct db *db = NULL;
	struct db_config database = manager_config_database(c);
	int r = db_connect(&database, &db, e);

	if (r == 0 && !db_is_shared(db))
		r = member_reset_all(db, e);
	if (r == 0) {
		timer_start();
		rpc_init();
		start_tracing(c);
		r = serve(c, db, ends, e);
		trace_export_stop();
		rpc_shutdown();
		timer_stop();
	}
	db_close(db);
	return r;
}

int main(int argc, char **argv)
{
	static const struct program manager = {
		.name = "manager",
		.summary = "keeps the clusters and tells each peer which scheduler is its own",
		.description =
			"Serves manager.v2.Manager over gRPC on port 65003, and the REST API "
			"and the console on port 8080, on an embedded database, PostgreSQL, "
			"MariaDB or MySQL. `manager backup FILE` copies the embedded one.",
		.examples = "manager  # default cluster, database in /var/lib/dragonfly\n"
			    "manager --config manager.yaml --check-config  # look for mistakes\n"
			    "manager backup /backup/manager.db  # copy the database",
		.keys = manager_config_keys,
		.config_file = MANAGER_CONFIG_FILE,
		.config_size = sizeof(struct manager_config),
		.verbose = offsetof(struct manager_config, verbose),
		.check = manager_config_check,
		.run = run,
	};

	if (argc > 1 && strcmp(argv[1], "backup") == 0)
		return backup_main(argc - 1, argv + 1);

	return program_main(&manager, argc, argv);
}
