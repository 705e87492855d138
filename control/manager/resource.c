/* SQL out of descriptions. Every name in a statement is a constant of ours, every value is bound.
 */
#include "control/manager/resource.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

#define VALUES_MAX 48
#define SQL_MAX	   8192
#define FILTER_MAX 1024

/* A statement as it is written. */
struct sql {
	struct buf text;
	struct db_value values[VALUES_MAX];
	char *owned[VALUES_MAX]; /* texts of values */
	size_t count;
};

static void sql_release(struct sql *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->owned[i]);
	buf_release(&s->text);
}

#define SQL_INIT                                                                                   \
	{                                                                                          \
		.text = BUF_INIT(SQL_MAX)                                                          \
	}

static void sql_number(struct sql *s, int64_t n)
{
	if (s->count == VALUES_MAX)
		abort();
	s->values[s->count++] = (struct db_value){.number = n};
}

/* Takes text. */
static void sql_text(struct sql *s, char *text)
{
	if (s->count == VALUES_MAX)
		abort();
	s->owned[s->count] = text;
	s->values[s->count++] = (struct db_value){.is_text = true, .text = text};
}

/* ---- values and rows */

static void sql_value(struct sql *s, const struct field *f, const json_t *v)
{
	const char *text = json_string_value(v);

	if (f->type == FIELD_LIST || f->type == FIELD_OBJECT)
		sql_text(s, json_print(v));
	else if (f->type == FIELD_TEXT)
		sql_text(s, (f->flags & FIELD_NULLABLE) && !*text ? NULL : mem_strdup(text));
	else if ((f->flags & FIELD_NULLABLE) && json_integer_value(v) == 0)
		sql_text(s, NULL);
	else
		sql_number(s, f->type == FIELD_BOOL ? json_is_true(v) : json_integer_value(v));
}

static bool is_column(const struct field *f)
{
	return !(f->flags & FIELD_NO_COLUMN);
}

static bool is_shown(const struct field *f)
{
	return is_column(f) && !(f->flags & FIELD_WRITE_ONLY);
}

static void select_columns(struct buf *out, const struct resource *r)
{
	buf_puts(out, "SELECT id, created_ms, updated_ms");
	for (const struct field *f = r->fields; f->name; f++)
		if (is_shown(f))
			buf_printf(out, ", %s", field_column(f));
	buf_printf(out, " FROM %s", r->table);
}

static json_t *time_json(int64_t ms)
{
	char text[32];

	field_print_time(ms, text);
	return json_string(text);
}

static json_t *column_json(struct query *q, int column, const struct field *f)
{
	json_t *json;

	switch (f->type) {
	case FIELD_INT:
		return json_integer(query_int(q, column));
	case FIELD_BOOL:
		return json_boolean(query_int(q, column) != 0);
	case FIELD_TIME:
		return time_json(query_int(q, column));
	case FIELD_LIST:
	case FIELD_OBJECT:
		json = json_loads(query_text(q, column), 0, NULL);
		if (json)
			return json;
		return f->type == FIELD_LIST ? json_array() : json_object();
	default:
		json = json_string(query_text(q, column));
		return json ? json : json_string("");
	}
}

static json_t *row_json(struct query *q, const struct resource *r)
{
	json_t *row = json_object();
	int column = 3;

	json_object_set_new(row, "id", json_integer(query_int(q, 0)));
	json_object_set_new(row, "created_at", time_json(query_int(q, 1)));
	json_object_set_new(row, "updated_at", time_json(query_int(q, 2)));
	json_object_set_new(row, "is_del", json_integer(0));
	for (const struct field *f = r->fields; f->name; f++)
		if (is_shown(f))
			json_object_set_new(row, f->name, column_json(q, column++, f));
	return row;
}

int resource_row(struct rest_call *c, const struct resource *r, int64_t id, json_t **out,
		 struct err *e)
{
	struct buf sql cleanup(buf_release) = BUF_INIT(SQL_MAX);
	json_t *row cleanup(json_decref_at) = NULL;
	struct query q;
	int result;

	select_columns(&sql, r);
	buf_puts(&sql, " WHERE id = ?");
	query_start(c->rest->db, &q, e, sql.data, "i", id);
	if (query_next(&q))
		row = row_json(&q, r);
	result = query_end(&q);
	if (result == 0 && !row)
		return err_set(e, ENOENT, "no %s %lld", r->singular, (long long)id);
	if (result == 0 && r->extend)
		result = r->extend(c, row, e);
	if (result == 0)
		*out = take_ptr(&row);
	return result;
}

int resource_rows(struct rest_call *c, const struct resource *r, const char *where, int64_t id,
		  json_t **out, struct err *e)
{
	struct buf sql cleanup(buf_release) = BUF_INIT(SQL_MAX);
	json_t *rows cleanup(json_decref_at) = json_array();
	struct query q;
	int result;

	select_columns(&sql, r);
	buf_printf(&sql, " WHERE %s ORDER BY id", where);
	query_start(c->rest->db, &q, e, sql.data, "i", id);
	while (query_next(&q))
		json_array_append_new(rows, row_json(&q, r));
	result = query_end(&q);
	if (result == 0)
		*out = take_ptr(&rows);
	return result;
}

/* ---- lists */

/* "begin*" as "begin" and how many characters it has; false: it is a whole value. */
static bool take_beginning(const struct field *f, char *value, size_t *count_out)
{
	size_t len = strlen(value);

	if (!(f->flags & FIELD_BEGINS) || !len || value[len - 1] != '*')
		return false;
	value[len - 1] = 0;
	*count_out = 0;
	for (const char *at = value; *at; at++)
		*count_out += (*at & 0xc0) != 0x80;
	return true;
}

static int filter_value(struct sql *s, const struct field *f, char *text, struct err *e)
{
	char *value cleanup(free_at) = text;
	char *end;
	size_t count;
	int64_t n;

	if (strlen(value) > FILTER_MAX)
		return err_set(e, EINVAL, "%s is too long", f->name);
	/* Not LIKE, whose case and wildcards differ from database to database. */
	if (take_beginning(f, value, &count))
		buf_printf(&s->text, "SUBSTR(%s, 1, %zu) = ?", field_column(f), count);
	else
		buf_printf(&s->text, "%s = ?", field_column(f));
	if (f->type == FIELD_TEXT) {
		sql_text(s, take_ptr(&value));
		return 0;
	}
	if (f->type == FIELD_BOOL) {
		sql_number(s, strcmp(value, "true") == 0 || strcmp(value, "1") == 0);
		return 0;
	}
	errno = 0;
	n = strtoll(value, &end, 10);
	if (errno || *end)
		return err_set(e, EINVAL, "%s must be a number", f->name);
	sql_number(s, n);
	return 0;
}

static int add_filters(struct rest_call *c, const struct resource *r, struct sql *s, struct err *e)
{
	for (const struct field *f = r->fields; f->name; f++) {
		char *value = f->flags & FIELD_FILTER ? rest_query(c, f->name) : NULL;

		if (value && !*value) {
			free(value);
			value = NULL;
		}
		if (!value)
			continue;
		buf_puts(&s->text, s->count ? " AND " : " WHERE ");
		if (filter_value(s, f, value, e) < 0)
			return -e->code;
	}
	return 0;
}

/* ?sort=name or ?sort=-name, of what lists can be filtered by; equals are in the order of ids. */
static int add_order(struct rest_call *c, const struct resource *r, struct sql *s, struct err *e)
{
	char *sort cleanup(free_at) = rest_query(c, "sort");
	const char *name = sort && *sort == '-' ? sort + 1 : sort;
	const struct field *f = r->fields;

	if (!sort || !*sort) {
		buf_printf(&s->text, " ORDER BY %s", r->order ? r->order : "id");
		return 0;
	}
	while (f->name && !(f->flags & FIELD_FILTER && strcmp(f->name, name) == 0))
		f++;
	if (!f->name)
		return err_set(e, EINVAL, "sort: there is no such field to sort by");
	buf_printf(&s->text, " ORDER BY %s%s, id", field_column(f), name > sort ? " DESC" : "");
	return 0;
}

static int count_rows(struct rest_call *c, const struct resource *r, const struct sql *filter,
		      int64_t *out, struct err *e)
{
	struct buf sql cleanup(buf_release) = BUF_INIT(SQL_MAX);
	struct query q;

	buf_printf(&sql, "SELECT COUNT(*) FROM %s%s", r->table,
		   filter->text.data ? filter->text.data : "");
	query_start_values(c->rest->db, &q, e, sql.data, filter->values, filter->count);
	*out = query_next(&q) ? query_int(&q, 0) : 0;
	return query_end(&q);
}

static void append_row(struct rest_call *c, const json_t *row)
{
	char *text cleanup(free_at) = json_print(row);

	buf_puts(&c->answer->body, c->answer->body.len > 1 ? "," : "");
	buf_puts(&c->answer->body, text);
}

/* Rows go straight into the answer, one at a time, unless each has to be extended. */
static int list_rows(struct rest_call *c, const struct resource *r, struct sql *s, json_t *later,
		     struct err *e)
{
	struct query q;

	query_start_values(c->rest->db, &q, e, s->text.data, s->values, s->count);
	while (query_next(&q)) {
		json_t *row = row_json(&q, r);

		if (r->extend)
			json_array_append(later, row);
		else
			append_row(c, row);
		json_decref(row);
	}
	return query_end(&q);
}

static int extend_rows(struct rest_call *c, const struct resource *r, json_t *rows, struct err *e)
{
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		if (r->extend(c, row, e) < 0)
			return -e->code;
		append_row(c, row);
	}
	return 0;
}

int resource_list(struct rest_call *c, struct err *e)
{
	const struct resource *r = c->route->resource;
	struct sql filter cleanup(sql_release) = SQL_INIT, s cleanup(sql_release) = SQL_INIT;
	json_t *later cleanup(json_decref_at) = json_array();
	struct rest_page page;
	int64_t total = 0;
	int result = rest_page(c, &page, e);

	if (result == 0)
		result = add_filters(c, r, &filter, e);
	if (result == 0)
		result = count_rows(c, r, &filter, &total, e);
	if (result < 0)
		return result;
	select_columns(&s.text, r);
	if (add_filters(c, r, &s, e) < 0 || add_order(c, r, &s, e) < 0)
		return -e->code;
	buf_puts(&s.text, " LIMIT ? OFFSET ?");
	sql_number(&s, page.per_page);
	sql_number(&s, (page.page - 1) * page.per_page);
	buf_puts(&c->answer->body, "[");
	result = list_rows(c, r, &s, later, e);
	if (result == 0)
		result = extend_rows(c, r, later, e);
	if (result < 0)
		return result;
	buf_puts(&c->answer->body, "]");
	web_header(c->answer, "Content-Type", "application/json; charset=utf-8");
	rest_link(c, &page, total);
	return 0;
}

/* ---- one */

int resource_get(struct rest_call *c, struct err *e)
{
	json_t *row = NULL;
	int64_t id;
	int r = rest_id(c, 0, &id, e);

	if (r == 0)
		r = resource_row(c, c->route->resource, id, &row, e);
	if (r == 0)
		rest_json(c, row);
	return r;
}

int resource_insert(struct db *db, const struct resource *r, const json_t *taken, int64_t *id_out,
		    struct err *e)
{
	struct sql s cleanup(sql_release) = SQL_INIT;
	int64_t now = clock_wall_ms();
	struct query q;
	int result;

	buf_printf(&s.text, "INSERT INTO %s (created_ms, updated_ms", r->table);
	sql_number(&s, now);
	sql_number(&s, now);
	for (const struct field *f = r->fields; f->name; f++) {
		const json_t *v = json_object_get(taken, f->name);

		if (!v || !is_column(f))
			continue;
		buf_printf(&s.text, ", %s", field_column(f));
		sql_value(&s, f, v);
	}
	buf_puts(&s.text, ") VALUES (?");
	for (size_t i = 1; i < s.count; i++)
		buf_puts(&s.text, ", ?");
	buf_puts(&s.text, ") RETURNING id");
	query_start_values(db, &q, e, s.text.data, s.values, s.count);
	while (query_next(&q))
		*id_out = query_int(&q, 0);
	result = query_end(&q);
	if (result == -EEXIST)
		return err_set(e, EEXIST, "there is such a %s already", r->singular);
	if (result == -EINVAL)
		return err_set(e, EINVAL, "the %s refers to something that does not exist",
			       r->singular);
	return result;
}

int resource_change(struct db *db, const struct resource *r, int64_t id, const json_t *taken,
		    struct err *e)
{
	struct sql s cleanup(sql_release) = SQL_INIT;
	int64_t changed = 0;
	int result;

	buf_printf(&s.text, "UPDATE %s SET updated_ms = ?", r->table);
	sql_number(&s, clock_wall_ms());
	for (const struct field *f = r->fields; f->name; f++) {
		const json_t *v = json_object_get(taken, f->name);

		if (!v || !is_column(f))
			continue;
		buf_printf(&s.text, ", %s = ?", field_column(f));
		sql_value(&s, f, v);
	}
	buf_puts(&s.text, " WHERE id = ?");
	sql_number(&s, id);
	result = db_run_values(db, &changed, e, s.text.data, s.values, s.count);
	if (result == -EEXIST)
		return err_set(e, EEXIST, "there is such a %s already", r->singular);
	if (result == -EINVAL)
		return err_set(e, EINVAL, "the %s refers to something that does not exist",
			       r->singular);
	if (result == 0 && !changed)
		return err_set(e, ENOENT, "no %s %lld", r->singular, (long long)id);
	return result;
}

/* The checked body, as the resource wants it written. */
static int take_body(struct rest_call *c, bool creating, json_t **out, struct err *e)
{
	const struct resource *r = c->route->resource;
	json_t *body cleanup(json_decref_at) = NULL, *taken cleanup(json_decref_at) = NULL;
	int result = rest_body(c, &body, e);

	if (result == 0)
		result = fields_take(r->fields, body, creating, &taken, e);
	if (result == 0 && r->write)
		result = r->write(c, taken, creating, e);
	if (result == 0)
		*out = take_ptr(&taken);
	return result;
}

int resource_create(struct rest_call *c, struct err *e)
{
	const struct resource *r = c->route->resource;
	json_t *taken cleanup(json_decref_at) = NULL;
	json_t *row = NULL;
	int64_t id = 0;
	int result = take_body(c, true, &taken, e);

	if (result == 0)
		result = resource_insert(c->rest->db, r, taken, &id, e);
	if (result == 0)
		result = resource_row(c, r, id, &row, e);
	if (result == 0 && r->made)
		result = r->made(c, taken, row, e);
	if (result == 0)
		rest_json(c, row);
	else
		json_decref(row);
	return result;
}

int resource_update(struct rest_call *c, struct err *e)
{
	const struct resource *r = c->route->resource;
	json_t *taken cleanup(json_decref_at) = NULL;
	json_t *row = NULL;
	int64_t id;
	int result = rest_id(c, 0, &id, e);

	if (result == 0)
		result = take_body(c, false, &taken, e);
	if (result == 0)
		result = resource_change(c->rest->db, r, id, taken, e);
	if (result == 0)
		result = resource_row(c, r, id, &row, e);
	if (result == 0)
		rest_json(c, row);
	return result;
}

static int delete_row(struct rest_call *c, const struct resource *r, int64_t id, struct err *e)
{
	char sql[128];
	int64_t changed = 0;
	int result = r->may_delete ? r->may_delete(c, id, e) : 0;

	if (result < 0)
		return result;
	snprintf(sql, sizeof(sql), "DELETE FROM %s WHERE id = ?", r->table);
	result = db_run(c->rest->db, &changed, e, sql, "i", id);
	if (result == -EINVAL)
		return err_set(e, EBUSY, "the %s has members: remove them first", r->singular);
	if (result == 0 && !changed)
		return err_set(e, ENOENT, "no %s %lld", r->singular, (long long)id);
	return result;
}

int resource_delete(struct rest_call *c, struct err *e)
{
	int64_t id;
	int r = rest_id(c, 0, &id, e);

	if (r == 0)
		r = db_begin(c->rest->db, e);
	if (r < 0)
		return r;
	return db_finish(c->rest->db, delete_row(c, c->route->resource, id, e), e);
}
