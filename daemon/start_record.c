/* The record of a start as a file. Must not know: who records, how it travels. */
#include "daemon/start_record.h"

#include "base/mem.h"
#include "fs/layer/index_format.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC	   "SKIMSTRT"
#define VERSION	   2u
#define DIGEST_LEN 32u
#define RUN_LEN	   8u
#define SUM_AT	   (START_RECORD_LEN - 8)
#define AT_VERSION 8
#define AT_LAYERS  12
#define AT_RUNS	   16
#define AT_IMAGE   24
#define AT_PACK	   56
#define AT_LENGTH  88

void start_record_release(struct start_record *r)
{
	free(r->layers);
	free(r->runs);
	*r = (struct start_record){0};
}

static size_t length_with(uint32_t layer_count, uint32_t run_count)
{
	return START_RECORD_HEAD_LEN + (size_t)layer_count * DIGEST_LEN +
	       (size_t)run_count * RUN_LEN;
}

/* ---- recording */

/* Its place in the list; layer_count if it is not there. The last one is the likeliest. */
static uint32_t find_layer(const struct start_record *r, const char *digest)
{
	for (uint32_t i = r->layer_count; i > 0; i--) {
		if (strcmp(r->layers[i - 1], digest) == 0)
			return i - 1;
	}
	return r->layer_count;
}

bool start_record_add(struct start_record *r, const char *digest, uint32_t block)
{
	struct start_run *last = r->run_count > 0 ? &r->runs[r->run_count - 1] : NULL;
	uint32_t layer = find_layer(r, digest);
	bool is_new = layer == r->layer_count;

	if (last && last->layer == layer && last->first + last->count == block &&
	    last->count < UINT16_MAX) {
		last->count++;
		return true;
	}
	if ((is_new && layer == START_RECORD_LAYERS_MAX) ||
	    length_with(r->layer_count + is_new, r->run_count + 1) > SUM_AT)
		return false;
	if (is_new) {
		r->layers = mem_realloc(r->layers, (layer + 1) * sizeof(*r->layers));
		memcpy(r->layers[layer], digest, DIGEST_HEX_LEN + 1);
		r->layer_count++;
	}
	r->runs = mem_realloc(r->runs, (r->run_count + 1) * sizeof(*r->runs));
	r->runs[r->run_count++] =
		(struct start_run){.layer = (uint16_t)layer, .count = 1, .first = block};
	return true;
}

static bool has_block(const struct start_record *r, uint32_t layer, uint32_t block)
{
	for (uint32_t i = 0; i < r->run_count; i++) {
		if (r->runs[i].layer == layer && block - r->runs[i].first < r->runs[i].count)
			return true;
	}
	return false;
}

void start_record_widen(struct start_record *r)
{
	uint32_t count = r->run_count;

	for (uint32_t i = 0; i < count; i++) {
		const struct start_run run = r->runs[i];

		if (!has_block(r, run.layer, run.first + run.count) &&
		    !start_record_add(r, r->layers[run.layer], run.first + run.count))
			return; /* it is full */
	}
}

/* ---- the file */

static void put32(unsigned char *at, uint32_t v)
{
	v = htole32(v);
	memcpy(at, &v, sizeof(v));
}

static uint32_t get32(const unsigned char *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return le32toh(v);
}

static void put64(unsigned char *at, uint64_t v)
{
	v = htole64(v);
	memcpy(at, &v, sizeof(v));
}

static uint64_t get64(const unsigned char *at)
{
	uint64_t v;

	memcpy(&v, at, sizeof(v));
	return le64toh(v);
}

void start_record_write(const struct start_record *r, const char *manifest,
			unsigned char out[START_RECORD_LEN])
{
	unsigned char *at = out + START_RECORD_HEAD_LEN;

	memset(out, 0, START_RECORD_LEN);
	memcpy(out, MAGIC, 8);
	put32(out + AT_VERSION, VERSION);
	put32(out + AT_LAYERS, r->layer_count);
	put32(out + AT_RUNS, r->run_count);
	index_hex_pack(manifest, out + AT_IMAGE);
	if (r->pack_len > 0) {
		index_hex_pack(r->pack, out + AT_PACK);
		put64(out + AT_LENGTH, r->pack_len);
	}
	for (uint32_t i = 0; i < r->layer_count; i++, at += DIGEST_LEN)
		index_hex_pack(r->layers[i], at);
	for (uint32_t i = 0; i < r->run_count; i++, at += RUN_LEN) {
		put32(at, r->runs[i].layer | (uint32_t)r->runs[i].count << 16);
		put32(at + 4, r->runs[i].first);
	}
	put64(out + SUM_AT, xxh3_of(out, SUM_AT));
}

static int check_head(const unsigned char *data, size_t len, const char *manifest, struct err *e)
{
	unsigned char image[DIGEST_LEN], sum[8];

	if (len != START_RECORD_LEN || memcmp(data, MAGIC, 8) != 0)
		return err_set(e, EBADMSG, "it is no record of a start");
	put64(sum, xxh3_of(data, SUM_AT));
	if (memcmp(data + SUM_AT, sum, sizeof(sum)) != 0)
		return err_set(e, EBADMSG, "the record's checksum is wrong");
	if (get32(data + AT_VERSION) != VERSION)
		return err_set(e, EBADMSG, "the record's version %u is not known",
			       get32(data + AT_VERSION));
	index_hex_pack(manifest, image);
	if (memcmp(data + AT_IMAGE, image, sizeof(image)) != 0)
		return err_set(e, EBADMSG, "the record is another image's");
	return 0;
}

static int take_runs(const unsigned char *at, struct start_record *r, struct err *e)
{
	for (uint32_t i = 0; i < r->run_count; i++, at += RUN_LEN) {
		uint32_t head = get32(at);

		r->runs[i] = (struct start_run){.layer = (uint16_t)head,
						.count = (uint16_t)(head >> 16),
						.first = get32(at + 4)};
		if (r->runs[i].layer >= r->layer_count || r->runs[i].count == 0)
			return err_set(e, EBADMSG, "run %u of the record is none", i);
	}
	return 0;
}

int start_record_parse(const unsigned char *data, size_t len, const char *manifest,
		       struct start_record *out, struct err *e)
{
	const unsigned char *at = data + START_RECORD_HEAD_LEN;
	int r = check_head(data, len, manifest, e);

	*out = (struct start_record){0};
	if (r < 0)
		return r;
	out->layer_count = get32(data + AT_LAYERS);
	out->run_count = get32(data + AT_RUNS);
	if (out->layer_count > START_RECORD_LAYERS_MAX || out->run_count > START_RECORD_LEN ||
	    length_with(out->layer_count, out->run_count) > SUM_AT) {
		*out = (struct start_record){0};
		return err_set(e, EBADMSG, "the record's lists are too long");
	}
	out->pack_len = get64(data + AT_LENGTH);
	index_hex_print(data + AT_PACK, out->pack);
	out->layers = mem_array(out->layer_count + 1, sizeof(*out->layers));
	out->runs = mem_array(out->run_count + 1, sizeof(*out->runs));
	for (uint32_t i = 0; i < out->layer_count; i++, at += DIGEST_LEN)
		index_hex_print(at, out->layers[i]);
	r = take_runs(at, out, e);
	if (r < 0)
		start_record_release(out);
	return r;
}
