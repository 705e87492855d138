/* JSON by jansson, with bounds on what comes from outside. */
#include "base/json.h"

#include <errno.h>
#include <string.h>

bool json_is_shallow(const char *text, size_t len)
{
	bool in_string = false;
	unsigned depth = 0;

	for (size_t i = 0; i < len && depth <= JSON_DEPTH_MAX; i++) {
		char c = text[i];

		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (!in_string && (c == '[' || c == '{'))
			depth++;
		else if (!in_string && (c == ']' || c == '}'))
			depth -= depth > 0;
	}
	return depth <= JSON_DEPTH_MAX;
}

int json_parse(const char *text, size_t len, size_t len_max, json_t **out, struct err *e)
{
	json_error_t why;
	char *near;

	if (len > len_max)
		return err_set(e, EMSGSIZE, "JSON of %zu bytes, at most %zu are taken", len,
			       len_max);
	if (!json_is_shallow(text, len))
		return err_set(e, EINVAL, "JSON nested more than %d deep", JSON_DEPTH_MAX);
	*out = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (*out)
		return 0;
	/* Where and why; not jansson's "near 'x'", for x may be a secret. */
	near = strstr(why.text, " near ");
	if (near)
		*near = 0;
	return err_set(e, EINVAL, "JSON line %d column %d: %s", why.line, why.column, why.text);
}

const char *json_str(const json_t *obj, const char *key)
{
	return json_string_value(json_object_get(obj, key));
}

uint64_t json_u64(const json_t *obj, const char *key, uint64_t fallback)
{
	const json_t *v = json_object_get(obj, key);

	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return fallback;
	return (uint64_t)json_integer_value(v);
}

char *json_print(const json_t *j)
{
	char *text = json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);

	if (!text)
		abort();
	return text;
}
