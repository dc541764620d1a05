#include "daemon/worker/configuration.h"

#include "daemon/worker/ownfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* NOLINTNEXTLINE(misc-redundant-expression): they are to be the same, wherever they come from. */
_Static_assert(sizeof CONFIGURATION_FIRST_LINE == sizeof OWNFILE_FIRST_LINE, "one first line");

static void add_escaped(const char *value, Text *text)
{
        for (const char *p = value; *p; p++) {
                if (*p == '\'' || *p == '\\')
                        text_add_bytes(text, p, 1);
                text_add_bytes(text, p, 1);
        }
}

static void add_path(const PolicyCertificate *certificate, PolicyFile file, const char *setting,
                     Text *text)
{
        text_addf(text, "%s = '", setting);
        add_escaped(certificate->directory, text);
        text_add(text, "/");
        add_escaped(certificate->files[file], text);
        text_add(text, "'\n");
}

void configuration_format(const PolicyCluster *cluster, Text *text)
{
        text_add(text, CONFIGURATION_FIRST_LINE "\nssl = on\n");
        add_path(cluster->certificate, POLICY_CERTIFICATE, "ssl_cert_file", text);
        add_path(cluster->certificate, POLICY_KEY, "ssl_key_file", text);
        if (cluster->asks_client_certificates)
                add_path(cluster->certificate, POLICY_TRUST, "ssl_ca_file", text);
        else
                text_add(text, "ssl_ca_file = ''\n");
}

/* The file's directory, and its name in it. Links on the way are the administrator's. */
static int open_place(const PolicyCluster *cluster, int *ret_fd, const char **ret_name,
                      Error *reterr)
{
        const char *slash = strrchr(cluster->configuration, '/');
        _cleanup_(freep) char *directory = NULL;
        int fd;

        if (!slash)
                return error_set(reterr, EINVAL, "%s is not an absolute path",
                                 cluster->configuration);
        directory = strndup(
                cluster->configuration,
                slash == cluster->configuration ? 1 : (size_t)(slash - cluster->configuration));
        if (!directory)
                return error_oom(reterr);
        fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT)
                return error_set(reterr, ENOENT,
                                 "the directory %s does not exist HINT: Create it, owned by the "
                                 "database's user.",
                                 directory);
        if (fd < 0)
                return error_set(reterr, errno, "cannot open the directory %s: %m", directory);
        *ret_fd = fd;
        *ret_name = slash + 1;
        return 0;
}

ConfigurationState configuration_observe(const PolicyCluster *cluster, char **ret_problem)
{
        _cleanup_(text_done) Text wanted = {0};
        _cleanup_(closep) int fd = -1;
        const char *name;
        Error error;
        int r;

        *ret_problem = NULL;
        if (!cluster->configuration)
                return CONFIGURATION_NONE;
        r = open_place(cluster, &fd, &name, &error);
        if (r < 0) {
                *ret_problem = strdup(error.text);
                return r == -ENOENT ? CONFIGURATION_ABSENT : CONFIGURATION_FOREIGN;
        }
        configuration_format(cluster, &wanted);
        return ownfile_observe(fd, name, &wanted, cluster->configuration, cluster->name,
                               ret_problem);
}

int configuration_write(const PolicyCluster *cluster, bool is_consented, Error *reterr)
{
        _cleanup_(text_done) Text wanted = {0};
        _cleanup_(closep) int fd = -1;
        const char *name;
        int r;

        if (!cluster->configuration)
                return 0;
        r = open_place(cluster, &fd, &name, reterr);
        if (r < 0)
                return r;
        configuration_format(cluster, &wanted);
        return (is_consented ? ownfile_take : ownfile_write)(
                fd, name, &wanted, cluster->configuration, cluster->name, reterr);
}

int configuration_remove(const PolicyCluster *cluster, Error *reterr)
{
        _cleanup_(closep) int fd = -1;
        const char *name = NULL;
        int r;

        if (!cluster->configuration)
                return 0;
        r = open_place(cluster, &fd, &name, reterr);
        if (r == -ENOENT)
                return 0;
        return r < 0 ? r : ownfile_remove(fd, name, cluster->configuration, reterr);
}
