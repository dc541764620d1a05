/*
 * Random numbers of a seed: the same on every machine, so that a failing case can be played again
 * (splitmix64).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct Dice {
        uint64_t state;
} Dice;

static inline uint64_t dice_next(Dice *dice)
{
        uint64_t z = dice->state += UINT64_C(0x9e3779b97f4a7c15);

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

/* From min to max, both among them. */
static inline int64_t dice_between(Dice *dice, int64_t min, int64_t max)
{
        return max <= min ? min : min + (int64_t)(dice_next(dice) % (uint64_t)(max - min + 1));
}

static inline bool dice_chance(Dice *dice, unsigned percent)
{
        return dice_next(dice) % 100 < percent;
}

/* From min to max with each power of two as likely as another. */
static inline int64_t dice_scale(Dice *dice, int64_t min, int64_t max)
{
        unsigned doublings = 0, chosen;
        int64_t low, high;

        while (doublings < 62 && min <= max >> (doublings + 1))
                doublings++;
        chosen = (unsigned)dice_between(dice, 0, doublings);
        low = min << chosen;
        high = low > max / 2 ? max : 2 * low;
        return dice_between(dice, low, high);
}
