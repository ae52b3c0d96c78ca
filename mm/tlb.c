/* SPDX-License-Identifier: MIT */
/*
 * The TLB clock. Time advances when somebody stamps; a pCPU that flushes notes the time at which
 * its flush began. So for a stamp t and a pCPU's note n, n > t says: it flushed after the stamp.
 *
 * A request to another pCPU is a time in request[]: "be flushed later than this". It is a maximum,
 * so that requests of many pCPUs merge and no lock is needed. Who waits spins with
 * arch_cpu_relax(), which serves requests to itself; so two pCPUs that wait for each other both get
 * on.
 *
 * Who waits says so first (waits), and looks for requests after it has taken that back; a request
 * is written before `waits` is looked at. With full barriers between on both sides one of the two
 * sees the other's write.
 */
#include "mm/tlb.h"

#include "hv/arch.h"
#include "hv/config.h"

uint64_t tlb_now = 1;
static uint64_t safe_before; /* atomic: stamps below this are known to be safe */
struct tlb_pcpu tlb_pcpu[PCPU_MAX];

uint64_t tlb_stamp(void)
{
    /* Full barrier: the entry was cleared before; who flushes later and reads a later time sees it
     * cleared. */
    return __atomic_fetch_add(&tlb_now, 1, __ATOMIC_SEQ_CST);
}

void tlb_note_flushed(void)
{
    tlb_flush_end(arch_pcpu_id(), tlb_flush_begin());
}

static bool noted_after(unsigned pcpu, uint64_t stamp)
{
    return __atomic_load_n(&tlb_pcpu[pcpu].noted, __ATOMIC_SEQ_CST) > stamp;
}

bool tlb_flushed_since(uint64_t stamp)
{
    return noted_after(arch_pcpu_id(), stamp);
}

bool tlb_stamp_safe(uint64_t stamp)
{
    uint64_t mask, oldest = UINT64_MAX;

    if (stamp < __atomic_load_n(&safe_before, __ATOMIC_RELAXED) || stamp == 0)
        return true;
    for (mask = arch_pcpu_mask(); mask; mask &= mask - 1) {
        uint64_t noted = __atomic_load_n(&tlb_pcpu[__builtin_ctzll(mask)].noted, __ATOMIC_SEQ_CST);
        if (noted < oldest)
            oldest = noted;
    }
    __atomic_store_n(&safe_before, oldest, __ATOMIC_RELAXED);
    return stamp < oldest;
}

static void request_flush(unsigned pcpu, uint64_t stamp)
{
    uint64_t old = __atomic_load_n(&tlb_pcpu[pcpu].request, __ATOMIC_RELAXED);

    while (old < stamp && !__atomic_compare_exchange_n(&tlb_pcpu[pcpu].request, &old, stamp, true,
                                                       __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        ;
}

/* Makes each pCPU of the mask flush later than `stamp`, unless it did; false: all had. `lazy`:
 * those that wait may do so later, but before they go on. */
static bool flush_since(uint64_t mask, uint64_t stamp, bool lazy)
{
    uint64_t self = 1UL << arch_pcpu_id(), waiting = 0;
    bool flushed = false;

    for (uint64_t m = mask & ~self; m; m &= m - 1) {
        unsigned pcpu = (unsigned)__builtin_ctzll(m);
        if (noted_after(pcpu, stamp))
            continue;
        flushed = true;
        request_flush(pcpu, stamp);
        if (lazy && __atomic_load_n(&tlb_pcpu[pcpu].waits, __ATOMIC_SEQ_CST))
            continue;
        arch_send_ipi(pcpu, IPI_TLB);
        waiting |= 1UL << pcpu;
    }
    if ((mask & self) && !tlb_flushed_since(stamp)) {
        arch_tlb_flush_all();
        flushed = true;
    }
    if (!waiting)
        return flushed;
    tlb_wait_begin();
    for (; waiting; waiting &= waiting - 1)
        while (!noted_after((unsigned)__builtin_ctzll(waiting), stamp))
            arch_cpu_relax();
    tlb_wait_end();
    return flushed;
}

void tlb_wait_safe(uint64_t stamp)
{
    if (!tlb_stamp_safe(stamp))
        flush_since(arch_pcpu_mask(), stamp, false);
}

void tlb_flush_pcpus(uint64_t pcpus)
{
    pcpus &= arch_pcpu_mask();
    if (pcpus)
        flush_since(pcpus, tlb_stamp(), true);
}

bool tlb_flush_pcpus_since(uint64_t pcpus, uint64_t stamp)
{
    return flush_since(pcpus & arch_pcpu_mask(), stamp, true);
}

void tlb_flush_local(void)
{
    arch_tlb_flush_all();
}

void tlb_flush_va_local(uint64_t va)
{
    arch_tlb_flush_va(va);
}

void tlb_serve_requests(void)
{
    uint64_t wanted = __atomic_load_n(&tlb_pcpu[arch_pcpu_id()].request, __ATOMIC_SEQ_CST);

    if (wanted && !tlb_flushed_since(wanted))
        arch_tlb_flush_all();
}

void tlb_wait_begin(void)
{
    __atomic_store_n(&tlb_pcpu[arch_pcpu_id()].waits, true, __ATOMIC_RELEASE);
}

void tlb_wait_end(void)
{
    __atomic_store_n(&tlb_pcpu[arch_pcpu_id()].waits, false, __ATOMIC_SEQ_CST);
    tlb_serve_requests();
}
