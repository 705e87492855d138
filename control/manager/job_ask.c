/* Messages of scheduler.v2 out of a job's arguments, and back. */
#include "control/manager/job_ask.h"

#include "base/mem.h"
#include "proto/message.h"
#include "proto/task_id.h"
#include "scheduler_v2.pb-c.h"
#include "skimmer_v1.pb-c.h"

#include <errno.h>
#include <google/protobuf/empty.pb-c.h>
#include <string.h>

#define PREHEAT_MS  120000
#define STAT_MS	    120000
#define QUESTION_MS 10000
#define PARAMS_MAX  64
#define HEADERS_MAX 64
#define NS_PER_MS   1000000
#define TIMEOUT_MS  3600000
#define SERVICE	    "/scheduler.v2.Scheduler/"

/* ---- arguments that the messages have in common */

struct common {
	char *split; /* filtered_query_params, chopped */
	char *params[PARAMS_MAX];
	size_t param_count;
	Google__Protobuf__Duration timeout;
};

static void common_release(struct common *c)
{
	free(c->split);
}

static void common_fill(struct common *c, const json_t *args)
{
	const char *params = json_str(args, "filtered_query_params");
	char *save = NULL;

	*c = (struct common){.split = mem_strdup(params ? params : "")};
	for (char *at = strtok_r(c->split, "&", &save); at && c->param_count < PARAMS_MAX;
	     at = strtok_r(NULL, "&", &save))
		c->params[c->param_count++] = at;
	google__protobuf__duration__init(&c->timeout);
	message_duration(&c->timeout,
			 (int64_t)json_u64(args, "timeout", (uint64_t)TIMEOUT_MS * NS_PER_MS) /
				 NS_PER_MS);
}

/* SET_TEXT(&rq, PREHEAT_IMAGE_REQUEST, tag, TAG, args) sets the member `tag` if the arguments
 * have it. */
#define SET_TEXT(rq, M, field, F, args)                                                            \
	do {                                                                                       \
		const char *text_ = json_str(args, #field);                                        \
		if (text_ && *text_)                                                               \
			message_set(rq, field, SCHEDULER__V2__##M##__##F##__##F, (char *)text_);   \
	} while (0)
#define SET_NUMBER(rq, M, field, F, args)                                                          \
	do {                                                                                       \
		uint64_t number_ = json_u64(args, #field, 0);                                      \
		if (number_)                                                                       \
			message_set(rq, field, SCHEDULER__V2__##M##__##F##__##F,                   \
				    (__typeof__((rq)->field))number_);                             \
	} while (0)
#define SET_COMMON(rq, M, a, c)                                                                    \
	do {                                                                                       \
		(rq)->url = (char *)(a)->url;                                                      \
		SET_NUMBER(rq, M, piece_length, PIECE_LENGTH, (a)->args);                          \
		SET_TEXT(rq, M, tag, TAG, (a)->args);                                              \
		SET_TEXT(rq, M, application, APPLICATION, (a)->args);                              \
		(rq)->filtered_query_params = (c)->params;                                         \
		(rq)->n_filtered_query_params = (c)->param_count;                                  \
		(rq)->timeout = &(c)->timeout;                                                     \
	} while (0)
#define SET_IMAGE(rq, M, a)                                                                        \
	do {                                                                                       \
		SET_TEXT(rq, M, username, USERNAME, (a)->args);                                    \
		SET_TEXT(rq, M, password, PASSWORD, (a)->args);                                    \
		SET_TEXT(rq, M, platform, PLATFORM, (a)->args);                                    \
	} while (0)
#define SET_PREHEAT(rq, M, a)                                                                      \
	do {                                                                                       \
		SET_NUMBER(rq, M, count, COUNT, (a)->args);                                        \
		SET_NUMBER(rq, M, percentage, PERCENTAGE, (a)->args);                              \
		SET_NUMBER(rq, M, concurrent_task_count, CONCURRENT_TASK_COUNT, (a)->args);        \
		SET_NUMBER(rq, M, concurrent_peer_count, CONCURRENT_PEER_COUNT, (a)->args);        \
		(rq)->scope = (char *)json_str((a)->args, "scope");                                \
		(rq)->n_ips = json_array_size(json_object_get((a)->args, "ips"));                  \
		(rq)->ips = texts_of(json_object_get((a)->args, "ips"));                           \
	} while (0)
/* Entries in arrays of the caller: header_list and header_ptrs. */
#define SET_HEADERS(rq, init, a, list, ptrs)                                                       \
	do {                                                                                       \
		json_t *headers_ = json_object_get((a)->args, "headers"), *value_;                 \
		const char *name_;                                                                 \
		json_object_foreach(headers_, name_, value_)                                       \
		{                                                                                  \
			size_t i_ = (rq)->n_header;                                                \
			if (i_ == HEADERS_MAX || !json_is_string(value_))                          \
				continue;                                                          \
			init(&(list)[i_]);                                                         \
			(list)[i_].key = (char *)name_;                                            \
			(list)[i_].value = (char *)json_string_value(value_);                      \
			(ptrs)[i_] = &(list)[i_];                                                  \
			(rq)->n_header++;                                                          \
		}                                                                                  \
		(rq)->header = (ptrs);                                                             \
	} while (0)

/* Borrowed texts in an array that the caller frees. */
static char **texts_of(const json_t *list)
{
	char **out = mem_array(json_array_size(list) + 1, sizeof(*out));
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		out[i] = (char *)json_string_value(item);
	}
	return out;
}

static int call(struct rpc_channel *ch, const char *path, const ProtobufCMessage *rq,
		const ProtobufCMessageDescriptor *type, int64_t timeout_ms, void *out,
		struct err *e)
{
	return rpc_unary(ch, path, rq, type, timeout_ms, out, NULL, e);
}

static void message_free(void *m)
{
	if (m)
		protobuf_c_message_free_unpacked(m, NULL);
}

/* ---- preheat */

static int preheat_image(struct rpc_channel *ch, const struct ask *a, const struct common *c,
			 struct err *e)
{
	Scheduler__V2__PreheatImageRequest rq = SCHEDULER__V2__PREHEAT_IMAGE_REQUEST__INIT;
	Scheduler__V2__PreheatImageRequest__HeaderEntry list[HEADERS_MAX], *ptrs[HEADERS_MAX];
	ProtobufCMessage *answer = NULL;
	int r;

	SET_COMMON(&rq, PREHEAT_IMAGE_REQUEST, a, (struct common *)c);
	SET_IMAGE(&rq, PREHEAT_IMAGE_REQUEST, a);
	SET_PREHEAT(&rq, PREHEAT_IMAGE_REQUEST, a);
	SET_HEADERS(&rq, scheduler__v2__preheat_image_request__header_entry__init, a, list, ptrs);
	r = call(ch, SERVICE "PreheatImage", &rq.base, &google__protobuf__empty__descriptor,
		 PREHEAT_MS, &answer, e);
	message_free(answer);
	free(rq.ips);
	return r;
}

static int preheat_file(struct rpc_channel *ch, const struct ask *a, const struct common *c,
			struct err *e)
{
	Scheduler__V2__PreheatFileRequest rq = SCHEDULER__V2__PREHEAT_FILE_REQUEST__INIT;
	Scheduler__V2__PreheatFileRequest__HeaderEntry list[HEADERS_MAX], *ptrs[HEADERS_MAX];
	ProtobufCMessage *answer = NULL;
	int r;

	SET_COMMON(&rq, PREHEAT_FILE_REQUEST, a, (struct common *)c);
	SET_PREHEAT(&rq, PREHEAT_FILE_REQUEST, a);
	SET_HEADERS(&rq, scheduler__v2__preheat_file_request__header_entry__init, a, list, ptrs);
	r = call(ch, SERVICE "PreheatFile", &rq.base, &google__protobuf__empty__descriptor,
		 PREHEAT_MS, &answer, e);
	message_free(answer);
	free(rq.ips);
	return r;
}

int ask_preheat(struct rpc_channel *ch, const struct ask *a, struct err *e)
{
	struct common c cleanup(common_release);

	common_fill(&c, a->args);
	return a->is_image ? preheat_image(ch, a, &c, e) : preheat_file(ch, a, &c, e);
}

/* ---- stat */

void ask_shares_release(struct ask_shares *s)
{
	for (size_t i = 0; i < s->host_count; i++)
		free(s->hosts[i].finished);
	free(s->hosts);
	free(s->layers);
	message_free(s->message);
	*s = (struct ask_shares){0};
}

static void take_image(struct ask_shares *out, const Scheduler__V2__StatImageResponse *m)
{
	out->layer_count = m->image ? m->image->n_layers : 0;
	out->layers = mem_array(out->layer_count + 1, sizeof(*out->layers));
	for (size_t i = 0; i < out->layer_count; i++)
		out->layers[i] = m->image->layers[i]->url;
	out->hosts = mem_array(m->n_peers + 1, sizeof(*out->hosts));
	for (; out->host_count < m->n_peers; out->host_count++) {
		const Scheduler__V2__PeerImage *p = m->peers[out->host_count];
		struct ask_share *h = &out->hosts[out->host_count];

		h->ip = p->ip;
		h->hostname = p->hostname;
		h->finished = mem_array(out->layer_count + 1, sizeof(bool));
		for (size_t i = 0; i < out->layer_count; i++)
			for (size_t k = 0; k < p->n_cached_layers; k++)
				if (strcmp(p->cached_layers[k]->url, out->layers[i]) == 0 &&
				    message_number(p->cached_layers[k], is_finished, 0))
					h->finished[i] = true;
	}
}

static void take_file(struct ask_shares *out, const char *url,
		      const Scheduler__V2__StatFileResponse *m)
{
	out->layer_count = 1;
	out->layers = mem_array(1, sizeof(*out->layers));
	out->layers[0] = url;
	out->hosts = mem_array(m->n_peers + 1, sizeof(*out->hosts));
	for (; out->host_count < m->n_peers; out->host_count++) {
		const Scheduler__V2__PeerFile *p = m->peers[out->host_count];
		struct ask_share *h = &out->hosts[out->host_count];

		h->ip = p->ip;
		h->hostname = p->hostname;
		h->finished = mem_array(1, sizeof(bool));
		for (size_t k = 0; k < p->n_cached_files; k++)
			h->finished[0] |= message_number(p->cached_files[k], is_finished, 0);
	}
}

static int stat_image(struct rpc_channel *ch, const struct ask *a, const struct common *c,
		      struct ask_shares *out, struct err *e)
{
	Scheduler__V2__StatImageRequest rq = SCHEDULER__V2__STAT_IMAGE_REQUEST__INIT;
	Scheduler__V2__StatImageRequest__HeaderEntry list[HEADERS_MAX], *ptrs[HEADERS_MAX];
	int r;

	SET_COMMON(&rq, STAT_IMAGE_REQUEST, a, (struct common *)c);
	SET_IMAGE(&rq, STAT_IMAGE_REQUEST, a);
	SET_HEADERS(&rq, scheduler__v2__stat_image_request__header_entry__init, a, list, ptrs);
	r = call(ch, SERVICE "StatImage", &rq.base, &scheduler__v2__stat_image_response__descriptor,
		 STAT_MS, &out->message, e);
	if (r == 0)
		take_image(out, out->message);
	return r;
}

static int stat_file(struct rpc_channel *ch, const struct ask *a, const struct common *c,
		     struct ask_shares *out, struct err *e)
{
	Scheduler__V2__StatFileRequest rq = SCHEDULER__V2__STAT_FILE_REQUEST__INIT;
	Scheduler__V2__StatFileRequest__HeaderEntry list[HEADERS_MAX], *ptrs[HEADERS_MAX];
	int r;

	SET_COMMON(&rq, STAT_FILE_REQUEST, a, (struct common *)c);
	SET_HEADERS(&rq, scheduler__v2__stat_file_request__header_entry__init, a, list, ptrs);
	r = call(ch, SERVICE "StatFile", &rq.base, &scheduler__v2__stat_file_response__descriptor,
		 STAT_MS, &out->message, e);
	if (r == 0)
		take_file(out, a->url, out->message);
	return r;
}

int ask_stat(struct rpc_channel *ch, const struct ask *a, struct ask_shares *out, struct err *e)
{
	struct common c cleanup(common_release);

	common_fill(&c, a->args);
	return a->is_image ? stat_image(ch, a, &c, out, e) : stat_file(ch, a, &c, out, e);
}

/* ---- hosts and tasks */

void ask_hosts_release(struct ask_hosts *h)
{
	free(h->items);
	message_free(h->message);
	*h = (struct ask_hosts){0};
}

int ask_list_hosts(struct rpc_channel *ch, struct ask_hosts *out, struct err *e)
{
	Scheduler__V2__ListHostsRequest rq = SCHEDULER__V2__LIST_HOSTS_REQUEST__INIT;
	const Scheduler__V2__ListHostsResponse *m;
	int r = call(ch, SERVICE "ListHosts", &rq.base,
		     &scheduler__v2__list_hosts_response__descriptor, QUESTION_MS, &out->message,
		     e);

	if (r < 0)
		return r;
	m = out->message;
	out->items = mem_array(m->n_hosts + 1, sizeof(*out->items));
	for (; out->count < m->n_hosts; out->count++) {
		const Common__V2__Host *h = m->hosts[out->count];

		out->items[out->count] = (struct ask_host){
			.id = h->id,
			.ip = h->ip,
			.hostname = h->hostname,
			.port = h->port,
			.download_port = h->download_port,
			.is_seed = h->type != 0,
			.message = h,
		};
	}
	return 0;
}

bool ask_has_failed(struct rpc_channel *ch, const char *task_id)
{
	Scheduler__V2__StatTaskRequest rq = SCHEDULER__V2__STAT_TASK_REQUEST__INIT;
	Common__V2__Task *task = NULL;
	bool failed;

	rq.task_id = (char *)task_id;
	rq.host_id = (char *)"manager";
	if (call(ch, SERVICE "StatTask", &rq.base, &common__v2__task__descriptor, QUESTION_MS,
		 &task, NULL) < 0)
		return false;
	failed = strcmp(task->state, "Failed") == 0;
	message_free(task);
	return failed;
}

void ask_downloads_release(struct ask_downloads *d)
{
	for (size_t i = 0; i < d->count; i++)
		free(d->items[i].failures);
	free(d->items);
	message_free(d->message);
	*d = (struct ask_downloads){0};
}

/* A daemon that went away, or did not answer, may be back or be replaced. */
static bool is_final(int code)
{
	return code != RPC_UNAVAILABLE && code != RPC_CANCELLED && code != RPC_DEADLINE_EXCEEDED;
}

static void take_download(struct ask_download *out, const Skimmer__V1__PreheatTask *t)
{
	out->pending = t->pending_count;
	out->failures = mem_array(t->n_failures + 1, sizeof(*out->failures));
	for (; out->failure_count < t->n_failures; out->failure_count++) {
		const Skimmer__V1__PreheatFailure *f = t->failures[out->failure_count];

		out->failures[out->failure_count] =
			(struct ask_failure){f->host, f->why, is_final(f->code)};
	}
}

int ask_downloads(struct rpc_channel *ch, struct ask_downloads *d, struct err *e)
{
	char **ids cleanup(free_at) = mem_array(d->count + 1, sizeof(*ids));
	Skimmer__V1__StatPreheatRequest rq = SKIMMER__V1__STAT_PREHEAT_REQUEST__INIT;
	const Skimmer__V1__StatPreheatResponse *m;
	int r;

	for (; rq.n_task_ids < d->count; rq.n_task_ids++)
		ids[rq.n_task_ids] = d->items[rq.n_task_ids].task_id;
	rq.task_ids = ids;
	r = call(ch, "/skimmer.v1.Swarm/StatPreheat", &rq.base,
		 &skimmer__v1__stat_preheat_response__descriptor, QUESTION_MS, &d->message, e);
	if (r < 0)
		return r;
	m = d->message;
	for (size_t i = 0; i < d->count && i < m->n_tasks; i++)
		if (strcmp(m->tasks[i]->task_id, ids[i]) == 0)
			take_download(&d->items[i], m->tasks[i]);
	return 0;
}

/* Whether the daemons name blobs by their digest, as the scheduler is told by the same header. */
static bool has_blob_digest_id(const json_t *args)
{
	json_t *headers = json_object_get(args, "headers"), *value;
	const char *name;

	json_object_foreach(headers, name, value)
	{
		if (strcasecmp(name, "X-Dragonfly-Enable-Task-ID-Based-Blob-Digest") == 0 &&
		    json_is_string(value))
			return strcasecmp(json_string_value(value), "false") != 0;
	}
	return true;
}

int ask_task_id(const struct ask *a, char id_out[65], struct err *e)
{
	struct common c cleanup(common_release);
	struct task_id_input in = {
		.url = a->url,
		.tag = json_str(a->args, "tag"),
		.application = json_str(a->args, "application"),
		.piece_length = json_u64(a->args, "piece_length", 0),
		.content_for_id = json_str(a->args, "content_for_calculating_task_id"),
		.blob_digest_id = has_blob_digest_id(a->args),
	};

	common_fill(&c, a->args);
	in.filtered_params = c.param_count ? (const char *const *)c.params : task_id_default_filter;
	in.filtered_param_count = c.param_count ? c.param_count : task_id_default_filter_count;
	return task_id_make(&in, id_out, e);
}
