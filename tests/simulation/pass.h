/*
 * A pass of a simulated pgcertd: the plan is made and its steps are done, in its order, until
 * nothing is due; what the programs would do is done to the site.
 */
#pragma once

#include "tests/simulation/life.h"

/* Plans and acts at life->now, and sets life->wake. */
void pass_live(Life *life);

/* Whether the plan has a step before its deadline: it would have been late. */
void pass_check_deadline(Life *life, int64_t at_usec);
