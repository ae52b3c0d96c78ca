/* SPDX-License-Identifier: MIT */
/*
 * Address spaces: random mmap, munmap, mprotect, mremap, madvise and fork on one area, with a model
 * of what each page must hold and allow. Accesses that are not allowed are tried too.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stress.h"

#define PAGES  512
#define ROUNDS 1500
#define BYTES  4096ul

/* A page of the model: `value` is in its first and last byte. */
struct page {
    int protection; /* PROT_*, or -1: not mapped */
    unsigned char value;
};

static struct page model[PAGES];
static unsigned char *area;
static sigjmp_buf on_fault;
static volatile uintptr_t fault_address;
static unsigned faults;
static uint64_t seed = 20240229;

static void handle_fault(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    fault_address = (uintptr_t)info->si_addr;
    siglongjmp(on_fault, 1);
}

/* Write `value`, or read if it is -1. The byte, or -1 after a fault. */
static int touch(volatile unsigned char *at, int value)
{
    if (sigsetjmp(on_fault, 1)) {
        if (fault_address != (uintptr_t)at)
            fail("a fault at %p says %#lx", (void *)at, (unsigned long)fault_address);
        faults++;
        return -1;
    }
    if (value >= 0)
        *at = (unsigned char)value;
    return *at;
}

static void check(unsigned n, int write)
{
    struct page *p = &model[n];
    int may = p->protection > 0 && (write ? p->protection & PROT_WRITE : p->protection & PROT_READ);
    unsigned char value = write ? (unsigned char)random_next(&seed) : p->value;
    int first = touch(area + n * BYTES, write ? value : -1);
    int last = touch(area + n * BYTES + BYTES - 1, write ? value : -1);

    if (first != (may ? value : -1) || last != first)
        fail("page %u, allowed %d, holds %d: %s gave %d and %d", n, p->protection, p->value,
             write ? "a write" : "a read", first, last);
    if (may)
        p->value = value;
}

static void map(unsigned n, unsigned count)
{
    static const int kinds[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE,
                                PROT_READ | PROT_WRITE};
    int protection = kinds[random_next(&seed) % 4];

    if (mmap(area + n * BYTES, count * BYTES, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
             -1, 0) == MAP_FAILED)
        fail("mmap of %u pages at %u", count, n);
    for (unsigned i = 0; i < count; i++)
        model[n + i] = (struct page){protection, 0};
}

static void unmap(unsigned n, unsigned count)
{
    if (munmap(area + n * BYTES, count * BYTES))
        fail("munmap");
    for (unsigned i = 0; i < count; i++)
        model[n + i].protection = -1;
}

static void protect(unsigned n, unsigned count)
{
    static const int kinds[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE};
    int protection = kinds[random_next(&seed) % 3];

    for (unsigned i = 0; i < count && model[n + i].protection >= 0; i++) {
        if (mprotect(area + (n + i) * BYTES, BYTES, protection))
            fail("mprotect");
        model[n + i].protection = protection;
    }
}

/* The pages move to another place. */
static void move(unsigned n, unsigned count)
{
    unsigned to = (unsigned)(random_next(&seed) % (PAGES - count));

    if (to < n + count && n < to + count)
        return;
    for (unsigned i = 1; i < count; i++)
        if (model[n + i].protection != model[n].protection)
            count = i;
    if (model[n].protection < 0)
        return;
    /* One mapping at a time: neighbours of one protection may be several. */
    for (unsigned i = 0; i < count; i++) {
        if (mremap(area + (n + i) * BYTES, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
                   area + (to + i) * BYTES) == MAP_FAILED)
            fail("mremap");
        model[to + i] = model[n + i];
        model[n + i].protection = -1;
    }
}

static void forget(unsigned n, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (model[n + i].protection >= 0) {
            if (madvise(area + (n + i) * BYTES, BYTES, MADV_DONTNEED))
                fail("madvise");
            model[n + i].value = 0;
        }
}

/* A child writes to what it shares with us, checks all, and we see nothing of it. */
static void copy_on_write(unsigned n, unsigned count)
{
    int status;
    pid_t pid = fork();

    if (!pid) {
        for (unsigned i = 0; i < count; i++)
            check(n + i, 1);
        for (unsigned i = 0; i < PAGES; i++)
            check(i, 0);
        _exit(0);
    }
    for (unsigned i = 0; i < count; i++)
        check(n + i, 1);
    if (waitpid(pid, &status, 0) != pid || status)
        fail("the child's pages are wrong: status %x", status);
}

static void step(void)
{
    static void (*const steps[])(unsigned n, unsigned count) = {map,     protect, map,    unmap,
                                                                protect, move,    forget, protect};
    unsigned count = 1 + (unsigned)(random_next(&seed) % 24);
    unsigned n = (unsigned)(random_next(&seed) % (PAGES - count));

    if (random_next(&seed) % 64 == 0)
        copy_on_write(n, count);
    else
        steps[random_next(&seed) % 8](n, count);
    for (unsigned i = 0; i < 8; i++)
        check((unsigned)(random_next(&seed) % PAGES), random_next(&seed) % 2);
}

void stress_memory(void)
{
    struct sigaction action = {.sa_sigaction = handle_fault, .sa_flags = SA_SIGINFO};
    uint64_t sum = 0;

    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    area = mmap(NULL, PAGES * BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED)
        fail("mmap");
    for (unsigned round = 0; round < ROUNDS; round++)
        step();
    for (unsigned n = 0; n < PAGES; n++) {
        check(n, 0);
        if (model[n].protection > 0)
            sum = checksum(sum, area + n * BYTES, BYTES);
    }
    printf("memory: %u steps, %u faults, checksum %016llx\n", ROUNDS, faults,
           (unsigned long long)sum);
}
