#include "daemon/work.h"

#include "common/clock.h"
#include "common/events.h"
#include "daemon/due.h"

#include <assert.h>
#include <stdio.h>
#include <syslog.h>

/* What the memory left to the observation that it came with is taken out of that, before this
 * pass's look replaces it. */
static int recall_wanted(const WorkInput *input, Memory *memory, Error *reterr)
{
        const Policy *policy = input->policy;

        for (size_t i = 0; i < policy->n_certificates; i++) {
                const PolicyCertificate *old;

                if (!memory->certificates[i].is_wanted_on_disk)
                        continue;
                old = policy_find_certificate(input->memory_policy, policy->certificates[i].name);
                /* It was left to an observation that was made with that policy. */
                assert(input->known && old);
                if (!memory_recall_wanted(
                            &memory->certificates[i],
                            &input->known->sets[old - input->memory_policy->certificates].leaf))
                        return error_oom(reterr);
        }
        return 0;
}

int work_new(const WorkInput *input, Work **ret, Error *reterr)
{
        _cleanup_(work_freep) Work *work = calloc(1, sizeof *work);
        int r;

        if (!work)
                return error_oom(reterr);
        work->input = *input;
        policy_ref((Policy *)input->policy);
        peers_init(&work->peers, &input->places);
        /* What another policy's pass saw says nothing about this one's names and digests. */
        if (input->known && input->known->tag == input->policy->tag)
                r = observation_copy(input->known, &work->observation, reterr);
        else
                r = observation_new(input->policy, &work->observation, reterr);
        if (r >= 0)
                r = memory_adopt(input->memory, input->memory_policy, input->policy, &work->memory,
                                 reterr);
        if (r >= 0)
                r = recall_wanted(input, work->memory, reterr);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(work);
        return 0;
}

Work *work_free(Work *work)
{
        if (!work)
                return NULL;
        peers_done(&work->peers);
        observation_free(work->observation);
        memory_free(work->memory);
        plan_free(work->plan);
        free(work->old);
        policy_unref((Policy *)work->input.policy);
        free(work);
        return NULL;
}

void work_cancel(Work *work)
{
        peers_cancel(&work->peers);
}

void work_tell(const Work *work, const WorkEvent *event, const char *format, ...)
{
        char sentence[2 * ERROR_TEXT_MAX];
        WorkEvent told = *event;
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(sentence, sizeof sentence, format, arguments);
        va_end(arguments);
        told.sentence = sentence;
        if (work->input.tell)
                work->input.tell(work->input.userdata, &told);
}

int work_worker(Work *work, size_t index, Peer **ret, Error *reterr)
{
        const PolicyCertificate *certificate = &work->input.policy->certificates[index];

        return peers_worker(&work->peers, certificate->owner, certificate->owner_uid, ret, reterr);
}

/* Tells and remembers a repair; event names the object. */
static void repaired(Work *work, Repair *repair, WorkEvent *event, const char *reason)
{
        const char *name = event->certificate ? event->certificate : event->cluster;

        repair->done_usec = clock_realtime();
        if (work->input.record)
                record_repaired(work->input.record, event->cluster != NULL, name, reason,
                                work->input.policy->tag, repair->done_usec, NULL);
        event->level = LOG_WARNING;
        event->message_id = EVENT_REPAIRED;
        work_tell(work, event,
                  "%s: repaired what somebody changed: %s. If it is changed again within a day, it "
                  "is left as it is",
                  name, reason);
}

void work_certificate_written(Work *work, size_t index)
{
        Repair *repair = &work->memory->certificates[index].repair;
        const char *damage = due_damage(&work->observation->sets[index]);
        WorkEvent event = {.certificate = work->input.policy->certificates[index].name};

        if (repair->is_settled && damage)
                repaired(work, repair, &event, damage);
}

void work_cluster_written(Work *work, size_t index)
{
        Repair *repair = &work->memory->clusters[index].repair;
        WorkEvent event = {.cluster = work->input.policy->clusters[index].name};

        if (repair->is_settled)
                repaired(work, repair, &event,
                         work->observation->clusters[index].configuration == CONFIGURATION_ABSENT
                                 ? "its configuration file was removed"
                                 : "its configuration file was edited");
}

void work_certificate_failed(Work *work, size_t index, const char *sentence)
{
        const PolicyCertificate *certificate = &work->input.policy->certificates[index];
        const ObservedSet *set = &work->observation->sets[index];
        MemoryCertificate *memory = &work->memory->certificates[index];
        int64_t left = 0;

        if (set->has_leaf)
                left = usec_add(set->leaf.not_after_usec, -clock_realtime());
        if (left > certificate->renew_before_usec)
                left = certificate->renew_before_usec;
        memory->is_requested = memory->is_rekey_requested = false;
        attempt_failed(&memory->attempt, work->input.policy, clock_boottime(), left, sentence);
        work_tell(work,
                  &(WorkEvent){.level = LOG_ERR,
                               .message_id = EVENT_FAILED,
                               .certificate = certificate->name},
                  "%s: %s", certificate->name, sentence);
}
