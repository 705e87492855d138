/* base/config: what is read, and how what is wrong is told. */
#include "test/unit/unit.h"

#include "base/config.h"
#include "base/config_value.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

struct rule {
	char *regex;
	bool use_tls;
	struct config_strings params;
	struct config_list inner;
};

struct inner {
	uint64_t n;
};

struct program {
	struct {
		char *dir;
		bool keep;
		uint16_t port;
	} storage;
	uint64_t count, size;
	int64_t interval_ms;
	char *protocol, *ip;
	struct config_strings addrs;
	struct config_pairs headers;
	struct config_list rules;
};

static const struct config_key inner_keys[] = {
	{.path = "n", .type = CONFIG_U64, .offset = offsetof(struct inner, n), .fallback = "7"},
	{.path = NULL},
};

static const struct config_key rule_keys[] = {
	{.path = "regex",
	 .type = CONFIG_STRING,
	 .offset = offsetof(struct rule, regex),
	 .fallback = "blobs",
	 .aliases = "regx"},
	{.path = "useTLS", .type = CONFIG_BOOL, .offset = offsetof(struct rule, use_tls)},
	{.path = "params", .type = CONFIG_STRINGS, .offset = offsetof(struct rule, params)},
	{.path = "deep.inner",
	 .type = CONFIG_LIST,
	 .offset = offsetof(struct rule, inner),
	 .item_keys = inner_keys,
	 .item_size = sizeof(struct inner)},
	{.path = NULL},
};

#define AT(field) offsetof(struct program, field)

static const struct config_key keys[] = {
	{.path = "storage.dir",
	 .type = CONFIG_STRING,
	 .offset = AT(storage.dir),
	 .fallback = "/var/lib/x",
	 .help = "Where | things are."},
	{.path = "storage.keep",
	 .type = CONFIG_BOOL,
	 .offset = AT(storage.keep),
	 .fallback = "true",
	 .help = "Keep."},
	{.path = "storage.server.port",
	 .type = CONFIG_PORT,
	 .offset = AT(storage.port),
	 .fallback = "4005",
	 .help = "Port.",
	 .aliases = "upload.tcpListen.port up.port"},
	{.path = "count",
	 .type = CONFIG_U64,
	 .offset = AT(count),
	 .fallback = "8",
	 .min = 1,
	 .max = 64},
	{.path = "size",
	 .type = CONFIG_BYTES,
	 .offset = AT(size),
	 .fallback = "8MiB",
	 .max = 1 << 30},
	{.path = "interval",
	 .type = CONFIG_DURATION,
	 .offset = AT(interval_ms),
	 .fallback = "5m",
	 .min = 1000},
	{.path = "protocol", .type = CONFIG_ENUM, .offset = AT(protocol), .words = "tcp|quic"},
	{.path = "ip", .type = CONFIG_IP, .offset = AT(ip)},
	{.path = "addrs", .type = CONFIG_STRINGS, .offset = AT(addrs), .fallback = "a:1"},
	{.path = "headers", .type = CONFIG_MAP, .offset = AT(headers)},
	{.path = "rules",
	 .type = CONFIG_LIST,
	 .offset = AT(rules),
	 .item_keys = rule_keys,
	 .item_size = sizeof(struct rule)},
	{.path = "old.thing", .type = CONFIG_IGNORED},
	{.path = NULL},
};

static void release(struct program *p)
{
	config_release(keys, p);
}

static int parse(const char *text, struct program *out, struct err *e)
{
	memset(out, 0, sizeof(*out));
	return config_parse(keys, "f.yaml", text, strlen(text), out, e);
}

/* text is refused with these words. */
static void assert_refused(const char *text, const char *words)
{
	cleanup(release) struct program p;
	struct err e;

	assert_int_equal(parse(text, &p, &e), -EINVAL);
	if (!strstr(e.text, words))
		fail_msg("\"%s\" does not say \"%s\"", e.text, words);
}

static void defaults_fill_what_the_file_leaves(void **state)
{
	static const char *const empty[] = {
		"",	 "\n",	       "# only words\n",
		"---\n", "storage:\n", "storage:\n  dir:\n  keep: ~\ncount: null\n"};

	(void)state;
	for (size_t i = 0; i < array_len(empty); i++) {
		cleanup(release) struct program p;
		struct err e;

		assert_int_equal(parse(empty[i], &p, &e), 0);
		assert_string_equal(p.storage.dir, "/var/lib/x");
		assert_true(p.storage.keep);
		assert_int_equal(p.storage.port, 4005);
		assert_int_equal(p.count, 8);
		assert_int_equal(p.size, 8 << 20);
		assert_int_equal(p.interval_ms, 300000);
		assert_null(p.protocol);
		assert_int_equal(p.addrs.count, 1);
		assert_int_equal(p.rules.count, 0);
	}
}

static void every_type_is_read(void **state)
{
	static const char text[] = "storage:\n"
				   "  dir: /data\n"
				   "  keep: no\n"
				   "  server: {port: 65535}\n"
				   "count: 64\n"
				   "size: 1GiB\n"
				   "interval: 1h30m\n"
				   "protocol: quic\n"
				   "ip: fd00::1\n"
				   "addrs: [x:1, \"y:2\", z:3]\n"
				   "headers:\n"
				   "  X-A: 1\n"
				   "  X-B: 'b c'\n";
	cleanup(release) struct program p;
	struct err e;

	(void)state;
	assert_int_equal(parse(text, &p, &e), 0);
	assert_string_equal(p.storage.dir, "/data");
	assert_false(p.storage.keep);
	assert_int_equal(p.storage.port, 65535);
	assert_int_equal(p.count, 64);
	assert_int_equal(p.size, 1 << 30);
	assert_int_equal(p.interval_ms, 5400000);
	assert_string_equal(p.protocol, "quic");
	assert_string_equal(p.ip, "fd00::1");
	assert_int_equal(p.addrs.count, 3);
	assert_string_equal(p.addrs.items[2], "z:3");
	assert_int_equal(p.headers.count, 2);
	assert_string_equal(p.headers.items[1].name, "X-B");
	assert_string_equal(p.headers.items[1].value, "b c");
}

static void items_have_their_own_defaults(void **state)
{
	static const char text[] = "rules:\n"
				   "- regex: one\n"
				   "  useTLS: true\n"
				   "  params: [a, b]\n"
				   "- {}\n"
				   "- regx: three\n"
				   "  params: single\n"
				   "  deep:\n"
				   "    inner: [{n: 1}, {}]\n";
	cleanup(release) struct program p;
	const struct inner *inner;
	const struct rule *r;
	struct err e;

	(void)state;
	assert_int_equal(parse(text, &p, &e), 0);
	assert_int_equal(p.rules.count, 3);
	r = p.rules.items;
	assert_string_equal(r[0].regex, "one");
	assert_true(r[0].use_tls);
	assert_int_equal(r[0].params.count, 2);
	assert_string_equal(r[1].regex, "blobs");
	assert_string_equal(r[2].regex, "three");
	assert_string_equal(r[2].params.items[0], "single");
	inner = r[2].inner.items;
	assert_int_equal(r[2].inner.count, 2);
	assert_int_equal(inner[0].n, 1);
	assert_int_equal(inner[1].n, 7);
}

static void one_text_is_a_list_of_one(void **state)
{
	cleanup(release) struct program p;
	struct err e;

	(void)state;
	assert_int_equal(parse("addrs: only:1\nup: {port: 9}\nip: \"\"\n", &p, &e), 0);
	assert_int_equal(p.addrs.count, 1);
	assert_string_equal(p.addrs.items[0], "only:1");
	assert_int_equal(p.storage.port, 9);
	assert_null(p.ip);
}

static void unknown_keys_name_the_nearest(void **state)
{
	(void)state;
	assert_refused("storage:\n  keep: true\n  dri: /x\n",
		       "f.yaml:3:3: unknown key \"storage.dri\"; did you mean \"storage.dir\"?");
	assert_refused("stoarge:\n  dir: /x\n",
		       "f.yaml:1:1: unknown key \"stoarge\"; did you mean \"storage\"?");
	assert_refused("stoarge.dir: /x\n", "did you mean \"storage.dir\"?");
	assert_refused("Count: 1\n", "did you mean \"count\"?");
	assert_refused("upload: {tcpListen: {prot: 1}}\n",
		       "did you mean \"upload.tcpListen.port\"?");
	assert_refused("rules:\n- {}\n- useTls: true\n",
		       "f.yaml:3:3: unknown key \"rules[1].useTls\"; did you mean "
		       "\"rules[1].useTLS\"?");
	assert_refused("completelyDifferent: 1\n", "unknown key \"completelyDifferent\"");
}

static void wrong_values_say_what_is_expected(void **state)
{
	(void)state;
	assert_refused("storage: {keep: maybe}\n",
		       "f.yaml:1:17: storage.keep: expected true or false, found \"maybe\"");
	assert_refused("count: 65\n", "expected a whole number, from 1 to 64, found \"65\"");
	assert_refused("count: 0\n", "expected a whole number");
	assert_refused("count: -1\n", "expected a whole number");
	assert_refused("count: 99999999999999999999\n", "expected a whole number");
	assert_refused("size: 2GiB\n", "at most 1.0 GiB, found \"2GiB\"");
	assert_refused("size: 8 apples\n", "expected a size with its unit, e.g. 8MiB");
	assert_refused("interval: 60\n", "expected a time with its unit, e.g. 500ms, 30s or 5m");
	assert_refused("interval: 1ms\n", "at least 1.00 s");
	assert_refused("storage: {server: {port: 65536}}\n", "expected a port");
	assert_refused("protocol: tpc\n",
		       "expected one of tcp quic, found \"tpc\"; did you mean \"tcp\"?");
	assert_refused("ip: 1.2.3\n", "expected an IP address");
	assert_refused("count: [1]\n",
		       "count: expected a whole number, from 1 to 64, found a list");
	assert_refused("count: {}\n", "found a mapping");
	assert_refused("storage: 5\n", "storage: expected a mapping, found a single value");
	assert_refused("headers: 5\n", "headers: expected a mapping of text to text");
	assert_refused("headers: {a: [b]}\n", "headers: expected a mapping of text to text");
	assert_refused("rules: 5\n", "rules: expected a list of mappings");
	assert_refused("rules: [5]\n", "rules: expected a list of mappings");
	assert_refused("addrs: [[a]]\n", "addrs: expected a list of text");
	assert_refused("addrs: {a: b}\n", "addrs: expected a list of text");
	assert_refused("rules: [{useTLS: 3}]\n", "rules[0].useTLS: expected true or false");
}

static void duplicates_are_refused(void **state)
{
	(void)state;
	assert_refused("count: 1\ncount: 2\n", "f.yaml:2:1: \"count\" is given twice");
	assert_refused("storage: {keep: true}\nstorage: {dir: x}\n", "\"storage\" is given twice");
	assert_refused("storage: {server: {port: 1}}\nup: {port: 1}\n",
		       "\"storage.server.port\" is given twice, here as \"up.port\"");
	assert_refused("headers: {a: 1, a: 2}\n", "\"a\" is given twice");
}

static void what_is_no_plain_mapping_is_refused(void **state)
{
	(void)state;
	assert_refused("- a\n", "expected \"key: value\" lines, found a list");
	assert_refused("words\n", "found a single value");
	assert_refused("count: 1\n---\ncount: 2\n", "a second document begins");
	assert_refused("addrs: [a\n", "f.yaml:2:1: ");
	assert_refused("count: \"\\x01\"\n", "control character");
	assert_refused("storage: {dir: \"a\\0b\"}\n", "control character");
	assert_refused("count: \xff\n", "f.yaml:");
	assert_refused("? [a]\n: b\n", "expected the name of a key");
}

static void bombs_are_refused(void **state)
{
	cleanup(free_at) char *deep = mem_alloc(100000);
	cleanup(free_at) char *big = mem_alloc((1 << 20) + 2);
	struct program p = {0};
	struct err e;

	(void)state;
	assert_refused("storage: &a {dir: x}\n", "anchors and aliases are not supported");
	assert_refused("headers: {a: &a x, b: *a}\n", "anchors and aliases are not supported");
	assert_refused("old: {thing: [&a [x], *a]}\n", "anchors and aliases are not supported");
	memset(deep, '[', 99999);
	memcpy(deep, "old: {thing: ", 13);
	assert_refused(deep, "nested deeper than 16 levels");
	memset(big, '#', (1 << 20) + 1);
	assert_int_equal(config_parse(keys, "f", big, (1 << 20) + 1, &p, &e), -EINVAL);
	assert_non_null(strstr(e.text, "longer than"));
	release(&p);
	assert_int_equal(config_parse(keys, "f", big, 1 << 20, &p, &e), 0);
	release(&p);
}

static void ignored_keys_may_hold_anything_and_warn_once(void **state)
{
	char dir[] = "/tmp/skimmer-config-XXXXXX";
	cleanup(free_at) char *path = NULL;
	char text[4096] = "";
	cleanup(release) struct program p;
	struct err e;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(log_open_dir("c", dir, 0, 0, &e), 0);
	assert_int_equal(parse("old:\n  thing: {a: [1, {b: c}], a: 2}\ncount: 3\n", &p, &e), 0);
	log_open_stderr("test", LOG_AUTO);
	assert_int_equal(p.count, 3);
	path = mem_printf("%s/c.log", dir);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
	fclose(f);
	assert_non_null(strstr(text, "\"line\":2,\"key\":\"old.thing\"}\n"));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	unlink(path);
	assert_int_equal(rmdir(dir), 0);
}

static void files_are_loaded_and_missing_ones_told(void **state)
{
	char path[] = "/tmp/skimmer-config-XXXXXX";
	cleanup(release) struct program p = {0};
	struct program none = {0};
	int fd = mkstemp(path);
	struct err e;

	(void)state;
	assert_int_equal(write(fd, "count: 3\n", 9), 9);
	close(fd);
	assert_int_equal(config_load(keys, path, &p, &e), 0);
	assert_int_equal(p.count, 3);
	unlink(path);
	assert_int_equal(config_load(keys, path, &none, &e), -ENOENT);
	assert_int_equal(config_load(keys, "/", &none, &e), -EISDIR);
	config_release(keys, &none);
}

static void the_reference_names_every_key(void **state)
{
	cleanup(free_at) char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	config_print_reference(keys, f);
	fclose(f);
	assert_non_null(strstr(text, "| `storage.dir` | text | `/var/lib/x` | Where \\| things "
				     "are. |\n"));
	assert_non_null(strstr(text, "| `rules[].deep.inner[].n` | a whole number | `7` |  |\n"));
	assert_non_null(
		strstr(text, "| `old.thing` | anything | | Accepted, has no effect here. "));
	assert_non_null(strstr(text, "Also: `upload.tcpListen.port`, `up.port`. |"));
}

struct noted {
	char text[2048];
};

static void note_line(const char *path, size_t line, void *arg)
{
	struct noted *n = arg;
	size_t len = strlen(n->text);

	snprintf(n->text + len, sizeof(n->text) - len, "%s@%zu\n", path, line);
}

static void note_value(const char *path, const struct config_key *key, const char *text, void *arg)
{
	struct noted *n = arg;
	size_t len = strlen(n->text);

	assert_non_null(key);
	snprintf(n->text + len, sizeof(n->text) - len, "%s=%s\n", path, text);
}

static void keys_are_told_with_their_lines_and_values_as_they_are_written(void **state)
{
	static const char yaml[] = "storage:\n  dir: /tmp\n# a comment\nsize: 3MiB\n"
				   "addrs: [a, b]\nrules:\n  - regx: x\n    useTLS: yes\n";
	char name[] = "/tmp/config_test-XXXXXX";
	struct program p = {0};
	struct noted lines = {0}, values = {0};
	struct err e = {0};
	int fd = mkstemp(name);

	(void)state;
	assert_int_equal(write(fd, yaml, strlen(yaml)), strlen(yaml));
	close(fd);
	assert_int_equal(config_load_noting(keys, name, &p, note_line, &lines, &e), 0);
	assert_string_equal(lines.text, "storage.dir@2\nsize@4\naddrs@5\nrules@6\n"
					"rules[0].regex@7\nrules[0].useTLS@8\n");
	config_each(keys, &p, note_value, &values);
	assert_non_null(strstr(values.text, "storage.dir=/tmp\n"));
	assert_non_null(strstr(values.text, "size=3MiB\n"));
	assert_non_null(strstr(values.text, "addrs=[a, b]\n"));
	assert_non_null(strstr(values.text, "rules[0].regex=x\nrules[0].useTLS=true\n"));
	config_release(keys, &p);
	unlink(name);
}

static void what_is_printed_is_read_again_as_the_same(void **state)
{
	static const char *const texts[] = {"50GB", "8MiB", "1536", "1000KiB", "0"};
	static const char *const times[] = {"10s", "5m", "1h", "1500ms"};
	const struct config_key bytes = {.path = "b", .type = CONFIG_BYTES};
	const struct config_key time = {.path = "t", .type = CONFIG_DURATION};
	uint64_t n, again;
	int64_t ms, ms_again;

	(void)state;
	for (size_t i = 0; i < array_len(texts); i++) {
		assert_true(config_value_set(&bytes, &n, texts[i]));
		cleanup(free_at) char *text = config_value_print(&bytes, &n);
		assert_true(config_value_set(&bytes, &again, text));
		assert_int_equal(n, again);
	}
	for (size_t i = 0; i < array_len(times); i++) {
		assert_true(config_value_set(&time, &ms, times[i]));
		cleanup(free_at) char *text = config_value_print(&time, &ms);
		assert_string_equal(text, times[i]);
		assert_true(config_value_set(&time, &ms_again, text));
		assert_int_equal(ms, ms_again);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_fill_what_the_file_leaves),
		cmocka_unit_test(every_type_is_read),
		cmocka_unit_test(items_have_their_own_defaults),
		cmocka_unit_test(one_text_is_a_list_of_one),
		cmocka_unit_test(unknown_keys_name_the_nearest),
		cmocka_unit_test(wrong_values_say_what_is_expected),
		cmocka_unit_test(duplicates_are_refused),
		cmocka_unit_test(what_is_no_plain_mapping_is_refused),
		cmocka_unit_test(bombs_are_refused),
		cmocka_unit_test(ignored_keys_may_hold_anything_and_warn_once),
		cmocka_unit_test(files_are_loaded_and_missing_ones_told),
		cmocka_unit_test(the_reference_names_every_key),
		cmocka_unit_test(keys_are_told_with_their_lines_and_values_as_they_are_written),
		cmocka_unit_test(what_is_printed_is_read_again_as_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
