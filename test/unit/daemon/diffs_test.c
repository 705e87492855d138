/* The tree of uncompressed layers, as the file system asks it, over a real layer and a fake task.
 */
#include "daemon/diffs.h"

#include "base/clock.h"
#include "base/lock.h"
#include "daemon/layers.h"
#include "daemon/task_wait.h"
#include "test/unit/daemon/fake_note_source.h"
#include "test/unit/daemon/layer_fixture.h"

#define LONG_MS	 (INT64_C(3600) * 1000)
#define AWAIT_MS 60000
#define FAR	 (5u << 20) /* in another span than the start */

int task_open_wait(struct tasks *ts, const struct task_request *rq, struct task **out,
		   struct err *e)
{
	(void)ts;
	(void)rq;
	(void)e;
	task_ref(&fake.task);
	*out = &fake.task;
	return 0;
}

int task_wait_complete(struct task *t, enum task_priority p, const struct task_wait *w, int *fd_out,
		       struct err *e)
{
	(void)t;
	(void)p;
	(void)w;
	*fd_out = -1;
	return err_set(e, EHOSTUNREACH, "fake");
}

int task_delete(struct tasks *ts, const char *id, struct err *e)
{
	(void)ts;
	(void)id;
	(void)e;
	return 0;
}

/* Who records what starts read is not asked here. */
void starts_note(struct starts *s, const struct layer *l, uint64_t off, uint32_t len)
{
	(void)s;
	(void)l;
	(void)off;
	(void)len;
}

static struct {
	struct layers *layers;
	struct layer_reads *reads;
	struct diffs *diffs;
	char diff_id[DIGEST_HEX_LEN + 1], path[128];
} here;

static void find_diff_id(void *arg, const char *diff_id)
{
	(void)arg;
	strcpy(here.diff_id, diff_id);
}

static int set_up(void **state)
{
	char *path cleanup(free_at) = NULL;
	const struct layers_config c = {
		.dir = dir, .quiet_ms = LONG_MS, .span_len_max = UINT64_C(1) << 40};
	struct err e = {0};

	(void)state;
	make_layer();
	path = path_of("idx");
	make_index_at(path);
	if (layers_new(&c, &here.layers, &e) < 0)
		fail_msg("%s", e.text);
	layers_each_diff(here.layers, find_diff_id, NULL);
	snprintf(here.path, sizeof(here.path), "sha256/%s", here.diff_id);
	here.reads = layer_reads_new(NULL);
	here.diffs = diffs_new(here.layers, here.reads);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	layers_stop(here.layers);
	diffs_free(here.diffs);
	layer_reads_free(here.reads);
	layers_free(here.layers);
	return remove_layer();
}

/* ---- names */

struct lookup {
	struct fs_lookup ask;
	int code;
	struct fs_entry entry;
};

static void looked_up(struct fs_lookup *ask, const struct fs_entry *entry, const struct err *e)
{
	struct lookup *l = container_of(ask, struct lookup, ask);

	l->code = e ? e->code : 0;
	if (entry)
		l->entry = *entry;
}

/* Every one is answered at once. */
static struct lookup look_up(const char *path)
{
	struct lookup l = {.ask.done = looked_up, .code = -1};

	diffs_ops.lookup(here.diffs, path, &l.ask);
	return l;
}

static struct fs_blob *blob_of_layer(void)
{
	struct lookup l = look_up(here.path);

	assert_int_equal(l.code, 0);
	assert_non_null(l.entry.blob);
	return l.entry.blob;
}

static void a_layer_is_a_file_below_sha256(void **state)
{
	struct lookup l = look_up("sha256");

	(void)state;
	assert_int_equal(l.code, 0);
	assert_int_equal(l.entry.kind, FS_DIR);
	l = look_up(here.path);
	assert_int_equal(l.code, 0);
	assert_int_equal(l.entry.kind, FS_FILE);
	assert_int_equal(l.entry.size, TAR_LEN);
	diffs_ops.unref(here.diffs, l.entry.blob);
	here.path[10] = here.path[10] == 'a' ? 'b' : 'a';
	assert_int_equal(look_up(here.path).code, ENOENT);
	assert_int_equal(look_up("sha256/x").code, ENOENT);
	assert_int_equal(look_up("elsewhere").code, ENOENT);
}

static void count_name(void *arg, const char *name, enum fs_kind kind)
{
	unsigned *count = arg;

	*count += kind == FS_DIR ? strcmp(name, "sha256") == 0
				 : 10u * (strcmp(name, here.diff_id) == 0);
}

static void directories_list_what_is_here(void **state)
{
	unsigned count = 0;

	(void)state;
	diffs_ops.list(here.diffs, "", count_name, &count);
	assert_int_equal(count, 1);
	diffs_ops.list(here.diffs, "sha256", count_name, &count);
	assert_int_equal(count, 11);
	diffs_ops.list(here.diffs, "sha256/x", count_name, &count);
	assert_int_equal(count, 11);
}

static void a_file_tells_its_digest(void **state)
{
	struct fs_blob *b = blob_of_layer();
	char text[100], want[100];

	(void)state;
	snprintf(want, sizeof(want), "sha256:%s", fake.digest);
	assert_int_equal(diffs_ops.attr(here.diffs, b, "digest", text, sizeof(text)), strlen(want));
	assert_string_equal(text, want);
	assert_int_equal(diffs_ops.attr(here.diffs, b, "url", text, sizeof(text)), -1);
	assert_int_equal(diffs_ops.complete_fd(here.diffs, b), -1);
	assert_int_equal(layers_gc(here.layers, 1) > 0, true);
	assert_int_equal(diffs_ops.attr(here.diffs, b, "digest", text, sizeof(text)), -1);
	diffs_ops.unref(here.diffs, b);
}

/* ---- open */

static void opened(struct fs_open *ask, const struct err *e)
{
	*(int *)ask->arg = e ? e->code : 0;
}

static int open_blob(struct fs_blob *b)
{
	int code = -1;
	struct fs_open ask = {.done = opened, .arg = &code};

	diffs_ops.open(here.diffs, b, &ask);
	return code;
}

static void close_blob(struct fs_blob *b)
{
	diffs_ops.close(here.diffs, b);
}

static void what_is_open_is_not_removed_and_a_name_alone_holds_nothing(void **state)
{
	struct fs_blob *b = blob_of_layer();

	(void)state;
	assert_int_equal(open_blob(b), 0);
	assert_int_equal(open_blob(b), 0);
	close_blob(b);
	assert_int_equal(layers_gc(here.layers, 1), 0);
	close_blob(b);
	assert_true(layers_gc(here.layers, 1) > 0);
	assert_int_equal(open_blob(b), ENOENT);
	diffs_ops.unref(here.diffs, b);
}

/* ---- reads */

struct reading {
	struct fs_read ask;
	uint64_t off;
	uint32_t len;
	int code;  /* 0 = right bytes, -1 = wrong ones */
	bool done; /* atomic */
};

static void read_done(struct fs_read *ask, const struct fs_extent *x, unsigned count,
		      const struct err *e)
{
	struct reading *r = container_of(ask, struct reading, ask);
	unsigned char *got cleanup(free_at) = mem_alloc(r->len);

	if (e)
		r->code = e->code;
	else
		r->code = count == 1 && x->len == r->len &&
					  pread(x->fd, got, r->len, (off_t)x->off) == r->len &&
					  memcmp(got, fake.tar + r->off, r->len) == 0
				  ? 0
				  : -1;
	__atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
}

static bool is_done(struct reading *r)
{
	return __atomic_load_n(&r->done, __ATOMIC_ACQUIRE);
}

static void read_start(struct fs_blob *b, struct reading *r, uint64_t off, uint32_t len)
{
	*r = (struct reading){.ask.done = read_done, .off = off, .len = len, .code = -2};
	diffs_ops.read(here.diffs, b, off, len, &r->ask);
}

static int read_end(struct reading *r)
{
	int64_t end = clock_ms() + AWAIT_MS;

	while (!is_done(r) && clock_ms() < end)
		usleep(500);
	assert_true(is_done(r));
	return r->code;
}

static int read_at(struct fs_blob *b, uint64_t off, uint32_t len)
{
	struct reading r;

	read_start(b, &r, off, len);
	return read_end(&r);
}

static struct fs_blob *open_layer(void)
{
	struct fs_blob *b = blob_of_layer();

	assert_int_equal(open_blob(b), 0);
	return b;
}

static void close_layer(struct fs_blob *b)
{
	close_blob(b);
	diffs_ops.unref(here.diffs, b);
}

static void what_is_missing_is_inflated_and_then_answered_at_once(void **state)
{
	struct fs_blob *b = open_layer();
	struct reading r;

	(void)state;
	assert_int_equal(read_at(b, 1000, 128 << 10), 0);
	__atomic_store_n(&fake.held, true, __ATOMIC_RELEASE);
	read_start(b, &r, 5000, 4096);
	assert_true(is_done(&r));
	assert_int_equal(r.code, 0);
	__atomic_store_n(&fake.held, false, __ATOMIC_RELEASE);
	assert_int_equal(read_at(b, TAR_LEN - 4096, 4096), 0);
	close_layer(b);
}

static void a_read_says_why_it_failed_and_the_next_one_may_succeed(void **state)
{
	struct fs_blob *b = open_layer();

	(void)state;
	fake.fails = EHOSTUNREACH;
	assert_int_equal(read_at(b, 0, 4096), EHOSTUNREACH);
	fake.fails = 0;
	assert_int_equal(read_at(b, 0, 4096), 0);
	close_layer(b);
}

static void wrong_bytes_are_an_error(void **state)
{
	struct fs_blob *b = open_layer();

	(void)state;
	memset(fake.blob + fake.blob_len / 2, 0x55, 64);
	assert_int_equal(read_at(b, TAR_LEN / 2, 1 << 20), EIO);
	assert_int_equal(read_at(b, 0, 4096), EIO); /* refused from now on */
	close_layer(b);
}

static void a_read_is_taken_back_once(void **state)
{
	struct fs_blob *b = open_layer();
	struct reading r;

	(void)state;
	__atomic_store_n(&fake.held, true, __ATOMIC_RELEASE);
	read_start(b, &r, FAR, 4096);
	assert_true(diffs_ops.read_cancel(here.diffs, &r.ask));
	__atomic_store_n(&fake.held, false, __ATOMIC_RELEASE);
	/* The worker goes on with it. */
	assert_int_equal(read_at(b, FAR, 4096), 0);
	assert_false(is_done(&r));
	read_start(b, &r, FAR, 4096);
	assert_false(diffs_ops.read_cancel(here.diffs, &r.ask));
	close_layer(b);
}

#define CROWD 8192

static void too_many_reads_are_refused_and_the_others_answered(void **state)
{
	struct reading *r cleanup(free_at) = mem_array(CROWD, sizeof(*r));
	struct fs_blob *b = open_layer();
	unsigned right = 0, refused = 0;

	(void)state;
	__atomic_store_n(&fake.held, true, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < CROWD; i++)
		read_start(b, &r[i], i * 512, 512);
	__atomic_store_n(&fake.held, false, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < CROWD; i++) {
		int code = read_end(&r[i]);

		right += code == 0;
		refused += code == EBUSY;
	}
	assert_int_equal(right + refused, CROWD);
	assert_true(refused > 0 && right >= 4096);
	close_layer(b);
}

#define diffs_test(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		diffs_test(a_layer_is_a_file_below_sha256),
		diffs_test(directories_list_what_is_here),
		diffs_test(a_file_tells_its_digest),
		diffs_test(what_is_open_is_not_removed_and_a_name_alone_holds_nothing),
		diffs_test(what_is_missing_is_inflated_and_then_answered_at_once),
		diffs_test(a_read_says_why_it_failed_and_the_next_one_may_succeed),
		diffs_test(wrong_bytes_are_an_error),
		diffs_test(a_read_is_taken_back_once),
		diffs_test(too_many_reads_are_refused_and_the_others_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
