/*
 * The authority. Certificates by host are kept in a map and a list in the order of last use; they
 * live for 30 days and are made anew after one, so a client's clock may be somewhat off.
 */
#include "daemon/authority.h"

#include "base/clock.h"
#include "base/dir.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/net.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RANK_AUTHORITY 8
#define LEAVES_MAX     1024
#define DAY_S	       86400L
#define CA_DAYS	       3650
#define LEAF_DAYS      30
#define LEAF_FRESH_MS  (24 * 3600 * INT64_C(1000))

struct leaf {
	struct list link;
	char *host;
	X509 *cert;
	int64_t made_ms;
};

struct authority {
	X509 *cert;
	EVP_PKEY *key;
	EVP_PKEY *leaf_key;
	struct lock lock;
	/* under lock */
	struct map *by_host;
	struct list used; /* of leaf.link, last used first */
};

static int ssl_error(struct err *e, const char *what)
{
	char why[160];

	ERR_error_string_n(ERR_get_error(), why, sizeof(why));
	ERR_clear_error();
	return err_set(e, EINVAL, "%s: %s", what, why);
}

static void x509_free_at(X509 **x)
{
	X509_free(*x);
}

/* ---- certificates */

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *x;
	X509V3_CTX ctx;
	bool fine;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	x = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	fine = x && X509_add_ext(cert, x, -1);
	X509_EXTENSION_free(x);
	return fine;
}

/* What every certificate has. */
static X509 *new_certificate(EVP_PKEY *key, const char *name, long days)
{
	X509 *cert = X509_new();
	unsigned char serial[16];
	X509_NAME *subject;
	BIGNUM *number;

	if (!cert || RAND_bytes(serial, sizeof(serial)) != 1)
		abort();
	serial[0] &= 0x7f;
	number = BN_bin2bn(serial, sizeof(serial), NULL);
	BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
	BN_free(number);
	X509_set_version(cert, X509_VERSION_3);
	X509_gmtime_adj(X509_getm_notBefore(cert), -DAY_S);
	X509_gmtime_adj(X509_getm_notAfter(cert), days * DAY_S);
	X509_set_pubkey(cert, key);
	subject = X509_get_subject_name(cert);
	/* A common name has 64 characters at most; the names that count are in subjectAltName. */
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name,
				   (int)strnlen(name, 64), -1, 0);
	return cert;
}

static int make_ca(EVP_PKEY *key, X509 **out, struct err *e)
{
	cleanup(x509_free_at) X509 *cert = NULL;
	char host[64] = "", name[128];

	gethostname(host, sizeof(host) - 1);
	snprintf(name, sizeof(name), "Skimmer proxy CA %s", host);
	cert = new_certificate(key, name, CA_DAYS);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	if (!add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
	    !add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") ||
	    !add_extension(cert, cert, NID_subject_key_identifier, "hash") ||
	    !X509_sign(cert, key, EVP_sha256()))
		return ssl_error(e, "make a CA");
	*out = cert;
	cert = NULL;
	return 0;
}

/* Only what can stand in a certificate and in a URL. */
static bool host_is_sane(const char *host)
{
	return host[0] && strlen(host) < 254 &&
	       strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:") ==
		       strlen(host);
}

static int make_leaf(const struct authority *a, const char *host, X509 **out, struct err *e)
{
	cleanup(x509_free_at) X509 *cert = NULL;
	cleanup(free_at) char *names = NULL;
	struct net_addr addr;

	if (!host_is_sane(host))
		return err_set(e, EINVAL, "not a host's name");
	names = mem_printf("%s:%s", net_addr_parse(host, 0, &addr) ? "IP" : "DNS", host);
	cert = new_certificate(a->leaf_key, host, LEAF_DAYS);
	X509_set_issuer_name(cert, X509_get_subject_name(a->cert));
	if (!add_extension(cert, a->cert, NID_basic_constraints, "critical,CA:FALSE") ||
	    !add_extension(cert, a->cert, NID_key_usage, "critical,digitalSignature") ||
	    !add_extension(cert, a->cert, NID_ext_key_usage, "serverAuth") ||
	    !add_extension(cert, a->cert, NID_subject_alt_name, names) ||
	    !add_extension(cert, a->cert, NID_authority_key_identifier, "keyid") ||
	    !X509_sign(cert, a->key, EVP_sha256()))
		return ssl_error(e, "sign a certificate");
	*out = cert;
	cert = NULL;
	return 0;
}

/* ---- files */

static int read_pem(struct authority *a, const char *cert_file, const char *key_file, struct err *e)
{
	cleanup(fclose_at) FILE *cert = fopen(cert_file, "re");
	cleanup(fclose_at) FILE *key = cert ? fopen(key_file, "re") : NULL;

	if (!cert || !key)
		return err_set(e, errno, "open %s", cert ? key_file : cert_file);
	a->cert = PEM_read_X509(cert, NULL, NULL, NULL);
	a->key = a->cert ? PEM_read_PrivateKey(key, NULL, NULL, NULL) : NULL;
	if (!a->cert || !a->key)
		return ssl_error(e, a->cert ? key_file : cert_file);
	if (X509_check_private_key(a->cert, a->key) != 1)
		return ssl_error(e, "the CA's key is not that of its certificate");
	if (X509_check_ca(a->cert) < 1)
		return err_set(e, EINVAL, "%s is not a CA's certificate", cert_file);
	return 0;
}

/* The file appears whole or not at all. key NULL: the certificate alone, for everyone to read. */
static int write_pem(const char *path, X509 *cert, EVP_PKEY *key, struct err *e)
{
	cleanup(free_at) char *temporary = mem_printf("%s.%d", path, (int)getpid());
	int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
		      key ? 0600 : 0644);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	bool fine;

	if (!f)
		return err_set(e, errno, "make %s", temporary);
	fine = (!key || PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL)) &&
	       PEM_write_X509(f, cert) && fflush(f) == 0 && fsync(fd) == 0;
	fine = fclose(f) == 0 && fine;
	if (fine && rename(temporary, path) == 0)
		return 0;
	err_set(e, errno ? errno : EIO, "write %s", path);
	unlink(temporary);
	return -e->code;
}

static int open_own(struct authority *a, const char *dir, struct err *e)
{
	cleanup(free_at) char *pem = mem_printf("%s/proxy-ca.pem", dir);
	cleanup(free_at) char *crt = mem_printf("%s/proxy-ca.crt", dir);
	int r;

	if (access(pem, F_OK) == 0)
		return read_pem(a, pem, pem, e);
	r = dir_make(dir, 0755, e);
	if (r < 0)
		return r;
	a->key = EVP_EC_gen("P-256");
	if (!a->key)
		return ssl_error(e, "make a key");
	r = make_ca(a->key, &a->cert, e);
	if (r == 0)
		r = write_pem(pem, a->cert, a->key, e);
	if (r == 0)
		r = write_pem(crt, a->cert, NULL, e);
	if (r == 0)
		log_info("CA for interception made", "file=%s", crt);
	return r;
}

/* ---- life */

int authority_open(const char *cert_file, const char *key_file, const char *dir,
		   struct authority **out, struct err *e)
{
	struct authority *a = mem_new(struct authority);
	int r;

	lock_init(&a->lock, RANK_AUTHORITY);
	list_init(&a->used);
	a->by_host = map_new();
	a->leaf_key = EVP_EC_gen("P-256");
	if (!a->leaf_key)
		abort();
	if (cert_file && key_file)
		r = read_pem(a, cert_file, key_file, e);
	else if (dir)
		r = open_own(a, dir, e);
	else
		r = err_set(e, EINVAL, "no CA and no directory to keep one in");
	if (r < 0) {
		authority_free(a);
		return err_wrap(e, "the proxy's CA");
	}
	*out = a;
	return 0;
}

static void leaf_free(struct leaf *l)
{
	X509_free(l->cert);
	free(l->host);
	free(l);
}

void authority_free(struct authority *a)
{
	if (!a)
		return;
	list_each_safe (it, &a->used)
		leaf_free(list_entry(it, struct leaf, link));
	map_free(a->by_host);
	X509_free(a->cert);
	EVP_PKEY_free(a->key);
	EVP_PKEY_free(a->leaf_key);
	lock_release(&a->lock);
	free(a);
}

/* Under lock. */
static void leaf_drop(struct authority *a, struct leaf *l)
{
	list_remove(&l->link);
	map_remove(a->by_host, l->host);
	leaf_free(l);
}

/* A reference to a fresh certificate that is here, or NULL. */
static X509 *leaf_find(struct authority *a, const char *host)
{
	struct leaf *l;

	lock_guard(&a->lock);
	l = map_get(a->by_host, host);
	if (!l || clock_ms() - l->made_ms > LEAF_FRESH_MS)
		return NULL;
	list_remove(&l->link);
	list_push_front(&a->used, &l->link);
	X509_up_ref(l->cert);
	return l->cert;
}

static void leaf_keep(struct authority *a, const char *host, X509 *cert)
{
	struct leaf *l = mem_new(struct leaf), *old;

	X509_up_ref(cert);
	l->cert = cert;
	l->host = mem_strdup(host);
	l->made_ms = clock_ms();
	lock_guard(&a->lock);
	old = map_get(a->by_host, host);
	if (old)
		leaf_drop(a, old);
	map_put(a->by_host, host, l);
	list_push_front(&a->used, &l->link);
	if (map_count(a->by_host) > LEAVES_MAX)
		leaf_drop(a, list_entry(a->used.prev, struct leaf, link));
}

int authority_sign_for(struct authority *a, const char *host, SSL *ssl, struct err *e)
{
	cleanup(x509_free_at) X509 *cert = leaf_find(a, host);

	if (!cert) {
		if (make_leaf(a, host, &cert, e) < 0)
			return -e->code;
		leaf_keep(a, host, cert);
	}
	if (SSL_use_certificate(ssl, cert) != 1 || SSL_use_PrivateKey(ssl, a->leaf_key) != 1)
		return ssl_error(e, "use a certificate");
	return 0;
}
