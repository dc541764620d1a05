/*
 * Files of ours that somebody else changed are repaired once. Where they are changed again within a
 * day of it they are left as they are and told: two programs that write the same files would
 * otherwise fight over them for ever, with a reload of PostgreSQL each time. Pure.
 */
#pragma once

#include "common/policy.h"

#include <stdbool.h>
#include <stdint.h>

/* Of a set, or of a cluster's configuration file. */
typedef struct Repair {
        /* It was seen as the policy in force wants it: what differs since, somebody else did. */
        bool is_settled;
        int64_t done_usec; /* the last repair, realtime; 0 for none */
} Repair;

/* Whether another change is left as it is. Also where the clock went back over it. */
bool repair_is_recent(const Repair *repair, int64_t now_usec);

/* The last repair of each object, as the history tells it over a restart. */
enum { REPAIR_LIST_MAX = 20000 }; /* the oldest go first */

typedef struct RepairEntry {
        char name[POLICY_NAME_MAX + 1];
        bool is_cluster;
        uint64_t tag; /* of the policy in force then: another one asks for its own files */
        int64_t done_usec;
} RepairEntry;

typedef struct RepairList {
        RepairEntry *items;
        size_t n;
        size_t allocated;
} RepairList;

void repair_list_done(RepairList *list);

/* Adds an entry, or puts it in the place of the object's last. */
int repair_list_add(RepairList *list, const RepairEntry *entry, Error *reterr);

/* When the object was last repaired under the policy of that tag; 0 for never. */
int64_t repair_list_find(const RepairList *list, bool is_cluster, const char *name, uint64_t tag);
