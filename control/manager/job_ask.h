/*
 * The questions that jobs ask a scheduler, from a job's checked arguments, and its answers without
 * their messages: who has how much of what. Each blocks until answered or its deadline.
 */
#ifndef CONTROL_MANAGER_JOB_ASK_H
#define CONTROL_MANAGER_JOB_ASK_H

#include "base/json.h"
#include "proto/rpc.h"

/* One URL of a job. */
struct ask {
	const json_t *args;
	const char *url;
	bool is_image;
};

struct ask_host {
	char *id, *ip, *hostname;
	int port, download_port;
	bool is_seed;
	const void *message; /* Common__V2__Host */
};
struct ask_hosts {
	struct ask_host *items;
	size_t count;
	void *message; /* owns the texts */
};
void ask_hosts_release(struct ask_hosts *h);

/* What hosts have of the layers of an image, or of a file, which is one layer then. */
struct ask_share {
	const char *ip, *hostname;
	bool *finished; /* by layer */
};
struct ask_shares {
	const char **layers;
	size_t layer_count;
	struct ask_share *hosts;
	size_t host_count;
	void *message; /* owns the texts */
};
void ask_shares_release(struct ask_shares *s);

must_check int ask_preheat(struct rpc_channel *ch, const struct ask *a, struct err *e);
must_check int ask_stat(struct rpc_channel *ch, const struct ask *a, struct ask_shares *out,
			struct err *e);
must_check int ask_list_hosts(struct rpc_channel *ch, struct ask_hosts *out, struct err *e);
/* Whether the scheduler says that the task has failed; false also if it says nothing. */
bool ask_has_failed(struct rpc_channel *ch, const char *task_id);
/* The id that a pull will use. EINVAL. */
must_check int ask_task_id(const struct ask *a, char id_out[65], struct err *e);

#endif
