/*
 * Registry access. A slot holds one Authorization: that of a credential (or none) for a repository
 * of a registry. One thread at a time fetches a slot's token, the others wait for its outcome.
 *
 * Source: distribution/distribution docs "Token Authentication Specification" and "OAuth2 Token
 * Authentication".
 */
#include "daemon/registry.h"

#include "base/challenge.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/header_lines.h"
#include "base/json.h"
#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"
#include "daemon/docker_config.h"
#include "daemon/inquiry.h"
#include "daemon/secret.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#define SLOTS_MAX      4096
#define ANSWER_MAX     (64u << 10) /* bytes of a token service's answer */
#define TOKEN_MAX      (32u << 10)
#define SCOPES_MAX     16
#define LIFE_DEFAULT_S 60
#define LIFE_MAX_S     86400
#define NAP_MS	       100
#define FETCH_TRIES    2 /* after the first */
#define FETCH_MS       15000

struct slot {
	char *authorization; /* NULL = none */
	int64_t expires_ms;
	unsigned users; /* threads that hold the slot without the lock */
	bool fetching;
	unsigned round; /* counts fetches; err is the last one's outcome */
	struct err err;
};

struct registry {
	struct exchange_pool *pool;
	struct docker_config *config;
	struct lock lock; /* rank 50; guards all below */
	struct cond changed;
	struct map *slots; /* by key_of() */
};

struct registry *registry_new(const char *docker_config, struct exchange_pool *pool)
{
	struct registry *r = mem_new(struct registry);

	r->pool = pool;
	r->config = docker_config_new(docker_config);
	lock_init(&r->lock, 50);
	cond_init(&r->changed);
	r->slots = map_new();
	return r;
}

static void slot_free(struct slot *s)
{
	secret_free(s->authorization);
	free(s);
}

void registry_free(struct registry *r)
{
	const char *key;
	void *value;

	if (!r)
		return;
	for (size_t at = 0; map_next(r->slots, &at, &key, &value);)
		slot_free(value);
	map_free(r->slots);
	cond_release(&r->changed);
	lock_release(&r->lock);
	docker_config_free(r->config);
	free(r);
}

/* ---- which credential, which slot */

/* "/v2/<name>/blobs/..." -> "<name>", "" if the path is no registry's. The caller frees. */
static char *repository_of(const struct url *u)
{
	static const char *const parts[] = {"/blobs/", "/manifests/", "/tags/", "/referrers/"};
	const char *end = NULL;

	if (strncmp(u->path, "/v2/", 4) != 0)
		return mem_strdup("");
	for (size_t i = 0; i < array_len(parts); i++) {
		for (const char *at = u->path + 3; (at = strstr(at, parts[i])) != NULL; at++)
			end = at > end || !end ? at : end;
	}
	if (!end || end <= u->path + 4)
		return mem_strdup("");
	return mem_strndup(u->path + 4, (size_t)(end - u->path - 4));
}

static void find_credential(struct registry *r, const struct registry_ask *ask,
			    const char *repository, struct docker_credential *out)
{
	*out = (struct docker_credential){0};
	if (!ask->anonymous && !docker_config_find(r->config, ask->url, repository, out))
		*out = (struct docker_credential){0};
}

static const char *text_of(const char *text)
{
	return text ? text : "";
}

/* Registry, repository and a fingerprint of the credential. */
static char *key_of(const struct url *u, const char *repository, const struct docker_credential *c)
{
	char authority[280], hex[DIGEST_HEX_LEN + 1] = "";
	char *all;

	url_authority(u, authority, sizeof(authority));
	if (c->user || c->identity_token || c->registry_token) {
		all = mem_printf("%s\n%s\n%s\n%s", text_of(c->user), text_of(c->password),
				 text_of(c->identity_token), text_of(c->registry_token));
		sha256_hex(all, strlen(all), hex);
		secret_free(all);
	}
	return mem_printf("%s://%s\n%s\n%s", u->scheme, authority, repository, hex);
}

static bool is_good(const struct slot *s)
{
	return s->authorization && clock_ms() < s->expires_ms;
}

char *registry_authorization(struct registry *r, const struct registry_ask *ask)
{
	cleanup(free_at) char *repository = repository_of(ask->url);
	cleanup(docker_credential_release) struct docker_credential c;
	cleanup(free_at) char *key = NULL;
	struct slot *s;

	find_credential(r, ask, repository, &c);
	key = key_of(ask->url, repository, &c);
	lock_guard(&r->lock);
	s = map_get(r->slots, key);
	return s && is_good(s) ? mem_strdup(s->authorization) : NULL;
}

/* ---- asking the token service */

struct token_call {
	struct buf body;
	int status;
};

static int token_head(struct inquiry *q, struct exchange *x, struct err *e)
{
	struct token_call *t = q->arg;

	(void)e;
	t->status = x->answer.status;
	buf_clear(&t->body);
	return 0;
}

static int token_body(struct inquiry *q, struct exchange *x, const void *data, size_t len,
		      struct err *e)
{
	struct token_call *t = q->arg;

	(void)x;
	buf_append(&t->body, data, len);
	return t->body.overflow ? err_set(e, EPROTO, "the token service's answer is too long") : 0;
}

static void add_param(struct buf *query, const char *name, const char *value)
{
	cleanup(secret_free_at) char *encoded = url_encode(value);

	buf_printf(query, "%s%s=%s", query->len ? "&" : "", name, encoded);
}

/* One scope parameter for each of the blank-separated scopes. */
static void add_scopes(struct buf *query, const struct challenge *ch, const char *repository)
{
	cleanup(free_at) char *scopes = ch->scope && *ch->scope ? mem_strdup(ch->scope)
					: *repository ? mem_printf("repository:%s:pull", repository)
						      : mem_strdup("");
	char *rest = NULL, *one = strtok_r(scopes, " ", &rest);

	for (unsigned i = 0; one && i < SCOPES_MAX; i++, one = strtok_r(NULL, " ", &rest))
		add_param(query, "scope", one);
}

/* Where tokens come from; refused if a secret could be overheard that the registry protects. */
static int check_realm(const struct registry_ask *ask, const struct challenge *ch, struct url *out,
		       struct err *e)
{
	int r = url_parse(ch->realm, out, e);

	if (r < 0)
		return err_set(e, EPROTO, "the realm of the challenge is no http URL");
	if (strcmp(out->scheme, "https") != 0 && strcmp(ask->url->scheme, "https") == 0)
		return err_set(e, EPROTO, "the realm of the challenge is http, its registry https");
	return 0;
}

static char *basic_of(const struct docker_credential *c)
{
	cleanup(secret_free_at) char *plain = mem_printf("%s:%s", c->user, text_of(c->password));
	cleanup(secret_free_at) char *encoded = mem_alloc(4 * (strlen(plain) / 3 + 1) + 1);

	EVP_EncodeBlock((unsigned char *)encoded, (const unsigned char *)plain, (int)strlen(plain));
	return mem_printf("Basic %s", encoded);
}

/* The token in the answer, as an Authorization with its life. */
static int read_token(const struct token_call *t, struct slot *out, struct err *e)
{
	cleanup(json_decref_at) json_t *j = NULL;
	const char *token;
	uint64_t life_s;

	if (json_parse(text_of(t->body.data), t->body.len, ANSWER_MAX, &j, e) < 0)
		return err_set(e, EPROTO, "the token service's answer is no JSON");
	token = json_str(j, "token");
	if (!token || !*token)
		token = json_str(j, "access_token");
	if (!token || !*token || strlen(token) > TOKEN_MAX ||
	    !header_value_is_valid(token, strlen(token)))
		return err_set(e, EPROTO, "the token service's answer has no sound token");
	life_s = json_u64(j, "expires_in", LIFE_DEFAULT_S);
	if (life_s == 0)
		life_s = LIFE_DEFAULT_S;
	if (life_s > LIFE_MAX_S)
		life_s = LIFE_MAX_S;
	out->authorization = mem_printf("Bearer %s", token);
	/* A tenth less, so that it does not end on the way. */
	out->expires_ms = clock_ms() + (int64_t)life_s * 900;
	return 0;
}

static int refusal(const struct url *realm, int status, struct err *e)
{
	const char *fault = status == 429 ? "SK234" : status >= 500 ? "SK231" : "SK232";
	int code = status == 429 ? EBUSY : status >= 500 ? EHOSTUNREACH : EACCES;

	return err_blame(e, fault,
			 err_set(e, code, "token service %s: HTTP %d", realm->host, status));
}

/* Runs the request to the token service: GET with Basic or nothing, or POST with a refresh token.
 */
static int ask_service(struct registry *r, const struct registry_ask *ask, const struct url *realm,
		       const char *url, const char *form, const char *basic, struct token_call *t,
		       struct err *e)
{
	struct {
		char *name, *value;
	} header = {(char *)"Authorization", (char *)basic};
	struct config_pairs pairs = {.items = (void *)&header, .count = basic ? 1 : 0};
	int64_t latest_ms = clock_ms() + FETCH_MS;
	struct origin_request rq = {.url = url, .headers = &pairs, .cancelled = ask->cancelled};
	struct inquiry q = {.pool = r->pool,
			    .rq = &rq,
			    .retries_max = FETCH_TRIES,
			    .method = form ? "POST" : "GET",
			    .form = form,
			    .any_status = true,
			    .on_head = token_head,
			    .on_body = token_body,
			    .arg = t};
	int result;

	rq.deadline_ms =
		ask->deadline_ms && ask->deadline_ms < latest_ms ? ask->deadline_ms : latest_ms;
	result = inquiry_run(&q, e);
	if (result < 0)
		return err_wrap(e, "token service");
	return t->status == 200 ? 0 : refusal(realm, t->status, e);
}

static int fetch_token(struct registry *r, const struct registry_ask *ask,
		       const struct challenge *ch, const char *repository,
		       const struct docker_credential *c, struct slot *out, struct err *e)
{
	struct token_call t = {.body = BUF_INIT(ANSWER_MAX)};
	struct buf query = BUF_INIT(ANSWER_MAX);
	cleanup(url_release) struct url realm = {0};
	cleanup(secret_free_at) char *basic = c->user && !c->identity_token ? basic_of(c) : NULL;
	cleanup(secret_free_at) char *url = NULL;
	int result = check_realm(ask, ch, &realm, e);

	if (result < 0)
		return result;
	if (c->identity_token) {
		add_param(&query, "grant_type", "refresh_token");
		add_param(&query, "refresh_token", c->identity_token);
		add_param(&query, "client_id", "skimmer");
	} else if (realm.query) {
		buf_puts(&query, realm.query);
	}
	if (ch->service)
		add_param(&query, "service", ch->service);
	add_scopes(&query, ch, repository);
	if (!c->identity_token) {
		free(realm.query);
		realm.query = query.len ? mem_strdup(query.data) : NULL;
	}
	url = url_print(&realm);
	result = ask_service(r, ask, &realm, url, c->identity_token ? query.data : NULL, basic, &t,
			     e);
	if (result == 0)
		result = read_token(&t, out, e);
	if (t.body.data)
		OPENSSL_cleanse(t.body.data, t.body.len);
	if (query.data)
		OPENSSL_cleanse(query.data, query.len);
	buf_release(&t.body);
	buf_release(&query);
	return result;
}

/* ---- answering */

/* What answers the challenge, in *out (authorization and life alone). */
static int make_answer(struct registry *r, const struct registry_ask *ask,
		       const struct challenge *ch, const char *repository,
		       const struct docker_credential *c, struct slot *out, struct err *e)
{
	out->expires_ms = INT64_MAX;
	if (c->registry_token &&
	    header_value_is_valid(c->registry_token, strlen(c->registry_token))) {
		out->authorization = mem_printf("Bearer %s", c->registry_token);
		return 0;
	}
	if (ch->scheme == CHALLENGE_BEARER)
		return fetch_token(r, ask, ch, repository, c, out, e);
	if (!c->user)
		return err_blame(e, "SK232",
				 err_set(e, EACCES, "%s asks for a password, none is configured",
					 ask->url->host));
	out->authorization = basic_of(c);
	return 0;
}

static int read_challenges(const char *lines, struct challenge *out, struct err *e)
{
	for (unsigned i = 0;; i++) {
		cleanup(free_at) char *value = header_lines_get(lines, "WWW-Authenticate", i);
		int r;

		if (!value)
			break;
		r = challenge_parse(value, out, e);
		if (r < 0)
			return r;
	}
	if (out->scheme == CHALLENGE_NONE)
		return err_blame(
			e, "SK232",
			err_set(e, EACCES, "HTTP 401 without a challenge that can be answered"));
	return 0;
}

/* Under the lock: makes room by dropping what nobody uses, the expired first. */
static void make_room(struct registry *r)
{
	for (int idle = 0; idle < 2 && map_count(r->slots) >= SLOTS_MAX; idle++) {
		const char *key;
		void *value;

		for (size_t at = 0; map_next(r->slots, &at, &key, &value);) {
			struct slot *s = value;

			if (s->users == 0 && (idle || !is_good(s))) {
				map_remove(r->slots, key);
				slot_free(s);
			}
		}
	}
}

/* Under the lock. The slot with one more user. */
static struct slot *take_slot(struct registry *r, const char *key)
{
	struct slot *s = map_get(r->slots, key);

	if (!s) {
		make_room(r);
		s = mem_new(struct slot);
		map_put(r->slots, key, s);
	}
	s->users++;
	return s;
}

/* Under the lock. 1: s has an answer that was not refused. 0: this thread is to fetch one.
 * Negative: the one who fetched failed, or our time is up. */
static int await_turn(struct registry *r, struct slot *s, const struct registry_ask *ask,
		      const char *refused, struct err *e)
{
	unsigned round = s->round;

	while (s->fetching) {
		int64_t nap = clock_ms() + NAP_MS;

		if (ask->deadline_ms && ask->deadline_ms < nap)
			nap = ask->deadline_ms;
		cond_wait_until(&r->changed, &r->lock, nap);
		if (ask->cancelled && __atomic_load_n(ask->cancelled, __ATOMIC_ACQUIRE))
			return err_set(e, ECANCELED, "cancelled");
		if (ask->deadline_ms && clock_ms() >= ask->deadline_ms)
			return err_set(e, ETIMEDOUT, "the token service took too long");
	}
	if (is_good(s) && (!refused || strcmp(refused, s->authorization) != 0))
		return 1;
	/* Who gave up because of its own deadline says nothing about the service. */
	if (s->round != round && s->err.code && s->err.code != ECANCELED &&
	    s->err.code != ETIMEDOUT)
		return err_copy(e, &s->err);
	s->fetching = true;
	return 0;
}

/* Under the lock. */
static void keep_answer(struct registry *r, struct slot *s, struct slot *fresh, const struct err *e)
{
	secret_free(s->authorization);
	s->authorization = take_ptr(&fresh->authorization);
	s->expires_ms = fresh->expires_ms;
	s->err = e ? *e : (struct err){0};
	s->round++;
	s->fetching = false;
	cond_wake_all(&r->changed);
}

int registry_answer(struct registry *r, const struct registry_ask *ask, const char *header_lines,
		    const char *refused, char **authorization_out, struct err *e)
{
	cleanup(challenge_release) struct challenge ch = {0};
	cleanup(docker_credential_release) struct docker_credential c = {0};
	cleanup(free_at) char *repository = repository_of(ask->url);
	cleanup(free_at) char *key = NULL;
	struct slot *s, fresh = {0};
	int result = read_challenges(header_lines, &ch, e);

	if (result < 0)
		return result;
	find_credential(r, ask, repository, &c);
	key = key_of(ask->url, repository, &c);
	lock_take(&r->lock);
	s = take_slot(r, key);
	result = await_turn(r, s, ask, refused, e);
	if (result == 0) {
		lock_drop(&r->lock);
		result = make_answer(r, ask, &ch, repository, &c, &fresh, e);
		lock_take(&r->lock);
		keep_answer(r, s, &fresh, result < 0 ? e : NULL);
	}
	if (result >= 0 && refused && strcmp(refused, s->authorization) == 0) {
		secret_free(take_ptr(&s->authorization));
		result = err_blame(
			e, "SK232",
			err_set(e, EACCES, "%s refuses the configured credential", ask->url->host));
	}
	if (result >= 0)
		*authorization_out = mem_strdup(s->authorization);
	s->users--;
	lock_drop(&r->lock);
	return result < 0 ? result : 0;
}
