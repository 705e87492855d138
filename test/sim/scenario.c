/* The named scenarios. A child behaves as daemon/fetch.c and daemon/swarm.c; what differs from a
 * daemon's defaults is a parameter here. */
#include "test/sim/scenario.h"

#include <stdio.h>
#include <string.h>

#define GIB (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)

/* Everything cold, no rack's link ever full; initialisers follow that differ. */
#define LAN                                                                                        \
	.origin_mbit = 1000, .idcs = 1, .latency_ms = 0.25, .slow_by = 10, .hands = 8,             \
	.order = ORDER_RAREST, .slots = 4, .parent_first = true, .endgame = true,                  \
	.passes_on = true
#define GIGABIT	 LAN, .seeds = 1, .tasks = 1, .link_mbit = 1000, .seed_mbit = 1000
#define THOUSAND GIGABIT, .peers = 1000, .size = GIB, .racks = 10

static const struct scenario table[] = {
	{GIGABIT, .name = "plain", .help = "1 GiB over 1 Gbit/s links, ten racks", .peers = 10000,
	 .size = GIB, .racks = 10, .join_s = 0.5},
	{GIGABIT, .name = "racks", .help = "the same, racks 4 times oversubscribed", .peers = 10000,
	 .size = GIB, .racks = 10, .join_s = 0.5, .oversubscribed = 4},
	{THOUSAND, .name = "clean", .help = "1,000 peers, to compare the bad with", .join_s = 0.5},
	{THOUSAND, .name = "bad", .help = "5 % of 1,000 ten times slower, 1 % send wrong bytes",
	 .join_s = 0.5, .slow = 0.05, .liars = 0.01},
	{THOUSAND, .name = "seed-killed", .help = "the only seed is killed when it has half",
	 .join_s = 0.5, .kill_seed_at = 0.5},
	{THOUSAND, .name = "churn", .help = "a tenth of the peers is killed within 10 s",
	 .join_s = 5, .leave = 0.1},
	{GIGABIT, .name = "many", .help = "100,000 peers, 256 MiB", .peers = 100000,
	 .size = 256 * MIB, .racks = 100, .join_s = 2},
	{GIGABIT, .name = "lab", .help = "test/bench/fanout's run, with --rate 50", .peers = 32,
	 .size = 512 * MIB, .racks = 1},
	{GIGABIT, .name = "quick", .help = "64 peers, 64 MiB: a second's check", .peers = 64,
	 .size = 64 * MIB, .racks = 4, .join_s = 0.1},
	/* github.com/uber/kraken, README: 3 GB in two layers, 2,600 hosts, 300 MB/s per agent, five
	 * origins that have the image. Racks and latency are ours. */
	{LAN, .name = "kraken", .help = "Kraken's run: 3 GB in two layers to 2,600 hosts",
	 .peers = 2600, .seeds = 5, .tasks = 2, .size = 1500000000, .link_mbit = 2400,
	 .seed_mbit = 2400, .racks = 65, .join_s = 0.5, .seed_warm = true,
	 .published = "Kraken's README: p50 10 s, p99 18 s, p99.9 22 s"},
	/* Wang et al., ATC'21: 2,500 containers on 1,000 VMs in 8.3 s. The containers of a VM share
	 * its one download. Link and size are our assumption (the abstract names neither): 1
	 * Gbit/s, 758 MB, all of it fetched; starting a container takes no time here. */
	{GIGABIT, .name = "faasnet", .help = "FaaSNet's run: one image to 1,000 VMs", .peers = 1000,
	 .size = 758000000, .racks = 25, .join_s = 0.5, .seed_warm = true,
	 .published = "FaaSNet's abstract: 8.3 s"},
};

const struct scenario *scenario_find(const char *name)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

void scenario_list(void)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		printf("%-12s %s\n", table[i].name, table[i].help);
}
