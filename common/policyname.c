#include "common/policyname.h"

#include "common/yamlnode.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

enum { DNS_NAME_MAX = 253, DNS_LABEL_MAX = 63 };

int policyname_check_object(const char *name, Error *reterr)
{
        char excerpt[YAML_EXCERPT_MAX];
        size_t size = strlen(name);

        if (size > POLICY_NAME_MAX)
                return error_set(reterr, EINVAL, "the name has %zu bytes, at most %d are allowed",
                                 size, POLICY_NAME_MAX);
        if (size == 0 || strspn(name, LETTERS DIGITS "._-") != size || strspn(name, "._-") > 0)
                return error_set(reterr, EINVAL,
                                 "\"%s\" is not a name. HINT: Begin with a letter or digit, and "
                                 "use letters, digits, and the characters . _ - only.",
                                 yamlnode_excerpt(name, excerpt));
        return 0;
}

static int check_label(const char *name, const char *label, size_t size, Error *reterr)
{
        char excerpt[YAML_EXCERPT_MAX];

        yamlnode_excerpt(name, excerpt);
        if (size == 0)
                return error_set(reterr, EINVAL,
                                 "\"%s\" has an empty label. HINT: Write it without a dot at the "
                                 "beginning or end, and without two dots in a row.",
                                 excerpt);
        if (size > DNS_LABEL_MAX)
                return error_set(reterr, EINVAL,
                                 "\"%s\" has a label of %zu bytes, at most %d are allowed", excerpt,
                                 size, DNS_LABEL_MAX);
        if (memchr(label, '_', size))
                return error_set(reterr, EINVAL,
                                 "\"%s\" is not a host name: it has an underscore. HINT: Host "
                                 "names have letters, digits and hyphens only.",
                                 excerpt);
        if (memchr(label, '*', size))
                return error_set(reterr, EINVAL,
                                 "\"%s\" is not a wildcard: * is the whole first label, once, with "
                                 "a name behind it. HINT: Write for example *.example.com.",
                                 excerpt);
        for (size_t i = 0; i < size; i++)
                if ((unsigned char)label[i] >= 0x80)
                        return error_set(reterr, EINVAL,
                                         "\"%s\" is not ASCII. HINT: Write its xn-- form.",
                                         excerpt);
        if (strspn(label, LETTERS DIGITS "-") < size || label[0] == '-' || label[size - 1] == '-')
                return error_set(reterr, EINVAL,
                                 "\"%s\" is neither a DNS name nor an IP address. HINT: Write for "
                                 "example db1.example.com, 192.0.2.10 or 2001:db8::10.",
                                 excerpt);
        return 0;
}

static int check_dns(const char *name, Error *reterr)
{
        char excerpt[YAML_EXCERPT_MAX];
        const char *label = name;
        size_t size;
        int r;

        if (strlen(name) > DNS_NAME_MAX)
                return error_set(reterr, EINVAL, "\"%s\" has %zu bytes, at most %d are allowed",
                                 yamlnode_excerpt(name, excerpt), strlen(name), DNS_NAME_MAX);
        if (strncmp(label, "*.", 2) == 0)
                label += 2;
        while (true) {
                size = strcspn(label, ".");
                r = check_label(name, label, size, reterr);
                if (r < 0)
                        return r;
                if (!label[size])
                        break;
                label += size + 1;
        }
        if (strspn(label, DIGITS) == size)
                return error_set(reterr, EINVAL,
                                 "\"%s\" ends in a label of digits and is not an IP address. HINT: "
                                 "Write an address with four numbers up to 255, or a host name.",
                                 yamlnode_excerpt(name, excerpt));
        return 0;
}

int policyname_parse(const char *text, PolicyName *ret, Error *reterr)
{
        if (inet_pton(AF_INET, text, ret->address) == 1)
                ret->address_size = 4;
        else if (inet_pton(AF_INET6, text, ret->address) == 1)
                ret->address_size = 16;
        else
                ret->address_size = 0;
        ret->is_address = ret->address_size > 0;
        return ret->is_address ? 0 : check_dns(text, reterr);
}

bool policyname_is_same(const PolicyName *a, const PolicyName *b)
{
        if (a->is_address || b->is_address)
                return a->address_size == b->address_size &&
                       memcmp(a->address, b->address, a->address_size) == 0;
        return strcasecmp(a->text, b->text) == 0;
}

static size_t count_characters(const char *text)
{
        size_t n = 0;

        for (; *text; text++)
                n += ((unsigned char)*text & 0xC0) != 0x80;
        return n;
}

int policyname_check_attribute(const char *type, const char *value, Error *reterr)
{
        static const struct {
                const char *type;
                size_t maximum;
        } bounds[] = {{"ST", 128}, {"L", 128}, {"O", 64}, {"OU", 64}, {"CN", 64}};
        char excerpt[YAML_EXCERPT_MAX];
        size_t n = count_characters(value);

        if (strcmp(type, "C") == 0 &&
            (strlen(value) != 2 || strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 2))
                return error_set(reterr, EINVAL,
                                 "\"%s\" is not a country. HINT: Write the two capital letters of "
                                 "ISO 3166, for example CN.",
                                 yamlnode_excerpt(value, excerpt));
        for (size_t i = 0; i < ELEMENTSOF(bounds); i++)
                if (strcmp(type, bounds[i].type) == 0 && n > bounds[i].maximum)
                        return error_set(reterr, EINVAL,
                                         "%zu characters, at most %zu are allowed (X.520)", n,
                                         bounds[i].maximum);
        return 0;
}

const char *policyname_subject_cn(const PolicySubject *subject)
{
        for (size_t i = 0; i < subject->n; i++)
                if (strcmp(subject->items[i].type, "CN") == 0)
                        return subject->items[i].value;
        return NULL;
}

size_t policyname_subject_size(const PolicySubject *subject)
{
        size_t size = 0;

        for (size_t i = 0; i < subject->n; i++)
                size += (i > 0 ? strlen(", ") : 0) + strlen(subject->items[i].type) + 1 +
                        strlen(subject->items[i].value);
        return size;
}

/* Whether the path has a component that can be left out, or one too many slashes. */
static bool is_roundabout(const char *path)
{
        while (*path) {
                size_t size;

                path++; /* the slash */
                size = strcspn(path, "/");
                if (size == 0 || (size == 1 && path[0] == '.') ||
                    (size == 2 && path[0] == '.' && path[1] == '.'))
                        return true;
                path += size;
        }
        return false;
}

int policyname_check_path(const char *path, Error *reterr)
{
        char excerpt[YAML_EXCERPT_MAX];

        yamlnode_excerpt(path, excerpt);
        if (path[0] != '/')
                return error_set(reterr, EINVAL,
                                 "\"%s\" is not an absolute path. HINT: Begin it with a slash.",
                                 excerpt);
        if (strlen(path) > POLICY_PATH_MAX)
                return error_set(reterr, EINVAL, "the path has %zu bytes, at most %d are allowed",
                                 strlen(path), POLICY_PATH_MAX);
        if (is_roundabout(path))
                return error_set(reterr, EINVAL,
                                 "\"%s\" is not in its shortest form. HINT: Write it without . and "
                                 ".., without two slashes in a row, and without one at the end.",
                                 excerpt);
        return 0;
}

int policyname_check_file(const char *name, Error *reterr)
{
        static const char *const reserved[] = {"current", "manifest", "refused"};
        char excerpt[YAML_EXCERPT_MAX];
        bool is_reserved = strncmp(name, "generation-", strlen("generation-")) == 0;

        yamlnode_excerpt(name, excerpt);
        for (size_t i = 0; i < ELEMENTSOF(reserved); i++)
                is_reserved |= strcmp(name, reserved[i]) == 0;
        if (is_reserved)
                return error_set(reterr, EINVAL,
                                 "\"%s\" is a name that pgcertd needs itself. HINT: Choose another "
                                 "one.",
                                 excerpt);
        if (strlen(name) > POLICY_FILE_NAME_MAX)
                return error_set(reterr, EINVAL, "the name has %zu bytes, at most %d are allowed",
                                 strlen(name), POLICY_FILE_NAME_MAX);
        if (strchr(name, '/') || name[0] == '.' || !name[0])
                return error_set(reterr, EINVAL,
                                 "\"%s\" is not a plain file name. HINT: Write it without a slash "
                                 "and without a dot in front.",
                                 excerpt);
        return 0;
}
