/* common/yaml, common/yamlbytes, common/yamlnode: bytes to a tree with places. */
#include "common/yaml.h"
#include "common/yamlbytes.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef struct Parsed {
        YamlNode *root;
        Errors errors;
        int r;
} Parsed;

static Parsed parse(const void *data, size_t size)
{
        Parsed parsed = {0};

        parsed.r = yaml_parse("f.yaml", data, size, &parsed.root, &parsed.errors);
        return parsed;
}

static void parsed_done(Parsed *parsed)
{
        yamlnode_free(parsed->root);
        errors_done(&parsed->errors);
}

START_TEST(gives_every_node_its_place)
{
        static const char text[] = "a: 1\nb:\n  c: [x, \"y\"]\n  d: {e: f}\n";
        _cleanup_(parsed_done) Parsed parsed = parse(text, sizeof text - 1);
        const YamlNode *c = yamlnode_find(yamlnode_find(parsed.root, "b"), "c");
        const YamlNode *e = yamlnode_find(yamlnode_find(yamlnode_find(parsed.root, "b"), "d"), "e");
        char path[YAML_PATH_MAX];

        ck_assert_int_eq(parsed.r, 0);
        ck_assert_uint_eq(parsed.root->kind, YAML_MAP);
        ck_assert_uint_eq(parsed.root->n, 2);
        ck_assert_uint_eq(c->kind, YAML_LIST);
        ck_assert_uint_eq(c->line, 3);
        ck_assert_uint_eq(c->column, 6);
        ck_assert_uint_eq(c->key_column, 3);
        ck_assert_str_eq(c->children[1].text, "y");
        ck_assert(c->children[1].is_quoted && !c->children[0].is_quoted);
        ck_assert_uint_eq(c->children[1].column, 10);
        ck_assert_str_eq(yamlnode_path(e, path), "b.d.e");
        ck_assert_str_eq(yamlnode_path(&c->children[1], path), "b.c");
        ck_assert_ptr_null(yamlnode_find(parsed.root, "x"));
        ck_assert_ptr_null(yamlnode_find(NULL, "x"));
        ck_assert_ptr_null(yamlnode_find(c, "x"));
}
END_TEST

START_TEST(overlooks_a_byte_order_mark)
{
        static const char text[] = "\xEF\xBB\xBF# made elsewhere\na: 1\n";
        _cleanup_(parsed_done) Parsed parsed = parse(text, sizeof text - 1);
        _cleanup_(parsed_done) Parsed empty = parse(text, 3);

        ck_assert_int_eq(parsed.r, 0);
        ck_assert_str_eq(yamlnode_find(parsed.root, "a")->text, "1");
        ck_assert_uint_eq(yamlnode_find(parsed.root, "a")->line, 2);
        ck_assert_int_lt(empty.r, 0);
}
END_TEST

START_TEST(counts_columns_in_characters)
{
        static const char text[] = "{ \"\u00E4\u00F6\": 1, b: &x 2 }";
        _cleanup_(parsed_done) Parsed parsed = parse(text, sizeof text - 1);

        ck_assert_uint_eq(parsed.errors.n, 1);
        ck_assert_uint_eq(parsed.errors.items[0].column, 15);
}
END_TEST

#define BYTES(text) text, sizeof(text) - 1

static const struct {
        const char *data;
        size_t size;
        const char *says; /* the first error */
} refused[] = {
        {BYTES(""), "f.yaml:1:1: there is nothing in this file. HINT: Begin with version: 1."},
        {BYTES("# only this\n"), "f.yaml:1:1: there is nothing in this file. HINT: Begin with "
                                 "version: 1."},
        {BYTES("a: 1\nb: \0"), "f.yaml:2:4: a NUL byte. HINT: Save the file as UTF-8 text."},
        {BYTES("a: \x07"), "f.yaml:1:4: a control character. HINT: Remove it."},
        {BYTES("a: \x7F"), "f.yaml:1:4: a control character. HINT: Remove it."},
        {BYTES("a: \xC2\x80"), "f.yaml:1:4: a control character. HINT: Remove it."},
        {BYTES("a: \xFF"), "f.yaml:1:4: this is not UTF-8. HINT: Save the file as UTF-8."},
        {BYTES("a: \xC0\x80"), "f.yaml:1:4: this is not UTF-8. HINT: Save the file as UTF-8."},
        {BYTES("a: \xED\xA0\x80"), "f.yaml:1:4: this is not UTF-8. HINT: Save the file as UTF-8."},
        {BYTES("a: \xF5\x80\x80\x80"), "f.yaml:1:4: this is not UTF-8. HINT: Save the file as "
                                       "UTF-8."},
        {BYTES("a: \xC3"), "f.yaml:1:4: this is not UTF-8. HINT: Save the file as UTF-8."},
        {BYTES("\xFF\xFE"
               "a\0:\0 \0"),
         "f.yaml:1:1: this is UTF-16. HINT: Save the file as UTF-8."},
        {BYTES("\xFE\xFF\0a"), "f.yaml:1:1: this is UTF-16. HINT: Save the file as UTF-8."},
        {BYTES("a\0:\0 \0"), "f.yaml:1:2: a NUL byte. HINT: Save the file as UTF-8 text."},
        {BYTES("a: \"\\0\""), "f.yaml:1:4: a: a text with a control character. HINT: Remove it."},
        {BYTES("a: \"\\x07\""), "f.yaml:1:4: a: a text with a control character. HINT: Remove it."},
        {BYTES("a: \"\\t\""), "f.yaml:1:4: a: a text with a control character. HINT: Remove it."},
        {BYTES("a: \"\\N\""), "f.yaml:1:4: a: a text with a control character. HINT: Remove it."},
        {BYTES("a: \"\\u2028\""),
         "f.yaml:1:4: a: a text with a control character. HINT: Remove it."},
        {BYTES("a: \"\\uFEFF\""),
         "f.yaml:1:4: a: a text with a control character. HINT: Remove it."},
        {BYTES("a: \"\\n\""), "f.yaml:1:4: a: a text of several lines. HINT: Write it on one "
                              "line."},
        {BYTES("a: |\n  x\n"), "f.yaml:1:4: a: a text of several lines. HINT: Write it on one "
                               "line."},
        {BYTES("\"a\\0\": 1"), "f.yaml:1:1: a text with a control character. HINT: Remove it."},
        {BYTES("a: &x 1"), "f.yaml:1:4: a: an anchor (&). HINT: Anchors and aliases are not read; "
                           "write the values out, or use defaults."},
        {BYTES("&x a: 1"), "f.yaml:1:1: an anchor (&). HINT: Anchors and aliases are not read; "
                           "write the values out, or use defaults."},
        {BYTES("a: &x [1, *x]"), "f.yaml:1:4: a: an anchor (&). HINT: Anchors and aliases are not "
                                 "read; write the values out, or use defaults."},
        {BYTES("a: [*x]"), "f.yaml:1:5: a: an alias (*). HINT: Anchors and aliases are not read; "
                           "write the values out, or use defaults."},
        {BYTES("a: !x 1"), "f.yaml:1:4: a: a tag (!). HINT: Tags are not read; remove it, or quote "
                           "the text."},
        {BYTES("a: ! 1"), "f.yaml:1:4: a: a tag (!). HINT: Tags are not read; remove it, or quote "
                          "the text."},
        {BYTES("!!map {a: 1}"), "f.yaml:1:1: a tag (!). HINT: Tags are not read; remove it, or "
                                "quote the text."},
        {BYTES("a: 1\n---\nb: 1"), "f.yaml:2:1: a second document. HINT: Remove the line with ---, "
                                   "or use conf.d."},
        {BYTES("a: 1\na: 2"), "f.yaml:2:1: the key \"a\" stands here a second time, first at line "
                              "1. HINT: Remove one of them."},
        {BYTES("x: {a: 1, \"a\": 2}"),
         "f.yaml:1:11: x: the key \"a\" stands here a second time, first at line 1. HINT: Remove "
         "one of them."},
        {BYTES("[a]: 1"), "f.yaml:1:1: a key that is not a text. HINT: Write a plain word before "
                          "the colon."},
        {BYTES("? {a: 1}\n: 1"), "f.yaml:1:3: a key that is not a text. HINT: Write a plain word "
                                 "before the colon."},
        {BYTES("[[[[[[[[1]]]]]]]]"), NULL},
        {BYTES("[[[[[[[[[1]]]]]]]]]"), "f.yaml:1:9: this is nested more than 8 deep. HINT: See "
                                       "pgcertd.yaml(5) for the shape of a policy."},
        {BYTES("a: ["), "f.yaml:2:1: this is not YAML: did not find expected node content while "
                        "parsing a flow node. HINT: Look at this line and the one above it: "
                        "indentation, colons, quotes."},
        {BYTES("a: 1\n b: 2"),
         "f.yaml:2:3: this is not YAML: mapping values are not allowed in this context. HINT: "
         "Look at this line and the one above it: indentation, colons, quotes."},
        {BYTES("\xEF\xBB\xBF"
               "a: 1"),
         NULL},
        {BYTES("%YAML 1.1\n---\na: 1\n...\n"), NULL},
        {BYTES("a: \"\\u00e4\"\r\nb: '\xF0\x9F\x90\x98'\r\n"), NULL},
};

START_TEST(refuses_what_surprises)
{
        _cleanup_(parsed_done) Parsed parsed = parse(refused[_i].data, refused[_i].size);
        char line[2 * ERROR_TEXT_MAX];

        if (!refused[_i].says) {
                ck_assert_int_eq(parsed.r, 0);
                ck_assert_uint_eq(parsed.errors.n, 0);
                ck_assert_ptr_nonnull(parsed.root);
                return;
        }
        ck_assert_int_eq(parsed.r, -EINVAL);
        ck_assert_uint_ge(parsed.errors.n, 1);
        ck_assert_str_eq(error_format(&parsed.errors.items[0], line, sizeof line),
                         refused[_i].says);
}
END_TEST

START_TEST(goes_on_after_an_error)
{
        static const char text[] = "a: &x 1\na: !y 2\nb: *x\n[c]: 3\nd: \"\\0\"\ne: 5\n";
        _cleanup_(parsed_done) Parsed parsed = parse(text, sizeof text - 1);

        ck_assert_uint_eq(parsed.errors.n, 6);
        ck_assert_str_eq(yamlnode_find(parsed.root, "e")->text, "5");
        ck_assert(yamlnode_find(parsed.root, "b")->is_told);
        ck_assert(yamlnode_find(parsed.root, "d")->is_told);
        ck_assert(!yamlnode_find(parsed.root, "e")->is_told);
        ck_assert(parsed.root->has_lost_key);
}
END_TEST

START_TEST(refuses_more_than_the_limit)
{
        _cleanup_(freep) char *data = malloc(YAML_SIZE_MAX + 1);

        memset(data, ' ', YAML_SIZE_MAX + 1);
        memcpy(data, "a: 1\n#", 6);
        for (size_t extra = 0; extra < 2; extra++) {
                _cleanup_(parsed_done) Parsed parsed = parse(data, YAML_SIZE_MAX + extra);

                ck_assert_int_eq(parsed.r, extra ? -EFBIG : 0);
        }
}
END_TEST

START_TEST(keeps_a_flood_of_errors_bounded)
{
        enum { LINES = 100000 };
        _cleanup_(freep) char *data = malloc(LINES * 4);
        Parsed parsed;

        for (size_t i = 0; i < LINES; i++)
                memcpy(data + i * 4, i % 2 ? "x: 1" : "\n&a ", 4);
        parsed = parse(data, LINES * 4);
        ck_assert_int_lt(parsed.r, 0);
        ck_assert_uint_le(parsed.errors.n, ERRORS_MAX);
        parsed_done(&parsed);
}
END_TEST

START_TEST(knows_what_yaml_reads_as_a_boolean)
{
        static const char *const words[] = {"y",  "Y",    "yes",  "Yes",   "YES",   "n",    "no",
                                            "NO", "on",   "ON",   "off",   "Off",   "true", "TRUE",
                                            "~",  "null", "Null", "false", "False", ""};
        static const char *const others[] = {"yo", "none", "1", "0", "nul", "of", "root"};

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                ck_assert_msg(yamlnode_is_ambiguous(words[i]), "%s", words[i]);
        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                ck_assert_msg(!yamlnode_is_ambiguous(others[i]), "%s", others[i]);
}
END_TEST

START_TEST(cuts_an_excerpt_at_a_whole_character)
{
        char buffer[YAML_EXCERPT_MAX], text[201];

        for (size_t i = 0; i < 100; i++)
                memcpy(text + 2 * i, "\u00E4", 2);
        text[200] = '\0';
        ck_assert_str_eq(yamlnode_excerpt("short", buffer), "short");
        yamlnode_excerpt(text, buffer);
        ck_assert_uint_eq(strlen(buffer), 64 + 3);
        yamlnode_excerpt(text + 200 - 2 * 33, buffer);
        ck_assert_uint_eq(strlen(buffer), 66);
}
END_TEST

static Suite *suite(void)
{
        Suite *result = suite_create("yaml");
        TCase *cases = tcase_create("parse");

        tcase_add_test(cases, gives_every_node_its_place);
        tcase_add_test(cases, overlooks_a_byte_order_mark);
        tcase_add_test(cases, counts_columns_in_characters);
        tcase_add_loop_test(cases, refuses_what_surprises, 0, ELEMENTSOF(refused));
        tcase_add_test(cases, goes_on_after_an_error);
        tcase_add_test(cases, refuses_more_than_the_limit);
        tcase_add_test(cases, keeps_a_flood_of_errors_bounded);
        tcase_add_test(cases, knows_what_yaml_reads_as_a_boolean);
        tcase_add_test(cases, cuts_an_excerpt_at_a_whole_character);
        suite_add_tcase(result, cases);
        return result;
}

#include "tests/check_main.h"
