/*
 * containerd's questions. Each is copied and served by a worker, because the disk may block.
 * Must not know: how snapshots are kept.
 */
#include "contrib/containerd/service.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "contrib/containerd/filter.h"
#include "proto/message.h"

#include <containerd_snapshots_v1.pb-c.h>
#include <errno.h>
#include <google/protobuf/empty.pb-c.h>
#include <string.h>

#define WORKERS	  16
#define QUEUE_MAX 4096
#define BATCH	  100 /* snapshots in one message of a list, as Go's server sends them */

/* The generator's names, without their package. */
#define wire(name)	Containerd__Services__Snapshots__V1__##name
#define wire_type(name) containerd__services__snapshots__v1__##name##__descriptor
#define wire_init(NAME) CONTAINERD__SERVICES__SNAPSHOTS__V1__##NAME##__INIT
#define METHOD(name)	"/containerd.services.snapshots.v1.Snapshots/" name

struct service {
	struct snapshots *snapshots;
	struct pool *workers;
};

/* Serves one question: replies, or fails. */
typedef int serve_fn(struct service *sv, struct rpc_call *call, const ProtobufCMessage *req,
		     struct err *e);

struct job {
	struct service *service;
	struct rpc_call *call;
	ProtobufCMessage *request;
};

/* ---- from and to the wire */

static enum rpc_code code_of(int err_no)
{
	return err_no == EBUSY ? RPC_FAILED_PRECONDITION : rpc_code_of_errno(err_no);
}

/* The entries of every map<string, string> look like those of Info. */
static void labels_read(struct labels *l, const void *entries, size_t count)
{
	wire(Info__LabelsEntry) *const *list = entries;

	for (size_t i = 0; i < count; i++)
		labels_set(l, list[i]->key, list[i]->value);
}

struct wire_info {
	wire(Info) info;
	Google__Protobuf__Timestamp created, updated;
	wire(Info__LabelsEntry) * entries;
	wire(Info__LabelsEntry) * *list;
};

/* Points into *s. */
static void info_fill(struct wire_info *w, const struct snapshot *s)
{
	w->info = (wire(Info))wire_init(INFO);
	message_timestamp(&w->created, s->created_ms);
	message_timestamp(&w->updated, s->updated_ms);
	w->entries = mem_array(s->labels.count, sizeof(*w->entries));
	w->list = mem_array(s->labels.count, sizeof(*w->list));
	for (size_t i = 0; i < s->labels.count; i++) {
		w->entries[i] = (wire(Info__LabelsEntry))wire_init(INFO__LABELS_ENTRY);
		w->entries[i].key = s->labels.items[i].key;
		w->entries[i].value = s->labels.items[i].value;
		w->list[i] = &w->entries[i];
	}
	w->info.name = s->name;
	w->info.parent = s->parent;
	w->info.kind = (wire(Kind))s->kind;
	w->info.created_at = &w->created;
	w->info.updated_at = &w->updated;
	w->info.labels = w->list;
	w->info.n_labels = s->labels.count;
}

static void info_release(struct wire_info *w)
{
	free(w->entries);
	free(w->list);
}

/* The answers to Prepare, View and Mounts are the same on the wire: a list of mounts. */
static int reply_mounts(struct rpc_call *call, const struct mount_plan *m)
{
	wire(MountsResponse) answer = wire_init(MOUNTS_RESPONSE);
	Containerd__Types__Mount mount = CONTAINERD__TYPES__MOUNT__INIT;
	Containerd__Types__Mount *list[] = {&mount};

	mount.type = (char *)m->type;
	mount.source = m->source;
	mount.options = m->options;
	mount.n_options = m->option_count;
	answer.mounts = list;
	answer.n_mounts = array_len(list);
	rpc_call_reply(call, &answer.base);
	return 0;
}

static int reply_empty(struct rpc_call *call)
{
	const Google__Protobuf__Empty none = GOOGLE__PROTOBUF__EMPTY__INIT;

	rpc_call_reply(call, &none.base);
	return 0;
}

/* ---- the questions */

/* Of s the name, the parent and the kind are set; takes it over. */
static int prepare(struct service *sv, struct rpc_call *call, struct snapshot *s,
		   const void *label_entries, size_t label_count, struct err *e)
{
	struct mount_plan m cleanup(mount_plan_release) = {0};
	int r;

	labels_read(&s->labels, label_entries, label_count);
	r = s->name[0] ? snapshots_prepare(sv->snapshots, s, &m, e)
		       : err_set(e, EINVAL, "a key is needed");
	snapshot_release(s);
	return r < 0 ? r : reply_mounts(call, &m);
}

static int serve_prepare(struct service *sv, struct rpc_call *call, const ProtobufCMessage *req,
			 struct err *e)
{
	const wire(PrepareSnapshotRequest) *rq = (const void *)req;
	struct snapshot s = {.name = mem_strdup(rq->key),
			     .parent = mem_strdup(rq->parent),
			     .kind = SNAPSHOT_ACTIVE};

	return prepare(sv, call, &s, rq->labels, rq->n_labels, e);
}

static int serve_view(struct service *sv, struct rpc_call *call, const ProtobufCMessage *req,
		      struct err *e)
{
	const wire(ViewSnapshotRequest) *rq = (const void *)req;
	struct snapshot s = {.name = mem_strdup(rq->key),
			     .parent = mem_strdup(rq->parent),
			     .kind = SNAPSHOT_VIEW};

	return prepare(sv, call, &s, rq->labels, rq->n_labels, e);
}

static int serve_mounts(struct service *sv, struct rpc_call *call, const ProtobufCMessage *req,
			struct err *e)
{
	const wire(MountsRequest) *rq = (const void *)req;
	struct mount_plan m cleanup(mount_plan_release) = {0};
	int r = snapshots_mounts(sv->snapshots, rq->key, &m, e);

	return r < 0 ? r : reply_mounts(call, &m);
}

static int serve_commit(struct service *sv, struct rpc_call *call, const ProtobufCMessage *req,
			struct err *e)
{
	const wire(CommitSnapshotRequest) *rq = (const void *)req;
	struct labels labels cleanup(labels_release) = {0};
	int r;

	if (!rq->name[0])
		return err_set(e, EINVAL, "a name is needed");
	labels_read(&labels, rq->labels, rq->n_labels);
	r = state_commit(snapshots_state(sv->snapshots), rq->key, rq->name, rq->parent, &labels, e);
	return r < 0 ? r : reply_empty(call);
}

static int serve_remove(struct service *sv, struct rpc_call *call, const ProtobufCMessage *req,
			struct err *e)
{
	const wire(RemoveSnapshotRequest) *rq = (const void *)req;
	int r = snapshots_remove(sv->snapshots, rq->key, e);

	return r < 0 ? r : reply_empty(call);
}

static int serve_stat(struct service *sv, struct rpc_call *call, const ProtobufCMessage *req,
		      struct err *e)
{
	const wire(StatSnapshotRequest) *rq = (const void *)req;
	wire(StatSnapshotResponse) answer = wire_init(STAT_SNAPSHOT_RESPONSE);
	struct snapshot s cleanup(snapshot_release) = {0};
	struct wire_info w cleanup(info_release) = {0};
	int r = state_get(snapshots_state(sv->snapshots), rq->key, &s, e);

	if (r < 0)
		return r;
	info_fill(&w, &s);
	answer.info = &w.info;
	rpc_call_reply(call, &answer.base);
	return 0;
}

/* What the mask's paths say; without paths all labels are replaced. */
static int change_labels(struct labels *now, const struct labels *wanted,
			 const Google__Protobuf__FieldMask *mask, struct err *e)
{
	bool all = !mask || mask->n_paths == 0;

	for (size_t i = 0; mask && i < mask->n_paths; i++) {
		const char *path = mask->paths[i], *key = path + strlen("labels."), *value;

		if (strcmp(path, "labels") == 0) {
			all = true;
			continue;
		}
		if (strncmp(path, "labels.", strlen("labels.")) != 0)
			return err_set(e, EINVAL, "cannot update %s of a snapshot", path);
		value = labels_get(wanted, key);
		labels_set(now, key, value ? value : "");
	}
	if (!all)
		return 0;
	labels_release(now);
	for (size_t i = 0; i < wanted->count; i++)
		labels_set(now, wanted->items[i].key, wanted->items[i].value);
	return 0;
}

static int serve_update(struct service *sv, struct rpc_call *call, const ProtobufCMessage *req,
			struct err *e)
{
	const wire(UpdateSnapshotRequest) *rq = (const void *)req;
	wire(UpdateSnapshotResponse) answer = wire_init(UPDATE_SNAPSHOT_RESPONSE);
	struct labels wanted cleanup(labels_release) = {0};
	struct snapshot s cleanup(snapshot_release) = {0};
	struct snapshot after cleanup(snapshot_release) = {0};
	struct wire_info w cleanup(info_release) = {0};
	struct state *st = snapshots_state(sv->snapshots);
	int r;

	if (!rq->info)
		return err_set(e, EINVAL, "info is needed");
	labels_read(&wanted, rq->info->labels, rq->info->n_labels);
	r = state_get(st, rq->info->name, &s, e);
	if (r == 0)
		r = change_labels(&s.labels, &wanted, rq->update_mask, e);
	if (r == 0)
		r = state_set_labels(st, s.name, &s.labels, e);
	if (r == 0)
		r = state_get(st, s.name, &after, e);
	if (r < 0)
		return r;
	info_fill(&w, &after);
	answer.info = &w.info;
	rpc_call_reply(call, &answer.base);
	return 0;
}

static void send_batch(struct rpc_call *call, const struct snapshot *const *list, size_t count)
{
	wire(ListSnapshotsResponse) answer = wire_init(LIST_SNAPSHOTS_RESPONSE);
	struct wire_info w[BATCH];
	wire(Info) * infos[BATCH];

	for (size_t i = 0; i < count; i++) {
		info_fill(&w[i], list[i]);
		infos[i] = &w[i].info;
	}
	answer.info = infos;
	answer.n_info = count;
	rpc_call_send(call, &answer.base);
	for (size_t i = 0; i < count; i++)
		info_release(&w[i]);
}

static int serve_list(struct service *sv, struct rpc_call *call, const ProtobufCMessage *req,
		      struct err *e)
{
	const wire(ListSnapshotsRequest) *rq = (const void *)req;
	struct filter *f cleanup(filter_free_at) = NULL;
	const struct snapshot *batch[BATCH];
	struct snapshot *all = NULL;
	size_t count = 0, n = 0;
	int r = filter_parse((const char *const *)rq->filters, rq->n_filters, &f, e);

	if (r == 0)
		r = state_all(snapshots_state(sv->snapshots), filter_parent(f), &all, &count, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		if (!filter_fits(f, &all[i]))
			continue;
		batch[n++] = &all[i];
		if (n == BATCH) {
			send_batch(call, batch, n);
			n = 0;
		}
	}
	if (n)
		send_batch(call, batch, n);
	rpc_call_finish(call, RPC_OK, NULL);
	for (size_t i = 0; i < count; i++)
		snapshot_release(&all[i]);
	free(all);
	return 0;
}

static int serve_usage(struct service *sv, struct rpc_call *call, const ProtobufCMessage *req,
		       struct err *e)
{
	const wire(UsageRequest) *rq = (const void *)req;
	wire(UsageResponse) answer = wire_init(USAGE_RESPONSE);
	int r = snapshots_usage(sv->snapshots, rq->key, &answer.size, &answer.inodes, e);

	if (r < 0)
		return r;
	rpc_call_reply(call, &answer.base);
	return 0;
}

static int serve_cleanup(struct service *sv, struct rpc_call *call, const ProtobufCMessage *req,
			 struct err *e)
{
	(void)req;
	(void)e;
	snapshots_sweep(sv->snapshots);
	return reply_empty(call);
}

/* ---- from the server's thread to a worker */

static const struct {
	const ProtobufCMessageDescriptor *request;
	const char *name;
	serve_fn *serve;
} questions[] = {
	{&wire_type(prepare_snapshot_request), "Prepare", serve_prepare},
	{&wire_type(view_snapshot_request), "View", serve_view},
	{&wire_type(mounts_request), "Mounts", serve_mounts},
	{&wire_type(commit_snapshot_request), "Commit", serve_commit},
	{&wire_type(remove_snapshot_request), "Remove", serve_remove},
	{&wire_type(stat_snapshot_request), "Stat", serve_stat},
	{&wire_type(update_snapshot_request), "Update", serve_update},
	{&wire_type(list_snapshots_request), "List", serve_list},
	{&wire_type(usage_request), "Usage", serve_usage},
	{&wire_type(cleanup_request), "Cleanup", serve_cleanup},
};

static void run_job(void *arg)
{
	struct job *job = arg;
	struct err e;
	size_t i = 0;

	while (questions[i].request != job->request->descriptor)
		i++;
	if (questions[i].serve(job->service, job->call, job->request, &e) < 0) {
		enum rpc_code code = code_of(e.code);

		if (code == RPC_INTERNAL || code == RPC_UNKNOWN || code == RPC_RESOURCE_EXHAUSTED)
			log_warn("question failed", "question=%s why=\"%s\"", questions[i].name,
				 e.text);
		rpc_call_finish(job->call, code, e.text);
	}
	rpc_call_unref(job->call);
	protobuf_c_message_free_unpacked(job->request, NULL);
	free(job);
}

static ProtobufCMessage *copy_of(const ProtobufCMessage *m)
{
	size_t len = protobuf_c_message_get_packed_size(m);
	uint8_t *bytes cleanup(free_at) = mem_alloc(len + 1);

	protobuf_c_message_pack(m, bytes);
	return protobuf_c_message_unpack(m->descriptor, NULL, len, bytes);
}

static void on_request(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	struct service *sv = arg;
	struct job *job = mem_new(struct job);

	*job = (struct job){.service = sv, .call = call, .request = copy_of(req)};
	rpc_call_ref(call);
	if (job->request && pool_run(sv->workers, run_job, job))
		return;
	rpc_call_finish(call, RPC_UNAVAILABLE, "too many questions at once");
	rpc_call_unref(call);
	if (job->request)
		protobuf_c_message_free_unpacked(job->request, NULL);
	free(job);
}

#define QUESTION(name, type)                                                                       \
	{                                                                                          \
		.path = METHOD(name), .request = &wire_type(type), .message = on_request           \
	}

const struct rpc_method service_methods[] = {
	QUESTION("Prepare", prepare_snapshot_request),
	QUESTION("View", view_snapshot_request),
	QUESTION("Mounts", mounts_request),
	QUESTION("Commit", commit_snapshot_request),
	QUESTION("Remove", remove_snapshot_request),
	QUESTION("Stat", stat_snapshot_request),
	QUESTION("Update", update_snapshot_request),
	QUESTION("List", list_snapshots_request),
	QUESTION("Usage", usage_request),
	QUESTION("Cleanup", cleanup_request),
	{.path = NULL},
};

struct service *service_new(struct snapshots *s)
{
	struct service *sv = mem_new(struct service);

	sv->snapshots = s;
	sv->workers = pool_new("snapshots", WORKERS, QUEUE_MAX);
	return sv;
}

void service_free(struct service *sv)
{
	if (!sv)
		return;
	pool_free(sv->workers);
	free(sv);
}
