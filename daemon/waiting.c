#include "daemon/waiting.h"

#include <errno.h>
#include <stdlib.h>

int waiting_add(Waiting **first, const Waiting *waiting)
{
        Waiting *copy = malloc(sizeof *copy);

        if (!copy)
                return -ENOMEM;
        *copy = *waiting;
        copy->next = *first;
        *first = copy;
        return 0;
}

void waiting_forget(Waiting **first, const ControlCall *call)
{
        for (Waiting **place = first; *place; place = &(*place)->next) {
                Waiting *waiting = *place;

                if (waiting->call != call)
                        continue;
                *place = waiting->next;
                free(waiting);
                return;
        }
}

void waiting_free_all(Waiting **first)
{
        while (*first)
                waiting_forget(first, (*first)->call);
}
