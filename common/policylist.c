#include "common/policylist.h"

#include "common/nearest.h"
#include "common/policyname.h"
#include "common/policyvalue.h"

#include <errno.h>
#include <string.h>

enum { SERVICE_LINE_MAX = 900 /* libpq reads lines of up to 1,023 bytes */ };

static bool is_listed_before(const PolicyCertificate *certificate, const PolicyName *name)
{
        for (size_t i = 0; i < certificate->n_names; i++)
                if (policyname_is_same(&certificate->names[i], name))
                        return true;
        return false;
}

static void read_name(PolicyDraft *draft, YamlNode *node, PolicyCertificate *certificate)
{
        const char *text = policyvalue_text(draft, node);
        PolicyName name = {0};
        Error error;

        if (!text)
                return;
        if (policyname_parse(text, &name, &error) < 0) {
                policydraft_refuse(draft, node, "%s", error.text);
                return;
        }
        name.text = node->text;
        if (is_listed_before(certificate, &name)) {
                policydraft_refuse(draft, node, "%s is listed twice. HINT: Remove one of them.",
                                   node->text);
                return;
        }
        name.text = NULL;
        policyvalue_set(draft, &name.text, text);
        if (name.text)
                certificate->names[certificate->n_names++] = name;
}

void policylist_read_names(PolicyDraft *draft, const PolicyKey *key, YamlNode *node, void *object)
{
        PolicyCertificate *certificate = object;

        if (!policyvalue_is_list(draft, node) || node->n == 0)
                return;
        if (node->n > POLICY_NAMES_MAX) {
                policydraft_refuse(draft, node,
                                   "%zu names, at most %d are allowed. HINT: Use "
                                   "a wildcard, or several certificates.",
                                   node->n, POLICY_NAMES_MAX);
                return;
        }
        certificate->names = policydraft_get(draft, node->n * sizeof *certificate->names);
        if (!certificate->names)
                return;
        for (size_t i = 0; i < node->n; i++)
                read_name(draft, &node->children[i], certificate);
}

void policylist_read_trust(PolicyDraft *draft, const PolicyKey *key, YamlNode *node, void *object)
{
        PolicyAuthority *authority = object;
        const PolicyKey path = {0};

        if (!policyvalue_is_list(draft, node) || node->n == 0)
                return;
        authority->trust = policydraft_get(draft, node->n * sizeof *authority->trust);
        if (!authority->trust)
                return;
        for (size_t i = 0; i < node->n; i++) {
                char **place = &authority->trust[authority->n_trust];

                policyvalue_read_path(draft, &path, &node->children[i], place);
                authority->n_trust += *place != NULL;
        }
}

void policylist_read_references(PolicyDraft *draft, const PolicyKey *key, YamlNode *node,
                                void *object)
{
        if (!policyvalue_is_list(draft, node))
                return;
        for (size_t i = 0; i < node->n; i++)
                policyvalue_text(draft, &node->children[i]);
}

static int add_attribute(PolicyDraft *draft, PolicyAttribute **items, size_t *n, const char *type,
                         const char *value)
{
        PolicyAttribute *grown = policydraft_get(draft, (*n + 1) * sizeof *grown), item = {0};

        policyvalue_set(draft, &item.type, type);
        policyvalue_set(draft, &item.value, value);
        if (!grown || !item.type || !item.value)
                return -ENOMEM;
        /* They are few: what is left behind is less than a list that can grow would need. */
        if (*n > 0)
                memcpy(grown, *items, *n * sizeof *grown);
        grown[(*n)++] = item;
        *items = grown;
        return 0;
}

int policylist_add_attribute(PolicyDraft *draft, PolicySubject *subject, const char *type,
                             const char *value)
{
        return add_attribute(draft, &subject->items, &subject->n, type, value);
}

static bool is_attribute(const char *type)
{
        static const char *const types[] = {"C", "ST", "L", "O", "OU", "CN"};

        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (strcmp(type, types[i]) == 0)
                        return true;
        return false;
}

void policylist_read_subject(PolicyDraft *draft, const PolicyKey *key, YamlNode *node, void *object)
{
        PolicySubject *subject = (PolicySubject *)((char *)object + key->offset);

        if (!policyvalue_is_map(draft, node))
                return;
        for (size_t i = 0; i < node->n; i++) {
                YamlNode *child = &node->children[i];
                const char *text;
                Error error;

                if (!child->is_told && !is_attribute(child->key)) {
                        policydraft_refuse_key(draft, child,
                                               "unknown key. HINT: Known here are C, ST, L, O, OU, "
                                               "CN.");
                        continue;
                }
                text = policyvalue_text(draft, child);
                if (text && policyname_check_attribute(child->key, text, &error) < 0)
                        policydraft_refuse(draft, child, "%s", error.text);
                else if (text)
                        policylist_add_attribute(draft, subject, child->key, text);
        }
}

/* What is wrong with a parameter of a service file, or NULL. */
static const char *judge_parameter(const char *name)
{
        static const char *const ours[] = {"user", "sslmode", "sslcert", "sslkey", "sslrootcert"};
        static const char *const secrets[] = {"password", "sslpassword", "scram_client_key",
                                              "scram_server_key", "oauth_client_secret"};

        for (size_t i = 0; i < ELEMENTSOF(ours); i++)
                if (strcmp(name, ours[i]) == 0)
                        return "pgcertd writes this parameter itself, from the certificate's role "
                               "and files. HINT: Remove it.";
        for (size_t i = 0; i < ELEMENTSOF(secrets); i++)
                if (strcmp(name, secrets[i]) == 0)
                        return "a secret does not belong into a policy, which others can read. "
                               "HINT: Remove it; the certificate is what logs in.";
        if (strcmp(name, "service") == 0 || strcmp(name, "servicefile") == 0)
                return "libpq allows no service inside a service. HINT: Remove it.";
        if (!*name || strspn(name, "abcdefghijklmnopqrstuvwxyz_") != strlen(name))
                return "not a parameter of libpq. HINT: Write file, name, or one such as host, "
                       "port or dbname.";
        return NULL;
}

static void read_parameter(PolicyDraft *draft, YamlNode *node, PolicyService *service)
{
        const char *wrong = judge_parameter(node->key), *text;

        if (node->is_told)
                return;
        if (wrong) {
                policydraft_refuse_key(draft, node, "%s", wrong);
                return;
        }
        text = policyvalue_text(draft, node);
        if (!text)
                return;
        if (strlen(node->key) + strlen(text) > SERVICE_LINE_MAX)
                policydraft_refuse(draft, node,
                                   "%zu bytes, at most %d "
                                   "are allowed (libpq's lines are short)",
                                   strlen(text), SERVICE_LINE_MAX - (int)strlen(node->key));
        else
                add_attribute(draft, &service->parameters, &service->n_parameters, node->key, text);
}

static void read_service_name(PolicyDraft *draft, YamlNode *node, PolicyService *service)
{
        const char *text = policyvalue_text(draft, node);
        Error error;

        if (!text)
                return;
        if (policyname_check_object(text, &error) < 0)
                policydraft_refuse(draft, node, "%s", error.text);
        else
                policyvalue_set(draft, &service->name, text);
}

void policylist_read_service(PolicyDraft *draft, const PolicyKey *key, YamlNode *node, void *object)
{
        static const PolicyKey file = {.offset = offsetof(PolicyService, file)};
        PolicyCertificate *certificate = object;
        PolicyService *service;

        if (!policyvalue_is_map(draft, node))
                return;
        service = certificate->service = policydraft_get(draft, sizeof *service);
        if (!service)
                return;
        for (size_t i = 0; i < node->n; i++) {
                YamlNode *child = &node->children[i];

                if (strcmp(child->key, "file") == 0)
                        policyvalue_read_file(draft, &file, child, service);
                else if (strcmp(child->key, "name") == 0)
                        read_service_name(draft, child, service);
                else
                        read_parameter(draft, child, service);
        }
        for (size_t i = 0; i < 2; i++) {
                const char *wanted = i == 0 ? "file" : "name";

                if (!yamlnode_find(node, wanted))
                        policydraft_refuse_missing(draft, node, wanted,
                                                   "is missing. HINT: Add it; see "
                                                   "pgcertd.yaml(5).");
        }
}
