/*
 * A session at a real mount point, on a fake source. In a mount namespace of its own, so nothing is
 * left mounted when a test dies. Without /dev/fuse or without root the tests are skipped. Included
 * by a test's file: it holds the code too.
 */
#ifndef TEST_WORLD_H
#define TEST_WORLD_H

#include "base/clock.h"
#include "fs/session.h"
#include "test/unit/fs/fake_source.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define MIB	   (1u << 20)
#define GIB	   (1ull << 30)
#define SOON_MS	   30000 /* bound of every wait for a condition */
#define WATCHDOG_S 90

static char *dir, *mount_path;
static const char *missing; /* what these tests need and is not here */

struct world {
	struct fake_source f;
	struct fs_session *s;
};

static inline struct fs_config config_default(void)
{
	return (struct fs_config){.path = mount_path,
				  .passthrough = true,
				  .allow_other = true,
				  .read_timeout_ms = 30000};
}

static inline void world_start(struct world *w, struct fs_blob *files, unsigned count,
			       const struct fs_config *c)
{
	struct fs_config fallback = config_default();
	struct err e = {0};

	if (missing)
		skip();
	fake_source_init(&w->f, dir, files, count);
	if (fs_session_new(c ? c : &fallback, &fake_ops, &w->f, &w->s, &e) < 0)
		fail_msg("%s", e.text);
}

static inline void world_stop(struct world *w)
{
	fs_session_free(w->s);
	fake_source_release(&w->f);
}

static inline struct fs_stat stat_of(const struct world *w)
{
	struct fs_stat stat;

	fs_session_stat(w->s, &stat);
	return stat;
}

static inline int open_in(const char *name, int flags)
{
	cleanup(free_at) char *path = mem_printf("%s/%s", mount_path, name);

	return open(path, flags | O_CLOEXEC);
}

static inline int stat_in(const char *name, struct stat *st)
{
	cleanup(free_at) char *path = mem_printf("%s/%s", mount_path, name);

	return lstat(path, st);
}

static inline int open_ok(const char *name)
{
	int fd = open_in(name, O_RDONLY);

	if (fd < 0)
		fail_msg("open %s: %s", name, strerror(errno));
	return fd;
}

static inline void assert_read(int fd, uint64_t off, size_t len)
{
	unsigned char *data = mem_alloc(len);
	size_t got = 0;

	while (got < len) {
		ssize_t n = pread(fd, data + got, len - got, (off_t)(off + got));

		if (n <= 0)
			fail_msg("read at %zu: %s", (size_t)off + got,
				 n < 0 ? strerror(errno) : "short");
		got += (size_t)n;
	}
	assert_true(fake_is_right(data, off, len));
	free(data);
}

/* Waits until it holds, for at most SOON_MS. */
#define wait_until(condition)                                                                      \
	do {                                                                                       \
		int64_t end_ms = clock_ms() + SOON_MS;                                             \
		while (!(condition)) {                                                             \
			if (clock_ms() > end_ms)                                                   \
				fail_msg("not in time: %s", #condition);                           \
			sched_yield();                                                             \
		}                                                                                  \
	} while (0)

/*
 * A thread that waits for an answer of its own process cannot be killed: the process would be there
 * for ever. So a test that hangs is ended from within, by MNT_FORCE.
 */
static inline void *watchdog(void *arg)
{
	struct timespec wait = {.tv_sec = WATCHDOG_S};

	(void)arg;
	nanosleep(&wait, NULL);
	fprintf(stderr, "hangs: the mount is torn down\n");
	umount2(mount_path, MNT_FORCE);
	umount2(mount_path, MNT_DETACH);
	abort();
}

static inline int prepare(void **state)
{
	pthread_t thread;

	(void)state;
	dir = mem_strdup("/tmp/fs_session_test.XXXXXX");
	assert_non_null(mkdtemp(dir));
	mount_path = mem_printf("%s/mnt", dir);
	if (access("/dev/fuse", R_OK | W_OK) < 0)
		missing = "/dev/fuse";
	else if (unshare(CLONE_NEWNS) < 0 ||
		 mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		missing = "CAP_SYS_ADMIN";
	if (missing)
		print_message("SKIPPED: these tests need %s\n", missing);
	timer_start();
	return pthread_create(&thread, NULL, watchdog, NULL);
}

static inline int clean_up(void **state)
{
	cleanup(free_at) char *command = mem_printf("rm -rf --one-file-system %s", dir);

	(void)state;
	timer_stop();
	free(mount_path);
	free(dir);
	return system(command) == 0 ? 0 : -1;
}

#endif
