/* dfctl preheat: a job of the manager's, and waiting for it. */
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "contrib/dfctl/ask.h"
#include "contrib/dfctl/command.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define QUESTION_MS 30000
#define LOOK_MS	    500

struct options {
	const char *manager, *token, *token_file, *type, *scope, *platform, *ca;
	struct config_strings clusters;
	int64_t timeout_ms;
	bool wait, json;
};

#define AT(field) offsetof(struct options, field)

static const struct cli_option table[] = {
	{"manager", 'm', CLI_TEXT, AT(manager), "URL", "DFCTL_MANAGER",
	 "The manager's REST API. Default http://127.0.0.1:8080."},
	{"token-file", 0, CLI_TEXT, AT(token_file), "FILE", NULL,
	 "A personal access token of the manager's, or - for standard input."},
	{"token", 0, CLI_TEXT, AT(token), "TOKEN", "DFCTL_TOKEN",
	 "The token itself; others on this host may see it among the processes."},
	{"ca", 0, CLI_TEXT, AT(ca), "FILE", NULL, "CA of the manager's certificate."},
	{"type", 0, CLI_TEXT, AT(type), "TYPE", NULL,
	 "image or file. Default: image when the URL is that of a manifest."},
	{"scope", 0, CLI_TEXT, AT(scope), "SCOPE", NULL,
	 "single_seed_peer (default), all_seed_peers or all_peers."},
	{"platform", 0, CLI_TEXT, AT(platform), "OS/ARCH", NULL, "Of an image. Default: all."},
	{"cluster", 0, CLI_TEXTS, AT(clusters), "ID", NULL,
	 "Scheduler cluster; may be given again. Default: all."},
	{"wait", 'w', CLI_FLAG, AT(wait), NULL, NULL, "Until it is done, or has failed."},
	{"timeout", 't', CLI_DURATION, AT(timeout_ms), "TIME", NULL, "Of --wait. Default 30m."},
	{"json", 0, CLI_FLAG, AT(json), NULL, NULL, "Print the job as JSON."},
	{0},
};

const struct cli preheat_cli = {
	.program = "dfctl preheat",
	.summary = "brings an image or a file into a cluster before it is wanted",
	.usage = "dfctl preheat [options] URL",
	.description = "An image is named by the URL of its manifest: "
		       "https://ghcr.io/v2/org/name/manifests/tag.",
	.examples = "dfctl preheat --token-file T --wait https://ghcr.io/v2/o/n/manifests/1  # an "
		    "image\n"
		    "dfctl preheat --token-file T https://example.com/model.bin  # a file\n",
	.options = table,
	.exit_codes = "0 done; without --wait: the manager has taken the job\n"
		      "2 wrong usage\n"
		      "4 the manager does not know such a thing\n"
		      "5 the token is not good for it\n"
		      "6 the manager or the network failed, or the preheat did\n"
		      "7 timed out; the job goes on\n",
};

static char *read_token(const char *file)
{
	FILE *f = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
	char *line = NULL;
	size_t size = 0;

	if (!f || getline(&line, &size, f) <= 0)
		cli_usage_error(&preheat_cli, "%s holds no token", file);
	line[strcspn(line, "\r\n")] = 0;
	if (f != stdin)
		fclose(f);
	return line;
}

static char *body_of(const struct options *o, const char *url)
{
	json_t *ids = json_array();
	const char *type = o->type ? o->type : strstr(url, "/manifests/") ? "image" : "file";
	json_t *args = json_pack("{s:s, s:s, s:s}", "type", type, "url", url, "scope",
				 o->scope ? o->scope : "single_seed_peer");
	json_t *body cleanup(json_decref_at) =
		json_pack("{s:s, s:o}", "type", "preheat", "args", args);

	if (o->platform)
		json_object_set_new(args, "platform", json_string(o->platform));
	for (size_t i = 0; i < o->clusters.count; i++)
		json_array_append_new(ids, json_integer(atoll(o->clusters.items[i])));
	if (o->clusters.count)
		json_object_set(body, "scheduler_cluster_ids", ids);
	json_decref(ids);
	return json_print(body);
}

/* An exit code; *job_out only when it is EXIT_DONE. */
static int ask_job(const struct options *o, const char *path, const char *body, json_t **job_out)
{
	char *url cleanup(free_at) = mem_printf("%s/oapi/v1/jobs%s", o->manager, path);
	struct told told cleanup(told_release) = {0};
	struct err e = {0};
	const struct ask a = {.url = url,
			      .ca = o->ca,
			      .token = o->token,
			      .body = body,
			      .timeout_ms = QUESTION_MS};

	if (ask_http(&a, &told, &e) < 0)
		return command_fail(EXIT_NETWORK, "%s: %s", o->manager, e.text);
	if (told.status == 401 || told.status == 403)
		return command_fail(EXIT_NOT_ALLOWED,
				    "%s answers %d: the token is not good for jobs", o->manager,
				    told.status);
	if (told.status == 404)
		return command_fail(EXIT_NOT_FOUND, "%s answers 404", url);
	if (told.status >= 400)
		return command_fail(told.status < 500 ? EXIT_USAGE : EXIT_NETWORK,
				    "%s answers %d: %s", o->manager, told.status,
				    told.body.data ? told.body.data : "");
	if (json_parse(told.body.data ? told.body.data : "", told.body.len, SIZE_MAX, job_out, &e) <
	    0)
		return command_fail(EXIT_NETWORK, "%s: no job in the answer: %s", o->manager,
				    e.text);
	return EXIT_DONE;
}

static const char *reason_of(const json_t *job)
{
	const json_t *states = json_object_get(json_object_get(job, "result"), "job_states");
	const char *why = json_str(json_array_get(states, 0), "error");

	return why && *why ? why : "the manager gives no reason";
}

/* Until the job is over; *job is replaced by its last state. */
static int wait_for_job(const struct options *o, json_t **job)
{
	int64_t deadline_ms = clock_ms() + o->timeout_ms;
	char path[32];

	snprintf(path, sizeof(path), "/%llu", (unsigned long long)json_u64(*job, "id", 0));
	for (;;) {
		const char *state = json_str(*job, "state");
		json_t *next = NULL;
		int code;

		if (state && strcmp(state, "SUCCESS") == 0)
			return EXIT_DONE;
		if (state && strcmp(state, "FAILURE") == 0)
			return command_fail(EXIT_NETWORK, "the preheat failed: %s",
					    reason_of(*job));
		if (clock_ms() >= deadline_ms)
			return command_fail(EXIT_TIMED_OUT, "job %s is %s still", path + 1,
					    state ? state : "?");
		poll(NULL, 0, LOOK_MS);
		code = ask_job(o, path, NULL, &next);
		if (code != EXIT_DONE)
			return code;
		json_decref(*job);
		*job = next;
	}
}

int preheat_run(int argc, char **argv)
{
	const char **rest cleanup(free_at) = mem_array((size_t)argc, sizeof(*rest));
	struct options o = {.manager = "http://127.0.0.1:8080", .timeout_ms = 30 * 60 * 1000};
	int count = cli_parse(&preheat_cli, argc, argv, &o, rest), code;
	struct config_strings *texts cleanup(command_texts_release) __attribute__((unused)) =
		&o.clusters;
	char *body cleanup(free_at) = NULL, *token cleanup(free_at) = NULL;
	json_t *job cleanup(json_decref_at) = NULL;

	if (count != 1)
		cli_usage_error(&preheat_cli, "one URL");
	if (o.token_file)
		o.token = token = read_token(o.token_file);
	if (!o.token)
		cli_usage_error(&preheat_cli, "the manager wants a token: --token-file");
	body = body_of(&o, rest[0]);
	code = ask_job(&o, "", body, &job);
	if (code == EXIT_DONE && o.wait)
		code = wait_for_job(&o, &job);
	if (code == EXIT_DONE && o.json) {
		char *text cleanup(free_at) = json_print(job);

		puts(text);
	} else if (code == EXIT_DONE) {
		printf("job %llu: %s\n", (unsigned long long)json_u64(job, "id", 0),
		       json_str(job, "state") ? json_str(job, "state") : "?");
	}
	return code;
}
