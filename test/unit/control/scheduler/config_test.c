/* The keys of Dragonfly v2.5.1's scheduler.yaml, and of its compose file, are all taken. */
#include "control/scheduler/config.h"

#include "test/unit/unit.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>

static const char dragonflys[] =
	"server: {advertiseIP: 10.0.0.1, advertisePort: 8002, listenIP: 0.0.0.0, port: 8002,\n"
	"  host: foo, requestRateLimit: 100, logDir: l, logLevel: debug, logMaxSize: 512,\n"
	"  logMaxAge: 5, logMaxBackups: 3, pluginDir: p, dataDir: d}\n"
	"scheduler:\n"
	"  algorithm: default\n"
	"  backToSourceCount: 3\n"
	"  retryBackToSourceLimit: 2\n"
	"  retryLimit: 10\n"
	"  retryInterval: 10s\n"
	"  gc: {pieceDownloadTimeout: 5s, peerGCInterval: 10s, peerTTL: 60s, taskGCInterval: 30s,\n"
	"    hostGCInterval: 1m, hostTTL: 1m}\n"
	"database: {redis: {addrs: [foo, bar], masterName: baz, brokerDB: 1, backendDB: 2}}\n"
	"dynConfig: {refreshInterval: 10s}\n"
	"host: {idc: foo, location: baz}\n"
	"manager: {addr: '10.0.0.2:65003', schedulerClusterID: 1, keepAlive: {interval: 5s}}\n"
	"seedPeer: {enable: true, taskDownloadTimeout: 12h}\n"
	"job: {enable: true, globalWorkerNum: 1, schedulerWorkerNum: 1, localWorkerNum: 5}\n"
	"storage: {maxSize: 100, maxBackups: 10, bufferSize: 100}\n"
	"metrics: {enable: false, addr: ':8000', enableHost: true}\n"
	"network: {enableIPv6: true}\n"
	"console: false\n"
	"verbose: true\n" /* v2.1 */
	"pprofPort: -1\n";

static int parse(const char *text, struct err *e)
{
	struct scheduler_config c = {0};
	int r = config_parse(scheduler_config_keys, "s", text, strlen(text), &c, e);

	config_release(scheduler_config_keys, &c);
	return r;
}

static void a_file_of_dragonflys_is_taken(void **state)
{
	struct err e = {0};

	(void)state;
	if (parse(dragonflys, &e) < 0)
		fail_msg("%s", e.text);
}

/* To take a key that asks for TLS and then to speak without it would be worse than to refuse. */
static void tls_is_taken_with_its_files_or_refused(void **state)
{
	static const char *const links[] = {"server", "manager", "seedPeer", "peer"};

	(void)state;
	for (size_t i = 0; i < array_len(links); i++) {
		cleanup(free_at) char *text = mem_printf(
			"%s: {tls: {caCert: /no/ca, cert: /no/c, key: /no/k}}\n", links[i]);
		cleanup(free_at) char *key = mem_printf("%s.tls.caCert: open /no/ca", links[i]);
		struct scheduler_config c = {0};
		struct err e = {0};

		assert_int_equal(
			config_parse(scheduler_config_keys, "s", text, strlen(text), &c, &e), 0);
		assert_int_equal(scheduler_config_check(&c, &e), -ENOENT);
		assert_non_null(strstr(e.text, key));
		config_release(scheduler_config_keys, &c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_of_dragonflys_is_taken),
		cmocka_unit_test(tls_is_taken_with_its_files_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
