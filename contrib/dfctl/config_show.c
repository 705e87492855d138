/* dfctl config show: what dfdaemon's configuration comes to, and where each value is from. */
#include "base/json.h"
#include "base/mem.h"
#include "base/redact.h"
#include "contrib/dfctl/command.h"
#include "contrib/dfctl/settings.h"

#include <string.h>

struct options {
	const char *config;
	bool origin, given, json;
};

#define AT(field) offsetof(struct options, field)

static const struct cli_option table[] = {
	{"config", 'c', CLI_TEXT, AT(config), "FILE", "DFDAEMON_CONFIG",
	 "dfdaemon's configuration. Default: " DAEMON_CONFIG_FILE ", which may be absent."},
	{"origin", 0, CLI_FLAG, AT(origin), NULL, NULL,
	 "Show behind each value where it is from: file:line, or default."},
	{"given", 0, CLI_FLAG, AT(given), NULL, NULL, "Only what the file gives."},
	{"json", 0, CLI_FLAG, AT(json), NULL, NULL, "Print as JSON."},
	{0},
};

const struct cli config_show_cli = {
	.program = "dfctl config",
	.summary = "shows dfdaemon's configuration, and where each value is from",
	.usage = "dfctl config show [options]",
	.description = "The values in force after defaults and file. Secrets are not shown.",
	.examples = "dfctl config show --origin  # which value comes from where\n"
		    "dfctl config show --given  # only what was set\n",
	.options = table,
	.exit_codes = "0 done\n2 wrong usage\n3 the configuration is wrong, and where\n",
};

struct show {
	const struct options *options;
	const struct settings *settings;
	json_t *list;
};

static bool is_secret(const char *path)
{
	const char *dot = strrchr(path, '.');
	const char *word = dot ? dot + 1 : path;

	return redact_is_secret_key(word, strlen(word));
}

static void show_one(const char *path, const struct config_key *key, const char *text, void *arg)
{
	struct show *s = arg;
	char *origin cleanup(free_at) = settings_origin(s->settings, path);
	struct buf value cleanup(buf_release) = {0};

	if (s->options->given && !settings_gives(s->settings, path))
		return;
	/* Headers and their like: their values are somebody's, and maybe secrets. */
	if (*text && (is_secret(path) || (key->type == CONFIG_MAP && strcmp(text, "{}") != 0)))
		buf_puts(&value, REDACTED);
	else
		redact_append(&value, text, strlen(text));
	if (s->list)
		json_array_append_new(s->list,
				      json_pack("{s:s, s:s, s:s}", "key", path, "value",
						value.data ? value.data : "", "origin", origin));
	else if (s->options->origin)
		printf("%-52s %-28s # %s\n", path, value.data ? value.data : "", origin);
	else
		printf("%s: %s\n", path, value.data ? value.data : "");
}

int config_show_run(int argc, char **argv)
{
	const char **rest cleanup(free_at) = mem_array((size_t)argc, sizeof(*rest));
	struct options o = {0};
	struct settings settings;
	struct show s = {.options = &o, .settings = &settings};
	struct err e = {0};
	int count = cli_parse(&config_show_cli, argc, argv, &o, rest), r;

	if (count != 1 || strcmp(rest[0], "show") != 0)
		cli_usage_error(&config_show_cli, "what to do with it: show");
	r = settings_load(o.config, &settings, &e);
	if (o.json)
		s.list = json_array();
	if (r == 0)
		config_each(daemon_config_keys, &settings.config, show_one, &s);
	if (r == 0 && o.json) {
		char *text cleanup(free_at) = json_print(s.list);

		puts(text);
	}
	json_decref(s.list);
	settings_release(&settings);
	return r < 0 ? command_fail(EXIT_CONFIG, "%s", e.text) : EXIT_DONE;
}
