/*
 * The wanted state: one policy, read from YAML, complete with its defaults, checked and immutable.
 * Every program reads it by itself. pgcertd.yaml(5) is the reference of the keys.
 *
 * Spans are microseconds (`_usec`). Strings are owned by the policy. Pointers between its objects
 * (a certificate's authority) are into the policy's own arrays. Objects are in the order of the
 * file; names are unique among objects of a kind.
 */
#pragma once

#include "common/error.h"
#include "common/keytype.h"
#include "common/text.h"

#include <stdint.h>
#include <sys/types.h>

enum {
        POLICY_FILE_MAX = 8 << 20,       /* bytes, of all files together */
        POLICY_CERTIFICATES_MAX = 10000, /* also the limit of authorities and of clusters */
        POLICY_NAME_MAX = 63,            /* bytes of an object's name: [A-Za-z0-9][A-Za-z0-9._-]* */
        POLICY_SUBJECT_MAX = 63,         /* bytes of a subject as one line, generation included */
};

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
        int64_t renew_before_usec; /* rule 2 of the CA rollover where not written */
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
        PolicyUse use;
        const PolicyAuthority *authority;
        PolicySubject subject; /* complete: the CN is the first name, or the role */
        PolicyName *names;     /* a client may have none */
        size_t n_names;
        char *role; /* a client's; NULL for a server */
        char *directory;
        char *owner;
        uid_t owner_uid;
        char *group;     /* NULL where not written */
        gid_t group_gid; /* (gid_t)-1 where not written */
        mode_t mode;     /* the key's */
        KeyType key;
        int64_t lifetime_usec;
        int64_t renew_before_usec;
        int64_t rekey_usec; /* meaningless with rekey_always */
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

typedef struct Policy {
        unsigned references; /* not atomic: taken and dropped by one thread */
        uint64_t tag;        /* of the bytes of all files read */
        char *file;
        int64_t check_every_usec;
        int64_t max_clock_step_usec;
        int64_t backdate_usec;
        PolicyAuthority *authorities;
        size_t n_authorities;
        PolicyCertificate *certificates;
        size_t n_certificates;
        PolicyCluster *clusters;
        size_t n_clusters;
        Errors warnings; /* code 0 is not used: EAGAIN stands for "only a warning" */
} Policy;

/* Reads the file and conf.d/ beside it (*.yaml, C order), completes and checks. On failure errors
 * holds every error of the files, in their order. Works as any user; looks up owners and groups in
 * the user database. */
int policy_load(const char *file, Policy **ret, Errors *errors);

/* The same for bytes, named file in errors, without conf.d; for tests and fuzzing. */
int policy_parse(const char *file, const void *data, size_t size, Policy **ret, Errors *errors);

/* The tag of the files as they are now, without judging them: 64-bit FNV-1a over each file's path
 * and bytes with their lengths. */
int policy_tag(const char *file, uint64_t *ret, Error *reterr);

Policy *policy_ref(Policy *policy);
Policy *policy_unref(Policy *policy);
DEFINE_CLEANUP(Policy *, policy_unref);

/* By name, in logarithmic time; NULL where there is none. */
const PolicyAuthority *policy_find_authority(const Policy *policy, const char *name);
const PolicyCertificate *policy_find_certificate(const Policy *policy, const char *name);
const PolicyCluster *policy_find_cluster(const Policy *policy, const char *name);

/* Rule 9's longest outage that costs nothing, 0 where negative. */
int64_t policy_outage(const Policy *policy);

/* Writes the policy with its defaults as YAML that policy_parse() reads back to the same. */
void policy_print(const Policy *policy, Text *text);
