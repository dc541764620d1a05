/*
 * pgcertd-signer: holds the keys of the CAs and turns (certificate name, CSR) into a certificate as
 * its own reading of the policy has it. It answers a few requests and nothing else, it signs no
 * bytes that it is handed, and whoever asks can only get what the policy grants already, and no
 * step of a rollover before its time.
 */
#include "common/clock.h"
#include "common/events.h"
#include "common/log.h"
#include "common/program.h"
#include "daemon/signer/issue.h"
#include "daemon/signer/making.h"
#include "daemon/signer/statement.h"
#include "daemon/signer/turn.h"
#include "daemon/signer/vault.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef struct Signer {
        Program program;
        Vault vault;
} Signer;

static void tell_refusal(const char *request, const char *name, const Error *error)
{
        log_plain(LOG_WARNING, "refused to %s %s: %s", request, name, error->text);
}

static void signer_close(Signer *signer)
{
        vault_close(&signer->vault);
        program_done(&signer->program);
}

static int signer_open(Signer *signer, bool make, Error *reterr)
{
        return vault_open(&signer->vault, signer->program.state_dir, make, reterr);
}

/* What was done to a generation. pgcertd tells most of it to whoever reads the journal; not twice.
 */
static void tell_deed(int priority, const char *event, const char *what, const char *authority,
                      const ObservedGeneration *generation)
{
        char until[CLOCK_TEXT_MAX];
        const LogField fields[] = {
                {"PGCERTD_AUTHORITY", authority},
                {"PGCERTD_SUBJECT", generation->subject},
                {"PGCERTD_SERIAL", generation->facts.serial},
                {"PGCERTD_NOT_AFTER", clock_format(generation->facts.not_after_usec, until)},
                {NULL, NULL},
        };

        log_event(priority, event, fields, "authority %s: %s %s, valid until %s", authority, what,
                  generation->subject, until);
}

/* What the modules noted on the way, a line each. */
static void tell_notes(Signer *signer)
{
        char *line = signer->vault.notes.data, *rest = NULL;

        for (line = line ? strtok_r(line, "\n", &rest) : NULL; line;
             line = strtok_r(NULL, "\n", &rest))
                log_plain(LOG_WARNING, "%s", line);
        text_done(&signer->vault.notes);
}

/* Looks at an authority and puts what is seen into the reply. */
static int put_statement(Signer *signer, const PolicyAuthority *authority, int64_t now_usec,
                         Message *reply, ObservedAuthority *ret, Error *reterr)
{
        int r = statement_make(signer->vault.is_open ? &signer->vault.ca : NULL, authority,
                               now_usec, ret, reterr);

        if (r < 0)
                return r;
        authority_put(reply, ret);
        if (reply->bad)
                return error_set(reterr, EMSGSIZE,
                                 "the certificates of authority %s do not fit into an answer HINT: "
                                 "Shorten its trust.",
                                 authority->name);
        return 0;
}

/* A WIRE_AUTHORITY request. */
typedef struct AuthorityRequest {
        const char *name;
        uint8_t make; /* 0 look, 1 a first CA that signs, 2 one that is to be trusted first */
        StatementEnd ends[UINT8_MAX];
        size_t n_ends;
} AuthorityRequest;

static int read_authority(Message *message, AuthorityRequest *ret, Error *reterr)
{
        ret->name = wire_get_text(message, POLICY_NAME_MAX);
        ret->make = wire_get_u8(message);
        message->bad = message->bad || ret->make > 2;
        ret->n_ends = wire_get_u8(message);
        for (size_t i = 0; i < ret->n_ends; i++) {
                wire_get_raw(message, ret->ends[i].key_id, CERT_KEY_ID);
                ret->ends[i].not_after_usec = wire_get_i64(message);
        }
        return wire_end(message, reterr);
}

static int make_first(Signer *signer, const PolicyAuthority *authority, uint8_t make,
                      int64_t now_usec, Error *reterr)
{
        return making_first(&signer->vault.ca, authority, make == 1 ? MAKING_CURRENT : MAKING_NEXT,
                            now_usec, signer->program.policy->backdate_usec, reterr);
}

/* Looks at an authority of the policy, and makes its first CA where that is asked for. */
static int answer_authority(Signer *signer, const AuthorityRequest *request, Message *reply,
                            Error *reterr)
{
        _cleanup_(authority_done) ObservedAuthority observed = {0};
        const PolicyAuthority *authority =
                policy_find_authority(signer->program.policy, request->name);
        int64_t now_usec = clock_realtime();
        int r, made = 0;

        if (!authority)
                return error_set(reterr, ENOENT, "the policy has no authority %s", request->name);
        r = signer_open(signer, request->make > 0, reterr);
        if (r < 0 && !(r == -ENOENT && request->make == 0))
                return r;
        if (request->make > 0) {
                made = make_first(signer, authority, request->make, now_usec, reterr);
                if (made < 0)
                        return made;
        }
        if (signer->vault.is_open) {
                r = statement_hear(&signer->vault.ca, authority, request->ends, request->n_ends,
                                   now_usec, reterr);
                if (r < 0)
                        return r;
        }
        r = put_statement(signer, authority, now_usec, reply, &observed, reterr);
        if (r >= 0 && made > 0)
                tell_deed(LOG_DEBUG, EVENT_CA_CREATED,
                          observed.generations[0].is_imported ? "took over the foreign CA"
                                                              : "made the CA",
                          request->name, &observed.generations[0]);
        return r;
}

static int handle_authority(void *userdata, int fd, uint64_t tag, Message *message, Message *reply,
                            Error *reterr)
{
        Signer *signer = userdata;
        AuthorityRequest request;
        Error error = {0};
        int r = read_authority(message, &request, &error);

        if (r >= 0)
                r = program_policy(&signer->program, tag, &error);
        if (r >= 0)
                r = answer_authority(signer, &request, reply, &error);
        tell_notes(signer);
        if (r < 0) {
                tell_refusal(request.make > 0 ? "make the CA of" : "show the CA of", request.name,
                             &error);
                *reterr = error;
        }
        return r;
}

/* A step of a rollover: what is asked, and how it is told. An emergency is told loudly, for the
 * signer may have been asked by somebody who took pgcertd over. */
typedef struct Turn {
        WireVerb verb;
        bool has_generation; /* PREPARE names none */
        const char *request;
        int priority;
        const char *event;
        const char *what;
} Turn;

static const Turn turns[] = {
        {WIRE_PREPARE, false, "prepare the next CA of", LOG_DEBUG, EVENT_CA_PREPARED,
         "made the next CA"},
        {WIRE_ANNOUNCE, true, "announce the next CA of", LOG_DEBUG, EVENT_CA_ANNOUNCED,
         "every bundle holds the next CA"},
        {WIRE_ACTIVATE, true, "activate the next CA of", LOG_DEBUG, EVENT_CA_ACTIVATED,
         "from now on signs the CA"},
        {WIRE_RETIRE, true, "retire a CA of", LOG_DEBUG, EVENT_CA_RETIRED,
         "retired, its key wiped: the CA"},
        {WIRE_EMERGENCY, true, "replace the stolen CA of", LOG_CRIT, EVENT_CA_REPLACED,
         "in the place of a stolen one signs the CA"},
};

/* Of a verb that is in the table of requests. */
static const Turn *find_turn(WireVerb verb)
{
        size_t i = 0;

        while (i + 1 < ELEMENTSOF(turns) && turns[i].verb != verb)
                i++;
        return &turns[i];
}

static int do_turn(Signer *signer, WireVerb verb, const PolicyAuthority *authority, uint32_t number,
                   int64_t now_usec, Error *reterr)
{
        const Policy *policy = signer->program.policy;
        const Ca *ca = &signer->vault.ca;

        if (verb == WIRE_PREPARE)
                return turn_prepare(ca, policy, authority, now_usec, reterr);
        if (verb == WIRE_ANNOUNCE)
                return turn_announce(ca, authority, number, now_usec, reterr);
        if (verb == WIRE_ACTIVATE)
                return turn_activate(ca, policy, authority, number, now_usec, reterr);
        if (verb == WIRE_RETIRE)
                return turn_retire(ca, policy, authority, number, now_usec, reterr);
        return turn_emergency(ca, policy, authority, number, now_usec, reterr);
}

/* A deed is told of the generation that it made, or of the one that was named: retired ones are not
 * seen any more afterwards. */
static void tell_turn(const Turn *turn, const char *authority, uint32_t number,
                      const ObservedAuthority *before, const ObservedAuthority *after)
{
        const ObservedGeneration *generation =
                turn->verb == WIRE_PREPARE     ? authority_find(after, AUTHORITY_NEXT)
                : turn->verb == WIRE_EMERGENCY ? authority_current(after)
                                               : authority_find_number(before, number);

        if (turn->verb == WIRE_EMERGENCY)
                log_plain(LOG_CRIT, "authority %s: the key of generation %u was called stolen",
                          authority, (unsigned)number);
        if (generation)
                tell_deed(turn->priority, turn->event, turn->what, authority, generation);
}

static int answer_turn(Signer *signer, const Turn *turn, const char *name, uint32_t number,
                       Message *reply, Error *reterr)
{
        _cleanup_(authority_done) ObservedAuthority after = {0};
        _cleanup_(caview_done) CaView before = {.fd = -1};
        const PolicyAuthority *authority = policy_find_authority(signer->program.policy, name);
        int64_t now_usec = clock_realtime();
        int r, done;

        if (!authority)
                return error_set(reterr, ENOENT, "the policy has no authority %s", name);
        r = signer_open(signer, false, reterr);
        if (r >= 0)
                r = ca_look(&signer->vault.ca, name, now_usec, &before, reterr);
        if (r < 0)
                return r;
        done = do_turn(signer, turn->verb, authority, number, now_usec, reterr);
        if (done < 0)
                return done;
        r = put_statement(signer, authority, now_usec, reply, &after, reterr);
        if (r >= 0 && done > 0)
                tell_turn(turn, name, number, &before.observed, &after);
        return r;
}

static int handle_turn(void *userdata, int fd, uint64_t tag, Message *request, Message *reply,
                       Error *reterr)
{
        Signer *signer = userdata;
        const Turn *turn = find_turn(wire_request_verb(request));
        const char *name = wire_get_text(request, POLICY_NAME_MAX);
        uint32_t number = turn->has_generation ? wire_get_u32(request) : 0;
        Error error = {0};
        int r = wire_end(request, &error);

        if (r >= 0)
                r = program_policy(&signer->program, tag, &error);
        if (r >= 0)
                r = answer_turn(signer, turn, name, number, reply, &error);
        tell_notes(signer);
        if (r < 0) {
                tell_refusal(turn->request, name, &error);
                *reterr = error;
        }
        return r;
}

static void tell_issued(const IssueItem *item)
{
        const LogField fields[] = {
                {"PGCERTD_CERTIFICATE", item->name},
                {"PGCERTD_SERIAL", item->minted.facts.serial},
                {NULL, NULL},
        };

        if (item->error.code != 0)
                tell_refusal("issue", item->name, &item->error);
        else
                log_event(LOG_DEBUG, EVENT_ISSUED, fields, "issued %s, serial %s", item->name,
                          item->minted.facts.serial);
}

/* The ledger is written and refusals are told before the reply is there: whatever becomes of us, no
 * certificate is out that is not accounted for. */
static int answer_issue(Signer *signer, uint64_t tag, Message *request, Message *reply,
                        Error *reterr)
{
        _cleanup_(issue_freep) IssueBatch *batch = NULL;
        int r = issue_read(request, &batch, reterr);

        if (r >= 0)
                r = program_policy(&signer->program, tag, reterr);
        if (r >= 0)
                r = signer_open(signer, false, reterr);
        if (r >= 0)
                r = issue_make(batch, &signer->vault.ca, signer->program.policy, clock_realtime(),
                               reterr);
        if (r < 0)
                return r;
        for (size_t i = 0; i < batch->n; i++)
                tell_issued(&batch->items[i]);
        issue_put(batch, reply);
        return 0;
}

static int handle_issue(void *userdata, int fd, uint64_t tag, Message *request, Message *reply,
                        Error *reterr)
{
        Error error = {0};
        int r = answer_issue(userdata, tag, request, reply, &error);

        if (r < 0) {
                tell_refusal("issue", "certificates", &error);
                *reterr = error;
        }
        return r;
}

static const WireEntry requests[] = {
        {WIRE_AUTHORITY, handle_authority}, {WIRE_ISSUE, handle_issue},
        {WIRE_PREPARE, handle_turn},        {WIRE_ANNOUNCE, handle_turn},
        {WIRE_ACTIVATE, handle_turn},       {WIRE_RETIRE, handle_turn},
        {WIRE_EMERGENCY, handle_turn},
};

int main(int argc, char *argv[])
{
        _cleanup_(signer_close) Signer signer = {.vault = VAULT_CLOSED};
        Error error = {0};
        int r;

        if (program_start(&signer.program, "pgcertd-signer", argc, argv) < 0)
                return EXIT_FAILURE;
        if (!signer.program.state_dir) {
                log_plain(LOG_ERR, "--state-dir is missing");
                return EXIT_FAILURE;
        }
        /* A second signer, or a state that cannot be read, is told at once; that there is none yet
         * is no failure. Behind a socket it is told to whoever asks: systemd would start us again
         * and again, for the connection that nobody has accepted. */
        r = program_is_activated() ? 0 : signer_open(&signer, false, &error);
        if (r < 0 && r != -ENOENT) {
                log_plain(LOG_ERR, "%s", error.text);
                return EXIT_FAILURE;
        }
        return program_serve(&signer.program, requests, ELEMENTSOF(requests), &signer) < 0
                       ? EXIT_FAILURE
                       : EXIT_SUCCESS;
}
