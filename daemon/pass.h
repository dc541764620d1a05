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
