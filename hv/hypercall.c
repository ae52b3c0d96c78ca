/* SPDX-License-Identifier: MIT */
/*
 * The table of hypercalls, and who may make which. (Their dispatch is arch's, and so is multicall.)
 */
#include "hv/hypercall.h"

#include <stddef.h>
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
bool hypercall_preempt_vcpu(struct vcpu *v)
{
    uint64_t now = arch_ticks();

    if (!v->hypercall_since)
        v->hypercall_since = now;
    return now - v->hypercall_since > HYPERCALL_BUDGET_US * arch_ticks_per_us;
}

bool hypercall_preempt(void)
{
    return hypercall_preempt_vcpu(current_vcpu());
}

uint64_t hypercall_allowed(bool privileged)
{
    uint64_t mask = 0;

    for (unsigned nr = 0; nr < HYPERCALL_COUNT; nr++)
        if (hypercall_table[nr].fn && (privileged || !hypercall_table[nr].privileged))
            mask |= 1UL << nr;
    return mask;
}

long hypercall_refused(struct vcpu *v, uint64_t nr)
{
    if (nr >= HYPERCALL_COUNT || !hypercall_table[nr].fn)
        return refuse(v->domain, -XEN_ENOSYS, "hypercall %lu does not exist", nr);
    return refuse(v->domain, -XEN_EPERM, "hypercall %s is the control domain's",
                  hypercall_table[nr].name);
}
