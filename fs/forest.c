/*
 *	a tree is	while				its name
 *	shown		the kernel counts lookups	leads to it
 *	lost		after a change of processes its	leads to another tree, or nowhere
 *			image was not here any more
 *
 * A lost tree's number stays taken until the mount ends. Must not know: libfuse, requests.
 */
#include "fs/forest.h"

#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define TREES_MAX    4096
#define BUCKETS	     512
#define RANK_FOREST  3
#define COUNTER_BITS 16 /* of a number; above it the process that gave it */

_Static_assert(TREES_MAX < (1 << COUNTER_BITS) - 1, "there always is a free number");

struct forest {
	const struct fs_forest_ops *ops;
	void *src;
	struct lock lock; /* all below */
	struct ledger *ledger;
	struct forest_tree *by_number[BUCKETS];
	size_t count;
	uint64_t counter;
};

static struct forest_tree **bucket(struct forest *f, uint64_t number)
{
	return &f->by_number[number % BUCKETS];
}

static struct forest_tree *find_number(struct forest *f, uint64_t number)
{
	struct forest_tree *t = *bucket(f, number);

	while (t && t->number != number)
		t = t->next;
	return t;
}

static struct forest_tree *find_name(struct forest *f, const char *name)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct forest_tree *t = f->by_number[i]; t; t = t->next) {
			if (t->kept->named && strcmp(t->name, name) == 0)
				return t;
		}
	}
	return NULL;
}

static struct forest_tree *tree_alloc(const char *name)
{
	struct forest_tree *t = mem_alloc(sizeof(*t) + strlen(name) + 1);

	*t = (struct forest_tree){.refs = 1};
	memcpy(t->name, name, strlen(name) + 1);
	return t;
}

static void tree_drop(struct forest *f, struct forest_tree *t)
{
	if (!t)
		return;
	erofs_tree_free(t->tree);
	if (t->layer)
		f->ops->close(f->src, t->layer);
	free(t);
}

/* Asks the source for what the name means. */
static int tree_open(struct forest *f, struct forest_tree *t, uint64_t *version_out, struct err *e)
{
	struct fs_forest_layer l = {.image_fd = -1};
	int r = f->ops->open(f->src, t->name, &l, e);

	if (r < 0)
		return r;
	t->layer = l.layer;
	*version_out = l.version;
	r = erofs_tree_open(l.image_fd, &t->tree, e);
	close_at(&l.image_fd);
	return r;
}

static void hang(struct forest *f, struct forest_tree *t)
{
	struct forest_tree **at = bucket(f, t->number);

	t->next = *at;
	*at = t;
	f->count++;
}

/* With the lock: out of the table; what is left to be dropped without it. */
static struct forest_tree *take_out(struct forest *f, struct forest_tree *t)
{
	struct forest_tree **at = bucket(f, t->number);

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	f->count--;
	ledger_remove(f->ledger, t->kept);
	t->kept = NULL;
	return --t->refs == 0 ? t : NULL;
}

/* ---- life */

static struct forest *forest_alloc(const struct fs_forest_ops *ops, void *src, struct ledger *l)
{
	struct forest *f = mem_new(struct forest);

	f->ops = ops;
	f->src = src;
	f->ledger = l;
	lock_init(&f->lock, RANK_FOREST);
	return f;
}

struct forest *forest_new(const struct fs_forest_ops *ops, void *src)
{
	struct ledger *l = NULL;
	struct err e;

	if (ledger_new(TREES_MAX, &l, &e) < 0) {
		log_error(err_fault(&e), "no memory for the mount's trees", "why=\"%s\"", e.text);
		abort();
	}
	return forest_alloc(ops, src, l);
}

/* Now and not when it is asked for: what is open is not removed. */
static void recover(struct forest *f, struct forest_tree *t)
{
	struct err e = {0};
	uint64_t version = 0;
	int r = tree_open(f, t, &version, &e);

	if (r == 0 && version != t->kept->version)
		r = err_set(&e, ESTALE, "its index is another one");
	if (r == 0)
		return;
	log_warn("layer that is in use is not here any more", "layer=%s why=\"%s\"", t->name,
		 e.text);
	erofs_tree_free(take_ptr(&t->tree));
	if (t->layer)
		f->ops->close(f->src, take_ptr(&t->layer));
	t->kept->named = 0;
}

static int resume_all(struct forest *f, struct err *e)
{
	char name[LEDGER_NAME_MAX + 1];

	for (struct ledger_node *n = ledger_next(f->ledger, NULL); n;
	     n = ledger_next(f->ledger, n)) {
		struct forest_tree *t;
		int r = ledger_name(f->ledger, n, name, e);

		if (r < 0)
			return r;
		if (n->lookups == 0) {
			ledger_remove(f->ledger, n);
			continue;
		}
		if (find_number(f, n->id))
			return err_set(e, EBADMSG, "the ledger has a damaged node");
		t = tree_alloc(name);
		t->number = n->id;
		t->kept = n;
		hang(f, t);
		if (n->named)
			recover(f, t);
	}
	return 0;
}

int forest_resume(const struct fs_forest_ops *ops, void *src, struct ledger *l, struct forest **out,
		  struct err *e)
{
	struct forest *f = forest_alloc(ops, src, l);
	int r = resume_all(f, e);

	if (r < 0) {
		forest_free(f);
		return r;
	}
	*out = f;
	return 0;
}

void forest_free(struct forest *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		struct forest_tree *next;

		for (struct forest_tree *t = f->by_number[i]; t; t = next) {
			next = t->next;
			tree_drop(f, t);
		}
	}
	ledger_free(f->ledger);
	lock_release(&f->lock);
	free(f);
}

struct ledger *forest_ledger(struct forest *f)
{
	return f->ledger;
}

/* ---- what the kernel asks */

/* One that no tree has. */
static uint64_t free_number(struct forest *f)
{
	uint64_t process = (uint64_t)(uint16_t)ledger_head(f->ledger)->generation, number;

	do {
		f->counter = f->counter % ((1u << COUNTER_BITS) - 1) + 1;
		number = process << COUNTER_BITS | f->counter;
	} while (find_number(f, number));
	return number;
}

/* With the lock: a pin and a lookup, if the name leads to something. */
static bool enter_known(struct forest *f, const char *name, struct forest_tree **out)
{
	struct forest_tree *t = find_name(f, name);

	if (!t)
		return false;
	t->kept->lookups++;
	t->refs++;
	*out = t;
	return true;
}

/* With the lock. */
static int add(struct forest *f, struct forest_tree *t, uint64_t version, struct err *e)
{
	struct ledger_node like = {.id = free_number(f),
				   .parent = FOREST_ROOT_ID,
				   .lookups = 1,
				   .version = version,
				   .kind = FS_DIR,
				   .named = 1};

	t->kept = f->count < TREES_MAX ? ledger_add(f->ledger, &like, t->name) : NULL;
	if (!t->kept)
		return err_set(e, ENFILE, "%zu layers are shown, there is no room for more",
			       f->count);
	t->number = like.id;
	t->refs++;
	hang(f, t);
	return 0;
}

int forest_enter(struct forest *f, const char *name, struct forest_tree **out, struct err *e)
{
	struct forest_tree *t;
	uint64_t version = 0;
	bool known;
	int r;

	if (strlen(name) > LEDGER_NAME_MAX)
		return err_set(e, ENAMETOOLONG, "%.100s...", name);
	lock_take(&f->lock);
	known = enter_known(f, name, out);
	lock_drop(&f->lock);
	if (known)
		return 0;
	t = tree_alloc(name);
	r = tree_open(f, t, &version, e);
	if (r < 0) {
		tree_drop(f, t);
		return r;
	}
	lock_take(&f->lock);
	/* Another may have been quicker. */
	known = enter_known(f, name, out);
	if (!known)
		r = add(f, t, version, e);
	lock_drop(&f->lock);
	if (known || r < 0)
		tree_drop(f, t);
	else
		*out = t;
	return r;
}

void forest_forget(struct forest *f, uint64_t id, uint64_t count)
{
	struct forest_tree *t, *dead = NULL;

	lock_take(&f->lock);
	t = find_number(f, id >> FOREST_NID_BITS);
	if (t && t->tree && erofs_tree_root(t->tree) == forest_nid(id)) {
		t->kept->lookups -= count < t->kept->lookups ? count : t->kept->lookups;
		if (t->kept->lookups == 0)
			dead = take_out(f, t);
	}
	lock_drop(&f->lock);
	tree_drop(f, dead);
}

struct forest_tree *forest_pin(struct forest *f, uint64_t id)
{
	struct forest_tree *t;

	lock_guard(&f->lock);
	t = find_number(f, id >> FOREST_NID_BITS);
	if (!t || !t->tree)
		return NULL;
	t->refs++;
	return t;
}

void forest_unpin(struct forest *f, struct forest_tree *t)
{
	bool last;

	if (!t)
		return;
	lock_take(&f->lock);
	last = --t->refs == 0;
	lock_drop(&f->lock);
	if (last)
		tree_drop(f, t);
}

size_t forest_count(struct forest *f)
{
	lock_guard(&f->lock);
	return f->count;
}

char *forest_name(struct forest *f, size_t n)
{
	lock_guard(&f->lock);
	for (size_t i = 0; i < BUCKETS; i++) {
		for (const struct forest_tree *t = f->by_number[i]; t; t = t->next) {
			if (n-- == 0)
				return mem_strdup(t->name);
		}
	}
	return NULL;
}
