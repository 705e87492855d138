/*
 * Invariant: what is in the table of records is not freed yet, since a record leaves before glibc
 * gets the memory back. Must not: allocate, call out or log while it has its mutex, which is taken
 * inside of malloc and so below every lock there is.
 */
#include "base/heap.h"

#ifdef SKIMMER_SANITIZED

void heap_sampling_start(void)
{
}

struct heap_site *heap_sites(size_t *count_out, uint64_t *lost_out)
{
	*count_out = *lost_out = 0;
	return NULL;
}

#else

#include <errno.h>
#include <execinfo.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define RECORDS_MAX  65536 /* live samples: 32 GiB of memory on average */
#define SITES_MAX    8192
#define RECORD_HEADS 65536
#define SITE_HEADS   4096
#define OWN_FRAMES   8 /* of this file, above the caller */

struct record {
	void *at;
	size_t size;
	uint32_t site, next; /* next: of the chain, or of the free ones; 0 = none */
};

struct entry {
	struct heap_site site;
	uint64_t hash;
	uint32_t next;
};

/* Numbers begin at 1. Without the mutex only record_heads are read: 0 says that nothing that has
 * this hash is remembered, which is so for nearly all that is freed. */
struct sampler {
	pthread_mutex_t mutex;
	uint32_t record_heads[RECORD_HEADS], site_heads[SITE_HEADS];
	uint32_t record_count, free_record, site_count;
	uint64_t lost;
	struct record records[RECORDS_MAX + 1];
	struct entry entries[SITES_MAX + 1];
};

static struct sampler *sampler; /* atomic; NULL: off */
static uint64_t seeds;		/* atomic */

static __thread int64_t bytes_left; /* to the next sample of this thread */
static __thread uint64_t dice;	    /* 0: bytes_left is not drawn yet */
static __thread bool is_inside;	    /* what a sample itself allocates is not sampled */

/* ---- when */

static int64_t draw_distance(void)
{
	double part;

	/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators" */
	dice ^= dice >> 12;
	dice ^= dice << 25;
	dice ^= dice >> 27;
	part = (double)((dice * 0x2545f4914f6cdd1dULL) >> 11) * 0x1p-53;
	return (int64_t)(-log1p(-part) * HEAP_PERIOD);
}

/* Whether an allocation of so many bytes is remembered. */
static bool is_taken(size_t size)
{
	if (!dice) {
		dice = (__atomic_add_fetch(&seeds, 1, __ATOMIC_RELAXED)) * 0x9e3779b97f4a7c15ULL;
		bytes_left += draw_distance();
	}
	bytes_left -= (int64_t)(size < PTRDIFF_MAX ? size : PTRDIFF_MAX);
	if (bytes_left >= 0)
		return false;
	bytes_left = draw_distance();
	return true;
}

/* For how many of its size a sample stands. */
static double weight_of(size_t size)
{
	return 1 / -expm1(-(double)(size ? size : 1) / HEAP_PERIOD);
}

/* ---- the table; all with the mutex */

static uint32_t hash_of(const void *at)
{
	return (uint32_t)(((uintptr_t)at * 0x9e3779b97f4a7c15ULL) >> 48);
}

static uint32_t find_site(struct sampler *s, void *const *stack, unsigned depth)
{
	uint64_t hash = depth;
	struct entry *e;
	uint32_t number;

	for (unsigned i = 0; i < depth; i++)
		hash = (hash ^ (uintptr_t)stack[i]) * 0x9e3779b97f4a7c15ULL;
	for (number = s->site_heads[hash % SITE_HEADS]; number; number = e->next) {
		e = &s->entries[number];
		if (e->hash == hash && e->site.depth == depth &&
		    memcmp(e->site.stack, stack, depth * sizeof(*stack)) == 0)
			return number;
	}
	if (s->site_count == SITES_MAX)
		return 0;
	number = ++s->site_count;
	e = &s->entries[number];
	e->hash = hash;
	e->site.depth = depth;
	memcpy(e->site.stack, stack, depth * sizeof(*stack));
	e->next = s->site_heads[hash % SITE_HEADS];
	s->site_heads[hash % SITE_HEADS] = number;
	return number;
}

/* 0: full. */
static uint32_t take_record(struct sampler *s)
{
	uint32_t number = s->free_record;

	if (number)
		s->free_record = s->records[number].next;
	else if (s->record_count < RECORDS_MAX)
		number = ++s->record_count;
	return number;
}

static void remember(struct sampler *s, void *at, size_t size, void *const *stack, unsigned depth)
{
	uint32_t site = find_site(s, stack, depth), number = site ? take_record(s) : 0;
	uint32_t *head = &s->record_heads[hash_of(at)];
	double weight = weight_of(size);
	struct heap_site *h = &s->entries[site].site;

	if (!number) {
		s->lost++;
		return;
	}
	s->records[number] = (struct record){at, size, site, *head};
	__atomic_store_n(head, number, __ATOMIC_RELAXED);
	h->allocated_objects += weight;
	h->allocated_bytes += weight * (double)size;
	h->live_objects += weight;
	h->live_bytes += weight * (double)size;
}

static void forget(struct sampler *s, const void *at)
{
	uint32_t *link = &s->record_heads[hash_of(at)], number;
	struct record *r;
	double weight;

	while (*link && s->records[*link].at != at)
		link = &s->records[*link].next;
	number = *link;
	if (!number)
		return;
	r = &s->records[number];
	weight = weight_of(r->size);
	s->entries[r->site].site.live_objects -= weight;
	s->entries[r->site].site.live_bytes -= weight * (double)r->size;
	__atomic_store_n(link, r->next, __ATOMIC_RELAXED);
	r->next = s->free_record;
	s->free_record = number;
}

/* ---- in front of glibc */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *at, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *at);

static struct sampler *running(void)
{
	return __atomic_load_n(&sampler, __ATOMIC_ACQUIRE);
}

static __attribute__((noinline)) void take(struct sampler *s, void *at, size_t size, void *caller)
{
	void *stack[HEAP_DEPTH_MAX + OWN_FRAMES];
	int depth, first = 0, saved = errno;

	is_inside = true;
	depth = backtrace(stack, HEAP_DEPTH_MAX + OWN_FRAMES);
	/* How many frames are ours is the compiler's choice. */
	while (first < depth && stack[first] != caller)
		first++;
	if (first == depth)
		first = 0;
	depth -= first;
	pthread_mutex_lock(&s->mutex);
	remember(s, at, size, stack + first,
		 (unsigned)(depth < HEAP_DEPTH_MAX ? depth : HEAP_DEPTH_MAX));
	pthread_mutex_unlock(&s->mutex);
	is_inside = false;
	errno = saved;
}

static void *noted(struct sampler *s, void *at, size_t size, void *caller)
{
	if (at && !is_inside && is_taken(size))
		take(s, at, size, caller);
	return at;
}

static void gone(struct sampler *s, void *at)
{
	if (!at || !__atomic_load_n(&s->record_heads[hash_of(at)], __ATOMIC_RELAXED))
		return;
	pthread_mutex_lock(&s->mutex);
	forget(s, at);
	pthread_mutex_unlock(&s->mutex);
}

void *malloc(size_t size)
{
	struct sampler *s = running();

	if (!s)
		return __libc_malloc(size);
	return noted(s, __libc_malloc(size), size, __builtin_return_address(0));
}

void *calloc(size_t count, size_t size)
{
	struct sampler *s = running();

	if (!s)
		return __libc_calloc(count, size);
	/* Where it overflows nothing is got. */
	return noted(s, __libc_calloc(count, size), count * size, __builtin_return_address(0));
}

void *realloc(void *at, size_t size)
{
	struct sampler *s = running();

	if (!s)
		return __libc_realloc(at, size);
	gone(s, at);
	return noted(s, __libc_realloc(at, size), size, __builtin_return_address(0));
}

void *aligned_alloc(size_t alignment, size_t size)
{
	struct sampler *s = running();

	if (!s)
		return __libc_memalign(alignment, size);
	return noted(s, __libc_memalign(alignment, size), size, __builtin_return_address(0));
}

void free(void *at)
{
	struct sampler *s = running();

	if (s)
		gone(s, at);
	__libc_free(at);
}

/* ---- starting and asking */

/* Its other threads are not there any more, and one of them may have had the mutex. */
static void stop_in_child(void)
{
	__atomic_store_n(&sampler, NULL, __ATOMIC_RELEASE);
}

static void start(void)
{
	struct sampler *s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	void *warm_up[4];

	if (s == MAP_FAILED)
		return;
	/* Its first call loads a library, and so allocates. */
	(void)backtrace(warm_up, 4);
	pthread_mutex_init(&s->mutex, NULL);
	pthread_atfork(NULL, NULL, stop_in_child);
	__atomic_store_n(&sampler, s, __ATOMIC_RELEASE);
}

void heap_sampling_start(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, start);
}

struct heap_site *heap_sites(size_t *count_out, uint64_t *lost_out)
{
	struct sampler *s = __atomic_load_n(&sampler, __ATOMIC_ACQUIRE);
	struct heap_site *out;

	*count_out = *lost_out = 0;
	if (!s)
		return NULL;
	/* Room for all: nothing is allocated under the mutex. Who asks shall not see himself. */
	out = __libc_calloc(SITES_MAX, sizeof(*out));
	if (!out)
		abort();
	pthread_mutex_lock(&s->mutex);
	for (uint32_t i = 0; i < s->site_count; i++)
		out[i] = s->entries[i + 1].site;
	*count_out = s->site_count;
	*lost_out = s->lost;
	pthread_mutex_unlock(&s->mutex);
	return out;
}

#endif
