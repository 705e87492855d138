/* main() of the servers. */
#include "base/program.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <sys/resource.h>

#define LOG_FILE_MAX  (1u << 30)
#define LOG_FILES_MAX 6

struct options {
	const char *config, *log_level, *log_dir;
	bool check_config, print_reference;
};

#define AT(field) offsetof(struct options, field)

static const struct cli_option option_table[] = {
	{"config", 'c', CLI_TEXT, AT(config), "FILE", NULL,
	 "Configuration file. Default: the program's own below /etc/dragonfly, which may be "
	 "absent."},
	{"check-config", 0, CLI_FLAG, AT(check_config), NULL, NULL,
	 "Check the configuration file and exit: 0 good, 3 with what is wrong and where."},
	{"print-config-reference", 0, CLI_FLAG, AT(print_reference), NULL, NULL,
	 "Print every key, its type, default and meaning as Markdown and exit."},
	{"log-level", 'l', CLI_TEXT, AT(log_level), "LEVEL", NULL,
	 "error, warn, info (default) or debug."},
	{"log-dir", 0, CLI_TEXT, AT(log_dir), "DIR", NULL,
	 "Write the log to files there, rotated; default: standard error."},
	{0},
};

static int load(const struct program *p, const struct options *o, void *config, struct err *e)
{
	int r = config_load(p->keys, o->config ? o->config : p->config_file, config, e);

	if (r == -ENOENT && !o->config) {
		config_defaults(p->keys, config);
		r = 0;
	}
	return r == 0 && p->check ? err_blame(e, "SK100", p->check(config, e)) : r;
}

static int set_log(const struct program *p, const struct cli *c, const struct options *o,
		   const void *config, struct err *e)
{
	const bool *verbose = (const void *)((const char *)config + p->verbose);
	enum log_level level = *verbose ? LOG_DEBUG : LOG_INFO;

	if (o->log_level && !log_level_parse(o->log_level, &level))
		cli_usage_error(c, "no such log level: %s", o->log_level);
	log_set_level(level);
	return o->log_dir ? log_open_dir(p->name, o->log_dir, LOG_FILE_MAX, LOG_FILES_MAX, e) : 0;
}

/* Connections, and what a daemon has open besides, all want descriptors; a shell and newer
 * container runtimes allow 1,024 unless more are asked for. */
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

static int run(const struct program *p, const void *config, struct err *e)
{
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	signal(SIGPIPE, SIG_IGN);
	raise_descriptor_limit();
	return p->run(config, &ends, e);
}

static int serve(const struct program *p, const struct cli *c, const struct options *o)
{
	void *config cleanup(free_at) = mem_alloc(p->config_size);
	struct err e = {0};
	int r = load(p, o, config, &e), code = EXIT_DONE;

	if (r < 0) {
		fault_tell(p->name, err_fault(&e), e.text);
		code = EXIT_CONFIG;
	} else if (!o->check_config) {
		r = set_log(p, c, o, config, &e);
		if (r == 0)
			r = run(p, config, &e);
		if (r < 0) {
			log_error(err_fault(&e), "the program ends", "why=\"%s\" fix=\"%s\"",
				  e.text, fault_find(err_fault(&e))->fix);
			code = EXIT_OTHER;
		}
	}
	config_release(p->keys, config);
	return code;
}

int program_main(const struct program *p, int argc, char **argv)
{
	char *usage cleanup(free_at) = mem_printf("%s [options]", p->name);
	const char **rest cleanup(free_at) = mem_array((size_t)argc, sizeof(*rest));
	const struct cli c = {
		.program = p->name,
		.summary = p->summary,
		.usage = usage,
		.description = p->description,
		.examples = p->examples,
		.options = option_table,
		.exit_codes = "0 stopped by SIGTERM or SIGINT\n"
			      "1 could not start or had to stop\n"
			      "2 wrong usage\n"
			      "3 the configuration is wrong\n",
	};
	struct options o = {0};

	log_open_stderr(p->name, LOG_AUTO);
	if (cli_parse(&c, argc, argv, &o, rest) > 0)
		cli_usage_error(&c, "no such argument: %s", rest[0]);
	if (o.print_reference) {
		config_print_reference(p->keys, stdout);
		return EXIT_DONE;
	}
	return serve(p, &c, &o);
}
