/* What manifests and configurations say of layers' own tables of contents, and who is asked for it
 * how often. */
#include "test/unit/unit.h"

#include "base/clock.h"
#include "base/mem.h"
#include "daemon/image.h"
#include "daemon/task_wait.h"
#include "daemon/vouch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define A "000000000000000000000000000000000000000000000000000000000000000a"
#define B "000000000000000000000000000000000000000000000000000000000000000b"
#define C "000000000000000000000000000000000000000000000000000000000000000c"

static const char config[] =
	"{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:" B "\",\"sha256:" C "\"]}}";

/* A manifest of two layers; the second one has these annotations. */
static char *manifest_with(const char *annotations)
{
	return mem_printf("{\"layers\":[{\"digest\":\"sha256:" C "\"},{\"digest\":\"sha256:" A
			  "\",\"annotations\":{%s}}]}",
			  annotations);
}

static int parse(const char *annotations, const char *conf, struct vouched **out, size_t *count)
{
	char *text cleanup(free_at) = manifest_with(annotations);
	struct err e = {0};
	int r = vouch_parse(text, strlen(text), conf, strlen(conf), out, count, &e);

	assert_int_equal(r, -e.code);
	return r;
}

static void annotations_of_all_kinds_are_known(void **state)
{
	static const struct {
		const char *annotation;
		bool of_stored;
	} t[] = {
		{"\"containerd.io/snapshot/stargz/toc.digest\":\"sha256:" B "\"", false},
		{"\"io.github.containers.zstd-chunked.manifest-checksum\":\"sha256:" B "\"", true},
		{"\"io.containers.zstd-chunked.manifest-checksum\":\"sha256:" B "\","
		 "\"containerd.io/snapshot/stargz/toc.digest\":\"sha256:" C "\"",
		 true},
	};

	(void)state;
	for (size_t i = 0; i < array_len(t); i++) {
		struct vouched *all = NULL;
		size_t count;

		assert_int_equal(parse(t[i].annotation, config, &all, &count), 0);
		assert_int_equal(count, 1);
		assert_string_equal(all[0].digest, A);
		assert_string_equal(all[0].diff_id, C);
		assert_string_equal(all[0].toc_digest, B);
		assert_true(all[0].of_stored == t[i].of_stored);
		free(all);
	}
}

static void layers_without_annotations_need_no_configuration(void **state)
{
	struct vouched *all;
	size_t count;

	(void)state;
	assert_int_equal(parse("", "", &all, &count), 0);
	assert_int_equal(count, 0);
	assert_int_equal(parse("\"containerd.io/snapshot/stargz/toc.digest\":\"sha256:12\"", "",
			       &all, &count),
			 0);
	assert_int_equal(count, 0);
}

static void what_does_not_fit_together_is_refused(void **state)
{
	static const char annotation[] =
		"\"containerd.io/snapshot/stargz/toc.digest\":\"sha256:" B "\"";
	struct vouched *all;
	size_t count;

	(void)state;
	assert_int_equal(parse(annotation, "", &all, &count), -EINVAL);
	assert_int_equal(parse(annotation, "{}", &all, &count), -EPROTO);
	assert_int_equal(
		parse(annotation, "{\"rootfs\":{\"diff_ids\":[\"sha256:" B "\"]}}", &all, &count),
		-EPROTO);
	assert_int_equal(parse(annotation,
			       "{\"rootfs\":{\"diff_ids\":[\"sha256:" B "\",\"md5:1\"]}}", &all,
			       &count),
			 -EPROTO);
}

/* ---- asking */

#define IMAGE	   "registry:5000/team/app:1"
#define MANIFEST   A
#define ANNOTATION "\"containerd.io/snapshot/stargz/toc.digest\":\"sha256:" B "\""

struct task {
	struct store_meta meta;
};

/* A registry with one image, and what was asked of it. */
static struct {
	const char *annotation;
	int fails, config_fails; /* errno of the manifest, of the configuration */
	uint64_t config_len;	 /* 0 = as it is */
	bool other_machines;	 /* it is an index, none of whose manifests is for this one */
	unsigned asked;		 /* atomic; for a manifest */
	unsigned config_asked;
	bool held; /* atomic; who asks waits until it is not, or is cancelled */
	int refs;  /* of the configuration's task */
	struct task task;
} registry;

int image_fetch(struct origin *o, struct tasks *ts, const struct image_request *rq,
		struct image **out, struct err *e)
{
	struct image *i;

	(void)o;
	(void)ts;
	assert_string_equal(rq->base, "http://registry:5000");
	assert_string_equal(rq->repository, "team/app");
	assert_memory_equal(rq->reference, "sha256:", 7);
	__atomic_add_fetch(&registry.asked, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&registry.held, __ATOMIC_ACQUIRE) &&
	       !__atomic_load_n(rq->cancelled, __ATOMIC_ACQUIRE))
		usleep(500);
	if (registry.fails)
		return err_set(e, registry.fails, "fake");
	i = *out = mem_new(struct image);
	strcpy(i->parsed.config.hex, C);
	if (registry.other_machines)
		return 0;
	i->manifest = manifest_with(registry.annotation);
	i->manifest_len = strlen(i->manifest);
	return 0;
}

void image_unref(struct image *i)
{
	if (i)
		free(i->manifest);
	free(i);
}

int task_open_wait(struct tasks *ts, const struct task_request *rq, struct task **out,
		   struct err *e)
{
	(void)ts;
	(void)e;
	assert_string_equal(rq->digest, "sha256:" C);
	registry.config_asked++;
	registry.refs++;
	registry.task.meta.geometry.content_length =
		registry.config_len ? registry.config_len : strlen(config);
	*out = &registry.task;
	return 0;
}

const struct store_meta *task_meta(const struct task *t)
{
	return &t->meta;
}

int task_wait_complete(struct task *t, enum task_priority p, const struct task_wait *w, int *fd_out,
		       struct err *e)
{
	static int fd = -1;

	(void)t;
	(void)p;
	(void)w;
	if (registry.config_fails)
		return err_set(e, registry.config_fails, "fake");
	close_at(&fd);
	fd = *fd_out = open("/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, config, strlen(config)), strlen(config));
	return 0;
}

void task_unref(struct task *t)
{
	assert_ptr_equal(t, &registry.task);
	registry.refs--;
}

static struct vouch *new_vouch(const char *pattern)
{
	static char *plain[] = {(char *)"registry:5000"};
	static char *believed[1];
	static const struct config_strings plain_http = {.items = plain, .count = 1};
	static struct config_strings images = {.items = believed};
	const struct vouch_config c = {.plain_http = &plain_http, .images = &images};

	believed[0] = (char *)pattern;
	images.count = pattern != NULL;
	memset(&registry, 0, sizeof(registry));
	registry.annotation = ANNOTATION;
	return vouch_new(&c);
}

static int find(struct vouch *v, const char *manifest, const char *digest)
{
	struct vouched out = {0};
	struct err e = {0};
	int r = vouch_find(v, manifest, IMAGE, digest, &out, &e);

	assert_int_equal(r, -e.code);
	if (r == 0) {
		assert_string_equal(out.digest, A);
		assert_string_equal(out.diff_id, C);
		assert_string_equal(out.toc_digest, B);
	}
	return r;
}

static void an_image_is_asked_once_for_all_of_its_layers(void **state)
{
	struct vouch *v = new_vouch("registry:5000/team/*");

	(void)state;
	assert_int_equal(find(v, MANIFEST, A), 0);
	assert_int_equal(find(v, MANIFEST, C), -ENOENT);
	assert_int_equal(find(v, MANIFEST, A), 0);
	assert_int_equal(registry.asked, 1);
	assert_int_equal(registry.config_asked, 1);
	assert_int_equal(registry.refs, 0);
	vouch_free(v);
}

static void only_images_that_are_believed_are_asked(void **state)
{
	static const struct {
		const char *pattern;
		bool believed;
	} t[] = {
		{"*", true},
		{"registry:5000/*", true},
		{"registry:5000/team/app", true},
		{NULL, false},
		{"registry:5000/other/*", false},
		{"team/app", false},
		{"registry/*", false},
		{"registry:5000/team/app:1", false},
	};

	(void)state;
	for (size_t i = 0; i < array_len(t); i++) {
		struct vouch *v = new_vouch(t[i].pattern);

		assert_int_equal(find(v, MANIFEST, A), t[i].believed ? 0 : -ENOENT);
		assert_int_equal(registry.asked, t[i].believed);
		vouch_free(v);
	}
}

static void an_image_without_tables_is_not_asked_for_its_configuration(void **state)
{
	struct vouch *v = new_vouch("*");

	(void)state;
	registry.annotation = "";
	assert_int_equal(find(v, MANIFEST, A), -ENOENT);
	assert_int_equal(registry.asked, 1);
	assert_int_equal(registry.config_asked, 0);
	vouch_free(v);
}

static void an_index_without_this_machine_vouches_for_nothing(void **state)
{
	struct vouch *v = new_vouch("*");

	(void)state;
	registry.other_machines = true;
	assert_int_equal(find(v, MANIFEST, A), -ENOENT);
	vouch_free(v);
}

/* The first failure, and that it is asked again only later. */
static void fails_for_a_while(struct vouch *v, int *fails, int why)
{
	int64_t now_ms = 1000000;

	clock_fake(&now_ms);
	*fails = why;
	assert_int_equal(find(v, MANIFEST, A), -ENOENT);
	*fails = 0;
	assert_int_equal(find(v, MANIFEST, A), -ENOENT);
	assert_int_equal(registry.asked, 1);
	__atomic_store_n(&now_ms, now_ms + 60000, __ATOMIC_RELEASE);
	assert_int_equal(find(v, MANIFEST, A), 0);
	assert_int_equal(registry.refs, 0);
	clock_fake(NULL);
	vouch_free(v);
}

static void a_registry_that_fails_is_asked_again_later(void **state)
{
	(void)state;
	fails_for_a_while(new_vouch("*"), &registry.fails, ETIMEDOUT);
	fails_for_a_while(new_vouch("*"), &registry.config_fails, EHOSTUNREACH);
}

static void a_configuration_that_is_too_large_is_not_read(void **state)
{
	struct vouch *v = new_vouch("*");

	(void)state;
	registry.config_len = UINT64_C(1) << 40;
	assert_int_equal(find(v, MANIFEST, A), -ENOENT);
	assert_int_equal(registry.refs, 0);
	vouch_free(v);
}

static void a_configuration_that_is_cut_short_is_no_configuration(void **state)
{
	struct vouch *v = new_vouch("*");

	(void)state;
	registry.config_len = strlen(config) + 1;
	assert_int_equal(find(v, MANIFEST, A), -ENOENT);
	registry.config_len = 0;
	vouch_free(v);
}

static void many_images_are_forgotten_and_asked_again(void **state)
{
	struct vouch *v = new_vouch("*");
	char manifest[DIGEST_HEX_LEN + 1];

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		snprintf(manifest, sizeof(manifest), "%064x", i);
		assert_int_equal(find(v, manifest, A), 0);
	}
	assert_int_equal(find(v, manifest, A), 0);
	assert_int_equal(registry.asked, 200);
	vouch_free(v);
}

struct asker {
	pthread_t thread;
	struct vouch *vouch;
	int result;
};

static void *ask_once(void *arg)
{
	struct asker *a = arg;

	a->result = find(a->vouch, MANIFEST, A);
	return NULL;
}

#define ASKERS 4

static void start_askers(struct vouch *v, struct asker *all)
{
	int64_t end = clock_ms() + 60000;

	registry.held = true;
	for (int i = 0; i < ASKERS; i++) {
		all[i].vouch = v;
		assert_int_equal(pthread_create(&all[i].thread, NULL, ask_once, &all[i]), 0);
	}
	while (!__atomic_load_n(&registry.asked, __ATOMIC_ACQUIRE) && clock_ms() < end)
		usleep(500);
	assert_int_equal(__atomic_load_n(&registry.asked, __ATOMIC_ACQUIRE), 1);
}

static void end_askers(struct asker *all, int result)
{
	for (int i = 0; i < ASKERS; i++) {
		assert_int_equal(pthread_join(all[i].thread, NULL), 0);
		assert_int_equal(all[i].result, result);
	}
	assert_int_equal(registry.asked, 1);
}

static void who_asks_at_the_same_time_waits_for_the_first(void **state)
{
	struct vouch *v = new_vouch("*");
	struct asker all[ASKERS];

	(void)state;
	start_askers(v, all);
	__atomic_store_n(&registry.held, false, __ATOMIC_RELEASE);
	end_askers(all, 0);
	vouch_free(v);
}

static void who_waits_when_the_daemon_stops_is_told(void **state)
{
	struct vouch *v = new_vouch("*");
	struct asker all[ASKERS];

	(void)state;
	start_askers(v, all);
	vouch_stop(v);
	end_askers(all, -ECANCELED);
	vouch_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(annotations_of_all_kinds_are_known),
		cmocka_unit_test(layers_without_annotations_need_no_configuration),
		cmocka_unit_test(what_does_not_fit_together_is_refused),
		cmocka_unit_test(an_image_is_asked_once_for_all_of_its_layers),
		cmocka_unit_test(only_images_that_are_believed_are_asked),
		cmocka_unit_test(an_image_without_tables_is_not_asked_for_its_configuration),
		cmocka_unit_test(an_index_without_this_machine_vouches_for_nothing),
		cmocka_unit_test(a_registry_that_fails_is_asked_again_later),
		cmocka_unit_test(a_configuration_that_is_too_large_is_not_read),
		cmocka_unit_test(a_configuration_that_is_cut_short_is_no_configuration),
		cmocka_unit_test(many_images_are_forgotten_and_asked_again),
		cmocka_unit_test(who_asks_at_the_same_time_waits_for_the_first),
		cmocka_unit_test(who_waits_when_the_daemon_stops_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
