/* The messages of a conversation with a scheduler (schedule_message.h). */
#include "daemon/schedule_message.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "proto/message.h"

#include <assert.h>
#include <string.h>

#define HEADERS_MAX 64
/* The generated name of which member a oneof holds. */
#define CONTENT_FOR_ID                                                                             \
	COMMON__V2__DOWNLOAD__CONTENT_FOR_CALCULATING_TASK_ID__CONTENT_FOR_CALCULATING_TASK_ID
/* What Dragonfly's servers accept in a host. */
#define PORT_MIN 1024
#define PORT_MAX 65534

/* Ranges are not a seed's business: it fetches the whole. */
static size_t fill_headers(struct Common__V2__Download__RequestHeaderEntry *entries,
			   struct Common__V2__Download__RequestHeaderEntry **list,
			   const struct config_pairs *headers)
{
	size_t count = 0;

	for (size_t i = 0; headers && i < headers->count && count < HEADERS_MAX; i++) {
		if (strcasecmp(headers->items[i].name, "range") == 0)
			continue;
		entries[count] = (struct Common__V2__Download__RequestHeaderEntry)
			COMMON__V2__DOWNLOAD__REQUEST_HEADER_ENTRY__INIT;
		entries[count].key = headers->items[i].name;
		entries[count].value = headers->items[i].value;
		list[count] = &entries[count];
		count++;
	}
	return count;
}

/* What is known only by its digest has no URL, and the validators want one: the digest is a URI
 * too, and a seed of ours understands it. */
static char *url_of(const struct schedule_register *reg)
{
	const char *url = reg->url ? reg->url : reg->meta->url;

	return url ? mem_strdup(url) : mem_printf("sha256:%s", reg->meta->id);
}

static void fill_optionals(Common__V2__Download *d, const struct schedule_register *reg)
{
	const struct store_meta *meta = reg->meta;

	if (meta->digest)
		message_set(d, digest, COMMON__V2__DOWNLOAD__DIGEST__DIGEST, meta->digest);
	if (meta->tag)
		message_set(d, tag, COMMON__V2__DOWNLOAD__TAG__TAG, meta->tag);
	if (meta->application)
		message_set(d, application, COMMON__V2__DOWNLOAD__APPLICATION__APPLICATION,
			    meta->application);
	if (reg->content_for_id)
		message_set(d, content_for_calculating_task_id, CONTENT_FOR_ID,
			    (char *)reg->content_for_id);
	if (reg->piece_length >= PIECE_LENGTH_MIN && reg->piece_length <= PIECE_LENGTH_MAX)
		message_set(d, piece_length, COMMON__V2__DOWNLOAD__PIECE_LENGTH__PIECE_LENGTH,
			    reg->piece_length);
	if (reg->concurrent_piece_count > 0)
		message_set(d, concurrent_piece_count,
			    COMMON__V2__DOWNLOAD__CONCURRENT_PIECE_COUNT__CONCURRENT_PIECE_COUNT,
			    reg->concurrent_piece_count);
	/* A task that is new to the scheduler is made from these; an absent length is an empty
	 * task. */
	message_set(d, actual_piece_length,
		    COMMON__V2__DOWNLOAD__ACTUAL_PIECE_LENGTH__ACTUAL_PIECE_LENGTH,
		    meta->geometry.piece_length);
	message_set(d, actual_content_length,
		    COMMON__V2__DOWNLOAD__ACTUAL_CONTENT_LENGTH__ACTUAL_CONTENT_LENGTH,
		    meta->geometry.content_length);
	message_set(d, actual_piece_count,
		    COMMON__V2__DOWNLOAD__ACTUAL_PIECE_COUNT__ACTUAL_PIECE_COUNT,
		    meta->geometry.piece_count);
}

/* A deep copy, by the wire's form. */
static Scheduler__V2__AnnouncePeerRequest *copy_of(const Scheduler__V2__AnnouncePeerRequest *m)
{
	size_t len = protobuf_c_message_get_packed_size(&m->base);
	cleanup(free_at) uint8_t *bytes = mem_alloc(len);
	ProtobufCMessage *copy;

	protobuf_c_message_pack(&m->base, bytes);
	copy = message_unpack(&scheduler__v2__announce_peer_request__descriptor, bytes, len);
	assert(copy); /* we have just packed it */
	return (Scheduler__V2__AnnouncePeerRequest *)copy;
}

Scheduler__V2__AnnouncePeerRequest *schedule_message_register(const char *own_host_id,
							      const char *peer_id,
							      const struct schedule_register *reg)
{
	Scheduler__V2__AnnouncePeerRequest m = SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__INIT;
	Scheduler__V2__RegisterPeerRequest rq = SCHEDULER__V2__REGISTER_PEER_REQUEST__INIT;
	Common__V2__Download d = COMMON__V2__DOWNLOAD__INIT;
	cleanup(free_at) char *url = url_of(reg);
	struct Common__V2__Download__RequestHeaderEntry entries[HEADERS_MAX], *list[HEADERS_MAX];

	d.url = url;
	d.type = COMMON__V2__TASK_TYPE__STANDARD;
	d.priority = (Common__V2__Priority)reg->priority;
	d.filtered_query_params = (char **)reg->filtered_params;
	d.n_filtered_query_params = reg->filtered_param_count;
	d.request_header = list;
	d.n_request_header = fill_headers(entries, list, reg->headers);
	d.need_back_to_source = reg->need_back_to_source;
	d.disable_back_to_source = reg->disable_back_to_source;
	d.enable_task_id_based_blob_digest = reg->blob_digest_id;
	d.metadata_only = reg->metadata_only;
	fill_optionals(&d, reg);
	rq.download = &d;
	m.host_id = (char *)own_host_id;
	m.peer_id = (char *)peer_id;
	m.task_id = (char *)reg->meta->id;
	m.request_case = SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__REQUEST_REGISTER_PEER_REQUEST;
	m.register_peer_request = &rq;
	return copy_of(&m);
}

/* False if a part is missing or does not fit. */
static bool parse_parent(const Common__V2__Peer *peer, struct parent_info *out)
{
	const Common__V2__Host *host = peer->host;
	struct net_addr addr;

	if (!host || !peer->id[0] || strlen(peer->id) >= sizeof(out->peer_id) || !host->id[0] ||
	    strlen(host->id) >= sizeof(out->host_id) || strlen(host->ip) >= sizeof(out->ip) ||
	    host->port <= 0 || host->port > UINT16_MAX ||
	    !net_addr_parse(host->ip, (uint16_t)host->port, &addr))
		return false;
	strcpy(out->peer_id, peer->id);
	strcpy(out->host_id, host->id);
	strcpy(out->ip, host->ip);
	out->port = (uint16_t)host->port;
	out->is_seed = host->type != 0;
	return true;
}

size_t schedule_message_parents(const Scheduler__V2__NormalTaskResponse *answer,
				const char *own_host_id, struct parent_info *out, size_t max)
{
	size_t count = 0;

	for (size_t i = 0; i < answer->n_candidate_parents && count < max; i++) {
		if (!parse_parent(answer->candidate_parents[i], &out[count])) {
			log_warn("scheduler names a parent that cannot be asked", "peer=%.200s",
				 answer->candidate_parents[i]->id);
			continue;
		}
		if (strcmp(out[count].host_id, own_host_id) != 0)
			count++;
	}
	return count;
}

void schedule_message_tried_fill(struct schedule_message_tried *m, const char *task_id,
				 const char *url, const struct parent_info *tried, size_t count,
				 const char *why)
{
	size_t n = 0;

	m->request =
		(Scheduler__V2__ReschedulePeerRequest)SCHEDULER__V2__RESCHEDULE_PEER_REQUEST__INIT;
	m->task = (Common__V2__Task)COMMON__V2__TASK__INIT;
	message_duration(&m->cost, 0);
	message_timestamp(&m->at, clock_wall_ms());
	m->task.id = (char *)task_id;
	m->task.url = (char *)url;
	m->task.state = (char *)"Running";
	m->task.created_at = m->task.updated_at = &m->at;
	for (size_t i = 0; i < count && n < SCHEDULE_PARENTS_MAX; i++) {
		Common__V2__Peer *peer = &m->each[n].peer;
		Common__V2__Host *host = &m->each[n].host;

		/* One that would be refused must not spoil the others. */
		if (tried[i].port < PORT_MIN || tried[i].port > PORT_MAX)
			continue;
		*host = (Common__V2__Host)COMMON__V2__HOST__INIT;
		host->id = (char *)tried[i].host_id;
		host->hostname = host->name = (char *)tried[i].host_id;
		host->ip = (char *)tried[i].ip;
		host->port = host->download_port = tried[i].port;
		*peer = (Common__V2__Peer)COMMON__V2__PEER__INIT;
		peer->id = (char *)tried[i].peer_id;
		peer->state = (char *)"Running";
		peer->task = &m->task;
		peer->host = host;
		peer->cost = &m->cost;
		peer->created_at = peer->updated_at = &m->at;
		m->peers[n++] = peer;
	}
	m->request.candidate_parents = m->peers;
	m->request.n_candidate_parents = n;
	message_set(&m->request, description,
		    SCHEDULER__V2__RESCHEDULE_PEER_REQUEST__DESCRIPTION__DESCRIPTION, (char *)why);
}
