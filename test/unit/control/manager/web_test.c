/* The manager's HTTP edge and clients that are slow. */
#include "control/manager/web.h"

#include "../../unit.h"
#include "base/clock.h"
#include "base/net.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BODY_MS 300
#define SLOW	50

static void hello(void *arg, const struct web_request *rq, struct web_answer *out)
{
	(void)arg;
	(void)rq;
	buf_puts(&out->body, "hello");
}

static struct web *serve(void)
{
	const struct web_config config = {
		.ip = "127.0.0.1", .workers = 2, .body_timeout_ms = BODY_MS, .answer = hello};
	struct web *w = NULL;

	assert_int_equal(web_new(&config, &w, NULL), 0);
	return w;
}

static int connect_to(struct web *w)
{
	struct net_addr addr;
	int fd = -1;

	assert_true(net_addr_parse("127.0.0.1", web_port(w), &addr));
	assert_int_equal(net_connect(&addr, clock_ms() + 20000, &fd, NULL), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* All of the answer, up to the end of the connection or of the words looked for. */
static void expect(int fd, const char *words)
{
	char text[4096] = "";
	size_t len = 0;

	while (!strstr(text, words)) {
		ssize_t n = read(fd, text + len, sizeof(text) - 1 - len);

		assert_true(n > 0);
		len += (size_t)n;
		text[len] = 0;
	}
}

static void a_body_that_comes_too_slowly_is_given_up(void **state)
{
	struct web *w = serve();
	int fd = connect_to(w);

	(void)state;
	say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
	expect(fd, " 408 ");
	close(fd);
	web_free(w);
}

static void slow_clients_hold_nobody_up(void **state)
{
	struct web *w = serve();
	int slow[SLOW], quick;

	(void)state;
	for (int i = 0; i < SLOW; i++) {
		slow[i] = connect_to(w);
		say(slow[i], i % 2 ? "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1"
				   : "GET / HTTP/1.1\r\nHos");
	}
	quick = connect_to(w);
	say(quick, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	expect(quick, "hello");
	close(quick);
	for (int i = 0; i < SLOW; i++)
		close(slow[i]);
	web_free(w);
}

static void a_client_that_leaves_in_a_body_is_forgotten(void **state)
{
	struct web *w = serve();
	int fd = connect_to(w);

	(void)state;
	say(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
	close(fd);
	fd = connect_to(w);
	say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	expect(fd, "hello");
	close(fd);
	web_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_body_that_comes_too_slowly_is_given_up),
		cmocka_unit_test(slow_clients_hold_nobody_up),
		cmocka_unit_test(a_client_that_leaves_in_a_body_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
