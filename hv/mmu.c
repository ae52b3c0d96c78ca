/* SPDX-License-Identifier: MIT */
/*
 * Page-table hypercalls: mmu_update, update_va_mapping, mmuext_op. They resolve domains and copy
 * arguments; the work is mm/'s.
 *
 * Requests are copied in chunks before the paging lock is taken: reading guest memory may fault,
 * and the fault takes that lock.
 */
#include "hv/mmu.h"

#include <stddef.h>
#include <xen/xen.h>
#include <xen/errno.h>
#include "hv/arch.h"
#include "hv/domain.h"
#include "hv/hypercall.h"
#include "hv/log.h"
#include "hv/vcpu.h"
#include "mm/guest.h"

/* In the count argument of a continued call: the counter of requests done holds a part already. */
#define MMU_UPDATE_PREEMPTED (1u << 31)

#define CHUNK         32
#define ENTRY_PRESENT 1UL
#define ENTRY_RW      2UL
#define ENTRY_ADDR    0x000ffffffffff000UL

/* Whose frames do new entries name? *owner is NULL for the caller's own (and MMIO, which only
 * dom0's p2m has). */
static long frame_owner(struct vcpu *v, uint64_t domid, struct domain **owner)
{
    *owner = NULL;
    if (domid == DOMID_SELF || domid == v->domain->id)
        return 0;
    if (!v->domain->privileged)
        return refuse(v->domain, domid == DOMID_IO ? 0 : -XEN_EPERM, "frames of domain %lu", domid);
    if (domid == DOMID_IO)
        return 0;
    *owner = domain_get((domid_t)domid);
    return *owner ? 0 : refuse(v->domain, -XEN_ESRCH, "domain %lu does not exist", domid);
}

/* Writes an entry that names a frame of another domain. A reference is taken there and moves to the
 * alias. */
static long update_foreign(struct domain *d, struct domain *owner, gfn_t table, unsigned offset,
                           uint64_t entry)
{
    bool readonly = !(entry & ENTRY_RW);
    gfn_t gfn = gfn_of((entry & ENTRY_ADDR) >> PAGE_SHIFT);
    mfn_t mfn = paging_alias_get(owner->paging, gfn, readonly);
    long err;

    if (!mfn_valid(mfn))
        return refuse(d, -XEN_EINVAL, "frame %lx of domain %d", gfn.n, owner->id);
    paging_lock(d->paging);
    err = shadow_update_foreign(d->paging, table, offset, entry & ~ENTRY_ADDR, mfn, readonly);
    paging_unlock(d->paging);
    if (err)
        paging_alias_put(mfn, readonly);
    return err;
}

/* A request that needs the domain's own tables only. Its paging lock is held. */
static long update_own(struct domain *d, const struct mmu_update *u)
{
    gfn_t table = gfn_of(u->ptr >> PAGE_SHIFT);

    switch (u->ptr & 7) {
    case MMU_NORMAL_PT_UPDATE:
    case MMU_PT_UPDATE_NO_TRANSLATE: /* there is nothing to translate here */
        return shadow_update(d->paging, table, u->ptr & (PAGE_SIZE - 8), u->val, 0);
    case MMU_PT_UPDATE_PRESERVE_AD:
        return shadow_update(d->paging, table, u->ptr & (PAGE_SIZE - 8), u->val,
                             SHADOW_PRESERVE_AD);
    case MMU_MACHPHYS_UPDATE: /* the offset in the frame is of no meaning */
        return m2p_set(d->paging, table, u->val);
    default: /* an address that is not aligned, too */
        return refuse(d, -XEN_ENOSYS, "mmu_update command %lu", u->ptr & 7);
    }
}

/* One request whose new entry names a frame of `owner`, or whose machine-to-phys entry is the
 * owner's. */
static long update_other(struct domain *d, struct domain *owner, const struct mmu_update *u)
{
    unsigned command = u->ptr & 3;
    struct domain *locked = command == MMU_MACHPHYS_UPDATE ? owner : d;
    long err;

    if ((u->val & ENTRY_PRESENT) && !(u->ptr & 4) && command != MMU_MACHPHYS_UPDATE)
        return update_foreign(d, owner, gfn_of(u->ptr >> PAGE_SHIFT), u->ptr & (PAGE_SIZE - 8),
                              u->val);
    paging_lock(locked->paging);
    err = update_own(locked, u);
    paging_unlock(locked->paging);
    return err;
}

/* Applies requests in order until one fails; *done counts those that did not. */
static long update_chunk(struct domain *d, struct domain *owner, const struct mmu_update *u,
                         unsigned count, unsigned *done)
{
    long err = 0;
    unsigned i;

    if (owner) {
        for (i = 0; i < count && !err; i += !err)
            err = update_other(d, owner, &u[i]);
    } else {
        paging_lock(d->paging); /* once for all of them: this is a guest's hottest path */
        for (i = 0; !err && (i += shadow_update_plain(d->paging, u + i, count - i)) < count;) {
            err = update_own(d, &u[i]);
            i += !err;
        }
        paging_unlock(d->paging);
    }
    *done += i;
    return err;
}

/* How many requests are done, in all, goes to the guest's counter; it accumulates over
 * continuations. */
static long report_done(uint64_t counter_va, unsigned done, bool continued)
{
    uint32_t total = 0;

    if (!counter_va)
        return 0;
    if (continued && guest_read(&total, counter_va, sizeof total))
        return -XEN_EFAULT;
    total += done;
    return guest_write(counter_va, &total, sizeof total);
}

/* Applies up to `count` requests of the guest's list; *done counts them. */
static long update_list(struct vcpu *v, struct domain *owner, uint64_t list, unsigned count,
                        unsigned *done)
{
    struct mmu_update chunk[CHUNK];
    long err;

    for (*done = 0; *done < count;) {
        unsigned n = count - *done < CHUNK ? count - *done : CHUNK;

        if (guest_read(chunk, guest_item_va(list, *done, sizeof chunk[0]), n * sizeof chunk[0]))
            return refuse(v->domain, -XEN_EFAULT, "mmu_update list at %lx", list);
        err = update_chunk(v->domain, owner, chunk, n, done);
        if (err)
            return err;
        if (*done < count && hypercall_preempt())
            return -XEN_ERESTART;
    }
    return 0;
}

/* One that shadow_update_one() leaves. Releases the lock. */
static __attribute__((noinline)) long update_own_alone(struct vcpu *v, uint64_t ptr, uint64_t val)
{
    const struct mmu_update u = {.ptr = ptr, .val = val};
    struct domain *d = v->domain;
    long err = update_own(d, &u);

    paging_unlock(d->paging);
    v->count.updates += !err;
    return err;
}

/* One request of its own, and nobody asks how many were done: half of all calls of a Linux guest.
 */
static inline long update_single(struct vcpu *v, uint64_t va)
{
    struct paging *p = v->domain->paging;
    uint64_t u[2]; /* struct mmu_update: ptr, val */

    if (!arch_read_2(u, va))
        return refuse(v->domain, -XEN_EFAULT, "mmu_update request at %lx", va);
    paging_lock(p);
    if (!shadow_update_one(p, u[0], u[1]))
        return update_own_alone(v, u[0], u[1]);
    paging_unlock(p);
    v->count.updates++;
    return 0;
}

/* The arguments of mmu_update and mmuext_op in their simplest form. */
static inline bool is_single(const struct hypercall *call)
{
    return (uint32_t)call->arg[1] == 1 && !call->arg[2] && (uint32_t)call->arg[3] == DOMID_SELF;
}

/* The tables of another domain are changed by nobody but itself. */
static long other_tables(struct vcpu *v, domid_t id)
{
    struct domain *d = domain_get(id);

    if (d)
        domain_put(d);
    return refuse(v->domain, d ? -XEN_EPERM : -XEN_ESRCH, "page tables of domain %u", id);
}

/* arg: list of struct mmu_update, count, pointer to the count done (or NULL), domain (low 16 bits:
 * frames; high: table owner + 1). */
static __attribute__((noinline)) long update_many(struct vcpu *v, struct hypercall *call)
{
    unsigned count = (uint32_t)call->arg[1] & ~MMU_UPDATE_PREEMPTED;
    bool continued = call->arg[1] & MMU_UPDATE_PREEMPTED;
    uint64_t foreign = (uint32_t)call->arg[3];
    struct domain *owner;
    unsigned done = 0;
    long err;

    if (foreign >> 16 && (foreign >> 16) - 1 != v->domain->id)
        return other_tables(v, (domid_t)((foreign >> 16) - 1));
    err = frame_owner(v, foreign & 0xffff, &owner);
    if (err)
        return err;
    err = update_list(v, owner, call->arg[0], count, &done);
    v->count.updates += done;
    if (owner)
        domain_put(owner);
    if (report_done(call->arg[2], done, continued))
        return -XEN_EFAULT;
    if (err == -XEN_ERESTART) {
        call->arg[0] = guest_item_va(call->arg[0], done, sizeof(struct mmu_update));
        call->arg[1] = (count - done) | MMU_UPDATE_PREEMPTED;
    }
    return err;
}

long hypercall_mmu_update(struct vcpu *v, struct hypercall *call)
{
    return is_single(call) ? update_single(v, call->arg[0]) : update_many(v, call);
}

/* What vCPUs (a bit each) have cached of their tables: of one address, or (va NULL) all. On other
 * pCPUs one address is taken as all. */
static void flush_vcpus(struct vcpu *v, uint64_t vcpus, const uint64_t *va)
{
    struct paging *p = v->domain->paging;

    paging_lock(p);
    if (vcpus != 1UL << v->id)
        shadow_flush_mask(p, vcpu_pcpus(v->domain, vcpus));
    else if (!va)
        shadow_flush_local(p);
    else
        shadow_flush_va_local(p, *va);
    paging_unlock(p);
}

/* The flush that UVMF_* asks for. */
static long flush_for(struct vcpu *v, uint64_t va, uint64_t flags)
{
    uint64_t who = flags & ~(uint64_t)UVMF_FLUSHTYPE_MASK;
    uint64_t type = flags & UVMF_FLUSHTYPE_MASK;
    uint64_t vcpus = who == UVMF_LOCAL ? 1UL << v->id : ~0UL;

    if (type != UVMF_TLB_FLUSH && type != UVMF_INVLPG)
        return 0;
    if (who != UVMF_LOCAL && who != UVMF_ALL && guest_read(&vcpus, who, sizeof vcpus))
        return -XEN_EFAULT;
    flush_vcpus(v, vcpus, type == UVMF_INVLPG ? &va : NULL);
    return 0;
}

/* arg: virtual address, new L1 entry, UVMF_* flags. */
long hypercall_update_va_mapping(struct vcpu *v, struct hypercall *call)
{
    struct paging *p = v->domain->paging;
    uint64_t va = call->arg[0], flags = call->arg[2];
    long err;

    paging_lock(p);
    err = shadow_update_va(p, &v->paging, va, call->arg[1]);
    if (!err && flags == (UVMF_INVLPG | UVMF_LOCAL)) /* most of them: under the same lock */
        shadow_flush_va_local(p, va);
    paging_unlock(p);
    if (err)
        return refuse(v->domain, err, "update_va_mapping of %lx", va);
    v->count.updates++;
    return flags == (UVMF_INVLPG | UVMF_LOCAL) ? 0 : flush_for(v, va, flags);
}

static long update_va_foreign(struct vcpu *v, struct domain *owner, uint64_t va, uint64_t entry)
{
    struct paging *p = v->domain->paging;
    unsigned offset;
    gfn_t table;
    long err;

    paging_lock(p);
    err = shadow_find_l1(p, &v->paging, va, &table, &offset);
    paging_unlock(p);
    if (!err)
        err = update_foreign(v->domain, owner, table, offset, entry);
    v->count.updates += !err;
    return err;
}

/* The same with the domain that owns the frame as fourth argument. */
long hypercall_update_va_mapping_otherdomain(struct vcpu *v, struct hypercall *call)
{
    struct domain *owner;
    long err = frame_owner(v, (uint16_t)call->arg[3], &owner);

    if (err)
        return err;
    if (!owner || !(call->arg[1] & ENTRY_PRESENT)) {
        err = hypercall_update_va_mapping(v, call);
    } else {
        err = update_va_foreign(v, owner, call->arg[0], call->arg[1]);
        if (!err)
            err = flush_for(v, call->arg[0], call->arg[2]);
    }
    if (owner)
        domain_put(owner);
    return err;
}

/* ---- mmuext_op ---- */

/* A root without a shadow, or one that is loaded after another was freed. Releases the lock. */
static __attribute__((noinline)) long find_new_root(struct vcpu *v, gfn_t gfn, bool user)
{
    struct paging *p = v->domain->paging;
    bool loaded = true;
    long err;

    if (user)
        err = shadow_set_user_root(p, &v->paging, gfn);
    else
        err = shadow_set_kernel_root(p, &v->paging, gfn);
    if (!err && !user)
        loaded = arch_root_load(v);
    else if (!err && arch_keeps_translations)
        arch_user_root_set(v);
    paging_unlock(p);
    if (!loaded)
        domain_crash(v->domain, "root table %lx cannot be loaded", gfn.n);
    else if (!err && !user)
        arch_root_changed(v);
    return err ? refuse(v->domain, err, "root table %lx", gfn.n) : 0;
}

static long set_user_base(struct vcpu *v, gfn_t gfn)
{
    struct paging *p = v->domain->paging;

    paging_lock(p);
    if (!shadow_switch_user(p, &v->paging, gfn))
        return find_new_root(v, gfn, true);
    if (arch_keeps_translations)
        arch_user_root_set(v);
    paging_unlock(p);
    return 0;
}

long mmu_set_kernel_base(struct vcpu *v, gfn_t gfn)
{
    struct paging *p = v->domain->paging;
    maddr_t root;

    paging_lock(p);
    root = shadow_switch_kernel(p, &v->paging, gfn);
    if (!root)
        return find_new_root(v, gfn, false);
    arch_root_switch(v, root);
    paging_unlock(p);
    arch_root_changed(v);
    return 0;
}

static long pin(struct domain *d, gfn_t gfn, unsigned level)
{
    long err = 0;

    paging_lock(d->paging);
    if (!p2m_is_memory(d->paging, gfn))
        err = -XEN_EINVAL;
    else if (level)
        shadow_pin(d->paging, gfn, level);
    else
        shadow_unpin(d->paging, gfn);
    paging_unlock(d->paging);
    return err ? refuse(d, err, "frame %lx to pin is not its own", gfn.n) : 0;
}

static long clear_or_copy(struct domain *d, const struct mmuext_op *op)
{
    struct frame_hold to, from = {0};
    uint64_t *dst, *src = NULL;
    long err = -XEN_EINVAL;

    dst = paging_hold(d->paging, gfn_of(op->arg1.mfn), true, &to);
    if (!dst)
        return refuse(d, -XEN_EINVAL, "frame %lx to write", (unsigned long)op->arg1.mfn);
    if (op->cmd == MMUEXT_COPY_PAGE)
        src = paging_hold(d->paging, gfn_of(op->arg2.src_mfn), false, &from);
    if (op->cmd == MMUEXT_CLEAR_PAGE || src) {
        for (unsigned i = 0; i < PAGE_SIZE / sizeof *dst; i++)
            dst[i] = src ? src[i] : 0;
        err = 0;
    }
    if (src)
        paging_release(&from);
    paging_release(&to);
    return err;
}

static long flush_op(struct vcpu *v, const struct mmuext_op *op)
{
    bool one = op->cmd == MMUEXT_INVLPG_LOCAL || op->cmd == MMUEXT_INVLPG_MULTI ||
               op->cmd == MMUEXT_INVLPG_ALL;
    uint64_t va = op->arg1.linear_addr, vcpus = ~0UL;

    if (op->cmd == MMUEXT_TLB_FLUSH_LOCAL || op->cmd == MMUEXT_INVLPG_LOCAL)
        vcpus = 1UL << v->id;
    else if ((op->cmd == MMUEXT_TLB_FLUSH_MULTI || op->cmd == MMUEXT_INVLPG_MULTI) &&
             guest_read(&vcpus, (uint64_t)op->arg2.vcpumask.p, sizeof vcpus))
        return refuse(v->domain, -XEN_EINVAL, "mask of vCPUs at %lx",
                      (uint64_t)op->arg2.vcpumask.p); /* as Xen says it here */
    flush_vcpus(v, vcpus, one ? &va : NULL);
    return 0;
}

/* `d`: whose frames the operation names, the caller's or (dom0 building a domain) another's. */
static long extended_op(struct vcpu *v, struct domain *d, const struct mmuext_op *op)
{
    bool own = d == v->domain;

    switch (op->cmd) {
    case MMUEXT_PIN_L1_TABLE ... MMUEXT_PIN_L4_TABLE:
        return pin(d, gfn_of(op->arg1.mfn), op->cmd - MMUEXT_PIN_L1_TABLE + 1);
    case MMUEXT_UNPIN_TABLE:
        return pin(d, gfn_of(op->arg1.mfn), 0);
    case MMUEXT_NEW_BASEPTR:
    case MMUEXT_NEW_USER_BASEPTR:
        if (!own)
            return refuse(v->domain, -XEN_EPERM, "root table of another domain");
        return op->cmd == MMUEXT_NEW_BASEPTR ? mmu_set_kernel_base(v, gfn_of(op->arg1.mfn))
                                             : set_user_base(v, gfn_of(op->arg1.mfn));
    case MMUEXT_TLB_FLUSH_LOCAL ... MMUEXT_INVLPG_ALL:
        return own ? flush_op(v, op) : -XEN_EPERM;
    case MMUEXT_FLUSH_CACHE:
    case MMUEXT_FLUSH_CACHE_GLOBAL: /* nothing is cached that a device does not see */
        if (!own)
            return -XEN_EPERM;
        return v->domain->privileged ? 0 : -XEN_EACCES;
    case MMUEXT_SET_LDT:
        return own ? arch_ldt_set(v, op->arg1.linear_addr, op->arg2.nr_ents) : -XEN_EPERM;
    case MMUEXT_CLEAR_PAGE:
    case MMUEXT_COPY_PAGE:
        return clear_or_copy(d, op);
    case MMUEXT_MARK_SUPER:
    case MMUEXT_UNMARK_SUPER:
        return -XEN_EOPNOTSUPP;
    default:
        return refuse(v->domain, -XEN_ENOSYS, "mmuext_op %u", op->cmd);
    }
}

/* arg: list of struct mmuext_op, count, pointer to the count done (or NULL), domain. */
static __attribute__((noinline)) long extended_many(struct vcpu *v, struct hypercall *call)
{
    unsigned count = (uint32_t)call->arg[1] & ~MMU_UPDATE_PREEMPTED, done;
    bool continued = call->arg[1] & MMU_UPDATE_PREEMPTED;
    struct domain *owner;
    struct mmuext_op op;
    long err = frame_owner(v, (uint16_t)call->arg[3], &owner);

    if (err)
        return err;
    for (done = 0; done < count && !err; done += !err) {
        if (done && hypercall_preempt()) {
            err = -XEN_ERESTART;
            break;
        }
        if (guest_read(&op, guest_item_va(call->arg[0], done, sizeof op), sizeof op))
            err = refuse(v->domain, -XEN_EFAULT, "mmuext_op list at %lx", call->arg[0]);
        else
            err = extended_op(v, owner ? owner : v->domain, &op);
    }
    if (owner)
        domain_put(owner);
    if (report_done(call->arg[2], done, continued))
        return -XEN_EFAULT;
    if (err == -XEN_ERESTART) {
        call->arg[0] = guest_item_va(call->arg[0], done, sizeof op);
        call->arg[1] = (count - done) | MMU_UPDATE_PREEMPTED;
    }
    return err;
}

/* One operation at va, whose command and first argument are there already. */
static __attribute__((noinline)) long extended_one(struct vcpu *v, uint64_t va,
                                                   struct mmuext_op *op)
{
    if (!arch_read_words((uint64_t *)&op->arg2, va + offsetof(struct mmuext_op, arg2), 1))
        return refuse(v->domain, -XEN_EFAULT, "mmuext_op at %lx", va);
    return extended_op(v, v->domain, op);
}

long hypercall_mmuext_op(struct vcpu *v, struct hypercall *call)
{
    struct mmuext_op op;

    if (!is_single(call))
        return extended_many(v, call);
    if (!arch_read_2((uint64_t *)&op, call->arg[0]))
        return refuse(v->domain, -XEN_EFAULT, "mmuext_op at %lx", call->arg[0]);
    if (op.cmd == MMUEXT_NEW_BASEPTR)
        return mmu_set_kernel_base(v, gfn_of(op.arg1.mfn));
    if (op.cmd == MMUEXT_NEW_USER_BASEPTR)
        return set_user_base(v, gfn_of(op.arg1.mfn));
    return extended_one(v, call->arg[0], &op);
}
