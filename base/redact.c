/* Secrets by the shapes they have in headers, URLs and error texts. Rather one word too many. */
#include "base/redact.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const char *const secret_words[] = {
	"authorization", "token",  "password",	"passwd",
	"cookie",	 "secret", "signature", "credential",
};

static bool ends_with_word(const char *key, size_t len, const char *word)
{
	size_t n = strlen(word);

	if (len < n || strncasecmp(key + len - n, word, n) != 0)
		return false;
	/* "setCookie", "set-cookie" and "cookie", but not "notoken" */
	return len == n || !isalpha((unsigned char)key[len - n - 1]) ||
	       isupper((unsigned char)key[len - n]);
}

bool redact_is_secret_key(const char *key, size_t len)
{
	for (size_t i = 0; i < array_len(secret_words); i++)
		if (ends_with_word(key, len, secret_words[i]))
			return true;
	return false;
}

static bool is_key_char(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '_' || c == '.';
}

/* How many bytes at p do not end a secret. */
static size_t secret_len(const char *p, const char *end, const char *stops)
{
	const char *start = p;

	while (p < end && !strchr(stops, *p))
		p++;
	return (size_t)(p - start);
}

/* The same up to the closing quote, which is not an escaped one. */
static size_t quoted_len(const char *p, const char *end)
{
	const char *start = p;

	while (p < end && *p != '"')
		p += *p == '\\' && end - p > 1 ? 2 : 1;
	return (size_t)(p - start);
}

static size_t blanks(const char *p, const char *end)
{
	const char *start = p;

	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	return (size_t)(p - start);
}

static bool is_word(const char *p, size_t len, const char *word)
{
	return len == strlen(word) && strncasecmp(p, word, len) == 0;
}

/*
 * A word has ended at p; what stands there makes the word a secret's name or not. Returns how many
 * bytes to copy (*keep_out) and then how many to leave out.
 */
static size_t secret_after(const char *word, size_t len, const char *p, const char *end,
			   size_t *keep_out)
{
	const char *start = p;
	bool quoted; /* first the name: a JSON member; then the value */
	char sign;

	p += blanks(p, end);
	*keep_out = (size_t)(p - start);
	if (p > start && (is_word(word, len, "bearer") || is_word(word, len, "basic")))
		return secret_len(p, end, " \t\r\n\"',;");
	if (p == end || !redact_is_secret_key(word, len))
		return 0;
	quoted = *p == '"';
	if (quoted)
		p += 1 + blanks(p + 1, end);
	if (p == end || (*p != '=' && *p != ':'))
		return 0;
	sign = *p++;
	/* "token: no answer" is a sentence, "cookie: a=b; c=d" is a header */
	if (sign == ':' && !quoted && is_word(word, len, "token"))
		return 0;
	p += blanks(p, end);
	quoted = p < end && *p == '"';
	p += quoted;
	*keep_out = (size_t)(p - start);
	if (quoted)
		return quoted_len(p, end);
	return secret_len(p, end, sign == ':' ? "\r\n\"" : " \t\r\n\"'&;,)");
}

/* "//user:password@": the length of what stands before the '@'; 0 if there is none. */
static size_t userinfo_len(const char *p, const char *end)
{
	size_t len = secret_len(p, end, "/?# \t\r\n\"'<>");
	const char *at = memrchr(p, '@', len);

	return at ? (size_t)(at - p) : 0;
}

static void append_redacted(struct buf *out, size_t secret)
{
	if (secret)
		buf_puts(out, REDACTED);
}

void redact_append(struct buf *out, const char *text, size_t len)
{
	const char *p = text, *end = text + len;

	while (p < end) {
		const char *word = p;
		size_t keep = 1, secret = 0;

		while (p < end && is_key_char(*p))
			p++;
		if (p > word) {
			buf_append(out, word, (size_t)(p - word));
			secret = secret_after(word, (size_t)(p - word), p, end, &keep);
		} else if (end - p > 2 && memcmp(p, "://", 3) == 0) {
			keep = 3;
			secret = userinfo_len(p + 3, end);
		}
		buf_append(out, p, keep);
		append_redacted(out, secret);
		p += keep + secret;
	}
}
