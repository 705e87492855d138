/* The pieces of one task over a real store, and readers of them; no fetcher. */
#ifndef TEST_UNIT_DAEMON_PIECE_FIXTURE_H
#define TEST_UNIT_DAEMON_PIECE_FIXTURE_H

#include "daemon/piece.h"

#include "test/unit/daemon/store_fixture.h"

#include "base/clock.h"
#include "base/timer.h"

#define PIECE (16u << 10)
#define COUNT 40

struct setting {
	struct fixture *f;
	struct store_task *st;
	struct piece_tally tally;
	struct pieces *p;
};

static inline int setup(void **state)
{
	struct setting *s = mem_new(struct setting);

	timer_start();
	assert_ok(fixture_setup((void **)&s->f));
	s->st = task_make(s->f, 1, COUNT * PIECE - 11, PIECE);
	s->tally.waiters_max = 100000;
	s->p = pieces_new(s->st, &s->tally);
	*state = s;
	return 0;
}

static inline int teardown(void **state)
{
	struct setting *s = *state;

	pieces_free(s->p);
	store_task_unref(s->st);
	fixture_teardown((void **)&s->f);
	free(s);
	return 0;
}

/* What the store has is looked at anew. */
static inline void again(struct setting *s)
{
	pieces_free(s->p);
	s->p = pieces_new(s->st, &s->tally);
}

struct reader {
	struct waiter w;
	int answers; /* atomic */
	int code;
	struct extent x;
	bool keep;
};

static inline void reader_done(struct waiter *w, const struct extent *x, const struct err *e)
{
	struct reader *r = container_of(w, struct reader, w);

	assert_true(!x != !e);
	r->code = e ? e->code : 0;
	if (x)
		r->x = r->keep ? extent_keep(x) : *x;
	__atomic_add_fetch(&r->answers, 1, __ATOMIC_RELEASE);
}

static inline bool read_at(struct setting *s, struct reader *r, uint64_t off, uint32_t len)
{
	*r = (struct reader){.w = {.done = reader_done, .follows = r->w.follows}, .keep = r->keep};
	return piece_read(s->p, off, len, &r->w, 60000);
}

static inline bool read_piece(struct setting *s, struct reader *r, uint32_t index)
{
	return read_at(s, r, (uint64_t)index * PIECE, 100);
}

/* As a fetcher would: the bytes go into the store, then the piece is published. */
static inline void deliver(struct setting *s, uint32_t index)
{
	piece_publish(s->p, index, piece_fill(s->f, s->st, 1, index));
}

static inline uint32_t take(struct setting *s, enum piece_rank least, const uint64_t *have)
{
	struct piece_job job;

	return piece_take(s->p, least, have, &job) ? job.index : UINT32_MAX;
}

/* With a disk that takes nothing. */
static inline int setup_full(void **state)
{
	struct setting *s;

	setup(state);
	s = *state;
	store_task_unref(s->st);
	pieces_free(s->p);
	store_close(s->f->store);
	s->f->config.quota = 1;
	fixture_open(s->f);
	s->st = task_make(s->f, 2, COUNT * PIECE, PIECE);
	s->p = pieces_new(s->st, &s->tally);
	return 0;
}

#define with_setting(test)   cmocka_unit_test_setup_teardown(test, setup, teardown)
#define with_full_disk(test) cmocka_unit_test_setup_teardown(test, setup_full, teardown)

#endif
