/* Who else there must be: the daemon, schedulers, the manager, registries. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/net.h"
#include "base/units.h"
#include "contrib/dfctl/ask.h"
#include "contrib/dfctl/look.h"

#include <errno.h>
#include <string.h>

#define CLOCK_OFF_MS   60000
#define SCHEDULER_PORT 8002
#define MANAGER_PORT   65003

/* ---- the daemon */

void look_daemon(struct look *l)
{
	const char *socket = l->settings.config.download.socket_path;
	char *target cleanup(free_at) = mem_printf("unix:%s", socket);
	struct err e = {0};
	int r = ask_pid(socket, &l->daemon, &e);

	if (r == 0)
		r = ask_health(target, NULL, l->timeout_ms, &e);
	if (r < 0) {
		l->daemon = 0;
		findings_add(l->out, FINDING_ERROR, "daemon", "SK200",
			     mem_printf("nobody answers at %s (%s)", socket, e.text), NULL);
		return;
	}
	findings_good(l->out, "daemon", "process %d answers at %s", (int)l->daemon, socket);
}

/* ---- schedulers and manager */

static char *with_port(const char *text, uint16_t fallback)
{
	const char *rest = strstr(text, "://");
	char host[256], target[264];
	uint16_t port;

	text = rest ? rest + 3 : text;
	if (!net_split(text, host, sizeof(host), fallback, &port))
		return mem_strdup(text);
	net_join(host, port, target, sizeof(target));
	return mem_strdup(target);
}

static void untrusted(struct look *l, const char *check, const char *who, const char *key,
		      const char *ca, const struct err *e)
{
	char *where cleanup(free_at) = settings_origin(&l->settings, key);

	findings_add(
		l->out, FINDING_ERROR, check, "SK230",
		mem_printf("%s: %s (asked with %s)", who, e->text, ca ? ca : "the system's roots"),
		mem_printf("set %s (%s) to the file of the CA that signed it, or renew the "
			   "certificate",
			   key, where));
}

/* A gRPC server, and where the configuration says how it is asked. */
struct server {
	const char *check, *code; /* of a finding that it does not answer */
	const char *unit, *key;	  /* "skimmer-manager", "manager.addr" */
	const char *target;
	const struct rpc_tls *tls;
	const char *tls_keys; /* "manager": manager.caCert and so on */
};

/* What a greeting by TLS alone says; gRPC does not say all of it. */
static int greet(const struct look *l, const struct server *s, struct told *told, struct err *e)
{
	const char *name = s->tls->server_name;
	char *url cleanup(free_at) = mem_printf("https://%s/", name ? name : s->target);
	const struct ask ask = {.url = url,
				.connect_to = name ? s->target : NULL,
				.ca = s->tls->ca,
				.cert = s->tls->cert,
				.key = s->tls->key,
				.any_certificate = !s->tls->ca,
				.connect_only = true,
				.timeout_ms = l->timeout_ms};

	return ask_http(&ask, told, e);
}

static void disagree(struct look *l, const struct server *s, char *what, const char *fix)
{
	char *key cleanup(free_at) = mem_printf("%s.caCert", s->tls_keys);
	char *where cleanup(free_at) = settings_origin(&l->settings, key);

	findings_add(l->out, FINDING_ERROR, s->check, "SK235", what,
		     mem_printf("%s %s.caCert, %s.cert and %s.key (%s)", fix, s->tls_keys,
				s->tls_keys, s->tls_keys, where));
}

/* Whether TLS is why it did not answer the question of its health, which ended with why; tells so.
 */
static bool look_tls(struct look *l, const struct server *s, const struct err *why)
{
	struct told told cleanup(told_release) = {0};
	char *key cleanup(free_at) = mem_printf("%s.caCert", s->tls_keys);
	struct err e = {0};
	bool greeted = greet(l, s, &told, &e) == 0;

	if (s->tls->ca && told.untrusted)
		untrusted(l, s->check, s->target, key, s->tls->ca, &e);
	else if (s->tls->ca && told.not_tls)
		disagree(l, s, mem_printf("%s does not speak TLS", s->target),
			 "give that server a certificate, or take away");
	else if (!s->tls->ca && greeted)
		disagree(l, s, mem_printf("%s speaks TLS alone", s->target), "set");
	else if (greeted && strstr(why->text, "certificate")) /* rpc_channel_words() */
		disagree(l, s, mem_printf("%s ends the connection (%s)", s->target, why->text),
			 "the certificate must be signed by the CA that the server was told: "
			 "correct");
	else
		return false;
	return true;
}

static void look_server(struct look *l, const struct server *s)
{
	char *where cleanup(free_at) = settings_origin(&l->settings, s->key);
	struct err e = {0};

	if (ask_health(s->target, s->tls, l->timeout_ms, &e) == 0) {
		findings_good(l->out, s->check, "%s answers", s->target);
		return;
	}
	if (look_tls(l, s, &e))
		return;
	findings_add(l->out, FINDING_ERROR, s->check, s->code,
		     mem_printf("%s does not answer (%s)", s->target, e.text),
		     mem_printf("start it there (systemctl start %s), let its port through the "
				"firewall, or correct %s (%s)",
				s->unit, s->key, where));
}

static void look_scheduler(struct look *l, const char *addr)
{
	char *target cleanup(free_at) = with_port(addr, SCHEDULER_PORT);

	look_server(l, &(struct server){.check = "scheduler",
					.code = "SK210",
					.unit = "skimmer-scheduler",
					.key = "scheduler.addrs",
					.target = target,
					.tls = &l->settings.config.scheduler.tls,
					.tls_keys = "scheduler"});
}

/* What the daemon itself says of the schedulers that a manager named. */
static void look_alive(struct look *l)
{
	char *url cleanup(free_at) =
		mem_printf("http://127.0.0.1:%u/metrics", l->settings.config.metrics.port);
	struct told told cleanup(told_release) = {0};
	struct err e = {0};
	const char *at = NULL;

	if (l->daemon &&
	    ask_http(&(struct ask){.url = url, .timeout_ms = l->timeout_ms}, &told, &e) == 0)
		at = told.body.data ? strstr(told.body.data, "\nskimmer_schedulers_alive ") : NULL;
	if (!at)
		return;
	if (atoi(at + strlen("\nskimmer_schedulers_alive ")) > 0)
		findings_good(l->out, "scheduler", "the manager named some that answer");
	else
		findings_add(
			l->out, FINDING_ERROR, "scheduler", "SK210",
			mem_strdup("none of those that the manager named answers the daemon"),
			mem_strdup("the manager's console shows the schedulers of the cluster; "
				   "start one (systemctl start skimmer-scheduler), let its port "
				   "through the firewall, or, if they want TLS, set "
				   "scheduler.caCert, cert and key: the daemon's log says why"));
}

/* A daemon whose port wants certificates is one of many: theirs do, too. */
static void look_links(struct look *l)
{
	const struct daemon_config *c = &l->settings.config;
	char *where cleanup(free_at) = settings_origin(&l->settings, "upload.client.caCert");

	if (rpc_tls_is_off(&c->upload.server_tls) == rpc_tls_is_off(&c->upload.client_tls))
		return;
	findings_add(l->out, FINDING_WARNING, "peers", "SK235",
		     mem_strdup(rpc_tls_is_off(&c->upload.client_tls)
					? "this host's port for peers has TLS, its links to the "
					  "others have none"
					: "this host's links to other peers have TLS, its own port "
					  "has none"),
		     mem_printf("set caCert, cert and key below both upload.server and "
				"upload.client (%s)",
				where));
}

void look_schedulers(struct look *l)
{
	const struct daemon_config *c = &l->settings.config;

	look_links(l);
	for (size_t i = 0; !c->manager.addr && i < c->scheduler.addrs.count; i++)
		look_scheduler(l, c->scheduler.addrs.items[i]);
	if (c->manager.addr)
		look_alive(l);
	else if (c->scheduler.addrs.count == 0)
		findings_add(l->out, FINDING_WARNING, "scheduler", "SK211",
			     mem_printf("%s names neither",
					l->settings.file ? l->settings.file : "the default"),
			     NULL);
}

void look_manager(struct look *l)
{
	const struct daemon_config *c = &l->settings.config;
	char *target cleanup(free_at) = NULL;

	if (!c->manager.addr)
		return;
	target = with_port(c->manager.addr, MANAGER_PORT);
	look_server(l, &(struct server){.check = "manager",
					.code = "SK220",
					.unit = "skimmer-manager",
					.key = "manager.addr",
					.target = target,
					.tls = &c->manager.tls,
					.tls_keys = "manager"});
}

/* ---- registries */

static void look_time(struct look *l, const char *url, int64_t date_ms)
{
	int64_t off = clock_wall_ms() - date_ms;
	char text[32];

	units_print_ms(off < 0 ? -off : off, text, sizeof(text));
	if (!date_ms)
		return;
	if (off > -CLOCK_OFF_MS && off < CLOCK_OFF_MS) {
		findings_good(l->out, "clock", "agrees with %s", url);
		return;
	}
	findings_add(
		l->out, FINDING_ERROR, "clock", "SK101",
		mem_printf("this host is %s %s of %s", text, off > 0 ? "ahead" : "behind", url),
		NULL);
}

static void look_registry(struct look *l, const char *addr, const char *key)
{
	const struct daemon_config *c = &l->settings.config;
	const char *ca = c->backend.ca_cert ? c->backend.ca_cert : c->proxy.mirror_cert;
	bool has_scheme = strstr(addr, "://") != NULL;
	char *url cleanup(free_at) = mem_printf("%s%s/v2/", has_scheme ? "" : "https://", addr);
	struct told told cleanup(told_release) = {0};
	struct err e = {0};
	struct ask ask = {.url = url,
			  .ca = ca,
			  .any_certificate = c->backend.insecure_skip_verify,
			  .timeout_ms = l->timeout_ms};
	char *where cleanup(free_at) = settings_origin(&l->settings, key);

	if (ask_http(&ask, &told, &e) == 0) {
		findings_good(l->out, "registry", "%s answers %d", addr, told.status);
		look_time(l, addr, told.date_ms);
	} else if (told.untrusted) {
		untrusted(l, "registry", addr, "backend.caCert", ca, &e);
	} else {
		findings_add(l->out, FINDING_ERROR, "registry", "SK231",
			     mem_printf("%s: %s", addr, e.text),
			     mem_printf("correct %s (%s), or repair the way to it", key, where));
	}
}

void look_registries(struct look *l)
{
	const struct daemon_config *c = &l->settings.config;
	const struct config_registry *list = c->backend.registries.items;

	/* The default is somebody else's registry, which a closed network does not reach. */
	if (settings_gives(&l->settings, "proxy.registryMirror.addr"))
		look_registry(l, c->proxy.mirror_addr, "proxy.registryMirror.addr");
	for (size_t i = 0; i < c->backend.registries.count; i++)
		look_registry(l, list[i].addr, "backend.registries");
	for (size_t i = 0; l->registries && i < l->registries->count; i++)
		look_registry(l, l->registries->items[i], "--registry");
}
