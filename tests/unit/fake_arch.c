/* SPDX-License-Identifier: MIT */
/* See fake_arch.h. Real panics end the test program with a message. */
#include "tests/unit/fake_arch.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/arch.h"
#include "hv/lock.h"
#include "hv/log.h"
#include "mm/frame.h"
#include "mm/paging.h"
#include "mm/tlb.h"

#define WEAK __attribute__((weak))

struct fake_machine fake = {.pcpus = 1};
static void *table;
WEAK char *arch_ram;

/* For tests that have no frames. */
WEAK void frame_table_init(void *t, uint64_t count)
{
    (void)t;
    (void)count;
}

WEAK void frame_add_range(maddr_t start, maddr_t end)
{
    (void)start;
    (void)end;
}

WEAK void tlb_serve_requests(void)
{
}

WEAK uint64_t tlb_now;
WEAK struct tlb_pcpu tlb_pcpu[PCPU_MAX];

void fake_machine_start(uint64_t frames, unsigned pcpus)
{
    fake_machine_stop();
    fake = (struct fake_machine){.pcpus = pcpus, .frames = frames};
    arch_ram = aligned_alloc(PAGE_SIZE, frames * PAGE_SIZE);
    memset(arch_ram, 0xa5, frames * PAGE_SIZE);
    table = malloc(frames * sizeof(struct frame));
    frame_table_init(table, frames);
    frame_add_range(PAGE_SIZE, frames * PAGE_SIZE);
    for (fake.pcpu = 0; fake.pcpu < pcpus; fake.pcpu++)
        arch_tlb_flush_all();
    fake.pcpu = 0;
}

void fake_machine_stop(void)
{
    free(arch_ram);
    free(table);
    arch_ram = NULL;
    table = NULL;
}

/* ---- pCPUs ---- */

WEAK unsigned arch_pcpu_id(void)
{
    return fake.pcpu;
}

WEAK unsigned arch_pcpu_count(void)
{
    return fake.pcpus;
}

WEAK uint64_t arch_pcpu_mask(void)
{
    return fake.pcpus == 64 ? ~0UL : (1UL << fake.pcpus) - 1;
}

/* Who waits in a test waits for pCPUs that the test does not run: they answer here. */
WEAK void arch_cpu_relax(void)
{
    unsigned self = fake.pcpu;

    for (fake.pcpu = 0; fake.pcpu < fake.pcpus; fake.pcpu++)
        tlb_serve_requests();
    fake.pcpu = self;
}

WEAK void arch_halt_forever(void)
{
    abort();
}

WEAK void arch_send_ipi(unsigned pcpu, enum ipi ipi)
{
    (void)ipi;
    fake.ipis[pcpu]++;
}

WEAK void arch_request_resched(unsigned pcpu)
{
    fake.rescheds[pcpu]++;
}

WEAK void arch_idle_wait(void)
{
}

WEAK uint64_t arch_ticks_per_us = 1000;

WEAK uint64_t arch_ticks(void)
{
    return fake.now_ns;
}

WEAK uint64_t arch_time_ns(void)
{
    return fake.now_ns;
}

WEAK void arch_timer_program(uint64_t deadline_ns)
{
    fake.timer[fake.pcpu] = deadline_ns;
}

/* ---- memory ---- */

WEAK void arch_tlb_flush_all(void)
{
    uint64_t began = tlb_flush_begin();

    fake.flushes[fake.pcpu]++;
    if (fake.on_flush)
        fake.on_flush(fake.pcpu);
    tlb_flush_end(fake.pcpu, began);
}

WEAK void arch_tlb_flush_va(uint64_t va)
{
    if (fake.on_flush_va)
        fake.on_flush_va(fake.pcpu, va);
}

WEAK void arch_root_init(uint64_t *root_l4)
{
    for (unsigned slot = 257; slot <= 271; slot++)
        root_l4[slot] = 0xdead000 | slot;
}

/* Tests of hypercalls: the guest's addresses are the test's own. */
WEAK bool arch_guest_range(uint64_t va, size_t bytes)
{
    return va + bytes >= va;
}

WEAK size_t arch_copy_from_guest(void *dst, uint64_t va, size_t bytes)
{
    memcpy(dst, (const void *)va, bytes);
    return 0;
}

WEAK size_t arch_copy_to_guest(uint64_t va, const void *src, size_t bytes)
{
    memcpy((void *)va, src, bytes);
    return 0;
}

WEAK bool arch_read_words(uint64_t *dst, uint64_t va, size_t words)
{
    return !arch_copy_from_guest(dst, va, words * sizeof *dst);
}

WEAK enum mmio_access mmio_access(mfn_t mfn)
{
    if (mfn.n == FAKE_MMIO)
        return MMIO_READ_WRITE;
    return mfn.n == FAKE_MMIO + 1 ? MMIO_READ : MMIO_DENIED;
}

/* ---- locks ---- */

WEAK void spin_lock_checked(struct spinlock *l)
{
    if (l->pcpu)
        panic("lock of rank %u is held already", l->rank);
    l->pcpu = (uint16_t)(fake.pcpu + 1);
}

WEAK void spin_unlock_checked(struct spinlock *l)
{
    if (!l->pcpu)
        panic("lock of rank %u is not held", l->rank);
    l->pcpu = 0;
}

WEAK bool spin_trylock(struct spinlock *l)
{
    if (l->pcpu)
        return false;
    spin_lock(l);
    return true;
}

WEAK bool spin_held(const struct spinlock *l)
{
    return l->pcpu == fake.pcpu + 1;
}

WEAK void spin_lock_pair(struct spinlock *a, struct spinlock *b)
{
    spin_lock(a);
    if (b && b != a)
        spin_lock(b);
}

WEAK void spin_unlock_pair(struct spinlock *a, struct spinlock *b)
{
    if (b && b != a)
        spin_unlock(b);
    spin_unlock(a);
}

/* ---- log ---- */

WEAK void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("panic: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputs("\n", stderr);
    va_end(ap);
    abort();
}

WEAK void log_printf(enum log_level level, const char *fmt, ...)
{
    (void)level;
    (void)fmt;
    fake.log_lines++;
}

WEAK long refuse_log(const struct domain *d, long err, const char *file, int line, const char *fmt,
                     ...)
{
    (void)d;
    (void)file;
    (void)line;
    (void)fmt;
    return err;
}
