/* Findings. */
#include "contrib/dfctl/finding.h"

#include "base/mem.h"

#include <assert.h>
#include <stdarg.h>

static const char *const level_names[] = {
	[FINDING_OK] = "ok", [FINDING_WARNING] = "warning", [FINDING_ERROR] = "error"};

static struct finding *add(struct findings *fs)
{
	fs->list = mem_realloc(fs->list, (fs->count + 1) * sizeof(*fs->list));
	fs->list[fs->count] = (struct finding){0};
	return &fs->list[fs->count++];
}

void findings_good(struct findings *fs, const char *check, const char *fmt, ...)
{
	struct finding *f = add(fs);
	va_list ap;

	f->check = check;
	va_start(ap, fmt);
	if (vasprintf(&f->what, fmt, ap) < 0)
		abort();
	va_end(ap);
}

void findings_add(struct findings *fs, enum finding_level level, const char *check,
		  const char *code, char *what, char *fix)
{
	struct finding *f = add(fs);

	*f = (struct finding){.level = level,
			      .check = check,
			      .fault = fault_find(code),
			      .what = what,
			      .fix = fix};
	assert(f->fault);
}

void findings_release(struct findings *fs)
{
	for (size_t i = 0; i < fs->count; i++) {
		free(fs->list[i].what);
		free(fs->list[i].fix);
	}
	free(fs->list);
	*fs = (struct findings){0};
}

unsigned findings_count(const struct findings *fs, enum finding_level level)
{
	unsigned n = 0;

	for (size_t i = 0; i < fs->count; i++)
		n += fs->list[i].level == level;
	return n;
}

static const char *fix_of(const struct finding *f)
{
	return f->fix ? f->fix : f->fault->fix;
}

static void print_one(const struct finding *f, FILE *out)
{
	if (!f->fault) {
		fprintf(out, "%-8s%-10s%s\n", level_names[f->level], f->check, f->what);
		return;
	}
	fprintf(out, "%-8s%-10s%s %s: %s\n", level_names[f->level], f->check, f->fault->code,
		f->fault->name, f->what);
	fprintf(out, "%18seffect: %s\n", "", f->fault->effect);
	fprintf(out, "%18sfix: %s\n", "", fix_of(f));
}

void findings_print(const struct findings *fs, bool all, FILE *out)
{
	for (int level = FINDING_ERROR; level >= (all ? FINDING_OK : FINDING_WARNING); level--)
		for (size_t i = 0; i < fs->count; i++)
			if ((int)fs->list[i].level == level)
				print_one(&fs->list[i], out);
}

json_t *findings_json(const struct findings *fs)
{
	json_t *list = json_array();

	for (size_t i = 0; i < fs->count; i++) {
		const struct finding *f = &fs->list[i];
		json_t *one = json_pack("{s:s, s:s, s:s}", "check", f->check, "level",
					level_names[f->level], "what", f->what);

		if (f->fault) {
			json_object_set_new(one, "code", json_string(f->fault->code));
			json_object_set_new(one, "name", json_string(f->fault->name));
			json_object_set_new(one, "cause", json_string(f->fault->cause));
			json_object_set_new(one, "effect", json_string(f->fault->effect));
			json_object_set_new(one, "fix", json_string(fix_of(f)));
		}
		json_array_append_new(list, one);
	}
	return list;
}
