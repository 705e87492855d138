/* Max-min fair shares by iteration (Charny's consistent marking, one round per step). */
#include "test/sim/net.h"

#include "base/mem.h"

struct net *net_new(uint32_t link_count)
{
	struct net *n = mem_new(struct net);

	n->links = mem_array(link_count, sizeof(*n->links));
	n->link_count = link_count;
	return n;
}

void net_free(struct net *n)
{
	free(n->links);
	free(n);
}

void net_set(struct net *n, uint32_t link, double bytes_per_s)
{
	n->links[link].cap = n->links[link].share = (float)bytes_per_s;
}

void net_begin(struct net *n)
{
	for (uint32_t i = 0; i < n->link_count; i++) {
		struct link *l = &n->links[i];

		l->load = l->elsewhere = 0;
		l->count = l->held = 0;
	}
}

void net_ask(struct net *n, struct flow *f)
{
	float rate = f->limit;

	for (unsigned i = 0; i < f->link_count; i++)
		if (n->links[f->links[i]].share < rate)
			rate = n->links[f->links[i]].share;
	for (unsigned i = 0; i < f->link_count; i++) {
		struct link *l = &n->links[f->links[i]];

		l->count++;
		l->load += rate;
		if (l->share > rate * 1.001f)
			l->elsewhere += rate;
		else
			l->held++;
	}
	f->rate = rate;
}

/* From here on share is the next step's, and load the factor by which this step's flows slow. */
void net_settle(struct net *n)
{
	for (uint32_t i = 0; i < n->link_count; i++) {
		struct link *l = &n->links[i];
		float fair = l->count ? l->cap / (float)l->count : l->cap;
		float rest = l->cap - l->elsewhere;

		l->share = l->held ? rest / (float)l->held : rest;
		if (l->share < fair)
			l->share = fair;
		l->used = l->load > l->cap ? 1 : l->load / l->cap;
		l->load = l->load > l->cap ? l->cap / l->load : 1;
	}
}

float net_move(struct net *n, struct flow *f, double seconds)
{
	float slow = 1, bytes;

	for (unsigned i = 0; i < f->link_count; i++)
		if (n->links[f->links[i]].load < slow)
			slow = n->links[f->links[i]].load;
	bytes = f->rate * slow * (float)seconds;
	if (bytes > f->left)
		bytes = f->left;
	f->left -= bytes;
	return bytes;
}
