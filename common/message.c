#include "common/message.h"

#include <errno.h>
#include <string.h>

enum { ERRNO_MAX = 4095 }; /* of the kernel: what is above, a peer made up */

int message_new(Message **ret, Error *reterr)
{
        _cleanup_(message_freep) Message *message = calloc(1, sizeof *message);

        if (!message)
                return error_oom(reterr);
        message->data = malloc(WIRE_MESSAGE_MAX);
        if (!message->data)
                return error_oom(reterr);
        *ret = TAKE_PTR(message);
        return 0;
}

Message *message_free(Message *message)
{
        if (!message)
                return NULL;
        /* The whole of it: a shorter message may have followed the one that held a secret. */
        if (message->data)
                explicit_bzero(message->data, WIRE_MESSAGE_MAX);
        free(message->data);
        free(message);
        return NULL;
}

void wire_put_raw(Message *message, const void *bytes, size_t size)
{
        /* Never negative: size only grows by what fitted. */
        if (size > WIRE_MESSAGE_MAX - message->size) {
                message->bad = true;
                return;
        }
        if (size > 0)
                memcpy(message->data + message->size, bytes, size);
        message->size += size;
}

static void begin(Message *message, WireVerb verb)
{
        message->size = message->position = 0;
        message->bad = false;
        wire_put_u8(message, WIRE_VERSION);
        wire_put_u8(message, (uint8_t)verb);
}

void wire_request(Message *message, WireVerb verb, uint64_t tag)
{
        begin(message, verb);
        wire_put_raw(message, &tag, sizeof tag);
}

void wire_reply(Message *message, WireVerb verb)
{
        begin(message, verb);
        wire_put_u32(message, 0);
}

void wire_reply_error(Message *message, WireVerb verb, const Error *error)
{
        begin(message, verb);
        wire_put_u32(message, (uint32_t)error->code);
        wire_put_text(message, error->text);
}

void wire_put_u8(Message *message, uint8_t value)
{
        wire_put_raw(message, &value, sizeof value);
}

void wire_put_u32(Message *message, uint32_t value)
{
        wire_put_raw(message, &value, sizeof value);
}

void wire_put_i64(Message *message, int64_t value)
{
        wire_put_raw(message, &value, sizeof value);
}

void wire_put_bytes(Message *message, const void *bytes, size_t size)
{
        if (size > WIRE_MESSAGE_MAX) {
                message->bad = true;
                return;
        }
        wire_put_u32(message, (uint32_t)size);
        wire_put_raw(message, bytes, size);
}

void wire_put_text(Message *message, const char *text)
{
        /* With its NUL, so that the reader can use it in place. */
        wire_put_bytes(message, text ? text : "", text ? strlen(text) + 1 : 1);
}

size_t wire_room(const Message *message)
{
        return WIRE_MESSAGE_MAX - message->size;
}

/* The only place that moves on in a message, and so the only one that can read past its end. Once
 * bad, all that follows is empty: a caller may read every field first and judge at wire_end(). */
static const uint8_t *take(Message *message, size_t size)
{
        const uint8_t *p;

        if (message->bad || size > message->size - message->position) {
                message->bad = true;
                return NULL;
        }
        p = message->data + message->position;
        message->position += size;
        return p;
}

void wire_get_raw(Message *message, void *ret, size_t size)
{
        const uint8_t *p = take(message, size);

        if (p)
                memcpy(ret, p, size);
        else
                memset(ret, 0, size);
}

uint8_t wire_get_u8(Message *message)
{
        uint8_t value;

        wire_get_raw(message, &value, sizeof value);
        return value;
}

bool wire_get_flag(Message *message)
{
        uint8_t value = wire_get_u8(message);

        if (value > 1)
                message->bad = true;
        return value == 1;
}

uint32_t wire_get_u32(Message *message)
{
        uint32_t value;

        wire_get_raw(message, &value, sizeof value);
        return value;
}

int64_t wire_get_i64(Message *message)
{
        int64_t value;

        wire_get_raw(message, &value, sizeof value);
        return value;
}

const uint8_t *wire_get_bytes(Message *message, size_t max, size_t *ret_size)
{
        uint32_t size = wire_get_u32(message);
        const uint8_t *p = NULL;

        if (size > max)
                message->bad = true;
        else
                p = take(message, size);
        *ret_size = p ? size : 0;
        return p ? p : (const uint8_t *)"";
}

const char *wire_get_text(Message *message, size_t max)
{
        size_t size;
        const uint8_t *p = wire_get_bytes(message, max + 1, &size);

        /* One NUL, at the end: with another one inside, two readers could see two texts. */
        if (size == 0 || memchr(p, '\0', size) != p + size - 1) {
                message->bad = true;
                return "";
        }
        return (const char *)p;
}

bool wire_more(const Message *message)
{
        return !message->bad && message->position < message->size;
}

int wire_end(Message *message, Error *reterr)
{
        if (message->bad || message->position != message->size)
                return error_set(reterr, EBADMSG, "a malformed message of %zu bytes",
                                 message->size);
        return 0;
}

WireVerb wire_request_verb(const Message *request)
{
        return request->size > 1 ? (WireVerb)request->data[1] : (WireVerb)0;
}

int wire_get_request(Message *message, WireVerb *ret_verb, uint64_t *ret_tag, Error *reterr)
{
        uint8_t version = wire_get_u8(message), verb = wire_get_u8(message);

        wire_get_raw(message, ret_tag, sizeof *ret_tag);
        *ret_verb = (WireVerb)verb;
        if (message->bad || version != WIRE_VERSION)
                return error_set(
                        reterr, EBADMSG,
                        "a request of another version HINT: The programs of pgcertd must be "
                        "of one installation.");
        return 0;
}

int wire_get_reply(Message *message, WireVerb verb, Error *reterr)
{
        uint8_t version = wire_get_u8(message), replied = wire_get_u8(message);
        uint32_t code = wire_get_u32(message);
        const char *sentence;

        if (message->bad || version != WIRE_VERSION || replied != verb)
                return error_set(reterr, EBADMSG, "a reply to something else");
        if (code == 0)
                return 0;
        sentence = wire_get_text(message, ERROR_TEXT_MAX);
        if (wire_end(message, reterr) < 0)
                return -EBADMSG;
        if (code > ERRNO_MAX)
                code = EIO;
        return error_set(reterr, (int)code, "%s", sentence);
}
