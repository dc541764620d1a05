#include "daemon/worker/likeness.h"

#include <string.h>
#include <strings.h>

/* A line as `name = value`, in place. */
typedef struct Setting {
        char *name;
        char *value;
} Setting;

static char *trim(char *text)
{
        char *end = text + strlen(text);

        while (end > text && strchr(" \t\r\f\v", end[-1]))
                *--end = '\0';
        return text + strspn(text, " \t\r\f\v");
}

/* Takes the quotes off a whole quoted value; false where the quoting is not whole. What follows it
 * may be a comment alone. */
static bool unquote(char *value)
{
        char *from = value + 1, *to = value;

        for (; *from; from++) {
                if (*from == '\'' && from[1] != '\'')
                        break;
                if (*from == '\'' || *from == '\\')
                        from++;
                if (!*from)
                        return false;
                *to++ = *from;
        }
        if (*from != '\'')
                return false;
        from = trim(from + 1);
        *to = '\0';
        return *from == '\0' || *from == '#';
}

static bool is_true(const char *value)
{
        static const char *const spellings[] = {"on", "true", "yes", "1"};

        for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++)
                if (strcasecmp(value, spellings[i]) == 0)
                        return true;
        return false;
}

/* False for what has another form: it is never like ours. An empty name is a comment. */
static bool parse(char *line, Setting *ret)
{
        char *equals;

        line = trim(line);
        *ret = (Setting){.name = line, .value = line + strlen(line)};
        if (*line == '#' || *line == '\0') {
                *line = '\0';
                return true;
        }
        if (*line == '[')
                return true;
        equals = strchr(line, '=');
        if (!equals)
                return false;
        *equals = '\0';
        ret->name = trim(line);
        ret->value = trim(equals + 1);
        return *ret->value != '\'' || unquote(ret->value);
}

static bool is_like(const Setting *a, const Setting *b)
{
        if (*a->name == '[' ? strcmp(a->name, b->name) != 0 : strcasecmp(a->name, b->name) != 0)
                return false;
        return strcmp(a->value, b->value) == 0 ||
               (strcasecmp(a->name, "ssl") == 0 && is_true(a->value) && is_true(b->value));
}

static bool is_wanted(const Setting *setting, const Text *wanted)
{
        _cleanup_(freep) char *copy = strndup(wanted->data, wanted->size);
        char *rest = copy, *line;

        while ((line = strsep(&rest, "\n"))) {
                Setting ours;

                if (parse(line, &ours) && ours.name[0] && is_like(setting, &ours))
                        return true;
        }
        return false; /* also without memory: what cannot be judged stays as it is */
}

bool likeness_find(const FileBytes *file, const Text *wanted, unsigned *ret_line)
{
        _cleanup_(freep) char *copy = strndup((const char *)file->data, file->size);
        char *rest = copy, *line;
        unsigned number = 0;

        *ret_line = 1;
        if (!copy || strlen(copy) != file->size)
                return false;
        while ((line = strsep(&rest, "\n"))) {
                Setting setting;

                *ret_line = ++number;
                if (number > LIKENESS_LINES_MAX || !parse(line, &setting))
                        return false;
                if (setting.name[0] && !is_wanted(&setting, wanted))
                        return false;
        }
        return true;
}
