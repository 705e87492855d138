/* Asking until there is an answer. */
#include "daemon/inquiry.h"

#include "base/clock.h"
#include "base/header_lines.h"
#include "base/mem.h"
#include "daemon/header_list.h"
#include "daemon/secret.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#define REDIRECTS_MAX	   10
#define PAUSE_MS	   100
#define PAUSE_MAX_MS	   5000
#define RETRY_AFTER_MAX_MS 120000
#define DROP_MAX	   (64u << 10) /* reading on is cheaper than a new connection up to here */

static const char *const never_sent[] = {"Expect",   "Accept-Encoding", "Range",
					 "If-Range", "If-Match",	"If-Unmodified-Since"};
static const char *const conditions[] = {"If-None-Match", "If-Modified-Since"};
static const char *const sent_anywhere[] = {"Accept", "Accept-Language", "User-Agent"};

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcasecmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

/* ---- what is sent */

static bool may_send(const struct inquiry *q, const char *name, bool at_home)
{
	if (is_one_of(name, never_sent, array_len(never_sent)) || header_is_transports(name))
		return false;
	if (is_one_of(name, conditions, array_len(conditions)))
		return q->conditional && at_home;
	return at_home || is_one_of(name, sent_anywhere, array_len(sent_anywhere));
}

/* Appends those of pairs that may be sent and that `unless` does not have. */
static struct curl_slist *append_pairs(const struct inquiry *q, struct curl_slist *list,
				       const struct config_pairs *pairs,
				       const struct config_pairs *unless, bool at_home)
{
	for (size_t i = 0; pairs && i < pairs->count; i++) {
		const char *name = pairs->items[i].name, *value = pairs->items[i].value;

		if (may_send(q, name, at_home) && !header_pairs_get(unless, name))
			list = header_list_add(list, name, value ? value : "");
	}
	return list;
}

static struct curl_slist *headers_for(struct inquiry *q, bool at_home, const char *authorization)
{
	struct curl_slist *list = header_list_add(NULL, "Accept-Encoding", "identity");

	if (!header_pairs_get(q->rq->headers, "User-Agent") &&
	    !header_pairs_get(q->extra, "User-Agent"))
		list = header_list_add(list, "User-Agent", "skimmer/" SKIMMER_VERSION);
	list = append_pairs(q, list, q->rq->headers, NULL, at_home);
	list = append_pairs(q, list, q->extra, q->rq->headers, at_home);
	if (authorization)
		list = header_list_add(list, "Authorization", authorization);
	return q->own_headers ? q->own_headers(q, list) : list;
}

/* ---- what comes back */

static bool is_redirect(int status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static bool is_retryable(int status)
{
	return status == 408 || status == 425 || status == 429 || status == 500 || status == 502 ||
	       status == 503 || status == 504;
}

static int status_error(const struct exchange *x, struct err *e)
{
	const char *fault = "SK242";
	int code = EPROTO;
	char what[200];

	exchange_print(x, what, sizeof(what));
	if (x->answer.status == 404 || x->answer.status == 410) {
		code = ENOENT;
		fault = "SK233";
	} else if (x->answer.status == 401 || x->answer.status == 403 || x->answer.status == 407 ||
		   x->answer.status == 451) {
		code = EACCES;
		fault = "SK232";
	} else if (x->answer.status == 429) {
		code = EBUSY;
		fault = "SK234";
	} else if (is_retryable(x->answer.status) || x->answer.status >= 500) {
		code = EHOSTUNREACH;
		fault = "SK231";
	}
	return err_blame(e, fault, err_set(e, code, "%s: HTTP %d", what, x->answer.status));
}

/* Seconds or a date (RFC 9110 §10.2.3); 0 if absent or nonsense. */
static int64_t retry_after_ms(const struct exchange *x)
{
	cleanup(free_at) char *text = header_lines_get(x->answer.lines.data, "Retry-After", 0);
	char *end;
	long long seconds;

	if (!text)
		return 0;
	seconds = strtoll(text, &end, 10);
	if (end == text || *end) {
		time_t at = curl_getdate(text, NULL);

		if (at == (time_t)-1)
			return 0;
		seconds = (long long)at - clock_wall_ms() / 1000;
	}
	if (seconds < 0)
		return 0;
	return seconds > 86400 ? 86400000 : seconds * 1000;
}

/* Half to one and a half of a time that doubles: many daemons must not come back at once. */
static int64_t pause_for(unsigned failures)
{
	int64_t ms = PAUSE_MS << (failures < 6 ? failures : 6);
	uint32_t dice = 0;

	if (ms > PAUSE_MAX_MS)
		ms = PAUSE_MAX_MS;
	if (getrandom(&dice, sizeof(dice), 0) != (ssize_t)sizeof(dice))
		dice = (uint32_t)clock_us();
	return ms / 2 + (int64_t)(dice % (uint32_t)ms);
}

/* Sets q->pause_ms; false, and 0, if there is no try or no time left. */
static bool may_try_again(struct inquiry *q, int64_t at_least_ms)
{
	int64_t ms = pause_for(q->failures);
	bool may;

	if (ms < at_least_ms)
		ms = at_least_ms;
	may = q->failures < q->retries_max && ms <= RETRY_AFTER_MAX_MS &&
	      (!q->rq->deadline_ms || clock_ms() + ms < q->rq->deadline_ms);
	q->pause_ms = may ? ms : 0;
	return may;
}

static int on_head(struct exchange *x, struct err *e)
{
	struct inquiry *q = x->arg;
	int r = 0;

	q->drop = true;
	q->accepted = false;
	q->dropped = 0;
	if (is_redirect(x->answer.status) || (x->answer.status == 401 && q->may_answer))
		r = 0;
	else if (is_retryable(x->answer.status) && may_try_again(q, retry_after_ms(x)))
		q->retryable = true;
	else if (q->any_status || x->answer.status == 200 || x->answer.status == 203 ||
		 x->answer.status == 206 || x->answer.status == 416) {
		q->accepted = true;
		q->drop = false;
		r = q->on_head(q, x, e);
	}
	if (r == 0 && q->drop && (x->answer.length > DROP_MAX || !x->answer.delimited))
		x->enough = true;
	return r;
}

static int on_body(struct exchange *x, const void *data, size_t len, struct err *e)
{
	struct inquiry *q = x->arg;

	if (!q->drop)
		return q->on_body(q, x, data, len, e);
	q->dropped += len;
	if (q->dropped > DROP_MAX)
		x->enough = true;
	return 0;
}

/* ---- from hop to hop */

static void url_move(struct url *to, struct url *from)
{
	url_release(to);
	*to = *from;
	*from = (struct url){0};
}

/* Turns *at into where x sends us. */
static int follow(const struct exchange *x, const struct url *home, struct url *at, struct err *e)
{
	cleanup(free_at) char *ref = header_lines_get(x->answer.lines.data, "Location", 0);
	cleanup(url_release) struct url next = {0};
	char what[200];

	exchange_print(x, what, sizeof(what));
	if (!ref || !*ref)
		return err_set(e, EPROTO, "%s: HTTP %d without a Location", what, x->answer.status);
	if (url_join(at, ref, &next, NULL) < 0)
		return err_set(e, EPROTO, "%s: redirects to what is no http URL", what);
	if (strcmp(at->scheme, "https") == 0 && strcmp(next.scheme, "http") == 0 &&
	    strcmp(home->scheme, "http") != 0)
		return err_set(e, EPROTO, "%s: redirects from https to http", what);
	url_move(at, &next);
	return 0;
}

/* One exchange with the hop at x->url. Its answer is in *x. */
static int ask_once(struct inquiry *q, struct exchange *x, bool at_home, const char *authorization,
		    struct err *e)
{
	cleanup(header_list_free_at) struct curl_slist *headers =
		headers_for(q, at_home, authorization);
	int r;

	x->headers = headers;
	r = exchange_run(q->pool, x, e);
	x->headers = NULL;
	return r;
}

/* Whether this daemon may answer a 401 of this hop, and then with which credentials. */
static bool may_answer(const struct inquiry *q, bool at_home, bool *anonymous)
{
	bool presented = header_pairs_get(q->rq->headers, "Authorization") ||
			 header_pairs_get(q->rq->headers, "Cookie");

	*anonymous = presented;
	return q->registry &&
	       !(at_home && (presented || header_pairs_get(q->extra, "Authorization")));
}

/* The same, answering one 401. */
static int ask(struct inquiry *q, struct exchange *x, bool at_home, struct err *e)
{
	struct registry_ask who = {
		.url = x->url, .deadline_ms = q->rq->deadline_ms, .cancelled = q->rq->cancelled};
	cleanup(secret_free_at) char *known = NULL;
	cleanup(secret_free_at) char *fresh = NULL;
	struct err why;
	int r;

	q->may_answer = may_answer(q, at_home, &who.anonymous);
	if (q->may_answer)
		known = registry_authorization(q->registry, &who);
	r = ask_once(q, x, at_home, known, e);
	if (r < 0 || x->answer.status != 401 || !q->may_answer)
		return r;
	q->may_answer = false;
	r = registry_answer(q->registry, &who, x->answer.lines.data, known, &fresh, &why);
	/* Who wants to see every status gets to see this 401. */
	if (r < 0 && (!q->any_status || r == -ECANCELED || r == -ETIMEDOUT))
		return err_copy(e, &why);
	return ask_once(q, x, at_home, fresh, e);
}

/* One try: from the caller's URL to an answer that is no redirect. *at is the hop, released by the
 * caller. */
static int try_once(struct inquiry *q, const struct url *home, struct url *at, struct exchange *x,
		    struct err *e)
{
	cleanup(free_at) char *text = url_print(home);
	cleanup(url_release) struct url first = {0};
	int r = url_parse(text, &first, e);

	if (r < 0)
		return r;
	url_move(at, &first);
	for (unsigned hop = 0; r == 0; hop++) {
		q->retryable = false;
		if (hop > REDIRECTS_MAX)
			return err_set(e, ELOOP, "more than %d redirects", REDIRECTS_MAX);
		r = ask(q, x, url_same_origin(home, at), e);
		if (r < 0) {
			q->retryable = x->retryable;
			return r;
		}
		if (!is_redirect(x->answer.status) || q->form)
			break;
		r = follow(x, home, at, e);
	}
	if (r < 0)
		return r;
	if (!q->accepted)
		return status_error(x, e);
	return q->on_end ? q->on_end(q, x, e) : 0;
}

int inquiry_run(struct inquiry *q, struct err *e)
{
	cleanup(url_release) struct url home = {0};
	cleanup(url_release) struct url at = {0};
	cleanup(exchange_release) struct exchange x = {.method = q->method,
						       .form = q->form,
						       .url = &at,
						       .deadline_ms = q->rq->deadline_ms,
						       .held_us = q->rq->held_us,
						       .cancelled = q->rq->cancelled,
						       .on_head = on_head,
						       .on_body = on_body,
						       .arg = q};
	uint64_t before = q->progress;
	int r = url_parse(q->rq->url, &home, e);

	if (r == 0)
		r = header_pairs_check(q->rq->headers, e);
	if (r < 0)
		return r;
	for (;;) {
		struct err why;

		q->pause_ms = 0;
		r = try_once(q, &home, &at, &x, e);
		if (r == 0 || !q->retryable)
			return r;
		if (q->progress - before >= INQUIRY_PROGRESS)
			q->failures = 0;
		before = q->progress;
		if (!q->pause_ms && !may_try_again(q, 0))
			return r;
		q->failures++;
		if (exchange_wait(q->pause_ms, q->rq->deadline_ms, q->rq->cancelled, &why) < 0)
			return why.code == ECANCELED ? err_copy(e, &why) : r;
	}
}
