/* Priorities of applications, and block lists. */
#include "control/scheduler/rules.h"

#include "base/cleanup.h"
#include "test/unit/unit.h"

#include <string.h>

static Common__V2__Download download(const char *url, const char *application, int priority)
{
	Common__V2__Download d = COMMON__V2__DOWNLOAD__INIT;

	d.url = (char *)url;
	d.priority = (Common__V2__Priority)priority;
	if (application) {
		d.application__case = COMMON__V2__DOWNLOAD__APPLICATION__APPLICATION;
		d.application = (char *)application;
	}
	return d;
}

static struct rules *with_application(void)
{
	Manager__V2__URLPriority bad = MANAGER__V2__URLPRIORITY__INIT;
	Manager__V2__URLPriority model = MANAGER__V2__URLPRIORITY__INIT;
	Manager__V2__URLPriority *urls[] = {&bad, &model};
	Manager__V2__ApplicationPriority priority = MANAGER__V2__APPLICATION_PRIORITY__INIT;
	Manager__V2__Application app = MANAGER__V2__APPLICATION__INIT;
	Manager__V2__Application *apps[] = {&app};
	Manager__V2__ListApplicationsResponse list = MANAGER__V2__LIST_APPLICATIONS_RESPONSE__INIT;

	bad.regex = (char *)"(";
	bad.value = 1;
	model.regex = (char *)"\\.model$";
	model.value = 2;
	priority.value = 20; /* the console allows more than there is */
	priority.urls = urls;
	priority.n_urls = 2;
	app.name = (char *)"train";
	app.priority = &priority;
	list.applications = apps;
	list.n_applications = 1;
	return rules_new(&list, NULL, NULL);
}

static void priority_is_the_downloads_own_else_its_applications(void **state)
{
	struct rules *r = with_application();
	Common__V2__Download d = download("http://o/a.model", "train", 0);

	(void)state;
	assert_int_equal(rules_priority(r, &d), 2);
	d = download("http://o/a.txt", "train", 0);
	assert_int_equal(rules_priority(r, &d), 6);
	d = download("http://o/a.model", "train", 5);
	assert_int_equal(rules_priority(r, &d), 5);
	d = download("http://o/a.model", "serve", 0);
	assert_int_equal(rules_priority(r, &d), 0);
	d = download("http://o/a.model", NULL, 0);
	assert_int_equal(rules_priority(r, &d), 0);
	assert_int_equal(rules_priority(NULL, &d), 0);
	rules_free(r);
}

static struct rules *with_block_list(const char *normal, const char *seed)
{
	const ProtobufCBinaryData a = {strlen(normal), (uint8_t *)normal};
	const ProtobufCBinaryData b = {strlen(seed), (uint8_t *)seed};

	return rules_new(NULL, &a, &b);
}

static void each_list_blocks_by_itself_and_seeds_have_their_own(void **state)
{
	struct rules *r = with_block_list(
		"{\"load_limit\":200,\"block_list\":{\"task\":{\"download\":{"
		"\"applications\":[\"evil\",7],\"urls\":[\"(\",\"/secret/\"],\"tags\":[\"t\"],"
		"\"priorities\":[3,99]}}}}",
		"{}");
	Common__V2__Download d = download("http://o/f", "evil", 0);

	(void)state;
	assert_string_equal(rules_blocked(r, &d, false), "application");
	assert_null(rules_blocked(r, &d, true));
	d = download("http://o/secret/f", NULL, 0);
	assert_string_equal(rules_blocked(r, &d, false), "url");
	d = download("http://o/f", NULL, 3);
	assert_string_equal(rules_blocked(r, &d, false), "priority");
	d = download("http://o/f", "good", 0);
	assert_null(rules_blocked(r, &d, false));
	d.tag__case = COMMON__V2__DOWNLOAD__TAG__TAG;
	d.tag = (char *)"t";
	assert_string_equal(rules_blocked(r, &d, false), "tag");
	assert_null(rules_blocked(NULL, &d, false));
	rules_free(r);
}

static void a_configuration_that_is_nonsense_blocks_nothing(void **state)
{
	static const char *const texts[] = {"", "{", "[]", "{\"block_list\":7}",
					    "{\"block_list\":{\"task\":{\"download\":[1]}}}"};
	const Common__V2__Download d = download("http://o/f", "evil", 1);

	(void)state;
	for (size_t i = 0; i < array_len(texts); i++) {
		struct rules *r = with_block_list(texts[i], texts[i]);

		assert_null(rules_blocked(r, &d, false));
		assert_null(rules_blocked(r, &d, true));
		rules_free(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(priority_is_the_downloads_own_else_its_applications),
		cmocka_unit_test(each_list_blocks_by_itself_and_seeds_have_their_own),
		cmocka_unit_test(a_configuration_that_is_nonsense_blocks_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
