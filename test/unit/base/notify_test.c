/* base/notify */
#include "test/unit/unit.h"

#include "base/mem.h"
#include "base/notify.h"
#include "base/timer.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* A service manager's socket, and the variable that names it. */
static int listen_at(const char *path, bool abstract)
{
	const struct timeval patience = {.tv_sec = 20};
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strncpy(a.sun_path + abstract, path + abstract, sizeof(a.sun_path) - 2);
	assert_int_equal(bind(fd, (struct sockaddr *)&a,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))),
			 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	setenv("NOTIFY_SOCKET", path, 1);
	return fd;
}

static void assert_told(int fd, const char *want)
{
	char got[64] = "";
	ssize_t n = recv(fd, got, sizeof(got) - 1, 0);

	assert_true(n > 0);
	assert_string_equal(got, want);
}

static void ready_and_stopping_are_told(void **state)
{
	char dir[] = "/tmp/notify-test-XXXXXX";
	char *path cleanup(free_at) = NULL;
	int fd cleanup(close_at) = -1;

	(void)state;
	assert_non_null(mkdtemp(dir));
	path = mem_printf("%s/socket", dir);
	fd = listen_at(path, false);
	timer_start();
	notify_ready();
	assert_told(fd, "READY=1");
	notify_stopping();
	assert_told(fd, "STOPPING=1");
	timer_stop();
	unlink(path);
	rmdir(dir);
}

static void the_watchdog_is_fed_until_the_end(void **state)
{
	char *path cleanup(free_at) = mem_printf("@notify-test-%d", (int)getpid());
	char *pid cleanup(free_at) = mem_printf("%d", (int)getpid());
	int fd cleanup(close_at) = listen_at(path, true);
	char got[64] = "";

	(void)state;
	setenv("WATCHDOG_USEC", "10000", 1);
	setenv("WATCHDOG_PID", pid, 1);
	timer_start();
	notify_ready();
	assert_told(fd, "READY=1");
	assert_told(fd, "WATCHDOG=1");
	assert_told(fd, "WATCHDOG=1");
	notify_stopping();
	do {
		assert_true(recv(fd, got, sizeof(got) - 1, 0) > 0);
	} while (strncmp(got, "WATCHDOG=1", 10) == 0);
	assert_int_equal(strncmp(got, "STOPPING=1", 10), 0);
	assert_int_equal(recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT), -1);
	timer_stop();
	unsetenv("WATCHDOG_USEC");
}

static void another_processs_watchdog_is_not_fed(void **state)
{
	char *path cleanup(free_at) = mem_printf("@notify-other-%d", (int)getpid());
	int fd cleanup(close_at) = listen_at(path, true);

	(void)state;
	setenv("WATCHDOG_USEC", "1000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	timer_start();
	notify_ready();
	notify_stopping();
	assert_told(fd, "READY=1");
	assert_told(fd, "STOPPING=1");
	timer_stop();
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

static void descriptors_are_stored_and_found_again(void **state)
{
	char *path cleanup(free_at) = mem_printf("@notify-store-%d", (int)getpid());
	char *pid cleanup(free_at) = mem_printf("%d", (int)getpid());
	int manager cleanup(close_at) = listen_at(path, true);
	char room[CMSG_SPACE(sizeof(int))], text[64] = "";
	struct iovec iov = {.iov_base = text, .iov_len = sizeof(text) - 1};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = room,
			   .msg_controllen = sizeof(room)};
	struct stat mine, stored;
	struct err e = {0};
	int fd;

	(void)state;
	assert_false(notify_can_store());
	setenv("FDSTORE", "4", 1);
	assert_true(notify_can_store());
	assert_int_equal(notify_store("two", manager, &e), 0);
	assert_true(recvmsg(manager, &m, 0) > 0);
	assert_string_equal(text, "FDSTORE=1\nFDNAME=two\nFDPOLL=0");
	assert_non_null(CMSG_FIRSTHDR(&m));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	assert_int_equal(fstat(fd, &stored), 0);
	assert_int_equal(fstat(manager, &mine), 0);
	assert_true(mine.st_ino == stored.st_ino);
	close(fd);
	notify_unstore("two");
	assert_told(manager, "FDSTOREREMOVE=1\nFDNAME=two");

	/* As the next process gets them: from 3 on. Whatever has these numbers here stays. */
	setenv("LISTEN_FDS", "3", 1);
	setenv("LISTEN_FDNAMES", "one:two:twofold", 1);
	setenv("LISTEN_PID", "1", 1);
	assert_int_equal(notify_stored("two"), -1);
	setenv("LISTEN_PID", pid, 1);
	assert_int_equal(notify_stored("absent"), -1);
	fd = fcntl(4, F_GETFD) < 0 ? dup2(manager, 4) : -1;
	assert_int_equal(notify_stored("two"), 4);
	assert_int_equal(fcntl(4, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	if (fd >= 0)
		close(fd);
	unsetenv("LISTEN_PID");
	unsetenv("FDSTORE");
}

static void without_a_service_manager_nothing_happens(void **state)
{
	static const char *const sockets[] = {"", "relative", "/nowhere/at/all"};

	(void)state;
	timer_start();
	for (size_t i = 0; i < array_len(sockets); i++) {
		setenv("NOTIFY_SOCKET", sockets[i], 1);
		notify_ready();
		notify_stopping();
	}
	unsetenv("NOTIFY_SOCKET");
	notify_ready();
	timer_stop();
	assert_null(getenv("NOTIFY_SOCKET"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ready_and_stopping_are_told),
		cmocka_unit_test(the_watchdog_is_fed_until_the_end),
		cmocka_unit_test(another_processs_watchdog_is_not_fed),
		cmocka_unit_test(descriptors_are_stored_and_found_again),
		cmocka_unit_test(without_a_service_manager_nothing_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
