/*
 * What the containers of an image read of its layers when they start, in the order in which they
 * read it. The file, version 1, little-endian:
 *
 *   head     START_RECORD_HEAD_LEN bytes: "SKIMSTRT", version (4), layers (4), runs (4), zero (4),
 *            the sha256 of the image's manifest (32)
 *   layers   the sha256 (32) of each layer's blob
 *   runs     of blocks of LAYER_BLOCK_LEN of the uncompressed layer: the layer's place in the list
 *            (2), how many blocks (2), the first of them (4)
 *   zeros
 *   XXH3-64  of all before
 *
 * It always has START_RECORD_LEN bytes: nodes that record the same start make different files of
 * one task, and whichever a third one gets, it gets whole. It is a hint: a wrong one costs time,
 * never a wrong byte.
 */
#ifndef DAEMON_START_RECORD_H
#define DAEMON_START_RECORD_H

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define START_RECORD_LEN	65536u
#define START_RECORD_HEAD_LEN	56u
#define START_RECORD_LAYERS_MAX 512u

struct start_run {
	uint16_t layer, count; /* count > 0 */
	uint32_t first;
};

/* All zero: nothing was read. */
struct start_record {
	char (*layers)[DIGEST_HEX_LEN + 1];
	uint32_t layer_count;
	struct start_run *runs;
	uint32_t run_count;
};

void start_record_release(struct start_record *r);
/* Notes that this block was read; the caller sees to it that each comes once. False: the record is
 * full. */
bool start_record_add(struct start_record *r, const char *digest, uint32_t block);
void start_record_write(const struct start_record *r, const char *manifest,
			unsigned char out[START_RECORD_LEN]);
/* out is overwritten. EBADMSG: it is none, or another manifest's (64 hex both). */
must_check int start_record_parse(const unsigned char *data, size_t len, const char *manifest,
				  struct start_record *out, struct err *e);

#endif
