/* A growable run of bytes with a hard bound. Always terminated by a NUL that is not counted. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>

struct buf {
	char *data; /* never NULL after the first append; data[len] == 0 */
	size_t len, cap;
	size_t len_max; /* 0 = 64 MiB */
	bool overflow;	/* an append would have passed len_max: it and all later ones did nothing */
};

#define BUF_INIT(max)                                                                              \
	{                                                                                          \
		.len_max = (max)                                                                   \
	}

void buf_append(struct buf *b, const void *data, size_t len);
void buf_puts(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *fmt, ...) printf_like(2, 3);
/* Drops n bytes from the front; n <= len. */
void buf_consume(struct buf *b, size_t n);
void buf_clear(struct buf *b); /* keeps the memory */
void buf_release(struct buf *b);
/* Hands the memory over ("" if empty, never NULL); the caller frees it. */
char *buf_take(struct buf *b);

#endif
