/* Layers with a table of contents of their own, made in memory. */
#ifndef TEST_UNIT_FS_LAYER_TOC_MAKE_H
#define TEST_UNIT_FS_LAYER_TOC_MAKE_H

#include "base/mem.h"
#include "fs/layer/toc_index.h"
#include "test/unit/fs/layer/tar_make.h"

#include <isa-l/igzip_lib.h>
#include <zstd.h>

struct toc_maker {
	enum layer_toc kind;
	struct buf tar, blob, json;
	size_t flushed; /* of the tar: in the blob */
	size_t entries;
	size_t toc_offset, toc_len;
	char digest[DIGEST_HEX_LEN + 1], diff_id[DIGEST_HEX_LEN + 1];
	char toc_digest[DIGEST_HEX_LEN + 1];
};

static inline void toc_gzip(struct buf *out, const char *data, size_t len)
{
	struct isal_zstream z;
	size_t max = len + len / 8 + 1024;
	cleanup(free_at) uint8_t *part = mem_alloc(max);

	isal_deflate_init(&z);
	z.gzip_flag = IGZIP_GZIP;
	z.next_in = (uint8_t *)(uintptr_t)data;
	z.avail_in = (uint32_t)len;
	z.end_of_stream = 1;
	z.next_out = part;
	z.avail_out = (uint32_t)max;
	if (isal_deflate(&z) != COMP_OK || z.internal_state.state != ZSTATE_END)
		abort();
	buf_append(out, part, max - z.avail_out);
}

static inline void toc_zstd(struct buf *out, const char *data, size_t len)
{
	size_t max = ZSTD_compressBound(len);
	cleanup(free_at) char *part = mem_alloc(max);

	buf_append(out, part, ZSTD_compress(part, max, data, len, 1));
}

/* What is not in the blob yet becomes a member, a frame. */
static inline void toc_flush(struct toc_maker *m)
{
	if (m->tar.len == m->flushed)
		return;
	(m->kind == LAYER_TOC_ESTARGZ ? toc_gzip : toc_zstd)(&m->blob, m->tar.data + m->flushed,
							     m->tar.len - m->flushed);
	m->flushed = m->tar.len;
}

static inline void toc_make_begin(struct toc_maker *m, enum layer_toc kind)
{
	*m = (struct toc_maker){.kind = kind};
	buf_puts(&m->json, "{\"version\":1,\"entries\":[");
}

static inline void toc_make_release(struct toc_maker *m)
{
	buf_release(&m->tar);
	buf_release(&m->blob);
	buf_release(&m->json);
}

static inline void toc_entry_begin(struct toc_maker *m, const char *name, const char *type)
{
	buf_printf(&m->json, "%s{\"name\":\"%s\",\"type\":\"%s\"", m->entries++ ? "," : "", name,
		   type);
}

/* As tar_put() writes headers. */
#define TOC_MAKE_ATTRIBUTES ",\"mode\":420,\"modtime\":\"1970-01-01T00:16:40Z\""

static inline void toc_put(struct toc_maker *m, const char *name, const char *type, char tar_type,
			   const char *link)
{
	toc_entry_begin(m, name, type);
	buf_printf(&m->json, TOC_MAKE_ATTRIBUTES ",\"linkName\":\"%s\"}", link);
	tar_put(&m->tar, name, tar_type, 0, link);
}

static inline void toc_put_file(struct toc_maker *m, const char *name, const char *data, size_t len,
				size_t chunk)
{
	char hex[DIGEST_HEX_LEN + 1];
	size_t n;

	tar_put_data(&m->tar, name, '0', data, len);
	m->tar.len -= (len + 511) / 512 * 512; /* the data come chunk by chunk */
	sha256_hex(data, len, hex);
	toc_entry_begin(m, name, "reg");
	buf_printf(&m->json, TOC_MAKE_ATTRIBUTES ",\"size\":%zu,\"digest\":\"sha256:%s\"", len,
		   hex);
	for (size_t at = 0; at < len; at += n) {
		n = len - at < chunk ? len - at : chunk;
		toc_flush(m);
		if (at) {
			buf_puts(&m->json, "}");
			toc_entry_begin(m, name, "chunk");
			buf_printf(&m->json, ",\"chunkOffset\":%zu", at);
		}
		sha256_hex(data + at, n, hex);
		buf_printf(&m->json, ",\"offset\":%zu,\"chunkDigest\":\"sha256:%s\"", m->blob.len,
			   hex);
		if (at + n < len)
			buf_printf(&m->json, ",\"chunkSize\":%zu", n);
		buf_append(&m->tar, data + at, n);
	}
	buf_puts(&m->json, "}");
	tar_pad(&m->tar);
}

static inline void toc_put_u64(struct buf *b, uint64_t v)
{
	for (int i = 0; i < 8; i++, v >>= 8)
		buf_append(b, &(char){(char)v}, 1);
}

static inline void toc_end_estargz(struct toc_maker *m)
{
	toc_flush(m);
	m->toc_offset = m->blob.len;
	tar_put_data(&m->tar, "stargz.index.json", '0', m->json.data, m->json.len);
	tar_finish(&m->tar);
	toc_flush(m);
	m->toc_len = m->blob.len - m->toc_offset;
	buf_append(&m->blob, "\x1f\x8b\x08\x04\0\0\0\0\0\xff\x1a\0SG\x16\0", 16);
	buf_printf(&m->blob, "%016zxSTARGZ", m->toc_offset);
	buf_append(&m->blob, "\1\0\0\xff\xff\0\0\0\0\0\0\0\0", 13);
	sha256_hex(m->json.data, m->json.len, m->toc_digest);
}

static inline void toc_end_zstd(struct toc_maker *m)
{
	struct buf frame = BUF_INIT(0);

	tar_finish(&m->tar);
	toc_flush(m);
	toc_zstd(&frame, m->json.data, m->json.len);
	sha256_hex(frame.data, frame.len, m->toc_digest);
	buf_append(&m->blob, "\x50\x2a\x4d\x18", 4);
	buf_append(&m->blob, &(uint32_t){(uint32_t)frame.len}, 4);
	m->toc_offset = m->blob.len;
	m->toc_len = frame.len;
	buf_append(&m->blob, frame.data, frame.len);
	buf_append(&m->blob, "\x50\x2a\x4d\x18\x40\0\0\0", 8);
	toc_put_u64(&m->blob, m->toc_offset);
	toc_put_u64(&m->blob, frame.len);
	toc_put_u64(&m->blob, m->json.len);
	for (int i = 0; i < 4; i++)
		toc_put_u64(&m->blob, i == 0);
	buf_puts(&m->blob, "GNUlInUx");
	buf_release(&frame);
}

static inline void toc_make_end(struct toc_maker *m)
{
	buf_puts(&m->json, "]}");
	if (m->kind == LAYER_TOC_ESTARGZ)
		toc_end_estargz(m);
	else
		toc_end_zstd(m);
	sha256_hex(m->tar.data, m->tar.len, m->diff_id);
	sha256_hex(m->blob.data, m->blob.len, m->digest);
}

static inline struct toc_layer toc_made(const struct toc_maker *m)
{
	return (struct toc_layer){.digest = m->digest,
				  .diff_id = m->diff_id,
				  .toc_digest = m->toc_digest,
				  .of_stored = m->kind == LAYER_TOC_ZSTD_CHUNKED,
				  .compressed_len = m->blob.len,
				  .place = {m->kind, m->toc_offset, m->toc_len},
				  .dir = "/tmp"};
}

#endif
