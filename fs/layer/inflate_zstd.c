/* zstd frames back to back (RFC 8878), skippable ones included. Places are starts of frames. */
#include "base/mem.h"
#include "fs/layer/inflate_codec.h"

#include <errno.h>
#include <inttypes.h>
#include <zstd.h>

#define OUT_LEN (256 * 1024)

struct inflate_zstd {
	ZSTD_DStream *stream;
	bool between; /* frames: the next byte starts one */
	unsigned char out[OUT_LEN];
};

struct inflate_zstd *inflate_zstd_new(void)
{
	struct inflate_zstd *z = mem_new(struct inflate_zstd);

	z->stream = ZSTD_createDStream();
	if (!z->stream)
		abort();
	z->between = true;
	return z;
}

void inflate_zstd_free(struct inflate_zstd *z)
{
	if (z)
		ZSTD_freeDStream(z->stream);
	free(z);
}

bool inflate_zstd_is_whole(const struct inflate_zstd *z)
{
	return z->between;
}

/* One call of the library. */
static int step(struct inflate_zstd *z, struct inflate_run *run, ZSTD_inBuffer *in, bool *more,
		struct err *e)
{
	struct inflate_place place = {.in_offset = run->in_pos, .fresh = true};
	ZSTD_outBuffer out = {z->out, OUT_LEN, 0};
	size_t before = in->pos, left;
	int r = 0;

	if (z->between && in->pos < in->size && inflate_place_due(run))
		r = inflate_place_tell(run, &place, e);
	if (r < 0)
		return r;
	left = ZSTD_decompressStream(z->stream, &out, in);
	if (ZSTD_isError(left))
		return err_set(e, EBADMSG, "zstd at byte %" PRIu64 ": %s", run->in_pos,
			       ZSTD_getErrorName(left));
	run->in_pos += in->pos - before;
	z->between = left == 0;
	/* A full buffer may leave more inside, with no input to ask for it. */
	*more = in->pos < in->size || (out.pos == OUT_LEN && left);
	return inflate_pass(run, z->out, out.pos, e);
}

int inflate_zstd_feed(struct inflate_zstd *z, struct inflate_run *run, const unsigned char *data,
		      size_t len, struct err *e)
{
	ZSTD_inBuffer in = {data, len, 0};
	bool more = len > 0;
	int r = 0;

	while (r == 0 && more)
		r = step(z, run, &in, &more, e);
	return r;
}
