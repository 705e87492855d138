/* Signing and verifying; the keys' life. */
#include "control/manager/jwt.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/manager/base64url.h"
#include "control/manager/db.h"
#include "control/manager/vault.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#define RANK_JWT      45
#define KEYS_MAX      32
#define TOKEN_MAX     4096
#define LOOK_EVERY_MS 60000
#define MAC_LEN	      32
#define SEALED_AS     "signing_keys.secret"

struct key {
	int64_t id, created_ms;
	char *secret;
};

struct jwt {
	struct jwt_config config;
	char *given_key;
	struct db *db;
	const struct vault *vault;
	struct lock lock;
	struct key keys[KEYS_MAX]; /* lock; newest first */
	unsigned count;		   /* lock */
	int64_t looked_ms;	   /* lock; when the database was read */
};

static void keys_release(struct key *keys, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		OPENSSL_cleanse(keys[i].secret, strlen(keys[i].secret));
		free(keys[i].secret);
	}
}

/* ---- keys */

static int read_keys(struct jwt *j, struct key *keys, unsigned *count_out, struct err *e)
{
	char *sealed[KEYS_MAX];
	unsigned count = 0, opened = 0;
	struct query q;
	int r;

	query_start(j->db, &q, e,
		    "SELECT id, secret_sealed, created_ms FROM signing_keys ORDER BY id DESC", "");
	while (count < KEYS_MAX && query_next(&q)) {
		keys[count].id = query_int(&q, 0);
		sealed[count] = mem_strdup(query_text(&q, 1));
		keys[count++].created_ms = query_int(&q, 2);
	}
	r = query_end(&q);
	for (unsigned i = 0; i < count; i++) {
		if (r == 0)
			r = vault_open_text(j->vault, SEALED_AS, sealed[i], &keys[i].secret, e);
		opened += r == 0;
		free(sealed[i]);
	}
	if (r < 0) {
		keys_release(keys, opened);
		return r;
	}
	*count_out = count;
	return 0;
}

/* Another manager may do the same in this moment: two new keys are as good as one. */
static int add_key(struct jwt *j, struct err *e)
{
	char *secret cleanup(free_at) = vault_random(MAC_LEN);
	char *sealed cleanup(free_at) = vault_seal(j->vault, SEALED_AS, secret);
	int64_t now = clock_wall_ms();
	int r = db_run(j->db, NULL, e,
		       "INSERT INTO signing_keys (secret_sealed, created_ms) VALUES (?, ?)", "si",
		       sealed, now);

	if (r == 0)
		r = db_run(j->db, NULL, e, "DELETE FROM signing_keys WHERE created_ms < ?", "i",
			   now - j->config.rotate_ms - j->config.life_ms - j->config.refresh_ms);
	if (r == 0)
		log_info("tokens are signed with a new key", NULL);
	return r;
}

static int load_keys(struct jwt *j, struct err *e)
{
	struct key keys[KEYS_MAX], old[KEYS_MAX];
	unsigned count = 0, old_count;
	int r = read_keys(j, keys, &count, e);

	if (r == 0 && (!count || keys[0].created_ms < clock_wall_ms() - j->config.rotate_ms)) {
		keys_release(keys, count);
		count = 0;
		r = add_key(j, e);
		if (r == 0)
			r = read_keys(j, keys, &count, e);
	}
	if (r < 0)
		return r;
	lock_guard(&j->lock);
	memcpy(old, j->keys, sizeof(old));
	old_count = j->count;
	memcpy(j->keys, keys, sizeof(keys));
	j->count = count;
	j->looked_ms = clock_ms();
	keys_release(old, old_count);
	return 0;
}

static void refresh_keys(struct jwt *j, bool unknown)
{
	struct err e = {0};
	bool due;

	lock_take(&j->lock);
	/* A key that we do not know may be another manager's: but garbage must not make us read. */
	due = clock_ms() - j->looked_ms > (unknown ? LOOK_EVERY_MS / 60 : LOOK_EVERY_MS);
	lock_drop(&j->lock);
	if (due && !j->given_key && load_keys(j, &e) < 0)
		log_error(err_fault(&e), "signing keys cannot be read", "why=\"%s\"", e.text);
}

/* The key's secret, a copy, or NULL. id 0: the newest, whose id is told. */
static char *key_secret(struct jwt *j, int64_t *id)
{
	lock_guard(&j->lock);
	for (unsigned i = 0; i < j->count; i++)
		if (!*id || j->keys[i].id == *id) {
			*id = j->keys[i].id;
			return mem_strdup(j->keys[i].secret);
		}
	return NULL;
}

static char *signing_secret(struct jwt *j, int64_t *id)
{
	char *secret;

	if (j->given_key) {
		*id = 0;
		return mem_strdup(j->given_key);
	}
	refresh_keys(j, false);
	secret = key_secret(j, id);
	if (secret || !*id)
		return secret;
	refresh_keys(j, true);
	return key_secret(j, id);
}

/* ---- tokens */

static void sign(const char *secret, const char *text, size_t len, unsigned char mac[MAC_LEN])
{
	unsigned n = MAC_LEN;

	if (!HMAC(EVP_sha256(), secret, (int)strlen(secret), (const void *)text, len, mac, &n))
		abort();
}

static char *print_part(json_t *part)
{
	char *text cleanup(free_at) = json_print(part);

	json_decref(part);
	return base64url_encode(text, strlen(text));
}

static char *print_token(const char *secret, int64_t id, const struct jwt_claims *c)
{
	char kid[24];
	unsigned char mac[MAC_LEN];
	char *head cleanup(free_at) = NULL, *claims cleanup(free_at) = NULL;
	char *text cleanup(free_at) = NULL, *code cleanup(free_at) = NULL;

	snprintf(kid, sizeof(kid), "%lld", (long long)id);
	head = print_part(json_pack("{s:s, s:s, s:s}", "alg", "HS256", "typ", "JWT", "kid", kid));
	claims = print_part(json_pack("{s:I, s:I, s:I, s:I}", "exp", (json_int_t)c->exp_s, "id",
				      (json_int_t)c->user_id, "orig_iat", (json_int_t)c->orig_iat_s,
				      "gen", (json_int_t)c->generation));
	text = mem_printf("%s.%s", head, claims);
	sign(secret, text, strlen(text), mac);
	code = base64url_encode(mac, sizeof(mac));
	return mem_printf("%s.%s", text, code);
}

int jwt_issue(struct jwt *j, struct jwt_claims *claims, char **out, struct err *e)
{
	int64_t now_s = clock_wall_ms() / 1000, id = 0;
	char *secret = signing_secret(j, &id);

	if (!secret)
		return err_set(e, EIO, "there is no key to sign tokens with");
	if (!claims->orig_iat_s)
		claims->orig_iat_s = now_s;
	claims->exp_s = now_s + j->config.life_ms / 1000;
	*out = print_token(secret, id, claims);
	OPENSSL_cleanse(secret, strlen(secret));
	free(secret);
	return 0;
}

static json_t *parse_part(const char *text, size_t len)
{
	struct buf data cleanup(buf_release) = BUF_INIT(TOKEN_MAX);
	json_t *json = NULL;

	if (!base64url_decode(text, len, &data) ||
	    json_parse(data.data ? data.data : "", data.len, TOKEN_MAX, &json, NULL) < 0)
		return NULL;
	return json;
}

static bool mac_fits(const char *secret, const char *token, size_t signed_len, const char *code)
{
	struct buf given cleanup(buf_release) = BUF_INIT(MAC_LEN);
	unsigned char mac[MAC_LEN];

	if (!base64url_decode(code, strlen(code), &given) || given.len != MAC_LEN)
		return false;
	sign(secret, token, signed_len, mac);
	return CRYPTO_memcmp(mac, given.data, MAC_LEN) == 0;
}

static bool signed_by_us(struct jwt *j, const json_t *head, const char *token, const char *code)
{
	const char *alg = json_str(head, "alg"), *kid = json_str(head, "kid");
	char *secret cleanup(free_at) = NULL;
	int64_t id = kid ? strtoll(kid, NULL, 10) : 0;

	if (!alg || strcmp(alg, "HS256") != 0 || (!j->given_key && id <= 0))
		return false;
	secret = signing_secret(j, &id);
	return secret && mac_fits(secret, token, (size_t)(code - 1 - token), code);
}

static bool claims_live(const struct jwt *j, const json_t *claims, bool for_refresh,
			struct jwt_claims *out)
{
	int64_t now_s = clock_wall_ms() / 1000;

	*out = (struct jwt_claims){
		.user_id = (int64_t)json_u64(claims, "id", 0),
		.generation = (int64_t)json_u64(claims, "gen", 0),
		.orig_iat_s = (int64_t)json_u64(claims, "orig_iat", 0),
		.exp_s = (int64_t)json_u64(claims, "exp", 0),
	};
	if (!out->user_id)
		return false;
	return for_refresh ? now_s < out->orig_iat_s + j->config.refresh_ms / 1000
			   : now_s < out->exp_s;
}

bool jwt_verify(struct jwt *j, const char *token, bool for_refresh, struct jwt_claims *out)
{
	json_t *head cleanup(json_decref_at) = NULL, *claims cleanup(json_decref_at) = NULL;
	const char *dot = strchr(token, '.'), *code = dot ? strchr(dot + 1, '.') : NULL;

	if (!code || strlen(token) > TOKEN_MAX || strchr(code + 1, '.'))
		return false;
	head = parse_part(token, (size_t)(dot - token));
	claims = parse_part(dot + 1, (size_t)(code - dot - 1));
	return head && claims && signed_by_us(j, head, token, code + 1) &&
	       claims_live(j, claims, for_refresh, out);
}

/* ---- life */

int jwt_open(const struct jwt_config *config, struct db *db, const struct vault *vault,
	     struct jwt **out, struct err *e)
{
	struct jwt *j = mem_new(struct jwt);
	int r = 0;

	j->config = *config;
	j->given_key = mem_strdup(config->key);
	j->db = db;
	j->vault = vault;
	lock_init(&j->lock, RANK_JWT);
	if (!j->given_key)
		r = load_keys(j, e);
	if (r < 0) {
		jwt_free(j);
		return r;
	}
	*out = j;
	return 0;
}

void jwt_free(struct jwt *j)
{
	if (!j)
		return;
	keys_release(j->keys, j->count);
	lock_release(&j->lock);
	free(j->given_key);
	free(j);
}
