/* Questions to the daemon, and mounts. */
#include "contrib/containerd/lazy.h"

#include "base/digest.h"
#include "base/dir.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "proto/rpc.h"

#include <errno.h>
#include <linux/magic.h>
#include <skimmer_v1.pb-c.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define RANK_LAZY   10
#define OPTIONS_MAX 4000 /* of mount(2): a page */
#define DIRECT	    "directio,"
#define TAR_BLOCK   512
#define LAYERS_MAX  512
#define CHAIN_LEN   (7 + DIGEST_HEX_LEN)

/* What this process mounted: the file or directory below and the file system that it was on. */
struct mounted {
	char *below;
	dev_t dev;
};

struct lazy {
	struct rpc_channel *channel;
	int64_t timeout_ms;

	struct lock lock; /* all below */
	struct cond changed;
	struct map *busy;    /* directories that somebody mounts or unmounts at */
	struct map *mounted; /* dir -> struct mounted */
};

struct lazy *lazy_new(const char *daemon_socket, int64_t timeout_ms)
{
	char *target cleanup(free_at) = mem_printf("unix:%s", daemon_socket);
	struct lazy *z = mem_new(struct lazy);

	z->channel = rpc_channel_new(target, NULL);
	z->timeout_ms = timeout_ms;
	lock_init(&z->lock, RANK_LAZY);
	cond_init(&z->changed);
	z->busy = map_new();
	z->mounted = map_new();
	return z;
}

static void mounted_free(struct mounted *m)
{
	if (!m)
		return;
	free(m->below);
	free(m);
}

void lazy_free(struct lazy *z)
{
	const char *dir;
	size_t at = 0;
	void *value;

	if (!z)
		return;
	while (map_next(z->mounted, &at, &dir, &value))
		mounted_free(value);
	map_free(z->mounted);
	map_free(z->busy);
	cond_release(&z->changed);
	lock_release(&z->lock);
	rpc_channel_free(z->channel);
	free(z);
}

/* ---- the daemon */

void lazy_layer_release(struct lazy_layer *l)
{
	free(l->diff_id);
	free(l->layer);
	free(l->erofs_path);
	free(l->data_path);
	free(l->tree_path);
	*l = (struct lazy_layer){0};
}

/* Cuts the list, which the result points into; the caller frees that. */
static char **split(char *list, size_t *count_out)
{
	char **parts = NULL, *rest = NULL;

	*count_out = 0;
	for (char *p = strtok_r(list, ",", &rest); p && *count_out < LAYERS_MAX;
	     p = strtok_r(NULL, ",", &rest)) {
		parts = mem_realloc(parts, (*count_out + 1) * sizeof(*parts));
		parts[(*count_out)++] = p;
	}
	return parts;
}

int lazy_ask(struct lazy *z, const struct lazy_question *q, struct lazy_layer *out, struct err *e)
{
	Skimmer__V1__OpenLayerRequest rq = SKIMMER__V1__OPEN_LAYER_REQUEST__INIT;
	char *list cleanup(free_at) = mem_strdup(q->layers ? q->layers : "");
	char **next cleanup(free_at) = split(list, &rq.n_next);
	const Skimmer__V1__OpenLayerResponse *answer;
	ProtobufCMessage *m;
	int r;

	rq.digest = (char *)q->digest;
	rq.image = (char *)(q->image ? q->image : "");
	rq.manifest = (char *)(q->manifest ? q->manifest : "");
	rq.next = next;
	r = rpc_unary(z->channel, "/skimmer.v1.Layers/OpenLayer", &rq.base,
		      &skimmer__v1__open_layer_response__descriptor, z->timeout_ms, &m, NULL, e);
	if (r < 0)
		return r;
	answer = (const void *)m;
	*out = (struct lazy_layer){.diff_id = mem_strdup(answer->diff_id),
				   .layer =
					   mem_strdup(answer->layer[0] ? answer->layer : q->digest),
				   .erofs_path = mem_strdup(answer->erofs_path),
				   .data_path = mem_strdup(answer->data_path),
				   .tree_path = mem_strdup(answer->tree_path),
				   .size = answer->size,
				   .inodes = answer->inodes,
				   .implied_dirs = answer->implied_dirs};
	protobuf_c_message_free_unpacked(m, NULL);
	return 0;
}

bool lazy_is_chain(const char *chain_id, const char *parent_chain_id, const char *diff_id)
{
	char text[2 * CHAIN_LEN + 2], hex[DIGEST_HEX_LEN + 1];
	const char *unused;

	if (!digest_is_sha256(chain_id, &unused) || !digest_is_sha256(diff_id, &unused))
		return false;
	if (!parent_chain_id)
		return strcmp(chain_id, diff_id) == 0;
	if (!digest_is_sha256(parent_chain_id, &unused))
		return false;
	snprintf(text, sizeof(text), "%s %s", parent_chain_id, diff_id);
	sha256_hex(text, strlen(text), hex);
	return strcmp(chain_id + 7, hex) == 0;
}

/* ---- mounts */

static void begin(struct lazy *z, const char *dir)
{
	lock_guard(&z->lock);
	while (map_get(z->busy, dir))
		cond_wait(&z->changed, &z->lock);
	map_put(z->busy, dir, z);
}

static void end(struct lazy *z, const char *dir)
{
	lock_guard(&z->lock);
	map_remove(z->busy, dir);
	cond_wake_all(&z->changed);
}

static struct mounted *note(struct lazy *z, const char *dir, struct mounted *m)
{
	lock_guard(&z->lock);
	return m ? map_put(z->mounted, dir, m) : map_remove(z->mounted, dir);
}

enum below { NOT_KNOWN, ALIVE, GONE };

/* Whether the file system below is the one that it was mounted over: its daemon lives. */
static enum below look_below(struct lazy *z, const char *dir)
{
	char *path cleanup(free_at) = NULL;
	const struct mounted *m;
	struct stat st;
	dev_t dev = 0;

	lock_take(&z->lock);
	m = map_get(z->mounted, dir);
	if (m) {
		path = mem_strdup(m->below);
		dev = m->dev;
	}
	lock_drop(&z->lock);
	if (!path)
		return NOT_KNOWN;
	return stat(path, &st) == 0 && st.st_dev == dev ? ALIVE : GONE;
}

/* Until nothing is mounted there. Containers that use it go on. */
static void unmount_all(const char *dir)
{
	while (umount2(dir, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		;
}

/* Whether the kernel can read the file past its cache as EROFS would: in blocks of 512 bytes. FUSE
 * cannot, nor can disks whose sectors are larger. */
static bool takes_direct_reads(const char *path)
{
	struct statx at;

	return statx(AT_FDCWD, path, 0, STATX_DIOALIGN, &at) == 0 &&
	       (at.stx_mask & STATX_DIOALIGN) && at.stx_dio_offset_align > 0 &&
	       at.stx_dio_offset_align <= TAR_BLOCK && at.stx_dio_mem_align <= TAR_BLOCK;
}

/* A whole layer's file directly: otherwise the file system below reads ahead, too, and keeps what
 * EROFS keeps already. Older kernels do not know the option. */
static int mount_erofs(const char *dir, const struct lazy_layer *l, struct err *e)
{
	char options[OPTIONS_MAX];
	const char *device = options + strlen(DIRECT);

	if (strchr(l->data_path, ',') ||
	    snprintf(options, sizeof(options), DIRECT "device=%s", l->data_path) >= OPTIONS_MAX)
		return err_set(e, EINVAL, "%s cannot be named in a mount", l->data_path);
	if (takes_direct_reads(l->data_path) &&
	    mount(l->erofs_path, dir, "erofs", MS_RDONLY, options) == 0)
		return 0;
	if (mount(l->erofs_path, dir, "erofs", MS_RDONLY, device) < 0)
		return err_set(e, errno, "mount its image at %s", dir);
	return 0;
}

/* The daemon's own mount has neither devices nor set-user-id programs; a container's root has. It
 * is in a directory of root's alone, as EROFS is. */
static int mount_tree(const char *dir, const struct lazy_layer *l, struct err *e)
{
	if (mount(l->tree_path, dir, NULL, MS_BIND, NULL) < 0)
		return err_set(e, errno, "bind its tree to %s", dir);
	if (mount(NULL, dir, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0)
		return 0;
	err_set(e, errno, "make its tree at %s what a container's root is", dir);
	unmount_all(dir);
	return -e->code;
}

static int mount_layer(struct lazy *z, const char *dir, const struct lazy_layer *l, struct err *e)
{
	const char *below = l->tree_path[0] ? l->tree_path : l->data_path;
	struct mounted *m;
	struct stat st;
	int r;

	if (stat(below, &st) < 0)
		return err_set(e, errno, "%s", below);
	if (dir_make(dir, 0700, e) < 0)
		return -e->code;
	unmount_all(dir);
	r = l->tree_path[0] ? mount_tree(dir, l, e) : mount_erofs(dir, l, e);
	if (r < 0)
		return r;
	m = mem_new(struct mounted);
	*m = (struct mounted){.below = mem_strdup(below), .dev = st.st_dev};
	mounted_free(note(z, dir, m));
	return 0;
}

/* A layer, by whichever: what is below is on the disk. */
static bool is_mounted(const char *dir)
{
	struct statfs fs;

	return statfs(dir, &fs) == 0 &&
	       (fs.f_type == EROFS_SUPER_MAGIC_V1 || fs.f_type == FUSE_SUPER_MAGIC);
}

static int ask_and_mount(struct lazy *z, const char *dir, const char *digest, enum below below,
			 struct err *e)
{
	const struct lazy_question q = {.digest = digest};
	struct lazy_layer l cleanup(lazy_layer_release) = {0};
	int r = lazy_ask(z, &q, &l, e);

	/* What an earlier process mounted may well be whole. */
	if (r == -EHOSTUNREACH && below == NOT_KNOWN && is_mounted(dir)) {
		log_warn("daemon is not there, its layer is used as it is mounted",
			 "layer=%s why=\"%s\"", digest, e->text);
		return 0;
	}
	return r < 0 ? r : mount_layer(z, dir, &l, e);
}

int lazy_show(struct lazy *z, const char *dir, const struct lazy_layer *l, struct err *e)
{
	int r;

	begin(z, dir);
	r = mount_layer(z, dir, l, e);
	end(z, dir);
	return r < 0 ? err_wrap(e, "lazy layer %s", l->layer) : 0;
}

int lazy_mount(struct lazy *z, const char *dir, const char *digest, struct err *e)
{
	enum below below;
	int r = 0;

	begin(z, dir);
	below = look_below(z, dir);
	if (below != ALIVE)
		r = ask_and_mount(z, dir, digest, below, e);
	end(z, dir);
	return r < 0 ? err_wrap(e, "lazy layer %s", digest) : 0;
}

int lazy_keep(struct lazy *z, const char *dir, const char *digest, struct err *e)
{
	return is_mounted(dir) ? 0 : lazy_mount(z, dir, digest, e);
}

void lazy_unmount(struct lazy *z, const char *dir)
{
	begin(z, dir);
	unmount_all(dir);
	mounted_free(note(z, dir, NULL));
	end(z, dir);
}
