/* Answers that come late, or never, or are not wanted any more. */
#include "fs/request.h"

#include "test/unit/fs/world.h"

#include <signal.h>
#include <sys/wait.h>

static void errors_reach_the_caller_as_documented(void **state)
{
	static const struct {
		int from, to;
	} cases[] = {{ENOENT, ENOENT},	  {EACCES, EACCES}, {ETIMEDOUT, ETIMEDOUT}, {EIO, EIO},
		     {EHOSTUNREACH, EIO}, {EPROTO, EIO},    {EFBIG, EFBIG}};
	struct fs_blob files[] = {{.name = "f", .kind = FS_FILE, .size = MIB}};
	struct world w;
	struct stat st;
	char text[16];
	int fd;

	(void)state;
	world_start(&w, files, 1, NULL);
	for (size_t i = 0; i < array_len(cases); i++) {
		files[0].lookup_errno = cases[i].from;
		assert_int_equal(stat_in("f", &st), -1);
		assert_int_equal(errno, cases[i].to);
		files[0].lookup_errno = 0;
		files[0].open_errno = cases[i].from;
		assert_int_equal(open_in("f", O_RDONLY), -1);
		assert_int_equal(errno, cases[i].to);
		files[0].open_errno = 0;
		files[0].read_errno = cases[i].from;
		fd = open_ok("f");
		assert_int_equal(read(fd, text, sizeof(text)), -1);
		assert_int_equal(errno, cases[i].to);
		files[0].read_errno = 0;
		/* A failure is not remembered either. */
		assert_read(fd, 0, 16);
		close(fd);
		fd = open_in("f", O_RDONLY | O_DIRECT);
		close(fd);
	}
	world_stop(&w);
}

static void silence_becomes_a_timeout(void **state)
{
	struct fs_config c = config_default();
	struct fs_blob files[] = {{.name = "f", .kind = FS_FILE, .size = MIB}};
	struct world w;
	struct stat st;
	char text[16];
	int fd;

	(void)state;
	c.read_timeout_ms = 50;
	world_start(&w, files, 1, &c);
	files[0].lookup_delay_ms = FAKE_NEVER;
	assert_int_equal(stat_in("f", &st), -1);
	assert_int_equal(errno, ETIMEDOUT);
	files[0].lookup_delay_ms = 0;
	files[0].open_delay_ms = FAKE_NEVER;
	assert_int_equal(open_in("f", O_RDONLY), -1);
	assert_int_equal(errno, ETIMEDOUT);
	files[0].open_delay_ms = 0;
	files[0].read_delay_ms = FAKE_NEVER;
	fd = open_ok("f");
	assert_int_equal(read(fd, text, sizeof(text)), -1);
	assert_int_equal(errno, ETIMEDOUT);
	files[0].read_delay_ms = 0;
	assert_read(fd, 0, 16);
	close(fd);
	world_stop(&w);
}

struct asker {
	pthread_t thread;
	enum fake_what what;
	int fd, result, code;
	atomic_bool over;
};

static void *ask_in_thread(void *arg)
{
	struct asker *a = arg;
	static _Alignas(4096) char page[4096];
	struct stat st;

	if (a->what == FAKE_LOOKUP)
		a->result = stat_in("f", &st);
	else if (a->what == FAKE_OPEN)
		a->result = open_in("f", O_RDONLY);
	else
		a->result = (int)pread(a->fd, page, sizeof(page), 0);
	a->code = errno;
	atomic_store(&a->over, true);
	return NULL;
}

static void on_signal(int signo)
{
	(void)signo;
}

static void interrupted_caller_returns_at_once(void **state)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct fs_blob files[] = {{.name = "f", .kind = FS_FILE, .size = MIB}};
	struct world w;

	(void)state;
	world_start(&w, files, 1, NULL);
	sigaction(SIGUSR1, &action, NULL);
	for (enum fake_what what = FAKE_LOOKUP; what <= FAKE_READ; what++) {
		struct asker a = {.what = what};
		int64_t start_ms;

		files[0].lookup_delay_ms = files[0].open_delay_ms = 0;
		a.fd = open_in("f", O_RDONLY | O_DIRECT);
		assert_true(a.fd >= 0);
		files[0].lookup_delay_ms = what == FAKE_LOOKUP ? FAKE_NEVER : 0;
		files[0].open_delay_ms = what == FAKE_OPEN ? FAKE_NEVER : 0;
		files[0].read_delay_ms = what == FAKE_READ ? FAKE_NEVER : 0;
		assert_int_equal(pthread_create(&a.thread, NULL, ask_in_thread, &a), 0);
		wait_until(fake_waiting(&w.f) == 1);
		start_ms = clock_ms();
		pthread_kill(a.thread, SIGUSR1);
		pthread_join(a.thread, NULL);
		assert_true(clock_ms() - start_ms < SOON_MS);
		assert_int_equal(a.result, -1);
		assert_int_equal(a.code, EINTR);
		assert_int_equal(w.f.cancelled, what + 1);
		close(a.fd);
	}
	assert_int_equal(stat_of(&w).interrupted, 3);
	world_stop(&w);
}

static void killed_reader_goes_at_once(void **state)
{
	struct fs_blob files[] = {
		{.name = "f", .kind = FS_FILE, .size = MIB, .read_delay_ms = FAKE_NEVER}};
	struct world w;
	int status, fd;
	pid_t pid;

	(void)state;
	world_start(&w, files, 1, NULL);
	fd = open_ok("f");
	pid = fork();
	if (pid == 0) {
		char c;

		signal(SIGINT, SIG_DFL);
		_exit(read(fd, &c, 1) == 1 ? 0 : 1);
	}
	wait_until(fake_waiting(&w.f) > 0);
	kill(pid, SIGINT);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	close(fd);
	world_stop(&w);
}

static void end_answers_those_who_wait_with_eio(void **state)
{
	struct fs_blob files[] = {{.name = "f", .kind = FS_FILE, .size = MIB}};
	struct asker a = {.what = FAKE_READ};
	struct world w;
	int64_t start_ms;

	(void)state;
	world_start(&w, files, 1, NULL);
	a.fd = open_ok("f");
	files[0].read_delay_ms = FAKE_NEVER;
	assert_int_equal(pthread_create(&a.thread, NULL, ask_in_thread, &a), 0);
	wait_until(fake_waiting(&w.f) > 0);
	start_ms = clock_ms();
	fs_session_free(w.s); /* busy: a.fd is open */
	assert_true(clock_ms() - start_ms < SOON_MS);
	pthread_join(a.thread, NULL);
	assert_int_equal(a.result, -1);
	assert_true(a.code == EIO || a.code == ENOTCONN || a.code == ECONNABORTED);
	close(a.fd);
	fake_source_release(&w.f);
}

struct stormer {
	pthread_t thread;
	unsigned seed;
	bool wrong;
	atomic_bool *end;
};

/* Anything but wrong bytes will do. */
static void *storm(void *arg)
{
	static const int names[] = {'a', 'b'};
	struct stormer *st = arg;
	unsigned char *data = aligned_alloc(4096, 64 << 10);
	struct stat seen;

	while (!atomic_load(st->end)) {
		char name[2] = {(char)names[rand_r(&st->seed) % 2], 0};
		int fd = open_in(name, O_RDONLY | (rand_r(&st->seed) % 2 ? O_DIRECT : 0));
		off_t off = (off_t)(rand_r(&st->seed) % 200) * 4096;
		ssize_t n = fd >= 0 ? pread(fd, data, 64 << 10, off) : -1;

		if (n > 0 && !fake_is_right(data, (uint64_t)off, (size_t)n))
			st->wrong = true;
		if (fd >= 0)
			close(fd);
		stat_in("c", &seen);
	}
	free(data);
	return NULL;
}

static void storm_of_signals_ends_well(void **state)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct fs_blob files[] = {
		{.name = "a", .kind = FS_FILE, .size = MIB, .read_delay_ms = 3, .open_delay_ms = 1},
		{.name = "b", .kind = FS_FILE, .size = MIB, .lookup_delay_ms = FAKE_NEVER},
		{.name = "c", .kind = FS_FILE, .size = MIB, .open_delay_ms = 2}};
	struct fs_config c = config_default();
	struct stormer stormers[16];
	atomic_bool end = false;
	int64_t until_ms;
	struct world w;

	(void)state;
	c.read_timeout_ms = 20;
	world_start(&w, files, 3, &c);
	sigaction(SIGUSR1, &action, NULL);
	for (unsigned i = 0; i < 16; i++) {
		stormers[i] = (struct stormer){.seed = i, .end = &end};
		assert_int_equal(pthread_create(&stormers[i].thread, NULL, storm, &stormers[i]), 0);
	}
	until_ms = clock_ms() + 500;
	for (unsigned i = 0; clock_ms() < until_ms; i++) {
		pthread_kill(stormers[i % 16].thread, SIGUSR1);
		files[1].lookup_delay_ms = i % 3 ? FAKE_NEVER : 0;
		files[1].complete = i % 64 > 32;
		sched_yield();
	}
	fs_session_free(w.s); /* while they go on */
	atomic_store(&end, true);
	for (unsigned i = 0; i < 16; i++) {
		pthread_join(stormers[i].thread, NULL);
		assert_false(stormers[i].wrong);
	}
	fake_source_release(&w.f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_reach_the_caller_as_documented),
		cmocka_unit_test(silence_becomes_a_timeout),
		cmocka_unit_test(interrupted_caller_returns_at_once),
		cmocka_unit_test(killed_reader_goes_at_once),
		cmocka_unit_test(end_answers_those_who_wait_with_eio),
		cmocka_unit_test(storm_of_signals_ends_well),
	};

	return cmocka_run_group_tests(tests, prepare, clean_up);
}
