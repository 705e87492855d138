/* What a run has shown: figures for people, and a file for plots. */
#ifndef TEST_SIM_REPORT_H
#define TEST_SIM_REPORT_H

#include "test/sim/world.h"

/* Seconds that nobody can beat: a task over the slowest link that every byte must cross. */
double report_bound_s(const struct scenario *sc);
/* Prints; the last line is "sim peers=N ratio=R": R is the slowest download, from its own
 * beginning, of the peers that are not slow by themselves, over the bound. real_s: how long the run
 * took. False if a child that was not killed did not end well. */
bool report_print(const struct world *w, double real_s);
/* Lines "finish <seconds>" in order, and "sent <second> <fraction of all peers' uplinks>". */
bool report_write(const struct world *w, const char *path);

#endif
