/* Follows blobs and feeds the builder of their index. Must not know: who reads lazily. */
#include "daemon/layer_build.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "daemon/layers.h"
#include "daemon/task_import.h"
#include "daemon/task_wait.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define BUILDERS	 2
#define QUEUE_MAX	 256
#define FIRST_TIMEOUT_MS (INT64_C(60) * 1000)
#define PIECE_TIMEOUT_MS (INT64_C(10) * 60 * 1000)
#define KNOWN_TIMEOUT_MS (INT64_C(30) * 1000)
#define CHUNK		 (256u << 10)
#define MAGIC_LEN	 512

struct layer_build {
	struct layer_build_config config;
	char *dir;
	struct pool *pool;
	bool stopping; /* atomic */
};

struct job {
	struct layer_build *b;
	struct task *task;
};

static void index_build_free_at(struct index_build **ib)
{
	if (*ib)
		index_build_free(*ib);
}

/* gzip, zstd, or a tar as it is; configurations and manifests are blobs too. */
static bool is_layer(const unsigned char head[MAGIC_LEN])
{
	static const unsigned char gzip[] = {0x1f, 0x8b, 8}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd};

	return memcmp(head, gzip, sizeof(gzip)) == 0 || memcmp(head, zstd, sizeof(zstd)) == 0 ||
	       memcmp(head + 257, "ustar", 5) == 0;
}

/* Its first piece has come, from the registry, and it looks like a layer. A layer may be read
 * lazily by its own table meanwhile: who builds asks for nothing (task_follow_wait()). */
static bool is_worth(const struct job *j, const struct task_wait *w)
{
	uint64_t len = task_meta(j->task)->geometry.content_length;
	unsigned char head[MAGIC_LEN] = {0};
	struct store_piece first;

	return task_wait_piece(j->task, 0, w, NULL) == 0 && task_piece_info(j->task, 0, &first) &&
	       first.source == STORE_FROM_ORIGIN &&
	       task_follow_wait(j->task, 0, head, len < MAGIC_LEN ? len : MAGIC_LEN,
				&j->b->stopping, NULL) == 0 &&
	       is_layer(head);
}

static int feed_piece(const struct job *j, uint32_t index, struct index_build *ib, char *room,
		      struct err *e)
{
	const struct geometry *g = &task_meta(j->task)->geometry;
	uint64_t off = geometry_offset(g, index), left = geometry_length(g, index);

	while (left > 0) {
		size_t n = left < CHUNK ? (size_t)left : CHUNK;
		int r = task_follow_wait(j->task, off, room, n, &j->b->stopping, e);

		if (r == 0)
			r = index_build_feed(ib, room, n, e);
		if (r < 0)
			return r;
		off += n;
		left -= n;
	}
	return 0;
}

static int feed(const struct job *j, struct index_build *ib, struct err *e)
{
	uint32_t count = task_meta(j->task)->geometry.piece_count;
	char *room cleanup(free_at) = mem_alloc(CHUNK);
	int r = 0;

	for (uint32_t i = 0; i < count && r == 0; i++) {
		const struct task_wait w = {.deadline_ms = clock_ms() + PIECE_TIMEOUT_MS,
					    .stopping = &j->b->stopping};

		r = task_wait_piece(j->task, i, &w, e);
		if (r == 0)
			r = feed_piece(j, i, ib, room, e);
	}
	return r;
}

/* The task's own proof that its bytes are what its digest says. */
static int check_whole(const struct job *j, struct err *e)
{
	const struct task_wait w = {.deadline_ms = clock_ms() + PIECE_TIMEOUT_MS,
				    .stopping = &j->b->stopping};
	int fd;

	return task_wait_complete(j->task, TASK_REST, &w, &fd, e);
}

static int build(const struct job *j, const char *digest, struct err *e)
{
	const struct index_options o = {
		.dir = j->b->dir, .digest = digest, .digest_is_checked = true};
	struct index_build *ib cleanup(index_build_free_at) = NULL;
	char *name cleanup(free_at) = layers_index_name(digest);
	int fd cleanup(close_at) = open(j->b->dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	int64_t begin = clock_ms();
	struct layer_info info;
	int r;

	if (fd < 0)
		return err_set(e, errno, "temporary file in %s", j->b->dir);
	r = index_build_new(&o, &ib, e);
	if (r == 0)
		r = feed(j, ib, e);
	if (r == 0)
		r = index_build_end(ib, fd, &info, e);
	if (r == 0)
		r = check_whole(j, e);
	if (r == 0)
		r = task_import(j->b->config.tasks, name, fd, e);
	if (r == 0)
		log_info("layer's index is built",
			 "layer=sha256:%s bytes=%llu index_bytes=%lld ms=%lld", digest,
			 (unsigned long long)info.compressed_len, (long long)lseek(fd, 0, SEEK_END),
			 (long long)(clock_ms() - begin));
	return r;
}

static int check_index(int fd, const char *digest, struct err *e)
{
	struct layer_index *ix cleanup(index_free_at) = NULL;
	int r = index_open(fd, &ix, e);

	if (r == 0 && strcmp(index_info(ix)->digest, digest) != 0)
		return err_set(e, EBADMSG, "the index is of layer %s", index_info(ix)->digest);
	return r < 0 ? r : index_check_rest(ix, e);
}

/* Somebody in the cluster has it: here it is. A scheduler may know no more than the length of what
 * its last owner took along, and an index that everybody refuses helps nobody. */
static bool is_known(struct layer_build *b, const char *digest)
{
	char *name cleanup(free_at) = layers_index_name(digest);
	const struct task_request rq = {.content_for_id = name, .disable_back_to_source = true};
	const struct task_wait w = {.deadline_ms = clock_ms() + KNOWN_TIMEOUT_MS,
				    .stopping = &b->stopping};
	struct task *t;
	struct err e;
	int fd, r;

	if (task_open_wait(b->config.tasks, &rq, &t, NULL) < 0)
		return false;
	r = task_wait_complete(t, TASK_REST, &w, &fd, &e);
	if (r == 0)
		r = check_index(fd, digest, &e);
	if (r == -EBADMSG)
		layers_forget_index(b->config.tasks, t, digest, &e);
	task_unref(t);
	return r == 0;
}

static void run(void *arg)
{
	struct job *j = arg;
	const char *digest = task_meta(j->task)->id;
	const struct task_wait first = {.deadline_ms = clock_ms() + FIRST_TIMEOUT_MS,
					.stopping = &j->b->stopping};
	struct err e;

	if (is_worth(j, &first) && !is_known(j->b, digest) && build(j, digest, &e) < 0) {
		if (e.code == ENOTSUP)
			log_info("layer cannot be lazy", "layer=sha256:%s why=\"%s\"", digest,
				 e.text);
		else if (e.code != ECANCELED)
			log_warn("layer's index is not built", "layer=sha256:%s why=\"%s\"", digest,
				 e.text);
	}
	task_unref(j->task);
	free(j);
}

/* A blob by its digest that is not here yet. Called from the task floor: must not block. */
static void on_opened(struct task *t, void *arg)
{
	struct layer_build *b = arg;
	const struct store_meta *m = task_meta(t);
	struct job *j;
	const char *hex;

	if (m->geometry.content_length < b->config.least_len || task_complete_fd(t) >= 0 ||
	    !m->digest || !digest_is_sha256(m->digest, &hex) || strcmp(hex, m->id) != 0)
		return;
	j = mem_new(struct job);
	*j = (struct job){.b = b, .task = t};
	task_ref(t);
	if (pool_run(b->pool, run, j))
		return;
	task_unref(t);
	free(j);
}

struct layer_build *layer_build_new(const struct layer_build_config *c)
{
	struct layer_build *b = mem_new(struct layer_build);

	b->config = *c;
	b->dir = mem_strdup(c->dir);
	b->pool = pool_new("layer-build", BUILDERS, QUEUE_MAX);
	tasks_on_opened(c->tasks, on_opened, b);
	return b;
}

void layer_build_free(struct layer_build *b)
{
	if (!b)
		return;
	tasks_on_opened(b->config.tasks, NULL, NULL);
	__atomic_store_n(&b->stopping, true, __ATOMIC_RELAXED);
	pool_free(b->pool);
	free(b->dir);
	free(b);
}
