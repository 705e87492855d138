/*
 * A kernel request whose answer the source gives later. Embedded in the operation's own struct.
 *
 *	state		what it means				who moves it on
 *	begun		the source is being asked		request_submitted
 *	pending		linked, waits for the source		request_answering (done() came),
 *								or it is taken back: interrupt,
 *deadline, end of the session
 *	answering	the reply is being written		request_answered -> freed
 *
 * done() may come before the call into the source has returned; the request is freed by whichever
 * is last.
 */
#ifndef FS_REQUEST_H
#define FS_REQUEST_H

#include "fs/state.h"

struct request {
	struct fs_session *s;
	fuse_req_t req;
	/* Takes the question back from the source; true: done() will not come. */
	bool (*cancel)(struct request *rq);
	/* After the reply: frees the operation's struct. */
	void (*free)(struct request *rq);
	/* private */
	struct list link;
	int64_t deadline_ms;
	bool submitted, answering, answered, tried, cancelling, interrupted;
};

/* Before the source is asked. False: the session is stopping, EIO has been replied. */
must_check bool request_begin(struct request *rq, struct fs_session *s, fuse_req_t req,
			      bool (*cancel)(struct request *), void (*free)(struct request *));
/* After the call into the source. rq may be gone afterwards. */
void request_submitted(struct request *rq);
/* First in done(): from now on nobody takes it back. */
void request_answering(struct request *rq);
/* Last in done(), after the reply. rq may be gone afterwards. */
void request_answered(struct request *rq);
/* The timer's fire(): answers what is past its deadline with ETIMEDOUT. */
void requests_sweep(struct timer *t);
/* Answers everything that waits with EIO and waits until no request is left. New ones must be
 * refused already (stopping). */
void requests_drain(struct fs_session *s);

#endif
