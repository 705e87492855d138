/* The evaluator: each part of the score by itself. */
#include "control/scheduler/pick.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct pick_child nowhere = {"", "", false};

static struct pick_candidate idle_candidate(void)
{
	return (struct pick_candidate){
		.idc = "", .location = "", .tx_max = 1000u << 20, .piece_length = 4 << 20};
}

static bool about(double a, double b)
{
	return fabs(a - b) < 1e-6;
}

static void an_idle_normal_host_scores_its_whole_load(void **state)
{
	struct pick_candidate c = idle_candidate();

	(void)state;
	assert_true(about(pick_score(PICK_DEFAULT, &nowhere, &c), 0.6 * 1 + 0.1 * 0.5));
}

static void assigned_children_lower_the_load(void **state)
{
	struct pick_candidate c = idle_candidate(), busy = c;

	(void)state;
	busy.assigned_pieces = 100;
	busy.assigned_bytes = 10ull << 30;
	assert_true(pick_score(PICK_DEFAULT, &nowhere, &busy) <
		    pick_score(PICK_DEFAULT, &nowhere, &c));
	busy.assigned_pieces = 1u << 30;
	busy.assigned_bytes = 1ull << 60;
	assert_true(pick_score(PICK_DEFAULT, &nowhere, &busy) >= 0.05 - 1e-6);
}

static void same_idc_counts_twice_the_location(void **state)
{
	const struct pick_child child = {"Hz", "asia|cn|hz|a|1|x", false};
	struct pick_candidate c = idle_candidate();
	double bare = pick_score(PICK_DEFAULT, &child, &c);

	(void)state;
	c.idc = "hz";
	assert_true(about(pick_score(PICK_DEFAULT, &child, &c) - bare, 0.2));
	c.location = "Asia|CN|sh";
	assert_true(about(pick_score(PICK_DEFAULT, &child, &c) - bare, 0.2 + 0.1 * 2 / 5));
	c.location = "ASIA|cn|hz|a|1|x";
	assert_true(about(pick_score(PICK_DEFAULT, &child, &c) - bare, 0.2 + 0.1));
}

static void a_child_of_no_idc_matches_nobody_elses_empty_one(void **state)
{
	struct pick_candidate c = idle_candidate();

	(void)state;
	assert_true(about(pick_score(PICK_DEFAULT, &nowhere, &c), 0.65));
}

static void best_are_sorted_and_limited(void **state)
{
	struct pick_candidate list[5];

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		list[i] = idle_candidate();
		list[i].index = i;
		list[i].assigned_pieces = i * 20;
	}
	list[4].idc = "x";
	assert_int_equal(pick_best(PICK_DEFAULT, &(struct pick_child){"x", "", false}, list, 5, 3),
			 3);
	assert_int_equal(list[0].index, 4);
	assert_int_equal(list[1].index, 0);
	assert_int_equal(list[2].index, 1);
	assert_int_equal(pick_best(PICK_DEFAULT, &nowhere, list, 2, 9), 2);
	assert_int_equal(pick_best(PICK_DEFAULT, &nowhere, list, 0, 9), 0);
}

static void only_far_out_costs_make_a_parent_slow(void **state)
{
	(void)state;
	assert_false(pick_is_slow(0, 0, 0, 0));
	assert_false(pick_is_slow(1, 10, 0, 10000));
	assert_false(pick_is_slow(10, 10, 1, 200));
	assert_true(pick_is_slow(10, 10, 1, 201));
	assert_true(pick_is_slow(5000, 10, 4, 17));
	assert_false(pick_is_slow(5000, 10, 4, 16));
}

/* ---- ours */

static void the_share_of_the_link_that_is_left_decides(void **state)
{
	struct pick_candidate list[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		list[i] = idle_candidate();
		list[i].index = i;
		list[i].tx_max = 100;
	}
	list[0].children = 3; /* 100 / 4 */
	list[1].children = 1; /* 100 / 2 */
	list[2].tx_max = 40;  /* 40 / 1 */
	assert_int_equal(pick_best(PICK_SKIMMER, &nowhere, list, 3, 3), 3);
	assert_int_equal(list[0].index, 1);
	assert_int_equal(list[1].index, 2);
	assert_int_equal(list[2].index, 0);
}

static void who_has_more_and_is_nearer_is_worth_more_children(void **state)
{
	const struct pick_child child = {"hz", "cn|hz", false};
	struct pick_candidate c = idle_candidate(), all = c, near = c;

	(void)state;
	all.progress = 1;
	all.children = 1;
	assert_true(about(pick_score(PICK_SKIMMER, &child, &all),
			  pick_score(PICK_SKIMMER, &child, &c)));
	near.idc = "HZ";
	near.location = "cn|hz";
	near.children = 5;
	assert_true(about(pick_score(PICK_SKIMMER, &child, &near),
			  pick_score(PICK_SKIMMER, &child, &c)));
}

static void an_unknown_link_counts_as_a_gigabit(void **state)
{
	struct pick_candidate c = idle_candidate();

	(void)state;
	c.tx_max = 0;
	assert_true(about(pick_score(PICK_SKIMMER, &nowhere, &c), 125e6 / 2));
}

static void the_last_one_taken_by_who_reaches_out_is_from_elsewhere(void **state)
{
	const struct pick_child child = {"hz", "cn|hz", true}, stays = {"hz", "cn|hz", false};
	struct pick_candidate list[6];

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		list[i] = idle_candidate();
		list[i].index = i;
		list[i].idc = "hz";
		list[i].location = i < 4 ? "cn|hz" : "cn|sh";
		list[i].children = i < 4 ? 0 : 10 + i;
	}
	assert_int_equal(pick_best(PICK_SKIMMER, &child, list, 6, 3), 3);
	assert_true(list[0].index < 4 && list[1].index < 4);
	assert_int_equal(list[2].index, 4);
	assert_int_equal(pick_best(PICK_SKIMMER, &stays, list, 6, 3), 3);
	assert_true(list[2].index < 4);
	/* Nobody is elsewhere, or one already was: the best. */
	for (unsigned i = 0; i < 6; i++)
		list[i].location = "cn|hz";
	assert_int_equal(pick_best(PICK_SKIMMER, &child, list, 6, 2), 2);
	assert_int_equal(list[1].children, 0);
	assert_int_equal(pick_best(PICK_SKIMMER, &child, list, 6, 1), 1);
	assert_int_equal(list[0].children, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_idle_normal_host_scores_its_whole_load),
		cmocka_unit_test(assigned_children_lower_the_load),
		cmocka_unit_test(same_idc_counts_twice_the_location),
		cmocka_unit_test(a_child_of_no_idc_matches_nobody_elses_empty_one),
		cmocka_unit_test(best_are_sorted_and_limited),
		cmocka_unit_test(only_far_out_costs_make_a_parent_slow),
		cmocka_unit_test(the_share_of_the_link_that_is_left_decides),
		cmocka_unit_test(who_has_more_and_is_nearer_is_worth_more_children),
		cmocka_unit_test(an_unknown_link_counts_as_a_gigabit),
		cmocka_unit_test(the_last_one_taken_by_who_reaches_out_is_from_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
