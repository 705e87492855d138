/* dfdaemon's configuration with the places of its keys. */
#include "contrib/dfctl/settings.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>

static void note(const char *path, size_t line, void *arg)
{
	struct settings *s = arg;

	s->lines = mem_realloc(s->lines, (s->line_count + 1) * sizeof(*s->lines));
	s->lines[s->line_count++] = (struct settings_line){mem_strdup(path), line};
}

int settings_load(const char *file, struct settings *out, struct err *e)
{
	const char *name = file ? file : DAEMON_CONFIG_FILE;
	int r;

	*out = (struct settings){0};
	r = config_load_noting(daemon_config_keys, name, &out->config, note, out, e);
	if (r == -ENOENT && !file) {
		config_defaults(daemon_config_keys, &out->config);
		return 0;
	}
	out->file = mem_strdup(name);
	/* What could not be read has its default. */
	if (r == -ENOENT)
		config_defaults(daemon_config_keys, &out->config);
	return r == 0 ? daemon_config_check(&out->config, e) : r;
}

void settings_release(struct settings *s)
{
	config_release(daemon_config_keys, &s->config);
	for (size_t i = 0; i < s->line_count; i++)
		free(s->lines[i].path);
	free(s->lines);
	free(s->file);
}

static const struct settings_line *find(const struct settings *s, const char *path)
{
	for (size_t i = 0; i < s->line_count; i++)
		if (strcmp(s->lines[i].path, path) == 0)
			return &s->lines[i];
	return NULL;
}

char *settings_origin(const struct settings *s, const char *path)
{
	const struct settings_line *l = find(s, path);

	return l ? mem_printf("%s:%zu", s->file, l->line) : mem_strdup("default");
}

bool settings_gives(const struct settings *s, const char *path)
{
	return find(s, path) != NULL;
}
