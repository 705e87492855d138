/*
 * What went wrong, told where it is known. An error lives on the caller's stack: nothing to free.
 *
 * Functions return 0 or -errno and set *e exactly when the result is negative. Either return it,
 * wrap it with what you know, or handle it and log it once.
 *
 * Whoever meets an error at a terminal or in the log is told a code of base/fault.h with it: the
 * one that err_blame() named where the cause was known, else the one that fits the errno.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/cleanup.h"

struct err {
	int code;	   /* errno, positive; 0 = no error */
	char text[232];	   /* one line, no newline, always terminated; cut with "..." if too long */
	const char *fault; /* "SK130", of base/fault.h; NULL = nobody said */
};

/* Sets *e (may be NULL) to errno_code and the text; appends ": <strerror>" when the code is one
 * of the system's own (see err.c). Returns -errno_code. errno_code must be > 0. */
int err_set(struct err *e, int errno_code, const char *fmt, ...) printf_like(3, 4);

/* Puts "<text>: " before what *e says and keeps its code. Returns -e->code. e may not be NULL. */
int err_wrap(struct err *e, const char *fmt, ...) printf_like(2, 3);

/* Copies; dst may be NULL. Returns -src->code. */
int err_copy(struct err *dst, const struct err *src);

/* Says which fault (a constant of base/fault.h's table) an error is, if r < 0 and nobody said it
 * before; e may be NULL. Returns r, so that it can stand around the call that failed. */
int err_blame(struct err *e, const char *fault, int r);

/* The code to tell: never NULL. e must be set. */
const char *err_fault(const struct err *e);

#endif
