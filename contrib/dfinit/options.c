/* Command line and dfinit.yaml. */
#include "contrib/dfinit/options.h"

#include "base/mem.h"
#include "base/url.h"

#include <errno.h>
#include <string.h>

#define AT(field) offsetof(struct options, field)

static const struct cli_option table[] = {
	{"config", 'c', CLI_TEXT, AT(config), "FILE", "DFINIT_CONFIG",
	 "dfinit.yaml with Dragonfly's keys. Default: " INIT_CONFIG_FILE ", which may be absent."},
	{"proxy", 0, CLI_TEXT, AT(proxy), "URL", NULL,
	 "The daemon's mirror. Default: http://127.0.0.1:4001."},
	{"registry", 'r', CLI_TEXTS, AT(registries), "NAME|URL", NULL,
	 "A registry that goes through the daemon, e.g. ghcr.io or http://reg.example:5000; may be "
	 "given again. Default: all, where the runtime can."},
	{"all", 'a', CLI_FLAG, AT(all), NULL, NULL,
	 "All registries, besides those that are given."},
	{"config-path", 0, CLI_TEXT, AT(config_path), "FILE", NULL,
	 "The runtime's configuration, when it is not where it usually is."},
	{"root", 0, CLI_TEXT, AT(root), "DIR", NULL,
	 "Where the host's / is mounted: files are edited below it, and still name what the host "
	 "sees."},
	{"state-dir", 0, CLI_TEXT, AT(state_dir), "DIR", NULL,
	 "Where the originals are kept for undo. Default: /var/lib/dfinit."},
	{"dry-run", 'n', CLI_FLAG, AT(dry_run), NULL, NULL, "Show what would change, as a diff."},
	{"no-restart", 0, CLI_FLAG, AT(no_restart), NULL, NULL,
	 "Leave the runtime running as it is."},
	{"restart-command", 0, CLI_TEXT, AT(restart_command), "COMMAND", NULL,
	 "Shell command instead of systemctl (\"$1\": the runtime); run at most once, only if it "
	 "must."},
	{"probe", 0, CLI_TEXT, AT(probe), "IMAGE", NULL,
	 "Pull this image afterwards and see by the daemon's counter that it went through it."},
	{"probe-command", 0, CLI_TEXT, AT(probe_command), "COMMAND", NULL,
	 "Shell command that pulls \"$1\" (\"$2\": containerd's directory of hosts.toml)."},
	{"metrics", 0, CLI_TEXT, AT(metrics), "URL", NULL,
	 "The daemon's metrics. Default: http://127.0.0.1:4002/metrics."},
	{"force", 0, CLI_FLAG, AT(force), NULL, NULL,
	 "undo: put originals back over files that somebody changed since."},
	{"json", 0, CLI_FLAG, AT(json), NULL, NULL, "Print the result as JSON."},
	{"print-config-reference", 0, CLI_FLAG, AT(print_reference), NULL, NULL,
	 "Print every key of dfinit.yaml, its type, default and meaning as Markdown and exit."},
	{0},
};

static const struct cli program = {
	.program = "dfinit",
	.summary = "sets up a container runtime to pull through the daemon of this node",
	.usage = "dfinit [options] containerd|docker|podman|crio|undo ...",
	.description =
		"Edits the runtime's own configuration in place, keeps what was there for undo, "
		"restarts the runtime at most once and only if it must. The registry itself always "
		"stays as the fallback: a dead daemon never stops a pull. Run again, it changes "
		"nothing. Without a runtime named, those of dfinit.yaml are set up.",
	.examples = "dfinit --dry-run containerd  # show what would change\n"
		    "dfinit containerd  # all registries through the daemon\n"
		    "dfinit --probe ghcr.io/library/alpine:3 containerd  # and prove it\n"
		    "dfinit undo  # everything back, byte for byte",
	.options = table,
	.exit_codes = "0 done, or there was nothing to change\n"
		      "1 the runtime could not be restarted\n"
		      "2 wrong usage\n"
		      "3 a configuration cannot be read or edited; nothing was changed\n"
		      "6 the probe could not be pulled\n"
		      "10 a file could not be written, or was changed since (undo)\n"
		      "11 the probe: no daemon answers\n"
		      "12 the probe was pulled, but not through the daemon\n",
};

static bool is_given(const struct init_runtime *r)
{
	return r->config_path || r->registries.count;
}

const struct init_runtime *options_of_file(const struct options *o, const struct runtime *r)
{
	if (strcmp(r->name, "containerd") == 0)
		return &o->file.containerd;
	if (strcmp(r->name, "docker") == 0)
		return &o->file.docker;
	return strcmp(r->name, "crio") == 0 ? &o->file.crio : &o->file.podman;
}

static void choose(struct options *o, const char **rest, int count)
{
	for (int i = 0; i < count; i++) {
		const struct runtime *r = runtime_find(rest[i]);

		if (strcmp(rest[i], "undo") == 0 && count == 1) {
			o->undo = true;
			return;
		}
		if (!r)
			cli_usage_error(&program,
					"expected containerd, docker, podman, crio or undo, not "
					"\"%s\"",
					rest[i]);
		for (size_t k = 0; k < o->chosen_count; k++)
			if (o->chosen[k] == r)
				cli_usage_error(&program, "%s is named twice", r->name);
		o->chosen[o->chosen_count++] = r;
	}
	for (const struct runtime *r = runtimes; r->name && count == 0; r++)
		if (is_given(options_of_file(o, r)))
			o->chosen[o->chosen_count++] = r;
	if (!o->chosen_count)
		cli_usage_error(&program, "name a runtime: containerd, docker, podman or crio");
	if (o->config_path && o->chosen_count > 1)
		cli_usage_error(&program, "--config-path is of one runtime");
}

int options_parse(int argc, char **argv, struct options *out, struct err *e)
{
	const char **rest cleanup(free_at) = mem_array((size_t)argc, sizeof(*rest));
	const char *file;
	int count, r;

	*out = (struct options){.root = "",
				.state_dir = "/var/lib/dfinit",
				.metrics = "http://127.0.0.1:4002/metrics"};
	count = cli_parse(&program, argc, argv, out, rest);
	if (out->print_reference) {
		config_print_reference(init_config_keys, stdout);
		exit(EXIT_DONE);
	}
	file = out->config ? out->config : INIT_CONFIG_FILE;
	r = config_load(init_config_keys, file, &out->file, e);
	if (r == -ENOENT && !out->config) {
		config_defaults(init_config_keys, &out->file);
		r = 0;
	}
	if (r < 0)
		return r;
	choose(out, rest, count);
	if (!out->proxy)
		out->proxy = out->file.proxy_addr;
	return 0;
}

void options_release(struct options *o)
{
	config_release(init_config_keys, &o->file);
	free(o->registries.items);
}

/* ---- wishes */

/* "https://ghcr.io", "ghcr.io", "http://reg:5000" to name and server, both owned. */
static int split_registry(const char *text, char **name, char **server, struct err *e)
{
	bool whole = strstr(text, "://") != NULL;
	char *url cleanup(free_at) = mem_printf("%s%s", whole ? "" : "https://", text);
	struct url u cleanup(url_release) = {0};
	int r = url_parse(url, &u, e);

	if (r < 0)
		return err_wrap(e, "registry %s", text);
	*name = u.port_default ? mem_strdup(u.host) : mem_printf("%s:%u", u.host, u.port);
	if (strcmp(*name, "index.docker.io") == 0 || strcmp(*name, "registry-1.docker.io") == 0) {
		free(*name);
		*name = mem_strdup("docker.io");
	}
	/* The name of Docker Hub's images is no registry's address. */
	if (strcmp(*name, "docker.io") == 0)
		*server = mem_strdup("https://registry-1.docker.io");
	else
		*server = mem_printf("%s://%s", u.scheme, *name);
	return 0;
}

static int add_text(struct wish *w, const char *text, struct err *e)
{
	char *name = NULL, *server = NULL;
	int r;

	if (w->registry_count == REGISTRIES_MAX)
		return err_set(e, E2BIG, "more than %d registries", REGISTRIES_MAX);
	r = split_registry(text, &name, &server, e);
	if (r == 0)
		w->registries[w->registry_count++] =
			(struct registry){.name = name, .server = server};
	return r;
}

static int add_item(struct wish *w, const struct init_registry *item, struct err *e)
{
	const char *name = item->host_namespace ? item->host_namespace : item->prefix;
	const char *server = item->server_addr ? item->server_addr : item->location;
	struct registry *r;
	int result;

	if (!name && !server)
		return err_set(e, EINVAL, "dfinit.yaml: a registry without a name");
	result = add_text(w, server ? server : name, e);
	if (result < 0)
		return result;
	r = &w->registries[w->registry_count - 1];
	if (name) {
		free((char *)r->name);
		r->name = mem_strdup(name);
	}
	if (item->server_addr) {
		free((char *)r->server);
		r->server = mem_strdup(item->server_addr);
	}
	if (strchr(r->name, '/') || r->name[0] == '.')
		return err_set(e, EINVAL, "dfinit.yaml: no registry's name: %s", r->name);
	r->capabilities = &item->capabilities;
	r->skip_verify = item->skip_verify;
	r->ca = item->ca;
	return 0;
}

int options_wish(const struct options *o, const struct runtime *r, struct wish *out, struct err *e)
{
	const struct init_runtime *given = options_of_file(o, r);
	const struct init_registry *items = given->registries.items;
	int result = 0;

	*out = (struct wish){.proxy = o->proxy, .file = r->file};
	if (o->config_path || given->config_path)
		out->file = o->config_path ? o->config_path : given->config_path;
	for (size_t i = 0; result == 0 && i < o->registries.count; i++)
		result = add_text(out, o->registries.items[i], e);
	for (size_t i = 0; result == 0 && !o->registries.count && i < given->registries.count; i++)
		result = add_item(out, &items[i], e);
	/* Registries on the command line are what is wanted, and no others. */
	out->all = o->all ||
		   (!o->registries.count && (o->file.proxy_all_registries || !out->registry_count));
	return result;
}

void wish_release(struct wish *w)
{
	for (size_t i = 0; i < w->registry_count; i++) {
		free((char *)w->registries[i].name);
		free((char *)w->registries[i].server);
	}
	free(w->mirror_dir);
}
