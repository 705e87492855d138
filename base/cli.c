/* The command line against its table. Values are read by the same code as configuration files. */
#include "base/cli.h"

#include "base/cli_page.h"
#include "base/config_value.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/nearest.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

struct parse {
	const struct cli *cli;
	char **argv;
	int argc, at; /* the argument being looked at */
	void *out;
};

void cli_usage_error(const struct cli *c, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "%s: ", c->program);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (%s)\nTry \"%s --help\".\n", fault_of_exit(EXIT_USAGE), c->program);
	exit(EXIT_USAGE);
}

/* written: what the user called the option: "--name", "-n" or the variable. */
static void set_value(const struct parse *p, const struct cli_option *o, const char *written,
		      const char *text)
{
	static const enum config_type types[] = {
		[CLI_FLAG] = CONFIG_BOOL,     [CLI_TEXT] = CONFIG_STRING,
		[CLI_TEXTS] = CONFIG_STRINGS, [CLI_U64] = CONFIG_U64,
		[CLI_BYTES] = CONFIG_BYTES,   [CLI_DURATION] = CONFIG_DURATION,
	};
	struct config_key key = {.path = o->name, .type = types[o->type], .offset = o->offset};
	void *field = config_field(&key, p->out);
	char want[120];

	if (o->type == CLI_TEXT) {
		*(const char **)field = text;
		return;
	}
	if (o->type == CLI_TEXTS) {
		config_strings_add(field, text);
		return;
	}
	if (config_value_set(&key, field, text))
		return;
	config_value_describe(&key, want, sizeof(want));
	cli_usage_error(p->cli, "%s: expected %s, not \"%s\"", written, want, text);
}

static const struct cli_option *find_name(const struct cli_option *o, const char *name, size_t len)
{
	for (; o->name; o++)
		if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
			return o;
	return NULL;
}

static const struct cli_option *find_letter(const struct cli_option *o, char letter)
{
	for (; o->name; o++)
		if (o->letter == letter)
			return o;
	return NULL;
}

static void finish(void)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		exit(EXIT_OUTPUT);
	exit(EXIT_DONE);
}

/* One of the options that every program has: prints and exits. */
static void obey(const struct parse *p, const struct cli_option *o, const char *value)
{
	if (strcmp(o->name, "help") == 0)
		cli_print_help(p->cli, stdout);
	else if (strcmp(o->name, "version") == 0)
		printf("%s %s\n", p->cli->program, SKIMMER_VERSION);
	else if (strcmp(o->name, "man") == 0)
		cli_print_man(p->cli, stdout);
	else if (!cli_print_completion(p->cli, value, stdout))
		cli_usage_error(p->cli, "--completion: expected bash, zsh or fish, not \"%s\"",
				value);
	finish();
}

/* The value of the option that was just read: what is attached, or the next argument. */
static const char *take_value(struct parse *p, const char *written, const char *attached)
{
	if (attached)
		return attached;
	if (p->at + 1 >= p->argc)
		cli_usage_error(p->cli, "%s needs a value", written);
	return p->argv[++p->at];
}

static void apply(struct parse *p, const struct cli_option *o, bool common, const char *written,
		  const char *attached)
{
	const char *value = o->type == CLI_FLAG ? (attached ? attached : "true")
						: take_value(p, written, attached);

	if (common)
		obey(p, o, value);
	set_value(p, o, written, value);
}

__attribute__((noreturn)) static void unknown_long(const struct parse *p, const char *name,
						   size_t len)
{
	cleanup(free_at) char *wanted = mem_strndup(name, len);
	struct nearest near;

	nearest_init(&near, wanted);
	for (const struct cli_option *o = p->cli->options; o->name; o++)
		nearest_offer(&near, o->name, strlen(o->name));
	for (const struct cli_option *o = cli_common_options; o->name; o++)
		nearest_offer(&near, o->name, strlen(o->name));
	if (near.word)
		cli_usage_error(p->cli, "unknown option --%s; did you mean --%.*s?", wanted,
				(int)near.len, near.word);
	cli_usage_error(p->cli, "unknown option --%s", wanted);
}

static void parse_long(struct parse *p, const char *arg)
{
	size_t len = strcspn(arg, "=");
	const struct cli_option *o = find_name(p->cli->options, arg, len);
	const struct cli_option *common = find_name(cli_common_options, arg, len);
	cleanup(free_at) char *written = mem_printf("--%.*s", (int)len, arg);

	if (!o && !common)
		unknown_long(p, arg, len);
	apply(p, o ? o : common, !o, written, arg[len] == '=' ? arg + len + 1 : NULL);
}

/* "-abc": flags, and at the end maybe an option with its value. */
static void parse_letters(struct parse *p, const char *arg)
{
	for (; *arg; arg++) {
		const struct cli_option *o = find_letter(p->cli->options, *arg);
		const struct cli_option *common = find_letter(cli_common_options, *arg);
		const char written[] = {'-', *arg, 0};
		const char *attached = NULL;

		if (!o && !common)
			cli_usage_error(p->cli, "unknown option -%c", *arg);
		if ((o ? o : common)->type != CLI_FLAG && arg[1])
			attached = arg[1] == '=' ? arg + 2 : arg + 1;
		apply(p, o ? o : common, !o, written, attached);
		if (attached)
			return;
	}
}

static void parse_environment(const struct parse *p)
{
	for (const struct cli_option *o = p->cli->options; o->name; o++) {
		const char *value = o->env ? getenv(o->env) : NULL;

		if (value && *value)
			set_value(p, o, o->env, value);
	}
}

int cli_parse(const struct cli *c, int argc, char **argv, void *out, const char **positionals)
{
	struct parse p = {.cli = c, .argv = argv, .argc = argc, .at = 1, .out = out};
	int count = 0;

	parse_environment(&p);
	for (; p.at < argc; p.at++) {
		const char *arg = argv[p.at];

		if (strcmp(arg, "--") == 0) {
			while (++p.at < argc)
				positionals[count++] = argv[p.at];
			break;
		}
		if (strncmp(arg, "--", 2) == 0)
			parse_long(&p, arg + 2);
		else if (arg[0] == '-' && arg[1])
			parse_letters(&p, arg + 1);
		else
			positionals[count++] = arg;
	}
	return count;
}
