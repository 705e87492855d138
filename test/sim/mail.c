/* A ring that grows. */
#include "test/sim/mail.h"

#include "base/mem.h"

#include <assert.h>
#include <string.h>

void mail_init(struct mail *m)
{
	*m = (struct mail){.cap = 1024};
	m->ring = mem_array(m->cap, sizeof(*m->ring));
}

void mail_release(struct mail *m)
{
	free(m->ring);
}

static void grow(struct mail *m)
{
	struct letter *ring = mem_array(m->cap * 2, sizeof(*ring));

	for (size_t i = 0; i < m->count; i++)
		ring[i] = m->ring[(m->first + i) % m->cap];
	free(m->ring);
	m->ring = ring;
	m->first = 0;
	m->cap *= 2;
}

struct letter *mail_post(struct mail *m, int64_t due_us, uint32_t what, uint32_t child,
			 uint32_t arg)
{
	struct letter *l;

	if (m->count == m->cap)
		grow(m);
	assert(m->count == 0 || m->ring[(m->first + m->count - 1) % m->cap].due_us <= due_us);
	l = &m->ring[(m->first + m->count++) % m->cap];
	*l = (struct letter){.due_us = due_us, .what = what, .child = child, .arg = arg};
	return l;
}

bool mail_take(struct mail *m, int64_t now_us, struct letter *out)
{
	if (m->count == 0 || m->ring[m->first].due_us > now_us)
		return false;
	*out = m->ring[m->first];
	m->first = (m->first + 1) % m->cap;
	m->count--;
	return true;
}
