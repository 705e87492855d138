/* fs/layer/tar: entries out of bytes, however they are cut */
#include "test/unit/unit.h"

#include "base/buf.h"
#include "base/mem.h"
#include "fs/layer/tar.h"
#include "test/unit/fs/layer/tar_make.h"

#include <errno.h>
#include <string.h>

struct seen {
	struct buf text; /* a line for every entry */
};

static int took(void *arg, const struct tar_entry *t, struct err *e)
{
	struct seen *s = arg;

	(void)e;
	buf_printf(&s->text, "%d %s>%s %o %u:%u %lld.%09u %llu@%llu", (int)t->type, t->path,
		   t->link, t->mode, t->uid, t->gid, (long long)t->mtime_s, t->mtime_ns,
		   (unsigned long long)t->size, (unsigned long long)t->pos);
	for (uint32_t i = 0; i < t->xattr_count; i++)
		buf_printf(&s->text, " %s=%.*s", t->xattrs[i].name, (int)t->xattrs[i].value_len,
			   (const char *)t->xattrs[i].value);
	for (uint32_t i = 0; i < t->segment_count; i++)
		buf_printf(&s->text, " %llu+%llu@%llu", (unsigned long long)t->segments[i].offset,
			   (unsigned long long)t->segments[i].len,
			   (unsigned long long)t->segments[i].pos);
	buf_puts(&s->text, "\n");
	return 0;
}

static int parse(const struct buf *tar, size_t step, struct seen *s, struct err *e)
{
	struct tar_parser *p = tar_parser_new(took, s);
	int r = 0;

	for (size_t at = 0; r == 0 && at < tar->len; at += step)
		r = tar_parser_feed(p, tar->data + at, tar->len - at < step ? tar->len - at : step,
				    e);
	if (r == 0)
		r = tar_parser_end(p, e);
	tar_parser_free(p);
	return r;
}

/* The same lines come out whether the bytes come at once, by 7 or by 512. */
static void gives(struct buf *tar, const char *lines)
{
	static const size_t steps[] = {1 << 20, 512, 7, 1};
	struct err e;

	for (size_t i = 0; i < array_len(steps); i++) {
		struct seen s = {BUF_INIT(0)};

		buf_puts(&s.text, "");
		assert_int_equal(parse(tar, steps[i], &s, &e), 0);
		assert_string_equal(s.text.data, lines);
		buf_release(&s.text);
	}
	buf_release(tar);
}

static void refuses(struct buf *tar, int code, const char *why)
{
	struct seen s = {BUF_INIT(0)};
	struct err e = {0};

	assert_int_equal(parse(tar, 1 << 20, &s, &e), -code);
	if (!strstr(e.text, why))
		fail_msg("\"%s\" does not say \"%s\"", e.text, why);
	buf_release(&s.text);
	buf_release(tar);
}

static void plain_entries_come_out(void **state)
{
	struct buf t = BUF_INIT(0);

	(void)state;
	tar_put(&t, "a/", '5', 0, NULL);
	tar_put(&t, "a/f", '0', 700, NULL);
	tar_put(&t, "a/l", '2', 0, "f");
	tar_finish(&t);
	buf_puts(&t, "and what follows is not looked at");
	gives(&t, "5 a/> 644 0:0 1000.000000000 0@512\n"
		  "0 a/f> 644 0:0 1000.000000000 700@1024\n"
		  "2 a/l>f 644 0:0 1000.000000000 0@2560\n");
}

static void pax_overrides_the_header(void **state)
{
	struct buf t = BUF_INIT(0);

	(void)state;
	tar_pax_put(&t, 'g', "comment", "of all");
	tar_pax_put(&t, 'x', "path", "long/name");
	tar_put(&t, "short", '0', 3, NULL);
	tar_pax_put(&t, 'x', "mtime", "-1.25");
	tar_put(&t, "n", '0', 0, NULL);
	tar_pax_put(&t, 'x', "SCHILY.xattr.user.a", "b=c");
	tar_put(&t, "x", '0', 0, NULL);
	tar_pax_put(&t, 'x', "uid", "3000000000");
	tar_put(&t, "u", '0', 0, NULL);
	gives(&t, "0 long/name> 644 0:0 1000.000000000 3@2560\n"
		  "0 n> 644 0:0 -2.750000000 0@4608\n"
		  "0 x> 644 0:0 1000.000000000 0@6144 user.a=b=c\n"
		  "0 u> 644 3000000000:0 1000.000000000 0@7680\n");
}

static void gnu_long_names_hold_for_one_entry(void **state)
{
	struct buf t = BUF_INIT(0);

	(void)state;
	tar_text_put(&t, 'L', "a/very/long/name");
	tar_text_put(&t, 'K', "a/long/target");
	tar_put(&t, "a/very", '2', 0, "a/lo");
	tar_put(&t, "next", '2', 0, "x");
	gives(&t, "2 a/very/long/name>a/long/target 644 0:0 1000.000000000 0@2560\n"
		  "2 next>x 644 0:0 1000.000000000 0@3072\n");
}

static void a_sparse_map_in_the_data_is_read(void **state)
{
	struct buf t = BUF_INIT(0);

	(void)state;
	tar_pax_records(&t, "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"
			    "22 GNU.sparse.name=sp\n28 GNU.sparse.realsize=8192\n");
	tar_put_data(&t, "GNUSparseFile.0/sp", '0', "2\n4096\n512\n8192\n0\n", 1024);
	gives(&t, "0 sp> 644 0:0 1000.000000000 8192@2048 4096+512@2048 8192+0@2560\n");
}

static void sparse_maps_that_do_not_fit_are_refused(void **state)
{
	static const char *const maps[] = {"0,100", "0,512,0,512", "8000,512", "0,512,600"};

	(void)state;
	for (size_t i = 0; i < array_len(maps); i++) {
		struct buf t = BUF_INIT(0);
		struct buf records = BUF_INIT(0);

		buf_printf(&records, "26 GNU.sparse.size=008192\n%zu GNU.sparse.map=%s\n",
			   strlen(maps[i]) + 19, maps[i]);
		tar_pax_records(&t, records.data);
		tar_put(&t, "sp", '0', 512, NULL);
		refuses(&t, EBADMSG, "sparse map");
		buf_release(&records);
	}
}

static void what_is_no_tar_is_refused(void **state)
{
	struct buf t = BUF_INIT(0);

	(void)state;
	for (int i = 0; i < 100; i++)
		buf_puts(&t, "this is not a tar at all.");
	refuses(&t, EBADMSG, "checksum");
	tar_put(&t, "f", '0', 5000, NULL);
	t.len -= 600;
	refuses(&t, EBADMSG, "in the middle");
	tar_put(&t, "f", 'M', 0, NULL);
	refuses(&t, ENOTSUP, "type M");
	tar_finish(&t);
	t.len -= 512;
	tar_put(&t, "f", '0', 0, NULL);
	refuses(&t, EBADMSG, "one block of zeros");
	tar_put(&t, "", '0', 0, NULL);
	refuses(&t, EBADMSG, "without a name");
}

static void broken_pax_headers_are_refused(void **state)
{
	static const char *const records[] = {
		"9 a=b\n", "xx a=b\n", "6 a=b ", "6 abcd\n", "999999999999999999999 a=b\n",
		"5 a=b\n"};

	(void)state;
	for (size_t i = 0; i < array_len(records); i++) {
		struct buf t = BUF_INIT(0);

		tar_pax_records(&t, records[i]);
		tar_put(&t, "f", '0', 0, NULL);
		refuses(&t, EBADMSG, "pax record");
	}
}

static void a_path_beyond_the_bound_is_refused(void **state)
{
	struct buf t = BUF_INIT(0);
	char *path = mem_alloc(5001);

	(void)state;
	memset(path, 'p', 5000);
	tar_text_put(&t, 'L', path);
	tar_put(&t, "p", '0', 0, NULL);
	refuses(&t, E2BIG, "more than 4095");
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_entries_come_out),
		cmocka_unit_test(pax_overrides_the_header),
		cmocka_unit_test(gnu_long_names_hold_for_one_entry),
		cmocka_unit_test(a_sparse_map_in_the_data_is_read),
		cmocka_unit_test(sparse_maps_that_do_not_fit_are_refused),
		cmocka_unit_test(what_is_no_tar_is_refused),
		cmocka_unit_test(broken_pax_headers_are_refused),
		cmocka_unit_test(a_path_beyond_the_bound_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
