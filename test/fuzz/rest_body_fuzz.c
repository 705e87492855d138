/* Fuzzes what the REST API reads of strangers before it knows them: a token, a time, a CIDR, a
 * regular expression, and a body against the fields of a cluster. What must hold: nobody's token is
 * good, and what was taken once is taken again unchanged. */
#include "base/mem.h"
#include "control/manager/cluster_fields.h"
#include "control/manager/expression.h"
#include "control/manager/jwt.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct jwt *jwt;

static void check_token(const char *text)
{
	static const struct jwt_config config = {.key = "a key that nobody finds by fuzzing",
						 .life_ms = 1000,
						 .refresh_ms = 1000,
						 .rotate_ms = 1000};
	struct jwt_claims claims;

	if (!jwt && jwt_open(&config, NULL, NULL, &jwt, NULL) < 0)
		abort();
	assert(!jwt_verify(jwt, text, false, &claims) && !jwt_verify(jwt, text, true, &claims));
}

static void check_body(const char *text, size_t len)
{
	json_t *body cleanup(json_decref_at) = NULL, *once cleanup(json_decref_at) = NULL;
	json_t *twice cleanup(json_decref_at) = NULL;
	struct err e = {0};

	if (json_parse(text, len, 1 << 20, &body, &e) < 0)
		return;
	if (fields_take(cluster_fields, body, true, &once, &e) < 0) {
		assert(e.text[0]);
		return;
	}
	assert(fields_take(cluster_fields, once, true, &twice, &e) == 0);
	assert(json_equal(once, twice));
}

static void check_time(const char *text)
{
	int64_t ms, again;
	char printed[32];

	if (!field_parse_time(text, &ms) || ms < 0)
		return;
	field_print_time(ms, printed);
	assert(field_parse_time(printed, &again) && again == ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text cleanup(free_at) = mem_strndup((const char *)data, size);
	struct err e = {0};

	if (size > 4096)
		return 0;
	check_token(text);
	check_time(text);
	if (field_check_cidr(text, &e) == 0)
		assert(strchr(text, '/'));
	if (expression_check(text, &e) < 0)
		assert(e.text[0]);
	check_body(text, strlen(text));
	return 0;
}
