/*
 * One timer thread and a binary heap of what is armed, soonest first. Invariant: heap[t->slot - 1]
 * is t for every armed t. The thread never touches a timer after its fire() has begun, so fire()
 * may free it.
 */
#include "base/timer.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/pool.h"

#define RANK_TIMER   85
#define DELAY_MAX_MS (INT64_C(1) << 50)

static struct lock lock = {.mutex = PTHREAD_MUTEX_INITIALIZER, .rank = RANK_TIMER};
static struct cond idle = {.cond = PTHREAD_COND_INITIALIZER}; /* a fire() has returned */
static struct cond wake; /* for the thread; valid while started */
/* all under lock */
static struct timer **heap;
static size_t heap_len, heap_cap;
static const struct timer *firing;    /* compared, never followed */
static const struct timer *cancelled; /* firing, and somebody waits to see the last of it */
static bool started, stopping;
static pthread_t thread;

static void place(size_t i, struct timer *t)
{
	heap[i] = t;
	t->slot = i + 1;
}

static void sift_up(size_t i, struct timer *t)
{
	for (; i > 0 && heap[(i - 1) / 2]->at_ms > t->at_ms; i = (i - 1) / 2)
		place(i, heap[(i - 1) / 2]);
	place(i, t);
}

static void sift_down(size_t i, struct timer *t)
{
	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= heap_len)
			break;
		if (child + 1 < heap_len && heap[child + 1]->at_ms < heap[child]->at_ms)
			child++;
		if (heap[child]->at_ms >= t->at_ms)
			break;
		place(i, heap[child]);
		i = child;
	}
	place(i, t);
}

static void heap_insert(struct timer *t)
{
	if (heap_len == heap_cap) {
		heap_cap = heap_cap ? 2 * heap_cap : 64;
		heap = mem_realloc(heap, heap_cap * sizeof(struct timer *));
	}
	heap_len++;
	sift_up(heap_len - 1, t);
}

static void heap_remove(struct timer *t)
{
	size_t i = t->slot - 1;
	struct timer *last = heap[--heap_len];

	t->slot = 0;
	if (last == t)
		return;
	if (i > 0 && heap[(i - 1) / 2]->at_ms > last->at_ms)
		sift_up(i, last);
	else
		sift_down(i, last);
}

static void *run(void *arg)
{
	(void)arg;
	lock_take(&lock);
	while (!stopping) {
		struct timer *t = heap_len ? heap[0] : NULL;

		if (!t || t->at_ms > clock_ms()) {
			cond_wait_until(&wake, &lock, t ? t->at_ms : 0);
			continue;
		}
		heap_remove(t);
		firing = t;
		lock_drop(&lock);
		t->fire(t);
		lock_take(&lock);
		firing = cancelled = NULL;
		cond_wake_all(&idle);
	}
	lock_drop(&lock);
	return NULL;
}

void timer_start(void)
{
	lock_guard(&lock);
	if (started)
		return;
	cond_init(&wake);
	stopping = false;
	started = true;
	thread_start(&thread, "timer", run, NULL);
}

void timer_stop(void)
{
	lock_take(&lock);
	if (!started) {
		lock_drop(&lock);
		return;
	}
	stopping = true;
	cond_wake_one(&wake);
	lock_drop(&lock);
	pthread_join(thread, NULL);
	lock_take(&lock);
	while (heap_len)
		heap_remove(heap[heap_len - 1]);
	free(heap);
	heap = NULL;
	heap_cap = 0;
	started = false;
	cond_release(&wake);
	lock_drop(&lock);
}

void timer_arm(struct timer *t, int64_t delay_ms)
{
	if (delay_ms < 0)
		delay_ms = 0;
	if (delay_ms > DELAY_MAX_MS)
		delay_ms = DELAY_MAX_MS;
	lock_guard(&lock);
	/* Or a fire() that arms itself anew would keep its canceller waiting for ever. */
	if (t == cancelled && pthread_equal(pthread_self(), thread))
		return;
	if (t->slot)
		heap_remove(t);
	t->at_ms = clock_ms() + delay_ms;
	heap_insert(t);
	if (started && t->slot == 1)
		cond_wake_one(&wake);
}

void timer_cancel(struct timer *t)
{
	lock_guard(&lock);
	for (;;) {
		if (t->slot)
			heap_remove(t);
		if (firing != t || pthread_equal(pthread_self(), thread))
			return;
		cancelled = t;
		cond_wait(&idle, &lock);
	}
}
