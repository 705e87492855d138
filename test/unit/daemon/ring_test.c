#include "daemon/ring.h"

#include "test/unit/unit.h"

#include "base/mem.h"

#include <string.h>

static void add(struct ring *r, const char *ip, uint16_t port, const char *value)
{
	struct net_addr a;

	assert_true(net_addr_parse(ip, port, &a));
	ring_add(r, &a, NULL, (void *)value);
}

static void siphash_has_the_known_values(void **state)
{
	static const unsigned char empty[1];

	(void)state;
	/* SipHash-2-4, key 0. */
	assert_true(ring_hash(empty, 0) == 0x1e924b9d737700d7);
	assert_true(ring_hash("4088b\xff", 6) == 0xcc70ce85aa4bbaca);
}

/* Made by the crate hashring 0.3.6 with one point per std::net::SocketAddr. */
static void tasks_go_where_dragonflys_client_sends_them(void **state)
{
	static const char *const want[][2] = {
		{"00000", "10.1.2.4"},	  {"9e377", "10.1.2.4"},    {"3c6ef", "192.168.0.9"},
		{"daa66", "10.1.2.3"},	  {"78dde", "192.168.0.9"}, {"17156", "10.1.2.4"},
		{"b54cd", "192.168.0.9"}, {"53845", "fd00::7"},	    {"f1bbc", "192.168.0.9"},
		{"8ff34", "10.1.2.3"},	  {"2e2ac", "192.168.0.9"}, {"cc623", "192.168.0.9"},
	};
	struct ring r = {.count = 0};
	char id[65];

	(void)state;
	add(&r, "10.1.2.3", 8002, "10.1.2.3");
	add(&r, "10.1.2.4", 8002, "10.1.2.4");
	add(&r, "192.168.0.9", 18002, "192.168.0.9");
	add(&r, "fd00::7", 8002, "fd00::7");
	for (size_t i = 0; i < array_len(want); i++) {
		snprintf(id, sizeof(id), "%s%059d", want[i][0], (int)i);
		assert_string_equal(ring_find(&r, id), want[i][1]);
	}
}

static void names_have_a_place_too(void **state)
{
	struct ring r = {.count = 0};

	(void)state;
	assert_null(ring_find(&r, "00000"));
	ring_add(&r, NULL, "scheduler.example:8002", (void *)"name");
	assert_string_equal(ring_find(&r, "00000"), "name");
	assert_string_equal(ring_find(&r, ""), "name");
}

static void a_full_ring_takes_no_more(void **state)
{
	struct ring r = {.count = 0};

	(void)state;
	for (uint16_t i = 0; i < RING_MAX + 5; i++)
		add(&r, "10.0.0.1", (uint16_t)(1000 + i), "x");
	assert_int_equal(r.count, RING_MAX);
	for (unsigned i = 1; i < r.count; i++)
		assert_true(r.points[i - 1].hash <= r.points[i].hash);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siphash_has_the_known_values),
		cmocka_unit_test(tasks_go_where_dragonflys_client_sends_them),
		cmocka_unit_test(names_have_a_place_too),
		cmocka_unit_test(a_full_ring_takes_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
