/* Fields of clusters; bounds are Dragonfly's. */
#include "control/manager/cluster_fields.h"

#include "control/manager/expression.h"

/* ---- scopes */

static const struct field cidr[] = {
	{.type = FIELD_TEXT, .min = 1, .max = 64, .check = field_check_cidr},
};
static const struct field hostname[] = {
	{.type = FIELD_TEXT, .min = 1, .max = 256, .check = expression_check},
};

const struct field scopes_fields[] = {
	{.name = "idc",
	 .type = FIELD_TEXT,
	 .max = 1024,
	 .fallback = "\"\"",
	 .help = "Data centres, separated by |; a peer's host.idc is one of them."},
	{.name = "location",
	 .type = FIELD_TEXT,
	 .max = 1024,
	 .fallback = "\"\"",
	 .help = "area|country|province|city; a peer's host.location begins like it."},
	{.name = "cidrs",
	 .type = FIELD_LIST,
	 .max = 256,
	 .members = cidr,
	 .fallback = "[]",
	 .help = "Networks in which a peer's address is."},
	{.name = "hostnames",
	 .type = FIELD_LIST,
	 .max = 256,
	 .members = hostname,
	 .fallback = "[]",
	 .help = "Extended regular expressions for a peer's host name."},
	{0},
};

/* ---- block lists */

static const struct field word[] = {{.type = FIELD_TEXT, .min = 1, .max = 1024}};
static const struct field url_regex[] = {
	{.type = FIELD_TEXT, .min = 1, .max = 1024, .check = expression_check},
};
static const struct field priority[] = {{.type = FIELD_INT, .min = 0, .max = 20}};

static const struct field download_block[] = {
	{.name = "applications", .type = FIELD_LIST, .members = word},
	{.name = "urls", .type = FIELD_LIST, .members = url_regex},
	{.name = "tags", .type = FIELD_LIST, .members = word},
	{.name = "priorities", .type = FIELD_LIST, .members = priority},
	{0},
};
static const struct field upload_block[] = {
	{.name = "applications", .type = FIELD_LIST, .members = word},
	{.name = "urls", .type = FIELD_LIST, .members = url_regex},
	{.name = "tags", .type = FIELD_LIST, .members = word},
	{0},
};
static const struct field task_block[] = {
	{.name = "download", .type = FIELD_OBJECT, .members = download_block},
	{0},
};
static const struct field kept_block[] = {
	{.name = "download", .type = FIELD_OBJECT, .members = download_block},
	{.name = "upload", .type = FIELD_OBJECT, .members = upload_block},
	{0},
};
static const struct field block_list[] = {
	{.name = "task", .type = FIELD_OBJECT, .members = task_block},
	{.name = "persistent_task", .type = FIELD_OBJECT, .members = kept_block},
	{.name = "persistent_cache_task", .type = FIELD_OBJECT, .members = kept_block},
	{0},
};

#define BLOCK_LIST                                                                                 \
	{                                                                                          \
		.name = "block_list", .type = FIELD_OBJECT, .members = block_list,                 \
		.help = "What this cluster's peers refuse to download or to give."                 \
	}

/* ---- configurations */

const struct field scheduler_cluster_config_fields[] = {
	{.name = "candidate_parent_limit",
	 .type = FIELD_INT,
	 .min = 1,
	 .max = 20,
	 .fallback = "4",
	 .help = "Parents that a peer gets at a time."},
	{.name = "filter_parent_limit",
	 .type = FIELD_INT,
	 .min = 10,
	 .max = 1000,
	 .fallback = "40",
	 .help = "Peers that are looked at when choosing them."},
	{.name = "job_rate_limit",
	 .type = FIELD_INT,
	 .min = 1,
	 .max = 1000000,
	 .fallback = "10",
	 .help = "Jobs a second that may be started."},
	{0},
};

const struct field seed_peer_cluster_config_fields[] = {
	{.name = "load_limit",
	 .type = FIELD_INT,
	 .min = 1,
	 .max = 50000,
	 .fallback = "2000",
	 .help = "Uploads at a time of one seed peer."},
	BLOCK_LIST,
	{0},
};

const struct field peer_cluster_config_fields[] = {
	{.name = "load_limit",
	 .type = FIELD_INT,
	 .min = 1,
	 .max = 2000,
	 .fallback = "200",
	 .help = "Uploads at a time of one peer."},
	BLOCK_LIST,
	{0},
};

const struct field cluster_fields[] = {
	FIELD_NAME,
	FIELD_BIO,
	{.name = "scopes",
	 .type = FIELD_OBJECT,
	 .members = scopes_fields,
	 .fallback = "{\"idc\":\"\",\"location\":\"\",\"cidrs\":[],\"hostnames\":[]}",
	 .help = "Which peers are of this cluster: CIDRs before IDC before location."},
	{.name = "scheduler_cluster_config",
	 .type = FIELD_OBJECT,
	 .members = scheduler_cluster_config_fields,
	 .fallback = "{\"candidate_parent_limit\":4,\"filter_parent_limit\":40,"
		     "\"job_rate_limit\":10}"},
	{.name = "seed_peer_cluster_config",
	 .type = FIELD_OBJECT,
	 .members = seed_peer_cluster_config_fields,
	 .fallback = "{\"load_limit\":2000}"},
	{.name = "peer_cluster_config",
	 .type = FIELD_OBJECT,
	 .members = peer_cluster_config_fields,
	 .fallback = "{\"load_limit\":200}"},
	{.name = "is_default",
	 .type = FIELD_BOOL,
	 .fallback = "false",
	 .help = "Peers that match no scopes are of the default cluster; there is one at most."},
	{.name = "scheduler_cluster_id", .type = FIELD_INT, .flags = FIELD_READ_ONLY},
	{.name = "seed_peer_cluster_id", .type = FIELD_INT, .flags = FIELD_READ_ONLY},
	{0},
};
