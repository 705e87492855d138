/* ustar: a head of 512 bytes, the bytes, zeros up to the next 512. */
#include "contrib/dfctl/archive.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

#define BLOCK 512

struct head {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100];
	char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], rest[12];
};

static int write_all(int fd, const void *data, size_t len, struct err *e)
{
	const char *at = data;

	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, errno, "write");
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int archive_add(int fd, const char *name, const void *data, size_t len, struct err *e)
{
	static const char zeros[BLOCK];
	struct head h = {.type = '0', .magic = "ustar", .version = {'0', '0'}};
	const unsigned char *bytes = (const void *)&h;
	unsigned sum = 0;
	int r;

	_Static_assert(sizeof(h) == BLOCK, "a head is a block");
	snprintf(h.name, sizeof(h.name), "%s", name);
	snprintf(h.mode, sizeof(h.mode), "%07o", 0600u);
	snprintf(h.uid, sizeof(h.uid), "%07o", 0u);
	snprintf(h.gid, sizeof(h.gid), "%07o", 0u);
	snprintf(h.size, sizeof(h.size), "%011zo", len);
	snprintf(h.mtime, sizeof(h.mtime), "%011llo", (unsigned long long)(clock_wall_ms() / 1000));
	memset(h.sum, ' ', sizeof(h.sum));
	for (size_t i = 0; i < sizeof(h); i++)
		sum += bytes[i];
	snprintf(h.sum, sizeof(h.sum), "%06o", sum & 0777777);
	r = write_all(fd, &h, sizeof(h), e);
	if (r == 0)
		r = write_all(fd, data, len, e);
	if (r == 0 && len % BLOCK)
		r = write_all(fd, zeros, BLOCK - len % BLOCK, e);
	return r;
}

int archive_end(int fd, struct err *e)
{
	static const char zeros[2 * BLOCK];

	return write_all(fd, zeros, sizeof(zeros), e);
}
