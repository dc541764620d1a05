/*
 * The history: what happened, one JSON object a line, appended to DIR/history.jsonl. It is read by
 * people and tools, and once by pgcertd itself: at its start, for the leaf that each cluster was
 * last proved to serve, so that a proof that is owed stays owed over a restart, and for the last
 * repair of each set and configuration file.
 *
 * Nothing here is synced: a line that a power cut takes is a proof that is made once more. A torn
 * last line, and lines of another format, are skipped.
 *
 * Lines: {"at":RFC 3339,"at_usec":N,"event":"published","certificate":NAME,"serial":HEX,
 * "sha256":HEX,"not_after":RFC 3339,"generation":N}; "proven" and "refused" with "cluster" and
 * "sha256", the latter with "reason"; "repaired" with "certificate" or "cluster", "reason" and
 * "policy" (the tag of the policy in force); "ca-created", "ca-prepared", "ca-announced",
 * "ca-activated", "ca-retired" and "ca-replaced" with "authority", "generation", "subject" and
 * "reason". Fields and events may be added.
 */
#pragma once

#include "daemon/memory.h"

enum {
        RECORD_SIZE_MAX = 1 << 20,   /* bytes; over it the file becomes history.jsonl.1 */
        RECORD_LINE_MAX = 4096,      /* longer lines are skipped */
        RECORD_CLUSTERS_MAX = 10000, /* whose last proof is kept; the oldest go first */
};

typedef struct Record Record;

/* Opens the history in an existing directory, made where it is missing, and folds it. */
int record_open(const char *state_dir, Record **ret, Error *reterr);
Record *record_free(Record *record);
DEFINE_CLEANUP(Record *, record_free);

/* Each appends one line; now_usec is realtime. A history that cannot be written stops nothing: the
 * failure is also kept for record_take_error(), and the next line goes on after it. */
int record_published(Record *record, const char *certificate, const CertFacts *leaf,
                     uint32_t generation, int64_t now_usec, Error *reterr);
int record_refused(Record *record, const char *cluster, const uint8_t sha256[CERT_FINGERPRINT],
                   const char *reason, int64_t now_usec, Error *reterr);

/* Only where the leaf differs from the cluster's last: returns 1 where a line was written, 0 where
 * it was known. */
int record_proven(Record *record, const char *cluster, const uint8_t sha256[CERT_FINGERPRINT],
                  int64_t now_usec, Error *reterr);

/* Files of a certificate, or a cluster's configuration file, were put right that somebody else had
 * changed; reason says how. */
int record_repaired(Record *record, bool is_cluster, const char *name, const char *reason,
                    uint64_t policy_tag, int64_t now_usec, Error *reterr);

/* A step of a CA: event is "ca-prepared" and the like, generation the one it was about. */
int record_authority(Record *record, const char *event, const char *authority, uint32_t generation,
                     const char *subject, const char *reason, int64_t now_usec, Error *reterr);

/* Moves the last failure since it was last asked for into ret; false where there was none. */
bool record_take_error(Record *record, Error *ret);

/* Tells the memory the last proof of each cluster of the policy, and the repairs under it. */
void record_restore(const Record *record, const Policy *policy, Memory *memory);
