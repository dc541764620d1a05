#include "common/policyuser.h"

#include "common/policyvalue.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>

enum { RECORD_FIRST = 4096, RECORD_MAX = 1 << 20, GROUPS_MAX = 1024 };

/* The last user and the last group that were looked up, so that each is once: certificates come
 * sorted by them, and a lookup may be a question to another machine. */
typedef struct User {
        char *name; /* as the database writes it; NULL where there is none */
        uid_t uid;
        gid_t gid;
        int error; /* the database could not be asked */
} User;

typedef struct Group {
        const char *asked; /* as in the policy; NULL where none was looked up for this user */
        gid_t gid;
        int error; /* the database could not be asked */
        bool is_found;
        bool is_member; /* the user is */
} Group;

static void user_done(User *user)
{
        free(user->name);
        *user = (User){0};
}

static bool is_number(const char *text)
{
        return *text && strlen(text) < 10 && strspn(text, "0123456789") == strlen(text);
}

/* getpwnam(3) and getgrnam(3): some codes only mean that there is no such name. */
static int lookup_error(int code)
{
        return code == ENOENT || code == ESRCH || code == EBADF || code == EPERM ? 0 : code;
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
        ret->error = lookup_error(r);
        return 0;
}

static int call_group(const char *text, char *buffer, size_t size, struct group *record,
                      struct group **ret)
{
        int r = getgrnam_r(text, record, buffer, size, ret);

        if ((r == 0 || r == ENOENT) && !*ret && is_number(text))
                r = getgrgid_r((gid_t)strtoul(text, NULL, 10), record, buffer, size, ret);
        return r;
}

/* Whether the user may give files to the group; true where that cannot be told. */
static bool user_is_member(const User *user, gid_t gid)
{
        _cleanup_(freep) gid_t *groups = calloc(GROUPS_MAX, sizeof *groups);
        int n = GROUPS_MAX;

        if (!groups || !user->name || getgrouplist(user->name, user->gid, groups, &n) < 0)
                return true;
        for (int i = 0; i < n; i++)
                if (groups[i] == gid)
                        return true;
        return false;
}

static int find_group(const char *text, const User *user, Group *ret)
{
        struct group record, *found = NULL;
        int r = ERANGE;

        *ret = (Group){.asked = text};
        for (size_t size = RECORD_FIRST; r == ERANGE && size <= RECORD_MAX; size *= 2) {
                _cleanup_(freep) char *buffer = malloc(size);

                if (!buffer)
                        return -ENOMEM;
                r = call_group(text, buffer, size, &record, &found);
                ret->is_found = r == 0 && found;
                if (ret->is_found)
                        ret->gid = found->gr_gid;
        }
        ret->error = lookup_error(r);
        ret->is_member = ret->is_found && user_is_member(user, ret->gid);
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

static int resolve_group(PolicyDraft *draft, PolicyCertificate *certificate, YamlNode *node,
                         const User *user, Group *group)
{
        char excerpt[YAML_EXCERPT_MAX];

        if (!certificate->group || !node || node->is_told)
                return 0;
        if ((!group->asked || strcmp(group->asked, certificate->group) != 0) &&
            find_group(certificate->group, user, group) < 0)
                return policydraft_oom(draft);
        yamlnode_excerpt(node->text, excerpt);
        if (group->error)
                policydraft_refuse(draft, node, "the group \"%s\" cannot be looked up: %s", excerpt,
                                   strerror(group->error));
        else if (!group->is_found)
                policydraft_refuse(draft, node,
                                   "there is no group \"%s\". HINT: Write one that "
                                   "exists, or make it first.",
                                   excerpt);
        else if (!group->is_member)
                policydraft_warn(draft, node,
                                 "%s is not a member of the group %s and may be unable to give it "
                                 "files. HINT: Run: usermod -aG %s %s",
                                 user->name, node->text, node->text, user->name);
        if (group->is_found)
                certificate->group_gid = group->gid;
        return 0;
}

static int compare_owners(const void *a, const void *b)
{
        const PolicyCertificate *x = *(PolicyCertificate *const *)a;
        const PolicyCertificate *y = *(PolicyCertificate *const *)b;
        int r = strcmp(x->owner, y->owner);

        return r != 0 ? r : strcmp(x->group ? x->group : "", y->group ? y->group : "");
}

static int resolve_owner(PolicyDraft *draft, PolicyCertificate *certificate, const User *user,
                         Group *group)
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
        return resolve_group(draft, certificate, yamlnode_find(node, "group"), user, group);
}

static int resolve_sorted(PolicyDraft *draft, PolicyCertificate **sorted, size_t n)
{
        _cleanup_(user_done) User user = {0};
        _cleanup_(freep) char *asked = NULL;
        Group group = {0};

        for (size_t i = 0; i < n; i++) {
                int r;

                if (!asked || strcmp(asked, sorted[i]->owner) != 0) {
                        user_done(&user);
                        group = (Group){0};
                        free(asked);
                        asked = strdup(sorted[i]->owner);
                        if (!asked || find_user(asked, &user) < 0)
                                return policydraft_oom(draft);
                }
                r = resolve_owner(draft, sorted[i], &user, &group);
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
