/*
 * Credentials as docker, podman and kubelet keep them: the "auths" of a config.json. The file is
 * looked at again whenever it changes. Credential helpers are programs of a user's session; they
 * are not run, and the log says so once.
 *
 * Must not know: HTTP. Thread-safe. Nothing of it is ever logged.
 */
#ifndef DAEMON_DOCKER_CONFIG_H
#define DAEMON_DOCKER_CONFIG_H

#include "base/err.h"
#include "base/url.h"

struct docker_config;

struct docker_credential {
	char *user, *password; /* owned; NULL = none */
	char *identity_token;  /* to be given to the token service (OAuth 2 refresh token) */
	char *registry_token;  /* to be given to the registry as it is */
};

/* path NULL = no credentials. A file that is absent or broken means none (a broken one is logged
 * once per change), for it may come later. */
struct docker_config *docker_config_new(const char *path);
void docker_config_free(struct docker_config *d);

/* The credential for a repository ("library/x", may be "") of the registry at u: that of the
 * longest key that fits ("host/library", "host", with or without scheme, "/v1/" or a default port;
 * Docker Hub under all its names). False if there is none. Release it. */
bool docker_config_find(struct docker_config *d, const struct url *u, const char *repository,
			struct docker_credential *out);
void docker_credential_release(struct docker_credential *c);

#endif
