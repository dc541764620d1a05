#include "daemon/worker/settings.h"

#include "common/text.h"
#include "daemon/worker/login.h"
#include "daemon/worker/optsfile.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Asked in one statement, so that both views tell of the same moment. Values are bounded by the
 * server: a path or on/off. */
static const char query[] =
        "select 'set', name, setting, source, coalesce(sourcefile, ''), "
        "coalesce(sourceline, 0), 0 as place from pg_catalog.pg_settings "
        "where name in ('ssl', 'ssl_cert_file', 'ssl_key_file', 'ssl_ca_file') union all "
        "select 'line', name, coalesce(setting, ''), '', sourcefile, sourceline, seqno "
        "from pg_catalog.pg_file_settings "
        "where name in ('ssl', 'ssl_cert_file', 'ssl_key_file', 'ssl_ca_file') order by place";

enum { CELLS = 7, ROWS_MAX = 4096 };
typedef enum Setting { SETTING_SSL, SETTING_CERT, SETTING_KEY, SETTING_CA, SETTINGS } Setting;

static const char *const names[SETTINGS] = {"ssl", "ssl_cert_file", "ssl_key_file", "ssl_ca_file"};

/* What the policy wants; NULL where it does not care. */
typedef struct Wanted {
        char *values[SETTINGS];
} Wanted;

/* The last word on one setting: in the files, and in force. */
typedef struct Word {
        const char *value;
        const char *file;
        const char *line;
        const char *source;
} Word;

typedef struct Words {
        Word in_force[SETTINGS];
        Word after[SETTINGS];     /* the last line that comes after our file's, of another file */
        Word automatic[SETTINGS]; /* the last one of ALTER SYSTEM */
        bool is_included;         /* our file is read */
} Words;

void settings_result_done(SettingsResult *result)
{
        free(result->override);
        free(result->advice);
        *result = (SettingsResult){0};
}

static void wanted_done(Wanted *wanted)
{
        for (size_t i = 0; i < SETTINGS; i++)
                free(wanted->values[i]);
}

static int want(const PolicyCluster *cluster, Wanted *ret, Error *reterr)
{
        static const Setting of_file[POLICY_FILES] = {SETTING_CERT, SETTING_KEY, SETTING_CA};
        const PolicyCertificate *certificate = cluster->certificate;

        ret->values[SETTING_SSL] = strdup("on");
        if (!ret->values[SETTING_SSL])
                return error_oom(reterr);
        for (size_t i = 0; i < POLICY_FILES; i++) {
                char **place = &ret->values[of_file[i]];

                if (i == POLICY_TRUST && !cluster->asks_client_certificates) {
                        /* Without our file the rest is the user's own affair. */
                        if (!cluster->configuration)
                                continue;
                        *place = strdup("");
                } else if (asprintf(place, "%s/%s", certificate->directory, certificate->files[i]) <
                           0) {
                        *place = NULL;
                }
                if (!*place)
                        return error_oom(reterr);
        }
        return 0;
}

/* Any spelling of true that PostgreSQL's bool.c takes. */
static bool is_on(const char *value)
{
        size_t n = strlen(value);

        return strcasecmp(value, "on") == 0 || strcmp(value, "1") == 0 ||
               (n > 0 && strncasecmp(value, "true", n) == 0) ||
               (n > 0 && strncasecmp(value, "yes", n) == 0);
}

static bool is_wanted(const Wanted *wanted, Setting setting, const char *value)
{
        const char *want_value = wanted->values[setting];

        return !want_value ||
               (value && (setting == SETTING_SSL ? is_on(value) : !strcmp(want_value, value)));
}

/* Whether two names are one file; one that is not there is only its own name. */
static bool is_same_file(const char *a, const char *b)
{
        char real_a[PATH_MAX], real_b[PATH_MAX];

        if (strcmp(a, b) == 0)
                return true;
        return realpath(a, real_a) && realpath(b, real_b) && strcmp(real_a, real_b) == 0;
}

static bool is_automatic(const char *file)
{
        const char *slash = strrchr(file, '/');

        return strcmp(slash ? slash + 1 : file, "postgresql.auto.conf") == 0;
}

static bool find_setting(const char *name, Setting *ret)
{
        for (size_t i = 0; i < SETTINGS; i++)
                if (strcmp(names[i], name) == 0) {
                        *ret = (Setting)i;
                        return true;
                }
        return false;
}

/* One row, in the order in which PostgreSQL reads the files. */
static void take_row(const PolicyCluster *cluster, char *row, Words *words)
{
        char *cells[CELLS] = {0};
        Setting setting;
        Word word;
        size_t n = 0;

        while (n < CELLS && row)
                cells[n++] = strsep(&row, "\x1f");
        if (n < CELLS || !find_setting(cells[1], &setting))
                return;
        word = (Word){cells[2], cells[4], cells[5], cells[3]};
        if (strcmp(cells[0], "set") == 0) {
                words->in_force[setting] = word;
        } else if (cluster->configuration && is_same_file(word.file, cluster->configuration)) {
                words->is_included = true;
                words->after[setting] = (Word){0};
        } else {
                words->after[setting] = word;
                if (is_automatic(word.file))
                        words->automatic[setting] = word;
        }
}

/* The sentence about one setting that is not as wanted. */
static int tell(const PolicyCluster *cluster, Setting setting, const Word *word, char **ret,
                Error *reterr)
{
        _cleanup_(text_done) Text text = {0};

        text_addf(&text, "%s is set to '%.200s' by ", names[setting], word->value);
        if (word->file[0])
                text_addf(&text, "%.300s:%s", word->file, word->line);
        else
                text_addf(&text, "the %s", word->source);
        if (word->file[0] && is_automatic(word->file))
                text_addf(&text, " (ALTER SYSTEM) HINT: Run ALTER SYSTEM RESET %s.",
                          names[setting]);
        else if (!word->file[0])
                text_addf(&text, " HINT: Start PostgreSQL without it.");
        else
                text_addf(&text,
                          " HINT: Remove that line, or put it before the one that includes "
                          "%.300s.",
                          cluster->configuration);
        return text_take(&text, ret, reterr);
}

/* Without a file of ours the settings are the user's to make, and he can make them only once the
 * files are there: no override, which would keep them from being published. */
static int advise(const Wanted *wanted, const Words *words, SettingsResult *ret, Error *reterr)
{
        _cleanup_(text_done) Text text = {0};
        Setting i = 0;

        while (i < SETTINGS &&
               (!words->in_force[i].value || is_wanted(wanted, i, words->in_force[i].value)))
                i++;
        if (i == SETTINGS)
                return 0;
        text_addf(&text,
                  "PostgreSQL is not told our files: %s is '%.100s' HINT: Put into "
                  "postgresql.conf: ",
                  names[i], words->in_force[i].value);
        for (i = 0; i < SETTINGS; i++)
                if (wanted->values[i])
                        text_addf(&text, "%s%s = '%s'", i > 0 ? ", " : "", names[i],
                                  wanted->values[i]);
        text_add(&text, ".");
        return text_take(&text, &ret->advice, reterr);
}

/* Who has the last word on a setting against our file; NULL for nobody. Before our file is read,
 * only what would win over it in any case: a line elsewhere may come before it. */
static const Word *find_override(const Words *words, Setting setting)
{
        const Word *in_force = &words->in_force[setting];
        const Word *line = words->is_included ? &words->after[setting] : &words->automatic[setting];

        if (in_force->source && strcmp(in_force->source, "default") != 0 &&
            strcmp(in_force->source, "configuration file") != 0)
                return in_force;
        return line->value ? line : NULL;
}

/* Whether a reload would leave all as wanted though our file is not read: somebody else's lines say
 * the same. What is in force now may still be of our file, which is why it does not count. */
static bool holds_without_file(const Wanted *wanted, const Words *words)
{
        static const char *const defaults[SETTINGS] = {"off", "server.crt", "server.key", ""};

        for (Setting i = 0; i < SETTINGS; i++) {
                const Word *in_force = &words->in_force[i], *line = &words->after[i];
                const char *value = line->value ? line->value : defaults[i];

                if (in_force->source && strcmp(in_force->source, "default") != 0 &&
                    strcmp(in_force->source, "configuration file") != 0)
                        value = in_force->value;
                if (!is_wanted(wanted, i, value))
                        return false;
        }
        return true;
}

static int tell_unread(const PolicyCluster *cluster, SettingsResult *ret, Error *reterr)
{
        if (asprintf(&ret->override,
                     "PostgreSQL does not read our configuration HINT: Put the line "
                     "include_if_exists = '%s' at the end of postgresql.conf.",
                     cluster->configuration) >= 0)
                return 0;
        ret->override = NULL;
        return error_oom(reterr);
}

static int judge(const PolicyCluster *cluster, const Wanted *wanted, char *rows,
                 SettingsResult *ret, Error *reterr)
{
        Words words = {0};
        char *row;

        for (size_t n = 0; n < ROWS_MAX && (row = strsep(&rows, "\n")); n++)
                take_row(cluster, row, &words);
        ret->known = words.in_force[SETTING_SSL].value != NULL;
        if (cluster->configuration && access(cluster->configuration, F_OK) == 0)
                ret->included = words.is_included;
        if (!cluster->configuration)
                return advise(wanted, &words, ret, reterr);
        for (Setting i = 0; i < SETTINGS; i++) {
                const Word *word = find_override(&words, i);

                if (word && !is_wanted(wanted, i, word->value))
                        return tell(cluster, i, word, &ret->override, reterr);
        }
        if (ret->known && !ret->included && !holds_without_file(wanted, &words))
                return tell_unread(cluster, ret, reterr);
        return 0;
}

/* While it is down nobody says where a value comes from: with some of ours in force our file is
 * read, and the others are overridden; with none it is not read. */
static int check_down(const PolicyCluster *cluster, const Wanted *wanted, int64_t deadline_usec,
                      SettingsResult *ret, Error *reterr)
{
        char value[PATH_MAX], wrong[PATH_MAX] = "";
        Setting which = SETTINGS;
        size_t n_right = 0;

        if (!cluster->configuration || access(cluster->configuration, F_OK) < 0)
                return 0;
        for (Setting i = 0; i < SETTINGS; i++) {
                if (optsfile_ask(cluster->data_directory, names[i], deadline_usec, value,
                                 sizeof value) < 0)
                        return 0;
                if (is_wanted(wanted, i, value)) {
                        n_right += wanted->values[i] && wanted->values[i][0];
                } else if (which == SETTINGS) {
                        which = i;
                        snprintf(wrong, sizeof wrong, "%s", value);
                }
        }
        ret->known = true;
        ret->included = n_right > 0;
        if (which == SETTINGS)
                return 0;
        if (!ret->included)
                return tell_unread(cluster, ret, reterr);
        if (asprintf(&ret->override,
                     "%s is set to '%.200s' elsewhere than in our configuration HINT: Look for it "
                     "in postgresql.auto.conf and at the end of postgresql.conf.",
                     names[which], wrong) < 0) {
                ret->override = NULL;
                return error_oom(reterr);
        }
        return 0;
}

int settings_check(const PolicyCluster *cluster, const Postmaster *postmaster,
                   int64_t deadline_usec, SettingsResult *ret, Error *reterr)
{
        _cleanup_(wanted_done) Wanted wanted = {0};
        _cleanup_(freep) char *rows = NULL;
        int r = want(cluster, &wanted, reterr);

        *ret = (SettingsResult){.included = true};
        if (r < 0)
                return r;
        if (!postmaster)
                return check_down(cluster, &wanted, deadline_usec, ret, reterr);
        r = login_query(postmaster, cluster->certificate->owner, query, deadline_usec, &rows, NULL);
        if (r == -ENOMEM)
                return error_oom(reterr);
        return r < 0 ? 0 : judge(cluster, &wanted, rows, ret, reterr);
}
