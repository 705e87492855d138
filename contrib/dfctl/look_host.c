/* This host: disk, FUSE, environment, clock. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/redact.h"
#include "base/units.h"
#include "contrib/dfctl/look.h"
#include "fs/layer/erofs_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>

#define FREE_BYTES_MIN	(64u << 20) /* less is no room for the pieces in flight */
#define FREE_INODES_MIN 64
#define ENVIRON_MAX	(1u << 20)

char *look_proc(pid_t pid, const char *file, size_t *len_out)
{
	char *path cleanup(free_at) = mem_printf("/proc/%d/%s", (int)pid, file);
	struct buf text = BUF_INIT(ENVIRON_MAX);
	int fd cleanup(close_at) = open(path, O_RDONLY | O_CLOEXEC);
	char part[4096];
	ssize_t n = -1;

	while (fd >= 0 && (n = read(fd, part, sizeof(part))) > 0)
		buf_append(&text, part, (size_t)n);
	*len_out = text.len;
	if (n < 0 || text.overflow) {
		buf_release(&text);
		return NULL;
	}
	return buf_take(&text);
}

/* ---- disk */

/* The directory, or the nearest above it that exists. */
static char *existing(const char *dir)
{
	char *path = mem_strdup(dir);

	while (access(path, F_OK) < 0 && strrchr(path, '/') > path)
		*strrchr(path, '/') = 0;
	if (access(path, F_OK) < 0)
		strcpy(path, "/");
	return path;
}

static void look_room(struct look *l, const char *dir, const struct statvfs *disk)
{
	uint64_t available = (uint64_t)disk->f_bavail * disk->f_frsize;
	uint64_t total = (uint64_t)disk->f_blocks * disk->f_frsize;
	uint64_t high = l->settings.config.gc.high_percent;
	char *where cleanup(free_at) = settings_origin(&l->settings, "storage.dir");
	char left[32], size[32];

	units_print_bytes(available, left, sizeof(left));
	units_print_bytes(total, size, sizeof(size));
	if (available < FREE_BYTES_MIN)
		findings_add(
			l->out, FINDING_ERROR, "disk", "SK110",
			mem_printf("%s of %s are free for storage.dir (%s)", left, size, dir),
			mem_printf("free at least %u MiB on the disk of %s (du -xh --max-depth=2 "
				   "finds what is large), or set storage.dir (%s) to another "
				   "disk",
				   FREE_BYTES_MIN >> 20, dir, where));
	else if (disk->f_files && disk->f_favail < FREE_INODES_MIN)
		findings_add(l->out, FINDING_ERROR, "disk", "SK110",
			     mem_printf("%llu inodes are free for storage.dir (%s)",
					(unsigned long long)disk->f_favail, dir),
			     mem_printf("remove small files from the disk of %s, or set "
					"storage.dir (%s) to another disk",
					dir, where));
	else if (total && available < total / 100 * (100 - high))
		findings_add(l->out, FINDING_WARNING, "disk", "SK111",
			     mem_printf("%s of %s are free for storage.dir (%s); blobs are removed "
					"above %llu %%",
					left, size, dir, (unsigned long long)high),
			     NULL);
	else
		findings_good(l->out, "disk", "%s of %s are free for %s", left, size, dir);
}

void look_disk(struct look *l)
{
	const char *dir = l->settings.config.storage.dir;
	char *path cleanup(free_at) = existing(dir);
	struct statvfs disk;

	if (statvfs(path, &disk) < 0) {
		findings_add(l->out, FINDING_ERROR, "disk", "SK112",
			     mem_printf("%s: %s", path, strerror(errno)), NULL);
		return;
	}
	/* Who may not write here need not be who runs the daemon. */
	if (geteuid() == 0 && (disk.f_flag & ST_RDONLY))
		findings_add(l->out, FINDING_ERROR, "disk", "SK112",
			     mem_printf("%s is on a read-only file system", path), NULL);
	look_room(l, dir, &disk);
}

/* ---- FUSE */

/* Is something of FUSE mounted there? /proc/self/mountinfo writes blanks as \040. */
static bool is_mounted(const char *path)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, *real cleanup(free_at) = realpath(path, NULL);
	char *mark cleanup(free_at) = mem_printf(" %s ", real ? real : path);
	size_t size = 0;
	bool found = false;

	while (f && !found && getline(&line, &size, f) > 0)
		found = strstr(line, mark) && strstr(line, " - fuse");
	free(line);
	if (f)
		fclose(f);
	return found;
}

/* False: a finding says so. switch_key: what is false where it is not needed. */
static bool has_device(struct look *l, const char *check, const char *switch_key)
{
	struct stat st;

	errno = 0;
	if (stat("/dev/fuse", &st) == 0 && S_ISCHR(st.st_mode) &&
	    access("/dev/fuse", R_OK | W_OK) == 0)
		return true;
	findings_add(l->out, FINDING_ERROR, check, "SK120",
		     mem_printf("/dev/fuse: %s", errno ? strerror(errno) : "no device"),
		     mem_printf("modprobe fuse; in a container: --device /dev/fuse and "
				"CAP_SYS_ADMIN; or without the mount: %s: false (%s)",
				switch_key,
				l->settings.file ? l->settings.file : DAEMON_CONFIG_FILE));
	return false;
}

void look_fuse(struct look *l)
{
	const struct daemon_config *c = &l->settings.config;
	char *where cleanup(free_at) = settings_origin(&l->settings, "mount.enable");

	if (!c->mount.enable) {
		findings_good(l->out, "fuse", "not wanted: mount.enable is false (%s)", where);
		return;
	}
	if (!has_device(l, "fuse", "mount.enable"))
		return;
	if (l->daemon && !is_mounted(c->mount.path))
		findings_add(l->out, FINDING_WARNING, "fuse", "SK121",
			     mem_printf("nothing of FUSE is mounted at %s", c->mount.path), NULL);
	else
		findings_good(l->out, "fuse", "/dev/fuse is there%s%s",
			      l->daemon ? ", mounted at " : "", l->daemon ? c->mount.path : "");
}

/* ---- lazy layers: as dfdaemon chooses when it starts */

void look_trees(struct look *l)
{
	const struct daemon_config *c = &l->settings.config;
	char *dir cleanup(free_at) = NULL;
	bool kernel;
	struct err e = {0};

	if (!c->lazy.enable) {
		findings_good(l->out, "trees", "not wanted: lazy.enable is false");
		return;
	}
	if (geteuid() != 0) {
		findings_good(l->out, "trees",
			      "who shows lazy layers is seen as root only: not looked at");
		return;
	}
	/* EROFS stands on a mount of FUSE, too. */
	if (!has_device(l, "trees", "lazy.enable"))
		return;
	dir = existing(c->lazy.dir);
	kernel = erofs_probe(dir, &e) == 0;
	if (kernel && strcmp(c->lazy.trees, "fuse") != 0)
		findings_good(l->out, "trees", "the kernel's EROFS shows lazy layers");
	else if (kernel)
		findings_good(l->out, "trees",
			      "dfdaemon shows lazy layers by FUSE, as lazy.trees says");
	else if (strcmp(c->lazy.trees, "erofs") != 0)
		findings_good(l->out, "trees", "dfdaemon shows lazy layers by FUSE: %s", e.text);
	else
		findings_add(l->out, FINDING_WARNING, "trees", "SK123", mem_strdup(e.text), NULL);
}

/* ---- environment */

static bool is_proxy_variable(const char *text)
{
	static const char *const names[] = {"http_proxy=", "https_proxy=", "all_proxy="};

	for (size_t i = 0; i < array_len(names); i++)
		if (strncasecmp(text, names[i], strlen(names[i])) == 0 && strchr(text, '=')[1])
			return true;
	return false;
}

void look_environment(struct look *l)
{
	size_t len = 0;
	char *text cleanup(free_at) = look_proc(l->daemon ? l->daemon : getpid(), "environ", &len);
	struct buf found cleanup(buf_release) = {0};

	for (size_t at = 0; text && at < len; at += strlen(text + at) + 1) {
		if (!is_proxy_variable(text + at))
			continue;
		buf_puts(&found, found.len ? ", " : "");
		redact_append(&found, text + at, strlen(text + at));
	}
	if (found.len)
		findings_add(l->out, FINDING_WARNING, "proxy", "SK140",
			     mem_printf("%s in the environment of %s", found.data,
					l->daemon ? "dfdaemon" : "this shell"),
			     NULL);
	else if (!text)
		findings_good(l->out, "proxy",
			      "dfdaemon's environment may not be read: not looked at");
	else
		findings_good(l->out, "proxy", "no proxy in the environment");
}

/* ---- clock */

void look_clock_kept(struct look *l)
{
	struct timex t = {0};

	if (adjtimex(&t) < 0)
		return;
	if (t.status & STA_UNSYNC)
		findings_add(l->out, FINDING_WARNING, "clock", "SK102",
			     mem_strdup("the kernel's clock is not synchronised"), NULL);
	else
		findings_good(l->out, "clock", "synchronised, within %ld ms",
			      (long)t.maxerror / 1000);
}
