/*
 * Writes a plan to disk so that it can be undone, byte for byte, also when the writing was cut
 * short: what was there is kept, and what will be there is noted, before the first file changes.
 *
 * <dir>/journal.json names each file that was touched since the last undo; <dir>/<n>.orig is what
 * the first change of it found. A second setup keeps the first one's originals.
 */
#ifndef CONTRIB_DFINIT_JOURNAL_H
#define CONTRIB_DFINIT_JOURNAL_H

#include "contrib/dfinit/plan.h"

/* dir with root already before it. */
must_check int journal_apply(const char *dir, const struct plan *p, struct err *e);
/* Puts everything back and forgets it. A file that somebody changed since is EBUSY, and nothing is
 * touched, unless force. *count_out: files put back; 0 when nothing was ever changed. paths may be
 * NULL, else is filled with the paths (a JSON array), so that the caller knows what to restart. */
must_check int journal_undo(const char *dir, const char *root, bool force, size_t *count_out,
			    char **paths_out, struct err *e);

#endif
