/* SPDX-License-Identifier: MIT */
/*
 * Character classes of ASCII, for the hypervisor and the guests. <ctype.h> is avoided: its macros
 * read tables of the C library. Other bytes (0x80 and up, negative chars) belong to no class.
 */
#ifndef HV_LIB_CTYPE_H
#define HV_LIB_CTYPE_H

#include <stdbool.h>

static inline bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static inline bool is_upper(int c)
{
    return c >= 'A' && c <= 'Z';
}

static inline bool is_lower(int c)
{
    return c >= 'a' && c <= 'z';
}

static inline bool is_alpha(int c)
{
    return is_upper(c) || is_lower(c);
}

static inline bool is_alnum(int c)
{
    return is_alpha(c) || is_digit(c);
}

static inline bool is_xdigit(int c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static inline bool is_space(int c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* A character that leaves a mark or is a space: what may be shown on a terminal as it is. */
static inline bool is_print(int c)
{
    return c >= ' ' && c <= '~';
}

static inline int to_lower(int c)
{
    return is_upper(c) ? c + ('a' - 'A') : c;
}

static inline int to_upper(int c)
{
    return is_lower(c) ? c - ('a' - 'A') : c;
}

#endif
