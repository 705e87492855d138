/* fs/forest: the numbers of trees, from process to process. What the kernel makes of them is
 * test/integration/61_layer_tree.py's and 65_fuse_trees.py's. */
#include "test/unit/unit.h"

#include "base/mem.h"
#include "fs/forest.h"
#include "fs/layer/erofs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct source {
	uint64_t version;
	bool gone, broken;
	unsigned open;
};

static int image_of_nothing(void)
{
	int fd = memfd_create("erofs", MFD_CLOEXEC);
	cleanup(fclose_at) FILE *file = fdopen(dup(fd), "w");
	struct tree *t = tree_new(false);
	struct erofs_summary sum;
	struct err e = {0};

	if (tree_end(t, &e) < 0 || erofs_write(t, 0, file, &sum, &e) < 0)
		fail_msg("%s", e.text);
	tree_free(t);
	return fd;
}

static int source_open(void *src, const char *name, struct fs_forest_layer *out, struct err *e)
{
	struct source *s = src;

	if (s->gone || strcmp(name, "none") == 0)
		return err_set(e, ENOENT, "%s", name);
	s->open++;
	*out = (struct fs_forest_layer){.layer = s,
					.image_fd = s->broken ? memfd_create("empty", MFD_CLOEXEC)
							      : image_of_nothing(),
					.version = s->version};
	return 0;
}

static void source_close(void *src, void *layer)
{
	assert_ptr_equal(src, layer);
	((struct source *)layer)->open--;
}

static const struct fs_forest_ops ops = {.open = source_open, .close = source_close};

/* A lookup whose node the kernel keeps. */
static uint64_t enter(struct forest *f, const char *name)
{
	struct forest_tree *t;
	struct err e = {0};
	uint64_t id;

	if (forest_enter(f, name, &t, &e) < 0)
		fail_msg("%s", e.text);
	id = forest_id(t, erofs_tree_root(t->tree));
	forest_unpin(f, t);
	return id;
}

/* What the next process makes of what this one left. */
static struct forest *next_process(struct forest *f, struct source *s)
{
	int fd = dup(ledger_fd(forest_ledger(f)));
	struct ledger *l;
	struct forest *next = NULL;
	struct err e = {0};

	forest_free(f);
	if (ledger_open(fd, &l, &e) < 0)
		fail_msg("%s", e.text);
	ledger_head(l)->generation++;
	if (forest_resume(&ops, s, l, &next, &e) < 0)
		fail_msg("%s", e.text);
	return next;
}

static bool is_known(struct forest *f, uint64_t id)
{
	struct forest_tree *t = forest_pin(f, id);

	forest_unpin(f, t);
	return t != NULL;
}

static void a_layer_is_open_while_the_kernel_knows_its_root(void **state)
{
	struct source s = {.version = 1};
	struct forest *f = forest_new(&ops, &s);
	uint64_t id = enter(f, "a");

	(void)state;
	assert_int_equal(enter(f, "a"), id);
	assert_int_not_equal(enter(f, "b"), id);
	assert_int_equal(s.open, 2);
	assert_int_equal(forest_count(f), 2);
	forest_forget(f, id + 1, 100); /* another node of it */
	forest_forget(f, id, 1);
	assert_true(is_known(f, id));
	forest_forget(f, id, 1);
	assert_false(is_known(f, id));
	assert_int_equal(s.open, 1);
	assert_int_not_equal(enter(f, "a"), id);
	forest_free(f);
	assert_int_equal(s.open, 0);
}

static void a_pinned_tree_outlives_its_number(void **state)
{
	struct source s = {.version = 1};
	struct forest *f = forest_new(&ops, &s);
	uint64_t id = enter(f, "a");
	struct forest_tree *t = forest_pin(f, id);

	(void)state;
	forest_forget(f, id, 1);
	assert_int_equal(s.open, 1);
	assert_non_null(t->tree);
	forest_unpin(f, t);
	assert_int_equal(s.open, 0);
	forest_free(f);
}

static void what_is_not_there_or_damaged_is_told(void **state)
{
	struct source s = {.version = 1};
	struct forest *f = forest_new(&ops, &s);
	struct forest_tree *t;
	struct err e;

	(void)state;
	assert_int_equal(forest_enter(f, "none", &t, &e), -ENOENT);
	s.broken = true;
	assert_int_equal(forest_enter(f, "a", &t, &e), -EBADMSG);
	assert_int_equal(s.open, 0);
	assert_int_equal(forest_count(f), 0);
	forest_free(f);
}

static void numbers_mean_the_same_to_the_next_process(void **state)
{
	struct source s = {.version = 1};
	struct forest *f = forest_new(&ops, &s);
	uint64_t a = enter(f, "a"), b = enter(f, "b");
	struct forest_tree *t;

	(void)state;
	for (int i = 0; i < 3; i++) {
		f = next_process(f, &s);
		assert_int_equal(s.open, 2);
		t = forest_pin(f, a);
		assert_non_null(t);
		assert_int_equal(forest_id(t, forest_nid(a)), a);
		forest_unpin(f, t);
		assert_int_equal(enter(f, "b"), b);
	}
	/* A new one has a number that no earlier process gave. */
	forest_forget(f, a, 1);
	assert_int_not_equal(enter(f, "a"), a);
	forest_free(f);
	assert_int_equal(s.open, 0);
}

static void what_is_another_image_now_is_lost_and_never_shown(void **state)
{
	struct source s = {.version = 1};
	struct forest *f = forest_new(&ops, &s);
	uint64_t a = enter(f, "a"), again;

	(void)state;
	s.version = 2;
	f = next_process(f, &s);
	assert_false(is_known(f, a));
	assert_int_equal(s.open, 0);
	again = enter(f, "a");
	assert_int_not_equal(again, a);
	s.gone = true;
	f = next_process(f, &s);
	assert_false(is_known(f, a));
	assert_false(is_known(f, again));
	forest_free(f);
	assert_int_equal(s.open, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_layer_is_open_while_the_kernel_knows_its_root),
		cmocka_unit_test(a_pinned_tree_outlives_its_number),
		cmocka_unit_test(what_is_not_there_or_damaged_is_told),
		cmocka_unit_test(numbers_mean_the_same_to_the_next_process),
		cmocka_unit_test(what_is_another_image_now_is_lost_and_never_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
