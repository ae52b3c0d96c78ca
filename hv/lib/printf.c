/* SPDX-License-Identifier: MIT */
/*
 * printf without floating point, and snprintf on top of it. One conversion goes through three
 * steps: its specification is parsed, its digits are made, then sign, prefix, zeros, text and
 * padding are put out in order.
 */
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "hv/lib/ctype.h"
#include "hv/lib/format.h"

struct out {
    format_sink sink;
    void *context;
    size_t count;
};

struct spec {
    bool left, zero, plus, space, alternate;
    int width;
    int precision; /* -1: none given */
    int length;    /* bytes of an integer argument */
    char conversion;
};

static void out_bytes(struct out *out, const char *bytes, size_t count)
{
    if (count) {
        out->sink(out->context, bytes, count);
        out->count += count;
    }
}

static void out_fill(struct out *out, char byte, int count)
{
    char run[16];

    memset(run, byte, sizeof(run));
    while (count > 0) {
        size_t part = count < (int)sizeof(run) ? (size_t)count : sizeof(run);

        out_bytes(out, run, part);
        count -= (int)part;
    }
}

static const char *spec_flags(const char *fmt, struct spec *spec)
{
    for (;; fmt++) {
        switch (*fmt) {
        case '-':
            spec->left = true;
            break;
        case '0':
            spec->zero = true;
            break;
        case '+':
            spec->plus = true;
            break;
        case ' ':
            spec->space = true;
            break;
        case '#':
            spec->alternate = true;
            break;
        default:
            return fmt;
        }
    }
}

/* A width or precision in digits; absurd ones stop at a value that cannot overflow anything. */
static const char *spec_number(const char *fmt, int *value)
{
    *value = 0;
    while (is_digit(*fmt)) {
        if (*value < INT_MAX / 16) {
            *value = *value * 10 + (*fmt - '0');
        }
        fmt++;
    }
    return fmt;
}

static const char *spec_length(const char *fmt, struct spec *spec)
{
    spec->length = sizeof(int);
    switch (*fmt) {
    case 'h':
        spec->length = fmt[1] == 'h' ? 1 : 2;
        return fmt + spec->length % 2 + 1;
    case 'l':
        spec->length = 8;
        return fmt + (fmt[1] == 'l' ? 2 : 1);
    case 'z':
    case 't':
    case 'j':
        spec->length = 8;
        return fmt + 1;
    default:
        return fmt;
    }
}

/* The digits of value, most significant first, written backwards up to `end`; returns their
 * beginning. */
static char *digits_of(uint64_t value, unsigned base, bool upper, char *end)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";

    while (value) {
        *--end = digits[value % base];
        value /= base;
    }
    return end;
}

/* Puts out prefix, zeros and digits, padded to the width. */
static void out_number(struct out *out, const struct spec *spec, const char *prefix,
                       const char *digits, int count)
{
    int prefix_length = (int)strlen(prefix);
    int wanted = spec->precision < 0 ? 1 : spec->precision;
    int zeros = wanted > count ? wanted - count : 0;
    int padding = spec->width - prefix_length - zeros - count;

    if (padding > 0 && spec->zero && !spec->left && spec->precision < 0) {
        zeros += padding;
        padding = 0;
    }
    if (!spec->left) {
        out_fill(out, ' ', padding);
    }
    out_bytes(out, prefix, (size_t)prefix_length);
    out_fill(out, '0', zeros);
    out_bytes(out, digits, (size_t)count);
    if (spec->left) {
        out_fill(out, ' ', padding);
    }
}

static void out_signed(struct out *out, const struct spec *spec, int64_t value)
{
    char buf[24];
    char *end = buf + sizeof(buf);
    uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
    char *digits = digits_of(magnitude, 10, false, end);
    const char *sign = value < 0 ? "-" : spec->plus ? "+" : spec->space ? " " : "";

    out_number(out, spec, sign, digits, (int)(end - digits));
}

static void out_unsigned(struct out *out, const struct spec *spec, uint64_t value)
{
    char buf[24];
    char *end = buf + sizeof(buf);
    char kind = spec->conversion;
    unsigned base = kind == 'u' ? 10 : kind == 'o' ? 8 : 16;
    char *digits = digits_of(value, base, kind == 'X', end);
    int count = (int)(end - digits);
    const char *prefix = "";

    if (kind == 'p' || (spec->alternate && base == 16 && value)) {
        prefix = kind == 'X' ? "0X" : "0x";
    }
    if (spec->alternate && base == 8 && spec->precision <= count) {
        *--digits = '0';
        count++;
    }
    out_number(out, spec, prefix, digits, count);
}

static void out_text(struct out *out, const struct spec *spec, const char *text)
{
    size_t limit = spec->precision < 0 ? INT_MAX : (size_t)spec->precision;
    int count = (int)strnlen(text, limit);

    if (!spec->left) {
        out_fill(out, ' ', spec->width - count);
    }
    out_bytes(out, text, (size_t)count);
    if (spec->left) {
        out_fill(out, ' ', spec->width - count);
    }
}

static int64_t extend_sign(int64_t value, int bytes)
{
    int shift = 64 - 8 * bytes;

    return (int64_t)((uint64_t)value << shift) >> shift;
}

static uint64_t cut_to(uint64_t value, int bytes)
{
    return bytes == 8 ? value : value & ((1UL << (8 * bytes)) - 1);
}

static const char *spec_parse(const char *fmt, struct spec *spec, va_list *ap)
{
    memset(spec, 0, sizeof(*spec));
    spec->precision = -1;
    fmt = spec_flags(fmt, spec);
    if (*fmt == '*') {
        spec->width = va_arg(*ap, int);
        if (spec->width < 0) {
            spec->left = true;
            spec->width = spec->width == INT_MIN ? 0 : -spec->width;
        }
        fmt++;
    } else {
        fmt = spec_number(fmt, &spec->width);
    }
    if (*fmt == '.') {
        if (fmt[1] == '*') {
            spec->precision = va_arg(*ap, int);
            fmt += 2;
        } else {
            fmt = spec_number(fmt + 1, &spec->precision);
        }
    }
    fmt = spec_length(fmt, spec);
    spec->conversion = *fmt;
    return fmt;
}

/* One conversion; false if it is unknown and took no argument. */
static bool convert(struct out *out, struct spec *spec, va_list *ap)
{
    char one[2] = {0, 0};
    const char *text;

    switch (spec->conversion) {
    case 'd':
    case 'i':
        out_signed(out, spec,
                   spec->length == 8 ? va_arg(*ap, long)
                                     : extend_sign(va_arg(*ap, int), spec->length));
        return true;
    case 'u':
    case 'o':
    case 'x':
    case 'X':
        out_unsigned(out, spec,
                     spec->length == 8 ? va_arg(*ap, unsigned long)
                                       : cut_to(va_arg(*ap, unsigned), spec->length));
        return true;
    case 'p':
        out_unsigned(out, spec, (uintptr_t)va_arg(*ap, void *));
        return true;
    case 'c':
        one[0] = (char)va_arg(*ap, int);
        out_fill(out, ' ', spec->left ? 0 : spec->width - 1);
        out_bytes(out, one, 1);
        out_fill(out, ' ', spec->left ? spec->width - 1 : 0);
        return true;
    case 's':
        text = va_arg(*ap, const char *);
        out_text(out, spec, text ? text : "(null)");
        return true;
    case '%':
        out_bytes(out, "%", 1);
        return true;
    default:
        return false;
    }
}

int format_print(format_sink sink, void *context, const char *fmt, va_list args)
{
    struct out out = {sink, context, 0};
    struct spec spec;
    va_list ap;

    va_copy(ap, args);
    while (*fmt) {
        size_t plain = strcspn(fmt, "%");
        const char *start = fmt + plain;

        out_bytes(&out, fmt, plain);
        if (!*start) {
            break;
        }
        fmt = spec_parse(start + 1, &spec, &ap);
        if (*fmt) {
            fmt++;
        }
        if (!convert(&out, &spec, &ap)) {
            out_bytes(&out, start, (size_t)(fmt - start));
        }
    }
    va_end(ap);
    return out.count > INT_MAX ? INT_MAX : (int)out.count;
}

struct buffer {
    char *text;
    size_t size;
    size_t used;
};

static void buffer_sink(void *context, const char *bytes, size_t count)
{
    struct buffer *buffer = context;

    if (buffer->used + 1 < buffer->size) {
        size_t room = buffer->size - 1 - buffer->used;

        memcpy(buffer->text + buffer->used, bytes, count < room ? count : room);
    }
    buffer->used += count;
}

int vsnprintf(char *restrict text, size_t size, const char *restrict fmt, va_list ap)
{
    struct buffer buffer = {text, size, 0};
    int count = format_print(buffer_sink, &buffer, fmt, ap);

    if (size) {
        text[buffer.used < size ? buffer.used : size - 1] = '\0';
    }
    return count;
}

int snprintf(char *restrict text, size_t size, const char *restrict fmt, ...)
{
    va_list ap;
    int count;

    va_start(ap, fmt);
    count = vsnprintf(text, size, fmt, ap);
    va_end(ap);
    return count;
}
