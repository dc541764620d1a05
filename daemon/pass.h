/*
 * One pass: observe all owners, plan, do the steps, observe again. It runs in a thread of its own
 * beside the event loop and blocks as long as its deadlines allow.
 *
 * It decides nothing: steps and their order are the plan's.
 */
#pragma once

#include "daemon/work.h"

/* Runs the pass in this thread; work has the outcome. */
void pass_run(Work *work);

/* Removes the generations that the pass left without use, where work->n_old says so. Nobody waits
 * for it: what was asked for is proven before, and removing files is the slowest of all. To be
 * called after what the pass made was taken: it does not look at that. Not called, or cut short,
 * the next renewal removes them. */
void pass_tidy(Work *work);
