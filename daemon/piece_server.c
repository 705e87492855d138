/*
 * The parent's side of the TCP piece protocol. One connection:
 *
 *	state	  watched	deadline		left for
 *	READING	  EPOLLIN	header, or idle		SENDING when a request is whole
 *	SENDING	  EPOLLOUT	write			READING when all is sent, WAITING, or closed
 *	WAITING	  nothing	its turn, or the rest	SENDING
 *
 * Each connection lives on one loop from its adoption to its end; READING ones are in the loop's
 * idle list, longest idle first, and are what is closed when there are too many.
 *
 * Must not know: tasks, peers, how pieces come into the store.
 */
#include "daemon/piece_server.h"

#include "base/bucket.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/net.h"
#include "daemon/complaints.h"
#include "daemon/recent_tasks.h"
#include "daemon/vortex.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#define LOOPS_MAX	8
#define BACKLOG		1024
#define ACCEPT_BATCH	64
#define ACCEPT_PAUSE_MS 100
#define CHUNK_MAX	(512u << 10) /* one sendfile */
#define CHUNK_MIN	(16u << 10)
#define TURN_BYTES	(2u << 20)   /* then the others on the loop have their turn */
#define AHEAD_BYTES	(4u << 20)   /* asked of the disk when a piece begins */
#define UNSENT_MAX	(256u << 10) /* that the kernel keeps: what is there is sent in its turn */
#define GIVE_WAY_CHUNK	(16u << 10)  /* while a reader's piece is being sent, the others send */
#define GIVE_WAY_MS	50	     /* ... so much, so often */
#define GIVE_WAY_MS_MAX 1000	     /* a child that takes its piece slowly is not waited for */
#define COMING_LOOK_MS	5	     /* whether more has come of a piece that is passed on */

struct worker {
	struct piece_server *server;
	struct loop *loop;
	/* the loop's thread alone */
	struct list idle, busy; /* of struct conn */
	unsigned count;
	struct recent_tasks recent;
};

struct piece_server {
	struct piece_server_config config;
	struct store *store;
	struct host *host;
	int listen_fd;
	uint16_t port;
	struct watch accept_watch;	/* on workers[0] */
	struct loop_timer accept_timer; /* on workers[0] */
	unsigned next_worker;		/* workers[0]'s thread alone */
	unsigned worker_count;
	struct worker workers[LOOPS_MAX];
	struct bucket bucket;
	size_t chunk;
	unsigned urgent;	       /* atomic: pieces being sent that readers wait for */
	int64_t urgent_since_ms;       /* atomic: when the last of them began */
	struct piece_server_stat stat; /* atomic */
	struct complaints complaints;
};

enum conn_state { CONN_READING, CONN_SENDING, CONN_WAITING };

struct conn {
	struct worker *worker;
	struct list link; /* idle or busy */
	struct loop_job adopt;
	struct watch watch;
	struct loop_timer timer;
	enum conn_state state;
	bool last;		  /* close after what is being sent */
	unsigned in_len, in_want; /* of a request; in_want its header until that is here */
	uint8_t in[VORTEX_REQUEST_MAX];
	uint8_t *head; /* rest of a packet that the socket did not take at once; NULL mostly */
	size_t head_at, head_len;
	struct store_task *task;     /* while its piece is being sent */
	struct store_coming *coming; /* ... which is not whole; NULL mostly */
	bool sending;		     /* ... and counted: it gets on */
	int64_t took_ms;	     /* ... when the child took something last */
	struct loop_timer stuck;     /* ... to see whether it does */
	bool urgent;		     /* ... and a reader waits for it */
	off_t start, end;	     /* ... where it is in the file */
	off_t off;		     /* ... and what goes next; from the end on to the start */
	uint64_t left;
};

static void conn_turn(struct conn *c);

static void count(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

static void conn_release_piece(struct conn *c)
{
	struct piece_server *s = c->worker->server;

	if (c->sending)
		host_sending_ended(s->host);
	if (c->urgent)
		__atomic_sub_fetch(&s->urgent, 1, __ATOMIC_RELAXED);
	c->sending = c->urgent = false;
	store_coming_unref(take_ptr(&c->coming));
	if (c->task)
		store_task_unref(c->task);
	c->task = NULL;
	c->left = 0;
	free(c->head);
	c->head = NULL;
	c->head_at = c->head_len = 0;
}

static void conn_end_piece(struct conn *c)
{
	loop_timer_cancel(c->worker->loop, &c->stuck);
	conn_release_piece(c);
}

static void conn_close(struct conn *c)
{
	struct worker *w = c->worker;

	if (c->left > 0)
		count(&w->server->stat.failed, 1);
	conn_end_piece(c);
	loop_timer_cancel(w->loop, &c->timer);
	loop_unwatch(w->loop, &c->watch);
	list_remove(&c->link);
	close(c->watch.fd);
	w->count--;
	count(&w->server->stat.open, (uint64_t)-1);
	host_count_upload(w->server->host, -1);
	free(c);
}

static void conn_set_state(struct conn *c, enum conn_state state)
{
	static const uint32_t events[] = {
		[CONN_READING] = EPOLLIN,
		[CONN_SENDING] = EPOLLOUT,
		[CONN_WAITING] = 0,
	};
	struct worker *w = c->worker;

	if (c->watch.events != events[state])
		loop_rewatch(w->loop, &c->watch, events[state]);
	c->state = state;
	list_remove(&c->link);
	list_push_back(state == CONN_READING ? &w->idle : &w->busy, &c->link);
}

static void conn_await_request(struct conn *c)
{
	conn_end_piece(c);
	c->in_len = 0;
	c->in_want = VORTEX_HEADER_LEN;
	conn_set_state(c, CONN_READING);
	loop_timer_arm(c->worker->loop, &c->timer, c->worker->server->config.idle_timeout_ms);
}

/* Who takes nothing for a while (its network is gone, say) is not counted any more: others would
 * wait for the end of its piece before they are told of one (herald.h). */
static void conn_look_at_progress(struct loop_timer *t)
{
	struct conn *c = container_of(t, struct conn, stuck);
	struct piece_server *s = c->worker->server;
	int64_t idle_ms = c->state == CONN_WAITING ? 0 : clock_ms() - c->took_ms;

	if (idle_ms < s->config.stuck_ms) {
		loop_timer_arm(c->worker->loop, t, s->config.stuck_ms - idle_ms);
		return;
	}
	if (c->sending)
		host_sending_ended(s->host);
	c->sending = false;
}

static void conn_timed_out(struct loop_timer *t)
{
	struct conn *c = t->arg;
	struct piece_server *s = c->worker->server;

	if (c->state == CONN_WAITING) {
		conn_set_state(c, CONN_SENDING);
		loop_timer_arm(c->worker->loop, t, s->config.write_timeout_ms);
		return;
	}
	/* A child that has had its piece and says nothing more is no fault. */
	if (c->state == CONN_SENDING || c->in_len > 0) {
		count(&s->stat.timed_out, 1);
		complain(&s->complaints, c->state == CONN_SENDING ? SLOW_READER : SLOW_HEADER,
			 c->watch.fd);
	}
	conn_close(c);
}

/* ---- answers ---- */

/* Sends a packet, keeping what the socket does not take. False: the connection is gone. */
static bool conn_send_head(struct conn *c, const uint8_t *packet, size_t len)
{
	int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (c->left > 0 ? MSG_MORE : 0);
	ssize_t n = send(c->watch.fd, packet, len, flags);

	if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
		return false;
	if (n < 0)
		n = 0;
	if ((size_t)n == len)
		return true;
	c->head_len = len - (size_t)n;
	c->head = mem_dup(packet + n, c->head_len);
	return true;
}

static void conn_answer(struct conn *c, const uint8_t *packet, size_t len)
{
	if (!conn_send_head(c, packet, len)) {
		conn_close(c);
		return;
	}
	conn_set_state(c, CONN_SENDING);
	loop_timer_arm(c->worker->loop, &c->timer, c->worker->server->config.write_timeout_ms);
	conn_turn(c);
}

static void conn_answer_error(struct conn *c, enum vortex_code code, const char *why)
{
	uint8_t packet[VORTEX_PACKET_MAX], id = c->last ? c->in[0] : vortex_kept_id(c->in[0]);

	conn_answer(c, packet, vortex_error_write(packet, id, code, why));
}

static void conn_refuse(struct conn *c, enum complaint kind)
{
	struct piece_server *s = c->worker->server;

	count(&s->stat.garbage, 1);
	complain(&s->complaints, kind, c->watch.fd);
	c->last = true;
	conn_answer_error(c, VORTEX_INVALID_ARGUMENT, complaint_text(kind));
}

_Static_assert(PIECE_BLOCKS == VORTEX_BLOCKS_MAX, "all blocks of a piece fit an answer");

/* Count 0: there is no such block. */
static struct vortex_blocks blocks_of(const struct conn *c, const struct vortex_request *rq)
{
	const struct geometry *g = &store_task_meta(c->task)->geometry;
	unsigned count = geometry_block_count(g, rq->number);

	return (struct vortex_blocks){.count = (uint8_t)(rq->first_block < count ? count : 0),
				      .first = rq->first_block,
				      .length = geometry_block_length(g)};
}

static bool conn_find_present(struct conn *c, const struct vortex_request *rq,
			      struct vortex_content *out)
{
	struct store_piece piece;
	struct vortex_blocks b;

	if (store_piece_get(c->task, rq->number, &piece) != STORE_PRESENT)
		return false;
	store_coming_unref(take_ptr(&c->coming)); /* it was */
	out->crc32 = piece.crc32;
	out->cost_s = piece.cost_ms / 1000;
	out->created_at_s = piece.created_s;
	b = blocks_of(c, rq);
	/* Without their digests the piece goes in order. */
	if (rq->by_blocks && b.count > 0 &&
	    store_piece_blocks(c->task, rq->number, &piece, b.crc32))
		out->blocks = b;
	return true;
}

/* As far as it is here: the rest is passed on as it comes. */
static bool conn_find_coming(const struct conn *c, const struct vortex_request *rq,
			     struct vortex_content *out)
{
	const struct store_coming_facts *facts;

	if (!c->coming)
		return false;
	facts = store_coming_facts(c->coming);
	out->crc32 = facts->crc32;
	out->blocks = blocks_of(c, rq);
	out->blocks.coming = true;
	memcpy(out->blocks.crc32, facts->blocks, sizeof(facts->blocks));
	return out->blocks.count > 0;
}

/* Looks the piece up; fills *out when it may be sent. */
static bool conn_find_piece(struct conn *c, const struct vortex_request *rq,
			    struct vortex_content *out)
{
	const struct geometry *g;

	if (host_config(c->worker->server->host)->disable_shared)
		return false;
	if (c->in[1] != VORTEX_DOWNLOAD_PIECE && c->in[1] != VORTEX_DOWNLOAD_BLOCKS)
		return false; /* persistent and cache tasks: none here */
	c->task = recent_tasks_find(&c->worker->recent, rq->task_id);
	if (!c->task)
		return false;
	g = &store_task_meta(c->task)->geometry;
	if (rq->number >= g->piece_count)
		return false;
	*out = (struct vortex_content){.number = rq->number,
				       .offset = geometry_offset(g, rq->number),
				       .length = geometry_length(g, rq->number),
				       .has_crc32 = true,
				       .traffic_type = 1}; /* REMOTE_PEER, as Dragonfly says */
	/* What comes may be whole before it is looked for there: so in this order. */
	if (rq->by_blocks)
		c->coming = store_coming_find(c->task, rq->number);
	return conn_find_present(c, rq, out) || conn_find_coming(c, rq, out);
}

static void conn_hurry(struct conn *c)
{
	struct piece_server *s = c->worker->server;

	c->urgent = true;
	__atomic_store_n(&s->urgent_since_ms, clock_ms(), __ATOMIC_RELAXED);
	__atomic_add_fetch(&s->urgent, 1, __ATOMIC_RELAXED);
}

/* So that the loop does not wait for a cold disk page by page. */
static void conn_read_ahead(const struct conn *c)
{
	off_t len = c->end - c->off < AHEAD_BYTES ? c->end - c->off : AHEAD_BYTES;

	(void)posix_fadvise(store_task_fd(c->task), c->off, len, POSIX_FADV_WILLNEED);
}

static void conn_request(struct conn *c)
{
	struct vortex_content content;
	struct vortex_request rq;
	uint8_t packet[VORTEX_PACKET_MAX];
	struct err e;

	if (vortex_request_read(c->in + VORTEX_HEADER_LEN, c->in_len - VORTEX_HEADER_LEN, &rq, &e) <
	    0) {
		conn_refuse(c, BAD_TASK_ID);
		return;
	}
	if (!conn_find_piece(c, &rq, &content)) {
		conn_release_piece(c);
		count(&c->worker->server->stat.not_found, 1);
		conn_answer_error(c, VORTEX_NOT_FOUND, "piece not found");
		return;
	}
	c->start = (off_t)content.offset;
	c->end = c->start + (off_t)content.length;
	c->off = c->start + (off_t)content.blocks.first * content.blocks.length;
	c->left = content.length;
	count(&c->worker->server->stat.by_blocks, content.blocks.count > 0);
	count(&c->worker->server->stat.passed_on, content.blocks.coming);
	c->sending = true;
	c->took_ms = clock_ms();
	loop_timer_arm(c->worker->loop, &c->stuck, c->worker->server->config.stuck_ms);
	host_sending_begun(c->worker->server->host, rq.number);
	if (c->in[0] == VORTEX_URGENT_ID)
		conn_hurry(c);
	conn_read_ahead(c);
	conn_answer(c, packet, vortex_content_write(packet, vortex_kept_id(c->in[0]), &content));
}

/* ---- sending ---- */

/* False: nothing more can be sent now, or the connection is gone. */
static bool conn_flush_head(struct conn *c)
{
	while (c->head_at < c->head_len) {
		ssize_t n = send(c->watch.fd, c->head + c->head_at, c->head_len - c->head_at,
				 MSG_NOSIGNAL | MSG_DONTWAIT | (c->left > 0 ? MSG_MORE : 0));

		if (n < 0) {
			if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
				conn_close(c);
			return false;
		}
		c->head_at += (size_t)n;
	}
	return true;
}

static void conn_disk_failed(struct conn *c)
{
	complain(&c->worker->server->complaints, DISK_FAILED, c->watch.fd);
	conn_close(c);
}

/* Somebody else's piece is waited for by a reader. */
static bool conn_gives_way(const struct conn *c)
{
	const struct piece_server *s = c->worker->server;

	return !c->urgent && __atomic_load_n(&s->urgent, __ATOMIC_RELAXED) > 0 &&
	       clock_ms() - __atomic_load_n(&s->urgent_since_ms, __ATOMIC_RELAXED) <
		       GIVE_WAY_MS_MAX;
}

/* How long the connection waits after so many bytes. */
static int64_t conn_pause_ms(struct conn *c, size_t sent, bool gives_way)
{
	struct bucket *b = &c->worker->server->bucket;
	int64_t pause_ms = c->urgent ? bucket_take_first(b, sent) : bucket_take(b, sent);

	return gives_way && pause_ms < GIVE_WAY_MS ? GIVE_WAY_MS : pause_ms;
}

/* How much of what is left may go in one stretch. False: not now, or the connection is gone. */
static bool conn_stretch(struct conn *c, uint64_t *stretch_out)
{
	uint64_t stretch = (uint64_t)(c->end - c->off);
	uint32_t here;

	*stretch_out = stretch < c->left ? stretch : c->left;
	if (!c->coming)
		return true;
	if (!store_coming_stretch(c->coming, (uint32_t)(c->off - c->start), &here)) {
		conn_close(c); /* the child sees that it does not get the rest */
		return false;
	}
	if (*stretch_out > here)
		*stretch_out = here;
	if (here > 0)
		return true;
	conn_set_state(c, CONN_WAITING);
	loop_timer_arm(c->worker->loop, &c->timer, COMING_LOOK_MS);
	return false;
}

/* One sendfile. False: not now, or the connection is gone. */
static bool conn_send_some(struct conn *c, size_t chunk, size_t *sent_out)
{
	struct piece_server *s = c->worker->server;
	uint64_t stretch;
	ssize_t n;

	if (!conn_stretch(c, &stretch))
		return false;
	n = sendfile(c->watch.fd, store_task_fd(c->task), &c->off,
		     stretch < chunk ? (size_t)stretch : chunk);

	if (n < 0) {
		if (errno == EIO)
			conn_disk_failed(c);
		else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
			conn_close(c);
		return false;
	}
	if (n == 0) { /* the file is shorter than its record says */
		conn_disk_failed(c);
		return false;
	}
	*sent_out = (size_t)n;
	c->took_ms = clock_ms();
	c->left -= (uint64_t)n;
	if (c->off == c->end && c->left > 0) {
		c->off = c->start;
		conn_read_ahead(c);
	}
	count(&s->stat.bytes, (uint64_t)n);
	host_count_tx(s->host, (uint64_t)n);
	return true;
}

/* Sends as much as one turn allows. The connection may be gone afterwards. */
static void conn_turn(struct conn *c)
{
	struct piece_server *s = c->worker->server;
	size_t turn = 0, sent = 0;

	if (!conn_flush_head(c))
		return;
	while (c->left > 0 && turn < TURN_BYTES) {
		bool gives_way = conn_gives_way(c);
		int64_t wait_ms;

		if (!conn_send_some(c, gives_way ? GIVE_WAY_CHUNK : s->chunk, &sent))
			return;
		turn += sent;
		wait_ms = conn_pause_ms(c, sent, gives_way);
		if (wait_ms > 0 && c->left > 0) {
			conn_set_state(c, CONN_WAITING);
			loop_timer_arm(c->worker->loop, &c->timer, wait_ms);
			return;
		}
	}
	if (c->left > 0) {
		loop_timer_arm(c->worker->loop, &c->timer, s->config.write_timeout_ms);
		return;
	}
	if (c->task)
		count(&s->stat.pieces, 1);
	if (c->last)
		conn_close(c);
	else
		conn_await_request(c);
}

/* ---- reading ---- */

/* What a header alone tells. False: the connection was refused or closed. */
static bool conn_check_header(struct conn *c)
{
	struct vortex_header h;

	vortex_header_read(c->in, &h);
	if (h.tag == VORTEX_CLOSE) {
		conn_close(c);
		return false;
	}
	if (vortex_request_value_len(h.tag) == 0) {
		conn_refuse(c, BAD_TAG);
		return false;
	}
	if (vortex_request_value_len(h.tag) != h.length) {
		conn_refuse(c, BAD_LENGTH);
		return false;
	}
	c->in_want = VORTEX_HEADER_LEN + h.length;
	return true;
}

static void conn_read(struct conn *c)
{
	struct piece_server *s = c->worker->server;
	/* Not more than the request that it is, at the least. */
	size_t room = c->in_want > VORTEX_HEADER_LEN ? c->in_want : VORTEX_REQUEST_LEN;
	ssize_t n = recv(c->watch.fd, c->in + c->in_len, room - c->in_len, MSG_DONTWAIT);
	unsigned before = c->in_len;

	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
			conn_close(c);
		return;
	}
	c->in_len += (unsigned)n;
	if (before == 0)
		loop_timer_arm(c->worker->loop, &c->timer, s->config.header_timeout_ms);
	if (before < VORTEX_HEADER_LEN && c->in_len >= VORTEX_HEADER_LEN && !conn_check_header(c))
		return;
	if (c->in_len == c->in_want)
		conn_request(c);
}

static void conn_ready(struct watch *w, uint32_t events)
{
	struct conn *c = w->arg;

	if (c->state == CONN_READING)
		conn_read(c);
	else if (events & (EPOLLERR | EPOLLHUP))
		conn_close(c);
	else
		conn_turn(c);
}

/* ---- connections ---- */

/* False: every connection is in the middle of a piece. */
static bool worker_make_room(struct worker *w)
{
	if (list_empty(&w->idle))
		return false;
	conn_close(list_entry(w->idle.next, struct conn, link));
	return true;
}

static void conn_drop_new(struct conn *c, enum complaint kind)
{
	struct piece_server *s = c->worker->server;

	count(&s->stat.refused, 1);
	complain(&s->complaints, kind, c->watch.fd);
	close(c->watch.fd);
	free(c);
}

/* On the loop that the connection shall live on. */
static void conn_adopt(struct loop_job *job)
{
	struct conn *c = job->arg;
	struct worker *w = c->worker;
	struct piece_server *s = w->server;
	const int unsent_max = UNSENT_MAX;
	struct err e;

	if (w->count >= s->config.connections_max / s->worker_count && !worker_make_room(w)) {
		conn_drop_new(c, TOO_MANY);
		return;
	}
	(void)setsockopt(c->watch.fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_max,
			 sizeof(unsent_max));
	c->watch.events = EPOLLIN;
	if (loop_watch(w->loop, &c->watch, &e) < 0) {
		conn_drop_new(c, NO_DESCRIPTORS);
		return;
	}
	w->count++;
	count(&s->stat.open, 1);
	host_count_upload(s->host, 1);
	list_push_back(&w->idle, &c->link);
	loop_timer_arm(w->loop, &c->timer, s->config.header_timeout_ms);
}

static void conn_start(struct piece_server *s, int fd)
{
	struct conn *c = mem_new(struct conn);

	c->worker = &s->workers[s->next_worker++ % s->worker_count];
	c->watch = (struct watch){.fd = fd, .ready = conn_ready, .arg = c};
	c->timer = (struct loop_timer){.fire = conn_timed_out, .arg = c};
	c->stuck = (struct loop_timer){.fire = conn_look_at_progress};
	c->adopt = (struct loop_job){.run = conn_adopt, .arg = c};
	c->in_want = VORTEX_HEADER_LEN;
	list_init(&c->link);
	list_init(&c->timer.link);
	list_init(&c->stuck.link);
	list_init(&c->adopt.link);
	count(&s->stat.accepted, 1);
	(void)loop_post(c->worker->loop, &c->adopt);
}

static void accept_again(struct loop_timer *t)
{
	struct piece_server *s = t->arg;

	loop_rewatch(s->workers[0].loop, &s->accept_watch, EPOLLIN);
}

static void accept_ready(struct watch *w, uint32_t events)
{
	struct piece_server *s = w->arg;

	(void)events;
	for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
		int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			conn_start(s, fd);
			continue;
		}
		if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
			return;
		/* The listener stays readable: make room, and look again a little later. */
		complain(&s->complaints, NO_DESCRIPTORS, -1);
		(void)worker_make_room(&s->workers[0]);
		loop_rewatch(s->workers[0].loop, w, 0);
		loop_timer_arm(s->workers[0].loop, &s->accept_timer, ACCEPT_PAUSE_MS);
		return;
	}
}

/* ---- the server ---- */

static void set_defaults(struct piece_server *s)
{
	struct piece_server_config *c = &s->config;

	c->loops = c->loops == 0 ? 2 : c->loops > LOOPS_MAX ? LOOPS_MAX : c->loops;
	if (c->connections_max == 0)
		c->connections_max = 16384;
	if (c->connections_max < c->loops)
		c->connections_max = c->loops;
	if (c->header_timeout_ms == 0)
		c->header_timeout_ms = 5000;
	if (c->idle_timeout_ms == 0)
		c->idle_timeout_ms = 60000;
	if (c->write_timeout_ms == 0)
		c->write_timeout_ms = 60000;
	if (c->stuck_ms == 0)
		c->stuck_ms = 2000;
	/* With a limit, bytes go out in steps of a fiftieth of a second. */
	s->chunk =
		c->bandwidth == 0 || c->bandwidth / 50 > CHUNK_MAX ? CHUNK_MAX : c->bandwidth / 50;
	if (s->chunk < CHUNK_MIN)
		s->chunk = CHUNK_MIN;
}

static int start_loops(struct piece_server *s, struct err *e)
{
	for (; s->worker_count < s->config.loops; s->worker_count++) {
		struct worker *w = &s->workers[s->worker_count];

		w->server = s;
		list_init(&w->idle);
		list_init(&w->busy);
		if (loop_new("pieces", &w->loop, e) < 0)
			return -e->code;
		recent_tasks_init(&w->recent, s->store, w->loop);
	}
	return 0;
}

/* The listener is watched on the loop's own thread, as everything of a loop. */
static void start_accepting(struct loop_job *job)
{
	struct piece_server *s = job->arg;
	struct err e;

	free(job);
	if (loop_watch(s->workers[0].loop, &s->accept_watch, &e) < 0)
		log_error(err_fault(&e), "piece server cannot accept", "why=\"%s\"", e.text);
}

int piece_server_new(const struct piece_server_config *c, struct store *store, struct host *host,
		     struct piece_server **out, struct err *e)
{
	struct piece_server *s = mem_new(struct piece_server);
	struct loop_job *job;

	s->config = *c;
	s->store = store;
	s->host = host;
	s->listen_fd = -1;
	set_defaults(s);
	bucket_init(&s->bucket, c->bandwidth, 2 * s->chunk);
	if (net_listen(c->ip, c->port, BACKLOG, &s->listen_fd, &s->port, e) < 0 ||
	    start_loops(s, e) < 0) {
		piece_server_free(s);
		return -e->code;
	}
	s->accept_watch = (struct watch){
		.fd = s->listen_fd, .events = EPOLLIN, .ready = accept_ready, .arg = s};
	s->accept_timer = (struct loop_timer){.fire = accept_again, .arg = s};
	list_init(&s->accept_timer.link);
	job = mem_new(struct loop_job);
	*job = (struct loop_job){.run = start_accepting, .arg = s};
	list_init(&job->link);
	(void)loop_post(s->workers[0].loop, job);
	*out = s;
	return 0;
}

static void free_conns(struct list *conns)
{
	struct list *link;

	while ((link = list_pop_front(conns)) != NULL) {
		struct conn *c = list_entry(link, struct conn, link);

		conn_release_piece(c);
		host_count_upload(c->worker->server->host, -1);
		close(c->watch.fd);
		free(c);
	}
}

void piece_server_free(struct piece_server *s)
{
	if (!s)
		return;
	/* The first loop is the one that accepts: after it no connection is handed on. */
	for (unsigned i = 0; i < s->worker_count; i++)
		loop_free(s->workers[i].loop);
	for (unsigned i = 0; i < s->worker_count; i++) {
		free_conns(&s->workers[i].idle);
		free_conns(&s->workers[i].busy);
		recent_tasks_forget(&s->workers[i].recent);
	}
	close_at(&s->listen_fd);
	bucket_release(&s->bucket);
	free(s);
}

uint16_t piece_server_port(const struct piece_server *s)
{
	return s->port;
}

void piece_server_stat(const struct piece_server *s, struct piece_server_stat *out)
{
	const uint64_t *from = (const uint64_t *)&s->stat;
	uint64_t *to = (uint64_t *)out;

	for (size_t i = 0; i < sizeof(*out) / sizeof(*to); i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}
