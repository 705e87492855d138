/* Matching scopes: pure functions of text. */
#include "control/manager/search.h"

#include "base/json.h"
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

static bool hostname_fits(const char *pattern, const char *hostname)
{
	regex_t re;
	bool fits;

	if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	fits = regexec(&re, hostname, 0, NULL, 0) == 0;
	regfree(&re);
	return fits;
}

static bool any_of(const json_t *list, bool (*fits)(const char *, const char *), const char *with)
{
	size_t i;
	json_t *item;

	json_array_foreach(list, i, item)
	{
		if (json_is_string(item) && fits(json_string_value(item), with))
			return true;
	}
	return false;
}

int search_match(const char *scopes, const struct search_peer *peer)
{
	json_t *json cleanup(json_decref_at) = NULL;
	const char *text;
	int levels;

	if (json_parse(scopes, strlen(scopes), 1 << 20, &json, NULL) < 0)
		return SEARCH_NONE;
	if (any_of(json_object_get(json, "cidrs"), search_cidr_holds, peer->ip))
		return SEARCH_CIDR;
	text = json_str(json, "idc");
	if (text && is_element(text, peer->idc))
		return SEARCH_IDC;
	text = json_str(json, "location");
	levels = text ? location_equal_levels(text, peer->location) : 0;
	if (levels)
		return SEARCH_LOCATION + levels;
	if (any_of(json_object_get(json, "hostnames"), hostname_fits, peer->hostname))
		return SEARCH_HOSTNAME;
	return SEARCH_NONE;
}

int search_choose(const char *const *scopes, const bool *is_default, const bool *usable,
		  size_t count, const struct search_peer *peer)
{
	int best = -1, best_match = SEARCH_NONE, fallback = -1;

	for (size_t i = 0; i < count; i++) {
		int match;

		if (!usable[i])
			continue;
		if (is_default[i] && fallback < 0)
			fallback = (int)i;
		match = search_match(scopes[i], peer);
		if (match > best_match) {
			best_match = match;
			best = (int)i;
		}
	}
	return best >= 0 ? best : fallback;
}
