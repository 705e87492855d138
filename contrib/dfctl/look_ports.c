/* Who listens on dfdaemon's ports: /proc/net/tcp names the socket, /proc/<pid>/fd its process. */
#include "base/mem.h"
#include "contrib/dfctl/look.h"

#include <ctype.h>
#include <dirent.h>
#include <string.h>

#define LISTENING 0x0a

/* Sockets that listen on the port, of both families; returns how many. */
static size_t find_listeners(uint16_t wanted, unsigned long *inodes, size_t max)
{
	static const char *const files[] = {"/proc/net/tcp", "/proc/net/tcp6"};
	size_t count = 0;

	for (size_t i = 0; i < array_len(files); i++) {
		FILE *f = fopen(files[i], "re");
		char line[512];

		while (f && count < max && fgets(line, sizeof(line), f)) {
			unsigned port, state;
			unsigned long inode;

			if (sscanf(line,
				   " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s "
				   "%*d %*d %lu",
				   &port, &state, &inode) == 3 &&
			    port == wanted && state == LISTENING)
				inodes[count++] = inode;
		}
		if (f)
			fclose(f);
	}
	return count;
}

static bool has_socket(pid_t pid, unsigned long inode)
{
	char *dir cleanup(free_at) = mem_printf("/proc/%d/fd", (int)pid);
	char *want cleanup(free_at) = mem_printf("socket:[%lu]", inode);
	DIR *d = opendir(dir);
	bool found = false;

	for (struct dirent *it = d ? readdir(d) : NULL; it && !found; it = readdir(d)) {
		char link[64];
		ssize_t n = readlinkat(dirfd(d), it->d_name, link, sizeof(link) - 1);

		link[n > 0 ? n : 0] = 0;
		found = strcmp(link, want) == 0;
	}
	if (d)
		closedir(d);
	return found;
}

/* 0: nobody that may be looked at. */
static pid_t owner_of(unsigned long inode)
{
	DIR *d = opendir("/proc");
	pid_t found = 0;

	for (struct dirent *it = d ? readdir(d) : NULL; it && !found; it = readdir(d))
		if (isdigit((unsigned char)it->d_name[0]) && has_socket(atoi(it->d_name), inode))
			found = atoi(it->d_name);
	if (d)
		closedir(d);
	return found;
}

static char *name_of(pid_t pid)
{
	size_t len = 0;
	char *text = look_proc(pid, "comm", &len);

	if (text)
		text[strcspn(text, "\n")] = 0;
	return text ? text : mem_strdup("?");
}

static void taken(struct look *l, const char *key, uint16_t port, pid_t pid, const char *name)
{
	char *where cleanup(free_at) = settings_origin(&l->settings, key);

	if (pid)
		findings_add(
			l->out, FINDING_ERROR, "ports", "SK130",
			mem_printf("port %u (%s) is %s's, process %d", port, key, name, (int)pid),
			mem_printf("kill %d (%s), or set %s (%s) to a free port", (int)pid, name,
				   key, where));
	else
		findings_add(
			l->out, FINDING_ERROR, "ports", "SK130",
			mem_printf("port %u (%s) is another user's", port, key),
			mem_printf("as root: ss -ltnp 'sport = :%u' names the program; stop it, "
				   "or set %s (%s) to a free port",
				   port, key, where));
}

/* True: nothing is wrong with it. */
static bool look_port(struct look *l, const char *key, uint16_t port)
{
	unsigned long inodes[8];
	size_t count = find_listeners(port, inodes, array_len(inodes));
	bool ours = false;

	for (size_t i = 0; i < count && !ours; i++)
		ours = l->daemon && has_socket(l->daemon, inodes[i]);
	if (ours || (count == 0 && !l->daemon))
		return true;
	if (count == 0) {
		findings_add(l->out, FINDING_WARNING, "ports", "SK131",
			     mem_printf("nobody listens on port %u (%s)", port, key), NULL);
		return false;
	}
	pid_t pid = owner_of(inodes[0]);
	char *name cleanup(free_at) = name_of(pid ? pid : getpid());

	/* Who may not look into the daemon's descriptors cannot tell. */
	if (!pid && l->daemon)
		return true;
	if (strcmp(name, "dfdaemon") == 0 && !l->daemon)
		return true; /* told as a daemon that does not answer */
	taken(l, key, port, pid, name);
	return false;
}

void look_ports(struct look *l)
{
	const struct daemon_config *c = &l->settings.config;
	const struct {
		const char *key;
		uint16_t port;
		bool wanted;
	} ports[] = {
		{"upload.server.port", c->upload.port, true},
		{"proxy.server.port", c->proxy.port, c->proxy.enable},
		{"metrics.server.port", c->metrics.port, true},
		{"health.server.port", c->health.port, true},
		{"storage.server.tcpPort", c->storage.tcp_port, true},
	};
	bool good = true;

	for (size_t i = 0; i < array_len(ports); i++)
		if (ports[i].wanted && ports[i].port)
			good = look_port(l, ports[i].key, ports[i].port) && good;
	if (good)
		findings_good(l->out, "ports", "%u %u %u %u %u are %s", c->upload.port,
			      c->proxy.port, c->metrics.port, c->health.port, c->storage.tcp_port,
			      l->daemon ? "dfdaemon's" : "free");
}
