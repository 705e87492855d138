/* Sockets, IPv4 and IPv6 alike. An address text is "1.2.3.4:80", "[::1]:80", "host:80" or
 * "unix:/path". Every socket is close-on-exec; TCP ones have TCP_NODELAY and keepalive (5 s idle,
 * 3 s interval, 3 probes). */
#ifndef BASE_NET_H
#define BASE_NET_H

#include "base/err.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct net_addr {
	struct sockaddr_storage sa;
	socklen_t len; /* 0 = none */
};

/* ip may be NULL or "" for any (dual-stack where the host has IPv6); port 0 = the system picks.
 * *port_out (may be NULL) gets the port. The socket is non-blocking. */
must_check int net_listen(const char *ip, uint16_t port, int backlog, int *fd_out,
			  uint16_t *port_out, struct err *e);
/* Takes over a stale socket file, refuses a live one (EADDRINUSE) by an flock on "<path>.lock". The
 * lock is held by *lock_fd_out for the life of the process. */
must_check int net_listen_unix(const char *path, int *fd_out, int *lock_fd_out, struct err *e);
/* A blocking socket, connected before deadline_ms (clock_ms()). ETIMEDOUT, ECONNREFUSED, ... */
must_check int net_connect(const struct net_addr *a, int64_t deadline_ms, int *fd_out,
			   struct err *e);
/* Resolves a name (blocking; literal addresses and "unix:/path" do not block). The first of the
 * answers; EHOSTUNREACH if there is none. */
must_check int net_resolve(const char *host, uint16_t port, struct net_addr *out, struct err *e);
/* Literal IP only; false if it is none. */
bool net_addr_parse(const char *ip, uint16_t port, struct net_addr *out);
/* "1.2.3.4:80" or "[::1]:80". */
void net_addr_print(const struct net_addr *a, char *text, size_t size);
/* The literal IP of a socket's other end, without port. */
bool net_peer_ip(int fd, char *text, size_t size);

/* Splits "host:port", "[v6]:port", "host"; port_out is default_port if none. False if malformed. */
bool net_split(const char *text, char *host, size_t host_size, uint16_t default_port,
	       uint16_t *port_out);
/* The other way round, "host:port" or "[v6]:port". */
void net_join(const char *host, int port, char *text, size_t size);
bool net_ip_is_v6(const char *ip);
/* True for addresses that content may never be fetched from on a client's word: link-local,
 * cloud metadata, unspecified, multicast. */
bool net_ip_is_forbidden(const char *ip);
/* This host's address as others see it: that of the default route, else the first that is not
 * loopback, else 127.0.0.1. */
void net_own_ip(char *text, size_t size, bool want_v6);

/* Whole reads and writes on a blocking socket, each bounded by deadline_ms. A peer that closes
 * early is EPIPE (write) or EPROTO (read). */
must_check int net_read_full(int fd, void *data, size_t len, int64_t deadline_ms, struct err *e);
must_check int net_write_full(int fd, const void *data, size_t len, int64_t deadline_ms,
			      struct err *e);
/* At least 1 byte, at most len; *got_out is 0 at the end of the stream. */
must_check int net_read_some(int fd, void *data, size_t len, int64_t deadline_ms, size_t *got_out,
			     struct err *e);

#endif
