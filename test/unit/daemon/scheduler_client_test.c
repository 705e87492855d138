/* daemon/scheduler_client: against fake schedulers over loopback */
#include "daemon/scheduler_client.h"

#include "test/unit/daemon/fake_scheduler.h"
#include "test/unit/rpc_group.h"

#include "base/log.h"

#include <errno.h>

#define ID "1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct setting {
	struct host *host;
	struct scheduler_client *client;
	struct fake_scheduler fake;
};

static void setting_open(struct setting *s, enum fake_answer answer)
{
	struct scheduler_client_config c = {.announce_interval_ms = 60000,
					    .answer_timeout_ms = 30000};
	struct host_config h = {
		.hostname = "child", .ip = "10.0.0.1", .port = 4000, .download_port = 4000};
	const char *addrs[] = {s->fake.addr};

	fake_start(&s->fake, NULL, answer);
	s->host = host_new(&h);
	s->client = scheduler_client_new(&c, s->host);
	scheduler_client_set(s->client, addrs, 1);
	await_that(scheduler_client_alive(s->client) == 1);
}

static void setting_close(struct setting *s)
{
	scheduler_client_free(s->client);
	host_free(s->host);
	fake_release(&s->fake);
}

/* What the callbacks of a conversation were told. */
struct heard {
	struct lock lock;
	/* all below: lock */
	struct parent_info parents[8];
	size_t parent_count;
	unsigned parents_calls, sources, readies, closes;
	char why[128];
	struct err e;
	bool drop; /* drop the conversation from the callback */
};

static void hear_parents(struct schedule *s, const struct parent_info *parents, size_t count,
			 void *arg)
{
	struct heard *h = arg;
	bool drop;

	assert_true(count <= 8);
	lock_take(&h->lock);
	memcpy(h->parents, parents, count * sizeof(*parents));
	h->parent_count = count;
	h->parents_calls++;
	drop = h->drop;
	lock_drop(&h->lock);
	if (drop)
		schedule_drop(s);
}

static void hear_source(struct schedule *s, const char *why, void *arg)
{
	struct heard *h = arg;

	(void)s;
	lock_guard(&h->lock);
	snprintf(h->why, sizeof(h->why), "%s", why);
	h->sources++;
}

static void hear_ready(struct schedule *s, void *arg)
{
	struct heard *h = arg;

	(void)s;
	lock_guard(&h->lock);
	h->readies++;
}

static void hear_closed(struct schedule *s, const struct err *e, void *arg)
{
	struct heard *h = arg;
	bool drop;

	lock_take(&h->lock);
	h->e = *e;
	h->closes++;
	drop = h->drop;
	lock_drop(&h->lock);
	if (drop)
		schedule_drop(s);
}

static const struct schedule_ops ops = {.parents = hear_parents,
					.back_to_source = hear_source,
					.ready = hear_ready,
					.closed = hear_closed};

static void heard_init(struct heard *h)
{
	memset(h, 0, sizeof(*h));
	lock_init(&h->lock, 20);
}

static unsigned heard_count(struct heard *h, const unsigned *counter)
{
	lock_guard(&h->lock);
	return *counter;
}

static struct store_meta meta_now(void)
{
	struct store_meta m = {.id = ID,
			       .url = (char *)"https://example.com/x",
			       .digest = (char *)"sha256:" ID,
			       .tag = (char *)"t"};

	assert_true(geometry_init(&m.geometry, 10 << 20, 4 << 20));
	return m;
}

static struct schedule *begin(struct setting *s, struct heard *h)
{
	struct store_meta meta = meta_now();
	struct schedule_register reg = {.meta = &meta, .concurrent_piece_count = 8};

	return schedule_new(s->client, &reg, &ops, h);
}

/* A scheduler that answers so, and the first conversation with it. */
static struct schedule *meet(struct setting *s, enum fake_answer answer, struct heard *h)
{
	heard_init(h);
	setting_open(s, answer);
	return begin(s, h);
}

static Scheduler__V2__AnnouncePeerRequest *request(struct setting *s, unsigned i)
{
	await_that(fake_count(&s->fake, &s->fake.request_count) > i);
	return s->fake.requests[i];
}

static void host_is_announced_when_an_address_appears(void **state)
{
	struct setting s;

	(void)state;
	setting_open(&s, FAKE_NORMAL);
	lock_take(&s.fake.lock);
	assert_int_equal(s.fake.announced, 1);
	assert_string_equal(s.fake.host_id, "10.0.0.1-child");
	assert_int_equal(s.fake.interval_ms, 60000);
	assert_true(s.fake.announced_valid);
	lock_drop(&s.fake.lock);
	scheduler_client_leave(s.client);
	assert_int_equal(fake_count(&s.fake, &s.fake.deleted), 1);
	setting_close(&s);
}

static void host_is_announced_at_the_interval(void **state)
{
	struct scheduler_client_config c = {.announce_interval_ms = 30, .answer_timeout_ms = 30000};
	struct host_config h = {.hostname = "child", .ip = "10.0.0.1", .port = 4000};
	const char *addrs[1];
	struct setting s;

	(void)state;
	fake_start(&s.fake, NULL, FAKE_NORMAL);
	addrs[0] = s.fake.addr;
	s.host = host_new(&h);
	s.client = scheduler_client_new(&c, s.host);
	scheduler_client_set(s.client, addrs, 1);
	await_that(fake_count(&s.fake, &s.fake.announced) >= 4);
	setting_close(&s);
}

static void registration_has_what_the_validators_want(void **state)
{
	struct store_meta meta = meta_now();
	const char *const filter[] = {"Expires", "ns"};
	char name[] = "Authorization", value[] = "Bearer x", range[] = "Range";
	struct {
		char *name, *value;
	} headers[2] = {{name, value}, {range, value}};
	struct config_pairs pairs = {.items = (void *)headers, .count = 2};
	struct schedule_register reg = {.meta = &meta,
					.filtered_params = filter,
					.filtered_param_count = 2,
					.headers = &pairs,
					.priority = 3,
					.blob_digest_id = true,
					.piece_length = 4 << 20,
					.concurrent_piece_count = 8};
	const Scheduler__V2__AnnouncePeerRequest *rq;
	const Common__V2__Download *d;
	struct schedule *schedule;
	struct setting s;
	struct heard h;

	(void)state;
	heard_init(&h);
	setting_open(&s, FAKE_NORMAL);
	schedule = schedule_new(s.client, &reg, &ops, &h);
	rq = request(&s, 0);
	assert_string_equal(rq->host_id, "10.0.0.1-child");
	assert_string_equal(rq->task_id, ID);
	assert_string_equal(rq->peer_id, schedule_peer_id(schedule));
	assert_int_equal(rq->request_case,
			 SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__REQUEST_REGISTER_PEER_REQUEST);
	d = rq->register_peer_request->download;
	assert_string_equal(d->url, "https://example.com/x");
	assert_string_equal(message_text(d, digest), "sha256:" ID);
	assert_string_equal(message_text(d, tag), "t");
	assert_null(message_text(d, application));
	assert_int_equal(d->n_filtered_query_params, 2);
	assert_int_equal(d->n_request_header, 1);
	assert_string_equal(d->request_header[0]->key, "Authorization");
	assert_int_equal(d->priority, 3);
	assert_true(d->enable_task_id_based_blob_digest);
	assert_int_equal(message_number(d, piece_length, 0), 4 << 20);
	assert_int_equal(message_number(d, actual_piece_length, 0), 4 << 20);
	assert_int_equal(message_number(d, actual_content_length, 0), 10 << 20);
	assert_int_equal(message_number(d, actual_piece_count, 0), 3);
	assert_int_equal(message_number(d, concurrent_piece_count, 0), 8);
	schedule_drop(schedule);
	setting_close(&s);
}

static void a_blob_without_url_is_registered_by_its_digest(void **state)
{
	struct store_meta meta = meta_now();
	struct schedule_register reg = {.meta = &meta};
	struct schedule *schedule;
	struct setting s;
	struct heard h;

	(void)state;
	meta.url = NULL;
	heard_init(&h);
	setting_open(&s, FAKE_NORMAL);
	schedule = schedule_new(s.client, &reg, &ops, &h);
	assert_string_equal(request(&s, 0)->register_peer_request->download->url, "sha256:" ID);
	schedule_drop(schedule);
	setting_close(&s);
}

static void parents_are_told_and_checked(void **state)
{
	struct schedule *schedule;
	struct setting s;
	struct heard h;

	(void)state;
	schedule = meet(&s, FAKE_NORMAL, &h);
	await_that(heard_count(&h, &h.parents_calls) == 1);
	assert_int_equal(h.parent_count, 2);
	assert_string_equal(h.parents[0].ip, "10.0.0.7");
	assert_string_equal(h.parents[0].peer_id, "parent-peer");
	assert_string_equal(h.parents[0].host_id, "parent-host");
	assert_int_equal(h.parents[0].port, 4000);
	assert_false(h.parents[0].is_seed);
	assert_string_equal(h.parents[1].ip, "fd00::1");
	assert_true(h.parents[1].is_seed);
	schedule_drop(schedule);
	await_that(fake_count(&s.fake, &s.fake.closed) == 1);
	setting_close(&s);
}

static void conversation_of_a_download_from_peers(void **state)
{
	struct store_piece piece = {.length = 4 << 20, .crc32 = 4242, .created_s = 1700000000};
	struct parent_info tried[2] = {
		{.peer_id = "bad", .host_id = "bad-host", .ip = "10.0.0.8", .port = 4000},
		{.peer_id = "low", .host_id = "low-host", .ip = "10.0.0.9", .port = 80}};
	const Common__V2__Peer *parent;
	const Common__V2__Piece *told;
	struct schedule *schedule;
	struct setting s;
	struct heard h;

	(void)state;
	schedule = meet(&s, FAKE_NORMAL, &h);
	await_that(heard_count(&h, &h.parents_calls) == 1);
	schedule_started(schedule);
	schedule_started(schedule);
	schedule_piece_finished(schedule, 2, 8 << 20, &piece, "parent-peer");
	schedule_piece_failed(schedule, 1, "parent-peer", true);
	schedule_reschedule(schedule, tried, 2, "too slow");
	await_that(heard_count(&h, &h.sources) == 1);
	schedule_finished(schedule);
	schedule_drop(schedule);
	assert_int_equal(
		request(&s, 1)->request_case,
		SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__REQUEST_DOWNLOAD_PEER_STARTED_REQUEST);
	told = request(&s, 2)->download_piece_finished_request->piece;
	assert_int_equal(told->number, 2);
	assert_int_equal(told->offset, 8 << 20);
	assert_int_equal(told->length, 4 << 20);
	assert_string_equal(told->digest, "crc32:4242");
	assert_string_equal(message_text(told, parent_id), "parent-peer");
	assert_int_equal(message_number(told, traffic_type, 9),
			 COMMON__V2__TRAFFIC_TYPE__REMOTE_PEER);
	assert_non_null(told->cost);
	assert_int_equal(told->created_at->seconds, 1700000000);
	assert_true(request(&s, 3)->download_piece_failed_request->temporary);
	assert_int_equal(request(&s, 4)->reschedule_peer_request->n_candidate_parents, 1);
	parent = request(&s, 4)->reschedule_peer_request->candidate_parents[0];
	assert_string_equal(parent->id, "bad");
	assert_true(parent->state[0] && parent->host->hostname[0] && parent->task->state[0]);
	assert_true(parent->cost && parent->created_at && parent->updated_at);
	assert_int_equal(
		request(&s, 5)->request_case,
		SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__REQUEST_DOWNLOAD_PEER_FINISHED_REQUEST);
	await_that(fake_count(&s.fake, &s.fake.closed) == 1);
	assert_int_equal(h.closes, 0);
	setting_close(&s);
}

static void conversation_of_a_download_from_the_origin(void **state)
{
	struct store_piece piece = {.length = 4 << 20, .crc32 = 4242};
	struct schedule *schedule;
	struct setting s;
	struct heard h;

	(void)state;
	schedule = meet(&s, FAKE_BACK_TO_SOURCE, &h);
	await_that(heard_count(&h, &h.sources) == 1);
	assert_string_equal(h.why, "nobody has it");
	schedule_back_to_source_started(schedule, "told to");
	schedule_piece_finished(schedule, 0, 0, &piece, NULL);
	schedule_piece_failed(schedule, 1, NULL, true);
	schedule_failed(schedule, "origin is gone");
	schedule_finished(schedule); /* too late: says nothing */
	schedule_drop(schedule);
	assert_int_equal(
		request(&s, 1)->request_case,
		SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__REQUEST_DOWNLOAD_PEER_BACK_TO_SOURCE_STARTED_REQUEST);
	assert_int_equal(
		message_number(
			request(&s, 2)->download_piece_back_to_source_finished_request->piece,
			traffic_type, 9),
		COMMON__V2__TRAFFIC_TYPE__BACK_TO_SOURCE);
	assert_int_equal(
		request(&s, 3)->request_case,
		SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__REQUEST_DOWNLOAD_PIECE_BACK_TO_SOURCE_FAILED_REQUEST);
	assert_string_equal(
		message_text(request(&s, 4)->download_peer_back_to_source_failed_request,
			     description),
		"origin is gone");
	await_that(fake_count(&s.fake, &s.fake.closed) == 1);
	assert_int_equal(fake_count(&s.fake, &s.fake.request_count), 5);
	setting_close(&s);
}

static void empty_and_known_tasks_are_ready(void **state)
{
	static const enum fake_answer answers[] = {FAKE_EMPTY, FAKE_METADATA};

	(void)state;
	for (size_t i = 0; i < array_len(answers); i++) {
		struct schedule *schedule;
		struct setting s;
		struct heard h;

		schedule = meet(&s, answers[i], &h);
		await_that(heard_count(&h, &h.readies) == 1);
		schedule_finished(schedule);
		/* Started is told, or the scheduler's table would refuse the end. */
		assert_int_equal(
			request(&s, 1)->request_case,
			SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__REQUEST_DOWNLOAD_PEER_STARTED_REQUEST);
		request(&s, 2);
		schedule_drop(schedule);
		setting_close(&s);
	}
}

static void expect_closed(enum fake_answer answer, int code)
{
	struct schedule *schedule;
	struct setting s;
	struct heard h;

	schedule = meet(&s, answer, &h);
	await_that(heard_count(&h, &h.closes) == 1);
	assert_int_equal(h.e.code, code);
	schedule_started(schedule);
	schedule_finished(schedule);
	schedule_drop(schedule);
	assert_int_equal(heard_count(&h, &h.closes), 1);
	setting_close(&s);
}

static void refusals_are_told(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	expect_closed(FAKE_NO_TASK, ENOENT);
	expect_closed(FAKE_FORBIDDEN, EACCES);
	expect_closed(FAKE_END, EPIPE);
	expect_closed(FAKE_UNAVAILABLE, EHOSTUNREACH);
}

static void silence_is_closed_after_the_deadline(void **state)
{
	struct scheduler_client_config c = {.announce_interval_ms = 60000, .answer_timeout_ms = 80};
	struct schedule *schedule;
	const char *addrs[1];
	struct setting s;
	struct heard h;

	(void)state;
	heard_init(&h);
	setting_open(&s, FAKE_SILENCE);
	scheduler_client_free(s.client);
	s.client = scheduler_client_new(&c, s.host);
	addrs[0] = s.fake.addr;
	scheduler_client_set(s.client, addrs, 1);
	await_that(scheduler_client_alive(s.client) == 1);
	schedule = begin(&s, &h);
	await_that(heard_count(&h, &h.closes) == 1);
	assert_int_equal(h.e.code, ETIMEDOUT);
	schedule_drop(schedule);
	setting_close(&s);
}

static void no_scheduler_is_told_soon_and_not_inside_new(void **state)
{
	struct scheduler_client_config c = {.announce_interval_ms = 60000,
					    .answer_timeout_ms = 60000};
	struct host_config host = {.hostname = "child", .ip = "10.0.0.1", .port = 4000};
	struct schedule *schedule;
	uint64_t length;
	uint32_t count;
	struct setting s;
	struct heard h;
	struct err e;

	(void)state;
	heard_init(&h);
	s.host = host_new(&host);
	s.client = scheduler_client_new(&c, s.host);
	schedule = begin(&s, &h);
	await_that(heard_count(&h, &h.closes) == 1);
	assert_int_equal(h.e.code, EHOSTUNREACH);
	schedule_drop(schedule);
	assert_int_equal(scheduler_client_stat_task(s.client, ID, &length, &count, &e), -ENOENT);
	scheduler_client_free(s.client);
	host_free(s.host);
}

static void a_scheduler_that_forgot_the_host_is_told_again(void **state)
{
	struct schedule *schedule;
	struct setting s;
	struct heard h;

	(void)state;
	heard_init(&h);
	setting_open(&s, FAKE_NO_HOST);
	lock_take(&s.fake.lock);
	s.fake.forget_host = true;
	lock_drop(&s.fake.lock);
	schedule = begin(&s, &h);
	await_that(heard_count(&h, &h.parents_calls) == 1);
	assert_int_equal(fake_count(&s.fake, &s.fake.announced), 2);
	assert_int_equal(heard_count(&h, &h.closes), 0);
	schedule_drop(schedule);
	setting_close(&s);
}

static void add_other(struct setting *s, struct fake_scheduler *other)
{
	const char *addrs[2] = {s->fake.addr};

	fake_start(other, NULL, FAKE_NORMAL);
	addrs[1] = other->addr;
	scheduler_client_set(s->client, addrs, 2);
	await_that(scheduler_client_alive(s->client) == 2);
}

static void ask_once(struct setting *s)
{
	struct schedule *schedule;
	struct heard h;

	heard_init(&h);
	schedule = begin(s, &h);
	await_that(heard_count(&h, &h.parents_calls) == 1);
	assert_int_equal(heard_count(&h, &h.closes), 0);
	schedule_drop(schedule);
}

static void a_dead_scheduler_is_left_for_the_other_and_comes_back(void **state)
{
	struct fake_scheduler other, *keeper, *spare;
	struct setting s;
	const char *first;

	(void)state;
	log_set_level(LOG_ERROR);
	setting_open(&s, FAKE_NORMAL);
	add_other(&s, &other);
	first = s.fake.addr;
	ask_once(&s);
	keeper = fake_count(&other, &other.request_count) > 0 ? &other : &s.fake;
	spare = keeper == &other ? &s.fake : &other;
	fake_stop(keeper);
	ask_once(&s);
	assert_int_equal(fake_count(spare, &spare->request_count), 1);
	assert_int_equal(scheduler_client_alive(s.client), 1);
	fake_release(keeper);
	fake_start(keeper, keeper->addr, FAKE_NORMAL);
	await_that(scheduler_client_alive(s.client) == 2);
	assert_int_equal(fake_count(keeper, &keeper->announced), 1);
	/* An address that is taken away is not asked any more. */
	scheduler_client_set(s.client, &first, 1);
	assert_int_equal(scheduler_client_alive(s.client), 1);
	setting_close(&s);
	fake_release(&other);
}

/* Attempts are counted: nothing is tried twice, nothing waits for a deadline. */
static void the_first_refusal_drops_a_scheduler(void **state)
{
	struct fake_scheduler other, *keeper, *spare;
	struct setting s;

	(void)state;
	log_set_level(LOG_ERROR);
	setting_open(&s, FAKE_NORMAL);
	add_other(&s, &other);
	ask_once(&s);
	keeper = fake_count(&other, &other.request_count) > 0 ? &other : &s.fake;
	spare = keeper == &other ? &s.fake : &other;
	rpc_server_set_serving(keeper->server, false); /* or a check might take it back */
	lock_take(&keeper->lock);
	keeper->answer = FAKE_UNAVAILABLE;
	lock_drop(&keeper->lock);
	ask_once(&s);
	assert_int_equal(fake_count(keeper, &keeper->request_count), 2);
	assert_int_equal(fake_count(spare, &spare->request_count), 1);
	assert_int_equal(scheduler_client_alive(s.client), 1);
	ask_once(&s); /* and is not asked by the next */
	assert_int_equal(fake_count(keeper, &keeper->request_count), 2);
	assert_int_equal(fake_count(spare, &spare->request_count), 2);
	setting_close(&s);
	fake_release(&other);
}

static void the_schedulers_of_the_cluster_that_is_left_are_told(void **state)
{
	struct fake_scheduler other, silent;
	const char *addr;
	struct setting s;

	(void)state;
	setting_open(&s, FAKE_NORMAL);
	assert_int_equal(scheduler_client_met(s.client), 1);
	fake_start(&other, NULL, FAKE_NORMAL);
	addr = other.addr;
	scheduler_client_set(s.client, &addr, 1);
	await_that(fake_count(&s.fake, &s.fake.deleted) == 1);
	await_that(scheduler_client_alive(s.client) == 1);
	assert_int_equal(scheduler_client_met(s.client), 2);
	assert_int_equal(fake_count(&other, &other.announced), 1);
	assert_int_equal(fake_count(&other, &other.deleted), 0);
	/* And back: the host is announced again. */
	addr = s.fake.addr;
	scheduler_client_set(s.client, &addr, 1);
	await_that(fake_count(&other, &other.deleted) == 1);
	await_that(fake_count(&s.fake, &s.fake.announced) == 2);
	/* One that never answered is not told, and one that is dead keeps nobody waiting. */
	fake_start(&silent, NULL, FAKE_NORMAL);
	fake_stop(&silent);
	addr = silent.addr;
	fake_stop(&s.fake);
	scheduler_client_set(s.client, &addr, 1);
	scheduler_client_set(s.client, NULL, 0);
	assert_int_equal(fake_count(&silent, &silent.deleted), 0);
	setting_close(&s);
	fake_release(&silent);
	fake_release(&other);
}

static void a_stream_that_breaks_is_told(void **state)
{
	struct schedule *schedule;
	struct setting s;
	struct heard h;

	(void)state;
	log_set_level(LOG_ERROR);
	schedule = meet(&s, FAKE_NORMAL, &h);
	await_that(heard_count(&h, &h.parents_calls) == 1);
	fake_stop(&s.fake);
	await_that(heard_count(&h, &h.closes) == 1);
	assert_int_equal(h.parents_calls, 1);
	schedule_drop(schedule);
	setting_close(&s);
}

static void dropping_from_a_callback_is_allowed(void **state)
{
	struct setting s;
	struct heard h;

	(void)state;
	log_set_level(LOG_ERROR);
	heard_init(&h);
	h.drop = true;
	setting_open(&s, FAKE_NORMAL);
	(void)begin(&s, &h);
	await_that(heard_count(&h, &h.parents_calls) == 1);
	await_that(fake_count(&s.fake, &s.fake.closed) == 1);
	setting_close(&s);
	heard_init(&h);
	h.drop = true;
	setting_open(&s, FAKE_NO_TASK);
	(void)begin(&s, &h);
	await_that(heard_count(&h, &h.closes) == 1);
	setting_close(&s);
}

static void many_conversations_come_and_go(void **state)
{
	enum { MANY = 200 };
	struct schedule *schedules[MANY];
	struct setting s;
	struct heard h;

	(void)state;
	heard_init(&h);
	setting_open(&s, FAKE_NORMAL);
	for (unsigned i = 0; i < MANY; i++)
		schedules[i] = begin(&s, &h);
	for (unsigned i = 0; i < MANY / 2; i++)
		schedule_drop(schedules[i]);
	await_that(heard_count(&h, &h.parents_calls) >= MANY / 2);
	for (unsigned i = MANY / 2; i < MANY; i++)
		schedule_drop(schedules[i]);
	setting_close(&s);
	assert_int_equal(h.closes, 0);
}

static void tasks_are_looked_up_and_deleted(void **state)
{
	uint64_t length;
	uint32_t count;
	struct setting s;
	struct err e;

	(void)state;
	setting_open(&s, FAKE_NORMAL);
	assert_int_equal(scheduler_client_stat_task(s.client, ID, &length, &count, &e), 0);
	assert_int_equal(length, 12345678);
	assert_int_equal(count, 3);
	assert_int_equal(scheduler_client_stat_task(s.client, "0" ID, &length, &count, &e),
			 -ENOENT);
	assert_int_equal(scheduler_client_stat_task(s.client, "f" ID, &length, &count, &e),
			 -ENOENT);
	scheduler_client_delete_task(s.client, ID);
	assert_int_equal(fake_count(&s.fake, &s.fake.tasks_deleted), 1);
	setting_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(host_is_announced_when_an_address_appears),
		cmocka_unit_test(host_is_announced_at_the_interval),
		cmocka_unit_test(registration_has_what_the_validators_want),
		cmocka_unit_test(a_blob_without_url_is_registered_by_its_digest),
		cmocka_unit_test(parents_are_told_and_checked),
		cmocka_unit_test(conversation_of_a_download_from_peers),
		cmocka_unit_test(conversation_of_a_download_from_the_origin),
		cmocka_unit_test(empty_and_known_tasks_are_ready),
		cmocka_unit_test(refusals_are_told),
		cmocka_unit_test(silence_is_closed_after_the_deadline),
		cmocka_unit_test(no_scheduler_is_told_soon_and_not_inside_new),
		cmocka_unit_test(a_scheduler_that_forgot_the_host_is_told_again),
		cmocka_unit_test(a_dead_scheduler_is_left_for_the_other_and_comes_back),
		cmocka_unit_test(the_first_refusal_drops_a_scheduler),
		cmocka_unit_test(the_schedulers_of_the_cluster_that_is_left_are_told),
		cmocka_unit_test(a_stream_that_breaks_is_told),
		cmocka_unit_test(dropping_from_a_callback_is_allowed),
		cmocka_unit_test(many_conversations_come_and_go),
		cmocka_unit_test(tasks_are_looked_up_and_deleted),
	};

	return cmocka_run_group_tests(tests, rpc_group_setup, rpc_group_teardown);
}
