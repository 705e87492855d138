/* dfctl task: what this node keeps, and taking it away. */
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/units.h"
#include "contrib/dfctl/ask.h"
#include "contrib/dfctl/command.h"
#include "proto/message.h"

#include <dfdaemon_v2.pb-c.h>
#include <errno.h>
#include <google/protobuf/empty.pb-c.h>
#include <string.h>
#include <time.h>

#define TIMEOUT_MS     30000
#define DOWNLOAD(name) "/dfdaemon.v2.DfdaemonDownload/" name

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

const struct cli task_cli = {
	.program = "dfctl task",
	.summary = "lists what this node keeps, or takes it away",
	.usage = "dfctl task [options] ls|rm [ID|sha256:HEX ...]",
	.description = "rm forgets tasks on this node, here and with the scheduler; who reads one "
		       "goes on to the end. On all nodes: the manager's console, or its job "
		       "delete_task.",
	.examples = "dfctl task ls  # everything, the latest last\n"
		    "dfctl task rm sha256:<64 hex>  # a layer\n",
	.options = table,
	.exit_codes = "0 done\n2 wrong usage\n4 it is not here\n11 no daemon answers\n",
};

/* 0: it has not happened. */
static int64_t seconds(const Google__Protobuf__Timestamp *t)
{
	return message_timestamp_ms(t) / 1000;
}

static void print_task(const Dfdaemon__V2__StatLocalTaskResponse *t)
{
	time_t at = (time_t)seconds(t->created_at);
	char when[32], size[32];
	struct tm tm;

	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", localtime_r(&at, &tm));
	units_print_bytes(message_number(t, content_length, 0), size, sizeof(size));
	printf("%s %10s  %s  %s\n", t->task_id, size, when,
	       seconds(t->finished_at) ? "complete" : "partial");
}

static json_t *json_task(const Dfdaemon__V2__StatLocalTaskResponse *t)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:b, s:I}", "id", t->task_id, "length",
			 (json_int_t)message_number(t, content_length, 0), "piece_length",
			 (json_int_t)message_number(t, piece_length, 0), "created_s",
			 (json_int_t)seconds(t->created_at), "complete",
			 (int)(seconds(t->finished_at) != 0), "uploaded",
			 (json_int_t)t->uploaded_count);
}

static int list(const struct options *o)
{
	Dfdaemon__V2__ListLocalTasksRequest rq = DFDAEMON__V2__LIST_LOCAL_TASKS_REQUEST__INIT;
	const Dfdaemon__V2__ListLocalTasksResponse *m;
	json_t *all cleanup(json_decref_at) = json_array();
	ProtobufCMessage *answer = NULL;
	struct err e = {0};

	if (ask_rpc(o->endpoint, DOWNLOAD("ListLocalTasks"), &rq.base,
		    &dfdaemon__v2__list_local_tasks_response__descriptor, TIMEOUT_MS, &answer,
		    &e) < 0)
		return command_fail(EXIT_NO_DAEMON, "%s", e.text);
	m = (const void *)answer;
	for (size_t i = 0; i < m->n_tasks; i++) {
		if (o->json)
			json_array_append_new(all, json_task(m->tasks[i]));
		else
			print_task(m->tasks[i]);
	}
	if (o->json) {
		char *text cleanup(free_at) = json_print(all);

		puts(text);
	}
	protobuf_c_message_free_unpacked(answer, NULL);
	return EXIT_DONE;
}

static int delete (const struct options *o, const char *what)
{
	Dfdaemon__V2__DeleteLocalTaskRequest rq = DFDAEMON__V2__DELETE_LOCAL_TASK_REQUEST__INIT;
	const char *hex = strncmp(what, "sha256:", 7) == 0 ? what + 7 : what;
	ProtobufCMessage *answer = NULL;
	struct err e = {0};
	int r;

	if (!digest_is_hex64(hex))
		cli_usage_error(&task_cli, "%s is neither sha256:<64 hex> nor a task's id", what);
	rq.task_id = (char *)hex;
	r = ask_rpc(o->endpoint, DOWNLOAD("DeleteLocalTask"), &rq.base,
		    &google__protobuf__empty__descriptor, TIMEOUT_MS, &answer, &e);
	if (r == -ENOENT)
		return command_fail(EXIT_NOT_FOUND, "%s is not here", what);
	if (r < 0)
		return command_fail(EXIT_NO_DAEMON, "%s", e.text);
	protobuf_c_message_free_unpacked(answer, NULL);
	if (!o->json)
		printf("%s is forgotten\n", what);
	return EXIT_DONE;
}

int task_run(int argc, char **argv)
{
	const char **rest cleanup(free_at) = mem_array((size_t)argc, sizeof(*rest));
	struct options o = {.endpoint = DAEMON_SOCKET};
	int count = cli_parse(&task_cli, argc, argv, &o, rest), code = EXIT_DONE;

	if (count == 1 && strcmp(rest[0], "ls") == 0)
		return list(&o);
	if (count < 2 || strcmp(rest[0], "rm") != 0)
		cli_usage_error(&task_cli, "what to do: ls, or rm and what");
	for (int i = 1; i < count && code == EXIT_DONE; i++)
		code = delete (&o, rest[i]);
	return code;
}
