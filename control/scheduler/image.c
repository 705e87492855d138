/* Manifests from registries, through libcurl. */
#include "control/scheduler/image.h"

#include "base/challenge.h"
#include "base/header_lines.h"
#include "base/json.h"
#include "base/manifest.h"
#include "base/mem.h"
#include "base/net.h"
#include "base/url.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define HEADERS_LEN_MAX (64u << 10)
#define TOKEN_LEN_MAX	(64u << 10)
#define REDIRECTS_MAX	5L

struct answer {
	struct buf body, headers;
	long status;
	struct err bad; /* a header line that is none */
	bool refused;	/* an address that may not be reached */
};

static void answer_release(struct answer *a)
{
	buf_release(&a->body);
	buf_release(&a->headers);
}

#define ANSWER_INIT(max)                                                                           \
	{                                                                                          \
		.body = BUF_INIT(max), .headers = BUF_INIT(HEADERS_LEN_MAX)                        \
	}

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void init_curl(void)
{
	curl_global_init(CURL_GLOBAL_ALL);
}

static size_t take_body(char *data, size_t size, size_t count, void *arg)
{
	struct answer *a = arg;

	buf_append(&a->body, data, size * count);
	return a->body.overflow ? 0 : size * count;
}

/* A status line begins a new answer (a redirect's is forgotten). */
static size_t take_header(char *data, size_t size, size_t count, void *arg)
{
	struct answer *a = arg;
	size_t len = size * count;

	if (len >= 5 && memcmp(data, "HTTP/", 5) == 0) {
		buf_clear(&a->headers);
		return len;
	}
	if (len <= 2)
		return len;
	return header_lines_add(&a->headers, data, len, &a->bad) < 0 ? 0 : len;
}

/* The address that will really be connected to, redirects included. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct answer *a = arg;
	char ip[INET6_ADDRSTRLEN] = "";
	const void *bytes = to->family == AF_INET6
				    ? (const void *)&((struct sockaddr_in6 *)&to->addr)->sin6_addr
				    : (const void *)&((struct sockaddr_in *)&to->addr)->sin_addr;

	(void)purpose;
	inet_ntop(to->family, bytes, ip, sizeof(ip));
	if (net_ip_is_forbidden(ip)) {
		a->refused = true;
		return CURL_SOCKET_BAD;
	}
	return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static void set_up(CURL *easy, const struct image_ask *ask, const char *url, struct answer *out)
{
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(easy, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)ask->timeout_ms);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, out);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, out);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, out);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "skimmer-scheduler/" SKIMMER_VERSION);
	if (ask->insecure_skip_verify) {
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (ask->ca) {
		struct curl_blob pem = {(void *)ask->ca, strlen(ask->ca), CURL_BLOB_COPY};

		curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &pem);
	}
}

static int failure(CURLcode code, const struct answer *a, const char *url, struct err *e)
{
	if (a->refused)
		return err_set(e, EACCES, "%s is at an address that may not be reached", url);
	if (a->body.overflow || a->headers.overflow)
		return err_set(e, EMSGSIZE, "%s answers with too much", url);
	if (code == CURLE_OPERATION_TIMEDOUT)
		return err_set(e, ETIMEDOUT, "%s does not answer", url);
	if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL)
		return err_set(e, EINVAL, "%s: no URL of http or https", url);
	if (code == CURLE_WRITE_ERROR || code == CURLE_WEIRD_SERVER_REPLY)
		return err_set(e, EPROTO, "%s answers with no HTTP", url);
	return err_set(e, EHOSTUNREACH, "%s: %s", url, curl_easy_strerror(code));
}

/* One GET; any status is an answer. */
static int get(const struct image_ask *ask, const char *url, struct curl_slist *headers,
	       struct answer *out, struct err *e)
{
	CURLcode code = CURLE_OUT_OF_MEMORY;
	CURL *easy;

	pthread_once(&curl_once, init_curl);
	easy = curl_easy_init();
	if (!easy)
		abort();
	set_up(easy, ask, url, out);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	code = curl_easy_perform(easy);
	curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &out->status);
	curl_easy_cleanup(easy);
	return code == CURLE_OK ? 0 : failure(code, out, url, e);
}

static struct curl_slist *add(struct curl_slist *list, const char *name, const char *value)
{
	cleanup(free_at) char *line = mem_printf("%s: %s", name, value);

	return curl_slist_append(list, line);
}

static void slist_release(struct curl_slist **list)
{
	curl_slist_free_all(*list);
}

/* ---- credentials */

static char *basic_of(const struct image_ask *ask)
{
	cleanup(free_at) char *pair = NULL, *text = NULL;
	size_t len;

	if (!ask->username)
		return NULL;
	pair = mem_printf("%s:%s", ask->username, ask->password ? ask->password : "");
	len = strlen(pair);
	text = mem_alloc(4 * (len / 3 + 1) + 1);
	EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)pair, (int)len);
	return mem_printf("Basic %s", text);
}

static char *token_url(const struct challenge *c)
{
	cleanup(free_at) char *service = c->service ? url_encode(c->service) : NULL;
	cleanup(free_at) char *scope = c->scope ? url_encode(c->scope) : NULL;

	return mem_printf("%s%s%s%s%s%s", c->realm, strchr(c->realm, '?') ? "&" : "?",
			  service ? "service=" : "", service ? service : "", scope ? "&scope=" : "",
			  scope ? scope : "");
}

static int get_token(const struct image_ask *ask, const struct challenge *c, char **out,
		     struct err *e)
{
	cleanup(slist_release) struct curl_slist *headers = NULL;
	cleanup(answer_release) struct answer a = ANSWER_INIT(TOKEN_LEN_MAX);
	cleanup(json_decref_at) json_t *json = NULL;
	cleanup(free_at) char *basic = basic_of(ask), *url = token_url(c);
	const char *token;
	int r;

	if (basic && strncmp(ask->url, "https:", 6) == 0 && strncmp(url, "https:", 6) != 0)
		return err_set(e, EACCES, "%s wants the password over plain http", ask->url);
	if (basic)
		headers = add(headers, "Authorization", basic);
	r = get(ask, url, headers, &a, e);
	if (r < 0)
		return r;
	if (a.status != 200)
		return err_set(e, EACCES, "the token service of %s says %ld", ask->url, a.status);
	if (json_parse(a.body.data ? a.body.data : "", a.body.len, TOKEN_LEN_MAX, &json, NULL) < 0)
		return err_set(e, EPROTO, "the token service of %s gives no JSON", ask->url);
	token = json_str(json, "token");
	if (!token)
		token = json_str(json, "access_token");
	if (!token || !*token || !header_value_is_valid(token, strlen(token)))
		return err_set(e, EPROTO, "the token service of %s gives no token", ask->url);
	*out = mem_printf("Bearer %s", token);
	return 0;
}

/* What a 401 is to be answered with. */
static int answer_challenge(const struct image_ask *ask, const struct answer *a, char **out,
			    struct err *e)
{
	cleanup(challenge_release) struct challenge c = {0};

	for (unsigned i = 0;; i++) {
		cleanup(free_at) char *value =
			header_lines_get(a->headers.data, "WWW-Authenticate", i);

		if (!value)
			break;
		if (challenge_parse(value, &c, e) < 0)
			return -e->code;
	}
	if (c.scheme == CHALLENGE_BEARER)
		return get_token(ask, &c, out, e);
	*out = c.scheme == CHALLENGE_BASIC ? basic_of(ask) : NULL;
	if (!*out)
		return err_set(e, EACCES, "%s wants credentials", ask->url);
	return 0;
}

/* ---- manifests */

/* What is being resolved, and what the registry has taken so far. */
struct talk {
	const struct image_ask *ask;
	char *authorization; /* NULL = none */
};

static void talk_release(struct talk *t)
{
	free(t->authorization);
}

static int get_as(const struct talk *t, const char *url, struct answer *a, struct err *e)
{
	cleanup(slist_release) struct curl_slist *headers = add(NULL, "Accept", MANIFEST_ACCEPT);

	for (size_t i = 0; i < t->ask->header_count; i++)
		if (strcasecmp(t->ask->headers[i].name, "Authorization") != 0 &&
		    strcasecmp(t->ask->headers[i].name, "Accept") != 0)
			headers = add(headers, t->ask->headers[i].name, t->ask->headers[i].value);
	if (t->authorization)
		headers = add(headers, "Authorization", t->authorization);
	return get(t->ask, url, headers, a, e);
}

static int status_error(const char *url, long status, struct err *e)
{
	int code = status == 404 ? ENOENT : status == 401 || status == 403 ? EACCES : EPROTO;

	return err_set(e, code, "%s says %ld", url, status);
}

static int compare_digest(const char *url, const struct buf *body, struct err *e)
{
	const char *ref = strrchr(url, '/') + 1, *hex;
	char got[DIGEST_HEX_LEN + 1];

	if (!digest_is_sha256(ref, &hex))
		return 0;
	sha256_hex(body->data ? body->data : "", body->len, got);
	if (strcmp(got, hex) != 0)
		return err_set(e, EBADMSG, "%s is not what its digest says", url);
	return 0;
}

static int get_manifest(struct talk *t, const char *url, struct manifest *out, struct err *e)
{
	cleanup(answer_release) struct answer first = ANSWER_INIT(MANIFEST_BYTES_MAX);
	cleanup(answer_release) struct answer second = ANSWER_INIT(MANIFEST_BYTES_MAX);
	struct answer *a = &first;
	int r = get_as(t, url, a, e);

	if (r == 0 && a->status == 401 && !t->authorization) {
		r = answer_challenge(t->ask, a, &t->authorization, e);
		a = &second;
		if (r == 0)
			r = get_as(t, url, a, e);
	}
	if (r < 0)
		return r;
	if (a->status != 200)
		return status_error(url, a->status, e);
	r = compare_digest(url, &a->body, e);
	if (r == 0)
		r = manifest_parse(a->body.data ? a->body.data : "", a->body.len, out, e);
	return r;
}

static const struct manifest_item *pick(const struct manifest *index, const char *platform,
					struct err *e)
{
	const struct manifest_item *item;
	char text[96], *os, *arch, *variant, *save = NULL;

	if (!platform || !*platform) {
		item = manifest_pick(index);
		platform = "this machine";
	} else {
		snprintf(text, sizeof(text), "%s", platform);
		os = strtok_r(text, "/", &save);
		arch = strtok_r(NULL, "/", &save);
		variant = strtok_r(NULL, "/", &save);
		item = os && arch ? manifest_pick_for(index, os, arch, variant ? variant : "")
				  : NULL;
	}
	if (!item)
		(void)err_set(e, ENOENT, "the image has nothing for %s", platform);
	return item;
}

/* Where "/manifests/<reference>" starts, NULL if it does not end so. */
static const char *manifests_at(const char *url)
{
	static const char word[] = "/manifests";
	const char *slash = strrchr(url, '/');

	if (!slash || !slash[1] || slash - url < (ptrdiff_t)strlen(word))
		return NULL;
	slash -= strlen(word);
	return memcmp(slash, word, strlen(word)) == 0 ? slash : NULL;
}

static char *sibling(const char *url, const char *kind, const char *hex)
{
	return mem_printf("%.*s/%s/sha256:%s", (int)(manifests_at(url) - url), url, kind, hex);
}

static void list_blobs(const char *url, const struct manifest *m, struct image *out)
{
	out->urls = mem_array(m->count + 1, sizeof(*out->urls));
	out->urls[out->count++] = sibling(url, "blobs", m->config.hex);
	for (size_t i = 0; i < m->count; i++)
		out->urls[out->count++] = sibling(url, "blobs", m->items[i].hex);
}

static int check_url(const char *text, struct err *e)
{
	struct url u = {0};
	int r = url_parse(text, &u, e);

	if (r == 0 &&
	    (strncmp(u.path, "/v2/", 4) != 0 || strpbrk(text, "?#") || !manifests_at(text)))
		r = err_set(e, EINVAL, "%s is not <registry>/v2/<repository>/manifests/<reference>",
			    text);
	url_release(&u);
	return r;
}

static int check_headers(const struct image_ask *ask, struct err *e)
{
	for (size_t i = 0; i < ask->header_count; i++) {
		const struct image_header *h = &ask->headers[i];

		if (!header_name_is_valid(h->name, strlen(h->name)) ||
		    !header_value_is_valid(h->value, strlen(h->value)))
			return err_set(e, EINVAL, "a header that is none");
	}
	return 0;
}

static const char *own_authorization(const struct image_ask *ask)
{
	for (size_t i = 0; i < ask->header_count; i++)
		if (strcasecmp(ask->headers[i].name, "Authorization") == 0)
			return ask->headers[i].value;
	return NULL;
}

int image_resolve(const struct image_ask *ask, struct image *out, struct err *e)
{
	cleanup(talk_release) struct talk t = {.ask = ask};
	cleanup(manifest_release) struct manifest m = {0};
	bool anonymous = !ask->username && !own_authorization(ask);
	int r = check_url(ask->url, e);

	if (r == 0)
		r = check_headers(ask, e);
	*out = (struct image){0};
	if (r < 0)
		return r;
	t.authorization = mem_strdup(own_authorization(ask));
	r = get_manifest(&t, ask->url, &m, e);
	if (r == 0 && m.is_index) {
		cleanup(manifest_release) struct manifest index = m;
		const struct manifest_item *item = pick(&index, ask->platform, e);
		cleanup(free_at) char *url = NULL;

		m = (struct manifest){0};
		if (!item)
			return -e->code;
		url = sibling(ask->url, "manifests", item->hex);
		r = get_manifest(&t, url, &m, e);
		if (r == 0 && m.is_index)
			r = err_set(e, EPROTO, "%s is an index in an index", url);
	}
	if (r < 0)
		return r;
	list_blobs(ask->url, &m, out);
	/* A token that everybody gets every peer gets by itself, as often as it needs one. */
	if (!anonymous)
		out->authorization = take_ptr(&t.authorization);
	return 0;
}

void image_release(struct image *i)
{
	for (size_t k = 0; k < i->count; k++)
		free(i->urls[k]);
	free(i->urls);
	free(i->authorization);
	*i = (struct image){0};
}
