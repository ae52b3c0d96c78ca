/* SPDX-License-Identifier: MIT */
/*
 * trap.*: exceptions of the guest kernel, there and back.
 */
#include "bench.h"

#include "figure.h"
#include "pages.h"
#include "space.h"
#include "trap.h"

static void page_faults(void)
{
    /* No L1 table behind the first, an empty entry of one behind the second. */
    volatile uint64_t *no_table = (volatile uint64_t *)(SPACE_DATA + 0x30000000);
    volatile uint64_t *no_page = (volatile uint64_t *)(SPACE_DATA + 5 * PAGE_BYTES);

    MEASURE("trap.pf_kernel_no_table", 1000, 1,
            asm volatile(TRAP_GO_ON_AT(trap_pf_fixup) "movq (%0), %%rax; 1:" ::"r"(no_table)
                         : "rax", "memory"));
    MEASURE("trap.pf_kernel", 1000, 1,
            asm volatile(TRAP_GO_ON_AT(trap_pf_fixup) "movq (%0), %%rax; 1:" ::"r"(no_page)
                         : "rax", "memory"));
    MEASURE("trap.pf_kernel_write_ro", 1000, 1,
            asm volatile(TRAP_GO_ON_AT(trap_pf_fixup) "movq %%rax, (%0); 1:" ::"r"(SPACE_BASE)
                         : "rax", "memory"));
    trap_pf_fixup = 0;
}

void bench_trap(void)
{
    MEASURE("trap.int3_kernel", 1000, 1, asm volatile("int3" ::: "memory"));
    trap_set(TRAP_INT3, TRAP_DPL3, trap_return_direct);
    MEASURE("trap.int3_kernel_direct_iretq", 1000, 1, asm volatile("int3" ::: "memory"));
    trap_set(TRAP_INT3, TRAP_DPL3, trap_return);
    MEASURE("trap.ud2_kernel", 1000, 1, asm volatile("ud2" ::: "memory"));
    MEASURE("trap.int80_kernel", 1000, 1, asm volatile("int $0x80" ::: "memory"));
    page_faults();
}
