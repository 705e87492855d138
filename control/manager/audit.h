/* The trail: a row for every request that changes something, done or refused; of strangers the
 * first 60 in a minute. */
#ifndef CONTROL_MANAGER_AUDIT_H
#define CONTROL_MANAGER_AUDIT_H

#include "control/manager/rest.h"

/* After the answer is known. */
void audit_record(struct rest_call *c);

#endif
