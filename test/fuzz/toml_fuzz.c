/* Fuzzes the TOML editor. What must hold: what was read lies within the text, an edit leaves TOML
 * behind that has what was set, and an edit that fails leaves the text as it was. */
#include "base/mem.h"
#include "contrib/dfinit/toml.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const struct toml *t)
{
	for (size_t i = 0; i < t->count; i++) {
		const struct toml_entry *k = &t->entries[i];
		char *texts[8];
		size_t count;

		assert(k->start <= k->end && k->end <= t->len);
		assert(k->element == TOML_NONE || t->entries[k->element].kind == TOML_ELEMENT);
		if (k->kind != TOML_KEY)
			continue;
		assert(k->value < k->value_end && k->value_end <= t->len);
		count = toml_texts(t, k, texts, 8);
		while (count)
			free(texts[--count]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char table[] = "plugins.\"io.containerd.grpc.v1.cri\".registry";
	char *path cleanup(free_at) = mem_printf("%s.config_path", table);
	char *before cleanup(free_at) = NULL, *set cleanup(free_at) = NULL;
	struct toml t;
	struct err e = {0};
	int r;

	if (size > 8192)
		return 0;
	r = toml_parse("f", (const char *)data, size, &t, &e);
	assert(r == 0 || r == -EINVAL || r == -EMSGSIZE);
	if (r == 0) {
		look(&t);
		before = mem_strdup(t.text);
		r = toml_set(&t, table, "config_path", "\"/x\"", &e);
		assert(r == 0 || strcmp(t.text, before) == 0);
		set = r == 0 ? toml_text_of(&t, path) : NULL;
		assert(r < 0 || strcmp(set, "/x") == 0);
		if (toml_comment_out(&t, "plugins", &e) == 0)
			assert(!toml_has(&t, "plugins"));
		look(&t);
	}
	toml_release(&t);
	return 0;
}
