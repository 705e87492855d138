/*
 * A cluster's rules about downloads, as the manager keeps them: which priority an application has,
 * and what may not be downloaded at all (block_list of the client configurations). Immutable once
 * made. A rule that cannot be read is told of and left out.
 *
 * Sources: manager.v2.ListApplicationsResponse; block_list.task.download with applications[],
 * urls[] (regular expressions), tags[] and priorities[], each of which blocks by itself.
 */
#ifndef CONTROL_SCHEDULER_RULES_H
#define CONTROL_SCHEDULER_RULES_H

#include "common_v2.pb-c.h"
#include "manager_v2.pb-c.h"

#include <stdbool.h>

#define PRIORITY_MAX 6

struct rules;

/* Any may be NULL; the configurations are JSON. */
struct rules *rules_new(const Manager__V2__ListApplicationsResponse *applications,
			const ProtobufCBinaryData *client_config,
			const ProtobufCBinaryData *seed_client_config);
void rules_free(struct rules *r);
/* The download's own, unless that is 0; then its application's: of the first regular expression
 * that matches the URL, else the application's value; else 0. r may be NULL. */
int rules_priority(const struct rules *r, const Common__V2__Download *d);
/* What of it is on the block list ("url", "tag", ...); NULL: nothing. r may be NULL. */
const char *rules_blocked(const struct rules *r, const Common__V2__Download *d, bool is_seed);

#endif
