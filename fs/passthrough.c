/* The part of FUSE's protocol 7.40 that Debian 12's linux/fuse.h (7.38) lacks. Numbers of the
 * protocol are ABI: they are the same on every kernel. */
#include "fs/passthrough.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/ioctl.h>

#define INIT_EXT	  (1u << 30)
#define INIT_PASSTHROUGH2 (1u << 5) /* bit 37: bit 5 of flags2 */
#define INIT_HAS_RESEND2  (1u << 7) /* bit 39 */
#define OPEN_PASSTHROUGH  (1u << 7)
#define STACK_DEPTH_MAX	  1u /* the store may not be on a stacked file system itself */

struct init_request {
	struct fuse_in_header head;
	uint32_t major, minor, max_readahead, flags, flags2;
};

struct init_answer {
	struct fuse_out_header head;
	uint32_t major, minor, max_readahead, flags;
	uint16_t max_background, congestion_threshold;
	uint32_t max_write, time_gran;
	uint16_t max_pages, map_alignment;
	uint32_t flags2, max_stack_depth;
};

struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};

#define BACKING_OPEN  _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)

void passthrough_see_request(struct passthrough *p, const void *data, size_t len)
{
	const struct init_request *rq = data;

	if (len < sizeof(*rq) || rq->head.opcode != FUSE_INIT)
		return;
	p->offered = (rq->flags & INIT_EXT) && (rq->flags2 & INIT_PASSTHROUGH2);
	p->resends = (rq->flags & INIT_EXT) && (rq->flags2 & INIT_HAS_RESEND2);
	p->init_unique = p->wanted && p->offered ? rq->head.unique : 0;
}

size_t passthrough_patch_answer(struct passthrough *p, const struct iovec *iov, int count,
				char copy[PASSTHROUGH_INIT_MAX])
{
	const struct fuse_out_header *head = iov[0].iov_base;
	struct init_answer answer;
	size_t len = 0;

	if (p->init_unique == 0 || head->unique != p->init_unique)
		return 0;
	p->init_unique = 0;
	if (head->error != 0 || head->len < sizeof(answer) || head->len > PASSTHROUGH_INIT_MAX)
		return 0;
	for (int i = 0; i < count; i++) {
		memcpy(copy + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	memcpy(&answer, copy, sizeof(answer));
	answer.flags |= INIT_EXT;
	answer.flags2 |= INIT_PASSTHROUGH2;
	answer.max_stack_depth = STACK_DEPTH_MAX;
	memcpy(copy, &answer, sizeof(answer));
	p->negotiated = true;
	return len;
}

int passthrough_backing_open(int fuse_fd, int file_fd, int *id_out, struct err *e)
{
	struct backing_map map = {.fd = file_fd};
	int id = ioctl(fuse_fd, BACKING_OPEN, &map);

	if (id <= 0)
		return err_set(e, id < 0 ? errno : EIO, "register a file for passthrough");
	*id_out = id;
	return 0;
}

void passthrough_backing_close(int fuse_fd, int id)
{
	uint32_t number = (uint32_t)id;

	ioctl(fuse_fd, BACKING_CLOSE, &number);
}

struct passthrough_open_out passthrough_open_answer(uint64_t fh, int backing_id)
{
	return (struct passthrough_open_out){
		.fh = fh, .open_flags = OPEN_PASSTHROUGH, .backing_id = backing_id};
}
