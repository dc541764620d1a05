/*
 * Repaired once; left where it is changed again within a day; remembered over a restart.
 */
#include "daemon/record.h"
#include "tests/world.h"

#include <fcntl.h>
#include <unistd.h>

#define LEFT "somebody changed it again"

static ObservedSet *server(World *world)
{
        return &world->observation->sets[0];
}

static void be_damaged(World *world)
{
        server(world)->state = SET_DAMAGED;
        server(world)->problem = strdup("server.crt and server.key do not match");
}

static void lose_leaf(World *world)
{
        be_damaged(world);
        server(world)->has_leaf = false;
}

static void open_key(World *world)
{
        server(world)->defects = SET_MODE;
}

static void lose_name(World *world)
{
        server(world)->defects = SET_LINKS;
}

static void edit_service(World *world)
{
        server(world)->defects = SET_SERVICE;
}

static void remove_configuration(World *world)
{
        world->observation->clusters[0].configuration = CONFIGURATION_ABSENT;
}

static void edit_configuration(World *world)
{
        world->observation->clusters[0].configuration = CONFIGURATION_STALE;
}

static void change_names(World *world)
{
        server(world)->defects = SET_NAMES | SET_MODE;
}

static void be_damaged_and_due(World *world)
{
        be_damaged(world);
        world->now += 20 * DAY;
        world->memory->certificates[0].repair.done_usec += 20 * DAY;
}

static void open_key_and_be_due(World *world)
{
        open_key(world);
        world->now += 20 * DAY;
        world->memory->certificates[0].repair.done_usec += 20 * DAY;
}

#define ISSUED "issue server, publish server, load main, prove main, prune server"
#define CONFIGURED "configure main, load main, prove main"

static const struct {
        const char *name;
        void (*damage)(World *world);
        const char *repair; /* the steps, where there was no repair within a day */
        const char *again;  /* and where there was */
        Health health;      /* of that */
} cases[] = {
        {"pair", be_damaged, ISSUED, "", HEALTH_CRITICAL},
        {"leaf", lose_leaf, ISSUED, "", HEALTH_CRITICAL},
        {"mode", open_key, ISSUED, "", HEALTH_CRITICAL},
        {"name", lose_name, "publish server", "", HEALTH_CRITICAL},
        {"service", edit_service, "publish server", "", HEALTH_WARNING},
        {"configuration gone", remove_configuration, CONFIGURED, "", HEALTH_CRITICAL},
        {"configuration edited", edit_configuration, CONFIGURED, "", HEALTH_CRITICAL},
        /* What the policy or the time asks for is done all the same. */
        {"names", change_names, ISSUED, ISSUED, HEALTH_OK},
        {"pair, due", be_damaged_and_due, ISSUED, ISSUED, HEALTH_WARNING},
        {"mode, due", open_key_and_be_due, ISSUED, ISSUED, HEALTH_OK},
};

static char *steps_of(const World *world, Plan **ret)
{
        *ret = world_plan(world);
        return world_steps(world, *ret);
}

START_TEST(is_repaired_once_a_day)
{
        /* How long ago the last repair was; 0 for never. */
        static const struct {
                int64_t ago_usec;
                bool is_left;
        } repairs[] = {{0, false},        {1, true},     {DAY - 1, true}, {DAY, false},
                       {30 * DAY, false}, {-HOUR, true}, {-DAY, false}};

        for (size_t i = 0; i < ELEMENTSOF(repairs); i++) {
                const char *wanted = repairs[i].is_left ? cases[_i].again : cases[_i].repair;
                _cleanup_(world_done) World world;
                _cleanup_(plan_freep) Plan *plan = NULL;
                _cleanup_(freep) char *steps = NULL;
                Repair repair = {.is_settled = true};

                world_init(&world, 1, 0, 1, 1);
                world_settle(&world);
                if (repairs[i].ago_usec != 0)
                        repair.done_usec = world.now - repairs[i].ago_usec;
                world.memory->certificates[0].repair = world.memory->clusters[0].repair = repair;
                cases[_i].damage(&world);
                steps = steps_of(&world, &plan);
                ck_assert_msg(strcmp(steps, wanted) == 0, "%s, %zu: %s", cases[_i].name, i, steps);
                if (repairs[i].is_left)
                        ck_assert_msg(plan->health == cases[_i].health, "%s: %s", cases[_i].name,
                                      health_name(plan->health));
        }
}
END_TEST

START_TEST(says_what_is_left_and_a_request_repairs_it)
{
        _cleanup_(world_done) World world;
        _cleanup_(plan_freep) Plan *left = NULL, *asked = NULL;
        _cleanup_(freep) char *none = NULL, *steps = NULL;

        world_init(&world, 1, 0, 1, 1);
        world_settle(&world);
        world.memory->certificates[0].repair.done_usec = world.now - HOUR;
        world.memory->clusters[0].repair.done_usec = world.now - HOUR;
        be_damaged(&world);
        edit_configuration(&world);
        none = steps_of(&world, &left);
        ck_assert_str_eq(none, "");
        ck_assert_int_eq(left->certificates[0].state, CERTIFICATE_ERROR);
        ck_assert_ptr_nonnull(strstr(left->certificates[0].error, "do not match"));
        ck_assert_ptr_nonnull(strstr(left->certificates[0].error, "at 2025-12-31T23:00:00Z"));
        ck_assert_ptr_nonnull(strstr(left->certificates[0].error, LEFT));
        ck_assert_ptr_nonnull(strstr(left->certificates[0].error, "pgcertctl renew server"));
        ck_assert_ptr_nonnull(strstr(left->clusters[0].error, LEFT));
        world.memory->certificates[0].is_requested = true;
        steps = steps_of(&world, &asked);
        ck_assert_str_eq(steps, "issue server, publish server, configure main, load main, prove "
                                "main, prune server");
}
END_TEST

/* What a start knows of the repairs, with the policy of that tag. */
static void restored(const char *directory, uint64_t tag, int64_t ret[2])
{
        _cleanup_(record_freep) Record *record = NULL;
        _cleanup_(world_done) World world;

        ck_assert_int_eq(record_open(directory, &record, NULL), 0);
        world_init(&world, 1, 0, 1, 1);
        world.policy.tag = tag;
        record_restore(record, &world.policy, world.memory);
        ret[0] = world.memory->certificates[0].repair.done_usec;
        ret[1] = world.memory->clusters[0].repair.done_usec;
        ck_assert(!world.memory->certificates[0].repair.is_settled);
}

START_TEST(is_remembered_over_a_restart_under_the_same_policy)
{
        char directory[] = "/tmp/check_repair.XXXXXX", command[64];
        uint8_t sha256[CERT_FINGERPRINT] = {1};
        Record *record;
        int64_t times[2];

        ck_assert_ptr_nonnull(mkdtemp(directory));
        ck_assert_int_eq(record_open(directory, &record, NULL), 0);
        ck_assert_int_eq(record_repaired(record, false, "server", "x", 7, START - DAY, NULL), 0);
        ck_assert_int_eq(record_repaired(record, true, "main", "a \"b\"\n", 7, START, NULL), 0);
        ck_assert_int_eq(record_repaired(record, false, "server", "x", 7, START + 1, NULL), 0);
        ck_assert_int_eq(record_repaired(record, false, "main", "x", 7, START + 2, NULL), 0);
        record_free(record);
        restored(directory, 7, times);
        ck_assert_int_eq(times[0], START + 1);
        ck_assert_int_eq(times[1], START);
        restored(directory, 8, times);
        ck_assert_int_eq(times[0], 0);
        ck_assert_int_eq(times[1], 0);

        /* A rotation carries them over. */
        ck_assert_int_eq(record_open(directory, &record, NULL), 0);
        for (int i = 0; i < 10000; i++) {
                sha256[1] = (uint8_t)i;
                sha256[2] = (uint8_t)(i >> 8);
                ck_assert_int_ge(record_proven(record, "main", sha256, START, NULL), 0);
        }
        record_free(record);
        snprintf(command, sizeof command, "test -e %s/history.jsonl.1", directory);
        ck_assert_int_eq(system(command), 0);
        restored(directory, 7, times);
        ck_assert_int_eq(times[0], START + 1);
        ck_assert_int_eq(times[1], START);
        snprintf(command, sizeof command, "rm -r %s", directory);
        ck_assert_int_eq(system(command), 0);
}
END_TEST

START_TEST(keeps_the_newest_in_bounded_memory)
{
        RepairList list = {0};
        RepairEntry entry = {.tag = 1};

        list.items = calloc(REPAIR_LIST_MAX, sizeof *list.items);
        list.allocated = REPAIR_LIST_MAX;
        for (int i = 0; i <= REPAIR_LIST_MAX; i++) {
                snprintf(entry.name, sizeof entry.name, "c%d", i);
                entry.done_usec = i + 1;
                /* The look for a place is linear: only the edge is of interest. */
                if (i < 3 || i >= REPAIR_LIST_MAX - 1 || list.n < 100) {
                        ck_assert_int_eq(repair_list_add(&list, &entry, NULL), 0);
                        continue;
                }
                list.items[list.n++] = entry;
        }
        ck_assert_uint_eq(list.n, REPAIR_LIST_MAX);
        ck_assert_int_eq(repair_list_find(&list, false, "c0", 1), 0);
        ck_assert_int_eq(repair_list_find(&list, false, "c1", 1), 2);
        ck_assert_int_eq(repair_list_find(&list, false, entry.name, 1), REPAIR_LIST_MAX + 1);
        repair_list_done(&list);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("repair");
        TCase *tcase = tcase_create("repair");

        tcase_set_timeout(tcase, 30);
        tcase_add_loop_test(tcase, is_repaired_once_a_day, 0, (int)ELEMENTSOF(cases));
        tcase_add_test(tcase, says_what_is_left_and_a_request_repairs_it);
        tcase_add_test(tcase, is_remembered_over_a_restart_under_the_same_policy);
        tcase_add_test(tcase, keeps_the_newest_in_bounded_memory);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
