/* The newest text waits in `next` until the loop takes it over; `now` is the loop's alone. */
#include "control/manager/web_feed.h"

#include "base/lock.h"
#include "base/mem.h"

#include <string.h>

#define RANK_FEED 76
/* How soon a browser comes back. */
#define HELLO "retry: 1000\n\n"

struct web_feed {
	struct lock lock;
	struct loop *loop; /* NULL until somebody followed */
	char *next;
	unsigned count;
	/* on the loop */
	char *now;
	struct list followers;
	struct loop_job news;
};

static void send_now(struct web_follower *w)
{
	const char *text = w->feed->now;

	w->seen = text;
	w->is_sending = true;
	door_send(w->conn, text, strlen(text));
}

static void tell(struct loop_job *job)
{
	struct web_feed *f = job->arg;
	char *old = f->now, *next;

	lock_take(&f->lock);
	next = take_ptr(&f->next);
	lock_drop(&f->lock);
	if (!next || list_empty(&f->followers)) {
		free(next);
		return;
	}
	f->now = next;
	list_each (it, &f->followers) {
		struct web_follower *w = list_entry(it, struct web_follower, link);

		w->seen = w->seen == old ? NULL : w->seen;
		if (!w->is_sending)
			send_now(w);
	}
	free(old);
}

struct web_feed *web_feed_new(void)
{
	struct web_feed *f = mem_new(struct web_feed);

	lock_init(&f->lock, RANK_FEED);
	list_init(&f->followers);
	f->news = (struct loop_job){.run = tell, .arg = f};
	list_init(&f->news.link);
	return f;
}

void web_feed_free(struct web_feed *f)
{
	if (!f)
		return;
	free(f->next);
	free(f->now);
	lock_release(&f->lock);
	free(f);
}

void web_feed_push(struct web_feed *f, const char *text)
{
	struct loop *loop;

	lock_take(&f->lock);
	loop = f->count ? f->loop : NULL;
	if (loop) {
		free(f->next);
		f->next = mem_printf("data: %s\n\n", text);
	}
	lock_drop(&f->lock);
	if (loop)
		loop_post(loop, &f->news);
}

unsigned web_feed_followers(struct web_feed *f)
{
	lock_guard(&f->lock);
	return f->count;
}

void web_follow(struct web_follower *w, struct web_feed *f, struct door_conn *conn,
		const char *headers)
{
	*w = (struct web_follower){.feed = f, .conn = conn, .is_sending = true};
	list_init(&w->link);
	list_push_back(&f->followers, &w->link);
	lock_take(&f->lock);
	f->loop = door_loop(conn);
	f->count++;
	lock_drop(&f->lock);
	door_respond(conn, 200, headers, -1);
	door_send(conn, HELLO, strlen(HELLO));
}

void web_follower_drained(struct web_follower *w)
{
	if (!w->feed)
		return;
	w->is_sending = false;
	if (w->feed->now && w->seen != w->feed->now)
		send_now(w);
}

void web_follower_leave(struct web_follower *w)
{
	struct web_feed *f = w->feed;

	if (!f)
		return;
	w->feed = NULL;
	list_remove(&w->link);
	lock_take(&f->lock);
	f->count--;
	lock_drop(&f->lock);
	/* Who comes next is not told what was long ago. */
	if (list_empty(&f->followers)) {
		free(f->now);
		f->now = NULL;
	}
}
