/*
 * Ownership in locals: a local that owns is declared with cleanup(...), and hands over with
 * take_fd() or take_ptr(). So there is no goto and no leak on an early return.
 */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define cleanup(fn)	  __attribute__((cleanup(fn)))
#define must_check	  __attribute__((warn_unused_result))
#define printf_like(f, a) __attribute__((format(printf, f, a)))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define array_len(a)			(sizeof(a) / sizeof((a)[0]))

/* A descriptor that is not there is -1, never 0. */
static inline void close_at(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

static inline void free_at(void *ptr)
{
	free(*(void **)ptr);
	*(void **)ptr = NULL;
}

static inline void fclose_at(FILE **f)
{
	if (*f)
		fclose(*f);
	*f = NULL;
}

static inline void *take_ptr_(void **ptr)
{
	void *taken = *ptr;

	*ptr = NULL;
	return taken;
}
#define take_ptr(ptr) ((__typeof__(*(ptr)))take_ptr_((void **)(ptr)))

#endif
