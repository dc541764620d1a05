/*
 * Which known word was most likely meant by an unknown one: for hints.
 */
#pragma once

#include <stddef.h>

/* How many letters must be added, removed, changed or swapped with their neighbour to make one word
 * of the other; NEAREST_FAR where more than 2, or where a word is long. */
enum { NEAREST_FAR = 3, NEAREST_WORD_MAX = 64 };
unsigned nearest_distance(const char *a, const char *b);

/* The nearest of n words, or NULL where all are far, or two are as near. A short word must be
 * nearer. */
const char *nearest_word(const char *word, const char *const *words, size_t n);
