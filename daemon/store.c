/*
 * Opening and closing, and the table of tasks.
 *
 *	a task is		who moves it on
 *	unknown			store_create -> busy, made
 *	idle (no references)	store_find, store_create -> busy, opened; store_gc -> busy, removed
 *	busy			whoever made it so: store_settle() or store_forget()
 *	held (references)	the last store_task_unref -> busy, closed -> idle (or gone if
 *removed)
 */
#include "daemon/store.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/dir.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/store_private.h"
#include "daemon/store_record.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/statvfs.h>

#define LOCK_RANK_STORE	     40
#define LOCK_RANK_STORE_TASK 45

void store_meta_copy(struct store_meta *dst, const struct store_meta *src)
{
	*dst = *src;
	dst->url = mem_strdup(src->url);
	dst->digest = mem_strdup(src->digest);
	dst->tag = mem_strdup(src->tag);
	dst->application = mem_strdup(src->application);
	dst->headers = mem_strdup(src->headers);
}

void store_meta_release(struct store_meta *m)
{
	free(m->url);
	free(m->digest);
	free(m->tag);
	free(m->application);
	free(m->headers);
	m->url = m->digest = m->tag = m->application = m->headers = NULL;
}

/* ---- the table */

struct store_task *store_settled(struct store *s, const char *id)
{
	for (;;) {
		struct store_task *t = map_get(s->tasks, id);

		if (!t || !t->busy)
			return t;
		cond_wait(&s->settled, &s->lock);
	}
}

struct store_task *store_insert(struct store *s, struct store_meta *meta)
{
	struct store_task *t = mem_new(struct store_task);

	t->store = s;
	t->meta = *meta;
	memset(meta, 0, sizeof(*meta));
	t->fd = t->write_fd = t->record_fd = -1;
	t->busy = true;
	lock_init(&t->lock, LOCK_RANK_STORE_TASK);
	list_init(&t->coming);
	map_put(s->tasks, t->meta.id, t);
	return t;
}

void store_settle(struct store_task *t, uint32_t refs)
{
	struct store *s = t->store;

	lock_guard(&s->lock);
	t->busy = false;
	t->refs = refs;
	cond_wake_all(&s->settled);
}

static void task_free(struct store_task *t)
{
	store_meta_release(&t->meta);
	lock_release(&t->lock);
	free(t);
}

void store_forget(struct store_task *t)
{
	struct store *s = t->store;

	{
		lock_guard(&s->lock);
		assert(t->busy && t->refs == 0);
		map_remove(s->tasks, t->meta.id);
		s->bytes -= t->bytes;
		cond_wake_all(&s->settled);
	}
	task_free(t);
}

/* Under the lock, which it drops: takes a reference on t, which is settled. */
static int hold(struct store_task *t, struct err *e)
{
	struct store *s = t->store;
	struct err why;
	int r;

	if (t->refs > 0) {
		t->refs++;
		lock_drop(&s->lock);
		return 0;
	}
	t->busy = true;
	lock_drop(&s->lock);
	r = store_task_open_files(t, &why);
	if (r == -ENOENT || r == -EBADMSG) {
		log_warn("task in the store is of no use, removed", "task=%s why=\"%s\"",
			 t->meta.id, why.text);
		store_task_unlink(s, t->meta.id);
		store_forget(t);
		return err_set(e, ENOENT, "task in the store was of no use");
	}
	store_settle(t, r == 0 ? 1 : 0);
	return r == 0 ? 0 : err_copy(e, &why);
}

int store_find(struct store *s, const char *id, struct store_task **out, struct err *e)
{
	struct store_task *t;
	int r;

	lock_take(&s->lock);
	t = store_settled(s, id);
	if (!t) {
		lock_drop(&s->lock);
		return err_set(e, ENOENT, "task %.64s", id);
	}
	r = hold(t, e);
	if (r == 0)
		*out = t;
	return r;
}

static int check_meta(const struct store_meta *m, struct err *e)
{
	struct geometry g;
	const char *hex;

	if (!digest_is_hex64(m->id))
		return err_set(e, EINVAL, "\"%.64s\" is no task id", m->id);
	if (m->digest && !digest_is_sha256(m->digest, &hex))
		return err_set(e, EINVAL, "\"%.80s\" is no sha256 digest", m->digest);
	if (m->geometry.content_length > INT64_MAX ||
	    !geometry_init(&g, m->geometry.content_length, m->geometry.piece_length) ||
	    g.piece_count != m->geometry.piece_count)
		return err_set(e, EINVAL, "task %s has impossible lengths", m->id);
	if (g.piece_count > STORE_PIECE_COUNT_MAX)
		return err_set(e, EFBIG, "task %s has %" PRIu32 " pieces", m->id, g.piece_count);
	return 0;
}

/* Makes the files of a new, busy task; with a full disk, after eviction or without files. */
static int make(struct store_task *t, struct err *e)
{
	struct store *s = t->store;
	int r = store_task_make_files(t, e);

	if ((r == -ENOSPC || r == -EDQUOT) && store_make_disk_room(s, STORE_HEAD_MAX))
		r = store_task_make_files(t, e);
	if (r == -ENOSPC || r == -EDQUOT)
		r = store_task_make_diskless(t, e);
	if (r < 0) {
		store_forget(t);
		return r;
	}
	store_settle(t, 1);
	return 0;
}

/* Under the lock, which it drops. */
static int reuse(struct store_task *t, const struct store_meta *m, struct err *e)
{
	const struct geometry *a = &t->meta.geometry, *b = &m->geometry;

	if (a->content_length == b->content_length && a->piece_length == b->piece_length &&
	    (!t->meta.digest || !m->digest || strcmp(t->meta.digest, m->digest) == 0))
		return hold(t, e);
	lock_drop(&t->store->lock);
	return err_set(e, EEXIST, "task %s with other lengths or digest", m->id);
}

int store_create(struct store *s, const struct store_meta *meta, struct store_task **out,
		 struct err *e)
{
	struct store_meta own;
	struct store_task *t;
	int r = check_meta(meta, e);

	if (r < 0)
		return r;
	store_make_room(s, meta->geometry.content_length);
	for (;;) {
		lock_take(&s->lock);
		t = store_settled(s, meta->id);
		if (!t)
			break;
		r = reuse(t, meta, e);
		if (r == -ENOENT) /* it was broken and is gone */
			continue;
		if (r == 0)
			*out = t;
		return r;
	}
	store_meta_copy(&own, meta);
	own.created_ms = meta->created_ms ? meta->created_ms : clock_wall_ms();
	own.accessed_ms = meta->accessed_ms ? meta->accessed_ms : own.created_ms;
	own.finished_ms = 0;
	own.whole_verified = false;
	t = store_insert(s, &own);
	lock_drop(&s->lock);
	r = make(t, e);
	if (r == 0)
		*out = t;
	return r;
}

void store_task_ref(struct store_task *t)
{
	lock_guard(&t->store->lock);
	assert(t->refs > 0);
	t->refs++;
}

void store_task_unref(struct store_task *t)
{
	struct store *s = t->store;
	bool gone;
	uint64_t bytes;

	{
		lock_guard(&s->lock);
		assert(t->refs > 0);
		if (--t->refs > 0)
			return;
		gone = t->removed || t->write_fd < 0;
		t->busy = true;
	}
	bytes = store_task_close_files(t);
	lock_take(&s->lock);
	if (gone) {
		if (!t->removed)
			map_remove(s->tasks, t->meta.id);
		bytes = 0;
	}
	s->bytes = s->bytes - t->bytes + bytes;
	t->bytes = bytes;
	t->busy = false;
	s->drained = false;
	cond_wake_all(&s->settled);
	lock_drop(&s->lock);
	if (gone)
		task_free(t);
}

void store_stat(struct store *s, struct store_stat *out)
{
	const char *key;
	void *value;
	size_t at = 0;

	lock_guard(&s->lock);
	*out = (struct store_stat){
		.bytes = s->bytes,
		.quota = s->quota,
		.tasks = (uint32_t)map_count(s->tasks),
		.evicted = s->evicted,
		.torn_entries = s->torn_entries,
		.dropped_pieces = s->dropped_pieces,
		.volatile_pieces = s->volatile_pieces,
	};
	while (map_next(s->tasks, &at, &key, &value)) {
		struct store_task *t = value;

		lock_guard(&t->lock);
		out->complete += t->recorded == t->meta.geometry.piece_count;
	}
}

void store_each(struct store *s,
		void (*fn)(const struct store_meta *m, uint32_t present, void *arg), void *arg)
{
	cleanup(free_at) char(*ids)[STORE_ID_LEN + 1] = NULL;
	size_t count = 0, at = 0;
	const char *key;
	void *value;

	/* Only the ids at once: what is known of 10,000 tasks would be many megabytes. */
	lock_take(&s->lock);
	ids = mem_array(map_count(s->tasks), sizeof(*ids));
	while (map_next(s->tasks, &at, &key, &value))
		memcpy(ids[count++], key, sizeof(*ids));
	lock_drop(&s->lock);
	for (size_t i = 0; i < count; i++) {
		struct store_meta meta;
		struct store_task *t;
		uint32_t present;

		lock_take(&s->lock);
		t = map_get(s->tasks, ids[i]);
		if (!t) {
			lock_drop(&s->lock);
			continue;
		}
		lock_take(&t->lock);
		store_meta_copy(&meta, &t->meta);
		present = t->recorded;
		lock_drop(&t->lock);
		lock_drop(&s->lock);
		fn(&meta, present, arg);
		store_meta_release(&meta);
	}
}

/* ---- opening and closing */

static int open_dirs(struct store *s, struct err *e)
{
	int r = dir_make(s->dir, 0700, e);

	if (r < 0)
		return err_blame(e, "SK112", r);
	s->dir_fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir_fd < 0)
		return err_blame(e, "SK112", err_set(e, errno, "open %s", s->dir));
	s->lock_fd = openat(s->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock_fd < 0)
		return err_blame(e, "SK112", err_set(e, errno, "open %s/lock", s->dir));
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			       ? err_blame(e, "SK114",
					   err_set(e, EBUSY, "another process uses %s", s->dir))
			       : err_set(e, errno, "lock %s", s->dir);
	return 0;
}

/* Whatever else has the name gives way. */
static int make_folder(struct store *s, const char *name, struct err *e)
{
	struct stat st;

	if (mkdirat(s->dir_fd, name, 0700) == 0)
		return 0;
	if (errno == EEXIST && fstatat(s->dir_fd, name, &st, 0) == 0 && S_ISDIR(st.st_mode))
		return 0;
	if (unlinkat(s->dir_fd, name, 0) < 0 || mkdirat(s->dir_fd, name, 0700) < 0)
		return err_set(e, errno, "make %s/%s", s->dir, name);
	log_warn("file in the place of the store's folder, removed", "path=\"%s/%s\"", s->dir,
		 name);
	return 0;
}

static int open_tasks(struct store *s, struct err *e)
{
	int r = make_folder(s, "content", e);

	if (r == 0)
		r = make_folder(s, "content/tasks", e);
	if (r < 0)
		return r;
	s->tasks_fd = openat(s->dir_fd, "content/tasks", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->tasks_fd < 0)
		return err_set(e, errno, "open %s/content/tasks", s->dir);
	return 0;
}

/* Goes on with the epoch of a clean stop, or begins a new one. The mark is gone from the disk
 * before anything is changed. */
static int begin_epoch(struct store *s, struct err *e)
{
	char text[18] = "";
	cleanup(close_at) int fd = openat(s->dir_fd, "clean", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0 && read(fd, text, sizeof(text)) == 17 && text[16] == '\n' &&
	    strspn(text, "0123456789abcdef") == 16)
		s->epoch = strtoull(text, NULL, 16);
	if (unlinkat(s->dir_fd, "clean", 0) < 0 && errno != ENOENT &&
	    unlinkat(s->dir_fd, "clean", AT_REMOVEDIR) < 0)
		return err_set(e, errno, "remove %s/clean", s->dir);
	if (fsync(s->dir_fd) < 0)
		return err_set(e, errno, "sync %s", s->dir);
	while (s->epoch == 0) {
		if (getrandom(&s->epoch, sizeof(s->epoch), 0) != (ssize_t)sizeof(s->epoch))
			return err_set(e, errno, "random number");
	}
	return 0;
}

static int end_epoch(struct store *s, struct err *e)
{
	cleanup(close_at) int fd = -1;
	char text[24];
	int len = snprintf(text, sizeof(text), "%016" PRIx64 "\n", s->epoch);

	/* Tells of write-back errors since the directory was opened, too. */
	if (syncfs(s->dir_fd) < 0)
		return err_set(e, errno, "sync %s", s->dir);
	fd = openat(s->dir_fd, "clean.tmp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		    0600);
	if (fd < 0 || write(fd, text, (size_t)len) != len || fsync(fd) < 0 ||
	    renameat(s->dir_fd, "clean.tmp", s->dir_fd, "clean") < 0 || fsync(s->dir_fd) < 0)
		return err_set(e, errno ? errno : EIO, "write %s/clean", s->dir);
	return 0;
}

static void set_quota(struct store *s)
{
	struct statvfs v;

	s->quota = s->config.quota;
	if (s->quota == 0 && fstatvfs(s->dir_fd, &v) == 0)
		s->quota = (uint64_t)v.f_blocks * v.f_frsize;
	s->high = s->quota / 100 * (s->config.high_percent ? s->config.high_percent : 80);
	s->low = s->quota / 100 * (s->config.low_percent ? s->config.low_percent : 60);
}

static void store_free(struct store *s)
{
	const char *key;
	void *value;
	size_t at = 0;

	while (map_next(s->tasks, &at, &key, &value)) {
		struct store_task *t = value;

		assert(t->refs == 0 && !t->busy);
		task_free(t);
	}
	assert(list_empty(&s->volatiles));
	map_free(s->tasks);
	close_at(&s->tasks_fd);
	close_at(&s->dir_fd);
	close_at(&s->lock_fd);
	cond_release(&s->settled);
	lock_release(&s->lock);
	free(s->dir);
	free(s);
}

int store_open(const struct store_config *c, struct store **out, struct err *e)
{
	struct store *s = mem_new(struct store);
	int64_t from_ms = clock_ms();
	int r;

	s->config = *c;
	s->config.dir = s->dir = mem_strdup(c->dir);
	s->dir_fd = s->tasks_fd = s->lock_fd = -1;
	s->tasks = map_new();
	lock_init(&s->lock, LOCK_RANK_STORE);
	cond_init(&s->settled);
	list_init(&s->volatiles);
	r = open_dirs(s, e);
	if (r == 0)
		r = begin_epoch(s, e);
	if (r == 0)
		r = open_tasks(s, e);
	if (r == 0)
		r = store_scan(s, e);
	if (r < 0) {
		store_free(s);
		return r;
	}
	set_quota(s);
	log_info("store opened", "dir=\"%s\" tasks=%zu bytes=%" PRIu64 " ms=%" PRId64, s->dir,
		 map_count(s->tasks), s->bytes, clock_ms() - from_ms);
	*out = s;
	return 0;
}

void store_close(struct store *s)
{
	struct err e;

	if (end_epoch(s, &e) < 0)
		log_warn("store not marked clean, its pieces will be compared before use",
			 "why=\"%s\"", e.text);
	store_free(s);
}
