/* How a registry that is called by its name is spoken to. */
#ifndef DAEMON_REGISTRY_BASE_H
#define DAEMON_REGISTRY_BASE_H

#include "base/config.h"

/* "docker.io", "registry:5000", "https://ghcr.io/" -> "https://registry-1.docker.io", ...: scheme
 * and authority, the rest is dropped. Without a scheme it is https, but http for loopback and for
 * what plain_http lists ("host" or "host:port"; may be NULL). EINVAL. The caller frees *out. */
must_check int registry_base(const char *name, const struct config_strings *plain_http, char **out,
			     struct err *e);

/* "registry:5000/library/debian:12" -> "registry:5000", "library/debian"; the caller frees both.
 * False: it is no image's name. */
bool registry_split_image(const char *image, char **registry, char **repository);

#endif
