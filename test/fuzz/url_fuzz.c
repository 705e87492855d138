/* Fuzzes the URL parser: two texts separated by a line break, a URL and a reference to join with
 * it. What must hold: what is printed parses to the same parts, and a host is never more than a
 * host. */
#include "base/mem.h"
#include "base/url.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_parts(const struct url *u)
{
	cleanup(free_at) char *text = url_print(u);
	struct url again;
	struct err e;

	assert(u->host[0] && u->port > 0 && u->path[0] == '/');
	assert(!strpbrk(u->host, "/?#@[]\\% \r\n"));
	assert(!strpbrk(u->path, "?# \r\n"));
	assert(!u->query || !strpbrk(u->query, "# \r\n"));
	/* Lengthened by "/" or a port of the scheme, it may pass the bound; else it is the same. */
	if (url_parse(text, &again, &e) == 0) {
		assert(url_same_origin(u, &again) && strcmp(u->path, again.path) == 0);
		assert(!u->query == !again.query);
		assert(!u->query || strcmp(u->query, again.query) == 0);
	} else {
		assert(strlen(text) > 16384);
	}
	url_release(&again);
}

static void check_query(const char *query)
{
	static const char *const names[] = {"a", "token", "X-Amz-Signature"};
	cleanup(free_at) char *value = url_query_get(query, "a");
	cleanup(free_at) char *rest = url_query_without(query, names, array_len(names));
	cleanup(free_at) char *left = url_query_get(rest, "a");
	cleanup(free_at) char *encoded = url_encode(query);

	assert(!left && (!value || strlen(value) <= strlen(query)));
	assert(url_decode(encoded) && strcmp(encoded, query) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(free_at) char *text = mem_strndup((const char *)data, size);
	char *ref = strchr(text, '\n');
	struct url u, joined;
	struct err e;

	if (ref)
		*ref++ = 0;
	if (url_parse(text, &u, &e) == 0) {
		check_parts(&u);
		if (u.query)
			check_query(u.query);
		if (ref && url_join(&u, ref, &joined, &e) == 0)
			check_parts(&joined);
		if (ref)
			url_release(&joined);
	}
	url_release(&u);
	return 0;
}
