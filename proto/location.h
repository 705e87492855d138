/* A host's location as the wire has it: levels from the widest on, "asia|cn|hz|room 3". */
#ifndef PROTO_LOCATION_H
#define PROTO_LOCATION_H

#define LOCATION_LEVELS 5 /* more are not looked at */

/* How many levels, from the first on, both name alike, without regard to case: 0 to
 * LOCATION_LEVELS. */
int location_equal_levels(const char *a, const char *b);

#endif
