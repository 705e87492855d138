/*
 * What the store's own files share; nobody else includes it.
 *
 *	store.c		opening, closing, the table of tasks
 *	store_scan.c	what is found at start
 *	store_task.c	the files of one task
 *	store_piece.c	its pieces: what is here, proving, dropping, verifying the whole
 *	store_slot.c	pieces being written
 *	store_coming.c	what others may have of those
 *	store_gc.c	room: TTL, quota, removal
 *	store_record.c	the record's format
 *
 * No I/O happens under a lock. Who works on a task's files (making, opening, closing or removing
 * them) marks it busy first; others who look for the same id wait until it is settled.
 */
#ifndef DAEMON_STORE_PRIVATE_H
#define DAEMON_STORE_PRIVATE_H

#include "base/list.h"
#include "base/lock.h"
#include "base/map.h"
#include "daemon/store.h"

#include <sys/stat.h>

#define STORE_NAME_SIZE 80 /* "abc/<id>.rec.tmp" and its NUL */

/* What is kept in memory of one kind. */
struct store_memory {
	uint64_t bytes;
	unsigned count;
};

struct store {
	struct store_config config; /* dir is dir below */
	char *dir;
	int dir_fd, tasks_fd, lock_fd;
	uint64_t epoch; /* new after an unclean stop; only bytes of this one are trusted */
	uint64_t quota, high, low;

	struct lock lock;
	struct cond settled; /* some task is not busy any more */
	/* under lock */
	struct map *tasks; /* id -> struct store_task */
	uint64_t bytes;
	uint64_t others; /* bytes that are not in tasks and count all the same */
	bool drained;	 /* nothing was left to evict, until some task becomes idle */
	uint64_t evicted, torn_entries, dropped_pieces, volatile_pieces;
	struct list volatiles; /* struct store_volatile, of both kinds */
	struct store_memory slots, shown;
	bool record_warned; /* that entries could not be written */
	bool full;	    /* an episode of volatile slots goes on */
	uint64_t slots_opened;
	uint64_t full_since; /* a slot opened after this one that reaches the disk ends it */
};

/* A piece as it is held in memory, while its task is referenced. */
struct store_piece_row {
	struct store_piece piece;
	uint64_t epoch;
	uint8_t state; /* enum store_piece_state */
	bool slot;     /* somebody writes it */
	bool backed;   /* counted in the task's bytes */
};

struct store_task {
	struct store *store;
	struct store_meta meta; /* accessed_ms, finished_ms and whole_verified under lock */
	/* under store->lock */
	uint32_t refs;
	bool busy;
	bool removed; /* not in the table: goes with the last reference */
	uint64_t bytes;
	/* set when the first reference comes, until the last goes; -1 or NULL otherwise */
	int fd, write_fd, record_fd; /* write_fd and record_fd are -1 when the disk took no files */
	size_t table;
	struct store_piece_row *rows;
	struct lock lock;
	/* under lock */
	uint32_t present, recorded;
	bool whole;	    /* the record says that the whole was verified */
	struct list coming; /* struct store_coming */
};

/* ---- store.c: all want or take store->lock as they say */
/* Under the lock, which it may drop while waiting: the task once it is not busy, or NULL. */
struct store_task *store_settled(struct store *s, const char *id);
/* A new task without files, in the table (under the lock) and busy. Takes meta's texts over. */
struct store_task *store_insert(struct store *s, struct store_meta *meta);
/* Takes the lock: t is not busy any more and has so many references. */
void store_settle(struct store_task *t, uint32_t refs);
/* Takes the lock: forgets and frees a busy task that nobody references. */
void store_forget(struct store_task *t);

/* ---- store_task.c: t is busy */
void store_task_name(const char *id, const char *suffix, char name[STORE_NAME_SIZE]);
must_check int store_task_make_files(struct store_task *t, struct err *e);
/* For a disk that takes no more files: every slot will be volatile. */
must_check int store_task_make_diskless(struct store_task *t, struct err *e);
/* ENOENT or EBADMSG: of no use any more. */
must_check int store_task_open_files(struct store_task *t, struct err *e);
/* Writes the access time, closes. Returns the bytes that are allocated. */
uint64_t store_task_close_files(struct store_task *t);
/* The whole of data, or -errno. */
must_check int store_write_at(int fd, const void *data, size_t len, uint64_t off);
void store_task_unlink(struct store *s, const char *id);

/* A record as it was found. */
struct store_found {
	struct store_meta meta;
	struct store_piece_row *rows;
	size_t table;
	uint32_t present, recorded, torn;
	bool whole;
	uint64_t bytes; /* allocated by the record itself */
};
/* Reads a record and repairs it: torn entries are zeroed and counted, a wrong size is set right. */
must_check int store_record_read(struct store *s, int fd, const char *id, struct store_found *out,
				 struct err *e);
void store_found_release(struct store_found *f);
/* None of its pieces is believed from now on, before it is compared. */
must_check int store_record_distrust(int fd, struct store_found *f, struct err *e);

/* ---- store_piece.c */
void store_row_print(const struct store_piece_row *row, uint32_t index, const char *id,
		     unsigned char *place);
uint64_t store_whole_xxh3(const struct store_piece_row *rows, uint32_t count);
/* Writes the piece's place in the record (zeros if row is NULL). A failure is logged once; the
 * piece then stays for this run only. */
void store_piece_write(struct store_task *t, uint32_t index, const struct store_piece_row *row);
/* Before the piece's place. Without them it is served all the same. */
void store_piece_write_blocks(struct store_task *t, uint32_t index,
			      const uint32_t crc32[PIECE_BLOCKS]);
/* The piece becomes absent, here and in the record. False if it was. */
bool store_piece_forget(struct store_task *t, uint32_t index);
/* Under t->lock: sets meta's whole_verified by what is here. */
void store_piece_settle_whole(struct store_task *t);

/* ---- store_coming.c */
struct store_coming *store_coming_new(struct store_task *t, uint32_t index,
				      const struct store_coming_facts *facts);
void store_coming_pass_on(struct store_coming *c, unsigned block);
/* The slot's reference goes; nobody finds it any more. whole: all of it is PRESENT. NULL is fine.
 */
void store_coming_end(struct store_coming *c, bool whole);

/* ---- store_scan.c */
/* Fills the table from the disk; what is of no use is removed (everything, if !keep). */
must_check int store_scan(struct store *s, struct err *e);

/* ---- store_gc.c */
/* Before need more bytes are taken: evicts when the high mark would be passed. No lock held. */
void store_make_room(struct store *s, uint64_t need);

#endif
