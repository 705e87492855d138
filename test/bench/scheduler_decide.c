/*
 * What the scheduler's core costs on one core, without gRPC: decisions per second among 100,000
 * peers, the same with the answer's message being made and packed (all that the service's one lock
 *is held for), and memory per idle peer and per host, as the allocator counts it.
 *
 *	decide [PEERS [TASKS]]
 */
#include "base/mem.h"
#include "control/scheduler/message.h"
#include "test/state_config.h"

#include <malloc.h>
#include <stdio.h>
#include <time.h>

#define HOSTS_SHARE 10 /* peers per host */
#define DECISIONS   200000

struct bench {
	struct state state;
	struct peer **peers;
	uint32_t peer_count, host_count, task_count;
	uint64_t answers, parents;
	bool makes_messages;
};

static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void on_answer(struct peer *p, enum answer a, struct peer *const *parents, unsigned count,
		      const char *why, void *arg)
{
	struct bench *b = arg;

	(void)p;
	b->answers++;
	b->parents += count;
	if (b->makes_messages) {
		Scheduler__V2__AnnouncePeerResponse *m = message_answer(a, parents, count, why);
		size_t len = protobuf_c_message_get_packed_size(&m->base);
		uint8_t *packed = mem_alloc(len);

		protobuf_c_message_pack(&m->base, packed);
		free(packed);
		protobuf_c_message_free_unpacked(&m->base, NULL);
	}
}

static bool on_ask_seed(struct task *t, const struct peer *p, void *arg)
{
	(void)t, (void)p, (void)arg;
	return false;
}

static void on_removed(struct peer *p, void *arg)
{
	(void)p, (void)arg;
}

static struct host *add_host(struct bench *b, uint32_t i)
{
	struct host *h;
	char text[80], location[80];

	snprintf(text, sizeof(text), "10.%u.%u.%u-worker-%05u.cluster.example", i >> 16,
		 i >> 8 & 255, i & 255, i);
	h = state_host_announce(&b->state, text, 0);
	host_set_text(&h->hostname, text);
	host_set_text(&h->ip, "10.255.255.255");
	host_set_text(&h->os, "linux");
	snprintf(text, sizeof(text), "idc-%u", i % 4);
	snprintf(location, sizeof(location), "region-1|zone-%u|rack-%u", i % 4, i % 40);
	host_move(h, text, location);
	h->tx_max = 1250000000;
	h->interval_ms = 60000;
	h->takes_more = true;
	return h;
}

static struct peer *add_peer(struct bench *b, uint32_t i)
{
	struct peer *p;
	struct host *h;
	char id[160];

	snprintf(id, sizeof(id), "10.%u.%u.%u-worker-%05u.cluster.example", i % b->host_count >> 16,
		 i % b->host_count >> 8 & 255, i % b->host_count & 255, i % b->host_count);
	h = state_host(&b->state, id);
	snprintf(id, sizeof(id), "%064u", (i + i / b->host_count) % b->task_count);
	struct task *t = state_task(&b->state, id);
	if (!t)
		t = state_task_make(&b->state, id, UINT64_C(1) << 30, 4 << 20, 0);
	snprintf(id, sizeof(id), "%s-6b1f8f3e-3f0c-4e0f-9a53-%012u", h->id, i);
	p = state_peer_make(&b->state, id, h, t, 0);
	p->may_back_to_source = true;
	p->concurrent_pieces = 8;
	p->stream = p;
	state_peer_event(&b->state, p, PEER_EVENT_REGISTER, 0);
	state_schedule(&b->state, p, 0);
	return p;
}

/* The first of each task reads the origin; then nine of ten are done, one downloads. */
static void settle(struct bench *b)
{
	for (uint32_t i = 0; i < b->peer_count; i++) {
		struct peer *p = b->peers[i];

		if (p->told_source)
			state_peer_event(&b->state, p, PEER_EVENT_BACK_TO_SOURCE, 0);
		else
			state_peer_event(&b->state, p, PEER_EVENT_STARTED, 0);
		state_peer_piece(&b->state, p, i % 256, 30, 0);
		if (i % 10)
			state_peer_event(&b->state, p, PEER_EVENT_FINISHED, 0);
	}
}

/* A peer that downloads asks for other parents, as it does when its own run dry. */
static double decisions_per_s(struct bench *b)
{
	uint64_t before = b->answers;
	uint32_t at = 0;
	double began = cpu_s();

	for (uint32_t i = 0; i < DECISIONS; i++) {
		struct peer *p;

		at = (at + 7919) % b->peer_count;
		p = b->peers[at - at % 10];
		state_schedule(&b->state, p, (int64_t)i / 50);
	}
	return (double)(b->answers - before) / (cpu_s() - began);
}

/* Everybody is done: what an idle scheduler holds. */
static void finish_all(struct bench *b)
{
	for (uint32_t i = 0; i < b->peer_count; i++) {
		state_peer_event(&b->state, b->peers[i], PEER_EVENT_FINISHED, 0);
		b->peers[i]->stream = NULL;
	}
}

int main(int argc, char **argv)
{
	const struct state_config config = state_config_usual();
	struct bench b = {.peer_count = argc > 1 ? (uint32_t)atoi(argv[1]) : 100000,
			  .task_count = argc > 2 ? (uint32_t)atoi(argv[2]) : 100};
	const struct state_ops ops = {on_answer, on_ask_seed, on_removed, &b};
	size_t empty, hosts, peers;
	double per_s, locked_per_s;

	if (b.peer_count < HOSTS_SHARE || b.task_count < 1)
		return 2;
	b.host_count = b.peer_count / HOSTS_SHARE;
	b.peers = mem_array(b.peer_count, sizeof(*b.peers));
	state_init(&b.state, &config, &ops);
	empty = mallinfo2().uordblks;
	for (uint32_t i = 0; i < b.host_count; i++)
		add_host(&b, i);
	hosts = mallinfo2().uordblks;
	for (uint32_t i = 0; i < b.peer_count; i++)
		b.peers[i] = add_peer(&b, i);
	settle(&b);
	per_s = decisions_per_s(&b);
	b.makes_messages = true;
	locked_per_s = decisions_per_s(&b);
	finish_all(&b);
	peers = mallinfo2().uordblks;
	printf("decide peers=%u hosts=%u tasks=%zu decisions_per_s=%.0f with_messages_per_s=%.0f "
	       "bytes_per_peer=%zu bytes_per_host=%zu\n",
	       b.peer_count, b.host_count, map_count(b.state.tasks), per_s, locked_per_s,
	       (peers - hosts) / b.peer_count, (hosts - empty) / b.host_count);
	state_release(&b.state);
	free(b.peers);
	return 0;
}
