/*
 * The commands of pgcertctl where a pass cannot do what was asked: nobody is left waiting, and
 * nothing is called done that was not.
 */
#include "daemon/answer.h"

#include "tests/keeping.h"

static Answers *answers;
static Keeper *keeper;
static Control *control;
static char path[100];

static void setup(void)
{
        load();
        snprintf(path, sizeof path, "%s/control.sock", judge_directory);
        ck_assert_int_eq(answers_new(&state, &answers, NULL), 0);
        ck_assert_int_eq(keeper_new(event, &state, answers_pass_ended, answers, &keeper, NULL), 0);
        answers_set_keeper(answers, keeper);
        ck_assert_int_eq(control_new(event, path, &answers_handler, answers, &control, NULL), 0);
}

static void teardown(void)
{
        keeper = keeper_free(keeper);
        control = control_free(control);
        answers = answers_free(answers);
        unload();
}

/* One client and its answer, both streams in one. */
static int client_fd, status;
static Text said;

static void ask(const char *command, unsigned flags, const char *name)
{
        _cleanup_(message_freep) Message *message = NULL;

        ck_assert_int_eq(message_new(&message, NULL), 0);
        ck_assert_int_eq(wire_connect(path, clock_boottime() + USEC_PER_SEC, &client_fd, NULL), 0);
        wire_request(message, WIRE_CONTROL, 0);
        wire_put_u8(message, (uint8_t)flags);
        wire_put_text(message, command);
        if (name)
                wire_put_text(message, name);
        ck_assert_int_eq(wire_send(client_fd, message, 0, NULL), 0);
        text_done(&said);
        status = -1;
}

static bool is_answered(void)
{
        _cleanup_(message_freep) Message *message = NULL;

        ck_assert_int_eq(message_new(&message, NULL), 0);
        while (status < 0 && wire_receive(client_fd, message, 0, NULL) >= 0) {
                const uint8_t *bytes;
                size_t size;
                uint8_t kind;

                ck_assert_int_eq(wire_get_reply(message, WIRE_CONTROL, NULL), 0);
                kind = wire_get_u8(message);
                if (kind == CONTROL_END) {
                        status = wire_get_u8(message);
                } else {
                        bytes = wire_get_bytes(message, CONTROL_CHUNK_MAX, &size);
                        text_add_bytes(&said, bytes, size);
                }
        }
        return status >= 0;
}

/* The answer ends with that status, and says that. */
static void expect(int exit_status, const char *part)
{
        run_until(is_answered);
        ck_assert_msg(status == exit_status && strstr(text_content(&said), part), "exit %d: %s",
                      status, text_content(&said));
        text_done(&said);
        close(client_fd);
}

static bool has_plan(void)
{
        return state.plan != NULL;
}

START_TEST(knows_its_commands_and_names)
{
        ask("status", 0, NULL);
        expect(HEALTH_UNKNOWN, "");
        run_until(has_plan);
        ask("status", CONTROL_JSON, NULL);
        expect(HEALTH_CRITICAL, "\"version\":1");
        ask("revolve", 0, NULL);
        expect(HEALTH_UNKNOWN, "does not know this command");
        ask("rotate", 0, NULL);
        expect(HEALTH_UNKNOWN, "the name of one authority");
        ask("bundle", 0, "one");
        expect(HEALTH_UNKNOWN, "the policy has no authority \"one\"");
        ask("renew", 0, "three");
        expect(HEALTH_UNKNOWN, "the policy has no certificate \"three\"");
        ask("renew", CONTROL_ALL, "two");
        expect(HEALTH_UNKNOWN, "or --all");
}
END_TEST

START_TEST(a_rollover_without_a_signer_fails)
{
        run_until(has_plan);
        ask("rotate", 0, "main");
        expect(2, "main: no new CA was made: no signer");
        ask("rotate", CONTROL_JSON, "main");
        expect(2, "\"outcome\":\"failed\",\"subject\":null,\"error\":\"no signer");
        ask("rotate", CONTROL_EMERGENCY, "main");
        expect(1, "Nothing was changed. To do it, add --yes.");
        ask("rotate", CONTROL_EMERGENCY | CONTROL_YES, "main");
        expect(2, "no signer");
        ask("rotate", CONTROL_NO_WAIT, "main");
        expect(0, "queued");
        ask("bundle", 0, "main");
        expect(HEALTH_UNKNOWN, "the CA of main is not known: no signer");
}
END_TEST

START_TEST(a_renewal_that_was_not_done_is_not_called_done)
{
        ask("renew", 0, "two");
        expect(2, "two: error: no worker for daemon");
        ask("renew", CONTROL_ALL, NULL);
        expect(2, "one: error: no worker for daemon");
        ask("renew", CONTROL_NO_WAIT, "two");
        expect(0, "queued");
}
END_TEST

START_TEST(tells_that_a_certificate_is_gone)
{
        run_until(has_plan);
        write_policy("");
        ask("renew", 0, "two");
        expect(2, "two: not renewed: the policy does not have it any more");
}
END_TEST

START_TEST(a_broken_policy_leaves_nobody_waiting)
{
        run_until(has_plan);
        write_policy("  - nonsense\n");
        ask("renew", 0, "two");
        expect(2, "nothing was renewed: the policy on disk is broken");
        ask("check", 0, NULL);
        expect(HEALTH_CRITICAL, "policy.yaml:");
        ask("plan", CONTROL_JSON, NULL);
        expect(HEALTH_CRITICAL, "\"version\":1");
        ask("reload", 0, NULL);
        expect(1, "the old one stays in force");
        write_policy("");
        ask("reload", 0, NULL);
        expect(0, "the policy is in force");
}
END_TEST

START_TEST(a_client_that_leaves_is_forgotten)
{
        run_until(has_plan);
        ask("check", 0, NULL);
        sd_event_run(event, USEC_PER_SEC);
        sd_event_run(event, USEC_PER_SEC);
        close(client_fd);
        ask("plan", 0, NULL); /* ends after the check that nobody waits for any more */
        expect(HEALTH_CRITICAL, "");
}
END_TEST

START_TEST(says_nothing_that_a_terminal_would_obey)
{
        ask("renew", 0,
            "a\033[2J\302\233"
            "31mb\177");
        expect(HEALTH_UNKNOWN, "\"a?[2J??31mb?\"");
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("answer");
        TCase *c = tcase_create("answer");

        tcase_add_checked_fixture(c, setup, teardown);
        tcase_set_timeout(c, 30);
        tcase_add_test(c, knows_its_commands_and_names);
        tcase_add_test(c, a_rollover_without_a_signer_fails);
        tcase_add_test(c, a_renewal_that_was_not_done_is_not_called_done);
        tcase_add_test(c, tells_that_a_certificate_is_gone);
        tcase_add_test(c, a_broken_policy_leaves_nobody_waiting);
        tcase_add_test(c, a_client_that_leaves_is_forgotten);
        tcase_add_test(c, says_nothing_that_a_terminal_would_obey);
        suite_add_tcase(s, c);
        return s;
}

#include "tests/check_main.h"
