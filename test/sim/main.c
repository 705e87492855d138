/* The simulator's command line. */
#include "base/cli.h"
#include "test/sim/report.h"
#include "test/state_config.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct options {
	const char *scenario, *algorithm, *order, *csv;
	uint64_t peers, size, rate, hands, slots, parents, filter, seed;
	bool list, no_endgame, piece_first, whole_pieces;
};

static const struct cli_option option_table[] = {
	{"peers", 'n', CLI_U64, offsetof(struct options, peers), "N", NULL,
	 "How many peers (default: the scenario's)."},
	{"size", 0, CLI_BYTES, offsetof(struct options, size), "SIZE", NULL,
	 "Of each task (default: the scenario's)."},
	{"rate", 0, CLI_U64, offsetof(struct options, rate), "MBIT", NULL,
	 "Of every host's link in Mbit/s, the origin's too (default: the scenario's)."},
	{"scenario", 's', CLI_TEXT, offsetof(struct options, scenario), "NAME", NULL,
	 "What happens (default plain)."},
	{"algorithm", 'a', CLI_TEXT, offsetof(struct options, algorithm), "NAME", NULL,
	 "scheduler.algorithm: skimmer (default) or default, which is Dragonfly's."},
	{"list", 'l', CLI_FLAG, offsetof(struct options, list), NULL, NULL, "Names the scenarios."},
	{"order", 0, CLI_TEXT, offsetof(struct options, order), "ORDER", NULL,
	 "Which missing piece is asked for: ascending, random or rarest."},
	{"no-endgame", 0, CLI_FLAG, offsetof(struct options, no_endgame), NULL, NULL,
	 "The last pieces are not asked for twice."},
	{"piece-first", 0, CLI_FLAG, offsetof(struct options, piece_first), NULL, NULL,
	 "A child draws a piece, then a parent that has it, not the other way round."},
	{"whole-pieces", 0, CLI_FLAG, offsetof(struct options, whole_pieces), NULL, NULL,
	 "Nothing is passed on of a piece before all of it is here."},
	{"hands", 0, CLI_U64, offsetof(struct options, hands), "N", NULL,
	 "Pieces fetched at a time (default 8)."},
	{"slots", 0, CLI_U64, offsetof(struct options, slots), "N", NULL,
	 "A parent announces new pieces while fewer uploads run (default 4, 0 = always)."},
	{"parents", 0, CLI_U64, offsetof(struct options, parents), "N", NULL,
	 "candidateParentLimit (default 4)."},
	{"filter", 0, CLI_U64, offsetof(struct options, filter), "N", NULL,
	 "filterParentLimit (default 40)."},
	{"seed", 0, CLI_U64, offsetof(struct options, seed), "N", NULL,
	 "Of the random numbers (default 1)."},
	{"csv", 0, CLI_TEXT, offsetof(struct options, csv), "FILE", NULL,
	 "Writes what plot.py draws."},
	{0},
};

static const struct cli program = {
	.program = "sim",
	.summary = "the scheduler's real code in a simulated cluster",
	.usage = "sim [options]",
	.description = "Simulates downloads under a virtual clock. The last line is \"sim peers=N "
		       "ratio=R\": R is the slowest download over the bound.",
	.examples = "sim --peers 1000  # a thousand peers, one seed, all cold",
	.options = option_table,
};

static double real_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static struct scenario scenario_of(const struct options *o)
{
	static const char *const orders[] = {"ascending", "random", "rarest"};
	const struct scenario *found = scenario_find(o->scenario ? o->scenario : "plain");
	struct scenario sc;
	bool known = !o->order;

	if (!found)
		cli_usage_error(&program, "no such scenario; see --list");
	sc = *found;
	for (unsigned i = 0; o->order && i < 3; i++) {
		if (strcmp(o->order, orders[i]) == 0) {
			sc.order = (enum order)i;
			known = true;
		}
	}
	if (!known)
		cli_usage_error(&program, "no such order");
	if (o->peers > 1000000 || o->hands > HANDS_MAX)
		cli_usage_error(&program, "at most 1000000 peers and %d hands", HANDS_MAX);
	if (o->peers)
		sc.peers = (uint32_t)o->peers;
	if (o->size)
		sc.size = o->size;
	if (o->rate)
		sc.link_mbit = sc.seed_mbit = sc.origin_mbit = (double)o->rate;
	if (o->hands)
		sc.hands = (unsigned)o->hands;
	if (o->slots <= 1000)
		sc.slots = (unsigned)o->slots;
	sc.parent_first = sc.parent_first && !o->piece_first;
	sc.endgame = sc.endgame && !o->no_endgame;
	sc.passes_on = sc.passes_on && !o->whole_pieces;
	return sc;
}

static struct state_config config_of(const struct options *o)
{
	struct state_config c = state_config_usual();
	const char *algorithm = o->algorithm ? o->algorithm : "skimmer";

	if (strcmp(algorithm, "skimmer") != 0 && strcmp(algorithm, "default") != 0)
		cli_usage_error(&program, "no such algorithm");
	c.algorithm = strcmp(algorithm, "default") == 0 ? PICK_DEFAULT : PICK_SKIMMER;
	if (o->parents)
		c.candidate_parent_limit = (unsigned)o->parents;
	if (o->filter)
		c.filter_parent_limit = (unsigned)o->filter;
	c.random_seed = o->seed;
	return c;
}

int main(int argc, char **argv)
{
	struct options o = {.seed = 1, .slots = UINT64_MAX};
	const char *rest[65];
	struct scenario sc;
	struct state_config config;
	struct world *w;
	double began = real_s();
	bool well;

	if (argc > 64 || cli_parse(&program, argc, argv, &o, rest) > 0)
		cli_usage_error(&program, "too many arguments");
	if (o.list) {
		scenario_list();
		return EXIT_DONE;
	}
	sc = scenario_of(&o);
	config = config_of(&o);
	w = world_new(&sc, &config, o.seed * 7919);
	if (!world_run(w, 3600))
		printf("not all ended within an hour\n");
	well = report_print(w, real_s() - began);
	if (o.csv && !report_write(w, o.csv)) {
		fprintf(stderr, "sim: cannot write %s\n", o.csv);
		well = false;
	}
	world_free(w);
	return well ? EXIT_DONE : EXIT_OTHER;
}
