/* base/list, and the owners of base/cleanup */
#include "test/unit/unit.h"

#include "base/list.h"

#include <fcntl.h>

struct item {
	int no;
	struct list link;
};

/* The numbers in the list, as decimal digits. */
static int digits(const struct list *head)
{
	int n = 0;

	list_each (l, head)
		n = n * 10 + list_entry(l, struct item, link)->no;
	return n;
}

static void links_keep_their_order(void **state)
{
	struct list head = LIST_INIT(head), other = LIST_INIT(other);
	struct item items[5];

	(void)state;
	for (int i = 0; i < 5; i++) {
		items[i].no = i + 1;
		list_init(&items[i].link);
	}
	assert_true(list_empty(&head));
	assert_null(list_pop_front(&head));
	list_push_back(&head, &items[1].link);
	list_push_back(&head, &items[2].link);
	list_push_front(&head, &items[0].link);
	list_insert_before(&items[2].link, &items[4].link);
	assert_int_equal(digits(&head), 1253);
	list_remove(&items[1].link);
	list_remove(&items[1].link);
	assert_int_equal(digits(&head), 153);
	list_push_back(&other, &items[3].link);
	list_splice(&other, &head);
	assert_true(list_empty(&head));
	assert_int_equal(digits(&other), 4153);
	list_splice(&other, &head);
	assert_int_equal(digits(&other), 4153);
	assert_ptr_equal(list_pop_front(&other), &items[3].link);
	assert_true(list_empty(&items[3].link));
}

static void the_current_link_may_go_while_iterating(void **state)
{
	struct list head = LIST_INIT(head);
	struct item items[6];

	(void)state;
	for (int i = 0; i < 6; i++) {
		items[i].no = i + 1;
		list_push_back(&head, &items[i].link);
	}
	list_each_safe (l, &head) {
		if (list_entry(l, struct item, link)->no % 2)
			list_remove(l);
	}
	assert_int_equal(digits(&head), 246);
}

static void owners_hand_over_once(void **state)
{
	int raw = open("/dev/null", O_RDONLY | O_CLOEXEC), taken;
	char *text = malloc(1), *kept;

	(void)state;
	{
		cleanup(close_at) int fd = raw;
		cleanup(free_at) char *own = text;

		taken = take_fd(&fd);
		kept = take_ptr(&own);
		assert_int_equal(fd, -1);
		assert_null(own);
	}
	assert_int_equal(taken, raw);
	assert_ptr_equal(kept, text);
	assert_int_equal(fcntl(raw, F_GETFD), FD_CLOEXEC);
	{
		cleanup(close_at) int fd = raw;
		cleanup(free_at) char *own = text;
	}
	assert_int_equal(fcntl(raw, F_GETFD), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links_keep_their_order),
		cmocka_unit_test(the_current_link_may_go_while_iterating),
		cmocka_unit_test(owners_hand_over_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
