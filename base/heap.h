/*
 * Who holds the memory: of all that malloc and its kin hand out, about one allocation in each
 * 512 KiB is remembered with its stack until it is freed. From these samples the whole is
 * estimated: an allocation of n bytes is taken with probability 1 - e^(-n / 512 KiB), and stands
 * for so many.
 *
 * The program's malloc, calloc, realloc, aligned_alloc and free are ours for that, in front of
 * glibc's. Until sampling starts they cost the reading of one word. Builds with a sanitizer have
 * the sanitizer's, and nothing is sampled there.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

#define HEAP_PERIOD    (512u << 10) /* bytes from sample to sample, on average */
#define HEAP_DEPTH_MAX 32

/* A place that allocates, and estimates of what it did since sampling started. */
struct heap_site {
	void *stack[HEAP_DEPTH_MAX]; /* return addresses, the caller of malloc first */
	unsigned depth;
	double allocated_objects, allocated_bytes;
	double live_objects, live_bytes; /* not yet freed */
};

/* From now on, for the life of the process; what was allocated before is not seen. A child of
 * fork() samples nothing. Any thread, any number of times. */
void heap_sampling_start(void);
/* The sites so far, which the caller frees; NULL: sampling is off. *lost_out: samples for which
 * there was no room. */
struct heap_site *heap_sites(size_t *count_out, uint64_t *lost_out);

#endif
