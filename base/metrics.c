/* The registry of figures: families in the order of their first use, series in the same. Nothing is
 * ever taken out, so a series is counted without a lock. */
#include "base/metrics.h"

#include "base/list.h"
#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define LABELS_MAX    10
#define LABEL_LEN_MAX 128
#define HOOKS_MAX     8
#define BUCKETS	      24
#define SECONDS_SHIFT 6 /* the first bucket of METRIC_SECONDS: 64 us */

/* All atomic. */
struct distribution {
	uint64_t buckets[BUCKETS + 1]; /* not summed up; the last has no bound */
	uint64_t count;
	unsigned shift;
};

struct metric {
	struct list link;		   /* family.series */
	char *labels;			   /* {a="b"} or "" */
	int64_t value;			   /* atomic; of a distribution its sum */
	struct distribution *distribution; /* NULL: a plain number */
};

struct family {
	struct list link; /* registry.families */
	const struct metric_family *def;
	struct list series;
	struct map *by_labels;
};

static struct registry {
	struct lock lock;
	pthread_once_t once;
	struct list families; /* lock */
	struct map *by_name;  /* lock */
	struct {
		void (*fn)(void *arg);
		void *arg;
	} hooks[HOOKS_MAX]; /* lock */
} registry = {.once = PTHREAD_ONCE_INIT};

static void registry_init(void)
{
	lock_init(&registry.lock, 97);
	list_init(&registry.families);
	registry.by_name = map_new();
}

/* Quotes, backslashes and line ends are escaped; a long value is cut. */
static void print_label(struct buf *out, const char *name, size_t name_len, const char *value)
{
	buf_printf(out, "%s%.*s=\"", out->len ? "," : "", (int)name_len, name);
	for (size_t i = 0; value && value[i] && i < LABEL_LEN_MAX; i++) {
		if (value[i] == '\n')
			buf_puts(out, "\\n");
		else if (value[i] == '"' || value[i] == '\\')
			buf_printf(out, "\\%c", value[i]);
		else
			buf_append(out, &value[i], 1);
	}
	buf_puts(out, "\"");
}

/* The text between the braces. values NULL: all of them "other". */
static char *label_text(const char *names, const char *const *values)
{
	struct buf out = {0};

	for (size_t i = 0; names && *names; i++) {
		size_t n = strcspn(names, ",");

		print_label(&out, names, n, values ? values[i] : "other");
		names += n + (names[n] == ',');
	}
	return buf_take(&out);
}

static size_t label_count(const char *names)
{
	size_t n = names && *names;

	for (; names && *names; names++)
		n += *names == ',';
	return n;
}

static struct family *family_get(const struct metric_family *def)
{
	struct family *f = map_get(registry.by_name, def->name);

	if (f)
		return f;
	f = mem_new(struct family);
	f->def = def;
	f->by_labels = map_new();
	list_init(&f->series);
	list_push_back(&registry.families, &f->link);
	map_put(registry.by_name, def->name, f);
	return f;
}

static struct metric *series_get(struct family *f, char *labels)
{
	struct metric *m = map_get(f->by_labels, labels);

	if (m) {
		free(labels);
		return m;
	}
	m = mem_new(struct metric);
	m->labels = labels;
	if (f->def->kind >= METRIC_MILLISECONDS)
		m->distribution = mem_new(struct distribution);
	if (f->def->kind == METRIC_SECONDS)
		m->distribution->shift = SECONDS_SHIFT;
	list_push_back(&f->series, &m->link);
	map_put(f->by_labels, labels, m);
	return m;
}

struct metric *metric_get(const struct metric_family *def, ...)
{
	const char *values[LABELS_MAX];
	size_t count = label_count(def->labels);
	struct family *f;
	char *labels;
	va_list ap;

	assert(count <= LABELS_MAX);
	va_start(ap, def);
	for (size_t i = 0; i < count; i++)
		values[i] = va_arg(ap, const char *);
	va_end(ap);
	labels = label_text(def->labels, values);
	pthread_once(&registry.once, registry_init);
	lock_guard(&registry.lock);
	f = family_get(def);
	if (map_count(f->by_labels) >= METRIC_SERIES_MAX && !map_get(f->by_labels, labels)) {
		free(labels);
		labels = label_text(def->labels, NULL);
	}
	return series_get(f, labels);
}

void metric_add(struct metric *m, int64_t n)
{
	__atomic_fetch_add(&m->value, n, __ATOMIC_RELAXED);
}

void metric_set(struct metric *m, int64_t n)
{
	__atomic_store_n(&m->value, n, __ATOMIC_RELAXED);
}

/* The first bucket whose bound, 1 << (shift + i), is not below n. */
static unsigned bucket_of(const struct distribution *d, uint64_t n)
{
	unsigned i = 0;

	while (i < BUCKETS && n > UINT64_C(1) << (d->shift + i))
		i++;
	return i;
}

void metric_observe(struct metric *m, uint64_t n)
{
	struct distribution *d = m->distribution;

	__atomic_fetch_add(&d->buckets[bucket_of(d, n)], 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&d->count, 1, __ATOMIC_RELAXED);
	metric_add(m, (int64_t)n);
}

int64_t metric_value(const struct metric *m)
{
	return __atomic_load_n(&m->value, __ATOMIC_RELAXED);
}

static void hook_replace(void (*from)(void *), void *from_arg, void (*to)(void *), void *to_arg)
{
	pthread_once(&registry.once, registry_init);
	lock_guard(&registry.lock);
	for (size_t i = 0; i < HOOKS_MAX; i++) {
		if (registry.hooks[i].fn != from || registry.hooks[i].arg != from_arg)
			continue;
		registry.hooks[i].fn = to;
		registry.hooks[i].arg = to_arg;
		return;
	}
	assert(from); /* more hooks than places */
}

void metrics_on_print(void (*fn)(void *arg), void *arg)
{
	hook_replace(NULL, NULL, fn, arg);
}

void metrics_on_print_remove(void (*fn)(void *arg), void *arg)
{
	hook_replace(fn, arg, NULL, NULL);
}

/* In the unit that is shown. */
static void print_amount(const struct distribution *d, uint64_t n, struct buf *out)
{
	if (d->shift)
		buf_printf(out, "%.9g", (double)n / 1e6);
	else
		buf_printf(out, "%" PRIu64, n);
}

static void print_buckets(const char *name, const struct metric *m, struct buf *out)
{
	const struct distribution *d = m->distribution;
	uint64_t sum = 0;

	for (unsigned i = 0; i <= BUCKETS; i++) {
		sum += __atomic_load_n(&d->buckets[i], __ATOMIC_RELAXED);
		buf_printf(out, "%s_bucket{%s%sle=\"", name, m->labels, m->labels[0] ? "," : "");
		if (i < BUCKETS)
			print_amount(d, UINT64_C(1) << (d->shift + i), out);
		else
			buf_puts(out, "+Inf");
		buf_printf(out, "\"} %" PRIu64 "\n", sum);
	}
}

static void print_distribution(const struct metric_family *def, const struct metric *m,
			       struct buf *out)
{
	const char *open = m->labels[0] ? "{" : "", *close = m->labels[0] ? "}" : "";
	const struct distribution *d = m->distribution;

	if (def->kind != METRIC_SUMMARY)
		print_buckets(def->name, m, out);
	buf_printf(out, "%s_sum%s%s%s ", def->name, open, m->labels, close);
	print_amount(d, (uint64_t)metric_value(m), out);
	buf_printf(out, "\n%s_count%s%s%s %" PRIu64 "\n", def->name, open, m->labels, close,
		   __atomic_load_n(&d->count, __ATOMIC_RELAXED));
}

static void print_family(const struct family *f, struct buf *out)
{
	static const char *const types[] = {[METRIC_COUNTER] = "counter",
					    [METRIC_GAUGE] = "gauge",
					    [METRIC_MILLISECONDS] = "histogram",
					    [METRIC_SECONDS] = "histogram",
					    [METRIC_SUMMARY] = "summary"};

	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", f->def->name, f->def->help, f->def->name,
		   types[f->def->kind]);
	list_each (it, &f->series) {
		const struct metric *m = list_entry(it, struct metric, link);
		bool bare = !m->labels[0];

		if (m->distribution) {
			print_distribution(f->def, m, out);
			continue;
		}
		buf_printf(out, "%s%s%s%s %" PRId64 "\n", f->def->name, bare ? "" : "{", m->labels,
			   bare ? "" : "}", metric_value(m));
	}
}

void metrics_print(struct buf *out)
{
	pthread_once(&registry.once, registry_init);
	for (size_t i = 0; i < HOOKS_MAX; i++) {
		void (*fn)(void *arg);
		void *arg;

		lock_take(&registry.lock);
		fn = registry.hooks[i].fn;
		arg = registry.hooks[i].arg;
		lock_drop(&registry.lock);
		if (fn)
			fn(arg);
	}
	lock_guard(&registry.lock);
	list_each (it, &registry.families)
		print_family(list_entry(it, struct family, link), out);
}

static void reset(struct metric *m)
{
	struct distribution *d = m->distribution;

	metric_set(m, 0);
	for (unsigned i = 0; d && i <= BUCKETS; i++)
		__atomic_store_n(&d->buckets[i], 0, __ATOMIC_RELAXED);
	if (d)
		__atomic_store_n(&d->count, 0, __ATOMIC_RELAXED);
}

void metrics_reset(void)
{
	pthread_once(&registry.once, registry_init);
	lock_guard(&registry.lock);
	list_each (it, &registry.families) {
		struct family *f = list_entry(it, struct family, link);

		if (f->def->kind == METRIC_GAUGE)
			continue;
		list_each (series, &f->series)
			reset(list_entry(series, struct metric, link));
	}
}
