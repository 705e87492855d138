/*
 * The listening half of a door: its loops, accepting, the bound on connections, starting and
 * stopping. One connection is door_conn.c's.
 */
#include "base/door.h"

#include "base/door_conn.h"
#include "base/log.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>

#define BACKLOG		    1024
#define ACCEPT_BURST	    64
#define CONNECTIONS_DEFAULT 16384
#define RANK_DOOR	    6
#define PAUSE_MS	    100

static void listen_on(struct door_loop *home, struct err *e)
{
	home->listening = loop_watch(home->loop, &home->listener, e) == 0;
}

static void stop_listening(struct door_loop *home)
{
	if (home->listening)
		loop_unwatch(home->loop, &home->listener);
	home->listening = false;
}

/* Out of descriptors or memory: a level-triggered watch would spin. */
static void pause_listening(struct door_loop *home, int why)
{
	struct err e;

	err_set(&e, why, "accept");
	log_warn("door cannot take connections", "door=%s why=\"%s\"", home->door->config.name,
		 e.text);
	stop_listening(home);
	loop_timer_arm(home->loop, &home->pause, PAUSE_MS);
}

static void pause_over(struct loop_timer *t)
{
	struct door_loop *home = t->arg;
	struct err e;

	listen_on(home, &e);
	if (!home->listening)
		loop_timer_arm(home->loop, &home->pause, PAUSE_MS);
}

/* Makes room by closing the connection that has been idle longest; false if none is idle. */
static bool make_room(struct door_loop *home)
{
	if (list_empty(&home->idle))
		return false;
	door_conn_drop(list_entry(home->idle.next, struct door_conn, idle_link));
	return true;
}

static void accept_ready(struct watch *w, uint32_t events)
{
	struct door_loop *home = w->arg;
	struct door *d = home->door;

	(void)events;
	for (int i = 0; i < ACCEPT_BURST; i++) {
		int fd = accept4(d->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			    errno == ENOMEM)
				pause_listening(home, errno);
			return;
		}
		if (__atomic_load_n(&d->connections, __ATOMIC_RELAXED) >=
			    d->config.connections_max &&
		    !make_room(home)) {
			close(fd);
			continue;
		}
		door_conn_new(home, fd);
	}
}

static void start_loop(struct loop_job *job)
{
	struct door_loop *home = job->arg;
	struct door *d = home->door;
	struct err e = {0};

	listen_on(home, &e);
	lock_guard(&d->lock);
	d->started++;
	if (!home->listening)
		d->failed = e;
	cond_wake_all(&d->cond);
}

static void stop_loop(struct loop_job *job)
{
	struct door_loop *home = job->arg;
	struct door *d = home->door;

	stop_listening(home);
	loop_timer_cancel(home->loop, &home->pause);
	while (!list_empty(&home->conns))
		door_conn_drop(list_entry(home->conns.next, struct door_conn, link));
	lock_guard(&d->lock);
	d->stopped++;
	cond_wake_all(&d->cond);
}

static int open_loop(struct door *d, struct door_loop *home, struct err *e)
{
	*home = (struct door_loop){
		.door = d,
		.listener = {.fd = d->fd, .events = EPOLLIN, .ready = accept_ready, .arg = home},
		.pause = {.fire = pause_over, .arg = home},
		.start = {.run = start_loop, .arg = home},
		.stop = {.run = stop_loop, .arg = home},
	};
	list_init(&home->pause.link);
	list_init(&home->start.link);
	list_init(&home->stop.link);
	list_init(&home->conns);
	list_init(&home->idle);
	if (loop_new(d->config.name, &home->loop, e) < 0)
		return -e->code;
	d->loop_count++;
	loop_post(home->loop, &home->start);
	return 0;
}

static void set_defaults(struct door_config *c)
{
	if (!c->loops)
		c->loops = 1;
	if (!c->connections_max)
		c->connections_max = CONNECTIONS_DEFAULT;
	if (!c->idle_timeout_ms)
		c->idle_timeout_ms = 90000;
	if (!c->head_timeout_ms)
		c->head_timeout_ms = 10000;
	if (!c->stall_timeout_ms)
		c->stall_timeout_ms = 60000;
	if (!c->refusal_headers)
		c->refusal_headers = "";
}

/* Waits until every loop that there is listens; failing is told by e. */
static int wait_for_start(struct door *d, struct err *e)
{
	lock_guard(&d->lock);
	while (d->started < d->loop_count)
		cond_wait(&d->cond, &d->lock);
	return d->failed.code ? err_copy(e, &d->failed) : 0;
}

int door_new(const struct door_config *config, struct door **out, struct err *e)
{
	struct door *d = mem_new(struct door);
	int r;

	d->config = *config;
	set_defaults(&d->config);
	lock_init(&d->lock, RANK_DOOR);
	cond_init(&d->cond);
	d->fd = -1;
	r = net_listen(config->ip, config->port, BACKLOG, &d->fd, &d->port, e);
	d->loops = mem_array(d->config.loops, sizeof(*d->loops));
	for (unsigned i = 0; r == 0 && i < d->config.loops; i++)
		r = open_loop(d, &d->loops[i], e);
	if (r == 0)
		r = wait_for_start(d, e);
	if (r < 0) {
		door_free(d);
		return r;
	}
	*out = d;
	return 0;
}

uint16_t door_port(const struct door *d)
{
	return d->port;
}

void door_free(struct door *d)
{
	if (!d)
		return;
	for (unsigned i = 0; i < d->loop_count; i++)
		loop_post(d->loops[i].loop, &d->loops[i].stop);
	lock_take(&d->lock);
	while (d->stopped < d->loop_count || d->holds)
		cond_wait(&d->cond, &d->lock);
	lock_drop(&d->lock);
	for (unsigned i = 0; i < d->loop_count; i++)
		loop_free(d->loops[i].loop);
	close_at(&d->fd);
	cond_release(&d->cond);
	lock_release(&d->lock);
	free(d->loops);
	free(d);
}

void door_hold(struct door *d)
{
	lock_guard(&d->lock);
	d->holds++;
}

void door_release(struct door *d)
{
	lock_guard(&d->lock);
	assert(d->holds);
	d->holds--;
	cond_wake_all(&d->cond);
}
