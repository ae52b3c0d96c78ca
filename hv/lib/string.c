/* SPDX-License-Identifier: MIT */
/*
 * The functions of <string.h> that the hypervisor and the guests use. No locale, no state, no
 * memory of their own; legal everywhere. The copies use the processor's string instructions, which
 * have no alignment to get wrong and are fast where it matters (ERMS); eight bytes at a time,
 * because an emulated processor takes one step for each element.
 */
#include <stdint.h>
#include <string.h>

/* Or the compiler finds that these loops are memset, strlen and so on, and calls them. */
#pragma GCC optimize("no-tree-loop-distribute-patterns")

void *memcpy(void *restrict to, const void *restrict from, size_t count)
{
    void *at = to;
    size_t quads = count / 8;

    count %= 8;
    asm volatile("rep movsq" : "+D"(at), "+S"(from), "+c"(quads) : : "memory");
    asm volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(count) : : "memory");
    return to;
}

void *memmove(void *to, const void *from, size_t count)
{
    unsigned char *last_to = (unsigned char *)to + count - 1;
    const unsigned char *last_from = (const unsigned char *)from + count - 1;

    /* Forward is right unless the target begins inside the source. */
    if ((uintptr_t)to - (uintptr_t)from >= count) {
        return memcpy(to, from, count);
    }
    asm volatile("std; rep movsb; cld"
                 : "+D"(last_to), "+S"(last_from), "+c"(count)
                 :
                 : "memory", "cc");
    return to;
}

void *memset(void *to, int byte, size_t count)
{
    void *at = to;
    size_t quads = count / 8;

    count %= 8;
    asm volatile("rep stosq"
                 : "+D"(at), "+c"(quads)
                 : "a"((unsigned char)byte * 0x0101010101010101UL)
                 : "memory");
    asm volatile("rep stosb" : "+D"(at), "+c"(count) : "a"(byte) : "memory");
    return to;
}

int memcmp(const void *a, const void *b, size_t count)
{
    const unsigned char *x = a;
    const unsigned char *y = b;

    for (size_t i = 0; i < count; i++) {
        if (x[i] != y[i]) {
            return x[i] - y[i];
        }
    }
    return 0;
}

void *memchr(const void *in, int byte, size_t count)
{
    const unsigned char *p = in;

    for (size_t i = 0; i < count; i++) {
        if (p[i] == (unsigned char)byte) {
            return (void *)(uintptr_t)(p + i);
        }
    }
    return NULL;
}

size_t strlen(const char *s)
{
    const char *end = s;

    while (*end) {
        end++;
    }
    return (size_t)(end - s);
}

size_t strnlen(const char *s, size_t max)
{
    size_t n = 0;

    while (n < max && s[n]) {
        n++;
    }
    return n;
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t max)
{
    for (size_t i = 0; i < max; i++) {
        if (a[i] != b[i] || !a[i]) {
            return (unsigned char)a[i] - (unsigned char)b[i];
        }
    }
    return 0;
}

char *strchr(const char *s, int byte)
{
    for (;; s++) {
        if (*s == (char)byte) {
            return (char *)(uintptr_t)s;
        }
        if (!*s) {
            return NULL;
        }
    }
}

char *strrchr(const char *s, int byte)
{
    const char *found = NULL;

    for (;; s++) {
        if (*s == (char)byte) {
            found = s;
        }
        if (!*s) {
            return (char *)(uintptr_t)found;
        }
    }
}

char *strstr(const char *s, const char *word)
{
    size_t length = strlen(word);

    for (;; s++) {
        if (strncmp(s, word, length) == 0) {
            return (char *)(uintptr_t)s;
        }
        if (!*s) {
            return NULL;
        }
    }
}

char *strcpy(char *restrict to, const char *restrict from)
{
    memcpy(to, from, strlen(from) + 1);
    return to;
}

char *strncpy(char *restrict to, const char *restrict from, size_t size)
{
    size_t used = strnlen(from, size);

    memcpy(to, from, used);
    memset(to + used, 0, size - used);
    return to;
}

char *strcat(char *restrict to, const char *restrict from)
{
    strcpy(to + strlen(to), from);
    return to;
}

size_t strspn(const char *s, const char *accept)
{
    size_t n = 0;

    while (s[n] && strchr(accept, s[n])) {
        n++;
    }
    return n;
}

size_t strcspn(const char *s, const char *reject)
{
    size_t n = 0;

    while (s[n] && !strchr(reject, s[n])) {
        n++;
    }
    return n;
}
