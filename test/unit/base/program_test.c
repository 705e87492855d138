/* base/program: what decides the level of the log */
#include "base/program.h"

#include "test/unit/unit.h"

#include "base/config.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct settings {
	bool verbose;
};

static const struct config_key keys[] = {
	PROGRAM_CONFIG_KEYS(settings, verbose),
	{.path = NULL},
};

static enum log_level level_when_run;

static int run(const void *config, const sigset_t *ends, struct err *e)
{
	(void)config, (void)ends, (void)e;
	level_when_run = log_level_now;
	return 0;
}

/* The level at which a program with this configuration serves; option may be NULL. */
static enum log_level level_with(const char *config, const char *option)
{
	static const struct program p = {
		.name = "prog",
		.summary = "does nothing",
		.description = "Nothing.",
		.examples = "prog  # nothing",
		.keys = keys,
		.config_file = "/nonexistent",
		.config_size = sizeof(struct settings),
		.verbose = offsetof(struct settings, verbose),
		.run = run,
	};
	char file[] = "/tmp/skimmer-program-XXXXXX", text[64];
	char *argv[] = {(char *)"prog", (char *)"--config", file, (char *)option, NULL};
	int fd = mkstemp(file);
	ssize_t len = snprintf(text, sizeof(text), "%s\n", config);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, (size_t)len), len);
	close(fd);
	assert_int_equal(program_main(&p, option ? 4 : 3, argv), 0);
	unlink(file);
	return level_when_run;
}

static void usual_is_info(void **state)
{
	(void)state;
	assert_int_equal(level_with("verbose: false", NULL), LOG_INFO);
}

static void verbose_is_debug(void **state)
{
	(void)state;
	assert_int_equal(level_with("verbose: true", NULL), LOG_DEBUG);
}

static void the_option_wins(void **state)
{
	(void)state;
	assert_int_equal(level_with("verbose: true", "--log-level=warn"), LOG_WARN);
	assert_int_equal(level_with("verbose: false", "--log-level=debug"), LOG_DEBUG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usual_is_info),
		cmocka_unit_test(verbose_is_debug),
		cmocka_unit_test(the_option_wins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
