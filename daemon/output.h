/*
 * A file that a download leaves for a user: written under a temporary name beside its place, and
 * renamed when it is whole. Blocking, for workers; one thread at a time.
 */
#ifndef DAEMON_OUTPUT_H
#define DAEMON_OUTPUT_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct output;

/* EINVAL: path is not absolute. EEXIST: something is there and overwrite is not set. Otherwise what
 * the system says of the folder. */
must_check int output_new(const char *path, bool overwrite, struct output **out, struct err *e);
/* len bytes of fd from off on, to at_off of the file. Shares blocks where the file system can. */
must_check int output_write(struct output *o, int fd, uint64_t off, uint64_t len, uint64_t at_off,
			    struct err *e);
/* Makes the file another name of fd's (hard link) instead of what was written. EXDEV. */
must_check int output_link(struct output *o, int fd, struct err *e);
/* Gives it its name. EEXIST: something has come there meanwhile. */
must_check int output_publish(struct output *o, struct err *e);
/* Removes what was not published. NULL is fine. */
void output_free(struct output *o);

#endif
