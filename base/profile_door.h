/*
 * Profiles over HTTP, where Go's programs have them:
 *
 *	GET /debug/pprof/profile?seconds=30	processor time (pprof)
 *	GET /debug/pprof/heap			who allocated what, and has it still (pprof)
 *	GET /debug/pprof/goroutine		threads, and what waits (text); also /debug/threads
 */
#ifndef BASE_PROFILE_DOOR_H
#define BASE_PROFILE_DOOR_H

#include "base/door.h"

/* ip NULL = 127.0.0.1: a profile costs time and tells of the inside. port 0 = the system picks.
 * Allocations are sampled from now on. */
must_check int profile_door_new(const char *ip, uint16_t port, struct door **out, struct err *e);
/* The text of a configuration's pprofPort: NULL, "" or "-1" = no door (*port_out 0). EINVAL. */
must_check int profile_port_parse(const char *text, uint16_t *port_out, struct err *e);
/* The door that such a text asks for; *out stays as it is when it asks for none. */
must_check int profile_door_new_at(const char *text, struct door **out, struct err *e);

#endif
