#include "tests/bench.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void bench_check(int is_good, const char *what)
{
        if (is_good)
                return;
        fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
        ERR_print_errors_fp(stderr);
        exit(1);
}

double bench_now(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void bench_tell(const char *name, double value)
{
        printf("%s %.9f\n", name, value);
}

int main(int argc, char **argv)
{
        static const struct {
                const char *name;
                int (*run)(int argc, char **argv);
        } commands[] = {
                {"issue", bench_issue},     {"renew", bench_renew}, {"start", bench_start},
                {"digest", bench_digest},   {"parse", bench_parse}, {"swap", bench_swap},
                {"request", bench_request},
        };

        for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
                if (strcmp(argv[1], commands[i].name) == 0)
                        return commands[i].run(argc - 1, argv + 1);
        fprintf(stderr, "bench: no such command\n");
        return 3;
}
