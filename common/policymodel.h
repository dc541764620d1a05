/*
 * What a policy consists of: plain structures, the freeing of them, and finding by name. Read by
 * everybody through common/policy.h; filled by the modules policy* alone.
 *
 * Spans are microseconds (`_usec`). Strings are owned by the policy. Pointers between its objects
 * (a certificate's authority) are into the policy's own arrays. Objects are in the order of the
 * file; names are unique among objects of a kind.
 */
#pragma once

#include "common/arena.h"
#include "common/error.h"
#include "common/keytype.h"

#include <stdint.h>
#include <sys/types.h>

enum {
        POLICY_FILE_MAX = 8 << 20,       /* bytes, of all files together */
        POLICY_FILES_MAX = 1000,         /* files of conf.d */
        POLICY_CERTIFICATES_MAX = 10000, /* also the limit of authorities and of clusters */
        POLICY_NAME_MAX = 63,            /* bytes of an object's name: [A-Za-z0-9][A-Za-z0-9._-]* */
        POLICY_ROLE_MAX = 63,            /* bytes: NAMEDATALEN - 1 of PostgreSQL */
        POLICY_SUBJECT_MAX = 63,         /* bytes of a subject as one line, generation included */
        POLICY_GENERATION_MAX = 14,      /* of these for " G123 3f0d3aec" */
        POLICY_NAMES_MAX = 100,          /* names of a certificate */
        POLICY_PATH_MAX = 512,           /* bytes of a path */
        POLICY_FILE_NAME_MAX = 200,      /* bytes of a plain file name */
};

typedef enum PolicyKind {
        POLICY_AUTHORITIES,
        POLICY_CERTIFICATES,
        POLICY_CLUSTERS,
        POLICY_KINDS,
} PolicyKind;

/* One attribute of a distinguished name: C ST L O OU CN. */
typedef struct PolicyAttribute {
        char *type;
        char *value;
} PolicyAttribute;

typedef struct PolicySubject {
        PolicyAttribute *items; /* in the order written */
        size_t n;
} PolicySubject;

typedef struct PolicyAuthority {
        char *name;
        PolicySubject subject; /* as written; the signer adds the generation to the CN */
        KeyType key;
        int64_t lifetime_usec;
        int64_t distribute_usec;
        int64_t renew_before_usec; /* where not written, see policyrule_check() */
        bool has_renew_before;     /* written: else a CA goes by a third of its own lifetime, which
                                      is not the policy's where that was changed since */
        int64_t notice_usec;
        char **trust; /* files with foreign anchors */
        size_t n_trust;
        char *adopt_certificate; /* both or none */
        char *adopt_key;
} PolicyAuthority;

typedef enum PolicyUse { POLICY_SERVER, POLICY_CLIENT } PolicyUse;

/* A libpq service file beside a client's certificate. */
typedef struct PolicyService {
        char *file; /* plain name, below the certificate's directory */
        char *name;
        PolicyAttribute *parameters; /* as written, without file and name */
        size_t n_parameters;
} PolicyService;

/* A name for subjectAltName (RFC 5280 section 4.2.1.6). */
typedef struct PolicyName {
        char *text;           /* as written */
        bool is_address;      /* an iPAddress, otherwise a dNSName */
        uint8_t address[16];  /* network order */
        uint8_t address_size; /* 4 or 16; 0 for a dNSName */
} PolicyName;

/* The files of a set, in the order of their indexes. */
typedef enum PolicyFile { POLICY_CERTIFICATE, POLICY_KEY, POLICY_TRUST, POLICY_FILES } PolicyFile;

typedef struct PolicyCertificate {
        char *name;
        const PolicyAuthority *authority;
        PolicySubject subject; /* complete: the CN is the first name, or the role */
        PolicyName *names;     /* a client may have none */
        size_t n_names;
        char *role; /* a client's; NULL for a server */
        char *directory;
        char *owner;
        char *group; /* NULL where not written */
        int64_t lifetime_usec;
        int64_t renew_before_usec;
        int64_t rekey_usec; /* meaningless with rekey_always */
        /* Small ones stand together: there may be ten thousand of them in a service that sleeps. */
        PolicyUse use;
        KeyType key;
        uid_t owner_uid;
        gid_t group_gid; /* (gid_t)-1 where not written */
        mode_t mode;     /* the key's */
        bool rekey_always;
        char *files[POLICY_FILES]; /* plain names, all different */
        PolicyService *service;    /* NULL where not written */
        /* The authorities whose anchors its bundle holds: its own first, then those of every set
         * that it meets in a cluster. */
        const PolicyAuthority **bundle;
        size_t n_bundle;
} PolicyCertificate;

typedef enum PolicyReload { POLICY_RELOAD_SIGNAL, POLICY_RELOAD_SQL } PolicyReload;
typedef enum PolicyPlaintext { POLICY_PLAINTEXT_IGNORED, POLICY_PLAINTEXT_REFUSED } PolicyPlaintext;

typedef struct PolicyCluster {
        char *name;
        char *data_directory;
        const PolicyCertificate *certificate;
        char *configuration; /* NULL where not written: the user names our files himself */
        PolicyReload reload;
        int64_t timeout_usec;
        const PolicyCertificate **as; /* verify.as */
        size_t n_as;
        PolicyPlaintext plaintext;
        char *min_protocol; /* "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"; NULL where not written */
        /* Whether our configuration sets ssl_ca_file: verify.as is not empty, or some client
         * certificate has the server's authority. */
        bool asks_client_certificates;
} PolicyCluster;

/* What objects get that do not say it themselves. */
typedef struct PolicyDefaults {
        KeyType key;
        int64_t lifetime_usec;
        int64_t renew_before_usec;
        int64_t rekey_usec; /* meaningless with rekey_always */
        bool rekey_always;
        int64_t backdate_usec;
} PolicyDefaults;

typedef struct Policy {
        unsigned references; /* not atomic: taken and dropped by one thread */
        uint64_t tag;        /* of the bytes of all files read */
        char *file;
        int64_t check_every_usec;
        int64_t max_clock_step_usec;
        int64_t backdate_usec;
        PolicyDefaults defaults; /* already part of the objects */
        PolicyAuthority *authorities;
        size_t n_authorities;
        PolicyCertificate *certificates;
        size_t n_certificates;
        PolicyCluster *clusters;
        size_t n_clusters;
        void **by_name[POLICY_KINDS]; /* the objects of a kind in the order of their names */
        Arena arena;                  /* of all texts, and of the arrays below the objects */
        Errors warnings;              /* code 0 is not used: EAGAIN stands for "only a warning" */
} Policy;

/* An empty policy with one reference, and the end of one. */
int policymodel_new(const char *file, Policy **ret, Error *reterr);
Policy *policymodel_free(Policy *policy);

/* Sorts the objects of every kind by name, for policymodel_find(). */
int policymodel_sort(Policy *policy, Error *reterr);

/* The object of a kind with that name, in logarithmic time; NULL where there is none. Of several
 * with one name, any. */
void *policymodel_find(const Policy *policy, PolicyKind kind, const char *name);

/* The objects of a kind: the first, how many, and the bytes from one to the next. Each begins with
 * its name. */
void *policymodel_objects(const Policy *policy, PolicyKind kind, size_t *ret_n, size_t *ret_size);
