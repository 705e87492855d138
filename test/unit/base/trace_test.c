/* Contexts come and go as W3C has them; spans are OTLP's; the queue drops and counts. */
#include "base/trace.h"

#include "base/mem.h"
#include "base/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static const struct metric_family spans_total = {METRIC_COUNTER, "skimmer_trace_spans_total", "",
						 "result"};

static void a_context_is_read_and_printed(void **state)
{
	struct trace_context c;
	char text[TRACE_PARENT_LEN + 1];

	(void)state;
	assert_true(trace_context_parse(PARENT, &c));
	assert_true(c.sampled);
	assert_int_equal(c.trace_id[0], 0x0a);
	assert_int_equal(c.span_id[7], 0x31);
	trace_context_print(&c, text);
	assert_string_equal(text, PARENT);
	/* A later version may say more. */
	assert_true(trace_context_parse(
		"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more", &c));
	assert_false(c.sampled);
}

static void what_is_no_context_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"00",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
		"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
		"00-00000000000000000000000000000000-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
		"00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
	};
	struct trace_context c;

	(void)state;
	assert_false(trace_context_parse(NULL, &c));
	for (size_t i = 0; i < array_len(bad); i++) {
		assert_false(trace_context_parse(bad[i], &c));
		assert_false(trace_context_is_set(&c));
	}
}

static void nothing_happens_while_it_is_off(void **state)
{
	struct span s = {0};
	struct trace_context c;

	(void)state;
	assert_true(trace_context_parse(PARENT, &c));
	assert_false(trace_is_on());
	span_begin(&s, "x", SPAN_INTERNAL, &c);
	span_text(&s, "k", "v");
	span_end(&s);
	assert_false(trace_context_is_set(&s.context));
	{
		trace_within(&c);
		assert_false(trace_context_is_set(&trace_here));
	}
}

static bool holds(const struct buf *b, const void *what, size_t len)
{
	return b->data && memmem(b->data, b->len, what, len);
}

static void a_span_is_packed_with_its_parent(void **state)
{
	struct buf out = {0};
	struct span s = {0};
	struct trace_context c;

	(void)state;
	trace_start(1000000);
	assert_true(trace_context_parse(PARENT, &c));
	span_begin(&s, "work", SPAN_CLIENT, &c);
	assert_memory_equal(s.context.trace_id, c.trace_id, sizeof(c.trace_id));
	assert_memory_not_equal(s.context.span_id, c.span_id, sizeof(c.span_id));
	span_text(&s, "key", "value");
	span_text(&s, "absent", NULL);
	span_number(&s, "n", 300);
	span_link(&s, &c);
	span_fail(&s, "why not");
	span_end(&s);
	span_end(&s); /* does nothing */
	assert_int_equal(trace_take(1, 0, &out), 1);
	/* ScopeSpans.spans; Span.parent_span_id, name, kind; KeyValue; varint 300; Status. */
	assert_int_equal(out.data[0], 2 << 3 | 2);
	assert_true(holds(&out, "\x22\x08\xb7\xad\x6b\x71\x69\x20\x33\x31", 10));
	assert_true(holds(&out, "\x2a\x04work\x30\x03", 8));
	assert_true(holds(&out, "\x4a\x0e\x0a\x03key\x12\x07\x0a\x05value", 16));
	assert_true(holds(&out, "\x4a\x08\x0a\x01n\x12\x03\x18\xac\x02", 10));
	assert_true(holds(&out, "\x7a\x0b\x12\x07why not\x18\x02", 13));
	assert_false(holds(&out, "absent", 6));
	buf_release(&out);
	trace_stop();
}

static void what_is_not_sampled_is_handed_on_and_not_recorded(void **state)
{
	struct buf out = {0};
	struct span root = {0}, child = {0};
	struct trace_context c;

	(void)state;
	trace_start(0);
	span_begin(&root, "root", SPAN_SERVER, NULL);
	assert_true(trace_context_is_set(&root.context));
	assert_false(root.context.sampled);
	span_begin(&child, "child", SPAN_CLIENT, &root.context);
	assert_memory_equal(child.context.trace_id, root.context.trace_id, 16);
	span_end(&child);
	span_end(&root);
	/* Who asks has decided already. */
	assert_true(trace_context_parse(PARENT, &c));
	span_begin(&root, "asked", SPAN_SERVER, &c);
	assert_true(root.recording);
	span_drop(&root);
	assert_int_equal(trace_take(1, 0, &out), 0);
	buf_release(&out);
	trace_stop();
}

static void a_scope_ends_with_its_block(void **state)
{
	struct trace_context c;

	(void)state;
	trace_start(1000000);
	assert_true(trace_context_parse(PARENT, &c));
	{
		trace_within(&c);
		assert_memory_equal(trace_here.span_id, c.span_id, sizeof(c.span_id));
	}
	assert_false(trace_context_is_set(&trace_here));
	trace_stop();
}

static void a_full_queue_drops_and_counts(void **state)
{
	int64_t before;
	cleanup(free_at) char *text = mem_alloc(1025);
	struct buf out = {0};
	unsigned taken;

	(void)state;
	trace_start(1000000);
	before = metric_value(metric_get(&spans_total, "dropped"));
	memset(text, 'x', 1024);
	for (int i = 0; i < 5000; i++) {
		struct span s = {0};

		span_begin(&s, "x", SPAN_INTERNAL, NULL);
		span_text(&s, "long", text);
		span_end(&s);
	}
	taken = trace_take(1, 0, &out);
	assert_true(taken > 3000 && taken < 5000);
	assert_true(out.len <= 4u << 20);
	assert_int_equal(metric_value(metric_get(&spans_total, "dropped")) - before, 5000 - taken);
	buf_release(&out);
	trace_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_context_is_read_and_printed),
		cmocka_unit_test(what_is_no_context_is_refused),
		cmocka_unit_test(nothing_happens_while_it_is_off),
		cmocka_unit_test(a_span_is_packed_with_its_parent),
		cmocka_unit_test(what_is_not_sampled_is_handed_on_and_not_recorded),
		cmocka_unit_test(a_scope_ends_with_its_block),
		cmocka_unit_test(a_full_queue_drops_and_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
