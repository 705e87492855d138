/* yescrypt with libcrypt's own default cost. */
#include "control/manager/password.h"

#include "base/mem.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <string.h>

/* Of no password that anybody may have: compared with where there is no user. */
#define NOBODYS "$y$j9T$IlaU6uGJnhGMbiu8BMTnl.$xaHhfjkfYRbZ5cnJSHAT0CS3HbrQTTFE5Qp2xmQ4pK3"

/* NULL if setting is no setting of crypt's. The caller frees. */
static char *crypt_text(const char *password, const char *setting)
{
	struct crypt_data *data cleanup(free_at) = mem_new(struct crypt_data);
	char *hash = crypt_rn(password, setting, data, (int)sizeof(*data)), *out;

	out = hash ? mem_strdup(hash) : NULL;
	OPENSSL_cleanse(data, sizeof(*data));
	return out;
}

char *password_hash(const char *password)
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	char *hash;

	if (!crypt_gensalt_rn("$y$", 0, NULL, 0, setting, (int)sizeof(setting)))
		abort();
	hash = crypt_text(password, setting);
	if (!hash)
		abort();
	return hash;
}

bool password_fits(const char *password, const char *hash)
{
	char *made cleanup(free_at) = crypt_text(password, hash ? hash : NOBODYS);
	size_t len;

	if (!made || !hash)
		return false;
	len = strlen(hash);
	return strlen(made) == len && CRYPTO_memcmp(made, hash, len) == 0;
}
