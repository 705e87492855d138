/* The ring of schedulers (ring.h). SipHash: Aumasson and Bernstein, 2012. */
#include "daemon/ring.h"

#include <string.h>

static uint64_t rotate(uint64_t x, unsigned by)
{
	return x << by | x >> (64 - by);
}

static void sip_rounds(uint64_t v[4], unsigned count)
{
	while (count-- > 0) {
		v[0] += v[1];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[0] = rotate(v[0], 32);
		v[2] += v[3];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[2] = rotate(v[2], 32);
	}
}

static uint64_t little_endian(const unsigned char *data, size_t len)
{
	uint64_t m = 0;

	for (size_t i = 0; i < len; i++)
		m |= (uint64_t)data[i] << (8 * i);
	return m;
}

static void sip_word(uint64_t v[4], uint64_t m)
{
	v[3] ^= m;
	sip_rounds(v, 2);
	v[0] ^= m;
}

uint64_t ring_hash(const void *data, size_t len)
{
	uint64_t v[4] = {0x736f6d6570736575, 0x646f72616e646f6d, 0x6c7967656e657261,
			 0x7465646279746573};
	const unsigned char *at = data;
	size_t left = len;

	for (; left >= 8; at += 8, left -= 8)
		sip_word(v, little_endian(at, 8));
	sip_word(v, little_endian(at, left) | (uint64_t)len << 56);
	v[2] ^= 0xff;
	sip_rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* What Rust feeds for enum SocketAddr: the variant as 8 bytes, the address as one integer in memory
 * order, the port in the machine's order; for IPv6 the flow and the scope too. */
static uint64_t hash_addr(const struct net_addr *addr)
{
	unsigned char bytes[64];
	uint64_t variant = addr->sa.ss_family == AF_INET6;
	uint16_t port;
	size_t len = 0;

	memcpy(bytes, &variant, 8);
	len += 8;
	if (!variant) {
		const struct sockaddr_in *a = (const struct sockaddr_in *)&addr->sa;

		memcpy(bytes + len, &a->sin_addr, 4);
		port = ntohs(a->sin_port);
		memcpy(bytes + len + 4, &port, 2);
		return ring_hash(bytes, len + 6);
	}
	const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)&addr->sa;
	uint32_t flow = 0;

	memcpy(bytes + len, &a->sin6_addr, 16);
	port = ntohs(a->sin6_port);
	memcpy(bytes + len + 16, &port, 2);
	memcpy(bytes + len + 18, &flow, 4);
	memcpy(bytes + len + 22, &a->sin6_scope_id, 4);
	return ring_hash(bytes, len + 26);
}

void ring_add(struct ring *r, const struct net_addr *addr, const char *text, void *value)
{
	bool is_ip = addr && (addr->sa.ss_family == AF_INET || addr->sa.ss_family == AF_INET6);
	uint64_t hash = is_ip ? hash_addr(addr) : ring_hash(text, strlen(text));
	unsigned i = r->count;

	if (r->count == RING_MAX)
		return;
	for (; i > 0 && r->points[i - 1].hash > hash; i--)
		r->points[i] = r->points[i - 1];
	r->points[i].hash = hash;
	r->points[i].value = value;
	r->count++;
}

void *ring_find(const struct ring *r, const char *task_id)
{
	/* A Rust string is fed as its bytes and 0xff. */
	unsigned char key[RING_KEY_LEN + 1];
	size_t len = strnlen(task_id, RING_KEY_LEN);
	uint64_t hash;

	if (r->count == 0)
		return NULL;
	memcpy(key, task_id, len);
	key[len] = 0xff;
	hash = ring_hash(key, len + 1);
	for (unsigned i = 0; i < r->count; i++)
		if (r->points[i].hash >= hash)
			return r->points[i].value;
	return r->points[0].value;
}
