/* dfget's command line. The flags are Dragonfly's where they mean the same. */
#include "daemon/dfget/options.h"

#include "base/digest.h"
#include "base/fault.h"
#include "base/geometry.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/url.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#define AT(field) offsetof(struct options, field)

static const struct cli_option table[] = {
	{"output", 'O', CLI_TEXT, AT(output), "FILE", "DFGET_OUTPUT",
	 "Where to write; - is standard output. Default: the last part of the URL's path."},
	{"digest", 'd', CLI_TEXT, AT(digest), "sha256:HEX", "DFGET_DIGEST",
	 "The content must have this digest."},
	{"overwrite", 0, CLI_FLAG, AT(overwrite), NULL, "DFGET_OVERWRITE",
	 "Replace an output file that exists."},
	{"force-hard-link", 0, CLI_FLAG, AT(force_hard_link), NULL, "DFGET_FORCE_HARD_LINK",
	 "Fail instead of copying when the output cannot be a hard link of the stored file."},
	{"transfer-from-dfdaemon", 0, CLI_FLAG, AT(transfer), NULL, "DFGET_TRANSFER_FROM_DFDAEMON",
	 "Take the bytes over the socket and write the file here: for a daemon that cannot "
	 "reach the output's folder."},
	{"timeout", 0, CLI_DURATION, AT(timeout_ms), "TIME", "DFGET_TIMEOUT",
	 "Give up after so long, e.g. 90s, 10m. Default 2h."},
	{"priority", 0, CLI_U64, AT(priority), "0-6", "DFGET_PRIORITY",
	 "Dragonfly's priority. Default 6."},
	{"piece-length", 0, CLI_BYTES, AT(piece_length), "SIZE", "DFGET_PIECE_LENGTH",
	 "4MiB to 64MiB; part of the task id. Default: by the content's length."},
	{"application", 0, CLI_TEXT, AT(application), "NAME", "DFGET_APPLICATION",
	 "Part of the task id."},
	{"tag", 0, CLI_TEXT, AT(tag), "NAME", "DFGET_TAG", "Part of the task id."},
	{"header", 'H', CLI_TEXTS, AT(headers), "'NAME: VALUE'", NULL,
	 "Sent to the origin; may be given again."},
	{"filtered-query-param", 0, CLI_TEXTS, AT(filtered_params), "NAME", NULL,
	 "A query parameter that does not count for the task id; may be given again."},
	{"disable-back-to-source", 0, CLI_FLAG, AT(disable_back_to_source), NULL,
	 "DFGET_DISABLE_BACK_TO_SOURCE", "Never read the origin, only peers."},
	{"require-p2p", 0, CLI_FLAG, AT(require_p2p), NULL, "DFGET_REQUIRE_P2P",
	 "Without a daemon fail (exit code 11) instead of reading the origin directly."},
	{"no-progress", 0, CLI_FLAG, AT(no_progress), NULL, "DFGET_NO_PROGRESS",
	 "No progress bar."},
	{"progress", 0, CLI_TEXT, AT(progress), "KIND", "DFGET_PROGRESS",
	 "bar, plain, json or none. Default: bar on a terminal, else plain (a line every 10 s)."},
	{"json", 0, CLI_FLAG, AT(json), NULL, NULL, "Print the result as JSON on standard output."},
	{"endpoint", 'e', CLI_TEXT, AT(endpoint), "SOCKET", "DFGET_ENDPOINT",
	 "The daemon's socket. Default /var/run/dragonfly/dfdaemon.sock."},
	{"log-level", 'l', CLI_TEXT, AT(log_level), "LEVEL", "DFGET_LOG_LEVEL",
	 "error, warn (default), info or debug."},
	{0},
};

static const struct cli program = {
	.program = "dfget",
	.summary = "fetches a file through the nearest peers",
	.usage = "dfget [options] URL|sha256:HEX [-O FILE]",
	.description = "Asks the dfdaemon of this host for the file; its pieces come from nearby "
		       "peers, from the origin only when nobody has them. An interrupted download "
		       "goes on where it stopped when it is asked for again. Without a daemon the "
		       "origin is read directly, and dfget says so.",
	.examples = "dfget https://example.com/model.bin -O model.bin  # fetch a file\n"
		    "dfget sha256:<64 hex> -O layer.tar.gz  # fetch a blob by its digest\n"
		    "dfget --json -O - https://example.com/x | sha256sum  # stream it",
	.options = table,
	.exit_codes = "0 done\n"
		      "2 wrong usage\n"
		      "4 the origin does not have it (404, 410)\n"
		      "5 the origin does not allow it (401, 403)\n"
		      "6 the origin or the network failed\n"
		      "7 timed out\n"
		      "8 digest or size differs\n"
		      "9 no space\n"
		      "10 the output exists or cannot be written\n"
		      "11 no daemon answers\n"
		      "12 no peer has it, and the origin was not to be read\n"
		      "13 the origin is busy (429)\n"
		      "130 interrupted (SIGINT)\n"
		      "143 terminated (SIGTERM)\n",
};

static _Noreturn void usage(const char *what, const char *value)
{
	fprintf(stderr, "dfget: %s%s%s (%s); see dfget --help\n", what, value ? ": " : "",
		value ? value : "", fault_of_exit(EXIT_USAGE));
	exit(EXIT_USAGE);
}

/* The last part of the path: what curl -O takes. */
static char *name_of_url(const char *text)
{
	struct url u = {0};
	struct err e = {0};
	const char *slash;
	char *name;

	if (url_parse(text, &u, &e) < 0)
		usage(e.text, NULL);
	slash = strrchr(u.path, '/');
	name = mem_strdup(slash + 1);
	url_release(&u);
	if (!*name)
		usage("the URL's path names no file: give one with -O", NULL);
	return name;
}

static char *absolute(const char *path)
{
	char cwd[PATH_MAX];

	if (*path == '/')
		return mem_strdup(path);
	if (!getcwd(cwd, sizeof(cwd)))
		usage("the current folder is gone", NULL);
	return mem_printf("%s/%s", cwd, path);
}

static void check_source(struct options *o, const char *what)
{
	struct url u = {0};
	struct err e = {0};

	if (digest_is_sha256(what, &o->digest_hex)) {
		if (o->digest && strcmp(o->digest, what) != 0)
			usage("--digest differs from the digest asked for", o->digest);
		o->digest = what;
		if (!o->output)
			usage("a digest needs -O FILE", NULL);
		return;
	}
	if (strncmp(what, "sha256:", 7) == 0)
		usage("not a sha256 digest (64 lower-case hex digits)", what);
	if (url_parse(what, &u, &e) < 0)
		usage(e.text, NULL);
	url_release(&u);
	o->url = what;
}

static void check_values(const struct options *o)
{
	const char *hex;

	if (o->digest && !digest_is_sha256(o->digest, &hex))
		usage("--digest wants sha256:<64 lower-case hex digits>", o->digest);
	if (o->priority > 6)
		usage("--priority is 0 to 6", NULL);
	if (o->piece_length &&
	    (o->piece_length < PIECE_LENGTH_MIN || o->piece_length > PIECE_LENGTH_MAX))
		usage("--piece-length is 4MiB to 64MiB", NULL);
	for (size_t i = 0; i < o->headers.count; i++)
		if (!strchr(o->headers.items[i], ':') || strpbrk(o->headers.items[i], "\r\n"))
			usage("--header wants 'Name: value'", o->headers.items[i]);
	if (o->progress && strcmp(o->progress, "bar") != 0 && strcmp(o->progress, "plain") != 0 &&
	    strcmp(o->progress, "json") != 0 && strcmp(o->progress, "none") != 0)
		usage("--progress is bar, plain, json or none", o->progress);
}

void options_parse(int argc, char **argv, struct options *out)
{
	const char **rest = mem_array((size_t)argc, sizeof(*rest));
	enum log_level level = LOG_WARN;
	int count;

	*out = (struct options){
		.priority = 6,
		.timeout_ms = 2 * 3600 * 1000,
		.endpoint = "/var/run/dragonfly/dfdaemon.sock",
	};
	count = cli_parse(&program, argc, argv, out, rest);
	if (count != 1)
		usage(count ? "one URL at a time" : "no URL or digest", NULL);
	check_source(out, rest[0]);
	check_values(out);
	if (out->log_level && !log_level_parse(out->log_level, &level))
		usage("no such log level", out->log_level);
	log_set_level(level);
	if (!out->output) {
		char *name cleanup(free_at) = name_of_url(out->url);

		out->output_path = absolute(name);
	} else if (strcmp(out->output, "-") != 0) {
		out->output_path = absolute(out->output);
	}
	free(rest);
}

void options_release(struct options *o)
{
	free(o->output_path);
	free(o->headers.items);
	free(o->filtered_params.items);
}
