/*
 * What `rotate` and `bundle` answer at each point of a rollover.
 */
#include "daemon/rotation.h"

#include "tests/report_scene.h"

#include "common/pem.h"

static ObservedGeneration generations[3];
static MemoryAuthority memory;
static Step steps[1];
static Scene scene;

static void setup(void)
{
        set_scene(&scene);
        for (uint32_t i = 0; i < 3; i++) {
                generations[i] = scene.generation;
                generations[i].number = i + 1;
                generations[i].der = (uint8_t *)(i == 0 ? "old" : i == 1 ? "new" : "any");
                generations[i].der_size = 3;
        }
        generations[0].subject = (char *)"CN=root G1";
        generations[1].subject = (char *)"CN=root G2";
        generations[2].subject = (char *)"CN=root G3";
        generations[1].phase = AUTHORITY_NEXT;
        memory = (MemoryAuthority){0};
        scene.memory.authorities = &memory;
        scene.memory.n_authorities = 1;
        scene.observed_authority.generations = generations;
        scene.observed_authority.n_generations = 2;
        scene.planned_authority = (PlanAuthority){
                .next_verb = STEP_ACTIVATE, .next_generation = 2, .next_usec = NOW + 7 * DAY};
        scene.plan.steps = steps;
        scene.plan.n_steps = 0;
}

static void expect(bool is_emergency, uint32_t before, int status, const char *part)
{
        _cleanup_(text_done) Text text = {0}, json = {0};

        ck_assert_int_eq(rotation_outcome(&scene.report, 0, is_emergency, before, &text), status);
        ck_assert_msg(strstr(text_content(&text), part) != NULL, "%s", text_content(&text));
        ck_assert_int_eq(rotation_outcome_json(&scene.report, 0, is_emergency, before, &json),
                         status);
}

START_TEST(is_done_when_the_next_ca_is_in_every_bundle)
{
        setup();
        ck_assert_uint_eq(rotation_newest(&scene.report, 0), 2);
        ck_assert(rotation_is_under_way(&scene.report, 0, false));
        ck_assert(!rotation_is_under_way(&scene.report, 0, true));
        scene.planned_authority.waits_for = (char *)"cluster main";
        expect(false, 1, 1, "waits: cluster main; next: activate the next CA at 2026-12-09");
        steps[0] = (Step){.verb = STEP_PUBLISH};
        scene.plan.n_steps = 1;
        ck_assert_int_eq(rotation_judge(&scene.report, 0, false, 1), ROTATION_GOING);
        steps[0].verb = STEP_LOGIN; /* changes nothing */
        ck_assert_int_eq(rotation_judge(&scene.report, 0, false, 1), ROTATION_WAITS);
        generations[1].announced_usec = NOW;
        expect(false, 1, 0, "the rollover to CN=root G2 is under way: it is in every trust bundle");
        generations[1].phase = AUTHORITY_CURRENT;
        expect(false, 1, 0, "CN=root G2 signs now");
}
END_TEST

START_TEST(fails_where_no_ca_was_made)
{
        setup();
        scene.observed_authority.n_generations = 1;
        memory.attempt.error = (char *)"the disk is full";
        expect(false, 1, 2, "main: no new CA was made: the disk is full");
        steps[0] = (Step){.verb = STEP_PREPARE};
        scene.plan.n_steps = 1;
        ck_assert_int_eq(rotation_judge(&scene.report, 0, false, 1), ROTATION_GOING);
        scene.report.observation = NULL;
        scene.report.plan = NULL;
        expect(false, 0, 2, "no new CA was made");
}
END_TEST

START_TEST(an_emergency_is_over_when_the_stolen_ca_is_gone)
{
        setup();
        generations[0].is_stolen = true;
        generations[0].phase = AUTHORITY_RETIRING;
        generations[1].phase = AUTHORITY_CURRENT;
        ck_assert(rotation_is_under_way(&scene.report, 0, true));
        scene.planned_authority.waits_for = (char *)"certificate app";
        expect(true, 1, 1, "waits: certificate app");
        generations[0] = generations[1];
        scene.observed_authority.n_generations = 1;
        expect(true, 1, 0, "CN=root G2 signs now");
}
END_TEST

START_TEST(the_bundle_is_what_is_to_be_trusted)
{
        static const ObservedAnchor foreign = {
                .subject = (char *)"CN=foreign", .der = (uint8_t *)"far", .der_size = 3};
        _cleanup_(text_done) Text text = {0}, expected = {0}, json = {0};

        setup();
        scene.observed_authority.n_generations = 3;
        generations[0].is_stolen = true;
        generations[0].phase = AUTHORITY_RETIRING;
        scene.observed_authority.trust = (ObservedAnchor *)&foreign;
        scene.observed_authority.n_trust = 1;
        pem_add_certificate(&expected, (const uint8_t *)"new", 3);
        pem_add_certificate(&expected, (const uint8_t *)"any", 3);
        pem_add_certificate(&expected, (const uint8_t *)"far", 3);
        ck_assert_int_eq(rotation_bundle(&scene.report, 0, &text), 0);
        ck_assert_str_eq(text_content(&text), text_content(&expected));
        ck_assert_int_eq(rotation_bundle_json(&scene.report, 0, &json), 0);
        ck_assert_ptr_nonnull(strstr(text_content(&json), "\"subject\":\"CN=foreign\""));
        ck_assert_ptr_null(strstr(text_content(&json), "root G1"));
        scene.observed_authority.known = false;
        ck_assert_int_eq(rotation_bundle(&scene.report, 0, &text), HEALTH_UNKNOWN);
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("rotation");
        TCase *c = tcase_create("rotation");

        tcase_add_test(c, is_done_when_the_next_ca_is_in_every_bundle);
        tcase_add_test(c, fails_where_no_ca_was_made);
        tcase_add_test(c, an_emergency_is_over_when_the_stolen_ca_is_gone);
        tcase_add_test(c, the_bundle_is_what_is_to_be_trusted);
        suite_add_tcase(s, c);
        return s;
}

#include "tests/check_main.h"
