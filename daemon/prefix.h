/* The sha256 of a content's first pieces, one after the other as they arrive. One thread at a time.
 */
#ifndef DAEMON_PREFIX_H
#define DAEMON_PREFIX_H

#include "base/digest.h"
#include "base/geometry.h"

struct prefix;

/* fd: borrowed, the content at its offsets. */
struct prefix *prefix_new(int fd, const struct geometry *g);
void prefix_free(struct prefix *p);
/* The piece to be added next; piece_count when there is none. Any thread. */
uint32_t prefix_next(const struct prefix *p);
/* Reads and adds that piece; it must be all there. */
must_check int prefix_add(struct prefix *p, struct err *e);
/* Nothing is to be added any more, prefix_finish() will have nothing to say. */
void prefix_give_up(struct prefix *p);
/* True, with the digest, if all pieces were added. Begins anew in any case. */
bool prefix_finish(struct prefix *p, char hex_out[DIGEST_HEX_LEN + 1]);

#endif
