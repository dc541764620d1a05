/*
 * What pgcertctl and pgcertd say to each other beyond common/wire.h: the flags of a WIRE_CONTROL
 * request and the stream of its replies. pgcertctl only carries bytes; pgcertd forms every text.
 *
 * A request: flags u8, command text, (argument text)*; its tag is 0, for pgcertctl reads no policy.
 * Replies, each with the header of a reply: kind u8, then bytes (CONTROL_OUT, CONTROL_ERR) or
 * status u8 (CONTROL_END), after which nothing follows. A reply with an error (too many clients, a
 * malformed request) is the last, too.
 */
#pragma once

typedef enum ControlFlag {
        CONTROL_JSON = 1 << 0,
        CONTROL_NO_WAIT = 1 << 1,   /* return when queued */
        CONTROL_ALL = 1 << 2,       /* every certificate, instead of names */
        CONTROL_REKEY = 1 << 3,     /* with a new key */
        CONTROL_YES = 1 << 4,       /* consent, instead of being told what it would mean */
        CONTROL_EMERGENCY = 1 << 5, /* the CA's key was stolen */
        CONTROL_FLAGS = (1 << 6) - 1,
} ControlFlag;

typedef enum ControlKind {
        CONTROL_END, /* the exit status for pgcertctl */
        CONTROL_OUT, /* bytes for its standard output */
        CONTROL_ERR, /* bytes for its standard error */
} ControlKind;

enum {
        CONTROL_COMMAND_MAX = 32,
        CONTROL_ARGUMENT_MAX = 255,
        CONTROL_ARGUMENTS_MAX = 1024,
        CONTROL_CHUNK_MAX = 32 * 1024, /* bytes of one reply: well below a socket's buffer */
};
