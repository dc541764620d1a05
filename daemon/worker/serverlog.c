#include "daemon/worker/serverlog.h"

#include "common/fdio.h"
#include "daemon/worker/startup.h"

#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { TAIL_MAX = 64 * 1024, CURRENT_MAX = 4096, HINT_MAX = 128 };

/* What to do about a refusal, by a word of it; the first that fits. The settings named are the
 * user's: those of pgcertd's configuration file only change with a publication. */
static const struct {
        const char *word;
        const char *hint;
} hints[] = {
        {"requires a passphrase", "The keys of pgcertd have none: somebody encrypted this one."},
        {"private key file", "Find who changes it, its owner, mode or ACL; pgcertd mends it once."},
        {"revocation list", "Mend ssl_crl_file or ssl_crl_dir, or take it out."},
        {"root certificate file", "Mend the file that ssl_ca_file names."},
        {"cipher suites", "Mend ssl_tls13_ciphers."},
        {"cipher list", "Mend ssl_ciphers: openssl ciphers -v tells what a list means."},
        {"curve", "Mend ssl_ecdh_curve."},
        {"group names", "Mend ssl_groups."},
        {"protocol version", "Mend ssl_min_protocol_version and ssl_max_protocol_version."},
        {"syntax error", "Mend that line; the view pg_file_settings shows every error."},
        {"contains errors", "The view pg_file_settings shows them."},
};

/* Opens a regular file; -1 for anything else. */
static int open_regular(int directory_fd, const char *path)
{
        _cleanup_(closep) int fd =
                openat(directory_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        struct stat stat;

        return fd >= 0 && fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode) ? TAKE_FD(fd) : -1;
}

/* What the collector writes: "stderr log/postgresql-2026-01-31.log", relative to the directory. */
static int open_collected(const char *data_directory)
{
        _cleanup_(closep) int fd = open(data_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        char *rest, *line;

        if (fd < 0 || fdio_read(fd, "current_logfiles", CURRENT_MAX, &bytes, NULL) < 0)
                return -1;
        rest = (char *)bytes.data;
        while ((line = strsep(&rest, "\n")))
                if (strncmp(line, "stderr ", 7) == 0)
                        return open_regular(fd, line + 7);
        return -1;
}

static int open_log(const char *data_directory, const Postmaster *postmaster)
{
        char path[64];
        int fd;

        snprintf(path, sizeof path, "/proc/%ld/fd/2", (long)postmaster->pid);
        fd = open_regular(AT_FDCWD, path);
        return fd >= 0 ? fd : open_collected(data_directory);
}

static bool has_any(const char *line, const char *const *words, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (strstr(line, words[i]))
                        return true;
        return false;
}

/* The reason stands in the line before the result, of the last reload (be-secure-openssl.c,
 * be-secure-common.c, guc-file.l). Details and hints between the two are passed over. */
static const char *find_reason(char *text)
{
        static const char *const reasons[] = {
                "could not load",   "could not access",   "could not set",
                "private key file", "certificate",        "cannot be reloaded",
                "could not create", "unrecognized curve", "syntax error"};
        static const char *const results[] = {"SSL configuration was not reloaded",
                                              "contains errors"};
        const char *before = NULL, *reason = NULL;
        char *line;

        while ((line = strsep(&text, "\n"))) {
                if (strstr(line, "received SIGHUP"))
                        before = reason = NULL;
                else if (has_any(line, results, ELEMENTSOF(results)))
                        reason = before ? before : line;
                else if (has_any(line, reasons, ELEMENTSOF(reasons)) &&
                         !strstr(line, "could not accept") && strstr(line, "LOG:"))
                        before = line;
        }
        return reason;
}

static const char *find_hint(const char *words)
{
        for (size_t i = 0; i < ELEMENTSOF(hints); i++)
                if (strstr(words, hints[i].word))
                        return hints[i].hint;
        return "Look into its log for \"SSL configuration was not reloaded\".";
}

bool serverlog_refusal(const char *data_directory, const Postmaster *postmaster, char *buffer,
                       size_t size)
{
        _cleanup_(closep) int fd = open_log(data_directory, postmaster);
        _cleanup_(freep) char *tail = calloc(1, TAIL_MAX + 1);
        const char *reason, *message;
        off_t end;
        ssize_t n;

        assert(size > HINT_MAX);
        if (fd < 0 || !tail)
                return false;
        end = lseek(fd, 0, SEEK_END);
        n = pread(fd, tail, TAIL_MAX, end > TAIL_MAX ? end - TAIL_MAX : 0);
        if (n <= 0 || memchr(tail, '\0', (size_t)n))
                return false;
        reason = find_reason(tail);
        if (!reason)
                return false;
        message = strstr(reason, "LOG:  ");
        startup_words(message ? message + strlen("LOG:  ") : reason, buffer, size - HINT_MAX);
        n = (ssize_t)strlen(buffer);
        snprintf(buffer + n, size - (size_t)n, " HINT: %s", find_hint(buffer));
        return true;
}
