/*
 * What a trace tells of a fetch: a span "download_task" from the first want to the end, below it
 * "schedule" until the scheduler has answered, and one for each transfer. The trace is that of who
 * made the fetch begin; who comes while it runs has a link to it.
 */
#include "daemon/fetch_private.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>

void fetch_asked_by(struct fetch *f, const struct trace_context *who)
{
	if (!trace_is_on() || !trace_context_is_set(who))
		return;
	lock_guard(&f->lock);
	if (f->mode == IDLE)
		f->asked_by = *who;
}

struct trace_context fetch_trace(struct fetch *f)
{
	struct trace_context c = {0};

	if (!trace_is_on())
		return c;
	lock_guard(&f->lock);
	if (f->mode != IDLE)
		c = f->span.context;
	return c;
}

/* ---- with the lock */

void fetch_trace_begin(struct fetch *f)
{
	span_end(&f->span);
	span_begin(&f->span, "download_task", SPAN_INTERNAL, &f->asked_by);
	f->asked_by = (struct trace_context){0};
	span_text(&f->span, "d7y.task.id", f->meta->id);
	span_number(&f->span, "d7y.task.content_length", (int64_t)f->meta->geometry.content_length);
	span_number(&f->span, "d7y.task.piece_length", f->meta->geometry.piece_length);
	if (f->talk)
		span_begin(&f->schedule_span, "schedule", SPAN_INTERNAL, &f->span.context);
}

static void print_parents(const struct talk_news *news, char *text, size_t size)
{
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < news->parent_count && len < size; i++)
		len += (size_t)snprintf(text + len, size - len, "%s%s", i ? "," : "",
					news->parents[i].host_id);
}

void fetch_trace_answer(struct fetch *f, const struct talk_news *news)
{
	char parents[512];

	if (!f->schedule_span.recording)
		return;
	if (news->answered) {
		print_parents(news, parents, sizeof(parents));
		span_number(&f->schedule_span, "d7y.parents.count", (int64_t)news->parent_count);
		span_text(&f->schedule_span, "d7y.parents", parents);
	}
	if (news->to_origin) {
		span_text(&f->schedule_span, "d7y.answer", "back to source");
		span_text(&f->schedule_span, "d7y.why", news->why);
	} else if (news->closed && news->closed_e.code) {
		span_fail(&f->schedule_span, news->closed_e.text);
	} else if (news->answered) {
		span_text(&f->schedule_span, "d7y.answer", "parents");
	}
	span_end(&f->schedule_span);
}

void fetch_trace_end(struct fetch *f, const char *why)
{
	span_end(&f->schedule_span);
	if (!f->span.recording)
		return;
	span_number(&f->span, "d7y.bytes.origin", (int64_t)(f->from_origin - f->began_from_origin));
	span_number(&f->span, "d7y.bytes.peers", (int64_t)(f->from_peers - f->began_from_peers));
	span_number(&f->span, "d7y.parents.used", f->giver_count);
	if (why)
		span_fail(&f->span, why);
	span_end(&f->span);
}

/* ---- transfers; without the lock */

void fetch_trace_transfer(struct fetch *f, struct transfer *t, const char *name, struct span *span)
{
	struct trace_context parent;

	t->span = span;
	if (!trace_is_on())
		return;
	lock_take(&f->lock);
	parent = f->span.context;
	lock_drop(&f->lock);
	if (!trace_context_is_set(&parent))
		return;
	span_begin(span, name, SPAN_CLIENT, &parent);
	span_text(span, "d7y.task.id", f->meta->id);
}

void fetch_trace_transferred(struct span *span, enum transfer_fault fault, const struct err *e)
{
	if (fault == TRANSFER_CANCELLED)
		span_text(span, "d7y.piece.cancelled", "true");
	else if (fault == TRANSFER_BEATEN)
		span_text(span, "d7y.piece.beaten", "true");
	else if (fault != TRANSFER_NO_FAULT)
		span_fail(span, e->text);
	span_end(span);
}
