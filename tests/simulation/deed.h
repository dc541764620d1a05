/*
 * What a step of the plan does in a simulated life: what the programs would do is done to the site,
 * and what they would remember is remembered.
 */
#pragma once

#include "tests/simulation/life.h"

/* How far a set came in one plan. */
typedef struct Draw {
        bool is_wanted, is_filled, is_published;
        unsigned failures; /* in a row, before it was published */
        Version version;
} Draw;

/* The steps of one plan. */
typedef struct Deeds {
        Life *life;
        Draw draws[SPEC_CERTIFICATES_MAX];
        bool is_broken[SPEC_CLUSTERS_MAX]; /* a step of it failed: the later ones are left out */
        bool is_refused[SPEC_CLUSTERS_MAX];
} Deeds;

/* Does a step of the plan; the steps come in its order. */
void deed_run(Deeds *deeds, const Step *step);

/* What was refused is put back, where the old set is of use, and all of its clusters load it. */
void deed_put_back(Deeds *deeds);

/* Whether the cluster serves what is on disk; and that somebody has seen it. */
bool deed_serves_disk(const Life *life, size_t cluster);
void deed_proven(Life *life, size_t cluster);

/* What a step is done to. */
const char *deed_name(const Life *life, const Step *step);
