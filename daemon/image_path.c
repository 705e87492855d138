/* Source of the grammar: OCI distribution-spec v1.1, "Pulling manifests". */
#include "daemon/image_path.h"

#include "base/digest.h"
#include "base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define NAMES_MAX	   64
#define REPOSITORY_LEN_MAX 255
#define TAG_LEN_MAX	   128

struct names {
	const char *at[NAMES_MAX];
	size_t len[NAMES_MAX];
	unsigned count;
};

static bool split(const char *path, struct names *out)
{
	out->count = 0;
	for (const char *at = path;; at++) {
		size_t len = strcspn(at, "/");

		if (out->count == NAMES_MAX)
			return false;
		out->at[out->count] = at;
		out->len[out->count++] = len;
		at += len;
		if (!*at)
			return true;
	}
}

static bool is_lower_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)* */
static bool is_repository_name(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!is_lower_or_digit(s[i]) && !strchr("._-", s[i]))
			return false;
	return len > 0 && is_lower_or_digit(s[0]) && is_lower_or_digit(s[len - 1]);
}

static bool is_tag(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '_' &&
		    (i == 0 || (s[i] != '.' && s[i] != '-')))
			return false;
	return len > 0 && len <= TAG_LEN_MAX;
}

static bool is_reference(const char *s, size_t len)
{
	cleanup(free_at) char *text = mem_strndup(s, len);
	const char *hex;

	return is_tag(s, len) || digest_is_sha256(text, &hex);
}

/* "registry", "registry:5000", "[::1]:5000" */
static bool is_registry(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr(".-_:[]", s[i]))
			return false;
	return len > 0;
}

/* What the last names say, and how many of them are not the image's. */
static enum image_path_kind kind_of(const struct names *n, unsigned *extra_out)
{
	static const struct {
		const char *name;
		enum image_path_kind kind;
	} files[] = {{"index.json", IMAGE_PATH_INDEX},
		     {"manifest.json", IMAGE_PATH_MANIFEST},
		     {"config.json", IMAGE_PATH_CONFIG},
		     {"layers", IMAGE_PATH_LAYERS}};
	const char *last = n->at[n->count - 1];

	*extra_out = 1;
	for (size_t i = 0; i < array_len(files); i++)
		if (strcmp(last, files[i].name) == 0)
			return files[i].kind;
	*extra_out = 2;
	if (n->count > 2 && n->len[n->count - 2] == 6 &&
	    strncmp(n->at[n->count - 2], "layers", 6) == 0)
		return IMAGE_PATH_LAYER;
	*extra_out = 0;
	return n->count == 2   ? IMAGE_PATH_REGISTRY
	       : n->count == 3 ? IMAGE_PATH_REPOSITORY
			       : IMAGE_PATH_NAME;
}

static bool is_reserved(const struct names *n, unsigned i)
{
	static const char *const reserved[] = {"index.json", "manifest.json", "config.json",
					       "layers", "rootfs"};

	for (size_t k = 0; k < array_len(reserved); k++)
		if (n->len[i] == strlen(reserved[k]) &&
		    strncmp(n->at[i], reserved[k], n->len[i]) == 0)
			return true;
	return false;
}

/* Names 2 to end (excluded) are a repository's. */
static bool are_repository(const struct names *n, unsigned end)
{
	for (unsigned i = 2; i < end; i++)
		if (!is_repository_name(n->at[i], n->len[i]) || is_reserved(n, i))
			return false;
	return (size_t)(n->at[end - 1] - n->at[2]) + n->len[end - 1] <= REPOSITORY_LEN_MAX;
}

static bool fill(const struct names *n, const char *path, struct image_path *out)
{
	unsigned extra, end, ref;

	out->kind = kind_of(n, &extra);
	end = n->count - extra;
	if (!is_registry(n->at[1], n->len[1]) || (extra > 0 && end < 4))
		return false;
	out->registry = mem_strndup(n->at[1], n->len[1]);
	out->depth = n->count;
	if (out->kind == IMAGE_PATH_REGISTRY)
		return true;
	if (out->kind == IMAGE_PATH_REPOSITORY)
		return are_repository(n, 3);
	ref = end - 1;
	if (!are_repository(n, ref) || !is_reference(n->at[ref], n->len[ref]) ||
	    is_reserved(n, ref))
		return false;
	out->image = mem_strndup(path, (size_t)(n->at[ref] - path) + n->len[ref]);
	out->repository = mem_strndup(n->at[2], (size_t)(n->at[ref] - n->at[2]) - 1);
	out->reference = mem_strndup(n->at[ref], n->len[ref]);
	out->may_be_name = is_repository_name(n->at[ref], n->len[ref]);
	out->leaf = n->at[n->count - 1];
	return true;
}

int image_path_parse(const char *path, struct image_path *out, struct err *e)
{
	struct names n = {0};

	*out = (struct image_path){0};
	if (split(path, &n) && n.count >= 2 && fill(&n, path, out))
		return 0;
	image_path_release(out);
	return err_set(e, ENOENT, "%s", path);
}

void image_path_release(struct image_path *p)
{
	free(p->registry);
	free(p->image);
	free(p->repository);
	free(p->reference);
	*p = (struct image_path){0};
}
