/*
 * dfdaemon: the node. Ties the rooms together: this is the one place that knows them all. Modules
 * are made from the store upwards and freed in the opposite order.
 */
#include "base/cli.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/timer.h"
#include "daemon/daemon.h"
#include "proto/rpc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

struct options {
	const char *config, *log_level, *log_dir;
	bool check_config, print_reference;
};

static const struct cli_option option_table[] = {
	{"config", 'c', CLI_TEXT, offsetof(struct options, config), "FILE", "DFDAEMON_CONFIG",
	 "Configuration file (default " DAEMON_CONFIG_FILE ", which may be absent)."},
	{"check-config", 0, CLI_FLAG, offsetof(struct options, check_config), NULL, NULL,
	 "Check the configuration file and exit: 0 good, 3 with what is wrong and where."},
	{"print-config-reference", 0, CLI_FLAG, offsetof(struct options, print_reference), NULL,
	 NULL, "Print every key, its type, default and meaning as Markdown and exit."},
	{"log-level", 'l', CLI_TEXT, offsetof(struct options, log_level), "LEVEL", "DFDAEMON_LOG",
	 "error, warn, info (default) or debug."},
	{"log-dir", 0, CLI_TEXT, offsetof(struct options, log_dir), "DIR", "DFDAEMON_LOG_DIR",
	 "Write the log to files there, rotated; default: standard error."},
	{0},
};

static const struct cli program = {
	.program = "dfdaemon",
	.summary = "serves blobs and files of a cluster from the nearest peers",
	.usage = "dfdaemon [options]",
	.description =
		"Mounts the blobs at /var/lib/d7y/blobs, serves the registry mirror and proxy on "
		"port "
		"4001, pieces for other peers on 4005 and gRPC on 4000. Needs root for the mount.",
	.examples = "dfdaemon  # with the defaults\n"
		    "dfdaemon --config dfdaemon.yaml --check-config  # look for mistakes\n"
		    "dfdaemon --print-config-reference  # every key there is",
	.options = option_table,
	.exit_codes = "0 stopped by SIGTERM or SIGINT\n"
		      "1 could not start or had to stop\n"
		      "2 wrong usage\n"
		      "3 the configuration is wrong\n",
};

#define LOG_FILE_MAX  (1u << 30)
#define LOG_FILES_MAX 6

/* Tasks, connections and backing files all want descriptors. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warn("descriptor limit stays", "limit=%llu",
			 (unsigned long long)limit.rlim_cur);
}

/* Waits for SIGINT or SIGTERM, or for the mount to be taken away from outside. */
static void wait_for_end(struct daemon *d, const sigset_t *ends)
{
	const struct timespec tick = {.tv_nsec = 500 * 1000 * 1000};
	bool told = false;
	int sig;

	for (;;) {
		sig = sigtimedwait(ends, NULL, &tick);
		if (sig > 0) {
			log_info("dfdaemon stops", "signal=%d", sig);
			return;
		}
		if (!told && daemon_mount_ended(d)) {
			log_warn("the mount was taken away: everything else goes on", "path=%s",
				 daemon_config(d)->mount.path);
			told = true;
		}
	}
}

static int run(const struct daemon_config *c, struct err *e)
{
	struct daemon *d = NULL;
	sigset_t ends;
	int r;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	signal(SIGPIPE, SIG_IGN);
	raise_descriptor_limit();
	timer_start();
	rpc_init();
	r = daemon_start(c, &d, e);
	if (r == 0)
		wait_for_end(d, &ends);
	daemon_stop(d);
	rpc_shutdown();
	timer_stop();
	return r;
}

static int set_log(const struct options *o, struct err *e)
{
	enum log_level level = LOG_INFO;

	if (o->log_level && !log_level_parse(o->log_level, &level))
		cli_usage_error(&program, "no such log level: %s", o->log_level);
	log_set_level(level);
	if (o->log_dir)
		return log_open_dir("dfdaemon", o->log_dir, LOG_FILE_MAX, LOG_FILES_MAX, e);
	return 0;
}

int main(int argc, char **argv)
{
	const char **rest = mem_array((size_t)argc, sizeof(*rest));
	struct options o = {0};
	struct daemon_config c;
	struct err e = {0};
	int r;

	log_open_stderr("dfdaemon", LOG_AUTO);
	if (cli_parse(&program, argc, argv, &o, rest) > 0)
		cli_usage_error(&program, "no such argument: %s", rest[0]);
	free(rest);
	if (o.print_reference) {
		config_print_reference(daemon_config_keys, stdout);
		return EXIT_DONE;
	}
	r = daemon_config_load(o.config ? o.config : DAEMON_CONFIG_FILE, o.config != NULL, &c, &e);
	if (r < 0 || o.check_config) {
		if (r < 0)
			fprintf(stderr, "dfdaemon: %s\n", e.text);
		daemon_config_release(&c);
		return r < 0 ? EXIT_CONFIG : EXIT_DONE;
	}
	r = set_log(&o, &e);
	if (r == 0)
		r = run(&c, &e);
	if (r < 0)
		log_error("dfdaemon ends", "why=\"%s\"", e.text);
	daemon_config_release(&c);
	return r < 0 ? EXIT_OTHER : EXIT_DONE;
}
