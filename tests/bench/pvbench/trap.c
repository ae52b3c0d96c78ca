/* SPDX-License-Identifier: MIT */
#include "trap.h"

#include <xen/callback.h>

#include "event.h"
#include "mmu.h"
#include "pages.h"
#include "space.h"
#include "text.h"

/* What trap.S pushes, above what the hypervisor has pushed. */
struct frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, pushed_rcx, pushed_r11, error, rip, cs, rflags, rsp, ss;
};

uint64_t trap_pf_fixup, trap_gp_fixup;
volatile uint64_t trap_pf_count, trap_gp_count;
enum trap_demand trap_demand;
unsigned trap_demand_faults;

static uint8_t kernel_stack[4 * PAGE_BYTES] PAGE_ALIGNED;

extern char trap_pf[], trap_gp[];
extern char trap_vector_0[], trap_vector_1[], trap_vector_4[], trap_vector_5[], trap_vector_7[],
    trap_vector_10[], trap_vector_11[], trap_vector_12[], trap_vector_16[], trap_vector_17[],
    trap_vector_19[];

#define CS            FLAT_KERNEL_CS64
#define HANDLER(name) ((uint64_t)(name))

struct trap_info trap_table[] = {
    {0, TRAP_DPL0, CS, HANDLER(trap_vector_0)},
    {1, TRAP_DPL0, CS, HANDLER(trap_vector_1)},
    {TRAP_INT3, TRAP_DPL3, CS, HANDLER(trap_return)},
    {4, TRAP_DPL3, CS, HANDLER(trap_vector_4)},
    {5, TRAP_DPL0, CS, HANDLER(trap_vector_5)},
    {TRAP_UD, TRAP_DPL0, CS, HANDLER(trap_skip_ud2)},
    {7, TRAP_DPL0, CS, HANDLER(trap_vector_7)},
    {10, TRAP_DPL0, CS, HANDLER(trap_vector_10)},
    {11, TRAP_DPL0, CS, HANDLER(trap_vector_11)},
    {12, TRAP_DPL0, CS, HANDLER(trap_vector_12)},
    {13, TRAP_DPL0, CS, HANDLER(trap_gp)},
    {14, TRAP_DPL0, CS, HANDLER(trap_pf)},
    {16, TRAP_DPL0, CS, HANDLER(trap_vector_16)},
    {17, TRAP_DPL0, CS, HANDLER(trap_vector_17)},
    {19, TRAP_DPL0, CS, HANDLER(trap_vector_19)},
    {TRAP_INT80, TRAP_DPL3, CS, HANDLER(trap_return)},
    {0, 0, 0, 0},
};

uint64_t trap_stack_top(void)
{
    return HYPER_ARG(kernel_stack) + sizeof(kernel_stack);
}

void trap_set(unsigned vector, unsigned flags, const void *handler)
{
    struct trap_info table[2] = {{(uint8_t)vector, (uint8_t)flags, CS, HANDLER(handler)}};

    hyper1(__HYPERVISOR_set_trap_table, HYPER_ARG(table));
}

long trap_callback(unsigned type, unsigned flags, const void *handler)
{
    struct callback_register call = {
        .type = (uint16_t)type,
        .flags = (uint16_t)flags,
        .address = HANDLER(handler),
    };

    return hyper2(__HYPERVISOR_callback_op, CALLBACKOP_register, HYPER_ARG(&call));
}

static void must(const char *what, long rc)
{
    if (rc) {
        text_panic(what, rc);
    }
}

void trap_init(void)
{
    must("set_trap_table", hyper1(__HYPERVISOR_set_trap_table, HYPER_ARG(trap_table)));
    must("callback event", trap_callback(CALLBACKTYPE_event, 0, event_entries[0]));
    must("callback failsafe",
         trap_callback(CALLBACKTYPE_failsafe, CALLBACKF_mask_events, trap_failsafe));
    must("callback syscall",
         trap_callback(CALLBACKTYPE_syscall, CALLBACKF_mask_events, trap_syscall));
    must("stack_switch", hyper2(__HYPERVISOR_stack_switch, FLAT_KERNEL_SS64, trap_stack_top()));
}

/* A page of the data part that is to be mapped when touched: false if va is none. */
static bool demand_map(uint64_t va)
{
    uint64_t page = (va - SPACE_DATA) / PAGE_BYTES, entry;
    long rc;

    if (va < SPACE_DATA || page >= PAGES_DATA) {
        return false;
    }
    trap_demand_faults++;
    entry = pages_entry(pages_data[page], PTE_USER_RW);
    if (trap_demand == DEMAND_VA_MAPPING) {
        rc = mmu_map(va & ~(PAGE_BYTES - 1), entry, UVMF_NONE);
    } else {
        rc = mmu_update_one(space_data_entry(&space_main, (unsigned)page), entry);
    }
    must("demand map", rc);
    return true;
}

static void print(const char *name, uint64_t value)
{
    text_string(name);
    text_hex(value);
}

/* From trap.S: every exception that has no faster way there. */
void trap_handle(const struct frame *f)
{
    uint64_t cr2 = event_shared()->vcpu_info[0].arch.cr2;

    if (f->vector == 14 && trap_demand && demand_map(cr2)) {
        return;
    }
    text_string("INFO trap vector ");
    text_decimal((long)f->vector);
    print(" rip ", f->rip);
    print(" error ", f->error);
    print(" cs ", f->cs);
    print(" rsp ", f->rsp);
    print(" cr2 ", cr2);
    text_char('\n');
    text_panic("trap", (long)f->vector);
}
