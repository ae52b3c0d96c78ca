/* SPDX-License-Identifier: MIT */
/*
 * The table of hypercalls, their dispatch, and multicall.
 */
#include "hv/hypercall.h"

#include <xen/xen.h>
#include <xen/errno.h>
#include "hv/arch.h"
#include "hv/domain.h"
#include "hv/log.h"
#include "mm/guest.h"

#define CALL(name)                     \
    {                                  \
        hypercall_##name, #name, false \
    }
#define DOM0_CALL(name)               \
    {                                 \
        hypercall_##name, #name, true \
    }

const struct hypercall_entry hypercall_table[HYPERCALL_COUNT] = {
    [__HYPERVISOR_set_trap_table] = CALL(set_trap_table),
    [__HYPERVISOR_mmu_update] = CALL(mmu_update),
    [__HYPERVISOR_set_gdt] = CALL(set_gdt),
    [__HYPERVISOR_stack_switch] = CALL(stack_switch),
    [__HYPERVISOR_set_callbacks] = CALL(set_callbacks),
    [__HYPERVISOR_fpu_taskswitch] = CALL(fpu_taskswitch),
    [__HYPERVISOR_sched_op_compat] = CALL(sched_op_compat),
    [__HYPERVISOR_platform_op] = DOM0_CALL(platform_op),
    [__HYPERVISOR_set_debugreg] = CALL(set_debugreg),
    [__HYPERVISOR_get_debugreg] = CALL(get_debugreg),
    [__HYPERVISOR_update_descriptor] = CALL(update_descriptor),
    [__HYPERVISOR_memory_op] = CALL(memory_op),
    [__HYPERVISOR_multicall] = CALL(multicall),
    [__HYPERVISOR_update_va_mapping] = CALL(update_va_mapping),
    [__HYPERVISOR_set_timer_op] = CALL(set_timer_op),
    [__HYPERVISOR_xen_version] = CALL(xen_version),
    [__HYPERVISOR_console_io] = CALL(console_io),
    [__HYPERVISOR_grant_table_op] = CALL(grant_table_op),
    [__HYPERVISOR_vm_assist] = CALL(vm_assist),
    [__HYPERVISOR_update_va_mapping_otherdomain] = DOM0_CALL(update_va_mapping_otherdomain),
    [__HYPERVISOR_iret] = CALL(iret),
    [__HYPERVISOR_vcpu_op] = CALL(vcpu_op),
    [__HYPERVISOR_set_segment_base] = CALL(set_segment_base),
    [__HYPERVISOR_mmuext_op] = CALL(mmuext_op),
    [__HYPERVISOR_sched_op] = CALL(sched_op),
    [__HYPERVISOR_callback_op] = CALL(callback_op),
    [__HYPERVISOR_event_channel_op] = CALL(event_channel_op),
    [__HYPERVISOR_physdev_op] = CALL(physdev_op),
    [__HYPERVISOR_sysctl] = DOM0_CALL(sysctl),
    [__HYPERVISOR_domctl] = DOM0_CALL(domctl),
    [__HYPERVISOR_arch_2] = DOM0_CALL(arch_2),
};

/* The clock starts at the first look: short hypercalls never look, so they pay nothing for it. */
bool hypercall_preempt(void)
{
    struct vcpu *v = current_vcpu();
    uint64_t now = arch_time_ns();

    if (!v->hypercall_since)
        v->hypercall_since = now;
    return now - v->hypercall_since > HYPERCALL_BUDGET_NS;
}

long hypercall_run(struct vcpu *v, struct hypercall *call)
{
    const struct hypercall_entry *e;

    if (call->nr >= HYPERCALL_COUNT || !hypercall_table[call->nr].fn)
        return refuse(v->domain, -XEN_ENOSYS, "hypercall %lu does not exist", call->nr);
    e = &hypercall_table[call->nr];
    if (e->privileged && !v->domain->privileged)
        return refuse(v->domain, -XEN_EPERM, "hypercall %s is the control domain's", e->name);
    return e->fn(v, call);
}

/*
 * Each member runs in order and gets its own result; a failed one only sets it (xen.h,
 * multicall_entry). A member that is to be continued has its progress written back to its entry;
 * the multicall then continues there.
 */
long hypercall_multicall(struct vcpu *v, struct hypercall *call)
{
    uint64_t list = call->arg[0];
    uint32_t count = (uint32_t)call->arg[1];

    for (uint32_t i = 0; i < count; i++) {
        struct multicall_entry entry;
        struct hypercall member;
        uint64_t va = guest_item_va(list, i, sizeof entry);
        long result;

        if (guest_read(&entry, va, sizeof entry))
            return refuse(v->domain, -XEN_EFAULT, "multicall entry %u at %lx", i, va);
        member = (struct hypercall){entry.op,
                                    {entry.args[0], entry.args[1], entry.args[2], entry.args[3],
                                     entry.args[4], entry.args[5]}};
        if (member.nr == __HYPERVISOR_multicall || member.nr == __HYPERVISOR_iret)
            result = -XEN_EINVAL;
        else
            result = hypercall_run(v, &member);
        if (result == -XEN_ERESTART) {
            for (unsigned k = 0; k < 6; k++)
                entry.args[k] = member.arg[k];
            if (guest_write(va, &entry, sizeof entry))
                return -XEN_EFAULT;
        } else if (guest_write(va + offsetof(struct multicall_entry, result), &result,
                               sizeof result)) {
            return refuse(v->domain, -XEN_EFAULT, "multicall result %u at %lx", i, va);
        }
        if (v->domain->is_shut_down)
            return 0;
        if (result == -XEN_ERESTART || (i + 1 < count && hypercall_preempt())) {
            unsigned done = result == -XEN_ERESTART ? i : i + 1;
            call->arg[0] = guest_item_va(list, done, sizeof entry);
            call->arg[1] = count - done;
            return -XEN_ERESTART;
        }
    }
    return 0;
}
