/* Manifests and indexes, sound and odd. */
#include "base/manifest.h"

#include "base/buf.h"
#include "test/unit/unit.h"

#include <errno.h>
#include <string.h>

#define A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

static int parse(const char *text, struct manifest *m)
{
	struct err e = {0};

	return manifest_parse(text, strlen(text), m, &e);
}

static void image_has_config_and_layers(void **state)
{
	cleanup(manifest_release) struct manifest m = {0};

	(void)state;
	assert_int_equal(parse("{\"schemaVersion\":2,\"config\":{\"digest\":\"" A "\",\"size\":7},"
			       "\"layers\":[{\"digest\":\"" B "\",\"size\":8},"
			       "{\"digest\":\"" C "\",\"size\":9}]}",
			       &m),
			 0);
	assert_false(m.is_index);
	assert_string_equal(m.config.hex, A + 7);
	assert_int_equal(m.config.size, 7);
	assert_int_equal(m.count, 2);
	assert_string_equal(m.items[1].hex, C + 7);
	assert_int_equal(m.items[1].size, 9);
}

static void image_without_layers_is_fine(void **state)
{
	cleanup(manifest_release) struct manifest m = {0};

	(void)state;
	assert_int_equal(parse("{\"schemaVersion\":2,\"config\":{\"digest\":\"" A "\",\"size\":7},"
			       "\"layers\":[]}",
			       &m),
			 0);
	assert_int_equal(m.count, 0);
}

static const char an_index[] = "{\"schemaVersion\":2,\"manifests\":["
			       "{\"digest\":\"" A "\",\"size\":1,\"platform\":{\"os\":\"linux\","
			       "\"architecture\":\"arm\",\"variant\":\"v6\"}},"
			       "{\"digest\":\"" B "\",\"size\":1,\"platform\":{\"os\":\"linux\","
			       "\"architecture\":\"arm\",\"variant\":\"v7\"}},"
			       "{\"digest\":\"" C "\",\"size\":1,\"platform\":{\"os\":\"linux\","
			       "\"architecture\":\"amd64\"}}]}";

static void index_is_picked_from_by_platform(void **state)
{
	cleanup(manifest_release) struct manifest m = {0};

	(void)state;
	assert_int_equal(parse(an_index, &m), 0);
	assert_true(m.is_index);
	assert_string_equal(manifest_pick_for(&m, "linux", "arm", "v7")->hex, B + 7);
	assert_string_equal(manifest_pick_for(&m, "linux", "arm", "")->hex, A + 7);
	assert_string_equal(manifest_pick_for(&m, "linux", "amd64", "")->hex, C + 7);
	assert_string_equal(manifest_pick_for(&m, "linux", "amd64", "v3")->hex, C + 7);
	assert_null(manifest_pick_for(&m, "linux", "arm", "v8"));
	assert_null(manifest_pick_for(&m, "windows", "amd64", ""));
}

static void one_without_variant_is_preferred(void **state)
{
	cleanup(manifest_release) struct manifest m = {0};

	(void)state;
	assert_int_equal(parse("{\"schemaVersion\":2,\"manifests\":["
			       "{\"digest\":\"" A "\",\"size\":1,\"platform\":{\"os\":\"linux\","
			       "\"architecture\":\"amd64\",\"variant\":\"v3\"}},"
			       "{\"digest\":\"" B "\",\"size\":1,\"platform\":{\"os\":\"linux\","
			       "\"architecture\":\"amd64\"}}]}",
			       &m),
			 0);
	assert_string_equal(manifest_pick_for(&m, "linux", "amd64", "")->hex, B + 7);
}

static void odd_ones_are_refused(void **state)
{
	static const char *const odd[] = {
		"",
		"no json",
		"[]",
		"{}",
		"{\"schemaVersion\":1,\"config\":{}}",
		"{\"schemaVersion\":2}",
		"{\"schemaVersion\":2,\"manifests\":{}}",
		"{\"schemaVersion\":2,\"manifests\":[7]}",
		"{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"md5:00\",\"size\":1}]}",
		"{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"" A "\"}]}",
		"{\"schemaVersion\":2,\"config\":{\"digest\":\"" A "\",\"size\":-1},\"layers\":[]}",
		"{\"schemaVersion\":2,\"config\":{\"digest\":\"" A "\",\"size\":1}}",
		"{\"schemaVersion\":2,\"config\":{\"digest\":\"" A "\",\"size\":1},"
		"\"layers\":[{\"digest\":\"sha256:../../etc\",\"size\":1}]}",
	};

	(void)state;
	for (size_t i = 0; i < array_len(odd); i++) {
		struct manifest m;

		assert_int_equal(parse(odd[i], &m), -EPROTO);
		assert_null(m.items);
	}
}

static void sizes_are_bounded(void **state)
{
	cleanup(buf_release) struct buf text = BUF_INIT(64u << 20);
	struct manifest m;
	struct err e = {0};

	(void)state;
	buf_puts(&text, "{\"schemaVersion\":2,\"manifests\":[");
	for (int i = 0; i <= MANIFEST_ITEMS_MAX; i++)
		buf_puts(&text, i ? ",{\"digest\":\"" A "\",\"size\":1}"
				  : "{\"digest\":\"" A "\",\"size\":1}");
	buf_puts(&text, "]}");
	assert_int_equal(manifest_parse(text.data, text.len, &m, &e), -EPROTO);
	while (text.len <= MANIFEST_BYTES_MAX)
		buf_puts(&text, "                                                                ");
	assert_int_equal(manifest_parse(text.data, text.len, &m, &e), -EMSGSIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(image_has_config_and_layers),
		cmocka_unit_test(image_without_layers_is_fine),
		cmocka_unit_test(index_is_picked_from_by_platform),
		cmocka_unit_test(one_without_variant_is_preferred),
		cmocka_unit_test(odd_ones_are_refused),
		cmocka_unit_test(sizes_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
