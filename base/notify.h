/* Tells the service manager how the program is: sd_notify(3)'s datagrams, without libsystemd.
 * Nothing happens where NOTIFY_SOCKET is not set. */
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

/* The program serves. From now on the watchdog is fed (WATCHDOG_USEC) by the timer thread: a
 * process whose timers do not run any more is killed and started again. The timer must be started.
 */
void notify_ready(void);
/* The program ends; the watchdog is fed no more. Before timer_stop(). */
void notify_stopping(void);

#endif
