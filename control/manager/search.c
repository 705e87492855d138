/* Matching scopes: pure functions of text. */
#include "control/manager/search.h"

#include "base/json.h"
#include "base/mem.h"
#include "proto/location.h"

#include <arpa/inet.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

bool search_cidr_holds(const char *cidr, const char *ip)
{
	unsigned char net[16], addr[16];
	char text[INET6_ADDRSTRLEN];
	const char *slash = strchr(cidr, '/');
	int family = strchr(cidr, ':') ? AF_INET6 : AF_INET;
	int bits, size = family == AF_INET6 ? 128 : 32;
	char *end;

	if (!slash || (size_t)(slash - cidr) >= sizeof(text))
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)(slash - cidr), cidr);
	bits = (int)strtol(slash + 1, &end, 10);
	if (end == slash + 1 || *end || bits < 0 || bits > size)
		return false;
	if (inet_pton(family, text, net) != 1 || inet_pton(family, ip, addr) != 1)
		return false;
	if (memcmp(net, addr, (size_t)bits / 8) != 0)
		return false;
	if (bits % 8 == 0)
		return true;
	return ((net[bits / 8] ^ addr[bits / 8]) >> (8 - bits % 8)) == 0;
}

/* Is `word` one of the elements of list, "a|b|c"? Without regard to case. */
static bool is_element(const char *list, const char *word)
{
	size_t len = strlen(word);

	while (len && *list) {
		size_t n = strcspn(list, "|");

		if (n == len && strncasecmp(list, word, n) == 0)
			return true;
		list += n + (list[n] == '|');
	}
	return false;
}

/* A pattern of host names, compiled when it is first needed. */
struct pattern {
	regex_t re;
	bool is_tried, is_good;
};

struct search_scopes {
	json_t *json;		  /* NULL: nothing that can be read */
	const json_t *hostnames;  /* its member */
	struct pattern *patterns; /* one for each of hostnames */
};

struct search_scopes *search_scopes_new(const char *json)
{
	struct search_scopes *s = mem_new(struct search_scopes);

	if (json_parse(json, strlen(json), 1 << 20, &s->json, NULL) < 0)
		return s;
	s->hostnames = json_object_get(s->json, "hostnames");
	s->patterns = mem_array(json_array_size(s->hostnames), sizeof(*s->patterns));
	return s;
}

void search_scopes_free(struct search_scopes *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < json_array_size(s->hostnames); i++)
		if (s->patterns[i].is_good)
			regfree(&s->patterns[i].re);
	free(s->patterns);
	json_decref(s->json);
	free(s);
}

static bool any_cidr_holds(const json_t *list, const char *ip)
{
	size_t i;
	json_t *item;

	json_array_foreach(list, i, item)
	{
		if (json_is_string(item) && search_cidr_holds(json_string_value(item), ip))
			return true;
	}
	return false;
}

static bool pattern_fits(struct pattern *p, const char *text, const char *hostname)
{
	if (!p->is_tried)
		p->is_good = regcomp(&p->re, text, REG_EXTENDED | REG_NOSUB) == 0;
	p->is_tried = true;
	return p->is_good && regexec(&p->re, hostname, 0, NULL, 0) == 0;
}

static bool any_pattern_fits(struct search_scopes *s, const char *hostname)
{
	size_t i;
	json_t *item;

	json_array_foreach(s->hostnames, i, item)
	{
		if (json_is_string(item) &&
		    pattern_fits(&s->patterns[i], json_string_value(item), hostname))
			return true;
	}
	return false;
}

int search_match(struct search_scopes *s, const struct search_peer *peer)
{
	const char *text;
	int levels;

	if (!s->json)
		return SEARCH_NONE;
	if (any_cidr_holds(json_object_get(s->json, "cidrs"), peer->ip))
		return SEARCH_CIDR;
	text = json_str(s->json, "idc");
	if (text && is_element(text, peer->idc))
		return SEARCH_IDC;
	text = json_str(s->json, "location");
	levels = text ? location_equal_levels(text, peer->location) : 0;
	if (levels)
		return SEARCH_LOCATION + levels;
	return any_pattern_fits(s, peer->hostname) ? SEARCH_HOSTNAME : SEARCH_NONE;
}

void search_clusters_free(struct search_cluster *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		search_scopes_free(list[i].scopes);
	free(list);
}

int search_choose(const struct search_cluster *list, size_t count, const struct search_peer *peer)
{
	int best = -1, best_match = SEARCH_NONE, fallback = -1;

	for (size_t i = 0; i < count; i++) {
		int match = search_match(list[i].scopes, peer);

		if (list[i].is_default && fallback < 0)
			fallback = (int)i;
		if (match > best_match) {
			best_match = match;
			best = (int)i;
		}
	}
	return best >= 0 ? best : fallback;
}
