#include "common/policycheck.h"

#include "common/policyname.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static void check_authority(PolicyDraft *draft, const PolicyAuthority *authority, YamlNode *node)
{
        YamlNode *subject = yamlnode_find(node, "subject"), *key = yamlnode_find(node, "key");
        size_t size = policyname_subject_size(&authority->subject);
        const size_t maximum = POLICY_SUBJECT_MAX - POLICY_GENERATION_MAX;

        if (authority->key == KEY_ED25519 && (!key || !key->is_told))
                policydraft_refuse(draft, key ? key : node,
                                   "an authority cannot have the key ed25519: its signatures name "
                                   "no digest, and then SCRAM channel binding fails in PostgreSQL. "
                                   "HINT: Write key: ecdsa-p256 for the authority.");
        if (!subject || subject->is_told)
                return;
        if (!yamlnode_find(subject, "CN"))
                policydraft_refuse_missing(draft, subject, "CN",
                                           "is missing. HINT: Write a CN: the generation is added "
                                           "to it.");
        else if (size > maximum)
                policydraft_refuse(draft, subject,
                                   "%zu bytes as one line, at most %zu are allowed: the generation "
                                   "is added, and PostgreSQL shows %d. HINT: Shorten it, or leave "
                                   "attributes out.",
                                   size, maximum, POLICY_SUBJECT_MAX);
}

static void check_server(PolicyDraft *draft, const PolicyCertificate *certificate, YamlNode *node)
{
        YamlNode *names = yamlnode_find(node, "names"), *subject = yamlnode_find(node, "subject"),
                 *found;
        Error error;

        if (!names)
                policydraft_refuse_missing(draft, node, "names",
                                           "is missing. HINT: Write the host names and addresses "
                                           "that clients connect to.");
        else if (names->kind == YAML_LIST && names->n == 0)
                policydraft_refuse(draft, names,
                                   "is empty. HINT: Write the host names and addresses that "
                                   "clients connect to.");
        else if (certificate->n_names > 0 && !yamlnode_find(subject, "CN") &&
                 policyname_check_attribute("CN", certificate->names[0].text, &error) < 0)
                policydraft_refuse(draft, &names->children[0],
                                   "the first name is the CN, for which it is too long: %s. HINT: "
                                   "Write subject: { CN: ... }, or put another name first.",
                                   error.text);
        found = yamlnode_find(node, "role");
        if (found)
                policydraft_refuse_key(draft, found,
                                       "a server has no role. HINT: Remove it, or "
                                       "write use: client.");
        found = yamlnode_find(node, "service");
        if (found)
                policydraft_refuse_key(draft, found,
                                       "a service file is a client's. HINT: Remove it, or write "
                                       "use: client.");
}

static void check_client(PolicyDraft *draft, YamlNode *node)
{
        YamlNode *subject = yamlnode_find(node, "subject"), *cn = yamlnode_find(subject, "CN");

        if (!yamlnode_find(node, "role"))
                policydraft_refuse_missing(draft, node, "role",
                                           "is missing. HINT: Write the PostgreSQL role that the "
                                           "client logs in as; it becomes the CN.");
        if (cn)
                policydraft_refuse_key(draft, cn,
                                       "a client's CN is its role. HINT: Remove CN, and write the "
                                       "role as role.");
}

/* All names in a directory differ: the files', and the service's. */
static void check_files(PolicyDraft *draft, const PolicyCertificate *certificate, YamlNode *node)
{
        static const char *const keys[POLICY_FILES] = {"certificate", "key", "trust"};
        YamlNode *files = yamlnode_find(node, "files");
        const PolicyService *service = certificate->service;

        for (size_t i = 0; i < POLICY_FILES; i++) {
                YamlNode *place = yamlnode_find(files, keys[i]);

                for (size_t j = 0; j < i && certificate->files[i] && certificate->files[j]; j++)
                        if (strcmp(certificate->files[i], certificate->files[j]) == 0)
                                policydraft_refuse(draft,
                                                   place   ? place
                                                   : files ? files
                                                           : node,
                                                   "%s is also the name for files.%s. HINT: Give "
                                                   "every file a name of its own.",
                                                   certificate->files[i], keys[j]);
                if (service && service->file && certificate->files[i] &&
                    strcmp(certificate->files[i], service->file) == 0)
                        policydraft_refuse(draft,
                                           yamlnode_find(yamlnode_find(node, "service"), "file"),
                                           "%s is also the name for files.%s. HINT: Give every "
                                           "file a name of its own.",
                                           service->file, keys[i]);
        }
}

/* A key that its group may read is for readers that do not mind: a pooler, a driver other than
 * libpq. */
static void check_mode(PolicyDraft *draft, const PolicyCertificate *certificate, YamlNode *node)
{
        YamlNode *mode = yamlnode_find(node, "mode");

        if (mode && !mode->is_told && (certificate->mode & S_IRGRP) &&
            !yamlnode_find(node, "group"))
                policydraft_refuse(draft, mode,
                                   "%s lets a group read the key, but none is named. HINT: Write "
                                   "group, or 0600.",
                                   mode->text);
}

/* The reader of the key is PostgreSQL or libpq, here for the certificate of a cluster's key. */
static void check_reader(PolicyDraft *draft, const PolicyCluster *cluster,
                         const PolicyCertificate *certificate)
{
        YamlNode *mode;

        if (!certificate || !(certificate->mode & S_IRGRP))
                return;
        mode = yamlnode_find(policydraft_node(draft, POLICY_CERTIFICATES,
                                              (size_t)(certificate - draft->policy->certificates)),
                             "mode");
        if (mode && !mode->is_told)
                policydraft_refuse(draft, mode,
                                   "%s lets the group read the key, and cluster %s uses it: "
                                   "PostgreSQL and libpq refuse such a key unless root owns it, "
                                   "and no program of pgcertd is root. HINT: Write 0600, and give "
                                   "the other reader a certificate of its own.",
                                   mode->text, cluster->name);
}

static void check_certificate(PolicyDraft *draft, const PolicyCertificate *certificate,
                              YamlNode *node)
{
        YamlNode *use = yamlnode_find(node, "use");

        if (use && !use->is_told && certificate->use == POLICY_SERVER)
                check_server(draft, certificate, node);
        else if (use && !use->is_told)
                check_client(draft, node);
        check_files(draft, certificate, node);
        check_mode(draft, certificate, node);
}

/* Warnings alone: what is on this machine now may be otherwise when the policy is used, and each
 * program sees it by its own rights. */
static void check_cluster(PolicyDraft *draft, const PolicyCluster *cluster, YamlNode *node)
{
        const YamlNode *place = yamlnode_find(node, "data_directory");
        struct stat status;

        if (!cluster->data_directory)
                return;
        if (stat(cluster->data_directory, &status) < 0)
                policydraft_warn(draft, place,
                                 errno == ENOENT ? "%s does not exist (yet): the cluster counts as "
                                                   "absent"
                                                 : "%s cannot be looked at: %s",
                                 cluster->data_directory, strerror(errno));
        else if (cluster->certificate && cluster->certificate->owner_uid != (uid_t)-1 &&
                 S_ISDIR(status.st_mode) && status.st_uid != cluster->certificate->owner_uid)
                policydraft_warn(draft, place,
                                 "%s does not belong to %s, the owner of the certificate %s: "
                                 "PostgreSQL refuses a key of another user",
                                 cluster->data_directory, cluster->certificate->owner,
                                 cluster->certificate->name);
}

void policycheck_objects(PolicyDraft *draft)
{
        const Policy *policy = draft->policy;

        for (size_t i = 0; i < policy->n_authorities; i++)
                check_authority(draft, &policy->authorities[i],
                                policydraft_node(draft, POLICY_AUTHORITIES, i));
        for (size_t i = 0; i < policy->n_certificates; i++)
                check_certificate(draft, &policy->certificates[i],
                                  policydraft_node(draft, POLICY_CERTIFICATES, i));
        for (size_t i = 0; i < policy->n_clusters; i++)
                check_cluster(draft, &policy->clusters[i],
                              policydraft_node(draft, POLICY_CLUSTERS, i));
        for (size_t i = 0; i < policy->n_clusters; i++) {
                const PolicyCluster *cluster = &policy->clusters[i];

                check_reader(draft, cluster, cluster->certificate);
                for (size_t j = 0; j < cluster->n_as; j++)
                        check_reader(draft, cluster, cluster->as[j]);
        }
}
