/* The service Inspect: no answer waits for anything, so the rpc thread gives them. */
#include "daemon/inspect.h"

#include "base/log.h"
#include "daemon/scheduler_client.h"

static void on_explain(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Skimmer__V1__ExplainRequest *rq = (const void *)req;
	Skimmer__V1__ExplainResponse m = SKIMMER__V1__EXPLAIN_RESPONSE__INIT;
	const struct inspect *in = arg;

	m.download_limit = in->download_limit;
	m.origin_limit = in->origin_limit;
	m.upload_limit = in->upload_limit;
	m.schedulers_alive = in->scheduler ? scheduler_client_alive(in->scheduler) : 0;
	m.host_id = (char *)in->host_id;
	history_find(in->history, rq, &m);
	rpc_call_reply(call, &m.base);
	history_release(&m);
}

static const char *level_name(enum log_level level)
{
	static const char *const names[] = {[LOG_ERROR] = "error",
					    [LOG_WARN] = "warn",
					    [LOG_INFO] = "info",
					    [LOG_DEBUG] = "debug"};

	return names[level];
}

static void on_level(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Skimmer__V1__SetLogLevelRequest *rq = (const void *)req;
	Skimmer__V1__SetLogLevelResponse m = SKIMMER__V1__SET_LOG_LEVEL_RESPONSE__INIT;
	enum log_level before = __atomic_load_n(&log_level_now, __ATOMIC_RELAXED), level = before;

	(void)arg;
	if (rq->level[0] && !log_level_parse(rq->level, &level)) {
		rpc_call_finish(call, RPC_INVALID_ARGUMENT, "level is error, warn, info or debug");
		return;
	}
	if (level != before) {
		log_set_level(level);
		log_warn("log level changed", "before=%s now=%s", level_name(before),
			 level_name(level));
	}
	m.before = (char *)level_name(before);
	m.level = (char *)level_name(level);
	rpc_call_reply(call, &m.base);
}

const struct rpc_method inspect_methods[] = {
	{.path = "/skimmer.v1.Inspect/Explain",
	 .request = &skimmer__v1__explain_request__descriptor,
	 .message = on_explain},
	{.path = "/skimmer.v1.Inspect/SetLogLevel",
	 .request = &skimmer__v1__set_log_level_request__descriptor,
	 .message = on_level},
	{.path = NULL},
};
