/* One line per kind and minute, with how many there were. */
#include "daemon/complaints.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/net.h"

#include <inttypes.h>
#include <string.h>

#define EVERY_MS 60000

const char *complaint_text(enum complaint kind)
{
	static const char *const text[COMPLAINTS] = {
		[BAD_TAG] = "a packet of an unknown kind",
		[BAD_LENGTH] = "a request of a wrong length",
		[BAD_TASK_ID] = "a task id that is none",
		[SLOW_HEADER] = "no whole request in time",
		[SLOW_READER] = "takes nothing for too long",
		[TOO_MANY] = "too many connections, none of them idle",
		[NO_DESCRIPTORS] = "no descriptor left for a connection",
		[DISK_FAILED] = "a piece cannot be read from the disk",
	};

	return text[kind];
}

void complain(struct complaints *c, enum complaint kind, int fd)
{
	int64_t now_ms = clock_ms(), last_ms = __atomic_load_n(&c->told_ms[kind], __ATOMIC_RELAXED);
	char ip[64];

	__atomic_fetch_add(&c->since[kind], 1, __ATOMIC_RELAXED);
	if (last_ms != 0 && now_ms - last_ms < EVERY_MS)
		return;
	if (!__atomic_compare_exchange_n(&c->told_ms[kind], &last_ms, now_ms, false,
					 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return; /* another thread tells it */
	if (fd < 0 || !net_peer_ip(fd, ip, sizeof(ip)))
		strcpy(ip, "-");
	log_warn("piece server complains", "why=\"%s\" peer=%s times=%" PRIu64,
		 complaint_text(kind), ip,
		 __atomic_exchange_n(&c->since[kind], 0, __ATOMIC_RELAXED));
}
