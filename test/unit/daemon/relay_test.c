#include "test/unit/unit.h"

#include "base/clock.h"
#include "daemon/relay.h"
#include "test/unit/daemon/fake_http.h"

#include <assert.h>
#include <sys/resource.h>

#define BIG	   (8u << 20)
#define WAIT_MS	   60000
#define LIMIT	   4096
#define CROWD	   1000
#define CROWD_SIZE (256u << 10)
#define CHUNK_AT   100000u /* bytes that a client takes before it wants a pause */

static struct fake_http *server;
static struct relay *relay;

/* A client of the relay, as a door would be. */
struct client {
	struct lock lock; /* rank 1 */
	struct cond changed;
	struct relay_call *call;
	int status;
	char *headers;
	uint64_t received, sent, to_send;
	bool right; /* all bytes were the right ones */
	bool done, paused;
	unsigned pauses;
	struct err err;
	/* behaviour */
	uint64_t pause_every; /* refuses data once per so many bytes; 0 = never */
	uint64_t hold_at;     /* takes no more than that until hold_at is changed */
	bool end_body_early;
};

static void client_init(struct client *c)
{
	*c = (struct client){.right = true, .hold_at = UINT64_MAX};
	lock_init(&c->lock, 1);
	cond_init(&c->changed);
}

static void client_release(struct client *c)
{
	free(c->headers);
	cond_release(&c->changed);
	lock_release(&c->lock);
}

static void on_head(struct relay_call *call, int status, const char *headers, void *arg)
{
	struct client *c = arg;

	lock_guard(&c->lock);
	assert(call == c->call || !c->call);
	c->status = status;
	c->headers = mem_strdup(headers);
	cond_wake_all(&c->changed);
}

static bool on_data(struct relay_call *call, const void *data, size_t len, void *arg)
{
	struct client *c = arg;
	const unsigned char *bytes = data;

	lock_guard(&c->lock);
	(void)call;
	if (c->received + len > c->hold_at ||
	    (c->pause_every && c->received / c->pause_every >= c->pauses + 1)) {
		c->pauses++;
		c->paused = true;
		cond_wake_all(&c->changed);
		return false;
	}
	for (size_t i = 0; i < len; i++)
		c->right &= bytes[i] == fake_byte(c->received + i);
	c->received += len;
	return true;
}

static ssize_t on_body(struct relay_call *call, void *out, size_t size, void *arg)
{
	struct client *c = arg;
	unsigned char *bytes = out;
	uint64_t left = c->to_send - c->sent;

	lock_guard(&c->lock);
	(void)call;
	if (c->end_body_early && c->sent > 0)
		return 0;
	if (c->pause_every && c->sent / c->pause_every >= c->pauses + 1) {
		c->pauses++;
		c->paused = true;
		cond_wake_all(&c->changed);
		return -1;
	}
	if (size > left)
		size = (size_t)left;
	for (size_t i = 0; i < size; i++)
		bytes[i] = fake_byte(c->sent + i);
	c->sent += size;
	return (ssize_t)size;
}

static void on_done(struct relay_call *call, const struct err *e, void *arg)
{
	struct client *c = arg;

	lock_guard(&c->lock);
	(void)call;
	assert(!c->done);
	c->done = true;
	c->call = NULL;
	if (e)
		c->err = *e;
	cond_wake_all(&c->changed);
}

static const struct relay_ops ops = {
	.head = on_head, .data = on_data, .body = on_body, .done = on_done};

static void start(struct client *c, const char *method, const char *url, int64_t body_length,
		  const struct config_pairs *headers)
{
	struct relay_request rq = {.method = method,
				   .url = url,
				   .headers = headers,
				   .body_length = body_length,
				   .deadline_ms = clock_ms() + WAIT_MS};

	lock_guard(&c->lock);
	c->call = relay_start(relay, &rq, &ops, c);
}

/* Waits for done(), resuming whenever the client had paused. */
static bool finish(struct client *c)
{
	int64_t deadline = clock_ms() + WAIT_MS;

	lock_guard(&c->lock);
	while (!c->done) {
		if (c->paused && c->call) {
			c->paused = false;
			relay_resume(c->call);
		}
		if (!cond_wait_until(&c->changed, &c->lock, deadline))
			return false;
	}
	return true;
}

static bool wait_paused(struct client *c)
{
	int64_t deadline = clock_ms() + WAIT_MS;

	lock_guard(&c->lock);
	while (!c->paused && !c->done) {
		if (!cond_wait_until(&c->changed, &c->lock, deadline))
			return false;
	}
	if (!c->paused)
		print_error("the call ended after %d bytes: %s\n", (int)c->received, c->err.text);
	return c->paused;
}

/* ---- the server */

static bool take_body(struct fake_conn *c, uint64_t len, bool *right)
{
	unsigned char chunk[8192];

	for (uint64_t at = 0; at < len;) {
		size_t n = len - at < sizeof(chunk) ? (size_t)(len - at) : sizeof(chunk);

		if (!fake_take(c, chunk, n))
			return false;
		for (size_t i = 0; i < n; i++)
			*right &= chunk[i] == fake_byte(at + i);
		at += n;
	}
	return true;
}

static bool take_chunked(struct fake_conn *c, uint64_t *len_out, bool *right)
{
	uint64_t at = 0;

	for (;;) {
		char line[32] = "", byte;
		size_t n = 0, size;
		unsigned char *chunk;

		while (n < sizeof(line) - 1 && fake_take(c, &byte, 1) && byte != '\n')
			line[n++] = byte;
		size = strtoul(line, NULL, 16);
		chunk = mem_alloc(size + 2);
		if (!fake_take(c, chunk, size + 2))
			size = 0;
		for (size_t i = 0; i < size; i++)
			*right &= chunk[i] == fake_byte(at + i);
		free(chunk);
		at += size;
		*len_out = at;
		if (size == 0)
			return true;
	}
}

static bool answer_upload(struct fake_conn *c)
{
	cleanup(free_at) char *length = fake_header(c->head, "Content-Length");
	cleanup(free_at) char *coding = fake_header(c->head, "Transfer-Encoding");
	cleanup(free_at) char *expect = fake_header(c->head, "Expect");
	bool right = true;
	uint64_t len = length ? strtoull(length, NULL, 10) : 0;
	char text[64];

	if (expect)
		fake_puts(c, "HTTP/1.1 100 Continue\r\n\r\n");
	if (coding ? !take_chunked(c, &len, &right) : !take_body(c, len, &right))
		return false;
	snprintf(text, sizeof(text), "X-Got: %llu %s %s\r\n", (unsigned long long)len,
		 right ? "right" : "wrong", length ? "length" : "chunked");
	return fake_reply(c, "201 Created", text, "");
}

static bool answer(struct fake_conn *c, void *arg)
{
	const char *t = c->target;

	(void)arg;
	if (strcmp(t, "/upload") == 0)
		return answer_upload(c);
	if (strcmp(t, "/refuse") == 0)
		return fake_reply(c, "401 No", "", "") && (fake_hang(c), false);
	if (strcmp(t, "/big") == 0)
		return fake_file(c, BIG, "");
	if (strcmp(t, "/chunked") == 0)
		return fake_puts(
			       c,
			       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400000\r\n") &&
		       fake_send_content(c, 0, 0x400000) && fake_puts(c, "\r\n0\r\n\r\n");
	if (strcmp(t, "/crowd") == 0) {
		/* Else a thousand of them would fill gigabytes of socket buffers. */
		setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &(int){16384}, sizeof(int));
		return fake_file(c, CROWD_SIZE, "");
	}
	if (strcmp(t, "/cut") == 0)
		return fake_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n") &&
		       fake_send_content(c, 0, 500) && false;
	if (strcmp(t, "/stall") == 0) {
		fake_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
		fake_send_content(c, 0, 500);
		fake_hang(c);
		return false;
	}
	if (strcmp(t, "/silent") == 0) {
		fake_hang(c);
		return false;
	}
	if (strcmp(t, "/redirect") == 0)
		return fake_reply(c, "307 Away", "Location: http://127.0.0.1:1/\r\n", "");
	if (strcmp(t, "/challenge") == 0)
		return fake_reply(c, "401 Who", "WWW-Authenticate: Bearer realm=\"x\"\r\n", "");
	if (strcmp(t, "/hop") == 0)
		return fake_reply(c, "200 OK",
				  "Connection: X-Mine, keep-alive\r\nX-Mine: 1\r\n"
				  "Keep-Alive: timeout=5\r\nContent-Encoding: gzip\r\n"
				  "X-Kept: 1\r\n",
				  "");
	if (strcmp(t, "/early") == 0)
		return fake_puts(c, "HTTP/1.1 103 Hints\r\nLink: <a>\r\n\r\n"
				    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	return fake_file(c, 1000, "");
}

static int set_up(void **state)
{
	struct origin_config config = {.connect_timeout_ms = WAIT_MS, .stall_timeout_ms = WAIT_MS};
	struct rlimit files;
	struct err e;

	(void)state;
	/* Both ends of a thousand connections are in this process. */
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	server = fake_start(answer, NULL, NULL);
	return relay_new(&config, &relay, &e);
}

static int tear_down(void **state)
{
	(void)state;
	relay_free(relay);
	fake_stop(server);
	return 0;
}

/* One call to its end. */
static void run(struct client *c, const char *method, const char *path, int64_t body_length)
{
	cleanup(free_at) char *url = fake_at(server, path);

	start(c, method, url, body_length, NULL);
	assert_true(finish(c));
}

/* ---- answers */

static void answer_is_streamed_whole(void **state)
{
	cleanup(client_release) struct client c;

	(void)state;
	client_init(&c);
	run(&c, "GET", "/big", 0);
	assert_int_equal(c.err.code, 0);
	assert_int_equal(c.status, 200);
	assert_int_equal(c.received, BIG);
	assert_true(c.right);
	assert_string_equal(c.headers, "Content-Length: 8388608\n");
}

static void slow_client_gets_all_bytes(void **state)
{
	static const char *const paths[] = {"/big", "/chunked"};

	(void)state;
	for (size_t i = 0; i < array_len(paths); i++) {
		cleanup(client_release) struct client c;

		client_init(&c);
		c.pause_every = CHUNK_AT;
		run(&c, "GET", paths[i], 0);
		assert_int_equal(c.err.code, 0);
		assert_int_equal(c.received, i ? 0x400000 : BIG);
		assert_true(c.right);
		assert_true(c.pauses > 10);
	}
}

/* Until be_patient() the relay takes a second of silence for a stall. */
static struct relay *patient;

static void be_hasty(void)
{
	const struct origin_config config = {.stall_timeout_ms = 1000};
	struct err e;

	patient = relay;
	assert_int_equal(relay_new(&config, &relay, &e), 0);
}

static void be_patient(void)
{
	relay_free(relay);
	relay = patient;
}

static void paused_call_outlives_the_stall_timeout(void **state)
{
	cleanup(client_release) struct client c;
	cleanup(free_at) char *url = fake_at(server, "/big");
	int64_t until;

	(void)state;
	be_hasty();
	client_init(&c);
	c.hold_at = CHUNK_AT;
	start(&c, "GET", url, 0, NULL);
	assert_true(wait_paused(&c));
	until = clock_ms() + 1500;
	lock_take(&c.lock);
	while (!c.done && cond_wait_until(&c.changed, &c.lock, until))
		continue;
	assert_false(c.done);
	assert_true(c.received <= CHUNK_AT);
	c.hold_at = UINT64_MAX;
	lock_drop(&c.lock);
	assert_true(finish(&c));
	assert_int_equal(c.received, BIG);
	assert_true(c.right);
	be_patient();
}

/* Its first address may refuse: the next one's socket then has the same number. */
static void name_with_several_addresses_is_reached(void **state)
{
	cleanup(free_at) char *url = mem_printf("http://localhost:%u/x", server->port);
	int64_t start_ms = clock_ms();

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		cleanup(client_release) struct client c;

		client_init(&c);
		/* POST is never sent on an old connection. */
		start(&c, "POST", url, 0, NULL);
		assert_true(finish(&c));
		assert_int_equal(c.err.code, 0);
		assert_int_equal(c.received, 1000);
	}
	assert_true(clock_ms() - start_ms < WAIT_MS);
}

static void answers_go_to_the_client_unchanged(void **state)
{
	static const struct {
		const char *path;
		int status;
		const char *header;
	} cases[] = {{"/redirect", 307, "Location: http://127.0.0.1:1/\n"},
		     {"/challenge", 401, "WWW-Authenticate: Bearer realm=\"x\"\n"},
		     {"/early", 200, "Content-Length: 0\n"}};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		cleanup(client_release) struct client c;

		client_init(&c);
		run(&c, "GET", cases[i].path, 0);
		assert_int_equal(c.err.code, 0);
		assert_int_equal(c.status, cases[i].status);
		assert_non_null(strstr(c.headers, cases[i].header));
		assert_null(strstr(c.headers, "Link"));
	}
}

static void hop_by_hop_headers_stay_behind(void **state)
{
	cleanup(client_release) struct client c;

	(void)state;
	client_init(&c);
	run(&c, "GET", "/hop", 0);
	assert_string_equal(c.headers, "Content-Length: 0\nContent-Encoding: gzip\nX-Kept: 1\n");
}

static void head_has_a_length_and_no_body(void **state)
{
	cleanup(client_release) struct client c;
	cleanup(free_at) char *url = fake_at(server, "/hop");

	(void)state;
	client_init(&c);
	start(&c, "HEAD", url, 0, NULL);
	assert_true(finish(&c));
	assert_int_equal(c.err.code, 0);
	assert_int_equal(c.received, 0);
	assert_non_null(strstr(c.headers, "Content-Length: 0\n"));
	assert_true(fake_saw(server, "HEAD /hop HTTP/1.1\r\n"));
}

static void cut_and_stalled_answers_are_told(void **state)
{
	static const struct {
		const char *path;
		int code;
	} cases[] = {{"/cut", EPROTO}, {"/stall", ETIMEDOUT}};

	(void)state;
	be_hasty();
	for (size_t i = 0; i < array_len(cases); i++) {
		cleanup(client_release) struct client c;

		client_init(&c);
		run(&c, "GET", cases[i].path, 0);
		assert_int_equal(c.status, 200);
		assert_int_equal(c.err.code, cases[i].code);
		assert_int_equal(c.received, 500);
	}
	be_patient();
}

static void head_that_does_not_come_times_out(void **state)
{
	cleanup(client_release) struct client c;
	cleanup(free_at) char *url = fake_at(server, "/silent");
	struct relay_request rq = {.method = "GET", .url = url};

	(void)state;
	client_init(&c);
	rq.deadline_ms = clock_ms() + 300;
	lock_take(&c.lock);
	c.call = relay_start(relay, &rq, &ops, &c);
	lock_drop(&c.lock);
	assert_true(finish(&c));
	assert_int_equal(c.err.code, ETIMEDOUT);
	assert_int_equal(c.status, 0);
}

static void unreachable_and_forbidden_are_told(void **state)
{
	static const struct {
		const char *url;
		int code;
	} cases[] = {{"http://127.0.0.1:1/", EHOSTUNREACH},
		     {"http://169.254.169.254/latest", EACCES},
		     {"ftp://127.0.0.1/", EINVAL}};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		cleanup(client_release) struct client c;

		client_init(&c);
		start(&c, "GET", cases[i].url, 0, NULL);
		assert_true(finish(&c));
		assert_int_equal(c.err.code, cases[i].code);
	}
}

/* ---- requests */

static void upload(int64_t body_length, uint64_t bytes, uint64_t pause_every, const char *want,
		   const struct config_pairs *headers)
{
	cleanup(client_release) struct client c;
	cleanup(free_at) char *url = fake_at(server, "/upload");

	client_init(&c);
	c.to_send = bytes;
	c.pause_every = pause_every;
	start(&c, "PUT", url, body_length, headers);
	assert_true(finish(&c));
	assert_int_equal(c.err.code, 0);
	assert_int_equal(c.status, 201);
	assert_non_null(strstr(c.headers, want));
	assert_true(!pause_every || c.pauses > 10);
}

static void request_bodies_are_streamed(void **state)
{
	struct {
		char *name, *value;
	} expect[] = {{(char *)"Expect", (char *)"100-continue"}};
	struct config_pairs pairs = {.items = (void *)expect, .count = 1};

	(void)state;
	upload(BIG, BIG, 0, "X-Got: 8388608 right length\n", NULL);
	upload(BIG, BIG, CHUNK_AT, "X-Got: 8388608 right length\n", NULL);
	upload(-1, BIG, 0, "X-Got: 8388608 right chunked\n", NULL);
	upload(-1, BIG, CHUNK_AT, "X-Got: 8388608 right chunked\n", NULL);
	upload(0, 0, 0, "X-Got: 0 right length\n", NULL);
	upload(-1, 0, 0, "X-Got: 0 right chunked\n", NULL);
	assert_false(fake_saw(server, "Expect:"));
	upload(1000, 1000, 0, "X-Got: 1000 right length\n", &pairs);
	assert_true(fake_saw(server, "Expect: 100-continue"));
}

static void refusal_ends_a_request_that_is_held(void **state)
{
	cleanup(client_release) struct client c;
	cleanup(free_at) char *url = fake_at(server, "/refuse");
	int64_t deadline = clock_ms() + WAIT_MS;

	(void)state;
	client_init(&c);
	c.to_send = BIG;
	c.pause_every = 1;
	start(&c, "PUT", url, BIG, NULL);
	lock_take(&c.lock);
	while (!c.done && cond_wait_until(&c.changed, &c.lock, deadline))
		continue;
	lock_drop(&c.lock);
	assert_true(c.done);
	assert_int_equal(c.status, 401);
	assert_int_equal(c.err.code, 0);
}

static void short_request_body_ends_the_call(void **state)
{
	cleanup(client_release) struct client c;

	(void)state;
	client_init(&c);
	c.to_send = 1000;
	c.end_body_early = true;
	run(&c, "PUT", "/upload", 200000);
	assert_int_equal(c.err.code, EPROTO);
}

static void request_is_passed_on_as_it_is(void **state)
{
	struct {
		char *name, *value;
	} mine[] = {{(char *)"Authorization", (char *)"Bearer mine"},
		    {(char *)"Accept-Encoding", (char *)"zstd"},
		    {(char *)"Host", (char *)"elsewhere"},
		    {(char *)"Range", (char *)"bytes=10-19"}};
	struct config_pairs pairs = {.items = (void *)mine, .count = array_len(mine)};
	cleanup(free_at) char *url = fake_at(server, "/a/../b%2F?x=1&y=%20");
	cleanup(client_release) struct client c;

	(void)state;
	client_init(&c);
	start(&c, "GET", url, 0, &pairs);
	assert_true(finish(&c));
	assert_int_equal(c.status, 206);
	assert_int_equal(c.received, 10);
	assert_true(fake_saw(server, "GET /a/../b%2F?x=1&y=%20 HTTP/1.1\r\n"));
	assert_true(fake_saw(server, "\r\nAuthorization: Bearer mine\r\n"));
	assert_true(fake_saw(server, "\r\nAccept-Encoding: zstd\r\n"));
	assert_false(fake_saw(server, "elsewhere"));
	assert_false(fake_saw(server, "User-Agent"));
}

static void requests_that_cannot_be_are_refused(void **state)
{
	static const char *const methods[] = {"GET /x HTTP/1.1\r\nA:", "CONNECT", ""};
	struct {
		char *name, *value;
	} bad = {(char *)"A", (char *)"b\r\nC: d"};
	struct config_pairs pairs = {.items = (void *)&bad, .count = 1};
	cleanup(client_release) struct client other;
	cleanup(free_at) char *url = fake_at(server, "/x");

	(void)state;
	for (size_t i = 0; i < array_len(methods); i++) {
		cleanup(client_release) struct client c;

		client_init(&c);
		start(&c, methods[i], url, 0, NULL);
		assert_true(finish(&c));
		assert_int_equal(c.err.code, EINVAL);
	}
	client_init(&other);
	start(&other, "GET", url, 0, &pairs);
	assert_true(finish(&other));
	assert_int_equal(other.err.code, EINVAL);
}

static void authority_file_must_hold_one(void **state)
{
	struct origin_config config = {.ca_file = "/nonexistent"};
	struct relay *r;
	struct err e;

	(void)state;
	assert_int_equal(relay_new(&config, &r, &e), -EINVAL);
}

/* The loop is held in a callback, so calls pile up before they need a socket. */
static void calls_are_limited(void **state)
{
	struct client *crowd = mem_array(LIMIT + 1, sizeof(*crowd));
	cleanup(free_at) char *url = fake_at(server, "/silent");
	cleanup(free_at) char *quick = fake_at(server, "/x");
	struct relay_request rq = {.method = "GET", .url = quick};
	struct client *last = &crowd[LIMIT];

	(void)state;
	client_init(&crowd[0]);
	lock_take(&crowd[0].lock); /* its callbacks wait for this */
	crowd[0].call = relay_start(relay, &rq, &ops, &crowd[0]);
	for (unsigned i = 1; i <= LIMIT; i++) {
		client_init(&crowd[i]);
		lock_init(&crowd[i].lock, 2);
		start(&crowd[i], "GET", url, 0, NULL);
	}
	for (unsigned i = 1; i < LIMIT; i++)
		relay_cancel(crowd[i].call);
	lock_drop(&crowd[0].lock);
	for (unsigned i = 0; i <= LIMIT; i++)
		assert_true(finish(&crowd[i]));
	assert_int_equal(last->err.code, EBUSY);
	assert_int_equal(crowd[LIMIT - 1].err.code, ECANCELED);
	for (unsigned i = 0; i <= LIMIT; i++)
		client_release(&crowd[i]);
	free(crowd);
}

/* ---- many */

static void cancel_ends_calls_in_any_state(void **state)
{
	static const char *const paths[] = {"/silent", "/stall", "/big", "/x"};

	(void)state;
	for (size_t i = 0; i < 40; i++) {
		cleanup(free_at) char *url = fake_at(server, paths[i % 4]);
		cleanup(client_release) struct client c;

		client_init(&c);
		c.hold_at = CHUNK_AT;
		start(&c, "GET", url, 0, NULL);
		if (i % 8 == 2)
			assert_true(wait_paused(&c));
		lock_take(&c.lock);
		if (c.call) {
			relay_cancel(c.call);
			relay_resume(c.call);
		}
		lock_drop(&c.lock);
		assert_true(finish(&c));
		assert_true(c.err.code == ECANCELED || (i % 4 == 3 && c.err.code == 0));
	}
}

static void thousand_calls_at_a_time(void **state)
{
	struct client *crowd = mem_array(CROWD, sizeof(*crowd));
	cleanup(free_at) char *url = fake_at(server, "/crowd");

	(void)state;
	for (unsigned i = 0; i < CROWD; i++) {
		client_init(&crowd[i]);
		crowd[i].hold_at = 20000;
		start(&crowd[i], "GET", url, 0, NULL);
	}
	for (unsigned i = 0; i < CROWD; i++)
		assert_true(wait_paused(&crowd[i]));
	/* All are open at once; most are given up, some go on to the end. */
	for (unsigned i = 0; i < CROWD; i++) {
		lock_take(&crowd[i].lock);
		crowd[i].hold_at = UINT64_MAX;
		if (i % 50 != 0)
			relay_cancel(crowd[i].call);
		lock_drop(&crowd[i].lock);
	}
	for (unsigned i = 0; i < CROWD; i++) {
		assert_true(finish(&crowd[i]));
		assert_int_equal(crowd[i].err.code, i % 50 ? ECANCELED : 0);
		assert_true(i % 50 || crowd[i].received == CROWD_SIZE);
		assert_true(crowd[i].right);
		client_release(&crowd[i]);
	}

	free(crowd);
}

static void free_cancels_what_runs(void **state)
{
	struct origin_config config = {0};
	struct relay *shared = relay;
	struct client c[3];
	struct err e;
	cleanup(free_at) char *url = fake_at(server, "/silent");

	(void)state;
	assert_int_equal(relay_new(&config, &relay, &e), 0);
	for (unsigned i = 0; i < array_len(c); i++) {
		client_init(&c[i]);
		start(&c[i], "GET", url, 0, NULL);
	}
	relay_free(relay);
	relay = shared;
	for (unsigned i = 0; i < array_len(c); i++) {
		assert_true(c[i].done);
		assert_int_equal(c[i].err.code, ECANCELED);
		client_release(&c[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answer_is_streamed_whole),
		cmocka_unit_test(slow_client_gets_all_bytes),
		cmocka_unit_test(paused_call_outlives_the_stall_timeout),
		cmocka_unit_test(name_with_several_addresses_is_reached),
		cmocka_unit_test(answers_go_to_the_client_unchanged),
		cmocka_unit_test(hop_by_hop_headers_stay_behind),
		cmocka_unit_test(head_has_a_length_and_no_body),
		cmocka_unit_test(cut_and_stalled_answers_are_told),
		cmocka_unit_test(head_that_does_not_come_times_out),
		cmocka_unit_test(unreachable_and_forbidden_are_told),
		cmocka_unit_test(request_bodies_are_streamed),
		cmocka_unit_test(refusal_ends_a_request_that_is_held),
		cmocka_unit_test(short_request_body_ends_the_call),
		cmocka_unit_test(request_is_passed_on_as_it_is),
		cmocka_unit_test(requests_that_cannot_be_are_refused),
		cmocka_unit_test(authority_file_must_hold_one),
		cmocka_unit_test(calls_are_limited),
		cmocka_unit_test(cancel_ends_calls_in_any_state),
		cmocka_unit_test(thousand_calls_at_a_time),
		cmocka_unit_test(free_cancels_what_runs),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
