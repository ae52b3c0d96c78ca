/* SPDX-License-Identifier: MIT */
/* vCPU areas and the start of secondary vCPUs. See smp.h. */
#include "smp.h"

#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "hypercall.h"
#include "mm.h"
#include "pt.h"
#include "start.h"
#include "trap.h"

#define STACK_ORDER 2 /* 16 KiB */

static struct smp_cpu cpus[SMP_MAX];

extern char smp_entry[];
void smp_start(struct smp_cpu *cpu);

void smp_init_boot(void)
{
    cpus[0].self = &cpus[0];
    hypercall_set_segment_base(SEGBASE_GS_KERNEL, (unsigned long)&cpus[0]);
}

unsigned smp_vcpus(void)
{
    unsigned n = 1;

    while (n < SMP_MAX && hypercall_vcpu_op(VCPUOP_is_up, n, NULL) >= 0) {
        n++;
    }
    return n;
}

/* First C code of a secondary vCPU. */
void smp_start(struct smp_cpu *cpu)
{
    hypercall_vcpu_op(VCPUOP_stop_periodic_timer, (unsigned)cpu->id, NULL);
    event_upcalls_restore(false);
    cpu->fn(cpu->arg);
    for (;;) {
        hypercall_vcpu_op(VCPUOP_down, (unsigned)cpu->id, NULL);
    }
}

/* The register state in which the vCPU begins. No GDT of its own: the flat selectors are the
 * hypervisor's. */
static void smp_fill_context(struct vcpu_guest_context *ctx, struct smp_cpu *cpu)
{
    unsigned long top = (unsigned long)cpu->stack + (PAGE_SIZE << STACK_ORDER);

    ctx->flags = VGCF_IN_KERNEL;
    ctx->user_regs.rip = (unsigned long)smp_entry;
    ctx->user_regs.rsp = top;
    ctx->user_regs.rdi = (unsigned long)cpu;
    ctx->user_regs.rflags = 0x1000; /* IOPL 1: the kernel may touch ports, where it has the right */
    ctx->user_regs.cs = FLAT_KERNEL_CS;
    ctx->user_regs.ss = FLAT_KERNEL_SS;
    ctx->kernel_ss = FLAT_KERNEL_SS;
    ctx->kernel_sp = top;
    ctx->gs_base_kernel = (unsigned long)cpu;
    ctx->ctrlreg[3] = xen_pfn_to_cr3(virt_to_mfn(pt_kernel_root()));
    trap_fill_context(ctx);
}

int smp_boot_vcpu(unsigned id, void (*fn)(void *), void *arg)
{
    struct vcpu_guest_context *ctx;
    struct smp_cpu *cpu;
    long rc;

    if (id == 0 || id >= SMP_MAX) {
        return -XEN_EINVAL;
    }
    cpu = &cpus[id];
    if (cpu->self) {
        return -XEN_EEXIST;
    }
    ctx = calloc(1, sizeof(*ctx));
    cpu->stack = page_alloc(STACK_ORDER);
    if (!ctx || !cpu->stack) {
        rc = -XEN_ENOMEM;
        goto fail;
    }
    cpu->id = id;
    cpu->info = &shared_info->vcpu_info[id];
    cpu->fn = fn;
    cpu->arg = arg;
    cpu->info->evtchn_upcall_mask = 1;
    smp_fill_context(ctx, cpu);
    rc = hypercall_vcpu_op(VCPUOP_initialise, id, ctx);
    if (rc) {
        goto fail;
    }
    cpu->self = cpu;
    free(ctx);
    return (int)hypercall_vcpu_op(VCPUOP_up, id, NULL);

fail:
    free(ctx);
    if (cpu->stack) {
        page_free(cpu->stack, STACK_ORDER);
    }
    return (int)rc;
}

void smp_mask(void)
{
    event_upcalls_save();
}

void smp_unmask(void)
{
    event_upcalls_restore(false);
}

void smp_block(void)
{
    hypercall_sched_op(SCHEDOP_block, NULL);
}
