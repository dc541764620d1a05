#include "daemon/report.h"

#include "common/clock.h"
#include "daemon/table.h"

#include <stdio.h>
#include <string.h>

enum { CELL_MAX = 96 };

const ObservedAuthority *report_authority(const Report *report, size_t index)
{
        const Observation *observation = report->observation;

        return observation && index < observation->n_authorities ? &observation->authorities[index]
                                                                 : NULL;
}

const PlanAuthority *report_ca(const Report *report, size_t index)
{
        const Plan *plan = report->plan;

        return plan && index < plan->n_authorities ? &plan->authorities[index] : NULL;
}

const char *report_phase_name(AuthorityPhase phase)
{
        switch (phase) {
        case AUTHORITY_NEXT:
                return "next";
        case AUTHORITY_CURRENT:
                return "current";
        case AUTHORITY_RETIRING:
        case AUTHORITY_PHASES:
                break;
        }
        return "retiring";
}

/* A stamp of the signer; null for not yet. */
static void add_stamp(Json *json, const char *key, int64_t usec)
{
        if (usec == 0)
                json_null(json, key);
        else
                json_time(json, key, usec);
}

static void add_generation(const ObservedGeneration *generation, Json *json)
{
        json_object(json, NULL);
        json_integer(json, "number", generation->number);
        json_string(json, "subject", generation->subject);
        json_string(json, "phase", report_phase_name((AuthorityPhase)generation->phase));
        json_time(json, "not_after", generation->facts.not_after_usec);
        add_stamp(json, "announced_at", generation->announced_usec);
        add_stamp(json, "activated_at", generation->activated_usec);
        json_boolean(json, "stolen", generation->is_stolen);
        json_object_end(json);
}

static void add_next(const PlanAuthority *planned, Json *json)
{
        if (!planned || planned->next_verb == STEP_VERBS) {
                json_null(json, "next");
                return;
        }
        json_object(json, "next");
        json_string(json, "verb", step_verb_name(planned->next_verb));
        json_integer(json, "generation", planned->next_generation);
        if (planned->next_usec == USEC_INFINITY)
                json_null(json, "at");
        else
                json_time(json, "at", planned->next_usec);
        json_object_end(json);
}

void report_authority_json(const Report *report, size_t index, Json *json)
{
        const ObservedAuthority *observed = report_authority(report, index);
        const PlanAuthority *planned = report_ca(report, index);

        json_object(json, NULL);
        json_string(json, "name", report->policy->authorities[index].name);
        json_array(json, "generations");
        for (size_t i = 0; observed && i < observed->n_generations; i++)
                add_generation(&observed->generations[i], json);
        json_array_end(json);
        add_next(planned, json);
        json_string(json, "waits_for", planned ? planned->waits_for : NULL);
        json_string(json, "error", planned ? planned->error : REPORT_NOT_YET);
        json_object_end(json);
}

/* The CN of a subject as one line, without the key id that ends it: "root G2". */
static const char *common_name(const char *subject, char cell[CELL_MAX])
{
        char *id;
        const char *name = NULL;

        for (const char *at = subject; (at = strstr(at, "CN=")); at += 3)
                if (at == subject || at[-1] == ' ')
                        name = at + 3;
        snprintf(cell, CELL_MAX, "%.*s", name ? (int)strcspn(name, ",") : CELL_MAX,
                 name ? name : subject);
        id = strrchr(cell, ' ');
        if (id && strlen(id) == 9 && strspn(id + 1, "0123456789abcdef") == 8)
                *id = '\0';
        return cell;
}

static void next_cell(const Report *report, const PlanAuthority *planned,
                      const ObservedGeneration *generation, char cell[CELL_MAX])
{
        char when[CLOCK_TEXT_MAX];
        bool is_meant =
                planned && planned->next_verb != STEP_VERBS &&
                (planned->next_generation == generation->number ||
                 (planned->next_verb == STEP_PREPARE && generation->phase == AUTHORITY_CURRENT));

        if (!is_meant)
                strcpy(cell, "-");
        else if (planned->next_usec == USEC_INFINITY)
                snprintf(cell, CELL_MAX, "%s, waits", step_verb_name(planned->next_verb));
        else if (planned->next_usec <= report->now_usec)
                snprintf(cell, CELL_MAX, "%s now", step_verb_name(planned->next_verb));
        else
                snprintf(cell, CELL_MAX, "%s %s", step_verb_name(planned->next_verb),
                         report_short_time(report, planned->next_usec, when));
}

static void add_rows(const Report *report, size_t index, Table *table)
{
        const ObservedAuthority *observed = report_authority(report, index);

        for (size_t i = 0; observed && i < observed->n_generations; i++) {
                const ObservedGeneration *generation = &observed->generations[i];
                char name[CELL_MAX], until[CLOCK_TEXT_MAX], next[CELL_MAX];

                next_cell(report, report_ca(report, index), generation, next);
                table_add_row(
                        table,
                        (const char *const[TABLE_COLUMNS]){
                                report->policy->authorities[index].name,
                                common_name(generation->subject, name),
                                generation->is_stolen
                                        ? "stolen"
                                        : report_phase_name((AuthorityPhase)generation->phase),
                                report_short_time(report, generation->facts.not_after_usec, until),
                                next,
                        });
        }
}

void report_authority_table(const Report *report, Text *text)
{
        _cleanup_(table_done) Table table = {0};

        table_add_row(&table, (const char *const[TABLE_COLUMNS]){"AUTHORITY", "CA", "PHASE",
                                                                 "VALID UNTIL", "NEXT"});
        for (size_t i = 0; i < report->policy->n_authorities; i++)
                add_rows(report, i, &table);
        if (table.n == 1 && !table.failed)
                return;
        text_add(text, "\n");
        table_format(&table, text);
        for (size_t i = 0; i < report->policy->n_authorities; i++) {
                const PlanAuthority *planned = report_ca(report, i);
                _cleanup_(text_done) Text line = {0};

                if (!planned || !planned->waits_for)
                        continue;
                text_addf(&line, "%s: to %s waits for %s", report->policy->authorities[i].name,
                          report_ca_step(planned->next_verb), planned->waits_for);
                text->failed |= line.failed;
                table_add_paragraph(text, 2, text_content(&line));
        }
}
