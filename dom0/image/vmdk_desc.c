/* SPDX-License-Identifier: MIT */
/* The descriptor ("The Descriptor File"): lines `key=value` and lines of extents. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xen/errno.h>

#include "dom0/image/vmdk.h"

static const char *skip_blanks(const char *s)
{
    while (*s == ' ' || *s == '\t')
        s++;
    return s;
}

static const char *next_line(const char *s)
{
    s += strcspn(s, "\n");
    return *s ? s + 1 : s;
}

/* Where the value of a key begins, or NULL. */
static const char *find_value(const char *desc, const char *key)
{
    size_t len = strlen(key);

    for (const char *line = desc; *line; line = next_line(line)) {
        const char *s = skip_blanks(line);

        if (strncmp(s, key, len))
            continue;
        s = skip_blanks(s + len);
        if (*s == '=')
            return skip_blanks(s + 1);
    }
    return NULL;
}

bool vmdk_desc_value(const char *desc, const char *key, char *value, size_t size)
{
    const char *s = find_value(desc, key);
    size_t len;

    if (!s)
        return false;
    if (*s == '"')
        len = strcspn(++s, "\"\r\n");
    else
        len = strcspn(s, " \t\r\n");
    if (len >= size)
        return false;
    memcpy(value, s, len);
    value[len] = 0;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool vmdk_desc_hex(const char *desc, const char *key, uint32_t *value)
{
    char text[12];

    if (!vmdk_desc_value(desc, key, text, sizeof text) || !*text || strlen(text) > 8)
        return false;
    *value = 0;
    for (const char *s = text; *s; s++) {
        if (hex_digit(*s) < 0)
            return false;
        *value = *value << 4 | (uint32_t)hex_digit(*s);
    }
    return true;
}

/* A word up to a blank, as far as the line goes; false if it does not fit. */
static bool take_word(const char **at, char *word, size_t size)
{
    const char *s = skip_blanks(*at);
    size_t len = strcspn(s, " \t\r\n");

    if (*s == '"') {
        len = strcspn(++s, "\"\r\n");
        *at = s + len + (s[len] == '"');
    } else {
        *at = s + len;
    }
    if (!len || len >= size)
        return false;
    memcpy(word, s, len);
    word[len] = 0;
    return true;
}

static bool take_number(const char **at, uint64_t *number)
{
    const char *s = skip_blanks(*at);
    const char *start = s;

    for (*number = 0; *s >= '0' && *s <= '9' && *number < 1ull << 50; s++)
        *number = *number * 10 + (uint64_t)(*s - '0');
    *at = s;
    return s > start && !(*s >= '0' && *s <= '9');
}

/* "RW 4192256 SPARSE "test-s001.vmdk"", "RW 1048576 FLAT "test-f001.vmdk" 0". */
int vmdk_desc_next(const char **at, struct vmdk_desc_extent *e)
{
    for (const char *line = *at; *line; line = next_line(line)) {
        const char *s = skip_blanks(line);
        char access[12];

        if (strncmp(s, "RW ", 3) && strncmp(s, "RDONLY ", 7) && strncmp(s, "NOACCESS ", 9))
            continue;
        memset(e, 0, sizeof *e);
        if (!take_word(&s, access, sizeof access) || !take_number(&s, &e->sectors) ||
            !take_word(&s, e->type, sizeof e->type))
            return -XEN_EINVAL;
        e->readonly = !strcmp(access, "RDONLY");
        if (!strcmp(access, "NOACCESS") || !e->sectors)
            return -XEN_EINVAL;
        if (strcmp(e->type, "ZERO") && !take_word(&s, e->name, sizeof e->name))
            return -XEN_EINVAL;
        s = skip_blanks(s);
        if (*s >= '0' && *s <= '9' && !take_number(&s, &e->offset))
            return -XEN_EINVAL;
        *at = next_line(line);
        return 1;
    }
    return 0;
}

char *vmdk_desc_with_cid(const char *desc, uint32_t cid)
{
    const char *value = find_value(desc, "CID");
    size_t len = strlen(desc) + 9, head;
    char *text = value ? malloc(len) : NULL;

    if (!text)
        return NULL;
    head = (size_t)(value - desc);
    memcpy(text, desc, head);
    snprintf(text + head, len - head, "%08x%s", cid,
             value + strspn(value, "0123456789abcdefABCDEF"));
    return text;
}
