/*
 * A blob has its task while it is open; between opens it is only a name, so the kernel may know as
 * many as it likes without a descriptor each. A task that comes back as another one (deleted and
 * fetched anew) is ESTALE: the kernel looks the name up again and gets a new node.
 */
#include "daemon/blob.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "daemon/blobs_private.h"
#include "proto/task_id.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct fs_blob {
	struct blobs *b;
	unsigned refs;	    /* atomic */
	char *url, *digest; /* one of them */
	uint64_t size, version;
	struct lock lock;
	/* under lock */
	struct task *task; /* while opens > 0 */
	unsigned opens;
	bool wanted; /* all of it has been asked for in the background */
};

struct opening {
	struct pending pending;
	struct fs_blob *blob;
	struct task_open open;
};

/* A part of a read: within one piece. */
struct part {
	struct reading *reading;
	struct waiter waiter;
	struct extent extent; /* kept, once it is there */
	bool ready;
};

struct reading {
	struct pending pending;
	struct task *task;
	unsigned left; /* atomic: parts not answered, and one for who asks */
	bool failed;   /* atomic: err is set or being set */
	struct err err;
	struct span span;
	int64_t since_us;
	unsigned count;
	struct part parts[];
};

struct task_request blob_request(const char *url, const char *digest)
{
	return (struct task_request){.url = url,
				     .digest = digest,
				     .blob_digest_id = digest != NULL,
				     .filtered_params = url ? task_id_default_filter : NULL,
				     .filtered_param_count =
					     url ? task_id_default_filter_count : 0};
}

/* A digest names its bytes for ever; a URL's are those of this task. */
static uint64_t version_of(const char *digest, const struct store_meta *m)
{
	return digest ? 0 : xxh3_of(m->id, STORE_ID_LEN) ^ (uint64_t)m->created_ms;
}

void blob_fill_entry(struct blobs *b, const char *url, const char *digest, struct task *t,
		     struct fs_entry *entry)
{
	const struct store_meta *m = task_meta(t);
	struct fs_blob *blob = mem_new(struct fs_blob);

	blob->b = b;
	blob->refs = 1;
	blob->url = mem_strdup(url);
	blob->digest = mem_strdup(digest);
	blob->size = m->geometry.content_length;
	blob->version = version_of(digest, m);
	lock_init(&blob->lock, RANK_BLOBS);
	*entry = (struct fs_entry){.kind = FS_FILE,
				   .size = blob->size,
				   .mtime_ms = m->created_ms,
				   .version = blob->version,
				   .blob = blob};
}

void blob_ref(void *src, struct fs_blob *blob)
{
	(void)src;
	__atomic_add_fetch(&blob->refs, 1, __ATOMIC_RELAXED);
}

void blob_unref(void *src, struct fs_blob *blob)
{
	(void)src;
	if (__atomic_sub_fetch(&blob->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	free(blob->url);
	free(blob->digest);
	lock_release(&blob->lock);
	free(blob);
}

/* ---- open */

static void opening_free(struct pending *p)
{
	struct opening *o = container_of(p, struct opening, pending);

	blob_unref(o->blob->b, o->blob);
	free(o);
}

/* Takes the reference to t over. */
static int take_task(struct fs_blob *blob, struct task *t, struct err *e)
{
	const struct store_meta *m = task_meta(t);
	struct task *spare = t;

	if (m->geometry.content_length != blob->size ||
	    version_of(blob->digest, m) != blob->version) {
		task_unref(t);
		return err_set(e, ESTALE, "the content is another one than when it was looked up");
	}
	lock_take(&blob->lock);
	if (!blob->task)
		blob->task = take_ptr(&spare);
	blob->opens++;
	lock_drop(&blob->lock);
	if (spare)
		task_unref(spare);
	return 0;
}

static void task_opened(struct task_open *open, struct task *t, const struct err *e)
{
	struct opening *o = open->arg;
	struct fs_blob *blob = o->blob;
	struct fs_open *ask;
	struct err stale = {0};

	if (t && take_task(blob, t, &stale) < 0)
		e = &stale;
	ask = pending_answer(&o->pending);
	if (ask)
		ask->done(ask, e);
	else if (!e)
		blob_close(blob->b, blob);
	pending_unref(&o->pending);
}

void blob_open(void *src, struct fs_blob *blob, struct fs_open *ask)
{
	struct task_request rq = blob_request(blob->url, blob->digest);
	struct blobs *b = src;
	struct opening *o;
	bool open;

	lock_take(&blob->lock);
	open = blob->task != NULL;
	if (open)
		blob->opens++;
	lock_drop(&blob->lock);
	if (open) {
		ask->done(ask, NULL);
		return;
	}
	o = mem_new(struct opening);
	o->blob = blob;
	blob_ref(b, blob);
	o->open = (struct task_open){.done = task_opened, .arg = o};
	pending_begin(&o->pending, &b->pendings, ask, &ask->private_, opening_free);
	task_open(b->tasks, &rq, &o->open);
}

bool blob_open_cancel(void *src, struct fs_open *ask)
{
	struct blobs *b = src;
	struct pending *p = pending_take_back(&b->pendings, &ask->private_);
	struct opening *o;

	if (!p)
		return false;
	o = container_of(p, struct opening, pending);
	if (task_open_cancel(&o->open))
		pending_unref(p);
	pending_unref(p);
	return true;
}

void blob_close(void *src, struct fs_blob *blob)
{
	struct task *t = NULL;

	(void)src;
	lock_take(&blob->lock);
	if (--blob->opens == 0) {
		t = take_ptr(&blob->task);
		blob->wanted = false;
	}
	lock_drop(&blob->lock);
	if (t)
		task_unref(t);
}

/* ---- read */

/* Only of reads that wait: part of the download's trace if one is going on, else its beginning. */
static void begin_span(struct reading *r, uint64_t off, uint32_t len)
{
	const struct store_meta *m = task_meta(r->task);
	uint32_t index = geometry_index(&m->geometry, off), last = index + r->count - 1;
	struct trace_context download;

	while (index <= last && task_piece_ready(r->task, index))
		index++;
	if (index > last)
		return;
	download = task_trace(r->task);
	span_begin(&r->span, "mount_read", SPAN_SERVER, &download);
	span_text(&r->span, "d7y.task.id", m->id);
	span_number(&r->span, "d7y.read.offset", (int64_t)off);
	span_number(&r->span, "d7y.read.length", len);
}

static void reading_free(struct pending *p)
{
	struct reading *r = container_of(p, struct reading, pending);

	span_fail(&r->span, "nobody waits for it any more");
	span_end(&r->span);
	for (unsigned i = 0; i < r->count; i++)
		if (r->parts[i].ready)
			extent_release(&r->parts[i].extent);
	task_unref(r->task);
	free(r);
}

struct metric *blob_read_time(void)
{
	static const struct metric_family family = {
		METRIC_SECONDS, "skimmer_mount_read_first_byte_seconds",
		"From a read of the mount to its first byte, for reads that we answer.", NULL};
	static struct metric *kept; /* atomic */
	struct metric *m = __atomic_load_n(&kept, __ATOMIC_RELAXED);

	if (!m) {
		m = metric_get(&family);
		__atomic_store_n(&kept, m, __ATOMIC_RELAXED);
	}
	return m;
}

static void answer(struct reading *r)
{
	struct fs_read *ask = pending_answer(&r->pending);
	cleanup(free_at) struct fs_extent *extents = NULL;

	if (!ask)
		return;
	metric_observe(blob_read_time(), (uint64_t)(clock_us() - r->since_us));
	if (r->failed)
		span_fail(&r->span, r->err.text);
	span_end(&r->span);
	if (r->failed) {
		ask->done(ask, NULL, 0, &r->err);
		return;
	}
	extents = mem_array(r->count, sizeof(*extents));
	for (unsigned i = 0; i < r->count; i++)
		extents[i] = (struct fs_extent){.fd = r->parts[i].extent.fd,
						.off = r->parts[i].extent.off,
						.len = r->parts[i].extent.len};
	ask->done(ask, extents, r->count, NULL);
}

/* One part less; whoever takes the last one answers. */
static void part_over(struct reading *r)
{
	if (__atomic_sub_fetch(&r->left, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	answer(r);
	pending_unref(&r->pending);
}

static void part_done(struct waiter *w, const struct extent *x, const struct err *e)
{
	struct part *part = w->arg;
	struct reading *r = part->reading;

	if (x) {
		part->extent = extent_keep(x);
		part->ready = true;
	} else if (!__atomic_exchange_n(&r->failed, true, __ATOMIC_RELAXED)) {
		r->err = *e;
	}
	part_over(r);
}

static struct reading *reading_new(struct task *t, uint64_t off, uint32_t len)
{
	const struct geometry *g = &task_meta(t)->geometry;
	unsigned count = geometry_index(g, off + len - 1) - geometry_index(g, off) + 1;
	struct reading *r = mem_alloc(sizeof(*r) + count * sizeof(r->parts[0]));

	r->task = t;
	r->since_us = clock_us();
	task_ref(t);
	r->left = count + 1;
	r->count = count;
	for (unsigned i = 0; i < count; i++) {
		r->parts[i].reading = r;
		r->parts[i].waiter = (struct waiter){.done = part_done, .arg = &r->parts[i]};
	}
	return r;
}

void blob_read(void *src, struct fs_blob *blob, uint64_t off, uint32_t len, struct fs_read *ask)
{
	struct blobs *b = src;
	struct reading *r;
	struct task *t;
	bool want_all;

	lock_take(&blob->lock);
	t = blob->task;
	want_all = b->prefetch && !blob->wanted;
	blob->wanted = true;
	lock_drop(&blob->lock);
	r = reading_new(t, off, len);
	pending_begin(&r->pending, &b->pendings, ask, &ask->private_, reading_free);
	if (trace_is_on())
		begin_span(r, off, len);
	trace_within(&r->span.context);
	for (unsigned i = 0; i < r->count; i++) {
		const struct geometry *g = &task_meta(t)->geometry;
		uint32_t index = geometry_index(g, off);
		uint64_t left = geometry_offset(g, index) + geometry_length(g, index) - off;
		uint32_t n = len < left ? len : (uint32_t)left;

		task_read(t, off, n, &r->parts[i].waiter, 0);
		off += n;
		len -= n;
	}
	/* After the read: what somebody waits for comes first. */
	if (want_all)
		task_want_all(t, TASK_REST);
	part_over(r);
}

bool blob_read_cancel(void *src, struct fs_read *ask)
{
	struct blobs *b = src;
	struct pending *p = pending_take_back(&b->pendings, &ask->private_);
	struct reading *r;

	if (!p)
		return false;
	r = container_of(p, struct reading, pending);
	for (unsigned i = 0; i < r->count; i++)
		if (task_read_cancel(&r->parts[i].waiter))
			part_over(r);
	pending_unref(p);
	return true;
}

/* ---- what is known of an open blob */

int blob_complete_fd(void *src, struct fs_blob *blob)
{
	(void)src;
	return task_complete_fd(blob->task);
}

/* Where the pieces that are here came from. */
static int print_sources(struct task *t, char *text, size_t size)
{
	uint32_t count = task_meta(t)->geometry.piece_count;
	bool origin = false, peers = false;

	for (uint32_t i = 0; i < count && !(origin && peers); i++) {
		struct store_piece piece;

		if (!task_piece_info(t, i, &piece))
			continue;
		if (piece.source == STORE_FROM_ORIGIN)
			origin = true;
		else
			peers = true;
	}
	if (!origin && !peers)
		return -1;
	return snprintf(text, size, "%s",
			origin && peers ? "origin,peers"
			: origin	? "origin"
					: "peers");
}

static int print_text(const char *from, char *text, size_t size)
{
	return from && *from ? snprintf(text, size, "%s", from) : -1;
}

int blob_attr(void *src, struct fs_blob *blob, const char *name, char *text, size_t size)
{
	struct task *t = blob->task;
	const struct store_meta *m = task_meta(t);
	struct task_progress p;

	(void)src;
	if (strcmp(name, "task_id") == 0)
		return print_text(m->id, text, size);
	if (strcmp(name, "digest") == 0)
		return print_text(m->digest, text, size);
	if (strcmp(name, "url") == 0)
		return print_text(m->url, text, size);
	if (strcmp(name, "source") == 0)
		return print_sources(t, text, size);
	if (strcmp(name, "error") == 0) {
		char error[sizeof(((struct err *)0)->text)];

		task_last_error(t, error, sizeof(error));
		return print_text(error, text, size);
	}
	task_progress(t, &p);
	if (strcmp(name, "pieces") == 0)
		return snprintf(text, size, "%" PRIu32 "/%" PRIu32, p.ready_count, p.piece_count);
	if (strcmp(name, "bytes_local") == 0)
		return snprintf(text, size, "%" PRIu64, p.bytes_ready);
	return -1;
}
