/* The piece server over a real store, and children that speak to it byte by byte. */
#ifndef TEST_UNIT_DAEMON_PIECE_SERVER_FIXTURE_H
#define TEST_UNIT_DAEMON_PIECE_SERVER_FIXTURE_H

#include "daemon/piece_server.h"

#include "test/unit/daemon/store_fixture.h"

#include "test/unit/await.h"

#include "base/clock.h"
#include "base/net.h"
#include "daemon/vortex.h"

#include <poll.h>

#define PIECE (100u << 10)

struct setting {
	struct fixture *f;
	struct host *host;
	struct piece_server *server;
	struct net_addr addr;
	struct store_task *task; /* seed 1: pieces 0, 1 and 3 of 4; the last is short */
};

static inline void setting_open(struct setting *s, void **state, struct piece_server_config *c)
{
	struct host_config host = {.hostname = "parent", .ip = "127.0.0.1", .port = 4000};

	s->f = *state;
	s->host = host_new(&host);
	s->task = task_make(s->f, 1, 4 * PIECE - 77, PIECE);
	piece_fill(s->f, s->task, 1, 0);
	piece_fill(s->f, s->task, 1, 1);
	piece_fill(s->f, s->task, 1, 3);
	c->ip = "127.0.0.1";
	assert_ok(piece_server_new(c, s->f->store, s->host, &s->server, &s->f->e));
	assert_true(net_addr_parse("127.0.0.1", piece_server_port(s->server), &s->addr));
}

static inline void setting_close(struct setting *s)
{
	piece_server_free(s->server);
	store_task_unref(s->task);
	host_free(s->host);
}

static inline struct piece_server_stat stat_now(struct setting *s)
{
	struct piece_server_stat st;

	piece_server_stat(s->server, &st);
	return st;
}

/* Until the counter is what it must become; 30 s at most. */
#define await(s, field, value)                                                                     \
	do {                                                                                       \
		int64_t until_ms_ = clock_ms() + 30000;                                            \
		while (stat_now(s).field != (value) && clock_ms() < until_ms_)                     \
			poll(NULL, 0, 1);                                                          \
		assert_int_equal(stat_now(s).field, value);                                        \
	} while (0)

static inline int dial(struct setting *s)
{
	struct err e;
	int fd;

	assert_ok(net_connect(&s->addr, clock_ms() + 30000, &fd, &e));
	return fd;
}

static inline void say(int fd, const void *data, size_t len)
{
	struct err e;

	assert_ok(net_write_full(fd, data, len, clock_ms() + 30000, &e));
}

static inline void ask(int fd, unsigned seed, uint32_t number)
{
	struct vortex_request rq = {.number = number};
	uint8_t packet[VORTEX_REQUEST_MAX];

	id_of(seed, rq.task_id);
	say(fd, packet, vortex_request_write(packet, 9, &rq));
}

static inline void hear(int fd, void *data, size_t len)
{
	struct err e;

	assert_ok(net_read_full(fd, data, len, clock_ms() + 30000, &e));
}

static inline struct vortex_header hear_packet(int fd, uint8_t value[VORTEX_VALUE_MAX])
{
	uint8_t head[VORTEX_HEADER_LEN];
	struct vortex_header h;

	hear(fd, head, sizeof(head));
	vortex_header_read(head, &h);
	assert_true(h.length <= VORTEX_VALUE_MAX);
	hear(fd, value, h.length);
	return h;
}

static inline void hear_error(int fd, enum vortex_code code)
{
	uint8_t value[VORTEX_VALUE_MAX];
	struct vortex_error error;
	struct vortex_header h = hear_packet(fd, value);
	struct err e;

	assert_int_equal(h.tag, VORTEX_ERROR);
	assert_ok(vortex_error_read(value, h.length, &error, &e));
	assert_int_equal(error.code, code);
}

static inline void hear_end(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char byte;

	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_true(recv(fd, &byte, 1, 0) <= 0);
}

#define serving_test(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

#endif
