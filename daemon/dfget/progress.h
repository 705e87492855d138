/* What the user sees of a running download: a bar on a terminal, a line now and then elsewhere. */
#ifndef DAEMON_DFGET_PROGRESS_H
#define DAEMON_DFGET_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct tally {
	uint64_t total; /* bytes of the whole; 0 = not known yet */
	uint64_t local; /* were here before */
	uint64_t from_peers, from_origin;
	unsigned parents; /* different ones */
};

enum progress_kind { PROGRESS_NONE, PROGRESS_BAR, PROGRESS_PLAIN, PROGRESS_JSON };

struct progress {
	enum progress_kind kind;
	FILE *out;
	int64_t started_ms, shown_ms;
	bool drawn;
};

/* word: "bar", ... or NULL to choose by out. */
void progress_init(struct progress *p, const char *word, bool none, FILE *out);
/* Shows it if it is time to (bar: 10 times a second, plain and json: every 10 s). */
void progress_show(struct progress *p, const struct tally *t);
/* Wipes the bar. */
void progress_end(struct progress *p);
/* One line of text, at most width columns, NUL-terminated: the bar itself. For tests. */
void progress_draw(char *line, size_t size, unsigned width, const struct tally *t,
		   int64_t elapsed_ms, bool ascii);
/* "1.2 GiB in 3.4 s; origin 0 B, peers 1.2 GiB (4), local 0 B; saved 100 %". */
void progress_summary(char *line, size_t size, const struct tally *t, int64_t elapsed_ms);

#endif
