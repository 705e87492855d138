/* dfctl log-level: what a running daemon writes into its log. */
#include "base/json.h"
#include "base/mem.h"
#include "contrib/dfctl/ask.h"
#include "contrib/dfctl/command.h"

#include <errno.h>
#include <skimmer_v1.pb-c.h>

#define TIMEOUT_MS 10000

struct options {
	const char *endpoint;
	bool json;
};

#define AT(field) offsetof(struct options, field)

static const struct cli_option table[] = {
	COMMAND_ENDPOINT(AT(endpoint)),
	{"json", 0, CLI_FLAG, AT(json), NULL, NULL, "Print as JSON."},
	{0},
};

const struct cli log_level_cli = {
	.program = "dfctl log-level",
	.summary = "shows or changes what a running dfdaemon logs",
	.usage = "dfctl log-level [options] [error|warn|info|debug]",
	.description = "The change holds until the daemon ends; nothing is interrupted.",
	.examples = "dfctl log-level  # what it is\n"
		    "dfctl log-level debug  # tell more\n",
	.options = table,
	.exit_codes = "0 done\n2 wrong usage, or no such level\n11 no daemon answers\n",
};

int log_level_run(int argc, char **argv)
{
	const char **rest cleanup(free_at) = mem_array((size_t)argc, sizeof(*rest));
	struct options o = {.endpoint = DAEMON_SOCKET};
	Skimmer__V1__SetLogLevelRequest rq = SKIMMER__V1__SET_LOG_LEVEL_REQUEST__INIT;
	const Skimmer__V1__SetLogLevelResponse *m;
	ProtobufCMessage *answer = NULL;
	struct err e = {0};
	int count = cli_parse(&log_level_cli, argc, argv, &o, rest), r;

	if (count > 1)
		cli_usage_error(&log_level_cli, "one level, not also %s", rest[1]);
	rq.level = (char *)(count ? rest[0] : "");
	r = ask_rpc(o.endpoint, "/skimmer.v1.Inspect/SetLogLevel", &rq.base,
		    &skimmer__v1__set_log_level_response__descriptor, TIMEOUT_MS, &answer, &e);
	if (r == -EINVAL)
		cli_usage_error(&log_level_cli, "there is no level %s", rq.level);
	if (r < 0)
		return command_fail(EXIT_NO_DAEMON, "%s", e.text);
	m = (const void *)answer;
	if (o.json)
		printf("{\"before\":\"%s\",\"level\":\"%s\"}\n", m->before, m->level);
	else if (count)
		printf("%s (was %s)\n", m->level, m->before);
	else
		printf("%s\n", m->level);
	protobuf_c_message_free_unpacked(answer, NULL);
	return EXIT_DONE;
}
