/* SPDX-License-Identifier: MIT */
#include "dom0/config/cfgtext.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

/* One parse in progress. Too big for a thread's stack, so it lives in the heap. */
struct parser {
    const char *name; /* NULL: a command-line word, whose messages carry no place */
    const char *at, *end;
    unsigned line;
    struct cfg_error *err;
    char key[CFGTEXT_KEY_MAX];
    struct cfgtext_value value;
    size_t used; /* bytes of store taken */
    char store[CFGTEXT_VALUE_MAX];
};

void cfg_error_set(struct cfg_error *err, const char *format, ...)
{
    va_list args;

    if (!err)
        return;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
}

/* Put the place before the message that is already in p->err. */
static void add_place(struct parser *p, unsigned line)
{
    char reason[sizeof p->err->text];

    if (!p->name || !p->err)
        return;
    memcpy(reason, p->err->text, sizeof reason);
    snprintf(p->err->text, sizeof p->err->text, "%.250s:%u: %.350s", p->name, line, reason);
}

static int fail(struct parser *p, const char *message)
{
    cfg_error_set(p->err, "%s", message);
    add_place(p, p->line);
    return -XEN_EINVAL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c);
}

/* Skip blanks and comments; line ends too if `lines`, as inside a list and between settings. */
static void skip_blank(struct parser *p, bool lines)
{
    while (p->at < p->end) {
        if (*p->at == '#') {
            while (p->at < p->end && *p->at != '\n')
                p->at++;
        } else if (*p->at == '\n' && lines) {
            p->line++;
            p->at++;
        } else if (*p->at == ' ' || *p->at == '\t' || *p->at == '\r') {
            p->at++;
        } else {
            return;
        }
    }
}

static int store_byte(struct parser *p, char c)
{
    if (p->used == sizeof p->store)
        return fail(p, "the value is too long: 8191 bytes at most");
    p->store[p->used++] = c;
    return 0;
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The character that the escape at p->at (behind the backslash) stands for, or a negative error. */
static int read_escape(struct parser *p)
{
    static const char from[] = "\\\"'ntr", to[] = "\\\"'\n\t\r";
    const char *found;
    int value;

    if (p->at == p->end)
        return fail(p, "the string does not end: add the closing quote");
    if (*p->at == 'x') {
        if (p->end - p->at < 3 || hex_digit(p->at[1]) < 0 || hex_digit(p->at[2]) < 0)
            return fail(p, "\\x wants two hexadecimal digits");
        value = hex_digit(p->at[1]) * 16 + hex_digit(p->at[2]);
        p->at += 3;
        return value ? value : fail(p, "\\x00 cannot be part of a string");
    }
    found = *p->at ? strchr(from, *p->at) : NULL;
    if (!found)
        return fail(p, "unknown escape in a string: write \\\\ for a backslash");
    p->at++;
    return to[found - from];
}

static int read_string(struct parser *p)
{
    char quote = *p->at++;

    while (p->at < p->end && *p->at != quote) {
        int c = (unsigned char)*p->at++;
        int rc;

        if (c == '\n')
            return fail(p, "the string does not end on its line: add the closing quote");
        if (c == '\\')
            c = read_escape(p);
        if (c < 0)
            return c;
        rc = store_byte(p, (char)c);
        if (rc < 0)
            return rc;
    }
    if (p->at == p->end)
        return fail(p, "the string does not end: add the closing quote");
    p->at++;
    return store_byte(p, 0);
}

/* Decimal or 0x; a leading 0 is plain decimal here, as nobody means octal in such a file. */
static int read_number(struct parser *p)
{
    unsigned base = 10;
    uint64_t n = 0;
    int rc = 0;

    if (p->end - p->at > 2 && p->at[0] == '0' && (p->at[1] == 'x' || p->at[1] == 'X')) {
        base = 16;
        p->at += 2;
    }
    for (; p->at < p->end && is_word(*p->at); p->at++) {
        int digit = hex_digit(*p->at);

        if (digit < 0 || (unsigned)digit >= base)
            return fail(p, "a number has a letter in it: put quotes around a string");
        if (n > (UINT64_MAX - (unsigned)digit) / base)
            return fail(p, "the number is too large");
        n = n * base + (unsigned)digit;
        rc = rc ? rc : store_byte(p, *p->at);
    }
    p->value.number = n;
    return rc ? rc : store_byte(p, 0);
}

/* A string or a number; its text becomes the next item. */
static int read_atom(struct parser *p, enum cfgtext_kind *kind)
{
    if (p->value.item_count == CFGTEXT_ITEMS_MAX)
        return fail(p, "the list is too long: 64 members at most");
    p->value.items[p->value.item_count++] = p->store + p->used;
    if (p->at < p->end && (*p->at == '"' || *p->at == '\'')) {
        *kind = CFGTEXT_STRING;
        return read_string(p);
    }
    if (p->at < p->end && is_digit(*p->at)) {
        *kind = CFGTEXT_NUMBER;
        return read_number(p);
    }
    if (p->at == p->end || *p->at == '\n' || *p->at == '#')
        return fail(p, "a value is missing: write a number, a \"string\" or a [list]");
    return fail(p, "a value must be a number, a \"string\" or a [list]: put quotes around text");
}

static int read_list(struct parser *p)
{
    unsigned start = p->line;
    enum cfgtext_kind kind;

    p->at++;
    p->value.kind = CFGTEXT_LIST;
    for (;;) {
        int rc;

        skip_blank(p, true);
        if (p->at == p->end) {
            p->line = start;
            return fail(p, "the list that starts here does not end: add the closing ]");
        }
        if (*p->at == ']')
            break;
        rc = read_atom(p, &kind);
        if (rc < 0)
            return rc;
        skip_blank(p, true);
        if (p->at < p->end && *p->at == ',')
            p->at++;
        else if (p->at < p->end && *p->at != ']')
            return fail(p, "members of a list are separated by commas");
    }
    p->at++;
    return 0;
}

static int read_value(struct parser *p)
{
    p->used = 0;
    p->value.item_count = 0;
    p->value.number = 0;
    if (p->at < p->end && *p->at == '[')
        return read_list(p);
    return read_atom(p, &p->value.kind);
}

static int read_key(struct parser *p)
{
    size_t len = 0;

    if (!is_word(*p->at) || is_digit(*p->at))
        return fail(p, "expected a setting like: memory = 64");
    while (p->at < p->end && is_word(*p->at)) {
        if (len == sizeof p->key - 1)
            return fail(p, "the key is too long: keys have 63 letters at most");
        p->key[len++] = *p->at++;
    }
    p->key[len] = 0;
    skip_blank(p, false);
    if (p->at == p->end || *p->at != '=') {
        cfg_error_set(p->err, "expected '=' after '%s'", p->key);
        add_place(p, p->line);
        return -XEN_EINVAL;
    }
    p->at++;
    skip_blank(p, false);
    return 0;
}

static int parse_settings(struct parser *p, cfgtext_fn fn, void *ctx)
{
    for (;;) {
        unsigned line;
        int rc;

        skip_blank(p, true);
        if (p->at == p->end)
            return 0;
        if (*p->at == ';') {
            p->at++;
            continue;
        }
        line = p->line;
        rc = read_key(p);
        if (rc == 0)
            rc = read_value(p);
        if (rc < 0)
            return rc;
        skip_blank(p, false);
        if (p->at < p->end && *p->at != '\n' && *p->at != ';')
            return fail(p, "text after the value: one setting per line");
        rc = fn(ctx, p->key, &p->value, p->err);
        if (rc < 0) {
            add_place(p, line);
            return rc;
        }
    }
}

int cfgtext_parse(const char *name, const char *text, size_t len, cfgtext_fn fn, void *ctx,
                  struct cfg_error *err)
{
    struct parser *p;
    int rc;

    if (memchr(text, 0, len)) {
        cfg_error_set(err, "%s: not a text file (it has zero bytes): is it a configuration file?",
                      name);
        return -XEN_EINVAL;
    }
    p = malloc(sizeof *p);
    if (!p) {
        cfg_error_set(err, "%s: out of memory", name);
        return -XEN_ENOMEM;
    }
    p->name = name;
    p->at = text;
    p->end = text + len;
    p->line = 1;
    p->err = err;
    rc = parse_settings(p, fn, ctx);
    free(p);
    return rc;
}

static bool all_digits(const char *s)
{
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X') && s[2])
        return true;
    while (is_digit(*s))
        s++;
    return !*s;
}

/* The value behind '=' without quotes: the rest of the word as it stands. */
static int parse_bare(struct parser *p, cfgtext_fn fn, void *ctx)
{
    size_t len = (size_t)(p->end - p->at);

    if (len >= sizeof p->store)
        return fail(p, "the value is too long: 8191 bytes at most");
    memcpy(p->store, p->at, len);
    p->store[len] = 0;
    p->value.kind = CFGTEXT_STRING;
    p->value.number = 0;
    p->value.items[0] = p->store;
    p->value.item_count = 1;
    return fn(ctx, p->key, &p->value, p->err);
}

int cfgtext_parse_word(const char *word, cfgtext_fn fn, void *ctx, struct cfg_error *err)
{
    struct parser *p = malloc(sizeof *p);
    int rc;

    if (!p) {
        cfg_error_set(err, "out of memory");
        return -XEN_ENOMEM;
    }
    p->name = NULL;
    p->at = word;
    p->end = word + strlen(word);
    p->line = 1;
    p->err = err;
    if (p->at == p->end)
        rc = fail(p, "expected key=value");
    else
        rc = read_key(p);
    if (rc == 0) {
        if (p->at < p->end && !strchr("\"'[", *p->at) && !all_digits(p->at))
            rc = parse_bare(p, fn, ctx);
        else {
            p->at = word;
            rc = parse_settings(p, fn, ctx);
        }
    }
    free(p);
    return rc;
}
