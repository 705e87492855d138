/* What door.c and door_conn.c share; no one else includes it. */
#ifndef BASE_DOOR_CONN_H
#define BASE_DOOR_CONN_H

#include "base/door.h"
#include "base/lock.h"
#include "base/net.h"

/* One loop of a door, its listening watch and its connections. */
struct door_loop {
	struct door *door;
	struct loop *loop;
	struct watch listener;
	bool listening;
	struct loop_timer pause; /* no descriptors left: listens again when it fires */
	struct loop_job start, stop;
	struct list conns; /* door_conn.link */
	struct list idle;  /* door_conn.idle_link, longest first */
};

struct door {
	struct door_config config;
	int fd;
	uint16_t port;
	struct door_loop *loops;
	unsigned loop_count;
	unsigned connections;	 /* atomic */
	int64_t refusal_told_ms; /* atomic; when the log last said that a request was refused */
	struct lock lock;
	struct cond cond;
	unsigned holds;	   /* lock */
	unsigned started;  /* lock; loops that listen */
	unsigned stopped;  /* lock; loops that have closed their connections */
	struct err failed; /* lock; why one could not listen */
};

enum door_state { DOOR_HEAD, DOOR_CALL, DOOR_LINGER, DOOR_LENT, DOOR_CLOSED };

struct door_conn {
	struct door_loop *home;
	struct list link, idle_link;
	struct watch watch;
	bool watched;
	struct loop_timer timer;
	struct loop_job kick; /* something was queued: pump */
	bool kicked, pumping;
	int timer_kind;
	enum door_state state;
	char peer[INET6_ADDRSTRLEN];
	/* the stream */
	const struct door_stream *stream;
	void *stream_arg;
	const struct door_stream *next_stream; /* after the 200 to CONNECT */
	void *next_arg;
	char *base;
	enum door_speech {
		SPEECH_GOOD,
		SPEECH_UNKNOWN,
		SPEECH_PLAIN
	} speech;		 /* of a door with TLS */
	bool readable, writable; /* as far as we know; false after -EAGAIN */
	uint32_t read_wait, write_wait;
	/* the request */
	struct buf in;
	size_t looked_at; /* bytes of it that make no whole head */
	struct http_head *head;
	struct door_call *call;
	struct http_chunked chunked_in;
	uint64_t body_left;
	bool body_wanted, body_done, continue_due;
	/* the answer */
	struct buf out;
	size_t out_at;
	int file_fd;
	uint64_t file_off, file_left;
	int64_t answer_left; /* -1: chunked or until the end */
	bool responded, no_body, chunked_out, ended, drain_due, keep, broken;
	int64_t linger_left;
};

/* Takes fd over. */
void door_conn_new(struct door_loop *home, int fd);
/* Closes it: gone() to its call. c may be freed by this. */
void door_conn_drop(struct door_conn *c);

#endif
