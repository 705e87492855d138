/* Directories and mounts of snapshots. Must not know: gRPC. */
#include "contrib/containerd/snapshots.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/dir.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "contrib/containerd/lazy.h"
#include "contrib/containerd/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEFTOVER "gone-"

/* What containerd says of a layer that it is about to unpack. */
#define LABEL_TARGET   "containerd.io/snapshot.ref"
#define LABEL_DIGEST   "containerd.io/snapshot/cri.layer-digest"
#define LABEL_IMAGE    "containerd.io/snapshot/cri.image-ref"
#define LABEL_MANIFEST "containerd.io/snapshot/cri.manifest-digest"
#define LABEL_LAYERS   "containerd.io/snapshot/cri.image-layers" /* as many as fit a label */

struct snapshots {
	char *dir; /* <root>/snapshots */
	struct state *state;
	struct lazy *lazy;
	struct pool *sweeper;
	bool index_off; /* overlayfs knows "index" and must not use it: lowers are shared */
};

void mount_plan_release(struct mount_plan *m)
{
	for (size_t i = 0; i < m->option_count; i++)
		free(m->options[i]);
	free(m->options);
	free(m->source);
	*m = (struct mount_plan){0};
}

static char *path_of(const struct snapshots *s, uint64_t id, const char *below)
{
	return mem_printf("%s/%llu%s", s->dir, (unsigned long long)id, below);
}

/* ---- directories */

static int make_one(const char *path, mode_t mode, struct err *e)
{
	/* The mode is the container's root directory's: the umask has no say in it. */
	if (mkdir(path, mode) < 0 || chmod(path, mode) < 0)
		return err_set(e, errno, "make %s", path);
	return 0;
}

/* The root directory of a container belongs to whom it belongs below. */
static int inherit_owner(const struct snapshots *s, uint64_t parent, const char *fs, struct err *e)
{
	char *below cleanup(free_at) = path_of(s, parent, "/fs");
	struct stat st;

	if (stat(below, &st) < 0)
		return err_set(e, errno, "%s", below);
	if (lchown(fs, st.st_uid, st.st_gid) < 0)
		return err_set(e, errno, "owner of %s", fs);
	return 0;
}

static int sync_dir(const char *path, struct err *e)
{
	int fd cleanup(close_at) = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return err_set(e, errno, "sync %s", path);
	return 0;
}

struct making {
	const struct snapshots *s;
	uint64_t parent; /* 0 = none */
};

static int make_dir(const struct snapshot *snap, void *arg, struct err *e)
{
	const struct making *m = arg;
	char *dir cleanup(free_at) = path_of(m->s, snap->id, "");
	char *fs cleanup(free_at) = path_of(m->s, snap->id, "/fs");
	char *work cleanup(free_at) = path_of(m->s, snap->id, "/work");
	/* An id whose transaction failed comes again. */
	int r = tree_remove(dir, e);

	if (r == 0)
		r = make_one(dir, 0700, e);
	if (r == 0)
		r = make_one(fs, 0755, e);
	if (r == 0 && snap->kind == SNAPSHOT_ACTIVE)
		r = make_one(work, 0711, e);
	if (r == 0 && m->parent)
		r = inherit_owner(m->s, m->parent, fs, e);
	return r < 0 ? r : sync_dir(m->s->dir, e);
}

/* ---- sweeping */

static void sweep_one(struct snapshots *s, uint64_t id)
{
	char *dir cleanup(free_at) = path_of(s, id, "");
	char *fs cleanup(free_at) = path_of(s, id, "/fs");
	struct err e;

	lazy_unmount(s->lazy, fs);
	if (tree_remove(dir, &e) < 0)
		log_warn("removed snapshot's directory stays for now", "snapshot=%llu why=\"%s\"",
			 (unsigned long long)id, e.text);
	else
		state_forget_removed(s->state, id);
}

/* Directories of rows that never became sure get a name that no row can come to have. Only before
 * anything else is done. */
static int set_leftovers_aside(struct snapshots *s, struct err *e)
{
	DIR *d cleanup(closedir_at) = opendir(s->dir);
	const struct dirent *entry;

	if (!d)
		return err_set(e, errno, "open %s", s->dir);
	while ((entry = readdir(d))) {
		char name[64], *end, *fs cleanup(free_at) = NULL;
		uint64_t id = strtoull(entry->d_name, &end, 10);

		if (*end || entry->d_name[0] == '.' || state_has(s->state, id))
			continue;
		fs = path_of(s, id, "/fs");
		lazy_unmount(s->lazy, fs);
		snprintf(name, sizeof(name), LEFTOVER "%llu-%lld", (unsigned long long)id,
			 (long long)clock_wall_ms());
		if (renameat(dirfd(d), entry->d_name, dirfd(d), name) < 0)
			return err_set(e, errno, "rename %s/%s", s->dir, entry->d_name);
		log_info("snapshot's leftover is removed", "snapshot=%llu", (unsigned long long)id);
	}
	return 0;
}

static void remove_leftovers(struct snapshots *s)
{
	DIR *d cleanup(closedir_at) = opendir(s->dir);
	const struct dirent *entry;

	while (d && (entry = readdir(d))) {
		char *path cleanup(free_at) = NULL;
		struct err e;

		if (strncmp(entry->d_name, LEFTOVER, strlen(LEFTOVER)) != 0)
			continue;
		path = mem_printf("%s/%s", s->dir, entry->d_name);
		if (tree_remove(path, &e) < 0)
			log_warn("leftover stays for now", "why=\"%s\"", e.text);
	}
}

/* A lazy layer is mounted as long as its snapshot is there, also after a reboot: the daemon removes
 * layers that nobody has mounted. */
static void keep_mounted(struct snapshots *s)
{
	struct snapshot *all = NULL;
	size_t count = 0;
	struct err e = {0};
	int r = state_all(s->state, NULL, &all, &count, &e);

	for (size_t i = 0; i < count && r != -EHOSTUNREACH; i++) {
		char *fs cleanup(free_at) = path_of(s, all[i].id, "/fs");

		if (all[i].lazy[0])
			r = lazy_keep(s->lazy, fs, all[i].lazy, &e);
	}
	/* The next sweep tries again, and so does whoever needs it. */
	if (e.code)
		log_info("lazy layers are not all mounted yet", "why=\"%s\"", e.text);
	for (size_t i = 0; i < count; i++)
		snapshot_release(&all[i]);
	free(all);
}

static void sweep(void *arg)
{
	struct snapshots *s = arg;
	uint64_t *ids cleanup(free_at) = NULL;
	size_t count = 0;
	struct err e;

	remove_leftovers(s);
	if (state_removed(s->state, &ids, &count, &e) < 0) {
		log_warn("removed snapshots are not known", "why=\"%s\"", e.text);
		return;
	}
	for (size_t i = 0; i < count; i++)
		sweep_one(s, ids[i]);
	keep_mounted(s);
}

void snapshots_sweep(struct snapshots *s)
{
	/* One that is queued already sees all that was removed before it begins. */
	if (!pool_run(s->sweeper, sweep, s))
		log_debug("a sweep is queued already", NULL);
}

/* ---- opening */

static void snapshots_close_at(struct snapshots **s)
{
	snapshots_close(*s);
}

int snapshots_open(const char *root, struct lazy *lazy, struct snapshots **out, struct err *e)
{
	struct snapshots *s cleanup(snapshots_close_at) = mem_new(struct snapshots);
	char *database cleanup(free_at) = mem_printf("%s/metadata.db", root);
	int r = dir_make(root, 0700, e);

	s->lazy = lazy;
	s->dir = mem_printf("%s/snapshots", root);
	s->index_off = access("/sys/module/overlay/parameters/index", F_OK) == 0;
	if (r == 0)
		r = dir_make(s->dir, 0700, e);
	if (r == 0)
		r = state_open(database, &s->state, e);
	if (r == 0)
		r = set_leftovers_aside(s, e);
	if (r < 0)
		return r;
	s->sweeper = pool_new("sweeper", 1, 1);
	snapshots_sweep(s);
	*out = take_ptr(&s);
	return 0;
}

void snapshots_close(struct snapshots *s)
{
	if (!s)
		return;
	pool_free(s->sweeper);
	state_close(s->state);
	free(s->dir);
	free(s);
}

struct state *snapshots_state(struct snapshots *s)
{
	return s->state;
}

/* ---- mounts */

static void add_option(struct mount_plan *m, char *owned)
{
	m->options = mem_realloc(m->options, (m->option_count + 1) * sizeof(*m->options));
	m->options[m->option_count++] = owned;
}

static void plan_bind(const struct snapshots *s, uint64_t id, bool writable, struct mount_plan *out)
{
	*out = (struct mount_plan){.type = "bind", .source = path_of(s, id, "/fs")};
	add_option(out, mem_strdup(writable ? "rw" : "ro"));
	add_option(out, mem_strdup("rbind"));
}

/* chain: the snapshot itself, then its parents. */
static void plan(const struct snapshots *s, enum snapshot_kind kind,
		 const struct snapshot_chain *chain, struct mount_plan *out)
{
	bool writable = kind == SNAPSHOT_ACTIVE;
	struct buf lower cleanup(buf_release) = BUF_INIT(0);
	uint64_t id = chain->items[0].id;

	if (chain->count == 1 || (chain->count == 2 && !writable)) {
		plan_bind(s, chain->items[chain->count - 1].id, writable, out);
		return;
	}
	*out = (struct mount_plan){.type = "overlay", .source = mem_strdup("overlay")};
	if (s->index_off)
		add_option(out, mem_strdup("index=off"));
	if (writable) {
		char *work cleanup(free_at) = path_of(s, id, "/work");
		char *upper cleanup(free_at) = path_of(s, id, "/fs");

		add_option(out, mem_printf("workdir=%s", work));
		add_option(out, mem_printf("upperdir=%s", upper));
	}
	for (size_t i = 1; i < chain->count; i++) {
		char *fs cleanup(free_at) = path_of(s, chain->items[i].id, "/fs");

		buf_printf(&lower, "%s%s", i == 1 ? "lowerdir=" : ":", fs);
	}
	add_option(out, buf_take(&lower));
}

/* The lazy layers of the chain are mounted afterwards. */
static int mount_chain(struct snapshots *s, const struct snapshot_chain *chain, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < chain->count && r == 0; i++) {
		char *fs cleanup(free_at) = path_of(s, chain->items[i].id, "/fs");

		if (chain->items[i].lazy[0])
			r = lazy_mount(s->lazy, fs, chain->items[i].lazy, e);
	}
	return r;
}

static int plan_of(struct snapshots *s, const struct snapshot *snap, struct mount_plan *out,
		   struct err *e)
{
	struct snapshot_chain chain cleanup(snapshot_chain_release) = {0};
	int r;

	if (snap->kind == SNAPSHOT_COMMITTED)
		return err_set(e, EINVAL, "snapshot %s is committed: no mounts of its own",
			       snap->name);
	r = state_chain(s->state, snap->name, &chain, e);
	if (r == 0)
		r = mount_chain(s, &chain, e);
	if (r < 0)
		return r;
	plan(s, snap->kind, &chain, out);
	return 0;
}

/* The parent's row and its mounts; nothing for "". */
static int look_below(struct snapshots *s, const char *parent, struct snapshot *out, struct err *e)
{
	struct snapshot_chain chain cleanup(snapshot_chain_release) = {0};
	int r;

	if (!parent[0])
		return 0;
	r = state_get(s->state, parent, out, e);
	if (r == 0)
		r = state_chain(s->state, parent, &chain, e);
	return r < 0 ? r : mount_chain(s, &chain, e);
}

/* ---- lazy layers */

/* "<namespace>/<number>/sha256:<hex>" -> "sha256:<hex>": containerd calls a layer by its chain. */
static const char *chain_of(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash ? slash + 1 : name;
}

/* Is it what containerd asks for, and can it be shown as an unpacker would leave it? */
static int check_layer(const struct snapshot *snap, const struct lazy_layer *l, struct err *e)
{
	const char *chain = labels_get(&snap->labels, LABEL_TARGET);
	const char *below = snap->parent[0] ? chain_of(snap->parent) : NULL;

	if (!lazy_is_chain(chain, below, l->diff_id))
		return err_set(e, EBADMSG, "%s is not the layer of %s", l->diff_id, chain);
	if (below && l->implied_dirs > 0)
		return err_set(e, ENOSYS, "%u directories have no entry of their own",
			       l->implied_dirs);
	return 0;
}

/* A committed snapshot under the name that a commit would have given it. */
static int create_lazy(struct snapshots *s, const struct snapshot *snap, const struct lazy_layer *l,
		       uint64_t *id_out, char **name_out, struct err *e)
{
	const char *chain = labels_get(&snap->labels, LABEL_TARGET);
	const char *first = strchr(snap->name, '/');
	const char *second = first ? strchr(first + 1, '/') : NULL;
	size_t prefix = second ? (size_t)(second + 1 - snap->name) : 0;
	struct snapshot layer = {.parent = snap->parent,
				 .kind = SNAPSHOT_COMMITTED,
				 .size = l->size,
				 .inodes = l->inodes,
				 .labels = snap->labels,
				 .lazy = l->layer};
	int r;

	*name_out = mem_printf("%.*s%s", (int)prefix, snap->name, chain);
	layer.name = *name_out;
	r = state_create(s->state, &layer, NULL, NULL, e);
	*id_out = layer.id;
	return r;
}

/* 1: the snapshot is there now. 0: it has to be unpacked; the reason is in the log. */
static int try_lazy(struct snapshots *s, const struct snapshot *snap)
{
	const char *digest = labels_get(&snap->labels, LABEL_DIGEST);
	const struct lazy_question q = {.digest = digest,
					.image = labels_get(&snap->labels, LABEL_IMAGE),
					.manifest = labels_get(&snap->labels, LABEL_MANIFEST),
					.layers = labels_get(&snap->labels, LABEL_LAYERS)};
	struct lazy_layer l cleanup(lazy_layer_release) = {0};
	char *name cleanup(free_at) = NULL;
	struct err e, ignored;
	uint64_t id = 0;
	int r;

	if (!digest || !labels_get(&snap->labels, LABEL_TARGET))
		return 0;
	r = lazy_ask(s->lazy, &q, &l, &e);
	if (r == 0)
		r = check_layer(snap, &l, &e);
	if (r == 0)
		r = create_lazy(s, snap, &l, &id, &name, &e);
	if (r == 0) {
		char *fs cleanup(free_at) = path_of(s, id, "/fs");

		r = lazy_show(s->lazy, fs, &l, &e);
		if (r < 0 && snapshots_remove(s, name, &ignored) < 0)
			log_warn("snapshot stays behind", "why=\"%s\"", ignored.text);
	}
	log_info(r < 0 ? "layer is unpacked" : "layer is lazy", "layer=%s snapshot=%llu why=\"%s\"",
		 digest, (unsigned long long)id, r < 0 ? e.text : "");
	return r == 0;
}

int snapshots_prepare(struct snapshots *s, struct snapshot *snap, struct mount_plan *out,
		      struct err *e)
{
	struct snapshot parent cleanup(snapshot_release) = {0};
	struct making m = {.s = s};
	int r;

	if (snap->kind == SNAPSHOT_ACTIVE && try_lazy(s, snap))
		return err_set(e, EEXIST, "layer of %s", snap->name);
	/* Only what is unpacked needs to see what is below. */
	r = look_below(s, snap->parent, &parent, e);
	if (r < 0)
		return r;
	m.parent = parent.id;
	snap->size = snap->inodes = -1;
	r = state_create(s->state, snap, make_dir, &m, e);
	return r < 0 ? r : plan_of(s, snap, out, e);
}

int snapshots_mounts(struct snapshots *s, const char *key, struct mount_plan *out, struct err *e)
{
	struct snapshot snap cleanup(snapshot_release) = {0};
	int r = state_get(s->state, key, &snap, e);

	return r < 0 ? r : plan_of(s, &snap, out, e);
}

/* ---- the rest */

int snapshots_remove(struct snapshots *s, const char *key, struct err *e)
{
	uint64_t id;
	int r = state_remove(s->state, key, &id, e);

	if (r == 0)
		snapshots_sweep(s);
	return r;
}

int snapshots_usage(struct snapshots *s, const char *key, int64_t *size_out, int64_t *inodes_out,
		    struct err *e)
{
	struct snapshot snap cleanup(snapshot_release) = {0};
	int r = state_get(s->state, key, &snap, e);

	if (r < 0)
		return r;
	if (snap.kind == SNAPSHOT_COMMITTED && snap.size >= 0) {
		*size_out = snap.size;
		*inodes_out = snap.inodes;
		return 0;
	}
	char *fs cleanup(free_at) = path_of(s, snap.id, "/fs");
	r = tree_usage(fs, size_out, inodes_out, e);
	if (r == 0 && snap.kind == SNAPSHOT_COMMITTED)
		state_set_usage(s->state, snap.id, *size_out, *inodes_out);
	return r;
}
