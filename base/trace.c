/* Spans, packed when they end, and the queue of those that have. */
#include "base/trace.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/protobuf.h"
#include "base/random.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>

#define RANK_TRACE    96
#define QUEUE_LEN_MAX (4u << 20) /* bytes; some 10,000 spans */
#define TEXT_LEN_MAX  1024

/* Field numbers of opentelemetry-proto's trace.proto and common.proto. */
enum { SCOPE_SPANS_SPAN = 2 };
enum {
	SPAN_TRACE_ID = 1,
	SPAN_ID = 2,
	SPAN_PARENT_ID = 4,
	SPAN_NAME = 5,
	SPAN_KIND = 6,
	SPAN_START = 7,
	SPAN_END = 8,
	SPAN_ATTRIBUTES = 9,
	SPAN_LINKS = 13,
	SPAN_STATUS = 15,
};
enum { STATUS_MESSAGE = 2, STATUS_CODE = 3, STATUS_IS_ERROR = 2 };
enum { LINK_TRACE_ID = 1, LINK_SPAN_ID = 2 };
enum { PAIR_KEY = 1, PAIR_VALUE = 2, VALUE_TEXT = 1, VALUE_NUMBER = 3 };

bool trace_is_on_;
_Thread_local struct trace_context trace_here;

static const struct metric_family spans_total = {
	METRIC_COUNTER, "skimmer_trace_spans_total",
	"Spans: sent to the collector, failed to be sent, dropped because the queue was full.",
	"result"};

static struct queue {
	struct lock lock;
	struct cond filled;
	pthread_once_t once;
	unsigned sampled_per_million; /* atomic */
	/* lock */
	struct buf spans;
	unsigned count, count_wanted; /* the exporter is woken at so many */
	bool woken;
} queue = {.once = PTHREAD_ONCE_INIT};

static void queue_init(void)
{
	lock_init(&queue.lock, RANK_TRACE);
	cond_init(&queue.filled);
}

void trace_start(unsigned sampled_per_million)
{
	pthread_once(&queue.once, queue_init);
	__atomic_store_n(&queue.sampled_per_million, sampled_per_million, __ATOMIC_RELAXED);
	trace_count("sent", 0);
	trace_count("failed", 0);
	trace_count("dropped", 0);
	__atomic_store_n(&trace_is_on_, true, __ATOMIC_RELEASE);
}

void trace_stop(void)
{
	if (!trace_is_on())
		return;
	__atomic_store_n(&trace_is_on_, false, __ATOMIC_RELAXED);
	lock_guard(&queue.lock);
	buf_release(&queue.spans);
	queue.count = 0;
	queue.woken = false;
}

void trace_count(const char *result, unsigned spans)
{
	metric_add(metric_get(&spans_total, result), spans);
}

/* ---- contexts */

static uint64_t draw(void)
{
	static _Thread_local uint64_t state;

	if (!state && getrandom(&state, sizeof(state), 0) != sizeof(state))
		state = (uint64_t)clock_us() ^ (uint64_t)(uintptr_t)&state;
	return random_next(&state);
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* 2 * len digits, in lower case as the specification has it. */
static bool parse_hex(const char *text, uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		int high = hex_digit(text[2 * i]), low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);

		if (low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
	uint8_t any = 0;

	for (size_t i = 0; i < len; i++)
		any |= bytes[i];
	return !any;
}

/* Later versions may say more, behind another dash. */
static bool parse(const char *text, struct trace_context *c)
{
	size_t len = strnlen(text, TRACE_PARENT_LEN + 1);
	uint8_t version, flags;

	if (len < TRACE_PARENT_LEN || text[2] != '-' || text[35] != '-' || text[52] != '-' ||
	    !parse_hex(text, &version, 1) || !parse_hex(text + 3, c->trace_id, 16) ||
	    !parse_hex(text + 36, c->span_id, 8) || !parse_hex(text + 53, &flags, 1))
		return false;
	if (version == 0xff || (len > TRACE_PARENT_LEN && (version == 0 || text[55] != '-')))
		return false;
	c->sampled = flags & 1;
	return !is_zero(c->trace_id, 16) && !is_zero(c->span_id, 8);
}

bool trace_context_parse(const char *text, struct trace_context *out)
{
	if (text && parse(text, out))
		return true;
	*out = (struct trace_context){0};
	return false;
}

void trace_context_print(const struct trace_context *c, char text[TRACE_PARENT_LEN + 1])
{
	static const char digits[] = "0123456789abcdef";
	char *at = text;

	memcpy(at, "00-", 3);
	at += 3;
	for (unsigned i = 0; i < sizeof(c->trace_id); i++) {
		*at++ = digits[c->trace_id[i] >> 4];
		*at++ = digits[c->trace_id[i] & 15];
	}
	*at++ = '-';
	for (unsigned i = 0; i < sizeof(c->span_id); i++) {
		*at++ = digits[c->span_id[i] >> 4];
		*at++ = digits[c->span_id[i] & 15];
	}
	memcpy(at, c->sampled ? "-01" : "-00", 4);
}

/* ---- spans */

static void begin_trace(struct trace_context *c)
{
	uint64_t id[2] = {draw(), draw()};

	memcpy(c->trace_id, id, sizeof(id));
	c->sampled =
		draw() % 1000000 < __atomic_load_n(&queue.sampled_per_million, __ATOMIC_RELAXED);
}

void span_begin_(struct span *s, const char *name, enum span_kind kind,
		 const struct trace_context *parent)
{
	struct timespec now;
	uint64_t id = draw() | 1; /* not 0 */

	*s = (struct span){.name = name, .kind = kind};
	if (parent && trace_context_is_set(parent)) {
		s->context = *parent;
		memcpy(s->parent, parent->span_id, sizeof(s->parent));
	} else {
		begin_trace(&s->context);
	}
	memcpy(s->context.span_id, &id, sizeof(id));
	s->recording = s->context.sampled;
	if (!s->recording)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	s->start_wall_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	s->start_us = clock_us();
	s->body.len_max = 64u << 10;
}

/* KeyValue, whose value is an AnyValue. */
static void put_attribute(struct buf *out, unsigned field, const char *key, const struct buf *value)
{
	cleanup(buf_release) struct buf pair = {0};

	protobuf_put_text(&pair, PAIR_KEY, key);
	protobuf_put_bytes(&pair, PAIR_VALUE, value->data, value->len);
	protobuf_put_bytes(out, field, pair.data, pair.len);
}

void span_text_(struct span *s, const char *key, const char *value)
{
	cleanup(buf_release) struct buf any = {0};

	protobuf_put_bytes(&any, VALUE_TEXT, value, strnlen(value, TEXT_LEN_MAX));
	put_attribute(&s->body, SPAN_ATTRIBUTES, key, &any);
}

void span_number_(struct span *s, const char *key, int64_t value)
{
	cleanup(buf_release) struct buf any = {0};

	protobuf_put_number(&any, VALUE_NUMBER, (uint64_t)value);
	put_attribute(&s->body, SPAN_ATTRIBUTES, key, &any);
}

void span_link_(struct span *s, const struct trace_context *to)
{
	cleanup(buf_release) struct buf link = {0};

	protobuf_put_bytes(&link, LINK_TRACE_ID, to->trace_id, sizeof(to->trace_id));
	protobuf_put_bytes(&link, LINK_SPAN_ID, to->span_id, sizeof(to->span_id));
	protobuf_put_bytes(&s->body, SPAN_LINKS, link.data, link.len);
}

void span_fail_(struct span *s, const char *why)
{
	cleanup(buf_release) struct buf status = {0};

	protobuf_put_bytes(&status, STATUS_MESSAGE, why, strnlen(why, TEXT_LEN_MAX));
	protobuf_put_number(&status, STATUS_CODE, STATUS_IS_ERROR);
	protobuf_put_bytes(&s->body, SPAN_STATUS, status.data, status.len);
}

static void enqueue(const struct buf *packed)
{
	bool full;

	lock_take(&queue.lock);
	full = !trace_is_on() || queue.spans.len + packed->len > QUEUE_LEN_MAX;
	if (!full) {
		protobuf_put_bytes(&queue.spans, SCOPE_SPANS_SPAN, packed->data, packed->len);
		if (++queue.count == queue.count_wanted)
			cond_wake_one(&queue.filled);
	}
	lock_drop(&queue.lock);
	if (full)
		trace_count("dropped", 1);
}

void span_end_(struct span *s)
{
	int64_t end_ns = s->start_wall_ns + (clock_us() - s->start_us) * 1000;
	cleanup(buf_release) struct buf packed = {0};

	protobuf_put_bytes(&packed, SPAN_TRACE_ID, s->context.trace_id, 16);
	protobuf_put_bytes(&packed, SPAN_ID, s->context.span_id, 8);
	if (!is_zero(s->parent, sizeof(s->parent)))
		protobuf_put_bytes(&packed, SPAN_PARENT_ID, s->parent, sizeof(s->parent));
	protobuf_put_text(&packed, SPAN_NAME, s->name);
	protobuf_put_number(&packed, SPAN_KIND, s->kind);
	protobuf_put_fixed64(&packed, SPAN_START, (uint64_t)s->start_wall_ns);
	protobuf_put_fixed64(&packed, SPAN_END, (uint64_t)end_ns);
	if (s->body.len)
		buf_append(&packed, s->body.data, s->body.len);
	enqueue(&packed);
	span_drop(s);
}

/* ---- the exporter */

unsigned trace_take(unsigned spans_min, int64_t wait_ms, struct buf *out)
{
	int64_t until = clock_ms() + wait_ms;
	unsigned count;

	lock_guard(&queue.lock);
	queue.count_wanted = spans_min;
	while (queue.count < spans_min && !queue.woken &&
	       cond_wait_until(&queue.filled, &queue.lock, until))
		;
	queue.woken = false;
	count = queue.count;
	if (count)
		buf_append(out, queue.spans.data, queue.spans.len);
	buf_clear(&queue.spans);
	queue.count = 0;
	return count;
}

void trace_wake(void)
{
	lock_guard(&queue.lock);
	queue.woken = true;
	cond_wake_all(&queue.filled);
}
