#include "daemon/blob_lookup.h"

#include "base/mem.h"
#include "daemon/blob.h"

#include <errno.h>

static void lookup_free(struct pending *p)
{
	struct blob_lookup *l = container_of(p, struct blob_lookup, pending);

	free(l->path);
	free(l->url);
	free(l->digest);
	free(l);
}

struct blob_lookup *blob_lookup_new(struct blobs *b, const char *path, struct fs_lookup *ask)
{
	struct blob_lookup *l = mem_new(struct blob_lookup);

	l->b = b;
	l->path = mem_strdup(path);
	pending_begin(&l->pending, &b->pendings, ask, &ask->private_, lookup_free);
	return l;
}

bool blob_lookup_cancel(void *src, struct fs_lookup *ask)
{
	struct blobs *b = src;
	struct pending *p = pending_take_back(&b->pendings, &ask->private_);

	if (!p)
		return false;
	__atomic_store_n(&container_of(p, struct blob_lookup, pending)->cancelled, true,
			 __ATOMIC_RELAXED);
	pending_unref(p);
	return true;
}

/* ---- answers */

void blob_lookup_answer(struct blob_lookup *l, const struct fs_entry *entry)
{
	struct fs_lookup *ask = pending_answer(&l->pending);

	if (ask)
		ask->done(ask, entry, NULL);
	else if (entry->blob)
		blob_unref(l->b, entry->blob);
	pending_unref(&l->pending);
}

void blob_lookup_answer_dir(struct blob_lookup *l)
{
	const struct fs_entry entry = {.kind = FS_DIR};

	blob_lookup_answer(l, &entry);
}

void blob_lookup_answer_error(struct blob_lookup *l, const struct err *e)
{
	struct fs_lookup *ask = pending_answer(&l->pending);

	if (ask)
		ask->done(ask, NULL, e);
	pending_unref(&l->pending);
}

/* ---- steps */

static void task_opened(struct task_open *open, struct task *t, const struct err *e)
{
	struct blob_lookup *l = open->arg;
	struct fs_entry entry;

	if (t) {
		blob_fill_entry(l->b, l->url, l->digest, t, &entry);
		entry.lasting = l->lasting;
		task_unref(t);
		blob_lookup_answer(l, &entry);
	} else if (l->failed) {
		l->failed(l, e);
	} else {
		blob_lookup_answer_error(l, e);
	}
}

void blob_lookup_open(struct blob_lookup *l, const char *url, const char *digest, bool lasting,
		      bool local, void (*failed)(struct blob_lookup *l, const struct err *e))
{
	struct task_request rq = blob_request(url, digest);
	char *new_url = mem_strdup(url), *new_digest = mem_strdup(digest);

	free(l->url);
	free(l->digest);
	l->url = new_url;
	l->digest = new_digest;
	rq.url = l->url;
	rq.digest = l->digest;
	rq.local_only = local;
	l->lasting = lasting;
	l->failed = failed;
	l->open = (struct task_open){.done = task_opened, .arg = l};
	task_open(l->b->tasks, &rq, &l->open);
}

static void run_step(void *arg)
{
	struct blob_lookup *l = arg;
	struct err e = {0};

	if (__atomic_load_n(&l->cancelled, __ATOMIC_RELAXED)) {
		err_set(&e, ECANCELED, "nobody waits for it any more");
		blob_lookup_answer_error(l, &e);
		return;
	}
	l->step(l);
}

void blob_lookup_work(struct blob_lookup *l, void (*step)(struct blob_lookup *l))
{
	struct err e = {0};

	l->step = step;
	if (pool_run(l->b->pool, run_step, l))
		return;
	err_set(&e, EBUSY, "too many names are being looked up");
	blob_lookup_answer_error(l, &e);
}
