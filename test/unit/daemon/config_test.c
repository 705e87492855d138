/* The keys that Dragonfly's own dfdaemon.yaml may hold (client v1.5.1, and what the compose files
 * of Dragonfly v2.5.1 still write) are all taken. */
#include "daemon/config.h"

#include "test/unit/unit.h"

#include "base/config.h"

#include <errno.h>
#include <string.h>

static const char dragonflys[] =
	"console: true\n"
	"log: {level: info}\n"
	"host: {idc: a, location: b, hostname: h, ip: 10.0.0.1, schedulerClusterID: 1}\n"
	"server: {pluginDir: /p, cacheDir: /c, adaptiveRateLimit: {enable: true}}\n"
	"download:\n"
	"  server: {socketPath: /s, requestRateLimit: 400, requestBufferSize: 50}\n"
	"  protocol: tcp\n"
	"  bandwidthLimit: 50GB\n"
	"  backToSourceBandwidthLimit: 50GB\n"
	"  pieceTimeout: 360s\n"
	"  collectedPieceTimeout: 360s\n"
	"  concurrentPieceCount: 8\n"
	"upload:\n"
	"  server: {ip: 10.0.0.1, port: 4000, requestRateLimit: 400, requestBufferSize: 50}\n"
	"  disableShared: false\n"
	"  bandwidthLimit: 50GB\n"
	"manager: {addr: 'http://m:65003'}\n"
	"scheduler: {announceInterval: 300s, scheduleTimeout: 3h, maxScheduleCount: 5,\n"
	"  enableBackToSource: true}\n"
	"seedPeer: {enable: true, type: super}\n"
	"dynconfig: {refreshInterval: 60s}\n"
	"storage:\n"
	"  server: {ip: 10.0.0.1, tcpPort: 4005, tcpFastopen: false, quicPort: 4006}\n"
	"  dir: /var/lib/dragonfly\n"
	"  keep: true\n"
	"  writePieceTimeout: 360s\n"
	"  writeBufferSize: 4096\n"
	"  readBufferSize: 4096\n"
	"  cacheCapacity: 64MiB\n"
	"backend: {requestHeader: {X-A: b}, maxRetries: 1, enableCacheTemporaryRedirect: true,\n"
	"  cacheTemporaryRedirectTTL: 600s, putConcurrentChunkCount: 16, putChunkSize: 8MiB,\n"
	"  putTimeout: 900s, enableHickoryDNS: true}\n"
	"gc:\n"
	"  interval: 900s\n"
	"  policy: {taskTTL: 21600s, persistentTaskTTL: 24h, persistentCacheTaskTTL: 24h,\n"
	"    pageCacheIdleTimeout: 40m, diskThreshold: 0B, distHighThresholdPercent: 80,\n"
	"    diskLowThresholdPercent: 60}\n"
	"proxy:\n"
	"  server: {ip: 10.0.0.1, port: 4001, requestRateLimit: 4000, caCert: '', caKey: '',\n"
	"    basicAuth: {username: admin, password: secret12}}\n"
	"  rules: [{regex: 'blobs/sha256.*', useTLS: false, redirect: '',\n"
	"    filteredQueryParams: [a]}]\n"
	"  registryMirror: {addr: 'https://index.docker.io', cert: '',\n"
	"    enableTaskIDBasedBlobDigest: true}\n"
	"  disableBackToSource: false\n"
	"  prefetch: false\n"
	"  prefetchBandwidthLimit: 10GB\n"
	"  readBufferSize: 4096\n"
	"security: {enable: false}\n"
	"health: {server: {ip: 10.0.0.1, port: 4003}}\n"
	"metrics: {server: {ip: 10.0.0.1, port: 4002}}\n"
	"stats: {server: {ip: 10.0.0.1, port: 4004}}\n"
	"tracing: {protocol: grpc, endpoint: 'a:1', path: /v1/traces, headers: {}}\n"
	"network: {enableIPv6: false}\n";

static void a_file_of_dragonflys_is_taken(void **state)
{
	struct daemon_config c = {0};
	struct err e = {0};
	int r = config_parse(daemon_config_keys, "d", dragonflys, strlen(dragonflys), &c, &e);

	(void)state;
	if (r < 0)
		fail_msg("%s", e.text);
	assert_int_equal(daemon_config_check(&c, &e), 0);
	config_release(daemon_config_keys, &c);
}

/* To take a key that asks for TLS and then to speak without it would be worse than to refuse. */
static void tls_is_taken_with_its_files_or_refused(void **state)
{
	static const struct {
		const char *text, *key;
		int code;
	} cases[] = {
		{"upload: {server: {caCert: /no/ca}}\n", "upload.server: TLS needs both", EINVAL},
		{"upload: {server: {cert: /no/c, key: /no/k}}\n", "upload.server.cert: ", ENOENT},
		{"upload: {client: {caCert: /no/ca}}\n", "upload.client.caCert: ", ENOENT},
		{"scheduler: {caCert: /no/ca}\n", "scheduler.caCert: ", ENOENT},
		{"scheduler: {serverName: a}\n", "scheduler.caCert is missing", EINVAL},
		{"manager: {cert: /no/c, key: /no/k}\n", "manager.caCert is missing", EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct daemon_config c = {0};
		const char *text = cases[i].text;
		struct err e;

		assert_int_equal(config_parse(daemon_config_keys, "d", text, strlen(text), &c, &e),
				 0);
		assert_int_equal(daemon_config_check(&c, &e), -cases[i].code);
		assert_non_null(strstr(e.text, cases[i].key));
		config_release(daemon_config_keys, &c);
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
