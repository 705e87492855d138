/*
 * Sends the spans of base/trace.h to a collector: OTLP over HTTP (protobuf) or gRPC, one thread of
 * its own, in batches. A collector that cannot be reached costs nothing but its spans: a batch is
 * tried three times, and what comes meanwhile waits in the bounded queue.
 * Source: OpenTelemetry Protocol specification 1.x, sections OTLP/gRPC and OTLP/HTTP.
 */
#ifndef PROTO_TRACE_EXPORT_H
#define PROTO_TRACE_EXPORT_H

#include "base/config.h"
#include "base/err.h"

/* The part of a program's configuration; Dragonfly's keys. */
struct trace_config {
	char *protocol, *endpoint, *path, *service_name, *ca_cert;
	struct config_pairs headers;
	uint64_t sample_percent;
};

/* The keys of a struct trace_config that is field of the program's struct. */
#define TRACE_CONFIG_AT(program, member, of)                                                       \
	offsetof(program, member) + offsetof(struct trace_config, of)
#define TRACE_CONFIG_KEYS(program, member)                                                         \
	{.path = "tracing.protocol",                                                               \
	 .type = CONFIG_ENUM,                                                                      \
	 .offset = TRACE_CONFIG_AT(program, member, protocol),                                     \
	 .words = "http|https|grpc",                                                               \
	 .help = "How spans are sent to a collector: OTLP over HTTP (protobuf), the same over "    \
		 "TLS, or gRPC without TLS. Default: nothing is traced."},                         \
		{.path = "tracing.endpoint",                                                       \
		 .type = CONFIG_STRING,                                                            \
		 .offset = TRACE_CONFIG_AT(program, member, endpoint),                             \
		 .help = "host:port of the collector; Jaeger's are 4318 for http, 4317 for grpc. " \
			 "Needs tracing.protocol."},                                               \
		{.path = "tracing.path",                                                           \
		 .type = CONFIG_STRING,                                                            \
		 .offset = TRACE_CONFIG_AT(program, member, path),                                 \
		 .fallback = "/v1/traces",                                                         \
		 .help = "Path of the collector's URL (http and https)."},                         \
		{.path = "tracing.headers",                                                        \
		 .type = CONFIG_MAP,                                                               \
		 .offset = TRACE_CONFIG_AT(program, member, headers),                              \
		 .help = "Headers sent along (http and https), such as a collector's token."},     \
		{.path = "tracing.caCert",                                                         \
		 .type = CONFIG_STRING,                                                            \
		 .offset = TRACE_CONFIG_AT(program, member, ca_cert),                              \
		 .help = "PEM file of the roots that the collector's certificate is checked "      \
			 "against (https). Default: the system's."},                               \
		{.path = "tracing.serviceName",                                                    \
		 .type = CONFIG_STRING,                                                            \
		 .offset = TRACE_CONFIG_AT(program, member, service_name),                         \
		 .aliases = "tracing.service-name",                                                \
		 .help = "service.name of the spans. Default: dragonfly-scheduler, "               \
			 "dragonfly-manager, and for a daemon dfdaemon-<its address>."},           \
	{                                                                                          \
		.path = "tracing.samplePercent", .type = CONFIG_U64,                               \
		.offset = TRACE_CONFIG_AT(program, member, sample_percent), .fallback = "100",     \
		.max = 100,                                                                        \
		.help = "Of the traces that begin here so many percent are recorded; requests "    \
			"that bring a traceparent are as that says."                               \
	}

/* For a program's check of its configuration. */
must_check int trace_config_check(const struct trace_config *c, struct err *e);

/* What all spans of this process have in common: service.name (used if the configuration has
 * none), then pairs of key and value ("host.ip", "10.0.0.1"), ended by NULL; a NULL value is left
 * out. Copied. Does nothing if tracing is off. */
void trace_export_start(const struct trace_config *c, const char *service_name,
			const char *const *attributes);
/* Sends what is queued, at most some 2 s. Fine if not started. */
void trace_export_stop(void);

#endif
