/* SPDX-License-Identifier: MIT */
/*
 * The producer writes a slot, then says so by raising `head` (release). A reader copies, then looks
 * at `head` again: slots that the producer may have been at meanwhile are left out. So the producer
 * never waits.
 *
 * Turning it off is the only thing that needs more: whoever records says `busy` and looks again
 * whether tracing is on; whoever turns it off writes that, then waits for all that are busy. With a
 * full barrier between write and look on both sides, one sees the other.
 */
#include "sched/trace.h"

#include <stddef.h>
#include "hv/arch.h"
#include "hv/config.h"
#include "hv/domain.h"

bool trace_on;

static struct trace_ring {
    struct trace_record *slot;
    uint64_t head; /* records ever written */
    bool busy;
} __attribute__((aligned(64))) rings[PCPU_MAX];

static uint32_t capacity; /* of each: a power of two, 0 without rings */
static unsigned ring_count;

/* ---- recording ---- */

uint32_t trace_name(const struct vcpu *v)
{
    return TRACE_VCPU(v->domain->id, v->id);
}

void trace_put(uint32_t header, uint64_t now, uint32_t a, uint32_t b, uint64_t c)
{
    struct trace_ring *r = &rings[arch_pcpu_id()];

    __atomic_store_n(&r->busy, true, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with trace_stop() */
    if (__atomic_load_n(&trace_on, __ATOMIC_ACQUIRE) && r->slot) {
        r->slot[r->head & (capacity - 1)] =
            (struct trace_record){.header = header,
                                  .time_lo = (uint32_t)now,
                                  .time_hi = (uint32_t)(now >> 32),
                                  .word = {a, b, (uint32_t)c, (uint32_t)(c >> 32)}};
        __atomic_store_n(&r->head, r->head + 1, __ATOMIC_RELEASE); /* pairs with trace_read() */
    }
    __atomic_store_n(&r->busy, false, __ATOMIC_RELEASE);
}

/* ---- control ---- */

void trace_start(struct trace_record *const *slots, unsigned pcpus, uint32_t records)
{
    ring_count = pcpus;
    capacity = records;
    for (unsigned p = 0; p < pcpus; p++) { /* `busy` stays: it is its pCPU's */
        rings[p].slot = slots[p];
        rings[p].head = 0;
    }
    __atomic_store_n(&trace_on, true, __ATOMIC_RELEASE);
}

void trace_stop(void)
{
    __atomic_store_n(&trace_on, false, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with trace_put() */
    for (unsigned p = 0; p < PCPU_MAX; p++)
        while (__atomic_load_n(&rings[p].busy, __ATOMIC_ACQUIRE))
            arch_cpu_relax();
}

void trace_take(void)
{
    trace_stop();
    for (unsigned p = 0; p < PCPU_MAX; p++)
        rings[p].slot = NULL;
    capacity = 0;
    ring_count = 0;
}

/* ---- reading ---- */

/* While the producer writes record `head`, the slot of record head - capacity is not whole. */
static uint64_t oldest_at(uint64_t head)
{
    return capacity && head >= capacity ? head - capacity + 1 : 0;
}

uint64_t trace_head(unsigned pcpu)
{
    return pcpu < ring_count ? __atomic_load_n(&rings[pcpu].head, __ATOMIC_ACQUIRE) : 0;
}

uint64_t trace_oldest(unsigned pcpu)
{
    return oldest_at(trace_head(pcpu));
}

uint32_t trace_capacity(void)
{
    return capacity;
}

unsigned trace_read(unsigned pcpu, uint64_t *first, struct trace_record *to, unsigned max)
{
    uint64_t head = trace_head(pcpu), oldest = oldest_at(head), from = *first;
    unsigned n, lost = 0;

    if (from < oldest)
        from = oldest;
    for (n = 0; n < max && from + n < head; n++)
        to[n] = rings[pcpu].slot[(from + n) & (capacity - 1)];
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* the copy is done before the second look */
    oldest = trace_oldest(pcpu);
    while (lost < n && from + lost < oldest)
        lost++;
    for (unsigned i = 0; lost && i + lost < n; i++)
        to[i] = to[i + lost];
    *first = from + lost;
    return n - lost;
}
