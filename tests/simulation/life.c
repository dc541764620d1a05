#include "tests/simulation/life.h"

#include "tests/simulation/pass.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

enum { LIFE_EVENTS_MAX = 1000000 };

void life_fail(Life *life, const char *format, ...)
{
        va_list arguments;

        if (life->failure[0])
                return;
        va_start(arguments, format);
        vsnprintf(life->failure, sizeof life->failure, format, arguments);
        va_end(arguments);
        story_tell(&life->story, true, life->now, "FAILED: %s", life->failure);
}

int64_t life_boot(const Life *life)
{
        /* Not zero: that stands for never. */
        return life->now - LIFE_START + USEC_PER_MINUTE;
}

int64_t life_clock(const Life *life)
{
        return life->now + life->clock_offset;
}

int64_t life_outage(const Life *life)
{
        return policy_outage(life->policy);
}

static void take_policy(Life *life, Policy *policy)
{
        Memory *memory = NULL;
        int r;

        observation_free(life->observation);
        r = observation_new(policy, &life->observation, NULL);
        if (r >= 0)
                r = life->memory ? memory_adopt(life->memory, life->policy, policy, &memory, NULL)
                                 : memory_new(policy, &memory, NULL);
        assert(r >= 0);
        memory_free(life->memory);
        life->memory = memory;
        policy_unref(life->policy);
        life->policy = policy;
        site_take_spec(&life->site, &life->spec);
}

Life *life_new(const Spec *spec, uint64_t seed, Break broken)
{
        Life *life;
        Policy *policy;

        if (!spec_parse(spec, true, &policy))
                return NULL;
        life = calloc(1, sizeof *life);
        assert(life);
        life->seed = seed;
        life->dice.state = seed;
        life->broken = broken;
        life->spec = *spec;
        life->papers = papers_new();
        life->signer = casigner_new(life->papers, broken);
        life->site = (Site){
                .papers = life->papers, .has_workers = true, .has_signer = true, .broken = broken};
        for (size_t c = 0; c < spec->n_clusters; c++)
                life->site.servers[c] =
                        (Server){.runs = true, .pid = 1000 + (int64_t)c, .started_sec = 1};
        readers_init(&life->readers);
        life->now = life->wake = LIFE_START;
        take_policy(life, policy);
        return life;
}

Life *life_free(Life *life)
{
        if (!life)
                return NULL;
        observation_free(life->observation);
        memory_free(life->memory);
        casigner_free(life->signer);
        papers_free(life->papers);
        policy_unref(life->policy);
        free(life);
        return NULL;
}

void life_notice(Life *life)
{
        int64_t at = life->now + dice_between(&life->dice, 0, life->spec.check_every);

        if (at >= life->wake)
                return;
        life->wake = at;
        life->is_deadline = false;
}

void life_stop(Life *life, LifePart part, int64_t span_usec)
{
        static const char *const names[] = {"pgcertd", "the workers", "the signer"};

        life->down_until[part] = life->now + span_usec;
        life->site.has_workers &= part != LIFE_WORKERS;
        life->site.has_signer &= part != LIFE_SIGNER;
        story_tell(&life->story, true, life->now, "%s: down for %.2f days", names[part],
                   (double)span_usec / USEC_PER_DAY);
}

static void resume(Life *life, LifePart part)
{
        life->down_until[part] = 0;
        life->site.has_workers |= part == LIFE_WORKERS;
        life->site.has_signer |= part == LIFE_SIGNER;
        if (part == LIFE_PGCERTD)
                life_restart(life);
        else
                life_notice(life);
}

/* The record keeps which leaf each cluster was proved to serve; all else is forgotten. */
void life_restart(Life *life)
{
        Memory *memory;
        int r = memory_new(life->policy, &memory, NULL);

        assert(r >= 0);
        for (size_t c = 0; c < memory->n_clusters; c++) {
                const MemoryCluster *from = &life->memory->clusters[c];
                MemoryCluster *to = &memory->clusters[c];

                to->has_proven = from->has_proven;
                to->proven_usec = from->proven_usec;
                memcpy(to->proven, from->proven, CERT_FINGERPRINT);
        }
        memory_free(life->memory);
        life->memory = memory;
        life->wake = life->now;
        life->is_deadline = false;
        story_tell(&life->story, false, life->now, "pgcertd starts");
}

void life_stop_server(Life *life, size_t cluster)
{
        life->site.servers[cluster].runs = false;
        story_tell(&life->story, true, life->now, "k%zu: PostgreSQL stops", cluster);
        life_notice(life);
}

void life_start_server(Life *life, size_t cluster)
{
        Server *server = &life->site.servers[cluster];

        server->runs = true;
        server->pid++;
        server->started_sec = life_clock(life) / USEC_PER_SEC;
        site_load(&life->site, &life->spec, cluster);
        story_tell(&life->story, true, life->now, "k%zu: PostgreSQL starts", cluster);
        life_notice(life);
}

void life_set_loading(Life *life, size_t cluster, bool cannot_load, bool refuses)
{
        life->site.servers[cluster].cannot_load = cannot_load;
        life->site.servers[cluster].refuses = refuses;
        story_tell(&life->story, true, life->now, "k%zu: %s", cluster,
                   cannot_load ? "cannot be told to load"
                   : refuses   ? "refuses what it is to load"
                               : "loads again");
        life_notice(life);
}

static void wake_now(Life *life)
{
        if (life->down_until[LIFE_PGCERTD] > life->now)
                return;
        life->wake = life->now;
        life->is_deadline = false;
}

void life_request(Life *life, size_t certificate, bool rekey)
{
        MemoryCertificate *memory = &life->memory->certificates[certificate];

        memory->is_requested = true;
        memory->is_rekey_requested = rekey;
        story_tell(&life->story, true, life->now, "%s: a renewal is asked for",
                   life->policy->certificates[certificate].name);
        wake_now(life);
}

void life_rotate(Life *life, size_t authority)
{
        life->memory->authorities[authority].is_rotate_requested = true;
        story_tell(&life->story, true, life->now, "a%zu: a rollover is asked for", authority);
        wake_now(life);
}

void life_steal(Life *life, size_t authority)
{
        life->memory->authorities[authority].is_emergency_confirmed = true;
        story_tell(&life->story, true, life->now, "a%zu: its key is stolen", authority);
        wake_now(life);
}

void life_change(Life *life, const Spec *spec)
{
        Policy *policy;

        if (!spec_parse(spec, true, &policy)) {
                life_fail(life, "a valid policy is refused");
                return;
        }
        life->spec = *spec;
        take_policy(life, policy);
        life->well_since = life->now; /* what is due now was not before */
        wake_now(life);
}

void life_set_clock(Life *life, int64_t offset_usec)
{
        story_tell(&life->story, true, life->now, "the clock steps by %.3f s",
                   (double)(offset_usec - life->clock_offset) / USEC_PER_SEC);
        life->clock_offset = offset_usec;
        wake_now(life);
}

static bool is_well(const Life *life)
{
        bool is_well = !life->memory->clock.is_doubted;

        for (LifePart part = 0; part < LIFE_PARTS; part++)
                is_well &= life->down_until[part] == 0;
        for (size_t c = 0; c < life->policy->n_clusters; c++)
                is_well &= !life->site.servers[c].cannot_load && !life->site.servers[c].refuses;
        return is_well;
}

/* No leaf is within its renewal window for longer than an outage explains: what it may take from
 * its end is check_every, a restart, and the longest back-off. A leaf that ends with its CA waits
 * for the next one. */
static void judge_overdue(Life *life)
{
        if (!is_well(life))
                life->well_since = life->now;
        for (size_t i = 0; i < life->policy->n_certificates; i++) {
                const PolicyCertificate *certificate = &life->policy->certificates[i];
                const Disk *disk = &life->site.disks[i];
                size_t a = (size_t)(certificate->authority - life->policy->authorities);
                int64_t left = certificate->renew_before_usec / 10, since;

                if (!disk->exists || life->now < life->readers.judged_from[a] ||
                    casigner_is_clamped(life->signer, life->policy, a, &disk->now.leaf->facts))
                        continue;
                if (left > USEC_PER_HOUR)
                        left = USEC_PER_HOUR;
                since = disk->now.leaf->facts.not_after_usec - certificate->renew_before_usec;
                if (since < life->well_since)
                        since = life->well_since;
                if (life->now - since >
                    left + 2 * life->spec.check_every + life->spec.backdate + 2 * USEC_PER_SEC)
                        life_fail(life, "%s is within its renewal window without a reason",
                                  certificate->name);
        }
}

static void judge(Life *life)
{
        char why[READERS_WHY_MAX];

        judge_overdue(life);

        if (!readers_judge(&life->readers, &life->site, &life->spec, life->policy, life->now, why))
                life_fail(life, "%s", why);
}

static bool is_down(const Life *life, LifePart part)
{
        return life->down_until[part] > 0;
}

static int64_t next_event(const Life *life, int64_t until_usec)
{
        int64_t next = until_usec;

        for (LifePart part = 0; part < LIFE_PARTS; part++)
                if (is_down(life, part) && life->down_until[part] < next)
                        next = life->down_until[part];
        if (!is_down(life, LIFE_PGCERTD) && life->wake < next)
                next = life->wake;
        return next;
}

static bool is_over(const Life *life)
{
        return life->failure[0] || (life->issued_most && life->issued >= life->issued_most);
}

/* Whoever is told of a new CA may want leaves of it. */
static void live_pass(Life *life)
{
        uint64_t activations = life->activations;

        pass_live(life);
        judge(life);
        if (life->activations != activations && dice_chance(&life->dice, life->eager_percent))
                life_request(life,
                             (size_t)dice_between(&life->dice, 0,
                                                  (int64_t)life->policy->n_certificates - 1),
                             false);
}

bool life_run(Life *life, int64_t until_usec)
{
        for (unsigned events = 0; life->now < until_usec && !is_over(life); events++) {
                int64_t next = next_event(life, until_usec);

                if (events == LIFE_EVENTS_MAX)
                        life_fail(life, "it does not come to rest");
                if (next > life->now + 1 && next == life->wake && life->is_deadline &&
                    dice_chance(&life->dice, life->check_percent))
                        pass_check_deadline(life, life->now + (next - life->now) / 2);
                if (next > life->now)
                        life->now = next;
                judge(life);
                for (LifePart part = 0; part < LIFE_PARTS; part++)
                        if (is_down(life, part) && life->now >= life->down_until[part])
                                resume(life, part);
                if (!is_down(life, LIFE_PGCERTD) && life->wake <= life->now)
                        live_pass(life);
        }
        return !life->failure[0];
}
