/* Heads of answers. The length is judged here: curl takes the last of several Content-Lengths. */
#include "daemon/answer.h"

#include "base/header_lines.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

void answer_init(struct answer *a)
{
	answer_release(a);
	*a = (struct answer){.lines = BUF_INIT(ANSWER_HEAD_MAX), .length = -1};
}

void answer_release(struct answer *a)
{
	buf_release(&a->lines);
}

static int judge_length(struct answer *a, struct err *e)
{
	cleanup(free_at) char *first = header_lines_get(a->lines.data, "Content-Length", 0);
	char *end;

	if (!first)
		return 0;
	errno = 0;
	a->length = strtoll(first, &end, 10);
	if (first[0] < '0' || first[0] > '9' || *end || errno)
		return err_set(e, EPROTO, "malformed Content-Length in the answer");
	a->delimited = true;
	for (unsigned i = 1;; i++) {
		cleanup(free_at) char *other = header_lines_get(a->lines.data, "Content-Length", i);

		if (!other)
			return 0;
		if (strcmp(other, first) != 0)
			return err_set(e, EPROTO, "two Content-Lengths in the answer");
	}
}

static int finish(struct answer *a, CURL *easy, bool no_body, struct err *e)
{
	cleanup(free_at) char *coding = header_lines_get(a->lines.data, "Transfer-Encoding", 0);
	long status = 0, version = 0;
	int r = 0;

	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
	if (status == 101)
		return err_set(e, EPROTO, "the answer switches protocols unasked");
	if (status < 200)
		return 0;
	a->status = (int)status;
	a->delimited = version >= CURL_HTTP_VERSION_2_0;
	if (status == 204 || status == 304 || no_body) {
		a->length = 0;
		a->delimited = true;
	} else if (coding) {
		a->delimited = true;
	} else {
		r = judge_length(a, e);
	}
	a->whole = r == 0;
	return r < 0 ? r : 1;
}

int answer_feed(struct answer *a, CURL *easy, bool no_body, const char *line, size_t len,
		struct err *e)
{
	a->total += len;
	if (a->total > ANSWER_TOTAL_MAX)
		return err_set(e, EPROTO, "headers of the answer are too long");
	if (a->whole)
		return 0; /* a trailer */
	if (len > 5 && strncasecmp(line, "HTTP/", 5) == 0) {
		buf_clear(&a->lines);
		a->line_count = 0;
		return 0;
	}
	if (len == 0 || line[0] == '\r' || line[0] == '\n')
		return finish(a, easy, no_body, e);
	if (++a->line_count > ANSWER_LINES_MAX)
		return err_set(e, EPROTO, "more than %d headers in the answer", ANSWER_LINES_MAX);
	return header_lines_add(&a->lines, line, len, e);
}
