#include "daemon/signer/ledger.h"

#include "common/clock.h"
#include "common/fdio.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char file_name[] = "ledger.jsonl";

static const char *const events[LEDGER_EVENTS] = {
        [LEDGER_AUTHORITY] = "authority", [LEDGER_ISSUED] = "issued",
        [LEDGER_PREPARED] = "prepared",   [LEDGER_ANNOUNCED] = "announced",
        [LEDGER_ACTIVATED] = "activated", [LEDGER_RETIRED] = "retired",
        [LEDGER_DISCARDED] = "discarded", [LEDGER_STOLEN] = "stolen",
        [LEDGER_IMPORTED] = "imported",   [LEDGER_INCOMPLETE] = "incomplete",
};

/* What is known of one generation. */
typedef struct Known {
        char authority[POLICY_NAME_MAX + 1];
        uint32_t generation;
        LedgerSummary summary;
} Known;

struct Ledger {
        int directory_fd; /* not owned */
        int fd;
        /* The whole file, summed up: read once, when it is first asked for, and kept up to date. */
        Known *known;
        size_t n_known;
        bool is_read;
};

int ledger_open(int directory_fd, Ledger **ret, Error *reterr)
{
        _cleanup_(ledger_closep) Ledger *ledger = malloc(sizeof *ledger);
        struct stat stat;
        int r;

        if (!ledger)
                return error_oom(reterr);
        *ledger = (Ledger){.directory_fd = directory_fd, .fd = -1};
        ledger->fd =
                openat(directory_fd, file_name,
                       O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
        if (ledger->fd < 0)
                return error_set(reterr, errno, "cannot open the ledger %s: %m", file_name);
        if (fstat(ledger->fd, &stat) < 0)
                return error_set(reterr, errno, "cannot look at the ledger %s: %m", file_name);
        /* A file that was just made is not there after a power cut, however well its bytes are. One
         * that holds something was looked after before its first line was written. */
        r = stat.st_size > 0 ? 0 : fdio_sync(directory_fd, "the signer's state directory", reterr);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(ledger);
        return 0;
}

Ledger *ledger_close(Ledger *ledger)
{
        if (!ledger)
                return NULL;
        closep(&ledger->fd);
        free(ledger->known);
        free(ledger);
        return NULL;
}

static void entry_format(const LedgerEntry *entry, int64_t now_usec, Text *text)
{
        Json json = {.text = text};

        json_object(&json, NULL);
        json_integer(&json, "version", 1);
        json_time(&json, "time", now_usec);
        json_string(&json, "event", events[entry->event]);
        json_string(&json, "authority", entry->authority);
        json_integer(&json, "generation", entry->generation);
        if (entry->event == LEDGER_ISSUED) {
                json_string(&json, "certificate", entry->certificate);
                json_string(&json, "use", entry->use == POLICY_SERVER ? "server" : "client");
        }
        json_string(&json, "serial", entry->facts->serial);
        json_hex(&json, "sha256", entry->facts->sha256, CERT_FINGERPRINT);
        json_time(&json, "not_before", entry->facts->not_before_usec);
        json_time(&json, "not_after", entry->facts->not_after_usec);
        json_object_end(&json);
        text_add(text, "\n");
}

/* Whether the last line has no end: a crash or a full disk came in between. */
static int is_torn(const Ledger *ledger, bool *ret, Error *reterr)
{
        struct stat stat;
        char last;

        if (fstat(ledger->fd, &stat) < 0)
                return error_set(reterr, errno, "cannot look at the ledger: %m");
        *ret = false;
        if (stat.st_size == 0)
                return 0;
        if (pread(ledger->fd, &last, 1, stat.st_size - 1) != 1)
                return error_set(reterr, EIO, "cannot read the end of the ledger");
        *ret = last != '\n';
        return 0;
}

/* A place for the generation, made where there is none. The last one is looked at first: leaves of
 * one CA stand together. */
static Known *known_place(Ledger *ledger, const char *authority, uint32_t generation)
{
        Known *items;

        for (size_t i = ledger->n_known; i-- > 0;)
                if (ledger->known[i].generation == generation &&
                    strcmp(ledger->known[i].authority, authority) == 0)
                        return &ledger->known[i];
        items = reallocarray(ledger->known, ledger->n_known + 1, sizeof *items);
        if (!items)
                return NULL;
        ledger->known = items;
        items += ledger->n_known++;
        *items = (Known){.generation = generation, .summary.last_not_after_usec = INT64_MIN};
        snprintf(items->authority, sizeof items->authority, "%s", authority);
        return items;
}

static void summary_add(LedgerSummary *summary, bool is_leaf, int64_t not_after_usec)
{
        if (!is_leaf) {
                summary->authorities++;
                return;
        }
        summary->issued++;
        if (not_after_usec > summary->last_not_after_usec)
                summary->last_not_after_usec = not_after_usec;
}

/* Where there is no memory for it, the file is read once more. */
static void know_entries(Ledger *ledger, const LedgerEntry *entries, size_t n)
{
        for (size_t i = 0; i < n && ledger->is_read; i++) {
                Known *known = known_place(ledger, entries[i].authority, entries[i].generation);

                if (known)
                        summary_add(&known->summary, entries[i].event == LEDGER_ISSUED,
                                    entries[i].facts->not_after_usec);
                else
                        ledger->is_read = false;
        }
}

int ledger_add(Ledger *ledger, const LedgerEntry *entries, size_t n, int64_t now_usec,
               Error *reterr)
{
        _cleanup_(text_done) Text text = {0};
        bool has_torn_end = false;
        int r = is_torn(ledger, &has_torn_end, reterr);

        assert(n <= LEDGER_BATCH_MAX);
        if (r < 0)
                return r;
        if (has_torn_end)
                text_add(&text, "\n");
        for (size_t i = 0; i < n; i++)
                entry_format(&entries[i], now_usec, &text);
        r = text_check(&text, reterr);
        if (r < 0)
                return r;
        r = fdio_write_all(ledger->fd, text_content(&text), text.size, "the ledger", reterr);
        if (r < 0)
                return r;
        /* The size is synced with the data: fdatasync(2) leaves out only the times. */
        if (fdatasync(ledger->fd) < 0)
                return error_set(reterr, errno, "cannot sync the ledger: %m");
        know_entries(ledger, entries, n);
        return 0;
}

/* The value of a key that our writer made; false where the line has none. A quote inside a string
 * is always escaped, so `"key":` cannot be a part of one. */
static bool find_value(const char *line, const char *key, char *ret, size_t size)
{
        char pattern[32];
        const char *start;
        size_t length;

        snprintf(pattern, sizeof pattern, "\"%s\":", key);
        start = strstr(line, pattern);
        if (!start)
                return false;
        start += strlen(pattern);
        start += *start == '"';
        length = strcspn(start, "\",}");
        if (length >= size)
                return false;
        memcpy(ret, start, length);
        ret[length] = '\0';
        return true;
}

static bool has_value(const char *line, const char *key, const char *expected)
{
        char value[POLICY_NAME_MAX + 1];

        return find_value(line, key, value, sizeof value) && strcmp(value, expected) == 0;
}

static bool find_instant(const char *line, const char *key, int64_t *ret_usec)
{
        char value[CLOCK_TEXT_MAX];
        struct tm tm = {0};
        const char *end;

        if (!find_value(line, key, value, sizeof value))
                return false;
        end = strptime(value, "%Y-%m-%dT%H:%M:%SZ", &tm);
        if (!end || *end != '\0')
                return false;
        *ret_usec = (int64_t)timegm(&tm) * USEC_PER_SEC;
        return true;
}

/* Reads to the next newline. *ret_is_ours is false for what is too long, has a NUL (a power cut
 * leaves some) or has no end. Returns false at the end of the file. */
static bool read_line(FILE *file, char line[LEDGER_LINE_MAX], bool *ret_is_ours)
{
        size_t size = 0;
        bool is_plain = true;
        int byte;

        while ((byte = getc_unlocked(file)) != EOF && byte != '\n') {
                is_plain = is_plain && byte != '\0';
                if (size < LEDGER_LINE_MAX)
                        line[size++] = (char)byte;
        }
        *ret_is_ours = byte == '\n' && is_plain && size > 1 && size < LEDGER_LINE_MAX &&
                       line[0] == '{' && line[size - 1] == '}';
        if (*ret_is_ours)
                line[size] = '\0';
        return byte != EOF;
}

/* By an open file of its own, for the other one stands at its end and only appends. The file has no
 * limit, its lines have: it is ours alone, and grows by one line a certificate.
 *
 * Calls visit for every whole line of ours until it returns other than 0, and returns that. */
static int each_line(const Ledger *ledger, int (*visit)(const char *line, void *userdata),
                     void *userdata, Error *reterr)
{
        int fd = openat(ledger->directory_fd, file_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
        char line[LEDGER_LINE_MAX];
        bool is_ours;
        int r = 0;

        if (!file) {
                r = error_set(reterr, errno, "cannot open the ledger %s: %m", file_name);
                closep(&fd);
                return r;
        }
        while (r == 0 && read_line(file, line, &is_ours))
                if (is_ours)
                        r = visit(line, userdata);
        if (r == 0 && ferror(file))
                r = error_set(reterr, EIO, "cannot read the ledger");
        fclose(file);
        return r;
}

static int know_line(const char *line, void *userdata)
{
        char authority[POLICY_NAME_MAX + 1], generation[16];
        bool is_leaf = has_value(line, "event", events[LEDGER_ISSUED]);
        int64_t not_after = INT64_MIN;
        Known *known;

        if (!find_value(line, "authority", authority, sizeof authority) ||
            !find_value(line, "generation", generation, sizeof generation))
                return 0;
        known = known_place(userdata, authority, (uint32_t)strtoul(generation, NULL, 10));
        if (!known)
                return -ENOMEM;
        (void)find_instant(line, "not_after", &not_after);
        summary_add(&known->summary, is_leaf, not_after);
        return 0;
}

static int know_all(Ledger *ledger, Error *reterr)
{
        int r;

        if (ledger->is_read)
                return 0;
        ledger->n_known = 0;
        r = each_line(ledger, know_line, ledger, reterr);
        if (r < 0)
                return r == -ENOMEM ? error_oom(reterr) : r;
        ledger->is_read = true;
        return 0;
}

int ledger_summarize(Ledger *ledger, const char *authority, uint32_t generation, LedgerSummary *ret,
                     Error *reterr)
{
        LedgerSummary sum = {.last_not_after_usec = INT64_MIN};
        int r = know_all(ledger, reterr);

        if (r < 0)
                return r;
        for (size_t i = 0; i < ledger->n_known; i++) {
                const Known *known = &ledger->known[i];

                if (strcmp(known->authority, authority) != 0 ||
                    (generation > 0 && known->generation != generation))
                        continue;
                sum.authorities += known->summary.authorities;
                sum.issued += known->summary.issued;
                if (known->generation > sum.last_generation)
                        sum.last_generation = known->generation;
                if (known->summary.last_not_after_usec > sum.last_not_after_usec)
                        sum.last_not_after_usec = known->summary.last_not_after_usec;
        }
        *ret = sum;
        return 0;
}

typedef struct Search {
        const char *authority;
        const char *serial;
} Search;

static int compare_serial(const char *line, void *userdata)
{
        const Search *search = userdata;

        return has_value(line, "authority", search->authority) &&
               has_value(line, "serial", search->serial);
}

int ledger_knows(Ledger *ledger, const char *authority, const char *serial, Error *reterr)
{
        Search search = {.authority = authority, .serial = serial};

        return each_line(ledger, compare_serial, &search, reterr);
}
