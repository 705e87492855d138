/* Tars made in memory, field by field. */
#ifndef TEST_UNIT_FS_LAYER_TAR_MAKE_H
#define TEST_UNIT_FS_LAYER_TAR_MAKE_H

#include "base/buf.h"

#include <stdio.h>
#include <string.h>

static inline void tar_pad(struct buf *b)
{
	static const char zeros[512];

	buf_append(b, zeros, (512 - b->len % 512) % 512);
}

/* A header and size bytes of data: text, then zeros. */
static inline void tar_put_data(struct buf *b, const char *name, char type, const char *text,
				size_t size)
{
	char h[512] = {0};
	unsigned sum = 0;

	memcpy(h, name, strlen(name));
	snprintf(h + 100, 8, "%07o", 0644u);
	snprintf(h + 108, 8, "%07o", 0u);
	snprintf(h + 116, 8, "%07o", 0u);
	snprintf(h + 124, 12, "%011zo", size);
	snprintf(h + 136, 12, "%011o", 1000u);
	memset(h + 148, ' ', 8);
	h[156] = type;
	memcpy(h + 257, "ustar\00000", 8);
	if (type == '2' || type == '1') {
		memcpy(h + 157, text, strlen(text));
		text = "";
	}
	for (int i = 0; i < 512; i++)
		sum += (unsigned char)h[i];
	snprintf(h + 148, 8, "%06o", sum);
	buf_append(b, h, sizeof(h));
	buf_append(b, text, strlen(text) < size ? strlen(text) : size);
	for (size_t i = strlen(text); i < size; i++)
		buf_append(b, "", 1);
	tar_pad(b);
}

static inline void tar_put(struct buf *b, const char *name, char type, size_t size,
			   const char *link)
{
	tar_put_data(b, name, type, link ? link : "", size);
}

/* 'L' or 'K': a long name, with its NUL. */
static inline void tar_text_put(struct buf *b, char type, const char *text)
{
	tar_put_data(b, "././@LongLink", type, text, strlen(text) + 1);
}

static inline void tar_pax_records(struct buf *b, const char *records)
{
	tar_put_data(b, "PaxHeader", 'x', records, strlen(records));
}

static inline void tar_pax_put(struct buf *b, char type, const char *key, const char *value)
{
	struct buf record = BUF_INIT(0);
	size_t n = strlen(key) + strlen(value) + 3;

	n += n + 1 > 9 ? 2 : 1;
	buf_printf(&record, "%zu %s=%s\n", n, key, value);
	tar_put_data(b, "PaxHeader", type, record.data, record.len);
	buf_release(&record);
}

static inline void tar_finish(struct buf *b)
{
	static const char zeros[1024];

	buf_append(b, zeros, sizeof(zeros));
}

#endif
