/*
 * A file of the mount that is a task: what it is called for the task layer while the kernel knows
 * its name, and the task itself while somebody has it open.
 */
#ifndef DAEMON_BLOB_H
#define DAEMON_BLOB_H

#include "daemon/task.h"
#include "fs/source.h"

struct blobs;

/* The request that opens the task: by URL or by digest ("sha256:<hex>"), the other NULL. The texts
 * are borrowed. */
struct task_request blob_request(const char *url, const char *digest);

/* What a lookup answers for an open task. entry->blob is a new blob. */
void blob_fill_entry(struct blobs *b, const char *url, const char *digest, struct task *t,
		     struct fs_entry *entry);

/* fs_source_ops; src is the struct blobs. */
void blob_ref(void *src, struct fs_blob *blob);
void blob_unref(void *src, struct fs_blob *blob);
void blob_open(void *src, struct fs_blob *blob, struct fs_open *ask);
bool blob_open_cancel(void *src, struct fs_open *ask);
void blob_close(void *src, struct fs_blob *blob);
void blob_read(void *src, struct fs_blob *blob, uint64_t off, uint32_t len, struct fs_read *ask);
bool blob_read_cancel(void *src, struct fs_read *ask);
int blob_complete_fd(void *src, struct fs_blob *blob);
int blob_attr(void *src, struct fs_blob *blob, const char *name, char *text, size_t size);

/* The figure of the time to a read's first byte, so that it is there before the first read. */
struct metric *blob_read_time(void);

#endif
