#include "daemon/wake.h"

#include "common/clock.h"
#include "common/text.h"

void wake_at(Wake *wake, int64_t at_usec, const char *verb, const char *name)
{
        if (at_usec <= wake->now_usec || at_usec >= wake->next_usec)
                return;
        wake->next_usec = at_usec;
        wake->verb = verb;
        wake->name = name;
}

void wake_retry(Wake *wake, int64_t boot_usec, const char *name)
{
        if (boot_usec <= wake->boot_usec || boot_usec >= wake->next_boot_usec)
                return;
        wake->next_boot_usec = boot_usec;
        wake->retried = name;
}

int wake_take_what(const Wake *wake, char **ret, int64_t *ret_at_usec, Error *reterr)
{
        Text text = {0};
        bool is_retry = wake->retried && (!wake->verb || wake->next_boot_usec - wake->boot_usec <
                                                                 wake->next_usec - wake->now_usec);

        *ret_at_usec = is_retry ? usec_add(wake->now_usec, wake->next_boot_usec - wake->boot_usec)
                                : wake->next_usec;
        if (is_retry)
                text_addf(&text, "retry %s", wake->retried);
        else if (wake->verb)
                text_addf(&text, "%s %s", wake->verb, wake->name);
        else
                text_add(&text, "nothing is due");
        return text_take(&text, ret, reterr);
}
