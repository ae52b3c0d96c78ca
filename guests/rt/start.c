/* SPDX-License-Identifier: MIT */
/* Start of day in C: the order in which the runtime comes up. See start.h. */
#include "start.h"

#include "balloon.h"
#include "clock.h"
#include "console.h"
#include "event.h"
#include "hypercall.h"
#include "mm.h"
#include "pt.h"
#include "smp.h"
#include "thread_internal.h"
#include "trap.h"
#include "xenbus.h"

const struct start_info *start_info;
struct shared_info *shared_info;

/* Its own frame is lost: the entry that maps it is turned to the hypervisor's shared page. */
static char shared_page[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));

void start_c(const struct start_info *si, unsigned long boot_sp);

static void map_shared_info(void)
{
    uint64_t pte = start_info->shared_info | PTE_KERNEL | PTE_NX;

    if (hypercall_update_va_mapping((unsigned long)shared_page, pte, UVMF_INVLPG)) {
        panic("shared_info at %#lx cannot be mapped", start_info->shared_info);
    }
    shared_info = (struct shared_info *)shared_page;
}

void start_c(const struct start_info *si, unsigned long boot_sp)
{
    start_info = si;
    smp_init_boot();
    console_init_output();
    trap_init();
    map_shared_info();
    smp_self()->info = &shared_info->vcpu_info[0];
    event_init();
    mm_init(boot_sp);
    thread_init();
    event_upcalls_restore(false);
    console_init_input();
    xenbus_init();
    balloon_init();
    main();
    console_flush();
    start_shutdown(SHUTDOWN_poweroff);
}

bool start_is_dom0(void)
{
    return start_info->flags & SIF_INITDOMAIN;
}

const char *start_cmdline(void)
{
    return (const char *)start_info->cmd_line;
}

const void *start_module(size_t *bytes)
{
    *bytes = start_info->mod_len;
    if (!start_info->mod_len) {
        return NULL;
    }
    if (start_info->flags & SIF_MOD_START_PFN) {
        return pfn_to_virt(start_info->mod_start);
    }
    return (const void *)start_info->mod_start;
}

void start_shutdown(unsigned reason)
{
    struct sched_shutdown op = {.reason = reason};

    for (;;) {
        hypercall_sched_op(SCHEDOP_shutdown, &op);
    }
}
