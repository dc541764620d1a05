#include "daemon/metrics.h"

#include "common/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define METRICS_TEMPORARY "." METRICS_NAME

int metrics_write(const Report *report, const char *runtime_dir, Error *reterr)
{
        static const FileMode mode = {.mode = 0644, .group = (gid_t)-1};
        _cleanup_(text_done) Text text = {0};
        _cleanup_(closep) int fd = -1;
        int r;

        report_metrics(report, &text);
        r = text_check(&text, reterr);
        if (r >= 0)
                r = fdio_open_directory(AT_FDCWD, runtime_dir, &fd, reterr);
        if (r < 0)
                return r;
        unlinkat(fd, METRICS_TEMPORARY, 0); /* of a crash */
        r = fdio_create(fd, METRICS_TEMPORARY, text.data, text.size, &mode, reterr);
        if (r >= 0 && renameat(fd, METRICS_TEMPORARY, fd, METRICS_NAME) < 0)
                r = error_set(reterr, errno, "cannot put %s in place: %m", METRICS_NAME);
        return r;
}
