/*
 * Reads an index. What is used is checked before: the head and tables on opening, windows and the
 * EROFS image when they are asked for. Must not know who has the layer's bytes.
 */
#include "fs/layer/index.h"

#include "base/mem.h"
#include "fs/layer/chunks.h"
#include "fs/layer/index_format.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <zstd.h>

struct layer_index {
	int fd;
	struct layer_info info;
	struct index_section sections[INDEX_SECTION_COUNT]; /* in the host's byte order */
	struct index_record *records;			    /* the same */
	uint8_t *blocks;				    /* 32 bytes each */
	uint64_t block_count;
	struct chunks *chunks; /* instead of records and blocks, or NULL */
};

static int bad(struct err *e, const char *what)
{
	return err_set(e, EBADMSG, "the index is damaged or not an index: %s", what);
}

static int read_head(int fd, struct index_head *h, struct err *e)
{
	int r = index_pread(fd, 0, h, sizeof(*h), e);

	if (r < 0)
		return r;
	if (memcmp(h->magic, INDEX_MAGIC, sizeof(h->magic)) != 0)
		return bad(e, "its first bytes");
	if ((le32toh(h->version) != INDEX_VERSION && le32toh(h->version) != INDEX_VERSION_TOC) ||
	    le32toh(h->head_len) != INDEX_HEAD_LEN)
		return err_set(e, EBADMSG, "an index of version %u, this program reads %d and %d",
			       le32toh(h->version), INDEX_VERSION, INDEX_VERSION_TOC);
	if (le64toh(h->xxh3) != xxh3_of(h, offsetof(struct index_head, xxh3)))
		return bad(e, "its head's checksum");
	return 0;
}

static int take_sections(struct layer_index *ix, const struct index_head *h, struct err *e)
{
	uint64_t at = INDEX_HEAD_LEN;
	struct stat st;

	if (fstat(ix->fd, &st) < 0)
		return err_set(e, errno, "stat the index");
	for (int i = 0; i < INDEX_SECTION_COUNT; i++) {
		struct index_section *s = &ix->sections[i];

		s->offset = le64toh(h->sections[i].offset);
		s->stored_len = le64toh(h->sections[i].stored_len);
		s->raw_len = le64toh(h->sections[i].raw_len);
		s->xxh3 = le64toh(h->sections[i].xxh3);
		if (s->offset != at || s->stored_len > (uint64_t)st.st_size - at)
			return bad(e, "its sections");
		at += s->stored_len;
		if (at > (uint64_t)st.st_size)
			return bad(e, "its sections");
	}
	return at == (uint64_t)st.st_size ? 0 : bad(e, "its length");
}

static int take_info(struct layer_index *ix, const struct index_head *h, struct err *e)
{
	struct layer_info *info = &ix->info;
	uint32_t compression = le32toh(h->compression), toc = le32toh(h->toc);

	if (compression > LAYER_ZSTD || toc > LAYER_TOC_ZSTD_CHUNKED)
		return bad(e, "its kind of compression");
	index_hex_print(h->digest, info->digest);
	index_hex_print(h->diff_id, info->diff_id);
	memcpy(info->id, info->digest, sizeof(info->id));
	info->compression = (enum layer_compression)compression;
	info->toc = (enum layer_toc)toc;
	info->compressed_len = le64toh(h->compressed_len);
	info->len = le64toh(h->len);
	info->inode_count = le64toh(h->inode_count);
	info->span_len_max = le64toh(h->span_len_max);
	info->checkpoint_count = le32toh(h->checkpoint_count);
	info->implied_dirs = le32toh(h->implied_dirs);
	info->prefetch_len = le64toh(h->prefetch_len);
	info->erofs_len = ix->sections[INDEX_EROFS].raw_len;
	info->tree_sum = ix->sections[INDEX_EROFS].xxh3;
	ix->block_count = (info->len + LAYER_BLOCK_LEN - 1) / LAYER_BLOCK_LEN;
	if (info->len > INDEX_LAYER_LEN_MAX || info->compressed_len > INDEX_LAYER_LEN_MAX ||
	    info->checkpoint_count > INDEX_CHECKPOINT_COUNT_MAX ||
	    info->erofs_len > INDEX_EROFS_LEN_MAX || info->prefetch_len > info->len)
		return bad(e, "its figures");
	return 0;
}

/* The stored bytes of a section, compared with their digest. */
static int read_section(const struct layer_index *ix, int no, uint64_t len_max, void **out,
			struct err *e)
{
	const struct index_section *s = &ix->sections[no];
	cleanup(free_at) void *data = NULL;
	int r;

	if (s->stored_len > len_max)
		return bad(e, "a section's length");
	data = mem_alloc(s->stored_len + 1);
	r = index_pread(ix->fd, s->offset, data, s->stored_len, e);
	if (r < 0)
		return r;
	if (xxh3_of(data, s->stored_len) != s->xxh3)
		return bad(e, "a section's checksum");
	*out = take_ptr(&data);
	return 0;
}

static bool ends_in_diff_id(const struct layer_index *ix)
{
	const uint8_t *last;
	char hex[DIGEST_HEX_LEN + 1];
	struct sha256 *s;

	if (ix->block_count == 0)
		return true;
	last = ix->blocks + (ix->block_count - 1) * 32;
	if (ix->info.len % LAYER_BLOCK_LEN) {
		index_hex_print(last, hex);
		return strcmp(hex, ix->info.diff_id) == 0;
	}
	s = sha256_new_at(last, ix->info.len);
	sha256_final(s, hex);
	sha256_free(s);
	return strcmp(hex, ix->info.diff_id) == 0;
}

static int read_blocks(struct layer_index *ix, struct err *e)
{
	const struct index_section *s = &ix->sections[INDEX_BLOCKS];
	void *data;
	int r;

	if (s->stored_len != ix->block_count * 32)
		return bad(e, "the count of its blocks");
	r = read_section(ix, INDEX_BLOCKS, INDEX_LAYER_LEN_MAX / LAYER_BLOCK_LEN * 32, &data, e);
	if (r < 0)
		return r;
	ix->blocks = data;
	return ends_in_diff_id(ix) ? 0 : bad(e, "its blocks are not those of its diff id");
}

/* Brings a checkpoint into the host's byte order and checks it against the one before. */
static bool take_record(const struct layer_index *ix, struct index_record *rec,
			const struct index_record *before)
{
	const struct index_section *w = &ix->sections[INDEX_WINDOWS];
	uint32_t bits;
	bool fresh;

	rec->in_offset = le64toh(rec->in_offset);
	rec->out_offset = le64toh(rec->out_offset);
	rec->window_offset = le64toh(rec->window_offset);
	rec->window_xxh3 = le64toh(rec->window_xxh3);
	rec->window_stored_len = le32toh(rec->window_stored_len);
	rec->window_raw_len = le32toh(rec->window_raw_len);
	rec->flags = le32toh(rec->flags);
	bits = rec->flags >> 8;
	fresh = rec->flags & INDEX_RECORD_FRESH;
	if (rec->in_offset > ix->info.compressed_len || rec->out_offset > ix->info.len || bits > 7)
		return false;
	if (!before && (rec->in_offset || rec->out_offset || !fresh))
		return false;
	if (before && (rec->out_offset < before->out_offset || rec->in_offset <= before->in_offset))
		return false;
	if (fresh)
		return bits == 0;
	return ix->info.compression == LAYER_GZIP && rec->window_offset <= w->stored_len &&
	       rec->window_stored_len <= w->stored_len - rec->window_offset &&
	       rec->window_raw_len <= INDEX_WINDOW_LEN &&
	       rec->window_stored_len <= ZSTD_COMPRESSBOUND(INDEX_WINDOW_LEN);
}

/* A section that is one frame of raw_len bytes. */
static int read_frame(const struct layer_index *ix, int no, size_t raw_len, void **out,
		      struct err *e)
{
	const struct index_section *s = &ix->sections[no];
	cleanup(free_at) void *stored = NULL, *raw = NULL;
	int r;

	if (s->raw_len != raw_len)
		return bad(e, "the count of a table");
	r = read_section(ix, no, ZSTD_compressBound(raw_len), &stored, e);
	if (r < 0)
		return r;
	/* Before so much memory is taken the frame must say that it has so much. */
	if (ZSTD_getFrameContentSize(stored, s->stored_len) != raw_len)
		return bad(e, "the length of a table");
	raw = mem_alloc(raw_len);
	if (ZSTD_decompress(raw, raw_len, stored, s->stored_len) != raw_len)
		return bad(e, "a table");
	*out = take_ptr(&raw);
	return 0;
}

static int read_records(struct layer_index *ix, struct err *e)
{
	uint32_t count = ix->info.checkpoint_count;
	void *records;
	int r = read_frame(ix, INDEX_CHECKPOINTS, count * sizeof(*ix->records), &records, e);

	if (r < 0)
		return r;
	ix->records = records;
	if (!count)
		return bad(e, "it has no checkpoint");
	for (uint32_t i = 0; i < count; i++) {
		if (!take_record(ix, &ix->records[i], i ? &ix->records[i - 1] : NULL))
			return bad(e, "a checkpoint");
	}
	return 0;
}

void index_toc_id(const char *digest, const char *toc_digest, const char *diff_id,
		  char out[DIGEST_HEX_LEN + 1])
{
	struct sha256 *s = sha256_new();

	sha256_update(s, "skimmer layer by toc", 20);
	sha256_update(s, digest, DIGEST_HEX_LEN);
	sha256_update(s, toc_digest, DIGEST_HEX_LEN);
	sha256_update(s, diff_id, DIGEST_HEX_LEN);
	sha256_final(s, out);
	sha256_free(s);
}

static int read_chunks(struct layer_index *ix, struct err *e)
{
	struct layer_info *info = &ix->info;
	uint32_t count = info->checkpoint_count;
	size_t len = count * sizeof(struct index_chunk);
	cleanup(free_at) void *data = NULL;
	const uint8_t *at;
	int r;

	if (count > INDEX_CHUNK_COUNT_MAX || info->compression == LAYER_PLAIN ||
	    info->toc == LAYER_TOC_NONE)
		return bad(e, "its chunks");
	r = read_frame(ix, INDEX_BLOCKS, INDEX_DIGEST_LEN + len, &data, e);
	if (r < 0)
		return r;
	at = data;
	index_hex_print(at, info->toc_digest);
	index_toc_id(info->digest, info->toc_digest, info->diff_id, info->id);
	r = chunks_new(mem_dup(at + INDEX_DIGEST_LEN, len), count, info, &ix->chunks, e);
	if (r == 0)
		ix->block_count = chunks_block_count(ix->chunks);
	return r;
}

static int open_all(struct layer_index *ix, struct err *e)
{
	struct index_head head;
	int r = read_head(ix->fd, &head, e);

	if (r == 0)
		r = take_sections(ix, &head, e);
	if (r == 0)
		r = take_info(ix, &head, e);
	if (r == 0 && le32toh(head.version) == INDEX_VERSION_TOC)
		return read_chunks(ix, e);
	if (r == 0)
		r = read_blocks(ix, e);
	return r == 0 ? read_records(ix, e) : r;
}

int index_check_rest(const struct layer_index *ix, struct err *e)
{
	const struct index_section *s = &ix->sections[INDEX_WINDOWS];
	struct xxh3 sum;
	char part[INDEX_ROOM];

	xxh3_init(&sum);
	for (uint64_t at = 0; at < s->stored_len; at += sizeof(part)) {
		uint64_t left = s->stored_len - at;
		size_t n = left < sizeof(part) ? (size_t)left : sizeof(part);
		int r = index_pread(ix->fd, s->offset + at, part, n, e);

		if (r < 0)
			return r;
		xxh3_update(&sum, part, n);
	}
	return xxh3_final(&sum) == s->xxh3 ? 0 : bad(e, "the checksum of its windows");
}

int index_open(int fd, struct layer_index **out, struct err *e)
{
	struct layer_index *ix = mem_new(struct layer_index);
	int r = 0;

	ix->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (ix->fd < 0)
		r = err_set(e, errno, "keep the index open");
	if (r == 0)
		r = open_all(ix, e);
	if (r < 0) {
		index_free(ix);
		return r;
	}
	*out = ix;
	return 0;
}

void index_free(struct layer_index *ix)
{
	if (!ix)
		return;
	close_at(&ix->fd);
	chunks_free(ix->chunks);
	free(ix->records);
	free(ix->blocks);
	free(ix);
}

const struct layer_info *index_info(const struct layer_index *ix)
{
	return &ix->info;
}

const struct chunks *index_chunks(const struct layer_index *ix)
{
	return ix->chunks;
}

/* One step of unpacking: stored bytes of a section into a frame's bytes, written to fd. */
static int unpack_part(ZSTD_DStream *stream, const void *data, size_t len, int fd, uint64_t *at,
		       uint64_t max, struct err *e)
{
	char raw[INDEX_ROOM];
	ZSTD_inBuffer in = {data, len, 0};
	ZSTD_outBuffer out = {raw, sizeof(raw), 0};

	while (in.pos < in.size || out.pos == out.size) {
		size_t left;
		int r;

		out.pos = 0;
		left = ZSTD_decompressStream(stream, &out, &in);
		if (ZSTD_isError(left) || out.pos > max - *at)
			return bad(e, "its tree");
		r = index_pwrite(fd, *at, raw, out.pos, e);
		if (r < 0)
			return r;
		*at += out.pos;
	}
	return 0;
}

static void free_stream(ZSTD_DStream **stream)
{
	ZSTD_freeDStream(*stream);
}

int index_erofs_write(const struct layer_index *ix, int fd, struct err *e)
{
	const struct index_section *s = &ix->sections[INDEX_EROFS];
	cleanup(free_stream) ZSTD_DStream *stream = ZSTD_createDStream();
	uint64_t done = 0, n, at = 0;
	char stored[INDEX_ROOM];
	struct xxh3 sum;

	if (!stream)
		abort();
	xxh3_init(&sum);
	for (; done < s->stored_len; done += n) {
		int r;

		n = s->stored_len - done;
		if (n > sizeof(stored))
			n = sizeof(stored);
		r = index_pread(ix->fd, s->offset + done, stored, n, e);
		if (r == 0) {
			xxh3_update(&sum, stored, n);
			r = unpack_part(stream, stored, n, fd, &at, s->raw_len, e);
		}
		if (r < 0)
			return r;
	}
	return at == s->raw_len && xxh3_final(&sum) == s->xxh3 ? 0 : bad(e, "its tree's checksum");
}

static void describe(const struct layer_index *ix, uint32_t no, struct index_checkpoint *out)
{
	const struct index_record *rec = &ix->records[no];

	*out = (struct index_checkpoint){
		.no = no,
		.in_offset = rec->in_offset,
		.out_offset = rec->out_offset,
		.bit_count = (uint8_t)(rec->flags >> 8),
		.fresh = rec->flags & INDEX_RECORD_FRESH,
	};
}

/* The number of checkpoints whose out_offset is <= offset, or < offset. */
static uint32_t count_below(const struct layer_index *ix, uint64_t offset, bool or_equal)
{
	uint32_t low = 0, high = ix->info.checkpoint_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		uint64_t at = ix->records[middle].out_offset;

		if (at < offset || (or_equal && at == offset))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void index_checkpoint_before(const struct layer_index *ix, uint64_t offset,
			     struct index_checkpoint *out)
{
	describe(ix, count_below(ix, offset, true) - 1, out);
	if (ix->info.compression == LAYER_PLAIN) {
		uint64_t at = offset < ix->info.len ? offset : ix->info.len;

		out->in_offset = out->out_offset = at;
	}
}

bool index_checkpoint_after(const struct layer_index *ix, uint64_t offset,
			    struct index_checkpoint *out)
{
	uint32_t no = count_below(ix, offset, false);

	if (ix->info.compression == LAYER_PLAIN && offset < ix->info.len) {
		index_checkpoint_before(ix, offset, out);
		return true;
	}
	if (no == ix->info.checkpoint_count)
		return false;
	describe(ix, no, out);
	return true;
}

int index_window_read(const struct layer_index *ix, const struct index_checkpoint *cp,
		      unsigned char window[INDEX_WINDOW_LEN], size_t *len_out, struct err *e)
{
	const struct index_record *rec = &ix->records[cp->no];
	char stored[ZSTD_COMPRESSBOUND(INDEX_WINDOW_LEN)];
	int r;

	*len_out = 0;
	if (cp->fresh)
		return 0;
	r = index_pread(ix->fd, ix->sections[INDEX_WINDOWS].offset + rec->window_offset, stored,
			rec->window_stored_len, e);
	if (r < 0)
		return r;
	if (ZSTD_decompress(window, INDEX_WINDOW_LEN, stored, rec->window_stored_len) !=
		    rec->window_raw_len ||
	    xxh3_of(window, rec->window_raw_len) != rec->window_xxh3)
		return bad(e, "a checkpoint's window");
	*len_out = rec->window_raw_len;
	return 0;
}

/* From where the sum stood before block no to where it stands after it. */
static bool leads_on(const uint8_t *blocks, uint64_t no, const void *data, size_t len)
{
	struct sha256 *s =
		no ? sha256_new_at(blocks + (no - 1) * 32, no * LAYER_BLOCK_LEN) : sha256_new();
	char hex[DIGEST_HEX_LEN + 1];
	uint8_t after[32];

	sha256_update(s, data, len);
	if (len == LAYER_BLOCK_LEN) {
		sha256_state(s, after);
	} else {
		sha256_final(s, hex);
		index_hex_pack(hex, after);
	}
	sha256_free(s);
	return memcmp(after, blocks + no * 32, sizeof(after)) == 0;
}

uint64_t index_block_count(const struct layer_index *ix)
{
	return ix->block_count;
}

uint64_t index_block_at(const struct layer_index *ix, uint64_t offset)
{
	return ix->chunks ? chunks_block_at(ix->chunks, offset) : offset / LAYER_BLOCK_LEN;
}

void index_block_extent(const struct layer_index *ix, uint64_t no, uint64_t *offset_out,
			uint64_t *len_out)
{
	if (ix->chunks) {
		chunks_block_extent(ix->chunks, no, offset_out, len_out);
		return;
	}
	*offset_out = no * LAYER_BLOCK_LEN;
	*len_out = ix->info.len - *offset_out;
	if (*len_out > LAYER_BLOCK_LEN)
		*len_out = LAYER_BLOCK_LEN;
}

int index_block_check(const struct layer_index *ix, uint64_t no, const void *data, size_t len,
		      struct err *e)
{
	uint64_t offset, want;

	if (no >= ix->block_count)
		return err_set(e, EINVAL, "the layer has no block %" PRIu64, no);
	index_block_extent(ix, no, &offset, &want);
	if (ix->chunks ? chunks_block_is(ix->chunks, no, data, len)
		       : len == want && leads_on(ix->blocks, no, data, len))
		return 0;
	return err_set(e, EBADMSG, "block %" PRIu64 " of layer sha256:%s is not what it must be",
		       no, ix->info.digest);
}
