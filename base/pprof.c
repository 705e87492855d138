/* Texts and addresses are numbers in the profile; an address gets its own when it is first met. */
#include "base/pprof.h"

#include "base/mem.h"
#include "base/protobuf.h"

#include <assert.h>
#include <inttypes.h>
#include <isa-l/igzip_lib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAPPINGS_MAX 256
#define SLOTS_MIN    1024

/* Field numbers of profile.proto. */
enum {
	PROFILE_SAMPLE_TYPE = 1,
	PROFILE_SAMPLE = 2,
	PROFILE_MAPPING = 3,
	PROFILE_LOCATION = 4,
	PROFILE_STRINGS = 6,
	PROFILE_DROP_FRAMES = 7,
	PROFILE_TIME = 9,
	PROFILE_DURATION = 10,
	PROFILE_PERIOD_TYPE = 11,
	PROFILE_PERIOD = 12,
	PROFILE_COMMENT = 13,
};
enum { TYPE_TYPE = 1, TYPE_UNIT = 2 };
enum { SAMPLE_LOCATION = 1, SAMPLE_VALUE = 2 };
enum { MAPPING_ID = 1, MAPPING_START = 2, MAPPING_LIMIT = 3, MAPPING_OFFSET = 4, MAPPING_FILE = 5 };
enum { LOCATION_ID = 1, LOCATION_MAPPING = 2, LOCATION_ADDRESS = 3 };

struct pprof {
	struct buf body, strings;
	unsigned string_count, value_count;
	struct {
		uint64_t start, limit;
	} mappings[MAPPINGS_MAX]; /* number i + 1 */
	unsigned mapping_count;
	struct slot {
		uint64_t address, id; /* id 0: empty */
	} * slots;		      /* a hash table, at most half full */
	size_t slot_count, location_count;
};

/* The first is "". */
static uint64_t text_number(struct pprof *p, const char *text)
{
	protobuf_put_text(&p->strings, PROFILE_STRINGS, text);
	return p->string_count++;
}

static void put_type(struct pprof *p, unsigned field, const char *type, const char *unit)
{
	cleanup(buf_release) struct buf m = {0};

	protobuf_put_number(&m, TYPE_TYPE, text_number(p, type));
	protobuf_put_number(&m, TYPE_UNIT, text_number(p, unit));
	protobuf_put_bytes(&p->body, field, m.data, m.len);
}

/* The executable mappings; pprof finds the program's own first. */
static void put_mappings(struct pprof *p)
{
	cleanup(fclose_at) FILE *f = fopen("/proc/self/maps", "re");
	char line[512], path[256], access[8];
	uint64_t start, limit, off;

	while (f && p->mapping_count < MAPPINGS_MAX && fgets(line, sizeof(line), f)) {
		cleanup(buf_release) struct buf m = {0};

		path[0] = '\0';
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %*s %*s %255s", &start,
			   &limit, access, &off, path) < 4 ||
		    !strchr(access, 'x'))
			continue;
		p->mappings[p->mapping_count].start = start;
		p->mappings[p->mapping_count++].limit = limit;
		protobuf_put_number(&m, MAPPING_ID, p->mapping_count);
		protobuf_put_number(&m, MAPPING_START, start);
		protobuf_put_number(&m, MAPPING_LIMIT, limit);
		protobuf_put_number(&m, MAPPING_OFFSET, off);
		protobuf_put_number(&m, MAPPING_FILE, text_number(p, path));
		protobuf_put_bytes(&p->body, PROFILE_MAPPING, m.data, m.len);
	}
}

/* The name is for pprof to find, in the program's file. */
static void put_location(struct pprof *p, uint64_t id, uint64_t address)
{
	cleanup(buf_release) struct buf m = {0};

	protobuf_put_number(&m, LOCATION_ID, id);
	for (unsigned i = 0; i < p->mapping_count; i++)
		if (address >= p->mappings[i].start && address < p->mappings[i].limit)
			protobuf_put_number(&m, LOCATION_MAPPING, i + 1);
	protobuf_put_number(&m, LOCATION_ADDRESS, address);
	protobuf_put_bytes(&p->body, PROFILE_LOCATION, m.data, m.len);
}

static struct slot *find_slot(struct slot *slots, size_t count, uint64_t address)
{
	size_t i = (size_t)((address * 0x9e3779b97f4a7c15ULL) >> 32) & (count - 1);

	while (slots[i].id && slots[i].address != address)
		i = (i + 1) & (count - 1);
	return &slots[i];
}

static void grow(struct pprof *p)
{
	size_t count = p->slot_count * 2;
	struct slot *slots = mem_array(count, sizeof(*slots));

	for (size_t i = 0; i < p->slot_count; i++)
		if (p->slots[i].id)
			*find_slot(slots, count, p->slots[i].address) = p->slots[i];
	free(p->slots);
	p->slots = slots;
	p->slot_count = count;
}

static uint64_t location_number(struct pprof *p, uint64_t address)
{
	struct slot *s = find_slot(p->slots, p->slot_count, address);

	if (s->id)
		return s->id;
	if (2 * p->location_count >= p->slot_count) {
		grow(p);
		s = find_slot(p->slots, p->slot_count, address);
	}
	*s = (struct slot){address, ++p->location_count};
	put_location(p, s->id, address);
	return s->id;
}

struct pprof *pprof_new(void)
{
	struct pprof *p = mem_new(struct pprof);

	text_number(p, "");
	p->slot_count = SLOTS_MIN;
	p->slots = mem_array(p->slot_count, sizeof(*p->slots));
	put_mappings(p);
	return p;
}

void pprof_free(struct pprof *p)
{
	if (!p)
		return;
	buf_release(&p->body);
	buf_release(&p->strings);
	free(p->slots);
	free(p);
}

void pprof_measures(struct pprof *p, const char *type, const char *unit)
{
	assert(p->value_count < PPROF_VALUES_MAX);
	put_type(p, PROFILE_SAMPLE_TYPE, type, unit);
	p->value_count++;
}

void pprof_period(struct pprof *p, const char *type, const char *unit, uint64_t period)
{
	put_type(p, PROFILE_PERIOD_TYPE, type, unit);
	protobuf_put_number(&p->body, PROFILE_PERIOD, period);
}

void pprof_drop_frames(struct pprof *p, const char *expression)
{
	protobuf_put_number(&p->body, PROFILE_DROP_FRAMES, text_number(p, expression));
}

void pprof_comment(struct pprof *p, const char *text)
{
	protobuf_put_number(&p->body, PROFILE_COMMENT, text_number(p, text));
}

void pprof_time(struct pprof *p, int64_t wall_ms, int64_t duration_ms)
{
	protobuf_put_number(&p->body, PROFILE_TIME, (uint64_t)wall_ms * 1000000);
	protobuf_put_number(&p->body, PROFILE_DURATION, (uint64_t)duration_ms * 1000000);
}

void pprof_sample(struct pprof *p, void *const *stack, unsigned depth, const uint64_t *values)
{
	cleanup(buf_release) struct buf m = {0};

	for (unsigned i = 0; i < depth; i++)
		protobuf_put_number(&m, SAMPLE_LOCATION,
				    location_number(p, (uint64_t)(uintptr_t)stack[i]));
	for (unsigned i = 0; i < p->value_count; i++)
		protobuf_put_number(&m, SAMPLE_VALUE, values[i]);
	protobuf_put_bytes(&p->body, PROFILE_SAMPLE, m.data, m.len);
}

void pprof_finish(struct pprof *p, struct buf *out)
{
	struct isal_zstream z;
	cleanup(free_at) uint8_t *packed = NULL;
	size_t room;

	buf_append(&p->body, p->strings.data, p->strings.len);
	buf_clear(&p->strings);
	room = p->body.len + p->body.len / 64 + 1024;
	packed = mem_alloc(room);
	isal_deflate_stateless_init(&z);
	z.gzip_flag = IGZIP_GZIP;
	z.end_of_stream = 1;
	z.flush = NO_FLUSH;
	z.next_in = (uint8_t *)p->body.data;
	z.avail_in = (uint32_t)p->body.len;
	z.next_out = packed;
	z.avail_out = (uint32_t)room;
	if (isal_deflate_stateless(&z) == COMP_OK)
		buf_append(out, packed, room - z.avail_out);
}
