/* SPDX-License-Identifier: MIT */
/*
 * malloc: blocks of power-of-two sizes up to half a page come from lists of free blocks that are
 * cut from pages (which stay with their list); larger ones are pages of their own. A header of 16
 * bytes before each block names its list and catches wild and double frees.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mm.h"
#include "start.h"

#define HEADER     16
#define SHIFT_MIN  5  /* 32 bytes with the header */
#define SHIFT_MAX  11 /* 2048 */
#define MAGIC_USED 0x75736564u
#define MAGIC_FREE 0x66726565u

struct header {
    uint32_t magic;
    uint8_t shift; /* of the list; 0: whole pages */
    uint8_t order; /* of whole pages */
    uint16_t unused;
    size_t size; /* as asked for */
};

_Static_assert(sizeof(struct header) == HEADER, "blocks must stay 16-byte aligned");

struct free_block {
    struct header header;
    struct free_block *next;
};

static struct free_block *lists[SHIFT_MAX + 1];
static size_t bytes_used;

size_t malloc_bytes_used(void)
{
    return bytes_used;
}

static int refill(unsigned shift)
{
    char *page = page_alloc(0);

    if (!page) {
        return 0;
    }
    for (size_t at = 0; at < PAGE_SIZE; at += 1UL << shift) {
        struct free_block *block = (struct free_block *)(page + at);

        block->header.magic = MAGIC_FREE;
        block->header.shift = (uint8_t)shift;
        block->next = lists[shift];
        lists[shift] = block;
    }
    return 1;
}

static struct header *alloc_small(size_t total)
{
    unsigned shift = SHIFT_MIN;
    struct free_block *block;

    while (1UL << shift < total) {
        shift++;
    }
    if (!lists[shift] && !refill(shift)) {
        return NULL;
    }
    block = lists[shift];
    lists[shift] = block->next;
    return &block->header;
}

static struct header *alloc_pages(size_t total)
{
    unsigned order = 0;
    struct header *header;

    while (order <= MM_ORDER_MAX && PAGE_SIZE << order < total) {
        order++;
    }
    header = order <= MM_ORDER_MAX ? page_alloc(order) : NULL;
    if (header) {
        header->shift = 0;
        header->order = (uint8_t)order;
    }
    return header;
}

void *malloc(size_t size)
{
    struct header *header;
    size_t total;

    if (__builtin_add_overflow(size, HEADER, &total)) {
        return NULL;
    }
    header = total <= 1UL << SHIFT_MAX ? alloc_small(total) : alloc_pages(total);
    if (!header) {
        return NULL;
    }
    header->magic = MAGIC_USED;
    header->size = size;
    bytes_used += size;
    return header + 1;
}

static struct header *header_of(const void *block)
{
    struct header *header = (struct header *)(uintptr_t)block - 1;

    if (header->magic != MAGIC_USED) {
        panic("%p was not given out by malloc, or is free already", block);
    }
    return header;
}

void free(void *block)
{
    struct header *header;
    struct free_block *entry;

    if (!block) {
        return;
    }
    header = header_of(block);
    bytes_used -= header->size;
    header->magic = MAGIC_FREE;
    if (!header->shift) {
        page_free(header, header->order);
        return;
    }
    entry = (struct free_block *)header;
    entry->next = lists[header->shift];
    lists[header->shift] = entry;
}

void *calloc(size_t count, size_t size)
{
    size_t total;
    void *block;

    if (__builtin_mul_overflow(count, size, &total)) {
        return NULL;
    }
    block = malloc(total);
    return block ? memset(block, 0, total) : NULL;
}

void *realloc(void *block, size_t size)
{
    struct header *header;
    size_t room;
    void *bigger;

    if (!block) {
        return malloc(size);
    }
    header = header_of(block);
    room = (header->shift ? 1UL << header->shift : PAGE_SIZE << header->order) - HEADER;
    if (size <= room && size >= room / 4) {
        bytes_used += size - header->size;
        header->size = size;
        return block;
    }
    bigger = malloc(size);
    if (bigger) {
        memcpy(bigger, block, size < header->size ? size : header->size);
        free(block);
    }
    return bigger;
}

char *strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);

    return copy ? memcpy(copy, text, size) : NULL;
}

char *strndup(const char *text, size_t max)
{
    size_t length = strnlen(text, max);
    char *copy = malloc(length + 1);

    if (copy) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

void abort(void)
{
    panic("abort()");
}
