/* dfctl explain: one pull, told. */
#include "base/json.h"
#include "base/mem.h"
#include "base/units.h"
#include "contrib/dfctl/ask.h"
#include "contrib/dfctl/command.h"
#include "contrib/dfctl/verdict.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define TIMEOUT_MS 10000

struct options {
	const char *endpoint;
	bool json, all;
};

#define AT(field) offsetof(struct options, field)

static const struct cli_option table[] = {
	COMMAND_ENDPOINT(AT(endpoint)),
	{"all", 'a', CLI_FLAG, AT(all), NULL, NULL,
	 "All that is remembered of it, not the last only."},
	{"json", 0, CLI_FLAG, AT(json), NULL, NULL, "Print as JSON."},
	{0},
};

const struct cli explain_cli = {
	.program = "dfctl explain",
	.summary = "says where one pull's bytes came from, and why it took as long",
	.usage = "dfctl explain [options] URL|sha256:HEX|TASK_ID",
	.description = "The daemon of this node remembers its last 128 downloads and 256 "
		       "requests: the rule that matched, the scheduler that was asked, the "
		       "parents it offered, who gave which bytes, and where the time went. The "
		       "last line is the verdict: the cause when it was slow, with its code "
		       "(dfctl errors CODE) and the fix. Without an argument: the last pull.",
	.examples = "dfctl explain  # the last pull\n"
		    "dfctl explain sha256:<64 hex>  # a layer\n"
		    "dfctl explain https://example.com/model.bin  # a file\n"
		    "dfctl explain --json URL | jq -r .verdict.code  # the cause, for machines\n",
	.options = table,
	.exit_codes = "0 done\n"
		      "2 wrong usage\n"
		      "4 nothing is remembered of it\n"
		      "11 no daemon answers\n",
};

/* ---- for people */

static const char *show_bytes(uint64_t n, char text[32])
{
	units_print_bytes(n, text, 32);
	return text;
}

static const char *show_us(uint64_t us, char text[32])
{
	if (us && us < 1000)
		snprintf(text, 32, "%u us", (unsigned)us);
	else
		units_print_ms((int64_t)(us / 1000), text, 32);
	return text;
}

static void show_when(int64_t ms, char *text, size_t size)
{
	time_t at = (time_t)(ms / 1000);
	struct tm tm;

	strftime(text, size, "%Y-%m-%d %H:%M:%S", localtime_r(&at, &tm));
}

static void print_request(const Skimmer__V1__Request *r)
{
	char when[32], b[32], t[32];

	show_when(r->at_ms, when, sizeof(when));
	printf("request   %s %s\n", r->method, r->url);
	printf("          %s, %s, status %u, %s in %s\n", when,
	       strcmp(r->way, "p2p") == 0     ? "by P2P"
	       : strcmp(r->way, "relay") == 0 ? "passed on, not by P2P"
					      : "a tunnel, not by P2P",
	       r->status, show_bytes(r->bytes, b), show_us(r->total_us, t));
	printf("rule      %s\n", *r->rule ? r->rule : "none matches");
}

static void print_giver(const Skimmer__V1__Giver *g)
{
	char b[32], r[32], w[32], t[32], d[32], h[32];

	printf("  %-34.34s %10s %6u %12s/s %9s %9s %9s %9s",
	       *g->host_id ? g->host_id : "the origin", show_bytes(g->bytes, b), g->pieces,
	       show_bytes(verdict_rate(g->bytes, g->wait_us + g->transfer_us), r),
	       show_us(g->wait_us, w), show_us(g->transfer_us, t), show_us(g->write_us, d),
	       show_us(g->held_us, h));
	if (g->failures)
		printf("  %u failed (%u wrong bytes): %s", g->failures, g->corrupt,
		       g->last_failure);
	printf("%s\n", g->seed ? "  seed" : "");
}

static void print_parents(const Skimmer__V1__Attempt *a)
{
	unsigned offered = 0, chosen = 0;

	for (size_t i = 0; i < a->n_givers; i++) {
		offered += a->givers[i]->offered ? 1 : 0;
		chosen += a->givers[i]->offered && a->givers[i]->pieces ? 1 : 0;
	}
	printf("parents   %u offered, %u gave pieces; asked %u times for others\n", offered, chosen,
	       a->reschedules);
	if (a->n_givers)
		printf("  %-34s %10s %6s %14s %9s %9s %9s %9s\n", "from", "bytes", "pieces",
		       "rate of each", "wait", "transfer", "disk", "held");
	for (size_t i = 0; i < a->n_givers; i++)
		print_giver(a->givers[i]);
}

static void print_spent(const Skimmer__V1__Attempt *a)
{
	struct spent s;
	char text[32];

	verdict_spent(a, &s);
	const struct {
		const char *name;
		uint64_t us;
	} parts[] = {
		{"the scheduler", s.scheduler}, {"waiting for parents to have something", s.idle},
		{"the origin", s.origin},	{"the limit on the origin", s.origin_held},
		{"parents", s.peers},		{"the limit on downloads", s.peers_held},
		{"this disk", s.disk},		{"verifying", s.verify},
		{"tries that failed", s.lost}};
	printf("time      %s, first piece after ", show_us(a->total_us, text));
	printf("%s\n", show_us(a->first_us, text));
	for (size_t i = 0; i < array_len(parts); i++)
		if (a->total_us && parts[i].us && parts[i].us * 100 >= a->total_us)
			printf("  %3u %%  %s\n", (unsigned)(parts[i].us * 100 / a->total_us),
			       parts[i].name);
}

static void print_attempt(const Skimmer__V1__Attempt *a)
{
	char when[32], text[32];

	show_when(a->began_ms, when, sizeof(when));
	printf("task      %s\n", a->task_id);
	printf("origin    %s\n", a->url);
	printf("download  %s, %s, %s in %u pieces of %u", when,
	       a->active ? "under way" : a->outcome, show_bytes(a->length, text), a->piece_count,
	       a->piece_length);
	printf(a->here ? ", %u were here\n" : "\n", a->here);
	if (*a->scheduler)
		printf("scheduler %s, answered after %s\n", a->scheduler,
		       show_us(a->scheduled_us, text));
	else
		printf("scheduler none\n");
	if (a->to_origin)
		printf("origin    read because of: %s\n", a->to_origin_why);
	print_parents(a);
	print_spent(a);
}

static void print_verdict(const struct verdict *v)
{
	if (v->fault)
		printf("verdict   %s %s: %s\n          fix: %s\n", v->fault->code, v->fault->name,
		       v->text, v->fault->fix);
	else
		printf("verdict   %s\n", v->text);
}

/* ---- for machines */

static json_t *json_giver(const Skimmer__V1__Giver *g)
{
	return json_pack("{s:s, s:s, s:b, s:b, s:I, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:i, "
			 "s:I, s:s, s:I}",
			 "host", g->host_id, "ip", g->ip, "seed", g->seed, "offered", g->offered,
			 "bytes", (json_int_t)g->bytes, "pieces", g->pieces, "wait_us",
			 (json_int_t)g->wait_us, "transfer_us", (json_int_t)g->transfer_us,
			 "write_us", (json_int_t)g->write_us, "held_us", (json_int_t)g->held_us,
			 "verify_us", (json_int_t)g->verify_us, "slowest_us",
			 (json_int_t)g->slowest_us, "failures", g->failures, "corrupt", g->corrupt,
			 "lost_us", (json_int_t)g->lost_us, "last_failure", g->last_failure,
			 "tx_max", (json_int_t)g->tx_max);
}

static json_t *json_spent(const Skimmer__V1__Attempt *a)
{
	struct spent s;

	verdict_spent(a, &s);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "scheduler_us",
			 (json_int_t)s.scheduler, "idle_us", (json_int_t)s.idle, "origin_us",
			 (json_int_t)s.origin, "origin_held_us", (json_int_t)s.origin_held,
			 "peers_us", (json_int_t)s.peers, "peers_held_us", (json_int_t)s.peers_held,
			 "disk_us", (json_int_t)s.disk, "verify_us", (json_int_t)s.verify,
			 "lost_us", (json_int_t)s.lost);
}

static json_t *json_verdict(const struct verdict *v)
{
	json_t *one = json_pack("{s:s}", "text", v->text);

	if (!v->fault)
		return one;
	json_object_set_new(one, "code", json_string(v->fault->code));
	json_object_set_new(one, "name", json_string(v->fault->name));
	json_object_set_new(one, "fix", json_string(v->fault->fix));
	return one;
}

static json_t *json_attempt(const Skimmer__V1__Attempt *a)
{
	json_t *givers = json_array();

	for (size_t i = 0; i < a->n_givers; i++)
		json_array_append_new(givers, json_giver(a->givers[i]));
	return json_pack(
		"{s:s, s:s, s:s, s:I, s:I, s:i, s:i, s:i, s:b, s:s, s:s, s:I, s:s, s:I, s:i, "
		"s:b, s:s, s:I, s:b, s:o, s:o}",
		"task", a->task_id, "url", a->url, "digest", a->digest, "began_ms",
		(json_int_t)a->began_ms, "length", (json_int_t)a->length, "piece_length",
		a->piece_length, "pieces", a->piece_count, "here", a->here, "active", a->active,
		"outcome", a->outcome, "failure", a->failure, "total_us", (json_int_t)a->total_us,
		"scheduler", a->scheduler, "scheduled_us", (json_int_t)a->scheduled_us,
		"reschedules", a->reschedules, "to_origin", a->to_origin, "to_origin_why",
		a->to_origin_why, "first_us", (json_int_t)a->first_us, "disk_full", a->disk_full,
		"givers", givers, "spent", json_spent(a));
}

static json_t *json_request(const Skimmer__V1__Request *r)
{
	return json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:s}", "at_ms",
			 (json_int_t)r->at_ms, "method", r->method, "url", r->url, "way", r->way,
			 "rule", r->rule, "task", r->task_id, "status", r->status, "bytes",
			 (json_int_t)r->bytes, "total_us", (json_int_t)r->total_us, "why", r->why);
}

/* ---- which of what is remembered is meant */

/* A request that was passed on came later than any download: that one is to be explained. */
static bool is_passed_on(const Skimmer__V1__Request *r, const Skimmer__V1__Attempt *a)
{
	return r && strcmp(r->way, "p2p") != 0 && (!a || r->at_ms >= a->began_ms);
}

/* Answered without a download: it was here. */
static bool was_here(const Skimmer__V1__Request *r, const Skimmer__V1__Attempt *a)
{
	return r && strcmp(r->way, "p2p") == 0 &&
	       (!a || a->began_ms + (int64_t)(a->total_us / 1000) <
			      r->at_ms - (int64_t)(r->total_us / 1000));
}

static void explain(const Skimmer__V1__ExplainResponse *m, size_t index, const struct options *o,
		    json_t *list)
{
	const Skimmer__V1__Attempt *a = index < m->n_attempts ? m->attempts[index] : NULL;
	const Skimmer__V1__Request *r = index == 0 && m->n_requests ? m->requests[0] : NULL;
	struct verdict v;

	if (is_passed_on(r, a) || was_here(r, a)) {
		verdict_of_request(r, &v);
		a = NULL;
	} else {
		verdict_of_attempt(a, m, &v);
	}
	if (o->json) {
		json_t *one = json_pack("{s:o}", "verdict", json_verdict(&v));

		if (r)
			json_object_set_new(one, "request", json_request(r));
		if (a)
			json_object_set_new(one, "download", json_attempt(a));
		json_array_append_new(list, one);
		return;
	}
	if (r)
		print_request(r);
	if (a)
		print_attempt(a);
	print_verdict(&v);
}

static int explain_all(const Skimmer__V1__ExplainResponse *m, const struct options *o)
{
	json_t *list cleanup(json_decref_at) = json_array();
	size_t count = o->all && m->n_attempts ? m->n_attempts : 1;

	for (size_t i = 0; i < count; i++) {
		if (i && !o->json)
			putchar('\n');
		explain(m, i, o, list);
	}
	if (o->json) {
		char *text cleanup(free_at) = json_print(o->all ? list : json_array_get(list, 0));

		puts(text);
	}
	return EXIT_DONE;
}

int explain_run(int argc, char **argv)
{
	const char **rest cleanup(free_at) = mem_array((size_t)argc, sizeof(*rest));
	struct options o = {.endpoint = DAEMON_SOCKET};
	Skimmer__V1__ExplainRequest rq = SKIMMER__V1__EXPLAIN_REQUEST__INIT;
	ProtobufCMessage *answer = NULL;
	const Skimmer__V1__ExplainResponse *m;
	struct err e = {0};
	int count = cli_parse(&explain_cli, argc, argv, &o, rest), code;

	if (count > 1)
		cli_usage_error(&explain_cli, "one thing at a time, not also %s", rest[1]);
	rq.what = (char *)(count ? rest[0] : "");
	if (ask_rpc(o.endpoint, "/skimmer.v1.Inspect/Explain", &rq.base,
		    &skimmer__v1__explain_response__descriptor, TIMEOUT_MS, &answer, &e) < 0)
		return command_fail(EXIT_NO_DAEMON, "%s", e.text);
	m = (const void *)answer;
	if (m->n_attempts || m->n_requests)
		code = explain_all(m, &o);
	else
		code = command_fail(EXIT_NOT_FOUND,
				    "the daemon remembers no pull%s%s: none went through it since "
				    "its start, or it is long ago",
				    count ? " of " : "", rq.what);
	protobuf_c_message_free_unpacked(answer, NULL);
	return code;
}
