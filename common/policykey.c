/*
 * What a key is allowed to be stands here and nowhere else in the program. A key in a group (files,
 * verify, adopt) goes into the same object as the group itself, so that one offset is enough.
 */
#include "common/policykey.h"

#include "common/clock.h"
#include "common/policylist.h"
#include "common/policysection.h"
#include "common/policyvalue.h"

#include <stddef.h>

#define S USEC_PER_SEC
#define MIN USEC_PER_MINUTE
#define D USEC_PER_DAY
#define Y USEC_PER_YEAR

/* One line a key, so that a test can read it: name, kind, field, and what is special. */
#define SPAN(name_, type, field, minimum_, maximum_, fallback_)                                    \
        {                                                                                          \
                .name = name_, .read = policyvalue_read_span, .offset = offsetof(type, field),     \
                .minimum = minimum_, .maximum = maximum_, .fallback = fallback_                    \
        }
#define REKEY(name_, type, field)                                                                  \
        {                                                                                          \
                .name = name_, .read = policyvalue_read_rekey, .offset = offsetof(type, field),    \
                .minimum = S, .maximum = 100 * Y                                                   \
        }
#define VALUE(name_, read_, type, field)                                                           \
        {                                                                                          \
                .name = name_, .read = read_, .offset = offsetof(type, field)                      \
        }
#define REQUIRED(name_, read_, type, field)                                                        \
        {                                                                                          \
                .name = name_, .read = read_, .offset = offsetof(type, field), .is_required = true \
        }
#define WORD(name_, type, field, words_)                                                           \
        {                                                                                          \
                .name = name_, .read = policyvalue_read_word, .offset = offsetof(type, field),     \
                .words = words_                                                                    \
        }
#define GROUP(name_, section_)                                                                     \
        {                                                                                          \
                .name = name_, .read = policysection_read_group, .section = section_               \
        }
#define SECTION(keys_)                                                                             \
        {                                                                                          \
                .keys = keys_, .n = ELEMENTSOF(keys_)                                              \
        }

const char *const policykey_top[POLICYKEY_TOP_N] = {
        "version",     "check_every",  "max_clock_step", "defaults",
        "authorities", "certificates", "clusters",
};

static const PolicyKey spans[] = {
        SPAN("check_every", Policy, check_every_usec, S, D, 15 * MIN),
        SPAN("max_clock_step", Policy, max_clock_step_usec, S, 100 * Y, D),
};

const PolicySection policykey_spans = SECTION(spans);

static const PolicyKey defaults[] = {
        VALUE("key", policyvalue_read_key, PolicyDefaults, key),
        SPAN("lifetime", PolicyDefaults, lifetime_usec, 2 * S, 100 * Y, 30 * D),
        SPAN("renew_before", PolicyDefaults, renew_before_usec, S, 100 * Y, 0),
        REKEY("rekey", PolicyDefaults, rekey_usec),
        SPAN("backdate", PolicyDefaults, backdate_usec, 0, D, 5 * MIN),
};

const PolicySection policykey_defaults = SECTION(defaults);

static const PolicyKey adopt[] = {
        REQUIRED("certificate", policyvalue_read_path, PolicyAuthority, adopt_certificate),
        REQUIRED("key", policyvalue_read_path, PolicyAuthority, adopt_key),
};

static const PolicySection adopt_section = SECTION(adopt);

static const PolicyKey authority[] = {
        REQUIRED("subject", policylist_read_subject, PolicyAuthority, subject),
        VALUE("key", policyvalue_read_key, PolicyAuthority, key),
        SPAN("lifetime", PolicyAuthority, lifetime_usec, 2 * S, 100 * Y, 5 * Y),
        SPAN("distribute", PolicyAuthority, distribute_usec, 0, 100 * Y, 7 * D),
        SPAN("renew_before", PolicyAuthority, renew_before_usec, S, 100 * Y, 0),
        VALUE("trust", policylist_read_trust, PolicyAuthority, trust),
        GROUP("adopt", &adopt_section),
        SPAN("notice", PolicyAuthority, notice_usec, 0, 100 * Y, 14 * D),
};

const PolicySection policykey_authority = SECTION(authority);

static const char *const uses[] = {"server", "client", NULL};

static const PolicyKey files[] = {
        VALUE("certificate", policyvalue_read_file, PolicyCertificate, files[POLICY_CERTIFICATE]),
        VALUE("key", policyvalue_read_file, PolicyCertificate, files[POLICY_KEY]),
        VALUE("trust", policyvalue_read_file, PolicyCertificate, files[POLICY_TRUST]),
};

static const PolicySection files_section = SECTION(files);

static const PolicyKey certificate[] = {
        {.name = "use",
         .read = policyvalue_read_word,
         .is_required = true,
         .offset = offsetof(PolicyCertificate, use),
         .words = uses},
        REQUIRED("authority", policyvalue_read_reference, PolicyCertificate, authority),
        VALUE("subject", policylist_read_subject, PolicyCertificate, subject),
        VALUE("names", policylist_read_names, PolicyCertificate, names),
        VALUE("role", policyvalue_read_role, PolicyCertificate, role),
        REQUIRED("directory", policyvalue_read_path, PolicyCertificate, directory),
        REQUIRED("owner", policyvalue_read_text, PolicyCertificate, owner),
        VALUE("group", policyvalue_read_text, PolicyCertificate, group),
        VALUE("mode", policyvalue_read_mode, PolicyCertificate, mode),
        VALUE("key", policyvalue_read_key, PolicyCertificate, key),
        SPAN("lifetime", PolicyCertificate, lifetime_usec, 2 * S, 100 * Y, 0),
        SPAN("renew_before", PolicyCertificate, renew_before_usec, S, 100 * Y, 0),
        REKEY("rekey", PolicyCertificate, rekey_usec),
        GROUP("files", &files_section),
        VALUE("service", policylist_read_service, PolicyCertificate, service),
};

const PolicySection policykey_certificate = SECTION(certificate);

static const char *const reloads[] = {"signal", "sql", NULL};
static const char *const plaintexts[] = {"ignored", "refused", NULL};
static const char *const protocols[] = {"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", NULL};

static const PolicyKey verify[] = {
        VALUE("as", policylist_read_references, PolicyCluster, as),
        WORD("plaintext", PolicyCluster, plaintext, plaintexts),
        {.name = "min_protocol",
         .read = policyvalue_read_protocol,
         .offset = offsetof(PolicyCluster, min_protocol),
         .words = protocols},
};

static const PolicySection verify_section = SECTION(verify);

static const PolicyKey cluster[] = {
        REQUIRED("data_directory", policyvalue_read_path, PolicyCluster, data_directory),
        REQUIRED("certificate", policyvalue_read_reference, PolicyCluster, certificate),
        VALUE("configuration", policyvalue_read_configuration, PolicyCluster, configuration),
        WORD("reload", PolicyCluster, reload, reloads),
        SPAN("timeout", PolicyCluster, timeout_usec, S, 5 * MIN, 10 * S),
        GROUP("verify", &verify_section),
};

const PolicySection policykey_cluster = SECTION(cluster);

const char *const policykey_files[2][POLICY_FILES] = {
        [POLICY_SERVER] = {"server.crt", "server.key", "root.crt"},
        [POLICY_CLIENT] = {"postgresql.crt", "postgresql.key", "root.crt"},
};
