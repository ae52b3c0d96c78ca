/* SPDX-License-Identifier: MIT */
/* Questions to the hypervisor's and the control domain's services. */
#include "hostile.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rt/console.h>
#include <rt/hypercall.h>
#include <rt/start.h>
#include <rt/thread.h>
#include <rt/xenbus.h>

#define FUZZ_CALLS 20000

/* Not asked: what ends or stops this guest by right, and what moves its stack or tables away under
 * it. */
static bool leave_out(unsigned nr, uint64_t a1)
{
    switch (nr) {
    case __HYPERVISOR_iret:
    case __HYPERVISOR_set_trap_table:
    case __HYPERVISOR_set_callbacks:
    case __HYPERVISOR_callback_op:
    case __HYPERVISOR_sched_op_compat:
    case __HYPERVISOR_update_va_mapping:
    case __HYPERVISOR_set_segment_base:
        return true;
    case __HYPERVISOR_vcpu_op:
        return a1 == VCPUOP_down || a1 == VCPUOP_register_vcpu_info;
    case __HYPERVISOR_sched_op:
        return a1 == SCHEDOP_block || a1 == SCHEDOP_poll || a1 == SCHEDOP_shutdown;
    default:
        return false;
    }
}

/* Arguments point into the first two; results that follow them land in the others. */
static char page[4][4096] __attribute__((aligned(4096)));

static uint64_t random_arg(void)
{
    switch (random64() % 8) {
    case 0:
        return random64() % 64;
    case 1:
        return (uint64_t)page[0] + random64() % 64 * 8;
    case 2:
        return (uint64_t)page[1] - random64() % 64;
    case 3:
        return 0xffff800000000000UL + random64() % 0x100000000;
    case 4:
        return random64();
    case 5:
        return ~0UL - random64() % 4096;
    case 6:
        return 0x7ff0; /* DOMID_SELF */
    default:
        return 0;
    }
}

static void fuzz(void)
{
    unsigned refused = 0, calls = 0;
    unsigned only = (unsigned)start_option_u64("only", 0); /* this call alone */
    uint64_t a[4];
    bool trace = start_option_u64("trace", 0); /* one line a call: which one was it? */

    for (; calls < FUZZ_CALLS; calls++) {
        unsigned nr = (unsigned)(random64() % 64);

        if (only)
            nr = only;
        for (unsigned i = 0; i < 4; i++)
            a[i] = random_arg();
        if (leave_out(nr, a[0]))
            continue;
        for (unsigned i = 0; i < sizeof page; i += 8)
            *(uint64_t *)((char *)page + i) = random64() % 4 ? 0 : random_arg();
        if (nr == __HYPERVISOR_multicall || nr == __HYPERVISOR_mmuext_op ||
            nr == __HYPERVISOR_mmu_update)
            a[1] %= 4;
        if (nr == __HYPERVISOR_multicall || nr == __HYPERVISOR_mmuext_op)
            memset(page, 0x3f, sizeof page); /* no such operation */
        if (nr == __HYPERVISOR_grant_table_op)
            a[2] %= 64; /* it writes a status into each element */
        if (trace)
            printf("hostile: %u: %u(%lx, %lx, %lx, %lx)\n", calls, nr, a[0], a[1], a[2], a[3]);
        refused += hypercall_raw(nr, a[0], a[1], a[2], a[3]) < 0;
    }
    printf("hostile: %u calls, %u refused\n", calls, refused);
}

static void control(void)
{
    memset(page, 0, sizeof page);
    expect_refused("domctl", hypercall_raw(__HYPERVISOR_domctl, (uint64_t)page, 0, 0, 0));
    expect_refused("sysctl", hypercall_raw(__HYPERVISOR_sysctl, (uint64_t)page, 0, 0, 0));
    expect_refused("platform_op", hypercall_raw(__HYPERVISOR_platform_op, (uint64_t)page, 0, 0, 0));
    for (int cmd = 0; cmd < 32; cmd++) {
        if (cmd == PHYSDEVOP_set_iopl || cmd == PHYSDEVOP_set_iobitmap ||
            cmd == PHYSDEVOP_irq_status_query)
            continue;
        if (cmd == 13 || cmd == 14 || cmd == 15 || cmd == 25 || cmd == 21 || cmd == 30)
            expect_refused("physdev_op for hardware",
                           hypercall_raw(__HYPERVISOR_physdev_op, cmd, (uint64_t)page, 0, 0));
    }
    expect_refused("console input",
                   hypercall_raw(__HYPERVISOR_console_io, 1, 16, (uint64_t)page, 0));
}

static void flood(void)
{
    for (unsigned i = 0; i < 1500; i++)
        printf("hostile: flood %u: the quick brown fox jumps over the lazy dog and keeps jumping\n",
               i);
}

static void forge(void)
{
    static const char text[] = "\rdom0> destroy everything\r\n\033[2J\033]0;owned\007dom0> \n";

    console_write(text, sizeof text - 1);
    hypercall_raw(__HYPERVISOR_console_io, 0, sizeof text - 1, (uint64_t)text, 0);
    printf("hostile: forged\n");
}

static void fill_store(void)
{
    char path[64];
    unsigned made = 0;
    long rc = 0;

    for (unsigned i = 0; i < 5000 && !rc; i++) {
        snprintf(path, sizeof path, "data/junk%u", i);
        rc = xs_write(path, "x");
        made += rc == 0;
    }
    printf("hostile: %u nodes, then %ld\n", made, rc);
    expect_refused("a node beyond the quota", rc);
    expect_refused("a node of domain 0", xs_write("/local/domain/0/name", "mine"));
    expect_refused("the backend's node",
                   xs_write("/local/domain/0/backend/vbd/1/51712/params", "/etc/xen/hello.cfg"));
}

const struct question service_questions[] = {
    {"fuzz", "hypercalls with wild arguments, the same each run", fuzz},
    {"control", "the control domain's hypercalls", control},
    {"flood", "its console, as fast as it can", flood},
    {"forge", "a prompt and terminal control on its console", forge},
    {"fill-store", "the store, until it is full", fill_store},
    {NULL, NULL, NULL},
};
