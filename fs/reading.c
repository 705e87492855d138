/* What the source gave is the reply, or its error is. */
#include "fs/reading.h"

#include "fs/answer.h"

/* After the reply: the file may be gone. */
static void failed(const struct reading *r, const struct err *e)
{
	struct fs_session *s = r->rq.s;

	atomic_fetch_add(&s->stat.errors, 1);
	/* Once per file in a row: a reader may go on asking. */
	if (atomic_exchange(&s->error_told_id, r->id) != r->id)
		r->tell(r, e);
}

static void reply_data(struct reading *r, const struct fs_extent *extents, unsigned count)
{
	struct err e = {0};

	if (answer_extents(r->rq.s, r->rq.req, extents, count, r->len, &e) < 0)
		failed(r, &e);
	else
		atomic_fetch_add(&r->rq.s->stat.bytes, r->len);
}

static void done(struct fs_read *ask, const struct fs_extent *extents, unsigned count,
		 const struct err *e)
{
	struct reading *r = ask->arg;

	request_answering(&r->rq);
	if (e) {
		fuse_reply_err(r->rq.req, session_errno(e));
		failed(r, e);
	} else {
		reply_data(r, extents, count);
	}
	request_answered(&r->rq);
}

void reading_init(struct reading *r, uint64_t id, uint64_t off, uint32_t len,
		  void (*tell)(const struct reading *r, const struct err *e))
{
	*r = (struct reading){
		.id = id, .off = off, .len = len, .tell = tell, .ask = {.done = done, .arg = r}};
}
