/* dfctl: looks inside a node of Skimmer. */
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/nearest.h"
#include "base/timer.h"
#include "contrib/dfctl/command.h"
#include "proto/rpc.h"

#include <signal.h>
#include <stdarg.h>
#include <string.h>

static const struct cli_option no_options[] = {{0}};

static const struct cli_command command_list[] = {
	{"doctor", &doctor_cli},       {"explain", &explain_cli},
	{"task", &task_cli},	       {"top", &top_cli},
	{"preheat", &preheat_cli},     {"config", &config_show_cli},
	{"log-level", &log_level_cli}, {"bugreport", &bugreport_cli},
	{"errors", &errors_cli},       {0},
};

const struct command commands[] = {
	{"doctor", &doctor_cli, doctor_run},
	{"explain", &explain_cli, explain_run},
	{"task", &task_cli, task_run},
	{"top", &top_cli, top_run},
	{"preheat", &preheat_cli, preheat_run},
	{"config", &config_show_cli, config_show_run},
	{"log-level", &log_level_cli, log_level_run},
	{"bugreport", &bugreport_cli, bugreport_run},
	{"errors", &errors_cli, errors_run},
	{0},
};

static const struct cli program = {
	.program = "dfctl",
	.summary = "says what a node of Skimmer does, and why",
	.usage = "dfctl COMMAND [options]",
	.description = "Each command has its own --help.",
	.examples = "dfctl doctor  # what is wrong with this node\n"
		    "dfctl explain sha256:<64 hex>  # why that layer took so long\n",
	.options = no_options,
	.exit_codes = "0 done\n"
		      "1 another failure; doctor: errors were found\n"
		      "2 wrong usage\n"
		      "3 the configuration is wrong\n"
		      "4 there is no such thing\n"
		      "5 not allowed\n"
		      "6 a server or the network failed\n"
		      "7 timed out\n"
		      "11 no daemon answers\n",
	.commands = command_list,
};

int command_fail(enum cli_exit code, const char *fmt, ...)
{
	char *text cleanup(free_at) = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	fault_tell("dfctl", fault_of_exit((int)code), text);
	return (int)code;
}

void command_texts_release(struct config_strings **texts)
{
	for (size_t i = 0; i < (*texts)->count; i++)
		free((*texts)->items[i]);
	free((*texts)->items);
}

__attribute__((noreturn)) static void unknown(const char *name)
{
	struct nearest near;

	nearest_init(&near, name);
	for (const struct command *c = commands; c->name; c++)
		nearest_offer(&near, c->name, strlen(c->name));
	if (near.word)
		cli_usage_error(&program, "there is no command %s; did you mean %.*s?", name,
				(int)near.len, near.word);
	cli_usage_error(&program, "there is no command %s", name);
}

int main(int argc, char **argv)
{
	const char **rest cleanup(free_at) = mem_array((size_t)argc, sizeof(*rest));
	int code;

	log_open_stderr("dfctl", LOG_AUTO);
	log_set_level(LOG_ERROR);
	if (argc < 2 || argv[1][0] == '-') {
		cli_parse(&program, argc, argv, NULL, rest);
		cli_usage_error(&program, "which command?");
	}
	for (const struct command *c = commands; c->name; c++) {
		if (strcmp(c->name, argv[1]) != 0)
			continue;
		signal(SIGPIPE, SIG_IGN);
		timer_start();
		rpc_init();
		code = c->run(argc - 1, argv + 1);
		rpc_shutdown();
		timer_stop();
		return code;
	}
	unknown(argv[1]);
}
