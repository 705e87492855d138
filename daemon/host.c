/*
 * This host as it announces itself (host.h). Rates are kept in a ring of seconds, so counting is
 * one short lock and no thread is needed; the system's figures are read by whoever asks first in a
 * second, outside the lock.
 */
#include "daemon/host.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/net.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define HOST_LOCK_RANK	   60
#define RATE_SECONDS	   4 /* what a rate is the mean of: whole seconds and the running one */
#define FIGURES_MAX_AGE_MS 1000

/* Bytes by second; slot i holds second number second[i]. */
struct meter {
	int64_t second[RATE_SECONDS];
	uint64_t bytes[RATE_SECONDS];
};

struct host {
	struct host_config config; /* texts owned */
	char id[256];
	int64_t born_ms;
	uint64_t link_rate; /* 0 = unknown */
	char link_name[FIGURES_LINK_NAME_SIZE];
	struct figures_platform platform;
	struct lock lock;
	/* all below: lock */
	struct meter tx, rx;
	uint32_t uploads;
	struct host_sending sending;
	void (*ended)(void *arg);
	void *ended_arg;
	uint64_t sent; /* bytes of pieces */
	struct figures system;
};

static void meter_add(struct meter *m, int64_t now_ms, uint64_t bytes)
{
	int64_t second = now_ms / 1000;
	size_t slot = (size_t)(second % RATE_SECONDS);

	if (m->second[slot] != second) {
		m->second[slot] = second;
		m->bytes[slot] = 0;
	}
	m->bytes[slot] += bytes;
}

static uint64_t meter_rate(const struct meter *m, int64_t now_ms, int64_t born_ms)
{
	int64_t oldest = now_ms / 1000 - RATE_SECONDS + 1, from_ms = oldest * 1000;
	uint64_t sum = 0;
	int64_t span;

	for (size_t i = 0; i < RATE_SECONDS; i++)
		if (m->second[i] >= oldest)
			sum += m->bytes[i];
	if (from_ms < born_ms)
		from_ms = born_ms;
	/* A daemon younger than a second has not got a rate of gigabytes by its first piece. */
	span = now_ms - from_ms < 1000 ? 1000 : now_ms - from_ms;
	return sum * 1000 / (uint64_t)span;
}

static char *own_hostname(void)
{
	char name[256] = "";

	if (gethostname(name, sizeof(name) - 1) < 0 || !name[0])
		strcpy(name, "localhost");
	return mem_strdup(name);
}

/* A piece of text that goes into an id: at most 100 characters of it count. */
#define ID_TEXT "%.100s"

struct host *host_new(const struct host_config *c)
{
	struct host *h = mem_new(struct host);
	char ip[64];

	h->config = *c;
	h->config.hostname = c->hostname ? mem_strdup(c->hostname) : own_hostname();
	if (c->ip)
		snprintf(ip, sizeof(ip), "%s", c->ip);
	else
		net_own_ip(ip, sizeof(ip), c->ipv6);
	h->config.ip = mem_strdup(ip);
	h->config.idc = mem_strdup(c->idc);
	h->config.location = mem_strdup(c->location);
	h->config.storage_dir = mem_strdup(c->storage_dir);
	snprintf(h->id, sizeof(h->id), "%s-" ID_TEXT "%s", ip, h->config.hostname,
		 c->is_seed ? "-seed" : "");
	h->link_rate = figures_link_rate(ip);
	figures_link_name(ip, h->link_name);
	figures_platform(&h->platform);
	h->born_ms = clock_ms();
	lock_init(&h->lock, HOST_LOCK_RANK);
	return h;
}

void host_free(struct host *h)
{
	if (!h)
		return;
	lock_release(&h->lock);
	free((char *)h->config.hostname);
	free((char *)h->config.ip);
	free((char *)h->config.idc);
	free((char *)h->config.location);
	free((char *)h->config.storage_dir);
	free(h);
}

const struct host_config *host_config(const struct host *h)
{
	return &h->config;
}

const char *host_id(const struct host *h)
{
	return h->id;
}

/* A random UUID (RFC 9562, version 4). */
static void uuid_make(char text[37])
{
	unsigned char b[16];

	/* 16 bytes never come short; only a signal before the pool is ready at boot interrupts. */
	while (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b))
		assert(errno == EINTR);
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	snprintf(text, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
		 b[13], b[14], b[15]);
}

char *host_new_peer_id(const struct host *h)
{
	char uuid[37];

	uuid_make(uuid);
	return mem_printf("%s-" ID_TEXT "-%s%s", h->config.ip, h->config.hostname, uuid,
			  h->config.is_seed ? "-seed" : "");
}

void host_count_tx(struct host *h, uint64_t bytes)
{
	int64_t now_ms = clock_ms();

	lock_guard(&h->lock);
	meter_add(&h->tx, now_ms, bytes);
	h->sent += bytes;
}

void host_count_rx(struct host *h, uint64_t bytes)
{
	int64_t now_ms = clock_ms();

	lock_guard(&h->lock);
	meter_add(&h->rx, now_ms, bytes);
}

/* The lock of a const host: rates are read through const, as the header promises. */
static struct lock *lock_of(const struct host *h)
{
	return &((struct host *)h)->lock;
}

uint64_t host_tx_rate(const struct host *h)
{
	lock_guard(lock_of(h));
	return meter_rate(&h->tx, clock_ms(), h->born_ms);
}

uint64_t host_rx_rate(const struct host *h)
{
	lock_guard(lock_of(h));
	return meter_rate(&h->rx, clock_ms(), h->born_ms);
}

void host_count_upload(struct host *h, int change)
{
	lock_guard(&h->lock);
	h->uploads = (uint32_t)((int64_t)h->uploads + change);
}

void host_sending_begun(struct host *h, uint32_t number)
{
	lock_guard(&h->lock);
	h->sending.running++;
	h->sending.last[h->sending.begun++ % HOST_BEGUN_MAX] = number;
}

void host_sending_ended(struct host *h)
{
	lock_guard(&h->lock);
	h->sending.running--;
	if (h->ended)
		h->ended(h->ended_arg);
}

void host_on_sending_ended(struct host *h, void (*ended)(void *arg), void *arg)
{
	lock_guard(&h->lock);
	h->ended = ended;
	h->ended_arg = arg;
}

const struct figures_platform *host_platform(const struct host *h)
{
	return &h->platform;
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
	if (a == 0 || b == 0)
		return a + b;
	return a < b ? a : b;
}

void host_sending(struct host *h, struct host_sending *out)
{
	lock_guard(&h->lock);
	*out = h->sending;
}

uint64_t host_link_sent(struct host *h)
{
	uint64_t sent = figures_link_sent(h->link_name);

	if (sent)
		return sent;
	lock_guard(&h->lock);
	return h->sent;
}

void host_figures(struct host *h, struct host_figures *out)
{
	struct figures before;

	lock_take(&h->lock);
	before = h->system;
	lock_drop(&h->lock);
	if (before.at_ms == 0 || clock_ms() - before.at_ms >= FIGURES_MAX_AGE_MS)
		figures_read(&before, h->config.storage_dir, &out->system);
	else
		out->system = before;
	out->tx_rate = host_tx_rate(h);
	out->rx_rate = host_rx_rate(h);
	out->tx_max = lesser(h->link_rate, h->config.upload_bandwidth);
	out->rx_max = h->link_rate;
	lock_guard(&h->lock);
	h->system = out->system;
	out->upload_connections = h->uploads;
}
