/* SPDX-License-Identifier: MIT */
#include "pages.h"

#include "text.h"

#define POOL_PAGES 256

uint8_t pages_data[PAGES_DATA][PAGE_BYTES] PAGE_ALIGNED;
uint64_t *pages_frames;

static uint8_t pool[POOL_PAGES][PAGE_BYTES] PAGE_ALIGNED;
static int pool_used;               /* never handed out: from here on */
static void *pool_free[POOL_PAGES]; /* given back: a stack */
static int pool_free_count;

void *memset(void *to, int c, size_t n)
{
    uint8_t *p = to;

    while (n--) {
        *p++ = (uint8_t)c;
    }
    return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
    uint8_t *p = to;
    const uint8_t *q = from;

    while (n--) {
        *p++ = *q++;
    }
    return to;
}

void *pages_take(void)
{
    if (pool_free_count) {
        return pool_free[--pool_free_count];
    }
    if (pool_used >= POOL_PAGES) {
        text_panic("pool empty", POOL_PAGES);
    }
    return pool[pool_used++];
}

void pages_give(void *page)
{
    pool_free[pool_free_count++] = page;
}

void *pages_take_zeroed(void)
{
    void *page = pages_take();

    memset(page, 0, PAGE_BYTES);
    return page;
}
