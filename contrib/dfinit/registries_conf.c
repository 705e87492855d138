/*
 * podman and CRI-O: [[registry]] of registries.conf (containers-registries.conf(5), version 2).
 *
 * Their requests to a mirror do not say which registry is meant, so that only one can go through
 * the daemon: that of its proxy.registryMirror.addr. The registry itself is asked when a mirror
 * fails.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "contrib/dfinit/runtime.h"
#include "contrib/dfinit/toml.h"

#include <errno.h>
#include <string.h>

static void put_mirror(struct buf *b, const char *proxy)
{
	bool plain = strncmp(proxy, "http://", 7) == 0;
	const char *host = strstr(proxy, "://");
	char *location cleanup(free_at) = toml_quote(host ? host + 3 : proxy);

	buf_printf(b, "[[registry.mirror]]\nlocation = %s\n", location);
	if (plain)
		buf_puts(b, "insecure = true\n");
}

/* The text of a key of this element itself, not of one inside it; the caller frees. */
static char *text_in(const struct toml *t, size_t element, const char *path)
{
	for (size_t i = element + 1; i < t->count; i++) {
		const struct toml_entry *k = &t->entries[i];
		char *text = NULL;

		if (k->kind != TOML_KEY || k->header != element || strcmp(k->path, path) != 0)
			continue;
		toml_texts(t, k, &text, 1);
		return text;
	}
	return NULL;
}

/* The [[registry]] of that name, or TOML_NONE. */
static size_t find(const struct toml *t, const char *name)
{
	for (size_t i = 0; i < t->count; i++) {
		char *prefix cleanup(free_at) = NULL, *location cleanup(free_at) = NULL;

		if (t->entries[i].kind != TOML_ELEMENT ||
		    strcmp(t->entries[i].path, "registry") != 0)
			continue;
		prefix = text_in(t, i, "registry.prefix");
		location = text_in(t, i, "registry.location");
		if (strcmp(prefix ? prefix : location ? location : "", name) == 0)
			return i;
	}
	return TOML_NONE;
}

/* Behind the element's own keys: its first mirror is asked first. */
static int add_mirror(struct toml *t, size_t element, const char *proxy, struct err *e)
{
	const char *host = strstr(proxy, "://");
	struct buf b cleanup(buf_release) = {0};
	size_t at = t->entries[element].end;

	for (size_t i = element + 1; i < t->count; i++) {
		const struct toml_entry *k = &t->entries[i];

		if (k->kind == TOML_KEY && k->header == element && !k->is_inline)
			at = k->end;
		if (k->kind == TOML_KEY && strcmp(k->path, "registry.mirror.location") == 0 &&
		    k->header != TOML_NONE && t->entries[k->header].element == element) {
			char *there cleanup(free_at) = text_in(t, k->header, k->path);

			if (there && strcmp(there, host ? host + 3 : proxy) == 0)
				return 0;
		}
		if (k->kind == TOML_KEY && strcmp(k->path, "registry.mirror") == 0 &&
		    k->header == element)
			return err_set(e, EOPNOTSUPP,
				       "mirror = [...] of a [[registry]]: write it as "
				       "[[registry.mirror]] first");
	}
	put_mirror(&b, proxy);
	return toml_insert(t, at, b.data, e);
}

static int add_registry(struct toml *t, const struct registry *r, const char *proxy, struct err *e)
{
	char *prefix cleanup(free_at) = toml_quote(r->name);
	const char *host = strstr(r->server, "://");
	char *location cleanup(free_at) = toml_quote(host ? host + 3 : r->server);
	struct buf b cleanup(buf_release) = {0};

	buf_printf(&b, "%s[[registry]]\nprefix = %s\nlocation = %s\n", t->len ? "\n" : "", prefix,
		   location);
	if (strncmp(r->server, "http://", 7) == 0)
		buf_puts(&b, "insecure = true\n");
	put_mirror(&b, proxy);
	return toml_insert(t, t->len, b.data, e);
}

int registries_conf_plan(struct wish *w, struct plan *p, struct err *e)
{
	static const struct registry hub = {.name = "docker.io", .server = "https://docker.io"};
	const struct registry *registry = w->registry_count ? &w->registries[0] : &hub;
	struct toml t cleanup(toml_release) = {0};
	const char *text;
	size_t element;
	int r = plan_read(p, w->file, &text, e);

	if (r < 0)
		return r;
	if (w->registry_count > 1)
		return err_set(e, EOPNOTSUPP,
			       "%s: only one registry can go through the daemon, that of its "
			       "proxy.registryMirror.addr",
			       w->file);
	r = toml_parse(w->file, text ? text : "", text ? strlen(text) : 0, &t, e);
	if (r < 0)
		return r;
	if (toml_has(&t, "registries"))
		return err_set(e, EOPNOTSUPP,
			       "%s is of the old version 1 ([registries...]): write it as "
			       "[[registry]] first",
			       w->file);
	element = find(&t, registry->name);
	r = element == TOML_NONE ? add_registry(&t, registry, w->proxy, e)
				 : add_mirror(&t, element, w->proxy, e);
	if (r == 0)
		plan_write(p, w->file, t.text);
	return r;
}
