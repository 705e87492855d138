/* Claims and explains addresses. */
#include "proto/rpc_listen.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>

const char *rpc_listen_unix_path(const char *address)
{
	return strncmp(address, "unix:", 5) == 0 ? address + 5 : NULL;
}

int rpc_listen_claim(const char *address, int *fd_out, struct err *e)
{
	const char *path = rpc_listen_unix_path(address);
	cleanup(free_at) char *lock_path = NULL;
	cleanup(close_at) int fd = -1;

	*fd_out = -1;
	if (!path)
		return 0;
	if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return err_set(e, ENAMETOOLONG, "unix socket %s", path);
	lock_path = mem_printf("%s.lock", path);
	fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(e, errno, "open %s", lock_path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, errno == EWOULDBLOCK ? EADDRINUSE : errno,
			       "another process serves %s (it holds %s)", path, lock_path);
	*fd_out = take_fd(&fd);
	return 0;
}

/* Splits "host:port" or "[v6]:port"; false if it is neither. */
static bool split(const char *address, char *host, size_t host_size, const char **port_out)
{
	const char *colon = strrchr(address, ':');
	const char *from = address;
	size_t len;

	if (!colon)
		return false;
	len = (size_t)(colon - address);
	if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
		from++;
		len -= 2;
	} else if (memchr(address, ':', len)) {
		return false;
	}
	if (len == 0 || len >= host_size)
		return false;
	memcpy(host, from, len);
	host[len] = '\0';
	*port_out = colon + 1;
	return true;
}

static int explain_tcp(const char *address, struct err *e)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	struct addrinfo *list;
	char host[256];
	const char *port;
	int r, on = 1;

	if (!split(address, host, sizeof(host), &port))
		return err_set(e, EINVAL, "%s is no address: host:port or [ipv6]:port", address);
	r = getaddrinfo(host, port, &hints, &list);
	if (r != 0)
		return err_set(e, EINVAL, "listen on %s: %s", address, gai_strerror(r));
	r = EIO; /* it would have worked now */
	for (const struct addrinfo *ai = list; ai; ai = ai->ai_next) {
		cleanup(close_at) int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, 1) < 0)
			r = errno;
	}
	freeaddrinfo(list);
	return err_set(e, r, "listen on %s", address);
}

int rpc_listen_explain(const char *address, struct err *e)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	const char *path = rpc_listen_unix_path(address);
	cleanup(close_at) int fd = -1;
	int r = EIO;

	if (!path)
		return explain_tcp(address, e);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(e, errno, "socket");
	memcpy(sun.sun_path, path, strlen(path) + 1); /* its length was checked by the claim */
	if (bind(fd, (const struct sockaddr *)&sun, sizeof(sun)) < 0)
		r = errno;
	else
		unlink(path);
	return err_set(e, r, "listen on %s", path);
}
