/* containerd: does its configuration lead to the daemon's mirror, and does it know of it? */
#include "base/mem.h"
#include "contrib/dfctl/ask.h"
#include "contrib/dfctl/look.h"
#include "contrib/dfinit/plan.h"
#include "contrib/dfinit/toml.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* Where config_path stands, in containerd's configuration of versions 1, 2 and 3. */
static const char *const path_keys[] = {
	"plugins.\"io.containerd.cri.v1.images\".registry.config_path",
	"plugins.\"io.containerd.grpc.v1.cri\".registry.config_path",
	"plugins.cri.registry.config_path",
};

/* The directories of hosts.toml, separated by ':'; NULL = none. */
static char *find_dirs(const char *file, struct err *e)
{
	char *text cleanup(free_at) = NULL;
	struct toml t cleanup(toml_release) = {0};
	size_t len = 0;

	if (plan_slurp(file, &text, &len, e) < 0 || toml_parse(file, text, len, &t, e) < 0)
		return NULL;
	for (size_t i = 0; i < array_len(path_keys); i++) {
		char *dirs = toml_text_of(&t, path_keys[i]);

		if (dirs && *dirs)
			return dirs;
		free(dirs);
	}
	return NULL;
}

/* Does a hosts.toml send to the mirror's port on this host? */
static bool names_mirror(const char *file, uint16_t port)
{
	char *text cleanup(free_at) = NULL;
	size_t len = 0;
	struct err e;
	bool found = false;

	if (plan_slurp(file, &text, &len, &e) < 0)
		return false;
	for (const char *at = text; !found && (at = strstr(at, "[host.")); at++) {
		size_t n = strcspn(at, "\n");
		char *line cleanup(free_at) = mem_strndup(at, n);
		char *with cleanup(free_at) = mem_printf(":%u\"", port);

		found = strstr(line, with) != NULL;
	}
	return found;
}

/* Registries that go through the mirror, "a, b"; NULL = none. */
static char *mirrored(const char *dir, uint16_t port)
{
	struct buf names = {0};
	DIR *d = opendir(dir);

	for (struct dirent *it = d ? readdir(d) : NULL; it; it = readdir(d)) {
		char *file cleanup(free_at) = mem_printf("%s/%s/hosts.toml", dir, it->d_name);

		if (it->d_name[0] != '.' && names_mirror(file, port))
			buf_printf(&names, "%s%s", names.len ? ", " : "", it->d_name);
	}
	if (d)
		closedir(d);
	if (names.len)
		return buf_take(&names);
	buf_release(&names);
	return NULL;
}

/* Those of all directories; containerd looks into each. */
static char *mirrored_by(const char *dirs, uint16_t port)
{
	while (*dirs) {
		size_t n = strcspn(dirs, ":");
		char *dir cleanup(free_at) = mem_strndup(dirs, n);
		char *names = mirrored(dir, port);

		if (names)
			return names;
		dirs += n + (dirs[n] == ':');
	}
	return NULL;
}

/* The pid of a containerd that was started with this file; 0 = none is found. */
static pid_t find_containerd(const char *file)
{
	DIR *d = opendir("/proc");
	pid_t found = 0;

	for (struct dirent *it = d ? readdir(d) : NULL; it && !found; it = readdir(d)) {
		pid_t pid = isdigit((unsigned char)it->d_name[0]) ? atoi(it->d_name) : 0;
		size_t len = 0, comm_len = 0;
		char *comm cleanup(free_at) = pid ? look_proc(pid, "comm", &comm_len) : NULL;
		char *line cleanup(free_at) = pid ? look_proc(pid, "cmdline", &len) : NULL;

		if (!comm || !line || strcmp(comm, "containerd\n") != 0)
			continue;
		if (strcmp(file, CONTAINERD_CONFIG) == 0 || memmem(line, len, file, strlen(file)))
			found = pid;
	}
	if (d)
		closedir(d);
	return found;
}

/* It reads its configuration once; hosts.toml at each pull. */
static bool is_older(pid_t pid, const char *file)
{
	char *proc cleanup(free_at) = mem_printf("/proc/%d", (int)pid);
	struct stat process, config;

	return stat(proc, &process) == 0 && stat(file, &config) == 0 &&
	       process.st_mtim.tv_sec < config.st_mtim.tv_sec;
}

/* Requests to the mirror since the daemon's start; -1 = unknown. */
static long long count_requests(const struct look *l)
{
	static const char name[] = "\ndragonfly_client_proxy_request_total ";
	char *url cleanup(free_at) =
		mem_printf("http://127.0.0.1:%u/metrics", l->settings.config.metrics.port);
	struct told told cleanup(told_release) = {0};
	struct err e;
	const char *at;

	if (ask_http(&(struct ask){.url = url, .timeout_ms = l->timeout_ms}, &told, &e) < 0 ||
	    !told.body.data)
		return -1;
	at = strstr(told.body.data, name);
	return at ? atoll(at + sizeof(name) - 1) : 0;
}

static void not_set_up(struct look *l, char *what)
{
	const char *file = l->runtime_config;
	bool usual = strcmp(file, CONTAINERD_CONFIG) == 0;

	findings_add(l->out, FINDING_ERROR, "runtime", "SK300", what,
		     mem_printf("dfinit%s%s --proxy http://127.0.0.1:%u containerd",
				usual ? "" : " --config-path ", usual ? "" : file,
				l->settings.config.proxy.port));
}

void look_runtime(struct look *l)
{
	const char *file = l->runtime_config;
	uint16_t port = l->settings.config.proxy.port;
	char *dirs cleanup(free_at) = NULL, *names cleanup(free_at) = NULL;
	struct err e = {0};
	pid_t pid;

	if (access(file, F_OK) < 0) {
		findings_good(l->out, "runtime", "no containerd here (%s): not looked at", file);
		return;
	}
	dirs = find_dirs(file, &e);
	names = dirs ? mirrored_by(dirs, port) : NULL;
	if (!names) {
		not_set_up(l,
			   e.code ? mem_strdup(e.text)
			   : dirs ? mem_printf("no hosts.toml below %s names port %u", dirs, port)
				  : mem_printf("%s has no config_path", file));
		return;
	}
	pid = find_containerd(file);
	if (pid && is_older(pid, file))
		findings_add(l->out, FINDING_ERROR, "runtime", "SK301",
			     mem_printf("containerd (process %d) is older than %s", (int)pid, file),
			     NULL);
	else if (l->daemon && count_requests(l) == 0)
		findings_add(l->out, FINDING_WARNING, "runtime", "SK302",
			     mem_printf("%s goes through port %u, and nobody has asked there yet",
					names, port),
			     NULL);
	else
		findings_good(l->out, "runtime", "containerd pulls %s through port %u",
			      strcmp(names, "_default") == 0 ? "every registry" : names, port);
}
