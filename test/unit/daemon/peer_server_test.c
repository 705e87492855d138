/* daemon/peer_server: SyncPieces, SyncHost, and the questions with one answer */
#include "test/unit/daemon/peer_fixture.h"

#include "skimmer_v1.pb-c.h"

#include <google/protobuf/empty.pb-c.h>

/* ---- SyncPieces */

static void follow(struct door *d, struct hearing *h, const char *id, const uint32_t *numbers,
		   size_t count)
{
	Dfdaemon__V2__SyncPiecesRequest rq = DFDAEMON__V2__SYNC_PIECES_REQUEST__INIT;

	rq.host_id = (char *)"child";
	rq.task_id = (char *)id;
	rq.interested_piece_numbers = (uint32_t *)numbers;
	rq.n_interested_piece_numbers = count;
	hear(h, d->tcp, UPLOAD("SyncPieces"), &sync_ops, &rq.base);
}

static const Dfdaemon__V2__SyncPiecesResponse *told(struct hearing *h, unsigned i)
{
	await(heard(h) > i);
	return (const Dfdaemon__V2__SyncPiecesResponse *)message_heard(h, i);
}

static void pieces_are_told_at_once_and_as_they_come(void **state)
{
	static const uint32_t numbers[] = {0, 3, 3, 4, 900};
	struct hearing h;
	struct door d;
	struct task *t;

	door_open(&d, state);
	t = open_url(d.s, URL);
	assert_int_equal(read_piece(t, 3), 0);
	follow(&d, &h, task_meta(t)->id, numbers, 5);
	assert_int_equal(told(&h, 0)->number, 3);
	assert_int_equal(told(&h, 0)->offset, 3 * PIECE);
	assert_int_equal(told(&h, 0)->length, PIECE);
	assert_string_equal(told(&h, 0)->ip, "127.0.0.1");
	assert_int_equal(message_number(told(&h, 0), tcp_port, 0), 4005);
	assert_false(is_over(&h));
	assert_int_equal(read_piece(t, 0), 0);
	assert_int_equal(told(&h, 1)->number, 0);
	assert_int_equal(read_piece(t, 4), 0);
	assert_int_equal(told(&h, 2)->number, 4);
	assert_int_equal(told(&h, 2)->length, PIECE - 100);
	assert_int_equal(await_end(&h), RPC_OK);
	assert_int_equal(heard(&h), 3);
	hearing_free(&h);
	task_unref(t);
	door_close(&d);
}

static void who_understands_later_is_told_of_all_at_once_and_again_in_turn(void **state)
{
	Dfdaemon__V2__SyncPiecesRequest rq = DFDAEMON__V2__SYNC_PIECES_REQUEST__INIT;
	uint32_t numbers[] = {0, 1, 2, 3, 4};
	struct hearing h;
	struct door d;
	struct task *t;

	door_open(&d, state);
	t = open_url(d.s, URL);
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(read_piece(t, i), 0);
	await(is_complete(t));
	rq.host_id = (char *)"child";
	rq.task_id = (char *)task_meta(t)->id;
	rq.interested_piece_numbers = numbers;
	rq.n_interested_piece_numbers = 5;
	rq.takes_later = true;
	hear(&h, d.tcp, UPLOAD("SyncPieces"), &sync_ops, &rq.base);
	assert_int_equal(await_end(&h), RPC_OK);
	assert_int_equal(heard(&h), 10);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(told(&h, i)->later, i < 5);
	assert_true(told(&h, 0)->by_blocks);
	hearing_free(&h);
	task_unref(t);
	door_close(&d);
}

static void room_may_be_told_by_anybody_at_any_time(void **state)
{
	static const struct rpc_stream_ops ops = {
		.response = &skimmer__v1__tell_room_response__descriptor,
		.message = hear_message,
		.closed = hear_closed};
	Skimmer__V1__TellRoomRequest rq = SKIMMER__V1__TELL_ROOM_REQUEST__INIT;
	struct hearing h, child;
	struct door d;
	struct task *t;

	door_open(&d, state);
	t = open_url(d.s, URL);
	hear(&h, d.tcp, "/skimmer.v1.Feeding/TellRoom", &ops, &rq.base); /* nobody, of nothing */
	assert_int_equal(await_end(&h), RPC_OK);
	hearing_free(&h);
	follow(&d, &child, task_meta(t)->id, (const uint32_t[]){3}, 1);
	rq.task_id = (char *)task_meta(t)->id;
	rq.host_id = (char *)"child";
	rq.full = true;
	hear(&h, d.tcp, "/skimmer.v1.Feeding/TellRoom", &ops, &rq.base);
	assert_int_equal(await_end(&h), RPC_OK);
	assert_int_equal(heard(&h), 1);
	/* Full, but there is nobody else to tell. */
	assert_int_equal(read_piece(t, 3), 0);
	assert_int_equal(told(&child, 0)->number, 3);
	assert_false(told(&child, 0)->by_blocks); /* it takes nothing that is ours */
	assert_int_equal(await_end(&child), RPC_OK);
	hearing_free(&h);
	hearing_free(&child);
	task_unref(t);
	door_close(&d);
}

static void a_short_list_is_read_from_the_origin_next(void **state)
{
	static const uint32_t numbers[] = {4}, all[] = {0, 1, 2, 3};
	struct hearing h, everything;
	struct door d;
	struct task *t;

	door_open(&d, state);
	fake_set(fake.held = true);
	t = open_url(d.s, URL);
	task_want_all(t, TASK_REST);
	await(fake_get(gets) == 1); /* the first run has the link to itself */
	follow(&d, &h, task_meta(t)->id, numbers, 1);
	await(fake_get(gets) == 2);
	assert_int_equal(fake_get(last_off), 4 * PIECE);
	fake_set(fake.held = false);
	assert_int_equal(told(&h, 0)->number, 4);
	assert_int_equal(await_end(&h), RPC_OK);
	follow(&d, &everything, task_meta(t)->id, all, 4);
	assert_int_equal(await_end(&everything), RPC_OK);
	await(is_complete(t));
	assert_int_equal(fake_get(bytes), LENGTH);
	hearing_free(&h);
	hearing_free(&everything);
	task_unref(t);
	door_close(&d);
}

static void a_task_that_is_not_here_is_not_found(void **state)
{
	static const uint32_t numbers[] = {0};
	char id[STORE_ID_LEN + 1];
	struct hearing h;
	struct door d;

	door_open(&d, state);
	id_of(99, id);
	follow(&d, &h, id, numbers, 1);
	assert_int_equal(await_end(&h), RPC_NOT_FOUND);
	hearing_free(&h);
	follow(&d, &h, "not an id", numbers, 1);
	assert_int_equal(await_end(&h), RPC_NOT_FOUND);
	hearing_free(&h);
	door_close(&d);
}

static void a_host_that_does_not_share_tells_of_no_piece(void **state)
{
	struct host_config leech = {.hostname = "me", .ip = "127.0.0.1", .disable_shared = true};
	static const uint32_t numbers[] = {0};
	struct setting *s = *state;
	struct hearing h;
	struct task *t;
	struct door d;

	setting_stop(s);
	host_free(s->host);
	s->config.host = s->host = host_new(&leech);
	setting_start(s);
	door_open(&d, state);
	t = open_url(s, URL);
	assert_int_equal(read_piece(t, 0), 0);
	follow(&d, &h, task_meta(t)->id, numbers, 1);
	assert_int_equal(await_end(&h), RPC_FAILED_PRECONDITION);
	assert_int_equal(h.count, 0);
	hearing_free(&h);
	task_unref(t);
	door_close(&d);
}

static void a_task_that_fails_ends_the_stream(void **state)
{
	static const uint32_t numbers[] = {0};
	struct hearing h;
	struct door d;
	struct task *t;

	door_open(&d, state);
	t = open_url(d.s, URL);
	follow(&d, &h, task_meta(t)->id, numbers, 1);
	fake_set(fake.get_error = EACCES);
	task_want_all(t, TASK_REST);
	assert_int_equal(await_end(&h), RPC_INTERNAL);
	hearing_free(&h);
	task_unref(t);
	door_close(&d);
}

static void many_children_follow_one_task(void **state)
{
	enum { CHILDREN = 200 };
	static const uint32_t numbers[] = {0, 1, 2, 3, 4};
	struct hearing *h = mem_array(CHILDREN, sizeof(*h));
	struct door d;
	struct task *t;

	door_open(&d, state);
	t = open_url(d.s, URL);
	for (unsigned i = 0; i < CHILDREN; i++)
		follow(&d, &h[i], task_meta(t)->id, numbers, 5);
	/* Every other one leaves in the middle. */
	for (unsigned i = 1; i < CHILDREN; i += 2)
		rpc_stream_cancel(h[i].stream);
	task_want_all(t, TASK_REST);
	for (unsigned i = 0; i < CHILDREN; i += 2) {
		assert_int_equal(await_end(&h[i]), RPC_OK);
		assert_int_equal(heard(&h[i]), 5);
	}
	for (unsigned i = 0; i < CHILDREN; i++)
		hearing_free(&h[i]);
	free(h);
	task_unref(t);
	door_close(&d);
}

static void followers_do_not_outlive_the_server(void **state)
{
	static const uint32_t numbers[] = {0};
	struct hearing h;
	struct door d;
	struct task *t;

	door_open(&d, state);
	t = open_url(d.s, URL);
	follow(&d, &h, task_meta(t)->id, numbers, 1);
	peer_server_free(d.server);
	d.server = NULL;
	await_end(&h);
	hearing_free(&h);
	task_unref(t);
	door_close(&d);
}

/* ---- SyncHost */

static void hosts_link_is_told_again_and_again(void **state)
{
	Dfdaemon__V2__SyncHostRequest rq = DFDAEMON__V2__SYNC_HOST_REQUEST__INIT;
	struct hearing a, b;
	const Common__V2__Host *host;
	struct door d;

	door_open(&d, state);
	rq.host_id = (char *)"child";
	rq.peer_id = (char *)"peer";
	hear(&a, d.tcp, UPLOAD("SyncHost"), &host_ops, &rq.base);
	hear(&b, d.tcp, UPLOAD("SyncHost"), &host_ops, &rq.base);
	await(heard(&a) >= 1);
	host = (const Common__V2__Host *)message_heard(&a, 0);
	assert_string_equal(host->id, "127.0.0.1-me");
	assert_non_null(host->network);
	await(heard(&a) >= 2 && heard(&b) >= 2);
	hearing_free(&b);
	hearing_free(&a);
	door_close(&d);
}

/* ---- questions */

static int ask(struct rpc_channel *ch, const char *path, const ProtobufCMessage *rq,
	       const ProtobufCMessageDescriptor *type, ProtobufCMessage **out)
{
	int code = -1;
	struct err e;

	*out = NULL;
	(void)!rpc_unary(ch, path, rq, type, TIMEOUT_MS, out, &code, &e);
	return code;
}

static int ask_empty(struct rpc_channel *ch, const char *path, const ProtobufCMessage *rq)
{
	ProtobufCMessage *answer;
	int code = ask(ch, path, rq, &google__protobuf__empty__descriptor, &answer);

	if (answer)
		protobuf_c_message_free_unpacked(answer, NULL);
	return code;
}

static void tasks_are_looked_up(void **state)
{
	Dfdaemon__V2__StatTaskRequest stat_rq = DFDAEMON__V2__STAT_TASK_REQUEST__INIT;
	Dfdaemon__V2__StatLocalTaskRequest local_rq = DFDAEMON__V2__STAT_LOCAL_TASK_REQUEST__INIT;
	Dfdaemon__V2__ListLocalTasksRequest list_rq = DFDAEMON__V2__LIST_LOCAL_TASKS_REQUEST__INIT;
	const Dfdaemon__V2__StatLocalTaskResponse *local;
	const Dfdaemon__V2__ListLocalTasksResponse *list;
	ProtobufCMessage *m;
	struct door d;
	struct task *t;

	door_open(&d, state);
	t = open_url(d.s, URL);
	stat_rq.task_id = local_rq.task_id = (char *)task_meta(t)->id;
	assert_int_equal(
		ask(d.tcp, UPLOAD("StatTask"), &stat_rq.base, &common__v2__task__descriptor, &m),
		RPC_OK);
	assert_int_equal(((Common__V2__Task *)m)->content_length, LENGTH);
	assert_string_equal(((Common__V2__Task *)m)->state, "Running");
	assert_non_null(((Common__V2__Task *)m)->created_at);
	protobuf_c_message_free_unpacked(m, NULL);
	fake_set((fake.has_task = true, fake.task_length = 42));
	assert_int_equal(ask(d.local, DOWNLOAD("StatTask"), &stat_rq.base,
			     &common__v2__task__descriptor, &m),
			 RPC_OK);
	assert_int_equal(((Common__V2__Task *)m)->content_length, 42);
	assert_int_equal(((Common__V2__Task *)m)->peer_count, 7);
	protobuf_c_message_free_unpacked(m, NULL);
	assert_int_equal(ask(d.local, DOWNLOAD("StatLocalTask"), &local_rq.base,
			     &dfdaemon__v2__stat_local_task_response__descriptor, &m),
			 RPC_OK);
	local = (const Dfdaemon__V2__StatLocalTaskResponse *)m;
	assert_string_equal(local->task_id, task_meta(t)->id);
	assert_int_equal(message_number(local, content_length, 0), LENGTH);
	assert_int_equal(message_number(local, piece_length, 0), PIECE);
	assert_int_equal(local->n_response_header, 1);
	assert_non_null(local->created_at);
	assert_null(local->finished_at);
	protobuf_c_message_free_unpacked(m, NULL);
	assert_int_equal(ask(d.local, DOWNLOAD("ListLocalTasks"), &list_rq.base,
			     &dfdaemon__v2__list_local_tasks_response__descriptor, &m),
			 RPC_OK);
	list = (const Dfdaemon__V2__ListLocalTasksResponse *)m;
	assert_int_equal(list->n_tasks, 1);
	assert_string_equal(list->tasks[0]->task_id, task_meta(t)->id);
	protobuf_c_message_free_unpacked(m, NULL);
	task_unref(t);
	door_close(&d);
}

static void unknown_tasks_and_ids_are_told_apart(void **state)
{
	Dfdaemon__V2__StatTaskRequest rq = DFDAEMON__V2__STAT_TASK_REQUEST__INIT;
	char id[STORE_ID_LEN + 1];
	ProtobufCMessage *m;
	struct door d;

	door_open(&d, state);
	id_of(9, id);
	rq.task_id = id;
	assert_int_equal(
		ask(d.tcp, UPLOAD("StatTask"), &rq.base, &common__v2__task__descriptor, &m),
		RPC_NOT_FOUND);
	assert_int_equal(ask(d.tcp, UPLOAD("StatLocalTask"), &rq.base,
			     &dfdaemon__v2__stat_local_task_response__descriptor, &m),
			 RPC_NOT_FOUND);
	assert_int_equal(ask_empty(d.tcp, UPLOAD("DeleteTask"), &rq.base), RPC_NOT_FOUND);
	rq.task_id = (char *)"../../../etc/passwd";
	assert_int_equal(
		ask(d.tcp, UPLOAD("StatTask"), &rq.base, &common__v2__task__descriptor, &m),
		RPC_INVALID_ARGUMENT);
	door_close(&d);
}

/* The answer's text, or NULL with the code. The caller frees. */
static char *ask_digest(struct rpc_channel *ch, const char *task_id, int *code_out)
{
	Skimmer__V1__TellDigestRequest rq = SKIMMER__V1__TELL_DIGEST_REQUEST__INIT;
	ProtobufCMessage *m;
	char *text;

	rq.task_id = (char *)task_id;
	*code_out = ask(ch, "/skimmer.v1.Feeding/TellDigest", &rq.base,
			&skimmer__v1__tell_digest_response__descriptor, &m);
	if (!m)
		return NULL;
	text = mem_strdup(((const Skimmer__V1__TellDigestResponse *)m)->sha256);
	protobuf_c_message_free_unpacked(m, NULL);
	return text;
}

/* A certificate that is its own authority's: its files below dir. */
static struct rpc_tls make_member(const char *dir)
{
	struct rpc_tls t = {.ca = mem_printf("%s/member.pem", dir),
			    .key = mem_printf("%s/member.key", dir)};
	cleanup(free_at) char *command =
		mem_printf("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
			   "-days 2 -subj /CN=member -addext subjectAltName=IP:127.0.0.1 "
			   "-keyout %s -out %s 2>/dev/null",
			   t.key, t.ca);

	assert_int_equal(system(command), 0);
	t.cert = t.ca;
	return t;
}

/* Which it costs to read and hash. */
static void what_a_whole_is_is_told_to_members_alone(void **state)
{
	unsigned char *bytes cleanup(free_at) = mem_alloc(LENGTH);
	char *told cleanup(free_at) = NULL;
	char hex[DIGEST_HEX_LEN + 1];
	struct rpc_tls tls;
	struct task *t;
	struct door d;
	int code;

	door_open(&d, state);
	tls = make_member(d.s->f->dir);
	t = open_url(d.s, URL);
	assert_null(ask_digest(d.tcp, task_meta(t)->id, &code));
	assert_int_equal(code, RPC_FAILED_PRECONDITION);
	door_close(&d);
	door_open_by(&d, state, &tls);
	assert_null(ask_digest(d.tcp, task_meta(t)->id, &code));
	assert_int_equal(code, RPC_NOT_FOUND); /* not all of it is here */
	task_want_all(t, TASK_REST);
	await(task_complete_fd(t) >= 0);
	fake_bytes(SEED, 0, LENGTH, bytes);
	sha256_hex(bytes, LENGTH, hex);
	told = ask_digest(d.tcp, task_meta(t)->id, &code);
	assert_int_equal(code, RPC_OK);
	assert_string_equal(told, hex);
	task_unref(t);
	door_close(&d);
	free(tls.ca);
	free(tls.key);
}

static void tasks_and_hosts_are_forgotten(void **state)
{
	Dfdaemon__V2__DeleteTaskRequest rq = DFDAEMON__V2__DELETE_TASK_REQUEST__INIT;
	Google__Protobuf__Empty empty = GOOGLE__PROTOBUF__EMPTY__INIT;
	char id[STORE_ID_LEN + 1];
	struct door d;
	struct task *t;

	door_open(&d, state);
	t = open_url(d.s, URL);
	strcpy(id, task_meta(t)->id);
	task_unref(t);
	rq.task_id = id;
	assert_int_equal(ask_empty(d.tcp, UPLOAD("DeleteTask"), &rq.base), RPC_OK);
	assert_int_equal(ask_empty(d.local, DOWNLOAD("DeleteLocalTask"), &rq.base), RPC_NOT_FOUND);
	t = open_url(d.s, URL);
	task_unref(t);
	assert_int_equal(ask_empty(d.local, DOWNLOAD("DeleteLocalTask"), &rq.base), RPC_OK);
	assert_int_equal(ask_empty(d.local, DOWNLOAD("DeleteHost"), &empty.base), RPC_OK);
	assert_int_equal(__atomic_load_n(&hosts_deleted, __ATOMIC_SEQ_CST), 1);
	door_close(&d);
}

static void each_door_has_its_own_service(void **state)
{
	Dfdaemon__V2__ListLocalTasksRequest list = DFDAEMON__V2__LIST_LOCAL_TASKS_REQUEST__INIT;
	Google__Protobuf__Empty empty = GOOGLE__PROTOBUF__EMPTY__INIT;
	struct peer_server_config c = {.ip = "127.0.0.1"};
	struct peer_server *second;
	struct door d;

	door_open(&d, state);
	assert_int_equal(ask_empty(d.tcp, DOWNLOAD("ListLocalTasks"), &list.base),
			 RPC_UNIMPLEMENTED);
	assert_int_equal(ask_empty(d.tcp, UPLOAD("DeleteHost"), &empty.base), RPC_UNIMPLEMENTED);
	assert_int_equal(ask_empty(d.tcp, UPLOAD("ListTaskEntries"), &list.base),
			 RPC_UNIMPLEMENTED);
	assert_int_equal(ask_empty(d.local, UPLOAD("SyncHost"), &list.base), RPC_UNIMPLEMENTED);
	assert_ok(rpc_check_health(d.tcp, TIMEOUT_MS, &d.s->e));
	assert_ok(rpc_check_health(d.local, TIMEOUT_MS, &d.s->e));
	/* A second daemon on the same socket or port is told so. */
	c.socket_path = d.socket;
	assert_int_equal(peer_server_new(&c,
					 &(struct peer_server_parts){.tasks = d.s->ts,
								     .store = d.s->f->store,
								     .host = d.s->host},
					 &second, &d.s->e),
			 -EADDRINUSE);
	c.socket_path = NULL;
	c.port = peer_server_port(d.server);
	assert_int_equal(peer_server_new(&c,
					 &(struct peer_server_parts){.tasks = d.s->ts,
								     .store = d.s->f->store,
								     .host = d.s->host},
					 &second, &d.s->e),
			 -EADDRINUSE);
	door_close(&d);
}

static int setup_scheduled(void **state)
{
	int r = setup_with(state, LENGTH, true);

	fake_will_say({SAY_ORIGIN, 0, 0});
	return r;
}

#define scheduled_test(name) cmocka_unit_test_setup_teardown(name, setup_scheduled, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		peer_test(room_may_be_told_by_anybody_at_any_time),
		peer_test(who_understands_later_is_told_of_all_at_once_and_again_in_turn),
		peer_test(pieces_are_told_at_once_and_as_they_come),
		peer_test(a_short_list_is_read_from_the_origin_next),
		peer_test(a_task_that_is_not_here_is_not_found),
		peer_test(a_host_that_does_not_share_tells_of_no_piece),
		peer_test(a_task_that_fails_ends_the_stream),
		peer_test(many_children_follow_one_task),
		peer_test(followers_do_not_outlive_the_server),
		peer_test(hosts_link_is_told_again_and_again),
		scheduled_test(tasks_are_looked_up),
		scheduled_test(unknown_tasks_and_ids_are_told_apart),
		scheduled_test(what_a_whole_is_is_told_to_members_alone),
		scheduled_test(tasks_and_hosts_are_forgotten),
		peer_test(each_door_has_its_own_service),
	};

	return run(tests, array_len(tests));
}
