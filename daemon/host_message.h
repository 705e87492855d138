/* This host as a common.v2.Host message, as Dragonfly's validators want it: for AnnounceHost,
 * SyncHost and the manager. */
#ifndef DAEMON_HOST_MESSAGE_H
#define DAEMON_HOST_MESSAGE_H

#include "daemon/host.h"

#include "common_v2.pb-c.h"

/* The message and what it points to; nothing is allocated. Must not be copied or moved. */
struct host_message {
	Common__V2__Host host;
	Common__V2__CPU cpu;
	Common__V2__CPUTimes times;
	Common__V2__Memory memory;
	Common__V2__Network network;
	Common__V2__Disk disk;
	Common__V2__Build build;
};

/* Texts are borrowed from h. Bandwidths go in bits per second, as Dragonfly has them. */
void host_message_fill(struct host_message *m, struct host *h);

/* What a peer says of its link, in bytes per second; 0 = unknown. */
void host_message_link(const Common__V2__Host *host, uint64_t *tx_out, uint64_t *tx_max_out);

#endif
