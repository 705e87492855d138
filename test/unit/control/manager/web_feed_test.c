/* Server-sent events over real sockets. */
#include "control/manager/web_feed.h"

#include "control/manager/web.h"
#include "test/unit/client.h"
#include "test/unit/unit.h"

#include <poll.h>

#define WAIT_MS 20000
#define BIG	(8u << 20) /* more than sockets hold */

struct fixture {
	struct web *web;
	struct web_feed *feed;
};

static void answer(void *arg, const struct web_request *rq, struct web_answer *out)
{
	struct fixture *f = arg;

	(void)rq;
	web_header(out, "Content-Type", "text/event-stream");
	out->feed = f->feed;
}

static int start(void **state)
{
	struct fixture *f = mem_new(struct fixture);
	const struct web_config c = {.ip = "127.0.0.1", .workers = 1, .answer = answer, .arg = f};

	f->feed = web_feed_new();
	assert_int_equal(web_new(&c, &f->web, NULL), 0);
	*state = f;
	return 0;
}

static int stop(void **state)
{
	struct fixture *f = *state;

	web_free(f->web);
	web_feed_free(f->feed);
	free(f);
	return 0;
}

static struct client follow(struct fixture *f, const char *method)
{
	struct client c = client_connect(web_port(f->web));
	char *text cleanup(free_at) = mem_printf("%s / HTTP/1.1\r\nHost: x\r\n\r\n", method);

	c.in = (struct buf)BUF_INIT(64u << 20);
	client_send(&c, text);
	return c;
}

static void wait_followers(struct fixture *f, unsigned count)
{
	int64_t until = clock_ms() + WAIT_MS;

	while (web_feed_followers(f->feed) != count && clock_ms() < until)
		poll(NULL, 0, 2);
	assert_int_equal(web_feed_followers(f->feed), count);
}

static void read_until(struct client *c, const char *text)
{
	while (!c->in.data || !memmem(c->in.data, c->in.len, text, strlen(text)))
		assert_true(client_fill(c));
}

static void all_followers_get_what_is_pushed(void **state)
{
	struct fixture *f = *state;
	struct client a, b;

	web_feed_push(f->feed, "nobody hears");
	a = follow(f, "GET");
	b = follow(f, "GET");
	wait_followers(f, 2);
	read_until(&a, "retry: 1000\n\n");
	web_feed_push(f->feed, "{\"n\":1}");
	read_until(&a, "data: {\"n\":1}\n\n");
	read_until(&b, "data: {\"n\":1}\n\n");
	assert_null(memmem(b.in.data, b.in.len, "nobody", 6));
	web_feed_push(f->feed, "{\"n\":2}");
	read_until(&b, "data: {\"n\":2}\n\n");
	client_close(&b);
	wait_followers(f, 1);
	web_feed_push(f->feed, "{\"n\":3}");
	read_until(&a, "data: {\"n\":3}\n\n");
	client_close(&a);
	wait_followers(f, 0);
}

/* What it did not read in time is skipped, not queued. */
static void a_slow_follower_gets_the_newest_only(void **state)
{
	struct fixture *f = *state;
	char *big cleanup(free_at) = mem_alloc(BIG + 1);
	struct client slow = follow(f, "GET"), quick;

	memset(big, 'x', BIG);
	wait_followers(f, 1);
	web_feed_push(f->feed, big);
	quick = follow(f, "GET");
	wait_followers(f, 2);
	for (int i = 0; i < 20; i++) {
		char *text cleanup(free_at) = mem_printf("[%d]", i),
			   *line cleanup(free_at) = mem_printf("data: [%d]\n", i);

		web_feed_push(f->feed, text);
		read_until(&quick, line);
	}
	read_until(&slow, "data: [19]\n");
	assert_null(memmem(slow.in.data, slow.in.len, "data: [18]\n", 11));
	client_close(&slow);
	client_close(&quick);
	wait_followers(f, 0);
}

static void a_head_follows_nothing(void **state)
{
	struct fixture *f = *state;
	struct client c = follow(f, "HEAD");

	read_until(&c, "\r\n\r\n");
	assert_int_equal(web_feed_followers(f->feed), 0);
	client_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
		TEST(all_followers_get_what_is_pushed),
		TEST(a_slow_follower_gets_the_newest_only),
		TEST(a_head_follows_nothing),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
