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

/* How the downloads of one layer stand that the scheduler was asked for. */
struct ask_download {
	const char *url;
	char task_id[65];
	size_t pending; /* hosts that download it or will be asked to */
	struct ask_failure {
		const char *host; /* "ip:port" */
		const char *why;
		bool is_final; /* asking again does not mend it */
	} * failures;
	size_t failure_count;
};
struct ask_downloads {
	struct ask_download *items;
	size_t count;
	void *message; /* owns the texts of failures */
};
void ask_downloads_release(struct ask_downloads *d);
/* Fills in the rest of items whose url and task_id are set. ENOSYS: Dragonfly's schedulers do not
 * know the question. */
must_check int ask_downloads(struct rpc_channel *ch, struct ask_downloads *d, struct err *e);
/* The id that a pull will use. EINVAL. */
must_check int ask_task_id(const struct ask *a, char id_out[65], struct err *e);

#endif
