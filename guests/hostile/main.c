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

static const struct question *find(const struct question *list, const char *name)
{
    for (; list->name; list++) {
        if (strcmp(list->name, name) == 0)
            return list;
    }
    return NULL;
}

static void list_all(const struct question *list)
{
    for (; list->name; list++)
        printf("  %-16s %s\n", list->name, list->tries);
}

int main(void)
{
    char name[32] = "";
    const struct question *q;

    start_option("test", name, sizeof name);
    q = find(cpu_questions, name);
    if (!q)
        q = find(memory_questions, name);
    if (!q)
        q = find(service_questions, name);
    if (!q) {
        printf("hostile: no test \"%s\"; say test=NAME on the command line, one of:\n", name);
        list_all(cpu_questions);
        list_all(memory_questions);
        list_all(service_questions);
        return 0;
    }
    printf("hostile: %s: %s\n", q->name, q->tries);
    q->ask();
    printf("hostile: %s %s\n", q->name, failures ? "FAILED" : "survived");
    return 0;
}
