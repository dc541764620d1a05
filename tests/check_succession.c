/*
 * The steps of a CA, asked of a signer that answers, refuses, or is not there: what goes over the
 * wire, what is believed afterwards, what is told, and that a failure is tried again later.
 */
#include "daemon/succession.h"

#include "common/events.h"
#include "tests/fake_peer.h"

static const char policy_text[] =
        "version: 1\n"
        "authorities:\n"
        "  main: { subject: { CN: root } }\n"
        "certificates:\n"
        "  one: { use: client, authority: main, role: app, directory: /tmp/one, owner: bin }\n";

static Policy *policy;
static Memory *first;
static Work *work;
static Fake signer;
static WireVerb heard;
static uint32_t heard_generation;
static char told_id[40], told[1024];

static void tell(void *userdata, const WorkEvent *event)
{
        snprintf(told_id, sizeof told_id, "%s", event->message_id);
        snprintf(told, sizeof told, "%s", event->sentence);
}

static void setup(void)
{
        Errors errors = {0};
        WorkInput input = {.tell = tell,
                           .places = {.policy_file = "/nonexistent", .sockets = true}};

        judge_setup();
        input.places.state_dir = input.places.runtime_dir = judge_directory;
        if (policy_parse("policy.yaml", policy_text, strlen(policy_text), &policy, &errors) < 0)
                ck_abort_msg("%s", errors.items[0].text);
        errors_done(&errors);
        ck_assert_int_eq(memory_new(policy, &first, NULL), 0);
        input.policy = input.memory_policy = policy;
        input.memory = first;
        ck_assert_int_eq(work_new(&input, &work, NULL), 0);
        heard = 0;
        heard_generation = 0;
        told[0] = told_id[0] = '\0';
}

static void teardown(void)
{
        work = work_free(work);
        first = memory_free(first);
        policy = policy_unref(policy);
        judge_teardown();
}

/* Takes the request apart, and answers with two generations. */
static void answer(int fd, Message *message)
{
        ObservedGeneration generations[2] = {
                {.number = 1, .phase = AUTHORITY_CURRENT, .subject = (char *)"CN=root G1"},
                {.number = 2, .phase = AUTHORITY_NEXT, .subject = (char *)"CN=root G2"},
        };
        ObservedAuthority authority = {
                .known = true, .generations = generations, .n_generations = 2};
        uint64_t tag;

        if (wire_get_request(message, &heard, &tag, NULL) < 0 || tag != policy->tag ||
            strcmp(wire_get_text(message, POLICY_NAME_MAX), "main") != 0)
                return;
        for (size_t i = 0; i < 2; i++)
                generations[i].der = generations[i].cross = (uint8_t *)"der",
                generations[i].der_size = 3;
        if (heard == WIRE_AUTHORITY)
                heard_generation = wire_get_u8(message);
        else if (heard != WIRE_PREPARE)
                heard_generation = wire_get_u32(message);
        wire_reply(message, heard);
        authority_put(message, &authority);
        fake_send(fd, message);
        wire_receive(fd, message, clock_boottime() + 5 * USEC_PER_SEC, NULL);
}

static void refuse(int fd, Message *message)
{
        Error error;
        uint64_t tag;

        wire_get_request(message, &heard, &tag, NULL);
        error_set(&error, EAGAIN, "it is too early");
        wire_reply_error(message, heard, &error);
        fake_send(fd, message);
        wire_receive(fd, message, clock_boottime() + 5 * USEC_PER_SEC, NULL);
}

static void run_step(Step step, FakePeer play)
{
        Plan plan = {.steps = &step, .n_steps = 1};

        step.reason = (char *)"the test wants it";
        if (play)
                fake_start(&signer, "signer.sock", play);
        ck_assert_int_eq(succession_run(work, &plan, NULL), 0);
        peers_done(&work->peers);
        peers_init(&work->peers, &work->input.places);
        if (play)
                fake_stop(&signer);
}

static const struct {
        Step step;
        WireVerb verb;
        uint32_t generation;
        const char *message_id, *sentence;
} table[] = {
        {{.verb = STEP_AUTHORITY}, WIRE_AUTHORITY, 1, EVENT_CA_CREATED, "CN=root G1"},
        {{.verb = STEP_AUTHORITY, .is_next = true}, WIRE_AUTHORITY, 2, EVENT_CA_CREATED, "made"},
        {{.verb = STEP_PREPARE}, WIRE_PREPARE, 0, EVENT_CA_PREPARED, "CN=root G2"},
        {{.verb = STEP_ANNOUNCE, .generation = 2},
         WIRE_ANNOUNCE,
         2,
         EVENT_CA_ANNOUNCED,
         "pgcertctl bundle main"},
        {{.verb = STEP_ACTIVATE, .generation = 2},
         WIRE_ACTIVATE,
         2,
         EVENT_CA_ACTIVATED,
         "CN=root G2 signs from now on"},
        {{.verb = STEP_RETIRE, .generation = 7},
         WIRE_RETIRE,
         7,
         EVENT_CA_RETIRED,
         "a former CA is trusted no longer"},
        {{.verb = STEP_EMERGENCY, .generation = 1},
         WIRE_EMERGENCY,
         1,
         EVENT_CA_REPLACED,
         "generation 1 was called stolen"},
};

START_TEST(each_step_is_asked_for_and_its_answer_believed)
{
        run_step(table[_i].step, answer);
        ck_assert_int_eq(heard, table[_i].verb);
        ck_assert_uint_eq(heard_generation, table[_i].generation);
        ck_assert_str_eq(told_id, table[_i].message_id);
        ck_assert_msg(strstr(told, table[_i].sentence) != NULL, "%s", told);
        ck_assert(work->did_steps);
        ck_assert_uint_eq(work->observation->authorities[0].n_generations, 2);
        ck_assert_uint_eq(work->memory->authorities[0].attempt.failures, 0);
}
END_TEST

START_TEST(a_refusal_is_told_and_tried_again_later)
{
        for (unsigned i = 0; i < 2; i++) {
                run_step(table[_i].step, i == 0 ? refuse : NULL);
                ck_assert_str_eq(told_id, EVENT_FAILED);
                ck_assert_msg(strstr(told, i == 0 ? "it is too early" : "no signer") != NULL, "%s",
                              told);
                ck_assert_uint_eq(work->memory->authorities[0].attempt.failures, i + 1);
                ck_assert(attempt_is_waiting(&work->memory->authorities[0].attempt,
                                             clock_boottime()));
        }
        ck_assert(!work->did_steps);
        ck_assert(!work->observation->authorities[0].known);
}
END_TEST

START_TEST(what_was_asked_for_is_one_try)
{
        MemoryAuthority *memory = &work->memory->authorities[0];

        memory->is_rotate_requested = memory->is_emergency_confirmed = true;
        succession_settle(work);
        ck_assert(!memory->is_rotate_requested && !memory->is_emergency_confirmed);
        ck_assert(succession_has(STEP_RETIRE) && !succession_has(STEP_ADOPT));
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("succession");
        TCase *c = tcase_create("succession");

        tcase_add_checked_fixture(c, setup, teardown);
        tcase_add_loop_test(c, each_step_is_asked_for_and_its_answer_believed, 0,
                            ELEMENTSOF(table));
        tcase_add_loop_test(c, a_refusal_is_told_and_tried_again_later, 0, ELEMENTSOF(table));
        tcase_add_test(c, what_was_asked_for_is_one_try);
        suite_add_tcase(s, c);
        return s;
}

#include "tests/check_main.h"
