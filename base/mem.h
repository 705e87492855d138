/* Small allocations that abort when memory is out. A size that came from outside is bounded by
 * the caller first. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include "base/cleanup.h"

void *mem_alloc(size_t size);		    /* zeroed */
void *mem_array(size_t count, size_t size); /* zeroed, overflow-checked */
void *mem_realloc(void *ptr, size_t size);
void *mem_dup(const void *data, size_t len);
char *mem_strdup(const char *text);		 /* NULL gives NULL */
char *mem_strndup(const char *text, size_t len); /* adds the NUL */
char *mem_printf(const char *fmt, ...) printf_like(1, 2);

#define mem_new(type) ((type *)mem_alloc(sizeof(type)))

#endif
