/* One loop over poll(2): the listener, the dfdaemon that is served, the one that waits for its end.
 */
#include "daemon/holder_process.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ENTRIES_MAX   8
#define FIRST_WAIT_MS 10000 /* for the dfdaemon that started it */
#define BUSY_AFTER_MS 5000  /* how long the old one may take to end */
#define LOOK_MS	      20    /* at the old one, meanwhile */

struct entry {
	char name[HOLDER_NAME_MAX + 1];
	int fds[2]; /* fuse first */
};

struct state {
	int owner, waiting; /* -1: none */
	bool said_hello;    /* the waiting one */
	pid_t owner_pid;
	int64_t hold_ms, alone_since_ms, waiting_since_ms;
	struct entry entries[ENTRIES_MAX];
	unsigned count;
};

/* ---- messages */

int holder_send(int to, const struct holder_message *m, const int *fds)
{
	char room[CMSG_SPACE(2 * sizeof(int))] = {0};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)m, .iov_len = sizeof(*m)};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fds) {
		struct cmsghdr *c;

		h.msg_control = room;
		h.msg_controllen = sizeof(room);
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_len = CMSG_LEN(2 * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(c), fds, 2 * sizeof(int));
	}
	return sendmsg(to, &h, MSG_NOSIGNAL) == (ssize_t)sizeof(*m) ? 0 : -errno;
}

static void close_both(int fds[2])
{
	for (int i = 0; i < 2; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

int holder_receive(int from, struct holder_message *m, int fds_out[2])
{
	char room[CMSG_SPACE(2 * sizeof(int))];
	struct iovec iov = {.iov_base = m, .iov_len = sizeof(*m)};
	struct msghdr h = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = room,
			   .msg_controllen = sizeof(room)};
	ssize_t n = recvmsg(from, &h, MSG_CMSG_CLOEXEC);
	const struct cmsghdr *c = n >= 0 ? CMSG_FIRSTHDR(&h) : NULL;

	fds_out[0] = fds_out[1] = -1;
	if (n < 0)
		return -errno;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(fds_out, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
	if (n == 0)
		return -ECONNRESET;
	if (n == (ssize_t)sizeof(*m) && m->version == HOLDER_VERSION &&
	    memchr(m->name, '\0', sizeof(m->name)))
		return 0;
	close_both(fds_out);
	return -EPROTO;
}

static struct holder_message message(enum holder_kind kind, const char *name)
{
	struct holder_message m = {.version = HOLDER_VERSION, .kind = kind};

	snprintf(m.name, sizeof(m.name), "%s", name);
	return m;
}

static int send_word(int to, enum holder_kind kind)
{
	const struct holder_message m = message(kind, "");

	return holder_send(to, &m, NULL);
}

/* ---- what is kept */

static void drop(struct state *s, unsigned i)
{
	close_both(s->entries[i].fds);
	s->entries[i] = s->entries[--s->count];
}

static void forget(struct state *s, const char *name)
{
	for (unsigned i = 0; i < s->count; i++) {
		if (strcmp(s->entries[i].name, name) == 0)
			drop(s, i--);
	}
}

/* Takes the descriptors over. */
static void keep(struct state *s, const struct holder_message *m, int fds[2])
{
	struct entry *at;

	forget(s, m->name);
	if (s->count == ENTRIES_MAX || fds[0] < 0 || fds[1] < 0) {
		close_both(fds);
		return;
	}
	at = &s->entries[s->count++];
	snprintf(at->name, sizeof(at->name), "%s", m->name);
	memcpy(at->fds, fds, sizeof(at->fds));
	s->hold_ms = m->hold_ms;
}

/* ---- who is served */

static void owner_gone(struct state *s)
{
	close(s->owner);
	s->owner = -1;
	s->alone_since_ms = clock_ms();
}

static void serve(struct state *s)
{
	struct holder_message m;
	int fds[2];

	if (holder_receive(s->owner, &m, fds) < 0) {
		owner_gone(s);
		return;
	}
	if (m.kind == HOLDER_KEEP)
		keep(s, &m, fds);
	else
		close_both(fds);
	if (m.kind == HOLDER_FORGET)
		forget(s, m.name);
	if (send_word(s->owner, HOLDER_END) < 0)
		owner_gone(s);
}

/* A killed process whose last thread the kernel still waits for holds its connection too. Such a
 * thread may wait for what only the successor answers. */
static bool is_dead(pid_t pid)
{
	char path[40], text[256] = "";
	const char *state;
	int fd cleanup(close_at) = -1;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT;
	if (read(fd, text, sizeof(text) - 1) <= 0)
		return false;
	state = strrchr(text, ')');
	return state && state[1] == ' ' && (state[2] == 'Z' || state[2] == 'X');
}

static void waiting_gone(struct state *s)
{
	close(s->waiting);
	s->waiting = -1;
	s->said_hello = false;
}

static void promote(struct state *s)
{
	struct ucred who = {0};
	socklen_t len = sizeof(who);
	int r = 0;

	if (s->owner >= 0)
		owner_gone(s);
	getsockopt(s->waiting, SOL_SOCKET, SO_PEERCRED, &who, &len);
	s->owner = s->waiting;
	s->owner_pid = who.pid;
	s->waiting = -1;
	s->said_hello = false;
	for (unsigned i = 0; i < s->count && r == 0; i++) {
		const struct holder_message m = message(HOLDER_ENTRY, s->entries[i].name);

		r = holder_send(s->owner, &m, s->entries[i].fds);
	}
	if (r < 0 || send_word(s->owner, HOLDER_END) < 0)
		owner_gone(s);
}

static void look_at_waiting(struct state *s)
{
	if (!s->said_hello)
		return;
	if (s->owner < 0 || is_dead(s->owner_pid)) {
		promote(s);
	} else if (clock_ms() - s->waiting_since_ms > BUSY_AFTER_MS) {
		/* If that fails it has gone, which is the same. */
		(void)!send_word(s->waiting, HOLDER_BUSY);
		waiting_gone(s);
	}
}

static void hear_waiting(struct state *s)
{
	struct holder_message m;
	int fds[2], r = holder_receive(s->waiting, &m, fds);

	close_both(fds);
	if (r < 0 || m.kind != HOLDER_HELLO)
		waiting_gone(s);
	else
		s->said_hello = true;
}

static void accept_one(struct state *s)
{
	int fd = accept4(HOLDER_LISTENER, NULL, NULL, SOCK_CLOEXEC);
	struct ucred who = {.uid = (uid_t)-1};
	socklen_t len = sizeof(who);

	if (fd < 0)
		return;
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len);
	if (s->waiting >= 0 || who.uid != geteuid()) {
		close(fd);
		return;
	}
	s->waiting = fd;
	s->waiting_since_ms = clock_ms();
}

/* ---- the loop */

static bool is_over(const struct state *s)
{
	int64_t alone_ms = clock_ms() - s->alone_since_ms;

	if (s->owner >= 0 || s->waiting >= 0)
		return false;
	return alone_ms >= s->hold_ms || (s->count == 0 && s->owner_pid);
}

static int timeout_ms(const struct state *s)
{
	int64_t left_ms;

	if (s->said_hello)
		return LOOK_MS;
	if (s->owner >= 0 || s->waiting >= 0)
		return -1;
	left_ms = s->alone_since_ms + s->hold_ms - clock_ms();
	return left_ms < 0 ? 0 : left_ms > 60000 ? 60000 : (int)left_ms;
}

static void step(struct state *s)
{
	struct pollfd p[3 + ENTRIES_MAX] = {
		{.fd = HOLDER_LISTENER, .events = POLLIN},
		{.fd = s->owner, .events = POLLIN},
		{.fd = s->said_hello ? -1 : s->waiting, .events = POLLIN}};

	for (unsigned i = 0; i < s->count; i++)
		p[3 + i].fd = s->entries[i].fds[0];
	if (poll(p, 3 + s->count, timeout_ms(s)) < 0)
		return;
	/* Unmounted: there is nothing to keep. From the end, because drop() moves the last. */
	for (unsigned i = s->count; i-- > 0;) {
		if (p[3 + i].revents & (POLLERR | POLLNVAL))
			drop(s, i);
	}
	if (p[1].revents)
		serve(s);
	if (p[2].revents)
		hear_waiting(s);
	if (p[0].revents)
		accept_one(s);
	look_at_waiting(s);
}

static void settle(void)
{
	int null = open("/dev/null", O_RDWR);

	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	close_range(HOLDER_LISTENER + 1, ~0u, 0);
	setsid();
	prctl(PR_SET_NAME, "skimmer-holder");
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (chdir("/") < 0)
		return; /* it only keeps a directory from being unmounted */
}

int holder_process_main(void)
{
	struct state s = {.owner = -1, .waiting = -1, .hold_ms = FIRST_WAIT_MS};
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(at);

	if (getsockname(HOLDER_LISTENER, (struct sockaddr *)&at, &len) < 0 ||
	    at.sun_family != AF_UNIX)
		return 2;
	/* The dfdaemon waits for the first process, init for the second. */
	switch (fork()) {
	case -1:
		return 1;
	case 0:
		break;
	default:
		return 0;
	}
	settle();
	s.alone_since_ms = clock_ms();
	while (!is_over(&s))
		step(&s);
	unlink(at.sun_path);
	return 0;
}
