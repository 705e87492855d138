/* The manager's figures for Prometheus, under Dragonfly's names. */
#ifndef CONTROL_MANAGER_FIGURES_H
#define CONTROL_MANAGER_FIGURES_H

#include <stdbool.h>
#include <stdint.h>

void figures_start(void);
/* A peer asked which schedulers are its own. Its version, as it says it; "" if it does not. */
void figures_search(const char *version, const char *commit, bool found);
void figures_job(const char *type, bool made);
/* An answer over REST. path: the request's; what is an id in it is shown as ":id". */
void figures_request(const char *method, const char *path, int status, int64_t us);

#endif
