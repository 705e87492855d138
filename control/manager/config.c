/* The table of the manager's keys. */
#include "control/manager/config.h"

#include "base/door_tls.h"
#include "base/profile_door.h"
#include "base/program.h"

#include "base/mem.h"
#include "base/net.h"

#include <errno.h>
#include <string.h>

#define AT(field)   offsetof(struct manager_config, field)
#define JWT_KEY_MIN 16

const struct config_key manager_config_keys[] = {
	{.path = "server.grpc.listenIP",
	 .type = CONFIG_IP,
	 .offset = AT(grpc_ip),
	 .help = "Address of the gRPC server. Default: any."},
	{.path = "server.grpc.port.start",
	 .type = CONFIG_PORT,
	 .offset = AT(grpc_port),
	 .fallback = "65003",
	 .help = "Port of the gRPC server."},
	RPC_TLS_SERVER_KEYS(struct manager_config, grpc_tls, "server.grpc.tls",
			    "Schedulers and peers"),
	{.path = "server.grpc.port.end", .type = CONFIG_IGNORED},
	{.path = "server.grpc.advertiseIP", .type = CONFIG_IGNORED},
	{.path = "server.grpc.requestRateLimit", .type = CONFIG_IGNORED},
	{.path = "server.rest.addr",
	 .type = CONFIG_STRING,
	 .offset = AT(rest_addr),
	 .fallback = ":8080",
	 .help = "Address of the REST API and the console, `ip:port` or `:port` for any."},
	{.path = "server.rest.allowedOrigins",
	 .type = CONFIG_STRINGS,
	 .offset = AT(allowed_origins),
	 .help = "Origins, such as https://console.example.com, whose pages may use the API from "
		 "a browser. Also the manager's own when a proxy before it changes the Host "
		 "header. Default: none but the manager's own."},
	{.path = "server.rest.tls.cert",
	 .type = CONFIG_STRING,
	 .offset = AT(rest_tls_cert),
	 .help = "PEM file with the certificate of the REST API and the console, followed by those "
		 "between it and its authority. With it https is served and plain HTTP refused; "
		 "the cookie of a person is marked Secure. Read at start. Default: plain HTTP."},
	{.path = "server.rest.tls.key",
	 .type = CONFIG_STRING,
	 .offset = AT(rest_tls_key),
	 .help = "PEM file with its key, without a passphrase."},
	{.path = "server.consoleDir",
	 .type = CONFIG_STRING,
	 .offset = AT(console_dir),
	 .help = "Directory with the console's files, served at /. Default: no console."},
	{.path = "server.name", .type = CONFIG_IGNORED},
	{.path = "server.logDir", .type = CONFIG_IGNORED},
	{.path = "server.logLevel", .type = CONFIG_IGNORED},
	{.path = "server.logMaxSize", .type = CONFIG_IGNORED},
	{.path = "server.logMaxAge", .type = CONFIG_IGNORED},
	{.path = "server.logMaxBackups", .type = CONFIG_IGNORED},
	{.path = "server.pluginDir", .type = CONFIG_IGNORED},
	{.path = "database.type",
	 .type = CONFIG_ENUM,
	 .offset = AT(database_type),
	 .fallback = "sqlite",
	 .words = "sqlite|postgres|mysql|mariadb",
	 .help = "Kind of database: the embedded one, or a server. mysql and mariadb are the "
		 "same."},
	{.path = "database.sqlite.path",
	 .type = CONFIG_STRING,
	 .offset = AT(database_path),
	 .fallback = "/var/lib/dragonfly/manager.db",
	 .help = "File of the embedded database."},
	{.path = "database.mysql.host",
	 .type = CONFIG_STRING,
	 .offset = AT(mysql.host),
	 .help = "Name or address of the MariaDB or MySQL server."},
	{.path = "database.mysql.port",
	 .type = CONFIG_PORT,
	 .offset = AT(mysql.port),
	 .fallback = "3306",
	 .help = "Its port."},
	{.path = "database.mysql.user",
	 .type = CONFIG_STRING,
	 .offset = AT(mysql.user),
	 .help = "Who the manager is there. He must be allowed to make tables."},
	{.path = "database.mysql.password",
	 .type = CONFIG_STRING,
	 .offset = AT(mysql.password),
	 .help = "His password."},
	{.path = "database.mysql.dbname",
	 .type = CONFIG_STRING,
	 .offset = AT(mysql.name),
	 .fallback = "manager",
	 .help = "Name of the database. It must exist, and be empty at the first start."},
	{.path = "database.mysql.migrate",
	 .type = CONFIG_BOOL,
	 .offset = AT(mysql.migrate),
	 .fallback = "true",
	 .help = "Whether a start may make and change the tables. With false a start that would "
		 "have to ends with an error."},
	{.path = "database.mysql.tlsConfig",
	 .type = CONFIG_ENUM,
	 .offset = AT(mysql.tls),
	 .fallback = "false",
	 .words = "false|true|skip-verify|preferred",
	 .help = "TLS to the server: none, with a certificate that is checked, with any "
		 "certificate, or only where the server offers it (not checked)."},
	{.path = "database.mysql.tls.ca",
	 .type = CONFIG_STRING,
	 .offset = AT(mysql.ca),
	 .help = "File with the authorities that the server's certificate is checked against. "
		 "With it, or with a certificate, TLS is used whatever tlsConfig says."},
	{.path = "database.mysql.tls.cert",
	 .type = CONFIG_STRING,
	 .offset = AT(mysql.cert),
	 .help = "File with the manager's own certificate."},
	{.path = "database.mysql.tls.key",
	 .type = CONFIG_STRING,
	 .offset = AT(mysql.key),
	 .help = "File with its key."},
	{.path = "database.mysql.tls.insecureSkipVerify",
	 .type = CONFIG_BOOL,
	 .offset = AT(mysql_insecure),
	 .fallback = "false",
	 .help = "Take any certificate of the server's."},
	{.path = "database.postgres.host",
	 .type = CONFIG_STRING,
	 .offset = AT(postgres.host),
	 .help = "Name or address of the PostgreSQL server."},
	{.path = "database.postgres.port",
	 .type = CONFIG_PORT,
	 .offset = AT(postgres.port),
	 .fallback = "5432",
	 .help = "Its port."},
	{.path = "database.postgres.user",
	 .type = CONFIG_STRING,
	 .offset = AT(postgres.user),
	 .help = "Who the manager is there. He must be allowed to make tables."},
	{.path = "database.postgres.password",
	 .type = CONFIG_STRING,
	 .offset = AT(postgres.password),
	 .help = "His password."},
	{.path = "database.postgres.dbname",
	 .type = CONFIG_STRING,
	 .offset = AT(postgres.name),
	 .fallback = "manager",
	 .help = "Name of the database. It must exist, and be empty at the first start."},
	{.path = "database.postgres.migrate",
	 .type = CONFIG_BOOL,
	 .offset = AT(postgres.migrate),
	 .fallback = "true",
	 .help = "Whether a start may make and change the tables. With false a start that would "
		 "have to ends with an error."},
	{.path = "database.postgres.sslMode",
	 .type = CONFIG_ENUM,
	 .offset = AT(postgres.tls),
	 .fallback = "disable",
	 .words = "disable|allow|prefer|require|verify-ca|verify-full",
	 .help = "TLS to the server, in PostgreSQL's words: none; only if it must be; if it can "
		 "be; always; with a certificate of an authority; and one that has the server's "
		 "name."},
	{.path = "database.postgres.sslRootCert",
	 .type = CONFIG_STRING,
	 .offset = AT(postgres.ca),
	 .help = "File with the authorities that the server's certificate is checked against, with "
		 "sslMode require or stricter. Default: ~/.postgresql/root.crt or PGSSLROOTCERT."},
	{.path = "database.postgres.sslCert",
	 .type = CONFIG_STRING,
	 .offset = AT(postgres.cert),
	 .help = "File with the manager's own certificate."},
	{.path = "database.postgres.sslKey",
	 .type = CONFIG_STRING,
	 .offset = AT(postgres.key),
	 .help = "File with its key; only the manager and root may be able to read it."},
	{.path = "database.postgres.preferSimpleProtocol", .type = CONFIG_IGNORED},
	{.path = "database.postgres.timezone", .type = CONFIG_IGNORED},
	{.path = "database.redis.addrs",
	 .type = CONFIG_STRINGS,
	 .offset = AT(redis_addrs),
	 .help = "Redis servers, `host:port`, of which the first that answers is used: several "
		 "managers count attempts and jobs there together. Default: none, each manager "
		 "counts for itself. Jobs are in the database in any case."},
	{.path = "database.redis.username",
	 .type = CONFIG_STRING,
	 .offset = AT(redis_user),
	 .help = "Who the manager is there."},
	{.path = "database.redis.password",
	 .type = CONFIG_STRING,
	 .offset = AT(redis_password),
	 .help = "The password there."},
	{.path = "database.redis.db",
	 .type = CONFIG_U64,
	 .offset = AT(redis_db),
	 .fallback = "0",
	 .max = 1023,
	 .help = "Number of the database there."},
	{.path = "database.redis.masterName",
	 .type = CONFIG_STRING,
	 .offset = AT(redis_master),
	 .help = "Refused: sentinels are not asked here; name the servers themselves in addrs."},
	{.path = "database.redis.tls.caCert",
	 .type = CONFIG_STRING,
	 .offset = AT(redis_tls_ca),
	 .help = "Refused, as the others of database.redis.tls: the client library of Debian 12 "
		 "has no TLS; put stunnel between, or keep Redis on a network of its own."},
	{.path = "database.redis.tls.cert",
	 .type = CONFIG_STRING,
	 .offset = AT(redis_tls_cert),
	 .help = "Refused."},
	{.path = "database.redis.tls.key",
	 .type = CONFIG_STRING,
	 .offset = AT(redis_tls_key),
	 .help = "Refused."},
	{.path = "database.redis.sentinelUsername", .type = CONFIG_IGNORED},
	{.path = "database.redis.sentinelPassword", .type = CONFIG_IGNORED},
	{.path = "database.redis.brokerDB", .type = CONFIG_IGNORED},
	{.path = "database.redis.backendDB", .type = CONFIG_IGNORED},
	{.path = "database.redis.poolSize", .type = CONFIG_IGNORED},
	{.path = "database.redis.poolTimeout", .type = CONFIG_IGNORED},
	{.path = "database.redis.proxy", .type = CONFIG_IGNORED},
	{.path = "auth.keyFile",
	 .type = CONFIG_STRING,
	 .offset = AT(key_file),
	 .help = "File with the key that seals secrets in the database, made at the first start. "
		 "Keep it with every backup of the database, and not in the same place. Default: "
		 "the embedded database's path and `.key`; with a server "
		 "`" MANAGER_KEY_FILE "`. All managers of one database need the same."},
	{.path = "auth.jwt.key",
	 .type = CONFIG_STRING,
	 .offset = AT(jwt_key),
	 .help = "Signs the tokens of people. Default: keys of the manager's own, which change by "
		 "themselves; a key given here does not."},
	{.path = "auth.jwt.timeout",
	 .type = CONFIG_DURATION,
	 .offset = AT(jwt_life_ms),
	 .fallback = "336h",
	 .min = 60000,
	 .max = 366LL * 24 * 3600 * 1000,
	 .help = "How long a token of a person is good."},
	{.path = "auth.jwt.maxRefresh",
	 .type = CONFIG_DURATION,
	 .offset = AT(jwt_refresh_ms),
	 .fallback = "168h",
	 .min = 60000,
	 .max = 366LL * 24 * 3600 * 1000,
	 .help = "How long after signing in a token can be exchanged for a new one."},
	{.path = "auth.jwt.rotation",
	 .type = CONFIG_DURATION,
	 .offset = AT(jwt_rotate_ms),
	 .fallback = "720h",
	 .min = 60000,
	 .max = 3660LL * 24 * 3600 * 1000,
	 .help = "Age at which the manager's own signing key is followed by a new one. Tokens of "
		 "the old one live on until they expire."},
	{.path = "auth.jwt.realm", .type = CONFIG_IGNORED},
	{.path = "auth.oauth.github.authURL",
	 .type = CONFIG_STRING,
	 .offset = AT(github.auth_url),
	 .fallback = "https://github.com/login/oauth/authorize",
	 .help = "Where a browser is sent to sign in with GitHub; GitHub Enterprise has its own."},
	{.path = "auth.oauth.github.tokenURL",
	 .type = CONFIG_STRING,
	 .offset = AT(github.token_url),
	 .fallback = "https://github.com/login/oauth/access_token",
	 .help = "Where the manager exchanges the code for a token."},
	{.path = "auth.oauth.github.userURL",
	 .type = CONFIG_STRING,
	 .offset = AT(github.user_url),
	 .fallback = "https://api.github.com/user",
	 .help = "Where the manager asks who it is."},
	{.path = "auth.oauth.google.authURL",
	 .type = CONFIG_STRING,
	 .offset = AT(google.auth_url),
	 .fallback = "https://accounts.google.com/o/oauth2/v2/auth",
	 .help = "Where a browser is sent to sign in with Google."},
	{.path = "auth.oauth.google.tokenURL",
	 .type = CONFIG_STRING,
	 .offset = AT(google.token_url),
	 .fallback = "https://oauth2.googleapis.com/token",
	 .help = "Where the manager exchanges the code for a token."},
	{.path = "auth.oauth.google.userURL",
	 .type = CONFIG_STRING,
	 .offset = AT(google.user_url),
	 .fallback = "https://openidconnect.googleapis.com/v1/userinfo",
	 .help = "Where the manager asks who it is."},
	{.path = "auth.signUp",
	 .type = CONFIG_BOOL,
	 .offset = AT(sign_up),
	 .fallback = "true",
	 .help = "Whether anybody may make an account, which has the role guest: it may look at "
		 "everything but secrets."},
	{.path = "auth.requirePasswordChange",
	 .type = CONFIG_BOOL,
	 .offset = AT(require_password_change),
	 .fallback = "false",
	 .help = "Refuse every other request of a user who has still the first password. Without "
		 "it only the console insists."},
	RPC_TLS_CLIENT_KEYS(struct manager_config, scheduler_tls, "scheduler.tls",
			    "the schedulers"),
	RPC_TLS_CLIENT_KEYS(struct manager_config, peer_tls, "peer.tls", "peers"),
	{.path = "cache", .type = CONFIG_IGNORED},
	{.path = "job", .type = CONFIG_IGNORED},
	{.path = "metrics.enable",
	 .type = CONFIG_BOOL,
	 .offset = AT(metrics_enable),
	 .fallback = "false",
	 .help = "Serve /metrics for Prometheus."},
	{.path = "metrics.addr",
	 .type = CONFIG_STRING,
	 .offset = AT(metrics_addr),
	 .fallback = ":8000",
	 .help = "Address of /metrics: ip:port, or :port for any."},
	{.path = "metrics.enablePeerGauge", .type = CONFIG_IGNORED},
	TRACE_CONFIG_KEYS(struct manager_config, tracing),
	{.path = "network", .type = CONFIG_IGNORED},
	{.path = "console", .type = CONFIG_IGNORED},
	PROGRAM_CONFIG_KEYS(manager_config, verbose),
	{.path = "pprofPort",
	 .type = CONFIG_STRING,
	 .offset = AT(pprof_port),
	 .fallback = "-1",
	 .help = "Port of /debug/pprof on 127.0.0.1: profiles and threads. -1: none."},
	{.path = NULL},
};

/* Of the server that is configured; NULL: the embedded one. */
static const struct manager_server *server_of(const struct manager_config *c)
{
	if (strcmp(c->database_type, "sqlite") == 0)
		return NULL;
	return strcmp(c->database_type, "postgres") == 0 ? &c->postgres : &c->mysql;
}

static int check_database(const struct manager_config *c, struct err *e)
{
	const struct manager_server *s = server_of(c);
	const char *section = s == &c->postgres ? "postgres" : "mysql";

	if (s && !s->host)
		return err_set(e, EINVAL, "database.%s.host is needed with database.type %s",
			       section, c->database_type);
	if (s && !s->user)
		return err_set(e, EINVAL, "database.%s.user is needed with database.type %s",
			       section, c->database_type);
	if (s == &c->postgres && s->ca && !strstr("require verify-ca verify-full", s->tls))
		return err_set(e, EINVAL,
			       "database.postgres.sslRootCert checks nothing with sslMode %s: that "
			       "takes require, verify-ca or verify-full",
			       s->tls);
	if (s && !s->cert != !s->key)
		return err_set(e, EINVAL,
			       "database.%s: a certificate needs its key, and the other way round",
			       section);
	if (!db_supports(c->database_type))
		return err_set(e, EINVAL,
			       "database.type: this program was built without %s (cmake "
			       "-DSKIMMER_POSTGRES=ON, -DSKIMMER_MYSQL=ON)",
			       c->database_type);
	return 0;
}

static int check_redis(const struct manager_config *c, struct err *e)
{
	char host[256];
	uint16_t port;

	if (c->redis_master)
		return err_set(e, EINVAL,
			       "database.redis.masterName: sentinels are not asked here; name the "
			       "servers themselves in database.redis.addrs");
	if (c->redis_tls_ca || c->redis_tls_cert || c->redis_tls_key)
		return err_set(
			e, EINVAL,
			"database.redis.tls: Redis is asked without TLS; put stunnel between, "
			"or keep it on a network of its own");
	if (c->redis_user && !c->redis_password)
		return err_set(e, EINVAL, "database.redis.username needs database.redis.password");
	for (size_t i = 0; i < c->redis_addrs.count; i++)
		if (!net_split(c->redis_addrs.items[i], host, sizeof(host), 6379, &port))
			return err_set(e, EINVAL, "database.redis.addrs: %s is not host:port",
				       c->redis_addrs.items[i]);
	return 0;
}

static int check_links(const struct manager_config *c, struct err *e)
{
	int r = rpc_tls_check_server(&c->grpc_tls, "server.grpc.tls", e);

	if (r == 0)
		r = rpc_tls_check_client(&c->scheduler_tls, "scheduler.tls", e);
	return r < 0 ? r : rpc_tls_check_client(&c->peer_tls, "peer.tls", e);
}

static int check_tls(const struct manager_config *c, struct err *e)
{
	struct door_tls *tls = NULL;

	if (!c->rest_tls_cert != !c->rest_tls_key)
		return err_set(e, EINVAL, "server.rest.tls needs both cert and key");
	if (c->rest_tls_cert && door_tls_new(c->rest_tls_cert, c->rest_tls_key, &tls, e) < 0)
		return err_wrap(e, "server.rest.tls");
	door_tls_free(tls);
	return check_links(c, e);
}

int manager_config_check(const void *config, struct err *e)
{
	const struct manager_config *c = config;
	uint16_t pprof_port;
	char host[256];
	uint16_t port;
	int r;

	if (c->rest_addr[0] != ':' && !net_split(c->rest_addr, host, sizeof(host), 8080, &port))
		return err_set(e, EINVAL, "server.rest.addr: %s is not ip:port", c->rest_addr);
	r = check_tls(c, e);
	if (r < 0)
		return r;
	if (c->jwt_key && strlen(c->jwt_key) < JWT_KEY_MIN)
		return err_set(e, EINVAL, "auth.jwt.key must have at least %d characters",
			       JWT_KEY_MIN);
	r = check_redis(c, e);
	if (r == 0)
		r = check_database(c, e);
	if (r == 0)
		r = profile_port_parse(c->pprof_port, &pprof_port, e);
	return r < 0 ? r : trace_config_check(&c->tracing, e);
}

struct db_config manager_config_database(const struct manager_config *c)
{
	const struct manager_server *s = server_of(c);

	if (!s)
		return (struct db_config){
			.type = c->database_type, .path = c->database_path, .migrate = true};
	return (struct db_config){
		.type = c->database_type,
		.host = s->host,
		.port = s->port,
		.user = s->user,
		.password = s->password,
		.name = s->name,
		.tls = s->tls,
		.tls_ca = s->ca,
		.tls_cert = s->cert,
		.tls_key = s->key,
		.tls_insecure = c->mysql_insecure,
		.migrate = s->migrate,
	};
}

char *manager_config_key_file(const struct manager_config *c)
{
	if (c->key_file)
		return mem_strdup(c->key_file);
	return server_of(c) ? mem_strdup(MANAGER_KEY_FILE) : mem_printf("%s.key", c->database_path);
}
