#include "daemon/host_message.h"

#include "test/unit/unit.h"

#include "base/clock.h"
#include "base/mem.h"

#include <string.h>

static struct host_config config(void)
{
	return (struct host_config){.hostname = "node-1",
				    .ip = "10.1.2.3",
				    .idc = "fra",
				    .scheduler_cluster_id = 7,
				    .port = 4000,
				    .download_port = 4000,
				    .proxy_port = 4001,
				    .storage_dir = "/"};
}

static void free_host(struct host **h)
{
	host_free(*h);
}

static void ids_are_made_as_dragonfly_makes_them(void **state)
{
	struct host_config c = config();
	cleanup(free_host) struct host *h = host_new(&c);
	cleanup(free_at) char *one = host_new_peer_id(h);
	cleanup(free_at) char *two = host_new_peer_id(h);

	(void)state;
	assert_string_equal(host_id(h), "10.1.2.3-node-1");
	assert_int_equal(strlen(one), strlen("10.1.2.3-node-1-") + 36);
	assert_memory_equal(one, "10.1.2.3-node-1-", 16);
	assert_int_equal(one[16 + 14], '4');
	assert_string_not_equal(one, two);
}

static void seeds_have_their_mark(void **state)
{
	struct host_config c = config();

	(void)state;
	c.is_seed = true;
	cleanup(free_host) struct host *h = host_new(&c);
	cleanup(free_at) char *peer = host_new_peer_id(h);
	assert_string_equal(host_id(h), "10.1.2.3-node-1-seed");
	assert_string_equal(peer + strlen(peer) - 5, "-seed");
}

static void names_are_the_systems_when_not_configured(void **state)
{
	struct host_config c = {.port = 4000};
	cleanup(free_host) struct host *h = host_new(&c);
	char name[256] = "";

	(void)state;
	assert_int_equal(gethostname(name, sizeof(name) - 1), 0);
	assert_string_equal(host_config(h)->hostname, name);
	assert_true(strlen(host_config(h)->ip) >= 3);
}

static void a_long_hostname_does_not_overflow_an_id(void **state)
{
	struct host_config c = config();
	char name[1000];

	(void)state;
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = 0;
	c.hostname = name;
	cleanup(free_host) struct host *h = host_new(&c);
	cleanup(free_at) char *peer = host_new_peer_id(h);
	assert_true(strlen(peer) < 256);
}

static void rates_are_means_over_the_last_seconds(void **state)
{
	int64_t now_ms = 1000000;
	struct host_config c = config();

	(void)state;
	clock_fake(&now_ms);
	cleanup(free_host) struct host *h = host_new(&c);
	host_count_tx(h, 500);
	assert_int_equal(host_tx_rate(h), 500);
	for (int i = 0; i < 10; i++) {
		now_ms += 1000;
		host_count_tx(h, 1000);
		host_count_rx(h, 3000);
	}
	now_ms += 999;
	assert_in_range(host_tx_rate(h), 990, 1010);
	assert_in_range(host_rx_rate(h), 2970, 3030);
	now_ms += 10000;
	assert_int_equal(host_tx_rate(h), 0);
	clock_fake(NULL);
}

static void message_satisfies_the_validators(void **state)
{
	struct host_config c = config();
	cleanup(free_host) struct host *h = host_new(&c);
	struct host_message m;

	(void)state;
	host_count_upload(h, 3);
	host_count_upload(h, -1);
	host_message_fill(&m, h);
	assert_string_equal(m.host.id, "10.1.2.3-node-1");
	assert_string_equal(m.host.hostname, "node-1");
	assert_string_equal(m.host.ip, "10.1.2.3");
	assert_int_equal(m.host.type, 0);
	assert_int_equal(m.host.port, 4000);
	assert_int_equal(m.host.download_port, 4000);
	assert_true(m.host.cpu->logical_count >= 1);
	assert_true(m.host.cpu->percent >= 0 && m.host.cpu->percent <= 100);
	assert_true(m.host.cpu->times->user > 0);
	assert_true(m.host.memory->total > m.host.memory->used);
	assert_true(m.host.memory->used_percent > 0 && m.host.memory->used_percent < 100);
	assert_true(m.host.memory->process_used_percent > 0);
	assert_true(m.host.disk->total > 0);
	assert_true(m.host.disk->used_percent <= 100 && m.host.disk->inodes_used_percent <= 100);
	assert_string_equal(m.host.network->idc, "fra");
	assert_int_equal(m.host.scheduler_cluster_id, 7);
	assert_int_equal(m.host.network->location__case, 0);
	assert_int_equal(m.host.network->upload_tcp_connection_count, 2);
	assert_true(common__v2__host__get_packed_size(&m.host) > 100);
}

static void bandwidths_travel_in_bits(void **state)
{
	struct host_config c = config();
	struct host_message m;
	uint64_t tx, tx_max;

	(void)state;
	c.ip = "192.0.2.1"; /* on no link of this machine */
	c.upload_bandwidth = 125000000;
	cleanup(free_host) struct host *h = host_new(&c);
	host_count_tx(h, 4000);
	host_message_fill(&m, h);
	assert_int_equal(m.host.network->max_tx_bandwidth, 1000000000);
	assert_int_equal(m.host.network->tx_bandwidth, 32000);
	host_message_link(&m.host, &tx, &tx_max);
	assert_int_equal(tx, 4000);
	assert_int_equal(tx_max, 125000000);
	m.host.network = NULL;
	host_message_link(&m.host, &tx, &tx_max);
	assert_int_equal(tx, 0);
	assert_int_equal(tx_max, 0);
}

static void figures_are_read_once_a_second(void **state)
{
	int64_t now_ms = 5000000;
	struct host_config c = config();
	struct host_figures a, b;

	(void)state;
	clock_fake(&now_ms);
	cleanup(free_host) struct host *h = host_new(&c);
	host_figures(h, &a);
	now_ms += 999;
	host_figures(h, &b);
	assert_int_equal(a.system.at_ms, b.system.at_ms);
	now_ms += 1;
	host_figures(h, &b);
	assert_int_equal(b.system.at_ms, now_ms);
	clock_fake(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_made_as_dragonfly_makes_them),
		cmocka_unit_test(seeds_have_their_mark),
		cmocka_unit_test(names_are_the_systems_when_not_configured),
		cmocka_unit_test(a_long_hostname_does_not_overflow_an_id),
		cmocka_unit_test(rates_are_means_over_the_last_seconds),
		cmocka_unit_test(message_satisfies_the_validators),
		cmocka_unit_test(bandwidths_travel_in_bits),
		cmocka_unit_test(figures_are_read_once_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
