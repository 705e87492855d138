/* The files of one task: made, opened, closed, removed; its record read. The caller has the task to
 * itself (busy). */
#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/store_private.h"
#include "daemon/store_record.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

void store_task_name(const char *id, const char *suffix, char name[STORE_NAME_SIZE])
{
	snprintf(name, STORE_NAME_SIZE, "%.3s/%s%s", id, id, suffix);
}

void store_task_unlink(struct store *s, const char *id)
{
	char name[STORE_NAME_SIZE];

	/* The record first: content without a record is known to be waste. */
	store_task_name(id, ".rec", name);
	unlinkat(s->tasks_fd, name, 0);
	store_task_name(id, "", name);
	unlinkat(s->tasks_fd, name, 0);
}

int store_write_at(int fd, const void *data, size_t len, uint64_t off)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* Whole before it has its name. Its tables are allocated now, so that a full disk cannot keep a
 * piece that found room from being recorded. */
static int make_record(struct store_task *t, int *fd_out, struct err *e)
{
	const struct store_meta *m = &t->meta;
	char temporary[STORE_NAME_SIZE], name[STORE_NAME_SIZE];
	cleanup(free_at) char *head = NULL;
	cleanup(close_at) int fd = -1;
	off_t size;
	int r;

	r = store_head_print(m, &head, &t->table, e);
	if (r < 0)
		return r;
	size = (off_t)store_record_size(t->table, m->geometry.piece_count);
	store_task_name(m->id, ".rec.tmp", temporary);
	store_task_name(m->id, ".rec", name);
	fd = openat(t->store->tasks_fd, temporary,
		    O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(e, errno, "make record of task %s", m->id);
	if (fallocate(fd, 0, 0, size) < 0 && (errno != EOPNOTSUPP || ftruncate(fd, size) < 0))
		r = -errno;
	else
		r = store_write_at(fd, head, t->table, 0);
	if (r == 0 && renameat(t->store->tasks_fd, temporary, t->store->tasks_fd, name) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(t->store->tasks_fd, temporary, 0);
		return err_set(e, -r, "write record of task %s", m->id);
	}
	*fd_out = take_fd(&fd);
	return 0;
}

static struct store_piece_row *new_rows(const struct geometry *g)
{
	struct store_piece_row *rows = mem_array(g->piece_count, sizeof(*rows));

	for (uint32_t i = 0; i < g->piece_count; i++)
		rows[i].piece.length = geometry_length(g, i);
	return rows;
}

int store_task_make_files(struct store_task *t, struct err *e)
{
	const struct store_meta *m = &t->meta;
	cleanup(close_at) int fd = -1, write_fd = -1, record_fd = -1;
	int tasks_fd = t->store->tasks_fd, r;
	char name[STORE_NAME_SIZE], folder[4];

	snprintf(folder, sizeof(folder), "%.3s", m->id);
	if (mkdirat(tasks_fd, folder, 0700) < 0 && errno != EEXIST)
		return err_set(e, errno, "make folder of task %s", m->id);
	store_task_name(m->id, "", name);
	write_fd =
		openat(tasks_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (write_fd < 0)
		return err_set(e, errno, "make task %s", m->id);
	fd = openat(tasks_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || ftruncate(write_fd, (off_t)m->geometry.content_length) < 0) {
		r = err_set(e, errno, "make task %s", m->id);
		unlinkat(tasks_fd, name, 0);
		return r;
	}
	r = make_record(t, &record_fd, e);
	if (r < 0) {
		unlinkat(tasks_fd, name, 0);
		return r;
	}
	t->rows = new_rows(&m->geometry);
	t->fd = take_fd(&fd);
	t->write_fd = take_fd(&write_fd);
	t->record_fd = take_fd(&record_fd);
	return 0;
}

int store_task_make_diskless(struct store_task *t, struct err *e)
{
	cleanup(close_at) int fd = memfd_create("skimmer-task", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)t->meta.geometry.content_length) < 0)
		return err_set(e, errno, "make task %s in memory", t->meta.id);
	t->rows = new_rows(&t->meta.geometry);
	t->fd = take_fd(&fd);
	return 0;
}

/* Reads at most len bytes from the start. */
static ssize_t read_full(int fd, unsigned char *data, size_t len)
{
	size_t at = 0;

	while (at < len) {
		ssize_t n = pread(fd, data + at, len - at, (off_t)at);

		if (n == 0)
			break;
		if (n < 0 && errno != EINTR)
			return -1;
		at += n > 0 ? (size_t)n : 0;
	}
	return (ssize_t)at;
}

/* One place of the table; index == piece_count is the whole's. */
static void read_place(struct store *s, int fd, struct store_found *f, const unsigned char *table,
		       uint32_t index)
{
	static const unsigned char zeros[STORE_PLACE_SIZE];
	size_t at = (size_t)index * STORE_PLACE_SIZE;
	bool is_whole = index == f->meta.geometry.piece_count;
	struct store_piece_row *row = &f->rows[index];
	struct store_entry x;

	switch (store_entry_parse(table + at, f->meta.id, index, is_whole ? 0 : row->piece.length,
				  &x)) {
	case STORE_PLACE_EMPTY:
		return;
	case STORE_PLACE_TORN:
		f->torn++;
		if (pwrite(fd, zeros, sizeof(zeros), (off_t)(f->table + at)) < 0)
			log_debug("torn entry stays", "task=%s piece=%u", f->meta.id, index);
		return;
	case STORE_PLACE_TAKEN:
		break;
	}
	if (is_whole) {
		f->whole = f->recorded == index && x.xxh3 == store_whole_xxh3(f->rows, index);
		f->meta.finished_ms = f->whole ? x.time_ms : 0;
		return;
	}
	row->piece.crc32 = x.crc32;
	row->piece.xxh3 = x.xxh3;
	row->piece.source = x.source;
	row->piece.created_s = x.time_ms / 1000;
	row->piece.cost_ms = x.cost_ms;
	row->epoch = x.epoch;
	row->backed = true;
	row->state = x.epoch == s->epoch ? STORE_PRESENT : STORE_UNPROVEN;
	f->recorded++;
	f->present += row->state == STORE_PRESENT;
}

static int64_t modified_ms(const struct stat *st)
{
	return st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
}

int store_record_read(struct store *s, int fd, const char *id, struct store_found *out,
		      struct err *e)
{
	const size_t size_max = store_record_size(
		STORE_PREFIX_SIZE + STORE_HEAD_MAX + STORE_PLACE_SIZE, STORE_PIECE_COUNT_MAX);
	cleanup(free_at) unsigned char *data = NULL;
	struct stat st;
	size_t size, need;
	ssize_t got;
	int r;

	memset(out, 0, sizeof(*out));
	if (fstat(fd, &st) < 0)
		return err_set(e, errno, "stat record of task %s", id);
	if (!S_ISREG(st.st_mode))
		return err_set(e, EBADMSG, "record of task %s is no file", id);
	size = (uint64_t)st.st_size < size_max ? (size_t)st.st_size : size_max;
	data = mem_alloc(size);
	got = read_full(fd, data, size);
	if (got < 0)
		return err_set(e, errno, "read record of task %s", id);
	r = store_head_parse(data, (size_t)got, id, &out->meta, e);
	if (r < 0)
		return err_wrap(e, "task %s", id);
	r = store_record_table(data, &out->table, e);
	assert(r == 0);
	need = store_record_size(out->table, out->meta.geometry.piece_count);
	if ((size_t)got < need) { /* what is missing was never there */
		data = mem_realloc(data, need);
		memset(data + got, 0, need - (size_t)got);
	}
	if ((size_t)st.st_size != need && ftruncate(fd, (off_t)need) < 0) {
		store_found_release(out);
		return err_set(e, errno, "repair record of task %s", id);
	}
	out->meta.accessed_ms = modified_ms(&st);
	out->bytes = (uint64_t)st.st_blocks * 512;
	out->rows = new_rows(&out->meta.geometry);
	for (uint32_t i = 0; i <= out->meta.geometry.piece_count; i++)
		read_place(s, fd, out, data + out->table, i);
	return 0;
}

void store_found_release(struct store_found *f)
{
	store_meta_release(&f->meta);
	free(f->rows);
	f->rows = NULL;
}

int store_record_distrust(int fd, struct store_found *f, struct err *e)
{
	for (uint32_t i = 0; i < f->meta.geometry.piece_count; i++) {
		unsigned char place[STORE_PLACE_SIZE];
		off_t at = (off_t)(f->table + (size_t)i * STORE_PLACE_SIZE);

		if (f->rows[i].state == STORE_ABSENT)
			continue;
		f->rows[i].epoch = 0;
		f->rows[i].state = STORE_UNPROVEN;
		store_row_print(&f->rows[i], i, f->meta.id, place);
		if (pwrite(fd, place, sizeof(place), at) != (ssize_t)sizeof(place))
			return err_set(e, errno, "write record of task %s", f->meta.id);
	}
	f->present = 0;
	return 0;
}

int store_task_open_files(struct store_task *t, struct err *e)
{
	cleanup(store_found_release) struct store_found found = {0};
	cleanup(close_at) int fd = -1, write_fd = -1, record_fd = -1;
	int tasks_fd = t->store->tasks_fd, r;
	char name[STORE_NAME_SIZE];
	struct stat st;

	store_task_name(t->meta.id, ".rec", name);
	record_fd = openat(tasks_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (record_fd < 0)
		return err_set(e, errno, "open record of task %s", t->meta.id);
	r = store_record_read(t->store, record_fd, t->meta.id, &found, e);
	if (r < 0)
		return r;
	store_task_name(t->meta.id, "", name);
	write_fd = openat(tasks_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (write_fd < 0)
		return err_set(e, errno, "open task %s", t->meta.id);
	fd = openat(tasks_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, errno, "open task %s", t->meta.id);
	if ((uint64_t)st.st_size != t->meta.geometry.content_length ||
	    found.meta.geometry.piece_length != t->meta.geometry.piece_length ||
	    found.meta.geometry.content_length != t->meta.geometry.content_length)
		return err_set(e, EBADMSG, "files of task %s were changed by somebody", t->meta.id);
	if (found.torn > 0) {
		lock_guard(&t->store->lock);
		t->store->torn_entries += found.torn;
	}
	t->table = found.table;
	t->rows = take_ptr(&found.rows);
	t->fd = take_fd(&fd);
	t->write_fd = take_fd(&write_fd);
	t->record_fd = take_fd(&record_fd);
	lock_guard(&t->lock);
	t->present = found.present;
	t->recorded = found.recorded;
	t->whole = found.whole;
	store_piece_settle_whole(t);
	return 0;
}

uint64_t store_task_close_files(struct store_task *t)
{
	int64_t ms = t->meta.accessed_ms;
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
				    {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}};
	uint64_t bytes = 0;
	struct stat st;

	/* The record's time is when the task was used last; entries that were written moved it. */
	if (t->record_fd >= 0 && fstat(t->record_fd, &st) == 0) {
		bytes += (uint64_t)st.st_blocks * 512;
		if (modified_ms(&st) != ms)
			futimens(t->record_fd, times);
	}
	if (t->write_fd >= 0 && fstat(t->write_fd, &st) == 0)
		bytes += (uint64_t)st.st_blocks * 512;
	close_at(&t->fd);
	close_at(&t->write_fd);
	close_at(&t->record_fd);
	free(t->rows);
	t->rows = NULL;
	return bytes;
}
