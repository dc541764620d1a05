#include "daemon/finding.h"

#include "common/clock.h"

#include <assert.h>
#include <string.h>

#define LOOK_AT_JOURNAL "See journalctl -u pgcertd for the last tries; pgcertd goes on trying."

/* What a state means where nobody said it better. */
typedef struct Advice {
        const char *what;
        const char *why;
        const char *todo;
} Advice;

static const Advice certificate_advice[CERTIFICATE_STATES] = {
        [CERTIFICATE_OK] = {"something about it needs attention",
                            "Its files are good; connections work.", LOOK_AT_JOURNAL},
        [CERTIFICATE_DUE] = {"its last renewal failed",
                             "The present certificate goes on working until it expires.",
                             LOOK_AT_JOURNAL},
        [CERTIFICATE_OWED] = {"new files are in place, but nobody has seen them served yet",
                              "PostgreSQL may still serve the old certificate until it expires, or "
                              "may be down.",
                              "If the cluster should run, start it, then: pgcertctl check. Every "
                              "later look proves it too."},
        [CERTIFICATE_REFUSED] = {"PostgreSQL did not load the new files",
                                 "The old certificate is served until it expires; after that "
                                 "clients with verify-full cannot connect.",
                                 "Mend what PostgreSQL complains of, then: pgcertctl renew NAME."},
        [CERTIFICATE_FOREIGN] = {"there are files that pgcertd did not make",
                                 "They are left as they are, so nothing renews them.",
                                 "Hand them over, pgcertctl adopt NAME tells what that means; or "
                                 "move them away, or name another directory in the policy."},
        [CERTIFICATE_HELD] = {"it is due, but must not be renewed now",
                              "The present certificate goes on working until it expires.",
                              "Mend what holds it up; the renewal then follows by itself."},
        [CERTIFICATE_EXPIRED] = {"its certificate has expired",
                                 "Clients that verify the server, or a server that verifies this "
                                 "client, refuse connections now.",
                                 "Renew it now: pgcertctl renew NAME. " LOOK_AT_JOURNAL},
        [CERTIFICATE_ERROR] = {"it could not be looked at, or the last try failed",
                               "What is served stays, but is not renewed while this lasts.",
                               LOOK_AT_JOURNAL},
};

static const Advice proof_advice[PROOF_STATES] = {
        [PROOF_PROVEN] = {"the certificate is served, but not everything works as asked",
                          "Some connections may not behave as `verify` in the policy asks.",
                          "Mend pg_hba.conf, the role or the setting that it names, then: "
                          "pgcertctl check."},
        [PROOF_OWED] = {"it was not yet seen to serve the certificate on disk",
                        "Clients may still see the old certificate.",
                        "If it should run, start it. If it runs, look at PostgreSQL's log."},
        [PROOF_REFUSED] = {"PostgreSQL did not load the files",
                           "It goes on with what it has loaded before; that certificate expires.",
                           "Mend what it complains of, then: pgcertctl renew NAME."},
        [PROOF_UNVERIFIABLE] = {"what it serves cannot be seen",
                                "The files were loaded, but nobody can tell with which outcome.",
                                "Let it listen on a TCP address, loopback is enough "
                                "(listen_addresses)."},
};

static const Advice authority_advice = {
        "its CA needs attention",
        "Without it no certificate is issued; what is served stays until it expires.",
        LOOK_AT_JOURNAL,
};

void findings_done(Findings *findings)
{
        for (size_t i = 0; i < findings->n; i++) {
                free(findings->items[i].what);
                free(findings->items[i].todo);
        }
        free(findings->items);
        *findings = (Findings){0};
}

/* Advice with the certificate's own name in place of NAME. */
static char *with_name(const char *advice, const char *certificate)
{
        const char *place = certificate ? strstr(advice, "NAME") : NULL;
        Text text = {0};
        char *todo = NULL;

        if (place) {
                text_add_bytes(&text, advice, (size_t)(place - advice));
                text_add(&text, certificate);
                text_add(&text, place + strlen("NAME"));
        } else {
                text_add(&text, advice);
        }
        return text_take(&text, &todo, NULL) < 0 ? NULL : todo;
}

/* Adds a finding: kind, name, object and health are the draft's. certificate is whose renewal the
 * advice speaks of, NULL where of none. */
static void add(Findings *findings, const Finding *draft, const char *what, const Advice *advice,
                const char *certificate)
{
        Finding *items = reallocarray(findings->items, findings->n + 1, sizeof *items);
        Finding finding = *draft;

        assert(what || advice->what);
        finding.what = strdup(what ? what : advice->what);
        finding.why = advice->why;
        finding.todo = with_name(advice->todo, certificate);
        if (items)
                findings->items = items;
        if (!items || !finding.what || !finding.todo) {
                free(finding.what);
                free(finding.todo);
                findings->failed = true;
                return;
        }
        findings->items[findings->n++] = finding;
}

/* A broken policy alone harms nothing until a step is held for it. */
static Health policy_health(const Report *report)
{
        for (size_t i = 0; report->plan && i < report->plan->n_certificates; i++)
                if (report->plan->certificates[i].state == CERTIFICATE_HELD)
                        return HEALTH_CRITICAL;
        return HEALTH_OK;
}

static void find_policy(const Report *report, Findings *findings)
{
        static const Advice advice = {
                NULL,
                "What is served stays, but steps that need the policy are held.",
                "Mend the file (pgcertd --check judges it); it is read again by itself.",
        };
        const Finding draft = {.kind = "policy",
                               .name = report->policy ? report->policy->file : "",
                               .health = policy_health(report)};
        _cleanup_(text_done) Text what = {0};
        char since[CLOCK_TEXT_MAX];

        if (!report->policy_error)
                return;
        text_addf(&what, "the policy on disk is not in force since %s: %s",
                  clock_format(report->policy_error_since_usec, since), report->policy_error);
        findings->failed |= what.failed;
        add(findings, &draft, text_content(&what), &advice, NULL);
}

static void find_authorities(const Report *report, Findings *findings)
{
        for (size_t i = 0; i < report->policy->n_authorities; i++) {
                const PlanAuthority *planned = report->plan && i < report->plan->n_authorities
                                                       ? &report->plan->authorities[i]
                                                       : NULL;
                const Finding draft = {.kind = "authority",
                                       .name = report->policy->authorities[i].name,
                                       .object = i,
                                       .health = planned ? planned->health : HEALTH_UNKNOWN};

                if (planned && (planned->error || planned->health != HEALTH_OK))
                        add(findings, &draft, planned->error, &authority_advice, NULL);
        }
}

/* Whether a certificate's state asks for a word of its own. Due is the ordinary course, unless a
 * try has failed. */
static bool is_finding(const PlanCertificate *planned)
{
        switch (planned->state) {
        case CERTIFICATE_OK:
        case CERTIFICATE_DUE:
        case CERTIFICATE_OWED:
                return planned->error || planned->health != HEALTH_OK;
        case CERTIFICATE_REFUSED:
        case CERTIFICATE_FOREIGN:
        case CERTIFICATE_HELD:
        case CERTIFICATE_EXPIRED:
        case CERTIFICATE_ERROR:
        case CERTIFICATE_STATES:
                break;
        }
        return true;
}

/* Whether the finding of the clock says all: one cause, one finding. */
static bool is_clocks(const Report *report, const PlanCertificate *planned)
{
        return report->memory && report->memory->clock.is_doubted &&
               planned->state == CERTIFICATE_HELD && planned->health == HEALTH_WARNING;
}

static void find_certificates(const Report *report, Findings *findings)
{
        for (size_t i = 0; i < report->policy->n_certificates; i++) {
                const PlanCertificate *planned = report_certificate(report, i);
                const ObservedSet *set = report_set(report, i);
                const char *name = report->policy->certificates[i].name, *what;
                Finding draft;

                if (!planned || !is_finding(planned) || is_clocks(report, planned))
                        continue;
                what = planned->error;
                if (!what && report->memory && i < report->memory->n_certificates)
                        what = report->memory->certificates[i].attempt.error;
                if (!what && set)
                        what = set->problem;
                draft = (Finding){.kind = "certificate",
                                  .name = name,
                                  .object = i,
                                  .health = planned->health};
                add(findings, &draft, what, &certificate_advice[planned->state], name);
        }
}

/* Whether the cluster's certificate has said the same already. */
static bool was_said(const Findings *findings, const Report *report, size_t cluster,
                     const char *what)
{
        const PolicyCertificate *certificate = report->policy->clusters[cluster].certificate;

        for (size_t i = 0; i < findings->n; i++)
                if (strcmp(findings->items[i].kind, "certificate") == 0 &&
                    findings->items[i].object ==
                            (size_t)(certificate - report->policy->certificates) &&
                    strcmp(findings->items[i].what, what) == 0)
                        return true;
        return false;
}

static void find_cluster(const Report *report, size_t i, const PlanCluster *planned,
                         Findings *findings)
{
        const PolicyCluster *cluster = &report->policy->clusters[i];
        const ObservedCluster *observed = report_observed(report, i);
        const char *unusable = report->memory && i < report->memory->n_clusters
                                       ? report->memory->clusters[i].unusable
                                       : NULL;
        const char *what = planned->error;
        Finding draft = {
                .kind = "cluster", .name = cluster->name, .object = i, .health = planned->health};

        if (!what && planned->health != HEALTH_OK && !unusable)
                what = observed && observed->problem ? observed->problem
                                                     : proof_advice[planned->proof].what;
        if (what && !was_said(findings, report, i, what))
                add(findings, &draft, what, &proof_advice[planned->proof],
                    cluster->certificate->name);
        if (unusable && (!what || strcmp(what, unusable) != 0)) {
                draft.health = HEALTH_WARNING;
                add(findings, &draft, unusable, &proof_advice[PROOF_PROVEN], NULL);
        }
}

static void find_clusters(const Report *report, Findings *findings)
{
        for (size_t i = 0; i < report->policy->n_clusters; i++) {
                const PlanCluster *planned = report_cluster(report, i);

                if (planned)
                        find_cluster(report, i, planned, findings);
        }
}

static void find_leftovers(const Report *report, Findings *findings)
{
        static const Advice advice = {
                NULL,
                "Nothing renews its files. Whoever still reads them cannot connect once they have "
                "expired.",
                "If nobody reads them, remove the directory. If somebody does, name it in the "
                "policy again.",
        };

        for (size_t i = 0; i < report->memory->leftovers.n; i++) {
                const Leftover *leftover = &report->memory->leftovers.items[i];
                const Finding draft = {.kind = "directory",
                                       .name = leftover->directory,
                                       .object = i,
                                       .health = HEALTH_OK};
                _cleanup_(text_done) Text what = {0};

                text_addf(&what,
                          "unmanaged: certificate %s was published there before the policy "
                          "changed",
                          leftover->certificate);
                findings->failed |= what.failed;
                add(findings, &draft, text_content(&what), &advice, NULL);
        }
}

/* A clock that is not believed harms nothing until something is due. */
static void find_doubt(const Report *report, Findings *findings)
{
        static const Advice advice = {
                NULL,
                "Certificates are dated by the clock. What is served stays; none is issued.",
                "Compare date(1) with another clock. If it is right: pgcertctl renew NAME.",
        };
        Finding clock = {.kind = "clock", .name = "", .health = HEALTH_OK};
        _cleanup_(text_done) Text what = {0};

        for (size_t i = 0; report->plan && i < report->plan->n_certificates; i++)
                if (report->plan->certificates[i].state == CERTIFICATE_HELD)
                        clock.health =
                                health_worse(clock.health, report->plan->certificates[i].health);
        clockstep_describe(&report->memory->clock, &what);
        findings->failed |= what.failed;
        add(findings, &clock, text_content(&what), &advice,
            report->policy->n_certificates ? report->policy->certificates[0].name : NULL);
}

void findings_make(const Report *report, Findings *ret)
{
        static const Advice clock_advice = {
                "the clock is not synchronised",
                "A wrong clock makes certificates that are not valid yet, or renews them late.",
                "Turn time synchronisation on: timedatectl set-ntp true.",
        };
        const Finding clock = {.kind = "clock", .name = "", .health = HEALTH_OK};

        *ret = (Findings){0};
        find_policy(report, ret);
        if (report->policy) {
                find_authorities(report, ret);
                find_certificates(report, ret);
                find_clusters(report, ret);
        }
        if (report->policy && report->memory)
                find_leftovers(report, ret);
        if (report->policy && report->memory && report->memory->clock.is_doubted)
                find_doubt(report, ret);
        else if (report->clock_sync == CLOCK_UNSYNCHRONISED)
                add(ret, &clock, NULL, &clock_advice, NULL);
}
