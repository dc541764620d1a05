/*
 * What the operator is shown: the answers to pgcertctl's status, check and plan, as text for people
 * and as JSON for programs. Pure: a function of what is given, with no I/O and no clock.
 *
 * Text fits a terminal of 80 columns, needs no knowledge of X.509, and is harmless to a terminal
 * whatever a server wrote into its messages. It may change. JSON carries "version": 1 and only ever
 * gains keys; times are RFC 3339 in UTC.
 *
 * A reader is whoever depends on one set of files: each cluster with its server certificate, each
 * client certificate, and a server certificate that no cluster uses yet.
 */
#pragma once

#include "common/clock.h"
#include "daemon/plan.h"
#include "daemon/timeline.h"

typedef struct Report {
        const Policy *policy; /* in force; NULL where none ever was */
        /* Of the last pass, made with that policy; NULL before the first. */
        const Observation *observation;
        const Memory *memory;
        const Plan *plan;
        int64_t now_usec;                /* realtime */
        int64_t pass_usec;               /* when the last pass ended; 0: none yet */
        const char *policy_error;        /* NULL, or why the files on disk are not in force */
        int64_t policy_error_since_usec; /* and since when */
        ClockSync clock_sync;
} Report;

/* The health that the answer tells, and pgcertctl's exit status: the plan's, HEALTH_UNKNOWN before
 * the first pass. */
Health report_health(const Report *report);

/* The first running cluster that uses the certificate; NULL for none. */
const ObservedCluster *report_server(const Report *report, const PolicyCertificate *certificate);

/* The parts of the report about one object; NULL where nothing is known yet. */
const ObservedSet *report_set(const Report *report, size_t certificate);
const PlanCertificate *report_certificate(const Report *report, size_t certificate);
const ObservedCluster *report_observed(const Report *report, size_t cluster);
const PlanCluster *report_cluster(const Report *report, size_t cluster);
const ObservedAuthority *report_authority(const Report *report, size_t authority);
const PlanAuthority *report_ca(const Report *report, size_t authority);

/* Whether the plan has a step of that verb for the object at index; of STEP_VERBS, any step that
 * changes something. */
bool report_is_due(const Report *report, StepVerb verb, size_t object);

/* A step of a CA in words: "activate the next CA". */
const char *report_ca_step(StepVerb verb);

/* Where nothing was looked at: the states of the interface have no word for it. */
#define REPORT_NOT_YET "not looked at yet"

/* An instant in UTC for a table: within the next day the time alone, otherwise to the minute. */
const char *report_short_time(const Report *report, int64_t usec, char cell[CLOCK_TEXT_MAX]);

/* The CAs of every authority, a row per generation, and who is in the way of their rollover. */
void report_authority_table(const Report *report, Text *text);
void report_authority_json(const Report *report, size_t index, Json *json);

/* A table, a row per reader; a table of the CAs; what is wrong; one line to sum up. */
void report_status(const Report *report, Text *text);
void report_status_json(const Report *report, Text *text);

/* The steps due now, each with its reason, then what comes next for each object. */
void report_plan(const Report *report, Text *text);
void report_plan_json(const Report *report, Text *text);

/* What happens when until a time, from the report's own on, as if every step went well. */
void report_timeline(const Report *report, const char *host, int64_t until_usec, Text *text);
void report_timeline_json(const Report *report, const char *host, int64_t until_usec, Text *text);

/* What a step is done to, and of which kind that is: "authority", "certificate", "cluster". */
const char *report_step_object(const Policy *policy, const Step *step, const char **ret_kind);

/* Every set and cluster: what is wanted, on disk and served; what is wrong, why it matters, and
 * what to do. The JSON is that of status with an array "findings". */
void report_check(const Report *report, Text *text);
void report_check_json(const Report *report, Text *text);

/* All of it in Prometheus' text format; see report_metrics.c. */
void report_metrics(const Report *report, Text *text);

/* The word for a phase: next, current, retiring. */
const char *report_phase_name(AuthorityPhase phase);

/* How the renewals went that were asked for, of all certificates where n is 0. The exit status: 0
 * proven, or a client's that is published; 1 the proof is owed; 2 refused or failed. */
int report_renewal(const Report *report, char *const *names, size_t n, Text *text);
int report_renewal_json(const Report *report, char *const *names, size_t n, Text *text);
