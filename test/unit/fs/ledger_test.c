/* fs/ledger: what a process leaves is what the next finds. */
#include "fs/ledger.h"

#include "base/mem.h"
#include "fs/tree.h"
#include "test/unit/unit.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static struct ledger *make(uint32_t slots)
{
	struct ledger *l = NULL;
	struct err e = {0};

	if (ledger_new(slots, &l, &e) < 0)
		fail_msg("%s", e.text);
	return l;
}

/* As the next process sees it. */
static struct ledger *again(struct ledger *l)
{
	struct ledger *next = NULL;
	struct err e = {0};

	if (ledger_open(dup(ledger_fd(l)), &next, &e) < 0)
		fail_msg("%s", e.text);
	return next;
}

static char *long_name(size_t len, char c)
{
	char *name = mem_alloc(len + 1);

	memset(name, c, len);
	return name;
}

static struct ledger_node *find(struct ledger *l, uint64_t id)
{
	struct ledger_node *n = ledger_next(l, NULL);

	while (n && n->id != id)
		n = ledger_next(l, n);
	return n;
}

static void assert_name(struct ledger *l, uint64_t id, const char *want)
{
	char text[LEDGER_NAME_MAX + 1];
	struct err e = {0};

	assert_non_null(find(l, id));
	assert_int_equal(ledger_name(l, find(l, id), text, &e), 0);
	assert_string_equal(text, want);
}

static void names_of_every_length_are_found_again(void **state)
{
	static const size_t lens[] = {1, 64, 182, 183, 184, 183 + 244, 183 + 245, LEDGER_NAME_MAX};
	struct ledger *l = make(64), *next;

	(void)state;
	for (unsigned i = 0; i < array_len(lens); i++) {
		cleanup(free_at) char *name = long_name(lens[i], (char)('a' + i));

		assert_non_null(ledger_add(
			l, &(struct ledger_node){.id = i + 2, .parent = 1, .size = lens[i]}, name));
	}
	next = again(l);
	for (unsigned i = 0; i < array_len(lens); i++) {
		cleanup(free_at) char *name = long_name(lens[i], (char)('a' + i));

		assert_name(next, i + 2, name);
		assert_int_equal(find(next, i + 2)->size, lens[i]);
	}
	ledger_free(next);
	ledger_free(l);
}

static void room_is_used_again_also_by_the_next_process(void **state)
{
	cleanup(free_at) char *name = long_name(300, 'x');
	const struct ledger_node like = {.id = 7, .parent = 1};
	struct ledger *l = make(8), *next;
	struct ledger_node *n;
	unsigned count = 0;

	(void)state;
	for (int i = 0; i < 100; i++) {
		n = ledger_add(l, &like, name);
		assert_non_null(n);
		ledger_remove(l, n);
	}
	while (ledger_add(l, &like, name))
		count++;
	assert_int_equal(count, 4);
	while ((n = ledger_next(l, NULL)))
		ledger_remove(l, n);
	next = again(l);
	for (count = 0; ledger_add(next, &like, name); count++)
		;
	assert_int_equal(count, 4);
	ledger_free(next);
	ledger_free(l);
}

static int open_damaged(struct ledger *l)
{
	struct ledger *next;
	struct err e = {0};
	int r = ledger_open(dup(ledger_fd(l)), &next, &e);

	if (r == 0)
		ledger_free(next);
	return r;
}

static void what_is_no_ledger_of_ours_is_refused(void **state)
{
	cleanup(free_at) char *name = long_name(400, 'x');
	struct ledger *l = make(8);
	struct ledger_node *n = ledger_add(l, &(struct ledger_node){.id = 7, .parent = 1}, name);
	char text[LEDGER_NAME_MAX + 1];
	struct err e = {0};

	(void)state;
	assert_int_equal(open_damaged(l), 0);
	ledger_head(l)->layout++;
	assert_int_equal(open_damaged(l), -EBADMSG);
	ledger_head(l)->layout--;
	ledger_head(l)->slot_count += 100;
	assert_int_equal(open_damaged(l), -EBADMSG);
	ledger_head(l)->slot_count -= 100;
	n->more = 1000;
	assert_int_equal(open_damaged(l), -EBADMSG);
	n->more = 0;
	assert_int_equal(open_damaged(l), -EBADMSG);
	n->name_len = 10;
	assert_int_equal(open_damaged(l), 0);
	n->name[3] = '/';
	assert_int_equal(ledger_name(l, n, text, &e), -EBADMSG);
	assert_int_equal(ftruncate(ledger_fd(l), 100), 0);
	assert_int_equal(open_damaged(l), -EBADMSG);
	/* The mapping is behind the file's end now: only its descriptor may be touched. */
	ledger_free(l);
}

static void no_ref(void *src, struct fs_blob *b)
{
	(void)src;
	(void)b;
}

static const struct fs_source_ops ops = {.ref = no_ref, .unref = no_ref};

static struct tree *resume(struct tree *t)
{
	struct tree *next = NULL;
	struct err e = {0};

	if (fs_tree_resume(&ops, NULL, 1 << 20, again(tree_ledger(t)), &next, &e) < 0)
		fail_msg("%s", e.text);
	return next;
}

static struct tree_info enter(struct tree *t, uint64_t parent, const char *name,
			      const struct fs_entry *entry)
{
	struct tree_info info;
	struct err e = {0};

	if (tree_enter(t, parent, name, entry, &info, &e) < 0)
		fail_msg("%s", e.text);
	return info;
}

static void the_next_tree_knows_ids_and_counts(void **state)
{
	const struct fs_entry dir = {.kind = FS_DIR, .lasting = true};
	const struct fs_entry file = {.kind = FS_FILE, .size = 5, .version = 3, .data = "12345"};
	struct tree *t = fs_tree_new(&ops, NULL, 1 << 20), *next;
	struct tree_info d = enter(t, TREE_ROOT_ID, "dir", &dir), f = enter(t, d.id, "file", &file);
	struct tree_pin pin = {0};
	struct err e = {0};

	(void)state;
	enter(t, d.id, "file", &file);
	next = resume(t);
	fs_tree_free(t);
	cleanup(free_at) char *path = tree_path(next, f.id, NULL);
	assert_string_equal(path, "dir/file");
	assert_int_equal(tree_pin(next, f.id, &pin, &e), 0);
	assert_true(pin.hollow);
	assert_int_equal(pin.info.size, 5);
	tree_unpin(next, &pin);
	/* Twice looked up, so there until it is forgotten twice. */
	tree_forget(next, f.id, 1);
	assert_int_equal(tree_count(next), 2);
	tree_forget(next, f.id, 1);
	assert_int_equal(tree_count(next), 1);
	tree_forget(next, d.id, 1);
	assert_int_equal(tree_count(next), 0);
	assert_null(ledger_next(tree_ledger(next), NULL));
	fs_tree_free(next);
}

static void a_hollow_node_takes_only_what_it_was(void **state)
{
	const struct fs_entry file = {.kind = FS_FILE, .size = 5, .data = "12345", .lasting = true};
	const struct fs_entry longer = {
		.kind = FS_FILE, .size = 6, .data = "123456", .lasting = true};
	struct tree *t = fs_tree_new(&ops, NULL, 1 << 20), *next;
	struct tree_info f = enter(t, TREE_ROOT_ID, "file", &file);
	struct tree_pin pin = {0};
	struct err e = {0};

	(void)state;
	next = resume(t);
	fs_tree_free(t);
	assert_int_equal(tree_restore(next, f.id, &longer, &e), -ESTALE);
	assert_int_equal(tree_restore(next, f.id, &file, &e), 0);
	assert_int_equal(tree_pin(next, f.id, &pin, &e), 0);
	assert_false(pin.hollow);
	assert_memory_equal(pin.data, "12345", 6);
	tree_unpin(next, &pin);
	/* Another thing of the same name is another node. */
	t = next;
	next = resume(t);
	fs_tree_free(t);
	assert_true(enter(next, TREE_ROOT_ID, "file", &longer).id != f.id);
	assert_int_equal(tree_count(next), 2);
	fs_tree_free(next);
}

static void a_node_without_parent_is_refused(void **state)
{
	struct ledger *l = make(8);
	struct tree *t;
	struct err e = {0};

	(void)state;
	assert_non_null(
		ledger_add(l, &(struct ledger_node){.id = 9, .parent = 5, .lookups = 1}, "x"));
	assert_int_equal(fs_tree_resume(&ops, NULL, 1 << 20, l, &t, &e), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_every_length_are_found_again),
		cmocka_unit_test(room_is_used_again_also_by_the_next_process),
		cmocka_unit_test(what_is_no_ledger_of_ours_is_refused),
		cmocka_unit_test(the_next_tree_knows_ids_and_counts),
		cmocka_unit_test(a_hollow_node_takes_only_what_it_was),
		cmocka_unit_test(a_node_without_parent_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
