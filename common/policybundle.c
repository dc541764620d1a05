#include "common/policybundle.h"

#include <errno.h>

/* That the set of a certificate meets an authority. */
typedef struct Meeting {
        PolicyCertificate *certificate;
        const PolicyAuthority *authority;
} Meeting;

typedef struct Meetings {
        Meeting *items;
        size_t n;
} Meetings;

static void meetings_done(Meetings *meetings)
{
        free(meetings->items);
}

static void add(Meetings *meetings, const PolicyCertificate *certificate,
                const PolicyAuthority *authority, const Policy *policy)
{
        if (!certificate || !authority)
                return;
        meetings->items[meetings->n++] = (Meeting){
                .certificate = &policy->certificates[certificate - policy->certificates],
                .authority = authority,
        };
}

/* A set's own authority first, then the others in the policy's order. */
static int compare(const void *a, const void *b)
{
        const Meeting *x = a, *y = b;
        bool x_own = x->authority == x->certificate->authority;
        bool y_own = y->authority == y->certificate->authority;

        if (x->certificate != y->certificate)
                return x->certificate < y->certificate ? -1 : 1;
        if (x_own != y_own)
                return x_own ? -1 : 1;
        return (x->authority > y->authority) - (x->authority < y->authority);
}

/* By sorting all meetings at once: a set may meet many in many clusters. */
static int collect(PolicyDraft *draft, Meetings *ret)
{
        Policy *policy = draft->policy;
        size_t room = policy->n_certificates + 1;

        for (size_t i = 0; i < policy->n_clusters; i++)
                room += 2 * policy->clusters[i].n_as;
        ret->items = calloc(room, sizeof *ret->items);
        if (!ret->items)
                return policydraft_oom(draft);
        for (size_t i = 0; i < policy->n_certificates; i++)
                add(ret, &policy->certificates[i], policy->certificates[i].authority, policy);
        for (size_t i = 0; i < policy->n_clusters; i++) {
                const PolicyCluster *cluster = &policy->clusters[i];

                for (size_t j = 0; j < cluster->n_as && cluster->certificate; j++) {
                        add(ret, cluster->certificate, cluster->as[j]->authority, policy);
                        add(ret, cluster->as[j], cluster->certificate->authority, policy);
                }
        }
        qsort(ret->items, ret->n, sizeof *ret->items, compare);
        return 0;
}

/* One certificate's authorities, each once. Most certificates have those of the one before, and
 * share them. */
static int fill_one(PolicyDraft *draft, const Meeting *meetings, size_t n,
                    const PolicyCertificate *before, PolicyCertificate *certificate)
{
        bool is_same = before != NULL;
        size_t count = 0;

        for (size_t i = 0; i < n; i++) {
                if (i > 0 && meetings[i].authority == meetings[i - 1].authority)
                        continue;
                is_same = is_same && count < before->n_bundle &&
                          before->bundle[count] == meetings[i].authority;
                count++;
        }
        certificate->n_bundle = count;
        if (is_same && count == before->n_bundle) {
                certificate->bundle = before->bundle;
                return 0;
        }
        certificate->bundle = policydraft_get(draft, count * sizeof *certificate->bundle);
        if (!certificate->bundle) {
                certificate->n_bundle = 0;
                return -ENOMEM;
        }
        for (size_t i = 0, at = 0; i < n; i++)
                if (i == 0 || meetings[i].authority != meetings[i - 1].authority)
                        certificate->bundle[at++] = meetings[i].authority;
        return 0;
}

int policybundle_fill(PolicyDraft *draft)
{
        _cleanup_(meetings_done) Meetings meetings = {0};
        const PolicyCertificate *before = NULL;
        int r = collect(draft, &meetings);
        size_t end;

        for (size_t i = 0; r >= 0 && i < meetings.n; i = end) {
                PolicyCertificate *certificate = meetings.items[i].certificate;

                for (end = i; end < meetings.n && meetings.items[end].certificate == certificate;)
                        end++;
                r = fill_one(draft, &meetings.items[i], end - i, before, certificate);
                before = certificate;
        }
        return r;
}
