/*
 * The built pgcertd-signer with a state directory and a policy of its own, and the caller's side of
 * its requests. It never runs as root: where the test does, the program becomes another user.
 */
#pragma once

#include "common/clock.h"
#include "common/csr.h"
#include "common/observation.h"

#include "tests/judge.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { CALL_SECONDS = 30 };

static Error error;
static Message *message;
static char policy_path[100], state_path[100], user[64];
static uid_t uid;
static gid_t gid;
static uint64_t tag;
static pid_t pid;
static int fd;
static Key *keys[KEY_TYPE_COUNT];

/* Leaves: %s is the CA's key, then the user four times. */
static const char policy_text[] = "version: 1\n"
                                  "authorities:\n"
                                  "  main:\n"
                                  "    subject: { C: CN, ST: GD, O: Bytebase, CN: root }\n"
                                  "    key: %s\n"
                                  "  other:\n"
                                  "    subject: { O: Other, CN: other }\n"
                                  "certificates:\n";

/* For suite(), before any test: one that needs strace and cannot have it counts as skipped. */
_unused_ static void skip_without_strace(void)
{
        if (system("strace -qq -o /dev/null -e inject=write:signal=KILL:when=100 true "
                   "2>/dev/null") == 0)
                return;
        puts("1..0 # SKIP no strace, or it must not trace here");
        exit(0);
}

static void write_policy(const char *ca_key)
{
        static const char *const types[] = {"ecdsa-p256", "ecdsa-p384", "rsa-2048", "ed25519"};
        _cleanup_(text_done) Text text = {0};

        text_addf(&text, policy_text, ca_key);
        for (unsigned i = 0; i < ELEMENTSOF(types); i++)
                text_addf(
                        &text,
                        "  server-%s:\n    use: server\n    authority: main\n"
                        "    names: [db.example.com, '*.example.com', 192.0.2.10, '2001:db8::1']\n"
                        "    key: %s\n    directory: %s/server-%s\n    owner: %s\n"
                        "  client-%s:\n    use: client\n    authority: main\n    role: app\n"
                        "    subject: { O: Bytebase }\n"
                        "    key: %s\n    directory: %s/client-%s\n    owner: %s\n",
                        types[i], types[i], judge_directory, types[i], user, types[i], types[i],
                        judge_directory, types[i], user);
        text_addf(&text,
                  "  second:\n    use: client\n    authority: other\n    role: app\n"
                  "    directory: %s/second\n    owner: %s\n",
                  judge_directory, user);
        judge_write("policy.yaml", text.data, text.size);
        ck_assert_int_eq(chmod(policy_path, 0644), 0);
        ck_assert_msg(policy_tag(policy_path, &tag, &error) == 0, "%s", error.text);
}

/* In the child: nothing of it runs as root. */
static void become_user(void)
{
        if (getuid() == 0 && (setgroups(0, NULL) < 0 || setgid(gid) < 0 || setuid(uid) < 0))
                _exit(100);
}

static void start_program(const char *program)
{
        char log[200];
        int fds[2];

        snprintf(log, sizeof log, "%s/log", judge_directory);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
        pid = fork();
        if (pid == 0) {
                become_user();
                unsetenv("JOURNAL_STREAM");
                if (dup2(fds[1], 0) < 0 || !freopen(log, "a", stderr))
                        _exit(100);
                execl(program, program, "--policy", policy_path, "--state-dir", state_path, NULL);
                _exit(100);
        }
        ck_assert_int_gt(pid, 0);
        close(fds[1]);
        fd = fds[0];
}

/* Starts a script in the program's place. */
_unused_ static void start_script(const char *name, const char *script)
{
        char path[200];

        judge_write(name, script, strlen(script));
        snprintf(path, sizeof path, "%s/%s", judge_directory, name);
        ck_assert_int_eq(chmod(path, 0755), 0);
        start_program(path);
}

static void start(void)
{
        char program[500];

        snprintf(program, sizeof program, "%s/daemon/pgcertd-signer", getenv("PGCERTD_BUILD"));
        start_program(program);
}

/* Made once. RSA takes so long that the signer would end: prepare such a key before it starts. */
static void prepare_key(KeyType type)
{
        if (!keys[type])
                ck_assert_int_eq(key_new(type, &keys[type], NULL), 0);
}

static int stop(void)
{
        int status;

        close(fd);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void setup(void)
{
        const struct passwd *account;

        judge_setup();
        account = getuid() != 0 ? getpwuid(getuid()) : getpwnam("postgres");
        if (!account)
                account = getpwnam("nobody");
        ck_assert_ptr_nonnull(account);
        uid = account->pw_uid;
        gid = account->pw_gid;
        snprintf(user, sizeof user, "%s", account->pw_name);
        ck_assert(getuid() != 0 || chown(judge_directory, uid, gid) == 0);
        snprintf(policy_path, sizeof policy_path, "%s/policy.yaml", judge_directory);
        snprintf(state_path, sizeof state_path, "%s/state", judge_directory);
        write_policy("ecdsa-p256");
        ck_assert_int_eq(message_new(&message, NULL), 0);
        start();
}

static void teardown(void)
{
        message = message_free(message);
        for (size_t i = 0; i < KEY_TYPE_COUNT; i++)
                keys[i] = key_free(keys[i]);
        judge_teardown();
}

static int call(WireVerb verb)
{
        error = (Error){0};
        return wire_call(fd, message, verb, clock_boottime() + CALL_SECONDS * USEC_PER_SEC, &error);
}

_unused_ static int authority(const char *name, uint8_t make, ObservedAuthority *ret)
{
        int r;

        wire_request(message, WIRE_AUTHORITY, tag);
        wire_put_text(message, name);
        wire_put_u8(message, make);
        wire_put_u8(message, 0);
        r = call(WIRE_AUTHORITY);
        if (r < 0)
                return r;
        ck_assert_int_eq(authority_get(message, ret, &error), 0);
        ck_assert_int_eq(wire_end(message, &error), 0);
        return 0;
}

_unused_ static void make_authority(const char *name)
{
        _cleanup_(authority_done) ObservedAuthority observed = {0};

        ck_assert_msg(authority(name, 1, &observed) == 0, "%s", error.text);
        ck_assert_uint_eq(observed.n_generations, 1);
}

_unused_ static void put_item(const char *name, KeyType type)
{
        _cleanup_(freep) uint8_t *csr = NULL;
        size_t size;

        prepare_key(type);
        ck_assert_int_eq(csr_format(keys[type], &csr, &size, NULL), 0);
        wire_put_text(message, name);
        wire_put_bytes(message, csr, size);
}

/* Reads one outcome; where there is a leaf it becomes leaf.der. Returns the code. */
_unused_ static int get_item(const char *name, CertFacts *ret_facts)
{
        const uint8_t *der;
        size_t size;
        uint32_t code;

        ck_assert_str_eq(wire_get_text(message, POLICY_NAME_MAX), name);
        code = wire_get_u32(message);
        snprintf(error.text, sizeof error.text, "%s", wire_get_text(message, ERROR_TEXT_MAX));
        der = wire_get_bytes(message, WIRE_MESSAGE_MAX, &size);
        authority_get_facts(message, ret_facts);
        ck_assert_int_eq(size == 0, code != 0);
        ck_assert_int_eq(error.text[0] == '\0', code == 0);
        if (code == 0)
                judge_write("leaf.der", der, size);
        return -(int)code;
}

_unused_ static int issue(const char *name, KeyType type, CertFacts *ret_facts)
{
        int r;

        wire_request(message, WIRE_ISSUE, tag);
        put_item(name, type);
        r = call(WIRE_ISSUE);
        if (r < 0)
                return r;
        r = get_item(name, ret_facts);
        ck_assert_int_eq(wire_end(message, NULL), 0);
        return r;
}

_unused_ static void expect(const char *text)
{
        ck_assert_msg(strstr(judge_output, text) != NULL, "no \"%s\" in:\n%s", text, judge_output);
}

/* All names, modes and bytes below the state directory but the lock's. */
_unused_ static void remember_state(char ret[JUDGE_OUTPUT_MAX])
{
        judge_run("find state ! -name lock -printf '%%p %%m %%u\\n' | sort;"
                  "find state -type f ! -name lock -exec sha256sum {} + | sort");
        strcpy(ret, judge_output);
}
