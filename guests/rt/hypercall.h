/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls: one inline stub for each, with the argument order of Xen's public headers. Every file
 * of a guest may call them; most have a friendlier home (event.h, grant.h, mm.h, clock.h).
 *
 * The calling convention is that of Xen's 64-bit PV guests (<xen/arch-x86/xen-x86_64.h>): number in
 * rax, arguments in rdi, rsi, rdx, r10, r8, r9, result in rax; `syscall` itself destroys rcx and
 * r11. A plain `syscall` from the guest kernel is a hypercall wherever it stands, so no hypercall
 * page is used. Argument registers are declared destroyed: debug builds of Xen overwrite them on
 * purpose.
 *
 * All results are negative Xen errno values (<xen/errno.h>) on failure.
 */
#ifndef RT_HYPERCALL_H
#define RT_HYPERCALL_H

#include <stdint.h>
#include <xen/xen.h>
#include <xen/callback.h>
#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/physdev.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>

struct xen_domctl;
struct xen_sysctl;
struct xen_platform_op;
struct penumbra_op;

/* The general form, for hypercalls that have no stub here. Unused arguments are 0. */
static inline long hypercall_raw(unsigned long nr, unsigned long a1, unsigned long a2,
                                 unsigned long a3, unsigned long a4)
{
    register unsigned long r10 asm("r10") = a4;
    long rc;

    asm volatile("syscall"
                 : "=a"(rc), "+D"(a1), "+S"(a2), "+d"(a3), "+r"(r10)
                 : "0"(nr)
                 : "rcx", "r11", "r8", "r9", "memory");
    return rc;
}

#define HYPERCALL_ARG(x) ((unsigned long)(x))

/* Guests' trap handlers; the list ends with an entry whose address is 0. */
static inline long hypercall_set_trap_table(const struct trap_info *table)
{
    return hypercall_raw(__HYPERVISOR_set_trap_table, HYPERCALL_ARG(table), 0, 0, 0);
}

/* `dom` is the owner of the frames named by the new entries, DOMID_IO for MMIO. Stops at the first
 * entry that fails; *done says how many went well. */
static inline long hypercall_mmu_update(const struct mmu_update *reqs, unsigned count,
                                        unsigned *done, domid_t dom)
{
    return hypercall_raw(__HYPERVISOR_mmu_update, HYPERCALL_ARG(reqs), count, HYPERCALL_ARG(done),
                         dom);
}

static inline long hypercall_mmuext_op(const struct mmuext_op *ops, unsigned count, unsigned *done,
                                       domid_t dom)
{
    return hypercall_raw(__HYPERVISOR_mmuext_op, HYPERCALL_ARG(ops), count, HYPERCALL_ARG(done),
                         dom);
}

/* `flags` are UVMF_* of <xen/xen.h>. The L1 table for `va` must exist. */
static inline long hypercall_update_va_mapping(unsigned long va, uint64_t pte, unsigned long flags)
{
    return hypercall_raw(__HYPERVISOR_update_va_mapping, va, pte, flags, 0);
}

static inline long hypercall_set_gdt(const xen_ulong_t *frames, unsigned entries)
{
    return hypercall_raw(__HYPERVISOR_set_gdt, HYPERCALL_ARG(frames), entries, 0, 0);
}

static inline long hypercall_stack_switch(unsigned long ss, unsigned long sp)
{
    return hypercall_raw(__HYPERVISOR_stack_switch, ss, sp, 0, 0);
}

static inline long hypercall_set_segment_base(unsigned which, unsigned long base)
{
    return hypercall_raw(__HYPERVISOR_set_segment_base, which, base, 0, 0);
}

static inline long hypercall_fpu_taskswitch(int set)
{
    return hypercall_raw(__HYPERVISOR_fpu_taskswitch, (unsigned long)set, 0, 0, 0);
}

static inline long hypercall_memory_op(unsigned cmd, void *arg)
{
    return hypercall_raw(__HYPERVISOR_memory_op, cmd, HYPERCALL_ARG(arg), 0, 0);
}

static inline long hypercall_multicall(struct multicall_entry *calls, unsigned count)
{
    return hypercall_raw(__HYPERVISOR_multicall, HYPERCALL_ARG(calls), count, 0, 0);
}

static inline long hypercall_xen_version(unsigned cmd, void *arg)
{
    return hypercall_raw(__HYPERVISOR_xen_version, cmd, HYPERCALL_ARG(arg), 0, 0);
}

/* `cmd`: CONSOLEIO_write, or CONSOLEIO_read (dom0 only; returns the bytes read, never blocks). */
static inline long hypercall_console_io(unsigned cmd, unsigned count, const char *buf)
{
    return hypercall_raw(__HYPERVISOR_console_io, cmd, count, HYPERCALL_ARG(buf), 0);
}

static inline long hypercall_physdev_op(unsigned cmd, void *arg)
{
    return hypercall_raw(__HYPERVISOR_physdev_op, cmd, HYPERCALL_ARG(arg), 0, 0);
}

static inline long hypercall_grant_table_op(unsigned cmd, void *ops, unsigned count)
{
    return hypercall_raw(__HYPERVISOR_grant_table_op, cmd, HYPERCALL_ARG(ops), count, 0);
}

static inline long hypercall_vm_assist(unsigned cmd, unsigned type)
{
    return hypercall_raw(__HYPERVISOR_vm_assist, cmd, type, 0, 0);
}

static inline long hypercall_vcpu_op(unsigned cmd, unsigned vcpu, void *arg)
{
    return hypercall_raw(__HYPERVISOR_vcpu_op, cmd, vcpu, HYPERCALL_ARG(arg), 0);
}

static inline long hypercall_sched_op(unsigned cmd, void *arg)
{
    return hypercall_raw(__HYPERVISOR_sched_op, cmd, HYPERCALL_ARG(arg), 0, 0);
}

static inline long hypercall_callback_op(unsigned cmd, const void *arg)
{
    return hypercall_raw(__HYPERVISOR_callback_op, cmd, HYPERCALL_ARG(arg), 0, 0);
}

static inline long hypercall_event_channel_op(unsigned cmd, void *arg)
{
    return hypercall_raw(__HYPERVISOR_event_channel_op, cmd, HYPERCALL_ARG(arg), 0, 0);
}

/* The control interface, dom0 only; the caller fills in interface_version. */
static inline long hypercall_domctl(struct xen_domctl *op)
{
    return hypercall_raw(__HYPERVISOR_domctl, HYPERCALL_ARG(op), 0, 0, 0);
}

static inline long hypercall_sysctl(struct xen_sysctl *op)
{
    return hypercall_raw(__HYPERVISOR_sysctl, HYPERCALL_ARG(op), 0, 0, 0);
}

/* Penumbra's own, <hv/public/penumbra.h>, dom0 only; -XEN_ENOSYS elsewhere. */
static inline long hypercall_arch_2(struct penumbra_op *op)
{
    return hypercall_raw(__HYPERVISOR_arch_2, HYPERCALL_ARG(op), 0, 0, 0);
}

static inline long hypercall_platform_op(struct xen_platform_op *op)
{
    return hypercall_raw(__HYPERVISOR_platform_op, HYPERCALL_ARG(op), 0, 0, 0);
}

#endif
