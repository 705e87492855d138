/* WWW-Authenticate values: no crash, and what was kept can go into a URL's query. */
#include "base/challenge.h"
#include "base/mem.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(free_at) char *text = mem_strndup((const char *)data, size);
	struct challenge c = {0};
	struct err e = {0};
	int r = challenge_parse(text, &c, &e);

	if ((r < 0) != (e.code != 0) || (r < 0 && c.scheme != CHALLENGE_NONE))
		abort();
	if (c.scheme == CHALLENGE_BEARER && !c.realm)
		abort();
	if (c.scope && (strlen(c.scope) > size || strchr(c.scope, '\n')))
		abort();
	challenge_release(&c);
	return 0;
}
