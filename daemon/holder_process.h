/*
 * The process that keeps connections of mounts while no dfdaemon does (holder.h): `dfdaemon
 *--hold`, with a listening socket as descriptor 3. Messages of the socket (SOCK_SEQPACKET, root's
 *own):
 *
 *	from		kind		descriptors	answer
 *	dfdaemon	HELLO		-		ENTRY for each that is kept, then END; BUSY:
 *another dfdaemon is connected and lives holder		ENTRY		fuse, ledger	-
 *	dfdaemon	KEEP		fuse, ledger	END
 *	dfdaemon	FORGET		-		END
 *
 * The connection is the proof of life: it ends with the dfdaemon. Without one the holder ends after
 * hold_ms, and the kernel ends what it kept: readers get an error. It ends too when it keeps
 *nothing.
 */
#ifndef DAEMON_HOLDER_PROCESS_H
#define DAEMON_HOLDER_PROCESS_H

#include <stdint.h>

#define HOLDER_VERSION	1u
#define HOLDER_NAME_MAX 15
#define HOLDER_LISTENER 3 /* descriptor */

enum holder_kind {
	HOLDER_HELLO = 1,
	HOLDER_ENTRY,
	HOLDER_END,
	HOLDER_BUSY,
	HOLDER_KEEP,
	HOLDER_FORGET
};

struct holder_message {
	uint32_t version, kind;
	int64_t hold_ms; /* of KEEP */
	char name[HOLDER_NAME_MAX + 1];
};

/* 0, or -errno when the other side has gone or the message is none. fds: two or NULL. Descriptors
 * that came are the caller's; fds_out has -1 where none came. */
int holder_send(int to, const struct holder_message *m, const int *fds);
int holder_receive(int from, struct holder_message *m, int fds_out[2]);

/* main() of it. */
int holder_process_main(void);

#endif
