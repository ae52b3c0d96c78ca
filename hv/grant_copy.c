/* SPDX-License-Identifier: MIT */
/*
 * GNTTABOP_copy: bytes between two frames, each named by a grant reference of any domain or, for
 * the caller's own, by its frame number. A use is counted in the entry for the time of the copy,
 * and the frame is held, so that its granter can neither revoke nor free it.
 */
#include "hv/grant_priv.h"

#include <string.h>

struct side {
    struct domain *domain; /* with a reference */
    bool granted, readonly;
    uint32_t ref;
    struct frame_hold hold;
};

static void give_back(struct side *s)
{
    paging_release(&s->hold);
    if (s->granted)
        grant_unpin(s->domain, s->ref, s->readonly);
    domain_put(s->domain);
}

static int16_t take_frame(struct vcpu *v, const struct gnttab_copy_ptr *ptr, struct side *s)
{
    uint32_t gfn;
    int16_t status;

    if (!s->granted)
        return paging_hold(s->domain->paging, gfn_of(ptr->u.gmfn), !s->readonly, &s->hold)
                   ? GNTST_okay
                   : GNTST_bad_page;
    s->ref = ptr->u.ref;
    status = grant_pin(s->domain, s->ref, v->domain->id, s->readonly, false, &gfn);
    if (status != GNTST_okay)
        return status;
    if (paging_hold(s->domain->paging, gfn_of(gfn), !s->readonly, &s->hold))
        return GNTST_okay;
    grant_unpin(s->domain, s->ref, s->readonly);
    return GNTST_bad_page;
}

/* On success the caller gives it back. */
static int16_t take(struct vcpu *v, const struct gnttab_copy_ptr *ptr, struct side *s)
{
    int16_t status;

    if (!s->granted && ptr->domid != DOMID_SELF)
        return GNTST_permission_denied;
    s->domain = domain_get_for(v->domain, ptr->domid);
    if (!s->domain)
        return GNTST_bad_domain;
    status = take_frame(v, ptr, s);
    if (status != GNTST_okay)
        domain_put(s->domain);
    return status;
}

static bool in_page(const struct gnttab_copy_ptr *ptr, uint16_t len)
{
    return (uint32_t)ptr->offset + len <= PAGE_SIZE;
}

static int16_t copy(struct vcpu *v, const struct gnttab_copy *op)
{
    struct side from = {.granted = op->flags & GNTCOPY_source_gref, .readonly = true};
    struct side to = {.granted = op->flags & GNTCOPY_dest_gref, .readonly = false};
    int16_t status;

    if (!in_page(&op->source, op->len) || !in_page(&op->dest, op->len))
        return GNTST_bad_copy_arg;
    status = take(v, &op->source, &from);
    if (status != GNTST_okay)
        return status;
    status = take(v, &op->dest, &to);
    if (status == GNTST_okay) {
        /* Both may be the same frame. */
        memmove((char *)to.hold.va + op->dest.offset,
                (const char *)from.hold.va + op->source.offset, op->len);
        give_back(&to);
    }
    give_back(&from);
    return status;
}

void grant_copy_one(struct vcpu *v, void *arg)
{
    struct gnttab_copy *op = arg;
    op->status = copy(v, op);
}
