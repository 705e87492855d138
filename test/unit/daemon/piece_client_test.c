#include "daemon/piece_client.h"

#include "test/unit/unit.h"

#include "base/clock.h"
#include "base/mem.h"
#include "daemon/vortex.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#define ID	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define CONTENT (300u << 10)
#define BLOCK	(CONTENT / 16)

/* What the parent does with each request it gets. */
enum behaviour {
	KEEP,	  /* as a Skimmer parent */
	CLOSE,	  /* as a Dragonfly parent */
	LIE_KEEP, /* a Dragonfly parent whose id looks like ours, by chance */
	NOT_FOUND,
	CUT_CONTENT, /* closes in the middle */
	CUT_HEAD,
	OTHER_PIECE, /* answers with another number */
	OTHER_LENGTH,
	HUGE_VALUE, /* a header that announces 1 GiB */
	GARBAGE,
	SILENCE,
	STALL, /* half the content, then nothing */
	NO_DIGEST,
	OLDER,	     /* a Skimmer parent that knows no blocks */
	IN_ORDER,    /* one that has no digests of blocks */
	OTHER_BLOCK, /* begins with another than was asked for */
	OTHER_BLOCKS,
};

struct parent {
	enum behaviour behaviour;
	int listen_fd;
	struct net_addr addr;
	pthread_t thread;
	unsigned connections, requests, urgent, sent; /* atomic; sent: contents */
	unsigned by_blocks;			      /* atomic: requests */
	bool stop;				      /* atomic */
};

static char content[CONTENT];

static void send_all(int fd, const void *data, size_t len)
{
	struct err e;

	(void)!net_write_full(fd, data, len, clock_ms() + 30000, &e);
}

/* In two stretches. */
static void answer_blocks(struct parent *p, int fd, const uint8_t *request, uint8_t first)
{
	struct vortex_content c = {.number = 7,
				   .offset = 7 * CONTENT,
				   .length = CONTENT,
				   .has_crc32 = true,
				   .crc32 = 4242,
				   .blocks = {.count = 16, .first = first, .length = BLOCK}};
	uint8_t packet[VORTEX_PACKET_MAX];

	if (p->behaviour == OTHER_BLOCK)
		c.blocks.first ^= 1;
	if (p->behaviour == OTHER_BLOCKS) {
		c.blocks.count /= 2;
		c.blocks.length *= 2;
		c.blocks.first /= 2;
	}
	for (unsigned i = 0; i < 16; i++)
		c.blocks.crc32[i] = i;
	send_all(fd, packet, vortex_content_write(packet, vortex_kept_id(request[0]), &c));
	send_all(fd, content + first * BLOCK, CONTENT - first * BLOCK);
	send_all(fd, content, first * BLOCK);
}

static void answer_piece(struct parent *p, int fd, const uint8_t *request)
{
	struct vortex_content c = {.number = 7,
				   .offset = 7 * CONTENT,
				   .length = CONTENT,
				   .has_crc32 = p->behaviour != NO_DIGEST,
				   .crc32 = 4242,
				   .parent_id = "grandparent"};
	bool kept = p->behaviour != CLOSE;
	uint8_t packet[VORTEX_PACKET_MAX];
	size_t len;

	if (p->behaviour == OTHER_PIECE)
		c.number++;
	if (p->behaviour == OTHER_LENGTH)
		c.length--;
	len = vortex_content_write(packet, kept ? vortex_kept_id(request[0]) : request[0], &c);
	if (p->behaviour == CUT_HEAD) {
		send_all(fd, packet, len / 2);
		return;
	}
	send_all(fd, packet, len);
	send_all(fd, content,
		 p->behaviour == CUT_CONTENT || p->behaviour == STALL ? CONTENT / 2 : CONTENT);
	__atomic_add_fetch(&p->sent, 1, __ATOMIC_SEQ_CST);
}

/* False: the connection ends. */
static bool answer(struct parent *p, int fd, const uint8_t *request)
{
	uint8_t packet[VORTEX_PACKET_MAX];

	switch (p->behaviour) {
	case NOT_FOUND:
		send_all(fd, packet,
			 vortex_error_write(packet, vortex_kept_id(request[0]), VORTEX_NOT_FOUND,
					    "no such piece"));
		return true;
	case HUGE_VALUE:
		send_all(fd, "\x01\x01\x40\x00\x00\x00", 6);
		return true;
	case GARBAGE:
		send_all(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
		return true;
	case SILENCE:
		return true;
	default:
		answer_piece(p, fd, request);
		return p->behaviour == KEEP || p->behaviour == STALL || p->behaviour == NO_DIGEST ||
		       p->behaviour == OLDER || p->behaviour == IN_ORDER;
	}
}

/* False: the connection ends. */
static bool answer_by_blocks(struct parent *p, int fd, const uint8_t *request, uint8_t first)
{
	uint8_t packet[VORTEX_PACKET_MAX];

	__atomic_add_fetch(&p->by_blocks, 1, __ATOMIC_SEQ_CST);
	if (p->behaviour == OLDER) {
		send_all(fd, packet,
			 vortex_error_write(packet, request[0], VORTEX_INVALID_ARGUMENT,
					    "a packet of an unknown kind"));
		return false;
	}
	if (p->behaviour == IN_ORDER)
		answer_piece(p, fd, request);
	else
		answer_blocks(p, fd, request, first);
	return true;
}

static void serve_connection(struct parent *p, int fd)
{
	uint8_t request[VORTEX_REQUEST_MAX];
	struct vortex_request rq;
	struct err e;

	while (net_read_full(fd, request, VORTEX_REQUEST_LEN, clock_ms() + 30000, &e) == 0) {
		bool by_blocks = request[1] == VORTEX_DOWNLOAD_BLOCKS;

		if (by_blocks)
			assert_int_equal(net_read_full(fd, request + VORTEX_REQUEST_LEN, 1,
						       clock_ms() + 30000, &e),
					 0);
		assert_int_equal(vortex_request_read(request + 6, by_blocks ? 69 : 68, &rq, &e), 0);
		assert_string_equal(rq.task_id, ID);
		if (by_blocks) {
			if (!answer_by_blocks(p, fd, request, rq.first_block))
				return;
			continue;
		}
		__atomic_add_fetch(&p->requests, 1, __ATOMIC_SEQ_CST);
		if (request[0] == VORTEX_URGENT_ID)
			__atomic_add_fetch(&p->urgent, 1, __ATOMIC_SEQ_CST);
		if (!answer(p, fd, request))
			return;
	}
}

/* One connection at a time is enough. */
static void *serve(void *arg)
{
	struct parent *p = arg;

	while (!__atomic_load_n(&p->stop, __ATOMIC_SEQ_CST)) {
		struct pollfd poll_fd = {.fd = p->listen_fd, .events = POLLIN};
		cleanup(close_at) int fd = -1;

		if (poll(&poll_fd, 1, 20) > 0)
			fd = accept(p->listen_fd, NULL, NULL);
		if (fd < 0)
			continue;
		__atomic_add_fetch(&p->connections, 1, __ATOMIC_SEQ_CST);
		serve_connection(p, fd);
	}
	return NULL;
}

static void parent_start(struct parent *p, enum behaviour behaviour)
{
	struct err e;
	uint16_t port;

	*p = (struct parent){.behaviour = behaviour};
	for (size_t i = 0; i < CONTENT; i++)
		content[i] = (char)(i * 7 + i / 251);
	assert_int_equal(net_listen("127.0.0.1", 0, 16, &p->listen_fd, &port, &e), 0);
	assert_true(net_addr_parse("127.0.0.1", port, &p->addr));
	assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
}

static void parent_stop(struct parent *p)
{
	if (p->listen_fd < 0)
		return;
	__atomic_store_n(&p->stop, true, __ATOMIC_SEQ_CST);
	pthread_join(p->thread, NULL);
	close_at(&p->listen_fd);
}

static unsigned now(const unsigned *counter)
{
	return __atomic_load_n(counter, __ATOMIC_SEQ_CST);
}

struct sink {
	char bytes[CONTENT];
	size_t len;
	bool full;	      /* refuse from now on */
	bool *cancel_at_half; /* set this when half has come */
	const unsigned *sent; /* ... and when this is more than before */
	unsigned sent_before;
};

static int take(void *arg, const void *data, size_t len, struct err *e)
{
	struct sink *s = arg;

	if (s->full)
		return err_set(e, ENOSPC, "sink is full");
	assert_true(s->len + len <= CONTENT);
	memcpy(s->bytes + s->len, data, len);
	s->len += len;
	if (s->cancel_at_half && s->len >= CONTENT / 2) {
		int64_t until_ms = clock_ms() + 20000;

		while (s->sent && now(s->sent) == s->sent_before && clock_ms() < until_ms)
			poll(NULL, 0, 1);
		__atomic_store_n(s->cancel_at_half, true, __ATOMIC_SEQ_CST);
	}
	return 0;
}

static const struct piece_ask expected = {
	.task_id = ID, .number = 7, .offset = 7 * CONTENT, .length = CONTENT, .stall_ms = 30000};

/* A client that has met nobody yet, and a parent. */
struct setting {
	struct piece_client *c;
	struct parent p;
	struct piece_head head;
	struct err e;
};

static struct sink sink;

static int setup(void **state)
{
	*state = mem_new(struct setting);
	return 0;
}

static void end(struct setting *s)
{
	if (!s->c)
		return;
	piece_client_free(s->c);
	parent_stop(&s->p);
}

/* Others than before. */
static void begin(struct setting *s, enum behaviour behaviour)
{
	end(s);
	s->c = piece_client_new();
	parent_start(&s->p, behaviour);
}

static int teardown(void **state)
{
	end(*state);
	free(*state);
	return 0;
}

static int fetch_as(struct setting *s, const struct piece_ask *ask)
{
	sink.len = 0;
	return piece_client_fetch(s->c, &s->p.addr, ask, &s->head, take, &sink, &s->e);
}

static int fetch(struct setting *s)
{
	struct piece_ask ask = expected;

	ask.deadline_ms = clock_ms() + 30000;
	if (s->p.behaviour == SILENCE || s->p.behaviour == STALL)
		ask.stall_ms = 200;
	return fetch_as(s, &ask);
}

static int fetch_from(struct setting *s, unsigned first_block)
{
	struct piece_ask ask = expected;

	ask.deadline_ms = clock_ms() + 30000;
	ask.block_length = BLOCK;
	ask.first_block = first_block;
	return fetch_as(s, &ask);
}

static void by_blocks_a_piece_comes_in_two_stretches(void **state)
{
	struct setting *s = *state;

	begin(s, KEEP);
	for (unsigned first = 0; first < 16; first++) {
		assert_int_equal(fetch_from(s, first), 0);
		assert_int_equal(sink.len, CONTENT);
		assert_memory_equal(sink.bytes, content + first * BLOCK, CONTENT - first * BLOCK);
		assert_memory_equal(sink.bytes + CONTENT - first * BLOCK, content, first * BLOCK);
		assert_int_equal(s->head.blocks.first, first);
		assert_int_equal(s->head.blocks.count, 16);
		assert_int_equal(s->head.blocks.crc32[15], 15);
	}
	/* Who does not ask so is not answered so, on the same connection. */
	assert_int_equal(fetch(s), 0);
	assert_int_equal(s->head.blocks.count, 0);
	assert_memory_equal(sink.bytes, content, CONTENT);
	assert_int_equal(now(&s->p.connections), 1);
	assert_int_equal(now(&s->p.by_blocks), 16);
}

static void a_parent_without_digests_of_blocks_answers_in_order(void **state)
{
	struct setting *s = *state;

	begin(s, IN_ORDER);
	assert_int_equal(fetch_from(s, 9), 0);
	assert_int_equal(s->head.blocks.count, 0);
	assert_memory_equal(sink.bytes, content, CONTENT);
}

static void a_parent_that_knows_no_blocks_any_more_is_asked_as_ever(void **state)
{
	struct setting *s = *state;

	begin(s, OLDER);
	for (unsigned i = 1; i <= 2; i++) {
		assert_int_equal(fetch_from(s, 9), 0);
		assert_int_equal(s->head.blocks.count, 0);
		assert_memory_equal(sink.bytes, content, CONTENT);
		assert_int_equal(now(&s->p.by_blocks), i);
		assert_int_equal(now(&s->p.requests), i);
	}
}

static void other_blocks_than_were_asked_for_are_refused(void **state)
{
	struct setting *s = *state;

	for (enum behaviour b = OTHER_BLOCK; b <= OTHER_BLOCKS; b++) {
		begin(s, b);
		assert_int_equal(fetch_from(s, 9), -EPROTO);
		assert_non_null(strstr(s->e.text, "parent offers blocks of"));
		assert_int_equal(sink.len, 0);
	}
}

static void kept_connection_carries_many_pieces(void **state)
{
	struct setting *s = *state;

	begin(s, KEEP);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(fetch(s), 0);
		assert_int_equal(sink.len, CONTENT);
		assert_memory_equal(sink.bytes, content, CONTENT);
		assert_true(s->head.has_crc32);
		assert_int_equal(s->head.crc32, 4242);
		assert_string_equal(s->head.parent_id, "grandparent");
	}
	assert_int_equal(now(&s->p.connections), 1);
	assert_int_equal(now(&s->p.requests), 5);
}

static void dragonfly_parent_gets_a_connection_per_piece(void **state)
{
	struct setting *s = *state;

	begin(s, CLOSE);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fetch(s), 0);
	assert_int_equal(now(&s->p.connections), 3);
	assert_int_equal(now(&s->p.requests), 3);
}

static void a_closed_kept_connection_is_replaced(void **state)
{
	struct setting *s = *state;

	begin(s, LIE_KEEP);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(fetch(s), 0);
	assert_int_equal(now(&s->p.connections), 5);
}

static void digest_may_be_missing(void **state)
{
	struct setting *s = *state;

	begin(s, NO_DIGEST);
	assert_int_equal(fetch(s), 0);
	assert_false(s->head.has_crc32);
}

/* One failing exchange; the connection may not be used again. */
static void expect_failure(struct setting *s, enum behaviour behaviour, int code, const char *text)
{
	begin(s, behaviour);
	for (unsigned i = 1; i <= 2; i++) {
		assert_int_equal(fetch(s), -code);
		assert_int_equal(s->e.code, code);
		assert_non_null(strstr(s->e.text, text));
	}
	assert_int_equal(now(&s->p.connections), 2);
}

static void truncated_answers_are_refused(void **state)
{
	expect_failure(*state, CUT_CONTENT, EPROTO, "bytes missing");
	expect_failure(*state, CUT_HEAD, EPROTO, "closed");
}

static void another_piece_or_length_is_refused(void **state)
{
	expect_failure(*state, OTHER_PIECE, EPROTO, "offers piece 8");
	assert_int_equal(sink.len, 0);
	expect_failure(*state, OTHER_LENGTH, EPROTO, "offers piece 7");
	assert_int_equal(sink.len, 0);
}

static void garbage_is_refused(void **state)
{
	expect_failure(*state, HUGE_VALUE, EPROTO, "packet of 1073741824 bytes");
	expect_failure(*state, GARBAGE, EPROTO, "parent answers with");
}

static void silence_times_out(void **state)
{
	expect_failure(*state, SILENCE, ETIMEDOUT, "sends nothing");
	expect_failure(*state, STALL, ETIMEDOUT, "bytes missing");
}

static void not_found_keeps_the_connection(void **state)
{
	struct setting *s = *state;

	begin(s, NOT_FOUND);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(fetch(s), -ENOENT);
		assert_non_null(strstr(s->e.text, "no such piece"));
	}
	assert_int_equal(now(&s->p.connections), 1);
}

static void nobody_there_is_refused(void **state)
{
	struct setting *s = *state;

	begin(s, KEEP);
	parent_stop(&s->p);
	assert_int_equal(fetch(s), -ECONNREFUSED);
}

static void sinks_error_ends_the_piece(void **state)
{
	struct setting *s = *state;

	begin(s, KEEP);
	sink.full = true;
	assert_int_equal(fetch(s), -ENOSPC);
	sink.full = false;
	assert_int_equal(fetch(s), 0);
	assert_memory_equal(sink.bytes, content, CONTENT);
	assert_int_equal(now(&s->p.connections), 2);
}

static void cancelling_and_deadline_end_it(void **state)
{
	struct setting *s = *state;
	struct piece_ask ask = expected;
	bool cancelled = false;
	int64_t before;

	begin(s, STALL);
	sink.cancel_at_half = &cancelled;
	ask.cancelled = &cancelled;
	assert_int_equal(fetch_as(s, &ask), -ECANCELED);
	sink.cancel_at_half = NULL;
	before = clock_ms();
	ask.deadline_ms = before + 150;
	ask.cancelled = NULL;
	assert_int_equal(fetch_as(s, &ask), -ETIMEDOUT);
	assert_in_range(clock_ms() - before, 150, 25000);
}

/* What is left of the answer is here, so the next piece needs no new connection. How much the
 * sockets hold is theirs to decide: of many it must work for one. */
static void a_cancelled_piece_whose_rest_is_here_keeps_its_connection(void **state)
{
	struct setting *s = *state;
	struct piece_ask ask = expected;
	bool kept = false;

	begin(s, KEEP);
	for (unsigned rounds = 0; rounds < 200 && !kept; rounds++) {
		bool cancelled = false;
		unsigned connections;
		int r;

		ask.cancelled = &cancelled;
		sink.cancel_at_half = &cancelled;
		sink.sent = &s->p.sent;
		sink.sent_before = now(&s->p.sent);
		r = fetch_as(s, &ask);
		connections = now(&s->p.connections);
		sink.cancel_at_half = NULL;
		assert_int_equal(fetch(s), 0);
		assert_memory_equal(sink.bytes, content, CONTENT);
		kept = r == -ECANCELED && now(&s->p.connections) == connections;
	}
	assert_true(kept);
}

/* More often than there are ids, so that chance would show. */
static void only_what_a_reader_waits_for_is_marked_urgent(void **state)
{
	struct setting *s = *state;
	struct piece_ask ask = expected;

	begin(s, NOT_FOUND);
	for (unsigned i = 0; i < 600; i++) {
		ask.urgent = i >= 590;
		assert_int_equal(fetch_as(s, &ask), -ENOENT);
	}
	assert_int_equal(now(&s->p.urgent), 10);
}

#define with_parent(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_parent(kept_connection_carries_many_pieces),
		with_parent(dragonfly_parent_gets_a_connection_per_piece),
		with_parent(a_closed_kept_connection_is_replaced),
		with_parent(by_blocks_a_piece_comes_in_two_stretches),
		with_parent(a_parent_without_digests_of_blocks_answers_in_order),
		with_parent(a_parent_that_knows_no_blocks_any_more_is_asked_as_ever),
		with_parent(other_blocks_than_were_asked_for_are_refused),
		with_parent(digest_may_be_missing),
		with_parent(truncated_answers_are_refused),
		with_parent(another_piece_or_length_is_refused),
		with_parent(garbage_is_refused),
		with_parent(silence_times_out),
		with_parent(not_found_keeps_the_connection),
		with_parent(nobody_there_is_refused),
		with_parent(sinks_error_ends_the_piece),
		with_parent(cancelling_and_deadline_end_it),
		with_parent(a_cancelled_piece_whose_rest_is_here_keeps_its_connection),
		with_parent(only_what_a_reader_waits_for_is_marked_urgent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
