/* Rules: compiled once, matched in their order. */
#include "daemon/rules.h"

#include "base/mem.h"
#include "base/url.h"
#include "daemon/pattern.h"

#include <errno.h>
#include <string.h>

struct rules {
	const struct config_rule *list;
	size_t count;
	struct pattern **patterns; /* one per rule */
};

int rules_new(const struct config_rule *list, size_t count, struct rules **out, struct err *e)
{
	struct rules *r = mem_new(struct rules);

	r->list = list;
	r->count = count;
	r->patterns = mem_array(count + 1, sizeof(struct pattern *));
	for (size_t i = 0; i < count; i++) {
		int failed = !list[i].regex ? err_set(e, EINVAL, "no regex")
					    : pattern_new(list[i].regex, &r->patterns[i], e);

		if (failed < 0) {
			rules_free(r);
			return err_wrap(e, "proxy rule %zu", i + 1);
		}
	}
	*out = r;
	return 0;
}

void rules_free(struct rules *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->count; i++)
		pattern_free(r->patterns[i]);
	free(r->patterns);
	free(r);
}

const struct config_rule *rules_match(const struct rules *r, const char *url)
{
	cleanup(free_at) char *bare = mem_strndup(url, strcspn(url, "?#"));

	for (size_t i = 0; i < r->count; i++)
		if (pattern_matches(r->patterns[i], bare))
			return &r->list[i];
	return NULL;
}

int rules_apply(const struct config_rule *rule, const char *url, char **out, struct err *e)
{
	cleanup(url_release) struct url from = {0}, to = {0};
	cleanup(free_at) char *text = NULL;
	char authority[300];
	int r = url_parse(url, &from, e);

	if (r < 0)
		return r;
	url_authority(&from, authority, sizeof(authority));
	if (rule->redirect && strstr(rule->redirect, "://"))
		text = mem_strdup(rule->redirect);
	else
		text = mem_printf("%s://%s", rule->use_tls ? "https" : from.scheme,
				  rule->redirect ? rule->redirect : authority);
	/* What stands in the configuration may be wrong, and has no path. */
	r = url_parse(text, &to, e);
	if (r < 0)
		return err_wrap(e, "proxy rule %s", rule->regex);
	free(to.path);
	free(to.query);
	to.path = mem_strdup(from.path);
	to.query = mem_strdup(from.query);
	*out = url_print(&to);
	return 0;
}
