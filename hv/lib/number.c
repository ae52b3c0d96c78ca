/* SPDX-License-Identifier: MIT */
/*
 * Numbers out of text: strtol, strtoul, strtoll, strtoull of <stdlib.h>, without errno: a value
 * that does not fit gives the largest (or smallest) one, as the standard says, and the caller who
 * cares checks the end pointer and the range.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "hv/lib/ctype.h"

static int digit_value(char c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    return is_alpha(c) ? to_lower(c) - 'a' + 10 : 99;
}

/* Skips space and a sign, and finds the base (0: from the prefix); returns where the digits begin.
 */
static const char *number_prefix(const char *s, int *base, bool *negative)
{
    while (is_space(*s)) {
        s++;
    }
    *negative = *s == '-';
    if (*s == '-' || *s == '+') {
        s++;
    }
    if ((*base == 0 || *base == 16) && s[0] == '0' && to_lower(s[1]) == 'x' && is_xdigit(s[2])) {
        *base = 16;
        return s + 2;
    }
    if (*base == 0) {
        *base = *s == '0' ? 8 : 10;
    }
    return s;
}

/* The magnitude; *overflow if it is above 64 bits. */
static uint64_t number_digits(const char **at, int base, bool *overflow)
{
    uint64_t value = 0;
    const char *s = *at;

    *overflow = false;
    for (; digit_value(*s) < base; s++) {
        if (__builtin_mul_overflow(value, (uint64_t)base, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit_value(*s), &value)) {
            *overflow = true;
        }
    }
    *at = s;
    return value;
}

static uint64_t number_parse(const char *text, char **end, int base, bool *negative, bool *overflow)
{
    const char *digits = number_prefix(text, &base, negative);
    const char *stop = digits;
    uint64_t value = number_digits(&stop, base, overflow);

    if (end) {
        *end = (char *)(uintptr_t)(stop == digits ? text : stop);
    }
    return value;
}

unsigned long long strtoull(const char *restrict text, char **restrict end, int base)
{
    bool negative, overflow;
    uint64_t value = number_parse(text, end, base, &negative, &overflow);

    if (overflow) {
        return UINT64_MAX;
    }
    return negative ? -value : value;
}

long long strtoll(const char *restrict text, char **restrict end, int base)
{
    bool negative, overflow;
    uint64_t value = number_parse(text, end, base, &negative, &overflow);

    if (overflow || value > (uint64_t)INT64_MAX + negative) {
        return negative ? INT64_MIN : INT64_MAX;
    }
    return (long long)(negative ? -value : value);
}

unsigned long strtoul(const char *restrict text, char **restrict end, int base)
{
    return strtoull(text, end, base);
}

long strtol(const char *restrict text, char **restrict end, int base)
{
    return (long)strtoll(text, end, base);
}

int atoi(const char *text)
{
    return (int)strtol(text, NULL, 10);
}
