#include "tests/simulation/readers.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

void readers_init(Readers *readers)
{
        *readers = (Readers){0};
        for (size_t a = 0; a < SPEC_AUTHORITIES_MAX; a++)
                readers->judged_from[a] = INT64_MIN;
}

void readers_excuse(Readers *readers, size_t authority, int64_t until_usec)
{
        if (until_usec > readers->judged_from[authority])
                readers->judged_from[authority] = until_usec;
        readers->n_old[authority] = 0;
}

/* The end of the last anchor that the authority has in the bundle. The issuer's name tells whose it
 * is: "root 0 ..." of a0. */
static int64_t last_end(const Site *site, uint32_t bundle, size_t authority)
{
        const Paper *const *anchors;
        int64_t end = INT64_MIN;
        char name[32];
        size_t n;

        snprintf(name, sizeof name, "CN=root %zu ", authority);
        anchors = papers_anchors(site->papers, bundle, &n);
        for (size_t i = 0; i < n; i++)
                if (strstr(anchors[i]->subject, name) && anchors[i]->facts.not_after_usec > end)
                        end = anchors[i]->facts.not_after_usec;
        return end;
}

static void note_of(Readers *readers, const Site *site, uint32_t bundle, size_t a)
{
        for (size_t i = 0; i < readers->n_old[a]; i++)
                if (readers->old[a][i].bundle == bundle)
                        return;
        /* The oldest has long expired. */
        if (readers->n_old[a] == READERS_OLD_MAX) {
                memmove(readers->old[a], readers->old[a] + 1,
                        (READERS_OLD_MAX - 1) * sizeof *readers->old[a]);
                readers->n_old[a]--;
        }
        readers->old[a][readers->n_old[a]++] =
                (OldBundle){.bundle = bundle, .until_usec = last_end(site, bundle, a)};
}

void readers_note(Readers *readers, const Site *site, const Policy *policy, const Version *version)
{
        for (size_t a = 0; a < policy->n_authorities; a++)
                if (version->authorities & (1u << a))
                        note_of(readers, site, version->bundle, a);
}

/* A judgement in the making. */
typedef struct Case {
        const Readers *readers;
        const Site *site;
        const Spec *spec;
        const Policy *policy;
        int64_t at_usec;
        char *why;
} Case;

static size_t authority_of(const Case *of, size_t certificate)
{
        return (size_t)(of->policy->certificates[certificate].authority - of->policy->authorities);
}

/* How long a copy counts, by the certificate that is looked at. */
static int64_t copy_life(const Case *of, size_t authority)
{
        return of->policy->authorities[authority].distribute_usec - of->readers->slack_usec;
}

static bool accepts(const Case *of, uint32_t bundle, const char *whose, size_t holder, Paper *leaf,
                    size_t certificate, const char *what)
{
        char why[PAPERS_WHY_MAX];

        if (papers_verify(of->site->papers, bundle, leaf, of->at_usec, why) > 0)
                return true;
        snprintf(of->why, READERS_WHY_MAX, "%s%zu does not verify %s %s: %s", whose, holder, what,
                 of->policy->certificates[certificate].name, why);
        return false;
}

/* Every bundle on disk, and every copy that is young enough, against a leaf of the certificate. */
static bool judge_copies(const Case *of, Paper *leaf, size_t certificate, const char *what)
{
        size_t a = authority_of(of, certificate);

        for (size_t i = 0; i < of->policy->n_certificates; i++) {
                const Disk *disk = &of->site->disks[i];

                if (disk->exists && (disk->now.authorities & (1u << a)) &&
                    !accepts(of, disk->now.bundle, "the bundle of c", disk->name, leaf, certificate,
                             what))
                        return false;
                for (size_t h = disk->n_history; h-- > 0;) {
                        const Version *version = &disk->history[h];

                        if (usec_add(version->until, copy_life(of, a)) <= of->at_usec)
                                break;
                        if ((version->authorities & (1u << a)) &&
                            !accepts(of, version->bundle, "a copy of the bundle of c", disk->name,
                                     leaf, certificate, what))
                                return false;
                }
        }
        return true;
}

/* What the servers have loaded, against a client's leaf. */
static bool judge_servers(const Case *of, Paper *leaf, size_t certificate, const char *what)
{
        size_t a = authority_of(of, certificate);

        for (size_t c = 0; c < of->policy->n_clusters; c++) {
                const Server *server = &of->site->servers[c];

                if (server->runs && server->served.leaf &&
                    (server->served.authorities & (1u << a)) &&
                    !accepts(of, server->served.bundle, "the server k", c, leaf, certificate, what))
                        return false;
        }
        return true;
}

static bool judge_client(const Case *of, size_t certificate)
{
        const Disk *disk = &of->site->disks[certificate];
        int64_t life = copy_life(of, authority_of(of, certificate));

        if (!judge_copies(of, disk->now.leaf, certificate, "client") ||
            !judge_servers(of, disk->now.leaf, certificate, "client"))
                return false;
        /* Its certificate may be a copy, too: rule 9 leaves it that much of its life. */
        for (size_t h = disk->n_history; h-- > 0;) {
                const Version *version = &disk->history[h];

                if (usec_add(version->until, life) <= of->at_usec)
                        break;
                if (version->until < of->readers->judged_from[authority_of(of, certificate)])
                        break;
                if (version->leaf->facts.not_after_usec < usec_add(version->until, life)) {
                        snprintf(of->why, READERS_WHY_MAX, "a copy of %s ends within distribute",
                                 of->policy->certificates[certificate].name);
                        return false;
                }
                if (!judge_copies(of, version->leaf, certificate, "the copied client") ||
                    !judge_servers(of, version->leaf, certificate, "the copied client"))
                        return false;
        }
        return true;
}

/* Readers that are later than that, against what is served. */
static bool judge_late(const Case *of, Paper *leaf, size_t certificate)
{
        size_t a = authority_of(of, certificate);

        for (size_t i = 0; i < of->readers->n_old[a]; i++) {
                const OldBundle *old = &of->readers->old[a][i];

                if (usec_add(of->at_usec, of->readers->slack_usec) < old->until_usec &&
                    !accepts(of, old->bundle, "a late reader of bundle ", old->bundle, leaf,
                             certificate, "server"))
                        return false;
        }
        return true;
}

static bool judge_served(const Case *of)
{
        for (size_t c = 0; c < of->policy->n_clusters; c++) {
                const Server *server = &of->site->servers[c];
                size_t certificate = of->spec->clusters[c].certificate;

                if (!server->runs || !server->served.leaf ||
                    of->at_usec < of->readers->judged_from[authority_of(of, certificate)])
                        continue;
                if (!judge_copies(of, server->served.leaf, certificate, "served") ||
                    !judge_late(of, server->served.leaf, certificate))
                        return false;
        }
        return true;
}

bool readers_judge(Readers *readers, const Site *site, const Spec *spec, const Policy *policy,
                   int64_t at_usec, char ret_why[READERS_WHY_MAX])
{
        Case of = {.readers = readers,
                   .site = site,
                   .spec = spec,
                   .policy = policy,
                   .at_usec = at_usec,
                   .why = ret_why};

        for (size_t i = 0; i < policy->n_certificates; i++) {
                const Disk *disk = &site->disks[i];

                if (!disk->exists || at_usec < readers->judged_from[authority_of(&of, i)])
                        continue;
                if (policy->certificates[i].use == POLICY_CLIENT
                            ? !judge_client(&of, i)
                            : !judge_copies(&of, disk->now.leaf, i, "server"))
                        return false;
        }
        return judge_served(&of);
}
