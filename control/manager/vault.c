/* AES-256-GCM by OpenSSL. A sealed text: "1." and base64url of nonce (12), ciphertext, tag (16). */
#include "control/manager/vault.h"

#include "base/mem.h"
#include "control/manager/base64url.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/stat.h>

#define KEY_LEN	  32
#define NONCE_LEN 12
#define TAG_LEN	  16
#define TEXT_MAX  (4u << 20)

struct vault {
	unsigned char key[KEY_LEN];
};

static void random_bytes(void *out, size_t len)
{
	if (RAND_bytes(out, (int)len) != 1)
		abort();
}

char *vault_random(size_t bytes)
{
	unsigned char data[64];

	assert(bytes <= sizeof(data));
	random_bytes(data, bytes);
	return base64url_encode(data, bytes);
}

static int make_key(const char *file, struct err *e)
{
	unsigned char key[KEY_LEN];
	char hex[2 * KEY_LEN + 2];
	cleanup(close_at) int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EEXIST)
		return 0; /* another manager was quicker */
	if (fd < 0)
		return err_set(e, errno, "make the key file %s", file);
	random_bytes(key, sizeof(key));
	for (size_t i = 0; i < KEY_LEN; i++)
		snprintf(hex + 2 * i, 3, "%02x", key[i]);
	hex[2 * KEY_LEN] = '\n';
	if (write(fd, hex, 2 * KEY_LEN + 1) != 2 * KEY_LEN + 1 || fsync(fd) < 0)
		return err_set(e, errno ? errno : EIO, "write the key file %s", file);
	OPENSSL_cleanse(key, sizeof(key));
	OPENSSL_cleanse(hex, sizeof(hex));
	return 0;
}

/* A secret of Kubernetes is root's, and our group may read it. */
static bool is_ours_alone(const struct stat *st)
{
	if (st->st_uid == 0 && geteuid() != 0)
		return (st->st_mode & 037) == 0;
	return (st->st_mode & 077) == 0;
}

static int read_key(const char *file, struct vault *v, struct err *e)
{
	char hex[2 * KEY_LEN + 1] = "";
	struct stat st;
	cleanup(close_at) int fd = open(file, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, errno, "open the key file %s", file);
	if (!is_ours_alone(&st))
		return err_blame(
			e, "SK251",
			err_set(e, EPERM, "others may read the key file %s: chmod 600 it", file));
	if (read(fd, hex, 2 * KEY_LEN) != 2 * KEY_LEN)
		return err_blame(e, "SK251",
				 err_set(e, EINVAL, "the key file %s is not 64 hex digits", file));
	for (size_t i = 0; i < KEY_LEN; i++)
		if (sscanf(hex + 2 * i, "%2hhx", &v->key[i]) != 1)
			return err_blame(
				e, "SK251",
				err_set(e, EINVAL, "the key file %s is not 64 hex digits", file));
	OPENSSL_cleanse(hex, sizeof(hex));
	return 0;
}

int vault_open(const char *file, struct vault **out, struct err *e)
{
	struct vault *v;
	int r = access(file, F_OK) == 0 ? 0 : make_key(file, e);

	if (r < 0)
		return r;
	v = mem_new(struct vault);
	r = read_key(file, v, e);
	if (r < 0) {
		vault_free(v);
		return r;
	}
	*out = v;
	return 0;
}

void vault_free(struct vault *v)
{
	if (v)
		OPENSSL_cleanse(v, sizeof(*v));
	free(v);
}

static void ctx_free_at(EVP_CIPHER_CTX **ctx)
{
	EVP_CIPHER_CTX_free(*ctx);
}

char *vault_seal(const struct vault *v, const char *what, const char *text)
{
	EVP_CIPHER_CTX *ctx cleanup(ctx_free_at) = EVP_CIPHER_CTX_new();
	size_t len = strlen(text);
	unsigned char *data cleanup(free_at) = mem_alloc(NONCE_LEN + len + TAG_LEN);
	char *code cleanup(free_at) = NULL;
	int n;

	assert(len <= TEXT_MAX);
	random_bytes(data, NONCE_LEN);
	if (!ctx || EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, v->key, data) != 1 ||
	    EVP_EncryptUpdate(ctx, NULL, &n, (const void *)what, (int)strlen(what)) != 1 ||
	    EVP_EncryptUpdate(ctx, data + NONCE_LEN, &n, (const void *)text, (int)len) != 1 ||
	    EVP_EncryptFinal_ex(ctx, data + NONCE_LEN + n, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_LEN, data + NONCE_LEN + len) != 1)
		abort();
	code = base64url_encode(data, NONCE_LEN + len + TAG_LEN);
	return mem_printf("1.%s", code);
}

static bool unseal(const struct vault *v, const char *what, const struct buf *in, char *out)
{
	EVP_CIPHER_CTX *ctx cleanup(ctx_free_at) = EVP_CIPHER_CTX_new();
	const unsigned char *data = (const void *)in->data;
	size_t len = in->len - NONCE_LEN - TAG_LEN;
	int n;

	return ctx && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, v->key, data) == 1 &&
	       EVP_DecryptUpdate(ctx, NULL, &n, (const void *)what, (int)strlen(what)) == 1 &&
	       EVP_DecryptUpdate(ctx, (void *)out, &n, data + NONCE_LEN, (int)len) == 1 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_LEN,
				   in->data + NONCE_LEN + len) == 1 &&
	       EVP_DecryptFinal_ex(ctx, (void *)(out + n), &n) == 1;
}

int vault_open_text(const struct vault *v, const char *what, const char *sealed, char **out,
		    struct err *e)
{
	struct buf in cleanup(buf_release) = BUF_INIT(TEXT_MAX + NONCE_LEN + TAG_LEN);
	char *text;

	if (strncmp(sealed, "1.", 2) != 0 ||
	    !base64url_decode(sealed + 2, strlen(sealed + 2), &in) || in.len < NONCE_LEN + TAG_LEN)
		return err_set(e, EBADMSG, "%s is not sealed as it should be", what);
	text = mem_alloc(in.len);
	if (unseal(v, what, &in, text)) {
		*out = text;
		return 0;
	}
	free(text);
	return err_blame(e, "SK251",
			 err_set(e, EBADMSG, "%s was sealed with another key file", what));
}
