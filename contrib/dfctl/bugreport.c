/* dfctl bugreport: all that helps somebody else to find what is wrong, without secrets. */
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/redact.h"
#include "contrib/dfctl/archive.h"
#include "contrib/dfctl/ask.h"
#include "contrib/dfctl/command.h"
#include "contrib/dfctl/look.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define TEXT_MAX   (32u << 20) /* of one file; of a log its end */
#define TIMEOUT_MS 5000

struct options {
	const char *config, *endpoint, *output, *runtime_config;
	struct config_strings logs;
};

#define AT(field) offsetof(struct options, field)

static const struct cli_option table[] = {
	{"output", 'o', CLI_TEXT, AT(output), "FILE", NULL,
	 "Where to; - for standard output. Default skimmer-report-<time>.tar."},
	{"config", 'c', CLI_TEXT, AT(config), "FILE", "DFDAEMON_CONFIG",
	 "dfdaemon's configuration. Default: " DAEMON_CONFIG_FILE "."},
	{"endpoint", 'e', CLI_TEXT, AT(endpoint), "SOCKET", "DFGET_ENDPOINT",
	 "The daemon's socket. Default: the configuration's."},
	{"runtime-config", 0, CLI_TEXT, AT(runtime_config), "FILE", NULL,
	 "containerd's configuration. Default: " CONTAINERD_CONFIG "."},
	{"log", 'l', CLI_TEXTS, AT(logs), "FILE", NULL,
	 "A log file to put in; may be given again. Default: the journal of skimmer-dfdaemon."},
	{0},
};

const struct cli bugreport_cli = {
	.program = "dfctl bugreport",
	.summary = "puts what helps to find a fault into an archive, no secrets",
	.usage = "dfctl bugreport [options]",
	.description =
		"The values of dfdaemon's configuration and where they are from, doctor's "
		"findings, what explain remembers, metrics, logs, the daemon's process, mounts, "
		"and containerd's configuration. Passwords, tokens, cookies, Authorization, "
		"header values and credentials in URLs are taken out; host names and URLs stay: "
		"look into it before you give it away.",
	.examples = "dfctl bugreport -o report.tar  # as root it sees more\n"
		    "dfctl bugreport -o - | tar -tv  # what is in it\n",
	.options = table,
	.exit_codes = "0 done; what could not be had is named in it\n"
		      "2 wrong usage\n"
		      "10 the archive cannot be written\n",
};

struct report {
	const struct options *options;
	struct settings settings;
	int fd;
	const char *socket;
	struct err err; /* the first failure to write */
};

/* The names of secrets that redact.h does not know, in files of others: auth = "...", key: ... */
static bool is_others_secret(const char *word, size_t len)
{
	static const char *const names[] = {"auth", "identitytoken", "registrytoken", "client_key",
					    "private_key"};

	for (size_t i = 0; i < array_len(names); i++)
		if (strlen(names[i]) == len && strncasecmp(word, names[i], len) == 0)
			return true;
	return false;
}

/* One line; any_value: whatever the key is. */
static void scrub_line(struct buf *out, const char *line, size_t len, bool any_value)
{
	size_t start = strspn(line, " \t\"'"), word = 0;
	const char *sign = memchr(line, '=', len);

	while (start + word < len &&
	       (isalnum((unsigned char)line[start + word]) || strchr("-_.", line[start + word])))
		word++;
	if (word && (any_value || is_others_secret(line + start, word)) && sign) {
		buf_append(out, line, (size_t)(sign - line) + 1);
		buf_puts(out, " \"" REDACTED "\"");
		return;
	}
	redact_append(out, line, len);
}

/* What stands below a table whose name ends with "header" are headers, and so maybe secrets. */
static void scrub(struct buf *out, const char *text, size_t len)
{
	bool in_header = false;

	for (size_t at = 0; at < len;) {
		const char *end = memchr(text + at, '\n', len - at);
		size_t n = end ? (size_t)(end - text) - at : len - at;

		if (n && text[at + strspn(text + at, " \t")] == '[')
			in_header = n > 7 && memmem(text + at, n, "header]", 7);
		scrub_line(out, text + at, n, in_header);
		buf_puts(out, end ? "\n" : "");
		at += n + (end != NULL);
	}
}

static void put(struct report *r, const char *name, const char *text, size_t len)
{
	struct buf clean cleanup(buf_release) = BUF_INIT(2 * TEXT_MAX);
	char *path cleanup(free_at) = mem_printf("skimmer-report/%s", name);

	scrub(&clean, text, len);
	/* The first failure is kept, and told at the end. */
	if (r->err.code == 0 &&
	    archive_add(r->fd, path, clean.data ? clean.data : "", clean.len, &r->err) < 0)
		err_wrap(&r->err, "%s", name);
}

static void put_text(struct report *r, const char *name, const char *text)
{
	put(r, name, text, strlen(text));
}

/* The end of a file; where there is none, why. */
static void put_file(struct report *r, const char *name, const char *path)
{
	struct buf text cleanup(buf_release) = BUF_INIT(TEXT_MAX + 65536);
	int fd cleanup(close_at) = open(path, O_RDONLY | O_CLOEXEC);
	char part[65536];
	struct stat st;
	ssize_t n = -1;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > TEXT_MAX)
		lseek(fd, st.st_size - TEXT_MAX, SEEK_SET);
	while (fd >= 0 && !text.overflow && (n = read(fd, part, sizeof(part))) > 0)
		buf_append(&text, part, (size_t)n);
	if (n < 0)
		buf_printf(&text, "%s: %s\n", path, strerror(errno));
	put(r, name, text.data ? text.data : "", text.len);
}

/* The output of one of our own commands, or of a program. */
static void put_output(struct report *r, const char *name, const char *const argv[])
{
	struct buf text cleanup(buf_release) = BUF_INIT(TEXT_MAX);
	char part[65536];
	int ends[2];
	ssize_t n;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	close(ends[1]);
	while ((n = read(ends[0], part, sizeof(part))) > 0)
		buf_append(&text, part, (size_t)n);
	close(ends[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	put(r, name, text.data ? text.data : "", text.len);
}

static void put_url(struct report *r, const char *name, const char *url)
{
	struct told told cleanup(told_release) = {0};
	struct err e = {0};

	if (ask_http(&(struct ask){.url = url, .timeout_ms = TIMEOUT_MS}, &told, &e) < 0)
		put_text(r, name, e.text);
	else
		put(r, name, told.body.data ? told.body.data : "", told.body.len);
}

static void put_daemon(struct report *r)
{
	static const char *const files[] = {"status", "limits", "environ", "cmdline", "mountinfo"};
	struct err e = {0};
	pid_t pid = 0;

	if (ask_pid(r->socket, &pid, &e) < 0) {
		put_text(r, "daemon.txt", e.text);
		return;
	}
	for (size_t i = 0; i < array_len(files); i++) {
		char *name cleanup(free_at) = mem_printf("daemon/%s", files[i]);
		size_t len = 0;
		char *text cleanup(free_at) = look_proc(pid, files[i], &len);

		for (size_t at = 0; text && at < len; at++)
			text[at] = text[at] ? text[at] : '\n';
		put(r, name, text ? text : "", len);
	}
}

static void put_logs(struct report *r)
{
	const struct config_strings *logs = &r->options->logs;

	for (size_t i = 0; i < logs->count; i++) {
		char *name cleanup(free_at) = mem_printf("logs/%zu.log", i);

		put_file(r, name, logs->items[i]);
	}
	if (logs->count == 0)
		put_output(r, "logs/journal.log",
			   (const char *const[]){"journalctl", "-u", "skimmer-dfdaemon", "-n",
						 "5000", "--no-pager", NULL});
}

static void fill(struct report *r)
{
	const struct options *o = r->options;
	const char *config = o->config ? o->config : DAEMON_CONFIG_FILE;
	const char *self = "/proc/self/exe";
	char *url cleanup(free_at) =
		mem_printf("http://127.0.0.1:%u/metrics", r->settings.config.metrics.port);

	put_text(r, "version", SKIMMER_VERSION "\n");
	put_output(r, "uname", (const char *const[]){"uname", "-a", NULL});
	put_output(r, "config.json",
		   (const char *const[]){self, "config", "show", "--json", "-c", config, NULL});
	put_output(r, "doctor.json",
		   (const char *const[]){self, "doctor", "--json", "-c", config, "--runtime-config",
					 o->runtime_config, NULL});
	put_output(
		r, "explain.json",
		(const char *const[]){self, "explain", "--all", "--json", "-e", r->socket, NULL});
	put_output(r, "tasks.json",
		   (const char *const[]){self, "task", "ls", "--json", "-e", r->socket, NULL});
	put_url(r, "metrics.txt", url);
	put_file(r, "containerd/config.toml", o->runtime_config);
	put_daemon(r);
	put_logs(r);
}

static char *default_name(void)
{
	time_t now = (time_t)(clock_wall_ms() / 1000);
	char stamp[32];
	struct tm tm;

	strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", localtime_r(&now, &tm));
	return mem_printf("skimmer-report-%s.tar", stamp);
}

int bugreport_run(int argc, char **argv)
{
	const char **rest cleanup(free_at) = mem_array((size_t)argc, sizeof(*rest));
	struct options o = {.runtime_config = CONTAINERD_CONFIG};
	struct config_strings *texts cleanup(command_texts_release) __attribute__((unused)) =
		&o.logs;
	struct report r = {.options = &o, .fd = STDOUT_FILENO};
	char *name cleanup(free_at) = default_name();
	struct err e = {0};

	if (cli_parse(&bugreport_cli, argc, argv, &o, rest) > 0)
		cli_usage_error(&bugreport_cli, "no such argument: %s", rest[0]);
	if (!o.output)
		o.output = name;
	if (strcmp(o.output, "-") != 0)
		r.fd = open(o.output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (r.fd < 0)
		return command_fail(EXIT_OUTPUT, "%s: %s", o.output, strerror(errno));
	/* What is wrong with the configuration is among doctor's findings. */
	if (settings_load(o.config, &r.settings, &e) < 0)
		put_text(&r, "config-error", e.text);
	r.socket = o.endpoint				    ? o.endpoint
		   : r.settings.config.download.socket_path ? r.settings.config.download.socket_path
							    : DAEMON_SOCKET;
	fill(&r);
	if (r.err.code == 0 && archive_end(r.fd, &r.err) < 0)
		err_wrap(&r.err, "the end");
	settings_release(&r.settings);
	if (r.fd != STDOUT_FILENO && close(r.fd) < 0 && r.err.code == 0)
		err_set(&r.err, errno, "close");
	if (r.err.code)
		return command_fail(EXIT_OUTPUT, "%s: %s", o.output, r.err.text);
	if (r.fd != STDOUT_FILENO)
		printf("%s\n", o.output);
	return EXIT_DONE;
}
