/* SPDX-License-Identifier: MIT */
/*
 * Grant tables: the frames, the entries' use counts, and the hypercall with its smaller operations.
 * The protocol with the guest's side is the one at the head of <xen/grant_table.h>: flags and domid
 * change by one 32-bit compare-and-exchange while the guest may change them too.
 */
#include "hv/grant_priv.h"

#include <stddef.h>
#include <xen/errno.h>
#include "hv/hypercall.h"
#include "hv/log.h"
#include "mm/frame.h"
#include "mm/guest.h"
#include "mm/heap.h"

#define PIN_RETRIES 5 /* a guest that rewrites its entry all the time gets an error */

/* ---- frames of the table ---- */

/* One more frame; grant lock held. */
static bool grow(struct domain *d)
{
    struct grant_table *gt = d->grant;
    struct grant_frame *f = &gt->frame[gt->frames];

    *f = (struct grant_frame){.mfn = frame_alloc(0, DOMID_XEN, FRAME_ALLOC_ZERO),
                              .gfn = INVALID_GFN};
    if (!mfn_valid(f->mfn))
        return false;
    f->active = heap_calloc(ENTRIES_PER_FRAME, sizeof *f->active);
    /* One reference is ours, one goes with the window's entry. */
    if (f->active && frame_get(frame_of(f->mfn), DOMID_XEN)) {
        paging_lock(d->paging);
        f->gfn = p2m_window_add(d->paging, P2M_SPECIAL, f->mfn, false);
        paging_unlock(d->paging);
        if (gfn_valid(f->gfn)) {
            gt->frames++;
            return true;
        }
        frame_put(frame_of(f->mfn));
    }
    heap_free(f->active);
    frame_put(frame_of(f->mfn));
    return false;
}

static bool grow_to(struct domain *d, unsigned frames)
{
    if (frames > d->grant->frames_max)
        return false;
    while (d->grant->frames < frames)
        if (!grow(d))
            return false;
    return true;
}

mfn_t grant_table_frame(struct domain *d, unsigned index)
{
    mfn_t mfn = INVALID_MFN;

    spin_lock(&d->grant->lock);
    if (index < GRANT_FRAMES && grow_to(d, index + 1))
        mfn = d->grant->frame[index].mfn;
    spin_unlock(&d->grant->lock);
    return mfn;
}

/* ---- entries (granter's lock held) ---- */

static bool ref_exists(const struct grant_table *gt, uint32_t ref)
{
    return ref / ENTRIES_PER_FRAME < gt->frames;
}

static struct grant_entry_v1 *entry_map(const struct grant_table *gt, uint32_t ref)
{
    return (struct grant_entry_v1 *)frame_map(gt->frame[ref / ENTRIES_PER_FRAME].mfn) +
           ref % ENTRIES_PER_FRAME;
}

static void entry_unmap(struct grant_entry_v1 *e)
{
    frame_unmap((void *)((uintptr_t)e & PAGE_MASK));
}

static struct grant_active *active_of(const struct grant_table *gt, uint32_t ref)
{
    return &gt->frame[ref / ENTRIES_PER_FRAME].active[ref % ENTRIES_PER_FRAME];
}

union status_word { /* what changes by one compare-and-exchange */
    struct {
        uint16_t flags;
        domid_t domid;
    };
    uint32_t word;
};

/* Sets GTF_reading (and GTF_writing). `first`: nobody pins it yet, so that type and user must be
 * checked. */
static int16_t set_status(struct grant_entry_v1 *e, domid_t user, bool readonly, bool first,
                          uint16_t type_mask)
{
    uint32_t *word = (uint32_t *)(void *)e;
    union status_word old = {.word = __atomic_load_n(word, __ATOMIC_ACQUIRE)}, new;

    for (unsigned i = 0; i < PIN_RETRIES; i++) {
        if (first && ((old.flags & type_mask) != GTF_permit_access || old.domid != user))
            return GNTST_general_error;
        if (!readonly && (old.flags & GTF_readonly))
            return GNTST_general_error;
        new = old;
        new.flags |= readonly ? GTF_reading : GTF_reading | GTF_writing;
        if (__atomic_compare_exchange_n(word, &old.word, new.word, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_ACQUIRE))
            return GNTST_okay;
    }
    return GNTST_general_error;
}

static int16_t pin_locked(struct grant_table *gt, uint32_t ref, domid_t user, bool readonly,
                          bool mapping)
{
    struct grant_active *a;
    struct grant_entry_v1 *e;
    int16_t status = GNTST_okay;

    if (!ref_exists(gt, ref))
        return GNTST_bad_gntref;
    a = active_of(gt, ref);
    if (a->pins && a->user != user)
        return GNTST_general_error;
    e = entry_map(gt, ref);
    if (!a->pins || (!readonly && !a->writers))
        status = set_status(e, user, readonly, !a->pins,
                            mapping ? GTF_type_mask | GTF_sub_page : GTF_type_mask);
    if (status == GNTST_okay) {
        if (!a->pins) {
            a->user = user;
            a->gfn = __atomic_load_n(&e->frame, __ATOMIC_ACQUIRE);
        }
        a->pins++;
        a->writers += !readonly;
    }
    entry_unmap(e);
    return status;
}

int16_t grant_pin(struct domain *granter, uint32_t ref, domid_t user, bool readonly, bool mapping,
                  uint32_t *gfn)
{
    struct grant_table *gt = granter->grant;
    int16_t status;

    spin_lock(&gt->lock);
    status = pin_locked(gt, ref, user, readonly, mapping);
    if (status == GNTST_okay)
        *gfn = active_of(gt, ref)->gfn;
    spin_unlock(&gt->lock);
    return status;
}

void grant_unpin(struct domain *granter, uint32_t ref, bool readonly)
{
    struct grant_table *gt = granter->grant;
    struct grant_active *a;
    struct grant_entry_v1 *e;
    uint16_t clear = 0;

    spin_lock(&gt->lock);
    a = active_of(gt, ref);
    if (!readonly && --a->writers == 0)
        clear |= GTF_writing;
    if (--a->pins == 0)
        clear |= GTF_reading;
    if (clear) {
        e = entry_map(gt, ref);
        __atomic_fetch_and(&e->flags, (uint16_t)~clear, __ATOMIC_SEQ_CST);
        entry_unmap(e);
    }
    spin_unlock(&gt->lock);
}

/* ---- small operations ---- */

/* The domain that a query is about, with a reference: the caller's own, or any for dom0. GNTST_*.
 */
static int16_t get_target(struct domain *caller, domid_t id, struct domain **out)
{
    struct domain *d = domain_get_for(caller, id);

    if (!d)
        return GNTST_bad_domain;
    if (d != caller && !caller->privileged) {
        domain_put(d);
        return GNTST_permission_denied;
    }
    *out = d;
    return GNTST_okay;
}

static int16_t give_frames(struct domain *d, uint64_t list, uint32_t count)
{
    xen_pfn_t gfns[GRANT_FRAMES];
    bool ok;

    spin_lock(&d->grant->lock);
    ok = count <= GRANT_FRAMES && grow_to(d, count);
    for (uint32_t i = 0; ok && i < count; i++)
        gfns[i] = d->grant->frame[i].gfn.n;
    spin_unlock(&d->grant->lock);
    if (!ok)
        return GNTST_general_error;
    return guest_write(list, gfns, count * sizeof gfns[0]) ? GNTST_bad_virt_addr : GNTST_okay;
}

static long setup_table(struct vcpu *v, uint64_t arg)
{
    struct gnttab_setup_table op;
    struct domain *d;

    if (guest_read(&op, arg, sizeof op))
        return -XEN_EFAULT;
    op.status = get_target(v->domain, op.dom, &d);
    if (op.status == GNTST_okay) {
        op.status = give_frames(d, (uint64_t)op.frame_list.p, op.nr_frames);
        domain_put(d);
    }
    return guest_write(arg, &op, sizeof op);
}

static long query_size(struct vcpu *v, uint64_t arg)
{
    struct gnttab_query_size op;
    struct domain *d;

    if (guest_read(&op, arg, sizeof op))
        return -XEN_EFAULT;
    op.status = get_target(v->domain, op.dom, &d);
    if (op.status == GNTST_okay) {
        op.nr_frames = d->grant->frames;
        op.max_nr_frames = d->grant->frames_max;
        domain_put(d);
    }
    return guest_write(arg, &op, sizeof op);
}

static long set_version(struct vcpu *v, uint64_t arg)
{
    struct gnttab_set_version op;
    long err = 0;

    if (guest_read(&op, arg, sizeof op))
        return -XEN_EFAULT;
    if (op.version != 1)
        err = refuse(v->domain, op.version == 2 ? -XEN_ENOSYS : -XEN_EINVAL,
                     "grant table version %u", op.version);
    op.version = 1;
    return guest_write(arg, &op, sizeof op) ? -XEN_EFAULT : err;
}

static long get_version(struct vcpu *v, uint64_t arg)
{
    struct gnttab_get_version op;
    struct domain *d;
    int16_t status;

    if (guest_read(&op, arg, sizeof op))
        return -XEN_EFAULT;
    status = get_target(v->domain, op.dom, &d);
    if (status != GNTST_okay)
        return status == GNTST_bad_domain ? -XEN_ESRCH : -XEN_EPERM;
    domain_put(d);
    op.version = 1;
    return guest_write(arg, &op, sizeof op);
}

/* Version 2 only. */
static long get_status_frames(struct vcpu *v, uint64_t arg)
{
    struct gnttab_get_status_frames op;
    struct domain *d;

    if (guest_read(&op, arg, sizeof op))
        return -XEN_EFAULT;
    op.status = get_target(v->domain, op.dom, &d);
    if (op.status == GNTST_okay) {
        op.status = GNTST_general_error;
        domain_put(d);
    }
    return guest_write(arg, &op, sizeof op);
}

/* Caches are coherent on this architecture: only the argument is checked. */
static void cache_flush_one(struct vcpu *v, struct gnttab_cache_flush *op, long *err)
{
    const uint32_t known = GNTTAB_CACHE_CLEAN | GNTTAB_CACHE_INVAL | GNTTAB_CACHE_SOURCE_GREF;

    if (op->offset >= PAGE_SIZE || op->length > PAGE_SIZE - op->offset || (op->op & ~known))
        *err = refuse(v->domain, -XEN_EINVAL, "cache flush of %u bytes", op->length);
    else if (op->op & GNTTAB_CACHE_SOURCE_GREF)
        *err = -XEN_EOPNOTSUPP;
}

static long cache_flush(struct vcpu *v, uint64_t arg, unsigned count)
{
    struct gnttab_cache_flush op;
    long err = 0;

    /* Nothing to do for any of them: the first ones stand for all. */
    for (unsigned i = 0; i < count && i < GRANT_BATCH && !err; i++) {
        if (guest_read_item(&op, arg, i))
            return -XEN_EFAULT;
        cache_flush_one(v, &op, &err);
    }
    return err;
}

/* Frames change owner nowhere else in this interface. GNTST_bad_page is the one error that leaves
 * the frame with the caller. */
static void transfer_one(struct vcpu *v, void *arg)
{
    struct gnttab_transfer *op = arg;
    op->status = GNTST_bad_page;
    (void)v;
}

static void swap_one(struct vcpu *v, void *arg)
{
    struct gnttab_swap_grant_ref *op = arg;
    struct grant_table *gt = v->domain->grant;

    spin_lock(&gt->lock);
    if (!ref_exists(gt, op->ref_a) || !ref_exists(gt, op->ref_b)) {
        op->status = GNTST_bad_gntref;
    } else if (active_of(gt, op->ref_a)->pins || active_of(gt, op->ref_b)->pins) {
        op->status = GNTST_eagain;
    } else {
        struct grant_entry_v1 *a = entry_map(gt, op->ref_a), *b = entry_map(gt, op->ref_b),
                              swap = *a;
        *a = *b;
        *b = swap;
        entry_unmap(b);
        entry_unmap(a);
        op->status = GNTST_okay;
    }
    spin_unlock(&gt->lock);
}

/* ---- the hypercall ---- */

/* The first `done` elements are finished: the call goes on behind them when it is executed again.
 */
static long continue_at(struct hypercall *call, uint64_t arg, unsigned count, unsigned done,
                        size_t size)
{
    call->arg[1] = guest_item_va(arg, done, size);
    call->arg[2] = count - done;
    return -XEN_ERESTART;
}

/* Elements one by one. Each is copied in, worked on, and copied back with its status. */
static long run_each(struct vcpu *v, struct hypercall *call, size_t size,
                     void (*fn)(struct vcpu *v, void *op))
{
    uint64_t arg = call->arg[1];
    unsigned count = (unsigned)call->arg[2];
    union {
        struct gnttab_map_grant_ref map;
        struct gnttab_transfer transfer;
        struct gnttab_copy copy;
        struct gnttab_swap_grant_ref swap;
    } op;

    for (unsigned i = 0; i < count; i++) {
        if (i && hypercall_preempt())
            return continue_at(call, arg, count, i, size);
        if (guest_read(&op, guest_item_va(arg, i, size), size))
            return -XEN_EFAULT;
        fn(v, &op);
        if (guest_write(guest_item_va(arg, i, size), &op, size))
            return -XEN_EFAULT;
    }
    return 0;
}

/* Unmaps in batches, so that they share a flush. What was read of a batch is worked on even if the
 * rest cannot be read. */
static long run_unmaps(struct vcpu *v, struct hypercall *call, bool replace)
{
    union {
        struct gnttab_unmap_grant_ref unmap[GRANT_BATCH];
        struct gnttab_unmap_and_replace replace[GRANT_BATCH];
    } ops;
    size_t size = replace ? sizeof ops.replace[0] : sizeof ops.unmap[0];
    uint64_t arg = call->arg[1];
    unsigned count = (unsigned)call->arg[2], done = 0, n;

    while (done < count) {
        if (done && hypercall_preempt())
            return continue_at(call, arg, count, done, size);
        n = count - done < GRANT_BATCH ? count - done : GRANT_BATCH;
        if (guest_read(&ops, guest_item_va(arg, done, size), n * size))
            return -XEN_EFAULT;
        if (replace)
            grant_unmap_and_replace_batch(v, ops.replace, n);
        else
            grant_unmap_batch(v, ops.unmap, n);
        if (guest_write(guest_item_va(arg, done, size), &ops, n * size))
            return -XEN_EFAULT;
        done += n;
    }
    return 0;
}

static long run_query(struct vcpu *v, unsigned cmd, uint64_t arg, unsigned count)
{
    if (count != 1 && cmd != GNTTABOP_set_version && cmd != GNTTABOP_get_version)
        return refuse(v->domain, -XEN_EINVAL, "grant op %u takes one element, not %u", cmd, count);
    switch (cmd) {
    case GNTTABOP_setup_table:
        return setup_table(v, arg);
    case GNTTABOP_query_size:
        return query_size(v, arg);
    case GNTTABOP_set_version:
        return set_version(v, arg);
    case GNTTABOP_get_version:
        return get_version(v, arg);
    default:
        return get_status_frames(v, arg);
    }
}

long grant_table_op(struct vcpu *v, struct hypercall *call, unsigned cmd, uint64_t arg,
                    unsigned count)
{
    if ((int)count < 0)
        return refuse(v->domain, -XEN_EINVAL, "%u elements", count);
    call->arg[1] = arg;
    call->arg[2] = count;
    switch (cmd) {
    case GNTTABOP_map_grant_ref:
        return run_each(v, call, sizeof(struct gnttab_map_grant_ref), grant_map_one);
    case GNTTABOP_unmap_grant_ref:
        return run_unmaps(v, call, false);
    case GNTTABOP_unmap_and_replace:
        return run_unmaps(v, call, true);
    case GNTTABOP_copy:
        return run_each(v, call, sizeof(struct gnttab_copy), grant_copy_one);
    case GNTTABOP_transfer:
        return run_each(v, call, sizeof(struct gnttab_transfer), transfer_one);
    case GNTTABOP_swap_grant_ref:
        return run_each(v, call, sizeof(struct gnttab_swap_grant_ref), swap_one);
    case GNTTABOP_cache_flush:
        return cache_flush(v, arg, count);
    case GNTTABOP_setup_table:
    case GNTTABOP_query_size:
    case GNTTABOP_set_version:
    case GNTTABOP_get_version:
    case GNTTABOP_get_status_frames:
        return run_query(v, cmd, arg, count);
    default:
        return refuse(v->domain, -XEN_ENOSYS, "grant op %u", cmd);
    }
}

long hypercall_grant_table_op(struct vcpu *v, struct hypercall *call)
{
    return grant_table_op(v, call, (unsigned)call->arg[0], call->arg[1], (unsigned)call->arg[2]);
}

/* ---- life ---- */

long grant_domain_init(struct domain *d, unsigned max_frames, unsigned max_maptrack_frames)
{
    struct grant_table *gt = heap_alloc(sizeof *gt);

    if (!gt)
        return refuse(d, -XEN_ENOMEM, "grant table");
    spin_lock_init(&gt->lock, LOCK_GRANT);
    gt->frames_max = max_frames && max_frames < GRANT_FRAMES ? max_frames : GRANT_FRAMES;
    gt->track_max = max_maptrack_frames ? max_maptrack_frames : MAPTRACK_FRAMES;
    if (gt->track_max > TRACK_FRAMES_MAX)
        gt->track_max = TRACK_FRAMES_MAX;
    gt->track = heap_calloc(gt->track_max, sizeof *gt->track);
    d->grant = gt;
    if (gt->track && grow(d))
        return 0;
    grant_domain_free(d);
    return refuse(d, -XEN_ENOMEM, "grant table");
}

void grant_domain_free(struct domain *d)
{
    struct grant_table *gt = d->grant;

    if (!gt)
        return;
    for (unsigned i = 0; i < gt->frames; i++) {
        heap_free(gt->frame[i].active);
        frame_put(frame_of(gt->frame[i].mfn));
    }
    grant_tracks_free(gt);
    heap_free(gt);
    d->grant = NULL;
}

unsigned grant_map_count(struct domain *d)
{
    return __atomic_load_n(&d->grant->track_live, __ATOMIC_RELAXED);
}

unsigned grant_handle_pages(struct domain *d)
{
    return __atomic_load_n(&d->grant->track_frames, __ATOMIC_RELAXED);
}
