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
		r = ask_health(target, NULL, NULL, NULL, l->timeout_ms, &e);
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
	char host[256];
	uint16_t port;

	text = rest ? rest + 3 : text;
	if (!net_split(text, host, sizeof(host), fallback, &port))
		return mem_strdup(text);
	return mem_printf(net_ip_is_v6(host) ? "[%s]:%u" : "%s:%u", host, port);
}

static void look_scheduler(struct look *l, const char *addr)
{
	char *target cleanup(free_at) = with_port(addr, SCHEDULER_PORT);
	char *where cleanup(free_at) = settings_origin(&l->settings, "scheduler.addrs");
	struct err e = {0};

	if (ask_health(target, NULL, NULL, NULL, l->timeout_ms, &e) == 0) {
		findings_good(l->out, "scheduler", "%s answers", target);
		return;
	}
	findings_add(l->out, FINDING_ERROR, "scheduler", "SK210",
		     mem_printf("%s does not answer (%s)", target, e.text),
		     mem_printf("start it there (systemctl start skimmer-scheduler), let its port "
				"through the firewall, or correct scheduler.addrs (%s)",
				where));
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
				   "start one (systemctl start skimmer-scheduler), or let its "
				   "port through the firewall"));
}

void look_schedulers(struct look *l)
{
	const struct daemon_config *c = &l->settings.config;

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

void look_manager(struct look *l)
{
	const struct daemon_config *c = &l->settings.config;
	struct told told cleanup(told_release) = {0};
	struct err e = {0};

	if (!c->manager.addr)
		return;
	char *target cleanup(free_at) = with_port(c->manager.addr, MANAGER_PORT);
	char *url cleanup(free_at) = mem_printf("https://%s/", target);
	struct ask ask = {.url = url,
			  .ca = c->manager.ca_cert,
			  .cert = c->manager.cert,
			  .key = c->manager.key,
			  .connect_only = true,
			  .timeout_ms = l->timeout_ms};

	/* gRPC does not say why a certificate is no good; a greeting by TLS alone does. */
	if (c->manager.ca_cert && ask_http(&ask, &told, &e) < 0 && told.untrusted) {
		untrusted(l, "manager", target, "manager.caCert", c->manager.ca_cert, &e);
		return;
	}
	if (ask_health(target, c->manager.ca_cert, c->manager.cert, c->manager.key, l->timeout_ms,
		       &e) == 0) {
		findings_good(l->out, "manager", "%s answers", target);
		return;
	}
	char *where cleanup(free_at) = settings_origin(&l->settings, "manager.addr");

	findings_add(l->out, FINDING_ERROR, "manager", "SK220",
		     mem_printf("%s does not answer (%s)", target, e.text),
		     mem_printf("start it there (systemctl start skimmer-manager), let its port "
				"through the firewall, or correct manager.addr (%s)",
				where));
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
