/*
 * The searcher asked before a cluster is saved: the same functions decide that answer peers. Known
 * are the peers of the last job sync_peers, and seed peers.
 */
#include "control/manager/rest_preview.h"

#include "base/mem.h"
#include "control/manager/cluster_fields.h"
#include "control/manager/search.h"

#include <errno.h>
#include <string.h>

#define CLUSTERS_MAX 10000
#define SHOWN_MAX    100
#define WORDS	     "cidr|idc|location|hostname|default"

static const struct field preview_fields[] = {
	{.name = "id",
	 .type = FIELD_INT,
	 .max = INT64_MAX,
	 .fallback = "0",
	 .help = "The cluster that would be changed; 0: a new one."},
	{.name = "scopes", .type = FIELD_OBJECT, .flags = FIELD_REQUIRED, .members = scopes_fields},
	{.name = "is_default", .type = FIELD_BOOL, .fallback = "false"},
	{0},
};
static const struct field peer_fields[] = {
	{.name = "host_name", .type = FIELD_TEXT},
	{.name = "ip", .type = FIELD_TEXT},
	{.name = "idc", .type = FIELD_TEXT},
	{.name = "location", .type = FIELD_TEXT},
	{.name = "by", .type = FIELD_TEXT, .words = WORDS, .help = "Why it belongs to it."},
	{0},
};
static const struct field peer_item = {.type = FIELD_OBJECT, .members = peer_fields};
static const struct field answer_fields[] = {
	{.name = "known", .type = FIELD_INT, .help = "Peers that are known."},
	{.name = "matching", .type = FIELD_INT, .help = "Of them, those that would belong to it."},
	{.name = "elsewhere",
	 .type = FIELD_INT,
	 .help = "Those that its scopes match too, but another cluster's match better or first."},
	{.name = "peers",
	 .type = FIELD_LIST,
	 .members = &peer_item,
	 .help = "The first 100 that would belong to it."},
	{0},
};

/* Clusters as they would be, in the order in which the first of equals wins. */
struct plan {
	struct search_cluster *clusters;
	size_t count;
	size_t own; /* the one that is asked about */
};

static void plan_release(struct plan *p)
{
	search_clusters_free(p->clusters, p->count);
}

static void plan_add(struct plan *p, const char *scopes, bool is_default)
{
	p->clusters[p->count++] = (struct search_cluster){
		.scopes = search_scopes_new(scopes),
		.is_default = is_default,
	};
}

static int plan_make(struct db *db, const json_t *asked, struct plan *p, struct err *e)
{
	bool is_default = json_is_true(json_object_get(asked, "is_default"));
	char *scopes cleanup(free_at) = json_print(json_object_get(asked, "scopes"));
	int64_t id = (int64_t)json_u64(asked, "id", 0);
	struct query q;
	int r;

	p->own = SIZE_MAX;
	p->clusters = mem_array(CLUSTERS_MAX + 1, sizeof(*p->clusters));
	query_start(db, &q, e,
		    "SELECT id, scopes, is_default FROM scheduler_clusters ORDER BY id LIMIT ?",
		    "i", (int64_t)CLUSTERS_MAX);
	while (query_next(&q)) {
		if (query_int(&q, 0) == id) {
			p->own = p->count;
			plan_add(p, scopes, is_default);
		} else {
			plan_add(p, query_text(&q, 1), !is_default && query_int(&q, 2));
		}
	}
	r = query_end(&q);
	if (r < 0)
		return r;
	if (id && p->own == SIZE_MAX)
		return err_set(e, ENOENT, "no cluster %lld", (long long)id);
	if (id)
		return 0;
	p->own = p->count;
	plan_add(p, scopes, is_default);
	return 0;
}

static const char *word_of(int match)
{
	if (match >= SEARCH_CIDR)
		return "cidr";
	if (match >= SEARCH_IDC)
		return "idc";
	if (match >= SEARCH_LOCATION)
		return "location";
	return match == SEARCH_HOSTNAME ? "hostname" : "default";
}

struct tally {
	json_t *peers;
	int64_t known, matching, elsewhere;
};

static void look_at(const struct plan *p, struct query *q, struct tally *t)
{
	const struct search_peer peer = {.hostname = query_text(q, 0),
					 .ip = query_text(q, 1),
					 .idc = query_text(q, 2),
					 .location = query_text(q, 3)};
	const struct search_cluster *own = &p->clusters[p->own];
	int match = search_match(own->scopes, &peer);

	t->known++;
	if (match == SEARCH_NONE && !own->is_default)
		return;
	if (search_choose(p->clusters, p->count, &peer) != (int)p->own) {
		t->elsewhere += match != SEARCH_NONE;
		return;
	}
	if (t->matching++ < SHOWN_MAX)
		json_array_append_new(t->peers,
				      json_pack("{s:s, s:s, s:s, s:s, s:s}", "host_name",
						peer.hostname, "ip", peer.ip, "idc", peer.idc,
						"location", peer.location, "by", word_of(match)));
}

static int preview(struct rest_call *c, struct err *e)
{
	json_t *body cleanup(json_decref_at) = NULL, *asked cleanup(json_decref_at) = NULL;
	struct tally t = {.peers = NULL};
	struct plan p cleanup(plan_release) = {0};
	struct query q;
	int r = rest_body(c, &body, e);

	if (r == 0)
		r = fields_take(preview_fields, body, true, &asked, e);
	if (r == 0)
		r = plan_make(c->rest->db, asked, &p, e);
	if (r < 0)
		return r;
	t.peers = json_array();
	query_start(c->rest->db, &q, e,
		    "SELECT host_name, ip, idc, location FROM peers UNION"
		    " SELECT hostname, ip, idc, location FROM seed_peers ORDER BY 1, 2",
		    "");
	while (query_next(&q))
		look_at(&p, &q, &t);
	r = query_end(&q);
	if (r < 0) {
		json_decref(t.peers);
		return r;
	}
	rest_json(c, json_pack("{s:I, s:I, s:I, s:o}", "known", (json_int_t)t.known, "matching",
			       (json_int_t)t.matching, "elsewhere", (json_int_t)t.elsewhere,
			       "peers", t.peers));
	return 0;
}

const struct route rest_preview_routes[] = {
	{
		.method = "POST",
		.path = "/api/v2/clusters/preview",
		.access = ACCESS_USER,
		.handle = preview,
		.summary = "Which known peers would belong to a cluster with such scopes",
		.body = preview_fields,
		.shape = answer_fields,
		.flags = ROUTE_UNAUDITED,
	},
	{0},
};
