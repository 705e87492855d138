/* A door that speaks TLS, with a client of OpenSSL's: what comes in and goes out, who speaks plain
 * HTTP, who leaves in the middle, what is no certificate. */
#include "base/door_tls.h"

#include "../client.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define FILE_LEN (3u << 20)
#define DAY_S	 86400

static char dir[] = "/tmp/skimmer-door-tls-XXXXXX";
static char cert_file[64], key_file[64], other_key_file[64], data_file[64];
static struct door_tls *tls;
static struct door *door;
static int file_fd = -1;

struct visit {
	struct door_call call;
	struct door_conn *conn;
	size_t got;
};

static void visit_gone(struct door_call *call, bool whole)
{
	(void)whole;
	free(container_of(call, struct visit, call));
}

static void visit_body(struct door_call *call, const char *data, size_t len)
{
	struct visit *v = container_of(call, struct visit, call);
	char text[32];

	(void)data;
	v->got += len;
	if (len) {
		door_want_body(v->conn);
		return;
	}
	snprintf(text, sizeof(text), "%zu", v->got);
	door_reply(v->conn, 200, "", text);
}

static void visit_drained(struct door_call *call)
{
	(void)call;
}

static void handle(struct door_conn *c, void *arg)
{
	struct visit *v = mem_new(struct visit);

	(void)arg;
	*v = (struct visit){.call = {visit_drained, visit_body, visit_gone}, .conn = c};
	door_take(c, &v->call);
	if (door_has_body(c)) {
		door_want_body(c);
		return;
	}
	door_respond(c, 200, "", FILE_LEN);
	door_send_file(c, file_fd, 0, FILE_LEN);
	door_end(c);
}

static EVP_PKEY *write_key(const char *file)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	FILE *f = fopen(file, "we");

	assert_non_null(key);
	assert_non_null(f);
	assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(f);
	return key;
}

static void write_cert(const char *file, EVP_PKEY *key)
{
	X509 *cert = X509_new();
	FILE *f = fopen(file, "we");

	assert_non_null(f);
	X509_gmtime_adj(X509_getm_notBefore(cert), -DAY_S);
	X509_gmtime_adj(X509_getm_notAfter(cert), DAY_S);
	X509_set_pubkey(cert, key);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_X509(f, cert), 1);
	fclose(f);
	X509_free(cert);
}

static int start(void **state)
{
	struct door_config config = {.name = "test", .ip = "127.0.0.1", .request = handle};
	EVP_PKEY *key, *other;
	struct err e;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(cert_file, sizeof(cert_file), "%s/cert", dir);
	snprintf(key_file, sizeof(key_file), "%s/key", dir);
	snprintf(other_key_file, sizeof(other_key_file), "%s/other", dir);
	snprintf(data_file, sizeof(data_file), "%s/data", dir);
	key = write_key(key_file);
	other = write_key(other_key_file);
	write_cert(cert_file, key);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
	file_fd = open(data_file, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_true(file_fd >= 0);
	assert_int_equal(ftruncate(file_fd, FILE_LEN), 0);
	assert_int_equal(door_tls_new(cert_file, key_file, &tls, &e), 0);
	config.tls = tls;
	assert_int_equal(door_new(&config, &door, &e), 0);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	door_free(door);
	door_tls_free(tls);
	close_at(&file_fd);
	unlink(cert_file);
	unlink(key_file);
	unlink(other_key_file);
	unlink(data_file);
	rmdir(dir);
	return 0;
}

/* A blocking client, with a bound by the socket's own timeouts. */
static SSL *tls_connect(struct client *c, SSL_CTX *context)
{
	struct timeval bound = {.tv_sec = 60};
	SSL *ssl = SSL_new(context);

	*c = client_connect(door_port(door));
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof(bound));
	setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof(bound));
	assert_int_equal(fcntl(c->fd, F_SETFL, fcntl(c->fd, F_GETFL) & ~O_NONBLOCK), 0);
	SSL_set_fd(ssl, c->fd);
	assert_int_equal(SSL_connect(ssl), 1);
	return ssl;
}

/* Of a whole answer: its bytes after the head. */
static size_t tls_body_len(SSL *ssl, char *start_out, size_t size)
{
	struct buf in = BUF_INIT(FILE_LEN + 65536);
	size_t head = 0, body, want = 1;
	char data[65536];

	while (!head || in.len - head < want) {
		int n = SSL_read(ssl, data, sizeof(data));
		char *end;

		assert_true(n > 0);
		buf_append(&in, data, (size_t)n);
		end = head ? NULL : memmem(in.data, in.len, "\r\n\r\n", 4);
		if (!end)
			continue;
		head = (size_t)(end - in.data) + 4;
		want = strtoul(strstr(in.data, "Content-Length: ") + 16, NULL, 10);
	}
	body = in.len - head;
	snprintf(start_out, size, "%.*s", (int)(body < 30 ? body : 30), in.data + head);
	buf_release(&in);
	return body;
}

static void bodies_and_files_travel_through_tls(void **state)
{
	static const char get[] = "GET /file HTTP/1.1\r\nHost: x\r\n\r\n";
	static const char post[] = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n";
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	static char body[100000];
	struct client c;
	SSL *ssl = tls_connect(&c, context);
	char text[64];

	(void)state;
	for (int i = 0; i < 2; i++) { /* on one connection */
		assert_int_equal(SSL_write(ssl, get, sizeof(get) - 1), sizeof(get) - 1);
		assert_int_equal(tls_body_len(ssl, text, sizeof(text)), FILE_LEN);
	}
	assert_int_equal(SSL_write(ssl, post, sizeof(post) - 1), sizeof(post) - 1);
	assert_int_equal(SSL_write(ssl, body, sizeof(body)), sizeof(body));
	tls_body_len(ssl, text, sizeof(text));
	assert_string_equal(text, "100000\n");
	SSL_free(ssl);
	SSL_CTX_free(context);
	client_close(&c);
}

static void plain_http_is_told_to_use_https(void **state)
{
	struct client c = client_connect(door_port(door));
	struct answer a = client_ask(&c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");

	(void)state;
	assert_int_equal(a.head.status, 400);
	assert_non_null(strstr(a.body, "https://"));
	answer_release(&a);
	assert_true(client_is_closed(&c));
	client_close(&c);
}

static void what_is_no_handshake_ends_the_connection(void **state)
{
	struct client c = client_connect(door_port(door));
	char data[65536];
	struct err e;
	size_t n = 1;

	(void)state;
	client_send(&c, "\x16 this is no handshake and never will be one");
	/* At most an alert. */
	while (n && net_read_some(c.fd, data, sizeof(data), clock_ms() + CLIENT_MS, &n, &e) == 0)
		assert_true(n < 16);
	client_close(&c);
	c = client_connect(door_port(door)); /* one that says nothing */
	client_close(&c);
	c = client_connect(door_port(door));
	client_send(&c, "\x16");
	client_close(&c);
	plain_http_is_told_to_use_https(state); /* it goes on */
}

static void what_is_no_certificate_or_key_is_told(void **state)
{
	struct door_tls *t = NULL;
	struct err e;

	(void)state;
	assert_int_equal(door_tls_new("/no/such", key_file, &t, &e), -EINVAL);
	assert_non_null(strstr(e.text, "certificate /no/such"));
	assert_int_equal(door_tls_new(key_file, key_file, &t, &e), -EINVAL);
	assert_int_equal(door_tls_new(cert_file, cert_file, &t, &e), -EINVAL);
	assert_int_equal(door_tls_new(cert_file, other_key_file, &t, &e), -EINVAL);
	assert_non_null(strstr(e.text, other_key_file));
	assert_null(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_and_files_travel_through_tls),
		cmocka_unit_test(plain_http_is_told_to_use_https),
		cmocka_unit_test(what_is_no_handshake_ends_the_connection),
		cmocka_unit_test(what_is_no_certificate_or_key_is_told),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
