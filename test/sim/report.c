/* Figures of a run. A peer is done when all its tasks are. */
#include "test/sim/report.h"

#include "base/mem.h"

#include <stdio.h>

struct finishes {
	double *s; /* sorted */
	uint32_t count;
};

double report_bound_s(const struct scenario *sc)
{
	double mbit = sc->link_mbit, bytes = (double)sc->size * sc->tasks;

	if (!sc->seed_warm && sc->origin_mbit < mbit)
		mbit = sc->origin_mbit;
	if (sc->seed_mbit * (sc->tasks < sc->seeds ? sc->tasks : sc->seeds) < mbit)
		mbit = sc->seed_mbit;
	return bytes * 8 / (mbit * 1e6);
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Seconds from joining to the last task's end, of the slow or of the other peers. */
static struct finishes finishes_of(const struct world *w, bool slow)
{
	struct finishes f = {mem_array(w->sc->peers + 1, sizeof(double)), 0};

	for (uint32_t host = 1 + w->sc->seeds; host < w->host_count; host++) {
		const struct child *c = &w->children[(size_t)(host - 1) * w->sc->tasks];
		int64_t last = 0;
		bool done = true;

		for (uint32_t i = 0; i < w->sc->tasks; i++) {
			done = done && c[i].mode == DONE;
			if (c[i].ended_us > last)
				last = c[i].ended_us;
		}
		if (done && w->hosts[host].is_slow == slow)
			f.s[f.count++] = (double)(last - c->begun_us) * 1e-6;
	}
	qsort(f.s, f.count, sizeof(f.s[0]), by_value);
	return f;
}

static double at(const struct finishes *f, double q)
{
	return f->count ? f->s[(uint32_t)(q * (f->count - 1) + 0.5)] : 0;
}

static uint32_t count_mode(const struct world *w, enum child_mode mode)
{
	uint32_t n = 0;

	for (uint32_t i = w->sc->seeds * w->sc->tasks; i < w->child_count; i++)
		n += w->children[i].mode == mode;
	return n;
}

/* The last moment at which a peer was done, from the first one's joining. */
static double last_moment(const struct world *w)
{
	int64_t last = 0;

	for (uint32_t i = w->sc->seeds * w->sc->tasks; i < w->child_count; i++)
		if (w->children[i].mode == DONE && !w->hosts[w->children[i].host].is_slow &&
		    w->children[i].ended_us > last)
			last = w->children[i].ended_us;
	return (double)last * 1e-6;
}

static void print_scheduler(const struct world *w, double virtual_s)
{
	const struct tally *t = &w->tally;

	printf("scheduler   %lu messages, %lu decisions, %lu introductions, %.2f s of CPU in %.1f "
	       "s (%.0f %% of a "
	       "core), longest call %.1f ms\n",
	       t->letters, w->state.decisions, w->state.introductions, t->scheduler_s, virtual_s,
	       100 * t->scheduler_s / virtual_s, t->longest_s * 1e3);
}

static void print_bytes(const struct world *w)
{
	const struct tally *t = &w->tally;
	double one = (double)w->sc->size * w->sc->tasks, seeds = 0;

	for (uint32_t i = 1; i <= w->sc->seeds; i++)
		seeds += (double)w->hosts[i].sent;
	printf("bytes       %.2f origin copies, %.2f from seeds, %.2f %% fetched twice, %.0f %% of "
	       "the peers' crossed racks\n",
	       (double)t->origin_bytes / one, seeds / one,
	       t->peer_bytes ? 100.0 * (double)t->wasted_bytes / (double)t->peer_bytes : 0,
	       t->peer_bytes ? 100.0 * (double)t->rack_bytes / (double)t->peer_bytes : 0);
	printf("trouble     %lu asked for other parents, %lu went to the origin, %lu refused, %lu "
	       "wrong pieces\n",
	       t->reschedules, t->to_source, t->refused, t->corrupt);
}

bool report_print(const struct world *w, double real_s)
{
	const struct scenario *sc = w->sc;
	struct finishes all = finishes_of(w, false), slow = finishes_of(w, true);
	double bound = report_bound_s(sc), last = last_moment(w);
	uint32_t dead = count_mode(w, DEAD), done = count_mode(w, DONE);

	printf("scenario    %s: %s\n", sc->name, sc->help);
	printf("parameters  %u peers, %u seeds, %u x %.1f MiB, %.0f Mbit/s, %u racks (%.0f:1), "
	       "%.2f ms, joins in %.1f s, %u hands, %u slots, order %d, endgame %d\n",
	       sc->peers, sc->seeds, sc->tasks, (double)sc->size / 1048576, sc->link_mbit,
	       sc->racks, sc->oversubscribed, sc->latency_ms, sc->join_s, sc->hands, sc->slots,
	       sc->order, sc->endgame);
	printf("ended       %u of %u downloads, %u killed\n", done, sc->peers * sc->tasks, dead);
	printf("seconds     bound %.2f  p50 %.2f  p90 %.2f  p99 %.2f  p99.9 %.2f  last %.2f\n",
	       bound, at(&all, 0.5), at(&all, 0.9), at(&all, 0.99), at(&all, 0.999), at(&all, 1));
	if (slow.count)
		printf("slow ones   bound %.2f  p50 %.2f  p99 %.2f  last %.2f\n",
		       bound * sc->slow_by, at(&slow, 0.5), at(&slow, 0.99), at(&slow, 1));
	print_bytes(w);
	print_scheduler(w, last);
	if (sc->published)
		printf("theirs      %s; ours p50 %.2f s, p99 %.2f s, p99.9 %.2f s\n", sc->published,
		       at(&all, 0.5), at(&all, 0.99), at(&all, 0.999));
	printf("simulated   in %.1f s\n", real_s);
	printf("sim peers=%u ratio=%.3f\n", sc->peers, at(&all, 1) / bound);
	free(all.s);
	free(slow.s);
	return done + dead == sc->peers * sc->tasks;
}

bool report_write(const struct world *w, const char *path)
{
	struct finishes all = finishes_of(w, false);
	double links = w->sc->peers * w->sc->link_mbit * 1e6 / 8;
	FILE *f = fopen(path, "w");

	for (uint32_t i = 0; f && i < all.count; i++)
		fprintf(f, "finish %.3f\n", all.s[i]);
	for (uint32_t i = 0; f && i < w->timeline_count; i++)
		fprintf(f, "sent %u %.4f\n", i, w->timeline[i] / links);
	free(all.s);
	return f && fclose(f) == 0;
}
