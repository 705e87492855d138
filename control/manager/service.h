/* gRPC service manager.v2.Manager over the database. Its calls are short statements on an embedded
 * database, made on the rpc thread. */
#ifndef CONTROL_MANAGER_SERVICE_H
#define CONTROL_MANAGER_SERVICE_H

#include "control/manager/db.h"
#include "proto/rpc.h"

/* For rpc_server_config: its arg is the struct db. */
extern const struct rpc_method service_methods[];

#endif
