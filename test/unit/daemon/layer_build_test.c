/* Who builds the index of a layer, when, and what becomes of it. */
#include "daemon/layer_build.h"

#include "base/clock.h"
#include "base/lock.h"
#include "daemon/layers.h"
#include "daemon/task_import.h"
#include "daemon/task_wait.h"
#include "test/unit/daemon/fake_note_source.h"
#include "test/unit/daemon/layer_fixture.h"

#define AWAIT_MS 60000

/* The cluster, as the builder sees it. What is set before a task opens is read after it. */
static struct {
	void (*on_opened)(struct task *t, void *arg);
	void *arg;
	bool known;		  /* the scheduler knows the index's length */
	bool gone;		  /* ... and nobody has it any more */
	int index_fd;		  /* ... or this is it */
	int forgotten;		  /* atomic */
	enum store_source source; /* of the first piece */
	int first_fails, piece_fails, whole_fails, import_fails;
	bool complete; /* the blob is here already */
	bool held;     /* atomic: pieces do not come */
	int held_at;   /* atomic: how often somebody waited then */
	int imports;   /* atomic */
	char name[128];
	uint64_t index_len;
	bool index_good;
} cluster;

static struct task index_task;

static bool stopped_while_held(const struct task_wait *w)
{
	__atomic_fetch_add(&cluster.held_at, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&cluster.held, __ATOMIC_ACQUIRE)) {
		if (__atomic_load_n(w->stopping, __ATOMIC_RELAXED))
			return true;
		usleep(500);
	}
	return false;
}

void tasks_on_opened(struct tasks *ts, void (*fn)(struct task *t, void *arg), void *arg)
{
	(void)ts;
	cluster.on_opened = fn;
	cluster.arg = arg;
}

int task_open_wait(struct tasks *ts, const struct task_request *rq, struct task **out,
		   struct err *e)
{
	(void)ts;
	assert_true(rq->disable_back_to_source);
	if (!cluster.known)
		return err_set(e, EHOSTUNREACH, "nobody has it");
	task_ref(&index_task);
	*out = &index_task;
	return 0;
}

int task_wait_complete(struct task *t, enum task_priority p, const struct task_wait *w, int *fd_out,
		       struct err *e)
{
	(void)p;
	(void)w;
	*fd_out = -1;
	if (t == &index_task && cluster.gone)
		return err_set(e, EHOSTUNREACH, "nobody has it any more");
	if (t == &index_task) {
		*fd_out = cluster.index_fd;
		return 0;
	}
	return cluster.whole_fails ? err_set(e, cluster.whole_fails, "fake") : 0;
}

int task_wait_piece(struct task *t, uint32_t index, const struct task_wait *w, struct err *e)
{
	int code = index == 0 ? cluster.first_fails : cluster.piece_fails;

	(void)t;
	if (index > 0 && stopped_while_held(w))
		return err_set(e, ECANCELED, "the daemon stops");
	return code ? err_set(e, code, "fake") : 0;
}

bool task_piece_info(struct task *t, uint32_t index, struct store_piece *out)
{
	(void)t;
	(void)index;
	*out = (struct store_piece){.source = (uint8_t)cluster.source};
	return true;
}

int task_complete_fd(struct task *t)
{
	(void)t;
	return cluster.complete ? 0 : -1;
}

int task_import(struct tasks *ts, const char *content_for_id, int fd, struct err *e)
{
	struct layer_index *ix;

	(void)ts;
	snprintf(cluster.name, sizeof(cluster.name), "%s", content_for_id);
	cluster.index_len = (uint64_t)lseek(fd, 0, SEEK_END);
	cluster.index_good = index_open(fd, &ix, e) == 0 && index_check_rest(ix, e) == 0 &&
			     strcmp(index_info(ix)->digest, fake.digest) == 0 &&
			     index_info(ix)->len == TAR_LEN;
	if (cluster.index_good)
		index_free(ix);
	__atomic_fetch_add(&cluster.imports, 1, __ATOMIC_RELEASE);
	return cluster.import_fails ? err_set(e, cluster.import_fails, "fake") : 0;
}

/* What daemon/layers.c needs. */
int task_delete(struct tasks *ts, const char *id, struct err *e)
{
	(void)ts;
	(void)id;
	(void)e;
	__atomic_fetch_add(&cluster.forgotten, 1, __ATOMIC_RELEASE);
	return 0;
}

static char digest_text[80];

static int set_up(void **state)
{
	(void)state;
	memset(&cluster, 0, sizeof(cluster));
	make_layer();
	geometry_init(&fake.task.meta.geometry, fake.blob_len, 1 << 20);
	assert_true(fake.task.meta.geometry.piece_count > 2);
	snprintf(digest_text, sizeof(digest_text), "sha256:%s", fake.digest);
	strcpy(fake.task.meta.id, fake.digest);
	fake.task.meta.digest = digest_text;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return remove_layer();
}

static struct layer_build *start(uint64_t least_len)
{
	const struct layer_build_config c = {.dir = dir, .least_len = least_len};

	return layer_build_new(&c);
}

/* The blob's task comes into the table. Until nobody is at it any more. */
static void open_blob(void)
{
	int64_t end = clock_ms() + AWAIT_MS;

	cluster.on_opened(&fake.task, cluster.arg);
	while (__atomic_load_n(&fake.refs, __ATOMIC_ACQUIRE) > 0 && clock_ms() < end)
		usleep(500);
	assert_int_equal(__atomic_load_n(&fake.refs, __ATOMIC_ACQUIRE), 0);
}

static int imports(void)
{
	return __atomic_load_n(&cluster.imports, __ATOMIC_ACQUIRE);
}

static void expect_no_index(uint64_t least_len)
{
	struct layer_build *b = start(least_len);

	open_blob();
	assert_int_equal(imports(), 0);
	layer_build_free(b);
	assert_null(cluster.on_opened);
}

static void a_layer_from_the_registry_gets_an_index(void **state)
{
	struct layer_build *b = start(1);
	char *name cleanup(free_at) = layers_index_name(fake.digest);

	(void)state;
	open_blob();
	assert_int_equal(imports(), 1);
	assert_true(cluster.index_good);
	assert_string_equal(cluster.name, name);
	layer_build_free(b);
}

static void a_layer_from_a_peer_gets_none_here(void **state)
{
	(void)state;
	cluster.source = STORE_FROM_PEER;
	expect_no_index(1);
}

/* The cluster has an index: the layer's, with one byte changed if that is inside of it. */
static void give_index(off_t changed)
{
	const struct index_options o = {.dir = dir};
	struct index_build *ib;
	unsigned char byte;

	cluster.known = true;
	cluster.index_fd = open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	assert_true(cluster.index_fd >= 0);
	assert_int_equal(index_build_new(&o, &ib, NULL), 0);
	assert_int_equal(index_build_feed(ib, fake.blob, fake.blob_len, NULL), 0);
	assert_int_equal(index_build_end(ib, cluster.index_fd, NULL, NULL), 0);
	index_build_free(ib);
	if (changed < 0)
		return;
	assert_int_equal(pread(cluster.index_fd, &byte, 1, changed), 1);
	byte ^= 1;
	assert_int_equal(pwrite(cluster.index_fd, &byte, 1, changed), 1);
}

static void an_index_that_is_known_is_not_built(void **state)
{
	(void)state;
	give_index(-1);
	expect_no_index(1);
	close_at(&cluster.index_fd);
}

static void expect_another_index(void)
{
	struct layer_build *b = start(1);

	open_blob();
	assert_int_equal(imports(), 1);
	assert_true(cluster.index_good);
	assert_int_equal(__atomic_load_n(&cluster.forgotten, __ATOMIC_ACQUIRE), 1);
	layer_build_free(b);
	close_at(&cluster.index_fd);
}

static void an_index_that_is_damaged_is_forgotten_and_built_anew(void **state)
{
	(void)state;
	give_index(1000);
	expect_another_index();
}

static void an_index_of_another_layer_is_forgotten_and_built_anew(void **state)
{
	char was[sizeof(fake.digest)];

	(void)state;
	give_index(-1);
	/* A blob that is another from its first byte on, which gzip tells the time in. */
	fake.blob[4] ^= 1;
	memcpy(was, fake.digest, sizeof(was));
	sha256_hex(fake.blob, fake.blob_len, fake.digest);
	assert_string_not_equal(was, fake.digest);
	strcpy(fake.task.meta.id, fake.digest);
	snprintf(digest_text, sizeof(digest_text), "sha256:%s", fake.digest);
	expect_another_index();
}

static void an_index_that_only_the_scheduler_remembers_is_built(void **state)
{
	struct layer_build *b = start(1);

	(void)state;
	cluster.known = true;
	cluster.gone = true;
	open_blob();
	assert_int_equal(imports(), 1);
	assert_true(cluster.index_good);
	layer_build_free(b);
}

static void a_short_blob_gets_none(void **state)
{
	(void)state;
	expect_no_index(fake.blob_len + 1);
}

static void a_blob_that_is_here_gets_none(void **state)
{
	(void)state;
	cluster.complete = true;
	expect_no_index(1);
}

static void what_is_not_named_by_its_digest_gets_none(void **state)
{
	(void)state;
	fake.task.meta.id[0] = fake.task.meta.id[0] == 'a' ? 'b' : 'a';
	expect_no_index(1);
	fake.task.meta.digest = NULL;
	expect_no_index(1);
}

static void a_configuration_gets_none(void **state)
{
	(void)state;
	memcpy(fake.blob, "{\"a\"", 4);
	expect_no_index(1);
}

static void a_blob_that_does_not_come_gets_none(void **state)
{
	(void)state;
	cluster.first_fails = ETIMEDOUT;
	expect_no_index(1);
	cluster.first_fails = 0;
	cluster.piece_fails = EHOSTUNREACH;
	expect_no_index(1);
}

static void bytes_that_are_not_the_layers_give_no_index(void **state)
{
	(void)state;
	/* Deep inside, and where only the task's digest sees it. */
	fake.blob[fake.blob_len / 2] ^= 1;
	expect_no_index(1);
	fake.blob[fake.blob_len / 2] ^= 1;
	cluster.whole_fails = EBADMSG;
	expect_no_index(1);
}

static void an_import_that_fails_is_survived(void **state)
{
	struct layer_build *b = start(1);

	(void)state;
	cluster.import_fails = EBUSY;
	open_blob();
	cluster.import_fails = 0;
	open_blob();
	assert_int_equal(imports(), 2);
	layer_build_free(b);
}

static void a_directory_that_is_gone_is_survived(void **state)
{
	const struct layer_build_config c = {.dir = "/nowhere", .least_len = 1};
	struct layer_build *b = layer_build_new(&c);

	(void)state;
	open_blob();
	assert_int_equal(imports(), 0);
	layer_build_free(b);
}

static void a_stopping_daemon_stops_building(void **state)
{
	struct layer_build *b = start(1);
	int64_t end = clock_ms() + AWAIT_MS;

	(void)state;
	__atomic_store_n(&cluster.held, true, __ATOMIC_RELEASE);
	cluster.on_opened(&fake.task, cluster.arg);
	while (__atomic_load_n(&cluster.held_at, __ATOMIC_ACQUIRE) == 0 && clock_ms() < end)
		usleep(500);
	layer_build_free(b);
	assert_int_equal(imports(), 0);
}

#define build_test(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		build_test(a_layer_from_the_registry_gets_an_index),
		build_test(a_layer_from_a_peer_gets_none_here),
		build_test(an_index_that_is_known_is_not_built),
		build_test(an_index_that_is_damaged_is_forgotten_and_built_anew),
		build_test(an_index_of_another_layer_is_forgotten_and_built_anew),
		build_test(an_index_that_only_the_scheduler_remembers_is_built),
		build_test(a_short_blob_gets_none),
		build_test(a_blob_that_is_here_gets_none),
		build_test(what_is_not_named_by_its_digest_gets_none),
		build_test(a_configuration_gets_none),
		build_test(a_blob_that_does_not_come_gets_none),
		build_test(bytes_that_are_not_the_layers_give_no_index),
		build_test(an_import_that_fails_is_survived),
		build_test(a_directory_that_is_gone_is_survived),
		build_test(a_stopping_daemon_stops_building),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
