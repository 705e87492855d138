/*
 * What the system says of itself: CPU, memory, disk, connections, the link. Read from /proc, /sys
 * and statvfs(); what cannot be read is 0. Cheap (tens of microseconds), never blocks on a network.
 *
 * Must not know: tasks, peers, messages.
 */
#ifndef DAEMON_FIGURES_H
#define DAEMON_FIGURES_H

#include <stddef.h>
#include <stdint.h>

#define FIGURES_LINK_NAME_SIZE 16

/* The columns of "cpu" in /proc/stat, in its order. */
enum figures_cpu {
	CPU_USER,
	CPU_NICE,
	CPU_SYSTEM,
	CPU_IDLE,
	CPU_IOWAIT,
	CPU_IRQ,
	CPU_SOFTIRQ,
	CPU_STEAL,
	CPU_GUEST,
	CPU_GUEST_NICE,
	CPU_TIMES,
};

struct figures {
	uint32_t cpu_logical, cpu_physical;
	double cpu_times[CPU_TIMES];	     /* seconds since boot, all CPUs */
	double process_time;		     /* seconds of CPU this process has used */
	double cpu_percent, process_percent; /* since the figures before; 100 = one CPU's worth for
						the process, all CPUs for the system */
	uint64_t mem_total, mem_free, mem_available;
	uint64_t process_resident;
	uint64_t disk_total, disk_free, disk_used, inodes_total, inodes_free;
	uint32_t tcp_connections;
	int64_t at_ms;
};

/* before: an earlier reading, NULL or zeroed if there is none (percentages are then since boot and
 * 0). dir: whose file system the disk figures are of. */
void figures_read(const struct figures *before, const char *dir, struct figures *out);

/* Bytes per second of the link that has this address; 0 if it does not tell (virtual links). */
uint64_t figures_link_rate(const char *ip);

/* The name of the link that has this address; "" if none has. */
void figures_link_name(const char *ip, char name[FIGURES_LINK_NAME_SIZE]);
/* Bytes that a link of this name has sent since it is there; 0 if it does not tell. */
uint64_t figures_link_sent(const char *name);

/* ID, ID_LIKE and VERSION_ID of os-release; "linux" and "" where it does not say. */
struct figures_platform {
	char id[64], family[64], version[64], kernel[96], machine[32];
};
void figures_platform(struct figures_platform *out);

#endif
