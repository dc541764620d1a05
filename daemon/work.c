#include "daemon/work.h"

#include "common/clock.h"
#include "common/events.h"

#include <stdio.h>
#include <syslog.h>

int work_new(const WorkInput *input, Work **ret, Error *reterr)
{
        _cleanup_(work_freep) Work *work = calloc(1, sizeof *work);
        int r;

        if (!work)
                return error_oom(reterr);
        work->input = *input;
        peers_init(&work->peers, &input->places);
        /* What another policy's pass saw says nothing about this one's names and digests. */
        if (input->known && input->known->tag == input->policy->tag)
                r = observation_copy(input->known, &work->observation, reterr);
        else
                r = observation_new(input->policy, &work->observation, reterr);
        if (r >= 0)
                r = memory_adopt(input->memory, input->memory_policy, input->policy, &work->memory,
                                 reterr);
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
