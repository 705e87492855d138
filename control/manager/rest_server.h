/* The REST API as a whole: what it needs, made and served. */
#ifndef CONTROL_MANAGER_REST_SERVER_H
#define CONTROL_MANAGER_REST_SERVER_H

#include "control/manager/config.h"
#include "control/manager/db.h"

struct rest_server;

/* Serves when it returns. db and config outlive it. The first user is made here; the initial
 * password is the variable DRAGONFLY_INITIAL_ROOT_PASSWORD's, if it is set. */
must_check int rest_server_new(const struct manager_config *config, struct db *db,
			       struct rest_server **out, struct err *e);
uint16_t rest_server_port(const struct rest_server *s);
void rest_server_free(struct rest_server *s);

#endif
