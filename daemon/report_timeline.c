#include "daemon/report.h"

#include "common/clock.h"
#include "daemon/table.h"

#include <errno.h>

/* Makes it; false where there is nothing to make it of, or memory ran out. */
static bool make(const Report *report, const char *host, int64_t until_usec, Timeline *ret,
                 Error *error)
{
        PlanInput input = {
                .policy = report->policy,
                .observation = report->observation,
                .memory = report->memory,
                .now_usec = report->now_usec,
                /* Back-off is of this moment: nothing is left of it in a day. */
                .boot_usec = INT64_MAX / 2,
                .host = host,
        };

        if (report->policy && report->plan)
                return timeline_make(&input, until_usec, ret, error) >= 0;
        error_set(error, EAGAIN, "no pass has finished yet; ask again in a few seconds");
        return false;
}

static void add_row(const Report *report, const TimelineRow *row, Text *text)
{
        const char *kind, *name = report_step_object(report->policy, &row->step, &kind);
        char at[CLOCK_TEXT_MAX];
        _cleanup_(text_done) Text line = {0};

        text_addf(&line, "%s %s %s %s%s: %s", clock_format(row->at_usec, at),
                  row->step.verb == STEP_AUTHORITY ? "make" : step_verb_name(row->step.verb), kind,
                  name, row->step.rekey ? ", with a new key" : "", row->step.reason);
        text->failed |= line.failed;
        table_add_paragraph(text, 0, text_content(&line));
}

void report_timeline(const Report *report, const char *host, int64_t until_usec, Text *text)
{
        _cleanup_(timeline_done) Timeline timeline = {0};
        char at[CLOCK_TEXT_MAX];
        Error error = {0};

        if (!make(report, host, until_usec, &timeline, &error)) {
                text_addf(text, "%s\n", error.text);
                return;
        }
        for (size_t i = 0; i < timeline.n; i++)
                add_row(report, &timeline.items[i], text);
        clock_format(timeline.until_usec, at);
        if (timeline.is_cut)
                text_addf(text, "Only the first %zu steps are shown, until %s.\n", timeline.n, at);
        else if (timeline.n == 0)
                text_addf(text, "Nothing is due until %s.\n", at);
}

void report_timeline_json(const Report *report, const char *host, int64_t until_usec, Text *text)
{
        _cleanup_(timeline_done) Timeline timeline = {0};
        Json json = {.text = text};
        Error error = {0};
        bool is_made = make(report, host, until_usec, &timeline, &error);

        json_object(&json, NULL);
        json_integer(&json, "version", 1);
        json_array(&json, "steps");
        for (size_t i = 0; i < timeline.n; i++) {
                const TimelineRow *row = &timeline.items[i];
                const char *kind, *name = report_step_object(report->policy, &row->step, &kind);

                json_object(&json, NULL);
                json_time(&json, "at", row->at_usec);
                json_string(&json, "verb", step_verb_name(row->step.verb));
                json_string(&json, "kind", kind);
                json_string(&json, "name", name);
                json_boolean(&json, "rekey", row->step.rekey);
                json_string(&json, "reason", row->step.reason);
                json_object_end(&json);
        }
        json_array_end(&json);
        json_time(&json, "until", timeline.until_usec);
        json_boolean(&json, "complete", is_made && !timeline.is_cut);
        json_string(&json, "error", is_made ? NULL : error.text);
        json_integer(&json, "health", report_health(report));
        json_object_end(&json);
        text_add(text, "\n");
}
