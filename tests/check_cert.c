#include "common/cert.h"

#include "tests/judge.h"

#include <errno.h>

static Error error;

/* Has openssl make a self-signed certificate; options end the command. */
static void openssl_cert(const char *name, const char *options)
{
        int r = judge_run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
                          "-keyout %s.key -out %s.pem %s && "
                          "openssl x509 -in %s.pem -outform DER -out %s.der",
                          name, name, options, name, name);

        ck_assert_msg(r == 0, "%s", judge_output);
}

static Cert *read_cert(const char *name)
{
        _cleanup_(freep) char *der = NULL;
        Cert *cert = NULL;
        size_t size;

        der = judge_read(name, &size);
        ck_assert_msg(cert_parse(der, size, &cert, &error) == 0, "%s", error.text);
        return cert;
}

START_TEST(tells_the_facts_as_openssl_does)
{
        static const char *const serials[] = {"0x1", "0x7fffffffffffffff", "0x80",
                                              "0xA0B1C2D3E4F5061728394A5B6C7D8E9F00112233", "0"};
        _cleanup_(cert_freep) Cert *cert = NULL;
        char options[300], expected[300], hex[2 * CERT_FINGERPRINT + 1] = "", id[48] = "";
        CertFacts facts;

        snprintf(options, sizeof options, "-subj /CN=x -days 1 -set_serial %s", serials[_i]);
        openssl_cert("c", options);
        cert = read_cert("c.der");
        ck_assert_int_eq(cert_facts(cert, &facts, &error), 0);

        ck_assert_int_eq(judge_run("openssl x509 -in c.pem -noout -serial | tr A-Z a-z"), 0);
        snprintf(expected, sizeof expected, "serial=%s\n", facts.serial);
        ck_assert_str_eq(judge_output, expected);

        for (size_t i = 0; i < CERT_FINGERPRINT; i++)
                sprintf(hex + 2 * i, "%02x", facts.sha256[i]);
        ck_assert_int_eq(judge_run("sha256sum <c.der"), 0);
        ck_assert_int_eq(strncmp(judge_output, hex, strlen(hex)), 0);

        for (size_t i = 0; i < CERT_KEY_ID; i++)
                sprintf(id + 2 * i, "%02X", facts.key_id[i]);
        ck_assert_int_eq(
                judge_run("openssl x509 -in c.pem -noout -ext subjectKeyIdentifier | tr -d ': \n'"),
                0);
        ck_assert_msg(strstr(judge_output, id) != NULL, "%s in %s", id, judge_output);
        ck_assert_mem_eq(facts.key_id, facts.issuer_key_id, CERT_KEY_ID);
        ck_assert_int_eq(facts.not_after_usec - facts.not_before_usec, INT64_C(86400000000));
}
END_TEST

START_TEST(reads_instants_of_both_forms)
{
        static const struct {
                const char *start, *end;
                int64_t start_sec, end_sec;
        } times[] = {
                {"500101000000Z", "491231235959Z", -631152000, 2524607999},
                {"20200229120000Z", "20500101000000Z", 1582977600, 2524608000},
                {"20200229120000Z", "99991231235959Z", 1582977600, INT64_C(253402300799)},
        };
        _cleanup_(cert_freep) Cert *cert = NULL;
        char id[2 * CERT_KEY_ID + 1];
        CertFacts facts;

        ck_assert_msg(
                judge_run("openssl req -newkey ed25519 -nodes -keyout k -out r -subj /CN=x && "
                          "touch index && printf '[ca]\\ndefault_ca=a\\n[a]\\ndatabase=index\\n"
                          "rand_serial=yes\\nnew_certs_dir=.\\ndefault_md=default\\npolicy=p\\n"
                          "[p]\\ncommonName=supplied\\n' >cnf && "
                          "openssl ca -batch -config cnf -selfsign -keyfile k -in r -out c.pem "
                          "-startdate %s -enddate %s && "
                          "openssl x509 -in c.pem -outform DER -out c.der",
                          times[_i].start, times[_i].end) == 0,
                "%s", judge_output);
        cert = read_cert("c.der");
        ck_assert_int_eq(cert_facts(cert, &facts, &error), 0);
        ck_assert_int_eq(facts.not_before_usec, times[_i].start_sec * 1000000);
        ck_assert_int_eq(facts.not_after_usec, times[_i].end_sec * 1000000);
        for (size_t i = 0; i < CERT_KEY_ID; i++)
                ck_assert_uint_eq(facts.issuer_key_id[i], 0);
        /* It has no identifier of its own: the key's is OCSP's, too. */
        for (size_t i = 0; i < CERT_KEY_ID; i++)
                snprintf(id + 2 * i, 3, "%02X", facts.key_id[i]);
        ck_assert_int_eq(judge_run("openssl x509 -in c.pem -noout -ocspid"), 0);
        ck_assert_msg(strstr(judge_output, id) != NULL, "%s", judge_output);
}
END_TEST

START_TEST(writes_the_subject_in_its_order)
{
        static const struct {
                const char *written, *expected;
        } subjects[] = {
                {"/C=CN/ST=GD/O=Bytebase/CN=root", "C=CN, ST=GD, O=Bytebase, CN=root"},
                {"/CN=a/O=b", "CN=a, O=b"},
                {"/CN=a, b\\+c", "CN=a\\, b\\+c"},
                {"/CN=\xc3\xbcrich", "CN=\xc3\xbcrich"},
                {"/", ""},
        };
        _cleanup_(cert_freep) Cert *cert = NULL;
        char options[200], subject[100];

        snprintf(options, sizeof options, "-utf8 -subj '%s' -days 1", subjects[_i].written);
        openssl_cert("c", options);
        cert = read_cert("c.der");
        ck_assert_int_eq(cert_subject(cert, subject, sizeof subject, &error), 0);
        ck_assert_str_eq(subject, subjects[_i].expected);
        /* The NUL has to fit too. */
        ck_assert_int_eq(cert_subject(cert, subject, strlen(subjects[_i].expected), &error),
                         -ENOBUFS);
}
END_TEST

START_TEST(knows_the_key_of_a_certificate)
{
        _cleanup_(cert_freep) Cert *cert = NULL;
        _cleanup_(key_freep) Key *own = NULL, *other = NULL, *ed25519 = NULL;
        _cleanup_(freep) char *pem = NULL;
        size_t size;

        openssl_cert("c", "-subj /CN=x -days 1");
        cert = read_cert("c.der");
        pem = judge_read("c.key", &size);
        ck_assert_int_eq(key_parse(pem, size, &own, &error), 0);
        ck_assert_int_eq(key_new(KEY_ECDSA_P256, &other, &error), 0);
        ck_assert_int_eq(key_new(KEY_ED25519, &ed25519, &error), 0);
        ck_assert(cert_has_key(cert, own));
        ck_assert(!cert_has_key(cert, other));
        ck_assert(!cert_has_key(cert, ed25519));
}
END_TEST

START_TEST(refuses_every_torn_certificate)
{
        _cleanup_(freep) char *der = NULL;
        Cert *cert = NULL;
        size_t size;

        openssl_cert("c", "-subj /CN=x -days 1");
        der = judge_read("c.der", &size);
        for (size_t n = 0; n < size; n++)
                ck_assert_int_eq(cert_parse(der, n, &cert, &error), -EINVAL);
        ck_assert_int_eq(cert_parse(der, size + 1, &cert, &error), -EINVAL);
        ck_assert_str_eq(error.text, "bytes follow the certificate");
        ck_assert_ptr_null(cert);
}
END_TEST

START_TEST(reads_lists_of_certificates)
{
        static const struct {
                const char *command;
                int n; /* or the error */
        } lists[] = {
                {"cat a.pem", 1},
                {"cat a.pem b.pem a.pem", 3},
                {"openssl x509 -in a.pem -text; echo '# b'; echo; cat b.pem; echo end", 2},
                {"sed 's/$/\\r/' a.pem b.pem", 2},
                {"printf %s \"$(cat a.pem)\"", 1}, /* no newline at the end */
                {"for i in $(seq 32); do cat a.pem b.pem; done", CERT_CHAIN_MAX},
                {"for i in $(seq 32); do cat a.pem b.pem; done; cat a.pem", -E2BIG},
                {"true", -EINVAL},
                {"echo junk", -EINVAL},
                {"cat a.key", -EINVAL},
                {"cat a.pem a.key", -EINVAL},
                {"cat a.pem; head -3 b.pem", -EINVAL},
                {"head -3 a.pem; cat b.pem", -EINVAL},
                {"cat a.pem; tail -3 b.pem", -EINVAL},
                {"cat a.pem b.pem | sed 's/-----BEGIN/----BEGIN/'", -EINVAL},
                {"cat a.pem; sed 4d b.pem", -EINVAL},
                {"cat a.pem; sed 's/CERTIFICATE/TRUSTED CERTIFICATE/' b.pem", -EINVAL},
                {"head -c 1100000 /dev/zero", -EINVAL},
        };
        _cleanup_(cert_list_done) CertList list = {0};
        FILE *file = NULL;
        _cleanup_(freep) char *pem = calloc(1, 2 * CERT_FILE_MAX);
        char path[100];
        size_t size;
        int r;

        openssl_cert("a", "-subj /CN=a -days 1");
        openssl_cert("b", "-subj /CN=b -days 1");
        ck_assert_int_eq(judge_run("{ %s; } >list", lists[_i].command), 0);
        snprintf(path, sizeof path, "%s/list", judge_directory);
        file = fopen(path, "re");
        size = fread(pem, 1, 2 * CERT_FILE_MAX, file);
        fclose(file);
        error = (Error){0};
        r = cert_list_parse(pem, size, &list, &error);
        ck_assert_msg(r == (lists[_i].n < 0 ? lists[_i].n : 0), "%s: %d %s", lists[_i].command, r,
                      error.text);
        ck_assert_uint_eq(list.n, lists[_i].n < 0 ? 0 : (size_t)lists[_i].n);
}
END_TEST

START_TEST(writes_pem_as_openssl_does)
{
        _cleanup_(cert_freep) Cert *cert = NULL;
        _cleanup_(text_done) Text text = {0};
        _cleanup_(freep) uint8_t *der = NULL;
        _cleanup_(freep) char *pem = NULL;
        char options[100];
        size_t size;

        /* Every length of the last line. */
        for (int length = 1; length < 49; length += 2) {
                snprintf(options, sizeof options, "-subj /CN=%.*s -days 1", length,
                         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
                openssl_cert("c", options);
                cert = cert_free(cert);
                cert = read_cert("c.der");
                free(der);
                ck_assert_int_eq(cert_format(cert, &der, &size, &error), 0);
                text_done(&text);
                cert_add_pem(&text, der, size);
                free(pem);
                pem = judge_read("c.pem", &size);
                ck_assert_str_eq(text_content(&text), pem);
        }
}
END_TEST

START_TEST(digests_as_everybody_does)
{
        static const uint8_t expected[CERT_FINGERPRINT] = {
                0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad}; /* FIPS 180-2 B.1 */
        uint8_t digest[CERT_FINGERPRINT];

        cert_digest("abc", 3, digest);
        ck_assert_mem_eq(digest, expected, sizeof digest);
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("cert");
        TCase *tc = tcase_create("cert");

        tcase_add_checked_fixture(tc, judge_setup, judge_teardown);
        tcase_set_timeout(tc, 60);
        tcase_add_loop_test(tc, tells_the_facts_as_openssl_does, 0, 5);
        tcase_add_loop_test(tc, reads_instants_of_both_forms, 0, 3);
        tcase_add_loop_test(tc, writes_the_subject_in_its_order, 0, 5);
        tcase_add_test(tc, knows_the_key_of_a_certificate);
        tcase_add_test(tc, refuses_every_torn_certificate);
        tcase_add_loop_test(tc, reads_lists_of_certificates, 0, 18);
        tcase_add_test(tc, writes_pem_as_openssl_does);
        tcase_add_test(tc, digests_as_everybody_does);
        suite_add_tcase(s, tc);
        return s;
}

#include "tests/check_main.h"
