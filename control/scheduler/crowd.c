/* The able peers of a task that are at one place (same IDC and location), so that some of them are
 * found at once among a hundred thousand. Hosts of whom neither is known are at no place. */
#include "control/scheduler/state.h"

#include "base/mem.h"

#include <ctype.h>
#include <string.h>

static void lower(char *text)
{
	for (; *text; text++)
		*text = (char)tolower((unsigned char)*text);
}

void crowd_enter(struct peer *p)
{
	struct task *t = p->task;
	struct crowd *c;

	if (p->crowd || !p->host->place)
		return;
	if (!t->crowds)
		t->crowds = map_new();
	c = map_get(t->crowds, p->host->place);
	if (!c) {
		c = mem_new(struct crowd);
		c->place = mem_strdup(p->host->place);
		map_put(t->crowds, c->place, c);
	}
	if (c->count == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 4;
		c->peers = mem_realloc(c->peers, c->cap * sizeof(struct peer *));
	}
	p->crowd = c;
	p->crowd_index = c->count;
	c->peers[c->count++] = p;
}

static void crowd_free(struct crowd *c)
{
	free(c->place);
	free(c->peers);
	free(c);
}

void crowd_leave(struct peer *p)
{
	struct crowd *c = p->crowd;

	if (!c)
		return;
	p->crowd = NULL;
	c->peers[p->crowd_index] = c->peers[--c->count];
	c->peers[p->crowd_index]->crowd_index = p->crowd_index;
	if (c->count)
		return;
	map_remove(p->task->crowds, c->place);
	crowd_free(c);
}

const struct crowd *crowd_of(const struct peer *p)
{
	if (!p->host->place || !p->task->crowds)
		return NULL;
	return p->crowd ? p->crowd : map_get(p->task->crowds, p->host->place);
}

void crowds_free(struct task *t)
{
	const char *place;
	void *value;
	size_t at = 0;

	while (t->crowds && map_next(t->crowds, &at, &place, &value))
		crowd_free(value);
	map_free(t->crowds);
}

void host_move(struct host *h, const char *idc, const char *location)
{
	if (strcmp(h->idc, idc) == 0 && strcmp(h->location, location) == 0)
		return;
	list_each (it, &h->peers)
		crowd_leave(list_entry(it, struct peer, host_link));
	host_set_text(&h->idc, idc);
	host_set_text(&h->location, location);
	free(h->place);
	h->place = NULL;
	if (*idc || *location) {
		h->place = mem_printf("%s\n%s", idc, location);
		lower(h->place);
	}
	list_each (it, &h->peers)
		task_sort(list_entry(it, struct peer, host_link));
}
