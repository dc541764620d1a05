/*
 * Everything here is sorted and searched, never compared pair by pair: ten thousand certificates
 * are to load in a fraction of a second. Paths are compared as written. Links are not resolved:
 * each program would see others, by what it may search, and then they would judge one policy
 * differently.
 */
#include "common/policyunique.h"

#include "common/policyname.h"

#include <errno.h>
#include <string.h>

/* A path of the policy and where it is written. */
typedef struct Place {
        const char *path;
        YamlNode *node;
        const PolicyCertificate *certificate; /* of a directory */
        size_t order;
} Place;

typedef struct Places {
        Place *items;
        size_t n;
} Places;

static void places_done(Places *places)
{
        free(places->items);
}

static int compare_places(const void *a, const void *b)
{
        const Place *x = a, *y = b;
        int r = strcmp(x->path, y->path);

        return r != 0 ? r : (x->order > y->order) - (x->order < y->order);
}

static int make_places(PolicyDraft *draft, size_t room, Places *ret)
{
        ret->items = calloc(room + 1, sizeof *ret->items);
        return ret->items ? 0 : policydraft_oom(draft);
}

static void add(Places *places, const char *path, YamlNode *map, const char *key,
                const PolicyCertificate *certificate)
{
        YamlNode *node = yamlnode_find(map, key);

        if (!path || !node || node->is_told)
                return;
        places->items[places->n] =
                (Place){.path = path, .node = node, .certificate = certificate, .order = places->n};
        places->n++;
}

/* Sorts the places and refuses a path that is there a second time. */
static void check_once(PolicyDraft *draft, Places *places, const char *what)
{
        char path[YAML_PATH_MAX], excerpt[YAML_EXCERPT_MAX];

        qsort(places->items, places->n, sizeof *places->items, compare_places);
        for (size_t i = 1; i < places->n; i++) {
                const Place *before = &places->items[i - 1], *place = &places->items[i];

                if (strcmp(before->path, place->path) == 0)
                        policydraft_refuse(draft, place->node,
                                           "\"%s\" is already that of %s (%s:%u). HINT: %s",
                                           yamlnode_excerpt(place->path, excerpt),
                                           yamlnode_path(before->node, path), before->node->file,
                                           before->node->line, what);
        }
}

/* The beginning of a path. */
typedef struct Prefix {
        const char *path;
        size_t size;
} Prefix;

static int compare_prefix(const void *a, const void *b)
{
        const Prefix *prefix = a;
        const Place *place = b;
        int r = strncmp(prefix->path, place->path, prefix->size);

        return r != 0 ? r : place->path[prefix->size] ? -1 : 0;
}

static const Place *find(const Places *places, const char *path, size_t size)
{
        const Prefix wanted = {.path = path, .size = size};

        return bsearch(&wanted, places->items, places->n, sizeof *places->items, compare_prefix);
}

/* Refuses the path where it is a data directory or lies in one. */
static void check_outside(PolicyDraft *draft, const Places *data, YamlNode *node, const char *path)
{
        char excerpt[YAML_EXCERPT_MAX];

        for (size_t size = strlen(path); size > 0;) {
                const Place *found = find(data, path, size);

                if (found) {
                        policydraft_refuse(draft, node,
                                           "lies in the data directory \"%s\": pg_basebackup and "
                                           "pg_rewind would copy or lose it. HINT: Choose a place "
                                           "outside, for example below /etc/postgresql.",
                                           yamlnode_excerpt(found->path, excerpt));
                        return;
                }
                while (size > 0 && path[size - 1] != '/')
                        size--;
                while (size > 0 && path[size - 1] == '/')
                        size--;
        }
}

/* Refuses a configuration that has the name of another file of ours in its directory. */
static void check_configuration(PolicyDraft *draft, const Places *directories, const Place *place)
{
        const char *slash = strrchr(place->path, '/');
        const Place *found = find(directories, place->path, (size_t)(slash - place->path));
        const PolicyCertificate *certificate = found ? found->certificate : NULL;
        bool is_taken = false;

        if (!certificate)
                return;
        for (size_t i = 0; i < POLICY_FILES; i++)
                is_taken |= certificate->files[i] && strcmp(slash + 1, certificate->files[i]) == 0;
        if (certificate->service && certificate->service->file)
                is_taken |= strcmp(slash + 1, certificate->service->file) == 0;
        if (is_taken)
                policydraft_refuse(draft, place->node,
                                   "is also a file of the certificate %s. HINT: Choose another "
                                   "name.",
                                   certificate->name);
}

static int check_paths(PolicyDraft *draft)
{
        const Policy *policy = draft->policy;
        _cleanup_(places_done) Places directories = {0}, data = {0}, configurations = {0};

        if (make_places(draft, policy->n_certificates, &directories) < 0 ||
            make_places(draft, policy->n_clusters, &data) < 0 ||
            make_places(draft, policy->n_clusters, &configurations) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < policy->n_certificates; i++)
                add(&directories, policy->certificates[i].directory,
                    policydraft_node(draft, POLICY_CERTIFICATES, i), "directory",
                    &policy->certificates[i]);
        for (size_t i = 0; i < policy->n_clusters; i++) {
                YamlNode *node = policydraft_node(draft, POLICY_CLUSTERS, i);

                add(&data, policy->clusters[i].data_directory, node, "data_directory", NULL);
                add(&configurations, policy->clusters[i].configuration, node, "configuration",
                    NULL);
        }
        check_once(draft, &directories, "One directory holds one certificate.");
        check_once(draft, &data, "Name each cluster once.");
        check_once(draft, &configurations, "Give each cluster a file of its own.");
        for (size_t i = 0; i < directories.n; i++)
                check_outside(draft, &data, directories.items[i].node, directories.items[i].path);
        for (size_t i = 0; i < configurations.n; i++) {
                check_outside(draft, &data, configurations.items[i].node,
                              configurations.items[i].path);
                check_configuration(draft, &directories, &configurations.items[i]);
        }
        return 0;
}

/* Of two objects with one name, the later one in the order of the files. */
static void refuse_name(PolicyDraft *draft, PolicyKind kind, const char *a, const char *b)
{
        size_t n, size, x, y;
        const char *objects = policymodel_objects(draft->policy, kind, &n, &size);
        const YamlNode *first;
        YamlNode *second;

        x = (size_t)(a - objects) / size;
        y = (size_t)(b - objects) / size;
        first = policydraft_node(draft, kind, x < y ? x : y);
        second = policydraft_node(draft, kind, x < y ? y : x);
        policydraft_refuse_key(
                draft, second,
                "is already defined at %s:%u:%u. HINT: Rename or remove one of them.", first->file,
                first->key_line, first->key_column);
}

int policyunique_check(PolicyDraft *draft)
{
        for (PolicyKind kind = 0; kind < POLICY_KINDS; kind++) {
                void *const *index = draft->policy->by_name[kind];
                size_t n, size;

                policymodel_objects(draft->policy, kind, &n, &size);
                for (size_t i = 1; i < n; i++)
                        if (strcmp(*(char **)index[i - 1], *(char **)index[i]) == 0)
                                refuse_name(draft, kind, index[i - 1], index[i]);
        }
        return check_paths(draft);
}
