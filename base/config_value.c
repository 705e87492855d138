/* Text to typed fields. Must not know: YAML, files. */
#include "base/config_value.h"

#include "base/mem.h"
#include "base/net.h"
#include "base/units.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

static bool set_bool(bool *field, const char *text)
{
	static const char *const words[] = {"false", "no", "off", "true", "yes", "on"};

	for (size_t i = 0; i < array_len(words); i++) {
		if (strcasecmp(text, words[i]) != 0)
			continue;
		*field = i >= 3;
		return true;
	}
	return false;
}

static bool in_bounds(const struct config_key *key, uint64_t v)
{
	return v >= key->min && (key->max == 0 || v <= key->max);
}

static bool parse_u64(const char *text, uint64_t *out)
{
	uint64_t v = 0;

	if (!*text)
		return false;
	for (; *text; text++)
		if (*text < '0' || *text > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*text - '0'), &v))
			return false;
	*out = v;
	return true;
}

static bool set_number(const struct config_key *key, void *field, const char *text)
{
	uint64_t v = 0;
	int64_t ms = 0;
	bool ok;

	switch (key->type) {
	case CONFIG_PORT:
		ok = parse_u64(text, &v) && v <= UINT16_MAX;
		if (ok)
			*(uint16_t *)field = (uint16_t)v;
		return ok;
	case CONFIG_DURATION:
		ok = units_parse_duration_ms(text, &ms) && in_bounds(key, (uint64_t)ms);
		if (ok)
			*(int64_t *)field = ms;
		return ok;
	case CONFIG_BYTES:
		ok = units_parse_bytes(text, &v);
		break;
	default:
		ok = parse_u64(text, &v);
	}
	ok = ok && in_bounds(key, v);
	if (ok)
		*(uint64_t *)field = v;
	return ok;
}

/* Is text one of the words "a|b|c"? */
static bool is_one_of(const char *words, const char *text)
{
	size_t len = strlen(text);

	while (*words) {
		size_t n = strcspn(words, "|");

		if (n == len && memcmp(words, text, len) == 0)
			return true;
		words += n + (words[n] == '|');
	}
	return false;
}

static bool set_text(const struct config_key *key, char **field, const char *text)
{
	struct net_addr a;

	if (key->type == CONFIG_ENUM && !is_one_of(key->words, text))
		return false;
	if (key->type == CONFIG_IP && *text && !net_addr_parse(text, 0, &a))
		return false;
	free(*field);
	*field = *text ? mem_strdup(text) : NULL;
	return true;
}

bool config_value_set(const struct config_key *key, void *field, const char *text)
{
	switch (key->type) {
	case CONFIG_BOOL:
		return set_bool(field, text);
	case CONFIG_U64:
	case CONFIG_PORT:
	case CONFIG_BYTES:
	case CONFIG_DURATION:
		return set_number(key, field, text);
	case CONFIG_STRING:
	case CONFIG_ENUM:
	case CONFIG_IP:
		return set_text(key, field, text);
	case CONFIG_STRINGS:
		config_value_release(key, field);
		if (*text)
			config_strings_add(field, text);
		return true;
	case CONFIG_MAP:
	case CONFIG_LIST:
	case CONFIG_IGNORED:
		break;
	}
	return false;
}

static void release_strings(struct config_strings *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->items[i]);
	free(s->items);
	*s = (struct config_strings){0};
}

static void release_pairs(struct config_pairs *p)
{
	for (size_t i = 0; i < p->count; i++) {
		free(p->items[i].name);
		free(p->items[i].value);
	}
	free(p->items);
	*p = (struct config_pairs){0};
}

static void release_list(const struct config_key *key, struct config_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		config_release(key->item_keys, (char *)l->items + i * key->item_size);
	free(l->items);
	*l = (struct config_list){0};
}

void config_value_release(const struct config_key *key, void *field)
{
	switch (key->type) {
	case CONFIG_STRING:
	case CONFIG_ENUM:
	case CONFIG_IP:
		free(*(char **)field);
		*(char **)field = NULL;
		return;
	case CONFIG_STRINGS:
		release_strings(field);
		return;
	case CONFIG_MAP:
		release_pairs(field);
		return;
	case CONFIG_LIST:
		release_list(key, field);
		return;
	case CONFIG_BOOL:
	case CONFIG_U64:
	case CONFIG_PORT:
	case CONFIG_BYTES:
	case CONFIG_DURATION:
	case CONFIG_IGNORED:
		return;
	}
}

/* Arrays double when they are full, so their length alone tells their room. */
static void *grow(void *items, size_t count, size_t size)
{
	if (count & (count - 1))
		return items;
	return mem_realloc(items, (count ? 2 * count : 1) * size);
}

void config_strings_add(struct config_strings *s, const char *text)
{
	s->items = grow(s->items, s->count, sizeof(s->items[0]));
	s->items[s->count++] = mem_strdup(text);
}

void config_pairs_add(struct config_pairs *p, const char *name, const char *value)
{
	p->items = grow(p->items, p->count, sizeof(p->items[0]));
	p->items[p->count].name = mem_strdup(name);
	p->items[p->count++].value = mem_strdup(value);
}

void *config_list_add(struct config_list *l, size_t item_size)
{
	char *item;

	l->items = grow(l->items, l->count, item_size);
	item = (char *)l->items + l->count++ * item_size;
	memset(item, 0, item_size);
	return item;
}

/* ---- words */

static void print_bound(enum config_type type, uint64_t v, char *text, size_t size)
{
	if (type == CONFIG_BYTES)
		units_print_bytes(v, text, size);
	else if (type == CONFIG_DURATION)
		units_print_ms((int64_t)v, text, size);
	else
		snprintf(text, size, "%" PRIu64, v);
}

static void append_bounds(const struct config_key *key, char *text, size_t size)
{
	char min[32], max[32];

	print_bound(key->type, key->min, min, sizeof(min));
	print_bound(key->type, key->max, max, sizeof(max));
	if (key->min && key->max)
		snprintf(text, size, ", from %s to %s", min, max);
	else if (key->min)
		snprintf(text, size, ", at least %s", min);
	else if (key->max)
		snprintf(text, size, ", at most %s", max);
}

static void describe_enum(const char *words, char *text, size_t size)
{
	snprintf(text, size, "one of %s", words);
	for (char *p = strchr(text, '|'); p; p = strchr(p, '|'))
		*p = ' ';
}

void config_value_describe(const struct config_key *key, char *text, size_t size)
{
	static const char *const words[] = {
		[CONFIG_BOOL] = "true or false",
		[CONFIG_U64] = "a whole number",
		[CONFIG_PORT] = "a port, 0 to 65535",
		[CONFIG_BYTES] = "a size with its unit, e.g. 8MiB or 50GB",
		[CONFIG_DURATION] = "a time with its unit, e.g. 500ms, 30s or 5m",
		[CONFIG_STRING] = "text",
		[CONFIG_ENUM] = "",
		[CONFIG_IP] = "an IP address, e.g. 10.0.0.1 or fd00::1",
		[CONFIG_STRINGS] = "a list of text, e.g. [a, b]",
		[CONFIG_MAP] = "a mapping of text to text, e.g. {name: value}",
		[CONFIG_LIST] = "a list of mappings",
		[CONFIG_IGNORED] = "anything",
	};
	size_t len;

	if (key->type == CONFIG_ENUM) {
		describe_enum(key->words, text, size);
		return;
	}
	snprintf(text, size, "%s", words[key->type]);
	len = strlen(text);
	if (key->type == CONFIG_U64 || key->type == CONFIG_BYTES || key->type == CONFIG_DURATION)
		append_bounds(key, text + len, size - len);
}

/* ---- printing */

static char *print_duration(int64_t ms)
{
	static const struct {
		int64_t ms;
		const char *unit;
	} units[] = {{3600 * 1000, "h"}, {60 * 1000, "m"}, {1000, "s"}};

	for (size_t i = 0; i < array_len(units); i++)
		if (ms && ms % units[i].ms == 0)
			return mem_printf("%" PRId64 "%s", ms / units[i].ms, units[i].unit);
	return mem_printf("%" PRId64 "ms", ms);
}

static char *print_bytes(uint64_t n)
{
	static const struct {
		uint64_t n;
		const char *unit;
	} units[] = {{1u << 30, "GiB"},
		     {1000u * 1000 * 1000, "GB"},
		     {1u << 20, "MiB"},
		     {1000 * 1000, "MB"},
		     {1u << 10, "KiB"}};

	for (size_t i = 0; i < array_len(units); i++)
		if (n && n % units[i].n == 0)
			return mem_printf("%" PRIu64 "%s", n / units[i].n, units[i].unit);
	return mem_printf("%" PRIu64, n);
}

static char *print_strings(const struct config_strings *s)
{
	char *text = mem_strdup("[");

	for (size_t i = 0; i < s->count; i++) {
		char *longer = mem_printf("%s%s%s", text, i ? ", " : "", s->items[i]);

		free(text);
		text = longer;
	}
	return text;
}

static char *print_pairs(const struct config_pairs *p)
{
	char *text = mem_strdup("{");

	for (size_t i = 0; i < p->count; i++) {
		char *longer = mem_printf("%s%s%s: %s", text, i ? ", " : "", p->items[i].name,
					  p->items[i].value);

		free(text);
		text = longer;
	}
	return text;
}

static char *closed(char *text, const char *bracket)
{
	char *whole = mem_printf("%s%s", text, bracket);

	free(text);
	return whole;
}

char *config_value_print(const struct config_key *key, const void *field)
{
	switch (key->type) {
	case CONFIG_BOOL:
		return mem_strdup(*(const bool *)field ? "true" : "false");
	case CONFIG_U64:
		return mem_printf("%" PRIu64, *(const uint64_t *)field);
	case CONFIG_PORT:
		return mem_printf("%u", *(const uint16_t *)field);
	case CONFIG_BYTES:
		return print_bytes(*(const uint64_t *)field);
	case CONFIG_DURATION:
		return print_duration(*(const int64_t *)field);
	case CONFIG_STRING:
	case CONFIG_ENUM:
	case CONFIG_IP:
		return mem_strdup(*(char *const *)field ? *(char *const *)field : "");
	case CONFIG_STRINGS:
		return closed(print_strings(field), "]");
	case CONFIG_MAP:
		return closed(print_pairs(field), "}");
	default:
		return mem_strdup("");
	}
}
