/* The images that are being started. */
#include "daemon/starts.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/random.h"
#include "base/timer.h"
#include "daemon/start_pack.h"
#include "daemon/task_import.h"
#include "daemon/task_wait.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define RANK_STARTS	 7
#define IMAGES_MAX	 32
#define RENEW_MS	 (INT64_C(10) * 60 * 1000) /* later the cluster is asked again */
#define OPEN_TIMEOUT_MS	 5000
#define FETCH_TIMEOUT_MS 15000
#define ASK_AGAIN_MS	 1000
#define ASKERS		 8
#define ASK_QUEUE	 2048
#define PREFETCHERS	 4
#define STEP_BLOCKS	 4 /* that one of them takes at a time */

enum state { ASKING, RECORDING, KNOWN };

struct start {
	/* constant */
	struct starts *all;
	char manifest[DIGEST_HEX_LEN + 1];
	char *image;
	int64_t began_ms;

	/* all below: starts' lock */
	unsigned refs;
	bool listed; /* in the table; only then the timer may be armed */
	enum state state;
	struct map *layers; /* digest -> bitmap of blocks that were read; none = &none_read */
	struct start_record record;
	struct timer timer;
	bool timed;
	/* prefetching */
	uint32_t run, step; /* what is next: the run, blocks of it that are taken */
	uint64_t fetched;
	unsigned workers;
	bool *left_out; /* layers that cannot be had */
	/* landmarks: where no record is known */
	bool no_record;
	struct map *marked; /* layers whose part is being fetched, was, or has none */
};

struct starts {
	struct starts_config config; /* constant, as are the pools */
	char *dir;
	struct pool *askers, *prefetchers;
	bool stopping;	 /* atomic */
	unsigned noting; /* atomic, changed with the lock: images that are not KNOWN */

	struct lock lock;
	struct map *table; /* manifest -> start, a reference each */
};

/* A layer's index is to be fetched. */
struct errand_index {
	struct start *start;
	char digest[DIGEST_HEX_LEN + 1];
};

static uint64_t none_read;

char *starts_record_name(const char *manifest)
{
	return mem_printf(TASK_OWN_NAMES "start-record/2/sha256:%s", manifest);
}

static bool is_stopping(const struct starts *s)
{
	return __atomic_load_n(&s->stopping, __ATOMIC_RELAXED);
}

/* ---- one start; with the lock */

static void set_state(struct start *st, enum state to)
{
	if (st->state != KNOWN && to == KNOWN)
		__atomic_sub_fetch(&st->all->noting, 1, __ATOMIC_RELAXED);
	st->state = to;
}

static void start_free(struct start *st)
{
	const char *digest;
	size_t at = 0;
	void *seen;

	while (map_next(st->layers, &at, &digest, &seen)) {
		if (seen != &none_read)
			free(seen);
	}
	map_free(st->layers);
	map_free(st->marked);
	start_record_release(&st->record);
	free(st->left_out);
	free(st->image);
	free(st);
}

static void start_unref(struct start *st)
{
	bool last;

	lock_take(&st->all->lock);
	last = --st->refs == 0;
	lock_drop(&st->all->lock);
	if (last)
		start_free(st);
}

static void start_unref_at(struct start **st)
{
	if (*st)
		start_unref(*st);
}

/* ---- the cluster's record */

static int open_record(const struct start *st, struct task **out, struct err *e)
{
	char *name cleanup(free_at) = starts_record_name(st->manifest);
	const struct task_request rq = {.content_for_id = name,
					.disable_back_to_source = true,
					.timeout_ms = OPEN_TIMEOUT_MS};

	return task_open_wait(st->all->config.tasks, &rq, out, e);
}

static int read_record(const struct start *st, struct task *t, struct start_record *out,
		       struct err *e)
{
	unsigned char *file cleanup(free_at) = mem_alloc(START_RECORD_LEN);
	const struct task_wait wait = {.deadline_ms = clock_ms() + FETCH_TIMEOUT_MS,
				       .stopping = &st->all->stopping};
	int fd, r;

	if (task_meta(t)->geometry.content_length != START_RECORD_LEN)
		return err_set(e, EBADMSG, "the record has another length");
	r = task_wait_complete(t, TASK_URGENT, &wait, &fd, e);
	if (r < 0)
		return r;
	if (pread(fd, file, START_RECORD_LEN, 0) != (ssize_t)START_RECORD_LEN)
		return err_set(e, EIO, "read the record");
	return start_record_parse(file, START_RECORD_LEN, st->manifest, out, e);
}

/* ENOENT: nobody has it, or not in one piece. */
static int fetch_record(const struct start *st, struct start_record *out, struct err *e)
{
	struct task *t cleanup(task_unref_at) = NULL;
	struct err ignored;
	int r = open_record(st, &t, e);

	if (r == 0)
		r = read_record(st, t, out, e);
	/* A scheduler may know the length of what its last owner took along. */
	if (r == -EHOSTUNREACH || r == -ETIMEDOUT)
		return err_set(e, ENOENT, "no record of the start is known");
	if (r != -EBADMSG)
		return r;
	log_warn("record of a start is broken and forgotten", "manifest=sha256:%s why=\"%s\"",
		 st->manifest, e->text);
	if (task_delete(st->all->config.tasks, task_meta(t)->id, &ignored) < 0)
		log_debug("record has gone already", "why=\"%s\"", ignored.text);
	return err_set(e, ENOENT, "the record of the start is broken");
}

/* ---- prefetching */

struct step {
	char digest[DIGEST_HEX_LEN + 1];
	uint32_t layer;
	uint64_t off, len;
};

/* False: there is no more, or it would be too much. */
static bool next_step(struct start *st, struct step *out)
{
	const struct start_record *r = &st->record;

	lock_guard(&st->all->lock);
	while (st->run < r->run_count && st->fetched < st->all->config.prefetch_max) {
		const struct start_run *run = &r->runs[st->run];
		uint32_t count = run->count - st->step;

		if (count == 0 || st->left_out[run->layer]) {
			st->run++;
			st->step = 0;
			continue;
		}
		if (count > STEP_BLOCKS)
			count = STEP_BLOCKS;
		*out = (struct step){.layer = run->layer,
				     .off = ((uint64_t)run->first + st->step) * LAYER_BLOCK_LEN,
				     .len = (uint64_t)count * LAYER_BLOCK_LEN};
		memcpy(out->digest, r->layers[run->layer], sizeof(out->digest));
		st->step += count;
		st->fetched += out->len;
		return true;
	}
	return false;
}

static void leave_out(struct start *st, const struct step *step, const struct err *why)
{
	bool first;

	lock_take(&st->all->lock);
	first = !st->left_out[step->layer];
	st->left_out[step->layer] = true;
	lock_drop(&st->all->lock);
	if (first && !is_stopping(st->all))
		log_info("layer is not prefetched", "layer=sha256:%s why=\"%s\"", step->digest,
			 why->text);
}

static int get_layer(const struct start *st, const char *digest, struct layer **out, struct err *e)
{
	const struct layer_wish w = {
		.digest = digest, .image = st->image, .manifest = st->manifest};

	return layers_get(st->all->config.layers, &w, out, e);
}

static int do_step(const struct start *st, const struct step *step, struct err *e)
{
	struct layer *l cleanup(layer_unref_at) = NULL;
	int r = get_layer(st, step->digest, &l, e);
	uint64_t len;

	if (r < 0)
		return r;
	len = layer_info(l)->len;
	if (step->off >= len)
		return 0; /* the record is wrong */
	/* As if a container waited, which it would: the rest of the layer is not fetched meanwhile.
	 */
	return layer_fill(l, step->off, step->len < len - step->off ? step->len : len - step->off,
			  true, e);
}

static void prefetch(void *arg)
{
	struct start *st cleanup(start_unref_at) = arg;
	struct step step;
	struct err e;
	bool last;

	while (!is_stopping(st->all) && next_step(st, &step)) {
		if (do_step(st, &step, &e) < 0)
			leave_out(st, &step, &e);
	}
	lock_take(&st->all->lock);
	last = --st->workers == 0;
	lock_drop(&st->all->lock);
	if (last)
		log_info("start is prefetched", "manifest=sha256:%s bytes=%llu ms=%lld",
			 st->manifest, (unsigned long long)st->fetched,
			 (long long)(clock_ms() - st->began_ms));
}

static struct start_pack_place pack_place(const struct starts *s)
{
	return (struct start_pack_place){.tasks = s->config.tasks,
					 .layers = s->config.layers,
					 .dir = s->dir,
					 .stopping = &s->stopping,
					 .bytes_max = s->config.prefetch_max};
}

static void take_pack(struct start *st)
{
	const struct layer_wish w = {.image = st->image, .manifest = st->manifest};
	struct start_pack_place place = pack_place(st->all);
	uint64_t bytes;
	struct err e;

	if (start_pack_take(&place, &st->record, &w, &bytes, &e) == 0)
		log_info("start is unpacked", "manifest=sha256:%s bytes=%llu of=%llu ms=%lld",
			 st->manifest, (unsigned long long)bytes,
			 (unsigned long long)st->record.pack_len,
			 (long long)(clock_ms() - st->began_ms));
	else if (!is_stopping(st->all))
		log_info("start is not unpacked", "manifest=sha256:%s bytes=%llu why=\"%s\"",
			 st->manifest, (unsigned long long)bytes, e.text);
}

/* What the pack brought is passed over quickly. */
static void bring(void *arg)
{
	struct start *st cleanup(start_unref_at) = arg;
	struct starts *s = st->all;

	if (st->record.pack_len > 0)
		take_pack(st);
	lock_take(&s->lock);
	st->workers = PREFETCHERS;
	st->refs += PREFETCHERS;
	lock_drop(&s->lock);
	for (unsigned i = 0; i < PREFETCHERS; i++) {
		/* With a full queue those that are in it do all. */
		if (!pool_run(s->prefetchers, prefetch, st))
			prefetch(st);
	}
}

/* Takes the record over. */
static void prefetch_by(struct start *st, struct start_record *record)
{
	struct starts *s = st->all;

	lock_take(&s->lock);
	set_state(st, KNOWN);
	start_record_release(&st->record);
	st->record = *record;
	st->left_out = mem_array(record->layer_count + 1, sizeof(*st->left_out));
	st->refs++;
	lock_drop(&s->lock);
	if (!pool_run(s->prefetchers, bring, st))
		bring(st);
}

/* ---- landmarks: what the layer itself says is read first, where nobody knows better */

struct errand_landmark {
	struct start *start;
	struct layer *layer; /* a reference */
};

/* The next bytes; 0: no more, or no more are allowed. */
static uint64_t take_marked(struct start *st, const struct layer_info *i, uint64_t off)
{
	uint64_t max = st->all->config.prefetch_max, len = i->prefetch_len - off;

	lock_guard(&st->all->lock);
	if (len > STEP_BLOCKS * LAYER_BLOCK_LEN)
		len = STEP_BLOCKS * LAYER_BLOCK_LEN;
	if (st->fetched >= max)
		return 0;
	st->fetched += len;
	return len;
}

static void prefetch_marked(void *arg)
{
	struct errand_landmark *x = arg;
	struct start *st = x->start;
	const struct layer_info *i = layer_info(x->layer);
	uint64_t off = 0, len;
	struct err e;
	int r = 0;

	while (!is_stopping(st->all) && (len = take_marked(st, i, off)) > 0) {
		r = layer_fill(x->layer, off, len, true, &e);
		if (r < 0)
			break;
		off += len;
	}
	if (r == 0)
		log_info("layer is prefetched to its landmark", "layer=sha256:%s bytes=%llu",
			 i->digest, (unsigned long long)off);
	else if (!is_stopping(st->all))
		log_info("layer is not prefetched", "layer=sha256:%s why=\"%s\"", i->digest,
			 e.text);
	layer_unref(x->layer);
	start_unref(st);
	free(x);
}

/* With the lock: it is the first to come for this layer. */
static bool is_to_be_marked(struct start *st, const struct layer_info *i)
{
	if (!st->no_record || st->all->config.prefetch_max == 0 || map_get(st->marked, i->digest))
		return false;
	map_put(st->marked, i->digest, st);
	return i->prefetch_len > 0;
}

/* A layer is here, and perhaps it is known that there is no record. */
static void prefetch_landmark(struct start *st, struct layer *l)
{
	struct errand_landmark *x;
	bool wanted;

	lock_take(&st->all->lock);
	wanted = is_to_be_marked(st, layer_info(l));
	st->refs += wanted;
	lock_drop(&st->all->lock);
	if (!wanted)
		return;
	x = mem_new(struct errand_landmark);
	*x = (struct errand_landmark){.start = st, .layer = l};
	layer_ref(l);
	if (!pool_run(st->all->prefetchers, prefetch_marked, x))
		prefetch_marked(x);
}

/* ---- recording */

/* With the lock. What is read of a layer that was unpacked is not seen. */
static bool all_lazy(const struct start *st)
{
	const char *digest;
	size_t at = 0;
	void *seen;

	while (map_next(st->layers, &at, &digest, &seen)) {
		struct layer *l = layers_find_any(st->all->config.layers, digest);

		if (!l)
			return false;
		layer_unref(l);
	}
	return true;
}

/* What was noted, which is nobody else's from now on. False: it is not worth keeping, or not now.
 */
static bool take_record(struct start *st, struct start_record *out)
{
	lock_guard(&st->all->lock);
	if (st->state == ASKING && st->listed)
		timer_arm(&st->timer, ASK_AGAIN_MS);
	if (st->state != RECORDING)
		return false;
	set_state(st, KNOWN);
	*out = st->record;
	st->record = (struct start_record){0};
	return out->run_count > 0 && all_lazy(st);
}

static int import_record(const struct start *st, const struct start_record *r, struct err *e)
{
	char *name cleanup(free_at) = starts_record_name(st->manifest);
	unsigned char *file cleanup(free_at) = mem_alloc(START_RECORD_LEN);
	int fd cleanup(close_at) = open(st->all->dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_set(e, errno, "temporary file in %s", st->all->dir);
	start_record_write(r, st->manifest, file);
	if (pwrite(fd, file, START_RECORD_LEN, 0) != (ssize_t)START_RECORD_LEN)
		return err_set(e, errno ? errno : EIO, "write the record");
	return task_import(st->all->config.tasks, name, fd, e);
}

static void save(void *arg)
{
	struct start *st cleanup(start_unref_at) = arg;
	struct start_record record cleanup(start_record_release) = {0};
	struct start_record known cleanup(start_record_release) = {0};
	struct start_pack_place place = pack_place(st->all);
	struct err e;

	if (is_stopping(st->all) || !take_record(st, &record))
		return;
	/* Another node may have been sooner. */
	if (fetch_record(st, &known, &e) == 0)
		return;
	start_record_widen(&record);
	if (place.bytes_max > 0 && start_pack_make(&place, &record, &e) < 0 &&
	    !is_stopping(st->all))
		log_info("start is not packed", "manifest=sha256:%s why=\"%s\"", st->manifest,
			 e.text);
	if (import_record(st, &record, &e) == 0)
		log_info("start is recorded", "manifest=sha256:%s layers=%u runs=%u pack=%llu",
			 st->manifest, record.layer_count, record.run_count,
			 (unsigned long long)record.pack_len);
	else if (!is_stopping(st->all))
		log_warn("start is not recorded", "manifest=sha256:%s why=\"%s\"", st->manifest,
			 e.text);
}

static void on_time(struct timer *t)
{
	struct start *st = t->arg;

	lock_take(&st->all->lock);
	st->refs++;
	lock_drop(&st->all->lock);
	if (!pool_run(st->all->askers, save, st))
		start_unref(st);
}

/* Where many nodes start an image at once not all make its pack: who comes later finds a record. */
static int64_t record_for_ms(const struct start *st)
{
	uint64_t dice = (uint64_t)clock_us() ^ (uintptr_t)st;
	int64_t ms = st->all->config.record_ms;

	return ms + (int64_t)(random_next(&dice) % ((uint64_t)ms / 2 + 1));
}

/* With the lock. */
static void note_blocks(struct start *st, const char *digest, uint32_t first, uint32_t last,
			uint32_t count)
{
	uint64_t *seen = map_get(st->layers, digest);

	if (!seen)
		return;
	if (seen == &none_read) {
		seen = mem_array(count / 64 + 1, sizeof(*seen));
		map_put(st->layers, digest, seen);
	}
	for (uint32_t no = first; no <= last; no++) {
		if (!bit_get(seen, no) && start_record_add(&st->record, digest, no))
			bit_set(seen, no);
	}
	if (!st->timed) {
		st->timed = true;
		timer_arm(&st->timer, record_for_ms(st));
	}
}

void starts_note(struct starts *s, const struct layer *l, uint64_t off, uint32_t len)
{
	const struct layer_info *i = layer_info(l);
	uint64_t count = (i->len + LAYER_BLOCK_LEN - 1) / LAYER_BLOCK_LEN;
	uint64_t first = off / LAYER_BLOCK_LEN, last = (off + len - 1) / LAYER_BLOCK_LEN;
	const char *manifest;
	size_t at = 0;
	void *value;

	if (__atomic_load_n(&s->noting, __ATOMIC_RELAXED) == 0 || len == 0 || first >= count)
		return;
	if (last >= count)
		last = count - 1; /* what pads the layer is in no block */
	lock_guard(&s->lock);
	while (map_next(s->table, &at, &manifest, &value)) {
		struct start *st = value;

		if (st->state != KNOWN)
			note_blocks(st, i->digest, (uint32_t)first, (uint32_t)last,
				    (uint32_t)count);
	}
}

/* ---- asking */

/* Those that are here; the others come with get_index(). */
static void prefetch_landmarks(struct start *st)
{
	struct starts *s = st->all;
	char(*digests)[DIGEST_HEX_LEN + 1];
	const char *digest;
	size_t at = 0, count = 0;
	void *seen;

	lock_take(&s->lock);
	digests = mem_array(map_count(st->layers) + 1, sizeof(*digests));
	while (map_next(st->layers, &at, &digest, &seen))
		memcpy(digests[count++], digest, sizeof(*digests));
	lock_drop(&s->lock);
	for (size_t i = 0; i < count; i++) {
		struct layer *l cleanup(layer_unref_at) =
			layers_find_any(s->config.layers, digests[i]);

		if (l)
			prefetch_landmark(st, l);
	}
	free(digests);
}

static void ask(void *arg)
{
	struct start *st cleanup(start_unref_at) = arg;
	const struct starts_config *c = &st->all->config;
	struct start_record record = {0};
	struct err e;
	int r = fetch_record(st, &record, &e);

	if (r == 0 && c->prefetch_max > 0) {
		prefetch_by(st, &record);
		return;
	}
	start_record_release(&record);
	if (r < 0 && r != -ENOENT && !is_stopping(st->all))
		log_warn("record of a start is not fetched", "manifest=sha256:%s why=\"%s\"",
			 st->manifest, e.text);
	lock_take(&st->all->lock);
	if (st->state == ASKING)
		set_state(st, r == -ENOENT && c->record_ms > 0 ? RECORDING : KNOWN);
	st->no_record = r == -ENOENT;
	lock_drop(&st->all->lock);
	if (r == -ENOENT)
		prefetch_landmarks(st);
}

static void get_index(void *arg)
{
	struct errand_index *x = arg;
	struct layer *l cleanup(layer_unref_at) = NULL;
	struct err e;

	/* Whoever asks for the layer itself is told what is wrong. */
	if (get_layer(x->start, x->digest, &l, &e) == 0)
		prefetch_landmark(x->start, l);
	else
		log_debug("layer is not there ahead", "layer=sha256:%s why=\"%s\"", x->digest,
			  e.text);
	start_unref(x->start);
	free(x);
}

/* ---- the table */

static struct start *start_new(struct starts *s, const char *manifest, const char *image)
{
	struct start *st = mem_new(struct start);

	st->all = s;
	memcpy(st->manifest, manifest, sizeof(st->manifest));
	st->image = mem_strdup(image);
	st->began_ms = clock_ms();
	st->layers = map_new();
	st->marked = map_new();
	st->timer = (struct timer){.fire = on_time, .arg = st};
	st->state = ASKING;
	return st;
}

/* With the lock: takes it out of the table; its reference is the caller's. */
static struct start *unlist(struct starts *s, const char *manifest)
{
	struct start *st = map_remove(s->table, manifest);

	if (!st)
		return NULL;
	st->listed = false;
	set_state(st, KNOWN);
	return st;
}

static void let_go(struct start *st)
{
	if (!st)
		return;
	timer_cancel(&st->timer);
	start_unref(st);
}

/* With the lock: the one that gives way to a new one, or NULL. */
static struct start *oldest(struct starts *s)
{
	struct start *found = NULL;
	const char *manifest;
	size_t at = 0;
	void *value;

	if (map_count(s->table) < IMAGES_MAX)
		return NULL;
	while (map_next(s->table, &at, &manifest, &value)) {
		struct start *st = value;

		if (!found || st->began_ms < found->began_ms)
			found = st;
	}
	return found;
}

/* The start of this image, with a reference; *new_out: the cluster is to be asked. */
static struct start *find_or_make(struct starts *s, const char *manifest, const char *image,
				  bool *new_out)
{
	struct start *st, *old = NULL;

	lock_take(&s->lock);
	st = map_get(s->table, manifest);
	if (st && clock_ms() - st->began_ms > RENEW_MS) {
		old = unlist(s, manifest);
		st = NULL;
	} else if (!st && oldest(s)) {
		old = unlist(s, oldest(s)->manifest);
	}
	*new_out = !st;
	if (!st) {
		st = start_new(s, manifest, image);
		st->listed = true;
		st->refs = 1;
		map_put(s->table, manifest, st);
		__atomic_add_fetch(&s->noting, 1, __ATOMIC_RELAXED);
	}
	st->refs++;
	lock_drop(&s->lock);
	let_go(old);
	return st;
}

static void run(struct start *st, void (*job)(void *arg), void *arg)
{
	lock_take(&st->all->lock);
	st->refs++;
	lock_drop(&st->all->lock);
	if (pool_run(st->all->askers, job, arg))
		return;
	log_debug("too much is expected at once", "manifest=sha256:%s", st->manifest);
	start_unref(st);
	if (arg != st)
		free(arg);
}

/* True: it is new. */
static bool add_layer(struct start *st, const char *digest)
{
	lock_guard(&st->all->lock);
	if (map_get(st->layers, digest) || map_count(st->layers) >= START_RECORD_LAYERS_MAX)
		return false;
	map_put(st->layers, digest, &none_read);
	return true;
}

void starts_expect(struct starts *s, const char *manifest, const char *image, const char *digest)
{
	bool is_new;
	struct start *st cleanup(start_unref_at) = find_or_make(s, manifest, image, &is_new);

	if (is_new)
		run(st, ask, st);
	if (add_layer(st, digest)) {
		struct errand_index *x = mem_new(struct errand_index);

		x->start = st;
		memcpy(x->digest, digest, sizeof(x->digest));
		run(st, get_index, x);
	}
}

/* ---- life */

struct starts *starts_new(const struct starts_config *c)
{
	struct starts *s = mem_new(struct starts);

	s->config = *c;
	s->dir = mem_strdup(c->dir);
	lock_init(&s->lock, RANK_STARTS);
	s->table = map_new();
	s->askers = pool_new("starts", ASKERS, ASK_QUEUE);
	s->prefetchers = pool_new("prefetch", PREFETCHERS, IMAGES_MAX * PREFETCHERS);
	return s;
}

void starts_stop(struct starts *s)
{
	if (s)
		__atomic_store_n(&s->stopping, true, __ATOMIC_RELAXED);
}

static struct start *any(struct starts *s)
{
	const char *manifest;
	size_t at = 0;
	void *value;

	lock_guard(&s->lock);
	return map_next(s->table, &at, &manifest, &value) ? unlist(s, manifest) : NULL;
}

void starts_free(struct starts *s)
{
	struct start *st;

	if (!s)
		return;
	starts_stop(s);
	while ((st = any(s)))
		let_go(st);
	pool_free(s->askers);
	pool_free(s->prefetchers);
	map_free(s->table);
	lock_release(&s->lock);
	free(s->dir);
	free(s);
}
