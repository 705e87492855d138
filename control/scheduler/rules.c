/* Applications and block lists. */
#include "control/scheduler/rules.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "proto/message.h"

#include <regex.h>
#include <string.h>

#define CONFIG_LEN_MAX (1u << 20)
#define ITEMS_MAX      1000 /* of each list */
#define PATTERN_MAX    1024 /* characters */

struct application {
	char *name;
	int value;
	regex_t *urls;
	int *url_values;
	size_t url_count;
};

struct texts {
	char **items;
	size_t count;
};

struct block_list {
	struct texts applications, tags;
	regex_t *urls;
	size_t url_count;
	unsigned priorities; /* bit set */
};

struct rules {
	struct application *applications;
	size_t application_count;
	struct block_list normal, seed;
};

static bool compile(regex_t *out, const char *pattern)
{
	if (strlen(pattern) <= PATTERN_MAX && regcomp(out, pattern, REG_EXTENDED | REG_NOSUB) == 0)
		return true;
	log_warn("a rule's regular expression cannot be read: the rule is left out",
		 "pattern=\"%.200s\"", pattern);
	return false;
}

static int clamp(int priority)
{
	return priority < 0 ? 0 : priority > PRIORITY_MAX ? PRIORITY_MAX : priority;
}

/* ---- applications */

static void fill_application(struct application *a, const Manager__V2__Application *m)
{
	size_t count = m->priority ? m->priority->n_urls : 0;

	a->name = mem_strdup(m->name);
	a->value = m->priority ? clamp((int)m->priority->value) : 0;
	a->urls = mem_array(count + 1, sizeof(*a->urls));
	a->url_values = mem_array(count + 1, sizeof(*a->url_values));
	for (size_t i = 0; i < count && i < ITEMS_MAX; i++) {
		if (!compile(&a->urls[a->url_count], m->priority->urls[i]->regex))
			continue;
		a->url_values[a->url_count++] = clamp((int)m->priority->urls[i]->value);
	}
}

static int application_priority(const struct application *a, const char *url)
{
	for (size_t i = 0; i < a->url_count; i++)
		if (regexec(&a->urls[i], url, 0, NULL, 0) == 0)
			return a->url_values[i];
	return a->value;
}

int rules_priority(const struct rules *r, const Common__V2__Download *d)
{
	const char *name = message_text(d, application);

	if (d->priority != 0 || !r || !name)
		return clamp((int)d->priority);
	for (size_t i = 0; i < r->application_count; i++)
		if (strcmp(r->applications[i].name, name) == 0)
			return application_priority(&r->applications[i], d->url);
	return 0;
}

/* ---- block lists */

static struct texts texts_of(const json_t *list)
{
	size_t count = json_array_size(list);
	struct texts t = {0};

	if (count > ITEMS_MAX)
		count = ITEMS_MAX;
	t.items = mem_array(count + 1, sizeof(*t.items));
	for (size_t i = 0; i < count; i++)
		if (json_is_string(json_array_get(list, i)))
			t.items[t.count++] = mem_strdup(json_string_value(json_array_get(list, i)));
	return t;
}

static void texts_release(struct texts *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->items[i]);
	free(t->items);
}

static bool has_text(const struct texts *t, const char *text)
{
	for (size_t i = 0; text && i < t->count; i++)
		if (strcmp(t->items[i], text) == 0)
			return true;
	return false;
}

static unsigned priorities_of(const json_t *list)
{
	unsigned set = 0;

	for (size_t i = 0; i < json_array_size(list); i++) {
		json_int_t value = json_integer_value(json_array_get(list, i));

		if (json_is_integer(json_array_get(list, i)) && value >= 0 && value <= PRIORITY_MAX)
			set |= 1u << value;
	}
	return set;
}

static void read_block_list(struct block_list *b, const ProtobufCBinaryData *config)
{
	cleanup(json_decref_at) json_t *json = NULL;
	const json_t *list;
	struct texts urls;
	struct err e;

	if (!config || config->len == 0)
		return;
	if (json_parse((const char *)config->data, config->len, CONFIG_LEN_MAX, &json, &e) < 0) {
		log_warn("the cluster's client configuration cannot be read", "why=\"%s\"", e.text);
		return;
	}
	list = json_object_get(json_object_get(json_object_get(json, "block_list"), "task"),
			       "download");
	b->applications = texts_of(json_object_get(list, "applications"));
	b->tags = texts_of(json_object_get(list, "tags"));
	b->priorities = priorities_of(json_object_get(list, "priorities"));
	urls = texts_of(json_object_get(list, "urls"));
	b->urls = mem_array(urls.count + 1, sizeof(*b->urls));
	for (size_t i = 0; i < urls.count; i++)
		if (compile(&b->urls[b->url_count], urls.items[i]))
			b->url_count++;
	texts_release(&urls);
}

static void block_list_release(struct block_list *b)
{
	texts_release(&b->applications);
	texts_release(&b->tags);
	for (size_t i = 0; i < b->url_count; i++)
		regfree(&b->urls[i]);
	free(b->urls);
}

const char *rules_blocked(const struct rules *r, const Common__V2__Download *d, bool is_seed)
{
	const struct block_list *b;

	if (!r)
		return NULL;
	b = is_seed ? &r->seed : &r->normal;
	if (has_text(&b->applications, message_text(d, application)))
		return "application";
	if (has_text(&b->tags, message_text(d, tag)))
		return "tag";
	if (b->priorities >> clamp((int)d->priority) & 1)
		return "priority";
	for (size_t i = 0; i < b->url_count; i++)
		if (regexec(&b->urls[i], d->url, 0, NULL, 0) == 0)
			return "url";
	return NULL;
}

struct rules *rules_new(const Manager__V2__ListApplicationsResponse *applications,
			const ProtobufCBinaryData *client_config,
			const ProtobufCBinaryData *seed_client_config)
{
	struct rules *r = mem_new(struct rules);
	size_t count = applications ? applications->n_applications : 0;

	r->applications = mem_array(count + 1, sizeof(*r->applications));
	for (; r->application_count < count; r->application_count++)
		fill_application(&r->applications[r->application_count],
				 applications->applications[r->application_count]);
	read_block_list(&r->normal, client_config);
	read_block_list(&r->seed, seed_client_config);
	return r;
}

void rules_free(struct rules *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->application_count; i++) {
		struct application *a = &r->applications[i];

		for (size_t k = 0; k < a->url_count; k++)
			regfree(&a->urls[k]);
		free(a->urls);
		free(a->url_values);
		free(a->name);
	}
	free(r->applications);
	block_list_release(&r->normal);
	block_list_release(&r->seed);
	free(r);
}
