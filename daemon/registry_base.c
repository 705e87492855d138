#include "daemon/registry_base.h"

#include "base/mem.h"
#include "base/net.h"
#include "base/url.h"

#include <string.h>
#include <strings.h>

static bool is_loopback(const char *host)
{
	struct net_addr a;

	if (strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0)
		return true;
	return strncmp(host, "127.", 4) == 0 && net_addr_parse(host, 0, &a);
}

static bool is_plain(const struct url *u, const struct config_strings *plain_http)
{
	char authority[300];

	if (is_loopback(u->host))
		return true;
	url_authority(u, authority, sizeof(authority));
	for (size_t i = 0; plain_http && i < plain_http->count; i++)
		if (strcasecmp(plain_http->items[i], u->host) == 0 ||
		    strcasecmp(plain_http->items[i], authority) == 0)
			return true;
	return false;
}

int registry_base(const char *name, const struct config_strings *plain_http, char **out,
		  struct err *e)
{
	cleanup(url_release) struct url u = {0};
	bool bare = !strstr(name, "://");
	cleanup(free_at) char *full = bare ? mem_printf("https://%s", name) : mem_strdup(name);
	char authority[300];
	int r = url_parse(full, &u, e);

	if (r < 0)
		return r;
	/* The one name that is not a host's: images are called docker.io/..., served from here. */
	if (strcmp(u.host, "docker.io") == 0)
		snprintf(u.host, sizeof(u.host), "registry-1.docker.io");
	url_authority(&u, authority, sizeof(authority));
	*out = mem_printf("%s://%s", bare && is_plain(&u, plain_http) ? "http" : u.scheme,
			  authority);
	return 0;
}

bool registry_split_image(const char *image, char **registry, char **repository)
{
	const char *slash = strchr(image, '/');
	const char *end, *colon;

	if (!slash || slash == image)
		return false;
	end = slash + 1 + strcspn(slash + 1, "@");
	colon = memrchr(slash + 1, ':', (size_t)(end - slash - 1));
	if (colon)
		end = colon;
	if (end == slash + 1)
		return false;
	*registry = mem_strndup(image, (size_t)(slash - image));
	*repository = mem_strndup(slash + 1, (size_t)(end - slash - 1));
	return true;
}
