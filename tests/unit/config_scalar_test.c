// SPDX-License-Identifier: Apache-2.0
//
// Numbers, sizes and durations: what is taken, what is refused and as what, and that a formatted
// value is read back as itself.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "apps/config/scalar.h"

struct good_case {
    enum scalar_kind kind;
    const char *text;
    uint64_t value;
};

static const struct good_case good_cases[] = {
    {TACIT_SCALAR_COUNT, "0", 0},
    {TACIT_SCALAR_COUNT, "1", 1},
    {TACIT_SCALAR_COUNT, "18446744073709551615", UINT64_MAX},
    {TACIT_SCALAR_SIZE, "0B", 0},
    {TACIT_SCALAR_SIZE, "1B", 1},
    {TACIT_SCALAR_SIZE, "64KiB", 65536},
    {TACIT_SCALAR_SIZE, "8MiB", 8388608},
    {TACIT_SCALAR_SIZE, "3GiB", 3221225472u},
    {TACIT_SCALAR_SIZE, "17179869183GiB", 18446744072635809792u},
    {TACIT_SCALAR_DURATION, "10ms", 10000000},
    {TACIT_SCALAR_DURATION, "200us", 200000},
    {TACIT_SCALAR_DURATION, "2s", 2000000000},
    {TACIT_SCALAR_DURATION, "7ns", 7},
    {TACIT_SCALAR_DURATION, "18446744073s", 18446744073000000000u},
};

struct bad_case {
    enum scalar_kind kind;
    const char *text;
    enum scalar_status status;
};

static const struct bad_case bad_cases[] = {
    {TACIT_SCALAR_COUNT, "", TACIT_SCALAR_EMPTY},
    {TACIT_SCALAR_COUNT, "x", TACIT_SCALAR_NOT_A_NUMBER},
    {TACIT_SCALAR_COUNT, "-1", TACIT_SCALAR_NOT_A_NUMBER},
    {TACIT_SCALAR_COUNT, "+1", TACIT_SCALAR_NOT_A_NUMBER},
    {TACIT_SCALAR_COUNT, " 1", TACIT_SCALAR_NOT_A_NUMBER},
    {TACIT_SCALAR_COUNT, ".5", TACIT_SCALAR_NOT_A_NUMBER},
    {TACIT_SCALAR_COUNT, "\xd9\xa1", TACIT_SCALAR_NOT_A_NUMBER}, // a digit, but of another script
    {TACIT_SCALAR_COUNT, "1x", TACIT_SCALAR_UNIT_UNEXPECTED},    // libcyaml 1.3.1 takes it for 1
    {TACIT_SCALAR_COUNT, "1 ", TACIT_SCALAR_UNIT_UNEXPECTED},
    {TACIT_SCALAR_COUNT, "0x10", TACIT_SCALAR_UNIT_UNEXPECTED},
    {TACIT_SCALAR_COUNT, "1e3", TACIT_SCALAR_UNIT_UNEXPECTED},
    {TACIT_SCALAR_COUNT, "1.0", TACIT_SCALAR_UNIT_UNEXPECTED},
    {TACIT_SCALAR_COUNT, "1,000", TACIT_SCALAR_UNIT_UNEXPECTED},
    {TACIT_SCALAR_COUNT, "10ms", TACIT_SCALAR_UNIT_UNEXPECTED},
    {TACIT_SCALAR_COUNT, "010", TACIT_SCALAR_LEADING_ZERO},
    {TACIT_SCALAR_COUNT, "00", TACIT_SCALAR_LEADING_ZERO},
    {TACIT_SCALAR_COUNT, "18446744073709551616", TACIT_SCALAR_OVERFLOW},
    {TACIT_SCALAR_COUNT, "99999999999999999999999999999999999999", TACIT_SCALAR_OVERFLOW},
    {TACIT_SCALAR_SIZE, "64", TACIT_SCALAR_UNIT_MISSING},
    {TACIT_SCALAR_SIZE, "64 KiB", TACIT_SCALAR_UNIT_UNKNOWN},
    {TACIT_SCALAR_SIZE, "64KiB ", TACIT_SCALAR_UNIT_UNKNOWN},
    {TACIT_SCALAR_SIZE, "64K", TACIT_SCALAR_UNIT_UNKNOWN},
    {TACIT_SCALAR_SIZE, "64kib", TACIT_SCALAR_UNIT_UNKNOWN},
    {TACIT_SCALAR_SIZE, "64KB", TACIT_SCALAR_UNIT_UNKNOWN},
    {TACIT_SCALAR_SIZE, "64KiBs", TACIT_SCALAR_UNIT_UNKNOWN},
    {TACIT_SCALAR_SIZE, "1.5KiB", TACIT_SCALAR_UNIT_UNKNOWN},
    {TACIT_SCALAR_SIZE, "1ms", TACIT_SCALAR_UNIT_UNKNOWN},
    {TACIT_SCALAR_SIZE, "064KiB", TACIT_SCALAR_LEADING_ZERO},
    {TACIT_SCALAR_SIZE, "17179869184GiB", TACIT_SCALAR_OVERFLOW},
    {TACIT_SCALAR_DURATION, "20", TACIT_SCALAR_UNIT_MISSING},
    {TACIT_SCALAR_DURATION, "20m", TACIT_SCALAR_UNIT_UNKNOWN},
    {TACIT_SCALAR_DURATION, "20 ms", TACIT_SCALAR_UNIT_UNKNOWN},
    {TACIT_SCALAR_DURATION, "1s500ms", TACIT_SCALAR_UNIT_UNKNOWN},
    {TACIT_SCALAR_DURATION, "18446744074s", TACIT_SCALAR_OVERFLOW},
};

static void good_values_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good_cases / sizeof good_cases[0]; i++) {
        const struct good_case *one = &good_cases[i];
        uint64_t value = ~one->value;
        if (scalar_parse(one->kind, one->text, &value) != TACIT_SCALAR_OK || value != one->value) {
            fail_msg("'%s' was read as %llu", one->text, (unsigned long long)value);
        }
    }
}

static void bad_values_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_cases / sizeof bad_cases[0]; i++) {
        const struct bad_case *one = &bad_cases[i];
        uint64_t value = 4711;
        const enum scalar_status status = scalar_parse(one->kind, one->text, &value);
        if (status != one->status || value != 4711) {
            fail_msg("'%s' gave status %d", one->text, (int)status);
        }
    }
}

// Every byte after a good number, but the units, is refused.
static void every_trailing_byte_is_refused(void **state)
{
    (void)state;
    for (int byte = 1; byte < 256; byte++) {
        char text[3] = {'1', (char)byte, '\0'};
        uint64_t value = 0;
        const bool is_digit = byte >= '0' && byte <= '9';
        assert_int_equal(scalar_parse(TACIT_SCALAR_COUNT, text, &value),
                         is_digit ? TACIT_SCALAR_OK : TACIT_SCALAR_UNIT_UNEXPECTED);
        assert_int_equal(scalar_parse(TACIT_SCALAR_SIZE, text, &value) == TACIT_SCALAR_OK,
                         byte == 'B');
        assert_int_equal(scalar_parse(TACIT_SCALAR_DURATION, text, &value) == TACIT_SCALAR_OK,
                         byte == 's');
    }
}

static void formatted_values_come_back(void **state)
{
    (void)state;
    static const uint64_t factors[] = {1, 1000, 1024, 1000000, 1048576, 1000000000, 1073741824};
    const enum scalar_kind kinds[] = {TACIT_SCALAR_COUNT, TACIT_SCALAR_SIZE, TACIT_SCALAR_DURATION};
    for (size_t k = 0; k < 3; k++) {
        for (size_t f = 0; f < sizeof factors / sizeof factors[0]; f++) {
            for (uint64_t number = 0; number < 2000; number++) {
                char text[TACIT_SCALAR_TEXT_BYTES];
                uint64_t value = 0;
                scalar_format(kinds[k], number * factors[f], text);
                assert_int_equal(scalar_parse(kinds[k], text, &value), TACIT_SCALAR_OK);
                assert_true(value == number * factors[f]);
            }
        }
        char text[TACIT_SCALAR_TEXT_BYTES];
        uint64_t value = 0;
        scalar_format(kinds[k], UINT64_MAX, text);
        assert_int_equal(scalar_parse(kinds[k], text, &value), TACIT_SCALAR_OK);
        assert_true(value == UINT64_MAX);
    }
    char text[TACIT_SCALAR_TEXT_BYTES];
    scalar_format(TACIT_SCALAR_DURATION, 800000, text);
    assert_string_equal(text, "800us");
    scalar_format(TACIT_SCALAR_SIZE, 16777216, text);
    assert_string_equal(text, "16MiB");
    scalar_format(TACIT_SCALAR_SIZE, 1536, text);
    assert_string_equal(text, "1536B");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_values_are_read),
        cmocka_unit_test(bad_values_are_refused),
        cmocka_unit_test(every_trailing_byte_is_refused),
        cmocka_unit_test(formatted_values_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
