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

static char page[4096] __attribute__((aligned(4096)));

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
    {"control", "the control domain's hypercalls", control},
    {"flood", "its console, as fast as it can", flood},
    {"forge", "a prompt and terminal control on its console", forge},
    {"fill-store", "the store, until it is full", fill_store},
    {NULL, NULL, NULL},
};
