/* Must not know: what the bytes are to whom. */
#include "daemon/layer_reads.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "daemon/pending.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define WORKERS	  32
#define QUEUE_MAX 4096

struct layer_reads {
	struct starts *starts;
	int zeros; /* a file of LAYER_HOLE_MAX of them */
	struct pool *pool;
	struct pendings pendings;
};

struct reading {
	struct pending pending;
	struct layer_reads *reads;
	struct layer *layer;
	unsigned count;
	struct erofs_extent extents[];
};

static void reading_free(struct pending *p)
{
	struct reading *r = container_of(p, struct reading, pending);

	layer_unref(r->layer);
	free(r);
}

static void answer(const struct layer_reads *lr, struct fs_read *ask, const struct layer *l,
		   const struct erofs_extent *x, unsigned count)
{
	struct fs_extent one, *all = count == 1 ? &one : mem_array(count, sizeof(*all));

	for (unsigned i = 0; i < count; i++)
		all[i] = (struct fs_extent){.fd = x[i].hole ? lr->zeros : layer_fd(l),
					    .off = x[i].hole ? 0 : x[i].pos,
					    .len = x[i].len};
	ask->done(ask, all, count, NULL);
	if (all != &one)
		free(all);
}

static int fill(const struct reading *r, struct err *e)
{
	int result = 0;

	for (unsigned i = 0; i < r->count && result == 0; i++) {
		const struct erofs_extent *x = &r->extents[i];

		if (!x->hole)
			result = layer_fill(r->layer, x->pos, x->len, true, e);
	}
	return result;
}

static void run(void *arg)
{
	struct reading *r = arg;
	struct err e = {0};
	int result = fill(r, &e);
	struct fs_read *ask = pending_answer(&r->pending);

	if (ask && result == 0)
		answer(r->reads, ask, r->layer, r->extents, r->count);
	else if (ask)
		ask->done(ask, NULL, 0, &e);
	pending_unref(&r->pending);
}

static bool is_inside(const struct layer *l, const struct erofs_extent *x)
{
	uint64_t len = layer_file_len(l);

	if (x->hole)
		return x->len <= LAYER_HOLE_MAX;
	return x->pos <= len && x->len <= len - x->pos;
}

/* Notes them, too. False: not all is here. */
static bool has_all(struct layer_reads *lr, struct layer *l, const struct erofs_extent *x,
		    unsigned count)
{
	bool all = true;

	layer_read_now(l);
	for (unsigned i = 0; i < count; i++) {
		if (x[i].hole)
			continue;
		starts_note(lr->starts, l, x[i].pos, x[i].len);
		all = layer_has(l, x[i].pos, x[i].len) && all;
	}
	return all;
}

void layer_reads_ask(struct layer_reads *lr, struct layer *l, const struct erofs_extent *x,
		     unsigned count, struct fs_read *ask)
{
	struct reading *r;
	struct err e = {0};

	for (unsigned i = 0; i < count; i++) {
		if (is_inside(l, &x[i]))
			continue;
		err_set(&e, EBADMSG, "layer sha256:%s has no such bytes", layer_info(l)->digest);
		ask->done(ask, NULL, 0, &e);
		return;
	}
	if (has_all(lr, l, x, count)) {
		answer(lr, ask, l, x, count);
		return;
	}
	r = mem_alloc(sizeof(*r) + count * sizeof(*x));
	*r = (struct reading){.reads = lr, .layer = l, .count = count};
	memcpy(r->extents, x, count * sizeof(*x));
	layer_ref(l);
	pending_begin(&r->pending, &lr->pendings, ask, &ask->private_, reading_free);
	if (pool_run(lr->pool, run, r))
		return;
	err_set(&e, EBUSY, "too many reads wait");
	if (pending_answer(&r->pending))
		ask->done(ask, NULL, 0, &e);
	pending_unref(&r->pending);
}

bool layer_reads_cancel(struct layer_reads *lr, struct fs_read *ask)
{
	struct pending *p = pending_take_back(&lr->pendings, &ask->private_);

	if (!p)
		return false;
	/* The worker goes on: what it inflates is kept. */
	pending_unref(p);
	return true;
}

struct layer_reads *layer_reads_new(struct starts *starts)
{
	struct layer_reads *lr = mem_new(struct layer_reads);

	lr->starts = starts;
	lr->zeros = memfd_create("skimmer-zeros", MFD_CLOEXEC);
	if (lr->zeros < 0 || ftruncate(lr->zeros, LAYER_HOLE_MAX) < 0) {
		log_error("SK100", "no memory for a file of zeros", NULL);
		abort();
	}
	pendings_init(&lr->pendings);
	lr->pool = pool_new("diffs", WORKERS, QUEUE_MAX);
	return lr;
}

void layer_reads_free(struct layer_reads *lr)
{
	if (!lr)
		return;
	pendings_release(&lr->pendings);
	pool_free(lr->pool);
	close_at(&lr->zeros);
	free(lr);
}
