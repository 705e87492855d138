/* daemon/piece_server: pieces by blocks, and such as are not whole yet */
#include "test/unit/daemon/piece_server_fixture.h"

/* Asks for a piece from a block on; its bytes in their order are in got. */
static struct vortex_content ask_by_blocks(struct setting *s, int fd, uint32_t number,
					   uint8_t first_block, uint8_t tag, char *got)
{
	struct vortex_request rq = {
		.number = number, .by_blocks = true, .first_block = first_block};
	uint8_t packet[VORTEX_REQUEST_MAX], value[VORTEX_VALUE_MAX];
	uint32_t len = geometry_length(&store_task_meta(s->task)->geometry, number), begin;
	struct vortex_content content;
	struct vortex_header h;
	struct err e;

	id_of(1, rq.task_id);
	say(fd, packet, vortex_request_write(packet, 9, &rq));
	h = hear_packet(fd, value);
	assert_int_equal(h.tag, tag);
	assert_int_equal(h.id, vortex_kept_id(9));
	assert_ok((tag == VORTEX_BLOCKS_CONTENT ? vortex_blocks_read : vortex_content_read)(
		value, h.length, &content, &e));
	assert_int_equal(content.number, number);
	assert_int_equal(content.length, len);
	begin = content.blocks.first * content.blocks.length;
	hear(fd, got + begin, len - begin);
	hear(fd, got, begin);
	return content;
}

static void by_blocks_the_one_that_is_wanted_comes_first(void **state)
{
	struct piece_server_config config = {0};
	cleanup(free_at) char *got = mem_alloc(PIECE), *want = mem_alloc(PIECE);
	struct setting s;
	int fd;

	setting_open(&s, state, &config);
	fd = dial(&s);
	for (uint8_t first = 0; first < PIECE_BLOCKS; first++)
		for (uint32_t number = 1; number <= 3; number += 2) {
			const struct geometry *g = &store_task_meta(s.task)->geometry;
			uint32_t len = geometry_length(g, number);
			struct vortex_content c =
				ask_by_blocks(&s, fd, number, first, VORTEX_BLOCKS_CONTENT, got);

			bytes_of(1, number * PIECE, len, (unsigned char *)want);
			assert_memory_equal(got, want, len);
			assert_int_equal(c.crc32, crc32_update(0, want, len));
			assert_int_equal(c.blocks.first, first);
			assert_int_equal(c.blocks.count, PIECE_BLOCKS);
			assert_int_equal(c.blocks.length, PIECE / PIECE_BLOCKS);
			assert_int_equal(crc32_of_parts(c.blocks.crc32, c.blocks.length, len),
					 c.crc32);
			for (unsigned i = 0; i < 15; i++)
				assert_int_equal(c.blocks.crc32[i],
						 crc32_update(0, want + i * c.blocks.length,
							      c.blocks.length));
		}
	assert_int_equal(stat_now(&s).by_blocks, 2 * PIECE_BLOCKS);
	assert_int_equal(stat_now(&s).accepted, 1);
	close(fd);
	setting_close(&s);
}

static void without_digests_of_blocks_a_piece_comes_in_order(void **state)
{
	struct piece_server_config config = {0};
	cleanup(free_at) char *got = mem_alloc(PIECE), *want = mem_alloc(PIECE);
	cleanup(free_at) char *path = path_of(*state, 1, ".rec");
	struct setting s;
	struct stat st;
	int fd;

	setting_open(&s, state, &config);
	bytes_of(1, PIECE, PIECE, (unsigned char *)want);
	fd = dial(&s);
	/* There is no such block. */
	ask_by_blocks(&s, fd, 1, PIECE_BLOCKS, VORTEX_PIECE_CONTENT, got);
	assert_memory_equal(got, want, PIECE);
	assert_ok(stat(path, &st));
	assert_ok(truncate(path, st.st_size - 4 * 64));
	ask_by_blocks(&s, fd, 1, 5, VORTEX_PIECE_CONTENT, got);
	assert_memory_equal(got, want, PIECE);
	assert_int_equal(stat_now(&s).by_blocks, 0);
	close(fd);
	setting_close(&s);
}

/* Piece 2, of which the first blocks are here. */
static void begin_coming(struct setting *s, struct store_slot *slot, char *data)
{
	uint32_t blocks[PIECE_BLOCKS], len = PIECE / PIECE_BLOCKS;

	bytes_of(1, 2 * PIECE, PIECE, (unsigned char *)data);
	for (unsigned i = 0; i < PIECE_BLOCKS; i++)
		blocks[i] = crc32_update(0, data + i * len, len);
	assert_ok(store_slot_open(s->task, 2, slot, &s->f->e));
	store_slot_promise(slot, crc32_update(0, data, PIECE), blocks);
	assert_ok(store_slot_write(slot, data, 2 * len, &s->f->e));
	assert_true(store_slot_pass_on(slot, 0));
	assert_true(store_slot_pass_on(slot, 1));
}

static void hear_coming(struct setting *s, int fd, char *got)
{
	struct vortex_request rq = {.number = 2, .by_blocks = true};
	uint8_t packet[VORTEX_REQUEST_MAX], value[VORTEX_VALUE_MAX];
	struct vortex_content content;
	struct vortex_header h;

	id_of(1, rq.task_id);
	say(fd, packet, vortex_request_write(packet, 9, &rq));
	h = hear_packet(fd, value);
	assert_int_equal(h.tag, VORTEX_BLOCKS_CONTENT);
	assert_ok(vortex_blocks_read(value, h.length, &content, &s->f->e));
	assert_true(content.blocks.coming);
	assert_int_equal(content.length, PIECE);
	assert_int_equal(crc32_of_parts(content.blocks.crc32, content.blocks.length, PIECE),
			 content.crc32);
	hear(fd, got, 2 * PIECE / PIECE_BLOCKS);
}

static void a_piece_is_passed_on_as_it_comes(void **state)
{
	struct piece_server_config config = {0};
	cleanup(free_at) char *got = mem_alloc(PIECE), *data = mem_alloc(PIECE);
	const uint32_t len = PIECE / PIECE_BLOCKS;
	struct store_slot slot;
	struct setting s;
	int fd, other, none;

	setting_open(&s, state, &config);
	begin_coming(&s, &slot, data);
	fd = dial(&s);
	hear_coming(&s, fd, got);
	/* Who asks for the piece in order has it when it is whole. */
	other = dial(&s);
	ask(other, 1, 2);
	hear_error(other, VORTEX_NOT_FOUND);
	assert_int_equal(recv(fd, got + 2 * len, 1, MSG_DONTWAIT), -1);
	for (unsigned i = 2; i < PIECE_BLOCKS; i++) {
		assert_ok(store_slot_write(&slot, data + i * len, len, &s.f->e));
		assert_true(store_slot_pass_on(&slot, i));
		if (i % 4 == 1)
			hear(fd, got + (i - 3) * len, 4 * len);
	}
	assert_ok(store_slot_commit(&slot, NULL, STORE_FROM_PEER, 0, &none, &s.f->e));
	hear(fd, got + 14 * len, 2 * len);
	assert_memory_equal(got, data, PIECE);
	assert_int_equal(stat_now(&s).passed_on, 1);
	/* It is whole now, and the connection was kept. */
	assert_false(ask_by_blocks(&s, fd, 2, 3, VORTEX_BLOCKS_CONTENT, got).blocks.coming);
	assert_memory_equal(got, data, PIECE);
	close(fd);
	close(other);
	setting_close(&s);
}

static void a_piece_that_does_not_come_ends_the_connection(void **state)
{
	struct piece_server_config config = {0};
	cleanup(free_at) char *got = mem_alloc(PIECE), *data = mem_alloc(PIECE);
	struct store_slot slot;
	struct setting s;
	int fd;

	setting_open(&s, state, &config);
	begin_coming(&s, &slot, data);
	fd = dial(&s);
	hear_coming(&s, fd, got);
	store_slot_abort(&slot);
	hear_end(fd);
	assert_int_equal(stat_now(&s).failed, 1);
	close(fd);
	setting_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		serving_test(by_blocks_the_one_that_is_wanted_comes_first),
		serving_test(without_digests_of_blocks_a_piece_comes_in_order),
		serving_test(a_piece_is_passed_on_as_it_comes),
		serving_test(a_piece_that_does_not_come_ends_the_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
