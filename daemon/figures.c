/* What the system says of itself (facts in figures.h). */
#include "daemon/figures.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <ctype.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

/* The first size - 1 bytes of a small file as text; "" if it cannot be read. */
static void read_text(const char *path, char *text, size_t size)
{
	cleanup(close_at) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

	text[n < 0 ? 0 : n] = 0;
}

/* The number after "<name>" at the start of a line, times unit; 0 if there is none. */
static uint64_t value_of(const char *text, const char *name, uint64_t unit)
{
	size_t len = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, len) == 0)
			return strtoull(line + len, NULL, 10) * unit;
	}
	return 0;
}

static void read_cpu(struct figures *out)
{
	long per_second = sysconf(_SC_CLK_TCK);
	struct rusage usage;
	char text[1024];
	char *at = text;

	read_text("/proc/stat", text, sizeof(text));
	if (strncmp(text, "cpu ", 4) == 0) {
		at += 4;
		for (unsigned i = 0; i < CPU_TIMES; i++)
			out->cpu_times[i] = (double)strtoull(at, &at, 10) / (double)per_second;
	}
	if (getrusage(RUSAGE_SELF, &usage) == 0)
		out->process_time = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
				    (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	out->cpu_logical = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
	out->cpu_physical = (uint32_t)sysconf(_SC_NPROCESSORS_CONF);
}

static double within(double v, double max)
{
	return v < 0 ? 0 : v > max ? max : v;
}

static void compare_cpu(const struct figures *before, struct figures *out)
{
	double all = 0, idle = 0, elapsed;

	/* Guest times are part of user and nice already. */
	for (unsigned i = 0; i <= CPU_STEAL; i++) {
		double d = out->cpu_times[i] - before->cpu_times[i];
		all += d;
		if (i == CPU_IDLE || i == CPU_IOWAIT)
			idle += d;
	}
	if (all > 0)
		out->cpu_percent = within(100 * (all - idle) / all, 100);
	elapsed = (double)(out->at_ms - before->at_ms) / 1000;
	if (before->at_ms > 0 && elapsed > 0)
		out->process_percent =
			within(100 * (out->process_time - before->process_time) / elapsed,
			       100.0 * out->cpu_logical);
}

static void read_memory(struct figures *out)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), resident = 0;
	char text[2048];

	read_text("/proc/meminfo", text, sizeof(text));
	out->mem_total = value_of(text, "MemTotal:", 1024);
	out->mem_free = value_of(text, "MemFree:", 1024);
	out->mem_available = value_of(text, "MemAvailable:", 1024);
	read_text("/proc/self/statm", text, sizeof(text));
	if (sscanf(text, "%*u %" SCNu64, &resident) == 1)
		out->process_resident = resident * page;
}

static void read_disk(const char *dir, struct figures *out)
{
	struct statvfs fs;

	if (!dir || statvfs(dir, &fs) < 0)
		return;
	out->disk_total = fs.f_blocks * fs.f_frsize;
	out->disk_free = fs.f_bavail * fs.f_frsize;
	out->disk_used = (fs.f_blocks - fs.f_bfree) * fs.f_frsize;
	out->inodes_total = fs.f_files;
	out->inodes_free = fs.f_ffree;
}

void figures_read(const struct figures *before, const char *dir, struct figures *out)
{
	static const struct figures none;
	char text[1024];

	memset(out, 0, sizeof(*out));
	out->at_ms = clock_ms();
	read_cpu(out);
	compare_cpu(before ? before : &none, out);
	read_memory(out);
	read_disk(dir, out);
	read_text("/proc/net/sockstat", text, sizeof(text));
	out->tcp_connections = (uint32_t)value_of(text, "TCP: inuse ", 1);
	read_text("/proc/net/sockstat6", text, sizeof(text));
	out->tcp_connections += (uint32_t)value_of(text, "TCP6: inuse ", 1);
}

static bool has_address(const struct ifaddrs *a, const char *ip)
{
	char text[NI_MAXHOST];
	socklen_t len;

	if (!a->ifa_addr)
		return false;
	if (a->ifa_addr->sa_family == AF_INET)
		len = sizeof(struct sockaddr_in);
	else if (a->ifa_addr->sa_family == AF_INET6)
		len = sizeof(struct sockaddr_in6);
	else
		return false;
	if (getnameinfo(a->ifa_addr, len, text, sizeof(text), NULL, 0, NI_NUMERICHOST) != 0)
		return false;
	text[strcspn(text, "%")] = 0;
	return strcmp(text, ip) == 0;
}

void figures_link_name(const char *ip, char name[FIGURES_LINK_NAME_SIZE])
{
	struct ifaddrs *all;

	name[0] = 0;
	if (getifaddrs(&all) < 0)
		return;
	for (const struct ifaddrs *a = all; a && !name[0]; a = a->ifa_next)
		if (has_address(a, ip))
			snprintf(name, FIGURES_LINK_NAME_SIZE, "%s", a->ifa_name);
	freeifaddrs(all);
}

/* What /sys says of a link; virtual links say nothing of some things, or -1. */
static int64_t link_number(const char *name, const char *what)
{
	char path[64], text[32];

	if (!name[0])
		return 0;
	snprintf(path, sizeof(path), "/sys/class/net/%s/%s", name, what);
	read_text(path, text, sizeof(text));
	return strtoll(text, NULL, 10);
}

uint64_t figures_link_rate(const char *ip)
{
	char name[FIGURES_LINK_NAME_SIZE];
	int64_t mbit;

	figures_link_name(ip, name);
	mbit = link_number(name, "speed");
	return mbit > 0 && mbit < 100000000 ? (uint64_t)mbit * 1000000 / 8 : 0;
}

/* From /proc, which is of this process's network; /sys is of whoever mounted it. */
uint64_t figures_link_sent(const char *name)
{
	cleanup(fclose_at) FILE *f = name[0] ? fopen("/proc/self/net/dev", "re") : NULL;
	size_t len = strlen(name);
	uint64_t sent = 0;
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		const char *at = line + strspn(line, " ");

		/* Eight numbers of what was received come before. */
		if (strncmp(at, name, len) == 0 && at[len] == ':' &&
		    sscanf(at + len + 1, "%*u %*u %*u %*u %*u %*u %*u %*u %" SCNu64, &sent) == 1)
			return sent;
	}
	return 0;
}

/* NAME=value or NAME="value" in os-release. */
static void release_value(const char *text, const char *name, char *out, size_t size)
{
	size_t len = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, len) != 0)
			continue;
		line += len + (line[len] == '"');
		snprintf(out, size, "%.*s", (int)strcspn(line, "\"\n"), line);
		return;
	}
}

void figures_platform(struct figures_platform *out)
{
	struct utsname u;
	char text[4096];

	memset(out, 0, sizeof(*out));
	strcpy(out->id, "linux");
	read_text("/etc/os-release", text, sizeof(text));
	release_value(text, "ID=", out->id, sizeof(out->id));
	strcpy(out->family, out->id);
	release_value(text, "ID_LIKE=", out->family, sizeof(out->family));
	release_value(text, "VERSION_ID=", out->version, sizeof(out->version));
	if (uname(&u) == 0) {
		snprintf(out->kernel, sizeof(out->kernel), "%.95s", u.release);
		snprintf(out->machine, sizeof(out->machine), "%.31s", u.machine);
	}
}
