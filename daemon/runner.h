/*
 * The one thread beside the event loop: it runs a pass, or what a pass left to be tidied up, and
 * tells the loop by a descriptor when it has ended. The work is the thread's from runner_start() to
 * runner_take(), but for work_cancel().
 */
#pragma once

#include "daemon/work.h"

#include <pthread.h>

typedef struct Runner {
        int fd;     /* readable once the thread has ended; for the loop to watch */
        Work *work; /* that runs; NULL for none */
        void (*run)(Work *work);
        pthread_t thread;
} Runner;

/* Negative errno where there is no descriptor. */
int runner_open(Runner *runner);

/* Begins run(work) in a thread; nothing may run already. Takes the work, also on failure. */
int runner_start(Runner *runner, Work *work, void (*run)(Work *work), Error *reterr);

/* Once fd is readable: the work that has ended, the caller's again. NULL where nothing ran. */
Work *runner_take(Runner *runner);

/* Cancels what runs, and waits for it. */
void runner_close(Runner *runner);
