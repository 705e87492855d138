/*
 * The layer index by hand, for stories and benches.
 *
 *   layer_tool build LAYER INDEX [user]     build; prints what is known of the layer, and the speed
 *   layer_tool erofs INDEX IMAGE            unpack the EROFS image
 *   layer_tool mount IMAGE TAR DIR          mount it over the uncompressed tar
 *   layer_tool show IMAGE TAR DIR           show it by FUSE at DIR/tree, until a signal
 *   layer_tool unpack INDEX LAYER TAR       all of the tar, read at random
 *   layer_tool read INDEX LAYER OFFSET LEN  these bytes of the tar to standard output
 */
#include "base/mem.h"
#include "base/timer.h"
#include "fs/layer/unpack.h"
#include "fs/session.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <time.h>

static int say(const struct err *e)
{
	fprintf(stderr, "layer_tool: %s\n", e->text);
	return 1;
}

static int open_file(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);

	if (fd < 0) {
		perror(path);
		exit(2);
	}
	return fd;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void print(const struct layer_info *i, double seconds)
{
	printf("digest=%s diff_id=%s compression=%d toc=%d compressed=%" PRIu64 " len=%" PRIu64
	       " erofs=%" PRIu64 " inodes=%" PRIu64 " checkpoints=%u span_max=%" PRIu64
	       " implied=%u in_mb_s=%.0f out_mb_s=%.0f\n",
	       i->digest, i->diff_id, i->compression, i->toc, i->compressed_len, i->len,
	       i->erofs_len, i->inode_count, i->checkpoint_count, i->span_len_max, i->implied_dirs,
	       (double)i->compressed_len / seconds / 1e6, (double)i->len / seconds / 1e6);
}

static int build(const char *layer, const char *index, bool user)
{
	struct index_options options = {.user_xattrs = user};
	cleanup(close_at) int in = open_file(layer, O_RDONLY);
	cleanup(close_at) int out = open_file(index, O_RDWR | O_CREAT | O_TRUNC);
	cleanup(free_at) char *part = mem_alloc(256 * 1024);
	double start = now();
	struct index_build *b;
	struct layer_info info;
	struct err e;
	ssize_t n;
	int r = index_build_new(&options, &b, &e);

	if (r < 0)
		return say(&e);
	while (r == 0 && (n = read(in, part, 256 * 1024)) > 0)
		r = index_build_feed(b, part, (size_t)n, &e);
	if (r == 0)
		r = index_build_end(b, out, &info, &e);
	index_build_free(b);
	if (r < 0)
		return say(&e);
	print(&info, now() - start);
	return 0;
}

struct files {
	int layer, tar; /* tar is -1: standard output, cut to the range */
	uint64_t from, end;
};

static ssize_t read_layer(void *arg, uint64_t offset, void *buf, size_t len)
{
	return pread(((struct files *)arg)->layer, buf, len, (off_t)offset);
}

static int write_block(void *arg, uint64_t offset, const void *data, size_t len, struct err *e)
{
	struct files *f = arg;
	uint64_t end = offset + len;

	if (f->tar >= 0)
		return pwrite(f->tar, data, len, (off_t)offset) == (ssize_t)len
			       ? 0
			       : err_set(e, EIO, "write the tar");
	if (end > f->end)
		end = f->end;
	if (offset < f->from)
		data = (const char *)data + (f->from - offset);
	if (offset < f->from)
		offset = f->from;
	if (offset < end)
		fwrite(data, 1, end - offset, stdout);
	return 0;
}

static int unpack(const struct layer_index *ix, struct files *f, struct err *e)
{
	struct unpack_io io = {read_layer, write_block, f};
	int r = 0;

	if (f->tar < 0)
		return unpack_range(ix, f->from, f->end - f->from, &io, e);
	/* From the back, a block at a time. */
	for (uint64_t at = index_info(ix)->len; r == 0 && at > 0;) {
		at = (at - 1) / LAYER_BLOCK_LEN * LAYER_BLOCK_LEN;
		r = unpack_range(ix, at, 1, &io, e);
	}
	return r;
}

static int with_index(int argc, char **argv)
{
	cleanup(close_at) int fd = open_file(argv[2], O_RDONLY);
	struct files f = {-1, -1, 0, 0};
	struct layer_index *ix;
	struct err e;
	int r = index_open(fd, &ix, &e);

	if (r < 0)
		return say(&e);
	if (strcmp(argv[1], "erofs") == 0) {
		cleanup(close_at) int out = open_file(argv[3], O_RDWR | O_CREAT | O_TRUNC);

		r = index_erofs_write(ix, out, &e);
	} else {
		f.layer = open_file(argv[3], O_RDONLY);
		if (argc == 6) {
			f.from = strtoull(argv[4], NULL, 10);
			f.end = f.from + strtoull(argv[5], NULL, 10);
		} else {
			f.tar = open_file(argv[4], O_RDWR | O_CREAT | O_TRUNC);
		}
		r = unpack(ix, &f, &e);
		close_at(&f.layer);
		close_at(&f.tar);
	}
	index_free(ix);
	return r < 0 ? say(&e) : 0;
}

/* ---- by FUSE */

#define HOLE_MAX (1u << 20)

struct shown {
	int image, tar, zeros;
};

static int open_shown(void *src, const char *name, struct fs_forest_layer *out, struct err *e)
{
	struct shown *s = src;

	if (strcmp(name, "tree") != 0)
		return err_set(e, ENOENT, "%s", name);
	*out = (struct fs_forest_layer){.layer = s, .image_fd = dup(s->image), .version = 1};
	return 0;
}

static void close_shown(void *src, void *layer)
{
	(void)src;
	(void)layer;
}

static void list_shown(void *src, fs_list_fn fn, void *arg)
{
	(void)src;
	fn(arg, "tree", FS_DIR);
}

static void read_shown(void *src, void *layer, const struct erofs_extent *x, unsigned count,
		       struct fs_read *ask)
{
	struct fs_extent *all = mem_array(count, sizeof(*all));
	const struct shown *s = layer;

	(void)src;
	for (unsigned i = 0; i < count; i++)
		all[i] = (struct fs_extent){.fd = x[i].hole ? s->zeros : s->tar,
					    .off = x[i].hole ? 0 : x[i].pos,
					    .len = x[i].len};
	ask->done(ask, all, count, NULL);
	free(all);
}

static bool cancel_shown(void *src, struct fs_read *ask)
{
	(void)src;
	(void)ask;
	return false;
}

static const struct fs_forest_ops shown_ops = {
	.open = open_shown,
	.close = close_shown,
	.list = list_shown,
	.read = read_shown,
	.read_cancel = cancel_shown,
};

static int show(const char *image, const char *tar, const char *dir)
{
	struct shown src = {.image = open_file(image, O_RDONLY),
			    .tar = open_file(tar, O_RDONLY),
			    .zeros = memfd_create("zeros", MFD_CLOEXEC)};
	const struct fs_config c = {
		.path = dir, .allow_other = true, .read_ahead_kb = 1024, .read_timeout_ms = 60000};
	struct fs_session *s;
	struct err e;
	sigset_t ends;
	int sig;

	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	timer_start();
	if (src.zeros < 0 || ftruncate(src.zeros, HOLE_MAX) < 0 ||
	    fs_forest_new(&c, &shown_ops, &src, &s, &e) < 0)
		return say(&e);
	puts("shown");
	fflush(stdout);
	sigwait(&ends, &sig);
	fs_session_free(s);
	timer_stop();
	return 0;
}

int main(int argc, char **argv)
{
	char options[4200];

	if (argc >= 4 && strcmp(argv[1], "build") == 0)
		return build(argv[2], argv[3], argc > 4);
	if (argc == 5 && strcmp(argv[1], "mount") == 0) {
		snprintf(options, sizeof(options), "device=%s", argv[3]);
		if (mount(argv[2], argv[4], "erofs", MS_RDONLY, options) == 0)
			return 0;
		perror("mount");
		return 1;
	}
	if (argc == 5 && strcmp(argv[1], "show") == 0)
		return show(argv[2], argv[3], argv[4]);
	if (argc >= 4)
		return with_index(argc, argv);
	fputs("layer_tool: see its first lines\n", stderr);
	return 2;
}
