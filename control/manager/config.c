/* The table of the manager's keys. */
#include "control/manager/config.h"

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
		 "header. "
		 "Default: none but the manager's own."},
	{.path = "server.rest.tls", .type = CONFIG_IGNORED},
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
	 .words = "sqlite",
	 .help = "Kind of database."},
	{.path = "database.sqlite.path",
	 .type = CONFIG_STRING,
	 .offset = AT(database_path),
	 .fallback = "/var/lib/dragonfly/manager.db",
	 .help = "File of the embedded database."},
	{.path = "database.redis", .type = CONFIG_IGNORED},
	{.path = "auth.keyFile",
	 .type = CONFIG_STRING,
	 .offset = AT(key_file),
	 .help = "File with the key that seals secrets in the database, made at the first start. "
		 "Keep it with every backup of the database, and not in the same place. Default: "
		 "the database's path and `.key`."},
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
	{.path = "cache", .type = CONFIG_IGNORED},
	{.path = "job", .type = CONFIG_IGNORED},
	{.path = "metrics", .type = CONFIG_IGNORED},
	{.path = "tracing", .type = CONFIG_IGNORED},
	{.path = "network", .type = CONFIG_IGNORED},
	{.path = "console", .type = CONFIG_IGNORED},
	{.path = "pprofPort", .type = CONFIG_IGNORED},
	{.path = NULL},
};

int manager_config_check(const void *config, struct err *e)
{
	const struct manager_config *c = config;
	char host[256];
	uint16_t port;

	if (c->rest_addr[0] != ':' && !net_split(c->rest_addr, host, sizeof(host), 8080, &port))
		return err_set(e, EINVAL, "server.rest.addr: %s is not ip:port", c->rest_addr);
	if (c->jwt_key && strlen(c->jwt_key) < JWT_KEY_MIN)
		return err_set(e, EINVAL, "auth.jwt.key must have at least %d characters",
			       JWT_KEY_MIN);
	return 0;
}

char *manager_config_key_file(const struct manager_config *c)
{
	return c->key_file ? mem_strdup(c->key_file) : mem_printf("%s.key", c->database_path);
}
