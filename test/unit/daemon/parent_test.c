/* daemon/parent: against a fake parent over loopback */
#include "daemon/parent.h"

#include "test/unit/await.h"
#include "test/unit/rpc_group.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"
#include "daemon/channels.h"
#include "proto/message.h"

#include "dfdaemon_v2.pb-c.h"
#include "skimmer_v1.pb-c.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#define ID "1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

enum behaviour { TELLS, LACKS_ADDRESS, LIES, NOT_FOUND, STAYS };

struct fake {
	struct rpc_server *server;
	enum behaviour behaviour;
	struct lock lock;
	/* all below: lock */
	char host_id[64], peer_id[64], task_id[65];
	uint32_t interested[8];
	size_t interested_count;
	unsigned closed, rooms;
	bool full;
	struct rpc_call *staying;
};

static void send_piece(struct rpc_call *call, uint32_t number, const char *ip, int32_t port)
{
	Dfdaemon__V2__SyncPiecesResponse m = DFDAEMON__V2__SYNC_PIECES_RESPONSE__INIT;

	m.number = number;
	m.offset = (uint64_t)number * 4096;
	m.length = 4096;
	m.ip = (char *)ip;
	if (port)
		message_set(&m, tcp_port, DFDAEMON__V2__SYNC_PIECES_RESPONSE__TCP_PORT__TCP_PORT,
			    port);
	assert_true(rpc_call_send(call, &m.base));
}

static void sync_pieces(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Dfdaemon__V2__SyncPiecesRequest *rq = (const void *)req;
	struct fake *f = arg;

	lock_take(&f->lock);
	snprintf(f->host_id, sizeof(f->host_id), "%s", rq->host_id);
	snprintf(f->task_id, sizeof(f->task_id), "%s", rq->task_id);
	f->interested_count = rq->n_interested_piece_numbers;
	memcpy(f->interested, rq->interested_piece_numbers,
	       f->interested_count * sizeof(*f->interested));
	lock_drop(&f->lock);
	switch (f->behaviour) {
	case TELLS:
		send_piece(call, 1, "10.9.8.7", 4005);
		send_piece(call, 2, "fd00::1", 4005);
		rpc_call_finish(call, RPC_OK, NULL);
		break;
	case LACKS_ADDRESS:
		send_piece(call, 1, "", 0);
		rpc_call_finish(call, RPC_OK, NULL);
		break;
	case LIES:
		send_piece(call, 1, "not an address", 4005);
		send_piece(call, 2, "10.9.8.7", 70000);
		rpc_call_finish(call, RPC_OK, NULL);
		break;
	case NOT_FOUND:
		rpc_call_finish(call, RPC_NOT_FOUND, "task not found");
		break;
	case STAYS:
		send_piece(call, 1, "10.9.8.7", 4005);
		break;
	}
}

static void sync_closed(struct rpc_call *call, void *arg)
{
	struct fake *f = arg;

	(void)call;
	lock_guard(&f->lock);
	f->closed++;
}

static void sync_host(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Dfdaemon__V2__SyncHostRequest *rq = (const void *)req;
	Common__V2__Host host = COMMON__V2__HOST__INIT;
	Common__V2__Network network = COMMON__V2__NETWORK__INIT;
	struct fake *f = arg;

	lock_take(&f->lock);
	snprintf(f->peer_id, sizeof(f->peer_id), "%s", rq->peer_id);
	lock_drop(&f->lock);
	network.max_tx_bandwidth = 8000;
	message_set(&network, tx_bandwidth, COMMON__V2__NETWORK__TX_BANDWIDTH__TX_BANDWIDTH, 800);
	host.network = &network;
	rpc_call_send(call, &host.base);
	rpc_call_finish(call, RPC_OK, NULL);
}

static void tell_room(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Skimmer__V1__TellRoomRequest *rq = (const void *)req;
	struct fake *f = arg;

	(void)call;
	assert_string_equal(rq->task_id, "task");
	assert_string_equal(rq->host_id, "me");
	lock_guard(&f->lock);
	f->full = rq->full;
	f->rooms++;
}

static void fake_start(struct fake *f, enum behaviour behaviour, struct parent_info *info)
{
	static const struct rpc_method methods[] = {
		{.path = "/dfdaemon.v2.DfdaemonUpload/SyncPieces",
		 .request = &dfdaemon__v2__sync_pieces_request__descriptor,
		 .message = sync_pieces,
		 .closed = sync_closed},
		{.path = "/dfdaemon.v2.DfdaemonUpload/SyncHost",
		 .request = &dfdaemon__v2__sync_host_request__descriptor,
		 .message = sync_host},
		{.path = NULL},
	};
	static const struct rpc_method room[] = {
		{.path = "/skimmer.v1.Feeding/TellRoom",
		 .request = &skimmer__v1__tell_room_request__descriptor,
		 .client_streams = true,
		 .message = tell_room,
		 .closed = sync_closed},
		{.path = NULL},
	};
	static const struct rpc_method *const theirs[] = {methods, NULL};
	static const struct rpc_method *const ours[] = {methods, room, NULL};
	static const char *const listen[] = {"127.0.0.1:0", NULL};
	void *args[] = {f, f};
	struct rpc_server_config c = {.listen = listen,
				      .services = behaviour == STAYS ? ours : theirs,
				      .service_args = args};
	struct err e;

	memset(f, 0, sizeof(*f));
	f->behaviour = behaviour;
	lock_init(&f->lock, 10);
	assert_int_equal(rpc_server_new(&c, &f->server, &e), 0);
	*info = (struct parent_info){.peer_id = "parent-peer",
				     .host_id = "parent-host",
				     .ip = "127.0.0.1",
				     .port = rpc_server_port(f->server)};
}

struct heard {
	struct lock lock;
	/* all below: lock */
	unsigned pieces, bandwidths, closes;
	uint32_t numbers[8];
	uint64_t offsets[8];
	char addrs[8][64];
	uint64_t tx, tx_max;
	struct err e; /* code 0 = closed without */
};

static void hear_piece(struct parent *p, const struct parent_piece *piece, void *arg)
{
	struct heard *h = arg;

	(void)p;
	assert_false(piece->later);
	assert_false(piece->by_blocks); /* as a Dragonfly parent leaves it */
	assert_int_equal(piece->length, 4096);
	lock_guard(&h->lock);
	h->numbers[h->pieces] = piece->number;
	h->offsets[h->pieces] = piece->offset;
	net_addr_print(&piece->addr, h->addrs[h->pieces], sizeof(h->addrs[0]));
	h->pieces++;
}

static void hear_bandwidth(struct parent *p, uint64_t tx, uint64_t tx_max, void *arg)
{
	struct heard *h = arg;

	(void)p;
	lock_guard(&h->lock);
	h->tx = tx;
	h->tx_max = tx_max;
	h->bandwidths++;
}

static void hear_closed(struct parent *p, const struct err *e, void *arg)
{
	struct heard *h = arg;

	(void)p;
	lock_guard(&h->lock);
	if (e)
		h->e = *e;
	h->closes++;
}

static const struct parent_ops ops = {
	.piece = hear_piece, .bandwidth = hear_bandwidth, .closed = hear_closed};

static const uint32_t interested[] = {1, 2, 7};

static struct parent *ask(const struct parent_info *info, struct heard *h)
{
	memset(h, 0, sizeof(*h));
	lock_init(&h->lock, 20);
	return parent_open(info, ID, "child-host", "child-peer", interested, 3, &ops, h);
}

static unsigned now(struct lock *lock, const unsigned *counter)
{
	lock_guard(lock);
	return *counter;
}

struct setting {
	struct fake f;
	struct parent_info info;
	struct parent *p;
	struct heard h;
};

static int setup(void **state)
{
	*state = mem_new(struct setting);
	return 0;
}

static void leave(struct setting *s)
{
	parent_free(take_ptr(&s->p));
}

static void end(struct setting *s)
{
	leave(s);
	rpc_server_free(take_ptr(&s->f.server), 0);
}

static int teardown(void **state)
{
	end(*state);
	free(*state);
	return 0;
}

/* Another parent than before, and a child of it. */
static void begin(struct setting *s, enum behaviour behaviour)
{
	end(s);
	fake_start(&s->f, behaviour, &s->info);
	s->p = ask(&s->info, &s->h);
}

static void pieces_and_bandwidth_are_told(void **state)
{
	struct setting *s = *state;

	begin(s, TELLS);
	await_that(now(&s->h.lock, &s->h.closes) == 1);
	await_that(now(&s->h.lock, &s->h.bandwidths) == 1);
	assert_int_equal(s->h.e.code, 0);
	assert_int_equal(s->h.pieces, 2);
	assert_int_equal(s->h.numbers[1], 2);
	assert_int_equal(s->h.offsets[1], 8192);
	assert_string_equal(s->h.addrs[0], "10.9.8.7:4005");
	assert_string_equal(s->h.addrs[1], "[fd00::1]:4005");
	assert_int_equal(s->h.tx, 100);
	assert_int_equal(s->h.tx_max, 1000);
	lock_take(&s->f.lock);
	assert_string_equal(s->f.host_id, "child-host");
	assert_string_equal(s->f.peer_id, "child-peer");
	assert_string_equal(s->f.task_id, ID);
	assert_int_equal(s->f.interested_count, 3);
	assert_int_equal(s->f.interested[2], 7);
	lock_drop(&s->f.lock);
	assert_string_equal(parent_info(s->p)->peer_id, "parent-peer");
}

static void missing_and_odd_addresses_fall_back_to_the_hosts(void **state)
{
	static const enum behaviour behaviours[] = {LACKS_ADDRESS, LIES};
	struct setting *s = *state;
	char want[64];

	for (size_t i = 0; i < array_len(behaviours); i++) {
		begin(s, behaviours[i]);
		await_that(now(&s->h.lock, &s->h.closes) == 1);
		snprintf(want, sizeof(want), "127.0.0.1:%u", s->info.port);
		for (unsigned k = 0; k < s->h.pieces; k++)
			assert_string_equal(s->h.addrs[k], want);
		assert_int_equal(s->h.pieces, i + 1);
	}
}

static void a_parent_without_the_task_is_closed_with_its_reason(void **state)
{
	struct setting *s = *state;

	begin(s, NOT_FOUND);
	await_that(now(&s->h.lock, &s->h.closes) == 1);
	assert_int_equal(s->h.e.code, ENOENT);
	assert_non_null(strstr(s->h.e.text, "task not found"));
}

static void a_parent_that_is_gone_is_closed(void **state)
{
	struct setting *s = *state;

	begin(s, STAYS);
	await_that(now(&s->h.lock, &s->h.pieces) == 1);
	rpc_server_free(take_ptr(&s->f.server), 0);
	await_that(now(&s->h.lock, &s->h.closes) == 1);
	assert_int_not_equal(s->h.e.code, 0);
	leave(s);
	s->p = ask(&s->info, &s->h); /* refused */
	await_that(now(&s->h.lock, &s->h.closes) == 1);
	assert_int_equal(s->h.e.code, EHOSTUNREACH);
}

static void freeing_ends_the_streams_and_mutes_them(void **state)
{
	struct setting *s = *state;

	begin(s, STAYS);
	await_that(now(&s->h.lock, &s->h.pieces) == 1);
	leave(s);
	assert_int_equal(s->h.closes, 0);
	await_that(now(&s->f.lock, &s->f.closed) == 1);
	parent_free(NULL);
}

static void asking_sooner_is_one_more_stream_whose_end_means_nothing(void **state)
{
	static const uint32_t numbers[] = {1, 2};
	struct setting *s = *state;

	begin(s, STAYS);
	await_that(now(&s->h.lock, &s->h.pieces) == 1);
	parent_ask_sooner(s->p, "task", "me", &numbers[0], 1);
	await_that(now(&s->h.lock, &s->h.pieces) == 2);
	parent_ask_sooner(s->p, "task", "me", &numbers[1], 1); /* instead of the one before */
	await_that(now(&s->h.lock, &s->h.pieces) == 3);
	await_that(now(&s->f.lock, &s->f.closed) == 1);
	assert_int_equal(now(&s->h.lock, &s->h.closes), 0);
	leave(s);
	await_that(now(&s->f.lock, &s->f.closed) == 3);
}

static bool is_full(struct fake *f)
{
	lock_guard(&f->lock);
	return f->full;
}

static void a_parent_is_told_whether_there_is_room(void **state)
{
	struct setting *s = *state;

	begin(s, STAYS);
	parent_tell_room(s->p, "task", "me", true);
	await_that(now(&s->f.lock, &s->f.rooms) == 1);
	assert_true(is_full(&s->f));
	parent_tell_room(s->p, "task", "me", false); /* on the same stream */
	await_that(now(&s->f.lock, &s->f.rooms) == 2);
	assert_false(is_full(&s->f));
	leave(s);
	await_that(now(&s->f.lock, &s->f.closed) == 2);
}

static void a_parent_that_does_not_know_the_question_is_none_the_worse(void **state)
{
	struct setting *s = *state;

	begin(s, TELLS);
	parent_tell_room(s->p, "task", "me", true);
	await_that(now(&s->h.lock, &s->h.closes) == 1);
	assert_int_equal(now(&s->h.lock, &s->h.pieces), 2);
	assert_int_equal(s->h.e.code, 0);
	parent_tell_room(s->p, "task", "me", false);
}

static void channels_are_shared_and_closed_when_idle(void **state)
{
	struct setting *s = *state;
	struct parent *parents[20];
	struct heard h[20];

	channels_close_idle();
	assert_int_equal(channels_count(), 0);
	fake_start(&s->f, STAYS, &s->info);
	for (unsigned i = 0; i < 20; i++)
		parents[i] = ask(&s->info, &h[i]);
	for (unsigned i = 0; i < 20; i++)
		await_that(now(&h[i].lock, &h[i].pieces) == 1);
	assert_int_equal(channels_count(), 1);
	channels_close_idle();
	assert_int_equal(channels_count(), 1);
	for (unsigned i = 0; i < 20; i++)
		parent_free(parents[i]);
	assert_int_equal(channels_count(), 1);
	channels_close_idle();
	assert_int_equal(channels_count(), 0);
}

static void idle_channels_are_bounded_in_number_and_time(void **state)
{
	int64_t now_ms = 1000000;
	char target[32];

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		snprintf(target, sizeof(target), "127.0.0.1:%u", 20000 + i);
		channels_give(channels_take(target));
	}
	assert_int_equal(channels_count(), 128);
	channels_close_idle();
	clock_fake(&now_ms);
	channels_give(channels_take("127.0.0.1:20000"));
	__atomic_add_fetch(&now_ms, 60001, __ATOMIC_SEQ_CST);
	for (int tries = 0; channels_count() > 0 && tries < 5000; tries++)
		poll(NULL, 0, 1);
	assert_int_equal(channels_count(), 0);
	clock_fake(NULL);
}

static int close_group(void **state)
{
	channels_close_idle();
	return rpc_group_teardown(state);
}

#define with_parent(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_parent(pieces_and_bandwidth_are_told),
		with_parent(missing_and_odd_addresses_fall_back_to_the_hosts),
		with_parent(a_parent_without_the_task_is_closed_with_its_reason),
		with_parent(a_parent_that_is_gone_is_closed),
		with_parent(freeing_ends_the_streams_and_mutes_them),
		with_parent(asking_sooner_is_one_more_stream_whose_end_means_nothing),
		with_parent(a_parent_is_told_whether_there_is_room),
		with_parent(a_parent_that_does_not_know_the_question_is_none_the_worse),
		with_parent(channels_are_shared_and_closed_when_idle),
		cmocka_unit_test(idle_channels_are_bounded_in_number_and_time),
	};

	return cmocka_run_group_tests(tests, rpc_group_setup, close_group);
}
