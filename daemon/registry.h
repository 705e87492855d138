/*
 * Answers to registries that ask who we are: bearer tokens from their token service, or basic
 * credentials, remembered per (registry, repository, credential).
 *
 * Credentials are this daemon's own (docker's config.json), looked up for the host that asks, so an
 * origin that a request is redirected to only ever gets what is configured for itself. They go to
 * that host, or to the token service that it names, as docker does; but never over plain http
 * unless the registry itself speaks it. Without a credential an anonymous token is asked for.
 *
 * Must not know: callers' credentials. Those are used as given, see inquiry.h. Thread-safe.
 */
#ifndef DAEMON_REGISTRY_H
#define DAEMON_REGISTRY_H

#include "daemon/exchange.h"

struct registry;

/* docker_config: a file, NULL = no credentials. The pool must outlive it. */
struct registry *registry_new(const char *docker_config, struct exchange_pool *pool);
void registry_free(struct registry *r);

struct registry_ask {
	const struct url *url;
	bool anonymous; /* this daemon's credentials must not be used */
	int64_t deadline_ms;
	const bool *cancelled;
};

/* The Authorization that is known to fit, NULL = none. The caller frees. Does not block. */
char *registry_authorization(struct registry *r, const struct registry_ask *ask);

/* A 401 has come for `refused` (what had been sent, NULL = nothing), with these header lines. Gets
 * another Authorization; the caller frees. Blocks on the token service; whoever asks for the same
 * meanwhile waits for that one answer. EACCES: there is nothing (else) to answer with, or the token
 * service refuses. EPROTO nonsense, EHOSTUNREACH, ETIMEDOUT, EBUSY, ECANCELED as in origin.h. */
must_check int registry_answer(struct registry *r, const struct registry_ask *ask,
			       const char *header_lines, const char *refused,
			       char **authorization_out, struct err *e);

#endif
