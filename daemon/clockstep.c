#include "daemon/clockstep.h"

#include "common/clock.h"

#include <assert.h>

/* Long enough for a machine's time synchronisation or its administrator to put a wrong clock right,
 * short enough that a right one costs no certificate its renewal. */
#define DOUBT_USEC (24 * 3600 * USEC_PER_SEC)

static void believe(ClockStep *step, int64_t offset_usec, ClockStepEnd end)
{
        *step = (ClockStep){.has_offset = true, .offset_usec = offset_usec, .end = end};
}

static bool is_near(int64_t a, int64_t b, int64_t max_usec)
{
        int64_t moved;

        return !__builtin_sub_overflow(a, b, &moved) && moved <= max_usec && moved >= -max_usec;
}

void clockstep_look(ClockStep *step, const ClockReading *reading, int64_t max_usec)
{
        int64_t offset = usec_add(reading->now_usec, -reading->boot_usec); /* boottime is >= 0 */

        if (!step->has_offset || is_near(offset, step->offset_usec, max_usec)) {
                believe(step, offset, step->is_doubted ? CLOCKSTEP_BACK : step->end);
                return;
        }
        /* Setting the clock makes the kernel forget that it was synchronised, so that this is said
         * by whoever looked at another clock since. */
        if (reading->is_synchronised) {
                believe(step, offset, CLOCKSTEP_SYNCHRONISED);
                return;
        }
        /* Another big step is a doubt of its own: what was waited for the last one says nothing. */
        if (!step->is_doubted || !is_near(offset, step->doubted_usec, max_usec)) {
                step->is_doubted = true;
                step->doubted_boot_usec = reading->boot_usec;
                step->doubted_usec = offset;
                step->end = CLOCKSTEP_STANDS;
        }
        if (reading->boot_usec >= clockstep_until(step))
                believe(step, offset, CLOCKSTEP_WAITED);
}

void clockstep_confirm(ClockStep *step)
{
        if (step->is_doubted)
                believe(step, step->doubted_usec, CLOCKSTEP_CONFIRMED);
}

int64_t clockstep_until(const ClockStep *step)
{
        return step->is_doubted ? usec_add(step->doubted_boot_usec, DOUBT_USEC) : USEC_INFINITY;
}

void clockstep_describe(const ClockStep *step, Text *text)
{
        char from[CLOCK_TEXT_MAX], to[CLOCK_TEXT_MAX];

        clock_format(usec_add(step->doubted_boot_usec, step->offset_usec), from);
        clock_format(usec_add(step->doubted_boot_usec, step->doubted_usec), to);
        text_addf(text,
                  "the clock said %s where %s was expected, more than max_clock_step away: nothing "
                  "is issued until it is synchronised or confirmed, or for 24 h HINT: If it is "
                  "right, say so by pgcertctl renew of any certificate; if not, set it right.",
                  to, from);
}

const char *clockstep_end_name(ClockStepEnd end)
{
        switch (end) {
        case CLOCKSTEP_STANDS:
                break;
        case CLOCKSTEP_SYNCHRONISED:
                return "it is synchronised";
        case CLOCKSTEP_CONFIRMED:
                return "a renewal was asked for, which confirms it";
        case CLOCKSTEP_BACK:
                return "it is back where it was expected";
        case CLOCKSTEP_WAITED:
                return "24 h have passed";
        }
        return "it was never doubted";
}
