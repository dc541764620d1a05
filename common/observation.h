/*
 * What is there now: plain data, filled by workers (sets and clusters) and by the signer
 * (authorities), and its form on the wire. Sets, clusters and authorities stand in the order of the
 * policy that the observation was made with, so an index into the policy is one into this.
 */
#pragma once

#include "common/authority.h"
#include "common/policy.h"
#include "common/wire.h"

typedef enum SetState {
        SET_UNKNOWN, /* not looked at: no worker for its owner, or the look failed (problem says
                        why) */
        SET_ABSENT,  /* nothing of ours, nothing foreign */
        SET_OURS,    /* current names a generation of ours, and its files could be read */
        SET_DAMAGED, /* ours, but not as published: problem says what (links, files, mode, pair) */
        SET_FOREIGN, /* a name of the policy is not ours: problem says which */
        SET_STATES,
} SetState;

/* How a published set differs from what the policy wants. */
typedef enum SetDefect {
        SET_NAMES = 1 << 0, /* subjectAltName or subject */
        SET_KEY_TYPE = 1 << 1,
        SET_USAGE = 1 << 2,   /* extended key usage */
        SET_MODE = 1 << 3,    /* owner, group, mode or ACL mask of a file */
        SET_SERVICE = 1 << 4, /* the service file is missing or not as the policy wants */
        SET_SERVICE_FOREIGN = 1 << 5,
        SET_LINKS = 1 << 6,         /* a fixed name is absent: current is there, the name is not */
        SET_SERVICE_OTHER = 1 << 7, /* the foreign service file holds more than the policy writes */
        SET_UNJUDGED = 1 << 8, /* of SET_FOREIGN: something that cannot be read or taken over */
        SET_ADOPTED = 1 << 9,  /* current is a copy of what somebody else made */
} SetDefect;

/* The anchors of one trust bundle, by subjectKeyIdentifier; shared by the sets that hold it. */
enum { OBSERVED_ANCHORS_MAX = 64, OBSERVED_PROBLEM_MAX = 512 };
typedef struct ObservedBundle {
        size_t n;
        uint8_t (*anchors)[CERT_KEY_ID];
} ObservedBundle;

/* One certificate with its key and bundle, on disk. */
typedef struct ObservedSet {
        CertFacts leaf;             /* of SET_OURS and, where it could be read, of SET_DAMAGED and
                                       SET_FOREIGN: then what readers find under the name */
        int64_t key_made_usec;      /* when the key was made, from the manifest */
        int64_t refused_until_usec; /* the end of the refused leaf where it is still of use; 0 */
        uint8_t digest[CERT_FINGERPRINT]; /* of all that was looked at, and the policy's tag */
        char *problem;                    /* NULL, or a sentence */
        uint32_t bundle;                  /* index into Observation.bundles */
        uint32_t generation;              /* that current names */
        uint32_t refused;                 /* the newest generation marked refused; 0 for none */
        uint32_t defects;                 /* SetDefect bits */
        uint8_t state;                    /* SetState */
        bool has_leaf;
} ObservedSet;

typedef enum ClusterState {
        CLUSTER_UNKNOWN, /* not looked at */
        CLUSTER_ABSENT,  /* no data directory */
        CLUSTER_DOWN,    /* no postmaster */
        CLUSTER_RUNNING,
        CLUSTER_STATES,
} ClusterState;

typedef enum ConfigurationState {
        CONFIGURATION_NONE, /* the policy names none */
        CONFIGURATION_ABSENT,
        CONFIGURATION_WANTED, /* ours, as the policy wants it */
        CONFIGURATION_STALE,  /* ours, to be written again */
        CONFIGURATION_FOREIGN,
        CONFIGURATION_FOREIGN_SAME, /* foreign, but it sets nothing else than ours would */
        CONFIGURATION_STATES,
} ConfigurationState;

typedef enum HandshakeOutcome {
        HANDSHAKE_NOT_TRIED, /* no postmaster, or it listens on no TCP address */
        HANDSHAKE_TLS,       /* a certificate was served */
        HANDSHAKE_PLAIN,     /* the server answered N: it has no TLS */
        HANDSHAKE_REFUSED,   /* nothing accepts connections there */
        HANDSHAKE_TIMEOUT,
        HANDSHAKE_BROKEN, /* something else answered, or TLS failed before a certificate came */
        HANDSHAKE_OUTCOMES,
} HandshakeOutcome;

enum { OBSERVED_PROTOCOL_MAX = 16 };

/* What a fresh connection was served. */
typedef struct Served {
        uint8_t outcome;                      /* HandshakeOutcome */
        uint32_t chain;                       /* certificates sent */
        CertFacts leaf;                       /* of HANDSHAKE_TLS */
        char protocol[OBSERVED_PROTOCOL_MAX]; /* TLSv1.3 */
} Served;

typedef struct ObservedCluster {
        uint8_t state;         /* ClusterState */
        uint8_t configuration; /* ConfigurationState */
        int64_t pid;           /* of the postmaster, and since when: line 3 of postmaster.pid */
        int64_t started_sec;
        Served served;
        bool in_force_known; /* whether the settings in force could be asked for */
        char *override; /* who else sets an ssl_ setting, with file and line; NULL for nobody */
        char *problem;  /* NULL, or a sentence */
} ObservedCluster;

typedef struct Observation {
        uint64_t tag; /* of the policy it was made with */
        ObservedSet *sets;
        size_t n_sets;
        ObservedCluster *clusters;
        size_t n_clusters;
        ObservedAuthority *authorities;
        size_t n_authorities;
        ObservedBundle *bundles;
        size_t n_bundles;
} Observation;

/* An observation of nothing yet, for the policy. */
int observation_new(const Policy *policy, Observation **ret, Error *reterr);
Observation *observation_free(Observation *observation);
DEFINE_CLEANUP(Observation *, observation_free);
int observation_copy(const Observation *from, Observation **ret, Error *reterr);

void observed_set_done(ObservedSet *set);
void observed_cluster_done(ObservedCluster *cluster);

/* Whether pgcertd published the set, damaged since or not; and whether its leaf could be read. */
bool observed_set_is_published(const ObservedSet *set);
bool observed_set_has_leaf(const ObservedSet *set);

/* The index of a bundle with these anchors, added where it is new. */
int observation_bundle(Observation *observation, const uint8_t (*anchors)[CERT_KEY_ID], size_t n,
                       uint32_t *ret, Error *reterr);

/* The wire's form. A stream of WIRE_OBSERVE replies holds items until the message ends; each
 * begins with its kind. After OBSERVED_LAST nothing follows. A getter reads all fields whatever
 * they say and leaves judging the message to wire_end(); values out of an enum's range mark it bad.
 */
typedef enum ObservedKind {
        OBSERVED_SET = 1,   /* name, then observation_put_set() */
        OBSERVED_UNCHANGED, /* name alone: its digest is the one that was sent */
        OBSERVED_CLUSTER,   /* name, then observation_put_cluster() */
        OBSERVED_LAST,
} ObservedKind;

/* An upper bound of what one item takes, name included: start a new datagram below it. */
enum { OBSERVED_ITEM_MAX = 4096 };

/* anchors are those of the set's bundle; set->bundle is not sent. */
void observation_put_set(Message *message, const ObservedSet *set,
                         const uint8_t (*anchors)[CERT_KEY_ID], size_t n_anchors);
/* ret is overwritten, problem is new; the bundle is entered into the observation. */
int observation_get_set(Message *message, Observation *observation, ObservedSet *ret,
                        Error *reterr);
void observation_put_served(Message *message, const Served *served);
void observation_get_served(Message *message, Served *ret);
void observation_put_cluster(Message *message, const ObservedCluster *cluster);
int observation_get_cluster(Message *message, ObservedCluster *ret, Error *reterr);
