/* Spans go out by gRPC, wrapped as OTLP has them, and what the configuration may not say is told.
 * HTTP is shown by integration/55_traces.py. */
#include "proto/trace_export.h"

#include "base/mem.h"
#include "base/trace.h"
#include "rpc_fixture.h"

#include <errno.h>
#include <otlp_trace_v1.pb-c.h>

typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest request_message;
typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceResponse answer_message;

struct collector {
	struct lock lock; /* all below */
	struct cond got;
	struct buf spans;
};

static void on_export(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const request_message *rq = (const void *)req;
	answer_message answer =
		OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__EXPORT_TRACE_SERVICE_RESPONSE__INIT;
	struct collector *c = arg;

	lock_take(&c->lock);
	for (size_t i = 0; i < rq->n_resource_spans; i++)
		buf_append(&c->spans, rq->resource_spans[i].data, rq->resource_spans[i].len);
	cond_wake_all(&c->got);
	lock_drop(&c->lock);
	rpc_call_reply(call, &answer.base);
}

static const struct rpc_method export_methods[] = {
	{.path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
	 .request =
		 &opentelemetry__proto__collector__trace__v1__export_trace_service_request__descriptor,
	 .message = on_export},
	{.path = NULL},
};

static bool holds(const struct buf *b, const char *text)
{
	return b->data && memmem(b->data, b->len, text, strlen(text));
}

static void spans_go_out_by_grpc(void **state)
{
	struct collector c = {0};
	const char *const listen[] = {"127.0.0.1:0", NULL};
	const struct rpc_method *const services[] = {export_methods, NULL};
	void *const args[] = {&c};
	const struct rpc_server_config rc = {
		.listen = listen, .services = services, .service_args = args};
	struct rpc_server *server;
	char endpoint[64];
	struct trace_config config = {
		.protocol = (char *)"grpc", .endpoint = endpoint, .sample_percent = 100};
	const char *const attributes[] = {"host.ip", "10.0.0.1", "host.idc", NULL, NULL};
	struct span s = {0};
	struct err e;

	(void)state;
	lock_init(&c.lock, 5);
	cond_init(&c.got);
	assert_int_equal(rpc_server_new(&rc, &server, &e), 0);
	snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%u", rpc_server_port(server));
	trace_export_start(&config, "the-service", attributes);
	assert_true(trace_is_on());
	span_begin(&s, "the-span", SPAN_SERVER, NULL);
	span_end(&s);
	/* What is queued goes out before it stops. */
	trace_export_stop();
	assert_false(trace_is_on());
	lock_take(&c.lock);
	assert_true(holds(&c.spans, "the-span"));
	assert_true(holds(&c.spans, "the-service"));
	assert_true(holds(&c.spans, "10.0.0.1"));
	assert_false(holds(&c.spans, "host.idc"));
	lock_drop(&c.lock);
	rpc_server_free(server, 0);
	buf_release(&c.spans);
	cond_release(&c.got);
	lock_release(&c.lock);
}

static void halves_of_a_configuration_are_refused(void **state)
{
	/* A value that would begin a second header. */
	struct trace_config two = {.protocol = (char *)"http", .endpoint = (char *)"a:1"};
	const struct {
		struct trace_config config;
		const char *word;
	} bad[] = {
		{{.protocol = (char *)"http"}, "needs tracing.endpoint"},
		{{.endpoint = (char *)"a:1"}, "needs tracing.protocol"},
		{{.protocol = (char *)"http", .endpoint = (char *)"http://a:1"}, "host:port"},
		{{.protocol = (char *)"http", .endpoint = (char *)"a:1", .path = (char *)"v1"},
		 "/"},
		{{.protocol = (char *)"http",
		  .endpoint = (char *)"a:1",
		  .ca_cert = (char *)"/dev/null"},
		 "https"},
		{{.protocol = (char *)"https",
		  .endpoint = (char *)"a:1",
		  .ca_cert = (char *)"/nowhere/ca.pem"},
		 "/nowhere/ca.pem"},
	};
	const char *const headers[][2] = {{"a b", "x"}, {"", "x"}, {"a", "x\r\nb: y"}};
	const struct trace_config none = {.path = (char *)"/v1/traces"};
	struct err e;

	(void)state;
	for (size_t i = 0; i < array_len(bad); i++) {
		assert_int_equal(trace_config_check(&bad[i].config, &e), -EINVAL);
		assert_non_null(strstr(e.text, bad[i].word));
	}
	two.headers.count = 1;
	two.headers.items = mem_array(1, sizeof(*two.headers.items));
	for (size_t i = 0; i < array_len(headers); i++) {
		two.headers.items[0].name = (char *)headers[i][0];
		two.headers.items[0].value = (char *)headers[i][1];
		assert_int_equal(trace_config_check(&two, &e), -EINVAL);
		assert_null(strchr(e.text, '\n'));
	}
	two.headers.items[0].name = (char *)"x-api-key";
	assert_int_equal(trace_config_check(&two, &e), -EINVAL);
	two.headers.items[0].value = (char *)"Basic eDp5";
	assert_int_equal(trace_config_check(&two, &e), 0);
	free(two.headers.items);
	assert_int_equal(trace_config_check(&none, &e), 0);
	trace_export_start(&none, "x", NULL);
	assert_false(trace_is_on());
	trace_export_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spans_go_out_by_grpc),
		cmocka_unit_test(halves_of_a_configuration_are_refused),
	};

	return cmocka_run_group_tests(tests, rpc_group_setup, rpc_group_teardown);
}
