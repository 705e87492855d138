/* daemon/store_coming: what others may have of a piece that is being written */
#include "test/unit/daemon/store_fixture.h"

#define PIECE (160u << 10)
#define BLOCK (PIECE / PIECE_BLOCKS)

/* A piece whose digests are promised and of which nothing is here. */
struct piece {
	struct fixture *f;
	struct store_task *t;
	struct store_slot slot;
	struct store_coming *coming;
	unsigned char data[PIECE];
};

static void begin(struct piece *p, void **state)
{
	uint32_t blocks[PIECE_BLOCKS];

	p->f = *state;
	p->t = task_make(p->f, 1, 2 * PIECE, PIECE);
	bytes_of(1, PIECE, PIECE, p->data);
	for (unsigned i = 0; i < PIECE_BLOCKS; i++)
		blocks[i] = crc32_update(0, p->data + i * BLOCK, BLOCK);
	assert_ok(store_slot_open(p->t, 1, &p->slot, &p->f->e));
	assert_null(store_coming_find(p->t, 1));
	store_slot_promise(&p->slot, crc32_update(0, p->data, PIECE), blocks);
	p->coming = store_coming_find(p->t, 1);
	assert_non_null(p->coming);
	assert_null(store_coming_find(p->t, 0));
	assert_memory_equal(store_coming_facts(p->coming)->blocks, blocks, sizeof(blocks));
	assert_int_equal(store_coming_facts(p->coming)->crc32, crc32_update(0, p->data, PIECE));
}

static void end(struct piece *p)
{
	assert_null(store_coming_find(p->t, 1));
	store_coming_unref(p->coming);
	store_task_unref(p->t);
}

/* Blocks [from, to) are written and compared. */
static void write_blocks(struct piece *p, unsigned from, unsigned to)
{
	assert_ok(
		store_slot_write(&p->slot, p->data + from * BLOCK, (to - from) * BLOCK, &p->f->e));
	for (unsigned i = from; i < to; i++)
		assert_true(store_slot_pass_on(&p->slot, i));
}

static uint32_t stretch(struct piece *p, uint32_t from)
{
	uint32_t len;

	assert_true(store_coming_stretch(p->coming, from, &len));
	return len;
}

static void blocks_may_be_had_as_they_are_passed_on(void **state)
{
	struct piece p;
	unsigned char got[3 * BLOCK];
	int fd;

	begin(&p, state);
	store_slot_begin_at(&p.slot, 12);
	assert_int_equal(stretch(&p, 0), 0);
	assert_ok(store_slot_write(&p.slot, p.data + 12 * BLOCK, BLOCK, &p.f->e));
	assert_int_equal(stretch(&p, 12 * BLOCK), 0); /* written, but nobody has compared it */
	assert_true(store_slot_pass_on(&p.slot, 12));
	assert_int_equal(stretch(&p, 12 * BLOCK), BLOCK);
	assert_int_equal(stretch(&p, 12 * BLOCK + 7), BLOCK - 7);
	assert_int_equal(stretch(&p, 0), 0);
	write_blocks(&p, 13, 16);
	assert_int_equal(stretch(&p, 12 * BLOCK), 4 * BLOCK);
	write_blocks(&p, 0, 3);
	assert_int_equal(stretch(&p, 5), 3 * BLOCK - 5);
	assert_int_equal(pread(store_task_fd(p.t), got, sizeof(got), PIECE), sizeof(got));
	assert_memory_equal(got, p.data, sizeof(got));
	write_blocks(&p, 3, 12);
	assert_ok(store_slot_commit(&p.slot, NULL, STORE_FROM_PEER, 0, &fd, &p.f->e));
	assert_int_equal(stretch(&p, 0), PIECE);
	assert_int_equal(store_piece_get(p.t, 1, NULL), STORE_PRESENT);
	end(&p);
}

static void what_is_given_up_breaks_off(void **state)
{
	struct piece p;
	uint32_t len;

	begin(&p, state);
	write_blocks(&p, 0, 3);
	store_slot_abort(&p.slot);
	assert_false(store_coming_stretch(p.coming, 0, &len));
	end(&p);
}

static void what_is_not_as_promised_breaks_off(void **state)
{
	const uint32_t other = 1;
	struct piece p;
	uint32_t len;
	int fd;

	begin(&p, state);
	write_blocks(&p, 0, 16);
	assert_int_equal(store_slot_commit(&p.slot, &other, STORE_FROM_PEER, 0, &fd, &p.f->e),
			 -EBADMSG);
	assert_false(store_coming_stretch(p.coming, 0, &len));
	end(&p);
}

static void a_volatile_piece_is_not_passed_on(void **state)
{
	struct fixture *f = *state;
	const uint32_t blocks[PIECE_BLOCKS] = {0};
	struct store_task *t;
	struct store_slot slot;

	f->config.quota = 1;
	fixture_reopen(f);
	t = task_make(f, 1, PIECE, PIECE);
	assert_ok(store_slot_open(t, 0, &slot, &f->e));
	assert_true(slot.volatile_);
	store_slot_promise(&slot, 0, blocks);
	assert_null(store_coming_find(t, 0));
	assert_false(store_slot_pass_on(&slot, 0));
	store_slot_abort(&slot);
	store_task_unref(t);
}

#define with_store(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_store(blocks_may_be_had_as_they_are_passed_on),
		with_store(what_is_given_up_breaks_off),
		with_store(what_is_not_as_promised_breaks_off),
		with_store(a_volatile_piece_is_not_passed_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
