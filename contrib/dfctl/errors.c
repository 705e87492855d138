/* dfctl errors: what a code means. */
#include "base/fault.h"
#include "base/json.h"
#include "base/mem.h"
#include "contrib/dfctl/command.h"

struct options {
	bool json, reference;
};

#define AT(field) offsetof(struct options, field)

static const struct cli_option table[] = {
	{"json", 0, CLI_FLAG, AT(json), NULL, NULL, "Print as JSON."},
	{"print-reference", 0, CLI_FLAG, AT(reference), NULL, NULL, "Print all as Markdown."},
	{0},
};

const struct cli errors_cli = {
	.program = "dfctl errors",
	.summary = "says what an error code means and what helps",
	.usage = "dfctl errors [options] [CODE ...]",
	.description = "Without a code, all of them, a line each.",
	.examples = "dfctl errors SK110  # cause, effect and fix\n",
	.options = table,
	.exit_codes = "0 done\n2 wrong usage\n4 there is no such code\n",
};

static json_t *json_of(const struct fault *f)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s}", "code", f->code, "name", f->name, "cause",
			 f->cause, "effect", f->effect, "fix", f->fix);
}

static void print_json(const struct fault *only)
{
	json_t *list cleanup(json_decref_at) = json_array();
	char *text cleanup(free_at) = NULL;

	for (const struct fault *f = faults; f->code; f++)
		if (!only || only == f)
			json_array_append_new(list, json_of(f));
	text = json_print(list);
	puts(text);
}

int errors_run(int argc, char **argv)
{
	const char **rest cleanup(free_at) = mem_array((size_t)argc, sizeof(*rest));
	struct options o = {0};
	int count = cli_parse(&errors_cli, argc, argv, &o, rest);

	if (o.reference) {
		faults_print_reference(stdout);
		return EXIT_DONE;
	}
	for (int i = 0; i < count; i++) {
		const struct fault *f = fault_find(rest[i]);

		if (!f)
			return command_fail(EXIT_NOT_FOUND, "there is no code %s", rest[i]);
		if (o.json)
			print_json(f);
		else
			printf("%s: %s\n  cause: %s\n  effect: %s\n  fix: %s\n", f->code, f->name,
			       f->cause, f->effect, f->fix);
	}
	if (count == 0 && o.json)
		print_json(NULL);
	for (const struct fault *f = faults; count == 0 && !o.json && f->code; f++)
		printf("%s  %s\n", f->code, f->name);
	return EXIT_DONE;
}
