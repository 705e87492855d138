/* Starts of containers: what one node's containers read first, the next node fetches first. */
#include "daemon/starts.h"

#include "base/clock.h"
#include "base/timer.h"
#include "daemon/pack_file.h"
#include "daemon/start_record.h"
#include "daemon/task_import.h"
#include "daemon/task_wait.h"
#include "test/unit/daemon/fake_note_source.h"
#include "test/unit/daemon/vouched_layer.h"

#include <pthread.h>

#define ABSENT	"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
#define LONG_MS (INT64_C(3600) * 1000)
#define BLOCKS	((TAR_LEN + LAYER_BLOCK_LEN - 1) / LAYER_BLOCK_LEN)

/* The cluster: what it has under which name. Several threads ask it. */
static struct {
	int index_fd, record_fd, pack_fd; /* -1: nobody has one */
	int record_asked;		  /* atomic */
	int record_fails;		  /* errno of its being fetched */
	int pack_fails;			  /* the same of its pieces */
	int imported;			  /* records; atomic */
	int pack_waited;		  /* atomic */
	bool pack_held;			  /* atomic; its pieces do not come until it is not */
	int forgotten;			  /* atomic */
} cluster;

static struct {
	struct task index, record, pack;
} tasks;

int task_open_wait(struct tasks *ts, const struct task_request *rq, struct task **out,
		   struct err *e)
{
	bool is_record = rq->content_for_id && strstr(rq->content_for_id, "start-record");
	bool is_pack = rq->content_for_id && strstr(rq->content_for_id, "start-pack");
	int fd = is_record ? __atomic_load_n(&cluster.record_fd, __ATOMIC_ACQUIRE)
		 : is_pack ? cluster.pack_fd
			   : cluster.index_fd;

	(void)ts;
	if (is_record)
		__atomic_add_fetch(&cluster.record_asked, 1, __ATOMIC_RELAXED);
	if (!rq->digest) {
		assert_true(rq->disable_back_to_source);
		if (fd < 0 || (!is_record && !is_pack && strstr(rq->content_for_id, ABSENT)))
			return err_set(e, EHOSTUNREACH, "nobody has it");
	}
	*out = rq->digest  ? &fake.task
	       : is_record ? &tasks.record
	       : is_pack   ? &tasks.pack
			   : &tasks.index;
	task_ref(*out);
	return 0;
}

int task_wait_complete(struct task *t, enum task_priority p, const struct task_wait *w, int *fd_out,
		       struct err *e)
{
	(void)p;
	(void)w;
	if (t == &tasks.record && cluster.record_fails)
		return err_set(e, cluster.record_fails, "fake");
	*fd_out = t == &tasks.record  ? cluster.record_fd
		  : t == &tasks.index ? cluster.index_fd
				      : -1;
	return 0;
}

void task_want_all(struct task *t, enum task_priority p)
{
	assert_ptr_equal(t, &tasks.pack);
	assert_int_equal(p, TASK_REST);
}

int task_wait_piece(struct task *t, uint32_t index, const struct task_wait *w, struct err *e)
{
	(void)w;
	assert_ptr_equal(t, &tasks.pack);
	assert_true(index < t->meta.geometry.piece_count);
	__atomic_add_fetch(&cluster.pack_waited, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&cluster.pack_held, __ATOMIC_ACQUIRE))
		usleep(500);
	return cluster.pack_fails ? err_set(e, cluster.pack_fails, "fake") : 0;
}

int task_delete(struct tasks *ts, const char *id, struct err *e)
{
	(void)ts;
	(void)id;
	(void)e;
	__atomic_add_fetch(&cluster.forgotten, 1, __ATOMIC_RELAXED);
	return 0;
}

int task_import(struct tasks *ts, const char *content_for_id, int fd, struct err *e)
{
	char *name cleanup(free_at) = starts_record_name(MANIFEST);
	struct stat st;
	int old;

	(void)ts;
	(void)e;
	if (strstr(content_for_id, "start-pack")) {
		cluster.pack_fd = dup(fd);
		assert_int_equal(fstat(fd, &st), 0);
		geometry_init(&tasks.pack.meta.geometry, (uint64_t)st.st_size, 1u << 20);
		return 0;
	}
	assert_string_equal(content_for_id, name);
	old = __atomic_exchange_n(&cluster.record_fd, dup(fd), __ATOMIC_ACQ_REL);
	close_at(&old);
	__atomic_add_fetch(&cluster.imported, 1, __ATOMIC_RELEASE);
	return 0;
}

/* To index a layer takes its time under a sanitizer: once for all. */
static int make_cluster(void **state)
{
	char *path cleanup(free_at) = NULL;

	(void)state;
	make_layer();
	path = path_of("index-of-the-cluster");
	make_index_at(path);
	cluster.index_fd = open(path, O_RDWR | O_CLOEXEC);
	cluster.record_fd = cluster.pack_fd = -1;
	tasks.pack.content = &cluster.pack_fd;
	tasks.record.meta.geometry.content_length = START_RECORD_LEN;
	return cluster.index_fd < 0;
}

static int remove_cluster(void **state)
{
	(void)state;
	close_at(&cluster.index_fd);
	return remove_layer();
}

/* Nothing of the layer is on this node. */
static void forget_layer(void)
{
	static const char *const endings[] = {"idx", "erofs", "data", "from"};

	for (size_t i = 0; i < array_len(endings); i++) {
		char *path cleanup(free_at) = path_of(endings[i]);

		unlink(path);
	}
}

static int tear_down(void **state)
{
	(void)state;
	forget_layer();
	close_at(&cluster.record_fd);
	close_at(&cluster.pack_fd);
	cluster.record_asked = cluster.record_fails = cluster.imported = cluster.forgotten = 0;
	cluster.pack_fails = cluster.pack_waited = fake.fails = 0;
	return fake.refs;
}

/* ---- a node */

struct node {
	struct layers *layers;
	struct starts *starts;
};

static struct node node_open(int64_t record_ms, uint64_t prefetch_max)
{
	const struct layers_config lc = {.dir = dir,
					 .quiet_ms = LONG_MS,
					 .span_len_max = UINT64_C(1) << 40,
					 .vouch = says.digest[0] ? vouch_as_told : NULL};
	struct node n;
	struct err e = {0};

	if (layers_new(&lc, &n.layers, &e) < 0)
		fail_msg("%s", e.text);
	const struct starts_config sc = {.layers = n.layers,
					 .dir = dir,
					 .record_ms = record_ms,
					 .prefetch_max = prefetch_max};
	n.starts = starts_new(&sc);
	return n;
}

static void node_close(struct node *n)
{
	layers_stop(n->layers);
	starts_stop(n->starts);
	starts_free(n->starts);
	layers_free(n->layers);
}

static struct layer *layer_of(struct node *n)
{
	const struct layer_wish w = {.digest = fake.digest, .image = IMAGE, .manifest = MANIFEST};
	struct layer *l = NULL;
	struct err e = {0};

	if (layers_get(n->layers, &w, &l, &e) < 0)
		fail_msg("%s", e.text);
	return l;
}

static int64_t soon(void)
{
	return clock_ms() + 60000;
}

static void wait_until_at_least(const int *count, int least)
{
	int64_t end = soon();

	while (__atomic_load_n(count, __ATOMIC_ACQUIRE) < least && clock_ms() < end)
		usleep(1000);
	assert_true(__atomic_load_n(count, __ATOMIC_ACQUIRE) >= least);
}

static bool has_block(struct layer *l, uint64_t no)
{
	return layer_has(l, no * LAYER_BLOCK_LEN, 1);
}

static void wait_for_block(struct layer *l, uint64_t no)
{
	int64_t end = soon();

	while (!has_block(l, no) && clock_ms() < end)
		usleep(1000);
	assert_true(has_block(l, no));
}

/* As another node left it. */
static void put_record(uint32_t first, uint32_t count, const char *manifest)
{
	unsigned char *file cleanup(free_at) = mem_alloc(START_RECORD_LEN);
	struct start_record r = {0};

	for (uint32_t i = 0; i < count; i++)
		assert_true(start_record_add(&r, fake.digest, first + i));
	start_record_write(&r, manifest, file);
	start_record_release(&r);
	cluster.record_fd = open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	assert_int_equal(pwrite(cluster.record_fd, file, START_RECORD_LEN, 0), START_RECORD_LEN);
}

/* ---- tests */

static void what_one_node_reads_first_the_next_one_fetches(void **state)
{
	struct node one = node_open(20, UINT64_MAX), two;
	struct layer *l;

	(void)state;
	starts_expect(one.starts, MANIFEST, IMAGE, fake.digest);
	l = layer_of(&one);
	starts_note(one.starts, l, 4 * LAYER_BLOCK_LEN - 1, 2); /* two blocks */
	wait_until_at_least(&cluster.imported, 1);
	layer_unref(l);
	node_close(&one);
	forget_layer();

	two = node_open(20, UINT64_MAX);
	starts_expect(two.starts, MANIFEST, IMAGE, fake.digest);
	l = layer_of(&two);
	wait_for_block(l, 3);
	wait_for_block(l, 4);
	assert_false(has_block(l, 0));
	layer_unref(l);
	node_close(&two);
	assert_int_equal(cluster.imported, 1);
}

/* ---- packs: of blocks 3 and 4, made by a node that has gone */

static void make_pack(uint64_t prefetch_max)
{
	struct node n = node_open(1, prefetch_max);
	struct layer *l = layer_of(&n);
	struct err e = {0};

	assert_int_equal(layer_fill(l, 3 * LAYER_BLOCK_LEN, 2 * LAYER_BLOCK_LEN, true, &e), 0);
	starts_expect(n.starts, MANIFEST, IMAGE, fake.digest);
	starts_note(n.starts, l, 4 * LAYER_BLOCK_LEN - 1, 2);
	wait_until_at_least(&cluster.imported, 1);
	layer_unref(l);
	node_close(&n);
	forget_layer();
	assert_true(cluster.pack_fd >= 0);
}

static bool is_right(struct layer *l, uint64_t no)
{
	unsigned char *got cleanup(free_at) = mem_alloc(LAYER_BLOCK_LEN);
	uint64_t off = no * LAYER_BLOCK_LEN;

	return pread(layer_fd(l), got, LAYER_BLOCK_LEN, (off_t)off) == LAYER_BLOCK_LEN &&
	       memcmp(got, fake.tar + off, LAYER_BLOCK_LEN) == 0;
}

/* Both blocks come; returns how much of the layer's blob was read for that. */
static uint64_t read_by_pack(void)
{
	struct node n = node_open(1, UINT64_MAX);
	uint64_t before = __atomic_load_n(&fake.bytes_read, __ATOMIC_RELAXED);
	struct layer *l;

	starts_expect(n.starts, MANIFEST, IMAGE, fake.digest);
	l = layer_of(&n);
	wait_for_block(l, 3);
	wait_for_block(l, 4);
	assert_true(is_right(l, 3) && is_right(l, 4));
	layer_unref(l);
	node_close(&n);
	return __atomic_load_n(&fake.bytes_read, __ATOMIC_RELAXED) - before;
}

static void blocks_come_from_the_pack_and_nothing_of_the_layer_is_fetched(void **state)
{
	(void)state;
	make_pack(UINT64_MAX);
	fake.fails = EHOSTUNREACH;
	assert_int_equal(read_by_pack(), 0);
}

static void wrong_bytes_of_a_pack_are_not_taken(void **state)
{
	struct stat st;
	char byte;

	(void)state;
	make_pack(UINT64_MAX);
	assert_int_equal(fstat(cluster.pack_fd, &st), 0);
	for (off_t at = 12; at < st.st_size; at += 1000) {
		assert_int_equal(pread(cluster.pack_fd, &byte, 1, at), 1);
		byte ^= 1;
		assert_int_equal(pwrite(cluster.pack_fd, &byte, 1, at), 1);
	}
	assert_true(read_by_pack() > 0);
}

static void a_pack_that_ends_too_soon_is_done_without(void **state)
{
	(void)state;
	make_pack(UINT64_MAX);
	geometry_init(&tasks.pack.meta.geometry, 5, 1u << 20);
	assert_true(read_by_pack() > 0);
}

static void a_pack_that_nobody_has_is_done_without(void **state)
{
	(void)state;
	make_pack(UINT64_MAX);
	close_at(&cluster.pack_fd);
	cluster.pack_fd = -1;
	assert_true(read_by_pack() > 0);
}

static void a_pack_that_does_not_come_is_done_without(void **state)
{
	(void)state;
	make_pack(UINT64_MAX);
	cluster.pack_fails = ETIMEDOUT;
	assert_true(read_by_pack() > 0);
}

static void no_more_is_packed_than_is_allowed(void **state)
{
	unsigned char head[PACK_HEAD_LEN];
	struct pack_frame f;
	struct stat st;

	(void)state;
	make_pack(1);
	assert_int_equal(pread(cluster.pack_fd, head, sizeof(head), 0), sizeof(head));
	pack_head_read(head, &f);
	assert_int_equal(f.block, 3);
	assert_int_equal(fstat(cluster.pack_fd, &st), 0);
	assert_int_equal(st.st_size, PACK_HEAD_LEN + f.len);
}

static void a_pack_that_is_longer_than_allowed_is_left_alone(void **state)
{
	struct node n;
	struct layer *l;

	(void)state;
	make_pack(UINT64_MAX);
	n = node_open(1, 1); /* one block */
	starts_expect(n.starts, MANIFEST, IMAGE, fake.digest);
	l = layer_of(&n);
	wait_for_block(l, 3);
	layer_unref(l);
	node_close(&n);
	assert_int_equal(cluster.pack_waited, 0);
}

struct reader {
	struct layer *layer;
	bool right;
};

static void *read_block_3(void *arg)
{
	struct reader *r = arg;
	struct err e;

	r->right = layer_fill(r->layer, 3 * LAYER_BLOCK_LEN, LAYER_BLOCK_LEN, true, &e) == 0 &&
		   is_right(r->layer, 3);
	return NULL;
}

static void a_reader_waits_for_the_pack(void **state)
{
	struct err e = {0};
	struct reader r;
	pthread_t thread;
	struct node n;

	(void)state;
	make_pack(UINT64_MAX);
	fake.fails = EHOSTUNREACH;
	__atomic_store_n(&cluster.pack_held, true, __ATOMIC_RELEASE);
	n = node_open(1, UINT64_MAX);
	r = (struct reader){.layer = layer_of(&n)};
	starts_expect(n.starts, MANIFEST, IMAGE, fake.digest);
	wait_until_at_least(&cluster.pack_waited, 1);
	assert_int_equal(pthread_create(&thread, NULL, read_block_3, &r), 0);
	assert_true(layer_fill(r.layer, 0, 1, true, &e) < 0);
	__atomic_store_n(&cluster.pack_held, false, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	assert_true(r.right);
	layer_unref(r.layer);
	node_close(&n);
}

static void an_index_is_there_before_its_layer_is_asked_for(void **state)
{
	struct node n = node_open(0, 0);
	char *path cleanup(free_at) = path_of("idx");
	int64_t end = soon();

	(void)state;
	starts_expect(n.starts, MANIFEST, NULL, ABSENT);
	starts_expect(n.starts, MANIFEST, NULL, fake.digest);
	while (access(path, F_OK) < 0 && clock_ms() < end)
		usleep(1000);
	assert_int_equal(access(path, F_OK), 0);
	node_close(&n);
}

/* Blocks that a start prefetches by this record; waits for the end of it. */
static unsigned prefetched(uint32_t first, uint32_t count, uint64_t max)
{
	struct node n = node_open(LONG_MS, max);
	struct layer *l = layer_of(&n);
	unsigned found = 0;

	put_record(first, count, MANIFEST);
	starts_expect(n.starts, MANIFEST, IMAGE, fake.digest);
	wait_until_at_least(&cluster.record_asked, 1);
	/* What was begun is ended before they are free; later blocks are not begun. */
	if (max > 0 && first < BLOCKS)
		wait_for_block(l, first);
	starts_free(n.starts);
	for (uint64_t no = 0; no < BLOCKS; no++)
		found += has_block(l, no);
	layer_unref(l);
	layers_free(n.layers);
	return found;
}

static void no_more_is_prefetched_than_is_allowed(void **state)
{
	(void)state;
	/* One step, and what is inflated with it. */
	assert_in_range(prefetched(0, BLOCKS, 1), 1, BLOCKS - 1);
}

static void nothing_is_prefetched_where_it_is_switched_off(void **state)
{
	(void)state;
	assert_int_equal(prefetched(0, BLOCKS, 0), 0);
}

static void a_record_beyond_the_layer_does_no_harm(void **state)
{
	(void)state;
	assert_int_equal(prefetched(1u << 30, 9, UINT64_MAX), 0);
}

static void a_record_of_another_image_is_forgotten_and_made_anew(void **state)
{
	struct node n = node_open(LONG_MS, UINT64_MAX);
	struct layer *l = layer_of(&n);

	(void)state;
	put_record(0, 3, ABSENT);
	starts_expect(n.starts, MANIFEST, IMAGE, fake.digest);
	wait_until_at_least(&cluster.forgotten, 1);
	assert_false(has_block(l, 0));
	layer_unref(l);
	node_close(&n);
}

static void a_record_whose_owner_has_gone_is_made_anew(void **state)
{
	struct node n = node_open(1, UINT64_MAX);
	struct layer *l = layer_of(&n);

	(void)state;
	put_record(0, 3, MANIFEST);
	cluster.record_fails = EHOSTUNREACH;
	starts_expect(n.starts, MANIFEST, IMAGE, fake.digest);
	starts_note(n.starts, l, 5 * LAYER_BLOCK_LEN, 1);
	wait_until_at_least(&cluster.imported, 1);
	layer_unref(l);
	node_close(&n);
}

static void a_record_that_cannot_be_read_is_done_without(void **state)
{
	struct node n = node_open(1, UINT64_MAX);
	struct layer *l = layer_of(&n);

	(void)state;
	put_record(0, 3, MANIFEST);
	cluster.record_fails = ENOSPC;
	starts_expect(n.starts, MANIFEST, IMAGE, fake.digest);
	wait_until_at_least(&cluster.record_asked, 1);
	starts_note(n.starts, l, 0, 1);
	layer_unref(l);
	node_close(&n);
	assert_int_equal(cluster.forgotten, 0);
	assert_int_equal(cluster.imported, 0);
}

static void a_start_that_reads_nothing_records_nothing(void **state)
{
	struct node n = node_open(1, UINT64_MAX);

	(void)state;
	starts_expect(n.starts, MANIFEST, IMAGE, fake.digest);
	wait_until_at_least(&cluster.record_asked, 1);
	node_close(&n);
	assert_int_equal(cluster.imported, 0);
}

static void a_start_of_which_a_layer_is_unpacked_is_not_recorded(void **state)
{
	struct node n = node_open(1, UINT64_MAX);
	struct layer *l = layer_of(&n);

	(void)state;
	starts_expect(n.starts, ABSENT, IMAGE, fake.digest);
	starts_expect(n.starts, ABSENT, IMAGE, ABSENT);
	starts_note(n.starts, l, 0, 1);
	/* The other one's turn comes later; whose record is imported the fake asserts. */
	starts_expect(n.starts, MANIFEST, IMAGE, fake.digest);
	starts_note(n.starts, l, 0, 1);
	wait_until_at_least(&cluster.imported, 1);
	layer_unref(l);
	node_close(&n);
	assert_int_equal(cluster.imported, 1);
}

static void many_images_give_way_to_one_another(void **state)
{
	struct node n = node_open(LONG_MS, UINT64_MAX);
	struct layer *l = layer_of(&n);
	char manifest[DIGEST_HEX_LEN + 1];

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		snprintf(manifest, sizeof(manifest), "%064x", i);
		starts_expect(n.starts, manifest, IMAGE, fake.digest);
		starts_note(n.starts, l, 0, 1);
	}
	layer_unref(l);
	node_close(&n);
	assert_int_equal(cluster.imported, 0);
}

/* ---- landmarks: a layer by its own table, of five blocks before its landmark and one behind it */

#define MARKED_BLOCKS 5
#define MARKED	      (MARKED_BLOCKS * LAYER_BLOCK_LEN)
#define BEHIND	      (1u << MARKED_BLOCKS)

static int make_marked_cluster(void **state)
{
	(void)state;
	make_layer();
	make_vouched_layer(LAYER_TOC_ESTARGZ, MARKED, LAYER_BLOCK_LEN, LAYER_BLOCK_LEN);
	cluster.index_fd = cluster.record_fd = cluster.pack_fd = -1;
	return 0;
}

static int forget_marked_layer(void **state)
{
	static const char *const endings[] = {"idx", "erofs", "data", "from", "broken"};
	char id[DIGEST_HEX_LEN + 1];

	index_toc_id(says.digest, says.toc_digest, says.diff_id, id);
	for (size_t i = 0; i < array_len(endings); i++) {
		char *path cleanup(free_at) = mem_printf("%s/%s.%s", dir, id, endings[i]);

		unlink(path);
	}
	return tear_down(state);
}

/* Blocks that are here when nothing is under way any more, one bit each. */
static unsigned blocks_after(struct node *n, struct layer *l)
{
	unsigned found = 0;

	starts_free(n->starts);
	for (unsigned i = 0; i < MARKED_BLOCKS; i++)
		found |= (unsigned)has_block(l, i) << i;
	if (layer_has(l, MARKED + 512, 1))
		found |= BEHIND;
	layer_unref(l);
	layers_free(n->layers);
	return found;
}

static void what_stands_before_the_landmark_is_fetched_where_there_is_no_record(void **state)
{
	struct node n = node_open(LONG_MS, UINT64_MAX);
	struct layer *l;

	(void)state;
	starts_expect(n.starts, MANIFEST, IMAGE, fake.digest);
	l = layer_of(&n);
	assert_int_equal(layer_info(l)->prefetch_len, MARKED);
	wait_for_block(l, MARKED_BLOCKS - 1);
	assert_int_equal(blocks_after(&n, l), BEHIND - 1);
}

static void a_layer_that_is_here_already_is_fetched_to_its_landmark(void **state)
{
	struct node n = node_open(LONG_MS, UINT64_MAX);
	struct layer *l = layer_of(&n);

	(void)state;
	starts_expect(n.starts, MANIFEST, IMAGE, fake.digest);
	wait_for_block(l, MARKED_BLOCKS - 1);
	assert_int_equal(blocks_after(&n, l), BEHIND - 1);
}

static void no_more_is_fetched_before_a_landmark_than_is_allowed(void **state)
{
	struct node n = node_open(LONG_MS, 1);
	struct layer *l = layer_of(&n);

	(void)state;
	starts_expect(n.starts, MANIFEST, IMAGE, fake.digest);
	wait_for_block(l, 0);
	/* One step. */
	assert_int_equal(blocks_after(&n, l), 15);
}

static void a_landmark_is_nothing_where_prefetch_is_switched_off(void **state)
{
	struct node n = node_open(LONG_MS, 0);
	struct layer *l = layer_of(&n);

	(void)state;
	starts_expect(n.starts, MANIFEST, IMAGE, fake.digest);
	wait_until_at_least(&cluster.record_asked, 1);
	assert_int_equal(blocks_after(&n, l), 0);
}

static void a_record_is_better_than_a_landmark(void **state)
{
	struct node n = node_open(LONG_MS, UINT64_MAX);
	struct layer *l = layer_of(&n);

	(void)state;
	put_record(1, 1, MANIFEST);
	starts_expect(n.starts, MANIFEST, IMAGE, fake.digest);
	wait_for_block(l, 1);
	assert_int_equal(blocks_after(&n, l), 2);
}

static void a_layer_that_breaks_before_its_landmark_is_told_of(void **state)
{
	struct node n = node_open(LONG_MS, UINT64_MAX);
	struct layer *l = layer_of(&n);
	int64_t end = soon();
	size_t at = fake.blob_len / 3; /* in the first file */

	(void)state;
	fake.blob[at] ^= 1;
	starts_expect(n.starts, MANIFEST, IMAGE, fake.digest);
	while (!layer_is_broken(l) && clock_ms() < end)
		usleep(1000);
	assert_true(layer_is_broken(l));
	blocks_after(&n, l);
	fake.blob[at] ^= 1;
}

#define starts_test(fn)	  cmocka_unit_test_teardown(fn, tear_down)
#define landmark_test(fn) cmocka_unit_test_teardown(fn, forget_marked_layer)

int main(void)
{
	const struct CMUnitTest tests[] = {
		starts_test(what_one_node_reads_first_the_next_one_fetches),
		starts_test(blocks_come_from_the_pack_and_nothing_of_the_layer_is_fetched),
		starts_test(wrong_bytes_of_a_pack_are_not_taken),
		starts_test(a_pack_that_ends_too_soon_is_done_without),
		starts_test(a_pack_that_nobody_has_is_done_without),
		starts_test(a_pack_that_does_not_come_is_done_without),
		starts_test(no_more_is_packed_than_is_allowed),
		starts_test(a_pack_that_is_longer_than_allowed_is_left_alone),
		starts_test(a_reader_waits_for_the_pack),
		starts_test(an_index_is_there_before_its_layer_is_asked_for),
		starts_test(no_more_is_prefetched_than_is_allowed),
		starts_test(nothing_is_prefetched_where_it_is_switched_off),
		starts_test(a_record_beyond_the_layer_does_no_harm),
		starts_test(a_record_of_another_image_is_forgotten_and_made_anew),
		starts_test(a_record_whose_owner_has_gone_is_made_anew),
		starts_test(a_record_that_cannot_be_read_is_done_without),
		starts_test(a_start_that_reads_nothing_records_nothing),
		starts_test(a_start_of_which_a_layer_is_unpacked_is_not_recorded),
		starts_test(many_images_give_way_to_one_another),
	};

	const struct CMUnitTest landmarks[] = {
		landmark_test(what_stands_before_the_landmark_is_fetched_where_there_is_no_record),
		landmark_test(a_layer_that_is_here_already_is_fetched_to_its_landmark),
		landmark_test(no_more_is_fetched_before_a_landmark_than_is_allowed),
		landmark_test(a_landmark_is_nothing_where_prefetch_is_switched_off),
		landmark_test(a_record_is_better_than_a_landmark),
		landmark_test(a_layer_that_breaks_before_its_landmark_is_told_of),
	};

	timer_start();
	return cmocka_run_group_tests(tests, make_cluster, remove_cluster) +
	       cmocka_run_group_tests(landmarks, make_marked_cluster, remove_cluster);
}
