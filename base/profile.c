/*
 * A handler of SIGPROF takes the stack of whoever runs; the signal comes by a timer that counts
 * the whole process's processor time. The handler writes only to memory that is there already, and
 * unwinds without a lock: glibc looks objects up by _dl_find_object() since 2.35.
 */
#include "base/profile.h"

#include "base/clock.h"
#include "base/heap.h"
#include "base/mem.h"
#include "base/pprof.h"

#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define HERTZ	    100
#define PERIOD_NS   (1000000000 / HERTZ)
#define SAMPLES_MAX 20000
#define DEPTH_MAX   48
#define SKIPPED	    2 /* the handler and the kernel's return into it */
/* Who only hands on what somebody asked for. */
#define ALLOCATORS                                                                                 \
	"malloc|calloc|realloc|reallocarray|aligned_alloc|(__)?strn?dup|v?asprintf|mem_.*|buf_.*|" \
	"operator new.*|gpr_.*alloc.*"

struct stack {
	void *at[DEPTH_MAX];
	int depth;
};

static struct sampler {
	pthread_mutex_t mutex; /* of starting and stopping */
	bool running;
	int64_t since_ms, since_wall_ms;
	struct stack *stacks;
	unsigned count;	 /* atomic: taken, also beyond SAMPLES_MAX */
	unsigned inside; /* atomic: handlers that run */
	bool on;	 /* atomic */
} sampler = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* ---- sampling */

static void on_signal(int sig)
{
	int saved = errno;
	unsigned index;

	(void)sig;
	__atomic_add_fetch(&sampler.inside, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&sampler.on, __ATOMIC_SEQ_CST)) {
		index = __atomic_fetch_add(&sampler.count, 1, __ATOMIC_RELAXED);
		if (index < SAMPLES_MAX)
			sampler.stacks[index].depth =
				backtrace(sampler.stacks[index].at, DEPTH_MAX);
	}
	__atomic_sub_fetch(&sampler.inside, 1, __ATOMIC_SEQ_CST);
	errno = saved;
}

static void set_timer(long usec)
{
	const struct itimerval every = {{0, usec}, {0, usec}};

	setitimer(ITIMER_PROF, &every, NULL);
}

int profile_cpu_start(struct err *e)
{
	const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	void *warm_up[4];
	bool busy;

	pthread_mutex_lock(&sampler.mutex);
	busy = sampler.running;
	sampler.running = true;
	pthread_mutex_unlock(&sampler.mutex);
	if (busy)
		return err_set(e, EBUSY, "a profile is being taken already");
	/* Its first call loads a library, which a handler must not. */
	(void)backtrace(warm_up, 4);
	sampler.stacks = mem_array(SAMPLES_MAX, sizeof(*sampler.stacks));
	sampler.count = 0;
	sampler.since_ms = clock_ms();
	sampler.since_wall_ms = clock_wall_ms();
	/* It stays: a signal that comes late must not end the program. */
	sigaction(SIGPROF, &action, NULL);
	__atomic_store_n(&sampler.on, true, __ATOMIC_SEQ_CST);
	set_timer(1000000 / HERTZ);
	return 0;
}

/* ---- processor time */

static int compare_stacks(const void *a, const void *b)
{
	const struct stack *x = a, *y = b;

	if (x->depth != y->depth)
		return x->depth - y->depth;
	return memcmp(x->at, y->at, (size_t)x->depth * sizeof(x->at[0]));
}

static void put_stacks(struct pprof *p, struct stack *stacks, unsigned count)
{
	unsigned same;

	qsort(stacks, count, sizeof(*stacks), compare_stacks);
	for (unsigned i = 0; i < count; i += same) {
		int depth = stacks[i].depth - SKIPPED;
		uint64_t values[2];

		for (same = 1; i + same < count; same++)
			if (compare_stacks(&stacks[i], &stacks[i + same]) != 0)
				break;
		values[0] = same;
		values[1] = (uint64_t)same * PERIOD_NS;
		pprof_sample(p, stacks[i].at + SKIPPED, depth > 0 ? (unsigned)depth : 0, values);
	}
}

void profile_cpu_stop(struct buf *out)
{
	struct pprof *p;
	unsigned taken, kept;

	set_timer(0);
	__atomic_store_n(&sampler.on, false, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&sampler.inside, __ATOMIC_SEQ_CST))
		sched_yield();
	taken = __atomic_load_n(&sampler.count, __ATOMIC_ACQUIRE);
	kept = taken < SAMPLES_MAX ? taken : SAMPLES_MAX;
	p = pprof_new();
	pprof_measures(p, "samples", "count");
	pprof_measures(p, "cpu", "nanoseconds");
	put_stacks(p, sampler.stacks, kept);
	pprof_time(p, sampler.since_wall_ms, clock_ms() - sampler.since_ms);
	pprof_period(p, "cpu", "nanoseconds", PERIOD_NS);
	if (taken > kept)
		pprof_comment(p, "later samples were not kept");
	pprof_finish(p, out);
	pprof_free(p);
	free(sampler.stacks);
	pthread_mutex_lock(&sampler.mutex);
	sampler.running = false;
	pthread_mutex_unlock(&sampler.mutex);
}

/* ---- memory */

static uint64_t rounded(double estimate)
{
	return estimate > 0 ? (uint64_t)(estimate + 0.5) : 0;
}

static void put_site(struct pprof *p, struct heap_site *s)
{
	const uint64_t values[] = {rounded(s->allocated_objects), rounded(s->allocated_bytes),
				   rounded(s->live_objects), rounded(s->live_bytes)};

	/* A call's own address, and not what comes after it: that may be another function's. */
	for (unsigned i = 0; i < s->depth; i++)
		s->stack[i] = (char *)s->stack[i] - 1;
	pprof_sample(p, s->stack, s->depth, values);
}

void profile_heap(struct buf *out)
{
	size_t count;
	uint64_t lost;
	cleanup(free_at) struct heap_site *sites = heap_sites(&count, &lost);
	struct pprof *p = pprof_new();

	/* As Go's programs have them; the last is what pprof shows when it is not told. */
	pprof_measures(p, "alloc_objects", "count");
	pprof_measures(p, "alloc_space", "bytes");
	pprof_measures(p, "inuse_objects", "count");
	pprof_measures(p, "inuse_space", "bytes");
	for (size_t i = 0; i < count; i++)
		put_site(p, &sites[i]);
	pprof_time(p, clock_wall_ms(), 0);
	pprof_period(p, "space", "bytes", HEAP_PERIOD);
	pprof_drop_frames(p, ALLOCATORS);
	if (!sites)
		pprof_comment(p, "nothing is sampled here");
	if (lost)
		pprof_comment(p, "there were more samples than there was room for");
	pprof_finish(p, out);
	pprof_free(p);
}

void profile_memory(struct buf *out)
{
	struct mallinfo2 info = mallinfo2();

	buf_printf(out, "in use    %zu\nfree      %zu (kept)\nmapped    %zu (large ones)\n",
		   info.uordblks, info.fordblks, info.hblkhd);
}

/* ---- threads */

/* The first line of a file of /proc without its end; "" if it cannot be read. */
static void read_line(const char *thread, const char *name, char *line, int size)
{
	cleanup(free_at) char *path = mem_printf("/proc/self/task/%s/%s", thread, name);
	cleanup(fclose_at) FILE *f = fopen(path, "re");

	line[0] = '\0';
	if (f && fgets(line, size, f))
		line[strcspn(line, "\n")] = '\0';
}

static void print_thread(struct buf *out, const char *thread)
{
	char name[64], stat[512], wait[128], state = '?';
	unsigned long user = 0, system = 0;
	const char *rest;

	read_line(thread, "comm", name, sizeof(name));
	read_line(thread, "stat", stat, sizeof(stat));
	read_line(thread, "wchan", wait, sizeof(wait));
	rest = strrchr(stat, ')');
	if (rest)
		sscanf(rest + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &state,
		       &user, &system);
	buf_printf(out, "%-8s %-16s %c user=%.2fs system=%.2fs wait=%s\n", thread, name, state,
		   (double)user / 100, (double)system / 100, strcmp(wait, "0") ? wait : "-");
}

void profile_threads(struct buf *out)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			print_thread(out, entry->d_name);
	if (dir)
		closedir(dir);
}
