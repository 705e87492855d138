/*
 * An origin, a scheduler and peers that do what a test says, in place of the real clients: this
 * file defines their symbols, so the library's objects are not linked. Callbacks come on a thread
 * of their own, as the real ones do. All content follows from a seed (store_fixture.h).
 */
#ifndef TEST_UNIT_DAEMON_FAKE_CLUSTER_H
#define TEST_UNIT_DAEMON_FAKE_CLUSTER_H

#include "test/unit/daemon/store_fixture.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/pool.h"
#include "base/timer.h"
#include "daemon/host.h"
#include "daemon/origin.h"
#include "daemon/parent.h"
#include "daemon/piece_client.h"
#include "daemon/scheduler_client.h"

#define FAKE_PIECES 64
#define FAKE_PEERS  8
#define FAKE_PORT   7000 /* of peer 0 */

/* What the scheduler says to a register or a reschedule. */
struct fake_reply {
	enum { SAY_NOTHING, SAY_PARENTS, SAY_ORIGIN, SAY_CLOSED, SAY_READY } what;
	unsigned peers; /* bitmap */
	int code;	/* of SAY_CLOSED */
};

struct fake_peer {
	uint64_t has;	     /* pieces it announces at once, a bitmap */
	uint64_t on_request; /* pieces it announces when it is asked again */
	int error;	     /* of each fetch, 0 = none */
	bool corrupt;	     /* its bytes are not what its digest says */
	bool lies;	     /* its bytes are wrong and its digest agrees with them */
	bool no_digest;
	bool later;		/* what it announces is only for who waits */
	bool held;		/* fetches wait until it is not */
	uint64_t held_pieces;	/* ... of these pieces alone */
	bool half;		/* half a piece comes before that */
	bool by_blocks;		/* it answers requests by blocks */
	bool coming;		/* ... and says that it has not got all of the piece */
	unsigned early_blocks;	/* ... and so many come before it waits */
	unsigned corrupt_block; /* ... and this one is wrong; 0 = none */
	bool odd_blocks;	/* ... and its digests of blocks are not those of the piece */
	int closes; /* > 0: tells this error once it has announced; -1: tells the regular end */
	uint32_t odd_len;   /* added to the lengths it announces */
	unsigned cancelled; /* fetches */
	unsigned fetches, urgent_fetches, block_fetches, opens, frees, announcements, asked_sooner;
	unsigned full, free; /* times that it was told so */
};

static struct fake {
	struct lock lock;
	struct cond changed;
	struct pool *caller; /* the rpc thread */
	/* origin */
	unsigned seed;
	uint64_t length;
	uint32_t piece_length;
	bool no_ranges, no_length, held, stat_held;
	uint64_t wrong_until; /* its first so many bytes are wrong */
	int stat_error, get_error;
	unsigned get_errors_left; /* get_error counts so often; 0 = always */
	unsigned stats, gets, running;
	uint64_t bytes;
	unsigned fetched[FAKE_PIECES]; /* times that a piece was sent from its start */
	char last_url[512], last_authorization[64];
	uint64_t last_off;
	/* scheduler */
	bool has_task;
	uint64_t task_length;
	uint32_t task_pieces;
	unsigned length_questions; /* StatTask */
	unsigned alive;
	struct fake_reply replies[16];
	unsigned reply_count, replied;
	unsigned registers, metadata_registers, origin_registers, reschedules, drops;
	unsigned started, to_origin, finished, failed, pieces_finished, pieces_failed, deleted;
	size_t tried;
	char registered_url[512];
	uint64_t registered_length;
	struct list objects; /* every struct fake_object, freed at the end */
	struct schedule *open;
	struct fake_peer peers[FAKE_PEERS];
} fake;

/* What callbacks come from: a schedule or a parent. */
struct fake_object {
	struct list link;
	bool is_parent, dropped, calling;
	pthread_t caller;
};

struct schedule {
	struct fake_object o;
	struct schedule_ops ops;
	void *arg;
	char peer_id[32];
	struct fake_reply reply;
};

struct parent {
	struct fake_object o;
	struct parent_info info;
	struct parent_ops ops;
	void *arg;
	unsigned peer;
	uint64_t announced;
};

/* ---- set-up */

#define RANK_FAKE 89 /* below the pool's */

static inline void fake_setup(unsigned seed, uint64_t length, uint32_t piece_length)
{
	memset(&fake, 0, sizeof(fake));
	lock_init(&fake.lock, RANK_FAKE);
	cond_init(&fake.changed);
	list_init(&fake.objects);
	fake.caller = pool_new("fake", 1, 4096);
	fake.seed = seed;
	fake.length = length;
	fake.piece_length = piece_length;
	fake.alive = 1;
}

static inline void fake_teardown(void)
{
	pool_free(fake.caller);
	for (struct list *l = list_pop_front(&fake.objects); l; l = list_pop_front(&fake.objects))
		free(list_entry(l, struct fake_object, link));
}

/* Changes the fake while others look at it. */
#define fake_set(assignment)                                                                       \
	do {                                                                                       \
		lock_take(&fake.lock);                                                             \
		assignment;                                                                        \
		cond_wake_all(&fake.changed);                                                      \
		lock_drop(&fake.lock);                                                             \
	} while (0)

#define fake_get(field)                                                                            \
	({                                                                                         \
		lock_take(&fake.lock);                                                             \
		__typeof__(fake.field) value_ = fake.field;                                        \
		lock_drop(&fake.lock);                                                             \
		value_;                                                                            \
	})

/* Is a text of the fake's this one? */
static inline bool fake_says(const char *field, const char *text)
{
	lock_guard(&fake.lock);
	if (strcmp(field, text) != 0)
		print_error("\"%s\" is not \"%s\"\n", field, text);
	return strcmp(field, text) == 0;
}

static inline void fake_replies(const struct fake_reply *replies, unsigned count)
{
	lock_guard(&fake.lock);
	memcpy(fake.replies, replies, count * sizeof(*replies));
	fake.reply_count = count;
	fake.replied = 0;
}
#define fake_will_say(...)                                                                         \
	fake_replies((struct fake_reply[]){__VA_ARGS__},                                           \
		     sizeof((struct fake_reply[]){__VA_ARGS__}) / sizeof(struct fake_reply))

/* ---- callbacks */

/* With the lock, dropped around the call. False: it was dropped, nothing may be called. */
static inline bool fake_call_begin(struct fake_object *o)
{
	if (o->dropped)
		return false;
	o->calling = true;
	o->caller = pthread_self();
	lock_drop(&fake.lock);
	return true;
}

static inline void fake_call_end(struct fake_object *o)
{
	lock_take(&fake.lock);
	o->calling = false;
	cond_wake_all(&fake.changed);
}

static inline void fake_object_drop(struct fake_object *o)
{
	lock_guard(&fake.lock);
	o->dropped = true;
	while (o->calling && !pthread_equal(o->caller, pthread_self()))
		cond_wait(&fake.changed, &fake.lock);
}

/* ---- the origin */

static inline void fake_bytes(unsigned seed, uint64_t off, size_t len, unsigned char *out)
{
	bytes_of(seed, off, len, out);
}

void origin_info_release(struct origin_info *i)
{
	free(i->headers);
	i->headers = NULL;
}

static inline void fake_note(const struct origin_request *rq)
{
	snprintf(fake.last_url, sizeof(fake.last_url), "%s", rq->url);
	fake.last_off = rq->off;
	fake.last_authorization[0] = 0;
	for (size_t i = 0; rq->headers && i < rq->headers->count; i++)
		if (strcmp(rq->headers->items[i].name, "Authorization") == 0)
			snprintf(fake.last_authorization, sizeof(fake.last_authorization), "%s",
				 rq->headers->items[i].value);
}

/* With the lock: waits while held. False: cancelled. */
static inline bool fake_wait(const bool *held, const bool *cancelled)
{
	while (*held && !(cancelled && __atomic_load_n(cancelled, __ATOMIC_RELAXED)))
		cond_wait_until(&fake.changed, &fake.lock, clock_ms() + 5);
	return !(cancelled && __atomic_load_n(cancelled, __ATOMIC_RELAXED));
}

/* URLs that contain these words fail, whatever else is said. */
static inline int fake_url_error(const char *url)
{
	return strstr(url, "denied")	? EACCES
	       : strstr(url, "missing") ? ENOENT
	       : strstr(url, "broken")	? EHOSTUNREACH
					: 0;
}

int origin_stat(struct origin *o, const struct origin_request *rq, struct origin_info *out,
		struct err *e)
{
	int code = fake_url_error(rq->url);

	(void)o;
	lock_guard(&fake.lock);
	fake.stats++;
	fake_note(rq);
	cond_wake_all(&fake.changed);
	if (!fake_wait(&fake.stat_held, rq->cancelled))
		return err_set(e, ECANCELED, "stat was cancelled");
	if (fake.stat_error || code)
		return err_set(e, code ? code : fake.stat_error, "stat");
	out->content_length = fake.no_length ? -1 : (int64_t)fake.length;
	out->ranges = !fake.no_ranges && !fake.no_length;
	out->headers = mem_strdup("Content-Type: text/plain\n");
	return 0;
}

static inline int fake_get_error(void)
{
	if (!fake.get_error)
		return 0;
	if (fake.get_errors_left == 0)
		return fake.get_error;
	int code = fake.get_error;
	if (--fake.get_errors_left == 0)
		fake.get_error = 0;
	return code;
}

int origin_get(struct origin *o, const struct origin_request *rq, origin_sink sink, void *arg,
	       struct err *e)
{
	cleanup(free_at) unsigned char *chunk = mem_alloc(16384);
	uint64_t end, off = rq->off;
	int r = 0, code;

	(void)o;
	lock_take(&fake.lock);
	end = rq->len ? rq->off + rq->len : fake.length;
	fake.gets++;
	fake.running++;
	fake_note(rq);
	cond_wake_all(&fake.changed);
	code = fake_get_error();
	if (!fake_wait(&fake.held, rq->cancelled))
		r = err_set(e, ECANCELED, "get was cancelled");
	else if (code || fake_url_error(rq->url))
		r = err_set(e, code ? code : fake_url_error(rq->url), "get");
	while (r == 0 && off < end) {
		size_t n = end - off < 16384 ? (size_t)(end - off) : 16384;
		unsigned seed = fake.bytes < fake.wrong_until ? fake.seed + 1000 : fake.seed;

		if (off % fake.piece_length == 0)
			fake.fetched[off / fake.piece_length % FAKE_PIECES]++;
		fake.bytes += n;
		lock_drop(&fake.lock);
		fake_bytes(seed, off, n, chunk);
		r = sink(arg, chunk, n, e);
		off += n;
		lock_take(&fake.lock);
		if (r == 0 && !fake_wait(&fake.held, rq->cancelled))
			r = err_set(e, ECANCELED, "get was cancelled");
	}
	fake.running--;
	cond_wake_all(&fake.changed);
	lock_drop(&fake.lock);
	return r;
}

/* ---- the scheduler */

int scheduler_client_stat_task(struct scheduler_client *sc, const char *task_id,
			       uint64_t *length_out, uint32_t *piece_count_out, struct err *e)
{
	(void)sc;
	lock_guard(&fake.lock);
	fake.length_questions++;
	if (!fake.has_task)
		return err_set(e, ENOENT, "task %s", task_id);
	*length_out = fake.task_length;
	*piece_count_out = fake.task_pieces;
	return 0;
}

void scheduler_client_delete_task(struct scheduler_client *sc, const char *task_id)
{
	(void)sc;
	(void)task_id;
	fake_set(fake.deleted++);
}

unsigned scheduler_client_alive(const struct scheduler_client *sc)
{
	(void)sc;
	return fake_get(alive);
}

static inline struct parent_info fake_parent_info(unsigned peer, unsigned turn)
{
	struct parent_info i = {.ip = "127.0.0.1", .port = (uint16_t)(FAKE_PORT + peer)};

	snprintf(i.host_id, sizeof(i.host_id), "host-%u", peer);
	snprintf(i.peer_id, sizeof(i.peer_id), "peer-%u-%u", peer, turn);
	return i;
}

static inline void fake_say(void *arg)
{
	struct schedule *s = arg;
	struct parent_info parents[FAKE_PEERS];
	struct fake_reply reply;
	size_t count = 0;

	lock_take(&fake.lock);
	reply = s->reply;
	if (fake_call_begin(&s->o)) {
		struct err e = {0};

		for (unsigned i = 0; i < FAKE_PEERS; i++)
			if (reply.peers >> i & 1)
				parents[count++] = fake_parent_info(i, 0);
		if (reply.what == SAY_PARENTS)
			s->ops.parents(s, parents, count, s->arg);
		else if (reply.what == SAY_ORIGIN)
			s->ops.back_to_source(s, "nobody has it", s->arg);
		else if (reply.what == SAY_READY)
			s->ops.ready(s, s->arg);
		else if (reply.what == SAY_CLOSED) {
			err_set(&e, reply.code ? reply.code : EHOSTUNREACH, "closed");
			s->ops.closed(s, &e, s->arg);
		}
		fake_call_end(&s->o);
	}
	lock_drop(&fake.lock);
}

/* With the lock: the next of the replies; the last one stays. */
static inline void fake_reply_to(struct schedule *s)
{
	if (fake.reply_count == 0)
		return;
	s->reply = fake.replies[fake.replied];
	if (fake.replied + 1 < fake.reply_count)
		fake.replied++;
	if (s->reply.what != SAY_NOTHING)
		assert_true(pool_run(fake.caller, fake_say, s));
}

/* Unasked, to the conversation that is open. */
static inline void fake_speak(struct fake_reply reply)
{
	lock_guard(&fake.lock);
	assert_non_null(fake.open);
	fake.open->reply = reply;
	assert_true(pool_run(fake.caller, fake_say, fake.open));
}

struct schedule *schedule_new(struct scheduler_client *sc, const struct schedule_register *reg,
			      const struct schedule_ops *ops, void *arg)
{
	struct schedule *s = mem_new(struct schedule);

	(void)sc;
	s->ops = *ops;
	s->arg = arg;
	lock_guard(&fake.lock);
	list_push_back(&fake.objects, &s->o.link);
	snprintf(s->peer_id, sizeof(s->peer_id), "own-%u", fake.registers);
	snprintf(fake.registered_url, sizeof(fake.registered_url), "%s", reg->url ? reg->url : "");
	fake.registered_length = reg->meta->geometry.content_length;
	fake.registers++;
	fake.metadata_registers += reg->metadata_only;
	fake.origin_registers += reg->need_back_to_source;
	fake.open = s;
	fake_reply_to(s);
	cond_wake_all(&fake.changed);
	return s;
}

const char *schedule_peer_id(const struct schedule *s)
{
	return s->peer_id;
}

void schedule_scheduler(struct schedule *s, char *text, size_t size)
{
	(void)s;
	snprintf(text, size, "fake:8002");
}

void schedule_started(struct schedule *s)
{
	(void)s;
	fake_set(fake.started++);
}

void schedule_back_to_source_started(struct schedule *s, const char *why)
{
	(void)s;
	(void)why;
	fake_set(fake.to_origin++);
}

void schedule_piece_finished(struct schedule *s, uint32_t number, uint64_t offset,
			     const struct store_piece *piece, const char *parent_id)
{
	(void)s;
	(void)parent_id;
	assert_int_equal(offset, (uint64_t)number * fake.piece_length);
	assert_true(piece->length > 0);
	fake_set(fake.pieces_finished++);
}

void schedule_piece_failed(struct schedule *s, uint32_t number, const char *parent_id,
			   bool temporary)
{
	(void)s;
	(void)number;
	(void)parent_id;
	(void)temporary;
	fake_set(fake.pieces_failed++);
}

void schedule_reschedule(struct schedule *s, const struct parent_info *tried, size_t count,
			 const char *why)
{
	(void)tried;
	(void)why;
	lock_guard(&fake.lock);
	fake.reschedules++;
	fake.tried = count;
	fake_reply_to(s);
	cond_wake_all(&fake.changed);
}

void schedule_finished(struct schedule *s)
{
	(void)s;
	fake_set(fake.finished++);
}

void schedule_failed(struct schedule *s, const char *why)
{
	(void)s;
	(void)why;
	fake_set(fake.failed++);
}

void schedule_drop(struct schedule *s)
{
	fake_object_drop(&s->o);
	fake_set(fake.drops++; if (fake.open == s) fake.open = NULL);
}

/* ---- peers */

/* Announces what has is not announced yet, then maybe closes. */
static inline void fake_announce(void *arg)
{
	struct parent *p = arg;
	struct net_addr addr = {0};
	struct fake_peer peer;
	uint64_t news;

	net_addr_parse("127.0.0.1", (uint16_t)(FAKE_PORT + p->peer), &addr);
	lock_take(&fake.lock);
	peer = fake.peers[p->peer];
	news = peer.has & ~p->announced;
	p->announced |= news;
	if (fake_call_begin(&p->o)) {
		struct err e = {0};

		p->ops.bandwidth(p, 1000, 1000000, p->arg);
		for (uint32_t i = 0; i < FAKE_PIECES; i++) {
			uint64_t off = (uint64_t)i * fake.piece_length;
			uint64_t len = fake.length - off < fake.piece_length ? fake.length - off
									     : fake.piece_length;
			const struct parent_piece piece = {.number = i,
							   .offset = off,
							   .length = len + peer.odd_len,
							   .later = peer.later,
							   .by_blocks = peer.by_blocks,
							   .addr = addr};

			if (news >> i & 1)
				p->ops.piece(p, &piece, p->arg);
		}
		if (peer.closes > 0)
			err_set(&e, peer.closes, "parent closed");
		if (peer.closes)
			p->ops.closed(p, peer.closes > 0 ? &e : NULL, p->arg);
		fake_call_end(&p->o);
		fake.peers[p->peer].announcements++;
	}
	lock_drop(&fake.lock);
}

struct parent *parent_open(const struct parent_info *info, const char *task_id,
			   const char *own_host_id, const char *own_peer_id,
			   const uint32_t *interested, size_t interested_count,
			   const struct parent_ops *ops, void *arg)
{
	struct parent *p = mem_new(struct parent);

	(void)task_id;
	(void)interested;
	assert_true(interested_count > 0 && own_host_id[0] && own_peer_id[0]);
	p->info = *info;
	p->ops = *ops;
	p->arg = arg;
	p->peer = info->port - (unsigned)FAKE_PORT;
	lock_guard(&fake.lock);
	p->o.is_parent = true;
	list_push_back(&fake.objects, &p->o.link);
	fake.peers[p->peer].opens++;
	cond_wake_all(&fake.changed);
	assert_true(pool_run(fake.caller, fake_announce, p));
	return p;
}

const struct parent_info *parent_info(const struct parent *p)
{
	return &p->info;
}

void parent_free(struct parent *p)
{
	if (!p)
		return;
	fake_object_drop(&p->o);
	fake_set(fake.peers[p->peer].frees++);
}

void parent_ask_sooner(struct parent *p, const char *task_id, const char *own_host_id,
		       const uint32_t *numbers, size_t count)
{
	(void)task_id;
	(void)own_host_id;
	lock_guard(&fake.lock);
	fake.peers[p->peer].asked_sooner++;
	for (size_t i = 0; i < count; i++)
		fake.peers[p->peer].has |=
			fake.peers[p->peer].on_request & (UINT64_C(1) << numbers[i]);
	assert_true(pool_run(fake.caller, fake_announce, p));
}

void parent_tell_room(struct parent *p, const char *task_id, const char *own_host_id, bool full)
{
	(void)task_id;
	(void)own_host_id;
	fake_set(*(full ? &fake.peers[p->peer].full : &fake.peers[p->peer].free) += 1);
}

/* More pieces at a peer, announced to whoever listens. */
static inline void fake_peer_gets(unsigned peer, uint64_t pieces)
{
	lock_guard(&fake.lock);
	fake.peers[peer].has |= pieces;
	list_each (it, &fake.objects) {
		struct parent *p = list_entry(it, struct parent, o.link);

		if (p->o.is_parent && !p->o.dropped && p->peer == peer)
			assert_true(pool_run(fake.caller, fake_announce, p));
	}
}

/* With the lock: waits while the peer holds this piece. False: cancelled. */
static inline bool fake_peer_gives(struct fake_peer *peer, const struct piece_ask *ask)
{
	while (peer->held || peer->held_pieces >> ask->number & 1) {
		if (__atomic_load_n(ask->cancelled, __ATOMIC_RELAXED))
			break;
		cond_wait_until(&fake.changed, &fake.lock, clock_ms() + 5);
	}
	if (!__atomic_load_n(ask->cancelled, __ATOMIC_RELAXED))
		return true;
	peer->cancelled++;
	cond_wake_all(&fake.changed);
	return false;
}

/* With the lock: turns the bytes into the order in which they come. Returns how many come early. */
static inline size_t fake_by_blocks(struct fake_peer *peer, const struct piece_ask *ask,
				    unsigned char *data, struct piece_head *head)
{
	cleanup(free_at) unsigned char *in_order = mem_dup(data, ask->length);
	size_t begin = (size_t)ask->first_block * ask->block_length;
	struct vortex_blocks *b = &head->blocks;

	*b = (struct vortex_blocks){.first = (uint8_t)ask->first_block,
				    .coming = peer->coming,
				    .length = ask->block_length};
	for (size_t at = 0; at < ask->length; at += b->length) {
		size_t n = ask->length - at < b->length ? ask->length - at : b->length;

		b->crc32[b->count++] = crc32_update(0, data + at, n);
	}
	b->crc32[0] ^= peer->odd_blocks;
	if (peer->corrupt_block)
		in_order[peer->corrupt_block * b->length] ^= 1;
	memcpy(data, in_order + begin, ask->length - begin);
	memcpy(data + ask->length - begin, in_order, begin);
	peer->block_fetches++;
	begin = (size_t)peer->early_blocks * b->length;
	return begin < ask->length ? begin : ask->length;
}

int piece_client_fetch(struct piece_client *c, const struct net_addr *addr,
		       const struct piece_ask *ask, struct piece_head *head_out, piece_sink sink,
		       void *arg, struct err *e)
{
	const struct sockaddr_in *sin = (const struct sockaddr_in *)&addr->sa;
	struct fake_peer *peer = &fake.peers[ntohs(sin->sin_port) - FAKE_PORT];
	cleanup(free_at) unsigned char *data = mem_alloc(ask->length);
	size_t early;
	int code;

	(void)c;
	assert_true(ask->deadline_ms > clock_ms());
	lock_take(&fake.lock);
	early = peer->half ? ask->length / 2 : 0;
	bytes_of(peer->lies ? fake.seed + 1 : fake.seed, ask->offset, ask->length, data);
	*head_out = (struct piece_head){.number = ask->number,
					.offset = ask->offset,
					.length = ask->length,
					.has_crc32 = !peer->no_digest,
					.crc32 = crc32_update(0, data, ask->length)};
	if (peer->corrupt)
		data[ask->length / 2] ^= 0x40;
	if (peer->by_blocks && ask->block_length)
		early = fake_by_blocks(peer, ask, data, head_out);
	else
		assert_int_equal(ask->block_length, 0);
	lock_drop(&fake.lock);
	if (early && sink(arg, data, early, e) < 0)
		return -e->code;
	lock_take(&fake.lock);
	peer->fetches++;
	peer->urgent_fetches += ask->urgent;
	cond_wake_all(&fake.changed);
	code = fake_peer_gives(peer, ask) ? peer->error : ECANCELED;
	lock_drop(&fake.lock);
	if (code)
		return err_set(e, code, "peer");
	return sink(arg, data + early, ask->length - early, e);
}

#endif
