/*
 * Live data, as JSON once or as server-sent events. How often schedulers are asked does not depend
 * on how many look: live.h.
 */
#include "control/manager/rest_live.h"

#include "base/digest.h"
#include "control/manager/live.h"

#include <errno.h>
#include <string.h>

#define FOLLOWERS_MAX 256 /* of one topic */

/* ---- shapes */

#define NUMBER(text)	   .name = text, .type = FIELD_INT
#define TEXT(text)	   .name = text, .type = FIELD_TEXT
#define OBJECT(text, what) .name = text, .type = FIELD_OBJECT, .members = what
#define LIST(text, what)   .name = text, .type = FIELD_LIST, .members = what

static const struct field meter[] = {
	{NUMBER("bytes")},
	{NUMBER("bytes_per_second"), .help = "Over the last two seconds that are whole."},
	{0},
};
static const struct field count[] = {{NUMBER("all")}, {NUMBER("active")}, {0}};
static const struct field check_fields[] = {
	{NUMBER("scheduler_cluster_id")},
	{TEXT("name")},
	{TEXT("missing"), .words = "scheduler|seed_peer"},
	{0},
};
static const struct field check = {.type = FIELD_OBJECT, .members = check_fields};
static const struct field silent_fields[] = {
	{TEXT("scheduler")}, {NUMBER("scheduler_cluster_id")}, {TEXT("why")}, {0}};
static const struct field silent = {.type = FIELD_OBJECT, .members = silent_fields};
static const struct field to_nodes[] = {
	{OBJECT("nodes", meter)}, {OBJECT("seeds", meter)}, {OBJECT("origin", meter)}, {0}};
static const struct field to_seeds[] = {{OBJECT("hosts", meter)}, {OBJECT("origin", meter)}, {0}};
static const struct field traffic[] = {
	{TEXT("since"), .help = "When the oldest of the schedulers that answer started: they count "
				"what peers report to them. Empty: none answers."},
	{OBJECT("delivered", meter), .help = "To nodes that are no seeds."},
	{OBJECT("from_origin", meter), .help = "By nodes and seeds."},
	{NUMBER("saved_bytes"), .help = "Delivered and not from the origin."},
	{OBJECT("to_nodes", to_nodes), .help = "By where it came from."},
	{OBJECT("to_seeds", to_seeds)},
	{0},
};
static const struct field swarm[] = {
	{NUMBER("tasks")}, {NUMBER("downloads")}, {NUMBER("running")}, {0}};
static const struct field overview_fields[] = {
	{NUMBER("clusters")},
	{OBJECT("schedulers", count)},
	{OBJECT("seed_peers", count)},
	{OBJECT("peers", count)},
	{LIST("checks", &check), .help = "What a cluster lacks."},
	{LIST("silent", &silent), .help = "Active schedulers that do not answer."},
	{OBJECT("traffic", traffic)},
	{OBJECT("swarm", swarm)},
	{0},
};

static const struct field host_fields[] = {
	{TEXT("id")},
	{TEXT("hostname")},
	{TEXT("ip")},
	{TEXT("idc")},
	{TEXT("location")},
	{.name = "is_seed", .type = FIELD_BOOL},
	{NUMBER("scheduler_cluster_id")},
	{NUMBER("downloads"), .help = "Tasks that it has or is getting."},
	{NUMBER("running")},
	{OBJECT("received", meter), .help = "From other hosts."},
	{OBJECT("from_origin", meter)},
	{OBJECT("sent", meter)},
	{0},
};
static const struct field host = {.type = FIELD_OBJECT, .members = host_fields};
static const struct field flow_fields[] = {
	{NUMBER("parent"), .help = "A place in hosts."},
	{NUMBER("child")},
	{NUMBER("bytes")},
	{NUMBER("bytes_per_second")},
	{NUMBER("quiet_ms"), .help = "Since the last piece."},
	{0},
};
static const struct field flow = {.type = FIELD_OBJECT, .members = flow_fields};
static const struct field topology_fields[] = {
	{NUMBER("known_hosts"), .help = "Also those that the list leaves out."},
	{LIST("hosts", &host), .help = "2,000 at most, those in flows first."},
	{LIST("flows", &flow), .help = "Who fed whom in the last minute; 6,000 at most."},
	{0},
};

#define TASK_FIELDS                                                                                \
	{TEXT("id")}, {NUMBER("scheduler_cluster_id")}, {TEXT("url")}, {NUMBER("content_length")}, \
		{NUMBER("piece_length")}, {NUMBER("piece_count")}, {TEXT("state")},                \
		{NUMBER("peers")}, {NUMBER("running")}, {NUMBER("finished")},                      \
	{                                                                                          \
		.name = "updated_at", .type = FIELD_TIME                                           \
	}

static const struct field task_fields[] = {TASK_FIELDS, {0}};
static const struct field task = {.type = FIELD_OBJECT, .members = task_fields};
static const struct field tasks_fields[] = {
	{NUMBER("known_tasks")},
	{LIST("tasks", &task), .help = "The 200 last heard of."},
	{0},
};
static const struct field parent = {.type = FIELD_TEXT};
static const struct field holder_fields[] = {
	{TEXT("host_id")},
	{TEXT("hostname")},
	{TEXT("ip")},
	{.name = "is_seed", .type = FIELD_BOOL},
	{TEXT("state")},
	{NUMBER("finished_pieces")},
	{.name = "has_all", .type = FIELD_BOOL},
	{TEXT("pieces"), .help = "Hexadecimal: piece i is bit i % 8 of byte i / 8. Empty when it "
				 "has all, or nothing is known of them."},
	{LIST("parents", &parent), .help = "Ids of the hosts it was told to fetch from."},
	{0},
};
static const struct field holder = {.type = FIELD_OBJECT, .members = holder_fields};
static const struct field holders_fields[] = {
	TASK_FIELDS,
	{LIST("holders", &holder), .help = "200 at most."},
	{0},
};

static const struct field manager_fields[] = {
	{TEXT("version")},
	{NUMBER("grpc_port"), .help = "Where schedulers and daemons reach this manager."},
	{0},
};

/* ---- handlers */

static const struct {
	const char *path;
	enum live_topic topic;
} topics[] = {
	{"/api/v2/overview", LIVE_OVERVIEW},
	{"/api/v2/topology", LIVE_TOPOLOGY},
	{"/api/v2/tasks", LIVE_TASKS},
};

static enum live_topic topic_of(const struct rest_call *c)
{
	size_t i = 0;

	while (strncmp(c->route->path, topics[i].path, strlen(topics[i].path)) != 0)
		i++;
	return topics[i].topic;
}

static int now(struct rest_call *c, struct err *e)
{
	char *json cleanup(free_at) = NULL;
	int r = live_now(c->rest->live, topic_of(c), &json, e);

	if (r == -ETIMEDOUT)
		return rest_refuse(c, 503, "%s: try again", e->text);
	if (r < 0)
		return r;
	web_header(c->answer, "Content-Type", "application/json; charset=utf-8");
	buf_puts(&c->answer->body, json);
	return 0;
}

static int events(struct rest_call *c, struct err *e)
{
	enum live_topic topic = topic_of(c);
	struct web_feed *feed = live_feed(c->rest->live, topic);

	(void)e;
	if (web_feed_followers(feed) >= FOLLOWERS_MAX)
		return rest_refuse(c, 503, "too many follow this already");
	web_header(c->answer, "Content-Type", "text/event-stream");
	/* For proxies that would gather an answer before they pass it on. */
	web_header(c->answer, "X-Accel-Buffering", "no");
	c->answer->feed = feed;
	live_wake(c->rest->live, topic);
	return 0;
}

static int one_task(struct rest_call *c, struct err *e)
{
	json_t *view = NULL;
	int r;

	if (!digest_is_hex64(c->params[0]))
		return err_set(e, ENOENT, "a task's id has 64 hexadecimal digits");
	r = live_task(c->rest->live, c->params[0], &view, e);
	if (r == 0)
		rest_json(c, view);
	return r;
}

static int manager(struct rest_call *c, struct err *e)
{
	(void)e;
	rest_json(c, json_pack("{s:s, s:i}", "version", SKIMMER_VERSION, "grpc_port",
			       (int)c->rest->config->grpc_port));
	return 0;
}

#define ROUTE(path, handle, title, shape, flags)                                                   \
	{                                                                                          \
		"GET", "/api/v2/" path, ACCESS_USER, handle, title, NULL, NULL, shape, flags       \
	}

const struct route rest_live_routes[] = {
	ROUTE("manager", manager, "This manager", manager_fields, 0),
	ROUTE("overview", now, "Numbers of all clusters, now", overview_fields, ROUTE_ELSEWHERE),
	ROUTE("overview/events", events, "The same, each second", overview_fields,
	      ROUTE_EVENTS | ROUTE_ELSEWHERE),
	ROUTE("topology", now, "Who feeds whom, now", topology_fields, ROUTE_ELSEWHERE),
	ROUTE("topology/events", events, "The same, each second", topology_fields,
	      ROUTE_EVENTS | ROUTE_ELSEWHERE),
	ROUTE("tasks", now, "Tasks that schedulers know", tasks_fields, ROUTE_ELSEWHERE),
	ROUTE("tasks/events", events, "The same, each second", tasks_fields,
	      ROUTE_EVENTS | ROUTE_ELSEWHERE),
	ROUTE("tasks/:id", one_task, "A task and who has which piece", holders_fields,
	      ROUTE_ELSEWHERE),
	{0},
};
