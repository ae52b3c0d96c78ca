/* SPDX-License-Identifier: MIT */
/*
 * PENUMBRA_OP_trace: the scheduler's trace for domain 0. The rings stay the hypervisor's own;
 * domain 0 gets copies of records. The control lock is held throughout.
 */
#include "hv/trace_op.h"

#include <xen/errno.h>
#include "hv/arch.h"
#include "hv/config.h"
#include "hv/domain.h"
#include "hv/log.h"
#include "mm/frame.h"
#include "mm/guest.h"
#include "sched/trace.h"

#define BATCH        32u  /* records copied at once, by way of the stack */
#define READ_MAX     512u /* records of one call: some 20 us */
#define MARK_MAX     512u /* vCPUs of one call that are recorded */
#define RECORDS(kib) ((kib)*1024 / (uint32_t)sizeof(struct trace_record))

static struct {
    mfn_t ring[PCPU_MAX];
    unsigned pcpus, order;
    uint32_t kib; /* of each; 0: there are none */
} memory;

static void free_rings(void)
{
    for (unsigned p = 0; p < memory.pcpus; p++)
        frame_free(memory.ring[p], memory.order);
    memory.pcpus = 0;
    memory.kib = 0;
}

static void clear(void)
{
    trace_take();
    free_rings();
}

static long alloc_rings(unsigned pcpus, uint32_t kib)
{
    memory.order = (unsigned)__builtin_ctz(kib * 1024 >> PAGE_SHIFT);
    for (unsigned p = 0; p < pcpus; p++) {
        mfn_t ring = frame_alloc(memory.order, DOMID_XEN, 0);

        if (mfn_equal(ring, INVALID_MFN)) {
            free_rings();
            return refuse(NULL, -XEN_ENOMEM, "trace: no %u KiB for pCPU %u", kib, p);
        }
        memory.ring[memory.pcpus++] = ring;
    }
    memory.kib = kib;
    return 0;
}

static long start(const struct penumbra_trace *t)
{
    struct trace_record *rings[PCPU_MAX];
    long rc;

    if (t->kib < PENUMBRA_TRACE_KIB_MIN || t->kib > PENUMBRA_TRACE_KIB_MAX ||
        (t->kib & (t->kib - 1)))
        return refuse(NULL, -XEN_EINVAL, "trace: rings of %u KiB", t->kib);
    clear();
    rc = alloc_rings(arch_pcpu_count(), t->kib);
    if (rc)
        return rc;
    for (unsigned p = 0; p < memory.pcpus; p++)
        rings[p] = frame_map(memory.ring[p]); /* as long as they live */
    trace_start(rings, memory.pcpus, RECORDS(t->kib));
    return 0;
}

static void mark_domain(struct domain *d, uint64_t now)
{
    unsigned weight, cap;

    sched_get_params(d, &weight, &cap);
    trace_params(d->id, weight, cap, now);
    for (unsigned i = 0; i < d->vcpu_max; i++) {
        struct vcpu_runstate_info info;
        struct vcpu *v = d->vcpu[i];

        if (!v)
            continue;
        sched_runstate(v, &info);
        trace_state(v, info.state, __atomic_load_n(&v->sched.pcpu, __ATOMIC_RELAXED),
                    info.state_entry_time, now);
    }
}

/* From domain number `first` on, as many as are done in a short time; `first` becomes the number to
 * go on from, `count` is 0 at the end. */
static void mark(struct penumbra_trace *t)
{
    unsigned vcpus = 0;
    struct domain *d;

    t->count = 0;
    while (t->first < DOMID_FIRST_RESERVED && (d = domain_next((domid_t)t->first))) {
        mark_domain(d, arch_time_ns());
        t->first = d->id + 1u;
        vcpus += d->vcpu_max + 1;
        domain_put(d);
        if (vcpus >= MARK_MAX) {
            t->count = 1;
            return;
        }
    }
}

static void status(struct penumbra_trace *t)
{
    t->on = trace_on;
    t->kib = memory.kib;
    t->pcpus = arch_pcpu_count();
    t->first = trace_oldest(t->pcpu);
    t->count = trace_head(t->pcpu) - t->first;
}

/* Bounded in tries as well as in records: a producer that is always faster must not keep us. */
static long read(struct penumbra_trace *t)
{
    struct trace_record batch[BATCH];
    uint64_t first = t->first, done = 0, most = t->count < READ_MAX ? t->count : READ_MAX;

    for (unsigned tries = 0; done < most && tries < 2 * READ_MAX / BATCH; tries++) {
        uint64_t from = first + done;
        unsigned want = most - done < BATCH ? (unsigned)(most - done) : BATCH;
        unsigned got = trace_read(t->pcpu, &from, batch, want);

        if (from != first + done) {
            if (done) /* there is a gap: the next call says so */
                break;
            first = from;
        }
        if (!got && from >= trace_head(t->pcpu))
            break;
        for (unsigned i = 0; i < got; i++)
            if (guest_write_item(&batch[i], t->buffer, done + i))
                return -XEN_EFAULT;
        done += got;
    }
    t->first = first;
    t->count = done;
    return 0;
}

long trace_op(struct penumbra_trace *t)
{
    if ((t->cmd == PENUMBRA_TRACE_status || t->cmd == PENUMBRA_TRACE_read) &&
        t->pcpu >= arch_pcpu_count())
        return refuse(NULL, -XEN_EINVAL, "trace: pCPU %u", t->pcpu);
    switch (t->cmd) {
    case PENUMBRA_TRACE_start:
        return start(t);
    case PENUMBRA_TRACE_stop:
        trace_stop();
        return 0;
    case PENUMBRA_TRACE_clear:
        clear();
        return 0;
    case PENUMBRA_TRACE_status:
        status(t);
        return 0;
    case PENUMBRA_TRACE_mark:
        mark(t);
        return 0;
    case PENUMBRA_TRACE_read:
        return read(t);
    default:
        return refuse(NULL, -XEN_ENOSYS, "trace: operation %u", t->cmd);
    }
}
