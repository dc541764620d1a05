/*
 * The file is never rewritten in place. Over its size it gets a second name, history.jsonl.1, and a
 * new file with the last proof of each cluster is put in its place whole, by rename: a crash at any
 * point leaves a history that holds every proof.
 */
#include "daemon/record.h"

#include "common/clock.h"
#include "common/fdio.h"
#include "daemon/historyline.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define FILE_NAME "history.jsonl"
#define OLD_NAME "history.jsonl.1"

enum {
        READ_MAX = 16 << 20, /* bytes read at the start; ours stay far below */
        PROVEN_LINE = 256,   /* bytes of a proven line, at most */
};

typedef struct Proven {
        char cluster[POLICY_NAME_MAX + 1];
        uint8_t sha256[CERT_FINGERPRINT];
        int64_t usec;
} Proven;

struct Record {
        int directory_fd;
        int fd;
        int64_t size;
        bool is_torn;    /* the last line is not whole: end it before the next */
        Proven **proven; /* by name */
        size_t n_proven;
        RepairList repairs;
        Error error; /* the last failure; code 0 for none */
};

Record *record_free(Record *record)
{
        if (!record)
                return NULL;
        for (size_t i = 0; i < record->n_proven; i++)
                free(record->proven[i]);
        free(record->proven);
        repair_list_done(&record->repairs);
        closep(&record->fd);
        closep(&record->directory_fd);
        free(record);
        return NULL;
}

/* The place of a cluster among the proofs, or where it would stand. */
static size_t find_place(const Record *record, const char *cluster, bool *ret_found)
{
        size_t low = 0, high = record->n_proven;

        *ret_found = false;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                int order = strcmp(record->proven[middle]->cluster, cluster);

                if (order == 0) {
                        *ret_found = true;
                        return middle;
                }
                if (order < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static void forget_oldest(Record *record)
{
        size_t oldest = 0;

        for (size_t i = 1; i < record->n_proven; i++)
                if (record->proven[i]->usec < record->proven[oldest]->usec)
                        oldest = i;
        free(record->proven[oldest]);
        memmove(&record->proven[oldest], &record->proven[oldest + 1],
                (--record->n_proven - oldest) * sizeof *record->proven);
}

static int remember(Record *record, const Proven *proven, Error *reterr)
{
        bool found;
        size_t place = find_place(record, proven->cluster, &found);
        Proven *copy;

        if (found) {
                *record->proven[place] = *proven;
                return 0;
        }
        if (record->n_proven == RECORD_CLUSTERS_MAX) {
                forget_oldest(record);
                place = find_place(record, proven->cluster, &found);
        }
        copy = malloc(sizeof *copy);
        if (!copy)
                return error_oom(reterr);
        *copy = *proven;
        memmove(&record->proven[place + 1], &record->proven[place],
                (record->n_proven++ - place) * sizeof *record->proven);
        record->proven[place] = copy;
        return 0;
}

static int fold_repaired(Record *record, const HistoryLine *line, Error *reterr)
{
        RepairEntry entry = {0};

        entry.is_cluster = history_line_string(line, "cluster", entry.name, sizeof entry.name);
        if ((!entry.is_cluster &&
             !history_line_string(line, "certificate", entry.name, sizeof entry.name)) ||
            !history_line_hex(line, "policy", (uint8_t *)&entry.tag, sizeof entry.tag) ||
            !history_line_integer(line, "at_usec", &entry.done_usec))
                return 0;
        return repair_list_add(&record->repairs, &entry, reterr);
}

static int fold_line(Record *record, const char *text, size_t size, Error *reterr)
{
        HistoryLine line;
        Proven proven = {0};
        char event[16];

        if (size > RECORD_LINE_MAX || !history_line_parse(text, size, &line) ||
            !history_line_string(&line, "event", event, sizeof event))
                return 0;
        if (strcmp(event, "repaired") == 0)
                return fold_repaired(record, &line, reterr);
        if (strcmp(event, "proven") != 0 ||
            !history_line_string(&line, "cluster", proven.cluster, sizeof proven.cluster) ||
            !history_line_hex(&line, "sha256", proven.sha256, sizeof proven.sha256) ||
            !history_line_integer(&line, "at_usec", &proven.usec))
                return 0;
        return remember(record, &proven, reterr);
}

static int fold(Record *record, const FileBytes *bytes, Error *reterr)
{
        const char *at = (const char *)bytes->data, *end = at + bytes->size;

        while (at < end) {
                const char *stop = memchr(at, '\n', (size_t)(end - at));
                int r;

                if (!stop) {
                        record->is_torn = true;
                        return 0;
                }
                r = fold_line(record, at, (size_t)(stop - at), reterr);
                if (r < 0)
                        return r;
                at = stop + 1;
        }
        return 0;
}

/* Begins a line that is ended by end_line(). */
static void begin_line(Json *json, const char *event, int64_t now_usec)
{
        json_object(json, NULL);
        json_time(json, "at", now_usec);
        json_integer(json, "at_usec", now_usec);
        json_string(json, "event", event);
}

static void end_line(Json *json)
{
        json_object_end(json);
        text_add(json->text, "\n");
        json->comma = false;
}

static void add_proven(Json *json, const Proven *proven)
{
        begin_line(json, "proven", proven->usec);
        json_string(json, "cluster", proven->cluster);
        json_hex(json, "sha256", proven->sha256, sizeof proven->sha256);
        end_line(json);
}

static void add_repaired(Json *json, const RepairEntry *entry, const char *reason)
{
        begin_line(json, "repaired", entry->done_usec);
        json_string(json, entry->is_cluster ? "cluster" : "certificate", entry->name);
        if (reason)
                json_string(json, "reason", reason);
        json_hex(json, "policy", (const uint8_t *)&entry->tag, sizeof entry->tag);
        end_line(json);
}

static int open_file(Record *record, Error *reterr)
{
        struct stat stat;

        closep(&record->fd);
        record->fd =
                openat(record->directory_fd, FILE_NAME,
                       O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0640);
        if (record->fd < 0 || fstat(record->fd, &stat) < 0)
                return error_set(reterr, errno, "cannot open %s: %s", FILE_NAME, strerror(errno));
        if (!S_ISREG(stat.st_mode))
                return error_set(reterr, EINVAL, "%s is not a regular file", FILE_NAME);
        record->size = stat.st_size;
        return 0;
}

/* The file's bytes stay reachable by one of its names throughout. */
static int rotate(Record *record, Error *reterr)
{
        static const FileMode mode = {.mode = 0640, .group = (gid_t)-1, .sync = true};
        Text text = {0};
        Json json = {.text = &text};
        int r;

        for (size_t i = 0; i < record->n_proven; i++)
                add_proven(&json, record->proven[i]);
        for (size_t i = 0; i < record->repairs.n; i++)
                add_repaired(&json, &record->repairs.items[i], NULL);
        r = text_check(&text, reterr);
        if (r >= 0 && unlinkat(record->directory_fd, OLD_NAME, 0) < 0 && errno != ENOENT)
                r = error_set(reterr, errno, "cannot remove %s: %s", OLD_NAME, strerror(errno));
        if (r >= 0 &&
            linkat(record->directory_fd, FILE_NAME, record->directory_fd, OLD_NAME, 0) < 0)
                r = error_set(reterr, errno, "cannot keep %s: %s", OLD_NAME, strerror(errno));
        if (r >= 0)
                r = fdio_replace(record->directory_fd, FILE_NAME, text_content(&text), text.size,
                                 &mode, reterr);
        if (r >= 0) {
                record->is_torn = false;
                r = open_file(record, reterr);
        }
        text_done(&text);
        return r;
}

static bool is_too_large(const Record *record)
{
        return record->size >
               RECORD_SIZE_MAX + (int64_t)(record->n_proven + record->repairs.n) * PROVEN_LINE;
}

static int append(Record *record, Text *text, Error *reterr)
{
        int r = text_check(text, reterr);

        if (r >= 0 && record->fd < 0)
                r = open_file(record, reterr);
        if (r >= 0 && record->is_torn) {
                r = fdio_write_all(record->fd, "\n", 1, FILE_NAME, reterr);
                record->is_torn = r < 0;
        }
        if (r >= 0) {
                r = fdio_write_all(record->fd, text_content(text), text->size, FILE_NAME, reterr);
                record->is_torn = r < 0;
        }
        if (r >= 0)
                record->size += (int64_t)text->size;
        text_done(text);
        return r;
}

static int load(Record *record, Error *reterr)
{
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        int r = fdio_read(record->directory_fd, FILE_NAME, READ_MAX, &bytes, reterr);

        /* Whoever made it that large, it was not pgcertd: keep it, and make the proofs again. */
        if (r == -EFBIG)
                return rotate(record, reterr);
        if (r == -ENOENT)
                return 0;
        return r < 0 ? r : fold(record, &bytes, reterr);
}

int record_open(const char *state_dir, Record **ret, Error *reterr)
{
        _cleanup_(record_freep) Record *record = calloc(1, sizeof *record);
        int r;

        if (!record)
                return error_oom(reterr);
        record->directory_fd = record->fd = -1;
        record->proven = calloc(RECORD_CLUSTERS_MAX + 1, sizeof(Proven *));
        if (!record->proven)
                return error_oom(reterr);
        r = fdio_open_directory(AT_FDCWD, state_dir, &record->directory_fd, reterr);
        if (r >= 0)
                r = load(record, reterr);
        if (r >= 0)
                r = open_file(record, reterr);
        if (r >= 0 && is_too_large(record))
                r = rotate(record, reterr);
        if (r >= 0 && record->is_torn) {
                r = fdio_write_all(record->fd, "\n", 1, FILE_NAME, reterr);
                record->is_torn = r < 0;
        }
        if (r < 0)
                return error_prefix(reterr, "history in %s", state_dir);
        *ret = TAKE_PTR(record);
        return 0;
}

/* A proof that could be written is remembered, before a rotation carries the proofs over. Rotating
 * here too keeps a long run from growing the file. */
static int append_and_rotate(Record *record, Text *text, const Proven *proven, Error *reterr)
{
        int r = append(record, text, &record->error);

        if (r >= 0 && proven)
                r = remember(record, proven, &record->error);
        if (r >= 0 && is_too_large(record))
                r = rotate(record, &record->error);
        if (r < 0 && reterr)
                *reterr = record->error;
        return r;
}

int record_published(Record *record, const char *certificate, const CertFacts *leaf,
                     uint32_t generation, int64_t now_usec, Error *reterr)
{
        Text text = {0};
        Json json = {.text = &text};

        begin_line(&json, "published", now_usec);
        json_string(&json, "certificate", certificate);
        json_string(&json, "serial", leaf->serial);
        json_hex(&json, "sha256", leaf->sha256, sizeof leaf->sha256);
        json_time(&json, "not_after", leaf->not_after_usec);
        json_integer(&json, "generation", generation);
        end_line(&json);
        return append_and_rotate(record, &text, NULL, reterr);
}

int record_refused(Record *record, const char *cluster, const uint8_t sha256[CERT_FINGERPRINT],
                   const char *reason, int64_t now_usec, Error *reterr)
{
        Text text = {0};
        Json json = {.text = &text};

        begin_line(&json, "refused", now_usec);
        json_string(&json, "cluster", cluster);
        json_hex(&json, "sha256", sha256, CERT_FINGERPRINT);
        json_string(&json, "reason", reason);
        end_line(&json);
        return append_and_rotate(record, &text, NULL, reterr);
}

int record_proven(Record *record, const char *cluster, const uint8_t sha256[CERT_FINGERPRINT],
                  int64_t now_usec, Error *reterr)
{
        Proven proven = {.usec = now_usec};
        Text text = {0};
        Json json = {.text = &text};
        bool found;
        size_t place = find_place(record, cluster, &found);
        int r;

        assert(strlen(cluster) <= POLICY_NAME_MAX);
        if (found && memcmp(record->proven[place]->sha256, sha256, CERT_FINGERPRINT) == 0)
                return 0;
        strcpy(proven.cluster, cluster);
        memcpy(proven.sha256, sha256, CERT_FINGERPRINT);
        add_proven(&json, &proven);
        r = append_and_rotate(record, &text, &proven, reterr);
        return r < 0 ? r : 1;
}

int record_repaired(Record *record, bool is_cluster, const char *name, const char *reason,
                    uint64_t policy_tag, int64_t now_usec, Error *reterr)
{
        RepairEntry entry = {.is_cluster = is_cluster, .tag = policy_tag, .done_usec = now_usec};
        Text text = {0};
        Json json = {.text = &text};
        int r;

        assert(strlen(name) <= POLICY_NAME_MAX);
        strcpy(entry.name, name);
        add_repaired(&json, &entry, reason);
        r = repair_list_add(&record->repairs, &entry, reterr);
        if (r < 0) {
                text_done(&text);
                return r;
        }
        return append_and_rotate(record, &text, NULL, reterr);
}

int record_authority(Record *record, const char *event, const char *authority, uint32_t generation,
                     const char *subject, const char *reason, int64_t now_usec, Error *reterr)
{
        Text text = {0};
        Json json = {.text = &text};

        begin_line(&json, event, now_usec);
        json_string(&json, "authority", authority);
        json_integer(&json, "generation", generation);
        json_string(&json, "subject", subject);
        json_string(&json, "reason", reason);
        end_line(&json);
        return append_and_rotate(record, &text, NULL, reterr);
}

bool record_take_error(Record *record, Error *ret)
{
        if (record->error.code == 0)
                return false;
        *ret = record->error;
        record->error = (Error){0};
        return true;
}

void record_restore(const Record *record, const Policy *policy, Memory *memory)
{
        for (size_t i = 0; i < policy->n_certificates; i++)
                memory->certificates[i].repair.done_usec = repair_list_find(
                        &record->repairs, false, policy->certificates[i].name, policy->tag);
        for (size_t c = 0; c < policy->n_clusters; c++) {
                bool found;
                size_t place = find_place(record, policy->clusters[c].name, &found);
                MemoryCluster *cluster = &memory->clusters[c];

                cluster->repair.done_usec = repair_list_find(&record->repairs, true,
                                                             policy->clusters[c].name, policy->tag);
                if (!found)
                        continue;
                cluster->has_proven = true;
                cluster->proven_usec = record->proven[place]->usec;
                memcpy(cluster->proven, record->proven[place]->sha256, CERT_FINGERPRINT);
        }
}
