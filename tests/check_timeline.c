#include "daemon/timeline.h"

#include "daemon/report.h"
#include "tests/world.h"

/* The timeline of the world as it is. */
static void look_ahead(const World *world, int64_t until, Timeline *ret)
{
        PlanInput input = {
                .policy = &world->policy,
                .observation = world->observation,
                .memory = world->memory,
                .now_usec = world->now,
                .boot_usec = world->boot,
                .host = "db1.example.com",
        };
        Error error = {0};

        ck_assert_msg(timeline_make(&input, until, ret, &error) == 0, "%s", error.text);
}

static size_t count(const Timeline *timeline, StepVerb verb, size_t object)
{
        size_t n = 0;

        for (size_t i = 0; i < timeline->n; i++)
                n += timeline->items[i].step.verb == verb &&
                     timeline->items[i].step.object == object;
        return n;
}

/* The first row of a verb from a time on. */
static const TimelineRow *find(const Timeline *timeline, StepVerb verb, int64_t from)
{
        for (size_t i = 0; i < timeline->n; i++)
                if (timeline->items[i].step.verb == verb && timeline->items[i].at_usec >= from)
                        return &timeline->items[i];
        ck_abort_msg("no %s", step_verb_name(verb));
}

static void prepare(World *world)
{
        world_init(world, 1, 1, 1, 1);
        world->policy.authorities[0].lifetime_usec = YEAR;
        world->policy.authorities[0].renew_before_usec = 120 * DAY;
        world->policy.authorities[0].distribute_usec = 7 * DAY;
        world_settle(world);
}

START_TEST(a_ca_goes_through_its_turns)
{
        _cleanup_(world_done) World world;
        _cleanup_(timeline_done) Timeline timeline = {0};
        const TimelineRow *row;
        int64_t end, at;

        prepare(&world);
        end = world.observation->authorities[0].generations[0].facts.not_after_usec;
        look_ahead(&world, START + 2 * YEAR, &timeline);
        row = find(&timeline, STEP_PREPARE, 0);
        at = row->at_usec;
        ck_assert_int_eq(at, end - 120 * DAY);
        ck_assert_int_eq(find(&timeline, STEP_TRUST, 0)->at_usec, at);
        ck_assert_int_eq(find(&timeline, STEP_ANNOUNCE, 0)->at_usec, at);
        ck_assert_int_eq(find(&timeline, STEP_ACTIVATE, 0)->at_usec, at + 7 * DAY);
        ck_assert_int_gt(find(&timeline, STEP_RETIRE, 0)->at_usec, at + 7 * DAY);
        ck_assert_int_lt(find(&timeline, STEP_RETIRE, 0)->at_usec, end);
        for (size_t i = 0; i < timeline.n; i++) {
                ck_assert_uint_gt(strlen(timeline.items[i].step.reason), 0);
                ck_assert(i == 0 || timeline.items[i - 1].at_usec <= timeline.items[i].at_usec);
        }
        ck_assert(!timeline.is_cut);
        ck_assert_int_eq(timeline.until_usec, START + 2 * YEAR);
}
END_TEST

/* What the plan would do, made at every deadline, is what was foretold. */
START_TEST(it_is_what_the_plan_does)
{
        _cleanup_(world_done) World world;
        _cleanup_(timeline_done) Timeline timeline = {0};
        size_t issued;

        prepare(&world);
        look_ahead(&world, START + YEAR / 2, &timeline);
        issued = count(&timeline, STEP_ISSUE, 0) + count(&timeline, STEP_ISSUE, 1);
        world.issued = world.loads = 0;
        while (world.now < START + YEAR / 2) {
                _cleanup_(plan_freep) Plan *plan = world_plan(&world), *after = NULL;
                int64_t next;

                world_apply(&world, plan);
                after = world_plan(&world);
                next = after->next_usec < START + YEAR / 2 ? after->next_usec : START + YEAR / 2;
                world.boot += next - world.now;
                world.now = next;
        }
        ck_assert_uint_eq(issued, world.issued);
        ck_assert_uint_eq(count(&timeline, STEP_LOAD, 0), world.loads);
}
END_TEST

START_TEST(what_is_due_now_comes_first)
{
        _cleanup_(world_done) World world;
        _cleanup_(timeline_done) Timeline timeline = {0};

        world_init(&world, 1, 1, 1, 1);
        look_ahead(&world, START, &timeline);
        ck_assert_uint_gt(timeline.n, 0);
        ck_assert_int_eq(timeline.items[0].step.verb, STEP_AUTHORITY);
        ck_assert_uint_eq(count(&timeline, STEP_ISSUE, 0), 1);
        ck_assert_uint_eq(count(&timeline, STEP_LOAD, 0), 1);
        for (size_t i = 0; i < timeline.n; i++)
                ck_assert_int_eq(timeline.items[i].at_usec, START);
}
END_TEST

/* What was observed is not what is changed. */
START_TEST(it_works_on_a_copy)
{
        _cleanup_(world_done) World world;
        _cleanup_(timeline_done) Timeline timeline = {0};
        int64_t end;

        prepare(&world);
        end = world.observation->sets[0].leaf.not_after_usec;
        look_ahead(&world, START + 5 * YEAR, &timeline);
        ck_assert_uint_eq(world.observation->authorities[0].n_generations, 1);
        ck_assert_int_eq(world.observation->sets[0].leaf.not_after_usec, end);
}
END_TEST

START_TEST(short_lives_are_cut)
{
        _cleanup_(world_done) World world;
        _cleanup_(timeline_done) Timeline timeline = {0};

        prepare(&world);
        for (size_t i = 0; i < 2; i++) {
                world.policy.certificates[i].lifetime_usec = HOUR;
                world.policy.certificates[i].renew_before_usec = HOUR / 3;
        }
        look_ahead(&world, START + 20 * YEAR, &timeline);
        ck_assert(timeline.is_cut);
        ck_assert_uint_eq(timeline.n, TIMELINE_ROWS_MAX);
        ck_assert_int_eq(timeline.until_usec, timeline.items[timeline.n - 1].at_usec);
        ck_assert_int_lt(timeline.until_usec, START + 20 * YEAR);
}
END_TEST

START_TEST(it_is_told_as_text_and_as_json)
{
        _cleanup_(world_done) World world;
        _cleanup_(plan_freep) Plan *plan = NULL;
        _cleanup_(text_done) Text text = {0}, json = {0};
        Report report;

        prepare(&world);
        plan = world_plan(&world);
        report = (Report){.policy = &world.policy,
                          .observation = world.observation,
                          .memory = world.memory,
                          .plan = plan,
                          .now_usec = world.now};
        report_timeline(&report, "db1.example.com", START + 300 * DAY, &text);
        ck_assert(strstr(text_content(&text), " prepare authority main: ") != NULL);
        ck_assert(strstr(text_content(&text), " issue certificate server: ") != NULL);
        report_timeline_json(&report, "db1.example.com", START + 300 * DAY, &json);
        ck_assert(strstr(text_content(&json), "{\"version\":1,\"steps\":[{\"at\":\"2026-") ==
                  text_content(&json));
        ck_assert(strstr(text_content(&json), "\"complete\":true,\"error\":null") != NULL);
        report.plan = NULL;
        text_done(&text);
        text = (Text){0};
        report_timeline(&report, "db1.example.com", START + DAY, &text);
        ck_assert(strstr(text_content(&text), "no pass has finished yet") != NULL);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("timeline");
        TCase *tcase = tcase_create("ahead");

        tcase_add_test(tcase, a_ca_goes_through_its_turns);
        tcase_add_test(tcase, it_is_what_the_plan_does);
        tcase_add_test(tcase, what_is_due_now_comes_first);
        tcase_add_test(tcase, it_works_on_a_copy);
        tcase_add_test(tcase, short_lives_are_cut);
        tcase_add_test(tcase, it_is_told_as_text_and_as_json);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
