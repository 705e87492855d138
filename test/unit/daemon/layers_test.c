/* The table of lazy layers: an index comes from the cluster, is checked, and stays. */
#include "daemon/layers.h"

#include "base/clock.h"
#include "daemon/task_wait.h"
#include "test/unit/daemon/vouched_layer.h"

#include <sched.h>

static struct {
	int fd;	      /* what the cluster has as the index; -1: nobody has one */
	int opened;   /* how often it was asked for */
	int deleted;  /* how often it was forgotten */
	int noted;    /* sources told */
	bool foreign; /* a source is not what it should be */
} cluster;

int task_open_wait(struct tasks *ts, const struct task_request *rq, struct task **out,
		   struct err *e)
{
	(void)ts;
	if (!rq->digest) {
		cluster.opened++;
		assert_true(rq->disable_back_to_source);
		if (cluster.fd < 0)
			return err_set(e, EHOSTUNREACH, "nobody has it");
	}
	task_ref(&fake.task);
	*out = &fake.task;
	return 0;
}

int task_wait_complete(struct task *t, enum task_priority p, const struct task_wait *w, int *fd_out,
		       struct err *e)
{
	(void)t;
	(void)w;
	*fd_out = p == TASK_URGENT ? cluster.fd : -1;
	return fake.fails ? err_set(e, fake.fails, "fake") : 0;
}

int task_delete(struct tasks *ts, const char *id, struct err *e)
{
	(void)ts;
	(void)id;
	(void)e;
	cluster.deleted++;
	return 0;
}

void task_note_source(struct tasks *ts, const char *digest_hex, const char *base,
		      const char *repository, const char *authorization)
{
	(void)ts;
	cluster.noted++;
	cluster.foreign |= strcmp(digest_hex, fake.digest) != 0 ||
			   strcmp(base, "https://registry:5000") != 0 ||
			   strcmp(repository, "library/debian") != 0 || authorization;
}

static int set_up(void **state)
{
	char *path cleanup(free_at) = NULL;

	(void)state;
	make_layer();
	memset(&cluster, 0, sizeof(cluster));
	/* Not where the table looks for it. */
	path = path_of("index-of-the-cluster");
	make_index_at(path);
	cluster.fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(cluster.fd >= 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (cluster.fd >= 0)
		close(cluster.fd);
	return remove_layer();
}

static struct layers *open_as(const struct layers_config *c)
{
	struct layers *ls = NULL;
	struct err e = {0};

	if (layers_new(c, &ls, &e) < 0)
		fail_msg("%s", e.text);
	return ls;
}

static struct layers *open_layers(int64_t quiet_ms, uint64_t span_len_max)
{
	const struct layers_config c = {
		.dir = dir, .quiet_ms = quiet_ms, .span_len_max = span_len_max};

	return open_as(&c);
}

#define LONG_MS	 (INT64_C(3600) * 1000)
#define ANY_SPAN (UINT64_C(1) << 40)

static struct layer *get(struct layers *ls)
{
	const struct layer_wish w = {.digest = fake.digest, .image = IMAGE};
	struct layer *l = NULL;
	struct err e = {0};

	if (layers_get(ls, &w, &l, &e) < 0)
		fail_msg("%s", e.text);
	return l;
}

static int refusal(struct layers *ls)
{
	const struct layer_wish w = {.digest = fake.digest, .image = IMAGE};
	struct layer *l = NULL;
	struct err e = {0};
	int r = layers_get(ls, &w, &l, &e);

	layer_unref_at(&l);
	return r;
}

static bool is_there(const char *ending)
{
	char *path cleanup(free_at) = path_of(ending);

	return access(path, F_OK) == 0;
}

static void the_index_is_fetched_once_and_known_after_a_restart(void **state)
{
	struct layers *ls = open_layers(LONG_MS, ANY_SPAN);
	struct layer *first, *second, *by_diff;
	char diff_id[DIGEST_HEX_LEN + 1];

	(void)state;
	first = get(ls);
	second = get(ls);
	strcpy(diff_id, layer_info(first)->diff_id);
	by_diff = layers_find_diff(ls, diff_id);
	assert_ptr_equal(first, second);
	assert_ptr_equal(first, by_diff);
	assert_int_equal(cluster.opened, 1);
	assert_true(is_there("erofs"));
	layer_unref(first);
	layer_unref(second);
	layer_unref(by_diff);
	layers_free(ls);
	cluster.noted = 0;
	ls = open_layers(LONG_MS, ANY_SPAN);
	by_diff = layers_find_diff(ls, diff_id);
	assert_non_null(by_diff);
	assert_int_equal(cluster.opened, 1);
	assert_int_equal(cluster.noted, 1); /* where its bytes are to be had */
	assert_false(cluster.foreign);
	layer_unref(by_diff);
	layers_free(ls);
}

static void an_index_that_nobody_has_is_no_entry(void **state)
{
	struct layers *ls = open_layers(LONG_MS, ANY_SPAN);

	(void)state;
	close(cluster.fd);
	cluster.fd = -1;
	assert_int_equal(refusal(ls), -ENOENT);
	assert_false(is_there("idx"));
	layers_free(ls);
}

static void a_span_that_is_too_long_is_not_lazy(void **state)
{
	struct layers *ls = open_layers(LONG_MS, 1024);

	(void)state;
	assert_int_equal(refusal(ls), -ENOTSUP);
	assert_int_equal(cluster.deleted, 0);
	layers_free(ls);
}

static void every_changed_bit_of_an_index_is_refused_and_forgotten(void **state)
{
	struct layers *ls = open_layers(LONG_MS, ANY_SPAN);
	off_t len = lseek(cluster.fd, 0, SEEK_END);
	int tried = 0;

	(void)state;
	for (off_t at = 0; at < len; at += len / 23 + 1) {
		unsigned char was, is;

		assert_int_equal(pread(cluster.fd, &was, 1, at), 1);
		is = was ^ (unsigned char)(1u << (at % 8));
		assert_int_equal(pwrite(cluster.fd, &is, 1, at), 1);
		assert_int_equal(refusal(ls), -EBADMSG);
		assert_int_equal(pwrite(cluster.fd, &was, 1, at), 1);
		assert_int_equal(cluster.deleted, ++tried);
		assert_false(is_there("idx"));
	}
	assert_true(tried > 20);
	layers_free(ls);
}

static void an_index_of_another_layer_is_refused_and_forgotten(void **state)
{
	struct layers *ls = open_layers(LONG_MS, ANY_SPAN);

	(void)state;
	fake.digest[0] = fake.digest[0] == 'a' ? 'b' : 'a';
	assert_int_equal(refusal(ls), -EBADMSG);
	assert_int_equal(cluster.deleted, 1);
	layers_free(ls);
}

static void a_broken_layer_stays_refused_after_a_restart(void **state)
{
	struct layers *ls = open_layers(LONG_MS, ANY_SPAN);
	struct layer *l = get(ls);
	char *path cleanup(free_at) = path_of("broken");
	struct err e = {0};

	(void)state;
	memset(fake.blob + fake.blob_len / 3, 0x55, 64);
	assert_int_equal(layer_fill(l, 0, FILE_LEN, true, &e), -EIO);
	layer_unref(l);
	assert_int_equal(refusal(ls), -EBADMSG);
	layers_free(ls);
	ls = open_layers(LONG_MS, ANY_SPAN);
	assert_int_equal(refusal(ls), -EBADMSG);
	assert_int_equal(cluster.opened, 1); /* nobody is asked again */
	assert_int_equal(unlink(path), 0);
	l = get(ls);
	layer_unref(l);
	layers_free(ls);
}

/* ---- room */

/* Times of use differ. */
static void until_the_clock_moves(void)
{
	int64_t now = clock_wall_ms();

	while (clock_wall_ms() == now)
		sched_yield();
}

static struct layer *get_unheld(struct layers *ls)
{
	struct layer *l = get(ls);

	/* The table holds it. */
	layer_unref(l);
	return l;
}

static void what_nobody_uses_goes_and_comes_again(void **state)
{
	struct layers *ls = open_layers(LONG_MS, ANY_SPAN);
	struct layer *l = get(ls);
	char diff_id[DIGEST_HEX_LEN + 1];
	struct err e = {0};
	uint64_t bytes;

	(void)state;
	strcpy(diff_id, layer_info(l)->diff_id);
	assert_int_equal(layer_fill(l, 0, FILE_LEN, true, &e), 0);
	bytes = layers_bytes(ls);
	assert_true(bytes >= FILE_LEN);
	assert_int_equal(layers_gc(ls, 0), 0); /* nothing has to go */
	assert_int_equal(layers_gc(ls, 1), bytes);
	assert_int_equal(layers_bytes(ls), 0);
	assert_null(layers_find_diff(ls, diff_id));
	assert_false(is_there("idx") || is_there("erofs") || is_there("data") || is_there("from"));
	assert_int_equal(layer_fill(l, 0, FILE_LEN, true, &e), -ESTALE);
	assert_false(layer_has(l, 0, 1));
	layer_unref(l);
	l = get(ls);
	assert_int_equal(layer_fill(l, 0, FILE_LEN, true, &e), 0);
	assert_int_equal(cluster.opened, 2);
	layer_unref(l);
	layers_free(ls);
}

static void a_complete_layer_goes_with_both_of_its_names(void **state)
{
	struct layers *ls = open_layers(LONG_MS, ANY_SPAN);
	struct layer *l = get(ls);
	struct err e = {0};

	(void)state;
	assert_int_equal(layer_complete(l, &e), 0);
	assert_true(is_there("done"));
	assert_true(layers_gc(ls, 1) > 0);
	assert_false(is_there("done") || is_there("data"));
	assert_false(layer_is_complete(l));
	layer_unref(l);
	layers_free(ls);
}

static void a_layer_that_is_removed_is_not_completed(void **state)
{
	struct layers *ls = open_layers(LONG_MS, ANY_SPAN);
	struct layer *l = get(ls);
	struct err e = {0};

	(void)state;
	assert_true(layers_gc(ls, 1) > 0);
	assert_int_equal(layer_complete(l, &e), -ESTALE);
	assert_false(is_there("done") || is_there("data") || is_there("broken"));
	layer_unref(l);
	layers_free(ls);
}

static void what_is_open_stays(void **state)
{
	struct layers *ls = open_layers(LONG_MS, ANY_SPAN);
	struct layer *l = get_unheld(ls);

	(void)state;
	layer_opened(l);
	assert_int_equal(layers_gc(ls, UINT64_MAX), 0);
	layer_closed(l);
	assert_true(layers_gc(ls, UINT64_MAX) > 0);
	layers_free(ls);
}

static void what_is_mounted_stays(void **state)
{
	struct layers *ls = open_layers(LONG_MS, ANY_SPAN);
	char *path cleanup(free_at) = path_of("erofs");
	int64_t before;
	struct layer *l = get_unheld(ls);
	int fd = open(path, O_RDONLY | O_CLOEXEC); /* as a mount has it */

	(void)state;
	assert_true(fd >= 0);
	before = layer_used_ms(l);
	until_the_clock_moves();
	assert_int_equal(layers_gc(ls, UINT64_MAX), 0);
	assert_true(layer_used_ms(l) > before); /* it counts as used */
	assert_true(is_there("idx"));
	close(fd);
	assert_true(layers_gc(ls, UINT64_MAX) > 0);
	layers_free(ls);
}

static void what_was_asked_for_a_moment_ago_stays(void **state)
{
	const struct layers_config c = {.dir = dir,
					.quiet_ms = LONG_MS,
					.span_len_max = ANY_SPAN,
					.spare_ms = LONG_MS,
					.ttl_ms = 1};
	struct layers *ls = open_as(&c);

	(void)state;
	get_unheld(ls);
	assert_int_equal(layers_gc(ls, UINT64_MAX), 0);
	layers_free(ls);
}

/* Of the only layer, as an earlier process left it. */
static void used_hours_ago(int hours)
{
	char *path cleanup(free_at) = path_of("idx");
	const struct timespec t = {.tv_sec = clock_wall_ms() / 1000 - hours * 3600};
	const struct timespec both[2] = {t, t};

	assert_int_equal(utimensat(AT_FDCWD, path, both, 0), 0);
}

static void what_was_not_used_for_long_goes_though_there_is_room(void **state)
{
	const struct layers_config c = {
		.dir = dir, .quiet_ms = LONG_MS, .span_len_max = ANY_SPAN, .ttl_ms = 2 * LONG_MS};
	struct layers *ls = open_layers(LONG_MS, ANY_SPAN);

	(void)state;
	get_unheld(ls);
	layers_free(ls);
	used_hours_ago(1);
	ls = open_as(&c);
	assert_int_equal(layers_gc(ls, 0), 0);
	layers_free(ls);
	used_hours_ago(3);
	ls = open_as(&c);
	assert_true(layers_gc(ls, 0) > 0);
	assert_false(is_there("idx"));
	layers_free(ls);
}

/* Another layer in the table: the same tar, compressed once more. Its digest. */
static char *make_second(struct layers *ls)
{
	char *first = mem_strdup(fake.digest), *path cleanup(free_at) = NULL;

	make_blob();
	fake.blob[4] ^= 1; /* gzip's time */
	sha256_hex(fake.blob, fake.blob_len, fake.digest);
	assert_string_not_equal(first, fake.digest);
	close(cluster.fd);
	path = path_of("second-index");
	make_index_at(path);
	cluster.fd = open(path, O_RDWR | O_CLOEXEC);
	get_unheld(ls);
	return first;
}

static void the_least_recently_used_goes_first(void **state)
{
	struct layers *ls = open_layers(LONG_MS, ANY_SPAN);
	char *first cleanup(free_at) = NULL;
	unsigned char *blob = fake.blob;
	char diff_id[DIGEST_HEX_LEN + 1];
	struct layer *l;

	(void)state;
	l = get_unheld(ls);
	strcpy(diff_id, layer_info(l)->diff_id);
	until_the_clock_moves();
	first = make_second(ls);
	free(blob);
	assert_true(layers_gc(ls, 1) > 0);
	assert_true(is_there("idx"));
	/* Its content is the other's, too. */
	l = layers_find_diff(ls, diff_id);
	assert_non_null(l);
	assert_string_equal(layer_info(l)->digest, fake.digest);
	layer_unref(l);
	layers_free(ls);
}

static void put_file(const char *ending)
{
	char *path cleanup(free_at) = path_of(ending);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
}

static void strays_of_a_crash_are_removed_and_the_mark_of_a_broken_layer_stays(void **state)
{
	static const char *const strays[] = {"erofs", "data",	 "done",
					     "from",  "idx.tmp", "erofs.tmp"};
	struct layers *ls;

	(void)state;
	for (size_t i = 0; i < array_len(strays); i++)
		put_file(strays[i]);
	put_file("broken");
	layers_free(open_layers(LONG_MS, ANY_SPAN));
	for (size_t i = 0; i < array_len(strays); i++)
		assert_false(is_there(strays[i]));
	assert_true(is_there("broken"));
	ls = open_layers(LONG_MS, ANY_SPAN);
	assert_int_equal(refusal(ls), -EBADMSG);
	layers_free(ls);
}

static void a_damaged_index_on_disk_goes_with_all_of_its_layer(void **state)
{
	struct layers *ls = open_layers(LONG_MS, ANY_SPAN);

	(void)state;
	get_unheld(ls);
	layers_free(ls);
	put_file("idx");
	ls = open_layers(LONG_MS, ANY_SPAN);
	assert_false(is_there("idx") || is_there("erofs") || is_there("data"));
	get_unheld(ls);
	assert_int_equal(cluster.opened, 2);
	layers_free(ls);
}

static void a_layer_is_completed_when_it_is_quiet(void **state)
{
	struct layers *ls = open_layers(1, ANY_SPAN);
	struct layer *l = get(ls);
	int64_t end = clock_ms() + 60000;

	(void)state;
	while (!layer_is_complete(l) && clock_ms() < end)
		usleep(1000);
	assert_true(layer_is_complete(l));
	layer_unref(l);
	layers_free(ls);
}

/* Some time of the real clock, for who waits by the fake one to look again. */
static bool becomes_complete(struct layer *l, unsigned looks)
{
	for (unsigned i = 0; i < looks && !layer_is_complete(l); i++)
		usleep(1000);
	return layer_is_complete(l);
}

static void a_layer_that_is_read_is_completed_later_though_nobody_waits(void **state)
{
	int64_t now_ms = 1000;
	struct layers *ls;
	struct layer *l;

	(void)state;
	clock_fake(&now_ms);
	ls = open_layers(1000, ANY_SPAN);
	l = get(ls);
	__atomic_store_n(&now_ms, 1900, __ATOMIC_RELEASE);
	layer_read_now(l);
	__atomic_store_n(&now_ms, 2800, __ATOMIC_RELEASE);
	assert_false(becomes_complete(l, 50));
	__atomic_store_n(&now_ms, 2900, __ATOMIC_RELEASE);
	assert_true(becomes_complete(l, 60000));
	layer_unref(l);
	layers_free(ls);
	clock_fake(NULL);
}

static void a_layer_that_is_read_all_the_time_is_completed_all_the_same(void **state)
{
	int64_t now_ms = 1000;
	struct layers *ls;
	struct layer *l;

	(void)state;
	clock_fake(&now_ms);
	ls = open_layers(1000, ANY_SPAN);
	l = get(ls);
	__atomic_store_n(&now_ms, 1000 + 12 * 1000, __ATOMIC_RELEASE);
	layer_read_now(l);
	assert_true(becomes_complete(l, 60000));
	layer_unref(l);
	layers_free(ls);
	clock_fake(NULL);
}

/* ---- layers with a table of contents of their own */

/* The blob is such a layer now, of which nobody has an index. */
static void make_toc_layer(enum layer_toc kind)
{
	make_vouched_layer(kind, 5, 6, 100);
	close(cluster.fd);
	cluster.fd = -1;
}

static struct layers *open_vouched(void)
{
	const struct layers_config c = {
		.dir = dir, .quiet_ms = LONG_MS, .span_len_max = ANY_SPAN, .vouch = vouch_as_told};

	return open_as(&c);
}

/* 0 or -errno; *out is a reference or NULL. */
static int get_as(struct layers *ls, const char *manifest, struct layer **out)
{
	const struct layer_wish w = {.digest = fake.digest, .image = IMAGE, .manifest = manifest};
	struct err e = {0};

	*out = NULL;
	return layers_get(ls, &w, out, &e);
}

static void a_layer_comes_by_its_own_table(void **state)
{
	struct layers *ls;
	struct layer *l, *again, *by_id;
	char id[DIGEST_HEX_LEN + 1], bytes[6];
	struct err e = {0};

	(void)state;
	make_toc_layer(LAYER_TOC_ESTARGZ);
	ls = open_vouched();
	assert_int_equal(get_as(ls, MANIFEST, &l), 0);
	assert_int_equal(cluster.opened, 0);
	strcpy(id, layer_info(l)->id);
	assert_string_not_equal(id, fake.digest);
	assert_int_equal(layer_info(l)->prefetch_len, 512);
	assert_null(layers_find_diff(ls, says.diff_id));
	by_id = layers_find(ls, id);
	assert_ptr_equal(by_id, l);
	assert_int_equal(layer_fill(l, 1024, 6, true, &e), 0);
	assert_int_equal(pread(layer_fd(l), bytes, 6, 1024), 6);
	assert_memory_equal(bytes, second_file(), 6);
	assert_int_equal(layer_complete(l, &e), 0);
	layer_unref(by_id);
	layer_unref(l);
	layers_free(ls);
	/* After a restart it is here, and complete. */
	ls = open_vouched();
	assert_int_equal(get_as(ls, MANIFEST, &again), 0);
	assert_true(layer_is_complete(again));
	assert_string_equal(layer_info(again)->id, id);
	layer_unref(again);
	layers_free(ls);
}

static void another_image_never_meets_it(void **state)
{
	struct layers *ls;
	struct layer *l, *other;

	(void)state;
	make_toc_layer(LAYER_TOC_ESTARGZ);
	ls = open_vouched();
	assert_int_equal(get_as(ls, MANIFEST, &l), 0);
	assert_int_equal(get_as(ls, NULL, &other), -ENOENT);
	assert_int_equal(get_as(ls, "bb", &other), -ENOENT);
	/* One that says another diff id has a layer of its own. */
	spoil(says.diff_id);
	assert_int_equal(get_as(ls, MANIFEST, &other), 0);
	assert_ptr_not_equal(l, other);
	assert_string_not_equal(layer_info(l)->id, layer_info(other)->id);
	layer_unref(l);
	layer_unref(other);
	layers_free(ls);
}

static void a_wrong_diff_id_breaks_it(void **state)
{
	struct layers *ls;
	struct layer *l;
	struct err e = {0};

	(void)state;
	make_toc_layer(LAYER_TOC_ESTARGZ);
	spoil(says.diff_id);
	ls = open_vouched();
	assert_int_equal(get_as(ls, MANIFEST, &l), 0);
	assert_int_equal(layer_complete(l, &e), -EBADMSG);
	assert_true(layer_is_broken(l));
	layer_unref(l);
	assert_int_equal(get_as(ls, MANIFEST, &l), -ENOENT);
	layers_free(ls);
}

static void a_table_that_nobody_vouches_for_is_not_used(void **state)
{
	struct layers *ls;
	struct layer *l;
	uint64_t read;

	(void)state;
	make_toc_layer(LAYER_TOC_ESTARGZ);
	spoil(says.toc_digest);
	ls = open_vouched();
	assert_int_equal(get_as(ls, MANIFEST, &l), -ENOENT);
	assert_int_equal(cluster.opened, 1);
	read = fake.bytes_read;
	/* Nor read again. */
	assert_int_equal(get_as(ls, MANIFEST, &l), -ENOENT);
	assert_int_equal(fake.bytes_read, read);
	layers_free(ls);
}

static void a_chunk_of_other_bytes_is_never_given_out(void **state)
{
	static const enum layer_toc kinds[] = {LAYER_TOC_ESTARGZ, LAYER_TOC_ZSTD_CHUNKED};
	struct layers *ls;
	struct layer *l;
	struct err e = {0};

	(void)state;
	for (size_t i = 0; i < array_len(kinds); i++) {
		make_vouched_layer(kinds[i], 5, 1500000, 2000000);
		close_at(&cluster.fd);
		ls = open_vouched();
		assert_int_equal(get_as(ls, MANIFEST, &l), 0);
		spoil_second_file();
		assert_int_equal(layer_fill(l, 0, 5, true, &e), 0);
		assert_int_equal(layer_fill(l, 1024, 1500000, true, &e), -EIO);
		assert_false(layer_has(l, 1024, 1));
		assert_true(layer_is_broken(l));
		layer_unref(l);
		/* From then on it is a layer like any other. */
		assert_int_equal(get_as(ls, MANIFEST, &l), -ENOENT);
		layers_free(ls);
	}
}

static void a_registry_that_does_not_answer_is_asked_again(void **state)
{
	struct layers *ls;
	struct layer *l;

	(void)state;
	make_toc_layer(LAYER_TOC_ZSTD_CHUNKED);
	ls = open_vouched();
	fake.fails = ETIMEDOUT;
	assert_int_equal(get_as(ls, MANIFEST, &l), -ENOENT);
	fake.fails = 0;
	assert_int_equal(get_as(ls, MANIFEST, &l), 0);
	layer_unref(l);
	layers_free(ls);
}

#define layers_test(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		layers_test(the_index_is_fetched_once_and_known_after_a_restart),
		layers_test(an_index_that_nobody_has_is_no_entry),
		layers_test(a_span_that_is_too_long_is_not_lazy),
		layers_test(every_changed_bit_of_an_index_is_refused_and_forgotten),
		layers_test(an_index_of_another_layer_is_refused_and_forgotten),
		layers_test(a_broken_layer_stays_refused_after_a_restart),
		layers_test(what_nobody_uses_goes_and_comes_again),
		layers_test(a_complete_layer_goes_with_both_of_its_names),
		layers_test(a_layer_that_is_removed_is_not_completed),
		layers_test(what_is_open_stays),
		layers_test(what_is_mounted_stays),
		layers_test(what_was_asked_for_a_moment_ago_stays),
		layers_test(what_was_not_used_for_long_goes_though_there_is_room),
		layers_test(the_least_recently_used_goes_first),
		layers_test(strays_of_a_crash_are_removed_and_the_mark_of_a_broken_layer_stays),
		layers_test(a_damaged_index_on_disk_goes_with_all_of_its_layer),
		layers_test(a_layer_is_completed_when_it_is_quiet),
		layers_test(a_layer_that_is_read_is_completed_later_though_nobody_waits),
		layers_test(a_layer_that_is_read_all_the_time_is_completed_all_the_same),
		layers_test(a_layer_comes_by_its_own_table),
		layers_test(another_image_never_meets_it),
		layers_test(a_wrong_diff_id_breaks_it),
		layers_test(a_table_that_nobody_vouches_for_is_not_used),
		layers_test(a_chunk_of_other_bytes_is_never_given_out),
		layers_test(a_registry_that_does_not_answer_is_asked_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
