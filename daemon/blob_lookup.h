/*
 * A lookup that is not answered at once: it opens a task, or asks somebody in a worker, or one
 * after the other. Each step ends by calling another step or one of the answers; an answer frees
 * it.
 */
#ifndef DAEMON_BLOB_LOOKUP_H
#define DAEMON_BLOB_LOOKUP_H

#include "daemon/blobs_private.h"
#include "daemon/task.h"

struct blob_lookup {
	struct blobs *b;
	char *path;	/* as looked up */
	bool cancelled; /* atomic; nobody waits for the answer */
	/* private */
	struct pending pending;
	struct task_open open;
	char *url, *digest;
	bool lasting;
	void (*step)(struct blob_lookup *l);
	void (*failed)(struct blob_lookup *l, const struct err *e);
};

struct blob_lookup *blob_lookup_new(struct blobs *b, const char *path, struct fs_lookup *ask);
bool blob_lookup_cancel(void *src, struct fs_lookup *ask);

/* ---- steps */

/* Opens the task (as blob_request() says) and answers with its file. If it fails: calls failed, or
 * answers with the error when that is NULL. local: only if it is here (ENOENT). */
void blob_lookup_open(struct blob_lookup *l, const char *url, const char *digest, bool lasting,
		      bool local, void (*failed)(struct blob_lookup *l, const struct err *e));
/* Calls step on a worker, where it may block. */
void blob_lookup_work(struct blob_lookup *l, void (*step)(struct blob_lookup *l));

/* ---- answers */

void blob_lookup_answer(struct blob_lookup *l, const struct fs_entry *entry);
void blob_lookup_answer_dir(struct blob_lookup *l);
void blob_lookup_answer_error(struct blob_lookup *l, const struct err *e);

#endif
