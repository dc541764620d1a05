#include "daemon/repair.h"

#include "common/clock.h"

#include <stdlib.h>
#include <string.h>

#define REPAIR_REST (24 * 3600 * USEC_PER_SEC)

bool repair_is_recent(const Repair *repair, int64_t now_usec)
{
        int64_t age = usec_add(now_usec, -repair->done_usec);

        return repair->done_usec != 0 && age < REPAIR_REST && age > -REPAIR_REST;
}

void repair_list_done(RepairList *list)
{
        free(list->items);
        *list = (RepairList){0};
}

static RepairEntry *find(const RepairList *list, bool is_cluster, const char *name)
{
        for (size_t i = 0; i < list->n; i++)
                if (list->items[i].is_cluster == is_cluster &&
                    strcmp(list->items[i].name, name) == 0)
                        return &list->items[i];
        return NULL;
}

static RepairEntry *find_oldest(const RepairList *list)
{
        RepairEntry *oldest = &list->items[0];

        for (size_t i = 1; i < list->n; i++)
                if (list->items[i].done_usec < oldest->done_usec)
                        oldest = &list->items[i];
        return oldest;
}

int repair_list_add(RepairList *list, const RepairEntry *entry, Error *reterr)
{
        RepairEntry *place = find(list, entry->is_cluster, entry->name);

        if (!place && list->n == REPAIR_LIST_MAX)
                place = find_oldest(list);
        if (!place && list->n == list->allocated) {
                size_t allocated = list->allocated ? list->allocated * 2 : 8;
                RepairEntry *items = reallocarray(list->items, allocated, sizeof *items);

                if (!items)
                        return error_oom(reterr);
                list->items = items;
                list->allocated = allocated;
        }
        if (!place)
                place = &list->items[list->n++];
        *place = *entry;
        return 0;
}

int64_t repair_list_find(const RepairList *list, bool is_cluster, const char *name, uint64_t tag)
{
        const RepairEntry *entry = find(list, is_cluster, name);

        return entry && entry->tag == tag ? entry->done_usec : 0;
}
