/* SPDX-License-Identifier: MIT */
/*
 * The page allocator: a buddy system over pfns. A free block's list links lie in its first page;
 * one byte per page says whether a free block begins there, and of what order.
 */
#include <stdint.h>
#include <string.h>

#include "mm.h"
#include "mm_internal.h"
#include "start.h"

#define NOT_FREE 0xff

struct block {
    struct block *next, *prev;
};

static struct block free_lists[MM_ORDER_MAX + 1]; /* circular, with these as heads */
static uint8_t *order_of;
static unsigned long page_limit; /* pfns below it have an entry in order_of */
static unsigned long pages_total, pages_free;

static void block_add(unsigned long pfn, unsigned order)
{
    struct block *block = pfn_to_virt(pfn), *head = &free_lists[order];

    order_of[pfn] = (uint8_t)order;
    block->next = head->next;
    block->prev = head;
    head->next->prev = block;
    head->next = block;
}

static void block_remove(unsigned long pfn)
{
    struct block *block = pfn_to_virt(pfn);

    order_of[pfn] = NOT_FREE;
    block->next->prev = block->prev;
    block->prev->next = block->next;
}

static void block_free(unsigned long pfn, unsigned order)
{
    for (; order < MM_ORDER_MAX; order++) {
        unsigned long buddy = pfn ^ (1UL << order);

        if (buddy >= page_limit || order_of[buddy] != order) {
            break;
        }
        block_remove(buddy);
        pfn &= buddy;
    }
    block_add(pfn, order);
}

void page_init(uint8_t *orders, unsigned long first, unsigned long end)
{
    for (unsigned i = 0; i <= MM_ORDER_MAX; i++) {
        free_lists[i].next = free_lists[i].prev = &free_lists[i];
    }
    order_of = orders;
    page_limit = end;
    memset(order_of, NOT_FREE, end);
    for (unsigned long pfn = first; pfn < end; pfn++) {
        block_free(pfn, 0);
    }
    pages_total = pages_free = end - first;
}

void *page_alloc_dirty(unsigned order)
{
    unsigned found = order;
    unsigned long pfn;

    while (found <= MM_ORDER_MAX && free_lists[found].next == &free_lists[found]) {
        found++;
    }
    if (found > MM_ORDER_MAX) {
        return NULL;
    }
    pfn = virt_to_pfn(free_lists[found].next);
    block_remove(pfn);
    while (found > order) {
        found--;
        block_add(pfn + (1UL << found), found);
    }
    pages_free -= 1UL << order;
    return pfn_to_virt(pfn);
}

void *page_alloc(unsigned order)
{
    void *pages = page_alloc_dirty(order);

    return pages ? memset(pages, 0, PAGE_SIZE << order) : NULL;
}

void page_free(void *pages, unsigned order)
{
    unsigned long pfn = virt_to_pfn(pages);

    if (!pages) {
        return;
    }
    if ((unsigned long)pages & ~PAGE_MASK || order > MM_ORDER_MAX || pfn >= page_limit ||
        pfn & ((1UL << order) - 1) || order_of[pfn] != NOT_FREE) {
        panic("page_free(%p, %u): not such a block", pages, order);
    }
    block_free(pfn, order);
    pages_free += 1UL << order;
}

bool page_withdraw(unsigned long *pfn)
{
    void *page = page_alloc_dirty(0);

    if (!page) {
        return false;
    }
    *pfn = virt_to_pfn(page);
    pages_total--;
    return true;
}

void page_admit(unsigned long pfn)
{
    pages_total++;
    page_free(pfn_to_virt(pfn), 0);
}

void page_extend(uint8_t *orders, unsigned long limit)
{
    memcpy(orders, order_of, page_limit);
    memset(orders + page_limit, NOT_FREE, limit - page_limit);
    order_of = orders;
    page_limit = limit;
}

unsigned long mm_total_pages(void)
{
    return pages_total;
}

unsigned long mm_free_pages(void)
{
    return pages_free;
}
