/* From process to process: servers are children of the test, which keeps their descriptors, reads
 * through the mount and kills them. */
#include "fs/session.h"

#include "fs/mount.h"
#include "test/unit/fs/world.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define SIZE (3 * MIB)

static const char *self;

/* What a server tells of itself. */
struct board {
	atomic_uint waiting, cached_reads;
};

struct server {
	pid_t pid;
	int control;
	struct fs_held held; /* -1: none */
	struct board *board;
	int board_fd;
};

/* ---- descriptors over a socket */

static void send_held(int to, const struct fs_held *held, char word)
{
	char room[CMSG_SPACE(sizeof(*held))] = {0};
	struct iovec iov = {.iov_base = &word, .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (held) {
		struct cmsghdr *c;

		m.msg_control = room;
		m.msg_controllen = sizeof(room);
		c = CMSG_FIRSTHDR(&m);
		*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(*held)),
				      .cmsg_level = SOL_SOCKET,
				      .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(c), held, sizeof(*held));
	}
	assert(sendmsg(to, &m, 0) == 1);
}

static char receive_held(int from, struct fs_held *held)
{
	char room[CMSG_SPACE(sizeof(*held))], word = 0;
	struct iovec iov = {.iov_base = &word, .iov_len = 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = room,
			   .msg_controllen = sizeof(room)};
	const struct cmsghdr *c;

	*held = (struct fs_held){.fuse_fd = -1, .ledger_fd = -1};
	if (recvmsg(from, &m, MSG_CMSG_CLOEXEC) != 1)
		return 0;
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(held, CMSG_DATA(c), sizeof(*held));
	return word;
}

/* ---- the server's side */

static const char *const target = "where/it/leads";

/* modes: "s" reads are never answered; "n" no passthrough; "v" other content */
static int serve(const char *path, const char *modes, int control, struct board *board)
{
	static struct fs_blob files[] = {
		{.name = "cached", .kind = FS_FILE, .size = SIZE, .lasting = true},
		{.name = "whole", .kind = FS_FILE, .size = SIZE, .lasting = true},
		{.name = "link", .kind = FS_LINK, .lasting = true},
		{.name = "small", .kind = FS_FILE, .data = "few bytes", .size = 9, .lasting = true},
	};
	struct fs_config c = {.path = path,
			      .read_timeout_ms = 60000,
			      .allow_other = true,
			      .passthrough = !strchr(modes, 'n')};
	struct fs_held held;
	struct fake_source f;
	struct fs_session *s;
	struct err e = {0};
	char word = receive_held(control, &held);
	int r;

	timer_start();
	files[2].link = target;
	files[1].complete = true;
	if (strchr(modes, 's'))
		files[0].read_delay_ms = FAKE_NEVER;
	if (strchr(modes, 'v'))
		files[0].size = files[1].size = SIZE / 2;
	fake_source_init(&f, "/tmp", files, array_len(files));
	r = word == 'r' ? fs_session_resume(&c, &held, &fake_ops, &f, &s, &e)
			: fs_session_new(&c, &fake_ops, &f, &s, &e);
	if (r < 0) {
		fprintf(stderr, "%s\n", e.text);
		send_held(control, NULL, 'E');
		return 1;
	}
	if (!fs_session_held(s, &held))
		return 2;
	send_held(control, &held, 'S');
	for (;;) {
		char order;

		board->waiting = fake_waiting(&f);
		board->cached_reads = (unsigned)files[0].reads;
		if (recv(control, &order, 1, MSG_DONTWAIT) == 1) {
			bool left = fs_session_leave(s);

			/* What it left behind was not forgotten by it. */
			fake_source_release(&f);
			send_held(control, NULL, left ? 'L' : 'U');
			return 0;
		}
		usleep(200);
	}
}

/* ---- the test's side */

static struct server server_start(const char *modes, const struct fs_held *from)
{
	struct server sv = {.held = {.fuse_fd = -1, .ledger_fd = -1}};
	int pair[2];

	if (missing)
		skip();
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	sv.board_fd = memfd_create("board", 0);
	assert_int_equal(ftruncate(sv.board_fd, 4096), 0);
	sv.board = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, sv.board_fd, 0);
	sv.pid = fork();
	if (sv.pid == 0) {
		char control[12], board[12];

		snprintf(control, sizeof(control), "%d", pair[1]);
		snprintf(board, sizeof(board), "%d", sv.board_fd);
		close(pair[0]);
		execl(self, self, "--serve", mount_path, modes, control, board, NULL);
		_exit(127);
	}
	close(pair[1]);
	sv.control = pair[0];
	send_held(sv.control, from, from ? 'r' : 'n');
	return sv;
}

static struct server server_up(const char *modes, const struct fs_held *from)
{
	struct server sv = server_start(modes, from);

	assert_int_equal(receive_held(sv.control, &sv.held), 'S');
	/* The kernel learns that there is no FLUSH: otherwise the next fork() of the test, which
	 * closes its copies of our files, would wait for the server that it is to become. */
	if (!from)
		close(open_ok("small"));
	return sv;
}

static void server_gone(struct server *sv)
{
	int status;

	assert_int_equal(waitpid(sv->pid, &status, 0), sv->pid);
	close(sv->control);
	munmap(sv->board, 4096);
	close(sv->board_fd);
}

static void server_kill(struct server *sv)
{
	kill(sv->pid, SIGKILL);
	server_gone(sv);
}

/* 'L': left to the next, 'U': unmounted. */
static char server_leave(struct server *sv)
{
	struct fs_held none;
	char word;

	send_held(sv->control, NULL, 'x');
	word = receive_held(sv->control, &none);
	server_gone(sv);
	return word;
}

/* Another server in place of one that is gone. */
static void server_next(struct server *sv, const char *modes)
{
	struct fs_held held = sv->held;

	*sv = server_up(modes, &held);
	close(held.fuse_fd);
	close(held.ledger_fd);
}

static void held_close(struct server *sv)
{
	close(sv->held.fuse_fd);
	close(sv->held.ledger_fd);
}

/* The end of a test: the last server ends, the mount with it. */
static void server_end(struct server *sv)
{
	char word = 0;

	/* RELEASE and FORGET may still be on their way. */
	umount2(mount_path, MNT_DETACH);
	word = server_leave(sv);
	assert_int_equal(word, 'U');
	held_close(sv);
}

static void drop_cache(int fd)
{
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
}

static void open_files_are_read_on_after_a_kill(void **state)
{
	char text[100] = "";
	struct stat before, after;
	struct server sv = server_up("", NULL);
	int cached = open_ok("cached"), whole = open_ok("whole"), small = open_ok("small");
	cleanup(free_at) char *link = mem_printf("%s/link", mount_path);

	(void)state;
	assert_read(cached, 0, 100000);
	assert_int_equal(readlink(link, text, sizeof(text) - 1), strlen(target));
	assert_int_equal(stat_in("cached", &before), 0);
	for (int i = 0; i < 3; i++) {
		int again;

		server_kill(&sv);
		server_next(&sv, "");
		drop_cache(cached);
		drop_cache(small);
		assert_read(cached, 0, SIZE);
		assert_read(whole, 0, SIZE);
		assert_int_equal(pread(small, text, sizeof(text), 0), 9);
		assert_memory_equal(text, "few bytes", 9);
		assert_int_equal(stat_in("cached", &after), 0);
		assert_int_equal(before.st_ino, after.st_ino);
		assert_int_equal(before.st_mtime, after.st_mtime);
		again = open_ok("cached");
		assert_read(again, 0, SIZE);
		close(again);
		again = open_ok("whole");
		assert_read(again, SIZE - 100, 100);
		close(again);
		assert_int_equal(readlink(link, text, sizeof(text) - 1), strlen(target));
	}
	close(cached);
	close(whole);
	close(small);
	server_end(&sv);
}

struct reader {
	pthread_t thread;
	int fd;
	uint64_t off;
};

static void *reader_main(void *arg)
{
	struct reader *r = arg;

	assert_read(r->fd, r->off, 1000);
	return NULL;
}

static void reader_start(struct reader *r, int fd, uint64_t off)
{
	*r = (struct reader){.fd = fd, .off = off};
	assert_int_equal(pthread_create(&r->thread, NULL, reader_main, r), 0);
}

static void reads_in_flight_are_answered_by_the_next(void **state)
{
	struct server sv = server_up("s", NULL);
	int fd = open_ok("cached");
	struct reader readers[3];

	(void)state;
	for (int i = 0; i < 5; i++) {
		drop_cache(fd);
		for (unsigned j = 0; j < 3; j++)
			reader_start(&readers[j], fd, j * MIB);
		wait_until(sv.board->waiting >= 3);
		server_kill(&sv);
		/* One that answers none either, then one that does. */
		server_next(&sv, "s");
		wait_until(sv.board->waiting >= 3);
		server_kill(&sv);
		server_next(&sv, "");
		for (unsigned j = 0; j < 3; j++)
			pthread_join(readers[j].thread, NULL);
		server_kill(&sv);
		server_next(&sv, "s");
	}
	close(fd);
	server_end(&sv);
}

static void who_leaves_while_files_are_open_leaves_them_to_the_next(void **state)
{
	struct server sv = server_up("s", NULL);
	int fd = open_ok("cached"), whole = open_ok("whole");
	struct reader reader;

	(void)state;
	reader_start(&reader, fd, 0);
	wait_until(sv.board->waiting >= 1);
	assert_int_equal(server_leave(&sv), 'L');
	server_next(&sv, "");
	pthread_join(reader.thread, NULL);
	assert_read(whole, 0, SIZE);
	close(fd);
	close(whole);
	server_end(&sv);
}

static void who_leaves_an_unused_mount_unmounts_it(void **state)
{
	struct server sv = server_up("", NULL);
	int fd = open_ok("cached");

	(void)state;
	assert_read(fd, 0, 10);
	close(fd);
	for (int tries = 0;; tries++) {
		struct statx x;
		char word = server_leave(&sv);

		/* RELEASE may have been on its way. */
		if (word == 'L' && tries < 100) {
			server_next(&sv, "");
			continue;
		}
		assert_int_equal(word, 'U');
		assert_int_equal(statx(AT_FDCWD, mount_path, AT_STATX_DONT_SYNC, STATX_TYPE, &x),
				 0);
		assert_false(x.stx_attributes & STATX_ATTR_MOUNT_ROOT);
		break;
	}
	assert_false(mount_point_lives(sv.held.fuse_fd));
	held_close(&sv);
}

/* As a container has it: bound, and no file open at the moment. */
static void a_mount_bound_elsewhere_lives_on_and_is_mounted_again(void **state)
{
	cleanup(free_at) char *bound = mem_printf("%s/bound", dir);
	cleanup(free_at) char *file = mem_printf("%s/bound/cached", dir);
	struct server sv = server_up("", NULL);
	struct stat st;
	int fd;

	(void)state;
	assert_int_equal(mkdir(bound, 0755), 0);
	assert_int_equal(mount(mount_path, bound, NULL, MS_BIND, NULL), 0);
	assert_int_equal(server_leave(&sv), 'L');
	server_next(&sv, "");
	assert_int_equal(stat_in("cached", &st), 0);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_read(fd, 0, SIZE);
	close(fd);
	assert_int_equal(umount2(bound, MNT_DETACH), 0);
	server_end(&sv);
}

/* A bound file is never looked up again. */
static void a_file_bound_elsewhere_is_opened_after_a_kill(void **state)
{
	cleanup(free_at) char *bound = mem_printf("%s/bound-file", dir);
	cleanup(free_at) char *file = mem_printf("%s/cached", mount_path);
	struct server sv = server_up("", NULL);
	int fd = open(bound, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	(void)state;
	close(fd);
	assert_int_equal(mount(file, bound, NULL, MS_BIND, NULL), 0);
	server_kill(&sv);
	server_next(&sv, "");
	fd = open(bound, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_read(fd, 0, SIZE);
	close(fd);
	assert_int_equal(umount2(bound, MNT_DETACH), 0);
	server_end(&sv);
}

static void a_list_begun_before_a_kill_ends_after_it(void **state)
{
	struct server sv = server_up("", NULL);
	DIR *d = opendir(mount_path);
	unsigned count = 0;

	(void)state;
	assert_non_null(d);
	server_kill(&sv);
	server_next(&sv, "");
	while (readdir(d))
		count++;
	assert_int_equal(count, 6);
	closedir(d);
	server_end(&sv);
}

/* Never other bytes than those that the file was opened with. */
static void a_file_that_became_another_is_stale(void **state)
{
	struct server sv = server_up("n", NULL);
	int fd = open_ok("cached");
	struct stat st;
	char byte;

	(void)state;
	server_kill(&sv);
	server_next(&sv, "nv");
	assert_int_equal(pread(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ESTALE);
	close(fd);
	fd = open_ok("cached");
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, SIZE / 2);
	assert_read(fd, 0, SIZE / 2);
	close(fd);
	server_end(&sv);
}

static void a_mount_that_was_taken_away_is_not_taken_over(void **state)
{
	struct server sv = server_up("", NULL);
	struct fs_held held = sv.held, none;

	(void)state;
	server_kill(&sv);
	assert_int_equal(umount2(mount_path, MNT_DETACH), 0);
	sv = server_start("", &held);
	assert_int_equal(receive_held(sv.control, &none), 'E');
	server_gone(&sv);
	close(held.fuse_fd);
	close(held.ledger_fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_files_are_read_on_after_a_kill),
		cmocka_unit_test(reads_in_flight_are_answered_by_the_next),
		cmocka_unit_test(who_leaves_while_files_are_open_leaves_them_to_the_next),
		cmocka_unit_test(who_leaves_an_unused_mount_unmounts_it),
		cmocka_unit_test(a_mount_bound_elsewhere_lives_on_and_is_mounted_again),
		cmocka_unit_test(a_file_bound_elsewhere_is_opened_after_a_kill),
		cmocka_unit_test(a_list_begun_before_a_kill_ends_after_it),
		cmocka_unit_test(a_file_that_became_another_is_stale),
		cmocka_unit_test(a_mount_that_was_taken_away_is_not_taken_over),
	};

	if (argc == 6 && strcmp(argv[1], "--serve") == 0) {
		int board_fd = atoi(argv[5]);
		void *board = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, board_fd, 0);

		return serve(argv[2], argv[3], atoi(argv[4]), board);
	}
	self = argv[0];
	return cmocka_run_group_tests(tests, prepare, clean_up);
}
