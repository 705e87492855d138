/* One datagram per message. */
#include "base/notify.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/timer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static void feed(struct timer *t);

static struct timer watchdog = {.fire = feed};
static int64_t interval_ms;

static void send_state(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t len = path ? strlen(path) : 0;
	int fd cleanup(close_at) = -1;

	if (!len || (path[0] != '/' && path[0] != '@') || len >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, len);
	if (path[0] == '@')
		to.sun_path[0] = 0; /* an abstract socket */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		log_warn("the service manager cannot be told", "state=%s error=%d", state, errno);
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
