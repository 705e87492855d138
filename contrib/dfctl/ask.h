/* Questions to servers, each with a deadline. */
#ifndef CONTRIB_DFCTL_ASK_H
#define CONTRIB_DFCTL_ASK_H

#include "base/buf.h"
#include "base/err.h"
#include "proto/rpc_tls.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct ask {
	const char *url;
	const char *connect_to;	     /* "host:port" in place of the URL's; NULL = that */
	const char *ca, *cert, *key; /* PEM files; NULL = the system's roots, no certificate */
	const char *method;	     /* NULL = GET */
	const char *token;	     /* a bearer's; NULL = none */
	const char *body;	     /* JSON; NULL = none */
	bool any_certificate;
	bool connect_only; /* connect (and greet by TLS), ask nothing */
	int64_t timeout_ms;
};

struct told {
	int status;
	int64_t date_ms; /* the server's Date, wall; 0 = it says none */
	bool untrusted;	 /* the failure was its certificate, or our roots */
	bool not_tls;	 /* the failure was that TLS was spoken to it */
	struct buf body; /* at most 8 MiB */
};

/* Any HTTP status is a success, all else is EPROTO. No proxy is used. Release *out whatever the
 * result. */
must_check int ask_http(const struct ask *a, struct told *out, struct err *e);
void told_release(struct told *t);

/* Unary call on the daemon's socket, a path; free *out with protobuf_c_message_free_unpacked(). */
must_check int ask_rpc(const char *socket, const char *path, const ProtobufCMessage *rq,
		       const ProtobufCMessageDescriptor *type, int64_t timeout_ms,
		       ProtobufCMessage **out, struct err *e);
/* The health service of "host:port" or "unix:/path". */
must_check int ask_health(const char *target, const struct rpc_tls *tls, int64_t timeout_ms,
			  struct err *e);
/* Who listens on a unix socket. */
must_check int ask_pid(const char *socket, pid_t *out, struct err *e);

#endif
