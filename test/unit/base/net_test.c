/* base/net */
#include "test/unit/unit.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/net.h"
#include "base/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

static void addresses_are_parsed_and_printed(void **state)
{
	struct net_addr a;
	char text[64];

	(void)state;
	assert_true(net_addr_parse("1.2.3.4", 80, &a));
	net_addr_print(&a, text, sizeof(text));
	assert_string_equal(text, "1.2.3.4:80");
	assert_true(net_addr_parse("::1", 8080, &a));
	net_addr_print(&a, text, sizeof(text));
	assert_string_equal(text, "[::1]:8080");
	assert_true(net_addr_parse("::ffff:1.2.3.4", 1, &a));
	net_addr_print(&a, text, sizeof(text));
	assert_string_equal(text, "1.2.3.4:1");
	assert_false(net_addr_parse("127.1", 80, &a));
	assert_false(net_addr_parse("host", 80, &a));
	net_addr_print(&a, text, sizeof(text));
	assert_string_equal(text, "none");
}

static void splitting_takes_ports_and_brackets(void **state)
{
	static const struct {
		const char *text, *host;
		uint16_t port;
	} cases[] = {
		{"host:80", "host", 80}, {"host", "host", 7}, {"1.2.3.4:65535", "1.2.3.4", 65535},
		{"[::1]:80", "::1", 80}, {"[::1]", "::1", 7}, {"::1", "::1", 7},
		{":8080", "", 8080},
	};
	static const char *const wrong[] = {
		"host:",     "host:x", "host:65536", "host:-1", "host:080000", "[::1",	"[::1]80",
		"[host]:80", "a b:80", "a\nb",	     "u@h:80",	"a/b",	       "a:b:c",
	};
	char host[64];
	uint16_t port;

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		assert_true(net_split(cases[i].text, host, sizeof(host), 7, &port));
		assert_string_equal(host, cases[i].host);
		assert_int_equal(port, cases[i].port);
	}
	for (size_t i = 0; i < array_len(wrong); i++)
		assert_false(net_split(wrong[i], host, sizeof(host), 7, &port));
	assert_false(net_split("longer:80", host, 6, 7, &port));
	assert_true(net_split("longer:80", host, 7, 7, &port));
}

static void joining_is_the_other_way_round(void **state)
{
	static const char *const texts[] = {"host:80", "1.2.3.4:65535", "[::1]:80"};
	char host[64], joined[64];
	uint16_t port;

	(void)state;
	for (size_t i = 0; i < array_len(texts); i++) {
		assert_true(net_split(texts[i], host, sizeof(host), 0, &port));
		net_join(host, port, joined, sizeof(joined));
		assert_string_equal(joined, texts[i]);
	}
}

static void metadata_and_link_local_are_forbidden(void **state)
{
	static const char *const bad[] = {
		"169.254.169.254",
		"169.254.0.1",
		"0.0.0.0",
		"0.1.2.3",
		"224.0.0.1",
		"255.255.255.255",
		"100.100.100.200",
		"::",
		"fe80::1",
		"febf::1",
		"ff02::1",
		"fd00:ec2::254",
		"::ffff:169.254.169.254",
		"64:ff9b::a9fe:a9fe",
		"2002:a9fe:a9fe::1",
		"::169.254.169.254",
		"no address",
		"",
	};
	static const char *const good[] = {
		"127.0.0.1", "10.0.0.1", "192.168.1.1", "8.8.8.8",
		"::1",	     "fd00::1",	 "2001:db8::1", "::ffff:10.0.0.1",
	};

	(void)state;
	for (size_t i = 0; i < array_len(bad); i++)
		assert_true(net_ip_is_forbidden(bad[i]));
	for (size_t i = 0; i < array_len(good); i++)
		assert_false(net_ip_is_forbidden(good[i]));
}

/* A listener and both ends of a connection to it. */
struct ends {
	int listener, near, far;
};

static void ends_open(struct ends *ends, const char *listen_ip, const char *connect_ip)
{
	struct pollfd p;
	struct net_addr a;
	uint16_t port = 0;
	struct err e;

	assert_int_equal(net_listen(listen_ip, 0, 16, &ends->listener, &port, &e), 0);
	assert_true(port > 0);
	assert_true(net_addr_parse(connect_ip, port, &a));
	assert_int_equal(net_connect(&a, clock_ms() + 30000, &ends->near, &e), 0);
	p = (struct pollfd){.fd = ends->listener, .events = POLLIN};
	assert_int_equal(poll(&p, 1, 5000), 1);
	ends->far = accept4(ends->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(ends->far >= 0);
}

static void ends_close(struct ends *ends)
{
	close_at(&ends->listener);
	close_at(&ends->near);
	close_at(&ends->far);
}

static int option_of(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value = -1;

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static void sockets_have_the_promised_options(void **state)
{
	struct ends ends;

	(void)state;
	ends_open(&ends, "127.0.0.1", "127.0.0.1");
	for (int i = 0; i < 2; i++) {
		int fd = i ? ends.near : ends.far;

		assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_NODELAY), 1);
		assert_int_equal(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
		assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE), 5);
	}
	assert_true(fcntl(ends.listener, F_GETFL) & O_NONBLOCK);
	assert_false(fcntl(ends.near, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(ends.near, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(ends.listener, F_GETFD) & FD_CLOEXEC);
	ends_close(&ends);
}

static void any_address_takes_ipv4_and_tells_its_peer_so(void **state)
{
	struct ends ends;
	char ip[64];

	(void)state;
	ends_open(&ends, NULL, "127.0.0.1");
	assert_true(net_peer_ip(ends.far, ip, sizeof(ip)));
	assert_string_equal(ip, "127.0.0.1");
	assert_false(net_peer_ip(ends.listener, ip, sizeof(ip)));
	ends_close(&ends);
}

static void listening_fails_clearly(void **state)
{
	uint16_t port;
	struct err e;
	int a, b;

	(void)state;
	assert_int_equal(net_listen("nonsense", 0, 1, &a, NULL, &e), -EINVAL);
	assert_int_equal(net_listen("127.0.0.1", 0, 1, &a, &port, &e), 0);
	assert_int_equal(net_listen("127.0.0.1", port, 1, &b, NULL, &e), -EADDRINUSE);
	assert_non_null(strstr(e.text, "127.0.0.1:"));
	close(a);
	assert_int_equal(net_listen("192.0.2.77", 0, 1, &a, NULL, &e), -EADDRNOTAVAIL);
}

static void connecting_to_nobody_is_refused(void **state)
{
	struct net_addr a;
	uint16_t port;
	struct err e;
	int fd;

	(void)state;
	assert_int_equal(net_listen("127.0.0.1", 0, 1, &fd, &port, &e), 0);
	close(fd);
	assert_true(net_addr_parse("127.0.0.1", port, &a));
	assert_int_equal(net_connect(&a, clock_ms() + 30000, &fd, &e), -ECONNREFUSED);
}

/* A listener whose queue is full answers nothing, so connecting takes until the deadline. */
static void connecting_ends_at_the_deadline(void **state)
{
	int listener, fds[8], n = 0, r = 0;
	struct net_addr a;
	uint16_t port;
	struct err e;

	(void)state;
	assert_int_equal(net_listen("127.0.0.1", 0, 0, &listener, &port, &e), 0);
	assert_true(net_addr_parse("127.0.0.1", port, &a));
	while (n < 8 && (r = net_connect(&a, clock_ms() + 50, &fds[n], &e)) == 0)
		n++;
	assert_int_equal(r, -ETIMEDOUT);
	while (n > 0)
		close(fds[--n]);
	close(listener);
}

static void whole_reads_and_writes_meet_their_deadlines(void **state)
{
	static char big[8 << 20], got[16];
	struct ends ends;
	struct err e;
	size_t n;

	(void)state;
	ends_open(&ends, "127.0.0.1", "127.0.0.1");
	assert_int_equal(net_write_full(ends.near, "hello", 5, clock_ms() + 30000, &e), 0);
	assert_int_equal(net_read_full(ends.far, got, 5, clock_ms() + 30000, &e), 0);
	assert_memory_equal(got, "hello", 5);
	assert_int_equal(net_read_full(ends.far, got, 5, clock_ms() + 20, &e), -ETIMEDOUT);
	assert_int_equal(net_write_full(ends.near, big, sizeof(big), clock_ms() + 50, &e),
			 -ETIMEDOUT);
	assert_int_equal(net_read_some(ends.far, got, sizeof(got), clock_ms() + 30000, &n, &e), 0);
	assert_in_range(n, 1, sizeof(got));
	ends_close(&ends);
}

static void an_early_end_is_told(void **state)
{
	struct ends ends;
	char got[16];
	struct err e;
	size_t n = 1;

	(void)state;
	ends_open(&ends, "127.0.0.1", "127.0.0.1");
	assert_int_equal(net_write_full(ends.near, "abc", 3, 0, &e), 0);
	assert_int_equal(shutdown(ends.near, SHUT_WR), 0);
	assert_int_equal(net_read_full(ends.far, got, 5, clock_ms() + 30000, &e), -EPROTO);
	assert_string_equal(e.text, "the peer closed after 3 of 5 bytes");
	assert_int_equal(net_read_some(ends.far, got, 5, clock_ms() + 30000, &n, &e), 0);
	assert_int_equal(n, 0);
	ends_close(&ends);
}

static void a_reset_is_an_early_end(void **state)
{
	struct linger hard = {.l_onoff = 1};
	struct ends ends;
	char got[16];
	struct err e;
	int r;

	(void)state;
	ends_open(&ends, "127.0.0.1", "127.0.0.1");
	setsockopt(ends.near, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close_at(&ends.near);
	assert_int_equal(net_read_full(ends.far, got, 5, clock_ms() + 30000, &e), -EPROTO);
	do
		r = net_write_full(ends.far, "x", 1, clock_ms() + 30000, &e);
	while (r == 0);
	assert_int_equal(r, -EPIPE);
	ends_close(&ends);
}

static void a_unix_socket_replaces_a_stale_one_and_respects_a_live_one(void **state)
{
	char dir[] = "/tmp/skimmer-net-XXXXXX";
	cleanup(free_at) char *path = NULL, *lock_path = NULL, *name = NULL;
	int fd, lock_fd, other, other_lock;
	struct net_addr a;
	struct err e;

	(void)state;
	assert_non_null(mkdtemp(dir));
	path = mem_printf("%s/s", dir);
	lock_path = mem_printf("%s/s.lock", dir);
	name = mem_printf("unix:%s", path);
	assert_int_equal(net_listen_unix(path, &fd, &lock_fd, &e), 0);
	assert_int_equal(net_listen_unix(path, &other, &other_lock, &e), -EADDRINUSE);
	assert_int_equal(net_resolve(name, 0, &a, &e), 0);
	assert_int_equal(net_connect(&a, clock_ms() + 30000, &other, &e), 0);
	close(other);
	/* The process dies: both descriptors go, the file stays. */
	close(fd);
	close(lock_fd);
	assert_int_equal(net_connect(&a, clock_ms() + 30000, &other, &e), -ECONNREFUSED);
	assert_int_equal(net_listen_unix(path, &fd, &lock_fd, &e), 0);
	close(fd);
	close(lock_fd);
	/* A file that is no socket is not ours to remove. */
	unlink(path);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(net_listen_unix(path, &fd, &lock_fd, &e), -EEXIST);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
	unlink(lock_path);
	assert_int_equal(rmdir(dir), 0);
}

static void names_are_resolved_and_wrong_ones_are_not(void **state)
{
	struct net_addr a;
	char text[64];
	struct err e;

	(void)state;
	assert_int_equal(net_resolve("127.0.0.1", 80, &a, &e), 0);
	net_addr_print(&a, text, sizeof(text));
	assert_string_equal(text, "127.0.0.1:80");
	assert_int_equal(net_resolve("unix:", 0, &a, &e), -EINVAL);
	/* no dot may stand first: refused without asking anybody */
	assert_int_equal(net_resolve(".no..name.", 80, &a, &e), -EHOSTUNREACH);
}

static void own_address_is_a_literal_that_others_may_use(void **state)
{
	struct net_addr a;
	char text[64];

	(void)state;
	net_own_ip(text, sizeof(text), false);
	assert_true(net_addr_parse(text, 1, &a));
	assert_false(net_ip_is_v6(text));
	net_own_ip(text, sizeof(text), true);
	assert_true(net_addr_parse(text, 1, &a));
	assert_false(net_ip_is_forbidden(text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_parsed_and_printed),
		cmocka_unit_test(splitting_takes_ports_and_brackets),
		cmocka_unit_test(joining_is_the_other_way_round),
		cmocka_unit_test(metadata_and_link_local_are_forbidden),
		cmocka_unit_test(sockets_have_the_promised_options),
		cmocka_unit_test(any_address_takes_ipv4_and_tells_its_peer_so),
		cmocka_unit_test(listening_fails_clearly),
		cmocka_unit_test(connecting_to_nobody_is_refused),
		cmocka_unit_test(connecting_ends_at_the_deadline),
		cmocka_unit_test(whole_reads_and_writes_meet_their_deadlines),
		cmocka_unit_test(an_early_end_is_told),
		cmocka_unit_test(a_reset_is_an_early_end),
		cmocka_unit_test(a_unix_socket_replaces_a_stale_one_and_respects_a_live_one),
		cmocka_unit_test(names_are_resolved_and_wrong_ones_are_not),
		cmocka_unit_test(own_address_is_a_literal_that_others_may_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
