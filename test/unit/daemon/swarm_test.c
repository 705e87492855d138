/* daemon/swarm: which parent is asked, and which is not asked again */
#include "daemon/swarm.h"

#include "test/unit/unit.h"

#include "base/bits.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PIECE 4096
#define COUNT 100

/* Parents that do nothing by themselves: the test calls their callbacks. */
struct parent {
	struct parent_ops ops;
	void *arg;
	struct parent_info info;
};

static unsigned opened, freed, changes;
static struct parent *last[SWARM_FEEDERS_MAX + 8];

struct parent *parent_open(const struct parent_info *info, const char *task_id,
			   const char *own_host_id, const char *own_peer_id,
			   const uint32_t *interested, size_t interested_count,
			   const struct parent_ops *ops, void *arg)
{
	struct parent *p = mem_new(struct parent);

	(void)task_id, (void)own_host_id, (void)own_peer_id, (void)interested;
	(void)interested_count;
	p->ops = *ops;
	p->arg = arg;
	p->info = *info;
	last[opened++] = p;
	return p;
}

static unsigned asked_sooner;

void parent_ask_sooner(struct parent *p, const char *task_id, const char *own_host_id,
		       const uint32_t *numbers, size_t count)
{
	(void)p, (void)task_id, (void)own_host_id;
	assert_int_equal(count, 2);
	assert_int_equal(numbers[0], 5);
	assert_int_equal(numbers[1], 6);
	asked_sooner++;
}

static unsigned told_full;

void parent_tell_room(struct parent *p, const char *task_id, const char *own_host_id, bool full)
{
	(void)p, (void)task_id, (void)own_host_id;
	told_full += full;
}

void parent_free(struct parent *p)
{
	freed += p != NULL;
	free(p);
}

struct setting {
	struct lock lock;
	struct swarm *s;
};

static void changed(void *arg)
{
	(void)arg;
	changes++;
}

static int setup(void **state)
{
	struct setting *t = mem_new(struct setting);
	struct swarm_config c = {
		.task_id = "t", .own_host_id = "me", .lock = &t->lock, .changed = changed};

	lock_init(&t->lock, 25);
	assert_true(geometry_init(&c.geometry, COUNT * PIECE - 5, PIECE));
	t->s = swarm_new(&c);
	opened = freed = changes = 0;
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct setting *t = *state;

	swarm_free(t->s);
	assert_int_equal(opened, freed);
	lock_release(&t->lock);
	free(t);
	return 0;
}

static struct parent_info info_of(unsigned host, unsigned peer)
{
	struct parent_info i = {.ip = "127.0.0.1", .port = 1};

	snprintf(i.host_id, sizeof(i.host_id), "host-%u", host);
	snprintf(i.peer_id, sizeof(i.peer_id), "peer-%u", peer);
	return i;
}

static unsigned add(struct setting *t, unsigned host, unsigned peer)
{
	struct parent_info i = info_of(host, peer);
	uint32_t missing = 0;

	return swarm_add(t->s, &i, 1, "own", &missing, 1);
}

static void announce(struct parent *p, uint32_t index)
{
	struct net_addr addr = {0};
	uint64_t off = (uint64_t)index * PIECE;
	uint64_t len = index == COUNT - 1 ? PIECE - 5 : PIECE;

	net_addr_parse("127.0.0.1", (uint16_t)(7000 + index), &addr);
	p->ops.piece(
		p,
		&(struct parent_piece){.number = index, .offset = off, .length = len, .addr = addr},
		p->arg);
}

static struct feeder *choose(struct setting *t, uint32_t index)
{
	lock_guard(&t->lock);
	return swarm_choose(t->s, index);
}

static void done(struct setting *t, struct feeder *f)
{
	lock_guard(&t->lock);
	swarm_done(t->s, f);
}

static bool drop(struct setting *t, struct feeder *f, bool forever)
{
	lock_guard(&t->lock);
	return swarm_drop(t->s, f, forever);
}

static bool somebody_has(struct setting *t, uint32_t index)
{
	const uint64_t *have;

	lock_guard(&t->lock);
	have = swarm_have(t->s);
	return have && bit_get(have, index);
}

static void only_who_announced_a_piece_is_asked_for_it(void **state)
{
	struct setting *t = *state;
	struct feeder *f;

	assert_int_equal(add(t, 1, 1), 1);
	assert_int_equal(add(t, 2, 2), 1);
	assert_null(choose(t, 70));
	announce(last[1], 70);
	assert_int_equal(changes, 1);
	assert_true(somebody_has(t, 70));
	assert_false(somebody_has(t, 71));
	f = choose(t, 70);
	assert_string_equal(f->info.host_id, "host-2");
	done(t, f);
}

static void the_idle_one_is_asked_more_often_and_the_busy_one_too(void **state)
{
	struct setting *t = *state;
	unsigned times[2] = {0};

	add(t, 0, 1);
	add(t, 1, 2);
	announce(last[0], 3);
	announce(last[1], 3);
	last[0]->ops.bandwidth(last[0], 100, 1000, last[0]->arg);
	last[1]->ops.bandwidth(last[1], 5000, 1000, last[1]->arg);
	for (unsigned i = 0; i < 2000; i++) {
		struct feeder *f = choose(t, 3);

		times[f->info.host_id[5] - '0']++;
		done(t, f);
	}
	/* 9 to 1: the second is over its limit and counts with a tenth. */
	assert_true(times[0] > 1600 && times[1] > 80);
}

static void who_was_late_is_asked_less_often_until_it_delivers(void **state)
{
	struct setting *t = *state;
	unsigned times[2] = {0};
	struct feeder *f;

	add(t, 0, 1);
	announce(last[0], 3);
	f = choose(t, 3);
	assert_int_equal(swarm_usual_ms(t->s, f), 0);
	add(t, 1, 2);
	announce(last[1], 3);
	lock_take(&t->lock);
	swarm_late(f);
	lock_drop(&t->lock);
	done(t, f);
	for (unsigned i = 0; i < 2000; i++) {
		struct feeder *one = choose(t, 3);

		times[one->info.host_id[5] - '0']++;
		done(t, one);
	}
	/* 1 to 4 */
	assert_in_range(times[0], 200, 650);
	lock_take(&t->lock);
	swarm_delivered(f, 100);
	lock_drop(&t->lock);
	times[0] = 0;
	for (unsigned i = 0; i < 2000; i++) {
		struct feeder *one = choose(t, 3);

		times[one->info.host_id[5] - '0']++;
		done(t, one);
	}
	assert_in_range(times[0], 800, 1200);
}

static void another_parent_is_another(void **state)
{
	struct setting *t = *state;
	struct feeder *first, *other;

	add(t, 0, 1);
	announce(last[0], 3);
	first = choose(t, 3);
	lock_take(&t->lock);
	assert_null(swarm_choose_other(t->s, 3, first));
	assert_false(swarm_has_others(t->s, first));
	lock_drop(&t->lock);
	add(t, 1, 2);
	announce(last[1], 4);
	lock_take(&t->lock);
	assert_true(swarm_has_others(t->s, first));
	assert_false(swarm_others_have(t->s, 3, first));
	lock_drop(&t->lock);
	announce(last[1], 3);
	lock_take(&t->lock);
	assert_true(swarm_others_have(t->s, 3, first));
	other = swarm_choose_other(t->s, 3, first);
	assert_string_equal(other->info.host_id, "host-1");
	/* What one takes is thought to be what another takes, until it is known. */
	swarm_delivered(other, 400);
	assert_int_equal(swarm_usual_ms(t->s, first), 400);
	swarm_delivered(first, 40);
	assert_int_equal(swarm_usual_ms(t->s, first), 40);
	lock_drop(&t->lock);
	done(t, other);
	done(t, first);
}

static void what_is_in_flight_makes_a_parent_less_idle(void **state)
{
	struct setting *t = *state;
	unsigned times[2] = {0};
	struct feeder *f[200];

	add(t, 0, 1);
	add(t, 1, 2);
	announce(last[0], 3);
	announce(last[1], 3);
	for (unsigned i = 0; i < 200; i++) {
		f[i] = choose(t, 3);
		times[f[i]->info.host_id[5] - '0']++;
	}
	assert_true(times[0] > 70 && times[1] > 70);
	for (unsigned i = 0; i < 200; i++)
		done(t, f[i]);
}

static void what_few_parents_have_is_told_apart(void **state)
{
	struct feeder *feeders[SWARM_FEEDERS_MAX];
	struct setting *t = *state;
	struct piece_offer o;

	for (unsigned i = 0; i < 4; i++)
		add(t, i, i);
	/* Piece n is with n parents; the last parent has told nothing. */
	for (uint32_t n = 1; n <= 3; n++)
		for (uint32_t i = 0; i < n; i++)
			announce(last[i], n);
	lock_guard(&t->lock);
	assert_int_equal(swarm_draw(t->s, feeders), 3);
	for (unsigned i = 0; i < 3; i++) {
		o = swarm_offer(t->s, feeders[i]);
		assert_ptr_equal(o.have, feeders[i]->offered);
		assert_int_equal(o.rare[0][0], 1u << 1);
		assert_int_equal(o.rare[1][0], 1u << 2);
		assert_true(o.from < COUNT);
	}
}

static void the_first_to_be_asked_is_drawn_by_idle_bandwidth(void **state)
{
	struct feeder *feeders[SWARM_FEEDERS_MAX];
	struct setting *t = *state;
	unsigned first = 0;

	add(t, 0, 1);
	add(t, 1, 2);
	for (unsigned i = 0; i < 2; i++) {
		announce(last[i], 3);
		last[i]->ops.bandwidth(last[i], i == 0 ? 100 : 2000, 1000, last[i]->arg);
	}
	lock_guard(&t->lock);
	for (unsigned i = 0; i < 2000; i++) {
		assert_int_equal(swarm_draw(t->s, feeders), 2);
		first += feeders[0]->info.host_id[5] == '0';
	}
	/* 9 to 1, as for a single piece. */
	assert_true(first > 1600 && first < 1950);
}

static void every_parent_is_asked_again_for_a_few_pieces(void **state)
{
	static const uint32_t pieces[] = {5, 6};
	struct setting *t = *state;
	struct feeder *f;

	asked_sooner = 0;
	for (unsigned i = 0; i < 3; i++)
		add(t, i, i);
	announce(last[0], 3);
	f = choose(t, 3);
	drop(t, f, false);
	done(t, f);
	swarm_ask_sooner(t->s, pieces, 2);
	assert_int_equal(asked_sooner, 2); /* not the one that was dropped */
	swarm_ask_sooner(t->s, pieces, 2);
	assert_int_equal(asked_sooner, 4);
}

static void every_parent_is_told_whether_there_is_room(void **state)
{
	struct setting *t = *state;

	told_full = 0;
	for (unsigned i = 0; i < 3; i++)
		add(t, i, i);
	swarm_tell_room(t->s, true);
	assert_int_equal(told_full, 3);
	swarm_tell_room(t->s, false);
	assert_int_equal(told_full, 3);
}

static uint32_t pace(struct setting *t)
{
	lock_guard(&t->lock);
	return swarm_pace_ms(t->s);
}

static void the_pace_is_that_of_the_slowest_that_may_still_tell(void **state)
{
	struct setting *t = *state;
	struct feeder *f[2];

	add(t, 0, 0);
	add(t, 1, 1);
	assert_int_equal(pace(t), 0);
	for (unsigned i = 0; i < 2; i++) {
		announce(last[i], i);
		f[i] = choose(t, i);
		lock_take(&t->lock);
		swarm_delivered(f[i], i ? 30000 : 60000);
		lock_drop(&t->lock);
		done(t, f[i]);
	}
	assert_int_equal(pace(t), 60000);
	last[0]->ops.closed(last[0], NULL, last[0]->arg);
	assert_int_equal(pace(t), 30000);
	f[1] = choose(t, 1);
	drop(t, f[1], false);
	done(t, f[1]);
	assert_int_equal(pace(t), 0);
}

static void the_time_between_two_announcements_is_a_pace(void **state)
{
	struct setting *t = *state;

	add(t, 0, 0);
	announce(last[0], 0);
	assert_int_equal(pace(t), 0);
	usleep(30000);
	announce(last[0], 1);
	assert_true(pace(t) >= 30);
}

static void who_speaks_of_other_content_is_dropped(void **state)
{
	static const struct {
		uint32_t number;
		uint64_t off, len;
	} bad[] = {{COUNT, COUNT * PIECE, PIECE},
		   {UINT32_MAX, 0, PIECE},
		   {1, 0, PIECE},
		   {1, PIECE, PIECE + 1},
		   {COUNT - 1, (COUNT - 1) * PIECE, PIECE}};
	struct net_addr addr = {0};
	struct setting *t = *state;

	for (unsigned i = 0; i < array_len(bad); i++) {
		struct parent *p;

		assert_int_equal(add(t, 10 + i, 10 + i), 1);
		p = last[opened - 1];
		p->ops.piece(p,
			     &(struct parent_piece){.number = bad[i].number,
						    .offset = bad[i].off,
						    .length = bad[i].len,
						    .addr = addr},
			     p->arg);
		swarm_reap(t->s);
		assert_int_equal(freed, i + 1);
		assert_int_equal(add(t, 10 + i, 50 + i), 0);
	}
}

static void a_dropped_parent_is_not_taken_again_in_this_conversation(void **state)
{
	struct parent_info tried[4];
	struct setting *t = *state;
	struct feeder *f;

	add(t, 1, 1);
	announce(last[0], 3);
	f = choose(t, 3);
	assert_true(drop(t, f, false));
	assert_false(drop(t, f, false));
	done(t, f);
	assert_null(choose(t, 3));
	assert_false(somebody_has(t, 3));
	swarm_reap(t->s);
	assert_int_equal(freed, 1);
	assert_int_equal(add(t, 1, 1), 0);
	lock_take(&t->lock);
	assert_int_equal(swarm_tried(t->s, tried, 4), 1);
	assert_int_equal(swarm_count(t->s), 0);
	assert_false(swarm_is_live(t->s));
	lock_drop(&t->lock);
	assert_string_equal(tried[0].peer_id, "peer-1");
	/* The next conversation begins without grudge. */
	swarm_clear(t->s);
	assert_int_equal(add(t, 1, 1), 1);
}

static void who_sent_wrong_bytes_is_remembered(void **state)
{
	struct setting *t = *state;
	struct feeder *f;

	add(t, 1, 1);
	announce(last[0], 3);
	f = choose(t, 3);
	drop(t, f, true);
	done(t, f);
	swarm_clear(t->s);
	assert_int_equal(add(t, 1, 7), 0);
	assert_int_equal(add(t, 2, 8), 1);
}

static void this_host_and_too_many_others_are_not_taken(void **state)
{
	struct parent_info own = info_of(0, 0);
	struct setting *t = *state;
	uint32_t missing = 0;

	strcpy(own.host_id, "me");
	assert_int_equal(swarm_add(t->s, &own, 1, "own", &missing, 1), 0);
	for (unsigned i = 0; i < SWARM_FEEDERS_MAX; i++)
		assert_int_equal(add(t, i, i), 1);
	assert_int_equal(add(t, 99, 99), 0);
}

static void who_lacks_pieces_too_often_is_dropped(void **state)
{
	struct setting *t = *state;

	add(t, 1, 1);
	for (uint32_t i = 0; i < 10; i++)
		announce(last[0], i);
	for (uint32_t i = 0; i < 3; i++) {
		struct feeder *f = choose(t, i);

		lock_take(&t->lock);
		swarm_missed(t->s, f, i);
		lock_drop(&t->lock);
		assert_null(choose(t, i));
		assert_int_equal(somebody_has(t, 9), i < 2);
		done(t, f);
	}
}

/* As fetch_parent_failed() says it. True: that was one time too many. */
static bool lost(struct setting *t, struct feeder *f, uint32_t index)
{
	bool dropped;

	lock_take(&t->lock);
	dropped = swarm_lost(t->s, f, index);
	lock_drop(&t->lock);
	done(t, f);
	return dropped;
}

static void what_a_parent_lost_it_has_when_it_says_so_again(void **state)
{
	struct setting *t = *state;
	struct feeder *f;

	add(t, 1, 1);
	announce(last[0], 3);
	assert_false(lost(t, choose(t, 3), 3));
	assert_false(somebody_has(t, 3));
	announce(last[0], 3);
	assert_true(somebody_has(t, 3));
	/* It says so before we know that it was lost. */
	f = choose(t, 3);
	announce(last[0], 3);
	assert_false(lost(t, f, 3));
	assert_true(somebody_has(t, 3));
	assert_false(lost(t, choose(t, 3), 3));
	assert_false(somebody_has(t, 3));
}

static void who_loses_pieces_all_the_time_is_dropped(void **state)
{
	struct setting *t = *state;
	unsigned times = 0;

	add(t, 1, 1);
	for (;;) {
		announce(last[0], 3);
		times++;
		if (lost(t, choose(t, 3), 3))
			break;
		assert_true(times < 100);
	}
	assert_int_equal(times, 32);
	announce(last[0], 3);
	assert_false(somebody_has(t, 3));
}

static void a_parent_that_goes_before_it_told_anything_is_dropped(void **state)
{
	struct setting *t = *state;
	struct err e = {0};

	err_set(&e, EPIPE, "gone");
	add(t, 1, 1);
	add(t, 2, 2);
	announce(last[1], 5);
	for (unsigned i = 0; i < 2; i++)
		last[i]->ops.closed(last[i], &e, last[i]->arg);
	lock_take(&t->lock);
	assert_true(swarm_has_dropped(t->s));
	assert_int_equal(swarm_count(t->s), 1);
	assert_false(swarm_is_live(t->s));
	lock_drop(&t->lock);
	assert_true(somebody_has(t, 5));
}

static void a_feeder_outlives_its_conversation_while_it_is_used(void **state)
{
	struct setting *t = *state;
	struct feeder *f;

	add(t, 1, 1);
	announce(last[0], 3);
	f = choose(t, 3);
	swarm_clear(t->s);
	assert_string_equal(f->info.host_id, "host-1");
	assert_false(drop(t, f, false));
	done(t, f);
}

#define with_setting(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_setting(only_who_announced_a_piece_is_asked_for_it),
		with_setting(the_idle_one_is_asked_more_often_and_the_busy_one_too),
		with_setting(who_was_late_is_asked_less_often_until_it_delivers),
		with_setting(another_parent_is_another),
		with_setting(what_is_in_flight_makes_a_parent_less_idle),
		with_setting(what_few_parents_have_is_told_apart),
		with_setting(every_parent_is_asked_again_for_a_few_pieces),
		with_setting(every_parent_is_told_whether_there_is_room),
		with_setting(the_pace_is_that_of_the_slowest_that_may_still_tell),
		with_setting(the_time_between_two_announcements_is_a_pace),
		with_setting(the_first_to_be_asked_is_drawn_by_idle_bandwidth),
		with_setting(who_speaks_of_other_content_is_dropped),
		with_setting(a_dropped_parent_is_not_taken_again_in_this_conversation),
		with_setting(who_sent_wrong_bytes_is_remembered),
		with_setting(this_host_and_too_many_others_are_not_taken),
		with_setting(who_lacks_pieces_too_often_is_dropped),
		with_setting(what_a_parent_lost_it_has_when_it_says_so_again),
		with_setting(who_loses_pieces_all_the_time_is_dropped),
		with_setting(a_parent_that_goes_before_it_told_anything_is_dropped),
		with_setting(a_feeder_outlives_its_conversation_while_it_is_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
