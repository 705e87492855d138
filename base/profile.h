/*
 * Where a program's time and memory go, for `go tool pprof` and its like: the process's own call
 * stacks, sampled by a timer of processor time; those of its allocations (base/heap.h); and its
 * threads. How a profile is written: base/pprof.h.
 */
#ifndef BASE_PROFILE_H
#define BASE_PROFILE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

#define PROFILE_SECONDS_MAX 300

/* Samples all threads 100 times in each second of processor time, until profile_cpu_stop(). EBUSY:
 * one is running. */
must_check int profile_cpu_start(struct err *e);
/* Appends the profile, gzip'd. Samples past 20,000 are not kept (and said so in a comment). */
void profile_cpu_stop(struct buf *out);
/* Appends who allocated how much since heap_sampling_start(), and who still has it, gzip'd. */
void profile_heap(struct buf *out);
/* Lines: the bytes that malloc has in use, free but kept, and mapped one by one. */
void profile_memory(struct buf *out);
/* A line per thread: id, name, state, processor time, where in the kernel it waits. */
void profile_threads(struct buf *out);

#endif
