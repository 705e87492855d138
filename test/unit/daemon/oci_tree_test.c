/* Images by name. */
#include "test/unit/daemon/tree_fixture.h"

#include "base/timer.h"

static char *sibling(const struct tree_world *w, const char *reference)
{
	return mem_printf("%.*s/%s", (int)(strlen(w->image) - 3), w->image, reference);
}

static void image_shows_its_files(void **state)
{
	struct tree_world *w = *state;
	cleanup(free_at) char *index = mem_printf("%s/index.json", w->image);
	cleanup(free_at) char *manifest = mem_printf("%s/manifest.json", w->image);
	struct fs_blob *config;
	struct asked a;

	assert_true(is_dir(w, w->image, "layers"));
	assert_ok(look_up(w, index, &a));
	assert_string_equal(a.text, planted.index);
	assert_false(a.entry.lasting);
	free(a.text);
	assert_ok(look_up(w, manifest, &a));
	assert_string_equal(a.text, planted.manifest);
	assert_int_equal(a.entry.size, strlen(planted.manifest));
	free(a.text);
	config = open_file(w, w->image, "config.json", CONFIG_SIZE);
	assert_ok(read_blob(w, config, 0, CONFIG_SIZE));
	close_file(w, config);
	assert_int_equal(code_of(w, w->image, "rootfs"), ENOENT);
	assert_int_equal(code_of(w, w->image, "other"), 0); /* perhaps a longer repository */
	assert_list(w, w->image, "index.json manifest.json config.json layers/ ");
}

static void layers_are_links_to_blobs(void **state)
{
	struct tree_world *w = *state;
	cleanup(free_at) char *layers = mem_printf("%s/layers", w->image);
	cleanup(free_at) char *name = mem_printf("00-%s", planted.layer_hex);
	cleanup(free_at) char *path = mem_printf("%s/%s", layers, name);
	cleanup(free_at) char *target =
		mem_printf("../../../../../../sha256/%s", planted.layer_hex);
	cleanup(free_at) char *listed = mem_printf("%s@ ", name);
	struct fs_blob *blob;
	struct asked a;

	assert_ok(look_up(w, path, &a));
	assert_int_equal(a.entry.kind, FS_LINK);
	assert_string_equal(a.text, target);
	free(a.text);
	assert_int_equal(code_of(w, layers, "01-x"), ENOENT);
	assert_list(w, layers, listed);
	/* The manifest told where the blob is. */
	blob = open_file(w, "sha256", planted.layer_hex, LAYER_SIZE);
	assert_ok(read_blob(w, blob, 100, LAYER_SIZE - 100));
	close_file(w, blob);
}

static void reference_to_a_manifest_has_no_index(void **state)
{
	struct tree_world *w = *state;
	cleanup(free_at) char *image = sibling(w, "plain");

	assert_true(is_dir(w, image, "layers"));
	assert_int_equal(code_of(w, image, "index.json"), ENOENT);
	assert_list(w, image, "manifest.json config.json layers/ ");
}

static void image_by_digest_lasts(void **state)
{
	struct tree_world *w = *state;
	cleanup(free_at) char *reference = mem_printf("sha256:%s", planted.manifest_hex);
	cleanup(free_at) char *image = sibling(w, reference);
	struct asked a;

	assert_ok(look_up(w, image, &a));
	assert_int_equal(a.entry.kind, FS_DIR);
	assert_true(a.entry.lasting);
}

static void what_is_no_image_may_be_a_longer_repository(void **state)
{
	struct tree_world *w = *state;
	cleanup(free_at) char *registry = mem_printf("oci/127.0.0.1:%u", w->server->port);
	unsigned count;

	assert_true(is_dir(w, registry, "team"));
	assert_int_equal(fake_count(w->server), 0);
	assert_true(is_dir(w, registry, "team/app"));
	assert_true(fake_saw(w->server, "GET /v2/team/manifests/app "));
	count = fake_count(w->server);
	assert_true(is_dir(w, registry, "team/app"));
	assert_int_equal(fake_count(w->server), count);
	assert_true(is_dir(w, registry, "private/x"));
	assert_int_equal(code_of(w, registry, "team/Upper"), ENOENT);
	assert_int_equal(code_of(w, registry, "private/Upper"), EACCES);
	assert_int_equal(code_of(w, registry, "team/app/absent/manifest.json"), ENOENT);
	assert_int_equal(code_of(w, registry, "team/app/manifest.json"), ENOENT);
}

static void known_images_are_listed(void **state)
{
	struct tree_world *w = *state;
	cleanup(free_at) char *registry = mem_printf("127.0.0.1:%u/ ", w->server->port);
	cleanup(free_at) char *dir = mem_printf("oci/127.0.0.1:%u", w->server->port);
	cleanup(free_at) char *repository = sibling(w, "");

	repository[strlen(repository) - 1] = 0;
	assert_list(w, "oci", "");
	assert_true(is_dir(w, w->image, "layers"));
	assert_true(is_dir(w, dir, "team/other"));
	assert_list(w, "oci", registry);
	assert_list(w, dir, "team/ ");
	assert_list(w, repository, "v1/ ");
}

static void lies_of_a_registry_are_errors(void **state)
{
	struct tree_world *w = *state;
	cleanup(free_at) char *liar = sibling(w, "liar");
	cleanup(free_at) char *wrong = sibling(
		w, "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc");

	assert_int_equal(code_of(w, liar, "manifest.json"), EPROTO);
	assert_int_equal(code_of(w, wrong, "manifest.json"), EPROTO);
}

static void registry_that_is_away_leaves_what_it_said(void **state)
{
	static int64_t now_ms = 1000;
	struct tree_world *w = *state;
	cleanup(free_at) char *registry = mem_printf("oci/127.0.0.1:%u", w->server->port);
	unsigned count;

	assert_true(is_dir(w, w->image, "layers"));
	__atomic_store_n(&planted.down, true, __ATOMIC_RELAXED);
	count = fake_count(w->server);
	now_ms = clock_ms() + 61000;
	clock_fake(&now_ms);
	assert_int_equal(code_of(w, w->image, "manifest.json"), 0);
	assert_true(fake_count(w->server) > count);
	assert_true(is_dir(w, registry, "team/app"));
	assert_int_equal(code_of(w, registry, "team/other"), EHOSTUNREACH);
	clock_fake(NULL);
}

#define tree_case(name) cmocka_unit_test_setup_teardown(name, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		tree_case(image_shows_its_files),
		tree_case(layers_are_links_to_blobs),
		tree_case(reference_to_a_manifest_has_no_index),
		tree_case(image_by_digest_lasts),
		tree_case(what_is_no_image_may_be_a_longer_repository),
		tree_case(known_images_are_listed),
		tree_case(lies_of_a_registry_are_errors),
		tree_case(registry_that_is_away_leaves_what_it_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
