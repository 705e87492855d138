/* Links by TLS: who is admitted, what is told where it fails, and files that change. */
#include "rpc_fixture.h"

#include <errno.h>
#include <unistd.h>

#define RENEWED_MS 15000 /* the files are looked at every few seconds */

static char dir[64];

/* Two CAs, ca and other; by ca: member (127.0.0.1) and named (cluster.example); by other: stranger.
 */
static const char make_script[] =
	"cd %s && exec 2>/dev/null && "
	"n='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2' && "
	"for ca in ca other; do "
	"openssl req -x509 $n -keyout $ca.key -out $ca.pem -subj /CN=$ca || exit 1; done && "
	"sign() { openssl req $n -keyout $1.key -out $1.csr -subj /CN=$1 && "
	"echo subjectAltName=$3 >$1.ext && openssl x509 -req -in $1.csr -CA $2.pem -CAkey $2.key "
	"-CAcreateserial -days 2 -extfile $1.ext -out $1.pem; } && "
	"sign member ca IP:127.0.0.1 && sign named ca DNS:cluster.example && "
	"sign stranger other IP:127.0.0.1 && "
	"echo no certificate >bad.pem";

static int make_files(void **state)
{
	char command[2048];

	(void)state;
	rpc_init();
	snprintf(dir, sizeof(dir), "/tmp/rpc_tls_test.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(command, sizeof(command), make_script, dir);
	return system(command);
}

static int remove_files(void **state)
{
	char command[128];

	(void)state;
	rpc_shutdown();
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static char *in_dir(const char *name, const char *ending)
{
	return mem_printf("%s/%s.%s", dir, name, ending);
}

/* NULL: none. */
static struct rpc_tls tls_of(const char *ca, const char *cert, const char *server_name)
{
	return (struct rpc_tls){.ca = ca ? in_dir(ca, "pem") : NULL,
				.cert = cert ? in_dir(cert, "pem") : NULL,
				.key = cert ? in_dir(cert, "key") : NULL,
				.server_name = server_name ? mem_strdup(server_name) : NULL};
}

static void tls_release(struct rpc_tls *t)
{
	free(t->ca);
	free(t->cert);
	free(t->key);
	free(t->server_name);
}

/* A server that is secured by t, in f. */
static void open_secured(struct fixture *f, struct rpc_tls t)
{
	fixture_open(f, (struct rpc_server_config){.tls = &t});
	tls_release(&t);
}

static void close_secured(struct fixture *f)
{
	rpc_channel_free(f->channel);
	rpc_server_free(f->server, 0);
	probe_release(&f->served);
	probe_release(&f->seen);
}

/* 0, or what a client says that is secured by t. */
static int ask(const struct fixture *f, struct rpc_tls t, struct err *e)
{
	struct rpc_channel *ch = rpc_channel_new(f->target, &t);
	int r = rpc_check_health(ch, 5000, e);

	rpc_channel_free(ch);
	tls_release(&t);
	return r;
}

static void assert_refused(const struct fixture *f, struct rpc_tls t, const char *why)
{
	struct err e;

	assert_int_equal(ask(f, t, &e), -EHOSTUNREACH);
	if (!strstr(e.text, why))
		print_error("%s\n", e.text);
	assert_non_null(strstr(e.text, why));
}

static void only_those_of_the_ca_are_admitted(void **state)
{
	struct fixture f;
	struct err e;

	(void)state;
	open_secured(&f, tls_of("ca", "member", NULL));
	assert_int_equal(ask(&f, tls_of("ca", "member", NULL), &e), 0);
	assert_refused(&f, tls_of("ca", NULL, NULL), "may want a certificate of ours");
	assert_refused(&f, tls_of("ca", "stranger", NULL), "does not take our certificate");
	assert_refused(&f, tls_of("other", "stranger", NULL), "not of the CA that we were told");
	assert_refused(&f, tls_of(NULL, NULL, NULL), "may want TLS");
	close_secured(&f);
}

static void clients_need_no_certificate_where_none_is_asked_for(void **state)
{
	struct rpc_tls t = tls_of(NULL, "member", NULL);
	struct fixture f;
	struct err e;

	(void)state;
	open_secured(&f, t);
	assert_int_equal(ask(&f, tls_of("ca", NULL, NULL), &e), 0);
	assert_refused(&f, tls_of("other", NULL, NULL), "not of the CA that we were told");
	assert_refused(&f, tls_of(NULL, NULL, NULL), "may want TLS");
	close_secured(&f);
}

static void peers_of_tls_have_addresses(void **state)
{
	struct rpc_tls t = tls_of("ca", "member", NULL);
	struct rpc_channel *ch;
	struct fixture f;
	int code;

	(void)state;
	open_secured(&f, tls_of("ca", "member", NULL));
	ch = rpc_channel_new(f.target, &t);
	assert_int_equal(call_unary(ch, "/test.Test/Echo", 8, UNARY_MS, &code), 8);
	probe_wait(&f.served, &f.served.messages, 1);
	assert_int_equal(strncmp(rpc_call_peer(f.served.call), "127.0.0.1:", 10), 0);
	rpc_channel_free(ch);
	tls_release(&t);
	close_secured(&f);
}

static void a_plain_port_is_told(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f, (struct rpc_server_config){0});
	assert_refused(&f, tls_of("ca", "member", NULL), "does not speak TLS");
	close_secured(&f);
}

static void streams_are_told_too(void **state)
{
	struct fixture f;
	struct rpc_stream *s;

	(void)state;
	open_secured(&f, tls_of("ca", "member", NULL));
	s = rpc_stream_new(f.channel, "/test.Test/Chat", &test_stream_ops, &f.seen, 5000);
	probe_wait(&f.seen, &f.seen.closed, 1);
	assert_non_null(strstr(f.seen.text, "may want TLS"));
	rpc_stream_free(s);
	close_secured(&f);
}

static void the_address_or_the_name_is_compared(void **state)
{
	struct fixture f;
	struct err e;

	(void)state;
	open_secured(&f, tls_of("ca", "named", NULL));
	assert_int_equal(ask(&f, tls_of("ca", "member", "cluster.example"), &e), 0);
	assert_refused(&f, tls_of("ca", "member", "else.example"), "not made out for");
	assert_refused(&f, tls_of("ca", "member", NULL), "not made out for");
	close_secured(&f);
}

/* As a secret's files are replaced. */
static void put(const char *from, const char *to)
{
	cleanup(free_at) char *command =
		mem_printf("cd %s && cp %s new && mv new %s", dir, from, to);

	assert_int_equal(system(command), 0);
}

/* Asks until the answer is r. */
static void wait_answer(const struct fixture *f, const char *ca, const char *cert, int r)
{
	int64_t deadline_ms = clock_ms() + RENEWED_MS;
	struct err e;

	while (ask(f, tls_of(ca, cert, NULL), &e) != r) {
		assert_true(clock_ms() < deadline_ms);
		usleep(50000);
	}
}

static void renewed_files_are_used_without_a_restart(void **state)
{
	struct rpc_tls t = tls_of("trust", "link", NULL);
	struct rpc_channel *kept;
	struct fixture f;
	char target[64];
	int code;

	(void)state;
	put("ca.pem", "trust.pem");
	put("member.pem", "link.pem");
	put("member.key", "link.key");
	fixture_open(&f, (struct rpc_server_config){.tls = &t});
	snprintf(target, sizeof(target), "%s", f.target);
	kept = rpc_channel_new(target, &t);
	assert_int_equal(call_unary(kept, "/test.Test/Echo", 8, UNARY_MS, &code), 8);
	/* half of it: a pair that does not fit serves nobody, and harms nothing for long */
	put("stranger.pem", "link.pem");
	wait_answer(&f, "ca", "member", -EHOSTUNREACH);
	put("stranger.key", "link.key");
	put("other.pem", "trust.pem");
	wait_answer(&f, "other", "stranger", 0);
	assert_refused(&f, tls_of("ca", "member", NULL), "not of the CA");
	/* the channel that was there before connects anew, with what is there now */
	assert_int_equal(call_unary(kept, "/test.Test/Echo", 9, UNARY_MS, &code), 9);
	rpc_server_free(f.server, 0);
	f.server = serve(target, &f.served, (struct rpc_server_config){.tls = &t});
	for (int64_t deadline_ms = clock_ms() + RENEWED_MS;
	     call_unary(kept, "/test.Test/Echo", 10, UNARY_MS, &code) != 10;) {
		assert_true(clock_ms() < deadline_ms);
		usleep(50000);
	}
	rpc_channel_free(kept);
	tls_release(&t);
	close_secured(&f);
}

/* ---- what a configuration says */

static void assert_wrong(struct rpc_tls t, bool is_server, int code, const char *text)
{
	struct err e = {0};
	int r = is_server ? rpc_tls_check_server(&t, "some.link", &e)
			  : rpc_tls_check_client(&t, "some.link", &e);

	assert_int_equal(r, -code);
	if (!strstr(e.text, text))
		print_error("%s\n", e.text);
	assert_non_null(strstr(e.text, text));
	tls_release(&t);
}

static void good_links_are_taken(void **state)
{
	struct rpc_tls off = {0}, all = tls_of("ca", "member", "cluster.example"),
		       trust = tls_of("ca", NULL, NULL), shown = tls_of(NULL, "member", NULL);
	struct err e;

	(void)state;
	assert_int_equal(rpc_tls_check_client(NULL, "some.link", &e), 0);
	assert_int_equal(rpc_tls_check_client(&off, "some.link", &e), 0);
	assert_int_equal(rpc_tls_check_server(&off, "some.link", &e), 0);
	assert_int_equal(rpc_tls_check_client(&all, "some.link", &e), 0);
	assert_int_equal(rpc_tls_check_server(&all, "some.link", &e), 0);
	assert_int_equal(rpc_tls_check_client(&trust, "some.link", &e), 0);
	assert_int_equal(rpc_tls_check_server(&shown, "some.link", &e), 0);
	tls_release(&all);
	tls_release(&trust);
	tls_release(&shown);
}

static void wrong_links_are_told_by_their_key(void **state)
{
	struct rpc_tls t;

	(void)state;
	assert_wrong(tls_of(NULL, "member", NULL), false, EINVAL, "some.link.caCert is missing");
	assert_wrong(tls_of(NULL, NULL, "name"), false, EINVAL, "some.link.caCert is missing");
	assert_wrong(tls_of("ca", NULL, NULL), true, EINVAL, "some.link: TLS needs both");
	assert_wrong(tls_of("none", NULL, NULL), false, ENOENT, "some.link.caCert: open ");
	assert_wrong(tls_of("ca", "none", NULL), true, ENOENT, "some.link.cert: open ");
	assert_wrong(tls_of("bad", NULL, NULL), false, EINVAL, "some.link.caCert: ");
	t = tls_of("ca", "member", NULL);
	free(t.key);
	t.key = NULL;
	assert_wrong(t, false, EINVAL, "a certificate needs its key");
	t = tls_of("ca", "member", NULL);
	free(t.key);
	t.key = in_dir("stranger", "key");
	assert_wrong(t, true, EINVAL, "some.link.key: ");
	t = tls_of("ca", "member", NULL);
	free(t.key);
	t.key = in_dir("bad", "pem");
	assert_wrong(t, true, EINVAL, "bad.pem");
}

static void a_server_does_not_start_with_bad_files(void **state)
{
	const char *const listen[] = {"127.0.0.1:0", NULL};
	struct rpc_tls t = tls_of("ca", "bad", NULL);
	const struct rpc_server_config c = {.listen = listen, .services = test_services, .tls = &t};
	struct rpc_server *server;
	struct err e;

	(void)state;
	assert_int_equal(rpc_server_new(&c, &server, &e), -ENOENT);
	assert_non_null(strstr(e.text, "bad.key"));
	tls_release(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_those_of_the_ca_are_admitted),
		cmocka_unit_test(clients_need_no_certificate_where_none_is_asked_for),
		cmocka_unit_test(peers_of_tls_have_addresses),
		cmocka_unit_test(a_plain_port_is_told),
		cmocka_unit_test(streams_are_told_too),
		cmocka_unit_test(the_address_or_the_name_is_compared),
		cmocka_unit_test(renewed_files_are_used_without_a_restart),
		cmocka_unit_test(good_links_are_taken),
		cmocka_unit_test(wrong_links_are_told_by_their_key),
		cmocka_unit_test(a_server_does_not_start_with_bad_files),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
