/* Streams of each kind, their ends from each side, and what happens to a slow reader. */
#include "rpc_fixture.h"

#include <containerd_snapshots_v1.pb-c.h>
#include <dfdaemon_v2.pb-c.h>
#include <errno.h>
#include <manager_v2.pb-c.h>
#include <pthread.h>
#include <scheduler_v2.pb-c.h>
#include <signal.h>
#include <skimmer_v1.pb-c.h>
#include <spawn.h>
#include <sys/wait.h>

static struct rpc_stream *open_stream(struct fixture *f, const char *path)
{
	return rpc_stream_new(f->channel, path, &test_stream_ops, &f->seen, 0);
}

static void server_stream_delivers_all_then_ok(void **state)
{
	struct fixture *f = *state;
	struct rpc_stream *s = open_stream(f, "/test.Test/Count");

	assert_true(stream_send(s, 1, 500));
	rpc_stream_half_close(s);
	probe_wait(&f->seen, &f->seen.closed, 1);
	assert_int_equal(probe_get(&f->seen, code), RPC_OK);
	assert_int_equal(probe_get(&f->seen, messages), 500);
	assert_int_equal(probe_get(&f->seen, sum), 500 * 501 / 2);
	rpc_stream_free(s);
	probe_wait(&f->served, &f->served.closed, 1);
}

/* A preheat, and the scheduler's KeepAlive, only want to know the end. */
static void messages_that_nobody_asked_for_are_dropped(void **state)
{
	const struct rpc_stream_ops ops = {RANGE_DESC, NULL, test_stream_ops.closed};
	struct fixture *f = *state;
	struct rpc_stream *s = rpc_stream_new(f->channel, "/test.Test/Count", &ops, &f->seen, 0);

	assert_true(stream_send(s, 1, 500));
	rpc_stream_half_close(s);
	probe_wait(&f->seen, &f->seen.closed, 1);
	assert_int_equal(probe_get(&f->seen, code), RPC_OK);
	assert_int_equal(probe_get(&f->seen, messages), 0);
	rpc_stream_free(s);
}

static void client_stream_is_summed_up(void **state)
{
	struct fixture *f = *state;
	struct rpc_stream *s = open_stream(f, "/test.Test/Sum");

	for (uint64_t i = 1; i <= 300; i++)
		assert_true(stream_send(s, i, 1));
	rpc_stream_half_close(s);
	assert_false(stream_send(s, 1, 1));
	probe_wait(&f->seen, &f->seen.closed, 1);
	assert_int_equal(probe_get(&f->seen, code), RPC_OK);
	assert_int_equal(probe_get(&f->seen, messages), 1);
	assert_int_equal(probe_get(&f->seen, last), 300 * 301 / 2);
	rpc_stream_free(s);
	probe_wait(&f->served, &f->served.closed, 1);
	assert_int_equal(probe_get(&f->served, half_closed), 1);
}

static void bidi_answers_while_the_client_still_sends(void **state)
{
	struct fixture *f = *state;
	struct rpc_stream *s = open_stream(f, "/test.Test/Chat");

	for (int i = 1; i <= 50; i++) {
		assert_true(stream_send(s, (uint64_t)i, 1));
		probe_wait(&f->seen, &f->seen.messages, i);
		assert_int_equal(probe_get(&f->seen, last), i);
	}
	rpc_stream_half_close(s);
	probe_wait(&f->seen, &f->seen.closed, 1);
	assert_int_equal(probe_get(&f->seen, code), RPC_OK);
	rpc_stream_free(s);
}

static void status_details_arrive_as_they_are(void **state)
{
	struct fixture *f = *state;
	struct rpc_stream *s = open_stream(f, "/test.Test/Refuse");

	assert_true(stream_send(s, 1, 1));
	probe_wait(&f->seen, &f->seen.closed, 1);
	assert_int_equal(probe_get(&f->seen, code), RPC_FAILED_PRECONDITION);
	assert_string_equal(f->seen.text, "not like \"this\" \xe2\x82\xac");
	assert_int_equal(probe_get(&f->seen, details_len), 8);
	assert_memory_equal(f->seen.details, "{\"a\":\0001}", 8);
	rpc_stream_free(s);
}

static void unknown_method_closes_the_stream(void **state)
{
	struct fixture *f = *state;
	struct rpc_stream *s = open_stream(f, "/test.Test/None");

	probe_wait(&f->seen, &f->seen.closed, 1);
	assert_int_equal(probe_get(&f->seen, code), RPC_UNIMPLEMENTED);
	assert_false(stream_send(s, 1, 1));
	rpc_stream_cancel(s);
	rpc_stream_free(s);
}

static void stream_without_a_request_is_refused(void **state)
{
	struct fixture *f = *state;
	struct rpc_stream *s = open_stream(f, "/test.Test/Chat");

	rpc_stream_half_close(s);
	probe_wait(&f->seen, &f->seen.closed, 1);
	assert_int_equal(probe_get(&f->seen, code), RPC_INVALID_ARGUMENT);
	assert_int_equal(probe_get(&f->served, half_closed), 0);
	assert_int_equal(probe_get(&f->served, closed), 0);
	rpc_stream_free(s);
}

static void client_cancel_closes_the_call(void **state)
{
	struct fixture *f = *state;
	struct rpc_stream *s = open_stream(f, "/test.Test/Hold");

	assert_true(stream_send(s, 1, 1));
	probe_wait(&f->served, &f->served.messages, 1);
	assert_false(rpc_call_is_closed(f->served.call));
	rpc_stream_cancel(s);
	probe_wait(&f->seen, &f->seen.closed, 1);
	assert_int_equal(probe_get(&f->seen, code), RPC_CANCELLED);
	probe_wait(&f->served, &f->served.closed, 1);
	/* a cancel is no half-close */
	assert_int_equal(probe_get(&f->served, half_closed), 0);
	assert_false(call_send(f->served.call, 1));
	rpc_stream_free(s);
}

static void server_finish_closes_the_stream_in_order(void **state)
{
	struct fixture *f = *state;
	struct rpc_stream *s = open_stream(f, "/test.Test/Hold");

	assert_true(stream_send(s, 1, 1));
	probe_wait(&f->served, &f->served.messages, 1);
	for (uint64_t i = 1; i <= 10; i++)
		assert_true(call_send(f->served.call, i));
	rpc_call_finish(f->served.call, RPC_ABORTED, "enough");
	/* the first end counts */
	rpc_call_finish(f->served.call, RPC_OK, NULL);
	assert_false(call_send(f->served.call, 1));
	probe_wait(&f->seen, &f->seen.closed, 1);
	assert_int_equal(probe_get(&f->seen, messages), 10);
	assert_int_equal(probe_get(&f->seen, code), RPC_ABORTED);
	assert_string_equal(f->seen.text, "enough");
	probe_wait(&f->served, &f->served.closed, 1);
	rpc_stream_free(s);
}

static void deadline_ends_a_stream(void **state)
{
	struct fixture *f = *state;
	struct rpc_stream *s;
	int code;

	/* connected, so that the stream surely arrives before its deadline */
	assert_int_equal(call_unary(f->channel, "/test.Test/Echo", 1, UNARY_MS, &code), 1);
	s = rpc_stream_new(f->channel, "/test.Test/Hold", &test_stream_ops, &f->seen, 500);
	assert_true(stream_send(s, 1, 1));
	probe_wait(&f->seen, &f->seen.closed, 1);
	assert_int_equal(probe_get(&f->seen, code), RPC_DEADLINE_EXCEEDED);
	probe_wait(&f->served, &f->served.closed, 2);
	rpc_stream_free(s);
}

static void free_cancels_and_waits(void **state)
{
	struct fixture *f = *state;
	struct rpc_stream *s = open_stream(f, "/test.Test/Hold");

	assert_true(stream_send(s, 1, 1));
	rpc_stream_free(s);
	assert_int_equal(probe_get(&f->seen, closed), 1);
	assert_int_equal(probe_get(&f->seen, code), RPC_CANCELLED);
}

static void dropped_stream_is_silent(void **state)
{
	struct fixture *f = *state;
	struct rpc_stream *s = open_stream(f, "/test.Test/Hold");

	assert_true(stream_send(s, 1, 1));
	probe_wait(&f->served, &f->served.messages, 1);
	rpc_stream_drop(s);
	probe_wait(&f->served, &f->served.closed, 1);
	assert_int_equal(probe_get(&f->seen, closed), 0);
}

/* Drops its stream at the first message. */
static void drop_at_message(struct rpc_stream *s, const ProtobufCMessage *msg, void *arg)
{
	struct probe *p = arg;

	rpc_stream_drop(s);
	probe_message(p, msg);
}

static void stream_may_be_dropped_from_its_callback(void **state)
{
	struct fixture *f = *state;
	const struct rpc_stream_ops ops = {RANGE_DESC, drop_at_message, on_stream_closed};
	struct rpc_stream *s = rpc_stream_new(f->channel, "/test.Test/Count", &ops, &f->seen, 0);

	assert_true(stream_send(s, 1, 1000));
	probe_wait(&f->seen, &f->seen.messages, 1);
	probe_wait(&f->served, &f->served.closed, 1);
	assert_int_equal(probe_get(&f->seen, messages), 1);
	assert_int_equal(probe_get(&f->seen, closed), 0);
}

/* Holds its stream at each message. */
static void hold_at_message(struct rpc_stream *s, const ProtobufCMessage *msg, void *arg)
{
	rpc_stream_hold(s);
	probe_message(arg, msg);
}

static struct rpc_stream *open_held(struct fixture *f, struct probe *seen, uint64_t count)
{
	static const struct rpc_stream_ops ops = {RANGE_DESC, hold_at_message, on_stream_closed};
	struct rpc_stream *s = rpc_stream_new(f->channel, "/test.Test/Count", &ops, seen, 0);

	assert_true(stream_send(s, 1, count));
	probe_wait(seen, &seen->messages, 1);
	return s;
}

static void held_stream_goes_on_when_resumed(void **state)
{
	struct fixture *f = *state;
	struct probe held;
	struct rpc_stream *s, *other;

	probe_init(&held);
	s = open_held(f, &held, 10);
	/* The thread that would tell more is not stopped: another stream runs to its end. */
	other = open_stream(f, "/test.Test/Count");
	assert_true(stream_send(other, 1, 500));
	probe_wait(&f->seen, &f->seen.closed, 1);
	rpc_stream_free(other);
	assert_int_equal(probe_get(&held, messages), 1);
	assert_int_equal(probe_get(&held, closed), 0);
	for (int i = 2; i <= 10; i++) {
		rpc_stream_resume(s);
		probe_wait(&held, &held.messages, i);
		assert_int_equal(probe_get(&held, last), i);
	}
	rpc_stream_resume(s);
	probe_wait(&held, &held.closed, 1);
	assert_int_equal(probe_get(&held, code), RPC_OK);
	assert_int_equal(probe_get(&held, messages), 10);
	rpc_stream_free(s);
	probe_release(&held);
}

static void held_stream_can_be_cancelled(void **state)
{
	struct fixture *f = *state;
	struct rpc_stream *s = open_held(f, &f->seen, 500);

	rpc_stream_cancel(s);
	probe_wait(&f->seen, &f->seen.closed, 1);
	rpc_stream_free(s);
}

static void held_stream_can_be_freed(void **state)
{
	struct fixture *f = *state;

	rpc_stream_free(open_held(f, &f->seen, 500));
	assert_int_equal(probe_get(&f->seen, closed), 1);
}

static void malformed_message_ends_the_stream(void **state)
{
	struct fixture *f = *state;
	const struct rpc_stream_ops ops = {&common__v2__hdfs__descriptor, on_stream_message,
					   on_stream_closed};
	struct rpc_stream *s = rpc_stream_new(f->channel, "/test.Test/Count", &ops, &f->seen, 0);

	assert_true(stream_send(s, 1, 10));
	probe_wait(&f->seen, &f->seen.closed, 1);
	assert_int_equal(probe_get(&f->seen, code), RPC_INTERNAL);
	assert_string_equal(f->seen.text, "malformed message");
	assert_int_equal(probe_get(&f->seen, messages), 0);
	rpc_stream_free(s);
}

static void freed_channel_ends_its_streams(void **state)
{
	struct fixture *f = *state;
	struct rpc_stream *s = open_stream(f, "/test.Test/Hold");

	assert_true(stream_send(s, 1, 1));
	probe_wait(&f->served, &f->served.messages, 1);
	rpc_channel_free(f->channel);
	f->channel = NULL;
	probe_wait(&f->seen, &f->seen.closed, 1);
	assert_int_equal(probe_get(&f->seen, code), RPC_CANCELLED);
	probe_wait(&f->served, &f->served.closed, 1);
	rpc_stream_free(s);
}

/* Blocks the client's one thread at the first message, so that nothing is read any more. */
struct gate {
	struct probe probe;
	int opened;
};

static void block_at_message(struct rpc_stream *s, const ProtobufCMessage *msg, void *arg)
{
	struct gate *g = arg;

	(void)s;
	if (probe_message(&g->probe, msg) == 1)
		probe_wait(&g->probe, &g->opened, 1);
}

static void slow_reader_meets_the_backlog_bound(void **state)
{
	struct fixture *f = *state;
	const struct rpc_stream_ops ops = {RANGE_DESC, block_at_message, on_stream_closed};
	Common__V2__Range last = range(0, 1);
	struct gate g = {.opened = 0};
	struct rpc_stream *s;
	unsigned backlog_max = 0;
	uint64_t sent = 0;

	probe_init(&g.probe);
	s = rpc_stream_new(f->channel, "/test.Test/Hold", &ops, &g, 0);
	stream_send(s, 1, 1);
	probe_wait(&f->served, &f->served.messages, 1);
	while (sent < 1000000 && call_send(f->served.call, sent + 1)) {
		unsigned backlog = rpc_call_backlog(f->served.call);

		sent++;
		backlog_max = backlog > backlog_max ? backlog : backlog_max;
	}
	/* an answer ends the call after what is queued, also if there is no room for it */
	rpc_call_reply(f->served.call, &last.base);
	/* from here on a failed assertion leaves no thread behind */
	probe_count(&g.probe, &g.opened);
	probe_wait(&g.probe, &g.probe.closed, 1);
	assert_in_range(sent, 1024, 999999);
	assert_in_range(backlog_max, 1000, 1025);
	if (probe_get(&g.probe, code) == RPC_OK)
		sent++; /* one was written meanwhile, and made room */
	else
		assert_int_equal(probe_get(&g.probe, code), RPC_RESOURCE_EXHAUSTED);
	assert_int_equal(probe_get(&g.probe, messages), sent);
	rpc_stream_free(s);
	probe_release(&g.probe);
}

static void a_thousand_streams_at_once(void **state)
{
	struct fixture *f = *state;
	static struct rpc_stream *streams[1000];

	for (size_t i = 0; i < array_len(streams); i++) {
		streams[i] = open_stream(f, "/test.Test/Chat");
		assert_true(stream_send(streams[i], i, 1));
	}
	probe_wait(&f->seen, &f->seen.messages, array_len(streams));
	assert_int_equal(probe_get(&f->seen, sum), 999 * 1000 / 2);
	assert_int_equal(probe_get(&f->seen, closed), 0);
	for (size_t i = 0; i < array_len(streams); i++)
		rpc_stream_half_close(streams[i]);
	probe_wait(&f->seen, &f->seen.closed, array_len(streams));
	for (size_t i = 0; i < array_len(streams); i++)
		rpc_stream_free(streams[i]);
	probe_wait(&f->served, &f->served.closed, array_len(streams));
}

/* Sends until the call ends under its hands. */
static void *send_for_ever(void *arg)
{
	struct rpc_call *call = arg;

	while (!rpc_call_is_closed(call))
		call_send(call, 1);
	rpc_call_finish(call, RPC_OK, NULL);
	rpc_call_unref(call);
	return NULL;
}

static void sends_race_the_end_safely(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[3];

	for (int round = 1; round <= 20; round++) {
		struct rpc_stream *s = open_stream(f, "/test.Test/Hold");

		assert_true(stream_send(s, 1, 1));
		probe_wait(&f->served, &f->served.messages, round);
		for (size_t i = 0; i < array_len(threads); i++) {
			rpc_call_ref(f->served.call);
			assert_int_equal(
				pthread_create(&threads[i], NULL, send_for_ever, f->served.call),
				0);
		}
		probe_wait(&f->seen, &f->seen.messages, round * 10);
		rpc_stream_free(s);
		for (size_t i = 0; i < array_len(threads); i++)
			pthread_join(threads[i], NULL);
		probe_wait(&f->served, &f->served.closed, round);
	}
}

static void stopped_server_ends_running_calls(void **state)
{
	struct fixture *f = *state;
	struct rpc_stream *s = open_stream(f, "/test.Test/Hold");

	assert_true(stream_send(s, 1, 1));
	probe_wait(&f->served, &f->served.messages, 1);
	rpc_server_free(f->server, 0);
	f->server = NULL;
	assert_int_equal(probe_get(&f->served, closed), 1);
	/* the reference outlives the server */
	assert_false(call_send(f->served.call, 1));
	assert_non_null(rpc_call_peer(f->served.call));
	probe_wait(&f->seen, &f->seen.closed, 1);
	assert_int_equal(probe_get(&f->seen, code), RPC_UNAVAILABLE);
	rpc_stream_free(s);
}

static void *finish_soon(void *arg)
{
	struct rpc_call *call = arg;

	usleep(50000); /* the server is being stopped meanwhile, or not yet: both must end well */
	call_send(call, 9);
	rpc_call_finish(call, RPC_OK, NULL);
	return NULL;
}

static void grace_lets_running_calls_end(void **state)
{
	struct fixture *f = *state;
	struct rpc_stream *s = open_stream(f, "/test.Test/Hold");
	pthread_t thread;

	assert_true(stream_send(s, 1, 1));
	probe_wait(&f->served, &f->served.messages, 1);
	assert_int_equal(pthread_create(&thread, NULL, finish_soon, f->served.call), 0);
	rpc_server_free(f->server, WAIT_MS);
	f->server = NULL;
	probe_wait(&f->seen, &f->seen.closed, 1);
	assert_int_equal(probe_get(&f->seen, code), RPC_OK);
	assert_int_equal(probe_get(&f->seen, last), 9);
	pthread_join(thread, NULL);
	rpc_stream_free(s);
}

/* Runs this program again as a server that prints its port; main() knows the word. */
static pid_t spawn_server(char *target, size_t size)
{
	char *argv[] = {(char *)"rpc_stream_test", (char *)"serve", NULL};
	posix_spawn_file_actions_t actions;
	extern char **environ;
	char port[16] = "";
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	posix_spawn_file_actions_addclose(&actions, ends[0]);
	assert_int_equal(posix_spawn(&pid, "/proc/self/exe", &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	assert_true(read(ends[0], port, sizeof(port) - 1) > 0);
	close(ends[0]);
	snprintf(target, size, "127.0.0.1:%d", atoi(port));
	return pid;
}

static void killed_server_closes_the_stream(void **state)
{
	struct fixture *f = *state;
	char target[64];
	pid_t pid = spawn_server(target, sizeof(target));
	struct rpc_channel *ch = rpc_channel_new(target, NULL);
	struct rpc_stream *s = rpc_stream_new(ch, "/test.Test/Chat", &test_stream_ops, &f->seen, 0);

	assert_true(stream_send(s, 1, 1));
	probe_wait(&f->seen, &f->seen.messages, 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	probe_wait(&f->seen, &f->seen.closed, 1);
	assert_int_equal(probe_get(&f->seen, code), RPC_UNAVAILABLE);
	assert_false(stream_send(s, 2, 1));
	rpc_stream_free(s);
	rpc_channel_free(ch);
}

static void on_message_echo(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	(void)arg;
	rpc_call_reply(call, req);
}

/* "/test.Message/<name>" for every message that a service speaks of: unpacks it and packs it again.
 * test/integration/10_foreign_grpc.py compares. */
static struct rpc_method *message_methods(void)
{
	static const ProtobufCServiceDescriptor *const services[] = {
		&scheduler__v2__scheduler__descriptor,
		&dfdaemon__v2__dfdaemon_upload__descriptor,
		&dfdaemon__v2__dfdaemon_download__descriptor,
		&manager__v2__manager__descriptor,
		&containerd__services__snapshots__v1__snapshots__descriptor,
		&skimmer__v1__feeding__descriptor,
		&skimmer__v1__layers__descriptor,
		&skimmer__v1__swarm__descriptor,
		&skimmer__v1__inspect__descriptor,
	};
	struct rpc_method *methods = mem_array(1000, sizeof(*methods));
	size_t count = 0;

	for (size_t i = 0; i < array_len(services); i++)
		for (unsigned j = 0; j < services[i]->n_methods * 2; j++) {
			const ProtobufCMethodDescriptor *m = &services[i]->methods[j / 2];
			const ProtobufCMessageDescriptor *d = j % 2 ? m->output : m->input;

			assert(count < 999);
			methods[count].path = mem_printf("/test.Message/%s", d->name);
			methods[count].request = d;
			methods[count++].message = on_message_echo;
		}
	return methods;
}

/* Serves the test's methods and the messages, prints the port, until it is killed. */
static int serve_for_ever(void)
{
	const char *const listen[] = {"127.0.0.1:0", NULL};
	const struct rpc_method *const services[] = {test_methods, message_methods(), NULL};
	struct probe p;
	void *const args[] = {&p, NULL};
	const struct rpc_server_config c = {.listen = listen,
					    .services = services,
					    .service_args = args,
					    .memory_max = 32 << 20};
	struct rpc_server *server;
	struct err e;

	probe_init(&p);
	rpc_init();
	if (rpc_server_new(&c, &server, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		return 1;
	}
	printf("%u\n", rpc_server_port(server));
	fflush(stdout);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		rpc_test(server_stream_delivers_all_then_ok),
		rpc_test(messages_that_nobody_asked_for_are_dropped),
		rpc_test(client_stream_is_summed_up),
		rpc_test(bidi_answers_while_the_client_still_sends),
		rpc_test(status_details_arrive_as_they_are),
		rpc_test(unknown_method_closes_the_stream),
		rpc_test(stream_without_a_request_is_refused),
		rpc_test(client_cancel_closes_the_call),
		rpc_test(server_finish_closes_the_stream_in_order),
		rpc_test(deadline_ends_a_stream),
		rpc_test(free_cancels_and_waits),
		rpc_test(dropped_stream_is_silent),
		rpc_test(stream_may_be_dropped_from_its_callback),
		rpc_test(held_stream_goes_on_when_resumed),
		rpc_test(held_stream_can_be_cancelled),
		rpc_test(held_stream_can_be_freed),
		rpc_test(malformed_message_ends_the_stream),
		rpc_test(freed_channel_ends_its_streams),
		rpc_test(slow_reader_meets_the_backlog_bound),
		rpc_test(a_thousand_streams_at_once),
		rpc_test(sends_race_the_end_safely),
		rpc_test(stopped_server_ends_running_calls),
		rpc_test(grace_lets_running_calls_end),
		rpc_test(killed_server_closes_the_stream),
	};

	if (argc > 1 && strcmp(argv[1], "serve") == 0)
		return serve_for_ever();
	return cmocka_run_group_tests(tests, rpc_group_setup, rpc_group_teardown);
}
