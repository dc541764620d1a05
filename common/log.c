#include "common/log.h"

#include "common/text.h"
#include "common/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

enum { SENTENCE_MAX = 4096 };

static const char *log_identifier = "pgcertd";
static int log_level = LOG_INFO;
static bool log_journal;

/* JOURNAL_STREAM is "device:inode" of what stderr was when the service started (systemd.exec(5)).
 */
static bool stderr_is_journal(void)
{
        const char *stream = getenv("JOURNAL_STREAM");
        uint64_t device, inode;
        struct stat stat;

        return stream && sscanf(stream, "%" SCNu64 ":%" SCNu64, &device, &inode) == 2 &&
               fstat(STDERR_FILENO, &stat) == 0 && stat.st_dev == device && stat.st_ino == inode;
}

void log_init(const char *identifier)
{
        const char *debug = getenv("PGCERTD_DEBUG");

        log_identifier = identifier;
        log_level = debug && strcmp(debug, "1") == 0 ? LOG_DEBUG : LOG_INFO;
        log_journal = stderr_is_journal();
}

/* Nothing that a terminal would obey: controls of C0, and those of C1 in UTF-8 (C2 80 to C2 9F). */
static void blank_controls(Text *line)
{
        for (size_t i = 0; i < line->size; i++) {
                unsigned char c = (unsigned char)line->data[i];

                if (c < 0x20 || c == 0x7F)
                        line->data[i] = ' ';
                else if (c == 0xC2 && (unsigned char)line->data[i + 1] >= 0x80 &&
                         (unsigned char)line->data[i + 1] < 0xA0)
                        line->data[i] = line->data[i + 1] = ' ';
        }
}

static void to_stderr(const char *sentence)
{
        _cleanup_(text_done) Text line = {0};

        text_addf(&line, "%s: %s", log_identifier, sentence);
        blank_controls(&line);
        text_add(&line, "\n");
        /* One write, so that lines of several programs do not mix. There is nobody to tell a
         * failure. */
        if (!line.failed && write(STDERR_FILENO, line.data, line.size) < 0)
                return;
}

bool log_is_journal(void)
{
        return log_journal;
}

/* One "NAME=value" of a journal entry; newlines are kept by sd_journal_sendv's framing. */
static void add_field(struct iovec *vectors, size_t *n, Text *store, const char *name,
                      const char *value)
{
        text_addf(store, "%s=%s", name, value);
        if (store->failed)
                return;
        vectors[(*n)++] = (struct iovec){.iov_base = store->data, .iov_len = store->size};
}

static bool to_journal(int level, const char *message_id, const LogField *fields,
                       const char *sentence)
{
        Text stores[LOG_FIELDS_MAX + 4] = {0};
        struct iovec vectors[LOG_FIELDS_MAX + 4];
        char priority[8];
        size_t n = 0, stored = 0;
        int r;

        snprintf(priority, sizeof priority, "%d", level);
        add_field(vectors, &n, &stores[stored++], "MESSAGE", sentence);
        add_field(vectors, &n, &stores[stored++], "PRIORITY", priority);
        add_field(vectors, &n, &stores[stored++], "SYSLOG_IDENTIFIER", log_identifier);
        if (message_id && message_id[0])
                add_field(vectors, &n, &stores[stored++], "MESSAGE_ID", message_id);
        for (size_t i = 0; fields && fields[i].name && i < LOG_FIELDS_MAX; i++)
                if (fields[i].value)
                        add_field(vectors, &n, &stores[stored++], fields[i].name, fields[i].value);
        r = n > 0 ? sd_journal_sendv(vectors, (int)n) : -ENOMEM;
        for (size_t i = 0; i < stored; i++)
                text_done(&stores[i]);
        return r >= 0;
}

void log_event(int level, const char *message_id, const LogField *fields, const char *format, ...)
{
        char sentence[SENTENCE_MAX];
        int saved = errno;
        va_list arguments;

        if (level > log_level)
                return;
        va_start(arguments, format);
        if (vsnprintf(sentence, sizeof sentence, format, arguments) >= (int)sizeof sentence)
                utf8_trim(sentence);
        va_end(arguments);
        /* A journal that cannot be reached must not swallow what happened. */
        if (!log_journal || !to_journal(level, message_id, fields, sentence))
                to_stderr(sentence);
        errno = saved;
}
