/* fs/layer/erofs_tree: what erofs.c wrote is read again; whatever is damaged is refused. That the
 * kernel reads the same is test/integration/61_layer_tree.py's. */
#include "test/unit/unit.h"

#include "base/buf.h"
#include "base/mem.h"
#include "fs/layer/index.h"
#include "test/unit/fs/layer/erofs_walk.h"
#include "test/unit/fs/layer/tar_make.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define CROWD	 700 /* names in one directory: many blocks of it */
#define FILE_LEN 70000

static char long_target[1500];
static struct erofs_tree *tree;
static int image_fd;

static void fill(struct buf *t)
{
	tar_put(t, "d/", '5', 0, NULL);
	tar_pax_records(t, "25 SCHILY.xattr.user.x=1\n30 mtime=5000000000.123456789\n"
			   "18 uid=4000000000\n");
	tar_put_data(t, "d/f", '0', "contents", FILE_LEN);
	tar_pax_put(t, 'x', "SCHILY.xattr.user.x", "shared");
	tar_put(t, "d/g", '0', 0, NULL);
	tar_pax_put(t, 'x', "SCHILY.xattr.user.x", "shared");
	tar_put(t, "d/h", '0', 0, NULL);
	tar_put(t, "d/e", '0', 0, NULL);
	tar_put(t, "d/link", '1', 0, "d/e");
	tar_put(t, "d/sym", '2', 0, "f");
	tar_text_put(t, 'K', long_target);
	tar_put(t, "d/far", '2', 0, "cut");
	tar_put(t, "d/fifo", '6', 0, NULL);
	tar_put(t, "d/.wh.gone", '0', 0, NULL);
	tar_put(t, "d/o/", '5', 0, NULL);
	tar_put(t, "d/o/.wh..wh..opq", '0', 0, NULL);
	tar_put(t, "crowd/", '5', 0, NULL);
	for (int i = 0; i < CROWD; i++) {
		char name[40];

		snprintf(name, sizeof(name), "crowd/%d", i * 7919 % CROWD);
		tar_put(t, name, '0', 0, NULL);
	}
	tar_finish(t);
}

static int make_image(const struct buf *tar)
{
	int index_fd = memfd_create("index", 0), fd = memfd_create("erofs", 0);
	struct layer_index *ix;
	struct index_build *b;
	struct err e = {0};
	int r = index_build_new(NULL, &b, &e);

	if (r == 0)
		r = index_build_feed(b, tar->data, tar->len, &e);
	if (r == 0)
		r = index_build_end(b, index_fd, NULL, &e);
	index_build_free(b);
	if (r == 0)
		r = index_open(index_fd, &ix, &e);
	if (r < 0 || index_erofs_write(ix, fd, &e) < 0)
		fail_msg("%s", e.text);
	index_free(ix);
	close(index_fd);
	return fd;
}

static int set_up(void **state)
{
	struct buf tar = BUF_INIT(4 << 20);
	struct err e = {0};

	(void)state;
	memset(long_target, 'x', sizeof(long_target) - 1);
	fill(&tar);
	image_fd = make_image(&tar);
	buf_release(&tar);
	if (erofs_tree_open(image_fd, &tree, &e) < 0)
		fail_msg("%s", e.text);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	erofs_tree_free(tree);
	close(image_fd);
	return 0;
}

static int find(const char *path, struct erofs_attr *out)
{
	cleanup(free_at) char *copy = mem_strdup(path);
	uint64_t nid = erofs_tree_root(tree);
	char *rest = NULL;
	struct err e;

	for (char *p = strtok_r(copy, "/", &rest); p; p = strtok_r(NULL, "/", &rest)) {
		int r = erofs_tree_attr(tree, nid, out, &e);

		if (r == 0)
			r = erofs_tree_lookup(tree, out, p, &nid, &e);
		if (r < 0)
			return r;
	}
	return erofs_tree_attr(tree, nid, out, &e);
}

static struct erofs_attr attr_of(const char *path)
{
	struct erofs_attr a;

	if (find(path, &a) < 0)
		fail_msg("no %s", path);
	return a;
}

static void a_file_is_what_the_archive_says(void **state)
{
	struct erofs_attr f = attr_of("d/f"), link = attr_of("d/link"), linked = attr_of("d/e");
	struct erofs_extent x[4];
	unsigned count;
	struct err e;

	(void)state;
	assert_int_equal(f.mode, S_IFREG | 0644);
	assert_int_equal(f.size, FILE_LEN);
	assert_int_equal(f.uid, 4000000000u);
	assert_int_equal(f.mtime_s, INT64_C(5000000000));
	assert_int_equal(f.mtime_ns, 123456789);
	assert_int_equal(f.nlink, 1);
	assert_int_equal(link.nlink, 2);
	assert_int_equal(link.nid, linked.nid);
	assert_int_equal(erofs_tree_extents(tree, &f, 10, 100, x, 4, &count, &e), 0);
	assert_int_equal(count, 1);
	/* d/, two headers of pax, one of the file are before it. */
	assert_int_equal(x[0].pos, 4 * 512 + 10);
	assert_int_equal(x[0].len, 100);
	assert_false(x[0].hole);
	assert_int_equal(erofs_tree_extents(tree, &f, FILE_LEN - 1, 2, x, 4, &count, &e), -EINVAL);
}

static void links_lead_where_they_did(void **state)
{
	char text[EROFS_TARGET_MAX + 1];
	struct erofs_attr sym = attr_of("d/sym"), far = attr_of("d/far"), f = attr_of("d/f");
	struct err e;

	(void)state;
	assert_int_equal(erofs_tree_target(tree, &sym, text, &e), 0);
	assert_string_equal(text, "f");
	assert_int_equal(erofs_tree_target(tree, &far, text, &e), 0);
	assert_string_equal(text, long_target);
	assert_int_equal(erofs_tree_target(tree, &f, text, &e), -EINVAL);
}

static void whiteouts_are_overlayfs_own(void **state)
{
	struct erofs_attr gone = attr_of("d/gone"), opaque = attr_of("d/o"),
			  fifo = attr_of("d/fifo");
	char value[8];
	size_t len;
	struct err e;

	(void)state;
	assert_true(S_ISCHR(gone.mode));
	assert_int_equal(gone.rdev, makedev(0, 0));
	assert_true(S_ISFIFO(fifo.mode));
	assert_int_equal(erofs_tree_xattr(tree, &opaque, "trusted.overlay.opaque", value,
					  sizeof(value), &len, &e),
			 0);
	assert_int_equal(len, 1);
	assert_int_equal(value[0], 'y');
}

static void attributes_are_found_shared_or_not(void **state)
{
	struct erofs_attr f = attr_of("d/f"), g = attr_of("d/g"), d = attr_of("d");
	unsigned count = 0;
	char value[8];
	size_t len;
	struct err e;

	(void)state;
	assert_int_equal(erofs_tree_xattr(tree, &f, "user.x", value, 8, &len, &e), 0);
	assert_int_equal(len, 1);
	assert_int_equal(value[0], '1');
	assert_int_equal(erofs_tree_xattr(tree, &g, "user.x", value, 8, &len, &e), 0);
	assert_memory_equal(value, "shared", 6);
	assert_int_equal(erofs_tree_xattr(tree, &g, "user.x", NULL, 0, &len, &e), 0);
	assert_int_equal(len, 6);
	assert_int_equal(erofs_tree_xattr(tree, &g, "user.x", value, 5, &len, &e), -ERANGE);
	assert_int_equal(erofs_tree_xattr(tree, &g, "user.y", value, 8, &len, &e), -ENODATA);
	assert_int_equal(erofs_tree_xattr(tree, &d, "user.x", value, 8, &len, &e), -ENODATA);
	assert_int_equal(erofs_tree_xattrs(tree, &g, walk_name, &count, &e), 0);
	assert_int_equal(count, 1);
}

static void a_directory_of_many_blocks_is_listed_and_searched(void **state)
{
	struct erofs_attr crowd = attr_of("crowd"), file = attr_of("d/f"), a;
	struct erofs_name name = {.next = 0};
	unsigned count = 0;
	bool found = true;
	uint64_t nid;
	struct err e;

	(void)state;
	while (found) {
		assert_int_equal(erofs_tree_next(tree, &crowd, name.next, &name, &found, &e), 0);
		if (!found)
			break;
		count++;
		assert_int_equal(erofs_tree_lookup(tree, &crowd, name.text, &nid, &e), 0);
		assert_int_equal(nid, name.nid);
	}
	assert_int_equal(count, CROWD + 2);
	assert_int_equal(erofs_tree_lookup(tree, &crowd, "7x", &nid, &e), -ENOENT);
	assert_int_equal(erofs_tree_lookup(tree, &crowd, "", &nid, &e), -ENOENT);
	assert_int_equal(erofs_tree_lookup(tree, &file, "x", &nid, &e), -ENOTDIR);
	assert_int_equal(find("d/f/x", &a), -ENOTDIR);
}

static void places_outside_are_refused(void **state)
{
	struct erofs_attr crowd = attr_of("crowd"), a;
	struct erofs_name name;
	bool found;
	struct err e;

	(void)state;
	assert_int_equal(erofs_tree_attr(tree, EROFS_NID_MAX, &a, &e), -EBADMSG);
	assert_int_equal(erofs_tree_attr(tree, UINT64_MAX, &a, &e), -EBADMSG);
	assert_int_equal(erofs_tree_next(tree, &crowd, 63, &name, &found, &e), -EINVAL);
	assert_int_equal(erofs_tree_next(tree, &crowd, UINT64_MAX, &name, &found, &e), 0);
	assert_false(found);
}

/* A small image, so that every byte of it can be changed. */
static void a_changed_byte_is_an_error_or_another_answer_but_no_harm(void **state)
{
	struct buf tar = BUF_INIT(1 << 20);
	unsigned told = 0;
	off_t len;
	int fd;

	(void)state;
	tar_put(&tar, "d/", '5', 0, NULL);
	tar_pax_put(&tar, 'x', "SCHILY.xattr.user.x", "value");
	tar_put_data(&tar, "d/f", '0', "contents", 1000);
	tar_put(&tar, "d/sym", '2', 0, "f");
	tar_finish(&tar);
	fd = make_image(&tar);
	buf_release(&tar);
	assert_int_equal(erofs_walk_all(fd), 0);
	len = lseek(fd, 0, SEEK_END);
	for (off_t at = 1024; at < len; at++) {
		unsigned char byte, other;

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		other = byte ^ 0xff;
		assert_int_equal(pwrite(fd, &other, 1, at), 1);
		told += erofs_walk_all(fd) > 0;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	assert_true(told > 50);
	for (off_t at = 0; at < len; at += 64) {
		assert_int_equal(ftruncate(fd, len - at), 0);
		(void)erofs_walk_all(fd);
	}
	assert_int_equal(erofs_walk_all(fd), UINT32_MAX);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_what_the_archive_says),
		cmocka_unit_test(links_lead_where_they_did),
		cmocka_unit_test(whiteouts_are_overlayfs_own),
		cmocka_unit_test(attributes_are_found_shared_or_not),
		cmocka_unit_test(a_directory_of_many_blocks_is_listed_and_searched),
		cmocka_unit_test(places_outside_are_refused),
		cmocka_unit_test(a_changed_byte_is_an_error_or_another_answer_but_no_harm),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
