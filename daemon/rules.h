/* The proxy's rules: which requests go through P2P, and where their bytes are. */
#ifndef DAEMON_RULES_H
#define DAEMON_RULES_H

#include "daemon/config.h"

struct rules;

/* list stays the caller's and must outlive the rules. EINVAL: which rule is wrong. */
must_check int rules_new(const struct config_rule *list, size_t count, struct rules **out,
			 struct err *e);
void rules_free(struct rules *r);
/* The first rule whose regex matches the URL without query and fragment; NULL if none does. */
const struct config_rule *rules_match(const struct rules *r, const char *url);
/* Where a rule's bytes are: url with https (useTLS) and another authority (redirect). The caller
 * frees. EINVAL: the result is no URL. */
must_check int rules_apply(const struct config_rule *rule, const char *url, char **out,
			   struct err *e);

#endif
