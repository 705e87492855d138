/*
 * Secrets at rest: what the manager must be able to use again (signing keys, OAuth clients,
 * credentials of a job) lies in the database only sealed, by AES-256-GCM with the key of a file
 * that is not in the database. What it only has to recognise is hashed instead.
 */
#ifndef CONTROL_MANAGER_VAULT_H
#define CONTROL_MANAGER_VAULT_H

#include "base/err.h"

struct vault;

/* Reads the key, 64 hex digits, or makes the file (0600) with a random one. EPERM if others may
 * read it (the group may, if the file is root's and we are not), EINVAL if it is no key. */
must_check int vault_open(const char *file, struct vault **out, struct err *e);
void vault_free(struct vault *v);
/* what: where it lies ("oauths.client_secret"); a text sealed for one place does not open at
 * another. The caller frees. */
char *vault_seal(const struct vault *v, const char *what, const char *text);
/* EBADMSG: not sealed with this key, for this place, or changed since. The caller frees. */
must_check int vault_open_text(const struct vault *v, const char *what, const char *sealed,
			       char **out, struct err *e);

/* Random bytes as base64url; aborts if the system has none. The caller frees. */
char *vault_random(size_t bytes);

#endif
