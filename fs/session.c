/*
 * The session: a /dev/fuse descriptor of our own under libfuse's low-level loop, and its threads.
 *
 * Each thread reads one request, hands it to an operation and reads the next; nothing blocks on the
 * network (request.h). They end when the kernel says ENODEV (unmounted) or when they are woken by
 * WAKE_SIGNAL and `stopping` is set; the latter leaves the connection as it is.
 *
 * A session that takes an earlier process's connection over hands libfuse the INIT of then once
 * more and keeps the answer to itself; then it has the kernel send again what was not answered.
 */
#include "fs/session.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "fs/answer.h"
#include "fs/attr.h"
#include "fs/dir.h"
#include "fs/forest_look.h"
#include "fs/forest_read.h"
#include "fs/lookup.h"
#include "fs/open.h"
#include "fs/read.h"
#include "fs/request.h"
#include "fs/state.h"

#include <errno.h>
#include <linux/fuse.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define THREADS_DEFAULT	      4
#define READ_AHEAD_KB_DEFAULT 4096
#define BACKGROUND_MAX	      64 /* requests for reading ahead in flight; the kernel's default is 12 */
#define CONGESTION_AT	      48
#define NAMES_KB_DEFAULT      32768
#define WAKE_SIGNAL	      (SIGRTMIN + 3)
#define NOTIFY_RESEND	      7 /* FUSE_NOTIFY_RESEND; Debian 12's linux/fuse.h lacks it */

int session_errno(const struct err *e)
{
	switch (e->code) {
	case ENOENT:
	case EACCES:
	case ETIMEDOUT:
	case EFBIG:
	case EISDIR:
	case ENOTDIR:
	case ENAMETOOLONG:
	case ENFILE:
	case ESTALE: /* the kernel looks the name up again */
	case EINTR:
		return e->code;
	default:
		return EIO;
	}
}

/* Keeps the kernel's first request for the processes to come. */
static void keep_init(struct ledger_head *head, const void *data, size_t len)
{
	const struct fuse_in_header *in = data;

	if (head->init_len || in->opcode != FUSE_INIT || len > sizeof(head->init))
		return;
	memcpy(head->init, data, len);
	head->init_len = (uint32_t)len;
}

static ssize_t io_read(int fd, void *data, size_t size, void *arg)
{
	struct fs_session *s = arg;
	struct ledger_head *head = ledger_head(s->ledger);
	ssize_t n;

	if (s->replaying) {
		n = (ssize_t)head->init_len;
		memcpy(data, head->init, head->init_len);
	} else {
		n = read(fd, data, size);
	}
	if (n > 0) {
		passthrough_see_request(&s->passthrough, data, (size_t)n);
		keep_init(head, data, (size_t)n);
	}
	return n;
}

/* The answer to an INIT that the kernel has not asked. */
static ssize_t swallow(struct fs_session *s, const struct iovec *iov, int count)
{
	ssize_t n = 0;

	for (int i = 0; i < count; i++)
		n += (ssize_t)iov[i].iov_len;
	s->replaying = false;
	s->passthrough.negotiated = ledger_head(s->ledger)->passthrough;
	return n;
}

static ssize_t io_writev(int fd, struct iovec *iov, int count, void *arg)
{
	struct fs_session *s = arg;
	char copy[PASSTHROUGH_INIT_MAX];
	size_t len = passthrough_patch_answer(&s->passthrough, iov, count, copy);
	ssize_t n;

	if (s->replaying)
		return swallow(s, iov, count);
	if (len > 0)
		n = write(fd, copy, len);
	else if (answer_is_ours())
		n = answer_write(fd, iov);
	else
		n = writev(fd, iov, count);

	/* Unmounted while we answered. ENOENT is what libfuse takes for "the asker went away"; it
	 * would print anything else on stderr. */
	if (n < 0 && errno == ENODEV)
		errno = ENOENT;
	return n;
}

static void init_op(void *arg, struct fuse_conn_info *conn)
{
	const struct fs_session *s = arg;

	conn->max_background = BACKGROUND_MAX;
	conn->congestion_threshold = CONGESTION_AT;
	conn->want |= conn->capable & FUSE_CAP_CACHE_SYMLINKS;
	/* With it the kernel waits for O_DIRECT reads in a way that no signal ends. */
	conn->want &= ~(unsigned)FUSE_CAP_ASYNC_DIO;
	if (!s->forest)
		return;
	/* Always with attributes: who walks asks once for a directory, not for each name. */
	conn->want |= conn->capable & FUSE_CAP_READDIRPLUS;
	conn->want &= ~(unsigned)FUSE_CAP_READDIRPLUS_AUTO;
	conn->want |= conn->capable & FUSE_CAP_POSIX_ACL;
}

static const struct fuse_lowlevel_ops operations = {
	.init = init_op,
	.lookup = lookup_op,
	.forget = forget_op,
	.forget_multi = forget_multi_op,
	.getattr = getattr_op,
	.readlink = readlink_op,
	.statfs = statfs_op,
	.open = open_op,
	.read = read_op,
	.release = release_op,
	.opendir = opendir_op,
	.readdir = readdir_op,
	.releasedir = releasedir_op,
	.getxattr = getxattr_op,
	.listxattr = listxattr_op,
};

static const struct fuse_lowlevel_ops forest_operations = {
	.init = init_op,
	.lookup = forest_lookup_op,
	.forget = forest_forget_op,
	.forget_multi = forest_forget_multi_op,
	.getattr = forest_getattr_op,
	.readlink = forest_readlink_op,
	.statfs = forest_statfs_op,
	.open = forest_open_op,
	.read = forest_read_op,
	.opendir = forest_open_op,
	.readdir = forest_readdir_op,
	.readdirplus = forest_readdirplus_op,
	.getxattr = forest_getxattr_op,
	.listxattr = forest_listxattr_op,
};

/* One request. False: the session has ended. */
static bool serve(struct fs_session *s, struct fuse_buf *buf)
{
	int r = fuse_session_receive_buf(s->fuse, buf);

	if (r > 0)
		fuse_session_process_buf(s->fuse, buf);
	else if (r != -EINTR && r != -EAGAIN)
		return false;
	return !fuse_session_exited(s->fuse);
}

static void *thread_main(void *arg)
{
	struct fs_session *s = arg;
	struct fuse_buf buf = {.mem = NULL};
	sigset_t wake;

	sigemptyset(&wake);
	sigaddset(&wake, WAKE_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &wake, NULL);
	while (!atomic_load(&s->leaving) && serve(s, &buf))
		;
	free(buf.mem);
	if (!atomic_load(&s->stopping) && !atomic_load(&s->detaching) &&
	    !atomic_exchange(&s->ended, true))
		log_info("unmounted from outside", "path=%s", s->mount.path);
	return NULL;
}

static void on_wake(int signo)
{
	(void)signo; /* only ends a read(2) with EINTR */
}

static void install_wake(void)
{
	struct sigaction action = {.sa_handler = on_wake};

	sigaction(WAKE_SIGNAL, &action, NULL);
}

/* A signal that comes just before read(2) is lost, so it is sent again until the thread is gone. */
static void join_threads(struct fs_session *s)
{
	atomic_store(&s->leaving, true);
	for (unsigned i = 0; i < s->thread_count; i++) {
		struct timespec until;

		do {
			pthread_kill(s->threads[i], WAKE_SIGNAL);
			clock_gettime(CLOCK_REALTIME, &until);
			until.tv_nsec += 5000000;
			if (until.tv_nsec >= 1000000000) {
				until.tv_nsec -= 1000000000;
				until.tv_sec++;
			}
		} while (pthread_timedjoin_np(s->threads[i], NULL, &until) == ETIMEDOUT);
	}
	s->thread_count = 0;
}

static int fuse_start(struct fs_session *s, int fuse_fd, struct err *e)
{
	static const struct fuse_custom_io io = {.read = io_read, .writev = io_writev};
	char *argv[] = {(char[]){"skimmer"}, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct fuse_buf buf = {.mem = NULL};

	s->fuse = fuse_session_new(&args, s->forest ? &forest_operations : &operations,
				   sizeof(operations), s);
	fuse_opt_free_args(&args);
	if (!s->fuse || fuse_session_custom_io(s->fuse, &io, fuse_fd) < 0) {
		close(fuse_fd);
		return err_blame(e, "SK122", err_set(e, EINVAL, "libfuse refuses the session"));
	}
	s->fuse_fd = fuse_fd;
	/* INIT is there since mount(2); afterwards everything is negotiated. */
	if (!serve(s, &buf)) {
		free(buf.mem);
		return err_set(e, EPROTO, "no agreement with the kernel's FUSE at %s",
			       s->mount.path);
	}
	free(buf.mem);
	return 0;
}

static void start_threads(struct fs_session *s, unsigned count)
{
	install_wake();
	s->threads = mem_array(count, sizeof(*s->threads));
	for (; s->thread_count < count; s->thread_count++)
		thread_start(&s->threads[s->thread_count], "fs", thread_main, s);
}

static void tell(struct fs_session *s, const struct fs_config *c)
{
	unsigned kb = c->read_ahead_kb ? c->read_ahead_kb : READ_AHEAD_KB_DEFAULT;
	const char *why = !c->passthrough	       ? "not wanted"
			  : !s->passthrough.offered    ? "kernel has none"
			  : !s->passthrough.negotiated ? "not agreed"
						       : "yes";
	struct err e = {0};

	if (mount_point_read_ahead(&s->mount, kb, &e) < 0)
		log_warn("read-ahead stays at the kernel's default", "why=\"%s\"", e.text);
	log_info("mounted", "path=%s passthrough=\"%s\"", s->mount.path, why);
}

static struct fs_session *session_alloc(const struct fs_config *c, void *src)
{
	struct fs_session *s = mem_new(struct fs_session);

	s->src = src;
	s->read_timeout_ms = c->read_timeout_ms;
	s->started_ms = clock_wall_ms();
	s->fuse_fd = -1;
	s->passthrough.wanted = c->passthrough;
	s->prune_pool = pool_new("fs-prune", 1, 1);
	lock_init(&s->opens_lock, RANK_OPENS);
	lock_init(&s->requests_lock, RANK_REQUESTS);
	lock_init(&s->pipes_lock, RANK_PIPES);
	cond_init(&s->requests_cond);
	list_init(&s->handles);
	list_init(&s->dirs);
	list_init(&s->adopted);
	list_init(&s->pending);
	s->sweep = (struct timer){.fire = requests_sweep, .arg = s};
	return s;
}

static size_t names_bytes(const struct fs_config *c)
{
	return (size_t)(c->names_kb ? c->names_kb : NAMES_KB_DEFAULT) << 10;
}

static void serve_all(struct fs_session *s, const struct fs_config *c)
{
	start_threads(s, c->threads ? c->threads : THREADS_DEFAULT);
	tell(s, c);
}

/* The first process of a mount. Frees the session when it fails. */
static int begin(struct fs_session *s, const struct fs_config *c, struct fs_session **out,
		 struct err *e)
{
	struct ledger_head *head;
	int fuse_fd = -1;
	int r = err_blame(e, "SK122",
			  mount_point_attach(c->path, c->allow_other, &s->mount, &fuse_fd, e));

	if (r == 0)
		r = fuse_start(s, fuse_fd, e);
	if (r < 0) {
		fs_session_free(s);
		return r;
	}
	head = ledger_head(s->ledger);
	head->started_ms = s->started_ms;
	head->dev_major = s->mount.dev_major;
	head->dev_minor = s->mount.dev_minor;
	head->passthrough = s->passthrough.negotiated;
	serve_all(s, c);
	*out = s;
	return 0;
}

int fs_session_new(const struct fs_config *c, const struct fs_source_ops *ops, void *src,
		   struct fs_session **out, struct err *e)
{
	struct fs_session *s = session_alloc(c, src);

	s->ops = ops;
	s->tree = fs_tree_new(ops, src, names_bytes(c));
	s->ledger = tree_ledger(s->tree);
	return begin(s, c, out, e);
}

int fs_forest_new(const struct fs_config *c, const struct fs_forest_ops *ops, void *src,
		  struct fs_session **out, struct err *e)
{
	struct fs_session *s = session_alloc(c, src);

	s->forest_ops = ops;
	s->forest = forest_new(ops, src);
	s->ledger = forest_ledger(s->forest);
	return begin(s, c, out, e);
}

/* ---- from process to process */

/* The kernel sends what the earlier process did not answer. */
static int resend(int fuse_fd, struct err *e)
{
	const struct fuse_out_header notice = {.len = sizeof(notice), .error = NOTIFY_RESEND};

	if (write(fuse_fd, &notice, sizeof(notice)) != (ssize_t)sizeof(notice))
		return err_set(e, errno, "ask for what was not answered");
	return 0;
}

/* What the kernel knows, as the ledger has it. */
static int recall(struct fs_session *s, const struct fs_config *c, struct ledger *l, struct err *e)
{
	int r = s->forest_ops ? forest_resume(s->forest_ops, s->src, l, &s->forest, e)
			      : fs_tree_resume(s->ops, s->src, names_bytes(c), l, &s->tree, e);

	if (r < 0)
		return r;
	s->ledger = l;
	return ledger_head(l)->init_len ? 0 : err_set(e, EBADMSG, "the ledger has no INIT");
}

static int resume(struct fs_session *s, const struct fs_config *c, struct ledger *l, int fuse_fd,
		  struct err *e)
{
	struct ledger_head *head = ledger_head(l);
	int r = recall(s, c, l, e);

	if (r == 0)
		r = mount_point_resume(c->path, c->allow_other, fuse_fd, head->dev_major,
				       head->dev_minor, &s->mount, e);
	if (r < 0) {
		close(fuse_fd);
		return r;
	}
	s->generation = (uint16_t)++head->generation;
	s->started_ms = head->started_ms;
	s->replaying = true;
	r = fuse_start(s, fuse_fd, e);
	return r < 0 ? r : resend(fuse_fd, e);
}

/* Owns the session and the descriptors. */
static int take_over(struct fs_session *s, const struct fs_config *c, const struct fs_held *held,
		     struct fs_session **out, struct err *e)
{
	struct ledger *l;
	int r = ledger_open(held->ledger_fd, &l, e);

	if (r == 0 && !mount_point_lives(held->fuse_fd)) {
		ledger_free(l);
		r = err_set(e, ENOTCONN, "it was unmounted");
	}
	if (r < 0)
		close(held->fuse_fd);
	else
		r = resume(s, c, l, held->fuse_fd, e);
	if (r < 0) {
		/* Not what the next try may still take, or somebody else's. */
		mount_point_release(&s->mount);
		fs_session_free(s);
		return r;
	}
	log_info("mount is taken over", "path=%s names=%zu process=%u", s->mount.path,
		 s->forest ? forest_count(s->forest) : tree_count(s->tree), s->generation);
	serve_all(s, c);
	*out = s;
	return 0;
}

int fs_session_resume(const struct fs_config *c, const struct fs_held *held,
		      const struct fs_source_ops *ops, void *src, struct fs_session **out,
		      struct err *e)
{
	struct fs_session *s = session_alloc(c, src);

	s->ops = ops;
	return take_over(s, c, held, out, e);
}

int fs_forest_resume(const struct fs_config *c, const struct fs_held *held,
		     const struct fs_forest_ops *ops, void *src, struct fs_session **out,
		     struct err *e)
{
	struct fs_session *s = session_alloc(c, src);

	s->forest_ops = ops;
	return take_over(s, c, held, out, e);
}

bool fs_session_held(const struct fs_session *s, struct fs_held *out)
{
	*out = (struct fs_held){.fuse_fd = s->fuse_fd, .ledger_fd = ledger_fd(s->ledger)};
	return s->passthrough.resends && ledger_head(s->ledger)->init_len > 0;
}

static void release(struct fs_session *s)
{
	handles_release(s);
	dirs_release(s);
	if (s->fuse)
		fuse_session_destroy(
			s->fuse); /* closes fuse_fd: what is still open gets ENOTCONN */
	mount_point_release(&s->mount);
	fs_tree_free(s->tree);
	forest_free(s->forest);
	answer_pipes_release(s);
	free(s->threads);
	cond_release(&s->requests_cond);
	lock_release(&s->pipes_lock);
	lock_release(&s->requests_lock);
	lock_release(&s->opens_lock);
	free(s);
}

bool fs_session_leave(struct fs_session *s)
{
	atomic_store(&s->detaching, true);
	mount_point_try_detach(&s->mount);
	if (!mount_point_lives(s->fuse_fd)) {
		fs_session_free(s);
		return false;
	}
	atomic_store(&s->left_to_next, true);
	atomic_store(&s->stopping, true);
	/* While what it may wait for is still answered: see fs_session_free(). */
	pool_free(s->prune_pool);
	join_threads(s);
	requests_drain(s);
	release(s);
	return true;
}

void fs_session_free(struct fs_session *s)
{
	if (!s)
		return;
	/* The order matters: waiting requests are answered while threads still serve, so that
	 * nobody holds a lock of the kernel's that the prune job waits for. */
	atomic_store(&s->stopping, true);
	requests_drain(s);
	pool_free(s->prune_pool);
	mount_point_detach(&s->mount);
	join_threads(s);
	release(s);
}

bool fs_session_ended(const struct fs_session *s)
{
	return atomic_load(&s->ended);
}

bool fs_session_passthrough(const struct fs_session *s)
{
	return s->passthrough.negotiated;
}

void fs_session_stat(const struct fs_session *s, struct fs_stat *out)
{
	out->reads = atomic_load(&s->stat.reads);
	out->bytes = atomic_load(&s->stat.bytes);
	out->waits = atomic_load(&s->stat.waits);
	out->passthrough_opens = atomic_load(&s->stat.passthrough_opens);
	out->interrupted = atomic_load(&s->stat.interrupted);
	out->errors = atomic_load(&s->stat.errors);
}
