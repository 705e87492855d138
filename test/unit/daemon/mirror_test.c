/* The mirror over real sockets: blobs from a fake task layer, all else through the real relay from
 * a fake registry. */
#include "base/log.h"
#include "daemon/proxy.h"
#include "daemon/relay.h"

#include "../client.h"
#include "fake_origin.h"
#include "fake_tasks.h"

#include <sched.h>

#define CONTENT_LEN (1000u * 1000)
#define BLOB	    "/v2/library/app/blobs/sha256:" ORIGIN_HEX

static struct relay *relay;
static struct proxy *proxy;

static void open_proxy(struct proxy_config config)
{
	struct err e;

	config.ip = "127.0.0.1";
	config.blob_digest_id = true;
	if (proxy_new(&config, NULL, relay, &proxy, &e) < 0)
		fail_msg("%s", e.text);
}

static int set_up(void **state)
{
	const struct origin_config config = {0};
	struct err e;

	(void)state;
	fake_init(CONTENT_LEN);
	origin_open();
	assert_int_equal(relay_new(&config, &relay, &e), 0);
	open_proxy((struct proxy_config){0});
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	proxy_free(proxy);
	relay_free(relay);
	origin_close();
	assert_int_equal(fake.extents, 0);
	assert_int_equal(fake.task.refs, 0);
	fake_release_all();
	return 0;
}

/* A request whose registry is the fake one; more: further header lines. The caller frees. */
static char *request(const char *method, const char *target, const char *more)
{
	return mem_printf("%s %s HTTP/1.1\r\nHost: mirror\r\n"
			  "X-Dragonfly-Registry: http://127.0.0.1:%u\r\n%s\r\n",
			  method, target, door_port(origin.door), more);
}

static struct answer ask(struct client *c, const char *method, const char *target, const char *more)
{
	cleanup(free_at) char *text = request(method, target, more);
	struct answer a = client_ask(c, text);

	fake_sync();
	return a;
}

static struct client connect_to_proxy(void)
{
	return client_connect(proxy_port(proxy));
}

/* Waits until *counter is want, within a bound. */
static void wait_fake(const unsigned *counter, unsigned want)
{
	int64_t deadline_ms = clock_ms() + CLIENT_MS;

	while (fake_get(counter) != want) {
		assert_true(clock_ms() < deadline_ms);
		sched_yield();
	}
}

static const char *header(const struct answer *a, const char *name)
{
	const char *value = http_header_get(&a->head, name);

	return value ? value : "";
}

static void blob_comes_by_p2p(void **state)
{
	struct client c = connect_to_proxy();
	cleanup(answer_release) struct answer a =
		ask(&c, "GET", BLOB "?ns=docker.io", "Authorization: Bearer t\r\nRange: none\r\n");
	cleanup(free_at) char *url = mem_printf("http://127.0.0.1:%u" BLOB, door_port(origin.door));

	(void)state;
	assert_int_equal(a.head.status, 200);
	assert_int_equal(a.len, CONTENT_LEN);
	assert_memory_equal(a.body, fake.content, CONTENT_LEN);
	assert_string_equal(header(&a, "X-Dragonfly-Task-ID"), FAKE_ID);
	assert_string_equal(header(&a, "X-Dragonfly-Task-Download-Finished"), "true");
	assert_string_equal(header(&a, "Docker-Content-Digest"), "sha256:" ORIGIN_HEX);
	assert_string_equal(header(&a, "Content-Type"), "application/octet-stream");
	assert_string_equal(header(&a, "Accept-Ranges"), "bytes");
	assert_string_equal(fake.asked.url, url);
	assert_string_equal(fake.asked.digest, "sha256:" ORIGIN_HEX);
	assert_string_equal(fake.asked.authorization, "Bearer t");
	assert_string_equal(fake.asked.range, "");
	assert_true(fake.asked.blob_digest_id);
	assert_int_equal(fake.asked.priority, 6);
	assert_int_equal(origin.requests, 0);
	client_close(&c);
}

static void stored_headers_are_replayed(void **state)
{
	static char headers[] = "Content-Type: application/x-thing\nETag: \"e\"\nSet-Cookie: s\n"
				"Content-Length: 7\n";
	struct client c = connect_to_proxy();
	cleanup(answer_release) struct answer a = {0};

	(void)state;
	fake.task.meta.headers = headers;
	a = ask(&c, "GET", BLOB, "");
	assert_string_equal(header(&a, "Content-Type"), "application/x-thing");
	assert_string_equal(header(&a, "ETag"), "\"e\"");
	assert_string_equal(header(&a, "Set-Cookie"), "");
	assert_int_equal(a.head.content_length, CONTENT_LEN);
	client_close(&c);
}

static void expect_range(struct client *c, const char *value, uint64_t off, uint64_t len)
{
	cleanup(free_at) char *more = mem_printf("Range: %s\r\n", value);
	cleanup(free_at) char *want = mem_printf("bytes %llu-%llu/%u", (unsigned long long)off,
						 (unsigned long long)(off + len - 1), CONTENT_LEN);
	cleanup(answer_release) struct answer a = ask(c, "GET", BLOB, more);

	assert_int_equal(a.head.status, 206);
	assert_string_equal(header(&a, "Content-Range"), want);
	assert_int_equal(a.len, len);
	assert_memory_equal(a.body, fake.content + off, len);
}

static void ranges_are_answered_with_206(void **state)
{
	struct client c = connect_to_proxy();

	(void)state;
	expect_range(&c, "bytes=0-0", 0, 1);
	expect_range(&c, "bytes=65535-65536", 65535, 2);
	expect_range(&c, "bytes=1000-300000", 1000, 299001);
	expect_range(&c, "bytes=-10", CONTENT_LEN - 10, 10);
	expect_range(&c, "bytes=999990-", 999990, 10);
	expect_range(&c, "bytes=999990-99999999", 999990, 10);
	client_close(&c);
}

static void other_ranges_are_answered_as_rfc_9110_says(void **state)
{
	static const struct {
		const char *more;
		int status;
		size_t len;
	} cases[] = {
		{"Range: bytes=1000000-\r\n", 416, 0},
		{"Range: bytes=0-1,5-6\r\n", 200, CONTENT_LEN},
		{"Range: lines=0-1\r\n", 200, CONTENT_LEN},
		{"Range: bytes=0-1\r\nIf-Range: \"other\"\r\n", 200, CONTENT_LEN},
		{"Range: bytes=0-1\r\nIf-Range: \"e\"\r\n", 206, 2},
		{"Range: bytes=0-1\r\nIf-Range: Mon, 01 Jan 2024 00:00:00 GMT\r\n", 200,
		 CONTENT_LEN},
	};
	static char headers[] = "ETag: \"e\"\n";
	struct client c = connect_to_proxy();

	(void)state;
	fake.task.meta.headers = headers;
	for (size_t i = 0; i < array_len(cases); i++) {
		cleanup(answer_release) struct answer a = ask(&c, "GET", BLOB, cases[i].more);

		assert_int_equal(a.head.status, cases[i].status);
		assert_int_equal(a.len, cases[i].len);
		if (cases[i].status == 416)
			assert_string_equal(header(&a, "Content-Range"), "bytes */1000000");
	}
	client_close(&c);
}

static void head_tells_the_length_and_reads_nothing(void **state)
{
	struct client c = connect_to_proxy();
	cleanup(answer_release) struct answer a = ask(&c, "HEAD", BLOB, "Range: bytes=0-1\r\n");
	cleanup(answer_release) struct answer b = {0};

	(void)state;
	assert_int_equal(a.head.status, 200);
	assert_int_equal(a.head.content_length, CONTENT_LEN);
	assert_int_equal(fake.read_count, 0);
	b = ask(&c, "GET", BLOB, "");
	assert_int_equal(b.len, CONTENT_LEN);
	client_close(&c);
}

static void empty_blob_is_served(void **state)
{
	struct client c = connect_to_proxy();
	cleanup(answer_release) struct answer a = {0};

	(void)state;
	geometry_init(&fake.task.meta.geometry, 0, FAKE_PIECE);
	a = ask(&c, "GET", BLOB, "");
	assert_int_equal(a.head.status, 200);
	assert_int_equal(a.len, 0);
	client_close(&c);
}

static void head_is_sent_before_the_bytes_are_here(void **state)
{
	struct client c = connect_to_proxy();
	cleanup(free_at) char *text = request("GET", BLOB, "");
	struct answer a = {0};
	struct err e;

	(void)state;
	fake.hold_reads = true;
	client_send(&c, text);
	while (http_head_parse(HTTP_RESPONSE, c.in.data ? c.in.data : "", c.in.len, &a.head, &e) ==
	       0)
		assert_true(client_fill(&c));
	assert_int_equal(a.head.status, 200);
	http_head_release(&a.head);
	wait_fake(&fake.read_count, 2); /* no more than two are asked for ahead */
	lock_take(&fake.lock);
	fake.hold_reads = false;
	lock_drop(&fake.lock);
	fake_release_held();
	a = client_answer(&c, false);
	assert_memory_equal(a.body, fake.content, CONTENT_LEN);
	answer_release(&a);
	client_close(&c);
}

static void vanished_client_takes_its_reads_back(void **state)
{
	struct client c = connect_to_proxy();
	cleanup(free_at) char *text = request("GET", BLOB, "");

	(void)state;
	fake.hold_reads = true;
	client_send(&c, text);
	wait_fake(&fake.read_count, 2);
	client_close(&c);
	wait_fake(&fake.cancelled, 2);
}

static void vanished_client_takes_its_open_back(void **state)
{
	struct client c = connect_to_proxy();
	cleanup(free_at) char *text = request("GET", BLOB, "");

	(void)state;
	fake.hold_open = true;
	client_send(&c, text);
	wait_fake(&fake.open_count, 1);
	client_close(&c);
	wait_fake(&fake.cancelled, 1);
}

static void proxy_that_stops_takes_everything_back(void **state)
{
	struct client c = connect_to_proxy(), d = connect_to_proxy();
	cleanup(free_at) char *text = request("GET", BLOB, "");

	(void)state;
	fake.hold_reads = true;
	client_send(&c, text);
	wait_fake(&fake.read_count, 2);
	fake.hold_open = true;
	client_send(&d, text);
	wait_fake(&fake.open_count, 2);
	proxy_free(proxy);
	proxy = NULL;
	assert_int_equal(fake.cancelled, 3);
	client_close(&c);
	client_close(&d);
}

/* Reads that are answered by another thread while the client goes: whoever is first, all is given
 * back (tear_down looks at the counts). */
static void client_that_vanishes_while_answers_come_leaves_nothing(void **state)
{
	cleanup(free_at) char *text = request("GET", BLOB, "");

	(void)state;
	fake.hold_reads = true;
	for (unsigned i = 1; i <= 50; i++) {
		struct client c = connect_to_proxy();

		client_send(&c, text);
		while (fake_get(&fake.read_count) < 2 * i)
			sched_yield();
		if (i % 2)
			fake_release_held();
		client_close(&c);
		fake_release_held();
		lock_take(&fake.lock);
		fake.read_count = 2 * i;
		lock_drop(&fake.lock);
	}
}

static void body_that_breaks_off_does_not_look_whole(void **state)
{
	struct client c = connect_to_proxy();
	cleanup(free_at) char *text = request("GET", BLOB, "");

	(void)state;
	fake.fail_at = 5 * FAKE_PIECE;
	client_send(&c, text);
	while (client_fill(&c))
		;
	assert_true(c.in.len > 5 * FAKE_PIECE && c.in.len < CONTENT_LEN);
	client_close(&c);
}

static void registrys_own_refusal_reaches_the_client(void **state)
{
	static const struct {
		int code;
		const char *target;
		int status;
	} cases[] = {
		{EACCES, "/v2/private/app/blobs/sha256:" ORIGIN_HEX, 401},
		{ENOENT, "/v2/missing/app/blobs/sha256:" ORIGIN_HEX, 404},
	};
	struct client c = connect_to_proxy();

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		cleanup(answer_release) struct answer a = {0};

		fake.open_error = cases[i].code;
		a = ask(&c, "GET", cases[i].target, "");
		assert_int_equal(a.head.status, cases[i].status);
		assert_string_equal(header(&a, "X-Dragonfly-Error-Type"), "backend");
		if (cases[i].status == 401)
			assert_string_equal(header(&a, "WWW-Authenticate"),
					    "Bearer realm=\"http://a/token\"");
	}
	client_close(&c);
}

static void blob_that_p2p_cannot_get_is_relayed_with_its_range(void **state)
{
	struct client c = connect_to_proxy();
	cleanup(answer_release) struct answer a = {0};

	(void)state;
	fake.open_error = EHOSTUNREACH;
	a = ask(&c, "GET", BLOB "?ns=x&a=b", "Range: bytes=5-6\r\nAuthorization: Basic x\r\n");
	assert_int_equal(a.head.status, 200);
	assert_non_null(strstr(a.body, "GET " BLOB "?a=b\n"));
	assert_non_null(strstr(a.body, "Range: bytes=5-6\n"));
	assert_non_null(strstr(a.body, "Authorization: Basic x\n"));
	client_close(&c);
}

static void blob_is_not_relayed_when_back_to_source_is_disabled(void **state)
{
	struct client c;
	cleanup(answer_release) struct answer a = {0};

	(void)state;
	proxy_free(proxy);
	open_proxy((struct proxy_config){.disable_back_to_source = true});
	c = connect_to_proxy();
	fake.open_error = EHOSTUNREACH;
	a = ask(&c, "GET", BLOB, "");
	assert_int_equal(a.head.status, 502);
	assert_string_equal(header(&a, "X-Dragonfly-Error-Type"), "dfdaemon");
	assert_int_equal(origin.requests, 0);
	client_close(&c);
}

static void ping_and_its_challenge_are_passed_on(void **state)
{
	struct client c = connect_to_proxy();
	cleanup(answer_release) struct answer a = ask(&c, "GET", "/v2/", "");

	(void)state;
	assert_int_equal(a.head.status, 401);
	assert_string_equal(a.body, "who?\n");
	assert_string_equal(header(&a, "X-Dragonfly-Error-Type"), "");
	assert_int_equal(fake.open_count, 0);
	client_close(&c);
}

static void only_end_to_end_headers_are_passed_on(void **state)
{
	struct client c = connect_to_proxy();
	cleanup(answer_release) struct answer a =
		ask(&c, "GET", "/v2/x/tags/list?n=1&ns=y",
		    "X-Hop: 1\r\nConnection: x-hop, keep-alive\r\nProxy-Authorization: p\r\n"
		    "X-Dragonfly-Tag: t\r\nX-Kept: yes\r\nUser-Agent: ua\r\nKeep-Alive: 1\r\n"
		    "Accept-Encoding: gzip\r\n");

	(void)state;
	assert_non_null(strstr(a.body, "GET /v2/x/tags/list?n=1\n"));
	assert_non_null(strstr(a.body, "X-Kept: yes\n"));
	assert_non_null(strstr(a.body, "User-Agent: ua\n"));
	assert_non_null(strstr(a.body, "Accept-Encoding: gzip\n"));
	assert_non_null(strstr(a.body, "Host: 127.0.0.1:"));
	assert_non_null(strstr(a.body, "Via: 1.1 skimmer-"));
	assert_null(strcasestr(a.body, "x-hop"));
	assert_null(strcasestr(a.body, "proxy-auth"));
	assert_null(strcasestr(a.body, "x-dragonfly"));
	assert_null(strcasestr(a.body, "keep-alive"));
	client_close(&c);
}

static void large_answers_come_whole(void **state)
{
	static const char *const targets[] = {"/big", "/endless"};
	struct client c = connect_to_proxy();

	(void)state;
	for (size_t i = 0; i < array_len(targets); i++) {
		cleanup(answer_release) struct answer a = ask(&c, "GET", targets[i], "");

		assert_int_equal(a.len, ORIGIN_BIG);
		assert_int_equal(a.head.chunked, i == 1);
		for (size_t at = 0; at < a.len; at += sizeof(origin_part))
			assert_memory_equal(a.body + at, origin_part, sizeof(origin_part));
	}
	client_close(&c);
}

static void upload_is_passed_on(void **state)
{
	struct client c = connect_to_proxy();
	struct buf body = {0};
	char hex[65];

	(void)state;
	for (unsigned i = 0; i < 1000000; i++)
		buf_append(&body, (char[]){(char)('a' + i * 7 % 26)}, 1);
	sha256_hex(body.data, body.len, hex);
	for (int chunked = 0; chunked < 2; chunked++) {
		cleanup(free_at) char *want = mem_printf("%zu %s\n", body.len, hex);
		cleanup(free_at) char *head =
			request("PUT", "/v2/x/blobs/uploads/1",
				chunked ? "Transfer-Encoding: chunked\r\n"
					: "Content-Length: 1000000\r\nExpect: 100-continue\r\n");
		cleanup(answer_release) struct answer a = {0};

		client_send(&c, head);
		if (chunked) {
			client_send(&c, "f4240\r\n");
			client_send(&c, body.data);
			client_send(&c, "\r\n0\r\n\r\n");
		} else {
			a = client_answer(&c, false);
			assert_int_equal(a.head.status, 100);
			answer_release(&a);
			client_send(&c, body.data);
		}
		a = client_answer(&c, false);
		assert_int_equal(a.head.status, 201);
		assert_string_equal(a.body, want);
		assert_string_equal(header(&a, "Location"), "/v2/done");
	}
	buf_release(&body);
	client_close(&c);
}

static void redirect_reaches_the_client(void **state)
{
	struct client c = connect_to_proxy();
	cleanup(answer_release) struct answer a = ask(&c, "GET", "/moved", "");

	(void)state;
	assert_int_equal(a.head.status, 307);
	assert_string_equal(header(&a, "Location"), "http://elsewhere/");
	client_close(&c);
}

static void origin_that_breaks_off_is_not_covered_up(void **state)
{
	struct client c = connect_to_proxy();
	cleanup(free_at) char *text = request("GET", "/short", "");

	(void)state;
	client_send(&c, text);
	while (client_fill(&c))
		;
	assert_true(c.in.len < 1000);
	client_close(&c);
}

static void unreachable_registry_is_answered_with_502(void **state)
{
	struct client c = connect_to_proxy();
	cleanup(answer_release) struct answer a = client_ask(
		&c,
		"GET /v2/ HTTP/1.1\r\nHost: m\r\nX-Dragonfly-Registry: http://127.0.0.1:1\r\n\r\n");

	(void)state;
	assert_int_equal(a.head.status, 502);
	assert_string_equal(header(&a, "X-Dragonfly-Error-Type"), "proxy");
	client_close(&c);
}

static void vanished_client_ends_its_relayed_request(void **state)
{
	struct client c = connect_to_proxy();
	cleanup(free_at) char *text = request("GET", "/big", "");
	int64_t deadline_ms = clock_ms() + CLIENT_MS;

	(void)state;
	client_send(&c, text);
	assert_true(client_fill(&c));
	client_close(&c);
	while (atomic_load(&origin.gone) != 1) {
		assert_true(clock_ms() < deadline_ms);
		sched_yield();
	}
}

static void manifest_by_digest_is_asked_for_once(void **state)
{
	struct client c = connect_to_proxy();
	cleanup(free_at) char *target =
		mem_printf("/v2/library/app/manifests/sha256:%s", origin.manifest_hex);

	(void)state;
	for (int i = 0; i < 4; i++) {
		const char *method = i == 3 ? "HEAD" : "GET";
		cleanup(answer_release) struct answer a = ask(&c, method, target, "");

		assert_int_equal(a.head.status, 200);
		assert_int_equal(a.head.content_length, sizeof(origin_manifest) - 1);
		if (i < 3)
			assert_string_equal(a.body, origin_manifest);
		assert_string_equal(header(&a, "Content-Type"),
				    "application/vnd.oci.image.manifest.v1+json");
		if (i == 0)
			wait_fake(&fake.notes, 2);
	}
	assert_int_equal(origin.manifests, 1);
	client_close(&c);
}

static void private_manifest_is_not_given_to_others(void **state)
{
	struct client c = connect_to_proxy();
	cleanup(free_at) char *target =
		mem_printf("/v2/library/app/manifests/sha256:%s", origin.manifest_hex);
	static const struct {
		const char *more;
		unsigned asked;
	} turns[] = {
		{"Authorization: Bearer a\r\n", 1},
		{"Authorization: Bearer a\r\n", 1},
		{"Authorization: Bearer b\r\n", 2},
		{"", 3},
	};

	(void)state;
	for (size_t i = 0; i < array_len(turns); i++) {
		cleanup(answer_release) struct answer a = ask(&c, "GET", target, turns[i].more);

		assert_int_equal(a.head.status, 200);
		assert_int_equal(origin.manifests, turns[i].asked);
		wait_fake(&fake.notes, 2 * turns[i].asked);
	}
	client_close(&c);
}

static void manifest_with_another_digest_is_not_kept(void **state)
{
	static const char target[] =
		"/v2/library/app/manifests/sha256:"
		"dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd";
	struct client c = connect_to_proxy();

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		cleanup(answer_release) struct answer a = ask(&c, "GET", target, "");

		assert_string_equal(a.body, "not what was asked for\n");
	}
	assert_int_equal(origin.requests, 3);
	client_close(&c);
}

static void blobs_of_a_manifest_that_passes_by_are_noted(void **state)
{
	struct client c = connect_to_proxy();
	cleanup(answer_release) struct answer a =
		ask(&c, "GET", "/v2/library/app/manifests/latest", "");

	(void)state;
	wait_fake(&fake.notes, 2);
	assert_string_equal(fake.noted[0], ORIGIN_HEX);
	assert_string_equal(fake.noted_repository, "library/app");
	client_close(&c);
}

static void registry_is_chosen_by_header_then_ns_then_configuration(void **state)
{
	char addr[64];
	struct client c;

	(void)state;
	proxy_free(proxy);
	snprintf(addr, sizeof(addr), "http://localhost:%u/", door_port(origin.door));
	open_proxy((struct proxy_config){.mirror_addr = addr});
	c = connect_to_proxy();
	for (int i = 0; i < 4; i++) {
		static const char *const wants[] = {"Host: localhost:", "Host: 127.0.0.1:",
						    "Host: localhost:", "Host: 127.0.0.1:"};
		cleanup(free_at) char *text =
			i == 0	 ? mem_strdup("GET /v2/x HTTP/1.1\r\nHost: m\r\n\r\n")
			: i == 1 ? mem_printf("GET /v2/x?ns=127.0.0.1:%u HTTP/1.1\r\n"
					      "Host: m\r\n\r\n",
					      door_port(origin.door))
			: i == 2 ? mem_printf(
					   "GET /v2/x?ns=http%%3A%%2F%%2Flocalhost:%u HTTP/1.1\r\n"
					   "Host: m\r\n\r\n",
					   door_port(origin.door))
				 : mem_printf("GET /v2/x?ns=nowhere HTTP/1.1\r\nHost: m\r\n"
					      "X-Dragonfly-Registry: 127.0.0.1:%u\r\n\r\n",
					      door_port(origin.door));
		cleanup(answer_release) struct answer a = client_ask(&c, text);

		assert_int_equal(a.head.status, 200);
		assert_non_null(strstr(a.body, wants[i]));
		assert_null(strstr(a.body, "ns="));
	}
	client_close(&c);
}

static void registry_that_may_not_be_reached_is_refused(void **state)
{
	static const struct {
		const char *registry;
		int status;
	} cases[] = {
		{"http://169.254.169.254", 403},    {"http://[fe80::1]", 403},
		{"http://0.0.0.0:1", 403},	    {"ftp://x", 400},
		{"http://user:password@host", 400}, {"http://", 400},
	};
	struct client c = connect_to_proxy();

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		cleanup(free_at) char *text = mem_printf(
			"GET " BLOB " HTTP/1.1\r\nHost: m\r\nX-Dragonfly-Registry: %s\r\n\r\n",
			cases[i].registry);
		cleanup(answer_release) struct answer a = client_ask(&c, text);

		assert_int_equal(a.head.status, cases[i].status);
		assert_string_equal(header(&a, "X-Dragonfly-Error-Type"), "proxy");
	}
	assert_int_equal(fake.open_count, 0);
	client_close(&c);
}

static void request_that_leads_back_is_answered_with_508(void **state)
{
	struct client c = connect_to_proxy();
	cleanup(free_at) char *to_self =
		mem_printf("GET " BLOB " HTTP/1.1\r\nHost: m\r\n"
			   "X-Dragonfly-Registry: http://127.0.0.1:%u\r\n\r\n",
			   proxy_port(proxy));
	cleanup(answer_release) struct answer a = client_ask(&c, to_self);
	cleanup(answer_release) struct answer echo = ask(&c, "GET", "/v2/x", "");
	cleanup(answer_release) struct answer b = {0};
	cleanup(free_at) char *via = NULL;
	const char *word;

	(void)state;
	assert_int_equal(a.head.status, 508);
	word = strstr(echo.body, "Via: ");
	assert_non_null(word);
	via = mem_printf("Via: 1.0 other, %.*s\r\n", (int)strcspn(word + 5, "\n"), word + 5);
	b = ask(&c, "GET", BLOB, via);
	assert_int_equal(b.head.status, 508);
	client_close(&c);
}

static void wishes_of_the_request_reach_the_task(void **state)
{
	struct client c = connect_to_proxy();
	cleanup(answer_release) struct answer a =
		ask(&c, "GET", BLOB,
		    "X-Dragonfly-Tag: t1\r\nX-Dragonfly-Priority: 3\r\n"
		    "X-Dragonfly-Piece-Length: 8mib\r\nX-Dragonfly-Prefetch: true\r\n"
		    "X-Dragonfly-Filtered-Query-Params: one, two\r\nRange: bytes=1-2\r\n"
		    "X-Dragonfly-Enable-Task-ID-Based-Blob-Digest: false\r\n");

	(void)state;
	assert_int_equal(a.head.status, 206);
	assert_string_equal(fake.asked.tag, "t1");
	assert_int_equal(fake.asked.priority, 3);
	assert_int_equal(fake.asked.piece_length, 8u << 20);
	assert_string_equal(fake.asked.filtered, "one");
	assert_false(fake.asked.blob_digest_id);
	assert_int_equal(fake.wanted_all, 1);
	client_close(&c);
}

static void hundred_clients_read_one_blob(void **state)
{
	struct client c[100];
	cleanup(free_at) char *text = request("GET", BLOB, "");

	(void)state;
	for (size_t i = 0; i < array_len(c); i++) {
		c[i] = connect_to_proxy();
		client_send(&c[i], text);
	}
	for (size_t i = 0; i < array_len(c); i++) {
		cleanup(answer_release) struct answer a = client_answer(&c[i], false);

		assert_memory_equal(a.body, fake.content, CONTENT_LEN);
		client_close(&c[i]);
	}
}

#define mirror_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		mirror_test(blob_comes_by_p2p),
		mirror_test(stored_headers_are_replayed),
		mirror_test(ranges_are_answered_with_206),
		mirror_test(other_ranges_are_answered_as_rfc_9110_says),
		mirror_test(head_tells_the_length_and_reads_nothing),
		mirror_test(empty_blob_is_served),
		mirror_test(head_is_sent_before_the_bytes_are_here),
		mirror_test(vanished_client_takes_its_reads_back),
		mirror_test(vanished_client_takes_its_open_back),
		mirror_test(proxy_that_stops_takes_everything_back),
		mirror_test(client_that_vanishes_while_answers_come_leaves_nothing),
		mirror_test(body_that_breaks_off_does_not_look_whole),
		mirror_test(registrys_own_refusal_reaches_the_client),
		mirror_test(blob_that_p2p_cannot_get_is_relayed_with_its_range),
		mirror_test(blob_is_not_relayed_when_back_to_source_is_disabled),
		mirror_test(ping_and_its_challenge_are_passed_on),
		mirror_test(only_end_to_end_headers_are_passed_on),
		mirror_test(large_answers_come_whole),
		mirror_test(upload_is_passed_on),
		mirror_test(redirect_reaches_the_client),
		mirror_test(origin_that_breaks_off_is_not_covered_up),
		mirror_test(unreachable_registry_is_answered_with_502),
		mirror_test(vanished_client_ends_its_relayed_request),
		mirror_test(manifest_by_digest_is_asked_for_once),
		mirror_test(private_manifest_is_not_given_to_others),
		mirror_test(manifest_with_another_digest_is_not_kept),
		mirror_test(blobs_of_a_manifest_that_passes_by_are_noted),
		mirror_test(registry_is_chosen_by_header_then_ns_then_configuration),
		mirror_test(registry_that_may_not_be_reached_is_refused),
		mirror_test(request_that_leads_back_is_answered_with_508),
		mirror_test(wishes_of_the_request_reach_the_task),
		mirror_test(hundred_clients_read_one_blob),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
