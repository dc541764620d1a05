#include "daemon/consent.h"

#include "common/fdio.h"
#include "common/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define FILE_NAME "consents"

enum { FILE_MAX = 16 << 20 };

/* Takes one line; what is malformed, or of other objects and places, is no consent. */
static void take_line(char *line, const Policy *policy, Memory *memory)
{
        const char *kind = strsep(&line, " "), *name = line ? strsep(&line, " ") : NULL;
        const PolicyCertificate *certificate;
        const PolicyCluster *cluster;

        if (!line)
                return;
        certificate = policy_find_certificate(policy, name);
        cluster = policy_find_cluster(policy, name);
        if (strcmp(kind, "certificate") == 0 && certificate &&
            strcmp(certificate->directory, line) == 0)
                memory->certificates[certificate - policy->certificates].has_consent = true;
        if (strcmp(kind, "cluster") == 0 && cluster && cluster->configuration &&
            strcmp(cluster->configuration, line) == 0)
                memory->clusters[cluster - policy->clusters].has_consent = true;
}

void consents_load(const char *state_dir, const Policy *policy, Memory *memory)
{
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        _cleanup_(closep) int fd = -1;
        char *rest, *line;

        if (fdio_open_directory(AT_FDCWD, state_dir, &fd, NULL) < 0 ||
            fdio_read(fd, FILE_NAME, FILE_MAX, &bytes, NULL) < 0)
                return;
        rest = (char *)bytes.data;
        while ((line = strsep(&rest, "\n")))
                take_line(line, policy, memory);
}

static void add_line(Text *text, const char *kind, const char *name, const char *place)
{
        /* A place that no line can hold is asked for again after a restart. */
        if (place && !strchr(place, '\n'))
                text_addf(text, "%s %s %s\n", kind, name, place);
}

static void format(const Policy *policy, const Memory *memory, Text *text)
{
        for (size_t i = 0; i < policy->n_certificates; i++)
                if (memory->certificates[i].has_consent)
                        add_line(text, "certificate", policy->certificates[i].name,
                                 policy->certificates[i].directory);
        for (size_t i = 0; i < policy->n_clusters; i++)
                if (memory->clusters[i].has_consent)
                        add_line(text, "cluster", policy->clusters[i].name,
                                 policy->clusters[i].configuration);
}

int consents_save(const char *state_dir, const Policy *policy, const Memory *memory, Error *reterr)
{
        static const FileMode mode = {.mode = 0640, .group = (gid_t)-1};
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        _cleanup_(text_done) Text text = {0};
        _cleanup_(closep) int fd = -1;
        int r = fdio_open_directory(AT_FDCWD, state_dir, &fd, reterr);

        format(policy, memory, &text);
        if (r >= 0)
                r = text_check(&text, reterr);
        if (r < 0)
                return r;
        if (text.size == 0) {
                if (unlinkat(fd, FILE_NAME, 0) < 0 && errno != ENOENT)
                        return error_set(reterr, errno, "cannot remove %s: %m", FILE_NAME);
                return 0;
        }
        if (fdio_read(fd, FILE_NAME, FILE_MAX, &bytes, NULL) == 0 && bytes.size == text.size &&
            memcmp(bytes.data, text.data, text.size) == 0)
                return 0;
        return fdio_replace(fd, FILE_NAME, text.data, text.size, &mode, reterr);
}
