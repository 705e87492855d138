/*
 * A source for tests: a flat directory of files whose bytes are a function of their offset. Answers
 * come at once, after a delay on the timer's thread, or never. Included by one test: it holds the
 * code too.
 */
#ifndef TEST_FAKE_SOURCE_H
#define TEST_FAKE_SOURCE_H

#include "base/list.h"
#include "base/mem.h"
#include "base/timer.h"
#include "fs/source.h"
#include "test/unit/unit.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FAKE_NEVER (-1)

struct fs_blob {
	const char *name;
	enum fs_kind kind;
	uint64_t size;
	const char *link, *data;
	int mtime_ms;
	bool lasting;
	int fd; /* made by fake_source_init() */
	atomic_bool hidden, complete;
	atomic_int lookup_delay_ms, open_delay_ms, read_delay_ms; /* FAKE_NEVER */
	atomic_int lookup_errno, open_errno, read_errno;
	atomic_int refs, opens, reads;
};

struct fake_source {
	struct fs_blob *files;
	unsigned count;
	pthread_mutex_t mutex; /* the list, and every question's state */
	struct list waiting;
	atomic_uint cancelled;
	atomic_bool endless; /* every name "n..." is a lasting empty file: the last of files */
};

enum fake_what { FAKE_LOOKUP, FAKE_OPEN, FAKE_READ };

struct fake_question {
	struct list link;
	struct fake_source *f;
	struct fs_blob *b;
	enum fake_what what;
	void *ask; /* struct fs_lookup, fs_open or fs_read */
	uint64_t off;
	uint32_t len;
	struct timer timer;
	bool delayed;	 /* the timer will answer */
	void **private_; /* of the ask */
};

/* What stands at off. */
static inline unsigned char fake_byte(uint64_t off)
{
	return (unsigned char)((off * 2654435761u) >> 24 ^ off ^ off >> 32);
}

static inline void fake_fill(unsigned char *data, uint64_t off, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = fake_byte(off + i);
}

static inline bool fake_is_right(const unsigned char *data, uint64_t off, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (data[i] != fake_byte(off + i))
			return false;
	return true;
}

static inline void fake_ref(void *src, struct fs_blob *b)
{
	(void)src;
	atomic_fetch_add(&b->refs, 1);
}

static inline void fake_unref(void *src, struct fs_blob *b)
{
	(void)src;
	atomic_fetch_sub(&b->refs, 1);
}

static inline void fake_answer(const struct fake_question *q)
{
	struct fs_blob *b = q->b;
	struct err e = {0};
	int code = q->what == FAKE_LOOKUP ? b->lookup_errno
		   : q->what == FAKE_OPEN ? b->open_errno
					  : b->read_errno;

	if (code)
		err_set(&e, code, "the fake says so");
	if (q->what == FAKE_LOOKUP) {
		struct fs_lookup *l = q->ask;
		struct fs_entry entry = {.kind = b->kind,
					 .size = b->size,
					 .mtime_ms = b->mtime_ms,
					 .link = b->link,
					 .data = b->data,
					 .lasting = b->lasting};

		if (b->kind == FS_FILE && !b->data && !code) {
			fake_ref(q->f, b);
			entry.blob = b;
		}
		l->done(l, code ? NULL : &entry, code ? &e : NULL);
	} else if (q->what == FAKE_OPEN) {
		struct fs_open *o = q->ask;

		if (!code)
			atomic_fetch_add(&b->opens, 1);
		o->done(o, code ? &e : NULL);
	} else {
		/* In two extents, as at the border of two pieces. */
		struct fs_read *r = q->ask;
		uint32_t half = q->len / 2;
		struct fs_extent x[2] = {{.fd = b->fd, .off = q->off, .len = half},
					 {.fd = b->fd, .off = q->off + half, .len = q->len - half}};

		assert(q->off + q->len <= b->size);
		r->done(r, code ? NULL : x, code ? 0 : 2, code ? &e : NULL);
	}
}

static inline void fake_fire(struct timer *t)
{
	struct fake_question *q = t->arg;

	pthread_mutex_lock(&q->f->mutex);
	list_remove(&q->link);
	*q->private_ = NULL;
	pthread_mutex_unlock(&q->f->mutex);
	fake_answer(q);
	free(q);
}

static inline void fake_ask(struct fake_question *template, int delay_ms, void **private_)
{
	struct fake_question *q;

	if (delay_ms == 0) {
		fake_answer(template);
		return;
	}
	q = mem_new(struct fake_question);
	*q = *template;
	q->timer = (struct timer){.fire = fake_fire, .arg = q};
	pthread_mutex_lock(&q->f->mutex);
	*private_ = q;
	q->private_ = private_;
	q->delayed = delay_ms != FAKE_NEVER;
	list_push_back(&q->f->waiting, &q->link);
	if (q->delayed)
		timer_arm(&q->timer, delay_ms);
	pthread_mutex_unlock(&q->f->mutex);
}

static inline bool fake_cancel(struct fake_source *f, void **private_)
{
	struct fake_question *q;

	pthread_mutex_lock(&f->mutex);
	q = *private_;
	/* With a delay it is left to the timer: then done() wins, as it may with a real source. */
	if (q && q->delayed)
		q = NULL;
	if (q) {
		list_remove(&q->link);
		*private_ = NULL;
	}
	pthread_mutex_unlock(&f->mutex);
	if (!q)
		return false;
	free(q);
	atomic_fetch_add(&f->cancelled, 1);
	return true;
}

static inline void fake_lookup(void *src, const char *path, struct fs_lookup *l)
{
	struct fake_source *f = src;
	struct err e = {0};
	struct fs_blob *b = NULL;

	for (unsigned i = 0; i < f->count; i++)
		if (strcmp(f->files[i].name, path) == 0 && !f->files[i].hidden)
			b = &f->files[i];
	if (!b && f->endless && path[0] == 'n')
		b = &f->files[f->count - 1];
	if (!b) {
		err_set(&e, ENOENT, "%s", path);
		l->done(l, NULL, &e);
		return;
	}
	fake_ask(&(struct fake_question){.f = f, .b = b, .what = FAKE_LOOKUP, .ask = l},
		 b->lookup_delay_ms, &l->private_);
}

static inline bool fake_lookup_cancel(void *src, struct fs_lookup *l)
{
	return fake_cancel(src, &l->private_);
}

static inline void fake_list(void *src, const char *path, fs_list_fn fn, void *arg)
{
	struct fake_source *f = src;

	for (unsigned i = 0; i < f->count; i++)
		if (path[0] == '\0' && !f->files[i].hidden)
			fn(arg, f->files[i].name, f->files[i].kind);
}

static inline void fake_open(void *src, struct fs_blob *b, struct fs_open *o)
{
	fake_ask(&(struct fake_question){.f = src, .b = b, .what = FAKE_OPEN, .ask = o},
		 b->open_delay_ms, &o->private_);
}

static inline bool fake_open_cancel(void *src, struct fs_open *o)
{
	return fake_cancel(src, &o->private_);
}

static inline void fake_close(void *src, struct fs_blob *b)
{
	(void)src;
	atomic_fetch_sub(&b->opens, 1);
}

static inline void fake_read(void *src, struct fs_blob *b, uint64_t off, uint32_t len,
			     struct fs_read *r)
{
	atomic_fetch_add(&b->reads, 1);
	fake_ask(
		&(struct fake_question){
			.f = src, .b = b, .what = FAKE_READ, .ask = r, .off = off, .len = len},
		b->read_delay_ms, &r->private_);
}

static inline bool fake_read_cancel(void *src, struct fs_read *r)
{
	return fake_cancel(src, &r->private_);
}

static inline int fake_complete_fd(void *src, struct fs_blob *b)
{
	(void)src;
	return b->complete ? b->fd : -1;
}

static inline int fake_attr(void *src, struct fs_blob *b, const char *name, char *text, size_t size)
{
	(void)src;
	if (strcmp(name, "task_id") == 0)
		return snprintf(text, size, "id-of-%s", b->name);
	if (strcmp(name, "pieces") == 0)
		return snprintf(text, size, "1/2");
	return -1;
}

static const struct fs_source_ops fake_ops = {
	.lookup = fake_lookup,
	.lookup_cancel = fake_lookup_cancel,
	.list = fake_list,
	.open = fake_open,
	.open_cancel = fake_open_cancel,
	.close = fake_close,
	.read = fake_read,
	.read_cancel = fake_read_cancel,
	.complete_fd = fake_complete_fd,
	.ref = fake_ref,
	.unref = fake_unref,
	.attr = fake_attr,
};

/* In dir (a real file system: passthrough wants one). Of large files only the last MiB has bytes.
 */
static inline int fake_file(const char *dir, uint64_t size)
{
	cleanup(free_at) char *path = mem_printf("%s/contentXXXXXX", dir);
	unsigned char *data = mem_alloc(1 << 20);
	int fd = mkstemp(path);
	uint64_t from = size > (256u << 20) ? size - (1 << 20) : 0;

	assert(fd >= 0);
	unlink(path);
	assert(ftruncate(fd, (off_t)size) == 0);
	while (from < size) {
		size_t len = size - from < (1 << 20) ? size - from : 1 << 20;

		fake_fill(data, from, len);
		assert(pwrite(fd, data, len, (off_t)from) == (ssize_t)len);
		from += len;
	}
	free(data);
	return fd;
}

static inline void fake_source_init(struct fake_source *f, const char *dir, struct fs_blob *files,
				    unsigned count)
{
	*f = (struct fake_source){.files = files, .count = count};
	pthread_mutex_init(&f->mutex, NULL);
	list_init(&f->waiting);
	for (unsigned i = 0; i < count; i++)
		files[i].fd = files[i].kind == FS_FILE && !files[i].data
				      ? fake_file(dir, files[i].size)
				      : -1;
}

/* Asserts that nothing is left behind: no question, no reference, no open. */
static inline void fake_source_release(struct fake_source *f)
{
	assert_true(list_empty(&f->waiting));
	for (unsigned i = 0; i < f->count; i++) {
		assert_int_equal(f->files[i].refs, 0);
		assert_int_equal(f->files[i].opens, 0);
		if (f->files[i].fd >= 0)
			close(f->files[i].fd);
	}
	pthread_mutex_destroy(&f->mutex);
}

static inline unsigned fake_waiting(struct fake_source *f)
{
	unsigned count = 0;

	pthread_mutex_lock(&f->mutex);
	list_each (it, &f->waiting)
		count++;
	pthread_mutex_unlock(&f->mutex);
	return count;
}

#endif
