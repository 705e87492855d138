/*
 * Server-sent events for many: every follower gets the newest text, and one that reads too slowly
 * skips what came meanwhile, so that nothing queues. Followers live on the door's one loop; only
 * web_feed_push() and web_feed_followers() come from elsewhere.
 */
#ifndef CONTROL_MANAGER_WEB_FEED_H
#define CONTROL_MANAGER_WEB_FEED_H

#include "base/door.h"
#include "base/list.h"

struct web_feed;

struct web_feed *web_feed_new(void);
/* One line of text, copied. While the web lives; nobody follows: nothing is kept. */
void web_feed_push(struct web_feed *f, const char *text);
unsigned web_feed_followers(struct web_feed *f);
void web_feed_free(struct web_feed *f); /* after the web; NULL is fine */

/* ---- for the web, on the loop */

/* One connection whose answer is the feed, embedded. */
struct web_follower {
	struct list link;
	struct web_feed *feed; /* NULL = follows none */
	struct door_conn *conn;
	const void *seen;
	bool is_sending;
};

/* headers as for door_respond(). */
void web_follow(struct web_follower *w, struct web_feed *f, struct door_conn *conn,
		const char *headers);
void web_follower_drained(struct web_follower *w);
/* The connection is not to be touched any more, or ends. */
void web_follower_leave(struct web_follower *w);

#endif
