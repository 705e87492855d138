/* What builder and reader of an index share. */
#include "fs/layer/index_format.h"

#include <errno.h>
#include <unistd.h>

void index_hex_pack(const char *hex, uint8_t out[32])
{
	for (int i = 0; i < 64; i++) {
		uint8_t v = (uint8_t)(hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10);

		out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | v : v << 4);
	}
}

void index_hex_print(const uint8_t bytes[32], char out[DIGEST_HEX_LEN + 1])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < 32; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[DIGEST_HEX_LEN] = 0;
}

int index_pread(int fd, uint64_t offset, void *buf, size_t len, struct err *e)
{
	char *at = buf;

	while (len) {
		ssize_t n = pread(fd, at, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, errno, "read the index");
		if (n == 0)
			return err_set(e, EBADMSG, "the index is cut short");
		at += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int index_pwrite(int fd, uint64_t offset, const void *buf, size_t len, struct err *e)
{
	const char *at = buf;

	while (len) {
		ssize_t n = pwrite(fd, at, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, errno, "write the index");
		at += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}
