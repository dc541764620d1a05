#include "tests/simulation/spec.h"

#include "common/text.h"

#include <inttypes.h>
#include <stdio.h>

#define SECOND USEC_PER_SEC

static int64_t whole(int64_t span)
{
        return span / SECOND * SECOND;
}

static int64_t larger(int64_t a, int64_t b)
{
        return a > b ? a : b;
}

/* A leaf's spans: rule 9 wants l - r >= c + 1 s, and of a client r > D + s + c. Servers are given
 * the same, so that there is some outage that costs nothing. */
static void make_leaf(const Spec *spec, Dice *dice, SpecCertificate *leaf, int64_t scale)
{
        int64_t least = spec->authorities[leaf->authority].distribute + spec->backdate +
                        spec->check_every + SECOND;
        int64_t renew = larger(least, whole(dice_scale(dice, larger(scale / 8, SECOND), scale)));

        /* Often a little above the least that the rule allows: there is room for an outage then. */
        leaf->renew_before = least > scale / 16 && dice_chance(dice, 30)
                                     ? least + whole(dice_between(dice, 0, least / 4))
                                     : renew;
        /* The least that the rule allows only where that is not thousands of renewals. */
        leaf->lifetime = leaf->renew_before + spec->check_every + SECOND;
        if (spec->check_every < scale / 40 || dice_chance(dice, 80))
                leaf->lifetime +=
                        whole(dice_between(dice, leaf->renew_before / 4, 2 * leaf->renew_before));
}

/* What the leaves of an authority, and of those that come later, have at most. */
static void find_leaves(const Spec *spec, size_t authority, int64_t *ret_l, int64_t *ret_r)
{
        *ret_l = *ret_r = 0;
        for (size_t i = 0; i < spec->n_certificates; i++) {
                const SpecCertificate *leaf = &spec->certificates[i];

                if (leaf->authority != authority)
                        continue;
                *ret_l = larger(*ret_l, leaf->lifetime);
                *ret_r = larger(*ret_r, leaf->renew_before);
        }
}

static void make_lifetime(const Spec *spec, Dice *dice, size_t a)
{
        SpecAuthority *authority = (SpecAuthority *)&spec->authorities[a];
        int64_t l, r, least;

        find_leaves(spec, a, &l, &r);
        least = authority->distribute + r + spec->backdate + 2 * spec->check_every;
        authority->renew_before = 0;
        if (dice_chance(dice, 50)) {
                authority->renew_before = dice_chance(dice, 40)
                                                  ? least
                                                  : least + whole(dice_between(dice, 0, least + l));
                authority->lifetime = 2 * authority->renew_before;
        } else {
                /* The default may be a third of the life, or what the leaves need. */
                authority->lifetime = 2 * larger(least, l + authority->distribute + spec->backdate +
                                                                spec->check_every);
        }
        if (authority->lifetime < 3 * least && authority->renew_before == 0)
                authority->lifetime = 3 * least;
        authority->lifetime += whole(dice_scale(dice, SECOND, 8 * authority->lifetime));
        if (authority->lifetime > 100 * USEC_PER_YEAR)
                authority->lifetime = whole(100 * USEC_PER_YEAR);
}

static void make_certificate(Spec *spec, Dice *dice, bool is_client, int64_t scale)
{
        SpecCertificate *leaf = &spec->certificates[spec->n_certificates++];

        *leaf = (SpecCertificate){.name = spec->n_names++, .is_client = is_client};
        leaf->authority = (size_t)dice_between(dice, 0, (int64_t)spec->n_authorities - 1);
        make_leaf(spec, dice, leaf, scale);
        leaf->rekey = dice_chance(dice, 20) ? 0 : whole(dice_scale(dice, scale, 20 * scale));
}

/* Each with a server of its own, or with one that another cluster has too. */
static void make_clusters(Spec *spec, Dice *dice, size_t servers)
{
        spec->n_clusters = (size_t)dice_between(dice, 1, (int64_t)servers);
        if (spec->n_clusters > SPEC_CLUSTERS_MAX)
                spec->n_clusters = SPEC_CLUSTERS_MAX;
        for (size_t c = 0; c < spec->n_clusters; c++) {
                SpecCluster *cluster = &spec->clusters[c];
                size_t clients = spec->n_certificates - servers;

                *cluster = (SpecCluster){.certificate = c};
                if (c > 0 && dice_chance(dice, 15))
                        cluster->certificate = c - 1;
                for (size_t i = 0; i < clients && cluster->n_as < SPEC_AS_MAX; i++)
                        if (dice_chance(dice, 40))
                                cluster->as[cluster->n_as++] = servers + i;
        }
}

void spec_make(Spec *spec, Dice *dice, int64_t scale)
{
        /* Few of those that are renewed all the time. */
        int64_t most =
                scale < 10 * USEC_PER_DAY ? SPEC_CERTIFICATES_MAX : scale / (10 * USEC_PER_DAY);
        size_t n, servers;

        *spec = (Spec){0};
        if (most > SPEC_CERTIFICATES_MAX)
                most = SPEC_CERTIFICATES_MAX;
        n = (size_t)dice_scale(dice, 1, most);
        spec->check_every = larger(SECOND, whole(dice_scale(dice, SECOND, scale / 20)));
        if (spec->check_every > USEC_PER_DAY)
                spec->check_every = USEC_PER_DAY;
        spec->backdate = whole(dice_between(dice, 0, scale / 50));
        if (spec->backdate > 5 * USEC_PER_MINUTE)
                spec->backdate = 5 * USEC_PER_MINUTE;
        spec->n_authorities = (size_t)dice_between(dice, 1, SPEC_AUTHORITIES_MAX);
        for (size_t a = 0; a < spec->n_authorities; a++)
                spec->authorities[a] = (SpecAuthority){
                        .distribute = larger(SECOND, whole(dice_scale(dice, SECOND, scale / 3)))};
        servers = n > 1 ? (size_t)dice_between(dice, 1, (int64_t)n - 1) : 1;
        for (size_t i = 0; i < n; i++)
                make_certificate(spec, dice, i >= servers, scale);
        for (size_t a = 0; a < spec->n_authorities; a++)
                make_lifetime(spec, dice, a);
        make_clusters(spec, dice, servers);
}

/* A client that comes or goes; clusters name the others by their places. */
static const char *change_clients(Spec *spec, Dice *dice)
{
        SpecCertificate *last = &spec->certificates[spec->n_certificates - 1];
        bool is_named = false;

        for (size_t c = 0; c < spec->n_clusters; c++)
                for (size_t i = 0; i < spec->clusters[c].n_as; i++)
                        is_named |= spec->clusters[c].as[i] == spec->n_certificates - 1;
        if (spec->n_certificates > 2 && last->is_client && !is_named && dice_chance(dice, 50)) {
                spec->n_certificates--;
                return "a certificate is removed";
        }
        if (spec->n_certificates == SPEC_CERTIFICATES_MAX)
                return "nothing";
        make_certificate(spec, dice, true, last->lifetime);
        return "a certificate is added";
}

/* Whatever was changed, the CA's lives fit the leaves again. */
static void mend_lifetime(Spec *spec, size_t a)
{
        SpecAuthority *authority = &spec->authorities[a];
        int64_t l, r, least;

        find_leaves(spec, a, &l, &r);
        least = authority->distribute + r + spec->backdate + 2 * spec->check_every;
        if (authority->renew_before != 0 && authority->renew_before < least)
                authority->renew_before = least;
        least = larger(least, authority->renew_before);
        if (authority->renew_before == 0)
                least = larger(least,
                               l + authority->distribute + spec->backdate + spec->check_every);
        authority->lifetime = larger(authority->lifetime, 3 * least);
}

const char *spec_change(Spec *spec, Dice *dice)
{
        size_t i = (size_t)dice_between(dice, 0, (int64_t)spec->n_certificates - 1);
        SpecCertificate *leaf = &spec->certificates[i];
        const char *what = NULL;

        switch (dice_between(dice, 0, 5)) {
        case 0:
                make_leaf(spec, dice, leaf, 2 * leaf->renew_before);
                what = "a leaf's lifetime";
                break;
        case 1:
                make_lifetime(spec, dice, leaf->authority);
                what = "a CA's lifetime";
                break;
        case 2:
                /* Shorter, so that no leaf's renew_before is too short for it. */
                spec->authorities[leaf->authority].distribute = larger(
                        SECOND, whole(dice_between(dice, SECOND,
                                                   spec->authorities[leaf->authority].distribute)));
                what = "distribute";
                break;
        case 3:
                spec->authorities[leaf->authority].subject++;
                what = "a CA's subject";
                break;
        case 4:
                leaf->names++;
                what = "a leaf's names";
                break;
        default:
                what = change_clients(spec, dice);
        }
        for (size_t a = 0; a < spec->n_authorities; a++)
                mend_lifetime(spec, a);
        return what;
}

void spec_break(Spec *spec, Dice *dice)
{
        SpecCertificate *leaf = &spec->certificates[spec->n_certificates - 1];
        SpecAuthority *authority = &spec->authorities[leaf->authority];
        int64_t l, r;

        find_leaves(spec, leaf->authority, &l, &r);
        switch (leaf->is_client ? dice_between(dice, 0, 3) : dice_between(dice, 0, 2)) {
        case 0:
                leaf->lifetime = leaf->renew_before + spec->check_every;
                break;
        case 1:
                authority->renew_before =
                        authority->distribute + r + spec->backdate + 2 * spec->check_every - SECOND;
                break;
        case 2:
                authority->renew_before = authority->lifetime / 2 + SECOND;
                break;
        default:
                leaf->renew_before = authority->distribute + spec->backdate + spec->check_every;
                leaf->lifetime = 3 * leaf->renew_before + spec->check_every;
        }
}

static void add_span(Text *text, const char *key, int64_t span)
{
        text_addf(text, ", %s: %" PRId64 "s", key, span / SECOND);
}

static void add_certificates(const Spec *spec, Text *text)
{
        text_add(text, "certificates:\n");
        for (size_t i = 0; i < spec->n_certificates; i++) {
                const SpecCertificate *leaf = &spec->certificates[i];

                text_addf(text, "  c%u: { use: %s, authority: a%zu, directory: /nowhere/c%u, ",
                          leaf->name, leaf->is_client ? "client" : "server", leaf->authority,
                          leaf->name);
                text_addf(text, "owner: nobody, %s: %sr%ux%u%s", leaf->is_client ? "role" : "names",
                          leaf->is_client ? "" : "[", leaf->name, leaf->names,
                          leaf->is_client ? "" : ".example]");
                add_span(text, "lifetime", leaf->lifetime);
                add_span(text, "renew_before", leaf->renew_before);
                if (leaf->rekey)
                        add_span(text, "rekey", leaf->rekey);
                else
                        text_add(text, ", rekey: always");
                text_add(text, " }\n");
        }
}

static void add_clusters(const Spec *spec, Text *text)
{
        text_add(text, "clusters:\n");
        for (size_t c = 0; c < spec->n_clusters; c++) {
                const SpecCluster *cluster = &spec->clusters[c];

                text_addf(text, "  k%zu: { data_directory: /nowhere/k%zu, certificate: c%u", c, c,
                          spec->certificates[cluster->certificate].name);
                for (size_t i = 0; i < cluster->n_as; i++)
                        text_addf(text, "%sc%u", i ? ", " : ", verify: { as: [",
                                  spec->certificates[cluster->as[i]].name);
                text_add(text, cluster->n_as ? "] } }\n" : " }\n");
        }
}

bool spec_parse(const Spec *spec, bool is_valid, Policy **ret)
{
        _cleanup_(text_done) Text text = {0};
        _cleanup_(errors_done) Errors errors = {0};
        int r;

        text_addf(&text, "version: 1\ncheck_every: %" PRId64 "s\n", spec->check_every / SECOND);
        text_addf(&text, "defaults: { backdate: %" PRId64 "s }\n", spec->backdate / SECOND);
        text_add(&text, "authorities:\n");
        for (size_t a = 0; a < spec->n_authorities; a++) {
                const SpecAuthority *authority = &spec->authorities[a];

                text_addf(&text, "  a%zu: { subject: { O: simulation, CN: root %zu %u }", a, a,
                          authority->subject);
                add_span(&text, "lifetime", authority->lifetime);
                add_span(&text, "distribute", authority->distribute);
                if (authority->renew_before)
                        add_span(&text, "renew_before", authority->renew_before);
                text_add(&text, " }\n");
        }
        add_certificates(spec, &text);
        add_clusters(spec, &text);
        r = policy_parse("simulated.yaml", text_content(&text), text.size, ret, &errors);
        if (r < 0 && is_valid) {
                for (size_t i = 0; i < errors.n; i++)
                        fprintf(stderr, "%s\n", errors.items[i].text);
                fprintf(stderr, "%s", text_content(&text));
        }
        return r >= 0;
}
