/* dfinit's command line, and what is wanted of each runtime by it and dfinit.yaml together. */
#ifndef CONTRIB_DFINIT_OPTIONS_H
#define CONTRIB_DFINIT_OPTIONS_H

#include "base/cli.h"
#include "contrib/dfinit/runtime.h"

#define RUNTIMES_MAX 4

struct options {
	const char *config, *proxy, *config_path, *root, *state_dir;
	const char *restart_command, *probe, *probe_command, *metrics;
	struct config_strings registries;
	bool all, dry_run, no_restart, force, json, print_reference;
	/* from the positionals */
	bool undo;
	const struct runtime *chosen[RUNTIMES_MAX];
	size_t chosen_count;
	struct init_config file;
};

/* Exits on wrong usage. EINVAL: dfinit.yaml is wrong. Release it, whatever the result. */
must_check int options_parse(int argc, char **argv, struct options *out, struct err *e);
void options_release(struct options *o);
/* What dfinit.yaml says of a runtime. */
const struct init_runtime *options_of_file(const struct options *o, const struct runtime *r);
/* The wish for one runtime. EINVAL: a registry that is none. Release it, whatever the result;
 * it borrows from o. */
must_check int options_wish(const struct options *o, const struct runtime *r, struct wish *out,
			    struct err *e);
void wish_release(struct wish *w);

#endif
