/* Members in the database, and who is alive when several managers say so. */
#include "control/manager/member.h"

#include "../../unit.h"
#include "base/clock.h"

#include <errno.h>
#include <string.h>

static struct db *open_with_scheduler(void)
{
	const struct member m = {.hostname = (char *)"h",
				 .ip = (char *)"10.0.0.1",
				 .cluster_id = 1,
				 .port = 8002,
				 .idc = (char *)"",
				 .location = (char *)"",
				 .features = (char *)"[]",
				 .type = (char *)""};
	struct member row = {0};
	struct db *db = NULL;

	assert_int_equal(db_open(":memory:", &db, NULL), 0);
	assert_int_equal(member_update(db, MEMBER_SCHEDULER, &m, &row, NULL), 0);
	assert_string_equal(row.state, "inactive");
	member_release(&row);
	return db;
}

static void tell(struct db *db, bool active, int64_t beat_ms)
{
	assert_int_equal(
		member_set_state(db, MEMBER_SCHEDULER, "h", "10.0.0.1", 1, active, beat_ms, NULL),
		0);
}

static bool is_active(struct db *db)
{
	struct member row = {0};
	bool active;

	assert_int_equal(member_get(db, MEMBER_SCHEDULER, "h", "", 1, &row, NULL), 0);
	active = strcmp(row.state, "active") == 0;
	member_release(&row);
	return active;
}

static void an_update_keeps_the_row_and_its_state(void **state)
{
	struct db *db = open_with_scheduler();
	const struct member moved = {.hostname = (char *)"h",
				     .ip = (char *)"10.0.0.1",
				     .cluster_id = 1,
				     .port = 9000,
				     .idc = (char *)"b",
				     .location = (char *)"",
				     .features = (char *)"[]",
				     .type = (char *)""};
	struct member row = {0};

	(void)state;
	tell(db, true, clock_wall_ms());
	assert_int_equal(member_update(db, MEMBER_SCHEDULER, &moved, &row, NULL), 0);
	assert_int_equal(row.id, 1);
	assert_int_equal(row.port, 9000);
	assert_string_equal(row.idc, "b");
	assert_string_equal(row.state, "active");
	member_release(&row);
	db_close(db);
}

static void a_cluster_that_is_none_has_no_members(void **state)
{
	struct db *db = open_with_scheduler();
	const struct member m = {.hostname = (char *)"h",
				 .ip = (char *)"10.0.0.1",
				 .cluster_id = 99,
				 .idc = (char *)"",
				 .location = (char *)"",
				 .features = (char *)"[]",
				 .type = (char *)"super"};
	struct member row = {0};

	(void)state;
	assert_int_equal(member_update(db, MEMBER_SCHEDULER, &m, &row, NULL), -ENOENT);
	assert_int_equal(member_update(db, MEMBER_SEED_PEER, &m, &row, NULL), -ENOENT);
	db_close(db);
}

static void the_end_of_an_old_stream_says_nothing_of_a_newer_one(void **state)
{
	struct db *db = open_with_scheduler();

	(void)state;
	tell(db, true, 1000);  /* one manager hears of it */
	tell(db, true, 2000);  /* then another */
	tell(db, false, 1000); /* and the first loses its stream */
	assert_true(is_active(db));
	tell(db, false, 2000);
	assert_false(is_active(db));
	db_close(db);
}

static void who_is_silent_for_long_is_inactive(void **state)
{
	struct db *db = open_with_scheduler();
	int64_t now = clock_wall_ms();

	(void)state;
	tell(db, true, now - MEMBER_SILENT_MS / 2);
	assert_int_equal(member_expire(db, NULL), 0);
	assert_true(is_active(db));
	tell(db, true, now - MEMBER_SILENT_MS - 1000);
	assert_int_equal(member_expire(db, NULL), 0);
	assert_false(is_active(db));
	db_close(db);
}

static void nobody_is_active_who_is_not_there(void **state)
{
	struct db *db = open_with_scheduler();

	(void)state;
	assert_int_equal(member_set_state(db, MEMBER_SCHEDULER, "other", "", 1, true, 1, NULL),
			 -ENOENT);
	assert_int_equal(member_set_state(db, MEMBER_SCHEDULER, "other", "", 1, false, 1, NULL), 0);
	db_close(db);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_update_keeps_the_row_and_its_state),
		cmocka_unit_test(a_cluster_that_is_none_has_no_members),
		cmocka_unit_test(the_end_of_an_old_stream_says_nothing_of_a_newer_one),
		cmocka_unit_test(who_is_silent_for_long_is_inactive),
		cmocka_unit_test(nobody_is_active_who_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
