/* Dragonfly's labels and classes. */
#include "proto/figure.h"

#include "base/cleanup.h"

#include <sys/utsname.h>

void figure_version(const struct metric_family *version)
{
	struct utsname uts = {0};

	uname(&uts);
	metric_set(
		metric_get(version, "0", "1", "v" SKIMMER_VERSION, "", uts.machine, "", "", "", ""),
		1);
}

unsigned figure_size_level(uint64_t len)
{
	static const unsigned mib[] = {1,     4,      8,      16,     32,     64,    128,
				       256,   512,    1024,   4096,   8192,   16384, 32768,
				       65536, 131072, 262144, 524288, 1048576};

	for (unsigned i = 0; i < array_len(mib); i++)
		if (len <= (uint64_t)mib[i] << 20)
			return len ? i + 1 : 0;
	return array_len(mib) + 1;
}
