/* Growable bytes. Small allocations abort on failure; growth is bounded by len_max. */
#include "base/buf.h"

#include "base/mem.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#define LEN_MAX_DEFAULT (64u << 20)

static bool reserve(struct buf *b, size_t more)
{
	size_t max = b->len_max ? b->len_max : LEN_MAX_DEFAULT;
	size_t cap = b->cap ? b->cap : 64;

	if (b->overflow || more > max || b->len > max - more) {
		b->overflow = true;
		return false;
	}
	while (cap < b->len + more + 1)
		cap *= 2;
	if (cap != b->cap) {
		b->data = mem_realloc(b->data, cap);
		b->cap = cap;
	}
	return true;
}

void buf_append(struct buf *b, const void *data, size_t len)
{
	if (!reserve(b, len))
		return;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = 0;
}

void buf_puts(struct buf *b, const char *text)
{
	buf_append(b, text, strlen(text));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	assert(n >= 0);
	if (!reserve(b, (size_t)n))
		return;
	va_start(ap, fmt);
	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void buf_consume(struct buf *b, size_t n)
{
	assert(n <= b->len);
	if (!n)
		return;
	memmove(b->data, b->data + n, b->len - n + 1);
	b->len -= n;
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->overflow = false;
	if (b->data)
		b->data[0] = 0;
}

void buf_release(struct buf *b)
{
	free(b->data);
	*b = (struct buf){.len_max = b->len_max};
}

char *buf_take(struct buf *b)
{
	char *data = b->data ? b->data : mem_dup("", 1);

	*b = (struct buf){.len_max = b->len_max};
	return data;
}
