/*
 * An epoll loop. One turn: wait, deliver the events, run posted jobs, fire what is due.
 *
 * Stale events: a batch of events is remembered while it is delivered, and loop_unwatch() strikes
 * the descriptor out of the rest of it, so a watch may be freed inside any callback.
 */
#include "base/loop.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/wheel.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define RANK_LOOP    80
#define BATCH_MAX    64
#define FAKE_NAP_MS  5
#define DELAY_MAX_MS (INT64_C(1) << 50)

struct loop {
	int epoll_fd, wake_fd;
	pthread_t thread;
	struct lock lock;
	/* under lock */
	struct list jobs; /* of struct loop_job */
	bool stopping;
	/* the loop's thread alone */
	struct wheel wheel;
	struct epoll_event batch[BATCH_MAX];
	int batch_len, batch_at;
};

static void wake(struct loop *l)
{
	uint64_t one = 1;

	/* It can only fail when it is awake already. */
	(void)!write(l->wake_fd, &one, sizeof(one));
}

static void deliver(struct loop *l)
{
	for (l->batch_at = 0; l->batch_at < l->batch_len; l->batch_at++) {
		const struct epoll_event *ev = &l->batch[l->batch_at];
		struct watch *w = ev->data.ptr;
		uint64_t count;
		uint32_t events;

		if (!w) {
			/* Struck out, or the wake-up: then a spare read costs nothing. */
			(void)!read(l->wake_fd, &count, sizeof(count));
			continue;
		}
		events = ev->events & (w->events | EPOLLERR | EPOLLHUP);
		if (events)
			w->ready(w, events);
	}
	l->batch_len = 0;
}

/* The next of the jobs, unqueued. */
static struct loop_job *pop_job(struct loop *l, struct list *jobs)
{
	struct list *link;

	lock_guard(&l->lock);
	link = list_pop_front(jobs);
	return link ? list_entry(link, struct loop_job, link) : NULL;
}

/* Runs what is queued now; what these jobs post waits for the next turn, unless the loop is
 * stopping: then everything is run. False when it has stopped. */
static bool run_jobs(struct loop *l)
{
	struct list jobs = LIST_INIT(jobs);
	bool stopping, more;

	do {
		struct loop_job *job;

		lock_take(&l->lock);
		list_splice(&jobs, &l->jobs);
		stopping = l->stopping;
		lock_drop(&l->lock);
		more = !list_empty(&jobs);
		while ((job = pop_job(l, &jobs)) != NULL)
			job->run(job);
	} while (stopping && more);
	return !stopping;
}

static void fire_timers(struct loop *l)
{
	int64_t now_ms = clock_ms();
	struct loop_timer *t;

	while ((t = wheel_pop(&l->wheel, now_ms)) != NULL)
		t->fire(t);
}

static int wait_ms(struct loop *l)
{
	int left = wheel_left_ms(&l->wheel, clock_ms());

	return clock_is_fake() && (left < 0 || left > FAKE_NAP_MS) ? FAKE_NAP_MS : left;
}

static void *run(void *arg)
{
	struct loop *l = arg;

	do {
		int n = epoll_wait(l->epoll_fd, l->batch, BATCH_MAX, wait_ms(l));

		assert(n >= 0 || errno == EINTR);
		l->batch_len = n > 0 ? n : 0;
		deliver(l);
		fire_timers(l);
	} while (run_jobs(l));
	return NULL;
}

int loop_new(const char *name, struct loop **out, struct err *e)
{
	cleanup(close_at) int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	cleanup(close_at) int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
	struct loop *l;

	if (epoll_fd < 0 || wake_fd < 0)
		return err_set(e, errno, "make the loop %s", name);
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, wake_fd, &ev) < 0)
		return err_set(e, errno, "watch the loop's wake-up");
	l = mem_new(struct loop);
	l->epoll_fd = take_fd(&epoll_fd);
	l->wake_fd = take_fd(&wake_fd);
	lock_init(&l->lock, RANK_LOOP);
	list_init(&l->jobs);
	wheel_init(&l->wheel);
	thread_start(&l->thread, name, run, l);
	*out = l;
	return 0;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	lock_take(&l->lock);
	l->stopping = true;
	lock_drop(&l->lock);
	wake(l);
	pthread_join(l->thread, NULL);
	close(l->epoll_fd);
	close(l->wake_fd);
	lock_release(&l->lock);
	free(l);
}

int loop_watch(struct loop *l, struct watch *w, struct err *e)
{
	struct epoll_event ev = {.events = w->events, .data.ptr = w};

	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, w->fd, &ev) < 0)
		return err_set(e, errno, "watch descriptor %d", w->fd);
	return 0;
}

void loop_rewatch(struct loop *l, struct watch *w, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	if (w->events == events)
		return;
	w->events = events;
	/* Changing what is watched takes no memory: a failure is our own bug. */
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, w->fd, &ev) < 0)
		abort();
}

void loop_unwatch(struct loop *l, struct watch *w)
{
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL) < 0)
		abort();
	for (int i = l->batch_at + 1; i < l->batch_len; i++)
		if (l->batch[i].data.ptr == w)
			l->batch[i].data.ptr = NULL;
}

bool loop_post(struct loop *l, struct loop_job *job)
{
	lock_take(&l->lock);
	if (!list_empty(&job->link)) {
		lock_drop(&l->lock);
		return false;
	}
	list_push_back(&l->jobs, &job->link);
	lock_drop(&l->lock);
	wake(l);
	return true;
}

void loop_timer_arm(struct loop *l, struct loop_timer *t, int64_t delay_ms)
{
	int64_t now_ms = clock_ms();

	if (delay_ms < 0)
		delay_ms = 0;
	if (delay_ms > DELAY_MAX_MS)
		delay_ms = DELAY_MAX_MS;
	wheel_arm(&l->wheel, t, now_ms, now_ms + delay_ms);
}

void loop_timer_cancel(struct loop *l, struct loop_timer *t)
{
	wheel_cancel(&l->wheel, t);
}
