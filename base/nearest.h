/* "Did you mean": the known word that is nearest to one that is not known. */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include <stddef.h>

/* Start with nearest_init(), offer candidates, read word (NULL if none is near enough). */
struct nearest {
	const char *wanted;
	const char *word;
	size_t len; /* of word */
	unsigned distance;
};

void nearest_init(struct nearest *n, const char *wanted);
/* word stays the caller's and must outlive n; only its first len bytes count. */
void nearest_offer(struct nearest *n, const char *word, size_t len);

#endif
