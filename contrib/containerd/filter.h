/*
 * containerd's filters (its docs of "filters"): what List gives back.
 *
 *	name, parent, kind, labels."any.key"	the fields
 *	field			it is there and not empty
 *	field==value  field!=value  field~=regex
 *	selector,selector	both
 *
 * Values are bare words or quoted ("..." with Go's escapes; a regex also |...| or /.../). Regular
 * expressions are POSIX's extended ones.
 */
#ifndef CONTRIB_CONTAINERD_FILTER_H
#define CONTRIB_CONTAINERD_FILTER_H

#include "contrib/containerd/state.h"

struct filter;

/* Any of the texts has to fit; none = everything fits. EINVAL says what is wrong and where. */
must_check int filter_parse(const char *const *texts, size_t count, struct filter **out,
			    struct err *e);
/* Whatever fits has this parent; NULL = it may have any. */
const char *filter_parent(const struct filter *f);
bool filter_fits(const struct filter *f, const struct snapshot *s);
void filter_free(struct filter *f);
void filter_free_at(struct filter **f);

#endif
