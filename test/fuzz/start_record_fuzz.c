/* The record of a start on arbitrary bytes, padded to its length and with its magic and checksum
 * set right; what is accepted must survive being written and read again. */
#include "base/mem.h"
#include "daemon/start_record.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char image[] = "0000000000000000000000000000000000000000000000000000000000000000";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const unsigned char *file, size_t len)
{
	cleanup(free_at) unsigned char *again = mem_alloc(START_RECORD_LEN);
	struct start_record r, s;
	struct err e;

	if (start_record_parse(file, len, image, &r, &e) < 0)
		return;
	start_record_write(&r, image, again);
	assert(start_record_parse(again, START_RECORD_LEN, image, &s, &e) == 0);
	assert(r.layer_count == s.layer_count && r.run_count == s.run_count);
	assert(r.pack_len == s.pack_len);
	assert(memcmp(r.layers, s.layers, r.layer_count * sizeof(*r.layers)) == 0);
	assert(memcmp(r.runs, s.runs, r.run_count * sizeof(*r.runs)) == 0);
	start_record_release(&r);
	start_record_release(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(free_at) unsigned char *file = mem_alloc(START_RECORD_LEN);
	uint64_t sum;

	check(data, size);
	memcpy(file, data, size < START_RECORD_LEN ? size : START_RECORD_LEN);
	memcpy(file, "SKIMSTRT\2\0\0\0", 12);
	memset(file + 24, 0, 32);
	sum = xxh3_of(file, START_RECORD_LEN - 8);
	memcpy(file + START_RECORD_LEN - 8, &sum, sizeof(sum));
	check(file, START_RECORD_LEN);
	return 0;
}
