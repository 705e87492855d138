/* A door on real sockets: keep-alive, pipelining, bodies, files, deadlines, bounds, and clients
 * that misbehave or leave. */
#include "base/door.h"

#include "../client.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define FILE_LEN (8u << 20)

/* A handler of the test: what it does is chosen by the path. */
struct visit {
	struct door_call call;
	struct door_conn *conn;
	struct buf body;
	unsigned turns;
};

static struct door *door;
static int file_fd = -1;
static atomic_uint gone_whole, gone_broken, waiting;

static void visit_gone(struct door_call *call, bool whole)
{
	struct visit *v = container_of(call, struct visit, call);

	atomic_fetch_add(whole ? &gone_whole : &gone_broken, 1);
	buf_release(&v->body);
	free(v);
}

static void visit_body(struct door_call *call, const char *data, size_t len)
{
	struct visit *v = container_of(call, struct visit, call);

	if (len) {
		buf_append(&v->body, data, len);
		door_want_body(v->conn);
		return;
	}
	door_respond(v->conn, 200, "", (int64_t)v->body.len);
	door_send(v->conn, v->body.data ? v->body.data : "", v->body.len);
	door_end(v->conn);
}

/* /chunked: three parts, each when the one before has gone out. */
static void visit_drained(struct door_call *call)
{
	struct visit *v = container_of(call, struct visit, call);

	if (v->turns++ < 3)
		door_send(v->conn, "part ", 5);
	else
		door_end(v->conn);
}

static void handle(struct door_conn *c, void *arg)
{
	const char *target = door_head(c)->target;
	struct visit *v;

	(void)arg;
	if (strcmp(target, "/hello") == 0) {
		door_reply(c, 200, "", "hello");
		return;
	}
	v = mem_new(struct visit);
	*v = (struct visit){.call = {visit_drained, visit_body, visit_gone}, .conn = c};
	door_take(c, &v->call);
	if (strcmp(target, "/echo") == 0) {
		door_want_body(c);
	} else if (strcmp(target, "/file") == 0) {
		door_respond(c, 200, "", FILE_LEN);
		door_send_file(c, file_fd, 0, FILE_LEN);
		door_end(c);
	} else if (strcmp(target, "/chunked") == 0) {
		door_respond(c, 200, "Date: today\r\n", -1);
	} else if (strcmp(target, "/short") == 0) {
		door_respond(c, 200, "", 100);
		door_send(c, "too short", 9);
		door_end(c);
	} else if (strcmp(target, "/long") == 0) {
		door_respond(c, 200, "", 3);
		door_send(c, "too long", 8);
	} else if (strcmp(target, "/broken") == 0) {
		door_respond(c, 200, "", -1);
		door_send(c, "begin", 5);
		door_abort(c);
	} else {
		assert_string_equal(target, "/wait");
		atomic_fetch_add(&waiting, 1);
	}
}

static void open_door(struct door_config config)
{
	struct err e;

	config.name = "test";
	config.ip = "127.0.0.1";
	config.request = handle;
	gone_whole = gone_broken = waiting = 0;
	assert_int_equal(door_new(&config, &door, &e), 0);
}

static int open_plain_door(void **state)
{
	(void)state;
	open_door((struct door_config){.loops = 2});
	return 0;
}

static int close_door(void **state)
{
	(void)state;
	door_free(door);
	door = NULL;
	return 0;
}

/* Waits for a counter of the door's threads, within a bound. */
static void wait_count(atomic_uint *n, unsigned want)
{
	int64_t deadline_ms = clock_ms() + CLIENT_MS;

	while (atomic_load(n) != want) {
		assert_true(clock_ms() < deadline_ms);
		sched_yield();
	}
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static void expect(struct client *c, const char *request, int status, const char *body)
{
	cleanup(answer_release) struct answer a = client_ask(c, request);

	assert_int_equal(a.head.status, status);
	if (body)
		assert_string_equal(a.body, body);
}

static void connection_is_kept_between_requests(void **state)
{
	struct client c = client_connect(door_port(door));

	(void)state;
	for (int i = 0; i < 100; i++)
		expect(&c, GET("/hello"), 200, "hello\n");
	client_close(&c);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	struct client c = client_connect(door_port(door));

	(void)state;
	client_send(&c, GET("/hello")
				GET("/chunked") "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: "
						"4\r\n\r\nping" GET("/hello"));
	for (int i = 0; i < 4; i++) {
		static const char *const want[] = {"hello\n", "part part part ", "ping", "hello\n"};
		cleanup(answer_release) struct answer a = client_answer(&c, false);

		assert_string_equal(a.body, want[i]);
	}
	client_close(&c);
}

static void head_that_comes_byte_by_byte_is_read(void **state)
{
	struct client c = client_connect(door_port(door));
	cleanup(answer_release) struct answer a = {0};
	static const char text[] = GET("/hello");

	(void)state;
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		client_send(&c, (char[]){text[i], 0});
	a = client_answer(&c, false);
	assert_string_equal(a.body, "hello\n");
	client_close(&c);
}

static void close_and_http_1_0_end_the_connection(void **state)
{
	static const char *const requests[] = {
		"GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
		"GET /hello HTTP/1.0\r\n\r\n",
		"GET /chunked HTTP/1.0\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < array_len(requests); i++) {
		struct client c = client_connect(door_port(door));
		cleanup(answer_release) struct answer a = client_ask(&c, requests[i]);

		assert_int_equal(a.head.status, 200);
		assert_string_equal(http_header_get(&a.head, "Connection"), "close");
		assert_false(a.head.chunked);
		assert_true(client_is_closed(&c));
		client_close(&c);
	}
}

static void head_request_has_no_body(void **state)
{
	struct client c = client_connect(door_port(door));
	cleanup(answer_release) struct answer a =
		client_ask(&c, "HEAD /file HTTP/1.1\r\nHost: h\r\n\r\n");

	(void)state;
	assert_int_equal(a.head.content_length, FILE_LEN);
	expect(&c, GET("/hello"), 200, "hello\n");
	client_close(&c);
}

static void answer_says_the_date_once(void **state)
{
	struct client c = client_connect(door_port(door));
	cleanup(answer_release) struct answer a = client_ask(&c, GET("/hello"));
	cleanup(answer_release) struct answer b = client_ask(&c, GET("/chunked"));
	unsigned dates = 0;

	(void)state;
	assert_non_null(http_header_get(&a.head, "Date"));
	for (unsigned i = 0; i < b.head.header_count; i++)
		dates += strcmp(b.head.headers[i].name, "Date") == 0;
	assert_int_equal(dates, 1);
	client_close(&c);
}

static void request_bodies_are_read(void **state)
{
	struct client c = client_connect(door_port(door));
	cleanup(answer_release) struct answer big = {0};
	struct buf request = {0};

	(void)state;
	expect(&c,
	       "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
	       "4\r\nWiki\r\n5\r\npedia\r\n0\r\n\r\n",
	       200, "Wikipedia");
	expect(&c, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 200, "");
	buf_printf(&request, "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: %u\r\n\r\n",
		   1u << 20);
	for (unsigned i = 0; i < 1u << 20; i++)
		buf_append(&request, (char[]){(char)('a' + i % 26)}, 1);
	big = client_ask(&c, request.data);
	assert_int_equal(big.len, 1u << 20);
	assert_memory_equal(big.body, request.data + request.len - (1u << 20), 1u << 20);
	client_close(&c);
	buf_release(&request);
}

static void continue_is_said_when_the_body_is_wanted(void **state)
{
	struct client c = client_connect(door_port(door));
	cleanup(answer_release) struct answer a = {0};

	(void)state;
	a = client_ask(&c, "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
			   "Expect: 100-continue\r\n\r\n");
	assert_int_equal(a.head.status, 100);
	expect(&c, "ok", 200, "ok");
	/* Answered without it: no 100, and the connection ends, for the body may come yet. */
	expect(&c,
	       "PUT /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
	       "Expect: 100-continue\r\n\r\n",
	       200, "hello\n");
	assert_true(client_is_closed(&c));
	client_close(&c);
}

static void bad_chunks_end_the_connection(void **state)
{
	struct client c = client_connect(door_port(door));

	(void)state;
	client_send(&c,
		    "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n");
	assert_true(client_is_closed(&c));
	wait_count(&gone_broken, 1);
	client_close(&c);
}

static void file_is_sent_whole(void **state)
{
	struct client c = client_connect(door_port(door));
	char *map = mmap(NULL, FILE_LEN, PROT_READ, MAP_SHARED, file_fd, 0);

	(void)state;
	for (int i = 0; i < 3; i++) {
		cleanup(answer_release) struct answer a = client_ask(&c, GET("/file"));

		assert_int_equal(a.len, FILE_LEN);
		assert_memory_equal(a.body, map, FILE_LEN);
	}
	munmap(map, FILE_LEN);
	client_close(&c);
}

static void answer_that_is_not_whole_does_not_look_whole(void **state)
{
	static const char *const paths[] = {"/short", "/long", "/broken"};

	(void)state;
	for (size_t i = 0; i < array_len(paths); i++) {
		cleanup(free_at) char *request =
			mem_printf("GET %s HTTP/1.1\r\nHost: h\r\n\r\n", paths[i]);
		struct client c = client_connect(door_port(door));

		client_send(&c, request);
		while (client_fill(&c))
			;
		if (c.in.len)
			assert_null(strstr(c.in.data, "\r\n0\r\n"));
		assert_null(c.in.len ? strstr(c.in.data, "too long") : NULL);
		client_close(&c);
	}
	wait_count(&gone_broken, array_len(paths));
}

static void garbage_is_answered_with_400_and_closed(void **state)
{
	static const struct {
		const char *text;
		int status;
	} bad[] = {
		{"\x16\x03\x01 hello", 400},
		{"GET / HTTP/1.1\nHost: h\n\n", 400},
		{"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 501},
	};

	(void)state;
	for (size_t i = 0; i < array_len(bad); i++) {
		struct client c = client_connect(door_port(door));

		expect(&c, bad[i].text, bad[i].status, NULL);
		assert_true(client_is_closed(&c));
		client_close(&c);
	}
}

static void endless_head_is_answered_with_431(void **state)
{
	struct client c = client_connect(door_port(door));
	cleanup(answer_release) struct answer a = {0};
	struct buf text = {0};

	(void)state;
	buf_puts(&text, "GET / HTTP/1.1\r\nHost: h\r\n");
	while (text.len < HTTP_HEAD_MAX + 1000)
		buf_puts(&text, "X-Again: and again\r\n");
	client_send(&c, text.data);
	a = client_answer(&c, false);
	assert_int_equal(a.head.status, 431);
	client_close(&c);
	buf_release(&text);
}

static void vanished_client_is_noticed_while_it_waits(void **state)
{
	struct client c = client_connect(door_port(door));

	(void)state;
	client_send(&c, GET("/wait"));
	wait_count(&waiting, 1);
	client_close(&c);
	wait_count(&gone_broken, 1);
}

static void vanished_client_ends_its_file(void **state)
{
	struct client c = client_connect(door_port(door));

	(void)state;
	client_send(&c, GET("/file"));
	assert_true(client_fill(&c));
	client_close(&c);
	wait_count(&gone_broken, 1);
}

static void waiting_clients_are_told_when_the_door_closes(void **state)
{
	struct client a = client_connect(door_port(door)), b = client_connect(door_port(door));

	(void)state;
	client_send(&a, GET("/wait"));
	wait_count(&waiting, 1);
	door_free(door);
	door = NULL;
	assert_int_equal(gone_broken, 1);
	assert_true(client_is_closed(&a));
	assert_true(client_is_closed(&b));
	client_close(&a);
	client_close(&b);
}

static void slow_head_is_answered_with_408(void **state)
{
	struct client c;
	cleanup(answer_release) struct answer a = {0};

	(void)state;
	open_door((struct door_config){.head_timeout_ms = 100});
	c = client_connect(door_port(door));
	client_send(&c, "GET / HT");
	a = client_answer(&c, false);
	assert_int_equal(a.head.status, 408);
	client_close(&c);
}

static void idle_connection_is_closed(void **state)
{
	struct client c;

	(void)state;
	open_door((struct door_config){.idle_timeout_ms = 100});
	c = client_connect(door_port(door));
	expect(&c, GET("/hello"), 200, "hello\n");
	assert_true(client_is_closed(&c));
	client_close(&c);
}

static void reader_that_does_not_read_is_dropped(void **state)
{
	struct client c, d;

	(void)state;
	open_door((struct door_config){.stall_timeout_ms = 150});
	c = client_connect(door_port(door));
	client_send(&c, GET("/file") GET("/file") GET("/file"));
	wait_count(&gone_broken, 1);
	d = client_connect(door_port(door));
	client_send(&d, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf");
	wait_count(&gone_broken, 2);
	client_close(&c);
	client_close(&d);
}

static void oldest_idle_connection_makes_room(void **state)
{
	struct client c[4];

	(void)state;
	open_door((struct door_config){.connections_max = 3});
	for (size_t i = 0; i < array_len(c); i++) {
		c[i] = client_connect(door_port(door));
		expect(&c[i], GET("/hello"), 200, "hello\n");
	}
	assert_true(client_is_closed(&c[0]));
	expect(&c[1], GET("/hello"), 200, "hello\n");
	for (size_t i = 0; i < array_len(c); i++)
		client_close(&c[i]);
}

static void newcomer_is_refused_when_all_are_busy(void **state)
{
	struct client a, b;

	(void)state;
	open_door((struct door_config){.connections_max = 1});
	a = client_connect(door_port(door));
	client_send(&a, GET("/wait"));
	wait_count(&waiting, 1);
	b = client_connect(door_port(door));
	assert_true(client_is_closed(&b));
	client_close(&a);
	client_close(&b);
}

static void thousands_wait_while_one_is_served(void **state)
{
	enum { COUNT = 2000 };
	struct client *c = mem_array(COUNT, sizeof(*c)), one;
	struct rlimit limit;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 0; i < COUNT; i++)
		c[i] = client_connect(door_port(door));
	one = client_connect(door_port(door));
	for (int i = 0; i < 200; i++)
		expect(&one, GET("/hello"), 200, "hello\n");
	for (int i = 0; i < COUNT; i += 100)
		expect(&c[i], GET("/hello"), 200, "hello\n");
	for (int i = 0; i < COUNT; i++)
		client_close(&c[i]);
	client_close(&one);
	free(c);
}

static void port_in_use_is_told(void **state)
{
	const struct door_config config = {
		.name = "test", .ip = "127.0.0.1", .port = door_port(door), .request = handle};
	struct door *other;
	struct err e;

	(void)state;
	assert_int_equal(door_new(&config, &other, &e), -EADDRINUSE);
}

static int make_file(void **state)
{
	cleanup(free_at) char *data = mem_alloc(FILE_LEN);

	(void)state;
	for (size_t i = 0; i < FILE_LEN; i++)
		data[i] = (char)(i * 2654435761u >> 13);
	file_fd = memfd_create("content", MFD_CLOEXEC);
	return file_fd < 0 || write(file_fd, data, FILE_LEN) != FILE_LEN;
}

static int drop_file(void **state)
{
	(void)state;
	close_at(&file_fd);
	return 0;
}

#define door_test(f) cmocka_unit_test_setup_teardown(f, open_plain_door, close_door)
#define own_test(f)  cmocka_unit_test_teardown(f, close_door)

int main(void)
{
	const struct CMUnitTest tests[] = {
		door_test(connection_is_kept_between_requests),
		door_test(pipelined_requests_are_answered_in_order),
		door_test(head_that_comes_byte_by_byte_is_read),
		door_test(close_and_http_1_0_end_the_connection),
		door_test(head_request_has_no_body),
		door_test(answer_says_the_date_once),
		door_test(request_bodies_are_read),
		door_test(continue_is_said_when_the_body_is_wanted),
		door_test(bad_chunks_end_the_connection),
		door_test(file_is_sent_whole),
		door_test(answer_that_is_not_whole_does_not_look_whole),
		door_test(garbage_is_answered_with_400_and_closed),
		door_test(endless_head_is_answered_with_431),
		door_test(vanished_client_is_noticed_while_it_waits),
		door_test(vanished_client_ends_its_file),
		door_test(waiting_clients_are_told_when_the_door_closes),
		own_test(slow_head_is_answered_with_408),
		own_test(idle_connection_is_closed),
		own_test(reader_that_does_not_read_is_dropped),
		own_test(oldest_idle_connection_makes_room),
		own_test(newcomer_is_refused_when_all_are_busy),
		door_test(thousands_wait_while_one_is_served),
		door_test(port_in_use_is_told),
	};

	return cmocka_run_group_tests(tests, make_file, drop_file);
}
