#include "tests/simulation/pass.h"

#include "tests/simulation/deed.h"

#include <assert.h>
#include <string.h>

enum { ROUNDS_MAX = 12 };

static Plan *make_plan(const Life *life, int64_t at_usec)
{
        PlanInput input = {
                .policy = life->policy,
                .observation = life->observation,
                .memory = life->memory,
                .now_usec = at_usec + life->clock_offset,
                .boot_usec = life_boot(life) + at_usec - life->now,
                .host = "db1.example.com",
        };
        Plan *plan = NULL;
        Error error = {0};
        int r = plan_make(&input, &plan, &error);

        assert(r >= 0);
        return plan;
}

/* What the look alone shows. */
static void look(Life *life)
{
        site_observe(&life->site, &life->spec, life->policy, life->signer, life->observation);
        for (size_t c = 0; c < life->policy->n_clusters; c++)
                if (life->site.has_workers && deed_serves_disk(life, c))
                        deed_proven(life, c);
}

static bool is_at_rest(const Plan *plan)
{
        for (size_t i = 0; i < plan->n_steps; i++)
                if (plan->steps[i].verb != STEP_LOGIN && plan->steps[i].verb != STEP_PRUNE)
                        return false;
        return true;
}

/* False where pgcertd was killed between two steps. */
static bool act(Life *life, const Plan *plan)
{
        Deeds deeds = {.life = life};
        bool is_killed = dice_chance(&life->dice, life->kill_percent);
        size_t n = is_killed ? (size_t)dice_between(&life->dice, 0, (int64_t)plan->n_steps)
                             : plan->n_steps;

        for (size_t i = 0; i < n; i++)
                deed_run(&deeds, &plan->steps[i]);
        if (is_killed) {
                story_tell(&life->story, false, life->now, "pgcertd is killed after %zu of %zu", n,
                           plan->n_steps);
                return false;
        }
        deed_put_back(&deeds);
        for (size_t i = 0; i < life->policy->n_certificates; i++)
                life->memory->certificates[i].is_requested =
                        life->memory->certificates[i].is_rekey_requested = false;
        for (size_t a = 0; a < life->policy->n_authorities; a++)
                life->memory->authorities[a].is_rotate_requested =
                        life->memory->authorities[a].is_emergency_confirmed = false;
        return true;
}

/* Where a rule is broken, it is done without the plan; and again when its time has come. */
static void break_rules(Life *life)
{
        int64_t now = life_clock(life);

        for (size_t a = 0; a < life->policy->n_authorities; a++) {
                int64_t next;

                while (casigner_break(life->signer, life->policy, a, now, &next)) {
                        life->activations++;
                        story_tell(&life->story, true, life->now, "a%zu: a rule is broken", a);
                }
                next = usec_add(next, -life->clock_offset);
                if (next < life->wake)
                        life->wake = next;
        }
}

/* A clamped leaf is renewed though it would end no later. */
static void renew_clamped(Life *life)
{
        char reason[] = "a rule is broken";

        for (size_t i = 0; i < life->policy->n_certificates; i++) {
                const PolicyCertificate *certificate = &life->policy->certificates[i];
                const Disk *disk = &life->site.disks[i];
                size_t a = (size_t)(certificate->authority - life->policy->authorities);
                Deeds deeds = {.life = life};

                if (!disk->exists ||
                    life_clock(life) <
                            disk->now.leaf->facts.not_after_usec - certificate->renew_before_usec ||
                    !casigner_is_clamped(life->signer, life->policy, a, &disk->now.leaf->facts))
                        continue;
                deed_run(&deeds, &(Step){.verb = STEP_ISSUE, .object = i, .reason = reason});
                deed_run(&deeds, &(Step){.verb = STEP_PUBLISH, .object = i, .reason = reason});
        }
}

/* The deadline of the plan, in true time. */
static void set_wake(Life *life, const Plan *plan)
{
        int64_t wake = usec_add(plan->next_usec, -life->clock_offset);

        life->is_deadline = true;
        if (plan->next_boot_usec != USEC_INFINITY &&
            life->now + plan->next_boot_usec - life_boot(life) < wake)
                wake = life->now + plan->next_boot_usec - life_boot(life);
        life->wake = wake > life->now ? wake : life->now + 1;
}

void pass_check_deadline(Life *life, int64_t at_usec)
{
        _cleanup_(plan_freep) Plan *plan = make_plan(life, at_usec);

        for (size_t i = 0; i < plan->n_steps; i++)
                if (plan->steps[i].verb != STEP_LOGIN && plan->steps[i].verb != STEP_PRUNE)
                        life_fail(life, "%s %s is due before the deadline that was named: %s",
                                  step_verb_name(plan->steps[i].verb),
                                  deed_name(life, &plan->steps[i]), plan->steps[i].reason);
}

void pass_live(Life *life)
{
        ClockReading reading = {.now_usec = life_clock(life),
                                .boot_usec = life_boot(life),
                                .is_synchronised = life->clock_offset == 0};

        clockstep_look(&life->memory->clock, &reading, life->policy->max_clock_step_usec);
        memset(life->is_reloaded, 0, sizeof life->is_reloaded);
        life->is_retried = false;
        life->passes++;
        for (unsigned round = 0; !life->failure[0]; round++) {
                _cleanup_(plan_freep) Plan *plan = NULL;

                look(life);
                plan = make_plan(life, life->now);
                life->plans++;
                if (round == ROUNDS_MAX) {
                        life_fail(life, "a pass does not come to rest: %s %s",
                                  step_verb_name(plan->steps[0].verb),
                                  deed_name(life, &plan->steps[0]));
                        return;
                }
                if (is_at_rest(plan)) {
                        set_wake(life, plan);
                        if (life->broken != BREAK_NOTHING)
                                break_rules(life);
                        if (life->broken == BREAK_DUE_FOR_EVER)
                                renew_clamped(life);
                        return;
                }
                if (!act(life, plan)) {
                        life_restart(life);
                        /* The service manager starts it again. */
                        life->wake = life->now + dice_between(&life->dice, 1, USEC_PER_SEC);
                        return;
                }
        }
}
