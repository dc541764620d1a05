/*
 * The rollover of CAs over simulated years: cases that were thought of, and those of chance. Each
 * rule is also broken on purpose, to see that somebody notices.
 */
#include "tests/simulation/chance.h"

#include <check.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DAY USEC_PER_DAY

enum { SEEDS = 200, SEEDS_A_TEST = 10, SEEDS_OF_A_BREAK = 60, SEEDS_ON_FILES = 4 };

/* A server and a client that it verifies, of a CA that is followed as late as rule 9 allows. */
static void simple(Spec *spec)
{
        *spec = (Spec){
                .check_every = 15 * USEC_PER_MINUTE,
                .backdate = 5 * USEC_PER_MINUTE,
                .authorities = {{.lifetime = 200 * DAY, .distribute = 7 * DAY}},
                .n_authorities = 1,
                .certificates = {{.name = 0, .lifetime = 60 * DAY, .renew_before = 20 * DAY},
                                 {.name = 1,
                                  .is_client = true,
                                  .lifetime = 30 * DAY,
                                  .renew_before = 10 * DAY}},
                .n_certificates = 2,
                .clusters = {{.certificate = 0, .as = {1}, .n_as = 1}},
                .n_clusters = 1,
                .n_names = 2,
        };
        for (size_t i = 0; i < spec->n_certificates; i++)
                spec->certificates[i].rekey = USEC_PER_YEAR;
        spec->authorities[0].renew_before =
                7 * DAY + 20 * DAY + spec->backdate + 2 * spec->check_every;
}

static Life *begin(Break broken)
{
        Spec spec;
        Life *life;

        simple(&spec);
        life = life_new(&spec, 1, broken);
        ck_assert_ptr_nonnull(life);
        return life;
}

static bool run_days(Life *life, int64_t days)
{
        return life_run(life, life->now + days * DAY);
}

/* The newest generation of a phase; NULL for none. */
static const ObservedGeneration *find(Life *life, AuthorityPhase phase)
{
        site_observe(&life->site, &life->spec, life->policy, life->signer, life->observation);
        return authority_find(&life->observation->authorities[0], phase);
}

static void live_for_years(Life *life)
{
        if (life_run(life, LIFE_START + 10 * USEC_PER_YEAR) && life->broken == BREAK_NOTHING) {
                /* 200 d - 27 d for each, and one that is under way. */
                ck_assert_uint_ge(life->activations, 20);
                ck_assert_uint_le(life->activations, 22);
                ck_assert_uint_ge(life->retirements, life->activations - 1);
        }
}

/* Asked for, and then a client that is renewed as soon as it may be. */
static void rotate_in_a_hurry(Life *life)
{
        run_days(life, 5);
        life_rotate(life, 0);
        for (unsigned hour = 0; hour < 10 * 24 && !life->failure[0]; hour += 6) {
                life_request(life, 1, false);
                life_run(life, life->now + USEC_PER_HOUR * 6);
        }
        if (life->broken == BREAK_NOTHING)
                ck_assert_uint_eq(life->activations, 1);
}

/* The next CA is made, and lies there for five days before any bundle holds it. */
static void announce_late(Life *life)
{
        run_days(life, 5);
        life_stop(life, LIFE_WORKERS, 5 * DAY);
        life_rotate(life, 0);
        for (unsigned day = 0; day < 14 && !life->failure[0]; day++) {
                run_days(life, 1);
                life_request(life, 1, false);
        }
        run_days(life, 1);
        if (life->broken == BREAK_NOTHING)
                ck_assert_uint_eq(life->activations, 1);
}

/* PostgreSQL cannot be told to load for weeks: what lies on disk holds the next CA, what is served
 * does not, and clients that get leaves of the next one would be locked out. */
static void server_does_not_load(Life *life)
{
        const ObservedGeneration *next;

        run_days(life, 1);
        life_set_loading(life, 0, true, false);
        life_rotate(life, 0);
        for (unsigned day = 0; day < 28 && !life->failure[0]; day++) {
                run_days(life, 1);
                life_request(life, 1, false);
        }
        if (life->broken == BREAK_NOTHING) {
                next = find(life, AUTHORITY_NEXT);
                ck_assert_ptr_nonnull(next);
                ck_assert_uint_eq(life->activations, 0);
        }
        life_set_loading(life, 0, false, false);
        run_days(life, 8);
        if (life->broken == BREAK_NOTHING)
                ck_assert_uint_eq(life->activations, 1);
}

/* The same where it is told, keeps what it had, and the old set is put back each time. */
static void server_refuses(Life *life)
{
        run_days(life, 1);
        life_set_loading(life, 0, false, true);
        life_rotate(life, 0);
        run_days(life, 28);
        life_set_loading(life, 0, false, false);
        run_days(life, 10);
        if (life->broken == BREAK_NOTHING)
                ck_assert_uint_eq(life->activations, 1);
}

/* A second one is asked for during the first, and again right after it. */
static void rotate_again_and_again(Life *life)
{
        run_days(life, 5);
        for (unsigned i = 0; i < 40 && !life->failure[0]; i++) {
                life_rotate(life, 0);
                run_days(life, 2);
        }
        run_days(life, 300);
}

/* Beyond what is promised: the CA has expired when the machine is started again. Who holds a copy
 * cannot be helped; what is here is in order at once, and copies after distribute. */
static void machine_is_off_for_a_year(Life *life)
{
        run_days(life, 100);
        life_stop(life, LIFE_PGCERTD, 365 * DAY);
        readers_excuse(&life->readers, 0, life->now + (365 + 7) * DAY + USEC_PER_HOUR);
        run_days(life, 365 + 8);
        run_days(life, 400);
}

/* Readers here never fail while a stolen CA is replaced. */
static void key_is_stolen(Life *life)
{
        run_days(life, 30);
        life_steal(life, 0);
        readers_excuse(&life->readers, 0, life->now + 7 * DAY + USEC_PER_HOUR);
        life_run(life, life->now + USEC_PER_HOUR);
        if (life->broken == BREAK_NOTHING && !life->failure[0]) {
                /* Whoever reads on this machine is served at once: a client of the new CA alone. */
                size_t n;

                papers_anchors(life->papers, life->site.disks[1].now.bundle, &n);
                ck_assert_uint_eq(n, 1);
                ck_assert(life->site.servers[0].served.leaf == life->site.disks[0].now.leaf);
                ck_assert_ptr_null(find(life, AUTHORITY_RETIRING));
        }
        run_days(life, 300);
}

/* The signer is away until the CA has less left than a leaf has to be renewed before: leaves that
 * end with it wait for the next one. */
static void followed_late(Life *life)
{
        run_days(life, 172);
        life_request(life, 1, false); /* or it would be due meanwhile */
        life_run(life, life->now + USEC_PER_HOUR);
        life_stop(life, LIFE_SIGNER, 11 * DAY);
        run_days(life, 300);
}

static void policy_changes_in_the_middle(Life *life)
{
        Spec spec = life->spec;

        run_days(life, 5);
        life_rotate(life, 0);
        run_days(life, 2);
        spec.authorities[0].distribute = 3 * DAY;
        life_change(life, &spec);
        run_days(life, 30);
        spec.authorities[0].subject++;
        life_change(life, &spec);
        run_days(life, 1);
        spec.certificates[spec.n_certificates++] = (SpecCertificate){.name = spec.n_names++,
                                                                     .is_client = true,
                                                                     .lifetime = 40 * DAY,
                                                                     .renew_before = 12 * DAY,
                                                                     .rekey = USEC_PER_YEAR};
        life_change(life, &spec);
        run_days(life, 20);
        if (life->broken == BREAK_NOTHING)
                ck_assert_uint_eq(life->activations, 2);
        spec.n_certificates--;
        spec.certificates[0].lifetime = 50 * DAY;
        life_change(life, &spec);
        run_days(life, 300);
}

/* pgcertd is killed somewhere within every second pass. */
static void killed_all_the_time(Life *life)
{
        life->kill_percent = 50;
        life_run(life, LIFE_START + 3 * USEC_PER_YEAR);
}

static void (*const cases[])(Life *life) = {
        live_for_years,
        rotate_in_a_hurry,
        announce_late,
        server_does_not_load,
        server_refuses,
        rotate_again_and_again,
        machine_is_off_for_a_year,
        key_is_stolen,
        policy_changes_in_the_middle,
        killed_all_the_time,
        followed_late,
};

START_TEST(nobody_is_let_down)
{
        _cleanup_(life_freep) Life *life = begin(BREAK_NOTHING);

        cases[_i](life);
        if (life->failure[0])
                story_print(&life->story, stderr);
        ck_assert_str_eq(life->failure, "");
}
END_TEST

/* The same cases with the signer's own files. They are many and small: in memory where there is
 * such a file system. */
static void make_directory(char place[64])
{
        strcpy(place, "/dev/shm/pgcertd-test-XXXXXX");
        if (mkdtemp(place))
                return;
        strcpy(place, "/tmp/pgcertd-test-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(place));
}

static void remove_directory(const char *place)
{
        char command[100];

        snprintf(command, sizeof command, "rm -rf %s", place);
        ck_assert_int_eq(system(command), 0);
}

START_TEST(nor_by_the_signer_on_files)
{
        _cleanup_(life_freep) Life *life = begin(BREAK_NOTHING);
        char place[64];

        make_directory(place);
        casigner_use_files(life->signer, place);
        cases[_i](life);
        remove_directory(place);
        if (life->failure[0])
                story_print(&life->story, stderr);
        ck_assert_str_eq(life->failure, "");
}
END_TEST

/* The seconds of the smallest policy that rule 9 accepts: an hour of rollovers. */
START_TEST(the_smallest_policy_lives)
{
        _cleanup_(life_freep) Life *life = NULL;
        Spec spec;

        simple(&spec);
        spec.check_every = USEC_PER_SEC;
        spec.backdate = USEC_PER_SEC;
        spec.authorities[0] = (SpecAuthority){.lifetime = 24 * USEC_PER_SEC,
                                              .distribute = 2 * USEC_PER_SEC,
                                              .renew_before = 10 * USEC_PER_SEC};
        for (size_t i = 0; i < 2; i++) {
                spec.certificates[i].lifetime = 8 * USEC_PER_SEC;
                spec.certificates[i].renew_before = 5 * USEC_PER_SEC;
        }
        life = life_new(&spec, 1, BREAK_NOTHING);
        ck_assert_ptr_nonnull(life);
        life_run(life, LIFE_START + USEC_PER_HOUR);
        if (life->failure[0])
                story_print(&life->story, stderr);
        ck_assert_str_eq(life->failure, "");
        ck_assert_uint_ge(life->activations, 3600 / 14 - 2);
}
END_TEST

/* Ten seeds. */
START_TEST(a_life_by_chance)
{
        for (uint64_t seed = (uint64_t)_i * SEEDS_A_TEST + 1;
             seed <= ((uint64_t)_i + 1) * SEEDS_A_TEST; seed++) {
                _cleanup_(life_freep) Life *life = chance_case(seed, 20, BREAK_NOTHING, NULL, NULL);

                ck_assert_msg(life != NULL, "seed %" PRIu64 ": its policy", seed);
                if (life->failure[0])
                        story_print(&life->story, stderr);
                ck_assert_msg(!life->failure[0], "seed %" PRIu64 ": %s", seed, life->failure);
        }
}
END_TEST

/* A few with the signer's own files: their ledger is read whole at every look. */
START_TEST(a_life_by_chance_on_files)
{
        _cleanup_(life_freep) Life *life = NULL;
        char place[64];

        make_directory(place);
        life = chance_case((uint64_t)_i + 1001, 3, BREAK_NOTHING, place, NULL);
        remove_directory(place);
        ck_assert_ptr_nonnull(life);
        if (life->failure[0])
                story_print(&life->story, stderr);
        ck_assert_str_eq(life->failure, "");
}
END_TEST

/* What each break is caught by: a case that was thought of, and what it has to say. */
static const struct {
        Break broken;
        void (*live)(Life *life);
        const char *says;
        bool by_chance; /* seeds catch it, too */
} breaks[] = {
        {BREAK_NO_CROSS, live_for_years, "a late reader", true},
        {BREAK_EARLY, rotate_in_a_hurry, "a copy of the bundle", true},
        {BREAK_FROM_PREPARE, announce_late, "a copy of the bundle", true},
        {BREAK_RETIRE_EARLY, live_for_years, "does not verify", true},
        {BREAK_NOT_CLAMPED, live_for_years, "does not verify", true},
        {BREAK_NEXT_MISSING, rotate_in_a_hurry, "a copy of the bundle", true},
        {BREAK_DUE_FOR_EVER, followed_late, "issued without a cause", true},
        {BREAK_LATEST_TOO_EARLY, server_does_not_load, "the server k0 does not verify client",
         true},
        {BREAK_NO_EVIDENCE, server_does_not_load, "the server k0 does not verify client", false},
};

START_TEST(a_rule_that_is_broken_is_noticed)
{
        _cleanup_(life_freep) Life *life = begin(breaks[_i].broken);
        bool is_caught = false;

        breaks[_i].live(life);
        ck_assert_msg(strstr(life->failure, breaks[_i].says) != NULL, "%s", life->failure);
        for (uint64_t seed = 1; seed <= SEEDS_OF_A_BREAK && breaks[_i].by_chance && !is_caught;
             seed++) {
                _cleanup_(life_freep) Life *other =
                        chance_case(seed, 20, breaks[_i].broken, NULL, NULL);

                is_caught = other && other->failure[0];
        }
        ck_assert_int_eq(is_caught, breaks[_i].by_chance);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("life");
        TCase *thought = tcase_create("thought of"), *chance = tcase_create("by chance");
        TCase *broken = tcase_create("broken");

        tcase_add_loop_test(thought, nobody_is_let_down, 0, ELEMENTSOF(cases));
        tcase_add_loop_test(thought, nor_by_the_signer_on_files, 0, ELEMENTSOF(cases));
        tcase_add_test(thought, the_smallest_policy_lives);
        tcase_add_loop_test(chance, a_life_by_chance, 0, SEEDS / SEEDS_A_TEST);
        tcase_add_loop_test(broken, a_rule_that_is_broken_is_noticed, 0, ELEMENTSOF(breaks));
        tcase_add_loop_test(chance, a_life_by_chance_on_files, 0, SEEDS_ON_FILES);
        tcase_set_timeout(thought, 60);
        tcase_set_timeout(chance, 120);
        tcase_set_timeout(broken, 120);
        suite_add_tcase(suite, thought);
        suite_add_tcase(suite, broken);
        suite_add_tcase(suite, chance);
        return suite;
}

#include "tests/check_main.h"
