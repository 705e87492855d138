/* Files of a layer, made of its index. Must not know the table of layers. */
#include "daemon/layer_install.h"

#include "base/mem.h"
#include "fs/layer/index.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void unlink_at(char **path)
{
	if (*path)
		unlink(*path);
	free(*path);
	*path = NULL;
}

static char *path_of(const char *dir, const char *id, const char *ending)
{
	return mem_printf("%s/%s.%s", dir, id, ending);
}

static int copy_file(int from, const char *to, struct err *e)
{
	int fd cleanup(close_at) = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	char room[16384];
	off_t off = 0;
	ssize_t n;

	if (fd < 0)
		return err_set(e, errno, "make %s", to);
	while ((n = pread(from, room, sizeof(room), off)) > 0) {
		for (ssize_t at = 0; at < n;) {
			ssize_t m = write(fd, room + at, (size_t)(n - at));

			if (m < 0)
				return err_set(e, errno, "write %s", to);
			at += m;
		}
		off += n;
	}
	if (n < 0 || fsync(fd) < 0)
		return err_set(e, errno, "copy to %s", to);
	return 0;
}

static int make_erofs(const struct layer_index *ix, const char *to, struct err *e)
{
	int fd cleanup(close_at) = open(to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return err_set(e, errno, "make %s", to);
	r = index_erofs_write(ix, fd, e);
	if (r == 0 && fsync(fd) < 0)
		r = err_set(e, errno, "sync %s", to);
	return r;
}

static int sync_dir(const char *dir, struct err *e)
{
	int fd cleanup(close_at) = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return err_set(e, errno, "sync %s", dir);
	return 0;
}

static int give_name(const char *from, const char *to, struct err *e)
{
	return rename(from, to) < 0 ? err_set(e, errno, "rename to %s", to) : 0;
}

static int check_index(const struct layer_info *i, const char *id, uint64_t span_len_max,
		       struct err *e)
{
	if (strcmp(i->id, id) != 0)
		return err_set(e, EBADMSG, "the index is of layer %s", i->digest);
	if (i->span_len_max > span_len_max)
		return err_set(e, ENOTSUP,
			       "%" PRIu64 " bytes have to be inflated for one: better taken whole",
			       i->span_len_max);
	return 0;
}

int layer_install(const char *dir, const char *id, int fd, uint64_t span_len_max, struct err *e)
{
	struct layer_index *ix cleanup(index_free_at) = NULL;
	char *idx_tmp cleanup(unlink_at) = path_of(dir, id, "idx.tmp");
	char *erofs_tmp cleanup(unlink_at) = path_of(dir, id, "erofs.tmp");
	char *idx cleanup(free_at) = path_of(dir, id, "idx");
	char *erofs cleanup(free_at) = path_of(dir, id, "erofs");
	int r = index_open(fd, &ix, e);

	if (r == 0)
		r = check_index(index_info(ix), id, span_len_max, e);
	if (r == 0)
		r = index_check_rest(ix, e);
	if (r == 0)
		r = make_erofs(ix, erofs_tmp, e);
	if (r == 0)
		r = copy_file(fd, idx_tmp, e);
	if (r == 0)
		r = give_name(erofs_tmp, erofs, e);
	if (r == 0)
		r = give_name(idx_tmp, idx, e);
	return r < 0 ? r : sync_dir(dir, e);
}
