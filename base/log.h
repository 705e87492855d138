/*
 * The log: a constant sentence, then keys.
 *
 *	log_warn("peer refused piece", "task=%s piece=%u why=\"%s\"", id, no, e.text);
 *	log_error(err_fault(&e), "record cannot be written", "task=%s why=\"%s\"", id, e.text);
 *
 * error = someone must act; warn = we coped; info = at most one line per task; debug = free when
 * off. logfmt on a terminal, JSON lines elsewhere (values keep their text). A line that is written
 * within a trace (base/trace.h) ends with its trace_id. Thread-safe; never call it under a lock.
 * Values of keys that hold secrets (authorization, token, password, cookie, set-cookie, and
 * "Bearer x"/"Basic x" anywhere) are replaced by "[redacted]".
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_AUTO, LOG_LOGFMT, LOG_JSON };

extern enum log_level log_level_now; /* read it freely, set it with log_set_level() */

void log_set_level(enum log_level level);
/* "error" | "warn" | "info" | "debug"; false if it is none of them. */
bool log_level_parse(const char *text, enum log_level *out);
/* Default: stderr, LOG_AUTO. program is a constant string shown in JSON lines. */
void log_open_stderr(const char *program, enum log_format format);
/* Appends to <dir>/<program>.log; rotated at size_max bytes, files_max kept. Makes dir. */
must_check int log_open_dir(const char *program, const char *dir, uint64_t size_max,
			    unsigned files_max, struct err *e);

/* fault: NULL, or a code of base/fault.h, shown as the key "code". keys may be NULL; otherwise
 * logfmt text "a=%s b=\"%s\"". */
void log_write(enum log_level level, const char *fault, const char *sentence, const char *keys, ...)
	printf_like(4, 5);

#define log_at(level, ...)                                                                         \
	do {                                                                                       \
		if ((int)(level) <= (int)__atomic_load_n(&log_level_now, __ATOMIC_RELAXED))        \
			log_write(level, NULL, __VA_ARGS__);                                       \
	} while (0)
/* Takes the fault first ("SK156", err_fault(&e)): an error is something that somebody must do. */
#define log_error(fault, ...) log_write(LOG_ERROR, fault, __VA_ARGS__)
#define log_warn(...)	      log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...)	      log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...)	      log_at(LOG_DEBUG, __VA_ARGS__)

#endif
