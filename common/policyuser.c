#include "common/policyuser.h"

#include "common/policyvalue.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

enum { RECORD_FIRST = 4096, RECORD_MAX = 1 << 20, GROUPS_MAX = 1024 };

/* The last name looked up: certificates come sorted by it. */
typedef struct User {
        char *name; /* as the database writes it; NULL where there is none */
        uid_t uid;
        gid_t gid;
        int error; /* the database could not be asked */
} User;

static void user_done(User *user)
{
        free(user->name);
        *user = (User){0};
}

static bool is_number(const char *text)
{
        return *text && strlen(text) < 10 && strspn(text, "0123456789") == strlen(text);
}

/* One call of the reentrant lookups; a number is tried where there is no such name. */
static int call_passwd(const char *text, char *buffer, size_t size, struct passwd *record,
                       struct passwd **ret)
{
        int r = getpwnam_r(text, record, buffer, size, ret);

        if ((r == 0 || r == ENOENT) && !*ret && is_number(text))
                r = getpwuid_r((uid_t)strtoul(text, NULL, 10), record, buffer, size, ret);
        return r;
}

static int find_user(const char *text, User *ret)
{
        struct passwd record, *found = NULL;
        int r = ERANGE;

        for (size_t size = RECORD_FIRST; r == ERANGE && size <= RECORD_MAX; size *= 2) {
                _cleanup_(freep) char *buffer = malloc(size);

                if (!buffer)
                        return -ENOMEM;
                r = call_passwd(text, buffer, size, &record, &found);
                if (r == 0 && found) {
                        ret->name = strdup(found->pw_name);
                        ret->uid = found->pw_uid;
                        ret->gid = found->pw_gid;
                        return ret->name ? 0 : -ENOMEM;
                }
        }
        /* getpwnam(3): these mean that there is no such name. */
        ret->error = r == ENOENT || r == ESRCH || r == EBADF || r == EPERM ? 0 : r;
        return 0;
}

static int find_group(const char *text, gid_t *ret_gid, bool *ret_found)
{
        struct group record, *found = NULL;
        int r = ERANGE;

        for (size_t size = RECORD_FIRST; r == ERANGE && size <= RECORD_MAX; size *= 2) {
                _cleanup_(freep) char *buffer = malloc(size);

                if (!buffer)
                        return -ENOMEM;
                r = getgrnam_r(text, &record, buffer, size, &found);
                if ((r == 0 || r == ENOENT) && !found && is_number(text))
                        r = getgrgid_r((gid_t)strtoul(text, NULL, 10), &record, buffer, size,
                                       &found);
                *ret_found = r == 0 && found;
                if (*ret_found)
                        *ret_gid = found->gr_gid;
        }
        return 0;
}

static void refuse_owner(PolicyDraft *draft, YamlNode *node, const User *user)
{
        char excerpt[YAML_EXCERPT_MAX];

        if (user->error)
                policydraft_refuse(draft, node, "the user \"%s\" cannot be looked up: %s",
                                   yamlnode_excerpt(node->text, excerpt), strerror(user->error));
        else if (!user->name)
                policydraft_refuse(draft, node,
                                   "there is no user \"%s\". HINT: Write the user that reads the "
                                   "files, or make it first.",
                                   yamlnode_excerpt(node->text, excerpt));
        else
                policydraft_refuse(
                        draft, node,
                        "the user is root, and no program of pgcertd runs as root. HINT: "
                        "Write the user that PostgreSQL or the application runs as, for "
                        "example postgres: keys that it owns with mode 0600 are as "
                        "good.");
}

/* Says where the owner could not give files to the group. */
static void warn_group(PolicyDraft *draft, const YamlNode *node, const User *user, gid_t gid)
{
        _cleanup_(freep) gid_t *groups = calloc(GROUPS_MAX, sizeof *groups);
        int n = GROUPS_MAX;

        if (!groups || getgrouplist(user->name, user->gid, groups, &n) < 0)
                return;
        for (int i = 0; i < n; i++)
                if (groups[i] == gid)
                        return;
        policydraft_warn(draft, node,
                         "%s is not a member of the group %s and may be unable to give it files. "
                         "HINT: Run: usermod -aG %s %s",
                         user->name, node->text, node->text, user->name);
}

static int resolve_group(PolicyDraft *draft, PolicyCertificate *certificate, YamlNode *node,
                         const User *user)
{
        YamlNode *group = yamlnode_find(node, "group");
        char excerpt[YAML_EXCERPT_MAX];
        bool is_found = false;

        if (!certificate->group || !group || group->is_told)
                return 0;
        if (find_group(certificate->group, &certificate->group_gid, &is_found) < 0)
                return policydraft_oom(draft);
        if (!is_found)
                policydraft_refuse(draft, group,
                                   "there is no group \"%s\". HINT: Write one that "
                                   "exists, or make it first.",
                                   yamlnode_excerpt(group->text, excerpt));
        else if (user->name)
                warn_group(draft, group, user, certificate->group_gid);
        return 0;
}

static int compare_owners(const void *a, const void *b)
{
        return strcmp((*(PolicyCertificate *const *)a)->owner,
                      (*(PolicyCertificate *const *)b)->owner);
}

static int resolve_owner(PolicyDraft *draft, PolicyCertificate *certificate, const User *user)
{
        YamlNode *node = policydraft_node(draft, POLICY_CERTIFICATES,
                                          (size_t)(certificate - draft->policy->certificates));
        YamlNode *owner = yamlnode_find(node, "owner");

        if (!user->name || user->uid == 0) {
                refuse_owner(draft, owner, user);
        } else {
                certificate->owner_uid = user->uid;
                if (strcmp(certificate->owner, user->name) != 0)
                        policyvalue_set(draft, &certificate->owner, user->name);
        }
        return resolve_group(draft, certificate, node, user);
}

static int resolve_sorted(PolicyDraft *draft, PolicyCertificate **sorted, size_t n)
{
        _cleanup_(user_done) User user = {0};
        _cleanup_(freep) char *asked = NULL;

        for (size_t i = 0; i < n; i++) {
                int r;

                if (!asked || strcmp(asked, sorted[i]->owner) != 0) {
                        user_done(&user);
                        free(asked);
                        asked = strdup(sorted[i]->owner);
                        if (!asked || find_user(asked, &user) < 0)
                                return policydraft_oom(draft);
                }
                r = resolve_owner(draft, sorted[i], &user);
                if (r < 0)
                        return r;
        }
        return 0;
}

int policyuser_resolve(PolicyDraft *draft)
{
        Policy *policy = draft->policy;
        _cleanup_(freep) PolicyCertificate **sorted =
                calloc(policy->n_certificates + 1, sizeof *sorted);
        size_t n = 0;

        if (!sorted)
                return policydraft_oom(draft);
        for (size_t i = 0; i < policy->n_certificates; i++)
                if (policy->certificates[i].owner)
                        sorted[n++] = &policy->certificates[i];
        qsort(sorted, n, sizeof *sorted, compare_owners);
        return resolve_sorted(draft, sorted, n);
}
