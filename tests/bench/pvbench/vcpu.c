/* SPDX-License-Identifier: MIT */
#include "vcpu.h"

#include <xen/vcpu.h>
#include <xen/sched.h>

#include "cpu.h"
#include "event.h"
#include "figure.h"
#include "pages.h"
#include "space.h"
#include "trap.h"

#define STACK_BYTES   (4 * PAGE_BYTES)
#define NEVER_STARTED (-1001) /* of our own: no error of the hypervisor's */
#define IOPL_1        0x1000  /* what a PV kernel runs with */

unsigned vcpu_count = 1;
void (*volatile vcpu_work)(unsigned id);
volatile bool vcpu_1_spins;

static volatile bool alive[VCPU_MAX];
static evtchn_port_t ports[VCPU_MAX];
static uint8_t stacks[VCPU_MAX][STACK_BYTES] PAGE_ALIGNED;
static uint8_t kernel_stacks[VCPU_MAX]
                            [STACK_BYTES] PAGE_ALIGNED; /* after an entry from user mode */

extern char vcpu_start[]; /* of entry.S */

unsigned vcpu_port(unsigned id)
{
    return ports[id];
}

void vcpu_wake(unsigned id)
{
    event_send(ports[id]);
}

static bool idle(unsigned id)
{
    return !vcpu_work && !(id == 1 && vcpu_1_spins);
}

/* From entry.S: the life of a vCPU. */
void vcpu_main(unsigned id)
{
    volatile struct vcpu_info *vi = &event_shared()->vcpu_info[id];

    alive[id] = true;
    vi->evtchn_upcall_mask = 0;
    for (;;) {
        if (vcpu_work) {
            vcpu_work(id);
        } else if (id == 1 && vcpu_1_spins) {
            cpu_pause();
        } else {
            vi->evtchn_upcall_mask = 1; /* no wake-up is lost between the look and the block */
            cpu_barrier();
            if (idle(id)) {
                hyper2(__HYPERVISOR_sched_op, SCHEDOP_block, 0);
            }
            vi->evtchn_upcall_mask = 0;
        }
    }
}

/* As Linux starts one: in the kernel, with the trap table and callbacks of vCPU 0. */
static const struct vcpu_guest_context *context_of(unsigned id)
{
    static struct vcpu_guest_context c;

    memset(&c, 0, sizeof(c));
    c.flags = VGCF_IN_KERNEL | VGCF_failsafe_disables_events | VGCF_syscall_disables_events;
    c.user_regs.rip = HYPER_ARG(vcpu_start);
    c.user_regs.rdi = id;
    c.user_regs.rsp = HYPER_ARG(stacks[id]) + STACK_BYTES;
    c.user_regs.cs = FLAT_KERNEL_CS64;
    c.user_regs.ss = FLAT_KERNEL_SS64;
    c.user_regs.rflags = IOPL_1 | 2;
    for (const struct trap_info *t = trap_table; t->address; t++) {
        c.trap_ctxt[t->vector] = *t;
    }
    c.kernel_ss = FLAT_KERNEL_SS64;
    c.kernel_sp = HYPER_ARG(kernel_stacks[id]) + STACK_BYTES;
    c.ctrlreg[0] = 0x80050033; /* PG AM WP NE ET MP PE */
    c.ctrlreg[1] = xen_pfn_to_cr3(pages_frame(space_main.user_l4));
    c.ctrlreg[3] = xen_pfn_to_cr3(pages_frame(space_main.kernel_l4));
    c.ctrlreg[4] = 0x620; /* OSXMMEXCPT OSFXSR PAE */
    c.event_callback_eip = HYPER_ARG(event_entries[id]);
    c.failsafe_callback_eip = HYPER_ARG(trap_failsafe);
    c.syscall_callback_eip = HYPER_ARG(trap_syscall);
    return &c;
}

static long start(unsigned id)
{
    long rc = hyper3(__HYPERVISOR_vcpu_op, VCPUOP_up, id, 0);

    if (rc) {
        return rc;
    }
    for (long i = 0; i < 400000000 && !alive[id]; i++) {
        if (i % 1024 == 0) {
            hyper2(__HYPERVISOR_sched_op, SCHEDOP_yield, 0);
        }
    }
    return alive[id] ? 0 : NEVER_STARTED;
}

long vcpu_bring_up(unsigned id, bool figures)
{
    const struct vcpu_guest_context *context = context_of(id);
    uint64_t initialise, up;
    long rc, port;

    initialise = cpu_tsc();
    rc = hyper3(__HYPERVISOR_vcpu_op, VCPUOP_initialise, id, HYPER_ARG(context));
    initialise = cpu_tsc() - initialise;
    if (rc) {
        return rc;
    }
    port = event_bind_ipi(id);
    if (port < 0) {
        return port;
    }
    ports[id] = (evtchn_port_t)port;
    up = cpu_tsc();
    rc = start(id);
    up = cpu_tsc() - up;
    if (rc) {
        return rc;
    }
    vcpu_count = id + 1;
    hyper3(__HYPERVISOR_vcpu_op, VCPUOP_stop_periodic_timer, id, 0);
    if (figures) {
        figure_ticks("vcpu.initialise", initialise, 1);
        figure_ticks("vcpu.up_to_first_insn", up, 1);
    }
    return 0;
}
