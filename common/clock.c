#include "common/clock.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <time.h>

#define STAMP "/run/systemd/timesync/synchronized"
#define STAMP_AGE_MAX (2 * 2048 * USEC_PER_SEC)

static int64_t clock_read(clockid_t id)
{
        struct timespec now;
        int r = clock_gettime(id, &now);

        assert(r == 0);
        return (int64_t)now.tv_sec * USEC_PER_SEC + now.tv_nsec / 1000;
}

int64_t clock_realtime(void)
{
        return clock_read(CLOCK_REALTIME);
}

int64_t clock_boottime(void)
{
        return clock_read(CLOCK_BOOTTIME);
}

ClockSync clock_judge_stamp(int64_t touched_usec, int64_t now_usec)
{
        int64_t age = usec_add(now_usec, -touched_usec);

        return age >= -USEC_PER_SEC && age <= STAMP_AGE_MAX ? CLOCK_SYNCHRONISED
                                                            : CLOCK_UNSYNCHRONISED;
}

ClockSync clock_synchronisation(void)
{
        struct timex timex = {0};
        struct stat stamp;
        int state = adjtimex(&timex);

        if (state >= 0)
                return state == TIME_ERROR ? CLOCK_UNSYNCHRONISED : CLOCK_SYNCHRONISED;
        if (stat(STAMP, &stamp) < 0)
                return CLOCK_SYNC_UNKNOWN;
        return clock_judge_stamp((int64_t)stamp.st_mtim.tv_sec * USEC_PER_SEC, clock_realtime());
}

const char *clock_format(int64_t realtime_usec, char buffer[CLOCK_TEXT_MAX])
{
        /* Down also before 1970: division alone rounds towards zero. */
        int64_t seconds = realtime_usec / USEC_PER_SEC - (realtime_usec % USEC_PER_SEC < 0);
        time_t time = (time_t)seconds;
        struct tm tm;

        if (realtime_usec == USEC_INFINITY || !gmtime_r(&time, &tm) ||
            strftime(buffer, CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
                strcpy(buffer, "never");
        return buffer;
}

int64_t usec_add(int64_t a, int64_t b)
{
        int64_t sum;

        if (__builtin_add_overflow(a, b, &sum))
                return a < 0 ? INT64_MIN : INT64_MAX;
        return sum;
}
