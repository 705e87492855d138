/* Labels of a snapshot. Must not know: what any of them means. */
#include "contrib/containerd/labels.h"

#include "base/mem.h"

#include <string.h>

static struct label *find(const struct labels *l, const char *key)
{
	for (size_t i = 0; i < l->count; i++) {
		if (strcmp(l->items[i].key, key) == 0)
			return &l->items[i];
	}
	return NULL;
}

const char *labels_get(const struct labels *l, const char *key)
{
	const struct label *label = find(l, key);

	return label ? label->value : NULL;
}

static void take_away(struct labels *l, struct label *label)
{
	free(label->key);
	free(label->value);
	*label = l->items[--l->count];
}

void labels_set(struct labels *l, const char *key, const char *value)
{
	struct label *label = find(l, key);

	if (!value[0]) {
		if (label)
			take_away(l, label);
		return;
	}
	if (!label) {
		l->items = mem_realloc(l->items, (l->count + 1) * sizeof(*l->items));
		label = &l->items[l->count++];
		*label = (struct label){.key = mem_strdup(key)};
	}
	free(label->value);
	label->value = mem_strdup(value);
}

void labels_release(struct labels *l)
{
	while (l->count)
		take_away(l, &l->items[l->count - 1]);
	free(l->items);
	l->items = NULL;
}
