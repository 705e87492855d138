/* Comparing locations level by level. */
#include "proto/location.h"

#include <string.h>
#include <strings.h>

int location_equal_levels(const char *a, const char *b)
{
	int levels = 0;

	while (*a && *b && levels < LOCATION_LEVELS) {
		size_t n = strcspn(a, "|"), m = strcspn(b, "|");

		if (n != m || strncasecmp(a, b, n) != 0)
			break;
		levels++;
		a += n + (a[n] == '|');
		b += m + (b[m] == '|');
	}
	return levels;
}
