/* SPDX-License-Identifier: MIT */
/*
 * Multicall: several hypercalls for one way in and out. It stands beside the system-call entry
 * because reading entries and writing results at the guest's addresses is most of it.
 */
#include "arch/x86/uaccess.h"

#include <stddef.h>
#include <xen/xen.h>
#include <xen/errno.h>
#include "hv/hypercall.h"
#include "hv/log.h"
#include "mm/guest.h"

#define NO_MEMBERS (1UL << __HYPERVISOR_multicall | 1UL << __HYPERVISOR_iret)

/* No call has more arguments; the places of others are zero. */
#define ARGUMENTS 4

static inline bool read_member(struct hypercall *call, uint64_t va)
{
    if (!x86_guest_range(va, sizeof(struct multicall_entry)))
        return false;
    x86_user_access_begin();
    x86_get_guest(call->nr, va + offsetof(struct multicall_entry, op), fault);
    va += offsetof(struct multicall_entry, args);
    x86_get_guest(call->arg[0], va, fault);
    x86_get_guest(call->arg[1], va + 8, fault);
    x86_get_guest(call->arg[2], va + 16, fault);
    x86_get_guest(call->arg[3], va + 24, fault);
    x86_user_access_end();
    return true;
fault:
    x86_user_access_end();
    return false;
}

/* The address was checked when it was read. */
static inline bool write_result(uint64_t va, long result)
{
    x86_user_access_begin();
    x86_put_guest(result, va + offsetof(struct multicall_entry, result), fault);
    x86_user_access_end();
    return true;
fault:
    x86_user_access_end();
    return false;
}

static __attribute__((noinline)) long refused(struct vcpu *v, uint64_t nr)
{
    if (nr == __HYPERVISOR_multicall || nr == __HYPERVISOR_iret)
        return -XEN_EINVAL;
    return hypercall_refused(v, nr);
}

/* Looked at after every few members, and after each one that looked itself or whose domain ended
 * by it (domain_shutdown()). */
#define LOOK_EVERY 8

static inline bool time_is_up(struct vcpu *v, uint32_t left)
{
    return (v->hypercall_since || left % LOOK_EVERY == 0) && hypercall_preempt_vcpu(v);
}

/* A member that is to be continued has its progress written back to its entry. */
static __attribute__((noinline)) long save_progress(const struct hypercall *call, uint64_t va)
{
    return guest_write(va + offsetof(struct multicall_entry, args), call->arg,
                       ARGUMENTS * sizeof call->arg[0])
               ? -XEN_EFAULT
               : -XEN_ERESTART;
}

/*
 * Each member runs in order and gets its own result; a failed one only sets it (xen.h,
 * multicall_entry). The multicall is continued at the member that was not finished, or the next.
 */
long hypercall_multicall(struct vcpu *v, struct hypercall *call)
{
    uint64_t allowed = v->domain->hypercalls & ~NO_MEMBERS, va = call->arg[0];
    uint32_t left = (uint32_t)call->arg[1];
    struct hypercall member;
    long result = 0;

    member.arg[ARGUMENTS] = member.arg[ARGUMENTS + 1] = 0;
    for (; left; left--, va += sizeof(struct multicall_entry)) {
        if (!read_member(&member, va))
            return refuse(v->domain, -XEN_EFAULT, "multicall entry at %lx", va);
        if (member.nr < HYPERCALL_COUNT && allowed >> member.nr & 1)
            result = hypercall_table[member.nr].fn(v, &member);
        else
            result = refused(v, member.nr);
        if (result == -XEN_ERESTART) {
            result = save_progress(&member, va);
            break;
        }
        if (!write_result(va, result))
            return refuse(v->domain, -XEN_EFAULT, "multicall result at %lx", va);
        result = -XEN_ERESTART;
        if (time_is_up(v, left)) {
            left--;
            va += sizeof(struct multicall_entry);
            break;
        }
    }
    if (!left)
        return 0;
    call->arg[0] = va;
    call->arg[1] = left;
    return result;
}
