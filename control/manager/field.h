/*
 * Fields of what the REST API takes and gives, as tables: the same table checks a body, reads and
 * writes a row and is the schema in the OpenAPI document. Must not know: HTTP, the database.
 */
#ifndef CONTROL_MANAGER_FIELD_H
#define CONTROL_MANAGER_FIELD_H

#include "base/json.h"

#include <stdbool.h>

enum field_type {
	FIELD_TEXT, /* min..max bytes */
	FIELD_INT,  /* min..max */
	FIELD_BOOL,
	FIELD_OBJECT, /* of `members`, or anything when there are none */
	FIELD_LIST,   /* at most max items, each as `members[0]` */
	FIELD_TIME,   /* RFC 3339; milliseconds in the row */
};

enum {
	FIELD_REQUIRED = 1,    /* when a row is made */
	FIELD_READ_ONLY = 2,   /* bodies that have it are not refused: it is passed over */
	FIELD_CREATE_ONLY = 4, /* a change passes it over */
	FIELD_FILTER = 8,      /* lists can be asked by ?name=value */
	FIELD_NULLABLE = 16,   /* "" or 0 is NULL in the row */
	FIELD_WRITE_ONLY = 32, /* never in an answer: secrets */
	FIELD_NO_COLUMN = 64,  /* not of the row: somebody else reads and writes it */
	FIELD_BEGINS = 128,    /* FIELD_FILTER of a text: also by ?name=beginning* */
};

struct field {
	const char *name;
	enum field_type type;
	unsigned flags;
	int64_t min, max;
	const char *words;	     /* TEXT: one of "a|b|c" */
	const char *fallback;	     /* JSON: what a body without it means when a row is made */
	const char *column;	     /* NULL = name */
	const struct field *members; /* ends with name NULL */
	/* Whether the text, in bounds already, is good: EINVAL says what is wrong. */
	int (*check)(const char *text, struct err *e);
	const char *help;
};

const char *field_column(const struct field *f);

/*
 * What the fields take of a body, checked: a new object of known members only, nested ones too;
 * defaults filled in and required ones asked for when `creating`. EINVAL names the member and what
 * it may be, but never its value.
 */
must_check int fields_take(const struct field *fields, const json_t *body, bool creating,
			   json_t **out, struct err *e);

/* A JSON schema of an object of the fields; for_input: without what is read-only. */
json_t *fields_schema(const struct field *fields, bool for_input);

/* Checks for FIELD_TEXT. */
int field_check_cidr(const char *text, struct err *e);
int field_check_ip(const char *text, struct err *e);
int field_check_url(const char *text, struct err *e);
int field_check_json(const char *text, struct err *e);
/* No control characters and no blank at either end. */
int field_check_line(const char *text, struct err *e);

/* "2026-08-20T12:00:00.123Z". */
void field_print_time(int64_t wall_ms, char text[32]);
/* False if it is no RFC 3339 time. */
bool field_parse_time(const char *text, int64_t *wall_ms_out);

#endif
