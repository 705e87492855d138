/* Health and metrics over real sockets, with figures from fakes. */
#include "daemon/admin.h"

#include "base/metrics.h"
#include "daemon/piece_server.h"
#include "daemon/tasks.h"

#include "../client.h"

#include <stdatomic.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static struct admin *admin;
static atomic_bool is_ready;

void tasks_stat(struct tasks *ts, struct tasks_stat *out)
{
	(void)ts;
	*out = (struct tasks_stat){.from_origin = 11, .from_peers = 22, .hits = 33};
}

void piece_server_stat(const struct piece_server *s, struct piece_server_stat *out)
{
	(void)s;
	*out = (struct piece_server_stat){.bytes = 44, .pieces = 5};
}

static bool ready(void *arg)
{
	(void)arg;
	return atomic_load(&is_ready);
}

static int set_up(void **state)
{
	static char one;
	const struct admin_config config = {
		.health_ip = "127.0.0.1",
		.metrics_ip = "127.0.0.1",
		.ready = ready,
		.tasks = (struct tasks *)&one,
		.piece_server = (struct piece_server *)&one,
		.storage_dir = "/",
	};
	struct err e;

	(void)state;
	return admin_new(&config, &admin, &e);
}

static int tear_down(void **state)
{
	(void)state;
	admin_free(admin);
	return 0;
}

static void expect(struct client *c, const char *request, int status)
{
	cleanup(answer_release) struct answer a = client_ask(c, request);

	assert_int_equal(a.head.status, status);
}

static void health_and_readiness_are_told(void **state)
{
	struct client c = client_connect(admin_health_port(admin));

	(void)state;
	atomic_store(&is_ready, false);
	expect(&c, GET("/healthy"), 200);
	expect(&c, "HEAD /healthy?x=1 HTTP/1.1\r\nHost: h\r\n\r\n", 200);
	expect(&c, GET("/readyz"), 503);
	atomic_store(&is_ready, true);
	expect(&c, GET("/readyz"), 200);
	expect(&c, GET("/healthyish"), 404);
	expect(&c, "POST /healthy HTTP/1.1\r\nHost: h\r\n\r\n", 405);
	client_close(&c);
}

static void figures_are_scraped(void **state)
{
	static const char *const lines[] = {
		"# TYPE dragonfly_client_version gauge\n",
		"dragonfly_client_version{git_version=\"v" SKIMMER_VERSION "\"",
		"\ndragonfly_client_download_traffic{type=\"BACK_TO_SOURCE\"} 11\n",
		"\ndragonfly_client_download_traffic{type=\"REMOTE_PEER\"} 22\n",
		"\ndragonfly_client_upload_traffic 44\n",
		"\ndragonfly_client_disk_space_total ",
		"\nskimmer_reads_hit_total 33\n",
	};
	struct client c = client_connect(admin_metrics_port(admin));
	cleanup(answer_release) struct answer a = client_ask(&c, GET("/metrics"));

	(void)state;
	assert_int_equal(a.head.status, 200);
	assert_string_equal(http_header_get(&a.head, "Content-Type"),
			    "text/plain; version=0.0.4; charset=utf-8");
	for (size_t i = 0; i < array_len(lines); i++)
		if (!strstr(a.body, lines[i]))
			fail_msg("missing: %s", lines[i]);
	expect(&c, GET("/"), 404);
	expect(&c, "PUT /metrics HTTP/1.1\r\nHost: h\r\n\r\n", 405);
	client_close(&c);
}

static void counters_start_anew_when_deleted(void **state)
{
	static const struct metric_family family = {METRIC_COUNTER, "t_reset_total", "T.", NULL};
	struct client c = client_connect(admin_metrics_port(admin));

	(void)state;
	metric_add(metric_get(&family), 7);
	expect(&c, "DELETE /metrics HTTP/1.1\r\nHost: h\r\n\r\n", 200);
	assert_int_equal(metric_value(metric_get(&family)), 0);
	client_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(health_and_readiness_are_told),
		cmocka_unit_test(figures_are_scraped),
		cmocka_unit_test(counters_start_anew_when_deleted),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
