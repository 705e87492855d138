/* Fills a task of the store from a file. */
#include "daemon/task_import.h"

#include "base/mem.h"
#include "daemon/resolve.h"
#include "daemon/tasks_private.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP (256u << 10)

static int copy_into(struct store_slot *slot, int fd, uint64_t off, char *room, struct err *e)
{
	while (slot->written < slot->length) {
		uint32_t left = slot->length - slot->written;
		ssize_t n =
			pread(fd, room, left < STEP ? left : STEP, (off_t)(off + slot->written));
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, n < 0 ? errno : EIO, "read what is imported");
		r = store_slot_write(slot, room, (size_t)n, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int import_piece(struct store_task *st, uint32_t index, int fd, char *room, struct err *e)
{
	const struct geometry *g = &store_task_meta(st)->geometry;
	struct store_slot slot;
	int spare = -1, r = store_slot_open(st, index, &slot, e);

	if (r < 0)
		return r;
	r = copy_into(&slot, fd, geometry_offset(g, index), room, e);
	if (r < 0) {
		store_slot_abort(&slot);
		return r;
	}
	r = store_slot_commit(&slot, NULL, STORE_FROM_ORIGIN, 0, &spare, e);
	if (r == 0 && spare >= 0) {
		store_volatile_close(store_task_store(st), spare);
		r = err_set(e, EBUSY, "the store is full");
	}
	return r;
}

static int fill(struct store_task *st, int fd, struct err *e)
{
	uint32_t count = store_task_meta(st)->geometry.piece_count;
	char *room cleanup(free_at) = mem_alloc(STEP);
	int r = 0;

	for (uint32_t i = 0; i < count && r == 0; i++)
		r = import_piece(st, i, fd, room, e);
	return r < 0 ? r : store_task_verify_whole(st, e);
}

/* True: it is here. Otherwise what there is of it has been forgotten. */
static bool is_here(struct tasks *ts, const char *id)
{
	struct store_task *st cleanup(store_task_unref_at) = NULL;

	if (store_find(ts->store, id, &st, NULL) < 0)
		return false;
	if (store_task_is_verified(st))
		return true;
	if (task_delete(ts, id, NULL) < 0)
		store_task_remove(st);
	return false;
}

static int make(struct tasks *ts, const struct request *rq, int fd, struct err *e)
{
	struct store_task *st cleanup(store_task_unref_at) = NULL;
	struct stat info;
	int r;

	if (fstat(fd, &info) < 0)
		return err_set(e, errno, "look at what is imported");
	r = resolve_create(ts, rq, (uint64_t)info.st_size, NULL, &st, e);
	if (r < 0)
		return r;
	r = fill(st, fd, e);
	if (r < 0)
		store_task_remove(st);
	return r;
}

int task_import(struct tasks *ts, const char *content_for_id, int fd, struct err *e)
{
	/* What is here and complete is announced to the scheduler by that flag. */
	const struct task_request ask = {.content_for_id = content_for_id,
					 .need_back_to_source = true};
	struct request *rq cleanup(request_free_at) = NULL;
	struct task *t;
	int r = request_new(&ask, &rq, e);

	if (r == 0 && !is_here(ts, rq->id))
		r = make(ts, rq, fd, e);
	if (r == 0)
		r = task_open_wait(ts, &ask, &t, e);
	if (r == 0)
		task_unref(t);
	return r;
}
