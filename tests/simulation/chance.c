#include "tests/simulation/chance.h"

#include <string.h>

/* How many lives of its longest CA a case lasts at most: where lives are hours, twenty years would
 * be a hundred thousand leaves of the same kind. */
enum { CHANCE_CAS_MAX = 12, CHANCE_LEAVES_MAX = 1200 };

static int64_t smaller(int64_t a, int64_t b)
{
        return a < b ? a : b;
}

/* What the leaves of an authority have at most. */
static int64_t renew_most(const Policy *policy, size_t a)
{
        int64_t most = 0;

        for (size_t i = 0; i < policy->n_certificates; i++)
                if (policy->certificates[i].authority == &policy->authorities[a] &&
                    policy->certificates[i].renew_before_usec > most)
                        most = policy->certificates[i].renew_before_usec;
        return most;
}

/* The longest back-off: what a failure may cost after the outage is over. */
static int64_t backoff_most(const Policy *policy)
{
        int64_t most = 0;

        for (size_t a = 0; a < policy->n_authorities; a++)
                if (renew_most(policy, a) / 10 > most)
                        most = renew_most(policy, a) / 10;
        return smaller(most, USEC_PER_HOUR);
}

static int64_t most(const Policy *policy, bool of_distribute)
{
        int64_t span = 0;

        for (size_t a = 0; a < policy->n_authorities; a++) {
                int64_t of = of_distribute ? policy->authorities[a].distribute_usec
                                           : policy->authorities[a].renew_before_usec;

                if (of > span)
                        span = of;
        }
        return span;
}

/* Nobody is let down by what comes until then. */
static void excuse_all(Life *life, int64_t until_usec)
{
        for (size_t a = 0; a < life->policy->n_authorities; a++)
                readers_excuse(&life->readers, a, until_usec);
}

/* The next outage may not come before the rollover has made up for this one. */
static void be_quiet(Chance *chance, int64_t until_usec)
{
        chance->quiet_until = until_usec + most(chance->life->policy, false) / 2 +
                              backoff_most(chance->life->policy);
}

/* A rollover that begins while something is missing. */
static void rotate_now_and_then(Life *life)
{
        if (dice_chance(&life->dice, 30))
                life_rotate(life, (size_t)dice_between(&life->dice, 0,
                                                       (int64_t)life->policy->n_authorities - 1));
}

static void stop_something(Chance *chance, int64_t most_usec)
{
        Life *life = chance->life;
        int64_t span = dice_between(&life->dice, most_usec / 4, most_usec);
        LifePart part = (LifePart)dice_between(&life->dice, 0, LIFE_PARTS - 1);

        life_stop(life, part, span);
        if (dice_chance(&life->dice, 20) && part != LIFE_PGCERTD)
                life_stop(life, LIFE_PGCERTD, dice_between(&life->dice, 0, span));
        rotate_now_and_then(life);
        be_quiet(chance, life->now + span);
}

static void fail_loads(Chance *chance, int64_t most_usec)
{
        Life *life = chance->life;
        size_t c = (size_t)dice_between(&life->dice, 0, (int64_t)life->policy->n_clusters - 1);
        bool refuses = dice_chance(&life->dice, 50);
        int64_t span;

        most_usec -= backoff_most(life->policy);
        if (most_usec <= 0)
                return;
        span = dice_between(&life->dice, most_usec / 4, most_usec);
        life_set_loading(life, c, !refuses, refuses);
        chance->load_at[c] = life->now + span;
        rotate_now_and_then(life);
        be_quiet(chance, life->now + span);
}

/* Beyond what the policy promises: nobody is asked until all have had time to recover. */
static void stop_long(Chance *chance, int64_t outage)
{
        Life *life = chance->life;
        int64_t span =
                outage + dice_scale(&life->dice, USEC_PER_MINUTE, 2 * most(life->policy, false));
        int64_t end = life->now + span + most(life->policy, true) + 4 * life->spec.check_every +
                      2 * backoff_most(life->policy) + USEC_PER_MINUTE;

        life_stop(life, LIFE_PGCERTD, span);
        excuse_all(life, end);
        be_quiet(chance, end);
}

static void steal(Chance *chance)
{
        Life *life = chance->life;
        size_t a = (size_t)dice_between(&life->dice, 0, (int64_t)life->policy->n_authorities - 1);
        int64_t end = life->now + life->policy->authorities[a].distribute_usec +
                      4 * life->spec.check_every + 2 * backoff_most(life->policy) + USEC_PER_MINUTE;

        readers_excuse(&life->readers, a, end);
        life_steal(life, a);
        be_quiet(chance, end);
}

static void change_policy(Chance *chance)
{
        Life *life = chance->life;
        Spec spec = life->spec;
        const char *what = spec_change(&spec, &life->dice);

        story_tell(&life->story, true, life->now, "the policy changes: %s", what);
        life_change(life, &spec);
        /* A CA that has less left than the new spans ask for is rolled over late. */
        for (size_t a = 0; a < life->policy->n_authorities; a++) {
                const ObservedGeneration *current;
                int64_t needed = life->policy->authorities[a].distribute_usec +
                                 renew_most(life->policy, a) + life->spec.backdate +
                                 2 * life->spec.check_every;

                site_observe(&life->site, &life->spec, life->policy, life->signer,
                             life->observation);
                current = authority_current(&life->observation->authorities[a]);
                if (current && current->facts.not_after_usec - life->now < needed)
                        readers_excuse(&life->readers, a,
                                       current->facts.not_after_usec + 2 * needed);
        }
        be_quiet(chance, life->now);
}

/* Small steps are followed. */
static void step_clock(Chance *chance)
{
        Life *life = chance->life;

        life->readers.slack_usec = life->spec.backdate;
        life_set_clock(
                life, dice_between(&life->dice, -life->spec.backdate / 2, life->spec.backdate / 2));
}

/* One that is years off is not believed, so it is an outage. */
static void lose_clock(Chance *chance, int64_t most_usec)
{
        Life *life = chance->life;
        int64_t span = smaller(most_usec, 23 * USEC_PER_HOUR);
        int64_t step = life->policy->max_clock_step_usec +
                       dice_scale(&life->dice, USEC_PER_HOUR, 20 * USEC_PER_YEAR);

        if (span <= 0)
                return;
        chance->clock_at = life->now + dice_between(&life->dice, span / 4, span);
        life->kill_percent = 0;
        life_set_clock(life, dice_chance(&life->dice, 50) ? step : -step);
        be_quiet(chance, chance->clock_at);
}

/* One at a time, and not while one is. */
static void have_outage(Chance *chance)
{
        Life *life = chance->life;
        int64_t outage = life_outage(life) / 10 * 9;

        switch (dice_between(&life->dice, 0, 9)) {
        case 0:
        case 1:
        case 2:
        case 3:
                if (outage > 0)
                        stop_something(chance, outage);
                break;
        case 4:
        case 5:
                fail_loads(chance, outage);
                break;
        case 6:
                lose_clock(chance, outage);
                break;
        case 7:
                stop_long(chance, outage);
                break;
        case 8:
                steal(chance);
                break;
        default:
                change_policy(chance);
        }
}

static void happen(Chance *chance)
{
        Life *life = chance->life;
        size_t a = (size_t)dice_between(&life->dice, 0, (int64_t)life->policy->n_authorities - 1);
        size_t i = (size_t)dice_between(&life->dice, 0, (int64_t)life->policy->n_certificates - 1);
        size_t c = (size_t)dice_between(&life->dice, 0, (int64_t)life->policy->n_clusters - 1);

        chance->happenings++;
        if (life->now >= chance->quiet_until && dice_chance(&life->dice, 60)) {
                have_outage(chance);
                return;
        }
        if (chance->clock_at != 0)
                return; /* a restart would believe it */
        switch (dice_between(&life->dice, 0, 9)) {
        case 0:
        case 1:
        case 2:
                life_request(life, i, dice_chance(&life->dice, 30));
                break;
        case 3:
                if (dice_chance(&life->dice, 40))
                        life_rotate(life, a);
                break;
        case 4:
        case 5:
                if (!life->site.servers[c].runs)
                        break;
                life_stop_server(life, c);
                chance->start_at[c] =
                        life->now + dice_scale(&life->dice, USEC_PER_SEC, 4 * chance->scale);
                break;
        case 6:
        case 7:
                if (life->down_until[LIFE_PGCERTD] == 0)
                        life_restart(life);
                break;
        case 8:
                if (life->spec.backdate > 0)
                        step_clock(chance);
                break;
        default:
                life_notice(life);
        }
}

static int64_t next_end(const Chance *chance, int64_t until_usec)
{
        int64_t next = until_usec;

        for (size_t c = 0; c < SPEC_CLUSTERS_MAX; c++) {
                if (chance->start_at[c] != 0)
                        next = smaller(next, chance->start_at[c]);
                if (chance->load_at[c] != 0)
                        next = smaller(next, chance->load_at[c]);
        }
        return chance->clock_at != 0 ? smaller(next, chance->clock_at) : next;
}

static void end_what_is_over(Chance *chance)
{
        Life *life = chance->life;

        for (size_t c = 0; c < SPEC_CLUSTERS_MAX; c++) {
                if (chance->start_at[c] != 0 && chance->start_at[c] <= life->now) {
                        chance->start_at[c] = 0;
                        life_start_server(life, c);
                }
                if (chance->load_at[c] != 0 && chance->load_at[c] <= life->now) {
                        chance->load_at[c] = 0;
                        life_set_loading(life, c, false, false);
                }
        }
        if (chance->clock_at == 0 || chance->clock_at > life->now)
                return;
        chance->clock_at = 0;
        life->kill_percent = 5;
        life_set_clock(life, 0);
}

bool chance_live(Life *life, int64_t until_usec, int64_t scale_usec)
{
        Chance chance = {.life = life, .scale = scale_usec};
        int64_t happening = life->now + scale_usec;

        life->kill_percent = 5;
        life->check_percent = 10;
        life->eager_percent = 50;
        life->issued_most = CHANCE_LEAVES_MAX;
        while (life->now < until_usec && life->issued < life->issued_most) {
                int64_t next = next_end(&chance, smaller(until_usec, happening));

                if (!life_run(life, next))
                        return false;
                end_what_is_over(&chance);
                if (life->now >= happening) {
                        happen(&chance);
                        happening = life->now +
                                    dice_scale(&life->dice, scale_usec / 8 + 1, 4 * scale_usec);
                }
        }
        return !life->failure[0];
}

Life *chance_case(uint64_t seed, unsigned years, Break broken, const char *directory, FILE *aloud)
{
        Dice dice = {.state = seed * UINT64_C(0x2545f4914f6cdd1d) + 1};
        /* Most live for years; the short ones are there for their own sake. */
        int64_t scale = dice_chance(&dice, 20)
                                ? dice_scale(&dice, USEC_PER_HOUR, 100 * USEC_PER_DAY)
                                : dice_scale(&dice, 100 * USEC_PER_DAY, 3 * USEC_PER_YEAR);
        int64_t end = 0;
        Policy *policy;
        Life *life;
        Spec spec;

        spec_make(&spec, &dice, scale);
        if (dice_chance(&dice, 10)) {
                Spec refused = spec;

                spec_break(&refused, &dice);
                if (spec_parse(&refused, false, &policy)) {
                        policy_unref(policy);
                        return NULL;
                }
        }
        life = life_new(&spec, seed, broken);
        if (!life)
                return NULL;
        life->story.aloud = aloud;
        if (directory)
                casigner_use_files(life->signer, directory);
        for (size_t a = 0; a < spec.n_authorities; a++)
                if (spec.authorities[a].lifetime > end)
                        end = spec.authorities[a].lifetime;
        end = smaller(CHANCE_CAS_MAX * end, (int64_t)years * USEC_PER_YEAR);
        chance_live(life, LIFE_START + end, scale);
        if (!life->failure[0]) {
                Error error = {0};

                if (casigner_check_names(life->signer, &error) < 0)
                        life_fail(life, "%s", error.text);
        }
        return life;
}
