/* Tables of the database as REST resources: list, get, make, change and delete by a description. */
#ifndef CONTROL_MANAGER_RESOURCE_H
#define CONTROL_MANAGER_RESOURCE_H

#include "control/manager/rest.h"

struct resource {
	const char *singular; /* in messages */
	const char *table;
	const char *order; /* NULL = "id" */
	const struct field *fields;
	/* Looks at what is to be written and may change it; members of `taken` that are no fields
	 * are not written. May be NULL. */
	int (*write)(struct rest_call *c, json_t *taken, bool creating, struct err *e);
	/* Adds to a row that is about to be answered. May be NULL; called without a query open. */
	int (*extend)(struct rest_call *c, json_t *row, struct err *e);
	/* After the row was made: adds what is shown only once. May be NULL. */
	int (*made)(struct rest_call *c, const json_t *taken, json_t *row, struct err *e);
	/* EBUSY with what is in the way. May be NULL. In the transaction of the deletion. */
	int (*may_delete)(struct rest_call *c, int64_t id, struct err *e);
};

/* Handlers; route.resource says of what. */
int resource_list(struct rest_call *c, struct err *e);
int resource_get(struct rest_call *c, struct err *e);
int resource_create(struct rest_call *c, struct err *e);
int resource_update(struct rest_call *c, struct err *e);
int resource_delete(struct rest_call *c, struct err *e);

/* A row as JSON, extended. ENOENT. */
must_check int resource_row(struct rest_call *c, const struct resource *r, int64_t id, json_t **out,
			    struct err *e);
/* Rows for which `where`, a condition with one '?' for id, holds: a JSON array, not extended. */
must_check int resource_rows(struct rest_call *c, const struct resource *r, const char *where,
			     int64_t id, json_t **out, struct err *e);
/* Writes what fields_take() made as a new row. */
must_check int resource_insert(struct db *db, const struct resource *r, const json_t *taken,
			       int64_t *id_out, struct err *e);
/* ENOENT. */
must_check int resource_change(struct db *db, const struct resource *r, int64_t id,
			       const json_t *taken, struct err *e);

/* The routes of a resource whose fields are the array `fields`. */
#define RESOURCE_READ(path, what, fields, title)                                                   \
	{"GET", path, ACCESS_USER, resource_list, "List " title "s",                               \
	 what,	NULL, fields,	   ROUTE_LIST},                                                    \
	{                                                                                          \
		"GET", path "/:id", ACCESS_USER, resource_get, "One " title, what, NULL, fields, 0 \
	}
#define RESOURCE_MAKE(path, what, fields, title)                                                   \
	{"POST", path, ACCESS_USER, resource_create, "Add a " title, what, fields, fields, 0},     \
	{                                                                                          \
		"DELETE", path "/:id", ACCESS_USER, resource_delete, "Remove a " title, what,      \
			NULL, NULL, ROUTE_EMPTY                                                    \
	}
#define RESOURCE_CHANGE(path, what, fields, title)                                                 \
	{                                                                                          \
		"PATCH", path "/:id", ACCESS_USER, resource_update, "Change a " title, what,       \
			fields, fields, 0                                                          \
	}
#define RESOURCE_CRUD(path, what, fields, title)                                                   \
	RESOURCE_READ(path, what, fields, title), RESOURCE_MAKE(path, what, fields, title),        \
		RESOURCE_CHANGE(path, what, fields, title)

#endif
