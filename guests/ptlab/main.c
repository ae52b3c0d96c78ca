/* SPDX-License-Identifier: MIT */
/*
 * ptlab: the same work on page tables with each way of changing an entry, on all vCPUs at once,
 * each in a world and a family of its own and all of them in one that they share. See ptlab.h.
 * Command line:
 *
 *      way=NAME    one way only: hypercall, store, xchg, cmpxchg, lockand, bts, other
 *      rounds=N    how much work (4)
 *      steps=N     random changes and accesses of each round (600)
 *      vcpus=N     how many vCPUs do it (all that it has, 4 at most)
 *      writable=1  tables are mapped writable for all ways, not for `other` alone
 *      seed=N      another sequence (1); with one vCPU it is the same for every run and way
 *
 * Its last line is `ptlab: done` or, by a panic, what was wrong.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rt/clock.h>
#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/start.h>

#include "ptlab.h"

#define VCPUS_MAX   4
#define SHARED_SLOT 64
#define FIRST_SLOT  66

static struct lab crew[VCPUS_MAX];
static struct world *shared_world;
static unsigned vcpus, rounds, steps;
static unsigned generation, finished; /* atomic: work begun, and vCPUs that have done theirs */
static bool over;

struct lab *lab_self(void)
{
    return &crew[smp_id()];
}

void lab_failed(const struct lab *lab, int line, const char *format, ...)
{
    char text[200];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    panic("ptlab: FAILED: way %s, vCPU %u, check %lu (line %d): %s", way_names[lab->way], lab->id,
          lab->checks, line, text);
}

void lab_pause(void)
{
    struct sched_poll poll = {.timeout = clock_ns() + 100000};

    hypercall_sched_op(SCHEDOP_poll, &poll);
}

static void work(struct lab *lab)
{
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < steps; i++) {
            world_step(lab, lab_pick(lab, 16) ? lab->world : shared_world);
        }
        world_compare(lab, lab->world);
        family_storm(lab);
    }
    world_compare(lab, shared_world);
}

static unsigned load(const unsigned *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void wait_for(const unsigned *p, unsigned value)
{
    while (load(p) != value) {
        lab_pause();
    }
}

static void secondary(void *arg)
{
    struct lab *lab = arg;

    for (unsigned turn = 1;; turn++) {
        wait_for(&generation, turn);
        if (over) {
            return;
        }
        work(lab);
        __atomic_fetch_add(&finished, 1, __ATOMIC_RELEASE);
    }
}

static void set_up(enum way way, uint64_t seed)
{
    for (unsigned i = 0; i < vcpus; i++) {
        crew[i] = (struct lab){.id = i, .way = way, .random = seed * 1000003 + i, .way_random = i};
    }
    shared_world = world_create(&crew[0], SHARED_SLOT, true);
    for (unsigned i = 0; i < vcpus; i++) {
        crew[i].world = world_create(&crew[i], FIRST_SLOT + 2 * i, false);
        family_create(&crew[i]);
    }
    pt_flush_all();
}

static void take_down(void)
{
    for (unsigned i = 0; i < vcpus; i++) {
        family_destroy(&crew[i]);
        world_destroy(crew[i].world);
    }
    world_destroy(shared_world);
}

static void run(enum way way, uint64_t seed)
{
    uint64_t changes = 0, checks = 0, began = clock_ns();

    set_up(way, seed);
    finished = 0;
    __atomic_fetch_add(&generation, 1, __ATOMIC_RELEASE);
    work(&crew[0]);
    wait_for(&finished, vcpus - 1);
    for (unsigned i = 0; i < vcpus; i++) {
        changes += crew[i].changes;
        checks += crew[i].checks;
    }
    take_down();
    printf("ptlab: way %s: %lu changes, %lu checks, ok (%lu ms)\n", way_names[way], changes, checks,
           (clock_ns() - began) / 1000000);
}

static bool wanted(enum way way)
{
    char name[16];

    if (start_option("way", name, sizeof(name)) && strcmp(name, way_names[way])) {
        return false;
    }
    return way != WAY_OTHER || way_has_shadows();
}

int main(void)
{
    uint64_t seed = start_option_u64("seed", 1);
    unsigned most = smp_vcpus() < VCPUS_MAX ? smp_vcpus() : VCPUS_MAX, ways = 0;
    unsigned long pages;

    rounds = (unsigned)start_option_u64("rounds", 4);
    steps = (unsigned)start_option_u64("steps", 600);
    vcpus = (unsigned)start_option_u64("vcpus", most);
    vcpus = vcpus < 1 ? 1 : vcpus > most ? most : vcpus;
    probe_init();
    /* Without it a store through a read-only entry is this guest's own page fault. */
    hypercall_vm_assist(VMASST_CMD_enable, VMASST_TYPE_writable_pagetables);
    for (unsigned i = 1; i < vcpus; i++) {
        if (smp_boot_vcpu(i, secondary, &crew[i])) {
            panic("vCPU %u does not start", i);
        }
    }
    pages = mm_free_pages();
    printf("ptlab: %u vCPUs, %u rounds, seed %lu\n", vcpus, rounds, seed);
    for (enum way way = 0; way < WAYS; way++) {
        if (wanted(way)) {
            run(way, seed);
            ways++;
        }
    }
    if (!ways) {
        panic("ptlab: no such way here: hypercall, store, xchg, cmpxchg, lockand, bts, other");
    }
    if (pages - mm_free_pages() > 64) { /* malloc keeps what it has had, and tables of areas stay */
        panic("ptlab: %lu pages are missing", pages - mm_free_pages());
    }
    printf("ptlab: worst: %u instructions, ok\n", worst_run(&crew[0]));
    over = true;
    __atomic_fetch_add(&generation, 1, __ATOMIC_RELEASE);
    printf("ptlab: done\n");
    return 0;
}
