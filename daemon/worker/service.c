#include "daemon/worker/service.h"

#include "daemon/worker/ownfile.h"
#include "daemon/worker/store.h"

#include <string.h>

/* What we write ourselves. libpq takes the first of two lines with one key, so these are left out
 * where the policy has them too. */
static bool is_ours(const char *parameter)
{
        static const char *const names[] = {"user", "sslmode", "sslcert", "sslkey", "sslrootcert"};

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (strcmp(parameter, names[i]) == 0)
                        return true;
        return false;
}

static void add_path(const PolicyCertificate *certificate, uint32_t generation, PolicyFile file,
                     const char *key, Text *text)
{
        char name[STORE_NAME_MAX];

        text_addf(text, "%s=%s/", key, certificate->directory);
        if (certificate->rekey_always)
                text_addf(text, "%s/", store_generation_name(generation, name));
        text_addf(text, "%s\n", certificate->files[file]);
}

void service_format(const PolicyCertificate *certificate, uint32_t generation, Text *text)
{
        const PolicyService *service = certificate->service;

        text_addf(text, "%s\n[%s]\n", OWNFILE_FIRST_LINE, service->name);
        for (size_t i = 0; i < service->n_parameters; i++)
                if (!is_ours(service->parameters[i].type))
                        text_addf(text, "%s=%s\n", service->parameters[i].type,
                                  service->parameters[i].value);
        text_addf(text, "user=%s\nsslmode=verify-full\n", certificate->role);
        add_path(certificate, generation, POLICY_CERTIFICATE, "sslcert", text);
        add_path(certificate, generation, POLICY_KEY, "sslkey", text);
        add_path(certificate, generation, POLICY_TRUST, "sslrootcert", text);
}

ConfigurationState service_observe(int directory_fd, const PolicyCertificate *certificate,
                                   uint32_t generation, char **ret_problem)
{
        _cleanup_(text_done) Text wanted = {0}, path = {0};

        *ret_problem = NULL;
        if (!certificate->service)
                return CONFIGURATION_NONE;
        service_format(certificate, generation, &wanted);
        text_addf(&path, "%s/%s", certificate->directory, certificate->service->file);
        return ownfile_observe(directory_fd, certificate->service->file, &wanted,
                               text_content(&path), certificate->name, ret_problem);
}

static int write_with(int (*write)(int, const char *, const Text *, const char *, const char *,
                                   Error *),
                      int directory_fd, const PolicyCertificate *certificate, uint32_t generation,
                      Error *reterr)
{
        _cleanup_(text_done) Text wanted = {0}, path = {0};

        if (!certificate->service)
                return 0;
        service_format(certificate, generation, &wanted);
        text_addf(&path, "%s/%s", certificate->directory, certificate->service->file);
        return write(directory_fd, certificate->service->file, &wanted, text_content(&path),
                     certificate->name, reterr);
}

int service_write(int directory_fd, const PolicyCertificate *certificate, uint32_t generation,
                  Error *reterr)
{
        return write_with(ownfile_write, directory_fd, certificate, generation, reterr);
}

int service_take(int directory_fd, const PolicyCertificate *certificate, uint32_t generation,
                 Error *reterr)
{
        return write_with(ownfile_take, directory_fd, certificate, generation, reterr);
}
