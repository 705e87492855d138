/* Nodes: ids, lookup counts, a name that comes to mean something else, the bound. */
#include "fs/tree.h"

#include "base/mem.h"
#include "test/unit/unit.h"

#include <errno.h>
#include <string.h>

struct fs_blob {
	int refs;
};

static void blob_ref(void *src, struct fs_blob *b)
{
	(void)src;
	b->refs++;
}

static void blob_unref(void *src, struct fs_blob *b)
{
	(void)src;
	b->refs--;
}

static const struct fs_source_ops ops = {.ref = blob_ref, .unref = blob_unref};

static const struct fs_entry a_dir = {.kind = FS_DIR};

static uint64_t enter(struct tree *t, uint64_t parent, const char *name,
		      const struct fs_entry *entry)
{
	struct tree_info info;
	struct err e = {0};

	if (entry->blob)
		entry->blob->refs++;
	assert_int_equal(tree_enter(t, parent, name, entry, &info, &e), 0);
	return info.id;
}

static void assert_path(struct tree *t, uint64_t id, const char *name, const char *want)
{
	cleanup(free_at) char *path = tree_path(t, id, name);

	assert_non_null(path);
	assert_string_equal(path, want);
}

static void paths_lead_from_the_root(void **state)
{
	struct tree *t = fs_tree_new(&ops, NULL, 1 << 20);
	uint64_t a, b;

	(void)state;
	assert_path(t, TREE_ROOT_ID, NULL, "");
	assert_path(t, TREE_ROOT_ID, "x", "x");
	a = enter(t, TREE_ROOT_ID, "oci", &a_dir);
	b = enter(t, a, "registry:5000", &a_dir);
	assert_path(t, b, NULL, "oci/registry:5000");
	assert_path(t, b, "v1", "oci/registry:5000/v1");
	assert_null(tree_path(t, 12345, NULL));
	fs_tree_free(t);
}

static void ids_are_the_same_in_another_tree(void **state)
{
	struct tree *one = fs_tree_new(&ops, NULL, 1 << 20),
		    *two = fs_tree_new(&ops, NULL, 1 << 20);
	uint64_t a = enter(one, TREE_ROOT_ID, "sha256", &a_dir), b;

	(void)state;
	enter(two, TREE_ROOT_ID, "http", &a_dir);
	assert_int_equal(tree_child_id(two, TREE_ROOT_ID, "sha256"), a);
	b = enter(two, TREE_ROOT_ID, "sha256", &a_dir);
	assert_int_equal(a, b);
	assert_true(a > TREE_ROOT_ID);
	assert_int_equal(tree_child_id(two, 12345, "x"), 0);
	fs_tree_free(one);
	fs_tree_free(two);
}

static void node_lives_until_every_lookup_is_forgotten(void **state)
{
	struct tree *t = fs_tree_new(&ops, NULL, 1 << 20);
	uint64_t dir = enter(t, TREE_ROOT_ID, "d", &a_dir), child;
	struct tree_info info;

	(void)state;
	assert_int_equal(enter(t, TREE_ROOT_ID, "d", &a_dir), dir);
	child = enter(t, dir, "c", &a_dir);
	tree_forget(t, dir, 1);
	assert_true(tree_info(t, dir, &info));
	tree_forget(t, dir, 1);
	/* The child keeps it. */
	assert_true(tree_info(t, dir, &info));
	tree_forget(t, child, 1);
	assert_false(tree_info(t, child, &info));
	assert_false(tree_info(t, dir, &info));
	assert_int_equal(tree_count(t), 0);
	/* What is not there, and the root, are nobody's to forget. */
	tree_forget(t, child, 7);
	tree_forget(t, TREE_ROOT_ID, 1);
	assert_true(tree_info(t, TREE_ROOT_ID, &info));
	fs_tree_free(t);
}

static void changed_content_gets_a_new_node_and_the_old_one_lives_on(void **state)
{
	struct tree *t = fs_tree_new(&ops, NULL, 1 << 20);
	struct fs_blob first = {0}, second = {0};
	struct fs_entry entry = {.kind = FS_FILE, .size = 10, .mtime_ms = 5, .blob = &first};
	struct tree_pin pin = {0};
	struct tree_info info;
	uint64_t before = enter(t, TREE_ROOT_ID, "f", &entry), after;
	struct err e = {0};

	(void)state;
	assert_int_equal(tree_pin(t, before, &pin, &e), 0);
	entry.mtime_ms = 6;
	entry.version++;
	entry.blob = &second;
	after = enter(t, TREE_ROOT_ID, "f", &entry);
	assert_true(before != after);
	assert_ptr_equal(pin.blob, &first);
	assert_true(tree_info(t, before, &info));
	assert_int_equal(info.mtime_ms, 5);
	assert_int_equal(tree_child_id(t, TREE_ROOT_ID, "f"), after);
	tree_forget(t, before, 1);
	assert_true(tree_info(t, before, &info));
	tree_unpin(t, &pin);
	assert_false(tree_info(t, before, &info));
	assert_int_equal(first.refs, 0);
	assert_int_equal(second.refs, 1);
	fs_tree_free(t);
	assert_int_equal(second.refs, 0);
}

static void lasting_file_keeps_its_node_and_takes_the_newer_blob(void **state)
{
	struct tree *t = fs_tree_new(&ops, NULL, 1 << 20);
	struct fs_blob first = {0}, second = {0};
	struct fs_entry entry = {
		.kind = FS_FILE, .size = 10, .mtime_ms = 5, .blob = &first, .lasting = true};
	uint64_t before = enter(t, TREE_ROOT_ID, "f", &entry);

	(void)state;
	entry.mtime_ms = 6;
	entry.version++;
	entry.blob = &second;
	assert_int_equal(enter(t, TREE_ROOT_ID, "f", &entry), before);
	assert_int_equal(first.refs, 0);
	assert_int_equal(second.refs, 1);
	entry.size = 11;
	assert_true(enter(t, TREE_ROOT_ID, "f", &entry) != before);
	fs_tree_free(t);
	assert_int_equal(second.refs, 0);
}

static void small_content_and_links_are_compared_by_their_bytes(void **state)
{
	struct tree *t = fs_tree_new(&ops, NULL, 1 << 20);
	struct fs_entry file = {.kind = FS_FILE, .size = 3, .data = "abc"};
	struct fs_entry link = {.kind = FS_LINK, .link = "../x"};
	uint64_t f = enter(t, TREE_ROOT_ID, "f", &file), l = enter(t, TREE_ROOT_ID, "l", &link);
	struct tree_pin pin = {0};

	(void)state;
	assert_int_equal(enter(t, TREE_ROOT_ID, "f", &file), f);
	assert_int_equal(enter(t, TREE_ROOT_ID, "l", &link), l);
	assert_int_equal(tree_pin(t, f, &pin, NULL), 0);
	file.data = "abd";
	link.link = "../y";
	assert_true(enter(t, TREE_ROOT_ID, "f", &file) != f);
	assert_true(enter(t, TREE_ROOT_ID, "l", &link) != l);
	assert_memory_equal(pin.data, "abc", 3);
	tree_unpin(t, &pin);
	assert_int_equal(tree_pin(t, l, &pin, NULL), 0);
	assert_string_equal(pin.data, "../x");
	assert_int_equal(pin.info.size, 4);
	tree_unpin(t, &pin);
	assert_int_equal(tree_pin(t, 12345, &pin, NULL), -ESTALE);
	fs_tree_free(t);
}

static void full_table_refuses_and_unknown_parent_is_stale(void **state)
{
	struct tree *t = fs_tree_new(&ops, NULL, 4096);
	struct fs_blob blob = {0};
	struct fs_entry entry = {.kind = FS_FILE, .size = 1, .blob = &blob, .lasting = true};
	struct tree_info info;
	struct err e = {0};
	char name[16];
	int r = 0;

	(void)state;
	blob.refs++;
	assert_int_equal(tree_enter(t, 12345, "x", &entry, &info, &e), -ESTALE);
	assert_int_equal(blob.refs, 0);
	assert_false(tree_is_crowded(t));
	for (int i = 0; i < 100 && r == 0; i++) {
		snprintf(name, sizeof(name), "%d", i);
		blob.refs++;
		r = tree_enter(t, TREE_ROOT_ID, name, &entry, &info, &e);
	}
	assert_int_equal(r, -ENFILE);
	assert_true(tree_is_crowded(t));
	assert_int_equal(blob.refs, tree_count(t));
	/* What is known already is still found. */
	enter(t, TREE_ROOT_ID, "0", &entry);
	fs_tree_free(t);
	assert_int_equal(blob.refs, 0);
}

static void prune_picks_old_leaves_that_nobody_holds(void **state)
{
	struct tree *t = fs_tree_new(&ops, NULL, 1 << 20);
	uint64_t dir = enter(t, TREE_ROOT_ID, "dir", &a_dir), held, leaf;
	struct tree_victim victims[4];
	struct tree_pin pin = {0};

	(void)state;
	leaf = enter(t, dir, "leaf", &a_dir);
	held = enter(t, dir, "held", &a_dir);
	enter(t, dir, "new", &a_dir);
	assert_int_equal(tree_pin(t, held, &pin, NULL), 0);
	assert_int_equal(tree_prune_pick(t, victims, 1), 1);
	assert_int_equal(victims[0].parent, dir);
	assert_string_equal(victims[0].name, "leaf");
	free(victims[0].name);
	/* It is recent now: the next is another one. */
	assert_int_equal(tree_prune_pick(t, victims, 4), 2);
	assert_string_equal(victims[0].name, "new");
	assert_string_equal(victims[1].name, "leaf");
	free(victims[0].name);
	free(victims[1].name);
	tree_forget(t, leaf, 1);
	tree_unpin(t, &pin);
	fs_tree_free(t);
}

static void path_that_is_too_deep_is_refused(void **state)
{
	struct tree *t = fs_tree_new(&ops, NULL, 1 << 20);
	uint64_t at = TREE_ROOT_ID;
	struct tree_info info = {.id = TREE_ROOT_ID};
	struct err e = {0};
	int r = 0;

	(void)state;
	for (int i = 0; i < 400 && r == 0; i++) {
		r = tree_enter(t, at, "d", &a_dir, &info, &e);
		at = info.id;
	}
	assert_int_equal(r, -ENAMETOOLONG);
	fs_tree_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_lead_from_the_root),
		cmocka_unit_test(ids_are_the_same_in_another_tree),
		cmocka_unit_test(node_lives_until_every_lookup_is_forgotten),
		cmocka_unit_test(changed_content_gets_a_new_node_and_the_old_one_lives_on),
		cmocka_unit_test(lasting_file_keeps_its_node_and_takes_the_newer_blob),
		cmocka_unit_test(small_content_and_links_are_compared_by_their_bytes),
		cmocka_unit_test(full_table_refuses_and_unknown_parent_is_stale),
		cmocka_unit_test(prune_picks_old_leaves_that_nobody_holds),
		cmocka_unit_test(path_that_is_too_deep_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
