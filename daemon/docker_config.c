/* docker's config.json. Formats: docker/cli config file, containers-auth.json(5). */
#include "daemon/docker_config.h"

#include "base/json.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/secret.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX (1u << 20)
#define AUTH_MAX (64u << 10)

struct docker_config {
	char *path;
	struct lock lock; /* rank 50; guards all below */
	json_t *auths;	  /* by normalised key; NULL = none */
	struct stat seen; /* the file as it was before auths was read from it */
};

void docker_credential_release(struct docker_credential *c)
{
	secret_free_at(&c->user);
	secret_free_at(&c->password);
	secret_free_at(&c->identity_token);
	secret_free_at(&c->registry_token);
}

struct docker_config *docker_config_new(const char *path)
{
	struct docker_config *d = mem_new(struct docker_config);

	d->path = mem_strdup(path);
	lock_init(&d->lock, 50);
	return d;
}

void docker_config_free(struct docker_config *d)
{
	if (!d)
		return;
	json_decref(d->auths);
	lock_release(&d->lock);
	free(d->path);
	free(d);
}

/* ---- the file */

/* "https://Index.docker.io/v1/" -> "index.docker.io", "h:443/a/" -> "h:443/a". The caller frees. */
static char *normalise(const char *key)
{
	const char *scheme = strstr(key, "://");
	char *text = mem_strdup(scheme ? scheme + 3 : key);
	size_t len = strlen(text);

	for (char *at = text; *at && *at != '/'; at++)
		*at = (char)tolower((unsigned char)*at);
	while (len > 0 && text[len - 1] == '/')
		text[--len] = '\0';
	if (len > 3 && (strcmp(text + len - 3, "/v1") == 0 || strcmp(text + len - 3, "/v2") == 0))
		text[len - 3] = '\0';
	return text;
}

static int read_file(const char *path, char **text_out, size_t *len_out, struct err *e)
{
	cleanup(close_at) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	cleanup(free_at) char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, errno, "open %s", path);
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
		return err_set(e, EINVAL, "%s is no file of at most 1 MiB", path);
	text = mem_alloc((size_t)st.st_size + 1);
	n = read(fd, text, (size_t)st.st_size);
	if (n < 0)
		return err_set(e, errno, "read %s", path);
	*len_out = (size_t)n;
	*text_out = take_ptr(&text);
	return 0;
}

/* A table of the "auths" by normalised key. */
static json_t *collect(const json_t *file)
{
	json_t *auths = json_object_get(file, "auths"), *out = json_object(), *value;
	const char *key;

	json_object_foreach(auths, key, value)
	{
		cleanup(free_at) char *name = normalise(key);

		if (json_is_object(value))
			json_object_set(out, name, value);
	}
	if (json_object_get(file, "credHelpers") || json_object_get(file, "credsStore"))
		log_warn("credential helpers are not run: only auths with a secret count", NULL);
	return out;
}

static json_t *load(const char *path)
{
	cleanup(free_at) char *text = NULL;
	cleanup(json_decref_at) json_t *file = NULL;
	size_t len = 0;
	struct err e;
	int r = read_file(path, &text, &len, &e);

	if (r == 0)
		r = json_parse(text, len, FILE_MAX, &file, &e);
	if (text)
		OPENSSL_cleanse(text, len);
	if (r == -ENOENT)
		return NULL;
	if (r < 0) {
		log_warn("credentials cannot be read", "file=\"%s\" why=\"%s\"", path, e.text);
		return NULL;
	}
	return collect(file);
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_dev == b->st_dev;
}

/* Reads the file again if it is another one than before. */
static void refresh(struct docker_config *d)
{
	struct stat now;
	json_t *fresh, *old;
	bool is_seen;

	if (stat(d->path, &now) < 0)
		now = (struct stat){0};
	lock_take(&d->lock);
	is_seen = is_same_file(&now, &d->seen);
	lock_drop(&d->lock);
	if (is_seen)
		return;
	fresh = load(d->path);
	lock_take(&d->lock);
	old = d->auths;
	d->auths = fresh;
	d->seen = now;
	lock_drop(&d->lock);
	json_decref(old);
}

/* ---- one entry */

/* "dXNlcjpwYXNz" -> user, pass. */
static void split_auth(const char *text, struct docker_credential *out)
{
	size_t len = strlen(text);
	cleanup(free_at) char *plain = NULL;
	char *colon;
	int n;

	if (len == 0 || len > AUTH_MAX || len % 4 != 0)
		return;
	plain = mem_alloc(len + 1);
	n = EVP_DecodeBlock((unsigned char *)plain, (const unsigned char *)text, (int)len);
	colon = n > 0 ? strchr(plain, ':') : NULL;
	if (colon) {
		out->user = mem_strndup(plain, (size_t)(colon - plain));
		out->password = mem_strdup(colon + 1);
	}
	OPENSSL_cleanse(plain, len);
}

static const char *not_empty(const char *text)
{
	return text && *text ? text : NULL;
}

static bool read_entry(const json_t *entry, struct docker_credential *out)
{
	const char *auth = json_str(entry, "auth");

	if (auth)
		split_auth(auth, out);
	if (!out->user && not_empty(json_str(entry, "username"))) {
		const char *password = json_str(entry, "password");

		out->user = mem_strdup(json_str(entry, "username"));
		out->password = mem_strdup(password ? password : "");
	}
	out->identity_token = mem_strdup(not_empty(json_str(entry, "identitytoken")));
	out->registry_token = mem_strdup(not_empty(json_str(entry, "registrytoken")));
	return out->user || out->identity_token || out->registry_token;
}

/* The entry of host, or of the longest host/part/of/repository. */
static const json_t *find_entry(const json_t *auths, const char *host, const char *repository)
{
	cleanup(free_at) char *key = mem_printf("%s/%s", host, repository);
	size_t host_len = strlen(host);

	for (;;) {
		const json_t *entry = json_object_get(auths, key);
		char *slash = strrchr(key, '/');

		if (entry || strlen(key) <= host_len || !slash)
			return entry;
		*slash = '\0';
	}
}

/* Under the lock. */
static const json_t *find_by_url(const struct docker_config *d, const struct url *u,
				 const char *repository)
{
	static const char *const hub[] = {"index.docker.io", "docker.io", "registry-1.docker.io"};
	char authority[280], with_port[300];
	const json_t *entry;
	bool is_hub = false;

	url_authority(u, authority, sizeof(authority));
	entry = find_entry(d->auths, authority, repository);
	if (!entry && u->port_default) {
		snprintf(with_port, sizeof(with_port), "%s:%u", authority, u->port);
		entry = find_entry(d->auths, with_port, repository);
	}
	for (size_t i = 0; i < array_len(hub); i++)
		is_hub |= strcmp(authority, hub[i]) == 0;
	for (size_t i = 0; is_hub && !entry && i < array_len(hub); i++)
		entry = find_entry(d->auths, hub[i], repository);
	return entry;
}

bool docker_config_find(struct docker_config *d, const struct url *u, const char *repository,
			struct docker_credential *out)
{
	bool found;

	*out = (struct docker_credential){0};
	if (!d->path)
		return false;
	refresh(d);
	lock_take(&d->lock);
	found = read_entry(find_by_url(d, u, repository), out);
	lock_drop(&d->lock);
	if (!found)
		docker_credential_release(out);
	return found;
}
