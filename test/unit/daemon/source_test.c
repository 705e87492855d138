/* daemon/source: where blobs were seen */
#include "daemon/source.h"

#include "test/unit/unit.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define HEX "b2c366cce7e68013d5441c6326d5a3e1b12aeb5ed58564d0fd3fa089bc29cb6e"

static struct source *found[SOURCES_OF_DIGEST_MAX];

static void unref_all(size_t count)
{
	for (size_t i = 0; i < count; i++)
		source_unref(found[i]);
}

static const char *header_of(const struct source *s, const char *name)
{
	for (size_t i = 0; i < s->headers.count; i++)
		if (strcmp(s->headers.items[i].name, name) == 0)
			return s->headers.items[i].value;
	return NULL;
}

static void a_noted_blob_is_found_with_its_authorization(void **state)
{
	struct sources *ss = sources_new();

	(void)state;
	sources_note(ss, HEX, "https://r:5000", "library/debian", "Bearer x");
	assert_int_equal(sources_find(ss, HEX, found), 1);
	assert_string_equal(found[0]->url, "https://r:5000/v2/library/debian/blobs/sha256:" HEX);
	assert_string_equal(header_of(found[0], "Authorization"), "Bearer x");
	unref_all(1);
	sources_free(ss);
}

static void what_was_not_noted_is_not_found(void **state)
{
	struct sources *ss = sources_new();

	(void)state;
	sources_note(ss, "nonsense", "https://r", "a", NULL);
	assert_int_equal(sources_find(ss, HEX, found), 0);
	sources_free(ss);
}

static void the_latest_place_comes_first_and_the_configured_ones_last(void **state)
{
	struct sources *ss = sources_new();

	(void)state;
	sources_add(ss, "https://mirror", "all", NULL);
	sources_note(ss, HEX, "https://one", "a", NULL);
	sources_note(ss, HEX, "https://two", "b", NULL);
	sources_note(ss, HEX, "https://one", "a", NULL);
	assert_int_equal(sources_find(ss, HEX, found), 3);
	assert_memory_equal(found[0]->url, "https://one/", 12);
	assert_memory_equal(found[1]->url, "https://two/", 12);
	assert_memory_equal(found[2]->url, "https://mirror/", 15);
	unref_all(3);
	/* A configured place that was noted too is asked once. */
	sources_note(ss, HEX, "https://mirror", "all", NULL);
	assert_int_equal(sources_find(ss, HEX, found), 3);
	assert_memory_equal(found[0]->url, "https://mirror/", 15);
	unref_all(3);
	sources_free(ss);
}

static void few_places_are_kept_for_one_blob(void **state)
{
	struct sources *ss = sources_new();
	size_t count;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		char base[32];

		snprintf(base, sizeof(base), "https://r%u", i);
		sources_note(ss, HEX, base, "a", NULL);
	}
	count = sources_find(ss, HEX, found);
	assert_true(count > 0 && count <= SOURCES_OF_DIGEST_MAX);
	assert_memory_equal(found[0]->url, "https://r19/", 12);
	unref_all(count);
	sources_free(ss);
}

static void a_new_token_counts_for_all_blobs_of_its_repository(void **state)
{
	struct sources *ss = sources_new();
	char other[65];

	(void)state;
	memset(other, 'a', 64);
	other[64] = 0;
	sources_note(ss, HEX, "https://r", "a", "Bearer old");
	sources_note(ss, other, "https://r", "a", "Bearer new");
	assert_int_equal(sources_find(ss, HEX, found), 1);
	assert_string_equal(header_of(found[0], "Authorization"), "Bearer new");
	unref_all(1);
	/* Who has none does not take it away. */
	sources_note(ss, HEX, "https://r", "a", NULL);
	assert_int_equal(sources_find(ss, HEX, found), 1);
	assert_string_equal(header_of(found[0], "Authorization"), "Bearer new");
	unref_all(1);
	sources_free(ss);
}

static void the_least_used_blobs_are_forgotten(void **state)
{
	struct sources *ss = sources_new();
	cleanup(free_at) char *token = mem_alloc(8192);
	char hex[65];

	(void)state;
	memset(token, 't', 8000);
	sources_note(ss, HEX, "https://first", "a", token);
	for (unsigned i = 0; i < 3000; i++) {
		char repository[32];

		snprintf(hex, sizeof(hex), "%064x", i);
		snprintf(repository, sizeof(repository), "r%u", i);
		sources_note(ss, hex, "https://r", repository, token);
		unref_all(sources_find(ss, HEX, found));
	}
	assert_int_equal(sources_find(ss, HEX, found), 1);
	unref_all(1);
	assert_int_equal(sources_find(ss, hex, found), 1);
	unref_all(1);
	snprintf(hex, sizeof(hex), "%064x", 0);
	assert_int_equal(sources_find(ss, hex, found), 0);
	sources_free(ss);
}

static void headers_of_one_request_are_left_out(void **state)
{
	__typeof__(*((struct config_pairs *)0)->items) items[] = {
		{(char *)"Authorization", (char *)"Bearer x"},
		{(char *)"range", (char *)"bytes=0-1"},
		{(char *)"Host", (char *)"h"},
		{(char *)"X-Dragonfly-Tag", (char *)"t"},
		{(char *)"Accept", (char *)"*/*"}};
	struct config_pairs headers = {.items = (void *)items, .count = array_len(items)};
	struct source *s = source_new("http://h/", &headers);

	(void)state;
	assert_int_equal(s->headers.count, 2);
	assert_string_equal(header_of(s, "Authorization"), "Bearer x");
	assert_string_equal(header_of(s, "Accept"), "*/*");
	source_unref(s);
	source_unref(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_noted_blob_is_found_with_its_authorization),
		cmocka_unit_test(what_was_not_noted_is_not_found),
		cmocka_unit_test(the_latest_place_comes_first_and_the_configured_ones_last),
		cmocka_unit_test(few_places_are_kept_for_one_blob),
		cmocka_unit_test(a_new_token_counts_for_all_blobs_of_its_repository),
		cmocka_unit_test(the_least_used_blobs_are_forgotten),
		cmocka_unit_test(headers_of_one_request_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
