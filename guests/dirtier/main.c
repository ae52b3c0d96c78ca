/* SPDX-License-Identifier: MIT */
/*
 * dirtier: writes frames in each way there is, when it is told to, and says which: what the
 * hypervisor's log of dirty frames must know, and what must not be in it. "write" on its console
 * does it, "quit" ends it. Frame numbers are those of its page tables, in hexadecimal.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <rt/console.h>
#include <rt/hypercall.h>
#include <rt/mm.h>
#include <rt/pt.h>
#include <rt/start.h>

#define PAGES 24 /* every third is written */

/* Each address in a table of level 1 of its own: 2 MiB apart. */
#define UPDATED  0x0000200000000000UL
#define STORED   0x0000200000200000UL
#define ACCESSED 0x0000200000400000UL

static volatile char *page[PAGES];
static void *cleared, *told, *copied, *source;
static uint64_t *updated, *stored, *accessed;

static void fail(const char *what, long rc)
{
    printf("dirtier: %s failed: %ld\n", what, rc);
}

static void say(const char *how, const volatile void *const *pages, unsigned count, unsigned first,
                unsigned step)
{
    printf("dirtier: %s", how);
    for (unsigned i = first; i < count; i += step)
        printf(" %lx", (unsigned long)virt_to_mfn((const void *)pages[i]));
    printf("\n");
}

/* Memory that is there, in tables that are, before anybody looks. */
static void prepare(void)
{
    void *target = page_alloc(0);

    for (unsigned i = 0; i < PAGES; i++)
        page[i] = page_alloc(0);
    cleared = page_alloc(0);
    told = page_alloc(0);
    copied = page_alloc(0);
    source = page_alloc(0);
    updated = pt_walk(pt_kernel_root(), UPDATED, true);
    stored = pt_walk(pt_kernel_root(), STORED, true);
    accessed = pt_walk(pt_kernel_root(), ACCESSED, true);
    pt_write(accessed, virt_to_mfn(target) << PAGE_SHIFT | PTE_P);
    /* A frame is known as a table once the processor has gone through it. */
    pt_write(updated, virt_to_mfn(target) << PAGE_SHIFT | PTE_P);
    pt_write(stored, virt_to_mfn(target) << PAGE_SHIFT | PTE_P);
    (void)*(volatile char *)UPDATED;
    (void)*(volatile char *)STORED;
    hypercall_raw(__HYPERVISOR_vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables, 0, 0);
    say("untouched", (const volatile void *const *)page, PAGES, 1, 3);
    printf("dirtier: only read %lx\n", (unsigned long)virt_to_mfn(source));
}

static void write_memory(unsigned round)
{
    for (unsigned i = 0; i < PAGES; i += 3)
        page[i][i * 100] = (char)round;
    say("stores", (const volatile void *const *)page, PAGES, 0, 3);
}

/* By hypercall, by a store that is emulated, and by the A bit that the first read sets. */
static void write_tables(unsigned round)
{
    const volatile void *const tables[] = {updated, stored, accessed};
    long rc = pt_write(updated, (uint64_t)round << 12);

    if (rc)
        fail("mmu_update", rc);
    *(volatile uint64_t *)stored = (uint64_t)round << 12;
    (void)*(volatile char *)ACCESSED;
    say("tables", tables, round == 1 ? 3 : 2, 0, 1);
}

static void write_by_hypercalls(void)
{
    const volatile void *const pages[] = {cleared, told, copied};
    struct mmuext_op clear = {.cmd = MMUEXT_CLEAR_PAGE, .arg1.mfn = virt_to_mfn(cleared)};
    struct gnttab_copy copy = {
        .source = {.u.gmfn = virt_to_mfn(source), .domid = DOMID_SELF},
        .dest = {.u.gmfn = virt_to_mfn(copied), .domid = DOMID_SELF},
        .len = 100,
    };
    long rc = hypercall_mmuext_op(&clear, 1, NULL, DOMID_SELF);

    if (rc)
        fail("MMUEXT_CLEAR_PAGE", rc);
    rc = hypercall_vcpu_op(VCPUOP_get_runstate_info, 0, told);
    if (rc)
        fail("VCPUOP_get_runstate_info", rc);
    rc = hypercall_grant_table_op(GNTTABOP_copy, &copy, 1);
    if (rc || copy.status != GNTST_okay)
        fail("GNTTABOP_copy", rc ? rc : copy.status);
    say("hypercalls", pages, 3, 0, 1);
}

int main(void)
{
    char line[64];
    unsigned round = 0;

    prepare();
    printf("dirtier: ready\n");
    for (;;) {
        console_readline(line, sizeof line);
        if (!strcmp(line, "quit"))
            return 0;
        if (strcmp(line, "write")) {
            printf("dirtier: 'write' or 'quit'\n");
            continue;
        }
        round++;
        write_memory(round);
        write_tables(round);
        write_by_hypercalls();
        printf("dirtier: round %u done\n", round);
    }
}
