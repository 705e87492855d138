/* daemon/peer_download: for tools of this host and for schedulers */
#include "test/unit/daemon/peer_fixture.h"

#include "base/json.h"

/* ---- DownloadTask */

struct asking {
	Dfdaemon__V2__DownloadTaskRequest rq;
	Common__V2__Download download;
	Common__V2__Range range;
	Google__Protobuf__Duration timeout;
};

static Common__V2__Download *asking_init(struct asking *a, const char *url)
{
	dfdaemon__v2__download_task_request__init(&a->rq);
	common__v2__download__init(&a->download);
	a->rq.download = &a->download;
	a->download.url = (char *)url;
	message_set(&a->download, piece_length, COMMON__V2__DOWNLOAD__PIECE_LENGTH__PIECE_LENGTH,
		    PIECE);
	return &a->download;
}

static void set_range(struct asking *a, uint64_t start, uint64_t length)
{
	common__v2__range__init(&a->range);
	a->range.start = start;
	a->range.length = length;
	a->download.range = &a->range;
}

static void set_output(struct asking *a, const char *path)
{
	message_set(&a->download, output_path, COMMON__V2__DOWNLOAD__OUTPUT_PATH__OUTPUT_PATH,
		    (char *)path);
}

static void set_digest(struct asking *a, const char *digest)
{
	message_set(&a->download, digest, COMMON__V2__DOWNLOAD__DIGEST__DIGEST, (char *)digest);
}

static void download_local(struct door *d, struct hearing *h, struct asking *a)
{
	hear(h, d->local, DOWNLOAD("DownloadTask"), &download_ops, &a->rq.base);
}

static const Dfdaemon__V2__DownloadTaskStartedResponse *started(struct hearing *h)
{
	const Dfdaemon__V2__DownloadTaskResponse *m;

	await(heard(h) > 0 || is_over(h));
	assert_true(h->count > 0);
	m = (const Dfdaemon__V2__DownloadTaskResponse *)message_heard(h, 0);
	assert_int_equal(
		m->response_case,
		DFDAEMON__V2__DOWNLOAD_TASK_RESPONSE__RESPONSE_DOWNLOAD_TASK_STARTED_RESPONSE);
	return m->download_task_started_response;
}

/* Message i of those after the first. */
static const Common__V2__Piece *piece(struct hearing *h, unsigned i)
{
	const Dfdaemon__V2__DownloadTaskResponse *m;

	await(heard(h) > i + 1);
	m = (const Dfdaemon__V2__DownloadTaskResponse *)message_heard(h, i + 1);
	assert_int_equal(
		m->response_case,
		DFDAEMON__V2__DOWNLOAD_TASK_RESPONSE__RESPONSE_DOWNLOAD_PIECE_FINISHED_RESPONSE);
	assert_non_null(m->download_piece_finished_response->piece->cost);
	assert_non_null(m->download_piece_finished_response->piece->created_at);
	return m->download_piece_finished_response->piece;
}

static bool file_has(const char *path, uint64_t off, uint64_t len)
{
	cleanup(close_at) int fd = open(path, O_RDONLY | O_CLOEXEC);
	cleanup(free_at) unsigned char *want = mem_alloc(len + 1), *got = mem_alloc(len + 1);

	bytes_of(SEED, off, len, want);
	return fd >= 0 && read(fd, got, len + 1) == (ssize_t)len && memcmp(got, want, len) == 0;
}

static unsigned files_in(const char *dir, const char *part)
{
	cleanup(free_at) char *command = mem_printf("ls %s | grep -c '%s'", dir, part);
	FILE *f = popen(command, "r");
	unsigned n = 99;

	assert_int_equal(fscanf(f, "%u", &n), 1);
	pclose(f);
	return n;
}

static void a_seed_is_told_to_fetch_and_tells_how_it_goes(void **state)
{
	struct hearing h;
	struct asking a;
	struct door d;
	uint32_t seen = 0;

	door_open(&d, state);
	asking_init(&a, URL)->need_back_to_source = true;
	set_output(&a, "/etc/must-not-be-written");
	a.download.need_piece_content = true;
	hear(&h, d.tcp, UPLOAD("DownloadTask"), &download_ops, &a.rq.base);
	assert_int_equal(await_end(&h), RPC_OK);
	assert_int_equal(started(&h)->content_length, LENGTH);
	assert_int_equal(started(&h)->n_pieces, 5);
	assert_int_equal(started(&h)->pieces[4]->length, PIECE - 100);
	assert_int_equal(started(&h)->n_response_header, 1);
	assert_string_equal(started(&h)->response_header[0]->key, "Content-Type");
	assert_string_equal(started(&h)->response_header[0]->value, "text/plain");
	assert_false(started(&h)->is_finished);
	assert_int_equal(heard(&h), 6);
	for (unsigned i = 0; i < 5; i++) {
		const Common__V2__Piece *p = piece(&h, i);
		cleanup(free_at) unsigned char *bytes = mem_alloc(p->length);
		char digest[32];

		seen |= 1u << p->number;
		bytes_of(SEED, p->offset, p->length, bytes);
		snprintf(digest, sizeof(digest), "crc32:%u", crc32_update(0, bytes, p->length));
		assert_string_equal(p->digest, digest);
		assert_int_equal(message_number(p, traffic_type, 9),
				 COMMON__V2__TRAFFIC_TYPE__BACK_TO_SOURCE);
		assert_int_equal(p->content__case, 0);
	}
	assert_int_equal(seen, 0x1f);
	assert_int_equal(access("/etc/must-not-be-written", F_OK), -1);
	hearing_free(&h);
	/* Once more: all is here. */
	hear(&h, d.tcp, UPLOAD("DownloadTask"), &download_ops, &a.rq.base);
	assert_int_equal(await_end(&h), RPC_OK);
	assert_true(started(&h)->is_finished);
	assert_int_equal(message_number(piece(&h, 0), traffic_type, 9),
			 COMMON__V2__TRAFFIC_TYPE__LOCAL_PEER);
	hearing_free(&h);
	door_close(&d);
}

static void output_is_written_beside_and_named_when_whole(void **state)
{
	struct hearing h;
	struct asking a;
	struct door d;
	unsigned seen = 0;
	char path[128];

	door_open(&d, state);
	snprintf(path, sizeof(path), "%s/out", d.s->f->dir);
	asking_init(&a, URL);
	set_output(&a, path);
	download_local(&d, &h, &a);
	assert_int_equal(await_end(&h), RPC_OK);
	assert_int_equal(heard(&h), 6);
	for (unsigned i = 0; i < 5; i++) /* told as they come */
		seen |= 1u << piece(&h, i)->number;
	assert_int_equal(seen, 0x1f);
	assert_true(file_has(path, 0, LENGTH));
	hearing_free(&h);
	download_local(&d, &h, &a);
	assert_int_equal(await_end(&h), RPC_ALREADY_EXISTS);
	hearing_free(&h);
	assert_int_equal(truncate(path, 1), 0);
	a.download.overwrite = true;
	download_local(&d, &h, &a);
	assert_int_equal(await_end(&h), RPC_OK);
	assert_true(file_has(path, 0, LENGTH));
	assert_int_equal(files_in(d.s->f->dir, "part"), 0);
	hearing_free(&h);
	door_close(&d);
}

static void impossible_outputs_are_refused(void **state)
{
	struct hearing h;
	struct asking a;
	struct door d;
	char path[128];

	door_open(&d, state);
	asking_init(&a, URL);
	set_output(&a, "relative");
	download_local(&d, &h, &a);
	assert_int_equal(await_end(&h), RPC_INVALID_ARGUMENT);
	hearing_free(&h);
	snprintf(path, sizeof(path), "%s/no/such/folder", d.s->f->dir);
	set_output(&a, path);
	download_local(&d, &h, &a);
	assert_int_equal(await_end(&h), RPC_FAILED_PRECONDITION);
	hearing_free(&h);
	set_output(&a, d.s->f->dir);
	a.download.overwrite = true;
	download_local(&d, &h, &a);
	assert_int_equal(await_end(&h), RPC_FAILED_PRECONDITION);
	hearing_free(&h);
	assert_int_equal(fake_get(stats), 0);
	door_close(&d);
}

static void hard_link_is_the_stores_own_file(void **state)
{
	struct stat one, two;
	struct hearing h;
	struct asking a;
	struct door d;
	char path[128], *content;

	door_open(&d, state);
	snprintf(path, sizeof(path), "%s/out", d.s->f->dir);
	asking_init(&a, URL)->force_hard_link = true;
	set_output(&a, path);
	download_local(&d, &h, &a);
	assert_int_equal(await_end(&h), RPC_OK);
	assert_true(file_has(path, 0, LENGTH));
	content = mem_printf("%s/content/tasks/%.3s/%s", d.s->f->dir,
			     ((Dfdaemon__V2__DownloadTaskResponse *)message_heard(&h, 0))->task_id,
			     ((Dfdaemon__V2__DownloadTaskResponse *)message_heard(&h, 0))->task_id);
	assert_ok(stat(path, &one));
	assert_ok(stat(content, &two));
	assert_int_equal(one.st_ino, two.st_ino);
	assert_int_equal(files_in(d.s->f->dir, "part"), 0);
	free(content);
	hearing_free(&h);
	door_close(&d);
}

static void content_comes_in_order(void **state)
{
	cleanup(free_at) unsigned char *want = mem_alloc(LENGTH);
	struct hearing h;
	struct asking a;
	struct door d;
	uint64_t at = 0;

	bytes_of(SEED, 0, LENGTH, want);
	door_open(&d, state);
	asking_init(&a, URL)->need_piece_content = true;
	download_local(&d, &h, &a);
	assert_int_equal(await_end(&h), RPC_OK);
	for (unsigned i = 0; i < 5; i++) {
		const Common__V2__Piece *p = piece(&h, i);

		assert_int_equal(p->offset, at);
		assert_int_equal(p->content.len, p->length);
		assert_memory_equal(p->content.data, want + at, p->length);
		at += p->length;
	}
	assert_int_equal(at, LENGTH);
	hearing_free(&h);
	door_close(&d);
}

static void long_pieces_come_in_several_messages(void **state)
{
	enum { LONG = 10 << 20, MESSAGES = 10 };
	struct store_meta m = meta_of(50, LONG, LONG);
	char url[128];
	struct store_task *st;
	struct hearing h;
	struct asking a;
	struct door d;
	uint64_t at = 0;

	door_open(&d, state);
	assert_ok(store_create(d.s->f->store, &m, &st, &d.s->e));
	task_fill(d.s->f, st, SEED);
	snprintf(url, sizeof(url), "sha256:%s", m.id);
	asking_init(&a, url)->need_piece_content = true;
	download_local(&d, &h, &a);
	assert_int_equal(await_end(&h), RPC_OK);
	assert_int_equal(heard(&h), 1 + MESSAGES);
	for (unsigned i = 0; i < MESSAGES; i++) {
		const Common__V2__Piece *p = piece(&h, i);
		cleanup(free_at) unsigned char *want = mem_alloc(p->length);

		assert_int_equal(p->offset, at);
		assert_string_equal(p->digest, "");
		bytes_of(SEED, at, p->length, want);
		assert_memory_equal(p->content.data, want, p->length);
		at += p->length;
	}
	assert_int_equal(at, LONG);
	hearing_free(&h);
	store_task_unref(st);
	door_close(&d);
}

static void a_range_fetches_and_leaves_only_what_it_touches(void **state)
{
	struct hearing h;
	struct asking a;
	struct door d;
	char path[128];

	door_open(&d, state);
	snprintf(path, sizeof(path), "%s/out", d.s->f->dir);
	asking_init(&a, URL);
	set_output(&a, path);
	set_range(&a, PIECE + 10, PIECE);
	download_local(&d, &h, &a);
	assert_int_equal(await_end(&h), RPC_OK);
	assert_int_equal(started(&h)->range->start, PIECE + 10);
	assert_int_equal(started(&h)->content_length, LENGTH);
	assert_int_equal(heard(&h), 3);
	assert_int_equal(piece(&h, 0)->number, 1);
	assert_int_equal(piece(&h, 1)->number, 2);
	assert_true(file_has(path, PIECE + 10, PIECE));
	assert_int_equal(fake_get(fetched[4]), 0);
	hearing_free(&h);
	a.download.overwrite = true;
	set_range(&a, LENGTH - 5, UINT64_MAX);
	download_local(&d, &h, &a);
	assert_int_equal(await_end(&h), RPC_OK);
	assert_true(file_has(path, LENGTH - 5, 5));
	hearing_free(&h);
	set_range(&a, LENGTH, 1);
	download_local(&d, &h, &a);
	assert_int_equal(await_end(&h), RPC_INVALID_ARGUMENT);
	hearing_free(&h);
	assert_true(file_has(path, LENGTH - 5, 5));
	door_close(&d);
}

static void expect_backend(struct door *d, const char *url, int status)
{
	cleanup(json_decref_at) json_t *j = NULL;
	struct hearing h;
	struct asking a;
	struct err e;

	asking_init(&a, url);
	download_local(d, &h, &a);
	assert_int_equal(await_end(&h), RPC_INTERNAL);
	assert_ok(json_parse(h.details, strlen(h.details), 4096, &j, &e));
	assert_int_equal(json_u64(j, "status_code", 0), status);
	assert_non_null(json_str(j, "message"));
	assert_true(json_is_object(json_object_get(j, "header")));
	hearing_free(&h);
}

static void origins_errors_come_with_their_status(void **state)
{
	struct door d;

	log_set_level(LOG_ERROR);
	door_open(&d, state);
	expect_backend(&d, "http://origin/missing", 404);
	expect_backend(&d, "http://origin/denied", 403);
	expect_backend(&d, "http://origin/broken", 502);
	fake_set(fake.get_error = EIO);
	expect_backend(&d, URL, 502);
	door_close(&d);
}

static void nonsense_is_an_invalid_argument(void **state)
{
	Dfdaemon__V2__DownloadTaskRequest empty = DFDAEMON__V2__DOWNLOAD_TASK_REQUEST__INIT;
	struct hearing h;
	struct asking a;
	struct door d;

	door_open(&d, state);
	hear(&h, d.local, DOWNLOAD("DownloadTask"), &download_ops, &empty.base);
	assert_int_equal(await_end(&h), RPC_INVALID_ARGUMENT);
	hearing_free(&h);
	asking_init(&a, "");
	download_local(&d, &h, &a);
	assert_int_equal(await_end(&h), RPC_INVALID_ARGUMENT);
	hearing_free(&h);
	asking_init(&a, "gopher://origin/file");
	download_local(&d, &h, &a);
	assert_int_equal(await_end(&h), RPC_INVALID_ARGUMENT);
	hearing_free(&h);
	asking_init(&a, URL);
	set_digest(&a, "md5:abc");
	download_local(&d, &h, &a);
	assert_int_equal(await_end(&h), RPC_INVALID_ARGUMENT);
	hearing_free(&h);
	door_close(&d);
}

static void names_of_the_daemons_own_are_for_root_of_this_host(void **state)
{
	static char name[] = TASK_OWN_NAMES "layer-index/2/sha256:0";
	struct hearing h;
	struct asking a;
	struct door d;

	door_open(&d, state);
	asking_init(&a, URL);
	message_set(
		&a.download, content_for_calculating_task_id,
		COMMON__V2__DOWNLOAD__CONTENT_FOR_CALCULATING_TASK_ID__CONTENT_FOR_CALCULATING_TASK_ID,
		name);
	hear(&h, d.tcp, UPLOAD("DownloadTask"), &download_ops, &a.rq.base);
	assert_int_equal(await_end(&h), RPC_INVALID_ARGUMENT);
	hearing_free(&h);
	download_local(&d, &h, &a);
	assert_int_equal(await_end(&h), RPC_OK);
	hearing_free(&h);
	door_close(&d);
}

static void a_blob_by_digest_is_served_from_here(void **state)
{
	cleanup(free_at) char *digest = digest_of(SEED, 1000);
	struct store_meta m = meta_of(1, 1000, 4096);
	char url[160], path[128];
	struct store_task *st;
	struct hearing h;
	struct asking a;
	struct door d;

	door_open(&d, state);
	strcpy(m.id, digest + 7);
	m.digest = digest;
	assert_ok(store_create(d.s->f->store, &m, &st, &d.s->e));
	task_fill(d.s->f, st, SEED);
	snprintf(url, sizeof(url), "https://digest.invalid/v2/-/blobs/%s", digest);
	snprintf(path, sizeof(path), "%s/out", d.s->f->dir);
	asking_init(&a, url)->enable_task_id_based_blob_digest = true;
	set_output(&a, path);
	download_local(&d, &h, &a);
	assert_int_equal(await_end(&h), RPC_OK);
	assert_true(file_has(path, 0, 1000));
	hearing_free(&h);
	store_task_unref(st);
	door_close(&d);
}

static void a_wrong_digest_leaves_no_output(void **state)
{
	cleanup(free_at) char *right = digest_of(SEED, LENGTH);
	struct hearing h;
	struct asking a;
	struct door d;
	char path[128];

	log_set_level(LOG_ERROR);
	door_open(&d, state);
	snprintf(path, sizeof(path), "%s/out", d.s->f->dir);
	asking_init(&a, URL);
	set_output(&a, path);
	download_local(&d, &h, &a); /* the task is made without a digest */
	assert_int_equal(await_end(&h), RPC_OK);
	hearing_free(&h);
	a.download.overwrite = true;
	set_digest(&a, right);
	download_local(&d, &h, &a);
	assert_int_equal(await_end(&h), RPC_OK);
	hearing_free(&h);
	assert_ok(unlink(path));
	right[10] = right[10] == '0' ? '1' : '0';
	download_local(&d, &h, &a);
	assert_int_equal(await_end(&h), RPC_ABORTED);
	hearing_free(&h);
	assert_int_equal(files_in(d.s->f->dir, "out"), 0);
	door_close(&d);
}

static void a_client_that_leaves_takes_its_output_along(void **state)
{
	struct hearing h;
	struct asking a;
	struct door d;
	char path[128];

	door_open(&d, state);
	snprintf(path, sizeof(path), "%s/out", d.s->f->dir);
	asking_init(&a, URL);
	set_output(&a, path);
	fake_set(fake.held = true);
	download_local(&d, &h, &a);
	(void)started(&h);
	assert_int_equal(files_in(d.s->f->dir, "out.part"), 1);
	hearing_free(&h);
	await(files_in(d.s->f->dir, "out") == 0);
	/* And one that leaves while the task is being opened. */
	fake_set(fake.stat_held = true);
	a.download.url = (char *)"http://origin/other";
	download_local(&d, &h, &a);
	await(fake_get(stats) == 2);
	hearing_free(&h);
	await(files_in(d.s->f->dir, "out") == 0);
	fake_set(fake.held = fake.stat_held = false);
	door_close(&d);
}

static void a_timeout_ends_the_download(void **state)
{
	struct hearing h;
	struct asking a;
	struct door d;

	door_open(&d, state);
	asking_init(&a, URL);
	message_duration(&a.timeout, 100);
	a.download.timeout = &a.timeout;
	fake_set(fake.held = true);
	download_local(&d, &h, &a);
	assert_int_equal(await_end(&h), RPC_DEADLINE_EXCEEDED);
	hearing_free(&h);
	fake_set(fake.held = false);
	door_close(&d);
}

static void a_slow_client_gets_everything_in_the_end(void **state)
{
	struct hearing h;
	struct asking a;
	struct door d;

	door_open(&d, state);
	asking_init(&a, URL)->need_piece_content = true;
	download_local(&d, &h, &a);
	lock_take(&h.lock);
	h.stuck = true;
	lock_drop(&h.lock);
	/* The task comes, whether the client reads or not. */
	await(fake_get(fetched[4]) == 1);
	lock_take(&h.lock);
	h.stuck = false;
	cond_wake_all(&h.changed);
	lock_drop(&h.lock);
	assert_int_equal(await_end(&h), RPC_OK);
	assert_int_equal(heard(&h), 6);
	hearing_free(&h);
	door_close(&d);
}

static void an_empty_file_is_a_file(void **state)
{
	struct hearing h;
	struct asking a;
	struct door d;
	char path[128];

	door_open(&d, state);
	fake_set(fake.length = 0);
	snprintf(path, sizeof(path), "%s/out", d.s->f->dir);
	asking_init(&a, URL);
	set_output(&a, path);
	download_local(&d, &h, &a);
	assert_int_equal(await_end(&h), RPC_OK);
	assert_int_equal(started(&h)->n_pieces, 0);
	assert_true(file_has(path, 0, 0));
	hearing_free(&h);
	a.download.output_path__case = 0;
	download_local(&d, &h, &a);
	assert_int_equal(await_end(&h), RPC_OK);
	hearing_free(&h);
	door_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		peer_test(a_seed_is_told_to_fetch_and_tells_how_it_goes),
		peer_test(output_is_written_beside_and_named_when_whole),
		peer_test(impossible_outputs_are_refused),
		peer_test(hard_link_is_the_stores_own_file),
		peer_test(content_comes_in_order),
		peer_test(long_pieces_come_in_several_messages),
		peer_test(a_range_fetches_and_leaves_only_what_it_touches),
		peer_test(origins_errors_come_with_their_status),
		peer_test(nonsense_is_an_invalid_argument),
		peer_test(names_of_the_daemons_own_are_for_root_of_this_host),
		peer_test(a_blob_by_digest_is_served_from_here),
		peer_test(a_wrong_digest_leaves_no_output),
		peer_test(a_client_that_leaves_takes_its_output_along),
		peer_test(a_timeout_ends_the_download),
		peer_test(a_slow_client_gets_everything_in_the_end),
		peer_test(an_empty_file_is_a_file),
	};

	return run(tests, array_len(tests));
}
