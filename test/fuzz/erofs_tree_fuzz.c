/* Arbitrary bytes as a layer's EROFS image. */
#include "base/cleanup.h"
#include "test/unit/fs/layer/erofs_walk.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(close_at) int fd = memfd_create("erofs", 0);

	if (write(fd, data, size) == (ssize_t)size)
		(void)erofs_walk_all(fd);
	return 0;
}
