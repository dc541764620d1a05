/*
 * Which steps of the clock are believed, and what a doubt does to the plan.
 */
#include "tests/world.h"

#define BOOT (100 * SECOND)

/* One look: how far the clock is from where the first look saw it. */
typedef struct Look {
        int64_t after_usec; /* boottime since the look before */
        int64_t offset_usec;
        bool is_synchronised;
        bool is_confirmed; /* before the look */
        bool is_doubted;   /* after it */
        ClockStepEnd end;
} Look;

enum { LOOKS_MAX = 6 };

static const struct {
        const char *name;
        int64_t max_usec;
        Look looks[LOOKS_MAX];
} cases[] = {
        {"no step",
         DAY,
         {{.after_usec = 900 * SECOND, .offset_usec = 0},
          {.after_usec = 30 * DAY, .offset_usec = 0}}},
        {"drift",
         DAY,
         {{.after_usec = DAY, .offset_usec = 1},
          {.after_usec = DAY, .offset_usec = SECOND},
          {.after_usec = DAY, .offset_usec = -SECOND}}},
        {"as far as is allowed",
         DAY,
         {{.after_usec = 1, .offset_usec = DAY},
          {.after_usec = 1, .offset_usec = 0},
          {.after_usec = 1, .offset_usec = -DAY},
          {.after_usec = 1, .offset_usec = 0}}},
        {"small steps add up",
         DAY,
         {{.after_usec = 1, .offset_usec = DAY},
          {.after_usec = 1, .offset_usec = 2 * DAY},
          {.after_usec = 1, .offset_usec = 3 * DAY},
          {.after_usec = 1, .offset_usec = 4 * DAY}}},
        {"one too far", DAY, {{.after_usec = 1, .offset_usec = DAY + 1, .is_doubted = true}}},
        {"one too far back", DAY, {{.after_usec = 1, .offset_usec = -DAY - 1, .is_doubted = true}}},
        {"another allowance",
         30 * DAY,
         {{.after_usec = 1, .offset_usec = 30 * DAY},
          {.after_usec = 1, .offset_usec = -SECOND, .is_doubted = true}}},
        {"synchronised",
         DAY,
         {{.after_usec = 1,
           .offset_usec = 9 * YEAR,
           .is_synchronised = true,
           .end = CLOCKSTEP_SYNCHRONISED},
          {.after_usec = 1, .offset_usec = 9 * YEAR, .end = CLOCKSTEP_SYNCHRONISED}}},
        {"synchronised later",
         DAY,
         {{.after_usec = 1, .offset_usec = 9 * YEAR, .is_doubted = true},
          {.after_usec = 1,
           .offset_usec = 9 * YEAR,
           .is_synchronised = true,
           .end = CLOCKSTEP_SYNCHRONISED},
          {.after_usec = 1, .offset_usec = 9 * YEAR, .end = CLOCKSTEP_SYNCHRONISED}}},
        {"taken back",
         DAY,
         {{.after_usec = 1, .offset_usec = 9 * YEAR, .is_doubted = true},
          {.after_usec = 1, .offset_usec = DAY, .end = CLOCKSTEP_BACK},
          {.after_usec = 1, .offset_usec = 2 * DAY, .end = CLOCKSTEP_BACK}}},
        {"confirmed",
         DAY,
         {{.after_usec = 1, .offset_usec = 9 * YEAR, .is_doubted = true},
          {.after_usec = 1,
           .offset_usec = 9 * YEAR,
           .is_confirmed = true,
           .end = CLOCKSTEP_CONFIRMED},
          {.after_usec = 1, .offset_usec = 9 * YEAR + DAY, .end = CLOCKSTEP_CONFIRMED}}},
        {"what was told is confirmed, no step since",
         DAY,
         {{.after_usec = 1, .offset_usec = 9 * YEAR, .is_doubted = true},
          {.after_usec = 1, .offset_usec = 5 * YEAR, .is_confirmed = true, .is_doubted = true}}},
        {"confirming nothing",
         DAY,
         {{.after_usec = 1, .offset_usec = 9 * YEAR, .is_confirmed = true, .is_doubted = true}}},
        {"waited",
         DAY,
         {{.after_usec = 1, .offset_usec = 9 * YEAR, .is_doubted = true},
          {.after_usec = DAY - 1, .offset_usec = 9 * YEAR, .is_doubted = true},
          {.after_usec = 1, .offset_usec = 9 * YEAR, .end = CLOCKSTEP_WAITED}}},
        {"another step waits anew",
         DAY,
         {{.after_usec = 1, .offset_usec = 9 * YEAR, .is_doubted = true},
          {.after_usec = DAY - 1, .offset_usec = 5 * YEAR, .is_doubted = true},
          {.after_usec = DAY - 1, .offset_usec = 5 * YEAR + DAY, .is_doubted = true},
          {.after_usec = 1, .offset_usec = 5 * YEAR, .end = CLOCKSTEP_WAITED}}},
};

START_TEST(believes_what_can_be_believed)
{
        ClockStep step = {0};
        ClockReading reading = {.now_usec = START, .boot_usec = BOOT};

        clockstep_look(&step, &reading, cases[_i].max_usec);
        ck_assert(!step.is_doubted);
        for (size_t i = 0; i < LOOKS_MAX && cases[_i].looks[i].after_usec > 0; i++) {
                const Look *look = &cases[_i].looks[i];

                if (look->is_confirmed)
                        clockstep_confirm(&step);
                reading.boot_usec += look->after_usec;
                reading.now_usec = reading.boot_usec + START - BOOT + look->offset_usec;
                reading.is_synchronised = look->is_synchronised;
                clockstep_look(&step, &reading, cases[_i].max_usec);
                ck_assert_msg(step.is_doubted == look->is_doubted && step.end == look->end,
                              "%s, look %zu: %d, %s", cases[_i].name, i, step.is_doubted,
                              clockstep_end_name(step.end));
        }
}
END_TEST

START_TEST(a_reading_at_the_ends_of_the_range_is_a_step)
{
        ClockStep step = {0};

        clockstep_look(&step, &(ClockReading){.now_usec = START, .boot_usec = 0}, DAY);
        clockstep_look(&step, &(ClockReading){.now_usec = INT64_MIN, .boot_usec = 1}, DAY);
        ck_assert(step.is_doubted);
        clockstep_look(&step, &(ClockReading){.now_usec = INT64_MAX, .boot_usec = 2}, DAY);
        ck_assert(step.is_doubted);
        ck_assert_int_eq(step.doubted_boot_usec, 2);
}
END_TEST

/* A world that was looked at, whose clock then jumps. */
static void jump(World *world, int64_t usec)
{
        ClockReading reading = {.now_usec = world->now, .boot_usec = world->boot};

        clockstep_look(&world->memory->clock, &reading, DAY);
        reading.now_usec = world->now += usec;
        clockstep_look(&world->memory->clock, &reading, DAY);
}

START_TEST(says_both_times_and_the_same_as_long_as_it_lasts)
{
        _cleanup_(text_done) Text first = {0}, later = {0};
        _cleanup_(world_done) World world;

        world_init(&world, 1, 0, 0, 1);
        jump(&world, 21 * DAY);
        clockstep_describe(&world.memory->clock, &first);
        ck_assert_ptr_nonnull(
                strstr(text_content(&first),
                       "said 2026-01-22T00:00:00Z where 2026-01-01T00:00:00Z was expected"));
        ck_assert_ptr_nonnull(strstr(text_content(&first), "HINT: "));
        clockstep_look(
                &world.memory->clock,
                &(ClockReading){.now_usec = world.now + HOUR, .boot_usec = world.boot + HOUR}, DAY);
        clockstep_describe(&world.memory->clock, &later);
        ck_assert_str_eq(text_content(&first), text_content(&later));
}
END_TEST

static const struct {
        const char *name;
        int64_t usec;
        uint32_t defects;
        bool absent;
        CertificateState state;
        Health health;
        const char *steps;
} plans[] = {
        {"nothing due", 2 * DAY, 0, false, CERTIFICATE_OK, HEALTH_OK, ""},
        {"due", 21 * DAY, 0, false, CERTIFICATE_HELD, HEALTH_WARNING, ""},
        {"at risk", 26 * DAY, 0, false, CERTIFICATE_HELD, HEALTH_CRITICAL, ""},
        {"expired", 31 * DAY, 0, false, CERTIFICATE_EXPIRED, HEALTH_CRITICAL, ""},
        {"not valid yet", -2 * DAY, 0, false, CERTIFICATE_HELD, HEALTH_CRITICAL, ""},
        {"no set yet", 2 * DAY, 0, true, CERTIFICATE_HELD, HEALTH_WARNING, ""},
        {"a name is missing", 2 * DAY, SET_LINKS, false, CERTIFICATE_DUE, HEALTH_OK,
         "publish server"},
        {"a name is missing, due", 21 * DAY, SET_LINKS, false, CERTIFICATE_DUE, HEALTH_OK,
         "publish server"},
        {"mode", 2 * DAY, SET_MODE, false, CERTIFICATE_HELD, HEALTH_WARNING, ""},
};

START_TEST(issues_nothing_while_it_is_doubted)
{
        _cleanup_(world_done) World world;
        _cleanup_(plan_freep) Plan *plan = NULL, *confirmed = NULL;
        _cleanup_(freep) char *steps = NULL;
        const PlanCertificate *row;

        world_init(&world, 1, 0, 0, 1);
        world_settle(&world);
        if (plans[_i].absent)
                world.observation->sets[0] = (ObservedSet){.state = SET_ABSENT};
        world.observation->sets[0].defects = plans[_i].defects;
        jump(&world, plans[_i].usec);
        plan = world_plan(&world);
        steps = world_steps(&world, plan);
        row = &plan->certificates[0];
        ck_assert_msg(row->state == plans[_i].state && row->health == plans[_i].health,
                      "%s: %s, %s", plans[_i].name, certificate_state_name(row->state),
                      health_name(row->health));
        ck_assert_msg(strcmp(steps, plans[_i].steps) == 0, "%s: %s", plans[_i].name, steps);
        if (row->state == CERTIFICATE_HELD)
                ck_assert_ptr_nonnull(strstr(row->error, "nothing is issued"));
        /* The doubt's end is looked at in time. */
        ck_assert_int_le(plan->next_boot_usec, world.boot + DAY);
        clockstep_confirm(&world.memory->clock);
        confirmed = world_plan(&world);
        ck_assert_int_ne(confirmed->certificates[0].state, CERTIFICATE_HELD);
        ck_assert(row->state != CERTIFICATE_HELD || confirmed->n_steps > 0);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("clockstep");
        TCase *tcase = tcase_create("clockstep");

        tcase_add_loop_test(tcase, believes_what_can_be_believed, 0, (int)ELEMENTSOF(cases));
        tcase_add_test(tcase, a_reading_at_the_ends_of_the_range_is_a_step);
        tcase_add_test(tcase, says_both_times_and_the_same_as_long_as_it_lasts);
        tcase_add_loop_test(tcase, issues_nothing_while_it_is_doubted, 0, (int)ELEMENTSOF(plans));
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
