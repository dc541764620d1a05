#include "common/nearest.h"

#include <stdbool.h>
#include <string.h>

static unsigned least(unsigned a, unsigned b)
{
        return a < b ? a : b;
}

unsigned nearest_distance(const char *a, const char *b)
{
        unsigned rows[3][NEAREST_WORD_MAX + 1];
        size_t m = strlen(a), n = strlen(b);
        unsigned distance;

        if (m > NEAREST_WORD_MAX || n > NEAREST_WORD_MAX || m > n + 2 || n > m + 2)
                return NEAREST_FAR;
        for (size_t j = 0; j <= n; j++)
                rows[0][j] = (unsigned)j;
        for (size_t i = 1; i <= m; i++) {
                unsigned *now = rows[i % 3], *above = rows[(i - 1) % 3];

                now[0] = (unsigned)i;
                for (size_t j = 1; j <= n; j++) {
                        now[j] = least(above[j] + 1, now[j - 1] + 1);
                        now[j] = least(now[j], above[j - 1] + (a[i - 1] != b[j - 1]));
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                now[j] = least(now[j], rows[(i - 2) % 3][j - 2] + 1);
                }
        }
        distance = rows[m % 3][n];
        return distance < NEAREST_FAR ? distance : NEAREST_FAR;
}

const char *nearest_word(const char *word, const char *const *words, size_t n)
{
        const char *best = NULL;
        unsigned least_distance = NEAREST_FAR;
        bool is_tie = false;

        for (size_t i = 0; i < n; i++) {
                unsigned distance = nearest_distance(word, words[i]);

                /* Half of a word changed is another word. */
                if (distance > least_distance || distance == NEAREST_FAR ||
                    distance * 2 > strlen(words[i]))
                        continue;
                is_tie = distance == least_distance;
                least_distance = distance;
                best = words[i];
        }
        return is_tie ? NULL : best;
}
