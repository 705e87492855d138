/* Tasks over a real store and a fake cluster. */
#ifndef TEST_UNIT_DAEMON_TASK_FIXTURE_H
#define TEST_UNIT_DAEMON_TASK_FIXTURE_H

#include "test/unit/daemon/fake_cluster.h"

#include "daemon/tasks.h"

#define PIECE	(64u << 10)
#define SEED	7
#define URL	"http://origin/file"
#define WAIT_MS 30000

struct setting {
	struct fixture *f;
	struct host *host;
	struct tasks_config config;
	struct tasks *ts;
	struct err e;
};

/* Objects that are only pointed to. */
static char fake_modules[3];

static inline void setting_start(struct setting *s)
{
	s->ts = tasks_new(&s->config);
}

static inline void setting_stop(struct setting *s)
{
	tasks_free(s->ts);
	s->ts = NULL;
}

static inline int setup_with(void **state, uint64_t length, bool scheduler)
{
	static const struct host_config host = {.hostname = "me", .ip = "127.0.0.1", .port = 4000};
	struct setting *s = mem_new(struct setting);

	assert_ok(fixture_setup((void **)&s->f));
	timer_start();
	fake_setup(SEED, length, PIECE);
	s->host = host_new(&host);
	s->config = (struct tasks_config){.store = s->f->store,
					  .origin = (void *)&fake_modules[0],
					  .piece_client = (void *)&fake_modules[1],
					  .scheduler = scheduler ? (void *)&fake_modules[2] : NULL,
					  .host = s->host,
					  .tmp_dir = s->f->dir,
					  .retry_ms = 100,
					  .linger_ms = 300,
					  .patience_ms = 200,
					  .silence_ms = 600000, /* only where a test says */
					  .second_ms = 600000,
					  .read_timeout_ms = WAIT_MS};
	setting_start(s);
	*state = s;
	return 0;
}

#define parents_of(bits) ((struct fake_reply){.what = SAY_PARENTS, .peers = (bits)})

/* With a scheduler that knows the task; who has its pieces is for the caller to say. */
static inline int setup_known(void **state, uint64_t length)
{
	int r = setup_with(state, length, true);

	fake.has_task = true;
	fake.task_length = length;
	fake.task_pieces = (uint32_t)((length + PIECE - 1) / PIECE);
	return r;
}

static inline int teardown(void **state)
{
	struct setting *s = *state;

	setting_stop(s);
	fake_teardown();
	host_free(s->host);
	fixture_teardown((void **)&s->f);
	free(s);
	return 0;
}

static inline struct task_request request_of(const char *url)
{
	return (struct task_request){.url = url, .piece_length = PIECE};
}

static inline void name_by_digest(struct task_request *rq, char *digest)
{
	rq->digest = digest;
	rq->id = digest + strlen("sha256:");
}

static inline struct task *open_task(struct setting *s, const struct task_request *rq)
{
	struct task *t = NULL;

	if (task_open_wait(s->ts, rq, &t, &s->e) < 0)
		fail_msg("%s", s->e.text);
	return t;
}

static inline struct task *open_url(struct setting *s, const char *url)
{
	struct task_request rq = request_of(url);

	return open_task(s, &rq);
}

static inline int open_error(struct setting *s, const struct task_request *rq)
{
	struct task *t = NULL;

	s->e = (struct err){0};
	if (task_open_wait(s->ts, rq, &t, &s->e) == 0) {
		task_unref(t);
		return 0;
	}
	return s->e.code;
}

/* Until the condition holds, WAIT_MS at most. */
#define await(condition)                                                                           \
	do {                                                                                       \
		int64_t until_ms_ = clock_ms() + WAIT_MS;                                          \
		while (!(condition) && clock_ms() < until_ms_)                                     \
			usleep(500);                                                               \
		assert_true(condition);                                                            \
	} while (0)

/* ---- reads */

struct reading {
	struct waiter w;
	uint64_t off;
	uint32_t len;
	int code;    /* of the answer; 0 = right bytes, -1 = wrong ones */
	int answers; /* atomic */
};

static inline void reading_done(struct waiter *w, const struct extent *x, const struct err *e)
{
	struct reading *r = container_of(w, struct reading, w);
	unsigned char got[256], want[256];
	size_t n = r->len < sizeof(got) ? r->len : sizeof(got);

	if (e) {
		r->code = e->code;
	} else {
		bytes_of(SEED, r->off, n, want);
		r->code = x->len == r->len && pread(x->fd, got, n, (off_t)x->off) == (ssize_t)n &&
					  memcmp(got, want, n) == 0
				  ? 0
				  : -1;
	}
	__atomic_add_fetch(&r->answers, 1, __ATOMIC_RELEASE);
}

static inline void read_start(struct task *t, struct reading *r, uint64_t off, uint32_t len,
			      int64_t timeout_ms)
{
	*r = (struct reading){.w = {.done = reading_done}, .off = off, .len = len};
	task_read(t, off, len, &r->w, timeout_ms);
}

static inline bool is_answered(struct reading *r)
{
	return __atomic_load_n(&r->answers, __ATOMIC_ACQUIRE) > 0;
}

static inline int read_finish(struct reading *r)
{
	await(is_answered(r));
	assert_int_equal(r->answers, 1);
	return r->code;
}

static inline int read_at(struct task *t, uint64_t off, uint32_t len)
{
	struct reading r;

	read_start(t, &r, off, len, 0);
	return read_finish(&r);
}

static inline int read_piece(struct task *t, uint32_t index)
{
	const struct geometry *g = &task_meta(t)->geometry;

	return read_at(t, geometry_offset(g, index), geometry_length(g, index));
}

static inline bool is_complete(struct task *t)
{
	struct task_progress p;

	task_progress(t, &p);
	return p.complete;
}

static inline struct tasks_stat stat_now(struct setting *s)
{
	struct tasks_stat st;

	tasks_stat(s->ts, &st);
	return st;
}

/* Nobody waits for it. */
static inline struct task *open_whole(struct setting *s)
{
	struct task *t = open_url(s, URL);

	task_want_all(t, TASK_REST);
	return t;
}

static inline void patience_is(struct setting *s, int64_t ms)
{
	setting_stop(s);
	s->config.patience_ms = ms;
	setting_start(s);
}

#endif
