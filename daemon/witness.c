/* Asks one after the other (witness.h). */
#include "daemon/witness.h"

#include "base/clock.h"
#include "base/net.h"
#include "daemon/channels.h"
#include "skimmer_v1.pb-c.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PATH	   "/skimmer.v1.Feeding/TellDigest"
#define ALL_MS	   5000
#define TARGET_MAX 80

static int ask_one(const char *task_id, const char *target, int64_t timeout_ms,
		   Skimmer__V1__TellDigestResponse **out, struct err *e)
{
	Skimmer__V1__TellDigestRequest rq = SKIMMER__V1__TELL_DIGEST_REQUEST__INIT;
	struct rpc_channel *ch = channels_take(target);
	ProtobufCMessage *answer = NULL;
	int r;

	rq.task_id = (char *)task_id;
	r = rpc_unary(ch, PATH, &rq.base, &skimmer__v1__tell_digest_response__descriptor,
		      timeout_ms, &answer, NULL, e);
	channels_give(ch);
	*out = (Skimmer__V1__TellDigestResponse *)answer;
	return r;
}

int witness_ask(const char *task_id, const char *sha256_hex, const struct witness *list,
		unsigned count, const bool *cancelled, struct err *e)
{
	int64_t until_ms = clock_ms() + ALL_MS;
	char other[TARGET_MAX] = "";
	struct err last = {0};

	for (unsigned i = 0; i < count && !__atomic_load_n(cancelled, __ATOMIC_RELAXED); i++) {
		const struct witness *w = &list[i];
		Skimmer__V1__TellDigestResponse *m;
		char target[TARGET_MAX];
		bool same;

		net_join(w->ip, w->port, target, sizeof(target));
		if (ask_one(task_id, target, until_ms - clock_ms(), &m, &last) < 0)
			continue;
		same = strcmp(m->sha256, sha256_hex) == 0;
		protobuf_c_message_free_unpacked(&m->base, NULL);
		if (same)
			return 0;
		memcpy(other, target, sizeof(other));
	}
	if (other[0])
		return err_set(e, EBADMSG, "what came is sha256:%s, and %s has other bytes",
			       sha256_hex, other);
	return err_set(e, EHOSTUNREACH, "no member says that it is what it has%s%s",
		       last.code ? ": " : "", last.text);
}
