/*
 * Spans of distributed traces: who asked whom, and where the time went. A span is embedded in its
 * owner and belongs to one thread at a time:
 *
 *	span_begin(&x->span, "schedule", SPAN_INTERNAL, &parent);
 *	span_text(&x->span, "d7y.task.id", id);
 *	span_end(&x->span);
 *
 * An ended span is packed (OTLP's Span message) into one bounded queue, from which the exporter
 * (proto/trace_export.h) takes it; a full queue drops spans and counts them. While tracing is off
 * every function here is one branch that is not taken, and a span is all zero.
 *
 * A trace is sampled as a whole: where it begins, by lot; elsewhere as its beginning says. What is
 * not sampled hands its context on and records nothing.
 *
 * The context travels by hand (trace_context in the owner's struct) and, down a call chain, by
 * trace_within(): it holds for this thread until the end of the block, and is what calls to other
 * programs (proto/rpc.h) carry along and what lines of the log (base/log.h) name.
 *
 * Sources: W3C Trace Context, level 1; opentelemetry-proto, trace.proto and common.proto.
 */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define TRACE_PARENT_LEN 55 /* of a traceparent header */
#define TRACE_ID_AT	 3  /* in it */
#define TRACE_ID_LEN	 32

struct trace_context {
	uint8_t trace_id[16], span_id[8]; /* span_id all 0: there is none */
	bool sampled;
};

enum span_kind { SPAN_INTERNAL = 1, SPAN_SERVER = 2, SPAN_CLIENT = 3 };

struct span {
	struct trace_context context; /* of this span, to be handed on */
	bool recording;
	uint8_t parent[8];
	enum span_kind kind;
	const char *name; /* lives as long as the span */
	int64_t start_us, start_wall_ns;
	struct buf body; /* attributes, links, status: fields of Span */
};

extern bool trace_is_on_; /* atomic */
static inline bool trace_is_on(void)
{
	return __builtin_expect(__atomic_load_n(&trace_is_on_, __ATOMIC_ACQUIRE), false);
}

/* Of 1,000,000 traces that begin here so many are recorded. Before any span. */
void trace_start(unsigned sampled_per_million);
/* From now on nothing is recorded; what is in the queue is thrown away. */
void trace_stop(void);

/* "00-<32 hex>-<16 hex>-<2 hex>"; false, and *out zeroed: NULL, or not that. */
bool trace_context_parse(const char *text, struct trace_context *out);
void trace_context_print(const struct trace_context *c, char text[TRACE_PARENT_LEN + 1]);
static inline bool trace_context_is_set(const struct trace_context *c)
{
	uint64_t id;

	memcpy(&id, c->span_id, sizeof(id));
	return id != 0;
}

/* ---- the thread's */

extern _Thread_local struct trace_context trace_here;

struct trace_scope {
	struct trace_context before;
	bool entered;
};

static inline struct trace_scope trace_scope_enter(const struct trace_context *c)
{
	struct trace_scope scope;

	scope.entered = trace_is_on();
	if (!scope.entered)
		return scope;
	scope.before = trace_here;
	trace_here = *c;
	return scope;
}

static inline void trace_scope_leave(struct trace_scope *scope)
{
	if (scope->entered)
		trace_here = scope->before;
}

#define trace_within_name2(line) trace_within_##line
#define trace_within_name(line)	 trace_within_name2(line)
#define trace_within(context)                                                                      \
	struct trace_scope trace_within_name(__LINE__) cleanup(trace_scope_leave)                  \
		__attribute__((unused)) = trace_scope_enter(context)

/* ---- spans; the functions with _ are not for callers */

void span_begin_(struct span *s, const char *name, enum span_kind kind,
		 const struct trace_context *parent);
void span_text_(struct span *s, const char *key, const char *value);
void span_number_(struct span *s, const char *key, int64_t value);
void span_link_(struct span *s, const struct trace_context *to);
void span_fail_(struct span *s, const char *why);
void span_end_(struct span *s);

/* s is all zero or ended. parent NULL or not set: a new trace begins. */
static inline void span_begin(struct span *s, const char *name, enum span_kind kind,
			      const struct trace_context *parent)
{
	if (trace_is_on())
		span_begin_(s, name, kind, parent);
}

/* As if it had begun so much earlier. */
static inline void span_backdate(struct span *s, int64_t us)
{
	s->start_us -= us;
	s->start_wall_ns -= us * 1000;
}

/* Nothing is shown of a NULL. Long texts are cut. */
static inline void span_text(struct span *s, const char *key, const char *value)
{
	if (s->recording && value)
		span_text_(s, key, value);
}

static inline void span_number(struct span *s, const char *key, int64_t value)
{
	if (s->recording)
		span_number_(s, key, value);
}

/* Another span that has to do with this one. */
static inline void span_link(struct span *s, const struct trace_context *to)
{
	if (s->recording && trace_context_is_set(to))
		span_link_(s, to);
}

/* Once. */
static inline void span_fail(struct span *s, const char *why)
{
	if (s->recording)
		span_fail_(s, why);
}

/* Its context stays. Ending what has ended does nothing. */
static inline void span_end(struct span *s)
{
	if (s->recording)
		span_end_(s);
}

/* As if it had never been. */
static inline void span_drop(struct span *s)
{
	if (s->recording) {
		buf_release(&s->body);
		s->recording = false;
	}
}

/* ---- the exporter's */

/* For one thread. Waits until spans_min are queued, at most wait_ms, or until trace_wake(). Appends
 * them to *out, each as field 2 of OTLP's ScopeSpans; returns how many. */
unsigned trace_take(unsigned spans_min, int64_t wait_ms, struct buf *out);
void trace_wake(void);
void trace_count(const char *result, unsigned spans); /* "sent", "failed" */

#endif
