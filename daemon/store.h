/*
 * The store: one sparse file per task and a record of its pieces, safe against kill -9 and power
 * loss at any moment.
 *
 *	<dir>/content/tasks/<first 3 of id>/<id>	the bytes (ftruncated to the content length)
 *	<dir>/content/tasks/<first 3 of id>/<id>.rec	what is known of the task and its pieces
 *	<dir>/clean					present only after a clean stop
 *
 * The record: a head (magic, version, length, checksum, JSON of struct store_meta), then a table
 * with a 64-byte place for each piece, each entry with its own checksum (layout in store_record.h).
 * Behind it a second table has the CRC-32s of each piece's blocks.
 * An entry is written after the piece's bytes. Nothing is synced per piece: the entry holds CRC-32
 * and XXH3-64 of the bytes, and after an unclean stop a piece counts as "unproven" until its bytes
 * have been read and compared. A torn or wrong entry costs that piece only; a wrong head costs the
 * task. A clean stop syncs and writes "clean".
 *
 * Must not know: scheduler, peers, origin, waiters. Thread-safe.
 */
#ifndef DAEMON_STORE_H
#define DAEMON_STORE_H

#include "base/digest.h"
#include "base/err.h"
#include "base/geometry.h"

#include <stdbool.h>
#include <stdint.h>

#define STORE_ID_LEN 64

enum store_source { STORE_FROM_ORIGIN = 0, STORE_FROM_PEER = 1 };

/* What is kept of a task besides its pieces. All texts owned by the struct, NULL = none. */
struct store_meta {
	char id[STORE_ID_LEN + 1];
	struct geometry geometry;
	char *url;    /* where it comes from, without credentials */
	char *digest; /* "sha256:<hex>" expected of the whole, NULL if unknown */
	char *tag, *application;
	char *headers; /* origin's response headers to replay, "Name: value\n" lines, NULL = none */
	int64_t created_ms, accessed_ms, finished_ms; /* wall; 0 = not */
	bool whole_verified; /* all there, and the whole digest (if any) was compared */
};
void store_meta_copy(struct store_meta *dst, const struct store_meta *src);
void store_meta_release(struct store_meta *m);

enum store_piece_state {
	STORE_ABSENT,
	STORE_UNPROVEN, /* recorded before an unclean stop, bytes not compared yet */
	STORE_PRESENT,
};

struct store_piece {
	uint32_t length;
	uint32_t crc32;
	uint64_t xxh3;
	uint8_t source; /* enum store_source */
	int64_t created_s;
	uint32_t cost_ms;
};

struct store;
struct store_task; /* an open task, reference-counted; its descriptor is open while referenced */

struct store_config {
	const char *dir;
	bool keep;		   /* false: what an earlier run left is removed at start */
	uint64_t quota;		   /* own bytes; 0 = the size of the file system */
	unsigned high_percent;	   /* of the quota: eviction starts; 0 = 80 */
	unsigned low_percent;	   /* eviction ends; 0 = 60 */
	int64_t task_ttl_ms;	   /* not accessed for so long: removed; 0 = never */
	int64_t unfinished_ttl_ms; /* unfinished and not accessed for so long: evictable */
};

/* Takes a lock on <dir> (EBUSY if another process has it), makes it if absent, reads the heads. */
must_check int store_open(const struct store_config *c, struct store **out, struct err *e);
/* Syncs and marks clean. All tasks must be unreferenced. */
void store_close(struct store *s);

/* An existing task: ENOENT if there is none. */
must_check int store_find(struct store *s, const char *id, struct store_task **out, struct err *e);
/* Makes it, or finds it when its geometry is equal and its digest no other (EEXIST). Times that are
 * 0 become now. On a full disk with nothing to evict the task has no files: it lives while it is
 * referenced, all its slots are volatile. EINVAL, EFBIG (pieces), E2BIG (texts), EIO. */
must_check int store_create(struct store *s, const struct store_meta *meta, struct store_task **out,
			    struct err *e);
void store_task_ref(struct store_task *t);
void store_task_unref(struct store_task *t);

static inline void store_task_unref_at(struct store_task **t)
{
	if (*t)
		store_task_unref(*t);
	*t = NULL;
}

/* Borrowed; geometry, id and digest never change while referenced. */
const struct store_meta *store_task_meta(const struct store_task *t);
/* Read-only descriptor of the content, borrowed while referenced; bytes of PRESENT pieces only. */
int store_task_fd(const struct store_task *t);
uint32_t store_task_present_count(const struct store_task *t);
bool store_task_is_complete(const struct store_task *t); /* all pieces PRESENT */
/* Complete, and the whole digest (if any) was compared: meta's whole_verified, safe to read while
 * others verify. */
bool store_task_is_verified(const struct store_task *t);
struct store *store_task_store(const struct store_task *t);
enum store_piece_state store_piece_get(const struct store_task *t, uint32_t index,
				       struct store_piece *out /* may be NULL */);
/* The CRC-32s of the blocks (geometry_block_length()) of a PRESENT piece, as old as its own: piece
 * is what store_piece_get() said. Together they make the piece's. False: they are not known. Reads
 * the record. */
bool store_piece_blocks(const struct store_task *t, uint32_t index, const struct store_piece *piece,
			uint32_t crc32_out[PIECE_BLOCKS]);
/* Reads the piece and compares: UNPROVEN becomes PRESENT, or ABSENT (EBADMSG, also when it cannot
 * be read). A PRESENT one is compared again; ENOENT if there is none. Blocks on disk. */
must_check int store_piece_prove(struct store_task *t, uint32_t index, struct err *e);
/* Forgets a piece whose bytes turned out wrong. */
void store_piece_drop(struct store_task *t, uint32_t index);
/* Forgets all of them. */
void store_task_drop(struct store_task *t);

/* A place for one piece's bytes, lent by the store, written in order by one thread: from its start
 * to its end, or from any block to the end and then from the start to that block. Bytes are hashed
 * as they are written; nothing is visible before store_slot_commit(). */
struct store_slot {
	struct store_task *task;
	uint32_t index, length, written;
	uint32_t begin; /* where the first byte that is written belongs */
	int fd;		/* where it is written: the task's file, or a memory file when volatile_ */
	int shown_fd;	/* ... and what readers are shown; -1 = nothing, or not any more */
	uint32_t blocks[PIECE_BLOCKS]; /* CRC-32 of what is written of each */
	uint32_t crc32;		       /* when all is written */
	uint64_t xxh3;		       /* after commit */
	bool volatile_; /* disk full: lives in memory, gone when the last extent of it is */
	void *private_;
};
/* ENOSPC is not an error of the caller's: when the disk or the quota cannot take the piece the slot
 * is volatile (bounded to 64 MiB and 256 pieces: EBUSY when there are too many, try again when one
 * is closed). The piece is not PRESENT and nobody else writes it. Holds the task. */
must_check int store_slot_open(struct store_task *t, uint32_t index, struct store_slot *out,
			       struct err *e);
/* The first byte that is written will be that of this block. Before anything is written. */
void store_slot_begin_at(struct store_slot *slot, unsigned block);
/* What is written from now on goes to this file of store_shown_open() too, which must outlive the
 * slot's last write. */
void store_slot_show(struct store_slot *slot, int fd);
/* Which block the next byte belongs to, and how many bytes of that block are missing. Not when all
 * is written. */
unsigned store_slot_block(const struct store_slot *slot, uint32_t *left_out);
/* EMSGSIZE if it would pass the piece's length. A disk error or a full disk on the way turns the
 * slot volatile, keeping what was written. */
must_check int store_slot_write(struct store_slot *slot, const void *data, size_t len,
				struct err *e);
/* What the CRC-32s of the piece and its blocks will be is known (the blocks' make the piece's):
 * from now on others may have what is passed on. Nothing comes of it if the slot is volatile. */
void store_slot_promise(struct store_slot *slot, uint32_t crc32,
			const uint32_t blocks[PIECE_BLOCKS]);
/* This block was written, and compared with what was promised. True: others may have it. */
bool store_slot_pass_on(struct store_slot *slot, unsigned block);
/* Publishes. expected_crc32 may be NULL; EBADMSG when it differs or bytes are missing, EIO when the
 * disk does not give back what came before the piece's start; then nothing is kept. A volatile slot
 * becomes no entry: *volatile_fd_out gets its descriptor (the content of the piece at the piece's
 * own offset), the caller's until store_volatile_close(); otherwise -1. The slot is closed either
 * way. */
must_check int store_slot_commit(struct store_slot *slot, const uint32_t *expected_crc32,
				 enum store_source source, uint32_t cost_ms, int *volatile_fd_out,
				 struct err *e);
void store_slot_abort(struct store_slot *slot);
/* Closes what store_slot_commit() or store_shown_open() gave and makes room for the next one of its
 * kind. A plain close() would leak that room. */
void store_volatile_close(struct store *s, int fd);
/* A memory file for the bytes of a piece that readers are shown while it comes (piece_show()), at
 * the piece's own offset. EBUSY: 64 MiB or 256 of them are in use. */
must_check int store_shown_open(struct store *s, uint32_t length, int *fd_out, struct err *e);

/* A piece that somebody writes and of which blocks may be had already, from store_task_fd(). */
struct store_coming;
struct store_coming_facts {
	uint32_t crc32, blocks[PIECE_BLOCKS];
};
/* A reference, which the slot does not outlive and which does not keep it. NULL: nobody writes it,
 * or nothing is promised; it may be PRESENT then: look for that afterwards. */
struct store_coming *store_coming_find(struct store_task *t, uint32_t index);
void store_coming_unref(struct store_coming *c); /* NULL is fine */
const struct store_coming_facts *store_coming_facts(const struct store_coming *c);
/* How many bytes from this one of the piece on may be had now, without a gap. False: it will not
 * become PRESENT by this slot; what was to be had may change. */
bool store_coming_stretch(const struct store_coming *c, uint32_t from, uint32_t *len_out);

/* The SHA-256 of the whole of a complete task. EIO: it cannot be read. Blocks for the time
 * that takes. */
must_check int store_task_hash(const struct store_task *t, char hex_out[DIGEST_HEX_LEN + 1],
			       struct err *e);
/* Hashes the whole of a complete task and compares it with meta.digest (or just marks it when there
 * is none). EBADMSG: every piece is dropped. EINVAL: not complete. EIO: cannot be read, nothing
 * changes. Blocks for the time it takes to read the file. */
must_check int store_task_verify_whole(struct store_task *t, struct err *e);
/* The same for one who has hashed the content already, piece by piece as they became PRESENT. NULL:
 * as above. */
must_check int store_task_verify_as(struct store_task *t, const char *sha256_hex, struct err *e);
/* Now is when it was last used. Cheap; written out lazily. */
void store_task_touch(struct store_task *t);
/* Removes it from the store; readers that hold it go on to the end. */
void store_task_remove(struct store_task *t);

struct store_stat {
	uint64_t bytes, quota; /* own bytes (allocated), quota in force */
	uint32_t tasks, complete;
	uint64_t evicted, torn_entries, dropped_pieces, volatile_pieces;
};
void store_stat(struct store *s, struct store_stat *out);
/* TTL and quota: removes what is due, least recently used first, never what is referenced. Run by
 * a timer's worker and before a create that would pass the high mark. Returns how many went. */
unsigned store_gc(struct store *s);
/* For a disk that is full: evicts something, need bytes at least if there is so much. False:
 * nothing may go. */
bool store_make_disk_room(struct store *s, uint64_t need);
/* Bytes on the same account that others keep (daemon/layers.h): they count towards the quota. */
void store_set_others(struct store *s, uint64_t bytes);
/* So many bytes have to go, tasks' or others'; 0 while the high mark is not passed. */
uint64_t store_excess(struct store *s);
/* Calls fn for each task known (a snapshot; no lock held). present counts the pieces that are
 * recorded, unproven ones too. */
void store_each(struct store *s,
		void (*fn)(const struct store_meta *m, uint32_t present, void *arg), void *arg);

#endif
