/* Fuzzes the configuration reader (YAML against a table that has every type). What must hold: an
 * error is told with its place, and whatever was set before it can be released. */
#include "base/config.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct item {
	char *text;
	bool flag;
	struct config_strings texts;
	struct config_list items; /* struct item2 */
};

struct item2 {
	uint64_t number;
	struct config_pairs pairs;
};

struct program {
	bool flag;
	uint64_t number, bytes;
	uint16_t port;
	int64_t ms;
	char *text, *word, *ip;
	struct config_strings texts;
	struct config_pairs pairs;
	struct config_list items;
};

static const struct config_key item2_keys[] = {
	{.path = "number",
	 .type = CONFIG_U64,
	 .offset = offsetof(struct item2, number),
	 .fallback = "3"},
	{.path = "pairs", .type = CONFIG_MAP, .offset = offsetof(struct item2, pairs)},
	{.path = NULL},
};

static const struct config_key item_keys[] = {
	{.path = "text",
	 .type = CONFIG_STRING,
	 .offset = offsetof(struct item, text),
	 .fallback = "x",
	 .aliases = "words t.e.x.t"},
	{.path = "flag", .type = CONFIG_BOOL, .offset = offsetof(struct item, flag)},
	{.path = "texts", .type = CONFIG_STRINGS, .offset = offsetof(struct item, texts)},
	{.path = "items",
	 .type = CONFIG_LIST,
	 .offset = offsetof(struct item, items),
	 .item_keys = item2_keys,
	 .item_size = sizeof(struct item2)},
	{.path = NULL},
};

#define AT(field) offsetof(struct program, field)

static const struct config_key keys[] = {
	{.path = "a.flag", .type = CONFIG_BOOL, .offset = AT(flag), .fallback = "true"},
	{.path = "a.number",
	 .type = CONFIG_U64,
	 .offset = AT(number),
	 .fallback = "5",
	 .min = 1,
	 .max = 9},
	{.path = "a.b.bytes", .type = CONFIG_BYTES, .offset = AT(bytes), .fallback = "1MiB"},
	{.path = "a.b.port", .type = CONFIG_PORT, .offset = AT(port), .aliases = "port"},
	{.path = "ms", .type = CONFIG_DURATION, .offset = AT(ms), .fallback = "5s", .min = 10},
	{.path = "text", .type = CONFIG_STRING, .offset = AT(text), .fallback = "text"},
	{.path = "word", .type = CONFIG_ENUM, .offset = AT(word), .words = "tcp|quic"},
	{.path = "ip", .type = CONFIG_IP, .offset = AT(ip)},
	{.path = "texts", .type = CONFIG_STRINGS, .offset = AT(texts), .fallback = "one"},
	{.path = "pairs", .type = CONFIG_MAP, .offset = AT(pairs)},
	{.path = "items",
	 .type = CONFIG_LIST,
	 .offset = AT(items),
	 .item_keys = item_keys,
	 .item_size = sizeof(struct item)},
	{.path = "old", .type = CONFIG_IGNORED},
	{.path = NULL},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct program p = {0};
	struct err e = {0};
	int r;

	log_level_now = LOG_ERROR;
	r = config_parse(keys, "f", (const char *)data, size, &p, &e);
	assert(r == 0 || (r == -EINVAL && e.code == EINVAL && strncmp(e.text, "f:", 2) == 0));
	assert(r < 0 || (p.number >= 1 && p.number <= 9 && p.ms >= 10));
	config_release(keys, &p);
	return 0;
}
