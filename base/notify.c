/* One datagram per message. */
#include "base/notify.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/timer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static void feed(struct timer *t);

static struct timer watchdog = {.fire = feed};
static int64_t interval_ms;

#define FIRST_STORED 3 /* descriptor, sd_listen_fds(3) */
#define STORED_MAX   64

static bool address_of(struct sockaddr_un *to, socklen_t *to_len)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len = path ? strlen(path) : 0;

	*to = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (!len || (path[0] != '/' && path[0] != '@') || len >= sizeof(to->sun_path))
		return false;
	memcpy(to->sun_path, path, len);
	if (path[0] == '@')
		to->sun_path[0] = 0; /* an abstract socket */
	*to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	return true;
}

/* carried: a descriptor that goes with it, or -1. */
static int send_text(const char *text, int carried)
{
	int fd cleanup(close_at) = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct iovec iov = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
	char room[CMSG_SPACE(sizeof(carried))] = {0};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	struct sockaddr_un to;

	if (!address_of(&to, &m.msg_namelen))
		return 0;
	m.msg_name = &to;
	if (carried >= 0) {
		struct cmsghdr *c;

		m.msg_control = room;
		m.msg_controllen = sizeof(room);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_len = CMSG_LEN(sizeof(carried));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(c), &carried, sizeof(carried));
	}
	return fd < 0 || sendmsg(fd, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void send_state(const char *state)
{
	int r = send_text(state, -1);

	if (r < 0)
		log_warn("the service manager cannot be told", "state=%s error=%d", state, -r);
}

static void feed(struct timer *t)
{
	send_state("WATCHDOG=1");
	timer_arm(t, interval_ms);
}

/* Half of what the manager allows; 0: it does not watch this process. */
static int64_t watchdog_interval_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

	if (!usec || (pid && strtoimax(pid, NULL, 10) != getpid()))
		return 0;
	return strtoimax(usec, NULL, 10) / 2000;
}

void notify_ready(void)
{
	send_state("READY=1");
	interval_ms = watchdog_interval_ms();
	if (interval_ms > 0)
		timer_arm(&watchdog, interval_ms);
}

void notify_stopping(void)
{
	timer_cancel(&watchdog);
	send_state("STOPPING=1");
}

/* ---- the descriptor store */

bool notify_can_store(void)
{
	const char *max = getenv("FDSTORE");
	struct sockaddr_un to;
	socklen_t len;

	return max && strtoimax(max, NULL, 10) > 0 && address_of(&to, &len);
}

int notify_stored(const char *name)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	const char *at = getenv("LISTEN_FDNAMES");
	intmax_t left = count ? strtoimax(count, NULL, 10) : 0;
	size_t want = strlen(name);

	if (!pid || strtoimax(pid, NULL, 10) != getpid() || left > STORED_MAX)
		return -1;
	for (int fd = FIRST_STORED; at && left > 0; fd++, left--) {
		size_t len = strcspn(at, ":");

		if (len == want && memcmp(at, name, len) == 0 &&
		    fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
			return fd;
		at = at[len] ? at + len + 1 : NULL;
	}
	return -1;
}

int notify_store(const char *name, int fd, struct err *e)
{
	cleanup(free_at) char *text = mem_printf("FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
	int r = send_text(text, fd);

	return r < 0 ? err_set(e, -r, "give %s to the service manager", name) : 0;
}

void notify_unstore(const char *name)
{
	cleanup(free_at) char *text = mem_printf("FDSTOREREMOVE=1\nFDNAME=%s", name);

	send_state(text);
}
