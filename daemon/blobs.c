/* The roots of the tree, and who answers for what is below each. */
#include "daemon/blobs.h"

#include "base/digest.h"
#include "base/mem.h"
#include "daemon/blob.h"
#include "daemon/blob_lookup.h"
#include "daemon/blobs_private.h"
#include "daemon/http_tree.h"
#include "daemon/oci_tree.h"
#include "daemon/tasks.h"

#include <errno.h>
#include <string.h>

#define WORKERS	   16
#define QUEUE_MAX  4096
#define TIMEOUT_MS 30000

static void copy_strings(struct config_strings *to, const struct config_strings *from)
{
	if (!from || from->count == 0)
		return;
	to->items = mem_array(from->count, sizeof(*to->items));
	for (; to->count < from->count; to->count++)
		to->items[to->count] = mem_strdup(from->items[to->count]);
}

static void free_strings(struct config_strings *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->items[i]);
	free(s->items);
}

struct blobs *blobs_new(const struct blobs_config *c)
{
	struct blobs *b = mem_new(struct blobs);

	(void)blob_read_time();
	b->tasks = c->tasks;
	b->origin = c->origin;
	copy_strings(&b->allow_hosts, c->allow_hosts);
	copy_strings(&b->plain_http, c->plain_http);
	b->prefetch = c->prefetch;
	b->timeout_ms = c->timeout_ms ? c->timeout_ms : TIMEOUT_MS;
	pendings_init(&b->pendings);
	b->pool = pool_new("blobs", WORKERS, QUEUE_MAX);
	b->http = http_tree_new(b);
	b->oci = oci_tree_new(b);
	return b;
}

void blobs_free(struct blobs *b)
{
	if (!b)
		return;
	pendings_release(&b->pendings);
	pool_free(b->pool);
	http_tree_free(b->http);
	oci_tree_free(b->oci);
	free_strings(&b->allow_hosts);
	free_strings(&b->plain_http);
	free(b);
}

/* True: path is name, or below it. */
static bool is_under(const char *path, const char *name)
{
	size_t len = strlen(name);

	return strncmp(path, name, len) == 0 && (path[len] == '/' || path[len] == 0);
}

static const char *const roots[] = {"sha256", "oci", "http", "https"};

static void lookup_digest(struct blobs *b, const char *path, struct fs_lookup *ask)
{
	struct blob_lookup *l = blob_lookup_new(b, path, ask);
	const char *hex = path + strlen("sha256/");
	struct err e = {0};

	if (digest_is_hex64(hex)) {
		cleanup(free_at) char *digest = mem_printf("sha256:%s", hex);

		blob_lookup_open(l, NULL, digest, true, false, NULL);
	} else {
		err_set(&e, ENOENT, "%s is no sha256 in lower-case hex", hex);
		blob_lookup_answer_error(l, &e);
	}
}

static void blobs_lookup(void *src, const char *path, struct fs_lookup *ask)
{
	const struct fs_entry root = {.kind = FS_DIR, .lasting = true};
	struct blobs *b = src;
	struct err e = {0};

	for (size_t i = 0; i < array_len(roots); i++)
		if (strcmp(path, roots[i]) == 0) {
			ask->done(ask, &root, NULL);
			return;
		}
	if (is_under(path, "sha256")) {
		lookup_digest(b, path, ask);
	} else if (is_under(path, "oci")) {
		oci_tree_lookup(b, path, ask);
	} else if (is_under(path, "http") || is_under(path, "https")) {
		http_tree_lookup(b, path, ask);
	} else {
		err_set(&e, ENOENT, "%s", path);
		ask->done(ask, NULL, &e);
	}
}

/* ---- what is here */

struct listing {
	fs_list_fn fn;
	void *arg;
};

/* Tasks whose id is the digest of their content; of the others the URL is the name. */
static void list_digest(const struct store_meta *m, uint32_t present, void *arg)
{
	const struct listing *l = arg;
	const char *hex;

	if ((present > 0 || m->whole_verified) && m->digest && digest_is_sha256(m->digest, &hex) &&
	    strcmp(hex, m->id) == 0)
		l->fn(l->arg, hex, FS_FILE);
}

static void blobs_list(void *src, const char *path, fs_list_fn fn, void *arg)
{
	struct listing l = {.fn = fn, .arg = arg};
	struct blobs *b = src;

	if (!*path) {
		for (size_t i = 0; i < array_len(roots); i++)
			fn(arg, roots[i], FS_DIR);
	} else if (strcmp(path, "sha256") == 0) {
		tasks_each(b->tasks, list_digest, &l);
	} else if (is_under(path, "oci")) {
		oci_tree_list(b, path, fn, arg);
	} else if (is_under(path, "http") || is_under(path, "https")) {
		http_tree_list(b, path, fn, arg);
	}
}

const struct fs_source_ops blobs_ops = {
	.lookup = blobs_lookup,
	.lookup_cancel = blob_lookup_cancel,
	.list = blobs_list,
	.open = blob_open,
	.open_cancel = blob_open_cancel,
	.close = blob_close,
	.read = blob_read,
	.read_cancel = blob_read_cancel,
	.complete_fd = blob_complete_fd,
	.ref = blob_ref,
	.unref = blob_unref,
	.attr = blob_attr,
};
