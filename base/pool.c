/*
 * A fixed pool of threads. A thread is started when a job comes and none is idle, and stays until
 * pool_free(). Invariant: pending = queued + running jobs <= threads_max + queue_len_max, so
 * a queue of n places behind busy threads takes exactly n jobs.
 */
#include "base/pool.h"

#include "base/list.h"
#include "base/lock.h"
#include "base/mem.h"

#include <assert.h>
#include <signal.h>
#include <string.h>

#define STACK_SIZE (256u << 10)
#define RANK_POOL  90
#define NAME_SIZE  16 /* what the kernel keeps of a thread's name */

struct job {
	struct list link;
	void (*run)(void *arg);
	void *arg;
};

struct pool {
	struct lock lock;
	struct cond wake;
	char name[NAME_SIZE];
	unsigned threads_max, queue_len_max;
	/* under lock */
	struct list queue; /* of struct job */
	unsigned pending;  /* queued and running */
	unsigned thread_count;
	bool stopping;
	pthread_t threads[];
};

void thread_start(pthread_t *out, const char *name, void *(*main)(void *), void *arg)
{
	char short_name[NAME_SIZE];
	pthread_attr_t attr;
	sigset_t all, before;

	snprintf(short_name, sizeof(short_name), "%s", name);
	/* Faults stay deliverable, or a crash would leave no report; and what profiles ask by. */
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGPROF);
	pthread_attr_init(&attr);
	if (pthread_attr_setstacksize(&attr, STACK_SIZE) != 0)
		abort();
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(out, &attr, main, arg) != 0)
		abort();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	pthread_setname_np(*out, short_name);
}

/* The next job, or NULL when the pool is stopping and the queue is empty. */
static struct job *next_job(struct pool *p)
{
	struct list *l;

	lock_guard(&p->lock);
	while (list_empty(&p->queue) && !p->stopping)
		cond_wait(&p->wake, &p->lock);
	l = list_pop_front(&p->queue);
	return l ? list_entry(l, struct job, link) : NULL;
}

static void *work(void *arg)
{
	struct pool *p = arg;
	struct job *job;

	while ((job = next_job(p)) != NULL) {
		job->run(job->arg);
		free(job);
		lock_take(&p->lock);
		p->pending--;
		lock_drop(&p->lock);
	}
	return NULL;
}

struct pool *pool_new(const char *name, unsigned threads_max, unsigned queue_len_max)
{
	struct pool *p;

	assert(threads_max > 0);
	p = mem_alloc(sizeof(*p) + threads_max * sizeof(p->threads[0]));
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->threads_max = threads_max;
	p->queue_len_max = queue_len_max;
	lock_init(&p->lock, RANK_POOL);
	cond_init(&p->wake);
	list_init(&p->queue);
	return p;
}

bool pool_run(struct pool *p, void (*run)(void *arg), void *arg)
{
	struct job *job;

	lock_guard(&p->lock);
	if (p->stopping || p->pending >= p->threads_max + p->queue_len_max)
		return false;
	job = mem_new(struct job);
	job->run = run;
	job->arg = arg;
	list_push_back(&p->queue, &job->link);
	p->pending++;
	if (p->pending > p->thread_count && p->thread_count < p->threads_max) {
		thread_start(&p->threads[p->thread_count], p->name, work, p);
		p->thread_count++;
	}
	cond_wake_one(&p->wake);
	return true;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	lock_take(&p->lock);
	p->stopping = true;
	cond_wake_all(&p->wake);
	lock_drop(&p->lock);
	/* Nobody starts threads any more: the count is ours to read. */
	for (unsigned i = 0; i < p->thread_count; i++)
		pthread_join(p->threads[i], NULL);
	assert(list_empty(&p->queue));
	cond_release(&p->wake);
	lock_release(&p->lock);
	free(p);
}
