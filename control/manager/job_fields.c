/* Arguments of jobs; bounds are Dragonfly's. Durations are nanoseconds, as there. */
#include "control/manager/job_fields.h"

#include "base/mem.h"
#include "base/redact.h"
#include "control/manager/cluster_fields.h"

#include <errno.h>
#include <string.h>

#define NS_PER_DAY (86400LL * 1000000000)

static const struct field url_item[] = {
	{.type = FIELD_TEXT, .min = 1, .max = 16384, .check = field_check_url},
};
static const struct field ip_item[] = {
	{.type = FIELD_TEXT, .min = 1, .max = 64, .check = field_check_ip},
};
static const struct field id_item[] = {{.type = FIELD_INT, .min = 1, .max = INT64_MAX}};

#define TEXT(name_, max_)                                                                          \
	{                                                                                          \
		.name = name_, .type = FIELD_TEXT, .max = max_, .check = field_check_line          \
	}
#define URL                                                                                        \
	{                                                                                          \
		.name = "url", .type = FIELD_TEXT, .max = 16384, .check = field_check_url          \
	}
#define PIECE_LENGTH                                                                               \
	{                                                                                          \
		.name = "piece_length", .type = FIELD_INT, .min = 4194304, .max = 67108864         \
	}
#define TASK_NAMING                                                                                \
	PIECE_LENGTH, TEXT("tag", 1024), TEXT("application", 1024),                                \
		TEXT("filtered_query_params", 4096)
#define CREDENTIALS                                                                                \
	{.name = "headers", .type = FIELD_OBJECT}, TEXT("username", 1024),                         \
	{                                                                                          \
		.name = "password", .type = FIELD_TEXT, .max = 4096                                \
	}
#define TIMEOUT                                                                                    \
	{                                                                                          \
		.name = "timeout", .type = FIELD_INT, .min = 1, .max = NS_PER_DAY,                 \
		.help = "Nanoseconds. Default: an hour."                                           \
	}
#define PEERS_AT_ONCE                                                                              \
	{                                                                                          \
		.name = "concurrent_peer_count", .type = FIELD_INT, .min = 1, .max = 1000          \
	}

const struct field job_preheat_fields[] = {
	{.name = "type", .type = FIELD_TEXT, .flags = FIELD_REQUIRED, .words = "image|file"},
	URL,
	{.name = "urls", .type = FIELD_LIST, .max = 100, .members = url_item},
	TASK_NAMING,
	CREDENTIALS,
	TEXT("platform", 64),
	{.name = "scope",
	 .type = FIELD_TEXT,
	 .words = "single_seed_peer|all_seed_peers|all_peers",
	 .fallback = "\"single_seed_peer\""},
	{.name = "ips", .type = FIELD_LIST, .max = 100, .members = ip_item},
	{.name = "count", .type = FIELD_INT, .min = 1, .max = 200},
	{.name = "percentage", .type = FIELD_INT, .min = 1, .max = 100},
	{.name = "concurrent_task_count", .type = FIELD_INT, .min = 1, .max = 100},
	PEERS_AT_ONCE,
	TIMEOUT,
	{0},
};

const struct field job_task_fields[] = {
	TEXT("task_id", 128),
	{.name = "content_for_calculating_task_id", .type = FIELD_TEXT, .max = 65536},
	URL,
	TASK_NAMING,
	PEERS_AT_ONCE,
	TIMEOUT,
	{0},
};

const struct field job_image_fields[] = {
	URL,
	TASK_NAMING,
	CREDENTIALS,
	TEXT("platform", 64),
	{.name = "concurrent_layer_count", .type = FIELD_INT, .min = 1, .max = 100},
	PEERS_AT_ONCE,
	TIMEOUT,
	{0},
};

const struct field job_gc_fields[] = {
	{.name = "type", .type = FIELD_TEXT, .flags = FIELD_REQUIRED, .words = "audit|job"},
	{0},
};

const struct field job_body_fields[] = {
	{.name = "type",
	 .type = FIELD_TEXT,
	 .flags = FIELD_REQUIRED,
	 .words = "preheat|sync_peers|get_task|delete_task|get_image_distribution|gc"},
	{.name = "args", .type = FIELD_OBJECT, .fallback = "{}"},
	FIELD_BIO,
	{.name = "user_id", .type = FIELD_INT, .min = 0, .max = INT64_MAX},
	{.name = "scheduler_cluster_ids", .type = FIELD_LIST, .max = 1000, .members = id_item},
	{.name = "seed_peer_cluster_ids", .type = FIELD_LIST, .max = 1000, .members = id_item},
	{0},
};

static json_t *redacted(const char *text)
{
	struct buf out cleanup(buf_release) = BUF_INIT(1 << 20);

	redact_append(&out, text, strlen(text));
	return json_string(out.data ? out.data : "");
}

/* A URL's query may be a signature: what stands in it is not shown. */
json_t *job_url_public(const char *url)
{
	struct buf out cleanup(buf_release) = BUF_INIT(1 << 20);
	size_t n = strcspn(url, "?");

	redact_append(&out, url, n);
	if (url[n])
		buf_puts(&out, "?" REDACTED);
	return json_string(out.data ? out.data : "");
}

char *job_text_public(const char *text)
{
	struct buf plain cleanup(buf_release) = BUF_INIT(1 << 20);
	struct buf out = BUF_INIT(1 << 20);

	while (*text) {
		size_t word = strcspn(text, " \t\"'()<>"), shown = word;

		if (memmem(text, word, "://", 3) && memchr(text, '?', word))
			shown = strcspn(text, "?");
		buf_append(&plain, text, shown);
		if (shown < word)
			buf_puts(&plain, "?" REDACTED);
		text += word;
		if (*text)
			buf_append(&plain, text++, 1);
	}
	if (plain.len)
		redact_append(&out, plain.data, plain.len);
	return out.data ? buf_take(&out) : mem_strdup("");
}

static json_t *public_headers(const json_t *headers)
{
	json_t *out = json_object(), *value;
	const char *name;

	json_object_foreach((json_t *)headers, name, value)
	{
		json_object_set_new(out, name, json_string(REDACTED));
	}
	return out;
}

static json_t *public_urls(const json_t *urls)
{
	json_t *out = json_array(), *url;
	size_t i;

	json_array_foreach(urls, i, url)
	{
		json_array_append_new(out, job_url_public(json_string_value(url)));
	}
	return out;
}

json_t *job_args_public(const json_t *args)
{
	json_t *out = json_object(), *value;
	const char *name;

	json_object_foreach((json_t *)args, name, value)
	{
		if (strcmp(name, "headers") == 0)
			json_object_set_new(out, name, public_headers(value));
		else if (strcmp(name, "url") == 0)
			json_object_set_new(out, name, job_url_public(json_string_value(value)));
		else if (strcmp(name, "urls") == 0)
			json_object_set_new(out, name, public_urls(value));
		else if (redact_is_secret_key(name, strlen(name)))
			json_object_set_new(out, name, json_string(REDACTED));
		else if (json_is_string(value))
			json_object_set_new(out, name, redacted(json_string_value(value)));
		else
			json_object_set(out, name, value);
	}
	return out;
}
