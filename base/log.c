/*
 * The log. The structure of a line (which keys there are, where a value ends) is read from the
 * format alone, and each argument is printed into one value: foreign text can fill a value, never
 * forge a key or a line. Lines have a bound; what does not fit is cut and the line says so.
 *
 * Its mutex has no rank: it is a leaf, and it is held over the write so that lines do not mix.
 */
#include "base/log.h"

#include "base/clock.h"
#include "base/dir.h"
#include "base/mem.h"
#include "base/redact.h"
#include "base/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define LINE_MAX_LEN  8192
#define LINE_RESERVE  32 /* kept free to close a line that was cut */
#define VALUE_MAX_LEN 4096

enum log_level log_level_now = LOG_INFO;

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static struct {
	pthread_mutex_t mutex;
	/* under mutex */
	int fd;
	enum log_format format; /* LOG_AUTO until the first line */
	const char *program;
	char *path; /* NULL: stderr */
	uint64_t size, size_max;
	unsigned files_max;
} sink = {.mutex = PTHREAD_MUTEX_INITIALIZER, .fd = STDERR_FILENO, .program = ""};

void log_set_level(enum log_level level)
{
	__atomic_store_n(&log_level_now, level, __ATOMIC_RELAXED);
}

bool log_level_parse(const char *text, enum log_level *out)
{
	for (size_t i = 0; i < array_len(level_names); i++) {
		if (strcmp(text, level_names[i]) != 0)
			continue;
		*out = (enum log_level)i;
		return true;
	}
	return false;
}

/* ---- a line being built */

struct line {
	bool json, cut;
	size_t len;
	char text[LINE_MAX_LEN];
};

/* Whole or not at all; nothing goes in after a cut, until the reserve is opened by line_end(). */
static void line_add(struct line *l, const char *text, size_t len)
{
	if (l->cut || l->len + len > LINE_MAX_LEN - LINE_RESERVE) {
		l->cut = true;
		return;
	}
	memcpy(l->text + l->len, text, len);
	l->len += len;
}

static void line_puts(struct line *l, const char *text)
{
	line_add(l, text, strlen(text));
}

/* Bytes of the UTF-8 character at p (RFC 3629), 0 if it is none. */
static size_t utf8_len(const unsigned char *p, size_t left)
{
	size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

	if (len == 0 || len > left || p[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

/* The inside of a quoted string. JSON's escapes serve logfmt as well; C1 control characters are
 * escaped too, because terminals obey them. */
static void line_escape(struct line *l, const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + len;

	while (p < end) {
		size_t n = utf8_len(p, (size_t)(end - p));
		char esc[8];

		if (n == 0) {
			line_puts(l, "\\ufffd");
			n = 1;
		} else if (*p == '"' || *p == '\\') {
			line_add(l, (char[]){'\\', (char)*p}, 2);
		} else if (*p == '\n') {
			line_puts(l, "\\n");
		} else if (*p == '\t') {
			line_puts(l, "\\t");
		} else if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0)) {
			snprintf(esc, sizeof(esc), "\\u%04x", n == 2 ? p[1] : *p);
			line_puts(l, esc);
		} else {
			line_add(l, (const char *)p, n);
		}
		p += n;
	}
}

static bool is_plain(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~' || strchr("\"=\\", text[i]))
			return false;
	return len > 0;
}

/* One key and its value. bare: the value is a number and may stand without quotes. */
static void line_pair(struct line *l, const char *key, size_t key_len, const char *value,
		      size_t len, bool bare)
{
	size_t before = l->len;

	if (!l->json && is_plain(value, len))
		bare = true;
	line_puts(l, l->json ? ",\"" : " ");
	line_add(l, key, key_len);
	line_puts(l, l->json ? "\":" : "=");
	if (!bare)
		line_puts(l, "\"");
	if (l->cut) {
		l->len = before;
		return;
	}
	if (bare)
		line_add(l, value, len);
	else
		line_escape(l, value, len);
	if (l->cut && bare) {
		l->len = before;
	} else if (!bare) {
		/* The reserve is for this: an opened quote is always closed. */
		l->text[l->len++] = '"';
	}
}

static void line_begin(struct line *l, enum log_level level, const char *fault,
		       const char *sentence)
{
	int64_t now_ms = clock_wall_ms();
	time_t now_s = (time_t)(now_ms / 1000);
	char stamp[48];
	struct tm tm;
	size_t n;

	gmtime_r(&now_s, &tm);
	n = strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(stamp + n, sizeof(stamp) - n, ".%03dZ", (int)(now_ms % 1000));
	line_puts(l, l->json ? "{\"time\":\"" : "time=");
	line_puts(l, stamp);
	if (l->json)
		line_puts(l, "\"");
	line_pair(l, "level", 5, level_names[level], strlen(level_names[level]), false);
	if (l->json && sink.program[0])
		line_pair(l, "program", 7, sink.program, strlen(sink.program), false);
	if (fault)
		line_pair(l, "code", 4, fault, strlen(fault), false);
	line_pair(l, "msg", 3, sentence, strlen(sentence), false);
}

static void line_end(struct line *l)
{
	const char *cut = !l->cut ? "" : l->json ? ",\"cut\":true" : " cut=true";
	const char *end = l->json ? "}\n" : "\n";

	memcpy(l->text + l->len, cut, strlen(cut));
	l->len += strlen(cut);
	memcpy(l->text + l->len, end, strlen(end));
	l->len += strlen(end);
}

/* ---- one conversion of the format */

struct value {
	char text[VALUE_MAX_LEN];
	size_t len;
	unsigned parts;	 /* literal runs and conversions it consists of */
	bool is_integer; /* the last part is a whole decimal number */
};

struct args {
	va_list ap;
	int error; /* the caller's errno */
};

static void value_grow(struct value *v, int n)
{
	if (n > 0)
		v->len += (size_t)n;
	if (v->len >= sizeof(v->text)) {
		v->len = sizeof(v->text) - 1;
		memcpy(v->text + v->len - 3, "...", 3);
	}
}

/* spec is one conversion of a format that the compiler has checked at the caller of log_write(). */
/* NOLINTBEGIN(bugprone-branch-clone): the branches differ in the type of the argument */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void value_print(struct value *v, const char *spec, struct args *a)
{
	size_t n = strlen(spec), left = sizeof(v->text) - v->len;
	char *out = v->text + v->len;
	char kind = spec[n - 1];
	bool is_long = strpbrk(spec, "lzjt") != NULL; /* all 64 bits on what we build for */

	_Static_assert(sizeof(long) == sizeof(long long) && sizeof(long) == sizeof(intmax_t),
		       "integers wider than int are alike");
	v->is_integer = strchr("diu", kind) != NULL;
	if (strchr("diuxXoc", kind))
		value_grow(v, is_long ? snprintf(out, left, spec, va_arg(a->ap, long))
				      : snprintf(out, left, spec, va_arg(a->ap, int)));
	else if (strchr("fFeEgGaA", kind))
		value_grow(v, snprintf(out, left, spec, va_arg(a->ap, double)));
	else if (strchr("sp", kind))
		value_grow(v, snprintf(out, left, spec, va_arg(a->ap, void *)));
	else if (kind == 'm')
		value_grow(v, snprintf(out, left, "%s", strerror_r(a->error, (char[64]){0}, 64)));
	else
		value_grow(v, snprintf(out, left, "%c", kind));
}
#pragma GCC diagnostic pop
/* NOLINTEND(bugprone-branch-clone) */

/* Copies the conversion at fmt with every '*' replaced by its argument. Returns its length. */
static size_t copy_spec(const char *fmt, char *spec, size_t size, struct args *a)
{
	size_t n = 1 + strcspn(fmt + 1, "diuxXocfFeEgGaAspm%");
	size_t len = 0;

	if (fmt[n])
		n++;
	for (size_t i = 0; i < n && len + 12 < size; i++) {
		if (fmt[i] == '*')
			len += (size_t)snprintf(spec + len, size - len, "%d", va_arg(a->ap, int));
		else
			spec[len++] = fmt[i];
	}
	spec[len] = 0;
	return n;
}

/* Reads one value off the format, up to the blank (or the closing quote) that ends it. */
static const char *read_value(const char *fmt, struct value *v, struct args *a)
{
	char end = *fmt == '"' ? '"' : ' ';
	char spec[48];

	v->len = v->parts = 0;
	v->is_integer = false;
	if (end == '"')
		fmt++;
	for (; *fmt && *fmt != end; v->parts++) {
		if (*fmt == '%') {
			fmt += copy_spec(fmt, spec, sizeof(spec), a);
			value_print(v, spec, a);
			continue;
		}
		v->is_integer = false;
		if (v->len + 1 < sizeof(v->text))
			v->text[v->len++] = *fmt;
		fmt++;
	}
	if (end == '"' && *fmt)
		fmt++;
	return fmt + strspn(fmt, " ");
}

static void line_values(struct line *l, const char *fmt, struct args *a)
{
	struct buf clean = BUF_INIT(2ul * VALUE_MAX_LEN);
	struct value v;

	fmt += strspn(fmt, " ");
	while (*fmt) {
		const char *key = fmt;
		size_t key_len = strcspn(fmt, "= %");

		/* A value without a key is our own slip: it is shown, under a key that tells. */
		if (fmt[key_len] == '=')
			fmt += key_len + 1;
		else
			key_len = 0;
		fmt = read_value(fmt, &v, a);
		buf_clear(&clean);
		if (redact_is_secret_key(key, key_len))
			buf_puts(&clean, REDACTED);
		else
			redact_append(&clean, v.text, v.len);
		line_pair(l, key_len ? key : "text", key_len ? key_len : 4,
			  clean.data ? clean.data : "", clean.len, v.is_integer && v.parts == 1);
	}
	buf_release(&clean);
}

/* So that a line leads to its trace, and to what other programs said of it. */
static void line_trace(struct line *l)
{
	char parent[TRACE_PARENT_LEN + 1];

	if (!trace_is_on() || !trace_context_is_set(&trace_here))
		return;
	trace_context_print(&trace_here, parent);
	line_pair(l, "trace_id", 8, parent + TRACE_ID_AT, TRACE_ID_LEN, false);
}

/* ---- the sink, under its mutex */

static int open_file(void)
{
	return open(sink.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
}

/* path -> path.1 -> path.2 ...; the oldest goes. Goes on with the old file if that fails. */
static void rotate(void)
{
	int fd;

	for (unsigned i = sink.files_max > 1 ? sink.files_max - 1 : 0; i > 0; i--) {
		cleanup(free_at) char *from =
			i > 1 ? mem_printf("%s.%u", sink.path, i - 1) : mem_strdup(sink.path);
		cleanup(free_at) char *to = mem_printf("%s.%u", sink.path, i);

		rename(from, to);
	}
	if (sink.files_max <= 1)
		unlink(sink.path);
	fd = open_file();
	sink.size = 0;
	if (fd < 0)
		return;
	close(sink.fd);
	sink.fd = fd;
}

static bool write_whole(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		text += n;
		len -= (size_t)n;
	}
	return true;
}

static void sink_write(const char *text, size_t len)
{
	if (sink.path && sink.size_max && sink.size && sink.size + len > sink.size_max)
		rotate();
	/* A full disk must not silence an error: the supervisor's log gets it. */
	if (!write_whole(sink.fd, text, len) && sink.path)
		write_whole(STDERR_FILENO, text, len);
	sink.size += len;
}

static void sink_set(int fd, const char *program, enum log_format format, char *path, uint64_t size)
{
	if (sink.path) {
		close(sink.fd);
		free(sink.path);
	}
	sink.fd = fd;
	sink.program = program;
	sink.format = format;
	sink.path = path;
	sink.size = size;
}

void log_open_stderr(const char *program, enum log_format format)
{
	pthread_mutex_lock(&sink.mutex);
	sink_set(STDERR_FILENO, program, format, NULL, 0);
	pthread_mutex_unlock(&sink.mutex);
}

int log_open_dir(const char *program, const char *dir, uint64_t size_max, unsigned files_max,
		 struct err *e)
{
	cleanup(free_at) char *path = mem_printf("%s/%s.log", dir, program);
	cleanup(close_at) int fd = -1;
	struct stat st;
	int r;

	r = dir_make(dir, 0755, e);
	if (r < 0)
		return r;
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, errno, "open %s", path);
	pthread_mutex_lock(&sink.mutex);
	sink_set(take_fd(&fd), program, LOG_JSON, take_ptr(&path), (uint64_t)st.st_size);
	sink.size_max = size_max;
	sink.files_max = files_max;
	pthread_mutex_unlock(&sink.mutex);
	return 0;
}

void log_write(enum log_level level, const char *fault, const char *sentence, const char *keys, ...)
{
	int saved = errno;
	struct line l;
	struct args a = {.error = saved};

	pthread_mutex_lock(&sink.mutex);
	if (sink.format == LOG_AUTO)
		sink.format = isatty(sink.fd) ? LOG_LOGFMT : LOG_JSON;
	l.json = sink.format == LOG_JSON;
	l.cut = false;
	l.len = 0;
	line_begin(&l, level, fault, sentence);
	if (keys) {
		va_start(a.ap, keys);
		line_values(&l, keys, &a);
		va_end(a.ap);
	}
	line_trace(&l);
	line_end(&l);
	sink_write(l.text, l.len);
	pthread_mutex_unlock(&sink.mutex);
	errno = saved;
}
