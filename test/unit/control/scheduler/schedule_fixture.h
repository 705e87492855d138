/* A state under a clock of its own, and what was answered last. */
#ifndef TEST_SCHEDULE_FIXTURE_H
#define TEST_SCHEDULE_FIXTURE_H

#include "base/mem.h"
#include "test/state_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* after the others, as cmocka demands */
#include <cmocka.h>

struct told {
	char peer[32], parents[4][32];
	enum answer answer;
	unsigned count;
};

struct fixture {
	struct state state;
	int64_t now;
	struct told last;
	unsigned answers, seeds_asked;
	bool has_seed;
};

static inline void note(struct peer *p, enum answer a, struct peer *const *parents, unsigned count,
			const char *why, void *arg)
{
	struct fixture *f = arg;

	(void)why;
	f->answers++;
	f->last = (struct told){.answer = a, .count = count};
	snprintf(f->last.peer, sizeof(f->last.peer), "%s", p->id);
	for (unsigned i = 0; i < count && i < 4; i++)
		snprintf(f->last.parents[i], 32, "%s", parents[i]->id);
}

static inline bool ask_seed(struct task *t, const struct peer *p, void *arg)
{
	struct fixture *f = arg;

	(void)t, (void)p;
	f->seeds_asked += f->has_seed;
	return f->has_seed;
}

static inline void removed(struct peer *p, void *arg)
{
	(void)p, (void)arg;
}

static inline int start(void **state)
{
	struct state_config config = state_config_usual();
	struct fixture *f = mem_new(struct fixture);
	const struct state_ops ops = {note, ask_seed, removed, f};

	config.algorithm = PICK_DEFAULT;
	config.back_to_source_count = 2;
	config.refuse_ms = 0;
	config.host_ttl_ms = 100000;
	config.piece_timeout_ms = 500000;
	config.random_seed = 7;
	state_init(&f->state, &config, &ops);
	f->now = 1000;
	*state = f;
	return 0;
}

static inline int stop(void **state)
{
	struct fixture *f = *state;

	state_release(&f->state);
	free(f);
	return 0;
}

/* A peer "p<name>" on a host "h<name>" that has registered, as yet without a question. */
static inline struct peer *join_silent(struct fixture *f, const char *name)
{
	char id[32];
	struct host *h;
	struct task *t;
	struct peer *p;

	snprintf(id, sizeof(id), "h%s", name);
	h = state_host_announce(&f->state, id, f->now);
	h->tx_max = 100 << 20;
	h->type = *name == 'S';
	t = state_task(&f->state, "task");
	if (!t)
		t = state_task_make(&f->state, "task", 100 << 20, 4 << 20, f->now);
	snprintf(id, sizeof(id), "p%s", name);
	p = state_peer_make(&f->state, id, h, t, f->now);
	p->may_back_to_source = true;
	p->concurrent_pieces = 8;
	p->stream = f;
	state_peer_event(&f->state, p, PEER_EVENT_REGISTER, f->now);
	return p;
}

/* The same, and it asks. */
static inline struct peer *join_as(struct fixture *f, const char *name, bool source, int priority)
{
	struct peer *p = join_silent(f, name);

	p->need_back_to_source = source;
	p->priority = priority;
	state_schedule(&f->state, p, f->now);
	return p;
}

static inline struct peer *join(struct fixture *f, const char *name)
{
	return join_as(f, name, false, 0);
}

#endif
