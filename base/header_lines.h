/* HTTP headers as text: "Name: value\n" lines, as origin and relay hand them out and the store
 * keeps them. Values have their outer blanks cut and no control characters but tabs. */
#ifndef BASE_HEADER_LINES_H
#define BASE_HEADER_LINES_H

#include "base/buf.h"
#include "base/err.h"

/* Appends one raw field line of an answer (its line end may be there). EPROTO: malformed. */
must_check int header_lines_add(struct buf *lines, const char *raw, size_t len, struct err *e);
/* The nth (from 0) value of name, case-insensitive; NULL if there is none. The caller frees. */
char *header_lines_get(const char *lines, const char *name, unsigned nth);
/* Appends the lines of these names (ends with NULL), in the order of the names. */
void header_lines_pick(struct buf *out, const char *lines, const char *const *names);
/* Appends all lines but the hop-by-hop ones: RFC 9110 §7.6.1 and those that Connection names. */
void header_lines_end_to_end(struct buf *out, const char *lines);
/* A field name as RFC 9110 has it, and a value that may go on the wire. */
bool header_name_is_valid(const char *name, size_t len);
bool header_value_is_valid(const char *value, size_t len);

#endif
