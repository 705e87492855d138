#include "daemon/http_tree.h"

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "daemon/blob_lookup.h"
#include "daemon/mount_path.h"
#include "daemon/origin.h"
#include "daemon/reach.h"
#include "daemon/tasks.h"

#include <errno.h>
#include <string.h>

#define DIR_KEPT_MS 60000
#define DIRS_MAX    4096
#define NAME_SIZE   256 /* longer names are not listed: programs have no room for them */

struct http_tree {
	struct blobs *b;
	struct lock lock;
	struct map *dirs; /* path -> struct dir; under lock */
};

struct dir {
	int64_t until_ms;
};

static void dirs_clear(struct http_tree *t)
{
	const char *path;
	void *dir;

	for (size_t at = 0; map_next(t->dirs, &at, &path, &dir);)
		free(dir);
	map_free(t->dirs);
}

struct http_tree *http_tree_new(struct blobs *b)
{
	struct http_tree *t = mem_new(struct http_tree);

	t->b = b;
	lock_init(&t->lock, RANK_BLOBS);
	t->dirs = map_new();
	return t;
}

void http_tree_free(struct http_tree *t)
{
	dirs_clear(t);
	lock_release(&t->lock);
	free(t);
}

static bool is_known_dir(struct http_tree *t, const char *path)
{
	struct dir *dir;

	lock_guard(&t->lock);
	dir = map_get(t->dirs, path);
	return dir && clock_ms() < dir->until_ms;
}

static void remember_dir(struct http_tree *t, const char *path)
{
	struct dir *dir = mem_new(struct dir);

	dir->until_ms = clock_ms() + DIR_KEPT_MS;
	lock_guard(&t->lock);
	if (map_count(t->dirs) >= DIRS_MAX) {
		dirs_clear(t);
		t->dirs = map_new();
	}
	free(map_put(t->dirs, path, dir));
}

/* ---- what is here */

struct scan {
	const char *dir;
	fs_list_fn fn; /* NULL: only whether there is anything */
	void *arg;
	struct map *seen;
	bool found;
};

static void scan_task(const struct store_meta *m, uint32_t present, void *arg)
{
	struct scan *s = arg;
	cleanup(free_at) char *path = m->url ? mount_path_of_url(m->url) : NULL;
	char name[NAME_SIZE];
	const char *at;
	size_t len;

	(void)present;
	len = path ? mount_path_below(s->dir, path, &at) : 0;
	if (len == 0)
		return;
	s->found = true;
	if (!s->fn || len >= sizeof(name))
		return;
	memcpy(name, at, len);
	name[len] = 0;
	if (!map_put(s->seen, name, s))
		s->fn(s->arg, name, at[len] ? FS_DIR : FS_FILE);
}

void http_tree_list(struct blobs *b, const char *path, fs_list_fn fn, void *arg)
{
	struct scan s = {.dir = path, .fn = fn, .arg = arg, .seen = map_new()};

	tasks_each(b->tasks, scan_task, &s);
	map_free(s.seen);
}

static bool has_known_below(struct blobs *b, const char *path)
{
	struct scan s = {.dir = path};

	tasks_each(b->tasks, scan_task, &s);
	return s.found;
}

/* ---- lookups */

static void answer_dir(struct blob_lookup *l)
{
	remember_dir(l->b->http, l->path);
	blob_lookup_answer_dir(l);
}

static int probe(struct blob_lookup *l, const char *url, struct origin_probe *out, struct err *e)
{
	struct origin_request rq = {.url = url,
				    .deadline_ms = clock_ms() + l->b->timeout_ms,
				    .cancelled = &l->cancelled};
	int r = origin_probe(l->b->origin, &rq, out, e);

	if (r < 0)
		return r;
	if (out->status >= 500 || out->status == 429)
		return err_set(e, EHOSTUNREACH, "%s: HTTP %d", l->path, out->status);
	return 0;
}

static bool is_absent(const struct origin_probe *p)
{
	return p->status == 404 || p->status == 410;
}

/* The origin does not answer, and the cluster does not know the file. */
static void unknown_to_all(struct blob_lookup *l, const struct err *e)
{
	if (has_known_below(l->b, l->path))
		answer_dir(l);
	else
		blob_lookup_answer_error(l, e);
}

/* Something else than a file stands there, or nobody may see what. */
static void answer_refused(struct blob_lookup *l, const struct mount_path *p, int status)
{
	struct err e = {0};

	if (!p->only_file) {
		answer_dir(l);
		return;
	}
	if (status == 401 || status == 403)
		err_set(&e, EACCES, "%s: HTTP %d", l->path, status);
	else
		err_set(&e, EIO, "%s: HTTP %d", l->path, status);
	blob_lookup_answer_error(l, &e);
}

/* Nothing stands at the URL: is there something with '/' at its end? */
static void ask_for_folder(struct blob_lookup *l, const struct mount_path *p)
{
	cleanup(free_at) char *url = mem_printf("%s/", p->url);
	struct origin_probe found = {.status = 404};
	struct err e = {0};

	if (!p->only_file && probe(l, url, &found, &e) < 0) {
		unknown_to_all(l, &e);
	} else if (is_absent(&found)) {
		err_set(&e, ENOENT, "%s", l->path);
		blob_lookup_answer_error(l, &e);
	} else {
		answer_dir(l);
	}
}

/* On a worker. */
static void ask_origin(struct blob_lookup *l)
{
	cleanup(mount_path_release) struct mount_path p = {0};
	struct origin_probe found = {0};
	struct err e = {0};

	int r = mount_path_parse(l->path, &p, &e);

	if (r == 0)
		r = probe(l, p.url, &found, &e);
	if (r == -ECANCELED || !p.url)
		blob_lookup_answer_error(l, &e);
	else if (r < 0)
		blob_lookup_open(l, p.url, NULL, false, false, unknown_to_all);
	else if (found.folder)
		answer_dir(l);
	else if (is_absent(&found))
		ask_for_folder(l, &p);
	else if (found.status / 100 == 2 || found.status == 416)
		blob_lookup_open(l, p.url, NULL, false, false, NULL);
	else
		answer_refused(l, &p, found.status);
}

static void not_here(struct blob_lookup *l, const struct err *e)
{
	if (e->code == ENOENT)
		blob_lookup_work(l, ask_origin);
	else
		blob_lookup_answer_error(l, e);
}

void http_tree_lookup(struct blobs *b, const char *path, struct fs_lookup *ask)
{
	cleanup(mount_path_release) struct mount_path p = {0};
	struct blob_lookup *l = blob_lookup_new(b, path, ask);
	struct err e = {0};

	if (mount_path_parse(path, &p, &e) < 0 ||
	    reach_check(&b->allow_hosts, p.host, p.port, &e) < 0)
		blob_lookup_answer_error(l, &e);
	else if (!p.url || is_known_dir(b->http, path))
		blob_lookup_answer_dir(l);
	else
		blob_lookup_open(l, p.url, NULL, false, true, not_here);
}
