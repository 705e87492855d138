/* The two keepers. */
#include "daemon/holder.h"

#include "base/dir.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/notify.h"
#include "daemon/holder_process.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOUNTS_MAX	 4
#define ANSWER_TIMEOUT_S 20 /* of a holder that waits for our predecessor's end, too */
#define NAME_ROOM	 (HOLDER_NAME_MAX + 1)

static const char *const names[] = {HOLDER_BLOBS, HOLDER_LAYERS, HOLDER_TREES};

struct kept {
	char name[NAME_ROOM];
	struct fs_held held;
	bool left; /* by an earlier process, and not taken: we own the descriptors */
};

struct holder {
	char *socket_path, *dir;
	int64_t hold_ms;
	bool in_systemd;
	int fd; /* to the holder process, -1 = there is none */
	struct kept kept[MOUNTS_MAX];
	unsigned count;
};

static struct kept *find(const struct holder *h, const char *name)
{
	for (unsigned i = 0; i < h->count; i++) {
		if (strcmp(h->kept[i].name, name) == 0)
			return (struct kept *)&h->kept[i];
	}
	return NULL;
}

static struct kept *add(struct holder *h, const char *name, const struct fs_held *held)
{
	struct kept *k = find(h, name);

	if (!k && h->count == MOUNTS_MAX)
		return NULL;
	if (!k)
		k = &h->kept[h->count++];
	*k = (struct kept){.held = *held};
	snprintf(k->name, sizeof(k->name), "%s", name);
	return k;
}

/* ---- systemd's store: a name holds one descriptor */

static void store_name(char text[NAME_ROOM + 8], const char *name, const char *what)
{
	snprintf(text, NAME_ROOM + 8, "%s-%s", name, what);
}

static void take_stored(struct holder *h, const char *name)
{
	char fuse[NAME_ROOM + 8], ledger[NAME_ROOM + 8];
	struct fs_held held;

	store_name(fuse, name, "fuse");
	store_name(ledger, name, "ledger");
	held = (struct fs_held){.fuse_fd = notify_stored(fuse), .ledger_fd = notify_stored(ledger)};
	if (held.fuse_fd >= 0 && held.ledger_fd >= 0) {
		add(h, name, &held)->left = true;
		return;
	}
	if (held.fuse_fd >= 0)
		close(held.fuse_fd);
	if (held.ledger_fd >= 0)
		close(held.ledger_fd);
}

static int store(const char *name, const struct fs_held *held, struct err *e)
{
	char text[NAME_ROOM + 8];
	int r;

	store_name(text, name, "fuse");
	r = notify_store(text, held->fuse_fd, e);
	if (r < 0)
		return r;
	store_name(text, name, "ledger");
	return notify_store(text, held->ledger_fd, e);
}

static void unstore(const char *name)
{
	char text[NAME_ROOM + 8];

	store_name(text, name, "fuse");
	notify_unstore(text);
	store_name(text, name, "ledger");
	notify_unstore(text);
}

/* ---- the holder process */

static int address_of(const struct holder *h, struct sockaddr_un *out, struct err *e)
{
	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(h->socket_path) >= sizeof(out->sun_path))
		return err_set(e, ENAMETOOLONG, "%s as a socket", h->socket_path);
	memcpy(out->sun_path, h->socket_path, strlen(h->socket_path));
	return 0;
}

/* ENOENT, ECONNREFUSED: there is none. */
static int reach(struct holder *h, struct err *e)
{
	const struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
	cleanup(close_at) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un at;
	int r = address_of(h, &at, e);

	if (r < 0)
		return r;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
		return err_set(e, errno, "socket");
	if (connect(fd, (const struct sockaddr *)&at, sizeof(at)) < 0)
		return err_set(e, errno, "connect to the holder at %s", h->socket_path);
	h->fd = take_fd(&fd);
	return 0;
}

static void part(struct holder *h)
{
	if (h->fd >= 0)
		close(h->fd);
	h->fd = -1;
}

/* Says hello and takes down what is kept. */
static int greet(struct holder *h, struct err *e)
{
	struct holder_message m = {.version = HOLDER_VERSION, .kind = HOLDER_HELLO};
	int fds[2], r = holder_send(h->fd, &m, NULL);

	while (r == 0) {
		r = holder_receive(h->fd, &m, fds);
		if (r < 0 || m.kind != HOLDER_ENTRY)
			break;
		const struct fs_held held = {.fuse_fd = fds[0], .ledger_fd = fds[1]};
		struct kept *k = add(h, m.name, &held);

		if (k)
			k->left = true;
	}
	if (r < 0)
		return err_set(e, -r, "talk to the holder at %s", h->socket_path);
	if (m.kind == HOLDER_BUSY)
		return err_set(e, EBUSY, "another dfdaemon serves: %s", h->socket_path);
	return 0;
}

static int start_process(int listener, struct err *e)
{
	char *argv[] = {(char[]){"dfdaemon"}, (char[]){"--hold"}, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	int status = 0, r;
	pid_t pid;

	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, listener, HOLDER_LISTENER);
	r = posix_spawn(&pid, "/proc/self/exe", &actions, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	if (r != 0)
		return err_set(e, r, "start the holder");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status != 0)
		return err_set(e, ECHILD, "the holder ended with status %d", status);
	return 0;
}

static int start(struct holder *h, struct err *e)
{
	cleanup(close_at) int fd = -1;
	struct sockaddr_un at;
	int r = address_of(h, &at, e);

	if (r == 0 && *h->dir)
		r = dir_make(h->dir, 0755, e);
	if (r < 0)
		return r;
	unlink(h->socket_path); /* of one that is dead: reach() has tried */
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
	    chmod(h->socket_path, 0600) < 0 || listen(fd, 4) < 0)
		return err_set(e, errno, "listen at %s", h->socket_path);
	r = start_process(fd, e);
	if (r == 0)
		r = reach(h, e);
	return r < 0 ? r : greet(h, e);
}

/* One message and its answer. */
static int tell(struct holder *h, enum holder_kind kind, const char *name,
		const struct fs_held *held)
{
	struct holder_message m = {.version = HOLDER_VERSION, .kind = kind, .hold_ms = h->hold_ms};
	int fds[2] = {held ? held->fuse_fd : -1, held ? held->ledger_fd : -1};
	int r;

	snprintf(m.name, sizeof(m.name), "%s", name);
	r = holder_send(h->fd, &m, held ? fds : NULL);
	return r < 0 ? r : holder_receive(h->fd, &m, fds);
}

static int keep(struct holder *h, const char *name, const struct fs_held *held, struct err *e)
{
	int r;

	if (h->in_systemd)
		return store(name, held, e);
	if (h->fd < 0) {
		r = start(h, e);
		if (r < 0)
			return r;
	}
	r = tell(h, HOLDER_KEEP, name, held);
	if (r == 0)
		return 0;
	part(h);
	return err_set(e, -r, "talk to the holder at %s", h->socket_path);
}

/* ---- both */

int holder_new(const struct holder_config *c, struct holder **out, struct err *e)
{
	struct holder *h = mem_new(struct holder);
	const char *slash = strrchr(c->socket_path, '/');
	int r;

	h->socket_path = mem_strdup(c->socket_path);
	h->dir = mem_strndup(c->socket_path, slash ? (size_t)(slash - c->socket_path) : 0);
	h->hold_ms = c->hold_ms;
	h->in_systemd = notify_can_store();
	h->fd = -1;
	*out = h;
	if (h->in_systemd) {
		for (size_t i = 0; i < array_len(names); i++)
			take_stored(h, names[i]);
		return 0;
	}
	if (reach(h, e) < 0)
		return 0; /* nobody keeps anything */
	r = greet(h, e);
	if (r == -EBUSY) {
		holder_free(take_ptr(out));
		return r;
	}
	if (r < 0) {
		log_debug("holder ended just now", "why=\"%s\"", e->text);
		part(h);
	}
	return 0;
}

static void close_left(struct kept *k)
{
	if (!k->left)
		return;
	close(k->held.fuse_fd);
	close(k->held.ledger_fd);
	k->left = false;
}

void holder_free(struct holder *h)
{
	if (!h)
		return;
	for (unsigned i = 0; i < h->count; i++)
		close_left(&h->kept[i]);
	part(h);
	free(h->socket_path);
	free(h->dir);
	free(h);
}

bool holder_take(struct holder *h, const char *name, struct fs_held *out)
{
	struct kept *k = find(h, name);

	if (!k || !k->left)
		return false;
	*out = k->held;
	k->left = false;
	return true;
}

int holder_keep(struct holder *h, const char *name, const struct fs_held *held, struct err *e)
{
	int r = keep(h, name, held, e);

	if (r == 0 && !add(h, name, held))
		r = err_set(e, ENOSPC, "too many mounts to keep");
	return r;
}

bool holder_keeps(const struct holder *h, const char *name)
{
	const struct kept *k = find(h, name);

	return k && !k->left && (h->in_systemd || h->fd >= 0);
}

static void forget_at(struct holder *h, struct kept *k)
{
	if (h->in_systemd)
		unstore(k->name);
	else if (h->fd >= 0 && tell(h, HOLDER_FORGET, k->name, NULL) < 0)
		part(h);
	close_left(k);
	*k = h->kept[--h->count];
}

void holder_forget(struct holder *h, const char *name)
{
	struct kept *k = find(h, name);

	if (k)
		forget_at(h, k);
}

void holder_settle(struct holder *h)
{
	for (unsigned i = h->count; i-- > 0;) {
		if (!h->kept[i].left)
			continue;
		close_left(&h->kept[i]);
		forget_at(h, &h->kept[i]);
	}
}

static bool is_gone(const struct holder *h)
{
	char byte;

	return recv(h->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void holder_tend(struct holder *h)
{
	struct err e;

	if (h->fd < 0 || !is_gone(h))
		return;
	log_warn("holder has ended, another one is started", NULL);
	part(h);
	for (unsigned i = 0; i < h->count; i++) {
		const struct kept *k = &h->kept[i];

		if (!k->left && keep(h, k->name, &k->held, &e) < 0) {
			log_error(err_fault(&e), "mounts do not outlive this process", "why=\"%s\"",
				  e.text);
			return;
		}
	}
	log_info("mounts are kept again", NULL);
}
