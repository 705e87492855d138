/* Sockets and addresses. Must not know what is spoken over them. */
#include "base/net.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>

/* ---- addresses */

bool net_addr_parse(const char *ip, uint16_t port, struct net_addr *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&out->sa;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->sa;

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, ip, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		out->len = sizeof(*v4);
	} else if (inet_pton(AF_INET6, ip, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		out->len = sizeof(*v6);
	}
	return out->len != 0;
}

static bool unix_addr(const char *path, struct net_addr *out)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&out->sa;
	size_t len = strlen(path);

	memset(out, 0, sizeof(*out));
	if (len == 0 || len >= sizeof(un->sun_path))
		return false;
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, len);
	out->len = sizeof(*un);
	return true;
}

/* The IP alone; an IPv4 address that came through an IPv6 socket is shown as what it is. */
static void print_ip(const struct sockaddr_storage *sa, char *text, size_t size)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)sa;
	char ip[INET6_ADDRSTRLEN] = "";

	if (sa->ss_family == AF_INET)
		inet_ntop(AF_INET, &v4->sin_addr, ip, sizeof(ip));
	else if (sa->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], ip, sizeof(ip));
	else if (sa->ss_family == AF_INET6)
		inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof(ip));
	snprintf(text, size, "%s", ip);
}

static uint16_t port_of(const struct sockaddr_storage *sa)
{
	if (sa->ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)sa)->sin_port);
	if (sa->ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)sa)->sin6_port);
	return 0;
}

void net_addr_print(const struct net_addr *a, char *text, size_t size)
{
	char ip[INET6_ADDRSTRLEN];

	if (a->len == 0) {
		snprintf(text, size, "none");
		return;
	}
	if (a->sa.ss_family == AF_UNIX) {
		snprintf(text, size, "unix:%s", ((const struct sockaddr_un *)&a->sa)->sun_path);
		return;
	}
	print_ip(&a->sa, ip, sizeof(ip));
	net_join(ip, port_of(&a->sa), text, size);
}

bool net_peer_ip(int fd, char *text, size_t size)
{
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof(sa);

	if (getpeername(fd, (struct sockaddr *)&sa, &len) < 0 ||
	    (sa.ss_family != AF_INET && sa.ss_family != AF_INET6))
		return false;
	print_ip(&sa, text, size);
	return true;
}

void net_join(const char *host, int port, char *text, size_t size)
{
	snprintf(text, size, strchr(host, ':') ? "[%s]:%d" : "%s:%d", host, port);
}

bool net_ip_is_v6(const char *ip)
{
	struct in6_addr v6;

	return inet_pton(AF_INET6, ip, &v6) == 1;
}

static bool parse_port(const char *text, uint16_t *out)
{
	size_t len = strspn(text, "0123456789");
	unsigned long port;

	if (len == 0 || len > 5 || text[len])
		return false;
	port = strtoul(text, NULL, 10);
	if (port > UINT16_MAX)
		return false;
	*out = (uint16_t)port;
	return true;
}

bool net_split(const char *text, char *host, size_t host_size, uint16_t default_port,
	       uint16_t *port_out)
{
	const char *end = text + strcspn(text, ":");
	const char *start = text;

	*port_out = default_port;
	if (*text == '[') {
		start = text + 1;
		end = start + strcspn(start, "]");
		if (*end != ']' || (end[1] && end[1] != ':'))
			return false;
	} else if (net_ip_is_v6(text)) {
		end = text + strlen(text);
	}
	if ((size_t)(end - start) >= host_size)
		return false;
	memcpy(host, start, (size_t)(end - start));
	host[end - start] = 0;
	if (*text == '[' && !net_ip_is_v6(host))
		return false;
	for (const char *p = host; *p; p++)
		if (*p <= ' ' || *p >= 0x7f || strchr("/@?#[]\\\"<>", *p))
			return false;
	if (*end == ']')
		end++;
	return *end == 0 || parse_port(end + 1, port_out);
}

static bool v4_is_forbidden(const uint8_t b[4])
{
	static const uint8_t metadata[][4] = {
		{100, 100, 100, 200}, /* Alibaba */
		{168, 63, 129, 16},   /* Azure */
		{192, 0, 0, 192},     /* Oracle */
	};

	for (size_t i = 0; i < array_len(metadata); i++)
		if (memcmp(b, metadata[i], 4) == 0)
			return true;
	return b[0] == 0 || (b[0] == 169 && b[1] == 254) || b[0] >= 224;
}

bool net_ip_is_forbidden(const char *ip)
{
	static const struct in6_addr aws = {
		{{0xfd, 0, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54}}};
	static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};
	struct in6_addr v6;
	uint8_t v4[4];

	if (inet_pton(AF_INET, ip, v4) == 1)
		return v4_is_forbidden(v4);
	if (inet_pton(AF_INET6, ip, &v6) != 1)
		return true;
	if (IN6_IS_ADDR_LOOPBACK(&v6))
		return false;
	/* IPv4 in another coat: mapped, compatible (with it "::"), NAT64, 6to4 */
	if (IN6_IS_ADDR_V4MAPPED(&v6) || IN6_IS_ADDR_V4COMPAT(&v6) ||
	    memcmp(v6.s6_addr, nat64, sizeof(nat64)) == 0)
		return v4_is_forbidden(&v6.s6_addr[12]);
	if (v6.s6_addr[0] == 0x20 && v6.s6_addr[1] == 0x02)
		return v4_is_forbidden(&v6.s6_addr[2]);
	return IN6_IS_ADDR_UNSPECIFIED(&v6) || IN6_IS_ADDR_LINKLOCAL(&v6) ||
	       IN6_IS_ADDR_MULTICAST(&v6) || memcmp(&v6, &aws, sizeof(v6)) == 0;
}

int net_resolve(const char *host, uint16_t port, struct net_addr *out, struct err *e)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	struct addrinfo *found = NULL;
	char service[8];
	int r;

	if (strncmp(host, "unix:", 5) == 0) {
		if (!unix_addr(host + 5, out))
			return err_set(e, EINVAL, "\"%s\" is no path of a socket", host);
		return 0;
	}
	if (net_addr_parse(host, port, out))
		return 0;
	snprintf(service, sizeof(service), "%u", port);
	r = getaddrinfo(host, service, &hints, &found);
	if (r != 0)
		return err_set(e, EHOSTUNREACH, "resolve %s: %s", host,
			       r == EAI_SYSTEM ? "system error" : gai_strerror(r));
	memset(out, 0, sizeof(*out));
	memcpy(&out->sa, found->ai_addr, found->ai_addrlen);
	out->len = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

/* ---- this host */

/* The address that packets to the outside would bear. Connecting a UDP socket sends nothing. */
static bool route_ip(int family, char *text, size_t size)
{
	cleanup(close_at) int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof(sa);
	struct net_addr far;

	/* Addresses of the documentation ranges: routed like any other, never anybody's. */
	net_addr_parse(family == AF_INET6 ? "2001:db8::1" : "192.0.2.1", 9, &far);
	if (fd < 0 || connect(fd, (struct sockaddr *)&far.sa, far.len) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return false;
	print_ip(&sa, text, size);
	return !net_ip_is_forbidden(text) && strncmp(text, "127.", 4) != 0 &&
	       strcmp(text, "::1") != 0;
}

static bool interface_ip(int family, char *text, size_t size)
{
	struct ifaddrs *all = NULL;
	bool found = false;

	if (getifaddrs(&all) < 0)
		return false;
	for (struct ifaddrs *i = all; i && !found; i = i->ifa_next) {
		if (!i->ifa_addr || i->ifa_addr->sa_family != family ||
		    (i->ifa_flags & (IFF_LOOPBACK | IFF_UP)) != IFF_UP)
			continue;
		print_ip((const struct sockaddr_storage *)i->ifa_addr, text, size);
		found = !net_ip_is_forbidden(text);
	}
	freeifaddrs(all);
	return found;
}

void net_own_ip(char *text, size_t size, bool want_v6)
{
	if (want_v6 && (route_ip(AF_INET6, text, size) || interface_ip(AF_INET6, text, size)))
		return;
	if (!route_ip(AF_INET, text, size) && !interface_ip(AF_INET, text, size))
		snprintf(text, size, "127.0.0.1");
}

/* ---- sockets */

static void set_option(int fd, int level, int name, int value)
{
	/* Comfort, not correctness: a socket without it still works. */
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

static void set_tcp_options(int fd)
{
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 5);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 3);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
}

/* Accepted sockets inherit the options of the listening one. */
static int listen_at(const struct net_addr *a, int backlog, int *fd_out, struct err *e)
{
	cleanup(close_at) int fd =
		socket(a->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char text[INET6_ADDRSTRLEN + 16];

	net_addr_print(a, text, sizeof(text));
	if (fd < 0)
		return err_set(e, errno, "make a socket for %s", text);
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (a->sa.ss_family == AF_INET6)
		set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	set_tcp_options(fd);
	if (bind(fd, (const struct sockaddr *)&a->sa, a->len) < 0 || listen(fd, backlog) < 0)
		return err_set(e, errno, "listen on %s", text);
	*fd_out = take_fd(&fd);
	return 0;
}

int net_listen(const char *ip, uint16_t port, int backlog, int *fd_out, uint16_t *port_out,
	       struct err *e)
{
	bool any = !ip || !*ip;
	struct sockaddr_storage sa = {0};
	socklen_t len = sizeof(sa);
	struct net_addr a;
	int r;

	if (!net_addr_parse(any ? "::" : ip, port, &a))
		return err_set(e, EINVAL, "\"%s\" is no IP address", ip);
	r = listen_at(&a, backlog, fd_out, e);
	if (any && (r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL)) {
		/* a host without IPv6 */
		net_addr_parse("0.0.0.0", port, &a);
		r = listen_at(&a, backlog, fd_out, e);
	}
	if (r < 0)
		return r;
	if (port_out) {
		*port_out = port;
		if (getsockname(*fd_out, (struct sockaddr *)&sa, &len) == 0)
			*port_out = port_of(&sa);
	}
	return 0;
}

int net_listen_unix(const char *path, int *fd_out, int *lock_fd_out, struct err *e)
{
	cleanup(close_at) int fd = -1;
	cleanup(close_at) int lock_fd = -1;
	char lock_path[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
	struct net_addr a;
	struct stat st;

	if (!unix_addr(path, &a))
		return err_set(e, EINVAL, "\"%s\" is no path of a socket (1 to 107 bytes)", path);
	snprintf(lock_path, sizeof(lock_path), "%s.lock", path);
	lock_fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock_fd < 0)
		return err_set(e, errno, "open %s", lock_path);
	if (flock(lock_fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, errno == EWOULDBLOCK ? EADDRINUSE : errno,
			       "another process holds %s", lock_path);
	/* Who holds the lock may remove what a dead process left, but only a socket. */
	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return err_set(e, EEXIST, "%s is no socket", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_set(e, errno, "remove the stale %s", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a.sa, a.len) < 0 || listen(fd, 128) < 0)
		return err_set(e, errno, "listen on %s", path);
	*fd_out = take_fd(&fd);
	*lock_fd_out = take_fd(&lock_fd);
	return 0;
}

/* Waits until fd is ready for events (or has failed: the next call on it tells). */
static int wait_ready(int fd, short events, int64_t deadline_ms, const char *what, struct err *e)
{
	for (;;) {
		struct pollfd p = {.fd = fd, .events = events};
		int left_ms = clock_left_ms(deadline_ms);
		int r = left_ms == 0 ? 0 : poll(&p, 1, left_ms);

		if (r > 0)
			return 0;
		if (r == 0)
			return err_set(e, ETIMEDOUT, "%s", what);
		if (errno != EINTR)
			return err_set(e, errno, "poll");
	}
}

int net_connect(const struct net_addr *a, int64_t deadline_ms, int *fd_out, struct err *e)
{
	cleanup(close_at) int fd =
		socket(a->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(int);
	char text[160], what[176];
	int r, error = 0;

	net_addr_print(a, text, sizeof(text));
	snprintf(what, sizeof(what), "connect to %s", text);
	if (fd < 0)
		return err_set(e, errno, "make a socket for %s", text);
	if (a->sa.ss_family != AF_UNIX)
		set_tcp_options(fd);
	if (connect(fd, (const struct sockaddr *)&a->sa, a->len) < 0) {
		if (errno != EINPROGRESS && errno != EINTR)
			return err_set(e, errno, "%s", what);
		r = wait_ready(fd, POLLOUT, deadline_ms, what, e);
		if (r < 0)
			return r;
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
			error = errno;
		if (error)
			return err_set(e, error, "%s", what);
	}
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0)
		return err_set(e, errno, "%s", what);
	*fd_out = take_fd(&fd);
	return 0;
}

int net_read_some(int fd, void *data, size_t len, int64_t deadline_ms, size_t *got_out,
		  struct err *e)
{
	for (;;) {
		ssize_t n = recv(fd, data, len, MSG_DONTWAIT);
		int r;

		if (n >= 0) {
			*got_out = (size_t)n;
			return 0;
		}
		if (errno == ECONNRESET)
			return err_set(e, EPROTO, "the peer reset the connection");
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return err_set(e, errno, "receive");
		r = wait_ready(fd, POLLIN, deadline_ms, "wait for the peer's bytes", e);
		if (r < 0)
			return r;
	}
}

int net_read_full(int fd, void *data, size_t len, int64_t deadline_ms, struct err *e)
{
	for (size_t done = 0; done < len;) {
		size_t n = 0;
		int r = net_read_some(fd, (char *)data + done, len - done, deadline_ms, &n, e);

		if (r < 0)
			return r;
		if (n == 0)
			return err_set(e, EPROTO, "the peer closed after %zu of %zu bytes", done,
				       len);
		done += n;
	}
	return 0;
}

int net_write_full(int fd, const void *data, size_t len, int64_t deadline_ms, struct err *e)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = send(fd, (const char *)data + done, len - done,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
		int r;

		if (n >= 0) {
			done += (size_t)n;
			continue;
		}
		if (errno == EPIPE || errno == ECONNRESET)
			return err_set(e, EPIPE, "the peer closed after %zu of %zu bytes", done,
				       len);
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return err_set(e, errno, "send");
		r = wait_ready(fd, POLLOUT, deadline_ms, "wait for the peer to read", e);
		if (r < 0)
			return r;
	}
	return 0;
}
