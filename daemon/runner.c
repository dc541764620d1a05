#include "daemon/runner.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

enum { STACK_SIZE = 512 * 1024 };

int runner_open(Runner *runner)
{
        *runner = (Runner){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
        return runner->fd < 0 ? -errno : 0;
}

static void *run(void *userdata)
{
        Runner *runner = userdata;

        runner->run(runner->work);
        /* The one write that tells the loop; it cannot fail on a fresh counter. */
        eventfd_write(runner->fd, 1);
        return NULL;
}

int runner_start(Runner *runner, Work *work, void (*function)(Work *work), Error *reterr)
{
        pthread_attr_t attributes;
        int r = pthread_attr_init(&attributes);

        runner->work = work;
        runner->run = function;
        if (r == 0) {
                r = pthread_attr_setstacksize(&attributes, STACK_SIZE);
                if (r == 0)
                        r = pthread_create(&runner->thread, &attributes, run, runner);
                pthread_attr_destroy(&attributes);
        }
        if (r == 0)
                return 0;
        runner->work = work_free(runner->work);
        return error_set(reterr, r, "no thread can be made: %s", strerror(r));
}

Work *runner_take(Runner *runner)
{
        eventfd_t count;

        if (eventfd_read(runner->fd, &count) < 0 || !runner->work)
                return NULL;
        pthread_join(runner->thread, NULL);
        return TAKE_PTR(runner->work);
}

void runner_close(Runner *runner)
{
        if (runner->work) {
                work_cancel(runner->work);
                pthread_join(runner->thread, NULL);
                runner->work = work_free(runner->work);
        }
        closep(&runner->fd);
        runner->fd = -1;
}
