/*
 * A timer wheel of two levels: 256 ticks, and 256 turns of them (17 minutes). Invariant: an armed
 * timer whose tick is less than 256 ahead is in near[tick % 256]; all others are in far, in a slot
 * that is spread over near not later than they are due.
 */
#include "base/wheel.h"

#define TURN(tick) ((tick) / WHEEL_SLOTS)

void wheel_init(struct wheel *w)
{
	for (size_t i = 0; i < WHEEL_SLOTS; i++) {
		list_init(&w->near[i]);
		list_init(&w->far[i]);
	}
	w->tick = 0;
	w->count = 0;
}

static void insert(struct wheel *w, struct loop_timer *t)
{
	int64_t tick = t->at_ms / WHEEL_TICK_MS + 1;
	int64_t turn = TURN(tick), turn_last = TURN(w->tick) + WHEEL_SLOTS - 1;

	if (tick < w->tick)
		tick = w->tick;
	if (turn > turn_last)
		turn = turn_last;
	if (tick - w->tick < WHEEL_SLOTS)
		list_push_back(&w->near[tick % WHEEL_SLOTS], &t->link);
	else
		list_push_back(&w->far[turn % WHEEL_SLOTS], &t->link);
}

void wheel_arm(struct wheel *w, struct loop_timer *t, int64_t now_ms, int64_t at_ms)
{
	int64_t next = now_ms / WHEEL_TICK_MS + 1;

	wheel_cancel(w, t);
	if (w->count == 0 && w->tick < next)
		w->tick = next; /* nothing to find in the ticks between */
	t->at_ms = at_ms;
	insert(w, t);
	w->count++;
}

void wheel_cancel(struct wheel *w, struct loop_timer *t)
{
	if (list_empty(&t->link))
		return;
	list_remove(&t->link);
	w->count--;
}

/* A turn begins: what is due in it, or was too far ahead, finds its new place. */
static void spread(struct wheel *w)
{
	struct list later = LIST_INIT(later);
	struct list *l;

	list_splice(&later, &w->far[TURN(w->tick) % WHEEL_SLOTS]);
	while ((l = list_pop_front(&later)) != NULL)
		insert(w, list_entry(l, struct loop_timer, link));
}

struct loop_timer *wheel_pop(struct wheel *w, int64_t now_ms)
{
	while (w->count > 0 && w->tick * WHEEL_TICK_MS <= now_ms) {
		struct list *l = list_pop_front(&w->near[w->tick % WHEEL_SLOTS]);

		if (l) {
			w->count--;
			return list_entry(l, struct loop_timer, link);
		}
		w->tick++;
		if (w->tick % WHEEL_SLOTS == 0)
			spread(w);
	}
	return NULL;
}

int wheel_left_ms(const struct wheel *w, int64_t now_ms)
{
	int64_t tick = w->tick;
	int64_t left;

	if (w->count == 0)
		return -1;
	/* A new turn may bring something near. */
	while (list_empty(&w->near[tick % WHEEL_SLOTS])) {
		tick++;
		if (tick % WHEEL_SLOTS == 0)
			break;
	}
	left = tick * WHEEL_TICK_MS - now_ms;
	return left > 0 ? (int)left : 0;
}
