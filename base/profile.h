/*
 * Where a program's time and memory go, for `go tool pprof` and its like: the process's own call
 * stacks, sampled by a timer of processor time and written as profile.proto (gzip); what malloc
 * holds; and its threads. The stacks are addresses with the mappings of the program: pprof puts
 * names to them with the program's file (and its debug symbols) at hand.
 *
 * Source: github.com/google/pprof, proto/profile.proto.
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
/* What malloc holds, as a profile of two samples (in use, free but kept), gzip'd. Who asked for it
 * is not known: glibc does not tell, and counting would cost every call. */
void profile_heap(struct buf *out);
/* A line per thread: id, name, state, processor time, where in the kernel it waits. */
void profile_threads(struct buf *out);

#endif
