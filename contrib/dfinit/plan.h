/* What shall become of files: read once, changed in memory, shown as a diff; written by journal.h.
 */
#ifndef CONTRIB_DFINIT_PLAN_H
#define CONTRIB_DFINIT_PLAN_H

#include "base/err.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#define PLAN_FILE_MAX (1u << 20)

struct plan_file {
	char *path;	   /* as the runtime sees it, without root; links followed */
	char *before;	   /* NULL: there was none */
	char *after;	   /* NULL: there shall be none */
	size_t before_len; /* bytes, both NUL-terminated */
	size_t after_len;
	mode_t mode;
	uid_t uid;
	gid_t gid;
};

struct plan {
	const char *root; /* "" or where the host's / is mounted */
	struct plan_file *files;
	size_t count;
};

/* The file's planned text, read from disk at first; *out NULL if there is none. Borrowed until the
 * next call. EMSGSIZE beyond 1 MiB, EINVAL when it is no text. */
must_check int plan_read(struct plan *p, const char *path, const char **out, struct err *e);
/* Plans text for a file that plan_read() was asked for. */
void plan_write(struct plan *p, const char *path, const char *text);
bool plan_file_changes(const struct plan_file *f);
/* Does the file of this path change? */
bool plan_changes(const struct plan *p, const char *path);
/* How many files change. */
size_t plan_size(const struct plan *p);
/* As diff -u prints it. */
void plan_print(const struct plan *p, FILE *out);
void plan_release(struct plan *p);

/* The whole file. ENOENT, EMSGSIZE. The caller frees. */
must_check int plan_slurp(const char *path, char **out, size_t *len_out, struct err *e);

#endif
