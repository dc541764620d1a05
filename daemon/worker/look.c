#include "daemon/worker/look.h"

#include "daemon/worker/adoption.h"
#include "daemon/worker/service.h"

#include <errno.h>
#include <string.h>

enum { LOOK_KEY_MAX = 65536 };

void look_done(Look *look)
{
        store_done(&look->store);
        for (size_t i = 0; i < POLICY_FILES; i++)
                file_bytes_done(&look->files[i]);
        free(look->service_problem);
        *look = LOOK_EMPTY;
}

/* Marks below current are of the past and are not told. */
static uint32_t find_refused(const Store *store)
{
        for (size_t i = store->n_numbers; i > 0; i--) {
                uint32_t number = store->numbers[i - 1];

                if (store->has_current && number < store->current)
                        break;
                if (store_is_refused(store, number))
                        return number;
        }
        return 0;
}

static void look_at_files(Look *look)
{
        const Store *store = &look->store;

        if (store->state == SET_FOREIGN)
                adoption_read(store, look->files, look->codes);
        for (PolicyFile i = 0;
             i < POLICY_FILES && store->state != SET_FOREIGN && store->current_fd >= 0; i++)
                look->codes[i] = fdio_read(store->current_fd, store->certificate->files[i],
                                           i == POLICY_KEY ? LOOK_KEY_MAX : CERT_FILE_MAX,
                                           &look->files[i], NULL);
        look->service = (uint8_t)service_observe(store->fd, store->certificate, store->current,
                                                 &look->service_problem);
        look->refused = find_refused(store);
}

/* What the digest is made of: everything that a judgement can depend on. It holds digests of files,
 * so that no buffer but the file's own ever holds the key. */
typedef struct Seen {
        uint64_t tag;
        int64_t key_made_usec;
        uint32_t names;
        uint32_t current;
        uint32_t refused;
        int32_t error;
        uint8_t state;
        uint8_t has_current;
        uint8_t is_adopted;
        uint8_t service;
        uint8_t problem[CERT_FINGERPRINT];
        uint8_t service_problem[CERT_FINGERPRINT];
        struct {
                int32_t code;
                uint32_t mode, uid, gid;
                uint8_t digest[CERT_FINGERPRINT];
        } files[POLICY_FILES];
} Seen;

static void see_files(const Look *look, Seen *seen)
{
        for (size_t i = 0; i < POLICY_FILES; i++) {
                const FileBytes *file = &look->files[i];

                seen->files[i].code = look->codes[i];
                seen->files[i].mode = file->stat.st_mode;
                seen->files[i].uid = file->stat.st_uid;
                seen->files[i].gid = file->stat.st_gid;
                if (file->data)
                        cert_digest(file->data, file->size, seen->files[i].digest);
        }
}

/* Nothing, which is the rule, is zeros. */
static void see_text(const char *text, uint8_t ret[CERT_FINGERPRINT])
{
        if (text[0])
                cert_digest(text, strlen(text), ret);
}

static void digest(Look *look, uint64_t tag)
{
        const Store *store = &look->store;
        const char *problem = look->error.code ? look->error.text : store->problem.text;
        Seen seen;

        /* The padding counts too. */
        memset(&seen, 0, sizeof seen);
        seen.tag = tag;
        seen.error = look->error.code;
        seen.key_made_usec = store->manifest.key_made_usec;
        seen.names = store->names;
        seen.current = store->current;
        seen.refused = look->refused;
        seen.state = store->state;
        seen.has_current = store->has_current;
        seen.is_adopted = store->manifest.is_adopted;
        seen.service = look->service;
        see_text(problem, seen.problem);
        see_text(look->service_problem ? look->service_problem : "", seen.service_problem);
        see_files(look, &seen);
        cert_digest(&seen, sizeof seen, look->digest);
}

void look_take(const PolicyCertificate *certificate, uint64_t tag, Look *ret)
{
        *ret = LOOK_EMPTY;
        if (store_open(certificate, STORE_LOOK, &ret->store, &ret->error) == 0)
                look_at_files(ret);
        digest(ret, tag);
}
