/*
 * A handler of SIGPROF takes the stack of whoever runs; the signal comes by a timer that counts
 * the whole process's processor time. The handler writes only to memory that is there already, and
 * unwinds without a lock: glibc looks objects up by _dl_find_object() since 2.35.
 */
#include "base/profile.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/protobuf.h"

#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <inttypes.h>
#include <isa-l/igzip_lib.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define HERTZ	     100
#define PERIOD_NS    (1000000000 / HERTZ)
#define SAMPLES_MAX  20000
#define DEPTH_MAX    48
#define MAPPINGS_MAX 256
#define SKIPPED	     2 /* the handler and the kernel's return into it */

/* Field numbers of profile.proto. */
enum {
	PROFILE_SAMPLE_TYPE = 1,
	PROFILE_SAMPLE = 2,
	PROFILE_MAPPING = 3,
	PROFILE_LOCATION = 4,
	PROFILE_FUNCTION = 5,
	PROFILE_STRINGS = 6,
	PROFILE_TIME = 9,
	PROFILE_DURATION = 10,
	PROFILE_PERIOD_TYPE = 11,
	PROFILE_PERIOD = 12,
	PROFILE_COMMENT = 13,
};
enum { TYPE_TYPE = 1, TYPE_UNIT = 2 };
enum { SAMPLE_LOCATION = 1, SAMPLE_VALUE = 2 };
enum { MAPPING_ID = 1, MAPPING_START = 2, MAPPING_LIMIT = 3, MAPPING_OFFSET = 4, MAPPING_FILE = 5 };
enum { LOCATION_ID = 1, LOCATION_MAPPING = 2, LOCATION_ADDRESS = 3, LOCATION_LINE = 4 };
enum { LINE_FUNCTION = 1, FUNCTION_ID = 1, FUNCTION_NAME = 2 };

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

/* ---- writing profiles */

/* Texts are numbers in a table whose first is "". */
struct profile {
	struct buf body, strings;
	unsigned string_count;
	struct {
		uint64_t start, limit;
	} mappings[MAPPINGS_MAX]; /* number i + 1 */
	unsigned mapping_count;
};

static uint64_t text_number(struct profile *p, const char *text)
{
	protobuf_put_text(&p->strings, PROFILE_STRINGS, text);
	return p->string_count++;
}

static void put_type(struct profile *p, unsigned field, const char *type, const char *unit)
{
	cleanup(buf_release) struct buf m = {0};

	protobuf_put_number(&m, TYPE_TYPE, text_number(p, type));
	protobuf_put_number(&m, TYPE_UNIT, text_number(p, unit));
	protobuf_put_bytes(&p->body, field, m.data, m.len);
}

/* The executable mappings; pprof finds the program's own first. */
static void put_mappings(struct profile *p)
{
	cleanup(fclose_at) FILE *f = fopen("/proc/self/maps", "re");
	char line[512], path[256], access[8];
	uint64_t start, limit, off;

	while (f && p->mapping_count < MAPPINGS_MAX && fgets(line, sizeof(line), f)) {
		cleanup(buf_release) struct buf m = {0};

		path[0] = '\0';
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %*s %*s %255s", &start,
			   &limit, access, &off, path) < 4 ||
		    !strchr(access, 'x'))
			continue;
		p->mappings[p->mapping_count].start = start;
		p->mappings[p->mapping_count++].limit = limit;
		protobuf_put_number(&m, MAPPING_ID, p->mapping_count);
		protobuf_put_number(&m, MAPPING_START, start);
		protobuf_put_number(&m, MAPPING_LIMIT, limit);
		protobuf_put_number(&m, MAPPING_OFFSET, off);
		protobuf_put_number(&m, MAPPING_FILE, text_number(p, path));
		protobuf_put_bytes(&p->body, PROFILE_MAPPING, m.data, m.len);
	}
}

/* The name is for pprof to find, in the program's file. */
static void put_location(struct profile *p, uint64_t id, void *at)
{
	uint64_t address = (uint64_t)(uintptr_t)at;
	cleanup(buf_release) struct buf m = {0};

	protobuf_put_number(&m, LOCATION_ID, id);
	for (unsigned i = 0; i < p->mapping_count; i++)
		if (address >= p->mappings[i].start && address < p->mappings[i].limit)
			protobuf_put_number(&m, LOCATION_MAPPING, i + 1);
	protobuf_put_number(&m, LOCATION_ADDRESS, address);
	protobuf_put_bytes(&p->body, PROFILE_LOCATION, m.data, m.len);
}

static void put_sample(struct profile *p, const uint64_t *locations, unsigned count,
		       const uint64_t *values, unsigned value_count)
{
	cleanup(buf_release) struct buf m = {0};

	for (unsigned i = 0; i < count; i++)
		protobuf_put_number(&m, SAMPLE_LOCATION, locations[i]);
	for (unsigned i = 0; i < value_count; i++)
		protobuf_put_number(&m, SAMPLE_VALUE, values[i]);
	protobuf_put_bytes(&p->body, PROFILE_SAMPLE, m.data, m.len);
}

static void profile_begin(struct profile *p)
{
	*p = (struct profile){0};
	text_number(p, "");
}

/* Appends it gzip'd. */
static void profile_end(struct profile *p, struct buf *out)
{
	struct isal_zstream z;
	cleanup(free_at) uint8_t *packed = NULL;
	size_t room;

	buf_append(&p->body, p->strings.data, p->strings.len);
	room = p->body.len + p->body.len / 64 + 1024;
	packed = mem_alloc(room);
	isal_deflate_stateless_init(&z);
	z.gzip_flag = IGZIP_GZIP;
	z.end_of_stream = 1;
	z.flush = NO_FLUSH;
	z.next_in = (uint8_t *)p->body.data;
	z.avail_in = (uint32_t)p->body.len;
	z.next_out = packed;
	z.avail_out = (uint32_t)room;
	if (isal_deflate_stateless(&z) == COMP_OK)
		buf_append(out, packed, room - z.avail_out);
	buf_release(&p->body);
	buf_release(&p->strings);
}

/* ---- processor time */

static int compare_stacks(const void *a, const void *b)
{
	const struct stack *x = a, *y = b;

	if (x->depth != y->depth)
		return x->depth - y->depth;
	return memcmp(x->at, y->at, (size_t)x->depth * sizeof(x->at[0]));
}

static int compare_pointers(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t) * (void *const *)a, y = (uintptr_t) * (void *const *)b;

	return x < y ? -1 : x > y;
}

/* The distinct addresses of all stacks, sorted. */
static void **collect_addresses(const struct stack *stacks, unsigned count, size_t *count_out)
{
	void **all = mem_array((size_t)count * DEPTH_MAX + 1, sizeof(void *));
	size_t n = 0, kept = 0;

	for (unsigned i = 0; i < count; i++)
		for (int k = SKIPPED; k < stacks[i].depth; k++)
			all[n++] = stacks[i].at[k];
	qsort(all, n, sizeof(void *), compare_pointers);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || all[kept - 1] != all[i])
			all[kept++] = all[i];
	*count_out = kept;
	return all;
}

static void put_stacks(struct profile *p, struct stack *stacks, unsigned count)
{
	size_t address_count;
	void **addresses = collect_addresses(stacks, count, &address_count);
	unsigned same;

	for (size_t i = 0; i < address_count; i++)
		put_location(p, i + 1, addresses[i]);
	qsort(stacks, count, sizeof(*stacks), compare_stacks);
	for (unsigned i = 0; i < count; i += same) {
		uint64_t locations[DEPTH_MAX], values[2];
		unsigned n = 0;

		for (same = 1; i + same < count; same++)
			if (compare_stacks(&stacks[i], &stacks[i + same]) != 0)
				break;
		for (int k = SKIPPED; k < stacks[i].depth; k++) {
			void **found = bsearch(&stacks[i].at[k], addresses, address_count,
					       sizeof(void *), compare_pointers);

			locations[n++] = (uint64_t)(found - addresses) + 1;
		}
		values[0] = same;
		values[1] = (uint64_t)same * PERIOD_NS;
		put_sample(p, locations, n, values, 2);
	}
	free(addresses);
}

void profile_cpu_stop(struct buf *out)
{
	struct profile p;
	unsigned taken, kept;

	set_timer(0);
	__atomic_store_n(&sampler.on, false, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&sampler.inside, __ATOMIC_SEQ_CST))
		sched_yield();
	taken = __atomic_load_n(&sampler.count, __ATOMIC_ACQUIRE);
	kept = taken < SAMPLES_MAX ? taken : SAMPLES_MAX;
	profile_begin(&p);
	put_type(&p, PROFILE_SAMPLE_TYPE, "samples", "count");
	put_type(&p, PROFILE_SAMPLE_TYPE, "cpu", "nanoseconds");
	put_mappings(&p);
	put_stacks(&p, sampler.stacks, kept);
	protobuf_put_number(&p.body, PROFILE_TIME, (uint64_t)sampler.since_wall_ms * 1000000);
	protobuf_put_number(&p.body, PROFILE_DURATION,
			    (uint64_t)(clock_ms() - sampler.since_ms) * 1000000);
	put_type(&p, PROFILE_PERIOD_TYPE, "cpu", "nanoseconds");
	protobuf_put_number(&p.body, PROFILE_PERIOD, PERIOD_NS);
	if (taken > kept)
		protobuf_put_number(&p.body, PROFILE_COMMENT,
				    text_number(&p, "later samples were not kept"));
	profile_end(&p, out);
	free(sampler.stacks);
	pthread_mutex_lock(&sampler.mutex);
	sampler.running = false;
	pthread_mutex_unlock(&sampler.mutex);
}

/* ---- memory */

static void put_named_sample(struct profile *p, uint64_t id, const char *name, uint64_t bytes)
{
	cleanup(buf_release) struct buf function = {0}, line = {0}, location = {0};

	protobuf_put_number(&function, FUNCTION_ID, id);
	protobuf_put_number(&function, FUNCTION_NAME, text_number(p, name));
	protobuf_put_bytes(&p->body, PROFILE_FUNCTION, function.data, function.len);
	protobuf_put_number(&line, LINE_FUNCTION, id);
	protobuf_put_number(&location, LOCATION_ID, id);
	protobuf_put_bytes(&location, LOCATION_LINE, line.data, line.len);
	protobuf_put_bytes(&p->body, PROFILE_LOCATION, location.data, location.len);
	put_sample(p, &id, 1, &bytes, 1);
}

void profile_heap(struct buf *out)
{
	struct mallinfo2 info = mallinfo2();
	struct profile p;

	profile_begin(&p);
	put_type(&p, PROFILE_SAMPLE_TYPE, "space", "bytes");
	put_named_sample(&p, 1, "malloc: in use", info.uordblks);
	put_named_sample(&p, 2, "malloc: free, kept", info.fordblks);
	put_named_sample(&p, 3, "malloc: large, mapped", info.hblkhd);
	protobuf_put_number(&p.body, PROFILE_TIME, (uint64_t)clock_wall_ms() * 1000000);
	protobuf_put_number(&p.body, PROFILE_COMMENT,
			    text_number(&p, "who asked for it is not known"));
	profile_end(&p, out);
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
