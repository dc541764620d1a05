#include "daemon/control_call.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

/* One datagram that waits to be sent. */
typedef struct Chunk {
        struct Chunk *next;
        size_t size;
        uint8_t data[];
} Chunk;

typedef enum CallPhase {
        CALL_SILENT,   /* connected, no request yet */
        CALL_ASKED,    /* the handler has it */
        CALL_FINISHED, /* only output is left */
} CallPhase;

/* One client: it asks once. */
struct ControlCall {
        ControlCalls *calls;
        ControlCall *previous, *next;
        int fd;
        sd_event_source *io, *timer;
        CallPhase phase;
        bool is_broken; /* its output is not whole: to be dropped */
        uid_t uid;
        pid_t pid;
        unsigned flags;
        char *command;
        char **arguments;
        size_t n_arguments;
        Chunk *first, **last;
        size_t pending;
};

static ControlCall *call_free(ControlCall *call)
{
        if (!call)
                return NULL;
        sd_event_source_disable_unref(call->io);
        sd_event_source_disable_unref(call->timer);
        closep(&call->fd);
        while (call->first) {
                Chunk *chunk = call->first;

                call->first = chunk->next;
                free(chunk);
        }
        for (size_t i = 0; i < call->n_arguments; i++)
                free(call->arguments[i]);
        free(call->arguments);
        free(call->command);
        free(call);
        return NULL;
}
DEFINE_CLEANUP(ControlCall *, call_free);

/* Takes the call out of the list, tells the handler if it still holds it, and frees it. */
static void drop(ControlCall *call)
{
        ControlCalls *calls = call->calls;

        if (call->previous)
                call->previous->next = call->next;
        else
                calls->first = call->next;
        if (call->next)
                call->next->previous = call->previous;
        calls->n--;
        if (call->phase == CALL_ASKED && calls->handler->closed)
                calls->handler->closed(calls->userdata, call);
        call_free(call);
}

/* Marks a call whose output cannot be whole; the loop drops it, for its owner may still hold it. */
static void give_up(ControlCall *call)
{
        call->is_broken = true;
        sd_event_source_set_io_events(call->io, EPOLLIN | EPOLLOUT);
}

/* Puts the control's message at the end of the call's queue. */
static void queue(ControlCall *call)
{
        const Message *message = call->calls->message;
        Chunk *chunk;

        if (call->is_broken)
                return;
        chunk = message->bad || call->pending + message->size > CONTROL_PENDING_MAX
                        ? NULL
                        : malloc(sizeof *chunk + message->size);
        if (!chunk) {
                give_up(call);
                return;
        }
        chunk->next = NULL;
        chunk->size = message->size;
        memcpy(chunk->data, message->data, message->size);
        /* The time to drain runs from here, whoever reads how slowly. */
        if (!call->first &&
            (sd_event_source_set_time_relative(call->timer, CONTROL_DRAIN_USEC) < 0 ||
             sd_event_source_set_enabled(call->timer, SD_EVENT_ONESHOT) < 0 ||
             sd_event_source_set_io_events(call->io, EPOLLIN | EPOLLOUT) < 0))
                call->is_broken = true;
        *call->last = chunk;
        call->last = &chunk->next;
        call->pending += chunk->size;
}

/* Sends what the socket takes. 0 where it takes no more or the queue is empty. */
static int flush(ControlCall *call)
{
        while (call->first) {
                Chunk *chunk = call->first;

                if (send(call->fd, chunk->data, chunk->size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
                        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
                call->first = chunk->next;
                if (!call->first)
                        call->last = &call->first;
                call->pending -= chunk->size;
                free(chunk);
        }
        sd_event_source_set_enabled(call->timer, SD_EVENT_OFF);
        return sd_event_source_set_io_events(call->io, EPOLLIN);
}

static void refuse(ControlCall *call, const Error *error)
{
        wire_reply_error(call->calls->message, WIRE_CONTROL, error);
        queue(call);
        call->phase = CALL_FINISHED;
}

/* Reads the fields of a request into the call. */
static int read_request(ControlCall *call, Message *message, Error *reterr)
{
        WireVerb verb;
        uint64_t tag;
        int r = wire_get_request(message, &verb, &tag, reterr);

        if (r < 0)
                return r;
        if (verb != WIRE_CONTROL)
                return error_set(reterr, EOPNOTSUPP, "there is no request %u here", (unsigned)verb);
        call->flags = wire_get_u8(message);
        call->command = strdup(wire_get_text(message, CONTROL_COMMAND_MAX));
        call->arguments = calloc(CONTROL_ARGUMENTS_MAX, sizeof *call->arguments);
        if (!call->command || !call->arguments)
                return error_oom(reterr);
        while (call->n_arguments < CONTROL_ARGUMENTS_MAX && wire_more(message)) {
                char *argument = strdup(wire_get_text(message, CONTROL_ARGUMENT_MAX));

                if (!argument)
                        return error_oom(reterr);
                call->arguments[call->n_arguments++] = argument;
        }
        if (wire_more(message))
                return error_set(reterr, E2BIG, "more than %d names at once",
                                 CONTROL_ARGUMENTS_MAX);
        if (call->flags & ~(unsigned)CONTROL_FLAGS)
                return error_set(reterr, EBADMSG, "a request with unknown flags");
        return wire_end(message, reterr);
}

/* Hears what the client says: its request, or that it is gone. */
static int hear(ControlCall *call)
{
        ControlCalls *calls = call->calls;
        Error error = {0};
        int r = wire_receive(call->fd, calls->message, 0, &error);

        if (r == -ETIMEDOUT) /* nothing there */
                return 0;
        if (r >= 0 && call->phase != CALL_SILENT)
                return -EBADMSG; /* it asks once */
        if (r < 0 && r != -EMSGSIZE)
                return r;
        sd_event_source_set_enabled(call->timer, SD_EVENT_OFF);
        if (r >= 0)
                r = read_request(call, calls->message, &error);
        if (r < 0) {
                refuse(call, &error);
                return 0;
        }
        call->phase = CALL_ASKED;
        r = calls->handler->request(calls->userdata, call);
        if (r < 0 && call->phase == CALL_ASKED) {
                error_set(&error, -r, "pgcertd cannot do that now: %s", strerror(-r));
                refuse(call, &error);
        }
        return 0;
}

static int on_call(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        ControlCall *call = userdata;
        int r = 0;

        if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                r = hear(call);
        if (r >= 0 && call->first)
                r = flush(call);
        if (r < 0 || call->is_broken || (call->phase == CALL_FINISHED && !call->first))
                drop(call);
        return 0;
}

static int on_late(sd_event_source *source, uint64_t usec, void *userdata)
{
        drop(userdata);
        return 0;
}

int control_call_new(ControlCalls *calls, int fd, uid_t uid, pid_t pid)
{
        _cleanup_(call_freep) ControlCall *call = calloc(1, sizeof *call);
        int r;

        if (!call) {
                close(fd);
                return -ENOMEM;
        }
        call->fd = fd;
        call->uid = uid;
        call->pid = pid;
        call->calls = calls;
        call->last = &call->first;
        r = sd_event_add_io(calls->event, &call->io, fd, EPOLLIN, on_call, call);
        if (r >= 0)
                r = sd_event_add_time_relative(calls->event, &call->timer, CLOCK_BOOTTIME,
                                               CONTROL_SILENCE_USEC, 0, on_late, call);
        if (r < 0)
                return r;
        call->next = calls->first;
        if (call->next)
                call->next->previous = call;
        calls->first = TAKE_PTR(call);
        calls->n++;
        return 0;
}

void control_call_end_all(ControlCalls *calls)
{
        while (calls->first)
                drop(calls->first);
}

const char *control_call_command(const ControlCall *call)
{
        return call->command;
}

unsigned control_call_flags(const ControlCall *call)
{
        return call->flags;
}

char *const *control_call_arguments(const ControlCall *call, size_t *ret_n)
{
        *ret_n = call->n_arguments;
        return call->arguments;
}

uid_t control_call_uid(const ControlCall *call)
{
        return call->uid;
}

pid_t control_call_pid(const ControlCall *call)
{
        return call->pid;
}

/* The first byte, or the second, of a control of C1 in UTF-8: C2 80 to C2 9F. The second by its
 * own, since a chunk may begin with it. text is NUL-terminated, and starts at begin. */
static bool is_c1(const uint8_t *text, const uint8_t *begin)
{
        const uint8_t *second = text[0] == 0xC2 ? text + 1 : text;

        return (second > text || (text > begin && text[-1] == 0xC2)) && second[0] >= 0x80 &&
               second[0] < 0xA0;
}

/* A last net for texts that quote others: nothing that a terminal would obey. */
static void put_harmless(Message *message, const uint8_t *text, const uint8_t *begin, size_t n)
{
        uint8_t *bytes;

        wire_put_bytes(message, text, n);
        bytes = message->data + message->size - n;
        for (size_t i = 0; i < n && !message->bad; i++)
                if ((bytes[i] < 0x20 && bytes[i] != '\n' && bytes[i] != '\t') || bytes[i] == 0x7F ||
                    is_c1(text + i, begin))
                        bytes[i] = '?';
}

void control_call_write(ControlCall *call, int fd, const char *sentences)
{
        Message *message = call->calls->message;
        const uint8_t *text = (const uint8_t *)sentences, *begin = text;
        size_t left = strlen(sentences);

        assert(call->phase == CALL_ASKED && (fd == STDOUT_FILENO || fd == STDERR_FILENO));
        while (left > 0 && !call->is_broken) {
                size_t n = left < CONTROL_CHUNK_MAX ? left : CONTROL_CHUNK_MAX;

                wire_reply(message, WIRE_CONTROL);
                wire_put_u8(message, fd == STDERR_FILENO ? CONTROL_ERR : CONTROL_OUT);
                put_harmless(message, text, begin, n);
                queue(call);
                text += n;
                left -= n;
        }
}

void control_call_finish(ControlCall *call, int exit_status)
{
        Message *message = call->calls->message;

        assert(call->phase == CALL_ASKED);
        wire_reply(message, WIRE_CONTROL);
        wire_put_u8(message, CONTROL_END);
        wire_put_u8(message, (uint8_t)exit_status);
        queue(call);
        call->phase = CALL_FINISHED;
}
