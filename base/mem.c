/* Allocation that does not fail. */
#include "base/mem.h"

#include <stdarg.h>
#include <string.h>

static void *check(void *ptr)
{
	if (!ptr)
		abort();
	return ptr;
}

void *mem_alloc(size_t size)
{
	return check(calloc(1, size ? size : 1));
}

void *mem_array(size_t count, size_t size)
{
	return check(calloc(count ? count : 1, size));
}

void *mem_realloc(void *ptr, size_t size)
{
	return check(realloc(ptr, size ? size : 1));
}

void *mem_dup(const void *data, size_t len)
{
	void *copy = check(malloc(len ? len : 1));

	if (len)
		memcpy(copy, data, len);
	return copy;
}

char *mem_strdup(const char *text)
{
	return text ? mem_dup(text, strlen(text) + 1) : NULL;
}

char *mem_strndup(const char *text, size_t len)
{
	char *copy = check(malloc(len + 1));

	memcpy(copy, text, len);
	copy[len] = 0;
	return copy;
}

char *mem_printf(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	return text;
}
