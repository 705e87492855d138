/*
 * Nodes in two chained hash tables, by id and by (parent, name), under one lock.
 *
 *	a node lives while	the kernel counts lookups, or it has children, or it is pinned
 *	it is named while	it is the one that (parent, name) leads to
 *
 * Must not know: libfuse, requests.
 */
#include "fs/tree.h"

#include "base/digest.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BUCKETS	  (1u << 16)
#define RANK_TREE 3
#define DEPTH_MAX 256 /* components of a path */

struct node {
	uint64_t id;
	struct node *id_next, *name_next;
	struct node *parent;
	struct list recent; /* in tree.recent, but for the root */
	unsigned children, pins;
	bool named, hollow;
	struct tree_info info;
	struct ledger_node *kept; /* lookups, version, opens; NULL for the root */
	struct fs_blob *blob;
	void *data; /* info.size bytes and a NUL; a link's target; else NULL */
	char name[];
};

/* Half a slot at least, see fs_tree_new(). */
_Static_assert(sizeof(struct node) >= LEDGER_SLOT / 2, "a ledger of so many slots never fills");

struct tree {
	const struct fs_source_ops *ops;
	void *src;
	size_t bytes_max;
	struct lock lock; /* all below */
	struct ledger *ledger;
	size_t bytes, count;
	struct list recent; /* least recently looked up first */
	struct node **by_id, **by_name;
	struct node *root;
};

static size_t node_bytes(const struct node *n)
{
	return sizeof(*n) + strlen(n->name) + 1 + (n->data ? n->info.size + 1 : 0);
}

static struct node **id_bucket(struct tree *t, uint64_t id)
{
	return &t->by_id[id % BUCKETS];
}

static struct node **name_bucket(struct tree *t, const struct node *parent, const char *name)
{
	return &t->by_name[(xxh3_of(name, strlen(name)) ^ parent->id) % BUCKETS];
}

static struct node *find_id(struct tree *t, uint64_t id)
{
	struct node *n = *id_bucket(t, id);

	while (n && n->id != id)
		n = n->id_next;
	return n;
}

static struct node *find_name(struct tree *t, const struct node *parent, const char *name)
{
	struct node *n = *name_bucket(t, parent, name);

	while (n && !(n->parent == parent && strcmp(n->name, name) == 0))
		n = n->name_next;
	return n;
}

/* Takes the name away; the node itself stays. */
static void unname(struct tree *t, struct node *n)
{
	struct node **at;

	if (!n->named)
		return;
	for (at = name_bucket(t, n->parent, n->name); *at != n; at = &(*at)->name_next)
		;
	*at = n->name_next;
	n->named = false;
	n->kept->named = 0;
}

/* Removes what nothing holds any more, up the path. The dead are chained by id_next, for
 * dead_free() without the lock. */
static struct node *reap(struct tree *t, struct node *n, struct node *dead)
{
	while (n != t->root && n->kept->lookups == 0 && n->children == 0 && n->pins == 0) {
		struct node *parent = n->parent;
		struct node **at = id_bucket(t, n->id);

		unname(t, n);
		while (*at != n)
			at = &(*at)->id_next;
		*at = n->id_next;
		list_remove(&n->recent);
		t->bytes -= node_bytes(n);
		t->count--;
		ledger_remove(t->ledger, n->kept);
		parent->children--;
		n->id_next = dead;
		dead = n;
		n = parent;
	}
	return dead;
}

static void dead_free(struct tree *t, struct node *dead)
{
	while (dead) {
		struct node *next = dead->id_next;

		if (dead->blob)
			t->ops->unref(t->src, dead->blob);
		free(dead->data);
		free(dead);
		dead = next;
	}
}

static struct tree *tree_alloc(const struct fs_source_ops *ops, void *src, size_t bytes_max,
			       struct ledger *l)
{
	struct tree *t = mem_new(struct tree);

	t->ops = ops;
	t->src = src;
	t->bytes_max = bytes_max;
	t->ledger = l;
	lock_init(&t->lock, RANK_TREE);
	list_init(&t->recent);
	t->by_id = mem_array(BUCKETS, sizeof(struct node *));
	t->by_name = mem_array(BUCKETS, sizeof(struct node *));
	t->root = mem_alloc(sizeof(struct node) + 1);
	t->root->id = TREE_ROOT_ID;
	t->root->info = (struct tree_info){.id = TREE_ROOT_ID, .kind = FS_DIR, .lasting = true};
	list_init(&t->root->recent);
	*id_bucket(t, TREE_ROOT_ID) = t->root;
	return t;
}

struct tree *fs_tree_new(const struct fs_source_ops *ops, void *src, size_t bytes_max)
{
	struct ledger *l = NULL;
	struct err e;

	/* Twice as many as bytes_max has slots: a node counts for half a slot and more. */
	if (ledger_new((uint32_t)(bytes_max / LEDGER_SLOT * 2), &l, &e) < 0) {
		log_error(err_fault(&e), "no memory for the mount's names", "why=\"%s\"", e.text);
		abort();
	}
	return tree_alloc(ops, src, bytes_max, l);
}

struct ledger *tree_ledger(struct tree *t)
{
	return t->ledger;
}

void fs_tree_free(struct tree *t)
{
	if (!t)
		return;
	for (unsigned i = 0; i < BUCKETS; i++)
		dead_free(t, t->by_id[i]);
	free(t->by_id);
	free(t->by_name);
	ledger_free(t->ledger);
	lock_release(&t->lock);
	free(t);
}

/* The path in one piece; length 0 is the root. Returns NULL if it is too deep. */
static char *path_of(const struct node *n, const char *name)
{
	const char *parts[DEPTH_MAX];
	unsigned count = 0;
	size_t len = 1;
	char *path, *at;

	if (name) {
		parts[count++] = name;
		len += strlen(name);
	}
	for (; n->parent; n = n->parent) {
		if (count == DEPTH_MAX)
			return NULL;
		parts[count++] = n->name;
		len += strlen(n->name) + 1;
	}
	at = path = mem_alloc(len + 1);
	while (count > 0) {
		at = stpcpy(at, parts[--count]);
		if (count > 0)
			*at++ = '/';
	}
	return path;
}

/* A hash of the path; the next numbers when it is taken. */
static uint64_t free_id(struct tree *t, const char *path)
{
	uint64_t id = xxh3_of(path, strlen(path));

	while (id <= TREE_ROOT_ID || find_id(t, id))
		id++;
	return id;
}

static size_t data_size(const struct fs_entry *entry)
{
	assert(entry->kind != FS_LINK || entry->link);
	return entry->kind == FS_LINK ? strlen(entry->link) : entry->size;
}

static const void *data_of(const struct fs_entry *entry)
{
	return entry->kind == FS_LINK ? entry->link : entry->data;
}

/* Does n hold what the entry says, so that the kernel's cache of it is right? What lasts is known
 * by its name alone. */
static bool is_same(const struct node *n, const struct fs_entry *entry)
{
	const void *data = data_of(entry);

	if (n->info.kind != entry->kind || n->info.lasting != entry->lasting)
		return false;
	if (entry->kind == FS_DIR)
		return true;
	if (n->info.size != data_size(entry))
		return false;
	/* What an earlier process showed here is known by its size and version only. */
	if (n->hollow && data)
		return entry->lasting;
	if (!n->data != !data)
		return false;
	if (data)
		return memcmp(n->data, data, n->info.size) == 0;
	return entry->lasting || n->kept->version == entry->version;
}

static void keep_data(struct tree *t, struct node *n, const struct fs_entry *entry)
{
	n->data = mem_alloc(n->info.size + 1);
	memcpy(n->data, data_of(entry), n->info.size);
	t->bytes += n->info.size + 1;
}

/* The entry is what the node was. *blob: as in enter(). */
static void refill(struct tree *t, struct node *n, const struct fs_entry *entry,
		   struct fs_blob **blob)
{
	struct fs_blob *old = n->blob;

	if (n->hollow && data_of(entry))
		keep_data(t, n, entry);
	n->hollow = false;
	n->blob = *blob;
	*blob = old;
}

static struct node *node_of(struct ledger_node *kept, const char *name)
{
	struct node *n = mem_alloc(sizeof(*n) + strlen(name) + 1);

	n->id = kept->id;
	n->kept = kept;
	n->named = kept->named;
	memcpy(n->name, name, strlen(name) + 1);
	n->info = (struct tree_info){.id = kept->id,
				     .kind = (enum fs_kind)kept->kind,
				     .size = kept->size,
				     .mtime_ms = kept->mtime_ms,
				     .lasting = kept->lasting};
	return n;
}

/* Into the tables; what it holds is counted. */
static void hang(struct tree *t, struct node *n)
{
	struct node **bucket = id_bucket(t, n->id);

	n->id_next = *bucket;
	*bucket = n;
	if (n->named) {
		bucket = name_bucket(t, n->parent, n->name);
		n->name_next = *bucket;
		*bucket = n;
	}
	n->parent->children++;
	list_push_back(&t->recent, &n->recent);
	t->bytes += node_bytes(n);
	t->count++;
}

/* With one lookup; NULL if there is no room. */
static struct node *node_add(struct tree *t, struct node *parent, const char *name,
			     const char *path, const struct fs_entry *entry)
{
	const struct ledger_node like = {.id = free_id(t, path),
					 .parent = parent->id,
					 .lookups = 1,
					 .size = data_size(entry),
					 .version = entry->version,
					 .mtime_ms = entry->mtime_ms,
					 .kind = (uint8_t)entry->kind,
					 .lasting = entry->lasting,
					 .named = 1};
	struct ledger_node *kept = ledger_add(t->ledger, &like, name);
	struct node *n;

	if (!kept)
		return NULL;
	n = node_of(kept, name);
	n->parent = parent;
	hang(t, n);
	if (data_of(entry))
		keep_data(t, n, entry);
	return n;
}

/* With the lock held. *blob is the entry's; afterwards what the caller has to let go of. */
static int enter(struct tree *t, uint64_t parent_id, const char *name, const struct fs_entry *entry,
		 struct fs_blob **blob, struct tree_info *out, struct err *e)
{
	struct node *parent = find_id(t, parent_id), *n;

	if (!parent)
		return err_set(e, ESTALE, "directory of %s", name);
	n = find_name(t, parent, name);
	if (n && !is_same(n, entry)) {
		unname(t, n);
		n = NULL;
	}
	if (n) {
		n->kept->lookups++;
	} else {
		cleanup(free_at) char *path = path_of(parent, name);
		size_t bytes =
			sizeof(*n) + strlen(name) + 2 + (data_of(entry) ? data_size(entry) : 0);

		if (!path)
			return err_set(e, ENAMETOOLONG, "%s", name);
		if (bytes > t->bytes_max - t->bytes)
			return err_set(e, ENFILE, "table of names is full at %zu", t->count);
		n = node_add(t, parent, name, path, entry);
		if (!n)
			return err_set(e, ENFILE, "table of names is full at %zu", t->count);
	}
	list_remove(&n->recent);
	list_push_back(&t->recent, &n->recent);
	refill(t, n, entry, blob);
	*out = n->info;
	return 0;
}

int tree_enter(struct tree *t, uint64_t parent, const char *name, const struct fs_entry *entry,
	       struct tree_info *out, struct err *e)
{
	struct fs_blob *blob = entry->blob;
	int r;

	lock_take(&t->lock);
	r = enter(t, parent, name, entry, &blob, out, e);
	lock_drop(&t->lock);
	if (blob)
		t->ops->unref(t->src, blob);
	return r;
}

void tree_forget(struct tree *t, uint64_t id, uint64_t count)
{
	struct node *dead = NULL, *n;

	lock_take(&t->lock);
	n = find_id(t, id);
	if (n && n != t->root) {
		n->kept->lookups -= count < n->kept->lookups ? count : n->kept->lookups;
		dead = reap(t, n, NULL);
	}
	lock_drop(&t->lock);
	dead_free(t, dead);
}

int tree_restore(struct tree *t, uint64_t id, const struct fs_entry *entry, struct err *e)
{
	struct fs_blob *blob = entry->blob;
	struct node *n;
	int r = 0;

	lock_take(&t->lock);
	n = find_id(t, id);
	if (n && is_same(n, entry))
		refill(t, n, entry, &blob);
	else
		r = err_set(e, ESTALE, "node %016llx is something else now",
			    (unsigned long long)id);
	lock_drop(&t->lock);
	if (blob)
		t->ops->unref(t->src, blob);
	return r;
}

bool tree_info(struct tree *t, uint64_t id, struct tree_info *out)
{
	struct node *n;

	lock_guard(&t->lock);
	n = find_id(t, id);
	if (n)
		*out = n->info;
	return n != NULL;
}

char *tree_path(struct tree *t, uint64_t id, const char *name)
{
	struct node *n;

	lock_guard(&t->lock);
	n = find_id(t, id);
	return n ? path_of(n, name) : NULL;
}

uint64_t tree_child_id(struct tree *t, uint64_t id, const char *name)
{
	struct node *parent, *n;

	lock_guard(&t->lock);
	parent = find_id(t, id);
	if (!parent)
		return 0;
	n = find_name(t, parent, name);
	if (n)
		return n->id;
	cleanup(free_at) char *path = path_of(parent, name);
	return path ? free_id(t, path) : 0;
}

size_t tree_count(struct tree *t)
{
	lock_guard(&t->lock);
	return t->count;
}

bool tree_is_crowded(struct tree *t)
{
	lock_guard(&t->lock);
	return t->bytes > t->bytes_max / 2;
}

int tree_pin(struct tree *t, uint64_t id, struct tree_pin *out, struct err *e)
{
	struct node *n;

	lock_guard(&t->lock);
	n = find_id(t, id);
	if (!n)
		return err_set(e, ESTALE, "node %016llx", (unsigned long long)id);
	n->pins++;
	if (n->blob)
		t->ops->ref(t->src, n->blob);
	*out = (struct tree_pin){.info = n->info,
				 .blob = n->blob,
				 .data = n->data,
				 .hollow = n->hollow,
				 .opens = n->kept ? &n->kept->opens : NULL,
				 .private_ = n};
	return 0;
}

void tree_unpin(struct tree *t, struct tree_pin *p)
{
	struct node *n = p->private_, *dead;

	if (!n)
		return;
	lock_take(&t->lock);
	assert(n->pins > 0);
	n->pins--;
	dead = reap(t, n, NULL);
	lock_drop(&t->lock);
	dead_free(t, dead);
	if (p->blob)
		t->ops->unref(t->src, p->blob);
	*p = (struct tree_pin){0};
}

/* ---- an earlier process's */

/* All nodes by id, without parents. */
static int resume_nodes(struct tree *t, struct err *e)
{
	char name[LEDGER_NAME_MAX + 1];
	struct ledger_node *kept;
	struct node *n;
	int r;

	for (kept = ledger_next(t->ledger, NULL); kept; kept = ledger_next(t->ledger, kept)) {
		r = ledger_name(t->ledger, kept, name, e);
		if (r < 0)
			return r;
		if (kept->kind > FS_LINK || find_id(t, kept->id))
			return err_set(e, EBADMSG, "the ledger has a damaged node");
		n = node_of(kept, name);
		n->hollow = kept->kind != FS_DIR;
		kept->opens.inherited = kept->opens.cached;
		list_init(&n->recent);
		n->id_next = *id_bucket(t, n->id);
		*id_bucket(t, n->id) = n;
	}
	return 0;
}

static int resume_parents(struct tree *t, struct err *e)
{
	for (struct ledger_node *kept = ledger_next(t->ledger, NULL); kept;
	     kept = ledger_next(t->ledger, kept)) {
		struct node *n = find_id(t, kept->id), *parent = find_id(t, kept->parent);
		struct node **at = id_bucket(t, n->id);

		if (!parent || parent == n || parent->info.kind != FS_DIR)
			return err_set(e, EBADMSG, "the ledger has a node without parent");
		while (*at != n)
			at = &(*at)->id_next;
		*at = n->id_next;
		n->parent = parent;
		hang(t, n);
	}
	return 0;
}

/* What the earlier process held and the kernel did not. */
static void resume_reap(struct tree *t)
{
	struct ledger_node *kept = ledger_next(t->ledger, NULL);

	while (kept) {
		struct node *n = find_id(t, kept->id);

		dead_free(t, reap(t, n, NULL));
		kept = ledger_next(t->ledger, kept);
	}
}

int fs_tree_resume(const struct fs_source_ops *ops, void *src, size_t bytes_max, struct ledger *l,
		   struct tree **out, struct err *e)
{
	struct tree *t = tree_alloc(ops, src, bytes_max, l);
	int r = resume_nodes(t, e);

	if (r == 0)
		r = resume_parents(t, e);
	if (r < 0) {
		fs_tree_free(t);
		return r;
	}
	resume_reap(t);
	*out = t;
	return 0;
}

unsigned tree_prune_pick(struct tree *t, struct tree_victim *out, unsigned count_max)
{
	struct list *last;
	unsigned count = 0;

	lock_guard(&t->lock);
	last = t->recent.prev;
	list_each_safe (it, &t->recent) {
		struct node *n = list_entry(it, struct node, recent);

		if (count == count_max)
			break;
		if (n->named && n->children == 0 && n->pins == 0) {
			out[count].parent = n->parent->id;
			out[count++].name = mem_strdup(n->name);
			list_remove(it);
			list_push_back(&t->recent, it);
		}
		if (it == last)
			break;
	}
	return count;
}
