/* Finds out what a stream is, and hands its bytes to the codec. Must not know tar. */
#include "fs/layer/inflate.h"

#include "base/mem.h"
#include "fs/layer/inflate_codec.h"

#include <errno.h>
#include <string.h>

struct inflate {
	struct inflate_run run;
	enum layer_compression compression;
	bool is_known; /* which compression it is */
	unsigned char first[4];
	size_t first_len;
	struct inflate_gzip *gzip;
	struct inflate_zstd *zstd;
};

int inflate_pass(struct inflate_run *run, const void *data, size_t len, struct err *e)
{
	run->out_pos += len;
	return len ? run->sink.bytes(run->sink.arg, data, len, e) : 0;
}

bool inflate_place_due(const struct inflate_run *run)
{
	return run->sink.place &&
	       (!run->has_place || run->out_pos - run->last_place >= run->sink.span_len);
}

int inflate_place_tell(struct inflate_run *run, struct inflate_place *place, struct err *e)
{
	place->out_offset = run->out_pos;
	run->last_place = run->out_pos;
	run->has_place = true;
	return run->sink.place(run->sink.arg, place, e);
}

struct inflate *inflate_new(const struct inflate_sink *sink)
{
	struct inflate *f = mem_new(struct inflate);

	f->run.sink = *sink;
	return f;
}

static void choose(struct inflate *f, enum layer_compression compression)
{
	f->compression = compression;
	f->is_known = true;
	if (compression == LAYER_GZIP)
		f->gzip = inflate_gzip_new();
	if (compression == LAYER_ZSTD)
		f->zstd = inflate_zstd_new();
}

int inflate_new_at(const struct inflate_sink *sink, enum layer_compression compression,
		   const struct inflate_place *place, struct inflate **out, struct err *e)
{
	struct inflate *f = inflate_new(sink);
	int r = 0;

	choose(f, compression);
	f->run.in_pos = place->in_offset - (place->bit_count > 0);
	f->run.out_pos = place->out_offset;
	if (f->gzip && !place->fresh)
		r = inflate_gzip_resume(f->gzip, place, e);
	if (r < 0) {
		inflate_free(f);
		return r;
	}
	*out = f;
	return 0;
}

void inflate_free(struct inflate *f)
{
	if (!f)
		return;
	inflate_gzip_free(f->gzip);
	inflate_zstd_free(f->zstd);
	free(f);
}

static enum layer_compression compression_of(const unsigned char *first, size_t len)
{
	static const unsigned char frame[4] = {0x28, 0xb5, 0x2f, 0xfd};
	static const unsigned char skippable[3] = {0x2a, 0x4d, 0x18};

	if (len >= 2 && first[0] == 0x1f && first[1] == 0x8b)
		return LAYER_GZIP;
	if (len == 4 && (memcmp(first, frame, 4) == 0 ||
			 ((first[0] & 0xf0) == 0x50 && memcmp(first + 1, skippable, 3) == 0)))
		return LAYER_ZSTD;
	return LAYER_PLAIN;
}

static int pass_on(struct inflate *f, const unsigned char *data, size_t len, struct err *e)
{
	struct inflate_place place = {.in_offset = f->run.in_pos, .fresh = true};
	int r = 0;

	if (f->gzip)
		return inflate_gzip_feed(f->gzip, &f->run, data, len, e);
	if (f->zstd)
		return inflate_zstd_feed(f->zstd, &f->run, data, len, e);
	if (inflate_place_due(&f->run))
		r = inflate_place_tell(&f->run, &place, e);
	if (r < 0)
		return r;
	f->run.in_pos += len;
	return inflate_pass(&f->run, data, len, e);
}

/* The first bytes are known: choose by them, and let the codec have them. */
static int begin(struct inflate *f, struct err *e)
{
	choose(f, compression_of(f->first, f->first_len));
	return pass_on(f, f->first, f->first_len, e);
}

int inflate_feed(struct inflate *f, const void *data, size_t len, struct err *e)
{
	const unsigned char *at = data;

	while (!f->is_known && len) {
		f->first[f->first_len++] = *at++;
		len--;
		if (f->first_len == sizeof(f->first)) {
			int r = begin(f, e);
			if (r < 0)
				return r;
		}
	}
	return len ? pass_on(f, at, len, e) : 0;
}

int inflate_end(struct inflate *f, struct err *e)
{
	int r = f->is_known ? 0 : begin(f, e);

	if (r < 0)
		return r;
	if ((f->gzip && !inflate_gzip_is_whole(f->gzip)) ||
	    (f->zstd && !inflate_zstd_is_whole(f->zstd)))
		return err_set(e, EBADMSG, "the compressed stream ends too early");
	return 0;
}

enum layer_compression inflate_compression(const struct inflate *f)
{
	return f->compression;
}
