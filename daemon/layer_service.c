/* The snapshotter's questions about layers. Must not know: how layers become lazy. */
#include "daemon/layer_service.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"

#include <errno.h>
#include <skimmer_v1.pb-c.h>
#include <string.h>

#define WORKERS	  8
#define QUEUE_MAX 1024

struct layer_service {
	struct layers *layers;
	struct starts *starts;
	char *mount, *trees;
	struct pool *workers;
};

struct job {
	struct layer_service *s;
	struct rpc_call *call;
	char *digest, *image, *manifest;
};

static void job_free(struct job *j)
{
	free(j->digest);
	free(j->image);
	free(j->manifest);
	free(j);
}

static void reply(const struct layer_service *s, struct rpc_call *call, const struct layer *l)
{
	const struct layer_info *i = layer_info(l);
	char *diff_id cleanup(free_at) = mem_printf("sha256:%s", i->diff_id);
	char *layer cleanup(free_at) = mem_printf("sha256:%s", i->id);
	char *lazy cleanup(free_at) = i->toc_digest[0]
					      ? mem_printf("%s/toc/%s", s->mount, i->id)
					      : mem_printf("%s/sha256/%s", s->mount, i->diff_id);
	char *tree cleanup(free_at) = mem_printf("%s/%s", s->trees ? s->trees : "", i->id);
	Skimmer__V1__OpenLayerResponse m = SKIMMER__V1__OPEN_LAYER_RESPONSE__INIT;

	m.diff_id = diff_id;
	m.erofs_path = (char *)layer_erofs_path(l);
	m.complete = layer_is_complete(l);
	m.data_path = m.complete ? (char *)layer_whole_path(l) : lazy;
	m.size = (int64_t)i->len;
	m.inodes = (int64_t)i->inode_count;
	m.implied_dirs = i->implied_dirs;
	m.layer = layer;
	if (s->trees)
		m.tree_path = tree;
	rpc_call_reply(call, &m.base);
}

static void fail(struct rpc_call *call, const struct err *e)
{
	enum rpc_code code = e->code == ENOTSUP ? RPC_UNIMPLEMENTED : rpc_code_of_errno(e->code);

	rpc_call_finish(call, code, e->text);
}

static void run(void *arg)
{
	struct job *j = arg;
	const struct layer_wish w = {
		.digest = j->digest, .image = j->image, .manifest = j->manifest};
	struct layer *l cleanup(layer_unref_at) = NULL;
	struct err e;

	if (layers_get(j->s->layers, &w, &l, &e) == 0)
		reply(j->s, j->call, l);
	else
		fail(j->call, &e);
	rpc_call_unref(j->call);
	job_free(j);
}

/* What comes after it can be fetched meanwhile. */
static void expect(const struct layer_service *s, const Skimmer__V1__OpenLayerRequest *rq,
		   const char *digest)
{
	const char *image = rq->image[0] ? rq->image : NULL;
	const char *manifest, *hex;

	if (!digest_is_sha256(rq->manifest, &manifest))
		return;
	starts_expect(s->starts, manifest, image, digest);
	for (size_t i = 0; i < rq->n_next; i++) {
		if (digest_is_sha256(rq->next[i], &hex))
			starts_expect(s->starts, manifest, image, hex);
	}
}

static void on_open(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Skimmer__V1__OpenLayerRequest *rq = (const void *)req;
	struct layer_service *s = arg;
	struct job *j;
	const char *hex, *manifest;

	if (!digest_is_sha256(rq->digest, &hex)) {
		rpc_call_finish(call, RPC_INVALID_ARGUMENT, "digest is sha256: and 64 hex digits");
		return;
	}
	expect(s, rq, hex);
	j = mem_new(struct job);
	*j = (struct job){.s = s,
			  .call = call,
			  .digest = mem_strdup(hex),
			  .image = rq->image[0] ? mem_strdup(rq->image) : NULL};
	if (digest_is_sha256(rq->manifest, &manifest))
		j->manifest = mem_strdup(manifest);
	rpc_call_ref(call);
	if (pool_run(s->workers, run, j))
		return;
	rpc_call_finish(call, RPC_UNAVAILABLE, "too many layers are being opened");
	rpc_call_unref(call);
	job_free(j);
}

const struct rpc_method layer_service_methods[] = {
	{.path = "/skimmer.v1.Layers/OpenLayer",
	 .request = &skimmer__v1__open_layer_request__descriptor,
	 .message = on_open},
	{.path = NULL},
};

struct layer_service *layer_service_new(struct layers *layers, struct starts *starts,
					const char *mount, const char *trees)
{
	struct layer_service *s = mem_new(struct layer_service);

	s->layers = layers;
	s->starts = starts;
	s->mount = mem_strdup(mount);
	s->trees = trees ? mem_strdup(trees) : NULL;
	s->workers = pool_new("layer-asks", WORKERS, QUEUE_MAX);
	return s;
}

void layer_service_free(struct layer_service *s)
{
	if (!s)
		return;
	pool_free(s->workers);
	free(s->mount);
	free(s->trees);
	free(s);
}
