/* Error values on the caller's stack. Must not know: logging, any other module. */
#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

/* Says "..." at the end of a text that did not fit. */
static void mark_cut(char *text, size_t size, int want)
{
	if (want >= (int)size)
		memcpy(text + size - 4, "...", 4);
}

/* Codes that the system gave, where its own words help. The others are ours: the text is whole. */
static bool is_systems(int code)
{
	switch (code) {
	case EBADMSG:
	case EINVAL:
	case EPROTO:
	case ECANCELED:
	case ENOMSG:
		return false;
	default:
		return true;
	}
}

int err_set(struct err *e, int errno_code, const char *fmt, ...)
{
	va_list ap;
	int n;

	assert(errno_code > 0);
	if (!e)
		return -errno_code;
	e->code = errno_code;
	e->fault = NULL;
	va_start(ap, fmt);
	n = vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	mark_cut(e->text, sizeof(e->text), n);
	if (is_systems(errno_code) && n >= 0 && n < (int)sizeof(e->text)) {
		char why[64];
		int m = snprintf(e->text + n, sizeof(e->text) - (size_t)n, ": %s",
				 strerror_r(errno_code, why, sizeof(why)));
		mark_cut(e->text, sizeof(e->text), n + m);
	}
	return -errno_code;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
	char inner[sizeof(e->text)];
	va_list ap;
	int n;

	assert(e && e->code > 0);
	memcpy(inner, e->text, sizeof(inner));
	va_start(ap, fmt);
	n = vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	if (n >= 0 && n < (int)sizeof(e->text))
		n += snprintf(e->text + n, sizeof(e->text) - (size_t)n, ": %s", inner);
	mark_cut(e->text, sizeof(e->text), n);
	return -e->code;
}

int err_copy(struct err *dst, const struct err *src)
{
	assert(src->code > 0);
	if (dst)
		*dst = *src;
	return -src->code;
}

int err_blame(struct err *e, const char *fault, int r)
{
	if (r < 0 && e && !e->fault)
		e->fault = fault;
	return r;
}

static const struct {
	int code;
	const char *fault;
} by_errno[] = {
	{EADDRINUSE, "SK130"},	 {EADDRNOTAVAIL, "SK132"}, {EACCES, "SK150"},
	{EPERM, "SK150"},	 {EROFS, "SK150"},	   {ENOENT, "SK151"},
	{ENOTDIR, "SK151"},	 {EEXIST, "SK152"},	   {EISDIR, "SK152"},
	{EBUSY, "SK153"},	 {EMFILE, "SK154"},	   {ENFILE, "SK154"},
	{ENOMEM, "SK155"},	 {EIO, "SK156"},	   {EINVAL, "SK157"},
	{E2BIG, "SK158"},	 {EFBIG, "SK158"},	   {EMSGSIZE, "SK158"},
	{ECANCELED, "SK159"},	 {ENOSPC, "SK113"},	   {EDQUOT, "SK113"},
	{ECONNREFUSED, "SK240"}, {EHOSTUNREACH, "SK240"},  {ENETUNREACH, "SK240"},
	{ENOTCONN, "SK240"},	 {ECONNRESET, "SK240"},	   {EPIPE, "SK240"},
	{ETIMEDOUT, "SK241"},	 {EPROTO, "SK242"},	   {EBADMSG, "SK243"},
};

const char *err_fault(const struct err *e)
{
	if (e->fault)
		return e->fault;
	for (size_t i = 0; i < array_len(by_errno); i++)
		if (by_errno[i].code == e->code)
			return by_errno[i].fault;
	return "SK199";
}
