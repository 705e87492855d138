/*
 * What the containers of an image read of its layers when they start, in the order in which they
 * read it. The file, version 2, little-endian:
 *
 *   head     START_RECORD_HEAD_LEN bytes: "SKIMSTRT", version (4), layers (4), runs (4), zero (4),
 *            the sha256 of the image's manifest (32), that of the pack of these blocks
 *            (start_pack.h; zeros: there is none) (32), its length (8)
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
#define START_RECORD_HEAD_LEN	96u
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
	char pack[DIGEST_HEX_LEN + 1]; /* valid while pack_len > 0 */
	uint64_t pack_len;	       /* 0 = there is none */
};

void start_record_release(struct start_record *r);
/* Notes that this block was read; the caller sees to it that each comes once. False: the record is
 * full. */
bool start_record_add(struct start_record *r, const char *digest, uint32_t block);
/* Adds, at the end, the block after each run that is not there: the kernel reads ahead, and not
 * always as far, and one block that is missing costs a start more than many that nobody needs. */
void start_record_widen(struct start_record *r);
void start_record_write(const struct start_record *r, const char *manifest,
			unsigned char out[START_RECORD_LEN]);
/* out is overwritten. EBADMSG: it is none, or another manifest's (64 hex both). */
must_check int start_record_parse(const unsigned char *data, size_t len, const char *manifest,
				  struct start_record *out, struct err *e);

#endif
