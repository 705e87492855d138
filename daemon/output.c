/*
 * A file that a download leaves for a user (output.h). It is not synced: like every downloader's,
 * it is safe once the kernel has written it; the store keeps its own, verified copy.
 */
#include "daemon/output.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define COPY_LEN (256u << 10)

struct output {
	char *path, *tmp;
	int fd;
	bool overwrite, published;
};

int output_new(const char *path, bool overwrite, struct output **out, struct err *e)
{
	struct output *o;
	struct stat st;

	if (path[0] != '/')
		return err_set(e, EINVAL, "output path %s is not absolute", path);
	if (lstat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return err_set(e, EISDIR, "output path %s", path);
		if (!overwrite)
			return err_set(e, EEXIST, "output path %s", path);
	}
	o = mem_new(struct output);
	o->path = mem_strdup(path);
	o->tmp = mem_printf("%s.part-XXXXXX", path);
	o->overwrite = overwrite;
	o->fd = mkostemp(o->tmp, O_CLOEXEC);
	if (o->fd < 0) {
		int r = err_set(e, errno, "create a file beside %s", path);

		free(take_ptr(&o->tmp));
		output_free(o);
		return r;
	}
	/* What a new file of anybody's would get with the common umask. */
	(void)fchmod(o->fd, 0644);
	*out = o;
	return 0;
}

/* By the kernel, without our memory; -errno when it cannot. */
static int copy_in_kernel(struct output *o, int fd, uint64_t *off, uint64_t *len, uint64_t *at_off)
{
	while (*len > 0) {
		off64_t from = (off64_t)*off, to = (off64_t)*at_off;
		ssize_t n = copy_file_range(fd, &from, o->fd, &to, (size_t)*len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		*off += (uint64_t)n;
		*at_off += (uint64_t)n;
		*len -= (uint64_t)n;
	}
	return 0;
}

static int copy_by_hand(struct output *o, int fd, uint64_t off, uint64_t len, uint64_t at_off,
			struct err *e)
{
	cleanup(free_at) char *buffer = mem_alloc(COPY_LEN);

	while (len > 0) {
		ssize_t got =
			pread(fd, buffer, len < COPY_LEN ? (size_t)len : COPY_LEN, (off_t)off);
		ssize_t put = got;

		if (got > 0)
			put = pwrite(o->fd, buffer, (size_t)got, (off_t)at_off);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return err_set(e, errno, "write %s", o->path);
		if (put == 0)
			return err_set(e, EIO, "content is shorter than it should be");
		off += (uint64_t)put;
		at_off += (uint64_t)put;
		len -= (uint64_t)put;
	}
	return 0;
}

int output_write(struct output *o, int fd, uint64_t off, uint64_t len, uint64_t at_off,
		 struct err *e)
{
	int r = copy_in_kernel(o, fd, &off, &len, &at_off);

	if (r == -ENOSPC || r == -EDQUOT || r == -EFBIG)
		return err_set(e, -r, "write %s", o->path);
	/* Anything else is a pair of files that the kernel does not copy between. */
	return r == 0 ? 0 : copy_by_hand(o, fd, off, len, at_off, e);
}

int output_link(struct output *o, int fd, struct err *e)
{
	char self[64];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (unlink(o->tmp) < 0)
		return err_set(e, errno, "unlink %s", o->tmp);
	if (linkat(AT_FDCWD, self, AT_FDCWD, o->tmp, AT_SYMLINK_FOLLOW) < 0)
		return err_set(e, errno, "hard link %s", o->path);
	return 0;
}

/* Without replacing anything. */
static int rename_to_new(struct output *o)
{
	if (renameat2(AT_FDCWD, o->tmp, AT_FDCWD, o->path, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* A file system that cannot say so: a second name fails if there is one. */
	if (link(o->tmp, o->path) < 0)
		return -errno;
	(void)unlink(o->tmp);
	return 0;
}

int output_publish(struct output *o, struct err *e)
{
	int r;

	if (o->overwrite)
		r = rename(o->tmp, o->path) < 0 ? -errno : 0;
	else
		r = rename_to_new(o);
	if (r < 0)
		return err_set(e, -r, "name %s", o->path);
	o->published = true;
	return 0;
}

void output_free(struct output *o)
{
	if (!o)
		return;
	if (o->tmp && !o->published)
		(void)unlink(o->tmp);
	close_at(&o->fd);
	free(o->tmp);
	free(o->path);
	free(o);
}
