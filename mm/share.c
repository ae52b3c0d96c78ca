/* SPDX-License-Identifier: MIT */
/*
 * See share.h. The count of references says who is alone: a gfn's domain looks at it with its
 * paging lock held, and if the only reference is that gfn's own nobody else can get one.
 *
 * Who may still have what cached (S3):
 *   - before a frame is shared it becomes unwritable, as a page table does;
 *   - who takes a copy flushes its own pCPUs before it goes on, or its other vCPUs would read the
 *     old frame beside the new one;
 *   - whoever leaves a shared frame stamps it, and who begins to share it: the last one, which
 *     writes it, waits for that.
 */
#include "mm/share.h"

#include <string.h>
#include <xen/errno.h>
#include <xen/xen.h>

#include "mm/rmap.h"
#include "mm/tlb.h"

/* The frame is this gfn's alone: translations that any of ours has cached stay right. */
static void take_over(struct paging *p, struct gfn_record *r, gfn_t gfn, struct frame *f)
{
    tlb_wait_safe(__atomic_load_n(&f->stamp, __ATOMIC_ACQUIRE));
    f->owner = p->domid;
    f->gfn_hint = (uint32_t)gfn.n;
    r->word = (r->word & (PTE_ADDR | GFN_FULL)) | P2M_RAM | log_flag(p, gfn);
}

static long take_copy(struct paging *p, struct gfn_record *r, gfn_t gfn, struct frame *f)
{
    /* Ours at first: a domain's frame would be scrubbed before it is overwritten. */
    mfn_t own = frame_alloc(0, DOMID_XEN, 0);

    if (!mfn_valid(own))
        return -XEN_ENOMEM;
    void *from = frame_map(record_mfn(r)), *to = frame_map(own);
    memcpy(to, from, PAGE_SIZE);
    frame_unmap(to);
    frame_unmap(from);
    frame_of(own)->owner = p->domid;
    frame_of(own)->gfn_hint = (uint32_t)gfn.n;

    rmap_remove_all(p, r);
    r->word = mfn_to_maddr(own) | P2M_RAM | log_flag(p, gfn);
    tables_changed(p);
    shadow_flush_removed(p);
    frame_stamp(f);
    frame_put(f);
    return 0;
}

long share_break(struct paging *p, struct gfn_record *r, gfn_t gfn)
{
    if (!r || record_type(r) != P2M_SHARED)
        return -XEN_EINVAL;
    struct frame *f = frame_of(record_mfn(r));
    if (__atomic_load_n(&f->refs, __ATOMIC_ACQUIRE) != 1)
        return take_copy(p, r, gfn, f);
    take_over(p, r, gfn, f);
    return 0;
}

long paging_unshare(struct paging *p, gfn_t gfn)
{
    struct gfn_record *r;
    long err;

    paging_lock(p);
    r = p2m_record(p, gfn.n);
    err = record_own(p, r, gfn);
    paging_unlock(p);
    return err;
}

/* Makes RAM shared, for now with its only reference. */
static long give_up(struct paging *p, struct gfn_record *r)
{
    struct frame *f = frame_of(record_mfn(r));

    if (r->aliases || __atomic_load_n(&f->refs, __ATOMIC_ACQUIRE) != 1)
        return -XEN_EBUSY;
    if (!shadow_protect(p, r))
        return -XEN_EBUSY;
    /* A table is made again when it is walked again, and gets a frame of its own by that. */
    shadow_release_all(p, r);
    frame_stamp(
        f); /* who had it lent for reading may have it cached, and it may change hands now */
    f->owner = DOMID_COW;
    r->word = (r->word & (PTE_ADDR | GFN_FULL)) | P2M_SHARED;
    tables_changed(p);
    return 0;
}

/* The gfn's frame, shared, with a reference for the caller. */
static long share_out(struct paging *p, gfn_t gfn, mfn_t *mfn)
{
    struct gfn_record *r = p2m_record(p, gfn.n);
    long err = 0;

    if (p->dying || !record_is_memory(r))
        return -XEN_EINVAL;
    if (record_is_ram(r))
        err = give_up(p, r);
    if (err)
        return err;
    *mfn = record_mfn(r);
    return frame_get(frame_of(*mfn), DOMID_COW) ? 0 : -XEN_EBUSY;
}

/* Undoes what share_out() did: memory is needed only where others have the frame, and then nothing
 * is to be undone. */
static void take_back(struct paging *p, gfn_t gfn)
{
    struct gfn_record *r;

    paging_lock(p);
    r = p2m_record(p, gfn.n);
    if (r && record_type(r) == P2M_SHARED && frame_of(record_mfn(r))->refs == 1)
        share_break(p, r, gfn);
    paging_unlock(p);
}

long paging_share(struct paging *from, gfn_t gfn, struct paging *to, gfn_t to_gfn)
{
    mfn_t mfn;
    long err;

    if ((from->flags | to->flags) & PAGING_DIRECT)
        return -XEN_EINVAL;
    paging_lock(from);
    err = share_out(from, gfn, &mfn);
    paging_unlock(from);
    if (err)
        return err;
    paging_lock(to);
    err = p2m_add_shared(to, to_gfn, mfn);
    paging_unlock(to);
    if (err) {
        frame_put(frame_of(mfn));
        take_back(from, gfn);
    }
    return err;
}
