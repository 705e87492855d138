/* Writing and editing hosts.toml. */
#include "contrib/dfinit/hosts.h"

#include "base/buf.h"
#include "base/mem.h"
#include "contrib/dfinit/toml.h"

#include <errno.h>
#include <string.h>

#define HEAD                                                                                       \
	"# Written by dfinit: pulls go through the daemon of this node and, without it, "          \
	"straight\n"                                                                               \
	"# to the registry. \"dfinit undo\" takes it away.\n"

static void put_quoted(struct buf *b, const char *before, const char *text, const char *after)
{
	char *quoted cleanup(free_at) = toml_quote(text);

	buf_printf(b, "%s%s%s", before, quoted, after);
}

static void put_capabilities(struct buf *b, const struct config_strings *c)
{
	if (!c || !c->count) {
		buf_puts(b, "  capabilities = [\"pull\", \"resolve\"]\n");
		return;
	}
	buf_puts(b, "  capabilities = [");
	for (size_t i = 0; i < c->count; i++)
		put_quoted(b, i ? ", " : "", c->items[i], "");
	buf_puts(b, "]\n");
}

/* [host."http://127.0.0.1:4001"]; server: what the daemon is told to ask, NULL: it goes by ns=. */
static void put_daemon(struct buf *b, const char *proxy, const struct config_strings *capabilities,
		       const char *server)
{
	put_quoted(b, "[host.", proxy, "]\n");
	put_capabilities(b, capabilities);
	buf_puts(b, "  dial_timeout = \"200ms\"\n");
	if (!server)
		return;
	put_quoted(b, "  [host.", proxy, ".header]\n");
	put_quoted(b, "    X-Dragonfly-Registry = [", server, "]\n");
}

static char *new_file(const struct wish *w, const struct registry *r)
{
	struct buf b = {0};

	buf_puts(&b, HEAD);
	if (r) {
		put_quoted(&b, "server = ", r->server, "\n");
		if (r->skip_verify)
			buf_puts(&b, "skip_verify = true\n");
		if (r->ca)
			put_quoted(&b, "ca = ", r->ca, "\n");
	}
	buf_puts(&b, "\n");
	put_daemon(&b, w->proxy, r ? r->capabilities : NULL, r ? r->server : NULL);
	return buf_take(&b);
}

/* The place before the first [host...], or the end. */
static int first_host(const struct toml *t, const char *path, size_t *at_out, struct err *e)
{
	for (size_t i = 0; i < t->count; i++) {
		if (!toml_is_below(t->entries[i].path, "host"))
			continue;
		if (t->entries[i].kind != TOML_TABLE)
			return err_set(e, EOPNOTSUPP,
				       "%s: hosts must be written as [host.\"...\"] tables", path);
		*at_out = t->entries[i].start;
		return 0;
	}
	*at_out = t->len;
	return 0;
}

/* scheme://host of a server that may have a path. The caller frees. */
static char *without_path(const char *server)
{
	const char *host = server ? strstr(server, "://") : NULL;

	return host ? mem_strndup(server, (size_t)(host - server) + 3 + strcspn(host + 3, "/"))
		    : NULL;
}

static int edit(const struct wish *w, struct plan *p, const char *path, const char *text,
		const struct registry *r, struct err *e)
{
	char *quoted cleanup(free_at) = toml_quote(w->proxy);
	char *ours cleanup(free_at) = mem_printf("host.%s", quoted);
	char *server cleanup(free_at) = NULL, *given cleanup(free_at) = NULL;
	struct buf b cleanup(buf_release) = {0};
	struct toml t cleanup(toml_release);
	size_t at = 0;
	int result = toml_parse(path, text, strlen(text), &t, e);

	if (result < 0 || toml_has(&t, ours))
		return result;
	result = first_host(&t, path, &at, e);
	if (result < 0)
		return result;
	given = toml_text_of(&t, "server");
	server = without_path(given);
	put_daemon(&b, w->proxy, r ? r->capabilities : NULL,
		   server ? server
		   : r	  ? r->server
			  : NULL);
	buf_puts(&b, "\n");
	result = toml_insert(&t, at, b.data, e);
	if (result == 0)
		plan_write(p, path, t.text);
	return result;
}

int hosts_plan(const struct wish *w, struct plan *p, const char *dir, const char *name,
	       const struct registry *registry, struct err *e)
{
	char *path cleanup(free_at) = mem_printf("%s/%s/hosts.toml", dir, name);
	char *made cleanup(free_at) = NULL;
	const char *text;
	int r = plan_read(p, path, &text, e);

	if (r < 0)
		return r;
	if (text)
		return edit(w, p, path, text, registry, e);
	made = new_file(w, registry);
	plan_write(p, path, made);
	return 0;
}

int hosts_plan_old(struct plan *p, const char *dir, const char *name, char **endpoints,
		   size_t count, struct err *e)
{
	char *path cleanup(free_at) = mem_printf("%s/%s/hosts.toml", dir, name);
	struct buf b cleanup(buf_release) = {0};
	const char *text;
	int r = plan_read(p, path, &text, e);

	if (r < 0 || text)
		return r;
	buf_puts(&b, "# Moved here by dfinit from registry.mirrors of containerd's "
		     "configuration.\n");
	for (size_t i = 0; i < count; i++) {
		put_quoted(&b, "[host.", endpoints[i], "]\n");
		put_capabilities(&b, NULL);
	}
	plan_write(p, path, b.data);
	return 0;
}
