/* daemon/piece_server: children good and bad, over loopback */
#include "test/unit/daemon/piece_server_fixture.h"

#include "daemon/piece_client.h"

#include <sys/resource.h>

struct sink {
	struct setting *s;
	uint32_t number;
	size_t len;
	uint32_t crc32;
};

static int take(void *arg, const void *data, size_t len, struct err *e)
{
	struct sink *sink = arg;

	(void)e;
	sink->len += len;
	sink->crc32 = crc32_update(sink->crc32, data, len);
	return 0;
}

static int fetch(struct setting *s, struct piece_client *c, unsigned seed, uint32_t number)
{
	const struct geometry *g = &store_task_meta(s->task)->geometry;
	struct piece_ask expected = {.number = number,
				     .offset = geometry_offset(g, number),
				     .length = geometry_length(g, number),
				     .deadline_ms = clock_ms() + 30000,
				     .stall_ms = 30000};
	struct piece_head head;
	struct sink sink = {.s = s, .number = number};
	char id[65];
	struct err e;
	int r;

	id_of(seed, id);
	expected.task_id = id;
	r = piece_client_fetch(c, &s->addr, &expected, &head, take, &sink, &e);
	if (r == 0) {
		assert_int_equal(sink.len, expected.length);
		assert_true(head.has_crc32);
		assert_int_equal(head.crc32, sink.crc32);
	}
	return r;
}

static void client_gets_pieces_over_one_connection(void **state)
{
	struct piece_client *c = piece_client_new();
	struct piece_server_config config = {0};
	struct setting s;

	setting_open(&s, state, &config);
	for (unsigned i = 0; i < 3; i++) {
		assert_ok(fetch(&s, c, 1, 0));
		assert_ok(fetch(&s, c, 1, 1));
		assert_ok(fetch(&s, c, 1, 3));
		assert_int_equal(fetch(&s, c, 1, 2), -ENOENT);
	}
	assert_int_equal(fetch(&s, c, 2, 0), -ENOENT);
	await(&s, pieces, 9);
	assert_int_equal(stat_now(&s).accepted, 1);
	assert_int_equal(stat_now(&s).not_found, 4);
	assert_int_equal(stat_now(&s).bytes, 3 * (3 * PIECE - 77));
	assert_int_equal(stat_now(&s).open, 1);
	piece_client_free(c);
	await(&s, open, 0);
	setting_close(&s);
}

static void dragonfly_child_reads_to_its_length_and_closes(void **state)
{
	struct piece_server_config config = {0};
	struct vortex_content content;
	uint8_t value[VORTEX_VALUE_MAX];
	struct vortex_header h;
	cleanup(free_at) char *got = mem_alloc(PIECE);
	struct setting s;
	struct err e;
	int fd;

	setting_open(&s, state, &config);
	fd = dial(&s);
	ask(fd, 1, 1);
	h = hear_packet(fd, value);
	assert_int_equal(h.tag, VORTEX_PIECE_CONTENT);
	assert_ok(vortex_content_read(value, h.length, &content, &e));
	assert_int_equal(content.number, 1);
	assert_int_equal(content.offset, PIECE);
	assert_int_equal(content.length, PIECE);
	assert_int_equal(content.traffic_type, 1);
	assert_true(content.created_at_s > 1600000000);
	hear(fd, got, PIECE);
	assert_int_equal(crc32_update(0, got, PIECE), content.crc32);
	close(fd);
	await(&s, open, 0);
	assert_int_equal(stat_now(&s).failed, 0);
	setting_close(&s);
}

static void other_kinds_of_tasks_are_not_found(void **state)
{
	struct piece_server_config config = {0};
	struct vortex_request rq = {.number = 0};
	uint8_t packet[VORTEX_REQUEST_MAX];
	struct setting s;
	int fd;

	setting_open(&s, state, &config);
	fd = dial(&s);
	id_of(1, rq.task_id);
	for (uint8_t tag = 2; tag <= 6; tag = (uint8_t)(tag + 2)) {
		vortex_request_write(packet, 9, &rq);
		packet[1] = tag;
		say(fd, packet, VORTEX_REQUEST_LEN);
		hear_error(fd, VORTEX_NOT_FOUND);
	}
	ask(fd, 1, 4);
	hear_error(fd, VORTEX_NOT_FOUND);
	ask(fd, 1, UINT32_MAX);
	hear_error(fd, VORTEX_NOT_FOUND);
	close(fd);
	setting_close(&s);
}

static void unproven_pieces_are_not_served(void **state)
{
	struct vortex_request rq = {.by_blocks = true};
	uint8_t packet[VORTEX_REQUEST_MAX];
	int fd;
	struct piece_server_config config = {0};
	struct piece_client *c = piece_client_new();
	struct fixture *f = *state;
	struct setting s;

	setting_open(&s, state, &config);
	setting_close(&s);
	fixture_crash(f);
	s.host = host_new(&(struct host_config){.hostname = "parent", .ip = "127.0.0.1"});
	s.task = task_find(f, 1);
	assert_ok(piece_server_new(&config, f->store, s.host, &s.server, &f->e));
	assert_true(net_addr_parse("127.0.0.1", piece_server_port(s.server), &s.addr));
	assert_int_equal(fetch(&s, c, 1, 0), -ENOENT);
	id_of(1, rq.task_id);
	fd = dial(&s);
	say(fd, packet, vortex_request_write(packet, 9, &rq));
	hear_error(fd, VORTEX_NOT_FOUND);
	close(fd);
	assert_ok(store_piece_prove(s.task, 0, &f->e));
	assert_ok(fetch(&s, c, 1, 0));
	piece_client_free(c);
	setting_close(&s);
}

static void a_host_that_does_not_share_has_nothing_for_anybody(void **state)
{
	struct host_config leech = {
		.hostname = "parent", .ip = "127.0.0.1", .disable_shared = true};
	struct piece_server_config config = {.ip = "127.0.0.1"};
	struct piece_client *c = piece_client_new();
	struct setting s;

	setting_open(&s, state, &config);
	assert_ok(fetch(&s, c, 1, 0));
	piece_server_free(s.server);
	host_free(s.host);
	s.host = host_new(&leech);
	assert_ok(piece_server_new(&config, s.f->store, s.host, &s.server, &s.f->e));
	assert_true(net_addr_parse("127.0.0.1", piece_server_port(s.server), &s.addr));
	assert_int_equal(fetch(&s, c, 1, 0), -ENOENT);
	await(&s, not_found, 1);
	assert_int_equal(stat_now(&s).bytes, 0);
	piece_client_free(c);
	setting_close(&s);
}

static void request_in_single_bytes_is_understood(void **state)
{
	struct piece_server_config config = {0};
	struct vortex_request rq = {.number = 2};
	uint8_t packet[VORTEX_REQUEST_MAX];
	struct setting s;
	int fd;

	setting_open(&s, state, &config);
	fd = dial(&s);
	id_of(1, rq.task_id);
	vortex_request_write(packet, 9, &rq);
	for (size_t i = 0; i < VORTEX_REQUEST_LEN; i++)
		say(fd, packet + i, 1);
	hear_error(fd, VORTEX_NOT_FOUND);
	close(fd);
	setting_close(&s);
}

static void garbage_is_told_and_closed(void **state)
{
	struct piece_server_config config = {0};
	uint8_t packet[VORTEX_REQUEST_MAX] = {1, 0, 0, 0, 0, 68};
	struct setting s;
	int fd;

	setting_open(&s, state, &config);
	fd = dial(&s);
	say(fd, "GET / ", 6); /* a tag that is none */
	hear_error(fd, VORTEX_INVALID_ARGUMENT);
	hear_end(fd);
	close(fd);
	fd = dial(&s);
	say(fd, "\x01\x00\xff\xff\xff\xff", 6); /* 4 GiB of request */
	hear_error(fd, VORTEX_INVALID_ARGUMENT);
	hear_end(fd);
	close(fd);
	fd = dial(&s);
	say(fd, packet, VORTEX_REQUEST_LEN); /* a task id of zeroes */
	hear_error(fd, VORTEX_INVALID_ARGUMENT);
	hear_end(fd);
	close(fd);
	fd = dial(&s);
	say(fd, "\x01\xfe\x00\x00\x00\x00", 6); /* Close */
	hear_end(fd);
	close(fd);
	await(&s, garbage, 3);
	await(&s, open, 0);
	setting_close(&s);
}

static void endless_header_meets_its_deadline(void **state)
{
	struct piece_server_config config = {.header_timeout_ms = 60};
	struct setting s;
	int fd, silent;

	setting_open(&s, state, &config);
	silent = dial(&s);
	fd = dial(&s);
	say(fd, "\x01\x00\x00\x00", 4);
	hear_end(fd);
	hear_end(silent);
	close(fd);
	close(silent);
	await(&s, timed_out, 1); /* silence alone is no offence */
	setting_close(&s);
}

static void kept_connection_has_a_longer_patience(void **state)
{
	struct piece_server_config config = {.header_timeout_ms = 50, .idle_timeout_ms = 250};
	uint8_t value[VORTEX_VALUE_MAX];
	struct setting s;
	int64_t from_ms;
	int fd;

	setting_open(&s, state, &config);
	fd = dial(&s);
	ask(fd, 1, 2);
	hear_packet(fd, value);
	from_ms = clock_ms();
	hear_end(fd);
	assert_true(clock_ms() - from_ms >= 200);
	close(fd);
	assert_int_equal(stat_now(&s).timed_out, 0);
	setting_close(&s);
}

static struct host_sending sending(struct setting *s)
{
	struct host_sending h;

	host_sending(s->host, &h);
	return h;
}

static void who_takes_nothing_is_not_counted_among_those_that_are_served(void **state)
{
	struct piece_server_config config = {.stuck_ms = 300};
	const size_t len = 32u << 20; /* more than any socket buffer holds */
	cleanup(free_at) uint8_t *content = mem_alloc(len);
	uint8_t value[VORTEX_VALUE_MAX];
	struct store_task *big;
	struct setting s;
	int fd;

	setting_open(&s, state, &config);
	big = task_make(s.f, 3, len, (uint32_t)len);
	piece_fill(s.f, big, 3, 0);
	fd = dial(&s);
	ask(fd, 3, 0);
	await_that(sending(&s).begun == 1 && sending(&s).running == 0);
	assert_int_equal(stat_now(&s).open, 1);
	assert_int_equal(stat_now(&s).pieces, 0);
	/* It is only late. */
	hear_packet(fd, value);
	hear(fd, content, len);
	await(&s, pieces, 1);
	assert_int_equal(sending(&s).running, 0);
	/* The next one counts again. */
	ask(fd, 3, 0);
	await_that(sending(&s).begun == 2);
	close(fd);
	await_that(sending(&s).running == 0);
	await(&s, open, 0);
	store_task_unref(big);
	setting_close(&s);
}

static void slow_reader_is_left(void **state)
{
	struct piece_server_config config = {.write_timeout_ms = 80};
	struct piece_client *c = piece_client_new();
	struct store_task *big;
	struct setting s;
	int fd, small = 4096;

	setting_open(&s, state, &config);
	/* More than any socket buffer holds. */
	big = task_make(s.f, 3, 32u << 20, 32u << 20);
	piece_fill(s.f, big, 3, 0);
	fd = dial(&s);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	ask(fd, 3, 0);
	/* Others are served meanwhile. */
	assert_ok(fetch(&s, c, 1, 0));
	await(&s, timed_out, 1);
	await(&s, failed, 1);
	close(fd);
	piece_client_free(c);
	store_task_unref(big);
	setting_close(&s);
}

static void child_that_leaves_in_the_middle_costs_nothing(void **state)
{
	struct piece_server_config config = {0};
	struct store_task *big;
	uint8_t value[VORTEX_VALUE_MAX];
	struct setting s;
	int fd;

	setting_open(&s, state, &config);
	big = task_make(s.f, 3, 32u << 20, 32u << 20);
	piece_fill(s.f, big, 3, 0);
	fd = dial(&s);
	ask(fd, 3, 0);
	hear_packet(fd, value);
	close(fd);
	await(&s, open, 0);
	assert_int_equal(stat_now(&s).failed, 1);
	store_task_unref(big);
	setting_close(&s);
}

static void bandwidth_is_kept(void **state)
{
	struct piece_server_config config = {.bandwidth = 1000000};
	struct piece_client *c = piece_client_new();
	struct setting s;
	int64_t from_ms, took_ms;

	setting_open(&s, state, &config);
	from_ms = clock_ms();
	for (unsigned i = 0; i < 5; i++) /* 512,000 bytes, a tenth of a second's worth at once */
		assert_ok(fetch(&s, c, 1, 0));
	took_ms = clock_ms() - from_ms;
	assert_true(took_ms >= 250);
	piece_client_free(c);
	setting_close(&s);
}

/* What others are sent while one piece of 400 KiB comes, 8 of them busy all the time. */
static uint64_t sent_to_others(struct setting *s, struct store_task *task, bool urgent)
{
	enum { OTHERS = 8 };
	struct vortex_request rq = {.number = 0};
	uint8_t packet[VORTEX_REQUEST_MAX], value[VORTEX_VALUE_MAX];
	const uint32_t len = geometry_length(&store_task_meta(task)->geometry, 1);
	cleanup(free_at) char *got = mem_alloc(len);
	uint64_t before = stat_now(s).bytes;
	int fds[OTHERS], fd = dial(s);

	memcpy(rq.task_id, store_task_meta(task)->id, sizeof(rq.task_id));
	vortex_request_write(packet, 9, &rq);
	for (unsigned i = 0; i < OTHERS; i++) {
		fds[i] = dial(s);
		say(fds[i], packet, VORTEX_REQUEST_LEN);
		hear_packet(fds[i], value);
	}
	rq.number = 1;
	say(fd, packet, vortex_request_write(packet, urgent ? VORTEX_URGENT_ID : 9, &rq));
	hear_packet(fd, value);
	hear(fd, got, len);
	for (unsigned i = 0; i < OTHERS; i++)
		close(fds[i]);
	close(fd);
	await(s, open, 0);
	return stat_now(s).bytes - before - len;
}

static void what_a_reader_waits_for_is_sent_first(void **state)
{
	const uint32_t length = 8u << 20;
	struct piece_server_config config = {.bandwidth = 4u << 20};
	struct store_task *big;
	uint64_t usual, urgent;
	bool first = false;
	struct setting s;

	setting_open(&s, state, &config);
	big = task_make(s.f, 3, length + (400u << 10), length);
	piece_fill(s.f, big, 3, 0);
	piece_fill(s.f, big, 3, 1);
	/* In turn all get about the same: 8 times 400 KiB. What gives way is counted by time, so a
	 * busy machine, which sends the urgent piece late, has more tries. */
	for (unsigned i = 0; i < 5 && !first; i++) {
		usual = sent_to_others(&s, big, false);
		urgent = sent_to_others(&s, big, true);
		first = usual > 3 * urgent;
	}
	assert_true(first);
	store_task_unref(big);
	setting_close(&s);
}

static void allow_descriptors(rlim_t n)
{
	struct rlimit limit;

	assert_ok(getrlimit(RLIMIT_NOFILE, &limit));
	if (limit.rlim_cur < n) {
		limit.rlim_cur = n;
		assert_ok(setrlimit(RLIMIT_NOFILE, &limit));
	}
}

static void two_thousand_idle_connections_are_borne(void **state)
{
	enum { IDLE = 2000 };
	struct piece_server_config config = {.header_timeout_ms = 60000};
	struct piece_client *c = piece_client_new();
	cleanup(free_at) int *fds = mem_array(IDLE, sizeof(int));
	struct setting s;

	allow_descriptors(2 * IDLE + 100);
	setting_open(&s, state, &config);
	for (unsigned i = 0; i < IDLE; i++)
		fds[i] = dial(&s);
	await(&s, open, IDLE);
	assert_ok(fetch(&s, c, 1, 0));
	assert_int_equal(stat_now(&s).refused, 0);
	for (unsigned i = 0; i < IDLE; i++)
		close(fds[i]);
	piece_client_free(c);
	await(&s, open, 0);
	setting_close(&s);
}

static void longest_idle_makes_room(void **state)
{
	struct piece_server_config config = {
		.loops = 1, .connections_max = 4, .header_timeout_ms = 60000};
	struct piece_client *c = piece_client_new();
	struct setting s;
	int fds[8];

	setting_open(&s, state, &config);
	for (unsigned i = 0; i < array_len(fds); i++) {
		fds[i] = dial(&s);
		await(&s, accepted, i + 1);
	}
	await(&s, open, 4);
	for (unsigned i = 0; i < 4; i++)
		hear_end(fds[i]);
	ask(fds[7], 1, 2);
	hear_error(fds[7], VORTEX_NOT_FOUND);
	assert_ok(fetch(&s, c, 1, 0));
	for (unsigned i = 0; i < array_len(fds); i++)
		close(fds[i]);
	piece_client_free(c);
	setting_close(&s);
}

static void busy_connections_are_not_closed_for_new_ones(void **state)
{
	struct piece_server_config config = {.loops = 1, .connections_max = 1};
	uint8_t value[VORTEX_VALUE_MAX];
	struct store_task *big;
	struct setting s;
	int busy, late;

	setting_open(&s, state, &config);
	big = task_make(s.f, 3, 32u << 20, 32u << 20);
	piece_fill(s.f, big, 3, 0);
	busy = dial(&s);
	ask(busy, 3, 0);
	hear_packet(busy, value);
	late = dial(&s);
	hear_end(late);
	await(&s, refused, 1);
	close(busy);
	close(late);
	await(&s, open, 0);
	store_task_unref(big);
	setting_close(&s);
}

static void file_that_is_too_short_breaks_off(void **state)
{
	struct piece_server_config config = {0};
	struct piece_client *c = piece_client_new();
	cleanup(free_at) char *path = NULL;
	struct setting s;

	setting_open(&s, state, &config);
	path = path_of(s.f, 1, "");
	assert_ok(truncate(path, PIECE + 10));
	assert_int_equal(fetch(&s, c, 1, 1), -EPROTO);
	assert_ok(fetch(&s, c, 1, 0));
	await(&s, failed, 1);
	piece_client_free(c);
	setting_close(&s);
}

static void closing_the_server_ends_what_runs(void **state)
{
	struct piece_server_config config = {0};
	struct store_task *big;
	struct setting s;
	int busy, idle;

	setting_open(&s, state, &config);
	big = task_make(s.f, 3, 32u << 20, 32u << 20);
	piece_fill(s.f, big, 3, 0);
	busy = dial(&s);
	ask(busy, 3, 0);
	idle = dial(&s);
	await(&s, open, 2);
	setting_close(&s);
	hear_end(idle);
	close(idle);
	close(busy);
	store_task_unref(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		serving_test(client_gets_pieces_over_one_connection),
		serving_test(dragonfly_child_reads_to_its_length_and_closes),
		serving_test(other_kinds_of_tasks_are_not_found),
		serving_test(unproven_pieces_are_not_served),
		serving_test(a_host_that_does_not_share_has_nothing_for_anybody),
		serving_test(request_in_single_bytes_is_understood),
		serving_test(garbage_is_told_and_closed),
		serving_test(endless_header_meets_its_deadline),
		serving_test(kept_connection_has_a_longer_patience),
		serving_test(who_takes_nothing_is_not_counted_among_those_that_are_served),
		serving_test(slow_reader_is_left),
		serving_test(child_that_leaves_in_the_middle_costs_nothing),
		serving_test(bandwidth_is_kept),
		serving_test(what_a_reader_waits_for_is_sent_first),
		serving_test(two_thousand_idle_connections_are_borne),
		serving_test(longest_idle_makes_room),
		serving_test(busy_connections_are_not_closed_for_new_ones),
		serving_test(file_that_is_too_short_breaks_off),
		serving_test(closing_the_server_ends_what_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
