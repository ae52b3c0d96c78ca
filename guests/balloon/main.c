/* SPDX-License-Identifier: MIT */
/*
 * balloon: shows its memory come and go, and what is in it. On its console:
 *
 *      fill WORD   writes the 64-bit word all over its free pages
 *      hold        takes the free pages but some, so that only new ones are free from now on
 *      drop        lets those go again
 *      look [WORD] tells what the free pages hold: zeros, the word (that of `fill`), or others
 *      quit
 *
 * Each change of its memory is a line. All vCPUs but the first work all the while on pages of their
 * own, and panic if one does not hold what was written to it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rt/balloon.h>
#include <rt/clock.h>
#include <rt/console.h>
#include <rt/mm.h>
#include <rt/smp.h>
#include <rt/start.h>
#include <rt/thread.h>

#define WORDS      (PAGE_SIZE / sizeof(uint64_t))
#define LINK_WORDS 2   /* the allocator's, at the start of a free page (mm.h) */
#define KEPT       384 /* pages that hold and fill leave free, for the balloon and the others */
#define WORK_PAGES 32

static uint64_t *held; /* a list through the first words */

/* Pages from the allocator, as they are, in a list; all but `kept`. */
static unsigned long take_free(uint64_t **list, unsigned long kept)
{
    unsigned long count = 0;

    while (mm_free_pages() > kept) {
        uint64_t *page = page_alloc_dirty(0);

        if (!page) {
            break;
        }
        page[0] = (uint64_t)*list;
        *list = page;
        count++;
    }
    return count;
}

static void give_free(uint64_t **list)
{
    while (*list) {
        uint64_t *page = *list;

        *list = (uint64_t *)page[0];
        page_free(page, 0);
    }
}

static void fill(uint64_t word)
{
    uint64_t *list = NULL;
    unsigned long count = take_free(&list, KEPT);

    for (uint64_t *page = list; page; page = (uint64_t *)page[0]) {
        for (unsigned i = 1; i < WORDS; i++) {
            page[i] = word;
        }
    }
    give_free(&list);
    printf("balloon: %lu pages filled\n", count);
}

static void look(uint64_t word)
{
    unsigned long count, zero = 0, same = 0, other = 0;
    uint64_t *list = NULL;

    count = take_free(&list, 0);
    for (const uint64_t *page = list; page; page = (const uint64_t *)page[0]) {
        for (unsigned i = LINK_WORDS; i < WORDS; i++) {
            zero += !page[i];
            same += page[i] && page[i] == word;
            other += page[i] && page[i] != word;
        }
    }
    give_free(&list);
    printf("balloon: %lu pages seen: %lu words zero, %lu the word, %lu others\n", count, zero, same,
           other);
}

/* Zeroes what stays free, so that it is not taken for something that came. */
static void hold(void)
{
    uint64_t *list = NULL, *clean = NULL;
    unsigned long count = take_free(&list, KEPT);

    while (mm_free_pages()) {
        uint64_t *page = page_alloc(0);

        page[0] = (uint64_t)clean;
        clean = page;
    }
    give_free(&clean);
    if (held) {
        give_free(&list);
    } else {
        held = list;
    }
    printf("balloon: %lu pages held\n", count);
}

static void drop(void)
{
    uint64_t *list = held;

    held = NULL;
    give_free(&list);
    printf("balloon: dropped\n");
}

static void tell(void *arg)
{
    unsigned long last = 0;

    (void)arg;
    for (;;) {
        unsigned long pages = balloon_pages();

        if (pages != last && (pages == balloon_target() || !last)) {
            printf("balloon: %lu KiB, %lu KiB of them free\n", pages * PAGE_SIZE / 1024,
                   mm_free_pages() * PAGE_SIZE / 1024);
            last = pages;
        }
        thread_sleep_ns(20000000);
    }
}

static void work(void *arg)
{
    uint64_t *words = arg;

    for (uint64_t round = 1;; round++) {
        for (unsigned i = 0; i < WORK_PAGES * WORDS; i += 61) {
            words[i] = round ^ i;
        }
        for (unsigned i = 0; i < WORK_PAGES * WORDS; i += 61) {
            if (words[i] != (round ^ i)) {
                panic("vCPU %u: word %u is %#lx in round %lu", smp_id(), i, words[i], round);
            }
        }
    }
}

static void start_workers(void)
{
    for (unsigned id = 1; id < smp_vcpus(); id++) {
        void *pages = page_alloc(5);

        _Static_assert(WORK_PAGES == 1 << 5, "one block for each");
        if (!pages || smp_boot_vcpu(id, work, pages)) {
            panic("vCPU %u does not start", id);
        }
    }
}

int main(void)
{
    uint64_t word = 0;
    char line[64];

    start_workers();
    thread_create("tell", tell, NULL);
    for (;;) {
        console_readline(line, sizeof(line));
        if (strncmp(line, "fill ", 5) == 0) {
            word = strtoull(line + 5, NULL, 0);
            fill(word);
        } else if (strncmp(line, "look", 4) == 0) {
            look(line[4] ? strtoull(line + 5, NULL, 0) : word);
        } else if (strcmp(line, "hold") == 0) {
            hold();
        } else if (strcmp(line, "drop") == 0) {
            drop();
        } else if (strcmp(line, "quit") == 0) {
            return 0;
        } else {
            printf("balloon: fill WORD, look, hold, drop, quit\n");
        }
    }
}
