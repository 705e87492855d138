/*
 * Signing in elsewhere. A cookie of the browser that began holds the state and PKCE's verifier: a
 * callback without it, or with another's, is refused. Somebody is known here by the provider's
 * number for them, never by a name.
 */
#include "control/manager/rest_oauth.h"

#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/manager/access.h"
#include "control/manager/base64url.h"
#include "control/manager/oauth.h"
#include "control/manager/rest_users.h"
#include "control/manager/users.h"
#include "control/manager/vault.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#define AVATAR_MAX 1024 /* as a person may write it */
#define COOKIE	   "oauth_state"
#define COOKIE_S   600
#define PATH	   "/api/v1/users/signin"

struct client {
	char *id, *secret, *redirect_url;
};

static void client_release(struct client *c)
{
	free(c->id);
	free(c->secret);
	free(c->redirect_url);
}

static const struct manager_oauth *urls_of(const struct rest_call *c)
{
	const struct manager_config *config = c->rest->config;

	return strcmp(c->params[0], "google") == 0 ? &config->google : &config->github;
}

static int load_client(struct rest_call *c, struct client *out, struct err *e)
{
	char *sealed cleanup(free_at) = NULL;
	struct query q;
	int r;

	query_start(c->rest->db, &q, e,
		    "SELECT client_id, client_secret_sealed, redirect_url FROM oauths"
		    " WHERE name = ?",
		    "s", c->params[0]);
	if (query_next(&q)) {
		out->id = mem_strdup(query_text(&q, 0));
		sealed = mem_strdup(query_text(&q, 1));
		out->redirect_url = mem_strdup(query_text(&q, 2));
	}
	r = query_end(&q);
	if (r == 0 && !sealed)
		return err_set(e, ENOENT, "nobody signs in with this here");
	if (r == 0)
		r = vault_open_text(c->rest->vault, "oauths.client_secret", sealed, &out->secret,
				    e);
	if (r == 0 && !*out->redirect_url) {
		free(out->redirect_url);
		out->redirect_url =
			mem_printf("%s://%s" PATH "/%s/callback", rest_scheme(c),
				   c->rq->host ? c->rq->host : "localhost", c->params[0]);
	}
	return r;
}

static void redirect(struct rest_call *c, const char *where)
{
	c->answer->status = 302;
	web_header(c->answer, "Location", "%s", where);
}

static void set_cookie(struct rest_call *c, const char *value, int life_s)
{
	web_header(c->answer, "Set-Cookie",
		   COOKIE "=%s; Path=" PATH "; Max-Age=%d; HttpOnly; SameSite=Lax%s", value, life_s,
		   strcmp(rest_scheme(c), "https") == 0 ? "; Secure" : "");
}

/* base64url of the SHA-256 of the verifier. */
static char *challenge_of(const char *verifier)
{
	unsigned char hash[32];

	if (EVP_Digest(verifier, strlen(verifier), hash, NULL, EVP_sha256(), NULL) != 1)
		abort();
	return base64url_encode(hash, sizeof(hash));
}

static int begin(struct rest_call *c, struct err *e)
{
	struct client client cleanup(client_release) = {0};
	char *state cleanup(free_at) = vault_random(24);
	char *verifier cleanup(free_at) = vault_random(32);
	char *challenge cleanup(free_at) = challenge_of(verifier);
	char *cookie cleanup(free_at) = mem_printf("%s.%s", state, verifier);
	char *url cleanup(free_at) = NULL;
	struct oauth_ask ask = {.urls = urls_of(c)};
	int r = load_client(c, &client, e);

	if (r < 0)
		return r;
	ask.client_id = client.id;
	ask.redirect_url = client.redirect_url;
	url = oauth_url(&ask, ask.urls == &c->rest->config->google, state, challenge);
	set_cookie(c, cookie, COOKIE_S);
	redirect(c, url);
	return 0;
}

/* PKCE's verifier, if this browser began what comes back; the caller frees. */
static char *verifier_of(struct rest_call *c)
{
	char *state cleanup(free_at) = rest_query(c, "state");
	char *cookie cleanup(free_at) = access_cookie(c, COOKIE);
	char *dot = cookie ? strchr(cookie, '.') : NULL;

	if (!state || !*state || !dot)
		return NULL;
	*dot = 0;
	return strcmp(cookie, state) == 0 ? mem_strdup(dot + 1) : NULL;
}

static int find_person(struct rest_call *c, const struct oauth_person *p, int64_t *id_out,
		       struct err *e)
{
	int r = db_number(c->rest->db, id_out, e,
			  "SELECT user_id FROM oauth_users WHERE provider = ? AND subject = ?",
			  "ss", c->params[0], p->subject);

	if (r == -ENOENT)
		*id_out = 0;
	return r == -ENOENT ? 0 : r;
}

static int keep_avatar(struct rest_call *c, const struct oauth_person *p, int64_t id, struct err *e)
{
	if (strlen(p->avatar) > AVATAR_MAX || field_check_url(p->avatar, NULL) < 0)
		return 0;
	return db_run(c->rest->db, NULL, e, "UPDATE users SET avatar = ? WHERE id = ?", "si",
		      p->avatar, id);
}

/* A user of this name, or of a name with a number behind it, for who was never here. */
static int add_person(struct rest_call *c, const struct oauth_person *p, int64_t *id_out,
		      struct err *e)
{
	char name[128];
	int r;

	snprintf(name, sizeof(name), "%s-%.64s", c->params[0], *p->name ? p->name : p->subject);
	r = users_add(c->rest->db, name, p->email, NULL, id_out, e);
	if (r == -EEXIST) {
		snprintf(name, sizeof(name), "%s-%.32s-%.64s", c->params[0], p->name, p->subject);
		r = users_add(c->rest->db, name, NULL, NULL, id_out, e);
	}
	if (r == 0)
		r = db_run(c->rest->db, NULL, e,
			   "INSERT INTO oauth_users (provider, subject, user_id) VALUES (?, ?, ?)",
			   "ssi", c->params[0], p->subject, *id_out);
	return r < 0 ? r : keep_avatar(c, p, *id_out, e);
}

static int sign_in(struct rest_call *c, const struct oauth_person *p, struct err *e)
{
	struct user u cleanup(user_release) = {0};
	char *token cleanup(free_at) = NULL;
	char expire[32];
	int64_t id = 0;
	int r = find_person(c, p, &id, e);

	if (r == 0 && !id)
		r = add_person(c, p, &id, e);
	if (r == 0)
		r = users_get(c->rest->db, id, "", &u, e);
	if (r < 0)
		return r;
	if (!u.enabled)
		return rest_refuse(c, 401, "the user is disabled");
	c->actor = mem_strdup(u.name);
	r = rest_users_sign_in(c, u.id, u.generation, 0, &token, expire, e);
	if (r == 0)
		redirect(c, "/");
	return r;
}

static int finish(struct rest_call *c, struct err *e)
{
	struct client client cleanup(client_release) = {0};
	struct oauth_person person cleanup(oauth_person_release) = {0};
	char *code cleanup(free_at) = rest_query(c, "code");
	char *verifier cleanup(free_at) = verifier_of(c);
	struct oauth_ask ask = {.urls = urls_of(c)};
	int r;

	set_cookie(c, "", 0);
	if (!code || !*code || !verifier)
		return rest_refuse(c, 401, "this browser did not begin to sign in: begin anew");
	r = load_client(c, &client, e);
	if (r < 0)
		return r;
	ask.client_id = client.id;
	ask.client_secret = client.secret;
	ask.redirect_url = client.redirect_url;
	ask.code = code;
	ask.verifier = verifier;
	if (oauth_person_of(&ask, &person, e) < 0) {
		log_warn("nobody signs in", "provider=%s why=\"%s\"", c->params[0], e->text);
		return rest_refuse(c, e->code == EACCES ? 401 : 502, "%s did not say who you are",
				   c->params[0]);
	}
	return sign_in(c, &person, e);
}

const struct route rest_oauth_routes[] = {
	{"GET", PATH "/:name", ACCESS_PUBLIC, begin, "Sign in with github or google", NULL, NULL,
	 NULL, ROUTE_REDIRECT | ROUTE_ELSEWHERE},
	{"GET", PATH "/:name/callback", ACCESS_PUBLIC, finish, "Where the provider sends back to",
	 NULL, NULL, NULL, ROUTE_REDIRECT | ROUTE_ELSEWHERE | ROUTE_AUDITED},
	{0},
};
