/* The tree's roots, blobs by digest, and what an open blob tells. */
#include "test/unit/daemon/tree_fixture.h"

#include "base/timer.h"
#include "daemon/task.h"

static void roots_are_there_and_nothing_else(void **state)
{
	static const char *const roots[] = {"sha256", "oci", "http", "https"};
	struct tree_world *w = *state;
	struct asked a;

	for (size_t i = 0; i < array_len(roots); i++) {
		assert_ok(look_up(w, roots[i], &a));
		assert_int_equal(a.entry.kind, FS_DIR);
		assert_true(a.entry.lasting);
	}
	assert_int_equal(look_up(w, "diffs", &a), -ENOENT);
	assert_int_equal(look_up(w, "sha2567", &a), -ENOENT);
	assert_list(w, "", "sha256/ oci/ http/ https/ ");
	assert_list(w, "nothing", "");
}

static void digest_that_is_none_is_not_there(void **state)
{
	struct tree_world *w = *state;

	assert_int_equal(code_of(w, "sha256", "abc"), ENOENT);
	assert_int_equal(code_of(w, "sha256", "x"), ENOENT);
	assert_int_equal(code_of(w, "sha256", planted.layer_hex), ENOENT);
	assert_int_equal(fake_count(w->server), 0);
}

static void blob_comes_from_where_its_digest_was_seen(void **state)
{
	struct tree_world *w = *state;
	cleanup(free_at) char *want = mem_printf("%s ", planted.layer_hex);
	cleanup(free_at) char *digest = NULL;
	cleanup(free_at) char *id = NULL;
	struct fs_blob *blob;

	task_note_source(w->tasks, planted.layer_hex, w->server->url, "team/app", NULL);
	blob = open_file(w, "sha256", planted.layer_hex, LAYER_SIZE);
	assert_ok(read_blob(w, blob, 0, LAYER_SIZE));
	id = attr_of(w, blob, "task_id");
	digest = attr_of(w, blob, "digest");
	assert_string_equal(id, planted.layer_hex);
	assert_string_equal(digest + 7, planted.layer_hex);
	await(blobs_ops.complete_fd(w->b, blob) >= 0);
	close_file(w, blob);
	assert_list(w, "sha256", want);
	assert_list(w, "http", "");
}

static void reads_across_pieces_are_right(void **state)
{
	struct tree_world *w = *state;
	struct fs_blob *blob = open_file(w, w->host_dir, "file", FILE_SIZE);

	assert_ok(read_blob(w, blob, (4u << 20) - 1000, 2000));
	assert_ok(read_blob(w, blob, (8u << 20) - 1, 2));
	assert_ok(read_blob(w, blob, FILE_SIZE - 1, 1));
	assert_ok(read_blob(w, blob, 0, 1u << 20));
	close_file(w, blob);
}

static void first_read_fetches_all_in_the_background(void **state)
{
	struct tree_world *w = *state;
	struct fs_blob *blob = open_file(w, w->host_dir, "file", FILE_SIZE);

	assert_int_equal(blobs_ops.complete_fd(w->b, blob), -1);
	assert_ok(read_blob(w, blob, 0, 10));
	await(blobs_ops.complete_fd(w->b, blob) >= 0);
	close_file(w, blob);
}

static void attributes_tell_what_is_here(void **state)
{
	struct tree_world *w = *state;
	struct fs_blob *blob = open_file(w, w->host_dir, "small", 1000);
	cleanup(free_at) char *url = attr_of(w, blob, "url");
	cleanup(free_at) char *pieces = attr_of(w, blob, "pieces");
	cleanup(free_at) char *after = NULL;
	cleanup(free_at) char *bytes = NULL;
	cleanup(free_at) char *source = NULL;
	char text[4];

	assert_string_equal(url + strlen(w->server->url), "/small");
	assert_string_equal(pieces, "0/1");
	assert_null(attr_of(w, blob, "source"));
	assert_null(attr_of(w, blob, "digest"));
	assert_null(attr_of(w, blob, "error"));
	assert_null(attr_of(w, blob, "nonsense"));
	assert_ok(read_blob(w, blob, 0, 1000));
	after = attr_of(w, blob, "pieces");
	bytes = attr_of(w, blob, "bytes_local");
	source = attr_of(w, blob, "source");
	assert_string_equal(after, "1/1");
	assert_string_equal(bytes, "1000");
	assert_string_equal(source, "origin");
	/* Cut, but with the whole length. */
	assert_int_equal(blobs_ops.attr(w->b, blob, "task_id", text, sizeof(text)), 64);
	assert_int_equal(strlen(text), 3);
	close_file(w, blob);
}

static void reason_of_a_failure_is_an_attribute(void **state)
{
	struct tree_world *w = *state;
	struct fs_blob *blob = open_file(w, w->host_dir, "small", 1000);
	char text[256] = "";

	__atomic_store_n(&planted.down, true, __ATOMIC_RELAXED);
	assert_int_equal(read_blob(w, blob, 0, 10), -EIO);
	/* The reader is told first. */
	await(blobs_ops.attr(w->b, blob, "error", text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "503"));
	close_file(w, blob);
}

static void empty_file_is_complete(void **state)
{
	struct tree_world *w = *state;
	struct fs_blob *blob = open_file(w, w->host_dir, "empty", 0);

	assert_true(blobs_ops.complete_fd(w->b, blob) >= 0);
	close_file(w, blob);
}

static void content_that_changed_is_looked_up_again(void **state)
{
	struct tree_world *w = *state;
	struct fs_blob *old = open_file(w, w->host_dir, "changes", 1000), *now;
	cleanup(free_at) char *id = attr_of(w, old, "task_id");
	struct err e = {0};

	blobs_ops.close(w->b, old);
	assert_ok(task_delete(w->tasks, id, &e));
	__atomic_store_n(&planted.changed, true, __ATOMIC_RELAXED);
	now = open_file(w, w->host_dir, "changes", 900);
	assert_int_equal(open_blob(w, old), -ESTALE);
	blobs_ops.unref(w->b, old);
	close_file(w, now);
}

static void open_that_is_taken_back_is_not_answered(void **state)
{
	struct tree_world *w = *state;
	struct fs_blob *blob = open_file(w, w->host_dir, "small", 1000);
	cleanup(free_at) char *id = attr_of(w, blob, "task_id");
	struct err e = {0};
	struct asked a;

	blobs_ops.close(w->b, blob);
	assert_ok(task_delete(w->tasks, id, &e));
	asked_init(&a);
	a.open.done = opened;
	blobs_ops.open(w->b, blob, &a.open);
	if (blobs_ops.open_cancel(w->b, &a.open)) {
		assert_false(a.over);
	} else {
		asked_wait(&a);
		if (!a.err.code)
			blobs_ops.close(w->b, blob);
	}
	/* Once only. */
	assert_false(blobs_ops.open_cancel(w->b, &a.open));
	blobs_ops.unref(w->b, blob);
}

static void lookup_that_is_taken_back_is_not_answered(void **state)
{
	struct tree_world *w = *state;
	cleanup(free_at) char *path = mem_printf("%s/hangs", w->host_dir);
	struct asked a;

	asked_init(&a);
	a.lookup.done = looked_up;
	blobs_ops.lookup(w->b, path, &a.lookup);
	await(fake_count(w->server) == 1);
	assert_true(blobs_ops.lookup_cancel(w->b, &a.lookup));
	assert_false(blobs_ops.lookup_cancel(w->b, &a.lookup));
	assert_false(a.over);
}

static void read_that_is_taken_back_is_not_answered(void **state)
{
	struct tree_world *w = *state;
	struct fs_blob *blob = open_file(w, w->host_dir, "stuck", 1000);
	unsigned char data[10];
	struct asked a;

	asked_init(&a);
	a.read.done = was_read;
	a.data = data;
	blobs_ops.read(w->b, blob, 0, sizeof(data), &a.read);
	assert_true(blobs_ops.read_cancel(w->b, &a.read));
	assert_false(blobs_ops.read_cancel(w->b, &a.read));
	assert_false(a.over);
	close_file(w, blob);
}

#define blobs_case(name) cmocka_unit_test_setup_teardown(name, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		blobs_case(roots_are_there_and_nothing_else),
		blobs_case(digest_that_is_none_is_not_there),
		blobs_case(blob_comes_from_where_its_digest_was_seen),
		blobs_case(reads_across_pieces_are_right),
		blobs_case(first_read_fetches_all_in_the_background),
		blobs_case(attributes_tell_what_is_here),
		blobs_case(reason_of_a_failure_is_an_attribute),
		blobs_case(empty_file_is_complete),
		blobs_case(content_that_changed_is_looked_up_again),
		blobs_case(open_that_is_taken_back_is_not_answered),
		blobs_case(lookup_that_is_taken_back_is_not_answered),
		blobs_case(read_that_is_taken_back_is_not_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
