/*
 * For unit tests of published sets: stage, fill, publish and look in one call each.
 */
#pragma once

#include "daemon/worker/generation.h"
#include "tests/issuing.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static Policy policy = {.tag = 42};

/* Signs what was staged, and fills it. */
_unused_ static void fill(const PolicyCertificate *certificate, uint32_t number, const uint8_t *csr,
                          size_t size, int64_t from, int64_t to)
{
        Error error = {0};
        Key *public_key = NULL;
        Cert *chain[1], *bundle[] = {issuing.ca};
        CertList chain_list = {chain, 1}, bundle_list = {bundle, 1};

        ck_assert_int_eq(csr_parse(csr, size, certificate->key, &public_key, &error), 0);
        chain[0] = issuing_leaf(public_key, certificate, from, to);
        ck_assert_msg(generation_fill(certificate, number, &chain_list, &bundle_list, &error) == 0,
                      "%s", error.text);
        X509_free(chain[0]);
        key_free(public_key);
}

_unused_ static uint32_t stage(const PolicyCertificate *certificate, bool rekey, int64_t now)
{
        _cleanup_(freep) uint8_t *csr = NULL;
        Error error = {0};
        uint32_t number;
        size_t size;

        ck_assert_msg(generation_stage(certificate, rekey, now, &number, &csr, &size, &error) == 0,
                      "%s", error.text);
        fill(certificate, number, csr, size, now - TEST_DAY, now + 30 * TEST_DAY);
        return number;
}

_unused_ static uint32_t publish(const PolicyCertificate *certificate, bool rekey, int64_t now)
{
        PublishItem item = {.certificate = certificate, .now_usec = now};
        uint32_t number = stage(certificate, rekey, now);

        ck_assert_int_eq(generation_publish(&item, 1, NULL), 0);
        ck_assert_msg(item.error.code == 0, "%s", item.error.text);
        ck_assert_uint_eq(item.generation, number);
        return number;
}

_unused_ static int publish_fails(const PolicyCertificate *certificate, int64_t now,
                                  const char *said)
{
        PublishItem item = {.certificate = certificate, .now_usec = now};

        ck_assert_int_eq(generation_publish(&item, 1, NULL), 0);
        ck_assert_msg(strstr(item.error.text, said) != NULL, "%s", item.error.text);
        return -item.error.code;
}

/* Looks at a set and judges it: 0, or 1 with the digest alone where that is known. */
_unused_ static int observe(const PolicyCertificate *certificate, const uint8_t *known,
                            ObservedSet *ret, uint8_t (**ret_anchors)[CERT_KEY_ID], size_t *ret_n,
                            Error *reterr)
{
        _cleanup_(look_done) Look look;

        look_take(certificate, policy.tag, &look);
        *ret = (ObservedSet){0};
        memcpy(ret->digest, look.digest, sizeof ret->digest);
        if (known && memcmp(known, look.digest, CERT_FINGERPRINT) == 0)
                return 1;
        return generation_judge(&look, ret, ret_anchors, ret_n, reterr);
}

/* Looks, with the answer in `seen` until the next look. */
static ObservedSet seen;

_unused_ static SetState look(const PolicyCertificate *certificate)
{
        uint8_t(*anchors)[CERT_KEY_ID] = NULL;
        Error error = {0};
        size_t n = 0;
        int r;

        free(seen.problem);
        r = observe(certificate, NULL, &seen, &anchors, &n, &error);
        ck_assert_msg(r == 0, "%s", error.text);
        if (seen.state == SET_OURS) {
                ck_assert_uint_eq(n, 1);
                ck_assert_mem_eq(anchors[0], issuing.key_id, CERT_KEY_ID);
        }
        free(anchors);
        return seen.state;
}

_unused_ static struct stat status(const char *name)
{
        char path[JUDGE_COMMAND_MAX];
        struct stat stat;

        snprintf(path, sizeof path, "%s/%s", judge_directory, name);
        ck_assert_msg(lstat(path, &stat) == 0, "%s: %m", path);
        return stat;
}

_unused_ static bool is_there(const char *name)
{
        char path[JUDGE_COMMAND_MAX];

        snprintf(path, sizeof path, "%s/%s", judge_directory, name);
        return access(path, F_OK) == 0;
}
