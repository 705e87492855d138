/*
 * Pieces being written.
 *
 *	a slot is	until
 *	on disk		the disk or the quota takes no more (-> volatile), commit, abort
 *	volatile	commit (its memory file goes to the caller), abort
 *
 * A piece's entry is written after its bytes and never before the slot is committed.
 */
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/store_private.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#define HOT_SIZE	   (128u << 10) /* written, then hashed while the cache has it */
#define VOLATILE_BYTES_MAX (64u << 20)	/* or one piece, if that is longer */
#define VOLATILE_COUNT_MAX 256

struct store_volatile {
	struct list link;
	struct store_memory *memory; /* counted there */
	int fd;
	uint32_t length;
};

struct slot_private {
	struct xxh3 xxh3;
	uint64_t opened;
	struct store_coming *coming; /* NULL: nothing is promised, or not any more */
};

static struct slot_private *private_of(struct store_slot *slot)
{
	return slot->private_;
}

static uint64_t offset_of(const struct store_slot *slot)
{
	return geometry_offset(&slot->task->meta.geometry, slot->index);
}

/* Counts the piece in, evicting if the quota says so. False: there is no room for it. */
static bool take_room(struct store_task *t, struct store_piece_row *row)
{
	struct store *s = t->store;

	if (row->backed)
		return true;
	store_make_room(s, row->piece.length);
	lock_guard(&s->lock);
	if (s->bytes + s->others + row->piece.length > s->quota)
		return false;
	s->bytes += row->piece.length;
	t->bytes += row->piece.length;
	row->backed = true;
	return true;
}

/* Gives a piece's part of the disk back. */
static void free_room(struct store_task *t, uint32_t index)
{
	struct store_piece_row *row = &t->rows[index];
	off_t off = (off_t)geometry_offset(&t->meta.geometry, index);

	if (!row->backed)
		return;
	fallocate(t->write_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, row->piece.length);
	row->backed = false;
	lock_guard(&t->store->lock);
	t->store->bytes -= row->piece.length;
	t->bytes -= row->piece.length;
}

/* ---- volatile slots */

static int volatile_open(struct store *s, struct store_memory *memory, uint32_t length, int *fd_out,
			 struct err *e)
{
	struct store_volatile *v;
	int fd;

	{
		lock_guard(&s->lock);
		if (memory->count == VOLATILE_COUNT_MAX ||
		    (memory->count > 0 && memory->bytes + length > VOLATILE_BYTES_MAX))
			return err_set(e, EBUSY, "%u pieces in memory already", memory->count);
		memory->count++;
		memory->bytes += length;
	}
	fd = memfd_create("skimmer-piece", MFD_CLOEXEC);
	if (fd < 0) {
		lock_guard(&s->lock);
		memory->count--;
		memory->bytes -= length;
		return err_set(e, errno, "memory for a piece");
	}
	v = mem_new(struct store_volatile);
	v->memory = memory;
	v->fd = fd;
	v->length = length;
	lock_guard(&s->lock);
	list_push_back(&s->volatiles, &v->link);
	*fd_out = fd;
	return 0;
}

int store_shown_open(struct store *s, uint32_t length, int *fd_out, struct err *e)
{
	return volatile_open(s, &s->shown, length, fd_out, e);
}

void store_volatile_close(struct store *s, int fd)
{
	struct store_volatile *found = NULL;

	{
		lock_guard(&s->lock);
		list_each (at, &s->volatiles) {
			struct store_volatile *v = list_entry(at, struct store_volatile, link);

			if (v->fd == fd)
				found = v;
		}
		assert(found);
		list_remove(&found->link);
	}
	/* Closed before its room is given away: the bound is on memory. */
	close(fd);
	lock_guard(&s->lock);
	found->memory->count--;
	found->memory->bytes -= found->length;
	free(found);
}

/* ---- blocks */

/* Where the next byte belongs. */
static uint32_t position(const struct store_slot *slot)
{
	uint32_t to_end = slot->length - slot->begin;

	return slot->written < to_end ? slot->begin + slot->written : slot->written - to_end;
}

static uint32_t block_length(const struct store_slot *slot)
{
	return geometry_block_length(&slot->task->meta.geometry);
}

/* How much of a block that begins there is written. */
static uint32_t block_written(const struct store_slot *slot, uint32_t start)
{
	uint32_t left = slot->length - start, length = block_length(slot);
	uint32_t before =
		start < slot->begin ? slot->length - slot->begin + start : start - slot->begin;
	uint32_t after = slot->written > before ? slot->written - before : 0;

	length = left < length ? left : length;
	return after < length ? after : length;
}

void store_slot_begin_at(struct store_slot *slot, unsigned block)
{
	assert(slot->written == 0 && block * block_length(slot) < slot->length);
	slot->begin = block * block_length(slot);
}

unsigned store_slot_block(const struct store_slot *slot, uint32_t *left_out)
{
	uint32_t at = position(slot), block = block_length(slot);
	uint32_t left = block - at % block;

	assert(slot->written < slot->length);
	*left_out = left < slot->length - at ? left : slot->length - at;
	return at / block;
}

void store_slot_promise(struct store_slot *slot, uint32_t crc32,
			const uint32_t blocks[PIECE_BLOCKS])
{
	struct store_coming_facts facts = {.crc32 = crc32};

	if (slot->volatile_)
		return;
	memcpy(facts.blocks, blocks, sizeof(facts.blocks));
	private_of(slot)->coming = store_coming_new(slot->task, slot->index, &facts);
}

bool store_slot_pass_on(struct store_slot *slot, unsigned block)
{
	struct store_coming *c = private_of(slot)->coming;

	if (c)
		store_coming_pass_on(c, block);
	return c != NULL;
}

static void end_coming(struct store_slot *slot, bool whole)
{
	store_coming_end(take_ptr(&private_of(slot)->coming), whole);
}

/* Where bytes that are read back go. */
struct back {
	int fd;		   /* a memory file, or -1 */
	struct xxh3 *xxh3; /* or NULL */
};

/* What was written of the block that begins there, if it is still the same. */
static int read_back(const struct store_slot *slot, uint32_t start, const struct back *to,
		     struct err *e)
{
	uint32_t written = block_written(slot, start), crc32 = 0;
	size_t size = written < HOT_SIZE ? written : HOT_SIZE;
	cleanup(free_at) char *data = mem_alloc(size);

	for (uint32_t at = 0; at < written;) {
		size_t want = written - at < size ? written - at : size;
		uint64_t off = offset_of(slot) + start + at;
		ssize_t n = pread(slot->fd, data, want, (off_t)off);
		int r = 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, EIO, "read back what was written");
		if (to->fd >= 0)
			r = store_write_at(to->fd, data, (size_t)n, off);
		if (r < 0)
			return err_set(e, -r, "copy a piece to memory");
		if (to->xxh3)
			xxh3_update(to->xxh3, data, (size_t)n);
		crc32 = crc32_update(crc32, data, (size_t)n);
		at += (uint32_t)n;
	}
	if (crc32 != slot->blocks[start / block_length(slot)])
		return err_set(e, EIO, "disk does not give back what was written");
	return 0;
}

static int read_back_from(const struct store_slot *slot, uint32_t start, const struct back *to,
			  struct err *e)
{
	int r = 0;

	for (; start < slot->length && r == 0; start += block_length(slot))
		r = read_back(slot, start, to, e);
	return r;
}

static void begin_episode(struct store *s, const char *why)
{
	uint64_t bytes;
	bool first;

	{
		lock_guard(&s->lock);
		first = !s->full;
		s->full = true;
		s->full_since = s->slots_opened;
		bytes = s->bytes;
	}
	if (first)
		log_warn("store takes no more pieces, they pass through memory",
			 "why=\"%s\" dir=\"%s\" bytes=%" PRIu64 " quota=%" PRIu64, why, s->dir,
			 bytes, s->quota);
}

/* Only a slot that was opened after the last volatile one tells that there is room again. */
static void end_episode(struct store *s, uint64_t opened)
{
	{
		lock_guard(&s->lock);
		if (!s->full || opened <= s->full_since)
			return;
		s->full = false;
	}
	log_info("store takes pieces again", "dir=\"%s\"", s->dir);
}

static int go_volatile(struct store_slot *slot, const char *why, struct err *e)
{
	struct store_task *t = slot->task;
	struct store *s = t->store;
	int fd = -1;
	int r = volatile_open(s, &s->slots, slot->length, &fd, e);

	begin_episode(s, why);
	if (r < 0)
		return r;
	r = read_back_from(slot, 0, &(struct back){.fd = fd}, e);
	if (r < 0) {
		store_volatile_close(s, fd);
		return r;
	}
	end_coming(slot, false);
	free_room(t, slot->index);
	slot->fd = fd;
	slot->volatile_ = true;
	return 0;
}

/* ---- the slot's life */

static void slot_close(struct store_slot *slot)
{
	struct store_task *t = slot->task;

	end_coming(slot, false);
	{
		lock_guard(&t->lock);
		t->rows[slot->index].slot = false;
	}
	free(slot->private_);
	slot->private_ = NULL;
	slot->task = NULL;
	slot->fd = -1;
	store_task_unref(t);
}

int store_slot_open(struct store_task *t, uint32_t index, struct store_slot *out, struct err *e)
{
	struct slot_private *p = aligned_alloc(_Alignof(struct slot_private), sizeof(*p));
	struct store_piece_row *row = &t->rows[index];
	int r = 0;

	assert(p && index < t->meta.geometry.piece_count);
	{
		lock_guard(&t->lock);
		assert(!row->slot && row->state != STORE_PRESENT);
		row->slot = true;
	}
	store_piece_forget(t, index); /* an unproven piece that nobody wants to prove */
	store_task_ref(t);
	*out = (struct store_slot){
		.task = t,
		.index = index,
		.length = row->piece.length,
		.fd = t->write_fd,
		.shown_fd = -1,
		.private_ = p,
	};
	p->coming = NULL;
	xxh3_init(&p->xxh3);
	{
		lock_guard(&t->store->lock);
		p->opened = ++t->store->slots_opened;
	}
	if (t->write_fd < 0)
		r = go_volatile(out, "the disk takes no new files", e);
	else if (!take_room(t, row))
		r = go_volatile(out, "the quota is used up", e);
	if (r < 0)
		slot_close(out);
	return r;
}

void store_slot_show(struct store_slot *slot, int fd)
{
	slot->shown_fd = fd;
}

/* One stretch inside a block, hashed afterwards. */
static int write_hot(struct store_slot *slot, const char *data, size_t len, struct err *e)
{
	uint32_t at = position(slot), *crc32 = &slot->blocks[at / block_length(slot)];
	uint64_t off = offset_of(slot) + at;
	int r = store_write_at(slot->fd, data, len, off);

	if ((r == -ENOSPC || r == -EDQUOT) && !slot->volatile_ &&
	    store_make_disk_room(slot->task->store, slot->length))
		r = store_write_at(slot->fd, data, len, off);
	if (r < 0 && !slot->volatile_) {
		int moved = go_volatile(slot, strerrordesc_np(-r), e);

		if (moved < 0)
			return moved;
		r = store_write_at(slot->fd, data, len, off);
	}
	if (r < 0)
		return err_set(e, -r, "write task %s piece %u", slot->task->meta.id, slot->index);
	if (slot->shown_fd >= 0 && store_write_at(slot->shown_fd, data, len, off) < 0)
		slot->shown_fd = -1;
	*crc32 = crc32_update(*crc32, data, len);
	/* In order; what came before the start is read back for it in the end. */
	if (slot->begin == 0 || at < slot->begin)
		xxh3_update(&private_of(slot)->xxh3, data, len);
	slot->written += (uint32_t)len;
	if (slot->written == slot->length)
		slot->crc32 = crc32_of_parts(slot->blocks, block_length(slot), slot->length);
	return 0;
}

int store_slot_write(struct store_slot *slot, const void *data, size_t len, struct err *e)
{
	const char *p = data;

	if (len > slot->length - slot->written)
		return err_set(e, EMSGSIZE, "piece %u is longer than %u bytes", slot->index,
			       slot->length);
	while (len > 0) {
		size_t part = len < HOT_SIZE ? len : HOT_SIZE;
		uint32_t left;
		int r;

		(void)store_slot_block(slot, &left);
		part = part < left ? part : left;
		r = write_hot(slot, p, part, e);

		if (r < 0)
			return r;
		p += part;
		len -= part;
	}
	return 0;
}

static void publish(struct store_slot *slot, enum store_source source, uint32_t cost_ms)
{
	struct store_task *t = slot->task;
	struct store_piece_row *row = &t->rows[slot->index];
	struct store_piece_row next = {
		.piece = {.length = slot->length,
			  .crc32 = slot->crc32,
			  .xxh3 = slot->xxh3,
			  .source = (uint8_t)source,
			  .created_s = clock_wall_ms() / 1000,
			  .cost_ms = cost_ms},
		.epoch = t->store->epoch,
		.state = STORE_PRESENT,
		.slot = true,
		.backed = true,
	};

	store_piece_write_blocks(t, slot->index, slot->blocks);
	store_piece_write(t, slot->index, &next);
	store_task_touch(t);
	lock_guard(&t->lock);
	*row = next;
	t->present++;
	t->recorded++;
	store_piece_settle_whole(t);
}

int store_slot_commit(struct store_slot *slot, const uint32_t *expected_crc32,
		      enum store_source source, uint32_t cost_ms, int *volatile_fd_out,
		      struct err *e)
{
	struct store *s = slot->task->store;
	int r = 0;

	*volatile_fd_out = -1;
	if (slot->written != slot->length)
		r = err_set(e, EBADMSG, "piece %u has %u of %u bytes", slot->index, slot->written,
			    slot->length);
	else if (expected_crc32 && *expected_crc32 != slot->crc32)
		r = err_set(e, EBADMSG, "piece %u has crc32 %08x, not %08x", slot->index,
			    slot->crc32, *expected_crc32);
	else if (slot->begin > 0 && !slot->volatile_)
		r = read_back_from(slot, slot->begin,
				   &(struct back){.fd = -1, .xxh3 = &private_of(slot)->xxh3}, e);
	if (r < 0) {
		store_slot_abort(slot);
		return r;
	}
	slot->xxh3 = xxh3_final(&private_of(slot)->xxh3);
	if (slot->volatile_) {
		*volatile_fd_out = slot->fd;
		lock_guard(&s->lock);
		s->volatile_pieces++;
	} else {
		publish(slot, source, cost_ms);
		end_coming(slot, true);
		end_episode(s, private_of(slot)->opened);
	}
	slot_close(slot);
	return 0;
}

void store_slot_abort(struct store_slot *slot)
{
	if (slot->volatile_)
		store_volatile_close(slot->task->store, slot->fd);
	slot_close(slot);
}
