/*
 * containerd: config_path in its configuration, and a hosts.toml per registry in that directory.
 *
 * The tables by the file's version: 1 (none given) plugins.cri, 2 plugins."io.containerd.grpc.v1
 * .cri", 3 and 4 plugins."io.containerd.cri.v1.images". With config_path set, containerd refuses
 * to start with registry.mirrors or registry.configs.*.tls: the mirrors move to hosts.toml.
 */
#include "base/mem.h"
#include "contrib/dfinit/hosts.h"
#include "contrib/dfinit/toml.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <string.h>

#define ENDPOINTS_MAX 16

static int version_of(const struct toml *t, const char *file, unsigned *out, struct err *e)
{
	const struct toml_entry *key = toml_key(t, "version");

	*out = 1;
	if (key)
		*out = (unsigned)strtoul(t->text + key->value, NULL, 10);
	if (*out < 1 || *out > 4)
		return err_set(e, EOPNOTSUPP, "%s: dfinit knows versions 1 to 4", file);
	return 0;
}

static const char *cri_table(unsigned version)
{
	if (version == 1)
		return "plugins.cri.registry";
	if (version == 2)
		return "plugins.\"io.containerd.grpc.v1.cri\".registry";
	return "plugins.\"io.containerd.cri.v1.images\".registry";
}

/* Where hosts.toml are looked for: the first of config_path's directories, else certs.d beside the
 * configuration. */
static char *mirror_dir(const struct toml *t, const char *table, const char *file)
{
	char *key cleanup(free_at) = mem_printf("%s.config_path", table);
	char *given cleanup(free_at) = toml_text_of(t, key);
	char *copy cleanup(free_at) = mem_strdup(file);

	if (given && *given)
		return mem_strndup(given, strcspn(given, ":"));
	return mem_printf("%s/certs.d", dirname(copy));
}

/* Each plugins...registry.mirrors."x".endpoint as a hosts.toml. */
static int move_mirrors(struct toml *t, const char *table, const char *dir, struct plan *p,
			struct err *e)
{
	char *mirrors cleanup(free_at) = mem_printf("%s.mirrors", table);
	bool any = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->count; i++) {
		char *name cleanup(free_at) = toml_part_behind(t->entries[i].path, mirrors);
		char *texts[ENDPOINTS_MAX];
		size_t count;

		if (!name || t->entries[i].kind != TOML_KEY ||
		    !strstr(t->entries[i].path + strlen(mirrors), ".endpoint"))
			continue;
		if (!*name || strchr(name, '/') || strcmp(name, "..") == 0)
			return err_set(e, EINVAL, "registry.mirrors: no registry: \"%s\"", name);
		any = true;
		count = toml_texts(t, &t->entries[i], texts, ENDPOINTS_MAX);
		r = hosts_plan_old(p, dir, strcmp(name, "*") == 0 ? "_default" : name, texts, count,
				   e);
		while (count)
			free(texts[--count]);
	}
	return r == 0 && any ? toml_comment_out(t, mirrors, e) : r;
}

static int refuse_tls(const struct toml *t, const char *table, const char *file, struct err *e)
{
	char *configs cleanup(free_at) = mem_printf("%s.configs", table);

	for (size_t i = 0; i < t->count; i++) {
		char *name cleanup(free_at) = toml_part_behind(t->entries[i].path, configs);

		if (name && strstr(t->entries[i].path + strlen(configs), ".tls"))
			return err_set(e, EOPNOTSUPP,
				       "%s: registry.configs.\"%s\".tls cannot stand beside "
				       "config_path: move it to %s/hosts.toml first",
				       file, name, name);
	}
	return 0;
}

static int edit_config(struct wish *w, struct plan *p, const char *text, struct err *e)
{
	struct toml t cleanup(toml_release);
	char *value cleanup(free_at) = NULL;
	unsigned version = 0;
	int r;

	if (!text || !text[strspn(text, " \t\r\n")])
		text = "version = 2\n";
	r = toml_parse(w->file, text, strlen(text), &t, e);
	if (r == 0)
		r = version_of(&t, w->file, &version, e);
	if (r == 0)
		r = refuse_tls(&t, cri_table(version), w->file, e);
	if (r < 0)
		return r;
	w->mirror_dir = mirror_dir(&t, cri_table(version), w->file);
	value = toml_quote(w->mirror_dir);
	r = move_mirrors(&t, cri_table(version), w->mirror_dir, p, e);
	for (int i = 0; r == 0 && i < (version >= 3 ? 2 : 1); i++) {
		const char *table =
			i ? "plugins.\"io.containerd.transfer.v1.local\"" : cri_table(version);
		char *key cleanup(free_at) = mem_printf("%s.config_path", table);
		char *given cleanup(free_at) = toml_text_of(&t, key);

		/* One that is there stays, whatever further directories it names. */
		if (!given || !*given)
			r = toml_set(&t, table, "config_path", value, e);
	}
	if (r == 0)
		plan_write(p, w->file, t.text);
	return r;
}

/* _default is not looked at for a registry that has a directory of its own: those get it, too. */
static int plan_all(const struct wish *w, struct plan *p, struct err *e)
{
	char *full cleanup(free_at) = mem_printf("%s%s", p->root, w->mirror_dir);
	size_t files = p->count, prefix = strlen(w->mirror_dir);
	DIR *dir = opendir(full);
	struct dirent *d;
	int r = 0;

	while (dir && r == 0 && (d = readdir(dir)) != NULL) {
		char *path cleanup(free_at) = mem_printf("%s/%s/hosts.toml", full, d->d_name);

		if (d->d_name[0] != '.' && access(path, F_OK) == 0)
			r = hosts_plan(w, p, w->mirror_dir, d->d_name, NULL, e);
	}
	if (dir)
		closedir(dir);
	/* Those that an old registry.mirrors has just become. */
	for (size_t i = 0; r == 0 && i < files; i++) {
		const char *path = p->files[i].path;
		const char *name = path + prefix + 1;
		const char *slash;
		char *part cleanup(free_at) = NULL;

		if (strncmp(path, w->mirror_dir, prefix) != 0 || path[prefix] != '/' ||
		    !(slash = strchr(name, '/')))
			continue;
		part = mem_strndup(name, (size_t)(slash - name));
		r = hosts_plan(w, p, w->mirror_dir, part, NULL, e);
	}
	return r < 0 ? r : hosts_plan(w, p, w->mirror_dir, "_default", NULL, e);
}

int containerd_plan(struct wish *w, struct plan *p, struct err *e)
{
	const char *text;
	int r = plan_read(p, w->file, &text, e);

	if (r == 0)
		r = edit_config(w, p, text, e);
	for (size_t i = 0; r == 0 && i < w->registry_count; i++)
		r = hosts_plan(w, p, w->mirror_dir, w->registries[i].name, &w->registries[i], e);
	if (r == 0 && w->all)
		r = plan_all(w, p, e);
	return r;
}
