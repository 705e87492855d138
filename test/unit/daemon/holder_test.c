/* daemon/holder with a real holder process: this program, called with --hold. */
#include "daemon/holder.h"

#include "base/clock.h"
#include "base/mem.h"
#include "daemon/holder_process.h"
#include "test/unit/unit.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOON_MS 20000

static char *dir, *socket_path;

static struct holder *begin(int64_t hold_ms)
{
	const struct holder_config c = {.socket_path = socket_path, .hold_ms = hold_ms};
	struct holder *h = NULL;
	struct err e = {0};

	if (holder_new(&c, &h, &e) < 0)
		fail_msg("%s", e.text);
	return h;
}

static struct fs_held something(void)
{
	return (struct fs_held){.fuse_fd = memfd_create("one", MFD_CLOEXEC),
				.ledger_fd = memfd_create("two", MFD_CLOEXEC)};
}

static void close_held(const struct fs_held *held)
{
	close(held->fuse_fd);
	close(held->ledger_fd);
}

static ino_t inode(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

static void keep(struct holder *h, const char *name, const struct fs_held *held)
{
	struct err e = {0};

	if (holder_keep(h, name, held, &e) < 0)
		fail_msg("%s", e.text);
	assert_true(holder_keeps(h, name));
}

/* The socket goes with the process. */
static void assert_holder_ends(void)
{
	int64_t end_ms = clock_ms() + SOON_MS;

	while (access(socket_path, F_OK) == 0) {
		if (clock_ms() > end_ms)
			fail_msg("the holder is still there");
		sched_yield();
	}
}

static void what_one_process_keeps_the_next_takes(void **state)
{
	struct fs_held blobs = something(), layers = something(), got;
	struct holder *h = begin(60000);

	(void)state;
	assert_false(holder_take(h, HOLDER_BLOBS, &got));
	assert_false(holder_keeps(h, HOLDER_BLOBS));
	keep(h, HOLDER_BLOBS, &blobs);
	keep(h, HOLDER_LAYERS, &layers);
	holder_free(h);

	for (int i = 0; i < 3; i++) {
		h = begin(60000);
		assert_true(holder_take(h, HOLDER_BLOBS, &got));
		assert_true(inode(got.fuse_fd) == inode(blobs.fuse_fd));
		assert_true(inode(got.ledger_fd) == inode(blobs.ledger_fd));
		assert_true(holder_keeps(h, HOLDER_BLOBS));
		assert_false(holder_take(h, HOLDER_BLOBS, NULL));
		/* Left, but not taken: still there for the next. */
		assert_false(holder_keeps(h, HOLDER_LAYERS));
		close_held(&got);
		holder_free(h);
	}
	h = begin(60000);
	assert_true(holder_take(h, HOLDER_LAYERS, &got));
	close_held(&got);
	holder_settle(h); /* nobody wants the blobs any more */
	holder_free(h);

	h = begin(60000);
	assert_false(holder_take(h, HOLDER_BLOBS, &got));
	assert_true(holder_take(h, HOLDER_LAYERS, &got));
	holder_forget(h, HOLDER_LAYERS);
	close_held(&got);
	holder_free(h);
	assert_holder_ends();
	close_held(&blobs);
	close_held(&layers);
}

static void without_a_successor_it_gives_up(void **state)
{
	struct fs_held blobs = something(), got;
	struct holder *h = begin(50);

	(void)state;
	keep(h, HOLDER_BLOBS, &blobs);
	holder_free(h);
	assert_holder_ends();
	h = begin(50);
	assert_false(holder_take(h, HOLDER_BLOBS, &got));
	holder_free(h);
	close_held(&blobs);
}

static void beside_a_living_process_there_is_no_other(void **state)
{
	const struct holder_config c = {.socket_path = socket_path, .hold_ms = 60000};
	struct fs_held blobs = something();
	struct holder *h = begin(60000), *other = NULL;
	struct err e = {0};

	(void)state;
	keep(h, HOLDER_BLOBS, &blobs);
	assert_int_equal(holder_new(&c, &other, &e), -EBUSY);
	assert_non_null(strstr(e.text, socket_path));
	/* The first is not disturbed. */
	keep(h, HOLDER_LAYERS, &blobs);
	holder_forget(h, HOLDER_BLOBS);
	holder_forget(h, HOLDER_LAYERS);
	holder_free(h);
	assert_holder_ends();
	close_held(&blobs);
}

static void a_killed_holder_is_replaced(void **state)
{
	struct fs_held blobs = something(), got;
	struct holder *h = begin(60000);
	struct stat before, after;
	cleanup(free_at) char *command = mem_printf(
		"kill -9 $("
		"grep -l '^skimmer-holder' /proc/[0-9]*/comm 2>/dev/null | cut -d/ -f3 | "
		"while read p; do grep -zqs '^HOLDER_TEST=%s' /proc/$p/environ && echo $p; "
		"done)",
		dir);

	(void)state;
	keep(h, HOLDER_BLOBS, &blobs);
	assert_int_equal(stat(socket_path, &before), 0);
	assert_int_equal(system(command), 0);
	/* Its end may come a moment after the kill. */
	for (int64_t end_ms = clock_ms() + SOON_MS;;) {
		assert_true(clock_ms() < end_ms);
		holder_tend(h);
		assert_int_equal(stat(socket_path, &after), 0);
		if (after.st_ctim.tv_sec != before.st_ctim.tv_sec ||
		    after.st_ctim.tv_nsec != before.st_ctim.tv_nsec)
			break;
		sched_yield();
	}
	assert_true(holder_keeps(h, HOLDER_BLOBS));
	holder_free(h);
	h = begin(60000);
	assert_true(holder_take(h, HOLDER_BLOBS, &got));
	assert_true(inode(got.ledger_fd) == inode(blobs.ledger_fd));
	holder_forget(h, HOLDER_BLOBS);
	holder_free(h);
	close_held(&got);
	close_held(&blobs);
	assert_holder_ends();
}

static void a_place_that_cannot_be_is_an_error(void **state)
{
	const struct holder_config c = {.socket_path = "/proc/no/such/place", .hold_ms = 1};
	struct fs_held blobs = something();
	struct holder *h = NULL;
	struct err e = {0};

	(void)state;
	assert_int_equal(holder_new(&c, &h, &e), 0);
	assert_true(holder_keep(h, HOLDER_BLOBS, &blobs, &e) < 0);
	assert_false(holder_keeps(h, HOLDER_BLOBS));
	holder_free(h);
	close_held(&blobs);
}

static int prepare(void **state)
{
	(void)state;
	dir = mem_strdup("/tmp/holder_test.XXXXXX");
	assert_non_null(mkdtemp(dir));
	socket_path = mem_printf("%s/run/d.sock.hold", dir);
	setenv("HOLDER_TEST", dir, 1);
	return 0;
}

static int clean_up(void **state)
{
	cleanup(free_at) char *command = mem_printf("rm -rf %s", dir);

	(void)state;
	free(socket_path);
	free(dir);
	return system(command) == 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_one_process_keeps_the_next_takes),
		cmocka_unit_test(without_a_successor_it_gives_up),
		cmocka_unit_test(beside_a_living_process_there_is_no_other),
		cmocka_unit_test(a_killed_holder_is_replaced),
		cmocka_unit_test(a_place_that_cannot_be_is_an_error),
	};

	if (argc == 2 && strcmp(argv[1], "--hold") == 0)
		return holder_process_main();
	return cmocka_run_group_tests(tests, prepare, clean_up);
}
