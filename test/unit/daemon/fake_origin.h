/* An origin for tests of doors: a door of its own, whose answers are chosen by the path. */
#ifndef TEST_FAKE_ORIGIN_H
#define TEST_FAKE_ORIGIN_H

#include "base/digest.h"
#include "base/door.h"
#include "base/mem.h"

#include <stdatomic.h>
#include <string.h>

#define ORIGIN_BIG (3u << 20)
#define ORIGIN_HEX "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const char origin_manifest[] =
	"{\"schemaVersion\":2,\"config\":{\"digest\":\"sha256:" ORIGIN_HEX "\"},"
	"\"layers\":[{\"digest\":\"sha256:"
	"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\"},"
	"{\"digest\":\"sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc\","
	"\"urls\":[\"https://elsewhere/\"]},{\"digest\":\"md5:0\"}]}";

static struct origin_door {
	struct door *door;
	atomic_uint requests, manifests, gone;
	char manifest_hex[65];
} origin;

struct origin_visit {
	struct door_call call;
	struct door_conn *conn;
	struct buf body;
	unsigned sent;
	bool by_parts, breaks_off;
};

static char origin_part[64u << 10];

static void origin_gone(struct door_call *call, bool whole)
{
	struct origin_visit *v = container_of(call, struct origin_visit, call);

	(void)whole;
	atomic_fetch_add(&origin.gone, 1);
	buf_release(&v->body);
	free(v);
}

/* /big and /endless: part after part. /short: a head, then nothing. */
static void origin_drained(struct door_call *call)
{
	struct origin_visit *v = container_of(call, struct origin_visit, call);

	if (!v->by_parts)
		return;
	if (v->breaks_off) {
		door_abort(v->conn);
		return;
	}
	if (v->sent == ORIGIN_BIG) {
		door_end(v->conn);
		return;
	}
	v->sent += (unsigned)sizeof(origin_part);
	door_send(v->conn, origin_part, sizeof(origin_part));
}

/* PUT: answers with the body's length and digest. */
static void origin_body(struct door_call *call, const char *data, size_t len)
{
	struct origin_visit *v = container_of(call, struct origin_visit, call);
	cleanup(free_at) char *text = NULL;
	char hex[65];

	buf_append(&v->body, data, len);
	if (len) {
		door_want_body(v->conn);
		return;
	}
	sha256_hex(v->body.data ? v->body.data : "", v->body.len, hex);
	text = mem_printf("%zu %s", v->body.len, hex);
	door_reply(v->conn, 201, "Location: /v2/done\r\n", text);
}

static void origin_echo_head(struct door_conn *c)
{
	const struct http_head *head = door_head(c);
	cleanup(buf_release) struct buf out = {0};

	buf_printf(&out, "%s %s\n", head->method, head->target);
	for (unsigned i = 0; i < head->header_count; i++)
		buf_printf(&out, "%s: %s\n", head->headers[i].name, head->headers[i].value);
	door_reply(c, 200, "", out.data);
}

static void origin_long(struct door_conn *c, bool body, int64_t length)
{
	struct origin_visit *v = mem_new(struct origin_visit);

	*v = (struct origin_visit){.call = {origin_drained, origin_body, origin_gone},
				   .conn = c,
				   .by_parts = !body,
				   .breaks_off = length == 1000};
	door_take(c, &v->call);
	if (body)
		door_want_body(c);
	else
		door_respond(c, 200, "", length);
}

static void origin_manifest_reply(struct door_conn *c)
{
	atomic_fetch_add(&origin.manifests, 1);
	door_respond(c, 200,
		     "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n"
		     "Docker-Content-Digest: sha256:x\r\n",
		     sizeof(origin_manifest) - 1);
	door_send(c, origin_manifest, sizeof(origin_manifest) - 1);
	door_end(c);
}

static void origin_handle(struct door_conn *c, void *arg)
{
	const struct http_head *head = door_head(c);
	const char *t = head->target;

	(void)arg;
	atomic_fetch_add(&origin.requests, 1);
	if (strcmp(head->method, "PUT") == 0)
		origin_long(c, true, 0);
	else if (strstr(t, "/manifests/sha256:dddd"))
		door_reply(c, 200, "", "not what was asked for");
	else if (strstr(t, "/manifests/"))
		origin_manifest_reply(c);
	else if (strcmp(t, "/v2/") == 0 || strstr(t, "/private/"))
		door_reply(c, 401, "WWW-Authenticate: Bearer realm=\"http://a/token\"\r\n", "who?");
	else if (strstr(t, "/missing/"))
		door_reply(c, 404, "", "no such blob");
	else if (strcmp(t, "/big") == 0)
		origin_long(c, false, ORIGIN_BIG);
	else if (strcmp(t, "/endless") == 0)
		origin_long(c, false, -1);
	else if (strcmp(t, "/moved") == 0)
		door_reply(c, 307, "Location: http://elsewhere/\r\n", "");
	else if (strcmp(t, "/short") == 0)
		origin_long(c, false, 1000);
	else
		origin_echo_head(c);
}

static inline void origin_open(void)
{
	const struct door_config config = {
		.name = "origin", .ip = "127.0.0.1", .request = origin_handle};
	struct err e;

	for (size_t i = 0; i < sizeof(origin_part); i++)
		origin_part[i] = (char)(i * 31 >> 3);
	sha256_hex(origin_manifest, sizeof(origin_manifest) - 1, origin.manifest_hex);
	if (door_new(&config, &origin.door, &e) < 0)
		abort();
	atomic_store(&origin.requests, 0);
	atomic_store(&origin.manifests, 0);
	atomic_store(&origin.gone, 0);
}

static inline void origin_close(void)
{
	door_free(origin.door);
	origin.door = NULL;
}

#endif
