/* Rows as manager.v2 messages. */
#include "control/manager/message.h"

#include "base/mem.h"

#include <string.h>

static ProtobufCBinaryData bytes(const char *text)
{
	return (ProtobufCBinaryData){strlen(text), mem_dup(text, strlen(text))};
}

Manager__V2__SchedulerCluster *message_cluster(const struct cluster *c)
{
	Manager__V2__SchedulerCluster *m = mem_alloc(sizeof(*m));

	manager__v2__scheduler_cluster__init(m);
	m->id = c->id;
	m->name = mem_strdup(c->name);
	m->bio = mem_strdup(c->bio);
	m->config = bytes(c->config);
	m->client_config = bytes(c->client_config);
	m->seed_client_config = bytes(c->seed_client_config);
	m->scopes = bytes(c->scopes);
	return m;
}

Manager__V2__SeedPeer *message_seed_peer(const struct member *s)
{
	Manager__V2__SeedPeer *m = mem_alloc(sizeof(*m));

	manager__v2__seed_peer__init(m);
	m->id = s->id;
	m->hostname = mem_strdup(s->hostname);
	m->type = mem_strdup(s->type);
	m->idc__case = MANAGER__V2__SEED_PEER__IDC__IDC;
	m->idc = mem_strdup(s->idc);
	m->location__case = MANAGER__V2__SEED_PEER__LOCATION__LOCATION;
	m->location = mem_strdup(s->location);
	m->ip = mem_strdup(s->ip);
	m->port = s->port;
	m->download_port = s->download_port;
	m->state = mem_strdup(s->state);
	m->seed_peer_cluster_id = s->cluster_id;
	return m;
}

Manager__V2__Scheduler *message_scheduler(const struct member *s, const struct cluster *c,
					  const struct member *seeds, size_t seed_count)
{
	Manager__V2__Scheduler *m = mem_alloc(sizeof(*m));

	manager__v2__scheduler__init(m);
	m->id = s->id;
	m->hostname = mem_strdup(s->hostname);
	m->idc__case = MANAGER__V2__SCHEDULER__IDC__IDC;
	m->idc = mem_strdup(s->idc);
	m->location__case = MANAGER__V2__SCHEDULER__LOCATION__LOCATION;
	m->location = mem_strdup(s->location);
	m->ip = mem_strdup(s->ip);
	m->port = s->port;
	m->state = mem_strdup(s->state);
	m->scheduler_cluster_id = s->cluster_id;
	m->features = bytes(s->features);
	if (c)
		m->scheduler_cluster = message_cluster(c);
	m->n_seed_peers = seed_count;
	m->seed_peers = mem_array(seed_count, sizeof(*m->seed_peers));
	for (size_t i = 0; i < seed_count; i++)
		m->seed_peers[i] = message_seed_peer(&seeds[i]);
	return m;
}
