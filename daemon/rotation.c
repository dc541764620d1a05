#include "daemon/rotation.h"

#include "common/clock.h"
#include "common/pem.h"
#include "daemon/bundle.h"
#include "daemon/emergency.h"

#include <string.h>

static const ObservedGeneration *newest(const Report *report, size_t index)
{
        const ObservedAuthority *authority = report_authority(report, index);

        return authority && authority->n_generations > 0
                       ? &authority->generations[authority->n_generations - 1]
                       : NULL;
}

uint32_t rotation_newest(const Report *report, size_t index)
{
        const ObservedGeneration *generation = newest(report, index);

        return generation ? generation->number : 0;
}

/* Whether a generation that was called stolen is still trusted by somebody. */
static bool has_stolen(const ObservedAuthority *authority)
{
        for (size_t i = 0; i < authority->n_generations; i++)
                if (authority->generations[i].is_stolen)
                        return true;
        return false;
}

bool rotation_is_under_way(const Report *report, size_t index, bool is_emergency)
{
        const ObservedAuthority *authority = report_authority(report, index);

        if (!authority)
                return false;
        return is_emergency ? has_stolen(authority)
                            : authority_find(authority, AUTHORITY_NEXT) != NULL;
}

RotationState rotation_judge(const Report *report, size_t index, bool is_emergency, uint32_t before)
{
        const ObservedGeneration *generation = newest(report, index);
        bool is_made = generation && generation->number > before, is_done;

        if (!is_made)
                return report_is_due(report, STEP_PREPARE, index) ||
                                       report_is_due(report, STEP_EMERGENCY, index)
                               ? ROTATION_GOING
                               : ROTATION_FAILED;
        is_done = is_emergency ? !has_stolen(report_authority(report, index))
                               : generation->phase != AUTHORITY_NEXT || generation->announced_usec;
        if (is_done)
                return ROTATION_DONE;
        return report_is_due(report, STEP_VERBS, 0) ? ROTATION_GOING : ROTATION_WAITS;
}

/* Why it does not go on; never NULL. */
static const char *obstacle(const Report *report, size_t index)
{
        const PlanAuthority *row = report_ca(report, index);
        const Memory *memory = report->memory;

        if (row && row->waits_for)
                return row->waits_for;
        if (memory && index < memory->n_authorities && memory->authorities[index].attempt.error)
                return memory->authorities[index].attempt.error;
        return row && row->error ? row->error : "see pgcertctl check";
}

/* What comes next, where it is known. */
static void add_next(const Report *report, size_t index, Text *text)
{
        const PlanAuthority *row = report_ca(report, index);
        char when[CLOCK_TEXT_MAX];

        if (!row || row->next_verb == STEP_VERBS || row->next_usec == USEC_INFINITY)
                return;
        text_addf(text, "; next: %s", report_ca_step(row->next_verb));
        if (row->next_usec > report->now_usec)
                text_addf(text, " at %s", clock_format(row->next_usec, when));
}

static const int statuses[] = {
        [ROTATION_GOING] = 1,
        [ROTATION_DONE] = 0,
        [ROTATION_WAITS] = 1,
        [ROTATION_FAILED] = 2,
};

int rotation_outcome(const Report *report, size_t index, bool is_emergency, uint32_t before,
                     Text *text)
{
        const char *name = report->policy->authorities[index].name;
        const ObservedGeneration *generation = newest(report, index);
        RotationState state = rotation_judge(report, index, is_emergency, before);

        switch (state) {
        case ROTATION_DONE:
                if (generation->phase != AUTHORITY_NEXT)
                        text_addf(text, "%s: %s signs now", name, generation->subject);
                else
                        text_addf(text,
                                  "%s: the rollover to %s is under way: it is in every trust "
                                  "bundle here; for other machines: pgcertctl bundle %s",
                                  name, generation->subject, name);
                add_next(report, index, text);
                text_add(text, "\n");
                return statuses[state];
        case ROTATION_GOING:
        case ROTATION_WAITS:
                text_addf(text, "%s: the rollover to %s is under way and waits: %s", name,
                          generation ? generation->subject : "the next CA",
                          obstacle(report, index));
                add_next(report, index, text);
                text_add(text, "\n");
                return statuses[state];
        case ROTATION_FAILED:
                break;
        }
        text_addf(text, "%s: no new CA was made: %s\n", name, obstacle(report, index));
        return statuses[state];
}

int rotation_outcome_json(const Report *report, size_t index, bool is_emergency, uint32_t before,
                          Text *text)
{
        static const char *const words[] = {
                [ROTATION_GOING] = "waiting",
                [ROTATION_DONE] = "done",
                [ROTATION_WAITS] = "waiting",
                [ROTATION_FAILED] = "failed",
        };
        RotationState state = rotation_judge(report, index, is_emergency, before);
        const ObservedGeneration *generation = newest(report, index);
        Json json = {.text = text};

        json_object(&json, NULL);
        json_integer(&json, "version", 1);
        json_string(&json, "authority", report->policy->authorities[index].name);
        json_string(&json, "outcome", words[state]);
        if (state == ROTATION_FAILED || !generation)
                json_null(&json, "subject");
        else
                json_string(&json, "subject", generation->subject);
        json_string(&json, "error", statuses[state] == 0 ? NULL : obstacle(report, index));
        json_object_end(&json);
        text_add(text, "\n");
        return statuses[state];
}

static int check_known(const Report *report, size_t index, Text *text)
{
        const ObservedAuthority *authority = report_authority(report, index);
        const char *name = report->policy->authorities[index].name;

        if (authority && authority->known && authority->n_generations > 0)
                return 0;
        text_addf(text, "the CA of %s is not known: %s\n", name,
                  authority && authority->problem ? authority->problem
                  : authority                     ? "there is none yet"
                                                  : "no pass has finished yet");
        return HEALTH_UNKNOWN;
}

int rotation_bundle(const Report *report, size_t index, Text *text)
{
        const ObservedAuthority *authority = report_authority(report, index);
        int status = check_known(report, index, text);

        if (status != 0)
                return status;
        for (size_t i = 0; i < authority->n_generations; i++)
                if (!bundle_is_stolen(&authority->generations[i]))
                        pem_add_certificate(text, authority->generations[i].der,
                                            authority->generations[i].der_size);
        for (size_t i = 0; i < authority->n_trust; i++)
                pem_add_certificate(text, authority->trust[i].der, authority->trust[i].der_size);
        return 0;
}

static void add_anchor(Json *json, const char *subject, const CertFacts *facts, const uint8_t *der,
                       size_t size)
{
        _cleanup_(text_done) Text pem = {0};

        pem_add_certificate(&pem, der, size);
        json_object(json, NULL);
        json_string(json, "subject", subject);
        json_hex(json, "sha256", facts->sha256, sizeof facts->sha256);
        json_time(json, "not_after", facts->not_after_usec);
        json_string(json, "pem", text_content(&pem));
        json_object_end(json);
        json->text->failed |= pem.failed;
}

int rotation_bundle_json(const Report *report, size_t index, Text *text)
{
        const ObservedAuthority *authority = report_authority(report, index);
        int status = check_known(report, index, text);
        Json json = {.text = text};

        if (status != 0)
                return status;
        json_object(&json, NULL);
        json_integer(&json, "version", 1);
        json_string(&json, "authority", report->policy->authorities[index].name);
        json_array(&json, "anchors");
        for (size_t i = 0; i < authority->n_generations; i++) {
                const ObservedGeneration *generation = &authority->generations[i];

                if (!bundle_is_stolen(generation))
                        add_anchor(&json, generation->subject, &generation->facts, generation->der,
                                   generation->der_size);
        }
        for (size_t i = 0; i < authority->n_trust; i++) {
                const ObservedAnchor *anchor = &authority->trust[i];

                add_anchor(&json, anchor->subject, &anchor->facts, anchor->der, anchor->der_size);
        }
        json_array_end(&json);
        json_object_end(&json);
        text_add(text, "\n");
        return 0;
}

void rotation_preview(const Report *report, size_t index, Text *text)
{
        if (!report->observation) {
                text_add(text, "No pass has finished yet.\n");
                return;
        }
        emergency_describe(report->policy, report->observation, report->memory, index, text);
        text_add(text, "\nNothing was changed. To do it, add --yes.\n");
}
