/*
 * What daemons make themselves (indexes, records of starts) is vouched for by nobody outside of the
 * cluster. Where members are authenticated it is believed when one of those who gave it says, by
 * TLS, that it has the same (witness.h). Who gave it may be waiting for such a word himself: then
 * he is asked again. What nobody vouches for in time is dropped.
 */
#include "base/clock.h"
#include "daemon/channels.h"
#include "daemon/fetch_private.h"

#include <errno.h>
#include <string.h>

static bool came_from_peers(const struct fetch *f)
{
	for (uint32_t i = 0; i < f->meta->geometry.piece_count; i++) {
		struct store_piece piece;

		if (store_piece_get(f->st, i, &piece) == STORE_PRESENT &&
		    piece.source == STORE_FROM_PEER)
			return true;
	}
	return false;
}

static unsigned list_givers(struct fetch *f, struct witness out[GIVERS_MAX])
{
	lock_guard(&f->lock);
	for (unsigned i = 0; i < f->giver_count; i++)
		out[i] = f->givers[i].witness;
	return f->giver_count;
}

static bool is_out_of_patience(struct fetch *f)
{
	int64_t now_ms = clock_ms();

	lock_guard(&f->lock);
	if (f->unwitnessed_since_ms == 0)
		f->unwitnessed_since_ms = now_ms;
	return now_ms - f->unwitnessed_since_ms >= f->all->c.witness_ms;
}

static void drop_all(struct fetch *f)
{
	store_task_drop(f->st);
	lock_guard(&f->lock);
	f->unwitnessed_since_ms = 0;
}

int fetch_witnessed(struct fetch *f, const char *sha256_hex, struct err *e)
{
	struct witness givers[GIVERS_MAX];
	char hex[DIGEST_HEX_LEN + 1];
	int r = 0;

	if (!__atomic_load_n(&f->needs_witness, __ATOMIC_RELAXED) || !channels_are_secured() ||
	    !came_from_peers(f))
		return 0;
	if (!sha256_hex)
		r = store_task_hash(f->st, hex, e);
	if (r < 0)
		return r;
	r = witness_ask(f->meta->id, sha256_hex ? sha256_hex : hex, givers, list_givers(f, givers),
			&f->cancelled, e);
	if (r == -EHOSTUNREACH && is_out_of_patience(f))
		e->code = EBADMSG;
	if (r < 0 && e->code == EBADMSG)
		drop_all(f);
	return r < 0 ? -e->code : 0;
}
