/* The blob is opened for the question, so that the source knows what it tells. Other namespaces
 * (security.capability is asked at every exec) are answered here at once. */
#include "fs/attr.h"

#include "base/buf.h"
#include "base/mem.h"
#include "fs/request.h"

#include <errno.h>
#include <string.h>

#define PREFIX	 "user.d7y."
#define TEXT_MAX (64u << 10) /* the kernel's own bound of a value */

static const char *const names[] = {"task_id",	   "digest", "url",  "pieces",
				    "bytes_local", "source", "error"};

struct asking {
	struct request rq;
	struct fs_open ask;
	struct tree_pin pin;
	size_t size;	  /* of the caller's buffer, 0 = how long is it */
	const char *name; /* one of names[]; NULL = the list */
};

static void reply_text(fuse_req_t req, const char *text, size_t len, size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, len);
	else if (len > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, text, len);
}

static void reply_value(struct asking *a)
{
	cleanup(free_at) char *text = mem_alloc(TEXT_MAX);
	struct fs_session *s = a->rq.s;
	int len = s->ops->attr(s->src, a->pin.blob, a->name, text, TEXT_MAX);

	if (len < 0)
		fuse_reply_err(a->rq.req, ENODATA);
	else if (len >= (int)TEXT_MAX)
		fuse_reply_err(a->rq.req, E2BIG);
	else
		reply_text(a->rq.req, text, (size_t)len, a->size);
}

static void reply_list(struct asking *a)
{
	cleanup(buf_release) struct buf list = BUF_INIT(4096);
	struct fs_session *s = a->rq.s;
	char text[2];

	for (size_t i = 0; i < array_len(names); i++) {
		if (s->ops->attr(s->src, a->pin.blob, names[i], text, sizeof(text)) < 0)
			continue;
		buf_puts(&list, PREFIX);
		buf_append(&list, names[i], strlen(names[i]) + 1);
	}
	reply_text(a->rq.req, list.data, list.len, a->size);
}

static void asked(struct fs_open *ask, const struct err *e)
{
	struct asking *a = ask->arg;
	struct fs_session *s = a->rq.s;

	request_answering(&a->rq);
	if (e) {
		fuse_reply_err(a->rq.req, session_errno(e));
	} else {
		if (a->name)
			reply_value(a);
		else
			reply_list(a);
		s->ops->close(s->src, a->pin.blob);
	}
	request_answered(&a->rq);
}

static bool ask_cancel(struct request *rq)
{
	struct asking *a = container_of(rq, struct asking, rq);

	return rq->s->ops->open_cancel(rq->s->src, &a->ask);
}

static void ask_free(struct request *rq)
{
	struct asking *a = container_of(rq, struct asking, rq);

	tree_unpin(rq->s->tree, &a->pin);
	free(a);
}

/* False: there is no blob behind the node. */
static bool ask(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct fs_session *s = session_of(req);
	struct tree_pin pin = {0};
	struct asking *a;

	if (tree_pin(s->tree, ino, &pin, NULL) < 0)
		return false;
	if (!pin.blob) {
		bool hollow = pin.hollow;

		tree_unpin(s->tree, &pin);
		/* Of an earlier process: the kernel looks the name up again. */
		if (hollow)
			fuse_reply_err(req, ESTALE);
		return hollow;
	}
	a = mem_new(struct asking);
	a->pin = pin;
	a->name = name;
	a->size = size;
	a->ask = (struct fs_open){.done = asked, .arg = a};
	if (!request_begin(&a->rq, s, req, ask_cancel, ask_free))
		return true;
	s->ops->open(s->src, pin.blob, &a->ask);
	request_submitted(&a->rq);
	return true;
}

void getxattr_op(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	const char *known = NULL;

	if (strncmp(name, PREFIX, strlen(PREFIX)) == 0)
		for (size_t i = 0; i < array_len(names); i++)
			if (strcmp(name + strlen(PREFIX), names[i]) == 0)
				known = names[i];
	if (!known || !ask(req, ino, known, size))
		fuse_reply_err(req, ENODATA);
}

void listxattr_op(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	if (!ask(req, ino, NULL, size))
		reply_text(req, NULL, 0, size);
}
