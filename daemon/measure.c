/* Content of unknown length: down to its end first, then into the store. */
#include "daemon/measure.h"

#include "base/clock.h"
#include "base/mem.h"
#include "daemon/origin.h"
#include "daemon/resolve.h"
#include "daemon/tasks_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

#define CHUNK	    (128u << 10)
#define TIME_MAX_MS (6 * 3600 * INT64_C(1000))

struct spool {
	int fd;
	uint64_t len, len_max;
};

static int spool_sink(void *arg, const void *data, size_t len, struct err *e)
{
	struct spool *s = arg;
	const char *at = data;

	if (len > s->len_max - s->len)
		return err_set(e, EFBIG, "content of unknown length, more than %" PRIu64 " bytes",
			       s->len_max);
	while (len > 0) {
		ssize_t n = write(s->fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, errno, "write content of unknown length");
		at += n;
		len -= (size_t)n;
		s->len += (uint64_t)n;
	}
	return 0;
}

static int read_full(int fd, char *data, size_t len, uint64_t off, struct err *e)
{
	while (len > 0) {
		ssize_t n = pread(fd, data, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, n < 0 ? errno : EIO, "read content back");
		data += n;
		len -= (size_t)n;
		off += (uint64_t)n;
	}
	return 0;
}

static int copy_piece(const struct spool *s, struct store_task *st, uint32_t index, char *chunk,
		      struct err *e)
{
	const struct geometry *g = &store_task_meta(st)->geometry;
	uint64_t off = geometry_offset(g, index);
	struct store_slot slot;
	int volatile_fd = -1;
	int r = store_slot_open(st, index, &slot, e);

	if (r < 0)
		return r;
	while (slot.written < slot.length) {
		uint32_t n =
			slot.length - slot.written < CHUNK ? slot.length - slot.written : CHUNK;

		r = read_full(s->fd, chunk, n, off + slot.written, e);
		if (r == 0)
			r = store_slot_write(&slot, chunk, n, e);
		if (r < 0) {
			store_slot_abort(&slot);
			return r;
		}
	}
	r = store_slot_commit(&slot, NULL, STORE_FROM_ORIGIN, 0, &volatile_fd, e);
	if (r == 0 && volatile_fd >= 0) {
		store_volatile_close(store_task_store(st), volatile_fd);
		r = err_set(e, ENOSPC, "content of unknown length does not fit into the store");
	}
	return r;
}

static int copy_all(const struct spool *s, struct store_task *st, struct err *e)
{
	cleanup(free_at) char *chunk = mem_alloc(CHUNK);
	uint32_t count = store_task_meta(st)->geometry.piece_count;
	int r = 0;

	for (uint32_t i = 0; i < count && r == 0; i++)
		r = copy_piece(s, st, i, chunk, e);
	if (r == 0 && !store_task_is_verified(st))
		r = store_task_verify_whole(st, e);
	return r;
}

int measure(struct tasks *ts, const struct request *rq, const struct source *s, const char *headers,
	    struct store_task **out, struct err *e)
{
	struct origin_request orq = {.url = s->url,
				     .headers = &s->headers,
				     .deadline_ms = clock_ms() + TIME_MAX_MS,
				     .cancelled = &ts->stopping};
	cleanup(close_at) int fd = open(ts->tmp_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct spool spool = {.fd = fd, .len_max = ts->unknown_length_max};
	int r;

	if (fd < 0)
		return err_set(e, errno, "a temporary file in %s", ts->tmp_dir);
	r = origin_get(ts->origin, &orq, spool_sink, &spool, e);
	if (r == 0)
		r = resolve_create(ts, rq, spool.len, headers, out, e);
	if (r < 0)
		return r;
	r = copy_all(&spool, *out, e);
	if (r < 0) {
		store_task_remove(*out);
		store_task_unref(*out);
	}
	return r;
}
