/* The head of an answer, collected line by line as curl's header callback gives it. Interim answers
 * (1xx) and trailers are passed over. */
#ifndef DAEMON_ANSWER_H
#define DAEMON_ANSWER_H

#include "base/buf.h"
#include "base/err.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

#define ANSWER_HEAD_MAX	 (64u << 10)
#define ANSWER_LINES_MAX 256
#define ANSWER_TOTAL_MAX (256u << 10) /* with interim answers and trailers */

struct answer {
	bool whole; /* all below is set */
	int status;
	struct buf lines; /* "Name: value\n"; answer_release() */
	int64_t length;	  /* of this body, -1 = not told */
	bool delimited;	  /* the body's end can be told from a lost connection */
	/* private */
	size_t total;
	unsigned line_count;
};

void answer_init(struct answer *a);
void answer_release(struct answer *a);
/* One line. Returns 1 if it made the head whole, else 0, or -EPROTO. no_body: asked by HEAD. */
must_check int answer_feed(struct answer *a, CURL *easy, bool no_body, const char *line, size_t len,
			   struct err *e);

#endif
