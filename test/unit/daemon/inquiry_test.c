/* Redirects, tries, resuming, giving up: through the origin's own functions, over real sockets. */
#include "test/unit/unit.h"

#include "base/clock.h"
#include "daemon/origin.h"
#include "test/unit/daemon/fake_http.h"

#include <time.h>

#define SIZE  200000u
#define BIG   (6u << 20)
#define TRIES 3

static struct fake_http *server, *other; /* two hosts: their ports differ */
static struct origin *origin;

static bool give_up; /* atomic: the server wants the request cancelled */

static int take(void *arg, const void *data, size_t len, struct err *e)
{
	(void)e;
	buf_append(arg, data, len);
	return 0;
}

/* How often this very path has been asked for, this time among them. */
static unsigned times_asked(struct fake_conn *c)
{
	struct fake_http *f = c->server;
	unsigned n = 0;
	char target[520];

	snprintf(target, sizeof(target), " %s ", c->target);
	lock_guard(&f->lock);
	for (unsigned i = 0; i < f->request_count; i++)
		n += strstr(f->requests[i], target) != NULL;
	return n;
}

/* The first bytes of what was asked for, as if all were to come; then the connection breaks. */
static bool break_off(struct fake_conn *c, const char *headers, uint64_t after)
{
	uint64_t first = 0, last = SIZE - 1;

	if (fake_range(c, SIZE, &first, &last))
		fake_printf(c,
			    "HTTP/1.1 206 P\r\nContent-Range: bytes %llu-%llu/%u\r\n"
			    "Content-Length: %llu\r\n%s\r\n",
			    (unsigned long long)first, (unsigned long long)last, SIZE,
			    (unsigned long long)(last - first + 1), headers);
	else
		fake_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n%s\r\n", SIZE, headers);
	fake_send_content(c, first, after);
	return false;
}

static bool answer_redirect(struct fake_conn *c)
{
	unsigned status = 302, n = 0;
	char line[32], location[128];
	char to[64] = "";

	if (sscanf(c->target, "/redirect/%u/%63s", &status, to) == 2) {
		snprintf(line, sizeof(line), "%u Away", status);
		snprintf(location, sizeof(location), "Location: %s/%s\r\n",
			 strcmp(to, "other") == 0 ? other->url : "", to);
		return fake_reply(c, line, location, "moved");
	}
	if (sscanf(c->target, "/chain/%u", &n) == 1 && n > 0) {
		snprintf(location, sizeof(location), "Location: %u\r\n", n - 1);
		return fake_reply(c, "302 On", location, "");
	}
	if (strcmp(c->target, "/loop") == 0)
		return fake_reply(c, "301 Round", "Location: /loop\r\n", "");
	if (strcmp(c->target, "/nowhere") == 0)
		return fake_reply(c, "302 Off", "", "");
	if (strcmp(c->target, "/to-file") == 0)
		return fake_reply(c, "302 Off", "Location: file:///etc/passwd\r\n", "");
	if (strcmp(c->target, "/to-metadata") == 0)
		return fake_reply(c, "302 Off", "Location: http://169.254.169.254/x\r\n", "");
	return fake_file(c, SIZE, "ETag: \"one\"\r\n");
}

/* Six MiB, of which each connection gives somewhat more than one. */
static bool break_often(struct fake_conn *c)
{
	uint64_t first = 0, last = BIG - 1, n = 1200000;

	fake_range(c, BIG, &first, &last);
	if (n > last - first + 1)
		n = last - first + 1;
	fake_printf(c,
		    "HTTP/1.1 %s\r\nContent-Range: bytes %llu-%llu/%u\r\n"
		    "Content-Length: %llu\r\nETag: \"big\"\r\n\r\n",
		    first ? "206 P" : "200 OK", (unsigned long long)first, (unsigned long long)last,
		    BIG, (unsigned long long)(last - first + 1));
	fake_send_content(c, first, n);
	return false;
}

static bool answer_break(struct fake_conn *c)
{
	const char *t = c->target;
	unsigned n = times_asked(c);

	if (strcmp(t, "/break/often") == 0)
		return break_often(c);
	if (strncmp(t, "/break/twice", 12) == 0 && n <= 2)
		return break_off(c, "ETag: \"one\"\r\n", 50000);
	if (strcmp(t, "/break/always") == 0)
		return break_off(c, "ETag: \"one\"\r\n", 0);
	if (strcmp(t, "/break/bit-by-bit") == 0)
		return break_off(c, "ETag: \"one\"\r\n", 1000);
	if (strcmp(t, "/break/changed") == 0)
		return n == 1 ? break_off(c, "ETag: \"one\"\r\n", 50000)
			      : fake_file(c, SIZE, "ETag: \"two\"\r\n");
	if (strcmp(t, "/break/lost-etag") == 0)
		return n == 1 ? break_off(c, "ETag: \"one\"\r\n", 50000) : fake_file(c, SIZE, "");
	if (strcmp(t, "/break/grown") == 0)
		return n == 1 ? break_off(c, "", 50000) : fake_file(c, SIZE + 1, "");
	if (strcmp(t, "/break/no-ranges") == 0 || strcmp(t, "/break/no-ranges-changed") == 0) {
		bool changed = n > 1 && strstr(t, "changed");

		fake_printf(c,
			    "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n"
			    "Last-Modified: Mon, 0%d Jan 2024 00:00:00 GMT\r\n\r\n",
			    SIZE, changed ? 2 : 1);
		return fake_send_content(c, 0, n == 1 ? 50000 : SIZE) && n > 1;
	}
	if (strcmp(t, "/break/chunked") == 0 && n == 1) {
		fake_puts(c, "HTTP/1.1 200 OK\r\nETag: \"one\"\r\n"
			     "Transfer-Encoding: chunked\r\n\r\nc350\r\n");
		fake_send_content(c, 0, 50000);
		return false;
	}
	return fake_file(c, SIZE, "ETag: \"one\"\r\n");
}

static bool answer(struct fake_conn *c, void *arg)
{
	const char *t = c->target;
	unsigned n = times_asked(c), status = 0, until = 0;

	(void)arg;
	if (sscanf(t, "/fails/%u/%u", &status, &until) == 2 && n <= until) {
		char line[32];

		snprintf(line, sizeof(line), "%u Later", status);
		return fake_reply(c, line, "", "not now");
	}
	if (strcmp(t, "/after-one-second") == 0 && n == 1)
		return fake_reply(c, "429 Easy", "Retry-After: 1\r\n", "");
	if (strncmp(t, "/after-long", 11) == 0)
		return fake_reply(c, "503 Easy", "Retry-After: 3600\r\n", "");
	if (strcmp(t, "/after-nonsense") == 0 && n <= 2)
		return fake_reply(c, "503 Easy",
				  n == 1 ? "Retry-After: soon\r\n"
					 : "Retry-After: Sat, 01 Jan 2000 00:00:00 GMT\r\n",
				  "");
	if (strcmp(t, "/give-up") == 0) {
		__atomic_store_n(&give_up, true, __ATOMIC_RELEASE);
		return fake_reply(c, "503 Easy", "Retry-After: 60\r\n", "");
	}
	if (strcmp(t, "/big-404") == 0)
		return fake_puts(c, "HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n"
				    "100000\r\n") &&
		       fake_send_content(c, 0, 0x100000) && fake_puts(c, "\r\n0\r\n\r\n");
	if (strcmp(t, "/if") == 0) {
		cleanup(free_at) char *known = fake_header(c->head, "If-None-Match");

		return known ? fake_puts(c, "HTTP/1.1 304 Same\r\nETag: \"x\"\r\n\r\n")
			     : fake_reply(c, "200 OK", "ETag: \"x\"\r\n", "body");
	}
	if (strcmp(t, "/after-date") == 0 && n == 1)
		return fake_reply(c, "503 Easy", "Retry-After: Fri, 01 Jan 2100 00:00:00 GMT\r\n",
				  "");
	if (strcmp(t, "/fails-and-breaks") == 0)
		return fake_puts(c, "HTTP/1.1 503 No\r\nContent-Length: 100\r\n\r\nnot") && false;
	if (strcmp(t, "/hangs-up") == 0 && n == 1)
		return false;
	if (strncmp(t, "/break/", 7) == 0)
		return answer_break(c);
	return answer_redirect(c);
}

static int set_up(void **state)
{
	struct origin_config config = {.retries_max = TRIES - 1};
	struct err e;

	(void)state;
	server = fake_start(answer, NULL, NULL);
	other = fake_start(answer, NULL, NULL);
	return origin_new(&config, &origin, &e);
}

static int tear_down(void **state)
{
	(void)state;
	origin_free(origin);
	fake_stop(server);
	fake_stop(other);
	return 0;
}

static int get(const char *path, uint64_t off, uint64_t len, const struct config_pairs *headers,
	       struct buf *out, struct err *e)
{
	cleanup(free_at) char *url = fake_at(server, path);
	struct origin_request rq = {.url = url,
				    .headers = headers,
				    .off = off,
				    .len = len,
				    .deadline_ms = clock_ms() + 60000};

	return origin_get(origin, &rq, take, out, e);
}

static bool is_content(const struct buf *b, uint64_t off, size_t len)
{
	for (size_t i = 0; i < b->len; i++) {
		if ((unsigned char)b->data[i] != fake_byte(off + i))
			return false;
	}
	return b->len == len;
}

static void assert_get(const char *path, uint64_t off, uint64_t len, size_t want)
{
	struct buf got = BUF_INIT(1u << 20);
	struct err e = {0};

	assert_int_equal(get(path, off, len, NULL, &got, &e), 0);
	assert_true(is_content(&got, off, want));
	buf_release(&got);
}

static void assert_get_fails(const char *path, int code)
{
	struct buf got = BUF_INIT(1u << 20);
	struct err e = {0};

	assert_int_equal(get(path, 0, 0, NULL, &got, &e), -code);
	assert_int_equal(e.code, code);
	assert_true(is_content(&got, 0, got.len));
	buf_release(&got);
}

static unsigned count(const char *text)
{
	unsigned n = 0;

	lock_guard(&server->lock);
	for (unsigned i = 0; i < server->request_count; i++)
		n += strstr(server->requests[i], text) != NULL;
	return n;
}

/* ---- redirects */

static void redirects_are_followed(void **state)
{
	static const unsigned statuses[] = {301, 302, 303, 307, 308};

	(void)state;
	for (size_t i = 0; i < array_len(statuses); i++) {
		char path[64];

		snprintf(path, sizeof(path), "/redirect/%u/here", statuses[i]);
		assert_get(path, 10, 1000, 1000);
		snprintf(path, sizeof(path), "/redirect/%u/other", statuses[i]);
		assert_get(path, 10, 1000, 1000);
	}
	assert_get("/chain/10", 0, 0, SIZE);
	assert_true(fake_saw(other, "Range: bytes=10-1009"));
}

static void bad_redirects_are_refused(void **state)
{
	(void)state;
	assert_get_fails("/loop", ELOOP);
	assert_get_fails("/chain/11", ELOOP);
	assert_get_fails("/nowhere", EPROTO);
	assert_get_fails("/to-file", EPROTO);
	assert_get_fails("/to-metadata", EACCES);
}

static void secrets_stay_with_their_origin(void **state)
{
	struct {
		char *name, *value;
	} mine[] = {{(char *)"Authorization", (char *)"Bearer s3cret"},
		    {(char *)"Cookie", (char *)"session=s3cret"},
		    {(char *)"X-Api-Key", (char *)"s3cret"},
		    {(char *)"Accept", (char *)"application/x-mine"}};
	struct config_pairs pairs = {.items = (void *)mine, .count = array_len(mine)};
	struct buf got = BUF_INIT(1u << 20);
	struct err e;

	(void)state;
	assert_int_equal(get("/redirect/307/other", 0, 5, &pairs, &got, &e), 0);
	assert_true(fake_saw(server, "\r\nAuthorization: Bearer s3cret"));
	assert_true(fake_saw(server, "\r\nCookie: session=s3cret"));
	assert_true(fake_saw(server, "\r\nX-Api-Key: s3cret"));
	assert_false(fake_saw(other, "s3cret"));
	assert_true(fake_saw(other, "\r\nAccept: application/x-mine"));
	/* On the same origin they stay. */
	assert_int_equal(get("/redirect/307/stays", 0, 5, &pairs, &got, &e), 0);
	assert_non_null(strstr(server->requests[fake_count(server) - 1], "GET /stays "));
	assert_non_null(strstr(server->requests[fake_count(server) - 1], "Bearer s3cret"));
	buf_release(&got);
}

static void configured_headers_fill_gaps_at_home_only(void **state)
{
	struct {
		char *name, *value;
	} extra[] = {{(char *)"X-Site", (char *)"configured"}, {(char *)"X-Both", (char *)"site"}},
	  mine[] = {{(char *)"x-both", (char *)"caller"}};
	struct config_pairs site = {.items = (void *)extra, .count = 2};
	struct config_pairs pairs = {.items = (void *)mine, .count = 1};
	struct origin_config config = {.extra_headers = &site};
	struct origin *shared = origin;
	struct buf got = BUF_INIT(1u << 20);
	const char *last;
	struct err e;

	(void)state;
	extra[1].value = (char *)"a\nb";
	assert_int_equal(origin_new(&config, &origin, &e), -EINVAL);
	extra[1].value = (char *)"site";
	assert_int_equal(origin_new(&config, &origin, &e), 0);
	assert_int_equal(get("/redirect/302/other", 0, 5, &pairs, &got, &e), 0);
	last = server->requests[fake_count(server) - 1];
	assert_non_null(strstr(last, "\r\nX-Site: configured\r\n"));
	assert_non_null(strstr(last, "\r\nx-both: caller\r\n"));
	assert_null(strstr(last, "X-Both: site"));
	assert_false(fake_saw(other, "configured"));
	origin_free(origin);
	origin = shared;
	buf_release(&got);
}

/* ---- tries */

static void passing_failures_are_tried_again(void **state)
{
	static const unsigned statuses[] = {408, 425, 429, 500, 502, 503, 504};

	(void)state;
	for (size_t i = 0; i < array_len(statuses); i++) {
		char path[32];

		snprintf(path, sizeof(path), "/fails/%u/1", statuses[i]);
		assert_get(path, 0, 100, 100);
		assert_int_equal(count(path), 2);
	}
	assert_get("/hangs-up", 0, 100, 100);
}

static void lasting_failures_are_not(void **state)
{
	static const struct {
		unsigned status;
		int code;
	} cases[] = {{400, EPROTO}, {401, EACCES}, {403, EACCES},
		     {404, ENOENT}, {410, ENOENT}, {501, EHOSTUNREACH}};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		char path[32];

		snprintf(path, sizeof(path), "/fails/%u/9", cases[i].status);
		assert_get_fails(path, cases[i].code);
		assert_int_equal(count(path), 1);
	}
}

static void tries_are_counted(void **state)
{
	(void)state;
	assert_get_fails("/fails/503/99", EHOSTUNREACH);
	assert_int_equal(count("/fails/503/99"), TRIES);
}

static void retry_after_is_honoured(void **state)
{
	int64_t start = clock_ms();

	(void)state;
	assert_get("/after-one-second", 0, 10, 10);
	assert_true(clock_ms() - start >= 1000);
}

static void odd_retry_after_is_passed_over(void **state)
{
	(void)state;
	assert_get("/after-nonsense", 0, 10, 10);
	assert_int_equal(count("/after-nonsense"), 3);
}

static void retry_after_beyond_the_deadline_fails_at_once(void **state)
{
	int64_t start = clock_ms();

	(void)state;
	assert_get_fails("/after-long", EHOSTUNREACH);
	assert_get_fails("/after-date", EHOSTUNREACH);
	assert_true(clock_ms() - start < 20000);
	assert_int_equal(count("/after-long"), 1);
}

static void long_error_pages_are_not_read(void **state)
{
	int64_t start = clock_ms();

	(void)state;
	assert_get_fails("/big-404", ENOENT);
	assert_get("/file", 0, 10, 10);
	assert_true(clock_ms() - start < 20000);
}

static void fetch_can_ask_for_what_is_new(void **state)
{
	struct {
		char *name, *value;
	} header = {(char *)"If-None-Match", (char *)"\"x\""};
	struct config_pairs pairs = {.items = (void *)&header, .count = 1};
	cleanup(free_at) char *url = fake_at(server, "/if");
	struct origin_request rq = {.url = url, .headers = &pairs};
	struct origin_info info = {0};
	cleanup(free_at) char *body = NULL;
	size_t len;
	int status;
	struct err e;

	(void)state;
	assert_int_equal(origin_fetch(origin, &rq, "GET", 100, &status, NULL, &body, &len, &e), 0);
	assert_int_equal(status, 304);
	assert_int_equal(len, 0);
	/* A length must not depend on what the caller knows already. */
	assert_int_equal(origin_stat(origin, &rq, &info, &e), 0);
	assert_int_equal(info.content_length, 4);
	origin_info_release(&info);
}

static void fetch_gives_the_last_failure_whole(void **state)
{
	cleanup(free_at) char *url = fake_at(server, "/after-long/fetch");
	struct origin_request rq = {.url = url, .deadline_ms = clock_ms() + 30000};
	cleanup(free_at) char *body = NULL;
	cleanup(free_at) char *headers = NULL;
	size_t len;
	int status;
	struct err e;

	(void)state;
	assert_int_equal(origin_fetch(origin, &rq, "GET", 100, &status, &headers, &body, &len, &e),
			 0);
	assert_int_equal(status, 503);
	assert_non_null(strstr(headers, "Retry-After: 3600\n"));
}

static void broken_failure_is_no_endless_one(void **state)
{
	cleanup(free_at) char *url = fake_at(server, "/fails-and-breaks");
	struct origin_request rq = {.url = url};
	char *body;
	size_t len;
	struct err e;

	(void)state;
	assert_int_equal(origin_fetch(origin, &rq, "GET", 100, NULL, NULL, &body, &len, &e),
			 -EPROTO);
	assert_int_equal(count("/fails-and-breaks"), TRIES);
}

/* ---- resuming */

static void broken_transfer_goes_on_where_it_stopped(void **state)
{
	(void)state;
	assert_get("/break/twice", 0, 0, SIZE);
	assert_int_equal(count("Range: bytes=50000-199999"), 1);
	assert_int_equal(count("Range: bytes=100000-199999"), 1);
	assert_int_equal(count("If-Range: \"one\""), 2);
	assert_get("/break/twice-part", 7, 150000, 150000);
	assert_int_equal(count("Range: bytes=50007-150006"), 1);
	assert_get("/break/chunked", 0, 0, SIZE);
	assert_get("/break/no-ranges", 0, 0, SIZE);
}

static void changed_content_is_never_mixed(void **state)
{
	(void)state;
	assert_get_fails("/break/changed", EPROTO);
	assert_get_fails("/break/lost-etag", EPROTO);
	assert_get_fails("/break/grown", EPROTO);
	assert_get_fails("/break/no-ranges-changed", EPROTO);
}

static void progress_earns_more_tries(void **state)
{
	struct buf got = BUF_INIT(8u << 20);
	struct err e;

	(void)state;
	assert_int_equal(get("/break/often", 0, 0, NULL, &got, &e), 0);
	assert_true(is_content(&got, 0, BIG));
	assert_int_equal(count("/break/often"), 6);
	buf_release(&got);
}

static void endless_breaking_ends(void **state)
{
	(void)state;
	assert_get_fails("/break/always", EPROTO);
	assert_get_fails("/break/bit-by-bit", EPROTO);
	assert_int_equal(count("GET /break/bit-by-bit "), TRIES);
}

/* ---- giving up */

static void cancel_ends_the_wait_for_another_try(void **state)
{
	cleanup(free_at) char *url = fake_at(server, "/give-up");
	struct origin_request rq = {.url = url, .cancelled = &give_up};
	struct origin_info info;
	int64_t start = clock_ms();
	struct err e = {0};

	(void)state;
	assert_int_equal(origin_stat(origin, &rq, &info, &e), -ECANCELED);
	assert_int_equal(count("/give-up"), 1);
	assert_true(clock_ms() - start < 20000);
}

static void deadline_ends_the_tries(void **state)
{
	cleanup(free_at) char *url = fake_at(server, "/fails/500/98");
	struct origin_request rq = {.url = url, .deadline_ms = clock_ms() + 50};
	struct origin_info info;
	struct err e = {0};

	(void)state;
	assert_int_equal(origin_stat(origin, &rq, &info, &e), -EHOSTUNREACH);
	assert_int_equal(count("/fails/500/98"), 1);
}

static void nobody_there_is_told_after_the_tries(void **state)
{
	struct origin_request rq = {.url = "http://127.0.0.1:1/x", .deadline_ms = clock_ms() + 300};
	struct origin_info info;
	struct err e = {0};

	(void)state;
	assert_int_equal(origin_stat(origin, &rq, &info, &e), -EHOSTUNREACH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(redirects_are_followed),
		cmocka_unit_test(bad_redirects_are_refused),
		cmocka_unit_test(secrets_stay_with_their_origin),
		cmocka_unit_test(configured_headers_fill_gaps_at_home_only),
		cmocka_unit_test(passing_failures_are_tried_again),
		cmocka_unit_test(lasting_failures_are_not),
		cmocka_unit_test(tries_are_counted),
		cmocka_unit_test(retry_after_is_honoured),
		cmocka_unit_test(odd_retry_after_is_passed_over),
		cmocka_unit_test(long_error_pages_are_not_read),
		cmocka_unit_test(fetch_can_ask_for_what_is_new),
		cmocka_unit_test(retry_after_beyond_the_deadline_fails_at_once),
		cmocka_unit_test(fetch_gives_the_last_failure_whole),
		cmocka_unit_test(broken_failure_is_no_endless_one),
		cmocka_unit_test(broken_transfer_goes_on_where_it_stopped),
		cmocka_unit_test(changed_content_is_never_mixed),
		cmocka_unit_test(progress_earns_more_tries),
		cmocka_unit_test(endless_breaking_ends),
		cmocka_unit_test(cancel_ends_the_wait_for_another_try),
		cmocka_unit_test(deadline_ends_the_tries),
		cmocka_unit_test(nobody_there_is_told_after_the_tries),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
