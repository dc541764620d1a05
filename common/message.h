/*
 * One message between our programs: a verb, the tag of the policy that the sender has read, and
 * typed fields, in one datagram. common/wire.h sends and receives it.
 *
 * Messages are untrusted, bounded input. A getter past the end, over its limit or of a malformed
 * text marks the message bad and gives an empty value; wire_end() tells once. Integers are in host
 * order: both ends are always on one machine.
 *
 * - A request: version u8, verb u8, tag u64, fields.
 * - A reply: version u8, verb u8, code u32 (0, or a positive errno followed by a sentence), fields.
 *
 * Fields by verb (a star: until the end of the message):
 *
 * - OBSERVE: last u8, (certificate text, known digest raw 32)*; more such messages until last is 1.
 *   Replies: a stream, see observation.h.
 * - STAGE: certificate text, rekey u8. Reply: generation u32, csr bytes.
 * - FILL: certificate text, generation u32, leaf bytes, n u8 and n bytes of the chain, n u8 and n
 *   bytes of the bundle, all DER. An empty leaf, with n 0: the published certificate file stays as
 *   it is. Reply: nothing.
 * - PUBLISH: (certificate text, retry u8)*. Replies, a stream: (1 u8, certificate text, code u32,
 *   sentence text, generation u32, facts of the leaf)*, then 0 u8; code is a positive errno, 0 for
 *   done.
 * - ADOPT: certificate text, leaf raw 32 (zeros for none) that was seen. Reply: generation u32.
 * - CONFIGURE: cluster text, wanted u8 (0: ours is removed; 1: written; 2: also over a foreign one
 *   with the same values). Reply: changed u8.
 * - LOAD: cluster text. Reply: pid i64, started_sec i64.
 * - PROVE: cluster text, leaf raw 32, timeout_usec i64. Reply: outcome u8, served, sentence text.
 * - LOGIN: cluster text, timeout_usec i64. Reply: outcome u8, sentence text, address text, port
 *   u32: where the worker of another owner's client may log in; empty and 0 for nowhere, or where
 *   no client of the cluster is another owner's.
 * - LOGIN_AS: cluster text, timeout_usec i64, address text, port u32, as LOGIN told them. Reply:
 *   outcome u8, sentence text.
 * - BACK: certificate text, served leaf raw 32, reason text. Reply: generation u32.
 * - PRUNE: (certificate text)*. Reply: nothing.
 * - AUTHORITY: authority text, make u8 (0: only look; on a blank slate, 1: make a first CA that
 *   signs at once, or import the one of `adopt:`; 2: make it as the next one, to be trusted first),
 *   n u8 and n times (key id raw 20, not_after i64): the latest end of a leaf that was seen of each
 *   generation. Reply: see authority_put().
 * - PREPARE: authority text. The next generation and its cross-certificate are made where there is
 *   none. Reply: as AUTHORITY.
 * - ANNOUNCE: authority text, generation u32: it is in every bundle now. Reply: as AUTHORITY.
 * - ACTIVATE: authority text, generation u32: it signs from now on. Reply: as AUTHORITY.
 * - RETIRE: authority text, generation u32: it is trusted no longer. Reply: as AUTHORITY.
 * - EMERGENCY: authority text, generation u32, the one whose key was stolen: a fresh generation
 *   signs at once. Reply: as AUTHORITY. Each of these five is idempotent; ACTIVATE and RETIRE are
 *   refused (-EAGAIN) before the signer's own clock and ledger allow it.
 * - ISSUE: (certificate text, csr bytes)*. Reply: (certificate text, code u32, sentence text, leaf
 *   bytes, facts)*.
 * - CONTROL: flags u8, command text, (argument text)*. Replies: a stream, see wire_control.h.
 */
#pragma once

#include "common/error.h"

#include <stdint.h>

enum {
        WIRE_VERSION = 1,
        WIRE_MESSAGE_MAX = 64 * 1024,
        WIRE_BATCH_MAX = 24,
        WIRE_PUBLISH_MAX = 256
};

typedef enum WireVerb {
        /* to a worker */
        WIRE_OBSERVE = 1, /* known digests, streamed; answered by a stream of observed things */
        WIRE_STAGE,       /* begin a generation: the key kept or made, a CSR back */
        WIRE_FILL,        /* the leaf, chain and bundle of a staged generation */
        WIRE_PUBLISH,     /* sync, preflight and switch what is filled */
        WIRE_CONFIGURE,   /* write the cluster's configuration file */
        WIRE_LOAD,        /* have the postmaster read its files */
        WIRE_PROVE,       /* handshake until the leaf is served or the deadline is over */
        WIRE_LOGIN,       /* log in with a client certificate, or try to without TLS */
        WIRE_BACK,        /* put the previous generation back */
        WIRE_PRUNE,       /* remove generations that are no longer needed */
        WIRE_ADOPT,       /* take a foreign set over, byte for byte */
        WIRE_LOGIN_AS,    /* log in with own client certificates to another owner's cluster */
        /* to the signer */
        WIRE_AUTHORITY = 32, /* an authority's generations; made first if asked and blank */
        WIRE_ISSUE,          /* certificates for (name, CSR) */
        WIRE_PREPARE,        /* the next generation of a CA */
        WIRE_ANNOUNCE,       /* it is in every bundle */
        WIRE_ACTIVATE,       /* it signs */
        WIRE_RETIRE,         /* a former one is trusted no longer */
        WIRE_EMERGENCY,      /* the current one was stolen */
        /* to pgcertd from pgcertctl */
        WIRE_CONTROL = 64,
} WireVerb;

typedef struct Message {
        uint8_t *data; /* WIRE_MESSAGE_MAX bytes */
        size_t size;
        size_t position; /* of the next get */
        bool bad;
} Message;

int message_new(Message **ret, Error *reterr);
Message *message_free(Message *message); /* wiped: it may have held a CSR or a passphrase */
DEFINE_CLEANUP(Message *, message_free);

/* Writing. A field that does not fit marks the message bad; wire_send() refuses a bad one. */
void wire_request(Message *message, WireVerb verb, uint64_t tag);
void wire_reply(Message *message, WireVerb verb);
void wire_reply_error(Message *message, WireVerb verb, const Error *error);
void wire_put_u8(Message *message, uint8_t value);
void wire_put_u32(Message *message, uint32_t value);
void wire_put_i64(Message *message, int64_t value);
void wire_put_text(Message *message, const char *text); /* NULL is written as "" */
void wire_put_bytes(Message *message, const void *bytes, size_t size);
void wire_put_raw(Message *message, const void *bytes,
                  size_t size);           /* of a fixed size, no length */
size_t wire_room(const Message *message); /* bytes that still fit */

/* Reading. */
uint8_t wire_get_u8(Message *message);
bool wire_get_flag(Message *message); /* a u8 of 0 or 1; another one is bad */
uint32_t wire_get_u32(Message *message);
int64_t wire_get_i64(Message *message);
/* A text of at most max bytes without NUL, in place: valid while the message is. Never NULL. */
const char *wire_get_text(Message *message, size_t max);
const uint8_t *wire_get_bytes(Message *message, size_t max, size_t *ret_size);
void wire_get_raw(Message *message, void *ret, size_t size);
bool wire_more(const Message *message); /* something is left to get, and the message is not bad */

/* 0 where all was read and well formed; -EBADMSG otherwise. */
int wire_end(Message *message, Error *reterr);

/* The verb of a request, wherever reading it has come to; 0 for what is too short to have one. */
WireVerb wire_request_verb(const Message *request);

/* Reads a request's header. -EBADMSG where the version or size is wrong. */
int wire_get_request(Message *message, WireVerb *ret_verb, uint64_t *ret_tag, Error *reterr);

/* Reads a reply's header; where it carries an error, returns its code with the sentence in reterr.
 * -EBADMSG where the reply is malformed or to another verb. */
int wire_get_reply(Message *message, WireVerb verb, Error *reterr);
