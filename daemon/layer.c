/* A lazy layer's blocks: who inflates them, who waits. */
#include "daemon/layer.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/task_wait.h"
#include "fs/layer/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RANK_LAYER 9
#define SECTOR	   512	      /* of tar and of the EROFS image */
#define STEP	   (8u << 20) /* of completing and hashing */

enum block { UNKNOWN, ABSENT, BUSY, PRESENT };

struct layer {
	/* constant */
	struct layer_place place;
	unsigned refs; /* atomic */
	struct layer_index *index;
	char *erofs_path, *data_path, *done_path, *idx_path, *from_path, *broken_path;
	int fd;
	uint64_t block_count;
	int64_t used_ms; /* atomic */
	bool complete;	 /* atomic */

	struct lock lock; /* all below */
	struct cond changed;
	unsigned char *blocks; /* enum block */
	bool broken, removed;
	unsigned opens;
	struct task *task; /* of the compressed bytes; NULL until they are needed */
};

/* ---- blocks */

static void set_block(struct layer *l, uint64_t no, enum block to)
{
	lock_guard(&l->lock);
	l->blocks[no] = (unsigned char)to;
	cond_wake_all(&l->changed);
}

static bool make_room(const struct layer *l, uint64_t need)
{
	int why = errno;
	bool made = l->place.make_room && l->place.make_room(l->place.arg, need);

	errno = why;
	return made;
}

static int write_block(struct layer *l, uint64_t off, const char *data, size_t len, struct err *e)
{
	while (len > 0) {
		ssize_t n = pwrite(l->fd, data, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == ENOSPC || errno == EDQUOT) && make_room(l, len))
			continue;
		if (n <= 0)
			return err_set(e, n < 0 ? errno : EIO, "write %s", l->data_path);
		data += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static bool read_data(struct layer *l, uint64_t off, char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = pread(l->fd, data, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		data += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return true;
}

/* Did an earlier process leave this block? */
static bool is_left(struct layer *l, uint64_t no)
{
	char *room cleanup(free_at) = NULL;
	uint64_t off, len;
	off_t data;

	index_block_extent(l->index, no, &off, &len);
	data = lseek(l->fd, (off_t)off, SEEK_DATA);
	if (data < 0 || (uint64_t)data >= off + len)
		return false;
	room = mem_alloc(len);
	return read_data(l, off, room, len) &&
	       index_block_check(l->index, no, room, len, NULL) == 0;
}

/* ---- the compressed bytes */

static int task_of(struct layer *l, struct task **out, struct err *e)
{
	char *digest cleanup(free_at) = mem_printf("sha256:%s", layer_info(l)->digest);
	const struct task_request rq = {.digest = digest, .blob_digest_id = true};
	struct task *t;
	int r;

	lock_take(&l->lock);
	t = l->task;
	if (t)
		task_ref(t);
	lock_drop(&l->lock);
	*out = t;
	if (t)
		return 0;
	r = task_open_wait(l->place.tasks, &rq, &t, e);
	if (r < 0)
		return r;
	if (task_meta(t)->geometry.content_length != layer_info(l)->compressed_len) {
		task_unref(t);
		return err_set(e, EBADMSG, "layer %s has another length than its index says",
			       layer_info(l)->digest);
	}
	task_ref(t);
	lock_take(&l->lock);
	*out = t;
	if (!l->task)
		l->task = take_ptr(&t);
	lock_drop(&l->lock);
	if (t)
		task_unref(t);
	return 0;
}

static void drop_task(struct layer *l)
{
	struct task *t;

	lock_take(&l->lock);
	t = take_ptr(&l->task);
	lock_drop(&l->lock);
	if (t)
		task_unref(t);
}

/* ---- inflating */

struct filling {
	struct layer *layer;
	struct task *task;
	struct err err; /* of the last read */
	uint64_t first; /* block */
	bool *mine;	/* from there on: made busy by us */
	uint64_t count;
};

static ssize_t read_compressed(void *arg, uint64_t offset, void *buf, size_t len)
{
	struct filling *f = arg;
	uint64_t total = layer_info(f->layer)->compressed_len;
	int r;

	if (offset >= total)
		return 0;
	if (len > total - offset)
		len = (size_t)(total - offset);
	r = task_read_wait(f->task, offset, buf, len, f->layer->place.stopping, &f->err);
	return r < 0 ? r : (ssize_t)len;
}

static int take_block(void *arg, uint64_t offset, const void *data, size_t len, struct err *e)
{
	struct filling *f = arg;
	uint64_t no = index_block_at(f->layer->index, offset);
	bool ours = no >= f->first && no - f->first < f->count && f->mine[no - f->first];
	int r;

	/* One that comes for nothing may be another's, or here. */
	if (!ours)
		return 0;
	r = write_block(f->layer, offset, data, len, e);
	if (r < 0)
		return r;
	f->mine[no - f->first] = false;
	set_block(f->layer, no, PRESENT);
	return 0;
}

/* With the lock: makes what the plan hands over and nobody has ours. */
static void claim(struct layer *l, struct filling *f, const struct unpack_plan *p)
{
	f->first = index_block_at(l->index, p->out_offset);
	f->count = index_block_at(l->index, p->out_offset + p->out_len - 1) - f->first + 1;
	f->mine = mem_array(f->count, sizeof(*f->mine));
	for (uint64_t i = 0; i < f->count; i++) {
		unsigned char *b = &l->blocks[f->first + i];

		f->mine[i] = *b == ABSENT || *b == UNKNOWN;
		if (f->mine[i])
			*b = BUSY;
	}
}

static void give_back(struct layer *l, const struct filling *f)
{
	lock_guard(&l->lock);
	for (uint64_t i = 0; i < f->count; i++) {
		if (f->mine[i])
			l->blocks[f->first + i] = ABSENT;
	}
	cond_wake_all(&l->changed);
}

static int unpack(struct layer *l, struct filling *f, const struct unpack_plan *p, struct err *e)
{
	const struct unpack_io io = {.read = read_compressed, .block = take_block, .arg = f};
	int r = task_of(l, &f->task, e);

	if (r < 0)
		return r;
	r = unpack_range(l->index, p->out_offset, p->out_len, &io, e);
	/* What the task says of its bytes is more than that they could not be read. */
	if (r < 0 && f->err.code)
		r = err_copy(e, &f->err);
	task_unref(f->task);
	return r;
}

/* Inflates the span around an absent block, with the lock, dropped meanwhile. */
static int inflate_at(struct layer *l, uint64_t no, struct err *e)
{
	struct filling f = {.layer = l};
	struct unpack_plan p;
	uint64_t off, len;
	int r;

	index_block_extent(l->index, no, &off, &len);
	/* To the end of the span: its start has to be inflated anyhow. */
	r = unpack_plan(l->index, off, unpack_span_end(l->index, off) - off, &p, e);
	if (r < 0)
		return r;
	claim(l, &f, &p);
	lock_drop(&l->lock);
	r = unpack(l, &f, &p, e);
	give_back(l, &f);
	free(f.mine);
	lock_take(&l->lock);
	return r;
}

/* With the lock, dropped meanwhile: an unknown block is known then. */
static void look_for_left(struct layer *l, uint64_t no)
{
	bool left;

	l->blocks[no] = BUSY;
	lock_drop(&l->lock);
	left = is_left(l, no);
	lock_take(&l->lock);
	l->blocks[no] = left ? PRESENT : ABSENT;
	cond_wake_all(&l->changed);
}

/* One step towards a present block; with the lock. */
static int advance(struct layer *l, uint64_t no, struct err *e)
{
	switch (l->blocks[no]) {
	case BUSY:
		cond_wait(&l->changed, &l->lock);
		return 0;
	case UNKNOWN:
		look_for_left(l, no);
		return 0;
	default:
		return inflate_at(l, no, e);
	}
}

/* The last block that these bytes touch; what pads the layer is in no block. */
static uint64_t last_block(const struct layer *l, uint64_t off, uint64_t len)
{
	uint64_t end = off + len < layer_info(l)->len ? off + len : layer_info(l)->len;

	return end > 0 ? index_block_at(l->index, end - 1) : 0;
}

static int fill(struct layer *l, uint64_t off, uint64_t len, struct err *e)
{
	uint64_t last = last_block(l, off, len);
	int r = 0;

	lock_guard(&l->lock);
	for (uint64_t no = index_block_at(l->index, off); no <= last && r == 0; no++) {
		while (l->blocks[no] != PRESENT && r == 0) {
			if (l->broken)
				r = err_set(e, EIO, "layer %s is broken", layer_info(l)->digest);
			else if (l->removed)
				r = err_set(e, ESTALE, "layer %s was removed",
					    layer_info(l)->digest);
			else
				r = advance(l, no, e);
		}
	}
	return r;
}

static void mark_broken(const struct layer *l)
{
	int fd cleanup(close_at) = open(l->broken_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || fsync(fd) < 0)
		log_warn("broken layer is refused until the next start only",
			 "layer=sha256:%s path=\"%s\" why=\"%s\"", layer_info(l)->digest,
			 l->broken_path, strerror(errno));
}

/* Nothing of it is believed any more, here or after a restart. */
static void condemn(struct layer *l, const struct err *why)
{
	bool first;

	lock_take(&l->lock);
	first = !l->broken && !l->removed;
	l->broken = true;
	memset(l->blocks, ABSENT, l->block_count);
	cond_wake_all(&l->changed);
	lock_drop(&l->lock);
	if (!first)
		return;
	__atomic_store_n(&l->complete, false, __ATOMIC_RELEASE);
	mark_broken(l);
	unlink(l->done_path);
	unlink(l->idx_path);
	unlink(l->data_path);
	log_error(err_fault(why), "layer is broken and refused from now on",
		  "layer=sha256:%s why=\"%s\"", layer_info(l)->digest, why->text);
}

int layer_fill(struct layer *l, uint64_t off, uint64_t len, bool urgent, struct err *e)
{
	int r;

	if (urgent) {
		layer_read_now(l);
		layer_touch(l);
	}
	r = fill(l, off, len, e);
	if (urgent)
		layer_read_now(l);
	if (r == -EBADMSG) {
		condemn(l, e);
		r = err_set(e, EIO, "layer %s is broken", layer_info(l)->digest);
	}
	return r;
}

bool layer_has(struct layer *l, uint64_t off, uint64_t len)
{
	uint64_t last = last_block(l, off, len);

	lock_guard(&l->lock);
	for (uint64_t no = index_block_at(l->index, off); no <= last; no++) {
		if (l->blocks[no] != PRESENT)
			return false;
	}
	return true;
}

/* ---- blocks that are brought */

const struct layer_index *layer_index(const struct layer *l)
{
	return l->index;
}

int layer_read_block(struct layer *l, uint64_t no, void *data, struct err *e)
{
	uint64_t off, len;

	index_block_extent(l->index, no, &off, &len);
	if (!layer_has(l, off, len) || !read_data(l, off, data, len))
		return err_set(e, ENOENT, "block %" PRIu64 " is not here", no);
	return index_block_check(l->index, no, data, len, e);
}

bool layer_claim_block(struct layer *l, uint64_t no)
{
	lock_guard(&l->lock);
	if (l->blocks[no] == UNKNOWN)
		look_for_left(l, no);
	if (l->blocks[no] != ABSENT || l->broken || l->removed)
		return false;
	l->blocks[no] = BUSY;
	return true;
}

int layer_put_block(struct layer *l, uint64_t no, const void *data, size_t len, struct err *e)
{
	uint64_t off, ignored;
	int r;

	index_block_extent(l->index, no, &off, &ignored);
	r = index_block_check(l->index, no, data, len, e);
	if (r == 0)
		r = write_block(l, off, data, len, e);
	if (r == 0)
		set_block(l, no, PRESENT);
	return r;
}

void layer_release_block(struct layer *l, uint64_t no)
{
	set_block(l, no, ABSENT);
}

/* ---- completing */

static int compare_data(struct layer *l, struct err *e)
{
	char *room cleanup(free_at) = mem_alloc(STEP);
	struct sha256 *s = sha256_new();
	char hex[DIGEST_HEX_LEN + 1];
	uint64_t len = layer_info(l)->len;
	bool good = true;

	for (uint64_t off = 0; off < len && good; off += STEP) {
		size_t n = len - off < STEP ? (size_t)(len - off) : STEP;

		good = read_data(l, off, room, n) &&
		       !__atomic_load_n(l->place.stopping, __ATOMIC_RELAXED);
		sha256_update(s, room, n);
	}
	sha256_final(s, hex);
	sha256_free(s);
	if (!good)
		return err_set(e, ECANCELED, "%s is not read to its end", l->data_path);
	if (strcmp(hex, layer_info(l)->diff_id) != 0)
		return err_set(e, EBADMSG, "the uncompressed layer is sha256:%s", hex);
	return 0;
}

/* The tar that is not here: it is inflated once more, of all compressed bytes, which are. */
static int compare_tar(struct layer *l, struct err *e)
{
	struct filling f = {.layer = l};
	const struct unpack_io io = {.read = read_compressed, .arg = &f};
	int r = task_of(l, &f.task, e);

	if (r < 0)
		return r;
	r = unpack_check_diff(l->index, &io, e);
	if (r < 0 && f.err.code)
		r = err_copy(e, &f.err);
	task_unref(f.task);
	return r;
}

static int compare_whole(struct layer *l, struct err *e)
{
	if (layer_info(l)->toc_digest[0])
		return compare_tar(l, e);
	return compare_data(l, e);
}

/* By its descriptor: another layer object may have made a new file under the name meanwhile. */
static int mark_done(struct layer *l, struct err *e)
{
	char self[64];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", l->fd);
	if (fdatasync(l->fd) < 0)
		return err_set(e, errno, "sync %s", l->data_path);
	if ((unlink(l->done_path) < 0 && errno != ENOENT) ||
	    linkat(AT_FDCWD, self, AT_FDCWD, l->done_path, AT_SYMLINK_FOLLOW) < 0)
		return err_set(e, errno, "make %s", l->done_path);
	if (fsync(l->fd) < 0)
		return err_set(e, errno, "sync %s", l->done_path);
	__atomic_store_n(&l->complete, true, __ATOMIC_RELEASE);
	return 0;
}

/* All compressed bytes first, as the background's: inflating then disturbs nobody. */
static int fetch_whole(struct layer *l, struct err *e)
{
	const struct task_wait wait = {.deadline_ms = clock_ms() + l->place.complete_within_ms,
				       .stopping = l->place.stopping};
	struct task *t;
	int fd, r = task_of(l, &t, e);

	if (r < 0)
		return r;
	r = task_wait_complete(t, TASK_REST, &wait, &fd, e);
	task_unref(t);
	return r;
}

static bool is_removed(struct layer *l)
{
	lock_guard(&l->lock);
	return l->removed;
}

int layer_complete(struct layer *l, struct err *e)
{
	uint64_t len = layer_info(l)->len;
	int r = 0;

	if (layer_is_complete(l))
		return 0;
	r = fetch_whole(l, e);
	for (uint64_t off = 0; off < len && r == 0; off += STEP) {
		if (__atomic_load_n(l->place.stopping, __ATOMIC_RELAXED))
			return err_set(e, ECANCELED, "the daemon stops");
		r = layer_fill(l, off, len - off < STEP ? len - off : STEP, false, e);
	}
	if (r == 0)
		r = compare_whole(l, e);
	if (r == -EBADMSG)
		condemn(l, e);
	if (r == 0 && is_removed(l))
		r = err_set(e, ESTALE, "layer %s was removed", layer_info(l)->digest);
	if (r == 0)
		r = mark_done(l, e);
	drop_task(l);
	return r;
}

/* ---- life */

static int open_index(struct layer *l, struct err *e)
{
	int fd cleanup(close_at) = open(l->idx_path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, errno, "open %s", l->idx_path);
	l->used_ms = st.st_mtim.tv_sec * INT64_C(1000) + st.st_mtim.tv_nsec / 1000000;
	return index_open(fd, &l->index, e);
}

static bool is_done(const struct layer *l)
{
	struct stat data, done;

	return fstat(l->fd, &data) == 0 && stat(l->done_path, &done) == 0 &&
	       data.st_dev == done.st_dev && data.st_ino == done.st_ino;
}

static int open_data(struct layer *l, struct err *e)
{
	l->fd = open(l->data_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (l->fd < 0)
		return err_set(e, errno, "open %s", l->data_path);
	if (ftruncate(l->fd, (off_t)layer_file_len(l)) < 0)
		return err_set(e, errno, "length of %s", l->data_path);
	l->block_count = index_block_count(l->index);
	l->blocks = mem_array(l->block_count + 1, 1);
	l->complete = is_done(l);
	memset(l->blocks, l->complete ? PRESENT : UNKNOWN, l->block_count);
	return 0;
}

int layer_open(const struct layer_place *p, const char *id, struct layer **out, struct err *e)
{
	struct layer *l cleanup(layer_unref_at) = mem_new(struct layer);
	int r;

	l->place = *p;
	l->refs = 1;
	l->fd = -1;
	l->idx_path = mem_printf("%s/%s.idx", p->dir, id);
	l->erofs_path = mem_printf("%s/%s.erofs", p->dir, id);
	l->data_path = mem_printf("%s/%s.data", p->dir, id);
	l->done_path = mem_printf("%s/%s.done", p->dir, id);
	l->from_path = mem_printf("%s/%s.from", p->dir, id);
	l->broken_path = mem_printf("%s/%s.broken", p->dir, id);
	lock_init(&l->lock, RANK_LAYER);
	cond_init(&l->changed);
	r = open_index(l, e);
	if (r == 0 && strcmp(layer_info(l)->id, id) != 0)
		r = err_set(e, EBADMSG, "the index is of layer %s", layer_info(l)->digest);
	if (r == 0)
		r = open_data(l, e);
	if (r < 0)
		return r;
	*out = take_ptr(&l);
	return 0;
}

void layer_ref(struct layer *l)
{
	__atomic_add_fetch(&l->refs, 1, __ATOMIC_RELAXED);
}

void layer_unref(struct layer *l)
{
	if (__atomic_sub_fetch(&l->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	if (l->task)
		task_unref(l->task);
	if (l->index)
		index_free(l->index);
	close_at(&l->fd);
	cond_release(&l->changed);
	lock_release(&l->lock);
	free(l->blocks);
	free(l->idx_path);
	free(l->erofs_path);
	free(l->data_path);
	free(l->done_path);
	free(l->from_path);
	free(l->broken_path);
	free(l);
}

void layer_unref_at(struct layer **l)
{
	if (*l)
		layer_unref(*l);
	*l = NULL;
}

/* ---- what is known */

const struct layer_info *layer_info(const struct layer *l)
{
	return index_info(l->index);
}

uint64_t layer_file_len(const struct layer *l)
{
	return (layer_info(l)->len + SECTOR - 1) / SECTOR * SECTOR;
}

const char *layer_erofs_path(const struct layer *l)
{
	return l->erofs_path;
}

const char *layer_whole_path(const struct layer *l)
{
	return l->done_path;
}

bool layer_is_complete(const struct layer *l)
{
	return __atomic_load_n(&l->complete, __ATOMIC_ACQUIRE);
}

bool layer_is_broken(struct layer *l)
{
	lock_guard(&l->lock);
	return l->broken;
}

int layer_fd(const struct layer *l)
{
	return l->fd;
}

void layer_read_now(struct layer *l)
{
	__atomic_store_n(l->place.read_ms, clock_ms(), __ATOMIC_RELAXED);
}

/* ---- when it may go */

void layer_opened(struct layer *l)
{
	lock_guard(&l->lock);
	l->opens++;
}

void layer_closed(struct layer *l)
{
	lock_guard(&l->lock);
	l->opens--;
}

void layer_touch(struct layer *l)
{
	__atomic_store_n(&l->used_ms, clock_wall_ms(), __ATOMIC_RELAXED);
}

int64_t layer_used_ms(const struct layer *l)
{
	return __atomic_load_n(&l->used_ms, __ATOMIC_RELAXED);
}

uint64_t layer_bytes(const struct layer *l)
{
	const char *paths[] = {l->idx_path, l->erofs_path, l->data_path};
	uint64_t sum = 0;
	struct stat st;

	for (size_t i = 0; i < array_len(paths); i++) {
		if (stat(paths[i], &st) == 0)
			sum += (uint64_t)st.st_blocks * 512;
	}
	return sum;
}

/* Every mount of the layer, in whatever namespace, has the image open, and then there is no lease
 * for writing to be had. Until *fd_out is closed nobody else can open it: whoever tries waits. */
static bool lease_image(const struct layer *l, int *fd_out)
{
	*fd_out = open(l->erofs_path, O_RDONLY | O_CLOEXEC);
	if (*fd_out < 0)
		return errno == ENOENT;
	/* Who tries makes the kernel send a signal: not the usual one, which kills. */
	return fcntl(*fd_out, F_SETSIG, SIGURG) == 0 && fcntl(*fd_out, F_SETLEASE, F_WRLCK) == 0;
}

static void note_used(struct layer *l)
{
	int64_t ms = layer_used_ms(l);
	const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	const struct timespec both[2] = {t, t};

	if (utimensat(AT_FDCWD, l->idx_path, both, 0) < 0)
		log_debug("time of use is not kept", "path=\"%s\"", l->idx_path);
}

static bool is_open(struct layer *l)
{
	lock_guard(&l->lock);
	return l->opens > 0;
}

bool layer_is_in_use(struct layer *l)
{
	int fd cleanup(close_at) = -1;
	bool used = is_open(l) || !lease_image(l, &fd);

	if (used)
		layer_touch(l);
	note_used(l);
	return used;
}

/* False: somebody has it open. */
static bool let_go(struct layer *l)
{
	lock_guard(&l->lock);
	if (l->opens > 0)
		return false;
	l->removed = true;
	memset(l->blocks, ABSENT, l->block_count);
	cond_wake_all(&l->changed);
	return true;
}

bool layer_remove(struct layer *l)
{
	int fd cleanup(close_at) = -1;

	if (!lease_image(l, &fd) || !let_go(l))
		return false;
	__atomic_store_n(&l->complete, false, __ATOMIC_RELEASE);
	/* Without its index nothing else counts as a layer. */
	unlink(l->idx_path);
	unlink(l->erofs_path);
	unlink(l->done_path);
	unlink(l->data_path);
	unlink(l->from_path);
	return true;
}
