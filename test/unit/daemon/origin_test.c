#include "test/unit/unit.h"

#include "base/clock.h"
#include "daemon/origin.h"
#include "test/unit/daemon/fake_http.h"

#define SIZE 200000u

/* What a sink has got. */
struct got {
	struct buf bytes;
	int fail_at; /* refuse once so many bytes are there; 0 = never */
};

static int take(void *arg, const void *data, size_t len, struct err *e)
{
	struct got *g = arg;

	buf_append(&g->bytes, data, len);
	if (g->fail_at && g->bytes.len >= (size_t)g->fail_at)
		return err_set(e, ENOSPC, "the sink is full");
	return 0;
}

static bool is_content(const struct got *g, uint64_t off, size_t len)
{
	for (size_t i = 0; i < g->bytes.len; i++) {
		if ((unsigned char)g->bytes.data[i] != fake_byte(off + i))
			return false;
	}
	return g->bytes.len == len;
}

static struct origin *origin;
static struct fake_http *server;

/* ---- planted behaviours, by path */

static bool answer_ranges(struct fake_conn *c)
{
	const char *t = c->target;
	uint64_t first = 0, last = 0;
	bool ranged = fake_range(c, SIZE, &first, &last);

	if (strcmp(t, "/wrong-range") == 0)
		return fake_puts(c, "HTTP/1.1 206 P\r\nContent-Length: 10\r\n"
				    "Content-Range: bytes 7-16/200000\r\n\r\n0123456789");
	if (strcmp(t, "/no-content-range") == 0)
		return fake_puts(c, "HTTP/1.1 206 P\r\nContent-Length: 1\r\n\r\n0");
	if (strcmp(t, "/range-and-length-disagree") == 0)
		return fake_puts(c, "HTTP/1.1 206 P\r\nContent-Length: 3\r\n"
				    "Content-Range: bytes 0-0/200000\r\n\r\n012");
	if (strcmp(t, "/range-beyond-total") == 0)
		return fake_puts(c, "HTTP/1.1 206 P\r\nContent-Length: 1\r\n"
				    "Content-Range: bytes 0-0/0\r\n\r\n0");
	if (strcmp(t, "/part-unasked") == 0)
		return fake_puts(c, "HTTP/1.1 206 P\r\nContent-Length: 3\r\n"
				    "Content-Range: bytes 0-2/3\r\n\r\n012");
	if (strcmp(t, "/unknown-total") == 0)
		return fake_puts(c, "HTTP/1.1 206 P\r\nContent-Length: 1\r\n"
				    "Content-Range: bytes 0-0/*\r\n\r\n0");
	if (strcmp(t, "/more-than-the-range") == 0)
		return fake_printf(c,
				   "HTTP/1.1 206 P\r\nTransfer-Encoding: chunked\r\n"
				   "Content-Range: bytes %d-%d/200000\r\n\r\n",
				   (int)first, (int)last) &&
		       fake_puts(c, "ff\r\n") && fake_send_content(c, first, 255) &&
		       fake_puts(c, "\r\n0\r\n\r\n");
	if (strcmp(t, "/small-parts") == 0 && ranged && last - first >= 60000)
		return fake_printf(c,
				   "HTTP/1.1 206 P\r\nContent-Length: 60000\r\n"
				   "Content-Range: bytes %d-%d/200000\r\n\r\n",
				   (int)first, (int)first + 59999) &&
		       fake_send_content(c, first, 60000);
	return fake_file(c, SIZE, "ETag: \"one\"\r\n");
}

static bool answer_whole(struct fake_conn *c)
{
	const char *t = c->target;

	if (strcmp(t, "/whole/length") == 0)
		return fake_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", SIZE) &&
		       fake_send_content(c, 0, SIZE);
	if (strcmp(t, "/whole/close") == 0)
		return fake_puts(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n") &&
		       fake_send_content(c, 0, SIZE) && false;
	if (strcmp(t, "/whole/chunked") == 0)
		return fake_printf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n",
				   SIZE) &&
		       fake_send_content(c, 0, SIZE) &&
		       fake_puts(c, "\r\n0\r\nX-Trailer: 1\r\n\r\n");
	if (strcmp(t, "/whole/two-lengths") == 0)
		return fake_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"
				    "Content-Length: 4\r\n\r\nabcd");
	if (strcmp(t, "/whole/bad-length") == 0)
		return fake_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 3x\r\n\r\nabc");
	if (strcmp(t, "/whole/huge-length") == 0)
		return fake_puts(c, "HTTP/1.1 200 OK\r\n"
				    "Content-Length: 99999999999999999999\r\n\r\nabc");
	if (strcmp(t, "/whole/short-lie") == 0) /* less than promised, then closed */
		return fake_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n") &&
		       fake_send_content(c, 0, 500) && false;
	return fake_reply(c, "404 Not Found", "", "no");
}

static bool answer_empty(struct fake_conn *c)
{
	const char *t = c->target;
	cleanup(free_at) char *range = fake_header(c->head, "Range");

	if (strcmp(t, "/empty/416") == 0)
		return fake_file(c, 0, "ETag: \"empty\"\r\nContent-Type: text/html\r\n");
	if (strcmp(t, "/empty/200") == 0)
		return fake_reply(c, "200 OK", "Content-Type: text/x-none\r\n", "");
	if (strcmp(t, "/empty/bare-416") == 0 && range)
		return fake_reply(c, "416 No", "", "");
	if (strcmp(t, "/empty/always-416") == 0)
		return fake_reply(c, "416 No", "", "");
	return fake_reply(c, "200 OK", "", "after all");
}

static bool answer_odd(struct fake_conn *c)
{
	const char *t = c->target;
	int status;

	if (sscanf(t, "/status/%d", &status) == 1) {
		char line[32];

		snprintf(line, sizeof(line), "%d Told", status);
		return fake_reply(c, line, "X-Kept: yes\r\nConnection: X-Hop\r\nX-Hop: 1\r\n",
				  "body");
	}
	if (strcmp(t, "/folder") == 0)
		return fake_reply(c, "301 Moved", "Location: /folder/\r\n", "");
	if (strcmp(t, "/folder/closed") == 0)
		return fake_reply(c, "301 Moved", "Location: /folder/closed/\r\n", "");
	if (strcmp(t, "/folder/closed/") == 0)
		return fake_reply(c, "403 No", "", "");
	if (strcmp(t, "/moved") == 0)
		return fake_reply(c, "302 Found", "Location: /headers\r\n", "");
	if (strcmp(t, "/interim") == 0)
		return fake_puts(c, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\n"
				    "ETag: \"hint\"\r\n\r\n") &&
		       fake_reply(c, "200 OK", "ETag: \"real\"\r\n", "interim");
	if (strcmp(t, "/endless-interim") == 0) {
		while (fake_puts(c, "HTTP/1.1 103 Hints\r\nLink: <a>\r\n\r\n"))
			continue;
		return false;
	}
	if (strcmp(t, "/endless-headers") == 0) {
		fake_puts(c, "HTTP/1.1 200 OK\r\n");
		while (fake_puts(c, "X-More: 0123456789012345678901234567890123456789\r\n"))
			continue;
		return false;
	}
	if (strcmp(t, "/many-headers") == 0) {
		fake_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
		for (unsigned i = 0; i < 256; i++)
			fake_puts(c, "A: b\r\n");
		return fake_puts(c, "\r\n");
	}
	if (strcmp(t, "/switch") == 0)
		return fake_puts(c, "HTTP/1.1 101 Switching\r\nUpgrade: tea\r\n\r\n") && false;
	if (strcmp(t, "/garbage") == 0)
		return fake_puts(c, "SSH-2.0-OpenSSH_9.2\r\n") && false;
	if (strcmp(t, "/control-character") == 0)
		return fake_puts(c, "HTTP/1.1 200 OK\r\nX-Bad: a\001b\r\n"
				    "Content-Length: 0\r\n\r\n");
	if (strcmp(t, "/headers") == 0)
		return fake_file(c, 3,
				 "Content-Type: text/plain\r\netag: \"x\"\r\nSet-Cookie: s=1\r\n"
				 "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
				 "Docker-Content-Digest: sha256:abc\r\n");
	if (strcmp(t, "/echo") == 0)
		return fake_reply(c, "200 OK", "", c->head);
	return fake_file(c, SIZE, "ETag: \"one\"\r\n");
}

static bool answer(struct fake_conn *c, void *arg)
{
	(void)arg;
	if (strncmp(c->target, "/whole/", 7) == 0)
		return answer_whole(c);
	if (strncmp(c->target, "/empty/", 7) == 0)
		return answer_empty(c);
	if (strstr(c->target, "range") || strstr(c->target, "part") || strstr(c->target, "total"))
		return answer_ranges(c);
	return answer_odd(c);
}

static int set_up(void **state)
{
	struct origin_config config = {.retries_max = 0};
	struct err e;

	(void)state;
	server = fake_start(answer, NULL, NULL);
	return origin_new(&config, &origin, &e);
}

static int tear_down(void **state)
{
	(void)state;
	origin_free(origin);
	fake_stop(server);
	return 0;
}

static int stat_path(const char *path, struct origin_info *info, struct err *e)
{
	cleanup(free_at) char *url = fake_at(server, path);
	struct origin_request rq = {.url = url, .deadline_ms = clock_ms() + 30000};

	return origin_stat(origin, &rq, info, e);
}

static int get_path(const char *path, uint64_t off, uint64_t len, struct got *g, struct err *e)
{
	cleanup(free_at) char *url = fake_at(server, path);
	struct origin_request rq = {
		.url = url, .off = off, .len = len, .deadline_ms = clock_ms() + 30000};

	return origin_get(origin, &rq, take, g, e);
}

static void assert_stat(const char *path, int64_t length, bool ranges)
{
	struct origin_info info = {0};
	struct err e = {0};

	assert_int_equal(stat_path(path, &info, &e), 0);
	assert_int_equal(info.content_length, length);
	assert_int_equal(info.ranges, ranges);
	origin_info_release(&info);
}

static void assert_stat_fails(const char *path, int code)
{
	struct origin_info info = {0};
	struct err e = {0};

	assert_int_equal(stat_path(path, &info, &e), -code);
	assert_int_equal(e.code, code);
	assert_true(e.text[0] != '\0');
}

static void assert_get(const char *path, uint64_t off, uint64_t len, size_t want)
{
	struct got g = {0};
	struct err e = {0};

	assert_int_equal(get_path(path, off, len, &g, &e), 0);
	assert_true(is_content(&g, off, want));
	buf_release(&g.bytes);
}

/* No byte that is wrong may have reached the sink. */
static void assert_get_fails(const char *path, uint64_t off, uint64_t len, int code)
{
	struct got g = {0};
	struct err e = {0};

	assert_int_equal(get_path(path, off, len, &g, &e), -code);
	assert_int_equal(e.code, code);
	assert_true(is_content(&g, off, g.bytes.len));
	buf_release(&g.bytes);
}

/* ---- stat */

static void stat_tells_length_and_ranges(void **state)
{
	(void)state;
	assert_stat("/file", SIZE, true);
	assert_stat("/unknown-total", -1, true);
}

static void stat_of_an_origin_without_ranges(void **state)
{
	(void)state;
	assert_stat("/whole/length", SIZE, false);
	assert_stat("/whole/close", -1, false);
	assert_stat("/whole/chunked", -1, false);
	assert_stat("/interim", 7, false);
}

static void stat_of_an_empty_file(void **state)
{
	(void)state;
	assert_stat("/empty/416", 0, true);
	assert_stat("/empty/200", 0, false);
}

static void stat_asks_again_when_416_says_nothing(void **state)
{
	(void)state;
	assert_stat("/empty/bare-416", 9, false);
	assert_stat_fails("/empty/always-416", EPROTO);
}

static void stat_keeps_headers_worth_replaying(void **state)
{
	struct origin_info info = {0};
	struct err e;

	(void)state;
	assert_int_equal(stat_path("/headers", &info, &e), 0);
	assert_string_equal(info.headers, "Content-Type: text/plain\nETag: \"x\"\n"
					  "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\n"
					  "Docker-Content-Digest: sha256:abc\n");
	origin_info_release(&info);
	/* those of an error page are not the content's */
	assert_int_equal(stat_path("/empty/416", &info, &e), 0);
	assert_string_equal(info.headers, "ETag: \"empty\"\n");
	origin_info_release(&info);
}

static void statuses_become_codes(void **state)
{
	(void)state;
	assert_stat_fails("/status/404", ENOENT);
	assert_stat_fails("/status/410", ENOENT);
	assert_stat_fails("/status/401", EACCES);
	assert_stat_fails("/status/403", EACCES);
	assert_stat_fails("/status/400", EPROTO);
	assert_stat_fails("/status/429", EBUSY);
	assert_stat_fails("/status/500", EHOSTUNREACH);
	assert_stat_fails("/status/503", EHOSTUNREACH);
	assert_stat_fails("/status/501", EHOSTUNREACH);
	assert_stat_fails("/status/204", EPROTO);
	assert_stat_fails("/status/304", EPROTO);
	assert_get_fails("/status/404", 0, 10, ENOENT);
}

static void nonsense_is_told(void **state)
{
	(void)state;
	assert_stat_fails("/wrong-range", EPROTO);
	assert_stat_fails("/no-content-range", EPROTO);
	assert_stat_fails("/range-and-length-disagree", EPROTO);
	assert_stat_fails("/range-beyond-total", EPROTO);
	assert_stat_fails("/whole/two-lengths", EPROTO);
	assert_stat_fails("/whole/bad-length", EPROTO);
	assert_stat_fails("/whole/huge-length", EPROTO);
	assert_stat_fails("/endless-interim", EPROTO);
	assert_stat_fails("/endless-headers", EPROTO);
	assert_stat_fails("/many-headers", EPROTO);
	assert_stat_fails("/control-character", EPROTO);
	assert_stat_fails("/garbage", EPROTO);
	assert_stat_fails("/switch", EPROTO);
}

/* ---- get */

static void get_streams_ranges_and_the_whole(void **state)
{
	(void)state;
	assert_get("/file", 0, 0, SIZE);
	assert_get("/file", 0, 1, 1);
	assert_get("/file", 5, 100000, 100000);
	assert_get("/file", SIZE - 1, 1, 1);
	assert_get("/file", 150000, 0, 50000);
	assert_get("/empty/416", 0, 0, 0);
	assert_get("/empty/200", 0, 0, 0);
}

static void get_without_ranges_skips(void **state)
{
	(void)state;
	assert_get("/whole/length", 0, 0, SIZE);
	assert_get("/whole/length", 0, 1000, 1000);
	assert_get("/whole/length", 70000, 1000, 1000);
	assert_get("/whole/length", 70000, 0, SIZE - 70000);
	assert_get("/whole/chunked", 70000, 1000, 1000);
	assert_get("/whole/chunked", 0, 0, SIZE);
	assert_get("/whole/close", 70000, 1000, 1000);
	assert_get("/whole/close", 0, 0, SIZE);
}

static void get_beyond_the_end_is_refused(void **state)
{
	(void)state;
	assert_get_fails("/file", SIZE, 1, EPROTO);
	assert_get_fails("/file", SIZE - 1, 2, EPROTO);
	assert_get_fails("/whole/length", SIZE - 1, 2, EPROTO);
	assert_get_fails("/whole/length", SIZE + 1, 0, EPROTO);
	assert_get_fails("/whole/chunked", SIZE - 1, 2, EPROTO);
	assert_get_fails("/whole/close", SIZE - 1, 2, EPROTO);
	assert_get_fails("/whole/chunked", SIZE + 1, 0, EPROTO);
	assert_get_fails("/whole/close", SIZE + 1, 0, EPROTO);
	assert_get_fails("/file", UINT64_MAX, 1, EINVAL);
	assert_get_fails("/file", 1, UINT64_MAX, EINVAL);
}

static void get_never_passes_wrong_bytes_on(void **state)
{
	(void)state;
	assert_get_fails("/wrong-range", 0, 10, EPROTO);
	assert_get_fails("/no-content-range", 0, 1, EPROTO);
	assert_get_fails("/range-and-length-disagree", 0, 1, EPROTO);
	assert_get_fails("/more-than-the-range", 10, 20, EPROTO);
	assert_get_fails("/part-unasked", 0, 0, EPROTO);
	assert_get_fails("/whole/short-lie", 0, 0, EPROTO);
	assert_get_fails("/whole/short-lie", 0, 1000, EPROTO);
	assert_get_fails("/whole/short-lie", 0, 1001, EPROTO);
}

static void get_puts_small_parts_together(void **state)
{
	struct origin_config config = {.retries_max = 3};
	struct origin *patient;
	struct got g = {0};
	struct err e;
	cleanup(free_at) char *url = fake_at(server, "/small-parts");
	struct origin_request rq = {.url = url, .off = 3, .len = 150000};

	(void)state;
	assert_int_equal(origin_new(&config, &patient, &e), 0);
	assert_int_equal(origin_get(patient, &rq, take, &g, &e), 0);
	assert_true(is_content(&g, 3, 150000));
	buf_release(&g.bytes);
	origin_free(patient);
}

static void sinks_error_ends_the_transfer(void **state)
{
	struct got g = {.fail_at = 1};
	struct err e = {0};

	(void)state;
	assert_int_equal(get_path("/file", 0, 0, &g, &e), -ENOSPC);
	assert_non_null(strstr(e.text, "the sink is full"));
	buf_release(&g.bytes);
}

static void another_version_is_refused_when_told(void **state)
{
	cleanup(free_at) char *url = fake_at(server, "/file");
	struct origin_request rq = {.url = url, .len = 10, .same_as = "ETag: \"two\"\n"};
	struct origin_info info;
	struct got g = {0};
	struct err e = {0};

	(void)state;
	assert_int_equal(origin_get(origin, &rq, take, &g, &e), -EPROTO);
	assert_int_equal(g.bytes.len, 0);
	assert_int_equal(origin_stat(origin, &rq, &info, &e), -EPROTO);
	rq.same_as = "ETag: \"one\"\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\n";
	assert_int_equal(origin_get(origin, &rq, take, &g, &e), 0);
	assert_true(is_content(&g, 0, 10));
	assert_true(fake_saw(server, "If-Range: \"one\""));
	buf_release(&g.bytes);
}

/* ---- fetch */

struct fetched {
	int status;
	char *headers, *body;
	size_t len;
};

static void fetched_release(struct fetched *f)
{
	free(f->headers);
	free(f->body);
}

static int fetch_path(const char *path, const char *method, size_t max, struct fetched *f,
		      struct err *e)
{
	cleanup(free_at) char *url = fake_at(server, path);
	struct origin_request rq = {.url = url, .deadline_ms = clock_ms() + 30000};

	return origin_fetch(origin, &rq, method, max, &f->status, &f->headers, &f->body, &f->len,
			    e);
}

static void fetch_takes_any_status(void **state)
{
	static const int statuses[] = {200, 201, 400, 401, 403, 404, 418, 429, 500, 503};

	(void)state;
	for (size_t i = 0; i < array_len(statuses); i++) {
		cleanup(fetched_release) struct fetched f = {0};
		char path[32];
		struct err e;

		snprintf(path, sizeof(path), "/status/%d", statuses[i]);
		assert_int_equal(fetch_path(path, "GET", 100, &f, &e), 0);
		assert_int_equal(f.status, statuses[i]);
		assert_string_equal(f.body, "body");
		assert_int_equal(f.len, 4);
		assert_string_equal(f.headers, "Content-Length: 4\nX-Kept: yes\n");
	}
}

static void fetch_by_head_has_no_body(void **state)
{
	cleanup(fetched_release) struct fetched f = {0};
	struct err e;

	(void)state;
	assert_int_equal(fetch_path("/status/204", "HEAD", 100, &f, &e), 0);
	assert_int_equal(f.len, 0);
	assert_string_equal(f.body, "");
	assert_int_equal(fetch_path("/file", "DELETE", 100, &f, &e), -EINVAL);
}

static void fetch_is_bounded(void **state)
{
	struct fetched f = {0};
	struct err e;

	(void)state;
	assert_int_equal(fetch_path("/file", "GET", SIZE - 1, &f, &e), -EMSGSIZE);
	assert_int_equal(fetch_path("/whole/chunked", "GET", SIZE - 1, &f, &e), -EMSGSIZE);
	assert_int_equal(fetch_path("/file", "GET", SIZE, &f, &e), 0);
	assert_int_equal(f.len, SIZE);
	fetched_release(&f);
}

static void request_headers_are_the_callers(void **state)
{
	struct {
		char *name, *value;
	} mine[] = {{(char *)"Accept", (char *)"text/x"},
		    {(char *)"X-Empty", (char *)""},
		    {(char *)"Range", (char *)"bytes=1-2"},
		    {(char *)"Host", (char *)"elsewhere"},
		    {(char *)"Connection", (char *)"close"},
		    {(char *)"Accept-Encoding", (char *)"gzip"}};
	struct config_pairs pairs = {.items = (void *)mine, .count = array_len(mine)};
	cleanup(free_at) char *url = fake_at(server, "/echo");
	struct origin_request rq = {.url = url, .headers = &pairs};
	cleanup(fetched_release) struct fetched f = {0};
	struct err e;

	(void)state;
	assert_int_equal(origin_fetch(origin, &rq, "GET", 4096, NULL, NULL, &f.body, &f.len, &e),
			 0);
	assert_non_null(strstr(f.body, "\r\nAccept: text/x\r\n"));
	assert_non_null(strstr(f.body, "\r\nX-Empty:\r\n"));
	assert_non_null(strstr(f.body, "\r\nAccept-Encoding: identity\r\n"));
	assert_non_null(strstr(f.body, "\r\nUser-Agent: skimmer/"));
	assert_null(strstr(f.body, "Range:"));
	assert_null(strstr(f.body, "elsewhere"));
	assert_null(strstr(f.body, "gzip"));
	assert_null(strstr(f.body, "Connection:"));
	mine[1].value = (char *)"a\r\nX-Injected: 1";
	assert_int_equal(origin_fetch(origin, &rq, "GET", 4096, NULL, NULL, &f.body, &f.len, &e),
			 -EINVAL);
	mine[1].value = (char *)"";
	mine[1].name = (char *)"X Empty";
	assert_int_equal(origin_fetch(origin, &rq, "GET", 4096, NULL, NULL, &f.body, &f.len, &e),
			 -EINVAL);
}

static void assert_probe(const char *path, int status, bool folder)
{
	cleanup(free_at) char *url = fake_at(server, path);
	struct origin_request rq = {.url = url, .deadline_ms = clock_ms() + 30000};
	struct origin_probe probe = {0};
	struct err e = {0};

	assert_int_equal(origin_probe(origin, &rq, &probe, &e), 0);
	assert_int_equal(probe.status, status);
	assert_int_equal(probe.folder, folder);
}

static void probe_tells_folders_from_files(void **state)
{
	struct origin_request rq = {.url = "http://127.0.0.1:1/x",
				    .deadline_ms = clock_ms() + 30000};
	struct origin_probe probe;
	struct err e;

	(void)state;
	assert_probe("/range", 206, false);
	assert_probe("/whole/length", 200, false);
	assert_probe("/moved", 206, false);
	assert_probe("/folder", 206, true);
	assert_probe("/folder/", 206, false);
	assert_probe("/folder/closed", 403, true);
	assert_probe("/status/404", 404, false);
	assert_probe("/status/503", 503, false);
	assert_int_equal(origin_probe(origin, &rq, &probe, &e), -EHOSTUNREACH);
}

static void bad_urls_are_refused(void **state)
{
	static const char *const urls[] = {"ftp://127.0.0.1/x", "file:///etc/passwd", "",
					   "http://user:pass@127.0.0.1/"};

	(void)state;
	for (size_t i = 0; i < array_len(urls); i++) {
		struct origin_request rq = {.url = urls[i]};
		struct origin_info info;
		struct err e = {0};

		assert_int_equal(origin_stat(origin, &rq, &info, &e), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stat_tells_length_and_ranges),
		cmocka_unit_test(stat_of_an_origin_without_ranges),
		cmocka_unit_test(stat_of_an_empty_file),
		cmocka_unit_test(stat_asks_again_when_416_says_nothing),
		cmocka_unit_test(stat_keeps_headers_worth_replaying),
		cmocka_unit_test(statuses_become_codes),
		cmocka_unit_test(nonsense_is_told),
		cmocka_unit_test(get_streams_ranges_and_the_whole),
		cmocka_unit_test(get_without_ranges_skips),
		cmocka_unit_test(get_beyond_the_end_is_refused),
		cmocka_unit_test(get_never_passes_wrong_bytes_on),
		cmocka_unit_test(get_puts_small_parts_together),
		cmocka_unit_test(sinks_error_ends_the_transfer),
		cmocka_unit_test(another_version_is_refused_when_told),
		cmocka_unit_test(fetch_takes_any_status),
		cmocka_unit_test(fetch_by_head_has_no_body),
		cmocka_unit_test(fetch_is_bounded),
		cmocka_unit_test(request_headers_are_the_callers),
		cmocka_unit_test(probe_tells_folders_from_files),
		cmocka_unit_test(bad_urls_are_refused),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
