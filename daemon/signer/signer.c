/*
 * pgcertd-signer: holds the keys of the CAs and turns (certificate name, CSR) into a certificate as
 * its own reading of the policy has it. It answers two requests and nothing else, it signs no bytes
 * that it is handed, and whoever asks can only get what the policy grants already.
 */
#include "common/clock.h"
#include "common/events.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/program.h"
#include "daemon/signer/ca.h"
#include "daemon/signer/issue.h"
#include "daemon/signer/state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef struct Signer {
        Program program;
        State state;
        bool is_open; /* the state is: it is not before a CA was made */
        Mint *mint;
        Ledger *ledger;
        Ca ca;
} Signer;

static void tell_refusal(const char *request, const char *name, const Error *error)
{
        log_plain(LOG_WARNING, "refused to %s %s: %s", request, name, error->text);
}

static void tell_made(const char *authority, const ObservedAuthority *observed)
{
        const ObservedGeneration *generation = authority_current(observed);
        char until[CLOCK_TEXT_MAX];
        const LogField fields[] = {
                {"PGCERTD_AUTHORITY", authority},
                {"PGCERTD_SUBJECT", generation->subject},
                {"PGCERTD_SERIAL", generation->facts.serial},
                {"PGCERTD_NOT_AFTER", clock_format(generation->facts.not_after_usec, until)},
                {NULL, NULL},
        };

        /* pgcertd tells it to whoever reads the journal; not twice. */
        log_event(LOG_DEBUG, EVENT_CA_CREATED, fields,
                  "authority %s: made the CA %s, valid until %s", authority, generation->subject,
                  until);
}

/* Closes the state, so that the next request tries again to open it. */
static void signer_forget(Signer *signer)
{
        ca_close(&signer->ca);
        signer->ledger = ledger_close(signer->ledger);
        signer->mint = mint_free(signer->mint);
        state_close(&signer->state);
}

static void signer_close(Signer *signer)
{
        signer_forget(signer);
        program_done(&signer->program);
}

/* Opens the state. -ENOENT where it is missing and not to be made: to look changes nothing. */
static int signer_open(Signer *signer, bool make, Error *reterr)
{
        int r;

        if (signer->is_open)
                return 0;
        r = state_open(signer->program.state_dir, make, LOCK_WAIT_USEC, &signer->state, reterr);
        if (r >= 0)
                r = mint_new(&signer->mint, reterr);
        if (r >= 0)
                r = ledger_open(signer->state.fd, &signer->ledger, reterr);
        if (r >= 0)
                r = ca_open(signer->state.fd, signer->ledger, signer->mint, &signer->ca, reterr);
        signer->is_open = r >= 0;
        if (r < 0)
                signer_forget(signer);
        return r;
}

/* Looks at an authority of the policy, and makes its first CA where that is asked for. */
static int answer_authority(Signer *signer, const char *name, bool make, Message *reply,
                            Error *reterr)
{
        _cleanup_(authority_done) ObservedAuthority observed = {0};
        const PolicyAuthority *authority = policy_find_authority(signer->program.policy, name);
        int64_t now_usec = clock_realtime();
        int r, made = 0;

        if (!authority)
                return error_set(reterr, ENOENT, "the policy has no authority %s", name);
        r = signer_open(signer, make, reterr);
        if (r == -ENOENT && !make) {
                authority_put(reply, &observed);
                return 0;
        }
        if (r < 0)
                return r;
        if (make) {
                made = ca_make(&signer->ca, authority, now_usec,
                               signer->program.policy->backdate_usec, reterr);
                if (made < 0)
                        return made;
        }
        r = ca_observe(&signer->ca, name, now_usec, &observed, reterr);
        if (r < 0)
                return r;
        if (made > 0)
                tell_made(name, &observed);
        authority_put(reply, &observed);
        return 0;
}

static int handle_authority(void *userdata, int fd, uint64_t tag, Message *request, Message *reply,
                            Error *reterr)
{
        Signer *signer = userdata;
        Error error = {0};
        const char *name = wire_get_text(request, POLICY_NAME_MAX);
        bool make = wire_get_flag(request);
        uint8_t n_ends = wire_get_u8(request);
        int r;

        for (uint8_t i = 0; i < n_ends; i++) {
                uint8_t key_id[CERT_KEY_ID];

                wire_get_raw(request, key_id, sizeof key_id);
                (void)wire_get_i64(request);
        }
        r = wire_end(request, &error);

        if (r >= 0)
                r = program_policy(&signer->program, tag, &error);
        if (r >= 0)
                r = answer_authority(signer, name, make, reply, &error);
        if (r < 0) {
                tell_refusal(make ? "make the CA of" : "show the CA of", name, &error);
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
                r = issue_make(batch, &signer->ca, signer->program.policy, clock_realtime(),
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
        {WIRE_AUTHORITY, handle_authority},
        {WIRE_ISSUE, handle_issue},
};

int main(int argc, char *argv[])
{
        _cleanup_(signer_close) Signer signer = {
                .state = {.fd = -1, .lock_fd = -1},
                .ca.fd = -1,
        };
        Error error = {0};
        int r;

        if (program_start(&signer.program, "pgcertd-signer", argc, argv) < 0)
                return EXIT_FAILURE;
        if (!signer.program.state_dir) {
                log_plain(LOG_ERR, "--state-dir is missing");
                return EXIT_FAILURE;
        }
        /* A second signer, or a state that cannot be read, is told at once; that there is none yet
         * is no failure. */
        r = signer_open(&signer, false, &error);
        if (r < 0 && r != -ENOENT) {
                log_plain(LOG_ERR, "%s", error.text);
                return EXIT_FAILURE;
        }
        return program_serve(&signer.program, requests, ELEMENTSOF(requests), &signer) < 0
                       ? EXIT_FAILURE
                       : EXIT_SUCCESS;
}
