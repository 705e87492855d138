/* Raw headers of an answer, a line each: what is kept is in one form, found again by its name, and
 * survives being passed on. */
#include "base/header_lines.h"
#include "base/mem.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(buf_release) struct buf lines = BUF_INIT(64u << 10), out = BUF_INIT(64u << 10);
	const char *at = (const char *)data, *end = at + size;

	while (at < end) {
		const char *next = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((next ? next + 1 : end) - at), before = lines.len;
		struct err e;

		if (header_lines_add(&lines, at, len, &e) == 0 && lines.len < before + 3)
			abort();
		if (lines.overflow)
			return 0;
		at += len;
	}
	header_lines_end_to_end(&out, lines.data);
	if (out.len > lines.len || (lines.data && strlen(lines.data) != lines.len))
		abort();
	for (const char *line = out.data; line && *line; line = strchr(line, '\n') + 1) {
		cleanup(free_at) char *name = mem_strndup(line, strcspn(line, ":"));
		cleanup(free_at) char *value = header_lines_get(out.data, name, 0);

		if (!value || strncmp(line + strlen(name), ": ", 2) != 0)
			abort();
	}
	return 0;
}
