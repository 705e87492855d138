/* A table by the method's address that only grows: found without a lock. */
#include "proto/rpc_count.h"

#include "base/metrics.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define METHODS_MAX 256 /* a power of 2; what does not fit is not counted */
#define CODES	    17

struct row {
	const struct rpc_method *method; /* atomic; NULL = free */
	uint64_t started, handled[CODES];
};

static struct row rows[METHODS_MAX];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static const char *const code_names[CODES] = {
	"OK",	    "Canceled",	      "Unknown",	  "InvalidArgument",   "DeadlineExceeded",
	"NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
	"Aborted",  "OutOfRange",     "Unimplemented",	  "Internal",	       "Unavailable",
	"DataLoss", "Unauthenticated"};

static void show_row(const struct row *row)
{
	static const struct metric_family started = {METRIC_COUNTER, "grpc_server_started_total",
						     "Calls that began.",
						     "grpc_type,grpc_service,grpc_method"};
	static const struct metric_family handled = {
		METRIC_COUNTER, "grpc_server_handled_total", "Calls that ended, by how.",
		"grpc_type,grpc_service,grpc_method,grpc_code"};
	const struct rpc_method *m = row->method;
	const char *type = m->client_streams ? "bidi_stream" : "unary";
	char service[128];
	const char *slash = strrchr(m->path, '/');

	snprintf(service, sizeof(service), "%.*s", (int)(slash - m->path - 1), m->path + 1);
	metric_set(metric_get(&started, type, service, slash + 1),
		   (int64_t)__atomic_load_n(&row->started, __ATOMIC_RELAXED));
	for (unsigned i = 0; i < CODES; i++) {
		uint64_t n = __atomic_load_n(&row->handled[i], __ATOMIC_RELAXED);

		if (n || i == RPC_OK)
			metric_set(metric_get(&handled, type, service, slash + 1, code_names[i]),
				   (int64_t)n);
	}
}

static void show(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < METHODS_MAX; i++)
		if (__atomic_load_n(&rows[i].method, __ATOMIC_ACQUIRE))
			show_row(&rows[i]);
}

static void show_from_now_on(void)
{
	metrics_on_print(show, NULL);
}

static struct row *row_of(const struct rpc_method *m, bool make)
{
	size_t at = (size_t)((uintptr_t)m / sizeof(*m));

	for (unsigned i = 0; i < METHODS_MAX; i++, at++) {
		struct row *row = &rows[at % METHODS_MAX];
		const struct rpc_method *there = __atomic_load_n(&row->method, __ATOMIC_ACQUIRE);

		if (!there && make &&
		    __atomic_compare_exchange_n(&row->method, &there, m, false, __ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE))
			return row;
		if (there == m)
			return row;
		if (!there)
			return NULL;
	}
	return NULL;
}

void rpc_count_started(const struct rpc_method *m)
{
	struct row *row = row_of(m, true);

	pthread_once(&once, show_from_now_on);
	if (row)
		__atomic_add_fetch(&row->started, 1, __ATOMIC_RELAXED);
}

void rpc_count_handled(const struct rpc_method *m, enum rpc_code code)
{
	struct row *row = row_of(m, true);

	if (row)
		__atomic_add_fetch(&row->handled[(unsigned)code < CODES ? code : RPC_UNKNOWN], 1,
				   __ATOMIC_RELAXED);
}

struct rpc_tally rpc_tally(const struct rpc_method *m)
{
	const struct row *row = row_of(m, false);
	struct rpc_tally t = {0};

	if (!row)
		return t;
	t.started = __atomic_load_n(&row->started, __ATOMIC_RELAXED);
	t.ok = __atomic_load_n(&row->handled[RPC_OK], __ATOMIC_RELAXED);
	for (unsigned i = 1; i < CODES; i++)
		t.failed += __atomic_load_n(&row->handled[i], __ATOMIC_RELAXED);
	return t;
}
