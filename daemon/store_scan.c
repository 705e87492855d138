/*
 * What is found at start. One record is read per task; content without a record, broken records,
 * half-made tasks and files that are not ours are removed. Nothing here fails the start but a
 * directory that cannot be read.
 */
#include "base/digest.h"
#include "base/dir.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/store_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

struct scan {
	struct store *store;
	unsigned broken, orphans, odd, not_removed, wrong_size;
	uint64_t torn;
	char first[256]; /* what was wrong first */
};

static void note(struct scan *sc, unsigned *count, const char *why)
{
	++*count;
	if (!sc->first[0])
		snprintf(sc->first, sizeof(sc->first), "%s", why);
}

/* "<id>" gives "", "<id>.rec" gives ".rec"; NULL if the name is none of ours in this folder. */
static const char *suffix_of(const char *folder, const char *name, char id[STORE_ID_LEN + 1])
{
	if (strlen(name) < STORE_ID_LEN || strncmp(folder, name, 3) != 0)
		return NULL;
	memcpy(id, name, STORE_ID_LEN);
	id[STORE_ID_LEN] = 0;
	return digest_is_hex64(id) ? name + STORE_ID_LEN : NULL;
}

/* A folder with something in it may be dear to somebody. */
static void remove_name(struct scan *sc, int fd, const char *name)
{
	if (unlinkat(fd, name, 0) < 0 && unlinkat(fd, name, AT_REMOVEDIR) < 0)
		sc->not_removed++;
}

static void remove_odd(struct scan *sc, int fd, const char *name)
{
	char why[232];

	snprintf(why, sizeof(why), "\"%.150s\" is none of the store's files", name);
	note(sc, &sc->odd, why);
	remove_name(sc, fd, name);
}

/* Content of another length: it gets its own, and no piece is believed before it is compared. */
static int repair_content(int folder_fd, int record_fd, struct store_found *f, struct err *e)
{
	cleanup(close_at) int fd = openat(folder_fd, f->meta.id, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || ftruncate(fd, (off_t)f->meta.geometry.content_length) < 0)
		return err_set(e, errno, "repair task %s", f->meta.id);
	return store_record_distrust(record_fd, f, e);
}

static int read_task(struct scan *sc, int folder_fd, const char *name, const char *id,
		     struct err *e)
{
	cleanup(store_found_release) struct store_found found = {0};
	cleanup(close_at) int fd = openat(folder_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct store *s = sc->store;
	struct store_task *t;
	struct stat st;
	int r;

	if (fd < 0)
		return err_set(e, errno, "open record of task %s", id);
	r = store_record_read(s, fd, id, &found, e);
	if (r < 0)
		return r;
	if (fstatat(folder_fd, id, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(e, errno, "content of task %s", id);
	if (!S_ISREG(st.st_mode))
		return err_set(e, EBADMSG, "content of task %s is no file", id);
	if ((uint64_t)st.st_size != found.meta.geometry.content_length) {
		note(sc, &sc->wrong_size, "content of another length than its task");
		r = repair_content(folder_fd, fd, &found, e);
		if (r < 0)
			return r;
	}
	sc->torn += found.torn;
	lock_guard(&s->lock);
	t = store_insert(s, &found.meta);
	t->busy = false;
	t->recorded = found.recorded;
	t->present = found.present;
	t->whole = found.whole;
	store_piece_settle_whole(t);
	t->bytes = found.bytes + (uint64_t)st.st_blocks * 512;
	s->bytes += t->bytes;
	return 0;
}

/* First the records, then what content has none. */
static void scan_name(struct scan *sc, int folder_fd, const char *folder, const char *name,
		      bool records)
{
	char id[STORE_ID_LEN + 1];
	const char *suffix = suffix_of(folder, name, id);
	bool is_content = suffix && suffix[0] == 0;
	struct err e;

	if (!sc->store->config.keep && suffix) {
		remove_name(sc, folder_fd, name);
	} else if (is_content && !records) {
		if (map_get(sc->store->tasks, id))
			return;
		note(sc, &sc->orphans, "content without a record");
		remove_name(sc, folder_fd, name);
	} else if (records && suffix && strcmp(suffix, ".rec") == 0) {
		if (read_task(sc, folder_fd, name, id, &e) == 0)
			return;
		note(sc, &sc->broken, e.text);
		remove_name(sc, folder_fd, name);
	} else if (records && !is_content) {
		remove_odd(sc, folder_fd, name);
	}
}

static void scan_folder(struct scan *sc, const char *folder)
{
	cleanup(closedir_at) DIR *d = NULL;
	cleanup(close_at) int fd = openat(sc->store->tasks_fd, folder,
					  O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	bool is_ours = strlen(folder) == 3 && strspn(folder, "0123456789abcdef") == 3;

	if (fd >= 0 && is_ours)
		d = fdopendir(fd);
	if (!d) {
		remove_odd(sc, sc->store->tasks_fd, folder);
		return;
	}
	(void)take_fd(&fd);
	for (int records = 1; records >= 0; records--) {
		struct dirent *x;

		rewinddir(d);
		while ((x = readdir(d)))
			if (strcmp(x->d_name, ".") != 0 && strcmp(x->d_name, "..") != 0)
				scan_name(sc, dirfd(d), folder, x->d_name, records);
	}
	/* Most are not empty and stay. */
	unlinkat(sc->store->tasks_fd, folder, AT_REMOVEDIR);
}

int store_scan(struct store *s, struct err *e)
{
	struct scan sc = {.store = s};
	cleanup(closedir_at) DIR *d = NULL;
	cleanup(close_at) int fd = openat(s->tasks_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *x;

	if (fd >= 0)
		d = fdopendir(fd);
	if (!d)
		return err_set(e, errno, "read %s/content/tasks", s->dir);
	(void)take_fd(&fd);
	while ((x = readdir(d)))
		if (strcmp(x->d_name, ".") != 0 && strcmp(x->d_name, "..") != 0)
			scan_folder(&sc, x->d_name);
	s->torn_entries = sc.torn;
	if (sc.broken || sc.orphans || sc.odd || sc.wrong_size || sc.torn)
		log_warn("store was not as it was left, cleaned up",
			 "broken=%u orphans=%u odd=%u not_removed=%u wrong_size=%u "
			 "torn_entries=%" PRIu64 " first=\"%s\"",
			 sc.broken, sc.orphans, sc.odd, sc.not_removed, sc.wrong_size, sc.torn,
			 sc.first);
	return 0;
}
