#include "daemon/ctl/forward.h"

#include "common/program.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

/* The options of pgcertctl and of its probe whose value is a word of its own. */
static bool takes_value(const char *argument)
{
        static const char *const names[] = {"--runtime-dir", "--ca",       "--name",
                                            "--warning",     "--critical", "--timeout"};

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (strcmp(argument, names[i]) == 0)
                        return true;
        return false;
}

/* 0 for no command. */
static int find_command(int argc, char *argv[])
{
        for (int i = 1; i < argc; i++)
                if (argv[i][0] != '-')
                        return i;
                else if (takes_value(argv[i]))
                        i++;
        return 0;
}

bool forward_is_probe(int argc, char *argv[])
{
        int command = find_command(argc, argv);

        return command > 0 && strcmp(argv[command], "probe") == 0;
}

int forward_probe(int argc, char *argv[], Error *reterr)
{
        _cleanup_(freep) char **arguments = calloc((size_t)argc + 2, sizeof *arguments);
        char path[PATH_MAX];
        int command = find_command(argc, argv), n = 0, r;

        if (!arguments)
                return error_oom(reterr);
        r = program_find("pgcertd-worker", path, reterr);
        if (r < 0)
                return r;
        arguments[n++] = path;
        arguments[n++] = (char *)"--probe";
        for (int i = 1; i < argc; i++) {
                if (i == command)
                        continue;
                /* It has no use for where pgcertd listens. */
                if (strcmp(argv[i], "--runtime-dir") == 0)
                        i++;
                else if (strncmp(argv[i], "--runtime-dir=", strlen("--runtime-dir=")) != 0)
                        arguments[n++] = argv[i];
        }
        execv(path, arguments);
        return error_set(reterr, errno, "cannot run %s: %m", path);
}
