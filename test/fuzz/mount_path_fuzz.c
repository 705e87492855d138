/* Names that users ask the mount for: any bytes become a URL that base/url.h accepts, or an image's
 * path, or an error; a URL's own name leads back to it. */
#include "base/mem.h"
#include "base/url.h"
#include "daemon/image_path.h"
#include "daemon/mount_path.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void url_of(const char *text)
{
	cleanup(mount_path_release) struct mount_path p = {0}, again = {0};
	cleanup(url_release) struct url u = {0};
	cleanup(free_at) char *name = NULL;
	struct err e = {0};

	if (mount_path_parse(text, &p, &e) < 0) {
		assert(e.code == ENOENT || e.code == ENAMETOOLONG);
		return;
	}
	if (!p.url)
		return;
	assert(url_parse(p.url, &u, &e) == 0);
	assert(strcmp(u.host, p.host) == 0 && u.port == p.port);
	name = mount_path_of_url(p.url);
	assert(name && !strstr(name, "//"));
	assert(mount_path_parse(name, &again, &e) == 0 && again.url);
	/* Host and default port may be spelled otherwise; the rest is the same. */
	assert(strcmp(strchr(p.url + 8, '/'), strchr(again.url + 8, '/')) == 0);
}

static void image_of(const char *text)
{
	cleanup(image_path_release) struct image_path p = {0};
	struct err e = {0};

	if (image_path_parse(text, &p, &e) < 0) {
		assert(e.code == ENOENT);
		return;
	}
	assert(p.registry[0]);
	if (p.image)
		assert(p.repository[0] && p.reference[0] && !strchr(p.reference, '/'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(free_at) char *name = mem_strndup((const char *)data, size);
	cleanup(free_at) char *http = mem_printf("http/%s", name);
	cleanup(free_at) char *oci = mem_printf("oci/%s", name);

	url_of(http);
	image_of(oci);
	return 0;
}
