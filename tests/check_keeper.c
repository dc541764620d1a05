/*
 * When passes come, and that whoever waits for one is told of its end, whatever becomes of it.
 */
#include "daemon/requests.h"
#include "tests/keeping.h"

enum { ENDS_MAX = 16 };

static Keeper *keeper;
static struct {
        uint64_t number;
        WorkMode mode;
        bool failed;
} ends[ENDS_MAX];
static size_t n_ends, n_awaited;

static void on_end(void *userdata, uint64_t number, WorkMode mode, const char *failure)
{
        ck_assert_uint_lt(n_ends, ENDS_MAX);
        ends[n_ends].number = number;
        ends[n_ends].mode = mode;
        ends[n_ends++].failed = failure != NULL;
}

static bool has_ended(void)
{
        return n_ends >= n_awaited;
}

static void await_ends(size_t n)
{
        n_awaited = n;
        run_until(has_ended);
}

static void setup(void)
{
        load();
        n_ends = 0;
        ck_assert_int_eq(keeper_new(event, &state, on_end, NULL, &keeper, NULL), 0);
}

static void teardown(void)
{
        keeper = keeper_free(keeper);
        unload();
}

static void reload(void)
{
        Errors errors = {0};
        uint64_t number;

        if (keeper_reload(keeper, &errors, &number) < 0)
                ck_abort_msg("%s", errors.items[0].text);
        errors_done(&errors);
}

START_TEST(begins_at_once_and_then_rests)
{
        await_ends(1);
        ck_assert_uint_eq(ends[0].number, 1);
        ck_assert_uint_eq(ends[0].mode, WORK_ACT);
        ck_assert(!ends[0].failed && state.plan);
        for (int i = 0; i < 20; i++)
                sd_event_run(event, 5 * USEC_PER_MSEC);
        ck_assert_uint_eq(n_ends, 1);
}
END_TEST

START_TEST(each_mode_has_a_pass_of_its_own)
{
        uint64_t looked, checked, acted;

        await_ends(1);
        looked = keeper_request(keeper, WORK_LOOK);
        checked = keeper_request(keeper, WORK_CHECK);
        acted = keeper_request(keeper, WORK_ACT);
        await_ends(4);
        for (size_t i = 0; i < WORK_MODES; i++) {
                ck_assert_uint_eq(ends[1 + i].mode, i);
                ck_assert_uint_eq(ends[1 + i].number, 2 + i);
        }
        ck_assert_uint_le(acted, 2);
        ck_assert_uint_le(checked, 3);
        ck_assert_uint_le(looked, 4);
}
END_TEST

START_TEST(what_is_asked_while_a_pass_runs_is_a_later_one)
{
        sd_event_run(event, USEC_PER_SEC); /* begins the first pass */
        ck_assert_uint_eq(keeper_request(keeper, WORK_ACT), 2);
        await_ends(2);
        ck_assert_uint_eq(ends[1].number, 2);
}
END_TEST

START_TEST(a_broken_policy_holds_up_nobody_who_waits)
{
        uint64_t number;

        await_ends(1);
        write_policy("  - nonsense\n");
        for (size_t mode = 0; mode < WORK_MODES; mode++)
                keeper_request(keeper, (WorkMode)mode);
        ck_assert_int_eq(keeper_request_renewal(keeper, "one", false, &number), 0);
        await_ends(1 + WORK_MODES);
        for (size_t i = 0; i < WORK_MODES; i++) {
                ck_assert(ends[1 + i].failed);
                ck_assert_uint_eq(ends[1 + i].mode, i);
        }
        ck_assert_ptr_nonnull(state.policy_error);
        /* It was told that nothing was renewed: it is not done later, unasked. */
        write_policy("");
        reload();
        await_ends(2 + WORK_MODES);
        ck_assert(!ends[1 + WORK_MODES].failed && !state.policy_error);
        ck_assert_uint_eq(state.memory->certificates[0].attempt.failures, 0);
}
END_TEST

/* Accepts the pass's connection to the worker that the test plays. */
static int listening_fd, worker_fd;

static bool has_connection(void)
{
        uid_t uid;

        return wire_accept(listening_fd, &worker_fd, &uid, NULL) == 0;
}

static void begin_pass_with_worker(void)
{
        char path[100];

        snprintf(path, sizeof path, "%s/worker-daemon.sock", judge_directory);
        ck_assert_int_eq(wire_listen(path, 0600, &listening_fd, NULL), 0);
        run_until(has_connection);
}

START_TEST(the_policy_may_be_replaced_while_a_pass_runs)
{
        begin_pass_with_worker();
        write_policy("");
        reload();
        write_policy(two_text);
        reload();
        close(worker_fd); /* the pass goes on with the policy that it began with */
        close(listening_fd);
        await_ends(2);
        ck_assert(!ends[0].failed && !ends[1].failed);
        ck_assert_uint_eq(ends[1].number, 2);
        ck_assert_ptr_eq(state.last_policy, state.policy);
}
END_TEST

START_TEST(ends_at_once_while_a_worker_is_silent)
{
        begin_pass_with_worker();
        keeper = keeper_free(keeper);
        ck_assert_uint_eq(n_ends, 0);
        close(worker_fd);
        close(listening_fd);
}
END_TEST

START_TEST(a_renewal_that_nothing_can_issue_is_a_failed_try)
{
        uint64_t number;

        await_ends(1);
        ck_assert_int_eq(keeper_request_renewal(keeper, "two", true, &number), 0);
        await_ends(2);
        ck_assert(!state.memory->certificates[1].is_requested);
        ck_assert(!state.memory->certificates[1].is_rekey_requested);
        ck_assert_uint_eq(state.memory->certificates[1].attempt.failures, 1);
        ck_assert_ptr_nonnull(strstr(state.memory->certificates[1].attempt.error, "no worker"));
        ck_assert_uint_eq(state.memory->certificates[0].attempt.failures, 0);
}
END_TEST

START_TEST(renewals_are_taken_by_the_names_that_are_left)
{
        static const RequestedRenewal table[] = {
                {.name = (char *)"gone", .rekey = true},
                {.name = (char *)"one", .is_consent = true},
                {.name = (char *)"two", .rekey = true},
                {.name = (char *)"two"},
                {.name = (char *)"main", .is_rotation = true},
                {.name = (char *)"one", .is_rotation = true},
                {.name = (char *)"one", .rekey = true, .is_consent = true, .is_cluster = true}};
        _cleanup_(requests_done) Requests requests = {0};
        MemoryCertificate *memory = state.memory->certificates;

        ck_assert_uint_eq(requests_take_mode(&requests), WORK_ACT);
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                ck_assert_int_eq(requests_add_renewal(&requests, &table[i]), 0);
        requests_add(&requests, WORK_LOOK);
        requests_take_renewals(&requests, state.policy, state.memory);
        ck_assert(memory[0].is_requested && !memory[0].is_rekey_requested);
        ck_assert(memory[1].is_requested && memory[1].is_rekey_requested);
        ck_assert_uint_eq(requests.n_renewals, 0);
        ck_assert_uint_eq(requests_take_mode(&requests), WORK_ACT);
        ck_assert_uint_eq(requests_take_mode(&requests), WORK_LOOK);
        ck_assert(requests_is_empty(&requests));
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("keeper");
        TCase *c = tcase_create("keeper"), *end = tcase_create("end");

        tcase_add_checked_fixture(c, setup, teardown);
        tcase_set_timeout(c, 30);
        tcase_add_test(c, begins_at_once_and_then_rests);
        tcase_add_test(c, each_mode_has_a_pass_of_its_own);
        tcase_add_test(c, what_is_asked_while_a_pass_runs_is_a_later_one);
        tcase_add_test(c, a_broken_policy_holds_up_nobody_who_waits);
        tcase_add_test(c, the_policy_may_be_replaced_while_a_pass_runs);
        tcase_add_test(c, a_renewal_that_nothing_can_issue_is_a_failed_try);
        tcase_add_test(c, renewals_are_taken_by_the_names_that_are_left);
        suite_add_tcase(s, c);
        tcase_add_checked_fixture(end, setup, teardown);
        tcase_set_timeout(end, 8); /* a pass would wait 15 for its worker */
        tcase_add_test(end, ends_at_once_while_a_worker_is_silent);
        suite_add_tcase(s, end);
        return s;
}

#include "tests/check_main.h"
