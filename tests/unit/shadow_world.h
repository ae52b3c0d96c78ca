/* SPDX-License-Identifier: MIT */
/*
 * A guest with four vCPUs on four pCPUs, and a neighbour with one on a fifth, whose hardware is
 * simulated down to the TLB and the paging-structure caches, so that tests of the shadow code see
 * what a processor would: it walks the shadow tables only, keeps stale translations as long as it
 * likes, sets A in upper entries, and takes faults to shadow_fault(). A naive reference walks the
 * guests' own tables.
 */
#ifndef TESTS_UNIT_SHADOW_WORLD_H
#define TESTS_UNIT_SHADOW_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mm/paging_priv.h"
#include "mm/share.h"
#include "tests/unit/fake_arch.h"

#define VCPUS     4
#define OTHER     VCPUS /* the neighbour's vCPU, on the pCPU of this number */
#define ALL_VCPUS (VCPUS + 1)
#ifndef GFNS
#define GFNS 64 /* RAM gfns of each: 0 .. GFNS - 1 at first */
#endif
#define P    PTE_P
#define RW   PTE_RW
#define A    PTE_A
#define D    PTE_D
#define NX   PTE_NX
#define FULL (P | RW | A | D | PTE_US)

struct world {
    struct paging *p;     /* the guest, domain 1 */
    struct paging *other; /* domain 2, whose frames are lent and shared */
    struct paging_vcpu v[ALL_VCPUS];
    bool running[ALL_VCPUS]; /* it has a root for its mode; else it would have crashed */
    /* The guest's gfns that may have been written since this was cleared, as far as update(),
     * cpu_access() and the test itself know. */
    bool touched[GFNS];
    /* Counts the frames that came to each gfn of each domain other than by copy-on-write. */
    uint32_t epoch[2][GFNS];
    uint64_t frames_before, heap_before;
    bool no_cache;       /* the processor caches nothing */
    bool (*evict)(void); /* shall it forget this cached translation now? NULL: never */
};
extern struct world w;

/* Domains with `pool` shadow tables, RAM at all gfns; vCPU i runs on pCPU i. */
void world_start(unsigned pool);
/* Whose vCPU is it? */
struct paging *paging_of(unsigned vcpu);
/* Tears down; the test fails if anything leaked. */
void world_stop(void);

/* The guest's memory, as the hypervisor sees it: no rules are checked. */
uint64_t *guest_page(uint64_t gfn);
uint64_t *memory_of(struct paging *p, uint64_t gfn);
/* Stores an entry before the table is in use. */
void poke(uint64_t table, unsigned slot, uint64_t gfn, uint64_t flags);
uint64_t peek(uint64_t table, unsigned slot);
/* L4 at gfn l4 -> L3 -> L2 -> L1 at the next three, by the slots of va. */
void build_tree(uint64_t l4, vaddr_t va);
vaddr_t va_of(unsigned s4, unsigned s3, unsigned s2, unsigned s1);

/* Hypercalls, with the lock. */
long update(uint64_t table, unsigned slot, uint64_t entry);
void set_root(unsigned vcpu, uint64_t gfn);
void load_root(unsigned vcpu); /* as when it is switched to */

enum access { READ, WRITE, FETCH };
enum outcome {
    OK,          /* the access was made: .mfn */
    GUEST_FAULT, /* .info.guest_error */
    STORE,       /* .info.gfn etc. */
    CRASH,
    ENDLESS, /* faults for ever: always a mistake */
};
struct result {
    enum outcome outcome;
    mfn_t mfn;
    bool from_tlb; /* no walk was needed */
    struct fault_info info;
};
struct result cpu_access(unsigned vcpu, vaddr_t va, enum access how);

/* What the guest's own tables and the p2m say, at this moment. */
struct reference {
    bool present, pse, bad_table,
        hole; /* walk ended: leaf found; large page; table that is no RAM; leaf that is nothing */
    bool writable, executable;
    bool all_accessed, dirty;
    uint64_t gfn, l1, path[LEVELS + 1];
    uint64_t leaf_slot_id;
};
struct reference reference_walk(unsigned vcpu, vaddr_t va);

/* The audit of mm/, every leaf that a processor can reach against the reference, every cached
 * translation, and the count of each frame's owners. */
void check_world(void);
/* The entries of one walk, and every shadow of one guest entry, against the reference. */
void check_walk(unsigned vcpu, vaddr_t va);
void check_entry(uint64_t table, unsigned slot);
/* No cached translation lets anybody write a table (S4), a clean frame or a shared one, or see what
 * a gfn had before copy-on-write. */
void check_cached(void);
/* Its pCPU waits for something from now on, until it accesses memory or is looked at: nobody waits
 * for its flushes. */
void let_wait(unsigned vcpu);
/* After a flush that the guest asked for, of one page or all: nothing is cached that its tables do
 * not allow. */
#define ALL_ADDRESSES (~0UL)
void check_flushed(unsigned vcpu, vaddr_t va);

/* One access, with its outcome and check_world() after it; by vCPU 0 where none is named. */
void expect_ok(unsigned vcpu, vaddr_t va, enum access how, uint64_t gfn);
void expect_fault(vaddr_t va, enum access how, uint32_t error);
void expect_crash(vaddr_t va, enum access how);
void expect_store(vaddr_t va, uint64_t gfn, bool writable);

#endif
