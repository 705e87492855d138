/* The last bytes of a layer, and the table that they lead to. Must not know who reads lazily. */
#include "daemon/layer_toc.h"

#include "base/mem.h"
#include "daemon/task_wait.h"
#include "fs/layer/toc_index.h"

#include <errno.h>
#include <inttypes.h>

#define OPEN_TIMEOUT_MS 5000

static int find_table(struct task *t, uint64_t len, const bool *stopping, struct toc_place *out,
		      struct err *e)
{
	size_t n = len < TOC_TAIL_LEN ? (size_t)len : TOC_TAIL_LEN;
	unsigned char tail[TOC_TAIL_LEN];
	int r = task_read_wait(t, len - n, tail, n, stopping, e);

	if (r < 0)
		return r;
	if (!toc_find(tail, n, len, out))
		return err_set(e, ENOTSUP, "its last bytes are of no table of contents");
	if (out->stored_len > TOC_STORED_LEN_MAX)
		return err_set(e, ENOTSUP, "a table of contents of %" PRIu64 " bytes",
			       out->stored_len);
	return 0;
}

static int build(struct task *t, const struct vouched *v, const char *dir, const bool *stopping,
		 int fd, struct err *e)
{
	struct toc_layer l = {.digest = v->digest,
			      .diff_id = v->diff_id,
			      .toc_digest = v->toc_digest,
			      .of_stored = v->of_stored,
			      .compressed_len = task_meta(t)->geometry.content_length,
			      .dir = dir};
	char *table cleanup(free_at) = NULL;
	int r = find_table(t, l.compressed_len, stopping, &l.place, e);

	if (r < 0)
		return r;
	table = mem_alloc(l.place.stored_len + 1);
	r = task_read_wait(t, l.place.offset, table, l.place.stored_len, stopping, e);
	return r < 0 ? r : toc_index_write(&l, table, fd, NULL, e);
}

int layer_toc_build(struct tasks *ts, const struct vouched *v, const char *dir,
		    const bool *stopping, int fd, struct err *e)
{
	char *digest cleanup(free_at) = mem_printf("sha256:%s", v->digest);
	const struct task_request rq = {
		.digest = digest, .blob_digest_id = true, .timeout_ms = OPEN_TIMEOUT_MS};
	struct task *t;
	int r = task_open_wait(ts, &rq, &t, e);

	if (r < 0)
		return r;
	r = build(t, v, dir, stopping, fd, e);
	task_unref(t);
	return r;
}
