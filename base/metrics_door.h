/* Figures over HTTP: GET /metrics for Prometheus, DELETE /metrics to begin at 0 again. */
#ifndef BASE_METRICS_DOOR_H
#define BASE_METRICS_DOOR_H

#include "base/door.h"

/* A door of its own, of one loop. ip NULL = any; port 0 = the system picks. */
must_check int metrics_door_new(const char *ip, uint16_t port, struct door **out, struct err *e);
/* The same where the address is one text, "ip:port", "[ip]:port" or ":port". EINVAL. */
must_check int metrics_door_new_at(const char *addr, struct door **out, struct err *e);

#endif
