#include "daemon/worker/manifest.h"

#include "common/clock.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <time.h>

static const char *const file_keys[POLICY_FILES] = {
        [POLICY_CERTIFICATE] = "chain", [POLICY_KEY] = "key", [POLICY_TRUST] = "trust"};

#define FORMER "former-"

void manifest_done(Manifest *manifest)
{
        for (size_t i = 0; i < POLICY_FILES; i++) {
                free(manifest->files[i]);
                free(manifest->former[i]);
        }
        *manifest = (Manifest){0};
}

const char *manifest_former(const Manifest *before, const PolicyCertificate *certificate,
                            PolicyFile file)
{
        const char *name = before->files[file];

        if (!name || strcmp(name, certificate->files[file]) == 0)
                name = before->former[file];
        for (size_t i = 0; i < POLICY_FILES && name; i++)
                if (strcmp(name, certificate->files[i]) == 0)
                        name = NULL;
        return name;
}

void manifest_format(const PolicyCertificate *certificate, const Manifest *before,
                     int64_t key_made_usec, Text *text)
{
        static const PolicyFile order[] = {POLICY_KEY, POLICY_CERTIFICATE, POLICY_TRUST};
        char time[CLOCK_TEXT_MAX];

        text_addf(text, "%s\ncertificate %s\nkey-made %s\n", MANIFEST_FIRST_LINE, certificate->name,
                  clock_format(key_made_usec, time));
        for (size_t i = 0; i < ELEMENTSOF(order); i++)
                text_addf(text, "%s %s\n", file_keys[order[i]], certificate->files[order[i]]);
        for (size_t i = 0; i < ELEMENTSOF(order); i++) {
                const char *former = manifest_former(before, certificate, order[i]);

                if (former)
                        text_addf(text, FORMER "%s %s\n", file_keys[order[i]], former);
        }
}

static int64_t parse_time(const char *text)
{
        struct tm tm = {0};
        const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);

        return end && *end == '\0' ? (int64_t)timegm(&tm) * USEC_PER_SEC : 0;
}

static bool is_plain_name(const char *name)
{
        return name[0] != '\0' && strlen(name) <= NAME_MAX && !strchr(name, '/') &&
               strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int parse_line(char *line, Manifest *manifest, Error *reterr)
{
        char *value = strchr(line, ' ');

        if (!value)
                return 0;
        *value++ = '\0';
        if (strcmp(line, "key-made") == 0)
                manifest->key_made_usec = parse_time(value);
        if (strcmp(line, "adopted") == 0)
                manifest->is_adopted = strcmp(value, "yes") == 0;
        if (!is_plain_name(value))
                return 0;
        for (size_t i = 0; i < POLICY_FILES; i++) {
                bool is_former = strncmp(line, FORMER, strlen(FORMER)) == 0;
                char **place = is_former ? &manifest->former[i] : &manifest->files[i];

                if (strcmp(line + (is_former ? strlen(FORMER) : 0), file_keys[i]) != 0 || *place)
                        continue;
                *place = strdup(value);
                if (!*place)
                        return error_oom(reterr);
        }
        return 0;
}

int manifest_parse(const void *data, size_t size, Manifest *ret, Error *reterr)
{
        _cleanup_(manifest_done) Manifest manifest = {0};
        _cleanup_(freep) char *copy = strndup(data ? data : "", size);
        char *rest = copy, *line;
        int r = 0;

        if (!copy)
                return error_oom(reterr);
        line = strsep(&rest, "\n");
        if (!rest || strcmp(line, MANIFEST_FIRST_LINE) != 0)
                return error_set(reterr, EINVAL, "the manifest is not one of pgcertd's");
        for (unsigned i = 0; i < MANIFEST_LINES_MAX && rest && r == 0; i++)
                r = parse_line(strsep(&rest, "\n"), &manifest, reterr);
        if (r < 0)
                return r;
        *ret = manifest;
        manifest = (Manifest){0};
        return 0;
}

int manifest_load(int generation_fd, Manifest *ret, FileBytes *ret_bytes, Error *reterr)
{
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        int r = fdio_read(generation_fd, MANIFEST_NAME, MANIFEST_MAX, &bytes, reterr);

        if (r == 0)
                r = manifest_parse(bytes.data, bytes.size, ret, reterr);
        if (r < 0)
                return r;
        if (ret_bytes) {
                *ret_bytes = bytes;
                bytes = (FileBytes){0};
        }
        return 0;
}
