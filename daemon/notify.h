/*
 * What systemd is told of the service, sd_notify(3): that it is ready, what comes next, and that a
 * pass is getting on. Every function may be called from any thread, and does nothing where no
 * NOTIFY_SOCKET is in the environment. Nothing can be done about a message that is lost, so nothing
 * is returned.
 *
 * The watchdog is armed for the length of a pass alone, so that idling wakes nobody and a pass that
 * hangs ends with the process. Its time is the unit's WatchdogSec=.
 */
#pragma once

/* Every set on disk was looked at, and what was found due was published where that was possible.
 * Told once; further calls do nothing. */
void notify_ready(void);

/* Around a pass. */
void notify_pass_begins(void);
void notify_pass_ended(void);

/* The sentence of `systemctl status`. */
void notify_status(const char *sentence);

/* The pass has come a step further: told at most once a second. */
void notify_progress(void);

void notify_stopping(void);
