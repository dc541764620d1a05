#include "common/duration.h"

#include "common/clock.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DURATION_MAX (1000 * USEC_PER_YEAR)

enum { FRACTION_DIGITS_MAX = 9, UNIT_NAME_MAX = 8 };

typedef struct Unit {
        const char *name;
        int64_t usec;
        const char *canonical; /* how a hint writes it */
} Unit;

/* The names of systemd.time(7); M and m differ, as there. */
static const Unit units[] = {
        {"seconds", USEC_PER_SEC, "s"},
        {"second", USEC_PER_SEC, "s"},
        {"sec", USEC_PER_SEC, "s"},
        {"s", USEC_PER_SEC, "s"},
        {"minutes", USEC_PER_MINUTE, "min"},
        {"minute", USEC_PER_MINUTE, "min"},
        {"min", USEC_PER_MINUTE, "min"},
        {"months", USEC_PER_YEAR / 12, "month"},
        {"month", USEC_PER_YEAR / 12, "month"},
        {"M", USEC_PER_YEAR / 12, "month"},
        {"msec", USEC_PER_MSEC, "ms"},
        {"ms", USEC_PER_MSEC, "ms"},
        {"m", USEC_PER_MINUTE, "min"},
        {"hours", USEC_PER_HOUR, "h"},
        {"hour", USEC_PER_HOUR, "h"},
        {"hr", USEC_PER_HOUR, "h"},
        {"h", USEC_PER_HOUR, "h"},
        {"days", USEC_PER_DAY, "d"},
        {"day", USEC_PER_DAY, "d"},
        {"d", USEC_PER_DAY, "d"},
        {"weeks", 7 * USEC_PER_DAY, "w"},
        {"week", 7 * USEC_PER_DAY, "w"},
        {"w", 7 * USEC_PER_DAY, "w"},
        {"years", USEC_PER_YEAR, "y"},
        {"year", USEC_PER_YEAR, "y"},
        {"y", USEC_PER_YEAR, "y"},
        {"usec", 1, "us"},
        {"us", 1, "us"},
        {"\u00B5s", 1, "us"},
        {"\u03BCs", 1, "us"},
};

static bool is_unit_byte(char c)
{
        return isalpha((unsigned char)c) || (unsigned char)c >= 0x80;
}

static const Unit *find_unit(const char *word, size_t size)
{
        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                if (strlen(units[i].name) == size && memcmp(units[i].name, word, size) == 0)
                        return &units[i];
        return NULL;
}

/* The unit that a misspelt word most likely meant: the one that shares most of its beginning. */
static const Unit *guess_unit(const char *word)
{
        const Unit *best = NULL;
        size_t most = 0;

        for (size_t i = 0; i < ELEMENTSOF(units); i++) {
                size_t n = 0;

                while (units[i].name[n] && tolower((unsigned char)word[n]) == units[i].name[n])
                        n++;
                if (n > most) {
                        most = n;
                        best = &units[i];
                }
        }
        return best;
}

static int not_a_span(const char *text, Error *reterr)
{
        size_t digits = strspn(text, "0123456789");
        const char *word = text + digits + strspn(text + digits, " ");
        const Unit *unit = guess_unit(word);

        if (digits > 0 && digits < 10 && !*word)
                return error_set(reterr, EINVAL,
                                 "\"%s\" is a time span without a unit. HINT: Write %sd, %sh, "
                                 "%smin or %ss; see systemd.time(7).",
                                 text, text, text, text, text);
        if (digits == 0 || digits > 9 || !unit)
                return error_set(reterr, EINVAL,
                                 "\"%.60s\" is not a time span. HINT: Write for example 30d; see "
                                 "systemd.time(7).",
                                 text);
        return error_set(reterr, EINVAL,
                         "\"%.60s\" is not a time span. HINT: Write %.*s%s; see systemd.time(7).",
                         text, (int)digits, text, unit->canonical);
}

/* Reads digits with an optional fraction; false where there are none or too many. */
static bool parse_number(const char **text, int64_t *ret_whole, int64_t *ret_fraction,
                         int64_t *ret_scale)
{
        const char *p = *text;
        int64_t whole = 0, fraction = 0, scale = 1;

        if (!isdigit((unsigned char)*p))
                return false;
        for (; isdigit((unsigned char)*p); p++)
                if (__builtin_mul_overflow(whole, 10, &whole) ||
                    __builtin_add_overflow(whole, *p - '0', &whole))
                        whole = INT64_MAX / 10;
        if (*p == '.') {
                size_t n = strspn(++p, "0123456789");

                if (n == 0 || n > FRACTION_DIGITS_MAX)
                        return false;
                for (; isdigit((unsigned char)*p); p++) {
                        fraction = fraction * 10 + (*p - '0');
                        scale *= 10;
                }
        }
        *text = p;
        *ret_whole = whole;
        *ret_fraction = fraction;
        *ret_scale = scale;
        return true;
}

/* Reads one number with its unit and adds it; false where it is none. */
static bool parse_component(const char **text, int64_t *sum)
{
        int64_t whole, fraction, scale, usec, part;
        const char *word;
        const Unit *unit;

        if (!parse_number(text, &whole, &fraction, &scale))
                return false;
        word = *text + strspn(*text, " ");
        *text = word;
        while (is_unit_byte(**text))
                ++*text;
        unit = find_unit(word, (size_t)(*text - word));
        if (!unit)
                return false;
        part = (int64_t)((__int128)fraction * unit->usec / scale);
        if (__builtin_mul_overflow(whole, unit->usec, &usec) ||
            __builtin_add_overflow(usec, part, &usec) || __builtin_add_overflow(*sum, usec, sum))
                *sum = INT64_MAX;
        return true;
}

int duration_parse(const char *text, int64_t *ret_usec, Error *reterr)
{
        const char *p = text + strspn(text, " ");
        int64_t sum = 0;

        do {
                if (sum > DURATION_MAX) /* past the limit already: only the form counts */
                        sum = DURATION_MAX + 1;
                if (!parse_component(&p, &sum))
                        return not_a_span(text, reterr);
                p += strspn(p, " ");
        } while (*p);
        if (sum > DURATION_MAX)
                return error_set(reterr, ERANGE, "\"%.60s\" is more than 1000 years", text);
        *ret_usec = sum;
        return 0;
}

static const Unit shown[] = {
        {"d", USEC_PER_DAY, NULL}, {"h", USEC_PER_HOUR, NULL},  {"min", USEC_PER_MINUTE, NULL},
        {"s", USEC_PER_SEC, NULL}, {"ms", USEC_PER_MSEC, NULL}, {"us", 1, NULL},
};

/* Appends whole units until the span or the number of parts is used up. */
static void add_units(char *buffer, int64_t usec, const Unit *unit, size_t n, unsigned parts)
{
        size_t size = strlen(buffer);
        const char *separator = "";

        for (size_t i = 0; i < n && parts > 0; i++) {
                if (usec >= unit[i].usec) {
                        size += (size_t)snprintf(buffer + size, DURATION_TEXT_MAX - size,
                                                 "%s%" PRId64 "%s", separator, usec / unit[i].usec,
                                                 unit[i].name);
                        usec %= unit[i].usec;
                        separator = " ";
                        parts--;
                } else if (*separator) {
                        parts--; /* the next unit down is zero: "1d", not "1d 5min" */
                }
        }
}

static const char *begin(int64_t *usec, char buffer[DURATION_TEXT_MAX])
{
        strcpy(buffer, *usec < 0 ? "-" : *usec == 0 ? "0s" : "");
        if (*usec < 0)
                *usec = *usec == INT64_MIN ? INT64_MAX : -*usec;
        return buffer;
}

const char *duration_format(int64_t usec, char buffer[DURATION_TEXT_MAX])
{
        static const Unit year[] = {{"y", USEC_PER_YEAR, NULL}};

        begin(&usec, buffer);
        if (usec % USEC_PER_YEAR == 0)
                add_units(buffer, usec, year, ELEMENTSOF(year), 1);
        else
                add_units(buffer, usec, shown, ELEMENTSOF(shown), ELEMENTSOF(shown));
        return buffer;
}

const char *duration_format_rough(int64_t usec, char buffer[DURATION_TEXT_MAX])
{
        static const Unit year[] = {{"y", USEC_PER_YEAR, NULL}, {"d", USEC_PER_DAY, NULL}};

        begin(&usec, buffer);
        if (usec >= USEC_PER_YEAR)
                add_units(buffer, usec, year, ELEMENTSOF(year), 2);
        else
                add_units(buffer, usec, shown, ELEMENTSOF(shown), 2);
        return buffer;
}
