/* Snapshots: their life, their mounts, their rows after a restart, what a crash leaves. */
#include "contrib/containerd/snapshots.h"

#include "base/clock.h"
#include "base/mem.h"
#include "contrib/containerd/lazy.h"
#include "contrib/containerd/tree.h"
#include "test/unit/rpc_group.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64];
static struct lazy *lazy; /* of a daemon that is not there */

static struct snapshots *reopen(struct snapshots *s)
{
	struct snapshots *fresh = NULL;
	struct err e = {0};

	snapshots_close(s);
	if (snapshots_open(root, lazy, &fresh, &e) < 0)
		fail_msg("%s", e.text);
	return fresh;
}

static int set_up(void **state)
{
	strcpy(root, "/tmp/skm-snapshots-XXXXXX");
	assert_non_null(mkdtemp(root));
	lazy = lazy_new("/nowhere/dfdaemon.sock", 1000);
	*state = reopen(NULL);
	return 0;
}

static int tear_down(void **state)
{
	snapshots_close(*state);
	lazy_free(lazy);
	return tree_remove(root, NULL);
}

static int prepare(struct snapshots *s, const char *key, const char *parent,
		   enum snapshot_kind kind, struct mount_plan *m, struct err *e)
{
	struct snapshot snap = {
		.name = mem_strdup(key), .parent = mem_strdup(parent), .kind = kind};
	struct mount_plan ignored = {0};
	int r;

	labels_set(&snap.labels, "of", key);
	r = snapshots_prepare(s, &snap, m ? m : &ignored, e);
	mount_plan_release(&ignored);
	snapshot_release(&snap);
	return r;
}

static void layer(struct snapshots *s, const char *name, const char *parent)
{
	struct labels labels = {0};
	struct err e = {0};

	if (prepare(s, "making", parent, SNAPSHOT_ACTIVE, NULL, &e) < 0 ||
	    state_commit(snapshots_state(s), "making", name, "", &labels, &e) < 0)
		fail_msg("%s", e.text);
}

/* The options one a line, with the root as "R". */
static char *told(const struct mount_plan *m)
{
	char *text = mem_printf("%s %s", m->type, m->source);

	for (size_t i = 0; i < m->option_count; i++) {
		char *longer = mem_printf("%s %s", text, m->options[i]);

		free(text);
		text = longer;
	}
	for (char *at; (at = strstr(text, root));) {
		*at = 'R';
		memmove(at + 1, at + strlen(root), strlen(at + strlen(root)) + 1);
	}
	if (strstr(text, "index=off "))
		memmove(strstr(text, "index=off "), strstr(text, "index=off ") + 10,
			strlen(strstr(text, "index=off ") + 10) + 1);
	return text;
}

static void expect_mounts(struct snapshots *s, const char *key, const char *want)
{
	struct mount_plan m = {0};
	struct err e = {0};
	char *got;

	if (snapshots_mounts(s, key, &m, &e) < 0)
		fail_msg("%s", e.text);
	got = told(&m);
	assert_string_equal(got, want);
	free(got);
	mount_plan_release(&m);
}

static void mounts_are_those_of_overlayfs(void **state)
{
	struct snapshots *s = *state;
	struct mount_plan m = {0};
	struct err e = {0};

	assert_int_equal(prepare(s, "first", "", SNAPSHOT_ACTIVE, &m, &e), 0);
	mount_plan_release(&m);
	expect_mounts(s, "first", "bind R/snapshots/1/fs rw rbind");
	layer(s, "a", "");  /* 2 */
	layer(s, "b", "a"); /* 3 */
	assert_int_equal(prepare(s, "run", "b", SNAPSHOT_ACTIVE, NULL, &e), 0);
	expect_mounts(s, "run",
		      "overlay overlay workdir=R/snapshots/4/work upperdir=R/snapshots/4/fs "
		      "lowerdir=R/snapshots/3/fs:R/snapshots/2/fs");
	assert_int_equal(prepare(s, "look", "b", SNAPSHOT_VIEW, NULL, &e), 0);
	expect_mounts(s, "look", "overlay overlay lowerdir=R/snapshots/3/fs:R/snapshots/2/fs");
	assert_int_equal(prepare(s, "look at one", "a", SNAPSHOT_VIEW, NULL, &e), 0);
	expect_mounts(s, "look at one", "bind R/snapshots/2/fs ro rbind");
	assert_int_equal(snapshots_mounts(s, "b", &m, &e), -EINVAL);
}

static void wrong_orders_are_refused(void **state)
{
	struct snapshots *s = *state;
	struct state *st = snapshots_state(s);
	struct labels none = {0};
	struct err e = {0};

	assert_int_equal(prepare(s, "x", "nobody", SNAPSHOT_ACTIVE, NULL, &e), -ENOENT);
	assert_int_equal(prepare(s, "active", "", SNAPSHOT_ACTIVE, NULL, &e), 0);
	assert_int_equal(prepare(s, "active", "", SNAPSHOT_VIEW, NULL, &e), -EEXIST);
	assert_int_equal(prepare(s, "child", "active", SNAPSHOT_ACTIVE, NULL, &e), -EINVAL);
	assert_int_equal(prepare(s, "view", "", SNAPSHOT_VIEW, NULL, &e), 0);
	assert_int_equal(state_commit(st, "view", "done", "", &none, &e), -EINVAL);
	assert_int_equal(state_commit(st, "nobody", "done", "", &none, &e), -ENOENT);
	assert_int_equal(state_commit(st, "active", "view", "", &none, &e), -EEXIST);
	assert_int_equal(state_commit(st, "active", "done", "", &none, &e), 0);
	assert_int_equal(state_commit(st, "done", "again", "", &none, &e), -EINVAL);
	assert_int_equal(prepare(s, "child", "done", SNAPSHOT_ACTIVE, NULL, &e), 0);
	assert_int_equal(snapshots_remove(s, "done", &e), -EBUSY);
	assert_int_equal(snapshots_remove(s, "nobody", &e), -ENOENT);
	assert_int_equal(snapshots_remove(s, "child", &e), 0);
	assert_int_equal(snapshots_remove(s, "done", &e), 0);
}

static void a_parent_may_come_with_the_commit(void **state)
{
	struct snapshots *s = *state;
	struct state *st = snapshots_state(s);
	struct snapshot got = {0};
	struct labels none = {0};
	struct err e = {0};

	layer(s, "a", "");
	layer(s, "b", "");
	assert_int_equal(prepare(s, "later", "", SNAPSHOT_ACTIVE, NULL, &e), 0);
	assert_int_equal(state_commit(st, "later", "top", "nobody", &none, &e), -ENOENT);
	assert_int_equal(state_commit(st, "later", "top", "a", &none, &e), 0);
	assert_int_equal(state_get(st, "top", &got, &e), 0);
	assert_string_equal(got.parent, "a");
	snapshot_release(&got);
	assert_int_equal(prepare(s, "other", "b", SNAPSHOT_ACTIVE, NULL, &e), 0);
	assert_int_equal(state_commit(st, "other", "top2", "a", &none, &e), -EINVAL);
}

static void a_commit_has_only_its_own_labels(void **state)
{
	struct snapshots *s = *state;
	struct state *st = snapshots_state(s);
	struct snapshot got = {0};
	struct labels labels = {0};
	struct err e = {0};

	labels_set(&labels, "new", "1");
	assert_int_equal(prepare(s, "key", "", SNAPSHOT_ACTIVE, NULL, &e), 0);
	assert_int_equal(state_get(st, "key", &got, &e), 0);
	assert_string_equal(labels_get(&got.labels, "of"), "key");
	snapshot_release(&got);
	assert_int_equal(state_commit(st, "key", "name", "", &labels, &e), 0);
	labels_release(&labels);
	assert_int_equal(state_get(st, "name", &got, &e), 0);
	assert_int_equal(got.labels.count, 1);
	assert_string_equal(labels_get(&got.labels, "new"), "1");
	assert_int_equal(got.kind, SNAPSHOT_COMMITTED);
	snapshot_release(&got);
	assert_int_equal(state_get(st, "key", &got, &e), -ENOENT);
}

static void rows_survive_a_restart(void **state)
{
	struct snapshots *s = *state;
	struct snapshot *all = NULL;
	struct err e = {0};
	size_t count = 0;

	layer(s, "a", "");
	layer(s, "b", "a");
	assert_int_equal(prepare(s, "run", "b", SNAPSHOT_ACTIVE, NULL, &e), 0);
	*state = s = reopen(s);
	expect_mounts(s, "run",
		      "overlay overlay workdir=R/snapshots/3/work upperdir=R/snapshots/3/fs "
		      "lowerdir=R/snapshots/2/fs:R/snapshots/1/fs");
	assert_int_equal(state_all(snapshots_state(s), NULL, &all, &count, &e), 0);
	assert_int_equal(count, 3);
	assert_string_equal(all[2].name, "run");
	assert_string_equal(all[2].parent, "b");
	assert_string_equal(labels_get(&all[2].labels, "of"), "run");
	for (size_t i = 0; i < count; i++)
		snapshot_release(&all[i]);
	free(all);
}

/* Their names, each behind a space. */
static char *names_above(struct snapshots *s, const char *parent)
{
	char *names = mem_strdup("");
	struct snapshot *all = NULL;
	struct err e = {0};
	size_t count = 0;

	if (state_all(snapshots_state(s), parent, &all, &count, &e) < 0)
		fail_msg("%s", e.text);
	for (size_t i = 0; i < count; i++) {
		char *longer = mem_printf("%s %s", names, all[i].name);

		free(names);
		names = longer;
		snapshot_release(&all[i]);
	}
	free(all);
	return names;
}

static void expect_above(struct snapshots *s, const char *parent, const char *want)
{
	char *names cleanup(free_at) = names_above(s, parent);

	assert_string_equal(names, want);
}

static void snapshots_are_listed_by_their_parent(void **state)
{
	struct snapshots *s = *state;
	struct err e = {0};

	layer(s, "a", "");
	layer(s, "b", "a");
	layer(s, "c", "a");
	assert_int_equal(prepare(s, "run", "b", SNAPSHOT_ACTIVE, NULL, &e), 0);
	expect_above(s, NULL, " a b c run");
	expect_above(s, "", " a");
	expect_above(s, "a", " b c");
	expect_above(s, "b", " run");
	expect_above(s, "run", "");
	expect_above(s, "nobody", "");
}

static bool is_there(const char *below)
{
	char *path cleanup(free_at) = mem_printf("%s/%s", root, below);
	struct stat st;

	return lstat(path, &st) == 0;
}

static void write_file(const char *below, size_t len)
{
	char *path cleanup(free_at) = mem_printf("%s/%s", root, below);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	while (len--)
		fputc('x', f);
	assert_int_equal(fclose(f), 0);
}

static void wait_until_gone(const char *below)
{
	const struct timespec tick = {.tv_nsec = 2000000};
	int64_t end = clock_ms() + 20000;

	while (is_there(below) && clock_ms() < end)
		nanosleep(&tick, NULL);
	assert_false(is_there(below));
}

static unsigned entries_of_snapshots(void)
{
	char *path cleanup(free_at) = mem_printf("%s/snapshots", root);
	DIR *d = opendir(path);
	unsigned count = 0;

	assert_non_null(d);
	for (const struct dirent *entry; (entry = readdir(d));)
		count += entry->d_name[0] != '.';
	closedir(d);
	return count;
}

static void leftovers_of_a_crash_are_removed(void **state)
{
	struct snapshots *s = *state;
	char *path cleanup(free_at) = mem_printf("%s/snapshots/77", root);
	struct err e = {0};

	assert_int_equal(prepare(s, "run", "", SNAPSHOT_ACTIVE, NULL, &e), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	write_file("snapshots/77/file", 10);
	*state = s = reopen(s);
	assert_false(is_there("snapshots/77"));
	snapshots_close(s); /* the sweep has ended */
	assert_int_equal(entries_of_snapshots(), 1);
	assert_true(is_there("snapshots/1/fs"));
	*state = reopen(NULL);
}

static void a_leftover_does_not_hinder_its_id(void **state)
{
	struct snapshots *s = *state;
	char *path cleanup(free_at) = mem_printf("%s/snapshots/1", root);
	struct err e = {0};

	assert_int_equal(mkdir(path, 0700), 0);
	write_file("snapshots/1/junk", 10);
	assert_int_equal(prepare(s, "run", "", SNAPSHOT_ACTIVE, NULL, &e), 0);
	assert_true(is_there("snapshots/1/work"));
	assert_false(is_there("snapshots/1/junk"));
}

static void removed_directories_go_away(void **state)
{
	struct snapshots *s = *state;
	struct err e = {0};

	assert_int_equal(prepare(s, "run", "", SNAPSHOT_ACTIVE, NULL, &e), 0);
	write_file("snapshots/1/fs/file", 10);
	assert_int_equal(snapshots_remove(s, "run", &e), 0);
	wait_until_gone("snapshots/1");
}

static void usage_counts_a_hard_link_once(void **state)
{
	struct snapshots *s = *state;
	char *from cleanup(free_at) = mem_printf("%s/snapshots/1/fs/a", root);
	char *to cleanup(free_at) = mem_printf("%s/snapshots/1/fs/b", root);
	struct labels none = {0};
	int64_t size = 0, inodes = 0, again = 0;
	struct err e = {0};

	assert_int_equal(prepare(s, "key", "", SNAPSHOT_ACTIVE, NULL, &e), 0);
	write_file("snapshots/1/fs/a", 100000);
	assert_int_equal(link(from, to), 0);
	assert_int_equal(snapshots_usage(s, "key", &size, &inodes, &e), 0);
	assert_int_equal(inodes, 2); /* the directory and the file */
	assert_in_range(size, 100000, 150000);
	assert_int_equal(state_commit(snapshots_state(s), "key", "name", "", &none, &e), 0);
	assert_int_equal(snapshots_usage(s, "name", &again, &inodes, &e), 0);
	assert_int_equal(again, size);
	/* Kept: what is committed does not change. */
	write_file("snapshots/1/fs/c", 100000);
	assert_int_equal(snapshots_usage(s, "name", &again, &inodes, &e), 0);
	assert_int_equal(again, size);
	assert_int_equal(snapshots_usage(s, "nobody", &again, &inodes, &e), -ENOENT);
}

static void a_newer_database_is_refused(void **state)
{
	struct snapshots *s = NULL;
	char *path cleanup(free_at) = mem_printf("%s/metadata.db", root);
	struct err e = {0};
	FILE *f;

	snapshots_close(*state);
	*state = NULL;
	/* user_version stands at byte 60 of the file, big-endian (sqlite.org/fileformat). */
	f = fopen(path, "r+");
	assert_non_null(f);
	assert_int_equal(fseek(f, 63, SEEK_SET), 0);
	fputc(9, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(snapshots_open(root, lazy, &s, &e), -EPROTO);
	assert_non_null(strstr(e.text, "version 9"));
}

static int prepare_layer(struct snapshots *s, const char *key, const char *parent, struct err *e)
{
	struct snapshot snap = {
		.name = mem_strdup(key), .parent = mem_strdup(parent), .kind = SNAPSHOT_ACTIVE};
	struct mount_plan m = {0};
	int r;

	labels_set(&snap.labels, "containerd.io/snapshot.ref", "sha256:x");
	labels_set(&snap.labels, "containerd.io/snapshot/cri.layer-digest", "sha256:y");
	labels_set(&snap.labels, "containerd.io/snapshot/cri.image-ref", "r/i:t");
	r = snapshots_prepare(s, &snap, &m, e);
	mount_plan_release(&m);
	snapshot_release(&snap);
	return r;
}

static void a_layer_is_unpacked_when_there_is_no_daemon(void **state)
{
	struct snapshots *s = *state;
	struct err e = {0};

	assert_int_equal(prepare_layer(s, "ns/1/extract x", "", &e), 0);
	expect_mounts(s, "ns/1/extract x", "bind R/snapshots/1/fs rw rbind");
}

static void a_chain_is_that_of_the_image_specification(void **state)
{
	/* printf 'sha256:...a sha256:...b' | sha256sum */
	static const char a[] =
		"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	static const char b[] =
		"sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
	static const char ab[] =
		"sha256:ccd722928bd92476ba1745586fed6e45a102504185ad88cd89e01ff116fd146c";

	(void)state;
	assert_true(lazy_is_chain(a, NULL, a));
	assert_false(lazy_is_chain(a, NULL, b));
	assert_true(lazy_is_chain(ab, a, b));
	assert_false(lazy_is_chain(ab, b, a));
	assert_false(lazy_is_chain(ab, "sha256:short", b));
	assert_false(lazy_is_chain("", a, b));
	assert_false(lazy_is_chain(ab, a, ""));
}

#define snapshots_test(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		snapshots_test(mounts_are_those_of_overlayfs),
		snapshots_test(wrong_orders_are_refused),
		snapshots_test(a_parent_may_come_with_the_commit),
		snapshots_test(a_commit_has_only_its_own_labels),
		snapshots_test(rows_survive_a_restart),
		snapshots_test(snapshots_are_listed_by_their_parent),
		snapshots_test(leftovers_of_a_crash_are_removed),
		snapshots_test(a_leftover_does_not_hinder_its_id),
		snapshots_test(removed_directories_go_away),
		snapshots_test(usage_counts_a_hard_link_once),
		snapshots_test(a_newer_database_is_refused),
		snapshots_test(a_layer_is_unpacked_when_there_is_no_daemon),
		cmocka_unit_test(a_chain_is_that_of_the_image_specification),
	};

	return cmocka_run_group_tests(tests, rpc_group_setup, rpc_group_teardown);
}
