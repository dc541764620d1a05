#include "daemon/signer/passphrase.h"

#include "common/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static const char name[] = "ca-passphrase";

void passphrase_done(Passphrase *passphrase)
{
        explicit_bzero(passphrase, sizeof *passphrase);
}

static int take(const FileBytes *bytes, Passphrase *ret, Error *reterr)
{
        const char *end = memchr(bytes->data, '\n', bytes->size);
        size_t size = end ? (size_t)(end - (const char *)bytes->data) : bytes->size;

        if (size == 0 || size > PASSPHRASE_MAX || memchr(bytes->data, '\0', size))
                return error_set(reterr, EINVAL,
                                 "the credential %s must begin with a line of 1 to %d bytes", name,
                                 PASSPHRASE_MAX);
        memcpy(ret->text, bytes->data, size);
        ret->text[size] = '\0';
        return 0;
}

int passphrase_load(Passphrase *ret, Error *reterr)
{
        const char *directory = getenv("CREDENTIALS_DIRECTORY");
        _cleanup_(file_bytes_done) FileBytes bytes = {0};
        _cleanup_(closep) int fd = -1;
        int r;

        *ret = (Passphrase){0};
        if (!directory)
                return 0;
        r = fdio_open_directory(AT_FDCWD, directory, &fd, reterr);
        if (r >= 0)
                r = fdio_read(fd, name, PASSPHRASE_MAX * 2, &bytes, reterr);
        if (r == -ENOENT)
                return 0; /* other credentials may be there */
        if (r < 0)
                return error_prefix(reterr, "the credential %s", name);
        r = take(&bytes, ret, reterr);
        return r;
}
