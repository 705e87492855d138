/* Extended attributes in an EROFS image: those that several inodes have are written once. */
#include "base/digest.h"
#include "base/mem.h"
#include "fs/layer/erofs_plan.h"

#include <endian.h>
#include <string.h>

#define SHARED_MAX 255 /* places in one inode's header */

struct erofs_shared {
	const struct tree_xattr *xattr;
	uint32_t count;
	uint32_t word; /* its place, in words from the shared area's start */
	struct erofs_shared *chain, *next;
};

struct erofs_xattrs {
	struct erofs_shared **table;
	size_t table_len, count;
	struct erofs_shared *first, **last; /* in the order of their first use */
};

static const struct {
	const char *text;
	uint8_t no;
	bool whole;
} table[] = {
	{"user.", 1, false},	 {"system.posix_acl_access", 2, true},
	{"trusted.", 4, false},	 {"system.posix_acl_default", 3, true},
	{"security.", 6, false},
};

const char *erofs_xattr_prefix_text(uint8_t no)
{
	for (size_t i = 0; i < array_len(table); i++)
		if (table[i].no == no)
			return table[i].text;
	return NULL;
}

uint8_t erofs_xattr_prefix(const char *name, uint32_t name_len, uint32_t *prefix_len_out)
{
	for (size_t i = 0; i < array_len(table); i++) {
		size_t len = strlen(table[i].text);

		if (name_len < len || memcmp(name, table[i].text, len) != 0 ||
		    (name_len == len) != table[i].whole)
			continue;
		*prefix_len_out = (uint32_t)len;
		return table[i].no;
	}
	return 0;
}

struct erofs_xattrs *erofs_xattrs_new(void)
{
	struct erofs_xattrs *x = mem_new(struct erofs_xattrs);

	x->table_len = 4096;
	x->table = mem_array(x->table_len, sizeof(*x->table));
	x->last = &x->first;
	return x;
}

void erofs_xattrs_free(struct erofs_xattrs *x)
{
	struct erofs_shared *s, *next;

	if (!x)
		return;
	for (s = x->first; s; s = next) {
		next = s->next;
		free(s);
	}
	free(x->table);
	free(x);
}

static struct erofs_shared **find(const struct erofs_xattrs *x, const struct tree_xattr *a)
{
	uint64_t h = xxh3_of(a->name, a->name_len) * 31 + xxh3_of(a->value, a->value_len);
	struct erofs_shared **at = &x->table[(h ^ h >> 32) & (x->table_len - 1)];

	while (*at &&
	       ((*at)->xattr->name_len != a->name_len || (*at)->xattr->value_len != a->value_len ||
		memcmp((*at)->xattr->name, a->name, a->name_len) != 0 ||
		memcmp((*at)->xattr->value, a->value, a->value_len) != 0))
		at = &(*at)->chain;
	return at;
}

static bool is_known(const struct tree_xattr *a)
{
	uint32_t prefix_len;

	return erofs_xattr_prefix(a->name, a->name_len, &prefix_len) != 0;
}

static void grow(struct erofs_xattrs *x)
{
	free(x->table);
	x->table_len *= 4;
	x->table = mem_array(x->table_len, sizeof(*x->table));
	for (struct erofs_shared *s = x->first; s; s = s->next) {
		s->chain = NULL;
		*find(x, s->xattr) = s;
	}
}

void erofs_xattrs_count(struct erofs_xattrs *x, const struct tree_inode *ino)
{
	for (const struct tree_xattr *a = ino->xattrs; a; a = a->next) {
		struct erofs_shared **at = find(x, a);

		if (!is_known(a))
			continue;
		if (!*at) {
			*at = mem_new(struct erofs_shared);
			(*at)->xattr = a;
			*x->last = *at;
			x->last = &(*at)->next;
			(*at)->count = 1;
			if (++x->count > x->table_len)
				grow(x);
		} else {
			(*at)->count++;
		}
	}
}

static uint32_t entry_len(const struct tree_xattr *a)
{
	uint32_t prefix_len = 0;

	erofs_xattr_prefix(a->name, a->name_len, &prefix_len);
	return (uint32_t)((sizeof(struct erofs_xattr) + a->name_len - prefix_len + a->value_len +
			   3) &
			  ~3u);
}

uint64_t erofs_xattrs_place(struct erofs_xattrs *x)
{
	uint64_t len = 0;

	for (struct erofs_shared *s = x->first; s; s = s->next) {
		if (s->count < 2)
			continue;
		s->word = (uint32_t)(len / 4);
		len += entry_len(s->xattr);
	}
	return len;
}

/* The shared one that stands for a, unless the inode's header has no place for it any more. */
static const struct erofs_shared *shared_of(const struct erofs_xattrs *x,
					    const struct tree_xattr *a, uint32_t *count)
{
	const struct erofs_shared *s = *find(x, a);

	if (s->count < 2 || *count == SHARED_MAX)
		return NULL;
	(*count)++;
	return s;
}

uint32_t erofs_xattrs_len(const struct erofs_xattrs *x, const struct tree_inode *ino)
{
	uint32_t len = 0, shared = 0;

	for (const struct tree_xattr *a = ino->xattrs; a; a = a->next) {
		if (is_known(a) && !shared_of(x, a, &shared))
			len += entry_len(a);
	}
	len += shared * 4;
	return len ? len + (uint32_t)sizeof(struct erofs_xattr_head) : 0;
}

static void write_entry(const struct tree_xattr *a, FILE *file)
{
	static const char zeros[4];
	uint32_t prefix_len = 0;
	struct erofs_xattr head = {
		.prefix = erofs_xattr_prefix(a->name, a->name_len, &prefix_len),
		.value_len = htole16((uint16_t)a->value_len),
	};
	uint32_t used = (uint32_t)sizeof(head) + a->name_len - prefix_len + a->value_len;

	head.name_len = (uint8_t)(a->name_len - prefix_len);
	fwrite(&head, sizeof(head), 1, file);
	fwrite(a->name + prefix_len, 1, a->name_len - prefix_len, file);
	fwrite(a->value, 1, a->value_len, file);
	fwrite(zeros, 1, entry_len(a) - used, file);
}

void erofs_xattrs_write(const struct erofs_xattrs *x, const struct tree_inode *ino, FILE *file)
{
	struct erofs_xattr_head head = {0};
	uint32_t places[SHARED_MAX], shared = 0, again = 0;

	for (const struct tree_xattr *a = ino->xattrs; a; a = a->next) {
		uint32_t no = shared;
		const struct erofs_shared *s = is_known(a) ? shared_of(x, a, &shared) : NULL;

		if (s)
			places[no] = htole32(s->word);
	}
	head.shared_count = (uint8_t)shared;
	fwrite(&head, sizeof(head), 1, file);
	fwrite(places, sizeof(places[0]), shared, file);
	for (const struct tree_xattr *a = ino->xattrs; a; a = a->next) {
		if (is_known(a) && !shared_of(x, a, &again))
			write_entry(a, file);
	}
}

void erofs_xattrs_write_shared(const struct erofs_xattrs *x, FILE *file)
{
	for (const struct erofs_shared *s = x->first; s; s = s->next) {
		if (s->count >= 2)
			write_entry(s->xattr, file);
	}
}
