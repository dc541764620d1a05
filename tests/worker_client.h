/*
 * The built pgcertd-worker on a policy of the test's own, and the caller's side of its requests. It
 * never runs as root: where the test does, the program becomes another user.
 *
 *   policy.yaml  mine/  other/  bystander  log
 *
 * The policy gives `server` and `client` (below mine/) and the cluster `main` to that user, and
 * `foreign` (other/) and the cluster `others` to somebody else.
 */
#pragma once

#include "common/observation.h"
#include "tests/issuing.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { CALL_SECONDS = 30 };

static Error error;
static Message *message;
static Policy *policy;
static char policy_path[100], user[64];
static const char *other;
static uid_t uid;
static gid_t gid;
static uint64_t tag;
static pid_t pid;
static int fd = -1;

static const char policy_text[] = "version: 1\n"
                                  "authorities:\n"
                                  "  main:\n"
                                  "    subject: { CN: %s }\n"
                                  "certificates:\n"
                                  "  server: { use: server, authority: main, names: [localhost],\n"
                                  "            directory: %s/mine/server, owner: %s }\n"
                                  "  client: { use: client, authority: main, role: app,\n"
                                  "            directory: %s/mine/client, owner: %s }\n"
                                  "  foreign: { use: server, authority: main, names: [localhost],\n"
                                  "             directory: %s/other, owner: %s }\n"
                                  "clusters:\n"
                                  "  main: { data_directory: %s/data, certificate: server,\n"
                                  "          configuration: %s/mine/pgcertd.conf }\n"
                                  "  others: { data_directory: %s/data2, certificate: foreign,\n"
                                  "            configuration: %s/other/pgcertd.conf }\n";

/* client_owner: whose the client certificate is. */
static void write_policy(const char *ca_name, const char *client_owner)
{
        _cleanup_(text_done) Text text = {0};
        const char *d = judge_directory;
        Errors errors = {0};

        text_addf(&text, policy_text, ca_name, d, user, d, client_owner, d, other, d, d, d, d);
        judge_write("policy.yaml", text.data, text.size);
        ck_assert_int_eq(chmod(policy_path, 0644), 0);
        policy = policy_unref(policy);
        if (policy_load(policy_path, &policy, &errors) < 0)
                ck_abort_msg("%s", errors.items[0].text);
        errors_done(&errors);
        tag = policy->tag;
}

static void start(void)
{
        char program[500], log[200];
        int fds[2];

        snprintf(program, sizeof program, "%s/daemon/pgcertd-worker", getenv("PGCERTD_BUILD"));
        snprintf(log, sizeof log, "%s/log", judge_directory);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
        pid = fork();
        if (pid == 0) {
                if (getuid() == 0 && (setgroups(0, NULL) < 0 || setgid(gid) < 0 || setuid(uid) < 0))
                        _exit(100);
                unsetenv("JOURNAL_STREAM");
                if (dup2(fds[1], 0) < 0 || !freopen(log, "a", stderr))
                        _exit(100);
                execl(program, program, "--policy", policy_path, NULL);
                _exit(100);
        }
        ck_assert_int_gt(pid, 0);
        close(fds[1]);
        fd = fds[0];
}

/* Its exit status once it ended by itself. */
static int await_end(void)
{
        int status;

        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int stop(void)
{
        closep(&fd);
        fd = -1;
        return await_end();
}

static void setup(void)
{
        const struct passwd *account;

        judge_setup();
        issuing_setup_at(clock_realtime());
        account = getuid() != 0 ? getpwuid(getuid()) : getpwnam("postgres");
        if (!account)
                account = getpwnam("nobody");
        ck_assert_ptr_nonnull(account);
        uid = account->pw_uid;
        gid = account->pw_gid;
        snprintf(user, sizeof user, "%s", account->pw_name);
        other = strcmp(user, "daemon") == 0 ? "bin" : "daemon";
        snprintf(policy_path, sizeof policy_path, "%s/policy.yaml", judge_directory);
        ck_assert_int_eq(judge_run("mkdir mine other && echo quiet >bystander"), 0);
        ck_assert(getuid() != 0 || judge_run("chown -R %u:%u .", uid, gid) == 0);
        write_policy("root", user);
        ck_assert_int_eq(message_new(&message, NULL), 0);
        start();
}

static void teardown(void)
{
        closep(&fd);
        message = message_free(message);
        policy = policy_unref(policy);
        issuing_teardown();
        judge_teardown();
}

static int call(WireVerb verb)
{
        error = (Error){0};
        return wire_call(fd, message, verb, clock_boottime() + CALL_SECONDS * USEC_PER_SEC, &error);
}

/* A request that begins with a name. */
static void ask(WireVerb verb, const char *name)
{
        wire_request(message, verb, tag);
        wire_put_text(message, name);
}

/* Stages; the generation, and a leaf for its key that the caller frees. */
static uint32_t stage(const char *name, X509 **ret_leaf)
{
        const PolicyCertificate *certificate = policy_find_certificate(policy, name);
        int64_t now = clock_realtime();
        const uint8_t *csr;
        Key *public_key = NULL;
        uint32_t number;
        size_t size;

        ask(WIRE_STAGE, name);
        wire_put_u8(message, 0);
        ck_assert_msg(call(WIRE_STAGE) == 0, "%s", error.text);
        number = wire_get_u32(message);
        csr = wire_get_bytes(message, WIRE_MESSAGE_MAX, &size);
        ck_assert_int_eq(csr_parse(csr, size, certificate->key, &public_key, &error), 0);
        ck_assert_int_eq(wire_end(message, &error), 0);
        *ret_leaf = issuing_leaf(public_key, certificate, now - TEST_DAY, now + 30 * TEST_DAY);
        key_free(public_key);
        return number;
}

static void put_der(X509 *certificate)
{
        _cleanup_(freep) uint8_t *der = NULL;
        size_t size;

        ck_assert_int_eq(cert_format(certificate, &der, &size, &error), 0);
        wire_put_bytes(message, der, size);
}

/* A FILL without intermediates, for the test's CA. */
static void ask_fill(const char *name, uint32_t number, X509 *leaf)
{
        ask(WIRE_FILL, name);
        wire_put_u32(message, number);
        put_der(leaf);
        wire_put_u8(message, 0);
        wire_put_u8(message, 1);
        put_der(issuing.ca);
}

/* The outcome for one name. */
static int publish(const char *name)
{
        uint32_t code;

        ask(WIRE_PUBLISH, name);
        wire_put_u8(message, 0);
        if (call(WIRE_PUBLISH) < 0)
                return -error.code;
        ck_assert_uint_eq(wire_get_u8(message), 1);
        ck_assert_str_eq(wire_get_text(message, POLICY_NAME_MAX), name);
        code = wire_get_u32(message);
        snprintf(error.text, sizeof error.text, "%s", wire_get_text(message, ERROR_TEXT_MAX));
        return -(int)code;
}

/* A whole rotation of one certificate. */
_unused_ static void rotate(const char *name)
{
        X509 *leaf;
        uint32_t number = stage(name, &leaf);

        ask_fill(name, number, leaf);
        ck_assert_msg(call(WIRE_FILL) == 0, "%s", error.text);
        ck_assert_msg(publish(name) == 0, "%s", error.text);
        X509_free(leaf);
}

/* All names, kinds, modes, owners, link texts and bytes of the test's directory but the log,
 * without what the pattern names. */
_unused_ static void remember(const char *without, char ret[JUDGE_OUTPUT_MAX])
{
        judge_run("find . ! -name log ! -path '%s' -printf '%%p %%y %%m %%u %%l\\n' | sort;"
                  "find . -type f ! -name log ! -path '%s' -exec sha256sum {} + | sort",
                  without, without);
        strcpy(ret, judge_output);
}
