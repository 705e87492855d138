/* The manager's configuration file: Dragonfly's key names; the table in config.c is the truth. */
#ifndef CONTROL_MANAGER_CONFIG_H
#define CONTROL_MANAGER_CONFIG_H

#include "base/config.h"
#include "control/manager/db.h"
#include "proto/rpc_tls.h"
#include "proto/trace_export.h"

#define MANAGER_CONFIG_FILE "/etc/dragonfly/manager.yaml"
#define MANAGER_KEY_FILE    "/var/lib/dragonfly/manager.key"

/* Where a provider of OAuth asks, gives tokens, and says who somebody is. */
struct manager_oauth {
	char *auth_url, *token_url, *user_url;
};

struct manager_config {
	char *grpc_ip;
	uint16_t grpc_port;
	struct rpc_tls grpc_tls, scheduler_tls, peer_tls;
	/* the database; one of the three */
	char *database_type, *database_path;
	struct manager_server {
		char *host, *user, *password, *name, *tls, *ca, *cert, *key;
		uint16_t port;
		bool migrate;
	} mysql, postgres;
	bool mysql_insecure;
	struct config_strings redis_addrs;
	char *redis_master, *redis_user, *redis_password;
	char *redis_tls_ca, *redis_tls_cert, *redis_tls_key;
	uint64_t redis_db;
	/* REST and console */
	char *rest_addr, *rest_tls_cert, *rest_tls_key, *console_dir;
	struct config_strings allowed_origins;
	/* people */
	char *key_file, *jwt_key;
	int64_t jwt_life_ms, jwt_refresh_ms, jwt_rotate_ms;
	bool sign_up, require_password_change;
	struct manager_oauth github, google;
	struct trace_config tracing;
	char *pprof_port;
	bool metrics_enable, verbose;
	char *metrics_addr;
};

extern const struct config_key manager_config_keys[];

/* What no single key can tell; for struct program. */
int manager_config_check(const void *config, struct err *e);
/* Of the type that is configured; its texts are c's. */
struct db_config manager_config_database(const struct manager_config *c);
/* The file of the key that seals secrets: auth.keyFile, else beside the embedded database, else
 * MANAGER_KEY_FILE. Caller frees. */
char *manager_config_key_file(const struct manager_config *c);

#endif
