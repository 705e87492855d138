/*
 * Which cluster a peer belongs to. Scopes decide, they do not only sort: a cluster matches by CIDR
 * before IDC before location before hostname; no match means the default cluster.
 */
#ifndef CONTROL_MANAGER_SEARCH_H
#define CONTROL_MANAGER_SEARCH_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct search_peer {
	const char *ip, *hostname, *idc, *location; /* "" if unknown */
};

/* How well a cluster's scopes fit, best first; 0 = they do not. */
enum search_match {
	SEARCH_NONE = 0,
	SEARCH_HOSTNAME = 1,
	SEARCH_LOCATION = 2, /* plus the number of equal levels, 1..5 */
	SEARCH_IDC = 10,
	SEARCH_CIDR = 20,
};

/* A cluster's scopes, read once to be matched with many peers; for one thread at a time. */
struct search_scopes;

/* json: the cluster row's: {"cidrs": [...], "hostnames": [regex...], "idc": "a|b",
 * "location": "area|country|..."}; members of other types are passed over. */
struct search_scopes *search_scopes_new(const char *json);
void search_scopes_free(struct search_scopes *s);

int search_match(struct search_scopes *s, const struct search_peer *peer);

struct search_cluster {
	struct search_scopes *scopes; /* owned */
	bool is_default;
};

void search_clusters_free(struct search_cluster *list, size_t count);

/* Index of the cluster for the peer: the best match (the first of equals), else the default, else
 * -1. */
int search_choose(const struct search_cluster *list, size_t count, const struct search_peer *peer);

/* "10.0.0.0/8", "fd00::/8": does it hold ip? A malformed one holds nothing. */
bool search_cidr_holds(const char *cidr, const char *ip);

#endif
