/* The forward proxy over real sockets: rules, who may come in, tunnels, interception by curl. */
#include "base/log.h"
#include "daemon/proxy.h"
#include "daemon/relay.h"

#include "../client.h"
#include "fake_origin.h"
#include "fake_tasks.h"

#include <netinet/tcp.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define CONTENT_LEN (200u * 1000)

static struct relay *relay;
static struct proxy *proxy;
static char dir[64];

static void open_proxy(struct proxy_config config)
{
	struct err e;

	config.ip = "127.0.0.1";
	if (proxy_new(&config, NULL, relay, &proxy, &e) < 0)
		fail_msg("%s", e.text);
}

static int set_up(void **state)
{
	const struct origin_config config = {0};
	struct err e;

	(void)state;
	fake_init(CONTENT_LEN);
	origin_open();
	snprintf(dir, sizeof(dir), "/tmp/skimmer-proxy-XXXXXX");
	assert_non_null(mkdtemp(dir));
	return relay_new(&config, &relay, &e);
}

static int tear_down(void **state)
{
	cleanup(free_at) char *command = mem_printf("rm -rf %s", dir);

	(void)state;
	proxy_free(proxy);
	proxy = NULL;
	relay_free(relay);
	origin_close();
	assert_int_equal(fake.extents, 0);
	assert_int_equal(fake.task.refs, 0);
	fake_release_all();
	return system(command);
}

/* "GET http://<the fake origin><path>" with more header lines; the answer is to be released. */
static struct answer ask(const char *method, const char *path, const char *more)
{
	cleanup(free_at) char *text =
		mem_printf("%s http://127.0.0.1:%u%s HTTP/1.1\r\nHost: x\r\n%s\r\n", method,
			   door_port(origin.door), path, more);
	struct client c = client_connect(proxy_port(proxy));
	struct answer a = client_ask(&c, text);

	client_close(&c);
	fake_sync();
	return a;
}

static int status_of(const char *method, const char *path, const char *more)
{
	cleanup(answer_release) struct answer a = ask(method, path, more);

	return a.head.status;
}

static const char *header(const struct answer *a, const char *name)
{
	const char *value = http_header_get(&a->head, name);

	return value ? value : "";
}

/* ---- rules */

static void first_rule_that_matches_sends_through_p2p(void **state)
{
	char regex_a[] = "nothing/like/this", regex_b[] = "\\.tar\\.(gz|zst)$", regex_c[] = ".*",
	     redirect[] = "elsewhere:1", *params[] = {(char[]){"sig"}};
	struct config_rule rules[] = {
		{.regex = regex_a, .redirect = redirect},
		{.regex = regex_b, .filtered_params = {params, 1}},
		{.regex = regex_c, .redirect = redirect},
	};
	cleanup(free_at) char *url =
		mem_printf("http://127.0.0.1:%u/a.tar.gz?sig=1", door_port(origin.door));
	cleanup(answer_release) struct answer a = {0};

	(void)state;
	open_proxy((struct proxy_config){.rules = rules, .rule_count = 3});
	a = ask("GET", "/a.tar.gz?sig=1", "X-Dragonfly-Tag: t\r\n");
	assert_int_equal(a.head.status, 200);
	assert_memory_equal(a.body, fake.content, CONTENT_LEN);
	assert_string_equal(header(&a, "X-Dragonfly-Task-ID"), FAKE_ID);
	assert_string_equal(fake.asked.url, url);
	assert_string_equal(fake.asked.filtered, "sig");
	assert_string_equal(fake.asked.digest, "");
	assert_string_equal(fake.asked.tag, "t");
}

static void rule_changes_scheme_and_authority(void **state)
{
	char regex_a[] = "/tls/", regex_b[] = "/moved/", redirect[] = "mirror.example:8443";
	struct config_rule rules[] = {{.regex = regex_a, .use_tls = true},
				      {.regex = regex_b, .use_tls = true, .redirect = redirect}};
	cleanup(free_at) char *want =
		mem_printf("https://127.0.0.1:%u/tls/x?a=b", door_port(origin.door));

	(void)state;
	open_proxy((struct proxy_config){.rules = rules, .rule_count = 2});
	assert_int_equal(status_of("GET", "/tls/x?a=b", ""), 200);
	assert_string_equal(fake.asked.url, want);
	assert_int_equal(status_of("GET", "/moved/x", ""), 200);
	assert_string_equal(fake.asked.url, "https://mirror.example:8443/moved/x");
}

static void rule_cannot_lead_to_a_forbidden_place(void **state)
{
	char regex[] = ".*", redirect[] = "169.254.169.254";
	struct config_rule rules[] = {{.regex = regex, .redirect = redirect}};

	(void)state;
	open_proxy((struct proxy_config){.rules = rules, .rule_count = 1});
	assert_int_equal(status_of("GET", "/x", ""), 403);
	assert_int_equal(fake.open_count, 0);
}

static void only_get_is_sent_through_p2p(void **state)
{
	char regex[] = ".*";
	struct config_rule rules[] = {{.regex = regex}};
	cleanup(answer_release) struct answer a = {0}, b = {0};

	(void)state;
	open_proxy((struct proxy_config){.rules = rules, .rule_count = 1});
	assert_int_equal(status_of("HEAD", "/x", ""), 200);
	a = ask("DELETE", "/x?q=1", "");
	assert_non_null(strstr(a.body, "DELETE /x?q=1\n"));
	b = ask("PUT", "/x", "Content-Length: 0\r\n");
	assert_int_equal(b.head.status, 201);
	assert_int_equal(fake.open_count, 0);
}

static void without_a_rule_it_is_relayed_unless_asked_for(void **state)
{
	cleanup(answer_release) struct answer a = {0}, b = {0};

	(void)state;
	open_proxy((struct proxy_config){0});
	a = ask("GET", "/x", "");
	assert_non_null(strstr(a.body, "GET /x\n"));
	assert_string_equal(header(&a, "X-Dragonfly-Task-ID"), "");
	assert_int_equal(fake.open_count, 0);
	b = ask("GET", "/x", "X-Dragonfly-Use-P2P: true\r\nRange: bytes=1-3\r\n");
	assert_int_equal(b.head.status, 206);
	assert_memory_equal(b.body, fake.content + 1, 3);
}

static void bad_rules_are_told(void **state)
{
	static const char *const bad[] = {"(", "[a", "a\\", "(?=x)", "\\p{L}", "[\\d]", "(a)\\1"};
	struct err e;

	(void)state;
	for (size_t i = 0; i < array_len(bad); i++) {
		cleanup(free_at) char *regex = mem_strdup(bad[i]);
		struct config_rule rule = {.regex = regex};
		struct proxy_config config = {.ip = "127.0.0.1", .rules = &rule, .rule_count = 1};
		struct proxy *p;

		if (proxy_new(&config, NULL, relay, &p, &e) != -EINVAL)
			fail_msg("not refused: %s", bad[i]);
		assert_non_null(strstr(e.text, "proxy rule 1"));
	}
}

/* ---- who may come in */

static void proxy_asks_for_its_user(void **state)
{
	static const struct {
		const char *header;
		int forward, mirror;
	} cases[] = {
		{"", 407, 401},
		{"Proxy-Authorization: Basic dTpw\r\n", 200, 200}, /* u:p */
		{"Authorization: Basic dTpw\r\n", 200, 200},
		{"Proxy-Authorization: Basic dTpx\r\n", 407, 407},
		{"Authorization: Basic dTpx\r\n", 407, 401},
		{"Authorization: Bearer dTpw\r\n", 407, 401},
		{"Proxy-Authorization: Basic dTp\r\n", 400, 400},
		{"Proxy-Authorization: Basic !!!!\r\n", 400, 400},
		{"Proxy-Authorization: Basic dXA=\r\n", 400, 400}, /* no colon */
	};
	struct client c;

	(void)state;
	open_proxy((struct proxy_config){.username = "u", .password = "p"});
	c = client_connect(proxy_port(proxy));
	for (size_t i = 0; i < array_len(cases); i++) {
		cleanup(free_at) char *text =
			mem_printf("GET /x HTTP/1.1\r\nHost: m\r\n"
				   "X-Dragonfly-Registry: http://127.0.0.1:%u\r\n%s\r\n",
				   door_port(origin.door), cases[i].header);
		cleanup(answer_release) struct answer a = client_ask(&c, text);

		assert_int_equal(a.head.status, cases[i].mirror);
		assert_int_equal(status_of("GET", "/x", cases[i].header), cases[i].forward);
		if (a.head.status == 401)
			assert_non_null(http_header_get(&a.head, "WWW-Authenticate"));
		if (a.head.status == 407)
			assert_non_null(http_header_get(&a.head, "Proxy-Authenticate"));
		if (a.head.status == 200) /* ours is not the origin's business */
			assert_null(strcasestr(a.body, "authorization"));
	}
	client_close(&c);
}

static void origins_own_authorization_passes_beside_the_proxys(void **state)
{
	cleanup(answer_release) struct answer a = {0};

	(void)state;
	open_proxy((struct proxy_config){.username = "u", .password = "p"});
	a = ask("GET", "/x",
		"Proxy-Authorization: Basic dTpw\r\nAuthorization: Bearer origins\r\n");
	assert_int_equal(a.head.status, 200);
	assert_non_null(strstr(a.body, "Authorization: Bearer origins\n"));
}

static void too_many_requests_are_answered_with_429(void **state)
{
	unsigned refused = 0;

	(void)state;
	open_proxy((struct proxy_config){.requests_per_s = 1});
	for (int i = 0; i < 50; i++) {
		cleanup(answer_release) struct answer a = ask("GET", "/x", "");

		refused += a.head.status == 429;
	}
	assert_in_range(refused, 10, 49);
}

static void nonsense_is_refused(void **state)
{
	static const struct {
		const char *text;
		int status;
	} cases[] = {
		{"GET ftp://host/ HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"GET http://user@host/ HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"GET http://169.254.169.254/latest HTTP/1.1\r\nHost: x\r\n\r\n", 403},
		{"GET http://[fd00:ec2::254]/ HTTP/1.1\r\nHost: x\r\n\r\n", 403},
		{"CONNECT host:0 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"CONNECT :443 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: x\r\n\r\n", 403},
		{"CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n", 502},
		{"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 204},
	};

	(void)state;
	open_proxy((struct proxy_config){0});
	for (size_t i = 0; i < array_len(cases); i++) {
		struct client c = client_connect(proxy_port(proxy));
		cleanup(answer_release) struct answer a = client_ask(&c, cases[i].text);

		if (a.head.status != cases[i].status)
			fail_msg("%d to %s", a.head.status, cases[i].text);
		client_close(&c);
	}
}

/* ---- tunnels */

/* CONNECT to a port of this machine, through the proxy; the answer's status. */
static int connect_through(struct client *c, uint16_t port)
{
	cleanup(free_at) char *text =
		mem_printf("CONNECT 127.0.0.1:%u HTTP/1.1\r\nHost: x\r\n\r\n", port);
	struct answer a = {0};
	struct err e;
	int n = 0, status;

	*c = client_connect(proxy_port(proxy));
	client_send(c, text);
	while (!(n = http_head_parse(HTTP_RESPONSE, c->in.data ? c->in.data : "", c->in.len,
				     &a.head, &e)))
		assert_true(client_fill(c));
	assert_true(n > 0);
	buf_consume(&c->in, (size_t)n);
	status = a.head.status;
	http_head_release(&a.head);
	return status;
}

static void tunnel_carries_requests(void **state)
{
	struct client c;

	(void)state;
	open_proxy((struct proxy_config){0});
	assert_int_equal(connect_through(&c, door_port(origin.door)), 200);
	for (int i = 0; i < 3; i++) {
		cleanup(answer_release) struct answer a =
			client_ask(&c, "GET /big HTTP/1.1\r\nHost: o\r\n\r\n");

		assert_int_equal(a.len, ORIGIN_BIG);
		assert_memory_equal(a.body, origin_part, sizeof(origin_part));
		assert_string_equal(header(&a, "Via"), "");
	}
	client_close(&c);
}

static void tunnel_to_ourselves_is_refused(void **state)
{
	struct client c;

	(void)state;
	open_proxy((struct proxy_config){0});
	assert_int_equal(connect_through(&c, proxy_port(proxy)), 508);
	client_close(&c);
}

/* A raw listener, so that both ends of a tunnel are in the test's hands. */
static int open_pair(struct client *near, struct client *far)
{
	uint16_t port;
	struct err e;
	int fd, status;

	assert_int_equal(net_listen("127.0.0.1", 0, 4, &fd, &port, &e), 0);
	status = connect_through(near, port);
	*far = (struct client){.fd = -1};
	while (far->fd < 0)
		far->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	close(fd);
	return status;
}

static void tunnel_passes_each_end_on_by_itself(void **state)
{
	struct client near, far;

	(void)state;
	open_proxy((struct proxy_config){0});
	assert_int_equal(open_pair(&near, &far), 200);
	client_send(&near, "question");
	shutdown(near.fd, SHUT_WR);
	while (client_fill(&far))
		;
	assert_string_equal(far.in.data, "question");
	client_send(&far, "answer");
	shutdown(far.fd, SHUT_WR);
	while (client_fill(&near))
		;
	assert_string_equal(near.in.data, "answer");
	client_close(&near);
	client_close(&far);
}

static void tunnel_holds_back_for_a_slow_side(void **state)
{
	struct client near, far;
	char data[4096];
	size_t sent = 0, got = 0;
	ssize_t n;

	(void)state;
	open_proxy((struct proxy_config){0});
	assert_int_equal(open_pair(&near, &far), 200);
	memset(data, 'x', sizeof(data));
	/* The far side reads nothing: what fits is bounded by sockets and one buffer. */
	while (sent < (64u << 20)) {
		n = send(near.fd, data, sizeof(data), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0) {
			struct timeval wait = {.tv_usec = 200000};
			fd_set set;

			FD_ZERO(&set);
			FD_SET(near.fd, &set);
			if (select(near.fd + 1, NULL, &set, NULL, &wait) == 0)
				break;
			continue;
		}
		sent += (size_t)n;
	}
	assert_true(sent < (64u << 20));
	shutdown(near.fd, SHUT_WR);
	while (client_fill(&far)) {
		got += far.in.len;
		buf_clear(&far.in);
	}
	assert_int_equal(got, sent);
	client_close(&near);
	client_close(&far);
}

static void broken_side_ends_the_tunnel(void **state)
{
	struct linger reset = {.l_onoff = 1};
	struct client near, far;

	(void)state;
	open_proxy((struct proxy_config){0});
	assert_int_equal(open_pair(&near, &far), 200);
	setsockopt(far.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	client_close(&far);
	assert_true(client_is_closed(&near));
	client_close(&near);
}

static void idle_tunnel_is_closed(void **state)
{
	struct client near, far;

	(void)state;
	open_proxy((struct proxy_config){.tunnel_idle_ms = 100});
	assert_int_equal(open_pair(&near, &far), 200);
	assert_true(client_is_closed(&near));
	assert_true(client_is_closed(&far));
	client_close(&near);
	client_close(&far);
}

static void open_tunnel_does_not_hold_up_a_stop(void **state)
{
	struct client near, far;

	(void)state;
	open_proxy((struct proxy_config){0});
	assert_int_equal(open_pair(&near, &far), 200);
	proxy_free(proxy);
	proxy = NULL;
	assert_true(client_is_closed(&near));
	assert_true(client_is_closed(&far));
	client_close(&near);
	client_close(&far);
}

/* <dir>/out. The caller frees. */
static char *read_output(size_t *len_out)
{
	cleanup(free_at) char *path = mem_printf("%s/out", dir);
	cleanup(fclose_at) FILE *f = fopen(path, "re");
	char *text = mem_alloc(CONTENT_LEN + 2);

	assert_non_null(f);
	*len_out = fread(text, 1, CONTENT_LEN + 1, f);
	return text;
}

/* ---- X-Dragonfly-Output-Path */

static void output_path_is_refused_where_none_is_configured(void **state)
{
	(void)state;
	open_proxy((struct proxy_config){0});
	assert_int_equal(status_of("GET", "/x",
				   "X-Dragonfly-Use-P2P: true\r\n"
				   "X-Dragonfly-Output-Path: /tmp/x\r\n"),
			 403);
	assert_int_equal(fake.open_count, 0);
}

static void output_path_gets_the_content(void **state)
{
	cleanup(free_at) char *more = mem_printf("X-Dragonfly-Use-P2P: true\r\n"
						 "X-Dragonfly-Output-Path: %s/out\r\n",
						 dir);
	cleanup(free_at) char *text = NULL;
	size_t len;

	(void)state;
	fake.complete = true;
	open_proxy((struct proxy_config){.output_dir = dir});
	assert_int_equal(status_of("GET", "/x", more), 200);
	proxy_free(proxy); /* ends what it began */
	proxy = NULL;
	text = read_output(&len);
	assert_int_equal(len, CONTENT_LEN);
	assert_memory_equal(text, fake.content, CONTENT_LEN);
}

/* ---- interception */

/* Runs curl through the proxy; its exit code. Output goes to <dir>/out. */
static int curl(const char *more, const char *url)
{
	cleanup(free_at) char *command =
		mem_printf("curl -sS --noproxy '' --max-time 20 -x http://127.0.0.1:%u %s '%s' "
			   ">%s/out 2>%s/err",
			   proxy_port(proxy), more, url, dir, dir);
	int r;

	fake_sync();
	r = system(command);
	assert_true(WIFEXITED(r));
	fake_sync();
	return WEXITSTATUS(r);
}

static int have_curl(void)
{
	return system("curl --version >/dev/null 2>&1") == 0;
}

static void open_intercepting(struct proxy_config config, char *hosts, char *regex)
{
	static struct config_strings list;
	static struct config_rule rule;
	static char *items[1];

	items[0] = hosts;
	list = (struct config_strings){items, 1};
	rule = (struct config_rule){.regex = regex};
	config.intercept = &list;
	config.rules = &rule;
	config.rule_count = 1;
	config.cache_dir = dir;
	open_proxy(config);
}

static void intercepted_host_is_served_by_p2p(void **state)
{
	char hosts[] = "^intercepted\\.example$", regex[] = "^https://intercepted.example/files/";
	cleanup(free_at) char *ca = mem_printf("--cacert %s/proxy-ca.crt", dir);
	cleanup(free_at) char *ranged = mem_printf("%s -r 100-70000", ca);
	cleanup(free_at) char *body = NULL, *part = NULL;
	size_t len;

	(void)state;
	if (!have_curl())
		skip();
	open_intercepting((struct proxy_config){0}, hosts, regex);
	assert_int_equal(curl(ca, "https://intercepted.example/files/x?y=z"), 0);
	body = read_output(&len);
	assert_int_equal(len, CONTENT_LEN);
	assert_memory_equal(body, fake.content, CONTENT_LEN);
	assert_string_equal(fake.asked.url, "https://intercepted.example/files/x?y=z");
	assert_int_equal(curl(ranged, "https://intercepted.example/files/x"), 0);
	part = read_output(&len);
	assert_int_equal(len, 69901);
	assert_memory_equal(part, fake.content + 100, len);
	/* Without our CA the client sees that somebody is in between. */
	assert_int_equal(curl("", "https://intercepted.example/files/x"), 60);
}

static void port_of_an_intercepted_host_is_kept(void **state)
{
	char hosts[] = "intercepted", regex[] = ".*";
	cleanup(free_at) char *ca = mem_printf("--cacert %s/proxy-ca.crt --http2", dir);

	(void)state;
	if (!have_curl())
		skip();
	open_intercepting((struct proxy_config){0}, hosts, regex);
	assert_int_equal(curl(ca, "https://intercepted.example:8443/f"), 0);
	assert_string_equal(fake.asked.url, "https://intercepted.example:8443/f");
}

static void address_can_be_intercepted(void **state)
{
	char hosts[] = "^127\\.0\\.0\\.1$", regex[] = ".*";
	cleanup(free_at) char *ca = mem_printf("--cacert %s/proxy-ca.crt", dir);

	(void)state;
	if (!have_curl())
		skip();
	open_intercepting((struct proxy_config){0}, hosts, regex);
	assert_int_equal(curl(ca, "https://127.0.0.1/f"), 0);
	assert_string_equal(fake.asked.url, "https://127.0.0.1/f");
}

static void other_hosts_are_tunnelled(void **state)
{
	char hosts[] = "^intercepted\\.example$", regex[] = ".*";
	cleanup(free_at) char *url = mem_printf("http://127.0.0.1:%u/big", door_port(origin.door));

	(void)state;
	if (!have_curl())
		skip();
	open_intercepting((struct proxy_config){0}, hosts, regex);
	assert_int_equal(curl("-p", url), 0);
	assert_int_equal(fake.open_count, 0);
	assert_int_equal(origin.requests, 1);
}

static void ca_is_made_once_and_kept_private(void **state)
{
	char hosts[] = "intercepted", regex[] = ".*";
	cleanup(free_at) char *ca = mem_printf("--cacert %s/proxy-ca.crt", dir);
	cleanup(free_at) char *pem = mem_printf("%s/proxy-ca.pem", dir);
	struct stat st, again;

	(void)state;
	open_intercepting((struct proxy_config){0}, hosts, regex);
	assert_int_equal(stat(pem, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	proxy_free(proxy);
	open_intercepting((struct proxy_config){0}, hosts, regex);
	assert_int_equal(stat(pem, &again), 0);
	assert_int_equal(again.st_ino, st.st_ino);
	if (have_curl())
		assert_int_equal(curl(ca, "https://intercepted.example/f"), 0);
}

static void configured_ca_is_used(void **state)
{
	char hosts[] = "intercepted", regex[] = ".*";
	cleanup(free_at) char *crt = mem_printf("%s/my.crt", dir);
	cleanup(free_at) char *key = mem_printf("%s/my.key", dir);
	cleanup(free_at) char *ca = mem_printf("--cacert %s", crt);
	cleanup(free_at) char *make =
		mem_printf("openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=mine -days 2 "
			   "-keyout %s -out %s >/dev/null 2>&1",
			   key, crt);

	(void)state;
	if (!have_curl() || system(make) != 0)
		skip();
	open_intercepting((struct proxy_config){.ca_cert = crt, .ca_key = key}, hosts, regex);
	assert_int_equal(curl(ca, "https://intercepted.example/f"), 0);
}

static void wrong_ca_is_told(void **state)
{
	char hosts[] = "intercepted", *items[] = {hosts};
	const struct config_strings list = {items, 1};
	struct proxy_config config = {.ip = "127.0.0.1",
				      .intercept = &list,
				      .ca_cert = "/dev/null",
				      .ca_key = "/dev/null"};
	struct proxy *p;
	struct err e;

	(void)state;
	assert_int_equal(proxy_new(&config, NULL, relay, &p, &e), -EINVAL);
	config.ca_cert = "/nowhere";
	assert_int_equal(proxy_new(&config, NULL, relay, &p, &e), -ENOENT);
	config.ca_cert = NULL;
	assert_int_equal(proxy_new(&config, NULL, relay, &p, &e), -EINVAL);
	items[0] = (char[]){"("};
	config.cache_dir = dir;
	assert_int_equal(proxy_new(&config, NULL, relay, &p, &e), -EINVAL);
}

static void client_that_does_not_speak_tls_is_dropped(void **state)
{
	char hosts[] = "127", regex[] = ".*";
	struct client c;

	(void)state;
	open_intercepting((struct proxy_config){0}, hosts, regex);
	assert_int_equal(connect_through(&c, 443), 200);
	client_send(&c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	while (client_fill(&c))
		;
	client_close(&c);
	/* Bytes that come before the 200 would be read by whom? */
	c = client_connect(proxy_port(proxy));
	client_send(&c, "CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: x\r\n\r\nearly");
	assert_true(client_is_closed(&c));
	client_close(&c);
}

#define proxy_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		proxy_test(first_rule_that_matches_sends_through_p2p),
		proxy_test(rule_changes_scheme_and_authority),
		proxy_test(rule_cannot_lead_to_a_forbidden_place),
		proxy_test(only_get_is_sent_through_p2p),
		proxy_test(without_a_rule_it_is_relayed_unless_asked_for),
		proxy_test(bad_rules_are_told),
		proxy_test(proxy_asks_for_its_user),
		proxy_test(origins_own_authorization_passes_beside_the_proxys),
		proxy_test(too_many_requests_are_answered_with_429),
		proxy_test(nonsense_is_refused),
		proxy_test(tunnel_carries_requests),
		proxy_test(tunnel_to_ourselves_is_refused),
		proxy_test(tunnel_passes_each_end_on_by_itself),
		proxy_test(tunnel_holds_back_for_a_slow_side),
		proxy_test(broken_side_ends_the_tunnel),
		proxy_test(idle_tunnel_is_closed),
		proxy_test(open_tunnel_does_not_hold_up_a_stop),
		proxy_test(output_path_is_refused_where_none_is_configured),
		proxy_test(output_path_gets_the_content),
		proxy_test(intercepted_host_is_served_by_p2p),
		proxy_test(port_of_an_intercepted_host_is_kept),
		proxy_test(address_can_be_intercepted),
		proxy_test(other_hosts_are_tunnelled),
		proxy_test(ca_is_made_once_and_kept_private),
		proxy_test(configured_ca_is_used),
		proxy_test(wrong_ca_is_told),
		proxy_test(client_that_does_not_speak_tls_is_dropped),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
