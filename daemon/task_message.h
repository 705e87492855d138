/* Tasks in messages: what a common.v2.Download asks for, and what is told of a task that is here.
 * Foreign values are bounded and checked here. */
#ifndef DAEMON_TASK_MESSAGE_H
#define DAEMON_TASK_MESSAGE_H

#include "daemon/task.h"

#include "dfdaemon_v2.pb-c.h"

/* A task_request that points into the message it was made of. */
struct task_message_request {
	struct task_request rq;
	struct config_pairs headers; /* items owned, texts the message's */
	char digest[80];
};

/* EINVAL: a header that may not go on the wire, a piece length or a digest that is none. */
must_check int task_message_read(const Common__V2__Download *d, struct task_message_request *out,
				 struct err *e);
void task_message_release(struct task_message_request *m);

/* True if the URL names a blob by its digest only: "sha256:<hex>", or any scheme and path on the
 * host digest.invalid that end so. *hex_out points into url. */
bool task_message_is_digest(const char *url, const char **hex_out);

/* What is kept of a task; free it with protobuf_c_message_free_unpacked(). */
Dfdaemon__V2__StatLocalTaskResponse *task_message_stat(const struct store_meta *m);
/* The head of a download of the pieces [first, end); free it likewise. */
Dfdaemon__V2__DownloadTaskStartedResponse *task_message_started(const struct store_meta *m,
								uint32_t first, uint32_t end);

/* The pieces [first, end) that a range touches; NULL = all. False if it is beyond the content. */
bool task_message_pieces(const struct geometry *g, const Common__V2__Range *range,
			 uint32_t *first_out, uint32_t *end_out);

#endif
