/* dfctl doctor: what is wrong with this node, and what helps. */
#include "base/json.h"
#include "base/mem.h"
#include "contrib/dfctl/command.h"
#include "contrib/dfctl/look.h"

#include <errno.h>

struct options {
	const char *config, *runtime_config;
	struct config_strings registries;
	int64_t timeout_ms;
	bool json, quiet;
};

#define AT(field) offsetof(struct options, field)

static const struct cli_option table[] = {
	{"config", 'c', CLI_TEXT, AT(config), "FILE", "DFDAEMON_CONFIG",
	 "dfdaemon's configuration. Default: " DAEMON_CONFIG_FILE ", which may be absent."},
	{"runtime-config", 0, CLI_TEXT, AT(runtime_config), "FILE", NULL,
	 "containerd's configuration. Default: " CONTAINERD_CONFIG "."},
	{"registry", 'r', CLI_TEXTS, AT(registries), "URL", NULL,
	 "A registry to look at besides those of the configuration; may be given again."},
	{"timeout", 't', CLI_DURATION, AT(timeout_ms), "TIME", NULL,
	 "For each question to a server. Default 3s."},
	{"quiet", 'q', CLI_FLAG, AT(quiet), NULL, NULL, "Show only what is wrong."},
	{"json", 0, CLI_FLAG, AT(json), NULL, NULL, "Print the findings as JSON."},
	{0},
};

const struct cli doctor_cli = {
	.program = "dfctl doctor",
	.summary = "finds what is wrong with this node, and says what helps",
	.usage = "dfctl doctor [options]",
	.description =
		"Looks at dfdaemon's configuration, the daemon, its ports, disk, FUSE, lazy "
		"layers, clock, "
		"proxy variables, schedulers, manager, registries and whether containerd really "
		"uses the mirror. Changes nothing. Each finding has a code "
		"(docs/reference/errors.md), what it does to pulls, and the fix. As root it sees "
		"who holds a port.",
	.examples = "dfctl doctor  # everything, errors first\n"
		    "dfctl doctor --quiet  # nothing, when all is well\n"
		    "dfctl doctor --json | jq '.findings[] | select(.level==\"error\") | .fix'  # "
		    "fixes\n",
	.options = table,
	.exit_codes = "0 nothing is wrong, or warnings only\n"
		      "1 errors were found\n"
		      "2 wrong usage\n"
		      "3 the configuration is wrong (SK100)\n",
};

static void look_everywhere(struct look *l)
{
	look_daemon(l);
	look_ports(l);
	look_disk(l);
	look_fuse(l);
	look_trees(l);
	look_environment(l);
	look_clock_kept(l);
	look_manager(l);
	look_schedulers(l);
	look_registries(l);
	look_runtime(l);
}

static void print(const struct options *o, const struct findings *fs)
{
	unsigned errors = findings_count(fs, FINDING_ERROR);
	unsigned warnings = findings_count(fs, FINDING_WARNING);

	if (o->json) {
		json_t *all cleanup(json_decref_at) =
			json_pack("{s:i, s:i, s:o}", "errors", errors, "warnings", warnings,
				  "findings", findings_json(fs));
		char *text cleanup(free_at) = json_print(all);

		puts(text);
		return;
	}
	findings_print(fs, !o->quiet, stdout);
	if (!o->quiet)
		printf("%u error%s, %u warning%s\n", errors, errors == 1 ? "" : "s", warnings,
		       warnings == 1 ? "" : "s");
}

int doctor_run(int argc, char **argv)
{
	const char **rest cleanup(free_at) = mem_array((size_t)argc, sizeof(*rest));
	struct options o = {.runtime_config = CONTAINERD_CONFIG, .timeout_ms = 3000};
	struct config_strings *texts cleanup(command_texts_release) = &o.registries;
	struct findings fs cleanup(findings_release) = {0};
	struct look l = {.out = &fs};
	struct err e = {0};
	int r;

	if (cli_parse(&doctor_cli, argc, argv, &o, rest) > 0)
		cli_usage_error(&doctor_cli, "no such argument: %s", rest[0]);
	l.runtime_config = o.runtime_config;
	l.registries = texts;
	l.timeout_ms = o.timeout_ms;
	r = settings_load(o.config, &l.settings, &e);
	if (r < 0)
		findings_add(&fs, FINDING_ERROR, "config", "SK100", mem_strdup(e.text), NULL);
	else
		findings_good(&fs, "config", "%s",
			      l.settings.file ? l.settings.file : "no file: all defaults");
	if (r == 0)
		look_everywhere(&l);
	print(&o, &fs);
	settings_release(&l.settings);
	if (r < 0)
		return EXIT_CONFIG;
	return findings_count(&fs, FINDING_ERROR) ? EXIT_OTHER : EXIT_DONE;
}
