/* The table of lazy layers, and the background that completes them. */
#include "daemon/layers.h"

#include "base/clock.h"
#include "base/dir.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/pool.h"
#include "daemon/layer_install.h"
#include "daemon/layer_toc.h"
#include "daemon/registry_base.h"
#include "daemon/store.h"
#include "daemon/task_wait.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RANK_LAYERS	   8
#define OPEN_TIMEOUT_MS	   5000
#define FETCH_TIMEOUT_MS   15000
#define COMPLETE_WITHIN_MS (INT64_C(24) * 3600 * 1000)
#define QUIET_TIMES_MAX	   12
#define COMPLETERS	   2
#define COMPLETE_QUEUE	   4096
#define FROM_MAX	   1024
#define REFUSED_MAX	   1024

struct layers {
	/* constant */
	struct layers_config config;
	char *dir;
	struct layer_place place;
	struct pool *completers;
	bool stopping;	 /* atomic */
	int64_t read_ms; /* atomic: when a reader last came, to any of them */

	struct lock lock; /* all below */
	struct cond changed;
	struct map *by_id;   /* a reference each */
	struct map *by_diff; /* those of them that are laid out as their tar, borrowed */
	struct map *making;  /* ids that somebody fetches or makes the index of */
	struct map *refused; /* ids of layers whose own table cannot be used */
};

char *layers_index_name(const char *digest)
{
	return mem_printf(TASK_OWN_NAMES "layer-index/2/sha256:%s", digest);
}

static char *path_of(const struct layers *ls, const char *digest, const char *ending)
{
	return mem_printf("%s/%s.%s", ls->dir, digest, ending);
}

/* ---- where it comes from */

static void note_source(struct layers *ls, const char *digest, const char *image)
{
	char *registry cleanup(free_at) = NULL;
	char *repository cleanup(free_at) = NULL;
	char *base cleanup(free_at) = NULL;
	struct err e;

	if (!registry_split_image(image, &registry, &repository))
		return;
	if (registry_base(registry, ls->config.plain_http, &base, &e) < 0)
		log_warn("image's registry is no host", "image=%s why=\"%s\"", image, e.text);
	else
		task_note_source(ls->config.tasks, digest, base, repository, NULL);
}

/* So that it is known after a restart. */
static int keep_source(struct layers *ls, const char *digest, const char *image, struct err *e)
{
	char *path cleanup(free_at) = path_of(ls, digest, "from");
	FILE *f cleanup(fclose_at) = NULL;

	if (!image || strlen(image) >= FROM_MAX)
		return 0;
	f = fopen(path, "we");
	if (!f || fprintf(f, "%s\n", image) < 0 || fflush(f) != 0)
		return err_set(e, errno, "write %s", path);
	return 0;
}

static void recall_source(struct layers *ls, const struct layer *l)
{
	char *path cleanup(free_at) = path_of(ls, layer_info(l)->id, "from");
	FILE *f cleanup(fclose_at) = fopen(path, "re");
	char image[FROM_MAX + 2];

	if (!f || !fgets(image, sizeof(image), f))
		return;
	image[strcspn(image, "\n")] = '\0';
	note_source(ls, layer_info(l)->digest, image);
}

/* ---- completing */

struct completion {
	struct layers *layers;
	struct layer *layer;
	int64_t came_ms;
};

static bool is_stopping(const struct layers *ls)
{
	return __atomic_load_n(&ls->stopping, __ATOMIC_RELAXED);
}

/* Until nobody has read a lazy layer for a while, of whatever image: what a start needs comes
 * first, and while all it asks for is here already it reads on all the same. Not for ever: where
 * containers start all the time, layers are completed, too. */
static void wait_for_quiet(struct layers *ls, int64_t came_ms)
{
	int64_t until = came_ms + QUIET_TIMES_MAX * ls->config.quiet_ms;

	lock_guard(&ls->lock);
	while (!is_stopping(ls)) {
		int64_t last = __atomic_load_n(&ls->read_ms, __ATOMIC_RELAXED);
		int64_t quiet_at = (last > came_ms ? last : came_ms) + ls->config.quiet_ms;

		if (quiet_at > until)
			quiet_at = until;
		if (clock_ms() >= quiet_at)
			return;
		cond_wait_until(&ls->changed, &ls->lock, quiet_at);
	}
}

static void complete(void *arg)
{
	struct completion *c = arg;
	struct layers *ls = c->layers;
	struct err e;

	wait_for_quiet(ls, c->came_ms);
	if (!is_stopping(ls)) {
		if (layer_complete(c->layer, &e) == 0)
			log_info("layer is complete", "layer=sha256:%s",
				 layer_info(c->layer)->digest);
		else if (e.code != ECANCELED && e.code != ESTALE)
			log_warn("layer is not completed", "layer=sha256:%s why=\"%s\"",
				 layer_info(c->layer)->digest, e.text);
	}
	layer_unref(c->layer);
	free(c);
}

static void complete_later(struct layers *ls, struct layer *l)
{
	struct completion *c;

	if (layer_is_complete(l))
		return;
	c = mem_new(struct completion);
	*c = (struct completion){.layers = ls, .layer = l, .came_ms = clock_ms()};
	layer_ref(l);
	if (pool_run(ls->completers, complete, c))
		return;
	log_warn("too many layers to complete: one is left as it is", "layer=sha256:%s",
		 layer_info(l)->digest);
	layer_unref(l);
	free(c);
}

/* ---- the table */

/* Takes the reference over. */
static void insert(struct layers *ls, struct layer *l)
{
	struct layer *old;

	lock_take(&ls->lock);
	old = map_put(ls->by_id, layer_info(l)->id, l);
	if (!layer_info(l)->toc_digest[0])
		map_put(ls->by_diff, layer_info(l)->diff_id, l);
	lock_drop(&ls->lock);
	layer_unref_at(&old);
}

static struct layer *find(struct layers *ls, struct map *map, const char *key)
{
	struct layer *l;

	lock_guard(&ls->lock);
	l = map_get(map, key);
	if (l)
		layer_ref(l);
	return l;
}

/* Out of both maps, with the lock. Another layer may have the same content. */
static void take_out(struct layers *ls, struct layer *l)
{
	const char *diff_id = layer_info(l)->diff_id, *digest;
	size_t at = 0;
	void *value;

	map_remove(ls->by_id, layer_info(l)->id);
	if (map_get(ls->by_diff, diff_id) != l)
		return;
	map_remove(ls->by_diff, diff_id);
	while (map_next(ls->by_id, &at, &digest, &value)) {
		if (strcmp(layer_info(value)->diff_id, diff_id) == 0 &&
		    !layer_info(value)->toc_digest[0])
			map_put(ls->by_diff, diff_id, value);
	}
}

bool layers_has(struct layers *ls, const char *id)
{
	lock_guard(&ls->lock);
	return map_get(ls->by_id, id) != NULL;
}

struct layer *layers_find_any(struct layers *ls, const char *digest)
{
	const char *id;
	size_t at = 0;
	void *value;

	lock_guard(&ls->lock);
	while (map_next(ls->by_id, &at, &id, &value)) {
		if (strcmp(layer_info(value)->digest, digest) == 0) {
			layer_ref(value);
			return value;
		}
	}
	return NULL;
}

struct layer *layers_find(struct layers *ls, const char *id)
{
	return find(ls, ls->by_id, id);
}

struct layer *layers_find_diff(struct layers *ls, const char *diff_id)
{
	return find(ls, ls->by_diff, diff_id);
}

static void each_key(struct layers *ls, const struct map *map, void (*fn)(void *arg, const char *),
		     void *arg)
{
	const char *key;
	size_t at = 0;
	void *value;

	lock_guard(&ls->lock);
	while (map_next(map, &at, &key, &value))
		fn(arg, key);
}

void layers_each_diff(struct layers *ls, void (*fn)(void *arg, const char *diff_id), void *arg)
{
	each_key(ls, ls->by_diff, fn, arg);
}

void layers_each_id(struct layers *ls, void (*fn)(void *arg, const char *id), void *arg)
{
	each_key(ls, ls->by_id, fn, arg);
}

void layers_each_toc(struct layers *ls, void (*fn)(void *arg, const char *id), void *arg)
{
	const char *id;
	size_t at = 0;
	void *value;

	lock_guard(&ls->lock);
	while (map_next(ls->by_id, &at, &id, &value)) {
		if (layer_info(value)->toc_digest[0])
			fn(arg, id);
	}
}

/* ---- a layer comes here */

void layers_forget_index(struct tasks *ts, const struct task *t, const char *digest,
			 const struct err *why)
{
	struct err ignored;

	log_warn("layer's index is broken and forgotten", "layer=sha256:%s why=\"%s\"", digest,
		 why->text);
	if (task_delete(ts, task_meta(t)->id, &ignored) < 0)
		log_debug("index has gone already", "why=\"%s\"", ignored.text);
}

static int fetch_index(struct layers *ls, const char *digest, struct err *e)
{
	char *name cleanup(free_at) = layers_index_name(digest);
	const struct task_request rq = {.content_for_id = name,
					.disable_back_to_source = true,
					.timeout_ms = OPEN_TIMEOUT_MS};
	const struct task_wait wait = {.deadline_ms = clock_ms() + FETCH_TIMEOUT_MS,
				       .stopping = &ls->stopping};
	struct task *t;
	int fd, r = task_open_wait(ls->config.tasks, &rq, &t, e);

	if (r == -EHOSTUNREACH)
		return err_set(e, ENOENT, "no index of layer sha256:%s is known", digest);
	if (r < 0)
		return r;
	r = task_wait_complete(t, TASK_URGENT, &wait, &fd, e);
	if (r == 0)
		r = layer_install(ls->dir, digest, fd, ls->config.span_len_max, e);
	if (r == -EBADMSG)
		layers_forget_index(ls->config.tasks, t, digest, e);
	task_unref(t);
	return r;
}

/* True: the caller makes it, and says so by making_end(). False: another did meanwhile. */
static bool making_begin(struct layers *ls, const char *digest)
{
	lock_guard(&ls->lock);
	if (!map_get(ls->making, digest)) {
		map_put(ls->making, digest, ls);
		return true;
	}
	while (map_get(ls->making, digest))
		cond_wait(&ls->changed, &ls->lock);
	return false;
}

static void making_end(struct layers *ls, const char *digest)
{
	lock_guard(&ls->lock);
	map_remove(ls->making, digest);
	cond_wake_all(&ls->changed);
}

/* Whatever was wrong would be wrong again; who mends it says so by removing the file. */
static int check_not_broken(const struct layers *ls, const char *digest, struct err *e)
{
	char *path cleanup(free_at) = path_of(ls, digest, "broken");

	if (access(path, F_OK) < 0)
		return 0;
	return err_set(e, EBADMSG, "layer was broken here; remove %s to try it again", path);
}

/* A layer that is not here. */
struct coming {
	const char *id; /* what it will be called */
	const struct layer_wish *wish;
	const struct vouched *by; /* whose table it is made of; NULL = the cluster has an index */
};

static int build_index(struct layers *ls, const struct coming *c, struct err *e)
{
	int fd cleanup(close_at) = open(ls->dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return err_set(e, errno, "temporary file in %s", ls->dir);
	r = layer_toc_build(ls->config.tasks, c->by, ls->dir, &ls->stopping, fd, e);
	return r < 0 ? r : layer_install(ls->dir, c->id, fd, ls->config.span_len_max, e);
}

static int make(struct layers *ls, const struct coming *c, struct err *e)
{
	struct layer *l;
	int r = check_not_broken(ls, c->id, e);

	if (r == 0)
		r = c->by ? build_index(ls, c, e) : fetch_index(ls, c->id, e);
	if (r == 0)
		r = keep_source(ls, c->id, c->wish->image, e);
	if (r == 0)
		r = layer_open(&ls->place, c->id, &l, e);
	if (r < 0)
		return r;
	log_info("layer is lazy", "layer=sha256:%s bytes=%llu diff_id=sha256:%s by=%s",
		 layer_info(l)->digest, (unsigned long long)layer_info(l)->len,
		 layer_info(l)->diff_id, c->by ? "table" : "index");
	insert(ls, l);
	complete_later(ls, l);
	return 0;
}

/* find(), as one who wants it. */
static struct layer *want(struct layers *ls, const char *digest)
{
	struct layer *l;

	lock_guard(&ls->lock);
	l = map_get(ls->by_id, digest);
	if (!l)
		return NULL;
	/* Under the lock: whoever would remove it looks once more, there. */
	layer_touch(l);
	layer_ref(l);
	return l;
}

static int get(struct layers *ls, const struct coming *c, struct layer **out, struct err *e)
{
	int r = 0;

	*out = want(ls, c->id);
	/* Twice: another who was there first may have removed it. */
	for (int i = 0; i < 2 && r == 0 && !*out; i++) {
		bool mine = making_begin(ls, c->id);

		*out = want(ls, c->id);
		if (!mine)
			continue;
		if (!*out)
			r = make(ls, c, e);
		making_end(ls, c->id);
		if (r == 0 && !*out)
			*out = want(ls, c->id);
	}
	if (r == 0 && !*out)
		r = err_set(e, ENOENT, "no index of layer sha256:%s is known", c->wish->digest);
	if (r == 0 && layer_is_broken(*out)) {
		layer_unref_at(out);
		r = err_set(e, EBADMSG, "layer sha256:%s is broken", c->wish->digest);
	}
	return r;
}

/* What was wrong with a table would be wrong again. */
static bool is_refused(struct layers *ls, const char *id)
{
	lock_guard(&ls->lock);
	return map_get(ls->refused, id) != NULL;
}

/* False: it was already. */
static bool refuse(struct layers *ls, const char *id)
{
	lock_guard(&ls->lock);
	if (map_count(ls->refused) >= REFUSED_MAX) {
		map_free(ls->refused);
		ls->refused = map_new();
	}
	return !map_put(ls->refused, id, ls);
}

/* By its own table of contents. False: it is a layer like any other. */
static bool get_by_toc(struct layers *ls, const struct layer_wish *w, struct layer **out)
{
	char id[DIGEST_HEX_LEN + 1];
	struct vouched v;
	const struct coming c = {.id = id, .wish = w, .by = &v};
	struct err e;

	if (!ls->config.vouch || !w->manifest || !w->image ||
	    ls->config.vouch(ls->config.arg, w, &v, &e) < 0)
		return false;
	index_toc_id(v.digest, v.toc_digest, v.diff_id, id);
	if (is_refused(ls, id))
		return false;
	if (get(ls, &c, out, &e) == 0)
		return true;
	if (e.code == ENOTSUP || e.code == EBADMSG || e.code == E2BIG) {
		if (refuse(ls, id))
			log_warn("layer's own table of contents is refused",
				 "layer=sha256:%s why=\"%s\"", w->digest, e.text);
	} else {
		log_info("layer's own table of contents is not used", "layer=sha256:%s why=\"%s\"",
			 w->digest, e.text);
	}
	return false;
}

int layers_get(struct layers *ls, const struct layer_wish *w, struct layer **out, struct err *e)
{
	const struct coming c = {.id = w->digest, .wish = w};

	if (w->image)
		note_source(ls, w->digest, w->image);
	/* Where it is here already nobody has to be asked. */
	if (!layers_has(ls, w->digest) && get_by_toc(ls, w, out))
		return 0;
	return get(ls, &c, out, e);
}

/* ---- room */

struct candidate {
	struct layer *layer; /* a reference */
	int64_t used_ms;
};

static struct candidate *list_all(struct layers *ls, size_t *count_out)
{
	struct candidate *all;
	const char *digest;
	size_t at = 0;
	void *value;

	lock_guard(&ls->lock);
	all = mem_array(map_count(ls->by_id) + 1, sizeof(*all));
	for (*count_out = 0; map_next(ls->by_id, &at, &digest, &value); (*count_out)++) {
		all[*count_out].layer = value;
		layer_ref(value);
	}
	return all;
}

static void unref_all(struct candidate *all, size_t count)
{
	for (size_t i = 0; i < count; i++)
		layer_unref(all[i].layer);
	free(all);
}

uint64_t layers_bytes(struct layers *ls)
{
	size_t count;
	struct candidate *all = list_all(ls, &count);
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += layer_bytes(all[i].layer);
	unref_all(all, count);
	return sum;
}

static int by_use(const void *a, const void *b)
{
	int64_t x = ((const struct candidate *)a)->used_ms;
	int64_t y = ((const struct candidate *)b)->used_ms;

	return (x > y) - (x < y);
}

static bool is_spared(const struct layers *ls, const struct layer *l)
{
	return clock_wall_ms() - layer_used_ms(l) < ls->config.spare_ms;
}

/* Out of the table, unless somebody wants it or makes it; nobody will before making_end(). */
static bool removing_begin(struct layers *ls, struct layer *l)
{
	const char *id = layer_info(l)->id;

	lock_guard(&ls->lock);
	if (map_get(ls->making, id) || map_get(ls->by_id, id) != l || is_spared(ls, l))
		return false;
	take_out(ls, l);
	map_put(ls->making, id, ls);
	return true;
}

static bool remove_one(struct layers *ls, struct layer *l)
{
	bool gone;

	if (!removing_begin(ls, l))
		return false;
	gone = layer_remove(l);
	if (gone)
		layer_unref(l); /* the table's */
	else
		insert(ls, l);
	making_end(ls, layer_info(l)->id);
	return gone;
}

uint64_t layers_gc(struct layers *ls, uint64_t bytes)
{
	size_t count, gone = 0;
	struct candidate *all = list_all(ls, &count);
	int64_t now = clock_wall_ms();
	uint64_t freed = 0;

	for (size_t i = 0; i < count; i++) {
		bool used = layer_is_in_use(all[i].layer);

		all[i].used_ms = used ? now : layer_used_ms(all[i].layer);
	}
	qsort(all, count, sizeof(*all), by_use);
	for (size_t i = 0; i < count; i++) {
		bool old = ls->config.ttl_ms && now - all[i].used_ms > ls->config.ttl_ms;
		uint64_t size = layer_bytes(all[i].layer);

		if ((freed < bytes || old) && remove_one(ls, all[i].layer)) {
			freed += size;
			gone++;
		}
	}
	unref_all(all, count);
	if (gone)
		log_info("lazy layers removed", "count=%zu bytes=%llu", gone,
			 (unsigned long long)freed);
	return freed;
}

static bool make_room(void *arg, uint64_t need)
{
	struct layers *ls = arg;

	return layers_gc(ls, need) > 0 ||
	       (ls->config.store && store_make_disk_room(ls->config.store, need));
}

/* ---- life */

static void open_one(struct layers *ls, int dir_fd, const char *name)
{
	char digest[DIGEST_HEX_LEN + 1];
	struct layer *l;
	struct err e;

	if (strlen(name) != DIGEST_HEX_LEN + 4 || strcmp(name + DIGEST_HEX_LEN, ".idx") != 0)
		return;
	memcpy(digest, name, DIGEST_HEX_LEN);
	digest[DIGEST_HEX_LEN] = '\0';
	if (!digest_is_hex64(digest))
		return;
	if (layer_open(&ls->place, digest, &l, &e) < 0) {
		log_warn("layer on disk is left out", "layer=sha256:%s why=\"%s\"", digest, e.text);
		/* It cannot become one again; then the rest is a stray. */
		if (e.code == EBADMSG)
			unlinkat(dir_fd, name, 0);
		return;
	}
	recall_source(ls, l);
	insert(ls, l);
	complete_later(ls, l);
}

/* A file without the index that makes it part of a layer: of a crash, or of a layer that turned out
 * broken, whose mark stays. */
static void remove_if_stray(int dir_fd, const char *name)
{
	char idx[DIGEST_HEX_LEN + 5];
	const char *ending = name + DIGEST_HEX_LEN;

	if (strlen(name) <= DIGEST_HEX_LEN || *ending != '.' || strcmp(ending, ".broken") == 0)
		return;
	snprintf(idx, sizeof(idx), "%.64s.idx", name);
	idx[DIGEST_HEX_LEN] = '\0';
	if (!digest_is_hex64(idx))
		return;
	idx[DIGEST_HEX_LEN] = '.';
	if (!strstr(ending, ".tmp") && faccessat(dir_fd, idx, F_OK, 0) == 0)
		return;
	if (unlinkat(dir_fd, name, 0) == 0)
		log_info("stray file of a lazy layer removed", "name=%s", name);
}

static int open_all(struct layers *ls, struct err *e)
{
	DIR *d cleanup(closedir_at) = opendir(ls->dir);
	const struct dirent *entry;

	if (!d)
		return err_set(e, errno, "open %s", ls->dir);
	while ((entry = readdir(d)))
		open_one(ls, dirfd(d), entry->d_name);
	rewinddir(d);
	while ((entry = readdir(d)))
		remove_if_stray(dirfd(d), entry->d_name);
	return 0;
}

int layers_new(const struct layers_config *c, struct layers **out, struct err *e)
{
	struct layers *ls = mem_new(struct layers);
	int r;

	ls->config = *c;
	ls->dir = mem_strdup(c->dir);
	ls->place = (struct layer_place){.tasks = c->tasks,
					 .dir = ls->dir,
					 .stopping = &ls->stopping,
					 .read_ms = &ls->read_ms,
					 .complete_within_ms = COMPLETE_WITHIN_MS,
					 .make_room = make_room,
					 .arg = ls};
	lock_init(&ls->lock, RANK_LAYERS);
	cond_init(&ls->changed);
	ls->by_id = map_new();
	ls->by_diff = map_new();
	ls->making = map_new();
	ls->refused = map_new();
	ls->completers = pool_new("layers", COMPLETERS, COMPLETE_QUEUE);
	r = dir_make(ls->dir, 0700, e);
	if (r == 0)
		r = open_all(ls, e);
	if (r < 0) {
		layers_free(ls);
		return r;
	}
	*out = ls;
	return 0;
}

void layers_stop(struct layers *ls)
{
	if (!ls)
		return;
	__atomic_store_n(&ls->stopping, true, __ATOMIC_RELAXED);
	lock_guard(&ls->lock);
	cond_wake_all(&ls->changed);
}

void layers_free(struct layers *ls)
{
	const char *digest;
	size_t at = 0;
	void *value;

	if (!ls)
		return;
	layers_stop(ls);
	pool_free(ls->completers);
	while (map_next(ls->by_id, &at, &digest, &value))
		layer_unref(value);
	map_free(ls->by_id);
	map_free(ls->by_diff);
	map_free(ls->making);
	map_free(ls->refused);
	cond_release(&ls->changed);
	lock_release(&ls->lock);
	free(ls->dir);
	free(ls);
}
