/* Tells the service manager how the program is: sd_notify(3)'s datagrams, without libsystemd.
 * Nothing happens where NOTIFY_SOCKET is not set. And systemd's descriptor store: what is put there
 * comes back when the service starts again, however it ended (sd_pid_notify_with_fds(3)). */
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

#include "base/err.h"

#include <stdbool.h>

/* The program serves. From now on the watchdog is fed (WATCHDOG_USEC) by the timer thread: a
 * process whose timers do not run any more is killed and started again. The timer must be started.
 */
void notify_ready(void);
/* The program ends; the watchdog is fed no more. Before timer_stop(). */
void notify_stopping(void);

/* Whether there is a descriptor store: the manager says so by FDSTORE (systemd 254), the unit where
 * the manager is older. */
bool notify_can_store(void);
/* What the store gave this process under that name, close-on-exec; -1: nothing. The caller's; not
 * to be asked again. */
int notify_stored(const char *name);
/* It stays there also when its other end hangs up. The caller keeps its own. */
must_check int notify_store(const char *name, int fd, struct err *e);
void notify_unstore(const char *name);

#endif
