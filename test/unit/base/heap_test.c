/* Samples add up to what was allocated, and leave with what is freed. That stacks name who
 * allocated is shown by 57_profiles.py, which has pprof read the profile that this test writes to
 * the file that HEAP_PROFILE names. */
#include "base/heap.h"

#include "base/mem.h"
#include "base/profile.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB	    (1024.0 * 1024)
#define LARGE_COUNT 64
#define SMALL_COUNT (1u << 20)
#define SMALL_SIZE  64

static struct heap_site sum_of_sites(void)
{
	size_t count;
	uint64_t lost;
	struct heap_site *sites = heap_sites(&count, &lost), sum = {0};

	assert_non_null(sites);
	assert_int_equal(lost, 0);
	for (size_t i = 0; i < count; i++) {
		assert_in_range(sites[i].depth, 1, HEAP_DEPTH_MAX);
		sum.allocated_objects += sites[i].allocated_objects;
		sum.allocated_bytes += sites[i].allocated_bytes;
		sum.live_objects += sites[i].live_objects;
		sum.live_bytes += sites[i].live_bytes;
	}
	free(sites);
	return sum;
}

/* Estimates. */
static void assert_about(double got, double want)
{
	if (got < want / 2 || got > want * 2)
		fail_msg("%.0f is not about %.0f", got, want);
}

static __attribute__((noinline)) void planted_large(void **kept)
{
	for (unsigned i = 0; i < LARGE_COUNT; i++)
		kept[i] = i % 4 == 0   ? mem_alloc(1u << 20)
			  : i % 4 == 1 ? mem_realloc(malloc(1), 1u << 20)
			  : i % 4 == 2 ? aligned_alloc(4096, 1u << 20)
				       : malloc(1u << 20);
}

static __attribute__((noinline)) void planted_small(void **kept)
{
	for (unsigned i = 0; i < SMALL_COUNT; i++)
		kept[i] = malloc(SMALL_SIZE);
}

static void free_all(void **kept, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		free(kept[i]);
}

/* For 57_profiles.py, while what was planted is there. */
static void write_profile(void)
{
	const char *path = getenv("HEAP_PROFILE");
	struct buf out = {0};
	FILE *f = path ? fopen(path, "wb") : NULL;

	assert_true(!path || f);
	profile_heap(&out);
	assert_true(out.len > 18 && memcmp(out.data, "\x1f\x8b", 2) == 0);
	if (f) {
		assert_int_equal(fwrite(out.data, 1, out.len, f), out.len);
		assert_int_equal(fclose(f), 0);
	}
	buf_release(&out);
}

static void samples_add_up_to_what_was_allocated(void **state)
{
	void **large = mem_array(LARGE_COUNT, sizeof(void *));
	void **small = mem_array(SMALL_COUNT, sizeof(void *));
	struct heap_site before, with_large, with_small, after;

	(void)state;
	before = sum_of_sites();
	planted_large(large);
	with_large = sum_of_sites();
	assert_about(with_large.live_bytes - before.live_bytes, LARGE_COUNT * MIB);
	assert_about(with_large.live_objects - before.live_objects, LARGE_COUNT);
	planted_small(small);
	with_small = sum_of_sites();
	assert_about(with_small.live_bytes - with_large.live_bytes, SMALL_COUNT * SMALL_SIZE);
	assert_about(with_small.live_objects - with_large.live_objects, SMALL_COUNT);
	write_profile();
	free_all(large, LARGE_COUNT);
	free_all(small, SMALL_COUNT);
	after = sum_of_sites();
	/* What sum_of_sites() itself has asked for is in the sums, at most. */
	assert_true(after.live_bytes < before.live_bytes + 8 * MIB);
	assert_true(after.allocated_bytes >= with_small.allocated_bytes);
	assert_about(with_small.allocated_bytes - before.allocated_bytes,
		     LARGE_COUNT * MIB + SMALL_COUNT * SMALL_SIZE);
	free(large);
	free(small);
}

static void what_cannot_be_had_is_not_counted(void **state)
{
	volatile size_t huge = SIZE_MAX / 2 + 16;
	struct heap_site before = sum_of_sites(), after;

	(void)state;
	assert_null(malloc(huge));
	assert_null(calloc(huge, 3));
	free(NULL);
	after = sum_of_sites();
	assert_true(after.live_bytes < before.live_bytes + 8 * MIB);
}

/* Each frees what another has asked for. */
static void *pass_on(void *arg)
{
	void **hand = arg;

	for (unsigned i = 0; i < 200000; i++) {
		void *mine = malloc(1 + i % 8192);

		assert_non_null(mine);
		free(__atomic_exchange_n(hand, mine, __ATOMIC_ACQ_REL));
	}
	return NULL;
}

static void threads_free_what_others_have_allocated(void **state)
{
	pthread_t threads[4];
	void *hand = NULL;
	struct heap_site before = sum_of_sites(), after;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, pass_on, &hand), 0);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	free(hand);
	after = sum_of_sites();
	assert_about(after.allocated_bytes - before.allocated_bytes, 4 * 200000.0 * 4096);
	assert_true(after.live_bytes < before.live_bytes + 8 * MIB);
}

/* Another thread may have had the table's mutex when the child was made. */
static void a_child_of_fork_allocates_freely(void **state)
{
	pthread_t thread;
	void *hand = NULL;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, pass_on, &hand), 0);
	for (unsigned i = 0; i < 50; i++) {
		int status = -1;
		pid_t child = fork();

		if (child == 0) {
			void *kept[8];
			size_t count;
			uint64_t lost;

			for (unsigned k = 0; k < 8; k++)
				kept[k] = malloc(1u << 20);
			free_all(kept, 8);
			_exit(heap_sites(&count, &lost) ? 1 : 0);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	pthread_join(thread, NULL);
	free(hand);
}

static void without_sampling_there_is_a_profile_without_samples(void **state)
{
	size_t count = 1;
	uint64_t lost;

	(void)state;
	assert_null(heap_sites(&count, &lost));
	assert_int_equal(count, 0);
	write_profile();
}

int main(void)
{
	const struct CMUnitTest off[] = {
		cmocka_unit_test(without_sampling_there_is_a_profile_without_samples),
	};
	const struct CMUnitTest on[] = {
		cmocka_unit_test(samples_add_up_to_what_was_allocated),
		cmocka_unit_test(what_cannot_be_had_is_not_counted),
		cmocka_unit_test(threads_free_what_others_have_allocated),
		cmocka_unit_test(a_child_of_fork_allocates_freely),
	};
	size_t count;
	uint64_t lost;
	int failed = cmocka_run_group_tests(off, NULL, NULL);

	heap_sampling_start();
	free(heap_sites(&count, &lost));
#ifdef SKIMMER_SANITIZED
	(void)on;
	return failed;
#else
	return failed + cmocka_run_group_tests(on, NULL, NULL);
#endif
}
