/*
 * gzip members back to back (RFC 1952), inflated by ISA-L. Its decoder does not stop between
 * deflate blocks; but fed eight bytes at a time it comes to rest inside the next block's header,
 * and its (public) state then says how many bytes and bits of that header it keeps. So when a place
 * is due, it is fed like that until it rests there: some thousand short calls for every place.
 *
 *   HEADER  ten bytes, then what their flags announce  -> BODY
 *   BODY    deflate blocks                             -> TRAILER
 *   TRAILER CRC-32 and length                          -> HEADER
 *
 * Must not know tar, nor where places are kept.
 */
#include "base/mem.h"
#include "fs/layer/inflate_codec.h"

#include <errno.h>
#include <inttypes.h>
#include <isa-l/igzip_lib.h>
#include <string.h>

#define OUT_LEN	    (256 * 1024)
#define IN_MAX	    (1024 * 1024)
#define STEP_LEN    8
#define TRAILER_LEN 8

enum { FLAG_HCRC = 2, FLAG_EXTRA = 4, FLAG_NAME = 8, FLAG_COMMENT = 16, FLAGS_UNKNOWN = 0xe0 };
enum part { HEADER, BODY, TRAILER };
enum field { FIXED, EXTRA_LEN, EXTRA, NAME, COMMENT, HCRC };

struct inflate_gzip {
	enum part part;
	enum field field; /* HEADER: where in it */
	uint32_t have;	  /* bytes of the field */
	uint32_t extra_len;
	unsigned char flags;
	unsigned char trailer[TRAILER_LEN];
	uint32_t trailer_len;
	bool resumed; /* in the middle of this member: its CRC cannot be known */
	uint32_t crc, len;
	struct inflate_state state;
	size_t window_len; /* bytes of this member at the front of buf */
	unsigned char buf[INFLATE_WINDOW_LEN + OUT_LEN];
};

struct inflate_gzip *inflate_gzip_new(void)
{
	return mem_new(struct inflate_gzip);
}

void inflate_gzip_free(struct inflate_gzip *g)
{
	free(g);
}

bool inflate_gzip_is_whole(const struct inflate_gzip *g)
{
	return g->part == HEADER && g->field == FIXED && g->have == 0;
}

static void begin_body(struct inflate_gzip *g)
{
	isal_inflate_init(&g->state);
	g->state.crc_flag = ISAL_DEFLATE;
	g->part = BODY;
	g->crc = g->len = 0;
	g->resumed = false;
	g->window_len = 0;
	g->trailer_len = 0;
}

int inflate_gzip_resume(struct inflate_gzip *g, const struct inflate_place *place, struct err *e)
{
	begin_body(g);
	g->resumed = true;
	if (place->bit_count > 7 || place->window_len > INFLATE_WINDOW_LEN)
		return err_set(e, EBADMSG, "a place of inflating that cannot be");
	memcpy(g->buf, place->window, place->window_len);
	g->window_len = place->window_len;
	if (place->window_len &&
	    isal_inflate_set_dict(&g->state, g->buf, (uint32_t)place->window_len) != COMP_OK)
		return err_set(e, EIO, "inflate cannot begin with a window");
	/* The first byte's upper bits are put in by the first feed. */
	g->have = place->bit_count;
	return 0;
}

static int broken(const struct inflate_run *run, const char *what, struct err *e)
{
	return err_set(e, EBADMSG, "gzip at byte %" PRIu64 ": %s", run->in_pos, what);
}

static int fixed_byte(struct inflate_gzip *g, struct inflate_run *run, unsigned char c,
		      struct err *e)
{
	static const unsigned char magic[3] = {0x1f, 0x8b, 8};

	if (g->have < 3 && c != magic[g->have])
		return broken(run, "not a member's header", e);
	if (g->have == 3) {
		if (c & FLAGS_UNKNOWN)
			return broken(run, "unknown flags", e);
		g->flags = c;
	}
	if (++g->have == 10) {
		g->field = EXTRA_LEN;
		g->have = 0;
	}
	return 0;
}

/* Whether the header has the field that is looked at; those it has not take no byte. */
static bool has_field(const struct inflate_gzip *g)
{
	switch (g->field) {
	case EXTRA_LEN:
	case EXTRA:
		return g->flags & FLAG_EXTRA;
	case NAME:
		return g->flags & FLAG_NAME;
	case COMMENT:
		return g->flags & FLAG_COMMENT;
	case HCRC:
		return g->flags & FLAG_HCRC;
	default:
		return true;
	}
}

static void header_skip(struct inflate_gzip *g)
{
	while (g->field <= HCRC && (!has_field(g) || (g->field == EXTRA && g->extra_len == 0))) {
		g->field++;
		g->have = 0;
	}
	if (g->field > HCRC) {
		g->field = FIXED;
		g->have = 0;
		begin_body(g);
	}
}

static void field_byte(struct inflate_gzip *g, unsigned char c)
{
	bool done = false;

	g->have++;
	switch (g->field) {
	case EXTRA_LEN:
		g->extra_len = g->have == 1 ? c : g->extra_len | (uint32_t)c << 8;
		done = g->have == 2;
		break;
	case EXTRA:
		done = g->have == g->extra_len;
		break;
	case HCRC:
		done = g->have == 2;
		break;
	default: /* texts */
		done = c == 0;
		g->have = 1;
		break;
	}
	if (done) {
		g->field++;
		g->have = 0;
	}
}

static int header(struct inflate_gzip *g, struct inflate_run *run, const unsigned char **at,
		  const unsigned char *end, struct err *e)
{
	struct inflate_place place = {.in_offset = run->in_pos, .fresh = true};
	int r = 0;

	if (g->field == FIXED && g->have == 0 && inflate_place_due(run))
		r = inflate_place_tell(run, &place, e);
	while (r == 0 && g->part == HEADER && *at < end) {
		unsigned char c = *(*at)++;

		if (g->field == FIXED)
			r = fixed_byte(g, run, c, e);
		else
			field_byte(g, c);
		run->in_pos++;
		if (r == 0 && g->field != FIXED)
			header_skip(g);
	}
	return r;
}

static int trailer(struct inflate_gzip *g, struct inflate_run *run, struct err *e)
{
	uint32_t crc = 0, len = 0;

	for (int i = 3; i >= 0; i--) {
		crc = crc << 8 | g->trailer[i];
		len = len << 8 | g->trailer[4 + i];
	}
	if (!g->resumed && (crc != g->crc || len != g->len))
		return broken(run, "a member's CRC or length is wrong", e);
	g->part = HEADER;
	g->field = FIXED;
	g->have = 0;
	return 0;
}

static int trailer_bytes(struct inflate_gzip *g, struct inflate_run *run, const unsigned char **at,
			 const unsigned char *end, struct err *e)
{
	while (*at < end && g->trailer_len < TRAILER_LEN) {
		g->trailer[g->trailer_len++] = *(*at)++;
		run->in_pos++;
	}
	return g->trailer_len == TRAILER_LEN ? trailer(g, run, e) : 0;
}

/* The decoder has read on into the trailer: what it keeps in its bits comes first. */
static int end_body(struct inflate_gzip *g, struct inflate_run *run, struct err *e)
{
	int32_t bits = g->state.read_in_length;
	uint64_t kept = g->state.read_in >> (bits % 8);

	for (int32_t i = 0; i < bits / 8; i++, kept >>= 8)
		g->trailer[g->trailer_len++] = (unsigned char)kept;
	g->part = TRAILER;
	return g->trailer_len == TRAILER_LEN ? trailer(g, run, e) : 0;
}

/* Tells the place if the decoder rests in, or before, a block's header with all output out. */
static int tell_if_resting(struct inflate_gzip *g, struct inflate_run *run, struct err *e)
{
	const struct inflate_state *s = &g->state;
	struct inflate_place place = {.window = g->buf, .window_len = g->window_len};
	uint64_t bit;

	if ((s->block_state != ISAL_BLOCK_HDR && s->block_state != ISAL_BLOCK_NEW_HDR) ||
	    s->tmp_out_processed != s->tmp_out_valid || s->read_in_length < 0 || s->avail_in)
		return 0;
	bit = (run->in_pos - (uint64_t)s->tmp_in_size) * 8 - (uint64_t)s->read_in_length;
	place.in_offset = (bit + 7) / 8;
	place.bit_count = (uint8_t)(place.in_offset * 8 - bit);
	return inflate_place_tell(run, &place, e);
}

/* Passes what came out and keeps the last 32 KiB at the front. */
static int pass_out(struct inflate_gzip *g, struct inflate_run *run, struct err *e)
{
	unsigned char *from = g->buf + g->window_len;
	size_t n = (size_t)(g->state.next_out - from), keep = g->window_len + n;
	int r;

	if (n == 0)
		return 0;
	if (!g->resumed) {
		g->crc = crc32_update(g->crc, from, n);
		g->len += (uint32_t)n;
	}
	r = inflate_pass(run, from, n, e);
	if (keep > INFLATE_WINDOW_LEN) {
		memmove(g->buf, g->buf + keep - INFLATE_WINDOW_LEN, INFLATE_WINDOW_LEN);
		keep = INFLATE_WINDOW_LEN;
	}
	g->window_len = keep;
	return r;
}

/* The bits of the byte before the place, which feeds begin with. */
static void first_bits(struct inflate_gzip *g, struct inflate_run *run, const unsigned char **at)
{
	g->state.read_in = (uint64_t) * (*at)++ >> (8 - g->have);
	g->state.read_in_length = (int32_t)g->have;
	g->have = 0;
	run->in_pos++;
}

static int body(struct inflate_gzip *g, struct inflate_run *run, const unsigned char **at,
		const unsigned char *end, struct err *e)
{
	bool due = inflate_place_due(run);
	size_t n = (size_t)(end - *at);
	int r;

	if (g->have) {
		first_bits(g, run, at);
		return 0;
	}
	if (n > IN_MAX)
		n = IN_MAX;
	if (due && n > STEP_LEN)
		n = STEP_LEN;
	g->state.next_in = (unsigned char *)*at;
	g->state.avail_in = (uint32_t)n;
	g->state.next_out = g->buf + g->window_len;
	g->state.avail_out = OUT_LEN;
	r = isal_inflate(&g->state);
	if (r < 0)
		return broken(run, "a deflate block is broken", e);
	n -= g->state.avail_in;
	if (n == 0 && *at < end && g->state.avail_out == OUT_LEN &&
	    g->state.block_state != ISAL_BLOCK_FINISH)
		return broken(run, "the decoder does not go on", e);
	*at += n;
	run->in_pos += n;
	r = pass_out(g, run, e);
	if (r < 0)
		return r;
	if (g->state.block_state == ISAL_BLOCK_FINISH)
		return end_body(g, run, e);
	return due ? tell_if_resting(g, run, e) : 0;
}

/* Output may wait inside the decoder with all input taken: as when the buffer came out full. */
static bool has_more(const struct inflate_gzip *g, const unsigned char *at,
		     const unsigned char *end)
{
	return at < end || (g->part == BODY && g->state.avail_out == 0);
}

int inflate_gzip_feed(struct inflate_gzip *g, struct inflate_run *run, const unsigned char *data,
		      size_t len, struct err *e)
{
	const unsigned char *at = data, *end = data + len;
	int r = 0;

	g->state.avail_out = 1;
	while (r == 0 && has_more(g, at, end)) {
		if (g->part == HEADER)
			r = header(g, run, &at, end, e);
		else if (g->part == TRAILER)
			r = trailer_bytes(g, run, &at, end, e);
		else
			r = body(g, run, &at, end, e);
	}
	return r;
}
