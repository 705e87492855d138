/* scheduler.v2.Scheduler over a real socket: preheats, their stat, and the cluster's rules. A
 * daemon of our own notes what it is asked to download. */
#include "control/scheduler/manager_link.h"
#include "control/scheduler/service_private.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "dfdaemon_v2.pb-c.h"
#include "proto/message.h"
#include "proto/task_id.h"
#include "scheduler_v2.pb-c.h"
#include "test/state_config.h"
#include "test/unit/rpc_group.h"
#include "test/unit/unit.h"

#include <google/protobuf/empty.pb-c.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define ASKED_MAX  16
#define WAIT_MS	   20000
#define SAYS(what) SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__REQUEST_##what##_REQUEST

struct daemon {
	struct rpc_server *server;
	struct lock lock;
	/* all below: lock */
	Common__V2__Download *asked[ASKED_MAX];
	unsigned count;
	bool fails;
};

struct fixture {
	struct service *service;
	struct rpc_server *server;
	struct rpc_channel *channel;
	struct daemon daemon;
	char addr[32];
	int dead; /* a socket that is bound and does not listen, or -1 */
};

static void note_download(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	Dfdaemon__V2__DownloadTaskResponse started = DFDAEMON__V2__DOWNLOAD_TASK_RESPONSE__INIT;
	const Dfdaemon__V2__DownloadTaskRequest *rq = (const void *)req;
	size_t len = protobuf_c_message_get_packed_size(&rq->download->base);
	cleanup(free_at) uint8_t *bytes = mem_alloc(len + 1);
	struct daemon *d = arg;
	bool fails;

	protobuf_c_message_pack(&rq->download->base, bytes);
	lock_take(&d->lock);
	fails = d->fails;
	if (d->count < ASKED_MAX)
		d->asked[d->count++] = common__v2__download__unpack(NULL, len, bytes);
	lock_drop(&d->lock);
	rpc_call_send(call, &started.base);
	rpc_call_finish(call, fails ? RPC_INTERNAL : RPC_OK, fails ? "the origin says 404" : NULL);
}

static const struct rpc_method daemon_methods[] = {
	{
		.path = "/dfdaemon.v2.DfdaemonUpload/DownloadTask",
		.request = &dfdaemon__v2__download_task_request__descriptor,
		.message = note_download,
	},
	{.path = NULL},
};

static struct rpc_server *serve(const struct rpc_method *methods, void *arg)
{
	static const char *const listen[] = {":0", NULL};
	const struct rpc_method *const services[] = {methods, NULL};
	void *args[] = {arg};
	const struct rpc_server_config c = {
		.listen = listen, .services = services, .service_args = args};
	struct rpc_server *server = NULL;

	assert_int_equal(rpc_server_new(&c, &server, NULL), 0);
	return server;
}

static int start(void **state)
{
	const struct state_config config = state_config_usual();
	struct fixture *f = mem_new(struct fixture);

	f->dead = -1;
	lock_init(&f->daemon.lock, 1);
	f->daemon.server = serve(daemon_methods, &f->daemon);
	f->service = service_new(&config, NULL, NULL);
	f->server = serve(service_methods, f->service);
	snprintf(f->addr, sizeof(f->addr), "127.0.0.1:%u", rpc_server_port(f->server));
	f->channel = rpc_channel_new(f->addr, NULL);
	*state = f;
	return 0;
}

static int stop(void **state)
{
	struct fixture *f = *state;

	rpc_channel_free(f->channel);
	rpc_server_free(f->server, 1000);
	service_free(f->service);
	rpc_server_free(f->daemon.server, 1000);
	for (unsigned i = 0; i < f->daemon.count; i++)
		common__v2__download__free_unpacked(f->daemon.asked[i], NULL);
	lock_release(&f->daemon.lock);
	close_at(&f->dead);
	free(f);
	return 0;
}

static int ask(struct fixture *f, const char *path, const ProtobufCMessage *rq,
	       const ProtobufCMessageDescriptor *type, ProtobufCMessage **out)
{
	ProtobufCMessage *m = NULL;
	int code = -1;
	struct err e;

	if (rpc_unary(f->channel, path, rq, type, WAIT_MS, &m, &code, &e) < 0)
		return code;
	if (out)
		*out = m;
	else
		protobuf_c_message_free_unpacked(m, NULL);
	return RPC_OK;
}

/* A host; all of 127/8 lead to us. */
static void announce_at(struct fixture *f, const char *id, const char *ip, bool seed, int port)
{
	Scheduler__V2__AnnounceHostRequest rq = SCHEDULER__V2__ANNOUNCE_HOST_REQUEST__INIT;
	Common__V2__Host h = COMMON__V2__HOST__INIT;

	h.id = h.hostname = (char *)id;
	h.ip = (char *)ip;
	h.type = seed;
	h.port = h.download_port = port;
	rq.host = &h;
	assert_int_equal(ask(f, "/scheduler.v2.Scheduler/AnnounceHost", &rq.base,
			     &google__protobuf__empty__descriptor, NULL),
			 RPC_OK);
}

/* A host whose daemon is ours. */
static void announce(struct fixture *f, const char *id, const char *ip, bool seed)
{
	announce_at(f, id, ip, seed, rpc_server_port(f->daemon.server));
}

/* Where nobody listens: bound, and kept by a socket that does not listen. */
static int dead_port(struct fixture *f)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK + 1)}};
	socklen_t size = sizeof(a);

	f->dead = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(f->dead >= 0);
	assert_int_equal(bind(f->dead, (void *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(f->dead, (void *)&a, &size), 0);
	return ntohs(a.sin_port);
}

/* The state counts bytes. */
static void bandwidth_is_bits_on_the_wire(void **state)
{
	Scheduler__V2__ListHostsRequest list = SCHEDULER__V2__LIST_HOSTS_REQUEST__INIT;
	Scheduler__V2__AnnounceHostRequest rq = SCHEDULER__V2__ANNOUNCE_HOST_REQUEST__INIT;
	Common__V2__Network network = COMMON__V2__NETWORK__INIT;
	Scheduler__V2__ListHostsResponse *answer = NULL;
	Common__V2__Host h = COMMON__V2__HOST__INIT;
	struct fixture *f = *state;

	network.max_tx_bandwidth = 8000000000;
	h.id = h.hostname = (char *)"a";
	h.ip = (char *)"127.0.0.1";
	h.port = 1;
	h.network = &network;
	rq.host = &h;
	assert_int_equal(ask(f, "/scheduler.v2.Scheduler/AnnounceHost", &rq.base,
			     &google__protobuf__empty__descriptor, NULL),
			 RPC_OK);
	assert_int_equal(ask(f, "/scheduler.v2.Scheduler/ListHosts", &list.base,
			     &scheduler__v2__list_hosts_response__descriptor,
			     (ProtobufCMessage **)&answer),
			 RPC_OK);
	assert_int_equal(answer->n_hosts, 1);
	assert_int_equal(answer->hosts[0]->network->max_tx_bandwidth, 8000000000);
	protobuf_c_message_free_unpacked(&answer->base, NULL);
	lock_take(&f->service->lock);
	assert_int_equal(state_host(&f->service->state, "a")->tx_max, 1000000000);
	lock_drop(&f->service->lock);
}

static unsigned asked_count(struct fixture *f)
{
	lock_guard(&f->daemon.lock);
	return f->daemon.count;
}

static void wait_asked(struct fixture *f, unsigned count)
{
	int64_t until = clock_ms() + WAIT_MS;

	while (asked_count(f) < count && clock_ms() < until)
		poll(NULL, 0, 5);
	assert_int_equal(asked_count(f), count);
}

static Scheduler__V2__PreheatFileRequest file_request(const char *scope)
{
	Scheduler__V2__PreheatFileRequest rq = SCHEDULER__V2__PREHEAT_FILE_REQUEST__INIT;

	rq.url = (char *)"http://10.9.9.9/f?Signature=x";
	rq.scope = (char *)scope;
	return rq;
}

static int preheat(struct fixture *f, const Scheduler__V2__PreheatFileRequest *rq)
{
	return ask(f, "/scheduler.v2.Scheduler/PreheatFile", &rq->base,
		   &google__protobuf__empty__descriptor, NULL);
}

static void a_preheat_without_hosts_is_refused(void **state)
{
	static const char *const scopes[] = {"single_seed_peer", "all_seed_peers", "all_peers"};
	Scheduler__V2__PreheatFileRequest rq;

	for (size_t i = 0; i < array_len(scopes); i++) {
		rq = file_request(scopes[i]);
		assert_int_equal(preheat(*state, &rq), RPC_FAILED_PRECONDITION);
	}
	rq = file_request("everybody");
	assert_int_equal(preheat(*state, &rq), RPC_INVALID_ARGUMENT);
	rq = file_request("all_peers");
	rq.url = (char *)"f";
	assert_int_equal(preheat(*state, &rq), RPC_INVALID_ARGUMENT);
	rq = file_request("all_peers");
	rq.percentage__case = SCHEDULER__V2__PREHEAT_FILE_REQUEST__PERCENTAGE__PERCENTAGE;
	rq.percentage = 101;
	assert_int_equal(preheat(*state, &rq), RPC_INVALID_ARGUMENT);
}

static void one_seed_gets_all_that_was_asked_for(void **state)
{
	Scheduler__V2__PreheatFileRequest rq = file_request("single_seed_peer");
	Scheduler__V2__PreheatFileRequest__HeaderEntry h =
		SCHEDULER__V2__PREHEAT_FILE_REQUEST__HEADER_ENTRY__INIT;
	Scheduler__V2__PreheatFileRequest__HeaderEntry *headers[] = {&h};
	struct fixture *f = *state;
	const Common__V2__Download *d;

	announce(f, "s1", "127.0.0.1", true);
	announce(f, "s2", "127.0.0.2", true);
	announce(f, "n1", "127.0.0.3", false);
	h.key = (char *)"X-A";
	h.value = (char *)"b";
	rq.header = headers;
	rq.n_header = 1;
	rq.tag__case = SCHEDULER__V2__PREHEAT_FILE_REQUEST__TAG__TAG;
	rq.tag = (char *)"t";
	rq.priority = COMMON__V2__PRIORITY__LEVEL5;
	assert_int_equal(preheat(f, &rq), RPC_OK);
	wait_asked(f, 1);
	d = f->daemon.asked[0];
	assert_string_equal(d->url, rq.url);
	assert_string_equal(d->tag, "t");
	assert_int_equal(d->priority, 5);
	assert_true(d->enable_task_id_based_blob_digest);
	assert_true(d->n_filtered_query_params > 20); /* as every door has it by default */
	assert_string_equal(d->request_header[0]->key, "X-A");
}

static void scopes_addresses_counts_and_percentages_choose_hosts(void **state)
{
	char *ips[] = {(char *)"127.0.0.5", (char *)"127.0.0.1"};
	Scheduler__V2__PreheatFileRequest rq = file_request("all_seed_peers");
	struct fixture *f = *state;

	announce(f, "s1", "127.0.0.1", true);
	announce(f, "s2", "127.0.0.2", true);
	announce(f, "n1", "127.0.0.3", false);
	announce(f, "n2", "127.0.0.4", false);
	announce(f, "n3", "127.0.0.5", false);
	assert_int_equal(preheat(f, &rq), RPC_OK);
	wait_asked(f, 2);
	rq = file_request("all_peers");
	assert_int_equal(preheat(f, &rq), RPC_OK);
	wait_asked(f, 7);
	rq.percentage__case = SCHEDULER__V2__PREHEAT_FILE_REQUEST__PERCENTAGE__PERCENTAGE;
	rq.percentage = 50;
	assert_int_equal(preheat(f, &rq), RPC_OK);
	wait_asked(f, 10); /* of 5, rounded up */
	rq.count__case = SCHEDULER__V2__PREHEAT_FILE_REQUEST__COUNT__COUNT;
	rq.count = 1;
	assert_int_equal(preheat(f, &rq), RPC_OK);
	wait_asked(f, 11); /* a count beats the percentage */
	rq.ips = ips;
	rq.n_ips = 2;
	assert_int_equal(preheat(f, &rq), RPC_OK);
	wait_asked(f, 13); /* addresses beat both */
}

static void a_failed_download_does_not_keep_the_next_from_starting(void **state)
{
	Scheduler__V2__PreheatFileRequest rq = file_request("all_peers");
	struct fixture *f = *state;

	announce(f, "a", "127.0.0.1", false);
	announce(f, "b", "127.0.0.2", false);
	announce(f, "c", "127.0.0.3", false);
	lock_take(&f->daemon.lock);
	f->daemon.fails = true;
	lock_drop(&f->daemon.lock);
	rq.concurrent_peer_count__case =
		SCHEDULER__V2__PREHEAT_FILE_REQUEST__CONCURRENT_PEER_COUNT__CONCURRENT_PEER_COUNT;
	rq.concurrent_peer_count = 1;
	assert_int_equal(preheat(f, &rq), RPC_OK);
	wait_asked(f, 3);
}

static void set_fails(struct fixture *f, bool fails)
{
	lock_guard(&f->daemon.lock);
	f->daemon.fails = fails;
}

/* Of the task that file_request() asks for, when nobody downloads it any more. */
static size_t failures_of(struct fixture *f, struct preheat_failure *out, size_t max)
{
	const struct task_id_input in = {
		.url = "http://10.9.9.9/f?Signature=x",
		.filtered_params = task_id_default_filter,
		.filtered_param_count = task_id_default_filter_count,
		.blob_digest_id = true,
	};
	int64_t until = clock_ms() + WAIT_MS;
	size_t pending = 1, count = 0;
	char id[DIGEST_HEX_LEN + 1];

	assert_int_equal(task_id_make(&in, id, NULL), 0);
	while (pending && clock_ms() < until) {
		count = preheats_failures(f->service->preheats, id, out, max, &pending);
		poll(NULL, 0, 5);
	}
	assert_int_equal(pending, 0);
	return count;
}

static void how_a_preheat_failed_is_known_until_it_is_asked_for_again(void **state)
{
	Scheduler__V2__PreheatFileRequest rq = file_request("all_peers");
	struct preheat_failure failures[3];
	struct fixture *f = *state;
	char host[32];

	announce(f, "a", "127.0.0.1", false);
	announce(f, "b", "127.0.0.2", false);
	set_fails(f, true);
	assert_int_equal(preheat(f, &rq), RPC_OK);
	assert_int_equal(failures_of(f, failures, 3), 2);
	assert_int_equal(failures[1].code, RPC_INTERNAL);
	assert_string_equal(failures[1].why, "the origin says 404");
	assert_int_equal(failures_of(f, failures, 1), 1);
	snprintf(host, sizeof(host), ":%u", rpc_server_port(f->daemon.server));
	assert_non_null(strstr(failures[0].host, host));
	set_fails(f, false);
	assert_int_equal(preheat(f, &rq), RPC_OK);
	assert_int_equal(failures_of(f, failures, 3), 0);
}

static void only_so_many_failures_are_remembered(void **state)
{
	Scheduler__V2__PreheatFileRequest rq = file_request("all_peers");
	struct preheat_failure failures[3];
	struct fixture *f = *state;
	char url[64];

	announce(f, "a", "127.0.0.1", false);
	set_fails(f, true);
	assert_int_equal(preheat(f, &rq), RPC_OK);
	assert_int_equal(failures_of(f, failures, 3), 1);
	for (unsigned i = 0; i < PREHEAT_FAILURES_MAX; i++) {
		snprintf(url, sizeof(url), "http://10.9.9.9/other-%u", i);
		rq.url = url;
		while (preheat(f, &rq) == RPC_RESOURCE_EXHAUSTED)
			poll(NULL, 0, 5);
	}
	for (int64_t until = clock_ms() + WAIT_MS;
	     failures_of(f, failures, 3) && clock_ms() < until;)
		poll(NULL, 0, 5);
	assert_int_equal(failures_of(f, failures, 3), 0);
}

/* ---- streams */

struct stream {
	struct lock lock;
	struct rpc_stream *stream;
	int response; /* the last one's case, under lock */
	int code;     /* -1 while open */
};

static void on_message(struct rpc_stream *s, const ProtobufCMessage *m, void *arg)
{
	struct stream *t = arg;

	(void)s;
	lock_guard(&t->lock);
	t->response =
		(int)((const Scheduler__V2__AnnouncePeerResponse *)(const void *)m)->response_case;
}

static void on_closed(struct rpc_stream *s, enum rpc_code code, const char *text,
		      const void *details, size_t len, void *arg)
{
	struct stream *t = arg;

	(void)s, (void)text, (void)details, (void)len;
	lock_guard(&t->lock);
	t->code = (int)code;
}

static const struct rpc_stream_ops ops = {
	.response = &scheduler__v2__announce_peer_response__descriptor,
	.message = on_message,
	.closed = on_closed,
};

static void stream_open(struct fixture *f, struct stream *t)
{
	*t = (struct stream){.code = -1};
	lock_init(&t->lock, 1);
	t->stream = rpc_stream_new(f->channel, "/scheduler.v2.Scheduler/AnnouncePeer", &ops, t, 0);
}

static void stream_close(struct stream *t)
{
	rpc_stream_free(t->stream);
	lock_release(&t->lock);
}

static int wait_for(struct stream *t, const int *what, int not_this)
{
	int64_t until = clock_ms() + WAIT_MS;
	int value = not_this;

	while (value == not_this && clock_ms() < until) {
		lock_take(&t->lock);
		value = *what;
		lock_drop(&t->lock);
		poll(NULL, 0, 2);
	}
	return value;
}

static void say(struct stream *t, const char *host, const char *peer, const char *task,
		Scheduler__V2__AnnouncePeerRequest *rq)
{
	rq->host_id = (char *)host;
	rq->peer_id = (char *)peer;
	rq->task_id = (char *)task;
	assert_true(rpc_stream_send(t->stream, &rq->base));
}

static void say_register(struct stream *t, const char *host, const char *peer, const char *task,
			 Common__V2__Download *d)
{
	Scheduler__V2__AnnouncePeerRequest rq = SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__INIT;
	Scheduler__V2__RegisterPeerRequest r = SCHEDULER__V2__REGISTER_PEER_REQUEST__INIT;

	d->actual_content_length__case =
		COMMON__V2__DOWNLOAD__ACTUAL_CONTENT_LENGTH__ACTUAL_CONTENT_LENGTH;
	d->actual_content_length = 100;
	r.download = d;
	rq.request_case = SAYS(REGISTER_PEER);
	rq.register_peer_request = &r;
	say(t, host, peer, task, &rq);
}

static void say_source(struct stream *t, const char *host, const char *peer, const char *task,
		       bool finished)
{
	Scheduler__V2__AnnouncePeerRequest rq = SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__INIT;
	Scheduler__V2__DownloadPeerBackToSourceStartedRequest a =
		SCHEDULER__V2__DOWNLOAD_PEER_BACK_TO_SOURCE_STARTED_REQUEST__INIT;
	Scheduler__V2__DownloadPeerBackToSourceFinishedRequest b =
		SCHEDULER__V2__DOWNLOAD_PEER_BACK_TO_SOURCE_FINISHED_REQUEST__INIT;

	if (finished) {
		rq.request_case = SAYS(DOWNLOAD_PEER_BACK_TO_SOURCE_FINISHED);
		rq.download_peer_back_to_source_finished_request = &b;
	} else {
		rq.request_case = SAYS(DOWNLOAD_PEER_BACK_TO_SOURCE_STARTED);
		rq.download_peer_back_to_source_started_request = &a;
	}
	say(t, host, peer, task, &rq);
}

/* The id is what a daemon makes of the same download: filtered parameters do not count. */
static void stat_says_who_has_the_file(void **state)
{
	Scheduler__V2__StatFileRequest rq = SCHEDULER__V2__STAT_FILE_REQUEST__INIT;
	Common__V2__Download d = COMMON__V2__DOWNLOAD__INIT;
	Scheduler__V2__StatFileResponse *m = NULL;
	struct fixture *f = *state;
	char id[DIGEST_HEX_LEN + 1];
	struct stream t;

	sha256_hex("http://10.9.9.9/fSTANDARD", strlen("http://10.9.9.9/fSTANDARD"), id);
	announce(f, "n1", "127.0.0.3", false);
	stream_open(f, &t);
	d.url = (char *)"http://10.9.9.9/f";
	say_register(&t, "n1", "p1", id, &d);
	assert_int_equal(
		wait_for(&t, &t.response, 0),
		SCHEDULER__V2__ANNOUNCE_PEER_RESPONSE__RESPONSE_NEED_BACK_TO_SOURCE_RESPONSE);
	rq.url = (char *)"http://10.9.9.9/f?Signature=x";
	assert_int_equal(ask(f, "/scheduler.v2.Scheduler/StatFile", &rq.base,
			     &scheduler__v2__stat_file_response__descriptor, (void *)&m),
			 RPC_OK);
	assert_int_equal(m->n_peers, 1);
	assert_string_equal(m->peers[0]->hostname, "n1");
	assert_string_equal(m->peers[0]->ip, "127.0.0.3");
	assert_false(m->peers[0]->cached_files[0]->is_finished);
	protobuf_c_message_free_unpacked(&m->base, NULL);
	say_source(&t, "n1", "p1", id, false);
	say_source(&t, "n1", "p1", id, true);
	assert_int_equal(wait_for(&t, &t.code, -1), RPC_OK);
	assert_int_equal(ask(f, "/scheduler.v2.Scheduler/StatFile", &rq.base,
			     &scheduler__v2__stat_file_response__descriptor, (void *)&m),
			 RPC_OK);
	assert_true(m->peers[0]->cached_files[0]->is_finished);
	protobuf_c_message_free_unpacked(&m->base, NULL);
	stream_close(&t);
}

static bool seed_is_well(struct fixture *f, const char *id)
{
	lock_guard(&f->service->lock);
	return !state_host(&f->service->state, id)->unhealthy;
}

/* Asked for by a node that has nobody else; one of the two seeds is where nobody listens. */
static void a_seed_that_is_dead_is_off_the_ring_and_the_next_is_asked(void **state)
{
	Common__V2__Download d = COMMON__V2__DOWNLOAD__INIT;
	struct fixture *f = *state;
	struct stream t[16];
	char id[16];

	log_set_level(LOG_ERROR);
	announce(f, "node", "127.0.0.3", false);
	announce(f, "living", "127.0.0.1", true);
	announce_at(f, "dead", "127.0.0.2", true, dead_port(f));
	d.url = (char *)"http://10.9.9.9/f";
	for (unsigned i = 0; i < array_len(t); i++) {
		snprintf(id, sizeof(id), "p%u", i);
		stream_open(f, &t[i]);
		say_register(&t[i], "node", id, id, &d); /* of these ids each seed has some */
		wait_asked(f, i + 1);
	}
	assert_false(seed_is_well(f, "dead"));
	assert_true(seed_is_well(f, "living"));
	announce(f, "dead", "127.0.0.2", true);
	assert_true(seed_is_well(f, "dead"));
	for (unsigned i = 0; i < array_len(t); i++)
		stream_close(&t[i]);
}

static void what_is_on_the_block_list_is_refused(void **state)
{
	static const char text[] =
		"{\"block_list\":{\"task\":{\"download\":{\"urls\":[\"/secret\"]}}}}";
	const ProtobufCBinaryData config = {strlen(text), (uint8_t *)text};
	Common__V2__Download d = COMMON__V2__DOWNLOAD__INIT;
	struct fixture *f = *state;
	struct stream t;

	service_set_rules(f->service, rules_new(NULL, &config, NULL));
	announce(f, "n1", "127.0.0.3", false);
	stream_open(f, &t);
	d.url = (char *)"http://10.9.9.9/secret";
	say_register(&t, "n1", "p1", "task", &d);
	assert_int_equal(wait_for(&t, &t.code, -1), RPC_PERMISSION_DENIED);
	stream_close(&t);
}

static void an_applications_priority_is_its_peers(void **state)
{
	Manager__V2__ApplicationPriority priority = MANAGER__V2__APPLICATION_PRIORITY__INIT;
	Manager__V2__Application app = MANAGER__V2__APPLICATION__INIT;
	Manager__V2__Application *apps[] = {&app};
	Manager__V2__ListApplicationsResponse list = MANAGER__V2__LIST_APPLICATIONS_RESPONSE__INIT;
	Common__V2__Download d = COMMON__V2__DOWNLOAD__INIT;
	struct fixture *f = *state;
	struct stream t;

	priority.value = COMMON__V2__PRIORITY__LEVEL1; /* forbidden */
	app.name = (char *)"app";
	app.priority = &priority;
	list.applications = apps;
	list.n_applications = 1;
	service_set_rules(f->service, rules_new(&list, NULL, NULL));
	announce(f, "n1", "127.0.0.3", false);
	stream_open(f, &t);
	d.url = (char *)"http://10.9.9.9/f";
	d.application__case = COMMON__V2__DOWNLOAD__APPLICATION__APPLICATION;
	d.application = (char *)"app";
	say_register(&t, "n1", "p1", "task", &d);
	assert_int_equal(wait_for(&t, &t.code, -1), RPC_FAILED_PRECONDITION);
	stream_close(&t);
}

/* A manager of Dragonfly's (v2.5.1): only GetScheduler tells the cluster with its block list, and
 * ListApplications is NOT_FOUND when no application was made. */
static void note_scheduler(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	Manager__V2__Scheduler row = MANAGER__V2__SCHEDULER__INIT;

	(void)req, (void)arg;
	rpc_call_reply(call, &row.base);
}

static void tell_scheduler(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	static const char text[] =
		"{\"block_list\":{\"task\":{\"download\":{\"urls\":[\"/secret\"]}}}}";
	static const char limits[] = "{\"candidate_parent_limit\":7,\"filter_parent_limit\":9}";
	Manager__V2__SchedulerCluster cluster = MANAGER__V2__SCHEDULER_CLUSTER__INIT;
	Manager__V2__Scheduler row = MANAGER__V2__SCHEDULER__INIT;

	(void)req, (void)arg;
	cluster.config = (ProtobufCBinaryData){strlen(limits), (uint8_t *)limits};
	cluster.client_config = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
	row.scheduler_cluster = &cluster;
	rpc_call_reply(call, &row.base);
}

static void tell_no_applications(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	(void)req, (void)arg;
	rpc_call_finish(call, RPC_NOT_FOUND, "application not found");
}

static void hear(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	(void)call, (void)req, (void)arg;
}

static const struct rpc_method manager_methods[] = {
	{
		.path = "/manager.v2.Manager/UpdateScheduler",
		.request = &manager__v2__update_scheduler_request__descriptor,
		.message = note_scheduler,
	},
	{
		.path = "/manager.v2.Manager/GetScheduler",
		.request = &manager__v2__get_scheduler_request__descriptor,
		.message = tell_scheduler,
	},
	{
		.path = "/manager.v2.Manager/ListApplications",
		.request = &manager__v2__list_applications_request__descriptor,
		.message = tell_no_applications,
	},
	{
		.path = "/manager.v2.Manager/KeepAlive",
		.request = &manager__v2__keep_alive_request__descriptor,
		.client_streams = true,
		.message = hear,
	},
	{.path = NULL},
};

/* What a download of the URL ends with; -1: it has not ended when it has its first answer. */
static int code_of_download(struct fixture *f, const char *url, const char *peer)
{
	Common__V2__Download d = COMMON__V2__DOWNLOAD__INIT;
	int64_t until = clock_ms() + WAIT_MS;
	bool answered = false;
	struct stream t;
	int code = -1;

	stream_open(f, &t);
	d.url = (char *)url;
	say_register(&t, "n1", peer, peer, &d);
	while (code < 0 && !answered && clock_ms() < until) {
		lock_take(&t.lock);
		code = t.code;
		answered = t.response != 0;
		lock_drop(&t.lock);
		poll(NULL, 0, 2);
	}
	stream_close(&t);
	return code;
}

static void limits_and_block_list_of_dragonflys_manager_are_read(void **state)
{
	struct fixture *f = *state;
	struct rpc_server *manager = serve(manager_methods, NULL);
	char addr[32], peer[16];
	const struct scheduler_config c = {.manager_addr = addr,
					   .cluster_id = 1,
					   .port = 8002,
					   .keep_alive_ms = 1000,
					   .refresh_ms = 1000};
	int64_t until = clock_ms() + WAIT_MS;
	struct manager_link *link;
	int code;

	snprintf(addr, sizeof(addr), "127.0.0.1:%u", rpc_server_port(manager));
	link = manager_link_new(&c, "127.0.0.1", "s", f->service);
	announce(f, "n1", "127.0.0.3", false);
	for (int i = 0;; i++) {
		snprintf(peer, sizeof(peer), "p%d", i);
		code = code_of_download(f, "http://10.9.9.9/secret", peer);
		if (code == RPC_PERMISSION_DENIED || clock_ms() > until)
			break;
	}
	assert_int_equal(code, RPC_PERMISSION_DENIED);
	lock_take(&f->service->lock); /* they are read before the list */
	assert_int_equal(f->service->state.config.candidate_parent_limit, 7);
	assert_int_equal(f->service->state.config.filter_parent_limit, 9);
	lock_drop(&f->service->lock);
	manager_link_free(link);
	rpc_server_free(manager, 1000);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bandwidth_is_bits_on_the_wire),
		TEST(a_preheat_without_hosts_is_refused),
		TEST(one_seed_gets_all_that_was_asked_for),
		TEST(scopes_addresses_counts_and_percentages_choose_hosts),
		TEST(a_failed_download_does_not_keep_the_next_from_starting),
		TEST(how_a_preheat_failed_is_known_until_it_is_asked_for_again),
		TEST(only_so_many_failures_are_remembered),
		TEST(stat_says_who_has_the_file),
		TEST(a_seed_that_is_dead_is_off_the_ring_and_the_next_is_asked),
		TEST(what_is_on_the_block_list_is_refused),
		TEST(limits_and_block_list_of_dragonflys_manager_are_read),
		TEST(an_applications_priority_is_its_peers),
	};

	return cmocka_run_group_tests(tests, rpc_group_setup, rpc_group_teardown);
}
