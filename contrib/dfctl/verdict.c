/* The verdict. What went wrong comes before what was slow; of what was slow the longest counts. */
#include "contrib/dfctl/verdict.h"

#include "base/cleanup.h"
#include "base/units.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A download that is shorter, or as fast as this, is not called slow. */
#define SHORT_US (200 * 1000)
#define FAST	 (200u << 20) /* bytes per second */
/* What sends more than this share of what it says it can is at its limit. */
#define AT_LIMIT_PERCENT 40
/* No limit worth the name: 10 Gbit/s. */
#define NO_LIMIT (UINT64_C(10000000000) / 8)

uint64_t verdict_rate(uint64_t bytes, uint64_t us)
{
	return us ? (uint64_t)((double)bytes * 1e6 / (double)us) : 0;
}

static void judge(struct verdict *v, const char *code, const char *fmt, ...) printf_like(3, 4);

static void judge(struct verdict *v, const char *code, const char *fmt, ...)
{
	va_list ap;

	v->fault = code ? fault_find(code) : NULL;
	va_start(ap, fmt);
	vsnprintf(v->text, sizeof(v->text), fmt, ap);
	va_end(ap);
}

/* ---- where the time went */

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static void add_giver(const Skimmer__V1__Giver *g, struct spent *s)
{
	uint64_t moving = less(g->wait_us + g->transfer_us, g->write_us + g->held_us);

	*(*g->host_id ? &s->peers : &s->origin) += moving;
	*(*g->host_id ? &s->peers_held : &s->origin_held) += g->held_us;
	s->disk += g->write_us;
	s->verify += g->verify_us;
	s->lost += g->lost_us;
}

static void scale(uint64_t *part, uint64_t whole, uint64_t sum)
{
	*part = sum ? (uint64_t)((double)*part * (double)whole / (double)sum) : 0;
}

void verdict_spent(const Skimmer__V1__Attempt *a, struct spent *out)
{
	uint64_t alone, busy, sum;

	*out = (struct spent){0};
	for (size_t i = 0; i < a->n_givers; i++)
		add_giver(a->givers[i], out);
	out->scheduler = a->scheduled_us < a->total_us ? a->scheduled_us : a->total_us;
	out->idle = less(a->idle_us, a->verify_us);
	alone = out->scheduler + out->idle + a->verify_us;
	busy = less(a->total_us, alone);
	sum = out->origin + out->origin_held + out->peers + out->peers_held + out->disk +
	      out->verify + out->lost;
	scale(&out->origin, busy, sum);
	scale(&out->origin_held, busy, sum);
	scale(&out->peers, busy, sum);
	scale(&out->peers_held, busy, sum);
	scale(&out->disk, busy, sum);
	scale(&out->verify, busy, sum);
	scale(&out->lost, busy, sum);
	out->verify += a->verify_us;
}

/* ---- what went wrong */

static const char *name_of(const Skimmer__V1__Giver *g)
{
	return *g->host_id ? g->host_id : "the origin";
}

static const Skimmer__V1__Giver *find_corrupt(const Skimmer__V1__Attempt *a)
{
	for (size_t i = 0; i < a->n_givers; i++)
		if (a->givers[i]->corrupt)
			return a->givers[i];
	return NULL;
}

static bool judge_faults(const Skimmer__V1__Attempt *a, struct verdict *v)
{
	const Skimmer__V1__Giver *corrupt = find_corrupt(a);

	if (strcmp(a->outcome, "failed") == 0)
		judge(v, "SK400", "%s", a->failure);
	else if (corrupt)
		judge(v, "SK408", "%s sent %u wrong pieces (%s); they were fetched again",
		      name_of(corrupt), corrupt->corrupt, corrupt->last_failure);
	else if (a->disk_full)
		judge(v, "SK409", "the store had no room while this was fetched");
	else if (a->to_origin && !*a->scheduler)
		judge(v, "SK406", "the origin was read because of: %s", a->to_origin_why);
	else
		return false;
	return true;
}

/* ---- what was slow */

static const Skimmer__V1__Giver *busiest_peer(const Skimmer__V1__Attempt *a)
{
	const Skimmer__V1__Giver *most = NULL;

	for (size_t i = 0; i < a->n_givers; i++) {
		const Skimmer__V1__Giver *g = a->givers[i];

		if (*g->host_id &&
		    (!most || g->wait_us + g->transfer_us > most->wait_us + most->transfer_us))
			most = g;
	}
	return most;
}

static const Skimmer__V1__Giver *origin_of(const Skimmer__V1__Attempt *a)
{
	for (size_t i = 0; i < a->n_givers; i++)
		if (!*a->givers[i]->host_id)
			return a->givers[i];
	return NULL;
}

static const Skimmer__V1__Giver *find_seed(const Skimmer__V1__Attempt *a)
{
	for (size_t i = 0; i < a->n_givers; i++)
		if (a->givers[i]->seed)
			return a->givers[i];
	return NULL;
}

static unsigned percent(uint64_t part, uint64_t whole)
{
	return whole ? (unsigned)(part * 100 / whole) : 0;
}

static void judge_peer(const Skimmer__V1__Attempt *a, const struct spent *s, struct verdict *v)
{
	const Skimmer__V1__Giver *g = busiest_peer(a);
	uint64_t rate = g ? verdict_rate(g->bytes, s->peers) : 0;
	char got[32], can[32];

	if (!g)
		return;
	units_print_bytes(rate, got, sizeof(got));
	units_print_bytes(g->tx_max, can, sizeof(can));
	if (g->tx_max && g->tx_max < NO_LIMIT && rate * 100 >= g->tx_max * AT_LIMIT_PERCENT)
		judge(v, "SK403", "%s gave %s/s of the %s/s that it may send", g->host_id, got,
		      can);
	else
		judge(v, "SK402", "%s gave %s/s, %u %% of the time went there", g->host_id, got,
		      percent(s->peers, a->total_us));
}

static void judge_origin(const Skimmer__V1__Attempt *a, const struct spent *s, struct verdict *v)
{
	const Skimmer__V1__Giver *g = origin_of(a);
	char got[32], wait[32];

	if (!g)
		return;
	units_print_bytes(verdict_rate(g->bytes, s->origin), got, sizeof(got));
	units_print_ms((int64_t)(g->wait_us / 1000), wait, sizeof(wait));
	if (g->wait_us > g->transfer_us)
		judge(v, "SK401",
		      "its first bytes were waited for %s in all, %u %% of the time went there",
		      wait, percent(s->origin, a->total_us));
	else
		judge(v, "SK401", "it gave %s/s, %u %% of the time went there", got,
		      percent(s->origin, a->total_us));
}

static void judge_idle(const Skimmer__V1__Attempt *a, const struct spent *s, struct verdict *v)
{
	const Skimmer__V1__Giver *seed = find_seed(a);
	const Skimmer__V1__Giver *g = seed ? seed : busiest_peer(a);
	char text[32];

	units_print_ms((int64_t)(s->idle / 1000), text, sizeof(text));
	judge(v, "SK411", "for %s of it %s had announced nothing that was missing", text,
	      g ? name_of(g) : "nobody");
}

static void judge_held(const char *code, const char *key, uint64_t limit, uint64_t us,
		       uint64_t total_us, struct verdict *v)
{
	char text[32];

	units_print_bytes(limit, text, sizeof(text));
	judge(v, code, "%s here is %s/s; %u %% of the time was spent on keeping to it", key, text,
	      percent(us, total_us));
}

void verdict_of_attempt(const Skimmer__V1__Attempt *a, const Skimmer__V1__ExplainResponse *limits,
			struct verdict *out)
{
	struct spent s;
	char rate[32];
	uint64_t bytes = 0, most = 0;

	verdict_spent(a, &s);
	for (size_t i = 0; i < a->n_givers; i++)
		bytes += a->givers[i]->bytes;
	*out = (struct verdict){0};
	if (judge_faults(a, out))
		return;
	units_print_bytes(verdict_rate(bytes, a->total_us), rate, sizeof(rate));
	judge(out, NULL, "nothing is wrong: %s/s", rate);
	if (a->total_us < SHORT_US || verdict_rate(bytes, a->total_us) >= FAST)
		return;
	const uint64_t parts[] = {s.scheduler, s.idle,	     s.origin, s.origin_held,
				  s.peers,     s.peers_held, s.disk};
	for (size_t i = 0; i < array_len(parts); i++)
		most = parts[i] > most ? parts[i] : most;
	if (most == 0 || most == s.scheduler)
		judge(out, most ? "SK412" : NULL, "%s answered after %u %% of the time",
		      *a->scheduler ? a->scheduler : "it", percent(s.scheduler, a->total_us));
	else if (most == s.idle)
		judge_idle(a, &s, out);
	else if (most == s.origin_held)
		judge_held("SK405", "download.backToSourceBandwidthLimit", limits->origin_limit,
			   most, a->total_us, out);
	else if (most == s.peers_held)
		judge_held("SK404", "download.bandwidthLimit", limits->download_limit, most,
			   a->total_us, out);
	else if (most == s.disk)
		judge(out, "SK410", "%u %% of the time was spent writing",
		      percent(most, a->total_us));
	else if (most == s.origin)
		judge_origin(a, &s, out);
	else
		judge_peer(a, &s, out);
}

void verdict_of_request(const Skimmer__V1__Request *r, struct verdict *out)
{
	*out = (struct verdict){0};
	if (strcmp(r->way, "tunnel") == 0)
		judge(out, "SK407",
		      "a tunnel (CONNECT): what is inside is not seen; proxy.intercept names "
		      "hosts whose https is");
	else if (strcmp(r->way, "relay") == 0 && *r->why)
		judge(out, "SK407", "%s", r->why);
	else if (strcmp(r->way, "relay") == 0)
		judge(out, "SK407", "no rule of proxy.rules matches %s", r->url);
	else
		judge(out, NULL, "nothing is wrong: it was here already");
}
