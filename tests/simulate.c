/*
 * Simulated lives without a bound, by hand:
 *
 *   simulate [--seed N] [--policies N] [--years N] [--files DIR] [--aloud]
 *
 * Lives the seeds from N on, one policy each, and prints for each that fails its seed, what failed
 * and a shortened story. Exits 1 where one did. --files has the signer's own files below DIR, a new
 * directory for each seed. --aloud tells everything as it happens.
 */
#include "tests/simulation/chance.h"

#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

typedef struct Wish {
        uint64_t seed;
        unsigned policies, years;
        const char *files;
        FILE *aloud;
} Wish;

static bool read_options(int argc, char *argv[], Wish *wish)
{
        static const struct option options[] = {
                {"seed", required_argument, NULL, 's'},  {"policies", required_argument, NULL, 'p'},
                {"years", required_argument, NULL, 'y'}, {"files", required_argument, NULL, 'f'},
                {"aloud", no_argument, NULL, 'a'},       {0},
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
                if (c == 's')
                        wish->seed = strtoull(optarg, NULL, 10);
                else if (c == 'p')
                        wish->policies = (unsigned)strtoul(optarg, NULL, 10);
                else if (c == 'y')
                        wish->years = (unsigned)strtoul(optarg, NULL, 10);
                else if (c == 'f')
                        wish->files = optarg;
                else if (c == 'a')
                        wish->aloud = stdout;
                else
                        return false;
        }
        return optind == argc;
}

typedef struct Sum {
        double years;
        uint64_t passes, issued, activations, verified;
} Sum;

static bool live(const Wish *wish, uint64_t seed, Sum *sum)
{
        _cleanup_(life_freep) Life *life = NULL;
        char place[PATH_MAX] = "";

        if (wish->files) {
                snprintf(place, sizeof place, "%s/%" PRIu64, wish->files, seed);
                if (mkdir(place, 0700) < 0) {
                        perror(place);
                        return false;
                }
        }
        life = chance_case(seed, wish->years, BREAK_NOTHING, wish->files ? place : NULL,
                           wish->aloud);
        if (!life) {
                printf("seed %" PRIu64 ": the policy is not judged as it should be\n", seed);
                return false;
        }
        sum->years += (double)(life->now - LIFE_START) / USEC_PER_YEAR;
        sum->passes += life->passes;
        sum->issued += life->issued;
        sum->activations += life->activations;
        sum->verified += papers_asked(life->papers);
        if (!life->failure[0])
                return true;
        printf("seed %" PRIu64 ": %s\n", seed, life->failure);
        story_print(&life->story, stdout);
        fflush(stdout);
        return false;
}

int main(int argc, char *argv[])
{
        Wish wish = {.seed = 1, .policies = 100, .years = 20};
        unsigned failed = 0;
        Sum sum = {0};

        if (!read_options(argc, argv, &wish)) {
                fprintf(stderr, "usage: simulate [--seed N] [--policies N] [--years N] [--files "
                                "DIR] [--aloud]\n");
                return 2;
        }
        for (unsigned i = 0; i < wish.policies; i++)
                failed += !live(&wish, wish.seed + i, &sum);
        printf("%u policies, %.0f years: %" PRIu64 " passes, %" PRIu64 " leaves, %" PRIu64
               " rollovers, %" PRIu64 " verifications; %u failed\n",
               wish.policies, sum.years, sum.passes, sum.issued, sum.activations, sum.verified,
               failed);
        return failed ? 1 : 0;
}
