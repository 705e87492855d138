/*
 * PreheatImage, StatImage, PreheatFile and StatFile. Dragonfly's contract: a preheat is answered
 * when it is known what is to be downloaded by whom; the downloads go on in the background. A stat
 * says who has how much of it, as this scheduler knows it.
 *
 * A call becomes a wish, which a worker resolves (that may ask a registry), then looks at the state
 * under the service's lock.
 *
 * Task ids are those of a later pull through a daemon: default filter of query parameters, and
 * blobs of registries named by their digest, unless the caller's header
 * X-Dragonfly-Enable-Task-ID-Based-Blob-Digest says false, for clusters that have that off.
 */
#include "control/scheduler/service_private.h"

#include "base/buf.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/net.h"
#include "control/scheduler/image.h"
#include "proto/message.h"
#include "proto/task_id.h"
#include "scheduler_v2.pb-c.h"

#include <errno.h>
#include <google/protobuf/empty.pb-c.h>
#include <string.h>

#define TASKS_AT_ONCE	   8
#define TARGETS_AT_ONCE	   500
#define TIMEOUT_DEFAULT_MS (3600 * 1000)
#define RESOLVE_TIMEOUT_MS 30000
#define HEADERS_MAX	   128
#define PIECE_LENGTH_MIN   (4u << 20)
#define PIECE_LENGTH_MAX   (64u << 20)
#define BLOB_DIGEST_HEADER "X-Dragonfly-Enable-Task-ID-Based-Blob-Digest"

enum scope { SCOPE_SINGLE_SEED, SCOPE_SEEDS, SCOPE_ALL };

/* What protobuf-c generates for an entry of every map<string, string>. */
struct map_entry {
	ProtobufCMessage base;
	char *key, *value;
};

struct wish {
	struct service *service;
	struct rpc_call *call;	   /* a reference */
	ProtobufCMessage *request; /* a copy, which the texts below are part of */
	bool is_image, is_stat, blob_digest;
	const char *url, *tag, *application, *username, *password, *platform, *output_path;
	uint64_t piece_length;
	char **params;
	size_t param_count;
	struct map_entry **headers;
	size_t header_count;
	const Google__Protobuf__Duration *timeout;
	const ProtobufCBinaryData *certs;
	size_t cert_count;
	bool insecure_skip_verify;
	Common__V2__Priority priority;
	const Common__V2__ObjectStorage *storage;
	const Common__V2__HDFS *hdfs;
	/* a preheat's */
	enum scope scope;
	char **ips;
	size_t ip_count;
	uint32_t count, percentage; /* 0 = not given */
	int64_t tasks_at_once, targets_at_once;
};

static void wish_free(struct wish *w)
{
	rpc_call_unref(w->call);
	protobuf_c_message_free_unpacked(w->request, NULL);
	free(w);
}

/* ---- what the messages have in common */

#define TAKE_COMMON(w, rq)                                                                         \
	do {                                                                                       \
		(w)->url = (rq)->url;                                                              \
		(w)->tag = message_text(rq, tag);                                                  \
		(w)->application = message_text(rq, application);                                  \
		(w)->piece_length = message_number(rq, piece_length, 0);                           \
		(w)->params = (rq)->filtered_query_params;                                         \
		(w)->param_count = (rq)->n_filtered_query_params;                                  \
		(w)->headers = (struct map_entry **)(rq)->header;                                  \
		(w)->header_count = (rq)->n_header;                                                \
		(w)->timeout = (rq)->timeout;                                                      \
		(w)->certs = (rq)->certificate_chain;                                              \
		(w)->cert_count = (rq)->n_certificate_chain;                                       \
		(w)->insecure_skip_verify = (rq)->insecure_skip_verify;                            \
	} while (0)

#define TAKE_IMAGE(w, rq)                                                                          \
	do {                                                                                       \
		(w)->is_image = true;                                                              \
		(w)->username = message_text(rq, username);                                        \
		(w)->password = message_text(rq, password);                                        \
		(w)->platform = message_text(rq, platform);                                        \
	} while (0)

#define TAKE_PREHEAT(w, rq)                                                                        \
	do {                                                                                       \
		(w)->priority = (rq)->priority;                                                    \
		(w)->ips = (rq)->ips;                                                              \
		(w)->ip_count = (rq)->n_ips;                                                       \
		(w)->count = message_number(rq, count, 0);                                         \
		(w)->percentage = message_number(rq, percentage, 0);                               \
		(w)->tasks_at_once = message_number(rq, concurrent_task_count, TASKS_AT_ONCE);     \
		(w)->targets_at_once = message_number(rq, concurrent_peer_count, TARGETS_AT_ONCE); \
	} while (0)

static ProtobufCMessage *copy_of(const ProtobufCMessage *m)
{
	size_t len = protobuf_c_message_get_packed_size(m);
	cleanup(free_at) uint8_t *bytes = mem_alloc(len + 1);

	protobuf_c_message_pack(m, bytes);
	return protobuf_c_message_unpack(m->descriptor, NULL, len, bytes);
}

static struct wish *wish_new(struct service *s, struct rpc_call *call, const ProtobufCMessage *req)
{
	struct wish *w = mem_new(struct wish);

	w->service = s;
	w->call = call;
	rpc_call_ref(call);
	w->request = copy_of(req);
	return w;
}

static const char *header_of(const struct wish *w, const char *name)
{
	for (size_t i = 0; i < w->header_count; i++)
		if (strcasecmp(w->headers[i]->key, name) == 0)
			return w->headers[i]->value;
	return NULL;
}

static bool scope_parse(const char *text, enum scope *out)
{
	static const char *const names[] = {"single_seed_peer", "all_seed_peers", "all_peers"};

	for (unsigned i = 0; i < array_len(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			*out = (enum scope)i;
			return true;
		}
	}
	return false;
}

/* What Dragonfly's own servers check; NULL: all is well. */
static const char *fault_of(const struct wish *w)
{
	if (!strstr(w->url, "://") || strlen(w->url) > 16384)
		return "url must be absolute";
	if (w->piece_length &&
	    (w->piece_length < PIECE_LENGTH_MIN || w->piece_length > PIECE_LENGTH_MAX))
		return "piece_length must be from 4 to 64 MiB";
	if (w->header_count > HEADERS_MAX)
		return "too many headers";
	if (message_duration_ms(w->timeout) < 0)
		return "timeout must not be negative";
	if (w->is_stat)
		return NULL;
	if (w->percentage > 100)
		return "percentage must be from 1 to 100";
	if (w->count > 200)
		return "count must be from 1 to 200";
	if (w->tasks_at_once < 1 || w->tasks_at_once > 100)
		return "concurrent_task_count must be from 1 to 100";
	if (w->targets_at_once < 1 || w->targets_at_once > 1000)
		return "concurrent_peer_count must be from 1 to 1000";
	return NULL;
}

static void wish_run(void *arg);

static void wish_start(struct wish *w, const char *fault)
{
	const char *blob_digest = header_of(w, BLOB_DIGEST_HEADER);

	w->blob_digest = !blob_digest || strcasecmp(blob_digest, "false") != 0;
	if (w->param_count == 0) {
		w->params = (char **)task_id_default_filter;
		w->param_count = task_id_default_filter_count;
	}
	if (!fault)
		fault = fault_of(w);
	if (!fault && preheats_run(w->service->preheats, wish_run, w))
		return;
	rpc_call_finish(w->call, fault ? RPC_INVALID_ARGUMENT : RPC_RESOURCE_EXHAUSTED,
			fault ? fault : "too many preheats are being prepared");
	wish_free(w);
}

/* ---- tasks */

struct list_of_urls {
	struct image image; /* what has to be freed */
	char *const *urls;
	size_t count;
};

/* PEM, one certificate after the other. */
static char *ca_text(const struct wish *w)
{
	struct buf text = BUF_INIT(1u << 20);

	for (size_t i = 0; i < w->cert_count; i++) {
		buf_append(&text, w->certs[i].data, w->certs[i].len);
		buf_puts(&text, "\n");
	}
	return w->cert_count ? buf_take(&text) : NULL;
}

static int resolve(const struct wish *w, struct list_of_urls *out, struct err *e)
{
	cleanup(free_at) struct image_header *headers =
		mem_array(w->header_count + 1, sizeof(*headers));
	cleanup(free_at) char *ca = ca_text(w);
	struct image_ask ask = {
		.url = w->url,
		.headers = headers,
		.username = w->username,
		.password = w->password,
		.platform = w->platform,
		.ca = ca,
		.insecure_skip_verify = w->insecure_skip_verify,
		.timeout_ms = RESOLVE_TIMEOUT_MS,
	};
	int r;

	if (!w->is_image) {
		out->urls = (char *const *)&w->url;
		out->count = 1;
		return 0;
	}
	for (size_t i = 0; i < w->header_count; i++)
		if (strcasecmp(w->headers[i]->key, BLOB_DIGEST_HEADER) != 0)
			headers[ask.header_count++] =
				(struct image_header){w->headers[i]->key, w->headers[i]->value};
	r = image_resolve(&ask, &out->image, e);
	out->urls = out->image.urls;
	out->count = out->image.count;
	return r;
}

static int id_of(const struct wish *w, const char *url, char id_out[DIGEST_HEX_LEN + 1],
		 struct err *e)
{
	const struct task_id_input in = {
		.url = url,
		.tag = w->tag,
		.application = w->application,
		.piece_length = w->piece_length,
		.filtered_params = (const char *const *)w->params,
		.filtered_param_count = w->param_count,
		.blob_digest_id = w->blob_digest,
	};

	return task_id_make(&in, id_out, e);
}

static void put_header(Common__V2__Download *d, const char *name, const char *value)
{
	Common__V2__Download__RequestHeaderEntry *h =
		mem_new(Common__V2__Download__RequestHeaderEntry);

	common__v2__download__request_header_entry__init(h);
	h->key = mem_strdup(name);
	h->value = mem_strdup(value);
	d->request_header[d->n_request_header++] = h;
}

static void put_headers(Common__V2__Download *d, const struct wish *w, const char *authorization)
{
	d->request_header = mem_array(w->header_count + 2, sizeof(*d->request_header));
	for (size_t i = 0; i < w->header_count; i++) {
		const struct map_entry *h = w->headers[i];

		if (strcasecmp(h->key, BLOB_DIGEST_HEADER) != 0 &&
		    !(authorization && strcasecmp(h->key, "Authorization") == 0))
			put_header(d, h->key, h->value);
	}
	if (authorization)
		put_header(d, "Authorization", authorization);
}

static void put_optional(Common__V2__Download *d, const struct wish *w)
{
	if (w->tag)
		message_set(d, tag, COMMON__V2__DOWNLOAD__TAG__TAG, mem_strdup(w->tag));
	if (w->application)
		message_set(d, application, COMMON__V2__DOWNLOAD__APPLICATION__APPLICATION,
			    mem_strdup(w->application));
	if (w->piece_length)
		message_set(d, piece_length, COMMON__V2__DOWNLOAD__PIECE_LENGTH__PIECE_LENGTH,
			    w->piece_length);
	if (w->output_path)
		message_set(d, output_path, COMMON__V2__DOWNLOAD__OUTPUT_PATH__OUTPUT_PATH,
			    mem_strdup(w->output_path));
	if (w->timeout)
		d->timeout = (Google__Protobuf__Duration *)copy_of(&w->timeout->base);
	if (w->storage)
		d->object_storage = (Common__V2__ObjectStorage *)copy_of(&w->storage->base);
	if (w->hdfs)
		d->hdfs = (Common__V2__HDFS *)copy_of(&w->hdfs->base);
}

static Common__V2__Download *download_of(const struct wish *w, const char *url,
					 const char *authorization)
{
	Common__V2__Download *d = mem_new(Common__V2__Download);

	common__v2__download__init(d);
	d->url = mem_strdup(url);
	d->priority = w->priority;
	d->enable_task_id_based_blob_digest = w->blob_digest;
	d->filtered_query_params = mem_array(w->param_count, sizeof(char *));
	for (; d->n_filtered_query_params < w->param_count; d->n_filtered_query_params++)
		d->filtered_query_params[d->n_filtered_query_params] =
			mem_strdup(w->params[d->n_filtered_query_params]);
	d->certificate_chain = mem_array(w->cert_count + 1, sizeof(*d->certificate_chain));
	for (; d->n_certificate_chain < w->cert_count; d->n_certificate_chain++)
		d->certificate_chain[d->n_certificate_chain] =
			(ProtobufCBinaryData){w->certs[d->n_certificate_chain].len,
					      mem_dup(w->certs[d->n_certificate_chain].data,
						      w->certs[d->n_certificate_chain].len)};
	put_headers(d, w, authorization);
	put_optional(d, w);
	return d;
}

/* ---- targets, all under the service's lock */

struct draw {
	uint64_t lot;
	const struct host *host;
};

static int by_lot(const void *a, const void *b)
{
	const struct draw *x = a, *y = b;

	return (x->lot > y->lot) - (x->lot < y->lot);
}

static bool is_wanted(const struct wish *w, const struct host *h)
{
	if (w->scope != SCOPE_ALL && h->type == 0)
		return false;
	for (size_t i = 0; i < w->ip_count; i++)
		if (strcmp(w->ips[i], h->ip) == 0)
			return true;
	return w->ip_count == 0;
}

/* Dragonfly's rank: addresses, else a count, else a percentage, else all. Lots are drawn by the
 * URL: the same hosts for the same content, others for other content. */
static struct draw *draw_hosts(const struct wish *w, size_t *count_out)
{
	const struct state *s = &w->service->state;
	struct draw *list = mem_array(map_count(s->hosts) + 1, sizeof(*list));
	size_t count = 0, at = 0, limit;
	const char *id;
	void *value;

	while (map_next(s->hosts, &at, &id, &value)) {
		cleanup(free_at) char *text = NULL;

		if (!is_wanted(w, value))
			continue;
		text = mem_printf("%s %s", id, w->url);
		list[count++] = (struct draw){xxh3_of(text, strlen(text)), value};
	}
	qsort(list, count, sizeof(*list), by_lot);
	limit = count;
	if (w->ip_count == 0 && w->count)
		limit = w->count;
	else if (w->ip_count == 0 && w->percentage)
		limit = (count * w->percentage + 99) / 100;
	*count_out = count < limit ? count : limit;
	return list;
}

static struct preheat_target target_of(const struct host *h)
{
	char addr[80];

	net_join(h->ip, h->port, addr, sizeof(addr));
	return (struct preheat_target){.addr = mem_strdup(addr), .is_seed = h->type != 0};
}

static void give_targets(const struct wish *w, const struct draw *hosts, size_t host_count,
			 struct preheat_task *t)
{
	const struct host *seed;

	t->targets = mem_array(host_count + 1, sizeof(*t->targets));
	if (w->scope == SCOPE_SINGLE_SEED) {
		seed = seeds_choose(&w->service->state, t->id);
		if (seed)
			t->targets[t->target_count++] = target_of(seed);
		return;
	}
	for (size_t i = 0; i < host_count; i++)
		t->targets[t->target_count++] = target_of(hosts[i].host);
}

static int plan(const struct wish *w, const struct list_of_urls *l, struct preheat *p,
		struct err *e)
{
	cleanup(free_at) struct draw *hosts = NULL;
	size_t host_count;

	lock_guard(&w->service->lock);
	hosts = draw_hosts(w, &host_count);
	for (size_t i = 0; i < l->count; i++) {
		struct preheat_task *t = &p->tasks[p->task_count++];

		if (id_of(w, l->urls[i], t->id, e) < 0)
			return -e->code;
		t->download = download_of(w, l->urls[i], l->image.authorization);
		give_targets(w, hosts, host_count, t);
		if (t->target_count == 0)
			return err_set(e, ENODEV, "no host is there to download: %s",
				       w->scope == SCOPE_ALL ? "none is announced"
							     : "no seed peer is announced");
	}
	return 0;
}

/* ---- stat */

enum share { SHARE_NONE, SHARE_SOME, SHARE_ALL };

/* What one host has of each URL. */
struct row {
	char *ip, *hostname;
	uint8_t *shares; /* enum share */
};

struct rows {
	struct row *items;
	size_t count;
	struct map *by_host; /* host id -> its place + 1 */
};

static void rows_release(struct rows *r)
{
	for (size_t i = 0; i < r->count; i++) {
		free(r->items[i].ip);
		free(r->items[i].hostname);
		free(r->items[i].shares);
	}
	free(r->items);
	map_free(r->by_host);
}

static struct row *row_of(struct rows *r, const struct host *h, size_t url_count)
{
	uintptr_t place = (uintptr_t)map_get(r->by_host, h->id);

	if (place)
		return &r->items[place - 1];
	r->items = mem_realloc(r->items, (r->count + 1) * sizeof(*r->items));
	r->items[r->count] = (struct row){mem_strdup(h->ip), mem_strdup(h->hostname),
					  mem_array(url_count, sizeof(uint8_t))};
	map_put(r->by_host, h->id, (void *)(uintptr_t)(r->count + 1));
	return &r->items[r->count++];
}

static int look(const struct wish *w, const struct list_of_urls *l, struct rows *out, struct err *e)
{
	char id[DIGEST_HEX_LEN + 1];

	out->by_host = map_new();
	lock_guard(&w->service->lock);
	for (size_t i = 0; i < l->count; i++) {
		const struct task *t;

		if (id_of(w, l->urls[i], id, e) < 0)
			return -e->code;
		t = state_task(&w->service->state, id);
		for (uint32_t k = 0; t && k < t->peer_count; k++) {
			const struct peer *p = t->peers[k];
			uint8_t *share = &row_of(out, p->host, l->count)->shares[i];

			if (p->state == PEER_SUCCEEDED)
				*share = SHARE_ALL;
			else if (p->state != PEER_FAILED && *share == SHARE_NONE)
				*share = SHARE_SOME;
		}
	}
	return 0;
}

static Scheduler__V2__Layer *layer_of(const char *url, bool is_known, bool is_finished)
{
	Scheduler__V2__Layer *m = mem_new(Scheduler__V2__Layer);

	scheduler__v2__layer__init(m);
	m->url = mem_strdup(url);
	if (is_known)
		message_set(m, is_finished, SCHEDULER__V2__LAYER__IS_FINISHED__IS_FINISHED,
			    is_finished);
	return m;
}

static Scheduler__V2__PeerImage *peer_image_of(const struct row *row, const struct list_of_urls *l)
{
	Scheduler__V2__PeerImage *m = mem_new(Scheduler__V2__PeerImage);

	scheduler__v2__peer_image__init(m);
	m->ip = mem_strdup(row->ip);
	m->hostname = mem_strdup(row->hostname);
	m->cached_layers = mem_array(l->count, sizeof(*m->cached_layers));
	for (size_t i = 0; i < l->count; i++)
		if (row->shares[i] != SHARE_NONE)
			m->cached_layers[m->n_cached_layers++] =
				layer_of(l->urls[i], true, row->shares[i] == SHARE_ALL);
	return m;
}

static ProtobufCMessage *image_answer(const struct rows *rows, const struct list_of_urls *l)
{
	Scheduler__V2__StatImageResponse *m = mem_new(Scheduler__V2__StatImageResponse);

	scheduler__v2__stat_image_response__init(m);
	m->image = mem_new(Scheduler__V2__Image);
	scheduler__v2__image__init(m->image);
	m->image->layers = mem_array(l->count, sizeof(*m->image->layers));
	for (size_t i = 0; i < l->count; i++)
		m->image->layers[m->image->n_layers++] = layer_of(l->urls[i], false, false);
	m->peers = mem_array(rows->count, sizeof(*m->peers));
	for (size_t i = 0; i < rows->count; i++)
		m->peers[m->n_peers++] = peer_image_of(&rows->items[i], l);
	return &m->base;
}

static Scheduler__V2__PeerFile *peer_file_of(const struct row *row, const char *url)
{
	Scheduler__V2__PeerFile *m = mem_new(Scheduler__V2__PeerFile);
	Scheduler__V2__File *f = mem_new(Scheduler__V2__File);

	scheduler__v2__peer_file__init(m);
	scheduler__v2__file__init(f);
	m->ip = mem_strdup(row->ip);
	m->hostname = mem_strdup(row->hostname);
	m->cached_files = mem_new(Scheduler__V2__File *);
	m->cached_files[m->n_cached_files++] = f;
	f->url = mem_strdup(url);
	message_set(f, is_finished, SCHEDULER__V2__FILE__IS_FINISHED__IS_FINISHED,
		    row->shares[0] == SHARE_ALL);
	return m;
}

static ProtobufCMessage *file_answer(const struct rows *rows, const char *url)
{
	Scheduler__V2__StatFileResponse *m = mem_new(Scheduler__V2__StatFileResponse);

	scheduler__v2__stat_file_response__init(m);
	m->peers = mem_array(rows->count, sizeof(*m->peers));
	for (size_t i = 0; i < rows->count; i++)
		if (rows->items[i].shares[0] != SHARE_NONE)
			m->peers[m->n_peers++] = peer_file_of(&rows->items[i], url);
	return &m->base;
}

/* ---- a worker's */

static int tell_shares(const struct wish *w, const struct list_of_urls *l, struct err *e)
{
	cleanup(rows_release) struct rows rows = {0};
	ProtobufCMessage *m;
	int r = look(w, l, &rows, e);

	if (r < 0)
		return r;
	m = w->is_image ? image_answer(&rows, l) : file_answer(&rows, w->url);
	rpc_call_reply(w->call, m);
	protobuf_c_message_free_unpacked(m, NULL);
	return 0;
}

static int preheat(const struct wish *w, const struct list_of_urls *l, struct err *e)
{
	Google__Protobuf__Empty empty = GOOGLE__PROTOBUF__EMPTY__INIT;
	struct preheat *p = mem_new(struct preheat);
	int64_t timeout_ms = message_duration_ms(w->timeout);
	int r;

	p->name = mem_strndup(w->url, strcspn(w->url, "?#"));
	p->tasks = mem_array(l->count, sizeof(*p->tasks));
	p->tasks_at_once = (unsigned)w->tasks_at_once;
	p->targets_at_once = (unsigned)w->targets_at_once;
	p->timeout_ms = timeout_ms ? timeout_ms : TIMEOUT_DEFAULT_MS;
	r = plan(w, l, p, e);
	if (r < 0) {
		preheat_free(p);
		return r;
	}
	log_info("preheat begins", "preheat=\"%s\" tasks=%zu hosts=%zu", p->name, p->task_count,
		 p->tasks[0].target_count);
	preheats_start(w->service->preheats, p);
	rpc_call_reply(w->call, &empty.base);
	return 0;
}

static enum rpc_code code_of(int err_no)
{
	switch (err_no) {
	case EACCES:
		return RPC_PERMISSION_DENIED;
	case ENODEV:
		return RPC_FAILED_PRECONDITION;
	case EPROTO:
	case EBADMSG:
	case EMSGSIZE:
		return RPC_INTERNAL;
	default:
		return rpc_code_of_errno(err_no);
	}
}

static void wish_run(void *arg)
{
	struct list_of_urls l = {0};
	struct wish *w = arg;
	struct err e = {0};
	int r;

	if (!rpc_call_is_closed(w->call)) {
		r = resolve(w, &l, &e);
		if (r == 0)
			r = w->is_stat ? tell_shares(w, &l, &e) : preheat(w, &l, &e);
		if (r < 0)
			rpc_call_finish(w->call, code_of(e.code), e.text);
	}
	image_release(&l.image);
	wish_free(w);
}

/* ---- the calls */

void service_preheat_image(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	struct wish *w = wish_new(arg, call, req);
	const Scheduler__V2__PreheatImageRequest *rq = (const void *)w->request;

	TAKE_COMMON(w, rq);
	TAKE_IMAGE(w, rq);
	TAKE_PREHEAT(w, rq);
	wish_start(w, scope_parse(rq->scope, &w->scope) ? NULL : "unknown scope");
}

void service_stat_image(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	struct wish *w = wish_new(arg, call, req);
	const Scheduler__V2__StatImageRequest *rq = (const void *)w->request;

	TAKE_COMMON(w, rq);
	TAKE_IMAGE(w, rq);
	w->is_stat = true;
	wish_start(w, NULL);
}

void service_preheat_file(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	struct wish *w = wish_new(arg, call, req);
	const Scheduler__V2__PreheatFileRequest *rq = (const void *)w->request;

	TAKE_COMMON(w, rq);
	TAKE_PREHEAT(w, rq);
	w->storage = rq->object_storage;
	w->hdfs = rq->hdfs;
	w->output_path = message_text(rq, output_path);
	wish_start(w, scope_parse(rq->scope, &w->scope) ? NULL : "unknown scope");
}

void service_stat_file(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	struct wish *w = wish_new(arg, call, req);
	const Scheduler__V2__StatFileRequest *rq = (const void *)w->request;

	TAKE_COMMON(w, rq);
	w->is_stat = true;
	wish_start(w, NULL);
}
