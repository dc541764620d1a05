/*
 * What the signer makes is judged by openssl; what it must not do is asked of it, and then its
 * files must be as they were.
 */
#include "tests/signer_refusals.h"

#include <sys/un.h>

static const char *const ca_keys[] = {"ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072",
                                      "rsa-4096"};

START_TEST(makes_cas_that_openssl_accepts)
{
        static const char *const signatures[] = {
                "Signature Algorithm: ecdsa-with-SHA256", "Signature Algorithm: ecdsa-with-SHA384",
                "Signature Algorithm: sha256With", "Signature Algorithm: sha256With",
                "Signature Algorithm: sha384With"};
        _cleanup_(authority_done) ObservedAuthority blank = {0}, made = {0}, again = {0};
        const ObservedGeneration *generation;
        char expected[300];

        write_policy(ca_keys[_i]);
        ck_assert_msg(authority("main", 0, &blank) == 0, "%s", error.text);
        ck_assert_uint_eq(blank.n_generations, 0);
        ck_assert_int_ne(judge_run("ls state/ca/main"), 0);

        ck_assert_msg(authority("main", 1, &made) == 0, "%s", error.text);
        ck_assert_uint_eq(made.n_generations, 1);
        generation = &made.generations[0];
        ck_assert_uint_eq(generation->number, 1);
        ck_assert_uint_eq(generation->phase, AUTHORITY_CURRENT);
        snprintf(expected, sizeof expected, "C=CN, ST=GD, O=Bytebase, CN=root G1 %02x%02x%02x%02x",
                 generation->facts.key_id[0], generation->facts.key_id[1],
                 generation->facts.key_id[2], generation->facts.key_id[3]);
        ck_assert_str_eq(generation->subject, expected);

        ck_assert_int_eq(judge_run("cd state/ca/main && openssl verify -x509_strict -CAfile G1.crt "
                                   "G1.crt && openssl x509 -in G1.crt -noout -text"),
                         0);
        expect("G1.crt: OK");
        expect("Version: 3");
        expect("X509v3 Basic Constraints: critical\n                CA:TRUE\n");
        expect("X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign");
        expect("X509v3 Subject Key Identifier:");
        expect("X509v3 Authority Key Identifier:");
        expect(signatures[_i]);
        ck_assert_int_eq(judge_run("cd state/ca/main && ls && stat -c '%%a %%U' . G1.key && "
                                   "head -1 G1.key && openssl pkey -in G1.key -pubout -out k && "
                                   "openssl x509 -in G1.crt -noout -pubkey | cmp - k && rm k"),
                         0);
        snprintf(expected, sizeof expected,
                 "G1.active\nG1.crt\nG1.key\nG1.prepared\n700 %s\n600 %s\n-----BEGIN PRIVATE "
                 "KEY-----\n",
                 user, user);
        ck_assert_str_eq(judge_output, expected);

        ck_assert_int_eq(authority("main", 1, &again), 0);
        ck_assert_uint_eq(again.n_generations, 1);
        ck_assert_mem_eq(&again.generations[0].facts, &generation->facts, sizeof(CertFacts));
        ck_assert_int_eq(stop(), 0);
        ck_assert_int_eq(judge_run("cat state/ledger.jsonl"), 0);
        ck_assert_int_eq(strcspn(judge_output, "\n") + 1, strlen(judge_output));
        expect("\"event\":\"authority\",\"authority\":\"main\",\"generation\":1");
        expect(generation->facts.serial);
}
END_TEST

static const struct {
        const char *name;
        KeyType type;
        const char *usage, *key;
} leaves[] = {
        {"server-ecdsa-p256", KEY_ECDSA_P256, "Digital Signature\n", "prime256v1"},
        {"server-ecdsa-p384", KEY_ECDSA_P384, "Digital Signature\n", "secp384r1"},
        {"server-rsa-2048", KEY_RSA_2048, "Digital Signature, Key Encipherment\n", "(2048 bit)"},
        {"server-ed25519", KEY_ED25519, "Digital Signature\n", "ED25519"},
        {"client-ecdsa-p256", KEY_ECDSA_P256, "Digital Signature\n", "prime256v1"},
        {"client-ecdsa-p384", KEY_ECDSA_P384, "Digital Signature\n", "secp384r1"},
        {"client-rsa-2048", KEY_RSA_2048, "Digital Signature, Key Encipherment\n", "(2048 bit)"},
        {"client-ed25519", KEY_ED25519, "Digital Signature\n", "ED25519"},
};

static void judge_leaf(size_t i, const CertFacts *facts)
{
        bool is_server = strncmp(leaves[i].name, "server", 6) == 0;
        char expected[200];

        ck_assert_msg(judge_run("openssl x509 -inform DER -in leaf.der -out leaf.pem && openssl "
                                "verify -x509_strict -purpose %s -CAfile state/ca/main/G1.crt "
                                "leaf.pem && ! openssl verify -purpose %s -CAfile "
                                "state/ca/main/G1.crt leaf.pem >/dev/null 2>&1",
                                is_server ? "sslserver" : "sslclient",
                                is_server ? "sslclient" : "sslserver") == 0,
                      "%s", judge_output);
        ck_assert_int_eq(judge_run("openssl x509 -in leaf.pem -noout -text; "
                                   "openssl x509 -in leaf.pem -noout -serial | tr A-Z a-z; "
                                   "sha256sum <leaf.der"),
                         0);
        expect("Version: 3");
        expect("X509v3 Basic Constraints: critical\n                CA:FALSE");
        expect("X509v3 Key Usage: critical\n                ");
        expect(leaves[i].usage);
        expect(leaves[i].key);
        expect(is_server ? "Usage: \n                TLS Web Server Authentication\n"
                         : "Usage: \n                TLS Web Client Authentication\n");
        expect(is_server ? "Subject: CN = db.example.com\n" : "Subject: O = Bytebase, CN = app\n");
        if (is_server)
                expect("DNS:db.example.com, DNS:*.example.com, IP Address:192.0.2.10, "
                       "IP Address:2001:DB8:0:0:0:0:0:1\n");
        else
                ck_assert_ptr_null(strstr(judge_output, "Alternative Name"));
        snprintf(expected, sizeof expected, "serial=%s\n", facts->serial);
        expect(expected);
        for (size_t k = 0; k < CERT_FINGERPRINT; k++)
                sprintf(expected + 2 * k, "%02x", facts->sha256[k]);
        expect(expected);
        ck_assert_uint_le(strlen(facts->serial), 16);
}

START_TEST(issues_leaves_that_openssl_accepts)
{
        CertFacts facts;

        ck_assert_int_eq(stop(), 0);
        for (size_t i = 0; i < ELEMENTSOF(leaves); i++)
                prepare_key(leaves[i].type);
        write_policy(ca_keys[_i]);
        start();
        make_authority("main");
        for (size_t i = 0; i < ELEMENTSOF(leaves); i++) {
                int64_t now = clock_realtime();

                ck_assert_msg(issue(leaves[i].name, leaves[i].type, &facts) == 0, "%s", error.text);
                judge_leaf(i, &facts);
                /* 30d and 5min back, in whole seconds. */
                ck_assert_int_eq(facts.not_after_usec - facts.not_before_usec,
                                 (30 * 86400 + 300) * USEC_PER_SEC);
                ck_assert_int_ge(facts.not_before_usec,
                                 now / USEC_PER_SEC * USEC_PER_SEC - 300 * USEC_PER_SEC);
        }
        ck_assert_int_eq(stop(), 0);
        judge_run("grep -c '\"event\":\"issued\",\"authority\":\"main\",\"generation\":1,"
                  "\"certificate\":\"[a-z0-9-]*\",\"use\":' state/ledger.jsonl; cat log");
        expect("8\n");
        ck_assert_ptr_null(strstr(judge_output, "issued"));
}
END_TEST

START_TEST(answers_a_full_batch_item_by_item)
{
        CertFacts facts;
        size_t n_made = 0;

        make_authority("main");
        make_authority("other");
        wire_request(message, WIRE_ISSUE, tag);
        for (size_t i = 0; i < WIRE_BATCH_MAX; i++) {
                static const char *const names[] = {"server-ecdsa-p256", "second", "nobody's",
                                                    "server-ed25519"};

                put_item(names[i % 4], KEY_ECDSA_P256);
        }
        ck_assert_msg(call(WIRE_ISSUE) == 0, "%s", error.text);
        for (size_t i = 0; i < WIRE_BATCH_MAX; i++) {
                static const char *const names[] = {"server-ecdsa-p256", "second", "nobody's",
                                                    "server-ed25519"};
                static const int codes[] = {0, 0, -ENOENT, -EINVAL};

                ck_assert_int_eq(get_item(names[i % 4], &facts), codes[i % 4]);
                n_made += codes[i % 4] == 0;
        }
        ck_assert_int_eq(wire_end(message, NULL), 0);
        ck_assert_int_eq(stop(), 0);
        ck_assert_uint_eq(n_made, 12);
        judge_run("grep -c '\"issued\"' state/ledger.jsonl; cat log");
        expect("12\n");
        expect("refused to issue nobody's: the policy has no certificate nobody's");
        expect("refused to issue server-ed25519: the request: the key is not of type ed25519");
}
END_TEST

START_TEST(refuses_what_is_malformed_or_not_granted)
{
        static char before[JUDGE_OUTPUT_MAX], after[JUDGE_OUTPUT_MAX];
        CertFacts facts;

        make_authority("main");
        remember_state(before);
        refusals[_i].ask();
        ck_assert_int_eq(call(refusals[_i].verb), refusals[_i].code);
        ck_assert_int_ne(error.text[0], '\0');
        remember_state(after);
        ck_assert_str_eq(before, after);
        /* And it goes on as if nothing had been. */
        ck_assert_msg(issue("server-ed25519", KEY_ED25519, &facts) == 0, "%s", error.text);
        ck_assert_int_eq(stop(), 0);
}
END_TEST

static const struct {
        const char *name;
        KeyType type;
        int code;
        size_t cut, turn, extra; /* bytes off the end, a byte to turn, bytes added */
} items[] = {
        {"server-ed25519", KEY_ED25519, -EINVAL, 1, 0, 0},
        {"server-ed25519", KEY_ED25519, -EINVAL, 1000, 0, 0},
        {"server-ed25519", KEY_ED25519, -EINVAL, 0, 0, 1},
        {"server-ed25519", KEY_ED25519, -EBADMSG, 0, 1, 0},
        {"server-ed25519", KEY_ED25519, -EINVAL, 0, 10000, 0},
        {"server-ed25519", KEY_ECDSA_P256, -EINVAL, 0, 0, 0},
        {"server-ecdsa-p256", KEY_ECDSA_P384, -EINVAL, 0, 0, 0},
        {"server-rsa-2048", KEY_RSA_3072, -EINVAL, 0, 0, 0},
        {"second", KEY_ECDSA_P256, -ENOENT, 0, 0, 0}, /* its CA was never made */
        {"main", KEY_ECDSA_P256, -ENOENT, 0, 0, 0},
        {"", KEY_ECDSA_P256, -ENOENT, 0, 0, 0},
        {"../main", KEY_ECDSA_P256, -ENOENT, 0, 0, 0},
};

START_TEST(refuses_items_that_are_not_granted)
{
        static char before[JUDGE_OUTPUT_MAX], after[JUDGE_OUTPUT_MAX];
        _cleanup_(freep) uint8_t *csr = NULL;
        uint8_t bytes[CSR_MAX] = {0};
        CertFacts facts;
        size_t size;

        ck_assert_int_eq(stop(), 0);
        prepare_key(items[_i].type);
        ck_assert_int_eq(csr_format(keys[items[_i].type], &csr, &size, NULL), 0);
        start();
        make_authority("main");
        remember_state(before);
        memcpy(bytes, csr, size);
        if (items[_i].turn > 0)
                bytes[items[_i].turn > size ? 0 : size - items[_i].turn] ^= 1;
        size = items[_i].cut > size ? 0 : size - items[_i].cut + items[_i].extra;
        wire_request(message, WIRE_ISSUE, tag);
        wire_put_text(message, items[_i].name);
        wire_put_bytes(message, bytes, size);
        ck_assert_int_eq(call(WIRE_ISSUE), 0);
        ck_assert_int_eq(get_item(items[_i].name, &facts), items[_i].code);
        remember_state(after);
        ck_assert_str_eq(before, after);
        ck_assert_int_eq(stop(), 0);
}
END_TEST

START_TEST(follows_the_policy_file)
{
        ObservedAuthority observed = {0};
        CertFacts facts;
        uint64_t old = tag;

        make_authority("main");
        write_policy("ecdsa-p384");
        ck_assert_uint_ne(old, tag);
        ck_assert_msg(issue("server-ed25519", KEY_ED25519, &facts) == 0, "%s", error.text);
        ck_assert_int_eq(judge_run("echo 'nonsense: 1' >>policy.yaml"), 0);
        ck_assert_int_eq(policy_tag(policy_path, &tag, &error), 0);
        ck_assert_int_eq(authority("main", 0, &observed), -EINVAL);
        ck_assert_ptr_nonnull(strstr(error.text, "nonsense"));
        ck_assert_int_eq(stop(), 0);
}
END_TEST

/* A caller that goes on asking with the old tag does not keep the old policy alive. */
START_TEST(forgets_a_policy_that_is_gone)
{
        uint64_t old = tag;
        int r = 0;

        make_authority("main");
        write_policy("ecdsa-p384");
        tag = old;
        for (int64_t begin = clock_boottime(); clock_boottime() < begin + 2 * USEC_PER_SEC;) {
                ObservedAuthority observed = {0};

                r = authority("main", 0, &observed);
                authority_done(&observed);
                if (r < 0)
                        break;
                poll(NULL, 0, 50);
        }
        ck_assert_int_eq(r, -ESTALE);
        ck_assert_int_eq(stop(), 0);
}
END_TEST

START_TEST(serves_the_socket_that_it_is_handed)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        char script[1000];
        int listening;

        ck_assert_int_eq(stop(), 0);
        listening = socket(AF_UNIX, SOCK_SEQPACKET, 0);
        snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", judge_directory);
        ck_assert_int_eq(bind(listening, (struct sockaddr *)&address, sizeof address), 0);
        ck_assert_int_eq(listen(listening, 5), 0);
        /* What systemd does: the socket is descriptor 3, the process is told its own pid. */
        snprintf(script, sizeof script,
                 "#!/bin/sh\nexec 3<&%d; LISTEN_FDS=1 LISTEN_PID=$$ exec "
                 "%s/daemon/pgcertd-signer \"$@\"\n",
                 listening, getenv("PGCERTD_BUILD"));
        start_script("handed", script);
        for (int i = 0; i < 2; i++) {
                close(fd);
                fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
                ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
                make_authority("main");
        }
        ck_assert_int_eq(stop(), 0);
}
END_TEST

START_TEST(says_who_holds_the_state)
{
        pid_t first = pid;
        int first_fd = fd, status;
        char expected[200];

        make_authority("main");
        start();
        /* The first is kept busy, or it would end. */
        while (waitpid(pid, &status, WNOHANG) == 0) {
                int second_fd = fd;

                fd = first_fd;
                make_authority("main");
                fd = second_fd;
                poll(NULL, 0, 100);
        }
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
        snprintf(expected, sizeof expected,
                 "another pgcertd-signer: process %d holds the lock on %s/lock", (int)first,
                 state_path);
        judge_run("cat log");
        expect(expected);
        pid = first;
        fd = first_fd;
        ck_assert_int_eq(stop(), 0);
}
END_TEST

START_TEST(does_not_run_as_root)
{
        int status;

        ck_assert_int_eq(stop(), 0);
        if (getuid() != 0)
                return;
        uid = 0;
        gid = 0;
        start();
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
        judge_run("cat log");
        expect("does not run as root");
}
END_TEST

START_TEST(ends_when_idle)
{
        int64_t begin;
        int status;

        make_authority("main");
        begin = clock_boottime();
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        ck_assert_int_ge(clock_boottime() - begin, USEC_PER_SEC / 2);
}
END_TEST

START_TEST(guards_its_memory)
{
        char path[64];
        struct stat stat_buffer;

        make_authority("main");
        ck_assert_int_eq(judge_run("grep 'Max core file size' /proc/%d/limits", (int)pid), 0);
        expect("Max core file size        0                    0 ");
        /* Not dumpable: its files in /proc are root's, so its user cannot read its memory. */
        snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
        ck_assert_int_eq(stat(path, &stat_buffer), 0);
        ck_assert_uint_eq(stat_buffer.st_uid, 0);
        ck_assert_int_eq(stop(), 0);
}
END_TEST

static Suite *suite(void)
{
        Suite *s = suite_create("signer");
        TCase *tc = tcase_create("signer");

        tcase_add_checked_fixture(tc, setup, teardown);
        tcase_set_timeout(tc, 100);
        tcase_add_loop_test(tc, makes_cas_that_openssl_accepts, 0, ELEMENTSOF(ca_keys));
        tcase_add_loop_test(tc, issues_leaves_that_openssl_accepts, 0, ELEMENTSOF(ca_keys));
        tcase_add_test(tc, answers_a_full_batch_item_by_item);
        tcase_add_loop_test(tc, refuses_what_is_malformed_or_not_granted, 0, ELEMENTSOF(refusals));
        tcase_add_loop_test(tc, refuses_items_that_are_not_granted, 0, ELEMENTSOF(items));
        tcase_add_test(tc, follows_the_policy_file);
        tcase_add_test(tc, forgets_a_policy_that_is_gone);
        tcase_add_test(tc, serves_the_socket_that_it_is_handed);
        tcase_add_test(tc, says_who_holds_the_state);
        tcase_add_test(tc, does_not_run_as_root);
        tcase_add_test(tc, ends_when_idle);
        tcase_add_test(tc, guards_its_memory);
        suite_add_tcase(s, tc);
        return s;
}

#include "tests/check_main.h"
