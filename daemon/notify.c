#include "daemon/notify.h"

#include "common/clock.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <systemd/sd-daemon.h>

static atomic_flag is_ready = ATOMIC_FLAG_INIT;
static _Atomic int64_t progress_usec;

void notify_ready(void)
{
        if (!atomic_flag_test_and_set(&is_ready))
                sd_notify(0, "READY=1");
}

void notify_pass_begins(void)
{
        uint64_t usec;

        /* The environment keeps the unit's value, whatever was sent since. */
        if (sd_watchdog_enabled(0, &usec) > 0)
                sd_notifyf(0, "WATCHDOG=1\nWATCHDOG_USEC=%" PRIu64, usec);
        progress_usec = clock_boottime();
}

void notify_pass_ended(void)
{
        if (sd_watchdog_enabled(0, NULL) > 0)
                sd_notify(0, "WATCHDOG_USEC=0");
}

void notify_status(const char *sentence)
{
        sd_notifyf(0, "STATUS=%s", sentence);
}

void notify_progress(void)
{
        int64_t now_usec = clock_boottime();

        /* A pass over thousands of sets has thousands of steps. */
        if (now_usec < usec_add(progress_usec, USEC_PER_SEC))
                return;
        progress_usec = now_usec;
        sd_notify(0, "WATCHDOG=1");
}

void notify_stopping(void)
{
        sd_notify(0, "STOPPING=1\nSTATUS=ending");
}
