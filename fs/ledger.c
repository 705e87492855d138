/* Slots, their free list (the process's own, found again by looking) and names that span several.
 */
#include "fs/ledger.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC	   "skimledg"
#define HEAD_LEN   4096u
#define HEAD_SLOTS (HEAD_LEN / LEDGER_SLOT)

/* What is left of a name. */
struct rest {
	uint64_t zero; /* where a node has its id */
	uint32_t more;
	char name[LEDGER_SLOT - 12];
};

_Static_assert(sizeof(struct ledger_node) == LEDGER_SLOT, "a node is a slot");
_Static_assert(offsetof(struct ledger_node, name) == 73, "names follow at once");
_Static_assert(sizeof(struct rest) <= LEDGER_SLOT, "a rest is a slot");
_Static_assert(sizeof(struct ledger_head) <= HEAD_LEN, "the head is a page");

struct ledger {
	int fd;
	size_t len;
	struct ledger_head *head; /* the whole mapping */
	uint32_t *idle;		  /* slots below slots_used that hold nothing */
	size_t idle_count, idle_cap;
};

static void *slot(struct ledger *l, uint32_t no)
{
	return (char *)l->head + (size_t)no * LEDGER_SLOT;
}

static uint32_t number_of(const struct ledger *l, const void *at)
{
	return (uint32_t)((size_t)((const char *)at - (const char *)l->head) / LEDGER_SLOT);
}

static void give_back(struct ledger *l, uint32_t no)
{
	if (l->idle_count == l->idle_cap) {
		l->idle_cap = l->idle_cap ? l->idle_cap * 2 : 64;
		l->idle = mem_realloc(l->idle, l->idle_cap * sizeof(*l->idle));
	}
	l->idle[l->idle_count++] = no;
}

static uint32_t room(const struct ledger *l)
{
	return l->head->slot_count - l->head->slots_used + (uint32_t)l->idle_count;
}

/* There is room. */
static uint32_t take(struct ledger *l)
{
	return l->idle_count ? l->idle[--l->idle_count] : l->head->slots_used++;
}

static int map(struct ledger *l, size_t len, struct err *e)
{
	void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, l->fd, 0);

	if (at == MAP_FAILED)
		return err_set(e, errno, "map a ledger of %zu bytes", len);
	l->head = at;
	l->len = len;
	return 0;
}

static void ledger_free_at(struct ledger **l)
{
	ledger_free(*l);
}

int ledger_new(uint32_t slot_count, struct ledger **out, struct err *e)
{
	struct ledger *l cleanup(ledger_free_at) = mem_new(struct ledger);
	size_t len = ((size_t)slot_count + HEAD_SLOTS) * LEDGER_SLOT;
	int r;

	l->fd = memfd_create("skimmer-ledger", MFD_CLOEXEC);
	if (l->fd < 0 || ftruncate(l->fd, (off_t)len) < 0)
		return err_set(e, errno, "make a ledger of %zu bytes", len);
	r = map(l, len, e);
	if (r < 0)
		return r;
	l->head->layout = LEDGER_LAYOUT;
	l->head->slot_count = slot_count + HEAD_SLOTS;
	l->head->slots_used = HEAD_SLOTS;
	memcpy(l->head->magic, MAGIC, sizeof(l->head->magic));
	*out = take_ptr(&l);
	return 0;
}

static bool is_sound(const struct ledger *l)
{
	const struct ledger_head *h = l->head;

	return memcmp(h->magic, MAGIC, sizeof(h->magic)) == 0 && h->layout == LEDGER_LAYOUT &&
	       (size_t)h->slot_count * LEDGER_SLOT == l->len && h->slots_used >= HEAD_SLOTS &&
	       h->slots_used <= h->slot_count && h->init_len <= LEDGER_INIT_MAX;
}

/* Marks the slots of a node. False: they are not right. */
static bool mark(struct ledger *l, const struct ledger_node *n, unsigned char *used)
{
	uint32_t no = number_of(l, n), more = n->more;
	size_t have = sizeof(n->name);

	used[no] = 1;
	while (more) {
		if (more < HEAD_SLOTS || more >= l->head->slots_used || used[more])
			return false;
		used[more] = 1;
		have += sizeof(((struct rest *)0)->name);
		more = ((const struct rest *)slot(l, more))->more;
	}
	return n->name_len <= have && n->name_len <= LEDGER_NAME_MAX;
}

/* The free list, anew: what a killed process held half-made is idle too. */
static int look(struct ledger *l, struct err *e)
{
	unsigned char *used cleanup(free_at) = mem_array(l->head->slots_used, 1);

	for (struct ledger_node *n = ledger_next(l, NULL); n; n = ledger_next(l, n)) {
		if (!mark(l, n, used))
			return err_set(e, EBADMSG, "the ledger is damaged");
	}
	for (uint32_t no = HEAD_SLOTS; no < l->head->slots_used; no++) {
		if (used[no])
			continue;
		((struct rest *)slot(l, no))->zero = 0;
		give_back(l, no);
	}
	return 0;
}

int ledger_open(int fd, struct ledger **out, struct err *e)
{
	struct ledger *l cleanup(ledger_free_at) = mem_new(struct ledger);
	struct stat st;
	int r;

	l->fd = fd;
	if (fstat(fd, &st) < 0)
		return err_set(e, errno, "look at the ledger");
	if (st.st_size < (off_t)HEAD_LEN || st.st_size > ((off_t)1 << 32))
		return err_set(e, EBADMSG, "the ledger is damaged");
	r = map(l, (size_t)st.st_size, e);
	if (r < 0)
		return r;
	if (!is_sound(l))
		return err_set(e, EBADMSG, "the ledger is none of this version");
	r = look(l, e);
	if (r < 0)
		return r;
	*out = take_ptr(&l);
	return 0;
}

void ledger_free(struct ledger *l)
{
	if (!l)
		return;
	if (l->head)
		munmap(l->head, l->len);
	if (l->fd >= 0)
		close(l->fd);
	free(l->idle);
	free(l);
}

int ledger_fd(const struct ledger *l)
{
	return l->fd;
}

struct ledger_head *ledger_head(struct ledger *l)
{
	return l->head;
}

/* Puts what is left of a name into further slots; the first's number, 0 = nothing is left. */
static uint32_t add_rest(struct ledger *l, const char *name, size_t len)
{
	uint32_t first = 0, *link = &first;

	while (len > 0) {
		uint32_t no = take(l);
		struct rest *r = slot(l, no);
		size_t part = len < sizeof(r->name) ? len : sizeof(r->name);

		r->zero = 0;
		r->more = 0;
		memcpy(r->name, name, part);
		*link = no;
		link = &r->more;
		name += part;
		len -= part;
	}
	return first;
}

struct ledger_node *ledger_add(struct ledger *l, const struct ledger_node *like, const char *name)
{
	size_t len = strlen(name), head_len = sizeof(like->name), rest_len;
	size_t per_rest = sizeof(((struct rest *)0)->name);
	struct ledger_node *n;

	assert(len <= LEDGER_NAME_MAX);
	if (head_len > len)
		head_len = len;
	rest_len = len - head_len;
	if (room(l) < 1 + (rest_len + per_rest - 1) / per_rest)
		return NULL;
	n = slot(l, take(l));
	__atomic_store_n(&n->id, 0, __ATOMIC_RELEASE);
	memcpy((char *)n + sizeof(n->id), (const char *)like + sizeof(n->id),
	       offsetof(struct ledger_node, name) - sizeof(n->id));
	n->name_len = (uint16_t)len;
	memcpy(n->name, name, head_len);
	n->more = add_rest(l, name + head_len, rest_len);
	__atomic_store_n(&n->id, like->id, __ATOMIC_RELEASE);
	return n;
}

void ledger_remove(struct ledger *l, struct ledger_node *n)
{
	uint32_t more = n->more;

	__atomic_store_n(&n->id, 0, __ATOMIC_RELEASE);
	give_back(l, number_of(l, n));
	while (more) {
		give_back(l, more);
		more = ((const struct rest *)slot(l, more))->more;
	}
}

int ledger_name(struct ledger *l, const struct ledger_node *n, char *text, struct err *e)
{
	size_t len = n->name_len < sizeof(n->name) ? n->name_len : sizeof(n->name);
	size_t left = n->name_len - len;

	memcpy(text, n->name, len);
	for (uint32_t more = n->more; left > 0 && more;) {
		const struct rest *r = slot(l, more);
		size_t part = left < sizeof(r->name) ? left : sizeof(r->name);

		memcpy(text + len, r->name, part);
		len += part;
		left -= part;
		more = r->more;
	}
	text[len] = '\0';
	if (left > 0 || len == 0 || strlen(text) != len || strchr(text, '/'))
		return err_set(e, EBADMSG, "the ledger has a damaged name");
	return 0;
}

struct ledger_node *ledger_next(struct ledger *l, const struct ledger_node *n)
{
	for (uint32_t no = n ? number_of(l, n) + 1 : HEAD_SLOTS; no < l->head->slots_used; no++) {
		struct ledger_node *at = slot(l, no);

		if (__atomic_load_n(&at->id, __ATOMIC_ACQUIRE))
			return at;
	}
	return NULL;
}
