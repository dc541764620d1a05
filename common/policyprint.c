#include "common/policyprint.h"

#include "common/duration.h"
#include "common/yamlnode.h"

#include <stdio.h>
#include <string.h>

/* Whether every reader of YAML takes the text, unquoted, for just this text. */
static bool is_plain(const char *value)
{
        static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                   "0123456789/._-";

        return strspn(value, safe) == strlen(value) && strspn(value, "0123456789._-") == 0 &&
               !yamlnode_is_ambiguous(value);
}

/* In double quotes only a quote and a backslash are special here: a policy has no control
 * characters.
 */
static void add_value(Text *text, const char *value)
{
        if (is_plain(value)) {
                text_add(text, value);
                return;
        }
        text_add(text, "\"");
        for (const char *p = value; *p; p++) {
                if (*p == '"' || *p == '\\')
                        text_add(text, "\\");
                text_add_bytes(text, p, 1);
        }
        text_add(text, "\"");
}

static void add_key(Text *text, unsigned depth, const char *key)
{
        text_addf(text, "%*s", (int)depth * 2, "");
        add_value(text, key);
        text_add(text, ":");
}

static void add_pair(Text *text, unsigned depth, const char *key, const char *value)
{
        add_key(text, depth, key);
        text_add(text, " ");
        add_value(text, value);
        text_add(text, "\n");
}

static void add_span(Text *text, unsigned depth, const char *key, int64_t usec)
{
        char buffer[DURATION_TEXT_MAX];

        add_key(text, depth, key);
        text_addf(text, " %s\n", duration_format(usec, buffer));
}

static void add_rekey(Text *text, unsigned depth, bool is_always, int64_t usec)
{
        if (is_always)
                add_pair(text, depth, "rekey", "always");
        else
                add_span(text, depth, "rekey", usec);
}

/* The beginning of a list; its n items follow by add_item(). */
static void add_list(Text *text, unsigned depth, const char *key, size_t n)
{
        add_key(text, depth, key);
        text_add(text, n > 0 ? "\n" : " []\n");
}

static void add_item(Text *text, unsigned depth, const char *value)
{
        text_addf(text, "%*s- ", (int)depth * 2, "");
        add_value(text, value);
        text_add(text, "\n");
}

static void add_group(Text *text, unsigned depth, const char *key)
{
        add_key(text, depth, key);
        text_add(text, "\n");
}

static void add_subject(Text *text, const PolicySubject *subject, bool without_cn)
{
        size_t n = 0;

        for (size_t i = 0; i < subject->n; i++)
                n += !without_cn || strcmp(subject->items[i].type, "CN") != 0;
        if (n == 0)
                return;
        add_group(text, 2, "subject");
        for (size_t i = 0; i < subject->n; i++)
                if (!without_cn || strcmp(subject->items[i].type, "CN") != 0)
                        add_pair(text, 3, subject->items[i].type, subject->items[i].value);
}

static void add_authority(Text *text, const PolicyAuthority *authority)
{
        add_group(text, 1, authority->name);
        add_subject(text, &authority->subject, false);
        add_pair(text, 2, "key", key_type_name(authority->key));
        add_span(text, 2, "lifetime", authority->lifetime_usec);
        add_span(text, 2, "distribute", authority->distribute_usec);
        add_span(text, 2, "renew_before", authority->renew_before_usec);
        add_list(text, 2, "trust", authority->n_trust);
        for (size_t i = 0; i < authority->n_trust; i++)
                add_item(text, 3, authority->trust[i]);
        if (authority->adopt_key) {
                add_group(text, 2, "adopt");
                add_pair(text, 3, "certificate", authority->adopt_certificate);
                add_pair(text, 3, "key", authority->adopt_key);
        }
        add_span(text, 2, "notice", authority->notice_usec);
}

static void add_service(Text *text, const PolicyService *service)
{
        add_group(text, 2, "service");
        add_pair(text, 3, "file", service->file);
        add_pair(text, 3, "name", service->name);
        for (size_t i = 0; i < service->n_parameters; i++)
                add_pair(text, 3, service->parameters[i].type, service->parameters[i].value);
}

static void add_certificate(Text *text, const PolicyCertificate *certificate)
{
        bool is_client = certificate->use == POLICY_CLIENT;

        add_group(text, 1, certificate->name);
        add_pair(text, 2, "use", is_client ? "client" : "server");
        add_pair(text, 2, "authority", certificate->authority->name);
        add_subject(text, &certificate->subject, is_client);
        add_list(text, 2, "names", certificate->n_names);
        for (size_t i = 0; i < certificate->n_names; i++)
                add_item(text, 3, certificate->names[i].text);
        if (certificate->role)
                add_pair(text, 2, "role", certificate->role);
        add_pair(text, 2, "directory", certificate->directory);
        add_pair(text, 2, "owner", certificate->owner);
        if (certificate->group)
                add_pair(text, 2, "group", certificate->group);
        text_addf(text, "    mode: \"%04o\"\n", (unsigned)certificate->mode);
        add_pair(text, 2, "key", key_type_name(certificate->key));
        add_span(text, 2, "lifetime", certificate->lifetime_usec);
        add_span(text, 2, "renew_before", certificate->renew_before_usec);
        add_rekey(text, 2, certificate->rekey_always, certificate->rekey_usec);
        add_group(text, 2, "files");
        add_pair(text, 3, "certificate", certificate->files[POLICY_CERTIFICATE]);
        add_pair(text, 3, "key", certificate->files[POLICY_KEY]);
        add_pair(text, 3, "trust", certificate->files[POLICY_TRUST]);
        if (certificate->service)
                add_service(text, certificate->service);
}

static void add_cluster(Text *text, const PolicyCluster *cluster)
{
        add_group(text, 1, cluster->name);
        add_pair(text, 2, "data_directory", cluster->data_directory);
        add_pair(text, 2, "certificate", cluster->certificate->name);
        if (cluster->configuration)
                add_pair(text, 2, "configuration", cluster->configuration);
        add_pair(text, 2, "reload", cluster->reload == POLICY_RELOAD_SQL ? "sql" : "signal");
        add_span(text, 2, "timeout", cluster->timeout_usec);
        add_group(text, 2, "verify");
        add_list(text, 3, "as", cluster->n_as);
        for (size_t i = 0; i < cluster->n_as; i++)
                add_item(text, 4, cluster->as[i]->name);
        add_pair(text, 3, "plaintext",
                 cluster->plaintext == POLICY_PLAINTEXT_REFUSED ? "refused" : "ignored");
        if (cluster->min_protocol)
                add_pair(text, 3, "min_protocol", cluster->min_protocol);
}

static void add_defaults(Text *text, const PolicyDefaults *defaults)
{
        text_add(text, "defaults:\n");
        add_pair(text, 1, "key", key_type_name(defaults->key));
        add_span(text, 1, "lifetime", defaults->lifetime_usec);
        add_span(text, 1, "renew_before", defaults->renew_before_usec);
        add_rekey(text, 1, defaults->rekey_always, defaults->rekey_usec);
        add_span(text, 1, "backdate", defaults->backdate_usec);
}

void policyprint_write(const Policy *policy, Text *text)
{
        text_add(text, "version: 1\n");
        add_span(text, 0, "check_every", policy->check_every_usec);
        add_span(text, 0, "max_clock_step", policy->max_clock_step_usec);
        add_defaults(text, &policy->defaults);
        if (policy->n_authorities > 0)
                text_add(text, "authorities:\n");
        for (size_t i = 0; i < policy->n_authorities; i++)
                add_authority(text, &policy->authorities[i]);
        if (policy->n_certificates > 0)
                text_add(text, "certificates:\n");
        for (size_t i = 0; i < policy->n_certificates; i++)
                add_certificate(text, &policy->certificates[i]);
        if (policy->n_clusters > 0)
                text_add(text, "clusters:\n");
        for (size_t i = 0; i < policy->n_clusters; i++)
                add_cluster(text, &policy->clusters[i]);
}
