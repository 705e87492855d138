/* base/log: what comes out is one line, valid, bounded, and keeps no secret. */
#include "test/unit/unit.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/trace.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

static char dir[64];

static int make_dir(void **state)
{
	struct err e;

	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/skimmer-log-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	log_set_level(LOG_DEBUG);
	return log_open_dir("prog", dir, 0, 0, &e);
}

static int remove_dir(void **state)
{
	struct dirent *entry;
	DIR *d = opendir(dir);

	(void)state;
	log_open_stderr("prog", LOG_AUTO);
	while ((entry = readdir(d)) != NULL)
		unlinkat(dirfd(d), entry->d_name, 0);
	closedir(d);
	return rmdir(dir);
}

static char *read_file(const char *name)
{
	cleanup(free_at) char *path = mem_printf("%s/%s", dir, name);
	cleanup(fclose_at) FILE *f = fopen(path, "r");
	char *text = mem_alloc(1 << 20);

	assert_non_null(f);
	assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
	return text;
}

/* The only line of the log, as JSON. */
static json_t *only_line(void)
{
	cleanup(free_at) char *text = read_file("prog.log");
	json_error_t why;
	json_t *j;

	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	j = json_loads(text, JSON_REJECT_DUPLICATES, &why);
	assert_non_null(j);
	return j;
}

static void assert_member(const json_t *j, const char *key, const char *want)
{
	const char *got = json_string_value(json_object_get(j, key));

	assert_non_null(got);
	assert_string_equal(got, want);
}

static void keys_become_members(void **state)
{
	json_t *j;

	(void)state;
	log_warn("peer refused piece", "task=%s piece=%u why=\"%s\" at=%s:%d share=%.2f part=%.*s",
		 "abc", 12u, "no such thing", "host", 80, 0.5, 2, "xyz");
	j = only_line();
	assert_member(j, "level", "warn");
	assert_member(j, "program", "prog");
	assert_member(j, "msg", "peer refused piece");
	assert_member(j, "task", "abc");
	assert_int_equal(json_integer_value(json_object_get(j, "piece")), 12);
	assert_member(j, "why", "no such thing");
	assert_member(j, "at", "host:80");
	assert_member(j, "part", "xy");
	assert_int_equal(strlen(json_string_value(json_object_get(j, "time"))), 24);
	json_decref(j);
}

static void every_conversion_is_printed(void **state)
{
	const char *volatile nothing = NULL;
	json_t *j;

	(void)state;
	errno = ENOENT;
	log_info("numbers",
		 "d=%d ld=%ld lld=%lld u=%u lu=%lu zu=%zu jd=%jd hx=%#x c=%c p=%d%% w=%*d null=%s "
		 "f=%.1f m=%m",
		 -1, -2L, -3LL, 4u, 5UL, (size_t)6, (intmax_t)-7, 255u, 'c', 50, 4, 9, nothing,
		 2.5);
	j = only_line();
	assert_int_equal(json_integer_value(json_object_get(j, "d")), -1);
	assert_int_equal(json_integer_value(json_object_get(j, "ld")), -2);
	assert_int_equal(json_integer_value(json_object_get(j, "lld")), -3);
	assert_int_equal(json_integer_value(json_object_get(j, "u")), 4);
	assert_int_equal(json_integer_value(json_object_get(j, "lu")), 5);
	assert_int_equal(json_integer_value(json_object_get(j, "zu")), 6);
	assert_int_equal(json_integer_value(json_object_get(j, "jd")), -7);
	assert_member(j, "hx", "0xff");
	assert_member(j, "c", "c");
	assert_member(j, "p", "50%");
	assert_member(j, "null", "(null)");
	assert_member(j, "f", "2.5");
	assert_member(j, "m", "No such file or directory");
	json_decref(j);
}

static void foreign_text_cannot_forge_keys_or_lines(void **state)
{
	const char *evil =
		"a\" level=error x=\"\n{\"level\":\"error\"}\r\033[31m\xff\xc2\x9b\x7f=\\";
	json_t *j;

	(void)state;
	log_info("seen", "name=%s why=\"%s\" last=1", evil, evil);
	j = only_line();
	assert_member(j, "level", "info");
	assert_null(json_object_get(j, "x"));
	assert_member(j, "last", "1");
	assert_member(
		j, "why",
		"a\" level=error x=\"\n{\"level\":\"error\"}\r\033[31m\xef\xbf\xbd\xc2\x9b\x7f=\\");
	json_decref(j);
}

/* Every line of noise is JSON, and what was UTF-8 comes back as it was. */
static void any_bytes_make_valid_lines(void **state)
{
	cleanup(free_at) char *text = NULL;
	unsigned random = 11;

	(void)state;
	for (int i = 0; i < 500; i++) {
		char noise[64];

		for (size_t k = 0; k < sizeof(noise) - 1; k++) {
			random = random * 1103515245u + 12345u;
			noise[k] = (char)(random >> 16);
		}
		noise[sizeof(noise) - 1] = 0;
		log_info("noise", "v=\"%s\" utf8=%s", noise,
			 "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
	}
	text = read_file("prog.log");
	for (char *line = text, *end; *line; line = end + 1) {
		json_error_t why;
		json_t *j;

		end = strchr(line, '\n');
		assert_non_null(end);
		j = json_loadb(line, (size_t)(end - line), JSON_REJECT_DUPLICATES, &why);
		assert_non_null(j);
		assert_member(j, "utf8", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
		json_decref(j);
	}
}

static void *log_many(void *arg)
{
	for (int i = 0; i < 500; i++)
		log_info("from a thread", "name=%s no=%d", (const char *)arg, i);
	return NULL;
}

static void lines_of_many_threads_do_not_mix(void **state)
{
	cleanup(free_at) char *text = NULL;
	pthread_t threads[4];
	int lines = 0;

	(void)state;
	for (int i = 0; i < 4; i++)
		thread_start(&threads[i], "log", log_many, (void *)"x");
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	text = read_file("prog.log");
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), lines++) {
		json_t *j = json_loads(line, 0, NULL);

		assert_non_null(j);
		json_decref(j);
	}
	assert_int_equal(lines, 2000);
}

static void secrets_do_not_reach_the_file(void **state)
{
	cleanup(free_at) char *text = NULL;

	(void)state;
	log_info("keys", "authorization=%s token=%s password=\"%s\" cookie=%s Set-Cookie=%s ok=1",
		 "PLANTED", "PLANTED", "PLANTED x", "PLANTED", "PLANTED");
	log_info("text", "why=\"%s\"", "sent Authorization: Bearer PLANTED");
	log_info("text", "why=\"%s\"", "got Basic PLANTED, and bearer PLANTED");
	log_info("text", "url=%s",
		 "https://me:PLANTED@h/p?a=b&token=PLANTED&X-Amz-Signature=PLANTED");
	text = read_file("prog.log");
	assert_null(strstr(text, "PLANTED"));
	assert_non_null(strstr(text, "[redacted]"));
	assert_non_null(strstr(text, "https://[redacted]@h/p?a=b&token=[redacted]&"));
}

static void long_values_are_cut_and_the_line_stays_whole(void **state)
{
	cleanup(free_at) char *text = mem_alloc(100001);
	json_t *j;

	(void)state;
	memset(text, '"', 100000);
	log_info("long", "a=%s b=%s c=%s d=%s number=%d", text, text, text, text, 5);
	j = only_line();
	assert_true(json_is_true(json_object_get(j, "cut")));
	json_decref(j);
}

static void a_level_that_is_off_writes_nothing(void **state)
{
	enum log_level level;
	json_t *j;

	(void)state;
	assert_true(log_level_parse("error", &level));
	assert_false(log_level_parse("loud", &level));
	log_set_level(level);
	log_info("not seen", NULL);
	log_error("SK156", "seen", NULL);
	j = only_line();
	assert_member(j, "msg", "seen");
	assert_member(j, "code", "SK156");
	json_decref(j);
}

static void files_rotate_and_the_oldest_goes(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(log_open_dir("rot", dir, 1000, 3, &e), 0);
	for (int i = 0; i < 100; i++)
		log_info("line", "no=%d", i);
	for (int i = 0; i < 3; i++) {
		cleanup(free_at) char *name =
			i ? mem_printf("rot.log.%d", i) : mem_strdup("rot.log");
		cleanup(free_at) char *text = read_file(name);

		assert_in_range(strlen(text), 1, 1000);
		if (i == 0)
			assert_non_null(strstr(text, "\"no\":99}"));
	}
	cleanup(free_at) char *gone = mem_printf("%s/rot.log.3", dir);
	assert_int_equal(access(gone, F_OK), -1);
}

static void a_directory_that_cannot_be_made_is_an_error(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(log_open_dir("prog", "/dev/null/x", 0, 0, &e), -ENOTDIR);
	assert_int_equal(e.code, ENOTDIR);
}

static const char parent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

static void a_line_within_a_trace_names_it(void **state)
{
	struct trace_context of;
	json_t *j;

	(void)state;
	assert_true(trace_context_parse(parent, &of));
	trace_start(0);
	{
		trace_within(&of);
		log_info("task done", "task=%s", "abc");
	}
	trace_stop();
	j = only_line();
	assert_member(j, "task", "abc");
	assert_member(j, "trace_id", "0af7651916cd43dd8448eb211c80319c");
	json_decref(j);
}

static void a_line_outside_of_a_trace_names_none(void **state)
{
	json_t *j;

	(void)state;
	trace_start(0);
	log_info("task done", "task=%s", "abc");
	trace_stop();
	j = only_line();
	assert_null(json_object_get(j, "trace_id"));
	json_decref(j);
}

static void a_terminal_gets_logfmt(void **state)
{
	char text[4096] = "";
	int ends[2], saved;
	ssize_t n;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	saved = dup(STDERR_FILENO);
	dup2(ends[1], STDERR_FILENO);
	log_open_stderr("prog", LOG_LOGFMT);
	log_info("some words", "a=%s b=\"%s\" c=\"%s\" d=%d", "x", "two words", "line\nbreak", 3);
	n = read(ends[0], text, sizeof(text) - 1);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[0]);
	close(ends[1]);
	assert_true(n > 0);
	assert_non_null(strstr(text, "Z level=info msg=\"some words\" a=x b=\"two words\" "
				     "c=\"line\\nbreak\" d=3\n"));
}

#define log_test(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		log_test(keys_become_members),
		log_test(every_conversion_is_printed),
		log_test(foreign_text_cannot_forge_keys_or_lines),
		log_test(any_bytes_make_valid_lines),
		log_test(lines_of_many_threads_do_not_mix),
		log_test(secrets_do_not_reach_the_file),
		log_test(long_values_are_cut_and_the_line_stays_whole),
		log_test(a_level_that_is_off_writes_nothing),
		log_test(files_rotate_and_the_oldest_goes),
		log_test(a_directory_that_cannot_be_made_is_an_error),
		log_test(a_line_within_a_trace_names_it),
		log_test(a_line_outside_of_a_trace_names_none),
		log_test(a_terminal_gets_logfmt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
