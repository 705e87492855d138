/*
 * The registry mirror: requests in origin-form, as container runtimes send them to a mirror.
 *
 * Which registry is meant: X-Dragonfly-Registry, else ns= in the query (containerd), else the
 * configured one. Blobs by digest go through P2P, manifests by digest are answered from memory,
 * all else is passed on; what the registry answers (401 with its challenge, 404) reaches the client
 * as it is.
 */
#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/url.h"
#include "daemon/proxy_private.h"
#include "daemon/registry_base.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define MIRROR_DEFAULT "https://index.docker.io"

/* ---- which registry */

static int find_registry(const struct proxy *p, const struct http_head *head, const char *query,
			 char **out, struct err *e)
{
	cleanup(free_at) char *ns = query ? url_query_get(query, "ns") : NULL;
	const char *header = http_header_get(head, "X-Dragonfly-Registry");
	const char *fallback = p->config.mirror_addr ? p->config.mirror_addr : MIRROR_DEFAULT;
	const char *text = header && *header ? header : ns && *ns ? ns : fallback;

	if (registry_base(text, p->config.plain_http, out, e) < 0)
		return err_wrap(e, "%s",
				text == header ? "X-Dragonfly-Registry"
				: text == ns   ? "ns"
					       : "proxy.registryMirror.addr");
	return 0;
}

/* ---- what of it */

/* /v2/<repository>/blobs/sha256:<hex> and /v2/<repository>/manifests/<tag or digest>. */
static void classify(struct errand *x, const char *path)
{
	static const struct {
		const char *part;
		enum errand_kind kind;
	} kinds[] = {{"/blobs/", ERRAND_BLOB}, {"/manifests/", ERRAND_MANIFEST}};
	const char *slash = strrchr(path, '/'), *reference;

	if (strncmp(path, "/v2/", 4) != 0)
		return;
	reference = slash + 1;
	for (size_t i = 0; i < array_len(kinds); i++) {
		size_t n = strlen(kinds[i].part);
		bool by_digest =
			strncmp(reference, "sha256:", 7) == 0 && digest_is_hex64(reference + 7);

		if ((size_t)(reference - path) <= n + 4 ||
		    strncmp(reference - n, kinds[i].part, n) != 0 ||
		    (kinds[i].kind == ERRAND_BLOB && !by_digest))
			continue;
		x->kind = kinds[i].kind;
		x->repository = mem_strndup(path + 4, (size_t)(reference - path) - n - 4);
		if (by_digest)
			snprintf(x->hex, sizeof(x->hex), "%s", reference + 7);
	}
}

/* True: answered from memory. */
static bool answer_manifest(struct proxy *p, struct door_conn *c, const struct errand *x)
{
	cleanup(free_at) char *key = manifests_key(x);
	cleanup(buf_release) struct buf lines = {0}, body = {0}, headers = {0};

	if (!manifests_get(p->manifests, key, &lines, &body))
		return false;
	for (const char *at = lines.data; at && *at; at += strcspn(at, "\n") + 1)
		buf_printf(&headers, "%.*s\r\n", (int)strcspn(at, "\n"), at);
	log_debug("manifest from memory", "digest=sha256:%s registry=%s", x->hex, x->registry);
	door_respond(c, 200, headers.data ? headers.data : "", (int64_t)body.len);
	door_send(c, body.data, body.len);
	door_end(c);
	return true;
}

void mirror_request(struct proxy *p, struct door_conn *c, struct errand *x)
{
	const struct http_head *head = door_head(c);
	size_t path_len = strcspn(head->target, "?");
	cleanup(free_at) char *path = mem_strndup(head->target, path_len);
	const char *query = head->target[path_len] ? head->target + path_len + 1 : NULL;
	const char *const ns[] = {"ns"};
	cleanup(free_at) char *rest = query ? url_query_without(query, ns, 1) : NULL;
	bool reads = strcmp(x->method, "GET") == 0 || strcmp(x->method, "HEAD") == 0;
	struct err e;

	if (find_registry(p, head, query, &x->registry, &e) < 0) {
		door_reply(c, 400, ERROR_PROXY, e.text);
		errand_free(x);
		return;
	}
	x->url = mem_printf("%s%s%s%s", x->registry, path, rest ? "?" : "", rest ? rest : "");
	x->rule = "mirror";
	if (reads)
		classify(x, path);
	if (x->kind == ERRAND_MANIFEST && x->hex[0] && answer_manifest(p, c, x))
		errand_free(x);
	else if (!proxy_may_reach(p, c, x->url))
		errand_free(x);
	else if (x->kind == ERRAND_BLOB)
		task_answer_start(p, c, x);
	else
		proxy_route(p, c, x);
}
