/* One thread: takes what is queued, wraps it, sends it. */
#include "proto/trace_export.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/protobuf.h"
#include "base/trace.h"
#include "proto/rpc.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <otlp_trace_v1.pb-c.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define SPANS_OF_BATCH	 512
#define INTERVAL_MS	 1000
#define SEND_TIMEOUT_MS	 5000
#define TRIES_MAX	 3
#define PAUSE_MS	 500
#define LAST_TIMEOUT_MS	 2000 /* when the program stops */
#define PAUSE_STEP_MS	 50
#define GRPC_EXPORT_PATH "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

/* Field numbers of opentelemetry-proto. */
enum { REQUEST_RESOURCE_SPANS = 1 };
enum { RESOURCE_SPANS_RESOURCE = 1, RESOURCE_SPANS_SCOPE_SPANS = 2 };
enum { RESOURCE_ATTRIBUTES = 1 };
enum { SCOPE_SPANS_SCOPE = 1, SCOPE_NAME = 1, SCOPE_VERSION = 2 };
enum { PAIR_KEY = 1, PAIR_VALUE = 2, VALUE_TEXT = 1 };

static struct exporter {
	bool running, stopping; /* stopping: atomic */
	pthread_t thread;
	struct buf resource; /* Resource, packed */
	char *url;	     /* NULL: gRPC */
	struct curl_slist *headers;
	struct rpc_channel *channel; /* NULL: HTTP */
	CURL *curl;
	bool failing; /* the last batch could not be sent: told once */
} exporter;

/* By RFC 9110, section 5. */
static bool is_header(const char *name, const char *value)
{
	static const char signs[] = "!#$%&'*+-.^_`|~";

	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr(signs, *p))
			return false;
	for (const char *p = value; *p; p++)
		if (iscntrl((unsigned char)*p) && *p != '\t')
			return false;
	return *name != '\0';
}

int trace_config_check(const struct trace_config *c, struct err *e)
{
	if (c->protocol && !c->endpoint)
		return err_set(e, EINVAL, "tracing.protocol needs tracing.endpoint (host:port)");
	if (c->endpoint && !c->protocol)
		return err_set(e, EINVAL, "tracing.endpoint needs tracing.protocol (http)");
	if (c->endpoint && strstr(c->endpoint, "://"))
		return err_set(e, EINVAL, "tracing.endpoint is host:port, without a scheme");
	if (c->path && c->path[0] != '/')
		return err_set(e, EINVAL, "tracing.path begins with /");
	if (c->ca_cert && (!c->protocol || strcmp(c->protocol, "https") != 0))
		return err_set(e, EINVAL, "tracing.caCert needs tracing.protocol https");
	if (c->ca_cert && access(c->ca_cert, R_OK) < 0)
		return err_set(e, EINVAL, "tracing.caCert: %s: %s", c->ca_cert, strerror(errno));
	for (size_t i = 0; i < c->headers.count; i++)
		if (!is_header(c->headers.items[i].name, c->headers.items[i].value))
			return err_set(e, EINVAL, "tracing.headers: %s is no header",
				       c->headers.items[i].name);
	return 0;
}

/* ---- wrapping */

static void put_attribute(struct buf *resource, const char *key, const char *value)
{
	cleanup(buf_release) struct buf any = {0}, pair = {0};

	protobuf_put_text(&any, VALUE_TEXT, value);
	protobuf_put_text(&pair, PAIR_KEY, key);
	protobuf_put_bytes(&pair, PAIR_VALUE, any.data, any.len);
	protobuf_put_bytes(resource, RESOURCE_ATTRIBUTES, pair.data, pair.len);
}

/* ResourceSpans around spans as trace_take() gives them. */
static void wrap(const struct buf *spans, struct buf *out)
{
	cleanup(buf_release) struct buf scope = {0}, scope_spans = {0};

	protobuf_put_text(&scope, SCOPE_NAME, "skimmer");
	protobuf_put_text(&scope, SCOPE_VERSION, SKIMMER_VERSION);
	protobuf_put_bytes(&scope_spans, SCOPE_SPANS_SCOPE, scope.data, scope.len);
	buf_append(&scope_spans, spans->data, spans->len);
	protobuf_put_bytes(out, RESOURCE_SPANS_RESOURCE, exporter.resource.data,
			   exporter.resource.len);
	protobuf_put_bytes(out, RESOURCE_SPANS_SCOPE_SPANS, scope_spans.data, scope_spans.len);
}

/* ---- sending */

static size_t swallow(char *data, size_t size, size_t count, void *arg)
{
	(void)data, (void)arg;
	return size * count;
}

/* *again: another try may help. */
static int send_http(const struct buf *resource_spans, long timeout_ms, bool *again, struct err *e)
{
	cleanup(buf_release) struct buf body = {0};
	CURLcode code;
	long status;

	protobuf_put_bytes(&body, REQUEST_RESOURCE_SPANS, resource_spans->data,
			   resource_spans->len);
	curl_easy_setopt(exporter.curl, CURLOPT_POSTFIELDS, body.data);
	curl_easy_setopt(exporter.curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
	curl_easy_setopt(exporter.curl, CURLOPT_TIMEOUT_MS, timeout_ms);
	code = curl_easy_perform(exporter.curl);
	*again = true;
	if (code != CURLE_OK)
		return err_set(e, EIO, "%s: %s", exporter.url, curl_easy_strerror(code));
	curl_easy_getinfo(exporter.curl, CURLINFO_RESPONSE_CODE, &status);
	*again = status == 429 || (status >= 502 && status <= 504);
	return status / 100 == 2 ? 0 : err_set(e, EPROTO, "%s answers %ld", exporter.url, status);
}

static int send_grpc(const struct buf *resource_spans, long timeout_ms, bool *again, struct err *e)
{
	Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest rq =
		OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__EXPORT_TRACE_SERVICE_REQUEST__INIT;
	ProtobufCBinaryData one = {resource_spans->len, (uint8_t *)resource_spans->data};
	ProtobufCMessage *answer;
	int r;

	rq.resource_spans = &one;
	rq.n_resource_spans = 1;
	r = rpc_unary(
		exporter.channel, GRPC_EXPORT_PATH, &rq.base,
		&opentelemetry__proto__collector__trace__v1__export_trace_service_response__descriptor,
		timeout_ms, &answer, NULL, e);
	*again = r == -EHOSTUNREACH || r == -ETIMEDOUT;
	if (r == 0)
		protobuf_c_message_free_unpacked(answer, NULL);
	return r;
}

/* False: the program stops. */
static bool pause_for(int64_t ms)
{
	for (int64_t until = clock_ms() + ms; clock_ms() < until;) {
		if (__atomic_load_n(&exporter.stopping, __ATOMIC_RELAXED))
			return false;
		poll(NULL, 0, PAUSE_STEP_MS);
	}
	return true;
}

static int send_batch(const struct buf *resource_spans, struct err *e)
{
	bool again = true;
	int r = -EIO;

	for (int try = 1; again && try <= TRIES_MAX; try++) {
		bool last = __atomic_load_n(&exporter.stopping, __ATOMIC_RELAXED);
		long timeout_ms = last ? LAST_TIMEOUT_MS : SEND_TIMEOUT_MS;

		r = exporter.url ? send_http(resource_spans, timeout_ms, &again, e)
				 : send_grpc(resource_spans, timeout_ms, &again, e);
		if (r == 0 || last || !pause_for(PAUSE_MS * try))
			break;
	}
	return r;
}

static void tell(int r, const struct err *e)
{
	if (r < 0 && !exporter.failing)
		log_warn("spans cannot be sent", "why=\"%s\" effect=\"traces are lost\"", e->text);
	else if (r == 0 && exporter.failing)
		log_info("spans are sent again", NULL);
	exporter.failing = r < 0;
}

static void export_once(int64_t wait_ms)
{
	cleanup(buf_release) struct buf spans = {0}, resource_spans = {0};
	unsigned count = trace_take(SPANS_OF_BATCH, wait_ms, &spans);
	struct err e = {0};
	int r;

	if (!count)
		return;
	wrap(&spans, &resource_spans);
	r = send_batch(&resource_spans, &e);
	trace_count(r == 0 ? "sent" : "failed", count);
	tell(r, &e);
}

static void *run(void *arg)
{
	(void)arg;
	pthread_setname_np(pthread_self(), "trace-export");
	while (!__atomic_load_n(&exporter.stopping, __ATOMIC_RELAXED))
		export_once(INTERVAL_MS);
	export_once(0);
	return NULL;
}

/* ---- life */

static void open_http(const struct trace_config *c)
{
	exporter.url = mem_printf("%s://%s%s", c->protocol, c->endpoint, c->path ? c->path : "/");
	exporter.headers = curl_slist_append(NULL, "Content-Type: application/x-protobuf");
	for (size_t i = 0; i < c->headers.count; i++) {
		cleanup(free_at) char *line =
			mem_printf("%s: %s", c->headers.items[i].name, c->headers.items[i].value);

		exporter.headers = curl_slist_append(exporter.headers, line);
	}
	exporter.curl = curl_easy_init();
	curl_easy_setopt(exporter.curl, CURLOPT_URL, exporter.url);
	curl_easy_setopt(exporter.curl, CURLOPT_HTTPHEADER, exporter.headers);
	curl_easy_setopt(exporter.curl, CURLOPT_POST, 1L);
	curl_easy_setopt(exporter.curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(exporter.curl, CURLOPT_PROXY, ""); /* users point http_proxy at us */
	curl_easy_setopt(exporter.curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(exporter.curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (c->ca_cert)
		curl_easy_setopt(exporter.curl, CURLOPT_CAINFO, c->ca_cert);
	curl_easy_setopt(exporter.curl, CURLOPT_WRITEFUNCTION, swallow);
}

void trace_export_start(const struct trace_config *c, const char *service_name,
			const char *const *attributes)
{
	if (!c->protocol || !c->endpoint)
		return;
	exporter = (struct exporter){.running = true};
	put_attribute(&exporter.resource, "service.name",
		      c->service_name ? c->service_name : service_name);
	put_attribute(&exporter.resource, "service.namespace", "dragonfly");
	put_attribute(&exporter.resource, "service.version", SKIMMER_VERSION);
	for (; attributes[0]; attributes += 2)
		if (attributes[1])
			put_attribute(&exporter.resource, attributes[0], attributes[1]);
	if (strcmp(c->protocol, "grpc") == 0)
		exporter.channel = rpc_channel_new(c->endpoint, NULL);
	else
		open_http(c);
	trace_start((unsigned)c->sample_percent * 10000);
	if (pthread_create(&exporter.thread, NULL, run, NULL) != 0)
		abort();
}

void trace_export_stop(void)
{
	if (!exporter.running)
		return;
	__atomic_store_n(&exporter.stopping, true, __ATOMIC_RELAXED);
	trace_wake();
	pthread_join(exporter.thread, NULL);
	trace_stop();
	rpc_channel_free(exporter.channel);
	if (exporter.curl)
		curl_easy_cleanup(exporter.curl);
	curl_slist_free_all(exporter.headers);
	free(exporter.url);
	buf_release(&exporter.resource);
	exporter = (struct exporter){0};
}
