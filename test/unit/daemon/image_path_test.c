/* Paths below oci/. */
#include "daemon/image_path.h"

#include "test/unit/unit.h"

#include <errno.h>
#include <string.h>

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void assert_kind(const char *path, enum image_path_kind kind)
{
	cleanup(image_path_release) struct image_path p = {0};
	struct err e = {0};

	assert_int_equal(image_path_parse(path, &p, &e), 0);
	assert_int_equal(p.kind, kind);
}

static void assert_none(const char *path)
{
	struct image_path p;
	struct err e = {0};

	assert_int_equal(image_path_parse(path, &p, &e), -ENOENT);
}

static void kinds_follow_from_the_names(void **state)
{
	(void)state;
	assert_kind("oci/reg:5000", IMAGE_PATH_REGISTRY);
	assert_kind("oci/[::1]:5000", IMAGE_PATH_REGISTRY);
	assert_kind("oci/reg/library", IMAGE_PATH_REPOSITORY);
	assert_kind("oci/reg/library/debian", IMAGE_PATH_NAME);
	assert_kind("oci/reg/library/debian/12", IMAGE_PATH_NAME);
	assert_kind("oci/reg/debian/12/index.json", IMAGE_PATH_INDEX);
	assert_kind("oci/reg/debian/12/manifest.json", IMAGE_PATH_MANIFEST);
	assert_kind("oci/reg/debian/12/config.json", IMAGE_PATH_CONFIG);
	assert_kind("oci/reg/debian/12/layers", IMAGE_PATH_LAYERS);
	assert_kind("oci/reg/debian/12/layers/00-" HEX, IMAGE_PATH_LAYER);
	assert_kind("oci/reg/debian/sha256:" HEX "/layers", IMAGE_PATH_LAYERS);
}

static void parts_of_an_image_are_told(void **state)
{
	cleanup(image_path_release) struct image_path p = {0};
	struct err e = {0};

	(void)state;
	assert_int_equal(image_path_parse("oci/reg:5000/a/b/v1.0/layers/01-x", &p, &e), 0);
	assert_string_equal(p.registry, "reg:5000");
	assert_string_equal(p.image, "oci/reg:5000/a/b/v1.0");
	assert_string_equal(p.repository, "a/b");
	assert_string_equal(p.reference, "v1.0");
	assert_string_equal(p.leaf, "01-x");
	assert_int_equal(p.depth, 7);
}

static void some_references_can_be_names_too(void **state)
{
	static const struct {
		const char *path;
		bool may_be_name;
	} cases[] = {{"oci/reg/a/b", true},
		     {"oci/reg/a/1.2.3", true},
		     {"oci/reg/a/Latest", false},
		     {"oci/reg/a/v1_", false},
		     {"oci/reg/a/sha256:" HEX, false}};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		cleanup(image_path_release) struct image_path p = {0};

		assert_int_equal(image_path_parse(cases[i].path, &p, NULL), 0);
		assert_int_equal(p.may_be_name, cases[i].may_be_name);
	}
}

static void what_cannot_be_is_not_there(void **state)
{
	(void)state;
	assert_none("oci");
	assert_none("oci/reg@x");
	assert_none("oci//a");
	assert_none("oci/reg/Upper");
	assert_none("oci/reg/-a");
	assert_none("oci/reg/a/b@c");
	assert_none("oci/reg/a/sha256:12");
	assert_none("oci/reg/Upper/v1");
	assert_none("oci/reg/manifest.json");
	assert_none("oci/reg/a/manifest.json");
	assert_none("oci/reg/a/layers");
	assert_none("oci/reg/layers/x");
	assert_none("oci/reg/a/v1/rootfs");
	assert_none("oci/reg/a/v1/layers/00-x/y");
	assert_none("oci/reg/a/v1/config.json/x");
}

static void too_many_names_are_refused(void **state)
{
	char path[1000] = "oci/reg";

	(void)state;
	for (int i = 0; i < 100; i++)
		strcat(path, "/a");
	assert_none(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_follow_from_the_names),
		cmocka_unit_test(parts_of_an_image_are_told),
		cmocka_unit_test(some_references_can_be_names_too),
		cmocka_unit_test(what_cannot_be_is_not_there),
		cmocka_unit_test(too_many_names_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
