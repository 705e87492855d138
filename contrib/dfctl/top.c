/* dfctl top: the downloads of this node that are under way. */
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/units.h"
#include "contrib/dfctl/ask.h"
#include "contrib/dfctl/command.h"
#include "contrib/dfctl/verdict.h"

#include <poll.h>
#include <string.h>

#define TIMEOUT_MS 10000
#define SHOWN_MAX  64
#define HOME_CLEAR "\033[H\033[J"

struct options {
	const char *endpoint;
	int64_t interval_ms;
	uint64_t count;
	bool json;
};

#define AT(field) offsetof(struct options, field)

static const struct cli_option table[] = {
	COMMAND_ENDPOINT(AT(endpoint)),
	{"interval", 'i', CLI_DURATION, AT(interval_ms), "TIME", NULL,
	 "Between looks. Default 1s."},
	{"count", 'n', CLI_U64, AT(count), "NUMBER", NULL,
	 "End after so many looks. Default: never."},
	{"json", 0, CLI_FLAG, AT(json), NULL, NULL, "Print each look as a line of JSON."},
	{0},
};

const struct cli top_cli = {
	.program = "dfctl top",
	.summary = "shows the downloads that are under way",
	.usage = "dfctl top [options]",
	.description = "For each download of this node: how much is here, how fast, and from whom.",
	.examples = "dfctl top  # until Ctrl-C\n"
		    "dfctl top -n 1 --json  # one look, for machines\n",
	.options = table,
	.exit_codes = "0 done\n2 wrong usage\n11 no daemon answers\n",
};

static uint64_t bytes_of(const Skimmer__V1__Attempt *a, bool from_origin)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < a->n_givers; i++)
		if (!*a->givers[i]->host_id == from_origin)
			sum += a->givers[i]->bytes;
	return sum;
}

static void print_one(const Skimmer__V1__Attempt *a)
{
	uint64_t origin = bytes_of(a, true), peers = bytes_of(a, false);
	uint64_t here = (uint64_t)a->here * a->piece_length + origin + peers;
	char rate[32], o[32], p[32];

	units_print_bytes(verdict_rate(origin + peers, a->total_us), rate, sizeof(rate));
	units_print_bytes(origin, o, sizeof(o));
	units_print_bytes(peers, p, sizeof(p));
	printf("%.16s %4u %% %12s/s %10s %10s  %s\n", a->task_id,
	       a->length ? (unsigned)(here * 100 / a->length) : 100, rate, o, p, a->url);
}

static json_t *json_one(const Skimmer__V1__Attempt *a)
{
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "task", a->task_id, "url", a->url,
			 "length", (json_int_t)a->length, "from_origin",
			 (json_int_t)bytes_of(a, true), "from_peers",
			 (json_int_t)bytes_of(a, false), "total_us", (json_int_t)a->total_us);
}

static void show(const Skimmer__V1__ExplainResponse *m, const struct options *o)
{
	json_t *list cleanup(json_decref_at) = json_array();

	for (size_t i = 0; o->json && i < m->n_attempts; i++)
		json_array_append_new(list, json_one(m->attempts[i]));
	if (o->json) {
		char *text cleanup(free_at) = json_print(list);

		puts(text);
	} else {
		if (isatty(STDOUT_FILENO))
			fputs(HOME_CLEAR, stdout);
		printf("%s: %zu downloads, %u schedulers answer\n", m->host_id, m->n_attempts,
		       m->schedulers_alive);
		printf("%-16s %6s %14s %10s %10s  %s\n", "task", "here", "rate", "origin", "peers",
		       "from");
	}
	for (size_t i = 0; !o->json && i < m->n_attempts; i++)
		print_one(m->attempts[i]);
	fflush(stdout);
}

int top_run(int argc, char **argv)
{
	const char **rest cleanup(free_at) = mem_array((size_t)argc, sizeof(*rest));
	struct options o = {.endpoint = DAEMON_SOCKET, .interval_ms = 1000};
	Skimmer__V1__ExplainRequest rq = SKIMMER__V1__EXPLAIN_REQUEST__INIT;

	if (cli_parse(&top_cli, argc, argv, &o, rest) > 0)
		cli_usage_error(&top_cli, "no such argument: %s", rest[0]);
	rq.active_only = true;
	rq.limit = SHOWN_MAX;
	for (uint64_t n = 1;; n++) {
		ProtobufCMessage *answer = NULL;
		struct err e = {0};

		if (ask_rpc(o.endpoint, "/skimmer.v1.Inspect/Explain", &rq.base,
			    &skimmer__v1__explain_response__descriptor, TIMEOUT_MS, &answer,
			    &e) < 0)
			return command_fail(EXIT_NO_DAEMON, "%s", e.text);
		show((const void *)answer, &o);
		protobuf_c_message_free_unpacked(answer, NULL);
		if (n == o.count || ferror(stdout))
			return EXIT_DONE;
		poll(NULL, 0, (int)o.interval_ms);
	}
}
