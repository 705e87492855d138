/*
 * Writes a profile as `go tool pprof` reads it: what is measured, then samples (a stack and what
 * was measured there), gzip'd. Stacks are addresses with the mappings of the program: pprof puts
 * names to them with the program's file (and its debug symbols) at hand.
 *
 * Source: github.com/google/pprof, proto/profile.proto.
 */
#ifndef BASE_PPROF_H
#define BASE_PPROF_H

#include "base/buf.h"

#include <stdint.h>

#define PPROF_VALUES_MAX 4

struct pprof;

/* Begun now; its mappings are those of now. */
struct pprof *pprof_new(void);
void pprof_free(struct pprof *p);
/* The next value of every sample, such as ("cpu", "nanoseconds"). Before samples; at most
 * PPROF_VALUES_MAX. */
void pprof_measures(struct pprof *p, const char *type, const char *unit);
/* From sample to sample there are so many of that. */
void pprof_period(struct pprof *p, const char *type, const char *unit, uint64_t period);
/* Functions whose whole name this expression matches are left out, with what they call. */
void pprof_drop_frames(struct pprof *p, const char *expression);
void pprof_comment(struct pprof *p, const char *text);
void pprof_time(struct pprof *p, int64_t wall_ms, int64_t duration_ms);
/* Addresses, the innermost first; one value for each pprof_measures(). */
void pprof_sample(struct pprof *p, void *const *stack, unsigned depth, const uint64_t *values);
/* Appends it. */
void pprof_finish(struct pprof *p, struct buf *out);

#endif
