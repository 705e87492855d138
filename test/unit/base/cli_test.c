/* base/cli and its pages. What exits is run in a child. */
#include "test/unit/unit.h"

#include "base/cli.h"
#include "base/cli_page.h"
#include "base/mem.h"

#include <string.h>
#include <sys/wait.h>

struct args {
	bool json, quiet;
	const char *output;
	struct config_strings headers;
	uint64_t retries, limit;
	int64_t timeout_ms;
};

static const struct cli_option options[] = {
	{"output", 'O', CLI_TEXT, offsetof(struct args, output), "FILE", NULL,
	 "Write to FILE; it's [new] or gone over."},
	{"header", 'H', CLI_TEXTS, offsetof(struct args, headers), NULL, NULL,
	 "A header that goes with the request to the origin, may be given many times over."},
	{"json", 0, CLI_FLAG, offsetof(struct args, json), NULL, "TEST_JSON", "Machine's words."},
	{"quiet", 'q', CLI_FLAG, offsetof(struct args, quiet), NULL, NULL, "No words."},
	{"retries", 'r', CLI_U64, offsetof(struct args, retries), NULL, "TEST_RETRIES",
	 "How often."},
	{"limit", 0, CLI_BYTES, offsetof(struct args, limit), NULL, NULL, "Bytes per second."},
	{"a-rather-long-option-name", 't', CLI_DURATION, offsetof(struct args, timeout_ms), NULL,
	 NULL, "How long."},
	{.name = NULL},
};

static const struct cli cli = {
	.program = "prog",
	.summary = "does a thing",
	.usage = "prog [options] URL",
	.description = "It does a thing. 'Tis said.\n\n.It starts with a dot and has a \\ in it.",
	.examples = "prog -O x http://h/  # fetch it\nprog --json",
	.options = options,
	.exit_codes = "0  done\n2  wrong usage",
};

static int parse(struct args *out, const char **positionals, int argc, ...)
{
	char *argv[16] = {(char *)"prog"};
	va_list ap;

	va_start(ap, argc);
	for (int i = 1; i <= argc; i++)
		argv[i] = va_arg(ap, char *);
	va_end(ap);
	*out = (struct args){0};
	return cli_parse(&cli, argc + 1, argv, out, positionals);
}

static void release(struct args *a)
{
	for (size_t i = 0; i < a->headers.count; i++)
		free(a->headers.items[i]);
	free(a->headers.items);
}

static void every_spelling_is_read(void **state)
{
	const char *positionals[16];
	cleanup(release) struct args a;
	int n;

	(void)state;
	n = parse(&a, positionals, 9, "one", "--output=x=y", "-H", "a: b", "--header", "c: d",
		  "-qr7", "-", "--limit=8MiB");
	assert_int_equal(n, 2);
	assert_string_equal(positionals[0], "one");
	assert_string_equal(positionals[1], "-");
	assert_string_equal(a.output, "x=y");
	assert_int_equal(a.headers.count, 2);
	assert_string_equal(a.headers.items[1], "c: d");
	assert_true(a.quiet);
	assert_int_equal(a.retries, 7);
	assert_int_equal(a.limit, 8 << 20);
}

static void two_dashes_end_the_options(void **state)
{
	const char *positionals[16];
	cleanup(release) struct args a;

	(void)state;
	assert_int_equal(parse(&a, positionals, 4, "-t=5s", "--", "-q", "--"), 2);
	assert_string_equal(positionals[0], "-q");
	assert_string_equal(positionals[1], "--");
	assert_false(a.quiet);
	assert_int_equal(a.timeout_ms, 5000);
}

static void the_command_line_wins_over_the_environment(void **state)
{
	const char *positionals[16];
	cleanup(release) struct args a, b;

	(void)state;
	setenv("TEST_JSON", "true", 1);
	setenv("TEST_RETRIES", "3", 1);
	parse(&a, positionals, 0);
	parse(&b, positionals, 3, "--retries", "4", "--json=false");
	unsetenv("TEST_JSON");
	unsetenv("TEST_RETRIES");
	assert_true(a.json);
	assert_int_equal(a.retries, 3);
	assert_false(b.json);
	assert_int_equal(b.retries, 4);
}

/* Runs the parser on one or two arguments in a child; its words (both streams) to text. */
static int run(const char *first, const char *second, char *text, size_t size)
{
	size_t len = 0;
	int ends[2], status;
	ssize_t n;
	pid_t pid;

	fflush(stdout);
	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (pid == 0) {
		const char *positionals[16];
		struct args a;

		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		parse(&a, positionals, second ? 2 : 1, first, second);
		_exit(99);
	}
	close(ends[1]);
	while ((n = read(ends[0], text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = 0;
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void wrong_usage_is_told(void **state)
{
	static const struct {
		const char *first, *second, *words;
	} cases[] = {
		{"--ouptut", NULL,
		 "prog: unknown option --ouptut; did you mean --output? (SK160)\n"},
		{"--hepl", NULL, "did you mean --help?"},
		{"--xyzzy=1", NULL, "unknown option --xyzzy (SK160)\n"},
		{"-qx", NULL, "unknown option -x"},
		{"--output", NULL, "--output needs a value"},
		{"-O", NULL, "-O needs a value"},
		{"--retries", "many", "--retries: expected a whole number, not \"many\""},
		{"-r-1", NULL, "-r: expected a whole number, not \"-1\""},
		{"--limit=5 apples", NULL, "--limit: expected a size with its unit"},
		{"-t", "5", "-t: expected a time with its unit"},
		{"--json=perhaps", NULL, "--json: expected true or false"},
		{"--completion=csh", NULL, "--completion: expected bash, zsh or fish"},
	};
	char text[4096];

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		assert_int_equal(run(cases[i].first, cases[i].second, text, sizeof(text)),
				 EXIT_USAGE);
		if (!strstr(text, cases[i].words))
			fail_msg("\"%s\" does not say \"%s\"", text, cases[i].words);
		assert_non_null(strstr(text, "Try \"prog --help\"."));
	}
}

static void a_wrong_variable_is_told_by_its_name(void **state)
{
	char text[4096];

	(void)state;
	setenv("TEST_RETRIES", "lots", 1);
	assert_int_equal(run("x", NULL, text, sizeof(text)), EXIT_USAGE);
	unsetenv("TEST_RETRIES");
	assert_non_null(strstr(text, "TEST_RETRIES: expected a whole number"));
}

static void help_and_version_are_shown(void **state)
{
	char text[8192];

	(void)state;
	assert_int_equal(run("--version", NULL, text, sizeof(text)), EXIT_DONE);
	assert_string_equal(text, "prog " SKIMMER_VERSION "\n");
	assert_int_equal(run("-h", NULL, text, sizeof(text)), EXIT_DONE);
	assert_non_null(strstr(text, "Usage: prog [options] URL\n"));
	assert_non_null(strstr(text, "\n  -O, --output=FILE "));
	assert_non_null(strstr(text, "\n      --json "));
	assert_non_null(strstr(text, "[$TEST_JSON]"));
	assert_non_null(strstr(text, "\n  -V, --version "));
	assert_non_null(strstr(text, "\n  2  wrong usage\n"));
	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n");

		assert_in_range(len, 0, 80);
		line += len + 1;
	}
}

/* The exit code of a checker that reads the page that arg prints; skips without the checker. */
static int check_page(const char *checker, const char *arg)
{
	cleanup(free_at) char *look = mem_printf("command -v %s >/dev/null", checker);
	cleanup(free_at) char *command = NULL;
	char path[] = "/tmp/skimmer-cli-XXXXXX", text[32768];
	int fd, status;

	if (system(look) != 0)
		skip();
	assert_int_equal(run(arg, NULL, text, sizeof(text)), EXIT_DONE);
	fd = mkstemp(path);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	command = mem_printf("%s %s >&2", checker, path);
	/* "checker -flag": the first word was looked for, the rest are its flags */
	status = system(command);
	unlink(path);
	return status;
}

static void bash_completion_is_bash(void **state)
{
	(void)state;
	assert_int_equal(check_page("bash -n", "--completion=bash"), 0);
}

static void bash_completes_options(void **state)
{
	char text[32768], path[] = "/tmp/skimmer-cli-XXXXXX";
	cleanup(free_at) char *command = NULL;
	int fd = mkstemp(path);
	FILE *f;

	(void)state;
	assert_int_equal(run("--completion=bash", NULL, text, sizeof(text)), EXIT_DONE);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	command =
		mem_printf("bash -c '. %s; compopt() { :; }; COMP_WORDS=(prog --ou) COMP_CWORD=1; "
			   "_prog; echo ${COMPREPLY[@]}; COMP_WORDS=(prog --completion = z) "
			   "COMP_CWORD=3; _prog; echo ${COMPREPLY[@]}'",
			   path);
	f = popen(command, "r");
	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = 0;
	pclose(f);
	unlink(path);
	assert_string_equal(text, "--output=\nzsh\n");
}

static void zsh_completion_is_zsh(void **state)
{
	(void)state;
	assert_int_equal(check_page("zsh -n", "--completion=zsh"), 0);
}

static void fish_completion_is_fish(void **state)
{
	(void)state;
	assert_int_equal(check_page("fish -n", "--completion=fish"), 0);
}

static void the_manual_page_passes_the_linter(void **state)
{
	(void)state;
	assert_int_equal(check_page("mandoc -Tlint -Wwarning", "--man"), 0);
}

static void the_manual_page_shields_foreign_marks(void **state)
{
	char text[32768];

	(void)state;
	assert_int_equal(run("--man", NULL, text, sizeof(text)), EXIT_DONE);
	assert_non_null(strstr(text, "\n\\&.It starts with a dot and has a \\e in it.\n"));
	assert_non_null(strstr(text, "\n\\fB\\-O\\fR, \\fB\\-\\-output\\fR=\\fIFILE\\fR\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_spelling_is_read),
		cmocka_unit_test(two_dashes_end_the_options),
		cmocka_unit_test(the_command_line_wins_over_the_environment),
		cmocka_unit_test(wrong_usage_is_told),
		cmocka_unit_test(a_wrong_variable_is_told_by_its_name),
		cmocka_unit_test(help_and_version_are_shown),
		cmocka_unit_test(bash_completion_is_bash),
		cmocka_unit_test(bash_completes_options),
		cmocka_unit_test(zsh_completion_is_zsh),
		cmocka_unit_test(fish_completion_is_fish),
		cmocka_unit_test(the_manual_page_passes_the_linter),
		cmocka_unit_test(the_manual_page_shields_foreign_marks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
