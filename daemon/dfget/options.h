/* dfget's command line, parsed and checked. */
#ifndef DAEMON_DFGET_OPTIONS_H
#define DAEMON_DFGET_OPTIONS_H

#include "base/cli.h"

struct options {
	/* as given */
	const char *output, *digest, *application, *tag, *endpoint, *log_level, *progress;
	struct config_strings headers, filtered_params;
	uint64_t priority, piece_length;
	int64_t timeout_ms;
	bool overwrite, force_hard_link, disable_back_to_source, transfer, no_progress, json;
	bool require_p2p;
	/* made of it */
	const char *url;	/* NULL when only a digest was asked for */
	const char *digest_hex; /* of sha256:<hex>, else NULL */
	char *output_path;	/* absolute; NULL: standard output */
};

/* Exits with EXIT_USAGE and a clear word when something is wrong. */
void options_parse(int argc, char **argv, struct options *out);
void options_release(struct options *o);

#endif
