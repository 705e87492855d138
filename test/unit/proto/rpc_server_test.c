/* Addresses that are taken, stale or wrong; limits; peers; strangers. */
#include "rpc_fixture.h"

#include "base/metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* ---- a directory of the test's own ---- */

static char dir[64];

static int make_dir(void **state)
{
	(void)state;
	rpc_init();
	snprintf(dir, sizeof(dir), "/tmp/rpc_server_test.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[128];

	(void)state;
	rpc_shutdown();
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

/* rpc_server_new() with one address: the server, or NULL with *e. */
static struct rpc_server *try_serve(const char *address, struct probe *p, struct err *e)
{
	const char *const listen[] = {address, NULL};
	void *const args[] = {p};
	const struct rpc_server_config c = {
		.listen = listen, .services = test_services, .service_args = args};
	struct rpc_server *server = NULL;

	memset(e, 0, sizeof(*e));
	if (rpc_server_new(&c, &server, e) < 0)
		return NULL;
	return server;
}

static void second_server_on_a_port_is_refused(void **state)
{
	struct fixture *f = *state;
	struct err e;
	int code;

	assert_null(try_serve(f->target, &f->served, &e));
	assert_int_equal(e.code, EADDRINUSE);
	assert_non_null(strstr(e.text, f->target));
	assert_int_equal(call_unary(f->channel, "/test.Test/Echo", 3, UNARY_MS, &code), 3);
}

static void wrong_addresses_are_told(void **state)
{
	static const struct {
		const char *address;
		int code;
	} cases[] = {
		{"127.0.0.1:http", EINVAL},
		{"127.0.0.1:65536", EINVAL},
		{"localhost:0", EINVAL},
		{"[::1:80", EINVAL},
		{"192.0.2.1:0", EADDRNOTAVAIL},
		{"unix:", EINVAL},
		{"unix:/dev/null/no/folder/socket", ENOTDIR},
		{"unix:/tmp/an/address/that/is/longer/than/the/one/hundred/and/eight/bytes/that/"
		 "the/"
		 "kernel/has/for/the/path/of/a/socket",
		 EINVAL},
	};
	struct probe p;
	struct err e;

	(void)state;
	probe_init(&p);
	for (size_t i = 0; i < array_len(cases); i++) {
		assert_null(try_serve(cases[i].address, &p, &e));
		if (e.code != cases[i].code)
			print_error("%s: %s\n", cases[i].address, e.text);
		assert_int_equal(e.code, cases[i].code);
	}
	probe_release(&p);
}

static void unix_socket_has_one_server(void **state)
{
	char address[128];
	struct probe p;
	struct rpc_server *first;
	struct rpc_channel *ch;
	struct err e;
	int code;

	(void)state;
	probe_init(&p);
	snprintf(address, sizeof(address), "unix:%s/one", dir);
	first = try_serve(address, &p, &e);
	assert_non_null(first);
	assert_int_equal(rpc_server_port(first), 0);
	assert_null(try_serve(address, &p, &e));
	assert_int_equal(e.code, EADDRINUSE);
	assert_non_null(strstr(e.text, "/one"));
	ch = rpc_channel_new(address, NULL);
	assert_int_equal(call_unary(ch, "/test.Test/Echo", 1, UNARY_MS, &code), 1);
	probe_wait(&p, &p.messages, 1);
	assert_string_equal(rpc_call_peer(p.call), "unix");
	rpc_server_free(first, 0);
	/* free again after it */
	first = try_serve(address, &p, &e);
	assert_non_null(first);
	rpc_server_free(first, 0);
	rpc_channel_free(ch);
	probe_release(&p);
}

static void stale_unix_socket_is_replaced(void **state)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct rpc_server *server;
	struct rpc_channel *ch;
	char address[160];
	struct probe p;
	struct err e;
	int code, fd;

	(void)state;
	probe_init(&p);
	/* what a killed server leaves: a socket nobody listens on, a lock file nobody holds */
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/stale", dir);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(fd);
	snprintf(address, sizeof(address), "%s.lock", sun.sun_path);
	close(open(address, O_CREAT | O_WRONLY, 0600));
	snprintf(address, sizeof(address), "unix:%s", sun.sun_path);
	server = try_serve(address, &p, &e);
	assert_non_null(server);
	ch = rpc_channel_new(address, NULL);
	assert_int_equal(call_unary(ch, "/test.Test/Echo", 4, UNARY_MS, &code), 4);
	rpc_channel_free(ch);
	rpc_server_free(server, 0);
	assert_int_equal(access(sun.sun_path, F_OK), -1);
	probe_release(&p);
}

static void a_file_in_the_sockets_place_is_kept(void **state)
{
	char address[128], path[96];
	struct probe p;
	struct err e;

	(void)state;
	probe_init(&p);
	snprintf(path, sizeof(path), "%s/file", dir);
	snprintf(address, sizeof(address), "unix:%s", path);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_null(try_serve(address, &p, &e));
	assert_int_equal(e.code, EEXIST);
	assert_int_equal(access(path, F_OK), 0);
	probe_release(&p);
}

static void one_server_has_several_addresses(void **state)
{
	char unix_address[128], tcp6[64];
	const char *listen[] = {unix_address, "127.0.0.1:0", "[::1]:0", NULL};
	struct rpc_server_config c = {.listen = listen, .services = test_services};
	void *args[1];
	struct rpc_server *server;
	struct rpc_channel *ch;
	struct probe p;
	struct err e;
	int code;

	(void)state;
	probe_init(&p);
	args[0] = &p;
	c.service_args = args;
	snprintf(unix_address, sizeof(unix_address), "unix:%s/several", dir);
	assert_int_equal(rpc_server_new(&c, &server, &e), 0);
	snprintf(tcp6, sizeof(tcp6), "127.0.0.1:%u", rpc_server_port(server));
	ch = rpc_channel_new(tcp6, NULL);
	assert_int_equal(call_unary(ch, "/test.Test/Echo", 1, UNARY_MS, &code), 1);
	rpc_channel_free(ch);
	ch = rpc_channel_new(unix_address, NULL);
	assert_int_equal(call_unary(ch, "/test.Test/Echo", 2, UNARY_MS, &code), 2);
	rpc_channel_free(ch);
	rpc_server_free(server, 0);
	probe_release(&p);
}

static void call_knows_its_peer_and_metadata(void **state)
{
	/* the third listens on all addresses: its peers of IPv4 look like it */
	static const char *const listen[] = {"127.0.0.1:0", "[::1]:0", ":0"};
	static const char *const hosts[] = {"127.0.0.1", "[::1]", "127.0.0.1"};

	(void)state;
	for (size_t i = 0; i < array_len(hosts); i++) {
		struct rpc_server *server;
		struct rpc_channel *ch;
		char address[64];
		struct probe p;
		int code;

		probe_init(&p);
		server = serve(listen[i], &p, (struct rpc_server_config){0});
		snprintf(address, sizeof(address), "%s:%u", hosts[i], rpc_server_port(server));
		ch = rpc_channel_new(address, NULL);
		assert_int_equal(call_unary(ch, "/test.Test/Echo", 1, UNARY_MS, &code), 1);
		probe_wait(&p, &p.messages, 1);
		snprintf(address, sizeof(address), "%s:", hosts[i]);
		assert_int_equal(strncmp(rpc_call_peer(p.call), address, strlen(address)), 0);
		assert_true(atoi(rpc_call_peer(p.call) + strlen(address)) > 1023);
		assert_non_null(strstr(rpc_call_metadata(p.call, "user-agent"),
				       "skimmer/" SKIMMER_VERSION));
		assert_null(rpc_call_metadata(p.call, "authorization"));
		rpc_channel_free(ch);
		rpc_server_free(server, 0);
		probe_release(&p);
	}
}

/* A Download whose only field is a url of that many bytes. */
static int call_with_length(struct fixture *f, size_t len, int *code_out)
{
	Common__V2__Download req = COMMON__V2__DOWNLOAD__INIT;
	cleanup(free_at) char *url = mem_alloc(len + 1);
	ProtobufCMessage *resp = NULL;
	struct err e;
	int r;

	memset(url, 'a', len);
	req.url = url;
	r = rpc_unary(f->channel, "/test.Test/EchoDownload", &req.base,
		      &common__v2__download__descriptor, UNARY_MS, &resp, code_out, &e);
	if (r == 0) {
		assert_int_equal(strlen(((Common__V2__Download *)resp)->url), len);
		protobuf_c_message_free_unpacked(resp, NULL);
	}
	return r;
}

static void message_over_the_limit_is_refused(void **state)
{
	const struct rpc_method methods[] = {
		{"/test.Test/EchoDownload", &common__v2__download__descriptor, false, on_echo, NULL,
		 on_closed},
		{0},
	};
	const struct rpc_method *const services[] = {methods, NULL};
	const char *const listen[] = {"127.0.0.1:0", NULL};
	struct rpc_server_config c = {
		.listen = listen, .services = services, .message_len_max = 100000};
	struct fixture f;
	void *args[] = {&f.served};
	struct err e;
	int code;

	(void)state;
	probe_init(&f.served);
	c.service_args = args;
	assert_int_equal(rpc_server_new(&c, &f.server, &e), 0);
	snprintf(f.target, sizeof(f.target), "127.0.0.1:%u", rpc_server_port(f.server));
	f.channel = rpc_channel_new(f.target, NULL);
	assert_int_equal(call_with_length(&f, 99000, &code), 0);
	assert_int_equal(call_with_length(&f, 101000, &code), -EBUSY);
	assert_int_equal(code, RPC_RESOURCE_EXHAUSTED);
	assert_int_equal(probe_get(&f.served, messages), 1);
	/* the connection goes on */
	assert_int_equal(call_with_length(&f, 10, &code), 0);
	rpc_channel_free(f.channel);
	rpc_server_free(f.server, 0);
	probe_release(&f.served);
}

static void streams_over_the_limit_wait_their_turn(void **state)
{
	struct rpc_stream *s[3];
	struct fixture f;

	(void)state;
	fixture_open(&f, (struct rpc_server_config){.streams_max = 2});
	/* the first exchange brings the server's settings, which say how many */
	s[0] = rpc_stream_new(f.channel, "/test.Test/Chat", &test_stream_ops, &f.seen, 0);
	assert_true(stream_send(s[0], 1, 1));
	probe_wait(&f.seen, &f.seen.messages, 1);
	s[1] = rpc_stream_new(f.channel, "/test.Test/Chat", &test_stream_ops, &f.seen, 0);
	s[2] = rpc_stream_new(f.channel, "/test.Test/Chat", &test_stream_ops, &f.seen, 0);
	assert_true(stream_send(s[2], 1, 1));
	assert_true(stream_send(s[1], 1, 1));
	probe_wait(&f.seen, &f.seen.messages, 2);
	rpc_stream_half_close(s[0]);
	rpc_stream_half_close(s[1]);
	probe_wait(&f.seen, &f.seen.messages, 3);
	rpc_stream_half_close(s[2]);
	probe_wait(&f.seen, &f.seen.closed, 3);
	for (size_t i = 0; i < array_len(s); i++)
		rpc_stream_free(s[i]);
	rpc_channel_free(f.channel);
	rpc_server_free(f.server, 0);
	probe_release(&f.served);
	probe_release(&f.seen);
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	return fd;
}

static void garbage_closes_only_its_connection(void **state)
{
	static const char *const garbage[] = {
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
	};
	struct fixture *f = *state;
	int code;

	for (size_t i = 0; i < array_len(garbage); i++) {
		int fd = connect_to(rpc_server_port(f->server));
		char buf[4096];

		assert_true(write(fd, garbage[i], strlen(garbage[i])) > 0);
		while (read(fd, buf, sizeof(buf)) > 0)
			;
		close(fd);
		assert_int_equal(call_unary(f->channel, "/test.Test/Echo", 6, UNARY_MS, &code), 6);
	}
}

static void broken_pipe_is_no_signal(void **state)
{
	struct sigaction now;

	(void)state;
	assert_int_equal(sigaction(SIGPIPE, NULL, &now), 0);
	assert_ptr_equal(now.sa_handler, SIG_IGN);
}

/* True once the server has closed the connection. */
static bool is_refused(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char buf[4096];

	while (poll(&p, 1, 0) > 0) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		if (n <= 0)
			return true;
	}
	return false;
}

static int64_t times_full(void)
{
	static const struct metric_family refused = {METRIC_COUNTER, "skimmer_grpc_refused_total",
						     "", NULL};

	return metric_value(metric_get(&refused));
}

/* Takes every descriptor that is free, also those that the server's late ends leave, until a
 * connection finds none: accept() itself fails. Returns how many were taken. */
static int fill_up(uint16_t port, int fds[static 160])
{
	int64_t full = times_full(), end_ms = clock_ms() + WAIT_MS, look_ms;
	int count = 0;

	do {
		assert_true(clock_ms() < end_ms);
		while ((fds[count] = dup(0)) >= 0)
			count++;
		close(fds[count - 1]);
		fds[count - 1] = connect_to(port);
		look_ms = clock_ms() + 200;
		while (times_full() == full && clock_ms() < look_ms)
			usleep(1000);
	} while (times_full() == full);
	return count;
}

/* gRPC core's own listener would be deaf for ever after the first EMFILE. */
static void descriptors_that_run_out_do_not_deafen(void **state)
{
	struct rlimit old, low = {.rlim_cur = 160};
	struct fixture *f = *state;
	int fds[80], spare[160], count, code;
	struct rpc_channel *ch;
	int64_t deadline_ms;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	/* each connection takes two, as both ends are ours: the last are refused */
	for (size_t i = 0; i < array_len(fds); i++)
		fds[i] = connect_to(rpc_server_port(f->server));
	deadline_ms = clock_ms() + WAIT_MS;
	while (!is_refused(fds[79])) {
		assert_true(clock_ms() < deadline_ms);
		usleep(1000);
	}
	assert_false(is_refused(fds[0]));
	for (size_t i = 0; i < array_len(fds); i++)
		close(fds[i]);
	count = fill_up(rpc_server_port(f->server), spare);
	for (int i = 0; i < count; i++)
		close(spare[i]);
	ch = rpc_channel_new(f->target, NULL);
	assert_int_equal(call_unary(ch, "/test.Test/Echo", 7, UNARY_MS, &code), 7);
	rpc_channel_free(ch);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

/* ---- HTTP/2 by hand: what gRPC core's own client would not send ---- */

#define H2_DATA	    0
#define H2_HEADERS  1
#define H2_SETTINGS 4

static size_t add_frame(uint8_t *out, uint8_t type, uint8_t flags, uint8_t stream, const void *body,
			size_t len)
{
	const uint8_t head[] = {0, (uint8_t)(len >> 8), (uint8_t)len, type, flags, 0, 0, 0, stream};

	memcpy(out, head, sizeof(head));
	if (len)
		memcpy(out + sizeof(head), body, len);
	return sizeof(head) + len;
}

/* A field with a literal name, not indexed, no Huffman code (RFC 7541, 6.2.2). */
static size_t add_field(uint8_t *out, const char *name, const char *value)
{
	size_t n = strlen(name), v = strlen(value);

	out[0] = 0;
	out[1] = (uint8_t)n;
	memcpy(out + 2, name, n);
	out[2 + n] = (uint8_t)v;
	memcpy(out + 3 + n, value, v);
	return 3 + n + v;
}

static int start_call_with_timeout(struct fixture *f, const char *path, const char *timeout)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	int fd = connect_to(rpc_server_port(f->server));
	uint8_t out[512], fields[400];
	size_t len = strlen(preface), n = 0;

	memcpy(out, preface, len);
	len += add_frame(out + len, H2_SETTINGS, 0, 0, NULL, 0);
	n += add_field(fields + n, ":method", "POST");
	n += add_field(fields + n, ":scheme", "http");
	n += add_field(fields + n, ":path", path);
	n += add_field(fields + n, ":authority", "test");
	n += add_field(fields + n, "te", "trailers");
	n += add_field(fields + n, "content-type", "application/grpc");
	n += add_field(fields + n, "grpc-timeout", timeout);
	len += add_frame(out + len, H2_HEADERS, 4, 1, fields, n);
	assert_int_equal(send(fd, out, len, MSG_NOSIGNAL), len);
	return fd;
}

static void receive_all(int fd, void *to, size_t len)
{
	for (size_t got = 0; got < len;) {
		ssize_t n = recv(fd, (char *)to + got, len - got, 0);

		assert_true(n > 0);
		got += (size_t)n;
	}
}

/* The type and flags of the next frame that belongs to the call. */
static uint8_t next_frame(int fd, uint8_t *flags_out)
{
	for (;;) {
		uint8_t head[9], body[4096];
		size_t len;

		receive_all(fd, head, sizeof(head));
		len = (size_t)head[1] << 8 | head[2];
		assert_true(head[0] == 0 && len <= sizeof(body));
		receive_all(fd, body, len);
		*flags_out = head[4];
		if (head[8] == 1 && head[3] <= H2_HEADERS)
			return head[3];
	}
}

/* Dragonfly's client (v1.5.1) opens SyncPieces and SyncHost with grpc-timeout: 10 s, and reads them
 * for as long as the download takes. */
static void a_stream_outlives_the_timeout_it_was_opened_with(void **state)
{
	static const uint8_t message[] = {0, 0, 0, 0, 2, 8, 7}; /* Range{start: 7} */
	struct fixture *f = *state;
	int fd = start_call_with_timeout(f, "/test.Test/Chat", "50m");
	int64_t until = clock_ms() + 500;

	for (bool first = true; first || clock_ms() < until; first = false) {
		uint8_t out[64], flags;
		size_t len = add_frame(out, H2_DATA, 0, 1, message, sizeof(message));

		assert_int_equal(send(fd, out, len, MSG_NOSIGNAL), len);
		if (first)
			assert_int_equal(next_frame(fd, &flags), H2_HEADERS);
		assert_int_equal(next_frame(fd, &flags), H2_DATA);
		assert_int_equal(flags & 1, 0);
		/* We open no windows: 9,000 answers would fill the connection's. */
		poll(NULL, 0, 10);
	}
	close(fd);
	probe_wait(&f->served, &f->served.closed, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rpc_test(second_server_on_a_port_is_refused),
		cmocka_unit_test(wrong_addresses_are_told),
		cmocka_unit_test(unix_socket_has_one_server),
		cmocka_unit_test(stale_unix_socket_is_replaced),
		cmocka_unit_test(a_file_in_the_sockets_place_is_kept),
		cmocka_unit_test(one_server_has_several_addresses),
		cmocka_unit_test(call_knows_its_peer_and_metadata),
		cmocka_unit_test(message_over_the_limit_is_refused),
		cmocka_unit_test(streams_over_the_limit_wait_their_turn),
		rpc_test(a_stream_outlives_the_timeout_it_was_opened_with),
		rpc_test(garbage_closes_only_its_connection),
		rpc_test(descriptors_that_run_out_do_not_deafen),
		cmocka_unit_test(broken_pipe_is_no_signal),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
