/* dfinit: sets up container runtimes to pull through the daemon of this node, and undoes it. */
#include "base/fault.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "contrib/dfinit/journal.h"
#include "contrib/dfinit/options.h"
#include "contrib/dfinit/probe.h"
#include "contrib/dfinit/shell.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define RESTART_MS (120 * 1000)
#define CHECK_MS   (30 * 1000)
#define PULL_MS	   (600 * 1000)

struct session {
	struct options o;
	struct plan plan;
	struct wish wishes[RUNTIMES_MAX];
	char *state_dir;
	json_t *result;
	struct err err;
};

static void say(const struct session *s, const char *fmt, ...) printf_like(2, 3);

static void say(const struct session *s, const char *fmt, ...)
{
	va_list ap;

	if (s->o.json)
		return;
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	fflush(stdout);
}

/* What is there is asked whether it takes the new text, before anything is written. */
static int check(const struct session *s, const struct runtime *r, const struct wish *w,
		 struct err *e)
{
	char name[] = "/tmp/dfinit-XXXXXX";
	const char *text = NULL;
	int result, fd;

	/* Below another root the runtime's program is the host's, not ours. */
	if (!r->check || *s->o.root || !plan_changes(&s->plan, w->file))
		return 0;
	result = plan_read((struct plan *)&s->plan, w->file, &text, e);
	if (result < 0)
		return result;
	fd = mkstemp(name);
	if (fd < 0)
		return err_set(e, errno, "create %s", name);
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		result = err_set(e, EIO, "write %s", name);
	close(fd);
	if (result == 0)
		result = shell_run(r->check, name, NULL, CHECK_MS, e);
	unlink(name);
	return result < 0 ? err_wrap(e, "%s does not take the new configuration", r->name) : 0;
}

static int make_plan(struct session *s)
{
	struct err *e = &s->err;
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->o.chosen_count; i++) {
		r = options_wish(&s->o, s->o.chosen[i], &s->wishes[i], e);
		if (r == 0)
			r = s->o.chosen[i]->plan(&s->wishes[i], &s->plan, e);
		if (r == 0)
			r = check(s, s->o.chosen[i], &s->wishes[i], e);
	}
	return r;
}

static void tell_changes(struct session *s)
{
	json_t *changed = json_array();
	char *diff cleanup(free_at) = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&diff, &len);

	plan_print(&s->plan, f);
	fclose(f);
	for (size_t i = 0; i < s->plan.count; i++)
		if (plan_file_changes(&s->plan.files[i]))
			json_array_append_new(changed, json_string(s->plan.files[i].path));
	json_object_set_new(s->result, "changed", changed);
	json_object_set_new(s->result, "diff", json_string(diff));
	if (s->o.dry_run)
		say(s, "%s", diff);
	if (!plan_size(&s->plan))
		say(s, "nothing to change\n");
}

static bool has_systemd(const struct session *s)
{
	char *path cleanup(free_at) = mem_printf("%s/run/systemd/system", s->o.root);

	return access(path, F_OK) == 0;
}

/* At most once a run for all that was changed of one runtime. */
static int restart(struct session *s, const struct runtime *r)
{
	const char *command = s->o.restart_command ? s->o.restart_command : r->restart;

	if (s->o.no_restart || !command)
		return 0;
	if (!s->o.restart_command && (*s->o.root || !has_systemd(s))) {
		say(s, "%s was not restarted: no systemd here; restart it yourself\n", r->name);
		return 0;
	}
	if (shell_run(command, r->name, NULL, RESTART_MS, &s->err) < 0) {
		err_blame(&s->err, "SK303", err_wrap(&s->err, "restart %s", r->name));
		return EXIT_OTHER;
	}
	json_array_append_new(json_object_get(s->result, "restarted"), json_string(r->name));
	say(s, "%s restarted\n", r->name);
	return EXIT_DONE;
}

static int probe(struct session *s, const struct runtime *r, const struct wish *w)
{
	const char *command = s->o.probe_command ? s->o.probe_command : r->pull;
	uint64_t before = 0, after = 0;

	if (err_blame(&s->err, "SK200", probe_requests(s->o.metrics, &before, &s->err)) < 0)
		return EXIT_NO_DAEMON;
	if (shell_run(command, s->o.probe, w->mirror_dir, PULL_MS, &s->err) < 0) {
		err_wrap(&s->err, "probe");
		return EXIT_NETWORK;
	}
	if (probe_requests(s->o.metrics, &after, &s->err) < 0)
		return EXIT_NO_DAEMON;
	json_object_set_new(s->result, "probe_requests",
			    json_integer((json_int_t)(after - before)));
	if (after <= before) {
		err_set(&s->err, ENOENT,
			"%s was pulled, but the daemon was asked for nothing: is it stored "
			"already, or the registry one that was not set up?",
			s->o.probe);
		err_blame(&s->err, "SK300", -ENOENT);
		return EXIT_NO_P2P;
	}
	say(s, "%s was pulled through the daemon (%llu requests)\n", s->o.probe,
	    (unsigned long long)(after - before));
	return EXIT_DONE;
}

static int setup(struct session *s)
{
	int code = EXIT_DONE;

	if (make_plan(s) < 0)
		return EXIT_CONFIG;
	tell_changes(s);
	if (s->o.dry_run)
		return EXIT_DONE;
	if (plan_size(&s->plan) && journal_apply(s->state_dir, &s->plan, &s->err) < 0)
		return EXIT_OUTPUT;
	for (size_t i = 0; i < s->plan.count; i++)
		if (plan_file_changes(&s->plan.files[i]))
			say(s, "wrote %s\n", s->plan.files[i].path);
	for (size_t i = 0; code == EXIT_DONE && i < s->o.chosen_count; i++)
		if (plan_changes(&s->plan, s->wishes[i].file))
			code = restart(s, s->o.chosen[i]);
	for (size_t i = 0; code == EXIT_DONE && s->o.probe && i < s->o.chosen_count; i++)
		code = probe(s, s->o.chosen[i], &s->wishes[i]);
	return code;
}

static int undo(struct session *s)
{
	char *paths cleanup(free_at) = NULL;
	json_t *list cleanup(json_decref_at) = NULL;
	int code = EXIT_DONE;
	size_t count = 0;

	if (journal_undo(s->state_dir, s->o.root, s->o.force, &count, &paths, &s->err) < 0)
		return EXIT_OUTPUT;
	if (json_parse(paths, strlen(paths), SIZE_MAX, &list, &s->err) < 0)
		return EXIT_OTHER;
	if (!count)
		say(s, "nothing to undo\n");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *path = json_string_value(json_array_get(list, i));

		say(s, "put back %s\n", path);
		for (const struct runtime *r = runtimes; r->name && code == EXIT_DONE; r++) {
			const struct init_runtime *of = options_of_file(&s->o, r);
			const char *file = of->config_path ? of->config_path : r->file;

			if (strcmp(s->o.config_path ? s->o.config_path : file, path) == 0 &&
			    r->restart) {
				code = restart(s, r);
				break;
			}
		}
	}
	json_object_set(s->result, "changed", list);
	return code;
}

int main(int argc, char **argv)
{
	struct session s = {0};
	int code;

	log_open_stderr("dfinit", LOG_AUTO);
	log_set_level(LOG_WARN);
	s.result = json_pack("{s:[]}", "restarted");
	if (options_parse(argc, argv, &s.o, &s.err) < 0) {
		code = EXIT_CONFIG;
	} else {
		s.plan.root = s.o.root;
		s.state_dir = mem_printf("%s%s", s.o.root, s.o.state_dir);
		code = s.o.undo ? undo(&s) : setup(&s);
	}
	if (code != EXIT_DONE)
		fault_tell("dfinit", err_fault(&s.err), s.err.text);
	json_object_set_new(s.result, "exit_code", json_integer(code));
	if (code != EXIT_DONE)
		json_object_set_new(s.result, "error", json_string(s.err.text));
	if (code != EXIT_DONE)
		json_object_set_new(s.result, "code", json_string(err_fault(&s.err)));
	if (s.o.json) {
		char *text cleanup(free_at) = json_print(s.result);

		puts(text);
	}
	json_decref(s.result);
	for (size_t i = 0; i < s.o.chosen_count; i++)
		wish_release(&s.wishes[i]);
	plan_release(&s.plan);
	options_release(&s.o);
	free(s.state_dir);
	return code;
}
