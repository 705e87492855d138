/* The pieces of one task: what is here, proving, dropping, verifying the whole. */
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/store_private.h"
#include "daemon/store_record.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#define READ_SIZE (256u << 10)

/* The lock of a task that is otherwise only looked at. */
static struct lock *lock_of(const struct store_task *t)
{
	return (struct lock *)&t->lock;
}

const struct store_meta *store_task_meta(const struct store_task *t)
{
	return &t->meta;
}

int store_task_fd(const struct store_task *t)
{
	return t->fd;
}

struct store *store_task_store(const struct store_task *t)
{
	return t->store;
}

uint32_t store_task_present_count(const struct store_task *t)
{
	lock_guard(lock_of(t));
	return t->present;
}

bool store_task_is_complete(const struct store_task *t)
{
	return store_task_present_count(t) == t->meta.geometry.piece_count;
}

bool store_task_is_verified(const struct store_task *t)
{
	lock_guard(lock_of(t));
	return t->meta.whole_verified;
}

void store_task_touch(struct store_task *t)
{
	int64_t now = clock_wall_ms();

	lock_guard(&t->lock);
	t->meta.accessed_ms = now;
}

enum store_piece_state store_piece_get(const struct store_task *t, uint32_t index,
				       struct store_piece *out)
{
	assert(index < t->meta.geometry.piece_count);
	lock_guard(lock_of(t));
	if (out)
		*out = t->rows[index].piece;
	return t->rows[index].state;
}

uint64_t store_whole_xxh3(const struct store_piece_row *rows, uint32_t count)
{
	struct xxh3 x;

	xxh3_init(&x);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t le = htole64(rows[i].piece.xxh3);

		xxh3_update(&x, &le, sizeof(le));
	}
	return xxh3_final(&x);
}

void store_piece_settle_whole(struct store_task *t)
{
	t->meta.whole_verified = t->whole && t->present == t->meta.geometry.piece_count;
	if (!t->whole)
		t->meta.finished_ms = 0;
}

void store_row_print(const struct store_piece_row *row, uint32_t index, const char *id,
		     unsigned char *place)
{
	struct store_entry x = {
		.index = index,
		.length = row->piece.length,
		.crc32 = row->piece.crc32,
		.cost_ms = row->piece.cost_ms,
		.xxh3 = row->piece.xxh3,
		.epoch = row->epoch,
		.time_ms = row->piece.created_s * 1000,
		.source = row->piece.source,
	};

	store_entry_print(&x, id, place);
}

static void write_place(struct store_task *t, uint32_t index,
			const unsigned char place[STORE_PLACE_SIZE])
{
	off_t at = (off_t)(t->table + (size_t)index * STORE_PLACE_SIZE);

	if (t->record_fd < 0)
		return;
	if (pwrite(t->record_fd, place, STORE_PLACE_SIZE, at) == STORE_PLACE_SIZE)
		return;
	if (!__atomic_exchange_n(&t->store->record_warned, true, __ATOMIC_RELAXED))
		log_error(err_fault(&(struct err){.code = errno}),
			  "record cannot be written, pieces will be fetched again after a restart",
			  "task=%s piece=%u errno=%d", t->meta.id, index, errno);
}

void store_piece_write(struct store_task *t, uint32_t index, const struct store_piece_row *row)
{
	unsigned char place[STORE_PLACE_SIZE] = {0};

	if (row)
		store_row_print(row, index, t->meta.id, place);
	write_place(t, index, place);
}

bool store_piece_blocks(const struct store_task *t, uint32_t index, const struct store_piece *piece,
			uint32_t crc32_out[PIECE_BLOCKS])
{
	const struct geometry *g = &t->meta.geometry;
	unsigned char place[STORE_PLACE_SIZE];
	off_t at = (off_t)store_record_blocks(t->table, g->piece_count, index);

	return t->record_fd >= 0 &&
	       pread(t->record_fd, place, sizeof(place), at) == (ssize_t)sizeof(place) &&
	       store_blocks_parse(place, geometry_block_length(g), piece->length, piece->crc32,
				  crc32_out);
}

void store_piece_write_blocks(struct store_task *t, uint32_t index,
			      const uint32_t crc32[PIECE_BLOCKS])
{
	unsigned char place[STORE_PLACE_SIZE];
	off_t at = (off_t)store_record_blocks(t->table, t->meta.geometry.piece_count, index);

	store_blocks_print(crc32, place);
	if (t->record_fd >= 0 &&
	    pwrite(t->record_fd, place, sizeof(place), at) != (ssize_t)sizeof(place))
		log_debug("piece is served whole only, its blocks cannot be recorded",
			  "task=%s piece=%u errno=%d", t->meta.id, index, errno);
}

/* Without the lock; whatever it was, the piece is absent afterwards. False if it was before. */
bool store_piece_forget(struct store_task *t, uint32_t index)
{
	bool was_whole;

	{
		struct store_piece_row *row = &t->rows[index];

		lock_guard(&t->lock);
		if (row->state == STORE_ABSENT)
			return false;
		t->present -= row->state == STORE_PRESENT;
		t->recorded--;
		row->state = STORE_ABSENT;
		was_whole = t->whole;
		t->whole = false;
		store_piece_settle_whole(t);
	}
	if (was_whole)
		store_piece_write(t, t->meta.geometry.piece_count, NULL);
	store_piece_write(t, index, NULL);
	return true;
}

void store_piece_drop(struct store_task *t, uint32_t index)
{
	assert(index < t->meta.geometry.piece_count);
	if (!store_piece_forget(t, index))
		return;
	lock_guard(&t->store->lock);
	t->store->dropped_pieces++;
}

void store_task_drop(struct store_task *t)
{
	for (uint32_t i = 0; i < t->meta.geometry.piece_count; i++)
		store_piece_drop(t, i);
}

struct sums {
	struct xxh3 xxh3;
	uint32_t crc32;
	struct sha256 *sha256; /* NULL: only the two above; else only this */
};

/* Feeds [off, off+len) of the task's file into the sums. */
static int sum_range(const struct store_task *t, uint64_t off, uint64_t len, struct sums *sums,
		     struct err *e)
{
	size_t size = len < READ_SIZE ? (size_t)len : READ_SIZE;
	cleanup(free_at) unsigned char *data = mem_alloc(size);

	while (len > 0) {
		size_t want = len < size ? (size_t)len : size;
		ssize_t n = pread(t->fd, data, want, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, n < 0 ? errno : EIO, "read task %s at %" PRIu64,
				       t->meta.id, off);
		if (sums->sha256) {
			sha256_update(sums->sha256, data, (size_t)n);
		} else {
			sums->crc32 = crc32_update(sums->crc32, data, (size_t)n);
			xxh3_update(&sums->xxh3, data, (size_t)n);
		}
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

int store_piece_prove(struct store_task *t, uint32_t index, struct err *e)
{
	struct store_piece_row row;
	struct sums sums = {0};
	int r;

	assert(index < t->meta.geometry.piece_count);
	{
		lock_guard(&t->lock);
		row = t->rows[index];
	}
	if (row.state == STORE_ABSENT)
		return err_set(e, ENOENT, "task %s piece %u", t->meta.id, index);
	xxh3_init(&sums.xxh3);
	r = sum_range(t, geometry_offset(&t->meta.geometry, index), row.piece.length, &sums, e);
	if (r < 0 || sums.crc32 != row.piece.crc32 || xxh3_final(&sums.xxh3) != row.piece.xxh3) {
		store_piece_drop(t, index);
		return r < 0 ? err_set(e, EBADMSG, "task %s piece %u cannot be read", t->meta.id,
				       index)
			     : err_set(e, EBADMSG, "task %s piece %u is damaged on disk",
				       t->meta.id, index);
	}
	if (row.state == STORE_PRESENT)
		return 0;
	row.epoch = t->store->epoch;
	store_piece_write(t, index, &row);
	lock_guard(&t->lock);
	if (t->rows[index].state == STORE_UNPROVEN) {
		t->rows[index].state = STORE_PRESENT;
		t->rows[index].epoch = row.epoch;
		t->present++;
		store_piece_settle_whole(t);
	}
	return 0;
}

int store_task_hash(const struct store_task *t, char hex_out[DIGEST_HEX_LEN + 1], struct err *e)
{
	struct sums sums = {.sha256 = sha256_new()};
	uint64_t length = t->meta.geometry.content_length;
	int r;

	posix_fadvise(t->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	r = sum_range(t, 0, length, &sums, e);
	posix_fadvise(t->fd, 0, 0, POSIX_FADV_NORMAL);
	sha256_final(sums.sha256, hex_out);
	sha256_free(sums.sha256);
	return r;
}

static int compare_whole(struct store_task *t, const char *known, struct err *e)
{
	char hex[DIGEST_HEX_LEN + 1];
	const char *want = NULL;
	int r = known ? 0 : store_task_hash(t, hex, e);

	if (r < 0)
		return r;
	if (!known)
		known = hex;
	if (!digest_is_sha256(t->meta.digest, &want) || strcmp(known, want) != 0)
		return err_set(e, EBADMSG, "task %s is sha256:%s, not %s", t->meta.id, known,
			       t->meta.digest);
	return 0;
}

int store_task_verify_whole(struct store_task *t, struct err *e)
{
	return store_task_verify_as(t, NULL, e);
}

int store_task_verify_as(struct store_task *t, const char *sha256_hex, struct err *e)
{
	uint32_t count = t->meta.geometry.piece_count;
	struct store_entry x = {.index = count};
	unsigned char place[STORE_PLACE_SIZE];
	int r;

	if (!store_task_is_complete(t))
		return err_set(e, EINVAL, "task %s is not complete", t->meta.id);
	r = t->meta.digest ? compare_whole(t, sha256_hex, e) : 0;
	if (r == -EBADMSG)
		store_task_drop(t);
	if (r < 0)
		return r;
	{
		lock_guard(&t->lock);
		if (t->present != count)
			return err_set(e, EBADMSG, "task %s lost a piece meanwhile", t->meta.id);
		x.time_ms = clock_wall_ms();
		x.xxh3 = store_whole_xxh3(t->rows, count);
		x.epoch = t->store->epoch;
		t->whole = true;
		t->meta.finished_ms = x.time_ms;
		store_piece_settle_whole(t);
	}
	store_entry_print(&x, t->meta.id, place);
	write_place(t, count, place);
	return 0;
}
