/* Fuzzes the redactor: whatever stands before it, a planted secret does not come through. */
#include "base/redact.h"

#include <assert.h>
#include <string.h>

#define SECRET "PLANTED"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const tails[] = {"\nBearer " SECRET, "\nx?token=" SECRET "&y",
					    "\nCookie: a=" SECRET, "\nhttp://u:" SECRET "@h/"};

	if (memmem(data, size, SECRET, strlen(SECRET)))
		return 0;
	for (size_t i = 0; i < array_len(tails); i++) {
		struct buf in = BUF_INIT(0), out = BUF_INIT(0);

		buf_append(&in, data, size);
		buf_puts(&in, tails[i]);
		redact_append(&out, in.data, in.len);
		assert(!memmem(out.data, out.len, SECRET, strlen(SECRET)));
		buf_release(&in);
		buf_release(&out);
	}
	return 0;
}
