/* A store in a folder of its own, and tasks whose bytes follow from a seed. */
#ifndef TEST_UNIT_DAEMON_STORE_FIXTURE_H
#define TEST_UNIT_DAEMON_STORE_FIXTURE_H

#include "test/unit/unit.h"

#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/store.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
	char dir[64];
	struct store_config config;
	struct store *store;
	struct err e;
};

#define assert_ok(call) assert_int_equal(call, 0)

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline int fixture_setup_at(void **state, const char *base)
{
	struct fixture *f = mem_new(struct fixture);

	log_set_level(LOG_ERROR);
	snprintf(f->dir, sizeof(f->dir), "%s/skimmer-store-XXXXXX", base);
	assert_non_null(mkdtemp(f->dir));
	f->config = (struct store_config){
		.dir = f->dir, .keep = true, .high_percent = 80, .low_percent = 60};
	*state = f;
	return store_open(&f->config, &f->store, &f->e);
}

/* In memory where possible: a clean stop syncs the file system, and the disk is everybody's. */
static inline int fixture_setup(void **state)
{
	return fixture_setup_at(state, access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
}

static inline int fixture_setup_disk(void **state)
{
	return fixture_setup_at(state, "/var/tmp");
}

static inline int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	if (f->store)
		store_close(f->store);
	nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	free(f);
	return 0;
}

static inline void fixture_reopen(struct fixture *f)
{
	store_close(f->store);
	f->store = NULL;
	assert_ok(store_open(&f->config, &f->store, &f->e));
}

/* What a kill leaves: everything but the mark. */
static inline void fixture_stop_unclean(struct fixture *f)
{
	char path[128];

	store_close(f->store);
	f->store = NULL;
	snprintf(path, sizeof(path), "%s/clean", f->dir);
	assert_ok(unlink(path));
}

static inline void fixture_open(struct fixture *f)
{
	assert_ok(store_open(&f->config, &f->store, &f->e));
}

static inline void fixture_crash(struct fixture *f)
{
	fixture_stop_unclean(f);
	fixture_open(f);
}

static inline void id_of(unsigned seed, char id[STORE_ID_LEN + 1])
{
	snprintf(id, STORE_ID_LEN + 1, "%08x%056x", seed * 2654435761u, seed);
}

/* Path of a task's file; suffix "" or ".rec". */
static inline char *path_of(const struct fixture *f, unsigned seed, const char *suffix)
{
	char id[STORE_ID_LEN + 1];

	id_of(seed, id);
	return mem_printf("%s/content/tasks/%.3s/%s%s", f->dir, id, id, suffix);
}

static inline struct store_meta meta_of(unsigned seed, uint64_t length, uint32_t piece_length)
{
	struct store_meta m = {0};

	id_of(seed, m.id);
	assert_true(geometry_init(&m.geometry, length, piece_length));
	return m;
}

static inline void bytes_of(unsigned seed, uint64_t off, size_t len, unsigned char *out)
{
	for (size_t i = 0; i < len; i++) {
		uint64_t x = (off + i + ((uint64_t)seed << 40)) * 0x9e3779b97f4a7c15u;

		x = (x ^ x >> 31) * 0xbf58476d1ce4e5b9u;
		out[i] = (unsigned char)(x >> 56) | 1; /* never what a hole reads as */
	}
}

static inline struct store_task *task_make(struct fixture *f, unsigned seed, uint64_t length,
					   uint32_t piece_length)
{
	struct store_meta m = meta_of(seed, length, piece_length);
	struct store_task *t = NULL;

	assert_ok(store_create(f->store, &m, &t, &f->e));
	return t;
}

static inline struct store_task *task_find(struct fixture *f, unsigned seed)
{
	char id[STORE_ID_LEN + 1];
	struct store_task *t = NULL;

	id_of(seed, id);
	assert_ok(store_find(f->store, id, &t, &f->e));
	return t;
}

static inline bool task_is_known(struct fixture *f, unsigned seed)
{
	char id[STORE_ID_LEN + 1];
	struct store_task *t = NULL;
	int r;

	id_of(seed, id);
	r = store_find(f->store, id, &t, &f->e);
	if (r == 0)
		store_task_unref(t);
	else
		assert_int_equal(r, -ENOENT);
	return r == 0;
}

/* Returns the memory file of a volatile piece, -1 if it went to disk. */
static inline int piece_fill(struct fixture *f, struct store_task *t, unsigned seed, uint32_t index)
{
	const struct geometry *g = &store_task_meta(t)->geometry;
	uint32_t len = geometry_length(g, index);
	cleanup(free_at) unsigned char *data = mem_alloc(len);
	struct store_slot slot;
	int fd = -1;

	bytes_of(seed, geometry_offset(g, index), len, data);
	assert_ok(store_slot_open(t, index, &slot, &f->e));
	assert_ok(store_slot_write(&slot, data, len, &f->e));
	assert_ok(store_slot_commit(&slot, NULL, STORE_FROM_PEER, 7, &fd, &f->e));
	return fd;
}

/* Reads a small file, or changes one in place, making its folder if that is gone. */
static inline unsigned char *file_read(const char *path, size_t *len_out)
{
	cleanup(close_at) int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	unsigned char *data;

	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	data = mem_alloc((size_t)st.st_size);
	assert_int_equal(read(fd, data, (size_t)st.st_size), st.st_size);
	*len_out = (size_t)st.st_size;
	return data;
}

static inline void file_write(const char *path, const void *data, size_t len, off_t off)
{
	cleanup(free_at) char *folder = mem_strndup(path, (size_t)(strrchr(path, '/') - path));
	cleanup(close_at) int fd = -1;

	if (mkdir(folder, 0700) < 0)
		assert_int_equal(errno, EEXIST);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, len, off), len);
}

static inline bool file_exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static inline void task_fill(struct fixture *f, struct store_task *t, unsigned seed)
{
	for (uint32_t i = 0; i < store_task_meta(t)->geometry.piece_count; i++)
		assert_int_equal(piece_fill(f, t, seed, i), -1);
}

/* The bytes of fd at the piece's offset are what they must be. */
static inline bool piece_is_right(const struct store_task *t, int fd, unsigned seed, uint32_t index)
{
	const struct geometry *g = &store_task_meta(t)->geometry;
	uint32_t len = geometry_length(g, index);
	cleanup(free_at) unsigned char *want = mem_alloc(len), *got = mem_alloc(len);

	bytes_of(seed, geometry_offset(g, index), len, want);
	return pread(fd, got, len, (off_t)geometry_offset(g, index)) == (ssize_t)len &&
	       memcmp(got, want, len) == 0;
}

static inline char *digest_of(unsigned seed, uint64_t length)
{
	cleanup(free_at) unsigned char *data = mem_alloc(length);
	char hex[DIGEST_HEX_LEN + 1];

	bytes_of(seed, 0, length, data);
	sha256_hex(data, length, hex);
	return mem_printf("sha256:%s", hex);
}

static inline struct store_stat stat_of(struct fixture *f)
{
	struct store_stat st;

	store_stat(f->store, &st);
	return st;
}

#endif
