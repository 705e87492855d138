/*
 * The child's side of the TCP piece protocol. One connection carries one piece at a time; a parent
 * that shows vortex_kept_id() is Skimmer's and its connection is kept for the next piece
 * (docs/adr/0002-kept-piece-connections.md).
 *
 * Must not know: tasks, stores, digests of content (the slot compares the CRC).
 */
#include "daemon/piece_client.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"
#include "daemon/vortex.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#define CLIENT_LOCK_RANK   50
#define BUFFER_LEN	   (256u << 10) /* fits the second-level cache: read, hashed and written there */
#define BUFFERS_KEPT	   16
#define KEPT_MAX	   64
#define KEPT_MS		   30000 /* half of what the server grants */
#define CONNECT_TIMEOUT_MS 2000
#define LOOK_MS		   50 /* how soon a cancellation is seen, and less than a portion taken */
#define PORTION_LEN	   (64u << 10) /* that a reader in no hurry is woken for */

struct kept {
	struct net_addr addr;
	int fd;
	int64_t since_ms;
};

struct piece_client {
	struct lock lock;
	/* all below: lock */
	struct kept kept[KEPT_MAX]; /* oldest first */
	unsigned kept_count;
	void *buffers[BUFFERS_KEPT];
	unsigned buffer_count;
};

struct piece_client *piece_client_new(void)
{
	struct piece_client *c = mem_new(struct piece_client);

	lock_init(&c->lock, CLIENT_LOCK_RANK);
	return c;
}

void piece_client_free(struct piece_client *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < c->kept_count; i++)
		close(c->kept[i].fd);
	for (unsigned i = 0; i < c->buffer_count; i++)
		free(c->buffers[i]);
	lock_release(&c->lock);
	free(c);
}

static void *buffer_take(struct piece_client *c)
{
	lock_take(&c->lock);
	void *buffer = c->buffer_count > 0 ? c->buffers[--c->buffer_count] : NULL;
	lock_drop(&c->lock);
	return buffer ? buffer : mem_alloc(BUFFER_LEN);
}

static void buffer_give(struct piece_client *c, void *buffer)
{
	lock_take(&c->lock);
	if (c->buffer_count < BUFFERS_KEPT)
		c->buffers[c->buffer_count++] = take_ptr(&buffer);
	lock_drop(&c->lock);
	free(buffer);
}

static int kept_remove(struct piece_client *c, unsigned i)
{
	int fd = c->kept[i].fd;

	c->kept_count--;
	memmove(&c->kept[i], &c->kept[i + 1], (c->kept_count - i) * sizeof(c->kept[0]));
	return fd;
}

static bool same_addr(const struct net_addr *a, const struct net_addr *b)
{
	return a->len == b->len && memcmp(&a->sa, &b->sa, a->len) == 0;
}

/* The newest connection to addr, or -1. */
static int kept_find(struct piece_client *c, const struct net_addr *addr)
{
	lock_guard(&c->lock);
	for (unsigned i = c->kept_count; i-- > 0;)
		if (same_addr(&c->kept[i].addr, addr))
			return kept_remove(c, i);
	return -1;
}

/* Closes what is too old, or the oldest when there is no room. */
static void kept_expire(struct piece_client *c)
{
	int old[KEPT_MAX];
	unsigned count = 0;
	int64_t now_ms = clock_ms();

	lock_take(&c->lock);
	while (c->kept_count > 0 &&
	       (c->kept_count == KEPT_MAX || now_ms - c->kept[0].since_ms > KEPT_MS))
		old[count++] = kept_remove(c, 0);
	lock_drop(&c->lock);
	while (count > 0)
		close(old[--count]);
}

static void kept_put(struct piece_client *c, const struct net_addr *addr, int fd)
{
	kept_expire(c);
	lock_take(&c->lock);
	/* Others may have filled it meanwhile. */
	if (c->kept_count < KEPT_MAX) {
		c->kept[c->kept_count++] =
			(struct kept){.addr = *addr, .fd = fd, .since_ms = clock_ms()};
		fd = -1;
	}
	lock_drop(&c->lock);
	close_at(&fd);
}

/* A kept connection that the parent has neither closed nor written to. */
static int kept_take(struct piece_client *c, const struct net_addr *addr)
{
	int fd;

	kept_expire(c);
	while ((fd = kept_find(c, addr)) >= 0) {
		char byte;
		ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return fd;
		close(fd);
	}
	return -1;
}

/* One question and its answer on one connection. */
struct exchange {
	int fd;
	const struct piece_ask *ask;
	uint8_t id;
	bool answered; /* a byte of the answer has come */
	bool keep;     /* the answer is over and the parent keeps the connection */
	uint64_t left; /* bytes of content that have not been taken */
};

static int64_t earlier(int64_t a, int64_t b)
{
	if (a == 0 || b == 0)
		return a + b;
	return a < b ? a : b;
}

static bool is_cancelled(const struct exchange *x)
{
	return x->ask->cancelled && __atomic_load_n(x->ask->cancelled, __ATOMIC_RELAXED);
}

static int64_t stall_deadline(const struct exchange *x)
{
	return earlier(x->ask->deadline_ms,
		       x->ask->stall_ms > 0 ? clock_ms() + x->ask->stall_ms : 0);
}

/* Until there is something to read, or it is time to look for it: 0. ETIMEDOUT, ECANCELED. */
static int wait_readable(const struct exchange *x, int64_t until_ms, struct err *e)
{
	struct pollfd p = {.fd = x->fd, .events = POLLIN};
	int left = clock_left_ms(until_ms);

	if (is_cancelled(x))
		return err_set(e, ECANCELED, "cancelled");
	if (left == 0)
		return err_set(e, ETIMEDOUT, "parent sends nothing");
	(void)poll(&p, 1, left < 0 || left > LOOK_MS ? LOOK_MS : left);
	return 0;
}

/* On a slow link a piece comes packet by packet, and each would wake its reader. */
static void wake_for(const struct exchange *x, uint64_t len)
{
	int least = len < PORTION_LEN ? (int)len : (int)PORTION_LEN;

	(void)setsockopt(x->fd, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof(least));
}

/* At least one byte, at most len. EPROTO when the stream ends. */
static int read_some(struct exchange *x, void *data, size_t len, size_t *got_out, struct err *e)
{
	int64_t until_ms = stall_deadline(x);

	for (;;) {
		ssize_t n = recv(x->fd, data, len, MSG_DONTWAIT);

		if (n > 0) {
			x->answered = true;
			*got_out = (size_t)n;
			return 0;
		}
		if (n == 0)
			return err_set(e, EPROTO, "parent closed the connection");
		if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
			return err_set(e, errno, "read from parent");
		if (wait_readable(x, until_ms, e) < 0)
			return -e->code;
	}
}

static int read_full(struct exchange *x, void *data, size_t len, struct err *e)
{
	size_t got = 0;

	for (size_t have = 0; have < len; have += got)
		if (read_some(x, (char *)data + have, len - have, &got, e) < 0)
			return -e->code;
	return 0;
}

static int refusal(const uint8_t *value, size_t len, struct err *e)
{
	struct vortex_error error;
	int code = EPROTO;

	if (vortex_error_read(value, len, &error, e) < 0)
		return -e->code;
	if (error.code == VORTEX_NOT_FOUND)
		code = ENOENT;
	else if (error.code == VORTEX_INVALID_ARGUMENT)
		code = EOPNOTSUPP;
	return err_set(e, code, "parent refuses (code %u): %s", error.code, error.message);
}

static int check_head(const struct vortex_content *c, const struct piece_ask *expected,
		      struct err *e)
{
	if (c->number != expected->number || c->offset != expected->offset ||
	    c->length != expected->length)
		return err_set(e, EPROTO, "parent offers piece %u at %ju of %ju bytes", c->number,
			       (uintmax_t)c->offset, (uintmax_t)c->length);
	if (c->blocks.count > 0 && (c->blocks.length != expected->block_length ||
				    c->blocks.first != expected->first_block))
		return err_set(e, EPROTO, "parent offers blocks of %u bytes, from block %u",
			       c->blocks.length, c->blocks.first);
	return 0;
}

/* The packet before the content. */
static int read_head(struct exchange *x, struct piece_head *head_out, struct err *e)
{
	uint8_t packet[VORTEX_PACKET_MAX];
	struct vortex_header h;
	struct vortex_content c;
	bool keep, by_blocks;

	if (read_full(x, packet, VORTEX_HEADER_LEN, e) < 0)
		return -e->code;
	vortex_header_read(packet, &h);
	if (h.length > VORTEX_VALUE_MAX)
		return err_set(e, EPROTO, "parent answers with a packet of %u bytes", h.length);
	by_blocks = h.tag == VORTEX_BLOCKS_CONTENT && x->ask->block_length > 0;
	if (h.tag != VORTEX_PIECE_CONTENT && h.tag != VORTEX_ERROR && !by_blocks)
		return err_set(e, EPROTO, "parent answers with tag %u", h.tag);
	if (read_full(x, packet, h.length, e) < 0)
		return -e->code;
	keep = h.id == vortex_kept_id(x->id);
	if (h.tag == VORTEX_ERROR) {
		x->keep = keep;
		return refusal(packet, h.length, e);
	}
	if ((by_blocks ? vortex_blocks_read : vortex_content_read)(packet, h.length, &c, e) < 0 ||
	    check_head(&c, x->ask, e) < 0)
		return -e->code;
	x->keep = keep;
	*head_out = (struct piece_head){.number = c.number,
					.offset = c.offset,
					.length = c.length,
					.has_crc32 = c.has_crc32,
					.crc32 = c.crc32,
					.blocks = c.blocks};
	memcpy(head_out->parent_id, c.parent_id, sizeof(head_out->parent_id));
	return 0;
}

static int read_content(struct exchange *x, void *buffer, piece_sink sink, void *arg, struct err *e)
{
	x->left = x->ask->length;
	if (!x->ask->urgent)
		wake_for(x, x->left);
	while (x->left > 0) {
		size_t want = x->left < BUFFER_LEN ? (size_t)x->left : BUFFER_LEN, got;

		if (is_cancelled(x))
			return err_set(e, ECANCELED, "cancelled");
		if (x->ask->deadline_ms && clock_left_ms(x->ask->deadline_ms) == 0)
			return err_set(e, ETIMEDOUT, "parent is too slow");
		if (read_some(x, buffer, want, &got, e) < 0)
			return err_wrap(e, "%ju bytes missing", (uintmax_t)x->left);
		if (sink(arg, buffer, got, e) < 0)
			return -e->code;
		x->left -= got;
		if (!x->ask->urgent && x->left > 0 && x->left < PORTION_LEN)
			wake_for(x, x->left);
	}
	return 0;
}

/* What is here already is taken, so that the connection of a piece that is not wanted any more may
 * be kept. False: there is more. */
static bool skip_rest(struct exchange *x, void *buffer)
{
	while (x->left > 0) {
		ssize_t n = recv(x->fd, buffer, x->left < BUFFER_LEN ? (size_t)x->left : BUFFER_LEN,
				 MSG_DONTWAIT);

		if (n <= 0)
			return false;
		x->left -= (uint64_t)n;
	}
	return true;
}

static int put_question(struct exchange *x, const struct vortex_request *rq,
			struct piece_head *head_out, struct err *e)
{
	uint8_t packet[VORTEX_REQUEST_MAX];
	size_t len = vortex_request_write(packet, x->id, rq);

	if (net_write_full(x->fd, packet, len, stall_deadline(x), e) < 0)
		return -e->code;
	return read_head(x, head_out, e);
}

/* Asks on a kept connection if there is one, else on a new one. */
static int open_and_ask(struct piece_client *c, const struct net_addr *addr, struct exchange *x,
			const struct vortex_request *rq, struct piece_head *head_out, struct err *e)
{
	x->fd = kept_take(c, addr);
	if (x->fd >= 0) {
		if (put_question(x, rq, head_out, e) == 0)
			return 0;
		/* A connection that ended before the answer began says nothing of the parent. */
		if (x->answered || e->code == ETIMEDOUT || e->code == ECANCELED)
			return -e->code;
		close_at(&x->fd);
	}
	if (net_connect(addr, earlier(x->ask->deadline_ms, clock_ms() + CONNECT_TIMEOUT_MS), &x->fd,
			e) < 0)
		return -e->code;
	return put_question(x, rq, head_out, e);
}

/* A request that nobody waits for does not look like one that somebody does. */
static uint8_t request_id(const struct piece_ask *ask)
{
	uint8_t id = (uint8_t)clock_us();

	if (ask->urgent)
		return VORTEX_URGENT_ID;
	return id == VORTEX_URGENT_ID ? id + 1 : id;
}

int piece_client_fetch(struct piece_client *c, const struct net_addr *addr,
		       const struct piece_ask *ask, struct piece_head *head_out, piece_sink sink,
		       void *arg, struct err *e)
{
	struct exchange x = {.fd = -1, .ask = ask, .id = request_id(ask)};
	struct vortex_request rq = {.number = ask->number,
				    .by_blocks = ask->block_length > 0,
				    .first_block = (uint8_t)ask->first_block};
	void *buffer;
	int r;

	assert(strlen(ask->task_id) == sizeof(rq.task_id) - 1);
	memcpy(rq.task_id, ask->task_id, sizeof(rq.task_id));
	r = open_and_ask(c, addr, &x, &rq, head_out, e);
	/* An earlier version of ours came back at this address, and closes now. */
	if (r == -EOPNOTSUPP && rq.by_blocks) {
		close_at(&x.fd);
		x.answered = rq.by_blocks = false;
		r = open_and_ask(c, addr, &x, &rq, head_out, e);
	}
	if (r == 0) {
		buffer = buffer_take(c);
		r = read_content(&x, buffer, sink, arg, e);
		if (r < 0 && !(r == -ECANCELED && skip_rest(&x, buffer)))
			x.keep = false;
		buffer_give(c, buffer);
	}
	if (x.keep) {
		wake_for(&x, 1);
		kept_put(c, addr, take_fd(&x.fd));
	}
	close_at(&x.fd);
	return r;
}
