/* OAuth 2's code grant with PKCE, by libcurl. */
#include "control/manager/oauth.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/url.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>

#define ANSWER_MAX (256u << 10)
#define TIMEOUT_MS 10000L

void oauth_person_release(struct oauth_person *p)
{
	free(p->subject);
	free(p->name);
	free(p->email);
	free(p->avatar);
	*p = (struct oauth_person){0};
}

static void add(struct buf *out, const char *name, const char *value)
{
	char *text cleanup(free_at) = url_encode(value);

	buf_printf(out, "%s%s=%s", out->len ? "&" : "", name, text);
}

char *oauth_url(const struct oauth_ask *ask, bool is_google, const char *state,
		const char *challenge)
{
	struct buf query cleanup(buf_release) = BUF_INIT(16384);

	add(&query, "client_id", ask->client_id);
	add(&query, "redirect_uri", ask->redirect_url);
	add(&query, "response_type", "code");
	add(&query, "scope", is_google ? "openid email profile" : "read:user user:email");
	add(&query, "state", state);
	add(&query, "code_challenge", challenge);
	add(&query, "code_challenge_method", "S256");
	return mem_printf("%s?%s", ask->urls->auth_url, query.data);
}

/* ---- one question */

static void easy_cleanup_at(CURL **easy)
{
	curl_easy_cleanup(*easy);
}

static void slist_free_at(struct curl_slist **list)
{
	curl_slist_free_all(*list);
}

static size_t take(char *data, size_t size, size_t count, void *arg)
{
	struct buf *out = arg;

	buf_append(out, data, size * count);
	return out->overflow ? 0 : size * count;
}

/* POSTs the form, or GETs when there is none. */
static int ask_json(const char *url, const char *form, const char *token, json_t **out,
		    struct err *e)
{
	CURL *easy cleanup(easy_cleanup_at) = curl_easy_init();
	struct curl_slist *headers cleanup(slist_free_at) = NULL;
	struct buf body cleanup(buf_release) = BUF_INIT(ANSWER_MAX);
	char *bearer cleanup(free_at) = mem_printf("Authorization: Bearer %s", token ? token : "");
	long status = 0;
	CURLcode code;

	headers = curl_slist_append(headers, "Accept: application/json");
	if (token)
		headers = curl_slist_append(headers, bearer);
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "skimmer-manager/" SKIMMER_VERSION);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, &body);
	if (form)
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, form);
	code = curl_easy_perform(easy);
	if (code != CURLE_OK)
		return err_set(e, EHOSTUNREACH, "the provider: %s", curl_easy_strerror(code));
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 400 && status < 500)
		return err_set(e, EACCES, "the provider answered %ld", status);
	if (status != 200 ||
	    json_parse(body.data ? body.data : "", body.len, ANSWER_MAX, out, NULL) < 0)
		return err_set(e, EPROTO, "the provider answered %ld and no JSON", status);
	return 0;
}

/* ---- who it is */

static int get_token(const struct oauth_ask *ask, char **out, struct err *e)
{
	struct buf form cleanup(buf_release) = BUF_INIT(16384);
	json_t *json cleanup(json_decref_at) = NULL;
	const char *token;
	int r;

	add(&form, "grant_type", "authorization_code");
	add(&form, "client_id", ask->client_id);
	add(&form, "client_secret", ask->client_secret);
	add(&form, "redirect_uri", ask->redirect_url);
	add(&form, "code", ask->code);
	add(&form, "code_verifier", ask->verifier);
	r = ask_json(ask->urls->token_url, form.data, NULL, &json, e);
	if (r < 0)
		return r;
	token = json_str(json, "access_token");
	if (!token || strpbrk(token, "\r\n"))
		return err_set(e, EACCES, "the provider gave no token");
	*out = mem_strdup(token);
	return 0;
}

static char *text_of(const json_t *json, const char *a, const char *b)
{
	const char *text = json_str(json, a);

	if (!text && b)
		text = json_str(json, b);
	return mem_strdup(text ? text : "");
}

int oauth_person_of(const struct oauth_ask *ask, struct oauth_person *out, struct err *e)
{
	json_t *json cleanup(json_decref_at) = NULL;
	char *token cleanup(free_at) = NULL;
	const json_t *id;
	int r = get_token(ask, &token, e);

	if (r == 0)
		r = ask_json(ask->urls->user_url, NULL, token, &json, e);
	if (r < 0)
		return r;
	/* Google's "sub" is text, GitHub's "id" a number. */
	id = json_object_get(json, "id");
	if (json_is_integer(id))
		out->subject = mem_printf("%lld", (long long)json_integer_value(id));
	else
		out->subject = text_of(json, "sub", NULL);
	out->name = text_of(json, "login", "name");
	out->avatar = text_of(json, "avatar_url", "picture");
	/* An e-mail that anybody may claim would let them take a name here. */
	out->email = json_is_true(json_object_get(json, "email_verified"))
			     ? text_of(json, "email", NULL)
			     : mem_strdup("");
	if (!*out->subject)
		return err_set(e, EPROTO, "the provider does not say who it is");
	return 0;
}
