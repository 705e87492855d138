/* contrib/dfinit: what each runtime's files become, in a root of the test's own. */
#include "test/unit/unit.h"

#include "base/dir.h"
#include "base/mem.h"
#include "contrib/dfinit/journal.h"
#include "contrib/dfinit/runtime.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CONFIG "/etc/containerd/config.toml"
#define HOSTS  "/etc/containerd/certs.d/"
#define CONF   "/etc/containers/registries.conf"
#define DOCKER "/etc/docker/daemon.json"

struct host {
	char root[32];
	struct plan plan;
	struct wish wish;
	struct err e;
};

static int set_up(void **state)
{
	struct host *h = mem_new(struct host);

	strcpy(h->root, "/tmp/dfinit-test-XXXXXX");
	assert_non_null(mkdtemp(h->root));
	h->plan.root = h->root;
	h->wish = (struct wish){.proxy = "http://127.0.0.1:4001", .file = CONFIG, .all = true};
	*state = h;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int tear_down(void **state)
{
	struct host *h = *state;

	plan_release(&h->plan);
	free(h->wish.mirror_dir);
	nftw(h->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(h);
	return 0;
}

static void put(const struct host *h, const char *path, const char *text)
{
	char *full cleanup(free_at) = mem_printf("%s%s", h->root, path);
	FILE *f cleanup(fclose_at) = NULL;
	struct err e;

	assert_int_equal(dir_make_parent(full, 0755, &e), 0);
	f = fopen(full, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
}

static void assert_file(const struct host *h, const char *path, const char *want)
{
	char *full cleanup(free_at) = mem_printf("%s%s", h->root, path);
	char *text cleanup(free_at) = NULL;
	struct err e;
	size_t len;

	assert_int_equal(plan_slurp(full, &text, &len, &e), 0);
	assert_string_equal(text, want);
}

static void assert_gone(const struct host *h, const char *path)
{
	char *full cleanup(free_at) = mem_printf("%s%s", h->root, path);

	assert_int_equal(access(full, F_OK), -1);
}

static const char *planned(struct host *h, const char *path)
{
	const char *text;

	assert_int_equal(plan_read(&h->plan, path, &text, &h->e), 0);
	assert_non_null(text);
	return text;
}

static void each_version_has_its_table(void **state)
{
	static const struct {
		const char *before, *after;
	} cases[] = {
		{"root = \"/x\"\n", "root = \"/x\"\n\n[plugins.cri.registry]\n"
				    "  config_path = \"/etc/containerd/certs.d\"\n"},
		{"version = 2\n",
		 "version = 2\n\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\n"
		 "  config_path = \"/etc/containerd/certs.d\"\n"},
		{"version = 3\n",
		 "version = 3\n\n[plugins.\"io.containerd.cri.v1.images\".registry]\n"
		 "  config_path = \"/etc/containerd/certs.d\"\n\n"
		 "[plugins.\"io.containerd.transfer.v1.local\"]\n"
		 "  config_path = \"/etc/containerd/certs.d\"\n"},
	};
	struct host *h = *state;

	for (size_t i = 0; i < array_len(cases); i++) {
		put(h, CONFIG, cases[i].before);
		assert_int_equal(containerd_plan(&h->wish, &h->plan, &h->e), 0);
		assert_string_equal(planned(h, CONFIG), cases[i].after);
		plan_release(&h->plan);
		free(take_ptr(&h->wish.mirror_dir));
	}
}

static void without_a_configuration_one_is_made(void **state)
{
	struct host *h = *state;

	assert_int_equal(containerd_plan(&h->wish, &h->plan, &h->e), 0);
	assert_string_equal(planned(h, CONFIG),
			    "version = 2\n\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\n"
			    "  config_path = \"/etc/containerd/certs.d\"\n");
	assert_non_null(strstr(planned(h, HOSTS "_default/hosts.toml"),
			       "[host.\"http://127.0.0.1:4001\"]\n"));
}

static void the_first_of_several_directories_is_used_and_the_line_stays(void **state)
{
	static const char text[] = "version = 2\n"
				   "[plugins.'io.containerd.grpc.v1.cri'.registry]\n"
				   "config_path = \"/a/certs:/etc/docker/certs.d\" # ours\n";
	struct host *h = *state;

	put(h, CONFIG, text);
	assert_int_equal(containerd_plan(&h->wish, &h->plan, &h->e), 0);
	assert_string_equal(planned(h, CONFIG), text);
	assert_string_equal(h->wish.mirror_dir, "/a/certs");
	assert_non_null(strstr(planned(h, "/a/certs/_default/hosts.toml"), "[host."));
	assert_false(plan_changes(&h->plan, CONFIG));
}

static void old_mirrors_move_to_hosts_toml_behind_the_daemon(void **state)
{
	struct host *h = *state;
	const char *hosts;

	put(h, CONFIG,
	    "version = 2\n"
	    "[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"docker.io\"]\n"
	    "  endpoint = [\"https://m1.example\", \"http://m2.example:5000\"]\n"
	    "[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"*\"]\n"
	    "  endpoint = [\"https://any.example\"]\n");
	assert_int_equal(containerd_plan(&h->wish, &h->plan, &h->e), 0);
	assert_string_equal(
		planned(h, CONFIG),
		"version = 2\n"
		"# [plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"docker.io\"]\n"
		"#   endpoint = [\"https://m1.example\", \"http://m2.example:5000\"]\n"
		"# [plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"*\"]\n"
		"#   endpoint = [\"https://any.example\"]\n"
		"\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\n"
		"  config_path = \"/etc/containerd/certs.d\"\n");
	hosts = planned(h, HOSTS "docker.io/hosts.toml");
	assert_true(strstr(hosts, "127.0.0.1:4001") < strstr(hosts, "m1.example"));
	assert_true(strstr(hosts, "m1.example") < strstr(hosts, "m2.example:5000"));
	hosts = planned(h, HOSTS "_default/hosts.toml");
	assert_true(strstr(hosts, "127.0.0.1:4001") < strstr(hosts, "any.example"));
}

static void what_containerd_would_refuse_is_refused_before(void **state)
{
	struct host *h = *state;

	put(h, CONFIG,
	    "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry.configs."
	    "\"r.example\".tls]\ninsecure_skip_verify = true\n");
	assert_int_equal(containerd_plan(&h->wish, &h->plan, &h->e), -EOPNOTSUPP);
	assert_non_null(strstr(h->e.text, "r.example"));
	assert_int_equal(plan_size(&h->plan), 0);
	plan_release(&h->plan);
	put(h, CONFIG, "version = 9\n");
	assert_int_equal(containerd_plan(&h->wish, &h->plan, &h->e), -EOPNOTSUPP);
	plan_release(&h->plan);
	put(h, CONFIG, "version = \n");
	assert_int_equal(containerd_plan(&h->wish, &h->plan, &h->e), -EINVAL);
	plan_release(&h->plan);
	put(h, CONFIG,
	    "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors."
	    "\"../../x\"]\nendpoint = [\"https://m\"]\n");
	assert_int_equal(containerd_plan(&h->wish, &h->plan, &h->e), -EINVAL);
}

static void a_listed_registry_stays_its_own_fallback(void **state)
{
	struct host *h = *state;

	h->wish.all = false;
	h->wish.registries[h->wish.registry_count++] =
		(struct registry){.name = "ghcr.io", .server = "https://ghcr.io"};
	assert_int_equal(containerd_plan(&h->wish, &h->plan, &h->e), 0);
	assert_non_null(strstr(planned(h, HOSTS "ghcr.io/hosts.toml"),
			       "server = \"https://ghcr.io\"\n\n"
			       "[host.\"http://127.0.0.1:4001\"]\n"
			       "  capabilities = [\"pull\", \"resolve\"]\n"
			       "  dial_timeout = \"200ms\"\n"
			       "  [host.\"http://127.0.0.1:4001\".header]\n"
			       "    X-Dragonfly-Registry = [\"https://ghcr.io\"]\n"));
	assert_int_equal(plan_size(&h->plan), 2);
}

static void somebody_elses_hosts_toml_keeps_what_it_has(void **state)
{
	struct host *h = *state;

	put(h, CONFIG, "version = 2\n");
	put(h, HOSTS "r.example/hosts.toml",
	    "# mine\nserver = \"http://r.example/v2\"\n\n[host.\"https://near\"]\n  ca = \"/c\"\n");
	assert_int_equal(containerd_plan(&h->wish, &h->plan, &h->e), 0);
	assert_string_equal(planned(h, HOSTS "r.example/hosts.toml"),
			    "# mine\nserver = \"http://r.example/v2\"\n\n"
			    "[host.\"http://127.0.0.1:4001\"]\n"
			    "  capabilities = [\"pull\", \"resolve\"]\n"
			    "  dial_timeout = \"200ms\"\n"
			    "  [host.\"http://127.0.0.1:4001\".header]\n"
			    "    X-Dragonfly-Registry = [\"http://r.example\"]\n\n"
			    "[host.\"https://near\"]\n  ca = \"/c\"\n");
}

static void docker_gets_the_mirror_first_and_keeps_its_keys(void **state)
{
	struct host *h = *state;

	h->wish.file = DOCKER;
	put(h, DOCKER, "{\"log-driver\": \"local\", \"registry-mirrors\": [\"https://m\"]}");
	assert_int_equal(docker_plan(&h->wish, &h->plan, &h->e), 0);
	assert_string_equal(planned(h, DOCKER),
			    "{\n  \"log-driver\": \"local\",\n  \"registry-mirrors\": [\n"
			    "    \"http://127.0.0.1:4001\",\n    \"https://m\"\n  ]\n}\n");
	assert_int_equal(docker_plan(&h->wish, &h->plan, &h->e), 0);
	assert_int_equal(plan_size(&h->plan), 1);
	plan_release(&h->plan);
	put(h, DOCKER, "[]");
	assert_int_equal(docker_plan(&h->wish, &h->plan, &h->e), -EINVAL);
	plan_release(&h->plan);
	put(h, DOCKER, "{\"registry-mirrors\": 1}");
	assert_int_equal(docker_plan(&h->wish, &h->plan, &h->e), -EINVAL);
	plan_release(&h->plan);
	put(h, DOCKER, "{");
	assert_int_equal(docker_plan(&h->wish, &h->plan, &h->e), -EINVAL);
}

static void registries_conf_gets_the_mirror_first(void **state)
{
	struct host *h = *state;

	h->wish.file = CONF;
	put(h, CONF,
	    "[[registry]]\nlocation = \"other\"\n"
	    "[[registry]]\nprefix = \"docker.io\"\nlocation = \"hub\" # near\n"
	    "[[registry.mirror]]\nlocation = \"m\"\n");
	assert_int_equal(registries_conf_plan(&h->wish, &h->plan, &h->e), 0);
	assert_string_equal(planned(h, CONF),
			    "[[registry]]\nlocation = \"other\"\n"
			    "[[registry]]\nprefix = \"docker.io\"\nlocation = \"hub\" # near\n"
			    "[[registry.mirror]]\nlocation = \"127.0.0.1:4001\"\ninsecure = true\n"
			    "[[registry.mirror]]\nlocation = \"m\"\n");
	put(h, CONF, planned(h, CONF));
	plan_release(&h->plan);
	assert_int_equal(registries_conf_plan(&h->wish, &h->plan, &h->e), 0);
	assert_int_equal(plan_size(&h->plan), 0);
}

static void registries_conf_that_cannot_be_edited_is_refused(void **state)
{
	struct host *h = *state;

	h->wish.file = CONF;
	put(h, CONF, "[registries.search]\nregistries = ['docker.io']\n");
	assert_int_equal(registries_conf_plan(&h->wish, &h->plan, &h->e), -EOPNOTSUPP);
	plan_release(&h->plan);
	put(h, CONF, "[[registry]]\nlocation = \"docker.io\"\nmirror = [{location = \"m\"}]\n");
	assert_int_equal(registries_conf_plan(&h->wish, &h->plan, &h->e), -EOPNOTSUPP);
	plan_release(&h->plan);
	h->wish.registries[0] = (struct registry){.name = "a", .server = "https://a"};
	h->wish.registries[1] = (struct registry){.name = "b", .server = "https://b"};
	h->wish.registry_count = 2;
	put(h, CONF, "");
	assert_int_equal(registries_conf_plan(&h->wish, &h->plan, &h->e), -EOPNOTSUPP);
}

/* ---- journal */

static void apply(struct host *h)
{
	char *dir cleanup(free_at) = mem_printf("%s/state", h->root);

	assert_int_equal(containerd_plan(&h->wish, &h->plan, &h->e), 0);
	assert_int_equal(journal_apply(dir, &h->plan, &h->e), 0);
	plan_release(&h->plan);
	free(take_ptr(&h->wish.mirror_dir));
}

static int undo(struct host *h, bool force, size_t *count)
{
	char *dir cleanup(free_at) = mem_printf("%s/state", h->root);
	char *paths cleanup(free_at) = NULL;

	return journal_undo(dir, h->root, force, count, &paths, &h->e);
}

static void undo_restores_bytes_mode_and_absence(void **state)
{
	char *full cleanup(free_at) = NULL;
	struct host *h = *state;
	struct stat st;
	size_t count = 0;

	put(h, CONFIG, "version = 2 # no newline at the end");
	full = mem_printf("%s" CONFIG, h->root);
	assert_int_equal(chmod(full, 0640), 0);
	apply(h);
	h->wish.proxy = "http://127.0.0.1:4009"; /* a second setup keeps the first originals */
	apply(h);
	assert_int_equal(undo(h, false, &count), 0);
	assert_int_equal(count, 2);
	assert_file(h, CONFIG, "version = 2 # no newline at the end");
	assert_int_equal(stat(full, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_gone(h, HOSTS);
	assert_gone(h, "/state");
	assert_int_equal(undo(h, false, &count), 0);
	assert_int_equal(count, 0);
}

static void undo_does_not_take_away_what_somebody_wrote_since(void **state)
{
	struct host *h = *state;
	size_t count = 0;

	put(h, CONFIG, "version = 2\n");
	apply(h);
	put(h, CONFIG, "version = 2\n# edited since\n");
	assert_int_equal(undo(h, false, &count), -EBUSY);
	assert_file(h, CONFIG, "version = 2\n# edited since\n");
	assert_int_equal(undo(h, true, &count), 0);
	assert_file(h, CONFIG, "version = 2\n");
}

static void a_setup_cut_short_can_be_undone(void **state)
{
	struct host *h = *state;
	size_t count = 0;

	put(h, CONFIG, "version = 2\n");
	apply(h);
	/* As if the writing had ended behind the journal. */
	put(h, CONFIG, "version = 2\n");
	assert_int_equal(undo(h, false, &count), 0);
	assert_file(h, CONFIG, "version = 2\n");
}

static void a_directory_that_others_use_by_now_stays(void **state)
{
	struct host *h = *state;
	size_t count = 0;

	put(h, CONFIG, "version = 2\n");
	apply(h);
	put(h, HOSTS "mine/hosts.toml", "# mine\n");
	assert_int_equal(undo(h, false, &count), 0);
	assert_file(h, HOSTS "mine/hosts.toml", "# mine\n");
	assert_gone(h, HOSTS "_default");
}

static void a_damaged_journal_is_refused(void **state)
{
	struct host *h = *state;
	size_t count = 0;

	put(h, "/state/journal.json",
	    "{\"files\": [{\"path\": \"/x\", \"backup\": \"../y\"}], "
	    "\"dirs\": []}");
	assert_int_equal(undo(h, false, &count), -EINVAL);
	put(h, "/state/journal.json", "{\"files\": 1}");
	assert_int_equal(undo(h, false, &count), -EINVAL);
	put(h, "/state/journal.json", "{\"files\": [], \"dirs\": [1]}");
	assert_int_equal(undo(h, false, &count), -EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_version_has_its_table),
		TEST(without_a_configuration_one_is_made),
		TEST(the_first_of_several_directories_is_used_and_the_line_stays),
		TEST(old_mirrors_move_to_hosts_toml_behind_the_daemon),
		TEST(what_containerd_would_refuse_is_refused_before),
		TEST(a_listed_registry_stays_its_own_fallback),
		TEST(somebody_elses_hosts_toml_keeps_what_it_has),
		TEST(docker_gets_the_mirror_first_and_keeps_its_keys),
		TEST(registries_conf_gets_the_mirror_first),
		TEST(registries_conf_that_cannot_be_edited_is_refused),
		TEST(undo_restores_bytes_mode_and_absence),
		TEST(undo_does_not_take_away_what_somebody_wrote_since),
		TEST(a_setup_cut_short_can_be_undone),
		TEST(a_directory_that_others_use_by_now_stays),
		TEST(a_damaged_journal_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
