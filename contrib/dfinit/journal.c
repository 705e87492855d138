/* The journal and its originals. */
#include "contrib/dfinit/journal.h"

#include "base/digest.h"
#include "base/dir.h"
#include "base/json.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>

#define JOURNAL_MAX (4u << 20)

static int sync_dir_of(const char *path, struct err *e)
{
	char *copy cleanup(free_at) = mem_strdup(path);
	int fd cleanup(close_at) = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return err_set(e, errno, "sync the directory of %s", path);
	return 0;
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

struct owner {
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

/* Whole or not at all: temporary name, sync, rename. */
static int write_file(const char *path, const char *text, size_t len, struct owner o, struct err *e)
{
	char *part cleanup(free_at) = mem_printf("%s.dfinit-new", path);
	int fd cleanup(close_at) = -1;
	int r;

	unlink(part);
	fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(e, errno, "create %s", part);
	r = write_all(fd, text, len);
	if (r == 0 && (fchown(fd, o.uid, o.gid) < 0 || fchmod(fd, o.mode) < 0 || fsync(fd) < 0 ||
		       rename(part, path) < 0))
		r = -errno;
	if (r < 0) {
		unlink(part);
		return err_set(e, -r, "write %s", path);
	}
	return sync_dir_of(path, e);
}

static int load(const char *dir, json_t **out, struct err *e)
{
	char *path cleanup(free_at) = mem_printf("%s/journal.json", dir);
	char *text cleanup(free_at) = NULL;
	size_t len = 0;
	int r = plan_slurp(path, &text, &len, e);

	if (r == -ENOENT) {
		*out = json_pack("{s:[],s:[]}", "files", "dirs");
		return 0;
	}
	if (r == 0)
		r = json_parse(text, len, JOURNAL_MAX, out, e);
	if (r < 0)
		return err_wrap(e, "%s", path);
	if (!json_is_array(json_object_get(*out, "files")) ||
	    !json_is_array(json_object_get(*out, "dirs")))
		return err_set(e, EINVAL, "%s is no journal of dfinit's", path);
	for (size_t i = 0; i < json_array_size(json_object_get(*out, "dirs")); i++)
		if (!json_is_string(json_array_get(json_object_get(*out, "dirs"), i)))
			return err_set(e, EINVAL, "%s is damaged", path);
	return 0;
}

static int save(const char *dir, const json_t *journal, struct err *e)
{
	char *path cleanup(free_at) = mem_printf("%s/journal.json", dir);
	char *text cleanup(free_at) = json_print(journal);

	return write_file(path, text, strlen(text), (struct owner){0600, geteuid(), getegid()}, e);
}

static json_t *find(json_t *journal, const char *path)
{
	json_t *files = json_object_get(journal, "files");

	for (size_t i = 0; i < json_array_size(files); i++) {
		json_t *f = json_array_get(files, i);
		const char *its = json_str(f, "path");

		if (its && strcmp(its, path) == 0)
			return f;
	}
	return NULL;
}

/* Directories that must be made for path; the undo takes them away if they are empty then. */
static void note_dirs(json_t *journal, const struct plan *p, const char *path)
{
	json_t *dirs = json_object_get(journal, "dirs");
	char *at cleanup(free_at) = mem_strdup(path);

	for (char *slash = strchr(at + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		char *full cleanup(free_at) = NULL;
		bool known = false;

		*slash = 0;
		full = mem_printf("%s%s", p->root, at);
		for (size_t i = 0; i < json_array_size(dirs); i++)
			known |= strcmp(json_string_value(json_array_get(dirs, i)), at) == 0;
		if (!known && access(full, F_OK) < 0)
			json_array_append_new(dirs, json_string(at));
		*slash = '/';
	}
}

/* Keeps what the file is, unless an earlier setup has, and notes what it will be. */
static int note_file(const char *dir, json_t *journal, const struct plan *p,
		     const struct plan_file *f, struct err *e)
{
	char *backup cleanup(free_at) = NULL, *name cleanup(free_at) = NULL;
	char after[DIGEST_HEX_LEN + 1], before[DIGEST_HEX_LEN + 1];
	json_t *known = find(journal, f->path);
	int r = 0;

	sha256_hex(f->after, f->after_len, after);
	sha256_hex(f->before ? f->before : "", f->before_len, before);
	if (!known) {
		name = mem_printf("%zu.orig", json_array_size(json_object_get(journal, "files")));
		backup = mem_printf("%s/%s", dir, name);
		known = json_pack("{s:s,s:b,s:i,s:i,s:i,s:s}", "path", f->path, "existed",
				  f->before != NULL, "mode", (int)f->mode, "uid", (int)f->uid,
				  "gid", (int)f->gid, "backup", name);
		json_array_append_new(json_object_get(journal, "files"), known);
		if (f->before)
			r = write_file(backup, f->before, f->before_len,
				       (struct owner){0600, geteuid(), getegid()}, e);
	}
	/* Until the rename it is what it was: both are ours. */
	json_object_set_new(known, "was", json_string(before));
	json_object_set_new(known, "written", json_string(after));
	note_dirs(journal, p, f->path);
	return r;
}

int journal_apply(const char *dir, const struct plan *p, struct err *e)
{
	json_t *journal cleanup(json_decref_at) = NULL;
	int r = dir_make(dir, 0700, e);

	if (r == 0)
		r = load(dir, &journal, e);
	for (size_t i = 0; r == 0 && i < p->count; i++)
		if (plan_file_changes(&p->files[i]))
			r = note_file(dir, journal, p, &p->files[i], e);
	if (r == 0)
		r = save(dir, journal, e);
	for (size_t i = 0; r == 0 && i < p->count; i++) {
		const struct plan_file *f = &p->files[i];
		char *full cleanup(free_at) = mem_printf("%s%s", p->root, f->path);

		if (!plan_file_changes(f))
			continue;
		r = dir_make_parent(full, 0755, e);
		if (r == 0)
			r = write_file(full, f->after, f->after_len,
				       (struct owner){f->mode, f->uid, f->gid}, e);
	}
	return r;
}

/* ---- undo */

/* Is the file as setup left it, or as it was before? */
static int check_untouched(const json_t *f, const char *full, struct err *e)
{
	const char *written = json_str(f, "written"), *was = json_str(f, "was");
	char *text cleanup(free_at) = NULL;
	char hex[DIGEST_HEX_LEN + 1];
	size_t len = 0;
	int r = plan_slurp(full, &text, &len, e);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	sha256_hex(text, len, hex);
	if ((written && strcmp(hex, written) == 0) || (was && strcmp(hex, was) == 0))
		return 0;
	return err_set(e, EBUSY,
		       "%s was changed since dfinit wrote it; look at it, then --force puts the "
		       "original back",
		       full);
}

static int put_back(const char *dir, const json_t *f, const char *full, struct err *e)
{
	const char *name = json_str(f, "backup");
	struct owner o = {(mode_t)json_u64(f, "mode", 0644), (uid_t)json_u64(f, "uid", 0),
			  (gid_t)json_u64(f, "gid", 0)};
	char *backup cleanup(free_at) = mem_printf("%s/%s", dir, name ? name : "");
	char *text cleanup(free_at) = NULL;
	size_t len = 0;
	int r;

	if (!json_is_true(json_object_get(f, "existed"))) {
		if (unlink(full) < 0 && errno != ENOENT)
			return err_set(e, errno, "remove %s", full);
		return 0;
	}
	r = plan_slurp(backup, &text, &len, e);
	if (r == 0)
		r = dir_make_parent(full, 0755, e);
	return r < 0 ? r : write_file(full, text, len, o, e);
}

/* The journal goes last: an undo cut short can be done again. */
static void forget(const char *dir, const char *root, const json_t *journal)
{
	const json_t *files = json_object_get(journal, "files");
	const json_t *dirs = json_object_get(journal, "dirs");
	char *path cleanup(free_at) = mem_printf("%s/journal.json", dir);

	for (size_t i = json_array_size(dirs); i-- > 0;) {
		char *made cleanup(free_at) =
			mem_printf("%s%s", root, json_string_value(json_array_get(dirs, i)));

		rmdir(made); /* not empty: somebody else uses it now */
	}
	unlink(path);
	for (size_t i = 0; i < json_array_size(files); i++) {
		char *backup cleanup(free_at) =
			mem_printf("%s/%s", dir, json_str(json_array_get(files, i), "backup"));

		unlink(backup);
	}
	rmdir(dir);
}

static int check_record(const json_t *f, struct err *e)
{
	const char *path = json_str(f, "path"), *backup = json_str(f, "backup");

	if (!path || *path != '/' || !backup || strchr(backup, '/'))
		return err_set(e, EINVAL, "the journal is damaged");
	return 0;
}

int journal_undo(const char *dir, const char *root, bool force, size_t *count_out, char **paths_out,
		 struct err *e)
{
	json_t *journal cleanup(json_decref_at) = NULL, *paths cleanup(json_decref_at) = NULL;
	const json_t *files;
	int r = load(dir, &journal, e);

	if (r < 0)
		return r;
	files = json_object_get(journal, "files");
	paths = json_array();
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < json_array_size(files); i++) {
			const json_t *f = json_array_get(files, i);
			char *full cleanup(free_at) = NULL;

			r = check_record(f, e);
			if (r < 0)
				return r;
			full = mem_printf("%s%s", root, json_str(f, "path"));
			if (round == 0 && !force)
				r = check_untouched(f, full, e);
			if (round == 1) {
				r = put_back(dir, f, full, e);
				json_array_append_new(paths, json_string(json_str(f, "path")));
			}
			if (r < 0)
				return r;
		}
	*count_out = json_array_size(files);
	*paths_out = json_print(paths);
	if (*count_out)
		forget(dir, root, journal);
	return 0;
}
