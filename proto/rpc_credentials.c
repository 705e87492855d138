/* Reads PEM files into gRPC's credentials. */
#include "proto/rpc_credentials.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PEM_LEN_MAX (1 << 20)

/* NULL path gives NULL text. */
static int read_pem(const char *path, char **out, struct err *e)
{
	cleanup(fclose_at) FILE *f = NULL;
	cleanup(free_at) char *text = NULL;
	size_t len;

	*out = NULL;
	if (!path)
		return 0;
	f = fopen(path, "re");
	if (!f)
		return err_set(e, errno, "open %s", path);
	text = mem_alloc(PEM_LEN_MAX + 1);
	len = fread(text, 1, PEM_LEN_MAX, f);
	if (ferror(f))
		return err_set(e, EIO, "read %s", path);
	if (!strstr(text, "-----BEGIN ") || len == PEM_LEN_MAX)
		return err_set(e, EINVAL, "%s is no PEM file", path);
	*out = take_ptr(&text);
	return 0;
}

int rpc_credentials_server(const char *cert, const char *key, const char *ca,
			   grpc_server_credentials **out, struct err *e)
{
	cleanup(free_at) char *cert_pem = NULL, *key_pem = NULL, *ca_pem = NULL;
	grpc_ssl_pem_key_cert_pair pair;
	int r;

	if (!cert && !key && !ca) {
		*out = grpc_insecure_server_credentials_create();
		return 0;
	}
	if (!cert || !key)
		return err_set(e, EINVAL, "TLS needs both a certificate and its key");
	if ((r = read_pem(cert, &cert_pem, e)) < 0 || (r = read_pem(key, &key_pem, e)) < 0 ||
	    (r = read_pem(ca, &ca_pem, e)) < 0)
		return r;
	pair.cert_chain = cert_pem;
	pair.private_key = key_pem;
	*out = grpc_ssl_server_credentials_create_ex(
		ca_pem, &pair, 1,
		ca ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
		   : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
		NULL);
	return 0;
}

int rpc_credentials_client(const char *ca, const char *cert, const char *key,
			   grpc_channel_credentials **out, struct err *e)
{
	cleanup(free_at) char *cert_pem = NULL, *key_pem = NULL, *ca_pem = NULL;
	grpc_ssl_pem_key_cert_pair pair;
	int r;

	if (!ca) {
		*out = grpc_insecure_credentials_create();
		return 0;
	}
	if (!cert != !key)
		return err_set(e, EINVAL, "a client certificate needs its key and the other way");
	if ((r = read_pem(ca, &ca_pem, e)) < 0 || (r = read_pem(cert, &cert_pem, e)) < 0 ||
	    (r = read_pem(key, &key_pem, e)) < 0)
		return r;
	pair.cert_chain = cert_pem;
	pair.private_key = key_pem;
	*out = grpc_ssl_credentials_create(ca_pem, cert ? &pair : NULL, NULL, NULL);
	return 0;
}
