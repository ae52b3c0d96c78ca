/* SPDX-License-Identifier: MIT */
/*
 * hostile: a guest that breaks the rules on purpose, one rule a run: `create hostile
 * cmdline="test=NAME"`. It prints what it tries. If it survives as it should: "hostile: NAME
 * survived", and it powers off; "hostile: NAME FAILED" means that the hypervisor let something
 * through. Otherwise the hypervisor must kill it, and only it, with a report.
 */
#include "hostile.h"

#include <stdio.h>
#include <string.h>

#include <rt/start.h>

static unsigned failures;

void expect(const char *what, long got, long wanted)
{
    printf("hostile: %s: %ld%s\n", what, got, got == wanted ? "" : " (WRONG)");
    failures += got != wanted;
}

void expect_refused(const char *what, long got)
{
    printf("hostile: %s: %ld%s\n", what, got, got < 0 ? "" : " (WRONG)");
    failures += got >= 0;
}

static uint64_t random_state = 1;

void random_seed(uint64_t seed)
{
    random_state = seed * 0x9e3779b97f4a7c15 | 1;
}

uint64_t random64(void)
{
    uint64_t state = random_state;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    random_state = state;
    return state;
}

static const struct question *const lists[] = {
    cpu_questions,   memory_questions, service_questions,     ring_questions,
    disk_questions,  race_questions,   race_memory_questions, review_questions,
    table_questions, fuzz_questions,   disk_fuzz_questions};
#define LISTS (sizeof lists / sizeof lists[0])

static const struct question *find(const char *name)
{
    for (unsigned i = 0; i < LISTS; i++) {
        for (const struct question *q = lists[i]; q->name; q++) {
            if (strcmp(q->name, name) == 0)
                return q;
        }
    }
    return NULL;
}

static void list_all(void)
{
    for (unsigned i = 0; i < LISTS; i++) {
        for (const struct question *q = lists[i]; q->name; q++)
            printf("  %-16s %s\n", q->name, q->tries);
    }
}

int main(void)
{
    char name[32] = "";
    const struct question *q;

    start_option("test", name, sizeof name);
    q = find(name);
    if (!q) {
        printf("hostile: no test \"%s\"; say test=NAME on the command line, one of:\n", name);
        list_all();
        return 0;
    }
    printf("hostile: %s: %s\n", q->name, q->tries);
    q->ask();
    printf("hostile: %s %s\n", q->name, failures ? "FAILED" : "survived");
    return 0;
}
