/*
 * Core's own watcher of files is a thread for each: those of the same files are one, which lives as
 * long as the process, as the files are the configuration's.
 */
#include "proto/rpc_credentials.h"

#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"

#define REFRESH_S 3

static struct {
	struct lock lock;
	struct map *all; /* lock; names of files -> grpc_tls_certificate_provider */
} watchers;

void rpc_credentials_start(void)
{
	lock_init(&watchers.lock, 70);
	watchers.all = map_new();
}

void rpc_credentials_stop(void)
{
	const char *files;
	void *watcher;
	size_t at = 0;

	while (map_next(watchers.all, &at, &files, &watcher))
		grpc_tls_certificate_provider_release(watcher);
	map_free(watchers.all);
	lock_release(&watchers.lock);
}

static const char *text_of(const char *text)
{
	return text ? text : "";
}

/* Files that are watched already are not looked into: they may be half written just now. */
static int watch(const struct rpc_tls *t, bool is_server, grpc_tls_certificate_provider **out,
		 struct err *e)
{
	cleanup(free_at) char *files =
		mem_printf("%s\n%s\n%s", text_of(t->ca), text_of(t->cert), text_of(t->key));
	int r;

	lock_guard(&watchers.lock);
	*out = map_get(watchers.all, files);
	if (*out)
		return 0;
	r = is_server ? rpc_tls_check_server(t, "tls", e) : rpc_tls_check_client(t, "tls", e);
	if (r < 0)
		return r;
	*out = grpc_tls_certificate_provider_file_watcher_create(t->key, t->cert, t->ca, REFRESH_S);
	map_put(watchers.all, files, *out);
	return 0;
}

static grpc_tls_credentials_options *options_of(const struct rpc_tls *t,
						grpc_tls_certificate_provider *watcher)
{
	grpc_tls_credentials_options *o = grpc_tls_credentials_options_create();

	grpc_tls_credentials_options_set_certificate_provider(o, watcher);
	if (t->ca)
		grpc_tls_credentials_options_watch_root_certs(o);
	if (t->cert)
		grpc_tls_credentials_options_watch_identity_key_cert_pairs(o);
	return o;
}

int rpc_credentials_server(const struct rpc_tls *t, grpc_server_credentials **out, struct err *e)
{
	grpc_tls_certificate_provider *watcher;
	grpc_tls_credentials_options *o;
	int r;

	if (rpc_tls_is_off(t)) {
		*out = grpc_insecure_server_credentials_create();
		return 0;
	}
	r = watch(t, true, &watcher, e);
	if (r < 0)
		return r;
	o = options_of(t, watcher);
	grpc_tls_credentials_options_set_cert_request_type(
		o, t->ca ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
			 : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
	*out = grpc_tls_server_credentials_create(o);
	return 0;
}

int rpc_credentials_client(const struct rpc_tls *t, grpc_channel_credentials **out, struct err *e)
{
	grpc_tls_certificate_provider *watcher;
	int r;

	if (rpc_tls_is_off(t)) {
		*out = grpc_insecure_credentials_create();
		return 0;
	}
	r = watch(t, false, &watcher, e);
	if (r < 0)
		return r;
	*out = grpc_tls_credentials_create(options_of(t, watcher));
	return 0;
}
