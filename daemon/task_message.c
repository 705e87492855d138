/* Tasks in messages (task_message.h). */
#include "daemon/task_message.h"

#include "base/digest.h"
#include "base/mem.h"
#include "daemon/header_list.h"
#include "proto/message.h"

#include <errno.h>
#include <string.h>

#define HEADERS_MAX 128

bool task_message_is_digest(const char *url, const char **hex_out)
{
	const char *at = strstr(url, "sha256:");

	if (!at || !digest_is_sha256(at, hex_out))
		return false;
	return at == url || strstr(url, "://digest.invalid/") != NULL;
}

/* What asks for a part or a condition is not the task's, and the transport says its own. */
static bool is_tasks_header(const char *name)
{
	static const char *const others[] = {
		"range",	 "if-range",	      "if-match",
		"if-none-match", "if-modified-since", "if-unmodified-since"};

	for (size_t i = 0; i < array_len(others); i++)
		if (strcasecmp(name, others[i]) == 0)
			return false;
	return !header_is_transports(name);
}

static int read_headers(const Common__V2__Download *d, struct task_message_request *out,
			struct err *e)
{
	if (d->n_request_header > HEADERS_MAX)
		return err_set(e, EINVAL, "%zu request headers", d->n_request_header);
	out->headers.items = mem_array(d->n_request_header + 1, sizeof(*out->headers.items));
	for (size_t i = 0; i < d->n_request_header; i++) {
		if (!is_tasks_header(d->request_header[i]->key))
			continue;
		out->headers.items[out->headers.count].name = d->request_header[i]->key;
		out->headers.items[out->headers.count].value = d->request_header[i]->value;
		out->headers.count++;
	}
	return header_pairs_check(&out->headers, e);
}

/* An empty text is an absent one. */
static const char *text_or_null(const char *text)
{
	return text && text[0] ? text : NULL;
}

int task_message_read(const Common__V2__Download *d, struct task_message_request *out,
		      struct err *e)
{
	uint64_t piece_length = message_number(d, piece_length, 0);
	struct task_request *rq = &out->rq;
	const char *hex;

	memset(out, 0, sizeof(*out));
	if (!d->url[0])
		return err_set(e, EINVAL, "a download without URL");
	if (piece_length > PIECE_LENGTH_MAX)
		return err_set(e, EINVAL, "a piece length of %ju bytes", (uintmax_t)piece_length);
	if (read_headers(d, out, e) < 0)
		return -e->code;
	rq->url = d->url;
	rq->digest = text_or_null(message_text(d, digest));
	rq->blob_digest_id = d->enable_task_id_based_blob_digest;
	if (task_message_is_digest(d->url, &hex)) {
		snprintf(out->digest, sizeof(out->digest), "sha256:%s", hex);
		rq->url = NULL;
		rq->digest = out->digest;
		rq->blob_digest_id = true;
	}
	rq->tag = text_or_null(message_text(d, tag));
	rq->application = text_or_null(message_text(d, application));
	rq->headers = &out->headers;
	rq->filtered_params = (const char *const *)d->filtered_query_params;
	rq->filtered_param_count = d->n_filtered_query_params;
	rq->piece_length = (uint32_t)piece_length;
	rq->content_for_id = text_or_null(message_text(d, content_for_calculating_task_id));
	rq->priority = (int)d->priority;
	rq->need_back_to_source = d->need_back_to_source;
	rq->disable_back_to_source = d->disable_back_to_source;
	rq->prefetch = d->prefetch;
	rq->timeout_ms = message_duration_ms(d->timeout);
	if (rq->timeout_ms < 0)
		rq->timeout_ms = 0;
	return 0;
}

void task_message_release(struct task_message_request *m)
{
	free(m->headers.items);
	m->headers.items = NULL;
	m->headers.count = 0;
}

/* What protobuf-c generates for an entry of every map<string, string>. */
struct map_entry {
	ProtobufCMessage base;
	char *key, *value;
};

/* "Name: value\n" lines as the entries of a map. */
static void fill_map(const char *lines, const ProtobufCMessageDescriptor *type, size_t *count_out,
		     struct map_entry ***entries_out)
{
	struct map_entry **entries = mem_array(HEADERS_MAX, sizeof(*entries));
	size_t count = 0;

	for (const char *at = lines; at && *at && count < HEADERS_MAX;) {
		size_t len = strcspn(at, "\n"), name = strcspn(at, ":\n");

		if (name < len) {
			size_t value = name + 1 + strspn(at + name + 1, " \t");
			struct map_entry *entry = mem_new(struct map_entry);

			protobuf_c_message_init(type, entry);
			entry->key = mem_strndup(at, name);
			entry->value = mem_strndup(at + value, len > value ? len - value : 0);
			entries[count++] = entry;
		}
		at += len + (at[len] == '\n');
	}
	*count_out = count;
	*entries_out = entries;
}

static Google__Protobuf__Timestamp *timestamp_new(int64_t wall_ms)
{
	Google__Protobuf__Timestamp *t = mem_new(Google__Protobuf__Timestamp);

	message_timestamp(t, wall_ms);
	return t;
}

Dfdaemon__V2__StatLocalTaskResponse *task_message_stat(const struct store_meta *m)
{
	Dfdaemon__V2__StatLocalTaskResponse *out = mem_new(Dfdaemon__V2__StatLocalTaskResponse);

	dfdaemon__v2__stat_local_task_response__init(out);
	out->task_id = mem_strdup(m->id);
	fill_map(m->headers,
		 &dfdaemon__v2__stat_local_task_response__response_header_entry__descriptor,
		 &out->n_response_header, (struct map_entry ***)&out->response_header);
	message_set(out, piece_length,
		    DFDAEMON__V2__STAT_LOCAL_TASK_RESPONSE__PIECE_LENGTH__PIECE_LENGTH,
		    m->geometry.piece_length);
	message_set(out, content_length,
		    DFDAEMON__V2__STAT_LOCAL_TASK_RESPONSE__CONTENT_LENGTH__CONTENT_LENGTH,
		    m->geometry.content_length);
	out->created_at = timestamp_new(m->created_ms);
	out->updated_at = timestamp_new(m->accessed_ms);
	if (m->finished_ms)
		out->finished_at = timestamp_new(m->finished_ms);
	return out;
}

Dfdaemon__V2__DownloadTaskStartedResponse *task_message_started(const struct store_meta *m,
								uint32_t first, uint32_t end)
{
	Dfdaemon__V2__DownloadTaskStartedResponse *out =
		mem_new(Dfdaemon__V2__DownloadTaskStartedResponse);

	dfdaemon__v2__download_task_started_response__init(out);
	out->content_length = m->geometry.content_length;
	fill_map(m->headers,
		 &dfdaemon__v2__download_task_started_response__response_header_entry__descriptor,
		 &out->n_response_header, (struct map_entry ***)&out->response_header);
	out->pieces = mem_array(end - first + 1, sizeof(*out->pieces));
	for (uint32_t i = first; i < end; i++) {
		Common__V2__Piece *piece = mem_new(Common__V2__Piece);

		common__v2__piece__init(piece);
		piece->number = i;
		piece->offset = geometry_offset(&m->geometry, i);
		piece->length = geometry_length(&m->geometry, i);
		out->pieces[out->n_pieces++] = piece;
	}
	return out;
}

bool task_message_pieces(const struct geometry *g, const Common__V2__Range *range,
			 uint32_t *first_out, uint32_t *end_out)
{
	uint64_t last;

	*first_out = 0;
	*end_out = g->piece_count;
	if (!range)
		return true;
	if (range->length == 0 || range->start >= g->content_length)
		return false;
	last = g->content_length - 1;
	if (range->length - 1 < last - range->start)
		last = range->start + range->length - 1;
	*first_out = geometry_index(g, range->start);
	*end_out = geometry_index(g, last) + 1;
	return true;
}
