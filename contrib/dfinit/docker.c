/* docker: registry-mirrors of daemon.json. Docker asks mirrors for Docker Hub's images only, and
 * Docker Hub itself when a mirror fails. */
#include "base/json.h"
#include "base/mem.h"
#include "contrib/dfinit/runtime.h"

#include <errno.h>
#include <string.h>

/* "http://x" and "http://x/" are one mirror. */
static bool same_mirror(const char *a, const char *b)
{
	size_t len = strlen(b);

	return a && strncmp(a, b, len) == 0 && (!a[len] || strcmp(a + len, "/") == 0);
}

int docker_plan(struct wish *w, struct plan *p, struct err *e)
{
	json_t *config cleanup(json_decref_at) = NULL, *mirrors;
	char *print cleanup(free_at) = NULL, *line cleanup(free_at) = NULL;
	const char *text;
	int r = plan_read(p, w->file, &text, e);

	if (r == 0)
		r = text && text[strspn(text, " \t\r\n")]
			    ? json_parse(text, strlen(text), PLAN_FILE_MAX, &config, e)
			    : 0;
	if (r < 0)
		return err_wrap(e, "%s", w->file);
	if (!config)
		config = json_object();
	mirrors = json_object_get(config, "registry-mirrors");
	if (!json_is_object(config) || (mirrors && !json_is_array(mirrors)))
		return err_set(e, EINVAL, "%s: expected an object with a list registry-mirrors",
			       w->file);
	if (!mirrors) {
		mirrors = json_array();
		json_object_set_new(config, "registry-mirrors", mirrors);
	}
	for (size_t i = 0; i < json_array_size(mirrors); i++)
		if (same_mirror(json_string_value(json_array_get(mirrors, i)), w->proxy))
			return 0;
	json_array_insert_new(mirrors, 0, json_string(w->proxy));
	print = json_dumps(config, JSON_INDENT(2));
	line = mem_printf("%s\n", print);
	plan_write(p, w->file, line);
	return 0;
}
