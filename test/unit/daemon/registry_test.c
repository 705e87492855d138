/* Challenges and their answers, through the origin's own functions, over real sockets. */
#include "test/unit/unit.h"

#include "base/clock.h"
#include "base/pool.h"
#include "daemon/origin.h"
#include "test/unit/daemon/fake_http.h"
#include "test/unit/daemon/fake_tls.h"

#include <sys/stat.h>

#define CROWD 64

static char dir[] = "/tmp/skimmer_registry_XXXXXX";
static char file[64];
static struct fake_http *registry, *tokens, *other;
static struct origin *origin;
static bool released;	      /* under tokens->lock */
static unsigned token_number; /* atomic: each token is another one */

/* ---- a registry and its token service */

static bool challenge(struct fake_conn *c, const char *repository)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "WWW-Authenticate: Bearer realm=\"%s/token?kind=%s\",service=\"reg\","
		 "scope=\"repository:%s:pull\"\r\n",
		 tokens->url, repository, repository);
	return fake_reply(c, "401 Unauthorized", text, "who are you?");
}

/* How often this Authorization has come before the request being answered. */
static unsigned times_seen(struct fake_conn *c, const char *authorization)
{
	cleanup(free_at) char *line = mem_printf("Authorization: %s\r\n", authorization);
	unsigned n = 0;

	lock_guard(&c->server->lock);
	for (unsigned i = 0; i < c->number; i++)
		n += strstr(c->server->requests[i], line) != NULL;
	return n;
}

static bool answer_registry(struct fake_conn *c, void *arg)
{
	cleanup(free_at) char *given = fake_header(c->head, "Authorization");
	char repository[64] = "", want[96], location[128];

	(void)arg;
	sscanf(c->target, "/v2/%63[^/]", repository);
	if (strcmp(repository, "basic") == 0) {
		if (given && strcmp(given, "Basic dXNlcjpwYXNz") == 0)
			return fake_file(c, 10, "");
		return fake_reply(c, "401 U", "WWW-Authenticate: Basic realm=\"r\"\r\n", "");
	}
	if (strcmp(repository, "basic-once") == 0)
		return given && !times_seen(c, given)
			       ? fake_file(c, 10, "")
			       : fake_reply(c, "401 U", "WWW-Authenticate: Basic\r\n", "");
	if (strcmp(repository, "plain401") == 0)
		return fake_reply(c, "401 U", "", "");
	if (strcmp(repository, "bad-challenge") == 0)
		return fake_reply(c, "401 U", "WWW-Authenticate: Bearer realm=\"\r\n", "");
	if (strcmp(repository, "bad-realm") == 0)
		return fake_reply(c, "401 U", "WWW-Authenticate: Bearer realm=\"ftp://x/\"\r\n",
				  "");
	if (strcmp(repository, "moved") == 0) {
		snprintf(location, sizeof(location), "Location: %s/v2/elsewhere/blobs/x\r\n",
			 other->url);
		return fake_reply(c, "307 Away", location, "");
	}
	/* "<repository>-<user>-<n>"; "expiring" takes only each token's first use. */
	snprintf(want, sizeof(want), "Bearer %s-", repository);
	if (!given || strncmp(given, want, strlen(want)) != 0)
		return challenge(c, repository);
	if (strcmp(repository, "private") == 0 && !strstr(given, "-user-"))
		return challenge(c, repository);
	if (strcmp(repository, "expiring") == 0 && times_seen(c, given))
		return challenge(c, repository);
	return fake_file(c, 10, "");
}

/* The slow token service waits for the test. */
static void wait_released(void)
{
	int64_t deadline = clock_ms() + 30000;

	lock_guard(&tokens->lock);
	while (!released && cond_wait_until(&tokens->changed, &tokens->lock, deadline))
		continue;
}

static bool answer_tokens(struct fake_conn *c, void *arg)
{
	cleanup(free_at) char *basic = fake_header(c->head, "Authorization");
	cleanup(free_at) char *length = fake_header(c->head, "Content-Length");
	char kind[64] = "", body[512] = "", text[256];
	const char *user = "anonymous", *at = strstr(c->target, "scope=repository%3A");
	unsigned n = __atomic_add_fetch(&token_number, 1, __ATOMIC_SEQ_CST);

	(void)arg;
	if (length && strtoul(length, NULL, 10) < sizeof(body)) {
		fake_take(c, body, strtoul(length, NULL, 10));
		at = strstr(body, "scope=repository%3A");
		if (strstr(body, "refresh_token=id%2Ftoken") && strstr(body, "service=reg"))
			user = "identity";
	}
	if (at)
		sscanf(at + 19, "%63[^%]", kind);
	if (basic)
		user = strcmp(basic, "Basic dXNlcjpwYXNz") == 0 ? "user" : "wrong";
	if (strcmp(kind, "refused") == 0 || strcmp(user, "wrong") == 0)
		return fake_reply(c, "403 Forbidden", "", "no token for you");
	if (strcmp(kind, "no-json") == 0)
		return fake_reply(c, "200 OK", "", "<html>");
	if (strcmp(kind, "no-token") == 0)
		return fake_reply(c, "200 OK", "", "{\"token\": \"\"}");
	if (strcmp(kind, "bad-token") == 0)
		return fake_reply(c, "200 OK", "", "{\"token\": \"a\\r\\nX-Injected: 1\"}");
	if (strcmp(kind, "huge") == 0) {
		fake_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
		return fake_send_content(c, 0, 1000000000) && false;
	}
	if (strcmp(kind, "busy") == 0)
		return fake_reply(c, "429 Easy", "Retry-After: 3600\r\n", "");
	if (strcmp(kind, "down") == 0)
		return fake_reply(c, "503 Down", "Retry-After: 3600\r\n", "");
	if (strcmp(kind, "slow") == 0) {
		wait_released();
		return fake_reply(c, "403 Forbidden", "", "");
	}
	if (strcmp(kind, "no-life") == 0 || strcmp(kind, "long-life") == 0) {
		snprintf(text, sizeof(text), "{\"token\": \"%s-x\", \"expires_in\": %s}", kind,
			 kind[0] == 'n' ? "0" : "99999999999");
		return fake_reply(c, "200 OK", "", text);
	}
	if (strcmp(kind, "redirected") == 0)
		return fake_reply(c, "302 Off", "Location: /token2\r\n", "");
	if (strcmp(kind, "short-lived") == 0)
		snprintf(text, sizeof(text), "{\"token\": \"%s-%s-%u\", \"expires_in\": 1}", kind,
			 user, n);
	else
		snprintf(text, sizeof(text), "{\"%s\": \"%s-%s-%u\", \"expires_in\": 300}",
			 n % 2 ? "token" : "access_token", kind, user, n);
	return fake_reply(c, "200 OK", "Content-Type: application/json\r\n", text);
}

/* ---- help */

static void configure(const char *text)
{
	cleanup(free_at) char *fresh = mem_printf("%s.new", file);
	FILE *f = fopen(fresh, "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(rename(fresh, file), 0);
}

/* One credential, for the host of this server. */
static void configure_for(const struct fake_http *f, const char *entry)
{
	cleanup(free_at) char *text =
		mem_printf("{\"auths\": {\"%s\": %s}}", f->url + strlen("http://"), entry);

	configure(text);
}

static int set_up(void **state)
{
	struct origin_config config = {.docker_config = file};
	struct err e;

	(void)state;
	registry = fake_start(answer_registry, NULL, NULL);
	other = fake_start(answer_registry, NULL, NULL);
	tokens = fake_start(answer_tokens, NULL, NULL);
	configure("{}");
	return origin_new(&config, &origin, &e);
}

static int tear_down(void **state)
{
	(void)state;
	origin_free(origin);
	fake_stop(registry);
	fake_stop(other);
	fake_stop(tokens);
	return 0;
}

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(file, sizeof(file), "%s/config.json", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(file);
	return rmdir(dir);
}

static int stat_blob(const char *repository, const char *authorization, struct err *e)
{
	struct {
		char *name, *value;
	} header = {(char *)"Authorization", (char *)authorization};
	struct config_pairs pairs = {.items = (void *)&header, .count = 1};
	cleanup(free_at) char *url =
		mem_printf("%s/v2/%s/blobs/sha256:abc", registry->url, repository);
	struct origin_request rq = {.url = url,
				    .headers = authorization ? &pairs : NULL,
				    .deadline_ms = clock_ms() + 30000};
	struct origin_info info = {0};
	int r;

	*e = (struct err){0};
	r = origin_stat(origin, &rq, &info, e);
	if (r == 0 && info.content_length != 10)
		r = 1;
	origin_info_release(&info);
	return r;
}

static void assert_reads(const char *repository)
{
	struct err e;
	int r = stat_blob(repository, NULL, &e);

	if (r < 0)
		print_message("%s\n", e.text);
	assert_int_equal(r, 0);
}

static void assert_refused(const char *repository, int code)
{
	struct err e;

	assert_int_equal(stat_blob(repository, NULL, &e), -code);
	assert_null(strstr(e.text, "dXNl"));
}

/* ---- tokens */

static void anonymous_token_is_got_once(void **state)
{
	(void)state;
	assert_reads("public");
	assert_reads("public");
	assert_reads("public");
	assert_int_equal(fake_count(tokens), 1);
	assert_int_equal(fake_count(registry), 4);
	assert_true(fake_saw(tokens, "GET /token?kind=public&service=reg&"
				     "scope=repository%3Apublic%3Apull HTTP/1.1"));
	assert_false(fake_saw(tokens, "Authorization"));
	/* Another repository is another token. */
	assert_reads("second");
	assert_int_equal(fake_count(tokens), 2);
}

static void token_that_the_registry_refuses_is_replaced(void **state)
{
	(void)state;
	assert_reads("expiring");
	assert_reads("expiring");
	assert_int_equal(fake_count(tokens), 2);
}

static void token_is_not_used_beyond_its_life(void **state)
{
	int64_t now = clock_ms();
	unsigned bare = 0;

	(void)state;
	clock_fake(&now);
	assert_reads("short-lived"); /* one second, of which a tenth is left out */
	now += 899;
	assert_reads("short-lived");
	assert_int_equal(fake_count(tokens), 1);
	now += 1;
	assert_reads("short-lived");
	assert_int_equal(fake_count(tokens), 2);
	clock_fake(NULL);
	/* Each token was asked for after a bare request: the dead one was not tried again. */
	for (unsigned i = 0; i < registry->request_count; i++)
		bare += !strstr(registry->requests[i], "Authorization:");
	assert_int_equal(bare, 2);
}

static void credential_goes_to_the_token_service(void **state)
{
	(void)state;
	configure_for(registry, "{\"auth\": \"dXNlcjpwYXNz\"}");
	assert_reads("private");
	assert_true(fake_saw(tokens, "Authorization: Basic dXNlcjpwYXNz"));
	assert_false(fake_saw(registry, "Basic"));
}

static void wrong_credential_is_told(void **state)
{
	(void)state;
	configure_for(registry, "{\"username\": \"user\", \"password\": \"wrong\"}");
	assert_refused("private", EACCES);
	/* Once it is put right, it works without a restart. */
	configure_for(registry, "{\"username\": \"user\", \"password\": \"pass\"}");
	assert_reads("private");
}

static void no_credential_is_told(void **state)
{
	(void)state;
	assert_refused("private", EACCES);
	assert_refused("basic", EACCES);
	assert_refused("plain401", EACCES);
	configure_for(other, "{\"auth\": \"dXNlcjpwYXNz\"}");
	assert_refused("private", EACCES);
	assert_false(fake_saw(tokens, "Authorization"));
}

static void identity_token_is_exchanged(void **state)
{
	(void)state;
	configure_for(registry, "{\"auth\": \"dXNlcjo=\", \"identitytoken\": \"id/token\"}");
	assert_reads("public");
	assert_true(fake_saw(tokens, "POST /token?kind=public HTTP/1.1"));
	assert_true(fake_saw(registry, "Authorization: Bearer public-identity-"));
	assert_false(fake_saw(tokens, "Basic"));
}

static void registry_token_is_used_as_it_is(void **state)
{
	(void)state;
	configure_for(registry, "{\"registrytoken\": \"public-mine\"}");
	assert_reads("public");
	assert_int_equal(fake_count(tokens), 0);
	assert_true(fake_saw(registry, "Authorization: Bearer public-mine\r\n"));
}

static void nonsense_of_the_token_service_is_refused(void **state)
{
	(void)state;
	assert_refused("refused", EACCES);
	assert_refused("no-json", EPROTO);
	assert_refused("no-token", EPROTO);
	assert_refused("bad-token", EPROTO);
	assert_refused("huge", EPROTO);
	assert_refused("busy", EBUSY);
	assert_refused("down", EHOSTUNREACH);
	assert_refused("bad-challenge", EPROTO);
	assert_refused("bad-realm", EPROTO);
	assert_false(fake_saw(registry, "X-Injected"));
}

static void odd_lives_of_tokens_are_bounded(void **state)
{
	(void)state;
	assert_reads("no-life");
	assert_reads("no-life");
	assert_reads("long-life");
	assert_int_equal(fake_count(tokens), 2);
}

static void secret_is_not_carried_from_https_to_http(void **state)
{
	struct fake_ca *ca = fake_ca_new();
	SSL_CTX *tls = fake_tls_new(ca, "IP:127.0.0.1", -3600, 3600);
	struct fake_http *f = fake_start(answer_registry, NULL, tls);
	struct origin_config config = {.docker_config = file, .ca_file = ca->path};
	cleanup(free_at) char *url = fake_at(f, "/v2/private/blobs/x");
	cleanup(free_at) char *auths =
		mem_printf("{\"auths\": {\"%s\": {\"auth\": \"dXNlcjpwYXNz\"}}}", f->url);
	struct origin_request rq = {.url = url};
	struct origin_info info;
	struct origin *o;
	struct err e;

	(void)state;
	configure(auths);
	assert_int_equal(origin_new(&config, &o, &e), 0);
	assert_int_equal(origin_stat(o, &rq, &info, &e), -EPROTO);
	assert_int_equal(fake_count(tokens), 0);
	origin_free(o);
	fake_stop(f);
	SSL_CTX_free(tls);
	fake_ca_free(ca);
}

static void identity_token_is_not_sent_after_a_redirect(void **state)
{
	(void)state;
	configure_for(registry, "{\"identitytoken\": \"id/token\"}");
	assert_refused("redirected", EPROTO);
	assert_false(fake_saw(tokens, "/token2"));
}

/* ---- basic */

static void basic_is_answered_and_remembered(void **state)
{
	(void)state;
	configure_for(registry, "{\"auth\": \"dXNlcjpwYXNz\"}");
	assert_reads("basic");
	assert_reads("basic");
	assert_int_equal(fake_count(registry), 3);
	assert_int_equal(fake_count(tokens), 0);
	configure_for(registry, "{\"username\": \"user\", \"password\": \"wrong\"}");
	assert_refused("basic", EACCES);
}

static void remembered_basic_that_is_refused_is_told(void **state)
{
	(void)state;
	configure_for(registry, "{\"auth\": \"dXNlcjpwYXNz\"}");
	assert_reads("basic-once");
	assert_refused("basic-once", EACCES);
}

/* ---- the caller's own */

static void callers_authorization_is_used_alone(void **state)
{
	struct err e;

	(void)state;
	configure_for(registry, "{\"auth\": \"dXNlcjpwYXNz\"}");
	assert_int_equal(stat_blob("private", "Bearer private-user-7", &e), 0);
	assert_int_equal(stat_blob("private", "Bearer theirs", &e), -EACCES);
	assert_int_equal(stat_blob("basic", "Basic dGhlaXJzOnB3", &e), -EACCES);
	assert_int_equal(fake_count(tokens), 0);
	assert_false(fake_saw(registry, "Basic dXNlcjpwYXNz"));
}

static void behind_a_redirect_only_anonymous_tokens_are_tried(void **state)
{
	struct err e;

	(void)state;
	configure_for(other, "{\"auth\": \"dXNlcjpwYXNz\"}");
	assert_int_equal(stat_blob("moved", "Bearer theirs", &e), 0);
	assert_false(fake_saw(other, "theirs"));
	assert_true(fake_saw(other, "Bearer elsewhere-anonymous-"));
	/* A caller without any gets what is configured for that host. */
	assert_int_equal(stat_blob("moved", NULL, &e), 0);
	assert_true(fake_saw(other, "Bearer elsewhere-user-"));
}

static void fetch_shows_the_refusal(void **state)
{
	static const char *const repositories[] = {"refused", "private", "plain401"};

	(void)state;
	for (size_t i = 0; i < array_len(repositories); i++) {
		cleanup(free_at) char *url =
			mem_printf("%s/v2/%s/manifests/latest", registry->url, repositories[i]);
		struct origin_request rq = {.url = url};
		cleanup(free_at) char *headers = NULL;
		cleanup(free_at) char *body = NULL;
		size_t len;
		int status;
		struct err e;

		assert_int_equal(
			origin_fetch(origin, &rq, "GET", 1000, &status, &headers, &body, &len, &e),
			0);
		assert_int_equal(status, 401);
		assert_true(i == 2 || strstr(headers, "WWW-Authenticate: Bearer "));
		assert_true(i == 2 || strcmp(body, "who are you?") == 0);
	}
}

/* ---- many */

static void *read_public(void *arg)
{
	struct err e;

	*(int *)arg = stat_blob("public", NULL, &e);
	return NULL;
}

static void crowd_shares_one_token(void **state)
{
	pthread_t threads[CROWD];
	int results[CROWD];

	(void)state;
	for (unsigned i = 0; i < CROWD; i++)
		thread_start(&threads[i], "crowd", read_public, &results[i]);
	for (unsigned i = 0; i < CROWD; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(results[i], 0);
	}
	assert_int_equal(fake_count(tokens), 1);
}

/* One who waits for another's token. */
struct waiter {
	pthread_t thread;
	bool cancelled;
	int64_t deadline_ms;
	int result;
};

static void *wait_slow(void *arg)
{
	struct waiter *w = arg;
	cleanup(free_at) char *url = fake_at(registry, "/v2/slow/blobs/sha256:abc");
	struct origin_request rq = {
		.url = url, .cancelled = &w->cancelled, .deadline_ms = w->deadline_ms};
	struct origin_info info;
	struct err e;

	w->result = origin_stat(origin, &rq, &info, &e);
	return NULL;
}

static bool wait_count(struct fake_http *f, unsigned n)
{
	int64_t deadline = clock_ms() + 30000;

	lock_guard(&f->lock);
	while (f->request_count < n && cond_wait_until(&f->changed, &f->lock, deadline))
		continue;
	return f->request_count >= n;
}

static void wait_for_anothers_token_has_ends(void **state)
{
	struct waiter fetcher = {0}, hasty = {0}, fickle = {0}, patient = {0};

	(void)state;
	released = false;
	thread_start(&fetcher.thread, "fetcher", wait_slow, &fetcher);
	assert_true(wait_count(tokens, 1));
	hasty.deadline_ms = clock_ms() + 300;
	thread_start(&hasty.thread, "hasty", wait_slow, &hasty);
	thread_start(&fickle.thread, "fickle", wait_slow, &fickle);
	thread_start(&patient.thread, "patient", wait_slow, &patient);
	assert_true(wait_count(registry, 4));
	__atomic_store_n(&fickle.cancelled, true, __ATOMIC_RELEASE);
	pthread_join(fickle.thread, NULL);
	assert_int_equal(fickle.result, -ECANCELED);
	pthread_join(hasty.thread, NULL);
	assert_int_equal(hasty.result, -ETIMEDOUT);
	lock_take(&tokens->lock);
	released = true;
	cond_wake_all(&tokens->changed);
	lock_drop(&tokens->lock);
	pthread_join(fetcher.thread, NULL);
	pthread_join(patient.thread, NULL);
	assert_int_equal(fetcher.result, -EACCES);
	assert_int_equal(patient.result, -EACCES);
}

#define with_servers(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_servers(anonymous_token_is_got_once),
		with_servers(crowd_shares_one_token),
		with_servers(token_that_the_registry_refuses_is_replaced),
		with_servers(token_is_not_used_beyond_its_life),
		with_servers(credential_goes_to_the_token_service),
		with_servers(wrong_credential_is_told),
		with_servers(no_credential_is_told),
		with_servers(identity_token_is_exchanged),
		with_servers(registry_token_is_used_as_it_is),
		with_servers(nonsense_of_the_token_service_is_refused),
		with_servers(odd_lives_of_tokens_are_bounded),
		with_servers(secret_is_not_carried_from_https_to_http),
		with_servers(identity_token_is_not_sent_after_a_redirect),
		with_servers(basic_is_answered_and_remembered),
		with_servers(remembered_basic_that_is_refused_is_told),
		with_servers(wait_for_anothers_token_has_ends),
		with_servers(callers_authorization_is_used_alone),
		with_servers(behind_a_redirect_only_anonymous_tokens_are_tried),
		with_servers(fetch_shows_the_refusal),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
