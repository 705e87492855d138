/*
 * The mount's tree without a mount: real blobs, tasks, store and origin against a web server that
 * is a file server and a registry. Included by a test's file: it holds the code too.
 */
#ifndef TEST_UNIT_DAEMON_TREE_FIXTURE_H
#define TEST_UNIT_DAEMON_TREE_FIXTURE_H

#include "test/unit/daemon/store_fixture.h"

#include "base/clock.h"
#include "daemon/blobs.h"
#include "daemon/host.h"
#include "daemon/origin.h"
#include "daemon/piece_client.h"
#include "daemon/tasks.h"
#include "test/unit/daemon/fake_http.h"

#define WAIT_MS	    30000
#define FILE_SIZE   (9u << 20) /* three pieces */
#define LAYER_SIZE  70000u
#define CONFIG_SIZE 300u

/* What the server has. */
static struct planted {
	char layer_hex[65], config_hex[65], manifest_hex[65], index_hex[65];
	char *manifest, *index;
	bool down, changed; /* atomic */
} planted;

struct tree_world {
	struct fixture *f;
	struct fake_http *server;
	struct host *host;
	struct origin *origin;
	struct piece_client *pieces;
	struct tasks *tasks;
	struct blobs *b;
	char *host_dir; /* "http/127.0.0.1:port" */
	char *image;	/* "oci/127.0.0.1:port/team/app/v1" */
};

static inline void content_hex(uint64_t size, char hex[65])
{
	unsigned char *data = mem_alloc(size);

	for (uint64_t i = 0; i < size; i++)
		data[i] = fake_byte(i);
	sha256_hex(data, size, hex);
	free(data);
}

static inline void plant(void)
{
	content_hex(LAYER_SIZE, planted.layer_hex);
	content_hex(CONFIG_SIZE, planted.config_hex);
	planted.manifest =
		mem_printf("{\"schemaVersion\":2,\"config\":{\"digest\":\"sha256:%s\",\"size\":%u},"
			   "\"layers\":[{\"digest\":\"sha256:%s\",\"size\":%u}]}",
			   planted.config_hex, CONFIG_SIZE, planted.layer_hex, LAYER_SIZE);
	sha256_hex(planted.manifest, strlen(planted.manifest), planted.manifest_hex);
	planted.index =
		mem_printf("{\"schemaVersion\":2,\"manifests\":["
			   "{\"digest\":\"sha256:%s\",\"size\":9,\"platform\":{\"os\":\"linux\","
			   "\"architecture\":\"amd64\"}},"
			   "{\"digest\":\"sha256:%s\",\"size\":9,\"platform\":{\"os\":\"linux\","
			   "\"architecture\":\"arm64\"}}]}",
			   planted.manifest_hex, planted.manifest_hex);
	sha256_hex(planted.index, strlen(planted.index), planted.index_hex);
}

static inline bool answer_registry(struct fake_conn *c)
{
	const char *t = c->target;

	if (strstr(t, "/private/"))
		return fake_reply(c, "403 Forbidden", "", "");
	if (strstr(t, "/manifests/liar"))
		return fake_reply(c, "200 OK", "", "{\"schemaVersion\":2}");
	if (strstr(t, "/manifests/sha256:cccc"))
		return fake_reply(c, "200 OK", "", planted.manifest);
	if (strcmp(t, "/v2/team/app/manifests/v1") == 0 || strstr(t, planted.index_hex))
		return fake_reply(c, "200 OK", "", planted.index);
	if (strcmp(t, "/v2/team/app/manifests/plain") == 0 || strstr(t, planted.manifest_hex))
		return fake_reply(c, "200 OK", "", planted.manifest);
	if (strstr(t, planted.layer_hex))
		return fake_file(c, LAYER_SIZE, "");
	if (strstr(t, planted.config_hex))
		return fake_file(c, CONFIG_SIZE, "");
	return fake_reply(c, "404 Not Found", "", "");
}

static inline bool answer_tree(struct fake_conn *c, void *arg)
{
	const char *t = c->target;

	(void)arg;
	if (__atomic_load_n(&planted.down, __ATOMIC_RELAXED))
		return fake_reply(c, "503 Down", "", "");
	if (strncmp(t, "/v2/", 4) == 0)
		return answer_registry(c);
	if (strcmp(t, "/file") == 0)
		return fake_file(c, FILE_SIZE, "");
	if (strcmp(t, "/small") == 0 || strcmp(t, "/dir/small") == 0 ||
	    strcmp(t, "/query?a=/b") == 0 || strcmp(t, "/moves") == 0)
		return fake_file(c, 1000, "");
	if (strcmp(t, "/empty") == 0)
		return fake_file(c, 0, "");
	if (strcmp(t, "/changes") == 0)
		return fake_file(
			c, __atomic_load_n(&planted.changed, __ATOMIC_RELAXED) ? 900 : 1000, "");
	if (strcmp(t, "/dir") == 0)
		return fake_reply(c, "301 Moved", "Location: /dir/\r\n", "");
	if (strcmp(t, "/dir/") == 0)
		return fake_reply(c, "403 Forbidden", "", "");
	if (strcmp(t, "/slash/") == 0)
		return fake_reply(c, "200 OK", "", "a listing");
	if (strncmp(t, "/secret", 7) == 0)
		return fake_reply(c, "401 Unauthorized", "", "");
	if (strcmp(t, "/method") == 0)
		return fake_reply(c, "405 Method Not Allowed", "", "");
	if (strcmp(t, "/hangs") == 0) {
		fake_hang(c);
		return false;
	}
	/* The length is told, the bytes do not come. */
	if (strcmp(t, "/stuck") == 0 && strstr(c->head, "bytes=0-0"))
		return fake_file(c, 1000, "");
	if (strcmp(t, "/stuck") == 0) {
		fake_hang(c);
		return false;
	}
	return fake_reply(c, "404 Not Found", "", "");
}

static inline void blobs_start(struct tree_world *w, const struct config_strings *allow)
{
	const struct tasks_config tc = {.store = w->f->store,
					.origin = w->origin,
					.piece_client = w->pieces,
					.host = w->host,
					.tmp_dir = w->f->dir,
					.read_timeout_ms = WAIT_MS};
	struct blobs_config bc = {.origin = w->origin, .allow_hosts = allow, .prefetch = true};

	w->tasks = tasks_new(&tc);
	bc.tasks = w->tasks;
	w->b = blobs_new(&bc);
}

static inline void blobs_stop(struct tree_world *w)
{
	blobs_free(w->b);
	tasks_free(w->tasks);
}

static inline int tree_setup(void **state)
{
	static const struct host_config hc = {.hostname = "me", .ip = "127.0.0.1", .port = 4000};
	static const struct origin_config oc = {.retries_max = 0};
	struct tree_world *w = mem_new(struct tree_world);
	struct err e = {0};

	assert_ok(fixture_setup((void **)&w->f));
	timer_start();
	planted = (struct planted){0};
	plant();
	w->server = fake_start(answer_tree, NULL, NULL);
	w->host = host_new(&hc);
	assert_ok(origin_new(&oc, &w->origin, &e));
	w->pieces = piece_client_new();
	w->host_dir = mem_printf("http/127.0.0.1:%u", w->server->port);
	w->image = mem_printf("oci/127.0.0.1:%u/team/app/v1", w->server->port);
	blobs_start(w, NULL);
	*state = w;
	return 0;
}

static inline int tree_teardown(void **state)
{
	struct tree_world *w = *state;

	blobs_stop(w);
	origin_free(w->origin);
	piece_client_free(w->pieces);
	host_free(w->host);
	fake_stop(w->server);
	fixture_teardown((void **)&w->f);
	free(planted.manifest);
	free(planted.index);
	free(w->host_dir);
	free(w->image);
	free(w);
	return 0;
}

/* ---- questions, waited for */

struct asked {
	struct lock lock;
	struct cond changed;
	bool over;
	struct err err;
	struct fs_entry entry; /* texts copied */
	char *text;
	unsigned char *data;
	struct fs_lookup lookup;
	struct fs_open open;
	struct fs_read read;
};

static inline void asked_init(struct asked *a)
{
	*a = (struct asked){0};
	lock_init(&a->lock, 99);
	cond_init(&a->changed);
	a->lookup.arg = a->open.arg = a->read.arg = a;
}

static inline void asked_over(struct asked *a, const struct err *e)
{
	lock_guard(&a->lock);
	if (e)
		a->err = *e;
	a->over = true;
	cond_wake_all(&a->changed);
}

static inline int asked_wait(struct asked *a)
{
	int64_t end_ms = clock_ms() + WAIT_MS;

	lock_guard(&a->lock);
	while (!a->over)
		if (!cond_wait_until(&a->changed, &a->lock, end_ms))
			fail_msg("no answer");
	return -a->err.code;
}

static inline void looked_up(struct fs_lookup *l, const struct fs_entry *entry, const struct err *e)
{
	struct asked *a = l->arg;

	if (entry) {
		a->entry = *entry;
		a->text = entry->data ? mem_strndup(entry->data, entry->size)
				      : mem_strdup(entry->link);
	}
	asked_over(a, e);
}

/* Releases the text but not the blob. */
static inline int look_up(struct tree_world *w, const char *path, struct asked *a)
{
	asked_init(a);
	a->lookup.done = looked_up;
	blobs_ops.lookup(w->b, path, &a->lookup);
	return asked_wait(a);
}

static inline int code_of(struct tree_world *w, const char *base, const char *name)
{
	cleanup(free_at) char *path = mem_printf("%s/%s", base, name);
	struct asked a;
	int r = look_up(w, path, &a);

	free(a.text);
	if (a.entry.blob)
		blobs_ops.unref(w->b, a.entry.blob);
	return r < 0 ? -r : 0;
}

static inline bool is_dir(struct tree_world *w, const char *base, const char *name)
{
	cleanup(free_at) char *path = mem_printf("%s/%s", base, name);
	struct asked a;

	assert_ok(look_up(w, path, &a));
	free(a.text);
	if (a.entry.blob)
		blobs_ops.unref(w->b, a.entry.blob);
	return a.entry.kind == FS_DIR;
}

static inline void opened(struct fs_open *o, const struct err *e)
{
	asked_over(o->arg, e);
}

static inline int open_blob(struct tree_world *w, struct fs_blob *blob)
{
	struct asked a;

	asked_init(&a);
	a.open.done = opened;
	blobs_ops.open(w->b, blob, &a.open);
	return asked_wait(&a);
}

/* The file at base/name, open. */
static inline struct fs_blob *open_file(struct tree_world *w, const char *base, const char *name,
					uint64_t size)
{
	cleanup(free_at) char *path = mem_printf("%s/%s", base, name);
	struct asked a;

	if (look_up(w, path, &a) < 0)
		fail_msg("%s: %s", path, a.err.text);
	assert_int_equal(a.entry.kind, FS_FILE);
	assert_int_equal(a.entry.size, size);
	assert_non_null(a.entry.blob);
	assert_ok(open_blob(w, a.entry.blob));
	return a.entry.blob;
}

static inline void close_file(struct tree_world *w, struct fs_blob *blob)
{
	blobs_ops.close(w->b, blob);
	blobs_ops.unref(w->b, blob);
}

static inline void was_read(struct fs_read *r, const struct fs_extent *extents, unsigned count,
			    const struct err *e)
{
	struct asked *a = r->arg;
	unsigned char *at = a->data;

	for (unsigned i = 0; i < count; i++) {
		if (pread(extents[i].fd, at, extents[i].len, (off_t)extents[i].off) !=
		    (ssize_t)extents[i].len)
			abort();
		at += extents[i].len;
	}
	asked_over(a, e);
}

static inline int read_blob(struct tree_world *w, struct fs_blob *blob, uint64_t off, uint32_t len)
{
	struct asked a;
	int r;

	asked_init(&a);
	a.read.done = was_read;
	a.data = mem_alloc(len);
	blobs_ops.read(w->b, blob, off, len, &a.read);
	r = asked_wait(&a);
	for (uint32_t i = 0; r == 0 && i < len; i++)
		if (a.data[i] != fake_byte(off + i))
			fail_msg("wrong byte at %u", i);
	free(a.data);
	return r;
}

static inline char *attr_of(struct tree_world *w, struct fs_blob *blob, const char *name)
{
	char text[512];

	return blobs_ops.attr(w->b, blob, name, text, sizeof(text)) < 0 ? NULL : mem_strdup(text);
}

/* Names in a directory, as "name/ " or "name " in a row. */
static inline void add_name(void *arg, const char *name, enum fs_kind kind)
{
	buf_printf(arg, "%s%s ", name, kind == FS_DIR ? "/" : kind == FS_LINK ? "@" : "");
}

static inline void assert_list(struct tree_world *w, const char *path, const char *want)
{
	cleanup(buf_release) struct buf names = BUF_INIT(0);

	blobs_ops.list(w->b, path, add_name, &names);
	assert_string_equal(names.data ? names.data : "", want);
}

#define await(condition)                                                                           \
	do {                                                                                       \
		int64_t until_ms_ = clock_ms() + WAIT_MS;                                          \
		while (!(condition) && clock_ms() < until_ms_)                                     \
			usleep(500);                                                               \
		assert_true(condition);                                                            \
	} while (0)

#endif
