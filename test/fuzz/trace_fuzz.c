/* Fuzzes the reader of traceparent headers. What must hold: what is taken prints to the same ids.
 */
#include "base/mem.h"
#include "base/trace.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(free_at) char *text = mem_strndup((const char *)data, size);
	char printed[TRACE_PARENT_LEN + 1];
	struct trace_context c;

	if (!trace_context_parse(text, &c)) {
		assert(!trace_context_is_set(&c));
		return 0;
	}
	assert(trace_context_is_set(&c));
	trace_context_print(&c, printed);
	assert(memcmp(printed + 3, text + 3, 50) == 0);
	return 0;
}
