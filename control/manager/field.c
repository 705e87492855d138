/* Bodies against tables of fields. */
#include "control/manager/field.h"

#include "base/mem.h"
#include "base/net.h"
#include "base/url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#define DEPTH_MAX     8
#define FREE_JSON_MAX (64u << 10) /* of an object without a table */
#define LIST_MAX      1000

const char *field_column(const struct field *f)
{
	return f->column ? f->column : f->name;
}

/* ---- checks of text */

int field_check_cidr(const char *text, struct err *e)
{
	char host[INET6_ADDRSTRLEN];
	unsigned char addr[16];
	const char *slash = strchr(text, '/');
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;
	long bits;
	char *end;

	if (!slash || (size_t)(slash - text) >= sizeof(host))
		return err_set(e, EINVAL, "is not a CIDR such as 10.0.0.0/8");
	snprintf(host, sizeof(host), "%.*s", (int)(slash - text), text);
	errno = 0;
	bits = strtol(slash + 1, &end, 10);
	if (inet_pton(family, host, addr) != 1 || !isdigit((unsigned char)slash[1]) || *end ||
	    errno || bits > (family == AF_INET6 ? 128 : 32))
		return err_set(e, EINVAL, "is not a CIDR such as 10.0.0.0/8");
	return 0;
}

int field_check_ip(const char *text, struct err *e)
{
	struct net_addr addr;

	if (!net_addr_parse(text, 1, &addr))
		return err_set(e, EINVAL, "is not a literal IP address");
	return 0;
}

int field_check_url(const char *text, struct err *e)
{
	struct url u;
	struct err why = {0};

	if (!*text)
		return 0;
	if (url_parse(text, &u, &why) < 0)
		return err_set(e, EINVAL, "is not an http or https URL");
	url_release(&u);
	return 0;
}

int field_check_json(const char *text, struct err *e)
{
	json_t *json cleanup(json_decref_at) = NULL;

	if (json_is_shallow(text, strlen(text)))
		json = json_loads(text, JSON_DECODE_ANY, NULL);
	return json ? 0 : err_set(e, EINVAL, "is not JSON");
}

int field_check_line(const char *text, struct err *e)
{
	size_t len = strlen(text);

	if (len && (text[0] == ' ' || text[len - 1] == ' '))
		return err_set(e, EINVAL, "begins or ends with a blank");
	for (const char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return err_set(e, EINVAL, "has a control character");
	return 0;
}

/* ---- times */

void field_print_time(int64_t wall_ms, char text[32])
{
	time_t s = (time_t)(wall_ms / 1000);
	struct tm tm;

	gmtime_r(&s, &tm);
	snprintf(text, 32, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (tm.tm_year + 1900) % 10000,
		 (tm.tm_mon + 1) % 100, tm.tm_mday % 100, tm.tm_hour % 100, tm.tm_min % 100,
		 tm.tm_sec % 100, (int)(wall_ms % 1000));
}

static bool take_offset(const char *at, int *seconds_out)
{
	int h, m;

	*seconds_out = 0;
	if (strcmp(at, "Z") == 0 || strcmp(at, "z") == 0)
		return true;
	if ((at[0] != '+' && at[0] != '-') || strlen(at) != 6 ||
	    sscanf(at + 1, "%2d:%2d", &h, &m) != 2 || h < 0 || h > 23 || m < 0 || m > 59)
		return false;
	*seconds_out = (at[0] == '-' ? -1 : 1) * (h * 3600 + m * 60);
	return true;
}

bool field_parse_time(const char *text, int64_t *wall_ms_out)
{
	struct tm tm = {0};
	const char *at = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int millis = 0, scale = 100, offset;

	if (!at)
		return false;
	if (*at == '.') {
		if (!isdigit((unsigned char)*++at))
			return false;
		for (; isdigit((unsigned char)*at); at++, scale /= 10)
			millis += (*at - '0') * scale;
	}
	if (!take_offset(at, &offset))
		return false;
	*wall_ms_out = ((int64_t)timegm(&tm) - offset) * 1000 + millis;
	return true;
}

/* ---- bodies */

static int take(const struct field *f, const json_t *in, unsigned depth, json_t **out,
		struct err *e);

static int take_members(const struct field *fields, const json_t *in, bool creating, unsigned depth,
			json_t **out, struct err *e);

static bool is_word(const char *words, const char *text)
{
	size_t len = strlen(text);

	for (const char *at = words; *at; at += strcspn(at, "|"), at += *at == '|')
		if (strcspn(at, "|") == len && strncmp(at, text, len) == 0)
			return true;
	return false;
}

static int take_text(const struct field *f, const json_t *in, json_t **out, struct err *e)
{
	const char *text = json_string_value(in);
	size_t len = json_string_length(in);

	if (!text)
		return err_set(e, EINVAL, "must be text");
	if (strlen(text) != len)
		return err_set(e, EINVAL, "has a NUL");
	if (len < (size_t)f->min || (f->max && len > (size_t)f->max))
		return err_set(e, EINVAL, "must have %lld to %lld bytes", (long long)f->min,
			       (long long)f->max);
	if (f->words && !is_word(f->words, text))
		return err_set(e, EINVAL, "must be one of %s", f->words);
	if (f->check && f->check(text, e) < 0)
		return -e->code;
	*out = json_string(text);
	return 0;
}

static int take_int(const struct field *f, const json_t *in, json_t **out, struct err *e)
{
	json_int_t n = json_integer_value(in);

	if (!json_is_integer(in))
		return err_set(e, EINVAL, "must be a whole number");
	if ((f->min || f->max) && (n < f->min || n > f->max))
		return err_set(e, EINVAL, "must be %lld to %lld", (long long)f->min,
			       (long long)f->max);
	*out = json_integer(n);
	return 0;
}

static int take_time(const json_t *in, json_t **out, struct err *e)
{
	const char *text = json_string_value(in);
	int64_t ms;

	if (!text || !field_parse_time(text, &ms))
		return err_set(e, EINVAL, "must be a time such as 2030-01-31T12:00:00Z");
	*out = json_integer(ms);
	return 0;
}

static int take_list(const struct field *f, const json_t *in, unsigned depth, json_t **out,
		     struct err *e)
{
	json_t *list cleanup(json_decref_at) = json_array();
	int64_t max = f->max ? f->max : LIST_MAX;
	json_t *item;
	size_t i;

	if (!json_is_array(in))
		return err_set(e, EINVAL, "must be a list");
	if ((int64_t)json_array_size(in) > max)
		return err_set(e, EINVAL, "has more than %lld items", (long long)max);
	json_array_foreach(in, i, item)
	{
		json_t *made = NULL;

		if (take(&f->members[0], item, depth + 1, &made, e) < 0)
			return err_wrap(e, "item %zu", i);
		json_array_append_new(list, made);
	}
	*out = take_ptr(&list);
	return 0;
}

static int take_free_object(const json_t *in, json_t **out, struct err *e)
{
	char *text cleanup(free_at) = NULL;

	if (!json_is_object(in))
		return err_set(e, EINVAL, "must be an object");
	text = json_print(in);
	if (strlen(text) > FREE_JSON_MAX)
		return err_set(e, EINVAL, "is larger than 64 KiB");
	*out = json_deep_copy(in);
	return 0;
}

static int take(const struct field *f, const json_t *in, unsigned depth, json_t **out,
		struct err *e)
{
	if (depth > DEPTH_MAX)
		return err_set(e, EINVAL, "is nested too deeply");
	switch (f->type) {
	case FIELD_TEXT:
		return take_text(f, in, out, e);
	case FIELD_INT:
		return take_int(f, in, out, e);
	case FIELD_BOOL:
		if (!json_is_boolean(in))
			return err_set(e, EINVAL, "must be true or false");
		*out = json_boolean(json_is_true(in));
		return 0;
	case FIELD_TIME:
		return take_time(in, out, e);
	case FIELD_LIST:
		return take_list(f, in, depth, out, e);
	case FIELD_OBJECT:
		return f->members ? take_members(f->members, in, true, depth + 1, out, e)
				  : take_free_object(in, out, e);
	}
	return err_set(e, EINVAL, "is of no known type");
}

static int take_member(const struct field *f, const json_t *in, bool creating, unsigned depth,
		       json_t *out, struct err *e)
{
	json_t *made = NULL;

	if ((f->flags & FIELD_READ_ONLY) || (!creating && (f->flags & FIELD_CREATE_ONLY)))
		return 0;
	if (in && !json_is_null(in)) {
		if (take(f, in, depth, &made, e) < 0)
			return err_wrap(e, "%s", f->name);
	} else if (creating && (f->flags & FIELD_REQUIRED)) {
		return err_set(e, EINVAL, "%s is required", f->name);
	} else if (creating && f->fallback) {
		made = json_loads(f->fallback, JSON_DECODE_ANY, NULL);
	}
	if (made)
		json_object_set_new(out, f->name, made);
	return 0;
}

static int take_members(const struct field *fields, const json_t *in, bool creating, unsigned depth,
			json_t **out, struct err *e)
{
	json_t *made cleanup(json_decref_at) = json_object();

	if (!json_is_object(in))
		return err_set(e, EINVAL, "must be an object");
	for (const struct field *f = fields; f->name; f++)
		if (take_member(f, json_object_get(in, f->name), creating, depth, made, e) < 0)
			return -e->code;
	*out = take_ptr(&made);
	return 0;
}

int fields_take(const struct field *fields, const json_t *body, bool creating, json_t **out,
		struct err *e)
{
	if (!json_is_object(body))
		return err_set(e, EINVAL, "the body must be a JSON object");
	return take_members(fields, body, creating, 0, out, e);
}

/* ---- schemas */

static json_t *schema(const struct field *f, bool for_input);

/* For those who make what they send out of the document; not all are of JSON Schema's own. */
static const char *format_of(const struct field *f)
{
	static const struct {
		int (*check)(const char *text, struct err *e);
		const char *name;
	} formats[] = {
		{field_check_cidr, "cidr"},
		{field_check_ip, "ip"},
		{field_check_url, "uri"},
		{field_check_json, "json"},
	};

	for (size_t i = 0; i < array_len(formats); i++)
		if (f->check && f->check == formats[i].check)
			return formats[i].name;
	return NULL;
}

static json_t *text_schema(const struct field *f)
{
	json_t *s = json_pack("{s:s}", "type", "string");

	if (f->min)
		json_object_set_new(s, "minLength", json_integer(f->min));
	if (f->max)
		json_object_set_new(s, "maxLength", json_integer(f->max));
	if (format_of(f))
		json_object_set_new(s, "format", json_string(format_of(f)));
	if (f->words) {
		json_t *words = json_array();

		for (const char *at = f->words; *at; at += strcspn(at, "|"), at += *at == '|')
			json_array_append_new(words, json_stringn(at, strcspn(at, "|")));
		json_object_set_new(s, "enum", words);
	}
	return s;
}

static json_t *int_schema(const struct field *f)
{
	json_t *s = json_pack("{s:s}", "type", "integer");

	if (f->min || f->max) {
		json_object_set_new(s, "minimum", json_integer(f->min));
		json_object_set_new(s, "maximum", json_integer(f->max));
	}
	return s;
}

static json_t *schema_of_type(const struct field *f, bool for_input)
{
	switch (f->type) {
	case FIELD_TEXT:
		return text_schema(f);
	case FIELD_INT:
		return int_schema(f);
	case FIELD_BOOL:
		return json_pack("{s:s}", "type", "boolean");
	case FIELD_TIME:
		return json_pack("{s:s, s:s}", "type", "string", "format", "date-time");
	case FIELD_LIST:
		return json_pack("{s:s, s:o}", "type", "array", "items",
				 schema(&f->members[0], for_input));
	case FIELD_OBJECT:
		return f->members ? fields_schema(f->members, for_input)
				  : json_pack("{s:s}", "type", "object");
	}
	return json_object();
}

static json_t *schema(const struct field *f, bool for_input)
{
	json_t *s = schema_of_type(f, for_input);

	if (f->help)
		json_object_set_new(s, "description", json_string(f->help));
	if (f->fallback && for_input)
		json_object_set_new(s, "default", json_loads(f->fallback, JSON_DECODE_ANY, NULL));
	return s;
}

json_t *fields_schema(const struct field *fields, bool for_input)
{
	json_t *properties = json_object(), *required = json_array(), *s;

	for (const struct field *f = fields; f->name; f++) {
		if (f->flags & (for_input ? FIELD_READ_ONLY : FIELD_WRITE_ONLY))
			continue;
		json_object_set_new(properties, f->name, schema(f, for_input));
		if (for_input && (f->flags & FIELD_REQUIRED))
			json_array_append_new(required, json_string(f->name));
	}
	s = json_pack("{s:s, s:o}", "type", "object", "properties", properties);
	if (json_array_size(required))
		json_object_set(s, "required", required);
	json_decref(required);
	return s;
}
