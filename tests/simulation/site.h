/*
 * The machine of a simulated life: what lies on disk for each certificate, what each cluster has
 * loaded, and the copies that others hold. It is what the workers would tell of; the observation
 * is made of it.
 *
 * Certificates and clusters stand in the order of the policy, authorities too: one is never
 * removed.
 */
#pragma once

#include "tests/simulation/casigner.h"
#include "tests/simulation/spec.h"

/* One publication of a set. */
typedef struct Version {
        Paper *leaf;
        uint32_t bundle;
        unsigned authorities; /* a bit for each whose anchors the bundle holds */
        uint32_t generation;
        unsigned key, names;
        int64_t key_made;
        int64_t from, until; /* on disk; until is USEC_INFINITY for what is there */
} Version;

enum { SITE_HISTORY_MAX = 24 };

typedef struct Disk {
        bool exists;
        unsigned name; /* SpecCertificate.name */
        Version now;
        uint32_t newest;                   /* generation */
        Version refused;                   /* leaf is NULL where none is */
        Version history[SITE_HISTORY_MAX]; /* replaced; the newest last */
        size_t n_history;
} Disk;

typedef struct Server {
        bool runs;
        int64_t pid, started_sec;
        bool cannot_load; /* it cannot be told to load: nothing happens */
        bool refuses;     /* it is told, and keeps what it had */
        Version served;   /* leaf is NULL: no TLS yet */
} Server;

typedef struct Site {
        Papers *papers;
        Disk disks[SPEC_CERTIFICATES_MAX];
        Server servers[SPEC_CLUSTERS_MAX];
        bool has_workers, has_signer; /* they answer */
        Break broken;
} Site;

/* Another policy: what it names anew is absent. */
void site_take_spec(Site *site, const Spec *spec);

/* What the workers and the signer tell now. */
void site_observe(const Site *site, const Spec *spec, const Policy *policy, CaSigner *signer,
                  Observation *observation);

/* Puts a version in place; it gets the newest generation. */
void site_publish(Site *site, size_t index, const Version *version, int64_t now_usec);

/* Puts back what the cluster serves; the other one is marked refused. */
void site_put_back(Site *site, size_t index, const Version *served, int64_t now_usec);

/* The postmaster reads its files: at a load, and at a start. */
void site_load(Site *site, const Spec *spec, size_t cluster);
