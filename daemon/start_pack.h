/*
 * The blocks of a start, carried from node to node: who recorded it packs them (pack_file.h), and
 * the pack is a task of the cluster, named in the record. Whoever starts the image next takes the
 * blocks from it, in the order in which they will be read, instead of fetching the pieces that they
 * are in and inflating them. Each block is compared with its layer's index, so a pack is trusted
 * with nothing.
 */
#ifndef DAEMON_START_PACK_H
#define DAEMON_START_PACK_H

#include "daemon/layers.h"
#include "daemon/start_record.h"

struct start_pack_place {
	struct tasks *tasks;   /* borrowed */
	struct layers *layers; /* borrowed */
	const char *dir;       /* for what is being written */
	const bool *stopping;  /* atomic */
	uint64_t bytes_max;    /* uncompressed */
};

/* Packs those blocks of the record that are here and imports the pack; the record names it then.
 * What is beyond bytes_max is left out. ENOENT: none is here. Blocks on disk and processor. */
must_check int start_pack_make(const struct start_pack_place *p, struct start_record *r,
			       struct err *e);

/* Takes the blocks from the pack that the record names; meanwhile readers wait for those that are
 * to come. wish: all but the digest, for layers_get(). *bytes_out: what came, uncompressed. Blocks
 * on the network, but no longer than a piece is waited for. EBADMSG: the pack is broken; EFBIG:
 * its maker may fetch more ahead than we. */
must_check int start_pack_take(const struct start_pack_place *p, const struct start_record *r,
			       const struct layer_wish *wish, uint64_t *bytes_out, struct err *e);

/* What the id of a pack's task is made of; the caller frees. */
char *start_pack_name(const char *digest);

#endif
