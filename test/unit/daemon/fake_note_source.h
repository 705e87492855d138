/* Where else a blob may be asked for, which daemon/layers.c tells the tasks and a test of its users
 * does not look at. */
#ifndef TEST_FAKE_NOTE_SOURCE_H
#define TEST_FAKE_NOTE_SOURCE_H

#include "daemon/task.h"

void task_note_source(struct tasks *ts, const char *digest_hex, const char *base,
		      const char *repository, const char *authorization)
{
	(void)ts;
	(void)digest_hex;
	(void)base;
	(void)repository;
	(void)authorization;
}

#endif
