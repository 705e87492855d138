/* daemon/piece: what readers see of a piece that is FETCHING */
#include "test/unit/daemon/piece_fixture.h"

/* As a fetcher would: a block of the right bytes, or of others, is shown. */
static void show(struct setting *s, int fd, unsigned seed, uint32_t index, unsigned block)
{
	const struct geometry *g = &store_task_meta(s->st)->geometry;
	uint32_t size = geometry_block_length(g);
	uint64_t off = geometry_offset(g, index) + block * size;
	unsigned char data[PIECE / PIECE_BLOCKS];

	bytes_of(seed, off, size, data);
	assert_int_equal(pwrite(fd, data, size, (off_t)off), size);
	piece_show_block(s->p, index, block);
}

static int begin_to_show(struct setting *s, uint32_t index)
{
	int fd;

	assert_ok(store_shown_open(s->f->store, PIECE, &fd, &s->f->e));
	piece_show(s->p, index, fd);
	return fd;
}

static void assert_bytes(const struct reader *r)
{
	unsigned char got[PIECE], want[PIECE];

	assert_int_equal(r->answers, 1);
	assert_int_equal(r->code, 0);
	bytes_of(1, r->w.off, r->x.len, want);
	assert_int_equal(pread(r->x.fd, got, r->x.len, (off_t)r->x.off), r->x.len);
	assert_memory_equal(got, want, r->x.len);
}

#define BLOCK (PIECE / PIECE_BLOCKS)

/* Two readers, the first of whom is shown its block. */
static void begin_with_two(struct setting *s, struct reader r[2])
{
	read_at(s, &r[0], 2 * PIECE + 5 * BLOCK, 100);
	read_at(s, &r[1], 2 * PIECE + 7 * BLOCK, 100);
	assert_int_equal(take(s, PIECE_URGENT, NULL), 2);
	show(s, begin_to_show(s, 2), 1, 2, 5);
}

/* All of them have what they should. */
static void end(struct reader *r, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		assert_bytes(&r[i]);
		extent_release(&r[i].x);
	}
}

static void a_reader_waits_only_for_the_blocks_of_its_bytes(void **state)
{
	struct setting *s = *state;
	struct reader r[5] = {0};
	unsigned block;
	int fd;

	for (unsigned i = 0; i < 5; i++)
		r[i].keep = true;
	assert_false(piece_awaited_block(s->p, 2, &block));
	read_at(s, &r[0], 2 * PIECE + 9 * BLOCK + 1, 7);
	read_at(s, &r[1], 2 * PIECE + 10 * BLOCK - 1, 2);
	read_at(s, &r[2], 2 * PIECE, PIECE);
	assert_int_equal(take(s, PIECE_URGENT, NULL), 2);
	assert_true(piece_awaited_block(s->p, 2, &block));
	assert_int_equal(block, 9);
	fd = begin_to_show(s, 2);
	assert_int_equal(r[0].answers, 0);
	show(s, fd, 1, 2, 9);
	assert_bytes(&r[0]);
	assert_int_equal(r[1].answers, 0);
	/* Who comes while it is FETCHING. */
	assert_false(read_at(s, &r[3], 2 * PIECE + 9 * BLOCK, BLOCK));
	assert_bytes(&r[3]);
	assert_true(read_at(s, &r[4], 2 * PIECE + 15 * BLOCK, 1));
	show(s, fd, 1, 2, 10);
	assert_bytes(&r[1]);
	assert_true(piece_is_awaited(s->p, 2));
	assert_int_equal(r[2].answers + r[4].answers, 0);
	assert_int_equal(s->tally.waiters, 2);
	deliver(s, 2);
	assert_int_equal(r[2].x.fd, store_task_fd(s->st));
	end(r, 5);
	assert_true(piece_is_ready(s->p, 2));
}

static void a_piece_all_of_whose_readers_left_early_still_comes(void **state)
{
	struct setting *s = *state;
	struct reader r = {0};
	unsigned block;
	int fd;

	read_at(s, &r, 2 * PIECE, 7);
	assert_int_equal(take(s, PIECE_URGENT, NULL), 2);
	fd = begin_to_show(s, 2);
	show(s, fd, 1, 2, 0);
	assert_int_equal(r.answers, 1);
	assert_false(piece_is_awaited(s->p, 2));
	assert_false(piece_awaited_block(s->p, 2, &block));
	assert_int_equal(take(s, PIECE_REST, NULL), UINT32_MAX);
	/* Given back it is nobody's wish any more. */
	piece_give_back(s->p, 2);
	assert_int_equal(take(s, PIECE_REST, NULL), UINT32_MAX);
}

/* Whatever becomes of the piece: given back, written over by another parent's wrong bytes, given
 * up. */
static void what_a_reader_was_shown_stays_what_it_was(void **state)
{
	struct setting *s = *state;
	struct reader r[2] = {{.keep = true}, {.keep = true}};
	struct store_slot slot;
	unsigned char wrong[PIECE] = {0};
	int fd;

	begin_with_two(s, r);
	piece_give_back(s->p, 2);
	assert_bytes(&r[0]);
	assert_int_equal(r[1].answers, 0);
	/* What was shown before is not shown by the next one. */
	assert_int_equal(take(s, PIECE_URGENT, NULL), 2);
	assert_ok(store_slot_open(s->st, 2, &slot, &s->f->e));
	assert_ok(store_slot_write(&slot, wrong, PIECE, &s->f->e));
	fd = begin_to_show(s, 2);
	show(s, fd, 1, 2, 7);
	assert_bytes(&r[1]);
	store_slot_abort(&slot);
	deliver(s, 2);
	piece_forget(s->p, 2);
	store_piece_drop(s->st, 2);
	store_task_remove(s->st);
	end(r, 2);
}

static void a_volatile_piece_is_shown_by_blocks_too(void **state)
{
	struct setting *s = *state;
	struct reader r[3] = {{.keep = true}, {.keep = true}, {.keep = true}};

	begin_with_two(s, r);
	assert_bytes(&r[0]);
	deliver(s, 2);
	assert_false(read_at(s, &r[2], 2 * PIECE, PIECE));
	assert_int_equal(s->tally.volatiles, 1);
	pieces_drop_volatile(s->p, 0);
	end(r, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_setting(a_reader_waits_only_for_the_blocks_of_its_bytes),
		with_setting(a_piece_all_of_whose_readers_left_early_still_comes),
		with_setting(what_a_reader_was_shown_stays_what_it_was),
		with_full_disk(a_volatile_piece_is_shown_by_blocks_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
