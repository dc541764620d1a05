#include "daemon/leftover.h"

#include "common/fdio.h"
#include "common/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_NAME "directories"

enum { FILE_MAX = 64 << 20 };

/* The policy's certificates by directory, to find one for each line of a long file. */
typedef struct Places {
        const PolicyCertificate **items;
        bool *is_known; /* the file names it as managed */
        size_t n;
} Places;

void leftovers_done(Leftovers *leftovers)
{
        for (size_t i = 0; i < leftovers->n; i++)
                free(leftovers->items[i].directory);
        free(leftovers->items);
        *leftovers = (Leftovers){0};
}

static int add(Leftovers *leftovers, const char *certificate, const char *directory, bool is_new,
               Error *reterr)
{
        Leftover *items = reallocarray(leftovers->items, leftovers->n + 1, sizeof *items);
        Leftover item = {.is_new = is_new};

        if (!items)
                return error_oom(reterr);
        leftovers->items = items;
        snprintf(item.certificate, sizeof item.certificate, "%s", certificate);
        item.directory = strdup(directory);
        if (!item.directory)
                return error_oom(reterr);
        items[leftovers->n++] = item;
        return 0;
}

int leftovers_copy(const Leftovers *from, Leftovers *ret, Error *reterr)
{
        *ret = (Leftovers){.is_known = from->is_known};
        for (size_t i = 0; i < from->n; i++) {
                const Leftover *item = &from->items[i];

                if (add(ret, item->certificate, item->directory, item->is_new, reterr) < 0) {
                        leftovers_done(ret);
                        return -ENOMEM;
                }
        }
        return 0;
}

static void places_done(Places *places)
{
        free(places->items);
        free(places->is_known);
}

static int compare(const void *a, const void *b)
{
        return strcmp((*(const PolicyCertificate *const *)a)->directory,
                      (*(const PolicyCertificate *const *)b)->directory);
}

static int places_make(const Policy *policy, Places *ret, Error *reterr)
{
        ret->n = policy->n_certificates;
        ret->items = calloc(ret->n + 1, sizeof *ret->items);
        ret->is_known = calloc(ret->n + 1, sizeof *ret->is_known);
        if (!ret->items || !ret->is_known)
                return error_oom(reterr);
        for (size_t i = 0; i < ret->n; i++)
                ret->items[i] = &policy->certificates[i];
        qsort(ret->items, ret->n, sizeof *ret->items, compare);
        return 0;
}

/* The place of a directory; SIZE_MAX where no certificate has it. */
static size_t places_find(const Places *places, char *directory)
{
        const PolicyCertificate key = {.directory = directory}, *wanted = &key;
        const PolicyCertificate **found =
                bsearch(&wanted, places->items, places->n, sizeof *places->items, compare);

        return found ? (size_t)(found - places->items) : SIZE_MAX;
}

/* Only where that is certain: what this user may not search is still there. */
static bool is_gone(const char *directory)
{
        struct stat stat;

        return lstat(directory, &stat) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

/* What is malformed was not written by pgcertd and names nothing. */
static int take_line(char *line, Places *places, Leftovers *leftovers, Error *reterr)
{
        const char *kind = strsep(&line, " "), *name = line ? strsep(&line, " ") : NULL;
        bool was_managed = strcmp(kind, "managed") == 0;
        size_t place;

        if (!line || line[0] != '/' || (!was_managed && strcmp(kind, "left") != 0) ||
            leftovers->n == LEFTOVERS_MAX)
                return 0;
        place = places_find(places, line);
        if (place != SIZE_MAX) {
                places->is_known[place] = true;
                return 0;
        }
        return is_gone(line) ? 0 : add(leftovers, name, line, was_managed, reterr);
}

static void add_line(Text *text, const char *kind, const char *name, const char *directory)
{
        if (!strchr(directory, '\n'))
                text_addf(text, "%s %s %s\n", kind, name, directory);
}

static void format(const Places *places, const Policy *policy, const Observation *observation,
                   const Leftovers *leftovers, Text *text)
{
        for (size_t i = 0; i < places->n; i++) {
                const PolicyCertificate *certificate = places->items[i];
                const ObservedSet *set = &observation->sets[certificate - policy->certificates];

                if (places->is_known[i] || observed_set_is_published(set))
                        add_line(text, "managed", certificate->name, certificate->directory);
        }
        for (size_t i = 0; i < leftovers->n; i++)
                add_line(text, "left", leftovers->items[i].certificate,
                         leftovers->items[i].directory);
}

int leftovers_find(const char *state_dir, const Policy *policy, const Observation *observation,
                   bool save, Leftovers *ret, Error *reterr)
{
        static const FileMode mode = {.mode = 0640, .group = (gid_t)-1};
        _cleanup_(leftovers_done) Leftovers found = {.is_known = true};
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        _cleanup_(places_done) Places places = {0};
        _cleanup_(text_done) Text old = {0}, new = {0};
        _cleanup_(closep) int fd = -1;
        char *rest, *line;
        int r = fdio_open_directory(AT_FDCWD, state_dir, &fd, reterr);

        if (r >= 0)
                r = places_make(policy, &places, reterr);
        if (r >= 0)
                r = fdio_read(fd, FILE_NAME, FILE_MAX, &bytes, reterr);
        if (r == -ENOENT && places.items)
                r = 0;
        if (r < 0)
                return r;
        text_add_bytes(&old, bytes.data ? bytes.data : (const void *)"", bytes.size);
        rest = (char *)bytes.data;
        while (r >= 0 && (line = strsep(&rest, "\n")))
                r = take_line(line, &places, &found, reterr);
        format(&places, policy, observation, &found, &new);
        if (r >= 0 && (old.failed || text_check(&new, reterr) < 0))
                r = error_oom(reterr);
        if (r >= 0 && save &&
            (old.size != new.size || memcmp(text_content(&old), text_content(&new), new.size) != 0))
                r = fdio_replace(fd, FILE_NAME, text_content(&new), new.size, &mode, reterr);
        if (r < 0)
                return r;
        *ret = found;
        found = (Leftovers){0};
        return 0;
}
