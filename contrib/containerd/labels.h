/* Labels of a snapshot: text by text, each key once. */
#ifndef CONTRIB_CONTAINERD_LABELS_H
#define CONTRIB_CONTAINERD_LABELS_H

#include "base/cleanup.h"

#include <stdbool.h>

struct label {
	char *key, *value;
};

struct labels {
	struct label *items;
	size_t count;
};

/* NULL if there is none. */
const char *labels_get(const struct labels *l, const char *key);
/* Copies; a value of "" takes the label away, as containerd's own snapshotters do. */
void labels_set(struct labels *l, const char *key, const char *value);
void labels_release(struct labels *l);

#endif
