/* Files to be changed. */
#include "contrib/dfinit/plan.h"

#include "base/buf.h"
#include "base/mem.h"
#include "contrib/dfinit/diff.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int plan_slurp(const char *path, char **out, size_t *len_out, struct err *e)
{
	struct buf b cleanup(buf_release) = BUF_INIT(PLAN_FILE_MAX);
	int fd cleanup(close_at) = open(path, O_RDONLY | O_CLOEXEC);
	char part[16384];
	ssize_t n;

	if (fd < 0)
		return err_set(e, errno, "open %s", path);
	while ((n = read(fd, part, sizeof(part))) > 0)
		buf_append(&b, part, (size_t)n);
	if (n < 0)
		return err_set(e, errno, "read %s", path);
	if (b.overflow)
		return err_set(e, EMSGSIZE, "%s: more than 1 MiB", path);
	*len_out = b.len;
	*out = buf_take(&b);
	return 0;
}

static struct plan_file *find(const struct plan *p, const char *path)
{
	for (size_t i = 0; i < p->count; i++)
		if (strcmp(p->files[i].path, path) == 0)
			return &p->files[i];
	return NULL;
}

/* A link stays a link: what it leads to is changed. */
static char *follow(const struct plan *p, const char *path)
{
	char *full cleanup(free_at) = mem_printf("%s%s", p->root, path);
	char *real cleanup(free_at) = realpath(full, NULL);
	size_t len = strlen(p->root);

	if (!real || (len && strncmp(real, p->root, len) != 0))
		return mem_strdup(path);
	return mem_strdup(real + len);
}

int plan_read(struct plan *p, const char *path, const char **out, struct err *e)
{
	char *real cleanup(free_at) = follow(p, path);
	char *full cleanup(free_at) = mem_printf("%s%s", p->root, real);
	struct plan_file *f = find(p, real), made = {.mode = 0644};
	struct stat st;
	int r;

	if (f) {
		*out = f->after;
		return 0;
	}
	if (stat(full, &st) == 0) {
		r = plan_slurp(full, &made.before, &made.before_len, e);
		if (r == 0 && memchr(made.before, 0, made.before_len))
			r = err_set(e, EINVAL, "%s is no text file", full);
		if (r < 0) {
			free(made.before);
			return r;
		}
		made.after = mem_dup(made.before, made.before_len + 1);
		made.after_len = made.before_len;
		made.mode = st.st_mode & 07777;
		made.uid = st.st_uid;
		made.gid = st.st_gid;
	} else if (errno != ENOENT && errno != ENOTDIR) {
		return err_set(e, errno, "%s", full);
	}
	made.path = take_ptr(&real);
	p->files = mem_realloc(p->files, (p->count + 1) * sizeof(*p->files));
	p->files[p->count++] = made;
	*out = made.after;
	return 0;
}

void plan_write(struct plan *p, const char *path, const char *text)
{
	char *real cleanup(free_at) = follow(p, path);
	struct plan_file *f = find(p, real);

	free(f->after);
	f->after = mem_strdup(text);
	f->after_len = strlen(text);
}

bool plan_file_changes(const struct plan_file *f)
{
	if (!f->before || !f->after)
		return f->before != f->after;
	return f->before_len != f->after_len || memcmp(f->before, f->after, f->after_len) != 0;
}

bool plan_changes(const struct plan *p, const char *path)
{
	char *real cleanup(free_at) = follow(p, path);
	const struct plan_file *f = find(p, real);

	return f && plan_file_changes(f);
}

size_t plan_size(const struct plan *p)
{
	size_t count = 0;

	for (size_t i = 0; i < p->count; i++)
		count += plan_file_changes(&p->files[i]);
	return count;
}

void plan_print(const struct plan *p, FILE *out)
{
	for (size_t i = 0; i < p->count; i++) {
		const struct plan_file *f = &p->files[i];

		if (!plan_file_changes(f))
			continue;
		fprintf(out, "--- %s%s\n+++ %s%s\n", f->before ? p->root : "",
			f->before ? f->path : "/dev/null", p->root, f->path);
		diff_print(f->before ? f->before : "", f->after ? f->after : "", out);
	}
}

void plan_release(struct plan *p)
{
	for (size_t i = 0; i < p->count; i++) {
		free(p->files[i].path);
		free(p->files[i].before);
		free(p->files[i].after);
	}
	free(p->files);
	p->files = NULL;
	p->count = 0;
}
