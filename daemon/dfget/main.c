/* dfget: fetches one file through the daemon of this host, or without one straight from the origin.
 */
#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/dfget/direct.h"
#include "proto/rpc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

/* Over the socket into a file of our own: temporary name, then rename. */
static void transfer_to_file(const struct options *o, struct progress *p, struct result *r)
{
	char *part cleanup(free_at) = mem_printf("%s.dfget-part", o->output_path);
	int fd cleanup(close_at) = -1;
	struct stat st;

	if (!o->overwrite && lstat(o->output_path, &st) == 0) {
		*r = (struct result){.exit = EXIT_OUTPUT};
		err_set(&r->err, EEXIST, "%s (--overwrite replaces it)", o->output_path);
		return;
	}
	fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0) {
		*r = (struct result){.exit = EXIT_OUTPUT};
		err_set(&r->err, errno, "open %s", part);
		return;
	}
	conversation_run(o, fd, p, r);
	if (r->exit == EXIT_DONE && (fsync(fd) < 0 || rename(part, o->output_path) < 0)) {
		r->exit = EXIT_OUTPUT;
		err_set(&r->err, errno, "%s", o->output_path);
	}
	if (r->exit != EXIT_DONE)
		unlink(part);
}

static void download(const struct options *o, struct progress *p, struct result *r)
{
	int out_fd = o->output_path ? -1 : STDOUT_FILENO;

	if (o->output_path && o->transfer)
		transfer_to_file(o, p, r);
	else
		conversation_run(o, out_fd, p, r);
	if (!r->no_daemon || o->require_p2p || o->disable_back_to_source || !o->url)
		return;
	progress_end(p);
	if (!o->json)
		fprintf(stderr, "dfget: no daemon answers on %s: reading the origin directly\n",
			o->endpoint);
	direct_run(o, out_fd, p, r);
	r->direct = true;
}

/* The daemon tells what an error means as a status, which has become the exit code. */
static const char *fault_of(const struct result *r)
{
	if (r->err.fault)
		return r->err.fault;
	switch (r->exit) {
	case EXIT_OTHER:
		return "SK400";
	case EXIT_NOT_FOUND:
		return "SK233";
	case EXIT_NETWORK:
		return "SK231";
	case EXIT_OUTPUT:
	case EXIT_NO_SPACE:
		return err_fault(&r->err);
	default:
		return fault_of_exit((int)r->exit);
	}
}

static void print_json(const struct options *o, const struct result *r, int64_t ms)
{
	const struct tally *t = &r->tally;
	uint64_t all = t->local + t->from_peers + t->from_origin;
	json_t *j cleanup(json_decref_at) =
		json_pack("{s:s?,s:s,s:b,s:s?,s:i,s:b,s:I,s:I,s:I,s:I,s:i,s:I}", "url", o->url,
			  "task_id", r->task_id, "direct", (int)r->direct, "output", o->output_path,
			  "exit_code", (int)r->exit, "ok", r->exit == EXIT_DONE, "bytes",
			  (json_int_t)all, "bytes_local", (json_int_t)t->local, "bytes_peers",
			  (json_int_t)t->from_peers, "bytes_origin", (json_int_t)t->from_origin,
			  "parents", (int)t->parents, "elapsed_ms", (json_int_t)ms);
	char *text;

	if (r->exit != EXIT_DONE) {
		json_object_set_new(j, "error", json_string(r->err.text));
		json_object_set_new(j, "code", json_string(fault_of(r)));
	}
	text = json_print(j);
	fprintf(o->output_path ? stdout : stderr, "%s\n", text);
	free(text);
}

static void report(const struct options *o, const struct progress *p, const struct result *r)
{
	int64_t ms = clock_ms() - p->started_ms;
	char line[200];

	if (o->json) {
		print_json(o, r, ms);
	} else if (r->exit != EXIT_DONE) {
		char *text cleanup(free_at) =
			mem_printf("%s: %s", o->url ? o->url : o->digest, r->err.text);

		fault_tell("dfget", fault_of(r), text);
		if (r->exit == EXIT_NO_DAEMON)
			fprintf(stderr, "dfget: is dfdaemon running? (socket %s)\n", o->endpoint);
	} else if (p->kind != PROGRESS_NONE) {
		progress_summary(line, sizeof(line), &r->tally, ms);
		fprintf(stderr, "dfget: %s: %s\n", o->output_path ? o->output_path : "-", line);
	}
}

int main(int argc, char **argv)
{
	struct options o;
	struct progress p;
	struct result r;
	sigset_t set;

	log_open_stderr("dfget", LOG_AUTO);
	options_parse(argc, argv, &o);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	progress_init(&p, o.progress, o.no_progress, stderr);
	rpc_init();
	download(&o, &p, &r);
	rpc_shutdown();
	progress_end(&p);
	report(&o, &p, &r);
	options_release(&o);
	return (int)r.exit;
}
