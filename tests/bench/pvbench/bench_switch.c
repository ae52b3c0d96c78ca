/* SPDX-License-Identifier: MIT */
/*
 * switch.*: from one address space to another, and back, with 64 data pages mapped in each.
 */
#include "bench.h"

#include <stdint.h>
#include <xen/sched.h>

#include "figure.h"
#include "mmu.h"
#include "pages.h"
#include "space.h"
#include "text.h"
#include "trap.h"
#include "user.h"

#define PAGES 64

static struct mmuext_op base[2];
static uint64_t kernel_frame[2], user_frame[2]; /* of space_main and space_other */
static int in;                                  /* the space that is current */

static void map(const struct space *s, const uint8_t (*pages)[PAGE_BYTES])
{
    long rc;

    for (unsigned i = 0; i < PAGES; i++) {
        mmu_batch[i].ptr = space_data_entry(s, i);
        mmu_batch[i].val = pages ? pages_entry(pages[i], PTE_USER_RW) : 0;
    }
    rc = mmu_update_batch(PAGES);
    if (rc) {
        text_panic("switch map", rc);
    }
}

static void touch(void)
{
    for (unsigned i = 0; i < PAGES; i++) {
        *(volatile uint64_t *)(SPACE_DATA + i * PAGE_BYTES) = i;
    }
}

static inline void switch_over(void)
{
    in ^= 1;
    space_switch_to(kernel_frame[in], user_frame[in]);
}

static inline void set_bases(int first)
{
    base[0].cmd = MMUEXT_NEW_BASEPTR;
    base[0].arg1.mfn = kernel_frame[in];
    base[1].cmd = MMUEXT_NEW_USER_BASEPTR;
    base[1].arg1.mfn = user_frame[in];
    multi_set(first, __HYPERVISOR_mmuext_op, HYPER_ARG(&base[0]), 1, 0, DOMID_SELF);
    multi_set(first + 1, __HYPERVISOR_mmuext_op, HYPER_ARG(&base[1]), 1, 0, DOMID_SELF);
}

/* System call 3 of user.S: what a small kernel does to run another process. */
void switch_spaces(void)
{
    in ^= 1;
    multi_set(0, __HYPERVISOR_stack_switch, FLAT_KERNEL_SS64, trap_stack_top(), 0, 0);
    set_bases(1);
    multi_run(3);
}

/* What a switch of Linux asks for: both bases, the stack, the FPU, the user's FS base. */
static inline void switch_as_linux(void)
{
    in ^= 1;
    set_bases(0);
    multi_set(2, __HYPERVISOR_stack_switch, FLAT_KERNEL_SS64, trap_stack_top(), 0, 0);
    multi_set(3, __HYPERVISOR_fpu_taskswitch, 0, 0, 0, 0);
    multi_set(4, __HYPERVISOR_set_segment_base, SEGBASE_FS, 0x2000, 0, 0);
    multi_run(5);
}

static void switch_back(void)
{
    space_switch(&space_main);
    in = 0;
}

static void measure(void)
{
    MEASURE("switch.aspace_multicall", 500, 1, switch_over());
    MEASURE("switch.aspace_multicall_touch64", 500, 1, switch_over(); touch());
    MEASURE("switch.touch64_floor", 500, 1, touch());
    MEASURE("switch.two_mmuext_calls", 500, 1, in ^= 1;
            mmu_extended(MMUEXT_NEW_BASEPTR, kernel_frame[in], 0);
            mmu_extended(MMUEXT_NEW_USER_BASEPTR, user_frame[in], 0));
    MEASURE("switch.linux_like", 500, 1, switch_as_linux());
    switch_back();
    user_measure("switch.user_to_user", u_switch, 508);
    switch_back();
}

void bench_switch(void)
{
    long rc;

    kernel_frame[0] = pages_frame(space_main.kernel_l4);
    user_frame[0] = pages_frame(space_main.user_l4);
    kernel_frame[1] = pages_frame(space_other.kernel_l4);
    user_frame[1] = pages_frame(space_other.user_l4);
    map(&space_main, pages_data);
    map(&space_other, pages_data + PAGES);
    rc = space_switch(&space_other);
    rc = rc ? rc : space_switch(&space_main);
    if (rc) {
        figure_refused("switch.aspace", rc);
    } else {
        measure();
    }
    map(&space_main, NULL);
    map(&space_other, NULL);
    mmu_extended(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
}
