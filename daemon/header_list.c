/* Request headers. */
#include "daemon/header_list.h"

#include "base/header_lines.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static struct curl_slist *append(struct curl_slist *list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(list, line);

	if (!longer)
		abort();
	return longer;
}

struct curl_slist *header_list_add(struct curl_slist *list, const char *name, const char *value)
{
	/* curl takes "Name;" for an empty value; "Name:" would mean none. */
	cleanup(free_at) char *line =
		*value ? mem_printf("%s: %s", name, value) : mem_printf("%s;", name);

	return append(list, line);
}

struct curl_slist *header_list_suppress(struct curl_slist *list, const char *name)
{
	cleanup(free_at) char *line = mem_printf("%s:", name);

	return append(list, line);
}

void header_list_free_at(struct curl_slist **list)
{
	curl_slist_free_all(*list);
	*list = NULL;
}

const char *header_pairs_get(const struct config_pairs *pairs, const char *name)
{
	for (size_t i = 0; pairs && i < pairs->count; i++) {
		if (strcasecmp(pairs->items[i].name, name) == 0)
			return pairs->items[i].value ? pairs->items[i].value : "";
	}
	return NULL;
}

int header_pairs_check(const struct config_pairs *pairs, struct err *e)
{
	for (size_t i = 0; pairs && i < pairs->count; i++) {
		const char *name = pairs->items[i].name, *value = pairs->items[i].value;

		if (!header_name_is_valid(name, strlen(name)))
			return err_set(e, EINVAL, "a header's name is malformed");
		if (value && !header_value_is_valid(value, strlen(value)))
			return err_set(e, EINVAL, "header %.40s: control character", name);
	}
	return 0;
}

bool header_is_transports(const char *name)
{
	static const char *const names[] = {"Host",    "Connection",	 "Keep-Alive",
					    "TE",      "Trailer",	 "Transfer-Encoding",
					    "Upgrade", "Content-Length", "HTTP2-Settings"};

	for (size_t i = 0; i < array_len(names); i++) {
		if (strcasecmp(name, names[i]) == 0)
			return true;
	}
	return strncasecmp(name, "Proxy-", 6) == 0 || strncasecmp(name, "X-Dragonfly-", 12) == 0;
}
