/*
 * The REST API: a table of routes, who may ask what, and how an answer is said. Handlers are plain
 * functions that run on a worker of the web and may block.
 *
 * Errors of a handler become answers in one place: ENOENT 404, EEXIST and EBUSY 409, EINVAL 422
 * {"errors"}, EACCES 401, EPERM 403, ENOTSUP 400, EMSGSIZE 413, ENOTCONN and EDEADLK (the database
 * is away, or busy) 503; all else is logged and answered 500 without its text. Others are said by
 * rest_refuse().
 */
#ifndef CONTROL_MANAGER_REST_H
#define CONTROL_MANAGER_REST_H

#include "base/json.h"
#include "control/manager/config.h"
#include "control/manager/db.h"
#include "control/manager/field.h"
#include "control/manager/web.h"

struct jwt;
struct vault;
struct limiter;
struct jobs;
struct live;
struct rest_call;
struct resource;

enum access {
	ACCESS_PUBLIC,
	ACCESS_USER,  /* a signed-in user whose roles permit it */
	ACCESS_TOKEN, /* a personal access token with the scope */
};

enum {
	ROUTE_SELF = 1,		  /* whoever the user :id is may, whatever the roles say */
	ROUTE_LIST = 2,		  /* answers an array, by page */
	ROUTE_UNAUDITED = 4,	  /* changes nothing that is kept */
	ROUTE_ROW = 16,		  /* the shape has the columns of every row besides its own */
	ROUTE_AUDITED = 32,	  /* a GET that changes something */
	ROUTE_EMPTY = 8,	  /* answers without a body */
	ROUTE_EVENTS = 64,	  /* answers server-sent events, each the shape as JSON */
	ROUTE_TEXT = 128,	  /* answers a text; with ROUTE_TEXTS an array of arrays of texts */
	ROUTE_TEXTS = 256,	  /* answers an array of texts */
	ROUTE_ELSEWHERE = 512,	  /* asks other programs, which may not answer */
	ROUTE_REDIRECT = 1024,	  /* sends a browser on */
	ROUTE_NEEDS_QUERY = 2048, /* a query that the document lists is needed */
};

struct route {
	const char *method;
	const char *path; /* "/api/v1/users/:id" */
	enum access access;
	int (*handle)(struct rest_call *c, struct err *e);
	const char *summary;
	const struct resource *resource; /* for the handlers of resource.c */
	const struct field *body;	 /* of the request, for the document; NULL = none */
	const struct field *shape;	 /* of the answer, for the document; NULL = not told */
	unsigned flags;
};

struct rest {
	struct db *db;
	struct vault *vault;
	struct jwt *jwt;
	struct limiter *limiter;
	struct jobs *jobs;
	struct live *live;
	const struct manager_config *config;
};

#define REST_PARAMS_MAX 3

struct rest_call {
	struct rest *rest;
	const struct web_request *rq;
	struct web_answer *answer;
	const struct route *route;
	char *params[REST_PARAMS_MAX]; /* decoded, in the order of the path */
	unsigned param_count;
	/* who asks; 0 and NULL = nobody known */
	int64_t user_id;
	char *actor;
	bool by_token;
};

/* For web_config: its arg is the struct rest. */
void rest_answer(void *rest, const struct web_request *rq, struct web_answer *out);

/* All tables of routes, each ending with method NULL; the list ends with NULL. */
const struct route *const *rest_routes(void);

/* ---- for handlers */

/* The nth parameter as an id: ENOENT if it is none. */
must_check int rest_id(const struct rest_call *c, unsigned n, int64_t *out, struct err *e);
must_check int rest_body(const struct rest_call *c, json_t **out, struct err *e);
/* A parameter of the query, decoded; NULL if absent. The caller frees. */
char *rest_query(const struct rest_call *c, const char *name);
/* Takes value. */
void rest_json(struct rest_call *c, json_t *value);
/* Answers the first column of a query's rows as an array of texts, and ends the query. */
int rest_texts(struct rest_call *c, struct query *q);
/* {"message": ...}; returns 0 for the handler to return. */
int rest_refuse(struct rest_call *c, int status, const char *fmt, ...) printf_like(3, 4);

/* Answers as the error of a handler is answered. */
void rest_refuse_error(struct rest_call *c, struct err *e);

struct rest_page {
	int64_t page, per_page;
};
/* EINVAL for numbers out of bounds. */
must_check int rest_page(const struct rest_call *c, struct rest_page *out, struct err *e);
void rest_link(struct rest_call *c, const struct rest_page *p, int64_t total);
/* "https" or "http", as the client sees us. */
const char *rest_scheme(const struct rest_call *c);

#endif
