/* base/mem */
#include "test/unit/unit.h"

#include "base/mem.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

static void memory_comes_zeroed_and_copies_are_whole(void **state)
{
	cleanup(free_at) int *zeros = mem_array(1000, sizeof(*zeros));
	cleanup(free_at) char *copy = mem_strdup("text");
	cleanup(free_at) char *part = mem_strndup("text", 2);
	cleanup(free_at) char *printed = mem_printf("%s-%d", "a", 1);
	cleanup(free_at) char *none = mem_alloc(0);
	cleanup(free_at) char *bytes = mem_dup("a\0b", 3);

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(zeros[i], 0);
	assert_string_equal(copy, "text");
	assert_string_equal(part, "te");
	assert_string_equal(printed, "a-1");
	assert_memory_equal(bytes, "a\0b", 3);
	assert_non_null(none);
	assert_null(mem_strdup(NULL));
}

static void a_product_that_overflows_aborts(void **state)
{
	volatile size_t many = SIZE_MAX / 2;
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		close(STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		free(mem_array(many, 3));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_comes_zeroed_and_copies_are_whole),
		cmocka_unit_test(a_product_that_overflows_aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
