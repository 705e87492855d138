/* How many pieces are sent at a time: on links and to children of any speed. */
#include "daemon/slots.h"

#include "test/unit/unit.h"

#define FIRST	  4
#define LINK	  100000000u /* bytes per second */
#define STEP_MS	  100
#define GLANCE_MS 200

/* A link that as many children as there are slots take from, each at its best at child bytes per
 * second. */
struct line {
	struct slots slots;
	int64_t now_ms;
	uint64_t sent;
};

static void send_for(struct line *l, int64_t ms, uint64_t child, unsigned children)
{
	for (int64_t end_ms = l->now_ms + ms; l->now_ms < end_ms;) {
		unsigned running = l->slots.count < children ? l->slots.count : children;
		uint64_t rate = running * child < LINK ? running * child : LINK;

		l->now_ms += STEP_MS;
		l->sent += rate * STEP_MS / 1000;
		slots_sample(&l->slots, l->now_ms, l->sent, running);
	}
}

static struct line line_begin(void)
{
	struct line l = {.now_ms = 1000, .sent = 5};

	slots_init(&l.slots, FIRST, false, l.now_ms, l.sent);
	return l;
}

static struct line steady_line_begin(void)
{
	struct line l = {.now_ms = 1000, .sent = 5};

	slots_init(&l.slots, 1, true, l.now_ms, l.sent);
	return l;
}

static void children_that_take_quickly_need_few(void **state)
{
	struct line l = line_begin();

	(void)state;
	send_for(&l, 60000, LINK, 100);
	assert_in_range(l.slots.count, SLOTS_MIN, SLOTS_MIN + 1);
}

static void slow_children_are_sent_to_side_by_side(void **state)
{
	struct line l = line_begin();

	(void)state;
	send_for(&l, 60000, LINK / 20, 100);
	/* Twenty fill it; a quarter more are on trial at times. */
	assert_in_range(l.slots.count, 17, 30);
}

static void children_that_become_quick_free_their_slots(void **state)
{
	struct line l = line_begin();

	(void)state;
	send_for(&l, 60000, LINK / 20, 100);
	send_for(&l, 60000, LINK / 2, 100);
	assert_in_range(l.slots.count, SLOTS_MIN, SLOTS_MIN + 2);
}

static void children_that_take_nothing_do_not_keep_others_from_it(void **state)
{
	struct line l = line_begin();

	(void)state;
	send_for(&l, 60000, 0, 100);
	assert_int_equal(l.slots.count, SLOTS_MAX);
}

static void slots_that_nobody_takes_are_not_counted_on(void **state)
{
	struct line l = line_begin();

	(void)state;
	send_for(&l, 60000, LINK / 20, 3);
	assert_int_equal(l.slots.count, FIRST);
}

/* All that may run do, and it is not enough for the link. */
static void send_all(struct line *l, unsigned glances, uint64_t rate)
{
	for (unsigned i = 0; i < glances; i++) {
		l->now_ms += GLANCE_MS;
		l->sent += rate * GLANCE_MS / 1000;
		slots_sample(&l->slots, l->now_ms, l->sent, slots_now(&l->slots));
	}
}

/* Beyond those that are tried out. */
static unsigned extra(const struct line *l)
{
	return slots_now(&l->slots) - l->slots.count;
}

static void one_more_at_a_time_may_run_while_the_link_sends_less_than_it_can(void **state)
{
	struct line l = line_begin();

	(void)state;
	send_for(&l, 60000, LINK / 4, 100);
	send_for(&l, 2 * GLANCE_MS, LINK / 4, 2);
	send_all(&l, 1, LINK / 2);
	assert_int_equal(extra(&l), 0); /* what has just begun does not show yet */
	send_all(&l, 1, LINK / 2);
	assert_int_equal(extra(&l), 1);
	send_all(&l, 1, LINK / 2);
	assert_int_equal(extra(&l), 2);
}

static void those_go_again_when_the_link_is_full(void **state)
{
	struct line l = line_begin();

	(void)state;
	send_for(&l, 60000, LINK, 100);
	send_all(&l, 4, LINK / 2);
	assert_true(extra(&l) > 0);
	send_for(&l, 10000, LINK, 100);
	assert_int_equal(extra(&l), 0);
}

static void a_link_that_has_become_slower_has_no_room_for_long(void **state)
{
	struct line l = line_begin();

	(void)state;
	send_for(&l, 10000, LINK, 100);
	send_for(&l, 90000, LINK / 10, 1);
	assert_int_equal(extra(&l), 0);
}

static void one_that_fills_a_steady_link_is_seldom_disturbed(void **state)
{
	struct line l = steady_line_begin();
	unsigned disturbed = 0;

	(void)state;
	for (unsigned i = 0; i < 1200; i++) {
		send_for(&l, STEP_MS, LINK, 100);
		disturbed += l.slots.count > 1;
	}
	assert_in_range(disturbed, 1, 120);
}

static void a_steady_link_that_needs_many_has_them_soon(void **state)
{
	struct line l = steady_line_begin();

	(void)state;
	send_for(&l, 12000, LINK / 16, 100);
	/* A quarter less, or twice as many, on trial. */
	assert_in_range(l.slots.count, 12, 32);
}

static void silence_begins_anew(void **state)
{
	struct line l = line_begin();

	(void)state;
	send_for(&l, 60000, LINK / 20, 100);
	send_for(&l, 1000, 0, 0);
	assert_int_equal(l.slots.count, FIRST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(children_that_take_quickly_need_few),
		cmocka_unit_test(slow_children_are_sent_to_side_by_side),
		cmocka_unit_test(children_that_become_quick_free_their_slots),
		cmocka_unit_test(children_that_take_nothing_do_not_keep_others_from_it),
		cmocka_unit_test(slots_that_nobody_takes_are_not_counted_on),
		cmocka_unit_test(one_more_at_a_time_may_run_while_the_link_sends_less_than_it_can),
		cmocka_unit_test(those_go_again_when_the_link_is_full),
		cmocka_unit_test(a_link_that_has_become_slower_has_no_room_for_long),
		cmocka_unit_test(one_that_fills_a_steady_link_is_seldom_disturbed),
		cmocka_unit_test(a_steady_link_that_needs_many_has_them_soon),
		cmocka_unit_test(silence_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
