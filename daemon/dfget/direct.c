/* Straight from the origin by libcurl. */
#include "daemon/dfget/direct.h"

#include "base/digest.h"
#include "base/mem.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#define STALL_S 60

struct direct {
	int fd;
	struct progress *progress;
	struct result *result;
	struct sha256 *sha; /* NULL when no digest was asked for */
	int write_errno;
	int sig;
	bool anew; /* the origin would not go on where the part ends */
};

static size_t on_data(char *data, size_t size, size_t count, void *arg)
{
	struct direct *d = arg;
	size_t len = size * count, done = 0;

	while (done < len) {
		ssize_t n = write(d->fd, data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			d->write_errno = errno;
			return 0;
		}
		done += (size_t)n;
	}
	if (d->sha)
		sha256_update(d->sha, data, len);
	d->result->tally.from_origin += len;
	return len;
}

static int on_progress(void *arg, curl_off_t total, curl_off_t now, curl_off_t up_total,
		       curl_off_t up)
{
	const struct timespec none = {0};
	struct direct *d = arg;
	sigset_t set;

	(void)now, (void)up_total, (void)up;
	if (total > 0)
		d->result->tally.total = d->result->tally.local + (uint64_t)total;
	progress_show(d->progress, &d->result->tally);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	d->sig = sigtimedwait(&set, NULL, &none);
	return d->sig > 0;
}

static enum cli_exit exit_of_curl(CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return EXIT_DONE;
	case CURLE_OPERATION_TIMEDOUT:
		return EXIT_TIMED_OUT;
	case CURLE_WRITE_ERROR:
		return EXIT_OUTPUT;
	case CURLE_PARTIAL_FILE:
		return EXIT_MISMATCH;
	default:
		return EXIT_NETWORK;
	}
}

static void judge(CURL *h, CURLcode code, struct direct *d)
{
	struct result *r = d->result;
	long status = 0;

	curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
	r->exit = exit_of_curl(code);
	if (d->sig > 0) {
		r->exit = (enum cli_exit)(128 + d->sig);
		err_set(&r->err, ECANCELED, "interrupted");
	} else if (d->write_errno) {
		r->exit = d->write_errno == ENOSPC ? EXIT_NO_SPACE : EXIT_OUTPUT;
		err_set(&r->err, d->write_errno, "write output");
	} else if (code == CURLE_HTTP_RETURNED_ERROR) {
		r->exit = status == 404 || status == 410   ? EXIT_NOT_FOUND
			  : status == 401 || status == 403 ? EXIT_NOT_ALLOWED
			  : status == 429		   ? EXIT_BUSY
							   : EXIT_NETWORK;
		err_set(&r->err, EPROTO, "the origin answers %ld", status);
	} else if (code != CURLE_OK) {
		err_set(&r->err, EPROTO, "%s", curl_easy_strerror(code));
	}
}

/* Ends the digest of all bytes so far. */
static bool is_as_asked(const struct options *o, struct direct *d, char hex[DIGEST_HEX_LEN + 1])
{
	const char *want;

	sha256_final(d->sha, hex);
	return digest_is_sha256(o->digest, &want) && strcmp(hex, want) == 0;
}

static void check_digest(const struct options *o, struct direct *d)
{
	char hex[DIGEST_HEX_LEN + 1];

	if (d->result->exit != EXIT_DONE || !d->sha || is_as_asked(o, d, hex))
		return;
	d->result->exit = EXIT_MISMATCH;
	err_set(&d->result->err, EBADMSG, "content has sha256:%.16s..., asked was %.23s...", hex,
		o->digest);
}

/* It has no ranges, or none that begins where the part ends: its content has changed, or the part
 * is the whole. */
static bool cannot_go_on(CURL *h, CURLcode code)
{
	long status = 0;

	curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
	return code == CURLE_RANGE_ERROR || (code == CURLE_HTTP_RETURNED_ERROR && status == 416);
}

static void ask(const struct options *o, struct direct *d)
{
	struct curl_slist *headers = NULL;
	CURL *h = curl_easy_init();
	CURLcode code;

	for (size_t i = 0; i < o->headers.count; i++)
		headers = curl_slist_append(headers, o->headers.items[i]);
	curl_easy_setopt(h, CURLOPT_URL, o->url);
	curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(h, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(h, CURLOPT_MAXREDIRS, 10L);
	curl_easy_setopt(h, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(h, CURLOPT_USERAGENT, "skimmer/" SKIMMER_VERSION);
	curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)o->timeout_ms);
	curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
	curl_easy_setopt(h, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)d->result->tally.local);
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(h, CURLOPT_WRITEDATA, d);
	curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(h, CURLOPT_XFERINFODATA, d);
	code = curl_easy_perform(h);
	judge(h, code, d);
	d->anew = d->result->tally.local && cannot_go_on(h, code);
	curl_slist_free_all(headers);
	curl_easy_cleanup(h);
}

/* The origin would not go on after the part: it is the whole, or of no use. */
static void begin_anew(const struct options *o, struct direct *d)
{
	uint64_t local = d->result->tally.local;
	char hex[DIGEST_HEX_LEN + 1];
	bool whole = is_as_asked(o, d, hex);

	*d->result = (struct result){.tally.local = whole ? local : 0};
	if (whole)
		return;
	sha256_free(d->sha);
	d->sha = sha256_new();
	if (ftruncate(d->fd, 0) < 0 || lseek(d->fd, 0, SEEK_SET) < 0) {
		d->result->exit = EXIT_OUTPUT;
		err_set(&d->result->err, errno, "empty the part of before");
		return;
	}
	ask(o, d);
	check_digest(o, d);
}

static void fetch(const struct options *o, struct direct *d)
{
	ask(o, d);
	if (d->anew)
		begin_anew(o, d);
	else
		check_digest(o, d);
}

/* Opens "<output>.dfget-part". What an earlier try left is kept only when the digest will prove it.
 */
static int open_part(const struct options *o, const char *part, struct direct *d)
{
	static char block[1 << 16];
	int flags = O_RDWR | O_CREAT | O_CLOEXEC | (o->digest ? 0 : O_TRUNC);
	ssize_t n;

	d->fd = open(part, flags, 0644);
	if (d->fd < 0)
		return err_set(&d->result->err, errno, "open %s", part);
	while (o->digest && (n = read(d->fd, block, sizeof(block))) > 0) {
		sha256_update(d->sha, block, (size_t)n);
		d->result->tally.local += (uint64_t)n;
	}
	return 0;
}

/* Only a digest proves later that the part belongs to what will come then; and only what may come
 * to an end when it is asked for again. */
static bool is_worth_keeping(const struct options *o, const struct result *r)
{
	bool again = r->exit == EXIT_NETWORK || r->exit == EXIT_TIMED_OUT || r->exit == EXIT_BUSY ||
		     r->exit > 128;

	return o->digest && again && r->tally.local + r->tally.from_origin > 0;
}

static void to_file(const struct options *o, struct direct *d)
{
	char *part cleanup(free_at) = mem_printf("%s.dfget-part", o->output_path);
	struct result *r = d->result;
	struct stat st;

	if (!o->overwrite && lstat(o->output_path, &st) == 0) {
		r->exit = EXIT_OUTPUT;
		err_set(&r->err, EEXIST, "%s (--overwrite replaces it)", o->output_path);
		return;
	}
	if (open_part(o, part, d) < 0) {
		r->exit = EXIT_OUTPUT;
		return;
	}
	fetch(o, d);
	if (r->exit == EXIT_DONE && (fsync(d->fd) < 0 || rename(part, o->output_path) < 0)) {
		r->exit = EXIT_OUTPUT;
		err_set(&r->err, errno, "%s", o->output_path);
	}
	if (r->exit != EXIT_DONE && !is_worth_keeping(o, r))
		unlink(part);
	close(d->fd);
}

void direct_run(const struct options *o, int out_fd, struct progress *p, struct result *out)
{
	struct direct d = {.fd = out_fd, .progress = p, .result = out};

	*out = (struct result){0};
	if (o->digest)
		d.sha = sha256_new();
	curl_global_init(CURL_GLOBAL_DEFAULT);
	if (out_fd >= 0)
		fetch(o, &d);
	else
		to_file(o, &d);
	curl_global_cleanup();
	sha256_free(d.sha);
}
