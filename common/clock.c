#include "common/clock.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

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

bool clock_is_synchronised(void)
{
        struct timex timex = {0};

        /* Where the call is not allowed (-1), nothing is known against the clock. */
        return adjtimex(&timex) != TIME_ERROR;
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
