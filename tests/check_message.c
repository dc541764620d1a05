/*
 * A message's fields: there and back, and nothing but "bad" from whatever else is in it.
 */
#include "common/message.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static Message *message;
static Error error;

static void setup(void)
{
        error = (Error){0};
        ck_assert_int_eq(message_new(&message, NULL), 0);
}

static void teardown(void)
{
        message = message_free(message);
}

/* Makes the message what was received: these bytes. */
static void receive(const void *bytes, size_t size)
{
        memcpy(message->data, bytes, size);
        message->size = size;
        message->position = 0;
        message->bad = false;
}

static void expect_bad(void)
{
        ck_assert(message->bad);
        ck_assert(!wire_more(message));
        ck_assert_int_eq(wire_end(message, &error), -EBADMSG);
}

START_TEST(carries_every_kind_of_field)
{
        WireVerb verb;
        uint64_t tag;
        uint8_t raw[3];
        size_t size;

        wire_request(message, WIRE_STAGE, UINT64_MAX - 1);
        wire_put_u8(message, 255);
        wire_put_u32(message, UINT32_MAX);
        wire_put_i64(message, INT64_MIN);
        wire_put_i64(message, INT64_MAX);
        wire_put_text(message, "text");
        wire_put_text(message, "");
        wire_put_text(message, NULL);
        wire_put_bytes(message, "by\0es", 5);
        wire_put_bytes(message, NULL, 0);
        wire_put_raw(message, "raw", 3);
        ck_assert(!message->bad);
        message->position = 0;
        ck_assert_int_eq(wire_get_request(message, &verb, &tag, &error), 0);
        ck_assert_int_eq(verb, WIRE_STAGE);
        ck_assert_uint_eq(tag, UINT64_MAX - 1);
        ck_assert_uint_eq(wire_get_u8(message), 255);
        ck_assert_uint_eq(wire_get_u32(message), UINT32_MAX);
        ck_assert_int_eq(wire_get_i64(message), INT64_MIN);
        ck_assert_int_eq(wire_get_i64(message), INT64_MAX);
        ck_assert_str_eq(wire_get_text(message, 4), "text");
        ck_assert_str_eq(wire_get_text(message, 0), "");
        ck_assert_str_eq(wire_get_text(message, 0), "");
        ck_assert_mem_eq(wire_get_bytes(message, 5, &size), "by\0es", 5);
        ck_assert_uint_eq(size, 5);
        ck_assert_ptr_nonnull(wire_get_bytes(message, 5, &size));
        ck_assert_uint_eq(size, 0);
        ck_assert(wire_more(message));
        wire_get_raw(message, raw, sizeof raw);
        ck_assert_mem_eq(raw, "raw", 3);
        ck_assert(!wire_more(message));
        ck_assert_int_eq(wire_end(message, &error), 0);
}
END_TEST

/* Every getter, as one call that gives whether what it gave is the empty value. */
static bool empty_u8(void)
{
        return wire_get_u8(message) == 0;
}

static bool empty_u32(void)
{
        return wire_get_u32(message) == 0;
}

static bool empty_i64(void)
{
        return wire_get_i64(message) == 0;
}

static bool empty_text(void)
{
        return wire_get_text(message, 63)[0] == '\0';
}

static bool empty_bytes(void)
{
        size_t size = 1;

        return wire_get_bytes(message, 1000, &size) != NULL && size == 0;
}

static bool empty_raw(void)
{
        static const uint8_t zeros[32];
        uint8_t raw[32];

        memset(raw, 'x', sizeof raw);
        wire_get_raw(message, raw, sizeof raw);
        return memcmp(raw, zeros, sizeof raw) == 0;
}

static bool (*const getters[])(void) = {empty_u8,   empty_u32,   empty_i64,
                                        empty_text, empty_bytes, empty_raw};
static const size_t needs[] = {1, 4, 8, 5, 4, 32};

START_TEST(gives_empty_values_past_the_end)
{
        for (size_t size = 0; size < needs[_i]; size++) {
                uint8_t ones[32] = {[0 ... 31] = 1};

                receive(ones, size);
                ck_assert(getters[_i]());
                expect_bad();
                /* And ever after, though some would fit. */
                for (size_t i = 0; i < ELEMENTSOF(getters); i++)
                        ck_assert(getters[i]());
                expect_bad();
        }
}
END_TEST

START_TEST(gives_nothing_over_its_limit)
{
        size_t size;

        wire_request(message, WIRE_STAGE, 0);
        message->position = message->size;
        wire_put_text(message, "abcd");
        ck_assert_str_eq(wire_get_text(message, 3), "");
        expect_bad();
        wire_request(message, WIRE_STAGE, 0);
        message->position = message->size;
        wire_put_bytes(message, "abcd", 4);
        ck_assert_ptr_nonnull(wire_get_bytes(message, 3, &size));
        ck_assert_uint_eq(size, 0);
        expect_bad();
}
END_TEST

static const struct {
        const char *bytes;
        size_t size;
} texts[] = {
        {"\0\0\0\0", 4},       /* not even a NUL */
        {"\4\0\0\0abcd", 8},   /* no NUL */
        {"\4\0\0\0a\0b\0", 8}, /* a NUL within */
        {"\2\0\0\0\0\0", 6},   /* two */
        {"\5\0\0\0abcd", 8},   /* ends early */
        {"\5\0\0\0abcd\0", 8}, /* its NUL is outside the message */
        {"\xFF\xFF\xFF\xFF"
         "abcd",
         8}, /* all there could be */
        {"\xFF\xFF\xFF\x7F"
         "abcd",
         8},
        {"\0\0\0\x80"
         "abcd",
         8},
};

START_TEST(takes_no_malformed_text)
{
        receive(texts[_i].bytes, texts[_i].size);
        ck_assert_str_eq(wire_get_text(message, 63), "");
        expect_bad();
}
END_TEST

START_TEST(wants_all_to_be_read)
{
        receive("ab", 2);
        wire_get_u8(message);
        ck_assert(wire_more(message));
        ck_assert_int_eq(wire_end(message, &error), -EBADMSG);
        ck_assert_ptr_nonnull(strstr(error.text, "2 bytes"));
        wire_get_u8(message);
        ck_assert_int_eq(wire_end(message, NULL), 0);
}
END_TEST

START_TEST(fills_a_message_to_its_last_byte)
{
        static char bytes[WIRE_MESSAGE_MAX];

        wire_reply(message, WIRE_STAGE);
        wire_put_raw(message, bytes, wire_room(message));
        ck_assert(!message->bad);
        ck_assert_uint_eq(message->size, WIRE_MESSAGE_MAX);
        wire_put_raw(message, bytes, 0);
        ck_assert(!message->bad);
        wire_put_u8(message, 1);
        ck_assert(message->bad);
        ck_assert_uint_eq(message->size, WIRE_MESSAGE_MAX);
        /* A new header begins anew. */
        wire_reply(message, WIRE_STAGE);
        ck_assert(!message->bad);
        wire_put_bytes(message, bytes, wire_room(message) - 4);
        ck_assert(!message->bad);
        wire_reply(message, WIRE_STAGE);
        wire_put_bytes(message, bytes, wire_room(message) - 3);
        ck_assert(message->bad);
        wire_reply(message, WIRE_STAGE);
        wire_put_bytes(message, bytes, SIZE_MAX);
        ck_assert(message->bad);
        wire_reply(message, WIRE_STAGE);
        wire_put_raw(message, bytes, SIZE_MAX);
        ck_assert(message->bad);
        ck_assert_uint_le(message->size, WIRE_MESSAGE_MAX);
}
END_TEST

START_TEST(tells_an_error_in_a_reply)
{
        Error sent;

        error_set(&sent, ESTALE, "the policy \"%s\" is another", "p");
        wire_reply_error(message, WIRE_LOAD, &sent);
        message->position = 0;
        ck_assert_int_eq(wire_get_reply(message, WIRE_LOAD, &error), -ESTALE);
        ck_assert_str_eq(error.text, sent.text);
        message->position = 0;
        ck_assert_int_eq(wire_get_reply(message, WIRE_LOAD, NULL), -ESTALE);
        message->position = 0;
        ck_assert_int_eq(wire_get_reply(message, WIRE_PROVE, &error), -EBADMSG);
        wire_put_u8(message, 0);
        message->position = 0;
        ck_assert_int_eq(wire_get_reply(message, WIRE_LOAD, &error), -EBADMSG);
}
END_TEST

START_TEST(takes_only_errno_values_for_codes)
{
        static const uint32_t codes[] = {4096, INT32_MAX, 0x80000000, UINT32_MAX};

        for (size_t i = 0; i < ELEMENTSOF(codes); i++) {
                wire_reply(message, WIRE_LOAD);
                memcpy(message->data + 2, &codes[i], 4);
                wire_put_text(message, "odd");
                ck_assert_int_eq(wire_get_reply(message, WIRE_LOAD, &error), -EIO);
                ck_assert_str_eq(error.text, "odd");
        }
}
END_TEST

START_TEST(takes_headers_of_its_own_version)
{
        WireVerb verb;
        uint64_t tag;

        for (unsigned version = 0; version < 256; version++) {
                int wanted = version == WIRE_VERSION ? 0 : -EBADMSG;

                wire_request(message, WIRE_LOAD, 1);
                message->data[0] = (uint8_t)version;
                ck_assert_int_eq(wire_get_request(message, &verb, &tag, &error), wanted);
                wire_reply(message, WIRE_LOAD);
                message->data[0] = (uint8_t)version;
                ck_assert_int_eq(wire_get_reply(message, WIRE_LOAD, &error), wanted);
        }
        for (size_t size = 0; size < 10; size++) {
                wire_request(message, WIRE_LOAD, 1);
                message->size = size;
                ck_assert_int_eq(wire_get_request(message, &verb, &tag, &error), -EBADMSG);
        }
        for (size_t size = 0; size < 6; size++) {
                wire_reply(message, WIRE_LOAD);
                message->size = size;
                ck_assert_int_eq(wire_get_reply(message, WIRE_LOAD, &error), -EBADMSG);
        }
}
END_TEST

/* xorshift64: the same bytes in every run. */
static uint64_t seed = 0x9E3779B97F4A7C15;

static uint64_t next_random(void)
{
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        return seed;
}

START_TEST(survives_random_bytes)
{
        unsigned good = 0;

        for (unsigned i = 0; i < 100000; i++) {
                uint8_t bytes[64];
                size_t size = next_random() % (sizeof bytes + 1);

                for (size_t k = 0; k < size; k++)
                        bytes[k] = (uint8_t)(next_random() % 4 ? next_random() % 8 : next_random());
                /* Behind the bytes is not what a getter may read: ASan sees it. */
                message->data = realloc(message->data, size ? size : 1);
                ck_assert_ptr_nonnull(message->data);
                receive(bytes, size);
                for (unsigned k = 0; k < 40 && wire_more(message); k++) {
                        size_t position = message->position;

                        getters[next_random() % ELEMENTSOF(getters)]();
                        ck_assert_uint_le(message->position, message->size);
                        ck_assert(message->bad || message->position > position);
                }
                good += wire_end(message, NULL) == 0;
        }
        message->data = realloc(message->data, WIRE_MESSAGE_MAX); /* message_free() wipes it all */
        ck_assert_ptr_nonnull(message->data);
        ck_assert_uint_gt(good, 1000);
        ck_assert_uint_lt(good, 99000);
}
END_TEST

static Suite *suite(void)
{
        Suite *suite = suite_create("message");
        TCase *tcase = tcase_create("message");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, carries_every_kind_of_field);
        tcase_add_loop_test(tcase, gives_empty_values_past_the_end, 0, ELEMENTSOF(getters));
        tcase_add_test(tcase, gives_nothing_over_its_limit);
        tcase_add_loop_test(tcase, takes_no_malformed_text, 0, ELEMENTSOF(texts));
        tcase_add_test(tcase, wants_all_to_be_read);
        tcase_add_test(tcase, fills_a_message_to_its_last_byte);
        tcase_add_test(tcase, tells_an_error_in_a_reply);
        tcase_add_test(tcase, takes_only_errno_values_for_codes);
        tcase_add_test(tcase, takes_headers_of_its_own_version);
        tcase_add_test(tcase, survives_random_bytes);
        suite_add_tcase(suite, tcase);
        return suite;
}

#include "tests/check_main.h"
