/*
 * A task layer for tests of doors: one content in memory, in small pieces, that answers, waits or
 * fails as it is told. It stands for task.c by its names, so a test that includes this must call
 * nothing that needs the real one.
 */
#ifndef TEST_FAKE_TASKS_H
#define TEST_FAKE_TASKS_H

#include "base/lock.h"
#include "base/mem.h"
#include "daemon/task.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#define FAKE_ID	   "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define FAKE_PIECE (64u << 10)

struct task {
	struct store_meta meta;
	int refs; /* atomic */
};

static struct fake {
	struct lock lock;
	struct task task;
	int fd;
	char *content;
	/* what is to happen; set before the request */
	int open_error;	  /* errno, 0 = found */
	bool hold_open;	  /* done() comes with fake_release() */
	bool hold_reads;  /* as well */
	uint64_t fail_at; /* reads that start here or later fail with EIO */
	bool complete;
	/* under lock: what has happened */
	struct list opens, reads; /* held */
	struct task_watch *watcher;
	unsigned open_count, read_count, cancelled, wanted_all, extents, notes;
	struct {
		char url[256], digest[80], authorization[80], tag[32], filtered[64], range[32];
		bool blob_digest_id;
		int priority;
		uint32_t piece_length;
	} asked;
	char noted[8][65], noted_repository[64];
} fake;

static inline void fake_init(uint64_t length)
{
	static char url[] = "http://origin/";

	memset(&fake, 0, sizeof(fake));
	lock_init(&fake.lock, 20);
	list_init(&fake.opens);
	list_init(&fake.reads);
	fake.fail_at = UINT64_MAX;
	fake.content = mem_alloc(length + 1);
	for (uint64_t i = 0; i < length; i++)
		fake.content[i] = (char)((i * 2654435761u) >> 11);
	fake.fd = memfd_create("fake", MFD_CLOEXEC);
	if (write(fake.fd, fake.content, length) != (ssize_t)length)
		abort();
	snprintf(fake.task.meta.id, sizeof(fake.task.meta.id), "%s", FAKE_ID);
	geometry_init(&fake.task.meta.geometry, length, FAKE_PIECE);
	fake.task.meta.url = url;
}

static inline void fake_release_all(void)
{
	close_at(&fake.fd);
	free(fake.content);
	lock_release(&fake.lock);
}

static inline unsigned fake_get(const unsigned *counter)
{
	lock_guard(&fake.lock);
	return *counter;
}

/* Before and after an answer: what the fake was asked may be looked at without its lock. */
static inline void fake_sync(void)
{
	lock_guard(&fake.lock);
}

static inline void fake_copy(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%s", text ? text : "");
}

static void fake_answer_open(struct task_open *o)
{
	struct err e;

	if (fake.open_error) {
		err_set(&e, fake.open_error, "the fake was told to");
		o->done(o, NULL, &e);
	} else {
		task_ref(&fake.task);
		o->done(o, &fake.task, NULL);
	}
}

static void fake_answer_read(struct waiter *w)
{
	struct extent x = {.fd = fake.fd, .off = w->off, .len = w->len};
	struct err e;

	if (w->off >= fake.fail_at) {
		err_set(&e, EIO, "the fake was told to");
		w->done(w, NULL, &e);
	} else {
		w->done(w, &x, NULL);
	}
}

static inline struct list *fake_pop(struct list *head)
{
	lock_guard(&fake.lock);
	return list_pop_front(head);
}

/* Answers what is held, on the caller's thread. */
static inline unsigned fake_release_held(void)
{
	struct list *l;
	unsigned n = 0;

	for (; (l = fake_pop(&fake.opens)) != NULL; n++)
		fake_answer_open(list_entry(l, struct task_open, link));
	for (; (l = fake_pop(&fake.reads)) != NULL; n++)
		fake_answer_read(list_entry(l, struct waiter, link));
	return n;
}

static void fake_remember(const struct task_request *rq)
{
	fake_copy(fake.asked.url, sizeof(fake.asked.url), rq->url);
	fake_copy(fake.asked.digest, sizeof(fake.asked.digest), rq->digest);
	fake_copy(fake.asked.tag, sizeof(fake.asked.tag), rq->tag);
	fake_copy(fake.asked.filtered, sizeof(fake.asked.filtered),
		  rq->filtered_param_count ? rq->filtered_params[0] : NULL);
	fake.asked.authorization[0] = fake.asked.range[0] = 0;
	for (size_t i = 0; i < rq->headers->count; i++) {
		if (strcmp(rq->headers->items[i].name, "Authorization") == 0)
			fake_copy(fake.asked.authorization, sizeof(fake.asked.authorization),
				  rq->headers->items[i].value);
		if (strcmp(rq->headers->items[i].name, "Range") == 0)
			fake_copy(fake.asked.range, sizeof(fake.asked.range),
				  rq->headers->items[i].value);
	}
	fake.asked.blob_digest_id = rq->blob_digest_id;
	fake.asked.priority = rq->priority;
	fake.asked.piece_length = rq->piece_length;
}

/* ---- task.h */

void task_open(struct tasks *ts, const struct task_request *rq, struct task_open *o)
{
	bool held;

	(void)ts;
	lock_take(&fake.lock);
	fake.open_count++;
	fake_remember(rq);
	list_init(&o->link);
	held = fake.hold_open;
	if (held)
		list_push_back(&fake.opens, &o->link);
	lock_drop(&fake.lock);
	if (!held)
		fake_answer_open(o);
}

bool task_open_cancel(struct task_open *o)
{
	lock_guard(&fake.lock);
	if (list_empty(&o->link))
		return false;
	list_remove(&o->link);
	fake.cancelled++;
	return true;
}

void task_ref(struct task *t)
{
	__atomic_fetch_add(&t->refs, 1, __ATOMIC_RELAXED);
}

void task_unref(struct task *t)
{
	__atomic_fetch_sub(&t->refs, 1, __ATOMIC_ACQ_REL);
}

const struct store_meta *task_meta(const struct task *t)
{
	return &t->meta;
}

bool task_reads_origin(struct task *t)
{
	(void)t;
	return false;
}

void task_progress(struct task *t, struct task_progress *out)
{
	(void)t;
	*out = (struct task_progress){.complete = true};
}

struct trace_context task_trace(struct task *t)
{
	(void)t;
	return (struct trace_context){0};
}

void task_read(struct task *t, uint64_t off, uint32_t len, struct waiter *w, int64_t timeout_ms)
{
	bool held;

	(void)t;
	(void)timeout_ms;
	w->off = off;
	w->len = len;
	lock_take(&fake.lock);
	if (off % FAKE_PIECE + len > FAKE_PIECE)
		abort(); /* a read stays within one piece */
	fake.read_count++;
	list_init(&w->link);
	held = fake.hold_reads;
	if (held)
		list_push_back(&fake.reads, &w->link);
	lock_drop(&fake.lock);
	if (!held)
		fake_answer_read(w);
}

bool task_read_cancel(struct waiter *w)
{
	lock_guard(&fake.lock);
	if (list_empty(&w->link))
		return false;
	list_remove(&w->link);
	fake.cancelled++;
	return true;
}

void task_want_all(struct task *t, enum task_priority p)
{
	(void)t;
	(void)p;
	lock_guard(&fake.lock);
	fake.wanted_all++;
}

/* Complete once told so; the test tells before it asks. */
int task_complete_fd(struct task *t)
{
	(void)t;
	return fake.complete ? fake.fd : -1;
}

bool task_piece_ready(struct task *t, uint32_t index)
{
	(void)index;
	return task_complete_fd(t) >= 0;
}

void task_watch(struct task *t, struct task_watch *w)
{
	(void)t;
	lock_guard(&fake.lock);
	fake.watcher = w;
}

void task_unwatch(struct task *t, struct task_watch *w)
{
	(void)t;
	(void)w;
	lock_guard(&fake.lock);
	fake.watcher = NULL;
}

void task_note_source(struct tasks *ts, const char *digest_hex, const char *base,
		      const char *repository, const char *authorization)
{
	(void)ts;
	(void)base;
	(void)authorization;
	lock_guard(&fake.lock);
	if (fake.notes < array_len(fake.noted))
		fake_copy(fake.noted[fake.notes], sizeof(fake.noted[0]), digest_hex);
	fake_copy(fake.noted_repository, sizeof(fake.noted_repository), repository);
	fake.notes++;
}

/* ---- piece.h */

struct extent extent_keep(const struct extent *x)
{
	lock_guard(&fake.lock);
	fake.extents++;
	return *x;
}

void extent_release(struct extent *x)
{
	(void)x;
	lock_guard(&fake.lock);
	fake.extents--;
}

#endif
