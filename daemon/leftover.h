/*
 * What a changed policy leaves behind: directories that pgcertd has published to and that no
 * certificate of the policy names any more, because it was removed or moved. Their files stay as
 * they are, unmanaged: whoever still reads them meets a certificate that expires. They are told
 * until they are gone.
 *
 * DIR/directories keeps over restarts which directories were published to, a line each:
 *
 *   managed server /etc/postgresql/ssl
 *   left app /var/lib/app/postgresql
 */
#pragma once

#include "common/observation.h"

enum { LEFTOVERS_MAX = 20000 }; /* what is beyond is forgotten */

typedef struct Leftover {
        char certificate[POLICY_NAME_MAX + 1]; /* its name when it was last managed */
        char *directory;
        bool is_new; /* the policy before this one named it still */
} Leftover;

typedef struct Leftovers {
        Leftover *items;
        size_t n;
        bool is_known; /* looked for with the policy in force and what is published */
} Leftovers;

void leftovers_done(Leftovers *leftovers);
int leftovers_copy(const Leftovers *from, Leftovers *ret, Error *reterr);

/* Reads the file, adds what is published now, and finds what the policy names no more; writes the
 * file where it changes and save is set. */
int leftovers_find(const char *state_dir, const Policy *policy, const Observation *observation,
                   bool save, Leftovers *ret, Error *reterr);
