/* A certificate authority and server certificates made in the test. */
#ifndef TEST_FAKE_TLS_H
#define TEST_FAKE_TLS_H

#include "base/cleanup.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <unistd.h>

struct fake_ca {
	EVP_PKEY *key;
	X509 *cert;
	char path[64]; /* PEM file, removed by fake_ca_free() */
};

static inline void fake_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *x;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	x = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	if (!x)
		abort();
	X509_add_ext(cert, x, -1);
	X509_EXTENSION_free(x);
}

/* from_s, to_s: seconds from now. san NULL makes an authority. */
static inline X509 *fake_cert(EVP_PKEY *key, const char *name, const char *san, long from_s,
			      long to_s, X509 *issuer, EVP_PKEY *issuer_key)
{
	static long serial;
	X509 *cert = X509_new();
	X509_NAME *subject = X509_get_subject_name(cert);

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), from_s);
	X509_gmtime_adj(X509_getm_notAfter(cert), to_s);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1,
				   0);
	X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : subject);
	if (san)
		fake_extension(cert, issuer, NID_subject_alt_name, san);
	else
		fake_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE");
	if (!X509_sign(cert, issuer_key, EVP_sha256()))
		abort();
	return cert;
}

static inline struct fake_ca *fake_ca_new(void)
{
	struct fake_ca *ca = calloc(1, sizeof(*ca));
	FILE *f;

	ca->key = EVP_EC_gen("P-256");
	ca->cert = fake_cert(ca->key, "test authority", NULL, -3600, 86400, NULL, ca->key);
	snprintf(ca->path, sizeof(ca->path), "/tmp/skimmer_ca_XXXXXX");
	f = fdopen(mkstemp(ca->path), "w");
	if (!f || !PEM_write_X509(f, ca->cert))
		abort();
	fclose(f);
	return ca;
}

static inline void fake_ca_free(struct fake_ca *ca)
{
	unlink(ca->path);
	X509_free(ca->cert);
	EVP_PKEY_free(ca->key);
	free(ca);
}

/* A server's side with a certificate for san ("IP:127.0.0.1"). The caller frees. */
static inline SSL_CTX *fake_tls_new(const struct fake_ca *ca, const char *san, long from_s,
				    long to_s)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = fake_cert(key, "test server", san, from_s, to_s, ca->cert, ca->key);

	if (SSL_CTX_use_certificate(ctx, cert) != 1 || SSL_CTX_use_PrivateKey(ctx, key) != 1)
		abort();
	X509_free(cert);
	EVP_PKEY_free(key);
	return ctx;
}

#endif
